#include "script/waits.h"

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
        if (alive && !cluster_socket_emit(script->cluster, socket, &args, target->flags))
            return luaL_error(L, "emit: out of memory");
    } else if (script_sio_target(script, target, &to)) {
        cluster_broadcast(script->cluster, &to, &args, target->flags);
    }
    lua_pushboolean(L, alive);
    return 1;
}

/* --- waiting for answers --------------------------------------------------------------------- */

static int give_reason(lua_State *L, const char *reason)
{
    lua_pushboolean(L, false);
    lua_pushstring(L, reason);
    return 2;
}

/* local ok, … = socket:emit_with_ack(…): the table of values is on top. */
static int return_values(lua_State *L, int status, lua_KContext context)
{
    const struct coroutine *coroutine = script_of(L)->current;
    int table = lua_gettop(L);
    int count = (int)coroutine->wait_count;
    (void)status;
    (void)context;

    if (coroutine->wait_reason)
        return give_reason(L, coroutine->wait_reason);
    luaL_checkstack(L, count + 1, "too many values in an answer");
    lua_pushboolean(L, true);
    for (int i = 1; i <= count; i++)
        lua_rawgeti(L, table, i);
    return count + 1;
}

/* local ok, … = socket:emit_with_ack(…) */
static int ask_socket(lua_State *L, struct coroutine *coroutine, const struct target *target)
{
    struct script *script = coroutine->script;
    struct sio_args args = encode(L, script);
    struct sio_socket *socket = sio_socket_find(script->server, target->socket);
    struct wait *wait;

    if (!socket)
        return give_reason(L, "socket has been disconnected");
    wait = script_new_wait(L, coroutine, target, WAIT_FOR_VALUES);
    if (!sio_socket_emit_ack(socket, &args, target->timeout_ms, target->flags,
                             &wait_socket_acks, wait)) {
        script_drop_wait(wait);
        return luaL_error(L, "emit_with_ack: out of memory");
    }
    return script_await(L, coroutine, return_values);
}

/* local answers, err = target:emit_with_ack(…) */
int script_emit_with_ack(lua_State *L)
{
    struct coroutine *coroutine = script_may_wait(L, "emit_with_ack");
    struct script *script = coroutine->script;
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_target to;
    struct sio_args args;
    struct wait *wait;

    if (target->single)
        return ask_socket(L, coroutine, target);
    args = encode(L, script);
    if (!script_sio_target(script, target, &to)) {
        lua_newtable(L); /* nobody to ask */
        return 1;
    }
    wait = script_new_wait(L, coroutine, target, WAIT_FOR_ANSWERS);
    if (!cluster_broadcast_ack(script->cluster, &to, &args,
                               target->has_timeout ? target->timeout_ms : SCRIPT_ACK_TIMEOUT_MS,
                               target->flags, &wait_cluster_acks, wait)) {
        script_drop_wait(wait);
        return luaL_error(L, "emit_with_ack: out of memory");
    }
    return script_await(L, coroutine, wait_return_list);
}

/* --- events for other servers ---------------------------------------------------------------- */

static struct sio_args encode_for_servers(lua_State *L, struct script *script)
{
    static const char *const reserved[] = {"connect", "connection", "new_namespace"};

    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), reserved[i]) == 0)
            luaL_error(L, "server_emit: \"%s\" is a reserved event name", reserved[i]);
    }
    return encode(L, script);
}

int script_server_emit(lua_State *L)
{
    struct script *script = script_started(L, "server_emit");
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_args args = encode_for_servers(L, script);
    struct sio_namespace *nsp = script_resolve(script, target);

    lua_pushboolean(L, nsp && cluster_server_emit(script->cluster, nsp, &args));
    return 1;
}

/* local answers, err = ns:server_emit_with_ack(…) */
int script_server_emit_with_ack(lua_State *L)
{
    struct coroutine *coroutine = script_may_wait(L, "server_emit_with_ack");
    struct script *script = coroutine->script;
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_args args = encode_for_servers(L, script);
    struct sio_namespace *nsp = script_resolve(script, target);
    struct wait *wait;

    if (!nsp) {
        lua_newtable(L);
        return 1;
    }
    wait = script_new_wait(L, coroutine, target, WAIT_FOR_ANSWERS);
    if (!cluster_server_emit_ack(script->cluster, nsp, &args, target->timeout_ms,
                                 &wait_cluster_acks, wait)) {
        script_drop_wait(wait);
        return luaL_error(L, "server_emit_with_ack: out of memory");
    }
    return script_await(L, coroutine, wait_return_list);
}
