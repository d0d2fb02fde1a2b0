#include "engineio/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct str two_origins[] = {
    STR("http://app.example"),
    STR("https://*.example.com"),
};

static struct cors_policy list_policy(void)
{
    return (struct cors_policy){
        .mode = CORS_LIST,
        .credentials = true,
        .origins = two_origins,
        .origin_count = 2,
    };
}

static bool accepts_only_a(void *owner, struct str origin)
{
    size_t *calls = owner;

    ++*calls;
    return str_equal(origin, STR("http://a"));
}

/* The headers for a request with this origin (NULL: none), one a line. */
static const char *headers_for(const struct cors_policy *policy, const char *origin)
{
    static char text[1000];
    struct http_header request_headers[] = {
        {STR("Host"),   STR("localhost")                   },
        {STR("ORIGIN"), origin ? str_from(origin) : STR("")},
    };
    struct http_request request = {
        .method = HTTP_GET,
        .headers = request_headers,
        .header_count = origin ? 2 : 1,
    };
    struct http_header headers[CORS_HEADERS_MAX];
    size_t count = cors_headers(policy, &request, headers);
    size_t size = 0;

    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%.*s: %.*s\n",
                                 (int)headers[i].name.size, headers[i].name.at,
                                 (int)headers[i].value.size, headers[i].value.at);
    return text;
}

