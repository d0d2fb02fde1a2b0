/*
 * PEM files → a chain of certificates and its private key, verified: every way in which the files
 * of an administrator can be wrong is told apart here.
 */
#include "net/tls_private.h"

#include "base/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    SECONDS_A_DAY = 86400,
    DAYS_TO_1970 = 719528, /* BearSSL counts days from the year 0 */
    RSA_BYTES_MAX = 512,   /* what BearSSL computes with: 4096 bits */
};

__attribute__((format(printf, 2, 3))) static bool fail(struct tls_fault *fault,
                                                       const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(fault->text, sizeof(fault->text), format, arguments);
    va_end(arguments);
    return false;
}

/* ---- files ---- */

static void wipe(struct buf *text)
{
    if (text->at)
        explicit_bzero(text->at, text->size);
    buf_free(text);
}

static bool read_file(const char *path, struct buf *text, struct tls_fault *fault)
{
    char block[16 * 1024];
    size_t got;
    FILE *file = fopen(path, "re");

    buf_init(text, TLS_FILE_MAX);
    if (!file)
        return fail(fault, "%s", strerror(errno));
    errno = 0;
    while ((got = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(text, block, got);

    int failure = ferror(file) ? errno : 0;

    explicit_bzero(block, sizeof(block));
    fclose(file);
    if (!failure && !buf_failed(text))
        return true;
    wipe(text);
    return failure ? fail(fault, "%s", strerror(failure))
                   : fail(fault, "larger than %d bytes or out of memory", TLS_FILE_MAX);
}

static void add_der(void *owner, const void *bytes, size_t size)
{
    buf_add(owner, bytes, size);
}

/* Calls `object` for each object of the text; false when one is broken or was refused. */
static bool each_object(struct str text, tls_pem_object *object, void *owner)
{
    br_pem_decoder_context decoder;
    struct buf der;
    char kind[128] = "";
    bool good = true;

    buf_init(&der, TLS_FILE_MAX);
    br_pem_decoder_init(&decoder);
    /* The decoder sees the end of a line only behind it: a last line may have none. */
    for (bool ended = false; good && (text.size > 0 || !ended);) {
        if (text.size == 0) {
            text = STR("\n");
            ended = true;
        }
        text = str_from_index(text, br_pem_decoder_push(&decoder, text.at, text.size));
        switch (br_pem_decoder_event(&decoder)) {
        case BR_PEM_BEGIN_OBJ:
            snprintf(kind, sizeof(kind), "%s", br_pem_decoder_name(&decoder));
            buf_reset(&der);
            br_pem_decoder_setdest(&decoder, add_der, &der);
            break;
        case BR_PEM_END_OBJ:
            good = !buf_failed(&der) && object(owner, kind, (uint8_t *)der.at, der.size);
            break;
        case BR_PEM_ERROR:
            good = false;
            break;
        default:
            break;
        }
    }
    wipe(&der);
    return good;
}

bool tls_read_pem(const char *path, tls_pem_object *object, void *owner,
                  struct tls_fault *fault)
{
    struct buf text;

    if (!read_file(path, &text, fault))
        return false;

    bool good = each_object(buf_str(&text), object, owner);

    wipe(&text);
    return good || fail(fault, "the PEM text is broken, or memory too small");
}

/* ---- certificates ---- */

static bool on_certificate(void *owner, const char *kind, uint8_t *der, size_t size)
{
    struct tls_certificate *certificate = owner;

    if (strcmp(kind, "CERTIFICATE") != 0 && strcmp(kind, "X509 CERTIFICATE") != 0)
        return true;
    if (certificate->chain_count == TLS_CHAIN_MAX || size == 0)
        return false;

    uint8_t *copy = malloc(size);

    if (!copy)
        return false;
    memcpy(copy, der, size);
    certificate->chain[certificate->chain_count++] =
        (br_x509_certificate){.data = copy, .data_len = size};
    return true;
}

static void decode(br_x509_decoder_context *decoder, const br_x509_certificate *certificate)
{
    br_x509_decoder_init(decoder, NULL, NULL);
    br_x509_decoder_push(decoder, certificate->data, certificate->data_len);
}

static int64_t to_seconds(uint32_t days, uint32_t seconds)
{
    return ((int64_t)days - DAYS_TO_1970) * SECONDS_A_DAY + seconds;
}

static const char *date_of(int64_t seconds, char text[32])
{
    time_t time = (time_t)seconds;
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        return "another age";
    return text;
}

static bool check_dates(const br_x509_decoder_context *decoder, uint64_t now_s,
                        struct tls_fault *fault)
{
    int64_t from = to_seconds(decoder->notbefore_days, decoder->notbefore_seconds);
    int64_t until = to_seconds(decoder->notafter_days, decoder->notafter_seconds);
    char date[32];

    if ((int64_t)now_s > until)
        return fail(fault, "the certificate expired on %s", date_of(until, date));
    if ((int64_t)now_s < from)
        return fail(fault, "the certificate is not valid before %s", date_of(from, date));
    return true;
}

static bool load_chain(struct tls_certificate *certificate, const char *path, uint64_t now_s,
                       struct tls_fault *fault)
{
    br_x509_decoder_context decoder;
    struct buf text;

    fault->in_key = false;
    if (!read_file(path, &text, fault))
        return false;

    bool good = each_object(buf_str(&text), on_certificate, certificate);

    wipe(&text);
    if (!good)
        return fail(fault,
                    "the PEM text is broken behind certificate %zu, or holds more than %d",
                    certificate->chain_count, TLS_CHAIN_MAX);
    if (certificate->chain_count == 0)
        return fail(fault, "expected a PEM file with \"-----BEGIN CERTIFICATE-----\", "
                           "found no certificate");
    for (size_t i = 0; i < certificate->chain_count; i++) {
        decode(&decoder, &certificate->chain[i]);
        if (!br_x509_decoder_get_pkey(&decoder))
            return fail(fault,
                        "certificate %zu of the file cannot be read: expected X.509 with "
                        "an RSA key, or an EC key on P-256, P-384 or P-521",
                        i + 1);
    }
    decode(&decoder, &certificate->chain[0]);
    if (!check_dates(&decoder, now_s, fault))
        return false;
    if (!tls_read_names(certificate, certificate->chain[0].data,
                        certificate->chain[0].data_len))
        return fail(fault, "the names in the certificate cannot be read");
    return true;
}

/* ---- keys ---- */

struct key_search {
    br_skey_decoder_context *decoder;
    bool found, encrypted;
};

static bool on_key(void *owner, const char *kind, uint8_t *der, size_t size)
{
    struct key_search *search = owner;

    if (strcmp(kind, "ENCRYPTED PRIVATE KEY") == 0)
        search->encrypted = true;
    if (search->found ||
        (strcmp(kind, "PRIVATE KEY") != 0 && strcmp(kind, "RSA PRIVATE KEY") != 0 &&
         strcmp(kind, "EC PRIVATE KEY") != 0))
        return true;
    search->found = true;
    br_skey_decoder_init(search->decoder);
    br_skey_decoder_push(search->decoder, der, size);
    return br_skey_decoder_last_error(search->decoder) == 0;
}

static bool load_key(struct tls_certificate *certificate, const char *path,
                     struct tls_fault *fault)
{
    struct key_search search = {.decoder = &certificate->key};
    struct buf text;

    fault->in_key = true;
    if (!read_file(path, &text, fault))
        return false;

    bool good = each_object(buf_str(&text), on_key, &search);

    /* The older way to encrypt has it in a header that the decoder stumbles over. */
    if (memmem(text.at ? text.at : "", text.size, "Proc-Type: 4,ENCRYPTED", 22))
        search.encrypted = true;
    wipe(&text);
    if (search.encrypted)
        return fail(fault, "the key is encrypted: store it without a pass phrase, readable by "
                           "skua's user only");
    if (good && !search.found)
        return fail(fault, "expected a PEM file with \"-----BEGIN PRIVATE KEY-----\" (or RSA, "
                           "or EC), found no key");
    if (!good)
        return fail(fault,
                    "the key cannot be read: expected PKCS#8, PKCS#1 or SEC1 with an RSA "
                    "key, or an EC key on P-256, P-384 or P-521");
    return true;
}

static bool same_integer(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size)
{
    while (a_size > 0 && *a == 0)
        a++, a_size--;
    while (b_size > 0 && *b == 0)
        b++, b_size--;
    return a_size == b_size && memcmp(a, b, a_size) == 0;
}

static bool key_matches(const br_skey_decoder_context *key, const br_x509_pkey *pkey)
{
    if (br_skey_decoder_key_type(key) != pkey->key_type)
        return false;
    if (pkey->key_type == BR_KEYTYPE_RSA) {
        const br_rsa_private_key *rsa = br_skey_decoder_get_rsa(key);
        br_rsa_compute_modulus compute = br_rsa_compute_modulus_get_default();
        uint8_t n[RSA_BYTES_MAX];
        size_t size = compute(NULL, rsa);

        return size > 0 && size <= sizeof(n) && compute(n, rsa) == size &&
               same_integer(n, size, pkey->key.rsa.n, pkey->key.rsa.nlen);
    }

    uint8_t point[BR_EC_KBUF_PUB_MAX_SIZE];
    br_ec_public_key pub;
    size_t size =
        br_ec_compute_pub(br_ec_get_default(), &pub, point, br_skey_decoder_get_ec(key));

    return size > 0 && pub.curve == pkey->key.ec.curve && size == pkey->key.ec.qlen &&
           memcmp(pub.q, pkey->key.ec.q, size) == 0;
}

static bool check_pair(const struct tls_certificate *certificate, struct tls_fault *fault)
{
    br_x509_decoder_context decoder;
    br_x509_pkey *pkey;

    decode(&decoder, &certificate->chain[0]);
    pkey = br_x509_decoder_get_pkey(&decoder);
    fault->in_key = true;
    if (pkey->key_type == BR_KEYTYPE_RSA && pkey->key.rsa.nlen > RSA_BYTES_MAX)
        return fail(fault, "RSA keys of more than %d bits are not supported",
                    RSA_BYTES_MAX * 8);
    if (key_matches(&certificate->key, pkey))
        return true;
    for (size_t i = 1; i < certificate->chain_count; i++) {
        decode(&decoder, &certificate->chain[i]);
        if (key_matches(&certificate->key, br_x509_decoder_get_pkey(&decoder)))
            return fail(fault,
                        "the key belongs to certificate %zu of the certificate file: that one "
                        "must come first",
                        i + 1);
    }
    return fail(fault, "the key does not belong to the certificate");
}

/* ---- interface ---- */

bool tls_load_certificate(struct tls_certificate *certificate, const struct tls_files *files,
                          uint64_t now_s, struct tls_fault *fault)
{
    return load_chain(certificate, files->cert, now_s, fault) &&
           load_key(certificate, files->key, fault) && check_pair(certificate, fault);
}

void tls_release_certificate(struct tls_certificate *certificate)
{
    for (size_t i = 0; i < certificate->chain_count; i++)
        free(certificate->chain[i].data);
    for (size_t i = 0; i < certificate->name_count; i++)
        free(certificate->names[i]);
    free(certificate->names);
    explicit_bzero(&certificate->key, sizeof(certificate->key));
}
