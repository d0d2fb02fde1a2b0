#include "net/listen_private.h"
#include "net/lws_guest.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- faults in words ---- */

/* Writes why there is no listener; the result is net_server_listen()'s. */
__attribute__((format(printf, 3, 4))) static int fail(char *error, size_t size,
                                                      const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error, size, format, arguments);
    va_end(arguments);
    return -1;
}

static int fail_errno(char *error, size_t size, const struct net_listen_spec *spec, int number)
{
    switch (number) {
    case EADDRINUSE:
        return fail(error, size, "address %s is in use", spec->text);
    case EACCES:
    case EPERM:
        return fail(error, size, "permission denied to listen on %s", spec->text);
    case EADDRNOTAVAIL:
        return fail(error, size, "%s is not an address of this machine", spec->text);
    case EAFNOSUPPORT:
        return fail(error, size, "this machine does not do IPv6, which %s needs", spec->text);
    default:
        return fail(error, size, "cannot listen on %s: %s", spec->text, strerror(number));
    }
}

/* ---- a listener ---- */

void listener_free(struct listener *listener)
{
    if (!listener)
        return;
    free(listener->bound_to);
    free(listener->name);
    free(listener);
}

/* Not open yet. NULL when out of memory. */
static struct listener *new_listener(struct net_server *server,
                                     const struct net_listen_spec *spec, const char *name)
{
    const char *bound_to = spec->unix_path ? spec->unix_path : spec->host;
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return NULL;
    listener->server = server;
    listener->id = spec->id;
    listener->bound_to = str_dup(str_from(bound_to ? bound_to : ""));
    listener->name = str_dup(str_from(name));
    listener->proxied = spec->proxy_protocol;
    if (!listener->bound_to || !listener->name) {
        listener_free(listener);
        return NULL;
    }
    return listener;
}

/* Accepts from now on. Returns its index, or -1. */
static int open_listener(struct listener *listener, int fd)
{
    struct net_server *server = listener->server;

    if (!listener_start(listener, fd))
        return -1;
    listener->index = server->listener_count;
    listener->port = listen_address_port(fd);
    server->listeners[server->listener_count] = listener;
    return server->listener_count++;
}

/* ---- without lws ---- */

/* Takes over the socket. Returns the listener's index, or -1 with errno. */
static int add_own(struct net_server *server, const struct net_listen_spec *spec,
                   const char *name, int fd, bool inherited)
{
    struct listener *listener = new_listener(server, spec, name);
    int index = listener ? open_listener(listener, fd) : -1;

    if (index < 0) {
        listener_free(listener);
        close(fd);
        return -1;
    }
    listener->has_file = spec->unix_path && !server->options.leaves_files;
    listener->owns_file = listener->has_file && !inherited;
    return index;
}

static int listen_systemd(struct net_server *server, const struct net_listen_spec *spec,
                          char *error, size_t size)
{
    struct inherited *inherited = server->options.inherited;
    char name[INHERITED_NAME_MAX];
    int first = -1;
    int fd;

    while (inherited && server->listener_count < LISTENERS_MAX &&
           (fd = inherited_take_systemd(inherited, str_from(spec->systemd), name)) >= 0) {
        int index = add_own(server, spec, name, fd, true);

        if (index < 0)
            return fail(error, size, "cannot listen on %s: %s", spec->text, strerror(errno));
        if (first < 0)
            first = index;
    }
    if (first < 0)
        return fail(error, size,
                    "cannot listen on %s: systemd passed no such socket (LISTEN_FDS, "
                    "LISTEN_FDNAMES)",
                    spec->text);
    return first;
}

/* ---- with lws ---- */

