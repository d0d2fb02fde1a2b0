/*
 * timer: a hierarchical timer wheel; starting and stopping cost O(1), so every session can keep
 * its heartbeat in it.
 *
 * Callers   net/loop drives one wheel a worker; everyone with a time-out embeds a struct timer.
 * Owner     the wheel links timers that their owners embed; stop before freeing the owner.
 * Threads   the worker's own.
 * Units     milliseconds of the monotonic clock. A timer never fires early; it fires at most one
 *           tick (1 ms) and the current loop turn late.
 * Errors    none. A delay is cut to TIMER_MAX_MS.
 */
#ifndef SKUA_BASE_TIMER_H
#define SKUA_BASE_TIMER_H

#include "base/list.h"

#include <stdint.h>

enum {
    TIMER_LEVELS = 4,
    TIMER_SLOTS = 256, /* a level; 256^4 ms is 49 days */
};
#define TIMER_MAX_MS UINT32_C(0x7fffffff)

struct timer {
    struct list link;
    uint64_t due_ms;
    void (*fire)(struct timer *timer);
};

struct timer_wheel {
    uint64_t now_ms;   /* everything due up to here has fired */
    uint64_t clock_ms; /* what time it is: not before now_ms */
    uint32_t count;
    struct list slots[TIMER_LEVELS][TIMER_SLOTS];
    uint64_t used[TIMER_LEVELS]
                 [TIMER_SLOTS / 64]; /* a bit for each slot that may hold timers */
};

void timer_wheel_init(struct timer_wheel *wheel, uint64_t now_ms);

void timer_init(struct timer *timer, void (*fire)(struct timer *timer));

/* Tells what time it is without firing anything. Without it, a timer started after a long wait
 * and before the advance would count from the time when the wait began, and fire early. */
void timer_wheel_set_clock(struct timer_wheel *wheel, uint64_t now_ms);

/* (Re)starts: fires once, `delay_ms` after the wheel's clock. */
void timer_start(struct timer_wheel *wheel, struct timer *timer, uint64_t delay_ms);
void timer_stop(struct timer_wheel *wheel, struct timer *timer);
bool timer_running(const struct timer *timer);

/* Fires everything due up to now_ms. A fire function may start and stop any timer. */
void timer_wheel_advance(struct timer_wheel *wheel, uint64_t now_ms);

/* Milliseconds until the next timer may be due (may be early, never late); -1 without timers. */
int timer_wheel_wait(struct timer_wheel *wheel);

#endif
