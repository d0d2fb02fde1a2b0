#include "redis/private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/un.h>
#include <unistd.h>

/*
 * The addresses of a name are tried one after the other, the last one for as long as whoever dials
 * wants to wait.
 */

enum {
    /* A host that is gone is noticed by the kernel: idle connections are probed, and sent bytes
     * that nobody acknowledges end the connection. */
    KEEPALIVE_IDLE_S = 10,
    KEEPALIVE_EVERY_S = 5,
    KEEPALIVE_COUNT = 3,
    UNACKNOWLEDGED_MS = 15000,

    NEXT_ADDRESS_MS = 1500, /* for one that does not answer at all, if there is another */
};

struct dial {
    struct net_loop *loop;
    dial_done *done;
    void *owner;
    struct redis_server server;
    char unix_path[sizeof(((struct redis_options *)0)->unix_path)];
    struct lookup *lookup; /* NULL when it is done */
    struct addresses addresses;
    size_t next;      /* address to try */
    struct net_io io; /* fd -1 while there is none */
    struct net_task start;
    struct timer next_address;
    struct net_grave grave;
    char reason[REASON_MAX];
};

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct dial, grave));
}

static void release(struct dial *dial)
{
    net_task_cancel(&dial->start);
    timer_stop(net_loop_timers(dial->loop), &dial->next_address);
    if (dial->lookup)
        lookup_cancel(dial->lookup);
    dial->lookup = NULL;
    net_loop_bury(dial->loop, &dial->grave, bury);
}

static void finish(struct dial *dial, int fd)
{
    release(dial);
    dial->done(dial->owner, fd, dial->reason);
}

static void drop_socket(struct dial *dial)
{
    if (dial->io.fd < 0)
        return;
    net_loop_remove(dial->loop, &dial->io);
    close(dial->io.fd);
    dial->io.fd = -1;
}

static void set_reason(struct dial *dial, int error)
{
    snprintf(dial->reason, sizeof(dial->reason), "%s", strerror(error));
}

static void prepare_tcp(int fd)
{
    const struct {
        int level, name, value;
    } settings[] = {
        {SOL_SOCKET,  SO_KEEPALIVE,     1                },
        {IPPROTO_TCP, TCP_NODELAY,      1                },
        {IPPROTO_TCP, TCP_KEEPIDLE,     KEEPALIVE_IDLE_S },
        {IPPROTO_TCP, TCP_KEEPINTVL,    KEEPALIVE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT,      KEEPALIVE_COUNT  },
        {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS},
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        setsockopt(fd, settings[i].level, settings[i].name, &settings[i].value, sizeof(int));
}

/* True when the connection is there or under way; else the reason is set. */
static bool try_address(struct dial *dial, const struct sockaddr *address, socklen_t size)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        set_reason(dial, errno);
        return false;
    }
    if (address->sa_family != AF_UNIX)
        prepare_tcp(fd);
    if (connect(fd, address, size) < 0 && errno != EINPROGRESS) {
        set_reason(dial, errno);
        close(fd);
        return false;
    }
    dial->io.fd = fd;
    dial->io.events = EPOLLOUT; /* also when it is connected already: one way for both */
    if (net_loop_add(dial->loop, &dial->io))
        return true;
    set_reason(dial, errno);
    dial->io.fd = -1;
    close(fd);
    return false;
}

static void try_next(struct dial *dial)
{
    while (dial->next < dial->addresses.count) {
        const struct sockaddr_storage *address = &dial->addresses.list[dial->next++];
        socklen_t size = address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                                       : sizeof(struct sockaddr_in6);

        if (!try_address(dial, (const struct sockaddr *)address, size))
            continue;
        if (dial->next < dial->addresses.count)
            timer_start(net_loop_timers(dial->loop), &dial->next_address, NEXT_ADDRESS_MS);
        return;
    }
    finish(dial, -1);
}

static void tired(struct timer *timer)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, next_address);

    set_reason(dial, ETIMEDOUT);
    drop_socket(dial);
    try_next(dial);
}

static void ready(struct net_io *io, uint32_t events)
{
    struct dial *dial = CONTAINER_OF(io, struct dial, io);
    int error = 0, fd = dial->io.fd;
    socklen_t size = sizeof(error);

    (void)events;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    if (error) {
        set_reason(dial, error);
        timer_stop(net_loop_timers(dial->loop), &dial->next_address);
        drop_socket(dial);
        try_next(dial);
        return;
    }
    net_loop_remove(dial->loop, &dial->io);
    dial->io.fd = -1;
    finish(dial, fd);
}

static void resolved(void *owner, const struct addresses *addresses, const char *reason)
{
    struct dial *dial = owner;

    dial->lookup = NULL; /* it ends by itself */
    snprintf(dial->reason, sizeof(dial->reason), "%s", reason);
    if (addresses)
        dial->addresses = *addresses;
    try_next(dial);
}

static void start(struct net_task *task)
{
    struct dial *dial = CONTAINER_OF(task, struct dial, start);
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    if (dial->unix_path[0]) {
        memcpy(local.sun_path, dial->unix_path, sizeof(local.sun_path));
        if (!try_address(dial, (const struct sockaddr *)&local, sizeof(local)))
            finish(dial, -1);
        return;
    }
    if (address_parse(dial->server.host, dial->server.port, &dial->addresses)) {
        try_next(dial);
        return;
    }
    dial->lookup =
        lookup_start(dial->loop, dial->server.host, dial->server.port, resolved, dial);
    if (dial->lookup)
        return;
    snprintf(dial->reason, sizeof(dial->reason), "cannot resolve \"%s\": no thread",
             dial->server.host);
    finish(dial, -1);
}

struct dial *dial_start(struct net_loop *loop, const struct redis_server *server,
                        const char *unix_path, dial_done *done, void *owner)
{
    struct dial *dial = calloc(1, sizeof(*dial));

    if (!dial)
        return NULL;
    dial->loop = loop;
    dial->done = done;
    dial->owner = owner;
    dial->server = *server;
    snprintf(dial->unix_path, sizeof(dial->unix_path), "%s", unix_path);
    dial->io = (struct net_io){.fd = -1, .ready = ready};
    net_task_init(&dial->start, start);
    timer_init(&dial->next_address, tired);
    net_loop_later(loop, &dial->start); /* nobody is called back from inside */
    return dial;
}

void dial_cancel(struct dial *dial)
{
    drop_socket(dial);
    release(dial);
}