/* Has lws open the listener's socket; our further wishes follow it. Returns its index, or -1. */
static int open_by_lws(struct listener *listener, const struct net_listen_spec *spec,
                       const struct listen_address *address)
{
    struct net_server *server = listener->server;
    struct lws_context_creation_info info = {
        .port = spec->port,
        .iface = listener->bound_to,
        .protocols = listener_lws_protocols(),
        .options =
            LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
            (listen_address_takes_both(address) ? LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY : 0),
        .user = listener,
        .vhost_name = spec->text,
    };

    server->bound = -1;
    listener->vhost = lws_create_vhost(lws_guest_context(server->guest), &info);
    if (!listener->vhost || server->bound < 0 || listen(server->bound, LISTEN_QUEUE) < 0 ||
        fcntl(server->bound, F_SETFL, O_NONBLOCK) < 0)
        return -1;
    return open_listener(listener, server->bound);
}

static int add_by_lws(struct net_server *server, const struct net_listen_spec *spec,
                      const struct listen_address *address, const char *name)
{
    struct listener *listener = new_listener(server, spec, name);
    int index = listener ? open_by_lws(listener, spec, address) : -1;

    if (index < 0 && listener && listener->vhost) {
        lws_vhost_destroy(listener->vhost);
        lws_guest_settle(server->guest);
    }
    if (index < 0)
        listener_free(listener);
    return index;
}

/* ---- on an address ---- */

/* A socket of that name or address that was inherited, or -1. */
static int take_inherited(struct net_server *server, const char *name,
                          const struct listen_address *address)
{
    struct inherited *inherited = server->options.inherited;
    int fd = inherited ? inherited_take(inherited, name) : -1;

    return fd >= 0 || !inherited ? fd : inherited_take_address(inherited, &address->any);
}

static void write_name(char name[INHERITED_NAME_MAX], const struct net_listen_spec *spec)
{
    if (spec->unix_path)
        snprintf(name, INHERITED_NAME_MAX, INHERITED_UNIX "%s", spec->unix_path);
    else
        snprintf(name, INHERITED_NAME_MAX, "%s %u", spec->host, spec->port);
}

/* Opens a new socket. Returns the listener's index, or -1 with a sentence. */
static int listen_anew(struct net_server *server, const struct net_listen_spec *spec,
                       const struct listen_address *address, const char *name, char *error,
                       size_t size)
{
    int failure =
        spec->unix_path ? listen_address_clear_path(address) : listen_address_try(address);
    int index;

    if (spec->unix_path && failure == EEXIST)
        return fail(error, size, "cannot listen on %s: the file is not a socket", spec->text);
    if (failure != 0)
        return fail_errno(error, size, spec, failure);
    if (spec->unix_path) {
        int fd = listen_address_open_unix(address);

        if (fd < 0)
            return fail_errno(error, size, spec, errno);
        index = add_own(server, spec, name, fd, false);
    } else if (server->options.shares_ports) {
        int fd = listen_address_open_shared(address);

        if (fd < 0)
            return fail_errno(error, size, spec, errno);
        index = add_own(server, spec, name, fd, false);
    } else {
        index = add_by_lws(server, spec, address, name);
    }
    if (index < 0)
        return fail(error, size, "cannot listen on %s: libwebsockets refused", spec->text);
    return index;
}

int net_server_listen(struct net_server *server, const struct net_listen_spec *spec,
                      char *error, size_t error_size)
{
    struct listen_address address;
    char name[INHERITED_NAME_MAX];
    int fd;

    if (server->listener_count == LISTENERS_MAX)
        return fail(error, error_size, "cannot listen on %s: too many listeners", spec->text);
    if (spec->systemd)
        return listen_systemd(server, spec, error, error_size);
    if (!listen_address_parse(&address, spec))
        return fail(error, error_size, "cannot listen on %s: %s", spec->text,
                    spec->unix_path ? "the path is too long" : "the address is not numeric");
    write_name(name, spec);
    fd = take_inherited(server, name, &address);
    if (fd < 0)
        return listen_anew(server, spec, &address, name, error, error_size);

    int first = server->listener_count;

    do {
        if (add_own(server, spec, name, fd, true) < 0)
            return fail_errno(error, error_size, spec, errno);
        fd = server->listener_count < LISTENERS_MAX
                 ? inherited_take_twin(server->options.inherited, fd)
                 : -1;
    } while (fd >= 0);
    return first;
}
