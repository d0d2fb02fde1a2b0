/*
 * proxy_header: the header that a load balancer puts in front of a connection to tell whose it is:
 * the PROXY protocol, versions 1 (a line) and 2 (binary).
 *
 * Callers   net/proxy_wait.
 * Owner     nobody: reads bytes, fills the caller's struct.
 * Threads   any.
 * Units     bytes.
 * Errors    PROXY_BAD as soon as the bytes cannot become a header.
 * Source    haproxy's doc/proxy-protocol.txt. Checksums and other extensions are skipped.
 */
#ifndef SKUA_NET_PROXY_HEADER_H
#define SKUA_NET_PROXY_HEADER_H

#include "net/conn.h"

enum {
    PROXY_V1_MAX = 107,          /* with its line end */
    PROXY_HEADER_MAX = 4 * 1024, /* version 2 with extensions; the protocol would allow 64 KB */
};

enum proxy_result {
    PROXY_MORE,
    PROXY_DONE,
    PROXY_BAD,
};

/*
 * PROXY_DONE: the first `*used` bytes are the header, `address` is the client's numeric one, or ""
 * when the balancer speaks for itself (health checks) or does not know.
 */
enum proxy_result proxy_header_parse(const uint8_t *bytes, size_t size, size_t *used,
                                     char address[NET_ADDRESS_MAX]);

#endif
