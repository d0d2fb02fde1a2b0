#include "bus_common.h"
#include "stream_reader.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Without recovery a broadcast is added to the stream and that is all. With recovery it is handed
 * back when it is read there, in the stream's order and with its id; until then a copy of it waits
 * in its stream's list. Each has a number, the field "n" of its entry. Numbers are in the stream in
 * the order of the list, so an entry that is read says of all before it that they are not there.
 * A copy whose entry does not come in time is handed back without a place, and is forgotten: should
 * the entry come after all, its number is not known any more, and it is dropped.
 */

enum {
    WAIT_MS = 5000,                 /* for an entry to be read */
    SWEEP_MS = 500,                 /* overdue copies are looked for so often */
    WAITING_MAX = 64 * 1024 * 1024, /* bytes of copies a stream */
    TAG_MAX = 21,                   /* digits of a number, and NUL */
    NAME_TAIL_MAX = 16,             /* of a stream's name: "-3" */
};

struct stream {
    struct bus *bus;
    struct str name; /* owned */
    uint32_t users;  /* namespaces that are open, and whoever holds it */
    bool held;       /* read whether a namespace is open or not */
    struct stream_reader *reader;
    struct list waiting; /* of struct copy */
    size_t waiting_bytes;
    bool late; /* the last one was not read in time: those that follow do not wait for theirs */
    struct timer sweeper;
    struct net_task settle;
    struct net_grave grave;
};

struct streams_nsp {
    struct bus_nsp base;
    struct stream *stream;
};

struct streams {
    struct bus base;
    struct map by_name; /* of struct stream */
    uint64_t last_tag;
};

/* A broadcast of ours that has not been read yet, or whose XADD has not been answered. */
struct copy {
    struct list link; /* in stream->waiting */
    struct bus *bus;
    struct stream *stream; /* NULL: handed back, or nobody wants it any more */
    uint64_t tag;
    uint64_t since_ms;
    bool answered;
    bool failed;
    size_t nsp_size, data_size;
    char bytes[]; /* namespace, data */
};

static struct streams *all_of(struct bus *bus)
{
    return (struct streams *)bus;
}

static struct streams_nsp *streams_nsp(struct bus_nsp *nsp)
{
    return (struct streams_nsp *)nsp;
}

static struct codec_receiver receiver_of(const struct bus_nsp *nsp)
{
    return (struct codec_receiver){nsp->name, bus_nsp_uid(nsp)};
}

/* --- copies ---------------------------------------------------------------------------------- */

static size_t copy_bytes(const struct copy *copy)
{
    return sizeof(*copy) + copy->nsp_size + copy->data_size;
}

/* Nobody waits for its entry any more; the answer to its XADD may be still to come. */
static void forget(struct copy *copy)
{
    struct stream *stream = copy->stream;

    assert(stream);
    stream->waiting_bytes -= copy_bytes(copy);
    copy->stream = NULL;
    list_remove(&copy->link);
    if (copy->answered)
        free(copy);
}

/* Without a place in the stream. */
static void hand_back(struct copy *copy)
{
    struct codec_entry entry = {.id = STR(""), .type = STR("3")};
    struct bus *bus = copy->bus;
    struct bus_nsp *nsp = bus_find(bus, str_of(copy->bytes, copy->nsp_size));
    struct str data = str_of(copy->bytes + copy->nsp_size, copy->data_size);
    struct codec_receiver receiver;
    struct codec_decoded decoded;
    bool answered = copy->answered;

    copy->answered = false; /* it must outlive the call */
    forget(copy);
    if (nsp) {
        receiver = receiver_of(nsp);
        entry.uid = receiver.uid;
        entry.nsp = receiver.nsp;
        entry.data = data;
        bus_take(nsp, bus->options.stream_name, &decoded,
                 codec_streams_decode(&decoded, &receiver, &entry));
        nsp = bus_find(bus, str_of(copy->bytes, copy->nsp_size));
    }
    if (nsp)
        bus_tell_gap(nsp);
    copy->answered = answered;
    if (answered)
        free(copy);
}

static struct copy *first_of(const struct stream *stream)
{
    return list_empty(&stream->waiting) ? NULL
                                        : CONTAINER_OF(stream->waiting.next, struct copy, link);
}

