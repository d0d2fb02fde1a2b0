/*
 * str: a slice of bytes that somebody else owns, with its length.
 *
 * Callers   everybody.
 * Owner     never owns: a slice is valid as long as the bytes it points into.
 * Units     bytes. Not NUL-terminated; may hold NULs.
 * Errors    none.
 */
#ifndef SKUA_BASE_STR_H
#define SKUA_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct str {
    const char *at;
    size_t size;
};

/* A string literal as a slice; the empty slice has a pointer too, so memcpy is always legal. */
#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})

static inline struct str str_from(const char *text)
{
    return (struct str){text, strlen(text)};
}

static inline struct str str_of(const void *at, size_t size)
{
    return (struct str){at ? at : "", size};
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.size == b.size && memcmp(a.at, b.at, a.size) == 0;
}

static inline bool str_starts(struct str text, struct str prefix)
{
    return text.size >= prefix.size && memcmp(text.at, prefix.at, prefix.size) == 0;
}

/* ASCII case is ignored: header names and tokens of HTTP. */
bool str_equal_nocase(struct str a, struct str b);

/* `text` from `start` on; empty when start is past the end. */
static inline struct str str_from_index(struct str text, size_t start)
{
    return start < text.size ? (struct str){text.at + start, text.size - start}
                             : (struct str){text.at + text.size, 0};
}

/* Without spaces and tabs at both ends. */
struct str str_trim(struct str text);

/* A NUL-terminated copy (malloc), or NULL when out of memory. */
char *str_dup(struct str text);

#endif
