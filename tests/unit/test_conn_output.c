#include "conn_fixture.h"

/* ---- order and pace ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOCAL(frames_leave_in_order_at_the_end_of_the_turn),
        LOCAL(every_mix_of_sizes_arrives_whole_through_a_small_buffer),
        LOCAL(a_frame_is_shared_and_given_back),
        LOCAL(a_blocked_queue_goes_on_when_the_peer_reads),
        TCP(one_turn_gives_the_kernel_a_bounded_share),
        LOCAL(what_follows_a_part_leaves_when_the_gap_is_over),
        LOCAL(a_conn_may_end_within_the_gap),
        LOCAL(there_is_no_gap_while_the_kernel_takes_nothing),
        LOCAL(what_the_kernel_takes_does_not_count_as_backlog),
        LOCAL(a_queue_at_the_limit_lives_and_one_byte_more_ends_it_from_the_loop),
        LOCAL(a_conn_over_its_limit_can_be_closed_before_it_is_told),
        LOCAL(a_peer_that_asks_and_does_not_read_is_slowed_down_not_thrown_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
