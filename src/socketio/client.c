#include "base/rate.h"
#include "legacy.h"
#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

/* --- life ------------------------------------------------------------------------------------ */

/* Nothing was joined in time. Sockets in middleware do not count, as in the reference. */
static void connect_timed_out(struct timer *timer)
{
    struct sio_client *client = CONTAINER_OF(timer, struct sio_client, connect_timer);

    log_info(client->server->log, "no namespace joined in time",
             log_str("session", eio_session_logged_id(client->session)), LOG_END);
    sio_client_close(client);
}

struct sio_client *sio_client_new(struct sio_server *server, struct eio_session *session)
{
    struct sio_client *client = malloc(sizeof(*client));

    if (!client) {
        log_error(server->log, "out of memory for a connection", LOG_END);
        return NULL;
    }
    *client = (struct sio_client){
        .server = server,
        .session = session,
        .legacy = eio_session_handshake(session)->protocol == 3,
    };
    list_add_last(&server->clients, &client->in_server);
    list_init(&client->sockets);
    timer_init(&client->connect_timer, connect_timed_out);
    if (server->options.connect_timeout_ms > 0)
        timer_start(net_loop_timers(server->loop), &client->connect_timer,
                    server->options.connect_timeout_ms);
    return client;
}

void sio_client_each(struct sio_client *client,
                     void (*visit)(struct sio_socket *socket, const void *context),
                     const void *context)
{
    struct sio_handle handles[SIO_CLIENT_SOCKETS_MAX];
    size_t count = 0;

    for (struct list *link = client->sockets.next; link != &client->sockets;
         link = link->next) {
        assert(count < SIO_CLIENT_SOCKETS_MAX);
        handles[count++] = sio_socket_handle(CONTAINER_OF(link, struct sio_socket, in_client));
    }
    struct sio_server *server = client->server;
    for (size_t i = 0; i < count; i++) {
        struct sio_socket *socket = sio_socket_find(server, handles[i]);

        if (socket)
            visit(socket, context);
    }
}

static void end_socket(struct sio_socket *socket, const void *context)
{
    const enum sio_disconnect_reason *reason = context;

    sio_socket_end(socket, *reason);
}

static void end_accepted(struct sio_socket *socket, const void *context)
{
    if (socket->state != SIO_JOINING)
        end_socket(socket, context);
}

static void bury_client(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct sio_client, grave));
}

void sio_client_closed(struct sio_client *client, enum sio_disconnect_reason reason)
{
    struct sio_server *server = client->server;

    client->closing = true;
    client->close_asked = true; /* by the other side: no callback may do it again */
    timer_stop(net_loop_timers(server->loop), &client->connect_timer);
    sio_client_each(client, end_socket, &reason);
    assert(list_empty(&client->sockets));
    sio_decoder_reset(&client->decoder);
    list_remove(&client->in_server);
    net_loop_bury(server->loop, &client->grave, bury_client);
}

void sio_client_close(struct sio_client *client)
{
    if (client->close_asked)
        return;
    client->closing = true;
    client->close_asked = true;
    timer_stop(net_loop_timers(client->server->loop), &client->connect_timer);
    sio_decoder_reset(&client->decoder);
    eio_session_close(client->session);
}

void sio_client_abandon(struct sio_client *client)
{
    enum sio_disconnect_reason reason = SIO_TRANSPORT_CLOSE;

    client->closing = true;
    client->close_asked = true;
    sio_client_each(client, end_socket, &reason);
    sio_decoder_reset(&client->decoder);
    eio_session_abandon(client->session);
}

/* --- faults ---------------------------------------------------------------------------------- */

/* A packet that does not fit the state. The reference tells "forced server close" only where the
 * session cannot report its own end at once: polling without a poll to answer. */
static void wrong_state(struct sio_client *client, const char *what, struct str nsp)
{
    bool mute = strcmp(eio_session_transport(client->session), "polling") == 0 &&
                !eio_session_writable(client->session);
    enum sio_disconnect_reason reason = SIO_FORCED_SERVER_CLOSE;

    log_info(client->server->log, "packet in the wrong state",
             log_str("session", eio_session_logged_id(client->session)),
             log_text("packet", what), log_str("namespace", nsp), LOG_END);
    sio_client_close(client);
    if (mute)
        sio_client_each(client, end_accepted, &reason);
}

static void tell_error(struct sio_socket *socket, const void *context)
{
    const struct sio_app *app = &socket->nsp->server->app;

    if (socket->state != SIO_JOINING)
        app->error(app->owner, socket, context);
}

