#include "base/buf.h"
#include "engineio/engineio.h"
#include "engineio/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* Writes the parameters as name=value; so that a case is one line. */
static bool print_param(void *context, struct str name, struct str value)
{
    struct buf *out = context;

    buf_add_str(out, name);
    buf_add_byte(out, '=');
    buf_add_str(out, value);
    return buf_add_byte(out, ';');
}

static void decodes_parameters_as_urlsearchparams_does(void **state)
{
    static const struct {
        struct str target;
        struct str expected;
    } cases[] = {
        {STR("/"),             STR("")                },
        {STR("/?"),            STR("")                },
        {STR("/?a"),           STR("a=;")             },
        {STR("/?a="),          STR("a=;")             },
        {STR("/?=b"),          STR("=b;")             },
        {STR("/?a=b=c"),       STR("a=b=c;")          },
        {STR("/?&&a=1&&b=2&"), STR("a=1;b=2;")        },
        {STR("/?a=1&b=2&a=3"), STR("a=3;b=2;")        },
        {STR("/?a=1&%61="),    STR("a=;")             },
        {STR("/?a+b=c+d"),     STR("a b=c d;")        },
        {STR("/?a=%2B%26%3d"), STR("a=+&=;")          },
        {STR("/?a=%"),         STR("a=%;")            },
        {STR("/?a=%4"),        STR("a=%4;")           },
        {STR("/?a=%zz%41"),    STR("a=%zzA;")         },
        {STR("/?a=%41"),       STR("a=A;")            },
        {STR("/?a=%E2%82%AC"), STR("a=\xe2\x82\xac;") },
        {STR("/?a=%FF"),       STR("a=\xef\xbf\xbd;") },
        {STR("/?a=%E2%82x"),   STR("a=\xef\xbf\xbdx;")},
        {STR("/?a=%00"),       STR("a=\0;")           },
        {STR("/?a=\xe9"),      STR("a=\xc3\xa9;")     },
        {STR("/?a=?b"),        STR("a=?b;")           },
        {STR("/?a=1#b=2"),     STR("a=1;")            },
        {STR("/#?a=1"),        STR("")                },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;

        buf_init(&out, 1000);
        eio_query_each(cases[i].target, print_param, &out);
        assert_int_equal(out.size, cases[i].expected.size);
        assert_memory_equal(out.size ? out.at : "", cases[i].expected.at, out.size);
        buf_free(&out);
    }
}

static bool stop_at_second(void *context, struct str name, struct str value)
{
    size_t *count = context;
    (void)name;
    (void)value;

    return ++*count < 2;
}

static void stops_when_the_callback_says_so(void **state)
{
    size_t count = 0;
    (void)state;

    eio_query_each(STR("/?a&b&c"), stop_at_second, &count);
    assert_int_equal(count, 2);
}

static bool count_param(void *context, struct str name, struct str value)
{
    size_t *count = context;
    (void)name;
    (void)value;

    ++*count;
    return true;
}

static void reads_as_many_parameters_as_fit_in_a_request(void **state)
{
    size_t count = 0;
    struct buf target;
    (void)state;

    buf_init(&target, 1 << 20);
    buf_add_str(&target, STR("/?"));
    for (int i = 0; i < 5000; i++)
        buf_printf(&target, "%d&%%ff%d=%%ff&", i, i);
    eio_query_each(buf_str(&target), count_param, &count);
    assert_int_equal(count, 10000);
    buf_free(&target);
}

static struct eio_query read_query(struct str target)
{
    struct eio_query query;

    eio_query_read(target, &query);
    return query;
}

static void takes_every_revision_but_4_for_3(void **state)
{
    (void)state;
    assert_int_equal(read_query(STR("/?EIO=4")).protocol, 4);
    assert_int_equal(read_query(STR("/?EIO=3")).protocol, 3);
    assert_int_equal(read_query(STR("/?EIO=5")).protocol, 3);
    assert_int_equal(read_query(STR("/?EIO=04")).protocol, 3);
    assert_int_equal(read_query(STR("/?EIO=")).protocol, 3);
    assert_int_equal(read_query(STR("/?eio=4")).protocol, 3);
    assert_int_equal(read_query(STR("/")).protocol, 3);
    assert_int_equal(read_query(STR("/?EIO=3&EIO=4")).protocol, 4);
}

