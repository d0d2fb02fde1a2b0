#include "net/tls_private.h"

#include "base/clock.h"

#include <assert.h>
#include <stdlib.h>

enum {
    /* BearSSL takes what it needs from larger records piece by piece. */
    INPUT_SIZE = 4096 + 325,
    OUTPUT_SIZE = 4096 + 85,

    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_INAPPROPRIATE_FALLBACK = 86,
    ALERT_NO_APPLICATION_PROTOCOL = 120,
};

/* ---- life ---- */

static void free_context(struct tls_context *context)
{
    for (size_t i = 0; i < context->certificate_count; i++)
        tls_release_certificate(&context->certificates[i]);
    free(context->certificates);
    if (context->session_store)
        explicit_bzero(context->session_store, (size_t)TLS_SESSIONS * TLS_SESSION_SIZE);
    free(context->session_store);
    free(context);
}

static void forget_sessions(struct tls_context *context)
{
    br_ssl_session_cache_lru_init(&context->sessions, context->session_store,
                                  (size_t)TLS_SESSIONS * TLS_SESSION_SIZE);
    context->sessions_begun_s = clock_monotonic_ms() / 1000;
}

struct tls_context *tls_context_new(const struct tls_files *files, size_t count, uint64_t now_s,
                                    const struct log *log, struct tls_fault *fault)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    assert(count > 0);
    *fault = (struct tls_fault){.text = "out of memory"};
    if (!context)
        return NULL;
    context->references = 1;
    context->log = log;
    context->certificates = calloc(count, sizeof(*context->certificates));
    context->session_store = malloc((size_t)TLS_SESSIONS * TLS_SESSION_SIZE);
    if (!context->certificates || !context->session_store)
        goto fail;
    for (size_t i = 0; i < count; i++) {
        fault->index = i;
        context->certificate_count++;
        if (!tls_load_certificate(&context->certificates[i], &files[i], now_s, fault))
            goto fail;
    }
    random_init(&context->random);
    forget_sessions(context);
    return context;

fail:
    free_context(context);
    return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->references++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    assert(context->references > 0);
    if (--context->references == 0)
        free_context(context);
}

size_t tls_context_find(const struct tls_context *context, const char *name)
{
    for (size_t i = 0; i < context->certificate_count; i++) {
        if (tls_certificate_is_for(&context->certificates[i], str_from(name)))
            return i;
    }
    return 0;
}

/* ---- the choice of a certificate ---- */

/* Makes BearSSL's policy for one certificate the server's; it also signs later on. */
static bool try_certificate(br_ssl_server_context *server,
                            const struct tls_certificate *certificate,
                            br_ssl_server_choices *choices)
{
    if (br_skey_decoder_key_type(&certificate->key) == BR_KEYTYPE_RSA)
        br_ssl_server_set_single_rsa(server, certificate->chain, certificate->chain_count,
                                     br_skey_decoder_get_rsa(&certificate->key),
                                     BR_KEYTYPE_SIGN, br_rsa_private_get_default(),
                                     br_rsa_pkcs1_sign_get_default());
    else
        br_ssl_server_set_single_ec(server, certificate->chain, certificate->chain_count,
                                    br_skey_decoder_get_ec(&certificate->key), BR_KEYTYPE_SIGN,
                                    BR_KEYTYPE_EC, br_ec_get_default(),
                                    br_ecdsa_sign_asn1_get_default());
    return (*server->policy_vtable)->choose(server->policy_vtable, server, choices) != 0;
}

/*
 * The first certificate for the name whose kind of key the client knows: an RSA and an EC
 * certificate may be for the same names. A name that none is for gets the default: clients that
 * check it will say so, others are served.
 */
static int choose(const br_ssl_server_policy_class **owner, const br_ssl_server_context *server,
                  br_ssl_server_choices *choices)
{
    struct tls_policy *policy = (struct tls_policy *)owner;
    const struct tls_context *context = policy->context;
    struct str name = str_from(br_ssl_engine_get_server_name(&server->eng));

    for (size_t i = 0; i < context->certificate_count; i++) {
        if (tls_certificate_is_for(&context->certificates[i], name) &&
            try_certificate(policy->server, &context->certificates[i], choices))
            return 1;
    }
    for (size_t i = 0; i < context->certificate_count; i++) {
        if (try_certificate(policy->server, &context->certificates[i], choices))
            return 1;
    }
    return 0;
}

/* choose() has put another policy in the place of this one before anything else is asked. */
static uint32_t no_key_exchange(const br_ssl_server_policy_class **owner, uint8_t *data,
                                size_t *size)
{
    (void)owner;
    (void)data;
    (void)size;
    return 0;
}

