/* Clients of socket.io 1 and 2: what they join, how they are called and refused. */
#include "sio_fixture.h"

#include "socketio/legacy.h"

/* --- addresses ----------------------------------------------------------------------------- */

/* What `new URL(text, "https://socket.io")` of Node 20 makes of them. */
static void addresses_are_read_as_urls(void **state)
{
    static const struct {
        const char *text, *path, *auth;
    } cases[] = {
        {"/",                          "/",                    ""                                     },
        {"/a",                         "/a",                   ""                                     },
        {"/a/",                        "/a/",                  ""                                     },
        {"/a/../x",                    "/x",                   ""                                     },
        {"/a/./b/.",                   "/a/b/",                ""                                     },
        {"/a/..",                      "/",                    ""                                     },
        {"/..",                        "/",                    ""                                     },
        {"/a/...",                     "/a/...",               ""                                     },
        {"/a//b",                      "/a//b",                ""                                     },
        {"/%2e%2E/x",                  "/x",                   ""                                     },
        {"/.%2e/q",                    "/q",                   ""                                     },
        {"/a\\b",                      "/a/b",                 ""                                     },
        {"//evil/x",                   "/x",                   ""                                     },
        {"///x/y",                     "/y",                   ""                                     },
        {"/\\h/x",                     "/x",                   ""                                     },
        {"//h",                        "/",                    ""                                     },
        {"//h?x=1",                    "/",                    "{\"x\":\"1\"}"                        },
        {"/é",                        "/%C3%A9",              ""                                     },
        {"/a b",                       "/a%20b",               ""                                     },
        {"/x ",                        "/x",                   ""                                     },
        {"/a\tb\n",                    "/ab",                  ""                                     },
        {"/a\x01\x7f",                 "/a%01%7F",             ""                                     },
        {"/a^b|c",                     "/a^b|c",               ""                                     },
        {"/a{}`\"<>",                  "/a%7B%7D%60%22%3C%3E", ""                                     },
        {"/%zz",                       "/%zz",                 ""                                     },
        {"/~!$&'()*+;=:@-_",           "/~!$&'()*+;=:@-_",     ""                                     },
        {"/a?x=1#y",                   "/a",                   "{\"x\":\"1\"}"                        },
        {"/a#b?c=1",                   "/a",                   ""                                     },
        {"/a?",                        "/a",                   ""                                     },
        {"/a/.?x",                     "/a/",                  "{\"x\":\"\"}"                         },
        {"/a?q=1&q=2",                 "/a",                   "{\"q\":\"2\"}"                        },
        {"/a?é=ü%F0%9F%98%80&x=a+b", "/a",                   "{\"é\":\"ü😀\",\"x\":\"a b\"}"    },
        {"/a?b=1&2=c&1=d",             "/a",                   "{\"1\":\"d\",\"2\":\"c\",\"b\":\"1\"}"},
        {"/a?k=\"\\",                  "/a",                   "{\"k\":\"\\\"\\\\\"}"                 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_address address;
        char *copy = malloc(strlen(cases[i].text)); /* no NUL: borders show */

        memcpy(copy, cases[i].text, strlen(cases[i].text));
        assert_true(sio_address_read(&address, str_of(copy, strlen(cases[i].text)), true));
        if (!str_equal(buf_str(&address.path), str_from(cases[i].path)) ||
            !str_equal(buf_str(&address.auth), str_from(cases[i].auth)))
            fail_msg("%s became %.*s and %.*s", cases[i].text, (int)address.path.size,
                     address.path.at, (int)address.auth.size, buf_str(&address.auth).at);
        sio_address_free(&address);
        free(copy);
    }
}

static void an_address_without_a_host_behind_its_slashes_is_none(void **state)
{
    static const char *const cases[] = {"//", "///", "//?x", "/\\"};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_address address;

        assert_false(sio_address_read(&address, str_from(cases[i]), true));
        assert_string_equal(address.error, "Invalid URL");
        sio_address_free(&address);
    }
}

/* --- joining ------------------------------------------------------------------------------- */

static bool open_legacy(struct fixture *f, struct eio_session **session)
{
    *session = double_session_new(f->loop);
    (*session)->handshake.protocol = 3;
    return f->handler.open(f->handler.owner, *session);
}

/* A session that has joined the root. */
static struct eio_session *join_legacy(struct fixture *f)
{
    struct eio_session *session;

    assert_true(open_legacy(f, &session));
    expect_sent(session, "0");
    buf_reset(&f->story);
    return session;
}

