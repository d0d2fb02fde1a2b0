/*
 * peers: skua's servers of one Redis and prefix know and ask each other, beside the adapter, on
 * channels that no other software listens to.
 *
 * Each server says hello every PEERS_HELLO_MS on PREFIX-skua# and listens there and on PREFIX-skua#NAME#.
 * Who has not been heard for PEERS_GONE_MS is gone. A hello that comes back shows that the
 * bus works, whatever the socket says.
 *
 * Callers   clustering makes it, recovery asks for sockets, forwarding for addresses.
 * Owner     the struct redis is the caller's and outlives the peers.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    what cannot be sent is lost: asks time out. Messages that are none are counted and
 *           ignored.
 * Source    README.md here.
 */
#ifndef SKUA_CLUSTER_PEERS_H
#define SKUA_CLUSTER_PEERS_H

#include "redis/redis.h"

enum {
    PEERS_HELLO_MS = 2000,
    PEERS_GONE_MS = 7000,  /* three hellos and a bit */
    PEERS_ANSWER_MS = 500, /* all that are there answer sooner */
    PEERS_MAX = 256,
    PEERS_ASKS_MAX = 100000, /* that wait */
    PEERS_ADDRESS_MAX = 256, /* bytes */
};

struct peers;

struct peers_options {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct redis *redis;
    struct str prefix;
    uint64_t name; /* this server's: sio_server_origin() */
};

struct peers_handler {
    /* Another server looks for the socket with this private id: whether it was here, and has been
     * given up. */
    bool (*give)(void *owner, struct str pid);

    void *owner;
};

struct peers *peers_new(const struct peers_options *options,
                        const struct peers_handler *handler);

/* Asks end with false. */
void peers_free(struct peers *peers);

/* What comes on the struct redis: from its owner's events. */
void peers_message(struct peers *peers, struct str channel, struct str payload);
void peers_ready(struct peers *peers);

/* Where others reach this server from now on; tells them. */
void peers_set_address(struct peers *peers, struct str address);

/* Asks all others for a socket: `answered` is called once, later, with true as soon as one had it. */
void peers_ask(struct peers *peers, struct str pid, void (*answered)(void *owner, bool given),
               void *owner);

/* Others that are there. */
uint32_t peers_count(const struct peers *peers);

/* A hello has come back lately. */
bool peers_healthy(const struct peers *peers);

/* Where a server takes requests over; false: it is not there, or takes none. */
bool peers_address(const struct peers *peers, uint64_t name, struct str *address);

#endif
