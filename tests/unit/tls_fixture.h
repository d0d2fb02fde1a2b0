/*
 * tls_fixture: certificates made by the openssl command, and a TLS client (BearSSL's) in memory.
 *
 * Callers   test_tls_*.c.
 */
#ifndef SKUA_TESTS_TLS_FIXTURE_H
#define SKUA_TESTS_TLS_FIXTURE_H

#include "net/tls.h"

#include <bearssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- files ---- */

static char tls_folder[] = "/tmp/skua-tls-XXXXXX";

/* Runs a shell script in the folder. */
__attribute__((format(printf, 1, 2))) static inline void tls_shell(const char *format, ...)
{
    char script[4096], command[4224];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(script, sizeof(script), format, arguments);
    va_end(arguments);
    snprintf(command, sizeof(command), "cd %s && { %s; } >log 2>&1", tls_folder, script);
    assert_int_equal(system(command), 0);
}

/* The full name of a file in the folder; valid until the fourth call after it. */
static inline const char *tls_path(const char *name)
{
    static char paths[4][128];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", tls_folder, name);
    return path;
}

/* NAME.pem and NAME.key with a new EC key; `names` as for subjectAltName, "" for none. */
static inline void tls_make(const char *name, const char *common_name, const char *names)
{
    tls_shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
              "-keyout %s.key -out %s.pem -subj /CN=%s %s%s",
              name, name, common_name, names[0] ? "-addext subjectAltName=" : "", names);
}

static inline int tls_make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(tls_folder))
        return -1;
    tls_make("ec", "localhost", "DNS:localhost,DNS:*.example.test");
    tls_shell("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout rsa.key -out rsa.pem "
              "-subj /CN=rsa.test");
    return 0;
}

static inline int tls_remove_folder(void **state)
{
    char command[64];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", tls_folder);
    return system(command);
}

static inline uint64_t tls_now(void)
{
    return (uint64_t)time(NULL);
}

/* A context of the folder's pairs, NAME.pem and NAME.key each. */
static inline struct tls_context *tls_load(const char *first, const char *second)
{
    char names[4][128];
    struct tls_fault fault;
    struct tls_files files[2] = {
        {names[0], names[1]},
        {names[2], names[3]}
    };
    struct tls_context *context;

    snprintf(names[0], sizeof(names[0]), "%s/%s.pem", tls_folder, first);
    snprintf(names[1], sizeof(names[1]), "%s/%s.key", tls_folder, first);
    snprintf(names[2], sizeof(names[2]), "%s/%s.pem", tls_folder, second ? second : "");
    snprintf(names[3], sizeof(names[3]), "%s/%s.key", tls_folder, second ? second : "");
    context = tls_context_new(files, second ? 2 : 1, tls_now(), NULL, &fault);
    if (!context)
        fail_msg("%s", fault.text);
    return context;
}

/* ---- the client ---- */

struct tls_client {
    br_ssl_client_context ssl;
    br_x509_minimal_context unused;
    const br_x509_class *anyone; /* takes any certificate's key */
    br_x509_decoder_context decoder;
    int certificates; /* seen in the chain */
    bool key_known;
    uint8_t input[BR_SSL_BUFSIZE_INPUT];
    uint8_t output[BR_SSL_BUFSIZE_OUTPUT];
};

static inline struct tls_client *tls_client_of(const br_x509_class **anyone)
{
    return (struct tls_client *)(void *)((char *)anyone - offsetof(struct tls_client, anyone));
}

static inline void chain_start(const br_x509_class **anyone, const char *name)
{
    (void)name;
    tls_client_of(anyone)->certificates = 0;
}

static inline void cert_start(const br_x509_class **anyone, uint32_t size)
{
    struct tls_client *client = tls_client_of(anyone);

    (void)size;
    if (client->certificates++ == 0)
        br_x509_decoder_init(&client->decoder, NULL, NULL);
}

static inline void cert_append(const br_x509_class **anyone, const unsigned char *bytes,
                               size_t size)
{
    struct tls_client *client = tls_client_of(anyone);

    if (client->certificates == 1)
        br_x509_decoder_push(&client->decoder, bytes, size);
}

static inline void cert_end(const br_x509_class **anyone)
{
    (void)anyone;
}

static inline unsigned chain_end(const br_x509_class **anyone)
{
    (void)anyone;
    return 0;
}

static inline const br_x509_pkey *chain_key(const br_x509_class *const *anyone,
                                            unsigned *usages)
{
    struct tls_client *client = tls_client_of((const br_x509_class **)(uintptr_t)anyone);

    if (usages)
        *usages = BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX;
    return br_x509_decoder_get_pkey(&client->decoder);
}

static const br_x509_class tls_anyone = {
    .context_size = sizeof(br_x509_class *),
    .start_chain = chain_start,
    .start_cert = cert_start,
    .append = cert_append,
    .end_cert = cert_end,
    .end_chain = chain_end,
    .get_pkey = chain_key,
};

