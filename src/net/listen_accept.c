#include "net/conn_private.h"
#include "net/listen_private.h"
#include "net/lws_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    ACCEPTS_PER_EVENT = 64,
    PAUSE_MS = 100,      /* after accept() failed, as it does without free descriptors */
    LOG_EVERY_MS = 1000, /* the same complaint is not repeated sooner */
};

static bool may_log(struct net_server *server, uint64_t *last_ms)
{
    uint64_t now_ms = net_loop_now(server->options.loop);

    if (*last_ms != 0 && now_ms - *last_ms < LOG_EVERY_MS)
        return false;
    *last_ms = now_ms;
    return true;
}

/* ---- admitting ---- */

static void refuse(struct net_server *server, int fd)
{
    close(fd);
    server->refused++;
    hits_note(server->options.hits, HIT_CONNECTIONS, net_loop_now(server->options.loop));
    if (may_log(server, &server->refusal_logged_ms))
        log_warn(server->options.log, "connection refused: the limit is reached",
                 log_int("limit", server->options.connections),
                 log_int("refused", (int64_t)server->refused), LOG_END);
}

static void complain_of_memory(struct net_server *server)
{
    if (may_log(server, &server->failure_logged_ms))
        log_error(server->options.log, "out of memory for a connection", LOG_END);
}

/* Counts a connection, which has begun already, for its address too. False when it was closed. */
static bool count_address(struct net_server *server, struct net_conn *conn)
{
    const char *name = net_conn_address(conn);
    struct tally_address *address = tally_address_begin(server->tally, str_from(name));

    if (address) {
        net_conn_on_end(conn, tally_address_end, address);
        return true;
    }
    if (hits_note(server->options.hits, HIT_ADDRESS_CONNECTIONS,
                  net_loop_now(server->options.loop)))
        log_warn(server->options.log, "connection refused: its address has too many",
                 log_text("address", name),
                 log_int("limit", server->options.connections_per_address), LOG_END);
    net_conn_close(conn);
    return false;
}

/* Makes a connection of the descriptor, which counts already. `address`: "" for the peer's own. */
static void admit(struct listener *listener, int fd, const char *address)
{
    struct net_server *server = listener->server;
    struct net_conn *conn = net_conn_new(server->options.loop, fd, server->options.backlog);

    if (!conn) {
        tally_end(server->tally);
        complain_of_memory(server);
        return;
    }
    if (address[0])
        net_conn_set_address(conn, address);
    if (!listener->proxied) /* what its proxy told is known here only */
        net_conn_set_listener(conn, listener->index);
    net_conn_on_end(conn, tally_end, server->tally);
    /* Those of a unix socket have no address. */
    if (tally_counts_addresses(server->tally) && net_conn_address(conn)[0] &&
        !count_address(server, conn))
        return;
    server->options.accepted(server->options.owner, conn, listener->id);
}

static void proxy_header_done(struct proxy_room *room, int fd, const char *address,
                              const char *fault)
{
    struct listener *listener = CONTAINER_OF(room, struct listener, room);
    struct net_server *server = listener->server;
    char peer[NET_ADDRESS_MAX];

    if (!fault) {
        admit(listener, fd, address);
        return;
    }
    if (may_log(server, &server->proxy_logged_ms)) {
        net_conn_read_address(fd, peer);
        log_warn(server->options.log, "connection refused: a PROXY header must come first",
                 log_text("address", peer), log_text("reason", fault), LOG_END);
    }
    close(fd);
    tally_end(server->tally);
}

void listener_take(struct listener *listener, int fd)
{
    struct net_server *server = listener->server;

    if (tally_all_connections(server->tally) >= server->options.connections) {
        refuse(server, fd);
        return;
    }
    tally_begin(server->tally);
    if (!listener->proxied) {
        admit(listener, fd, "");
    } else if (!proxy_room_enter(&listener->room, fd)) {
        close(fd);
        tally_end(server->tally);
        complain_of_memory(server);
    }
}

