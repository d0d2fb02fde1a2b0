/*
 * eio_fixture: an eio_server behind real sockets, clients that speak HTTP and WebSocket by hand,
 * and a handler that writes down what it is told. Included by the tests of sessions.
 *
 * Time is the timer wheel's: pass_ms() moves it, nothing sleeps.
 */
#ifndef TEST_EIO_FIXTURE_H
#define TEST_EIO_FIXTURE_H

#include "base/buf.h"
#include "engineio/engineio.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TURNS = 8, /* more than any exchange needs */
    CLIENTS_MAX = 16,
    PING_INTERVAL_MS = 25000,
    PING_TIMEOUT_MS = 20000,
    HEAD_START_MS = 3600 * 1000,
    UPGRADE_TIMEOUT_MS = 10000,
    MAX_PAYLOAD = 1000,
    BACKLOG = 100 * 1000,
};

static const struct str fixture_origins[] = {STR("http://app.example")};

static struct {
    struct net_loop *loop;
    struct random random;
    struct log log;
    FILE *log_file;
    struct eio_options options;
    struct eio_server *server;
    int clients[CLIENTS_MAX];
    int client_count;
    struct buf events; /* what the handler was told, one ';' each */
    struct buf answer;
    struct eio_session *session; /* the last that opened */
    char sid[RANDOM_ID_SIZE + 1];
    bool refuse;
    void (*on_open)(struct eio_session *session);
    void (*on_message)(struct eio_session *session, struct str text);
} t;

/* --- the handler -------------------------------------------------------------------------- */

static inline bool handler_open(void *owner, struct eio_session *session)
{
    struct str id = eio_session_id(session);

    assert_ptr_equal(owner, &t);
    t.session = session;
    memcpy(t.sid, id.at, id.size);
    eio_session_set_data(session, &t);
    buf_printf(&t.events, "open %s;", eio_session_transport(session));
    if (t.on_open)
        t.on_open(session);
    return !t.refuse;
}

static inline void handler_message(struct eio_session *session, enum frame_kind kind,
                                   uint8_t *bytes, size_t size)
{
    assert_ptr_equal(eio_session_data(session), &t);
    buf_printf(&t.events, "%s %.*s;", kind == FRAME_TEXT ? "text" : "binary", (int)size,
               (const char *)bytes);
    if (t.on_message)
        t.on_message(session, str_of(bytes, size));
}

static inline void handler_closed(struct eio_session *session, enum eio_close_reason reason)
{
    assert_ptr_equal(eio_session_data(session), &t);
    buf_printf(&t.events, "closed %s;", eio_close_reason_text(reason));
    t.session = NULL;
}

static inline void assert_events(const char *expected)
{
    buf_add_byte(&t.events, '\0');
    assert_string_equal(t.events.at, expected);
    buf_reset(&t.events);
}

/* --- sending as the application ------------------------------------------------------------ */

static inline void send_text(struct eio_session *session, const char *text)
{
    char *to;
    struct frame *frame = eio_text_message(strlen(text), &to);

    memcpy(to, text, strlen(text));
    eio_session_send(session, frame);
    frame_unref(frame);
}

static inline void send_binary(struct eio_session *session, struct str bytes)
{
    struct frame *frame = frame_new(FRAME_BINARY, bytes.size);

    memcpy(frame_payload(frame), bytes.at, bytes.size);
    eio_session_send(session, frame);
    frame_unref(frame);
}

/* --- loop and time ------------------------------------------------------------------------ */

static inline void stop_loop(struct net_task *task)
{
    (void)task;
    net_loop_stop(t.loop);
}

/* Turns that do not wait. */
static inline void turns(void)
{
    struct net_task stopper;

    for (int i = 0; i < TURNS; i++) {
        net_task_init(&stopper, stop_loop);
        net_loop_later(t.loop, &stopper);
        assert_int_equal(net_loop_run(t.loop), 0);
    }
}

static inline void pass_ms(uint64_t ms)
{
    struct timer_wheel *wheel = net_loop_timers(t.loop);

    timer_wheel_advance(wheel, wheel->clock_ms + ms);
    turns();
}

/* --- clients ------------------------------------------------------------------------------ */

static inline void serve_request(void *owner, struct http_exchange *exchange)
{
    (void)owner;
    assert_true(eio_server_matches(t.server, http_exchange_request(exchange)->target));
    eio_server_request(t.server, exchange);
}

static inline int new_client(void)
{
    static const struct http_service service = {.request = serve_request};
    static const struct http_limits patient = {16384, UINT32_MAX, UINT32_MAX, UINT32_MAX, NULL};
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    http1_serve(net_conn_new(t.loop, pair[0], BACKLOG), &service, &patient, &t.log, false);
    assert_true(t.client_count < CLIENTS_MAX);
    t.clients[t.client_count++] = pair[1];
    return pair[1];
}

