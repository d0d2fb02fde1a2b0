#include "cluster/node.h"

#include <stdlib.h>

/* --- sending --------------------------------------------------------------------------------- */

struct cluster_message node_message(enum cluster_kind kind, const struct sio_target *target,
                                    unsigned flags)
{
    return (struct cluster_message){
        .kind = kind,
        .nsp = sio_namespace_name(target->nsp),
        .sender = STR(""),
        .request = STR(""),
        .to = STR(""),
        .rooms = target->rooms,
        .room_count = target->room_count,
        .except = target->except,
        .except_count = target->except_count,
        .flags = flags,
        .args = {.json = STR("")},
        .json = STR(""),
        .offset = STR(""),
    };
}

bool node_send(struct cluster *cluster, const struct cluster_message *message)
{
    struct cluster_bus *bus = cluster->bus;

    return bus && bus->type->send(bus, message);
}

void node_complain(struct cluster *cluster, const char *what, struct str nsp)
{
    uint64_t now_ms = net_loop_now(cluster->loop);

    if (cluster->complained_ms != 0 && now_ms - cluster->complained_ms < NODE_COMPLAINT_MS)
        return;
    cluster->complained_ms = now_ms > 0 ? now_ms : 1;
    log_warn(cluster->log, what, log_str("namespace", nsp), LOG_END);
}

/* --- namespaces and rooms of this server ----------------------------------------------------- */

static void opened(void *owner, struct sio_namespace *nsp)
{
    struct cluster *cluster = owner;
    struct str name = sio_namespace_name(nsp);

    if (!cluster->bus->type->open(cluster->bus, name))
        log_error(cluster->log, "out of memory: other servers do not hear a namespace",
                  log_str("namespace", name), LOG_END);
}

static void closing(void *owner, struct sio_namespace *nsp)
{
    struct cluster *cluster = owner;

    cluster->bus->type->close(cluster->bus, sio_namespace_name(nsp));
    if (cluster->recovery)
        recovery_closed(cluster->recovery, sio_namespace_name(nsp));
    if (cluster->stream_recovery)
        stream_recovery_closed(cluster->stream_recovery, sio_namespace_name(nsp));
}

static void room_changed(void *owner, struct sio_namespace *nsp, struct str room, bool exists)
{
    struct cluster *cluster = owner;

    cluster->bus->type->room(cluster->bus, sio_namespace_name(nsp), room, exists);
}

/* --- life ------------------------------------------------------------------------------------ */

struct cluster *cluster_new(const struct cluster_options *options)
{
    struct cluster *cluster = malloc(sizeof(*cluster));

    if (!cluster)
        return NULL;
    *cluster = (struct cluster){
        .loop = options->loop,
        .random = options->random,
        .log = options->log,
        .server = options->server,
        .bus = options->bus,
        .recovery = options->recovery,
        .stream_recovery = options->stream_recovery,
        .handler = node_bus_handler,
        .request_timeout_ms = options->request_timeout_ms,
    };
    map_init(&cluster->requests);
    list_init(&cluster->asks);
    list_init(&cluster->polls);
    list_init(&cluster->answers);
    if (!cluster->bus)
        return cluster;

    cluster->handler.owner = cluster;
    cluster->bus->handler = &cluster->handler;
    sio_server_observe(cluster->server,
                       &(struct sio_observer){
                           .opened = opened,
                           .closing = closing,
                           .room = cluster->bus->type->room ? room_changed : NULL,
                           .own_rooms = cluster->bus->type->wants_own_rooms,
                           .owner = cluster,
                       });
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return;
    node_end_asks(cluster);
    node_drop_answers(cluster);
    if (cluster->bus)
        cluster->bus->type->free(cluster->bus);
    map_free(&cluster->requests);
    free(cluster);
}

bool cluster_is_alone(const struct cluster *cluster)
{
    return !cluster->bus;
}

void cluster_set_app(struct cluster *cluster, const struct cluster_app *app)
{
    cluster->app = *app;
}

void cluster_anchor(struct cluster *cluster, struct sio_namespace *nsp, struct str name)
{
    const struct sio_target target = {.nsp = nsp};
    struct cluster_message message = node_message(CLUSTER_ANCHOR, &target, 0);

    message.request = name;
    node_send(cluster, &message);
}

/* --- broadcasts ------------------------------------------------------------------------------ */

/*
 * Streams with recovery: clients get the entry's id with the event, so it is delivered when it comes
 * back; then order and offsets are the same on all servers. What is not kept has no offset and need
 * not wait.
 */
bool node_waits_for_echo(const struct cluster *cluster, const struct sio_namespace *nsp,
                         unsigned flags)
{
    return cluster->bus && cluster->bus->type->delivers_own && sio_namespace_recovers(nsp) &&
           !(flags & (SIO_LOCAL | SIO_VOLATILE));
}

struct emission {
    struct cluster *cluster;
    const struct sio_target *target;
    const struct sio_args *event;
    unsigned flags;
    bool lost; /* the bus did not take it */
};

