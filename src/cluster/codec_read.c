#include "codec_private.h"

#include "base/utf8.h"
#include "socketio/packet.h"

#include <math.h>
#include <stdlib.h>

enum {
    BINS_MAX = 65536, /* binary values of a message: each costs 50 times its bytes at least */
    STRINGS_MAX = 1 << 20 /* rooms of a message: 16 times theirs */
};

/* A string that is not in the message as it is: it was escaped, or a number. */
struct codec_text {
    struct codec_text *next;
    char bytes[];
};

void codec_begin(struct codec_decoded *decoded, const struct codec_receiver *receiver)
{
    const struct str none = STR("");

    *decoded = (struct codec_decoded){
        .message = {.nsp = receiver->nsp,
                    .sender = none,
                    .request = none,
                    .to = none,
                    .args = {.json = STR("[]")},
                    .json = none,
                    .offset = none},
    };
}

void codec_free(struct codec_decoded *decoded)
{
    while (decoded->texts) {
        struct codec_text *text = decoded->texts;

        decoded->texts = text->next;
        free(text);
    }
    for (size_t i = 0; i < sizeof(decoded->lists) / sizeof(decoded->lists[0]); i++)
        free(decoded->lists[i]);
    json_doc_free(&decoded->doc);
    buf_free(&decoded->json);
    buf_free(&decoded->bytes);
    free(decoded->bins.at);
    *decoded = (struct codec_decoded){0};
}

enum codec_verdict codec_refuse(struct codec_decoded *decoded, const char *reason)
{
    decoded->reason = reason;
    return CODEC_REFUSED;
}

enum codec_verdict codec_ignore(struct codec_decoded *decoded, const char *reason)
{
    decoded->reason = reason;
    return CODEC_IGNORED;
}

static bool broken(struct codec_decoded *decoded, const char *reason)
{
    decoded->reason = reason;
    return false;
}

/* --- opening ----------------------------------------------------------------------------------- */

/* notepack.io and @msgpack/msgpack refuse bytes behind the value too. */
static bool open_msgpack(struct codec_decoded *decoded, struct str bytes,
                         struct codec_value *root)
{
    struct msgpack_reader reader = msgpack_reader_of(bytes);

    *root = (struct codec_value){.there = true, .reader = reader};
    if (!msgpack_skip(&reader) || reader.at != reader.end)
        return broken(decoded, "broken MessagePack");
    return true;
}

bool codec_open(struct codec_decoded *decoded, struct str bytes, struct codec_value *root)
{
    if (bytes.size == 0 || bytes.size > CODEC_MESSAGE_MAX)
        return broken(decoded, "empty or too large");
    if (bytes.at[0] != '{')
        return open_msgpack(decoded, bytes, root);
    if (!utf8_valid(bytes.at, bytes.size) || !json_check(bytes))
        return broken(decoded, "broken JSON");
    if (!json_doc_init(&decoded->doc, bytes))
        return broken(decoded, "out of memory");
    *root = (struct codec_value){.there = true, .doc = &decoded->doc};
    return true;
}

/* --- containers ---------------------------------------------------------------------------------- */

static struct codec_value json_value(const struct json_doc *doc, uint32_t at)
{
    return (struct codec_value){.there = json_type(doc, at) != JSON_NULL, .doc = doc, .at = at};
}

static struct codec_value msgpack_value(struct msgpack_reader reader)
{
    struct codec_value value = {.reader = reader};
    struct msgpack_token token;

    value.there = msgpack_read(&reader, &token) && token.kind != MSGPACK_NIL &&
                  !msgpack_is_undefined(&token);
    return value;
}

static struct codec_value *named(const struct str *names, struct codec_value *values,
                                 size_t count, struct str name)
{
    for (size_t i = 0; i < count; i++)
        if (str_equal(names[i], name))
            return &values[i];
    return NULL;
}

static void json_members(const struct codec_value *map, const struct str *names,
                         struct codec_value *values, size_t count)
{
    const struct json_doc *doc = map->doc;

