/*
 * cluster: one namespace over many servers: broadcast, rooms, sockets of others, acknowledgements,
 * events between servers, counts, and recovery wherever a client lands.
 *
 * Stands beside script on top of socketio: what concerns this server's sockets is socketio's, what
 * concerns all servers' goes through here. Without a bus (no `redis`, one worker) every call here
 * is the local one and costs nothing more.
 *
 * Callers   worker makes it; script calls it for everything that emits or asks.
 * Owner     the worker owns it, it owns its bus; the sio_server outlives neither.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    a bus that is down costs the other servers' part: local delivery goes on, answers are
 *           partial and say so.
 * Source    protocol/redis-adapter.md; README.md here for recovery.
 */
#ifndef SKUA_CLUSTER_CLUSTER_H
#define SKUA_CLUSTER_CLUSTER_H

#include "cluster/bus.h"

struct cluster;
struct recovery;
struct stream_recovery;

struct cluster_options {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_server *server;
    struct cluster_bus *bus; /* NULL: this worker is alone; owned from now on */
    struct recovery
        *recovery; /* of buses without memory; NULL: none; it outlives the cluster */
    struct stream_recovery *stream_recovery; /* of streams; the same */
    uint32_t request_timeout_ms;             /* of fetches and counts that name none */
};

/* A request's partial or full answers. */
enum cluster_end {
    CLUSTER_COMPLETE,
    CLUSTER_TIMED_OUT,   /* not every server answered: `expected` and `answered` tell */
    CLUSTER_UNREACHABLE, /* the bus is down: local answers only */
};

struct cluster_result {
    enum cluster_end end;
    uint32_t expected;
    uint32_t answered;
};

struct cluster *cluster_new(const struct cluster_options *options);
void cluster_free(struct cluster *cluster);

/* Sends an anchor (recovery.h). */
void cluster_anchor(struct cluster *cluster, struct sio_namespace *nsp, struct str name);

/* There is no bus: nobody else. */
bool cluster_is_alone(const struct cluster *cluster);

/* --- emitting ----------------------------------------------------------------------------- */

/* To the target's sockets on all servers (on this one alone with SIO_LOCAL). */
void cluster_broadcast(struct cluster *cluster, const struct sio_target *target,
                       const struct sio_args *event_json, unsigned flags);

/* To one socket of this server. False when out of memory. */
bool cluster_socket_emit(struct cluster *cluster, struct sio_socket *socket,
                         const struct sio_args *event_json, unsigned flags);

struct cluster_ack_handler {
    /* An answer of a client or server somewhere, from the loop. */
    void (*answer)(void *owner, const struct sio_args *args);

    /* The last call, always from the loop; `expected` and `answered` count clients, or servers. */
    void (*end)(void *owner, const struct cluster_result *result);
};

bool cluster_broadcast_ack(struct cluster *cluster, const struct sio_target *target,
                           const struct sio_args *event_json, uint32_t timeout_ms,
                           unsigned flags, const struct cluster_ack_handler *handler,
                           void *owner);

/* --- others' sockets ------------------------------------------------------------------------ */

/* At once on this server, by a message on the others. */
void cluster_join(struct cluster *cluster, const struct sio_target *target,
                  const struct str *rooms, size_t count, unsigned flags);
void cluster_leave(struct cluster *cluster, const struct sio_target *target,
                   const struct str *rooms, size_t count, unsigned flags);
void cluster_disconnect(struct cluster *cluster, const struct sio_target *target, bool close,
                        unsigned flags);

struct cluster_fetch_handler {
    /* One socket: {"id","handshake":{…},"rooms":[…],"data":…}; local ones too, as they were when
     * they were asked for. Always from the loop. */
    void (*socket)(void *owner, struct str json);
    void (*end)(void *owner, const struct cluster_result *result);
};

bool cluster_fetch(struct cluster *cluster, const struct sio_target *target,
                   uint32_t timeout_ms, unsigned flags,
                   const struct cluster_fetch_handler *handler, void *owner);

/* How many servers have the namespace; `counted` once, from the loop. False (and no callback) when out
 * of memory. */
bool cluster_servers(struct cluster *cluster, struct sio_namespace *nsp,
                     void (*counted)(void *owner, int servers), void *owner);

/* --- events between servers ------------------------------------------------------------------- */

/* To the other servers only, as in the reference. */
bool cluster_server_emit(struct cluster *cluster, struct sio_namespace *nsp,
                         const struct sio_args *event_json);
bool cluster_server_emit_ack(struct cluster *cluster, struct sio_namespace *nsp,
                             const struct sio_args *event_json, uint32_t timeout_ms,
                             const struct cluster_ack_handler *handler, void *owner);

/* An event of another server: the application answers with cluster_server_answer() once, now or
 * later (not at all: the asker times out), if `answer` is not NULL. */
struct cluster_answer;

struct cluster_app {
    void (*server_event)(void *owner, struct sio_namespace *nsp, const struct sio_event *event,
                         struct cluster_answer *answer);
    void *owner;
};

void cluster_set_app(struct cluster *cluster, const struct cluster_app *app);

/* `args` NULL gives the answer up. The answer is gone then. */
void cluster_server_answer(struct cluster_answer *answer, const struct sio_args *args);

#endif
