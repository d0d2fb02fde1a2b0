/*
 * buf: bytes that grow, up to a maximum that is told at birth.
 *
 * Callers   everybody who builds or collects bytes of unknown length.
 * Owner     whoever embeds the struct; buf_free() releases the bytes, buf_steal() hands them on.
 * Threads   one at a time.
 * Units     bytes.
 * Errors    appending past the maximum or without memory sets `failed`, drops what was to be
 *           added and returns false; later appends then fail too. So a writer may append many
 *           times and look at buf_failed() once at the end. Nothing is ever truncated silently.
 */
#ifndef SKUA_BASE_BUF_H
#define SKUA_BASE_BUF_H

#include "base/str.h"

#include <stdint.h>

struct buf {
    char *at;
    size_t size;
    size_t capacity;
    size_t maximum;
    bool failed;
};

void buf_init(struct buf *buf, size_t maximum);
void buf_free(struct buf *buf);

/* Empties and clears `failed`, keeps the memory. */
void buf_reset(struct buf *buf);

bool buf_add(struct buf *buf, const void *bytes, size_t size);
bool buf_add_str(struct buf *buf, struct str text);
bool buf_add_byte(struct buf *buf, char byte);
bool buf_add_u64(struct buf *buf, uint64_t decimal);
bool buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Room for `size` more bytes, uninitialised, counted as added; NULL on failure. */
char *buf_extend(struct buf *buf, size_t size);

/* Removes the first `size` bytes. */
void buf_consume(struct buf *buf, size_t size);

/* The bytes, NUL-terminated behind the size, now the caller's to free(); the buf is empty. NULL
 * when the buf has failed. */
char *buf_steal(struct buf *buf, size_t *size);

static inline struct str buf_str(const struct buf *buf)
{
    return str_of(buf->at, buf->size);
}

static inline bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}

#endif
