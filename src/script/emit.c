#include "script/runtime.h"

#include <stdlib.h>

/* --- the packet ------------------------------------------------------------------------------ */

static bool is_reserved(struct str name)
{
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};

    if (name.size == 0 || !strchr("cdnr", name.at[0])) /* most names end here */
        return false;
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (str_equal(name, str_from(reserved[i])))
            return true;
    }
    return false;
}

/* Encodes the event at 2 with the arguments behind it; valid until the next use of the writer. */
static struct sio_args encode(lua_State *L, struct script *script)
{
    struct str name;

    if (lua_type(L, 2) == LUA_TSTRING) {
        name.at = lua_tolstring(L, 2, &name.size);
        if (is_reserved(name))
            luaL_error(L, "emit: \"%s\" is a reserved event name", name.at);
    } else if (lua_type(L, 2) != LUA_TNUMBER) {
        luaL_typeerror(L, 2, "string or number (the event's name)");
    }
    value_writer_reset(&script->writer);
    value_write_array(L, &script->writer, 2, lua_gettop(L));
    return value_writer_args(&script->writer);
}

int script_emit(lua_State *L)
{
    struct script *script = script_started(L, "emit");
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_args args = encode(L, script);
    struct sio_socket *socket;
    struct sio_target to;
    bool alive = true;

    if (target->single) {
        socket = sio_socket_find(script->server, target->socket);
        alive = socket != NULL;
        if (alive && !sio_socket_event(socket, &args, target->flags))
            return luaL_error(L, "emit: out of memory");
    } else if (script_sio_target(script, target, &to)) {
        sio_broadcast(&to, &args, target->flags);
    }
    lua_pushboolean(L, alive);
    return 1;
}

/* --- waiting for answers --------------------------------------------------------------------- */

/* What socketio holds until the last answer; it may outlive the run and the script. */
struct wait {
    struct list link;
    struct coroutine *coroutine; /* NULL: nobody waits any more */
    uint64_t generation;
    lua_Integer count;
    bool single;
};

struct answer {
    struct wait *wait;
    const struct sio_args *args;
};

/* In protected mode. The waiting coroutine has the table of answers on top: one socket's values
 * or the first value of each. */
static int keep_answer(lua_State *L)
{
    const struct answer *answer = lua_touserdata(L, 1);
    struct wait *wait = answer->wait;
    lua_State *waiting = wait->coroutine->L;
    int count;

    lua_pushvalue(waiting, -1);
    lua_xmove(waiting, L, 1);
    count = value_push_args(L, answer->args);
    if (!wait->single) {
        lua_settop(L, count > 0 ? 3 : 2);
        if (count == 0 || lua_isnil(L, 3)) {
            lua_settop(L, 2);
            value_push_json(L, STR("null")); /* a list has no holes */
        }
        lua_rawseti(L, 2, ++wait->count);
        return 0;
    }
    for (int i = count; i > 0; i--)
        lua_rawseti(L, 2, i);
    wait->count = count;
    return 0;
}

static bool is_awaited(const struct wait *wait)
{
    return wait->coroutine && wait->coroutine->waiting &&
           wait->generation == wait->coroutine->generation;
}

static void on_answer(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    struct wait *wait = owner;
    struct answer answer = {wait, args};
    lua_State *L;

    if (!is_awaited(wait))
        return;
    L = wait->coroutine->script->L;
    lua_pushcfunction(L, keep_answer);
    lua_pushlightuserdata(L, &answer);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        script_warn(wait->coroutine, "an answer was dropped",
                    lua_isstring(L, -1) ? str_from(lua_tostring(L, -1)) : STR(""));
        lua_pop(L, 1);
    }
    (void)socket;
}

/* The run goes on from a task of its own: the last answer may come deep inside socketio, or while
 * the server is being freed. */
static void on_end(void *owner, enum sio_ack_end how)
{
    struct wait *wait = owner;
    struct coroutine *coroutine = wait->coroutine;

    if (is_awaited(wait)) {
        coroutine->ack_how = how;
        coroutine->ack_count = wait->count;
        net_loop_later(coroutine->script->loop, &coroutine->task);
    }
    list_remove(&wait->link);
    free(wait);
}

static const struct sio_ack_handler ack_handler = {.answer = on_answer, .end = on_end};

void script_detach_waits(struct script *script)
{
    struct list *link;

    while ((link = list_take_first(&script->waits)) != NULL)
        CONTAINER_OF(link, struct wait, link)->coroutine = NULL;
}

static int give_reason(lua_State *L, const char *reason)
{
    lua_pushboolean(L, false);
    lua_pushstring(L, reason);
    return 2;
}

/* local ok, … = socket:emit_with_ack(…): the table of values is on top. */
static int socket_answered(lua_State *L, int status, lua_KContext context)
{
    const struct coroutine *coroutine = script_of(L)->current;
    int table = lua_gettop(L);
    int count = (int)coroutine->ack_count;
    (void)status;
    (void)context;

    if (coroutine->ack_how == SIO_ACK_TIMEOUT)
        return give_reason(L, "operation has timed out");
    if (coroutine->ack_how == SIO_ACK_DISCONNECTED)
        return give_reason(L, "socket has been disconnected");
    luaL_checkstack(L, count + 1, "too many values in an answer");
    lua_pushboolean(L, true);
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    return count + 1;
}

/* local answers, err = target:emit_with_ack(…): the list of answers is on top. */
static int all_answered(lua_State *L, int status, lua_KContext context)
{
    const struct coroutine *coroutine = script_of(L)->current;
    (void)status;
    (void)context;

    if (coroutine->ack_how == SIO_ACK_COMPLETE)
        return 1;
    lua_pushstring(L, coroutine->ack_how == SIO_ACK_TIMEOUT ? "operation has timed out"
                                                            : "server shutting down");
    return 2;
}

static bool ask(struct script *script, const struct target *target, struct sio_socket *socket,
                const struct sio_args *args, struct wait *wait)
{
    uint32_t timeout_ms = target->timeout_ms;
    struct sio_target to;

    if (socket)
        return sio_socket_emit_ack(socket, args, timeout_ms, target->flags, &ack_handler, wait);
    script_sio_target(script, target, &to);
    if (!target->has_timeout)
        timeout_ms = SCRIPT_ACK_TIMEOUT_MS;
    return sio_broadcast_ack(&to, args, timeout_ms, target->flags, &ack_handler, wait);
}

int script_emit_with_ack(lua_State *L)
{
    struct coroutine *coroutine = script_may_wait(L, "emit_with_ack");
    struct script *script = coroutine->script;
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_args args = encode(L, script);
    struct sio_socket *socket = NULL;
    struct wait *wait;

    if (target->single) {
        socket = sio_socket_find(script->server, target->socket);
        if (!socket)
            return give_reason(L, "socket has been disconnected");
    }
    lua_newtable(L);
    if (!socket && !script_resolve(script, target))
        return 1; /* nobody to ask */
    wait = malloc(sizeof(*wait));
    if (!wait)
        return luaL_error(L, "emit_with_ack: out of memory");
    *wait = (struct wait){
        .coroutine = coroutine, .generation = coroutine->generation, .single = target->single};
    if (!ask(script, target, socket, &args, wait)) {
        free(wait);
        return luaL_error(L, "emit_with_ack: out of memory");
    }
    list_add_last(&script->waits, &wait->link);
    lua_replace(L, 1); /* what was sent is not kept while we wait */
    lua_settop(L, 1);
    return script_wait(L, coroutine, socket ? socket_answered : all_answered);
}
