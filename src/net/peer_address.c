#include "net/peer_address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

bool peer_address_of(const char *host, uint16_t port, struct peer_address *address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address->room;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address->room;

    *address = (struct peer_address){.size = sizeof(*v4)};
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return true;
    }
    address->size = sizeof(*v6);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return inet_pton(AF_INET6, host, &v6->sin6_addr) == 1;
}

static bool parse_port(struct str text, uint16_t *port)
{
    uint32_t value = 0;

    if (text.size == 0 || text.size > 5)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text.at[i] - '0');
    }
    *port = (uint16_t)value;
    return value > 0 && value <= UINT16_MAX;
}

bool peer_address_parse(struct str text, struct peer_address *address)
{
    const char *colon = memrchr(text.at, ':', text.size);
    struct str host = str_of(text.at, colon ? (size_t)(colon - text.at) : 0);
    char copy[NET_ADDRESS_MAX];
    uint16_t port;

    if (!colon || !parse_port(str_from_index(text, host.size + 1), &port))
        return false;
    if (host.size > 2 && host.at[0] == '[' && host.at[host.size - 1] == ']')
        host = str_of(host.at + 1, host.size - 2);
    if (host.size >= sizeof(copy) || memchr(host.at, '\0', host.size))
        return false;
    memcpy(copy, host.at, host.size);
    copy[host.size] = '\0';
    return peer_address_of(copy, port, address);
}

void peer_address_write(const char *host, uint16_t port, char text[PEER_ADDRESS_TEXT])
{
    const char *form = strchr(host, ':') ? "[%s]:%u" : "%s:%u";

    snprintf(text, PEER_ADDRESS_TEXT, form, host, (unsigned)port);
}

bool peer_address_equal(const struct peer_address *a, const struct peer_address *b)
{
    return a->size == b->size && memcmp(&a->room, &b->room, a->size) == 0;
}

static uint16_t port_of(int fd)
{
    struct peer_address address = {.size = sizeof(address.room)};

    if (getsockname(fd, &address.any, &address.size) < 0)
        return 0;
    /* The port is at the same place in both families. */
    return ntohs(((struct sockaddr_in *)&address.room)->sin_port);
}

void peer_address_local(int fd, char host[NET_ADDRESS_MAX])
{
    struct peer_address address = {.size = sizeof(address.room)};
    const void *bytes = NULL;

    host[0] = '\0';
    if (getsockname(fd, &address.any, &address.size) < 0)
        return;
    if (address.any.sa_family == AF_INET)
        bytes = &((struct sockaddr_in *)&address.room)->sin_addr;
    else if (address.any.sa_family == AF_INET6)
        bytes = &((struct sockaddr_in6 *)&address.room)->sin6_addr;
    if (bytes)
        inet_ntop(address.any.sa_family, bytes, host, NET_ADDRESS_MAX);
}

int peer_address_listen(const struct peer_address *address, int queue, uint16_t *port)
{
    int on = 1;
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, &address->any, address->size) < 0 || listen(fd, queue) < 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    *port = port_of(fd);
    return fd;
}

struct net_conn *peer_address_connect(struct net_loop *loop, const struct peer_address *address,
                                      size_t backlog)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return NULL;
    if (connect(fd, &address->any, address->size) < 0 && errno != EINPROGRESS) {
        close(fd);
        return NULL;
    }
    return net_conn_new(loop, fd, backlog);
}
