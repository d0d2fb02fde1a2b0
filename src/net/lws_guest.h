/*
 * lws_guest: an lws context whose descriptors and timers live in our loop.
 *
 * lws asks for its events through event_lib_custom; what it wants to wait for shortens the loop's
 * wait. Listening descriptors go to the `listening` callback instead, since accepting is cheaper
 * when it is done in batches (net/listen).
 *
 * Callers   net/listen.
 * Owner     the caller owns the guest, the guest the context.
 * Threads   the worker's own; but lws has one log function a process, set by the first guest: it
 *           writes what lws calls errors and warnings on the debug level.
 * Errors    lws_guest_new() returns NULL.
 */
#ifndef SKUA_NET_LWS_GUEST_H
#define SKUA_NET_LWS_GUEST_H

#include "base/log.h"
#include "net/loop.h"

struct lws;
struct lws_context;
struct lws_guest;

struct lws_guest_options {
    struct net_loop *loop;
    const struct log *log; /* must outlive the process's last guest */

    /* lws has bound that descriptor and is about to listen. The callee puts it into the loop. */
    void (*listening)(void *owner, struct lws *wsi, int fd);
    void *owner;
};

struct lws_guest *lws_guest_new(const struct lws_guest_options *options);
void lws_guest_free(struct lws_guest *guest);

struct lws_context *lws_guest_context(struct lws_guest *guest);

/* Tells lws that the descriptor is ready. */
void lws_guest_service(struct lws_guest *guest, int fd, uint32_t events);

/* Does now what lws has put off until the loop's next turn, such as closing what it was told to
 * close. Not from inside a callback of lws. */
void lws_guest_settle(struct lws_guest *guest);

#endif
