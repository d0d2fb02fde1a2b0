#include "script/runtime.h"

#include <lualib.h>

/*
 * The standard libraries without what reaches the machine (files, processes, other code), what
 * runs compiled Lua, and what could escape the limits on time and memory.
 */

enum {
    SUBJECT_MAX =
        1 << 20, /* bytes that a pattern may be matched against: the clock is not looked
                              at inside a match; our Lua bounds its steps (vendor/patches) */
};

/* load(chunk, name, mode, env): always text. Calls the original, upvalue 1. */
static int load_text(lua_State *L)
{
    int count = lua_gettop(L) < 4 ? 3 : 4; /* an env that is nil is not the same as none */

    lua_settop(L, count);
    lua_pushliteral(L, "t");
    lua_replace(L, 3);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    return lua_gettop(L);
}

/* Finalizers run without hooks, so an endless one would hang the server. */
static int set_metatable(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, lua_isnil(L, 2) || lua_istable(L, 2), 2, "nil or table");
    lua_settop(L, 2);
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "setmetatable: __gc is not available");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_setmetatable(L, 1);
    return 1;
}

static int collect_garbage(lua_State *L)
{
    static const char *const options[] = {"collect", "count", NULL};

    if (luaL_checkoption(L, 1, "collect", options) == 0) {
        lua_gc(L, LUA_GCCOLLECT);
        lua_pushinteger(L, 0);
    } else {
        lua_pushnumber(L, (lua_Number)script_of(L)->memory / 1024);
    }
    return 1;
}

/* coroutine.running() would hand out a coroutine of the pool, which only the loop may resume. */
static int running(lua_State *L)
{
    const struct coroutine *current = script_of(L)->current;
    bool is_main = !current || current->L == L;

    if (is_main)
        lua_pushnil(L);
    else
        lua_pushthread(L);
    lua_pushboolean(L, is_main);
    return 2;
}

/* Threads made while the file was loaded have the loader's limits, not ours. Upvalue: original. */
static int create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    lua_State *thread = lua_tothread(L, 1);
    if (!thread) { /* coroutine.wrap keeps its thread in an upvalue */
        lua_getupvalue(L, 1, 1);
        thread = lua_tothread(L, -1);
        lua_settop(L, 1);
    }
    script_limit_time(thread);
    return 1;
}

/* A pattern function of `string`, upvalue 1. string.find with `plain` is no pattern. */
static int match_bounded(lua_State *L)
{
    size_t size;

    luaL_checklstring(L, 1, &size);
    if (size > SUBJECT_MAX && !(lua_toboolean(L, 4) && lua_toboolean(L, lua_upvalueindex(2))))
        return luaL_error(L, "a text of %d bytes is too long for patterns, at most %d",
                          size < INT32_MAX ? (int)size : INT32_MAX, SUBJECT_MAX);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

/* --- putting it together --------------------------------------------------------------------- */

static void remove_names(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_pushnil(L);
        lua_setfield(L, -2, *names);
    }
}

/* Keeps only `names` in the table on top. */
static void keep_names(lua_State *L, const char *const *names)
{
    lua_newtable(L);
    for (; *names; names++) {
        lua_getfield(L, -2, *names);
        lua_setfield(L, -2, *names);
    }
    lua_remove(L, -2);
}

static void wrap_name(lua_State *L, const char *name, lua_CFunction wrapper)
{
    lua_getfield(L, -1, name);
    lua_pushboolean(L, strcmp(name, "find") == 0);
    lua_pushcclosure(L, wrapper, 2);
    lua_setfield(L, -2, name);
}

static void open_base(lua_State *L)
{
    static const char *const removed[] = {"dofile", "loadfile", "warn", NULL};

    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    remove_names(L, removed);
    wrap_name(L, "load", load_text);
    lua_pop(L, 1);
    lua_register(L, "setmetatable", set_metatable);
    lua_register(L, "collectgarbage", collect_garbage);
}

static void open_string(lua_State *L)
{
    static const char *const removed[] = {"dump", NULL};
    static const char *const patterns[] = {"find", "match", "gmatch", "gsub"};

    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 1);
    remove_names(L, removed);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        wrap_name(L, patterns[i], match_bounded);
    lua_pop(L, 1);
}

static void open_coroutine(lua_State *L)
{
    luaL_requiref(L, LUA_COLIBNAME, luaopen_coroutine, 1);
    wrap_name(L, "create", create);
    wrap_name(L, "wrap", create);
    lua_pushcfunction(L, running);
    lua_setfield(L, -2, "running");
    lua_pop(L, 1);
}

void script_open_sandbox(lua_State *L)
{
    static const char *const os_names[] = {"clock", "date", "difftime", "time", NULL};
    static const char *const debug_names[] = {"traceback", NULL};

    open_base(L);
    open_string(L);
    open_coroutine(L);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 1);
    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 1);
    lua_pop(L, 3);
    luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
    keep_names(L, os_names);
    lua_setglobal(L, LUA_OSLIBNAME);
    luaL_requiref(L, LUA_DBLIBNAME, luaopen_debug, 0);
    keep_names(L, debug_names);
    lua_setglobal(L, LUA_DBLIBNAME);
}

/* --- globals at run time --------------------------------------------------------------------- */

static int unknown_name(lua_State *L)
{
    return luaL_error(L, "unknown name '%s'", luaL_tolstring(L, 2, NULL));
}

void script_open_strict(lua_State *L)
{
    lua_pushglobaltable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, unknown_name);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
