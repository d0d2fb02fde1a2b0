/*
 * give_back: returns memory to the system when a crowd has left.
 *
 * Allocators keep the pages of what was freed for the next connection; after a storm of 10,000
 * they would be kept for good. So the worker looks every few seconds: when less than half of the
 * connections are left that there were at most since the last time, Lua collects its garbage and
 * the allocator lets its empty pages go. While the number stays, nothing is done.
 *
 * Callers   worker.
 * Owner     the worker embeds it.
 * Threads   the worker's own.
 * Errors    none.
 */
#ifndef SKUA_SERVER_GIVE_BACK_H
#define SKUA_SERVER_GIVE_BACK_H

#include "net/loop.h"
#include "script/script.h"
#include "server/listeners.h"

enum {
    GIVE_BACK_INTERVAL_MS = 5000,
    GIVE_BACK_PEAK_MIN = 100, /* connections: fewer are not worth the walk */
};

struct give_back {
    struct timer timer;
    struct net_loop *loop;
    struct script *script;
    struct listeners *listeners;
    uint32_t peak; /* connections, since memory was last given back */
};

/* Starts looking. */
void give_back_start(struct give_back *give_back, struct net_loop *loop, struct script *script,
                     struct listeners *listeners);
void give_back_stop(struct give_back *give_back);

#endif
