#include "net/http_forwarded.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- networks ---- */

static bool contains(const char *network, const char *address)
{
    struct network parsed;

    assert_true(network_parse(str_from(network), &parsed));
    return network_contains(&parsed, str_from(address));
}

static void networks_contain_what_their_bits_say(void **state)
{
    (void)state;
    assert_true(contains("10.0.0.0/8", "10.255.255.255"));
    assert_false(contains("10.0.0.0/8", "11.0.0.0"));
    assert_true(contains("10.0.0.0/9", "10.127.255.255"));
    assert_false(contains("10.0.0.0/9", "10.128.0.0"));
    assert_true(contains("192.168.1.7", "192.168.1.7"));
    assert_false(contains("192.168.1.7", "192.168.1.6"));
    assert_true(contains("0.0.0.0/0", "255.255.255.255"));
    assert_false(contains("0.0.0.0/0", "2001:db8::1"));
    assert_true(contains("::/0", "1.2.3.4"));
    assert_true(contains("fd00::/8", "fdff::1"));
    assert_false(contains("fd00::/8", "fe00::1"));
    assert_true(contains("10.0.0.0/8", "::ffff:10.1.2.3"));
    assert_true(contains("::ffff:10.0.0.0/104", "10.1.2.3"));
    assert_false(contains("10.0.0.0/8", ""));
    assert_false(contains("10.0.0.0/8", "10.0.0.0/8"));
    assert_false(contains("::/0", "name"));
}

static void what_is_no_network_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "/",
                                        "10.0.0.0/",
                                        "10.0.0.0/33",
                                        "::1/129",
                                        "10.0.0/8",
                                        "10.0.0.0/08",
                                        "10.0.0.0/-1",
                                        "10.0.0.0/8 ",
                                        "localhost",
                                        "::g",
                                        "10.0.0.0/256",
                                        "10.0.0.0/1000"};
    struct network network;
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_false(network_parse(str_from(texts[i]), &network));
}

/* ---- requests ---- */

static char address[NET_ADDRESS_MAX];
static struct http_request request;

static void apply(const struct http_trust *trust, const char *peer,
                  const struct http_header *headers, size_t count)
{
    request = (struct http_request){
        .address = peer, .headers = headers, .header_count = count, .secure = false};
    http_forwarded_apply(trust, &request, address);
}

static struct network inner;
static const struct http_trust networks = {.networks = &inner, .count = 1}; /* 10.0.0.0/8 */
static const struct http_trust everybody = {.all = true};

static int parse_inner(void **state)
{
    (void)state;
    return network_parse(STR("10.0.0.0/8"), &inner) ? 0 : -1;
}

/* Who the client is when `peer` sends this X-Forwarded-For. */
static const char *client_of(const struct http_trust *trust, const char *peer, const char *list)
{
    struct http_header header = {STR("x-forwarded-for"), str_from(list)};

    apply(trust, peer, &header, 1);
    return request.address;
}

static void the_first_that_is_not_trusted_from_the_right_is_the_client(void **state)
{
    static const struct {
        const char *peer, *list, *client;
    } cases[] = {
        {"10.0.0.1",        "1.2.3.4",                     "1.2.3.4"    },
        {"10.0.0.1",        "6.6.6.6, 1.2.3.4",            "1.2.3.4"    },
        {"10.0.0.1",        "6.6.6.6, 1.2.3.4, 10.9.9.9",  "1.2.3.4"    },
        {"10.0.0.1",        "6.6.6.6,1.2.3.4 ,\t10.9.9.9", "1.2.3.4"    },
        {"10.0.0.1",        "10.0.0.3, 10.0.0.2",          "10.0.0.3"   },
        {"10.0.0.1",        "2001:db8::1",                 "2001:db8::1"},
        {"10.0.0.1",        "[2001:db8::1]:443",           "2001:db8::1"},
        {"10.0.0.1",        "[2001:db8::1]",               "2001:db8::1"},
        {"10.0.0.1",        "1.2.3.4:5678",                "1.2.3.4"    },
        {"10.0.0.1",        "",                            "10.0.0.1"   },
        {"10.0.0.1",        "unknown",                     "10.0.0.1"   },
        {"10.0.0.1",        "1.2.3.4, unknown",            "10.0.0.1"   },
        {"10.0.0.1",        "1.2.3.4, unknown, 10.0.0.2",  "10.0.0.2"   },
        {"10.0.0.1",        "1.2.3.4,, 10.0.0.2",          "10.0.0.2"   },
        {"10.0.0.1",        "1.2.3.0/24",                  "10.0.0.1"   },
        {"10.0.0.1",        "[1.2.3.4",                    "10.0.0.1"   },
        {"::ffff:10.0.0.1", "1.2.3.4",                     "1.2.3.4"    },
        {"",                "1.2.3.4",                     "1.2.3.4"    },
        {"9.9.9.9",         "1.2.3.4",                     "9.9.9.9"    },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(client_of(&networks, cases[i].peer, cases[i].list),
                            cases[i].client);
}

static void the_leftmost_is_the_client_when_everybody_is_trusted(void **state)
{
    (void)state;
    assert_string_equal(client_of(&everybody, "9.9.9.9", "1.2.3.4, 5.6.7.8"), "1.2.3.4");
    assert_string_equal(client_of(&everybody, "9.9.9.9", ""), "9.9.9.9");
}

static void several_headers_are_one_list(void **state)
{
    const struct http_header headers[] = {
        {STR("X-Forwarded-For"), STR("6.6.6.6, 1.2.3.4")},
        {STR("Accept"),          STR("*/*")             },
        {STR("X-FORWARDED-FOR"), STR("10.0.0.2")        },
    };
    (void)state;

    apply(&networks, "10.0.0.1", headers, 3);
    assert_string_equal(request.address, "1.2.3.4");
}

static void the_protocol_is_believed_from_the_trusted(void **state)
{
    static const struct {
        const char *peer, *protocol;
        bool secure;
    } cases[] = {
        {"10.0.0.1", "https",       true },
        {"10.0.0.1", "HTTPS",       true },
        {"10.0.0.1", "wss",         true },
        {"10.0.0.1", "https, http", true },
        {"10.0.0.1", "http, https", false},
        {"10.0.0.1", "http",        false},
        {"10.0.0.1", "httpsx",      false},
        {"9.9.9.9",  "https",       false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_header header = {STR("X-Forwarded-Proto"), str_from(cases[i].protocol)};

        apply(&networks, cases[i].peer, &header, 1);
        assert_int_equal(request.secure, cases[i].secure);
    }
}

static void requests_without_the_headers_stay_as_they_are(void **state)
{
    (void)state;
    apply(&networks, "10.0.0.1", NULL, 0);
    assert_string_equal(request.address, "10.0.0.1");
    assert_false(request.secure);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(networks_contain_what_their_bits_say),
        cmocka_unit_test(what_is_no_network_is_refused),
        cmocka_unit_test(the_first_that_is_not_trusted_from_the_right_is_the_client),
        cmocka_unit_test(the_leftmost_is_the_client_when_everybody_is_trusted),
        cmocka_unit_test(several_headers_are_one_list),
        cmocka_unit_test(the_protocol_is_believed_from_the_trusted),
        cmocka_unit_test(requests_without_the_headers_stay_as_they_are),
    };

    return cmocka_run_group_tests(tests, parse_inner, NULL);
}
