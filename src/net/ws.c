#include "net/ws.h"

#include "net/ws_handshake.h"
#include "net/ws_parser.h"

#include <assert.h>
#include <stdlib.h>

enum {
    ANSWER_MAX = 256 * 1024, /* bytes of a 101 or a refusal */

    /* How long arriving bytes are thrown away behind an end that the peer did not ask for: closing
     * a socket with unread bytes would reset it and lose our last words. */
    LINGER_MS = 2000,

    /* Pongs queued before the peer reads one; of further pings only the last is answered (RFC
     * 6455, 5.5.3), or a two-byte pong would hold far more memory than the backlog counts. */
    PONGS_MAX = 256,
};

enum ws_state {
    OPEN,
    CLOSING, /* our close frame is queued, the peer's has not come; nobody listens any more */
    ENDED,   /* buried */
};

/* Bytes that came behind the handshake request: fed from the loop, as handlers may be called from
 * there only. */
struct ws_start {
    struct net_task task;
    struct net_ws *ws;
    uint8_t *bytes;
    size_t size;
};

/* Idle ones are most of a server's memory, hence the care about its size. */
struct net_ws {
    struct net_conn *conn;
    const struct net_ws_handler *handler;
    void *owner;
    struct ws_parser parser;
    struct ws_start *start;  /* until it is fed */
    struct frame *late_pong; /* of a flood of pings, sent when the queue is empty */
    union {
        struct timer close_timer; /* while CLOSING */
        struct net_grave grave;   /* when ENDED */
    };
    uint16_t pongs; /* queued since the queue was empty last */
    uint8_t state;
    uint8_t deflate_bits; /* 0: messages go out as they are */
};

static_assert(sizeof(struct net_ws) <= 160, "an idle WebSocket must stay small");

static struct net_ws *ws_of_parser(struct ws_parser *parser)
{
    return CONTAINER_OF(parser, struct net_ws, parser);
}

static void bury(struct net_grave *grave)
{
    struct net_ws *ws = CONTAINER_OF(grave, struct net_ws, grave);

    ws_parser_free(&ws->parser);
    free(ws);
}

static void drop_start(struct net_ws *ws)
{
    if (!ws->start)
        return;
    net_task_cancel(&ws->start->task);
    free(ws->start->bytes);
    free(ws->start);
    ws->start = NULL;
}

static void drop_late_pong(struct net_ws *ws)
{
    if (ws->late_pong)
        frame_unref(ws->late_pong);
    ws->late_pong = NULL;
}

/* The conn is no longer ours. We may be inside ws_parser_feed(), so memory lives on in this turn. */
static void end(struct net_ws *ws)
{
    struct net_loop *loop = net_conn_loop(ws->conn);

    assert(ws->state != ENDED);
    if (ws->state == CLOSING)
        timer_stop(net_loop_timers(loop), &ws->close_timer);
    ws->state = ENDED;
    ws_parser_stop(&ws->parser);
    drop_start(ws);
    drop_late_pong(ws);
    net_loop_bury(loop, &ws->grave, bury);
}

static void finish(struct net_ws *ws, uint32_t linger_ms)
{
    end(ws);
    net_conn_finish(ws->conn, linger_ms);
}

static void tell_closed(struct net_ws *ws, struct net_ws_closing closing)
{
    ws->handler->closed(ws->owner, &closing);
}

static struct frame *make_frame(enum frame_kind kind, struct str payload)
{
    struct frame *frame = frame_new(kind, payload.size);

    if (frame)
        memcpy(frame_payload(frame), payload.at, payload.size);
    return frame;
}

/* Without memory for it the frame is left out: the connection is about to end anyway. */
static void send_last(struct net_ws *ws, enum frame_kind kind, struct str payload)
{
    struct frame *frame = make_frame(kind, payload);

    if (!frame)
        return;
    net_conn_send(ws->conn, frame);
    frame_unref(frame);
}

static void send_close(struct net_ws *ws, uint16_t code)
{
    char payload[2] = {(char)(code >> 8), (char)code};

    send_last(ws, FRAME_CLOSE, str_of(payload, code ? sizeof(payload) : 0));
}

