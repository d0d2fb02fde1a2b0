#include "engineio/private.h"

#include <stdio.h>
#include <stdlib.h>

static const char *const reason_texts[] = {
    [EIO_TRANSPORT_CLOSE] = "transport close", [EIO_TRANSPORT_ERROR] = "transport error",
    [EIO_PING_TIMEOUT] = "ping timeout",       [EIO_PARSE_ERROR] = "parse error",
    [EIO_FORCED_CLOSE] = "forced close",       [EIO_SERVER_SHUTDOWN] = "server shutting down",
};

const char *eio_close_reason_text(enum eio_close_reason reason)
{
    assert((size_t)reason < sizeof(reason_texts) / sizeof(reason_texts[0]));
    return reason_texts[reason];
}

static struct timer_wheel *wheel_of(const struct eio_session *session)
{
    return net_loop_timers(session->server->loop);
}

/* --- life --------------------------------------------------------------------------------- */

static void free_session(struct eio_session *session)
{
    eio_queue_clear(&session->queue);
    eio_handshake_unref(session->handshake);
    free(session);
}

static void run_task(struct net_task *task)
{
    struct eio_session *session = CONTAINER_OF(task, struct eio_session, task);
    const struct eio_handler *handler = &session->server->handler;

    if (session->state != EIO_CLOSED) {
        eio_polling_flush(session);
        return;
    }
    if (!session->refused)
        handler->closed(session, (enum eio_close_reason)session->reason);
    free_session(session);
}

static void fire(struct timer *timer);

/* Other servers see from an id whose it is. */
static void make_id(struct eio_session *session)
{
    const struct eio_server *server = session->server;
    struct str name = server->options.name;

    random_id(server->random, session->id);
    if (name.size == 0)
        return;
    assert(name.size == EIO_NAME_SIZE);
    random_text(server->random, session->id, RANDOM_ID_SIZE - EIO_NAME_SIZE);
    memcpy(session->id + RANDOM_ID_SIZE - EIO_NAME_SIZE, name.at, EIO_NAME_SIZE);
}

struct eio_session *eio_session_new(struct eio_server *server,
                                    const struct http_request *request,
                                    const struct eio_query *query)
{
    struct eio_session *session = calloc(1, sizeof(*session));

    if (!session)
        goto fail;
    session->handshake = eio_handshake_new(request, query->protocol);
    if (!session->handshake)
        goto fail;
    session->server = server;
    session->protocol = query->protocol;
    session->transport = (uint8_t)query->transport;
    session->base64 = query->base64;
    session->jsonp = query->jsonp;
    session->jsonp_size = query->jsonp_size;
    memcpy(session->jsonp_index, query->jsonp_index, query->jsonp_size);
    make_id(session);
    timer_init(&session->timer, fire);
    net_task_init(&session->task, run_task);
    if (!map_put(&server->sessions, eio_session_id(session), session)) {
        eio_handshake_unref(session->handshake);
        goto fail;
    }
    eio_server_count(server);
    return session;
fail:
    free(session);
    log_error(server->log, "out of memory: no session", log_text("address", request->address),
              LOG_END);
    return NULL;
}

void eio_session_discard(struct eio_session *session)
{
    map_remove(&session->server->sessions, eio_session_id(session));
    eio_server_count(session->server);
    free_session(session);
}

struct frame *eio_session_open_packet(const struct eio_session *session)
{
    const struct eio_options *options = &session->server->options;
    bool upgrades =
        session->transport == EIO_POLLING && options->allow_upgrades && options->websocket;
    char json[256];
    int size =
        snprintf(json, sizeof(json),
                 "{\"sid\":\"%.*s\",\"upgrades\":[%s],\"pingInterval\":%u,"
                 "\"pingTimeout\":%u,\"maxPayload\":%zu}",
                 RANDOM_ID_SIZE, session->id, upgrades ? "\"websocket\"" : "",
                 options->ping_interval_ms, options->ping_timeout_ms, options->max_payload);

    assert(size > 0 && (size_t)size < sizeof(json));
    return eio_packet_frame(EIO_PACKET_OPEN, str_of(json, (size_t)size));
}

/* --- heartbeat ---------------------------------------------------------------------------- */

static void wait_for(struct eio_session *session, enum eio_wait wait, uint64_t delay_ms)
{
    session->wait = (uint8_t)wait;
    timer_start(wheel_of(session), &session->timer, delay_ms);
}

static void await_ping(struct eio_session *session)
{
    wait_for(session, EIO_WAIT_PING, session->server->options.ping_interval_ms);
}

static void await_pong(struct eio_session *session)
{
    wait_for(session, EIO_WAIT_PONG, session->server->options.ping_timeout_ms);
}

