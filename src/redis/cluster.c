#include "redis/private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Which node has which slot is asked by a link of its own, the scout, from any node that answers:
 * at first, when a node says MOVED or its links break, and now and then. Nodes are masters; each
 * has a link for commands from the start and one for shard channels when there are some.
 */

enum {
    REFRESH_EVERY_MS = 30000,
    REFRESH_SOON_MS = 100, /* many at once say MOVED when a slot goes */
    HOPS_MAX = 8,          /* of one command from node to node */
};

struct node {
    struct list in_cluster;
    struct redis_cluster *cluster;
    struct place place;
    struct redis_link *commands;
    struct redis_link *shards; /* NULL until needed */
    bool wanted;               /* has slots, in the map that is being read */
    struct net_grave grave;
};

struct redis_cluster {
    struct redis *redis;
    struct list nodes;
    struct node *slots[CLUSTER_SLOTS]; /* NULL: nobody's */
    bool known;                        /* a map has been read */
    bool up, told_down;
    struct redis_link *scout;
    struct place scout_place;
    size_t candidate;     /* for the scout: seeds, then nodes */
    size_t failures;      /* of the scout, one after the other */
    struct timer refresh; /* the map is asked for again */
    bool soon;            /* in a moment */
    struct net_grave grave;
};

/* ---- nodes ---- */

static void ignore_up(void *owner)
{
    (void)owner;
}

void redis_cluster_doubt(struct redis_cluster *cluster)
{
    if (cluster->soon)
        return;
    cluster->soon = true;
    timer_start(net_loop_timers(cluster->redis->loop), &cluster->refresh, REFRESH_SOON_MS);
}

/* Its slots may have gone to a replica. */
static void node_down(void *owner, const char *reason)
{
    struct node *node = owner;

    (void)reason;
    redis_cluster_doubt(node->cluster);
}

static const struct link_events node_events = {ignore_up, node_down, NULL};

static bool is_at(const struct place *place, const struct redis_server *server)
{
    return place->server.port == server->port && strcmp(place->server.host, server->host) == 0;
}

static struct node *find_node(struct redis_cluster *cluster, const struct redis_server *server)
{
    for (struct list *at = cluster->nodes.next; at != &cluster->nodes; at = at->next) {
        struct node *node = CONTAINER_OF(at, struct node, in_cluster);

        if (is_at(&node->place, server))
            return node;
    }
    return NULL;
}

static size_t count_nodes(const struct redis_cluster *cluster)
{
    size_t count = 0;

    for (const struct list *at = cluster->nodes.next; at != &cluster->nodes; at = at->next)
        count++;
    return count;
}

static size_t count_wanted(const struct redis_cluster *cluster)
{
    size_t count = 0;

    for (const struct list *at = cluster->nodes.next; at != &cluster->nodes; at = at->next)
        count += CONTAINER_OF(at, struct node, in_cluster)->wanted;
    return count;
}

static void set_up_place(struct redis *redis, struct place *place)
{
    place->username = redis->options.username;
    place->password = redis->options.password;
    place->each_failure = true;
}

/* The node at that address, which may be new. NULL when out of memory, or when there are too many. */
static struct node *node_at(struct redis_cluster *cluster, const struct redis_server *server)
{
    struct node *node = find_node(cluster, server);

    if (node)
        return node;
    if (count_nodes(cluster) >= GATHER_MAX)
        return NULL;
    node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    node->cluster = cluster;
    set_up_place(cluster->redis, &node->place);
    place_set(&node->place, server, "");
    node->commands = link_new(cluster->redis, &node->place, &node_events, node);
    if (!node->commands) {
        free(node);
        return NULL;
    }
    list_add_last(&cluster->nodes, &node->in_cluster);
    return node;
}

struct place *redis_cluster_place(const struct redis_cluster *cluster, uint16_t slot)
{
    return cluster->slots[slot] ? &cluster->slots[slot]->place : NULL;
}

