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
    uint8_t bytes[256];
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

static void readable(void *owner, uint8_t *bytes, size_t size)
{
    assert_ptr_equal(owner, &seen);
    for (size_t i = 0; i < size && seen.total + i < sizeof(seen.bytes); i++)
        seen.bytes[seen.total + i] = bytes[i];
    seen.total += size;
    seen.reads++;
    if (on_read)
        on_read();
}

static void drained(void *owner)
{
    assert_ptr_equal(owner, &seen);
    assert_true(net_conn_writable(conn));
    seen.drained++;
}

static void closed(void *owner, enum net_end why)
{
    assert_ptr_equal(owner, &seen);
    seen.closed++;
    seen.why = why;
    seen.queued_at_end = net_conn_queued(conn);
}

static bool stopping(void *owner)
{
    assert_ptr_equal(owner, &seen);
    seen.stopping++;
    if (on_stop)
        on_stop();
    return at_work;
}

static void ended(void *owner)
{
    (void)owner;
    seen.ended++;
}

static const struct net_conn_handler handler = {readable, drained, closed, stopping};

/* ---- turning the loop ---- */

static struct net_task stopper;

static void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

/* One turn that does not wait. */
static void turn(void)
{
    net_task_init(&stopper, stop);
    net_loop_later(loop, &stopper);
    assert_int_equal(net_loop_run(loop), 0);
}

static void turns(int count)
{
    while (count-- > 0)
        turn();
}

/* ---- set-up ---- */

static void serve(int fd)
{
    conn = net_conn_new(loop, fd, BACKLOG);
    assert_non_null(conn);
    net_conn_set_handler(conn, &handler, &seen);
    net_conn_on_end(conn, ended, &seen);
}

static int set_up_loop(void)
{
    memset(&seen, 0, sizeof(seen));
    on_read = NULL;
    on_stop = NULL;
    loop = net_loop_new();
    return loop ? 0 : -1;
}

static int set_up(void **state)
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
static void tcp_pair(int family, int pair[2])
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

static int set_up_tcp(void **state)
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

static int tear_down(void **state)
{
    (void)state;
    if (conn && !seen.ended)
        net_conn_close(conn);
    if (peer >= 0)
        close(peer);
    net_loop_free(loop);
    return 0;
}

static void hang_up(void)
{
    close(peer);
    peer = -1;
}

/* ---- output ---- */

/* A raw frame of `size` bytes that count on from `first`. */
static struct frame *counting(size_t size, size_t first)
{
    struct frame *frame = frame_new(FRAME_RAW, size);

    assert_non_null(frame);
    for (size_t i = 0; i < size; i++)
        frame_payload(frame)[i] = (uint8_t)((first + i) % 251);
    return frame;
}

static void send_counting(size_t size, size_t first)
{
    struct frame *frame = counting(size, first);

    net_conn_send(conn, frame);
    frame_unref(frame);
}

/* Reads what waits at the peer and checks that it counts on from `*got`. False at its end. */
static bool peer_takes(size_t *got)
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

static void frames_leave_in_order_at_the_end_of_the_turn(void **state)
{
    size_t got = 0;

    (void)state;
    for (size_t i = 0; i < 10; i++)
        send_counting(10, i * 10);
    assert_int_equal(net_conn_queued(conn), 100);
    assert_false(net_conn_writable(conn));
    assert_true(peer_takes(&got));
    assert_int_equal(got, 0);

    turn();
    assert_true(peer_takes(&got));
    assert_int_equal(got, 100);
    assert_int_equal(net_conn_queued(conn), 0);
    assert_true(net_conn_writable(conn));
    assert_int_equal(seen.drained, 1);
    turn();
    assert_int_equal(seen.drained, 1);
}

/* Sizes around the border between copied and vectored frames, more frames than one call takes. */
static void every_mix_of_sizes_arrives_whole_through_a_small_buffer(void **state)
{
    static const size_t sizes[] = {1, 1023, 1024, 1025, 7, 5000, 70000, 3, 0, 2};
    size_t sent = 0;
    size_t got = 0;

    (void)state;
    net_conn_set_backlog(conn, 64 * BACKLOG);
    for (int i = 0; i < 600; i++) {
        size_t size = sizes[i % 10] > 5000 && i > 50 ? 11 : sizes[i % 10];

        send_counting(size, sent);
        sent += size;
    }
    while (net_conn_queued(conn) > 0) {
        turn();
        assert_true(peer_takes(&got));
    }
    assert_int_equal(got, sent);
    assert_int_equal(seen.drained, 1);
}

