#include "packet.h"

#include "base/js_number.h"

#include <math.h>
#include <stdlib.h>

enum {
    EXACT_DIGITS = 19,   /* decimal digits that fit uint64_t always */
    FINITE_DIGITS = 309, /* a longer integer is infinite as a double */
};

/* Names that applications would mistake for their own events. */
static const struct str reserved_names[] = {
    {"connect",        7 },
    {"connect_error",  13},
    {"disconnect",     10},
    {"disconnecting",  13},
    {"newListener",    11},
    {"removeListener", 14},
};

/* --- JavaScript's numbers ------------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static double digits_value(const char *at, size_t count)
{
    while (count > 0 && *at == '0')
        at++, count--;
    if (count > FINITE_DIGITS)
        return INFINITY;
    if (count > EXACT_DIGITS) {
        char copy[FINITE_DIGITS + 1];

        memcpy(copy, at, count);
        copy[count] = '\0';
        return strtod(copy, NULL);
    }

    uint64_t value = 0;
    for (size_t i = 0; i < count; i++)
        value = value * 10 + (uint64_t)(at[i] - '0');
    return (double)value;
}

/* The run of digits and white space from `at` on, as Number() reads it. */
static const char *read_id(const char *at, const char *end, double *id)
{
    const char *first, *last;

    at = js_skip_spaces(at, end);
    for (first = at; at < end && is_digit(*at); at++)
        ;
    last = at;
    at = js_skip_spaces(at, end);
    *id = digits_value(first, (size_t)(last - first));
    while (at < end && is_digit(*at)) {
        *id = NAN; /* white space between digits */
        while (at < end && is_digit(*at))
            at++;
        at = js_skip_spaces(at, end);
    }
    return at;
}

/* --- the head -------------------------------------------------------------------------------- */

static bool fail(struct sio_incoming *in, const char *error)
{
    in->error = error;
    return false;
}

/* Number() of the first character: white space, and no text at all, is 0. */
static const char *read_type(const char *at, const char *end, struct sio_incoming *in)
{
    static const char *const unknown[] = {
        "unknown packet type 7",
        "unknown packet type 8",
        "unknown packet type 9",
    };
    size_t width = js_space(at, end);

    in->type = SIO_CONNECT;
    if (at == end || width > 0)
        return at + width;
    if (!is_digit(*at)) {
        in->error = "unknown packet type NaN";
        return NULL;
    }
    if (*at > '6') {
        in->error = unknown[*at - '7'];
        return NULL;
    }
    in->type = (enum sio_packet_type)(*at - '0');
    return at + 1;
}

static const char *read_count(const char *at, const char *end, uint32_t max_attachments,
                              struct sio_incoming *in)
{
    const char *dash = memchr(at, '-', (size_t)(end - at));
    double count = dash ? js_number(str_of(at, (size_t)(dash - at))) : NAN;

    if (!isfinite(count) || count < 1 || floor(count) != count) {
        in->error = "Illegal attachments";
        return NULL;
    }
    if (count > max_attachments) {
        in->too_many = true;
        in->error = "too many attachments";
        return NULL;
    }
    in->due = (uint32_t)count;
    return dash + 1;
}

bool sio_decoder_head(struct sio_decoder *decoder, uint8_t *bytes, size_t size,
                      uint32_t max_attachments, struct sio_incoming *in)
{
    const char *at = (const char *)bytes, *end = at + size;

    *in = (struct sio_incoming){.size = size, .limit = SIZE_MAX};
    if (decoder->pending)
        return fail(in, "got plaintext data when reconstructing a packet");
    at = read_type(at, end, in);
    if (!at)
        return false;

    if (in->type >= SIO_BINARY_EVENT) {
        in->type = in->type == SIO_BINARY_EVENT ? SIO_EVENT : SIO_ACK;
        at = read_count(at, end, max_attachments, in);
        if (!at)
            return false;
    }

    in->nsp = STR("/");
    if (at < end && *at == '/') {
        const char *comma = memchr(at, ',', (size_t)(end - at));

        in->nsp = str_of(at, (size_t)((comma ? comma : end) - at));
        at = comma ? comma + 1 : end;
    }

    if (at < end && (is_digit(*at) || js_space(at, end) > 0)) {
        in->has_id = true;
        at = read_id(at, end, &in->id);
    }
    in->has_payload = at < end;
    in->payload = str_of(at, (size_t)(end - at));
    return true;
}

/* --- the payload ----------------------------------------------------------------------------- */

static bool is_json_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool sio_name_is_reserved(struct str name)
{
    for (size_t i = 0; i < sizeof(reserved_names) / sizeof(reserved_names[0]); i++) {
        if (str_equal(name, reserved_names[i]))
            return true;
    }
    return false;
}

/* The end of a string or number that starts at `at` in checked text. */
static char *scalar_end(char *at)
{
    if (*at != '"') {
        while (is_digit(*at) || *at == '-' || *at == '+' || *at == '.' || (*at | 0x20) == 'e')
            at++;
        return at;
    }
    for (at++; *at != '"'; at++) {
        if (*at == '\\')
            at++;
    }
    return at + 1;
}