static inline void drop(int client)
{
    for (int i = 0; i < t.client_count; i++)
        if (t.clients[i] == client)
            t.clients[i] = -1;
    close(client);
    turns();
}

static inline void write_all(int client, const void *bytes, size_t size)
{
    assert_int_equal(write(client, bytes, size), size);
    turns();
}

static inline void write_text(int client, const char *text)
{
    write_all(client, text, strlen(text));
}

/* All that has come, in t.answer; true when the server has closed. */
static inline bool read_all(int client)
{
    char bytes[65536];
    ssize_t size;

    buf_reset(&t.answer);
    while ((size = read(client, bytes, sizeof(bytes))) > 0)
        buf_add(&t.answer, bytes, (size_t)size);
    return size == 0 || errno == ECONNRESET;
}

static inline bool is_closed(int client)
{
    bool closed = read_all(client);

    assert_int_equal(t.answer.size, 0);
    return closed;
}

static inline bool answer_holds(const char *part)
{
    buf_add_byte(&t.answer, '\0');
    return strstr(t.answer.at, part) != NULL;
}

/* --- HTTP --------------------------------------------------------------------------------- */

/* Sends a request; `query` may hold "$sid". */
static inline void request(int client, const char *method, const char *query,
                           const char *headers, const char *body)
{
    const char *sid = strstr(query, "$sid");
    struct buf text;

    buf_init(&text, 1 << 20);
    buf_printf(&text, "%s /engine.io/?%.*s%s%s HTTP/1.1\r\nHost: a\r\n%s", method,
               sid ? (int)(sid - query) : (int)strlen(query), query, sid ? t.sid : "",
               sid ? sid + strlen("$sid") : "", headers);
    if (body)
        buf_printf(&text, "Content-Length: %zu\r\n", strlen(body));
    buf_printf(&text, "\r\n%s", body ? body : "");
    write_all(client, text.at, text.size);
    buf_free(&text);
}

static inline void get(int client, const char *query)
{
    request(client, "GET", query, "", NULL);
}

static inline void poll(int client)
{
    get(client, "EIO=4&transport=polling&sid=$sid");
}

static inline void post(int client, const char *body)
{
    request(client, "POST", "EIO=4&transport=polling&sid=$sid", "", body);
}

static inline bool is_of_every_answer(struct str line)
{
    return str_starts(line, STR("Date: ")) || str_starts(line, STR("Connection: keep-alive")) ||
           str_starts(line, STR("Keep-Alive: "));
}

/* What came: heads without the lines that every answer has, "\r\n" as "\n", bodies as they are. */
static inline void simplify(struct buf *to, struct str text)
{
    while (text.size > 0) {
        const char *end = memchr(text.at, '\n', text.size);
        size_t size = end ? (size_t)(end - text.at) + 1 : text.size;
        struct str line = str_of(text.at, size);
        size_t cut = size >= 2 && text.at[size - 2] == '\r' ? 2 : 0;

        if (!is_of_every_answer(line)) {
            buf_add(to, line.at, size - cut);
            if (cut)
                buf_add_byte(to, '\n');
        }
        text = str_from_index(text, size);
    }
    buf_add_byte(to, '\0');
}

static inline void assert_answer(int client, const char *expected)
{
    struct buf text;

    read_all(client);
    buf_init(&text, 1 << 20);
    simplify(&text, buf_str(&t.answer));
    assert_string_equal(text.at, expected);
    buf_free(&text);
}

/* The answer of a poll or a post, without CORS. */
static inline void assert_polled(int client, const char *payload)
{
    char expected[2048];

    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=UTF-8\nContent-Length: %zu\n"
             "cache-control: no-store\n\n%s",
             strlen(payload), payload);
    assert_answer(client, expected);
}

#define ANSWER_OK                                                                              \
    "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 2\ncache-control: "             \
    "no-store\n\nok"
#define ANSWER_EMPTY(status) "HTTP/1.1 " status "\nTransfer-Encoding: chunked\n\n0\n\n"
#define ANSWER_GONE                                                                            \
    "HTTP/1.1 400 Bad Request\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n" \
    "29\n{\"code\":1,\"message\":\"Session ID unknown\"}\n0\n\n"

/* A polling session, with its open packet read. */
static inline int open_polling(void)
{
    int client = new_client();

    get(client, "EIO=4&transport=polling");
    read_all(client);
    assert_true(t.answer.size > 0);
    assert_events("open polling;");
    return client;
}

/* --- WebSocket ---------------------------------------------------------------------------- */