    for (uint32_t key = json_first(doc, map->at); key != JSON_NONE;
         key = json_next(doc, map->at, key)) {
        struct str raw = json_raw(doc, key);
        struct codec_value *value =
            named(names, values, count, str_of(raw.at + 1, raw.size - 2));

        if (value)
            *value = json_value(doc, json_member_value(doc, key));
    }
}

static bool msgpack_members(struct msgpack_reader reader, const struct str *names,
                            struct codec_value *values, size_t count)
{
    struct msgpack_token map, key;

    if (!msgpack_read(&reader, &map) || map.kind != MSGPACK_MAP)
        return false;
    for (uint32_t i = 0; i < map.count; i++) {
        if (!msgpack_read(&reader, &key) || key.kind > MSGPACK_STRING)
            return false;
        struct codec_value *value =
            key.kind == MSGPACK_STRING ? named(names, values, count, key.bytes) : NULL;

        if (value)
            *value = msgpack_value(reader);
        if (!msgpack_skip(&reader))
            return false;
    }
    return true;
}

bool codec_members(const struct codec_value *map, const struct str *names,
                   struct codec_value *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (struct codec_value){0};
    if (!map->there)
        return false;
    if (!map->doc)
        return msgpack_members(map->reader, names, values, count);
    if (json_type(map->doc, map->at) != JSON_OBJECT)
        return false;
    json_members(map, names, values, count);
    return true;
}

bool codec_elements(const struct codec_value *array, struct codec_value *values, size_t count,
                    size_t *size)
{
    struct msgpack_reader reader = array->reader;
    struct msgpack_token token;

    for (size_t i = 0; i < count; i++)
        values[i] = (struct codec_value){0};
    if (!array->there)
        return false;
    if (array->doc) {
        uint32_t at;

        if (json_type(array->doc, array->at) != JSON_ARRAY)
            return false;
        *size = json_count(array->doc, array->at);
        at = json_first(array->doc, array->at);
        for (size_t i = 0; i < count && at != JSON_NONE; i++) {
            values[i] = json_value(array->doc, at);
            at = json_next(array->doc, array->at, at);
        }
        return true;
    }
    if (!msgpack_read(&reader, &token) || token.kind != MSGPACK_ARRAY)
        return false;
    *size = token.count;
    for (size_t i = 0; i < count && i < token.count; i++) {
        values[i] = msgpack_value(reader);
        if (!msgpack_skip(&reader))
            return false;
    }
    return true;
}

/* --- scalars ------------------------------------------------------------------------------------ */

static char *new_text(struct codec_decoded *decoded, size_t size)
{
    struct codec_text *text = malloc(sizeof(*text) + size);

    if (!text) {
        decoded->reason = "out of memory";
        return NULL;
    }
    text->next = decoded->texts;
    decoded->texts = text;
    return text->bytes;
}

static bool unescape(struct codec_decoded *decoded, struct str raw, struct str *text)
{
    struct buf decoded_text;
    char *kept;

    buf_init(&decoded_text, raw.size);
    kept = json_string_decode(&decoded_text, raw) ? new_text(decoded, decoded_text.size) : NULL;
    if (kept) {
        memcpy(kept, decoded_text.at, decoded_text.size);
        *text = str_of(kept, decoded_text.size);
    }
    buf_free(&decoded_text);
    return kept != NULL;
}

bool codec_string(struct codec_decoded *decoded, const struct codec_value *value,
                  struct str *text)
{
    struct msgpack_reader reader = value->reader;
    struct msgpack_token token;

    if (!value->there)
        return false;
    if (!value->doc) {
        if (!msgpack_read(&reader, &token) || token.kind != MSGPACK_STRING)
            return false;
        *text = token.bytes;
        return utf8_valid(text->at, text->size);
    }
    if (json_type(value->doc, value->at) != JSON_STRING)
        return false;
    struct str raw = json_raw(value->doc, value->at);
    if (memchr(raw.at, '\\', raw.size))
        return unescape(decoded, raw, text);
    *text = str_of(raw.at + 1, raw.size - 2);
    return true;
}

