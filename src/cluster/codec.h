/*
 * codec: struct cluster_message to and from the bytes of the official adapters.
 *
 *   classic   @socket.io/redis-adapter 8.3 createAdapter, and what redis-emitter 5.1 sends
 *   sharded   createShardedAdapter of the same; also the streams adapter's ephemeral messages,
 *             which are the same in @msgpack/msgpack's dialect
 *   streams   fields of the entries of @socket.io/redis-streams-adapter 0.3
 *
 * Pure functions. Encoding appends the message's own fields, byte for byte as the reference; the
 * sender is message->sender. Decoding trusts nothing: all of the bytes are checked, memory is
 * bounded by their size, nesting by JSON_DEPTH_MAX.
 *
 * Callers   the buses.
 * Owner     a decoded message's slices point into the bytes it was made of and into its struct
 *           codec_decoded: codec_free() it in any case.
 * Threads   any.
 * Units     milliseconds.
 * Errors    encoding returns false for what the adapter has no word for, and when out of memory;
 *           decoding says what it thinks of the bytes, with a reason.
 * Source    protocol/redis-adapter.md; README.md here for what only skua writes.
 */
#ifndef SKUA_CLUSTER_CODEC_H
#define SKUA_CLUSTER_CODEC_H

#include "cluster/message.h"
#include "msgpack/msgpack.h"

enum codec_verdict {
    CODEC_GOOD,
    CODEC_IGNORED, /* what the reference ignores too: unknown types, another namespace's */
    CODEC_REFUSED, /* broken bytes or wrong shapes; `reason` tells */
};

#define CODEC_NUMBER_MAX ((UINT64_C(1) << 53) - 1) /* what JSON numbers hold exactly */

enum {
    CODEC_SEQUENCE_BITS = 20, /* of cluster_message.entry */
};

struct codec_text;

struct codec_decoded {
    struct cluster_message message;
    const char *reason;

    /* The codec's own. */
    struct json_doc doc;
    struct buf json;
    struct buf bytes;
    struct msgpack_bins bins;
    struct str *lists[3];
    struct codec_text *texts;
};

/* All zero is legal to free, and so is what is freed already. */
void codec_free(struct codec_decoded *decoded);

/* What is decoded for whom. Of messages that `uid` itself has sent, kind and number (or an
 * anchor's request) are read and the rest is left, if they are `own` at all. */
struct codec_receiver {
    struct str nsp;
    struct str uid;
};

/* --- classic (codec_classic.c) -------------------------------------------------------------- */

enum codec_place {
    CODEC_ROOMS,    /* the channels of broadcasts */
    CODEC_REQUEST,  /* the request channel */
    CODEC_RESPONSE, /* the shared or own response channel */
};

/* Where a message belongs. */
enum codec_place codec_classic_place(const struct cluster_message *message);

bool codec_classic_encode(struct buf *to, const struct cluster_message *message);
enum codec_verdict codec_classic_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver,
                                        enum codec_place place, struct str bytes);

/* The room of anchors: servers that are not skua have no member in it and decode nothing. */
#define CODEC_ANCHOR_ROOM STR("~anchor")

/* What nodes of before 2021 wait for when they make one socket join or leave: {"requestId":…}. */
bool codec_classic_confirm(struct buf *to, struct str request);

/* --- sharded, and ephemeral messages of streams (codec_sharded.c) ---------------------------- */

enum codec_form {
    CODEC_JSON,     /* msgpack where there is binary, in notepack.io's dialect */
    CODEC_NOTEPACK, /* always msgpack, as notepack.io 3 writes it */
    CODEC_MSGPACK,  /* always msgpack, as @msgpack/msgpack 2 writes it */
};

bool codec_sharded_encode(struct buf *to, enum codec_form form,
                          const struct cluster_message *message);

/* Either form, which the first byte tells. */
enum codec_verdict codec_sharded_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver,
                                        struct str bytes);

/* --- streams (codec_streams.c) --------------------------------------------------------------- */

/* Whether the message goes into the stream; others go by codec_sharded_encode() to channels. */
bool codec_streams_stored(const struct cluster_message *message);

/* The field "type" of an entry: decimal digits. */
struct str codec_streams_type(const struct cluster_message *message);

/* Appends the field "data". */
bool codec_streams_encode(struct buf *to, const struct cluster_message *message);

struct codec_entry {
    struct str id, uid, nsp, type, data; /* empty: there is no such field */
};

/* "ms-sequence" as cluster_message.entry has it. */
bool codec_entry_id(struct str id, uint64_t *entry);

/* Entries of the receiver itself are `own` and read in full. */
enum codec_verdict codec_streams_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver,
                                        const struct codec_entry *entry);

#endif
