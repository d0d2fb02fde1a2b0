#include "net/proxy_wait.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    TIMEOUT_MS = 5000,
};

#define HEADER "PROXY TCP4 203.0.113.7 127.0.0.1 5000 443\r\n"

static struct net_loop *loop;
static struct proxy_room room;
static int peer; /* the other end */

/* What was told at the end. */
static struct {
    int calls;
    int fd;
    char address[NET_ADDRESS_MAX];
    bool fault;
} seen;

static void done(struct proxy_room *of, int fd, const char *address, const char *fault)
{
    assert_ptr_equal(of, &room);
    seen.calls++;
    seen.fd = fd;
    strcpy(seen.address, address);
    seen.fault = fault != NULL;
}

/* ---- turning the loop ---- */

static struct net_task stopper;

static void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

static void turn(void)
{
    net_task_init(&stopper, stop);
    net_loop_later(loop, &stopper);
    assert_int_equal(net_loop_run(loop), 0);
}

static int set_up(void **state)
{
    int pair[2];

    (void)state;
    memset(&seen, 0, sizeof(seen));
    seen.fd = -1;
    loop = net_loop_new();
    if (!loop || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return -1;
    proxy_room_init(&room, loop, TIMEOUT_MS, done);
    peer = pair[1];
    return proxy_room_enter(&room, pair[0]) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    proxy_room_clear(&room);
    if (seen.fd >= 0)
        close(seen.fd);
    if (peer >= 0)
        close(peer);
    net_loop_free(loop);
    return 0;
}

static void write_peer(const char *bytes, size_t size)
{
    assert_int_equal(send(peer, bytes, size, MSG_NOSIGNAL), size);
}

static void assert_rest(const char *wanted)
{
    char rest[64] = "";

    assert_int_equal(recv(seen.fd, rest, sizeof(rest), MSG_DONTWAIT), strlen(wanted));
    assert_memory_equal(rest, wanted, strlen(wanted));
}

/* ---- tests ---- */

static void the_header_is_taken_and_the_rest_is_left(void **state)
{
    (void)state;
    write_peer(HEADER "GET /", sizeof(HEADER "GET /") - 1);
    turn();
    assert_int_equal(seen.calls, 1);
    assert_false(seen.fault);
    assert_string_equal(seen.address, "203.0.113.7");
    assert_rest("GET /");
}

static void it_may_come_byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(HEADER); i++) {
        turn();
        assert_int_equal(seen.calls, 0);
        write_peer(HEADER + i, 1);
    }
    turn();
    assert_int_equal(seen.calls, 1);
    assert_false(seen.fault);
}

static void what_is_no_header_is_told_at_once(void **state)
{
    (void)state;
    write_peer("G", 1);
    turn();
    assert_int_equal(seen.calls, 1);
    assert_true(seen.fault);
}

static void a_peer_that_leaves_is_told(void **state)
{
    (void)state;
    write_peer("PROXY ", 6);
    turn();
    close(peer);
    peer = -1;
    turn();
    assert_int_equal(seen.calls, 1);
    assert_true(seen.fault);
}

static void a_peer_that_comes_and_goes_at_once_is_told(void **state)
{
    (void)state;
    write_peer("PROXY ", 6);
    close(peer);
    peer = -1;
    turn();
    assert_int_equal(seen.calls, 1);
    assert_true(seen.fault);
}

static void a_silent_peer_has_its_time(void **state)
{
    struct timer_wheel *wheel = net_loop_timers(loop);
    uint64_t start = wheel->clock_ms;
    (void)state;

    timer_wheel_advance(wheel, start + TIMEOUT_MS - 1);
    assert_int_equal(seen.calls, 0);
    timer_wheel_advance(wheel, start + TIMEOUT_MS);
    assert_int_equal(seen.calls, 1);
    assert_true(seen.fault);
}

static void a_cleared_room_ends_all(void **state)
{
    int pair[2];
    (void)state;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(proxy_room_enter(&room, pair[0]));
    proxy_room_clear(&room);
    assert_int_equal(seen.calls, 2);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_header_is_taken_and_the_rest_is_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(it_may_come_byte_by_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_header_is_told_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_leaves_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_comes_and_goes_at_once_is_told, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_silent_peer_has_its_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_cleared_room_ends_all, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
