#include "net/deflater.h"

#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum {
    MEMORY_LEVEL = 8, /* zlib's own choice */
    GZIP_WINDOW = 16, /* added to a window's bits: zlib's sign for gzip */

    MESSAGE_TAIL =
        4, /* 00 00 ff ff, which every flushed message would end with: RFC 7692, 7.2.1 */
    FLUSH_MAX = 16, /* bytes that a flush adds to what zlib calls the bound */

    INFLATED_FIRST = 1024, /* bytes held for a message of which little is known */
    INFLATED_FACTOR = 4,   /* what text usually shrinks to is a quarter */

    AFTER_BLOCK = 128, /* in data_type: the next thing would be a block */

    STREAM_MESSAGES = 0, /* indices of streams: one for each size of window, then HTTP's */
    STREAM_BODIES = STREAM_MESSAGES + DEFLATER_BITS_MAX - DEFLATER_BITS_MIN + 1,
    STREAMS = STREAM_BODIES + DEFLATER_ZLIB + 1,
};

static const uint8_t message_tail[MESSAGE_TAIL] = {0x00, 0x00, 0xff, 0xff};

struct stream {
    z_stream z;
    bool ready;
};

struct deflater {
    struct deflater_options options;
    struct stream out[STREAMS];
    struct stream in;
};

struct deflater *deflater_new(const struct deflater_options *options)
{
    struct deflater *deflater = calloc(1, sizeof(*deflater));

    if (deflater)
        deflater->options = *options;
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (!deflater)
        return;
    for (size_t i = 0; i < STREAMS; i++)
        if (deflater->out[i].ready)
            deflateEnd(&deflater->out[i].z);
    if (deflater->in.ready)
        inflateEnd(&deflater->in.z);
    free(deflater);
}

bool deflater_worth(const struct deflater *deflater, size_t size)
{
    return size >= deflater->options.threshold && size <= DEFLATER_WORTH_MAX;
}

/* --- compressing -------------------------------------------------------------------------- */

