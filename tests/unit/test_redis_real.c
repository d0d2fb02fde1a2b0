#include "redis_server.h"

/*
 * Against Redis itself: one server, by TCP and by unix socket.
 */

static struct server server;

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    server.port = free_port();
    options.servers[0].port = (uint16_t)server.port;
    return 0;
}

static int tear_down(void **state)
{
    server_stop(&server);
    return tear_down_client(state);
}

static void bring_up(const char *words)
{
    server_start(&server, words);
    start();
    UNTIL(redis_is_up(redis));
}

static void set_and_get(void **state)
{
    (void)state;
    bring_up("");
    assert_string_equal(ask(redis, "SET key value"), "OK");
    assert_string_equal(ask(redis, "GET key"), "value");
    assert_string_equal(ask(redis, "CLIENT GETNAME"), "skua");
    assert_string_equal(ask(redis, "GETT key"),
                        "ERR unknown command 'GETT', with args beginning "
                        "with: 'key' ");
}

static void databases_are_apart(void **state)
{
    (void)state;
    options.database = 7;
    bring_up("");
    ask(redis, "SET key seven");
    assert_string_equal(ask(redis, "SELECT 0"), "OK");
    assert_string_equal(ask(redis, "GET key"), "");
    assert_string_equal(ask(redis, "SELECT 7"), "OK");
    assert_string_equal(ask(redis, "GET key"), "seven");
}

static void by_a_unix_socket(void **state)
{
    char words[256];
    (void)state;

    snprintf(words, sizeof(words), "--unixsocket %s", in_folder("socket"));
    snprintf(options.unix_path, sizeof(options.unix_path), "%s", in_folder("socket"));
    bring_up(words);
    assert_string_equal(ask(redis, "PING"), "PONG");
    assert_string_equal(redis_where(redis) + 5, options.unix_path);
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strstr(told, "ready;"));
    assert_string_equal(ask(redis, "PUBLISH a 1"), "1");
    UNTIL(strstr(told, "m:a||1;"));
}

static void by_a_name(void **state)
{
    (void)state;
    snprintf(options.servers[0].host, sizeof(options.servers[0].host), "localhost");
    bring_up("");
    assert_string_equal(ask(redis, "PING"), "PONG");
}

static void a_name_that_is_none_is_told(void **state)
{
    (void)state;
    snprintf(options.servers[0].host, sizeof(options.servers[0].host), "no such.invalid");
    start();
    UNTIL(told[0]);
    assert_true(strncmp(reason, "cannot resolve \"no such.invalid\": ", 34) == 0);
}

static void may_be_freed_while_a_name_is_looked_up(void **state)
{
    (void)state;
    snprintf(options.servers[0].host, sizeof(options.servers[0].host), "localhost");
    server_start(&server, "");
    for (int i = 0; i < 20; i++) {
        start();
        for (int turns = 0; turns < i % 5; turns++)
            turn();
        redis_free(redis);
        redis = NULL;
    }
    assert_null(strstr(told, "down;"));
}

static void by_user_and_password(void **state)
{
    (void)state;
    snprintf(options.username, sizeof(options.username), "app");
    snprintf(options.password, sizeof(options.password), "secret");
    bring_up("--user app on >secret ~* &* +@all --user default off");
    assert_string_equal(ask(redis, "ACL WHOAMI"), "app");
}

static void a_wrong_password_is_told(void **state)
{
    (void)state;
    snprintf(options.password, sizeof(options.password), "wrong");
    server_start(&server, "--requirepass secret");
    start();
    UNTIL(strstr(reason, "WRONGPASS"));
}

static void no_password_where_one_is_needed_is_told(void **state)
{
    (void)state;
    server_start(&server, "--requirepass secret");
    start();
    UNTIL(strstr(reason, "NOAUTH"));
}

static void a_user_without_a_right_to_a_channel_is_told_by_not_being_ready(void **state)
{
    (void)state;
    bring_up("--user default on nopass ~* &allowed* +@all");
    subscribe(REDIS_CHANNEL, "allowed1");
    UNTIL(redis_is_ready(redis));
    subscribe(REDIS_CHANNEL, "forbidden");
    subscribe(REDIS_CHANNEL, "allowed2");
    ask(redis, "PING");
    assert_false(redis_is_ready(redis));
    assert_string_equal(ask(redis, "ACL SETUSER default allchannels"), "OK");
    UNTIL(redis_is_ready(redis));
}

static void messages_of_all_kinds(void **state)
{
    (void)state;
    bring_up("");
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "b*");
    subscribe(REDIS_SHARD, "c");
    UNTIL(redis_is_ready(redis));
    UNTIL(strstr(told, "ready;"));
    told[0] = 0;
    ask(redis, "PUBLISH a 1");
    ask(redis, "PUBLISH b2 2");
    ask(redis, "SPUBLISH c 3");
    UNTIL(strstr(told, "s:"));
    assert_string_equal(told, "m:a||1;p:b2|b*|2;s:c||3;");
    assert_string_equal(ask(redis, "PUBSUB NUMPAT"), "1");
    redis_unsubscribe(redis, REDIS_PATTERN, STR("b*"));
    redis_unsubscribe(redis, REDIS_SHARD, STR("c"));
    UNTIL(strcmp(ask(redis, "PUBSUB NUMPAT"), "0") == 0);
    assert_string_equal(ask(redis, "SPUBLISH c 3"), "0");
}

static size_t large_size;

static void take_large(void *owner, enum redis_kind kind, struct str channel,
                       struct str pattern, struct str payload)
{
    (void)owner;
    (void)kind;
    (void)channel;
    (void)pattern;
    large_size = payload.size;
    for (size_t i = 0; i < payload.size; i += 4093)
        assert_int_equal((uint8_t)payload.at[i], (uint8_t)(i * 31));
}

