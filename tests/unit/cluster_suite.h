/*
 * cluster_suite: what a cluster does, whatever its bus is.
 */
#ifndef CLUSTER_SUITE_H
#define CLUSTER_SUITE_H

#include "cluster_fixture.h"

/* --- broadcasts ------------------------------------------------------------------------------ */

static void a_broadcast_reaches_the_sockets_of_all_servers_once(void **state)
{
    struct world *world = *state;
    struct client *clients[4];
    struct sio_target hub = target_in(world, 0, "/hub");

    for (int i = 0; i < 3; i++)
        clients[i] = connect_client(world, i, "/hub");
    clients[3] = connect_client(world, 1, "/");
    emit(world, 0, &hub, "[\"one\",{\"a\":[1,null,\"x\"]}]", 0);
    emit(world, 0, &hub, "[\"two\"]", 0);
    for (int i = 0; i < 3; i++) {
        expect_message(world, clients[i], "2/hub,[\"one\",{\"a\":[1,null,\"x\"]}]");
        expect_message(world, clients[i], "2/hub,[\"two\"]");
        expect_silence(clients[i]);
    }
    expect_silence(clients[3]);
}

static void rooms_span_servers(void **state)
{
    struct world *world = *state;
    struct client *clients[4];
    struct sio_target target = target_in(world, 0, "/");
    struct str one[] = {STR("red")}, two[] = {STR("red"), STR("blue")};

    for (int i = 0; i < 4; i++)
        clients[i] = connect_client(world, i % 2, "/");
    for (int i = 0; i < 3; i++)
        assert_true(sio_socket_join(socket_of(clients[i]), STR("red")));
    assert_true(sio_socket_join(socket_of(clients[1]), STR("blue")));
    wait_for_servers(world, 1, "/", WORLD_SERVERS); /* a bus may have told Redis of the rooms */

    target.rooms = one;
    target.room_count = 1;
    emit(world, 0, &target, "[\"red\"]", 0);
    target.rooms = two;
    target.room_count = 2;
    emit(world, 0, &target, "[\"both\"]", 0);
    target.rooms = NULL;
    target.room_count = 0;
    emit(world, 0, &target, "[\"all\"]", 0);
    for (int i = 0; i < 3; i++) {
        expect_message(world, clients[i], "2[\"red\"]");
        expect_message(world, clients[i], "2[\"both\"]");
    }
    for (int i = 0; i < 4; i++) {
        expect_message(world, clients[i], "2[\"all\"]");
        expect_silence(clients[i]);
    }
}

static void a_socket_of_another_server_is_reached_by_its_id(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/");
    struct str id = sio_socket_id(socket_of(far));
    struct sio_target target = target_in(world, 0, "/");

    target.rooms = &id;
    target.room_count = 1;
    emit(world, 0, &target, "[\"you\"]", 0);
    target.rooms = NULL;
    target.room_count = 0;
    target.except = &id;
    target.except_count = 1;
    emit(world, 0, &target, "[\"others\"]", 0);
    target.except_count = 0;
    emit(world, 0, &target, "[\"all\"]", 0);
    expect_message(world, far, "2[\"you\"]");
    expect_message(world, far, "2[\"all\"]");
    expect_message(world, near, "2[\"others\"]");
    expect_message(world, near, "2[\"all\"]");
}

static void binary_values_reach_other_servers(void **state)
{
    struct world *world = *state;
    struct client *far = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");
    const struct str values[] = {
        {"\x00\x01\xff", 3},
        {"second",       6}
    };
    const struct sio_args args = {
        .json = STR(
            "[\"b\",{\"_placeholder\":true,\"num\":0},[{\"_placeholder\":true,\"num\":1}]]"),
        .attachments = values,
        .attachment_count = 2,
    };
    struct frame *frame;

    cluster_broadcast(world->servers[0].cluster, &target, &args, 0);
    expect_message(
        world, far,
        "52-[\"b\",{\"_placeholder\":true,\"num\":0},[{\"_placeholder\":true,\"num\":1}]]");
    frame = take_frame(far);
    assert_int_equal(frame_kind(frame), FRAME_BINARY);
    assert_true(str_equal(frame_body(frame), values[0]));
    frame_unref(frame);
    expect_message(world, far, "second");
}

