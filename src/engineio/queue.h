/*
 * queue: the packets of a polling session that wait for the next poll.
 *
 * Callers   session and transport_polling.
 * Owner     the session embeds it; it holds a reference to each frame. Empty, it holds no memory.
 * Threads   the worker's own.
 * Units     bytes: what the packets take in a poll's answer, and EIO_QUEUE_OVERHEAD each.
 * Errors    eio_queue_push() returns false when out of memory; the queue is as it was.
 */
#ifndef SKUA_ENGINEIO_QUEUE_H
#define SKUA_ENGINEIO_QUEUE_H

#include "net/frame.h"

enum {
    EIO_QUEUE_OVERHEAD = 64, /* bytes of a frame beside its text: small ones must count too */
};

struct eio_queue {
    struct frame **frames;
    uint32_t count;
    uint32_t capacity;
    size_t bytes;
};

/* Takes a reference of its own. */
bool eio_queue_push(struct eio_queue *queue, struct frame *frame);

void eio_queue_clear(struct eio_queue *queue);

#endif
