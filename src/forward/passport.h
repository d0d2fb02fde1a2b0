/*
 * passport: what two servers of a cluster tell each other beside a forwarded request: a server's
 * name in session ids, and the header that shows that the request comes from the cluster and whose
 * it is.
 *
 * Callers   forward, gate, server/forwarding.
 * Owner     values.
 * Threads   any.
 * Units     bytes.
 * Errors    false for what is none.
 */
#ifndef SKUA_FORWARD_PASSPORT_H
#define SKUA_FORWARD_PASSPORT_H

#include "base/buf.h"
#include "net/http1.h"

enum {
    PASSPORT_NAME_SIZE = 8,    /* digits of base 64 for 48 bits */
    PASSPORT_SECRET_SIZE = 32, /* lower-case hexadecimal digits: 128 bits */
};

/* The header's name, spelled as it is sent. It is the request's last. */
extern const struct str passport_header;

/* No NUL. */
void passport_name_write(uint64_t name, char text[PASSPORT_NAME_SIZE]);
bool passport_name_read(struct str text, uint64_t *name);

struct passport {
    struct str address; /* the client's; may be empty */
    bool secure;        /* it came over TLS */
};

/* Appends the value: "SECRET https 10.0.0.9". */
void passport_write(struct buf *to, struct str secret, const struct passport *passport);

/* False when it is none, or of another secret; an empty secret is nobody's. */
bool passport_read(struct str value, struct str secret, struct passport *passport);

#endif
