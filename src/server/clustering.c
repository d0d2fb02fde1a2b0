#include "server/clustering.h"

#include "cluster/bus_redis.h"
#include "cluster/recovery.h"
#include "cluster/stream_recovery.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    HEALTH_CHECK_MS = 1000,
    WAIT_POLL_MS = 10,
};

static const char BUS_IS_SILENT[] = "no messages from Redis";

struct clustering {
    struct clustering_options options;
    struct redis_options redis;
    struct cluster *cluster;
    struct cluster_bus *bus; /* the cluster's, for its health */
    struct redis *control;   /* for all but the bus; it and peers end before the rest */
    struct peers *peers;
    struct vault_door *door; /* instead of both, of workers without Redis */
    void (*up)(void *owner);
    void *up_owner;
    struct recovery *recovery;
    struct stream_recovery *stream_recovery;
    struct timer health;
};

/* --- from configuration to options ----------------------------------------------------------- */

static void copy_text(char *to, size_t size, struct str text)
{
    snprintf(to, size, "%.*s", (int)text.size, text.at);
}

static bool read_address(struct clustering *clustering, char fault[REDIS_FAULT_MAX])
{
    const struct cfg_redis *config = &clustering->options.config->redis;
    struct redis_options *redis = &clustering->redis;

    if (!redis_options_parse(redis, config->url, fault))
        return false;
    redis->connect_timeout_ms = config->connect_timeout_ms;
    redis->command_timeout_ms = config->request_timeout_ms;
    redis->queue_bytes = config->queue;
    redis->tls_insecure = !config->tls.verify;
    copy_text(redis->tls_ca, sizeof(redis->tls_ca), config->tls.ca);
    copy_text(redis->tls_name, sizeof(redis->tls_name), config->tls.name);
    if (redis->client_name[0] == '\0')
        copy_text(redis->client_name, sizeof(redis->client_name), STR("skua"));
    return true;
}

/* The longest; 0: nothing is recovered. */
static uint32_t recovery_window(const struct config *config)
{
    uint32_t longest = config->recovery.window_ms;

    for (size_t i = 0; i < config->namespace_count; i++)
        if (config->namespaces[i].recovery.window_ms > longest)
            longest = config->namespaces[i].recovery.window_ms;
    return longest;
}

/* --- making ---------------------------------------------------------------------------------- */

static struct cluster_bus *make_bus(struct clustering *clustering, char fault[REDIS_FAULT_MAX])
{
    static struct cluster_bus *(*const makers[])(const struct bus_options *options,
                                                 char fault[REDIS_FAULT_MAX]) = {
        [CFG_ADAPTER_PUBSUB] = bus_pubsub_new,
        [CFG_ADAPTER_SHARDED] = bus_sharded_new,
        [CFG_ADAPTER_STREAMS] = bus_streams_new,
    };
    static const enum bus_mode modes[] = {
        [CFG_REDIS_DYNAMIC] = BUS_DYNAMIC,
        [CFG_REDIS_STATIC] = BUS_STATIC,
        [CFG_REDIS_DYNAMIC_PRIVATE] = BUS_DYNAMIC_PRIVATE,
    };
    const struct cfg_redis *config = &clustering->options.config->redis;

    return makers[config->adapter](
        &(struct bus_options){
            .loop = clustering->options.loop,
            .random = clustering->options.random,
            .log = clustering->options.log,
            .redis = &clustering->redis,
            .prefix = config->prefix,
            .recovery = cfg_any_recovery(clustering->options.config),
            .specific_response_channel = config->specific_response_channel,
            .mode = modes[config->mode],
            .room_linger_ms = recovery_window(clustering->options.config),
            .stream_name = config->stream.name,
            .stream_count = config->stream.count,
            .max_len = config->stream.max_length,
            .read_count = config->stream.read_count,
            .block_ms = config->stream.block_ms,
            .sharded_channels = config->stream.sharded_channels,
        },
        fault);
}

static void control_up(void *owner)
{
    const struct clustering *clustering = owner;

    if (clustering->up)
        clustering->up(clustering->up_owner);
}

static void control_message(void *owner, enum redis_kind kind, struct str channel,
                            struct str pattern, struct str payload)
{
    (void)kind, (void)pattern;
    peers_message(((struct clustering *)owner)->peers, channel, payload);
}