static struct sio_socket *find_socket(const struct sio_client *client, struct str nsp)
{
    /* From the end: of two sockets in one namespace the one accepted later gets the packets. */
    for (struct list *link = client->sockets.prev; link != &client->sockets;
         link = link->prev) {
        struct sio_socket *socket = CONTAINER_OF(link, struct sio_socket, in_client);

        if (socket->state == SIO_CONNECTED && str_equal(socket->nsp->name, nsp))
            return socket;
    }
    return NULL;
}

static bool note_hit(const struct sio_server *server, enum hit hit)
{
    return hits_note(server->options.hits, hit, net_loop_now(server->loop));
}

static void undecodable(struct sio_client *client, const struct sio_incoming *in)
{
    const struct log *log = client->server->log;

    if (in->too_many)
        note_hit(client->server, HIT_ATTACHMENTS);
    if (in->too_large) {
        const struct sio_socket *socket = find_socket(client, in->nsp);

        log_warn(log, "payload too large",
                 log_str("socket", socket ? sio_socket_logged_id(socket)
                                          : eio_session_logged_id(client->session)),
                 log_str("namespace", in->nsp), log_int("size", (int64_t)in->size),
                 log_int("limit", (int64_t)in->limit), LOG_END);
        note_hit(client->server, HIT_PAYLOAD);
    } else {
        log_info(log, "undecodable packet",
                 log_str("session", eio_session_logged_id(client->session)),
                 log_text("error", in->error), LOG_END);
    }
    /* Before the listeners run, so that nothing they do makes this client read on. */
    client->closing = true;
    sio_client_each(client, tell_error, in->error);
    sio_client_close(client);
}

/* --- packets --------------------------------------------------------------------------------- */

static void refuse_connect(struct sio_client *client, struct str nsp, struct str json)
{
    struct frame *frame = client->server->codec->frame(SIO_CONNECT_ERROR, nsp, STR(""), json);

    if (!frame) {
        log_error(client->server->log, "out of memory for a packet", LOG_END);
        return;
    }
    eio_session_send(client->session, frame);
    frame_unref(frame);
}

/* The ids of old clients' sockets are made of the session's: a second socket would have the
 * first one's, also while that is in middleware. */
static bool has_joined(const struct sio_client *client, struct str nsp)
{
    for (struct list *link = client->sockets.next; link != &client->sockets;
         link = link->next) {
        if (str_equal(CONTAINER_OF(link, struct sio_socket, in_client)->nsp->name, nsp))
            return true;
    }
    return false;
}

static struct str origin_refusal(const struct sio_client *client)
{
    return client->legacy ? STR("\"origin not allowed\"")
                          : STR("{\"message\":\"origin not allowed\"}");
}

static void take_connect(struct sio_client *client, struct sio_incoming *in)
{
    struct sio_server *server = client->server;
    struct sio_namespace *nsp = sio_namespace_resolve(server, in->nsp, in->payload);
    struct sio_socket *socket;

    if (client->socket_count >= SIO_CLIENT_SOCKETS_MAX) {
        wrong_state(client, "CONNECT to one namespace too many", in->nsp);
        return;
    }
    if (client->legacy && has_joined(client, in->nsp)) {
        wrong_state(client, "CONNECT", in->nsp);
        return;
    }
    if (nsp && !sio_namespace_allows(nsp, eio_session_handshake(client->session)->origin)) {
        refuse_connect(client, in->nsp, origin_refusal(client));
        return;
    }
    if (nsp && nsp->kind != SIO_NAMED)
        nsp = sio_namespace_child(nsp, in->nsp);
    if (!nsp) {
        refuse_connect(client, in->nsp, STR("{\"message\":\"Invalid namespace\"}"));
        return;
    }
    if (nsp->max_payload > 0 && in->size > nsp->max_payload) {
        in->limit = nsp->max_payload;
        in->too_large = true;
        in->error = "payload too large";
        undecodable(client, in);
        sio_namespace_release(nsp);
        return;
    }
    socket = sio_socket_new(client, nsp, in->payload);
    if (!socket) {
        log_error(server->log, "out of memory for a socket", LOG_END);
        sio_namespace_release(nsp);
        sio_client_close(client);
        return;
    }
    sio_restore(socket);
}

void sio_client_begin(struct sio_client *client)
{
    struct sio_incoming in = {.type = SIO_CONNECT, .nsp = STR("/"), .payload = STR("")};

    if (client->legacy)
        take_connect(client, &in);
}

