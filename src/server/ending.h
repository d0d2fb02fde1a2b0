/*
 * ending: how a worker leaves: unready for a while, then without listeners, its sessions closed one
 * by one over a window, until nobody is left or the deadline comes.
 *
 * Clients that poll may be between two polls when it begins, and find nobody when they come back:
 * the listeners wait for these polls, a second at most.
 *
 * The window spares whoever the clients go to next: each session's time in it is chosen at random.
 * Requests that run are answered, connections without one end. When a successor has taken over the
 * listeners, there is no need to be unready first, and they are left to it.
 *
 * Callers   worker.
 * Owner     the worker embeds it.
 * Threads   the worker's own.
 * Units     milliseconds.
 * Errors    none: the deadline ends whatever went wrong.
 */
#ifndef SKUA_SERVER_ENDING_H
#define SKUA_SERVER_ENDING_H

#include "base/random.h"
#include "config/config.h"
#include "engineio/engineio.h"
#include "http/health.h"
#include "server/handover.h"
#include "server/listeners.h"

enum ending_phase {
    ENDING_NOT,
    ENDING_GRACE,
    ENDING_POLLS, /* listeners are open for polls that are on their way */
    ENDING_WINDOW,
    ENDING_REST, /* all sessions are closed; last bytes and running requests */
    ENDING_LAST,
};

struct ending {
    struct net_loop *loop;
    struct random *random;
    struct eio_server *engine;
    struct listeners *listeners;
    struct health *health;
    const struct cfg_drain *drain;

    /* Called once, before the first session is closed: what is known of the sessions is saved now.
     * `successor` is NULL when no process takes over. */
    void (*save)(void *owner, struct handover *successor);

    /* Called once when nothing is accepted any more: true if the successor has got what the clients
     * left, and their sockets are ended: then there is no window, for they are expected there. */
    bool (*hand_over)(void *owner, struct handover *successor);

    /* Nothing else has to be done before the end, such as writing what was saved. */
    bool (*idle)(void *owner);

    /* This worker accepts no more. */
    void (*left)(void *owner, struct handover *successor);

    /* Nobody is left: nothing more is done here. The second signal may tell it again. */
    void (*ended)(void *owner);
    void *owner;

    /* Its own from here. */
    enum ending_phase phase;
    bool has_left;
    struct handover *successor;
    struct timer timer;
    uint64_t listening_until_ms;
    uint64_t ticked_ms;
    uint64_t window_end_ms;
    uint64_t busy_ms; /* when something was at work last */
    uint64_t deadline_ms;
};

/* The fields above are set; nothing begins yet. */
void ending_init(struct ending *ending);

/* Begins to end; `ended` tells when it is done. `successor` serves already, or is NULL. Once it
 * has begun this does nothing. */
void ending_begin(struct ending *ending, struct handover *successor);

/* Ends at once, whatever is going on. */
void ending_now(struct ending *ending);

/* How many of the sessions are to be closed now, when `passed_ms` of the `left_ms` that the window
 * had are over. `dice`, a random number, decides about the fraction. */
uint32_t ending_share(uint32_t sessions, uint64_t passed_ms, uint64_t left_ms, uint32_t dice);

#endif
