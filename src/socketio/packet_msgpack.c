/*
 * A packet is one binary message: the map {type, data, nsp, id} that socket.io-msgpack-parser
 * makes of a packet object. Binary values stand in it where they are; for the application they
 * become attachments, as those of text packets.
 *
 * Read as that parser reads, but for: event names that the text parser refuses are refused here
 * too, attachments are limited alike, and the payload of a CONNECT has none.
 */
#include "packet.h"

#include "base/utf8.h"
#include "msgpack/msgpack.h"

#include <math.h>
#include <stdlib.h>

static bool fail(struct sio_incoming *in, const char *error)
{
    in->error = error;
    return false;
}

/* --- reading --------------------------------------------------------------------------------- */

/* Where the values of the keys that count begin; `at` is NULL for those that are not there. */
struct fields {
    struct msgpack_reader type, nsp, id, data;
};

static void keep_field(struct fields *fields, struct str key, struct msgpack_reader value)
{
    if (str_equal(key, STR("type")))
        fields->type = value;
    else if (str_equal(key, STR("nsp")))
        fields->nsp = value;
    else if (str_equal(key, STR("id")))
        fields->id = value;
    else if (str_equal(key, STR("data")))
        fields->data = value;
}

/* All of the message is gone through here: what is kept is good MessagePack. */
static bool find_fields(struct str message, struct fields *fields)
{
    struct msgpack_reader reader = msgpack_reader_of(message);
    struct msgpack_token token, key;

    *fields = (struct fields){0};
    if (!msgpack_read(&reader, &token) || token.kind != MSGPACK_MAP)
        return false;
    for (uint32_t i = 0; i < token.count; i++) {
        if (!msgpack_read(&reader, &key) || key.kind == MSGPACK_ARRAY ||
            key.kind == MSGPACK_MAP)
            return false;
        if (key.kind == MSGPACK_STRING)
            keep_field(fields, key.bytes, reader);
        if (!msgpack_skip(&reader))
            return false;
    }
    return reader.at == reader.end;
}

/* False when it is not there, or undefined, which is the same in JavaScript. */
static bool read_field(struct msgpack_reader field, struct msgpack_token *token)
{
    return field.at && msgpack_read(&field, token) && !msgpack_is_undefined(token);
}

static bool read_type(const struct fields *fields, struct sio_incoming *in)
{
    struct msgpack_token token;
    double type;

    if (!read_field(fields->type, &token) || !msgpack_number(&token, &type) ||
        floor(type) != type || type < SIO_CONNECT || type > SIO_CONNECT_ERROR)
        return fail(in, "invalid packet type");
    in->type = (enum sio_packet_type)type;
    return true;
}

static bool read_namespace(const struct fields *fields, struct sio_incoming *in)
{
    struct msgpack_token token;

    if (!read_field(fields->nsp, &token) || token.kind != MSGPACK_STRING ||
        !utf8_valid(token.bytes.at, token.bytes.size))
        return fail(in, "invalid namespace");
    in->nsp = token.bytes;
    return true;
}

static bool read_id(const struct fields *fields, struct sio_incoming *in)
{
    struct msgpack_token token;

    in->has_id = read_field(fields->id, &token);
    if (in->has_id &&
        (!msgpack_number(&token, &in->id) || !isfinite(in->id) || floor(in->id) != in->id))
        return fail(in, "invalid packet id");
    return true;
}

static bool data_fits(const struct sio_incoming *in, const struct msgpack_token *token)
{
    switch (in->type) {
    case SIO_CONNECT:
        return !in->has_payload || token->kind == MSGPACK_MAP;
    case SIO_DISCONNECT:
        return !in->has_payload;
    case SIO_CONNECT_ERROR:
        return in->has_payload && (token->kind == MSGPACK_MAP || token->kind == MSGPACK_STRING);
    default:
        return in->has_payload && token->kind == MSGPACK_ARRAY;
    }
}

static bool convert(struct msgpack_reader data, uint32_t max_attachments,
                    struct sio_incoming *in)
{
    struct msgpack_bins bins = {.maximum = in->type == SIO_CONNECT ? 0 : max_attachments};
    struct buf json;
    enum msgpack_fault fault;

    buf_init(&json, SIZE_MAX);
    fault = msgpack_to_json(&data, &json, &bins);
    in->bins = bins.at;
    in->args.attachments = bins.at;
    in->args.attachment_count = bins.count;
    in->payload.size = json.size;
    if (fault == MSGPACK_GOOD)
        in->text = buf_steal(&json, &in->payload.size);
    buf_free(&json);
    in->too_many = fault == MSGPACK_TOO_MANY_BINS;
    if (in->too_many)
        return fail(in, "too many attachments");
    if (fault == MSGPACK_BROKEN)
        return fail(in, "invalid payload");
    if (!in->text)
        return fail(in, "out of memory");
    in->payload.at = in->text;
    /* The application knows binary values by placeholders, and so must not be told others. */
    if (bins.count > 0 && !sio_placeholders_valid(in->payload, bins.count))
        return fail(in, "illegal attachments");
    return true;
}

