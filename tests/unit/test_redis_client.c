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

static struct fake_conn *only_conn(void)
{
    return fake_find(fake, "PING;");
}

/* ---- connecting ---- */

static void introduces_itself_before_it_is_up(void **state)
{
    (void)state;
    snprintf(options.username, sizeof(options.username), "app");
    snprintf(options.password, sizeof(options.password), "secret");
    options.database = 3;
    bring_up();
    assert_string_equal(only_conn()->heard,
                        "AUTH app secret;SELECT 3;CLIENT SETNAME skua;PING;");
    assert_int_equal(only_conn()->reads, 1);
    assert_true(redis_is_up(redis));
}

static void a_password_alone_is_the_default_user_s(void **state)
{
    (void)state;
    snprintf(options.password, sizeof(options.password), "secret");
    options.client_name[0] = 0;
    bring_up();
    assert_string_equal(only_conn()->heard, "AUTH secret;PING;");
}

static bool wrong_password(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "AUTH"))
        return false;
    fake_say(conn, "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    return true;
}

static void a_wrong_password_is_told_and_not_tried_again_at_once(void **state)
{
    (void)state;
    fake->command = wrong_password;
    snprintf(options.password, sizeof(options.password), "secret");
    start();
    UNTIL(strcmp(told, "down;") == 0);
    assert_non_null(strstr(reason, "WRONGPASS"));
    assert_null(strstr(reason, "secret"));

    uint64_t since = net_loop_now(loop);

    UNTIL(net_loop_now(loop) - since > 2500); /* more than the longest usual wait */
    assert_int_equal(fake->accepted, 1);
    assert_string_equal(told, "down;");
}

static bool wrong_database(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "SELECT"))
        return false;
    fake_say(conn, "-ERR DB index is out of range\r\n");
    return true;
}

static void a_wrong_database_is_told(void **state)
{
    (void)state;
    fake->command = wrong_database;
    options.database = 99;
    start();
    UNTIL(strcmp(told, "down;") == 0);
    assert_string_equal(reason, "database 99 was refused: ERR DB index is out of range");
}

static int loading;

static bool loads_at_first(struct fake_conn *conn, const redisReply *sent)
{
    if (loading == 0)
        return false;
    if (fake_is(sent, 0, "PING"))
        loading--;
    fake_say(conn, "-LOADING Redis is loading the dataset in memory\r\n");
    return true;
}

static void waits_for_a_server_that_is_loading(void **state)
{
    (void)state;
    loading = 3;
    fake->command = loads_at_first;
    start();
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_int_equal(fake->accepted, 4);
}

static void tries_until_somebody_listens(void **state)
{
    (void)state;
    fake_stop(fake);
    start();
    UNTIL(strcmp(told, "down;") == 0);
    assert_string_equal(reason, "Connection refused");
    fake_listen(fake);
    UNTIL(strcmp(told, "down;up;") == 0);
}

static bool speaks_http(struct fake_conn *conn, const redisReply *sent)
{
    (void)sent;
    fake_say(conn, "HTTP/1.1 400 Bad Request\r\n\r\n");
    fake_hang_up(conn);
    return true;
}

static bool denies;

static bool denies_at_first(struct fake_conn *conn, const redisReply *sent)
{
    if (!denies || !fake_is(sent, 0, "PING"))
        return false;
    denies = false;
    fake_say(conn, "-NOAUTH Authentication required.\r\n");
    return true;
}

static void a_link_that_gets_through_hurries_the_others(void **state)
{
    uint64_t since = net_loop_now(loop);
    (void)state;

    denies = true;
    fake->command = denies_at_first;
    start();
    UNTIL(strcmp(told, "down;") == 0);
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strstr(told, "up;") && strstr(told, "ready;"));
    assert_true(net_loop_now(loop) - since < 5000); /* the least after a denial */
}

static void says_when_the_server_is_none(void **state)
{
    (void)state;
    fake->command = speaks_http;
    start();
    UNTIL(told[0]);
    assert_string_equal(reason, "the server does not speak Redis's protocol: "
                                "Protocol error, got \"H\" as reply type byte");
}

static bool says_nothing(struct fake_conn *conn, const redisReply *sent)
{
    (void)conn;
    (void)sent;
    return true;
}

