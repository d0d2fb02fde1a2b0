#include "msgpack/msgpack.h"

#include <math.h>
#include <stdlib.h>

enum {
    FIRST_BINS = 4,
    DATE_SIZE = 8, /* bytes of the extension that is a date */
    MS_A_DAY = 24 * 60 * 60 * 1000,
};

static const double DATE_LIMIT_MS = 8.64e15; /* ECMA-262, 21.4.1.1 */

struct conversion {
    struct msgpack_reader *reader;
    struct buf *json;
    struct msgpack_bins *bins;
    enum msgpack_fault fault;
};

static bool fail(struct conversion *conversion, enum msgpack_fault fault)
{
    conversion->fault = fault;
    return false;
}

/* --- binary values ----------------------------------------------------------------------------- */

static bool keep_bin(struct conversion *conversion, struct str bytes)
{
    struct msgpack_bins *bins = conversion->bins;

    if (bins->count == bins->maximum)
        return fail(conversion, MSGPACK_TOO_MANY_BINS);
    /* The list has a power of two of places, from FIRST_BINS on. */
    if (bins->count == 0 ||
        (bins->count >= FIRST_BINS && (bins->count & (bins->count - 1)) == 0)) {
        size_t places = bins->count ? (size_t)bins->count * 2 : FIRST_BINS;
        struct str *grown = realloc(bins->at, places * sizeof(*grown));

        if (!grown)
            return fail(conversion, MSGPACK_NO_MEMORY);
        bins->at = grown;
    }
    bins->at[bins->count++] = bytes;
    return true;
}

static bool write_bin(struct conversion *conversion, struct str bytes)
{
    uint32_t number = conversion->bins->count;

    if (!keep_bin(conversion, bytes))
        return false;
    buf_add_str(conversion->json, STR("{\"_placeholder\":true,\"num\":"));
    buf_add_u64(conversion->json, number);
    return buf_add_byte(conversion->json, '}');
}

/* --- extensions -------------------------------------------------------------------------------- */

/* The civil date of a day counted from 1970-01-01, of the proleptic Gregorian calendar: years are
 * counted from March, so that the leap day is the last of its year. */
static void civil_date(int64_t day, int64_t *year, unsigned *month, unsigned *of_month)
{
    enum { ERA_DAYS = 146097, EPOCH_DAY = 719468 };
    int64_t shifted = day + EPOCH_DAY;
    int64_t era = (shifted >= 0 ? shifted : shifted - (ERA_DAYS - 1)) / ERA_DAYS;
    unsigned of_era = (unsigned)(shifted - era * ERA_DAYS);
    unsigned of_years = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    unsigned of_year = of_era - (365 * of_years + of_years / 4 - of_years / 100);
    unsigned march = (5 * of_year + 2) / 153;

    *of_month = of_year - (153 * march + 2) / 5 + 1;
    *month = march < 10 ? march + 3 : march - 9;
    *year = (int64_t)of_years + era * 400 + (*month <= 2);
}

static uint64_t big_endian(struct str bytes)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < bytes.size; i++)
        bits = bits << 8 | (uint8_t)bytes.at[i];
    return bits;
}

/* As Date.prototype.toJSON. */
static bool write_date(struct buf *json, int64_t ms)
{
    int64_t day, year;
    unsigned month, of_month, left;

    if (fabs((double)ms) > DATE_LIMIT_MS)
        return buf_add_str(json, STR("null"));
    day = (ms >= 0 ? ms : ms - (MS_A_DAY - 1)) / MS_A_DAY;
    left = (unsigned)(ms - day * MS_A_DAY);
    civil_date(day, &year, &month, &of_month);
    const char *form = year >= 0 && year <= 9999 ? "\"%04lld" : "\"%+07lld";
    buf_printf(json, form, (long long)year);
    return buf_printf(json, "-%02u-%02uT%02u:%02u:%02u.%03uZ\"", month, of_month,
                      left / 3600000, left / 60000 % 60, left / 1000 % 60, left % 1000);
}

/* The three forms of the specification's timestamps. */
static bool timestamp_ms(struct str bytes, int64_t *ms)
{
    enum { MS_A_SECOND = 1000, NS_A_MS = 1000000, SECOND_BITS = 34 };
    uint64_t seconds, nanoseconds = 0;

    if (bytes.size == 12) {
        nanoseconds = big_endian(str_of(bytes.at, 4));
        seconds = big_endian(str_of(bytes.at + 4, 8));
    } else if (bytes.size == 8) {
        seconds = big_endian(bytes);
        nanoseconds = seconds >> SECOND_BITS;
        seconds &= (UINT64_C(1) << SECOND_BITS) - 1;
    } else if (bytes.size == 4) {
        seconds = big_endian(bytes);
    } else {
        return false;
    }
    if (fabs((double)(int64_t)seconds) > DATE_LIMIT_MS / MS_A_SECOND)
        *ms = INT64_MAX;
    else
        *ms = (int64_t)seconds * MS_A_SECOND + (int64_t)(nanoseconds / NS_A_MS);
    return true;
}