static void control_ready(void *owner)
{
    peers_ready(((struct clustering *)owner)->peers);
}

/* Another server's client says that its socket was here. */
static bool give(void *owner, struct str pid)
{
    return sio_server_abandon(((struct clustering *)owner)->options.server, pid);
}

static bool make_peers(struct clustering *clustering, char fault[REDIS_FAULT_MAX])
{
    const struct clustering_options *options = &clustering->options;
    const struct peers_handler handler = {.give = give, .owner = clustering};
    const struct redis_events events = {
        .up = control_up,
        .message = control_message,
        .ready = control_ready,
        .owner = clustering,
    };

    clustering->control = redis_new(options->loop, options->random, options->log,
                                    &clustering->redis, &events, fault);
    if (!clustering->control)
        return false;
    clustering->peers = peers_new(
        &(struct peers_options){
            .loop = options->loop,
            .random = options->random,
            .log = options->log,
            .redis = clustering->control,
            .prefix = options->config->redis.prefix,
            .name = sio_server_origin(options->server),
        },
        &handler);
    return clustering->peers != NULL;
}

static void send_anchor(void *owner, struct sio_namespace *nsp, struct str name)
{
    struct clustering *clustering = owner;

    cluster_anchor(clustering->cluster, nsp, name);
}

static struct store_options store_options_of(const struct clustering *clustering)
{
    const struct cfg_redis *config = &clustering->options.config->redis;

    return (struct store_options){
        .loop = clustering->options.loop,
        .random = clustering->options.random,
        .log = clustering->options.log,
        .server = clustering->options.server,
        .redis = clustering->control,
        .peers = clustering->peers,
        .door = clustering->door,
        .prefix = config->prefix,
        .key_prefix = config->stream.session_prefix,
    };
}

static bool make_recovery(struct clustering *clustering, char fault[REDIS_FAULT_MAX])
{
    const struct config *config = clustering->options.config;
    const struct recovery_options options = {
        .store = store_options_of(clustering),
        .parser = config->engine.msgpack ? STR("msgpack") : STR("json"),
        .anchor = send_anchor,
        .owner = clustering,
    };
    const struct stream_recovery_options stream_options = {
        .store = options.store,
        .bus = clustering->bus,
    };

    if (!cfg_any_recovery(config))
        return true;
    if (config->redis.given && config->redis.adapter == CFG_ADAPTER_STREAMS)
        clustering->stream_recovery = stream_recovery_new(&stream_options, fault);
    else
        clustering->recovery = recovery_new(&options, fault);
    return clustering->recovery || clustering->stream_recovery;
}

static void watch_health(struct timer *timer)
{
    struct clustering *clustering = CONTAINER_OF(timer, struct clustering, health);

    health_set(clustering->options.health, BUS_IS_SILENT, !bus_healthy(clustering->bus));
    timer_start(net_loop_timers(clustering->options.loop), timer, HEALTH_CHECK_MS);
}

static bool make_cluster(struct clustering *clustering)
{
    clustering->cluster = cluster_new(&(struct cluster_options){
        .loop = clustering->options.loop,
        .random = clustering->options.random,
        .log = clustering->options.log,
        .server = clustering->options.server,
        .bus = clustering->bus,
        .recovery = clustering->recovery,
        .stream_recovery = clustering->stream_recovery,
        .request_timeout_ms = clustering->options.config->redis.request_timeout_ms,
    });
    return clustering->cluster != NULL;
}

static bool join_vault(struct clustering *clustering)
{
    const struct clustering_options *options = &clustering->options;
    const struct vault_handler handler = {.give = give, .owner = clustering};

    clustering->door = vault_join(commons_vault(options->commons), options->loop, &handler);
    return clustering->door != NULL;
}

/* The other workers are all there is, if there are any. */
static bool make_without_redis(struct clustering *clustering, char fault[REDIS_FAULT_MAX])
{
    const struct clustering_options *options = &clustering->options;
    struct mailbox_hub *hub = commons_hub(options->commons);

    if (!hub)
        return make_cluster(clustering);
    clustering->bus =
        bus_mailbox_new(hub, options->loop, options->random, cfg_any_recovery(options->config));
    return clustering->bus && join_vault(clustering) && make_recovery(clustering, fault) &&
           make_cluster(clustering);
}

