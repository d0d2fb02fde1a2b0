/*
 * legacy: where clients of socket.io 1 and 2 (Engine.IO protocol 3) say what they want to join.
 *
 * They have no CONNECT payload: "/nsp?token=x" names the namespace and gives its auth, and the
 * reference reads it as a URL's path, in every packet.
 *
 * Callers   client.
 * Owner     the caller frees the address; it points nowhere else.
 * Threads   any, no state.
 * Units     bytes.
 * Errors    false, and `error` tells what is wrong.
 * Source    protocol/socket-io.md, 2; WHATWG URL, path and special authority states.
 */
#ifndef SKUA_SOCKETIO_LEGACY_H
#define SKUA_SOCKETIO_LEGACY_H

#include "base/buf.h"

struct sio_address {
    struct buf path;
    struct buf auth; /* the query as a JSON object, as JavaScript orders its keys; or empty */
    const char *error;
};

/* Reads a packet's namespace text. `with_auth`: a CONNECT, whose query counts. */
bool sio_address_read(struct sio_address *address, struct str text, bool with_auth);
void sio_address_free(struct sio_address *address);

#endif
