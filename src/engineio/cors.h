/*
 * cors: which origins may talk to us, and the headers that tell browsers so; the behaviour of the
 * `cors` package 2.8.6 that the reference uses, and origin patterns on top.
 *
 * Callers   engineio for every request on its path; socketio for a namespace's own `origins`.
 * Owner     the configuration owns a policy and everything it points to; it never changes.
 * Threads   read-only, any; `decide` is called on the worker's own.
 * Units     seconds for max_age_s.
 * Errors    none.
 * Source    protocol/engine-io.md, 12.
 */
#ifndef SKUA_ENGINEIO_CORS_H
#define SKUA_ENGINEIO_CORS_H

#include "net/http1.h"

enum cors_mode {
    CORS_OFF,     /* no headers; OPTIONS is an ordinary (bad) request */
    CORS_ANY,     /* "*": every origin, no Vary */
    CORS_FIXED,   /* one string, always sent, whatever the request's origin */
    CORS_REFLECT, /* every origin, reflected */
    CORS_LIST,    /* those that match one of the patterns, reflected */
    CORS_DECIDE,  /* those that a function accepts, reflected */
};

struct cors_policy {
    enum cors_mode mode;
    bool credentials;
    bool enforce; /* handshakes from other origins are refused */
    /* CORS_FIXED: the one. CORS_LIST: exact, or with '*' for any run of characters but '/'. */
    const struct str *origins;
    size_t origin_count;
    struct str methods;         /* as sent; "GET,HEAD,PUT,PATCH,POST,DELETE" */
    struct str allowed_headers; /* joined by ','; empty: the requested ones are echoed */
    struct str exposed_headers;
    bool has_max_age;
    uint32_t max_age_s;
    bool (*decide)(void *owner, struct str origin); /* CORS_DECIDE */
    void *decide_owner;
};

enum {
    CORS_HEADERS_MAX = 8, /* headers that cors_headers() writes at most */
};

/* Compares an origin with a pattern such as one '*' for the subdomain. ASCII case does not matter,
 * a '*' never matches '/' (so it cannot leave the host). */
bool cors_pattern_matches(struct str pattern, struct str origin);

/* Whether the policy lists the origin. An absent origin (empty) is no browser's: allowed. */
bool cors_allows(const struct cors_policy *policy, struct str origin);

/* Headers for an answer on the path, in the reference's order; returns how many. The values point
 * into the policy, the request and constants. */
size_t cors_headers(const struct cors_policy *policy, const struct http_request *request,
                    struct http_header headers[CORS_HEADERS_MAX]);

/* Answers an OPTIONS request (204) if the policy does that; false: it is an ordinary request. */
bool cors_preflight(const struct cors_policy *policy, struct http_exchange *exchange);

#endif
