#include "bus_common.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SOCKET_ID_UNITS = 20, /* what the reference takes for a socket's id: no more is looked at */
    LEAVING_MAX = 100000, /* channels that are kept for a while after their rooms */
};

struct sharded {
    struct bus bus;
    struct map leaving;   /* of struct leaving, by channel */
    struct list in_order; /* of their end */
    struct timer leaver;
};

/*
 * With recovery a room's channel is heard for some time after the room was left: a client that is
 * lost may come back to it, and what a Node server publishes there meanwhile would be missing
 * without anybody's knowing.
 */
struct leaving {
    struct list link;
    uint64_t due_ms;
    struct str channel; /* behind the struct */
};

static struct sharded *sharded_of(struct bus *bus)
{
    return (struct sharded *)bus;
}

static bool name_channels(struct bus_nsp *nsp)
{
    return bus_name(nsp, BUS_MAIN, STR(""), STR("")) &&
           bus_name(nsp, BUS_OWN, STR(""), bus_nsp_uid(nsp));
}

static struct codec_receiver receiver_of(const struct bus_nsp *nsp)
{
    return (struct codec_receiver){nsp->name, bus_nsp_uid(nsp)};
}

/* --- receiving ------------------------------------------------------------------------------- */

static bool cut(struct str *text, struct str end)
{
    if (text->size < end.size ||
        memcmp(text->at + text->size - end.size, end.at, end.size) != 0)
        return false;
    text->size -= end.size;
    return true;
}

/* Cuts digits off, which follow `before`. False and nothing is cut if there are none. */
static bool cut_number(struct str *text, struct str before, uint64_t *number)
{
    struct str rest = *text;
    size_t digits = 0;

    while (rest.size > 0 && rest.at[rest.size - 1] >= '0' && rest.at[rest.size - 1] <= '9') {
        rest.size--;
        digits++;
    }
    if (digits == 0 || digits > 16 || !cut(&rest, before))
        return false;
    *number = 0;
    for (size_t i = text->size - digits; i < text->size; i++)
        *number = *number * 10 + (uint64_t)(text->at[i] - '0');
    *text = rest;
    return true;
}

/* {"type":…,"uid":"UID","nsp":"NSP","number":1}: what we sent as JSON is known by its end, without
 * decoding it. The number is 0 where there is none. */
static bool is_own(const struct bus_nsp *nsp, struct str payload, uint64_t *number)
{
    struct str rest = payload;

    *number = 0;
    if (!str_starts(payload, STR("{")) || !cut(&rest, STR("}")))
        return false;
    cut_number(&rest, STR(",\"number\":"), number);
    return cut(&rest, STR("\"")) && cut(&rest, nsp->name) && cut(&rest, STR("\",\"nsp\":\"")) &&
           cut(&rest, bus_nsp_uid(nsp)) && cut(&rest, STR(",\"uid\":\""));
}

/* True if nothing is left to do: it was ours, and recovery has been told where it stands. */
static bool take_own(struct bus_nsp *nsp, struct str payload)
{
    const struct cluster_bus_handler *handler = nsp->bus->base.handler;
    struct cluster_message message = {.kind = CLUSTER_BROADCAST,
                                      .nsp = nsp->name,
                                      .sender = bus_nsp_uid(nsp),
                                      .own = true,
                                      .request = STR(""),
                                      .to = STR(""),
                                      .args = {.json = STR("[]")},
                                      .json = STR(""),
                                      .offset = STR("")};
    struct bus *bus = nsp->bus;

    if (!is_own(nsp, payload, &message.number) || str_starts(payload, STR("{\"type\":100,")))
        return false;
    bus_echo(bus);
    if (bus->options.recovery && message.number > 0) {
        bus->counts.received++;
        handler->message(handler->owner, &message);
    } else {
        bus->counts.own++;
    }
    return true;
}

static void on_message(struct bus_nsp *nsp, enum bus_use use, struct str channel,
                       struct str payload)
{
    struct codec_receiver receiver = receiver_of(nsp);
    struct codec_decoded decoded;

    if (use == BUS_MAIN)
        bus_heard(nsp, channel, payload);
    if (use != BUS_MAIN || !take_own(nsp, payload))
        bus_take(nsp, channel, &decoded, codec_sharded_decode(&decoded, &receiver, payload));
}