static void a_local_broadcast_stays_here(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");

    emit(world, 0, &target, "[\"here\"]", SIO_LOCAL);
    emit(world, 0, &target, "[\"all\"]", 0);
    expect_message(world, near, "2[\"here\"]");
    expect_message(world, near, "2[\"all\"]");
    expect_message(world, far, "2[\"all\"]");
    expect_silence(far);
}

static void a_volatile_broadcast_is_dropped_where_it_cannot_be_sent(void **state)
{
    struct world *world = *state;
    struct client *idle = connect_client(world, 1, "/"), *busy = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");

    busy->session->writable = false;
    emit(world, 0, &target, "[\"now\"]", SIO_VOLATILE);
    emit(world, 0, &target, "[\"all\"]", 0);
    expect_message(world, idle, "2[\"now\"]");
    expect_message(world, idle, "2[\"all\"]");
    expect_message(world, busy, "2[\"all\"]");
}

static void an_event_for_one_socket_stays_with_it(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");
    const struct sio_args args = event("[\"only\",1]");

    assert_true(
        cluster_socket_emit(world->servers[0].cluster, socket_of(near), &args, SIO_PLAIN));
    emit(world, 0, &target, "[\"all\"]", 0);
    expect_message(world, near, "2[\"only\",1]");
    expect_message(world, near, "2[\"all\"]");
    expect_message(world, far, "2[\"all\"]");
    expect_silence(far);
}

static void the_children_of_a_parent_are_reached_where_they_are(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/org-1"),
                  *far = connect_client(world, 1, "/org-1"),
                  *other = connect_client(world, 1, "/org-2");
    struct sio_target target = {
        .nsp = sio_namespace_parent(sio_namespace_find(world->servers[0].sio, STR("/org-1")))};

    wait_for_servers(world, 0, "/org-1", 2);
    emit(world, 0, &target, "[\"all\"]", 0);
    expect_message(world, near, "2/org-1,[\"all\"]");
    expect_message(world, far, "2/org-1,[\"all\"]");
    expect_silence(other); /* a child that this server does not have, as in the reference */
    leave(far);
    leave(other);
    if (!world->factory->recovery) /* then they may come back */
        wait_for_servers(world, 0, "/org-1", 1);
}

/* --- others' sockets ------------------------------------------------------------------------- */

static void joins_and_leaves_reach_other_servers(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/");
    struct sio_target all = target_in(world, 0, "/"), red = all;
    struct str rooms[] = {STR("red"), STR("blue")};

    red.rooms = rooms;
    red.room_count = 1;
    cluster_join(world->servers[0].cluster, &all, rooms, 2, 0);
    emit(world, 0, &all, "[\"joined\"]", 0);
    expect_message(world, near, "2[\"joined\"]");
    expect_message(world, far, "2[\"joined\"]");
    assert_true(sio_namespace_has_room(all.nsp, STR("blue")));
    assert_true(sio_namespace_has_room(target_in(world, 1, "/").nsp, STR("blue")));

    cluster_leave(world->servers[0].cluster, &red, rooms + 1, 1, 0);
    emit(world, 0, &all, "[\"left\"]", 0);
    expect_message(world, near, "2[\"left\"]");
    expect_message(world, far, "2[\"left\"]");
    assert_false(sio_namespace_has_room(all.nsp, STR("blue")));
    assert_false(sio_namespace_has_room(target_in(world, 1, "/").nsp, STR("blue")));
    assert_true(sio_namespace_has_room(target_in(world, 1, "/").nsp, STR("red")));

    cluster_leave(world->servers[0].cluster, &all, rooms, 1, SIO_LOCAL);
    emit(world, 0, &all, "[\"local\"]", 0);
    expect_message(world, far, "2[\"local\"]");
    assert_false(sio_namespace_has_room(all.nsp, STR("red")));
    assert_true(sio_namespace_has_room(target_in(world, 1, "/").nsp, STR("red")));
}

