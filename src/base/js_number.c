#include "base/js_number.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

size_t js_space(const char *at, const char *end)
{
    const uint8_t *byte = (const uint8_t *)at;

    if (at == end)
        return 0;
    if (byte[0] < 0x80)
        return byte[0] == ' ' || (byte[0] >= '\t' && byte[0] <= '\r') ? 1 : 0;
    if (end - at >= 2 && byte[0] == 0xc2)
        return byte[1] == 0xa0 ? 2 : 0; /* U+00A0 */
    if (end - at < 3)
        return 0;

    uint32_t code = (uint32_t)byte[0] << 16 | (uint32_t)byte[1] << 8 | byte[2];
    switch (code) {
    case 0xe19a80: /* U+1680 */
    case 0xe280a8: /* U+2028 */
    case 0xe280a9: /* U+2029 */
    case 0xe280af: /* U+202F */
    case 0xe2819f: /* U+205F */
    case 0xe38080: /* U+3000 */
    case 0xefbbbf: /* U+FEFF */
        return 3;
    default:
        return code >= 0xe28080 && code <= 0xe2808a ? 3 : 0; /* U+2000-200A */
    }
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

const char *js_skip_spaces(const char *at, const char *end)
{
    size_t width;

    while ((width = js_space(at, end)) > 0)
        at += width;
    return at;
}

/* "0x1F" behind its prefix; NaN when a digit is none of the radix. */
static double radix_value(const char *at, const char *end, int radix)
{
    double value = 0;

    if (at == end)
        return NAN;
    for (; at < end; at++) {
        char lower = (char)(*at | 0x20);
        int digit = is_digit(*at)                  ? *at - '0'
                    : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10
                                                   : 99;

        if (digit >= radix)
            return NAN;
        value = value * radix + digit;
    }
    return value;
}

/* The end of a signed decimal literal at `at`, or NULL when there is none. */
static const char *decimal_end(const char *at, const char *end)
{
    const char *start;
    size_t digits;

    if (at < end && (*at == '+' || *at == '-'))
        at++;
    for (start = at; at < end && is_digit(*at); at++)
        ;
    digits = (size_t)(at - start);
    if (at < end && *at == '.') {
        for (start = ++at; at < end && is_digit(*at); at++)
            ;
        digits += (size_t)(at - start);
    }
    if (digits == 0)
        return NULL;
    if (at < end && (*at | 0x20) == 'e') {
        at++;
        if (at < end && (*at == '+' || *at == '-'))
            at++;
        for (start = at; at < end && is_digit(*at); at++)
            ;
        if (at == start)
            return NULL;
    }
    return at;
}

double js_number(struct str text)
{
    const char *end = text.at + text.size;
    const char *at = js_skip_spaces(text.at, end);
    const char *stop = at;

    while (stop < end && !js_space(stop, end))
        stop++;
    if (js_skip_spaces(stop, end) != end)
        return NAN;
    if (at == stop)
        return 0;

    if (stop - at >= 2 && at[0] == '0' && !is_digit(at[1])) {
        switch (at[1] | 0x20) {
        case 'x':
            return radix_value(at + 2, stop, 16);
        case 'o':
            return radix_value(at + 2, stop, 8);
        case 'b':
            return radix_value(at + 2, stop, 2);
        default:
            break;
        }
    }
    return decimal_end(at, stop) == stop ? strtod(at, NULL) : NAN;
}
