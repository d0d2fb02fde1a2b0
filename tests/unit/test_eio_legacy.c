/* Sessions of protocol 3: what is unlike protocol 4, through real sockets. */
#include "eio_fixture.h"

#define POLLING3 "EIO=3&transport=polling"
#define WEBSOCKET3 "EIO=3&transport=websocket"
#define SESSION3 "EIO=3&transport=polling&sid=$sid"

static int set_up_legacy(void **state)
{
    if (set_up(state) != 0)
        return -1;
    t.options.legacy_clients = true;
    restart_server();
    return 0;
}

static int open_polling3(const char *more_query)
{
    char query[100];
    int client = new_client();

    snprintf(query, sizeof(query), POLLING3 "%s", more_query);
    get(client, query);
    read_all(client);
    assert_events("open polling;");
    return client;
}

static int open_websocket3(const char *more_query)
{
    char query[100];

    snprintf(query, sizeof(query), WEBSOCKET3 "%s", more_query);
    int client = upgrade_to(query);
    read_all(client);
    assert_events("open websocket;");
    return client;
}

static void poll3(int client)
{
    get(client, SESSION3);
}

static void post3(int client, const char *body)
{
    request(client, "POST", SESSION3, "", body);
}

/* A body with zero bytes, in the binary form. */
static void post3_binary(int client, struct str body)
{
    char head[300];
    int size =
        snprintf(head, sizeof(head),
                 "POST /engine.io/?EIO=3&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\n"
                 "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n",
                 t.sid, body.size);

    write_all(client, head, (size_t)size);
    write_all(client, body.at, body.size);
}

/* --- handshakes --------------------------------------------------------------------------- */

static void open_packet_is_a_payload_of_its_own_kind(void **state)
{
    char expected[512];
    int client = new_client();
    (void)state;

    get(client, POLLING3);
    snprintf(expected, sizeof(expected),
             "115:0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],\"pingInterval\":25000,"
             "\"pingTimeout\":20000,\"maxPayload\":1000}",
             t.sid);
    assert_polled(client, expected);
}

static void a_client_of_one_protocol_has_no_session_of_the_other(void **state)
{
    int client = open_polling3("");
    (void)state;

    get(client, "EIO=4&transport=polling&sid=$sid");
    read_all(client);
    assert_true(answer_holds("{\"code\":3,\"message\":\"Bad request\"}"));
    poll3(client);
    send_text(t.session, "a");
    turns();
    assert_polled(client, "2:4a");
}

/* --- polling ------------------------------------------------------------------------------ */

static void polls_count_utf16_units(void **state)
{
    int client = open_polling3("");
    (void)state;

    send_text(t.session, "é");
    send_text(t.session, "😀x");
    poll3(client);
    assert_polled(client, "2:4é4:4😀x");
}

static void binary_makes_the_answer_binary(void **state)
{
    int client = open_polling3("");
    (void)state;

    send_text(t.session, "a");
    send_binary(t.session, STR("\1\2"));
    poll3(client);
    read_all(client);
    assert_true(answer_holds("Content-Type: application/octet-stream\r\n"));
    assert_true(answer_holds("Content-Length: 11\r\n"));
    struct str body = STR("\x00\x02\xff"
                          "4a\x01\x03\xff\x04\x01\x02");
    const char *end = strstr(t.answer.at, "\r\n\r\n");
    assert_memory_equal(end + 4, body.at, body.size);
}

static void clients_without_binary_get_base64(void **state)
{
    int client = open_polling3("&b64=1");
    (void)state;

    send_text(t.session, "a");
    send_binary(t.session, STR("\1\2"));
    poll3(client);
    assert_polled(client, "2:4a6:b4AQI=");
}

static void scripts_are_text_also_with_binary(void **state)
{
    int client = open_polling3("&j=1");
    (void)state;

    send_binary(t.session, STR("\1\2"));
    get(client, SESSION3 "&j=1");
    assert_polled(client, "___eio[1](\"6:b4AQI=\");");
    request(client, "POST", SESSION3 "&j=1", "", "d=2%3A4a");
    assert_answer(client, ANSWER_OK);
    assert_events("text a;");
}

static void posts_are_read_in_both_forms(void **state)
{
    int client = open_polling3("");
    (void)state;

    post3(client, "3:4é!6:b4QUI=");
    assert_answer(client, ANSWER_OK);
    assert_events("text é!;binary AB;");
    post3_binary(client, STR("\x00\x03\xff"
                             "4é\x01\x03\xff\x04"
                             "CD"));
    assert_answer(client, ANSWER_OK);
    assert_events("text é;binary CD;");
}

static void a_bad_payload_ends_the_session_behind_what_came_before(void **state)
{
    int client = open_polling3("");
    (void)state;

    post3(client, "2:4a5:4b");
    assert_answer(client, ANSWER_OK);
    turns();
    assert_events("text a;closed parse error;");
}

static void the_close_of_either_side_is_spelled_with_lengths(void **state)
{
    int client = open_polling3("");
    int poster = new_client();
    (void)state;

    poll3(client);
    turns();
    post3(poster, "1:1");
    assert_answer(poster, ANSWER_OK);
    assert_polled(client, "1:6");
    turns();
    assert_events("closed transport close;");

    client = open_polling3("");
    eio_session_close(t.session);
    poll3(client);
    assert_polled(client, "1:61:1");
    turns();
    assert_events("closed forced close;");

    client = open_polling3("");
    poll3(client);
    turns();
    eio_session_close(t.session);
    turns();
    assert_polled(client, "1:1");
    assert_events("closed forced close;");
}

/* --- websocket ---------------------------------------------------------------------------- */