#define UPGRADE_HEADERS                                                                        \
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"               \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define SWITCHING                                                                              \
    "HTTP/1.1 101 Switching Protocols\nUpgrade: websocket\nConnection: Upgrade\n"              \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\n"

static inline int upgrade_to(const char *query)
{
    int client = new_client();

    request(client, "GET", query, UPGRADE_HEADERS, NULL);
    pass_ms(NET_CONN_GAP_MS);
    return client;
}

/* A short frame, masked with zeros. */
static inline void send_frame(int client, enum frame_kind kind, struct str payload)
{
    char bytes[6 + 125] = {(char)(0x80 | kind), (char)(0x80 | payload.size)};

    assert_true(payload.size <= 125);
    memcpy(bytes + 6, payload.at, payload.size);
    write_all(client, bytes, 6 + payload.size);
}

static inline void send_packet(int client, const char *text)
{
    send_frame(client, FRAME_TEXT, str_from(text));
}

/* One short frame is what came. */
static inline void assert_frame(int client, enum frame_kind kind, struct str payload)
{
    read_all(client);
    assert_int_equal(t.answer.size, 2 + payload.size);
    assert_int_equal((uint8_t)t.answer.at[0], 0x80 | kind);
    assert_int_equal((uint8_t)t.answer.at[1], payload.size);
    assert_memory_equal(t.answer.at + 2, payload.at, payload.size);
}

static inline void assert_packet(int client, const char *text)
{
    assert_frame(client, FRAME_TEXT, str_from(text));
}

static inline void assert_close_frame(int client)
{
    assert_frame(client, FRAME_CLOSE, STR(""));
}

/* A WebSocket session, with its open packet read. */
static inline int open_websocket(const char *more_query)
{
    char query[200];

    snprintf(query, sizeof(query), "EIO=4&transport=websocket%s", more_query);
    int client = upgrade_to(query);
    read_all(client);
    assert_true(t.answer.size > 0);
    assert_events("open websocket;");
    return client;
}

/* --- log ---------------------------------------------------------------------------------- */

/* The lines logged since the last call, all in one text without their times. */
static inline const char *logged(void)
{
    static char text[8192];
    char line[4096];
    size_t size = 0;

    rewind(t.log_file);
    text[0] = '\0';
    while (fgets(line, sizeof(line), t.log_file)) {
        const char *rest = strchr(line, ' ');
        size +=
            (size_t)snprintf(text + size, sizeof(text) - size, "%s", rest ? rest + 1 : line);
    }
    rewind(t.log_file);
    assert_int_equal(ftruncate(fileno(t.log_file), 0), 0);
    return text;
}

/* --- set-up ------------------------------------------------------------------------------- */

static inline void start_server(void)
{
    static const struct eio_handler handler = {
        .open = handler_open,
        .message = handler_message,
        .closed = handler_closed,
        .owner = &t,
    };

    t.server = eio_server_new(t.loop, &t.random, &t.log, &t.options, &handler);
    assert_non_null(t.server);
}

static inline int set_up(void **state)
{
    (void)state;
    memset(&t, 0, sizeof(t));
    t.loop = net_loop_new();
    t.log_file = tmpfile();
    if (!t.loop || !t.log_file)
        return -1;
    /* Ahead of the machine's clock, which then never moves the wheel between two steps of a test. */
    timer_wheel_advance(net_loop_timers(t.loop),
                        net_loop_timers(t.loop)->clock_ms + HEAD_START_MS);
    t.log = (struct log){.fd = fileno(t.log_file), .level = LOG_INFO};
    random_init(&t.random);
    buf_init(&t.events, 1 << 20);
    buf_init(&t.answer, 1 << 24);
    t.options = (struct eio_options){
        .path = STR("/engine.io/"),
        .polling = true,
        .websocket = true,
        .allow_upgrades = true,
        .ping_interval_ms = PING_INTERVAL_MS,
        .ping_timeout_ms = PING_TIMEOUT_MS,
        .upgrade_timeout_ms = UPGRADE_TIMEOUT_MS,
        .max_payload = MAX_PAYLOAD,
        .backlog = BACKLOG,
    };
    start_server();
    return 0;
}

/* For tests that change t.options. */
static inline void restart_server(void)
{
    eio_server_free(t.server);
    start_server();
}

static inline int tear_down(void **state)
{
    (void)state;
    eio_server_close(t.server);
    for (int i = 0; i < t.client_count; i++)
        if (t.clients[i] >= 0)
            close(t.clients[i]);
    turns();
    assert_int_equal(eio_server_sessions(t.server), 0);
    eio_server_free(t.server);
    net_loop_free(t.loop);
    fclose(t.log_file);
    buf_free(&t.events);
    buf_free(&t.answer);
    return 0;
}

#define SESSION_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
