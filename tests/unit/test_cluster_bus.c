#include "redis_server.h"

#include "cluster/bus_redis.h"
#include "cluster_words.h"

/*
 * Buses of one kind on a real Redis, in one process and loop, as if they were servers.
 */

enum {
    NODES = 3,
    HEARD_MAX = 64,
    LINGER_MS = 300,
};

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

static void on_heard(void *owner, struct str nsp, uint64_t fingerprint)
{
    struct node *node = owner;

    (void)nsp;
    assert_true(node->heard_count < HEARD_MAX);
    node->heard[node->heard_count++] = fingerprint;
}

static void on_bus_message(void *owner, const struct cluster_message *message)
{
    struct node *node = owner;

    say(&node->got, message);
    buf_add_byte(&node->got, '\n');
    if (message->offset.size > 0)
        buf_printf(&node->offsets, "%.*s\n", (int)message->offset.size, message->offset.at);
    snprintf(node->asker, sizeof(node->asker), "%.*s", (int)message->sender.size,
             message->sender.at);
}

static void on_bus_gap(void *owner, struct str nsp)
{
    (void)nsp;
    ((struct node *)owner)->gaps++;
}

static void on_bus_ready(void *owner, struct str nsp)
{
    (void)nsp;
    ((struct node *)owner)->ready++;
}

static bool has_room(void *owner, struct str nsp, struct str room)
{
    (void)nsp, (void)room;
    return !((struct node *)owner)->empty;
}

static bool got(const struct node *node, const char *line)
{
    return node->got.size > 0 && memmem(node->got.at, node->got.size, line, strlen(line));
}

static size_t times(const struct node *node, const char *line)
{
    size_t count = 0;
    const char *at = node->got.at, *end = at + node->got.size;

    while (at && at < end && (at = memmem(at, (size_t)(end - at), line, strlen(line)))) {
        count++;
        at++;
    }
    return count;
}

static void assert_got(const struct node *node, const char *expected)
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

static bool recovers(int kind)
{
    return kinds[kind].flags & RECOVERY;
}

static void make_node(struct node *node, const struct kind *kind)
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

static void free_node(struct node *node)
{
    if (node->bus)
        node->bus->type->free(node->bus);
    node->bus = NULL;
    buf_free(&node->got);
    buf_free(&node->offsets);
    turn();
}

static void open_nsp(struct node *node, const char *nsp)
{
    int ready = node->ready;

    assert_true(node->bus->type->open(node->bus, str_from(nsp)));
    UNTIL(node->ready > ready);
}

static void start_nodes(int kind, size_t count)
{
    print_message("  %s\n", kinds[kind].name);
    for (size_t i = 0; i < count; i++) {
        make_node(&nodes[i], &kinds[kind]);
        open_nsp(&nodes[i], "/a");
    }
}

static void stop_nodes(void)
{
    for (size_t i = 0; i < NODES; i++)
        free_node(&nodes[i]);
}

static void forget(struct node *node)
{
    buf_reset(&node->got);
    buf_reset(&node->offsets);
}

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    server_start(&server, "");
    options.servers[0].port = (uint16_t)server.port;
    return 0;
}

static int tear_down(void **state)
{
    stop_nodes();
    server_stop(&server);
    server.port = 0;
    return tear_down_client(state);
}

/* --- messages ----------------------------------------------------------------------------------- */

static const struct str one_room[] = {STR("r1")};
static const struct str two_rooms[] = {STR("r1"), STR("r2")};
static const struct str id_room[] = {STR("abcdefghijklmnopqrst")};
static const struct str binary = STR("\x01\x02\x03");

static void send_message(struct node *node, struct cluster_message message)
{
    message.nsp = STR("/a");
    if (message.args.json.size == 0)
        message.args.json = STR("[]");
    assert_true(node->bus->type->send(node->bus, &message));
}

static void send_event(struct node *node, const char *json)
{
    send_message(node, (struct cluster_message){.args = {.json = str_from(json)}});
}

struct example {
    struct cluster_message message;
    const char *said;
};