static void gives_up_a_handshake_that_is_not_answered(void **state)
{
    (void)state;
    options.connect_timeout_ms = 30;
    fake->command = says_nothing;
    start();
    UNTIL(told[0]);
    assert_string_equal(reason, "the server does not answer");
    fake->command = NULL;
    UNTIL(strcmp(told, "down;up;") == 0);
}

/* ---- commands ---- */

static void commands_are_answered_in_order(void **state)
{
    struct outcome first, second;
    (void)state;

    bring_up();
    command(&first, "PING", NULL);
    command(&second, "SET", "x");
    UNTIL(second.times == 1);
    assert_int_equal(first.times, 1);
    assert_string_equal(first.text, "PONG");
    assert_string_equal(second.text, "OK");
    assert_int_equal(second.type, REDIS_REPLY_STATUS);
}

static void commands_of_a_turn_leave_together(void **state)
{
    struct outcome outcomes[100];
    struct fake_conn *conn;
    (void)state;

    bring_up();
    conn = only_conn();
    conn->heard[0] = 0;
    conn->reads = 0;
    for (int i = 0; i < 100; i++)
        command(&outcomes[i], "PING", NULL);
    UNTIL(outcomes[99].times == 1);
    assert_int_equal(conn->reads, 1);
}

static bool echoes(struct fake_conn *conn, const redisReply *sent)
{
    char head[32];

    if (!fake_is(sent, 0, "ECHO"))
        return false;
    snprintf(head, sizeof(head), "$%zu\r\n", sent->element[1]->len);
    fake_say(conn, head);
    assert_int_equal(write(conn->io.fd, sent->element[1]->str, sent->element[1]->len),
                     sent->element[1]->len);
    fake_say(conn, "\r\n");
    return true;
}

static size_t echoed;

static void take_echo(void *owner, const struct redisReply *reply, enum redis_end end)
{
    const struct str *sent = owner;

    assert_int_equal(end, REDIS_ANSWERED);
    assert_int_equal(reply->len, sent->size);
    assert_memory_equal(reply->str, sent->at, sent->size);
    echoed++;
}

static void any_bytes_pass(void **state)
{
    struct str all[] = {STR("ECHO"), STR("")};
    char bytes[256 + 2];
    (void)state;

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    memcpy(bytes + 256, "\r\n", 2);
    fake->command = echoes;
    bring_up();
    echoed = 0;
    redis_command(redis, all, 2, take_echo, &all[1]);
    UNTIL(echoed == 1);
    all[1] = str_of(bytes, sizeof(bytes));
    redis_command(redis, all, 2, take_echo, &all[1]);
    UNTIL(echoed == 2);
}

static bool mute_get(struct fake_conn *conn, const redisReply *sent)
{
    (void)conn;
    return fake_is(sent, 0, "GET");
}

static bool errs(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return false;
    fake_say(conn, "-WRONGTYPE Operation against a key\r\n");
    return true;
}

static void a_server_that_stops_answering_is_left(void **state)
{
    struct outcome outcome;
    (void)state;

    options.silence_ms = 100;
    options.command_timeout_ms = 80;
    fake->command = mute_get;
    bring_up();
    command(&outcome, "GET", "x");
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_string_equal(reason, "the server has stopped answering");
    assert_int_equal(outcome.times, 1);
    assert_true(outcome.end == REDIS_LOST || outcome.end == REDIS_TIMED_OUT);
}

static bool only_greets(struct fake_conn *conn, const redisReply *sent)
{
    return fake_is(sent, 0, "PING") && strstr(conn->heard, "PING;PING;");
}

static void an_idle_connection_is_checked(void **state)
{
    (void)state;
    options.silence_ms = 400;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_ready(redis));
    UNTIL(fake_find(fake, "PING;PING;PING;PING;") &&
          fake_find(fake, "SUBSCRIBE a;PING;PING;PING;"));
    assert_string_equal(told, "ready;");
    fake->command = only_greets;
    UNTIL(strstr(told, "down;") && strstr(told, "gap;") && strstr(told, "up;"));
    assert_string_equal(reason, "the server has stopped answering");
}

static void a_blocking_command_may_take_its_time(void **state)
{
    const struct redis_how how = {.timeout_ms = 800};
    struct outcome outcome;
    uint64_t since;
    (void)state;

    options.silence_ms = 200;
    fake->command = mute_get;
    bring_up();
    since = net_loop_now(loop);
    command_how(&outcome, &how, "GET", "x");
    UNTIL(outcome.times == 1);
    assert_true(net_loop_now(loop) - since >= 800);
    UNTIL(strcmp(told, "down;up;") == 0);
}

