#include "recovery.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

/* --- life ------------------------------------------------------------------------------------ */

/* Old clients know their id before they join: it is made of the session's. */
static void write_id(struct sio_socket *socket, size_t prefix)
{
    const struct sio_namespace *nsp = socket->nsp;

    if (prefix > 0) {
        memcpy(socket->id, nsp->name.at, nsp->name.size);
        socket->id[nsp->name.size] = '#';
    }
    if (socket->client->legacy)
        memcpy(socket->id + prefix, eio_session_id(socket->session).at, RANDOM_ID_SIZE);
    else
        random_id(nsp->server->random, socket->id);
}

/* The id begins in what would be padding: 160 bytes for most. */
static size_t size_without_kept(const struct sio_namespace *nsp, size_t prefix)
{
    size_t rate = nsp->server->options.events_per_second > 0 ? sizeof(uint64_t) : 0;

    return offsetof(struct sio_socket, id) + prefix + RANDOM_ID_SIZE + rate;
}

size_t sio_socket_kept_at(const struct sio_socket *socket)
{
    size_t prefix = socket->prefixed ? socket->nsp->name.size + 1 : 0;
    size_t align = alignof(struct sio_kept);

    return (size_without_kept(socket->nsp, prefix) + align - 1) / align * align;
}

struct sio_socket *sio_socket_new(struct sio_client *client, struct sio_namespace *nsp,
                                  struct str auth)
{
    bool prefixed = client->legacy && !str_equal(nsp->name, STR("/"));
    size_t prefix = prefixed ? nsp->name.size + 1 : 0;
    size_t size = size_without_kept(nsp, prefix);
    size_t kept =
        nsp->recovery.window_ms > 0 ? sizeof(struct sio_kept) + alignof(struct sio_kept) : 0;
    struct sio_socket *socket = calloc(1, size + kept);

    _Static_assert(offsetof(struct sio_socket, id) + RANDOM_ID_SIZE >= sizeof(*socket) &&
                       offsetof(struct sio_socket, id) + RANDOM_ID_SIZE <= 160,
                   "whole, and as small as it was");
    if (!socket)
        return NULL;
    *socket = (struct sio_socket){
        .nsp = nsp,
        .session = client->session,
        .client = client,
        .state = SIO_JOINING,
        .auth_size = auth.size,
        .prefixed = prefixed,
    };
    list_init(&socket->rooms);
    list_init(&socket->acks);
    if (auth.size > 0) {
        socket->auth = str_dup(auth);
        if (!socket->auth)
            goto fail;
    }
    if (!sio_slot_take(nsp->server, socket))
        goto fail;
    write_id(socket, prefix);
    list_add_last(&client->sockets, &socket->in_client);
    client->socket_count++;
    nsp->joining++;
    return socket;

fail:
    free(socket->auth);
    free(socket);
    return NULL;
}

static void bury_socket(struct net_grave *grave)
{
    struct sio_socket *socket = CONTAINER_OF(grave, struct sio_socket, grave);

    json_tree_free(socket->data);
    free(socket->auth);
    free(socket);
}

/* Nothing finds the socket any more; pointers of callers further up stay good for this turn. */
static void bury(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;

    socket->state = SIO_GONE;
    sio_slot_release(server, socket);
    sio_namespace_release(socket->nsp);
    net_loop_bury(server->loop, &socket->grave, bury_socket);
}

static void unlink_from_client(struct sio_socket *socket)
{
    list_remove(&socket->in_client);
    socket->client->socket_count--;
}

/* Ends a socket that the application has never seen connected. */
static void drop(struct sio_socket *socket, bool lost)
{
    assert(socket->state == SIO_JOINING);
    sio_restore_drop(socket, lost);
    socket->nsp->joining--;
    sio_rooms_leave(socket);
    sio_acks_drop(socket);
    unlink_from_client(socket);
    bury(socket);
}

static bool is_loss(enum sio_disconnect_reason reason)
{
    return reason != SIO_CLIENT_DISCONNECT && reason != SIO_SERVER_DISCONNECT &&
           reason != SIO_PARSE_ERROR;
}

