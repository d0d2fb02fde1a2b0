/*
 * fuzz_eio_payload: Engine.IO packets and payloads, query strings, JSONP's forms and scripts:
 * what is decoded and encoded again is decoded to the same.
 *
 * Input     the low bits of the first byte choose what the rest is.
 */
#include "fuzz.h"

#include "base/base64.h"
#include "base/utf8.h"
#include "engineio/engineio.h"
#include "engineio/jsonp.h"
#include "engineio/payload.h"
#include "engineio/query.h"
#include "json/json.h"

enum {
    PACKETS_MAX = 256,
    GROWTH = 6, /* bytes that one becomes at most */
};

/* --- packets and payloads ------------------------------------------------------------------ */

static struct frame *frame_of(const struct eio_packet *packet)
{
    if (packet->kind == FRAME_TEXT)
        return eio_packet_frame(packet->type, str_of(packet->data, packet->size));

    struct frame *frame = frame_new(FRAME_BINARY, packet->size);
    assert(frame);
    memcpy(frame_payload(frame), packet->data, packet->size);
    return frame;
}

/* The packets of the body, as frames that could be sent. */
static size_t decode_all(uint8_t *body, size_t size, struct frame **frames)
{
    struct eio_payload payload;
    struct eio_packet packet;
    size_t count = 0;

    eio_payload_begin(&payload, body, size);
    while (count < PACKETS_MAX && eio_payload_next(&payload, &packet)) {
        if (packet.type == EIO_PACKET_ERROR) {
            assert(!eio_payload_next(&payload, &packet));
            break;
        }
        assert(packet.data >= body && packet.data + packet.size <= body + size);
        frames[count++] = frame_of(&packet);
    }
    return count;
}

static void check_payload(struct str body)
{
    struct frame *frames[PACKETS_MAX], *again[PACKETS_MAX];
    uint8_t *copy = fuzz_copy(body);
    size_t count = decode_all(copy, body.size, frames);

    free(copy);
    if (count == 0)
        return;
    struct frame *encoded = eio_payload_encode(frames, count);
    assert(encoded);
    copy = fuzz_copy(frame_body(encoded));
    assert(decode_all(copy, frame_body(encoded).size, again) == count);
    for (size_t i = 0; i < count; i++) {
        assert(frame_kind(frames[i]) == frame_kind(again[i]));
        assert(str_equal(frame_body(frames[i]), frame_body(again[i])));
        frame_unref(frames[i]);
        frame_unref(again[i]);
    }
    frame_unref(encoded);
    free(copy);
}

static void check_binary(struct str bytes)
{
    struct frame *binary = frame_new(FRAME_BINARY, bytes.size);
    struct eio_packet packet;

    assert(binary);
    memcpy(frame_payload(binary), bytes.at, bytes.size);
    struct frame *text = eio_packet_base64(binary);
    assert(text && frame_body(text).size == eio_packet_body_size(binary));
    uint8_t *copy = fuzz_copy(frame_body(text));
    eio_packet_decode(FRAME_TEXT, copy, frame_body(text).size, &packet);
    assert(packet.type == EIO_PACKET_MESSAGE && packet.kind == FRAME_BINARY);
    assert(str_equal(str_of(packet.data, packet.size), bytes));
    free(copy);
    frame_unref(text);
    frame_unref(binary);
}

/* --- queries ------------------------------------------------------------------------------- */

static bool see_param(void *context, struct str name, struct str value)
{
    size_t *count = context;

    assert(utf8_valid(name.at, name.size) && utf8_valid(value.at, value.size));
    return ++*count < PACKETS_MAX;
}

static void check_query(struct str target)
{
    struct eio_query query;
    size_t count = 0;

    eio_query_each(target, see_param, &count);
    eio_query_read(target, &query);
    assert(query.protocol == 3 || query.protocol == 4);
    assert(query.jsonp_size <= EIO_JSONP_INDEX_MAX);
    assert(!query.sid_whole || query.has_sid);
}

/* --- JSONP --------------------------------------------------------------------------------- */

static void check_form(struct str form)
{
    struct buf payload;
    bool present;

    buf_init(&payload, (form.size + 1) * 3);
    assert(eio_jsonp_payload(form, &payload, &present));
    if (present) {
        assert(utf8_valid(payload.at, payload.size));
        check_payload(buf_str(&payload));
    }
    buf_free(&payload);
}

static void check_script(struct str payload)
{
    static const char before[] = "___eio[7](", after[] = ");";
    struct frame *frame = eio_jsonp_script(STR("7"), payload);
    struct buf back;

    assert(frame);
    struct str script = frame_body(frame);
    assert(str_starts(script, STR(before)));
    struct str json = str_from_index(script, sizeof(before) - 1);
    assert(json.size >= sizeof(after) - 1);
    json.size -= sizeof(after) - 1;
    assert(memcmp(json.at + json.size, after, sizeof(after) - 1) == 0);
    assert(json_check(json) && json_type_of(json) == JSON_STRING);
    assert(!memmem(json.at, json.size, "\xe2\x80\xa8", 3));
    buf_init(&back, payload.size * GROWTH);
    assert(json_string_decode(&back, json));
    if (utf8_valid(payload.at, payload.size))
        assert(str_equal(buf_str(&back), payload));
    buf_free(&back);
    frame_unref(frame);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const checks[])(struct str) = {check_payload, check_binary, check_query,
                                                 check_form, check_script};
    struct fuzz_input input = {bytes, size};
    uint8_t which = fuzz_byte(&input) % (sizeof(checks) / sizeof(checks[0]));
    struct str rest = fuzz_rest(&input);
    char *copy = (char *)fuzz_copy(rest);

    checks[which](str_of(copy, rest.size));
    free(copy);
    return 0;
}
