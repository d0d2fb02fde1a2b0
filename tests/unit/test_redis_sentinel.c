#include "redis_server.h"

/*
 * Sentinel: with sentinels that say what a test wants, and with the real ones.
 */

static struct fake *master, *other, *sentinel, *second;

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    master = fake_new();
    other = fake_new();
    sentinel = fake_new();
    second = fake_new();
    options.topology = REDIS_SENTINEL;
    options.server_count = 2;
    options.servers[1] = options.servers[0];
    options.servers[0].port = sentinel->port;
    options.servers[1].port = second->port;
    snprintf(options.master, sizeof(options.master), "mymaster");
    snprintf(options.password, sizeof(options.password), "secret");
    return 0;
}

static int tear_down(void **state)
{
    fake_free(master);
    fake_free(other);
    fake_free(sentinel);
    fake_free(second);
    return tear_down_client(state);
}

/* Where the sentinels say the master is, and who says it is one. */
static struct fake *named, *second_named;

static bool as_sentinel(struct fake_conn *conn, const redisReply *sent)
{
    const struct fake *answer = conn->fake == second ? second_named : named;
    char text[128], port[16];

    if (!fake_is(sent, 0, "SENTINEL"))
        return false;
    if (!answer) {
        fake_say(conn, "*-1\r\n");
        return true;
    }
    snprintf(port, sizeof(port), "%d", answer->port);
    snprintf(text, sizeof(text), "*2\r\n$9\r\n127.0.0.1\r\n$%zu\r\n%s\r\n", strlen(port), port);
    fake_say(conn, text);
    return true;
}

static bool as_master(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "ROLE"))
        return false;
    fake_say(conn, "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    return true;
}

static bool as_replica(struct fake_conn *conn, const redisReply *sent)
{
    if (!fake_is(sent, 0, "ROLE"))
        return false;
    fake_say(conn, "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:0\r\n");
    return true;
}

static void roles(struct fake *says, struct fake *second_says)
{
    master->command = as_master;
    other->command = as_replica;
    sentinel->command = second->command = as_sentinel;
    named = says;
    second_named = second_says;
}

static void the_master_is_where_the_sentinel_says(void **state)
{
    (void)state;
    roles(master, master);
    snprintf(options.sentinel_password, sizeof(options.sentinel_password), "watch");
    start();
    UNTIL(strcmp(told, "up;") == 0);
    assert_string_equal(fake_find(master, "PING")->heard,
                        "AUTH secret;CLIENT SETNAME skua;ROLE;PING;");
    assert_string_equal(
        fake_find(sentinel, "PING")->heard,
        "AUTH watch;CLIENT SETNAME skua;PING;SENTINEL get-master-addr-by-name mymaster;"
        "SUBSCRIBE +switch-master;");
    assert_int_equal(second->accepted, 0);
}

static void a_sentinel_that_is_gone_is_passed_over(void **state)
{
    (void)state;
    roles(master, master);
    fake_stop(sentinel);
    start();
    UNTIL(redis_is_up(redis));
    assert_non_null(fake_find(second, "SENTINEL"));
}

static void a_sentinel_that_knows_no_such_master_is_passed_over(void **state)
{
    (void)state;
    roles(NULL, master);
    start();
    UNTIL(redis_is_up(redis));
    assert_string_equal(told, "down;up;");
    assert_string_equal(reason, "no sentinel: the sentinel knows no master \"mymaster\"");
}

static void no_sentinel_at_all_is_told(void **state)
{
    (void)state;
    roles(master, master);
    fake_stop(sentinel);
    fake_stop(second);
    start();
    UNTIL(told[0]);
    assert_string_equal(reason, "no sentinel: Connection refused");
    fake_listen(second);
    UNTIL(strcmp(told, "down;up;") == 0);
}

static void a_replica_that_a_sentinel_takes_for_the_master_is_not_used(void **state)
{
    (void)state;
    roles(other, master); /* the first one is behind */
    start();
    UNTIL(redis_is_up(redis));
    assert_non_null(fake_find(master, "ROLE"));
    assert_string_equal(reason, "the server is a replica, not the master");
}

static void a_failover_is_followed_at_once(void **state)
{
    char text[256], event[128];
    struct outcome lost;
    (void)state;

    roles(master, master);
    start();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_up(redis) && redis_is_ready(redis));
    UNTIL(strstr(told, "ready;"));
    told[0] = 0;
    command(&lost, "GET", "x");

    other->command = as_master;
    master->command = as_replica;
    named = second_named = other;
    snprintf(event, sizeof(event), "mymaster 127.0.0.1 %d 127.0.0.1 %d", master->port,
             other->port);
    snprintf(text, sizeof(text),
             "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n", strlen(event),
             event);
    fake_say(fake_find(sentinel, "SUBSCRIBE"), text);
    UNTIL(strstr(told, "up;") && strstr(told, "ready;"));
    assert_non_null(strstr(told, "down;"));
    assert_non_null(strstr(told, "gap;"));
    assert_non_null(fake_find(other, "SUBSCRIBE a"));
    assert_null(fake_find(master, "PING"));
    assert_int_equal(lost.times, 1);
}

