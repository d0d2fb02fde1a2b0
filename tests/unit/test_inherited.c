#include "net/inherited.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static struct inherited *set;
static char error[256];

static int set_up(void **state)
{
    (void)state;
    set = inherited_new();
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return set ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    inherited_free(set);
    return 0;
}

/* A listening socket on a free port of that address. */
static int listening_on(uint32_t address)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&v4, sizeof(v4)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void a_socket_is_taken_once_by_its_name_and_is_the_takers(void **state)
{
    int first = listening_on(INADDR_LOOPBACK);
    int second = listening_on(INADDR_LOOPBACK);
    (void)state;

    assert_null(inherited_add(set, "127.0.0.1 0", first));
    assert_null(inherited_add(set, "127.0.0.1 0", second));
    assert_true(fcntl(first, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(first, F_GETFL) & O_NONBLOCK);
    assert_int_equal(inherited_take(set, "127.0.0.1 80"), -1);
    assert_int_equal(inherited_take(set, "127.0.0.1 0"), first);
    inherited_free(set);
    set = NULL;
    assert_true(is_open(first));
    assert_false(is_open(second));
    close(first);
}

static void a_socket_is_found_by_the_address_that_it_is_bound_to(void **state)
{
    int fd = listening_on(INADDR_LOOPBACK);
    struct sockaddr_in wanted;
    socklen_t size = sizeof(wanted);
    (void)state;

    assert_null(inherited_add(set, "127.0.0.1 0", fd));
    getsockname(fd, (struct sockaddr *)&wanted, &size);
    wanted.sin_port = (in_port_t)(wanted.sin_port ^ 1);
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&wanted), -1);
    wanted.sin_port = (in_port_t)(wanted.sin_port ^ 1);
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&wanted), fd);
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&wanted), -1);
    close(fd);
}

static void unix_sockets_are_found_by_their_paths(void **state)
{
    char folder[] = "/tmp/skua-inherited-XXXXXX";
    struct sockaddr_un bound = {.sun_family = AF_UNIX};
    struct sockaddr_un other = bound;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    (void)state;

    assert_non_null(mkdtemp(folder));
    snprintf(bound.sun_path, sizeof(bound.sun_path), "%s/a", folder);
    snprintf(other.sun_path, sizeof(other.sun_path), "%s/b", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&bound, sizeof(bound)), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_null(inherited_add(set, "unix:somewhere", fd));
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&other), -1);
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&bound), fd);
    close(fd);
    unlink(bound.sun_path);
    rmdir(folder);
}

static void the_files_of_unix_sockets_that_nobody_takes_go_with_them(void **state)
{
    static const char *const prefixes[] = {"unix:", "systemd:"};
    char path[] = "/tmp/skua-inherited-XXXXXX";
    (void)state;

    close(mkstemp(path));
    for (int i = 1; i >= 0; i--) {
        char name[64];

        snprintf(name, sizeof(name), "%s%s", prefixes[i], path);
        assert_null(inherited_add(set, name, listening_on(INADDR_LOOPBACK)));
        inherited_end(set);
        assert_int_equal(access(path, F_OK), i == 0 ? -1 : 0);
        set = inherited_new();
    }
}

static void what_does_not_listen_is_refused_and_closed(void **state)
{
    int datagram = socket(AF_INET, SOCK_DGRAM, 0);
    int silent = socket(AF_INET, SOCK_STREAM, 0);
    int fd = listening_on(INADDR_LOOPBACK);
    char name[INHERITED_NAME_MAX + 1];
    (void)state;

    assert_string_equal(inherited_add(set, "a", datagram), "it is no listening stream socket");
    assert_string_equal(inherited_add(set, "a", silent), "it is no listening stream socket");
    assert_string_equal(inherited_add(set, "a", silent), "it is not open");
    memset(name, 'n', INHERITED_NAME_MAX);
    name[INHERITED_NAME_MAX] = '\0';
    assert_string_equal(inherited_add(set, name, fd), "its name is too long");
    assert_false(is_open(datagram) || is_open(silent) || is_open(fd));
}

/* --- systemd -------------------------------------------------------------------------------- */

/* Descriptors 3 and on as systemd passes them; what was there is kept aside. */
enum {
    PASSED = 3,
    FIRST = 3,
};