static bool write_extension(struct conversion *conversion, const struct msgpack_token *token)
{
    struct buf *json = conversion->json;
    int64_t ms;

    if (msgpack_is_undefined(token))
        return buf_add_str(json, STR("null"));
    if (token->extension == 0 && !token->fixed)
        return write_bin(conversion, token->bytes); /* an ArrayBuffer */
    if (token->extension == 0 && token->bytes.size == DATE_SIZE)
        return write_date(json, (int64_t)big_endian(token->bytes));
    if (token->extension == -1 && conversion->bins->timestamps &&
        timestamp_ms(token->bytes, &ms))
        return write_date(json, ms);
    buf_add_byte(json, '[');
    json_write_int(json, token->extension);
    buf_add_byte(json, ',');
    return write_bin(conversion, token->bytes) && buf_add_byte(json, ']');
}

/* --- values ------------------------------------------------------------------------------------ */

static bool write_value(struct conversion *conversion, unsigned depth);

static bool write_scalar(struct conversion *conversion, const struct msgpack_token *token)
{
    struct buf *json = conversion->json;

    switch (token->kind) {
    case MSGPACK_NIL:
        return buf_add_str(json, STR("null"));
    case MSGPACK_BOOL:
        return buf_add_str(json, token->boolean ? STR("true") : STR("false"));
    case MSGPACK_INTEGER:
        return json_write_int(json, token->integer);
    case MSGPACK_UNSIGNED:
        return json_write_double(json, (double)token->large); /* as JavaScript has it */
    case MSGPACK_REAL:
        return json_write_double(json, token->real);
    case MSGPACK_STRING:
        return json_write_string(json, token->bytes);
    case MSGPACK_BINARY:
        return write_bin(conversion, token->bytes);
    default:
        return write_extension(conversion, token);
    }
}

static bool write_array(struct conversion *conversion, uint32_t count, unsigned depth)
{
    buf_add_byte(conversion->json, '[');
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_byte(conversion->json, ',');
        if (!write_value(conversion, depth + 1))
            return false;
    }
    return buf_add_byte(conversion->json, ']');
}

/* A key that is no string is its text, as a property's name is in JavaScript. */
static bool write_key(struct conversion *conversion)
{
    struct buf *json = conversion->json;
    struct msgpack_token key;

    if (!msgpack_read(conversion->reader, &key) || key.kind > MSGPACK_STRING)
        return fail(conversion, MSGPACK_BROKEN);
    if (key.kind == MSGPACK_STRING)
        return json_write_string(json, key.bytes) && buf_add_byte(json, ':');
    buf_add_byte(json, '"');
    write_scalar(conversion, &key);
    return buf_add_str(json, STR("\":"));
}

/* Whether the value that comes next is undefined; then it is taken. */
static bool skip_undefined(struct msgpack_reader *reader)
{
    struct msgpack_reader ahead = *reader;
    struct msgpack_token token;

    if (!msgpack_read(&ahead, &token) || !msgpack_is_undefined(&token))
        return false;
    *reader = ahead;
    return true;
}

static bool write_map(struct conversion *conversion, uint32_t count, unsigned depth)
{
    struct buf *json = conversion->json;
    bool first = true;

    buf_add_byte(json, '{');
    for (uint32_t i = 0; i < count; i++) {
        size_t before = json->size;

        if (!first)
            buf_add_byte(json, ',');
        if (!write_key(conversion))
            return false;
        if (skip_undefined(conversion->reader)) {
            json->size = before;
            continue;
        }
        first = false;
        if (!write_value(conversion, depth + 1))
            return false;
    }
    return buf_add_byte(json, '}');
}

static bool write_value(struct conversion *conversion, unsigned depth)
{
    struct msgpack_token token;

    if (!msgpack_read(conversion->reader, &token))
        return fail(conversion, MSGPACK_BROKEN);
    if (token.kind != MSGPACK_ARRAY && token.kind != MSGPACK_MAP)
        return write_scalar(conversion, &token);
    if (depth == JSON_DEPTH_MAX)
        return fail(conversion, MSGPACK_BROKEN);
    return token.kind == MSGPACK_ARRAY ? write_array(conversion, token.count, depth)
                                       : write_map(conversion, token.count, depth);
}

enum msgpack_fault msgpack_to_json(struct msgpack_reader *reader, struct buf *json,
                                   struct msgpack_bins *bins)
{
    struct conversion conversion = {reader, json, bins, MSGPACK_GOOD};
    bool good = write_value(&conversion, 0);

    if (conversion.fault != MSGPACK_GOOD)
        return conversion.fault;
    return good && !buf_failed(json) ? MSGPACK_GOOD : MSGPACK_NO_MEMORY;
}
