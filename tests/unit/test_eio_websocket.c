/* Sessions over WebSocket and upgrades to it, as a client sees them. */
#include "eio_fixture.h"

/* --- handshake ---------------------------------------------------------------------------- */

static void a_handshake_sends_the_open_packet_behind_the_101(void **state)
{
    char expected[512];
    int client = upgrade_to("EIO=4&transport=websocket");
    (void)state;

    snprintf(expected, sizeof(expected),
             SWITCHING "\n\x81k0{\"sid\":\"%s\",\"upgrades\":[],\"pingInterval\":25000,"
                       "\"pingTimeout\":20000,\"maxPayload\":1000}",
             t.sid);
    /* The reference's 1000000 makes a length of 'k'; ours is three digits shorter. */
    expected[strlen(SWITCHING "\n") + 1] = 'k' - 3;
    assert_answer(client, expected);
    assert_events("open websocket;");
}

static void read_the_101(struct eio_session *session)
{
    (void)session;
    read_all(t.clients[t.client_count - 1]);
    assert_true(t.answer.size > 4);
    assert_memory_equal(t.answer.at + t.answer.size - 4, "\r\n\r\n", 4);
    assert_true(answer_holds("HTTP/1.1 101 Switching Protocols\r\n"));
}

static void the_101_leaves_alone_and_the_open_packet_a_moment_later(void **state)
{
    int client = new_client();
    (void)state;

    t.on_open = read_the_101;
    request(client, "GET", "EIO=4&transport=websocket", UPGRADE_HEADERS, NULL);
    assert_events("open websocket;");
    pass_ms(NET_CONN_GAP_MS);
    read_all(client);
    assert_int_equal(t.answer.at[0], (char)0x81);
    assert_true(answer_holds("0{\"sid\":"));
}

static void the_101_carries_the_cors_headers(void **state)
{
    int client = new_client();
    (void)state;

    t.options.cors = (struct cors_policy){
        .mode = CORS_LIST,
        .credentials = true,
        .enforce = true,
        .origins = fixture_origins,
        .origin_count = 1,
    };
    restart_server();
    request(client, "GET", "EIO=4&transport=websocket",
            UPGRADE_HEADERS "Origin: http://app.example\r\n", NULL);
    read_all(client);
    assert_true(answer_holds("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Access-Control-Allow-Origin: http://app.example\r\n"
                             "Vary: Origin\r\nAccess-Control-Allow-Credentials: true\r\n\r\n"));
}

static void refused_upgrades_get_raw_text_and_the_end(void **state)
{
    static const struct {
        const char *method;
        const char *query;
        const char *message;
    } cases[] = {
        {"GET",  "EIO=4&transport=abc",                "Transport unknown"   },
        {"GET",  "EIO=4",                              "Transport unknown"   },
        {"GET",  "EIO=4&transport=websocket&sid=nope", "Session ID unknown"  },
        {"GET",  "EIO=4&transport=polling&sid=nope",   "Session ID unknown"  },
        {"POST", "EIO=4&transport=websocket",          "Bad handshake method"},
        {"GET",  "EIO=3&transport=websocket&sid=$sid", "Bad request"         },
    };
    (void)state;

    open_polling();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[300];
        int client = new_client();

        request(client, cases[i].method, cases[i].query, UPGRADE_HEADERS, NULL);
        snprintf(expected, sizeof(expected),
                 "HTTP/1.1 400 Bad Request\nConnection: close\nContent-type: text/html\n"
                 "Content-Length: %zu\n\n%s",
                 strlen(cases[i].message), cases[i].message);
        assert_answer(client, expected);
        assert_true(is_closed(client));
    }
    assert_events("");
}

