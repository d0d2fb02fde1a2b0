#include "bus_fixture.h"

/*
 * What buses carry between servers, and what they know of them.
 */

/* --- messages ----------------------------------------------------------------------------------- */

static const struct str two_rooms[] = {STR("r1"), STR("r2")};
static const struct str id_room[] = {STR("abcdefghijklmnopqrst")};
static const struct str binary = STR("\x01\x02\x03");

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

/* --- rooms ------------------------------------------------------------------------------------------ */

static void messages_to_rooms_that_nobody_is_in_are_not_decoded(void **state)
{
    struct bus_counts counts;

    (void)state;
    start_nodes(PUBSUB, 2);
    nodes[1].empty = true;
    send_to_room(&nodes[0]);
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
    send_to_room(&nodes[0]);
    send_event(&nodes[0], "[\"last\"]");
    UNTIL(got(&nodes[1], "last"));
    assert_got(&nodes[1], "broadcast [\"last\"]\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_message_reaches_the_others),
        CASE(answers_reach_the_asker),
        CASE(the_shared_channel_of_answers_can_be_left),
        CASE(rooms_are_listed_over_pubsub_only),
        CASE(requests_of_old_nodes_are_confirmed),
        CASE(servers_are_counted),
        CASE(what_is_closed_hears_nothing_and_can_be_opened_again),
        CASE(names_are_no_patterns),
        CASE(namespaces_have_the_streams_of_the_reference),
        CASE(messages_to_rooms_that_nobody_is_in_are_not_decoded),
        CASE(channels_of_rooms_are_subscribed_as_long_as_somebody_is_there),
    };

    return cmocka_run_group_tests_name("cluster bus", tests, make_folder, remove_folder);
}
