/*
 * engineio: sessions of Engine.IO protocols 4 and 3 over WebSocket and HTTP long-polling:
 * handshake, heartbeat, payloads, upgrade, close. Knows no namespaces.
 *
 * Callers   http/ hands it the requests on its path; socketio is its handler.
 * Owner     an eio_server belongs to a worker. A session lives from `open` until `closed` returns;
 *           socketio keeps its own object in session data. Frames are shared by reference.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    a faulty peer loses its session with the reference's reason and one log line; nothing
 *           is reported by return values.
 * Source    protocol/engine-io.md; vectors engine-io-v4-parser.json, engine-io-v3-parser.json,
 *           http.json.
 */
#ifndef SKUA_ENGINEIO_ENGINEIO_H
#define SKUA_ENGINEIO_ENGINEIO_H

#include "base/hits.h"
#include "base/random.h"
#include "engineio/cors.h"
#include "net/ws.h"

struct eio_server;
struct eio_session;

/* What `disconnect` reports. The order is that of eio_close_reason_text(). */
enum eio_close_reason {
    EIO_TRANSPORT_CLOSE,
    EIO_TRANSPORT_ERROR,
    EIO_PING_TIMEOUT,
    EIO_PARSE_ERROR,
    EIO_FORCED_CLOSE,
    EIO_SERVER_SHUTDOWN,
};

/* "transport close", "transport error", … "server shutting down". */
const char *eio_close_reason_text(enum eio_close_reason reason);

/* A handshake that waits for the application's verdict. */
struct eio_admission;

struct eio_options {
    struct str path; /* prefix of the raw target, "/socket.io/" */
    bool polling;
    bool websocket;
    bool allow_upgrades;
    bool legacy_clients; /* protocol 3 too */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t upgrade_timeout_ms;
    size_t max_payload; /* a POST body or a WebSocket message */
    size_t backlog; /* bytes queued for one session; over it the session is closed and logged */
    struct deflater *deflater; /* for what the next two say; it outlives the server */
    bool deflate_messages;     /* of WebSockets whose clients offer it */
    bool deflate_polls;        /* answers to polls; never to posts */
    /* No close in one answer to a poll with packets: official clients close first and take the
     * packets later, for their next connection, where recovery brings them again. */
    bool close_alone;
    bool queue_volatile;            /* volatile events wait too, up to half of the backlog */
    uint32_t handshakes_per_second; /* of all; 0: no limit */
    uint32_t packets_per_payload;   /* of a POST; 0: no limit */
    struct hits *hits;              /* or NULL */
    struct cors_policy cors;
    struct str
        cookie_name; /* set by a polling handshake's answer to the session's id; or empty */
    struct str cookie_attributes;      /* "; Path=/; HttpOnly" */
    const struct http_header *headers; /* more of them on every answer of a transport */
    size_t header_count;
    const struct http_header *initial_headers; /* and on a handshake's */
    size_t initial_header_count;
    struct str initial_packet; /* a text message that follows each open packet; or empty */

    /* Asked about handshakes that are right otherwise; NULL: all are let in. Calls
     * eio_admission_allow() or eio_admission_refuse(), now or later. */
    void (*admit)(void *owner, struct eio_admission *admission);
    void *admit_owner;

    /* Among several servers: ids end with this server's name, EIO_NAME_SIZE characters; or empty. */
    struct str name;

    /* Asked about a request for a session that `name` has not: true if the exchange was taken over,
     * for eio_server_refuse_unknown() in case nobody has. Never asked about requests that another
     * server has handed over. NULL: there are no others. */
    bool (*elsewhere)(void *owner, struct str name, struct http_exchange *exchange);
    void *elsewhere_owner;
};

enum {
    EIO_NAME_SIZE = 8,          /* of an id's RANDOM_ID_SIZE; 72 random bits remain */
    EIO_EXTRA_HEADERS_MAX = 32, /* of `headers`, and of `initial_headers` */
};

/* The handshake's request, kept as long as someone refers to it: socket.handshake. */
struct eio_handshake {
    uint32_t references;
    uint64_t time_ms; /* wall clock */
    bool secure;
    bool cross_domain; /* an Origin header was sent (the reference's xdomain) */
    uint8_t protocol;  /* 4 or 3 */
    struct str target;
    struct str address;
    struct str origin;                 /* empty when absent */
    const struct http_header *headers; /* names in lower case, as Node shows them */
    size_t header_count;
    /* one allocation with the bytes behind it */
};

struct eio_handshake *eio_handshake_ref(struct eio_handshake *handshake);
void eio_handshake_unref(struct eio_handshake *handshake);

/* The request, also when the client has gone meanwhile. */
struct eio_handshake *eio_admission_handshake(const struct eio_admission *admission);

