#include "private.h"

#include <assert.h>
#include <stdlib.h>

/*
 * What is waited for is one object, with a node for each socket that was asked; the node is in
 * the socket's list until that socket has answered or gone. Nobody else can answer, and nobody
 * twice.
 */

struct sio_ack;

struct ack_node {
    struct list in_socket;
    struct sio_ack *ack;
};

struct sio_ack {
    struct list in_server;
    struct sio_server *server;
    const struct sio_ack_handler *handler;
    void *owner;
    uint64_t id;
    struct timer timer;
    struct net_task task; /* ends it from the loop, with `how` */
    enum sio_ack_end how;
    bool single;
    uint32_t waiting; /* answers to come; sockets that went are still counted */
    uint32_t node_count;
    struct ack_node nodes[];
};

static void finish(struct sio_ack *ack, enum sio_ack_end how)
{
    const struct sio_ack_handler *handler = ack->handler;
    void *owner = ack->owner;

    for (uint32_t i = 0; i < ack->node_count; i++)
        list_remove(&ack->nodes[i].in_socket);
    timer_stop(net_loop_timers(ack->server->loop), &ack->timer);
    net_task_cancel(&ack->task);
    list_remove(&ack->in_server);
    free(ack);
    handler->end(owner, how);
}

static void timed_out(struct timer *timer)
{
    finish(CONTAINER_OF(timer, struct sio_ack, timer), SIO_ACK_TIMEOUT);
}

static void run_end(struct net_task *task)
{
    struct sio_ack *ack = CONTAINER_OF(task, struct sio_ack, task);

    finish(ack, ack->how);
}

static void finish_later(struct sio_ack *ack, enum sio_ack_end how)
{
    ack->how = how;
    timer_stop(net_loop_timers(ack->server->loop), &ack->timer);
    net_loop_later(ack->server->loop, &ack->task);
}

static struct sio_ack *ack_new(struct sio_server *server, uint32_t capacity,
                               const struct sio_ack_handler *handler, void *owner)
{
    struct sio_ack *ack = malloc(sizeof(*ack) + capacity * sizeof(struct ack_node));

    if (!ack)
        return NULL;
    *ack = (struct sio_ack){.server = server, .handler = handler, .owner = owner};
    list_add_last(&server->acks, &ack->in_server);
    timer_init(&ack->timer, timed_out);
    net_task_init(&ack->task, run_end);
    return ack;
}

static void ack_expect(struct sio_ack *ack, struct sio_socket *socket)
{
    struct ack_node *node = &ack->nodes[ack->node_count++];

    node->ack = ack;
    list_add_last(&socket->acks, &node->in_socket);
    ack->waiting++;
}

static void ack_discard(struct sio_ack *ack)
{
    list_remove(&ack->in_server);
    free(ack);
}

/* --- one socket ------------------------------------------------------------------------------ */

bool sio_socket_emit_ack(struct sio_socket *socket, const struct sio_args *event_json,
                         uint32_t timeout_ms, unsigned flags,
                         const struct sio_ack_handler *handler, void *owner)
{
    struct sio_namespace *nsp = socket->nsp;
    struct sio_ack *ack = ack_new(nsp->server, 1, handler, owner);
    struct sio_packet *packet;

    if (!ack)
        return false;
    ack->single = true;
    if (socket->state == SIO_GONE) {
        finish_later(ack, SIO_ACK_DISCONNECTED);
        return true;
    }
    ack->id = nsp->next_ack;
    packet = sio_packet_event(nsp, event_json, &ack->id);
    if (!packet) {
        ack_discard(ack);
        return false;
    }
    nsp->next_ack++;
    ack_expect(ack, socket);
    if (timeout_ms > 0)
        timer_start(net_loop_timers(nsp->server->loop), &ack->timer, timeout_ms);
    sio_socket_send(socket, packet, flags);
    sio_packet_unref(packet);
    return true;
}

/* --- broadcasts ------------------------------------------------------------------------------ */

struct ack_broadcast {
    struct sio_ack *ack;
    uint32_t capacity;
    const struct sio_args *event_json;
    unsigned flags;
    const struct sio_namespace *nsp; /* that `packet` was made for */
    struct sio_packet *packet;
    bool failed;
};