static void sockets_of_other_servers_are_disconnected(void **state)
{
    struct world *world = *state;
    struct client *far = connect_client(world, 1, "/"), *spared = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");
    struct str id = sio_socket_id(socket_of(spared));

    target.except = &id;
    target.except_count = 1;
    cluster_disconnect(world->servers[0].cluster, &target, false, 0);
    expect_message(world, far, "1");
    expect_story(world, 1, "disconnected server namespace disconnect\n");
    assert_true(sio_socket_connected(socket_of(spared)));
    target.except_count = 0;
    cluster_disconnect(world->servers[0].cluster, &target, true, 0);
    expect_story(world, 1, "disconnected server namespace disconnect\n");
    assert_true(spared->session->close_called);
}

static void sockets_of_all_servers_are_fetched(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");
    struct str room = STR("red");
    struct gathered outcome;
    char begin[64];

    connect_client(world, 2, "/");
    assert_true(sio_socket_join(socket_of(near), room));
    assert_true(sio_socket_join(socket_of(far), room));
    assert_true(json_tree_set(sio_socket_data(socket_of(far)), STR("user"),
                              json_tree_parse(STR("{\"name\":\"x\"}"))));
    target.rooms = &room;
    target.room_count = 1;
    outcome_init(&outcome);
    assert_true(
        cluster_fetch(world->servers[0].cluster, &target, 0, 0, &note_sockets, &outcome));
    assert_int_equal(outcome.text.size, 0); /* everything is told from the loop */
    expect_result(world, &outcome, CLUSTER_COMPLETE, 2, 2);
    assert_int_equal(occurrences(&outcome.text, "\n"), 2);
    snprintf(begin, sizeof(begin), "{\"id\":\"%.*s\",\"handshake\":{\"headers\":{", 20,
             sio_socket_id(socket_of(far)).at);
    assert_int_equal(occurrences(&outcome.text, begin), 1);
    assert_int_equal(occurrences(&outcome.text, "\"query\":{\"EIO\":\"4\",\"name\":\"a b\"}"),
                     2);
    assert_int_equal(occurrences(&outcome.text, "\"auth\":{}},\"rooms\":["), 2);
    assert_int_equal(occurrences(&outcome.text, ",\"red\"],\"data\":{"), 2);
    assert_int_equal(occurrences(&outcome.text, "\"data\":{\"user\":{\"name\":\"x\"}}}"), 1);
    buf_free(&outcome.text);

    outcome_init(&outcome);
    assert_true(cluster_fetch(world->servers[0].cluster, &target, 0, SIO_LOCAL, &note_sockets,
                              &outcome));
    expect_result(world, &outcome, CLUSTER_COMPLETE, 0, 0);
    assert_int_equal(occurrences(&outcome.text, "\n"), 1);
    buf_free(&outcome.text);
}

static void servers_are_counted(void **state)
{
    struct world *world = *state;

    wait_for_servers(world, 0, "/hub", 3);
    stop_server(world, 2);
    wait_for_servers(world, 0, "/hub", 2);
    stop_server(world, 1);
    wait_for_servers(world, 0, "/", 1);
}

/* --- events between servers ------------------------------------------------------------------ */

static void events_reach_the_other_servers_alone(void **state)
{
    struct world *world = *state;
    const struct sio_args args = event("[\"tick\",{\"n\":1},[2]]"), bare = event("[\"tock\"]");
    struct sio_namespace *hub = target_in(world, 0, "/hub").nsp;

    assert_true(cluster_server_emit(world->servers[0].cluster, hub, &args));
    assert_true(cluster_server_emit(world->servers[0].cluster, hub, &bare));
    for (int i = 1; i < WORLD_SERVERS; i++)
        expect_story(world, i,
                     "server event /hub tick[{\"n\":1},[2]]\nserver event /hub tock[]\n");
    expect_story(world, 0, "");
}

