#include "net/door.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    QUEUE = 4096, /* connections the kernel keeps for us */
    ACCEPTS_PER_EVENT = 64,
    PAUSE_MS = 100, /* after accept() failed, as it does without free descriptors */
};

struct door {
    struct net_io io;
    struct door_options options;
    struct timer resume; /* runs while accepting pauses */
    struct net_grave grave;
    uint16_t port;
};

static void resume(struct timer *timer)
{
    struct door *door = CONTAINER_OF(timer, struct door, resume);

    net_loop_modify(door->options.loop, &door->io, EPOLLIN);
}

static void ready(struct net_io *io, uint32_t events)
{
    struct door *door = CONTAINER_OF(io, struct door, io);
    (void)events;

    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct net_conn *conn =
            fd >= 0 ? net_conn_new(door->options.loop, fd, door->options.backlog) : NULL;

        if (conn) {
            door->options.accepted(door->options.owner, conn);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            if (errno != EAGAIN && errno != EWOULDBLOCK) {
                net_loop_modify(door->options.loop, io, 0);
                timer_start(net_loop_timers(door->options.loop), &door->resume, PAUSE_MS);
            }
            return;
        }
    }
}

struct door *door_open(const struct peer_address *address, const struct door_options *options)
{
    struct door *door = calloc(1, sizeof(*door));

    if (!door)
        return NULL;
    door->options = *options;
    timer_init(&door->resume, resume);
    door->io = (struct net_io){
        .fd = peer_address_listen(address, QUEUE, &door->port),
        .events = EPOLLIN,
        .ready = ready,
    };
    if (door->io.fd >= 0 && net_loop_add(options->loop, &door->io))
        return door;

    int error = errno;

    if (door->io.fd >= 0)
        close(door->io.fd);
    free(door);
    errno = error;
    return NULL;
}

uint16_t door_port(const struct door *door)
{
    return door->port;
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct door, grave));
}

void door_close(struct door *door)
{
    if (!door)
        return;
    timer_stop(net_loop_timers(door->options.loop), &door->resume);
    net_loop_remove(door->options.loop, &door->io);
    close(door->io.fd);
    net_loop_bury(door->options.loop, &door->grave, bury);
}
