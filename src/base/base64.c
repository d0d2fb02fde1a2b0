#include "base/base64.h"

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(char *to, const void *bytes, size_t size)
{
    const uint8_t *in = bytes;

    for (; size >= 3; size -= 3, in += 3) {
        uint32_t group = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *to++ = alphabet[group >> 18];
        *to++ = alphabet[group >> 12 & 63];
        *to++ = alphabet[group >> 6 & 63];
        *to++ = alphabet[group & 63];
    }
    if (size == 0)
        return;

    uint32_t group = (uint32_t)in[0] << 16 | (size == 2 ? (uint32_t)in[1] << 8 : 0);
    *to++ = alphabet[group >> 18];
    *to++ = alphabet[group >> 12 & 63];
    *to++ = size == 2 ? alphabet[group >> 6 & 63] : '=';
    *to = '=';
}

/* The six bits of a character, -1 for one that is skipped. */
static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

size_t base64_decode(uint8_t *to, const char *text, size_t size)
{
    uint32_t group = 0;
    int have = 0;
    uint8_t *out = to;

    for (size_t i = 0; i < size && text[i] != '='; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            continue;
        group = group << 6 | (uint32_t)value;
        if (++have < 4)
            continue;
        *out++ = (uint8_t)(group >> 16);
        *out++ = (uint8_t)(group >> 8);
        *out++ = (uint8_t)group;
        group = 0;
        have = 0;
    }
    if (have >= 2)
        *out++ = (uint8_t)(group >> (have == 2 ? 4 : 10));
    if (have == 3)
        *out++ = (uint8_t)(group >> 2);
    return (size_t)(out - to);
}
