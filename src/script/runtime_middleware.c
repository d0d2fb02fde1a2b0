#include "script/runtime.h"

/* What a middleware returned is on top: true if it lets pass, false if it is a rejection. Anything
 * else is a slip (a forgotten `reject`) and must not let anybody in. */
static bool passes(lua_State *L, const struct cfg_handler *middleware, const char *what)
{
    if (lua_isnil(L, -1) || (lua_isboolean(L, -1) && lua_toboolean(L, -1)))
        return true;
    if (script_type(L, -1) == SCRIPT_REJECTION)
        return false;
    luaL_error(L,
               "the %s function of line %d returned a %s value: "
               "return nothing to let pass, reject(message, data) to refuse",
               what, middleware->line, luaL_typename(L, -1));
    return false;
}

/* The rejection on top, told to the client. */
static void refuse(lua_State *L)
{
    struct script *script = script_of(L);
    struct coroutine *coroutine = script->current;
    struct sio_socket *socket;
    struct str message, data = STR("");

    lua_getiuservalue(L, -1, 1);
    message.at = lua_tolstring(L, -1, &message.size);
    lua_getiuservalue(L, -2, 2);
    value_writer_reset(&script->writer);
    if (!lua_isnil(L, -1)) {
        value_write(L, &script->writer, lua_gettop(L));
        if (script->writer.attachment_count > 0)
            luaL_error(L, "reject: the data cannot hold binary values");
        data = buf_str(&script->writer.json);
    }
    coroutine->refused = true;
    socket = sio_socket_find(script->server, coroutine->socket);
    if (socket)
        sio_socket_refuse(socket, message, data);
}

/* Stack: the socket, then what middleware `step` - 1 returned. */
static int go_through_use(lua_State *L, int status, lua_KContext step)
{
    struct script *script = script_of(L);
    const struct cfg_handlers *use = &script->current->nsp->config->use;
    (void)status;

    for (;; step++) {
        if (step > 0 && !passes(L, &use->at[step - 1], "use")) {
            refuse(L);
            return 0;
        }
        lua_settop(L, 1);
        if ((size_t)step == use->count ||
            !sio_socket_find(script->server, script->current->socket))
            return 0;
        script_push_function(L, use->at[step].function);
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 1, step + 1, go_through_use);
    }
}

int script_body_use(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    lua_settop(L, 0);
    script_push_socket(L, run->socket);
    script_keep_handshake(L, run->socket); /* a client may well go while a backend is asked */
    return go_through_use(L, LUA_OK, 0);
}

void script_use_finished(struct coroutine *coroutine, bool succeeded)
{
    struct sio_socket *socket = sio_socket_find(coroutine->script->server, coroutine->socket);

    if (!socket || coroutine->refused)
        return;
    if (succeeded)
        sio_socket_accept(socket);
    else
        sio_socket_refuse(socket, STR("internal error"), STR(""));
}

/* An event was refused: the rejection is on top, the socket at 1. */
static int event_refused(lua_State *L)
{
    const struct coroutine *coroutine = script_of(L)->current;
    const struct cfg_handler *error = coroutine->nsp->error;
    struct str message;

    lua_getiuservalue(L, -1, 1);
    if (!error) {
        message.at = lua_tolstring(L, -1, &message.size);
        script_warn(coroutine, "event refused", message);
        return 0;
    }
    lua_getiuservalue(L, -2, 2);
    script_push_function(L, error->function);
    lua_pushvalue(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -5);
    lua_setfield(L, -2, "message");
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "data");
    lua_callk(L, 2, 0, 0, script_ended);
    return 0;
}

enum {
    CHAIN_HANDLER =
        1, /* stack of an event with middleware: function, pass_name, socket, name, … */
    CHAIN_PASS_NAME,
    CHAIN_SOCKET,
    CHAIN_NAME,
};

/* All middleware let pass: the stack becomes the handler's call. */
static int call_behind_chain(lua_State *L)
{
    if (!lua_toboolean(L, CHAIN_PASS_NAME))
        lua_remove(L, CHAIN_NAME);
    lua_remove(L, CHAIN_PASS_NAME);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 1, script_event_handled);
    return script_event_handled(L, LUA_OK, 1);
}

static int go_through_use_event(lua_State *L, int status, lua_KContext step)
{
    const struct cfg_handlers *use = &script_of(L)->current->nsp->config->use_event;
    (void)status;

    for (;; step++) {
        if (step > 0 && !passes(L, &use->at[step - 1], "use_event")) {
            lua_replace(L, CHAIN_NAME);
            lua_settop(L, CHAIN_NAME);
            lua_rotate(L, 1, 2); /* the socket comes to 1, the rejection to 2 */
            lua_settop(L, 2);
            return event_refused(L);
        }
        if (step > 0)
            lua_pop(L, 1);
        if ((size_t)step == use->count)
            return call_behind_chain(L);

        int top = lua_gettop(L);
        luaL_checkstack(L, top, "too many arguments");
        script_push_function(L, use->at[step].function);
        for (int i = CHAIN_SOCKET; i <= top; i++)
            lua_pushvalue(L, i);
        lua_callk(L, top - CHAIN_SOCKET + 1, 1, step + 1, go_through_use_event);
    }
}

int script_body_event_with_chain(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    lua_settop(L, 0);
    script_push_function(L, run->function);
    lua_pushboolean(L, run->pass_name);
    script_push_socket(L, run->socket);
    lua_pushlstring(L, run->arrived->name.at, run->arrived->name.size);
    value_push_args(L, &run->arrived->args);
    return go_through_use_event(L, LUA_OK, 0);
}
