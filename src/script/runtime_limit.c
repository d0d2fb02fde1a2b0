#include "script/runtime.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    LOAD_TIME_MS =
        10000, /* for a coroutine while the file is loaded, as config gives the file */
};

/* Shrinking never fails, as Lua demands, whatever the limit says. */
void *script_allocate(void *owner, void *block, size_t old_size, size_t new_size)
{
    struct script *script = owner;
    void *moved;

    if (!block)
        old_size = 0; /* then it is the kind of object that Lua makes */
    if (new_size == 0) {
        free(block);
        script->memory -= old_size;
        return NULL;
    }
    if (new_size > old_size && (script->memory > script->memory_limit ||
                                new_size - old_size > script->memory_limit - script->memory))
        return NULL;
    moved = realloc(block, new_size);
    if (moved)
        script->memory += new_size - old_size;
    else if (new_size <= old_size)
        return block;
    return moved;
}

static uint32_t time_limit_ms(const struct script *script)
{
    return script->config ? script->config->limits.handler_time_ms : LOAD_TIME_MS;
}

static void describe_stop(lua_State *L, struct script *script, lua_Debug *where)
{
    char place[SCRIPT_STOP_TEXT_MAX / 2] = "";

    if (lua_getinfo(L, "Sl", where) && where->currentline > 0)
        snprintf(place, sizeof(place), "%s:%d: ", where->short_src, where->currentline);
    snprintf(script->stop_text, sizeof(script->stop_text),
             "%sstopped: computed for more than %u ms%s", place,
             (unsigned)time_limit_ms(script), script->config ? " (limits.handler_time)" : "");
}

/*
 * CPU time is read at the first hook, not when a run is resumed: that costs a system call, and
 * most runs end before their first hook. A run that is over its time yields, past every pcall, and
 * is never resumed. Inside a library function it cannot yield: there it gets the error at each
 * following instruction, so that pcall only moves the place where it is thrown. (The error alone
 * would not do: each pcall that catches one costs as much as the stack is deep.)
 */
static void look_at_clock(lua_State *L, lua_Debug *where)
{
    struct script *script = script_of(L);

    if (!script->stopping) {
        uint64_t now_us = clock_thread_cpu_us();

        if (script->started_us == 0)
            script->started_us = now_us;
        if (now_us - script->started_us < time_limit_ms(script) * UINT64_C(1000)) {
            script_limit_time(L); /* a thread that outlived a stop looks at each instruction */
            return;
        }
        script->stopping = true;
        describe_stop(L, script, where);
    }
    script_limit_time(L);
    if (script->current)
        script_limit_time(script->current->L); /* it may have resumed this one */
    if (lua_isyieldable(L)) {
        lua_yield(L, 0);
        return; /* from a hook Lua yields when that is over */
    }
    /* Lua's own error for memory is the only one that no message handler of xpcall sees: that would
     * run inside this hook, without hooks. What is logged is stop_text. */
    lua_pushliteral(L, "not enough memory");
    lua_error(L);
}

/* A thread made by a run that is over its time gets nothing done, or each would take some more. */
void script_limit_time(lua_State *L)
{
    lua_sethook(L, look_at_clock, LUA_MASKCOUNT,
                script_of(L)->stopping ? 1 : SCRIPT_HOOK_COUNT);
}
