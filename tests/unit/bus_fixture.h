/*
 * bus_fixture: buses of one kind on a real Redis, in one process and loop, as if they were servers.
 *
 * Callers   test_cluster_bus*.c.
 */
#ifndef SKUA_TESTS_BUS_FIXTURE_H
#define SKUA_TESTS_BUS_FIXTURE_H

#include "redis_server.h"

#include "cluster/bus_redis.h"
#include "cluster_words.h"

enum {
    NODES = 3,
    HEARD_MAX = 64,
    LINGER_MS = 300,
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct server server;

/* --- servers ----------------------------------------------------------------------------------- */

struct node {
    struct cluster_bus *bus;
    struct cluster_bus_handler handler;
    struct buf got;     /* messages in words, one a line */
    struct buf offsets; /* of messages that have one, one a line */
    char asker[32];     /* the last message's sender */
    uint64_t heard[HEARD_MAX];
    size_t heard_count;
    int ready, gaps;
    bool empty; /* nobody is in any room */
};

static struct node nodes[NODES];

static inline void on_heard(void *owner, struct str nsp, uint64_t fingerprint)
{
    struct node *node = owner;

    (void)nsp;
    assert_true(node->heard_count < HEARD_MAX);
    node->heard[node->heard_count++] = fingerprint;
}

static inline void on_bus_message(void *owner, const struct cluster_message *message)
{
    struct node *node = owner;

    say(&node->got, message);
    buf_add_byte(&node->got, '\n');
    if (message->offset.size > 0)
        buf_printf(&node->offsets, "%.*s\n", (int)message->offset.size, message->offset.at);
    snprintf(node->asker, sizeof(node->asker), "%.*s", (int)message->sender.size,
             message->sender.at);
}

static inline void on_bus_gap(void *owner, struct str nsp)
{
    (void)nsp;
    ((struct node *)owner)->gaps++;
}

static inline void on_bus_ready(void *owner, struct str nsp)
{
    (void)nsp;
    ((struct node *)owner)->ready++;
}

static inline bool has_room(void *owner, struct str nsp, struct str room)
{
    (void)nsp, (void)room;
    return !((struct node *)owner)->empty;
}

static inline bool got(const struct node *node, const char *line)
{
    return node->got.size > 0 && memmem(node->got.at, node->got.size, line, strlen(line));
}

static inline void assert_got(const struct node *node, const char *expected)
{
    struct str all = buf_str(&node->got);

    if (!str_equal(all, str_from(expected)))
        fail_msg("got %.*s, expected %s", (int)all.size, all.at, expected);
}

/* --- kinds of buses ------------------------------------------------------------------------------ */

enum {
    ANSWERS_APART = 1, /* specific_response_channel */
    SHARD_CHANNELS = 2,
    RECOVERY = 4,
    FOUR_STREAMS = 8,
};

struct kind {
    const char *name;
    struct cluster_bus *(*make)(const struct bus_options *options, char fault[REDIS_FAULT_MAX]);
    enum bus_mode mode;
    unsigned flags;
};

enum {
    PUBSUB,
    SPECIFIC,
    DYNAMIC,
    STATIC,
    PRIVATE,
    STREAMS,
    STREAMS_SHARDED,
    STREAMS_MANY,
    PUBSUB_RECOVERY,
    SHARDED_RECOVERY,
    STREAMS_RECOVERY,
    KINDS,
};

static const struct kind kinds[KINDS] = {
    [PUBSUB] = {"pubsub",                bus_pubsub_new,  BUS_DYNAMIC,         0             },
    [SPECIFIC] = {"pubsub, answers apart", bus_pubsub_new,  BUS_DYNAMIC,         ANSWERS_APART },
    [DYNAMIC] = {"sharded",               bus_sharded_new, BUS_DYNAMIC,         0             },
    [STATIC] = {"sharded, static",       bus_sharded_new, BUS_STATIC,          0             },
    [PRIVATE] = {"sharded, private",      bus_sharded_new, BUS_DYNAMIC_PRIVATE, 0             },
    [STREAMS] = {"streams",               bus_streams_new, BUS_DYNAMIC,         0             },
    [STREAMS_SHARDED] = {"streams, shards",       bus_streams_new, BUS_DYNAMIC,         SHARD_CHANNELS},
    [STREAMS_MANY] = {"streams, four",         bus_streams_new, BUS_DYNAMIC,         FOUR_STREAMS  },
    [PUBSUB_RECOVERY] = {"pubsub, recovery",      bus_pubsub_new,  BUS_DYNAMIC,         RECOVERY      },
    [SHARDED_RECOVERY] = {"sharded, recovery",     bus_sharded_new, BUS_DYNAMIC,         RECOVERY      },
    [STREAMS_RECOVERY] = {"streams, recovery",     bus_streams_new, BUS_DYNAMIC,         RECOVERY      },
};

static inline bool recovers(int kind)
{
    return kinds[kind].flags & RECOVERY;
}

static inline void make_node(struct node *node, const struct kind *kind)
{
    char fault[REDIS_FAULT_MAX];
    const struct bus_options bus_options = {
        .loop = loop,
        .random = &chance,
        .log = &quiet,
        .redis = &options,
        .prefix = STR("test"),
        .recovery = kind->flags & RECOVERY,
        .specific_response_channel = kind->flags & ANSWERS_APART,
        .mode = kind->mode,
        .room_linger_ms = LINGER_MS,
        .stream_count = kind->flags & FOUR_STREAMS ? 4 : 1,
        .sharded_channels = kind->flags & SHARD_CHANNELS,
    };

    *node = (struct node){
        .handler = {on_heard, on_bus_message, on_bus_gap, on_bus_ready, has_room, node}
    };
    buf_init(&node->got, SIZE_MAX);
    buf_init(&node->offsets, SIZE_MAX);
    node->bus = kind->make(&bus_options, fault);
    if (!node->bus)
        fail_msg("%s", fault);
    node->bus->handler = &node->handler;
}

static inline void free_node(struct node *node)
{
    if (node->bus)
        node->bus->type->free(node->bus);
    node->bus = NULL;
    buf_free(&node->got);
    buf_free(&node->offsets);
    turn();
}

static inline void open_nsp(struct node *node, const char *nsp)
{
    int ready = node->ready;

    assert_true(node->bus->type->open(node->bus, str_from(nsp)));
    UNTIL(node->ready > ready);
}

static inline void start_nodes(int kind, size_t count)
{
    print_message("  %s\n", kinds[kind].name);
    for (size_t i = 0; i < count; i++) {
        make_node(&nodes[i], &kinds[kind]);
        open_nsp(&nodes[i], "/a");
    }
}

static inline void stop_nodes(void)
{
    for (size_t i = 0; i < NODES; i++)
        free_node(&nodes[i]);
}

static inline void forget(struct node *node)
{
    buf_reset(&node->got);
    buf_reset(&node->offsets);
}

static inline int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    server_start(&server, "");
    options.servers[0].port = (uint16_t)server.port;
    return 0;
}

