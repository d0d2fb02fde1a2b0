#include "listen_fixture.h"

#include <sys/stat.h>

/* ---- faults in words ---- */

static void an_address_in_use_is_named(void **state)
{
    char expected[96];

    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);

    uint16_t port = net_server_port(server, 0);

    assert_int_equal(listen_on("127.0.0.1", port), -1); /* lws would share the listener */
    snprintf(expected, sizeof(expected), "address 127.0.0.1:%u is in use", port);
    assert_string_equal(error, expected);

    struct net_server *first = server;

    server = new_server(1);
    assert_int_equal(listen_on("127.0.0.1", port), -1);
    assert_string_equal(error, expected);
    net_server_free(server);
    server = first;
}

static void other_faults_are_sentences_too(void **state)
{
    char path[200];

    (void)state;
    assert_int_equal(listen_on("192.0.2.1", 80), -1);
    assert_string_equal(error, "192.0.2.1:80 is not an address of this machine");
    assert_int_equal(listen_on("localhost", 80), -1);
    assert_string_equal(error, "cannot listen on localhost:80: the address is not numeric");

    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    assert_int_equal(listen_on_path(server, path), -1);
    assert_non_null(strstr(error, "the path is too long"));

    snprintf(path, sizeof(path), "%s/none/socket", folder);
    assert_int_equal(listen_on_path(server, path), -1);
    assert_non_null(strstr(error, "No such file or directory"));
}

static void a_fault_leaves_no_descriptor_and_no_listener(void **state)
{
    int before = open_descriptors();

    (void)state;
    assert_int_equal(listen_on("192.0.2.1", 80), -1);
    assert_int_equal(open_descriptors(), before);
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
}

/* ---- unix sockets ---- */

static void a_unix_socket_works_and_its_file_goes_with_it(void **state)
{
    (void)state;
    assert_int_equal(listen_on_path(server, socket_path), 0);
    assert_int_equal(net_server_port(server, 0), 0);

    int fd = dial_path(socket_path);

    assert_true(fd >= 0);
    turns(2);
    assert_int_equal(accepted.count, 1);
    assert_string_equal(net_conn_address(accepted.conns[0]), "");
    turns(2);
    close(fd);

    net_server_stop(server);
    assert_int_equal(access(socket_path, F_OK), -1);
}

static void a_socket_file_that_nobody_serves_is_replaced(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)state;
    strcpy(address.sun_path, socket_path);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof(address)), 0);
    close(dead);
    assert_int_equal(access(socket_path, F_OK), 0);

    assert_int_equal(listen_on_path(server, socket_path), 0);

    int fd = dial_path(socket_path);

    assert_true(fd >= 0);
    close(fd);
}

static void a_socket_file_that_is_served_is_left_alone(void **state)
{
    char expected[128];

    (void)state;
    assert_int_equal(listen_on_path(server, socket_path), 0);

    struct net_server *second = new_server(1);

    assert_int_equal(listen_on_path(second, socket_path), -1);
    snprintf(expected, sizeof(expected), "address %s is in use", socket_path);
    assert_string_equal(error, expected);
    net_server_free(second);

    int fd = dial_path(socket_path);

    assert_true(fd >= 0);
    close(fd);
}

static void a_file_that_is_no_socket_is_left_alone(void **state)
{
    struct stat file;
    int fd = open(socket_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(listen_on_path(server, socket_path), -1);
    assert_non_null(strstr(error, "not a socket"));
    assert_int_equal(stat(socket_path, &file), 0);
    assert_true(S_ISREG(file.st_mode));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_in_use_is_named),
        TEST(other_faults_are_sentences_too),
        TEST(a_fault_leaves_no_descriptor_and_no_listener),
        TEST(a_unix_socket_works_and_its_file_goes_with_it),
        TEST(a_socket_file_that_nobody_serves_is_replaced),
        TEST(a_socket_file_that_is_served_is_left_alone),
        TEST(a_file_that_is_no_socket_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
