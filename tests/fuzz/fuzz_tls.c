/*
 * fuzz_tls: a client's records to net/tls. First the input alone, from the first byte of a
 * connection on; then the records of a real handshake with data behind it, in which the input
 * changes bytes, drops, repeats and cuts.
 *
 * What the server takes for data must be what the client sent, from its start on, whatever became
 * of the records. The certificate is tests/fuzz/tls.pem, made for nothing else and good until 2126.
 *
 * Input     odd first byte: records as they come. Even: changes, each an operation, two bytes of
 *           place and one of value.
 */
#include "fuzz.h"

#include "net/tls.h"

#include <bearssl.h>

enum {
    NOW_S = 1893456000, /* 2030: the certificate is good whatever the machine's clock says */
    BUFFER_SIZE = 4 * TLS_WIRE_MAX,
    WIRE_MAX = 64 * 1024,
    CHANGES_MAX = 4,
    ROUNDS_MAX = 64,
};

static const char sent[] = "GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: localhost\r\n\r\n";

struct change {
    uint8_t operation;
    uint16_t at;
    uint8_t value;
    bool done;
};

struct wire {
    struct tls *server;
    size_t taken; /* bytes of data that came out */
    uint8_t bytes[WIRE_MAX];
    size_t size;
    size_t passed; /* bytes given to the server before `bytes` */
    enum tls_result result;
};

static struct tls_context *context(void)
{
    static struct tls_context *made; /* loading takes longer than all else */
    const struct tls_files files = {"tests/fuzz/tls.pem", "tests/fuzz/tls.key"};
    struct tls_fault fault;

    if (!made)
        made = tls_context_new(&files, 1, NOW_S, NULL, &fault);
    assert(made);
    return made;
}

/* --- the server ---------------------------------------------------------------------------- */

static void receive(struct wire *wire, const uint8_t *bytes, size_t size, bool real)
{
    uint8_t *buffer = malloc(BUFFER_SIZE); /* its end is where the sanitizer looks */
    uint8_t *plain = NULL;
    size_t plain_size = 0;

    assert(buffer);
    size_t kept = tls_kept(wire->server, buffer);
    assert(kept + size <= BUFFER_SIZE);
    memcpy(buffer + kept, bytes, size);
    wire->result = tls_open(wire->server, buffer, kept + size, &plain, &plain_size);
    if (plain_size > 0) {
        assert(real && plain >= buffer && plain + plain_size <= buffer + kept + size);
        assert(wire->taken + plain_size <= sizeof(sent));
        assert(memcmp(plain, sent + wire->taken, plain_size) == 0);
        wire->taken += plain_size;
    }
    assert(wire->result != TLS_FAILED || tls_failure(wire->server)[0] != '\0');
    free(buffer);
}

static void answer(struct wire *wire)
{
    uint8_t record[TLS_HEAD + sizeof(sent) + TLS_TAIL];

    if (!tls_established(wire->server) || wire->result != TLS_GOES_ON)
        return;
    memcpy(record + tls_head(wire->server), sent, sizeof(sent));
    size_t size = tls_seal(wire->server, record, sizeof(sent));
    assert(size <= sizeof(record));
    assert(tls_hold(wire->server, record, size));
    tls_close(wire->server);
}

/* --- raw ----------------------------------------------------------------------------------- */

static void check_raw(struct wire *wire, struct fuzz_input *input)
{
    size_t step = 1 + fuzz_byte(input) * 8;
    struct str rest = fuzz_rest(input);

    while (rest.size > 0 && wire->result == TLS_GOES_ON) {
        size_t some = step < rest.size ? step : rest.size;

        receive(wire, (const uint8_t *)rest.at, some, false);
        tls_output_sent(wire->server, tls_output(wire->server).size);
        rest = str_from_index(rest, some);
    }
}

/* --- a client ------------------------------------------------------------------------------ */

/* Takes the key of any certificate: br_x509_knownkey would do, but knows the key. */
struct client {
    br_ssl_client_context ssl;
    br_x509_minimal_context minimal;
    const br_x509_class *anyone;
    br_x509_decoder_context decoder;
    uint32_t count;
    uint8_t buffers[BR_SSL_BUFSIZE_BIDI];
};

static struct client *client_of(const br_x509_class *const *anyone)
{
    return (struct client *)(uintptr_t)((const char *)anyone - offsetof(struct client, anyone));
}

static void start_chain(const br_x509_class **anyone, const char *name)
{
    (void)name;
    client_of(anyone)->count = 0;
}

static void start_cert(const br_x509_class **anyone, uint32_t size)
{
    struct client *client = client_of(anyone);

    (void)size;
    if (client->count++ == 0)
        br_x509_decoder_init(&client->decoder, NULL, NULL);
}

static void append_cert(const br_x509_class **anyone, const unsigned char *bytes, size_t size)
{
    struct client *client = client_of(anyone);

    if (client->count == 1)
        br_x509_decoder_push(&client->decoder, bytes, size);
}

static void end_cert(const br_x509_class **anyone)
{
    (void)anyone;
}

static unsigned end_chain(const br_x509_class **anyone)
{
    (void)anyone;
    return 0;
}

static const br_x509_pkey *get_key(const br_x509_class *const *anyone, unsigned *usages)
{
    if (usages)
        *usages = BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX;
    return br_x509_decoder_get_pkey(&client_of(anyone)->decoder);
}

