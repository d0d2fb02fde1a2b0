#include "packet.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double SAFE_INTEGER = 9007199254740992.0; /* 2^53 */

size_t sio_number_text(double number, char text[SIO_NUMBER_TEXT_MAX])
{
    struct buf written;
    size_t size = 0;

    if (number >= 0 && number < SAFE_INTEGER && floor(number) == number)
        return (size_t)snprintf(text, SIO_NUMBER_TEXT_MAX, "%llu", (unsigned long long)number);
    if (!isfinite(number)) {
        const char *name = isnan(number) ? "NaN" : number < 0 ? "-Infinity" : "Infinity";

        size = strlen(name);
        memcpy(text, name, size);
        return size;
    }
    buf_init(&written, SIO_NUMBER_TEXT_MAX);
    if (json_write_double(&written, number)) {
        size = written.size;
        memcpy(text, written.at, size);
    }
    buf_free(&written);
    return size;
}

static char *put(char *to, struct str text)
{
    memcpy(to, text.at, text.size);
    return to + text.size;
}

/* `count` is empty or a binary packet's "<count>-"; an offset becomes the array's last item. */
static struct frame *frame_with(enum sio_packet_type type, struct str count, struct str nsp,
                                struct str id, struct str json, struct str offset)
{
    struct str shown = str_equal(nsp, STR("/")) ? STR("") : nsp;
    size_t added = offset.size > 0 ? offset.size + 3 : 0; /* comma and quotes */
    size_t size = 1 + count.size + shown.size + (shown.size > 0) + id.size + json.size + added;
    char *to, *start;
    struct frame *frame = eio_text_message(size, &to);

    if (!frame)
        return NULL;
    start = to;
    *to++ = (char)('0' + type);
    to = put(to, count);
    to = put(to, shown);
    if (shown.size > 0)
        *to++ = ',';
    to = put(to, id);
    to = put(to, json);
    if (offset.size > 0) {
        assert(to[-1] == ']');
        to[-1] = ',';
        *to++ = '"';
        to = put(to, offset);
        *to++ = '"';
        *to++ = ']';
    }
    assert((size_t)(to - start) == size);
    return frame;
}

struct frame *sio_frame_new(enum sio_packet_type type, struct str nsp, struct str id,
                            struct str json)
{
    assert(type < SIO_BINARY_EVENT);
    return frame_with(type, STR(""), nsp, id, json, STR(""));
}

static bool add_attachments(struct sio_packet *packet, const struct sio_args *args)
{
    for (uint32_t i = 0; i < args->attachment_count; i++) {
        struct str bytes = args->attachments[i];
        struct frame *frame = frame_new(FRAME_BINARY, bytes.size);

        if (!frame)
            return false;
        memcpy(frame_payload(frame), bytes.at, bytes.size);
        packet->frames[packet->frame_count++] = frame;
    }
    return true;
}

struct sio_packet *sio_packet_new(enum sio_packet_type type, struct str nsp, struct str id,
                                  const struct sio_args *args)
{
    size_t frames = (size_t)args->attachment_count + 1;
    struct sio_packet *packet = malloc(sizeof(*packet) + frames * sizeof(struct frame *));
    char text[SIO_NUMBER_TEXT_MAX];
    int count = 0;

    assert(type == SIO_EVENT || type == SIO_ACK);
    if (!packet)
        return NULL;
    *packet = (struct sio_packet){.references = 1};
    if (args->attachment_count > 0) {
        type = type == SIO_EVENT ? SIO_BINARY_EVENT : SIO_BINARY_ACK;
        count = snprintf(text, sizeof(text), "%u-", args->attachment_count);
    }
    packet->frames[0] =
        frame_with(type, str_of(text, (size_t)count), nsp, id, args->json, args->offset);
    if (packet->frames[0]) {
        packet->frame_count = 1;
        if (add_attachments(packet, args))
            return packet;
    }
    sio_packet_unref(packet);
    return NULL;
}

void sio_packet_unref(struct sio_packet *packet)
{
    if (!packet)
        return;
    assert(packet->references > 0);
    if (--packet->references > 0)
        return;
    for (uint32_t i = 0; i < packet->frame_count; i++)
        frame_unref(packet->frames[i]);
    free(packet);
}