struct redis_link *redis_cluster_shard_link(struct redis_cluster *cluster, uint16_t slot)
{
    struct node *node = cluster->slots[slot];

    if (!node)
        return NULL;
    if (!node->shards)
        node->shards =
            link_new(cluster->redis, &node->place, &subscription_events, cluster->redis);
    return node->shards;
}

/* ---- where commands go ---- */

/* Any node for commands without a key. */
static struct node *choose(struct redis_cluster *cluster, const struct redis_request *request)
{
    if (cluster->slots[request->slot])
        return cluster->slots[request->slot];
    if (list_empty(&cluster->nodes))
        return NULL;
    return CONTAINER_OF(cluster->nodes.next, struct node, in_cluster);
}

static void submit(struct redis_cluster *cluster, struct redis_request *request,
                   const struct redis_how *how)
{
    const struct redis_options *options = &cluster->redis->options;
    struct node *node = choose(cluster, request);
    struct redis_how patient = *how;

    if (!cluster->known) {
        link_submit(cluster->redis->commands, request, how);
        return;
    }
    if (!node) {
        request_end(request, REDIS_MISROUTED);
        return;
    }
    /* That a link is only being made does not mean that the node is down. */
    if (how->at_once && link_is_fresh(node->commands)) {
        patient.at_once = false;
        patient.queue_ms = options->connect_timeout_ms;
    }
    link_submit(node->commands, request, &patient);
}

static void submit_all(struct redis_cluster *cluster, struct redis_link *from)
{
    static const struct redis_how usual;
    struct list queue, *link;

    list_init(&queue);
    link_take_queue(from, &queue);
    while ((link = list_take_first(&queue)))
        submit(cluster, CONTAINER_OF(link, struct redis_request, link), &usual);
}

/* ---- the map ---- */

/* A node of CLUSTER SLOTS: [host, port, id, …]; a host that is not told is the speaker's own. */
static struct node *read_node(struct redis_cluster *cluster, const struct redisReply *reply)
{
    struct redis_server server = cluster->scout_place.server;
    const struct redisReply *host;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
        reply->element[1]->type != REDIS_REPLY_INTEGER || reply->element[1]->integer <= 0 ||
        reply->element[1]->integer > UINT16_MAX)
        return NULL;
    host = reply->element[0];
    if (host->type == REDIS_REPLY_STRING && host->len > 0) {
        if (host->len >= sizeof(server.host) || memchr(host->str, 0, host->len) ||
            strcmp(host->str, "?") == 0)
            return NULL;
        memcpy(server.host, host->str, host->len + 1);
    }
    server.port = (uint16_t)reply->element[1]->integer;
    return node_at(cluster, &server);
}

/* [first, last, master, replica, …] */
static void read_range(struct redis_cluster *cluster, const struct redisReply *reply)
{
    struct node *node;
    long long first, last;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 3 ||
        reply->element[0]->type != REDIS_REPLY_INTEGER ||
        reply->element[1]->type != REDIS_REPLY_INTEGER)
        return;
    first = reply->element[0]->integer;
    last = reply->element[1]->integer;
    if (first < 0 || last >= CLUSTER_SLOTS)
        return;
    node = read_node(cluster, reply->element[2]);
    if (!node)
        return;
    node->wanted = true;
    for (long long slot = first; slot <= last; slot++)
        cluster->slots[slot] = node;
}

static void bury_node(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct node, grave));
}

/* Nobody's node any more: what waits for it goes to others, what was sent is lost. */
static void remove_node(struct node *node)
{
    struct redis_cluster *cluster = node->cluster;

    list_remove(&node->in_cluster);
    submit_all(cluster, node->commands);
    link_free(node->commands, REDIS_LOST);
    if (node->shards)
        link_free(node->shards, REDIS_LOST);
    net_loop_bury(cluster->redis->loop, &node->grave, bury_node);
}

