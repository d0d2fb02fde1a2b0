#include "forward/forward.h"

#include "net/http_client.h"
#include "net/tunnel.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CONNECT_MS = 1000,
    IDLE_MS = 10000, /* the door's connections stay longer */
    IDLE_MAX = 256,
    HEAD_MAX = 1024 * 1024,
    FRAMING = 64 * 1024, /* bytes beside a body's, of its chunks */
};

struct forward {
    struct forward_options options;
    struct http_client *client;
    struct list errands;
};

/* An exchange on its way. */
struct errand {
    struct list link;
    struct forward *forward;
    struct http_exchange *exchange;
    struct http_call *call; /* NULL for upgrades, */
    struct net_conn *conn;  /* which have this */
    struct timer timer;     /* of an upgrade: of the connecting, then of the answer */
    size_t given;           /* bytes of an upgrade's head */
    bool chunked;           /* the body goes in chunks */
    bool connected;
};

/* --- heads ----------------------------------------------------------------------------------- */

/* Whether a header of the client concerns its own connection only. */
static bool is_local(struct str name)
{
    static const char *const names[] = {"Connection", "Keep-Alive", "Proxy-Connection",
                                        "Expect"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_equal_nocase(name, str_from(names[i])))
            return true;
    }
    return false;
}

static void add_header(struct buf *head, struct str name, struct str value)
{
    buf_add_str(head, name);
    buf_add_str(head, STR(": "));
    buf_add_str(head, value);
    buf_add_str(head, STR("\r\n"));
}

/* False when out of memory, or too large. */
static bool write_head(struct buf *head, const struct http_request *request, struct str secret)
{
    const struct passport passport = {str_from(request->address), request->secure};

    buf_init(head, HEAD_MAX);
    buf_add_str(head, request->method_name);
    buf_add_byte(head, ' ');
    buf_add_str(head, request->target);
    buf_add_str(head, STR(" HTTP/1.1\r\n"));
    if (!http_request_header(request, "Host").at)
        buf_add_str(head, STR("Host: \r\n"));
    for (size_t i = 0; i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];

        if (request->upgrade || !is_local(header->name))
            add_header(head, header->name, header->value);
    }
    buf_add_str(head, passport_header);
    buf_add_str(head, STR(": "));
    passport_write(head, secret, &passport);
    buf_add_str(head, STR("\r\n\r\n"));
    return !buf_failed(head);
}

/* --- errands --------------------------------------------------------------------------------- */

static struct errand *errand_new(struct forward *forward, struct http_exchange *exchange)
{
    struct errand *errand = calloc(1, sizeof(*errand));

    if (!errand)
        return NULL;
    errand->forward = forward;
    errand->exchange = exchange;
    list_add_last(&forward->errands, &errand->link);
    return errand;
}

/* The exchange is the caller's again. */
static struct http_exchange *errand_free(struct errand *errand)
{
    struct http_exchange *exchange = errand->exchange;

    timer_stop(net_loop_timers(errand->forward->options.loop), &errand->timer);
    list_remove(&errand->link);
    free(errand);
    return exchange;
}

static void fail(struct errand *errand, const char *reason)
{
    const struct forward_options *options = &errand->forward->options;

    if (hits_note(options->hits, HIT_FORWARD_FAILED, net_loop_now(options->loop)))
        log_info(options->log, "a request could not be forwarded", log_text("reason", reason),
                 LOG_END);
    options->unknown(options->owner, errand_free(errand));
}

/* --- polls and posts ------------------------------------------------------------------------- */

/* What the other's connection says of itself is not told; a length that it added is added anew. */
static size_t copy_headers(const struct http_reply *reply, struct http_header *to)
{
    size_t count, kept = 0;
    const struct http_header *headers = http_reply_headers(reply, &count);
    bool added = false;

    for (size_t i = 0; i < count; i++) {
        struct str name = headers[i].name;

        if (str_equal_nocase(name, STR("Connection")))
            added = true;
        else if (!str_equal_nocase(name, STR("Keep-Alive")) &&
                 !str_equal_nocase(name, STR("Transfer-Encoding")) &&
                 !(added && str_equal_nocase(name, STR("Content-Length"))))
            to[kept++] = headers[i];
    }
    return kept;
}

static void answered(void *owner, const struct http_reply *reply)
{
    struct errand *errand = owner;
    const struct forward_options *options = &errand->forward->options;
    struct http_header headers[HTTP_REPLY_HEADERS_MAX];
    const struct http_response response = {
        .status = http_reply_status(reply),
        .headers = headers,
        .header_count = copy_headers(reply, headers),
        .body = http_reply_body(reply),
        .chunked = http_reply_chunked(reply),
        .close = !http_reply_keeps(reply),
    };

    http_exchange_respond(errand_free(errand), &response);
    if (response.status == 403)
        options->refused(options->owner);
}

static void not_answered(void *owner, const char *reason)
{
    fail(owner, reason);
}

static const struct http_call_handler call_handler = {
    .answered = answered,
    .failed = not_answered,
};

static void on_body(void *owner, const uint8_t *bytes, size_t size)
{
    struct errand *errand = owner;
    struct buf chunk;

    if (!errand->chunked) {
        http_call_send(errand->call, str_of(bytes, size));
        return;
    }
    buf_init(&chunk, SIZE_MAX);
    buf_printf(&chunk, "%zx\r\n", size);
    buf_add(&chunk, bytes, size);
    buf_add_str(&chunk, STR("\r\n"));
    if (!buf_failed(&chunk)) /* else the body never ends, and the time for the answer does */
        http_call_send(errand->call, buf_str(&chunk));
    buf_free(&chunk);
}

