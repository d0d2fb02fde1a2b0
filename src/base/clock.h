/*
 * clock: what time it is.
 *
 * Callers   everybody. Code inside a loop turn prefers net_loop_now(), which costs no call.
 * Threads   any.
 * Units     as the names say. Monotonic times have no meaning outside this process.
 */
#ifndef SKUA_BASE_CLOCK_H
#define SKUA_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

enum {
    CLOCK_DATE_MAX = 64, /* bytes */
};

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* CPU time used by the calling thread. */
uint64_t clock_thread_cpu_us(void);

/* Since the Unix epoch. */
uint64_t clock_wall_ms(void);

/* A time since the epoch as JavaScript spells a Date, in UTC: "Mon Nov 23 2026 04:00:38 GMT+0000 (…)".
 * Returns its size. */
size_t clock_date_text(uint64_t wall_ms, char text[CLOCK_DATE_MAX]);

#endif
