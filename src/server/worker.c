#include "server/worker.h"

#include "base/random.h"
#include "http/router.h"
#include "net/deflater.h"
#include "script/script.h"
#include "server/clustering.h"
#include "server/ending.h"
#include "server/forwarding.h"
#include "server/give_back.h"
#include "server/listeners.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

struct worker {
    uint32_t number;
    struct commons *commons;
    struct log log;
    struct random random;
    struct net_loop *loop;
    struct script *script;
    struct config *config;
    struct sio_server *sio;
    struct clustering *clustering;
    struct forwarding *forwarding; /* NULL: no other server is asked */
    struct forwarding *inside;     /* among workers, or NULL */
    struct deflater *deflater;     /* NULL: nothing is compressed */
    struct eio_server *engine;
    struct http_header headers[CFG_HEADERS_MAX]; /* for the engine: its more headers */
    struct http_header initial_headers[CFG_HEADERS_MAX];
    struct listeners *listeners;
    struct hits hits; /* of limits */
    struct health health;
    struct http_router router;
    struct give_back give_back;
    struct ending ending;
    void (*ended)(void *owner);
    void *ended_owner;
};

/* --- health -------------------------------------------------------------------------------- */

static uint32_t count_sessions(void *owner)
{
    return commons_sessions(((struct worker *)owner)->commons);
}

/* First of all, since others have reasons against it. */
static void prepare_health(struct worker *worker)
{
    worker->health = (struct health){
        .path = worker->config->health.path,
        .live = worker->config->health.live,
        .loop = worker->loop,
        .started_ms = net_loop_now(worker->loop),
        .sessions = count_sessions,
        .owner = worker,
        .shared = commons_reasons(worker->commons),
        .worker = worker->number,
    };
}

/* --- from configuration to options ---------------------------------------------------------- */

static struct cors_policy cors_policy_of(struct worker *worker)
{
    static const enum cors_mode modes[] = {
        [CFG_ORIGINS_NONE] = CORS_OFF,        [CFG_ORIGINS_ANY] = CORS_ANY,
        [CFG_ORIGINS_REFLECT] = CORS_REFLECT, [CFG_ORIGINS_FIXED] = CORS_FIXED,
        [CFG_ORIGINS_LIST] = CORS_LIST,       [CFG_ORIGINS_FUNCTION] = CORS_DECIDE,
    };
    const struct cfg_cors *cors = &worker->config->cors;

    return (struct cors_policy){
        .mode = modes[cors->kind],
        .credentials = cors->credentials,
        .enforce = cors->enforce,
        .origins = cors->origins,
        .origin_count = cors->origin_count,
        .methods = cors->methods,
        .allowed_headers = cors->headers,
        .exposed_headers = cors->expose,
        .has_max_age = cors->has_max_age,
        .max_age_s = cors->max_age_s,
        .decide = script_allows_origin,
        .decide_owner = worker->script,
    };
}

static void copy_headers(struct http_header *to, const struct cfg_headers *headers)
{
    static_assert((int)CFG_HEADERS_MAX <= (int)EIO_EXTRA_HEADERS_MAX, "the engine takes them");
    for (size_t i = 0; i < headers->count; i++)
        to[i] = (struct http_header){headers->at[i].name, headers->at[i].value};
}

static bool make_deflater(struct worker *worker)
{
    const struct cfg_compression *compression = &worker->config->engine.compression;
    const struct deflater_options options = {
        .threshold = compression->threshold,
        .level = (int)compression->level,
    };

    if (!compression->websocket && !compression->http)
        return true;
    worker->deflater = deflater_new(&options);
    return worker->deflater != NULL;
}

/* Of a limit that each worker counts for itself. */
static uint32_t share_of(const struct worker *worker, uint32_t limit)
{
    uint32_t workers = commons_workers(worker->commons);

    return limit / workers + (limit % workers > 0);
}

static bool elsewhere(void *owner, struct str name, struct http_exchange *exchange)
{
    const struct worker *worker = owner;

    return forwarding_elsewhere(worker->inside, name, exchange) ||
           forwarding_elsewhere(worker->forwarding, name, exchange);
}

