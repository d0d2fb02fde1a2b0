#include "json/json.h"
#include "json/private.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- strings --------------------------------------------------------------------------------- */

enum {
    HIGH_BITS = 0x80,
};

static const struct str REPLACEMENT = {"\xef\xbf\xbd", 3};

/* Where plain ASCII ends: at a byte that needs an escape or starts a longer sequence. */
static const char *ascii_end(const char *at, const char *end)
{
    const uint64_t high = UINT64_C(0x0101010101010101) * HIGH_BITS;

    while (end - at >= 8) {
        uint64_t eight = json_load_eight(at);
        uint64_t special = json_special_bytes(eight) | (eight & high);
        if (special)
            return at + __builtin_ctzll(special) / 8;
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' ' &&
           (unsigned char)*at < HIGH_BITS)
        at++;
    return at;
}

struct sequence {
    uint8_t size; /* of the character, or of what one U+FFFD stands for */
    bool legal;   /* UTF-8, or a surrogate as WTF-8 has it */
    bool surrogate;
};

/* A sequence of two bytes or more. Ill-formed ones are cut as WHATWG's decoder does: as far as
 * a character could have begun so. */
static struct sequence read_sequence(const char *text, const char *end)
{
    const uint8_t *at = (const uint8_t *)text;
    size_t left = (size_t)(end - text);
    uint8_t low = 0x80, high = 0xbf; /* of the second byte */
    uint8_t size;

    if (at[0] < 0xc2 || at[0] > 0xf4)
        return (struct sequence){1, false, false};
    size = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    if (at[0] == 0xe0)
        low = 0xa0;
    if (at[0] == 0xf0)
        low = 0x90;
    if (at[0] == 0xf4)
        high = 0x8f;
    if (left < 2 || at[1] < low || at[1] > high)
        return (struct sequence){1, false, false};
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    for (uint8_t i = 2; i < size; i++) {
        if (i >= left || at[i] < 0x80 || at[i] > 0xbf)
            return (struct sequence){surrogate ? 1 : i, false, false};
    }
    return (struct sequence){size, true, surrogate};
}