/* Protocol 3: the client pings, and nothing else it sends counts. */
static void await_peer(struct eio_session *session)
{
    const struct eio_options *options = &session->server->options;

    wait_for(session, EIO_WAIT_PEER,
             (uint64_t)options->ping_interval_ms + options->ping_timeout_ms);
}

static void begin_heartbeat(struct eio_session *session)
{
    if (session->protocol == 3)
        await_peer(session);
    else
        await_ping(session);
}

static void fire(struct timer *timer)
{
    struct eio_session *session = CONTAINER_OF(timer, struct eio_session, timer);

    switch ((enum eio_wait)session->wait) {
    case EIO_WAIT_PING:
        session->extended = false;
        await_pong(session);
        eio_session_send(session, session->server->ping);
        break;
    case EIO_WAIT_PONG:
        eio_session_fault(session, EIO_PING_TIMEOUT, "no pong in time");
        break;
    case EIO_WAIT_PEER:
        eio_session_fault(session, EIO_PING_TIMEOUT, "no ping in time");
        break;
    case EIO_WAIT_CLOSE:
        eio_session_end(session, EIO_FORCED_CLOSE);
        break;
    }
}

void eio_session_start(struct eio_session *session)
{
    const struct eio_handler *handler = &session->server->handler;

    begin_heartbeat(session);
    if (!handler->open(handler->owner, session)) {
        session->refused = true;
        eio_session_end(session, EIO_FORCED_CLOSE);
    }
}

void eio_session_rearm(struct eio_session *session)
{
    if (session->wait == EIO_WAIT_PONG)
        await_pong(session);
    else if (session->wait == EIO_WAIT_PEER)
        await_peer(session);
}

/* A peer that sends something lives, but that buys it time only once a ping. */
static void extend_pong(struct eio_session *session)
{
    if (session->wait != EIO_WAIT_PONG || session->extended)
        return;
    session->extended = true;
    await_pong(session);
}

static void take_ping(struct eio_session *session)
{
    if (session->protocol != 3) {
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "a ping from a client of protocol 4");
        return;
    }
    await_peer(session);
    eio_session_send(session, session->server->pong);
}

static void take_pong(struct eio_session *session)
{
    if (session->protocol == 3)
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "a pong from a client of protocol 3");
    else
        await_ping(session);
}

void eio_session_packet(struct eio_session *session, const struct eio_packet *packet)
{
    if (session->state != EIO_OPEN)
        return;
    session->heard = true;
    if (packet->type != EIO_PACKET_PONG)
        extend_pong(session);

    switch (packet->type) {
    case EIO_PACKET_PING:
        take_ping(session);
        break;
    case EIO_PACKET_PONG:
        take_pong(session);
        break;
    case EIO_PACKET_MESSAGE:
        session->server->handler.message(session, packet->kind, packet->data, packet->size);
        break;
    case EIO_PACKET_ERROR:
        eio_session_fault(session, EIO_PARSE_ERROR, "bytes that are no packet");
        break;
    case EIO_PACKET_OPEN:
    case EIO_PACKET_CLOSE:
    case EIO_PACKET_UPGRADE:
    case EIO_PACKET_NOOP:
        break;
    }
}

/* --- sending ------------------------------------------------------------------------------ */

struct frame *eio_text_message(size_t size, char **text)
{
    struct frame *frame = size < SIZE_MAX ? frame_new(FRAME_TEXT, size + 1) : NULL;

    if (!frame)
        return NULL;
    *text = (char *)frame_payload(frame);
    *(*text)++ = '0' + EIO_PACKET_MESSAGE;
    return frame;
}

static void enqueue(struct eio_session *session, struct frame *frame)
{
    if (!eio_queue_push(&session->queue, frame)) {
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
    } else if (session->queue.bytes > session->server->options.backlog) {
        eio_log_backlog(session, session->queue.bytes);
        eio_session_end(session, EIO_TRANSPORT_ERROR);
    } else if (session->poll) {
        net_loop_later(session->server->loop, &session->task);
    }
}

void eio_session_send(struct eio_session *session, struct frame *frame)
{
    if (session->state != EIO_OPEN)
        return;
    if (session->ws)
        eio_websocket_send(session, frame);
    else
        enqueue(session, frame);
}

bool eio_session_writable(const struct eio_session *session)
{
    if (session->state != EIO_OPEN)
        return false;
    return session->ws ? net_ws_writable(session->ws) : session->poll != NULL;
}

bool eio_session_takes_volatile(struct eio_session *session)
{
    const struct eio_options *options = &session->server->options;
    size_t queued = session->ws ? net_ws_queued(session->ws) : session->queue.bytes;

    if (eio_session_writable(session))
        return true;
    if (session->state != EIO_OPEN)
        return false;
    if (options->queue_volatile && queued < options->backlog / 2)
        return true;
    if (eio_note_hit(session->server, HIT_VOLATILE) && options->queue_volatile)
        log_info(session->server->log, "volatile events dropped for a slow client",
                 log_str("session", eio_session_logged_id(session)),
                 log_str("address", session->handshake->address),
                 log_int("queued", (int64_t)queued),
                 log_int("limit", (int64_t)options->backlog / 2), LOG_END);
    return false;
}

