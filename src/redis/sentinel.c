#include "redis/private.h"

#include <stdio.h>
#include <stdlib.h>

/*
 * One link to one sentinel at a time, which says where the master is and, from then on, when that
 * changes. A sentinel that goes away, does not know the master or names one that cannot be used is
 * exchanged for the next: it may be cut off from the others.
 */

enum {
    DOUBT_MS = 1000, /* a sentinel's word is taken for so long whatever comes of it */
};

struct sentinel {
    struct redis *redis;
    struct place place; /* of the sentinel in use */
    struct redis_link *link;
    size_t index; /* of it, in the options */
    bool known;   /* where the master is */
    uint64_t told_ms;
    struct net_grave grave;
};

/* ---- what sentinels say ---- */

static void use_next(struct sentinel *sentinel)
{
    const struct redis_options *options = &sentinel->redis->options;

    sentinel->index = (sentinel->index + 1) % options->server_count;
    place_set(&sentinel->place, &options->servers[sentinel->index], "");
}

static bool found(struct sentinel *sentinel, struct str host, struct str port)
{
    struct redis *redis = sentinel->redis;
    struct redis_server server;
    bool moved;

    if (!server_parse(host, port, &server))
        return false;
    moved = server.port != redis->place.server.port ||
            strcmp(server.host, redis->place.server.host) != 0;
    if (sentinel->known && moved)
        log_info(redis->log, "Redis has another master", log_str("host", host),
                 log_int("port", server.port), LOG_END);
    sentinel->told_ms = net_loop_now(redis->loop);
    if (sentinel->known && !moved)
        return true;
    sentinel->known = true;
    place_set(&redis->place, &server, "");
    links_move(redis, &redis->place);
    return true;
}

static void answered(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct sentinel *sentinel = owner;
    char reason[REASON_MAX];

    if (end != REDIS_ANSWERED || sentinel->redis->freed)
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
        found(sentinel, redis_reply_str(reply->element[0]), redis_reply_str(reply->element[1])))
        return;
    snprintf(reason, sizeof(reason), "the sentinel knows no master \"%s\"%s%.100s",
             sentinel->redis->options.master, reply->type == REDIS_REPLY_ERROR ? ": " : "",
             reply->type == REDIS_REPLY_ERROR ? reply->str : "");
    link_fail(sentinel->link, reason);
}

static void subscribed(void *owner, const struct redisReply *reply, enum redis_end end)
{
    (void)owner;
    (void)reply;
    (void)end;
}

static void link_up(void *owner)
{
    static const struct redis_how how = {.at_once = true};
    struct sentinel *sentinel = owner;
    const struct str ask[] = {STR("SENTINEL"), STR("get-master-addr-by-name"),
                              str_from(sentinel->redis->options.master)};
    const struct str watch[] = {STR("SUBSCRIBE"), STR("+switch-master")};

    link_command(sentinel->link, &how, ask, 3, answered, sentinel, false);
    link_command(sentinel->link, &how, watch, 2, subscribed, sentinel, false);
}

static void link_down(void *owner, const char *reason)
{
    struct sentinel *sentinel = owner;
    char text[REASON_MAX];

    use_next(sentinel);
    if (sentinel->known)
        return;
    snprintf(text, sizeof(text), "no sentinel: %.280s", reason);
    links_tell_down(sentinel->redis, &sentinel->redis->place, text);
}

/* "mymaster old-host old-port new-host new-port" */
static void link_pushed(void *owner, const struct redisReply *reply)
{
    struct sentinel *sentinel = owner;
    struct str text = reply->elements == 3 ? redis_reply_str(reply->element[2]) : STR("");
    struct str host;

    if (!str_equal(next_word(&text), str_from(sentinel->redis->options.master)))
        return;
    next_word(&text);
    next_word(&text);
    host = next_word(&text);
    found(sentinel, host, next_word(&text));
}

/* ---- interface ---- */

bool sentinel_knows(const struct sentinel *sentinel)
{
    return sentinel->known;
}

void sentinel_doubt(struct sentinel *sentinel)
{
    if (link_is_up(sentinel->link) &&
        net_loop_now(sentinel->redis->loop) - sentinel->told_ms >= DOUBT_MS)
        link_move(sentinel->link); /* to the next: link_down() chooses it */
}

struct sentinel *sentinel_new(struct redis *redis)
{
    static const struct link_events events = {link_up, link_down, link_pushed};
    const struct redis_options *options = &redis->options;
    struct sentinel *sentinel = calloc(1, sizeof(*sentinel));

    if (!sentinel)
        return NULL;
    sentinel->redis = redis;
    sentinel->place.username = options->sentinel_username;
    sentinel->place.password = options->sentinel_password;
    sentinel->place.each_failure = true;
    place_set(&sentinel->place, &options->servers[0], "");
    redis->place.must_be_master = true;
    sentinel->link = link_new(redis, &sentinel->place, &events, sentinel);
    if (sentinel->link)
        return sentinel;
    free(sentinel);
    return NULL;
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct sentinel, grave));
}

void sentinel_free(struct sentinel *sentinel)
{
    if (sentinel)
        net_loop_bury(sentinel->redis->loop, &sentinel->grave, bury);
}
