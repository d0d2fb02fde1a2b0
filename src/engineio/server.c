#include "base/rate.h"
#include "engineio/private.h"
#include "json/json.h"

#include <stdlib.h>

enum error {
    UNKNOWN_TRANSPORT, /* the codes of the wire */
    UNKNOWN_SID,
    BAD_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNSUPPORTED_PROTOCOL,
    NO_ERROR,
};

enum {
    PICKS = 4, /* until a session is taken that would better be left for later */
};

static const char *const messages[] = {
    [UNKNOWN_TRANSPORT] = "Transport unknown",
    [UNKNOWN_SID] = "Session ID unknown",
    [BAD_METHOD] = "Bad handshake method",
    [BAD_REQUEST] = "Bad request",
    [FORBIDDEN] = "Forbidden",
    [UNSUPPORTED_PROTOCOL] = "Unsupported protocol version",
};

/* --- life --------------------------------------------------------------------------------- */

struct eio_server *eio_server_new(struct net_loop *loop, struct random *random,
                                  const struct log *log, const struct eio_options *options,
                                  const struct eio_handler *handler)
{
    struct eio_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->loop = loop;
    server->random = random;
    server->log = log;
    server->options = *options;
    server->handler = *handler;
    map_init(&server->sessions);
    list_init(&server->admissions);
    assert(options->header_count <= EIO_EXTRA_HEADERS_MAX &&
           options->initial_header_count <= EIO_EXTRA_HEADERS_MAX);
    server->ping = eio_packet_frame(EIO_PACKET_PING, STR(""));
    server->pong = eio_packet_frame(EIO_PACKET_PONG, STR(""));
    server->probe_answer = eio_packet_frame(EIO_PACKET_PONG, STR("probe"));
    server->farewell = eio_packet_frame(EIO_PACKET_CLOSE, STR(""));
    if (options->initial_packet.size > 0)
        server->initial = eio_packet_frame(EIO_PACKET_MESSAGE, options->initial_packet);
    if (!server->ping || !server->pong || !server->probe_answer || !server->farewell ||
        (options->initial_packet.size > 0 && !server->initial)) {
        eio_server_free(server);
        return NULL;
    }
    frame_keep_plain(server->farewell);
    return server;
}

void eio_server_free(struct eio_server *server)
{
    assert(map_size(&server->sessions) == 0);
    eio_admissions_free(server);
    if (server->ping)
        frame_unref(server->ping);
    if (server->pong)
        frame_unref(server->pong);
    if (server->probe_answer)
        frame_unref(server->probe_answer);
    if (server->farewell)
        frame_unref(server->farewell);
    if (server->initial)
        frame_unref(server->initial);
    map_free(&server->sessions);
    free(server);
}

void eio_server_drain(struct eio_server *server, bool listening)
{
    server->draining = true;
    server->listening = listening;
}

uint32_t eio_server_expected(const struct eio_server *server)
{
    uint32_t cursor = 0;
    uint32_t count = 0;
    void *value;

    while (map_next(&server->sessions, &cursor, NULL, &value)) {
        const struct eio_session *session = value;

        count += session->transport == EIO_POLLING && session->state == EIO_OPEN &&
                 (!session->poll || !session->heard);
    }
    return count;
}

/* A client in the midst of an upgrade may not hear of a close on either transport, so it is left
 * for later, if there is anybody else. */
static struct eio_session *pick(struct eio_server *server)
{
    struct eio_session *session = NULL;

    for (int i = 0; i < PICKS && (!session || session->leaving || session->upgrade); i++) {
        uint32_t number;

        random_bytes(server->random, &number, sizeof(number));
        session = map_pick(&server->sessions, number);
    }
    return session;
}

