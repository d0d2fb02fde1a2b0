/*
 * store: lost sockets in Redis, and the way of a client that says it was one: its session is taken
 * out of Redis (by one server alone), asked of the server that has not noticed the loss yet, or
 * is this server's own.
 *
 * What a session looks like there, and what an offset means, is its owner's business: recovery for
 * buses without memory, stream_recovery for streams.
 *
 * Workers of one process that share no Redis share a vault, which is both.
 *
 * Callers   recovery, stream_recovery.
 * Owner     whoever made it. Redis and peers are clustering's.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    Redis that cannot be asked: the session of this server's memory decides.
 */
#ifndef SKUA_CLUSTER_STORE_H
#define SKUA_CLUSTER_STORE_H

#include "cluster/peers.h"
#include "cluster/session.h"
#include "cluster/vault.h"

enum {
    STORE_AHEAD_MS = 1000, /* longest wait for messages that the other server has had already */
    STORE_POLL_MS = 5,
    STORE_TAKES = 5, /* of a session that another server is just writing */
    STORE_TAKE_AGAIN_MS = 20,
    STORE_UNWRITTEN_MAX = 100000, /* lost sockets that Redis does not have are remembered */
};

enum store_place {
    STORE_HERE,      /* this server's log tells what was missed, or that it cannot tell */
    STORE_AHEAD,     /* it will in a moment */
    STORE_ELSEWHERE, /* `fetch` can */
};

struct store;
struct store_search;

struct store_ops {
    /* False: it cannot be kept elsewhere. */
    bool (*encode)(void *owner, const struct sio_namespace *nsp,
                   const struct sio_session *session, struct buf *value);

    /* The pid of the session is set by the store. False: it is none of this namespace. */
    bool (*decode)(void *owner, const struct sio_namespace *nsp, struct str value,
                   struct session_read *read);

    enum store_place (*locate)(void *owner, const struct sio_namespace *nsp, struct str offset);

    /* Gets what this server's log does not have, then calls store_fetched(). NULL unless locate
     * says STORE_ELSEWHERE. */
    void (*fetch)(void *owner, struct store_search *search, const struct sio_namespace *nsp,
                  struct str offset);
    void *owner;
};

struct store_options {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_server *server;
    struct redis
        *redis; /* these two have ended, what was asked of them too, before the store */
    struct peers *peers;     /* is freed */
    struct vault_door *door; /* instead of both, of workers without Redis; as they */
    struct str prefix;       /* of keys; it outlives the store, as the next does */
    struct str key_prefix;   /* of sessions */
};

/* NULL when out of memory. */
struct store *store_new(const struct store_options *options, const struct store_ops *ops);
void store_free(struct store *store);

/* For sio_keeper. */
void store_save(struct store *store, const struct sio_namespace *nsp,
                const struct sio_session *session, uint32_t window_ms);
void store_claim(struct store *store, struct sio_claim *claim);

/* What the search found in Redis: for decode(). */
struct str store_value(const struct store_search *search);

/* Packets up to a place, in order; not `good`: they could not be had. */
void store_fetched(struct store_search *search, const struct sio_session_packet *packets,
                   size_t count, uint64_t to, bool good);

struct redis *store_redis(struct store *store);

/* Sessions that are being written: the process should not end before. */
uint32_t store_writing(const struct store *store);

#endif
