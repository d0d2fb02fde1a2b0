/*
 * process: what there is one of, however many workers there are: signals, the place of the server
 * before, the new process that takes over, and what systemd is told.
 *
 * Callers   main.
 * Owner     main.
 * Threads   the main thread. The signals are blocked from process_new() on, so threads made later
 *           do not get them.
 * Errors    in the report.
 */
#ifndef SKUA_SERVER_PROCESS_H
#define SKUA_SERVER_PROCESS_H

#include "config/config.h"

struct process;

/* Takes what was passed to the process: listening sockets, a handover. `argv` is how the program
 * was started, and outlives the process. NULL: the reasons are in the report. */
struct process *process_new(char **argv, struct cfg_report *report);

/*
 * Serves what the configuration `source` declares, until SIGINT or SIGTERM, which drain it (a second
 * one ends at once), or until a new process, which SIGUSR2 starts, has taken over. SIGHUP loads
 * certificates anew. True when it ended as it should; false, with the reasons in the report.
 */
bool process_serve(struct process *process, const char *name, struct str source,
                   struct cfg_report *report);

/* Tells the server before, if there is one, that this one cannot serve, and why. */
void process_fail(struct process *process, const struct cfg_report *report);

void process_free(struct process *process);

#endif