void eio_server_close_some(struct eio_server *server, uint32_t count)
{
    uint32_t cursor = 0;
    void *session;

    if (count >= map_size(&server->sessions)) {
        while (map_next(&server->sessions, &cursor, NULL, &session))
            eio_session_leave(session);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        eio_session_leave(pick(server));
}

void eio_server_close(struct eio_server *server)
{
    uint32_t cursor = 0;
    void *session;

    server->closed = true;
    while (map_next(&server->sessions, &cursor, NULL, &session)) {
        eio_session_leave(session);
        eio_session_end(session, EIO_SERVER_SHUTDOWN);
    }
}

uint32_t eio_server_sessions(const struct eio_server *server)
{
    return atomic_load_explicit(&server->session_count, memory_order_relaxed);
}

bool eio_server_matches(const struct eio_server *server, struct str target)
{
    return str_starts(target, server->options.path);
}

/* --- checks ------------------------------------------------------------------------------- */

static bool transport_enabled(const struct eio_options *options, enum eio_transport transport)
{
    switch (transport) {
    case EIO_POLLING:
        return options->polling;
    case EIO_WEBSOCKET:
        return options->websocket;
    case EIO_NO_TRANSPORT:
        break;
    }
    return false;
}

static bool speaks(const struct eio_server *server, uint8_t protocol)
{
    return protocol == 4 || server->options.legacy_clients;
}

static bool has_control_character(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        unsigned char c = (unsigned char)text.at[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return true;
    }
    return false;
}

static enum error check_session(const struct http_request *request,
                                const struct eio_query *query,
                                const struct eio_session *session)
{
    if (!session)
        return UNKNOWN_SID;
    if (!request->upgrade && session->transport != query->transport)
        return BAD_REQUEST;
    if (session->protocol != query->protocol)
        return BAD_REQUEST;
    return NO_ERROR;
}

static enum error check_handshake(const struct eio_server *server,
                                  const struct http_request *request,
                                  const struct eio_query *query)
{
    const struct cors_policy *cors = &server->options.cors;

    if (request->method != HTTP_GET)
        return BAD_METHOD;
    if (query->transport == EIO_WEBSOCKET && !request->upgrade)
        return BAD_REQUEST;
    if (cors->enforce && !cors_allows(cors, http_request_header(request, "origin")))
        return FORBIDDEN;
    return NO_ERROR;
}

/* The reference's checks in its order. `*session` is set when the request names one. */
static enum error check(const struct eio_server *server, const struct http_request *request,
                        const struct eio_query *query, struct eio_session **session)
{
    *session = NULL;
    if (!transport_enabled(&server->options, query->transport))
        return UNKNOWN_TRANSPORT;
    if (has_control_character(http_request_header(request, "origin")))
        return BAD_REQUEST;
    if (!query->has_sid)
        return check_handshake(server, request, query);
    if (query->sid_whole)
        *session = map_get(&server->sessions, str_of(query->sid, sizeof(query->sid)));
    return check_session(request, query, *session);
}

/* --- requests without upgrade ------------------------------------------------------------- */

/* The error as JSON. */
static void write_error(struct buf *to, enum error error, struct str message)
{
    buf_add_str(to, STR("{\"code\":"));
    buf_add_u64(to, error);
    buf_add_str(to, STR(",\"message\":"));
    json_write_string(to, message);
    buf_add_byte(to, '}');
}

static void answer_error(const struct eio_server *server, struct http_exchange *exchange,
                         enum error error, struct str message)
{
    struct http_header headers[CORS_HEADERS_MAX + 1];
    size_t count =
        cors_headers(&server->options.cors, http_exchange_request(exchange), headers);
    struct buf body;

    headers[count++] = (struct http_header){STR("Content-Type"), STR("application/json")};
    buf_init(&body, SIZE_MAX);
    write_error(&body, error, message);
    if (buf_failed(&body))
        http_exchange_destroy(exchange);
    else
        http_exchange_respond(exchange, &(struct http_response){
                                            .status = error == FORBIDDEN ? 403 : 400,
                                            .headers = headers,
                                            .header_count = count,
                                            .body = buf_str(&body),
                                            .chunked = true,
                                        });
    buf_free(&body);
}

static void polling_handshake(struct eio_server *server, struct http_exchange *exchange,
                              const struct eio_query *query)
{
    struct eio_session *session =
        eio_session_new(server, http_exchange_request(exchange), query);
    struct frame *open = session ? eio_session_open_packet(session) : NULL;

    if (!open || !eio_polling_answer_open(session, exchange, open)) {
        if (session)
            eio_session_discard(session);
        http_exchange_destroy(exchange);
    } else {
        eio_session_start(session);
    }
    if (open)
        frame_unref(open);
}

/* --- upgrade requests --------------------------------------------------------------------- */

/* The text that refuses an upgrade. */
static void write_refusal(struct buf *to, struct str message)
{
    buf_printf(to,
               "HTTP/1.1 400 Bad Request\r\n"
               "Connection: close\r\n"
               "Content-type: text/html\r\n"
               "Content-Length: %zu\r\n"
               "\r\n",
               message.size);
    buf_add_str(to, message);
}

static void refuse_upgrade(struct http_exchange *exchange, struct str message)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    write_refusal(&text, message);
    if (buf_failed(&text))
        http_exchange_destroy(exchange);
    else
        http_exchange_respond_raw(exchange, buf_str(&text));
    buf_free(&text);
}

