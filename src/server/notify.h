/*
 * notify: tells systemd how the service does (Type=notify), if it wants to know.
 *
 * Callers   server/process.
 * Threads   the main thread.
 * Errors    none: without NOTIFY_SOCKET nobody asks, and nothing depends on the answer.
 * Source    sd_notify(3).
 */
#ifndef SKUA_SERVER_NOTIFY_H
#define SKUA_SERVER_NOTIFY_H

#include <sys/types.h>

/* "READY=1", "STOPPING=1": assignments, one a line. */
void notify(const char *state);

/* From now on `main` is the service's main process, and ready. */
void notify_main(pid_t main);

/* Something is loaded anew; "READY=1" tells the end of it. */
void notify_reloading(void);

#endif
