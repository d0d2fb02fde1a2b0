#include "net/ws_extension.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TAKEN "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

/* The answer to these headers: "" when no extension is agreed on, "malformed". */
static void answers(const char *expected, int expected_bits, const char *first,
                    const char *second)
{
    struct http_header headers[] = {
        {STR("sec-websocket-extensions"), str_from(first)},
        {STR("Host"),                     STR("x")       },
        {STR("Sec-WebSocket-Extensions"), STR("")        },
    };
    struct http_request request = {.headers = headers, .header_count = second ? 3 : 2};
    struct buf answer;
    uint8_t bits;

    if (second)
        headers[2].value = str_from(second);
    buf_init(&answer, 1000);
    if (!ws_extension_agree(&request, &answer, &bits)) {
        assert_string_equal(expected, "malformed");
    } else {
        buf_add_byte(&answer, '\0');
        assert_string_equal(answer.at, expected);
        assert_int_equal(bits, expected_bits);
    }
    buf_free(&answer);
}

static void first_offer_that_can_be_met_is_taken(void **state)
{
    static const struct {
        const char *offer;
        const char *answer;
        int bits;
    } cases[] = {
        {"permessage-deflate",                                                         TAKEN,                               15},
        {"permessage-deflate; client_max_window_bits",                                 TAKEN,                               15},
        {"permessage-deflate; client_max_window_bits=8",                               TAKEN,                               15},
        {"permessage-deflate; client_max_window_bits=\"15\"",                          TAKEN,                               15},
        {"permessage-deflate;server_no_context_takeover;client_no_context_takeover",   TAKEN,                               15},
        {"permessage-deflate; server_max_window_bits=9",                               TAKEN "; server_max_window_bits=9",  9 },
        {"permessage-deflate; server_max_window_bits=\"12\"",
         TAKEN "; server_max_window_bits=12",                                                                               12},
        {"permessage-deflate; server_max_window_bits=15",                              TAKEN "; server_max_window_bits=15",
         15                                                                                                                   },
        {"x-webkit-deflate-frame, permessage-deflate",                                 TAKEN,                               15},
        {"other;a=b;c=\"d\" ,\tpermessage-deflate",                                    TAKEN,                               15},

 /* declined: RFC 7692, 7.1 */
        {"x-webkit-deflate-frame",                                                     "",                                  0 },
        {"Permessage-Deflate",                                                         "",                                  0 },
        {"permessage-deflate; unknown",                                                "",                                  0 },
        {"permessage-deflate; server_no_context_takeover=true",                        "",                                  0 },
        {"permessage-deflate; client_no_context_takeover=1",                           "",                                  0 },
        {"permessage-deflate; server_no_context_takeover; server_no_context_takeover", "",                                  0 },
        {"permessage-deflate; client_max_window_bits; client_max_window_bits=9",       "",                                  0 },
        {"permessage-deflate; server_max_window_bits",                                 "",                                  0 },
        {"permessage-deflate; server_max_window_bits=16",                              "",                                  0 },
        {"permessage-deflate; server_max_window_bits=7",                               "",                                  0 },
        {"permessage-deflate; server_max_window_bits=09",                              "",                                  0 },
        {"permessage-deflate; server_max_window_bits=a",                               "",                                  0 },
        {"permessage-deflate; client_max_window_bits=7",                               "",                                  0 },
        {"permessage-deflate; client_max_window_bits=16",                              "",                                  0 },

 /* a window of 8 bits is one that we do not have */
        {"permessage-deflate; server_max_window_bits=8",                               "",                                  0 },

 /* what is second best */
        {"permessage-deflate; server_max_window_bits=8, permessage-deflate; "
         "server_max_window_bits=10, permessage-deflate",                     TAKEN "; server_max_window_bits=10", 10},
        {"permessage-deflate; unknown, permessage-deflate",                            TAKEN,                               15},

        {"",                                                                           "malformed",                         0 },
        {"permessage-deflate,",                                                        "malformed",                         0 },
        {"permessage-deflate;",                                                        "malformed",                         0 },
        {"permessage-deflate; a=",                                                     "malformed",                         0 },
        {"permessage-deflate; a=\"b",                                                  "malformed",                         0 },
        {"permessage-deflate; a=\"\"",                                                 "malformed",                         0 },
        {"permessage-deflate; a b",                                                    "malformed",                         0 },
        {"permessage-deflate permessage-deflate",                                      "malformed",                         0 },
        {"=permessage-deflate",                                                        "malformed",                         0 },
        {"permessage-deflate, \x80",                                                   "malformed",                         0 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        answers(cases[i].answer, cases[i].bits, cases[i].offer, NULL);
}

static void repeated_headers_are_one_list(void **state)
{
    (void)state;
    answers(TAKEN, 15, "other", "permessage-deflate");
    answers(TAKEN, 15, "permessage-deflate", "permessage-deflate; server_max_window_bits=9");
    answers("malformed", 0, "permessage-deflate", ";");
}

static void no_header_is_no_offer(void **state)
{
    struct http_request request = {.header_count = 0};
    struct buf answer;
    uint8_t bits;
    (void)state;

    buf_init(&answer, 1000);
    assert_true(ws_extension_agree(&request, &answer, &bits));
    assert_int_equal(bits, 0);
    assert_int_equal(answer.size, 0);
    buf_free(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_offer_that_can_be_met_is_taken),
        cmocka_unit_test(repeated_headers_are_one_list),
        cmocka_unit_test(no_header_is_no_offer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
