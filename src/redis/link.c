#include "redis/private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_link {
    struct redis *redis;
    struct list in_redis;
    struct place *place;
    const struct link_events *events;
    void *owner;
    struct redis_link_events own; /* of a link that redis_link_open() made */
    bool own_down;                /* and its owner knows */
    bool follows;                 /* in a Cluster: its place is that of its slot */
    uint16_t slot;
    struct wire *wire; /* NULL between attempts */
    bool up;
    bool greeted; /* was up before */
    bool told_down;
    struct list queue; /* requests that wait for a wire */
    size_t queued;     /* their bytes */
    struct timer retry;
    struct net_task moved; /* its place has changed */
    struct net_task away;  /* its place is unknown: for `away_reason` */
    char away_reason[REASON_MAX];
    uint32_t attempts; /* since the link was last steady */
    uint64_t up_ms;
    struct net_grave grave;
};

/* ---- what the log says ---- */

void place_set(struct place *place, const struct redis_server *server, const char *unix_path)
{
    bool v6 = strchr(server->host, ':') != NULL;

    place->server = *server;
    place->unix_path = unix_path;
    if (unix_path[0])
        snprintf(place->where, sizeof(place->where), "unix:%s", unix_path);
    else
        snprintf(place->where, sizeof(place->where), v6 ? "[%s]:%u" : "%s:%u", server->host,
                 server->port);
}

static void log_failure(struct redis_link *link, enum wire_end end, const char *reason)
{
    struct place *place = link->place;
    uint64_t now_ms = net_loop_now(link->redis->loop);

    if (place->quiet)
        return;
    /* "Refused" that becomes "wrong password" is news. */
    if (place->failing && place->logged_end == end &&
        now_ms - place->logged_ms < LOG_EVERY_MS) {
        place->unlogged++;
        return;
    }
    if (place->failing)
        log_warn(link->redis->log, "still no connection to Redis",
                 log_text("server", place->where), log_text("reason", reason),
                 log_int("failures", place->unlogged + 1), LOG_END);
    else
        log_warn(link->redis->log,
                 link->up ? "lost the connection to Redis" : "cannot connect to Redis",
                 log_text("server", place->where), log_text("reason", reason), LOG_END);
    place->failing = true;
    place->logged_end = end;
    place->logged_ms = now_ms;
    place->unlogged = 0;
}

static void log_success(struct redis_link *link)
{
    struct place *place = link->place;

    if (place->quiet)
        return;
    if (place->failing)
        log_info(link->redis->log, "connected to Redis again", log_text("server", place->where),
                 LOG_END);
    else if (!place->greeted)
        log_info(link->redis->log, "connected to Redis", log_text("server", place->where),
                 LOG_END);
    place->failing = false;
    place->greeted = true;
}

/* ---- attempts ---- */

static void connect_now(struct redis_link *link);

/* Full jitter: servers that lost the same Redis do not come back in step. */
static uint64_t random_below(struct redis *redis, uint64_t bound)
{
    uint32_t number;

    random_bytes(redis->random, &number, sizeof(number));
    return number % bound;
}

static void retry_later(struct redis_link *link, enum wire_end end)
{
    uint64_t longest = RETRY_MAX_MS, wait_ms;

    if (link->attempts < 16 && (uint64_t)RETRY_FIRST_MS << link->attempts < RETRY_MAX_MS)
        longest = (uint64_t)RETRY_FIRST_MS << link->attempts;
    link->attempts++;
    wait_ms = end == WIRE_DENIED
                  ? DENIED_WAIT_MS / 2 + random_below(link->redis, DENIED_WAIT_MS)
                  : random_below(link->redis, longest + 1);
    timer_start(net_loop_timers(link->redis->loop), &link->retry, wait_ms);
}

static void retry(struct timer *timer)
{
    connect_now(CONTAINER_OF(timer, struct redis_link, retry));
}

static void tell_down(struct redis_link *link, const char *reason)
{
    if (link->told_down && !(link->place && link->place->each_failure))
        return;
    link->told_down = true;
    if (link->events->down)
        link->events->down(link->owner, reason);
}

static void went_down(struct redis_link *link, enum wire_end end, const char *reason)
{
    log_failure(link, end, reason);
    if (link->up && net_loop_now(link->redis->loop) - link->up_ms >= STEADY_MS)
        link->attempts = 0;
    link->up = false;
    retry_later(link, end);
    if (link->redis->sentinel && link->place == &link->redis->place)
        sentinel_doubt(link->redis->sentinel);
    tell_down(link, reason);
}

static void wire_closed(void *owner, enum wire_end end, const char *reason)
{
    struct redis_link *link = owner;

    link->wire = NULL;
    went_down(link, end, reason);
}

