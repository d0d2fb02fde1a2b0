#include "net/http1.h"

#include "base/buf.h"
#include "base/clock.h"
#include "net/http1_answer.h"
#include "net/http1_parser.h"
#include "net/http_forwarded.h"

#include <assert.h>
#include <stdlib.h>

enum {
    WAITING_PAUSE =
        16 * 1024, /* bytes that wait for the exchange before; then reading pauses */
    WAITING_MAX = WAITING_PAUSE + NET_LOOP_READ_SIZE,

    /* Bytes of answers queued beyond which pipelined requests wait: a peer that asks and does not
     * read must not fill the backlog with one read's worth of requests. */
    ANSWERS_PAUSE = 256 * 1024,

    /* The rest of a body that nobody wants is read to keep the connection, up to this size. */
    DRAIN_MAX = 64 * 1024,

    /* How long arriving bytes are thrown away behind the last answer: closing a socket with
     * unread bytes would reset it and lose the answer. A peer in the midst of a body needs longer
     * to notice. */
    LINGER_MS = 2000,
    BODY_LINGER_MS = 30000,
};

const struct http_limits http_limits_default = {
    .header_bytes = 16 * 1024,
    .headers_timeout_ms = 60000,
    .request_timeout_ms = 300000,
    .keep_alive_ms = 5000,
};

enum state {
    IDLE,     /* between requests, or within a head */
    ASKED,    /* an exchange is going on */
    DRAINING, /* answered, the rest of the body is thrown away */
    SILENT,   /* nothing is said or heard until the timer ends it */
    ENDED,    /* buried */
};

struct http_exchange {
    const struct http_exchange_handler *handler; /* NULL until it is set */
    void *owner;
};

/* A connection has one exchange at a time, so the exchange lives in it. */
struct http1 {
    struct net_conn *conn;
    const struct http_service *service;
    const struct http_limits *limits;
    const struct log *log;
    struct http1_parser *parser;
    struct http_request *request; /* NULL when held, and between exchanges */
    struct http_exchange exchange;
    struct buf waiting;     /* bytes that cannot be parsed yet */
    struct str rest;        /* while parsing: the bytes not taken yet */
    struct net_task resume; /* goes on parsing what waits */
    union {
        struct timer timer;
        struct net_grave grave; /* when ENDED */
    };
    uint64_t begun_ms;  /* when the request's first byte came */
    uint64_t body_left; /* bytes of its body to come, UINT64_MAX when unknown */

    uint8_t state; /* enum state */
    uint8_t minor;
    bool secure;
    bool first;   /* no request has been complete */
    bool begun;   /* begun_ms is the current request's */
    bool parsing; /* consume() is at work */
    bool paused;
    bool is_head; /* method HEAD */
    bool upgrade;
    bool keep_alive;
    bool stopping;  /* the server: the answer will be the last */
    bool expects;   /* the client waits for 100 Continue */
    bool reading;   /* the owner wants the body */
    bool body_done; /* it is complete, or there is none */
    bool end_told;  /* body_end was called */
};

static struct http1 *http_of(const struct http_exchange *exchange)
{
    return CONTAINER_OF(exchange, struct http1, exchange);
}

static struct timer_wheel *timers_of(const struct http1 *http)
{
    return net_loop_timers(net_conn_loop(http->conn));
}

/* ---- ends ---- */

static void drop_request(struct http1 *http)
{
    free(http->request);
    http->request = NULL;
    http1_parser_drop_head(http->parser);
}

static void bury(struct net_grave *grave)
{
    struct http1 *http = CONTAINER_OF(grave, struct http1, grave);

    drop_request(http);
    http1_parser_free(http->parser);
    buf_free(&http->waiting);
    free(http);
}

/* The conn is no longer ours. Callers may still be at work in here: memory lives on in this turn. */
static void end(struct http1 *http)
{
    assert(http->state != ENDED);
    timer_stop(timers_of(http), &http->timer);
    net_task_cancel(&http->resume);
    http->state = ENDED;
    net_loop_bury(net_conn_loop(http->conn), &http->grave, bury);
}

