/*
 * worker: everything one thread serves with: loop, listeners, Engine.IO and Socket.IO servers,
 * Lua state. Workers share nothing but the log's descriptor.
 *
 * Callers   server/process.
 * Owner     the process owns the worker; the worker owns all it made.
 * Threads   one a worker.
 * Units     none.
 * Errors    worker_new() reports configuration faults and failed listeners in words.
 */
#ifndef SKUA_SERVER_WORKER_H
#define SKUA_SERVER_WORKER_H

#include "config/config.h"
#include "net/inherited.h"
#include "net/loop.h"
#include "server/handover.h"

struct worker;

/* Loads the configuration `source`, and listens, on the inherited sockets that it finds there. NULL:
 * the reasons are in the report. */
struct worker *worker_new(const char *name, struct str source, struct inherited *inherited,
                          struct cfg_report *report);

/* Serves until it is told to end, and has: 0. -1 with errno when the loop failed. */
int worker_run(struct worker *worker);

void worker_free(struct worker *worker);

struct net_loop *worker_loop(struct worker *worker);
const struct log *worker_log(const struct worker *worker);

/* Loads the certificates anew. */
void worker_reload(struct worker *worker);

/* Accepts connections, or leaves them waiting for a while. */
void worker_accept(struct worker *worker, bool accept);

/* Takes over a connection that came to the listening socket of that name before. */
void worker_take(struct worker *worker, const char *name, int fd);

/* Goes on with what recovery kept in the process before, before anything is accepted. */
void worker_go_on(struct worker *worker, struct str state);

/* Gives the listening sockets to a process that is about to start. */
void worker_give_listeners(const struct worker *worker, struct handover *successor);

/* Closes the sessions over `drain.window`, then ends (server/ending.h). `successor` serves already,
 * or is NULL. */
void worker_drain(struct worker *worker, struct handover *successor);

/* Ends at once. */
void worker_end(struct worker *worker);

#endif
