/*
 * stream_reader: follows one stream of Redis from its end on, over a link of its own.
 *
 * Where the end is, is asked first: XREAD from "$" would lose what is added between two polls
 * before the first one that brings something. After a lost link, and after a poll that brought as
 * much as it may, it looks whether the entry that it had read last is still there: if not, entries
 * may have been cut off unread.
 *
 * Callers   bus_streams.
 * Owner     the caller. Freeing it inside its callbacks is fine.
 * Threads   the worker's own.
 * Errors    told by `down`; the link is made again by redis/.
 */
#ifndef SKUA_CLUSTER_STREAM_READER_H
#define SKUA_CLUSTER_STREAM_READER_H

#include "cluster/codec.h"
#include "redis/redis.h"

struct stream_reader;

struct stream_reader_events {
    /* `tag` is the field "n" or empty. */
    void (*entry)(void *owner, const struct codec_entry *entry, struct str tag);

    /* What is added from now on comes: first, or again after `down`. */
    void (*live)(void *owner);
    void (*down)(void *owner, const char *reason);

    /* Entries may have been cut off before they were read. */
    void (*gap)(void *owner);
    void *owner;
};

struct stream_reader_options {
    struct net_loop *loop;
    const struct log *log;
    struct redis *redis;
    struct str stream; /* copied */
    uint32_t count;    /* entries a poll */
    uint32_t block_ms;
};

/* NULL when out of memory. */
struct stream_reader *stream_reader_new(const struct stream_reader_options *options,
                                        const struct stream_reader_events *events);
void stream_reader_free(struct stream_reader *reader);

bool stream_reader_is_live(const struct stream_reader *reader);

#endif
