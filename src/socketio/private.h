/*
 * private: what the files of socketio share. Nobody else includes this.
 *
 *   server.c     the server, handles, the Engine.IO handler
 *   client.c     one session: reading, wrong states, closing
 *   namespace.c  declared, dynamic and child namespaces
 *   socket.c     a socket from CONNECT to its end
 *   rooms.c      memberships
 *   broadcast.c  who is a target, sending to them
 *   ack.c        answers that are waited for
 *   recovery_*.c what lost sockets leave and miss (recovery.h)
 *   packet_*.c   packets as text and as MessagePack (packet.h)
 *   codec.c      which of the two
 *   legacy.c     what old clients write as a namespace (legacy.h)
 *
 * Owner     server → namespaces, clients; client → sockets. A socket is unlinked from everything
 *           before its memory is buried at the end of the loop's turn, so a callback may end any
 *           socket, the one it was called for included.
 */
#ifndef SKUA_SOCKETIO_PRIVATE_H
#define SKUA_SOCKETIO_PRIVATE_H

#include "base/list.h"
#include "net/loop.h"
#include "socketio/packet.h"

enum {
    SIO_CLIENT_SOCKETS_MAX = 1000,    /* a connection's sockets; the reference has no limit */
    SIO_CHILD_NAME_MAX = 1024,        /* bytes; names of dynamic namespaces come from outside */
    SIO_PARENT_CHILDREN_MAX = 100000, /* namespaces that one pattern may bring into being */
};

struct sio_slot {
    struct sio_socket *socket;
    uint32_t generation; /* of the handles that are valid now */
    uint32_t next_free;
};

struct sio_server {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_options options;
    const struct sio_codec *codec;
    struct sio_app app;
    struct sio_observer observer; /* functions NULL until somebody asks */
    struct sio_namespace *root;
    struct map names;       /* named namespaces and children */
    struct list namespaces; /* all, parents too, in order of declaration */
    struct list clients;
    struct list acks;
    struct sio_slot *slots;
    uint32_t slot_count;
    uint32_t free_slot;
    uint64_t origin;  /* this server's name in offsets */
    struct map saved; /* lost sockets by their private ids */
    struct map pids;  /* connected ones */
    struct sio_keeper keeper;
};

struct sio_client {
    struct list in_server;
    struct sio_server *server;
    struct eio_session *session;
    struct list sockets; /* accepted ones in the order of accepting */
    struct timer connect_timer;
    struct sio_decoder decoder;
    uint32_t socket_count;
    bool legacy;      /* of socket.io 1 or 2, over Engine.IO 3 */
    bool closing;     /* nothing is read any more */
    bool close_asked; /* eio_session_close() was called */
    struct net_grave grave;
};

struct sio_namespace {
    struct list in_server;
    struct list in_parent; /* children */
    struct list children;  /* of a parent */
    struct sio_server *server;
    struct sio_namespace *parent;
    enum sio_namespace_kind kind;
    bool declared; /* the root exists before it is */
    struct str name;
    size_t max_payload;
    const struct str *origins;
    size_t origin_count;
    void *data;
    struct map sockets; /* by id, in the order of connecting */
    struct map rooms;   /* those that have a membership; own rooms are in the sockets */
    uint32_t joining;   /* sockets that are not accepted yet */
    uint32_t claims;    /* that were not answered yet (recovery.h) */
    uint32_t child_count;
    uint64_t next_ack;
    uint64_t mark; /* see broadcast.c */
    struct sio_recovery_options recovery;
    struct sio_log *log;  /* NULL: nothing is kept */
    uint64_t next_number; /* of the next event that is kept, from 1 on */
    uint64_t cut;         /* up to here events may be missing, until: */
    uint64_t cut_until_ms;
    struct net_grave grave;
};

enum sio_socket_state {
    SIO_JOINING, /* in middleware */
    SIO_CONNECTED,
    SIO_LEAVING, /* `disconnecting` runs */
    SIO_GONE,    /* `disconnected` runs, or memory waits to be freed */
};

