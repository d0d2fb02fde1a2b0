#include "redis/redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct redis_options options;
static char fault[REDIS_FAULT_MAX];

static void parse(const char *url)
{
    fault[0] = 0;
    if (!redis_options_parse(&options, str_from(url), fault))
        fail_msg("%s: %s", url, fault);
}

static void assert_server(size_t index, const char *host, int port)
{
    assert_true(index < options.server_count);
    assert_string_equal(options.servers[index].host, host);
    assert_int_equal(options.servers[index].port, port);
}

static void one_server_has_defaults(void **state)
{
    (void)state;
    parse("redis://localhost");
    assert_int_equal(options.topology, REDIS_SINGLE);
    assert_int_equal(options.server_count, 1);
    assert_server(0, "localhost", 6379);
    assert_string_equal(options.username, "");
    assert_string_equal(options.password, "");
    assert_int_equal(options.database, 0);
    assert_false(options.tls);
    assert_int_equal(options.command_timeout_ms, 5000);

    parse("redis://localhost/");
    assert_int_equal(options.database, 0);
}

static void everything_can_be_said(void **state)
{
    (void)state;
    parse("rediss://app:s%3Acr%40t%25@redis.example.com:6390/12");
    assert_server(0, "redis.example.com", 6390);
    assert_string_equal(options.username, "app");
    assert_string_equal(options.password, "s:cr@t%");
    assert_int_equal(options.database, 12);
    assert_true(options.tls);
}

static void a_password_may_hold_what_should_be_encoded(void **state)
{
    (void)state;
    parse("redis://:a@b:c/d?e@h");
    assert_string_equal(options.password, "a@b:c/d?e");
    assert_server(0, "h", 6379);
}

static void addresses_of_version_6_stand_in_brackets(void **state)
{
    (void)state;
    parse("redis://[::1]");
    assert_server(0, "::1", 6379);
    parse("redis://u@[fe80::1]:7000/1");
    assert_server(0, "fe80::1", 7000);
    assert_string_equal(options.username, "u");
}

static void unix_sockets_have_a_path(void **state)
{
    (void)state;
    parse("unix:///run/redis.sock");
    assert_string_equal(options.unix_path, "/run/redis.sock");
    parse("unix:///run/redis.sock?db=3");
    assert_int_equal(options.database, 3);
    parse("redis+unix://u:p@/run/my%20redis.sock?db=15");
    assert_string_equal(options.unix_path, "/run/my redis.sock");
    assert_string_equal(options.password, "p");
    assert_int_equal(options.database, 15);
    parse("unix:///run/a@b.sock");
    assert_string_equal(options.unix_path, "/run/a@b.sock");
    assert_string_equal(options.username, "");
}

static void sentinels_know_a_master(void **state)
{
    (void)state;
    parse("redis+sentinel://:pw@s1,s2:5000,[::1]:5001/mymaster/2");
    assert_int_equal(options.topology, REDIS_SENTINEL);
    assert_int_equal(options.server_count, 3);
    assert_server(0, "s1", 26379);
    assert_server(1, "s2", 5000);
    assert_server(2, "::1", 5001);
    assert_string_equal(options.master, "mymaster");
    assert_string_equal(options.password, "pw");
    assert_int_equal(options.database, 2);
    parse("rediss+sentinel://s/m");
    assert_true(options.tls);
}

static void clusters_have_seeds(void **state)
{
    (void)state;
    parse("redis+cluster://a:7000,b");
    assert_int_equal(options.topology, REDIS_CLUSTER);
    assert_int_equal(options.server_count, 2);
    assert_server(0, "a", 7000);
    assert_server(1, "b", 6379);
    parse("rediss+cluster://a/0");
    assert_true(options.tls);
}

