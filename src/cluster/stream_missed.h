/*
 * stream_missed: what a client missed of a stream, read from Redis: when this server's log does not
 * go back as far, because it was started since.
 *
 * Callers   stream_recovery.
 * Owner     ends by store_fetched(), once.
 * Threads   the worker's own.
 * Errors    when the client's last entry is not in the stream any more, or Redis does not answer,
 *           nothing can be told.
 * Source    @socket.io/redis-streams-adapter 0.3.1, restoreSession
 */
#ifndef SKUA_CLUSTER_STREAM_MISSED_H
#define SKUA_CLUSTER_STREAM_MISSED_H

#include "cluster/store.h"

enum {
    MISSED_READ_COUNT = 1000, /* entries a command */
    MISSED_READS_MAX = 100,
    MISSED_BYTES_MAX = 64 << 20, /* of events for one client */
};

struct stream_missed_options {
    struct redis *redis;
    struct str stream;               /* copied */
    const struct sio_namespace *nsp; /* asked for again by its name */
    struct sio_server *server;
    uint64_t behind; /* entries */
    uint64_t to;
    struct session_read session; /* the rooms; taken over, its bytes are the search's */
};

void stream_missed(const struct stream_missed_options *options, struct store_search *search);

/* An entry's id as text. */
void stream_entry_write(uint64_t entry, struct buf *to);

#endif