/* The namespace whose base the channel begins with: names with a '#' are rare, and the message says
 * its own. */
static struct bus_nsp *nsp_of(struct bus *bus, struct str channel)
{
    size_t from = bus->options.prefix.size + 1;
    struct str rest = str_from_index(channel, from);
    const char *end = rest.at - 1;

    if (!str_starts(channel, bus->options.prefix))
        return NULL;
    for (;;) {
        end = memchr(end + 1, '#', (size_t)(rest.at + rest.size - (end + 1)));
        if (!end)
            return NULL;
        struct bus_nsp *nsp = bus_find(bus, str_of(rest.at, (size_t)(end - rest.at)));

        if (nsp)
            return nsp;
    }
}

/* A room's. With recovery skua publishes on none: who did has told those alone who have the room. */
static void on_room(struct bus *bus, struct str channel, struct str payload)
{
    struct bus_nsp *nsp = nsp_of(bus, channel);
    struct codec_receiver receiver;
    struct codec_decoded decoded;
    uint64_t times;

    if (!nsp || take_own(nsp, payload))
        return;
    receiver = receiver_of(nsp);
    if (bus_take(nsp, channel, &decoded, codec_sharded_decode(&decoded, &receiver, payload)) &&
        bus->options.recovery) {
        if (bus_notice(bus, &bus->foreign, BUS_LOG_FOREIGN_MS, &times))
            log_warn(bus->options.log,
                     "a server of the cluster publishes on channels of rooms: what it sends "
                     "cannot be recovered; give it subscriptionMode \"static\"",
                     log_str("channel", channel), log_int("times", (int64_t)times), LOG_END);
        bus_tell_gap(nsp);
    }
}

/* --- sending --------------------------------------------------------------------------------- */

/* Whether Node servers, and we, use a channel of its own for messages to this room. */
static bool has_channel(const struct bus *bus, struct str room)
{
    if (bus->options.mode == BUS_DYNAMIC)
        return utf8_utf16_units(room) != SOCKET_ID_UNITS;
    return bus->options.mode == BUS_DYNAMIC_PRIVATE;
}

static struct str channel_of(struct bus_nsp *nsp, const struct cluster_message *message)
{
    const struct bus *bus = nsp->bus;

    if (cluster_is_answer(message->kind))
        return bus_room_channel(nsp, message->to);
    if (message->kind == CLUSTER_BROADCAST && message->request.size == 0 &&
        message->room_count == 1 && !bus->options.recovery &&
        has_channel(bus, message->rooms[0]))
        return bus_room_channel(nsp, message->rooms[0]);
    return nsp->base;
}

static bool send_message(struct cluster_bus *base, const struct cluster_message *message)
{
    struct bus *bus = (struct bus *)base;
    struct bus_nsp *nsp = bus_find(bus, message->nsp);
    struct cluster_message ours = *message;
    struct str channel;

    if (!nsp || message->kind == CLUSTER_LIST_ROOMS || message->kind == CLUSTER_ROOMS)
        return false;
    ours.sender = bus_nsp_uid(nsp);
    buf_reset(&bus->payload);
    channel = channel_of(nsp, message);
    if (channel.size == 0 || !codec_sharded_encode(&bus->payload, CODEC_JSON, &ours)) {
        bus_lost(bus, "out of memory");
        return false;
    }
    bus_publish(nsp, channel);
    return true;
}

/* --- channels of rooms ----------------------------------------------------------------------- */

static void forget_leaving(struct sharded *sharded, struct leaving *leaving)
{
    map_remove(&sharded->leaving, leaving->channel);
    list_remove(&leaving->link);
    free(leaving);
}

static void leave(struct sharded *sharded, struct leaving *leaving)
{
    redis_unsubscribe(sharded->bus.redis, REDIS_SHARD, leaving->channel);
    forget_leaving(sharded, leaving);
}

static void leave_due(struct timer *timer)
{
    struct sharded *sharded = CONTAINER_OF(timer, struct sharded, leaver);
    struct net_loop *loop = sharded->bus.options.loop;

    while (!list_empty(&sharded->in_order)) {
        struct leaving *first = CONTAINER_OF(sharded->in_order.next, struct leaving, link);

        if (first->due_ms > net_loop_now(loop)) {
            timer_start(net_loop_timers(loop), timer, first->due_ms - net_loop_now(loop));
            return;
        }
        leave(sharded, first);
    }
}