/* Decodes a name with escapes over itself: it only gets shorter. */
static bool decode_name(struct sio_incoming *in, char *at, size_t size)
{
    struct buf decoded;
    bool ok;

    in->name = str_of(at + 1, size - 2);
    if (!memchr(at, '\\', size))
        return true;

    buf_init(&decoded, size);
    ok = json_string_decode(&decoded, str_of(at, size));
    if (ok) {
        memcpy(at + 1, decoded.at, decoded.size);
        in->name.size = decoded.size;
    }
    buf_free(&decoded);
    return ok || fail(in, "out of memory");
}

static void number_name(struct sio_incoming *in, struct str raw)
{
    int64_t integer;
    double real;
    size_t size = json_number_decode(raw, &integer, &real)
                      ? sio_number_text((double)integer, in->number_name)
                      : sio_number_text(real, in->number_name);

    in->name = str_of(in->number_name, size);
}

/* Takes the event's name out of a checked array: the arguments become an array of their own by
 * writing its '[' over the comma, so that nothing is copied. */
static bool split_event(struct sio_incoming *in)
{
    char *at = (char *)in->payload.at + 1, *name;

    while (is_json_space(*at))
        at++;
    name = at;
    if (*name != '"' && *name != '-' && !is_digit(*name))
        return fail(in, "invalid payload");
    at = scalar_end(name);
    while (is_json_space(*at))
        at++;
    /* Before the name is decoded: that moves nothing behind it, but shortens it. */
    if (*at == ',') {
        *at = '[';
        in->args.json = str_of(at, (size_t)(in->payload.at + in->payload.size - at));
    } else {
        in->args.json = STR("[]");
    }

    if (*name != '"') {
        number_name(in, str_of(name, (size_t)(scalar_end(name) - name)));
        return true;
    }
    if (!decode_name(in, name, (size_t)(scalar_end(name) - name)))
        return false;
    return !sio_name_is_reserved(in->name) || fail(in, "invalid payload");
}

static bool payload_fits(enum sio_packet_type type, char first)
{
    switch (type) {
    case SIO_CONNECT:
        return first == '{';
    case SIO_CONNECT_ERROR:
        return first == '{' || first == '"';
    case SIO_EVENT:
    case SIO_ACK:
        return first == '[';
    default:
        return false;
    }
}

static bool read_payload(struct sio_incoming *in)
{
    if (!payload_fits(in->type, in->payload.at[0]) || !json_check(in->payload))
        return fail(in, "invalid payload");
    while (is_json_space(in->payload.at[in->payload.size - 1]))
        in->payload.size--;
    return true;
}

bool sio_incoming_split(struct sio_incoming *in)
{
    in->args.json = in->has_payload ? in->payload : STR("[]");
    return in->type != SIO_EVENT || !in->has_payload || split_event(in);
}

static bool check_size(struct sio_incoming *in)
{
    in->too_large = in->size > in->limit;
    return !in->too_large || fail(in, "payload too large");
}

bool sio_decoder_payload(struct sio_decoder *decoder, struct sio_incoming *in)
{
    if (!check_size(in))
        return false;
    if (in->has_payload && !read_payload(in))
        return false;
    if (in->due == 0) {
        in->complete = true;
        return sio_incoming_split(in);
    }

    /* The copy is made before the text is changed: it will be split once more, when the packet is
     * whole. Here only bad names are looked for. */
    decoder->pending = sio_assembly_new(in);
    if (!decoder->pending)
        return fail(in, "out of memory");
    if (!sio_incoming_split(in)) {
        sio_decoder_reset(decoder);
        return false;
    }
    return true;
}

bool sio_decoder_binary(struct sio_decoder *decoder, const uint8_t *bytes, size_t size,
                        struct sio_incoming *in)
{
    struct sio_assembly *assembly = decoder->pending;

    *in = (struct sio_incoming){.limit = SIZE_MAX};
    if (!assembly)
        return fail(in, "got binary data when not reconstructing a packet");
    bool ok = sio_assembly_add(assembly, bytes, size, in) && check_size(in);
    if (ok && !sio_assembly_finish(assembly, in))
        return true;

    /* Whole or faulty, it is the caller's now: `in` points into it. */
    decoder->pending = NULL;
    in->assembly = assembly;
    if (!ok)
        return false;
    if (in->has_payload && !sio_placeholders_valid(in->payload, in->args.attachment_count))
        return fail(in, "illegal attachments");
    in->complete = true;
    return sio_incoming_split(in);
}

void sio_decoder_reset(struct sio_decoder *decoder)
{
    sio_assembly_free(decoder->pending);
    decoder->pending = NULL;
}

void sio_incoming_free(struct sio_incoming *in)
{
    sio_assembly_free(in->assembly);
    in->assembly = NULL;
    free(in->text);
    in->text = NULL;
    free(in->bins);
    in->bins = NULL;
}
