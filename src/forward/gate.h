/*
 * gate: requests that other servers hand over. Who does not know the cluster's secret is refused
 * before anything else is looked at.
 *
 * Callers   server/forwarding gives it to net/http1 as the service of the door's connections.
 * Owner     server/forwarding.
 * Threads   the worker's own.
 * Errors    403 and the connection's end; counted and logged.
 */
#ifndef SKUA_FORWARD_GATE_H
#define SKUA_FORWARD_GATE_H

#include "forward/passport.h"

struct gate {
    const struct log *log;
    struct hits *hits;
    struct net_loop *loop;
    struct str secret; /* empty: nobody comes in */

    /* Serves an exchange that is its client's by now. */
    void (*serve)(void *owner, struct http_exchange *exchange);

    /* Somebody was refused: the secret may be an old one. */
    void (*refused)(void *owner);
    void *owner;
};

/* For struct http_service. */
void gate_request(void *owner, struct http_exchange *exchange);

#endif
