#include "engineio/private.h"

static void on_message(void *owner, enum frame_kind kind, uint8_t *payload, size_t size)
{
    struct eio_session *session = owner;
    struct eio_packet packet;

    eio_codec_packet(session, kind, payload, size, &packet);
    eio_session_packet(session, &packet);
}

static void on_closed(void *owner, const struct net_ws_closing *closing)
{
    struct eio_session *session = owner;

    session->ws = NULL;
    switch (closing->why) {
    case NET_WS_END_CLOSED:
        eio_session_end(session, EIO_TRANSPORT_CLOSE);
        break;
    case NET_WS_END_FAULT:
        eio_session_fault(session, EIO_TRANSPORT_ERROR, closing->detail);
        break;
    case NET_WS_END_TOO_BIG:
        eio_log_too_large(session, closing->size);
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        break;
    case NET_WS_END_BACKLOG:
        eio_log_backlog(session, closing->size);
        eio_session_end(session, EIO_TRANSPORT_ERROR);
        break;
    }
}

static const struct net_ws_handler handler = {
    .message = on_message,
    .closed = on_closed,
};

struct net_ws *eio_websocket_accept(const struct eio_server *server,
                                    struct http_exchange *exchange, bool initial)
{
    struct http_header headers[CORS_HEADERS_MAX + EIO_HEADERS_MAX];
    struct net_ws_options options = {
        .max_message = server->options.max_payload,
        .backlog = server->options.backlog,
        .deflater = server->options.deflate_messages ? server->options.deflater : NULL,
        .headers = headers,
    };

    options.header_count =
        cors_headers(&server->options.cors, http_exchange_request(exchange), headers);
    options.header_count += eio_extra_headers(server, initial, headers + options.header_count);
    return net_ws_accept(exchange, &options, &handler, NULL);
}

void eio_websocket_attach(struct eio_session *session, struct net_ws *ws)
{
    session->ws = ws;
    session->transport = EIO_WEBSOCKET;
    net_ws_set_handler(ws, &handler, session);
}

void eio_websocket_send(struct eio_session *session, struct frame *frame)
{
    struct frame *spelled = eio_codec_frame(session, frame);

    if (spelled)
        net_ws_send(session->ws, spelled);
    else
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
}