static void write_unit(struct buf *to, unsigned unit)
{
    static const char hex[] = "0123456789abcdef";
    const char text[6] = {
        '\\', 'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};

    buf_add(to, text, sizeof(text));
}

static void write_escape(struct buf *to, char c)
{
    static const char bytes[] = "\"\\\b\f\n\r\t";
    static const char names[] = "\"\\bfnrt";
    const char *found = memchr(bytes, c, sizeof(bytes) - 1);

    if (found) {
        const char text[2] = {'\\', names[found - bytes]};
        buf_add(to, text, sizeof(text));
    } else {
        write_unit(to, (unsigned char)c);
    }
}

static unsigned unit_of(const char *surrogate)
{
    return 0xd000 | (surrogate[1] & 0x3fU) << 6 | (surrogate[2] & 0x3fU);
}

/* A lone surrogate is escaped; two halves that meet are a character, as in JavaScript's strings. Returns
 * how many bytes that were. */
static size_t write_surrogate(struct buf *to, const char *at, const char *end)
{
    unsigned high = unit_of(at), low, point;

    if (high >= 0xdc00 || end - at < 6 || (uint8_t)at[3] != 0xed || (uint8_t)at[4] < 0xb0 ||
        !read_sequence(at + 3, end).surrogate) {
        write_unit(to, high);
        return 3;
    }
    low = unit_of(at + 3);
    point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    const char character[4] = {
        (char)(0xf0 | point >> 18),
        (char)(HIGH_BITS | (point >> 12 & 0x3f)),
        (char)(HIGH_BITS | (point >> 6 & 0x3f)),
        (char)(HIGH_BITS | (point & 0x3f)),
    };
    buf_add(to, character, sizeof(character));
    return 6;
}

/* What is not to be copied as it is; returns how many bytes that were. */
static size_t write_special(struct buf *to, const char *at, const char *end,
                            struct sequence sequence)
{
    if (sequence.surrogate)
        return write_surrogate(to, at, end);
    if (sequence.size == 1 && (unsigned char)*at < HIGH_BITS)
        write_escape(to, *at);
    else
        buf_add_str(to, REPLACEMENT);
    return sequence.size;
}

bool json_write_string(struct buf *to, struct str text)
{
    const char *at = text.at;
    const char *end = at + text.size;
    const char *run = at; /* what may be copied since then */

    buf_add_byte(to, '"');
    while ((at = ascii_end(at, end)) < end) {
        struct sequence sequence = {1, false, false};
        if ((unsigned char)*at >= HIGH_BITS)
            sequence = read_sequence(at, end);
        if (!sequence.legal || sequence.surrogate) {
            buf_add(to, run, (size_t)(at - run));
            at += write_special(to, at, end, sequence);
            run = at;
        } else {
            at += sequence.size;
        }
    }
    buf_add(to, run, (size_t)(end - run));
    return buf_add_byte(to, '"');
}

/* --- numbers --------------------------------------------------------------------------------- */

enum {
    DIGITS_MAX = 17, /* always enough to read the same double back */
    DIGITS_SURE =
        15,         /* fewer digits need no try: rounding to 15 finds them, with zeros behind */
    POINT_MAX = 21, /* from where on JavaScript writes an exponent */
    POINT_MIN = -6, /* and down to where it does not */
};

/* 0.digits × 10^point, as ECMA-262 Number::toString has it (its k and n) */
struct digits {
    char at[DIGITS_MAX + 1];
    int count;
    int point;
};

static bool reads_back(const struct digits *digits, double number)
{
    char text[DIGITS_MAX + 16];

    snprintf(text, sizeof(text), "%.*se%d", digits->count, digits->at,
             digits->point - digits->count);
    return strtod(text, NULL) == number;
}

/* The locale may spell the point in any way: only digits are taken. */
static void round_to(struct digits *digits, double number, int count)
{
    char text[DIGITS_MAX + 32];

    snprintf(text, sizeof(text), "%.*e", count - 1, number);
    const char *exponent = strchr(text, 'e');
    digits->count = 0;
    for (const char *at = text; at < exponent; at++) {
        if (*at >= '0' && *at <= '9')
            digits->at[digits->count++] = *at;
    }
    digits->point = (int)strtol(exponent + 1, NULL, 10) + 1;
}

/* The next one up with as many digits. False when it would need one more. */
static bool step_up(struct digits *digits)
{
    int i = digits->count - 1;

    while (i >= 0 && digits->at[i] == '9')
        digits->at[i--] = '0';
    if (i < 0)
        return false;
    digits->at[i]++;
    return true;
}

/* Doubles lie twice as close below a power of two as above it, so that the nearest decimal may
 * read back as another double and the next one above does not. */
static bool next_reads_back(struct digits *digits, double number)
{
    int exponent;

    return frexp(number, &exponent) == 0.5 && step_up(digits) && reads_back(digits, number);
}

static void shortest(struct digits *digits, double number)
{
    int count = number < DBL_MIN ? 1 : DIGITS_SURE;

    for (; count < DIGITS_MAX; count++) {
        round_to(digits, number, count);
        if (reads_back(digits, number) || next_reads_back(digits, number))
            break;
    }
    if (count == DIGITS_MAX)
        round_to(digits, number, count);
    while (digits->count > 1 && digits->at[digits->count - 1] == '0')
        digits->count--;
}

static void write_zeros(struct buf *to, int count)
{
    while (count-- > 0)
        buf_add_byte(to, '0');
}

static void write_exponent_form(struct buf *to, const struct digits *digits)
{
    int exponent = digits->point - 1;

    buf_add_byte(to, digits->at[0]);
    if (digits->count > 1) {
        buf_add_byte(to, '.');
        buf_add(to, digits->at + 1, (size_t)digits->count - 1);
    }
    buf_add(to, exponent < 0 ? "e-" : "e+", 2);
    buf_add_u64(to, (uint64_t)abs(exponent));
}

static void write_digits(struct buf *to, const struct digits *digits)
{
    int point = digits->point;

    if (point > POINT_MAX || point <= POINT_MIN) {
        write_exponent_form(to, digits);
    } else if (point <= 0) {
        buf_add_str(to, STR("0."));
        write_zeros(to, -point);
        buf_add(to, digits->at, (size_t)digits->count);
    } else if (point >= digits->count) {
        buf_add(to, digits->at, (size_t)digits->count);
        write_zeros(to, point - digits->count);
    } else {
        buf_add(to, digits->at, (size_t)point);
        buf_add_byte(to, '.');
        buf_add(to, digits->at + point, (size_t)(digits->count - point));
    }
}

bool json_write_double(struct buf *to, double number)
{
    struct digits digits;

    if (!isfinite(number))
        return buf_add_str(to, STR("null"));
    if (fabs(number) < 0x1p53 && number == (double)(int64_t)number)
        return json_write_int(to, (int64_t)number);
    if (number < 0)
        buf_add_byte(to, '-');
    shortest(&digits, fabs(number));
    write_digits(to, &digits);
    return !buf_failed(to);
}

bool json_write_int(struct buf *to, int64_t number)
{
    if (number < 0)
        buf_add_byte(to, '-');
    return buf_add_u64(to, number < 0 ? -(uint64_t)number : (uint64_t)number);
}
