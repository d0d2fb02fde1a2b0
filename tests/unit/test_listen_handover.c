#include "listen_fixture.h"

#include <sys/stat.h>

static struct inherited *to_inherit;

static void show(void *owner, const char *name, int fd)
{
    assert_ptr_equal(owner, &to_inherit);
    assert_null(inherited_add(to_inherit, name, fcntl(fd, F_DUPFD_CLOEXEC, 0)));
}

/* Another server, as of another process, that takes what the first one has. */
static struct net_server *new_successor(void)
{
    struct net_server *made;

    to_inherit = inherited_new();
    net_server_show(server, show, &to_inherit);
    made = net_server_new(&(struct net_server_options){
        .loop = loop,
        .log = &server_log,
        .connections = CONNECTIONS,
        .backlog = BACKLOG,
        .inherited = to_inherit,
        .accepted = on_accepted,
        .owner = &accepted,
    });
    assert_non_null(made);
    return made;
}

static void a_successor_goes_on_with_the_sockets_that_it_listens_on_too(void **state)
{
    struct net_listen_spec same = {.text = "127.0.0.1:0", .host = "127.0.0.1", .id = 7};
    struct net_listen_spec by_port = {.text = "the port", .host = "127.0.0.1", .id = 8};
    struct net_server *successor;

    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    assert_int_equal(listen_on("127.0.0.1", 0), 1);
    by_port.port = net_server_port(server, 1);
    successor = new_successor();
    assert_int_equal(net_server_listen(successor, &same, error, sizeof(error)), 0);
    assert_int_equal(net_server_listen(successor, &by_port, error, sizeof(error)), 1);
    assert_int_equal(net_server_port(successor, 0), net_server_port(server, 0));
    assert_int_equal(net_server_port(successor, 1), net_server_port(server, 1));
    net_server_leave(server);

    int first = dial("127.0.0.1", net_server_port(successor, 0));
    int second = dial("127.0.0.1", net_server_port(successor, 1));

    turns(3);
    assert_int_equal(accepted.count, 2);
    assert_int_equal(accepted.listeners[0] + accepted.listeners[1], 7 + 8);
    net_server_free(successor);
    inherited_free(to_inherit);
    assert_int_equal(dial("127.0.0.1", by_port.port), -1);
    close(first);
    close(second);
}

static bool pass(void *owner, const char *name, int fd)
{
    net_server_take(owner, name, fcntl(fd, F_DUPFD_CLOEXEC, 0));
    return true;
}

static void a_connection_that_has_not_begun_to_speak_goes_to_the_successor_too(void **state)
{
    struct net_listen_spec spec = {.text = "127.0.0.1:0", .host = "127.0.0.1", .id = 7};
    struct net_server *successor;
    char byte = 0;

    (void)state;
    assert_int_equal(listen_on("127.0.0.1", 0), 0);
    successor = new_successor();
    assert_int_equal(net_server_listen(successor, &spec, error, sizeof(error)), 0);
    net_server_accept(successor, false);

    int fd = dial("127.0.0.1", net_server_port(server, 0));

    turns(3);
    assert_int_equal(accepted.count, 1);
    assert_int_equal(accepted.listeners[0], 0);
    net_server_leave(server);
    net_server_give(server, pass, successor);
    turns(3);
    assert_int_equal(accepted.closed, 1);
    assert_int_equal(accepted.count, 2);
    assert_int_equal(accepted.listeners[1], 7);
    assert_int_equal(net_server_connections(server), 0);
    assert_int_equal(net_server_connections(successor), 1);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1); /* it lives */
    close(fd);
    turns(3);
    net_server_free(successor);
    inherited_free(to_inherit);
}

static void a_unix_socket_that_is_left_to_a_successor_keeps_its_file(void **state)
{
    struct net_listen_spec spec = {.text = socket_path, .unix_path = socket_path};
    struct net_server *successor;
    struct stat file;

    (void)state;
    assert_int_equal(listen_on_path(server, socket_path), 0);
    successor = new_successor();
    assert_int_equal(net_server_listen(successor, &spec, error, sizeof(error)), 0);
    net_server_free(successor); /* it fails for some reason */
    inherited_free(to_inherit);
    assert_int_equal(stat(socket_path, &file), 0);
    successor = new_successor();
    assert_int_equal(net_server_listen(successor, &spec, error, sizeof(error)), 0);
    net_server_leave(server);
    net_server_stop(server);
    net_server_accept(successor, true);
    assert_int_equal(stat(socket_path, &file), 0);

    int fd = dial_path(socket_path);

    assert_true(fd >= 0);
    turns(3);
    assert_int_equal(accepted.count, 1);
    net_server_free(successor);
    inherited_free(to_inherit);
    assert_int_equal(stat(socket_path, &file), -1);
    close(fd);
}

static void systemds_sockets_are_all_served_and_keep_their_files(void **state)
{
    struct net_listen_spec spec = {.text = "systemd", .systemd = "", .id = 3};
    struct net_listen_spec none = {.text = "systemd:web", .systemd = "web"};
    struct net_server *activated;
    struct stat file;

    (void)state;
    assert_int_equal(listen_on_path(server, socket_path), 0);
    assert_int_equal(listen_on("127.0.0.1", 0), 1);
    activated = new_successor();
    assert_int_equal(net_server_listen(activated, &spec, error, sizeof(error)), -1);
    assert_non_null(strstr(error, "systemd passed no such socket"));
    inherited_add(to_inherit, "systemd:a", inherited_take(to_inherit, "127.0.0.1 0"));
    snprintf(error, sizeof(error), "unix:%s", socket_path);
    inherited_add(to_inherit, "systemd:b", inherited_take(to_inherit, error));
    assert_int_equal(net_server_listen(activated, &none, error, sizeof(error)), -1);
    assert_int_equal(net_server_listen(activated, &spec, error, sizeof(error)), 0);
    assert_int_equal(net_server_listeners(activated), 2);
    assert_int_equal(net_server_port(activated, 0), net_server_port(server, 1));
    assert_int_equal(net_server_port(activated, 1), 0);
    net_server_leave(server);

    int fd = dial_path(socket_path);

    turns(3);
    assert_int_equal(accepted.count, 1);
    assert_int_equal(accepted.listeners[0], 3);
    net_server_free(activated);
    inherited_free(to_inherit);
    assert_int_equal(stat(socket_path, &file), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_successor_goes_on_with_the_sockets_that_it_listens_on_too),
        TEST(a_connection_that_has_not_begun_to_speak_goes_to_the_successor_too),
        TEST(a_unix_socket_that_is_left_to_a_successor_keeps_its_file),
        TEST(systemds_sockets_are_all_served_and_keep_their_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
