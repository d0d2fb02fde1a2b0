/*
 * recovery: connection state recovery over servers that share a bus without memory (pub/sub,
 * sharded, the mailbox): sessions in Redis, each server's own log, and places on the bus that every
 * server can find. README.md has the protocol and why it is exact.
 *
 * Callers   node tells it what the bus brings; socketio asks it as its struct sio_keeper.
 * Owner     whoever made it.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    without Redis a client recovers on the server it left, and nowhere else.
 */
#ifndef SKUA_CLUSTER_RECOVERY_H
#define SKUA_CLUSTER_RECOVERY_H

#include "cluster/message.h"
#include "cluster/store.h"

struct recovery;

struct recovery_options {
    struct store_options store; /* but for the key_prefix */
    struct str parser;          /* of packets: "json" or "msgpack"; outlives it */

    /* Sends CLUSTER_ANCHOR with this name. */
    void (*anchor)(void *owner, struct sio_namespace *nsp, struct str name);
    void *owner;
};

/* NULL with a sentence. */
struct recovery *recovery_new(const struct recovery_options *options,
                              char fault[REDIS_FAULT_MAX]);

/* Before the sio_server ends, when it has another keeper or none, and Redis has answered; and after
 * that, when no bus tells it anything any more. */
void recovery_stop(struct recovery *recovery);
void recovery_free(struct recovery *recovery);

struct store *recovery_store(struct recovery *recovery);

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
