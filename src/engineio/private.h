/*
 * private: what the files of engineio share. Nobody outside includes this.
 *
 *   server      request checks, error answers, handshakes
 *   admission   handshakes that the application decides about
 *   session     state, heartbeat, sending and closing
 *   transport_polling, transport_websocket
 *               what carries a session's packets
 *   upgrade     a second transport that asks to take over
 *   codec       a session's packets in the spelling of its protocol
 *   payload, payload_v3, query, jsonp, queue, handshake, cors
 *               what they are made of, each with its own header or in engineio.h
 *
 * A session is OPEN, then perhaps CLOSING (the server closed it, but a polling client has not
 * fetched the close yet), then CLOSED: out of the server's map, without transport, and freed by
 * its task in the loop after the handler's `closed`.
 */
#ifndef SKUA_ENGINEIO_PRIVATE_H
#define SKUA_ENGINEIO_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "engineio/engineio.h"
#include "engineio/payload.h"
#include "engineio/query.h"
#include "engineio/queue.h"

#include <assert.h>
#include <stdatomic.h>

enum {
    EIO_CLOSE_WAIT_MS = 30000,  /* for a poll that fetches the close, as the reference */
    EIO_NOOP_INTERVAL_MS = 100, /* between noops that release polls during an upgrade */
    EIO_LOGGED_ID =
        6, /* characters of an id in the log: the whole would be a secret given away */
};

struct eio_server {
    struct net_loop *loop;
    struct random *random;
    const struct log *log;
    struct eio_options options;
    struct eio_handler handler;
    struct map sessions;       /* by id; those that are CLOSED are not in it */
    atomic_uint session_count; /* the same number, for other threads */
    struct list admissions;
    struct frame *ping; /* packets that are the same for everyone */
    struct frame *pong;
    struct frame *probe_answer;
    struct frame *farewell; /* a close */
    struct frame *initial;  /* the initial packet, or NULL */
    uint64_t busy_until_ns; /* with handshakes (base/rate.h) */
    bool draining;
    bool listening; /* while it drains */
    bool closed;
};

enum eio_state {
    EIO_OPEN,
    EIO_CLOSING,
    EIO_CLOSED,
};

/* What the session's timer waits for. */
enum eio_wait {
    EIO_WAIT_PING,  /* the time to send a ping */
    EIO_WAIT_PONG,  /* its answer */
    EIO_WAIT_PEER,  /* protocol 3: the client's next ping */
    EIO_WAIT_CLOSE, /* a poll that fetches the close */
};

struct eio_poll;    /* a GET that waits for packets */
struct eio_post;    /* a POST whose body arrives */
struct eio_upgrade; /* a WebSocket that probes */

struct eio_session {
    struct eio_server *server;
    struct eio_handshake *handshake;
    void *data;
    char id[RANDOM_ID_SIZE];
    uint8_t protocol;  /* 4 or 3; chooses the codec */
    uint8_t transport; /* enum eio_transport */
    uint8_t state;     /* enum eio_state */
    uint8_t wait;      /* enum eio_wait */
    uint8_t reason;    /* enum eio_close_reason, when CLOSED */
    bool base64;       /* the transport's peer cannot take binary */
    bool extended;     /* the wait for a pong was restarted by another packet */
    bool upgraded;
    bool refused; /* by `open`: `closed` is not called */
    bool heard;   /* the client has sent something */
    bool leaving; /* the server drains: the next answer to a poll ends the session */
    bool jsonp;   /* polls are answered by calls of ___eio[jsonp_index] */
    uint8_t jsonp_size;
    char jsonp_index[EIO_JSONP_INDEX_MAX];
    struct timer timer;
    struct net_task task; /* answers a poll with what is queued; ends a CLOSED session */
    struct net_ws *ws;
    struct eio_poll *poll;
    struct eio_post *post;
    struct eio_upgrade *upgrade;
    struct eio_queue queue; /* of the polling transport; a WebSocket has its own */
};

static_assert(sizeof(struct eio_session) <= 320, "an idle session must stay small");

/* --- server ------------------------------------------------------------------------------- */

/* A handshake whose request is right and that may come in. */
void eio_server_open(struct eio_server *server, struct http_exchange *exchange,
                     const struct eio_query *query);

/* Error 4 with this message. */
void eio_server_forbid(const struct eio_server *server, struct http_exchange *exchange,
                       struct str message);

/* --- admission ---------------------------------------------------------------------------- */

/* Asks the application, if it wants to be asked. */
void eio_admit(struct eio_server *server, struct http_exchange *exchange,
               const struct eio_query *query);

/* Forgets those that wait; nobody will decide about them. */
void eio_admissions_free(struct eio_server *server);

/* After a session came or went. */
static inline void eio_server_count(struct eio_server *server)
{
    atomic_store_explicit(&server->session_count, map_size(&server->sessions),
                          memory_order_relaxed);
}

/* --- handshake ---------------------------------------------------------------------------- */

/* The caller's reference; NULL when out of memory. */
struct eio_handshake *eio_handshake_new(const struct http_request *request, uint8_t protocol);

/* --- headers ------------------------------------------------------------------------------ */

