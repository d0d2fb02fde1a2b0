#include "script/runtime.h"

#include "base/clock.h"

/* A timer is the userdata itself; while it runs, the registry keeps it. */
struct script_timer {
    struct list link;
    struct timer timer;
    struct script *script;
    int reference; /* in the registry, as `function`, while it runs */
    int function;
    uint32_t delay_ms;
    bool repeats;
    bool runs;
};

static int now(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)clock_wall_ms());
    return 1;
}

/* --- sleep ----------------------------------------------------------------------------------- */

static int slept(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static int sleep_for(lua_State *L)
{
    uint32_t delay_ms = script_duration(L, 1);
    struct coroutine *coroutine = script_may_wait(L, "sleep");

    timer_start(net_loop_timers(coroutine->script->loop), &coroutine->timer, delay_ms);
    return script_wait(L, coroutine, slept);
}

/* --- timers ---------------------------------------------------------------------------------- */

static void release(struct script *script, int function, int reference)
{
    luaL_unref(script->L, LUA_REGISTRYINDEX, function);
    luaL_unref(script->L, LUA_REGISTRYINDEX, reference);
}

static void unlink_timer(struct script_timer *timer)
{
    timer->runs = false;
    timer->script->timer_count--;
    list_remove(&timer->link);
}

static void stop(struct script_timer *timer)
{
    if (!timer->runs)
        return;
    unlink_timer(timer);
    if (timer->script->loop)
        timer_stop(net_loop_timers(timer->script->loop), &timer->timer);
    release(timer->script, timer->function, timer->reference);
}

static void start(struct script_timer *timer)
{
    timer_start(net_loop_timers(timer->script->loop), &timer->timer, timer->delay_ms);
}

/* The function may stop its timer, which may then be collected: it is not touched behind the run. */
static void fire(struct timer *fired)
{
    struct script_timer *timer = CONTAINER_OF(fired, struct script_timer, timer);
    struct script *script = timer->script;
    int function = timer->function;
    int reference = timer->reference;
    bool repeats = timer->repeats;
    struct run run = {
        .body = script_body_plain,
        .function = function,
        .event = STR("timer"),
        .may_wait = true,
    };

    if (repeats)
        start(timer);
    else
        unlink_timer(timer);
    script_run(script, &run);
    if (!repeats)
        release(script, function, reference);
}

static int make_timer(lua_State *L, bool repeats)
{
    struct script *script = script_of(L);
    uint32_t delay_ms = script_duration(L, 1);
    struct script_timer *timer;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (script->timer_count == SCRIPT_TIMERS_MAX)
        return luaL_error(L, "too many timers (%d)", SCRIPT_TIMERS_MAX);
    lua_settop(L, 2);
    timer = lua_newuserdatauv(L, sizeof(*timer), 0);
    *timer = (struct script_timer){
        .script = script,
        .delay_ms = repeats && delay_ms == 0 ? 1 : delay_ms,
        .repeats = repeats,
    };
    list_init(&timer->link);
    timer_init(&timer->timer, fire);
    script_set_type(L, SCRIPT_TIMER);
    lua_pushvalue(L, 3);
    timer->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 2);
    timer->function = luaL_ref(L, LUA_REGISTRYINDEX);

    timer->runs = true;
    script->timer_count++;
    list_add_last(&script->timers, &timer->link);
    if (script->loop)
        start(timer);
    return 1;
}

static int timer_after(lua_State *L)
{
    return make_timer(L, false);
}

static int timer_every(lua_State *L)
{
    return make_timer(L, true);
}

static int timer_stop_method(lua_State *L)
{
    if (script_type(L, 1) != SCRIPT_TIMER)
        luaL_typeerror(L, 1, "timer (called with ':')");
    stop(lua_touserdata(L, 1));
    return 0;
}

/* Those made while the file was loaded. */
void script_start_timers(struct script *script)
{
    for (struct list *link = script->timers.next; link != &script->timers; link = link->next)
        start(CONTAINER_OF(link, struct script_timer, link));
}

void script_stop_timers(struct script *script)
{
    while (!list_empty(&script->timers))
        stop(CONTAINER_OF(script->timers.next, struct script_timer, link));
}

void script_open_time(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {NULL, NULL}
    };
    static const luaL_Reg methods[] = {
        {"stop", timer_stop_method},
        {NULL,   NULL             },
    };
    static const luaL_Reg functions[] = {
        {"after", timer_after},
        {"every", timer_every},
        {NULL,    NULL       },
    };

    script_new_type(L, SCRIPT_TIMER, metamethods);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    lua_setglobal(L, "timer");
    lua_register(L, "now", now);
    lua_register(L, "sleep", sleep_for);
}
