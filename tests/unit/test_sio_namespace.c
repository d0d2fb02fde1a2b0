#include "sio_fixture.h"

static bool adopts_numbers(struct str name, struct str auth)
{
    return name.size == 2 && name.at[1] >= '0' && name.at[1] <= '9' && auth.size > 0;
}

static void names_are_taken_once(void **state)
{
    struct fixture *f = *state;
    int data;

    assert_non_null(sio_namespace_add(
        f->server, &(struct sio_namespace_options){.name = STR("/"), .data = &data}));
    assert_ptr_equal(sio_namespace_data(sio_namespace_find(f->server, STR("/"))), &data);
    assert_null(
        sio_namespace_add(f->server, &(struct sio_namespace_options){.name = STR("/")}));
    declare(f, "/a");
    assert_null(
        sio_namespace_add(f->server, &(struct sio_namespace_options){.name = STR("a")}));
}

static void dynamic_parents_are_asked_in_order(void **state)
{
    struct fixture *f = *state;
    struct sio_namespace *decided, *glob, *later, *child;
    int data;

    f->adopts = adopts_numbers;
    decided =
        sio_namespace_add(f->server, &(struct sio_namespace_options){.kind = SIO_DECIDED});
    glob = sio_namespace_add(
        f->server,
        &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/*"), .data = &data});
    later = sio_namespace_add(
        f->server, &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/a/*")});
    struct eio_session *first = join(f, "/1", NULL);
    child = sio_socket_namespace(socket_of(f, f->last));
    assert_ptr_equal(sio_namespace_parent(child), glob); /* no auth: not adopted */
    assert_ptr_equal(sio_namespace_data(child), &data);
    struct eio_session *second = open_session(f);
    send_text(f, second, "0/2,{}");
    assert_ptr_equal(sio_namespace_parent(sio_socket_namespace(socket_of(f, f->last))),
                     decided);
    send_text(f, second, "0/a/b,");
    assert_ptr_equal(sio_namespace_parent(sio_socket_namespace(socket_of(f, f->last))), later);
    send_text(f, second, "0/1,");
    assert_ptr_equal(sio_socket_namespace(socket_of(f, f->last)), child);
    assert_int_equal(sio_namespace_count(glob), 2);
    assert_int_equal(sio_namespace_count(decided), 1);
    close_session(f, first, EIO_TRANSPORT_CLOSE);
    close_session(f, second, EIO_TRANSPORT_CLOSE);
    assert_ptr_equal(sio_namespace_find(f->server, STR("/1")), child); /* lives on */
}

static void globs_match_runs_without_slash(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *pattern;
        const char *name;
        bool matches;
    } cases[] = {
        {"/org-*", "/org-",     true },
        {"/org-*", "/org-a-b",  true },
        {"/org-*", "/org-a/b",  false},
        {"/org-*", "/Org-a",    false},
        {"/*/x",   "/a/x",      true },
        {"/*/x",   "/a/b/x",    false},
        {"/a*b*c", "/abbxc",    true },
        {"/a*b*c", "/abbxcd",   false},
        {"/*-*-z", "/a-b-c-z",  true },
        {"/**",    "/anything", true },
        {"/a",     "/a",        true },
        {"/a",     "/ab",       false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        fixture_restart(f);
        sio_namespace_add(f->server, &(struct sio_namespace_options){
                                         .kind = SIO_GLOB, .name = str_from(cases[i].pattern)});
        struct eio_session *session = open_session(f);
        snprintf(text, sizeof(text), "0%s,", cases[i].name);
        send_text(f, session, text);
        if ((sio_namespace_find(f->server, str_from(cases[i].name)) != NULL) !=
            cases[i].matches)
            fail_msg("%s %s", cases[i].pattern, cases[i].name);
        close_session(f, session, EIO_TRANSPORT_CLOSE);
    }
}

static void empty_children_are_forgotten_on_demand(void **state)
{
    struct fixture *f = *state;
    struct sio_namespace *glob;

    f->options.cleanup_empty_children = true;
    fixture_restart(f);
    glob = sio_namespace_add(
        f->server, &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/*")});
    struct eio_session *session = open_session(f);
    send_text(f, session, "0/a,");
    struct eio_session *other = open_session(f);
    f->hold = true;
    send_text(f, other, "0/a,");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    assert_non_null(sio_namespace_find(f->server, STR("/a"))); /* one is in middleware */
    sio_socket_refuse(socket_of(f, f->last), STR("no"), STR(""));
    assert_null(sio_namespace_find(f->server, STR("/a")));
    f->hold = false;
    send_text(f, other, "0/a,");
    assert_int_equal(sio_namespace_count(glob), 1);
    close_session(f, other, EIO_TRANSPORT_CLOSE);
    assert_null(sio_namespace_find(f->server, STR("/a")));
    assert_non_null(sio_namespace_find(f->server, STR("/")));
}

static void names_of_children_are_bounded(void **state)
{
    struct fixture *f = *state;
    char text[1100];

    sio_namespace_add(f->server,
                      &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/*")});
    struct eio_session *session = open_session(f);
    for (size_t size = 1024; size <= 1025; size++) {
        memset(text, 'n', sizeof(text));
        text[0] = '0';
        text[1] = '/';
        text[1 + size] = '\0';
        send_text(f, session, text);
        assert_int_equal(sio_namespace_find(f->server, str_of(text + 1, size)) != NULL,
                         size == 1024);
    }
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void foreign_origins_are_refused(void **state)
{
    struct fixture *f = *state;
    struct str origins[] = {STR("https://a.example"), STR("https://b.example")};
    struct eio_session *session;

    sio_namespace_add(f->server, &(struct sio_namespace_options){.name = STR("/hub"),
                                                                 .origins = origins,
                                                                 .origin_count = 2});
    sio_namespace_add(f->server, &(struct sio_namespace_options){.kind = SIO_GLOB,
                                                                 .name = STR("/g*"),
                                                                 .origins = origins,
                                                                 .origin_count = 2});
    session = join(f, "/hub", NULL); /* no origin: no browser */
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    session = open_session(f);
    session->handshake.origin = STR("https://b.example");
    send_text(f, session, "0/hub,");
    expect_sent(session, "0/hub,{\"sid\":\"<sid>\"}");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    session = open_session(f);
    session->handshake.origin = STR("https://evil.example");
    send_text(f, session, "0/hub,");
    expect_sent(session, "4/hub,{\"message\":\"origin not allowed\"}");
    send_text(f, session, "0/g1,");
    expect_sent(session, "4/g1,{\"message\":\"origin not allowed\"}");
    assert_null(sio_namespace_find(f->server, STR("/g1")));
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_are_taken_once),           TEST(dynamic_parents_are_asked_in_order),
        TEST(globs_match_runs_without_slash), TEST(empty_children_are_forgotten_on_demand),
        TEST(names_of_children_are_bounded),  TEST(foreign_origins_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
