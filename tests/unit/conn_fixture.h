/*
 * conn_fixture: a connection on a loop, what its owner was told, and the other end of its socket.
 *
 * Callers   test_conn*.c.
 */
#ifndef SKUA_TESTS_CONN_FIXTURE_H
#define SKUA_TESTS_CONN_FIXTURE_H

#include "net/conn.h"
#include "net/conn_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    BACKLOG = 1024 * 1024,
    SMALL_BUFFER = 4096, /* socket buffers that fill at once */
};

static struct net_loop *loop;
static struct net_conn *conn;
static int peer; /* the other end, non-blocking */

/* What the owner was told. */
static struct {
    uint8_t bytes[256 * 1024];
    size_t total; /* bytes read */
    int reads;
    int drained;
    int closed;
    enum net_end why;
    size_t queued_at_end;
    int ended;
    int stopping;
} seen;

static bool at_work; /* what the owner says when the server stops */

/* What the owner does inside `readable` and `stopping`. */
static void (*on_read)(void);
static void (*on_stop)(void);

static inline void readable(void *owner, uint8_t *bytes, size_t size)
{
    assert_ptr_equal(owner, &seen);
    assert_true(size > 0 && seen.total + size <= sizeof(seen.bytes));
    memcpy(seen.bytes + seen.total, bytes, size);
    seen.total += size;
    seen.reads++;
    if (on_read)
        on_read();
}

static inline void drained(void *owner)
{
    assert_ptr_equal(owner, &seen);
    assert_true(net_conn_writable(conn));
    assert_int_equal(net_conn_queued(conn), 0);
    seen.drained++;
}

static inline void closed(void *owner, enum net_end why)
{
    assert_ptr_equal(owner, &seen);
    seen.closed++;
    seen.why = why;
    seen.queued_at_end = net_conn_queued(conn);
}

static inline bool stopping(void *owner)
{
    assert_ptr_equal(owner, &seen);
    seen.stopping++;
    if (on_stop)
        on_stop();
    return at_work;
}

static inline void ended(void *owner)
{
    (void)owner;
    seen.ended++;
}

static const struct net_conn_handler handler = {readable, drained, closed, stopping};

/* ---- turning the loop ---- */

static struct net_task stopper;

static inline void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

/* One turn that does not wait. */
static inline void turn(void)
{
    net_task_init(&stopper, stop);
    net_loop_later(loop, &stopper);
    assert_int_equal(net_loop_run(loop), 0);
}

static inline void turns(int count)
{
    while (count-- > 0)
        turn();
}

/* ---- set-up ---- */

static inline void serve(int fd)
{
    conn = net_conn_new(loop, fd, BACKLOG);
    assert_non_null(conn);
    net_conn_set_handler(conn, &handler, &seen);
    net_conn_on_end(conn, ended, &seen);
}

static inline int set_up_loop(void)
{
    memset(&seen, 0, sizeof(seen));
    on_read = NULL;
    on_stop = NULL;
    at_work = false;
    loop = net_loop_new();
    return loop ? 0 : -1;
}

static inline int set_up(void **state)
{
    int pair[2];
    int size = SMALL_BUFFER;

    (void)state;
    if (set_up_loop() < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair) < 0)
        return -1;
    setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    serve(pair[0]);
    peer = pair[1];
    return 0;
}

/* A connected pair of TCP sockets on the loopback of that family. */
static inline void tcp_pair(int family, int pair[2])
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    struct sockaddr *address =
        family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t size = family == AF_INET ? sizeof(v4) : sizeof(v6);
    int listener = socket(family, SOCK_STREAM, 0);

    assert_int_equal(bind(listener, address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, address, &size), 0);
    pair[1] = socket(family, SOCK_STREAM, 0);
    assert_int_equal(connect(pair[1], address, size), 0);
    pair[0] = accept(listener, NULL, NULL);
    assert_true(pair[0] >= 0);
    assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
    close(listener);
}

static inline int set_up_tcp(void **state)
{
    int pair[2];

    (void)state;
    if (set_up_loop() < 0)
        return -1;
    tcp_pair(AF_INET, pair);
    serve(pair[0]);
    peer = pair[1];
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    if (conn && !seen.ended)
        net_conn_close(conn);
    if (peer >= 0)
        close(peer);
    net_loop_free(loop);
    return 0;
}

static inline void hang_up(void)
{
    close(peer);
    peer = -1;
}

/* ---- what the conn sends ---- */

/* A raw frame of `size` bytes that count on from `first`. */
static inline struct frame *counting(size_t size, size_t first)
{
    struct frame *frame = frame_new(FRAME_RAW, size);

    assert_non_null(frame);
    for (size_t i = 0; i < size; i++)
        frame_payload(frame)[i] = (uint8_t)((first + i) % 251);
    return frame;
}

static inline void send_counting(size_t size, size_t first)
{
    struct frame *frame = counting(size, first);

    net_conn_send(conn, frame);
    frame_unref(frame);
}

/* Reads what waits at the peer and checks that it counts on from `*got`. False at its end. */
static inline bool peer_takes(size_t *got)
{
    static uint8_t bytes[65536];
    ssize_t size;

    while ((size = recv(peer, bytes, sizeof(bytes), 0)) > 0) {
        for (ssize_t i = 0; i < size; i++)
            assert_int_equal(bytes[i], (*got + (size_t)i) % 251);
        *got += (size_t)size;
    }
    if (size < 0)
        assert_int_equal(errno, EAGAIN);
    return size < 0;
}

#define LOCAL(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define TCP(function) cmocka_unit_test_setup_teardown(function, set_up_tcp, tear_down)

#endif
