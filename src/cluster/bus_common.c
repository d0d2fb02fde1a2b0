#include "bus_common.h"

#include "base/siphash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* Equal on all servers of a cluster. */
static const uint64_t fingerprint_key[2] = {UINT64_C(0x736b75612d627573),
                                            UINT64_C(0x6f726465722d3031)};

static struct bus *self(const struct cluster_bus *bus)
{
    return (struct bus *)bus;
}

static uint64_t now(const struct bus *bus)
{
    return net_loop_now(bus->options.loop);
}

bool bus_notice(const struct bus *bus, struct bus_notice_state *state, uint64_t every_ms,
                uint64_t *times)
{
    state->times++;
    if (state->logged_ms > 0 && now(bus) - state->logged_ms < every_ms)
        return false;
    state->logged_ms = now(bus);
    *times = state->times;
    state->times = 0;
    return true;
}

static bool copy(struct str *text)
{
    text->at = str_dup(str_of(text->at, text->size));
    return text->at != NULL;
}

static void release_text(struct str *text)
{
    free((char *)text->at);
    *text = STR("");
}

/* --- what has failed --------------------------------------------------------------------------- */

void bus_refuse(struct bus *bus, struct str channel, const char *reason)
{
    uint64_t times;

    bus->counts.refused++;
    if (bus_notice(bus, &bus->refused, BUS_LOG_REFUSED_MS, &times))
        log_warn(bus->options.log, "broken message of the cluster ignored",
                 log_str("channel", channel), log_text("reason", reason),
                 log_int("times", (int64_t)times), LOG_END);
}

static void ready_soon(struct bus *bus)
{
    uint64_t wait_ms = now(bus) < bus->ready_again_ms ? bus->ready_again_ms - now(bus) : 0;

    if (timer_running(&bus->ready_timer))
        return;
    bus->ready_again_ms = now(bus) + wait_ms + BUS_READY_AGAIN_MS;
    timer_start(net_loop_timers(bus->options.loop), &bus->ready_timer, wait_ms);
}

static void tell_lost(struct net_task *task)
{
    struct bus *bus = CONTAINER_OF(task, struct bus, lost_task);
    uint32_t cursor = 0;
    void *nsp;

    while (map_next(&bus->namespaces, &cursor, NULL, &nsp))
        ((struct bus_nsp *)nsp)->told_ready = false;
    ready_soon(bus);
    bus->counts.gaps++;
    bus->base.handler->gap(bus->base.handler->owner, STR(""));
}

void bus_lost(struct bus *bus, const char *reason)
{
    uint64_t times;

    bus->counts.lost++;
    if (bus_notice(bus, &bus->lost, BUS_LOG_LOST_MS, &times))
        log_warn(bus->options.log, "messages to the cluster are lost",
                 log_text("reason", reason), log_int("times", (int64_t)times), LOG_END);
    if (bus->options.recovery && bus->wire->in_order && map_size(&bus->namespaces) > 0)
        net_loop_later(bus->options.loop, &bus->lost_task);
}

/* --- health ------------------------------------------------------------------------------------- */

void bus_unhealthy(struct bus *bus, const char *reason)
{
    if (bus->healthy)
        log_warn(bus->options.log, "the cluster's bus does not work",
                 log_text("reason", reason), log_text("server", redis_where(bus->redis)),
                 LOG_END);
    bus->healthy = false;
}

void bus_echo(struct bus *bus)
{
    bus->echo_ms = now(bus);
    bus->check_sent = false;
    if (bus->wire->works && !bus->wire->works(bus))
        return;
    if (!bus->healthy)
        log_info(bus->options.log, "the cluster's bus works",
                 log_text("server", redis_where(bus->redis)), LOG_END);
    bus->healthy = true;
}

static void check_published(void *owner, const struct redisReply *reply, enum redis_end end)
{
    (void)owner;
    (void)reply;
    (void)end; /* what counts is whether it comes back */
}

static struct str publish_command(const struct bus *bus)
{
    return bus->kind == REDIS_SHARD ? STR("SPUBLISH") : STR("PUBLISH");
}