static void a_frame_is_shared_and_given_back(void **state)
{
    struct frame *frame = counting(100, 0);
    size_t got = 0;

    (void)state;
    net_conn_send(conn, frame);
    net_conn_close(
        conn); /* leaks, or frees too early, under AddressSanitizer if it miscounts */
    assert_int_equal(*frame_payload(frame), 0);
    frame_unref(frame);
    turn();
    assert_false(peer_takes(&got));
    assert_int_equal(seen.closed, 0);
}

static void a_blocked_queue_goes_on_when_the_peer_reads(void **state)
{
    size_t got = 0;

    (void)state;
    send_counting(200000, 0);
    turns(3);
    assert_true(net_conn_queued(conn) > 0);
    assert_int_equal(seen.drained, 0);
    while (net_conn_queued(conn) > 0) {
        assert_true(peer_takes(&got));
        turn();
    }
    assert_true(peer_takes(&got));
    assert_int_equal(got, 200000);
    assert_int_equal(seen.drained, 1);
}

static void one_turn_gives_the_kernel_a_bounded_share(void **state)
{
    size_t size = BACKLOG / 4;

    (void)state;
    net_conn_set_backlog(conn, 64 * BACKLOG);
    for (int i = 0; i < 20; i++)
        send_counting(size, 0);
    turn();
    assert_in_range(20 * size - net_conn_queued(conn), 1, BACKLOG);
}

/* ---- parts ---- */

/* Moves the timers' clock ahead of the real one, so that only this moves it. */
static void pass_ms(uint64_t ms)
{
    struct timer_wheel *wheel = net_loop_timers(loop);

    timer_wheel_advance(wheel, wheel->clock_ms + ms);
    turn();
}

/* 10 bytes that have left and 10 that wait for the gap's end. */
static void part(void)
{
    size_t got = 0;

    pass_ms(UINT64_C(3600) * 1000);
    send_counting(10, 0);
    net_conn_part(conn);
    send_counting(10, 10);
    assert_true(peer_takes(&got));
    assert_int_equal(got, 10);
    turns(3);
    assert_true(peer_takes(&got));
    assert_int_equal(got, 10);
    assert_int_equal(net_conn_queued(conn), 10);
    assert_int_equal(seen.drained, 0);
}

static void what_follows_a_part_leaves_when_the_gap_is_over(void **state)
{
    size_t got = 10;

    (void)state;
    part();
    pass_ms(NET_CONN_GAP_MS);
    assert_true(peer_takes(&got));
    assert_int_equal(got, 20);
    assert_int_equal(seen.drained, 1);

    send_counting(10, 20);
    turn();
    assert_true(peer_takes(&got));
    assert_int_equal(got, 30);
}

static void a_conn_may_end_within_the_gap(void **state)
{
    size_t got = 10;

    (void)state;
    part();
    net_conn_finish(conn, 0);
    turn();
    assert_false(peer_takes(&got));
    assert_int_equal(got, 20);
    assert_int_equal(seen.ended, 1);

    tear_down(state);
    assert_int_equal(set_up(state), 0);
    part();
    hang_up();
    turns(2);
    assert_int_equal(seen.closed, 1);
}

static void there_is_no_gap_while_the_kernel_takes_nothing(void **state)
{
    size_t got = 0;

    (void)state;
    send_counting(200000, 0);
    net_conn_part(conn);
    while (net_conn_queued(conn) > 0) {
        assert_true(peer_takes(&got));
        turn();
    }
    assert_true(peer_takes(&got));
    assert_int_equal(got, 200000);
}

/* ---- the backlog ---- */

static void what_the_kernel_takes_does_not_count_as_backlog(void **state)
{
    (void)state;
    net_conn_set_backlog(conn, 100);
    send_counting(1000, 0);
    turn();
    assert_int_equal(seen.closed, 0);
    assert_int_equal(seen.drained, 1);
}

static void a_queue_at_the_limit_lives_and_one_byte_more_ends_it_from_the_loop(void **state)
{
    (void)state;
    send_counting(100000, 0);
    turn();
    net_conn_set_backlog(conn, net_conn_queued(conn) + 10);
    send_counting(10, 0);
    turn();
    assert_int_equal(seen.closed, 0);

    send_counting(1, 0);
    assert_int_equal(seen.closed, 0);
    send_counting(1, 0);
    assert_false(net_conn_writable(conn));
    turn();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_BACKLOG);
    assert_true(seen.queued_at_end > 11);
    assert_int_equal(seen.ended, 1);
}

