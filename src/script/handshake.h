/*
 * handshake: `socket.handshake`, as the reference shows it to applications.
 *
 * Callers   socket_lib.
 * Owner     the pushed table holds copies.
 * Threads   the state's own.
 * Units     milliseconds.
 * Errors    Lua errors: out of memory.
 * Source    protocol/socket-io.md, 2; Node's http module for repeated headers.
 */
#ifndef SKUA_SCRIPT_HANDSHAKE_H
#define SKUA_SCRIPT_HANDSHAKE_H

#include "script/value.h"

#include <lauxlib.h>

/* Pushes a table with headers, time, address, xdomain, secure, issued, url, query and auth.
 * `scratch` is empty. */
void script_push_handshake(lua_State *L, struct buf *scratch, struct sio_socket *socket);

/* Pushes what allow_request gets: method, url, headers, address, query, secure and, if it was sent,
 * origin. */
void script_push_request(lua_State *L, struct buf *scratch,
                         const struct eio_handshake *handshake);

#endif
