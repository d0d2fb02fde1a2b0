/*
 * packet: Socket.IO packets (protocol 5), read as the reference reads them and written as the
 * reference writes them: as text with binary attachments, or as MessagePack.
 *
 * A struct sio_codec is one of the two; a server has one. What follows is about text. Reading a
 * text message takes two steps, so that the caller can look at namespace and limits
 * before the payload is looked at:
 *   sio_decoder_head()     type, attachment count, namespace, ack id
 *   sio_decoder_payload()  grammar and shape of the payload; name and arguments of events
 * Binary packets are then complete when sio_decoder_binary() has taken their attachments.
 *
 * Callers   client (reading), socket, broadcast, ack (writing).
 * Owner     a client embeds a decoder, which owns the attachments of an incomplete packet. What a
 *           complete packet points to lives until sio_incoming_free(), at most as long as the
 *           message's bytes, which are changed in place.
 * Threads   the worker's own.
 * Units     bytes.
 * Errors    reading: false, and `error` is the reference's text. Writing: NULL when out of memory.
 * Source    protocol/socket-io.md, 1; vectors socket-io-v5-parser.json; socket.io-msgpack-parser 3.
 */
#ifndef SKUA_SOCKETIO_PACKET_H
#define SKUA_SOCKETIO_PACKET_H

#include "socketio/socketio.h"

enum sio_packet_type {
    SIO_CONNECT,
    SIO_DISCONNECT,
    SIO_EVENT,
    SIO_ACK,
    SIO_CONNECT_ERROR,
    SIO_BINARY_EVENT, /* on the wire only: an incoming packet's type is SIO_EVENT */
    SIO_BINARY_ACK,
};

enum {
    SIO_NUMBER_TEXT_MAX = 32, /* the longest text of a JavaScript number has 24 characters */
};

struct sio_assembly;

struct sio_decoder {
    struct sio_assembly *pending; /* NULL: no attachments are due */
};

struct sio_incoming {
    enum sio_packet_type type;
    struct str nsp;
    bool has_id;
    double id; /* may be NaN or infinite: the reference takes any run of digits and spaces */
    bool has_payload;
    struct str payload; /* CONNECT, CONNECT_ERROR: the JSON text */
    struct str name;    /* EVENT: decoded */
    struct sio_args args;

    size_t size;  /* text and attachments so far */
    size_t limit; /* of `size`; SIZE_MAX after sio_decoder_head(), the caller may lower it */
    bool too_large;
    bool too_many; /* attachments */
    bool complete; /* else attachments are due */
    const char *error;

    uint32_t due; /* attachments announced */
    struct sio_assembly *assembly;
    char *text;       /* MessagePack: the payload as JSON */
    struct str *bins; /* and its binary values, slices of the message */
    char number_name[SIO_NUMBER_TEXT_MAX];
};

bool sio_decoder_head(struct sio_decoder *decoder, uint8_t *bytes, size_t size,
                      uint32_t max_attachments, struct sio_incoming *in);
bool sio_decoder_payload(struct sio_decoder *decoder, struct sio_incoming *in);
bool sio_decoder_binary(struct sio_decoder *decoder, const uint8_t *bytes, size_t size,
                        struct sio_incoming *in);

/* Frees what an incomplete packet holds. */
void sio_decoder_reset(struct sio_decoder *decoder);

/* Takes an event's name out of a payload that is good JSON. */
bool sio_incoming_split(struct sio_incoming *in);

/* Frees the attachments of a complete packet. Needed after failures too. */
void sio_incoming_free(struct sio_incoming *in);

/* --- attachments (packet_assembly.c) ------------------------------------------------------- */

/* A copy of the packet that waits for its attachments. */
struct sio_assembly *sio_assembly_new(const struct sio_incoming *in);
void sio_assembly_free(struct sio_assembly *assembly);

/* False when out of memory or over the limit (told by in->error). */
bool sio_assembly_add(struct sio_assembly *assembly, const uint8_t *bytes, size_t size,
                      struct sio_incoming *in);

/* Whether all attachments are in; then `in` is the packet, its payload not split again yet. */
bool sio_assembly_finish(struct sio_assembly *assembly, struct sio_incoming *in);

/* Whether every placeholder in the JSON text points to one of `count` attachments. */
bool sio_placeholders_valid(struct str json, uint32_t count);

/* --- writing (packet_encode.c) ------------------------------------------------------------- */

struct sio_packet {
    uint32_t references;
    uint32_t frame_count;
    struct frame *frames[]; /* the text, then the attachments */
};

/* Names of events that no peer may send: its application would take them for its own. */
bool sio_name_is_reserved(struct str name);

/* JavaScript's String(number) without NUL; returns its length. */
size_t sio_number_text(double number, char text[SIO_NUMBER_TEXT_MAX]);

/* `id` is the ack id's text, empty for none; `json` may be empty. The frame is an Engine.IO
 * message. */
struct frame *sio_frame_new(enum sio_packet_type type, struct str nsp, struct str id,
                            struct str json);

/* SIO_EVENT or SIO_ACK; becomes a binary packet when there are attachments. */
struct sio_packet *sio_packet_new(enum sio_packet_type type, struct str nsp, struct str id,
                                  const struct sio_args *args);

/* --- codecs (codec.c, packet_msgpack.c) ------------------------------------------------------ */

struct sio_codec {
    enum frame_kind first; /* of a packet's first message */
    bool (*head)(struct sio_decoder *decoder, uint8_t *bytes, size_t size,
                 uint32_t max_attachments, struct sio_incoming *in);
    bool (*payload)(struct sio_decoder *decoder, struct sio_incoming *in);

    /* A message of the other kind. */
    bool (*rest)(struct sio_decoder *decoder, const uint8_t *bytes, size_t size,
                 struct sio_incoming *in);
    struct frame *(*frame)(enum sio_packet_type type, struct str nsp, struct str id,
                           struct str json);
    struct sio_packet *(*packet)(enum sio_packet_type type, struct str nsp, struct str id,
                                 const struct sio_args *args);
};

extern const struct sio_codec sio_codec_json;
extern const struct sio_codec sio_codec_msgpack;

#endif
