/*
 * fuzz_msgpack: packets of the msgpack parser: what is decoded is encoded again and decoded to the
 * same packet.
 *
 * Input     limit on attachments, then the message.
 */
#include "fuzz.h"

#include "msgpack/msgpack.h"
#include "socketio/packet.h"

static bool decode(uint8_t *bytes, size_t size, uint32_t most, struct sio_incoming *in)
{
    struct sio_decoder decoder = {0};
    bool good = sio_codec_msgpack.head(&decoder, bytes, size, most, in) &&
                sio_codec_msgpack.payload(&decoder, in);

    assert(good == !in->error && (!good || in->complete));
    assert(in->args.attachment_count <= most);
    return good;
}

/* The arguments with the event's name in front, as the writer wants them. */
static struct sio_args whole_args(const struct sio_incoming *in, struct buf *json)
{
    struct str rest = str_from_index(in->args.json, 1);

    assert(json_check(in->args.json));
    buf_add_byte(json, '[');
    if (in->type == SIO_EVENT) {
        assert(json_write_string(json, in->name));
        if (!str_equal(rest, STR("]")))
            buf_add_byte(json, ',');
    }
    buf_add_str(json, rest);
    assert(!buf_failed(json) && json_check(buf_str(json)));
    return (struct sio_args){buf_str(json), in->args.attachments, in->args.attachment_count,
                             STR("")};
}

/* What the sender wrote as a placeholder would be a binary value once more. */
static bool has_own_placeholders(const struct sio_incoming *in)
{
    uint32_t count = 0;

    if (in->args.attachment_count == 0)
        return false;
    for (const char *at = in->text; (at = strstr(at, "_placeholder")) != NULL; at++)
        count++;
    return count != in->args.attachment_count;
}

static void expect_same(const struct sio_incoming *a, const struct sio_incoming *b)
{
    assert(a->type == b->type && str_equal(a->nsp, b->nsp));
    assert(a->has_id == b->has_id && (!a->has_id || a->id == b->id));
    if (a->type == SIO_EVENT)
        assert(str_equal(a->name, b->name));
    assert(a->args.attachment_count == b->args.attachment_count);
    assert(str_equal(a->args.json, b->args.json));
    for (uint32_t i = 0; i < a->args.attachment_count; i++)
        assert(str_equal(a->args.attachments[i], b->args.attachments[i]));
}

static void round_trip(const struct sio_incoming *in)
{
    char digits[SIO_NUMBER_TEXT_MAX];
    struct str id = str_of(digits, in->has_id ? sio_number_text(in->id, digits) : 0);
    struct sio_incoming again;
    struct buf json;

    buf_init(&json, SIZE_MAX);
    struct sio_args args = whole_args(in, &json);
    struct sio_packet *packet = sio_codec_msgpack.packet(in->type, in->nsp, id, &args);
    assert(packet && packet->frame_count == 1);
    struct str body = frame_body(packet->frames[0]);
    uint8_t *copy = fuzz_copy(body);
    assert(decode(copy, body.size, UINT32_MAX, &again));
    if (!has_own_placeholders(in))
        expect_same(in, &again);
    sio_incoming_free(&again);
    free(copy);
    sio_packet_unref(packet);
    buf_free(&json);
}

static void tokens(struct str bytes)
{
    struct msgpack_reader reader = msgpack_reader_of(bytes), whole = reader;
    struct msgpack_bins bins = {.maximum = 1};
    struct buf json, packed;
    bool good = msgpack_skip(&whole);

    buf_init(&json, SIZE_MAX);
    buf_init(&packed, SIZE_MAX);
    if (msgpack_to_json(&reader, &json, &bins) == MSGPACK_GOOD) {
        assert(good && reader.at == whole.at && json_check(buf_str(&json)));
        assert(msgpack_from_json(&packed, buf_str(&json), bins.at, bins.count));
        reader = msgpack_reader_of(buf_str(&packed));
        assert(msgpack_skip(&reader) && reader.at == reader.end);
    }
    free(bins.at);
    buf_free(&json);
    buf_free(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint32_t most = fuzz_byte(&input);
    struct str message = fuzz_rest(&input);
    uint8_t *copy = fuzz_copy(message);
    struct sio_incoming in;

    tokens(str_of(copy, message.size));
    if (decode(copy, message.size, most, &in) && (in.type == SIO_EVENT || in.type == SIO_ACK))
        round_trip(&in);
    sio_incoming_free(&in);
    free(copy);
    return 0;
}
