#include "conn_fixture.h"

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

/* ---- when the server stops ---- */

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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        LOCAL(owners_may_close_when_the_server_stops),
        LOCAL(a_server_that_stops_is_told_who_is_at_work_or_has_something_to_send),
        LOCAL(a_conn_that_has_heard_nothing_may_be_given_away),
        LOCAL(one_that_has_heard_something_may_not),
        LOCAL(all_conns_end_as_if_their_peers_had_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