static void a_conn_over_its_limit_can_be_closed_before_it_is_told(void **state)
{
    (void)state;
    net_conn_set_backlog(conn, 100);
    send_counting(500000, 0);
    net_conn_close(conn);
    turn();
    assert_int_equal(seen.closed, 0);
    assert_int_equal(seen.ended, 1);
}

static void echo_much(void)
{
    send_counting(20000, 0);
}

static void a_peer_that_asks_and_does_not_read_is_slowed_down_not_thrown_out(void **state)
{
    static const uint8_t request[16];
    size_t got = 0;
    int asked = 0;
    int reads;

    (void)state;
    net_conn_set_backlog(conn, 80000);
    on_read = echo_much;
    for (int i = 0; i < 100; i++) {
        if (send(peer, request, sizeof(request), MSG_NOSIGNAL) > 0)
            asked++;
        turn();
    }
    assert_int_equal(seen.closed, 0);
    assert_in_range(seen.reads, 1, 4);
    assert_true(seen.total < (size_t)asked * sizeof(request));

    reads = seen.reads;
    on_read = NULL;
    for (int i = 0; i < 100; i++) {
        static uint8_t sink[65536];

        while (recv(peer, sink, sizeof(sink), 0) > 0)
            got++;
        turn();
    }
    assert_true(seen.reads > reads);
    assert_int_equal(seen.total, (size_t)asked * sizeof(request));
}

/* ---- input ---- */

static void bytes_reach_the_owner(void **state)
{
    (void)state;
    assert_int_equal(send(peer, "hello", 5, 0), 5);
    turn();
    assert_int_equal(seen.total, 5);
    assert_memory_equal(seen.bytes, "hello", 5);
}

static void bytes_before_the_end_are_read_before_the_end_is_told(void **state)
{
    (void)state;
    assert_int_equal(send(peer, "bye", 3, 0), 3);
    hang_up();
    turns(2);
    assert_int_equal(seen.total, 3);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_CLOSED);
    assert_int_equal(seen.ended, 1);
}

static void answer(void)
{
    send_counting(5, 0);
}

static void a_peer_that_ended_its_side_gets_the_answer_of_that_turn(void **state)
{
    size_t got = 0;

    (void)state;
    on_read = answer;
    assert_int_equal(send(peer, "ask", 3, 0), 3);
    shutdown(peer, SHUT_WR);
    turns(2);
    assert_int_equal(seen.why, NET_END_CLOSED);
    assert_false(peer_takes(&got));
    assert_int_equal(got, 5);
}

static void a_reset_is_an_error(void **state)
{
    struct linger reset = {.l_onoff = 1};

    (void)state;
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    hang_up();
    turn();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_ERROR);
}

static void writing_to_a_peer_that_is_gone_ends_the_conn_once(void **state)
{
    struct linger reset = {.l_onoff = 1};

    (void)state;
    net_conn_pause(conn, true);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    hang_up();
    send_counting(100, 0);
    turns(2);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_ERROR);
    assert_int_equal(seen.ended, 1);
}

static void a_paused_conn_is_not_read_and_notices_a_reset(void **state)
{
    struct linger reset = {.l_onoff = 1};

    (void)state;
    net_conn_pause(conn, true);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turns(2);
    assert_int_equal(seen.total, 0);
    net_conn_pause(conn, false);
    turn();
    assert_int_equal(seen.total, 1);

    net_conn_pause(conn, true);
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    hang_up();
    turn();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_ERROR);
}

static void close_inside(void)
{
    net_conn_close(conn);
}

static void the_owner_may_close_while_it_reads(void **state)
{
    (void)state;
    on_read = close_inside;
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turn();
    assert_int_equal(seen.reads, 1);
    assert_int_equal(seen.closed, 0);
    assert_int_equal(seen.ended, 1);
}

static void pause_inside(void)
{
    net_conn_pause(conn, true);
}

