#include "recovery.h"

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
    struct sio_packet *packet; /* made for the first receiver; NULL when out of memory */
    const struct sio_args *event_json;
    unsigned flags;
    size_t count;
    uint64_t number; /* in the log; 0: not kept */
    const struct sio_mark *mark;
    bool failed;
};

static void send_to(void *context, struct sio_socket *socket)
{
    struct broadcast *broadcast = context;

    if (!broadcast->packet && !broadcast->failed)
        broadcast->packet = sio_packet_event(socket->nsp, broadcast->event_json, NULL);
    if (!broadcast->packet) {
        broadcast->failed = true;
        return;
    }
    if (broadcast->number > 0)
        sio_kept_note(socket, broadcast->number, broadcast->mark);
    sio_socket_send(socket, broadcast->packet, broadcast->flags);
    broadcast->count++;
}

/* An event that is kept is encoded for that alone, if need be, and bears its offset. */
static struct sio_packet *encode_kept(const struct sio_namespace *nsp,
                                      const struct sio_args *event_json, struct sio_mark *mark)
{
    const struct sio_keeper *keeper = &nsp->server->keeper;
    struct sio_args with_offset = *event_json;
    struct sio_packet *packet = NULL;
    struct buf offset;
    uint64_t place;

    buf_init(&offset, SIO_OFFSET_MAX);
    if (mark->offset.size > 0) {
        with_offset.offset = mark->offset;
    } else {
        place = mark->bus != SIO_BUS_NONE ? mark->bus
                : keeper->place           ? keeper->place(keeper->owner, nsp)
                                          : 0;
        sio_offset_write(&offset, nsp, nsp->server->origin, nsp->next_number, place);
        with_offset.offset = buf_str(&offset);
    }
    if (!buf_failed(&offset))
        packet = sio_packet_event(nsp, &with_offset, NULL);
    buf_free(&offset);
    if (mark->origin == 0)
        mark->number = nsp->next_number;
    return packet;
}

size_t sio_broadcast_marked(const struct sio_target *target, const struct sio_args *event_json,
                            unsigned flags, struct sio_mark *mark)
{
    struct broadcast broadcast = {.event_json = event_json, .flags = flags};
    struct sio_namespace *nsp = target->nsp;

    if (!sio_log_takes(nsp, flags)) {
        if (mark->origin == 0)
            mark->number = 0;
    } else {
        broadcast.packet = encode_kept(nsp, event_json, mark);
        broadcast.number = nsp->next_number;
        broadcast.mark = mark;
        if (broadcast.packet)
            sio_log_add(target, broadcast.packet, mark, false);
        else
            broadcast.failed = true;
    }
    walk_namespace(nsp, target, send_to, &broadcast);
    if (broadcast.failed)
        log_error(nsp->server->log, "out of memory for a broadcast",
                  log_str("namespace", nsp->name), LOG_END);
    sio_packet_unref(broadcast.packet);
    return broadcast.count;
}

size_t sio_broadcast(const struct sio_target *target, const struct sio_args *event_json,
                     unsigned flags)
{
    const struct list *children = &target->nsp->children;
    size_t count = 0;

    if (!is_parent(target->nsp))
        return sio_broadcast_marked(target, event_json, flags,
                                    &(struct sio_mark){.bus = SIO_BUS_NONE});
    for (struct list *link = children->next; link != children; link = link->next) {
        struct sio_target child = *target;

        child.nsp = CONTAINER_OF(link, struct sio_namespace, in_parent);
        count += sio_broadcast_marked(&child, event_json, flags,
                                      &(struct sio_mark){.bus = SIO_BUS_NONE});
    }
    return count;
}

bool sio_socket_event(struct sio_socket *socket, const struct sio_args *event_json,
                      unsigned flags)
{
    struct sio_namespace *nsp = socket->nsp;
    struct str id = sio_socket_id(socket);
    const struct sio_target own = {.nsp = nsp, .rooms = &id, .room_count = 1};
    struct sio_mark mark = {.bus = SIO_BUS_NONE};
    bool kept = socket->state != SIO_GONE && sio_log_takes(nsp, flags);
    struct sio_packet *packet =
        kept ? encode_kept(nsp, event_json, &mark) : sio_packet_event(nsp, event_json, NULL);

    if (!packet)
        return false;
    if (kept) {
        sio_log_add(&own, packet, &mark, true);
        sio_socket_kept(socket)->emitted = true;
        sio_kept_note(socket, mark.number, &mark);
    }
    sio_socket_emit(socket, packet, flags);
    sio_packet_unref(packet);
    return true;
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