void sio_socket_end(struct sio_socket *socket, enum sio_disconnect_reason reason)
{
    const struct sio_app *app = &socket->nsp->server->app;

    if (socket->state == SIO_JOINING) {
        drop(socket, true);
        return;
    }
    if (socket->state != SIO_CONNECTED)
        return; /* its own callbacks are running further up */

    socket->state = SIO_LEAVING;
    app->disconnecting(app->owner, socket, reason);
    if (is_loss(reason) && socket->nsp->recovery.window_ms > 0)
        sio_session_save(socket);
    sio_restore_drop(socket, false);
    sio_rooms_leave(socket);
    map_remove(&socket->nsp->sockets, sio_socket_id(socket));
    unlink_from_client(socket);
    sio_acks_drop(socket);
    socket->state = SIO_GONE;
    app->disconnected(app->owner, socket, reason);
    bury(socket);
}

/* --- joining the namespace ------------------------------------------------------------------- */

static void send_frame(struct sio_socket *socket, struct frame *frame)
{
    if (!frame) {
        log_error(socket->nsp->server->log, "out of memory for a packet",
                  log_str("socket", sio_socket_logged_id(socket)), LOG_END);
        return;
    }
    eio_session_send(socket->session, frame);
    frame_unref(frame);
}

static void send_connect(struct sio_socket *socket)
{
    const struct sio_kept *kept = sio_socket_kept(socket);
    struct buf json;

    if (socket->client->legacy) {
        send_frame(socket, sio_namespace_frame(socket->nsp, SIO_CONNECT, STR("")));
        return;
    }
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, STR("{\"sid\":\""));
    buf_add(&json, socket->id, RANDOM_ID_SIZE);
    if (kept) {
        buf_add_str(&json, STR("\",\"pid\":\""));
        buf_add(&json, kept->pid, sizeof(kept->pid));
    }
    buf_add_str(&json, STR("\"}"));
    send_frame(socket, buf_failed(&json)
                           ? NULL
                           : sio_namespace_frame(socket->nsp, SIO_CONNECT, buf_str(&json)));
    buf_free(&json);
}

/* Middleware may have joined rooms; then the own room is one of many in the order of joining. */
static bool enter_own_room(struct sio_socket *socket)
{
    if (socket->room_count > 0)
        return sio_socket_join(socket, sio_socket_id(socket));
    sio_own_room_enter(socket);
    return true;
}

void sio_socket_accept(struct sio_socket *socket)
{
    struct sio_server *server = socket->nsp->server;
    struct sio_client *client = socket->client;

    if (socket->state != SIO_JOINING)
        return;
    if (client->closing) {
        drop(socket, true);
        return;
    }
    if (!enter_own_room(socket) ||
        !map_put(&socket->nsp->sockets, sio_socket_id(socket), socket)) {
        log_error(server->log, "out of memory for a socket", LOG_END);
        drop(socket, true);
        sio_client_close(client);
        return;
    }
    if (sio_socket_kept(socket) && !sio_restore_finish(socket)) {
        log_warn(server->log, "what a client missed was forgotten while it was let in",
                 log_str("socket", sio_socket_logged_id(socket)), LOG_END);
        map_remove(&socket->nsp->sockets, sio_socket_id(socket));
        drop(socket, false);
        sio_client_close(client);
        return;
    }
    socket->nsp->joining--;
    socket->state = SIO_CONNECTED;
    list_remove(&socket->in_client);
    list_add_last(&client->sockets, &socket->in_client);
    timer_stop(net_loop_timers(server->loop), &client->connect_timer);
    send_connect(socket);
    server->app.connected(server->app.owner, socket);
}

static void write_refusal(struct buf *json, struct str message, struct str data)
{
    buf_add_str(json, STR("{\"message\":"));
    json_write_string(json, message);
    if (data.size > 0) {
        buf_add_str(json, STR(",\"data\":"));
        buf_add_str(json, data);
    }
    buf_add_byte(json, '}');
}

/* Old clients get the data, or the message where JavaScript takes the data for false. */
static void write_legacy_refusal(struct buf *json, struct str message, struct str data)
{
    static const char *const falsy[] = {"", "null", "false", "0", "\"\""};

    for (size_t i = 0; i < sizeof(falsy) / sizeof(falsy[0]); i++) {
        if (str_equal(data, str_from(falsy[i]))) {
            json_write_string(json, message);
            return;
        }
    }
    buf_add_str(json, data);
}

