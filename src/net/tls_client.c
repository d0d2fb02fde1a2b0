/*
 * A client of TLS: whom it believes, and its handshake. BearSSL checks the chain and its dates;
 * the name is checked here, because BearSSL knows no IP addresses.
 */
#include "net/tls_private.h"

#include "base/buf.h"
#include "base/list.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    LEAF_MAX = 64 * 1024, /* bytes of a server's certificate */
};

struct tls_trust {
    uint32_t references;
    bool anyone;
    br_x509_trust_anchor *anchors;
    size_t anchor_count;
    bool has_certificate;
    struct tls_certificate certificate; /* of our own */
    struct random random;
};

/* ---- anchors ---- */

static bool copy(const uint8_t *bytes, size_t size, uint8_t **to, size_t *to_size)
{
    *to = malloc(size > 0 ? size : 1);
    if (!*to)
        return false;
    memcpy(*to, bytes, size);
    *to_size = size;
    return true;
}

static void release_anchor(br_x509_trust_anchor *anchor)
{
    free(anchor->dn.data);
    if (anchor->pkey.key_type == BR_KEYTYPE_RSA) {
        free(anchor->pkey.key.rsa.n);
        free(anchor->pkey.key.rsa.e);
    } else {
        free(anchor->pkey.key.ec.q);
    }
}

static bool copy_key(const br_x509_pkey *from, br_x509_pkey *to)
{
    to->key_type = from->key_type;
    if (from->key_type == BR_KEYTYPE_RSA)
        return copy(from->key.rsa.n, from->key.rsa.nlen, &to->key.rsa.n, &to->key.rsa.nlen) &&
               copy(from->key.rsa.e, from->key.rsa.elen, &to->key.rsa.e, &to->key.rsa.elen);
    to->key.ec.curve = from->key.ec.curve;
    return copy(from->key.ec.q, from->key.ec.qlen, &to->key.ec.q, &to->key.ec.qlen);
}

static void add_name(void *owner, const void *bytes, size_t size)
{
    buf_add(owner, bytes, size);
}

static bool add_anchor(struct tls_trust *trust, const br_x509_pkey *key, bool is_ca,
                       struct buf *name)
{
    size_t count = trust->anchor_count;
    br_x509_trust_anchor *anchors = trust->anchors, *anchor;

    if ((count & (count - 1)) == 0) {
        anchors = realloc(anchors, (count ? count * 2 : 1) * sizeof(*anchors));
        if (!anchors)
            return false;
        trust->anchors = anchors;
    }
    anchor = &anchors[count];
    memset(anchor, 0, sizeof(*anchor));
    anchor->flags = is_ca ? BR_X509_TA_CA : 0;
    if (!copy_key(key, &anchor->pkey) || buf_failed(name)) {
        release_anchor(anchor);
        return false;
    }
    anchor->dn.data = (uint8_t *)buf_steal(name, &anchor->dn.len);
    trust->anchor_count++;
    return anchor->dn.data != NULL;
}

/* Kinds of keys that BearSSL does not know are passed over: a system's bundle has some. */
static bool on_authority(void *owner, const char *kind, uint8_t *der, size_t size)
{
    br_x509_decoder_context decoder;
    br_x509_pkey *key;
    struct buf name;
    bool good = true;

    if (strcmp(kind, "CERTIFICATE") != 0 && strcmp(kind, "X509 CERTIFICATE") != 0)
        return true;
    buf_init(&name, LEAF_MAX);
    br_x509_decoder_init(&decoder, add_name, &name);
    br_x509_decoder_push(&decoder, der, size);
    key = br_x509_decoder_get_pkey(&decoder);
    if (key)
        good = add_anchor(owner, key, br_x509_decoder_isCA(&decoder) != 0, &name);
    buf_free(&name);
    return good;
}