static void a_message_of_50_megabytes_passes(void **state)
{
    enum { SIZE = 50 * 1000 * 1000 };
    struct redis_events larger = events;
    struct str argv[] = {STR("PUBLISH"), STR("a"), STR("")};
    struct outcome outcome = {0};
    char fault[REDIS_FAULT_MAX];
    char *large = malloc(SIZE);
    (void)state;

    for (size_t i = 0; i < SIZE; i++)
        large[i] = (char)(i * 31);
    argv[2] = str_of(large, SIZE);
    larger.message = take_large;
    server_start(&server, "--client-output-buffer-limit pubsub 0 0 0");
    redis = redis_new(loop, &chance, &quiet, &options, &larger, fault);
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_up(redis) && redis_is_ready(redis));
    redis_command(redis, argv, 3, answered, &outcome);
    UNTIL(outcome.times == 1 && large_size == SIZE);
    assert_int_equal(outcome.integer, 1);
    free(large);
}

static void all_is_back_soon_after_a_restart(void **state)
{
    struct outcome queued;
    (void)state;

    bring_up("");
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_ready(redis));
    UNTIL(strstr(told, "ready;"));
    told[0] = 0;
    server_kill(&server);
    UNTIL(strstr(told, "gap;") && strstr(told, "down;"));
    told[0] = 0;
    command(&queued, "PUBLISH", "queued");
    server_start(&server, "");
    UNTIL(strstr(told, "up;") && strstr(told, "ready;"));
    UNTIL(queued.times == 1);
    assert_int_equal(queued.end, REDIS_ANSWERED);
    assert_string_equal(ask(redis, "PUBLISH a again"), "1");
    UNTIL(strstr(told, "m:a||again;"));
}

static void a_stalled_server_times_out_and_is_used_again(void **state)
{
    const struct redis_how how = {.timeout_ms = 50};
    struct outcome slow;
    (void)state;

    bring_up("");
    kill(server.pid, SIGSTOP);
    command_how(&slow, &how, "PING", NULL);
    UNTIL(slow.times == 1);
    assert_int_equal(slow.end, REDIS_TIMED_OUT);
    kill(server.pid, SIGCONT);
    assert_string_equal(ask(redis, "ECHO back"), "back");
    assert_string_equal(told, "up;");
}

static void what_a_stalled_server_does_not_take_is_bounded(void **state)
{
    enum { COUNT = 200, SIZE = 100 * 1000 };
    static struct outcome outcomes[COUNT];
    char *large = malloc(SIZE);
    size_t full = 0;
    (void)state;

    memset(large, 'x', SIZE - 1);
    large[SIZE - 1] = 0;
    options.queue_bytes = 1000 * 1000;
    bring_up("");
    kill(server.pid, SIGSTOP);
    for (int i = 0; i < COUNT; i++) {
        command(&outcomes[i], "ECHO", large);
        turn();
    }
    UNTIL(outcomes[COUNT - 1].times == 1); /* refused at once */
    kill(server.pid, SIGCONT);
    for (int i = 0; i < COUNT; i++) {
        UNTIL(outcomes[i].times == 1);
        full += outcomes[i].end == REDIS_QUEUE_FULL;
        assert_true(outcomes[i].end == REDIS_QUEUE_FULL || outcomes[i].end == REDIS_ANSWERED);
    }
    assert_in_range(full, 1, COUNT - 10);
    assert_string_equal(told, "up;");
    free(large);
}

static void a_killed_connection_is_made_again(void **state)
{
    (void)state;
    bring_up("");
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "up;ready;") == 0);
    ask(redis, "CLIENT KILL TYPE pubsub");
    UNTIL(strcmp(told, "up;ready;gap;ready;") == 0);
    ask(redis, "CLIENT KILL TYPE normal SKIPME no");
    UNTIL(strcmp(told, "up;ready;gap;ready;down;up;") == 0);
}

static void a_blocking_read_of_a_stream_waits_on_its_own_link(void **state)
{
    const struct redis_link_events own = {0};
    const struct redis_how how = {.timeout_ms = 20000};
    const struct str xread[] = {STR("XREAD"),   STR("BLOCK"), STR("15000"),
                                STR("STREAMS"), STR("s"),     STR("$")};
    struct outcome blocked = {0};
    struct redis_link *link;
    (void)state;

    bring_up("");
    link = redis_link_open(redis, STR("s"), &own);
    redis_link_command(link, &how, xread, 6, answered, &blocked);
    while (blocked.times == 0)
        ask(redis, "XADD s * k v");
    assert_int_equal(blocked.end, REDIS_ANSWERED);
    assert_int_equal(blocked.type, REDIS_REPLY_ARRAY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(set_and_get),
        TEST(databases_are_apart),
        TEST(by_a_unix_socket),
        TEST(by_a_name),
        TEST(a_name_that_is_none_is_told),
        TEST(may_be_freed_while_a_name_is_looked_up),
        TEST(by_user_and_password),
        TEST(a_wrong_password_is_told),
        TEST(no_password_where_one_is_needed_is_told),
        TEST(a_user_without_a_right_to_a_channel_is_told_by_not_being_ready),
        TEST(messages_of_all_kinds),
        TEST(a_message_of_50_megabytes_passes),
        TEST(all_is_back_soon_after_a_restart),
        TEST(a_stalled_server_times_out_and_is_used_again),
        TEST(what_a_stalled_server_does_not_take_is_bounded),
        TEST(a_killed_connection_is_made_again),
        TEST(a_blocking_read_of_a_stream_waits_on_its_own_link),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
