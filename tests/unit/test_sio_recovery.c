#include "sio_fixture.h"

/*
 * Recovery as a keeper sees it: sessions that come from elsewhere, and answers that come late. What
 * clients see of recovery is in tests/e2e/recovery.test.mjs.
 */

enum {
    WINDOW_MS = 60000,
    PIDS = 2,
};

/* A keeper that lets a test answer claims when it likes. */
struct keeper {
    struct sio_claim *claim;
    uint32_t saved;
};

static void take_claim(void *owner, struct sio_claim *claim)
{
    struct keeper *keeper = owner;

    assert_null(keeper->claim);
    keeper->claim = claim;
}

static void take_saved(void *owner, const struct sio_namespace *nsp,
                       const struct sio_session *session, uint32_t window_ms)
{
    struct keeper *keeper = owner;
    (void)nsp, (void)session;

    assert_int_equal(window_ms, WINDOW_MS);
    keeper->saved++;
}

static void end_claim(struct keeper *keeper, enum sio_claim_end how,
                      const struct sio_session *session)
{
    struct sio_claim *claim = keeper->claim;

    keeper->claim = NULL;
    sio_claim_end(claim, how, session);
}

static void set_up(struct fixture *f, struct keeper *keeper)
{
    static const struct sio_recovery_options recovery = {.window_ms = WINDOW_MS,
                                                         .buffer = 1 << 20};

    *keeper = (struct keeper){0};
    f->options.recovery = recovery;
    f->options.cleanup_empty_children = true;
    fixture_restart(f);
    assert_non_null(sio_namespace_add(
        f->server, &(struct sio_namespace_options){.name = STR("/a"), .recovery = recovery}));
    assert_non_null(sio_namespace_add(f->server, &(struct sio_namespace_options){
                                                     .kind = SIO_GLOB,
                                                     .name = STR("/org-*"),
                                                     .recovery = recovery,
                                                 }));
    sio_server_keep(f->server, &(struct sio_keeper){
                                   .claim = take_claim, .saved = take_saved, .owner = keeper});
}

/* The text sent next: `0/a,{"sid":"…","pid":"…"}` or what else there is. */
static void take_sent(struct eio_session *session, char *text, size_t size)
{
    struct frame *frame;

    assert_true(session->sent_first < session->sent_end);
    frame = session->sent[session->sent_first++];
    snprintf(text, size, "%.*s", (int)frame_body(frame).size - 1, frame_body(frame).at + 1);
    frame_unref(frame);
}

/* A member of a CONNECT answer. */
static void take_member(const char *answer, const char *name, char id[RANDOM_ID_SIZE + 1])
{
    const char *at = strstr(answer, name);

    assert_non_null(at);
    memcpy(id, at + strlen(name), RANDOM_ID_SIZE);
    id[RANDOM_ID_SIZE] = '\0';
}

static void take_ids(struct eio_session *session, char sid[RANDOM_ID_SIZE + 1],
                     char pid[RANDOM_ID_SIZE + 1])
{
    char answer[256];

    take_sent(session, answer, sizeof(answer));
    take_member(answer, "\"sid\":\"", sid);
    take_member(answer, "\"pid\":\"", pid);
}

static struct eio_session *come_back(struct fixture *f, const char *nsp, const char *pid)
{
    struct eio_session *session = open_session(f);
    char text[256];

    snprintf(text, sizeof(text), "0%s,{\"pid\":\"%s\"}", nsp, pid);
    send_text(f, session, text);
    return session;
}

static const char somebody[] = "pid-pid-pid-pid-pid-";

/* --- sessions from elsewhere ------------------------------------------------------------------ */

/* As another server writes it; it stands where this server is now. */
static struct sio_session session_at(struct buf *start, const struct sio_server *server)
{
    buf_init(start, SIZE_MAX);
    sio_number_write(start, sio_server_origin(server));
    buf_add_str(start, STR(".A"));
    return (struct sio_session){
        .pid = str_from(somebody),
        .sid = STR("sid_sid-sid_sid-sid_"),
        .origin = 5,
        .since = 1,
        .start = buf_str(start),
        .upto = STR(""),
        .last = STR(""),
        .data = STR("{\"x\":1}"),
    };
}

static void a_session_from_elsewhere_is_taken(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;
    struct sio_session found;
    struct keeper keeper;
    struct buf start;
    char sid[RANDOM_ID_SIZE + 1], pid[RANDOM_ID_SIZE + 1];

    set_up(f, &keeper);
    found = session_at(&start, f->server);
    session = come_back(f, "/a", somebody);
    expect_sent(session, NULL);
    end_claim(&keeper, SIO_CLAIM_FOUND, &found);
    take_ids(session, sid, pid);
    assert_string_equal(sid, "sid_sid-sid_sid-sid_");
    assert_string_equal(pid, somebody);
    assert_true(sio_socket_recovered(socket_of(f, f->last)));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    assert_int_equal(keeper.saved, 1);
    buf_free(&start);
}