static void binary_frames_begin_with_the_type(void **state)
{
    int client = open_websocket3("");
    (void)state;

    send_frame(client, FRAME_BINARY,
               STR("\x04"
                   "AB"));
    turns();
    assert_events("binary AB;");
    send_binary(t.session, STR("CD"));
    turns();
    assert_frame(client, FRAME_BINARY,
                 STR("\x04"
                     "CD"));
    send_frame(client, FRAME_BINARY,
               STR("\x09"
                   "AB"));
    turns();
    assert_events("");
}

static void base64_frames_begin_with_the_type_too(void **state)
{
    int client = open_websocket3("&b64=1");
    (void)state;

    send_packet(client, "b4QUI=");
    turns();
    assert_events("binary AB;");
    send_binary(t.session, STR("AB"));
    turns();
    assert_packet(client, "b4QUI=");
}

static void a_frame_is_spelled_once_for_all_sessions_of_a_kind(void **state)
{
    int first = open_websocket3("");
    struct eio_session *session = t.session;
    struct frame *frame = frame_new(FRAME_BINARY, 1);
    (void)state;

    *frame_payload(frame) = 'x';
    int second = open_websocket3("");
    int newest = open_websocket("");
    eio_session_send(session, frame);
    eio_session_send(t.session, frame);
    frame_unref(frame);
    turns();
    assert_frame(first, FRAME_BINARY, STR("\x04x"));
    assert_frame(newest, FRAME_BINARY, STR("x"));
    send_packet(second, "4a");
    turns();
    assert_events("text a;");
}

/* --- heartbeat ---------------------------------------------------------------------------- */

static void pings_are_answered_without_their_data(void **state)
{
    int client = open_websocket3("");
    (void)state;

    send_packet(client, "2");
    assert_packet(client, "3");
    send_packet(client, "2probe");
    assert_packet(client, "3");
}

static void the_server_never_pings(void **state)
{
    int client = open_websocket3("");
    (void)state;

    pass_ms(PING_INTERVAL_MS + PING_TIMEOUT_MS - NET_CONN_GAP_MS - 1);
    assert_false(read_all(client));
    assert_int_equal(t.answer.size, 0);
}

static void only_pings_put_off_the_end(void **state)
{
    int client = open_websocket3("");
    (void)state;

    pass_ms(PING_INTERVAL_MS);
    send_packet(client, "2");
    turns();
    send_packet(client, "4a");
    pass_ms(PING_TIMEOUT_MS);
    assert_events("text a;");
    send_packet(client, "4b");
    pass_ms(PING_INTERVAL_MS - 1);
    assert_events("text b;");
    pass_ms(1);
    assert_events("closed ping timeout;");
}

static void a_pong_is_a_fault(void **state)
{
    int client = open_websocket3("");
    (void)state;

    send_packet(client, "3");
    turns();
    assert_events("closed transport error;");
}

static void pings_over_polling_are_answered_by_the_poll(void **state)
{
    int client = open_polling3("");
    (void)state;

    post3(client, "1:2");
    assert_answer(client, ANSWER_OK);
    poll3(client);
    assert_polled(client, "1:3");
}

/* --- upgrade ------------------------------------------------------------------------------ */

static void an_upgrade_takes_queue_and_clock_along(void **state)
{
    int client = open_polling3("");
    int ws = upgrade_to(WEBSOCKET3 "&sid=$sid");
    (void)state;

    read_all(ws);
    send_packet(ws, "2probe");
    assert_packet(ws, "3probe");
    poll3(client);
    pass_ms(100);
    assert_polled(client, "1:6");
    send_binary(t.session, STR("AB"));
    send_packet(ws, "5");
    assert_frame(ws, FRAME_BINARY,
                 STR("\x04"
                     "AB"));
    pass_ms(PING_INTERVAL_MS + PING_TIMEOUT_MS - 1);
    assert_events("");
    pass_ms(1);
    assert_events("closed ping timeout;");
}

static void a_probe_in_binary_is_none(void **state)
{
    (void)state;
    open_polling3("");
    int ws = upgrade_to(WEBSOCKET3 "&sid=$sid");
    read_all(ws);
    send_frame(ws, FRAME_BINARY, STR("\x02probe"));
    assert_close_frame(ws);
    assert_events("");
}

#define LEGACY_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_legacy, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEGACY_TEST(open_packet_is_a_payload_of_its_own_kind),
        LEGACY_TEST(a_client_of_one_protocol_has_no_session_of_the_other),
        LEGACY_TEST(polls_count_utf16_units),
        LEGACY_TEST(binary_makes_the_answer_binary),
        LEGACY_TEST(clients_without_binary_get_base64),
        LEGACY_TEST(scripts_are_text_also_with_binary),
        LEGACY_TEST(posts_are_read_in_both_forms),
        LEGACY_TEST(a_bad_payload_ends_the_session_behind_what_came_before),
        LEGACY_TEST(the_close_of_either_side_is_spelled_with_lengths),
        LEGACY_TEST(binary_frames_begin_with_the_type),
        LEGACY_TEST(base64_frames_begin_with_the_type_too),
        LEGACY_TEST(a_frame_is_spelled_once_for_all_sessions_of_a_kind),
        LEGACY_TEST(pings_are_answered_without_their_data),
        LEGACY_TEST(the_server_never_pings),
        LEGACY_TEST(only_pings_put_off_the_end),
        LEGACY_TEST(a_pong_is_a_fault),
        LEGACY_TEST(pings_over_polling_are_answered_by_the_poll),
        LEGACY_TEST(an_upgrade_takes_queue_and_clock_along),
        LEGACY_TEST(a_probe_in_binary_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
