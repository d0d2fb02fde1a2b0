#include "net/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The shortest head of a version 2 header: signature, version and command, family, length. */
#define V2(command, family, length) "\r\n\r\n\0\r\nQUIT\n" command family length

static char address[NET_ADDRESS_MAX];
static size_t used;

static enum proxy_result parse(struct str bytes)
{
    memset(address, 'x', sizeof(address));
    used = 0;
    return proxy_header_parse((const uint8_t *)bytes.at, bytes.size, &used, address);
}

static void good_lines_tell_the_client(void **state)
{
    static const struct {
        struct str line;
        const char *address;
    } cases[] = {
        {STR("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),                "192.168.0.1"},
        {STR("PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"),                   "0.0.0.0"    },
        {STR("PROXY TCP6 2001:db8::1 ::1 1 2\r\n"),                               "2001:db8::1"},
        {STR("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
             "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"                                             },
        {STR("PROXY UNKNOWN\r\n"),                                                ""           },
        {STR("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"),                    ""           },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(parse(cases[i].line), PROXY_DONE);
        assert_string_equal(address, cases[i].address);
        assert_int_equal(used, cases[i].line.size);
    }
}

static void bad_lines_are_refused(void **state)
{
    static const struct str lines[] = {
        STR("PROXY\r\n"),
        STR("PROXY \r\n"),
        STR("PROXY TCP4\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"),
        STR("PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n"),
        STR("PROXY TCP4 1.2.3.256 1.2.3.4 1 2\r\n"),
        STR("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"),
        STR("PROXY TCP4 ::1 ::1 1 2\r\n"),
        STR("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"),
        STR("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"),
        STR("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"),
        STR("PROXY TCP4 1.2.3.4\0 1.2.3.4 1 2\r\n"),
        STR("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"),
        STR("PROXX TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
        STR("GET / HTTP/1.1\r\n"),
        STR("\x16\x03\x01\x02"),
        STR("\r\n\r\n\r"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(parse(lines[i]), PROXY_BAD);
}

static void every_beginning_of_a_header_waits_for_more(void **state)
{
    static const struct str headers[] = {
        STR("PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"),
        STR(V2("\x21", "\x11", "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        for (size_t size = 0; size < headers[i].size; size++)
            assert_int_equal(parse(str_of(headers[i].at, size)), PROXY_MORE);
        assert_int_equal(parse(headers[i]), PROXY_DONE);
    }
}

static void what_follows_is_not_the_headers(void **state)
{
    (void)state;
    assert_int_equal(parse(STR("PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n")), PROXY_DONE);
    assert_int_equal(used, 15);
    assert_int_equal(parse(STR(V2("\x20", "\0", "\0\0") "GET /")), PROXY_DONE);
    assert_int_equal(used, 16);
}

static void a_line_has_107_bytes_at_most(void **state)
{
    char line[PROXY_V1_MAX + 1];
    (void)state;

    memset(line, 'a', sizeof(line));
    memcpy(line, "PROXY UNKNOWN ", 14);
    assert_int_equal(parse(str_of(line, PROXY_V1_MAX - 1)), PROXY_MORE);
    assert_int_equal(parse(str_of(line, PROXY_V1_MAX)), PROXY_BAD);
    memcpy(line + PROXY_V1_MAX - 2, "\r\n", 2);
    assert_int_equal(parse(str_of(line, PROXY_V1_MAX)), PROXY_DONE);
    line[PROXY_V1_MAX - 2] = 'a';
    memcpy(line + PROXY_V1_MAX - 1, "\r\n", 2);
    assert_int_equal(parse(str_of(line, PROXY_V1_MAX + 1)), PROXY_BAD);
}

static void binary_headers_tell_the_client(void **state)
{
    (void)state;
    assert_int_equal(
        parse(STR(V2("\x21", "\x11", "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2")),
        PROXY_DONE);
    assert_string_equal(address, "1.2.3.4");
    assert_int_equal(
        parse(STR(V2("\x21", "\x21", "\0\x24") "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
                                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\1\0\2")),
        PROXY_DONE);
    assert_string_equal(address, "2001:db8::1");
}

static void extensions_are_skipped(void **state)
{
    (void)state;
    assert_int_equal(parse(STR(V2("\x21", "\x11", "\0\x10") "\x01\x02\x03\x04\x05\x06\x07\x08"
                                                            "\0\1\0\2\x04\0\1\0")),
                     PROXY_DONE);
    assert_string_equal(address, "1.2.3.4");
    assert_int_equal(used, 32);
}

static void local_and_unknown_binary_headers_tell_nobody(void **state)
{
    static const struct str headers[] = {
        STR(V2("\x20", "\0", "\0\0")),
        STR(V2("\x20", "\x11", "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"),
        STR(V2("\x21", "\0", "\0\0")),
        STR(V2("\x21", "\0", "\0\3") "abc"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        assert_int_equal(parse(headers[i]), PROXY_DONE);
        assert_string_equal(address, "");
        assert_int_equal(used, headers[i].size);
    }
}

static void bad_binary_headers_are_refused(void **state)
{
    static const struct str headers[] = {
        STR(V2("\x11", "\x11",
               "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"), /* version 1 */
        STR(V2("\x22", "\x11",
               "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"), /* command 2 */
        STR(V2("\x21", "\x11",
               "\0\x0b") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0"), /* too short */
        STR(V2("\x21", "\x21", "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"),
        STR(V2("\x21", "\x31", "\0\1") "/"),
        STR(V2("\x21", "\x12", "\0\x0c") "\x01\x02\x03\x04\x05\x06\x07\x08\0\1\0\2"), /* UDP */
        STR("\r\n\r\n\0\r\nQUIT\r"),
    };
    (void)state;

    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        assert_int_equal(parse(headers[i]), PROXY_BAD);
}

static void binary_headers_are_bounded(void **state)
{
    (void)state;
    /* 4096 bytes in all; one more is refused without waiting for them */
    assert_int_equal(parse(STR(V2("\x21", "\0", "\x0f\xf0"))), PROXY_MORE);
    assert_int_equal(parse(STR(V2("\x21", "\0", "\x0f\xf1"))), PROXY_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines_tell_the_client),
        cmocka_unit_test(bad_lines_are_refused),
        cmocka_unit_test(every_beginning_of_a_header_waits_for_more),
        cmocka_unit_test(what_follows_is_not_the_headers),
        cmocka_unit_test(a_line_has_107_bytes_at_most),
        cmocka_unit_test(binary_headers_tell_the_client),
        cmocka_unit_test(extensions_are_skipped),
        cmocka_unit_test(local_and_unknown_binary_headers_tell_nobody),
        cmocka_unit_test(bad_binary_headers_are_refused),
        cmocka_unit_test(binary_headers_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
