#include "json/json.h"
#include "json/private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    /* More than can decide how a number rounds (767 for binary64): of the digits behind them it
     * matters only whether one is not zero, which the last place then says. */
    DIGITS_MAX = 800,
    EXPONENT_MAX = 1000000, /* far over what any exponent needs to reach zero or infinity */
    EXACT_DIGITS = 15,      /* integers of so many digits are doubles, */
    EXACT_EXPONENT = 22,    /* and so are powers of ten */
};

enum json_type json_type_of(struct str raw)
{
    assert(raw.size > 0);
    switch (raw.at[0]) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* --- strings --------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of a \u escape, or -1. */
static int32_t hex_unit(const char *at, const char *end)
{
    int32_t unit = 0;

    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/* Also of surrogates, which WTF-8 writes like any other code point. */
static bool add_code_point(struct buf *to, uint32_t c)
{
    char bytes[4];
    size_t size = 0;

    if (c < 0x80) {
        bytes[size++] = (char)c;
    } else if (c < 0x800) {
        bytes[size++] = (char)(0xc0 | c >> 6);
        bytes[size++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        bytes[size++] = (char)(0xe0 | c >> 12);
        bytes[size++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[size++] = (char)(0x80 | (c & 0x3f));
    } else {
        bytes[size++] = (char)(0xf0 | c >> 18);
        bytes[size++] = (char)(0x80 | (c >> 12 & 0x3f));
        bytes[size++] = (char)(0x80 | (c >> 6 & 0x3f));
        bytes[size++] = (char)(0x80 | (c & 0x3f));
    }
    return buf_add(to, bytes, size);
}

/* Behind "\u"; takes the second half of a pair too. Returns what follows, or NULL. */
static const char *decode_unicode(struct buf *to, const char *at, const char *end)
{
    int32_t unit = hex_unit(at, end);
    uint32_t code_point = (uint32_t)unit;

    if (unit < 0)
        return NULL;
    at += 4;
    if (unit >= 0xd800 && unit <= 0xdbff && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
        int32_t low = hex_unit(at + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            code_point = 0x10000 + ((uint32_t)(unit - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
            at += 6;
        }
    }
    return add_code_point(to, code_point) ? at : NULL;
}

/* Behind the backslash. Returns what follows, or NULL. */
static const char *decode_escape(struct buf *to, const char *at, const char *end)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";

    if (at == end)
        return NULL;
    if (*at == 'u')
        return decode_unicode(to, at + 1, end);
    const char *name = memchr(names, *at, sizeof(names) - 1);
    if (!name || !buf_add_byte(to, bytes[name - names]))
        return NULL;
    return at + 1;
}

bool json_string_decode(struct buf *to, struct str raw)
{
    if (raw.size < 2 || raw.at[0] != '"' || raw.at[raw.size - 1] != '"')
        return false;
    const char *at = raw.at + 1;
    const char *end = raw.at + raw.size - 1;
    for (;;) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        if (!escape)
            return buf_add(to, at, (size_t)(end - at));
        if (!buf_add(to, at, (size_t)(escape - at)))
            return false;
        at = decode_escape(to, escape + 1, end);
        if (!at)
            return false;
    }
}

bool json_key_index(struct str key, uint32_t *index)
{
    uint64_t value = 0;

    if (key.size == 0 || key.size > 10 || (key.at[0] == '0' && key.size > 1))
        return false;
    for (size_t i = 0; i < key.size; i++) {
        if (key.at[i] < '0' || key.at[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(key.at[i] - '0');
    }
    *index = (uint32_t)value;
    return value < UINT32_MAX;
}

/* --- numbers --------------------------------------------------------------------------------- */

/* digits × 10^exponent */
struct decimal {
    char digits[DIGITS_MAX];
    size_t count;
    int64_t exponent;
    bool negative;
};

static void add_digit(struct decimal *decimal, char c, bool fraction)
{
    if (decimal->count == 0 && c == '0') {
        decimal->exponent -= fraction;
    } else if (decimal->count < DIGITS_MAX) {
        decimal->digits[decimal->count++] = c;
        decimal->exponent -= fraction;
    } else {
        if (c != '0')
            decimal->digits[DIGITS_MAX - 1] = '1';
        decimal->exponent += !fraction;
    }
}

static int64_t read_exponent(struct str text)
{
    bool negative = text.size > 0 && text.at[0] == '-';
    int64_t exponent = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] >= '0' && text.at[i] <= '9' && exponent < INT64_MAX / 100)
            exponent = exponent * 10 + (text.at[i] - '0');
    }
    return negative ? -exponent : exponent;
}

static void read_decimal(struct decimal *decimal, struct str raw)
{
    bool fraction = false;

    decimal->count = 0;
    decimal->exponent = 0;
    decimal->negative = raw.at[0] == '-';
    for (size_t i = decimal->negative; i < raw.size; i++) {
        char c = raw.at[i];
        if (c == '.') {
            fraction = true;
        } else if (c == 'e' || c == 'E') {
            decimal->exponent += read_exponent(str_from_index(raw, i + 1));
            break;
        } else {
            add_digit(decimal, c, fraction);
        }
    }
}

/* Digits and powers of ten that are doubles give the right result in one operation. */
static bool exact_real(const struct decimal *decimal, double *real)
{
    static const double powers[EXACT_EXPONENT + 1] = {
        1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
        1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
    };
    int64_t digits = 0;

    if (decimal->count > EXACT_DIGITS || decimal->exponent < -EXACT_EXPONENT ||
        decimal->exponent > EXACT_EXPONENT)
        return false;
    for (size_t i = 0; i < decimal->count; i++)
        digits = digits * 10 + (decimal->digits[i] - '0');
    if (decimal->exponent < 0)
        *real = (double)digits / powers[-decimal->exponent];
    else
        *real = (double)digits * powers[decimal->exponent];
    return true;
}

/* strtod() is given no decimal point, which the locale could spell in another way. */
static double real_of(struct decimal *decimal)
{
    char text[DIGITS_MAX + 32];
    int64_t exponent = decimal->exponent;
    double real = 0;

    if (decimal->count > 0 && !exact_real(decimal, &real)) {
        if (exponent > EXPONENT_MAX)
            exponent = EXPONENT_MAX;
        if (exponent < -EXPONENT_MAX)
            exponent = -EXPONENT_MAX;
        snprintf(text, sizeof(text), "%.*se%d", (int)decimal->count, decimal->digits,
                 (int)exponent);
        real = strtod(text, NULL);
    }
    return decimal->negative ? -real : real;
}

static bool read_integer(struct str raw, int64_t *integer)
{
    bool negative = raw.at[0] == '-';
    int64_t value = 0;

    for (size_t i = negative; i < raw.size; i++) {
        int digit = raw.at[i] - '0';
        if (digit < 0 || digit > 9)
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            (negative ? __builtin_sub_overflow(value, digit, &value)
                      : __builtin_add_overflow(value, digit, &value)))
            return false;
    }
    *integer = value;
    return value != 0 || !negative;
}

bool json_number_decode(struct str raw, int64_t *integer, double *real)
{
    struct decimal decimal;

    assert(raw.size > 0);
    if (read_integer(raw, integer))
        return true;
    read_decimal(&decimal, raw);
    *real = real_of(&decimal);
    return false;
}
