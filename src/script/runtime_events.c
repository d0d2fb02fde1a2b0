#include "script/runtime.h"

#include <stdlib.h>

/* --- bodies: what runs inside the coroutine -------------------------------------------------- */

static void push_function(lua_State *L, int reference)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
}

static void push_text(lua_State *L, struct str text)
{
    lua_pushlstring(L, text.at, text.size);
}

static int ended(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

int script_body_plain(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    push_function(L, run->function);
    lua_callk(L, 0, 0, 0, ended);
    return 0;
}

/* function(socket), function(socket, reason) */
static int body_life(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    int count = 1;

    push_function(L, run->function);
    script_push_socket(L, run->socket);
    if (run->text.size > 0) {
        push_text(L, run->text);
        count++;
    }
    lua_callk(L, count, 0, 0, ended);
    return 0;
}

/* function(socket, { message = … }) */
static int body_error(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    push_function(L, run->function);
    script_push_socket(L, run->socket);
    lua_createtable(L, 0, 1);
    push_text(L, run->text);
    lua_setfield(L, -2, "message");
    lua_callk(L, 2, 0, 0, ended);
    return 0;
}

/* function(origin), function(name, auth): no waiting, the caller needs the answer. */
static int body_decision(lua_State *L)
{
    struct run *run = lua_touserdata(L, 1);
    int count = 1;

    push_function(L, run->function);
    push_text(L, run->text);
    if (run->auth.size > 0) {
        value_push_json(L, run->auth);
        count++;
    }
    lua_call(L, count, 1);
    run->decision = lua_toboolean(L, -1);
    return 0;
}

/* What the handler returned, first..top, is the acknowledgement. */
static void acknowledge(lua_State *L, int first)
{
    struct script *script = script_of(L);
    struct coroutine *coroutine = script->current;
    struct sio_socket *socket;
    struct sio_args args;

    if (!coroutine->wants_ack)
        return;
    value_writer_reset(&script->writer);
    value_write_array(L, &script->writer, first, lua_gettop(L));
    socket = sio_socket_find(script->server, coroutine->socket);
    if (!socket)
        return;
    args = value_writer_args(&script->writer);
    sio_socket_ack(socket, coroutine->ack_id, &args);
}

static int event_handled(lua_State *L, int status, lua_KContext first)
{
    (void)status;
    acknowledge(L, (int)first);
    return 0;
}

/* function(socket, …), and of "*" function(socket, event, …) */
static int body_event(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    int count = 1;

    push_function(L, run->function);
    script_push_socket(L, run->socket);
    if (run->pass_name) {
        push_text(L, run->arrived->name);
        count++;
    }
    count += value_push_args(L, &run->arrived->args);
    lua_callk(L, count, LUA_MULTRET, 2, event_handled);
    return event_handled(L, LUA_OK, 2);
}

/* --- middleware ------------------------------------------------------------------------------ */

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
        push_function(L, use->at[step].function);
        lua_pushvalue(L, 1);
        lua_callk(L, 1, 1, step + 1, go_through_use);
    }
}

static int body_use(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    lua_settop(L, 0);
    script_push_socket(L, run->socket);
    script_keep_handshake(L, run->socket); /* a client may well go while a backend is asked */
    return go_through_use(L, LUA_OK, 0);
}

static void use_finished(struct coroutine *coroutine, bool succeeded)
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
    push_function(L, error->function);
    lua_pushvalue(L, 1);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -5);
    lua_setfield(L, -2, "message");
    lua_pushvalue(L, -4);
    lua_setfield(L, -2, "data");
    lua_callk(L, 2, 0, 0, ended);
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
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 1, event_handled);
    return event_handled(L, LUA_OK, 1);
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
        push_function(L, use->at[step].function);
        for (int i = CHAIN_SOCKET; i <= top; i++)
            lua_pushvalue(L, i);
        lua_callk(L, top - CHAIN_SOCKET + 1, 1, step + 1, go_through_use_event);
    }
}

static int body_event_with_chain(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    lua_settop(L, 0);
    push_function(L, run->function);
    lua_pushboolean(L, run->pass_name);
    script_push_socket(L, run->socket);
    push_text(L, run->arrived->name);
    value_push_args(L, &run->arrived->args);
    return go_through_use_event(L, LUA_OK, 0);
}

/* --- what socketio calls --------------------------------------------------------------------- */

static struct script_namespace *namespace_of(const struct sio_socket *socket)
{
    return sio_namespace_data(sio_socket_namespace(socket));
}

/* Parents of dynamic namespaces have no name to be found by: they are seen here first. */
static void learn_namespace(struct script_namespace *nsp, struct sio_socket *socket)
{
    struct sio_namespace *sio = sio_socket_namespace(socket);
    struct sio_namespace *parent = sio_namespace_parent(sio);

    nsp->sio = parent ? parent : sio;
}