/* Where distributions keep what they trust. */
static const char *system_bundle(void)
{
    static const char *const paths[] = {
        "/etc/ssl/certs/ca-certificates.crt",                /* Debian, Alpine, Arch */
        "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", /* Fedora, RHEL */
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem", /* openSUSE */
        "/var/lib/ca-certificates/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    };

    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (access(paths[i], R_OK) == 0)
            return paths[i];
    }
    return NULL;
}

__attribute__((format(printf, 2, 3))) static bool fail(struct tls_fault *fault,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return false;
}

static bool load_authorities(struct tls_trust *trust, const char *path, struct tls_fault *fault)
{
    struct tls_fault inner = {0};

    if (!path[0])
        path = system_bundle();
    if (!path)
        return fail(fault, "this system has no bundle of certificate authorities in any of the "
                           "usual places: name a file");
    if (!tls_read_pem(path, on_authority, trust, &inner))
        return fail(fault, "%s: %.200s", path, inner.text);
    return trust->anchor_count > 0 ||
           fail(fault, "%s: expected \"-----BEGIN CERTIFICATE-----\", found no certificate",
                path);
}

/* ---- life ---- */

static void free_trust(struct tls_trust *trust)
{
    for (size_t i = 0; i < trust->anchor_count; i++)
        release_anchor(&trust->anchors[i]);
    free(trust->anchors);
    tls_release_certificate(&trust->certificate);
    free(trust);
}

struct tls_trust *tls_trust_new(const struct tls_trust_options *options, uint64_t now_s,
                                struct tls_fault *fault)
{
    struct tls_trust *trust = calloc(1, sizeof(*trust));
    const struct tls_files files = {options->cert, options->key};

    *fault = (struct tls_fault){.text = "out of memory"};
    if (!trust)
        return NULL;
    trust->references = 1;
    trust->anyone = options->anyone;
    random_init(&trust->random);
    if (!trust->anyone && !load_authorities(trust, options->ca, fault))
        goto fail;
    if (options->cert[0]) {
        trust->has_certificate = true;
        if (!tls_load_certificate(&trust->certificate, &files, now_s, fault))
            goto fail;
    }
    return trust;

fail:
    free_trust(trust);
    return NULL;
}

struct tls_trust *tls_trust_ref(struct tls_trust *trust)
{
    trust->references++;
    return trust;
}

void tls_trust_unref(struct tls_trust *trust)
{
    if (!trust)
        return;
    assert(trust->references > 0);
    if (--trust->references == 0)
        free_trust(trust);
}

/* ---- the check of a server's certificate ---- */

/*
 * Stands between BearSSL's engine and its check of chains, and sees the same certificates: keeps
 * the first one for the check of its name, or, when anyone will do, for its key.
 */
struct checker {
    const br_x509_class *vtable;
    br_x509_minimal_context chain;
    br_x509_decoder_context decoder;
    bool anyone;
    unsigned seen; /* certificates */
    struct buf leaf;
    char name[TLS_NAME_MAX];
};

static struct checker *checker_of(const br_x509_class **vtable)
{
    return (struct checker *)(void *)vtable;
}

static void start_chain(const br_x509_class **vtable, const char *name)
{
    struct checker *checker = checker_of(vtable);

    (void)name;
    checker->seen = 0;
    buf_reset(&checker->leaf);
    checker->chain.vtable->start_chain(&checker->chain.vtable, NULL);
}

static void start_cert(const br_x509_class **vtable, uint32_t size)
{
    struct checker *checker = checker_of(vtable);

    checker->seen++;
    checker->chain.vtable->start_cert(&checker->chain.vtable, size);
}

static void append(const br_x509_class **vtable, const unsigned char *bytes, size_t size)
{
    struct checker *checker = checker_of(vtable);

    if (checker->seen == 1)
        buf_add(&checker->leaf, bytes, size);
    checker->chain.vtable->append(&checker->chain.vtable, bytes, size);
}

