#include "listen_fixture.h"

#include <sys/resource.h>

/* ---- accepting ---- */

static void a_connection_reaches_the_owner_with_its_listener(void **state)
{
    int first = listen_on("127.0.0.1", 0);
    int second = listen_on("127.0.0.1", 0);

    (void)state;
    assert_int_equal(first, 0);
    assert_int_equal(second, 1);
    assert_int_not_equal(net_server_port(server, first), net_server_port(server, second));

    int fd = dial("127.0.0.1", net_server_port(server, second));

    turns(2);
    assert_int_equal(accepted.count, 1);
    assert_int_equal(accepted.listeners[0], second);
    assert_string_equal(net_conn_address(accepted.conns[0]), "127.0.0.1");
    assert_int_equal(net_server_connections(server), 1);

    close(fd);
    turns(2);
    assert_int_equal(accepted.closed, 1);
    assert_int_equal(net_server_connections(server), 0);
}

static bool has_ipv6(void)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    bool works = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;

    if (fd >= 0)
        close(fd);
    return works;
}

static void a_listener_on_all_addresses_takes_ipv4_too(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    assert_int_equal(listen_on("::", 0), 0);

    int v4 = dial("127.0.0.1", net_server_port(server, 0));
    int v6 = dial("::1", net_server_port(server, 0));

    assert_true(v4 >= 0 && v6 >= 0);
    turns(2);
    assert_int_equal(accepted.count, 2);
    assert_string_equal(net_conn_address(accepted.conns[0]), "::ffff:127.0.0.1");
    assert_string_equal(net_conn_address(accepted.conns[1]), "::1");
    close(v4);
    close(v6);
}

static void a_listener_on_one_ipv6_address_leaves_ipv4_alone(void **state)
{
    (void)state;
    if (!has_ipv6())
        skip();
    assert_int_equal(listen_on("::1", 0), 0);

    uint16_t port = net_server_port(server, 0);
    int v6 = dial("::1", port);

    assert_true(v6 >= 0);
    assert_int_equal(dial("127.0.0.1", port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    assert_int_equal(listen_on("127.0.0.1", port), 1);
    close(v6);
}

static void a_thousand_connections_at_once_are_all_accepted(void **state)
{
    static int peers[CONNECTIONS];

    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    /* Nobody accepts yet: the kernel's queue must hold them all, or connect() hangs. */
    for (int i = 0; i < CONNECTIONS; i++) {
        peers[i] = dial("127.0.0.1", net_server_port(server, 0));
        assert_true(peers[i] >= 0);
    }
    turns(CONNECTIONS / 50);
    assert_int_equal(accepted.count, CONNECTIONS);
    assert_int_equal(net_server_connections(server), CONNECTIONS);
    for (int i = 0; i < CONNECTIONS; i++)
        close(peers[i]);
}

/* ---- limits ---- */

static void a_connection_over_the_limit_is_closed_and_counted(void **state)
{
    int peers[3];
    char byte;

    (void)state;
    net_server_free(server);
    server = new_server(2);
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    for (int i = 0; i < 3; i++)
        peers[i] = dial("127.0.0.1", net_server_port(server, 0));
    turns(2);
    assert_int_equal(accepted.count, 2);
    assert_int_equal(net_server_refused(server), 1);
    assert_int_equal(recv(peers[2], &byte, 1, 0), 0);
    close(peers[2]);

    close(peers[0]);
    turns(2);
    peers[0] = dial("127.0.0.1", net_server_port(server, 0));
    turns(2);
    assert_int_equal(accepted.count, 3);
    assert_int_equal(net_server_refused(server), 1);
    close(peers[0]);
    close(peers[1]);
}

static void a_thousand_connections_leave_no_descriptor_behind(void **state)
{
    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);

    int before = open_descriptors();

    for (int i = 0; i < 1000; i++) {
        int fd = dial("127.0.0.1", net_server_port(server, 0));

        assert_true(fd >= 0);
        if (i % 2)
            turns(1); /* else the peer has gone already when it is accepted */
        close(fd);
        turns(2);
        if (accepted.count == PEERS_MAX - 2)
            accepted.count = 0;
    }
    turns(2);
    assert_int_equal(accepted.closed, 1000);
    assert_int_equal(net_server_connections(server), 0);
    assert_int_equal(open_descriptors(), before);
}

static int turn_count;

static int count_turns(void *owner, int wait_ms)
{
    (void)owner;
    turn_count++;
    return wait_ms;
}

static struct timer end_of_wait;

static void fire_stop(struct timer *timer)
{
    (void)timer;
    net_loop_stop(loop);
}

static void run_for(uint64_t ms)
{
    timer_init(&end_of_wait, fire_stop);
    timer_start(net_loop_timers(loop), &end_of_wait, ms);
    assert_int_equal(net_loop_run(loop), 0);
}

/* Lines in the log file since the last call. */
static int lines_logged(void)
{
    char text[8192];
    ssize_t size = read(server_log.fd, text, sizeof(text));
    int lines = 0;

    for (ssize_t i = 0; i < size; i++)
        lines += text[i] == '\n';
    return lines;
}

static void without_free_descriptors_the_loop_rests_and_goes_on_afterwards(void **state)
{
    struct rlimit before, tight;
    int pipe_ends[2];
    (void)state;

    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    assert_int_equal(pipe2(pipe_ends, O_NONBLOCK), 0);
    server_log = (struct log){.fd = pipe_ends[1], .level = LOG_WARN};
    turns(2);

    int fd = dial("127.0.0.1", net_server_port(server, 0));

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    turn_count = 0;
    net_loop_set_prepare(loop, count_turns, NULL);
    run_for(250);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted.count, 0);
    assert_in_range(turn_count, 1, 40);

    run_for(150);
    assert_int_equal(accepted.count, 1);
    server_log.fd = pipe_ends[0];
    assert_int_equal(lines_logged(), 1);
    server_log.level = LOG_OFF;
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    close(fd);
}

