#include "redis/private.h"
#include "redis_server.h"

/*
 * A real Redis Cluster: three masters, a replica of the first, and slots that wander.
 */

enum {
    MASTERS = 3,
    NODES = 4,
};

static struct server nodes[NODES];
static struct redis *admins[NODES]; /* a plain connection to each */
static char ids[NODES][64];

/* A command for that node alone. */
__attribute__((format(printf, 2, 3))) static const char *tell(int node, const char *format, ...)
{
    char line[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    return ask(admins[node], line);
}

static void start_node(int node)
{
    char words[512];
    static int bus[NODES];

    if (bus[node] == 0)
        bus[node] = free_port();
    snprintf(words, sizeof(words),
             "--cluster-enabled yes --cluster-config-file nodes-%d.conf --cluster-port %d "
             "--cluster-node-timeout 1000 --cluster-require-full-coverage no",
             node, bus[node]);
    server_start(&nodes[node], words);
    snprintf(ids[node], sizeof(ids[node]), "%d", bus[node]);
}

static void connect_admin(int node)
{
    struct redis_events none = {0};
    struct redis_options plain;
    char fault[REDIS_FAULT_MAX];

    redis_options_init(&plain);
    plain.servers[0].port = (uint16_t)nodes[node].port;
    admins[node] = redis_new(loop, &chance, &quiet, &plain, &none, fault);
    UNTIL(redis_is_up(admins[node]));
}

/* The slots of a master are a third, in order. */
static void join_nodes(void)
{
    for (int node = 0; node < MASTERS; node++)
        assert_string_equal(tell(node, "CLUSTER ADDSLOTSRANGE %d %d",
                                 node * CLUSTER_SLOTS / MASTERS,
                                 (node + 1) * CLUSTER_SLOTS / MASTERS - 1),
                            "OK");
    for (int node = 1; node < NODES; node++)
        assert_string_equal(
            tell(0, "CLUSTER MEET 127.0.0.1 %d %s", nodes[node].port, ids[node]), "OK");
    for (int node = 0; node < NODES; node++) {
        snprintf(ids[node], sizeof(ids[node]), "%s", tell(node, "CLUSTER MYID"));
        UNTIL(strstr(tell(node, "CLUSTER INFO"), "cluster_state:ok") &&
              strstr(tell(node, "CLUSTER INFO"), "cluster_known_nodes:4"));
    }
    UNTIL(strcmp(tell(3, "CLUSTER REPLICATE %s", ids[0]), "OK") == 0);
    UNTIL(strstr(tell(3, "INFO replication"), "master_link_status:up"));
}

static int set_up_cluster(void **state)
{
    if (make_folder(state) < 0 || set_up_client(state) < 0)
        return -1;
    for (int node = 0; node < NODES; node++) {
        start_node(node);
        connect_admin(node);
    }
    join_nodes();
    return 0;
}

static int tear_down_cluster(void **state)
{
    for (int node = 0; node < NODES; node++) {
        redis_free(admins[node]);
        server_stop(&nodes[node]);
    }
    redis = NULL;
    tear_down_client(state);
    return remove_folder(state);
}

static int set_up(void **state)
{
    (void)state;
    redis_options_init(&options);
    options.topology = REDIS_CLUSTER;
    options.servers[0].port = (uint16_t)nodes[1].port;
    told[0] = reason[0] = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    redis_free(redis);
    redis = NULL;
    turn();
    return 0;
}

static void bring_up(void)
{
    start();
    UNTIL(redis_is_up(redis));
    assert_string_equal(told, "up;");
    told[0] = 0;
}

static void slots_are_the_server_s(void **state)
{
    static const char *const keys[] = {
        "a",
        "foo",
        "123456789",
        "{a}b",
        "x{a}y",
        "{}x",
        "a{b",
        "a}b",
        "a{}{b}",
        "{{a}}",
        "{a}{b}",
        "foo{{bar}}zap",
        "\xff{\x80}",
        "socket.io#/chat#",
        "socket.io#/#room#",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        char slot[16];

        snprintf(slot, sizeof(slot), "%u", slot_of(str_from(keys[i])));
        assert_string_equal(tell(0, "CLUSTER KEYSLOT %s", keys[i]), slot);
    }
}

static void each_key_goes_to_its_node(void **state)
{
    struct redis_counts counts;
    char line[64];
    (void)state;

    bring_up();
    for (int i = 0; i < 60; i++) {
        snprintf(line, sizeof(line), "SET key%d value%d", i, i);
        assert_string_equal(ask(redis, line), "OK");
    }
    redis_count(redis, &counts);
    assert_int_equal(counts.sent, 60 + 1); /* no redirections; one asked for the map */
    for (int i = 0; i < 60; i++) {
        char value[32];

        snprintf(line, sizeof(line), "GET key%d", i);
        snprintf(value, sizeof(value), "value%d", i);
        assert_string_equal(ask(redis, line), value);
    }
}

static void commands_wait_for_the_map(void **state)
{
    struct outcome outcome, refused;
    (void)state;

    start();
    command(&outcome, "INCR", "waits");
    command_how(&refused, &at_once, "INCR", "waits");
    UNTIL(outcome.times == 1 && refused.times == 1);
    assert_int_equal(outcome.end, REDIS_ANSWERED);
    assert_int_equal(refused.end, REDIS_DOWN);
}

static size_t gathered_count, gathered_replies;

static void on_gathered(void *owner, const struct redisReply *const *replies, size_t count)
{
    (void)owner;
    gathered_count = count + 1;
    gathered_replies = 0;
    for (size_t i = 0; i < count; i++)
        gathered_replies += replies[i] != NULL;
}

static void every_master_is_asked(void **state)
{
    const struct str argv[] = {STR("PUBSUB"), STR("SHARDNUMSUB"), STR("a")};
    (void)state;

    start();
    gathered_count = 0;
    redis_each_master(redis, argv, 3, on_gathered, NULL);
    assert_int_equal(gathered_count, 0);
    UNTIL(gathered_count > 0);
    assert_int_equal(gathered_count - 1, 0); /* none is known yet */
    UNTIL(redis_is_up(redis));
    UNTIL(strcmp(ask(redis, "EXISTS a"), "0") == 0);
    do {
        gathered_count = 0;
        redis_each_master(redis, argv, 3, on_gathered, NULL);
        UNTIL(gathered_count > 0);
    } while (gathered_replies < MASTERS);
    assert_int_equal(gathered_count - 1, MASTERS);
}

static void channels_and_patterns_reach_any_node(void **state)
{
    (void)state;
    bring_up();
    subscribe(REDIS_CHANNEL, "a");
    subscribe(REDIS_PATTERN, "b*");
    UNTIL(redis_is_ready(redis));
    ask(redis, "PUBLISH a 1");
    ask(redis, "PUBLISH bc 2");
    UNTIL(strstr(told, "m:a||1;") && strstr(told, "p:bc|b*|2;"));
}

static void shard_channels_are_subscribed_where_their_slot_is(void **state)
{
    char name[32], line[64];
    (void)state;

    bring_up();
    for (int i = 0; i < 40; i++) {
        snprintf(name, sizeof(name), "shard%d", i);
        subscribe(REDIS_SHARD, name);
    }
    UNTIL(redis_is_ready(redis));
    for (int i = 0; i < 40; i++) {
        snprintf(line, sizeof(line), "SPUBLISH shard%d hello%d", i, i);
        assert_string_equal(ask(redis, line), "1");
        snprintf(line, sizeof(line), "s:shard%d||hello%d;", i, i);
        UNTIL(strstr(told, line));
    }
}

static void what_is_subscribed_before_the_map_is_known_comes_too(void **state)
{
    (void)state;
    start();
    subscribe(REDIS_SHARD, "early");
    UNTIL(redis_is_ready(redis));
    UNTIL(redis_is_up(redis));
    assert_string_equal(ask(redis, "SPUBLISH early 1"), "1");
    UNTIL(strstr(told, "s:early||1;"));
}

/* ---- a slot that moves ---- */

static int owner_of(uint16_t slot)
{
    return slot / (CLUSTER_SLOTS / MASTERS + 1);
}

static void begin_migration(uint16_t slot, int from, int to)
{
    assert_string_equal(tell(to, "CLUSTER SETSLOT %u IMPORTING %s", slot, ids[from]), "OK");
    assert_string_equal(tell(from, "CLUSTER SETSLOT %u MIGRATING %s", slot, ids[to]), "OK");
}

static void end_migration(uint16_t slot, int from, int to)
{
    assert_string_equal(tell(to, "CLUSTER SETSLOT %u NODE %s", slot, ids[to]), "OK");
    assert_string_equal(tell(from, "CLUSTER SETSLOT %u NODE %s", slot, ids[to]), "OK");
}

static void a_slot_that_moves_is_followed(void **state)
{
    const uint16_t slot = slot_of(STR("{moves}"));
    const int from = owner_of(slot), to = (from + 1) % MASTERS;
    const struct redis_link_events own = {0};
    const struct str link_get[] = {STR("GET"), STR("{moves}stays")};
    struct outcome by_link = {0};
    struct redis_link *link;
    (void)state;

    bring_up();
    assert_string_equal(ask(redis, "SET {moves}stays old"), "OK");
    assert_string_equal(ask(redis, "SET {moves}goes old"), "OK");
    subscribe(REDIS_SHARD, "{moves}channel");
    UNTIL(redis_is_ready(redis));
    link = redis_link_open(redis, STR("{moves}"), &own);
    redis_link_command(link, NULL, link_get, 2, answered, &by_link);
    UNTIL(by_link.times == 1);
    assert_string_equal(by_link.text, "old");

    /* in between: keys that are not there are asked for elsewhere */
    begin_migration(slot, from, to);
    assert_string_equal(ask(redis, "GET {moves}stays"), "old");
    assert_string_equal(ask(redis, "SET {moves}new fresh"), "OK");
    assert_string_equal(ask(redis, "GET {moves}new"), "fresh");
    assert_string_equal(tell(from, "MIGRATE 127.0.0.1 %d {moves}goes 0 1000", nodes[to].port),
                        "OK");
    assert_string_equal(ask(redis, "GET {moves}goes"), "old");
    assert_string_equal(tell(from, "MIGRATE 127.0.0.1 %d {moves}stays 0 1000", nodes[to].port),
                        "OK");
    told[0] = 0;
    end_migration(slot, from, to);

    assert_string_equal(ask(redis, "GET {moves}stays"), "old");
    UNTIL(strstr(told, "gap;") && strstr(told, "ready;"));
    assert_string_equal(ask(redis, "SPUBLISH {moves}channel after"), "1");
    UNTIL(strstr(told, "s:{moves}channel||after;"));

    /* the link of one's own: its first command may be what finds out */
    do {
        by_link.times = 0;
        redis_link_command(link, NULL, link_get, 2, answered, &by_link);
        UNTIL(by_link.times == 1);
    } while (by_link.end == REDIS_LOST);
    assert_string_equal(by_link.text, "old");
    redis_link_close(link);

    begin_migration(slot, to, from);
    tell(to, "MIGRATE 127.0.0.1 %d {moves}stays 0 1000", nodes[from].port);
    tell(to, "MIGRATE 127.0.0.1 %d {moves}goes 0 1000", nodes[from].port);
    tell(to, "MIGRATE 127.0.0.1 %d {moves}new 0 1000", nodes[from].port);
    end_migration(slot, to, from);
    assert_string_equal(ask(redis, "GET {moves}new"), "fresh");
    UNTIL(redis_is_ready(redis));
}

/* ---- a node that goes: the last test ---- */

static void another_node_takes_over(void **state)
{
    char key[32], line[64];
    int at = 0;
    (void)state;

    options.servers[0].port = (uint16_t)nodes[0].port;
    bring_up();
    do
        snprintf(key, sizeof(key), "key%d", at++);
    while (owner_of(slot_of(str_from(key))) != 0);
    subscribe(REDIS_SHARD, key);
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_ready(redis));
    UNTIL(strstr(told, "ready;"));
    snprintf(line, sizeof(line), "SET %s value", key);
    assert_string_equal(ask(redis, line), "OK");
    UNTIL(strcmp(tell(0, "WAIT 1 100"), "1") == 0);
    told[0] = 0;

    server_kill(&nodes[0]);
    UNTIL(strstr(told, "gap;"));
    UNTIL(redis_is_ready(redis));
    snprintf(line, sizeof(line), "GET %s", key);
    UNTIL(strcmp(ask(redis, line), "value") == 0);
    snprintf(line, sizeof(line), "SPUBLISH %s after", key);
    assert_string_equal(ask(redis, line), "1");
    ask(redis, "PUBLISH a after");
    UNTIL(strstr(told, "m:a||after;"));
    assert_true(redis_is_up(redis));
    assert_null(strstr(told, "down;"));

    for (int node = 1; node < NODES; node++)
        server_kill(&nodes[node]);
    UNTIL(strstr(told, "down;"));
    assert_false(redis_is_up(redis));
    told[0] = 0;
    for (int node = 1; node < NODES; node++)
        start_node(node);
    UNTIL(strstr(told, "up;"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slots_are_the_server_s),
        TEST(each_key_goes_to_its_node),
        TEST(commands_wait_for_the_map),
        TEST(every_master_is_asked),
        TEST(channels_and_patterns_reach_any_node),
        TEST(shard_channels_are_subscribed_where_their_slot_is),
        TEST(what_is_subscribed_before_the_map_is_known_comes_too),
        TEST(a_slot_that_moves_is_followed),
        TEST(another_node_takes_over),
    };
    return cmocka_run_group_tests(tests, set_up_cluster, tear_down_cluster);
}