static void send_check(struct bus *bus)
{
    static const struct redis_how how = {.at_once = true};
    const struct str argv[] = {publish_command(bus), bus->check, STR("1")};

    bus->check_sent = true;
    redis_command_with(bus->redis, &how, argv, 3, check_published, bus);
}

static void check(struct timer *timer)
{
    struct bus *bus = CONTAINER_OF(timer, struct bus, checker);

    timer_start(net_loop_timers(bus->options.loop), timer, BUS_CHECK_MS);
    if (bus->check_sent)
        bus_unhealthy(bus, "what is sent does not come back");
    if (!bus->healthy || now(bus) - bus->echo_ms >= BUS_CHECK_MS)
        send_check(bus);
}

/* --- what comes from Redis ----------------------------------------------------------------------- */

static bool is_whole(const struct bus_nsp *nsp)
{
    const struct bus_wire *wire = nsp->bus->wire;

    return redis_is_ready(nsp->bus->redis) && (!wire->is_ready || wire->is_ready(nsp));
}

void bus_tell_ready(struct bus *bus)
{
    const struct cluster_bus_handler *handler = bus->base.handler;
    uint32_t cursor = 0;
    void *value;

    while (map_next(&bus->namespaces, &cursor, NULL, &value)) {
        struct bus_nsp *nsp = value;

        if (nsp->told_ready || !is_whole(nsp))
            continue;
        nsp->told_ready = true;
        handler->ready(handler->owner, nsp->name);
    }
}

void bus_tell_gap(struct bus_nsp *nsp)
{
    struct bus *bus = nsp->bus;

    nsp->told_ready = false;
    ready_soon(bus);
    bus->counts.gaps++;
    bus->base.handler->gap(bus->base.handler->owner, nsp->name);
}

static void tell_again(struct timer *timer)
{
    bus_tell_ready(CONTAINER_OF(timer, struct bus, ready_timer));
}

static void on_up(void *owner)
{
    struct bus *bus = owner;

    if (!bus->healthy)
        send_check(bus);
}

static void on_down(void *owner, const char *reason)
{
    bus_unhealthy(owner, reason);
}

static void on_ready(void *owner)
{
    struct bus *bus = owner;

    bus_tell_ready(bus);
    if (!bus->healthy)
        send_check(bus);
}

static void on_gap(void *owner)
{
    struct bus *bus = owner;
    uint32_t cursor = 0;
    bool missed = false;
    void *value;

    bus_unhealthy(bus, "subscriptions were lost");
    if (!bus->wire->in_order)
        return;
    while (map_next(&bus->namespaces, &cursor, NULL, &value)) {
        struct bus_nsp *nsp = value;

        missed = missed || nsp->told_ready;
        nsp->told_ready = false;
    }
    if (!missed)
        return;
    bus->counts.gaps++;
    bus->base.handler->gap(bus->base.handler->owner, STR(""));
}

static void on_message(void *owner, enum redis_kind kind, struct str channel,
                       struct str pattern, struct str payload)
{
    struct bus *bus = owner;
    struct bus_channel *found =
        map_get(&bus->channels, kind == REDIS_PATTERN ? pattern : channel);

    if (found)
        bus->wire->message(found->nsp, found->use, channel, payload);
    else if (str_equal(channel, bus->check))
        bus_echo(bus);
    else if (bus->wire->other)
        bus->wire->other(bus, channel, payload);
}

void bus_heard(struct bus_nsp *nsp, struct str channel, struct str payload)
{
    const struct cluster_bus_handler *handler = nsp->bus->base.handler;
    uint64_t key[2];

    if (!nsp->bus->options.recovery)
        return;
    key[0] = siphash(fingerprint_key, channel);
    key[1] = fingerprint_key[1];
    handler->heard(handler->owner, nsp->name, siphash(key, payload));
}