static bool make_engine(struct worker *worker)
{
    const struct forwarding *forwarding = worker->inside ? worker->inside : worker->forwarding;
    const struct cfg_engine *engine = &worker->config->engine;
    const struct eio_handler handler = sio_server_handler(worker->sio);
    const struct eio_options options = {
        .path = engine->path,
        .polling = engine->polling,
        .websocket = engine->websocket,
        .allow_upgrades = engine->allow_upgrades,
        .legacy_clients = engine->legacy_clients,
        .ping_interval_ms = engine->ping_interval_ms,
        .ping_timeout_ms = engine->ping_timeout_ms,
        .upgrade_timeout_ms = engine->upgrade_timeout_ms,
        .max_payload = worker->config->limits.max_payload,
        .backlog = worker->config->limits.backlog,
        .close_alone = cfg_any_recovery(worker->config),
        .queue_volatile = worker->config->limits.drop_volatile,
        .handshakes_per_second = share_of(worker, worker->config->limits.handshakes_per_second),
        .packets_per_payload = worker->config->limits.packets_per_payload,
        .hits = &worker->hits,
        .deflater = worker->deflater,
        .deflate_messages = engine->compression.websocket,
        .deflate_polls = engine->compression.http,
        .cors = cors_policy_of(worker),
        .cookie_name = engine->cookie.name,
        .cookie_attributes = engine->cookie.attributes,
        .headers = worker->headers,
        .header_count = engine->headers.count,
        .initial_headers = worker->initial_headers,
        .initial_header_count = engine->initial_headers.count,
        .initial_packet = engine->initial_packet,
        .admit = engine->allow_request == CFG_NO_REF ? NULL : script_admit,
        .admit_owner = worker->script,
        .name = forwarding ? forwarding_name(forwarding) : STR(""),
        .elsewhere = forwarding ? elsewhere : NULL,
        .elsewhere_owner = worker,
    };

    copy_headers(worker->headers, &engine->headers);
    copy_headers(worker->initial_headers, &engine->initial_headers);
    worker->engine =
        eio_server_new(worker->loop, &worker->random, &worker->log, &options, &handler);
    if (!worker->engine)
        return false;
    commons_join(worker->commons, worker->number, worker->engine);
    if (worker->inside)
        forwarding_start(worker->inside, worker->engine);
    if (worker->forwarding)
        forwarding_start(worker->forwarding, worker->engine);
    return true;
}

static struct sio_recovery_options recovery_of(const struct cfg_recovery *recovery)
{
    return (struct sio_recovery_options){
        .window_ms = recovery->window_ms,
        .buffer = recovery->buffer,
        .skip_middlewares = recovery->skip_middlewares,
    };
}

static bool add_namespace(struct worker *worker, size_t index)
{
    static const enum sio_namespace_kind kinds[] = {
        [CFG_NAMESPACE_NAMED] = SIO_NAMED,
        [CFG_NAMESPACE_GLOB] = SIO_GLOB,
        [CFG_NAMESPACE_FUNCTION] = SIO_DECIDED,
    };
    const struct cfg_namespace *nsp = &worker->config->namespaces[index];
    const struct sio_namespace_options options = {
        .kind = kinds[nsp->kind],
        .name = nsp->name,
        .max_payload = nsp->max_payload,
        .origins = nsp->origins,
        .origin_count = nsp->origin_count,
        .recovery = recovery_of(&nsp->recovery),
        .data = script_namespace(worker->script, index),
    };

    return sio_namespace_add(worker->sio, &options) != NULL;
}

/* From a ping's sending to the time-out of the next: what was sent before that ping has arrived, or
 * the loss is noticed by then. */
static uint32_t unnoticed_ms(const struct cfg_engine *engine)
{
    uint64_t time_ms =
        (uint64_t)engine->ping_interval_ms + 2 * (uint64_t)engine->ping_timeout_ms;

    return time_ms < UINT32_MAX ? (uint32_t)time_ms : UINT32_MAX;
}

static bool make_cluster(struct worker *worker, struct cfg_report *report)
{
    const struct cluster_app app = script_cluster_app(worker->script);
    const struct clustering_options options = {
        .config = worker->config,
        .loop = worker->loop,
        .random = &worker->random,
        .log = &worker->log,
        .server = worker->sio,
        .health = &worker->health,
        .commons = worker->commons,
    };

    worker->clustering = clustering_new(&options, report);
    if (!worker->clustering)
        return false;
    cluster_set_app(clustering_cluster(worker->clustering), &app);
    return true;
}

static bool make_forwarding(struct worker *worker)
{
    struct forwarding_options options = {
        .config = worker->config,
        .loop = worker->loop,
        .random = &worker->random,
        .log = &worker->log,
        .hits = &worker->hits,
        .commons = worker->commons,
        .worker = worker->number,
        .name = sio_server_origin(worker->sio),
    };

    if (forwarding_wanted_inside(worker->config)) {
        worker->inside = forwarding_new(&options);
        if (!worker->inside)
            return false;
    }
    if (!forwarding_wanted(worker->config))
        return true;
    options.clustering = worker->clustering;
    worker->forwarding = forwarding_new(&options);
    return worker->forwarding != NULL;
}

