/*
 * rate: at most so many a second, in bursts of at most a second's worth. One number holds the
 * state (the generic cell rate algorithm): the time until which what came so far keeps us busy.
 *
 * Callers   engineio (handshakes), socketio (events of a socket).
 * Owner     whoever embeds the number, which begins as 0.
 */
#ifndef SKUA_BASE_RATE_H
#define SKUA_BASE_RATE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RATE_MAX = 1000000, /* a second */
};

static inline bool rate_allows(uint64_t *busy_until_ns, uint32_t per_second, uint64_t now_ms)
{
    const uint64_t second = UINT64_C(1000000000);
    uint64_t now = now_ms * (second / 1000);
    uint64_t from = *busy_until_ns > now ? *busy_until_ns : now;
    uint64_t until = from + second / per_second;

    if (until - now > second)
        return false;
    *busy_until_ns = until;
    return true;
}

#endif
