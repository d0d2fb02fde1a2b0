#include "forward/gate.h"

static void refuse(const struct gate *gate, struct http_exchange *exchange)
{
    static const struct http_response forbidden = {.status = 403, .close = true};
    const char *address = http_exchange_request(exchange)->address;

    if (hits_note(gate->hits, HIT_FORWARD_REFUSED, net_loop_now(gate->loop)))
        log_warn(gate->log, "forwarded request refused: it has not the cluster's secret",
                 log_text("address", address), LOG_END);
    if (http_exchange_request(exchange)->upgrade)
        http_exchange_respond_raw(exchange, STR("HTTP/1.1 403 Forbidden\r\n"
                                                "Connection: close\r\n"
                                                "Content-Length: 0\r\n"
                                                "\r\n"));
    else
        http_exchange_respond(exchange, &forbidden);
    gate->refused(gate->owner);
}

void gate_request(void *owner, struct http_exchange *exchange)
{
    struct gate *gate = owner;
    const struct http_request *request = http_exchange_request(exchange);
    const struct http_header *last =
        request->header_count > 0 ? &request->headers[request->header_count - 1] : NULL;
    struct passport passport;

    if (!last || !str_equal(last->name, passport_header) ||
        !passport_read(last->value, gate->secret, &passport)) {
        refuse(gate, exchange);
        return;
    }
    http_exchange_vouch(exchange, passport.address, passport.secure);
    gate->serve(gate->owner, exchange);
}