static bool read_data(const struct fields *fields, uint32_t max_attachments,
                      struct sio_incoming *in)
{
    struct msgpack_token token;

    in->has_payload = read_field(fields->data, &token);
    if (!data_fits(in, &token))
        return fail(in, "invalid payload");
    return !in->has_payload || convert(fields->data, max_attachments, in);
}

static bool read_packet(struct sio_decoder *decoder, uint8_t *bytes, size_t size,
                        uint32_t max_attachments, struct sio_incoming *in)
{
    struct fields fields;
    (void)decoder;

    *in = (struct sio_incoming){.size = size, .limit = SIZE_MAX, .payload = STR("")};
    in->nsp = STR("");
    if (!find_fields(str_of(bytes, size), &fields))
        return fail(in, "invalid packet");
    return read_type(&fields, in) && read_namespace(&fields, in) && read_id(&fields, in) &&
           read_data(&fields, max_attachments, in);
}

static bool finish_packet(struct sio_decoder *decoder, struct sio_incoming *in)
{
    (void)decoder;
    in->too_large = in->size > in->limit;
    if (in->too_large)
        return fail(in, "payload too large");
    in->complete = true;
    return sio_incoming_split(in);
}

static bool refuse_text(struct sio_decoder *decoder, const uint8_t *bytes, size_t size,
                        struct sio_incoming *in)
{
    (void)decoder, (void)bytes;
    *in = (struct sio_incoming){.size = size, .limit = SIZE_MAX, .nsp = STR("")};
    return fail(in, "invalid packet: text");
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_id(struct buf *to, struct str id)
{
    char text[SIO_NUMBER_TEXT_MAX + 1];
    int64_t integer;
    double real;

    if (id.size == 0)
        return;
    msgpack_write_string(to, STR("id"));
    memcpy(text, id.at, id.size);
    text[id.size] = '\0';
    if (json_number_decode(str_of(text, id.size), &integer, &real))
        msgpack_write_integer(to, integer);
    else
        msgpack_write_real(to, real);
}

static void write_type(struct buf *to, enum sio_packet_type type)
{
    msgpack_write_string(to, STR("type"));
    msgpack_write_integer(to, type);
}

/* The keys in the order in which the reference's objects have them. */
static bool write_packet(struct buf *to, enum sio_packet_type type, struct str nsp,
                         struct str id, const struct sio_args *args)
{
    bool answer = type == SIO_ACK, good = true;

    msgpack_write_map(to, 2 + (id.size > 0) + (args->json.size > 0));
    if (answer)
        write_id(to, id);
    write_type(to, type);
    if (args->json.size > 0) {
        msgpack_write_string(to, STR("data"));
        good = msgpack_from_json(to, args->json, args->attachments, args->attachment_count);
    }
    if (!answer)
        write_id(to, id);
    msgpack_write_string(to, STR("nsp"));
    msgpack_write_string(to, nsp);
    return good && !buf_failed(to);
}

static struct frame *make_frame(enum sio_packet_type type, struct str nsp, struct str id,
                                const struct sio_args *args)
{
    struct sio_args whole = *args;
    struct frame *frame = NULL;
    struct buf bytes, json;

    buf_init(&bytes, SIZE_MAX);
    buf_init(&json, SIZE_MAX);
    if (args->offset.size > 0) {
        buf_add(&json, args->json.at, args->json.size - 1);
        buf_add_str(&json, STR(",\""));
        buf_add_str(&json, args->offset);
        buf_add_str(&json, STR("\"]"));
        whole.json = buf_str(&json);
    }
    if (!buf_failed(&json) && write_packet(&bytes, type, nsp, id, &whole))
        frame = frame_new(FRAME_BINARY, bytes.size);
    if (frame)
        memcpy(frame_payload(frame), bytes.at, bytes.size);
    buf_free(&bytes);
    buf_free(&json);
    return frame;
}

static struct frame *write_frame(enum sio_packet_type type, struct str nsp, struct str id,
                                 struct str json)
{
    return make_frame(type, nsp, id, &(struct sio_args){.json = json});
}

static struct sio_packet *write_message(enum sio_packet_type type, struct str nsp,
                                        struct str id, const struct sio_args *args)
{
    struct sio_packet *packet = malloc(sizeof(*packet) + sizeof(struct frame *));

    if (!packet)
        return NULL;
    *packet = (struct sio_packet){.references = 1, .frame_count = 1};
    packet->frames[0] = make_frame(type, nsp, id, args);
    if (packet->frames[0])
        return packet;
    free(packet);
    return NULL;
}

const struct sio_codec sio_codec_msgpack = {
    .first = FRAME_BINARY,
    .head = read_packet,
    .payload = finish_packet,
    .rest = refuse_text,
    .frame = write_frame,
    .packet = write_message,
};