void sio_socket_refuse(struct sio_socket *socket, struct str message, struct str data)
{
    struct buf json;

    if (socket->state != SIO_JOINING)
        return;
    buf_init(&json, SIZE_MAX);
    if (socket->client->legacy)
        write_legacy_refusal(&json, message, data);
    else
        write_refusal(&json, message, data);
    send_frame(socket, buf_failed(&json) ? NULL
                                         : sio_namespace_frame(socket->nsp, SIO_CONNECT_ERROR,
                                                               buf_str(&json)));
    buf_free(&json);
    drop(socket, false);
}

/* --- sending --------------------------------------------------------------------------------- */

void sio_socket_send(struct sio_socket *socket, struct sio_packet *packet, unsigned flags)
{
    if ((flags & SIO_VOLATILE) && !eio_session_takes_volatile(socket->session))
        return;
    for (uint32_t i = 0; i < packet->frame_count; i++) {
        /* Each packet is made for one emit: when its first receiver comes, nobody else has it. */
        if ((flags & SIO_PLAIN) && !frame_is_plain(packet->frames[i]))
            frame_keep_plain(packet->frames[i]);
        eio_session_send(socket->session, packet->frames[i]);
    }
}

void sio_socket_emit(struct sio_socket *socket, struct sio_packet *packet, unsigned flags)
{
    /* In middleware too: the reference's clients keep early events until they are connected. */
    if (socket->state != SIO_GONE)
        sio_socket_send(socket, packet, flags);
}

void sio_socket_ack(struct sio_socket *socket, double ack_id, const struct sio_args *args)
{
    char id[SIO_NUMBER_TEXT_MAX];
    size_t size = sio_number_text(ack_id, id);
    struct sio_packet *packet;

    if (socket->state == SIO_GONE)
        return;
    packet =
        socket->nsp->server->codec->packet(SIO_ACK, socket->nsp->name, str_of(id, size), args);
    if (!packet) {
        log_error(socket->nsp->server->log, "out of memory for a packet",
                  log_str("socket", sio_socket_logged_id(socket)), LOG_END);
        return;
    }
    sio_socket_send(socket, packet, 0);
    sio_packet_unref(packet);
}

static void disconnect(struct sio_socket *socket, const void *context)
{
    (void)context;
    if (socket->state != SIO_CONNECTED)
        return;
    send_frame(socket, sio_namespace_frame(socket->nsp, SIO_DISCONNECT, STR("")));
    sio_socket_end(socket, SIO_SERVER_DISCONNECT);
}

void sio_socket_disconnect(struct sio_socket *socket, bool close)
{
    struct sio_client *client = socket->client;

    if (!sio_socket_connected(socket))
        return;
    if (!close) {
        disconnect(socket, NULL);
        return;
    }
    client->closing = true;
    sio_client_each(client, disconnect, NULL);
    sio_client_close(client);
}

/* --- asking ---------------------------------------------------------------------------------- */

struct str sio_socket_id(const struct sio_socket *socket)
{
    size_t prefix = socket->prefixed ? socket->nsp->name.size + 1 : 0;

    return str_of(socket->id, prefix + RANDOM_ID_SIZE);
}

struct str sio_socket_logged_id(const struct sio_socket *socket)
{
    size_t known = eio_session_logged_id(socket->session).size;
    size_t hidden = socket->client->legacy ? RANDOM_ID_SIZE - known : 0;

    return str_of(socket->id, sio_socket_id(socket).size - hidden);
}

struct sio_namespace *sio_socket_namespace(const struct sio_socket *socket)
{
    return socket->nsp;
}

struct eio_handshake *sio_socket_handshake(const struct sio_socket *socket)
{
    return eio_session_handshake(socket->session);
}

const char *sio_socket_transport(const struct sio_socket *socket)
{
    return eio_session_transport(socket->session);
}

bool sio_socket_connected(const struct sio_socket *socket)
{
    return socket->state == SIO_CONNECTED || socket->state == SIO_LEAVING;
}

struct str sio_socket_auth(const struct sio_socket *socket)
{
    return socket->auth ? str_of(socket->auth, socket->auth_size) : STR("{}");
}

struct json_tree *sio_socket_data(struct sio_socket *socket)
{
    if (!socket->data)
        socket->data = json_tree_new_object();
    return socket->data;
}

bool sio_socket_write_data(const struct sio_socket *socket, struct buf *to)
{
    return socket->data ? json_tree_write(to, socket->data) : buf_add_str(to, STR("{}"));
}
