#include "net/tunnel.h"

#include <stdlib.h>

enum {
    BACKLOG = 8 * TUNNEL_WAITING, /* never reached: reading stops long before */
    LINGER_MS = 2000,
};

struct end {
    struct tunnel *tunnel;
    struct net_conn *conn;
    struct end *other;
    bool paused; /* not read until the other side's queue is empty */
};

struct tunnel {
    struct end ends[2];
    struct net_grave grave;
};

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct tunnel, grave));
}

bool tunnel_send(struct net_conn *conn, const void *bytes, size_t size)
{
    struct frame *frame;

    if (size == 0)
        return true;
    frame = frame_new(FRAME_RAW, size);
    if (!frame)
        return false;
    memcpy(frame_payload(frame), bytes, size);
    net_conn_send(conn, frame);
    frame_unref(frame);
    return true;
}

static void on_readable(void *owner, uint8_t *bytes, size_t size)
{
    struct end *end = owner;
    struct end *other = end->other;

    if (!tunnel_send(other->conn, bytes, size)) {
        net_conn_close(end->conn);
        net_conn_close(other->conn);
        net_loop_bury(net_conn_loop(end->conn), &end->tunnel->grave, bury);
    } else if (net_conn_queued(other->conn) > TUNNEL_WAITING) {
        end->paused = true;
        net_conn_pause(end->conn, true);
    }
}

static void on_drained(void *owner)
{
    struct end *other = ((struct end *)owner)->other;

    if (!other->paused)
        return;
    other->paused = false;
    net_conn_pause(other->conn, false);
}

static void on_closed(void *owner, enum net_end why)
{
    struct end *end = owner;
    (void)why;

    net_conn_finish(end->other->conn, LINGER_MS);
    net_loop_bury(net_conn_loop(end->conn), &end->tunnel->grave, bury);
}

static const struct net_conn_handler handler = {
    .readable = on_readable,
    .drained = on_drained,
    .closed = on_closed,
};

bool tunnel_dig(struct net_conn *one, struct net_conn *other)
{
    struct tunnel *tunnel = calloc(1, sizeof(*tunnel));
    struct net_conn *conns[] = {one, other};

    if (!tunnel) {
        net_conn_close(one);
        net_conn_close(other);
        return false;
    }
    for (int i = 0; i < 2; i++) {
        tunnel->ends[i] =
            (struct end){.tunnel = tunnel, .conn = conns[i], .other = &tunnel->ends[1 - i]};
        net_conn_set_backlog(conns[i], BACKLOG);
        net_conn_set_handler(conns[i], &handler, &tunnel->ends[i]);
    }
    return true;
}