/* ---- accepting ---- */

/*
 * Called by lws for each connection, right after accept(). Leaving an invalid descriptor behind
 * and refusing the connection takes it out of lws before anything was allocated for it: lws closes
 * what the arguments name.
 */
static int lws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                        size_t size)
{
    (void)in;
    (void)size;
    if (reason != LWS_CALLBACK_FILTER_NETWORK_CONNECTION)
        return 0;

    struct lws_filter_network_conn_args *arguments = user;
    struct listener *listener = lws_vhost_user(lws_get_vhost(wsi));

    listener->server->accepted = arguments->accept_fd;
    arguments->accept_fd = LWS_SOCK_INVALID;
    return 1;
}

const struct lws_protocols *listener_lws_protocols(void)
{
    static const struct lws_protocols protocols[] = {
        {.name = "skua", .callback = lws_callback},
        LWS_PROTOCOL_LIST_TERM,
    };

    return protocols;
}

/* The next waiting connection of the listener, or -1. */
static int accept_one(struct listener *listener)
{
    struct net_server *server = listener->server;

    if (!listener->vhost)
        return accept4(listener->io.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    server->accepted = -1;
    lws_guest_service(server->guest, listener->io.fd, EPOLLIN);
    return server->accepted;
}

static void resume(struct timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, resume);

    net_loop_modify(listener->server->options.loop, &listener->io, EPOLLIN);
}

/* Nothing was accepted: either the peer has given up already, or accept() fails and would go on
 * failing, with the loop spinning around it. */
static void look_at_failure(struct listener *listener)
{
    struct net_server *server = listener->server;
    struct pollfd waiting = {.fd = listener->io.fd, .events = POLLIN};

    if (poll(&waiting, 1, 0) <= 0)
        return;
    net_loop_modify(server->options.loop, &listener->io, 0);
    timer_start(net_loop_timers(server->options.loop), &listener->resume, PAUSE_MS);
    if (!may_log(server, &server->failure_logged_ms))
        return;

    /* lws does not tell why; the usual reason shows again here. */
    int spare = fcntl(listener->io.fd, F_DUPFD_CLOEXEC, 0);
    const char *reason = spare < 0 ? strerror(errno) : "accept failed";

    if (spare >= 0)
        close(spare);
    log_error(server->options.log, "connections wait, they cannot be accepted",
              log_text("reason", reason),
              log_int("connections", tally_connections(server->tally)), LOG_END);
}

static void accept_ready(struct net_io *io, uint32_t events)
{
    struct listener *listener = CONTAINER_OF(io, struct listener, io);

    (void)events;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept_one(listener);

        if (fd < 0) {
            if (i == 0 && (listener->vhost || errno != EAGAIN)) /* another worker was first */
                look_at_failure(listener);
            return;
        }
        listener_take(listener, fd);
        if (!listener->open)
            return; /* the owner has stopped the server */
    }
}

bool listener_start(struct listener *listener, int fd)
{
    struct net_server *server = listener->server;

    timer_init(&listener->resume, resume);
    proxy_room_init(&listener->room, server->options.loop, server->options.proxy_timeout_ms,
                    proxy_header_done);
    listener->io = (struct net_io){.fd = fd, .events = EPOLLIN, .ready = accept_ready};
    listener->open = net_loop_add(server->options.loop, &listener->io);
    return listener->open;
}

void net_server_accept(struct net_server *server, bool accept)
{
    for (int i = 0; i < server->listener_count; i++) {
        struct listener *listener = server->listeners[i];

        if (!listener->open)
            continue;
        timer_stop(net_loop_timers(server->options.loop), &listener->resume);
        net_loop_modify(server->options.loop, &listener->io, accept ? (uint32_t)EPOLLIN : 0);
        listener->owns_file = listener->owns_file || (accept && listener->has_file);
    }
}