static void count_socket(void *context, struct sio_socket *socket)
{
    struct ack_broadcast *broadcast = context;

    (void)socket;
    broadcast->capacity++;
}

static void send_and_expect(void *context, struct sio_socket *socket)
{
    struct ack_broadcast *broadcast = context;
    struct sio_ack *ack = broadcast->ack;

    if (broadcast->nsp != socket->nsp) {
        sio_packet_unref(broadcast->packet);
        broadcast->nsp = socket->nsp;
        broadcast->packet = sio_packet_event(socket->nsp, broadcast->event_json, &ack->id);
    }
    if (!broadcast->packet) {
        broadcast->failed = true;
        return;
    }
    assert(ack->node_count < broadcast->capacity);
    ack_expect(ack, socket);
    sio_socket_send(socket, broadcast->packet, broadcast->flags);
}

/* An id that is free in every namespace the broadcast reaches. */
static uint64_t draw_id(struct sio_namespace *nsp)
{
    uint64_t id = nsp->next_ack;

    for (struct list *link = nsp->children.next; link != &nsp->children; link = link->next) {
        uint64_t next = CONTAINER_OF(link, struct sio_namespace, in_parent)->next_ack;

        id = next > id ? next : id;
    }
    nsp->next_ack = id + 1;
    for (struct list *link = nsp->children.next; link != &nsp->children; link = link->next)
        CONTAINER_OF(link, struct sio_namespace, in_parent)->next_ack = id + 1;
    return id;
}

bool sio_broadcast_ack(const struct sio_target *target, const struct sio_args *event_json,
                       uint32_t timeout_ms, unsigned flags,
                       const struct sio_ack_handler *handler, void *owner)
{
    struct ack_broadcast broadcast = {.event_json = event_json, .flags = flags};
    struct sio_server *server = target->nsp->server;
    struct sio_ack *ack;

    sio_target_walk(target, count_socket, &broadcast);
    ack = ack_new(server, broadcast.capacity, handler, owner);
    if (!ack)
        return false;
    ack->id = draw_id(target->nsp);
    broadcast.ack = ack;
    sio_target_walk(target, send_and_expect, &broadcast);
    sio_packet_unref(broadcast.packet);

    if (ack->node_count == 0 && broadcast.failed) {
        ack_discard(ack);
        return false;
    }
    if (handler->asked)
        handler->asked(owner, ack->node_count);
    if (ack->node_count == 0)
        finish_later(ack, SIO_ACK_COMPLETE);
    else
        timer_start(net_loop_timers(server->loop), &ack->timer,
                    timeout_ms > 0 ? timeout_ms : 1);
    return true;
}

/* --- answers --------------------------------------------------------------------------------- */

void sio_ack_arrived(struct sio_socket *socket, double id, const struct sio_args *args)
{
    for (struct list *link = socket->acks.next; link != &socket->acks; link = link->next) {
        struct sio_ack *ack = CONTAINER_OF(link, struct ack_node, in_socket)->ack;

        if ((double)ack->id != id)
            continue;
        list_remove(link);
        ack->waiting--;
        /* While the last answer is told nothing else may end it. */
        bool last = ack->waiting == 0;
        if (last)
            timer_stop(net_loop_timers(ack->server->loop), &ack->timer);
        ack->handler->answer(ack->owner, socket, args);
        if (last)
            finish(ack, SIO_ACK_COMPLETE);
        return;
    }
}

void sio_acks_drop(struct sio_socket *socket)
{
    struct list *link;

    while ((link = list_take_first(&socket->acks)) != NULL) {
        struct sio_ack *ack = CONTAINER_OF(link, struct ack_node, in_socket)->ack;

        if (ack->single)
            finish_later(ack, SIO_ACK_DISCONNECTED);
    }
}

void sio_acks_free(struct sio_server *server)
{
    while (!list_empty(&server->acks))
        finish(CONTAINER_OF(server->acks.next, struct sio_ack, in_server),
               SIO_ACK_DISCONNECTED);
}