static void broadcast_in(void *context, struct sio_namespace *nsp)
{
    const struct emission *emission = context;
    struct sio_target target = *emission->target;
    struct sio_mark mark = {.bus = SIO_BUS_NONE, .offset = STR("")};
    struct cluster_message message;

    target.nsp = nsp;
    message = node_message(CLUSTER_BROADCAST, &target, emission->flags);
    message.args = *emission->event;
    if (node_waits_for_echo(emission->cluster, nsp, emission->flags) &&
        node_send(emission->cluster, &message))
        return;
    sio_broadcast_marked(&target, emission->event, emission->flags, &mark);
    if (emission->flags & SIO_LOCAL)
        return;
    message.number = mark.number;
    if (node_send(emission->cluster, &message) && emission->cluster->recovery)
        recovery_sent(emission->cluster->recovery, message.nsp, message.number);
}

void cluster_broadcast(struct cluster *cluster, const struct sio_target *target,
                       const struct sio_args *event_json, unsigned flags)
{
    struct emission emission = {cluster, target, event_json, flags, false};

    sio_namespace_each(target->nsp, broadcast_in, &emission);
}

bool cluster_socket_emit(struct cluster *cluster, struct sio_socket *socket,
                         const struct sio_args *event_json, unsigned flags)
{
    struct str id = sio_socket_id(socket);
    const struct sio_target target = {
        .nsp = sio_socket_namespace(socket), .rooms = &id, .room_count = 1};
    struct cluster_message message = node_message(CLUSTER_BROADCAST, &target, flags);

    message.args = *event_json;
    /* In middleware nobody finds the socket by its room yet. */
    if (sio_socket_connected(socket) && node_waits_for_echo(cluster, target.nsp, flags) &&
        node_send(cluster, &message))
        return true;
    return sio_socket_event(socket, event_json, flags);
}

/* --- joins, leaves, disconnects -------------------------------------------------------------- */

struct change {
    struct cluster *cluster;
    const struct sio_target *target;
    enum cluster_kind kind;
    const struct str *rooms;
    size_t count;
    bool close;
    unsigned flags;
};

static void tell_change(void *context, struct sio_namespace *nsp)
{
    const struct change *change = context;
    struct sio_target target = *change->target;
    struct cluster_message message;

    target.nsp = nsp;
    message = node_message(change->kind, &target, change->flags);
    message.changed = change->rooms;
    message.changed_count = change->count;
    message.close = change->close;
    node_send(change->cluster, &message);
}

static void change_here(void *context, struct sio_socket *socket)
{
    const struct change *change = context;

    if (change->kind == CLUSTER_DISCONNECT) {
        sio_socket_disconnect(socket, change->close);
        return;
    }
    for (size_t i = 0; i < change->count; i++) {
        if (change->kind == CLUSTER_LEAVE)
            sio_socket_leave(socket, change->rooms[i]);
        else if (!sio_socket_join(socket, change->rooms[i]))
            log_error(change->cluster->log, "out of memory: a socket did not join a room",
                      log_str("socket", sio_socket_logged_id(socket)), LOG_END);
    }
}

/* Others first: what handlers of a disconnect emit must not overtake it. */
static void apply_change(struct change *change)
{
    if (change->cluster->bus && !(change->flags & SIO_LOCAL))
        sio_namespace_each(change->target->nsp, tell_change, change);
    sio_target_each(change->target, change_here, change);
}

void cluster_join(struct cluster *cluster, const struct sio_target *target,
                  const struct str *rooms, size_t count, unsigned flags)
{
    struct change change = {cluster, target, CLUSTER_JOIN, rooms, count, false, flags};

    apply_change(&change);
}

void cluster_leave(struct cluster *cluster, const struct sio_target *target,
                   const struct str *rooms, size_t count, unsigned flags)
{
    struct change change = {cluster, target, CLUSTER_LEAVE, rooms, count, false, flags};

    apply_change(&change);
}

void cluster_disconnect(struct cluster *cluster, const struct sio_target *target, bool close,
                        unsigned flags)
{
    struct change change = {cluster, target, CLUSTER_DISCONNECT, NULL, 0, close, flags};

    apply_change(&change);
}

/* --- events between servers ------------------------------------------------------------------ */

static void server_emit_in(void *context, struct sio_namespace *nsp)
{
    struct emission *emission = context;
    const struct sio_target target = {.nsp = nsp};
    struct cluster_message message = node_message(CLUSTER_SERVER_EMIT, &target, 0);

    message.args = *emission->event;
    if (emission->cluster->bus && !node_send(emission->cluster, &message))
        emission->lost = true;
}

bool cluster_server_emit(struct cluster *cluster, struct sio_namespace *nsp,
                         const struct sio_args *event_json)
{
    struct emission emission = {.cluster = cluster, .event = event_json};

    sio_namespace_each(nsp, server_emit_in, &emission);
    return !emission.lost;
}