static void end_cert(const br_x509_class **vtable)
{
    struct checker *checker = checker_of(vtable);

    checker->chain.vtable->end_cert(&checker->chain.vtable);
}

static bool is_for(struct checker *checker)
{
    struct tls_certificate *certificate = calloc(1, sizeof(*certificate));
    struct tls_address address = {0};
    bool good = false;

    if (inet_pton(AF_INET, checker->name, address.bytes) == 1)
        address.size = 4;
    else if (inet_pton(AF_INET6, checker->name, address.bytes) == 1)
        address.size = 16;
    if (certificate &&
        tls_read_names(certificate, (const uint8_t *)checker->leaf.at, checker->leaf.size))
        good = address.size > 0 ? tls_certificate_is_for_address(certificate, &address)
                                : tls_certificate_is_for(certificate, str_from(checker->name));
    if (certificate)
        tls_release_certificate(certificate);
    free(certificate);
    return good;
}

static unsigned end_chain(const br_x509_class **vtable)
{
    struct checker *checker = checker_of(vtable);
    unsigned error = checker->chain.vtable->end_chain(&checker->chain.vtable);

    if (buf_failed(&checker->leaf) || checker->leaf.size == 0)
        return BR_ERR_X509_LIMIT_EXCEEDED;
    if (checker->anyone) {
        br_x509_decoder_init(&checker->decoder, NULL, NULL);
        br_x509_decoder_push(&checker->decoder, checker->leaf.at, checker->leaf.size);
        return (unsigned)br_x509_decoder_last_error(&checker->decoder);
    }
    if (error == 0 && !is_for(checker))
        return BR_ERR_X509_BAD_SERVER_NAME;
    return error;
}

static const br_x509_pkey *get_key(const br_x509_class *const *vtable, unsigned *usages)
{
    struct checker *checker = checker_of((const br_x509_class **)(uintptr_t)vtable);

    if (!checker->anyone)
        return checker->chain.vtable->get_pkey(&checker->chain.vtable, usages);
    if (usages)
        *usages = BR_KEYTYPE_SIGN | BR_KEYTYPE_KEYX;
    return br_x509_decoder_get_pkey(&checker->decoder);
}

static const br_x509_class checker_class = {
    .context_size = sizeof(struct checker),
    .start_chain = start_chain,
    .start_cert = start_cert,
    .append = append,
    .end_cert = end_cert,
    .end_chain = end_chain,
    .get_pkey = get_key,
};

static void set_up_checker(struct checker *checker, const struct tls_trust *trust,
                           br_ssl_engine_context *engine, const char *name)
{
    br_x509_minimal_context *chain = &checker->chain;

    checker->vtable = &checker_class;
    checker->anyone = trust->anyone;
    snprintf(checker->name, sizeof(checker->name), "%s", name);
    buf_init(&checker->leaf, LEAF_MAX);
    br_x509_minimal_init(chain, &br_sha256_vtable, trust->anchors, trust->anchor_count);
    br_x509_minimal_set_rsa(chain, br_ssl_engine_get_rsavrfy(engine));
    br_x509_minimal_set_ecdsa(chain, br_ssl_engine_get_ec(engine),
                              br_ssl_engine_get_ecdsa(engine));
    br_x509_minimal_set_hash(chain, br_sha256_ID, &br_sha256_vtable);
    br_x509_minimal_set_hash(chain, br_sha384_ID, &br_sha384_vtable);
    br_x509_minimal_set_hash(chain, br_sha512_ID, &br_sha512_vtable);
    br_ssl_engine_set_x509(engine, &checker->vtable);
}

/* ---- handshakes ---- */

struct client_handshake {
    struct tls_handshake common;
    struct tls_trust *trust;
    br_ssl_client_context client;
    struct checker checker;

    /* Of full size, or servers would be asked for small records ever after. */
    uint8_t input[BR_SSL_BUFSIZE_INPUT];
    uint8_t output[BR_SSL_BUFSIZE_OUTPUT];
};

