#include "base/hits.h"

#include <assert.h>

bool hits_note(struct hits *hits, enum hit hit, uint64_t now_ms)
{
    if (!hits)
        return true;
    hits->counts[hit]++;
    if (hits->logged_ms[hit] != 0 && now_ms - hits->logged_ms[hit] < HITS_LOG_EVERY_MS)
        return false;
    hits->logged_ms[hit] = now_ms;
    return true;
}

const char *hit_name(enum hit hit)
{
    static const char *const names[] = {
        [HIT_CONNECTIONS] = "refused_connections",
        [HIT_ADDRESS_CONNECTIONS] = "refused_address_connections",
        [HIT_HANDSHAKES] = "refused_handshakes",
        [HIT_HEADER_BYTES] = "too_large_headers",
        [HIT_SLOW_HEADERS] = "slow_headers",
        [HIT_SLOW_BODIES] = "slow_bodies",
        [HIT_PAYLOAD] = "too_large_payloads",
        [HIT_PACKETS] = "too_many_packets",
        [HIT_ATTACHMENTS] = "too_many_attachments",
        [HIT_EVENTS] = "too_many_events",
        [HIT_BACKLOG] = "full_backlogs",
        [HIT_VOLATILE] = "dropped_volatile",
        [HIT_RECOVERY_BUFFER] = "full_recovery_buffers",
        [HIT_FORWARD_FAILED] = "failed_forwards",
        [HIT_FORWARD_REFUSED] = "refused_forwards",
    };

    assert((size_t)hit < sizeof(names) / sizeof(names[0]));
    return names[hit];
}