/* ---- stopping ---- */

static void a_stopped_server_refuses_new_connections_and_keeps_the_old(void **state)
{
    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);

    uint16_t port = net_server_port(server, 0);
    int fd = dial("127.0.0.1", port);

    turns(2);
    net_server_stop(server);
    net_server_stop(server);
    assert_int_equal(dial("127.0.0.1", port), -1);
    assert_int_equal(errno, ECONNREFUSED);
    turns(2);
    assert_int_equal(accepted.closed, 0);
    assert_int_equal(net_server_connections(server), 1);
    close(fd);
    turns(2);
    assert_int_equal(accepted.closed, 1);
}

static void the_owner_may_stop_the_server_while_it_accepts(void **state)
{
    int peers[3];

    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    accepted.stop_when_accepted = true;
    for (int i = 0; i < 3; i++)
        peers[i] = dial("127.0.0.1", net_server_port(server, 0));
    turns(3);
    assert_int_equal(accepted.count, 1);
    for (int i = 0; i < 3; i++)
        close(peers[i]);
}

static void connections_may_outlive_their_server(void **state)
{
    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);

    int fd = dial("127.0.0.1", net_server_port(server, 0));

    turns(2);
    net_server_free(server);
    server = NULL;
    turns(1);
    close(fd);
    turns(2);
    assert_int_equal(accepted.closed, 1);
}

static void two_servers_may_follow_each_other_on_one_port(void **state)
{
    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);

    uint16_t port = net_server_port(server, 0);
    int fd = dial("127.0.0.1", port);

    turns(2);
    net_server_free(server);
    server = new_server(10);
    assert_int_equal(listen_on("127.0.0.1", port), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_connection_reaches_the_owner_with_its_listener),
        TEST(a_listener_on_all_addresses_takes_ipv4_too),
        TEST(a_listener_on_one_ipv6_address_leaves_ipv4_alone),
        TEST(a_thousand_connections_at_once_are_all_accepted),
        TEST(a_connection_over_the_limit_is_closed_and_counted),
        TEST(a_thousand_connections_leave_no_descriptor_behind),
        TEST(without_free_descriptors_the_loop_rests_and_goes_on_afterwards),
        TEST(a_stopped_server_refuses_new_connections_and_keeps_the_old),
        TEST(the_owner_may_stop_the_server_while_it_accepts),
        TEST(connections_may_outlive_their_server),
        TEST(two_servers_may_follow_each_other_on_one_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
