/*
 * bus_common: what the buses over Redis share: namespaces and their channels, dispatch, publishing,
 * counting, health.
 *
 * Callers   bus_*.c only.
 */
#ifndef SKUA_CLUSTER_BUS_COMMON_H
#define SKUA_CLUSTER_BUS_COMMON_H

#include "base/map.h"
#include "cluster/bus_redis.h"
#include "cluster/codec.h"

enum {
    BUS_UID_MAX = 16,
    BUS_SCRATCH_MAX = 1 << 20, /* bytes of a sent message that are kept for the next one */
    BUS_CHECK_ID = 16,         /* hexadecimal digits in the name of the check's channel */
    BUS_CHECK_MS = 2000,       /* health is looked at so often */
    BUS_LOG_LOST_MS = 10000,   /* losses are logged at most so often */
    BUS_LOG_REFUSED_MS = 1000, /* and broken messages */
    BUS_LOG_FOREIGN_MS = 60000,
    BUS_READY_AGAIN_MS =
        1000, /* after gaps that subscriptions have no part in: `ready` costs an
                                  anchor, which may be lost in turn */
};

/* What a channel is for. */
enum bus_use {
    BUS_MAIN,     /* of the namespace; pubsub: the pattern of broadcasts */
    BUS_REQUEST,  /* pubsub */
    BUS_RESPONSE, /* pubsub */
    BUS_OWN,      /* answers to this server */
    BUS_USES,
};

struct bus;
struct bus_nsp;

struct bus_channel {
    struct bus_nsp *nsp;
    enum bus_use use;
    enum redis_kind kind;
    struct str name; /* owned; empty: this bus has no such channel */
};

/* This server in a namespace. */
struct bus_nsp {
    struct bus *bus;
    struct str name; /* owned */
    struct str base; /* owned: PREFIX#NSP# */
    char uid[BUS_UID_MAX];
    struct bus_channel channels[BUS_USES];
    bool told_ready;
    struct net_grave grave;
};

/* What differs. */
struct bus_wire {
    enum bus_use counted; /* the channel that tells how many servers there are */
    uint8_t uid_size;
    bool uid_is_hex;
    bool in_order;   /* a lost subscription is a gap in the namespace's order */
    size_t nsp_size; /* of the struct that begins with struct bus_nsp */

    /* Names the channels, then they are subscribed. */
    bool (*name_channels)(struct bus_nsp *nsp);

    /* After that; may be NULL. */
    bool (*opened)(struct bus_nsp *nsp);
    void (*closing)(struct bus_nsp *nsp);

    /* Whether more than subscriptions is there; may be NULL. */
    bool (*is_ready)(const struct bus_nsp *nsp);

    /* Whether what is no subscription works; may be NULL. */
    bool (*works)(const struct bus *bus);
    void (*message)(struct bus_nsp *nsp, enum bus_use use, struct str channel,
                    struct str payload);

    /* Of a channel that is in no namespace's list; may be NULL. */
    void (*other)(struct bus *bus, struct str channel, struct str payload);
};

/* A log line that is written once a while, with how often it was not. */
struct bus_notice_state {
    uint64_t logged_ms;
    uint64_t times;
};

struct bus {
    struct cluster_bus base;
    const struct bus_wire *wire;
    enum redis_kind kind;       /* of channels that are no patterns */
    struct bus_options options; /* slices owned */
    struct redis *redis;
    struct map namespaces; /* of struct bus_nsp */
    struct map channels;   /* of struct bus_channel, by name or pattern */
    struct buf channel;    /* being sent to */
    struct buf payload;    /* being sent */
    struct bus_counts counts;
    struct bus_notice_state refused, lost, foreign;
    struct net_task lost_task; /* what was lost in this turn is one gap */
    struct timer ready_timer;
    uint64_t ready_again_ms; /* when it may be told again */

    struct str check; /* owned: the channel of our own messages to ourselves */
    struct timer checker;
    uint64_t echo_ms; /* when something of ours came back last */
    bool check_sent;  /* and not come back */
    bool healthy;
};

/* Fills the bus, which the caller has allocated zeroed; `type` and `wire` are static. False with a
 * sentence; bus_free() it then too. */
bool bus_init(struct bus *bus, const struct cluster_bus_type *type, const struct bus_wire *wire,
              enum redis_kind kind, const struct bus_options *options,
              char fault[REDIS_FAULT_MAX]);

/* Everything but the struct itself. */
void bus_release(struct bus *bus);

/* Of every cluster_bus_type. */
bool bus_open(struct cluster_bus *bus, struct str nsp);
void bus_close(struct cluster_bus *bus, struct str nsp);
void bus_servers(struct cluster_bus *bus, struct str nsp,
                 void (*counted)(void *owner, int servers), void *owner);

struct bus_nsp *bus_find(const struct bus *bus, struct str nsp);
struct str bus_nsp_uid(const struct bus_nsp *nsp);

/* Names a channel of the namespace: prefix, suffix of the prefix, '#', namespace, '#', and with
 * `last` that and '#'. */
bool bus_name(struct bus_nsp *nsp, enum bus_use use, struct str suffix, struct str last);

/* The namespace's main channel with a room, in bus->channel. */
struct str bus_room_channel(struct bus_nsp *nsp, struct str room);

/* The room in a channel that begins with nsp->base; empty if there is none. */
struct str bus_room_of(const struct bus_nsp *nsp, struct str channel);

/* Publishes bus->payload. In a Cluster all of a namespace's plain messages go to one node, so that
 * all servers hear them in one order. */
void bus_publish(struct bus_nsp *nsp, struct str channel);

/* What was sent last may have been large. */
void bus_sent(struct bus *bus);

/* Counts it, and tells the gap when it mattered. */
void bus_lost(struct bus *bus, const char *reason);

/* Whether the log line is due; `*times` is then what it stands for. */
bool bus_notice(const struct bus *bus, struct bus_notice_state *state, uint64_t every_ms,
                uint64_t *times);

/* Tells subscriptions that stand to those namespaces that do not know. */
void bus_tell_ready(struct bus *bus);

/* Tells the gap now, and `ready` from the loop. */
void bus_tell_gap(struct bus_nsp *nsp);

/* Something of ours came back. */
void bus_echo(struct bus *bus);

/* Links that health depends on have changed. */
void bus_unhealthy(struct bus *bus, const char *reason);

void bus_heard(struct bus_nsp *nsp, struct str channel, struct str payload);
void bus_refuse(struct bus *bus, struct str channel, const char *reason);

/* Passes on what was decoded, and frees it. True if it was passed on. */
bool bus_take(struct bus_nsp *nsp, struct str channel, struct codec_decoded *decoded,
              enum codec_verdict verdict);

#endif
