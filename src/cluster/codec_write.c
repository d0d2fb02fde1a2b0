#include "codec_private.h"

#include "socketio/packet.h"

/* In JSON a comma stands before whatever does not come first, which the last byte tells. */
static void separate(const struct codec_writer *writer)
{
    const struct buf *to = writer->to;
    char last = to->size > writer->start ? to->at[to->size - 1] : '[';

    if (last != '[' && last != '{' && last != ':')
        buf_add_byte(writer->to, ',');
}

static bool is_json(const struct codec_writer *writer)
{
    return writer->form == CODEC_JSON;
}

void codec_write_map(const struct codec_writer *writer, uint32_t count)
{
    if (!is_json(writer)) {
        msgpack_write_map(writer->to, count);
        return;
    }
    separate(writer);
    buf_add_byte(writer->to, '{');
}

void codec_write_map_end(const struct codec_writer *writer)
{
    if (is_json(writer))
        buf_add_byte(writer->to, '}');
}

void codec_write_array(const struct codec_writer *writer, uint32_t count)
{
    if (!is_json(writer)) {
        msgpack_write_array(writer->to, count);
        return;
    }
    separate(writer);
    buf_add_byte(writer->to, '[');
}

void codec_write_array_end(const struct codec_writer *writer)
{
    if (is_json(writer))
        buf_add_byte(writer->to, ']');
}

void codec_write_string(const struct codec_writer *writer, struct str text)
{
    if (!is_json(writer)) {
        msgpack_write_string(writer->to, text);
        return;
    }
    separate(writer);
    json_write_string(writer->to, text);
}

void codec_write_key(const struct codec_writer *writer, struct str name)
{
    codec_write_string(writer, name);
    if (is_json(writer))
        buf_add_byte(writer->to, ':');
}

void codec_write_whole(const struct codec_writer *writer, uint64_t number)
{
    if (!is_json(writer)) {
        msgpack_write_integer(writer->to, (int64_t)number);
        return;
    }
    separate(writer);
    buf_add_u64(writer->to, number);
}

void codec_write_bool(const struct codec_writer *writer, bool value)
{
    if (!is_json(writer)) {
        msgpack_write_bool(writer->to, value);
        return;
    }
    separate(writer);
    buf_add_str(writer->to, value ? STR("true") : STR("false"));
}

