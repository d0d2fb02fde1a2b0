/*
 * health: tells balancers whether the server is ready for new clients, and supervisors whether it
 * lives.
 *
 * Readiness has reasons against it, each by a short name: "draining" when the server ends, and what
 * other parts find wrong. Without any the answer is 200, otherwise 503 with their names. Whoever
 * asks the path for liveness gets 200 as long as there is an answer at all. Of several workers any
 * one answers for all: a reason of one is the process's.
 *
 * Callers   http/router before anybody else; health_set() by whoever knows of a reason.
 * Owner     the worker embeds it. Reasons and paths are the caller's and outlive it.
 * Threads   the worker's own; shared reasons are for any.
 * Units     milliseconds of the loop's clock; the answer's uptime is in seconds.
 * Errors    405 to methods other than GET and HEAD. A reason over HEALTH_REASONS_MAX is an assertion.
 */
#ifndef SKUA_HTTP_HEALTH_H
#define SKUA_HTTP_HEALTH_H

#include "net/http1.h"

#include <pthread.h>

enum {
    HEALTH_REASONS_MAX = 16,
};

/* Against readiness. */
struct health_reasons {
    pthread_mutex_t lock;
    struct health_reason {
        const char *text; /* NULL: a free place */
        uint64_t workers; /* a bit each: whose reason it is */
    } at[HEALTH_REASONS_MAX];
};

struct health {
    struct str path; /* for readiness; size 0: none */
    struct str live; /* for liveness; size 0: none */
    struct net_loop *loop;
    uint64_t started_ms;
    uint32_t (*sessions)(void *owner);
    void *owner;
    struct health_reasons *shared; /* by several workers; NULL: there is one */
    uint32_t worker;               /* its number among them */
    struct health_reasons own;
};

void health_reasons_init(struct health_reasons *reasons);

/* Adds the reason against readiness, or takes it back; a second time changes nothing. The text is
 * kept as a pointer: characters that need no escape in JSON. */
void health_set(struct health *health, const char *reason, bool bad);

bool health_is_ready(const struct health *health);

/* Answers if the target is one of the paths, with any query. */
bool health_request(const struct health *health, struct http_exchange *exchange);

#endif
