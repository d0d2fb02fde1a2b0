/*
 * msgpack: MessagePack, token by token, and its way to and from JSON text with binary values.
 *
 * Reading needs no memory: a reader walks over the caller's bytes, strings and binary values are
 * slices of them. Writing appends to a buf, each number in its shortest form, as the JavaScript
 * libraries do.
 *
 * Callers   socketio (packets of the msgpack parser), cluster (messages between servers).
 * Owner     a reader points into the caller's bytes; bins own their list, not the bytes.
 * Threads   one at a time, no shared state.
 * Units     bytes.
 * Errors    reading: false for bytes that are no MessagePack, or cut off. Writing: the buf fails.
 *           Nesting is bounded by JSON_DEPTH_MAX.
 * Source    github.com/msgpack/msgpack/blob/master/spec.md; what extensions mean: notepack.io 2.2;
 *           of other libraries protocol/redis-adapter.md.
 */
#ifndef SKUA_MSGPACK_MSGPACK_H
#define SKUA_MSGPACK_MSGPACK_H

#include "json/json.h"

/* --- reading ------------------------------------------------------------------------------ */

enum msgpack_kind {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_INTEGER,  /* what fits int64_t */
    MSGPACK_UNSIGNED, /* larger ones */
    MSGPACK_REAL,
    MSGPACK_STRING, /* may be no UTF-8 */
    MSGPACK_BINARY,
    MSGPACK_EXTENSION,
    MSGPACK_ARRAY, /* `count` values follow */
    MSGPACK_MAP,   /* `count` pairs follow */
};

struct msgpack_token {
    enum msgpack_kind kind;
    union {
        bool boolean;
        int64_t integer;
        uint64_t large;
        double real;
        uint32_t count;
        struct {
            struct str bytes; /* of strings, binary values and extensions */
            int8_t extension;
            bool fixed; /* an extension in one of the forms without a length */
        };
    };
};

struct msgpack_reader {
    const uint8_t *at;
    const uint8_t *end;
};

struct msgpack_reader msgpack_reader_of(struct str bytes);

/* The next token. A container that has more values than bytes are left is refused here. */
bool msgpack_read(struct msgpack_reader *reader, struct msgpack_token *token);

/* One value with all that is in it, at any depth. */
bool msgpack_skip(struct msgpack_reader *reader);

/* Whether the token is what JavaScript's libraries write for undefined. */
bool msgpack_is_undefined(const struct msgpack_token *token);

/* True for the three kinds of numbers. */
bool msgpack_number(const struct msgpack_token *token, double *number);

/* --- writing ------------------------------------------------------------------------------ */

void msgpack_write_nil(struct buf *to);
void msgpack_write_bool(struct buf *to, bool value);
void msgpack_write_integer(struct buf *to, int64_t value);

/* A whole number that fits is written as one. */
void msgpack_write_real(struct buf *to, double value);

/* Eight bytes whatever the number. */
void msgpack_write_double(struct buf *to, double value);
void msgpack_write_string(struct buf *to, struct str text);
void msgpack_write_binary(struct buf *to, struct str bytes);
void msgpack_write_array(struct buf *to, uint32_t count);
void msgpack_write_map(struct buf *to, uint32_t count);

/* --- JSON --------------------------------------------------------------------------------- */

/* Binary values that stand as placeholders in JSON text: {"_placeholder":true,"num":0}. */
struct msgpack_bins {
    struct str *at; /* malloced list of slices */
    uint32_t count;
    uint32_t maximum;
    bool
        timestamps; /* extension -1 is a date, as the specification has it and notepack.io 2.2 not */
};

enum msgpack_fault {
    MSGPACK_GOOD,
    MSGPACK_BROKEN, /* no MessagePack, nested too deep, or a map's key is no scalar */
    MSGPACK_TOO_MANY_BINS,
    MSGPACK_NO_MEMORY,
};

/*
 * Reads one value and appends it as JSON. What JSON has no word for becomes what JSON.stringify
 * makes of it: undefined is null in an array and leaves its key out in a map, a date is its ISO
 * text, NaN is null; extensions that notepack.io does not know are [type, binary value].
 */
enum msgpack_fault msgpack_to_json(struct msgpack_reader *reader, struct buf *json,
                                   struct msgpack_bins *bins);

/* Appends checked JSON text. Where there are binary values, an object that says it is the
 * placeholder of one becomes that one. False when out of memory. */
bool msgpack_from_json(struct buf *to, struct str json, const struct str *bins,
                       uint32_t bin_count);

/* The same as @msgpack/msgpack writes it: whole numbers that a double may have rounded (over
 * 2^53 - 1) stay doubles. */
bool msgpack_from_json_safe(struct buf *to, struct str json, const struct str *bins,
                            uint32_t bin_count);

#endif