static void an_error_of_the_server_is_an_answer(void **state)
{
    struct outcome outcome;
    (void)state;

    fake->command = errs;
    bring_up();
    command(&outcome, "GET", "x");
    UNTIL(outcome.times == 1);
    assert_int_equal(outcome.end, REDIS_ANSWERED);
    assert_int_equal(outcome.type, REDIS_REPLY_ERROR);
    assert_string_equal(outcome.text, "WRONGTYPE Operation against a key");
}

static void commands_wait_for_the_link(void **state)
{
    struct outcome outcome, refused;
    struct redis_counts counts;
    (void)state;

    fake_stop(fake);
    start();
    command(&outcome, "SET", "x");
    command_how(&refused, &at_once, "SET", "y");
    UNTIL(refused.times == 1);
    assert_int_equal(refused.end, REDIS_DOWN);
    assert_int_equal(outcome.times, 0);
    redis_count(redis, &counts);
    assert_int_equal(counts.queued_bytes, strlen("*2\r\n$3\r\nSET\r\n$1\r\nx\r\n"));
    assert_int_equal(counts.refused, 1);
    fake_listen(fake);
    UNTIL(outcome.times == 1);
    assert_int_equal(outcome.end, REDIS_ANSWERED);
    redis_count(redis, &counts);
    assert_int_equal(counts.queued_bytes, 0);
    assert_int_equal(counts.sent, 1);
    assert_int_equal(counts.answered, 1);
}

static void a_wait_in_the_queue_may_be_limited(void **state)
{
    const struct redis_how how = {.queue_ms = 10};
    struct outcome outcome;
    struct redis_counts counts;
    (void)state;

    fake_stop(fake);
    start();
    command_how(&outcome, &how, "SET", "x");
    UNTIL(outcome.times == 1);
    assert_int_equal(outcome.end, REDIS_TIMED_OUT);
    redis_count(redis, &counts);
    assert_int_equal(counts.queued_bytes, 0);
    assert_int_equal(counts.timed_out, 1);
}

static void a_full_queue_refuses(void **state)
{
    struct outcome fits, refused, larger;
    char large[200];
    (void)state;

    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = 0;
    options.queue_bytes = strlen("*1\r\n$4\r\nPING\r\n");
    fake_stop(fake);
    start();
    command(&larger, "SET", large);
    command(&fits, "PING", NULL);
    command(&refused, "PING", NULL);
    UNTIL(refused.times == 1 && larger.times == 1);
    assert_int_equal(refused.end, REDIS_QUEUE_FULL);
    assert_int_equal(larger.end, REDIS_QUEUE_FULL);
    assert_int_equal(fits.times, 0);
    fake_listen(fake);
    UNTIL(fits.times == 1);
    assert_int_equal(fits.end, REDIS_ANSWERED);

    /* on a link that takes it, one larger than the bound passes */
    command(&larger, "SET", large);
    UNTIL(larger.times == 1);
    assert_int_equal(larger.end, REDIS_ANSWERED);
}

static bool hangs_up_on_get(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return false;
    fake_hang_up(conn);
    return true;
}

static void commands_that_were_sent_are_lost_with_the_link_and_not_sent_again(void **state)
{
    struct outcome first, second, third;
    struct redis_counts counts;
    (void)state;

    fake->command = hangs_up_on_get;
    bring_up();
    command(&first, "PING", NULL);
    command(&second, "GET", "x");
    command(&third, "PING", NULL);
    UNTIL(third.times == 1);
    assert_int_equal(first.end, REDIS_ANSWERED);
    assert_int_equal(second.end, REDIS_LOST);
    assert_int_equal(third.end, REDIS_LOST);
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_string_equal(only_conn()->heard, "CLIENT SETNAME skua;PING;");
    redis_count(redis, &counts);
    assert_int_equal(counts.lost, 2);
    assert_int_equal(counts.reconnects, 1);
}

