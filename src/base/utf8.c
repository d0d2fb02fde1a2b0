#include "base/utf8.h"

/*
 * The state between two pieces of text: how many continuation bytes are still due, and the range
 * that the next one must lie in (narrower than 80..BF right behind E0, ED, F0 and F4, which is
 * what keeps overlong forms, surrogates and code points past U+10FFFF out).
 */
static uint32_t state_of(uint32_t due, uint32_t low, uint32_t high)
{
    return due << 16 | low << 8 | high;
}

/* The state behind a first byte. */
static uint32_t begin(uint8_t byte)
{
    if (byte < 0x80)
        return UTF8_START;
    if (byte < 0xc2 || byte > 0xf4)
        return UTF8_BROKEN;
    if (byte < 0xe0)
        return state_of(1, 0x80, 0xbf);
    if (byte < 0xf0)
        return state_of(2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf);
    return state_of(3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf);
}

static uint32_t step(uint32_t state, uint8_t byte)
{
    if (state == UTF8_START)
        return begin(byte);
    if (byte < (state >> 8 & 0xff) || byte > (state & 0xff))
        return UTF8_BROKEN;
    return state >> 16 == 1 ? (uint32_t)UTF8_START : state_of((state >> 16) - 1, 0x80, 0xbf);
}

/* How many bytes at the front are ASCII, a multiple of 8. */
static size_t skip_ascii(const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= 8) {
        uint64_t word;
        memcpy(&word, bytes + at, 8);
        if (word & UINT64_C(0x8080808080808080))
            break;
        at += 8;
    }
    return at;
}

uint32_t utf8_feed(uint32_t state, const void *bytes, size_t size)
{
    const uint8_t *in = bytes;
    size_t at = 0;

    if (state == UTF8_BROKEN)
        return state;
    while (at < size) {
        if (state == UTF8_START) {
            at += skip_ascii(in + at, size - at);
            if (at == size)
                break;
        }
        state = step(state, in[at++]);
        if (state == UTF8_BROKEN)
            break;
    }
    return state;
}

bool utf8_valid(const void *bytes, size_t size)
{
    return utf8_complete(utf8_feed(UTF8_START, bytes, size));
}

bool utf8_repair(struct buf *to, struct str text)
{
    static const char replacement[] = "\xef\xbf\xbd";
    const uint8_t *in = (const uint8_t *)text.at;
    size_t good = 0; /* everything before has been decided */
    size_t start = 0;
    size_t at = 0;
    uint32_t state = UTF8_START;

    while (at < text.size) {
        uint32_t next = step(state, in[at]);
        if (next != UTF8_BROKEN) {
            at++;
            if (next == UTF8_START)
                start = at;
            state = next;
            continue;
        }
        /* One replacement for the maximal part; the byte that broke it may begin a character. */
        buf_add(to, text.at + good, start - good);
        buf_add(to, replacement, 3);
        if (state == UTF8_START)
            at++;
        good = start = at;
        state = UTF8_START;
    }
    buf_add(to, text.at + good, start - good);
    if (state != UTF8_START)
        buf_add(to, replacement, 3);
    return !buf_failed(to);
}

size_t utf8_encode(char to[4], uint32_t code_point)
{
    if (code_point < 0x80) {
        to[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        to[0] = (char)(0xc0 | code_point >> 6);
        to[1] = (char)(0x80 | (code_point & 63));
        return 2;
    }
    if (code_point < 0x10000) {
        to[0] = (char)(0xe0 | code_point >> 12);
        to[1] = (char)(0x80 | (code_point >> 6 & 63));
        to[2] = (char)(0x80 | (code_point & 63));
        return 3;
    }
    to[0] = (char)(0xf0 | code_point >> 18);
    to[1] = (char)(0x80 | (code_point >> 12 & 63));
    to[2] = (char)(0x80 | (code_point >> 6 & 63));
    to[3] = (char)(0x80 | (code_point & 63));
    return 4;
}

static bool begins_character(char byte)
{
    return ((unsigned char)byte & 0xc0) != 0x80;
}

static bool begins_pair(char byte)
{
    return (unsigned char)byte >= 0xf0;
}

size_t utf8_utf16_units(struct str text)
{
    size_t units = 0;

    for (size_t i = 0; i < text.size; i++)
        units += (size_t)begins_character(text.at[i]) + begins_pair(text.at[i]);
    return units;
}

size_t utf8_utf16_prefix(struct str text, size_t units)
{
    size_t i = 0, counted = 0;

    while (counted < units && i < text.size) {
        counted += begins_pair(text.at[i]) ? 2 : 1;
        do
            i++;
        while (i < text.size && !begins_character(text.at[i]));
    }
    return counted == units ? i : SIZE_MAX;
}
