/* The global `json`. */
#include "base/utf8.h"
#include "script/lazy.h"
#include "script/write.h"

/* Their addresses are the metatables' places in the registry. */
static const char array_mark;
static const char object_mark;

enum {
    INDENT = 2, /* spaces a level of pretty output, as JSON.stringify(…, null, 2) */
};

/* --- shapes ------------------------------------------------------------------------------- */

enum write_shape json_shape(lua_State *L, int index)
{
    enum write_shape shape = WRITE_ANY;

    if (!lua_getmetatable(L, index))
        return shape;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &array_mark);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &object_mark);
    if (lua_rawequal(L, -3, -2))
        shape = WRITE_ARRAY;
    else if (lua_rawequal(L, -3, -1))
        shape = WRITE_OBJECT;
    lua_pop(L, 3);
    return shape;
}

/* Returns its argument, marked; a lazy value has its shape already. */
static int mark(lua_State *L, bool object)
{
    lua_settop(L, 1);
    if (lua_isnil(L, 1)) {
        lua_newtable(L);
    } else if (value_kind(L, 1) == VALUE_LAZY) {
        luaL_argcheck(L, lazy_check(L, 1)->is_object == object, 1,
                      object ? "the value is an array" : "the value is an object");
        return 1;
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
    }
    if (json_shape(L, -1) == WRITE_ANY && lua_getmetatable(L, -1))
        return luaL_argerror(L, 1, "the table has a metatable of its own");
    lua_rawgetp(L, LUA_REGISTRYINDEX, object ? &object_mark : &array_mark);
    lua_setmetatable(L, -2);
    return 1;
}

static int json_array(lua_State *L)
{
    return mark(L, false);
}

static int json_object(lua_State *L)
{
    return mark(L, true);
}

/* --- decode ------------------------------------------------------------------------------- */

static int refuse(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    return 2;
}

static int json_decode(lua_State *L)
{
    struct str text;

    text.at = luaL_checklstring(L, 1, &text.size);
    if (!utf8_valid(text.at, text.size))
        return refuse(L, "the text is not UTF-8");
    if (!json_check(text))
        return refuse(L, "the text is not JSON");
    value_push_json(L, text);
    return 1;
}

/* --- encode ------------------------------------------------------------------------------- */

static void new_line(luaL_Buffer *to, int depth)
{
    luaL_addchar(to, '\n');
    for (int i = 0; i < depth * INDENT; i++)
        luaL_addchar(to, ' ');
}

static void indent(luaL_Buffer *to, struct str value, int depth)
{
    struct scan scan;
    struct str key;
    struct str element;
    bool first = true;

    if (!scan_is_container(value)) {
        luaL_addlstring(to, value.at, value.size);
        return;
    }
    scan = scan_open(value);
    luaL_addchar(to, value.at[0]);
    for (; scan_next(&scan, &key, &element); first = false) {
        if (!first)
            luaL_addchar(to, ',');
        new_line(to, depth + 1);
        if (scan.object) {
            luaL_addlstring(to, key.at, key.size);
            luaL_addlstring(to, ": ", 2);
        }
        indent(to, element, depth + 1);
    }
    if (!first)
        new_line(to, depth);
    luaL_addchar(to, scan.object ? '}' : ']');
}

static bool is_pretty(lua_State *L)
{
    if (lua_isnoneornil(L, 2))
        return false;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "pretty");
    return lua_toboolean(L, -1);
}

static int json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    const bool pretty = is_pretty(L);
    struct value_writer *writer = value_scratch(L);

    value_write(L, writer, 1);
    if (writer->attachment_count > 0)
        return luaL_error(L, "a binary value has no form in JSON (use b:base64())");
    if (pretty) {
        luaL_Buffer to;
        luaL_buffinit(L, &to);
        indent(&to, buf_str(&writer->json), 0);
        luaL_pushresult(&to);
    } else {
        lua_pushlstring(L, writer->json.at, writer->json.size);
    }
    return 1;
}

/* --- opening ------------------------------------------------------------------------------ */

static int null_tostring(lua_State *L)
{
    lua_pushliteral(L, "null");
    return 1;
}

/* All light userdata share one metatable; json.null is the only one that scripts see. */
static void name_null(lua_State *L)
{
    value_push_null(L);
    lua_newtable(L);
    lua_pushcfunction(L, null_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "null");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void new_mark(lua_State *L, const char *key)
{
    lua_newtable(L);
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_rawsetp(L, LUA_REGISTRYINDEX, key);
}

void value_open_json(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"array",  json_array },
        {"object", json_object},
        {"encode", json_encode},
        {"decode", json_decode},
        {NULL,     NULL       },
    };

    name_null(L);
    new_mark(L, &array_mark);
    new_mark(L, &object_mark);
    luaL_newlib(L, functions);
    value_push_null(L);
    lua_setfield(L, -2, "null");
    lua_setglobal(L, "json");
}