/* Ends without the owner's doing: it is told. */
static void end_aborted(struct http1 *http)
{
    const struct http_exchange_handler *handler = http->exchange.handler;
    bool asked = http->state == ASKED;

    end(http);
    if (asked && handler && handler->aborted)
        handler->aborted(http->exchange.owner);
}

static void finish(struct http1 *http)
{
    bool mid_body = http->state == ASKED && !http->body_done;

    net_conn_finish(http->conn, mid_body ? BODY_LINGER_MS : LINGER_MS);
    end(http);
}

/* A request went over a limit. */
static void note_hit(struct http1 *http, enum hit hit, uint64_t limit)
{
    if (hits_note(http->limits->hits, hit, net_loop_now(net_conn_loop(http->conn))))
        log_info(http->log, "request refused: too large or too slow",
                 log_text("address", net_conn_address(http->conn)),
                 log_text("counter", hit_name(hit)), log_int("limit", (int64_t)limit), LOG_END);
}

/* Answers what cannot be an exchange as Node does: without Date, and the last on the connection. */
static void refuse(struct http1 *http, int status)
{
    struct buf answer;

    log_debug(http->log, "request refused", log_text("address", net_conn_address(http->conn)),
              log_int("status", status), LOG_END);
    buf_init(&answer, 256);
    buf_printf(&answer, "HTTP/1.1 %d %s\r\nConnection: close\r\n\r\n", status,
               http1_status_text(status));
    if (!buf_failed(&answer))
        http1_answer_send_raw(http->conn, buf_str(&answer));
    buf_free(&answer);
    net_conn_finish(http->conn, LINGER_MS);
    end_aborted(http);
}

static void abandon(struct http1 *http)
{
    net_conn_close(http->conn);
    end_aborted(http);
}

static void on_timer(struct timer *timer)
{
    struct http1 *http = CONTAINER_OF(timer, struct http1, timer);
    bool in_head = http->state == IDLE && (http->first || http->begun);

    if (in_head) {
        note_hit(http, HIT_SLOW_HEADERS, http->limits->headers_timeout_ms);
        refuse(http, 408);
    } else if (http->state == ASKED) {
        note_hit(http, HIT_SLOW_BODIES, http->limits->request_timeout_ms);
        refuse(http, 408);
    } else if (http->state == IDLE && net_conn_queued(http->conn) > 0) {
        /* Idle is counted from when the answer has left. */
        timer_start(timers_of(http), &http->timer, http->limits->keep_alive_ms);
    } else {
        net_conn_finish(http->conn, 0);
        end(http);
    }
}

/* ---- requests ---- */

static bool wants_bytes(const struct http1 *http)
{
    switch (http->state) {
    case IDLE:
        return net_conn_queued(http->conn) <= ANSWERS_PAUSE;
    case ASKED:
        return http->reading && !http->body_done;
    case DRAINING:
        return true;
    default:
        return false;
    }
}

/* A head has begun: from its first byte on it has its time. */
static void note_begin(struct http1 *http)
{
    if (http->begun)
        return;
    http->begun = true;
    http->begun_ms = net_loop_now(net_conn_loop(http->conn));
    if (!http->first)
        timer_start(timers_of(http), &http->timer, http->limits->headers_timeout_ms);
}

static void next_request(struct http1 *http)
{
    http->state = IDLE;
    http->begun = false;
    timer_start(timers_of(http), &http->timer, http->limits->keep_alive_ms);
    if (!http->parsing && http->waiting.size > 0)
        net_loop_later(net_conn_loop(http->conn), &http->resume);
}

static enum http_method method_of(const char *name)
{
    static const struct {
        const char *name;
        enum http_method method;
    } known[] = {
        {"GET",     HTTP_GET    },
        {"HEAD",    HTTP_HEAD   },
        {"POST",    HTTP_POST   },
        {"OPTIONS", HTTP_OPTIONS},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0)
            return known[i].method;
    }
    return HTTP_OTHER;
}

