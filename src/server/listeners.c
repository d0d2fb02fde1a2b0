#include "server/listeners.h"

#include "base/clock.h"
#include "http/redirect.h"
#include "net/http_forwarded.h"
#include "net/listen.h"

#include <stdlib.h>

enum {
    LISTEN_ERROR_MAX = 256, /* bytes of a sentence */
};

/* What is special about a listener; its connections refer to it. */
struct listener {
    int index;               /* in net, the first if there are more */
    struct tls_context *tls; /* NULL: plain */
    struct http_service service;
    struct http_trust trust;
    struct http_redirect redirect;
};

struct listeners {
    struct listeners_options options;
    struct http_limits http_limits;
    struct net_server *net;
    size_t count;
    struct listener *at; /* in the order of the configuration */
};

/* --- certificates --------------------------------------------------------------------------- */

/* What is wrong with a listener's files: `listen.tls.key: "key.pem": …`. */
struct tls_complaint {
    int line;
    struct buf text;
};

static struct tls_context *load(const struct cfg_listen *listen, const struct log *log,
                                struct tls_complaint *complaint)
{
    struct tls_files *files = calloc(listen->certificate_count, sizeof(*files));
    struct tls_context *context = NULL;
    struct tls_fault fault = {.text = "out of memory"};

    for (size_t i = 0; files && i < listen->certificate_count; i++)
        files[i] = (struct tls_files){
            .cert = listen->certificates[i].cert.at,
            .key = listen->certificates[i].key.at,
        };
    if (files)
        context = tls_context_new(files, listen->certificate_count, clock_wall_ms() / 1000, log,
                                  &fault);
    if (!context) {
        const struct cfg_certificate *wrong = &listen->certificates[fault.index];

        complaint->line = wrong->line;
        buf_init(&complaint->text, CFG_FILE_MAX);
        buf_printf(&complaint->text, "listen.tls.%s: \"%s\": %s", fault.in_key ? "key" : "cert",
                   fault.in_key ? wrong->key.at : wrong->cert.at, fault.text);
    }
    free(files);
    return context;
}

static void report_complaint(struct cfg_report *report, const struct config *config,
                             struct tls_complaint *complaint)
{
    buf_printf(&report->text, "%s:%d: %.*s\n", config->file.at, complaint->line,
               (int)complaint->text.size, complaint->text.at);
    report->count++;
    buf_free(&complaint->text);
}

bool listeners_check(const struct config *config, struct cfg_report *report)
{
    bool good = true;

    for (size_t i = 0; i < config->listen_count; i++) {
        struct tls_complaint complaint;
        struct tls_context *context;

        if (config->listens[i].certificate_count == 0)
            continue;
        context = load(&config->listens[i], NULL, &complaint);
        if (context) {
            tls_context_unref(context);
        } else {
            report_complaint(report, config, &complaint);
            good = false;
        }
    }
    return good;
}

void listeners_reload(struct listeners *listeners)
{
    const struct config *config = listeners->options.config;
    const struct log *log = listeners->options.log;
    int64_t reloaded = 0;

    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *listener = &listeners->at[i];
        struct tls_complaint complaint;
        struct tls_context *context;

        if (!listener->tls)
            continue;
        context = load(&config->listens[i], log, &complaint);
        if (context) {
            tls_context_unref(listener->tls);
            listener->tls = context;
            reloaded++;
            continue;
        }
        log_error(log, "certificates not reloaded, the old ones stay",
                  log_str("address", config->listens[i].text),
                  log_str("reason", buf_str(&complaint.text)), LOG_END);
        buf_free(&complaint.text);
    }
    if (!listeners->options.is_further)
        log_info(log, "certificates reloaded", log_int("listeners", reloaded), LOG_END);
}

/* --- connections ---------------------------------------------------------------------------- */

static void accepted(void *owner, struct net_conn *conn, int index)
{
    struct listeners *listeners = owner;
    struct listener *listener = &listeners->at[index];

    if (listener->tls && !net_conn_start_tls(conn, listener->tls)) {
        log_error(listeners->options.log, "out of memory for a TLS connection", LOG_END);
        net_conn_close(conn);
        return;
    }
    http1_serve(conn, &listener->service, &listeners->http_limits, listeners->options.log,
                listener->tls != NULL);
}

/* --- listening ------------------------------------------------------------------------------ */

static void log_listening(const struct listeners *listeners, const struct cfg_listen *listen,
                          int index)
{
    uint16_t port = net_server_port(listeners->net, index);

    if (port == 0)
        log_info(listeners->options.log, "listening", log_str("address", listen->text),
                 LOG_END);
    else
        log_info(listeners->options.log, "listening", log_str("address", listen->text),
                 log_int("port", port), LOG_END);
}