static bool make_sio(struct worker *worker, struct cfg_report *report)
{
    const struct sio_app app = script_app(worker->script);
    const struct sio_options options = {
        .connect_timeout_ms = worker->config->engine.connect_timeout_ms,
        .max_attachments = worker->config->limits.attachments,
        .events_per_second = worker->config->limits.events_per_second,
        .hits = &worker->hits,
        .cleanup_empty_children = worker->config->engine.cleanup_empty_child_namespaces,
        .msgpack = worker->config->engine.msgpack,
        .recovery = recovery_of(&worker->config->recovery),
        .unnoticed_ms = unnoticed_ms(&worker->config->engine),
    };

    worker->sio = sio_server_new(worker->loop, &worker->random, &worker->log, &options, &app);
    if (!worker->sio || !make_cluster(worker, report) ||
        !script_start(worker->script, worker->config, worker->loop, worker->sio,
                      clustering_cluster(worker->clustering)))
        return false;
    for (size_t i = 0; i < worker->config->namespace_count; i++) {
        if (!add_namespace(worker, i))
            return false;
    }
    return true;
}

/* --- listening ----------------------------------------------------------------------------- */

static struct client_files client_files_of(struct worker *worker)
{
    const struct cfg_engine *engine = &worker->config->engine;
    struct client_files files = {
        .served = engine->serve_client,
        .path = engine->path,
        .cors = cors_policy_of(worker),
    };

    if (engine->add_trailing_slash)
        files.path.size--;
    if (files.served && !client_files_built_in()) {
        files.served = false;
        if (worker->number > 0)
            return files;
        log_info(&worker->log,
                 "serve_client: the client's files were not there when this "
                 "binary was built",
                 LOG_END);
    }
    return files;
}

static bool make_listeners(struct worker *worker, struct inherited *inherited,
                           struct cfg_report *report)
{
    worker->router.engine = worker->engine;
    worker->router.health = &worker->health;
    worker->router.client_files = client_files_of(worker);
    worker->router.silence_ms = worker->config->engine.destroy_upgrade
                                    ? worker->config->engine.destroy_upgrade_timeout_ms
                                    : UINT32_MAX;
    worker->listeners = listeners_new(
        &(struct listeners_options){
            .config = worker->config,
            .loop = worker->loop,
            .log = &worker->log,
            .hits = &worker->hits,
            .inherited = inherited,
            .sum = commons_sum(worker->commons),
            .shares_ports = commons_workers(worker->commons) > 1,
            .is_further = worker->number > 0,
            .service = {.request = http_router_request, .owner = &worker->router},
    },
        report);
    return worker->listeners != NULL;
}

/* --- ending -------------------------------------------------------------------------------- */

/* What others must know of the sessions is told here, while they are all still there. Counts too
 * which limits were hit. */
static void save(void *owner, struct handover *successor)
{
    const struct worker *worker = owner;
    const struct commons_total own = {eio_server_sessions(worker->engine), worker->hits};
    struct commons_total total;
    struct log_field fields[1 + HIT_KINDS + 1];
    size_t count = 0;

    (void)successor;
    if (!commons_close(worker->commons, &own, &total))
        return; /* the last worker tells of all */
    fields[count++] = log_int("sessions", total.sessions);
    for (int hit = 0; hit < HIT_KINDS; hit++) {
        if (total.hits.counts[hit] > 0)
            fields[count++] = log_int(hit_name(hit), (int64_t)total.hits.counts[hit]);
    }
    fields[count] = LOG_END;
    log_write_fields(&worker->log, LOG_INFO, STR("closing"), fields);
}

/* Without Redis nobody else has what lost clients come back for. */
static bool hand_over(void *owner, struct handover *successor)
{
    const struct worker *worker = owner;
    struct buf state;
    bool handed;

    if (worker->config->redis.given || worker->config->workers > 1 ||
        !cfg_any_recovery(worker->config))
        return false;
    buf_init(&state, HANDOVER_BLOB_MAX);
    handed = sio_server_freeze(worker->sio, &state) &&
             handover_put(successor, HANDOVER_RECOVERY, buf_str(&state));
    if (handed)
        log_info(&worker->log, "the new process goes on with what recovery keeps",
                 log_int("bytes", (int64_t)state.size), LOG_END);
    else
        log_error(&worker->log,
                  "what recovery keeps is lost: it is too large, or out of memory",
                  log_int("limit", HANDOVER_BLOB_MAX), LOG_END);
    buf_free(&state);
    eio_server_close(worker->engine);
    return true;
}