/* --- closing ------------------------------------------------------------------------------ */

static void close_transport(struct eio_session *session)
{
    if (session->ws)
        net_ws_close(session->ws, 0);
    session->ws = NULL;
    eio_polling_drop_post(session);
    eio_polling_release(session, eio_codec_close(session));
}

void eio_session_end(struct eio_session *session, enum eio_close_reason reason)
{
    struct eio_server *server = session->server;

    /* What was sent before goes out before. */
    eio_polling_flush(session);
    if (session->state == EIO_CLOSED)
        return;
    session->state = EIO_CLOSED;
    session->reason = (uint8_t)reason;
    map_remove(&server->sessions, eio_session_id(session));
    eio_server_count(server);
    timer_stop(wheel_of(session), &session->timer);
    eio_upgrade_cancel(session);
    close_transport(session);
    eio_queue_clear(&session->queue);
    net_loop_later(server->loop, &session->task);
}

void eio_session_leave(struct eio_session *session)
{
    session->leaving = true;
    if (session->ws || session->poll)
        eio_session_end(session, EIO_SERVER_SHUTDOWN);
}

void eio_session_fault(struct eio_session *session, enum eio_close_reason reason,
                       const char *detail)
{
    log_info(session->server->log, "session closed",
             log_str("session", eio_session_logged_id(session)),
             log_str("address", session->handshake->address),
             log_text("reason", eio_close_reason_text(reason)), log_text("detail", detail),
             LOG_END);
    eio_session_end(session, reason);
}

void eio_log_too_large(const struct eio_session *session, uint64_t size)
{
    eio_note_hit(session->server, HIT_PAYLOAD);
    log_warn(session->server->log, "payload too large",
             log_str("session", eio_session_logged_id(session)),
             log_str("address", session->handshake->address), log_int("size", (int64_t)size),
             log_int("limit", (int64_t)session->server->options.max_payload), LOG_END);
}

void eio_log_backlog(const struct eio_session *session, uint64_t queued)
{
    eio_note_hit(session->server, HIT_BACKLOG);
    log_warn(session->server->log, "too much queued for a slow client, session closed",
             log_str("session", eio_session_logged_id(session)),
             log_str("address", session->handshake->address),
             log_int("queued", (int64_t)queued),
             log_int("limit", (int64_t)session->server->options.backlog), LOG_END);
}

/*
 * The heartbeat goes on while a close waits to be fetched, but pongs are no longer heard: its
 * time-out comes where it would have come, unless the 30 s end before.
 */
void eio_session_await_close(struct eio_session *session)
{
    uint64_t now = wheel_of(session)->clock_ms;
    uint64_t silent_until = session->timer.due_ms;

    assert(session->state == EIO_CLOSING && session->queue.count == 0);
    if (session->wait == EIO_WAIT_PING)
        silent_until += session->server->options.ping_timeout_ms;
    if (silent_until < now + EIO_CLOSE_WAIT_MS)
        wait_for(session, EIO_WAIT_PONG, silent_until > now ? silent_until - now : 0);
    else
        wait_for(session, EIO_WAIT_CLOSE, EIO_CLOSE_WAIT_MS);
}

void eio_session_close(struct eio_session *session)
{
    if (session->state != EIO_OPEN)
        return;
    /* Packets leave with the pending poll, the close then needs one of its own. */
    eio_polling_flush(session);
    if (session->ws || session->poll) {
        eio_session_end(session, EIO_FORCED_CLOSE);
        return;
    }
    session->state = EIO_CLOSING;
    if (session->queue.count > 0)
        return;
    eio_polling_drop_post(session);
    eio_session_await_close(session);
}

void eio_session_abandon(struct eio_session *session)
{
    eio_session_end(session, EIO_TRANSPORT_CLOSE);
}

/* --- what it is --------------------------------------------------------------------------- */

void eio_session_set_data(struct eio_session *session, void *data)
{
    session->data = data;
}

void *eio_session_data(const struct eio_session *session)
{
    return session->data;
}

struct str eio_session_id(const struct eio_session *session)
{
    return str_of(session->id, sizeof(session->id));
}

struct str eio_session_logged_id(const struct eio_session *session)
{
    return str_of(session->id, EIO_LOGGED_ID);
}

struct eio_handshake *eio_session_handshake(const struct eio_session *session)
{
    return session->handshake;
}

struct net_loop *eio_session_loop(const struct eio_session *session)
{
    return session->server->loop;
}

const char *eio_session_transport(const struct eio_session *session)
{
    return session->transport == EIO_WEBSOCKET ? "websocket" : "polling";
}