static void patterns_match_exactly_or_by_stars_that_stay_in_the_host(void **state)
{
    static const struct {
        struct str pattern;
        struct str origin;
        bool matches;
    } cases[] = {
        {STR("http://a"),              STR("http://a"),                          true },
        {STR("http://a"),              STR("HTTP://A"),                          true },
        {STR("http://a"),              STR("http://ab"),                         false},
        {STR("http://ab"),             STR("http://a"),                          false},
        {STR("http://a"),              STR("https://a"),                         false},
        {STR("http://a"),              STR("http://a:80"),                       false},
        {STR("https://*.example.com"), STR("https://x.example.com"),             true },
        {STR("https://*.example.com"), STR("https://x.y.example.com"),           true },
        {STR("https://*.example.com"), STR("https://.example.com"),              true },
        {STR("https://*.example.com"), STR("https://example.com"),               false},
        {STR("https://*.example.com"), STR("https://xexample.com"),              false},
        {STR("https://*.example.com"), STR("https://x.example.com.evil"),        false},
        {STR("https://*.example.com"), STR("https://evil/x.example.com"),        false},
        {STR("https://*.example.com"), STR("https://a.example.com.example.com"), true },
        {STR("http://localhost:*"),    STR("http://localhost:5173"),             true },
        {STR("http://localhost:*"),    STR("http://localhost"),                  false},
        {STR("http://localhost:*"),    STR("http://localhost:1/x"),              false},
        {STR("*://a*b*c"),             STR("http://aXbbYc"),                     true },
        {STR("*://a*b*c"),             STR("http://aXcYb"),                      false},
        {STR("*"),                     STR("null"),                              true },
        {STR("*"),                     STR("http://a"),                          false},
        {STR("http://a*"),             STR("http://a"),                          true },
        {STR(""),                      STR("x"),                                 false},
        {STR(""),                      STR(""),                                  true },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(cors_pattern_matches(cases[i].pattern, cases[i].origin),
                         cases[i].matches);
}

static void a_request_without_origin_is_no_browsers_and_allowed(void **state)
{
    struct cors_policy policy = list_policy();
    (void)state;

    assert_true(cors_allows(&policy, STR("")));
}

static void only_listed_origins_are_allowed(void **state)
{
    struct cors_policy policy = list_policy();
    (void)state;

    assert_true(cors_allows(&policy, STR("http://app.example")));
    assert_true(cors_allows(&policy, STR("https://x.example.com")));
    assert_false(cors_allows(&policy, STR("http://evil.example")));
    assert_false(cors_allows(&policy, STR("null")));
}

static void modes_without_a_list_allow_every_origin_but_fixed_only_its_own(void **state)
{
    struct cors_policy policy = {.origins = two_origins, .origin_count = 1};
    (void)state;

    policy.mode = CORS_OFF;
    assert_true(cors_allows(&policy, STR("http://x")));
    policy.mode = CORS_ANY;
    assert_true(cors_allows(&policy, STR("http://x")));
    policy.mode = CORS_REFLECT;
    assert_true(cors_allows(&policy, STR("http://x")));
    policy.mode = CORS_FIXED;
    assert_false(cors_allows(&policy, STR("http://x")));
    assert_true(cors_allows(&policy, STR("http://app.example")));
}

static void off_writes_no_headers(void **state)
{
    struct cors_policy policy = {.mode = CORS_OFF, .credentials = true};
    (void)state;

    assert_string_equal(headers_for(&policy, "http://x"), "");
}

static void any_writes_a_star_and_no_vary(void **state)
{
    struct cors_policy policy = {.mode = CORS_ANY};
    (void)state;

    assert_string_equal(headers_for(&policy, "http://x"), "Access-Control-Allow-Origin: *\n");
    assert_string_equal(headers_for(&policy, NULL), "Access-Control-Allow-Origin: *\n");
}

static void fixed_writes_its_origin_whatever_the_requests(void **state)
{
    struct cors_policy policy = {.mode = CORS_FIXED, .origins = two_origins, .origin_count = 1};
    (void)state;

    assert_string_equal(headers_for(&policy, "http://x"),
                        "Access-Control-Allow-Origin: http://app.example\nVary: Origin\n");
    assert_string_equal(headers_for(&policy, NULL),
                        "Access-Control-Allow-Origin: http://app.example\nVary: Origin\n");
}

static void reflect_writes_the_requests_origin(void **state)
{
    struct cors_policy policy = {.mode = CORS_REFLECT};
    (void)state;

    assert_string_equal(headers_for(&policy, "http://x"),
                        "Access-Control-Allow-Origin: http://x\nVary: Origin\n");
    assert_string_equal(headers_for(&policy, NULL), "Vary: Origin\n");
}

static void a_list_reflects_only_what_it_lists_but_always_varies(void **state)
{
    struct cors_policy policy = list_policy();
    (void)state;

    assert_string_equal(headers_for(&policy, "http://app.example"),
                        "Access-Control-Allow-Origin: http://app.example\nVary: Origin\n"
                        "Access-Control-Allow-Credentials: true\n");
    assert_string_equal(headers_for(&policy, "http://evil.example"),
                        "Vary: Origin\nAccess-Control-Allow-Credentials: true\n");
    assert_string_equal(headers_for(&policy, NULL),
                        "Vary: Origin\nAccess-Control-Allow-Credentials: true\n");
}

static void a_function_that_refuses_leaves_no_headers_at_all(void **state)
{
    size_t calls = 0;
    struct cors_policy policy = {
        .mode = CORS_DECIDE,
        .credentials = true,
        .decide = accepts_only_a,
        .decide_owner = &calls,
    };
    (void)state;

    assert_string_equal(headers_for(&policy, "http://a"),
                        "Access-Control-Allow-Origin: http://a\nVary: Origin\n"
                        "Access-Control-Allow-Credentials: true\n");
    assert_string_equal(headers_for(&policy, "http://b"), "");
    assert_int_equal(calls, 2);
    assert_true(cors_allows(&policy, STR("http://a")));
    assert_false(cors_allows(&policy, STR("http://b")));
}

static void exposed_headers_are_on_every_answer(void **state)
{
    struct cors_policy policy = {.mode = CORS_ANY, .exposed_headers = STR("x-a,x-b")};
    (void)state;

    assert_string_equal(headers_for(&policy, "http://x"),
                        "Access-Control-Allow-Origin: *\n"
                        "Access-Control-Expose-Headers: x-a,x-b\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_exactly_or_by_stars_that_stay_in_the_host),
        cmocka_unit_test(a_request_without_origin_is_no_browsers_and_allowed),
        cmocka_unit_test(only_listed_origins_are_allowed),
        cmocka_unit_test(modes_without_a_list_allow_every_origin_but_fixed_only_its_own),
        cmocka_unit_test(off_writes_no_headers),
        cmocka_unit_test(any_writes_a_star_and_no_vary),
        cmocka_unit_test(fixed_writes_its_origin_whatever_the_requests),
        cmocka_unit_test(reflect_writes_the_requests_origin),
        cmocka_unit_test(a_list_reflects_only_what_it_lists_but_always_varies),
        cmocka_unit_test(a_function_that_refuses_leaves_no_headers_at_all),
        cmocka_unit_test(exposed_headers_are_on_every_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
