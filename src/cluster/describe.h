/*
 * describe: what other servers are told about this one's sockets.
 *
 * Callers   node.
 * Owner     appends to the caller's buf.
 * Threads   the worker's own.
 * Errors    out of memory: the buf has failed.
 * Source    protocol/redis-adapter.md, 1: answers to fetchSockets.
 */
#ifndef SKUA_CLUSTER_DESCRIBE_H
#define SKUA_CLUSTER_DESCRIBE_H

#include "socketio/socketio.h"

/* {"id","handshake":{headers, time, address, xdomain, secure, issued, url, query, auth},"rooms",
 * "data"}, in this order. */
void describe_socket(struct buf *to, const struct sio_socket *socket);

/* An array of these for the target's sockets on this server. */
void describe_target(struct buf *to, const struct sio_target *target);

/* An array of the names of a namespace's rooms. */
void describe_rooms(struct buf *to, const struct sio_namespace *nsp);

#endif
