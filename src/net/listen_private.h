/*
 * listen_private: what the files of net/listen share: the server, its listeners, their addresses.
 *
 * Callers   net/listen*.c only.
 */
#ifndef SKUA_NET_LISTEN_PRIVATE_H
#define SKUA_NET_LISTEN_PRIVATE_H

#include "net/listen.h"
#include "net/proxy_wait.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct lws_protocols;
struct lws_vhost;

enum {
    LISTENERS_MAX = 64,

    /* Connections the kernel keeps for us; lws asks for SOMAXCONN, musl's is 128. */
    LISTEN_QUEUE = 4096,
};

struct listener {
    struct net_io io;
    struct timer resume;    /* runs while accepting pauses */
    struct proxy_room room; /* connections whose PROXY header has not come */
    struct net_server *server;
    struct lws_vhost *vhost; /* NULL: served without lws */
    char *bound_to;          /* lws keeps the pointer */
    char *name;              /* for the process that takes it over */
    int index;
    int id;
    uint16_t port;
    bool proxied;
    bool open;
    bool has_file;  /* a Unix socket's */
    bool owns_file; /* and it is removed at the end */
};

struct net_server {
    struct net_server_options options;
    struct lws_guest *guest;
    struct tally *tally;
    struct listener *listeners[LISTENERS_MAX];
    int listener_count;
    int bound;    /* the descriptor that lws has just bound, while listen() runs; else -1 */
    int accepted; /* the descriptor that lws has just accepted, or -1 */
    uint64_t refused;
    uint64_t refusal_logged_ms, failure_logged_ms, proxy_logged_ms;
};

/* listen_address.c: sockets and their addresses, without a server. */

struct listen_address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

/* False when the text is no numeric address, or the path is too long. */
bool listen_address_parse(struct listen_address *address, const struct net_listen_spec *spec);

/* "::" takes IPv4 too, as Node's listeners do. */
bool listen_address_takes_both(const struct listen_address *address);

/* Whether the address can be had: binds a socket of our own, for the reason if it cannot be done.
 * lws only logs it, and it would share a listener of ours with the same address. Returns an errno. */
int listen_address_try(const struct listen_address *address);

/* Removes a socket file that nobody serves. Returns an errno. */
int listen_address_clear_path(const struct listen_address *address);

/* A listening socket at the path. Or -1 with errno. */
int listen_address_open_unix(const struct listen_address *address);

/* A listening socket at the address, which others may share. Or -1 with errno. */
int listen_address_open_shared(const struct listen_address *address);

/* The port that the socket really has; 0 for unix sockets. */
uint16_t listen_address_port(int fd);

/* listen_open.c: the listener was opened, or never was. */
void listener_free(struct listener *listener);

/* listen_accept.c */

/* What lws does with a connection, for a vhost whose user is the listener. */
const struct lws_protocols *listener_lws_protocols(void);

/* Accepts on the socket from now on. False, with errno, when out of memory or descriptors. */
bool listener_start(struct listener *listener, int fd);

/* Takes over an accepted descriptor, which counts against the limits. */
void listener_take(struct listener *listener, int fd);

#endif
