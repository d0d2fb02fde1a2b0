#include "private.h"

#include <stdlib.h>

/*
 * Each walk over a namespace draws a new mark; a socket that bears it has had its turn, or is
 * excepted. So "each once" costs neither memory nor cleaning up.
 */

struct walk {
    uint64_t mark;
    void (*take)(void *context, struct sio_socket *socket);
    void *context;
};

static void take_once(struct walk *walk, struct sio_socket *socket)
{
    if (socket->mark == walk->mark)
        return;
    socket->mark = walk->mark;
    if (walk->take && socket->state != SIO_JOINING)
        walk->take(walk->context, socket);
}

static void walk_room(struct walk *walk, const struct sio_namespace *nsp, struct str name)
{
    struct sio_socket *owner = map_get(&nsp->sockets, name);
    struct sio_room *room = sio_room_find(nsp, name);

    if (owner && owner->in_own_room)
        take_once(walk, owner);
    if (!room)
        return;
    for (struct list *link = room->members.next; link != &room->members; link = link->next)
        take_once(walk, CONTAINER_OF(link, struct sio_membership, in_room)->socket);
}

static void walk_namespace(struct sio_namespace *nsp, const struct sio_target *target,
                           void (*take)(void *context, struct sio_socket *socket),
                           void *context)
{
    struct walk walk = {.mark = ++nsp->mark};
    uint32_t cursor = 0;
    struct str id;
    void *socket;

    for (size_t i = 0; i < target->except_count; i++)
        walk_room(&walk, nsp, target->except[i]);
    walk.take = take;
    walk.context = context;
    for (size_t i = 0; i < target->room_count; i++)
        walk_room(&walk, nsp, target->rooms[i]);
    if (target->room_count > 0)
        return;
    while (map_next(&nsp->sockets, &cursor, &id, &socket))
        take_once(&walk, socket);
}

static bool is_parent(const struct sio_namespace *nsp)
{
    return nsp->kind != SIO_NAMED;
}

void sio_target_walk(const struct sio_target *target,
                     void (*take)(void *context, struct sio_socket *socket), void *context)
{
    const struct list *children = &target->nsp->children;

    if (!is_parent(target->nsp)) {
        walk_namespace(target->nsp, target, take, context);
        return;
    }
    for (struct list *link = children->next; link != children; link = link->next)
        walk_namespace(CONTAINER_OF(link, struct sio_namespace, in_parent), target, take,
                       context);
}

/* --- sending --------------------------------------------------------------------------------- */

struct broadcast {
    const struct sio_args *event_json;
    unsigned flags;
    size_t count;
    const struct sio_namespace *nsp; /* that `packet` was made for */
    struct sio_packet *packet;       /* made for the first receiver; NULL when out of memory */
};

static void send_to(void *context, struct sio_socket *socket)
{
    struct broadcast *broadcast = context;

    if (broadcast->nsp != socket->nsp) {
        sio_packet_unref(broadcast->packet);
        broadcast->nsp = socket->nsp;
        broadcast->packet = sio_packet_event(socket->nsp, broadcast->event_json, NULL);
        if (!broadcast->packet)
            log_error(socket->nsp->server->log, "out of memory for a broadcast",
                      log_str("namespace", socket->nsp->name), LOG_END);
    }
    if (!broadcast->packet)
        return;
    sio_socket_send(socket, broadcast->packet, broadcast->flags);
    broadcast->count++;
}

size_t sio_broadcast(const struct sio_target *target, const struct sio_args *event_json,
                     unsigned flags)
{
    struct broadcast broadcast = {.event_json = event_json, .flags = flags};

    sio_target_walk(target, send_to, &broadcast);
    sio_packet_unref(broadcast.packet);
    return broadcast.count;
}

/* --- visiting -------------------------------------------------------------------------------- */

struct snapshot {
    struct sio_handle *handles;
    size_t count;
    size_t capacity;
    bool failed;
};

enum {
    FIRST_HANDLES = 64,
};

static void collect(void *context, struct sio_socket *socket)
{
    struct snapshot *snapshot = context;

    if (snapshot->failed)
        return;
    if (snapshot->count == snapshot->capacity) {
        size_t capacity = snapshot->capacity ? snapshot->capacity * 2 : FIRST_HANDLES;
        struct sio_handle *grown = realloc(snapshot->handles, capacity * sizeof(*grown));

        if (!grown) {
            snapshot->failed = true;
            return;
        }
        snapshot->handles = grown;
        snapshot->capacity = capacity;
    }
    snapshot->handles[snapshot->count++] = sio_socket_handle(socket);
}

void sio_target_each(const struct sio_target *target,
                     void (*visit)(void *context, struct sio_socket *socket), void *context)
{
    struct sio_server *server = target->nsp->server;
    struct snapshot snapshot = {0};

    sio_target_walk(target, collect, &snapshot);
    if (snapshot.failed)
        log_error(server->log, "out of memory: not every socket was visited", LOG_END);
    for (size_t i = 0; i < snapshot.count; i++) {
        struct sio_socket *socket = sio_socket_find(server, snapshot.handles[i]);

        if (socket)
            visit(context, socket);
    }
    free(snapshot.handles);
}
