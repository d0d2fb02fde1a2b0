/*
 * hits: how often each limit was hit, and whether that may be logged now: a peer that hits a limit
 * again and again must not fill the log.
 *
 * Callers   whoever enforces a limit; the worker shows the counts when it closes.
 * Owner     the worker; others have a pointer, or NULL where nobody counts.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    none.
 */
#ifndef SKUA_BASE_HITS_H
#define SKUA_BASE_HITS_H

#include "base/str.h"

#include <stdint.h>

enum hit {
    HIT_CONNECTIONS,
    HIT_ADDRESS_CONNECTIONS,
    HIT_HANDSHAKES,
    HIT_HEADER_BYTES,
    HIT_SLOW_HEADERS,
    HIT_SLOW_BODIES,
    HIT_PAYLOAD,
    HIT_PACKETS,
    HIT_ATTACHMENTS,
    HIT_EVENTS,
    HIT_BACKLOG,
    HIT_VOLATILE,        /* events dropped */
    HIT_RECOVERY_BUFFER, /* times that events or sessions were forgotten for room */
    HIT_FORWARD_FAILED,  /* requests for other servers that these did not answer */
    HIT_FORWARD_REFUSED, /* requests that came without the cluster's secret */
    HIT_KINDS,
};

enum {
    HITS_LOG_EVERY_MS = 1000,
};

struct hits {
    uint64_t counts[HIT_KINDS];
    uint64_t logged_ms[HIT_KINDS]; /* 0: never */
};

/* Counts one. True when it is to be logged: at most one of a kind in HITS_LOG_EVERY_MS. */
bool hits_note(struct hits *hits, enum hit hit, uint64_t now_ms);

/* "refused_connections", "dropped_volatile": for logs and metrics. */
const char *hit_name(enum hit hit);

#endif
