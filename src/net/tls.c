#include "net/tls_private.h"

#include <assert.h>
#include <stdlib.h>

/*
 * During the handshake BearSSL's engine reads and writes; it is fed no byte behind the record that
 * completes it. Then its two record ciphers are copied out (plain structures that point only to
 * constants) and it is freed. What makes it a server's or a client's is in tls_context.c and
 * tls_client.c.
 */

enum {
    RECORD_HEAD = 5,
    VERSION = 0x0303, /* TLS 1.2 */

    TYPE_ALERT = 21,
    TYPE_HANDSHAKE = 22,
    TYPE_DATA = 23,

    ALERT_WARNING = 1,
    ALERT_FATAL = 2,
    CLOSE_NOTIFY = 0,
    UNEXPECTED_MESSAGE = 10,
    BAD_RECORD_MAC = 20,
    RECORD_OVERFLOW = 22,
    PROTOCOL_VERSION = 70,
    NO_RENEGOTIATION = 100,

    /* A peer may ask for what we refuse, but not for ever; no use is known for empty records. */
    NUISANCES_MAX = 16,

    OUTPUT_MAX = 1024 * 1024, /* more than the longest chain of certificates */
};

union cipher_in {
    const br_sslrec_in_class *class;
    br_sslrec_gcm_context gcm;
    br_sslrec_chapol_context chapol;
};

union cipher_out {
    const br_sslrec_out_class *class;
    br_sslrec_gcm_context gcm;
    br_sslrec_chapol_context chapol;
};

struct tls {
    struct tls_context *context;     /* NULL: a client */
    struct tls_handshake *handshake; /* NULL when it is done */
    uint8_t *kept;                   /* an incomplete record */
    uint8_t *output;
    uint32_t kept_size;
    uint32_t output_at, output_size;
    uint16_t record_size;
    uint8_t nuisances;
    bool close_said;
    bool failed;
    const char *failure;
    union cipher_in in;
    union cipher_out out;
};

static_assert(sizeof(struct tls) <= 768, "an idle connection must stay small");

/* ---- output ---- */

static bool add_output(struct tls *tls, const uint8_t *bytes, size_t size)
{
    size_t left = tls->output_size - tls->output_at;

    if (size > OUTPUT_MAX - left)
        return false;

    uint8_t *grown = malloc(left + size);

    if (!grown)
        return false;
    if (left > 0)
        memcpy(grown, tls->output + tls->output_at, left);
    memcpy(grown + left, bytes, size);
    free(tls->output);
    tls->output = grown;
    tls->output_at = 0;
    tls->output_size = (uint32_t)(left + size);
    return true;
}

static size_t seal(struct tls *tls, uint8_t type, uint8_t *record, size_t size)
{
    const uint8_t *sealed =
        tls->out.class->encrypt(&tls->out.class, type, VERSION, record + tls_head(tls), &size);

    assert(sealed == record);
    return size;
}

static void say(struct tls *tls, uint8_t level, uint8_t alert)
{
    uint8_t record[TLS_HEAD + 2 + TLS_TAIL];

    record[tls_head(tls)] = level;
    record[tls_head(tls) + 1] = alert;
    add_output(tls, record, seal(tls, TYPE_ALERT, record, 2)); /* best effort */
}

static enum tls_result fail(struct tls *tls, const char *why)
{
    tls->failed = true;
    tls->failure = why;
    return TLS_FAILED;
}

static enum tls_result fail_with(struct tls *tls, uint8_t alert, const char *why)
{
    say(tls, ALERT_FATAL, alert);
    tls->close_said = true;
    return fail(tls, why);
}

/* ---- the handshake ---- */

static void free_handshake(struct tls *tls)
{
    if (!tls->handshake)
        return;
    tls->handshake->release(tls->handshake);
    tls->handshake = NULL;
}

/* Moves all that the engine wants to send to the output. */
static bool drain(struct tls *tls, br_ssl_engine_context *engine)
{
    const uint8_t *bytes;
    size_t size;

    while ((bytes = br_ssl_engine_sendrec_buf(engine, &size))) {
        if (!add_output(tls, bytes, size))
            return false;
        br_ssl_engine_sendrec_ack(engine, size);
    }
    return true;
}