/* Those at the head of the list that have failed: order is kept. */
static void settle(struct net_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, settle);

    while (stream->users > 0) {
        struct copy *copy = first_of(stream);

        if (!copy || !copy->failed)
            return;
        hand_back(copy);
    }
}

static void fail(struct copy *copy)
{
    copy->failed = true;
    net_loop_later(copy->bus->options.loop, &copy->stream->settle);
}

static void sweep(struct timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, sweeper);
    uint64_t now_ms = net_loop_now(stream->bus->options.loop);

    for (struct list *link = stream->waiting.next; link != &stream->waiting;
         link = link->next) {
        struct copy *copy = CONTAINER_OF(link, struct copy, link);

        if (!copy->failed && now_ms - copy->since_ms < WAIT_MS)
            break;
        stream->late = true;
        fail(copy);
    }
    if (!list_empty(&stream->waiting))
        timer_start(net_loop_timers(stream->bus->options.loop), timer, SWEEP_MS);
}

static struct copy *keep_copy(struct streams_nsp *nsp, struct str data)
{
    struct bus *bus = nsp->base.bus;
    struct stream *stream = nsp->stream;
    struct copy *copy = malloc(sizeof(*copy) + nsp->base.name.size + data.size);

    if (!copy)
        return NULL;
    *copy = (struct copy){.bus = bus,
                          .stream = stream,
                          .tag = ++all_of(bus)->last_tag,
                          .since_ms = net_loop_now(bus->options.loop),
                          .nsp_size = nsp->base.name.size,
                          .data_size = data.size};
    memcpy(copy->bytes, nsp->base.name.at, copy->nsp_size);
    memcpy(copy->bytes + copy->nsp_size, data.at, data.size);
    list_add_last(&stream->waiting, &copy->link);
    stream->waiting_bytes += copy_bytes(copy);
    if (!timer_running(&stream->sweeper))
        timer_start(net_loop_timers(bus->options.loop), &stream->sweeper, SWEEP_MS);
    if (stream->waiting_bytes > WAITING_MAX)
        stream->late = true;
    if (stream->late)
        fail(copy);
    return copy;
}

/* --- adding ---------------------------------------------------------------------------------- */

/* What nobody has run for certain. After all other ends the entry may be there. */
static bool never_ran(const struct redisReply *reply, enum redis_end end)
{
    return end == REDIS_ANSWERED ? reply->type == REDIS_REPLY_ERROR
                                 : end != REDIS_LOST && end != REDIS_TIMED_OUT;
}

static void added(struct bus *bus, const struct redisReply *reply, enum redis_end end)
{
    if (end == REDIS_CLOSED)
        return;
    if (end != REDIS_ANSWERED)
        bus_lost(bus, redis_end_text(end));
    else if (reply->type == REDIS_REPLY_ERROR)
        bus_lost(bus, reply->str);
}

static void on_added(void *owner, const struct redisReply *reply, enum redis_end end)
{
    added(owner, reply, end);
}

static void on_copy_added(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct copy *copy = owner;

    added(copy->bus, reply, end);
    copy->answered = true;
    if (!copy->stream)
        free(copy);
    else if (never_ran(reply, end))
        fail(copy);
}

static bool add_entry(struct streams_nsp *nsp, const struct cluster_message *message)
{
    struct bus *bus = nsp->base.bus;
    bool handed_back = bus->options.recovery && message->kind == CLUSTER_BROADCAST &&
                       !(message->flags & SIO_VOLATILE);
    struct str data = buf_str(&bus->payload);
    struct copy *copy = handed_back ? keep_copy(nsp, data) : NULL;
    char most[TAG_MAX], tag[TAG_MAX];
    int most_size = snprintf(most, sizeof(most), "%u", bus->options.max_len);
    int tag_size = copy ? snprintf(tag, sizeof(tag), "%llu", (unsigned long long)copy->tag) : 0;
    const struct str argv[] = {STR("XADD"),
                               nsp->stream->name,
                               STR("MAXLEN"),
                               STR("~"),
                               str_of(most, (size_t)most_size),
                               STR("*"),
                               STR("uid"),
                               bus_nsp_uid(&nsp->base),
                               STR("nsp"),
                               nsp->base.name,
                               STR("type"),
                               codec_streams_type(message),
                               STR("data"),
                               data,
                               STR("n"),
                               str_of(tag, (size_t)tag_size)};
    size_t argc = sizeof(argv) / sizeof(argv[0]);

    if (handed_back && !copy)
        return false;
    if (copy)
        redis_command(bus->redis, argv, argc, on_copy_added, copy);
    else
        redis_command(bus->redis, argv, argc - 2, on_added, bus);
    bus_sent(bus);
    return true;
}