static size_t no_signature(const br_ssl_server_policy_class **owner, unsigned algorithm,
                           uint8_t *data, size_t hash_size, size_t size)
{
    (void)owner;
    (void)algorithm;
    (void)data;
    (void)hash_size;
    (void)size;
    return 0;
}

static const br_ssl_server_policy_class policy_class = {
    .context_size = sizeof(struct tls_policy),
    .choose = choose,
    .do_keyx = no_key_exchange,
    .do_sign = no_signature,
};

/* ---- handshakes ---- */

void tls_set_algorithms(br_ssl_engine_context *engine)
{
    /* In order of preference. Clients of the last ten years know one of them. */
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };

    br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
    br_ssl_engine_set_suites(engine, suites, sizeof(suites) / sizeof(suites[0]));
    br_ssl_engine_set_default_ec(engine);
    br_ssl_engine_set_hash(engine, br_sha256_ID, &br_sha256_vtable);
    br_ssl_engine_set_hash(engine, br_sha384_ID, &br_sha384_vtable);
    br_ssl_engine_set_hash(engine, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_prf_sha256(engine, &br_tls12_sha256_prf);
    br_ssl_engine_set_prf_sha384(engine, &br_tls12_sha384_prf);
    br_ssl_engine_set_default_aes_gcm(engine); /* AES-NI and PCLMULQDQ where there are */
    br_ssl_engine_set_default_chapol(engine);
}

static void set_up_server(struct tls_policy *policy, br_ssl_server_context *server,
                          struct tls_context *context)
{
    static const char *protocols[] = {"http/1.1"};
    br_ssl_engine_context *engine = &server->eng;
    uint8_t seed[32];

    if (clock_monotonic_ms() / 1000 - context->sessions_begun_s >= TLS_SESSIONS_AGE_S)
        forget_sessions(context);
    br_ssl_server_zero(server);
    tls_set_algorithms(engine);
    br_ssl_engine_set_protocol_names(engine, protocols, 1);
    br_ssl_engine_set_all_flags(engine, BR_OPT_ENFORCE_SERVER_PREFERENCES |
                                            BR_OPT_NO_RENEGOTIATION |
                                            BR_OPT_FAIL_ON_ALPN_MISMATCH);
    br_ssl_server_set_cache(server, &context->sessions.vtable);
    *policy = (struct tls_policy){&policy_class, server, context};
    br_ssl_server_set_policy(server, &policy->vtable);

    /* On top of what BearSSL draws itself, which is the processor's alone where it can. */
    random_bytes(&context->random, seed, sizeof(seed));
    br_ssl_engine_inject_entropy(engine, seed, sizeof(seed));
    explicit_bzero(seed, sizeof(seed));
}

static const char *words_of(int error)
{
    switch (error) {
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
    case BR_ERR_SEND_FATAL_ALERT + ALERT_PROTOCOL_VERSION:
        return "not TLS 1.2";
    case BR_ERR_SEND_FATAL_ALERT + ALERT_HANDSHAKE_FAILURE:
        return "no cipher suite, curve or signature in common";
    case BR_ERR_SEND_FATAL_ALERT + ALERT_NO_APPLICATION_PROTOCOL:
        return "the client does not offer http/1.1";
    case BR_ERR_SEND_FATAL_ALERT + ALERT_INAPPROPRIATE_FALLBACK:
        return "the client fell back to an older version";
    case BR_ERR_BAD_MAC:
    case BR_ERR_BAD_FINISHED:
        return "the client used other keys";
    default:
        return error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT
                   ? "the client refused with an alert"
                   : "malformed handshake";
    }
}

struct server_handshake {
    struct tls_handshake common;
    br_ssl_server_context server;
    struct tls_policy policy;
    uint8_t input[INPUT_SIZE];
    uint8_t output[OUTPUT_SIZE];
};

static void release(struct tls_handshake *common)
{
    explicit_bzero(common, sizeof(struct server_handshake));
    free(common);
}

struct tls *tls_new(struct tls_context *context)
{
    struct server_handshake *handshake = malloc(sizeof(*handshake));
    br_ssl_engine_context *engine;

    if (!handshake)
        return NULL;
    engine = &handshake->server.eng;
    handshake->common = (struct tls_handshake){engine, words_of, release};
    set_up_server(&handshake->policy, &handshake->server, context);
    br_ssl_engine_set_buffers_bidi(engine, handshake->input, sizeof(handshake->input),
                                   handshake->output, sizeof(handshake->output));
    if (!br_ssl_server_reset(&handshake->server)) {
        release(&handshake->common);
        return NULL;
    }
    engine->version_out = BR_TLS12; /* else a refusal of older versions would have none */
    return tls_start(&handshake->common, context);
}