void codec_write_strings(const struct codec_writer *writer, const struct str *strings,
                         size_t count)
{
    codec_write_array(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        codec_write_string(writer, strings[i]);
    codec_write_array_end(writer);
}

/* --- JSON in which binary values stand ----------------------------------------------------------- */

/* {"type":"Buffer","data":[1,2,3]} */
static void write_buffer(struct buf *to, struct str bytes)
{
    buf_add_str(to, STR("{\"type\":\"Buffer\",\"data\":["));
    for (size_t i = 0; i < bytes.size; i++) {
        if (i > 0)
            buf_add_byte(to, ',');
        buf_add_u64(to, (uint8_t)bytes.at[i]);
    }
    buf_add_str(to, STR("]}"));
}

/* The binary value that an object stands for, or NULL. */
static const struct str *binary_of(const struct json_doc *doc, uint32_t object,
                                   const struct sio_args *args)
{
    uint32_t flag = json_member(doc, object, STR("_placeholder"));
    uint32_t number = json_member(doc, object, STR("num"));
    int64_t index;
    double real;

    if (flag == JSON_NONE || json_type(doc, flag) != JSON_TRUE || number == JSON_NONE ||
        json_type(doc, number) != JSON_NUMBER ||
        !json_number_decode(json_raw(doc, number), &index, &real))
        return NULL;
    return index >= 0 && index < args->attachment_count ? &args->attachments[index] : NULL;
}

/* Depth is bounded by JSON_DEPTH_MAX, which json_check() has enforced. */
static void write_with_buffers(struct buf *to, const struct json_doc *doc, uint32_t value,
                               const struct sio_args *args)
{
    enum json_type type = json_type(doc, value);
    const struct str *binary = type == JSON_OBJECT ? binary_of(doc, value, args) : NULL;

    if (binary) {
        write_buffer(to, *binary);
        return;
    }
    if (type != JSON_ARRAY && type != JSON_OBJECT) {
        buf_add_str(to, json_raw(doc, value));
        return;
    }
    buf_add_byte(to, type == JSON_ARRAY ? '[' : '{');
    for (uint32_t at = json_first(doc, value), first = at; at != JSON_NONE;
         at = json_next(doc, value, at)) {
        if (at != first)
            buf_add_byte(to, ',');
        if (type == JSON_OBJECT) {
            buf_add_str(to, json_raw(doc, at));
            buf_add_byte(to, ':');
        }
        write_with_buffers(to, doc, type == JSON_OBJECT ? json_member_value(doc, at) : at,
                           args);
    }
    buf_add_byte(to, type == JSON_ARRAY ? ']' : '}');
}

bool codec_write_json(const struct codec_writer *writer, const struct sio_args *args)
{
    struct json_doc doc;

    if (writer->form == CODEC_NOTEPACK)
        return msgpack_from_json(writer->to, args->json, args->attachments,
                                 args->attachment_count);
    if (writer->form == CODEC_MSGPACK)
        return msgpack_from_json_safe(writer->to, args->json, args->attachments,
                                      args->attachment_count);
    separate(writer);
    if (args->attachment_count == 0)
        return buf_add_str(writer->to, args->json);
    if (!json_doc_init(&doc, args->json))
        return false;
    write_with_buffers(writer->to, &doc, 0, args);
    json_doc_free(&doc);
    return !buf_failed(writer->to);
}

/* --- the first value of an answer ------------------------------------------------------------------ */

static bool take_first(void *context, struct str value)
{
    struct str *first = context;

    *first = value;
    return false;
}

static struct sio_args first_of(const struct sio_args *args)
{
    struct sio_args first = *args;

    first.json = STR("");
    json_split(args->json, take_first, &first.json);
    return first;
}

/* @msgpack/msgpack keeps keys whose value is undefined, as nil. */
uint32_t codec_first_count(const struct codec_writer *writer, const struct sio_args *args)
{
    return writer->form == CODEC_MSGPACK || first_of(args).json.size > 0;
}

bool codec_write_first(const struct codec_writer *writer, struct str name,
                       const struct sio_args *args)
{
    struct sio_args first = first_of(args);

    if (codec_first_count(writer, args) == 0)
        return true;
    if (first.json.size == 0)
        first.json = STR("null");
    codec_write_key(writer, name);
    return codec_write_json(writer, &first);
}

/* --- parts of messages ---------------------------------------------------------------------------- */

static void write_flags(const struct codec_writer *writer,
                        const struct cluster_message *message)
{
    bool lossy = message->flags & SIO_VOLATILE, plain = message->flags & SIO_PLAIN;

    codec_write_key(writer, STR("flags"));
    codec_write_map(writer, (uint32_t)lossy + plain + (message->timeout_ms > 0));
    if (lossy) {
        codec_write_key(writer, STR("volatile"));
        codec_write_bool(writer, true);
    }
    if (plain) {
        codec_write_key(writer, STR("compress"));
        codec_write_bool(writer, false);
    }
    if (message->timeout_ms > 0) {
        codec_write_key(writer, STR("timeout"));
        codec_write_whole(writer, message->timeout_ms);
    }
    codec_write_map_end(writer);
}

void codec_write_options(const struct codec_writer *writer,
                         const struct cluster_message *message, bool flags)
{
    codec_write_map(writer, flags ? 3 : 2);
    codec_write_key(writer, STR("rooms"));
    codec_write_strings(writer, message->rooms, message->room_count);
    codec_write_key(writer, STR("except"));
    codec_write_strings(writer, message->except, message->except_count);
    if (flags)
        write_flags(writer, message);
    codec_write_map_end(writer);
}

bool codec_write_packet(const struct codec_writer *writer,
                        const struct cluster_message *message, bool nsp)
{
    bool good;

    codec_write_map(writer, nsp ? 3 : 2);
    codec_write_key(writer, STR("type"));
    codec_write_whole(writer, SIO_EVENT);
    codec_write_key(writer, STR("data"));
    good = codec_write_json(writer, &message->args);
    if (nsp) {
        codec_write_key(writer, STR("nsp"));
        codec_write_string(writer, message->nsp);
    }
    codec_write_map_end(writer);
    return good;
}
