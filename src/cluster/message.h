/*
 * message: what servers of a cluster tell each other, decoded: one struct for every adapter.
 *
 * Each adapter's wire format (protocol/redis-adapter.md) is a codec between this and bytes; the
 * mailbox of workers passes it as it is. Broadcasts and requests go to all servers of a namespace,
 * answers to the one that asked.
 *
 * Callers   node.c makes and applies messages; the buses encode, carry and decode them.
 * Owner     everything is a slice that is gone when the call returns: who keeps a message copies.
 * Threads   the worker's own.
 * Units     milliseconds.
 */
#ifndef SKUA_CLUSTER_MESSAGE_H
#define SKUA_CLUSTER_MESSAGE_H

#include "socketio/socketio.h"

enum cluster_kind {
    CLUSTER_BROADCAST,   /* args; with `request`: clients' answers are wanted */
    CLUSTER_JOIN,        /* the target's sockets join `changed` */
    CLUSTER_LEAVE,       /* and leave it */
    CLUSTER_DISCONNECT,  /* `close` */
    CLUSTER_FETCH,       /* what are your sockets of the target? */
    CLUSTER_LIST_ROOMS,  /* what are your rooms? pub/sub only */
    CLUSTER_SERVER_EMIT, /* args; with `request`: an answer is wanted */

    /* answers: `request` tells to what, `to` to whom */
    CLUSTER_SOCKETS,       /* `json`: array of {"id","handshake","rooms","data"} */
    CLUSTER_ROOMS,         /* `json`: array of strings */
    CLUSTER_SERVER_ANSWER, /* args: an array of the one value */
    CLUSTER_CLIENT_COUNT,  /* `count` clients were asked */
    CLUSTER_CLIENT_ANSWER, /* args: an array of the one value */

    CLUSTER_ANCHOR, /* `request` names this point in the bus's order; servers that are not skua ignore it */
};

struct cluster_message {
    enum cluster_kind kind;
    struct str nsp;
    struct str sender; /* uid of the server; or "emitter" */
    bool own;          /* the sender is this server: what it sent has come back */
    struct str request;
    struct str to;
    const struct str *rooms;
    size_t room_count;
    const struct str *except;
    size_t except_count;
    unsigned flags;       /* enum sio_flags */
    uint32_t timeout_ms;  /* of broadcasts that want answers; 0: none was said */
    struct sio_args args; /* events: the array that begins with the event's name */
    const struct str *changed;
    size_t changed_count;
    bool close;
    uint32_t count;
    struct str json;

    /* Recovery: the sender's number of this broadcast in its namespace (from 1 on, rising, with
     * holes); 0 from servers that do not number. */
    uint64_t number;

    /* Streams: the id of the entry, as text and as milliseconds << 20 | sequence. */
    struct str offset;
    uint64_t entry;
};

static inline bool cluster_is_answer(enum cluster_kind kind)
{
    return kind >= CLUSTER_SOCKETS && kind <= CLUSTER_CLIENT_ANSWER;
}

#endif
