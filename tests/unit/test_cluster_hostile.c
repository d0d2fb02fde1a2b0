#include "cluster_fixture.h"

#include "cluster/bus_mailbox.h"

#include <limits.h>

/*
 * What servers of a cluster may say that they should not: a stranger with a bus of its own, who
 * hears what they say.
 */

static void *start_hub(struct net_loop *loop)
{
    (void)loop;
    return mailbox_hub_new();
}

static void stop_hub(void *shared)
{
    mailbox_hub_unref(shared);
}

static struct cluster_bus *make_mailbox(void *shared, struct net_loop *loop,
                                        struct random *random, const struct log *log)
{
    (void)log;
    return bus_mailbox_new(shared, loop, random, false);
}

static const struct bus_factory mailbox = {"mailbox", false, start_hub, stop_hub, make_mailbox};

struct stranger {
    struct world *world;
    struct random random;
    struct cluster_bus *bus;
    struct cluster_bus_handler handler;
    char asker[64];   /* who asked last, and what it is called */
    char request[64]; /* of the last request */
    int requests;
    int answers;
};

static void hear(void *owner, const struct cluster_message *message)
{
    struct stranger *stranger = owner;

    if (cluster_is_answer(message->kind))
        stranger->answers++;
    if (message->request.size == 0 || cluster_is_answer(message->kind))
        return;
    snprintf(stranger->asker, sizeof(stranger->asker), "%.*s", (int)message->sender.size,
             message->sender.at);
    snprintf(stranger->request, sizeof(stranger->request), "%.*s", (int)message->request.size,
             message->request.at);
    stranger->requests++;
}

static void nothing(void *owner, struct str nsp)
{
    (void)owner;
    (void)nsp;
}

static bool has_room(void *owner, struct str nsp, struct str room)
{
    (void)owner;
    (void)nsp;
    (void)room;
    return true;
}

static void come(struct world *world, struct stranger *stranger)
{
    *stranger = (struct stranger){
        .world = world,
        .handler =
            {
                      .message = hear,
                      .gap = nothing,
                      .ready = nothing,
                      .has_room = has_room,
                      },
    };
    stranger->handler.owner = stranger;
    random_init(&stranger->random);
    stranger->bus = bus_mailbox_new(world->shared, world->loop, &stranger->random, false);
    assert_non_null(stranger->bus);
    stranger->bus->handler = &stranger->handler;
    assert_true(stranger->bus->type->open(stranger->bus, STR("/")));
}

static void go(struct stranger *stranger)
{
    stranger->bus->type->free(stranger->bus);
}

static void say_to_all(struct stranger *stranger, struct cluster_message message)
{
    message.nsp = message.nsp.size > 0 ? message.nsp : STR("/");
    assert_true(stranger->bus->type->send(stranger->bus, &message));
}

static bool was_asked(struct world *world, void *context)
{
    (void)world;
    return ((struct stranger *)context)->requests > 0;
}

static void answer(struct stranger *stranger, struct cluster_message message)
{
    wait_until(stranger->world, was_asked, stranger, "a question");
    message.request = message.request.size > 0 ? message.request : str_from(stranger->request);
    message.to = str_from(stranger->asker);
    say_to_all(stranger, message);
}

/* Everything that was said before has been taken in. */
static void settle(struct stranger *stranger, struct client *client)
{
    say_to_all(stranger, (struct cluster_message){.args = {.json = STR("[\"settled\"]")}});
    expect_message(stranger->world, client, "2[\"settled\"]");
}

/* --- answers --------------------------------------------------------------------------------- */

static void answers_that_nobody_asked_for_are_ignored(void **state)
{
    struct world *world = *state;
    struct client *client = connect_client(world, 0, "/");
    struct stranger stranger;

    come(world, &stranger);
    for (int kind = CLUSTER_SOCKETS; kind <= CLUSTER_CLIENT_ANSWER; kind++)
        say_to_all(&stranger, (struct cluster_message){.kind = (enum cluster_kind)kind,
                                                       .request = STR("x"),
                                                       .to = STR("y"),
                                                       .args = {.json = STR("[1]")},
                                                       .json = STR("[]")});
    settle(&stranger, client);
    go(&stranger);
}

