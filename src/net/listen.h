/*
 * listen: the lws context of a worker as a guest of its loop, and its listeners.
 *
 * lws (4.3.5, event_lib_custom) opens the listening sockets and accepts; an accepted descriptor
 * is taken out at once and becomes a net_conn, so that HTTP and WebSocket bytes share one read
 * and one output path. Why HTTP is not parsed by lws is told in src/README.md. Sockets that were
 * inherited, and Unix sockets, whose files must stay when another process goes on with them, are
 * served without lws, which can do neither.
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
#include "net/inherited.h"
#include "net/tally.h"

struct net_server;

struct net_listen_spec {
    const char *text; /* as configured, for messages */
    const char *host; /* numeric address without brackets; NULL for a unix socket */
    uint16_t port;    /* 0: the kernel chooses, net_server_port() tells */

    /* NULL for TCP. An existing socket file that nobody serves is replaced. */
    const char *unix_path;

    /* Neither, but the sockets that systemd passed under that name, all of them if it is "". NULL
     * for TCP and unix sockets. */
    const char *systemd;

    /* Connections must begin with a PROXY header, which tells the client's address. */
    bool proxy_protocol;

    int id; /* told with each connection */
};

struct net_server_options {
    struct net_loop *loop;
    const struct log *log;
    uint32_t connections; /* accepted at a time; more are closed at once, counted and logged */
    uint32_t connections_per_address; /* 0: no limit; not for unix sockets */
    size_t backlog;                   /* initial net_conn backlog, bytes */
    struct hits *hits;                /* or NULL */
    uint32_t proxy_timeout_ms;        /* for PROXY headers */
    struct inherited *inherited; /* sockets that are taken instead of opening them, or NULL */

    /* Of several workers: where all their connections are counted, or NULL; TCP addresses are shared
     * with the others (SO_REUSEPORT); the files of unix sockets are another's to remove. */
    struct tally_sum *sum;
    bool shares_ports;
    bool leaves_files;

    /* A new connection, the callee's to own. */
    void (*accepted)(void *owner, struct net_conn *conn, int listener_id);
    void *owner;
};

struct net_server *net_server_new(const struct net_server_options *options);

/* The listener's index, or -1 with a sentence in `error`. systemd's sockets have indices that follow
 * each other, up to net_server_listeners(). */
int net_server_listen(struct net_server *server, const struct net_listen_spec *spec,
                      char *error, size_t error_size);

/* Another socket that listens at the same address, for another worker. The address must have been
 * opened with `shares_ports`. -1 with errno. */
int net_listen_twin(int fd);

int net_server_listeners(const struct net_server *server);

/* The port that listener `index` really has; 0 for unix sockets. */
uint16_t net_server_port(const struct net_server *server, int index);

/* Accepts, or leaves connections in the kernel's queue for a while. A new server accepts, but the
 * files of Unix sockets that it inherited are its own only when it is told so: until then another
 * process may have to go on with them. */
void net_server_accept(struct net_server *server, bool accept);

/* Shows the sockets with their names (net/inherited.h) to whoever takes them over. */
void net_server_show(const struct net_server *server,
                     void (*show)(void *owner, const char *name, int fd), void *owner);

/* The same with connections that have not begun to speak. Those that are taken, by a copy of the
 * descriptor, end here. */
void net_server_give(struct net_server *server,
                     bool (*take)(void *owner, const char *name, int fd), void *owner);

/* Takes over such a connection, which came to the socket of that name elsewhere. */
void net_server_take(struct net_server *server, const char *name, int fd);

/* Closes the listeners; accepted connections live on, and those whose PROXY header has not come
 * still begin. */
void net_server_stop(struct net_server *server);

/* The same, but another process goes on with the sockets: the files of unix sockets stay. */
void net_server_leave(struct net_server *server);

/* Stops too. Not from inside `accepted`. */
void net_server_free(struct net_server *server);

/* Accepted connections now alive, and those refused because of the limit. */
uint32_t net_server_connections(const struct net_server *server);
uint64_t net_server_refused(const struct net_server *server);

/* The most connections that were alive at a time since the last call. */
uint32_t net_server_take_most(struct net_server *server);

#endif