static void establish(struct tls *tls, const br_ssl_engine_context *engine)
{
    memcpy(&tls->in, &engine->in, sizeof(tls->in));
    memcpy(&tls->out, &engine->out, sizeof(tls->out));
    /* Only what the client asked for: our own limit was that of the handshake's buffers. */
    tls->record_size = engine->peer_log_max_frag_len != 0
                           ? (uint16_t)(1U << engine->peer_log_max_frag_len)
                           : TLS_RECORD_MAX;
    free_handshake(tls);
}

/* Feeds the engine; returns how many bytes it took. */
static size_t shake(struct tls *tls, const uint8_t *bytes, size_t size)
{
    br_ssl_engine_context *engine = tls->handshake->engine;
    size_t used = 0;

    for (;;) {
        if (!drain(tls, engine)) {
            fail(tls, "out of memory");
            return used;
        }

        unsigned state = br_ssl_engine_current_state(engine);

        if (state == BR_SSL_CLOSED) {
            fail(tls, tls->handshake->words_of(br_ssl_engine_last_error(engine)));
            return used;
        }
        if (state & BR_SSL_SENDAPP) {
            establish(tls, engine);
            return used;
        }

        size_t room;
        uint8_t *to = br_ssl_engine_recvrec_buf(engine, &room);

        if (!to || used == size)
            return used;
        if (room > size - used)
            room = size - used;
        memcpy(to, bytes + used, room);
        used += room;
        br_ssl_engine_recvrec_ack(engine, room);
    }
}

/* ---- records ---- */

static enum tls_result on_alert(struct tls *tls, const uint8_t *alert, size_t size)
{
    if (size != 2)
        return fail_with(tls, UNEXPECTED_MESSAGE, "malformed alert");
    if (alert[1] == CLOSE_NOTIFY)
        return TLS_ENDED;
    if (alert[0] != ALERT_WARNING)
        return fail(tls, "the peer sent a fatal alert");
    return TLS_GOES_ON;
}

/* Alerts that are none of ours, empty records, wishes to renegotiate. */
static enum tls_result bear(struct tls *tls)
{
    if (++tls->nuisances > NUISANCES_MAX)
        return fail_with(tls, UNEXPECTED_MESSAGE, "too many records without data");
    return TLS_GOES_ON;
}

static enum tls_result on_record(struct tls *tls, uint8_t type, const uint8_t *body,
                                 size_t size)
{
    enum tls_result result;

    switch (type) {
    case TYPE_DATA:
        return size > 0 ? TLS_GOES_ON : bear(tls);
    case TYPE_ALERT:
        result = on_alert(tls, body, size);
        return result == TLS_GOES_ON ? bear(tls) : result;
    case TYPE_HANDSHAKE:
        /* Renegotiation, as nothing else is left to say: once is answered, then suffered. */
        if (tls->nuisances == 0)
            say(tls, ALERT_WARNING, NO_RENEGOTIATION);
        return bear(tls);
    default:
        return fail_with(tls, UNEXPECTED_MESSAGE, "a record of an unknown type");
    }
}

/* The first record of `bytes`; *size becomes its length, 0 when it is not complete. */
static enum tls_result open_record(struct tls *tls, uint8_t *bytes, size_t *size,
                                   uint8_t **body, size_t *body_size)
{
    size_t left = *size;

    *size = *body_size = 0;
    if (left < RECORD_HEAD)
        return TLS_GOES_ON;

    size_t length = (size_t)bytes[3] << 8 | bytes[4];

    if (bytes[1] != VERSION >> 8 || bytes[2] != (VERSION & 0xff))
        return fail_with(tls, PROTOCOL_VERSION, "a record of another version");
    if (!tls->in.class->check_length(&tls->in.class, length))
        return fail_with(tls, RECORD_OVERFLOW, "a record of a forbidden size");
    if (left - RECORD_HEAD < length)
        return TLS_GOES_ON;

    uint8_t type = bytes[0];

    *size = RECORD_HEAD + length;
    *body_size = length;
    *body =
        tls->in.class->decrypt(&tls->in.class, type, VERSION, bytes + RECORD_HEAD, body_size);
    if (!*body) {
        *body_size = 0;
        return fail_with(tls, BAD_RECORD_MAC, "a record that was tampered with");
    }

    enum tls_result result = on_record(tls, type, *body, *body_size);

    if (type != TYPE_DATA)
        *body_size = 0;
    return result;
}