static void a_bad_websocket_request_makes_no_session(void **state)
{
    int client = new_client();
    (void)state;

    request(client, "GET", "EIO=4&transport=websocket",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", NULL);
    read_all(client);
    assert_true(answer_holds("Missing or invalid Sec-WebSocket-Key header"));
    assert_events("");
    assert_int_equal(eio_server_sessions(t.server), 0);
}

static void an_old_revision_is_refused_behind_the_101(void **state)
{
    int client = upgrade_to("EIO=3&transport=websocket");
    (void)state;

    assert_answer(client, SWITCHING
                  "\nHTTP/1.1 400 Bad Request\nConnection: close\nContent-type: text/html\n"
                  "Content-Length: 28\n\nUnsupported protocol version");
    assert_true(is_closed(client));
    assert_events("");
}

static void an_upgrade_that_names_polling_is_taken_and_closed(void **state)
{
    (void)state;
    assert_answer(upgrade_to("EIO=4&transport=polling"), SWITCHING "\n\x88");
    open_polling();
    assert_answer(upgrade_to("EIO=4&transport=polling&sid=$sid"), SWITCHING "\n\x88");
    assert_events("");
    assert_int_equal(eio_server_sessions(t.server), 1);
}

static void a_disabled_transport_is_unknown(void **state)
{
    (void)state;
    t.options.websocket = false;
    restart_server();
    int client = upgrade_to("EIO=4&transport=websocket");
    read_all(client);
    assert_true(answer_holds("Transport unknown"));
}

/* --- packets ------------------------------------------------------------------------------ */

static void messages_go_both_ways_as_frames(void **state)
{
    (void)state;
    int client = open_websocket("");
    send_packet(client, "4hello");
    send_packet(client, "4");
    send_frame(client, FRAME_BINARY, STR("4bin"));
    send_packet(client, "bYmM=");
    assert_events("text hello;text ;binary 4bin;binary bc;");

    assert_true(eio_session_writable(t.session));
    send_text(t.session, "hi");
    turns();
    assert_packet(client, "4hi");
    send_binary(t.session, STR("\x01\x02"));
    turns();
    assert_frame(client, FRAME_BINARY, STR("\x01\x02"));
}

static void peers_without_binary_get_base64(void **state)
{
    (void)state;
    int client = open_websocket("&b64=1");
    send_binary(t.session, STR("\x01\x02"));
    turns();
    assert_packet(client, "bAQI=");
    send_text(t.session, "hi");
    turns();
    assert_packet(client, "4hi");
}

static void packets_without_meaning_here_are_ignored(void **state)
{
    static const char *const packets[] = {"0", "1", "5", "6", "6x", "0{}"};
    (void)state;

    int client = open_websocket("");
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++)
        send_packet(client, packets[i]);
    assert_false(is_closed(client));
    send_packet(client, "4x");
    assert_events("text x;");
}