static const struct example broadcasts[] = {
    {{.args = {.json = STR("[\"e\",1]")}},                                       "broadcast [\"e\",1]\n"},
    {{.args = {.json = STR("[\"e\"]")}, .rooms = one_room, .room_count = 1},
     "broadcast to=r1 [\"e\"]\n"                                                                        },
    {{.args = {.json = STR("[\"e\"]")}, .rooms = id_room, .room_count = 1},
     "broadcast to=abcdefghijklmnopqrst [\"e\"]\n"                                                      },
    {{.args = {.json = STR("[\"e\"]")},
      .rooms = two_rooms,
      .room_count = 2,
      .except = one_room,
      .except_count = 1,
      .flags = SIO_VOLATILE | SIO_PLAIN},
     "broadcast to=r1 to=r2 not=r1 volatile plain [\"e\"]\n"                                            },
    {{.args = {STR("[\"e\",{\"_placeholder\":true,\"num\":0}]"), &binary, 1}},
     "broadcast [\"e\",{\"_placeholder\":true,\"num\":0}] 3 bytes\n"                                    },
    {{.args = {.json = STR("[\"q\"]")}, .request = STR("r"), .timeout_ms = 500},
     "broadcast request=r timeout=500 [\"q\"]\n"                                                        },
};

static const struct example requests[] = {
    {{.kind = CLUSTER_JOIN,
      .rooms = one_room,
      .room_count = 1,
      .changed = two_rooms,
      .changed_count = 2},
     "join to=r1 rooms=r1 rooms=r2\n"                                                                        },
    {{.kind = CLUSTER_LEAVE, .changed = one_room, .changed_count = 1},                     "leave rooms=r1\n"},
    {{.kind = CLUSTER_DISCONNECT, .except = one_room, .except_count = 1, .close = true},
     "disconnect not=r1 close\n"                                                                             },
    {{.kind = CLUSTER_FETCH, .request = STR("r"), .rooms = one_room, .room_count = 1},
     "fetch request=r to=r1\n"                                                                               },
    {{.kind = CLUSTER_SERVER_EMIT, .args = {.json = STR("[\"s\",{}]")}},
     "server-emit [\"s\",{}]\n"                                                                              },
    {{.kind = CLUSTER_SERVER_EMIT, .args = {.json = STR("[\"s\"]")}, .request = STR("r")},
     "server-emit request=r [\"s\"]\n"                                                                       },
};

static const struct example answers[] = {
    {{.kind = CLUSTER_SOCKETS, .json = STR("[{\"id\":\"x\"}]")},              "sockets request=r\n"             },
    {{.kind = CLUSTER_SERVER_ANSWER, .args = {.json = STR("[{\"a\":1}]")}},
     "server-answer request=r [{\"a\":1}]\n"                                                                    },
    {{.kind = CLUSTER_CLIENT_COUNT, .count = 7},                              "client-count request=r count=7\n"},
    {{.kind = CLUSTER_CLIENT_ANSWER,
      .args = {STR("[{\"_placeholder\":true,\"num\":0}]"), &binary, 1}},
     "client-answer request=r [{\"_placeholder\":true,\"num\":0}] 3 bytes\n"                                    },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Rooms' channels are subscribed as node.c does it. */
static void have_rooms(struct node *node)
{
    const struct str rooms[] = {STR("r1"), STR("r2"), STR("abcdefghijklmnopqrst")};

    if (!node->bus->type->room)
        return;
    for (size_t i = 0; i < COUNT(rooms); i++)
        node->bus->type->room(node->bus, STR("/a"), rooms[i], true);
    UNTIL(redis_is_ready(bus_redis(node->bus)));
}

static void exchange(const struct example *examples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        send_message(&nodes[0], examples[i].message);
        UNTIL(got(&nodes[1], examples[i].said));
        assert_got(&nodes[1], examples[i].said);
        forget(&nodes[1]);
    }
}

static void every_message_reaches_the_others(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        start_nodes(kind, 2);
        have_rooms(&nodes[1]);
        exchange(broadcasts, COUNT(broadcasts));
        exchange(requests, COUNT(requests));
        if (!recovers(kind))
            assert_int_equal(nodes[0].got.size, 0);
        stop_nodes();
    }
}