static void an_answer_of_another_kind_answers_nothing(void **state)
{
    struct world *world = *state;
    struct client *client = connect_client(world, 0, "/");
    struct sio_target target = target_in(world, 0, "/");
    struct stranger stranger;
    struct gathered gathered;

    come(world, &stranger);
    outcome_init(&gathered);
    assert_true(
        cluster_fetch(world->servers[0].cluster, &target, 500, 0, &note_sockets, &gathered));
    answer(&stranger, (struct cluster_message){.kind = CLUSTER_CLIENT_COUNT, .count = 3});
    answer(&stranger, (struct cluster_message){.kind = CLUSTER_SERVER_ANSWER,
                                               .args = {.json = STR("[1]")}});
    answer(&stranger, (struct cluster_message){.kind = CLUSTER_ROOMS, .json = STR("[]")});
    settle(&stranger, client);
    expect_result(world, &gathered, CLUSTER_TIMED_OUT, 3, 2);
    assert_int_equal(occurrences(&gathered.text, "\n"), 1);
    buf_free(&gathered.text);
    go(&stranger);
}

static void broken_lists_of_sockets_are_ignored(void **state)
{
    static const char *const broken[] = {"", "[", "[{]", "[{\"id\":1}", "{\"id\":1} x"};
    struct world *world = *state;
    struct sio_target target = target_in(world, 0, "/");
    struct stranger stranger;
    struct gathered gathered;

    come(world, &stranger);
    outcome_init(&gathered);
    assert_true(
        cluster_fetch(world->servers[0].cluster, &target, 20000, 0, &note_sockets, &gathered));
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        answer(&stranger,
               (struct cluster_message){.kind = CLUSTER_SOCKETS, .json = str_from(broken[i])});
    answer(&stranger, (struct cluster_message){.kind = CLUSTER_SOCKETS,
                                               .json = STR("[1,null,[],{\"id\":\"odd\"}]")});
    expect_result(world, &gathered, CLUSTER_COMPLETE, 3, 3);
    assert_true(str_equal(buf_str(&gathered.text), STR("{\"id\":\"odd\"}\n")));
    buf_free(&gathered.text);
    go(&stranger);
}

static void who_answers_twice_is_heard_once(void **state)
{
    struct world *world = *state;
    struct sio_namespace *root = target_in(world, 0, "/").nsp;
    const struct sio_args args = event("[\"who\"]");
    struct stranger stranger;
    struct gathered gathered;

    come(world, &stranger);
    outcome_init(&gathered);
    assert_true(cluster_server_emit_ack(world->servers[0].cluster, root, &args, 500, &note_acks,
                                        &gathered));
    for (int i = 0; i < 10; i++)
        answer(&stranger, (struct cluster_message){.kind = CLUSTER_SERVER_ANSWER,
                                                   .args = {.json = STR("[1]")}});
    expect_result(world, &gathered, CLUSTER_COMPLETE, 3, 3);
    assert_int_equal(occurrences(&gathered.text, "[1]\n"), 3);
    buf_free(&gathered.text);
    go(&stranger);
}

static void clients_that_were_not_counted_do_not_answer(void **state)
{
    struct world *world = *state;
    struct sio_target target = target_in(world, 0, "/");
    const struct sio_args args = event("[\"sure?\"]");
    const struct cluster_message answers = {.kind = CLUSTER_CLIENT_ANSWER,
                                            .args = {.json = STR("[7]")}};
    struct stranger stranger;
    struct gathered gathered;

    come(world, &stranger);
    outcome_init(&gathered);
    assert_true(cluster_broadcast_ack(world->servers[0].cluster, &target, &args, 600, 0,
                                      &note_acks, &gathered));
    answer(&stranger, answers);
    answer(&stranger, answers);
    answer(&stranger, (struct cluster_message){.kind = CLUSTER_CLIENT_COUNT, .count = 2});
    answer(&stranger,
           (struct cluster_message){.kind = CLUSTER_CLIENT_COUNT, .count = UINT32_MAX});
    answer(&stranger, answers);
    expect_result(world, &gathered, CLUSTER_TIMED_OUT, 2, 1);
    assert_int_equal(occurrences(&gathered.text, "[7]\n"), 1);
    buf_free(&gathered.text);
    go(&stranger);
}

/* --- requests -------------------------------------------------------------------------------- */