static void faults_close_with_an_empty_frame_and_the_reference_reason(void **state)
{
    static const struct {
        const char *packet;
        const char *events;
    } cases[] = {
        {"",       "closed parse error;"    },
        {"x",      "closed parse error;"    },
        {"7",      "closed parse error;"    },
        {"2",      "closed transport error;"},
        {"2probe", "closed transport error;"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int client = open_websocket("");

        send_packet(client, cases[i].packet);
        assert_close_frame(client);
        assert_events(cases[i].events);
        assert_non_null(strstr(logged(), "info session closed session="));
    }
}

static void a_framing_fault_is_a_transport_error_with_one_log_line(void **state)
{
    (void)state;
    int client = open_websocket("");
    write_all(client, "\x81\x02hi", 4); /* not masked */
    assert_frame(client, FRAME_CLOSE, STR("\x03\xea"));
    assert_events("closed transport error;");
    const char *lines = logged();
    assert_non_null(strstr(lines, "reason=\"transport error\""));
    assert_ptr_equal(strchr(lines, '\n'), strrchr(lines, '\n'));
}

static void a_message_over_the_limit_is_1009_with_one_log_line(void **state)
{
    char expected[200];
    (void)state;

    int client = open_websocket("");
    /* 1001 bytes are announced, none sent. */
    write_all(client, "\x81\xfe\x03\xe9\0\0\0\0", 8);
    assert_frame(client, FRAME_CLOSE, STR("\x03\xf1"));
    assert_events("closed transport error;");
    snprintf(expected, sizeof(expected),
             "warn payload too large session=%.6s address=\"\" size=1001 limit=1000\n", t.sid);
    assert_string_equal(logged(), expected);
}

static void a_close_frame_and_a_lost_connection_are_transport_close(void **state)
{
    (void)state;
    int client = open_websocket("");
    send_frame(client, FRAME_CLOSE, STR("\x03\xe8"));
    assert_frame(client, FRAME_CLOSE, STR("\x03\xe8"));
    assert_events("closed transport close;");

    drop(open_websocket(""));
    assert_events("closed transport close;");
    assert_string_equal(logged(), "");
}

static void a_client_that_does_not_read_loses_its_session(void **state)
{
    static char text[BACKLOG / 4];
    (void)state;

    open_websocket("");
    memset(text, 'x', sizeof(text) - 1);
    for (int i = 0; i < 100 && t.session; i++) {
        send_text(t.session, text);
        turns();
    }
    assert_events("closed transport error;");
    assert_non_null(strstr(logged(), "limit=100000\n"));
}

/* --- closing and heartbeat ----------------------------------------------------------------- */

static void a_close_by_the_server_goes_behind_what_is_queued(void **state)
{
    (void)state;
    int client = open_websocket("");
    send_text(t.session, "bye");
    eio_session_close(t.session);
    send_text(t.session, "lost");
    assert_events("");
    turns();
    assert_answer(client, "\x81\x04"
                          "4bye\x88");
    assert_events("closed forced close;");
    send_packet(client, "4late");
    assert_events("");
}

static void close_it(struct eio_session *session)
{
    eio_session_close(session);
}

static void open_may_close(void **state)
{
    (void)state;
    t.on_open = close_it;
    upgrade_to("EIO=4&transport=websocket");
    assert_events("open websocket;closed forced close;");
}

static void pings_and_pongs_keep_a_session_alive(void **state)
{
    (void)state;
    int client = open_websocket("");
    for (int i = 0; i < 3; i++) {
        pass_ms(PING_INTERVAL_MS - (i == 0 ? NET_CONN_GAP_MS : 0) - 1);
        assert_false(is_closed(client));
        pass_ms(1);
        assert_packet(client, "2");
        pass_ms(PING_TIMEOUT_MS - 1);
        send_packet(client, "3");
    }
    assert_events("");
    pass_ms(PING_INTERVAL_MS);
    pass_ms(PING_TIMEOUT_MS);
    assert_events("closed ping timeout;");
}

/* --- upgrade ------------------------------------------------------------------------------ */

/* A second connection that names the session, its 101 read. */
static int probe(void)
{
    int ws = upgrade_to("EIO=4&transport=websocket&sid=$sid");

    assert_answer(ws, SWITCHING "\n");
    return ws;
}

static void an_upgrade_moves_the_session_to_the_websocket(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    send_packet(ws, "2probe");
    assert_packet(ws, "3probe");
    assert_string_equal(eio_session_transport(t.session), "polling");
    send_packet(ws, "5");
    assert_false(is_closed(ws));
    assert_string_equal(eio_session_transport(t.session), "websocket");

    send_packet(ws, "4a");
    assert_events("text a;");
    send_text(t.session, "b");
    turns();
    assert_packet(ws, "4b");
    poll(client);
    read_all(client);
    assert_true(answer_holds("\"code\":3"));
}

static void a_pending_poll_is_released_every_100_ms_after_the_probe(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    poll(client);
    pass_ms(1000);
    assert_false(is_closed(client));

    send_packet(ws, "2probe");
    pass_ms(99);
    assert_false(is_closed(client));
    pass_ms(1);
    assert_polled(client, "6");
    poll(client);
    pass_ms(99);
    assert_false(is_closed(client));
    pass_ms(1);
    assert_polled(client, "6");
}

static void packets_leave_and_come_by_polling_until_the_switch(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    send_packet(ws, "2probe");
    assert_packet(ws, "3probe");
    send_text(t.session, "a");
    poll(client);
    assert_polled(client, "4a");
    post(client, "4b");
    assert_events("text b;");
    send_text(t.session, "c");
    send_binary(t.session, STR("\x01"));
    assert_false(is_closed(ws));
    send_packet(ws, "5");
    assert_answer(ws, "\x81\x02"
                      "4c\x82\x01\x01");
}

static void a_poll_that_is_pending_at_the_switch_is_closed(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    poll(client);
    send_packet(ws, "5");
    assert_polled(client, "1");
    assert_events("");
    send_packet(ws, "4a");
    assert_events("text a;");
}

static void anything_else_ends_the_probe_but_not_the_session(void **state)
{
    static const char *const packets[] = {"4a", "x",     "2", "3",    "3probe",
                                          "6",  "2prob", "1", "bAA=="};
    (void)state;

    int client = open_polling();
    for (size_t i = 0; i < sizeof(packets) / sizeof(packets[0]); i++) {
        int ws = probe();

        send_packet(ws, packets[i]);
        assert_close_frame(ws);
        drop(ws);
        t.client_count--;
    }
    post(client, "4a");
    assert_events("text a;");
    int ws = probe();
    send_packet(ws, "2probe");
    assert_packet(ws, "3probe");
    send_packet(ws, "5");
    assert_string_equal(eio_session_transport(t.session), "websocket");
}

static void an_upgrade_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    send_packet(ws, "2probe");
    assert_packet(ws, "3probe");
    pass_ms(UPGRADE_TIMEOUT_MS - NET_CONN_GAP_MS - 1);
    assert_false(is_closed(ws));
    pass_ms(1);
    assert_close_frame(ws);
    post(client, "4a");
    assert_answer(client, ANSWER_OK);
    assert_events("text a;");
    poll(client);
    pass_ms(1000);
    assert_false(is_closed(client));
}

