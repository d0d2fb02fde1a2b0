/*
 * tls_private: what the files of net/tls share: certificates as loaded, and the context.
 *
 * Callers   net/tls_*.c only.
 */
#ifndef SKUA_NET_TLS_PRIVATE_H
#define SKUA_NET_TLS_PRIVATE_H

#include "base/random.h"
#include "net/tls.h"

#include <bearssl.h>

enum {
    TLS_CHAIN_MAX = 16,             /* certificates of a file */
    TLS_FILE_MAX = 1024 * 1024,     /* bytes of a PEM file */
    TLS_NAMES_MAX = 1024,           /* server names of a certificate */
    TLS_ADDRESSES_MAX = 32,         /* IP addresses of one; the rest does not count */
    TLS_SESSIONS = 10000,           /* remembered for resumption, a context */
    TLS_SESSION_SIZE = 100,         /* bytes of one, as br_ssl_session_cache_lru says */
    TLS_SESSIONS_AGE_S = 24 * 3600, /* then all are forgotten (RFC 5246, F.1.4) */
};

/* As an iPAddress of RFC 5280: 4 or 16 bytes. */
struct tls_address {
    uint8_t size;
    uint8_t bytes[16];
};

struct tls_certificate {
    br_x509_certificate chain[TLS_CHAIN_MAX]; /* DER, malloced */
    size_t chain_count;
    br_skey_decoder_context key; /* points into itself: not to be moved */
    char **names;                /* DNS names in lower case, malloced; may begin with "*." */
    size_t name_count;
    struct tls_address addresses[TLS_ADDRESSES_MAX];
    size_t address_count;
};

struct tls_context {
    uint32_t references;
    size_t certificate_count;
    struct tls_certificate *certificates;
    const struct log *log;
    struct random random;
    br_ssl_session_cache_lru sessions;
    uint64_t sessions_begun_s;
    uint8_t *session_store;
};

/* tls_pem.c: false with a sentence in `fault` (its index stays as it is). */
bool tls_load_certificate(struct tls_certificate *certificate, const struct tls_files *files,
                          uint64_t now_s, struct tls_fault *fault);
void tls_release_certificate(struct tls_certificate *certificate);

/* Calls `object` for each object of a PEM file (`kind` is that of its BEGIN line), until it is
 * false. False with a sentence when the file cannot be read, or is broken, or was refused. */
typedef bool tls_pem_object(void *owner, const char *kind, uint8_t *der, size_t size);
bool tls_read_pem(const char *path, tls_pem_object *object, void *owner,
                  struct tls_fault *fault);

/* tls_x509.c */

/* Adds the names of a DER certificate: the DNS names of its subjectAltName, or, without any, its
 * common name. False when it is not a certificate, or out of memory. */
bool tls_read_names(struct tls_certificate *certificate, const uint8_t *der, size_t size);

/* `name` is one of the certificate's, or fits "*.": of one label more (RFC 6125, 6.4.3). */
bool tls_certificate_is_for(const struct tls_certificate *certificate, struct str name);
bool tls_certificate_is_for_address(const struct tls_certificate *certificate,
                                    const struct tls_address *address);

/* A handshake under way: the head of a server's or a client's. */
struct tls_handshake {
    br_ssl_engine_context *engine;
    const char *(*words_of)(int error); /* of BearSSL's */
    void (*release)(struct tls_handshake *handshake);
};

/* tls.c: takes the handshake over. `context` is NULL for a client's. NULL when out of memory. */
struct tls *tls_start(struct tls_handshake *handshake, struct tls_context *context);

/* tls_context.c */

struct tls_policy {
    const br_ssl_server_policy_class *vtable;
    br_ssl_server_context *server;
    struct tls_context *context;
};

void tls_set_algorithms(br_ssl_engine_context *engine);

#endif
