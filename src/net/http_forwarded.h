/*
 * http_forwarded: whose a request really is, when it came through proxies that may be believed.
 *
 * Each proxy appends the address it was called from to X-Forwarded-For. Read from the right,
 * starting with the connection's own peer, the first address that is no trusted proxy is the
 * client; what stands further left anybody may have written. X-Forwarded-Proto is believed from a
 * trusted peer.
 *
 * Callers   net/http1, for each request of a listener with trust_proxy.
 * Owner     nobody.
 * Threads   the worker's own.
 * Errors    text that is no address ends the way: the address before it counts.
 */
#ifndef SKUA_NET_HTTP_FORWARDED_H
#define SKUA_NET_HTTP_FORWARDED_H

#include "base/network.h"
#include "net/http1.h"

struct http_trust {
    bool all; /* every peer is a proxy to be believed; then the leftmost address counts */
    const struct network *networks;
    size_t count;
};

/* Sets the request's address (its bytes are put into `address`) and whether it came over TLS. */
void http_forwarded_apply(const struct http_trust *trust, struct http_request *request,
                          char address[NET_ADDRESS_MAX]);

#endif
