/*
 * value_state: a Lua state with value_open() for the tests of script's values, and snippets run in
 * it. A snippet gets the arguments of an event as `...` and asserts in Lua.
 */
#ifndef SKUA_TESTS_UNIT_VALUE_STATE_H
#define SKUA_TESTS_UNIT_VALUE_STATE_H

#include "script/value.h"

#include <lauxlib.h>
#include <lualib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    OUTPUT_MAX = 16 << 20, /* bytes of JSON of the writer under test */
};

struct fixture {
    lua_State *L;
    struct value_writer writer;
};

/* What the protected function needs: it is called with a light pointer to this. */
struct snippet {
    struct fixture *fixture;
    const struct sio_args *args;
    const char *code;
};

static inline int traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

static inline int run_protected(lua_State *L)
{
    struct snippet *snippet = lua_touserdata(L, 1);
    struct fixture *fixture = snippet->fixture;

    if (luaL_loadstring(L, snippet->code) != LUA_OK)
        return lua_error(L);
    int count = snippet->args ? value_push_args(L, snippet->args) : 0;
    lua_call(L, count, LUA_MULTRET);
    value_writer_reset(&fixture->writer);
    value_write_array(L, &fixture->writer, 2, lua_gettop(L));
    /* Attachments are only valid while the values live: the results stay on the stack. */
    lua_checkstack(L, 1);
    return lua_gettop(L) - 1;
}

/* Runs and writes what the snippet returns; its error, or NULL. The results stay on the stack
 * until the next snippet. */
static inline const char *run_args(struct fixture *fixture, const struct sio_args *args,
                                   const char *code)
{
    struct snippet snippet = {fixture, args, code};
    lua_State *L = fixture->L;

    lua_settop(L, 0);
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, run_protected);
    lua_pushlightuserdata(L, &snippet);
    if (lua_pcall(L, 1, LUA_MULTRET, 1) == LUA_OK)
        return NULL;
    return lua_tostring(L, -1);
}

/* With the elements of a JSON array as arguments. */
static inline void run(struct fixture *fixture, const char *json, const char *code)
{
    struct sio_args args = {.json = str_from(json)};
    const char *error = run_args(fixture, &args, code);

    if (error)
        fail_msg("%s", error);
}

static inline void assert_output(struct fixture *fixture, const char *expected)
{
    struct str json = value_writer_args(&fixture->writer).json;
    struct str want = str_from(expected);

    if (!str_equal(json, want))
        fail_msg("wrote %.*s\nnot   %s", (int)json.size, json.at, expected);
}

/* What the snippet returns, written as arguments of an event. */
static inline void returns(struct fixture *fixture, const char *json, const char *code,
                           const char *expected)
{
    run(fixture, json, code);
    assert_output(fixture, expected);
}

static inline void fails(struct fixture *fixture, const char *json, const char *code,
                         const char *reason)
{
    struct sio_args args = {.json = str_from(json)};
    const char *error = run_args(fixture, &args, code);

    if (!error)
        fail_msg("no error from: %s", code);
    else if (!strstr(error, reason))
        fail_msg("the error is: %s\nnot: %s", error, reason);
}

static inline int set_up_with(void **state, lua_Alloc allocate, void *context)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    fixture->L = lua_newstate(allocate, context);
    assert_non_null(fixture->L);
    luaL_openlibs(fixture->L);
    value_open(fixture->L);
    value_writer_init(&fixture->writer, OUTPUT_MAX);
    *state = fixture;
    return 0;
}

static inline void *allocate_any(void *context, void *old, size_t old_size, size_t size)
{
    (void)context;
    (void)old_size;
    if (size > 0)
        return realloc(old, size);
    free(old);
    return NULL;
}

static inline int set_up(void **state)
{
    return set_up_with(state, allocate_any, NULL);
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;

    lua_close(fixture->L);
    value_writer_free(&fixture->writer);
    free(fixture);
    return 0;
}

#endif