/* This error is found only when the WebSocket is there: its text follows the 101. */
static void refuse_protocol(const struct eio_server *server, struct http_exchange *exchange)
{
    struct net_ws *ws = eio_websocket_accept(server, exchange, true);
    struct buf text;

    if (!ws)
        return;
    buf_init(&text, SIZE_MAX);
    write_refusal(&text, str_from(messages[UNSUPPORTED_PROTOCOL]));
    if (!buf_failed(&text))
        net_ws_send_raw(ws, buf_str(&text));
    buf_free(&text);
    net_ws_destroy(ws);
}

/* The reference takes the WebSocket of such a request and has no use for it. */
static void accept_and_close(const struct eio_server *server, struct http_exchange *exchange,
                             const struct eio_query *query)
{
    struct net_ws *ws = eio_websocket_accept(server, exchange, !query->has_sid);

    if (ws)
        net_ws_close(ws, 0);
}

static void websocket_handshake(struct eio_server *server, struct http_exchange *exchange,
                                const struct eio_query *query)
{
    struct eio_session *session =
        eio_session_new(server, http_exchange_request(exchange), query);
    struct frame *open = session ? eio_session_open_packet(session) : NULL;
    struct net_ws *ws;

    if (!open) {
        http_exchange_destroy(exchange);
        goto fail;
    }
    ws = eio_websocket_accept(server, exchange, true);
    if (!ws)
        goto fail;
    eio_websocket_attach(session, ws);
    net_ws_send(ws, open);
    frame_unref(open);
    if (server->initial)
        net_ws_send(ws, server->initial);
    eio_session_start(session);
    return;
fail:
    if (open)
        frame_unref(open);
    if (session)
        eio_session_discard(session);
}

static void candidate(struct eio_server *server, struct http_exchange *exchange,
                      const struct eio_query *query, struct eio_session *session)
{
    struct net_ws *ws = eio_websocket_accept(server, exchange, false);

    if (ws)
        eio_upgrade_begin(session, ws, query->base64);
}

/* --- requests --------------------------------------------------------------------------- */

static void open_plain(struct eio_server *server, struct http_exchange *exchange,
                       const struct eio_query *query)
{
    if (!speaks(server, query->protocol))
        answer_error(server, exchange, UNSUPPORTED_PROTOCOL,
                     str_from(messages[UNSUPPORTED_PROTOCOL]));
    else if ((server->draining && !server->listening) || server->closed)
        eio_answer_empty(server, exchange, 503);
    else
        polling_handshake(server, exchange, query);
}