static int aside[PASSED];

static void pass_sockets(void)
{
    for (int i = 0; i < PASSED; i++) {
        int fd;

        aside[i] = fcntl(FIRST + i, F_DUPFD, 64);
        fd = listening_on(INADDR_LOOPBACK);
        assert_int_equal(dup2(fd, FIRST + i), FIRST + i);
        if (fd != FIRST + i)
            close(fd);
    }
}

static void put_back(void)
{
    for (int i = 0; i < PASSED; i++) {
        if (aside[i] < 0) {
            close(FIRST + i);
            continue;
        }
        dup2(aside[i], FIRST + i);
        close(aside[i]);
    }
}

static void set_number(const char *variable, long number)
{
    char text[32];

    snprintf(text, sizeof(text), "%ld", number);
    setenv(variable, text, 1);
}

static void systemds_sockets_are_taken_by_name_or_all(void **state)
{
    char found[INHERITED_NAME_MAX];
    (void)state;

    pass_sockets();
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", PASSED);
    setenv("LISTEN_FDNAMES", "web:more:web", 1);
    assert_true(inherited_add_systemd(set, error, sizeof(error)));
    assert_null(getenv("LISTEN_FDS"));
    assert_int_equal(inherited_take_systemd(set, STR("we"), found), -1);
    assert_int_equal(inherited_take_systemd(set, STR("more"), found), FIRST + 1);
    assert_string_equal(found, "systemd:more");
    assert_int_equal(inherited_take_systemd(set, STR("more"), found), -1);
    assert_int_equal(inherited_take_systemd(set, STR(""), found), FIRST);
    assert_int_equal(inherited_take_systemd(set, STR(""), found), FIRST + 2);
    assert_string_equal(found, "systemd:web");
    put_back();
}

static void systemds_sockets_are_not_found_by_address(void **state)
{
    char found[INHERITED_NAME_MAX];
    struct sockaddr_in bound;
    socklen_t size = sizeof(bound);
    (void)state;

    pass_sockets();
    getsockname(FIRST, (struct sockaddr *)&bound, &size);
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", 1);
    assert_true(inherited_add_systemd(set, error, sizeof(error)));
    assert_int_equal(inherited_take_address(set, (struct sockaddr *)&bound), -1);
    assert_int_equal(inherited_take_systemd(set, STR(""), found), FIRST);
    assert_string_equal(found, "systemd:"); /* it had no name */
    put_back();
}

static void what_is_meant_for_another_process_is_left_alone(void **state)
{
    char found[INHERITED_NAME_MAX];
    (void)state;

    set_number("LISTEN_PID", getpid() + 1);
    set_number("LISTEN_FDS", PASSED);
    assert_true(inherited_add_systemd(set, error, sizeof(error)));
    assert_int_equal(inherited_take_systemd(set, STR(""), found), -1);
    assert_null(getenv("LISTEN_PID"));
}

static void a_wrong_descriptor_is_named(void **state)
{
    (void)state;
    set_number("LISTEN_PID", getpid());
    set_number("LISTEN_FDS", 2000);
    setenv("LISTEN_FDNAMES", "web", 1);
    pass_sockets();
    close(FIRST + 1);
    assert_int_equal(open("/dev/null", O_RDONLY), FIRST + 1);
    assert_false(inherited_add_systemd(set, error, sizeof(error)));
    assert_string_equal(
        error, "descriptor 4 of LISTEN_FDS (systemd:): it is no listening stream socket");
    assert_int_equal(open("/dev/null", O_RDONLY), FIRST + 1);
    inherited_free(set);
    set = NULL;
    assert_int_equal(open("/dev/null", O_RDONLY), FIRST);
    put_back();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_socket_is_taken_once_by_its_name_and_is_the_takers),
        TEST(a_socket_is_found_by_the_address_that_it_is_bound_to),
        TEST(unix_sockets_are_found_by_their_paths),
        TEST(the_files_of_unix_sockets_that_nobody_takes_go_with_them),
        TEST(what_does_not_listen_is_refused_and_closed),
        TEST(systemds_sockets_are_taken_by_name_or_all),
        TEST(systemds_sockets_are_not_found_by_address),
        TEST(what_is_meant_for_another_process_is_left_alone),
        TEST(a_wrong_descriptor_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