static void start_client(struct client *client)
{
    static const br_x509_class anyone = {
        .context_size = sizeof(br_x509_class *),
        .start_chain = start_chain,
        .start_cert = start_cert,
        .append = append_cert,
        .end_cert = end_cert,
        .end_chain = end_chain,
        .get_pkey = get_key,
    };
    static const uint8_t seed[32] = {1}; /* the same bytes every time */

    br_ssl_client_init_full(&client->ssl, &client->minimal, NULL, 0);
    br_ssl_engine_set_versions(&client->ssl.eng, BR_TLS12, BR_TLS12);
    client->anyone = &anyone;
    br_ssl_engine_set_x509(&client->ssl.eng, &client->anyone);
    br_ssl_engine_set_buffer(&client->ssl.eng, client->buffers, sizeof(client->buffers), 1);
    br_ssl_engine_inject_entropy(&client->ssl.eng, seed, sizeof(seed));
    assert(br_ssl_client_reset(&client->ssl, "localhost", 0));
}

/* What the client sends now, and application data in two records as soon as it may. */
static void client_speaks(struct wire *wire, struct client *client, size_t *written)
{
    br_ssl_engine_context *engine = &client->ssl.eng;
    size_t size;
    uint8_t *at;

    for (;;) {
        while ((at = br_ssl_engine_sendrec_buf(engine, &size))) {
            assert(wire->size + size <= sizeof(wire->bytes));
            memcpy(wire->bytes + wire->size, at, size);
            wire->size += size;
            br_ssl_engine_sendrec_ack(engine, size);
        }
        at = br_ssl_engine_sendapp_buf(engine, &size);
        if (!at || *written == sizeof(sent))
            return;
        size = *written == 0 ? sizeof(sent) / 2 : sizeof(sent) - *written;
        memcpy(at, sent + *written, size);
        *written += size;
        br_ssl_engine_sendapp_ack(engine, size);
        br_ssl_engine_flush(engine, 0);
    }
}

static void client_hears(struct wire *wire, struct client *client)
{
    struct str output = tls_output(wire->server);
    size_t done = 0, size;

    while (done < output.size) {
        uint8_t *to = br_ssl_engine_recvrec_buf(&client->ssl.eng, &size);

        if (!to)
            break;
        if (size > output.size - done)
            size = output.size - done;
        memcpy(to, output.at + done, size);
        br_ssl_engine_recvrec_ack(&client->ssl.eng, size);
        done += size;
        if (br_ssl_engine_recvapp_buf(&client->ssl.eng, &size))
            br_ssl_engine_recvapp_ack(&client->ssl.eng, size);
    }
    tls_output_sent(wire->server, output.size);
}

/* Changes what is on the wire where the place falls into it; the place counts from the start. */
static void disturb(struct wire *wire, struct change *change)
{
    if (change->done || change->at < wire->passed || change->at >= wire->passed + wire->size)
        return;

    size_t at = change->at - wire->passed;
    size_t rest = wire->size - at;
    size_t count = change->value < rest ? change->value : rest;
    change->done = true;
    switch (change->operation % 4) {
    case 0: /* another byte */
        wire->bytes[at] ^= change->value;
        break;
    case 1: /* dropped */
        memmove(wire->bytes + at, wire->bytes + at + count, rest - count);
        wire->size -= count;
        break;
    case 2: /* repeated */
        if (wire->size + count <= sizeof(wire->bytes)) {
            memmove(wire->bytes + at + count, wire->bytes + at, rest);
            wire->size += count;
        }
        break;
    default: /* a record is put in */
        if (wire->size + 6 <= sizeof(wire->bytes)) {
            const uint8_t record[] = {20 + change->value % 5, 3, 3, 0, 1, change->value};
            memmove(wire->bytes + at + sizeof(record), wire->bytes + at, rest);
            memcpy(wire->bytes + at, record, sizeof(record));
            wire->size += sizeof(record);
        }
    }
}

static void check_disturbed(struct wire *wire, struct fuzz_input *input)
{
    struct client *client = calloc(1, sizeof(*client));
    struct change changes[CHANGES_MAX];
    size_t count = 0, written = 0, step = 1 + fuzz_byte(input) * 16;

    assert(client);
    for (; count < CHANGES_MAX && input->left > 0; count++) {
        changes[count] = (struct change){.operation = fuzz_byte(input)};
        changes[count].at = (uint16_t)(fuzz_byte(input) | fuzz_byte(input) << 8);
        changes[count].value = fuzz_byte(input);
    }
    start_client(client);
    for (int round = 0; round < ROUNDS_MAX && wire->result == TLS_GOES_ON; round++) {
        client_speaks(wire, client, &written);
        if (wire->size == 0)
            break;
        for (size_t i = 0; i < count; i++)
            disturb(wire, &changes[i]);
        for (size_t at = 0; at < wire->size && wire->result == TLS_GOES_ON; at += step)
            receive(wire, wire->bytes + at, wire->size - at < step ? wire->size - at : step,
                    true);
        wire->passed += wire->size;
        wire->size = 0;
        client_hears(wire, client);
    }
    if (count == 0) /* nothing was changed */
        assert(wire->taken == sizeof(sent) && wire->result == TLS_GOES_ON);
    answer(wire);
    free(client);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    struct wire *wire = calloc(1, sizeof(*wire));

    assert(wire);
    wire->server = tls_new(context());
    assert(wire->server);
    if (fuzz_byte(&input) % 2)
        check_raw(wire, &input);
    else
        check_disturbed(wire, &input);
    tls_free(wire->server);
    free(wire);
    return 0;
}
