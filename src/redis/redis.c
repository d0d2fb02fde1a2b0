#include "redis/private.h"

#include "base/clock.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

const char *redis_end_text(enum redis_end end)
{
    static const char *const texts[] = {
        [REDIS_ANSWERED] = "answered",
        [REDIS_LOST] = "the connection to Redis broke before the answer",
        [REDIS_TIMED_OUT] = "Redis did not answer in time",
        [REDIS_DOWN] = "no connection to Redis",
        [REDIS_QUEUE_FULL] = "too much waits for Redis already",
        [REDIS_MISROUTED] = "no node of the Redis Cluster takes it",
        [REDIS_NO_MEMORY] = "out of memory",
        [REDIS_CLOSED] = "the connection to Redis was closed",
    };

    return texts[end];
}

/* ---- answers that no server gave ---- */

static void count_end(struct redis_counts *counts, enum redis_end end)
{
    if (end == REDIS_LOST)
        counts->lost++;
    else if (end == REDIS_TIMED_OUT)
        counts->timed_out++;
    else if (end == REDIS_DOWN || end == REDIS_QUEUE_FULL)
        counts->refused++;
}

static void end_all(struct redis *redis)
{
    struct list *link;

    while ((link = list_take_first(&redis->ended))) {
        struct redis_request *request = CONTAINER_OF(link, struct redis_request, link);
        redis_answer *answer = request->given_up ? NULL : request->answer;
        void *owner = request->owner;
        enum redis_end end = request->end;

        if (answer && !request->internal)
            count_end(&redis->counts, end);
        request_free(request);
        if (answer)
            answer(owner, NULL, end);
    }
}

static void run_ends(struct net_task *task)
{
    end_all(CONTAINER_OF(task, struct redis, end_task));
}

/* ---- life ---- */

static void commands_up(void *owner)
{
    struct redis *redis = owner;

    if (redis->events.up)
        redis->events.up(redis->events.owner);
}

static void commands_down(void *owner, const char *reason)
{
    struct redis *redis = owner;

    if (redis->events.down && !redis->cluster) /* which speaks for itself */
        redis->events.down(redis->events.owner, reason);
}

static bool load_trust(struct redis *redis, char fault[REDIS_FAULT_MAX])
{
    const struct redis_options *options = &redis->options;
    const struct tls_trust_options trust = {
        .ca = options->tls_ca,
        .anyone = options->tls_insecure,
        .cert = options->tls_cert,
        .key = options->tls_key,
    };
    struct tls_fault why;

    if (!options->tls)
        return true;
    redis->trust = tls_trust_new(&trust, clock_wall_ms() / 1000, &why);
    if (!redis->trust)
        snprintf(fault, REDIS_FAULT_MAX, "TLS to Redis: %.290s", why.text);
    return redis->trust != NULL;
}

struct redis *redis_new(struct net_loop *loop, struct random *random, const struct log *log,
                        const struct redis_options *options, const struct redis_events *events,
                        char fault[REDIS_FAULT_MAX])
{
    static const struct link_events link_events = {commands_up, commands_down, NULL};
    struct redis *redis = calloc(1, sizeof(*redis));

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!redis)
        return NULL;
    redis->loop = loop;
    redis->random = random;
    redis->log = log;
    redis->options = *options;
    redis->events = *events;
    list_init(&redis->links);
    list_init(&redis->ended);
    net_task_init(&redis->end_task, run_ends);
    subscriptions_init(&redis->subscriptions);
    redis->place.username = redis->options.username;
    redis->place.password = redis->options.password;
    redis->place.database = redis->options.database;
    place_set(&redis->place, &redis->options.servers[0], redis->options.unix_path);
    if (!load_trust(redis, fault))
        goto fail;
    if (options->topology == REDIS_SENTINEL && !(redis->sentinel = sentinel_new(redis)))
        goto fail;
    if (options->topology == REDIS_CLUSTER && !(redis->cluster = redis_cluster_new(redis)))
        goto fail;
    redis->commands =
        link_new(redis, redis->cluster ? NULL : &redis->place, &link_events, redis);
    if (!redis->commands)
        goto fail;
    return redis;

fail:
    if (redis->cluster)
        redis_cluster_close(redis->cluster);
    links_free(redis);
    sentinel_free(redis->sentinel);
    redis_cluster_free(redis->cluster);
    tls_trust_unref(redis->trust);
    free(redis);
    return NULL;
}

static void bury(struct net_grave *grave)
{
    struct redis *redis = CONTAINER_OF(grave, struct redis, grave);

    explicit_bzero(&redis->options, sizeof(redis->options));
    free(redis);
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    assert(!redis->freed);
    redis->freed = true;
    redis->events = (struct redis_events){0};
    if (redis->cluster)
        redis_cluster_close(redis->cluster);
    links_free(redis);
    end_all(redis);
    sentinel_free(redis->sentinel);
    redis_cluster_free(redis->cluster);
    net_task_cancel(&redis->end_task);
    subscriptions_free(redis);
    tls_trust_unref(redis->trust);
    net_loop_bury(redis->loop, &redis->grave, bury);
}

bool redis_is_up(const struct redis *redis)
{
    return redis->cluster ? redis_cluster_is_up(redis->cluster) : link_is_up(redis->commands);
}

const char *redis_where(const struct redis *redis)
{
    return redis->place.where;
}

const char *redis_local(const struct redis *redis)
{
    return redis->local;
}

void redis_count(const struct redis *redis, struct redis_counts *counts)
{
    *counts = redis->counts;
}

/* ---- commands ---- */

void redis_command_with(struct redis *redis, const struct redis_how *how,
                        const struct str *argv, size_t argc, redis_answer *answer, void *owner)
{
    if (redis->cluster)
        redis_cluster_command(redis->cluster, how, argv, argc, answer, owner);
    else
        redis_link_command(redis->commands, how, argv, argc, answer, owner);
}

void redis_command(struct redis *redis, const struct str *argv, size_t argc,
                   redis_answer *answer, void *owner)
{
    static const struct redis_how usual;

    redis_command_with(redis, &usual, argv, argc, answer, owner);
}

void redis_each_master(struct redis *redis, const struct str *argv, size_t argc,
                       redis_gathered *gathered, void *owner)
{
    if (redis->cluster)
        redis_cluster_each_master(redis->cluster, argv, argc, gathered, owner);
    else
        gather(redis, &redis->commands, 1, argv, argc, gathered, owner);
}
