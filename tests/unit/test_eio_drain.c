#include "eio_fixture.h"

static void drain_all(void)
{
    eio_server_close_some(t.server, eio_server_sessions(t.server));
    turns();
}

/* A poll of a client that does not keep its connection. */
static void poll_once(int client)
{
    request(client, "GET", "EIO=4&transport=polling&sid=$sid", "Connection: close\r\n", NULL);
}

static bool ends_with(const char *end)
{
    size_t size = strlen(end);

    return t.answer.size >= size && memcmp(t.answer.at + t.answer.size - size, end, size) == 0;
}

static void sessions_are_closed_as_many_as_asked_for(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++)
        open_websocket("");
    eio_server_drain(t.server, false);
    eio_server_close_some(t.server, 0);
    assert_int_equal(eio_server_sessions(t.server), 8);
    eio_server_close_some(t.server, 3);
    turns();
    assert_int_equal(eio_server_sessions(t.server), 5);
    assert_events("closed server shutting down;closed server shutting down;"
                  "closed server shutting down;");
    eio_server_close_some(t.server, 100);
    assert_int_equal(eio_server_sessions(t.server), 0);
}

static void a_pending_poll_gets_what_is_queued_and_the_close(void **state)
{
    (void)state;
    int client = open_polling();
    struct eio_session *session = t.session;

    poll(client);
    eio_server_drain(t.server, false);
    send_text(session, "last");
    drain_all();
    assert_polled(client, "4last\x1e"
                          "1");
    assert_events("closed server shutting down;");
}

static void a_session_without_a_poll_is_closed_by_its_next_one(void **state)
{
    (void)state;
    int client = open_polling();
    struct eio_session *session = t.session;

    eio_server_drain(t.server, false);
    drain_all();
    assert_int_equal(eio_server_sessions(t.server), 1);
    drain_all();
    post(client, "4still heard");
    assert_events("text still heard;");
    read_all(client);
    send_text(session, "still sent");
    poll(client);
    assert_polled(client, "4still sent\x1e"
                          "1");
    assert_events("closed server shutting down;");
    assert_int_equal(eio_server_sessions(t.server), 0);
}

static void such_a_poll_gets_a_noop_and_the_close_when_nothing_is_queued(void **state)
{
    (void)state;
    int client = open_polling();

    eio_server_drain(t.server, false);
    drain_all();
    poll(client);
    assert_polled(client, "6\x1e"
                          "1");
    assert_events("closed server shutting down;");
}

static void
a_client_that_does_not_keep_its_connection_is_closed_with_what_it_is_sent(void **state)
{
    (void)state;
    int client = open_polling();

    eio_server_drain(t.server, false);
    poll_once(client);
    assert_false(is_closed(client));
    send_text(t.session, "hello");
    turns();
    assert_true(read_all(client));
    assert_true(ends_with("\r\n\r\n4hello\x1e"
                          "1"));
    assert_events("closed server shutting down;");
}

static void one_of_protocol_3_and_one_of_jsonp_understand_it(void **state)
{
    (void)state;
    t.options.legacy_clients = true;
    restart_server();
    int client = new_client();
    get(client, "EIO=3&transport=polling");
    read_all(client);
    struct eio_session *old = t.session;
    request(client, "GET", "EIO=3&transport=polling&sid=$sid", "Connection: close\r\n", NULL);

    int jsonp = new_client();
    get(jsonp, "EIO=4&transport=polling&j=0");
    read_all(jsonp);
    request(jsonp, "GET", "EIO=4&transport=polling&j=0&sid=$sid", "", NULL);
    eio_server_drain(t.server, false);
    send_text(old, "a");
    turns();
    assert_true(read_all(client));
    assert_true(ends_with("2:4a1:1"));
    drain_all();
    read_all(jsonp);
    assert_true(ends_with("___eio[0](\"1\");"));
    assert_events("open polling;open polling;closed server shutting down;"
                  "closed server shutting down;");
}

static void a_client_that_keeps_its_connection_stays(void **state)
{
    (void)state;
    int client = open_polling();

    eio_server_drain(t.server, false);
    poll(client);
    net_conns_stop(t.loop);
    send_text(t.session, "hello");
    turns();
    assert_polled(client, "4hello");
    post(client, "4hi");
    assert_answer(client, ANSWER_OK);
    assert_events("text hi;");
    poll(client);
    assert_false(is_closed(client));
    assert_int_equal(eio_server_sessions(t.server), 1);
}

static void an_upgrade_that_is_going_on_comes_to_its_end(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = upgrade_to("EIO=4&transport=websocket&sid=$sid");

    send_packet(ws, "2probe");
    read_all(ws);
    eio_server_drain(t.server, false);
    poll_once(client);
    send_text(t.session, "over polling");
    turns();
    assert_true(read_all(client));
    assert_true(ends_with("\r\n\r\n4over polling"));
    drain_all(); /* no poll is pending */
    assert_events("");
    send_packet(ws, "5");
    assert_close_frame(ws);
    assert_events("closed server shutting down;");
}

static void polling_handshakes_are_refused_and_websockets_let_in(void **state)
{
    (void)state;
    int client = new_client();

    eio_server_drain(t.server, false);
    get(client, "EIO=4&transport=polling");
    assert_answer(client, ANSWER_EMPTY("503 Service Unavailable"));
    open_websocket("");
    assert_int_equal(eio_server_sessions(t.server), 1);
}

static void clients_that_are_about_to_send_a_request_are_counted(void **state)
{
    (void)state;
    int client = open_polling();

    open_websocket("");
    assert_int_equal(eio_server_expected(t.server), 1);
    eio_server_drain(t.server, true);
    get(client, "EIO=4&transport=polling");
    read_all(client);
    assert_int_equal(eio_server_expected(t.server), 2);
    poll(client);
    assert_int_equal(eio_server_expected(t.server), 2);
    post(new_client(), "4hello");
    assert_int_equal(eio_server_expected(t.server), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(sessions_are_closed_as_many_as_asked_for),
        SESSION_TEST(a_pending_poll_gets_what_is_queued_and_the_close),
        SESSION_TEST(a_session_without_a_poll_is_closed_by_its_next_one),
        SESSION_TEST(such_a_poll_gets_a_noop_and_the_close_when_nothing_is_queued),
        SESSION_TEST(a_client_that_does_not_keep_its_connection_is_closed_with_what_it_is_sent),
        SESSION_TEST(one_of_protocol_3_and_one_of_jsonp_understand_it),
        SESSION_TEST(a_client_that_keeps_its_connection_stays),
        SESSION_TEST(an_upgrade_that_is_going_on_comes_to_its_end),
        SESSION_TEST(clients_that_are_about_to_send_a_request_are_counted),
        SESSION_TEST(polling_handshakes_are_refused_and_websockets_let_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