static inline int tear_down(void **state)
{
    stop_nodes();
    server_stop(&server);
    server.port = 0;
    return tear_down_client(state);
}

/* --- what servers say --------------------------------------------------------------------------- */

static const struct str one_room[] = {STR("r1")};

static inline void send_message(struct node *node, struct cluster_message message)
{
    message.nsp = STR("/a");
    if (message.args.json.size == 0)
        message.args.json = STR("[]");
    assert_true(node->bus->type->send(node->bus, &message));
}

static inline void send_event(struct node *node, const char *json)
{
    send_message(node, (struct cluster_message){.args = {.json = str_from(json)}});
}

/* To those in the room r1. */
static inline void send_to_room(struct node *node)
{
    send_message(node, (struct cluster_message){.args = {.json = STR("[\"e\"]")},
                                                .rooms = one_room,
                                                .room_count = 1});
}

/* Rooms' channels are subscribed as node.c does it. */
static inline void have_rooms(struct node *node)
{
    const struct str rooms[] = {STR("r1"), STR("r2"), STR("abcdefghijklmnopqrst")};

    if (!node->bus->type->room)
        return;
    for (size_t i = 0; i < COUNT(rooms); i++)
        node->bus->type->room(node->bus, STR("/a"), rooms[i], true);
    UNTIL(redis_is_ready(bus_redis(node->bus)));
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

#endif