static void answers_reach_the_asker(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        start_nodes(kind, 3);
        send_message(&nodes[0], requests[3].message);
        UNTIL(got(&nodes[1], "fetch") && got(&nodes[2], "fetch"));
        forget(&nodes[2]);
        for (size_t i = 0; i < COUNT(answers); i++) {
            struct cluster_message answer = answers[i].message;

            answer.to = str_from(nodes[1].asker);
            answer.request = STR("r");
            send_message(&nodes[1], answer);
            UNTIL(got(&nodes[0], answers[i].said));
        }
        send_event(&nodes[1], "[\"last\"]");
        UNTIL(got(&nodes[2], "last"));
        if (kinds[kind].make != bus_pubsub_new)
            assert_got(&nodes[2], "broadcast [\"last\"]\n");
        stop_nodes();
    }
}

static void the_shared_channel_of_answers_can_be_left(void **state)
{
    (void)state;
    start_nodes(SPECIFIC, 3);
    send_message(&nodes[0], requests[3].message);
    UNTIL(got(&nodes[1], "fetch") && got(&nodes[2], "fetch"));
    forget(&nodes[2]);
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct cluster_message answer = answers[i].message;

        answer.to = str_from(nodes[1].asker);
        answer.request = STR("r");
        send_message(&nodes[1], answer);
    }
    send_event(&nodes[1], "[\"last\"]");
    UNTIL(got(&nodes[2], "last"));
    assert_got(&nodes[2], "server-answer request=r [{\"a\":1}]\nbroadcast [\"last\"]\n");
}

static void rooms_are_listed_over_pubsub_only(void **state)
{
    struct cluster_message list = {.kind = CLUSTER_LIST_ROOMS,
                                   .nsp = STR("/a"),
                                   .request = STR("r"),
                                   .args = {.json = STR("[]")}};
    struct cluster_message answer = {
        .kind = CLUSTER_ROOMS, .request = STR("r"), .json = STR("[\"x\"]")};

    (void)state;
    start_nodes(PUBSUB, 2);
    send_message(&nodes[0], list);
    UNTIL(got(&nodes[1], "list-rooms request=r\n"));
    answer.to = str_from(nodes[1].asker);
    send_message(&nodes[1], answer);
    UNTIL(got(&nodes[0], "rooms request=r\n"));
    stop_nodes();
    start_nodes(DYNAMIC, 1);
    assert_false(nodes[0].bus->type->send(nodes[0].bus, &list));
    stop_nodes();
    start_nodes(STREAMS, 1);
    assert_false(nodes[0].bus->type->send(nodes[0].bus, &list));
}

/* --- who is there ---------------------------------------------------------------------------------- */

static void on_counted(void *owner, int servers)
{
    *(int *)owner = servers;
}

static int count_of(struct node *node, const char *nsp)
{
    int servers = -2;

    node->bus->type->count(node->bus, str_from(nsp), on_counted, &servers);
    UNTIL(servers != -2);
    return servers;
}

static void servers_are_counted(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        start_nodes(kind, 3);
        open_nsp(&nodes[1], "/b");
        assert_int_equal(count_of(&nodes[0], "/a"), 3);
        assert_int_equal(count_of(&nodes[1], "/b"), 1);
        assert_int_equal(count_of(&nodes[0], "/b"), CLUSTER_COUNT_UNKNOWN);
        nodes[2].bus->type->close(nodes[2].bus, STR("/a"));
        UNTIL(count_of(&nodes[0], "/a") == 2);
        stop_nodes();
    }
}

static void what_is_closed_hears_nothing_and_can_be_opened_again(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        start_nodes(kind, 2);
        open_nsp(&nodes[1], "/b");
        nodes[1].bus->type->close(nodes[1].bus, STR("/a"));
        UNTIL(count_of(&nodes[0], "/a") == 1);
        send_event(&nodes[0], "[\"unheard\"]");
        open_nsp(&nodes[1], "/a");
        UNTIL(count_of(&nodes[0], "/a") == 2);
        send_event(&nodes[0], "[\"heard\"]");
        UNTIL(got(&nodes[1], "[\"heard\"]"));
        if (kinds[kind].make != bus_streams_new) /* which may have been read only now */
            assert_got(&nodes[1], "broadcast [\"heard\"]\n");
        stop_nodes();
    }
}