static bool encode(struct bus *bus, const struct cluster_message *message)
{
    buf_reset(&bus->payload);
    return codec_streams_stored(message)
               ? codec_streams_encode(&bus->payload, message)
               : codec_sharded_encode(&bus->payload, CODEC_MSGPACK, message);
}

static bool send_message(struct cluster_bus *base, const struct cluster_message *message)
{
    struct bus *bus = (struct bus *)base;
    struct bus_nsp *nsp = bus_find(bus, message->nsp);
    struct cluster_message ours = *message;
    struct str channel;

    if (!nsp || message->kind == CLUSTER_LIST_ROOMS || message->kind == CLUSTER_ROOMS ||
        message->kind == CLUSTER_ANCHOR)
        return false;
    ours.sender = bus_nsp_uid(nsp);
    ours.number = 0; /* entries have their ids */
    if (!encode(bus, &ours)) {
        bus_lost(bus, "out of memory");
        return false;
    }
    if (codec_streams_stored(&ours))
        return add_entry(streams_nsp(nsp), &ours);
    channel = cluster_is_answer(message->kind) ? bus_room_channel(nsp, message->to) : nsp->base;
    if (channel.size == 0)
        return false;
    bus_publish(nsp, channel);
    return true;
}

/* --- reading --------------------------------------------------------------------------------- */

static bool tag_of(struct str text, uint64_t *tag)
{
    *tag = 0;
    if (text.size == 0 || text.size >= TAG_MAX)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *tag = *tag * 10 + (uint64_t)(text.at[i] - '0');
    }
    return true;
}

/* Whether somebody waits for the entry of this number; those before it are not in the stream. */
static bool claim(struct stream *stream, uint64_t tag)
{
    struct copy *copy;
    bool found = false;

    for (struct list *link = stream->waiting.next; link != &stream->waiting; link = link->next)
        found = found || CONTAINER_OF(link, struct copy, link)->tag == tag;
    if (!found)
        return false;
    while ((copy = first_of(stream)) && copy->tag != tag)
        hand_back(copy);
    if (!copy)
        return false;
    forget(copy);
    return true;
}

static void on_entry(void *owner, const struct codec_entry *entry, struct str tag_text)
{
    struct stream *stream = owner;
    struct bus *bus = stream->bus;
    struct bus_nsp *nsp = bus_find(bus, entry->nsp);
    struct codec_receiver receiver;
    struct codec_decoded decoded;
    uint64_t tag;

    stream->late = false;
    if (!nsp || streams_nsp(nsp)->stream != stream)
        return;
    receiver = receiver_of(nsp);
    if (str_equal(entry->uid, receiver.uid)) {
        bus_echo(bus);
        if (!tag_of(tag_text, &tag) || !claim(stream, tag)) {
            bus->counts.own++;
            return;
        }
    }
    bus_take(nsp, stream->name, &decoded, codec_streams_decode(&decoded, &receiver, entry));
}

static void on_live(void *owner)
{
    struct stream *stream = owner;

    stream->late = false;
    bus_tell_ready(stream->bus);
}

static void on_reader_down(void *owner, const char *reason)
{
    bus_unhealthy(((struct stream *)owner)->bus, reason);
}

static void on_cut(void *owner)
{
    struct stream *stream = owner;
    struct bus *bus = stream->bus;
    uint32_t cursor = 0;
    void *nsp;

    log_warn(bus->options.log,
             "the cluster's stream was cut, or lost, before all of it was read",
             log_str("stream", stream->name), LOG_END);
    while (map_next(&bus->namespaces, &cursor, NULL, &nsp))
        if (((struct streams_nsp *)nsp)->stream == stream)
            bus_tell_gap(nsp);
}

static void on_message(struct bus_nsp *nsp, enum bus_use use, struct str channel,
                       struct str payload)
{
    struct codec_receiver receiver = receiver_of(nsp);
    struct bus *bus = nsp->bus;
    struct codec_decoded decoded;
    enum codec_verdict verdict = codec_sharded_decode(&decoded, &receiver, payload);