static void on_body_end(void *owner)
{
    struct errand *errand = owner;

    if (errand->chunked)
        http_call_send(errand->call, STR("0\r\n\r\n"));
    http_call_sent(errand->call);
}

static void on_aborted(void *owner)
{
    struct errand *errand = owner;

    http_call_cancel(errand->call);
    errand_free(errand);
}

static const struct http_exchange_handler exchange_handler = {
    .body = on_body,
    .body_end = on_body_end,
    .aborted = on_aborted,
};

static bool begin_call(struct errand *errand, const struct peer_address *address,
                       struct str head)
{
    const struct http_request *request = http_exchange_request(errand->exchange);

    errand->chunked = http_request_header(request, "Transfer-Encoding").at != NULL;
    errand->call = http_client_call(errand->forward->client, address, head,
                                    request->method == HTTP_HEAD, &call_handler, errand);
    if (!errand->call)
        return false;
    http_exchange_set_handler(errand->exchange, &exchange_handler, errand);
    http_exchange_read(errand->exchange);
    return true;
}

/* --- upgrades -------------------------------------------------------------------------------- */

static void fail_upgrade(struct errand *errand, const char *reason)
{
    net_conn_close(errand->conn);
    fail(errand, reason);
}

/* The first bytes of an answer: what follows is between the two. */
static void on_first_bytes(void *owner, uint8_t *bytes, size_t size)
{
    struct errand *errand = owner;
    struct net_conn *there = errand->conn;
    struct http_exchange *exchange = errand_free(errand);
    uint8_t *rest;
    size_t rest_size;
    struct net_conn *here = http_exchange_take_conn(exchange, &rest, &rest_size);

    if (!here) {
        net_conn_close(there);
    } else if (!tunnel_send(here, bytes, size) || !tunnel_send(there, rest, rest_size)) {
        net_conn_close(here);
        net_conn_close(there);
    } else {
        tunnel_dig(here, there);
    }
    free(rest);
}

static void on_other_closed(void *owner, enum net_end why)
{
    (void)why;
    fail(owner, "the connection ended");
}

static const struct net_conn_handler upgrade_handler = {
    .readable = on_first_bytes,
    .closed = on_other_closed,
};

static void on_upgrade_timer(struct timer *timer)
{
    struct errand *errand = CONTAINER_OF(timer, struct errand, timer);

    if (errand->connected) {
        fail_upgrade(errand, "no answer in time");
    } else if (net_conn_queued(errand->conn) == errand->given) {
        fail_upgrade(errand, "no connection in time");
    } else {
        errand->connected = true;
        timer_start(net_loop_timers(errand->forward->options.loop), timer,
                    errand->forward->options.answer_ms);
    }
}

static void on_upgrade_aborted(void *owner)
{
    struct errand *errand = owner;

    net_conn_close(errand->conn);
    errand_free(errand);
}

static const struct http_exchange_handler upgrade_exchange_handler = {
    .aborted = on_upgrade_aborted,
};

static bool begin_upgrade(struct errand *errand, const struct peer_address *address,
                          struct str head)
{
    struct net_loop *loop = errand->forward->options.loop;

    errand->conn = peer_address_connect(loop, address, HEAD_MAX);
    if (!errand->conn)
        return false;
    net_conn_set_handler(errand->conn, &upgrade_handler, errand);
    if (!tunnel_send(errand->conn, head.at, head.size)) {
        net_conn_close(errand->conn);
        return false;
    }
    errand->given = head.size;
    timer_start(net_loop_timers(loop), &errand->timer, CONNECT_MS);
    http_exchange_set_handler(errand->exchange, &upgrade_exchange_handler, errand);
    return true;
}

/* --- interface ------------------------------------------------------------------------------- */

struct forward *forward_new(const struct forward_options *options)
{
    struct forward *forward = calloc(1, sizeof(*forward));

    if (!forward)
        return NULL;
    forward->options = *options;
    list_init(&forward->errands);
    forward->client = http_client_new(&(struct http_client_options){
        .loop = options->loop,
        .connect_ms = CONNECT_MS,
        .answer_ms = options->answer_ms,
        .idle_ms = IDLE_MS,
        .idle_max = IDLE_MAX,
        .request_max = HEAD_MAX + options->request_max + FRAMING,
        .answer_max = options->answer_max,
    });
    if (forward->client)
        return forward;
    free(forward);
    return NULL;
}

void forward_free(struct forward *forward)
{
    if (!forward)
        return;
    while (!list_empty(&forward->errands)) {
        struct errand *errand = CONTAINER_OF(forward->errands.next, struct errand, link);

        if (errand->call)
            http_call_cancel(errand->call);
        else
            net_conn_close(errand->conn);
        http_exchange_destroy(errand_free(errand));
    }
    http_client_free(forward->client);
    free(forward);
}

bool forward_exchange(struct forward *forward, const struct peer_address *address,
                      struct str secret, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct errand *errand = errand_new(forward, exchange);
    struct buf head;
    bool begun;

    if (!errand)
        return false;
    timer_init(&errand->timer, on_upgrade_timer);
    begun = write_head(&head, request, secret) &&
            (request->upgrade ? begin_upgrade(errand, address, buf_str(&head))
                              : begin_call(errand, address, buf_str(&head)));
    buf_free(&head);
    if (!begun)
        errand_free(errand);
    return begun;
}