static void names_are_no_patterns(void **state)
{
    struct cluster_message message = {.nsp = STR("/[x]*?"), .args = {.json = STR("[\"e\"]")}};

    (void)state;
    start_nodes(PUBSUB, 2);
    open_nsp(&nodes[0], "/[x]*?");
    open_nsp(&nodes[1], "/[x]*?");
    open_nsp(&nodes[1], "/*");
    assert_true(nodes[0].bus->type->send(nodes[0].bus, &message));
    UNTIL(nodes[1].got.size > 0);
    send_event(&nodes[0], "[\"last\"]");
    UNTIL(got(&nodes[1], "last"));
    assert_got(&nodes[1], "broadcast [\"e\"]\nbroadcast [\"last\"]\n");
    struct bus_counts counts;
    bus_count(nodes[1].bus, &counts);
    assert_int_equal(counts.ignored, 0);
}

/* --- rooms ------------------------------------------------------------------------------------------ */

static void messages_to_rooms_that_nobody_is_in_are_not_decoded(void **state)
{
    struct bus_counts counts;

    (void)state;
    start_nodes(PUBSUB, 2);
    nodes[1].empty = true;
    send_message(&nodes[0], broadcasts[1].message);
    send_event(&nodes[0], "[\"last\"]");
    UNTIL(got(&nodes[1], "last"));
    assert_got(&nodes[1], "broadcast [\"last\"]\n");
    bus_count(nodes[1].bus, &counts);
    assert_int_equal(counts.dropped, 1);
}

static void channels_of_rooms_are_subscribed_as_long_as_somebody_is_there(void **state)
{
    (void)state;
    start_nodes(DYNAMIC, 2);
    have_rooms(&nodes[1]);
    start();
    UNTIL(redis_is_up(redis));
    nodes[1].bus->type->room(nodes[1].bus, STR("/a"), STR("r1"), false);
    UNTIL(strcmp(ask(redis, "PUBSUB SHARDCHANNELS test#/a#r*"), "") == 0 &&
          strcmp(ask(redis, "SPUBLISH test#/a#r1# x"), "0") == 0);
    assert_string_equal(ask(redis, "SPUBLISH test#/a#r2# x"), "1");
    /* What looks like a socket's id has no channel. */
    assert_string_equal(ask(redis, "SPUBLISH test#/a#abcdefghijklmnopqrst# x"), "0");
    send_message(&nodes[0], broadcasts[1].message);
    send_event(&nodes[0], "[\"last\"]");
    UNTIL(got(&nodes[1], "last"));
    assert_got(&nodes[1], "broadcast [\"last\"]\n");
}

/* --- recovery --------------------------------------------------------------------------------------- */

static struct cluster_message numbered(uint64_t number)
{
    return (struct cluster_message){.args = {.json = STR("[\"e\"]")}, .number = number};
}

static void all_hear_one_order_and_their_own(void **state)
{
    static const int hearing[] = {PUBSUB_RECOVERY, SHARDED_RECOVERY};

    (void)state;
    for (size_t k = 0; k < COUNT(hearing); k++) {
        start_nodes(hearing[k], 2);
        for (uint64_t i = 1; i <= 5; i++) {
            struct cluster_message message = numbered(i);

            send_message(&nodes[0], message);
            message.rooms = one_room;
            message.room_count = 1;
            send_message(&nodes[1], message);
        }
        send_message(&nodes[0],
                     (struct cluster_message){.kind = CLUSTER_ANCHOR, .request = STR("here")});
        UNTIL(got(&nodes[0], "anchor own request=here") &&
              got(&nodes[1], "anchor request=here"));
        UNTIL(nodes[0].heard_count == 11 && nodes[1].heard_count == 11);
        assert_memory_equal(nodes[0].heard, nodes[1].heard, 11 * sizeof(uint64_t));
        assert_int_equal(times(&nodes[0], "broadcast own number="), 5);
        assert_int_equal(times(&nodes[0], "broadcast to=r1 number="), 5);
        assert_int_equal(times(&nodes[1], "broadcast own number="), 5);
        assert_int_equal(nodes[0].gaps + nodes[1].gaps, 0);
        stop_nodes();
    }
}

