/* Polling, heartbeat and closing, as a client sees them. */
#include "eio_fixture.h"

/* --- polling ------------------------------------------------------------------------------ */

static void a_poll_waits_until_something_is_sent(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    assert_false(is_closed(client));
    assert_true(eio_session_writable(t.session));
    send_text(t.session, "a");
    send_binary(t.session, STR("\x01\x02"));
    send_text(t.session, "€");
    turns();
    assert_polled(client, "4a\x1e"
                          "bAQI=\x1e"
                          "4€");
    assert_false(eio_session_writable(t.session));
}

static void what_is_sent_without_a_poll_waits_for_the_next_one(void **state)
{
    (void)state;
    int client = open_polling();
    send_text(t.session, "a");
    send_text(t.session, "");
    poll(client);
    assert_polled(client, "4a\x1e"
                          "4");
}

static void a_post_hands_its_messages_up_and_is_answered_ok(void **state)
{
    (void)state;
    int client = open_polling();
    post(client, "4a\x1e"
                 "bYmM=\x1e"
                 "6\x1e"
                 "0\x1e"
                 "5\x1e"
                 "4€");
    assert_answer(client, ANSWER_OK);
    assert_events("text a;binary bc;text €;");
}

static void bytes_that_are_not_utf8_become_replacement_characters(void **state)
{
    (void)state;
    int client = open_polling();
    post(client, "4a\xff\xe2\x82\x1e"
                 "4b");
    assert_answer(client, ANSWER_OK);
    assert_events("text a\xef\xbf\xbd\xef\xbf\xbd;text b;");
}

static void old_explorers_get_their_header(void **state)
{
    (void)state;
    int client = open_polling();
    request(client, "POST", "EIO=4&transport=polling&sid=$sid",
            "User-Agent: Mozilla/5.0 (Trident/7.0)\r\n", "4x");
    assert_answer(client, "HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 2\n"
                          "X-XSS-Protection: 0\ncache-control: no-store\n\nok");
}

static void a_second_poll_ends_the_session_and_both_polls(void **state)
{
    (void)state;
    int first = open_polling();
    int second = new_client();
    poll(first);
    poll(second);
    assert_polled(first, "1");
    assert_answer(second, ANSWER_EMPTY("400 Bad Request"));
    assert_events("closed transport error;");
    poll(first);
    assert_answer(first, ANSWER_GONE);
    assert_string_equal(
        strstr(logged(), "reason="),
        "reason=\"transport error\" detail=\"a second poll beside a pending one\"\n");
}

/* A POST whose body has begun but not ended. */
static int begin_post(void)
{
    int client = new_client();
    char text[300];

    snprintf(text, sizeof(text),
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n"
             "Content-Length: 10\r\n\r\n4a",
             t.sid);
    write_text(client, text);
    assert_false(is_closed(client));
    return client;
}

static void a_second_post_ends_the_session_and_destroys_the_first(void **state)
{
    (void)state;
    open_polling();
    int first = begin_post();
    int second = new_client();
    post(second, "4b");
    assert_answer(second, ANSWER_EMPTY("400 Bad Request"));
    assert_true(is_closed(first));
    assert_events("closed transport error;");
}

static void a_poll_and_a_post_may_overlap(void **state)
{
    (void)state;
    int client = open_polling();
    int other = new_client();
    poll(client);
    post(other, "4a");
    assert_answer(other, ANSWER_OK);
    assert_events("text a;");
    assert_false(is_closed(client));
}

static void an_aborted_poll_ends_the_session(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    drop(client);
    assert_events("closed transport error;");
}

static void an_aborted_post_ends_the_session(void **state)
{
    (void)state;
    open_polling();
    drop(begin_post());
    assert_events("closed transport error;");
}

static void a_binary_body_ends_the_session(void **state)
{
    static const char query[] = "EIO=4&transport=polling&sid=$sid";
    (void)state;

    int client = open_polling();
    request(client, "POST", query, "Content-Type: application/octet-stream; x\r\n", "4a");
    assert_answer(client, ANSWER_OK);
    request(client, "POST", query, "Content-Type: application/octet-stream\r\n", "4b");
    assert_answer(client, ANSWER_EMPTY("400 Bad Request"));
    assert_events("text a;closed transport error;");
}

