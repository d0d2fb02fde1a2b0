/*
 * trail: the order in which the bus brought a namespace's messages, so that a place in it can be
 * named to any other server that heard the same.
 *
 * Each message that is heard has an index, counted by each server for itself. Anchors, messages with
 * a random name that servers send when their subscriptions stand, tie the counts together: a place
 * is "the k-th message behind anchor X". That another server heard the same k messages is
 * proven by a check: a hash over their fingerprints. README.md has the whole argument.
 *
 * Callers   recovery.c.
 * Owner     whoever made it.
 * Threads   the worker's own.
 * Units     milliseconds of the loop's clock.
 * Errors    out of memory: everything is forgotten, as after a gap.
 */
#ifndef SKUA_CLUSTER_TRAIL_H
#define SKUA_CLUSTER_TRAIL_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    TRAIL_ANCHORS = 64,            /* are remembered, the newest */
    TRAIL_STEPS_MAX = 1024 * 1024, /* messages remembered */
};

struct trail;

/* `retention_ms`: how long a client may need a place. NULL when out of memory. */
struct trail *trail_new(uint64_t retention_ms);
void trail_free(struct trail *trail);

/*
 * A message was heard. `covered`: what the namespace's log holds up to this number has been on the
 * bus already. Returns its index, from 1 on.
 */
uint64_t trail_heard(struct trail *trail, uint64_t fingerprint, uint64_t covered,
                     uint64_t now_ms);

/* The message just heard is an anchor. */
void trail_anchor(struct trail *trail, uint64_t name);

/* Messages were missed: no place from before can be named or found any more. */
void trail_gap(struct trail *trail);

/* The index of the last message; 0: none yet. */
uint64_t trail_last(const struct trail *trail);

/* Whether places have names: an anchor was heard since the last gap. */
bool trail_is_anchored(const struct trail *trail);

/* Appends the name of an index. Nothing if it has none. */
void trail_write(const struct trail *trail, uint64_t index, struct buf *to);

enum trail_found {
    TRAIL_FOUND,
    TRAIL_AHEAD,   /* this server will have heard so far in a moment */
    TRAIL_UNKNOWN, /* it has not heard the same, or not long enough */
};

/* The index of a place that some server named, and `covered` as it was there. */
enum trail_found trail_find(const struct trail *trail, struct str name, uint64_t now_ms,
                            uint64_t *index, uint64_t *covered);

#endif
