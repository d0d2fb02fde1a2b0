/*
 * socketio: Socket.IO protocol 5 over Engine.IO sessions: packets, namespaces, sockets, rooms,
 * acknowledgements, broadcast.
 *
 * One Engine.IO session carries one client; a client has one socket for each namespace that it
 * joined. The application (script, later rules and cluster) sees sockets and namespaces, never
 * sessions.
 *
 * Callers   worker wires it to engineio; script implements struct sio_app and calls the rest.
 * Owner     sio_server owns namespaces, clients and sockets. Pointers to sockets are valid during
 *           a callback only; whoever keeps one across callbacks keeps a struct sio_handle and
 *           asks sio_socket_find() again. Names, args and attachments in callbacks are slices
 *           that are gone when the call returns.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    out of memory for one packet drops that packet with a log line; a faulty peer is
 *           closed with the reference's reason.
 * Source    protocol/socket-io.md; vectors socket-io-v5-parser.json, transcripts.json.
 */
#ifndef SKUA_SOCKETIO_SOCKETIO_H
#define SKUA_SOCKETIO_SOCKETIO_H

#include "base/map.h"
#include "engineio/engineio.h"
#include "json/tree.h"

struct sio_server;
struct sio_namespace;
struct sio_socket;
struct sio_packet;

/* A reference to a socket that may be gone. 0 is never a socket. */
struct sio_handle {
    uint64_t value;
};

enum sio_disconnect_reason {
    SIO_TRANSPORT_CLOSE, /* the first six as enum eio_close_reason */
    SIO_TRANSPORT_ERROR,
    SIO_PING_TIMEOUT,
    SIO_PARSE_ERROR,
    SIO_FORCED_CLOSE,
    SIO_SERVER_SHUTDOWN,
    SIO_FORCED_SERVER_CLOSE,
    SIO_CLIENT_DISCONNECT, /* "client namespace disconnect" */
    SIO_SERVER_DISCONNECT, /* "server namespace disconnect" */
};

const char *sio_disconnect_reason_text(enum sio_disconnect_reason reason);

/*
 * The arguments of an event or an answer: the text of their JSON array (brackets included, event
 * name not), with placeholder objects where binary values stand, and those values.
 */
struct sio_args {
    struct str json;
    const struct str *attachments;
    uint32_t attachment_count;
    struct str
        offset; /* added to the array when it is sent, a string of plain characters; or empty */
};

struct sio_event {
    struct str name; /* decoded; a number's text for numeric names */
    struct sio_args args;
    bool wants_ack;
    double ack_id; /* for sio_socket_ack() */
};

struct sio_app {
    /* A CONNECT came for this socket: run middleware, then call sio_socket_accept() or
     * sio_socket_refuse(), now or later. Until then the socket is in no room and gets no events. */
    void (*connecting)(void *owner, struct sio_socket *socket);

    /* The CONNECT answer is queued, the socket is in its own room. */
    void (*connected)(void *owner, struct sio_socket *socket);

    void (*event)(void *owner, struct sio_socket *socket, const struct sio_event *event);

    /* `disconnecting` while the rooms are still there, `disconnected` after. Both only for sockets
     * that were accepted. The handle still finds the socket until `disconnected` returns. */
    void (*disconnecting)(void *owner, struct sio_socket *socket,
                          enum sio_disconnect_reason reason);
    void (*disconnected)(void *owner, struct sio_socket *socket,
                         enum sio_disconnect_reason reason);

    /* A packet of this socket's connection could not be decoded; it will be closed. */
    void (*error)(void *owner, struct sio_socket *socket, const char *message);

    /* Whether a dynamic parent takes a name (with the CONNECT's auth JSON, or empty). */
    bool (*adopts)(void *owner, struct sio_namespace *parent, struct str name, struct str auth);

    void *owner;
};

/* Connection state recovery of a namespace. */
struct sio_recovery_options {
    uint32_t window_ms;    /* from a socket's loss on; 0: none */
    size_t buffer;         /* bytes of events and sessions kept */
    bool skip_middlewares; /* a recovered socket is connected without asking the application */
};