static void other_servers_answer_events(void **state)
{
    struct world *world = *state;
    const struct sio_args args = event("[\"who\"]");
    struct sio_namespace *hub = target_in(world, 0, "/hub").nsp;
    struct gathered outcome;

    world->servers[1].server_answer = STR("[{\"name\":\"one\"},\"not this\"]");
    world->servers[2].server_answer = STR("[]");
    outcome_init(&outcome);
    assert_true(cluster_server_emit_ack(world->servers[0].cluster, hub, &args, 0, &note_acks,
                                        &outcome));
    expect_result(world, &outcome, CLUSTER_COMPLETE, 2, 2);
    assert_int_equal(occurrences(&outcome.text, "[{\"name\":\"one\"}]\n"), 1);
    assert_int_equal(occurrences(&outcome.text, "[null]\n"), 1);
    buf_free(&outcome.text);
}

static void answers_that_came_are_kept_when_time_is_over(void **state)
{
    struct world *world = *state;
    const struct sio_args args = event("[\"who\"]"), late = event("[\"late\"]");
    struct sio_namespace *hub = target_in(world, 0, "/hub").nsp;
    struct gathered outcome;

    world->servers[1].server_answer = STR("[1]");
    outcome_init(&outcome);
    assert_true(cluster_server_emit_ack(world->servers[0].cluster, hub, &args, 300, &note_acks,
                                        &outcome));
    expect_result(world, &outcome, CLUSTER_TIMED_OUT, 2, 1);
    assert_int_equal(occurrences(&outcome.text, "[1]\n"), 1);
    assert_non_null(world->servers[2].withheld);
    cluster_server_answer(world->servers[2].withheld, &late);
    world->servers[2].withheld = NULL;
    wait_for_servers(world, 0, "/hub", WORLD_SERVERS);
    assert_int_equal(occurrences(&outcome.text, "\n"), 1);
    buf_free(&outcome.text);
}

/* --- broadcasts with acknowledgement --------------------------------------------------------- */

static void clients_of_all_servers_answer(void **state)
{
    struct world *world = *state;
    struct client *clients[3];
    struct sio_target target = target_in(world, 0, "/");
    const struct sio_args args = event("[\"sure?\"]");
    struct gathered outcome;

    for (int i = 0; i < 3; i++)
        clients[i] = connect_client(world, i, "/");
    outcome_init(&outcome);
    assert_true(cluster_broadcast_ack(world->servers[0].cluster, &target, &args, 20000, 0,
                                      &note_acks, &outcome));
    for (int i = 0; i < 3; i++)
        expect_message(world, clients[i], "20[\"sure?\"]");
    client_says(clients[1], "30[{\"yes\":true}]");
    client_says(clients[0], "30[\"a\",\"b\"]");
    client_says(clients[2], "30[]");
    expect_result(world, &outcome, CLUSTER_COMPLETE, 3, 3);
    assert_int_equal(occurrences(&outcome.text, "[{\"yes\":true}]\n"), 1);
    assert_int_equal(occurrences(&outcome.text, "[\"a\",\"b\"]\n"), 1);
    assert_int_equal(occurrences(&outcome.text, "[null]\n"), 1);
    buf_free(&outcome.text);
}

static void a_broadcast_that_nobody_gets_ends_without_answers(void **state)
{
    struct world *world = *state;
    struct sio_target target = target_in(world, 0, "/hub");
    const struct sio_args args = event("[\"sure?\"]");
    struct gathered outcome;

    outcome_init(&outcome);
    assert_true(cluster_broadcast_ack(world->servers[0].cluster, &target, &args, 20000, 0,
                                      &note_acks, &outcome));
    expect_result(world, &outcome, CLUSTER_COMPLETE, 0, 0);
    buf_free(&outcome.text);
}

