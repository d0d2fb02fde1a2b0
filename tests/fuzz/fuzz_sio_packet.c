/*
 * fuzz_sio_packet: Socket.IO packets with their attachments: what is decoded is encoded again and
 * decoded to the same packet.
 *
 * Input     limit on attachments, then parts that end at 0x1E: the text, the attachments.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "socketio/packet.h"

enum {
    SEPARATOR = 0x1e,
    GROWTH = 32,
};

/* The packet that the parts make, or false. The bytes must live as long as the packet. */
static bool decode(struct sio_decoder *decoder, uint8_t *text, size_t size, uint32_t most,
                   struct fuzz_input *attachments, struct sio_incoming *in)
{
    bool good =
        sio_decoder_head(decoder, text, size, most, in) && sio_decoder_payload(decoder, in);

    while (good && !in->complete && attachments->left > 0) {
        struct str part = fuzz_part(attachments, SEPARATOR);

        sio_incoming_free(in);
        good = sio_decoder_binary(decoder, (const uint8_t *)part.at, part.size, in);
    }
    assert(good || in->error);
    return good && in->complete;
}

/* The arguments with the event's name in front, as the writer wants them. */
static struct sio_args event_args(const struct sio_incoming *in, struct buf *json)
{
    struct str rest = str_from_index(in->args.json, 1);

    assert(in->args.json.size >= 2 && in->args.json.at[0] == '[');
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

static void expect_same(const struct sio_incoming *a, const struct sio_incoming *b)
{
    assert(a->type == b->type && str_equal(a->nsp, b->nsp));
    assert(a->has_id == b->has_id && (!a->has_id || a->id == b->id));
    if (a->type == SIO_EVENT)
        assert(str_equal(a->name, b->name));
    assert(str_equal(a->args.json, b->args.json));
    assert(a->args.attachment_count == b->args.attachment_count);
    for (uint32_t i = 0; i < a->args.attachment_count; i++)
        assert(str_equal(a->args.attachments[i], b->args.attachments[i]));
}

static void decode_again(const struct sio_packet *packet, const struct sio_incoming *first)
{
    struct sio_decoder decoder = {0};
    struct sio_incoming in = {0};
    struct str text = str_from_index(frame_body(packet->frames[0]), 1); /* Engine.IO's digit */
    uint8_t *copy = fuzz_copy(text);
    bool good = sio_decoder_head(&decoder, copy, text.size, UINT32_MAX, &in) &&
                sio_decoder_payload(&decoder, &in);

    for (uint32_t i = 1; good && i < packet->frame_count; i++) {
        struct str bytes = frame_body(packet->frames[i]);

        sio_incoming_free(&in);
        good = sio_decoder_binary(&decoder, (const uint8_t *)bytes.at, bytes.size, &in);
    }
    assert(good && in.complete);
    expect_same(first, &in);
    sio_incoming_free(&in);
    sio_decoder_reset(&decoder);
    free(copy);
}

static void round_trip(const struct sio_incoming *in)
{
    char digits[SIO_NUMBER_TEXT_MAX];
    struct buf json;

    if (in->type != SIO_EVENT && in->type != SIO_ACK)
        return;
    if (in->type == SIO_EVENT && !in->has_payload)
        return; /* an event without a name, which nobody sends */
    if (in->has_id && !(in->id >= 0 && in->id < 1e21))
        return; /* the reference takes "1 2" and 1e22 as ids, and cannot write them */
    struct str id = str_of(digits, in->has_id ? sio_number_text(in->id, digits) : 0);
    buf_init(&json, (in->args.json.size + in->name.size + 1) * GROWTH);
    struct sio_args args = event_args(in, &json);
    struct sio_packet *packet = sio_packet_new(in->type, in->nsp, id, &args);
    assert(packet);
    decode_again(packet, in);
    sio_packet_unref(packet);
    buf_free(&json);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    uint32_t most = fuzz_byte(&input);
    struct str part = fuzz_part(&input, SEPARATOR);
    struct sio_decoder decoder = {0};
    struct sio_incoming in = {0};
    struct buf text;

    buf_init(&text, part.size * 3);
    assert(utf8_repair(&text, part)); /* net lets nothing else in */
    uint8_t *copy = fuzz_copy(buf_str(&text));
    if (decode(&decoder, copy, text.size, most, &input, &in))
        round_trip(&in);
    sio_incoming_free(&in);
    sio_decoder_reset(&decoder);
    free(copy);
    buf_free(&text);
    return 0;
}
