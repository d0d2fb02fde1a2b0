/*
 * bus: how messages reach the other servers: what each adapter (pubsub, sharded, streams, the
 * mailbox between workers) implements.
 *
 * A bus carries struct cluster_message between the servers that opened the same namespace: every
 * message but answers to all of them, an answer to its `to`. Order of one sender's messages in one
 * namespace is kept. Nothing is carried twice; what may have been lost is told by `gap`.
 *
 * Callers   node.c; the worker makes one bus of the configured kind.
 * Owner     who made a bus frees it. A bus embeds struct cluster_bus first.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    send() returns false for what could not even be queued; the bus counts it and logs once
 *           a while. Hostile or corrupt messages are counted, logged at most once a while, ignored.
 */
#ifndef SKUA_CLUSTER_BUS_H
#define SKUA_CLUSTER_BUS_H

#include "cluster/message.h"

enum {
    CLUSTER_COUNT_UNKNOWN = -1,
};

struct cluster_bus;

/* What a bus calls, always from the loop. */
struct cluster_bus_handler {
    /*
     * Recovery only: a message of the namespace's order came, whatever it is and whoever sent it,
     * this server's own included; before `message`, if that follows. The fingerprint is a hash
     * (SipHash under a fixed key) of channel and bytes: equal on all servers.
     */
    void (*heard)(void *owner, struct str nsp, uint64_t fingerprint);

    /* A message, or with `own` one that this server sent and that has come back: of the latter only
     * CLUSTER_BROADCAST and CLUSTER_ANCHOR, and only with recovery. */
    void (*message)(void *owner, const struct cluster_message *message);

    /* Messages of this namespace may have been missed (empty: of all). */
    void (*gap)(void *owner, struct str nsp);

    /* The subscriptions of the namespace stand, first or again: what others send from now on comes. */
    void (*ready)(void *owner, struct str nsp);

    /* Whether this server has a socket in the room: messages to one room alone are not decoded
     * otherwise (but heard). Always true with recovery. */
    bool (*has_room)(void *owner, struct str nsp, struct str room);

    void *owner;
};

struct cluster_bus_type {
    const char *name;

    /* `room` wants to hear of sockets' own rooms too. */
    bool wants_own_rooms;

    /* Takes part in a namespace: from before its first socket until close. */
    bool (*open)(struct cluster_bus *bus, struct str nsp);
    void (*close)(struct cluster_bus *bus, struct str nsp);

    /* The first local socket joined a room, or the last left it (not told for sockets' own rooms
     * unless wants_own_rooms); NULL: the bus does not care. */
    void (*room)(struct cluster_bus *bus, struct str nsp, struct str room, bool exists);

    bool (*send)(struct cluster_bus *bus, const struct cluster_message *message);

    /* How many servers have the namespace open, this one included; CLUSTER_COUNT_UNKNOWN when it
     * cannot be known (the bus is down, a time-out). `counted` is called once, now or later. */
    void (*count)(struct cluster_bus *bus, struct str nsp,
                  void (*counted)(void *owner, int servers), void *owner);

    void (*free)(struct cluster_bus *bus);

    /*
     * Streams with recovery: broadcasts come back to their sender in the order of the stream, with
     * `own` and `offset` set, and are delivered then, not before. A broadcast that could not be
     * stored comes back with an empty offset. Volatile ones have no offset and do not come back.
     */
    bool delivers_own;
};

/* Embedded first in each bus. In a namespace a bus goes by a uid of its own, drawn in the adapter's
 * form when it is opened. */
struct cluster_bus {
    const struct cluster_bus_type *type;
    const struct cluster_bus_handler
        *handler; /* set by cluster_new() before anything is opened */
};

#endif