bool codec_number(const struct codec_value *value, double *number)
{
    struct msgpack_reader reader = value->reader;
    struct msgpack_token token;
    int64_t integer;

    if (!value->there)
        return false;
    if (!value->doc)
        return msgpack_read(&reader, &token) && msgpack_number(&token, number);
    if (json_type(value->doc, value->at) != JSON_NUMBER)
        return false;
    if (json_number_decode(json_raw(value->doc, value->at), &integer, number))
        *number = (double)integer;
    return true;
}

bool codec_whole(const struct codec_value *value, uint64_t maximum, uint64_t *whole)
{
    double number;

    if (!codec_number(value, &number) || !(number >= 0) || floor(number) != number ||
        number > (double)maximum)
        return false;
    *whole = (uint64_t)number;
    return true;
}

bool codec_is_bool(const struct codec_value *value, bool expected)
{
    struct msgpack_reader reader = value->reader;
    struct msgpack_token token;

    if (!value->there)
        return false;
    if (value->doc)
        return json_type(value->doc, value->at) == (expected ? JSON_TRUE : JSON_FALSE);
    return msgpack_read(&reader, &token) && token.kind == MSGPACK_BOOL &&
           token.boolean == expected;
}

/* --- lists of rooms ------------------------------------------------------------------------------ */

static bool room_name(struct codec_decoded *decoded, const struct codec_value *value,
                      struct str *name)
{
    double number;
    char *kept;

    if (!codec_number(value, &number))
        return codec_string(decoded, value, name);
    kept = new_text(decoded, SIO_NUMBER_TEXT_MAX);
    if (kept)
        *name = str_of(kept, sio_number_text(number, kept));
    return kept != NULL;
}

static bool json_rooms(struct codec_decoded *decoded, const struct codec_value *array,
                       struct str *list)
{
    for (uint32_t at = json_first(array->doc, array->at); at != JSON_NONE;
         at = json_next(array->doc, array->at, at)) {
        struct codec_value element = json_value(array->doc, at);

        if (!room_name(decoded, &element, list++))
            return false;
    }
    return true;
}

static bool msgpack_rooms(struct codec_decoded *decoded, struct msgpack_reader reader,
                          struct str *list)
{
    struct msgpack_token array;

    if (!msgpack_read(&reader, &array))
        return false;
    for (uint32_t i = 0; i < array.count; i++) {
        struct codec_value element = msgpack_value(reader);

        if (!room_name(decoded, &element, &list[i]) || !msgpack_skip(&reader))
            return false;
    }
    return true;
}

bool codec_strings(struct codec_decoded *decoded, const struct codec_value *value, size_t which,
                   const struct str **strings, size_t *count)
{
    struct str *list;
    size_t size;

    *strings = NULL;
    *count = 0;
    if (!value->there)
        return true;
    if (!codec_elements(value, NULL, 0, &size) || size > STRINGS_MAX)
        return false;
    if (size == 0)
        return true;
    free(decoded->lists[which]);
    decoded->lists[which] = list = calloc(size, sizeof(*list));
    if (!list)
        return broken(decoded, "out of memory");
    *strings = list;
    *count = size;
    return value->doc ? json_rooms(decoded, value, list)
                      : msgpack_rooms(decoded, value->reader, list);
}

/* --- values that are passed on -------------------------------------------------------------------- */

static bool convert(struct codec_decoded *decoded, struct msgpack_reader reader, bool wrapped,
                    struct sio_args *args)
{
    struct buf *json = &decoded->json;
    enum msgpack_fault fault;