    (void)use;
    /* Of what is not in the stream nothing is handed back. */
    if (verdict == CODEC_GOOD && decoded.message.own) {
        bus_echo(bus);
        bus->counts.own++;
        codec_free(&decoded);
        return;
    }
    bus_take(nsp, channel, &decoded, verdict);
}

/* --- streams --------------------------------------------------------------------------------- */

/* String.prototype.charCodeAt and 32-bit arithmetic, as the reference. */
static int32_t hash_of(struct str nsp)
{
    const uint8_t *at = (const uint8_t *)nsp.at, *end = at + nsp.size;
    uint32_t hash = 0;

    while (at < end) {
        unsigned more = *at < 0xc0 ? 0 : *at < 0xe0 ? 1 : *at < 0xf0 ? 2 : 3;
        uint32_t point = more == 0 ? *at : *at & (0x3fu >> more);

        for (at++; more > 0 && at < end; more--)
            point = point << 6 | (*at++ & 0x3f);
        if (point >= 0x10000) {
            hash = hash * 31 + (0xd800 + ((point - 0x10000) >> 10));
            point = 0xdc00 + ((point - 0x10000) & 0x3ff);
        }
        hash = hash * 31 + point;
    }
    return (int32_t)hash;
}

/* JavaScript's % keeps the sign, and so do we: a name like "socket.io--3" is what Node servers add
 * to, though they read it themselves nowhere. */
static struct str name_of(struct bus *bus, struct str nsp)
{
    struct buf *name = &bus->channel;

    buf_reset(name);
    buf_add_str(name, bus->options.stream_name);
    if (bus->options.stream_count > 1)
        buf_printf(name, "-%d", hash_of(nsp) % (int32_t)bus->options.stream_count);
    return buf_failed(name) ? STR("") : buf_str(name);
}

static void bury_stream(struct net_grave *grave)
{
    struct stream *stream = CONTAINER_OF(grave, struct stream, grave);

    free((char *)stream->name.at);
    free(stream);
}

static struct stream *stream_new(struct bus *bus, struct str name)
{
    const struct stream_reader_options options = {
        bus->options.loop,       bus->options.log,     bus->redis, name,
        bus->options.read_count, bus->options.block_ms};
    struct stream *stream = calloc(1, sizeof(*stream));
    const struct stream_reader_events events = {on_entry, on_live, on_reader_down, on_cut,
                                                stream};

    if (!stream)
        return NULL;
    stream->bus = bus;
    list_init(&stream->waiting);
    timer_init(&stream->sweeper, sweep);
    net_task_init(&stream->settle, settle);
    stream->name = str_of(str_dup(name), name.size);
    stream->reader = stream_reader_new(&options, &events);
    if (stream->name.size > 0 && stream->reader && map_put(&all_of(bus)->by_name, name, stream))
        return stream;
    stream_reader_free(stream->reader);
    net_loop_bury(bus->options.loop, &stream->grave, bury_stream);
    return NULL;
}

static void stream_release(struct stream *stream)
{
    struct copy *copy;

    if (--stream->users > 0)
        return;
    while ((copy = first_of(stream)))
        forget(copy);
    timer_stop(net_loop_timers(stream->bus->options.loop), &stream->sweeper);
    net_task_cancel(&stream->settle);
    map_remove(&all_of(stream->bus)->by_name, stream->name);
    stream_reader_free(stream->reader);
    net_loop_bury(stream->bus->options.loop, &stream->grave, bury_stream);
}

/* --- namespaces ------------------------------------------------------------------------------ */

static bool name_channels(struct bus_nsp *nsp)
{
    return bus_name(nsp, BUS_MAIN, STR(""), STR("")) &&
           bus_name(nsp, BUS_OWN, STR(""), bus_nsp_uid(nsp));
}

static bool on_open(struct bus_nsp *nsp)
{
    struct str name = name_of(nsp->bus, nsp->name);
    struct stream *stream;

    if (name.size == 0)
        return false;
    stream = map_get(&all_of(nsp->bus)->by_name, name);
    if (!stream)
        stream = stream_new(nsp->bus, name);
    if (!stream)
        return false;
    stream->users++;
    streams_nsp(nsp)->stream = stream;
    return true;
}

