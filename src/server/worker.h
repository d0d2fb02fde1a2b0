/*
 * worker: everything one thread serves with: loop, listeners, Engine.IO and Socket.IO servers,
 * Lua state. Workers share nothing but the log's descriptor and what is in server/commons.
 *
 * Callers   server/crew.
 * Owner     the crew owns the worker; the worker owns all it made.
 * Threads   one a worker.
 * Units     none.
 * Errors    worker_new() reports configuration faults and failed listeners in words.
 */
#ifndef SKUA_SERVER_WORKER_H
#define SKUA_SERVER_WORKER_H

#include "config/config.h"
#include "net/inherited.h"
#include "net/loop.h"
#include "server/commons.h"
#include "server/handover.h"

struct worker;

/* Loads the configuration `source`. NULL: the reasons are in the report. Of several workers each
 * loads it, the one with `number` 0 first. */
struct worker *worker_new(const char *name, struct str source, uint32_t number,
                          struct cfg_report *report);

/* Makes what serves, one worker at a time. False: the reasons are in the report, if there are any but
 * memory. */
bool worker_make(struct worker *worker, struct commons *commons, struct cfg_report *report);

/* Listens, on the inherited sockets that it finds there. `ended` is called when it has drained, in
 * its thread; it goes on with nothing to do until worker_stop(). False: as before. */
bool worker_listen(struct worker *worker, struct inherited *inherited,
                   void (*ended)(void *owner), void *owner, struct cfg_report *report);

/* Serves until worker_stop(): 0. -1 with errno when the loop failed. */
int worker_run(struct worker *worker);
void worker_stop(struct worker *worker);

void worker_free(struct worker *worker);

const struct config *worker_config(const struct worker *worker);
struct random *worker_random(struct worker *worker);
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

/* Shows the listening sockets with their names (net/inherited.h). */
void worker_show_listeners(const struct worker *worker,
                           void (*show)(void *owner, const char *name, int fd), void *owner);

/* Closes the sessions over `drain.window`, then ends (server/ending.h). `successor` serves already,
 * or is NULL. */
void worker_drain(struct worker *worker, struct handover *successor);

/* Ends at once. */
void worker_end(struct worker *worker);

#endif
