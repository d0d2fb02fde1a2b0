/*
 * A WebSocket that names a session's id asks to become its transport:
 *
 *   QUIET ──"2probe"──► PROBED        the server answers "3probe"; from now on polls are released
 *     │                   │           by a noop every 100 ms, "2probe" again restarts that
 *     └───────"5"─────────┴──► done   the session's packets take the WebSocket
 *
 * Anything else, upgrade_timeout_ms without a "5", or a lost connection ends the WebSocket; the
 * session goes on and may be upgraded by another one.
 */
#include "engineio/private.h"

#include <stdlib.h>

enum state {
    QUIET,
    PROBED,
};

struct eio_upgrade {
    struct eio_session *session;
    struct net_ws *ws;
    struct timer deadline;
    struct timer noop; /* runs while PROBED */
    enum state state;
    bool base64;
};

static struct timer_wheel *wheel_of(const struct eio_upgrade *upgrade)
{
    return net_loop_timers(upgrade->session->server->loop);
}

/* The ws is the caller's. */
static struct net_ws *take_ws(struct eio_upgrade *upgrade)
{
    struct net_ws *ws = upgrade->ws;

    timer_stop(wheel_of(upgrade), &upgrade->deadline);
    timer_stop(wheel_of(upgrade), &upgrade->noop);
    upgrade->session->upgrade = NULL;
    free(upgrade);
    return ws;
}

static void give_up(struct eio_upgrade *upgrade)
{
    net_ws_close(take_ws(upgrade), 0);
}

static void deadline_passed(struct timer *timer)
{
    give_up(CONTAINER_OF(timer, struct eio_upgrade, deadline));
}

static void await_noop(struct eio_upgrade *upgrade)
{
    timer_start(wheel_of(upgrade), &upgrade->noop, EIO_NOOP_INTERVAL_MS);
}

static void release_poll(struct timer *timer)
{
    struct eio_upgrade *upgrade = CONTAINER_OF(timer, struct eio_upgrade, noop);
    struct eio_session *session = upgrade->session;

    assert(upgrade->state == PROBED);
    await_noop(upgrade);
    eio_polling_flush(session);
    eio_polling_release(session, eio_codec_noop(session));
}

static void answer_probe(struct eio_upgrade *upgrade)
{
    upgrade->state = PROBED;
    await_noop(upgrade);
    net_ws_send(upgrade->ws, upgrade->session->server->probe_answer);
}

static void send_queue(struct eio_session *session)
{
    for (uint32_t i = 0; i < session->queue.count && session->ws; i++)
        eio_websocket_send(session, session->queue.frames[i]);
    eio_queue_clear(&session->queue);
}

static void switch_transport(struct eio_upgrade *upgrade)
{
    struct eio_session *session = upgrade->session;
    bool base64 = upgrade->base64;
    struct net_ws *ws = take_ws(upgrade);

    /* A session that began on a WebSocket may change to another one. */
    if (session->ws)
        net_ws_close(session->ws, 0);
    eio_polling_drop_post(session);
    eio_polling_flush(session);
    eio_polling_release(session, eio_codec_close(session));
    if (session->state == EIO_CLOSED) {
        net_ws_close(ws, 0);
        return;
    }

    session->upgraded = true;
    session->base64 = base64;
    eio_websocket_attach(session, ws);
    send_queue(session);
    if (session->state == EIO_CLOSING)
        eio_session_end(session, EIO_FORCED_CLOSE);
    else if (session->leaving)
        eio_session_leave(session);
    else if (session->state == EIO_OPEN)
        eio_session_rearm(session);
}

static void on_message(void *owner, enum frame_kind kind, uint8_t *payload, size_t size)
{
    struct eio_upgrade *upgrade = owner;
    struct eio_packet packet;

    eio_codec_packet(upgrade->session, kind, payload, size, &packet);
    if (packet.type == EIO_PACKET_PING && packet.kind == FRAME_TEXT &&
        str_equal(str_of(packet.data, packet.size), STR("probe")))
        answer_probe(upgrade);
    else if (packet.type == EIO_PACKET_UPGRADE)
        switch_transport(upgrade);
    else
        give_up(upgrade);
}

static void on_closed(void *owner, const struct net_ws_closing *closing)
{
    struct eio_upgrade *upgrade = owner;

    if (closing->why == NET_WS_END_TOO_BIG)
        eio_log_too_large(upgrade->session, closing->size);
    take_ws(upgrade);
}

static const struct net_ws_handler probe_handler = {
    .message = on_message,
    .closed = on_closed,
};

void eio_upgrade_begin(struct eio_session *session, struct net_ws *ws, bool base64)
{
    struct eio_upgrade *upgrade;

    if (session->upgrade || session->upgraded) {
        net_ws_close(ws, 0);
        return;
    }
    upgrade = calloc(1, sizeof(*upgrade));
    if (!upgrade) {
        net_ws_close(ws, 0);
        return;
    }
    upgrade->session = session;
    upgrade->ws = ws;
    upgrade->base64 = base64;
    timer_init(&upgrade->deadline, deadline_passed);
    timer_init(&upgrade->noop, release_poll);
    session->upgrade = upgrade;
    net_ws_set_handler(ws, &probe_handler, upgrade);
    timer_start(wheel_of(upgrade), &upgrade->deadline,
                session->server->options.upgrade_timeout_ms);
}

void eio_upgrade_cancel(struct eio_session *session)
{
    if (session->upgrade)
        give_up(session->upgrade);
}