/* False: it is to be left at once. */
static bool leave_later(struct sharded *sharded, struct str channel)
{
    const struct bus_options *options = &sharded->bus.options;
    struct leaving *leaving;

    if (!options->recovery || options->room_linger_ms == 0 ||
        map_size(&sharded->leaving) == LEAVING_MAX)
        return false;
    leaving = malloc(sizeof(*leaving) + channel.size);
    if (!leaving)
        return false;
    memcpy(leaving + 1, channel.at, channel.size);
    leaving->channel = str_of(leaving + 1, channel.size);
    leaving->due_ms = net_loop_now(options->loop) + options->room_linger_ms;
    if (!map_put(&sharded->leaving, leaving->channel, leaving)) {
        free(leaving);
        return false;
    }
    list_add_last(&sharded->in_order, &leaving->link);
    if (!timer_running(&sharded->leaver))
        timer_start(net_loop_timers(options->loop), &sharded->leaver, options->room_linger_ms);
    return true;
}

/* Node servers also subscribe to rooms whose names look like sockets' ids, on whose channels nobody
 * publishes; we do not. */
static void on_room_change(struct cluster_bus *base, struct str name, struct str room,
                           bool exists)
{
    struct bus *bus = (struct bus *)base;
    struct bus_nsp *nsp = bus_find(bus, name);
    struct leaving *leaving;
    struct str channel;

    if (!nsp || !has_channel(bus, room))
        return;
    channel = bus_room_channel(nsp, room);
    leaving = map_get(&sharded_of(bus)->leaving, channel);
    if (leaving)
        forget_leaving(sharded_of(bus), leaving);
    if (exists && (channel.size == 0 || !redis_subscribe(bus->redis, REDIS_SHARD, channel)))
        bus_lost(bus, "out of memory");
    else if (!exists && !leave_later(sharded_of(bus), channel))
        redis_unsubscribe(bus->redis, REDIS_SHARD, channel);
}

/* --- life ------------------------------------------------------------------------------------- */

static void free_bus(struct cluster_bus *base)
{
    struct sharded *sharded = sharded_of((struct bus *)base);

    while (!list_empty(&sharded->in_order))
        forget_leaving(sharded, CONTAINER_OF(sharded->in_order.next, struct leaving, link));
    map_free(&sharded->leaving);
    timer_stop(net_loop_timers(sharded->bus.options.loop), &sharded->leaver);
    bus_release(&sharded->bus);
    free(sharded);
}

static const struct cluster_bus_type type = {
    .name = "sharded",
    .open = bus_open,
    .close = bus_close,
    .room = on_room_change,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
};

static const struct cluster_bus_type type_static = {
    .name = "sharded",
    .open = bus_open,
    .close = bus_close,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
};

static const struct cluster_bus_type type_private = {
    .name = "sharded",
    .wants_own_rooms = true,
    .open = bus_open,
    .close = bus_close,
    .room = on_room_change,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
};

static const struct bus_wire wire = {
    .counted = BUS_MAIN,
    .uid_size = BUS_UID_MAX,
    .uid_is_hex = true,
    .in_order = true,
    .nsp_size = sizeof(struct bus_nsp),
    .name_channels = name_channels,
    .message = on_message,
    .other = on_room,
};

struct cluster_bus *bus_sharded_new(const struct bus_options *options,
                                    char fault[REDIS_FAULT_MAX])
{
    static const struct cluster_bus_type *const types[] = {
        [BUS_DYNAMIC] = &type,
        [BUS_STATIC] = &type_static,
        [BUS_DYNAMIC_PRIVATE] = &type_private,
    };
    struct sharded *sharded = calloc(1, sizeof(*sharded));

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!sharded)
        return NULL;
    map_init(&sharded->leaving);
    list_init(&sharded->in_order);
    timer_init(&sharded->leaver, leave_due);
    if (bus_init(&sharded->bus, types[options->mode], &wire, REDIS_SHARD, options, fault))
        return &sharded->bus.base;
    free_bus(&sharded->bus.base);
    return NULL;
}