/* One for each connection and namespace: every byte counts. */
struct sio_socket {
    struct sio_namespace *nsp;
    struct eio_session *session; /* the client's, one step nearer for broadcasts */
    struct sio_client *client;
    uint64_t mark;
    struct list in_client;
    struct list rooms; /* memberships in the order of joining */
    struct list acks;
    struct json_tree *data;
    char *auth; /* NULL: "{}" */
    size_t auth_size;
    struct net_grave grave;
    uint32_t slot;
    uint32_t room_count;
    uint8_t state;
    bool in_own_room; /* has never left it: there is no membership for it */
    bool prefixed;    /* the id is "/nsp#" and the session's: an old client's */
    char id
        []; /* then, each if it is needed: the state of base/rate.h, not aligned; struct sio_kept */
};

struct sio_room {
    struct list members; /* in the order of joining */
    uint32_t count;
    bool told; /* to the observer: it is not the own room of a socket */
    struct str name;
    char bytes[];
};

struct sio_membership {
    struct list in_room;
    struct list in_socket;
    struct sio_room *room;
    struct sio_socket *socket;
};

/* --- server.c --- */

/* False when out of memory. */
bool sio_slot_take(struct sio_server *server, struct sio_socket *socket);
void sio_slot_release(struct sio_server *server, struct sio_socket *socket);

/* --- client.c --- */

struct sio_client *sio_client_new(struct sio_server *server, struct eio_session *session);

/* The session knows its client: an old one joins the root without a word. */
void sio_client_begin(struct sio_client *client);
void sio_client_message(struct sio_client *client, enum frame_kind kind, uint8_t *bytes,
                        size_t size);

/* The session is over: disconnects what is accepted, drops the rest, frees the client. */
void sio_client_closed(struct sio_client *client, enum sio_disconnect_reason reason);

/* Closes the session; nothing is read any more. */
void sio_client_close(struct sio_client *client);

/* Takes the client for lost: its sockets end at once with "transport close". */
void sio_client_abandon(struct sio_client *client);

/* Calls back with the sockets that are there now and still are when their turn comes. */
void sio_client_each(struct sio_client *client,
                     void (*visit)(struct sio_socket *socket, const void *context),
                     const void *context);

/* --- namespace.c --- */

/* The namespace that a CONNECT means: named, a child, or the parent that would take the name. */
struct sio_namespace *sio_namespace_resolve(struct sio_server *server, struct str name,
                                            struct str auth);
struct sio_namespace *sio_namespace_child(struct sio_namespace *parent, struct str name);
bool sio_namespace_allows(const struct sio_namespace *nsp, struct str origin);
void sio_namespace_free(struct sio_namespace *nsp);

/* Tells the observer. */
void sio_namespace_closing(struct sio_namespace *nsp);

/* Forgets a child that nobody is in, if that is wanted. */
void sio_namespace_release(struct sio_namespace *nsp);

/* --- socket.c --- */

/* A socket in middleware, or NULL when out of memory. */
struct sio_socket *sio_socket_new(struct sio_client *client, struct sio_namespace *nsp,
                                  struct str auth);

/* Ends an accepted socket, or drops one in middleware without a word to the application. */
void sio_socket_end(struct sio_socket *socket, enum sio_disconnect_reason reason);
void sio_socket_send(struct sio_socket *socket, struct sio_packet *packet, unsigned flags);

/* Where its struct sio_kept is: bytes from its beginning (recovery.h). */
size_t sio_socket_kept_at(const struct sio_socket *socket);

/* --- codec.c --- */

/* A packet without ack id and binary values; `json` may be empty. NULL when out of memory. */
struct frame *sio_namespace_frame(const struct sio_namespace *nsp, enum sio_packet_type type,
                                  struct str json);

/* --- rooms.c --- */

struct sio_room *sio_room_find(const struct sio_namespace *nsp, struct str name);

/* The socket has no other room yet. */
void sio_own_room_enter(struct sio_socket *socket);

/* Tells the observer of the rooms that exist. */
void sio_rooms_tell(struct sio_namespace *nsp);

/* Takes the socket out of all rooms. */
void sio_rooms_leave(struct sio_socket *socket);

/* --- broadcast.c --- */

/* Calls `take` with each socket of a target once; `take` must not call the application. */
void sio_target_walk(const struct sio_target *target,
                     void (*take)(void *context, struct sio_socket *socket), void *context);

/* --- ack.c --- */

void sio_ack_arrived(struct sio_socket *socket, double id, const struct sio_args *args);

/* The socket goes: single emits end, broadcasts wait on. */
void sio_acks_drop(struct sio_socket *socket);

/* Ends all that is waited for. */
void sio_acks_free(struct sio_server *server);

#endif