static void a_probe_that_vanishes_leaves_the_session_alone(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    send_packet(ws, "2probe");
    drop(ws);
    poll(client);
    pass_ms(1000);
    assert_false(is_closed(client));
    send_packet(probe(), "5");
    assert_string_equal(eio_session_transport(t.session), "websocket");
}

static void an_oversize_probe_is_logged_and_leaves_the_session_alone(void **state)
{
    (void)state;
    open_polling();
    int ws = probe();
    write_all(ws, "\x81\xfe\x03\xe9\0\0\0\0", 8);
    assert_frame(ws, FRAME_CLOSE, STR("\x03\xf1"));
    assert_non_null(strstr(logged(), "size=1001 limit=1000\n"));
    assert_int_equal(eio_server_sessions(t.server), 1);
    assert_events("");
}

static void a_second_websocket_is_taken_and_closed(void **state)
{
    (void)state;
    open_polling();
    int first = probe();
    assert_answer(upgrade_to("EIO=4&transport=websocket&sid=$sid"), SWITCHING "\n\x88");
    send_packet(first, "5");
    assert_answer(upgrade_to("EIO=4&transport=websocket&sid=$sid"), SWITCHING "\n\x88");
    send_packet(first, "4a");
    assert_events("text a;");
}

static void a_session_that_began_on_websocket_can_change_to_another_one(void **state)
{
    (void)state;
    int first = open_websocket("");
    int second = probe();
    send_packet(second, "2probe");
    assert_packet(second, "3probe");
    send_packet(second, "5");
    assert_close_frame(first);
    send_text(t.session, "a");
    turns();
    assert_packet(second, "4a");
    assert_events("");
}

static void the_end_of_the_session_ends_the_probe(void **state)
{
    (void)state;
    int client = open_polling();
    int ws = probe();
    post(client, "1");
    assert_events("closed transport close;");
    assert_close_frame(ws);
}

static void an_upgrade_of_a_closing_session_delivers_and_closes(void **state)
{
    (void)state;
    open_polling();
    int ws = probe();
    send_text(t.session, "last");
    eio_session_close(t.session);
    assert_events("");
    send_packet(ws, "5");
    assert_answer(ws, "\x81\x05"
                      "4last\x88");
    assert_events("closed forced close;");
}

