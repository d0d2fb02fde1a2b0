#include "script/runtime.h"

#include <assert.h>
#include <stdlib.h>

/* --- the pool -------------------------------------------------------------------------------- */

static void run_task(struct net_task *task)
{
    script_wake(CONTAINER_OF(task, struct coroutine, task));
}

static void fire_timer(struct timer *timer)
{
    script_wake(CONTAINER_OF(timer, struct coroutine, timer));
}

/* In protected mode: gives the coroutine its Lua thread. */
static int make_thread(lua_State *L)
{
    struct coroutine *coroutine = lua_touserdata(L, 1);
    lua_State *thread = lua_newthread(L);

    coroutine->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    coroutine->L = thread;
    return 0;
}

static struct coroutine *new_coroutine(struct script *script)
{
    struct coroutine *coroutine = calloc(1, sizeof(*coroutine));
    int status;

    if (!coroutine)
        return NULL;
    coroutine->script = script;
    timer_init(&coroutine->timer, fire_timer);
    net_task_init(&coroutine->task, run_task);
    lua_pushcfunction(script->L, make_thread);
    lua_pushlightuserdata(script->L, coroutine);
    status = lua_pcall(script->L, 1, 0, 0);
    if (status != LUA_OK) {
        lua_pop(script->L, 1);
        free(coroutine);
        return NULL;
    }
    script_limit_time(coroutine->L);
    list_add_last(&script->coroutines, &coroutine->link);
    return coroutine;
}

static struct coroutine *take_coroutine(struct script *script)
{
    struct coroutine *coroutine = script->pool;

    if (!coroutine)
        return new_coroutine(script);
    script->pool = coroutine->next_idle;
    script->pool_size--;
    return coroutine;
}

/* The handler has not answered: the server that asked will not hear from this one. */
static void give_answer_up(struct coroutine *coroutine)
{
    if (coroutine->answer)
        cluster_server_answer(coroutine->answer, NULL);
    coroutine->answer = NULL;
}

static void free_coroutine(struct coroutine *coroutine)
{
    struct script *script = coroutine->script;

    if (script->loop) {
        timer_stop(net_loop_timers(script->loop), &coroutine->timer);
        net_task_cancel(&coroutine->task);
    }
    give_answer_up(coroutine);
    list_remove(&coroutine->link);
    luaL_unref(script->L, LUA_REGISTRYINDEX, coroutine->reference);
    free(coroutine);
}

static void give_back(struct coroutine *coroutine)
{
    struct script *script = coroutine->script;

    if (script->pool_size == SCRIPT_POOL_MAX) {
        free_coroutine(coroutine);
        return;
    }
    coroutine->next_idle = script->pool;
    script->pool = coroutine;
    script->pool_size++;
}

void script_free_coroutines(struct script *script)
{
    while (!list_empty(&script->coroutines))
        free_coroutine(CONTAINER_OF(script->coroutines.next, struct coroutine, link));
    script->pool = NULL;
    script->pool_size = 0;
}

/* --- running --------------------------------------------------------------------------------- */

static void end_run(struct coroutine *coroutine, bool succeeded)
{
    coroutine->generation++;
    give_answer_up(coroutine);
    if (coroutine->finished)
        coroutine->finished(coroutine, succeeded);
    if (coroutine->given_up)
        free_coroutine(coroutine);
    else
        give_back(coroutine);
}

/*
 * After an error: logs it and makes the thread usable again. One that was stopped is given up: Lua
 * keeps hooks off in a thread that an error in a hook has ended, so neither what closing its
 * variables calls nor the next run would be limited.
 */
static void recover(struct coroutine *coroutine, int status)
{
    struct script *script = coroutine->script;

    if (status == LUA_YIELD && !script->stopping)
        script_report_yield(coroutine);
    else
        script_report(coroutine, status);
    coroutine->given_up = script->stopping;
    if (!coroutine->given_up) {
        lua_closethread(coroutine->L, NULL);
        lua_settop(coroutine->L, 0);
        coroutine->given_up = script->stopping; /* closing took too long */
    }
    if (status == LUA_ERRMEM && !script->stopping)
        lua_gc(script->L, LUA_GCCOLLECT);
}

