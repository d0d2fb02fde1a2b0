/*
 * base64: encoding, and the decoding that Node's Buffer does.
 *
 * Callers   engineio (binary over polling), net (WebSocket accept key), random ids.
 * Units     bytes.
 * Errors    none: decoding accepts anything, as the reference does (engine-io.md, 5): both
 *           alphabets, unknown characters skipped, padding optional, the first '=' ends it.
 */
#ifndef SKUA_BASE_BASE64_H
#define SKUA_BASE_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Characters of the padded encoding of `size` bytes. */
static inline size_t base64_encoded_size(size_t size)
{
    return (size + 2) / 3 * 4;
}

/* Writes exactly base64_encoded_size(size) characters, no NUL. */
void base64_encode(char *to, const void *bytes, size_t size);

/* Writes at most size / 4 * 3 + 3 bytes and returns how many. `to` may equal `text`. */
size_t base64_decode(uint8_t *to, const char *text, size_t size);

#endif