static void leave_queue(struct redis_link *link, struct redis_request *request)
{
    list_remove(&request->link);
    link->queued -= request_size(request);
    link->redis->counts.queued_bytes -= request_size(request);
    request->queue = NULL;
}

/* The server is there, so others that wait need not. */
static void hurry_others(struct redis_link *link)
{
    struct list *all = &link->redis->links;

    for (struct list *at = all->next; at != all; at = at->next) {
        struct redis_link *other = CONTAINER_OF(at, struct redis_link, in_redis);

        if (other->place == link->place && timer_running(&other->retry))
            timer_start(net_loop_timers(link->redis->loop), &other->retry, 0);
    }
}

static void wire_opened(void *owner)
{
    struct redis_link *link = owner;

    log_success(link);
    hurry_others(link);
    if (link->greeted)
        link->redis->counts.reconnects++;
    link->up = link->greeted = true;
    link->told_down = false;
    link->up_ms = net_loop_now(link->redis->loop);
    while (!list_empty(&link->queue)) {
        struct redis_request *request =
            CONTAINER_OF(link->queue.next, struct redis_request, link);

        leave_queue(link, request);
        wire_send(link->wire, request);
    }
    if (link->events->up)
        link->events->up(link->owner);
}

static void wire_pushed(void *owner, const struct redisReply *reply)
{
    struct redis_link *link = owner;

    link->events->pushed(link->owner, reply);
}

static void connect_now(struct redis_link *link)
{
    static const struct wire_events events = {wire_opened, wire_closed, NULL};
    static const struct wire_events pushed_events = {wire_opened, wire_closed, wire_pushed};

    assert(!link->wire);
    if (link->redis->sentinel && link->place == &link->redis->place &&
        !sentinel_knows(link->redis->sentinel))
        return; /* links_move() comes when it does */
    if (!link->place)
        return; /* links_route() comes when there is one */
    link->wire = wire_open(link->redis, link->place,
                           link->events->pushed ? &pushed_events : &events, link);
    if (!link->wire)
        went_down(link, WIRE_BROKEN, "out of memory");
}

/* ---- changes of the place ---- */

static void move(struct net_task *task)
{
    struct redis_link *link = CONTAINER_OF(task, struct redis_link, moved);

    if (link->wire)
        wire_close(link->wire, REDIS_LOST);
    link->wire = NULL;
    timer_start(net_loop_timers(link->redis->loop), &link->retry, 0);
    if (!link->up)
        return;
    link->up = false;
    tell_down(link, "the server is another one now");
}

static void tell_away(struct net_task *task)
{
    struct redis_link *link = CONTAINER_OF(task, struct redis_link, away);

    if (!link->up)
        tell_down(link, link->away_reason);
}

/* ---- interface ---- */

struct redis_link *link_new(struct redis *redis, struct place *place,
                            const struct link_events *events, void *owner)
{
    struct redis_link *link = calloc(1, sizeof(*link));

    if (!link)
        return NULL;
    link->redis = redis;
    link->place = place;
    link->events = events;
    link->owner = owner;
    list_init(&link->queue);
    timer_init(&link->retry, retry);
    net_task_init(&link->moved, move);
    net_task_init(&link->away, tell_away);
    list_add_last(&redis->links, &link->in_redis);
    timer_start(net_loop_timers(redis->loop), &link->retry, 0); /* from the loop */
    return link;
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct redis_link, grave));
}

void link_free(struct redis_link *link, enum redis_end sent)
{
    struct list queue;

    timer_stop(net_loop_timers(link->redis->loop), &link->retry);
    net_task_cancel(&link->moved);
    net_task_cancel(&link->away);
    if (link->wire)
        wire_close(link->wire, sent);
    link->wire = NULL;
    link->up = false;
    list_init(&queue);
    link_take_queue(link, &queue);
    requests_end(&queue, REDIS_CLOSED);
    list_remove(&link->in_redis);
    net_loop_bury(link->redis->loop, &link->grave, bury);
}

void link_fail(struct redis_link *link, const char *reason)
{
    if (!link->wire)
        return;
    wire_close(link->wire, REDIS_LOST);
    link->wire = NULL;
    went_down(link, WIRE_BROKEN, reason);
}

void link_move(struct redis_link *link)
{
    net_loop_later(link->redis->loop, &link->moved);
}

/* In tasks, because owners who are told may close any link. */
void links_move(struct redis *redis, const struct place *place)
{
    for (struct list *at = redis->links.next; at != &redis->links; at = at->next) {
        struct redis_link *link = CONTAINER_OF(at, struct redis_link, in_redis);

        if (link->place == place)
            link_move(link);
    }
}