enum {
    EIO_HEADERS_MAX = 2 * EIO_EXTRA_HEADERS_MAX,
};

/* Writes the configured headers of an answer that a transport gives; returns how many. */
size_t eio_extra_headers(const struct eio_server *server, bool initial,
                         struct http_header headers[EIO_HEADERS_MAX]);

/* --- session ------------------------------------------------------------------------------ */

/* In the map, but its heartbeat does not run yet. NULL when out of memory, with a log line. */
struct eio_session *eio_session_new(struct eio_server *server,
                                    const struct http_request *request,
                                    const struct eio_query *query);

/* Takes a session back that nobody has heard of. */
void eio_session_discard(struct eio_session *session);

/* The open packet is on its way: starts the heartbeat and tells the handler. */
void eio_session_start(struct eio_session *session);

/* The open packet's JSON. NULL when out of memory. */
struct frame *eio_session_open_packet(const struct eio_session *session);

/* A packet from the client. */
void eio_session_packet(struct eio_session *session, const struct eio_packet *packet);

/* Ends the session on either transport; nothing when it is CLOSED already. */
void eio_session_end(struct eio_session *session, enum eio_close_reason reason);

/* The same because of the peer's fault, with a log line that tells `detail`. */
void eio_session_fault(struct eio_session *session, enum eio_close_reason reason,
                       const char *detail);

/* The server drains: ends the session as soon as its client can be told. */
void eio_session_leave(struct eio_session *session);

/* The queue of a CLOSING session has been sent: what is left is the close itself. */
void eio_session_await_close(struct eio_session *session);

/* Another transport took over: the wait for a sign of life begins anew. */
void eio_session_rearm(struct eio_session *session);

/* Counts the hit; true when it is to be logged. */
bool eio_note_hit(const struct eio_server *server, enum hit hit);

/* The line about a payload over the limit. */
void eio_log_too_large(const struct eio_session *session, uint64_t size);

/* The line about a queue over the limit. */
void eio_log_backlog(const struct eio_session *session, uint64_t queued);

/* --- codec -------------------------------------------------------------------------------- */

/* Decodes one packet: the payload of a WebSocket message. */
void eio_codec_packet(const struct eio_session *session, enum frame_kind kind, uint8_t *bytes,
                      size_t size, struct eio_packet *packet);

/* Goes through a POST's body; FRAME_BINARY is the form that only protocol 3 has. */
void eio_codec_begin(const struct eio_session *session, enum frame_kind form,
                     struct eio_payload *payload, uint8_t *bytes, size_t size);
bool eio_codec_next(const struct eio_session *session, struct eio_payload *payload,
                    struct eio_packet *packet);

/* The packet as the session's WebSocket takes it; NULL when out of memory. Lives as long as
 * `frame`. */
struct frame *eio_codec_frame(const struct eio_session *session, struct frame *frame);

/* The body of a poll's answer and its form. NULL when out of memory. */
struct frame *eio_codec_body(const struct eio_session *session, struct frame *const *frames,
                             size_t count, enum frame_kind *form);

/* Bodies without data: a noop, a close, and a noop with the close behind it. */
struct str eio_codec_noop(const struct eio_session *session);
struct str eio_codec_close(const struct eio_session *session);
struct str eio_codec_noop_close(const struct eio_session *session);

/* --- polling ------------------------------------------------------------------------------ */

/* Answers the handshake with the open packet and the initial one; ends the exchange. False when out of memory: the
 * exchange is the caller's. */
bool eio_polling_answer_open(const struct eio_session *session, struct http_exchange *exchange,
                             struct frame *open);

/* A poll, a post or a nonsense method on a session. */
void eio_polling_request(struct eio_session *session, struct http_exchange *exchange);

/* Answers the pending poll, if there is one, with what is queued, if anything is. */
void eio_polling_flush(struct eio_session *session);

/* Answers the pending poll, if any, with this body. */
void eio_polling_release(struct eio_session *session, struct str body);

/* Destroys a POST that is being received. */
void eio_polling_drop_post(struct eio_session *session);

/* An answer without a body, in the reference's chunked form, with the CORS headers. */
void eio_answer_empty(const struct eio_server *server, struct http_exchange *exchange,
                      int status);

/* --- websocket ---------------------------------------------------------------------------- */

/* Answers 101, `initial`: to a request without an id. NULL: refused, the exchange is over. Nothing
 * is called back before eio_websocket_attach() or net_ws_set_handler(), so the ws must get an owner
 * at once. */
struct net_ws *eio_websocket_accept(const struct eio_server *server,
                                    struct http_exchange *exchange, bool initial);

/* The ws carries the session from now on. */
void eio_websocket_attach(struct eio_session *session, struct net_ws *ws);

void eio_websocket_send(struct eio_session *session, struct frame *frame);

/* --- upgrade ------------------------------------------------------------------------------ */

/* A ws that names the session's id: it may probe, or is closed if another one does or did. */
void eio_upgrade_begin(struct eio_session *session, struct net_ws *ws, bool base64);

/* The session ends: the probing ws too. */
void eio_upgrade_cancel(struct eio_session *session);

#endif
