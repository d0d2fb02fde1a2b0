/*
 * router: which part of the server answers a request on the port.
 *
 * Callers   worker gives it to net/http1 as the service of every connection.
 * Owner     the worker owns it; it refers to the worker's servers.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    what nobody answers gets 404 with an empty body; an upgrade that nobody answers is
 *           met with silence and ended, as the reference does (engine-io.md, 1).
 */
#ifndef SKUA_HTTP_ROUTER_H
#define SKUA_HTTP_ROUTER_H

#include "engineio/engineio.h"
#include "http/client_files.h"
#include "http/health.h"

struct http_router {
    struct eio_server *engine;
    const struct health *health;
    struct client_files client_files;
    uint32_t silence_ms;
};

/* For struct http_service. */
void http_router_request(void *owner, struct http_exchange *exchange);

#endif