static void on_connecting(void *owner, struct sio_socket *socket)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp && !nsp->sio)
        learn_namespace(nsp, socket);
    if (!nsp || nsp->config->use.count == 0) {
        sio_socket_accept(socket);
        return;
    }
    struct run run = {
        .body = body_use,
        .nsp = nsp,
        .socket = socket,
        .event = STR("use"),
        .may_wait = true,
        .finished = use_finished,
    };
    if (!script_run(owner, &run))
        sio_socket_refuse(socket, STR("internal error"), STR(""));
}

static void run_life(struct script *script, struct sio_socket *socket,
                     const struct cfg_handler *handler, const char *text, lua_CFunction body)
{
    if (!handler)
        return;
    struct run run = {
        .body = body,
        .function = handler->function,
        .nsp = namespace_of(socket),
        .socket = socket,
        .event = handler->event,
        .may_wait = true,
        .text = str_from(text),
    };
    script_run(script, &run);
}

static void on_connected(void *owner, struct sio_socket *socket)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->connection, "", body_life);
}

static void on_disconnecting(void *owner, struct sio_socket *socket,
                             enum sio_disconnect_reason reason)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->disconnecting, sio_disconnect_reason_text(reason),
                 body_life);
}

static void on_disconnected(void *owner, struct sio_socket *socket,
                            enum sio_disconnect_reason reason)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->disconnect, sio_disconnect_reason_text(reason), body_life);
}

static void on_error(void *owner, struct sio_socket *socket, const char *message)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->error, message, body_error);
}

static void on_event(void *owner, struct sio_socket *socket, const struct sio_event *event)
{
    struct script_namespace *nsp = namespace_of(socket);
    const struct cfg_handler *handler;

    if (!nsp)
        return;
    handler = map_get(&nsp->events, event->name);
    if (!handler)
        handler = nsp->any;
    if (!handler)
        return;
    struct run run = {
        .body = nsp->config->use_event.count > 0 ? body_event_with_chain : body_event,
        .function = handler->function,
        .nsp = nsp,
        .socket = socket,
        .event = event->name,
        .arrived = event,
        .pass_name = handler == nsp->any,
        .may_wait = true,
    };
    script_run(owner, &run);
}

static bool on_adopts(void *owner, struct sio_namespace *parent, struct str name,
                      struct str auth)
{
    struct script_namespace *nsp = sio_namespace_data(parent);

    if (!nsp || nsp->config->function == CFG_NO_REF)
        return false;
    struct run run = {
        .body = body_decision,
        .function = nsp->config->function,
        .event = STR("namespace"),
        .text = name,
        .auth = auth.size > 0 ? auth : STR("{}"),
    };
    return script_run(owner, &run) && run.decision;
}

bool script_allows_origin(void *owner, struct str origin)
{
    struct script *script = owner;
    struct run run = {
        .body = body_decision,
        .event = STR("origins"),
        .text = origin,
    };

    if (!script->config || script->config->cors.function == CFG_NO_REF)
        return false;
    run.function = script->config->cors.function;
    return script_run(script, &run) && run.decision;
}

struct sio_app script_app(struct script *script)
{
    return (struct sio_app){
        .connecting = on_connecting,
        .connected = on_connected,
        .event = on_event,
        .disconnecting = on_disconnecting,
        .disconnected = on_disconnected,
        .error = on_error,
        .adopts = on_adopts,
        .owner = script,
    };
}

/* --- binding --------------------------------------------------------------------------------- */

static bool bind_handler(struct script_namespace *nsp, const struct cfg_handler *handler)
{
    const struct {
        struct str event;
        const struct cfg_handler **place;
    } lives[] = {
        {STR("connection"),    &nsp->connection   },
        {STR("disconnecting"), &nsp->disconnecting},
        {STR("disconnect"),    &nsp->disconnect   },
        {STR("error"),         &nsp->error        },
        {STR("*"),             &nsp->any          },
    };

    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        if (str_equal(handler->event, lives[i].event)) {
            *lives[i].place = handler;
            return true;
        }
    }
    return map_put(&nsp->events, handler->event, (void *)handler);
}

bool script_bind_namespaces(struct script *script)
{
    const struct config *config = script->config;

    script->namespaces = calloc(config->namespace_count + 1, sizeof(*script->namespaces));
    if (!script->namespaces)
        return false;
    for (size_t i = 0; i < config->namespace_count; i++) {
        struct script_namespace *nsp = &script->namespaces[i];

        nsp->config = &config->namespaces[i];
        map_init(&nsp->events);
        for (size_t j = 0; j < nsp->config->on.count; j++) {
            if (!bind_handler(nsp, &nsp->config->on.at[j]))
                return false;
        }
    }
    return true;
}

void script_free_namespaces(struct script *script)
{
    if (!script->namespaces)
        return;
    for (size_t i = 0; i < script->config->namespace_count; i++) {
        if (script->namespaces[i].config)
            map_free(&script->namespaces[i].events);
    }
    free(script->namespaces);
    script->namespaces = NULL;
}

void *script_namespace(struct script *script, size_t index)
{
    return &script->namespaces[index];
}
