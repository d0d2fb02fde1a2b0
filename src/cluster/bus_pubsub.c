#include "bus_common.h"

#include <stdio.h>
#include <stdlib.h>

/* --- namespaces ------------------------------------------------------------------------------ */

/* Redis matches patterns as globs: a namespace's name stands for itself. */
static bool name_pattern(struct bus_nsp *nsp)
{
    static const struct str special = STR("*?[]\\");
    struct bus_channel *main = &nsp->channels[BUS_MAIN];
    struct buf pattern;

    buf_init(&pattern, SIZE_MAX);
    for (size_t i = 0; i < nsp->base.size; i++) {
        if (memchr(special.at, nsp->base.at[i], special.size))
            buf_add_byte(&pattern, '\\');
        buf_add_byte(&pattern, nsp->base.at[i]);
    }
    buf_add_byte(&pattern, '*');
    main->kind = REDIS_PATTERN;
    main->name.at = buf_steal(&pattern, &main->name.size);
    return main->name.at != NULL;
}

static bool name_channels(struct bus_nsp *nsp)
{
    return name_pattern(nsp) && bus_name(nsp, BUS_REQUEST, STR("-request"), STR("")) &&
           bus_name(nsp, BUS_RESPONSE, STR("-response"), STR("")) &&
           bus_name(nsp, BUS_OWN, STR("-response"), bus_nsp_uid(nsp));
}

/* --- receiving ------------------------------------------------------------------------------- */

static struct codec_receiver receiver_of(const struct bus_nsp *nsp)
{
    return (struct codec_receiver){nsp->name, bus_nsp_uid(nsp)};
}

/* [uid, …: what we sent is seen without decoding it. */
static bool is_own(const struct bus_nsp *nsp, struct str payload)
{
    enum { HEAD = 2 }; /* of an array of three or four, and of a string of six bytes */
    struct str uid = bus_nsp_uid(nsp);

    return payload.size > HEAD + uid.size && (payload.at[1] & 0xff) == (0xa0 | uid.size) &&
           memcmp(payload.at + HEAD, uid.at, uid.size) == 0;
}

static void on_broadcast(struct bus_nsp *nsp, struct str channel, struct str payload)
{
    const struct cluster_bus_handler *handler = nsp->bus->base.handler;
    struct codec_receiver receiver = receiver_of(nsp);
    struct str room = bus_room_of(nsp, channel);
    struct bus *bus = nsp->bus;
    struct codec_decoded decoded;

    bus_heard(nsp, channel, payload);
    if (!bus->options.recovery) {
        if (is_own(nsp, payload)) {
            bus->counts.own++;
            bus_echo(bus);
            return;
        }
        if (room.size > 0 && !handler->has_room(handler->owner, nsp->name, room)) {
            bus->counts.dropped++;
            return;
        }
    }
    bus_take(nsp, channel, &decoded,
             codec_classic_decode(&decoded, &receiver, CODEC_ROOMS, payload));
}

static bool is_single(const struct cluster_message *message)
{
    return message->request.size > 0 &&
           (message->kind == CLUSTER_JOIN || message->kind == CLUSTER_LEAVE ||
            message->kind == CLUSTER_DISCONNECT);
}

static void confirm(struct bus_nsp *nsp, struct str request)
{
    struct bus *bus = nsp->bus;

    buf_reset(&bus->payload);
    if (codec_classic_confirm(&bus->payload, request))
        bus_publish(nsp, nsp->channels[BUS_RESPONSE].name);
}

static void on_request(struct bus_nsp *nsp, struct str channel, struct str payload)
{
    const struct cluster_bus_handler *handler = nsp->bus->base.handler;
    struct codec_receiver receiver = receiver_of(nsp);
    struct codec_decoded decoded;
    enum codec_verdict verdict =
        codec_classic_decode(&decoded, &receiver, CODEC_REQUEST, payload);

    if (verdict == CODEC_GOOD && is_single(&decoded.message) &&
        handler->has_room(handler->owner, nsp->name, decoded.message.rooms[0]))
        confirm(nsp, decoded.message.request);
    bus_take(nsp, channel, &decoded, verdict);
}

static void on_message(struct bus_nsp *nsp, enum bus_use use, struct str channel,
                       struct str payload)
{
    struct codec_receiver receiver = receiver_of(nsp);
    struct codec_decoded decoded;

    switch (use) {
    case BUS_MAIN:
        on_broadcast(nsp, channel, payload);
        break;
    case BUS_REQUEST:
        on_request(nsp, channel, payload);
        break;
    default:
        bus_take(nsp, channel, &decoded,
                 codec_classic_decode(&decoded, &receiver, CODEC_RESPONSE, payload));
    }
}

/* --- sending --------------------------------------------------------------------------------- */

/* An answer to a server event goes to the shared channel whatever the option: as the reference. */
static struct str response_channel(struct bus_nsp *nsp, const struct cluster_message *message)
{
    struct buf *channel = &nsp->bus->channel;

    if (!nsp->bus->options.specific_response_channel || message->to.size == 0 ||
        message->kind == CLUSTER_SERVER_ANSWER)
        return nsp->channels[BUS_RESPONSE].name;
    buf_reset(channel);
    buf_add_str(channel, nsp->channels[BUS_RESPONSE].name);
    buf_add_str(channel, message->to);
    buf_add_byte(channel, '#');
    return buf_failed(channel) ? STR("") : buf_str(channel);
}

static struct str channel_of(struct bus_nsp *nsp, const struct cluster_message *message)
{
    switch (codec_classic_place(message)) {
    case CODEC_ROOMS:
        if (message->kind == CLUSTER_ANCHOR)
            return bus_room_channel(nsp, CODEC_ANCHOR_ROOM);
        return message->room_count == 1 ? bus_room_channel(nsp, message->rooms[0]) : nsp->base;
    case CODEC_REQUEST:
        return nsp->channels[BUS_REQUEST].name;
    case CODEC_RESPONSE:
        break;
    }
    return response_channel(nsp, message);
}

static bool send_message(struct cluster_bus *base, const struct cluster_message *message)
{
    struct bus *bus = (struct bus *)base;
    struct bus_nsp *nsp = bus_find(bus, message->nsp);
    struct cluster_message ours = *message;
    struct str channel;

    if (!nsp)
        return false;
    ours.sender = bus_nsp_uid(nsp);
    buf_reset(&bus->payload);
    channel = channel_of(nsp, message);
    if (channel.size == 0 || !codec_classic_encode(&bus->payload, &ours)) {
        bus_lost(bus, "out of memory");
        return false;
    }
    bus_publish(nsp, channel);
    return true;
}

/* --- life ------------------------------------------------------------------------------------- */

static void free_bus(struct cluster_bus *base)
{
    bus_release((struct bus *)base);
    free(base);
}

static const struct cluster_bus_type type = {
    .name = "pubsub",
    .open = bus_open,
    .close = bus_close,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
};

static const struct bus_wire wire = {
    .counted = BUS_REQUEST,
    .uid_size = 6,
    .in_order = true,
    .nsp_size = sizeof(struct bus_nsp),
    .name_channels = name_channels,
    .message = on_message,
};

struct cluster_bus *bus_pubsub_new(const struct bus_options *options,
                                   char fault[REDIS_FAULT_MAX])
{
    struct bus *bus = calloc(1, sizeof(*bus));

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!bus)
        return NULL;
    if (bus_init(bus, &type, &wire, REDIS_CHANNEL, options, fault))
        return &bus->base;
    free_bus(&bus->base);
    return NULL;
}