static void knows_transports_by_their_exact_names(void **state)
{
    (void)state;
    assert_int_equal(read_query(STR("/?transport=polling")).transport, EIO_POLLING);
    assert_int_equal(read_query(STR("/?transport=websocket")).transport, EIO_WEBSOCKET);
    assert_int_equal(read_query(STR("/?transport=webtransport")).transport, EIO_NO_TRANSPORT);
    assert_int_equal(read_query(STR("/?transport=Polling")).transport, EIO_NO_TRANSPORT);
    assert_int_equal(read_query(STR("/?transport=constructor")).transport, EIO_NO_TRANSPORT);
    assert_int_equal(read_query(STR("/?transport=")).transport, EIO_NO_TRANSPORT);
    assert_int_equal(read_query(STR("/?transport=polling&transport=x")).transport,
                     EIO_NO_TRANSPORT);
    assert_int_equal(read_query(STR("/")).transport, EIO_NO_TRANSPORT);
}

static void takes_an_empty_session_id_for_none(void **state)
{
    (void)state;
    assert_false(read_query(STR("/")).has_sid);
    assert_false(read_query(STR("/?sid=")).has_sid);
    assert_false(read_query(STR("/?sid=abc&sid=")).has_sid);
    assert_true(read_query(STR("/?sid=abc")).has_sid);
}

static void only_an_id_of_the_right_size_can_be_a_session(void **state)
{
    struct eio_query query = read_query(STR("/?sid=abcdefghijklmnopqrst"));
    (void)state;

    assert_true(query.sid_whole);
    assert_memory_equal(query.sid, "abcdefghijklmnopqrst", RANDOM_ID_SIZE);
    assert_false(read_query(STR("/?sid=abcdefghijklmnopqrs")).sid_whole);
    assert_false(read_query(STR("/?sid=abcdefghijklmnopqrstu")).sid_whole);
    assert_false(read_query(STR("/?sid=abcdefghijklmnopqrst&sid=a")).sid_whole);
}

static void any_value_of_b64_asks_for_base64(void **state)
{
    (void)state;
    assert_true(read_query(STR("/?b64=1")).base64);
    assert_true(read_query(STR("/?b64=0")).base64);
    assert_false(read_query(STR("/?b64=")).base64);
    assert_false(read_query(STR("/?b64")).base64);
    assert_false(read_query(STR("/")).base64);
}

static void a_callback_index_is_the_digits_of_j(void **state)
{
    struct eio_query query = read_query(STR("/?j=a1-2"));
    (void)state;

    assert_true(query.jsonp);
    assert_int_equal(query.jsonp_size, 2);
    assert_memory_equal(query.jsonp_index, "12", 2);
    query = read_query(STR("/?j"));
    assert_true(query.jsonp);
    assert_int_equal(query.jsonp_size, 0);
    query = read_query(STR("/?j=1234567890123456789012345"));
    assert_int_equal(query.jsonp_size, EIO_JSONP_INDEX_MAX);
    assert_false(read_query(STR("/")).jsonp);
}

static void a_form_gives_a_field_that_is_there_once(void **state)
{
    static const struct {
        struct str form;
        bool found;
        struct str value;
    } cases[] = {
        {STR("d=4a"),                      true,  STR("4a")              },
        {STR("x=1&%64=4+a%2B%e2%82%ac&y"), true,  STR("4 a+\xe2\x82\xac")},
        {STR("d=\xe2\x82\xac"),            true,  STR("\xe2\x82\xac")    },
        {STR("d"),                         true,  STR("")                },
        {STR("d=%ff"),                     true,  STR("\xef\xbf\xbd")    },
        {STR("d=1&d=2"),                   false, STR("")                },
        {STR("dd=1"),                      false, STR("")                },
        {STR(""),                          false, STR("")                },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf value;

        buf_init(&value, 100);
        assert_int_equal(eio_form_value(cases[i].form, STR("d"), &value), cases[i].found);
        if (cases[i].found) {
            assert_int_equal(value.size, cases[i].value.size);
            assert_memory_equal(value.size ? value.at : "", cases[i].value.at, value.size);
        }
        buf_free(&value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_parameters_as_urlsearchparams_does),
        cmocka_unit_test(stops_when_the_callback_says_so),
        cmocka_unit_test(reads_as_many_parameters_as_fit_in_a_request),
        cmocka_unit_test(takes_every_revision_but_4_for_3),
        cmocka_unit_test(knows_transports_by_their_exact_names),
        cmocka_unit_test(takes_an_empty_session_id_for_none),
        cmocka_unit_test(only_an_id_of_the_right_size_can_be_a_session),
        cmocka_unit_test(any_value_of_b64_asks_for_base64),
        cmocka_unit_test(a_callback_index_is_the_digits_of_j),
        cmocka_unit_test(a_form_gives_a_field_that_is_there_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
