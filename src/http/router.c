#include "http/router.h"

void http_router_request(void *owner, struct http_exchange *exchange)
{
    /* The reference's bare server ends 404 without a length, so Node sends an empty chunked body. */
    static const struct http_response not_found = {.status = 404, .chunked = true};
    struct http_router *router = owner;
    const struct http_request *request = http_exchange_request(exchange);

    if (health_request(router->health, exchange))
        return;
    if (client_files_request(&router->client_files, exchange))
        return;
    if (eio_server_matches(router->engine, request->target))
        eio_server_request(router->engine, exchange);
    else if (request->upgrade)
        http_exchange_silence(exchange, router->silence_ms);
    else
        http_exchange_respond(exchange, &not_found);
}