static bool rate_takes(struct sio_socket *socket, uint32_t limit, uint64_t now_ms)
{
    char *state = socket->id + sio_socket_id(socket).size;
    uint64_t busy_until_ns;
    bool allowed;

    memcpy(&busy_until_ns, state, sizeof(busy_until_ns));
    allowed = rate_allows(&busy_until_ns, limit, now_ms);
    memcpy(state, &busy_until_ns, sizeof(busy_until_ns));
    return allowed;
}

/* False when the socket sends more events than it may; then its connection is being closed. */
static bool may_send(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;
    uint32_t limit = server->options.events_per_second;

    if (limit == 0 || rate_takes(socket, limit, net_loop_now(server->loop)))
        return true;
    if (note_hit(server, HIT_EVENTS))
        log_warn(server->log, "too many events, connection closed",
                 log_str("socket", sio_socket_logged_id(socket)),
                 log_str("address", eio_session_handshake(socket->session)->address),
                 log_str("namespace", socket->nsp->name), log_int("limit", limit), LOG_END);
    sio_client_close(socket->client);
    return false;
}

static void take_event(struct sio_socket *socket, const struct sio_incoming *in)
{
    const struct sio_app *app = &socket->nsp->server->app;
    struct sio_event event = {
        .name = in->name,
        .args = in->args,
        .wants_ack = in->has_id,
        .ack_id = in->id,
    };

    /* A bare "2" has no name: it reaches nobody. */
    if (in->has_payload && may_send(socket))
        app->event(app->owner, socket, &event);
}

static void take_packet(struct sio_client *client, struct sio_socket *socket,
                        struct sio_incoming *in)
{
    static const char *const names[] = {"CONNECT", "DISCONNECT", "EVENT", "ACK",
                                        "CONNECT_ERROR"};

    if (!socket && in->type == SIO_CONNECT) {
        take_connect(client, in);
        return;
    }
    if (!socket || in->type == SIO_CONNECT || in->type == SIO_CONNECT_ERROR) {
        wrong_state(client, names[in->type], in->nsp);
        return;
    }
    switch (in->type) {
    case SIO_EVENT:
        take_event(socket, in);
        break;
    case SIO_ACK:
        if (in->has_id)
            sio_ack_arrived(socket, in->id, &in->args);
        break;
    default:
        assert(in->type == SIO_DISCONNECT);
        sio_socket_end(socket, SIO_CLIENT_DISCONNECT);
    }
}

static void take_payload(struct sio_client *client, struct sio_incoming *in, struct str auth)
{
    struct sio_socket *socket = find_socket(client, in->nsp);

    if (socket && socket->nsp->max_payload > 0)
        in->limit = socket->nsp->max_payload;
    if (!client->server->codec->payload(&client->decoder, in)) {
        undecodable(client, in);
    } else if (in->complete) {
        if (client->legacy && in->type == SIO_CONNECT)
            in->payload = auth;
        take_packet(client, socket, in);
    } else if (!socket) { /* it would be refused when whole: collect nothing for strangers */
        wrong_state(client, "binary packet", in->nsp);
    }
}

/* What old clients write as a namespace is an address. */
static void take_legacy_payload(struct sio_client *client, struct sio_incoming *in)
{
    struct sio_address address;

    if (sio_address_read(&address, in->nsp, in->type == SIO_CONNECT)) {
        in->nsp = buf_str(&address.path);
        take_payload(client, in, buf_str(&address.auth));
    } else {
        in->error = address.error;
        undecodable(client, in);
    }
    sio_address_free(&address);
}

static void take_first(struct sio_client *client, uint8_t *bytes, size_t size,
                       struct sio_incoming *in)
{
    const struct sio_server *server = client->server;

    if (!server->codec->head(&client->decoder, bytes, size, server->options.max_attachments,
                             in))
        undecodable(client, in);
    else if (client->legacy)
        take_legacy_payload(client, in);
    else
        take_payload(client, in, STR(""));
}

static void take_rest(struct sio_client *client, const uint8_t *bytes, size_t size,
                      struct sio_incoming *in)
{
    if (!client->server->codec->rest(&client->decoder, bytes, size, in))
        undecodable(client, in);
    else if (in->complete)
        take_packet(client, find_socket(client, in->nsp), in);
}

void sio_client_message(struct sio_client *client, enum frame_kind kind, uint8_t *bytes,
                        size_t size)
{
    struct sio_incoming in;

    if (client->closing)
        return;
    if (kind == client->server->codec->first)
        take_first(client, bytes, size, &in);
    else
        take_rest(client, bytes, size, &in);
    sio_incoming_free(&in);
}