static void kinds_and_namespaces_that_do_not_exist_are_ignored(void **state)
{
    struct world *world = *state;
    struct client *client = connect_client(world, 0, "/");
    struct stranger stranger;

    come(world, &stranger);
    say_to_all(&stranger, (struct cluster_message){.kind = (enum cluster_kind)99});
    say_to_all(&stranger, (struct cluster_message){.kind = (enum cluster_kind)INT_MAX});
    say_to_all(&stranger, (struct cluster_message){.kind = CLUSTER_FETCH,
                                                   .nsp = STR("/nowhere"),
                                                   .request = STR("x")});
    settle(&stranger, client);
    assert_int_equal(stranger.answers, 0);
    go(&stranger);
}

static void events_of_servers_without_a_name_are_ignored(void **state)
{
    static const char *const broken[] = {"[]", "[null]", "[{}]",    "[[\"x\"]]",
                                         "{}", "1",      "[true,1]"};
    struct world *world = *state;
    struct client *client = connect_client(world, 0, "/");
    struct stranger stranger;

    come(world, &stranger);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        say_to_all(&stranger, (struct cluster_message){.kind = CLUSTER_SERVER_EMIT,
                                                       .args = {.json = str_from(broken[i])}});
    settle(&stranger, client);
    assert_int_equal(world->servers[0].story.size, 0);
    say_to_all(&stranger,
               (struct cluster_message){.kind = CLUSTER_SERVER_EMIT,
                                        .args = {.json = STR("[ 5 , \"\\u0041\" ]")}});
    expect_story(world, 0, "server event / 5[\"\\u0041\" ]\n");
    go(&stranger);
}

static void odd_targets_reach_whom_they_mean(void **state)
{
    struct world *world = *state;
    struct client *client = connect_client(world, 0, "/");
    struct str rooms[] = {STR(""), STR("nobody"), STR("")};
    struct stranger stranger;

    come(world, &stranger);
    say_to_all(&stranger, (struct cluster_message){
                              .kind = CLUSTER_DISCONNECT, .rooms = rooms, .room_count = 3});
    say_to_all(&stranger, (struct cluster_message){
                              .kind = CLUSTER_JOIN, .changed = rooms, .changed_count = 3});
    say_to_all(&stranger, (struct cluster_message){.rooms = rooms,
                                                   .room_count = 3,
                                                   .flags = UINT_MAX & ~(unsigned)SIO_VOLATILE,
                                                   .args = {.json = STR("[\"once\"]")}});
    expect_message(world, client, "2[\"once\"]");
    settle(&stranger, client);
    expect_silence(client);
    go(&stranger);
}

/* --- what is owed ---------------------------------------------------------------------------- */

enum {
    QUESTIONS = 200,
};

static bool are_counted(struct world *world, void *context)
{
    (void)world;
    return ((struct stranger *)context)->answers == QUESTIONS * WORLD_SERVERS;
}

/* Run under AddressSanitizer: all of it is freed. */
static void questions_that_nobody_answers_end_with_the_server(void **state)
{
    struct world *world = *state;
    struct stranger stranger;
    char request[32];

    connect_client(world, 0, "/");
    come(world, &stranger);
    for (int i = 0; i < QUESTIONS; i++) {
        snprintf(request, sizeof(request), "r%d", i);
        say_to_all(&stranger, (struct cluster_message){.request = str_from(request),
                                                       .timeout_ms = UINT32_MAX,
                                                       .args = {.json = STR("[\"ask\"]")}});
    }
    wait_until(world, are_counted, &stranger, "the counts of clients");
    go(&stranger);
}

#define HOSTILE_TEST(name)                                                                     \
    {                                                                                          \
#name, name, world_setup, world_teardown, (void *)&mailbox                             \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        HOSTILE_TEST(answers_that_nobody_asked_for_are_ignored),
        HOSTILE_TEST(an_answer_of_another_kind_answers_nothing),
        HOSTILE_TEST(broken_lists_of_sockets_are_ignored),
        HOSTILE_TEST(who_answers_twice_is_heard_once),
        HOSTILE_TEST(clients_that_were_not_counted_do_not_answer),
        HOSTILE_TEST(kinds_and_namespaces_that_do_not_exist_are_ignored),
        HOSTILE_TEST(events_of_servers_without_a_name_are_ignored),
        HOSTILE_TEST(odd_targets_reach_whom_they_mean),
        HOSTILE_TEST(questions_that_nobody_answers_end_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
