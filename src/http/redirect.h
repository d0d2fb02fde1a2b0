/*
 * redirect: answers every request by sending the client to the same place over TLS.
 *
 * 301 to GET and HEAD, 308 to the rest, which keep method and body so.
 *
 * Callers   worker gives it to net/http1 as the service of listeners with `redirect`.
 * Owner     the worker.
 * Threads   the worker's own.
 * Errors    400 to a request whose Host or target could not be put into a Location.
 */
#ifndef SKUA_HTTP_REDIRECT_H
#define SKUA_HTTP_REDIRECT_H

#include "net/http1.h"

struct http_redirect {
    uint16_t port; /* of the listener with TLS; 443 is not written */
};

/* For struct http_service. */
void http_redirect_request(void *owner, struct http_exchange *exchange);

#endif
