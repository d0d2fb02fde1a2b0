/*
 * fuzz_eio3_payload: packets and payloads of Engine.IO protocol 3 in both forms: what is decoded
 * and encoded again is decoded to the same.
 *
 * Input     the low bits of the first byte choose what the rest is.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "engineio/payload_v3.h"

enum {
    PACKETS_MAX = 256,
};

static struct frame *frame_of(const struct eio_packet *packet)
{
    if (packet->kind == FRAME_TEXT)
        return eio_packet_frame(packet->type, str_of(packet->data, packet->size));

    struct frame *frame = frame_new(FRAME_BINARY, packet->size);
    assert(frame);
    memcpy(frame_payload(frame), packet->data, packet->size);
    return frame;
}

/* The packets of the body, as frames that could be sent. Noops that stand for what has no type
 * cannot be sent as they came, but as noops. */
static size_t decode_all(enum frame_kind form, uint8_t *body, size_t size,
                         struct frame **frames)
{
    struct eio_payload payload;
    struct eio_packet packet;
    size_t count = 0;

    eio_v3_payload_begin(&payload, form, body, size);
    while (count < PACKETS_MAX && eio_v3_payload_next(&payload, &packet)) {
        if (packet.type == EIO_PACKET_ERROR) {
            assert(!eio_v3_payload_next(&payload, &packet));
            break;
        }
        assert(packet.size == 0 ||
               (packet.data >= body && packet.data + packet.size <= body + size));
        assert(packet.kind == FRAME_BINARY || utf8_valid(packet.data, packet.size));
        frames[count++] = frame_of(&packet);
    }
    return count;
}

static void check_again(enum frame_kind form, struct frame **frames, size_t count)
{
    struct frame *again[PACKETS_MAX];
    struct frame *encoded = eio_v3_payload_encode(frames, count, &form);

    assert(encoded);
    uint8_t *copy = fuzz_copy(frame_body(encoded));
    assert(decode_all(form, copy, frame_body(encoded).size, again) == count);
    for (size_t i = 0; i < count; i++) {
        assert(frame_kind(frames[i]) == frame_kind(again[i]));
        assert(str_equal(frame_body(frames[i]), frame_body(again[i])));
        frame_unref(again[i]);
    }
    frame_unref(encoded);
    free(copy);
}

static void check_payload(enum frame_kind form, struct str body)
{
    struct frame *frames[PACKETS_MAX];
    uint8_t *copy = fuzz_copy(body);
    size_t count = decode_all(form, copy, body.size, frames);

    free(copy);
    if (count > 0) {
        check_again(FRAME_TEXT, frames, count);
        check_again(FRAME_BINARY, frames, count);
    }
    for (size_t i = 0; i < count; i++)
        frame_unref(frames[i]);
}

static void check_text(struct str body)
{
    struct buf text;

    buf_init(&text, body.size * 3);
    assert(utf8_repair(&text, body)); /* the transport lets nothing else in */
    check_payload(FRAME_TEXT, buf_str(&text));
    buf_free(&text);
}

static void check_binary(struct str body)
{
    check_payload(FRAME_BINARY, body);
}

static void check_packet(struct str bytes)
{
    struct frame *binary = frame_new(FRAME_BINARY, bytes.size);
    struct eio_packet packet;

    assert(binary);
    memcpy(frame_payload(binary), bytes.at, bytes.size);
    struct frame *forms[] = {eio_v3_packet_typed(binary), eio_v3_packet_base64(binary)};
    for (size_t i = 0; i < 2; i++) {
        assert(forms[i]);
        struct str body = frame_body(forms[i]);
        uint8_t *copy = fuzz_copy(body);

        eio_v3_packet_decode(frame_kind(forms[i]), copy, body.size, &packet);
        assert(packet.type == EIO_PACKET_MESSAGE && packet.kind == FRAME_BINARY);
        assert(str_equal(str_of(packet.data, packet.size), bytes));
        free(copy);
        frame_unref(forms[i]);
    }
    frame_unref(binary);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const checks[])(struct str) = {check_text, check_binary, check_packet};
    struct fuzz_input input = {bytes, size};
    uint8_t which = fuzz_byte(&input) % (sizeof(checks) / sizeof(checks[0]));
    struct str rest = fuzz_rest(&input);
    char *copy = (char *)fuzz_copy(rest);

    checks[which](str_of(copy, rest.size));
    free(copy);
    return 0;
}