static void resume(struct coroutine *coroutine, int argument_count)
{
    struct script *script = coroutine->script;
    struct coroutine *outer = script->current;
    uint64_t outer_started_us = script->started_us;
    bool outer_stopping = script->stopping;
    int result_count;
    bool succeeded;
    int status;

    script->current = coroutine;
    script->depth++;
    script->started_us = 0;
    script->stopping = false;
    status = lua_resume(coroutine->L, outer ? outer->L : NULL, argument_count, &result_count);
    /* A run that is over its time may still end well, when a coroutine of its own was stopped. */
    succeeded = status == LUA_OK && !script->stopping;
    if (succeeded)
        lua_settop(coroutine->L, 0);
    else if (status != LUA_YIELD || !coroutine->waiting)
        recover(coroutine, status);
    script->current = outer;
    script->depth--;
    script->started_us = outer_started_us;
    script->stopping = outer_stopping;

    if (!coroutine->waiting)
        end_run(coroutine, succeeded);
}

static struct str keep_text(char *to, struct str text)
{
    size_t size = text.size < SCRIPT_ID_MAX ? text.size : SCRIPT_ID_MAX;

    memcpy(to, text.at, size);
    return str_of(to, size);
}

bool script_run(struct script *script, struct run *run)
{
    struct coroutine *coroutine = NULL;
    bool too_deep = script->depth == SCRIPT_NESTING_MAX;

    if (!too_deep)
        coroutine = take_coroutine(script);
    if (!coroutine) {
        log_error(script->log,
                  too_deep ? "a handler was not run: handlers nest too deeply"
                           : "a handler was not run: out of memory",
                  log_str("event", run->event), LOG_END);
        return false;
    }
    coroutine->nsp = run->nsp;
    coroutine->socket = run->socket ? sio_socket_handle(run->socket) : (struct sio_handle){0};
    coroutine->socket_id =
        run->socket ? keep_text(coroutine->socket_text, sio_socket_logged_id(run->socket))
                    : STR("");
    coroutine->event = keep_text(coroutine->event_text, run->event);
    coroutine->finished = run->finished;
    coroutine->may_wait = run->may_wait;
    coroutine->refused = false;
    coroutine->admission = run->admission;
    coroutine->answer = run->answer;
    coroutine->wants_ack = run->arrived && run->arrived->wants_ack;
    coroutine->acknowledging = false;
    coroutine->ack_id = coroutine->wants_ack ? run->arrived->ack_id : 0;
    lua_pushcfunction(coroutine->L, run->body);
    lua_pushlightuserdata(coroutine->L, run);
    resume(coroutine, 1);
    return true;
}

/* --- waiting --------------------------------------------------------------------------------- */

struct coroutine *script_may_wait(lua_State *L, const char *what)
{
    struct script *script = script_started(L, what);
    struct coroutine *coroutine = script->current;

    if (!coroutine || coroutine->L != L) {
        luaL_error(L, "%s cannot wait in a coroutine that the file made", what);
        return NULL;
    }
    if (!coroutine->may_wait)
        luaL_error(L, "%s cannot wait in a function that decides about origins or names", what);
    if (!lua_isyieldable(L))
        luaL_error(L, "%s cannot wait in a function that a library function calls", what);
    if (script->waiting == SCRIPT_WAITING_MAX)
        luaL_error(L, "%s: too many handlers are waiting (%d)", what, SCRIPT_WAITING_MAX);
    return coroutine;
}

int script_wait(lua_State *L, struct coroutine *coroutine, lua_KFunction go_on)
{
    assert(!coroutine->waiting);
    coroutine->waiting = true;
    coroutine->script->waiting++;
    return lua_yieldk(L, 0, 0, go_on);
}

void script_wake(struct coroutine *coroutine)
{
    assert(coroutine->waiting);
    coroutine->waiting = false;
    coroutine->script->waiting--;
    resume(coroutine, 0);
}
