/*
 * recovery: connection state recovery over servers that share a bus without memory (pub/sub,
 * sharded, the mailbox): sessions in Redis, each server's own log, and places on the bus that every
 * server can find. README.md has the protocol and why it is exact.
 *
 * Callers   node tells it what the bus brings; socketio asks it as its struct sio_keeper.
 * Owner     whoever made it; before the sio_server ends.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    without Redis a client recovers on the server it left, and nowhere else.
 */
#ifndef SKUA_CLUSTER_RECOVERY_H
#define SKUA_CLUSTER_RECOVERY_H

#include "cluster/message.h"
#include "cluster/peers.h"

enum {
    RECOVERY_AHEAD_MS =
        1000, /* longest wait for messages that the other server has had already */
    RECOVERY_POLL_MS = 5,
    RECOVERY_TAKES = 5,              /* of a session that another server is just writing */
    RECOVERY_UNWRITTEN_MAX = 100000, /* lost sockets that Redis does not have are remembered */
};

struct recovery;

struct recovery_options {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_server *server;
    const struct redis_options *redis; /* it makes connections of its own */
    struct str prefix;                 /* these strings outlive it */
    struct str parser;                 /* of packets: "json" or "msgpack" */
    struct str address;                /* see peers.h */

    /* Sends CLUSTER_ANCHOR with this name. */
    void (*anchor)(void *owner, struct sio_namespace *nsp, struct str name);
    void *owner;
};

/* NULL with a sentence. */
struct recovery *recovery_new(const struct recovery_options *options,
                              char fault[REDIS_FAULT_MAX]);
void recovery_free(struct recovery *recovery);

struct peers *recovery_peers(struct recovery *recovery);

/* Sessions that are being written to Redis: the process should not end before. */
uint32_t recovery_writing(const struct recovery *recovery);

/* --- what the bus brings; by name, because namespaces come and go ------------------------------- */

/* The subscriptions stand; messages were missed (empty name: of all); a namespace is closed. */
void recovery_ready(struct recovery *recovery, struct str nsp);
void recovery_gap(struct recovery *recovery, struct str nsp);
void recovery_closed(struct recovery *recovery, struct str nsp);

/* A message came: its place until the next one is recovery_place(). */
void recovery_heard(struct recovery *recovery, struct str nsp, uint64_t fingerprint);
uint64_t recovery_place(const struct recovery *recovery, struct str nsp);

/* It was an anchor; an event of this server's own. */
void recovery_anchored(struct recovery *recovery, const struct cluster_message *message);
void recovery_came_back(struct recovery *recovery, const struct cluster_message *message);

/* An event of this server's goes out. */
void recovery_sent(struct recovery *recovery, struct str nsp, uint64_t number);

/* A server's uid on the bus as marks have it; never 0. */
uint64_t recovery_origin(struct str uid);

#endif
