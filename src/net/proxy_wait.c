#include "net/proxy_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct proxy_wait {
    struct net_io io;
    struct list link;
    struct proxy_room *room;
    union {
        struct timer timer;
        struct net_grave grave;
    };
};

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct proxy_wait, grave));
}

static void leave(struct proxy_wait *wait, const char *address, const char *fault)
{
    struct proxy_room *room = wait->room;
    int fd = wait->io.fd;

    net_loop_remove(room->loop, &wait->io);
    timer_stop(net_loop_timers(room->loop), &wait->timer);
    list_remove(&wait->link);
    net_loop_bury(room->loop, &wait->grave, bury);
    room->done(room, fd, address, fault);
}

static void expired(struct timer *timer)
{
    leave(CONTAINER_OF(timer, struct proxy_wait, timer), "", "it took too long");
}

/* Looks at what is there and takes it only when it is whole. Hence the edge-triggered watch: bytes
 * that stay in the socket must not wake the loop again and again. */
static void ready(struct net_io *io, uint32_t events)
{
    struct proxy_wait *wait = CONTAINER_OF(io, struct proxy_wait, io);
    uint8_t bytes[PROXY_HEADER_MAX];
    char address[NET_ADDRESS_MAX];
    size_t used;
    ssize_t size = recv(io->fd, bytes, sizeof(bytes), MSG_PEEK);

    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (size <= 0) {
        leave(wait, "", "the peer closed before it was complete");
        return;
    }
    switch (proxy_header_parse(bytes, (size_t)size, &used, address)) {
    case PROXY_MORE:
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            leave(wait, "", "the peer closed before it was complete");
        break;
    case PROXY_BAD:
        leave(wait, "", "the first bytes are no PROXY header");
        break;
    case PROXY_DONE:
        if (recv(io->fd, bytes, used, 0) == (ssize_t)used)
            leave(wait, address, NULL);
        else
            leave(wait, "", "it cannot be read");
        break;
    }
}

void proxy_room_init(struct proxy_room *room, struct net_loop *loop, uint32_t timeout_ms,
                     void (*done)(struct proxy_room *room, int fd, const char *address,
                                  const char *fault))
{
    room->loop = loop;
    room->timeout_ms = timeout_ms;
    room->done = done;
    list_init(&room->waiting);
}

bool proxy_room_enter(struct proxy_room *room, int fd)
{
    struct proxy_wait *wait = calloc(1, sizeof(*wait));

    if (!wait || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        goto fail;
    wait->room = room;
    wait->io = (struct net_io){
        .fd = fd, .events = EPOLLIN | EPOLLRDHUP | (uint32_t)EPOLLET, .ready = ready};
    timer_init(&wait->timer, expired);
    if (!net_loop_add(room->loop, &wait->io))
        goto fail;
    timer_start(net_loop_timers(room->loop), &wait->timer, room->timeout_ms);
    list_add_last(&room->waiting, &wait->link);
    return true;

fail:
    free(wait);
    return false;
}

void proxy_room_clear(struct proxy_room *room)
{
    while (!list_empty(&room->waiting))
        leave(CONTAINER_OF(room->waiting.next, struct proxy_wait, link), "",
              "the server is closing");
}
