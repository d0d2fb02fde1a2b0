#include "net/lws_guest.h"

#include <assert.h>
#include <errno.h>
#include <libwebsockets.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

enum {
    DESCRIPTORS = 256,       /* of lws's own: listeners and its wake pipe, never connections */
    WORK_BUFFER = 2048,      /* lws reads nothing for us; its default is 4 KB */
    ROUNDS_TO_SETTLE = 16,   /* a close that triggers a close … is long done */
    LONGEST_WAIT_MS = 60000, /* lws takes no endless wait */
};

struct lws_guest {
    struct lws_guest_options options;
    struct lws_context *context;
    struct list ios;
};

/* A descriptor of lws in the loop. */
struct guest_io {
    struct net_io io;
    struct net_grave grave;
    struct list link;
    struct lws_guest *guest;
};

/* ---- lws's log ---- */

/* lws's hook has no place for a pointer of ours, so this one is the process's: written while guests
 * are made, which is one at a time. A copy, for a guest may outlive the one who made another. */
static struct log log_of_lws = {.level = LOG_OFF};

static void emit(int level, const char *line)
{
    int saved = errno; /* lws looks at it after it has logged */
    size_t size = strcspn(line, "\n");

    (void)level;
    log_debug(&log_of_lws, "libwebsockets", log_str("detail", str_of(line, size)), LOG_END);
    errno = saved;
}

/* ---- what lws calls ---- */

static struct lws_guest **guest_of(void *evlib_pt)
{
    return evlib_pt;
}

static int init_pt(struct lws_context *context, void *loop, int thread)
{
    *guest_of(lws_evlib_tsi_to_evlib_pt(context, thread)) = loop;
    return 0;
}

static struct guest_io *find(struct lws_guest *guest, int fd)
{
    for (struct list *link = guest->ios.next; link != &guest->ios; link = link->next) {
        struct guest_io *entry = CONTAINER_OF(link, struct guest_io, link);

        if (entry->io.fd == fd)
            return entry;
    }
    return NULL;
}

static void ready(struct net_io *io, uint32_t events)
{
    lws_guest_service(CONTAINER_OF(io, struct guest_io, io)->guest, io->fd, events);
}

static int add(struct lws *wsi)
{
    struct lws_guest *guest = *guest_of(lws_evlib_wsi_to_evlib_pt(wsi));
    struct guest_io *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return 1;
    entry->guest = guest;
    entry->io =
        (struct net_io){.fd = lws_get_socket_fd(wsi), .events = EPOLLIN, .ready = ready};
    if (!net_loop_add(guest->options.loop, &entry->io)) {
        free(entry);
        return 1;
    }
    list_add_last(&guest->ios, &entry->link);
    return 0;
}

static int add_listener(struct lws *wsi)
{
    struct lws_guest *guest = *guest_of(lws_evlib_wsi_to_evlib_pt(wsi));

    guest->options.listening(guest->options.owner, wsi, lws_get_socket_fd(wsi));
    return 0;
}

static void change(struct lws *wsi, unsigned int flags)
{
    struct lws_guest *guest = *guest_of(lws_evlib_wsi_to_evlib_pt(wsi));
    struct guest_io *entry = find(guest, lws_get_socket_fd(wsi));
    uint32_t events = (flags & LWS_EV_READ ? (uint32_t)EPOLLIN : 0) |
                      (flags & LWS_EV_WRITE ? (uint32_t)EPOLLOUT : 0);

    if (!entry)
        return;
    if (flags & LWS_EV_START)
        events |= entry->io.events;
    else
        events = entry->io.events & ~events;
    net_loop_modify(guest->options.loop, &entry->io, events);
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct guest_io, grave));
}

static int forget(struct lws *wsi)
{
    struct lws_guest *guest = *guest_of(lws_evlib_wsi_to_evlib_pt(wsi));
    struct guest_io *entry = find(guest, lws_get_socket_fd(wsi));

    if (entry) {
        net_loop_remove(guest->options.loop, &entry->io);
        list_remove(&entry->link);
        net_loop_bury(guest->options.loop, &entry->grave, bury);
    }
    return 0; /* lws may close it now */
}

static const struct lws_event_loop_ops loop_ops = {
    .name = "skua",
    .init_pt = init_pt,
    .init_vhost_listen_wsi = add_listener,
    .sock_accept = add,
    .io = change,
    .wsi_logical_close = forget,
    .evlib_size_pt = sizeof(struct lws_guest *),
};

static const lws_plugin_evlib_t loop_plugin = {
    .hdr = {"skua event loop", "lws_evlib_plugin", LWS_BUILD_HASH, LWS_PLUGIN_API_MAGIC},
    .ops = &loop_ops,
};

/* ---- what the loop calls ---- */

static int prepare(void *owner, int wait_ms)
{
    struct lws_guest *guest = owner;
    int asked = wait_ms < 0 ? LONGEST_WAIT_MS : wait_ms;
    int wanted = lws_service_adjust_timeout(guest->context, asked, 0);

    return wanted < asked ? wanted : wait_ms;
}

void lws_guest_service(struct lws_guest *guest, int fd, uint32_t events)
{
    /* The low bits of epoll's events are poll's. */
    struct lws_pollfd poll_fd = {
        .fd = fd,
        .events = POLLIN | POLLOUT,
        .revents = (short)(events & (EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP)),
    };

    lws_service_fd(guest->context, &poll_fd);
}

void lws_guest_settle(struct lws_guest *guest)
{
    for (int round = 0; round < ROUNDS_TO_SETTLE; round++) {
        if (lws_service_adjust_timeout(guest->context, 1, 0) > 0)
            return;
    }
}

/* ---- life ---- */

struct lws_guest *lws_guest_new(const struct lws_guest_options *options)
{
    struct lws_guest *guest = calloc(1, sizeof(*guest));

    if (!guest)
        return NULL;
    guest->options = *options;
    list_init(&guest->ios);

    void *loops[] = {guest};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .event_lib_custom = &loop_plugin,
        .foreign_loops = loops,
        .fd_limit_per_thread = DESCRIPTORS,
        .pt_serv_buf_size = WORK_BUFFER,
    };

    if (options->log)
        log_of_lws = *options->log;
    lws_set_log_level(LLL_ERR | LLL_WARN, emit);
    guest->context = lws_create_context(&info);
    if (!guest->context) {
        free(guest);
        return NULL;
    }
    net_loop_set_prepare(options->loop, prepare, guest);
    return guest;
}

void lws_guest_free(struct lws_guest *guest)
{
    if (!guest)
        return;
    net_loop_set_prepare(guest->options.loop, NULL, NULL);
    lws_context_destroy(guest->context);
    assert(list_empty(&guest->ios));
    free(guest);
}

struct lws_context *lws_guest_context(struct lws_guest *guest)
{
    return guest->context;
}