static void a_post_that_is_being_received_is_destroyed_at_the_switch(void **state)
{
    char text[300];
    (void)state;

    open_polling();
    int ws = probe();
    int poster = new_client();
    snprintf(text, sizeof(text),
             "POST /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n"
             "Content-Length: 10\r\n\r\n4a",
             t.sid);
    write_text(poster, text);
    send_packet(ws, "5");
    assert_true(is_closed(poster));
    assert_events("");
}

static void a_ping_that_is_unanswered_at_the_switch_still_times_out(void **state)
{
    (void)state;
    int client = open_polling();
    poll(client);
    pass_ms(PING_INTERVAL_MS + 1000);
    assert_polled(client, "2");
    int ws = probe();
    send_packet(ws, "5");
    pass_ms(PING_TIMEOUT_MS - 1);
    assert_events("");
    pass_ms(1);
    assert_events("closed ping timeout;");
    assert_close_frame(ws);
}

static void the_heartbeat_goes_on_behind_the_switch(void **state)
{
    (void)state;
    open_polling();
    int ws = probe();
    send_packet(ws, "5");
    pass_ms(PING_INTERVAL_MS);
    assert_packet(ws, "2");
    send_packet(ws, "3");
    pass_ms(PING_INTERVAL_MS);
    assert_packet(ws, "2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(a_handshake_sends_the_open_packet_behind_the_101),
        SESSION_TEST(the_101_leaves_alone_and_the_open_packet_a_moment_later),
        SESSION_TEST(the_101_carries_the_cors_headers),
        SESSION_TEST(refused_upgrades_get_raw_text_and_the_end),
        SESSION_TEST(a_bad_websocket_request_makes_no_session),
        SESSION_TEST(an_old_revision_is_refused_behind_the_101),
        SESSION_TEST(an_upgrade_that_names_polling_is_taken_and_closed),
        SESSION_TEST(a_disabled_transport_is_unknown),
        SESSION_TEST(messages_go_both_ways_as_frames),
        SESSION_TEST(peers_without_binary_get_base64),
        SESSION_TEST(packets_without_meaning_here_are_ignored),
        SESSION_TEST(faults_close_with_an_empty_frame_and_the_reference_reason),
        SESSION_TEST(a_framing_fault_is_a_transport_error_with_one_log_line),
        SESSION_TEST(a_message_over_the_limit_is_1009_with_one_log_line),
        SESSION_TEST(a_close_frame_and_a_lost_connection_are_transport_close),
        SESSION_TEST(a_client_that_does_not_read_loses_its_session),
        SESSION_TEST(a_close_by_the_server_goes_behind_what_is_queued),
        SESSION_TEST(open_may_close),
        SESSION_TEST(pings_and_pongs_keep_a_session_alive),
        SESSION_TEST(an_upgrade_moves_the_session_to_the_websocket),
        SESSION_TEST(a_pending_poll_is_released_every_100_ms_after_the_probe),
        SESSION_TEST(packets_leave_and_come_by_polling_until_the_switch),
        SESSION_TEST(a_poll_that_is_pending_at_the_switch_is_closed),
        SESSION_TEST(anything_else_ends_the_probe_but_not_the_session),
        SESSION_TEST(an_upgrade_that_takes_too_long_is_given_up),
        SESSION_TEST(a_probe_that_vanishes_leaves_the_session_alone),
        SESSION_TEST(an_oversize_probe_is_logged_and_leaves_the_session_alone),
        SESSION_TEST(a_second_websocket_is_taken_and_closed),
        SESSION_TEST(a_session_that_began_on_websocket_can_change_to_another_one),
        SESSION_TEST(the_end_of_the_session_ends_the_probe),
        SESSION_TEST(an_upgrade_of_a_closing_session_delivers_and_closes),
        SESSION_TEST(a_post_that_is_being_received_is_destroyed_at_the_switch),
        SESSION_TEST(a_ping_that_is_unanswered_at_the_switch_still_times_out),
        SESSION_TEST(the_heartbeat_goes_on_behind_the_switch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