/* Of each only a part of the sentence. */
static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *url, *says;
    } cases[] = {
        {"",                                                          "none of them"                                                   },
        {"localhost:6379",                                            "none of them"                                                   },
        {"http://localhost",                                          "found \"http://\""                                              },
        {"REDIS://localhost",                                         "found \"REDIS://\""                                             },
        {"redis://",                                                  "expected a host"                                                },
        {"redis://:6379",                                             "expected a host"                                                },
        {"redis://h:0",                                               "port of 1 to 65535 behind the host \"h\""                       },
        {"redis://h:65536",                                           "port of 1 to 65535"                                             },
        {"redis://h:",                                                "port of 1 to 65535"                                             },
        {"redis://h:12a",                                             "port of 1 to 65535"                                             },
        {"redis://h:1:2",                                             "port of 1 to 65535"                                             },
        {"redis://[::1",                                              "expected a ']'"                                                 },
        {"redis://[::1]6379",                                         "expected a port behind"                                         },
        {"redis://h/x",                                               "expected the number of a database in the Redis URL, found \"x\""},
        {"redis://h/-1",                                              "found \"-1\""                                                   },
        {"redis://h/9999999999",                                      "found \"9999999999\""                                           },
        {"redis://h/1/2",                                             "found \"1/2\""                                                  },
        {"redis://a,b",                                               "redis+sentinel:// and redis+cluster://"                         },
        {"redis://h?db=x",                                            "found \"x\""                                                    },
        {"redis://h?password=hidden",                                 "no parameter but \"db\""                                        },
        {"redis://u:%4@h",                                            "without two hexadecimal digits"                                 },
        {"redis://u:%zz@h",                                           "without two hexadecimal digits"                                 },
        {"redis://u:%00@h",                                           "zero byte"                                                      },
        {"unix://run/redis.sock",                                     "begins with '/'"                                                },
        {"unix://",                                                   "begins with '/'"                                                },
        {"redis+sentinel://a,b",                                      "expected the master's name"                                     },
        {"redis+sentinel://a,b/",                                     "expected the master's name"                                     },
        {"redis+sentinel://a,,b/m",                                   "expected a host"                                                },
        {"redis+cluster://a/1",                                       "database 0 only, found 1"                                       },
        {"redis+cluster://1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", "may name 16 servers"                                            },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fault[0] = 0;
        if (redis_options_parse(&options, str_from(cases[i].url), fault))
            fail_msg("%s passed", cases[i].url);
        if (!strstr(fault, cases[i].says))
            fail_msg("%s: %s", cases[i].url, fault);
    }
}

static void what_is_too_long_is_refused(void **state)
{
    char url[4096], long_text[2048];
    (void)state;

    memset(long_text, 'x', sizeof(long_text));
    snprintf(url, sizeof(url), "redis://%.*s", REDIS_HOST_MAX, long_text);
    assert_false(redis_options_parse(&options, str_from(url), fault));
    snprintf(url, sizeof(url), "redis://%.*s", REDIS_HOST_MAX - 1, long_text);
    assert_true(redis_options_parse(&options, str_from(url), fault));
    snprintf(url, sizeof(url), "redis://:%.*s@h", REDIS_PASSWORD_MAX, long_text);
    assert_false(redis_options_parse(&options, str_from(url), fault));
    assert_null(strstr(fault, "xx"));
    snprintf(url, sizeof(url), "redis://:%.*s@h", REDIS_PASSWORD_MAX - 1, long_text);
    assert_true(redis_options_parse(&options, str_from(url), fault));
    snprintf(url, sizeof(url), "unix:///%.*s", 107, long_text);
    assert_false(redis_options_parse(&options, str_from(url), fault));
    snprintf(url, sizeof(url), "unix:///%.*s", 106, long_text);
    assert_true(redis_options_parse(&options, str_from(url), fault));
}

static void no_sentence_shows_a_password(void **state)
{
    static const char *const urls[] = {
        "redis://u:hunter2@h:x",       "redis://u:hunter2@",          "redis://u:hunter2@h/x",
        "http://u:hunter2@h",          "redis//u:hunter2@h",          "u:hunter2@h",
        "redis://u:hunter2@h?x",       "redis+sentinel://:hunter2@h", "redis://u:hunter2%@h",
        "redis://u:hunter2@@h:x",      "redis://u:hunter2",           "redis://:hunter2",
        "redis+cluster://:hunter2@h/1"};
    (void)state;

    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        if (!redis_options_parse(&options, str_from(urls[i]), fault) &&
            strstr(fault, "hunter2"))
            fail_msg("%s: %s", urls[i], fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_server_has_defaults),
        cmocka_unit_test(everything_can_be_said),
        cmocka_unit_test(a_password_may_hold_what_should_be_encoded),
        cmocka_unit_test(addresses_of_version_6_stand_in_brackets),
        cmocka_unit_test(unix_sockets_have_a_path),
        cmocka_unit_test(sentinels_know_a_master),
        cmocka_unit_test(clusters_have_seeds),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(no_sentence_shows_a_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
