#include "json/json.h"
#include "json/private.h"

#include "base/map.h"

#include <inttypes.h>
#include <stdlib.h>

/* Depth is bounded: json_doc_init() has refused deeper text. */
static bool write_value(struct buf *to, const struct json_doc *doc, uint32_t value);

/* Before each child: the first one follows its container's bracket. */
static void separate(struct buf *to)
{
    if (!buf_failed(to) && to->at[to->size - 1] != '[' && to->at[to->size - 1] != '{')
        buf_add_byte(to, ',');
}

/* The map gives what JSON.parse does with duplicates: the first one's place, the last one's value.
 * Its values are token indices: not NULL, because the root is no member. */
static bool collect_members(struct map *members, const struct json_doc *doc, uint32_t object)
{
    struct buf name;
    bool ok = true;

    buf_init(&name, SIZE_MAX);
    for (uint32_t key = json_first(doc, object); ok && key != JSON_NONE;
         key = json_next(doc, object, key)) {
        void *value = (void *)(uintptr_t)json_member_value(doc, key);
        buf_reset(&name);
        ok = json_string_decode(&name, json_raw(doc, key)) &&
             map_put(members, buf_str(&name), value);
    }
    buf_free(&name);
    return ok;
}

/* One with a key like an array index; these are written before the others. */
struct index_member {
    uint32_t index;
    uint32_t value;
};

static int compare_indices(const void *a, const void *b)
{
    uint32_t left = ((const struct index_member *)a)->index;
    uint32_t right = ((const struct index_member *)b)->index;

    return (left > right) - (left < right);
}

static size_t count_indices(const struct map *members)
{
    uint32_t cursor = 0, index;
    struct str key;
    void *value;
    size_t count = 0;

    while (map_next(members, &cursor, &key, &value))
        count += json_key_index(key, &index);
    return count;
}

static bool write_index_members(struct buf *to, const struct json_doc *doc,
                                const struct map *members)
{
    size_t count = count_indices(members), i = 0;
    struct index_member *sorted;
    uint32_t cursor = 0;
    struct str key;
    void *value;
    bool ok = true;

    if (count == 0)
        return true;
    sorted = calloc(count, sizeof(*sorted));
    if (!sorted)
        return false;
    while (i < count && map_next(members, &cursor, &key, &value)) {
        if (json_key_index(key, &sorted[i].index))
            sorted[i++].value = (uint32_t)(uintptr_t)value;
    }
    qsort(sorted, count, sizeof(*sorted), compare_indices);
    for (i = 0; ok && i < count; i++) {
        separate(to);
        buf_printf(to, "\"%" PRIu32 "\":", sorted[i].index);
        ok = write_value(to, doc, sorted[i].value);
    }
    free(sorted);
    return ok;
}

static bool write_other_members(struct buf *to, const struct json_doc *doc,
                                const struct map *members)
{
    uint32_t cursor = 0, index;
    struct str key;
    void *value;

    while (map_next(members, &cursor, &key, &value)) {
        if (json_key_index(key, &index))
            continue;
        separate(to);
        json_write_string(to, key);
        buf_add_byte(to, ':');
        if (!write_value(to, doc, (uint32_t)(uintptr_t)value))
            return false;
    }
    return true;
}

static bool write_object(struct buf *to, const struct json_doc *doc, uint32_t object)
{
    struct map members;

    map_init(&members);
    buf_add_byte(to, '{');
    bool ok = collect_members(&members, doc, object) &&
              write_index_members(to, doc, &members) && write_other_members(to, doc, &members);
    map_free(&members);
    return ok && buf_add_byte(to, '}');
}

static bool write_array(struct buf *to, const struct json_doc *doc, uint32_t array)
{
    buf_add_byte(to, '[');
    for (uint32_t at = json_first(doc, array); at != JSON_NONE;
         at = json_next(doc, array, at)) {
        separate(to);
        if (!write_value(to, doc, at))
            return false;
    }
    return buf_add_byte(to, ']');
}

static bool write_string(struct buf *to, struct str raw)
{
    struct buf text;

    if (!memchr(raw.at, '\\', raw.size))
        return buf_add_str(to, raw);
    buf_init(&text, SIZE_MAX);
    bool ok = json_string_decode(&text, raw) && json_write_string(to, buf_str(&text));
    buf_free(&text);
    return ok;
}

static bool write_number(struct buf *to, struct str raw)
{
    int64_t integer;
    double real;

    if (json_number_decode(raw, &integer, &real))
        real = (double)integer;
    return json_write_double(to, real);
}

static bool write_value(struct buf *to, const struct json_doc *doc, uint32_t value)
{
    switch (json_type(doc, value)) {
    case JSON_OBJECT:
        return write_object(to, doc, value);
    case JSON_ARRAY:
        return write_array(to, doc, value);
    case JSON_STRING:
        return write_string(to, json_raw(doc, value));
    case JSON_NUMBER:
        return write_number(to, json_raw(doc, value));
    default:
        return buf_add_str(to, json_raw(doc, value));
    }
}

bool json_normalise(struct buf *to, struct str raw)
{
    struct json_doc doc;

    if (!json_doc_init(&doc, raw))
        return false;
    bool ok = write_value(to, &doc, 0);
    json_doc_free(&doc);
    return ok;
}
