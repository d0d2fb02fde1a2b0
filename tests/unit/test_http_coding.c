#include "net/http_coding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum http_coding choose(const char *accept, size_t offered)
{
    struct http_header headers[] = {
        {STR("accept-encoding"), str_from(accept)}
    };
    struct http_request request = {.headers = headers, .header_count = 1};

    return http_coding_choose(&request, offered);
}

/* What the reference's `accepts` package says to ["gzip", "deflate"]. */
static void best_coding_is_the_references(void **state)
{
    static const struct {
        const char *accept;
        enum http_coding chosen;
    } cases[] = {
        {"gzip",                           HTTP_GZIP    },
        {"deflate",                        HTTP_DEFLATE },
        {"gzip, deflate, br",              HTTP_GZIP    },
        {"deflate, gzip",                  HTTP_DEFLATE },
        {"br, deflate;q=0.5, gzip;q=0.8",  HTTP_GZIP    },
        {"gzip;q=0.5, deflate;q=0.501",    HTTP_DEFLATE },
        {"gzip;q=0, deflate",              HTTP_DEFLATE },
        {"gzip;q=0",                       HTTP_IDENTITY},
        {"*",                              HTTP_GZIP    },
        {"*;q=0.1",                        HTTP_GZIP    },
        {"*;q=0",                          HTTP_IDENTITY},
        {"*, gzip;q=0",                    HTTP_DEFLATE },
        {"*;q=0.9, gzip;q=0.1",            HTTP_DEFLATE },
        {"*, deflate",                     HTTP_DEFLATE },
        {"GZIP ; q=1.0",                   HTTP_GZIP    },
        {"gzip;level=9;q=0, deflate;q=.1", HTTP_DEFLATE },
        {"gzip;q=x",                       HTTP_IDENTITY},
        {"identity",                       HTTP_IDENTITY},
        {"x-gzip, gzipped",                HTTP_IDENTITY},
        {"gzip deflate",                   HTTP_IDENTITY},
        {"",                               HTTP_IDENTITY},
        {",,;,gzip",                       HTTP_GZIP    },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(choose(cases[i].accept, HTTP_IDENTITY), cases[i].chosen);
}

static void only_what_is_offered_is_chosen(void **state)
{
    (void)state;
    assert_int_equal(choose("deflate, gzip;q=0.1", HTTP_GZIP + 1), HTTP_GZIP);
    assert_int_equal(choose("deflate", HTTP_GZIP + 1), HTTP_IDENTITY);
}

static void repeated_headers_are_one_list(void **state)
{
    struct http_header headers[] = {
        {STR("Accept-Encoding"), STR("br, gzip;q=0.5")},
        {STR("Accept-Encoding"), STR("deflate")       }
    };
    struct http_request request = {.headers = headers, .header_count = 2};
    (void)state;

    assert_int_equal(http_coding_choose(&request, HTTP_IDENTITY), HTTP_DEFLATE);
    request.header_count = 0;
    assert_int_equal(http_coding_choose(&request, HTTP_IDENTITY), HTTP_IDENTITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_coding_is_the_references),
        cmocka_unit_test(only_what_is_offered_is_chosen),
        cmocka_unit_test(repeated_headers_are_one_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