static bool make_request(struct http1 *http, const struct http1_head *head)
{
    const struct http_trust *trust = http->service->trust;
    struct http_request *request = malloc(sizeof(*request) + NET_ADDRESS_MAX);

    if (!request)
        return false;
    *request = (struct http_request){
        .method = method_of(head->method),
        .method_name = str_from(head->method),
        .target = head->target,
        .headers = head->headers,
        .header_count = head->header_count,
        .minor = head->minor,
        .upgrade = head->upgrade,
        .address = net_conn_address(http->conn),
        .secure = http->secure,
        .time_ms = clock_wall_ms(),
    };
    if (trust)
        http_forwarded_apply(trust, request, (char *)(request + 1));
    http->request = request;
    return true;
}

static void begin_body_time(struct http1 *http)
{
    uint64_t passed = net_loop_now(net_conn_loop(http->conn)) - http->begun_ms;
    uint64_t limit = http->limits->request_timeout_ms;

    if (http->body_done)
        timer_stop(timers_of(http), &http->timer);
    else
        timer_start(timers_of(http), &http->timer, passed < limit ? limit - passed : 0);
}

static void take_facts(struct http1 *http, const struct http1_head *head)
{
    http->state = ASKED;
    http->exchange = (struct http_exchange){0};
    http->minor = head->minor;
    http->is_head = http->request->method == HTTP_HEAD;
    http->upgrade = head->upgrade;
    http->keep_alive = head->keep_alive;
    http->first = http->expects = http->reading = http->end_told = false;
    http->body_done = !head->has_body;
    http->body_left = head->chunked ? UINT64_MAX : head->length;
}

/* Contains "100-continue" as a word of its own, as Node looks for it. */
static bool asks_continue(struct str value)
{
    struct str wanted = STR("100-continue");

    for (size_t i = 0; i + wanted.size <= value.size; i++) {
        if (str_equal_nocase(str_of(value.at + i, wanted.size), wanted))
            return true;
    }
    return false;
}

/* What Node answers before any handler. False when it was answered. */
static bool pass_http_checks(struct http1 *http, bool has_host)
{
    static const struct http_header close_header = {STR("Connection"), STR("close")};
    static const struct http_response no_host = {
        .status = 400, .headers = &close_header, .header_count = 1, .chunked = true};
    static const struct http_response cannot = {.status = 417, .chunked = true};
    struct str expect = http_request_header(http->request, "Expect");

    if (http->minor == 0 || http->upgrade)
        return true;
    if (!has_host) {
        http_exchange_respond(&http->exchange, &no_host);
        return false;
    }
    if (!expect.at)
        return true;
    http->expects = asks_continue(expect);
    if (!http->expects)
        http_exchange_respond(&http->exchange, &cannot);
    return http->expects;
}

static void begin_exchange(struct http1 *http)
{
    const struct http1_head *head = http1_parser_head(http->parser);

    if (head->connect || !make_request(http, head)) {
        abandon(http);
        return;
    }
    note_begin(http);
    take_facts(http, head);
    begin_body_time(http);
    if (pass_http_checks(http, head->has_host))
        http->service->request(http->service->owner, &http->exchange);
}

static void tell_end(struct http1 *http)
{
    if (http->state != ASKED || !http->reading || !http->body_done || http->end_told)
        return;
    http->end_told = true;
    http->exchange.handler->body_end(http->exchange.owner);
}

static void take_body(struct http1 *http)
{
    struct str body = http1_parser_body(http->parser);

    if (http->body_left != UINT64_MAX)
        http->body_left -= body.size;
    if (http->state == ASKED)
        http->exchange.handler->body(http->exchange.owner, (const uint8_t *)body.at, body.size);
}

static void end_body(struct http1 *http)
{
    http->body_done = true;
    if (http->state == DRAINING) {
        next_request(http);
        return;
    }
    timer_stop(timers_of(http), &http->timer);
    tell_end(http);
}

static void handle(struct http1 *http, enum http1_event event)
{
    switch (event) {
    case HTTP1_MORE:
        if (http1_parser_in_head(http->parser))
            note_begin(http);
        break;
    case HTTP1_HEAD:
        begin_exchange(http);
        break;
    case HTTP1_BODY:
        take_body(http);
        break;
    case HTTP1_END:
        end_body(http);
        break;
    case HTTP1_BAD:
        refuse(http, 400);
        break;
    case HTTP1_TOO_LONG:
        note_hit(http, HIT_HEADER_BYTES, http->limits->header_bytes);
        refuse(http, 431);
        break;
    case HTTP1_NO_MEMORY:
        abandon(http);
        break;
    }
}