static void remove_unwanted(struct redis_cluster *cluster)
{
    struct list *next;

    for (struct list *at = cluster->nodes.next; at != &cluster->nodes; at = next) {
        struct node *node = CONTAINER_OF(at, struct node, in_cluster);

        next = at->next;
        if (!node->wanted)
            remove_node(node);
        node->wanted = false;
    }
}

static void tell_up(struct redis_cluster *cluster)
{
    struct redis *redis = cluster->redis;

    cluster->failures = 0;
    if (cluster->up)
        return;
    log_info(redis->log, "connected to the Redis Cluster",
             log_int("masters", (int64_t)count_nodes(cluster)), LOG_END);
    cluster->up = true;
    cluster->told_down = false;
    if (redis->events.up)
        redis->events.up(redis->events.owner);
}

/* Channels and patterns may be subscribed at any node, so at one that is there. */
static void place_subscriber(struct redis_cluster *cluster)
{
    struct redis *redis = cluster->redis;
    const struct redis_server *server = &cluster->scout_place.server;

    if (!redis->subscriptions.link || link_is_up(redis->subscriptions.link) ||
        is_at(&redis->place, server))
        return;
    place_set(&redis->place, server, "");
    link_move(redis->subscriptions.link);
}

/* False when there is nothing in it. */
static bool read_map(struct redis_cluster *cluster, const struct redisReply *reply)
{
    memset(cluster->slots, 0, sizeof(cluster->slots));
    for (size_t i = 0; i < reply->elements; i++)
        read_range(cluster, reply->element[i]);
    if (count_wanted(cluster) == 0)
        return false;
    cluster->known = true;
    links_route(cluster->redis);
    subscriptions_route(cluster->redis);
    if (cluster->redis->freed)
        return true;
    remove_unwanted(cluster);
    submit_all(cluster, cluster->redis->commands);
    place_subscriber(cluster);
    tell_up(cluster);
    return true;
}

/* ---- the scout ---- */

static void use_next(struct redis_cluster *cluster)
{
    const struct redis_options *options = &cluster->redis->options;
    size_t seeds = options->server_count, nodes = count_nodes(cluster);
    struct list *at = cluster->nodes.next;

    cluster->candidate = (cluster->candidate + 1) % (seeds + nodes);
    if (cluster->candidate < seeds) {
        place_set(&cluster->scout_place, &options->servers[cluster->candidate], "");
        return;
    }
    for (size_t i = seeds; i < cluster->candidate; i++)
        at = at->next;
    place_set(&cluster->scout_place, &CONTAINER_OF(at, struct node, in_cluster)->place.server,
              "");
}

static void mapped(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct redis_cluster *cluster = owner;
    char reason[REASON_MAX];

    if (end != REDIS_ANSWERED || cluster->redis->freed ||
        (reply->type == REDIS_REPLY_ARRAY && read_map(cluster, reply)))
        return;
    snprintf(reason, sizeof(reason), "the server has no cluster for us%s%.200s",
             reply->type == REDIS_REPLY_ERROR ? ": " : "",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "");
    link_fail(cluster->scout, reason);
}

static void ask_for_map(struct redis_cluster *cluster)
{
    static const struct redis_how how = {.at_once = true};
    const struct str argv[] = {STR("CLUSTER"), STR("SLOTS")};

    if (link_is_up(cluster->scout))
        link_command(cluster->scout, &how, argv, 2, mapped, cluster, false);
}

static void refresh(struct timer *timer)
{
    struct redis_cluster *cluster = CONTAINER_OF(timer, struct redis_cluster, refresh);

    cluster->soon = false;
    timer_start(net_loop_timers(cluster->redis->loop), timer, REFRESH_EVERY_MS);
    ask_for_map(cluster);
}

static void scout_up(void *owner)
{
    ask_for_map(owner);
}

