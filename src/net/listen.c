#include "net/conn_private.h"
#include "net/listen_private.h"
#include "net/lws_guest.h"

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- life ---- */

static void listening(void *owner, struct lws *wsi, int fd)
{
    struct net_server *server = owner;

    (void)wsi;
    server->bound = fd;
}

struct net_server *net_server_new(const struct net_server_options *options)
{
    struct net_server *server = calloc(1, sizeof(*server));

    if (!server)
        return NULL;
    server->options = *options;
    server->accepted = -1;
    server->tally =
        options->sum ? tally_new_of(options->sum) : tally_new(options->connections_per_address);
    if (!server->tally)
        goto fail;
    server->guest = lws_guest_new(&(struct lws_guest_options){
        .loop = options->loop,
        .log = options->log,
        .listening = listening,
        .owner = server,
    });
    if (!server->guest)
        goto fail;
    return server;

fail:
    if (server->tally)
        tally_leave(server->tally);
    free(server);
    return NULL;
}

static void close_listener(struct listener *listener, bool left)
{
    struct net_loop *loop = listener->server->options.loop;

    if (!listener->open)
        return;
    listener->open = false;
    timer_stop(net_loop_timers(loop), &listener->resume);
    net_loop_remove(loop, &listener->io);
    if (listener->vhost) {
        lws_vhost_destroy(listener->vhost);
        listener->vhost = NULL;
        return;
    }
    if (listener->owns_file && !left)
        unlink(listener->bound_to);
    close(listener->io.fd);
}

static void close_listeners(struct net_server *server, bool left)
{
    for (int i = 0; i < server->listener_count; i++)
        close_listener(server->listeners[i], left);
    lws_guest_settle(server->guest);
}

void net_server_stop(struct net_server *server)
{
    close_listeners(server, false);
}

void net_server_leave(struct net_server *server)
{
    close_listeners(server, true);
}

void net_server_free(struct net_server *server)
{
    if (!server)
        return;
    net_server_stop(server);
    lws_guest_free(server->guest);
    for (int i = 0; i < server->listener_count; i++) {
        proxy_room_clear(&server->listeners[i]->room);
        listener_free(server->listeners[i]);
    }
    tally_leave(server->tally);
    free(server);
}

/* ---- handing over ---- */

void net_server_show(const struct net_server *server,
                     void (*show)(void *owner, const char *name, int fd), void *owner)
{
    for (int i = 0; i < server->listener_count; i++) {
        const struct listener *listener = server->listeners[i];

        if (listener->open)
            show(owner, listener->name, listener->io.fd);
    }
}

struct giving {
    const struct net_server *server;
    bool (*take)(void *owner, const char *name, int fd);
    void *owner;
};

static bool give(void *owner, int listener, int fd)
{
    const struct giving *giving = owner;

    return giving->take(giving->owner, giving->server->listeners[listener]->name, fd);
}

void net_server_give(struct net_server *server,
                     bool (*take)(void *owner, const char *name, int fd), void *owner)
{
    struct giving giving = {server, take, owner};

    net_conns_give(server->options.loop, give, &giving);
}

void net_server_take(struct net_server *server, const char *name, int fd)
{
    for (int i = 0; i < server->listener_count; i++) {
        if (strcmp(server->listeners[i]->name, name) != 0)
            continue;
        listener_take(server->listeners[i], fd);
        return;
    }
    close(fd);
}

/* ---- questions ---- */

int net_server_listeners(const struct net_server *server)
{
    return server->listener_count;
}

uint16_t net_server_port(const struct net_server *server, int index)
{
    return server->listeners[index]->port;
}

uint32_t net_server_take_most(struct net_server *server)
{
    return tally_take_most(server->tally);
}

uint32_t net_server_connections(const struct net_server *server)
{
    return tally_connections(server->tally);
}

uint64_t net_server_refused(const struct net_server *server)
{
    return server->refused;
}
