#include "engineio/queue.h"

#include "engineio/payload.h"

#include <stdlib.h>

enum {
    FIRST_CAPACITY = 4, /* frames */
};

static bool grow(struct eio_queue *queue)
{
    uint32_t capacity = queue->capacity ? queue->capacity * 2 : FIRST_CAPACITY;

    if (capacity < queue->capacity)
        return false;
    struct frame **frames = realloc(queue->frames, capacity * sizeof(*frames));
    if (!frames)
        return false;
    queue->frames = frames;
    queue->capacity = capacity;
    return true;
}

bool eio_queue_push(struct eio_queue *queue, struct frame *frame)
{
    if (queue->count == queue->capacity && !grow(queue))
        return false;
    queue->frames[queue->count++] = frame_ref(frame);
    queue->bytes += eio_packet_body_size(frame) + EIO_QUEUE_OVERHEAD;
    return true;
}

void eio_queue_clear(struct eio_queue *queue)
{
    for (uint32_t i = 0; i < queue->count; i++)
        frame_unref(queue->frames[i]);
    free(queue->frames);
    *queue = (struct eio_queue){0};
}
