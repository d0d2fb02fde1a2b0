#include "private.h"

#include <stdio.h>

const struct sio_codec sio_codec_json = {
    .first = FRAME_TEXT,
    .head = sio_decoder_head,
    .payload = sio_decoder_payload,
    .rest = sio_decoder_binary,
    .frame = sio_frame_new,
    .packet = sio_packet_new,
};

struct frame *sio_namespace_frame(const struct sio_namespace *nsp, enum sio_packet_type type,
                                  struct str json)
{
    return nsp->server->codec->frame(type, nsp->name, STR(""), json);
}

struct sio_packet *sio_packet_event(const struct sio_namespace *nsp,
                                    const struct sio_args *event_json, const uint64_t *ack)
{
    char text[SIO_NUMBER_TEXT_MAX];
    int size = ack ? snprintf(text, sizeof(text), "%llu", (unsigned long long)*ack) : 0;

    return nsp->server->codec->packet(SIO_EVENT, nsp->name, str_of(text, (size_t)size),
                                      event_json);
}
