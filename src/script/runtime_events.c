#include "script/runtime.h"

#include <stdlib.h>

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
        .body = script_body_use,
        .nsp = nsp,
        .socket = socket,
        .event = STR("use"),
        .may_wait = true,
        .finished = script_use_finished,
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
        run_life(owner, socket, nsp->connection, "", script_body_life);
}

static void on_disconnecting(void *owner, struct sio_socket *socket,
                             enum sio_disconnect_reason reason)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->disconnecting, sio_disconnect_reason_text(reason),
                 script_body_life);
}

static void on_disconnected(void *owner, struct sio_socket *socket,
                            enum sio_disconnect_reason reason)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->disconnect, sio_disconnect_reason_text(reason),
                 script_body_life);
}

static void on_error(void *owner, struct sio_socket *socket, const char *message)
{
    struct script_namespace *nsp = namespace_of(socket);

    if (nsp)
        run_life(owner, socket, nsp->error, message, script_body_error);
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
        .body =
            nsp->config->use_event.count > 0 ? script_body_event_with_chain : script_body_event,
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
        .body = script_body_decision,
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
        .body = script_body_decision,
        .event = STR("origins"),
        .text = origin,
    };

    if (!script->config || script->config->cors.function == CFG_NO_REF)
        return false;
    run.function = script->config->cors.function;
    return script_run(script, &run) && run.decision;
}

/* --- what the cluster calls ------------------------------------------------------------------ */

/* Without a handler nobody answers, as in the reference. */
static void on_server_event(void *owner, struct sio_namespace *sio,
                            const struct sio_event *event, struct cluster_answer *answer)
{
    struct script_namespace *nsp = sio_namespace_data(sio);
    const struct cfg_handler *handler = nsp ? map_get(&nsp->server_events, event->name) : NULL;
    struct run run = {
        .body = script_body_server_event,
        .nsp = nsp,
        .event = event->name,
        .arrived_from_server = &event->args,
        .may_wait = true,
        .answer = answer,
    };

    if (handler)
        run.function = handler->function;
    if ((!handler || !script_run(owner, &run)) && answer)
        cluster_server_answer(answer, NULL);
}

struct cluster_app script_cluster_app(struct script *script)
{
    return (struct cluster_app){.server_event = on_server_event, .owner = script};
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
        map_init(&nsp->server_events);
        for (size_t j = 0; j < nsp->config->on.count; j++) {
            if (!bind_handler(nsp, &nsp->config->on.at[j]))
                return false;
        }
        for (size_t j = 0; j < nsp->config->on_server.count; j++) {
            const struct cfg_handler *handler = &nsp->config->on_server.at[j];

            if (!map_put(&nsp->server_events, handler->event, (void *)handler))
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
        if (!script->namespaces[i].config)
            continue;
        map_free(&script->namespaces[i].events);
        map_free(&script->namespaces[i].server_events);
    }
    free(script->namespaces);
    script->namespaces = NULL;
}

void *script_namespace(struct script *script, size_t index)
{
    return &script->namespaces[index];
}
