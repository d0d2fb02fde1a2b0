#include "net/listen.h"

#include "net/conn_private.h"
#include "net/lws_guest.h"
#include "net/proxy_wait.h"
#include "net/tally.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LISTENERS_MAX = 64,
    QUEUE =
        4096, /* connections the kernel keeps for us; lws asks for SOMAXCONN, musl's is 128 */
    ACCEPTS_PER_EVENT = 64,
    PAUSE_MS = 100,      /* after accept() failed, as it does without free descriptors */
    LOG_EVERY_MS = 1000, /* the same complaint is not repeated sooner */
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

/* ---- accepting ---- */

static bool may_log(struct net_server *server, uint64_t *last_ms)
{
    uint64_t now_ms = net_loop_now(server->options.loop);

    if (*last_ms != 0 && now_ms - *last_ms < LOG_EVERY_MS)
        return false;
    *last_ms = now_ms;
    return true;
}

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

static void take(struct listener *listener, int fd)
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

static void resume(struct timer *timer)
{
    struct listener *listener = CONTAINER_OF(timer, struct listener, resume);

    net_loop_modify(listener->server->options.loop, &listener->io, EPOLLIN);
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
        take(listener, fd);
        if (!listener->open)
            return; /* the owner has stopped the server */
    }
}

/* ---- listening ---- */

struct address {
    socklen_t size;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
    };
};

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

static bool parse_address(const struct net_listen_spec *spec, struct address *address)
{
    *address = (struct address){0};
    if (spec->unix_path) {
        size_t size = strlen(spec->unix_path);

        if (size >= sizeof(address->local.sun_path))
            return false;
        address->local.sun_family = AF_UNIX;
        memcpy(address->local.sun_path, spec->unix_path, size);
        address->size = sizeof(address->local);
    } else if (inet_pton(AF_INET, spec->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(spec->port);
        address->size = sizeof(address->v4);
    } else if (inet_pton(AF_INET6, spec->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(spec->port);
        address->size = sizeof(address->v6);
    }
    return address->size > 0;
}

/* "::" takes IPv4 too, as Node's listeners do. */
static bool takes_both(const struct address *address)
{
    return address->any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

/* Binds a socket of our own, for the reason if it cannot be done: lws only logs it, and it would
 * share a listener of ours with the same address. Returns an errno. */
static int try_to_bind(const struct address *address)
{
    int on = 1;
    int only_v6 = !takes_both(address);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));

    int failure = bind(fd, &address->any, address->size) < 0 ? errno : 0;

    close(fd);
    return failure;
}

/* Removes a socket file that nobody serves. Returns an errno. */
static int clear_unix_path(const struct address *address)
{
    struct stat file;

    if (lstat(address->local.sun_path, &file) < 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(file.st_mode))
        return EEXIST;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return errno;

    int refused = connect(fd, &address->any, address->size) < 0 && errno == ECONNREFUSED;

    close(fd);
    if (!refused)
        return EADDRINUSE;
    return unlink(address->local.sun_path) < 0 ? errno : 0;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}

static void free_listener(struct listener *listener)
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
    timer_init(&listener->resume, resume);
    listener->proxied = spec->proxy_protocol;
    proxy_room_init(&listener->room, server->options.loop, server->options.proxy_timeout_ms,
                    proxy_header_done);
    if (!listener->bound_to || !listener->name) {
        free_listener(listener);
        return NULL;
    }
    return listener;
}

/* Accepts from now on. Returns its index, or -1. */
static int open_listener(struct listener *listener, int fd)
{
    struct net_server *server = listener->server;

    listener->io = (struct net_io){.fd = fd, .events = EPOLLIN, .ready = accept_ready};
    if (!net_loop_add(server->options.loop, &listener->io))
        return -1;
    listener->open = true;
    listener->index = server->listener_count;
    listener->port = bound_port(fd);
    server->listeners[server->listener_count] = listener;
    return server->listener_count++;
}

/* ---- listening without lws ---- */

/* Takes over the socket. Returns the listener's index, or -1 with errno. */
static int add_own(struct net_server *server, const struct net_listen_spec *spec,
                   const char *name, int fd, bool inherited)
{
    struct listener *listener = new_listener(server, spec, name);
    int index = listener ? open_listener(listener, fd) : -1;

    if (index < 0) {
        free_listener(listener);
        close(fd);
        return -1;
    }
    listener->has_file = spec->unix_path && !server->options.leaves_files;
    listener->owns_file = listener->has_file && !inherited;
    return index;
}

