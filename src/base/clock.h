/*
 * clock: what time it is.
 *
 * Callers   everybody. Code inside a loop turn prefers net_loop_now(), which costs no call.
 * Threads   any.
 * Units     as the names say. Monotonic times have no meaning outside this process.
 */
#ifndef SKUA_BASE_CLOCK_H
#define SKUA_BASE_CLOCK_H

#include <stdint.h>

uint64_t clock_monotonic_ms(void);
uint64_t clock_monotonic_us(void);

/* CPU time used by the calling thread. */
uint64_t clock_thread_cpu_us(void);

/* Since the Unix epoch. */
uint64_t clock_wall_ms(void);

#endif
