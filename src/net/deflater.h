/*
 * deflater: compression of what goes out and decompression of what comes in, by zlib.
 *
 * Every message is compressed for itself, so one state of each kind serves all connections: they
 * hold none. States are made when they are needed first (some 270 KB each, for decompression 7).
 *
 * Callers   net/ws and its parser for messages (RFC 7692), engineio for answers to polls.
 * Owner     the worker, for all of its connections.
 * Threads   the worker's own.
 * Units     bytes.
 * Errors    NULL or DEFLATER_NO_MEMORY when out of memory; messages over 4 GB are not compressed.
 * Source    RFC 1950, 1951, 1952; RFC 7692, 7.2.
 */
#ifndef SKUA_NET_DEFLATER_H
#define SKUA_NET_DEFLATER_H

#include "net/frame.h"

struct deflater;

enum {
    DEFLATER_BITS_MIN = 9, /* of a window: zlib has none of 8 */
    DEFLATER_BITS_MAX = 15,

    /* What is longer goes out as it is: a megabyte takes some 20 ms, in which the worker does
     * nothing else. */
    DEFLATER_WORTH_MAX = 1024 * 1024,
};

struct deflater_options {
    size_t threshold; /* what is shorter goes out as it is */
    int level;        /* 1: fast, to 9: small */
};

struct deflater *deflater_new(const struct deflater_options *options);
void deflater_free(struct deflater *deflater);

/* Whether to compress so many bytes. */
bool deflater_worth(const struct deflater *deflater, size_t size);

/* The message for peers that take a window of so many bits: the caller's reference. */
struct frame *deflater_message(struct deflater *deflater, int bits, const struct frame *frame);

enum deflater_format {
    DEFLATER_GZIP,
    DEFLATER_ZLIB, /* what HTTP calls "deflate" */
};

/* A FRAME_RAW frame with the bytes of an HTTP body: the caller's reference. */
struct frame *deflater_body(struct deflater *deflater, enum deflater_format format,
                            struct str bytes);

enum deflater_result {
    DEFLATER_GOOD,
    DEFLATER_CORRUPT,
    DEFLATER_TOO_LONG, /* found while decompressing: never more than `maximum` is held */
    DEFLATER_NO_MEMORY,
};

/* Decompresses a whole message; `*out` is the caller's to free when the result is good. */
enum deflater_result deflater_inflate(struct deflater *deflater, struct str bytes,
                                      size_t maximum, uint8_t **out, size_t *out_size);

/* The `size` bytes that a gzip file stands for, into `out`; false when it is something else. */
bool deflater_gunzip(struct str file, uint8_t *out, size_t size);

#endif
