/*
 * proxy_wait: an accepted descriptor until its PROXY header has come. Exactly the header is taken
 * out of the socket: what follows, TLS or HTTP, is read by whoever gets the descriptor.
 *
 * Callers   net/listen.
 * Owner     the room's, which lists all that wait; each frees itself with its one call of `done`.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    told to `done` in words.
 */
#ifndef SKUA_NET_PROXY_WAIT_H
#define SKUA_NET_PROXY_WAIT_H

#include "net/proxy_header.h"

struct proxy_room {
    struct net_loop *loop;
    uint32_t timeout_ms; /* from accepting to the header's end */
    struct list waiting;

    /* `address` is the client's, "" if it is the peer. Or `fault` says why the descriptor, which
     * is still open, must be closed. */
    void (*done)(struct proxy_room *room, int fd, const char *address, const char *fault);
};

void proxy_room_init(struct proxy_room *room, struct net_loop *loop, uint32_t timeout_ms,
                     void (*done)(struct proxy_room *room, int fd, const char *address,
                                  const char *fault));

/* Takes over the descriptor. False when out of memory: it is still the caller's. */
bool proxy_room_enter(struct proxy_room *room, int fd);

/* Ends all that wait, with a fault. */
void proxy_room_clear(struct proxy_room *room);

#endif
