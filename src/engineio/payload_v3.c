#include "engineio/payload_v3.h"

#include "base/base64.h"
#include "base/js_number.h"
#include "base/utf8.h"

#include <assert.h>

enum {
    LENGTH_END = 255,        /* behind the digits of a length in the binary form */
    LENGTH_DIGITS_MAX = 310, /* of such a length, as the reference */
    DIGITS_MAX = 20,         /* of a size_t */
};

/* The marks of entries in the binary form. */
enum {
    MARK_TEXT = 0,
    MARK_BINARY = 1,
};

static const struct str base64_mark = {"b4", 2};

/* --- packets ------------------------------------------------------------------------------ */

static enum eio_packet_type type_of(int value)
{
    return value >= 0 && value <= EIO_PACKET_NOOP ? (enum eio_packet_type)value
                                                  : EIO_PACKET_NOOP;
}

static void decode_binary(uint8_t *bytes, size_t size, struct eio_packet *packet)
{
    packet->kind = FRAME_BINARY;
    packet->type = size > 0 ? type_of(bytes[0]) : EIO_PACKET_NOOP;
    packet->data = bytes + (size > 0);
    packet->size = size - (size > 0);
}

static void decode_base64(uint8_t *text, size_t size, struct eio_packet *packet)
{
    packet->kind = FRAME_BINARY;
    packet->type = size > 0 ? type_of(text[0] - '0') : EIO_PACKET_NOOP;
    packet->data = text + (size > 0);
    packet->size = size > 0 ? base64_decode(packet->data, (char *)packet->data, size - 1) : 0;
}

void eio_v3_packet_decode(enum frame_kind kind, uint8_t *bytes, size_t size,
                          struct eio_packet *packet)
{
    if (kind == FRAME_BINARY)
        decode_binary(bytes, size, packet);
    else if (size > 0 && bytes[0] == 'b')
        decode_base64(bytes + 1, size - 1, packet);
    else
        eio_packet_decode(FRAME_TEXT, bytes, size, packet);
}

struct frame *eio_v3_packet_typed(const struct frame *binary)
{
    struct str body = frame_body(binary);
    struct frame *frame = frame_new(FRAME_BINARY, body.size + 1);

    if (!frame)
        return NULL;
    uint8_t *to = frame_payload(frame);
    to[0] = EIO_PACKET_MESSAGE;
    memcpy(to + 1, body.at, body.size);
    return frame;
}

static size_t base64_size(const struct frame *binary)
{
    return base64_mark.size + base64_encoded_size(frame_body(binary).size);
}

static void put_base64(char *to, const struct frame *binary)
{
    struct str body = frame_body(binary);

    memcpy(to, base64_mark.at, base64_mark.size);
    base64_encode(to + base64_mark.size, body.at, body.size);
}

struct frame *eio_v3_packet_base64(const struct frame *binary)
{
    struct frame *frame = frame_new(FRAME_TEXT, base64_size(binary));

    if (frame)
        put_base64((char *)frame_payload(frame), binary);
    return frame;
}

/* --- reading bodies ----------------------------------------------------------------------- */

void eio_v3_payload_begin(struct eio_payload *payload, enum frame_kind form, uint8_t *bytes,
                          size_t size)
{
    eio_payload_begin(payload, bytes, size);
    payload->binary = form == FRAME_BINARY;
    payload->empty = size == 0;
}

static bool end_in_error(struct eio_payload *payload, struct eio_packet *packet)
{
    payload->finished = true;
    packet->type = EIO_PACKET_ERROR;
    return true;
}

/* Takes "<length>:" off the payload and finds the bytes behind it that it counts. */
static bool take_text_length(struct eio_payload *payload, size_t *size)
{
    uint8_t *colon = memchr(payload->at, ':', payload->left);
    struct str length = str_of(payload->at, colon ? (size_t)(colon - payload->at) : 0);

    if (length.size == 0)
        return false;

    double units = js_number(length);
    struct str rest = str_of(colon + 1, payload->left - length.size - 1);
    /* Written so that NaN fails too. */
    if (!(units >= 0 && units <= (double)rest.size) || units != (double)(size_t)units)
        return false;
    *size = utf8_utf16_prefix(rest, (size_t)units);
    payload->at = colon + 1;
    payload->left = rest.size;
    return *size != SIZE_MAX;
}

static bool next_text(struct eio_payload *payload, struct eio_packet *packet)
{
    size_t size = 0;

    if (payload->empty)
        return end_in_error(payload, packet);
    while (payload->left > 0 && size == 0) {
        if (!take_text_length(payload, &size))
            return end_in_error(payload, packet);
    }
    if (size == 0)
        return false;
    eio_v3_packet_decode(FRAME_TEXT, payload->at, size, packet);
    payload->at += size;
    payload->left -= size;
    payload->finished = packet->type == EIO_PACKET_ERROR;
    return true;
}

