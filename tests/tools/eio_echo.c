/*
 * eio_echo: an Engine.IO server without Socket.IO that sends every message back, for the official
 * Engine.IO protocol suite.
 *
 *   build/tests/tools/eio_echo PORT [legacy]
 *
 * With "legacy" it serves protocol 3 too. Listens on 127.0.0.1 with the suite's settings: path /engine.io/, pings every 300 ms, answered
 * within 200 ms, bodies and messages of up to 1,000,000 bytes.
 */
#include "engineio/engineio.h"
#include "net/listen.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    PING_INTERVAL_MS = 300,
    PING_TIMEOUT_MS = 200,
    UPGRADE_TIMEOUT_MS = 10000,
    MAX_PAYLOAD = 1000 * 1000,
    BACKLOG = 16 * 1024 * 1024,
    CONNECTIONS = 10000,
};

static struct log log_lines = {.fd = STDERR_FILENO, .level = LOG_INFO};

static bool echo_open(void *owner, struct eio_session *session)
{
    (void)owner;
    (void)session;
    return true;
}

static struct frame *copy_of(enum frame_kind kind, const uint8_t *bytes, size_t size)
{
    struct frame *frame;
    char *text;

    if (kind == FRAME_TEXT) {
        frame = eio_text_message(size, &text);
        if (frame)
            memcpy(text, bytes, size);
        return frame;
    }
    frame = frame_new(FRAME_BINARY, size);
    if (frame)
        memcpy(frame_payload(frame), bytes, size);
    return frame;
}

static void echo_message(struct eio_session *session, enum frame_kind kind, uint8_t *bytes,
                         size_t size)
{
    struct frame *frame = copy_of(kind, bytes, size);

    if (!frame) {
        eio_session_close(session);
        return;
    }
    eio_session_send(session, frame);
    frame_unref(frame);
}

static void echo_closed(struct eio_session *session, enum eio_close_reason reason)
{
    (void)session;
    (void)reason;
}

static void serve(void *owner, struct http_exchange *exchange)
{
    struct eio_server *server = owner;
    const struct http_request *request = http_exchange_request(exchange);

    if (eio_server_matches(server, request->target))
        eio_server_request(server, exchange);
    else if (request->upgrade)
        http_exchange_silence(exchange, 1000);
    else
        http_exchange_respond(exchange, &(struct http_response){
                                            .status = 404,
                                            .body = STR(""),
                                            .chunked = true,
                                        });
}

static void accepted(void *owner, struct net_conn *conn, int listener)
{
    const struct http_service *service = owner;

    (void)listener;
    http1_serve(conn, service, &http_limits_default, &log_lines, false);
}

static void listen_on(struct net_loop *loop, uint16_t port, struct http_service *service)
{
    struct net_server_options options = {
        .loop = loop,
        .log = &log_lines,
        .connections = CONNECTIONS,
        .backlog = BACKLOG,
        .accepted = accepted,
        .owner = service,
    };
    struct net_listen_spec spec = {.text = "echo", .host = "127.0.0.1", .port = port};
    struct net_server *server = net_server_new(&options);
    char error[256] = "out of memory";

    if (!server || net_server_listen(server, &spec, error, sizeof(error)) < 0) {
        fprintf(stderr, "eio_echo: %s\n", error);
        exit(1);
    }
}

int main(int count, char **arguments)
{
    static struct random random;
    const bool legacy = count == 3 && strcmp(arguments[2], "legacy") == 0;
    const struct eio_options options = {
        .path = STR("/engine.io/"),
        .polling = true,
        .websocket = true,
        .allow_upgrades = true,
        .legacy_clients = legacy,
        .ping_interval_ms = PING_INTERVAL_MS,
        .ping_timeout_ms = PING_TIMEOUT_MS,
        .upgrade_timeout_ms = UPGRADE_TIMEOUT_MS,
        .max_payload = MAX_PAYLOAD,
        .backlog = BACKLOG,
        .cors = {.mode = CORS_ANY},
    };
    const struct eio_handler handler = {
        .open = echo_open,
        .message = echo_message,
        .closed = echo_closed,
    };

    if (count != 2 && !legacy) {
        fprintf(stderr, "usage: eio_echo PORT [legacy]\n");
        return 2;
    }
    random_init(&random);
    signal(SIGPIPE, SIG_IGN);
    struct net_loop *loop = net_loop_new();
    struct eio_server *server = eio_server_new(loop, &random, &log_lines, &options, &handler);
    struct http_service service = {.request = serve, .owner = server};
    listen_on(loop, (uint16_t)strtoul(arguments[1], NULL, 10), &service);
    return net_loop_run(loop) == 0 ? 0 : 1;
}
