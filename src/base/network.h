/*
 * network: a range of IP addresses such as 10.0.0.0/8 or fd00::/8, and whether an address is in it.
 *
 * IPv4 addresses are held as their IPv4-mapped IPv6 ones, so that "::ffff:10.1.2.3", which is how
 * IPv4 peers of an IPv6 listener look, is in 10.0.0.0/8.
 *
 * Callers   config (trusted proxies), net.
 * Owner     the caller's struct; no memory.
 * Threads   any.
 * Errors    false for text that is none.
 */
#ifndef SKUA_BASE_NETWORK_H
#define SKUA_BASE_NETWORK_H

#include "base/str.h"

#include <stdint.h>

enum {
    NETWORK_BITS = 128,
};

struct network {
    uint8_t address[NETWORK_BITS / 8];
    uint8_t bits; /* how many of them count */
};

/* "10.0.0.0/8", "fd00::/8", or one address. */
bool network_parse(struct str text, struct network *network);

/* False for text that is no address, too. */
bool network_contains(const struct network *network, struct str address);

#endif