struct sio_options {
    uint32_t connect_timeout_ms;          /* to join a first namespace */
    uint32_t max_attachments;             /* a packet */
    uint32_t events_per_second;           /* of a socket; 0: no limit */
    struct hits *hits;                    /* or NULL */
    bool cleanup_empty_children;          /* forget dynamic namespaces without sockets */
    bool msgpack;                         /* packets as socket.io-msgpack-parser writes them */
    struct sio_recovery_options recovery; /* of "/" unless it is declared */
    uint32_t unnoticed_ms;                /* how long a loss may go unnoticed; for recovery */
};

struct sio_server *sio_server_new(struct net_loop *loop, struct random *random,
                                  const struct log *log, const struct sio_options *options,
                                  const struct sio_app *app);

/* Frees everything; sessions must be closed before (eio_server_close()). Acknowledgements that are
 * still waited for end with SIO_ACK_DISCONNECTED. */
void sio_server_free(struct sio_server *server);

/* The handler that connects an eio_server to this server. */
struct eio_handler sio_server_handler(struct sio_server *server);

struct sio_socket *sio_socket_find(const struct sio_server *server, struct sio_handle handle);

/* --- namespaces --------------------------------------------------------------------------- */

enum sio_namespace_kind {
    SIO_NAMED,   /* one name; "/" exists always */
    SIO_GLOB,    /* every name that matches "/org-*" ('*': any run of characters but '/') */
    SIO_DECIDED, /* every name that app->adopts accepts */
};

struct sio_namespace_options {
    enum sio_namespace_kind kind;
    struct str name;           /* or the pattern; "" for SIO_DECIDED */
    size_t max_payload;        /* of a packet and its attachments; 0: the engine's limit */
    const struct str *origins; /* patterns of cors.h; none: all */
    size_t origin_count;
    struct sio_recovery_options recovery;
    void *data; /* the application's; children inherit it */
};

/* Declares a namespace (or parent of dynamic ones); asked in the order of declaration. A missing
 * leading '/' is put in front; "/" may be declared once, like the others. NULL when out of memory
 * or when the name is taken. The origins must outlive the server, the name is copied. */
struct sio_namespace *sio_namespace_add(struct sio_server *server,
                                        const struct sio_namespace_options *options);

/* A named one or an existing child, or NULL. With cleanup_empty_children a child is gone after the
 * turn in which its last socket left: keep its name, not the pointer. */
struct sio_namespace *sio_namespace_find(const struct sio_server *server, struct str name);
struct str sio_namespace_name(const struct sio_namespace *nsp);
void *sio_namespace_data(const struct sio_namespace *nsp);
struct sio_server *sio_namespace_server(const struct sio_namespace *nsp);

/* The parent of a dynamic child, else NULL. */
struct sio_namespace *sio_namespace_parent(const struct sio_namespace *nsp);

/* Whether it has a window in which lost sockets are recovered. */
bool sio_namespace_recovers(const struct sio_namespace *nsp);

/* Connected sockets. For a parent, those of all its children: also in everything below. */
uint32_t sio_namespace_count(const struct sio_namespace *nsp);

/* --- packets: encoded once, sent to many ---------------------------------------------------- */

/*
 * Builds an EVENT packet of the namespace. `event_json` is the JSON array that starts with the event's name; `ack`
 * is NULL or the ack id. References are counted: sio_packet_unref() gives the builder's back.
 * NULL when out of memory.
 */
struct sio_packet *sio_packet_event(const struct sio_namespace *nsp,
                                    const struct sio_args *event_json, const uint64_t *ack);
void sio_packet_unref(struct sio_packet *packet);

/* --- sockets ------------------------------------------------------------------------------ */

struct sio_handle sio_socket_handle(const struct sio_socket *socket);
struct str sio_socket_id(const struct sio_socket *socket);