static void on_close(struct bus_nsp *nsp)
{
    if (streams_nsp(nsp)->stream)
        stream_release(streams_nsp(nsp)->stream);
}

static bool is_ready(const struct bus_nsp *nsp)
{
    return stream_reader_is_live(((const struct streams_nsp *)nsp)->stream->reader);
}

static bool works(const struct bus *bus)
{
    uint32_t cursor = 0;
    void *stream;

    while (map_next(&((const struct streams *)bus)->by_name, &cursor, NULL, &stream))
        if (!stream_reader_is_live(((struct stream *)stream)->reader))
            return false;
    return true;
}

struct str bus_stream(struct cluster_bus *base, struct str nsp)
{
    return base->type->send == send_message ? name_of((struct bus *)base, nsp) : STR("");
}

/* --- life ------------------------------------------------------------------------------------- */

/* Several streams are read from the start, whatever namespaces are open: one that is opened later
 * has everything from its first moment on. (A single one has a namespace from the start.) */
static bool hold_streams(struct bus *bus)
{
    if (bus->options.stream_count == 1)
        return true;
    for (uint32_t i = 0; i < bus->options.stream_count; i++) {
        struct stream *stream;

        buf_reset(&bus->channel);
        buf_add_str(&bus->channel, bus->options.stream_name);
        buf_printf(&bus->channel, "-%u", (unsigned)i);
        stream = buf_failed(&bus->channel) ? NULL : stream_new(bus, buf_str(&bus->channel));
        if (!stream)
            return false;
        stream->users++;
        stream->held = true;
    }
    return true;
}

static void let_streams_go(struct bus *bus)
{
    uint32_t cursor = 0;
    void *found;

    while (map_next(&all_of(bus)->by_name, &cursor, NULL, &found)) {
        struct stream *stream = found;

        if (!stream->held)
            continue;
        stream->held = false;
        stream_release(stream);
        cursor = 0; /* the map has changed */
    }
}

static void free_bus(struct cluster_bus *base)
{
    struct bus *bus = (struct bus *)base;

    let_streams_go(bus);
    bus_release(bus);
    map_free(&all_of(bus)->by_name);
    free(bus);
}

static const struct cluster_bus_type type = {
    .name = "streams",
    .open = bus_open,
    .close = bus_close,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
};

static const struct cluster_bus_type type_recovery = {
    .name = "streams",
    .open = bus_open,
    .close = bus_close,
    .send = send_message,
    .count = bus_servers,
    .free = free_bus,
    .delivers_own = true,
};

static const struct bus_wire wire = {
    .counted = BUS_MAIN,
    .uid_size = BUS_UID_MAX,
    .uid_is_hex = true,
    .nsp_size = sizeof(struct streams_nsp),
    .name_channels = name_channels,
    .opened = on_open,
    .closing = on_close,
    .is_ready = is_ready,
    .works = works,
    .message = on_message,
};

static struct bus_options with_defaults(const struct bus_options *options)
{
    struct bus_options full = *options;

    if (full.stream_name.size == 0)
        full.stream_name = STR("socket.io");
    if (full.stream_count == 0)
        full.stream_count = 1;
    if (full.max_len == 0)
        full.max_len = BUS_STREAM_MAX_LEN;
    if (full.read_count == 0)
        full.read_count = BUS_STREAM_READ_COUNT;
    if (full.block_ms == 0)
        full.block_ms = BUS_STREAM_BLOCK_MS;
    /* What is cut before it is read shows as a full poll. */
    if (full.read_count > full.max_len)
        full.read_count = full.max_len;
    return full;
}

struct cluster_bus *bus_streams_new(const struct bus_options *options,
                                    char fault[REDIS_FAULT_MAX])
{
    const struct bus_options full = with_defaults(options);
    struct streams *streams = calloc(1, sizeof(*streams));

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!streams)
        return NULL;
    map_init(&streams->by_name);
    if (bus_init(&streams->base, full.recovery ? &type_recovery : &type, &wire,
                 full.sharded_channels ? REDIS_SHARD : REDIS_CHANNEL, &full, fault) &&
        hold_streams(&streams->base))
        return &streams->base.base;
    free_bus(&streams->base.base);
    return NULL;
}