static void a_late_answer_is_not_taken_for_the_next_one(void **state)
{
    const struct redis_how how = {.timeout_ms = 10};
    struct outcome slow, next;
    struct redis_counts counts;
    (void)state;

    fake->command = mute_get;
    bring_up();
    command_how(&slow, &how, "GET", "x");
    UNTIL(slow.times == 1);
    assert_int_equal(slow.end, REDIS_TIMED_OUT);
    fake_say(only_conn(), "$4\r\nlate\r\n");
    command(&next, "PING", NULL);
    UNTIL(next.times == 1);
    assert_string_equal(next.text, "PONG");
    assert_int_equal(slow.times, 1);
    redis_count(redis, &counts);
    assert_int_equal(counts.timed_out, 1);
    assert_int_equal(counts.answered, 1);
}

static const char *answer_to_get;

static bool answers_get(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return false;
    fake_say(conn, answer_to_get);
    return true;
}

static void what_is_no_reply_ends_the_link(void **state)
{
    static const char *const garbage[] = {
        "*4294967295\r\n", /* CVE-2021-32765 */
        "*1048577\r\n",    /* more than is believed */
        "*9223372036854775807\r\n",
        "$-2\r\n",
        "$99999999999999999999\r\n",
        ":1x\r\n",
        "!boo\r\n",
        "\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*-7\r\n",
    };
    struct outcome outcome;
    (void)state;

    fake->command = answers_get;
    bring_up();
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        answer_to_get = garbage[i];
        command(&outcome, "GET", "x");
        UNTIL(outcome.times == 1);
        assert_int_equal(outcome.end, REDIS_LOST);
        UNTIL(strcmp(told, "down;up;") == 0);
        told[0] = 0;
    }
}

static void answers_that_nobody_asked_for_end_the_link(void **state)
{
    (void)state;
    bring_up();
    fake_say(only_conn(), "+OK\r\n");
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_string_equal(reason, "the server answered what nobody had asked");
    told[0] = 0;
    fake_say(only_conn(), "-ERR max number of clients reached\r\n");
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_string_equal(reason, "ERR max number of clients reached");
    told[0] = 0;
    fake_say(only_conn(), "-\r\n");
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_string_equal(reason, "the server told an error without words");
}

static void a_server_that_became_a_replica_is_left(void **state)
{
    struct outcome outcome;
    (void)state;

    fake->command = answers_get;
    answer_to_get = "-READONLY You can't write against a read only replica.\r\n";
    bring_up();
    command(&outcome, "GET", "x");
    UNTIL(strcmp(told, "down;up;") == 0);
    assert_int_equal(outcome.end, REDIS_ANSWERED);
    assert_int_equal(outcome.type, REDIS_REPLY_ERROR);
    assert_string_equal(reason, "the server is a replica now");
}

/* ---- the end ---- */

static void what_is_unanswered_at_the_end_is_closed(void **state)
{
    struct outcome sent, queued, done;
    (void)state;

    fake->command = mute_get;
    bring_up();
    command(&done, "PING", NULL);
    command(&sent, "GET", "x");
    UNTIL(done.times == 1);
    redis_free(redis);
    assert_int_equal(sent.times, 1);
    assert_int_equal(sent.end, REDIS_CLOSED);
    turn();

    fake_stop(fake);
    start();
    command(&queued, "SET", "x");
    turn();
    redis_free(redis);
    redis = NULL;
    assert_int_equal(queued.times, 1);
    assert_int_equal(queued.end, REDIS_CLOSED);
    assert_string_equal(told, "");
}

static void free_in_answer(void *owner, const struct redisReply *reply, enum redis_end end)
{
    answered(owner, reply, end);
    redis_free(redis);
    redis = NULL;
}

static void may_be_freed_in_an_answer(void **state)
{
    const struct str ping[] = {STR("PING")};
    struct outcome first = {0}, second;
    (void)state;

    bring_up();
    redis_command(redis, ping, 1, free_in_answer, &first);
    command(&second, "PING", NULL);
    UNTIL(first.times == 1);
    assert_int_equal(second.times, 1);
    assert_int_equal(second.end, REDIS_CLOSED);
    turn();

    fake_stop(fake);
    start();
    memset(&first, 0, sizeof(first));
    redis_command_with(redis, &at_once, ping, 1, free_in_answer, &first);
    command_how(&second, &at_once, "PING", NULL);
    UNTIL(first.times == 1);
    assert_int_equal(second.times, 1);
}

static void free_now(void)
{
    redis_free(redis);
    redis = NULL;
}