/* For logs: old clients' ids end in the session's, which is a secret. */
struct str sio_socket_logged_id(const struct sio_socket *socket);
struct sio_namespace *sio_socket_namespace(const struct sio_socket *socket);
struct eio_handshake *sio_socket_handshake(const struct sio_socket *socket);
const char *sio_socket_transport(const struct sio_socket *socket);
bool sio_socket_connected(const struct sio_socket *socket);

/* It is who it was before its connection was lost. */
bool sio_socket_recovered(const struct sio_socket *socket);

/* The CONNECT payload as JSON text; "{}" when there was none. */
struct str sio_socket_auth(const struct sio_socket *socket);

/* socket.data: made on first use, an object. NULL when out of memory. */
struct json_tree *sio_socket_data(struct sio_socket *socket);

/* Appends its JSON text; "{}" if it was never used. */
bool sio_socket_write_data(const struct sio_socket *socket, struct buf *to);

/* Ends middleware: queues the CONNECT answer and calls `connected`. If the connection is being
 * closed meanwhile, the socket is dropped without a word. */
void sio_socket_accept(struct sio_socket *socket);

/* CONNECT_ERROR with {"message":…,"data":…}; `data` is JSON text or empty for none. */
void sio_socket_refuse(struct sio_socket *socket, struct str message, struct str data);

enum sio_flags {
    SIO_VOLATILE = 1, /* dropped for a socket that cannot take it at once */
    SIO_LOCAL = 2,    /* this server's sockets only */
    SIO_PLAIN = 4,    /* not worth compressing; answers to polls heed that, as the reference */
};

/* Also in middleware (clients keep early events until they are connected), and while
 * `disconnecting` runs. */
void sio_socket_emit(struct sio_socket *socket, struct sio_packet *packet, unsigned flags);

/* Answers an event (once: the caller sees to that). */
void sio_socket_ack(struct sio_socket *socket, double ack_id, const struct sio_args *args);

/* DISCONNECT packet; `disconnecting` and `disconnected` run inside the call. `close` does that for
 * all sockets of the connection and ends it. Nothing happens in middleware. */
void sio_socket_disconnect(struct sio_socket *socket, bool close);

/* --- rooms -------------------------------------------------------------------------------- */

/* False when out of memory. Joining twice and leaving what was not joined do nothing. Middleware
 * may join: broadcasts reach the socket once it is accepted. */
bool sio_socket_join(struct sio_socket *socket, struct str room);
void sio_socket_leave(struct sio_socket *socket, struct str room);

/* The rooms of a socket in the order of joining. */
void sio_socket_rooms(const struct sio_socket *socket,
                      void (*room)(void *context, struct str name), void *context);

/* --- broadcast ---------------------------------------------------------------------------- */

struct sio_target {
    struct sio_namespace *nsp;
    const struct str *rooms; /* none: the whole namespace */
    size_t room_count;
    const struct str *except; /* rooms; a socket is left out by its id's room */
    size_t except_count;
};

/* The event goes to every socket of the target, each once, in the reference's order (socket-io.md, 6).
 * For a parent namespace it is encoded once a child. Returns the number of sockets. */
size_t sio_broadcast(const struct sio_target *target, const struct sio_args *event_json,
                     unsigned flags);

/* Where a broadcast stands in the order of a cluster: recovery needs it (cluster/README.md). */
struct sio_mark {
    uint64_t origin;   /* the server that sent it; 0: this one */
    uint64_t number;   /* that server's number for it; of this server's own the call sets it */
    uint64_t bus;      /* its place on the bus; SIO_BUS_NONE while it has none */
    struct str offset; /* what clients get as its offset; empty: it is made of the others */
};

#define SIO_BUS_NONE UINT64_MAX

/* The same for one namespace that is no parent, with its mark; number 0 is set when the event is
 * not kept for recovery. */
size_t sio_broadcast_marked(const struct sio_target *target, const struct sio_args *event_json,
                            unsigned flags, struct sio_mark *mark);

/* An event for one socket; like a broadcast to its own room it is kept for recovery. False when
 * out of memory. */
bool sio_socket_event(struct sio_socket *socket, const struct sio_args *event_json,
                      unsigned flags);