static void a_pause_inside_a_read_ends_the_reading(void **state)
{
    static uint8_t bytes[NET_LOOP_READ_SIZE + 1];
    int size = 4 * NET_LOOP_READ_SIZE;

    (void)state;
    on_read = pause_inside;
    setsockopt(peer, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    assert_int_equal(send(peer, bytes, sizeof(bytes), 0), sizeof(bytes));
    turns(2);
    assert_int_equal(seen.total, NET_LOOP_READ_SIZE);
    net_conn_pause(conn, false);
    turn();
    assert_int_equal(seen.total, sizeof(bytes));
}

/* ---- finishing ---- */

static void a_finished_conn_sends_all_and_waits_for_the_peers_end(void **state)
{
    size_t got = 0;

    (void)state;
    send_counting(200000, 0);
    net_conn_finish(conn, 10000);
    send_counting(1, 0); /* dropped */
    while (peer_takes(&got)) {
        turn();
        assert_int_equal(seen.ended, 0);
    }
    assert_int_equal(got, 200000);

    assert_int_equal(send(peer, "late", 4, 0), 4); /* thrown away */
    turns(2);
    assert_int_equal(seen.ended, 0);
    hang_up();
    turn();
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.reads, 0);
    assert_int_equal(seen.closed, 0);
    assert_int_equal(seen.drained, 0);
}

static void the_last_answer_survives_input_that_nobody_read(void **state)
{
    static uint8_t flood[100000];
    size_t got = 0;

    (void)state;
    assert_true(send(peer, flood, sizeof(flood), 0) > 0);
    send_counting(50000, 0);
    net_conn_finish(conn, 10000);
    while (peer_takes(&got))
        turn();
    assert_int_equal(got, 50000);
    hang_up();
    turns(2);
    assert_int_equal(seen.ended, 1);
}

static void without_linger_the_conn_ends_when_all_is_sent(void **state)
{
    size_t got = 0;

    (void)state;
    send_counting(10, 0);
    net_conn_finish(conn, 0);
    turn();
    assert_int_equal(seen.ended, 1);
    assert_false(peer_takes(&got));
    assert_int_equal(got, 10);
}

static struct timer end_of_test;

static void fire_stop(struct timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

static void a_peer_that_never_ends_is_left_after_the_linger_time(void **state)
{
    (void)state;
    net_conn_finish(conn, 5);
    turn();
    assert_int_equal(seen.ended, 0);
    timer_init(&end_of_test, fire_stop);
    timer_start(net_loop_timers(loop), &end_of_test, 50);
    assert_int_equal(net_loop_run(loop), 0);
    assert_int_equal(seen.ended, 1);
}

static void a_half_closed_peer_still_gets_what_a_finished_conn_owes(void **state)
{
    size_t got = 0;

    (void)state;
    send_counting(200000, 0);
    net_conn_finish(conn, 10000);
    shutdown(peer, SHUT_WR);
    turns(2);
    while (peer_takes(&got))
        turn();
    assert_int_equal(got, 200000);
    turn();
    assert_int_equal(seen.ended, 1);
}

static void a_reset_ends_a_finishing_conn_at_once(void **state)
{
    struct linger reset = {.l_onoff = 1};

    (void)state;
    net_conn_finish(conn, 10000);
    turn();
    assert_int_equal(setsockopt(peer, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    hang_up();
    turns(2);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.closed, 0);
}

/* ---- addresses ---- */

static void addresses_are_shown_as_the_reference_shows_them(void **state)
{
    int pair[2];

    (void)state;
    assert_string_equal(net_conn_address(conn), "127.0.0.1");

    tcp_pair(AF_INET6, pair);
    struct net_conn *v6 = net_conn_new(loop, pair[0], BACKLOG);
    assert_string_equal(net_conn_address(v6), "::1");
    net_conn_close(v6);
    close(pair[1]);

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    struct net_conn *local = net_conn_new(loop, pair[0], BACKLOG);
    assert_string_equal(net_conn_address(local), "");
    assert_true(fcntl(pair[0], F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(pair[0], F_GETFD) & FD_CLOEXEC);
    net_conn_close(local);
    close(pair[1]);
}

static void a_conn_that_cannot_be_made_closes_its_descriptor(void **state)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC); /* epoll takes no such files */

    (void)state;
    assert_true(fd >= 0);
    assert_null(net_conn_new(loop, fd, BACKLOG));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
}

static void close_conn(void)
{
    net_conn_close(conn);
}

static void owners_may_close_when_the_server_stops(void **state)
{
    int pair[2];

    (void)state;
    net_conns_stop(loop);
    assert_int_equal(seen.stopping, 1);
    assert_int_equal(seen.ended, 0);

    on_stop = close_conn;
    net_conns_stop(loop);
    assert_int_equal(seen.ended, 1);
    assert_int_equal(seen.closed, 0);
    turn();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    serve(pair[0]);
    net_conn_finish(conn, 10000); /* has no owner any more */
    net_conns_stop(loop);
    assert_int_equal(seen.stopping, 2);
    net_conns_end(loop);
    close(pair[1]);
}

static void a_server_that_stops_is_told_who_is_at_work_or_has_something_to_send(void **state)
{
    (void)state;
    at_work = true;
    assert_int_equal(net_conns_stop(loop), 1);
    at_work = false;
    assert_int_equal(net_conns_stop(loop), 0);
    send_counting(1, 0);
    assert_int_equal(net_conns_stop(loop), 1);
    turn();
    assert_int_equal(net_conns_stop(loop), 0);
}

static bool takes;
static int offered;

static bool take(void *owner, int listener, int fd)
{
    assert_ptr_equal(owner, &offered);
    assert_int_equal(listener, 5);
    assert_true(fd >= 0);
    offered++;
    return takes;
}

static void a_conn_that_has_heard_nothing_may_be_given_away(void **state)
{
    (void)state;
    offered = 0;
    takes = false;
    net_conns_give(loop, take, &offered); /* has no listener */
    assert_int_equal(offered, 0);
    net_conn_set_listener(conn, 5);
    net_conns_give(loop, take, &offered);
    assert_int_equal(offered, 1);
    assert_int_equal(seen.closed, 0);
    takes = true;
    net_conns_give(loop, take, &offered);
    assert_int_equal(offered, 2);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_CLOSED);
}