static void left(void *owner, struct handover *successor)
{
    const struct worker *worker = owner;

    if (commons_accept_no_more(worker->commons) && successor)
        handover_go(successor);
}

static void ended(void *owner)
{
    const struct worker *worker = owner;

    worker->ended(worker->ended_owner);
}

static bool is_idle(void *owner)
{
    return clustering_is_idle(((const struct worker *)owner)->clustering);
}

static void prepare_end(struct worker *worker)
{
    worker->ending = (struct ending){
        .loop = worker->loop,
        .random = &worker->random,
        .engine = worker->engine,
        .listeners = worker->listeners,
        .health = &worker->health,
        .drain = &worker->config->drain,
        .save = save,
        .hand_over = hand_over,
        .idle = is_idle,
        .left = left,
        .ended = ended,
        .owner = worker,
    };
    ending_init(&worker->ending);
}

/* --- life ---------------------------------------------------------------------------------- */

struct worker *worker_new(const char *name, struct str source, uint32_t number,
                          struct cfg_report *report)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker)
        return NULL;
    worker->number = number;
    worker->log = (struct log){.fd = STDERR_FILENO, .level = LOG_INFO, .format = LOG_TEXT};
    random_init(&worker->random);
    worker->script = script_new(&worker->log);
    if (worker->script)
        worker->config = cfg_load(script_state(worker->script), name, source, report);
    if (!worker->config) {
        worker_free(worker);
        return NULL;
    }
    worker->log.level = worker->config->log_level;
    worker->log.format = worker->config->log_format;
    return worker;
}

bool worker_make(struct worker *worker, struct commons *commons, struct cfg_report *report)
{
    worker->commons = commons;
    worker->loop = net_loop_new();
    if (!worker->loop)
        return false;
    prepare_health(worker);
    if (!make_sio(worker, report) || !make_deflater(worker) || !make_forwarding(worker) ||
        !make_engine(worker))
        return false;
    return clustering_wait(worker->clustering, report);
}

bool worker_listen(struct worker *worker, struct inherited *inherited,
                   void (*ended)(void *owner), void *owner, struct cfg_report *report)
{
    if (!make_listeners(worker, inherited, report))
        return false;
    worker->ended = ended;
    worker->ended_owner = owner;
    prepare_end(worker);
    give_back_start(&worker->give_back, worker->loop, worker->script, worker->listeners);
    return true;
}

int worker_run(struct worker *worker)
{
    return net_loop_run(worker->loop);
}

void worker_stop(struct worker *worker)
{
    net_loop_stop(worker->loop);
}

struct random *worker_random(struct worker *worker)
{
    return &worker->random;
}

const struct config *worker_config(const struct worker *worker)
{
    return worker->config;
}

struct net_loop *worker_loop(struct worker *worker)
{
    return worker->loop;
}

const struct log *worker_log(const struct worker *worker)
{
    return &worker->log;
}

void worker_reload(struct worker *worker)
{
    listeners_reload(worker->listeners);
}

void worker_accept(struct worker *worker, bool accept)
{
    listeners_accept(worker->listeners, accept);
}

void worker_take(struct worker *worker, const char *name, int fd)
{
    listeners_take(worker->listeners, name, fd);
}

void worker_show_listeners(const struct worker *worker,
                           void (*show)(void *owner, const char *name, int fd), void *owner)
{
    listeners_show(worker->listeners, show, owner);
}

void worker_drain(struct worker *worker, struct handover *successor)
{
    ending_begin(&worker->ending, successor);
}

void worker_go_on(struct worker *worker, struct str state)
{
    if (!sio_server_thaw(worker->sio, state))
        log_warn(&worker->log, "not all of what recovery kept before can be used",
                 log_int("bytes", (int64_t)state.size), LOG_END);
}

void worker_end(struct worker *worker)
{
    ending_now(&worker->ending);
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    give_back_stop(&worker->give_back);
    forwarding_stop(worker->forwarding);
    forwarding_stop(worker->inside);
    if (worker->engine) {
        commons_leave(worker->commons, worker->number);
        eio_server_free(worker->engine);
    }
    deflater_free(worker->deflater);
    clustering_stop(worker->clustering);
    if (worker->sio)
        sio_server_free(worker->sio);
    clustering_free(worker->clustering); /* acknowledgements of the server's ended in it */
    if (worker->loop)
        net_conns_end(worker->loop); /* of other servers, idle by now */
    forwarding_free(worker->forwarding);
    forwarding_free(worker->inside);
    listeners_free(worker->listeners); /* the engine's last answers looked at their limits */
    if (worker->script)
        script_free(worker->script);
    cfg_free(worker->config);
    if (worker->loop)
        net_loop_free(worker->loop);
    free(worker);
}
