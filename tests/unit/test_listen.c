#include "net/listen.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    BACKLOG = 65536,
    CONNECTIONS = 1000, /* the limit of the server under test */
    PEERS_MAX = 1100,
};

static struct net_loop *loop;
static struct net_server *server;
static struct log server_log = {.level = LOG_OFF};
static char folder[64];
static char socket_path[96];

static struct {
    struct net_conn *conns[PEERS_MAX];
    int listeners[PEERS_MAX];
    int count;
    int closed;
    bool stop_when_accepted;
} accepted;

static void ignore(void *owner, uint8_t *bytes, size_t size)
{
    (void)owner;
    (void)bytes;
    (void)size;
}

static void closed(void *owner, enum net_end why)
{
    (void)why;
    *(struct net_conn **)owner = NULL;
    accepted.closed++;
}

static const struct net_conn_handler handler = {.readable = ignore, .closed = closed};

static void on_accepted(void *owner, struct net_conn *conn, int listener)
{
    int at = accepted.count++;

    assert_ptr_equal(owner, &accepted);
    assert_true(at < PEERS_MAX);
    accepted.conns[at] = conn;
    accepted.listeners[at] = listener;
    net_conn_set_handler(conn, &handler, &accepted.conns[at]);
    if (accepted.stop_when_accepted)
        net_server_stop(server);
}

static char error[256];
static int next_id; /* those of a test count from 0 */

/* ---- turning the loop ---- */

static struct net_task stopper;

static void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

static void turns(int count)
{
    while (count-- > 0) {
        net_task_init(&stopper, stop);
        net_loop_later(loop, &stopper);
        assert_int_equal(net_loop_run(loop), 0);
    }
}

/* ---- set-up ---- */

static struct net_server *new_server(uint32_t connections)
{
    struct net_server *made = net_server_new(&(struct net_server_options){
        .loop = loop,
        .log = &server_log,
        .connections = connections,
        .backlog = BACKLOG,
        .accepted = on_accepted,
        .owner = &accepted,
    });

    assert_non_null(made);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    memset(&accepted, 0, sizeof(accepted));
    server_log = (struct log){.level = LOG_OFF};
    strcpy(folder, "/tmp/skua-listen-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(socket_path, sizeof(socket_path), "%s/socket", folder);
    next_id = 0;
    loop = net_loop_new();
    server = new_server(CONNECTIONS);
    return 0;
}

static void close_accepted(void)
{
    for (int i = 0; i < accepted.count; i++) {
        if (accepted.conns[i])
            net_conn_close(accepted.conns[i]);
        accepted.conns[i] = NULL;
    }
    accepted.count = 0;
}

static int tear_down(void **state)
{
    (void)state;
    net_server_free(server);
    close_accepted();
    net_loop_free(loop);
    unlink(socket_path);
    rmdir(folder);
    return 0;
}

/* ---- listening and connecting ---- */

static int listen_on(const char *host, uint16_t port)
{
    char text[96];
    struct net_listen_spec spec = {.text = text, .host = host, .port = port, .id = next_id++};

    snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    error[0] = '\0';
    return net_server_listen(server, &spec, error, sizeof(error));
}

static int listen_on_path(struct net_server *on, const char *path)
{
    struct net_listen_spec spec = {.text = path, .unix_path = path};

    error[0] = '\0';
    return net_server_listen(on, &spec, error, sizeof(error));
}

/* A client's socket on that loopback address, or -1 with errno. */
static int dial(const char *host, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    bool is_v4 = inet_pton(AF_INET, host, &v4.sin_addr) == 1;

    if (!is_v4)
        assert_int_equal(inet_pton(AF_INET6, host, &v6.sin6_addr), 1);

    int fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (connect(fd, is_v4 ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6,
                is_v4 ? sizeof(v4) : sizeof(v6)) == 0)
        return fd;

    int failure = errno;

    close(fd);
    errno = failure;
    return -1;
}

static int dial_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

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

static int open_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
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

/* ---- taking over ---- */

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

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
        TEST(an_address_in_use_is_named),
        TEST(other_faults_are_sentences_too),
        TEST(a_fault_leaves_no_descriptor_and_no_listener),
        TEST(a_unix_socket_works_and_its_file_goes_with_it),
        TEST(a_socket_file_that_nobody_serves_is_replaced),
        TEST(a_socket_file_that_is_served_is_left_alone),
        TEST(a_file_that_is_no_socket_is_left_alone),
        TEST(a_successor_goes_on_with_the_sockets_that_it_listens_on_too),
        TEST(a_connection_that_has_not_begun_to_speak_goes_to_the_successor_too),
        TEST(a_unix_socket_that_is_left_to_a_successor_keeps_its_file),
        TEST(systemds_sockets_are_all_served_and_keep_their_files),
        TEST(a_stopped_server_refuses_new_connections_and_keeps_the_old),
        TEST(the_owner_may_stop_the_server_while_it_accepts),
        TEST(connections_may_outlive_their_server),
        TEST(two_servers_may_follow_each_other_on_one_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