static void a_body_at_the_limit_is_taken_and_one_over_it_only_refused(void **state)
{
    char body[MAX_PAYLOAD + 2];
    char expected[200];
    (void)state;

    int client = open_polling();
    memset(body, '4', sizeof(body) - 1);
    body[MAX_PAYLOAD] = '\0';
    post(client, body);
    assert_answer(client, ANSWER_OK);
    buf_reset(&t.events);

    body[MAX_PAYLOAD] = '4';
    body[MAX_PAYLOAD + 1] = '\0';
    post(client, body);
    assert_answer(client, ANSWER_EMPTY("413 Payload Too Large"));
    snprintf(expected, sizeof(expected),
             "warn payload too large session=%.6s address=\"\" size=1001 limit=1000\n", t.sid);
    assert_string_equal(logged(), expected);

    post(client, "4x");
    assert_answer(client, ANSWER_OK);
    assert_events("text x;");
}

static void faulty_payloads_are_answered_ok_but_end_the_session(void **state)
{
    static const struct {
        const char *body;
        const char *events;
    } cases[] = {
        {"x",           "closed parse error;"           },
        {"",            "closed parse error;"           },
        {"4a\x1e",      "text a;closed parse error;"    },
        {"4a\x1ex\x1e"
         "4b", "text a;closed parse error;"    },
        {"2",           "closed transport error;"       },
        {"4a\x1e"
         "2probe\x1e"
         "4b", "text a;closed transport error;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int client = open_polling();

        post(client, cases[i].body);
        assert_answer(client, ANSWER_OK);
        assert_events(cases[i].events);
        poll(client);
        assert_answer(client, ANSWER_GONE);
    }
}

static void a_faulty_payload_ends_the_pending_poll_too(void **state)
{
    (void)state;
    int client = open_polling();
    int poller = new_client();
    poll(poller);
    post(client, "x");
    assert_polled(poller, "1");
}

static void a_posted_close_ends_the_session_and_the_rest_is_ignored(void **state)
{
    (void)state;
    int client = open_polling();
    int poller = new_client();
    poll(poller);
    post(client, "4a\x1e"
                 "1\x1e"
                 "4b");
    assert_answer(client, ANSWER_OK);
    assert_polled(poller, "6");
    assert_events("text a;closed transport close;");
    poll(client);
    assert_answer(client, ANSWER_GONE);
}

static void a_queue_over_the_backlog_ends_the_session(void **state)
{
    static char text[BACKLOG / 4];
    (void)state;

    open_polling();
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 3; i++)
        send_text(t.session, text);
    turns();
    assert_events("");
    send_text(t.session, text);
    send_text(t.session, text);
    turns();
    assert_events("closed transport error;");
    assert_non_null(strstr(logged(), "limit=100000\n"));
}

static void many_small_packets_count_for_what_they_cost(void **state)
{
    struct eio_session *session;
    (void)state;

    open_polling();
    session = t.session;
    for (int i = 0; i < BACKLOG / 64 + 1; i++)
        send_text(session, "");
    turns();
    assert_events("closed transport error;");
}

/* --- jsonp -------------------------------------------------------------------------------- */

static void a_jsonp_session_is_answered_with_calls(void **state)
{
    char expected[512];
    int client = new_client();
    (void)state;

    get(client, "EIO=4&transport=polling&j=3");
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=UTF-8\nContent-Length: 143\n"
             "cache-control: no-store\n\n___eio[3](\"0{\\\"sid\\\":\\\"%s\\\","
             "\\\"upgrades\\\":[\\\"websocket\\\"],\\\"pingInterval\\\":25000,"
             "\\\"pingTimeout\\\":20000,\\\"maxPayload\\\":1000}\");",
             t.sid);
    assert_answer(client, expected);

    send_text(t.session, "a\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa");
    send_binary(t.session, STR("\x01"));
    poll(client);
    assert_polled(client, "___eio[3](\"4a\\u2028\\u2029\xe2\x80\xaa\\u001ebAQ==\");");
    poll(client);
    eio_session_close(t.session);
    turns();
    assert_polled(client, "___eio[3](\"1\");");
}

static void a_jsonp_post_is_a_form_with_escaped_line_ends(void **state)
{
    static const struct {
        const char *body;
        const char *events;
    } cases[] = {
        {"d=4a",                      "text a;"          },
        {"d=4a%5Cnb%5C%5Cnc%5Cd&x=y", "text a\nb\\nc\\d;"},
        {"d=4a%1E4b",                 "text a;text b;"   },
        {"x=4a",                      ""                 },
        {"",                          ""                 },
        {"d=4a&d=4b",                 ""                 },
    };
    int client = new_client();
    (void)state;

    get(client, "EIO=4&transport=polling&j=");
    read_all(client);
    assert_true(answer_holds("___eio[](\"0{"));
    assert_events("open polling;");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        post(client, cases[i].body);
        assert_answer(client, ANSWER_OK);
        assert_events(cases[i].events);
    }
    post(client, "d=");
    assert_answer(client, ANSWER_OK);
    assert_events("closed parse error;");
}

