/*
 * tls: TLS 1.2 for net_conn, by BearSSL: what a listener shows to clients (certificates, keys,
 * session cache), whom a client believes, and one connection's handshake and records.
 *
 * BearSSL's engine (4 KB and two buffers) lives only until the handshake is done; what remains is
 * a cipher each way, 700 bytes an idle connection. Records are opened in place in the loop's read
 * buffer and sealed on the sender's stack; only bytes of an incomplete record, or ones that the
 * kernel does not take yet, are kept.
 *
 * TLS 1.2 only. AES-GCM and ChaCha20-Poly1305 with ECDHE, in the server's order. A client whose
 * ALPN offer has no "http/1.1" gets the no_application_protocol alert (RFC 7301), as from other
 * servers. Renegotiation is refused.
 *
 * Callers   server/listeners makes contexts, redis makes trusts; net/conn does the rest.
 * Owner     a context counts its references: each connection holds one, so that a new context
 *           serves new connections while old ones live on with theirs. The conn owns its tls.
 * Threads   one worker's; the session cache is not shared.
 * Units     bytes.
 * Errors    tls_context_new() says in words which file is wrong and how. A failed connection says
 *           why in tls_failure(); an alert for the peer is then among the output.
 * Source    RFC 5246, 5288, 7905, 7301, 6066.
 */
#ifndef SKUA_NET_TLS_H
#define SKUA_NET_TLS_H

#include "base/log.h"

struct tls_context;
struct tls;

enum {
    TLS_RECORD_MAX = 16 * 1024, /* plaintext of a record */
    TLS_HEAD = 13,              /* header and explicit nonce in front of it, at most */
    TLS_TAIL = 16,              /* authentication tag behind it */
    TLS_NAME_MAX = 256,         /* bytes of a server name with its NUL */

    /* A record with everything; receive buffers must hold at least two. */
    TLS_WIRE_MAX = TLS_HEAD + TLS_RECORD_MAX + TLS_TAIL,
};

/* --- contexts ------------------------------------------------------------------------------- */

struct tls_files {
    const char *cert; /* PEM: the certificate first, then what leads to its issuer's root */
    const char *key;  /* PEM: PKCS#8, PKCS#1 or SEC1, not encrypted */
};

struct tls_fault {
    size_t index; /* of the pair of files */
    bool in_key;  /* else in the certificate */
    char text[320];
};

/*
 * Loads and verifies the files: readable, of a known kind, valid at `now_s` (seconds since 1970),
 * key and certificate of one pair. The first pair is shown to clients that name no server, or
 * one that no certificate is for. `log` outlives the context and is told, at debug level, of
 * connections that fail. NULL: `fault` says why.
 */
struct tls_context *tls_context_new(const struct tls_files *files, size_t count, uint64_t now_s,
                                    const struct log *log, struct tls_fault *fault);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);

/* The index of the certificate that a client asking for `name` is shown first. */
size_t tls_context_find(const struct tls_context *context, const char *name);

/* --- clients --------------------------------------------------------------------------------- */

/* Whom connections that we make believe, and what they show. Counted like a context. */
struct tls_trust;

struct tls_trust_options {
    const char *ca;   /* PEM file of authorities; "": the system's */
    bool anyone;      /* whatever certificate a server has will do */
    const char *cert; /* our own, for servers that ask for one, and its key; "" for none */
    const char *key;
};

/* NULL: `fault` says why. */
struct tls_trust *tls_trust_new(const struct tls_trust_options *options, uint64_t now_s,
                                struct tls_fault *fault);
struct tls_trust *tls_trust_ref(struct tls_trust *trust);
void tls_trust_unref(struct tls_trust *trust);

/* A connection to a server of that name, a DNS name or an IP address, whose certificate must be
 * for it. There is output at once. NULL when out of memory. */
struct tls *tls_new_client(struct tls_trust *trust, const char *name);

/* --- connections ----------------------------------------------------------------------------- */

/* A connection that waits for the client's first message. NULL when out of memory. */
struct tls *tls_new(struct tls_context *context);
void tls_free(struct tls *tls);

/* Keys are agreed upon; application data may be sealed. */
bool tls_established(const struct tls *tls);

enum tls_result {
    TLS_GOES_ON,
    TLS_ENDED, /* the peer said that nothing follows */
    TLS_FAILED,
};

/* Copies the incomplete record that the last tls_open() kept to the front of a receive buffer of
 * at least 2 * TLS_WIRE_MAX bytes; what is received goes behind. Returns its size. */
size_t tls_kept(const struct tls *tls, uint8_t *buffer);

/*
 * Opens what is in the buffer, in place: `*plain` are the application's bytes, inside the buffer,
 * as many as there are whatever the result. May make output.
 */
enum tls_result tls_open(struct tls *tls, uint8_t *buffer, size_t size, uint8_t **plain,
                         size_t *plain_size);

/* Bytes in front of a record's plaintext: 5 to TLS_HEAD. */
size_t tls_head(const struct tls *tls);

/* Plaintext that fits a record: TLS_RECORD_MAX, or less if the client asked for that. */
size_t tls_record_size(const struct tls *tls);

/* Makes `record` of the `size` bytes that stand at record + tls_head(); TLS_TAIL bytes are free
 * behind them. Returns the record's size. */
size_t tls_seal(struct tls *tls, uint8_t *record, size_t size);

/* Says to the peer that nothing follows; once. */
void tls_close(struct tls *tls);

/* Bytes to send before anything else: handshake, alerts, and what tls_hold() was given. */
struct str tls_output(const struct tls *tls);

/* So many of them are sent. */
void tls_output_sent(struct tls *tls, size_t size);

/* Keeps sealed bytes that could not be sent. False when out of memory. */
bool tls_hold(struct tls *tls, const uint8_t *bytes, size_t size);

/* Why it failed; "" if it did not. */
const char *tls_failure(const struct tls *tls);

/* Tells the context's log so. */
void tls_log_failure(const struct tls *tls, const char *address);

#endif
