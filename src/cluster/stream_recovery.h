/*
 * stream_recovery: connection state recovery over Redis streams, as the official adapter has it:
 * offsets are ids of entries, sessions are at sio:session:PID, and clients may move between
 * servers of either kind.
 *
 * The reference reads what was missed from the stream each time. Here every server has it in its own
 * log as far back as it reads the stream, and asks Redis for what is older alone.
 *
 * Callers   worker makes it; socketio asks it as its struct sio_keeper.
 * Owner     whoever made it.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    without Redis a client recovers on the server it left, and nowhere else.
 * Source    protocol/connection-state-recovery.md, "Redis streams adapter".
 */
#ifndef SKUA_CLUSTER_STREAM_RECOVERY_H
#define SKUA_CLUSTER_STREAM_RECOVERY_H

#include "cluster/store.h"

struct cluster_bus;
struct stream_recovery;

struct stream_recovery_options {
    struct store_options store; /* its key_prefix: "sio:session:" */
    struct cluster_bus *bus;    /* of streams; it may end between stop and free */
};

/* NULL with a sentence. */
struct stream_recovery *stream_recovery_new(const struct stream_recovery_options *options,
                                            char fault[REDIS_FAULT_MAX]);

/* Before the sio_server ends, when it has another keeper or none, and Redis has answered; and after
 * that, when no bus tells it anything any more. */
void stream_recovery_stop(struct stream_recovery *recovery);
void stream_recovery_free(struct stream_recovery *recovery);
struct store *stream_recovery_store(struct stream_recovery *recovery);

/* The namespace's stream is being read from now on, or anew; entries were missed (empty name: of
 * all); a namespace is closed. */
void stream_recovery_ready(struct stream_recovery *recovery, struct str nsp);
void stream_recovery_gap(struct stream_recovery *recovery, struct str nsp);
void stream_recovery_closed(struct stream_recovery *recovery, struct str nsp);

#endif