static void on_message(struct ws_parser *parser, enum frame_kind kind, uint8_t *payload,
                       size_t size)
{
    struct net_ws *ws = ws_of_parser(parser);

    if (ws->state == OPEN)
        ws->handler->message(ws->owner, kind, payload, size);
}

static void on_ping(struct ws_parser *parser, struct str payload)
{
    struct net_ws *ws = ws_of_parser(parser);
    struct frame *pong;

    if (ws->state != OPEN)
        return;
    pong = make_frame(FRAME_PONG, payload);
    if (!pong)
        return;
    if (ws->pongs >= PONGS_MAX) {
        drop_late_pong(ws);
        ws->late_pong = pong;
        return;
    }
    ws->pongs++;
    net_conn_send(ws->conn, pong);
    frame_unref(pong);
}

static void on_close(struct ws_parser *parser, uint16_t code, struct str payload)
{
    struct net_ws *ws = ws_of_parser(parser);
    bool open = ws->state == OPEN;

    if (open)
        send_last(ws, FRAME_CLOSE, payload);
    finish(ws, NET_WS_CLOSE_WAIT_MS);
    if (open)
        tell_closed(ws, (struct net_ws_closing){.why = NET_WS_END_CLOSED, .code = code});
}

static const struct ws_sink parser_sink = {on_message, on_ping, on_close};

static void on_fault(struct net_ws *ws, const struct ws_fault *fault)
{
    struct net_ws_closing closing = {
        .why = fault->code == WS_CLOSE_TOO_BIG ? NET_WS_END_TOO_BIG : NET_WS_END_FAULT,
        .code = fault->code,
        .detail = fault->detail,
    };
    bool open = ws->state == OPEN;

    if (closing.why == NET_WS_END_TOO_BIG)
        closing.size = ws_parser_announced(&ws->parser);
    if (open)
        send_close(ws, fault->code);
    finish(ws, LINGER_MS);
    if (open)
        tell_closed(ws, closing);
}

static void feed(struct net_ws *ws, uint8_t *bytes, size_t size)
{
    const struct ws_fault *fault = ws_parser_feed(&ws->parser, &parser_sink, bytes, size);

    if (fault)
        on_fault(ws, fault);
}

static void feed_start(struct net_ws *ws)
{
    struct ws_start *start = ws->start;

    if (!start)
        return;
    ws->start = NULL;
    net_task_cancel(&start->task);
    feed(ws, start->bytes, start->size);
    free(start->bytes);
    free(start);
}

static void run_start(struct net_task *task)
{
    feed_start(CONTAINER_OF(task, struct ws_start, task)->ws);
}

static void on_readable(void *owner, uint8_t *bytes, size_t size)
{
    struct net_ws *ws = owner;

    feed_start(ws);
    if (ws->state != ENDED)
        feed(ws, bytes, size);
}

static void on_drained(void *owner)
{
    struct net_ws *ws = owner;

    ws->pongs = 0;
    if (ws->late_pong && ws->state == OPEN)
        net_conn_send(ws->conn, ws->late_pong);
    drop_late_pong(ws);
    if (ws->state == OPEN && ws->handler->drained)
        ws->handler->drained(ws->owner);
}

static void on_conn_closed(void *owner, enum net_end why)
{
    struct net_ws *ws = owner;
    struct net_ws_closing closing = {.why = NET_WS_END_CLOSED, .code = WS_CLOSE_DROPPED};
    bool open = ws->state == OPEN;

    if (why == NET_END_BACKLOG) {
        closing.why = NET_WS_END_BACKLOG;
        closing.detail = "the peer does not read: too many bytes queued";
        closing.size = net_conn_queued(ws->conn);
    }
    end(ws);
    if (open)
        tell_closed(ws, closing);
}

static const struct net_conn_handler conn_handler = {
    .readable = on_readable,
    .drained = on_drained,
    .closed = on_conn_closed,
};

static struct net_ws *make(const struct net_ws_options *options, uint8_t deflate_bits,
                           const struct net_ws_handler *handler, void *owner)
{
    struct net_ws *ws = calloc(1, sizeof(*ws));

    if (!ws)
        return NULL;
    ws->start = calloc(1, sizeof(*ws->start));
    if (!ws->start) {
        free(ws);
        return NULL;
    }
    ws->start->ws = ws;
    net_task_init(&ws->start->task, run_start);
    ws_parser_init(&ws->parser, options->max_message);
    if (deflate_bits > 0)
        ws_parser_allow_compression(&ws->parser, options->deflater);
    ws->deflate_bits = deflate_bits;
    ws->handler = handler;
    ws->owner = owner;
    return ws;
}

