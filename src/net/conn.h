/*
 * conn: one accepted stream connection: reads into the loop's shared buffer, sends from a queue
 * of frames that is flushed once a turn with writev, and knows how many bytes wait.
 *
 * A conn without anything queued or half read holds no buffer. Reading pauses by itself while
 * more than a quarter of the backlog limit is queued, so a peer that sends requests and does not
 * read the answers is slowed down by TCP instead of being thrown out; only what others send to
 * it can push it over the limit.
 *
 * Over TLS the owner sees and sends plain bytes all the same: records are opened and sealed here.
 *
 * Callers   net/http1 and net/ws, each for a part of a connection's life.
 * Owner     listeners make conns; whoever is the handler owns the conn and ends it with
 *           net_conn_close() or net_conn_finish(). Its memory is freed at the end of that turn.
 * Threads   the worker's own.
 * Units     bytes, milliseconds.
 * Errors    reported by the `closed` callback, always from the loop, never from inside a call of
 *           the owner; after it the conn is gone.
 */
#ifndef SKUA_NET_CONN_H
#define SKUA_NET_CONN_H

#include "base/log.h"
#include "net/frame.h"
#include "net/loop.h"
#include "net/tls.h"

struct net_conn;

enum net_end {
    NET_END_CLOSED,  /* the peer closed */
    NET_END_ERROR,   /* reset, or another error of the socket or of TLS */
    NET_END_BACKLOG, /* more bytes queued than the limit allows */
};

struct net_conn_handler {
    /* The bytes are the loop's read buffer: they may be changed in place and are gone when the
     * call returns. The owner may close the conn inside. */
    void (*readable)(void *owner, uint8_t *bytes, size_t size);

    /* The output queue has become empty by a flush. May be NULL. */
    void (*drained)(void *owner);

    /* The last call. */
    void (*closed)(void *owner, enum net_end why);

    /* The server stops: the owner closes the conn if it is idle, and touches no other. True: it is
     * at work for its peer. May be NULL. */
    bool (*stopping)(void *owner);
};

enum {
    NET_ADDRESS_MAX = 64, /* bytes of a peer's address as text, with its NUL */
    NET_CONN_GAP_MS = 1,  /* a process that waits for bytes wakes within 0.1 ms */
};

/* Takes over a connected non-blocking socket. NULL (and the fd closed) when out of memory. */
struct net_conn *net_conn_new(struct net_loop *loop, int fd, size_t backlog);

void net_conn_set_handler(struct net_conn *conn, const struct net_conn_handler *handler,
                          void *owner);

/* From now on the connection speaks TLS: the client's first bytes are its handshake. Frames wait
 * until that is done; net_conn_finish() before is net_conn_close(). Takes a reference to the
 * context. False when out of memory. */
bool net_conn_start_tls(struct net_conn *conn, struct tls_context *context);

/* The same as a client, on a connection to a server of that name. */
bool net_conn_start_tls_client(struct net_conn *conn, struct tls_trust *trust,
                               const char *name);

/* What was wrong with TLS, for `closed` to ask; "" if nothing was. */
const char *net_conn_failure(const struct net_conn *conn);

struct net_loop *net_conn_loop(const struct net_conn *conn);

/* The peer's numeric address ("127.0.0.1", "::1"; "" for unix sockets), as the reference's
 * remoteAddress shows it: IPv4 over an IPv6 listener is "::ffff:1.2.3.4". */
const char *net_conn_address(const struct net_conn *conn);

/* Bytes allowed in the queue; over it the conn ends with NET_END_BACKLOG. */
void net_conn_set_backlog(struct net_conn *conn, size_t backlog);

/* Queues the frame's wire bytes; takes a reference of its own. Frames queued on a conn that is
 * ending are dropped. */
void net_conn_send(struct net_conn *conn, struct frame *frame);

/* Gives what is queued to the kernel now; what is queued from here on follows NET_CONN_GAP_MS later,
 * so that a peer on the same machine too reads the two apart. */
void net_conn_part(struct net_conn *conn);

/* Bytes queued and not yet given to the kernel. */
size_t net_conn_queued(const struct net_conn *conn);

/* The queue is empty: what volatile events ask. */
bool net_conn_writable(const struct net_conn *conn);

/* Reading on the owner's wish (a body that waits, a held request): both the owner and the backlog
 * must agree for reading to go on. A paused conn still notices a reset. */
void net_conn_pause(struct net_conn *conn, bool paused);

/* Ends now: what is queued is dropped. No callback. */
void net_conn_close(struct net_conn *conn);

/* Sends what is queued, then ends the sending side, waits for the peer's end up to linger_ms
 * (0: none) and closes. What still arrives is thrown away. No callback. */
void net_conn_finish(struct net_conn *conn, uint32_t linger_ms);

/* Tells the owners of all connections of the loop that the server stops, as often as it is called.
 * Returns how many are at work or have something to send. */
uint32_t net_conns_stop(struct net_loop *loop);

/* Ends all connections of the loop, as if each peer had gone. */
void net_conns_end(struct net_loop *loop);

#endif