static bool listen_on(struct listeners *listeners, size_t id, struct cfg_report *report)
{
    const struct listeners_options *options = &listeners->options;
    const struct cfg_listen *listen = &options->config->listens[id];
    const struct net_listen_spec spec = {
        .text = listen->text.at,
        .host = listen->host,
        .port = listen->port,
        .unix_path = listen->unix_path,
        .systemd = listen->systemd,
        .id = (int)id,
        .proxy_protocol = listen->proxy_protocol,
    };
    char error[LISTEN_ERROR_MAX];
    int index = net_server_listen(listeners->net, &spec, error, sizeof(error));

    if (index < 0) {
        buf_printf(&report->text, "%s:%d: listen: %s\n", options->config->file.at, listen->line,
                   error);
        report->count++;
        return false;
    }
    listeners->at[id].index = index;
    for (int i = index; !options->is_further && i < net_server_listeners(listeners->net); i++)
        log_listening(listeners, listen, i);
    return true;
}

static bool set_up(struct listeners *listeners, size_t index, struct cfg_report *report)
{
    const struct cfg_listen *listen = &listeners->options.config->listens[index];
    struct listener *listener = &listeners->at[index];
    struct tls_complaint complaint;

    listener->service = listeners->options.service;
    if (listen->redirect) {
        listener->service.request = http_redirect_request;
        listener->service.owner = &listener->redirect;
    }
    listener->trust = (struct http_trust){
        .all = listen->trust_all,
        .networks = listen->trusted,
        .count = listen->trusted_count,
    };
    if (listen->trust_all || listen->trusted_count > 0)
        listener->service.trust = &listener->trust;
    if (listen->certificate_count == 0)
        return true;
    listener->tls = load(listen, listeners->options.log, &complaint);
    if (!listener->tls)
        report_complaint(report, listeners->options.config, &complaint);
    return listener->tls != NULL;
}

/* Redirections go to the first listener with TLS, whose port the kernel may have chosen. */
static void aim_redirects(struct listeners *listeners)
{
    const struct config *config = listeners->options.config;
    uint16_t port = 0;

    for (size_t i = 0; i < listeners->count && port == 0; i++) {
        if (listeners->at[i].tls && !config->listens[i].unix_path)
            port = net_server_port(listeners->net, listeners->at[i].index);
    }
    for (size_t i = 0; i < listeners->count; i++)
        listeners->at[i].redirect.port = port;
}

struct listeners *listeners_new(const struct listeners_options *options,
                                struct cfg_report *report)
{
    const struct cfg_limits *limits = &options->config->limits;
    struct listeners *listeners = calloc(1, sizeof(*listeners));
    bool good = true;

    if (!listeners)
        return NULL;
    listeners->options = *options;
    listeners->http_limits = (struct http_limits){
        .header_bytes = limits->header_bytes,
        .headers_timeout_ms = limits->http_headers_ms,
        .request_timeout_ms = limits->http_body_ms,
        .keep_alive_ms = limits->http_idle_ms,
        .hits = options->hits,
    };
    listeners->count = options->config->listen_count;
    listeners->at = calloc(listeners->count, sizeof(*listeners->at));
    listeners->net = net_server_new(&(struct net_server_options){
        .loop = options->loop,
        .log = options->log,
        .connections = limits->connections,
        .connections_per_address = limits->connections_per_address,
        .hits = options->hits,
        .backlog = limits->backlog,
        .proxy_timeout_ms = limits->http_headers_ms,
        .inherited = options->inherited,
        .sum = options->sum,
        .shares_ports = options->shares_ports,
        .leaves_files = options->is_further,
        .accepted = accepted,
        .owner = listeners,
    });
    if (!listeners->at || !listeners->net)
        goto fail;
    for (size_t i = 0; i < listeners->count; i++)
        good = set_up(listeners, i, report) && good;
    for (size_t i = 0; good && i < listeners->count; i++)
        good = listen_on(listeners, i, report);
    if (!good)
        goto fail;
    aim_redirects(listeners);
    return listeners;

fail:
    listeners_free(listeners);
    return NULL;
}

uint32_t listeners_take_most(struct listeners *listeners)
{
    return net_server_take_most(listeners->net);
}

uint32_t listeners_connections(const struct listeners *listeners)
{
    return net_server_connections(listeners->net);
}

void listeners_accept(struct listeners *listeners, bool accept)
{
    net_server_accept(listeners->net, accept);
}

void listeners_show(const struct listeners *listeners,
                    void (*show)(void *owner, const char *name, int fd), void *owner)
{
    net_server_show(listeners->net, show, owner);
}

static bool pass(void *owner, const char *name, int fd)
{
    return handover_pass(owner, name, fd);
}

void listeners_leave(struct listeners *listeners, struct handover *successor)
{
    net_server_leave(listeners->net);
    net_server_give(listeners->net, pass, successor);
}

void listeners_take(struct listeners *listeners, const char *name, int fd)
{
    net_server_take(listeners->net, name, fd);
}

void listeners_stop(struct listeners *listeners)
{
    net_server_stop(listeners->net);
}

void listeners_free(struct listeners *listeners)
{
    if (!listeners)
        return;
    net_server_free(listeners->net);
    for (size_t i = 0; listeners->at && i < listeners->count; i++) {
        if (listeners->at[i].tls)
            tls_context_unref(listeners->at[i].tls);
    }
    free(listeners->at);
    free(listeners);
}
