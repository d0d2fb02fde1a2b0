#include "redis_fixture.h"

static struct fake *fake;

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    fake = fake_new();
    options.servers[0].port = fake->port;
    return 0;
}

static int tear_down(void **state)
{
    fake_free(fake);
    return tear_down_client(state);
}

static void bring_up(void)
{
    start();
    UNTIL(strcmp(told, "up;") == 0);
    told[0] = 0;
}

/* The connection with subscriptions. */
static struct fake_conn *subscriber(void)
{
    return fake_find(fake, "SUBSCRIBE");
}

static void all_kinds_are_confirmed_before_it_is_ready(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "b*");
    subscribe(REDIS_SHARD, "c");
    assert_false(redis_is_ready(redis));
    UNTIL(told[0]);
    assert_string_equal(told, "ready;");
    assert_true(redis_is_ready(redis));
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SUBSCRIBE a;PSUBSCRIBE b*;SSUBSCRIBE c;");
    assert_int_equal(fake->accepted, 2);
}

static void subscribing_twice_is_once(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "a"); /* another thing of the same name */
    UNTIL(strcmp(told, "ready;ready;") == 0);
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SUBSCRIBE a;PSUBSCRIBE a;");
}

static void messages_come_with_their_channel_and_pattern(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "b*");
    subscribe(REDIS_SHARD, "c");
    UNTIL(strcmp(told, "ready;") == 0);
    told[0] = 0;
    fake_say(subscriber(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
                           "*4\r\n$8\r\npmessage\r\n$2\r\nb*\r\n$3\r\nbcd\r\n$1\r\n2\r\n"
                           "*3\r\n$8\r\nsmessage\r\n$1\r\nc\r\n$0\r\n\r\n");
    UNTIL(strstr(told, "s:"));
    assert_string_equal(told, "m:a||1;p:bcd|b*|2;s:c||;");
}

static void a_message_that_comes_in_pieces_is_one(void **state)
{
    const char *piece = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$5\r\nhello\r\n";
    (void)state;

    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    told[0] = 0;
    for (; *piece; piece++) {
        const char byte[2] = {*piece, 0};

        fake_say(subscriber(), byte);
        turn();
    }
    UNTIL(told[0]);
    assert_string_equal(told, "m:a||hello;");
}

static void what_is_no_longer_wanted_is_not_told(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    told[0] = 0;
    fake_say(subscriber(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
    redis_unsubscribe(redis, REDIS_CHANNEL, STR("a"));
    UNTIL(strstr(subscriber()->heard, "UNSUBSCRIBE a;"));
    turn();
    assert_string_equal(told, "");
}

static void the_last_wish_counts(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "x");
    UNTIL(strcmp(told, "ready;") == 0);
    told[0] = 0;
    for (int i = 0; i < 3; i++) {
        subscribe(REDIS_CHANNEL, "a");
        redis_unsubscribe(redis, REDIS_CHANNEL, STR("a"));
    }
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(told[0]);
    assert_string_equal(told, "ready;");
    fake_say(subscriber(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
    UNTIL(strcmp(told, "ready;m:a||1;") == 0);
}

static void all_is_subscribed_again_after_a_gap(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "b*");
    subscribe(REDIS_CHANNEL, "gone");
    UNTIL(strcmp(told, "ready;") == 0);
    redis_unsubscribe(redis, REDIS_CHANNEL, STR("gone"));
    told[0] = 0;
    fake_hang_up(subscriber());
    UNTIL(strcmp(told, "gap;ready;") == 0);
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SUBSCRIBE a;PSUBSCRIBE b*;");
    assert_true(redis_is_up(redis)); /* the other link knew nothing of it */
}

static void what_is_wanted_while_there_is_no_server_is_subscribed_later(void **state)
{
    (void)state;
    fake_stop(fake);
    start();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "down;") == 0);
    subscribe(REDIS_CHANNEL, "b");
    redis_unsubscribe(redis, REDIS_CHANNEL, STR("a"));
    fake_listen(fake);
    UNTIL(strstr(told, "ready;") && strstr(told, "up;"));
    assert_null(strstr(told, "gap;"));
    assert_string_equal(subscriber()->heard, "CLIENT SETNAME skua;PING;SUBSCRIBE b;");
}

/* Hangs up in the middle of confirming. */
static int hang_ups;

