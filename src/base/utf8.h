/*
 * utf8: validation as RFC 3629 says (no surrogates, no overlong forms, at most U+10FFFF), whole
 * or in pieces, and the repair that WHATWG decoders do.
 *
 * Callers   net/ws (text messages, close reasons), engineio (bodies, query strings), json.
 * Errors    in the return values.
 */
#ifndef SKUA_BASE_UTF8_H
#define SKUA_BASE_UTF8_H

#include "base/buf.h"

/* ASCII is checked 8 bytes a step: most traffic is ASCII. */
bool utf8_valid(const void *bytes, size_t size);

/* Incremental: start with state 0 (UTF8_START). A character may be cut anywhere. */
enum {
    UTF8_START = 0,
    UTF8_BROKEN = UINT32_MAX,
};
uint32_t utf8_feed(uint32_t state, const void *bytes, size_t size);

/* Whether the text may end here: no character is half read. */
static inline bool utf8_complete(uint32_t state)
{
    return state == UTF8_START;
}

/* Appends `text` with each ill-formed part replaced by U+FFFD, in the WHATWG way (maximal
 * subparts), as Node's Buffer.toString() does. */
bool utf8_repair(struct buf *to, struct str text);

/* How many UTF-16 code units valid text has: JavaScript's length. */
size_t utf8_utf16_units(struct str text);

/* The bytes that hold the first `units` code units of valid text; SIZE_MAX when there are fewer, or
 * when the cut would part a surrogate pair. */
size_t utf8_utf16_prefix(struct str text, size_t units);

/* Writes the encoding of a code point (1 to 4 bytes) and returns its length. */
size_t utf8_encode(char to[4], uint32_t code_point);

#endif