/* The socket, or -1 with errno. */
static int open_unix(const struct address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, &address->any, address->size) < 0 || listen(fd, QUEUE) < 0) {
        int failure = errno;

        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

/* A listening socket at the address, which others may share. Or -1 with errno. */
static int open_shared(const struct sockaddr *address, socklen_t size, bool only_v6)
{
    int on = 1;
    int v6_option = only_v6;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        (address->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_option, sizeof(v6_option)) < 0) ||
        bind(fd, address, size) < 0 || listen(fd, QUEUE) < 0) {
        int failure = errno;

        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

int net_listen_twin(int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    int only_v6 = 0;
    socklen_t option_size = sizeof(only_v6);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -1;
    if (address.ss_family == AF_INET6 &&
        getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &option_size) < 0)
        return -1;
    return open_shared((struct sockaddr *)&address, size, only_v6);
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

/* ---- listening with lws ---- */

static void listening(void *owner, struct lws *wsi, int fd)
{
    struct net_server *server = owner;

    (void)wsi;
    server->bound = fd;
}

/* Has lws open the listener's socket; our further wishes follow it. Returns its index, or -1. */
static int open_by_lws(struct listener *listener, const struct net_listen_spec *spec,
                       const struct address *address)
{
    static const struct lws_protocols protocols[] = {
        {.name = "skua", .callback = lws_callback},
        LWS_PROTOCOL_LIST_TERM,
    };
    struct net_server *server = listener->server;
    struct lws_context_creation_info info = {
        .port = spec->port,
        .iface = listener->bound_to,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND |
                   (takes_both(address) ? LWS_SERVER_OPTION_IPV6_V6ONLY_MODIFY : 0),
        .user = listener,
        .vhost_name = spec->text,
    };

    server->bound = -1;
    listener->vhost = lws_create_vhost(lws_guest_context(server->guest), &info);
    if (!listener->vhost || server->bound < 0 || listen(server->bound, QUEUE) < 0 ||
        fcntl(server->bound, F_SETFL, O_NONBLOCK) < 0)
        return -1;
    return open_listener(listener, server->bound);
}

static int add_by_lws(struct net_server *server, const struct net_listen_spec *spec,
                      const struct address *address, const char *name)
{
    struct listener *listener = new_listener(server, spec, name);
    int index = listener ? open_by_lws(listener, spec, address) : -1;

    if (index < 0 && listener && listener->vhost) {
        lws_vhost_destroy(listener->vhost);
        lws_guest_settle(server->guest);
    }
    if (index < 0)
        free_listener(listener);
    return index;
}

/* ---- listening on an address ---- */

/* A socket of that name or address that was inherited, or -1. */
static int take_inherited(struct net_server *server, const char *name,
                          const struct address *address)
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
                       const struct address *address, const char *name, char *error,
                       size_t size)
{
    int failure = spec->unix_path ? clear_unix_path(address) : try_to_bind(address);
    int index;

    if (spec->unix_path && failure == EEXIST)
        return fail(error, size, "cannot listen on %s: the file is not a socket", spec->text);
    if (failure != 0)
        return fail_errno(error, size, spec, failure);
    if (spec->unix_path) {
        int fd = open_unix(address);

        if (fd < 0)
            return fail_errno(error, size, spec, errno);
        index = add_own(server, spec, name, fd, false);
    } else if (server->options.shares_ports) {
        int fd = open_shared(&address->any, address->size, !takes_both(address));

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
    struct address address;
    char name[INHERITED_NAME_MAX];
    int fd;

    if (server->listener_count == LISTENERS_MAX)
        return fail(error, error_size, "cannot listen on %s: too many listeners", spec->text);
    if (spec->systemd)
        return listen_systemd(server, spec, error, error_size);
    if (!parse_address(spec, &address))
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

/* ---- interface ---- */

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

int net_server_listeners(const struct net_server *server)
{
    return server->listener_count;
}

uint16_t net_server_port(const struct net_server *server, int index)
{
    return server->listeners[index]->port;
}

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
        take(server->listeners[i], fd);
        return;
    }
    close(fd);
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
        free_listener(server->listeners[i]);
    }
    tally_leave(server->tally);
    free(server);
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