    buf_init(json, SIZE_MAX);
    decoded->bins.maximum = BINS_MAX;
    decoded->bins.timestamps = true;
    if (wrapped)
        buf_add_byte(json, '[');
    fault = msgpack_to_json(&reader, json, &decoded->bins);
    if (wrapped)
        buf_add_byte(json, ']');
    if (fault != MSGPACK_GOOD || buf_failed(json))
        return broken(decoded, fault == MSGPACK_BROKEN          ? "nested too deep"
                               : fault == MSGPACK_TOO_MANY_BINS ? "too many binary values"
                                                                : "out of memory");
    *args = (struct sio_args){buf_str(json), decoded->bins.at, decoded->bins.count, STR("")};
    /* The application knows binary values by placeholders, and so must not be told others. */
    if (args->attachment_count > 0 &&
        !sio_placeholders_valid(args->json, args->attachment_count))
        return broken(decoded, "placeholders without binary values");
    return true;
}

bool codec_json(struct codec_decoded *decoded, const struct codec_value *value, bool wrapped,
                struct sio_args *args)
{
    struct buf *json = &decoded->json;

    *args = (struct sio_args){.json = STR("[null]")};
    if (!value->there)
        return wrapped;
    if (!value->doc)
        return convert(decoded, value->reader, wrapped, args);
    args->json = json_raw(value->doc, value->at);
    if (!wrapped)
        return true;
    buf_init(json, SIZE_MAX);
    buf_add_byte(json, '[');
    buf_add_str(json, args->json);
    if (!buf_add_byte(json, ']'))
        return broken(decoded, "out of memory");
    args->json = buf_str(json);
    return true;
}

/* A client closes its connection over an event whose name is neither text nor number (JSON makes
 * null of what is not finite), or one of the protocol's own. */
bool codec_event(struct codec_decoded *decoded, const struct codec_value *value)
{
    struct codec_value name;
    struct str text;
    double number;
    size_t size;

    if (!codec_elements(value, &name, 1, &size) || size == 0)
        return broken(decoded, "an event without a name");
    if (!(codec_number(&name, &number) && isfinite(number)) &&
        (!codec_string(decoded, &name, &text) || sio_name_is_reserved(text)))
        return broken(decoded, "an event with a bad name");
    return codec_json(decoded, value, false, &decoded->message.args);
}

static void read_flags(struct codec_decoded *decoded, const struct codec_value *flags)
{
    static const struct str names[] = {STR("volatile"), STR("compress"), STR("timeout")};
    struct cluster_message *message = &decoded->message;
    struct codec_value values[3];
    double timeout;

    if (!codec_members(flags, names, values, 3))
        return;
    if (codec_is_bool(&values[0], true))
        message->flags |= SIO_VOLATILE;
    if (codec_is_bool(&values[1], false))
        message->flags |= SIO_PLAIN;
    if (codec_number(&values[2], &timeout) && timeout > 0)
        message->timeout_ms = timeout < UINT32_MAX ? (uint32_t)timeout : UINT32_MAX;
}

bool codec_options(struct codec_decoded *decoded, const struct codec_value *value)
{
    static const struct str names[] = {STR("rooms"), STR("except"), STR("flags")};
    struct cluster_message *message = &decoded->message;
    struct codec_value values[3];

    /* Without rooms it would be for everybody, which all senders say by an empty list. */
    if (!codec_members(value, names, values, 3) || !values[0].there ||
        !codec_strings(decoded, &values[0], 0, &message->rooms, &message->room_count) ||
        !codec_strings(decoded, &values[1], 1, &message->except, &message->except_count))
        return broken(decoded, "bad options");
    read_flags(decoded, &values[2]);
    return true;
}

bool codec_packet(struct codec_decoded *decoded, const struct codec_value *value,
                  struct str *nsp)
{
    static const struct str names[] = {STR("type"), STR("data"), STR("nsp")};
    struct codec_value values[3];
    double type;

    if (!codec_members(value, names, values, 3))
        return broken(decoded, "no packet");
    if (!codec_number(&values[0], &type) || (type != SIO_EVENT && type != SIO_BINARY_EVENT))
        return broken(decoded, "a packet that is no event");
    *nsp = STR("");
    if (values[2].there && !codec_string(decoded, &values[2], nsp))
        return broken(decoded, "bad namespace");
    return codec_event(decoded, &values[1]);
}