/* Takes mark, digits and end of a length off the payload. The length may be more than what is
 * left: the reference then takes what there is. */
static bool take_binary_length(struct eio_payload *payload, size_t *size)
{
    size_t i = 1, length = 0;

    for (; i < payload->left && payload->at[i] != LENGTH_END; i++) {
        if (payload->at[i] > 9 || i > LENGTH_DIGITS_MAX)
            return false;
        length = length < SIZE_MAX / 100 ? length * 10 + payload->at[i] : length;
    }
    if (i == 1 || i >= payload->left)
        return false;
    payload->at += i + 1;
    payload->left -= i + 1;
    *size = length < payload->left ? length : payload->left;
    return true;
}

static bool next_binary(struct eio_payload *payload, struct eio_packet *packet)
{
    bool text = payload->left > 0 && payload->at[0] == MARK_TEXT;
    size_t size;

    if (payload->left == 0)
        return false;
    if (!take_binary_length(payload, &size) || (text && !utf8_valid(payload->at, size)))
        return end_in_error(payload, packet);
    eio_v3_packet_decode(text ? FRAME_TEXT : FRAME_BINARY, payload->at, size, packet);
    payload->at += size;
    payload->left -= size;
    payload->finished = packet->type == EIO_PACKET_ERROR;
    return true;
}

bool eio_v3_payload_next(struct eio_payload *payload, struct eio_packet *packet)
{
    if (payload->finished)
        return false;
    return payload->binary ? next_binary(payload, packet) : next_text(payload, packet);
}

/* --- writing bodies ----------------------------------------------------------------------- */

/* The decimal digits of a number, each put on `base`; returns how many. */
static size_t put_digits(char *to, size_t number, char base)
{
    char digits[DIGITS_MAX];
    size_t count = 0;

    do {
        digits[count++] = (char)(base + (char)(number % 10));
        number /= 10;
    } while (number > 0);
    for (size_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

static size_t digits_of(size_t number)
{
    char digits[DIGITS_MAX];

    return put_digits(digits, number, '0');
}

static bool is_binary(const struct frame *frame)
{
    return frame_kind(frame) == FRAME_BINARY;
}

static size_t text_entry_size(const struct frame *frame)
{
    struct str body = frame_body(frame);

    if (is_binary(frame))
        return digits_of(base64_size(frame)) + 1 + base64_size(frame);
    return digits_of(utf8_utf16_units(body)) + 1 + body.size;
}

static char *put_text_entry(char *to, const struct frame *frame)
{
    struct str body = frame_body(frame);

    to += put_digits(to, is_binary(frame) ? base64_size(frame) : utf8_utf16_units(body), '0');
    *to++ = ':';
    if (is_binary(frame)) {
        put_base64(to, frame);
        return to + base64_size(frame);
    }
    memcpy(to, body.at, body.size);
    return to + body.size;
}

static size_t binary_entry_size(const struct frame *frame)
{
    size_t size = frame_body(frame).size + is_binary(frame);

    return 1 + digits_of(size) + 1 + size;
}

static char *put_binary_entry(char *to, const struct frame *frame)
{
    struct str body = frame_body(frame);

    *to++ = is_binary(frame) ? MARK_BINARY : MARK_TEXT;
    to += put_digits(to, body.size + is_binary(frame), 0);
    *to++ = (char)LENGTH_END;
    if (is_binary(frame))
        *to++ = EIO_PACKET_MESSAGE;
    memcpy(to, body.at, body.size);
    return to + body.size;
}

static bool any_binary(struct frame *const *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (is_binary(frames[i]))
            return true;
    }
    return false;
}

struct frame *eio_v3_payload_encode(struct frame *const *frames, size_t count,
                                    enum frame_kind *form)
{
    size_t size = 0;

    assert(count > 0);
    if (*form == FRAME_BINARY && !any_binary(frames, count))
        *form = FRAME_TEXT;
    for (size_t i = 0; i < count; i++)
        size +=
            *form == FRAME_BINARY ? binary_entry_size(frames[i]) : text_entry_size(frames[i]);

    struct frame *body = frame_new(FRAME_RAW, size);
    if (!body)
        return NULL;
    char *to = (char *)frame_payload(body);
    for (size_t i = 0; i < count; i++)
        to = *form == FRAME_BINARY ? put_binary_entry(to, frames[i])
                                   : put_text_entry(to, frames[i]);
    assert(to == (char *)frame_payload(body) + size);
    return body;
}
