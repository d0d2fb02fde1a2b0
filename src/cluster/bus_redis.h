/*
 * bus_redis: the buses over Redis, each one cluster with the official adapter of its kind:
 *
 *   pubsub    @socket.io/redis-adapter 8.3 createAdapter (and redis-emitter 5.1)
 *   sharded   createShardedAdapter of the same; Redis 7
 *   streams   @socket.io/redis-streams-adapter 0.3
 *
 * Each owns a logical connection to Redis, which others may use for commands too (bus_redis()).
 *
 * Recovery (README.md) wants one order of a namespace's messages that all servers hear:
 *   pubsub    what matches the pattern of broadcasts; requests and answers are not in it
 *   sharded   the namespace's main channel. Everything is published there; rooms' channels are
 *             subscribed still, and for room_linger_ms after their rooms, because Node servers that
 *             are not `static` publish there. Such a message reaches those alone who have the room:
 *             it is a gap each time, and logged. The anchor that answers `ready` tells the others.
 *             Set subscriptionMode "static" on such servers, or nothing is recovered for long.
 *   streams   the stream; entries have their ids, nothing is `heard`. delivers_own.
 * Of own messages that come back, pub/sub and sharded read kind, number and request only; sharded
 * passes on those alone that have a number.
 *
 * A gap is told when subscriptions were lost, when the stream was cut before it was read, and, with
 * recovery, when a broadcast of this server may not have reached the others. `ready` follows each,
 * once a second at most where no subscription was lost: who answers it with an anchor may fail again.
 *
 * Health is decided by messages of our own that must come back, sent every 2 s while nothing else
 * does; a link that says it is up proves nothing.
 *
 * Callers   worker makes one; node.c calls it through cluster/bus.h.
 * Owner     the caller (cluster_new() takes it over). No bus may be freed inside its handler's calls.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    making one fails with a sentence when the options are impossible or memory is out. What
 *           fails later is counted, and logged once a while.
 * Source    protocol/redis-adapter.md; README.md.
 */
#ifndef SKUA_CLUSTER_BUS_REDIS_H
#define SKUA_CLUSTER_BUS_REDIS_H

#include "cluster/bus.h"
#include "redis/redis.h"

enum bus_mode {
    BUS_DYNAMIC,         /* a channel for each room that is no socket's own */
    BUS_STATIC,          /* one channel for all */
    BUS_DYNAMIC_PRIVATE, /* a channel for each room */
};

enum {
    BUS_STREAMS_MAX = 64,
    BUS_STREAM_MAX_LEN = 10000, /* the reference's defaults */
    BUS_STREAM_READ_COUNT = 100,
    BUS_STREAM_BLOCK_MS = 5000,
};

struct bus_options {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    const struct redis_options *redis; /* copied */
    struct str prefix;                 /* copied: `key` or `channelPrefix` of the reference */
    bool recovery;

    bool specific_response_channel; /* pubsub: answers go to the asker alone */
    enum bus_mode mode;             /* sharded */
    uint32_t room_linger_ms; /* sharded with recovery: as long as clients may come back */

    /* streams; zeros are the defaults */
    struct str stream_name; /* copied */
    uint32_t stream_count;
    uint32_t max_len;
    uint32_t read_count;
    uint32_t block_ms;
    bool sharded_channels; /* useShardedPubSub */
};

struct cluster_bus *bus_pubsub_new(const struct bus_options *options,
                                   char fault[REDIS_FAULT_MAX]);
struct cluster_bus *bus_sharded_new(const struct bus_options *options,
                                    char fault[REDIS_FAULT_MAX]);
struct cluster_bus *bus_streams_new(const struct bus_options *options,
                                    char fault[REDIS_FAULT_MAX]);

/* The connection, as long as the bus lives; what it has not answered by then ends REDIS_CLOSED. */
struct redis *bus_redis(const struct cluster_bus *bus);

/* The prefix of keys and channels. */
struct str bus_prefix(const struct cluster_bus *bus);

/* The stream of a namespace; empty where the bus has none. Gone at the next call. */
struct str bus_stream(struct cluster_bus *bus, struct str nsp);

/* What this server is called in a namespace that it has open; else empty. */
struct str bus_uid(const struct cluster_bus *bus, struct str nsp);

/* Messages arrive: one of our own has come back lately. */
bool bus_healthy(const struct cluster_bus *bus);

struct bus_counts {
    uint64_t sent;
    uint64_t lost;     /* never or perhaps not published */
    uint64_t received; /* and passed on */
    uint64_t dropped;  /* for rooms that nobody here is in; not decoded */
    uint64_t own;      /* came back and were not wanted */
    uint64_t ignored;  /* that the reference ignores too */
    uint64_t refused;  /* broken or of a wrong shape */
    uint64_t gaps;
};

void bus_count(const struct cluster_bus *bus, struct bus_counts *counts);

#endif
