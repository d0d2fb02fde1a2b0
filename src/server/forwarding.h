/*
 * forwarding: no stickiness among servers of one Redis. Requests for another server's session go
 * there; requests that others hand over come in by a door of their own, for which the cluster has a
 * secret in Redis.
 *
 * Workers of one process have the same among themselves, without Redis: they find each other's doors,
 * and their secret, in server/commons. A worker of such a process that has Redis, too, has two.
 *
 * Callers   worker.
 * Owner     the worker. Stopped before the engine ends, freed when the connections are gone.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    without Redis, secret or door nothing is forwarded: such sessions are unknown here. The
 *           log says why.
 * Source    cluster/README.md, Requests that land elsewhere.
 */
#ifndef SKUA_SERVER_FORWARDING_H
#define SKUA_SERVER_FORWARDING_H

#include "base/hits.h"
#include "config/config.h"
#include "engineio/engineio.h"
#include "server/clustering.h"

struct forwarding;

struct forwarding_options {
    const struct config *config;
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct hits *hits;
    struct clustering *clustering; /* with Redis, for other servers; or NULL */
    struct commons *commons;       /* for other workers, if there is no clustering */
    uint32_t worker;               /* its number among them */
    uint64_t name;                 /* sio_server_origin() */
};

/* Whether the configuration wants it: among servers, among workers. */
bool forwarding_wanted(const struct config *config);
bool forwarding_wanted_inside(const struct config *config);

/* NULL when out of memory. */
struct forwarding *forwarding_new(const struct forwarding_options *options);

/* This server's name in ids; and for eio_options.elsewhere, where NULL forwards nothing. */
struct str forwarding_name(const struct forwarding *forwarding);
bool forwarding_elsewhere(struct forwarding *forwarding, struct str name,
                          struct http_exchange *exchange);

/* Serves from now on, after commons_join(). */
void forwarding_start(struct forwarding *forwarding, struct eio_server *engine);

/* NULL is fine for both. What is on its way ends. */
void forwarding_stop(struct forwarding *forwarding);
void forwarding_free(struct forwarding *forwarding);

#endif