static void own_broadcasts_come_back_from_the_stream_in_its_order(void **state)
{
    char text[32];

    (void)state;
    start_nodes(STREAMS_RECOVERY, 2);
    assert_true(nodes[0].bus->type->delivers_own);
    for (int i = 0; i < 20; i++) {
        snprintf(text, sizeof(text), "[\"e\",%d]", i);
        send_event(&nodes[i % 2], text);
        if (i % 7 == 0)
            turn();
    }
    UNTIL(times(&nodes[0], "broadcast") == 20 && times(&nodes[1], "broadcast") == 20);
    assert_true(str_equal(buf_str(&nodes[0].offsets), buf_str(&nodes[1].offsets)));
    assert_int_equal(times(&nodes[0], "broadcast own"), 10);
    assert_int_equal(times(&nodes[1], "broadcast own"), 10);
    assert_int_equal(nodes[0].gaps, 0);
}

static void what_cannot_be_stored_comes_back_without_a_place(void **state)
{
    (void)state;
    start_nodes(STREAMS_RECOVERY, 1);
    start();
    UNTIL(redis_is_up(redis));
    ask(redis, "SET socket.io x");
    send_event(&nodes[0], "[\"e\",1]");
    send_event(&nodes[0], "[\"e\",2]");
    UNTIL(times(&nodes[0], "broadcast") == 2);
    assert_got(&nodes[0], "broadcast own [\"e\",1]\nbroadcast own [\"e\",2]\n");
    assert_int_equal(nodes[0].offsets.size, 0);
    assert_true(nodes[0].gaps > 0);
    ask(redis, "DEL socket.io");
    forget(&nodes[0]);
    UNTIL((send_event(&nodes[0], "[\"again\"]"), turn(), nodes[0].offsets.size > 0));
}

/* The server stands still for longer than anybody waits, and then runs what it was given. */
static void an_entry_that_comes_too_late_is_not_delivered_twice(void **state)
{
    (void)state;
    start_nodes(STREAMS_RECOVERY, 2);
    send_event(&nodes[0], "[\"before\"]");
    UNTIL(got(&nodes[0], "before") && got(&nodes[1], "before"));
    forget(&nodes[0]);
    kill(server.pid, SIGSTOP);
    send_event(&nodes[0], "[\"late\"]");
    UNTIL(got(&nodes[0], "late"));
    assert_int_equal(nodes[0].offsets.size, 0);
    send_event(&nodes[0], "[\"at once\"]");
    UNTIL(got(&nodes[0], "at once"));
    kill(server.pid, SIGCONT);
    UNTIL((send_event(&nodes[0], "[\"after\"]"), turn(), nodes[0].offsets.size > 0));
    UNTIL(got(&nodes[1], "after"));
    assert_int_equal(times(&nodes[0], "\"late\""), 1);
    assert_int_equal(times(&nodes[0], "\"at once\""), 1);
    assert_true(times(&nodes[1], "\"late\"") <= 1);
    assert_int_equal(times(&nodes[1], "\"before\""), 1);
}

static void a_message_on_the_channel_of_a_room_is_a_gap_where_all_must_hear_all(void **state)
{
    int ready;

    (void)state;
    start_nodes(SHARDED_RECOVERY, 1);
    have_rooms(&nodes[0]);
    make_node(&nodes[1], &kinds[DYNAMIC]);
    open_nsp(&nodes[1], "/a");
    ready = nodes[0].ready;
    send_message(&nodes[1], broadcasts[1].message);
    UNTIL(got(&nodes[0], "broadcast to=r1 [\"e\"]\n"));
    assert_int_equal(nodes[0].gaps, 1);
    UNTIL(nodes[0].ready == ready + 1);
    assert_int_equal(nodes[0].heard_count, 0);
}