static void may_be_freed_in_a_message(void **state)
{
    (void)state;
    on_message = free_now;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(strcmp(told, "ready;") == 0);
    fake_say(fake_find(fake, "SUBSCRIBE"), "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n1\r\n"
                                           "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\n2\r\n");
    UNTIL(!redis);
    turn();
    assert_string_equal(told, "ready;m:a||1;");
}

/* ---- gathering ---- */

static size_t gathered_count;
static const char *gathered_text;

static void on_gathered(void *owner, const struct redisReply *const *replies, size_t count)
{
    (void)owner;
    gathered_count = count;
    gathered_text = replies[0] ? "reply" : "none";
}

static void one_server_is_every_master(void **state)
{
    const struct str ping[] = {STR("PING")};
    (void)state;

    bring_up();
    gathered_count = 0;
    redis_each_master(redis, ping, 1, on_gathered, NULL);
    UNTIL(gathered_count == 1);
    assert_string_equal(gathered_text, "reply");
    fake_stop(fake);
    UNTIL(!redis_is_up(redis));
    gathered_count = 0;
    redis_each_master(redis, ping, 1, on_gathered, NULL);
    assert_int_equal(gathered_count, 0);
    UNTIL(gathered_count == 1);
    assert_string_equal(gathered_text, "none");
}

/* ---- links of one's own ---- */

static void link_went_up(void *owner)
{
    (void)owner;
    note("link up;");
}

static void link_went_down(void *owner, const char *why)
{
    (void)owner;
    (void)why;
    note("link down;");
}

static void a_blocking_command_holds_up_its_own_link_only(void **state)
{
    const struct redis_link_events own = {link_went_up, link_went_down, NULL};
    const struct str xread[] = {STR("GET"), STR("blocks")};
    struct outcome blocked = {0}, other;
    struct redis_link *link;
    (void)state;

    fake->command = mute_get;
    bring_up();
    link = redis_link_open(redis, STR("stream"), &own);
    assert_non_null(link);
    redis_link_command(link, NULL, xread, 2, answered, &blocked);
    UNTIL(fake_find(fake, "GET blocks"));
    assert_string_equal(told, "link up;");
    command(&other, "PING", NULL);
    UNTIL(other.times == 1);
    assert_int_equal(blocked.times, 0);

    fake_hang_up(fake_find(fake, "GET blocks"));
    UNTIL(strcmp(told, "link up;link down;link up;") == 0);
    assert_int_equal(blocked.times, 1);
    assert_int_equal(blocked.end, REDIS_LOST);
    redis_link_command(link, NULL, xread, 2, answered, &blocked);
    redis_link_close(link);
    UNTIL(blocked.times == 2);
    assert_int_equal(blocked.end, REDIS_CLOSED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(introduces_itself_before_it_is_up),
        TEST(a_password_alone_is_the_default_user_s),
        TEST(a_wrong_password_is_told_and_not_tried_again_at_once),
        TEST(a_wrong_database_is_told),
        TEST(waits_for_a_server_that_is_loading),
        TEST(tries_until_somebody_listens),
        TEST(a_link_that_gets_through_hurries_the_others),
        TEST(says_when_the_server_is_none),
        TEST(gives_up_a_handshake_that_is_not_answered),
        TEST(commands_are_answered_in_order),
        TEST(commands_of_a_turn_leave_together),
        TEST(any_bytes_pass),
        TEST(a_server_that_stops_answering_is_left),
        TEST(an_idle_connection_is_checked),
        TEST(a_blocking_command_may_take_its_time),
        TEST(an_error_of_the_server_is_an_answer),
        TEST(commands_wait_for_the_link),
        TEST(a_wait_in_the_queue_may_be_limited),
        TEST(a_full_queue_refuses),
        TEST(commands_that_were_sent_are_lost_with_the_link_and_not_sent_again),
        TEST(a_late_answer_is_not_taken_for_the_next_one),
        TEST(what_is_no_reply_ends_the_link),
        TEST(answers_that_nobody_asked_for_end_the_link),
        TEST(a_server_that_became_a_replica_is_left),
        TEST(what_is_unanswered_at_the_end_is_closed),
        TEST(may_be_freed_in_an_answer),
        TEST(may_be_freed_in_a_message),
        TEST(one_server_is_every_master),
        TEST(a_blocking_command_holds_up_its_own_link_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
