/*
 * http1: the server side of HTTP/1.1 on a net_conn, one exchange (request and answer) at a time,
 * answering as Node's http module does where clients can see it (engine-io.md, 3).
 *
 * Grammar is http-parser's, with what it lets through refused on top: both Content-Length and
 * Transfer-Encoding, repeated lengths, obsolete line folding, white space before a colon, CONNECT.
 * Pipelined requests wait (unread, in a bounded buffer) until the exchange before them is
 * answered. Chunked bodies, Expect: 100-continue and bodies without a length are understood.
 *
 * Callers   worker makes one http1 a connection; http/ and engineio answer exchanges.
 * Owner     http1 owns its conn; an exchange lives from `request` until it is answered, silenced,
 *           turned into a WebSocket or `aborted`. After that the pointer must not be used.
 * Threads   the worker's own.
 * Units     bytes, milliseconds.
 * Errors    malformed requests are answered and closed here (400, 431, 408), never seen above.
 */
#ifndef SKUA_NET_HTTP1_H
#define SKUA_NET_HTTP1_H

#include "base/hits.h"
#include "net/conn.h"
#include "net/http_header.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_OPTIONS,
    HTTP_OTHER,
};

struct http_request {
    enum http_method method;
    struct str method_name;
    struct str target; /* the raw request target */
    const struct http_header *headers;
    size_t header_count;
    uint8_t minor;       /* HTTP/1.<minor> */
    bool upgrade;        /* names a protocol in Upgrade, and Connection says so */
    const char *address; /* the peer's, or the client's as a trusted proxy tells it */
    bool secure;         /* came over TLS, to us or to such a proxy */
    bool handed_over;    /* by another server, see http_exchange_vouch() */
    uint64_t time_ms;    /* wall clock when the head was complete */
};

struct http_exchange;
struct http1;

struct http_limits {
    size_t header_bytes;         /* request line and headers; over it 431 */
    uint32_t headers_timeout_ms; /* first byte to end of head; then 408 */
    uint32_t request_timeout_ms; /* first byte to end of body */
    uint32_t keep_alive_ms;      /* idle between requests */
    struct hits *hits;           /* or NULL */
};

/* Node's: 16 KiB, 60 s, 300 s, 5 s. */
extern const struct http_limits http_limits_default;

struct http_trust;

struct http_service {
    /* A request's head is complete. The callee must, now or later, end the exchange. A body is
     * not read before http_exchange_read(). */
    void (*request)(void *owner, struct http_exchange *exchange);
    void *owner;

    /* The proxies whose X-Forwarded headers are believed (net/http_forwarded.h); NULL: none. */
    const struct http_trust *trust;

    /* Connections go on while the server stops: others depend on it to its end. */
    bool lasting;
};

/* Serves a new connection. What the pointers name must outlive all connections. */
void http1_serve(struct net_conn *conn, const struct http_service *service,
                 const struct http_limits *limits, const struct log *log, bool secure);

/* The value of the first header of that name, any case; empty and at == NULL if there is none. */
struct str http_request_header(const struct http_request *request, const char *name);

/* The request; its slices are valid until the exchange ends or http_exchange_hold(). */
const struct http_request *http_exchange_request(const struct http_exchange *exchange);

struct http_exchange_handler {
    /* Body bytes, then its end. An answer given meanwhile drops the rest of the body. NULL when
     * http_exchange_read() is never called. */
    void (*body)(void *owner, const uint8_t *bytes, size_t size);
    void (*body_end)(void *owner);

    /* The client went away before the answer: the last call for this exchange. */
    void (*aborted)(void *owner);
};

void http_exchange_set_handler(struct http_exchange *exchange,
                               const struct http_exchange_handler *handler, void *owner);

/* Begins to read the body (sends 100 Continue if it was asked for). */
void http_exchange_read(struct http_exchange *exchange);

/* The request was handed over by one who is trusted: address and TLS are those of its client, and
 * the last header was for us alone. Before http_exchange_hold(); the address must be shorter than
 * NET_ADDRESS_MAX. */
void http_exchange_vouch(struct http_exchange *exchange, struct str address, bool secure);

/* The client wants to use the connection for its next request, too. */
bool http_exchange_keeps(const struct http_exchange *exchange);

/* The answer will take long: gives the head's memory back. The request is no longer valid. */
void http_exchange_hold(struct http_exchange *exchange);

struct http_response {
    int status;
    const struct http_header *headers; /* written first, spelled as given */
    size_t header_count;
    struct str body;
    struct frame *body_frame; /* instead of `body`: a FRAME_RAW frame, a reference is taken */
    bool
        chunked; /* no Content-Length but one chunk: what the reference does for error answers */
    bool no_length; /* neither is added (the caller wrote Content-Length itself, or 204/304) */
    bool close;     /* end the connection behind it */
    bool keep; /* not even when the server stops: the client's next request has to reach us */
};

/*
 * Answers and ends the exchange. Adds Date, Connection, Keep-Alive and Content-Length or
 * Transfer-Encoding behind the given headers, in Node's order. HEAD answers lose their body.
 */
void http_exchange_respond(struct http_exchange *exchange,
                           const struct http_response *response);

/* Writes the bytes as they are, then ends the connection: refused upgrades. */
void http_exchange_respond_raw(struct http_exchange *exchange, struct str bytes);

/* Ends the connection without a word after that time: foreign upgrades. */
void http_exchange_silence(struct http_exchange *exchange, uint32_t after_ms);

/* Ends the connection at once, dropping what is not sent. */
void http_exchange_destroy(struct http_exchange *exchange);

/*
 * Lets go of the connection for another protocol (net/ws): the exchange and its http1 end, the
 * conn is the caller's. Bytes that came behind the head are put into `rest` (malloced, may be
 * NULL). The request stays valid until this call returns: read what is needed before. NULL when
 * out of memory: the exchange and its connection are over.
 */
struct net_conn *http_exchange_take_conn(struct http_exchange *exchange, uint8_t **rest,
                                         size_t *rest_size);

#endif
