#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_SLOTS = 64,
};
#define NO_SLOT UINT32_MAX

const char *sio_disconnect_reason_text(enum sio_disconnect_reason reason)
{
    static const char *const texts[] = {
        [SIO_TRANSPORT_CLOSE] = "transport close",
        [SIO_TRANSPORT_ERROR] = "transport error",
        [SIO_PING_TIMEOUT] = "ping timeout",
        [SIO_PARSE_ERROR] = "parse error",
        [SIO_FORCED_CLOSE] = "forced close",
        [SIO_SERVER_SHUTDOWN] = "server shutting down",
        [SIO_FORCED_SERVER_CLOSE] = "forced server close",
        [SIO_CLIENT_DISCONNECT] = "client namespace disconnect",
        [SIO_SERVER_DISCONNECT] = "server namespace disconnect",
    };

    assert((size_t)reason < sizeof(texts) / sizeof(texts[0]));
    return texts[reason];
}

struct sio_server *sio_server_new(struct net_loop *loop, struct random *random,
                                  const struct log *log, const struct sio_options *options,
                                  const struct sio_app *app)
{
    struct sio_server *server = malloc(sizeof(*server));

    if (!server)
        return NULL;
    *server = (struct sio_server){
        .loop = loop,
        .random = random,
        .log = log,
        .options = *options,
        .codec = options->msgpack ? &sio_codec_msgpack : &sio_codec_json,
        .app = *app,
        .free_slot = NO_SLOT,
    };
    map_init(&server->names);
    list_init(&server->namespaces);
    list_init(&server->clients);
    list_init(&server->acks);
    map_init(&server->saved);
    map_init(&server->pids);
    random_bytes(random, &server->origin, sizeof(server->origin));
    server->origin = server->origin >> (64 - SIO_ORIGIN_BITS) | 1; /* 0 is nobody */

    server->root = sio_namespace_add(server, &(struct sio_namespace_options){
                                                 .name = STR("/"),
                                                 .recovery = options->recovery,
                                             });
    if (!server->root) {
        sio_server_free(server);
        return NULL;
    }
    server->root->declared = false;
    return server;
}

void sio_server_free(struct sio_server *server)
{
    struct list *link;

    if (!server)
        return;
    assert(list_empty(&server->clients));
    sio_acks_free(server);
    sio_sessions_free(server);
    while ((link = list_take_first(&server->namespaces)) != NULL) {
        struct sio_namespace *nsp = CONTAINER_OF(link, struct sio_namespace, in_server);

        sio_namespace_closing(nsp);
        sio_namespace_free(nsp);
    }
    map_free(&server->names);
    free(server->slots);
    free(server);
}

uint64_t sio_server_origin(const struct sio_server *server)
{
    return server->origin;
}

void sio_server_keep(struct sio_server *server, const struct sio_keeper *keeper)
{
    server->keeper = *keeper;
}

/* --- handles --------------------------------------------------------------------------------- */

static bool grow_slots(struct sio_server *server)
{
    uint32_t count = server->slot_count ? server->slot_count * 2 : FIRST_SLOTS;
    struct sio_slot *grown;

    if (count <= server->slot_count)
        return false;
    grown = realloc(server->slots, count * sizeof(*grown));
    if (!grown)
        return false;
    for (uint32_t i = server->slot_count; i < count; i++)
        grown[i] = (struct sio_slot){.next_free = i + 1 < count ? i + 1 : NO_SLOT};
    server->free_slot = server->slot_count;
    server->slots = grown;
    server->slot_count = count;
    return true;
}

bool sio_slot_take(struct sio_server *server, struct sio_socket *socket)
{
    if (server->free_slot == NO_SLOT && !grow_slots(server))
        return false;
    socket->slot = server->free_slot;
    server->free_slot = server->slots[socket->slot].next_free;
    server->slots[socket->slot].socket = socket;
    return true;
}

void sio_slot_release(struct sio_server *server, struct sio_socket *socket)
{
    struct sio_slot *slot = &server->slots[socket->slot];

    assert(slot->socket == socket);
    slot->socket = NULL;
    slot->generation++;
    slot->next_free = server->free_slot;
    server->free_slot = socket->slot;
}

struct sio_handle sio_socket_handle(const struct sio_socket *socket)
{
    const struct sio_slot *slot = &socket->nsp->server->slots[socket->slot];

    return (struct sio_handle){(uint64_t)slot->generation << 32 | (socket->slot + 1)};
}

struct sio_socket *sio_socket_find(const struct sio_server *server, struct sio_handle handle)
{
    uint32_t index = (uint32_t)handle.value - 1; /* 0 wraps to an index that is never there */

    if (index >= server->slot_count || server->slots[index].generation != handle.value >> 32)
        return NULL;
    return server->slots[index].socket;
}

/* --- the handler of sessions ----------------------------------------------------------------- */

static bool session_open(void *owner, struct eio_session *session)
{
    struct sio_client *client = sio_client_new(owner, session);

    if (!client)
        return false;
    eio_session_set_data(session, client);
    sio_client_begin(client);
    return true;
}

static void session_message(struct eio_session *session, enum frame_kind kind, uint8_t *bytes,
                            size_t size)
{
    sio_client_message(eio_session_data(session), kind, bytes, size);
}

static void session_closed(struct eio_session *session, enum eio_close_reason reason)
{
    _Static_assert((int)EIO_SERVER_SHUTDOWN == (int)SIO_SERVER_SHUTDOWN &&
                       (int)EIO_TRANSPORT_CLOSE == (int)SIO_TRANSPORT_CLOSE,
                   "the first reasons are Engine.IO's");
    sio_client_closed(eio_session_data(session), (enum sio_disconnect_reason)reason);
}

struct eio_handler sio_server_handler(struct sio_server *server)
{
    return (struct eio_handler){
        .open = session_open,
        .message = session_message,
        .closed = session_closed,
        .owner = server,
    };
}
