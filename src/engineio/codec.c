#include "engineio/payload_v3.h"
#include "engineio/private.h"

/* Spellings of a frame: frame_spelled(). */
enum spelling {
    SPELLING_BASE64 = 1,
    SPELLING_V3_TYPED,
    SPELLING_V3_BASE64,
};

static bool is_v3(const struct eio_session *session)
{
    return session->protocol == 3;
}

void eio_codec_packet(const struct eio_session *session, enum frame_kind kind, uint8_t *bytes,
                      size_t size, struct eio_packet *packet)
{
    if (is_v3(session))
        eio_v3_packet_decode(kind, bytes, size, packet);
    else
        eio_packet_decode(kind, bytes, size, packet);
}

void eio_codec_begin(const struct eio_session *session, enum frame_kind form,
                     struct eio_payload *payload, uint8_t *bytes, size_t size)
{
    if (is_v3(session))
        eio_v3_payload_begin(payload, form, bytes, size);
    else
        eio_payload_begin(payload, bytes, size);
}

bool eio_codec_next(const struct eio_session *session, struct eio_payload *payload,
                    struct eio_packet *packet)
{
    return is_v3(session) ? eio_v3_payload_next(payload, packet)
                          : eio_payload_next(payload, packet);
}

struct frame *eio_codec_frame(const struct eio_session *session, struct frame *frame)
{
    if (frame_kind(frame) == FRAME_TEXT)
        return frame;
    if (is_v3(session))
        return session->base64 ? frame_spelled(frame, SPELLING_V3_BASE64, eio_v3_packet_base64)
                               : frame_spelled(frame, SPELLING_V3_TYPED, eio_v3_packet_typed);
    return session->base64 ? frame_spelled(frame, SPELLING_BASE64, eio_packet_base64) : frame;
}

/* A script can only hold text. */
static enum frame_kind form_taken(const struct eio_session *session)
{
    return session->base64 || session->jsonp ? FRAME_TEXT : FRAME_BINARY;
}

struct frame *eio_codec_body(const struct eio_session *session, struct frame *const *frames,
                             size_t count, enum frame_kind *form)
{
    if (is_v3(session)) {
        *form = form_taken(session);
        return eio_v3_payload_encode(frames, count, form);
    }
    *form = FRAME_TEXT;
    return eio_payload_encode(frames, count);
}

struct str eio_codec_noop(const struct eio_session *session)
{
    return is_v3(session) ? STR("1:6") : STR("6");
}

struct str eio_codec_close(const struct eio_session *session)
{
    return is_v3(session) ? STR("1:1") : STR("1");
}

struct str eio_codec_noop_close(const struct eio_session *session)
{
    return is_v3(session) ? STR("1:61:1") : STR("6\x1e\x31");
}