static void channels_of_rooms_are_heard_as_long_as_clients_may_come_back(void **state)
{
    static const struct str place = STR("/a"), room = STR("r1");
    uint64_t left_ms;

    (void)state;
    start_nodes(SHARDED_RECOVERY, 1);
    have_rooms(&nodes[0]);
    start();
    UNTIL(redis_is_up(redis));
    nodes[0].bus->type->room(nodes[0].bus, place, room, false);
    nodes[0].bus->type->room(nodes[0].bus, place, room, true);
    nodes[0].bus->type->room(nodes[0].bus, place, room, false);
    left_ms = net_loop_now(loop);
    UNTIL(strcmp(ask(redis, "SPUBLISH test#/a#r1# x"), "0") == 0);
    assert_true(net_loop_now(loop) - left_ms >= LINGER_MS);
    assert_string_equal(ask(redis, "SPUBLISH test#/a#r2# x"), "1");
    /* Who comes back in time keeps it. */
    nodes[0].bus->type->room(nodes[0].bus, place, STR("r2"), false);
    nodes[0].bus->type->room(nodes[0].bus, place, STR("r2"), true);
    left_ms = net_loop_now(loop);
    UNTIL(net_loop_now(loop) - left_ms > 2 * LINGER_MS);
    assert_string_equal(ask(redis, "SPUBLISH test#/a#r2# x"), "1");
    nodes[0].bus->type->room(nodes[0].bus, place, STR("r2"), false);
}

/* --- trouble ----------------------------------------------------------------------------------------- */

static void broken_messages_are_counted_and_nothing_more(void **state)
{
    static const struct {
        int kind;
        const char *commands[4];
    } cases[] = {
        {PUBSUB,
         {"PUBLISH test#/a# x", "PUBLISH test#/a#r# {}", "PUBLISH test-request#/a# {",
          "PUBLISH test-response#/a# {\"requestId\":\"r\",\"rooms\":{}}"}           },
        {DYNAMIC,
         {"SPUBLISH test#/a# x", "SPUBLISH test#/a# {}", "SPUBLISH test#/a#r1# {",
          "SPUBLISH test#/a# {\"type\":3,\"data\":{},\"uid\":\"u\",\"nsp\":\"/a\"}"}},
        {STREAMS,
         {"PUBLISH test#/a# x", "XADD socket.io * nsp /a type 3 data {",
          "XADD socket.io * nsp /a type 3 data !!!!", "XADD socket.io * nsp /a"}    },
        {STREAMS_RECOVERY,
         {"PUBLISH test#/a# x", "XADD socket.io * nsp /a type 3 data {",
          "XADD socket.io * nsp /a type 3 data !!!!", "XADD socket.io * nsp /a"}    },
    };
    struct bus_counts counts;

    (void)state;
    start();
    UNTIL(redis_is_up(redis));
    for (size_t i = 0; i < COUNT(cases); i++) {
        start_nodes(cases[i].kind, 2);
        have_rooms(&nodes[1]);
        for (size_t c = 0; c < 4; c++)
            ask(redis, cases[i].commands[c]);
        send_event(&nodes[0], "[\"last\"]");
        UNTIL(got(&nodes[1], "last"));
        UNTIL((bus_count(nodes[1].bus, &counts), counts.refused == 4));
        assert_got(&nodes[1], "broadcast [\"last\"]\n");
        stop_nodes();
    }
}

static void requests_of_old_nodes_are_confirmed(void **state)
{
    (void)state;
    start_nodes(PUBSUB, 1);
    start();
    subscribe(REDIS_CHANNEL, "test-response#/a#");
    UNTIL(redis_is_up(redis) && redis_is_ready(redis));
    ask(redis, "PUBLISH test-request#/a# "
               "{\"requestId\":\"r\",\"type\":2,\"sid\":\"s\",\"room\":\"x\"}");
    UNTIL(strstr(told, "m:test-response#/a#||{\"requestId\":\"r\"};"));
    assert_got(&nodes[0], "join request=r to=s rooms=x\n");
}