bool bus_take(struct bus_nsp *nsp, struct str channel, struct codec_decoded *decoded,
              enum codec_verdict verdict)
{
    const struct cluster_bus_handler *handler = nsp->bus->base.handler;
    struct bus *bus = nsp->bus;
    bool wanted = verdict == CODEC_GOOD && (!decoded->message.own || bus->options.recovery);

    if (decoded->message.own)
        bus_echo(bus);
    if (wanted) {
        bus->counts.received++;
        handler->message(handler->owner, &decoded->message);
    } else if (verdict == CODEC_REFUSED) {
        bus_refuse(bus, channel, decoded->reason);
    } else if (decoded->message.own) {
        bus->counts.own++;
    } else {
        bus->counts.ignored++;
    }
    codec_free(decoded);
    return wanted;
}

/* --- life ------------------------------------------------------------------------------------------ */

static bool name_check(struct bus *bus)
{
    uint8_t bytes[BUS_CHECK_ID / 2];
    struct buf name;

    random_bytes(bus->options.random, bytes, sizeof(bytes));
    buf_init(&name, SIZE_MAX);
    buf_add_str(&name, bus->options.prefix);
    buf_add_str(&name, STR("-check#"));
    for (size_t i = 0; i < sizeof(bytes); i++)
        buf_printf(&name, "%02x", bytes[i]);
    bus->check.at = buf_steal(&name, &bus->check.size);
    return bus->check.at != NULL;
}

static bool connect_bus(struct bus *bus, const struct redis_options *options,
                        char fault[REDIS_FAULT_MAX])
{
    const struct redis_events events = {on_up, on_down, on_message, on_ready, on_gap, bus};

    bus->redis = redis_new(bus->options.loop, bus->options.random, bus->options.log, options,
                           &events, fault);
    return bus->redis && redis_subscribe(bus->redis, bus->kind, bus->check);
}

bool bus_init(struct bus *bus, const struct cluster_bus_type *type, const struct bus_wire *wire,
              enum redis_kind kind, const struct bus_options *options,
              char fault[REDIS_FAULT_MAX])
{
    bus->base.type = type;
    bus->wire = wire;
    bus->kind = kind;
    bus->options = *options;
    bus->options.redis = NULL;
    map_init(&bus->namespaces);
    map_init(&bus->channels);
    buf_init(&bus->channel, SIZE_MAX);
    buf_init(&bus->payload, SIZE_MAX);
    net_task_init(&bus->lost_task, tell_lost);
    timer_init(&bus->checker, check);
    timer_init(&bus->ready_timer, tell_again);
    bus->check = STR("");
    bus->echo_ms = now(bus);
    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!copy(&bus->options.prefix) || !copy(&bus->options.stream_name) || !name_check(bus) ||
        !connect_bus(bus, options->redis, fault))
        return false;
    timer_start(net_loop_timers(options->loop), &bus->checker, BUS_CHECK_MS);
    return true;
}

static void free_nsp(struct net_grave *grave)
{
    struct bus_nsp *nsp = CONTAINER_OF(grave, struct bus_nsp, grave);

    for (int use = 0; use < BUS_USES; use++)
        release_text(&nsp->channels[use].name);
    release_text(&nsp->name);
    release_text(&nsp->base);
    free(nsp);
}

void bus_release(struct bus *bus)
{
    uint32_t cursor = 0;
    void *nsp;

    while (map_next(&bus->namespaces, &cursor, NULL, &nsp))
        bus_close(&bus->base, ((struct bus_nsp *)nsp)->name);
    redis_free(bus->redis);
    timer_stop(net_loop_timers(bus->options.loop), &bus->checker);
    timer_stop(net_loop_timers(bus->options.loop), &bus->ready_timer);
    net_task_cancel(&bus->lost_task);
    map_free(&bus->namespaces);
    map_free(&bus->channels);
    buf_free(&bus->channel);
    buf_free(&bus->payload);
    if (bus->check.size > 0)
        release_text(&bus->check);
    free((char *)bus->options.prefix.at);
    free((char *)bus->options.stream_name.at);
}

/* --- namespaces --------------------------------------------------------------------------------- */

