/* `binary` values: bytes that travel as attachments. */
#include "base/base64.h"
#include "script/value_kind.h"

#include <string.h>

enum {
    BYTES_MAX = 250, /* that b:byte() returns at once: what fits Lua's own stack bounds */
};

static struct str check(lua_State *L, int index)
{
    struct str bytes = STR("");

    if (!value_is_binary(L, index, &bytes))
        luaL_typeerror(L, index, "binary");
    return bytes;
}

bool value_is_binary(lua_State *L, int index, struct str *bytes)
{
    if (value_kind(L, index) != VALUE_BINARY)
        return false;
    *bytes = str_of(lua_touserdata(L, index), lua_rawlen(L, index));
    return true;
}

void value_push_binary(lua_State *L, struct str bytes)
{
    void *to = lua_newuserdatauv(L, bytes.size, 0);

    if (bytes.size > 0)
        memcpy(to, bytes.at, bytes.size);
    value_set_kind(L, VALUE_BINARY);
}

/* --- methods ------------------------------------------------------------------------------ */

static int binary_string(lua_State *L)
{
    struct str bytes = check(L, 1);

    lua_pushlstring(L, bytes.at, bytes.size);
    return 1;
}

static int binary_base64(lua_State *L)
{
    struct str bytes = check(L, 1);
    size_t size = base64_encoded_size(bytes.size);
    luaL_Buffer buffer;
    char *to = luaL_buffinitsize(L, &buffer, size);

    base64_encode(to, bytes.at, bytes.size);
    luaL_pushresultsize(&buffer, size);
    return 1;
}

/* The slice that string.sub() would take. */
static struct str slice(struct str bytes, lua_Integer first, lua_Integer last)
{
    const lua_Integer size = (lua_Integer)bytes.size;

    if (first < 0)
        first = first < -size ? 1 : size + first + 1;
    else if (first == 0)
        first = 1;
    if (last < 0)
        last = last < -size ? 0 : size + last + 1;
    else if (last > size)
        last = size;
    if (first > last)
        return STR("");
    return (struct str){bytes.at + first - 1, (size_t)(last - first + 1)};
}

static int binary_sub(lua_State *L)
{
    struct str bytes = check(L, 1);

    value_push_binary(L, slice(bytes, luaL_checkinteger(L, 2), luaL_optinteger(L, 3, -1)));
    return 1;
}

static int binary_byte(lua_State *L)
{
    struct str bytes = check(L, 1);
    lua_Integer first = luaL_optinteger(L, 2, 1);
    struct str part = slice(bytes, first, luaL_optinteger(L, 3, first));

    luaL_argcheck(L, part.size <= BYTES_MAX, 3, "too many bytes for one call");
    luaL_checkstack(L, BYTES_MAX, NULL);
    for (size_t i = 0; i < part.size; i++)
        lua_pushinteger(L, (unsigned char)part.at[i]);
    return (int)part.size;
}

static int binary_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)check(L, 1).size);
    return 1;
}

static int binary_eq(lua_State *L)
{
    struct str a;
    struct str b;

    lua_pushboolean(L,
                    value_is_binary(L, 1, &a) && value_is_binary(L, 2, &b) && str_equal(a, b));
    return 1;
}

static int binary_tostring(lua_State *L)
{
    lua_pushfstring(L, "binary(%I bytes)", (LUAI_UACINT)check(L, 1).size);
    return 1;
}

/* --- the global `binary` ------------------------------------------------------------------ */

/* binary(s): its first argument is the table `binary`. */
static int binary_new(lua_State *L)
{
    struct str text;

    if (value_is_binary(L, 2, &text)) {
        lua_settop(L, 2);
        return 1;
    }
    luaL_checktype(L, 2, LUA_TSTRING);
    text.at = lua_tolstring(L, 2, &text.size);
    value_push_binary(L, text);
    return 1;
}

static int binary_from_base64(lua_State *L)
{
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    uint8_t *bytes = lua_newuserdatauv(L, size / 4 * 3 + 3, 0);

    value_push_binary(L, str_of(bytes, base64_decode(bytes, text, size)));
    return 1;
}

void value_open_binary(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__len",      binary_len     },
        {"__eq",       binary_eq      },
        {"__tostring", binary_tostring},
        {"__index",    NULL           },
        {NULL,         NULL           },
    };
    static const luaL_Reg methods[] = {
        {"string", binary_string},
        {"base64", binary_base64},
        {"sub",    binary_sub   },
        {"byte",   binary_byte  },
        {NULL,     NULL         },
    };

    value_new_kind(L, VALUE_BINARY, "binary", metamethods);
    value_push_binary(L, STR(""));
    lua_getmetatable(L, -1);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);

    lua_newtable(L);
    lua_pushcfunction(L, binary_from_base64);
    lua_setfield(L, -2, "from_base64");
    lua_newtable(L);
    lua_pushcfunction(L, binary_new);
    lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
    lua_setglobal(L, "binary");
}