static void a_server_that_comes_back_is_a_gap_and_then_all_is_well(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        int ready;

        start_nodes(kind, 2);
        UNTIL(bus_healthy(nodes[0].bus) && bus_healthy(nodes[1].bus));
        send_event(&nodes[0], "[\"before\"]");
        UNTIL(got(&nodes[1], "before"));
        ready = nodes[1].ready;
        server_kill(&server);
        UNTIL(!bus_healthy(nodes[0].bus) && !bus_healthy(nodes[1].bus));
        server_start(&server, "");
        UNTIL(bus_healthy(nodes[0].bus) && bus_healthy(nodes[1].bus));
        UNTIL(nodes[1].ready > ready);
        assert_true(nodes[1].gaps > 0);
        send_event(&nodes[0], "[\"after\"]");
        UNTIL(got(&nodes[1], "after"));
        stop_nodes();
    }
}

static void what_does_not_fit_while_the_server_is_away_is_lost(void **state)
{
    struct bus_counts counts;

    (void)state;
    options.queue_bytes = 1000;
    for (int kind = 0; kind < KINDS; kind++) {
        start_nodes(kind, 1);
        server_kill(&server);
        UNTIL(!redis_is_up(bus_redis(nodes[0].bus)));
        for (int i = 0; i < 100; i++)
            send_event(&nodes[0], "[\"e\"]");
        UNTIL((bus_count(nodes[0].bus, &counts), counts.lost > 50));
        assert_true(counts.lost < 100);
        if (recovers(kind))
            UNTIL(nodes[0].gaps > 0);
        server_start(&server, "");
        stop_nodes();
    }
}

static void a_server_that_stands_still_is_not_healthy(void **state)
{
    (void)state;
    start_nodes(PUBSUB, 1);
    UNTIL(bus_healthy(nodes[0].bus));
    kill(server.pid, SIGSTOP);
    UNTIL(!bus_healthy(nodes[0].bus));
    kill(server.pid, SIGCONT);
    UNTIL(bus_healthy(nodes[0].bus));
}

/* redis-streams-adapter's names, its quirk included. */
static void namespaces_have_the_streams_of_the_reference(void **state)
{
    (void)state;
    start_nodes(STREAMS_MANY, 1);
    assert_true(str_equal(bus_stream(nodes[0].bus, STR("/viewer")), STR("socket.io--3")));
    assert_true(str_equal(bus_stream(nodes[0].bus, STR("/terminal")), STR("socket.io--1")));
    assert_true(str_equal(bus_stream(nodes[0].bus, STR("/hub")), STR("socket.io-2")));
    assert_true(str_equal(bus_stream(nodes[0].bus, STR("/relay")), STR("socket.io-2")));
    assert_true(str_equal(bus_stream(nodes[0].bus, STR("/")), STR("socket.io-3")));
    stop_nodes();
    start_nodes(PUBSUB, 1);
    assert_int_equal(bus_stream(nodes[0].bus, STR("/a")).size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_message_reaches_the_others, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_reach_the_asker, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_shared_channel_of_answers_can_be_left, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(rooms_are_listed_over_pubsub_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(servers_are_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_closed_hears_nothing_and_can_be_opened_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_no_patterns, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_to_rooms_that_nobody_is_in_are_not_decoded,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            channels_of_rooms_are_subscribed_as_long_as_somebody_is_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(all_hear_one_order_and_their_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(own_broadcasts_come_back_from_the_stream_in_its_order,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_stored_comes_back_without_a_place,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_that_comes_too_late_is_not_delivered_twice,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            a_message_on_the_channel_of_a_room_is_a_gap_where_all_must_hear_all, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            channels_of_rooms_are_heard_as_long_as_clients_may_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(broken_messages_are_counted_and_nothing_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(requests_of_old_nodes_are_confirmed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_comes_back_is_a_gap_and_then_all_is_well,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_does_not_fit_while_the_server_is_away_is_lost,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_stands_still_is_not_healthy, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(namespaces_have_the_streams_of_the_reference, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("cluster bus", tests, make_folder, remove_folder);
}