/* Whoever can write to Redis must not make this server send what is no JSON. */
static void sessions_that_cannot_be_right_make_new_sockets(void **state)
{
    struct fixture *f = *state;
    static const struct str sids[] = {
        {"sid",                     3 },
        {"sid_sid-sid_sid-sid_x",   21},
        {"\"},{\"sid-sid_sid-sid_", 20}
    };
    static const struct str data[] = {
        {"5",       1},
        {"[1]",     3},
        {"{\"x\":", 5},
        {"{} {}",   5}
    };
    const size_t cases = sizeof(sids) / sizeof(sids[0]) + sizeof(data) / sizeof(data[0]);
    struct keeper keeper;
    struct buf start;
    char sid[RANDOM_ID_SIZE + 1], pid[RANDOM_ID_SIZE + 1];

    set_up(f, &keeper);
    for (size_t i = 0; i < cases; i++) {
        struct sio_session found = session_at(&start, f->server);
        struct eio_session *session = come_back(f, "/a", somebody);
        size_t other = sizeof(sids) / sizeof(sids[0]);

        if (i < other)
            found.sid = sids[i];
        else
            found.data = data[i - other];
        end_claim(&keeper, SIO_CLAIM_FOUND, &found);
        take_ids(session, sid, pid);
        assert_string_not_equal(pid, somebody);
        assert_string_not_equal(sid, "sid_sid-sid_sid-sid_");
        assert_false(sio_socket_recovered(socket_of(f, f->last)));
        assert_int_equal(json_tree_count(sio_socket_data(socket_of(f, f->last))), 0);
        close_session(f, session, EIO_TRANSPORT_CLOSE);
        buf_free(&start);
    }
}

/* --- answers that come late ------------------------------------------------------------------- */

static void a_namespace_stays_while_somebody_claims_in_it(void **state)
{
    struct fixture *f = *state;
    struct keeper keeper;

    set_up(f, &keeper);
    close_session(f, come_back(f, "/org-1", somebody), EIO_TRANSPORT_CLOSE);
    assert_true(
        str_equal(sio_namespace_name(sio_claim_namespace(keeper.claim)), STR("/org-1")));
    end_claim(&keeper, SIO_CLAIM_NONE, NULL);
    double_loop_turn(f->loop);
    assert_null(sio_namespace_find(f->server, STR("/org-1")));
}

/* It came back, was found, and went again before anybody knew. */
static void who_goes_while_it_is_looked_for_may_come_back_once_more(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;
    struct keeper keeper;
    char sid[RANDOM_ID_SIZE + 1], pid[RANDOM_ID_SIZE + 1], again[RANDOM_ID_SIZE + 1];

    set_up(f, &keeper);
    session = open_session(f);
    send_text(f, session, "0/a,");
    take_ids(session, sid, pid);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    assert_int_equal(keeper.saved, 1);

    close_session(f, come_back(f, "/a", pid), EIO_TRANSPORT_CLOSE);
    end_claim(&keeper, SIO_CLAIM_UNKNOWN, NULL);
    assert_int_equal(keeper.saved, 2);

    session = come_back(f, "/a", pid);
    end_claim(&keeper, SIO_CLAIM_UNKNOWN, NULL);
    take_ids(session, again, pid);
    assert_string_equal(again, sid);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- claims that make no sense ----------------------------------------------------------------- */

static void a_claim_in_another_namespace_leaves_the_socket_alone(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session, *other;
    struct keeper keeper;
    struct sio_handle handle;
    char sid[RANDOM_ID_SIZE + 1], pid[PIDS][RANDOM_ID_SIZE + 1];

    set_up(f, &keeper);
    session = open_session(f);
    send_text(f, session, "0/a,");
    take_ids(session, sid, pid[0]);
    handle = f->last;
    other = come_back(f, "/org-1", pid[0]);
    take_ids(other, sid, pid[1]);
    assert_string_not_equal(pid[0], pid[1]);
    assert_true(sio_socket_connected(socket_of(f, handle)));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    close_session(f, other, EIO_TRANSPORT_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_session_from_elsewhere_is_taken),
        TEST(sessions_that_cannot_be_right_make_new_sockets),
        TEST(a_namespace_stays_while_somebody_claims_in_it),
        TEST(who_goes_while_it_is_looked_for_may_come_back_once_more),
        TEST(a_claim_in_another_namespace_leaves_the_socket_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
