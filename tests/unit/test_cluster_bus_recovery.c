#include "bus_fixture.h"

/*
 * Buses where clients may come back to what they missed, and buses whose Redis is in trouble.
 */

/* --- recovery --------------------------------------------------------------------------------------- */

static struct cluster_message numbered(uint64_t number)
{
    return (struct cluster_message){.args = {.json = STR("[\"e\"]")}, .number = number};
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
    send_to_room(&nodes[1]);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_hear_one_order_and_their_own),
        CASE(own_broadcasts_come_back_from_the_stream_in_its_order),
        CASE(what_cannot_be_stored_comes_back_without_a_place),
        CASE(an_entry_that_comes_too_late_is_not_delivered_twice),
        CASE(a_message_on_the_channel_of_a_room_is_a_gap_where_all_must_hear_all),
        CASE(channels_of_rooms_are_heard_as_long_as_clients_may_come_back),
        CASE(broken_messages_are_counted_and_nothing_more),
        CASE(a_server_that_comes_back_is_a_gap_and_then_all_is_well),
        CASE(what_does_not_fit_while_the_server_is_away_is_lost),
        CASE(a_server_that_stands_still_is_not_healthy),
    };

    return cmocka_run_group_tests_name("cluster bus recovery", tests, make_folder,
                                       remove_folder);
}
