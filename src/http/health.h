/*
 * health: tells balancers whether the server is ready for new clients, and supervisors whether it
 * lives.
 *
 * Readiness has reasons against it, each by a short name: "draining" when the server ends, and what
 * other parts find wrong. Without any the answer is 200, otherwise 503 with their names. Whoever
 * asks the path for liveness gets 200 as long as there is an answer at all.
 *
 * Callers   http/router before anybody else; health_set() by whoever knows of a reason.
 * Owner     the worker embeds it. Reasons and paths are the caller's and outlive it.
 * Threads   the worker's own.
 * Units     milliseconds of the loop's clock; the answer's uptime is in seconds.
 * Errors    405 to methods other than GET and HEAD. A reason over HEALTH_REASONS_MAX is an assertion.
 */
#ifndef SKUA_HTTP_HEALTH_H
#define SKUA_HTTP_HEALTH_H

#include "net/http1.h"

enum {
    HEALTH_REASONS_MAX = 16,
};

struct health {
    struct str path; /* for readiness; size 0: none */
    struct str live; /* for liveness; size 0: none */
    struct net_loop *loop;
    uint64_t started_ms;
    uint32_t (*sessions)(void *owner);
    void *owner;
    const char *reasons[HEALTH_REASONS_MAX]; /* against readiness; NULL: a free place */
};

/* Adds the reason against readiness, or takes it back; a second time changes nothing. The text is
 * kept as a pointer: characters that need no escape in JSON. */
void health_set(struct health *health, const char *reason, bool bad);

bool health_is_ready(const struct health *health);

/* Answers if the target is one of the paths, with any query. */
bool health_request(const struct health *health, struct http_exchange *exchange);

#endif
