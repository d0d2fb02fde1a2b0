/*
 * query: what a request's query string says to Engine.IO.
 *
 * eio_query_each(), in engineio.h, is implemented here too.
 *
 * Callers   server; jsonp for the bodies of its posts.
 * Owner     the caller owns the struct; nothing points outside it.
 * Errors    none: an absent or odd parameter is one of the values below.
 * Source    protocol/engine-io.md, 2.
 */
#ifndef SKUA_ENGINEIO_QUERY_H
#define SKUA_ENGINEIO_QUERY_H

#include "base/buf.h"
#include "base/random.h"
#include "base/str.h"

#include <stdint.h>

enum {
    EIO_JSONP_INDEX_MAX = 20, /* digits of a callback's index; clients count from 0 */
};

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
    bool jsonp; /* answers are calls of ___eio[index] */
    uint8_t jsonp_size;
    char jsonp_index[EIO_JSONP_INDEX_MAX]; /* digits, jsonp_size of them */
};

void eio_query_read(struct str target, struct eio_query *query);

/* Appends the value of a form's field (application/x-www-form-urlencoded, UTF-8). False when the
 * field is not there exactly once, or `value` failed. */
bool eio_form_value(struct str form, struct str field, struct buf *value);

#endif
