/*
 * door: a listener beside the configured ones, for other servers of the same cluster. Its
 * connections do not count among the clients', and it stays open while the server drains.
 *
 * Callers   server/forwarding.
 * Owner     whoever opened it. Accepted connections are the callee's and outlive the door.
 * Threads   the loop's own.
 * Units     none.
 * Errors    door_open() returns NULL with errno. Without free descriptors accepting pauses.
 */
#ifndef SKUA_NET_DOOR_H
#define SKUA_NET_DOOR_H

#include "net/peer_address.h"

struct door;

struct door_options {
    struct net_loop *loop;
    size_t backlog; /* initial net_conn backlog, bytes */
    void (*accepted)(void *owner, struct net_conn *conn);
    void *owner;
};

struct door *door_open(const struct peer_address *address, const struct door_options *options);
uint16_t door_port(const struct door *door);

/* NULL is fine. */
void door_close(struct door *door);

#endif
