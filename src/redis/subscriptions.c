#include "redis/private.h"

#include <assert.h>
#include <stdlib.h>

/*
 * Each subscription is a command of its own: its confirmation, or the error that refuses it, is
 * the answer to that command. A subscription lives until it is not wanted and nothing that was
 * sent for it is unanswered, so that the last answer says what holds.
 */

enum {
    REFUSED_WAIT_MS = 1000, /* then refused subscriptions are tried again */
    HOPS_MAX = 8,           /* from node to node without a pause */
};

struct subscription {
    struct redis *redis;
    enum redis_kind kind;
    bool wanted;
    bool confirmed;
    uint32_t unanswered;      /* commands */
    struct redis_link *link;  /* where it is asked for; NULL: nowhere yet */
    struct redis_link *asked; /* where that was done last */
    uint8_t hops;             /* redirections since it was confirmed */
    struct str name;          /* behind the struct */
};

struct verbs {
    struct str subscribe, unsubscribe;
};

static const struct verbs verbs[REDIS_KINDS] = {
    [REDIS_CHANNEL] = {STR("SUBSCRIBE"),  STR("UNSUBSCRIBE") },
    [REDIS_PATTERN] = {STR("PSUBSCRIBE"), STR("PUNSUBSCRIBE")},
    [REDIS_SHARD] = {STR("SSUBSCRIBE"), STR("SUNSUBSCRIBE")},
};

/* ---- what is confirmed ---- */

bool redis_is_ready(const struct redis *redis)
{
    return redis->subscriptions.unconfirmed == 0;
}

/* In a task: of many confirmations that come together the last one counts. */
static void tell_ready(struct net_task *task)
{
    struct redis *redis = CONTAINER_OF(task, struct redis, subscriptions.told);

    if (redis->subscriptions.told_ready || !redis_is_ready(redis))
        return;
    redis->subscriptions.told_ready = true;
    if (redis->events.ready)
        redis->events.ready(redis->events.owner);
}

/* Counts are of the wanted ones: called with the subscription as it was and as it is. */
static void count(struct subscription *subscription, int sign)
{
    struct subscriptions *all = &subscription->redis->subscriptions;

    if (!subscription->wanted)
        return;
    if (subscription->confirmed)
        all->confirmed += (uint32_t)sign;
    else
        all->unconfirmed += (uint32_t)sign;
}

static void set(struct subscription *subscription, bool wanted, bool confirmed)
{
    struct redis *redis = subscription->redis;

    count(subscription, -1);
    subscription->wanted = wanted;
    subscription->confirmed = confirmed;
    count(subscription, 1);
    if (redis->subscriptions.unconfirmed > 0)
        redis->subscriptions.told_ready = false;
    else
        net_loop_later(redis->loop, &redis->subscriptions.told);
}

static void gap(struct redis *redis)
{
    if (redis->events.gap)
        redis->events.gap(redis->events.owner);
}

/* ---- to the server ---- */

static void release_if_done(struct subscription *subscription)
{
    if (subscription->wanted || subscription->unanswered > 0)
        return;
    map_remove(&subscription->redis->subscriptions.names[subscription->kind],
               subscription->name);
    free(subscription);
}

static void refused(struct redis *redis, const char *why)
{
    struct subscriptions *all = &redis->subscriptions;
    uint64_t now_ms = net_loop_now(redis->loop);

    if (!timer_running(&all->again))
        timer_start(net_loop_timers(redis->loop), &all->again, REFUSED_WAIT_MS);
    if (all->logged_ms != 0 && now_ms - all->logged_ms < LOG_EVERY_MS)
        return;
    all->logged_ms = now_ms;
    log_warn(redis->log, "Redis refuses a subscription", log_text("server", redis->place.where),
             log_text("reason", why), LOG_END);
}

static void route(struct subscription *subscription);
static void ask_if_due(struct subscription *subscription);