/* A stream at its beginning. */
static z_stream *begin_deflate(struct deflater *deflater, int index, int window_bits)
{
    struct stream *stream = &deflater->out[index];

    if (stream->ready)
        return deflateReset(&stream->z) == Z_OK ? &stream->z : NULL;
    if (deflateInit2(&stream->z, deflater->options.level, Z_DEFLATED, window_bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    stream->ready = true;
    return &stream->z;
}

/* One call for all bytes, into a frame that is trimmed to what they became. */
static struct frame *run_deflate(z_stream *z, enum frame_kind kind, struct str bytes, int flush)
{
    size_t room = bytes.size <= UINT_MAX / 2 ? deflateBound(z, bytes.size) + FLUSH_MAX : 0;
    struct frame *frame = room > 0 ? frame_new(kind, room) : NULL;

    if (!frame)
        return NULL;
    z->next_in = (Bytef *)bytes.at; /* zlib does not write there */
    z->avail_in = (uInt)bytes.size;
    z->next_out = frame_payload(frame);
    z->avail_out = (uInt)room;

    int result = deflate(z, flush);
    if (result != (flush == Z_FINISH ? Z_STREAM_END : Z_OK) || z->avail_in > 0 ||
        z->avail_out == 0) {
        frame_unref(frame);
        return NULL;
    }
    return frame_trim(frame, room - z->avail_out);
}

struct frame *deflater_message(struct deflater *deflater, int bits, const struct frame *frame)
{
    assert(bits >= DEFLATER_BITS_MIN && bits <= DEFLATER_BITS_MAX);
    z_stream *z = begin_deflate(deflater, STREAM_MESSAGES + bits - DEFLATER_BITS_MIN, -bits);
    struct frame *made =
        z ? run_deflate(z, frame_kind(frame), frame_body(frame), Z_SYNC_FLUSH) : NULL;

    if (!made)
        return NULL;
    assert(frame_body(made).size > MESSAGE_TAIL);
    made = frame_trim(made, frame_body(made).size - MESSAGE_TAIL);
    frame_mark_deflated(made);
    return made;
}

struct frame *deflater_body(struct deflater *deflater, enum deflater_format format,
                            struct str bytes)
{
    int bits = DEFLATER_BITS_MAX + (format == DEFLATER_GZIP ? GZIP_WINDOW : 0);
    z_stream *z = begin_deflate(deflater, STREAM_BODIES + (int)format, bits);

    return z ? run_deflate(z, FRAME_RAW, bytes, Z_FINISH) : NULL;
}

/* --- decompressing ------------------------------------------------------------------------ */

static z_stream *begin_inflate(struct deflater *deflater)
{
    struct stream *stream = &deflater->in;

    if (stream->ready)
        return inflateReset(&stream->z) == Z_OK ? &stream->z : NULL;
    if (inflateInit2(&stream->z, -DEFLATER_BITS_MAX) != Z_OK)
        return NULL;
    stream->ready = true;
    return &stream->z;
}

struct inflated {
    uint8_t *at;
    size_t size;
    size_t capacity;
    size_t maximum;
};

/* One byte more than the maximum has room: if it is used, the message is too long. */
static bool grow(struct inflated *out, size_t wanted)
{
    size_t capacity = wanted > out->maximum ? out->maximum + 1 : wanted;
    uint8_t *at;

    assert(capacity > 0);
    at = realloc(out->at, capacity);
    if (!at)
        return false;
    out->at = at;
    out->capacity = capacity;
    return true;
}

static enum deflater_result more_room(struct inflated *out)
{
    if (out->size > out->maximum)
        return DEFLATER_TOO_LONG;
    return grow(out, out->capacity * 2) ? DEFLATER_GOOD : DEFLATER_NO_MEMORY;
}

static uInt at_most(size_t size)
{
    return size < UINT_MAX / 2 ? (uInt)size : UINT_MAX / 2;
}

/* Takes all of the bytes. `*ended`: the peer marked a block as the last one, and nothing follows. */
static enum deflater_result run_inflate(z_stream *z, struct str bytes, struct inflated *out,
                                        bool *ended)
{
    size_t taken = 0;

    *ended = false;
    for (;;) {
        if (out->size == out->capacity) {
            enum deflater_result room = more_room(out);
            if (room != DEFLATER_GOOD)
                return room;
        }
        z->next_in = (Bytef *)bytes.at + taken;
        z->avail_in = at_most(bytes.size - taken);
        z->next_out = out->at + out->size;
        z->avail_out = at_most(out->capacity - out->size);

        int result = inflate(z, Z_SYNC_FLUSH);
        taken = (size_t)(z->next_in - (const Bytef *)bytes.at);
        out->size = (size_t)(z->next_out - out->at);
        if (result == Z_MEM_ERROR)
            return DEFLATER_NO_MEMORY;
        if (result != Z_OK && result != Z_BUF_ERROR && result != Z_STREAM_END)
            return DEFLATER_CORRUPT;
        if (out->size > out->maximum)
            return DEFLATER_TOO_LONG;
        *ended = result == Z_STREAM_END && taken == bytes.size;
        /* Blocks may follow a last one: RFC 7692, 7.2.3.4. */
        if (result == Z_STREAM_END && inflateReset(z) != Z_OK)
            return DEFLATER_CORRUPT;
        if (taken == bytes.size && (*ended || z->avail_out > 0))
            return DEFLATER_GOOD;
    }
}

static enum deflater_result inflate_message(z_stream *z, struct str bytes, struct inflated *out)
{
    bool ended;
    enum deflater_result result = run_inflate(z, bytes, out, &ended);

    if (result != DEFLATER_GOOD || ended)
        return result;
    result = run_inflate(z, str_of(message_tail, MESSAGE_TAIL), out, &ended);
    /* The peer's last byte must have been the end of a block, less the tail. */
    if (result == DEFLATER_GOOD && !ended && !(z->data_type & AFTER_BLOCK))
        return DEFLATER_CORRUPT;
    return result;
}

enum deflater_result deflater_inflate(struct deflater *deflater, struct str bytes,
                                      size_t maximum, uint8_t **out, size_t *out_size)
{
    struct inflated inflated = {.maximum = maximum};
    size_t first = bytes.size < INFLATED_FIRST / INFLATED_FACTOR ? INFLATED_FIRST
                                                                 : bytes.size * INFLATED_FACTOR;
    z_stream *z = begin_inflate(deflater);
    enum deflater_result result = DEFLATER_NO_MEMORY;

    if (z && grow(&inflated, first)) {
        result = DEFLATER_GOOD;
        if (bytes.size > 0) /* an empty one is taken as what it must mean, as `ws` does */
            result = inflate_message(z, bytes, &inflated);
    }
    if (result != DEFLATER_GOOD) {
        free(inflated.at);
        return result;
    }
    *out = inflated.at;
    *out_size = inflated.size;
    return DEFLATER_GOOD;
}

bool deflater_gunzip(struct str file, uint8_t *out, size_t size)
{
    z_stream z = {.next_in = (Bytef *)file.at,
                  .avail_in = (uInt)file.size,
                  .next_out = out,
                  .avail_out = (uInt)size};

    assert(file.size <= UINT_MAX && size <= UINT_MAX);
    if (inflateInit2(&z, DEFLATER_BITS_MAX + GZIP_WINDOW) != Z_OK)
        return false;
    int result = inflate(&z, Z_FINISH);
    inflateEnd(&z);
    return result == Z_STREAM_END && z.avail_out == 0;
}
