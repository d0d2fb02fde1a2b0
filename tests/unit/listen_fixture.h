/*
 * listen_fixture: a server in a loop, what it has accepted, clients, and a folder for its unix socket.
 *
 * Callers   test_listen*.c.
 */
#ifndef SKUA_TESTS_LISTEN_FIXTURE_H
#define SKUA_TESTS_LISTEN_FIXTURE_H

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
#include <sys/socket.h>
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

static inline void ignore(void *owner, uint8_t *bytes, size_t size)
{
    (void)owner;
    (void)bytes;
    (void)size;
}

static inline void closed(void *owner, enum net_end why)
{
    (void)why;
    *(struct net_conn **)owner = NULL;
    accepted.closed++;
}

static const struct net_conn_handler handler = {.readable = ignore, .closed = closed};

static inline void on_accepted(void *owner, struct net_conn *conn, int listener)
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

static inline void stop(struct net_task *task)
{
    (void)task;
    net_loop_stop(loop);
}

static inline void turns(int count)
{
    while (count-- > 0) {
        net_task_init(&stopper, stop);
        net_loop_later(loop, &stopper);
        assert_int_equal(net_loop_run(loop), 0);
    }
}

/* ---- set-up ---- */

static inline struct net_server *new_server(uint32_t connections)
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

static inline int set_up(void **state)
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

static inline void close_accepted(void)
{
    for (int i = 0; i < accepted.count; i++) {
        if (accepted.conns[i])
            net_conn_close(accepted.conns[i]);
        accepted.conns[i] = NULL;
    }
    accepted.count = 0;
}

static inline int tear_down(void **state)
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

static inline int listen_on(const char *host, uint16_t port)
{
    char text[96];
    struct net_listen_spec spec = {.text = text, .host = host, .port = port, .id = next_id++};

    snprintf(text, sizeof(text), strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    error[0] = '\0';
    return net_server_listen(server, &spec, error, sizeof(error));
}

static inline int listen_on_path(struct net_server *on, const char *path)
{
    struct net_listen_spec spec = {.text = path, .unix_path = path};

    error[0] = '\0';
    return net_server_listen(on, &spec, error, sizeof(error));
}

/* A client's socket on that loopback address, or -1 with errno. */
static inline int dial(const char *host, uint16_t port)
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

static inline int dial_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strcpy(address.sun_path, path);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline int open_descriptors(void)
{
    DIR *entries = opendir("/proc/self/fd");
    int count = 0;

    assert_non_null(entries);
    while (readdir(entries))
        count++;
    closedir(entries);
    return count;
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