static bool hangs_up_on_b(struct fake_conn *conn, const redisReply *sent)
{
    if (hang_ups == 0 || !fake_is(sent, 0, "SUBSCRIBE") || !fake_is(sent, 1, "b"))
        return false;
    hang_ups--;
    fake_hang_up(conn);
    return true;
}

static void a_link_that_breaks_between_confirmations_is_not_ready(void **state)
{
    (void)state;
    hang_ups = 3;
    fake->command = hangs_up_on_b;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_CHANNEL, "b");
    subscribe(REDIS_CHANNEL, "c");
    UNTIL(redis_is_ready(redis));
    turn();
    assert_int_equal(hang_ups, 0);
    assert_string_equal(strrchr(told, 'g') ? strrchr(told, 'g') : told, "gap;ready;");
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SUBSCRIBE a;SUBSCRIBE b;SUBSCRIBE c;");
}

static bool refuses_a(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "SUBSCRIBE") || !fake_is(sent, 1, "a"))
        return false;
    fake_say(conn, "-NOPERM No permissions to access a channel\r\n");
    return true;
}

static void a_refused_subscription_keeps_it_from_being_ready_and_is_tried_again(void **state)
{
    (void)state;
    fake->command = refuses_a;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_CHANNEL, "b");
    UNTIL(subscriber() && strstr(subscriber()->heard, "SUBSCRIBE b;"));
    turn();
    assert_false(redis_is_ready(redis));
    fake->command = NULL;
    UNTIL(strcmp(told, "ready;") == 0);
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SUBSCRIBE a;SUBSCRIBE b;SUBSCRIBE a;");
}

static void a_shard_channel_that_is_taken_away_is_asked_for_again(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_SHARD, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    fake_say(subscriber(), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\na\r\n:0\r\n");
    UNTIL(strcmp(told, "ready;gap;ready;") == 0);
    assert_string_equal(subscriber()->heard,
                        "CLIENT SETNAME skua;PING;SSUBSCRIBE a;SSUBSCRIBE a;");
}

static void our_own_sunsubscribe_is_not_taken_for_that(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_SHARD, "a");
    subscribe(REDIS_SHARD, "b");
    UNTIL(strcmp(told, "ready;") == 0);
    told[0] = 0;
    redis_unsubscribe(redis, REDIS_SHARD, STR("a"));
    fake_say(subscriber(), "*3\r\n$12\r\nsunsubscribe\r\n$1\r\nb\r\n:0\r\n");
    UNTIL(strstr(told, "ready;"));
    assert_string_equal(told, "gap;ready;");
    assert_string_equal(
        subscriber()->heard,
        "CLIENT SETNAME skua;PING;SSUBSCRIBE a;SSUBSCRIBE b;SUNSUBSCRIBE a;SSUBSCRIBE b;");
}

static void broken_messages_end_nothing_but_the_link(void **state)
{
    static const char *const broken[] = {
        "*0\r\n",
        "*1\r\n$7\r\nmessage\r\n",
        "*-1\r\n",
        "$-1\r\n",
        "+message\r\n",
        "*3\r\n:1\r\n:2\r\n:3\r\n",
        "*3\r\n$7\r\nmessage\r\n*0\r\n*0\r\n",
        "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n",
    };
    (void)state;

    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        told[0] = 0;
        fake_say(subscriber(), broken[i]);
        fake_say(subscriber(), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n");
        UNTIL(strcmp(told, "m:a||1;") == 0 || strcmp(told, "gap;ready;") == 0);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_kinds_are_confirmed_before_it_is_ready),
        TEST(subscribing_twice_is_once),
        TEST(messages_come_with_their_channel_and_pattern),
        TEST(a_message_that_comes_in_pieces_is_one),
        TEST(what_is_no_longer_wanted_is_not_told),
        TEST(the_last_wish_counts),
        TEST(all_is_subscribed_again_after_a_gap),
        TEST(what_is_wanted_while_there_is_no_server_is_subscribed_later),
        TEST(a_link_that_breaks_between_confirmations_is_not_ready),
        TEST(a_refused_subscription_keeps_it_from_being_ready_and_is_tried_again),
        TEST(a_shard_channel_that_is_taken_away_is_asked_for_again),
        TEST(our_own_sunsubscribe_is_not_taken_for_that),
        TEST(broken_messages_end_nothing_but_the_link),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