struct clustering *clustering_new(const struct clustering_options *options,
                                  struct cfg_report *report)
{
    struct clustering *clustering = calloc(1, sizeof(*clustering));
    char fault[REDIS_FAULT_MAX] = "out of memory";

    if (!clustering)
        return NULL;
    clustering->options = *options;
    timer_init(&clustering->health, watch_health);
    if (!options->config->redis.given) {
        if (make_without_redis(clustering, fault))
            return clustering;
        goto fail;
    }
    if (!read_address(clustering, fault))
        goto fail;
    clustering->bus = make_bus(clustering, fault);
    if (!clustering->bus || !make_peers(clustering, fault) ||
        !make_recovery(clustering, fault) || !make_cluster(clustering))
        goto fail;
    watch_health(&clustering->health);
    return clustering;

fail:
    if (options->config->redis.given) {
        buf_printf(&report->text, "%.*s:%d: redis: %s\n", (int)options->config->file.size,
                   options->config->file.at, options->config->redis.line, fault);
        report->count++;
    }
    clustering_stop(clustering);
    if (clustering->bus && !clustering->cluster)
        clustering->bus->type->free(clustering->bus);
    clustering_free(clustering);
    return NULL;
}

struct wait {
    struct clustering *clustering;
    struct timer timer;
    uint64_t give_up_ms;
};

static void look_again(struct timer *timer)
{
    struct wait *wait = CONTAINER_OF(timer, struct wait, timer);
    struct net_loop *loop = wait->clustering->options.loop;

    if (bus_healthy(wait->clustering->bus) || net_loop_now(loop) >= wait->give_up_ms)
        net_loop_stop(loop);
    else
        timer_start(net_loop_timers(loop), timer, WAIT_POLL_MS);
}

bool clustering_wait(struct clustering *clustering, struct cfg_report *report)
{
    const struct config *config = clustering->options.config;
    struct net_loop *loop = clustering->options.loop;
    struct wait wait = {.clustering = clustering};

    if (!config->redis.given || !config->redis.required)
        return true;
    wait.give_up_ms = net_loop_now(loop) + config->redis.connect_timeout_ms;
    timer_init(&wait.timer, look_again);
    timer_start(net_loop_timers(loop), &wait.timer, 0);
    if (net_loop_run(loop) == 0 && bus_healthy(clustering->bus))
        return true;
    timer_stop(net_loop_timers(loop), &wait.timer);
    buf_printf(&report->text,
               "%.*s:%d: redis.required: nothing was heard from Redis at %s in %u ms\n",
               (int)config->file.size, config->file.at, config->redis.line,
               redis_where(bus_redis(clustering->bus)), config->redis.connect_timeout_ms);
    report->count++;
    return false;
}

void clustering_stop(struct clustering *clustering)
{
    if (!clustering)
        return;
    timer_stop(net_loop_timers(clustering->options.loop), &clustering->health);
    /* What Redis owes is answered when it ends: nothing new may be asked then. */
    sio_server_keep(clustering->options.server, &(struct sio_keeper){0});
    peers_free(clustering->peers);
    clustering->peers = NULL;
    redis_free(clustering->control); /* answers what was asked */
    clustering->control = NULL;
    vault_leave(clustering->door);
    clustering->door = NULL;
    recovery_stop(clustering->recovery);
    stream_recovery_stop(clustering->stream_recovery);
}

void clustering_free(struct clustering *clustering)
{
    if (!clustering)
        return;
    cluster_free(clustering->cluster);
    recovery_free(clustering->recovery);
    stream_recovery_free(clustering->stream_recovery);
    free(clustering);
}

struct cluster *clustering_cluster(struct clustering *clustering)
{
    return clustering->cluster;
}

bool clustering_is_idle(const struct clustering *clustering)
{
    if (clustering->recovery)
        return store_writing(recovery_store(clustering->recovery)) == 0;
    return !clustering->stream_recovery ||
           store_writing(stream_recovery_store(clustering->stream_recovery)) == 0;
}

struct peers *clustering_peers(struct clustering *clustering)
{
    return clustering->peers;
}

struct redis *clustering_redis(struct clustering *clustering)
{
    return clustering->control;
}

void clustering_on_up(struct clustering *clustering, void (*up)(void *owner), void *owner)
{
    clustering->up = up;
    clustering->up_owner = owner;
}
