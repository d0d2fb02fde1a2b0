/*
 * http_fixture: one HTTP connection over a pair of sockets, served by the test's on_request(), and
 * the client's end of it, which speaks by hand.
 *
 * Callers   test_http1.c, test_ws.c.
 */
#ifndef TEST_HTTP_FIXTURE_H
#define TEST_HTTP_FIXTURE_H

#include "base/buf.h"
#include "net/http1.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    BACKLOG = 1024 * 1024,
    TEXT_MAX = 4 << 20, /* bytes of what a test collects */
    TURNS = 6,          /* enough for bytes to be read, answered, sent and the end to be seen */
};

static struct net_loop *loop;
static struct http_limits limits;
static const struct log quiet = {.fd = -1, .level = LOG_OFF};
static int peer; /* the client's end, non-blocking; -1 when it is closed */
static bool peer_ended;
static struct buf answer; /* what the client got, "Date: …" without its value */
static struct buf events; /* what the server's side was told */

/* The test's. */
static void on_request(void *owner, struct http_exchange *exchange);

static const struct http_service service = {.request = on_request};

/* --- turns of the loop --------------------------------------------------------------------- */

static inline void stop_loop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

/* Turns that do not wait. */
static inline void turns(int count)
{
    static struct net_task stopper;

    for (; count > 0; count--) {
        net_task_init(&stopper, stop_loop);
        net_loop_later(loop, &stopper);
        assert_int_equal(net_loop_run(loop), 0);
    }
}

/* --- the client ---------------------------------------------------------------------------- */

/* The bytes with a NUL behind them, for the functions of string.h. */
static inline char *text_of(struct buf *buf)
{
    buf_add_byte(buf, '\0');
    buf->size--;
    return buf->at;
}

static inline void mask_dates(void)
{
    static const size_t value = sizeof("Thu, 01 Jan 1970 00:00:00 GMT") - 1;
    char *at = text_of(&answer);

    while ((at = strstr(at, "Date: ")) != NULL) {
        at += strlen("Date: ");
        if (*at == '\r')
            continue;
        memmove(at, at + value, strlen(at + value) + 1);
        answer.size -= value;
    }
}

static inline void receive(void)
{
    char bytes[4096];
    ssize_t size;

    while ((size = recv(peer, bytes, sizeof(bytes), 0)) > 0)
        buf_add(&answer, bytes, (size_t)size);
    if (size == 0 || errno != EAGAIN)
        peer_ended = true;
    mask_dates();
}

static inline void settle(void)
{
    turns(TURNS);
    receive();
}

static inline void send_bytes(const void *bytes, size_t size)
{
    assert_int_equal(send(peer, bytes, size, MSG_NOSIGNAL), size);
    settle();
}

static inline void send_text(const char *text)
{
    send_bytes(text, strlen(text));
}

/* Of a stream that is cut: a peer that was refused does not take the rest. */
static inline void send_piece(const char *bytes, size_t size)
{
    if (size > 0 && !peer_ended && send(peer, bytes, size, MSG_NOSIGNAL) < 0)
        assert_int_equal(errno, EPIPE);
    settle();
}

static inline void connect_peer(void)
{
    int pair[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer = pair[0];
    peer_ended = false;
    buf_reset(&answer);
    buf_reset(&events);
    http1_serve(net_conn_new(loop, pair[1], BACKLOG), &service, &limits, &quiet, false);
}

static inline void disconnect_peer(void)
{
    if (peer >= 0)
        close(peer);
    peer = -1;
    turns(TURNS);
}

/* --- what came of it ----------------------------------------------------------------------- */

static inline void is(const struct buf *buf, const void *expected, size_t size)
{
    if (!str_equal(buf_str(buf), str_of(expected, size)))
        fail_msg("%zu bytes: %.*s\nnot %zu: %.*s", buf->size, (int)buf->size, buf->at, size,
                 (int)size, (const char *)expected);
}

static inline void got(const char *expected)
{
    is(&answer, expected, strlen(expected));
}

static inline void saw(const char *expected)
{
    is(&events, expected, strlen(expected));
}

/* --- set-up -------------------------------------------------------------------------------- */

static inline int fixture_setup(void **state)
{
    (void)state;
    limits = http_limits_default;
    peer = -1;
    buf_init(&answer, TEXT_MAX);
    buf_init(&events, TEXT_MAX);
    loop = net_loop_new();
    return 0;
}

static inline int fixture_teardown(void **state)
{
    (void)state;
    disconnect_peer();
    net_loop_free(loop);
    buf_free(&answer);
    buf_free(&events);
    return 0;
}

#endif