/* False, and the ws freed, when the conn was lost for want of memory. */
static bool attach(struct net_ws *ws, struct http_exchange *exchange, size_t backlog,
                   struct frame *answer)
{
    struct ws_start *start = ws->start;

    ws->conn = http_exchange_take_conn(exchange, &start->bytes, &start->size);
    if (!ws->conn) {
        free(start);
        free(ws);
        return false;
    }
    net_conn_set_backlog(ws->conn, backlog);
    net_conn_set_handler(ws->conn, &conn_handler, ws);
    net_conn_send(ws->conn, answer);
    /* Clients that begin to listen only once they are told of the 101 would lose a message that
     * they read together with it. Node needs as long by nature. */
    net_conn_part(ws->conn);
    if (start->size > 0)
        net_loop_later(net_conn_loop(ws->conn), &start->task);
    else
        drop_start(ws);
    return true;
}

struct net_ws *net_ws_accept(struct http_exchange *exchange,
                             const struct net_ws_options *options,
                             const struct net_ws_handler *handler, void *owner)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct frame *frame = NULL;
    struct ws_handshake handshake = {
        .headers = options->headers,
        .header_count = options->header_count,
        .deflate = options->deflater != NULL,
    };
    struct net_ws *ws = NULL;
    struct buf answer;

    buf_init(&answer, ANSWER_MAX);
    if (!ws_handshake_answer(request, &handshake, &answer)) {
        http_exchange_respond_raw(exchange, buf_str(&answer));
        goto done;
    }
    frame = make_frame(FRAME_RAW, buf_str(&answer));
    ws = frame ? make(options, handshake.deflate_bits, handler, owner) : NULL;
    if (!ws)
        http_exchange_destroy(exchange);
    else if (!attach(ws, exchange, options->backlog, frame))
        ws = NULL;
done:
    if (frame)
        frame_unref(frame);
    buf_free(&answer);
    return ws;
}

void net_ws_set_handler(struct net_ws *ws, const struct net_ws_handler *handler, void *owner)
{
    ws->handler = handler;
    ws->owner = owner;
}

/* The frame's compressed form, made by the first receiver who needs it. */
static struct frame *compressed(const struct net_ws *ws, struct frame *frame)
{
    uint8_t spelling = FRAME_DEFLATED + ws->deflate_bits;
    struct frame *found, *made;

    if (!deflater_worth(ws->parser.deflater, frame_body(frame).size))
        return frame;
    found = frame_find_spelling(frame, spelling);
    if (found)
        return found;
    made = deflater_message(ws->parser.deflater, ws->deflate_bits, frame);
    return made ? frame_keep_spelling(frame, spelling, made) : frame;
}

void net_ws_send(struct net_ws *ws, struct frame *frame)
{
    if (ws->state == OPEN)
        net_conn_send(ws->conn, ws->deflate_bits > 0 ? compressed(ws, frame) : frame);
}

void net_ws_send_raw(struct net_ws *ws, struct str bytes)
{
    if (ws->state == OPEN)
        send_last(ws, FRAME_RAW, bytes);
}

bool net_ws_writable(const struct net_ws *ws)
{
    return net_conn_writable(ws->conn);
}

size_t net_ws_queued(const struct net_ws *ws)
{
    return net_conn_queued(ws->conn);
}

static void close_timed_out(struct timer *timer)
{
    struct net_ws *ws = CONTAINER_OF(timer, struct net_ws, close_timer);

    end(ws);
    net_conn_close(ws->conn);
}

void net_ws_close(struct net_ws *ws, uint16_t code)
{
    assert(ws->state == OPEN);
    send_close(ws, code);
    ws->state = CLOSING;
    timer_init(&ws->close_timer, close_timed_out);
    timer_start(net_loop_timers(net_conn_loop(ws->conn)), &ws->close_timer,
                NET_WS_CLOSE_WAIT_MS);
}

void net_ws_destroy(struct net_ws *ws)
{
    assert(ws->state == OPEN);
    finish(ws, LINGER_MS);
}
