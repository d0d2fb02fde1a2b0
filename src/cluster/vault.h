/*
 * vault: what Redis and peers are to the servers of a cluster, for the workers of one process: lost
 * sockets are kept here, and workers are asked for those that they have not noticed to be lost.
 *
 * Each worker has a door. A value can be taken once, by whoever comes first, until its time is
 * over.
 *
 * Callers   shelf.c (behind store); server/commons makes it.
 * Owner     who made the vault frees it, after all doors. Each worker owns its door.
 * Threads   a vault is for any; a door is its loop's. `give` and `answered` are called by the loop
 *           that the door belongs to.
 * Units     milliseconds, bytes.
 * Errors    put: false when out of memory, or over VAULT_BYTES_MAX.
 */
#ifndef SKUA_CLUSTER_VAULT_H
#define SKUA_CLUSTER_VAULT_H

#include "base/buf.h"
#include "net/loop.h"

enum {
    VAULT_BYTES_MAX = 512 << 20, /* of all that is kept */
    VAULT_ANSWER_MS = 500,       /* a worker that computes for longer is not waited for */
    VAULT_SWEEP_MS = 5000,       /* between looks for what has expired */
};

struct vault;
struct vault_door;

struct vault *vault_new(void);
void vault_free(struct vault *vault);

struct vault_handler {
    /* Another worker looks for the socket with this private id: whether it was here, and has been
     * given up. */
    bool (*give)(void *owner, struct str pid);
    void *owner;
};

/* NULL when out of memory or descriptors. */
struct vault_door *vault_join(struct vault *vault, struct net_loop *loop,
                              const struct vault_handler *handler);

/* Questions end with false. */
void vault_leave(struct vault_door *door);

bool vault_put(struct vault_door *door, struct str key, struct str value, uint32_t window_ms);

/* False: there is none. The value is malloced, the caller's. */
bool vault_take(struct vault_door *door, struct str key, char **value, size_t *size);

/* Asks all others for a socket: `answered` is called once, later, with true as soon as one had
 * it. */
void vault_ask(struct vault_door *door, struct str pid,
               void (*answered)(void *owner, bool given), void *owner);

#endif
