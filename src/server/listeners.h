/*
 * listeners: the configured listeners with what each adds to a connection: TLS, the address that a
 * proxy tells, or a redirection to another listener.
 *
 * Callers   worker; main for `skua check`.
 * Owner     the worker; freed before its loop.
 * Threads   the worker's own.
 * Errors    files that are wrong and addresses that cannot be listened on, in the report.
 */
#ifndef SKUA_SERVER_LISTENERS_H
#define SKUA_SERVER_LISTENERS_H

#include "config/config.h"
#include "net/http1.h"
#include "net/inherited.h"
#include "server/handover.h"

struct listeners;

struct listeners_options {
    const struct config *config; /* outlives the listeners, as do the next two */
    struct net_loop *loop;
    const struct log *log;
    struct hits *hits;
    struct inherited *inherited; /* sockets that are taken instead of opening them, or NULL */
    struct http_service service; /* of all but those that redirect */

    /* Of several workers: where their connections are counted, or NULL; others listen at the same
     * addresses; the first has told of the listeners already, and removes files. */
    struct tally_sum *sum;
    bool shares_ports;
    bool is_further;
};

/* Loads the files that the listeners name. False: the reasons are in the report. */
bool listeners_check(const struct config *config, struct cfg_report *report);

/* Listens. NULL: the reasons are in the report, if there are any but memory. */
struct listeners *listeners_new(const struct listeners_options *options,
                                struct cfg_report *report);

/* Loads certificates and keys anew, for connections to come. If any file is wrong its listener
 * goes on with what it has, and the log says so. */
void listeners_reload(struct listeners *listeners);

/* Connections now alive. */
uint32_t listeners_connections(const struct listeners *listeners);

/* The most at a time since the last call. */
uint32_t listeners_take_most(struct listeners *listeners);

/* Accepts, or leaves connections in the kernel's queue for a while. */
void listeners_accept(struct listeners *listeners, bool accept);

/* Shows the sockets with their names. */
void listeners_show(const struct listeners *listeners,
                    void (*show)(void *owner, const char *name, int fd), void *owner);

/* Takes over a connection that the process before has given. */
void listeners_take(struct listeners *listeners, const char *name, int fd);

/* Accepts no more; connections live on. */
void listeners_stop(struct listeners *listeners);

/* The same, but the successor goes on with the sockets, and with the connections that have not
 * begun to speak. */
void listeners_leave(struct listeners *listeners, struct handover *successor);
void listeners_free(struct listeners *listeners);

#endif