struct bus_nsp *bus_find(const struct bus *bus, struct str nsp)
{
    return map_get(&bus->namespaces, nsp);
}

struct str bus_nsp_uid(const struct bus_nsp *nsp)
{
    return str_of(nsp->uid, nsp->bus->wire->uid_size);
}

static void draw_uid(struct bus_nsp *nsp)
{
    static const char alphabet[] =
        "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_-";
    unsigned mask = nsp->bus->wire->uid_is_hex ? 15 : 63;
    uint8_t bytes[BUS_UID_MAX];

    random_bytes(nsp->bus->options.random, bytes, sizeof(bytes));
    for (size_t i = 0; i < nsp->bus->wire->uid_size; i++)
        nsp->uid[i] = alphabet[bytes[i] & mask];
}

static struct str join(const struct bus_nsp *nsp, struct str suffix, struct str last)
{
    struct str name = STR("");
    struct buf text;

    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, nsp->bus->options.prefix);
    buf_add_str(&text, suffix);
    buf_add_byte(&text, '#');
    buf_add_str(&text, nsp->name);
    buf_add_byte(&text, '#');
    buf_add_str(&text, last);
    if (last.size > 0)
        buf_add_byte(&text, '#');
    name.at = buf_steal(&text, &name.size);
    return name;
}

bool bus_name(struct bus_nsp *nsp, enum bus_use use, struct str suffix, struct str last)
{
    nsp->channels[use].name = join(nsp, suffix, last);
    nsp->channels[use].kind = nsp->bus->kind;
    return nsp->channels[use].name.at != NULL;
}

struct str bus_room_channel(struct bus_nsp *nsp, struct str room)
{
    struct buf *channel = &nsp->bus->channel;

    buf_reset(channel);
    buf_add_str(channel, nsp->base);
    buf_add_str(channel, room);
    buf_add_byte(channel, '#');
    return buf_failed(channel) ? STR("") : buf_str(channel);
}

struct str bus_room_of(const struct bus_nsp *nsp, struct str channel)
{
    struct str room = str_from_index(channel, nsp->base.size);

    return room.size > 0 ? str_of(room.at, room.size - 1) : room;
}

static bool subscribe_all(struct bus_nsp *nsp)
{
    struct bus *bus = nsp->bus;

    for (int use = 0; use < BUS_USES; use++) {
        struct bus_channel *channel = &nsp->channels[use];

        channel->nsp = nsp;
        channel->use = (enum bus_use)use;
        if (channel->name.size > 0 &&
            (!map_put(&bus->channels, channel->name, channel) ||
             !redis_subscribe(bus->redis, channel->kind, channel->name)))
            return false;
    }
    return true;
}

static struct bus_nsp *nsp_new(struct bus *bus, struct str name)
{
    struct bus_nsp *nsp = calloc(1, bus->wire->nsp_size);

    if (!nsp)
        return NULL;
    nsp->bus = bus;
    nsp->name = name;
    nsp->base = STR("");
    for (int use = 0; use < BUS_USES; use++)
        nsp->channels[use].name = (struct str){NULL, 0};
    draw_uid(nsp);
    if (copy(&nsp->name))
        nsp->base = join(nsp, STR(""), STR(""));
    if (nsp->name.at && nsp->base.at && map_put(&bus->namespaces, name, nsp))
        return nsp;
    free((char *)nsp->name.at);
    if (nsp->base.size > 0)
        free((char *)nsp->base.at);
    free(nsp);
    return NULL;
}

bool bus_open(struct cluster_bus *base, struct str name)
{
    struct bus *bus = self(base);
    struct bus_nsp *nsp;

    if (bus_find(bus, name))
        return true;
    nsp = nsp_new(bus, name);
    if (!nsp)
        return false;
    if (bus->wire->name_channels(nsp) && subscribe_all(nsp) &&
        (!bus->wire->opened || bus->wire->opened(nsp)))
        return true;
    bus_close(base, name);
    return false;
}

