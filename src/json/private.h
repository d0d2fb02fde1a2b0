/*
 * json/private: what the files of json share.
 *
 * Callers   json only.
 */
#ifndef SKUA_JSON_PRIVATE_H
#define SKUA_JSON_PRIVATE_H

#include "json/json.h"

#include <endian.h>

/* Each byte of `eight` that ends a run of plain characters in a string (a quote, a backslash or a
 * control character) has its top bit set in the result. Only the lowest one set is sure: borrows
 * may set bits above it. */
static inline uint64_t json_special_bytes(uint64_t eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = eight ^ (ones * '"');
    uint64_t backslash = eight ^ (ones * '\\');

    return (((quote - ones) & ~quote) | ((backslash - ones) & ~backslash) |
            ((eight - ones * ' ') & ~eight)) &
           (ones << 7);
}

/* Eight bytes with the first one lowest, so that the lowest bit set is the first in the text. */
static inline uint64_t json_load_eight(const char *at)
{
    uint64_t eight;

    memcpy(&eight, at, sizeof(eight));
    return le64toh(eight);
}

static inline bool json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The canonical spelling of an array index (0 to 4294967294), as JavaScript orders such keys
 * before all others. */
bool json_key_index(struct str key, uint32_t *index);

#endif
