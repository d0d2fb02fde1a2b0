/*
 * session: what a lost socket leaves, as it is kept in Redis.
 *
 * Callers   recovery.c.
 * Owner     writing appends to the caller's buf. What was read points into the bytes, lists are
 *           freed by session_free().
 * Threads   one at a time.
 * Units     bytes.
 * Errors    reading: false for bytes that are no session, or another version's. Writing: the buf
 *           fails.
 */
#ifndef SKUA_CLUSTER_SESSION_H
#define SKUA_CLUSTER_SESSION_H

#include "socketio/socketio.h"

enum {
    SESSION_BYTES_MAX = 16 << 20, /* of one: Redis is no place for more */
    SESSION_LIST_MAX = 100000,    /* rooms, packets */
};

/* `parser` names the packets' encoding. */
void session_write(struct buf *to, struct str parser, struct str nsp,
                   const struct sio_session *session);

struct session_read {
    struct str parser;
    struct str nsp;
    struct sio_session session; /* without the pid */
    struct str *names;          /* rooms, frames */
    struct sio_session_packet *packets;
    char *unpacked; /* an official one's bytes */
    char *data;     /* and its data */
};

bool session_read(struct session_read *read, struct str bytes);

/*
 * As the official streams adapter keeps it: base64 of MessagePack {sid, pid, rooms, data}; of skua
 * with `start`, `upto` and `last` behind them, which the other ignores.
 */
void session_write_official(struct buf *to, const struct sio_session *session);
bool session_read_official(struct session_read *read, struct str text);
void session_free(struct session_read *read);

#endif
