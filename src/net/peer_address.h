/*
 * peer_address: a numeric address with a port, as text and for the kernel, and connections to it.
 *
 * Callers   net/http_client, forward.
 * Owner     values; a connection is the caller's.
 * Threads   any; connections in the loop's own.
 * Units     bytes.
 * Errors    false, NULL or -1, the latter two with errno. A server that cannot be reached shows in
 *           `closed` of the connection.
 */
#ifndef SKUA_NET_PEER_ADDRESS_H
#define SKUA_NET_PEER_ADDRESS_H

#include "base/str.h"
#include "net/conn.h"

#include <sys/socket.h>

enum {
    PEER_ADDRESS_TEXT = NET_ADDRESS_MAX + 8, /* "[…]:65535" and a NUL */
};

struct peer_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage room;
    };
    socklen_t size;
};

/* "10.0.0.5:7493", "[fd00::5]:7493". */
bool peer_address_parse(struct str text, struct peer_address *address);

/* The same from its parts; a host without brackets. */
bool peer_address_of(const char *host, uint16_t port, struct peer_address *address);
void peer_address_write(const char *host, uint16_t port, char text[PEER_ADDRESS_TEXT]);

bool peer_address_equal(const struct peer_address *a, const struct peer_address *b);

/* The address of a socket's own end, without port; "" if it has none. */
void peer_address_local(int fd, char host[NET_ADDRESS_MAX]);

/* A socket that listens there. `*port` is the one that it has, if the kernel was to choose. */
int peer_address_listen(const struct peer_address *address, int queue, uint16_t *port);

/* A connection that is being made. What is sent waits until it is there. */
struct net_conn *peer_address_connect(struct net_loop *loop, const struct peer_address *address,
                                      size_t backlog);

#endif
