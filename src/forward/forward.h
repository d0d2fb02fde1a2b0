/*
 * forward: an exchange whose session another server has is carried out there, and answered here as
 * if it had been done here. Upgrades become a tunnel.
 *
 * Method, target and headers go over as they are, but for what concerns one connection only;
 * bodies are passed on as they come. The other sees a client that goes away here go away there.
 *
 * Callers   server/forwarding.
 * Owner     server/forwarding; freed before the engine, with what is on its way.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    a server that does not answer, or not in time: `unknown` ends the exchange.
 */
#ifndef SKUA_FORWARD_FORWARD_H
#define SKUA_FORWARD_FORWARD_H

#include "forward/passport.h"
#include "net/peer_address.h"

struct forward;

struct forward_options {
    struct net_loop *loop;
    const struct log *log;
    struct hits *hits;
    uint32_t answer_ms; /* longest time an answer may take */
    size_t request_max; /* bytes of a body */
    size_t answer_max;

    /* The other server is not there: answers the exchange. */
    void (*unknown)(void *owner, struct http_exchange *exchange);

    /* It was, and refused the request: the secret may be an old one. */
    void (*refused)(void *owner);
    void *owner;
};

struct forward *forward_new(const struct forward_options *options);
void forward_free(struct forward *forward);

/* Takes the exchange over. False: no memory or no descriptor, and it is still the caller's. */
bool forward_exchange(struct forward *forward, const struct peer_address *address,
                      struct str secret, struct http_exchange *exchange);

#endif
