#include "engineio/payload.h"

#include "base/base64.h"

#include <assert.h>

enum {
    SEPARATOR = 0x1e,
    BASE64_MARK = 'b',
};

void eio_packet_decode(enum frame_kind kind, uint8_t *bytes, size_t size,
                       struct eio_packet *packet)
{
    packet->type = EIO_PACKET_MESSAGE;
    packet->kind = kind;
    packet->data = bytes;
    packet->size = size;
    if (kind == FRAME_BINARY)
        return;

    if (size > 0 && bytes[0] == BASE64_MARK) {
        packet->kind = FRAME_BINARY;
        packet->data = bytes + 1;
        packet->size = base64_decode(packet->data, (const char *)packet->data, size - 1);
    } else if (size > 0 && bytes[0] >= '0' && bytes[0] <= '0' + EIO_PACKET_NOOP) {
        packet->type = (enum eio_packet_type)(bytes[0] - '0');
        packet->data = bytes + 1;
        packet->size = size - 1;
    } else {
        packet->type = EIO_PACKET_ERROR;
    }
}

void eio_payload_begin(struct eio_payload *payload, uint8_t *bytes, size_t size)
{
    payload->at = bytes;
    payload->left = size;
    payload->finished = false;
}

bool eio_payload_next(struct eio_payload *payload, struct eio_packet *packet)
{
    if (payload->finished)
        return false;

    uint8_t *start = payload->at;
    uint8_t *end = payload->left ? memchr(start, SEPARATOR, payload->left) : NULL;
    size_t size = end ? (size_t)(end - start) : payload->left;

    eio_packet_decode(FRAME_TEXT, start, size, packet);
    if (end && packet->type != EIO_PACKET_ERROR) {
        payload->at = end + 1;
        payload->left -= size + 1;
    } else {
        payload->finished = true;
    }
    return true;
}

struct frame *eio_packet_frame(enum eio_packet_type type, struct str data)
{
    struct frame *frame = frame_new(FRAME_TEXT, data.size + 1);

    if (!frame)
        return NULL;
    uint8_t *text = frame_payload(frame);
    text[0] = (uint8_t)('0' + type);
    memcpy(text + 1, data.at, data.size);
    return frame;
}

struct frame *eio_packet_base64(const struct frame *binary)
{
    struct str body = frame_body(binary);
    struct frame *frame = frame_new(FRAME_TEXT, eio_packet_body_size(binary));

    if (!frame)
        return NULL;
    char *text = (char *)frame_payload(frame);
    text[0] = BASE64_MARK;
    base64_encode(text + 1, body.at, body.size);
    return frame;
}

size_t eio_packet_body_size(const struct frame *frame)
{
    size_t size = frame_body(frame).size;

    return frame_kind(frame) == FRAME_BINARY ? 1 + base64_encoded_size(size) : size;
}

static char *put_packet(char *to, const struct frame *frame)
{
    struct str body = frame_body(frame);

    if (frame_kind(frame) == FRAME_BINARY) {
        *to = BASE64_MARK;
        base64_encode(to + 1, body.at, body.size);
    } else {
        memcpy(to, body.at, body.size);
    }
    return to + eio_packet_body_size(frame);
}

struct frame *eio_payload_encode(struct frame *const *frames, size_t count)
{
    size_t size = count - 1;

    assert(count > 0);
    for (size_t i = 0; i < count; i++)
        size += eio_packet_body_size(frames[i]);

    struct frame *body = frame_new(FRAME_RAW, size);
    if (!body)
        return NULL;
    char *to = (char *)frame_payload(body);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *to++ = SEPARATOR;
        to = put_packet(to, frames[i]);
    }
    return body;
}
