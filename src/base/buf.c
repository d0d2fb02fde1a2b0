#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    BUF_FIRST = 64, /* bytes of the first allocation */
};

void buf_init(struct buf *buf, size_t maximum)
{
    *buf = (struct buf){.maximum = maximum};
}

void buf_free(struct buf *buf)
{
    free(buf->at);
    buf_init(buf, buf->maximum);
}

void buf_reset(struct buf *buf)
{
    buf->size = 0;
    buf->failed = false;
}

/* One byte more than asked is kept, so that buf_steal() can end the text with a NUL. */
static bool reserve(struct buf *buf, size_t size)
{
    size_t capacity = buf->capacity;

    if (buf->failed || size > buf->maximum - buf->size) {
        buf->failed = true;
        return false;
    }
    if (buf->size + size < capacity)
        return true;
    if (capacity < BUF_FIRST)
        capacity = BUF_FIRST;
    while (capacity <= buf->size + size) {
        if (capacity > SIZE_MAX / 2) {
            buf->failed = true;
            return false;
        }
        capacity *= 2;
    }
    if (buf->maximum < SIZE_MAX && capacity > buf->maximum + 1)
        capacity = buf->maximum + 1;

    char *grown = realloc(buf->at, capacity);
    if (!grown) {
        buf->failed = true;
        return false;
    }
    buf->at = grown;
    buf->capacity = capacity;
    return true;
}

char *buf_extend(struct buf *buf, size_t size)
{
    if (!reserve(buf, size))
        return NULL;

    char *added = buf->at + buf->size;
    buf->size += size;
    return added;
}

bool buf_add(struct buf *buf, const void *bytes, size_t size)
{
    if (!reserve(buf, size))
        return false;
    if (size > 0)
        memcpy(buf->at + buf->size, bytes, size);
    buf->size += size;
    return true;
}

bool buf_add_str(struct buf *buf, struct str text)
{
    return buf_add(buf, text.at, text.size);
}

bool buf_add_byte(struct buf *buf, char byte)
{
    if (!reserve(buf, 1))
        return false;
    buf->at[buf->size++] = byte;
    return true;
}

bool buf_add_u64(struct buf *buf, uint64_t decimal)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + decimal % 10);
        decimal /= 10;
    } while (decimal > 0);
    return buf_add(buf, digits + at, sizeof(digits) - at);
}

bool buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    bool good = size >= 0 && reserve(buf, (size_t)size);
    if (good) {
        vsnprintf(buf->at + buf->size, (size_t)size + 1, format, again);
        buf->size += (size_t)size;
    }
    va_end(again);
    buf->failed = buf->failed || !good;
    return good;
}

void buf_consume(struct buf *buf, size_t size)
{
    assert(size <= buf->size);
    if (size > 0)
        memmove(buf->at, buf->at + size, buf->size - size);
    buf->size -= size;
}

char *buf_steal(struct buf *buf, size_t *size)
{
    if (!reserve(buf, 0)) {
        buf_free(buf);
        return NULL;
    }

    char *bytes = buf->at;
    bytes[buf->size] = '\0';
    if (size)
        *size = buf->size;
    buf_init(buf, buf->maximum);
    return bytes;
}