static void the_root_is_joined_at_once(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    assert_true(open_legacy(f, &session));
    expect_sent(session, "0");
    expect_sent(session, NULL);
    expect_story(f, "connected /\n");
    assert_true(str_equal(sio_socket_id(socket_of(f, f->last)), STR("session-0123456789ab")));
    assert_true(str_equal(sio_socket_auth(socket_of(f, f->last)), STR("{}")));
    send_text(f, session, "2[\"a\",1]");
    expect_story(f, "event / a[1]\n");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    expect_story(f, "disconnecting / transport close\ndisconnected / transport close\n");
}

static void joining_the_root_once_more_is_a_fault(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    send_text(f, session, "0");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
}

/* Their ids are alike, so a second socket may not begin beside one in middleware either. */
static void joining_twice_while_middleware_runs_is_a_fault(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    f->hold = true;
    assert_true(open_legacy(f, &session));
    send_text(f, session, "0/");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "");
}

static void a_namespace_is_answered_without_a_payload(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    declare(f, "/hub");
    send_text(f, session, "0/hub?token=a%20b,{\"ignored\":1}");
    expect_sent(session, "0/hub,");
    expect_story(f, "connected /hub\n");
    struct sio_socket *socket = socket_of(f, f->last);
    assert_true(str_equal(sio_socket_id(socket), STR("/hub#session-0123456789ab")));
    assert_true(str_equal(sio_socket_auth(socket), STR("{\"token\":\"a b\"}")));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void every_packet_names_its_namespace_as_an_address(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    declare(f, "/hub");
    send_text(f, session, "0/x/../hub,");
    expect_sent(session, "0/hub,");
    buf_reset(&f->story);
    send_text(f, session, "2/hub?more=1,[\"a\"]");
    send_text(f, session, "51-/./hub,[\"b\",{\"_placeholder\":true,\"num\":0}]");
    send_bytes(f, session, FRAME_BINARY, STR("xyz"));
    expect_story(f, "event /hub a[]\nevent /hub b[{\"_placeholder\":true,\"num\":0}]+3\n");
    send_text(f, session, "1//host/hub");
    expect_story(f, "disconnecting /hub client namespace disconnect\n"
                    "disconnected /hub client namespace disconnect\n");
    assert_false(session->close_called);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void an_address_that_is_none_ends_the_connection(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    send_text(f, session, "0//,");
    expect_story(f, "error / Invalid URL\n");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
}

static void an_unknown_namespace_is_refused_as_for_all(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    send_text(f, session, "0/no/../where?x=1,");
    expect_sent(session, "4/where,{\"message\":\"Invalid namespace\"}");
    assert_false(session->close_called);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- refusing ------------------------------------------------------------------------------ */

static void a_refusal_is_its_data_or_the_message(void **state)
{
    static const struct {
        const char *data, *sent;
    } cases[] = {
        {"{\"code\":401}", "4/hub,{\"code\":401}"  },
        {"1",              "4/hub,1"               },
        {"\"why\"",        "4/hub,\"why\""         },
        {"",               "4/hub,\"no \\\"x\\\"\""},
        {"null",           "4/hub,\"no \\\"x\\\"\""},
        {"false",          "4/hub,\"no \\\"x\\\"\""},
        {"0",              "4/hub,\"no \\\"x\\\"\""},
        {"\"\"",           "4/hub,\"no \\\"x\\\"\""},
    };
    struct fixture *f = *state;
    struct eio_session *session = join_legacy(f);

    declare(f, "/hub");
    f->hold = true;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        send_text(f, session, "0/hub,");
        sio_socket_refuse(socket_of(f, f->last), STR("no \"x\""), str_from(cases[i].data));
        expect_sent(session, cases[i].sent);
        double_loop_turn(f->loop);
    }
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void a_refused_root_leaves_the_connection_until_its_time_is_up(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    f->hold = true;
    assert_true(open_legacy(f, &session));
    sio_socket_refuse(socket_of(f, f->last), STR("no"), STR(""));
    expect_sent(session, "4\"no\"");
    double_loop_advance(f->loop, CONNECT_TIMEOUT_MS - 1);
    assert_false(session->close_called);
    double_loop_advance(f->loop, CONNECT_TIMEOUT_MS);
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_read_as_urls),
        cmocka_unit_test(an_address_without_a_host_behind_its_slashes_is_none),
        TEST(the_root_is_joined_at_once),
        TEST(joining_the_root_once_more_is_a_fault),
        TEST(joining_twice_while_middleware_runs_is_a_fault),
        TEST(a_namespace_is_answered_without_a_payload),
        TEST(every_packet_names_its_namespace_as_an_address),
        TEST(an_address_that_is_none_ends_the_connection),
        TEST(an_unknown_namespace_is_refused_as_for_all),
        TEST(a_refusal_is_its_data_or_the_message),
        TEST(a_refused_root_leaves_the_connection_until_its_time_is_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
