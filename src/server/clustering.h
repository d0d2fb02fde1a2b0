/*
 * clustering: from the `redis` statement, or from workers that have each other, to a bus, recovery
 * over it, and the cluster.
 *
 * Callers   worker.
 * Owner     the worker.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    what cannot be started is reported with file and line.
 */
#ifndef SKUA_SERVER_CLUSTERING_H
#define SKUA_SERVER_CLUSTERING_H

#include "cluster/cluster.h"
#include "cluster/peers.h"
#include "config/config.h"
#include "http/health.h"
#include "server/commons.h"

struct clustering;

struct clustering_options {
    const struct config *config;
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct sio_server *server;
    struct health *health;
    struct commons *commons;
};

/* Without a `redis` statement the cluster is this process. NULL: the reason is reported. */
struct clustering *clustering_new(const struct clustering_options *options,
                                  struct cfg_report *report);

/* With `required` turns the loop until messages come from Redis; false: they do not in time, which
 * is reported. Else true at once. */
bool clustering_wait(struct clustering *clustering, struct cfg_report *report);

/* Before the sio_server ends; and after that. */
void clustering_stop(struct clustering *clustering);
void clustering_free(struct clustering *clustering);

struct cluster *clustering_cluster(struct clustering *clustering);

/* Other servers of the cluster, and a connection to Redis beside the bus; NULL without Redis. */
struct peers *clustering_peers(struct clustering *clustering);
struct redis *clustering_redis(struct clustering *clustering);

/* Told each time that connection is there. NULL: nobody any more. */
void clustering_on_up(struct clustering *clustering, void (*up)(void *owner), void *owner);

/* Nothing is on its way to Redis that has to get there before the process ends. */
bool clustering_is_idle(const struct clustering *clustering);

#endif
