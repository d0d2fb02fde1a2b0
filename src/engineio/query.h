/*
 * query: what a request's query string says to Engine.IO.
 *
 * eio_query_each(), in engineio.h, is implemented here too.
 *
 * Callers   server.
 * Owner     the caller owns the struct; nothing points outside it.
 * Errors    none: an absent or odd parameter is one of the values below.
 * Source    protocol/engine-io.md, 2.
 */
#ifndef SKUA_ENGINEIO_QUERY_H
#define SKUA_ENGINEIO_QUERY_H

#include "base/random.h"
#include "base/str.h"

#include <stdint.h>

enum eio_transport {
    EIO_NO_TRANSPORT, /* absent, or a name that we don't speak */
    EIO_POLLING,
    EIO_WEBSOCKET,
};

struct eio_query {
    uint8_t protocol; /* 4, or 3 for everything else */
    enum eio_transport transport;
    bool base64;    /* the peer cannot take binary */
    bool has_sid;   /* and it is not empty */
    bool sid_whole; /* false: it has not the size of an id, so nobody's */
    char sid[RANDOM_ID_SIZE];
};

void eio_query_read(struct str target, struct eio_query *query);

#endif