void bus_close(struct cluster_bus *base, struct str name)
{
    struct bus *bus = self(base);
    struct bus_nsp *nsp = map_remove(&bus->namespaces, name);

    if (!nsp)
        return;
    if (bus->wire->closing)
        bus->wire->closing(nsp);
    for (int use = 0; use < BUS_USES; use++) {
        struct bus_channel *channel = &nsp->channels[use];

        if (channel->name.size == 0)
            continue;
        map_remove(&bus->channels, channel->name);
        redis_unsubscribe(bus->redis, channel->kind, channel->name);
    }
    /* Messages that are being passed on point to its name. */
    net_loop_bury(bus->options.loop, &nsp->grave, free_nsp);
}

/* --- sending ---------------------------------------------------------------------------------------- */

static void published(void *owner, const struct redisReply *reply, enum redis_end end)
{
    if (end == REDIS_CLOSED)
        return;
    if (end != REDIS_ANSWERED)
        bus_lost(owner, redis_end_text(end));
    else if (reply->type == REDIS_REPLY_ERROR)
        bus_lost(owner, reply->str);
}

void bus_sent(struct bus *bus)
{
    bus->counts.sent++;
    if (bus->payload.capacity > BUS_SCRATCH_MAX)
        buf_free(&bus->payload);
}

void bus_publish(struct bus_nsp *nsp, struct str channel)
{
    struct bus *bus = nsp->bus;
    const struct str argv[] = {publish_command(bus), channel, buf_str(&bus->payload)};
    const struct redis_how how = {
        .has_key = true,
        .key = bus->kind == REDIS_SHARD ? channel : nsp->base,
    };

    redis_command_with(bus->redis, &how, argv, 3, published, bus);
    bus_sent(bus);
}

/* --- counting --------------------------------------------------------------------------------------- */

struct count {
    void (*counted)(void *owner, int servers);
    void *owner;
};

/* Of one master: ["channel", number]. */
static bool add_count(const struct redisReply *reply, int *servers)
{
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_INTEGER || reply->element[1]->integer < 0 ||
        reply->element[1]->integer > INT16_MAX)
        return false;
    *servers += (int)reply->element[1]->integer;
    return true;
}

static void gathered(void *owner, const struct redisReply *const *replies, size_t masters)
{
    struct count count = *(struct count *)owner;
    int servers = 0;

    free(owner);
    for (size_t i = 0; i < masters && servers != CLUSTER_COUNT_UNKNOWN; i++)
        if (!add_count(replies[i], &servers))
            servers = CLUSTER_COUNT_UNKNOWN;
    if (masters == 0)
        servers = CLUSTER_COUNT_UNKNOWN;
    count.counted(count.owner, servers);
}

void bus_servers(struct cluster_bus *base, struct str name,
                 void (*counted)(void *owner, int servers), void *owner)
{
    struct bus *bus = self(base);
    struct bus_nsp *nsp = bus_find(bus, name);
    struct count *count = nsp ? malloc(sizeof(*count)) : NULL;

    if (!count) {
        counted(owner, CLUSTER_COUNT_UNKNOWN);
        return;
    }
    *count = (struct count){counted, owner};
    const struct str argv[] = {STR("PUBSUB"),
                               bus->kind == REDIS_SHARD ? STR("SHARDNUMSUB") : STR("NUMSUB"),
                               nsp->channels[bus->wire->counted].name};
    redis_each_master(bus->redis, argv, 3, gathered, count);
}

/* --- what others may ask ---------------------------------------------------------------------------- */

struct redis *bus_redis(const struct cluster_bus *bus)
{
    return self(bus)->redis;
}

struct str bus_prefix(const struct cluster_bus *bus)
{
    return self(bus)->options.prefix;
}

struct str bus_uid(const struct cluster_bus *bus, struct str nsp)
{
    const struct bus_nsp *found = bus_find(self(bus), nsp);

    return found ? bus_nsp_uid(found) : STR("");
}

bool bus_healthy(const struct cluster_bus *bus)
{
    return self(bus)->healthy;
}

void bus_count(const struct cluster_bus *bus, struct bus_counts *counts)
{
    *counts = self(bus)->counts;
}
