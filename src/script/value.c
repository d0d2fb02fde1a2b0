#include "script/lazy.h"

#include <string.h>

/* Their addresses are keys of metatables and of the registry. */
static const char kind_of_metatable;
static const char metatable_of_kind[VALUE_KINDS];
static const char scratch_key;

enum {
    SCRATCH_MAX = 256 << 20, /* bytes of JSON that json.encode makes, or of a decoded string */
    STACK_STEP = 32,         /* arguments for which room is made at once */
};

enum value_kind value_kind(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return VALUE_OTHER;
    lua_rawgetp(L, -1, &kind_of_metatable);
    enum value_kind kind = (enum value_kind)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return kind;
}

void value_new_kind(lua_State *L, enum value_kind kind, const char *name,
                    const luaL_Reg *metamethods)
{
    lua_newtable(L);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pushinteger(L, kind);
    lua_rawsetp(L, -2, &kind_of_metatable);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_of_kind[kind]);
}

void value_set_kind(lua_State *L, enum value_kind kind)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_of_kind[kind]);
    lua_setmetatable(L, -2);
}

/* --- scratch ------------------------------------------------------------------------------ */

/* Two, because strings are decoded while the writer is in use. */
struct scratch {
    struct value_writer writer;
    struct buf decoded;
};

static int scratch_gc(lua_State *L)
{
    struct scratch *scratch = lua_touserdata(L, 1);

    value_writer_free(&scratch->writer);
    buf_free(&scratch->decoded);
    return 0;
}

static void open_scratch(lua_State *L)
{
    struct scratch *scratch = lua_newuserdatauv(L, sizeof(*scratch), 0);

    value_writer_init(&scratch->writer, SCRATCH_MAX);
    buf_init(&scratch->decoded, SCRATCH_MAX);
    lua_newtable(L);
    lua_pushcfunction(L, scratch_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &scratch_key);
}

static struct scratch *find_scratch(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &scratch_key);
    struct scratch *scratch = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return scratch;
}

struct value_writer *value_scratch(lua_State *L)
{
    struct value_writer *writer = &find_scratch(L)->writer;

    value_writer_reset(writer);
    return writer;
}

/* --- scalars ------------------------------------------------------------------------------ */

void value_push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

bool value_is_null(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && !lua_touserdata(L, index);
}

void value_push_string(lua_State *L, struct str raw)
{
    struct str inside = {raw.at + 1, raw.size - 2};

    if (!memchr(inside.at, '\\', inside.size)) {
        lua_pushlstring(L, inside.at, inside.size);
        return;
    }
    struct buf *decoded = &find_scratch(L)->decoded;
    value_buf_reset(decoded);
    if (!json_string_decode(decoded, raw))
        luaL_error(L, "not enough memory for a string of %d bytes", (int)inside.size);
    lua_pushlstring(L, decoded->at, decoded->size);
}

static void push_number(lua_State *L, struct str raw)
{
    int64_t integer;
    double real;

    if (json_number_decode(raw, &integer, &real))
        lua_pushinteger(L, integer);
    else
        lua_pushnumber(L, real);
}

void value_push_scalar(lua_State *L, struct str raw)
{
    switch (raw.at[0]) {
    case '"':
        value_push_string(L, raw);
        break;
    case 't':
    case 'f':
        lua_pushboolean(L, raw.at[0] == 't');
        break;
    case 'n':
        value_push_null(L);
        break;
    default:
        push_number(L, raw);
    }
}

/* --- arguments ---------------------------------------------------------------------------- */

/* `attachments` is the index of their table, or 0. */
static void push_value(lua_State *L, struct str raw, int attachments)
{
    int64_t number;

    if (!scan_is_container(raw))
        value_push_scalar(L, raw);
    else if (attachments && lazy_is_placeholder(L, raw, &number))
        lua_rawgeti(L, attachments, number + 1);
    else
        lazy_push_root(L, raw, attachments);
}

void value_push_json(lua_State *L, struct str text)
{
    struct str value = scan_value(text);

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (value.size == 0)
        lua_pushnil(L);
    else
        push_value(L, value, 0);
}

static void push_attachments(lua_State *L, const struct sio_args *args)
{
    lua_createtable(L, (int)args->attachment_count, 0);
    for (uint32_t i = 0; i < args->attachment_count; i++) {
        value_push_binary(L, args->attachments[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

int value_push_args(lua_State *L, const struct sio_args *args)
{
    struct scan scan = scan_open(scan_value(args->json));
    struct str key;
    struct str value;
    int attachments = 0;
    int count = 0;

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (args->attachment_count > 0) {
        push_attachments(L, args);
        attachments = lua_gettop(L);
    }
    for (; scan_next(&scan, &key, &value); count++) {
        if (count % STACK_STEP == 0)
            luaL_checkstack(L, STACK_STEP + LUA_MINSTACK, "too many arguments");
        if (value.at[0] == 'n')
            lua_pushnil(L);
        else
            push_value(L, value, attachments);
    }
    if (attachments)
        lua_remove(L, attachments);
    return count;
}

void value_open(lua_State *L)
{
    open_scratch(L);
    value_open_lazy(L);
    value_open_binary(L);
    value_open_data(L);
    value_open_json(L);
    value_open_globals(L);
}