/* --- closing ------------------------------------------------------------------------------ */

static void
a_close_by_the_server_ends_the_pending_poll_and_calls_back_from_the_loop(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    eio_session_close(t.session);
    assert_events("");
    turns();
    assert_polled(client, "1");
    assert_events("closed forced close;");
}

static void a_close_without_a_poll_waits_for_the_next_one(void **state)
{
    (void)state;
    int client = open_polling();
    eio_session_close(t.session);
    turns();
    assert_events("");

    send_text(t.session, "not taken");
    post(client, "4not delivered\x1e"
                 "x");
    assert_answer(client, ANSWER_OK);
    poll(client);
    assert_polled(client, "6\x1e"
                          "1");
    assert_events("closed forced close;");
    poll(client);
    assert_answer(client, ANSWER_GONE);
}

static void a_close_goes_behind_what_is_queued(void **state)
{
    (void)state;
    int client = open_polling();
    send_text(t.session, "last");
    eio_session_close(t.session);
    poll(client);
    assert_polled(client, "4last");
    assert_events("");
    poll(client);
    assert_polled(client, "6\x1e"
                          "1");
    assert_events("closed forced close;");
}

static void packets_sent_before_a_close_leave_with_the_pending_poll(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    send_text(t.session, "last");
    eio_session_close(t.session);
    turns();
    assert_polled(client, "4last");
    poll(client);
    assert_polled(client, "6\x1e"
                          "1");
}

static void a_close_that_nobody_fetches_is_done_after_30_s(void **state)
{
    (void)state;
    open_polling();
    eio_session_close(t.session);
    pass_ms(29999);
    assert_events("");
    pass_ms(1);
    assert_events("closed forced close;");
}

static void the_heartbeat_may_end_a_closing_session_before(void **state)
{
    (void)state;
    open_polling();
    pass_ms(PING_INTERVAL_MS - 1);
    eio_session_close(t.session);
    pass_ms(PING_TIMEOUT_MS);
    assert_events("");
    pass_ms(1);
    assert_events("closed ping timeout;");
}

static void a_closing_client_that_posts_a_close_closed_itself(void **state)
{
    (void)state;
    int client = open_polling();
    eio_session_close(t.session);
    post(client, "1");
    assert_answer(client, ANSWER_OK);
    assert_events("closed transport close;");
}

static void close_and_send_again(struct eio_session *session, struct str text)
{
    (void)text;
    send_text(session, "bye");
    eio_session_close(session);
    eio_session_close(session);
    send_text(session, "lost");
}

static void a_message_handler_may_send_and_close(void **state)
{
    (void)state;
    int client = open_polling();
    int poller = new_client();
    t.on_message = close_and_send_again;
    poll(poller);
    post(client, "4a\x1e"
                 "4b");
    assert_answer(client, ANSWER_OK);
    assert_polled(poller, "4bye");
    assert_events("text a;");
    poll(poller);
    assert_polled(poller, "6\x1e"
                          "1");
    assert_events("closed forced close;");
}

static void a_session_that_open_refuses_is_gone_without_a_callback(void **state)
{
    (void)state;
    t.refuse = true;
    int client = open_polling();
    poll(client);
    assert_answer(client, ANSWER_GONE);
    upgrade_to("EIO=4&transport=websocket");
    assert_events("open websocket;");
    assert_int_equal(eio_server_sessions(t.server), 0);
}

static void a_server_that_closes_ends_every_session_and_opens_none(void **state)
{
    (void)state;
    int poller = open_polling();
    poll(poller);
    int ws = open_websocket("");
    eio_server_close(t.server);
    turns();
    assert_events("closed server shutting down;closed server shutting down;");
    assert_polled(poller, "1");
    assert_close_frame(ws);
    get(poller, "EIO=4&transport=polling");
    assert_answer(poller, ANSWER_EMPTY("503 Service Unavailable"));
}

/* --- heartbeat ---------------------------------------------------------------------------- */