static enum tls_result keep(struct tls *tls, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return TLS_GOES_ON;
    tls->kept = malloc(size);
    if (!tls->kept)
        return fail(tls, "out of memory");
    memcpy(tls->kept, bytes, size);
    tls->kept_size = (uint32_t)size;
    return TLS_GOES_ON;
}

/* Opens the records of an established connection; the plain bytes of all are put together. */
static enum tls_result open_records(struct tls *tls, uint8_t *bytes, size_t size,
                                    uint8_t **plain, size_t *plain_size)
{
    for (size_t at = 0;;) {
        size_t record = size - at, body_size;
        uint8_t *body = NULL;
        enum tls_result result = open_record(tls, bytes + at, &record, &body, &body_size);

        if (body_size > 0) {
            if (*plain_size == 0)
                *plain = body;
            else
                memmove(*plain + *plain_size, body, body_size);
            *plain_size += body_size;
        }
        if (result != TLS_GOES_ON)
            return result;
        if (record == 0)
            return keep(tls, bytes + at, size - at);
        at += record;
    }
}

/* ---- interface ---- */

struct tls *tls_start(struct tls_handshake *handshake, struct tls_context *context)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (!tls) {
        handshake->release(handshake);
        return NULL;
    }
    tls->handshake = handshake;
    if (context)
        tls->context = tls_context_ref(context);
    shake(tls, NULL, 0); /* a client speaks first */
    return tls;
}

void tls_free(struct tls *tls)
{
    if (!tls)
        return;
    free_handshake(tls);
    free(tls->kept);
    free(tls->output);
    if (tls->context)
        tls_context_unref(tls->context);
    explicit_bzero(tls, sizeof(*tls));
    free(tls);
}

bool tls_established(const struct tls *tls)
{
    return !tls->handshake;
}

size_t tls_kept(const struct tls *tls, uint8_t *buffer)
{
    if (tls->kept_size > 0)
        memcpy(buffer, tls->kept, tls->kept_size);
    return tls->kept_size;
}

enum tls_result tls_open(struct tls *tls, uint8_t *buffer, size_t size, uint8_t **plain,
                         size_t *plain_size)
{
    size_t used = 0;

    *plain = buffer;
    *plain_size = 0;
    free(tls->kept);
    tls->kept = NULL;
    tls->kept_size = 0;
    if (tls->failed)
        return TLS_FAILED;
    if (tls->handshake) {
        used = shake(tls, buffer, size);
        if (tls->failed)
            return TLS_FAILED;
        if (tls->handshake)
            return TLS_GOES_ON;
    }
    return open_records(tls, buffer + used, size - used, plain, plain_size);
}

size_t tls_head(const struct tls *tls)
{
    size_t start = RECORD_HEAD, end = TLS_WIRE_MAX;

    tls->out.class->max_plaintext(&tls->out.class, &start, &end);
    return start;
}

size_t tls_record_size(const struct tls *tls)
{
    return tls->record_size;
}

size_t tls_seal(struct tls *tls, uint8_t *record, size_t size)
{
    assert(!tls->handshake && size <= tls->record_size);
    return seal(tls, TYPE_DATA, record, size);
}

void tls_close(struct tls *tls)
{
    if (tls->handshake || tls->close_said)
        return;
    tls->close_said = true;
    say(tls, ALERT_WARNING, CLOSE_NOTIFY);
}

struct str tls_output(const struct tls *tls)
{
    return str_of(tls->output ? tls->output + tls->output_at : NULL,
                  tls->output_size - tls->output_at);
}

void tls_output_sent(struct tls *tls, size_t size)
{
    tls->output_at += (uint32_t)size;
    assert(tls->output_at <= tls->output_size);
    if (tls->output_at < tls->output_size)
        return;
    free(tls->output);
    tls->output = NULL;
    tls->output_at = tls->output_size = 0;
}

bool tls_hold(struct tls *tls, const uint8_t *bytes, size_t size)
{
    return add_output(tls, bytes, size);
}

const char *tls_failure(const struct tls *tls)
{
    return tls->failed ? tls->failure : "";
}

void tls_log_failure(const struct tls *tls, const char *address)
{
    if (tls->context && tls->context->log)
        log_debug(tls->context->log, "TLS connection failed", log_text("address", address),
                  log_text("reason", tls_failure(tls)), LOG_END);
}