static void release(struct tls_handshake *common)
{
    struct client_handshake *handshake = CONTAINER_OF(common, struct client_handshake, common);

    buf_free(&handshake->checker.leaf);
    tls_trust_unref(handshake->trust);
    explicit_bzero(handshake, sizeof(*handshake));
    free(handshake);
}

static const char *words_of(int error)
{
    switch (error) {
    case BR_ERR_X509_EXPIRED:
        return "the server's certificate has expired, or is not valid yet";
    case BR_ERR_X509_BAD_SERVER_NAME:
        return "the server's certificate is for another name";
    case BR_ERR_X509_NOT_TRUSTED:
    case BR_ERR_X509_NOT_CA:
    case BR_ERR_X509_DN_MISMATCH:
        return "the server's certificate is not signed by an authority that is trusted";
    case BR_ERR_UNSUPPORTED_VERSION:
    case BR_ERR_BAD_VERSION:
        return "the server does not speak TLS 1.2";
    default:
        if (error >= BR_ERR_X509_OK && error <= BR_ERR_X509_NOT_TRUSTED)
            return "the server's certificate cannot be used";
        return error >= BR_ERR_RECV_FATAL_ALERT && error < BR_ERR_SEND_FATAL_ALERT
                   ? "the server refused with an alert: it may want a certificate, or know "
                     "none "
                     "of our cipher suites"
                   : "the server does not speak TLS, or not as it should";
    }
}

static void show_certificate(br_ssl_client_context *client, struct tls_certificate *certificate)
{
    if (br_skey_decoder_key_type(&certificate->key) == BR_KEYTYPE_RSA)
        br_ssl_client_set_single_rsa(client, certificate->chain, certificate->chain_count,
                                     br_skey_decoder_get_rsa(&certificate->key),
                                     br_rsa_pkcs1_sign_get_default());
    else
        br_ssl_client_set_single_ec(client, certificate->chain, certificate->chain_count,
                                    br_skey_decoder_get_ec(&certificate->key), BR_KEYTYPE_SIGN,
                                    BR_KEYTYPE_EC, br_ec_get_default(),
                                    br_ecdsa_sign_asn1_get_default());
}

/* RFC 6066, 3: addresses are no server names. */
static const char *name_to_show(const char *name)
{
    uint8_t address[16];
    bool is_address =
        inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;

    return is_address ? NULL : name;
}

struct tls *tls_new_client(struct tls_trust *trust, const char *name)
{
    struct client_handshake *handshake = calloc(1, sizeof(*handshake));
    br_ssl_engine_context *engine;
    uint8_t seed[32];

    if (!handshake)
        return NULL;
    engine = &handshake->client.eng;
    handshake->common = (struct tls_handshake){engine, words_of, release};
    handshake->trust = tls_trust_ref(trust);
    br_ssl_client_zero(&handshake->client);
    tls_set_algorithms(engine);
    br_ssl_engine_set_default_rsavrfy(engine);
    br_ssl_engine_set_default_ecdsa(engine);
    br_ssl_engine_set_all_flags(engine, BR_OPT_NO_RENEGOTIATION);
    set_up_checker(&handshake->checker, trust, engine, name);
    if (trust->has_certificate)
        show_certificate(&handshake->client, &trust->certificate);
    br_ssl_engine_set_buffers_bidi(engine, handshake->input, sizeof(handshake->input),
                                   handshake->output, sizeof(handshake->output));
    random_bytes(&trust->random, seed, sizeof(seed));
    br_ssl_engine_inject_entropy(engine, seed, sizeof(seed));
    explicit_bzero(seed, sizeof(seed));
    if (!br_ssl_client_reset(&handshake->client, name_to_show(name), 0)) {
        release(&handshake->common);
        return NULL;
    }
    return tls_start(&handshake->common, NULL);
}
