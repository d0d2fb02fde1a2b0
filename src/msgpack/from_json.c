#include "msgpack/msgpack.h"

#include <math.h>

static const int64_t SAFE_MAX = (INT64_C(1) << 53) - 1; /* ECMA-262, 21.1.2.6 */

struct conversion {
    struct buf *to;
    const struct json_doc *doc;
    const struct str *bins;
    uint32_t bin_count;
    bool safe; /* whole numbers beyond SAFE_MAX are doubles */
};

/* Depth is bounded by JSON_DEPTH_MAX, which json_check() has enforced. */
static bool write_value(const struct conversion *conversion, uint32_t value);

static bool write_string(struct buf *to, struct str raw)
{
    struct buf decoded;
    bool good;

    if (!memchr(raw.at, '\\', raw.size)) {
        msgpack_write_string(to, str_of(raw.at + 1, raw.size - 2));
        return true;
    }
    buf_init(&decoded, raw.size);
    good = json_string_decode(&decoded, raw);
    if (good)
        msgpack_write_string(to, buf_str(&decoded));
    buf_free(&decoded);
    return good;
}

static void write_number(const struct conversion *conversion, struct str raw)
{
    struct buf *to = conversion->to;
    int64_t integer;
    double real;

    if (!json_number_decode(raw, &integer, &real)) {
        if (conversion->safe && fabs(real) > (double)SAFE_MAX)
            msgpack_write_double(to, real);
        else
            msgpack_write_real(to, real);
    } else if (conversion->safe && (integer > SAFE_MAX || integer < -SAFE_MAX)) {
        msgpack_write_double(to, (double)integer);
    } else {
        msgpack_write_integer(to, integer);
    }
}

/* The binary value that an object stands for, or NULL. */
static const struct str *bin_of(const struct conversion *conversion, uint32_t object)
{
    const struct json_doc *doc = conversion->doc;
    uint32_t flag, num;
    int64_t index;
    double real;

    if (conversion->bin_count == 0)
        return NULL;
    flag = json_member(doc, object, STR("_placeholder"));
    if (flag == JSON_NONE || json_type(doc, flag) != JSON_TRUE)
        return NULL;
    num = json_member(doc, object, STR("num"));
    if (num == JSON_NONE || json_type(doc, num) != JSON_NUMBER ||
        !json_number_decode(json_raw(doc, num), &index, &real))
        return NULL;
    return index >= 0 && index < conversion->bin_count ? &conversion->bins[index] : NULL;
}

static bool write_array(const struct conversion *conversion, uint32_t array)
{
    const struct json_doc *doc = conversion->doc;

    msgpack_write_array(conversion->to, json_count(doc, array));
    for (uint32_t at = json_first(doc, array); at != JSON_NONE;
         at = json_next(doc, array, at)) {
        if (!write_value(conversion, at))
            return false;
    }
    return true;
}

static bool write_object(const struct conversion *conversion, uint32_t object)
{
    const struct json_doc *doc = conversion->doc;
    const struct str *bin = bin_of(conversion, object);

    if (bin) {
        msgpack_write_binary(conversion->to, *bin);
        return true;
    }
    msgpack_write_map(conversion->to, json_count(doc, object));
    for (uint32_t key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key)) {
        if (!write_string(conversion->to, json_raw(doc, key)) ||
            !write_value(conversion, json_member_value(doc, key)))
            return false;
    }
    return true;
}

static bool write_value(const struct conversion *conversion, uint32_t value)
{
    const struct json_doc *doc = conversion->doc;

    switch (json_type(doc, value)) {
    case JSON_NULL:
        msgpack_write_nil(conversion->to);
        return true;
    case JSON_FALSE:
    case JSON_TRUE:
        msgpack_write_bool(conversion->to, json_type(doc, value) == JSON_TRUE);
        return true;
    case JSON_NUMBER:
        write_number(conversion, json_raw(doc, value));
        return true;
    case JSON_STRING:
        return write_string(conversion->to, json_raw(doc, value));
    case JSON_ARRAY:
        return write_array(conversion, value);
    case JSON_OBJECT:
        break;
    }
    return write_object(conversion, value);
}

static bool convert(struct buf *to, struct str json, const struct str *bins, uint32_t bin_count,
                    bool safe)
{
    struct json_doc doc;
    const struct conversion conversion = {to, &doc, bins, bin_count, safe};
    bool good;

    if (!json_doc_init(&doc, json))
        return false;
    good = write_value(&conversion, 0) && !buf_failed(to);
    json_doc_free(&doc);
    return good;
}

bool msgpack_from_json(struct buf *to, struct str json, const struct str *bins,
                       uint32_t bin_count)
{
    return convert(to, json, bins, bin_count, false);
}

bool msgpack_from_json_safe(struct buf *to, struct str json, const struct str *bins,
                            uint32_t bin_count)
{
    return convert(to, json, bins, bin_count, true);
}