/* Parses as far as requests may be taken now; returns how many bytes are used. */
static size_t consume(struct http1 *http, const uint8_t *bytes, size_t size)
{
    size_t used = 0;

    http->parsing = true;
    while (used < size && wants_bytes(http)) {
        enum http1_event event;

        used += http1_parser_feed(http->parser, bytes + used, size - used, &event);
        http->rest = str_of(bytes + used, size - used);
        handle(http, event);
    }
    http->parsing = false;
    return used;
}

static void update_pause(struct http1 *http)
{
    bool pause = http->waiting.size >= WAITING_PAUSE;

    if (pause != http->paused)
        net_conn_pause(http->conn, pause);
    http->paused = pause;
}

static void take_waiting(struct http1 *http)
{
    size_t used;

    if (http->waiting.size == 0 || !wants_bytes(http))
        return;
    used = consume(http, (const uint8_t *)http->waiting.at, http->waiting.size);
    if (http->state == ENDED)
        return;
    buf_consume(&http->waiting, used);
    if (http->waiting.size == 0)
        buf_free(&http->waiting);
    update_pause(http);
}

static void resume(struct net_task *task)
{
    struct http1 *http = CONTAINER_OF(task, struct http1, resume);

    tell_end(http);
    if (http->state != ENDED)
        take_waiting(http);
}

static void on_readable(void *owner, uint8_t *bytes, size_t size)
{
    struct http1 *http = owner;
    size_t used = 0;

    if (http->state == SILENT)
        return;
    if (http->waiting.size == 0)
        used = consume(http, bytes, size);
    if (http->state == ENDED || http->state == SILENT || used == size)
        return;
    if (!buf_add(&http->waiting, bytes + used, size - used)) {
        abandon(http);
        return;
    }
    take_waiting(http);
    if (http->state != ENDED)
        update_pause(http);
}

static void on_drained(void *owner)
{
    take_waiting(owner);
}

static void on_closed(void *owner, enum net_end why)
{
    (void)why;
    end_aborted(owner);
}

/* A connection that has just been accepted stays for its first request: a client that was let in
 * must not find the door shut. */
static bool on_stopping(void *owner)
{
    struct http1 *http = owner;

    http->stopping = !http->service->lasting;
    if (http->stopping && http->state == IDLE && !http->begun && !http->first &&
        http->waiting.size == 0) {
        net_conn_finish(http->conn, 0);
        end(http);
    }
    return http->state == ASKED || http->state == DRAINING;
}

static const struct net_conn_handler conn_handler = {
    .readable = on_readable,
    .drained = on_drained,
    .closed = on_closed,
    .stopping = on_stopping,
};

void http1_serve(struct net_conn *conn, const struct http_service *service,
                 const struct http_limits *limits, const struct log *log, bool secure)
{
    struct http1 *http = calloc(1, sizeof(*http));
    struct http1_parser *parser = http1_parser_new(limits->header_bytes);

    if (!http || !parser)
        goto fail;
    http->conn = conn;
    http->service = service;
    http->limits = limits;
    http->log = log;
    http->parser = parser;
    http->secure = secure;
    http->first = true;
    buf_init(&http->waiting, WAITING_MAX);
    net_task_init(&http->resume, resume);
    timer_init(&http->timer, on_timer);
    timer_start(timers_of(http), &http->timer, limits->headers_timeout_ms);
    net_conn_set_handler(conn, &conn_handler, http);
    return;

fail:
    if (parser)
        http1_parser_free(parser);
    free(http);
    net_conn_close(conn);
}

/* ---- exchanges ---- */

struct str http_request_header(const struct http_request *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++) {
        if (str_equal_nocase(request->headers[i].name, str_from(name)))
            return request->headers[i].value;
    }
    return (struct str){NULL, 0};
}