static void a_ping_comes_an_interval_after_the_open_and_after_each_pong(void **state)
{
    (void)state;
    int client = open_polling();
    int poster = new_client();
    poll(client);
    pass_ms(PING_INTERVAL_MS - 1);
    assert_false(is_closed(client));
    pass_ms(1);
    assert_polled(client, "2");

    pass_ms(PING_TIMEOUT_MS - 1);
    post(poster, "3");
    poll(client);
    pass_ms(PING_INTERVAL_MS - 1);
    assert_false(is_closed(client));
    pass_ms(1);
    assert_polled(client, "2");
}

static void a_missing_pong_ends_the_session(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    pass_ms(PING_INTERVAL_MS);
    assert_polled(client, "2");
    poll(client);
    pass_ms(PING_TIMEOUT_MS - 1);
    assert_events("");
    pass_ms(1);
    assert_polled(client, "1");
    assert_events("closed ping timeout;");
    poll(client);
    assert_answer(client, ANSWER_GONE);
}

static void the_first_other_packet_restarts_the_wait_for_a_pong_once(void **state)
{
    (void)state;
    int client = open_polling();
    pass_ms(PING_INTERVAL_MS + 15000);
    post(client, "4a");
    pass_ms(PING_TIMEOUT_MS - 1);
    post(client, "4b");
    assert_events("text a;text b;");
    pass_ms(1);
    assert_events("closed ping timeout;");
}

static void a_pong_nobody_asked_for_restarts_the_interval(void **state)
{
    (void)state;
    int client = open_polling();
    int poller = new_client();
    poll(poller);
    pass_ms(PING_INTERVAL_MS - 1);
    post(client, "3");
    pass_ms(PING_INTERVAL_MS - 1);
    assert_false(is_closed(poller));
    pass_ms(1);
    assert_polled(poller, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(a_poll_waits_until_something_is_sent),
        SESSION_TEST(what_is_sent_without_a_poll_waits_for_the_next_one),
        SESSION_TEST(a_post_hands_its_messages_up_and_is_answered_ok),
        SESSION_TEST(bytes_that_are_not_utf8_become_replacement_characters),
        SESSION_TEST(old_explorers_get_their_header),
        SESSION_TEST(a_second_poll_ends_the_session_and_both_polls),
        SESSION_TEST(a_second_post_ends_the_session_and_destroys_the_first),
        SESSION_TEST(a_poll_and_a_post_may_overlap),
        SESSION_TEST(an_aborted_poll_ends_the_session),
        SESSION_TEST(an_aborted_post_ends_the_session),
        SESSION_TEST(a_binary_body_ends_the_session),
        SESSION_TEST(a_body_at_the_limit_is_taken_and_one_over_it_only_refused),
        SESSION_TEST(faulty_payloads_are_answered_ok_but_end_the_session),
        SESSION_TEST(a_faulty_payload_ends_the_pending_poll_too),
        SESSION_TEST(a_posted_close_ends_the_session_and_the_rest_is_ignored),
        SESSION_TEST(a_queue_over_the_backlog_ends_the_session),
        SESSION_TEST(many_small_packets_count_for_what_they_cost),
        SESSION_TEST(a_jsonp_session_is_answered_with_calls),
        SESSION_TEST(a_jsonp_post_is_a_form_with_escaped_line_ends),
        SESSION_TEST(a_close_by_the_server_ends_the_pending_poll_and_calls_back_from_the_loop),
        SESSION_TEST(a_close_without_a_poll_waits_for_the_next_one),
        SESSION_TEST(a_close_goes_behind_what_is_queued),
        SESSION_TEST(packets_sent_before_a_close_leave_with_the_pending_poll),
        SESSION_TEST(a_close_that_nobody_fetches_is_done_after_30_s),
        SESSION_TEST(the_heartbeat_may_end_a_closing_session_before),
        SESSION_TEST(a_closing_client_that_posts_a_close_closed_itself),
        SESSION_TEST(a_message_handler_may_send_and_close),
        SESSION_TEST(a_session_that_open_refuses_is_gone_without_a_callback),
        SESSION_TEST(a_server_that_closes_ends_every_session_and_opens_none),
        SESSION_TEST(a_ping_comes_an_interval_after_the_open_and_after_each_pong),
        SESSION_TEST(a_missing_pong_ends_the_session),
        SESSION_TEST(the_first_other_packet_restarts_the_wait_for_a_pong_once),
        SESSION_TEST(a_pong_nobody_asked_for_restarts_the_interval),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
