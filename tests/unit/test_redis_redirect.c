#include "redis/private.h"
#include "redis_fixture.h"

/*
 * A Cluster of two that says what a test wants: redirections, and maps that are none.
 */

static struct fake *first, *second;

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    first = fake_new();
    second = fake_new();
    options.topology = REDIS_CLUSTER;
    options.servers[0].port = first->port;
    return 0;
}

static int tear_down(void **state)
{
    fake_free(first);
    fake_free(second);
    return tear_down_client(state);
}

/* The map: all slots are the first one's, whose host is not told. */
static void say_map(struct fake_conn *conn)
{
    char text[256];

    snprintf(text, sizeof(text),
             "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:%d\r\n$2\r\nid\r\n", first->port);
    fake_say(conn, text);
}

static const char *map_instead; /* NULL: the right one */

static bool as_node(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "CLUSTER"))
        return false;
    if (map_instead)
        fake_say(conn, map_instead);
    else
        say_map(conn);
    return true;
}

static void redirect(struct fake_conn *conn, const char *kind, int port)
{
    char text[128];

    snprintf(text, sizeof(text), "-%s 15495 127.0.0.1:%d\r\n", kind, port);
    fake_say(conn, text);
}

static void bring_up(bool (*first_says)(struct fake_conn *, const redisReply *),
                     bool (*second_says)(struct fake_conn *, const redisReply *))
{
    first->command = first_says;
    second->command = second_says;
    map_instead = NULL;
    start();
    UNTIL(strcmp(told, "up;") == 0);
}

static bool moves(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return as_node(conn, sent);
    redirect(conn, "MOVED", second->port);
    return true;
}

static bool moves_back(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return as_node(conn, sent);
    redirect(conn, "MOVED", first->port);
    return true;
}

static void a_command_that_moved_is_sent_there(void **state)
{
    struct outcome outcome;
    struct redis_counts counts;
    (void)state;

    bring_up(moves, NULL);
    command(&outcome, "GET", "a");
    UNTIL(outcome.times == 1);
    assert_string_equal(outcome.text, "OK");
    assert_non_null(fake_find(second, "PING;GET a;"));
    redis_count(redis, &counts);
    assert_int_equal(counts.lost, 0);
}

static void one_that_is_sent_to_and_fro_ends(void **state)
{
    struct outcome outcome;
    (void)state;

    bring_up(moves, moves_back);
    command(&outcome, "GET", "a");
    UNTIL(outcome.times == 1);
    assert_int_equal(outcome.end, REDIS_MISROUTED);
}

static bool asks(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "GET"))
        return as_node(conn, sent);
    redirect(conn, "ASK", second->port);
    return true;
}

static void asking_goes_in_front_of_a_command_once(void **state)
{
    struct outcome outcome;
    (void)state;

    bring_up(asks, NULL);
    command(&outcome, "GET", "a");
    UNTIL(outcome.times == 1);
    assert_non_null(fake_find(second, "PING;ASKING;GET a;"));
    command(&outcome, "SET", "a"); /* the slot has not moved */
    UNTIL(outcome.times == 1);
    assert_non_null(fake_find(first, "SET a;"));
    assert_null(fake_find(second, "SET a;"));
}

static bool moves_shards(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "SSUBSCRIBE"))
        return as_node(conn, sent);
    redirect(conn, "MOVED", second->port);
    return true;
}

static void a_shard_channel_that_moved_is_subscribed_there(void **state)
{
    (void)state;
    bring_up(moves_shards, NULL);
    subscribe(REDIS_SHARD, "a");
    UNTIL(redis_is_ready(redis));
    assert_non_null(fake_find(second, "SSUBSCRIBE a;"));
}

static void what_is_no_map_is_told(void **state)
{
    static const char *const cases[] = {
        "-ERR This instance has cluster support disabled\r\n",
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:5\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\n?\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*2\r\n$1\r\na\r\n:65536\r\n",
        "*1\r\n*3\r\n:0\r\n:5\r\n*-1\r\n",
        "*2\r\n:1\r\n*3\r\n:0\r\n$1\r\n5\r\n*2\r\n$1\r\na\r\n:1\r\n",
    };
    (void)state;

    first->command = as_node;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        map_instead = cases[i];
        told[0] = 0;
        start();
        UNTIL(told[0]);
        assert_string_equal(told, "down;");
        assert_true(strncmp(reason, "the server has no cluster for us", 32) == 0);
        map_instead = NULL;
        UNTIL(strcmp(told, "down;up;") == 0);
        redis_free(redis);
        redis = NULL;
    }
}

static void redirections_are_read(void **state)
{
    static const struct redis_server speaker = {"speaker", 1};
    static const struct {
        const char *text;
        bool good, ask;
        int slot;
        const char *host;
        int port;
    } cases[] = {
        {"MOVED 3999 127.0.0.1:6381",      true,  false, 3999,  "127.0.0.1",    6381 },
        {"ASK 0 host.example:1",           true,  true,  0,     "host.example", 1    },
        {"MOVED 16383 ::1:65535",          true,  false, 16383, "::1",          65535},
        {"MOVED 5 :7000",                  true,  false, 5,     "speaker",      7000 },
        {"MOVED 16384 127.0.0.1:6381",     false, false, 0,     NULL,           0    },
        {"MOVED -1 127.0.0.1:6381",        false, false, 0,     NULL,           0    },
        {"MOVED 1 127.0.0.1",              false, false, 0,     NULL,           0    },
        {"MOVED 1 127.0.0.1:",             false, false, 0,     NULL,           0    },
        {"MOVED 1 127.0.0.1:0",            false, false, 0,     NULL,           0    },
        {"MOVED 1 127.0.0.1:65536",        false, false, 0,     NULL,           0    },
        {"MOVED 99999999999999999999 a:1", false, false, 0,     NULL,           0    },
        {"MOVED",                          false, false, 0,     NULL,           0    },
        {"MOVED  a:1",                     false, false, 0,     NULL,           0    },
        {"ERR MOVED 1 a:1",                false, false, 0,     NULL,           0    },
        {"",                               false, false, 0,     NULL,           0    },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct redirection redirection;

        if (redirection_parse(str_from(cases[i].text), &speaker, &redirection) != cases[i].good)
            fail_msg("%s", cases[i].text);
        if (!cases[i].good)
            continue;
        assert_int_equal(redirection.ask, cases[i].ask);
        assert_int_equal(redirection.slot, cases[i].slot);
        assert_string_equal(redirection.server.host, cases[i].host);
        assert_int_equal(redirection.server.port, cases[i].port);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_command_that_moved_is_sent_there),
        TEST(one_that_is_sent_to_and_fro_ends),
        TEST(asking_goes_in_front_of_a_command_once),
        TEST(a_shard_channel_that_moved_is_subscribed_there),
        TEST(what_is_no_map_is_told),
        cmocka_unit_test(redirections_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
