/* Handshakes that the application decides about, and what their answers carry. */
#include "eio_fixture.h"

static struct eio_admission *asked;
static int asked_count;

/* The verdicts of `decide`. */
enum verdict {
    LATER,
    ALLOW,
    REFUSE,
};

static enum verdict verdict;

static void decide(void *owner, struct eio_admission *admission)
{
    assert_ptr_equal(owner, &t);
    asked = admission;
    asked_count++;
    if (verdict == ALLOW)
        eio_admission_allow(admission);
    else if (verdict == REFUSE)
        eio_admission_refuse(admission, STR("not \"you\""));
}

static int set_up_admission(void **state)
{
    if (set_up(state) != 0)
        return -1;
    t.options.admit = decide;
    t.options.admit_owner = &t;
    restart_server();
    asked = NULL;
    asked_count = 0;
    verdict = ALLOW;
    return 0;
}

static void a_handshake_that_is_allowed_goes_on(void **state)
{
    (void)state;
    open_polling();
    open_websocket("");
    assert_int_equal(asked_count, 2);
}

static void only_handshakes_are_asked_about(void **state)
{
    int client = open_polling();
    (void)state;

    post(client, "4a");
    assert_answer(client, ANSWER_OK);
    poll(client);
    turns();
    upgrade_to("EIO=4&transport=websocket&sid=$sid");
    get(new_client(), "EIO=4&transport=x");
    request(new_client(), "POST", "EIO=4&transport=polling", "", "");
    turns();
    assert_int_equal(asked_count, 1);
    assert_events("text a;");
}

static void a_refusal_is_told_in_the_words_of_the_application(void **state)
{
    int client = new_client();
    (void)state;

    verdict = REFUSE;
    get(client, "EIO=4&transport=polling");
    assert_answer(client, "HTTP/1.1 403 Forbidden\nContent-Type: application/json\n"
                          "Transfer-Encoding: chunked\n\n"
                          "22\n{\"code\":4,\"message\":\"not \\\"you\\\"\"}\n0\n\n");
    client = upgrade_to("EIO=4&transport=websocket");
    assert_answer(client, "HTTP/1.1 400 Bad Request\nConnection: close\n"
                          "Content-type: text/html\nContent-Length: 9\n\nnot \"you\"");
    assert_events("");
}

static void a_refusal_without_words_is_the_reference_one(void **state)
{
    int client = new_client();
    (void)state;

    verdict = LATER;
    get(client, "EIO=4&transport=polling");
    turns();
    eio_admission_refuse(asked, STR(""));
    turns();
    read_all(client);
    assert_true(answer_holds("{\"code\":4,\"message\":\"Forbidden\"}"));
}

static void the_verdict_may_take_its_time(void **state)
{
    int client = new_client();
    (void)state;

    verdict = LATER;
    get(client, "EIO=4&transport=polling");
    pass_ms(60 * 1000);
    assert_false(read_all(client));
    assert_int_equal(t.answer.size, 0);
    eio_admission_allow(asked);
    turns();
    read_all(client);
    assert_true(answer_holds("0{\"sid\":"));
    assert_events("open polling;");
}

static void frames_that_came_before_the_verdict_are_read_behind_it(void **state)
{
    (void)state;
    verdict = LATER;
    int client = upgrade_to("EIO=4&transport=websocket");
    turns();
    send_packet(client, "4early");
    turns();
    eio_admission_allow(asked);
    turns();
    assert_events("open websocket;text early;");
}

static void a_client_that_leaves_meanwhile_gets_no_session(void **state)
{
    int client = new_client();
    (void)state;

    verdict = LATER;
    get(client, "EIO=4&transport=polling");
    turns();
    drop(client);
    turns();
    struct str target = eio_admission_handshake(asked)->target;
    assert_true(str_starts(target, STR("/engine.io/?EIO=4")));
    eio_admission_allow(asked);
    turns();
    assert_events("");
    assert_int_equal(eio_server_sessions(t.server), 0);
}

static void a_server_may_end_before_the_verdict(void **state)
{
    int client = new_client();
    (void)state;

    verdict = LATER;
    get(client, "EIO=4&transport=polling");
    turns();
    eio_server_close(t.server);
    eio_admission_allow(asked);
    turns();
    assert_answer(client, ANSWER_EMPTY("503 Service Unavailable"));
    get(client, "EIO=4&transport=polling"); /* nobody decides: tear_down ends it */
    turns();
}

static void the_application_sees_the_request(void **state)
{
    int client = new_client();
    (void)state;

    verdict = LATER;
    request(client, "GET", "EIO=4&transport=polling&x=1", "X-Key: a\r\nOrigin: http://o\r\n",
            NULL);
    turns();
    const struct eio_handshake *seen = eio_admission_handshake(asked);
    struct str target = STR("/engine.io/?EIO=4&transport=polling&x=1");
    assert_true(str_equal(seen->target, target));
    assert_true(str_equal(seen->origin, STR("http://o")));
    assert_int_equal(seen->header_count, 3);
    assert_true(str_equal(seen->headers[1].name, STR("x-key")));
    eio_admission_refuse(asked, STR("no"));
}

