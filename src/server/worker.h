/*
 * worker: everything one thread serves with: loop, listeners, Engine.IO and Socket.IO servers,
 * Lua state. Workers share nothing but the log's descriptor.
 *
 * Callers   main.
 * Owner     main owns the worker; the worker owns all it made.
 * Threads   one a worker. SIGINT, SIGTERM and SIGHUP must be blocked in every thread; the worker
 *           reads them from a signalfd.
 * Units     none.
 * Errors    worker_new() reports configuration faults and failed listeners in words.
 */
#ifndef SKUA_SERVER_WORKER_H
#define SKUA_SERVER_WORKER_H

#include "config/config.h"

struct worker;

/* Loads the configuration `source`, and listens. NULL: the reasons are in the report. */
struct worker *worker_new(const char *name, struct str source, struct cfg_report *report);

/* Serves until SIGINT or SIGTERM, then closes the sessions with "server shutting down" and returns
 * 0. SIGHUP has it load its certificates anew. -1 with errno when the loop failed. */
int worker_run(struct worker *worker);

void worker_free(struct worker *worker);

#endif