/* Calls back with every socket of the target. Inside, sockets may join, leave and disconnect. */
void sio_target_each(const struct sio_target *target,
                     void (*visit)(void *context, struct sio_socket *socket), void *context);

/* Calls back with a namespace that is no parent itself, or with all children of a parent. */
void sio_namespace_each(struct sio_namespace *nsp,
                        void (*visit)(void *context, struct sio_namespace *nsp), void *context);

/* Calls back with the rooms of a namespace, those of the sockets' ids included. */
void sio_namespace_rooms(const struct sio_namespace *nsp,
                         void (*room)(void *context, struct str name), void *context);

/* Whether a socket is in the room. */
bool sio_namespace_has_room(const struct sio_namespace *nsp, struct str room);

/* Who wants to know which namespaces and rooms exist here: the cluster. Sockets' own rooms are told
 * if it asks for them, and may then be told twice. No callback may change rooms or namespaces. */
struct sio_observer {
    void (*opened)(void *owner, struct sio_namespace *nsp);
    void (*closing)(void *owner, struct sio_namespace *nsp);
    void (*room)(void *owner, struct sio_namespace *nsp, struct str room, bool exists);
    bool own_rooms;
    void *owner;
};

/* Tells what exists already, then what comes and goes. */
void sio_server_observe(struct sio_server *server, const struct sio_observer *observer);

/* --- recovery: what a cluster takes part in --------------------------------------------------- */

/* A packet that only a session's own server has: what was emitted to the socket alone. */
struct sio_session_packet {
    uint64_t origin; /* the server that sent it, and its number there */
    uint64_t number;
    struct sio_packet *packet; /* or, of a packet from elsewhere, NULL and: */
    const struct str *frames;  /* as they were sent, without Engine.IO's type */
    uint32_t frame_count;
};

/* What a lost socket leaves. */
struct sio_session {
    struct str pid;
    struct str sid;
    uint64_t origin;  /* the server that lost it */
    uint64_t since;   /* that server's next number when it had joined there */
    struct str start; /* an offset: where it stood when it was new */
    struct str upto;  /* where this server stood when it lost the socket; empty: not known */
    struct str last;  /* and the offset of the last event that it had sent it by then, with or
                         without the place; empty: none */
    const struct str *rooms;
    size_t room_count;
    struct str data; /* JSON; empty: none */
    const struct sio_session_packet *packets;
    size_t packet_count;
    bool packets_are_first; /* they are what was missed up to `packets_to`; others have them */
    uint64_t packets_to;    /* a place */
};

/* Where a client stands, in terms of this server's log: it has not had the events that have a
 * higher number and a higher place on the bus, but for those of `origin` up to `number`. */
struct sio_position {
    uint64_t after;
    uint64_t place;
    uint64_t origin;
    uint64_t number;
};

/* The offset that tells where the client stands: its own, or a better one if it has had all that
 * was sent to it, or where it began. */
struct str sio_session_offset(const struct sio_session *session, struct str offset);

/* A client that says it was here or elsewhere. */
struct sio_claim;

enum sio_claim_end {
    SIO_CLAIM_FOUND,   /* this is the session, and nobody else gets it */
    SIO_CLAIM_NONE,    /* there is none, or somebody else got it */
    SIO_CLAIM_UNKNOWN, /* nobody could be asked: what this server knows decides */
};

/* Who keeps sessions where other servers find them, and knows the order on the bus. Every function
 * may be NULL. */
struct sio_keeper {
    /* The bus's place now: an event that goes out is behind all up to it. */
    uint64_t (*place)(void *owner, const struct sio_namespace *nsp);

    /* Appends a place to an offset, for find() on any server. */
    void (*write_place)(void *owner, const struct sio_namespace *nsp, uint64_t place,
                        struct buf *offset);

    /* An offset of another server, or in a form of the keeper's: false when it says nothing here. */
    bool (*find)(void *owner, const struct sio_namespace *nsp, struct str offset,
                 struct sio_position *position);

    /* A socket was lost. */
    void (*saved)(void *owner, const struct sio_namespace *nsp,
                  const struct sio_session *session, uint32_t window_ms);