/* --- what answers carry ------------------------------------------------------------------- */

static const struct http_header every[] = {
    {STR("x-a"), STR("1")}
};
static const struct http_header first[] = {
    {STR("x-first"), STR("yes")}
};

static void dress(void)
{
    t.options.cookie_name = STR("io");
    t.options.cookie_attributes = STR("; Path=/; HttpOnly; SameSite=Lax");
    t.options.headers = every;
    t.options.header_count = 1;
    t.options.initial_headers = first;
    t.options.initial_header_count = 1;
    restart_server();
}

static void a_polling_handshake_sets_the_cookie_and_all_headers(void **state)
{
    char expected[200];
    int client = new_client();
    (void)state;

    dress();
    get(client, "EIO=4&transport=polling");
    read_all(client);
    snprintf(expected, sizeof(expected),
             "cache-control: no-store\r\n"
             "Set-Cookie: io=%s; Path=/; HttpOnly; SameSite=Lax\r\n"
             "x-first: yes\r\nx-a: 1\r\nDate: ",
             t.sid);
    assert_true(answer_holds(expected));
}

static void the_initial_packet_follows_the_open_packet(void **state)
{
    int client = new_client();
    (void)state;

    t.options.initial_packet = STR("first \xc3\xbc");
    t.options.legacy_clients = true;
    restart_server();
    get(client, "EIO=4&transport=polling");
    read_all(client);
    assert_true(answer_holds("\"maxPayload\":1000}\x1e"
                             "4first \xc3\xbc"));

    get(client, "EIO=3&transport=polling");
    read_all(client);
    assert_true(answer_holds("\"maxPayload\":1000}8:4first \xc3\xbc"));

    client = upgrade_to("EIO=4&transport=websocket");
    read_all(client);
    assert_true(answer_holds("\"maxPayload\":1000}\x81\x09"
                             "4first \xc3\xbc"));
}

static void an_upgrade_gets_no_initial_packet(void **state)
{
    (void)state;
    t.options.initial_packet = STR("first");
    restart_server();
    open_polling();
    assert_answer(upgrade_to("EIO=4&transport=websocket&sid=$sid"), SWITCHING "\n");
}

static void later_answers_have_neither_cookie_nor_initial_headers(void **state)
{
    (void)state;
    dress();
    int client = open_polling();
    post(client, "4a");
    read_all(client);
    assert_true(answer_holds("cache-control: no-store\r\nx-a: 1\r\nDate: "));
    assert_false(answer_holds("Set-Cookie"));
    send_text(t.session, "b");
    poll(client);
    read_all(client);
    assert_true(answer_holds("cache-control: no-store\r\nx-a: 1\r\nDate: "));
}

static void a_websocket_handshake_has_the_headers_but_no_cookie(void **state)
{
    (void)state;
    dress();
    int client = upgrade_to("EIO=4&transport=websocket");
    read_all(client);
    assert_true(answer_holds("xOo=\r\nx-first: yes\r\nx-a: 1\r\n\r\n"));
    assert_events("open websocket;");

    open_polling();
    client = upgrade_to("EIO=4&transport=websocket&sid=$sid");
    read_all(client);
    assert_true(answer_holds("xOo=\r\nx-a: 1\r\n\r\n"));
}

static void error_answers_have_none_of_them(void **state)
{
    int client = new_client();
    (void)state;

    dress();
    get(client, "EIO=4&transport=x");
    read_all(client);
    assert_false(answer_holds("x-"));
    assert_true(answer_holds("\"code\":0"));
}

#define ADMISSION_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_admission, tear_down)
#define PLAIN_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ADMISSION_TEST(a_handshake_that_is_allowed_goes_on),
        ADMISSION_TEST(only_handshakes_are_asked_about),
        ADMISSION_TEST(a_refusal_is_told_in_the_words_of_the_application),
        ADMISSION_TEST(a_refusal_without_words_is_the_reference_one),
        ADMISSION_TEST(the_verdict_may_take_its_time),
        ADMISSION_TEST(frames_that_came_before_the_verdict_are_read_behind_it),
        ADMISSION_TEST(a_client_that_leaves_meanwhile_gets_no_session),
        ADMISSION_TEST(a_server_may_end_before_the_verdict),
        ADMISSION_TEST(the_application_sees_the_request),
        PLAIN_TEST(a_polling_handshake_sets_the_cookie_and_all_headers),
        PLAIN_TEST(the_initial_packet_follows_the_open_packet),
        PLAIN_TEST(an_upgrade_gets_no_initial_packet),
        PLAIN_TEST(later_answers_have_neither_cookie_nor_initial_headers),
        PLAIN_TEST(a_websocket_handshake_has_the_headers_but_no_cookie),
        PLAIN_TEST(error_answers_have_none_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