/* Another node has the slot: there at once, unless they send us to and fro. */
static void on_error(struct subscription *subscription, const struct redisReply *reply)
{
    if (str_starts(redis_reply_str(reply), STR("MOVED ")) && subscription->hops < HOPS_MAX) {
        subscription->hops++;
        route(subscription);
    } else {
        subscription->hops = 0;
        refused(subscription->redis, reply->str);
    }
}

static void answered(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct subscription *subscription = owner;
    bool last = --subscription->unanswered == 0 && subscription->wanted;

    if (end == REDIS_ANSWERED && reply->type == REDIS_REPLY_ERROR) {
        on_error(subscription, reply);
    } else if (end == REDIS_ANSWERED && last && subscription->asked == subscription->link) {
        subscription->hops = 0;
        set(subscription, true, true);
    } else if (last) {
        ask_if_due(subscription); /* that was elsewhere, or is lost */
    }
    release_if_done(subscription);
}

static void ask(struct subscription *subscription, bool subscribe)
{
    static const struct redis_how how;
    const struct verbs *verb = &verbs[subscription->kind];
    struct redis *redis = subscription->redis;
    const struct str argv[] = {subscribe ? verb->subscribe : verb->unsubscribe,
                               subscription->name};
    struct redis_request *request = request_new(redis, argv, 2);

    if (!request) {
        refused(redis, "out of memory");
        return;
    }
    request->internal = true;
    request->answer = answered;
    request->owner = subscription;
    if (subscription->kind == REDIS_SHARD && !subscribe)
        request->sunsubscribed = request_last_word(request, subscription->name.size);
    subscription->unanswered++;
    subscription->asked = subscription->link;
    link_submit(subscription->link, request, &how);
}

static void each(struct redis *redis, void (*visit)(struct subscription *subscription))
{
    for (int kind = 0; kind < REDIS_KINDS; kind++) {
        uint32_t cursor = 0;
        void *subscription;

        while (map_next(&redis->subscriptions.names[kind], &cursor, NULL, &subscription))
            visit(subscription);
    }
}

/* Shard channels are where their slot is. */
static struct redis_link *link_for(const struct subscription *subscription)
{
    struct redis *redis = subscription->redis;

    if (redis->cluster && subscription->kind == REDIS_SHARD)
        return redis_cluster_shard_link(redis->cluster, slot_of(subscription->name));
    return redis->subscriptions.link;
}

static void ask_if_due(struct subscription *subscription)
{
    if (subscription->wanted && !subscription->confirmed && subscription->unanswered == 0 &&
        subscription->link && link_is_up(subscription->link))
        ask(subscription, true);
}

static void try_again(struct timer *timer)
{
    struct redis *redis = CONTAINER_OF(timer, struct redis, subscriptions.again);

    each(redis, ask_if_due);
}

/* ---- from the link ---- */

static void link_up(void *owner)
{
    each(owner, ask_if_due);
}

static void forget_confirmation(struct subscription *subscription)
{
    if (subscription->wanted && subscription->link && !link_is_up(subscription->link))
        set(subscription, true, false);
}

static void link_down(void *owner, const char *reason)
{
    struct redis *redis = owner;
    uint32_t before = redis->subscriptions.confirmed;

    (void)reason;
    if (redis->cluster)
        redis_cluster_doubt(redis->cluster);
    each(redis, forget_confirmation);
    if (redis->subscriptions.confirmed < before)
        gap(redis);
}

/* Where it is wanted now; what it was elsewhere counts no more. */
static void route(struct subscription *subscription)
{
    struct redis_link *link = subscription->wanted ? link_for(subscription) : NULL;

    if (link == subscription->link)
        return;
    subscription->link = link;
    if (!subscription->wanted)
        return;
    set(subscription, true, false);
    ask_if_due(subscription);
}

void subscriptions_route(struct redis *redis)
{
    uint32_t before = redis->subscriptions.confirmed;

    each(redis, route);
    if (redis->subscriptions.confirmed < before)
        gap(redis);
}