void links_tell_down(struct redis *redis, const struct place *place, const char *reason)
{
    for (struct list *at = redis->links.next; at != &redis->links; at = at->next) {
        struct redis_link *link = CONTAINER_OF(at, struct redis_link, in_redis);

        if (link->place != place)
            continue;
        snprintf(link->away_reason, sizeof(link->away_reason), "%s", reason);
        net_loop_later(redis->loop, &link->away);
    }
}

void links_free(struct redis *redis)
{
    while (!list_empty(&redis->links))
        link_free(CONTAINER_OF(redis->links.next, struct redis_link, in_redis), REDIS_CLOSED);
}

bool link_is_fresh(const struct redis_link *link)
{
    return !link->greeted && !link->told_down;
}

void link_take_queue(struct redis_link *link, struct list *to)
{
    while (!list_empty(&link->queue)) {
        struct redis_request *request =
            CONTAINER_OF(link->queue.next, struct redis_request, link);

        leave_queue(link, request);
        list_add_last(to, &request->link);
    }
}

void links_route(struct redis *redis)
{
    for (struct list *at = redis->links.next; at != &redis->links; at = at->next) {
        struct redis_link *link = CONTAINER_OF(at, struct redis_link, in_redis);
        struct place *place =
            link->follows ? redis_cluster_place(redis->cluster, link->slot) : link->place;

        if (place == link->place)
            continue;
        link->place = place;
        link_move(link);
    }
}

bool link_is_up(const struct redis_link *link)
{
    return link->up;
}

/* A queue of a link that is up is what the kernel does not take: then there is always room for
 * one, however large. */
static bool has_room(const struct redis_link *link, size_t size)
{
    size_t bound = link->redis->options.queue_bytes;
    size_t waiting = link->up ? wire_queued(link->wire) : link->queued;

    return (link->up && waiting == 0) || (size <= bound && waiting <= bound - size);
}

void link_submit(struct redis_link *link, struct redis_request *request,
                 const struct redis_how *how)
{
    struct redis *redis = link->redis;

    if (how->timeout_ms > 0)
        request->timeout_ms = how->timeout_ms;
    else if (request->timeout_ms == 0) /* else it was submitted before */
        request->timeout_ms = redis->options.command_timeout_ms;
    if (!link->up && how->at_once) {
        request_end(request, REDIS_DOWN);
    } else if (!request->internal && !has_room(link, request_size(request))) {
        request_end(request, REDIS_QUEUE_FULL);
    } else if (link->up) {
        wire_send(link->wire, request);
    } else {
        request->queue = link;
        list_add_last(&link->queue, &request->link);
        link->queued += request_size(request);
        redis->counts.queued_bytes += request_size(request);
        if (how->queue_ms > 0)
            timer_start(net_loop_timers(redis->loop), &request->timer, how->queue_ms);
    }
}

void link_command(struct redis_link *link, const struct redis_how *how, const struct str *argv,
                  size_t argc, redis_answer *answer, void *owner, bool keeps_reply)
{
    static const struct redis_how usual;
    struct redis_request *request = request_new(link->redis, argv, argc);

    if (!request) {
        answer(owner, NULL, REDIS_NO_MEMORY);
        return;
    }
    request->answer = answer;
    request->owner = owner;
    request->keeps_reply = keeps_reply;
    request->of_slot = link->follows;
    link_submit(link, request, how ? how : &usual);
}

void link_drop_request(struct redis_link *link, struct redis_request *request)
{
    leave_queue(link, request);
    request_end(request, REDIS_TIMED_OUT);
}

/* ---- links of one's own ---- */

static void own_up(void *owner)
{
    struct redis_link *link = owner;

    link->own_down = false;
    if (link->own.up)
        link->own.up(link->own.owner);
}

static void own_down(void *owner, const char *reason)
{
    struct redis_link *link = owner;

    if (link->own_down)
        return;
    link->own_down = true;
    if (link->own.down)
        link->own.down(link->own.owner, reason);
}

struct redis_link *redis_link_open(struct redis *redis, struct str key,
                                   const struct redis_link_events *events)
{
    static const struct link_events own_events = {own_up, own_down, NULL};
    uint16_t slot = slot_of(key);
    struct place *place =
        redis->cluster ? redis_cluster_place(redis->cluster, slot) : &redis->place;
    struct redis_link *link = link_new(redis, place, &own_events, NULL);

    if (!link)
        return NULL;
    link->follows = redis->cluster != NULL;
    link->slot = slot;
    link->owner = link;
    link->own = *events;
    return link;
}

void redis_link_close(struct redis_link *link)
{
    link_free(link, REDIS_CLOSED);
}

void redis_link_command(struct redis_link *link, const struct redis_how *how,
                        const struct str *argv, size_t argc, redis_answer *answer, void *owner)
{
    link_command(link, how, argv, argc, answer, owner, false);
}