static void one_that_has_heard_something_may_not(void **state)
{
    (void)state;
    offered = 0;
    net_conn_set_listener(conn, 5);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    turn();
    net_conns_give(loop, take, &offered);
    assert_int_equal(offered, 0);
}

static void all_conns_end_as_if_their_peers_had_gone(void **state)
{
    int pair[2];

    (void)state;
    net_conn_finish(conn, 10000); /* has no owner any more, and waits for its peer */
    turn();
    assert_int_equal(seen.ended, 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    serve(pair[0]);
    net_conns_end(loop);
    assert_int_equal(seen.ended, 2);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_CLOSED);
    net_conns_end(loop);
    turn();
    close(pair[1]);
}

#define LOCAL(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
#define TCP(function) cmocka_unit_test_setup_teardown(function, set_up_tcp, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL(frames_leave_in_order_at_the_end_of_the_turn),
        LOCAL(owners_may_close_when_the_server_stops),
        LOCAL(a_server_that_stops_is_told_who_is_at_work_or_has_something_to_send),
        LOCAL(a_conn_that_has_heard_nothing_may_be_given_away),
        LOCAL(one_that_has_heard_something_may_not),
        LOCAL(all_conns_end_as_if_their_peers_had_gone),
        LOCAL(every_mix_of_sizes_arrives_whole_through_a_small_buffer),
        LOCAL(a_frame_is_shared_and_given_back),
        LOCAL(a_blocked_queue_goes_on_when_the_peer_reads),
        LOCAL(what_follows_a_part_leaves_when_the_gap_is_over),
        LOCAL(a_conn_may_end_within_the_gap),
        LOCAL(there_is_no_gap_while_the_kernel_takes_nothing),
        TCP(one_turn_gives_the_kernel_a_bounded_share),
        LOCAL(what_the_kernel_takes_does_not_count_as_backlog),
        LOCAL(a_queue_at_the_limit_lives_and_one_byte_more_ends_it_from_the_loop),
        LOCAL(a_conn_over_its_limit_can_be_closed_before_it_is_told),
        LOCAL(a_peer_that_asks_and_does_not_read_is_slowed_down_not_thrown_out),
        LOCAL(bytes_reach_the_owner),
        LOCAL(bytes_before_the_end_are_read_before_the_end_is_told),
        LOCAL(a_peer_that_ended_its_side_gets_the_answer_of_that_turn),
        TCP(a_reset_is_an_error),
        TCP(writing_to_a_peer_that_is_gone_ends_the_conn_once),
        TCP(a_paused_conn_is_not_read_and_notices_a_reset),
        LOCAL(the_owner_may_close_while_it_reads),
        LOCAL(a_pause_inside_a_read_ends_the_reading),
        LOCAL(a_finished_conn_sends_all_and_waits_for_the_peers_end),
        TCP(the_last_answer_survives_input_that_nobody_read),
        LOCAL(without_linger_the_conn_ends_when_all_is_sent),
        LOCAL(a_peer_that_never_ends_is_left_after_the_linger_time),
        LOCAL(a_half_closed_peer_still_gets_what_a_finished_conn_owes),
        TCP(a_reset_ends_a_finishing_conn_at_once),
        TCP(addresses_are_shown_as_the_reference_shows_them),
        TCP(a_conn_that_cannot_be_made_closes_its_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