static struct str word(const struct redisReply *reply, size_t index)
{
    if (index >= reply->elements || reply->element[index]->type != REDIS_REPLY_STRING)
        return STR("");
    return redis_reply_str(reply->element[index]);
}

static void on_message(struct redis *redis, enum redis_kind kind,
                       const struct redisReply *reply)
{
    size_t channel = kind == REDIS_PATTERN ? 2 : 1;
    struct subscription *subscription =
        map_get(&redis->subscriptions.names[kind], word(reply, 1));

    if (!subscription || !subscription->wanted || !redis->events.message)
        return;
    redis->events.message(redis->events.owner, kind, word(reply, channel),
                          kind == REDIS_PATTERN ? word(reply, 1) : STR(""),
                          word(reply, channel + 1));
}

/* The slot of a shard channel has left its node. */
static void on_withdrawn(struct redis *redis, struct str channel)
{
    struct subscription *subscription =
        map_get(&redis->subscriptions.names[REDIS_SHARD], channel);

    if (!subscription || !subscription->wanted)
        return;
    set(subscription, true, false);
    gap(redis);
    if (!redis->freed)
        ask_if_due(subscription);
}

static void link_pushed(void *owner, const struct redisReply *reply)
{
    struct str kind = word(reply, 0);

    if (str_equal(kind, STR("message")))
        on_message(owner, REDIS_CHANNEL, reply);
    else if (str_equal(kind, STR("pmessage")))
        on_message(owner, REDIS_PATTERN, reply);
    else if (str_equal(kind, STR("smessage")))
        on_message(owner, REDIS_SHARD, reply);
    else
        on_withdrawn(owner, word(reply, 1));
}

const struct link_events subscription_events = {link_up, link_down, link_pushed};

/* ---- interface ---- */

static struct subscription *subscription_new(struct redis *redis, enum redis_kind kind,
                                             struct str name)
{
    struct subscription *subscription = calloc(1, sizeof(*subscription) + name.size);

    if (!subscription)
        return NULL;
    subscription->redis = redis;
    subscription->kind = kind;
    memcpy(subscription + 1, name.at, name.size);
    subscription->name = str_of(subscription + 1, name.size);
    if (map_put(&redis->subscriptions.names[kind], subscription->name, subscription))
        return subscription;
    free(subscription);
    return NULL;
}

bool redis_subscribe(struct redis *redis, enum redis_kind kind, struct str name)
{
    struct subscriptions *all = &redis->subscriptions;
    struct subscription *subscription = map_get(&all->names[kind], name);

    if (subscription && subscription->wanted)
        return true;
    if (!all->link)
        all->link = link_new(redis, &redis->place, &subscription_events, redis);
    if (!all->link)
        return false;
    if (!subscription)
        subscription = subscription_new(redis, kind, name);
    if (!subscription)
        return false;
    subscription->link = link_for(subscription);
    set(subscription, true, false);
    ask_if_due(subscription);
    return true;
}

void redis_unsubscribe(struct redis *redis, enum redis_kind kind, struct str name)
{
    struct subscription *subscription = map_get(&redis->subscriptions.names[kind], name);

    if (!subscription || !subscription->wanted)
        return;
    set(subscription, false, false);
    if (subscription->link && link_is_up(subscription->link))
        ask(subscription, false);
    release_if_done(subscription);
}

void subscriptions_init(struct subscriptions *subscriptions)
{
    for (int kind = 0; kind < REDIS_KINDS; kind++)
        map_init(&subscriptions->names[kind]);
    net_task_init(&subscriptions->told, tell_ready);
    timer_init(&subscriptions->again, try_again);
}

static void release(struct subscription *subscription)
{
    free(subscription);
}

void subscriptions_free(struct redis *redis)
{
    struct subscriptions *all = &redis->subscriptions;

    net_task_cancel(&all->told);
    timer_stop(net_loop_timers(redis->loop), &all->again);
    each(redis, release);
    for (int kind = 0; kind < REDIS_KINDS; kind++)
        map_free(&all->names[kind]);
}