/* The verdict; the admission is gone then. An empty message is "Forbidden". */
void eio_admission_allow(struct eio_admission *admission);
void eio_admission_refuse(struct eio_admission *admission, struct str message);

/* The query's parameters in order of first appearance, decoded as WHATWG URLSearchParams does, a
 * repeated name reported once with its last value. */
void eio_query_each(struct str target,
                    bool (*param)(void *context, struct str name, struct str value),
                    void *context);

/* The same for parameters alone, in UTF-8: a query without its '?'. */
void eio_form_each(struct str form,
                   bool (*param)(void *context, struct str name, struct str value),
                   void *context);

struct eio_handler {
    /* A new session; its data may be set here. Returning false closes it at once. */
    bool (*open)(void *owner, struct eio_session *session);

    /* A message from the client: text (without its type digit) or binary. The bytes may be
     * changed in place and are gone when the call returns. */
    void (*message)(struct eio_session *session, enum frame_kind kind, uint8_t *bytes,
                    size_t size);

    /* The last call for this session. Not made for sessions that `open` refused. */
    void (*closed)(struct eio_session *session, enum eio_close_reason reason);

    void *owner;
};

struct eio_server *eio_server_new(struct net_loop *loop, struct random *random,
                                  const struct log *log, const struct eio_options *options,
                                  const struct eio_handler *handler);

/* Sessions must be gone: eio_server_close() before, and one more loop turn. */
void eio_server_free(struct eio_server *server);

/* Whether the raw target is ours (a prefix comparison, as the reference). */
bool eio_server_matches(const struct eio_server *server, struct str target);

/* Serves an exchange whose target is ours, upgrades included. */
void eio_server_request(struct eio_server *server, struct http_exchange *exchange);

/* Answers a request, upgrades included, whose session is unknown. */
void eio_server_refuse_unknown(const struct eio_server *server, struct http_exchange *exchange);

/*
 * The server is about to end. Clients that poll over a new connection for each request could not
 * come back for a close once nobody listens: whatever answers such a poll from now on ends the
 * session, too, with EIO_SERVER_SHUTDOWN. When it is no longer `listening`, handshakes over polling
 * are refused.
 */
void eio_server_drain(struct eio_server *server, bool listening);

/* Sessions whose clients are about to send a request: they poll, but have no poll pending, or have
 * opened the session and sent nothing yet. */
uint32_t eio_server_expected(const struct eio_server *server);

/* Closes up to `count` sessions as eio_server_close() does, in an order that tells nothing of their
 * age. Those that poll, but have no poll pending, are closed by their next one. */
void eio_server_close_some(struct eio_server *server, uint32_t count);

/* Closes every session (engine-io.md, 14) with EIO_SERVER_SHUTDOWN, and opens none any more. */
void eio_server_close(struct eio_server *server);

/* May be asked by any thread. */
uint32_t eio_server_sessions(const struct eio_server *server);

/* --- sessions ----------------------------------------------------------------------------- */

void eio_session_set_data(struct eio_session *session, void *data);
void *eio_session_data(const struct eio_session *session);
struct str eio_session_id(const struct eio_session *session);

/* The id's first characters, for logs: whoever has the whole id has the session. */
struct str eio_session_logged_id(const struct eio_session *session);
struct eio_handshake *eio_session_handshake(const struct eio_session *session);
struct net_loop *eio_session_loop(const struct eio_session *session);

/* "websocket" or "polling". */
const char *eio_session_transport(const struct eio_session *session);

/* Makes the frame of an Engine.IO message from text: the type digit is put in front. Fill
 * `*text` (size bytes) before sharing it. NULL when out of memory. */
struct frame *eio_text_message(size_t size, char **text);

/*
 * Sends a message: a text frame made by eio_text_message(), or a FRAME_BINARY frame. Takes a
 * reference of its own; over polling the payload codec turns it into text when a poll is
 * answered. Sending on a session that is closing does nothing.
 */
void eio_session_send(struct eio_session *session, struct frame *frame);

/* The transport could send at once: a poll is pending, or nothing is queued. */
bool eio_session_writable(const struct eio_session *session);

/* A volatile event may be sent: the transport is writable or, with queue_volatile, less than half
 * of the backlog is queued. Counts it as dropped otherwise. */
bool eio_session_takes_volatile(struct eio_session *session);

/* The server closes: what is queued is sent first; `closed` comes with EIO_FORCED_CLOSE, always
 * from the loop (over polling without a pending poll: when the next poll fetches it, or 30 s
 * later; meanwhile nothing is delivered). */
void eio_session_close(struct eio_session *session);

/* Its client is known to be gone: `closed` comes with EIO_TRANSPORT_CLOSE, from the loop. */
void eio_session_abandon(struct eio_session *session);

#endif