static void another_master_s_failover_is_not_ours(void **state)
{
    const char *text = "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n"
                       "$28\r\nmymaster2 10.0.0.1 1 10.0.0.2 1\r\n";
    (void)state;

    roles(master, master);
    start();
    UNTIL(redis_is_up(redis));
    fake_say(fake_find(sentinel, "SUBSCRIBE"), text);
    turn();
    assert_string_equal(ask(redis, "PING"), "PONG");
    assert_string_equal(told, "up;");
}

static void nonsense_of_a_sentinel_ends_nothing(void **state)
{
    static const char *const nonsense[] = {
        "mymaster",        "mymaster a 1 b",    "mymaster a 1 b 0", "mymaster a 1 b 65536",
        "mymaster a 1  1", "mymaster a 1 b 1x",
    };
    char text[256];
    (void)state;

    roles(master, master);
    start();
    UNTIL(redis_is_up(redis));
    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        snprintf(text, sizeof(text),
                 "*3\r\n$7\r\nmessage\r\n$14\r\n+switch-master\r\n$%zu\r\n%s\r\n",
                 strlen(nonsense[i]), nonsense[i]);
        fake_say(fake_find(sentinel, "SUBSCRIBE"), text);
        turn();
        assert_string_equal(ask(redis, "PING"), "PONG");
    }
    assert_string_equal(told, "up;");
}

/* ---- the real ones ---- */

static struct server masters[2], watch;

static int tear_down_servers(void **state)
{
    server_stop(&watch);
    server_stop(&masters[0]);
    server_stop(&masters[1]);
    return tear_down_client(state);
}

static void start_sentinel(void)
{
    char *words[] = {"redis-sentinel", "sentinel.conf", NULL};
    FILE *file = fopen(in_folder("sentinel.conf"), "we");

    watch.port = free_port();
    fprintf(file,
            "port %d\nbind 127.0.0.1\nsentinel monitor mymaster 127.0.0.1 %d 1\n"
            "sentinel down-after-milliseconds mymaster 500\n"
            "sentinel failover-timeout mymaster 2000\n",
            watch.port, masters[0].port);
    fclose(file);
    server_run(&watch, words);
    server_await(&watch);
}

/* The sentinel finds its master's replicas when it likes. */
static void await_replica(void)
{
    struct redis_options plain;
    struct redis_events none = {0};
    struct redis *asker;
    char fault[REDIS_FAULT_MAX];

    redis_options_init(&plain);
    plain.servers[0].port = (uint16_t)watch.port;
    asker = redis_new(loop, &chance, &quiet, &plain, &none, fault);
    UNTIL(strstr(ask(asker, "INFO sentinel"), "slaves=1"));
    redis_free(asker);
}

static void follows_a_real_failover(void **state)
{
    char line[64];
    (void)state;

    server_start(&masters[0], "--repl-diskless-sync-delay 0");
    snprintf(line, sizeof(line), "--replicaof 127.0.0.1 %d", masters[0].port);
    server_start(&masters[1], line);
    start_sentinel();
    options.topology = REDIS_SENTINEL;
    options.servers[0].port = (uint16_t)watch.port;
    snprintf(options.master, sizeof(options.master), "mymaster");
    start();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_up(redis) && redis_is_ready(redis));
    snprintf(line, sizeof(line), "127.0.0.1:%d", masters[0].port);
    assert_string_equal(redis_where(redis), line);
    UNTIL(strcmp(ask(redis, "WAIT 1 100"), "1") == 0);
    ask(redis, "SET key value");
    UNTIL(strcmp(ask(redis, "WAIT 1 100"), "1") == 0);
    await_replica();

    server_kill(&masters[0]);
    snprintf(line, sizeof(line), "127.0.0.1:%d", masters[1].port);
    UNTIL(strcmp(redis_where(redis), line) == 0 && redis_is_up(redis) && redis_is_ready(redis));
    assert_string_equal(ask(redis, "GET key"), "value");
    assert_string_equal(ask(redis, "PUBLISH a after"), "1");
    UNTIL(strstr(told, "m:a||after;"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_master_is_where_the_sentinel_says),
        TEST(a_sentinel_that_is_gone_is_passed_over),
        TEST(a_sentinel_that_knows_no_such_master_is_passed_over),
        TEST(no_sentinel_at_all_is_told),
        TEST(a_replica_that_a_sentinel_takes_for_the_master_is_not_used),
        TEST(a_failover_is_followed_at_once),
        TEST(another_master_s_failover_is_not_ours),
        TEST(nonsense_of_a_sentinel_ends_nothing),
        cmocka_unit_test_setup_teardown(follows_a_real_failover, set_up_client,
                                        tear_down_servers),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
