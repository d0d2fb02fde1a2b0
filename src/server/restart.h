/*
 * restart: starts the program anew, with the arguments it was started with, gives the new process
 * the listening sockets, and waits until it serves.
 *
 * The binary is looked for where it was found at start, so that an upgraded one is taken; when
 * there is none any more, the one that runs is started again. While the new process comes up the old
 * one serves; if it fails the old one goes on.
 *
 * Callers   server/process.
 * Owner     the process; freed when it ends. The handover is the restart's.
 * Threads   the main thread.
 * Errors    logged, and told by `failed`.
 */
#ifndef SKUA_SERVER_RESTART_H
#define SKUA_SERVER_RESTART_H

#include "net/loop.h"
#include "server/handover.h"

#include <sys/types.h>

struct restart;

struct restart_options {
    char **argv;
    struct net_loop *loop;
    const struct log *log;

    /* Gives the listeners. */
    void (*give)(void *owner, struct handover *successor);

    /* The new process serves: `successor` lives as long as the restart. */
    void (*serves)(void *owner, struct handover *successor, pid_t pid);
    void (*failed)(void *owner);
    void *owner;
};

/* Where the program is: argv0 as an absolute path, after looking for it in PATH. NULL when that is not
 * found, or out of memory. The caller's to free. */
char *restart_find_binary(const char *argv0);

/* `binary` as restart_find_binary() told, copied. NULL when out of memory. */
struct restart *restart_new(const struct restart_options *options, const char *binary);

/* Ends a new process that does not serve yet. */
void restart_free(struct restart *restart);

/* Starts the new process. Nothing when one is on its way already. */
void restart_begin(struct restart *restart);

/* Ends a new process that does not serve yet; `failed` is not called. */
void restart_cancel(struct restart *restart);

#endif