static void open_upgrade(struct eio_server *server, struct http_exchange *exchange,
                         const struct eio_query *query)
{
    if (query->transport != EIO_WEBSOCKET)
        accept_and_close(server, exchange, query);
    else if (!speaks(server, query->protocol))
        refuse_protocol(server, exchange);
    else if (server->closed)
        http_exchange_destroy(exchange);
    else
        websocket_handshake(server, exchange, query);
}

void eio_server_open(struct eio_server *server, struct http_exchange *exchange,
                     const struct eio_query *query)
{
    if (http_exchange_request(exchange)->upgrade)
        open_upgrade(server, exchange, query);
    else
        open_plain(server, exchange, query);
}

static void refuse(const struct eio_server *server, struct http_exchange *exchange,
                   enum error error, struct str message)
{
    if (http_exchange_request(exchange)->upgrade)
        refuse_upgrade(exchange, message);
    else
        answer_error(server, exchange, error, message);
}

/* Clients try again after a while that they choose at random. */
static void refuse_busy(const struct eio_server *server, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);

    if (eio_note_hit(server, HIT_HANDSHAKES))
        log_warn(server->log, "handshake refused: too many a second",
                 log_text("address", request->address),
                 log_int("limit", server->options.handshakes_per_second), LOG_END);
    if (!request->upgrade)
        eio_answer_empty(server, exchange, 503);
    else
        http_exchange_respond_raw(exchange, STR("HTTP/1.1 503 Service Unavailable\r\n"
                                                "Connection: close\r\n"
                                                "Content-Length: 0\r\n"
                                                "\r\n"));
}

static bool may_open(struct eio_server *server)
{
    uint32_t limit = server->options.handshakes_per_second;

    return limit == 0 || rate_allows(&server->busy_until_ns, limit, net_loop_now(server->loop));
}

bool eio_note_hit(const struct eio_server *server, enum hit hit)
{
    return hits_note(server->options.hits, hit, net_loop_now(server->loop));
}

void eio_server_forbid(const struct eio_server *server, struct http_exchange *exchange,
                       struct str message)
{
    refuse(server, exchange, FORBIDDEN,
           message.size > 0 ? message : str_from(messages[FORBIDDEN]));
}

void eio_server_refuse_unknown(const struct eio_server *server, struct http_exchange *exchange)
{
    refuse(server, exchange, UNKNOWN_SID, str_from(messages[UNKNOWN_SID]));
}

/* Another server has the session, by its id, and the exchange now. */
static bool is_elsewhere(const struct eio_server *server, struct http_exchange *exchange,
                         const struct eio_query *query)
{
    const struct eio_options *options = &server->options;
    struct str name = str_of(query->sid + RANDOM_ID_SIZE - EIO_NAME_SIZE, EIO_NAME_SIZE);

    return options->elsewhere && query->sid_whole && !str_equal(name, options->name) &&
           !http_exchange_request(exchange)->handed_over &&
           options->elsewhere(options->elsewhere_owner, name, exchange);
}

void eio_server_request(struct eio_server *server, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct eio_session *session;
    struct eio_query query;
    enum error error;

    if (!request->upgrade && cors_preflight(&server->options.cors, exchange))
        return;
    eio_query_read(request->target, &query);
    error = check(server, request, &query, &session);
    if (error == UNKNOWN_SID && is_elsewhere(server, exchange, &query))
        return;
    if (error != NO_ERROR)
        refuse(server, exchange, error, str_from(messages[error]));
    else if (!session && !may_open(server))
        refuse_busy(server, exchange);
    else if (!session)
        eio_admit(server, exchange, &query);
    else if (!request->upgrade)
        eio_polling_request(session, exchange);
    else if (query.transport == EIO_WEBSOCKET)
        candidate(server, exchange, &query, session);
    else
        accept_and_close(server, exchange, &query);
}