/* One node that goes is no reason to be down; all of them are. */
static void scout_down(void *owner, const char *reason)
{
    struct redis_cluster *cluster = owner;
    struct redis *redis = cluster->redis;

    use_next(cluster);
    if (++cluster->failures < redis->options.server_count + count_nodes(cluster) ||
        cluster->told_down)
        return;
    cluster->up = false;
    cluster->told_down = true;
    log_warn(redis->log, "no node of the Redis Cluster can be used", log_text("reason", reason),
             LOG_END);
    links_tell_down(redis, NULL, reason);
    if (redis->events.down)
        redis->events.down(redis->events.owner, reason);
}

/* ---- commands ---- */

void redis_cluster_command(struct redis_cluster *cluster, const struct redis_how *how,
                           const struct str *argv, size_t argc, redis_answer *answer,
                           void *owner)
{
    struct str key = how->has_key ? how->key : argv[argc > 1 ? 1 : 0];
    struct redis_request *request = request_new(cluster->redis, argv, argc);

    if (!request) {
        answer(owner, NULL, REDIS_NO_MEMORY);
        return;
    }
    request->answer = answer;
    request->owner = owner;
    request->routed = true;
    request->slot = slot_of(key);
    submit(cluster, request, how);
}

void redis_cluster_learn(struct redis_cluster *cluster, const struct redirection *redirection)
{
    struct node *node = redirection->ask ? NULL : node_at(cluster, &redirection->server);

    if (!node)
        return;
    cluster->slots[redirection->slot] = node;
    links_route(cluster->redis);
    redis_cluster_doubt(cluster);
}

void redis_cluster_redirect(struct redis_cluster *cluster, struct redis_request *request,
                            const struct redirection *redirection)
{
    const struct redis_how how = {.timeout_ms = request->timeout_ms,
                                  .queue_ms = request->timeout_ms};
    struct node *node = node_at(cluster, &redirection->server);

    list_remove(&request->link);
    timer_stop(net_loop_timers(cluster->redis->loop), &request->timer);
    request->asking = redirection->ask;
    if (!node || ++request->hops > HOPS_MAX)
        request_end(request, REDIS_MISROUTED);
    else
        link_submit(node->commands, request, &how);
}

void redis_cluster_each_master(struct redis_cluster *cluster, const struct str *argv,
                               size_t argc, redis_gathered *gathered, void *owner)
{
    struct redis_link *links[GATHER_MAX];
    size_t count = 0;

    for (struct list *at = cluster->nodes.next; at != &cluster->nodes; at = at->next)
        links[count++] = CONTAINER_OF(at, struct node, in_cluster)->commands;
    gather(cluster->redis, links, count, argv, argc, gathered, owner);
}

/* ---- life ---- */

bool redis_cluster_is_up(const struct redis_cluster *cluster)
{
    return cluster->up;
}

struct redis_cluster *redis_cluster_new(struct redis *redis)
{
    static const struct link_events events = {scout_up, scout_down, NULL};
    struct redis_cluster *cluster = calloc(1, sizeof(*cluster));

    if (!cluster)
        return NULL;
    cluster->redis = redis;
    list_init(&cluster->nodes);
    timer_init(&cluster->refresh, refresh);
    set_up_place(redis, &cluster->scout_place);
    cluster->scout_place.quiet = true; /* the nodes' own places speak */
    place_set(&cluster->scout_place, &redis->options.servers[0], "");
    cluster->scout = link_new(redis, &cluster->scout_place, &events, cluster);
    if (cluster->scout)
        return cluster;
    free(cluster);
    return NULL;
}

static void bury(struct net_grave *grave)
{
    struct redis_cluster *cluster = CONTAINER_OF(grave, struct redis_cluster, grave);
    struct list *link;

    while ((link = list_take_first(&cluster->nodes)))
        free(CONTAINER_OF(link, struct node, in_cluster));
    free(cluster);
}

void redis_cluster_close(struct redis_cluster *cluster)
{
    timer_stop(net_loop_timers(cluster->redis->loop), &cluster->refresh);
}

void redis_cluster_free(struct redis_cluster *cluster)
{
    if (cluster)
        net_loop_bury(cluster->redis->loop, &cluster->grave, bury);
}
