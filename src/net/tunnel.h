/*
 * tunnel: two connections, each of which gets what comes from the other.
 *
 * Who does not take what comes to it slows the other side down: no more than TUNNEL_WAITING bytes,
 * and one read, wait here for either. When one side ends the other gets what is on its way to it
 * and is ended then.
 *
 * Callers   forward.
 * Owner     the tunnel owns both connections and itself; net_conns_end() ends it.
 * Threads   the loop's own.
 * Units     bytes.
 * Errors    out of memory ends both.
 */
#ifndef SKUA_NET_TUNNEL_H
#define SKUA_NET_TUNNEL_H

#include "net/conn.h"

enum {
    TUNNEL_WAITING = 256 * 1024,
};

/* False when out of memory; both are closed then. What was queued before goes first. */
bool tunnel_dig(struct net_conn *one, struct net_conn *other);

/* Sends bytes as they are; closes nothing. False when out of memory. */
bool tunnel_send(struct net_conn *conn, const void *bytes, size_t size);

#endif