static void a_client_that_does_not_answer_lets_the_time_run_out(void **state)
{
    struct world *world = *state;
    struct client *near = connect_client(world, 0, "/"), *far = connect_client(world, 1, "/"),
                  *silent = connect_client(world, 1, "/");
    struct sio_target target = target_in(world, 0, "/");
    const struct sio_args args = event("[\"sure?\"]");
    struct gathered outcome;

    outcome_init(&outcome);
    assert_true(cluster_broadcast_ack(world->servers[0].cluster, &target, &args, 400, 0,
                                      &note_acks, &outcome));
    expect_message(world, near, "20[\"sure?\"]");
    expect_message(world, far, "20[\"sure?\"]");
    expect_message(world, silent, "20[\"sure?\"]");
    client_says(near, "30[1]");
    client_says(far, "30[2]");
    expect_result(world, &outcome, CLUSTER_TIMED_OUT, 3, 2);
    assert_int_equal(occurrences(&outcome.text, "\n"), 2);
    buf_free(&outcome.text);
}

static void requests_end_with_the_server(void **state)
{
    struct world *world = *state;
    struct sio_target target = target_in(world, 0, "/hub");
    const struct sio_args args = event("[\"sure?\"]");
    struct gathered outcomes[2];

    connect_client(world, 0, "/hub");
    connect_client(world, 1, "/hub");
    for (int i = 0; i < 2; i++)
        outcome_init(&outcomes[i]);
    assert_true(cluster_broadcast_ack(world->servers[0].cluster, &target, &args, 20000, 0,
                                      &note_acks, &outcomes[0]));
    assert_true(cluster_server_emit_ack(world->servers[0].cluster, target.nsp, &args, 20000,
                                        &note_acks, &outcomes[1]));
    expect_story(world, 1, "server event /hub sure?[]\n");
    expect_story(world, 2, "server event /hub sure?[]\n");
    stop_server(world, 1); /* owes answers of its client and its application */
    stop_server(world, 0);
    for (int i = 0; i < 2; i++) {
        assert_true(outcomes[i].ended);
        buf_free(&outcomes[i].text);
    }
}

/* --- all ------------------------------------------------------------------------------------- */

#define CLUSTER_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

static inline int cluster_suite(const struct bus_factory *factory)
{
    struct CMUnitTest tests[] = {
        CLUSTER_TEST(a_broadcast_reaches_the_sockets_of_all_servers_once),
        CLUSTER_TEST(rooms_span_servers),
        CLUSTER_TEST(a_socket_of_another_server_is_reached_by_its_id),
        CLUSTER_TEST(binary_values_reach_other_servers),
        CLUSTER_TEST(a_local_broadcast_stays_here),
        CLUSTER_TEST(a_volatile_broadcast_is_dropped_where_it_cannot_be_sent),
        CLUSTER_TEST(an_event_for_one_socket_stays_with_it),
        CLUSTER_TEST(the_children_of_a_parent_are_reached_where_they_are),
        CLUSTER_TEST(joins_and_leaves_reach_other_servers),
        CLUSTER_TEST(sockets_of_other_servers_are_disconnected),
        CLUSTER_TEST(sockets_of_all_servers_are_fetched),
        CLUSTER_TEST(servers_are_counted),
        CLUSTER_TEST(events_reach_the_other_servers_alone),
        CLUSTER_TEST(other_servers_answer_events),
        CLUSTER_TEST(answers_that_came_are_kept_when_time_is_over),
        CLUSTER_TEST(clients_of_all_servers_answer),
        CLUSTER_TEST(a_broadcast_that_nobody_gets_ends_without_answers),
        CLUSTER_TEST(a_client_that_does_not_answer_lets_the_time_run_out),
        CLUSTER_TEST(requests_end_with_the_server),
    };

    for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
        tests[i].initial_state = (void *)factory;
    return cmocka_run_group_tests_name(factory->name, tests, NULL, NULL);
}

#endif
