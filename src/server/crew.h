/*
 * crew: the workers of the process. The first works in the main thread, each other in a thread of its
 * own, in which it is made, serves and is freed. What the process is told, all of them do.
 *
 * TCP addresses are opened once a worker (SO_REUSEPORT), so that the kernel spreads connections; unix
 * sockets and systemd's once, and all workers accept from copies. With one worker there is neither a
 * thread nor a lock.
 *
 * Callers   server/process.
 * Owner     the process.
 * Threads   the main thread.
 * Errors    reports of the configuration, once, whoever finds them.
 */
#ifndef SKUA_SERVER_CREW_H
#define SKUA_SERVER_CREW_H

#include "server/worker.h"

struct crew;

/* Loads the configuration and listens, on the inherited sockets that it finds there; these are ended
 * then. NULL: the reasons are in the report, and the inherited sockets have been let go of. */
struct crew *crew_new(const char *name, struct str source, struct inherited *inherited,
                      struct cfg_report *report);

/* Serves until all have ended: 0. -1 with errno when a loop failed. */
int crew_run(struct crew *crew);
void crew_free(struct crew *crew);

/* Of the main thread. */
struct net_loop *crew_loop(struct crew *crew);
const struct log *crew_log(const struct crew *crew);

/* As worker.h has them, for all. */
void crew_reload(struct crew *crew);
void crew_accept(struct crew *crew, bool accept);
void crew_go_on(struct crew *crew, struct str state);
void crew_take(struct crew *crew, const char *name, int fd);
void crew_give_listeners(const struct crew *crew, struct handover *successor);
void crew_drain(struct crew *crew, struct handover *successor);
void crew_end(struct crew *crew);

#endif