/* Ready to say hello to `name`; what the test changes, it changes before tls_client_start(). */
static inline struct tls_client *tls_client_new(void)
{
    struct tls_client *client = calloc(1, sizeof(*client));

    assert_non_null(client);
    br_ssl_client_init_full(&client->ssl, &client->unused, NULL, 0);
    br_ssl_engine_set_versions(&client->ssl.eng, BR_TLS12, BR_TLS12);
    client->anyone = &tls_anyone;
    br_ssl_engine_set_x509(&client->ssl.eng, &client->anyone);
    br_ssl_engine_set_buffers_bidi(&client->ssl.eng, client->input, sizeof(client->input),
                                   client->output, sizeof(client->output));
    return client;
}

static inline void tls_client_start(struct tls_client *client, const char *name)
{
    assert_int_equal(br_ssl_client_reset(&client->ssl, name, 0), 1);
}

/* ---- both together ---- */

/* What went through, and how it ended. */
struct tls_wire {
    struct tls_client *client;
    struct tls *server;
    size_t step; /* bytes that the server is given at a time; 0: all there are */
    uint8_t to_server[1024 * 1024];
    size_t to_server_size;
    uint8_t from_client[1024 * 1024]; /* as the server saw it */
    size_t from_client_size;
    uint8_t from_server[1024 * 1024]; /* as the client saw it */
    size_t from_server_size;
    enum tls_result result;
};

static inline void tls_serve(struct tls_wire *wire)
{
    static uint8_t buffer[64 * 1024];

    while (wire->to_server_size > 0 && wire->result == TLS_GOES_ON) {
        size_t kept = tls_kept(wire->server, buffer);
        size_t some = wire->to_server_size;
        uint8_t *plain;
        size_t size;

        if (wire->step && some > wire->step)
            some = wire->step;
        if (some > sizeof(buffer) - kept)
            some = sizeof(buffer) - kept;
        memcpy(buffer + kept, wire->to_server, some);
        wire->to_server_size -= some;
        memmove(wire->to_server, wire->to_server + some, wire->to_server_size);
        wire->result = tls_open(wire->server, buffer, kept + some, &plain, &size);
        assert_true(wire->from_client_size + size <= sizeof(wire->from_client));
        memcpy(wire->from_client + wire->from_client_size, plain, size);
        wire->from_client_size += size;
    }
}

/* Gives the client what it is sent, as far as it takes it; false when nothing moved. */
static inline bool tls_feed_client(struct tls_wire *wire, const uint8_t *bytes, size_t size)
{
    br_ssl_engine_context *engine = &wire->client->ssl.eng;

    while (size > 0) {
        size_t room;
        uint8_t *to = br_ssl_engine_recvrec_buf(engine, &room);

        if (!to)
            return false;
        if (room > size)
            room = size;
        memcpy(to, bytes, room);
        br_ssl_engine_recvrec_ack(engine, room);
        bytes += room;
        size -= room;
        to = br_ssl_engine_recvapp_buf(engine, &room);
        if (to) {
            assert_true(wire->from_server_size + room <= sizeof(wire->from_server));
            memcpy(wire->from_server + wire->from_server_size, to, room);
            wire->from_server_size += room;
            br_ssl_engine_recvapp_ack(engine, room);
        }
    }
    return true;
}

/* Lets bytes go to and fro until nothing more comes. */
static inline void tls_pump(struct tls_wire *wire)
{
    br_ssl_engine_context *engine = &wire->client->ssl.eng;

    for (bool moved = true; moved;) {
        size_t size;
        const uint8_t *bytes;
        struct str output;

        moved = false;
        while ((bytes = br_ssl_engine_sendrec_buf(engine, &size))) {
            assert_true(wire->to_server_size + size <= sizeof(wire->to_server));
            memcpy(wire->to_server + wire->to_server_size, bytes, size);
            wire->to_server_size += size;
            br_ssl_engine_sendrec_ack(engine, size);
            moved = true;
        }
        tls_serve(wire);
        output = tls_output(wire->server);
        if (output.size > 0) {
            moved = tls_feed_client(wire, (const uint8_t *)output.at, output.size);
            tls_output_sent(wire->server, output.size);
        }
    }
}

static inline struct tls_wire *tls_wire_new(struct tls_context *context,
                                            struct tls_client *client)
{
    struct tls_wire *wire = calloc(1, sizeof(*wire));

    assert_non_null(wire);
    wire->client = client;
    wire->server = tls_new(context);
    assert_non_null(wire->server);
    return wire;
}

static inline void tls_wire_free(struct tls_wire *wire)
{
    tls_free(wire->server);
    free(wire->client);
    free(wire);
}

static inline void tls_client_write(struct tls_wire *wire, const uint8_t *bytes, size_t size)
{
    br_ssl_engine_context *engine = &wire->client->ssl.eng;

    while (size > 0) {
        size_t room;
        uint8_t *to = br_ssl_engine_sendapp_buf(engine, &room);

        assert_non_null(to);
        if (room > size)
            room = size;
        memcpy(to, bytes, room);
        br_ssl_engine_sendapp_ack(engine, room);
        bytes += room;
        size -= room;
        br_ssl_engine_flush(engine, 0);
        tls_pump(wire);
    }
}

#endif