const struct http_request *http_exchange_request(const struct http_exchange *exchange)
{
    return http_of(exchange)->request;
}

void http_exchange_set_handler(struct http_exchange *exchange,
                               const struct http_exchange_handler *handler, void *owner)
{
    exchange->handler = handler;
    exchange->owner = owner;
}

void http_exchange_read(struct http_exchange *exchange)
{
    struct http1 *http = http_of(exchange);

    assert(http->state == ASKED && !http->reading && exchange->handler);
    http->reading = true;
    if (http->expects && !http->body_done)
        http1_answer_send_raw(http->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    http->expects = false;
    net_loop_later(net_conn_loop(http->conn), &http->resume);
}

void http_exchange_vouch(struct http_exchange *exchange, struct str address, bool secure)
{
    struct http_request *request = http_of(exchange)->request;
    char *to = (char *)(request + 1);

    assert(request->header_count > 0 && address.size < NET_ADDRESS_MAX);
    request->header_count--;
    memcpy(to, address.at, address.size);
    to[address.size] = '\0';
    request->address = to;
    request->secure = secure;
    request->handed_over = true;
}

bool http_exchange_keeps(const struct http_exchange *exchange)
{
    const struct http1 *http = CONTAINER_OF(exchange, struct http1, exchange);

    return http->keep_alive && !http->upgrade;
}

void http_exchange_hold(struct http_exchange *exchange)
{
    drop_request(http_of(exchange));
}

/* The connection can serve another request when the rest of the body, if any, is small. A client
 * that waits for 100 Continue may or may not send its body now: nobody knows what comes next. */
static bool may_keep(const struct http1 *http, const struct http_response *response)
{
    return http->keep_alive && (!http->stopping || response->keep) && !http->upgrade &&
           !response->close && !http1_answer_closes(response) &&
           (http->body_done || (!http->expects && http->body_left <= DRAIN_MAX));
}

void http_exchange_respond(struct http_exchange *exchange, const struct http_response *response)
{
    struct http1 *http = http_of(exchange);
    bool keep = may_keep(http, response);
    struct http1_terms terms = {
        .minor = http->minor,
        .head = http->is_head,
        .close = !keep,
        .keep_alive_ms = http->limits->keep_alive_ms,
    };

    assert(http->state == ASKED);
    if (!http1_answer_send(http->conn, response, &terms)) {
        http_exchange_destroy(exchange);
        return;
    }
    drop_request(http);
    if (!keep) {
        finish(http);
    } else if (http->body_done) {
        next_request(http);
    } else {
        http->state = DRAINING;
        if (!http->parsing)
            net_loop_later(net_conn_loop(http->conn), &http->resume);
    }
}

void http_exchange_respond_raw(struct http_exchange *exchange, struct str bytes)
{
    struct http1 *http = http_of(exchange);

    assert(http->state == ASKED);
    http1_answer_send_raw(http->conn, bytes);
    finish(http);
}

void http_exchange_silence(struct http_exchange *exchange, uint32_t after_ms)
{
    struct http1 *http = http_of(exchange);

    assert(http->state == ASKED);
    http->state = SILENT;
    drop_request(http);
    timer_start(timers_of(http), &http->timer, after_ms);
}

void http_exchange_destroy(struct http_exchange *exchange)
{
    struct http1 *http = http_of(exchange);

    assert(http->state == ASKED);
    net_conn_close(http->conn);
    end(http);
}

struct net_conn *http_exchange_take_conn(struct http_exchange *exchange, uint8_t **rest,
                                         size_t *rest_size)
{
    struct http1 *http = http_of(exchange);
    struct str left = http->parsing ? http->rest : buf_str(&http->waiting);

    assert(http->state == ASKED);
    *rest = NULL;
    *rest_size = left.size;
    if (left.size > 0) {
        *rest = malloc(left.size);
        if (!*rest) {
            http_exchange_destroy(exchange);
            return NULL;
        }
        memcpy(*rest, left.at, left.size);
    }
    if (http->paused)
        net_conn_pause(http->conn, false);
    end(http);
    return http->conn;
}
