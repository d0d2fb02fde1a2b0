/*
 * listen: the lws context of a worker as a guest of its loop, and its listeners.
 *
 * lws (4.3.5, event_lib_custom) opens the listening sockets and accepts; an accepted descriptor
 * is taken out at once and becomes a net_conn, so that HTTP and WebSocket bytes share one read
 * and one output path. Why HTTP is not parsed by lws is told in src/README.md.
 *
 * Callers   worker.
 * Owner     the worker owns the net_server; it stops before the loop is freed.
 * Threads   the worker's own.
 * Errors    net_server_listen() says why in words: address in use, no such interface, …
 */
#ifndef SKUA_NET_LISTEN_H
#define SKUA_NET_LISTEN_H

#include "base/hits.h"
#include "net/conn.h"

struct net_server;

struct net_listen_spec {
    const char *text; /* as configured, for messages */
    const char *host; /* numeric address without brackets; NULL for a unix socket */
    uint16_t port;    /* 0: the kernel chooses, net_server_port() tells */

    /* NULL for TCP. An existing socket file that nobody serves is replaced. */
    const char *unix_path;

    /* Connections must begin with a PROXY header, which tells the client's address. */
    bool proxy_protocol;
};

struct net_server_options {
    struct net_loop *loop;
    const struct log *log;
    uint32_t connections; /* accepted at a time; more are closed at once, counted and logged */
    uint32_t connections_per_address; /* 0: no limit; not for unix sockets */
    size_t backlog;                   /* initial net_conn backlog, bytes */
    struct hits *hits;                /* or NULL */
    uint32_t proxy_timeout_ms;        /* for PROXY headers */

    /* A new connection, the callee's to own. `listener` is the index that listen() returned. */
    void (*accepted)(void *owner, struct net_conn *conn, int listener);
    void *owner;
};

struct net_server *net_server_new(const struct net_server_options *options);

/* The listener's index, or -1 with a sentence in `error`. */
int net_server_listen(struct net_server *server, const struct net_listen_spec *spec,
                      char *error, size_t error_size);

/* The port that listener `index` really has; 0 for unix sockets. */
uint16_t net_server_port(const struct net_server *server, int index);

/* Closes the listeners; accepted connections live on. */
void net_server_stop(struct net_server *server);

/* Stops too. Not from inside `accepted`. */
void net_server_free(struct net_server *server);

/* Accepted connections now alive, and those refused because of the limit. */
uint32_t net_server_connections(const struct net_server *server);
uint64_t net_server_refused(const struct net_server *server);

/* The most connections that were alive at a time since the last call. */
uint32_t net_server_take_most(struct net_server *server);

#endif