    /* Asks for a session; answered by sio_claim_end(), now or later. */
    void (*claim)(void *owner, struct sio_claim *claim);

    void *owner;
};

void sio_server_keep(struct sio_server *server, const struct sio_keeper *keeper);

struct str sio_claim_pid(const struct sio_claim *claim);
struct sio_namespace *sio_claim_namespace(const struct sio_claim *claim);
void sio_claim_end(struct sio_claim *claim, enum sio_claim_end how,
                   const struct sio_session *session);

/* This server's name in offsets. */
uint64_t sio_server_origin(const struct sio_server *server);

/* What offsets are made of: numbers as digits of base 64, parts that end at '.'. */
enum {
    SIO_NUMBER_SIZE = 11, /* the most digits */
};
void sio_number_write(struct buf *to, uint64_t number);
bool sio_number_read(struct str text, uint64_t *number);
struct str sio_offset_part(struct str *rest);

/* Of an offset of this form: its server, the number there, and the rest, the keeper's. */
bool sio_offset_split(struct str offset, uint64_t *origin, uint64_t *number, struct str *place);

/* The offset that the client gave; empty: none. */
struct str sio_claim_offset(const struct sio_claim *claim);

/* Gives up the socket with this private id, whose client has turned up elsewhere: it is lost and
 * saved. False when there is none. */
bool sio_server_abandon(struct sio_server *server, struct str pid);

/* How long an event is kept, and a client may stand behind it; 0: no recovery. */
uint64_t sio_namespace_retention(const struct sio_namespace *nsp);

/* The number of a namespace's next event; those of this server that came back from the bus get
 * their place. */
uint64_t sio_log_next(const struct sio_namespace *nsp);
void sio_log_placed(struct sio_namespace *nsp, uint64_t number, uint64_t place);

/* The number behind which the log's places are higher; the place of the last that has one, or 0. */
uint64_t sio_log_behind(const struct sio_namespace *nsp, uint64_t place);
uint64_t sio_log_last_place(const struct sio_namespace *nsp);

/* Events of others may have been missed here: nobody who has had none since is recovered. */
void sio_log_gap(struct sio_namespace *nsp);

/* --- a process takes another's place ------------------------------------------------------------ */

/* Ends all sockets with "server shutting down" and appends what recovery keeps, for a process that
 * takes the place of this one; sessions are the caller's to close then. */
bool sio_server_freeze(struct sio_server *server, struct buf *to);

/* Goes on with that, before anybody has joined. False: it is not whole, or not for this
 * configuration; what could be read is there. */
bool sio_server_thaw(struct sio_server *server, struct str bytes);

/* --- acknowledgements from clients -------------------------------------------------------- */

enum sio_ack_end {
    SIO_ACK_COMPLETE,
    SIO_ACK_TIMEOUT,
    SIO_ACK_DISCONNECTED, /* a single socket that went away; broadcasts wait on, as the reference */
};

struct sio_ack_handler {
    /* An answer; `socket` sent it. */
    void (*answer)(void *owner, struct sio_socket *socket, const struct sio_args *args);

    /* May be NULL: how many sockets a broadcast asks, told before the call returns. */
    void (*asked)(void *owner, uint32_t sockets);

    /* The last call: always made exactly once, always from the loop. */
    void (*end)(void *owner, enum sio_ack_end how);
};

/* Emits with an acknowledgement. timeout_ms 0: waits as long as the socket lives. False (and no
 * callback) when out of memory. */
bool sio_socket_emit_ack(struct sio_socket *socket, const struct sio_args *event_json,
                         uint32_t timeout_ms, unsigned flags,
                         const struct sio_ack_handler *handler, void *owner);

/* One shared ack id for all sockets of the target; ends when all answered or at the time-out
 * (0 is 1 ms, as the reference). */
bool sio_broadcast_ack(const struct sio_target *target, const struct sio_args *event_json,
                       uint32_t timeout_ms, unsigned flags,
                       const struct sio_ack_handler *handler, void *owner);

#endif
