#include "eio_fixture.h"

#include "net/deflater.h"

enum {
    THRESHOLD = 100,
};

static int set_up_compression(void **state)
{
    if (set_up(state) != 0)
        return -1;
    t.options.deflater =
        deflater_new(&(struct deflater_options){.threshold = THRESHOLD, .level = 6});
    t.options.deflate_messages = t.options.deflate_polls = true;
    restart_server();
    return 0;
}

static int tear_down_compression(void **state)
{
    int result = tear_down(state);

    deflater_free(t.options.deflater);
    return result;
}

static struct frame *message_of(size_t size, bool plain)
{
    char *text;
    struct frame *frame = eio_text_message(size - 1, &text); /* a digit stands before it */

    memset(text, 'x', size - 1);
    if (plain)
        frame_keep_plain(frame);
    return frame;
}

static void send_message(size_t size, bool plain)
{
    struct frame *frame = message_of(size, plain);

    eio_session_send(t.session, frame);
    frame_unref(frame);
}

static void poll_accepting(int client, const char *codings)
{
    char headers[100];

    snprintf(headers, sizeof(headers), "Accept-Encoding: %s\r\n", codings);
    request(client, "GET", "EIO=4&transport=polling&sid=$sid", headers, NULL);
}

static void assert_plain(int client)
{
    read_all(client);
    assert_false(answer_holds("ontent-Encoding"));
    assert_true(answer_holds("\r\nContent-Length: "));
}

/* The head is what the reference's is, the body a gzip file of these bytes in one chunk. */
static void assert_gzip(int client, struct str payload)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=UTF-8\r\n"
                               "Content-Encoding: gzip\r\ncache-control: no-store\r\nDate: ";
    uint8_t *unpacked = malloc(payload.size);
    char *body, *end;
    size_t size;

    read_all(client);
    assert_true(answer_holds("\r\nTransfer-Encoding: chunked\r\n\r\n"));
    assert_false(answer_holds("Content-Length"));
    assert_memory_equal(t.answer.at, head, sizeof(head) - 1);
    body = strstr(t.answer.at, "\r\n\r\n") + 4;
    size = strtoul(body, &end, 16);
    assert_true(deflater_gunzip(str_of(end + 2, size), unpacked, payload.size));
    assert_memory_equal(unpacked, payload.at, payload.size);
    assert_string_equal(end + 2 + size, "\r\n0\r\n\r\n");
    free(unpacked);
}

static void an_answer_is_compressed_from_the_threshold_on(void **state)
{
    int client = open_polling();
    char payload[THRESHOLD];
    (void)state;

    memset(payload, 'x', sizeof(payload));
    payload[0] = '4';
    send_message(THRESHOLD - 1, false);
    poll_accepting(client, "gzip");
    assert_plain(client);
    send_message(THRESHOLD, false);
    poll_accepting(client, "gzip");
    assert_gzip(client, str_of(payload, THRESHOLD));
    assert_events("");
}

static void a_held_poll_is_compressed_too(void **state)
{
    int client = open_polling();
    char payload[THRESHOLD];
    (void)state;

    memset(payload, 'x', sizeof(payload));
    payload[0] = '4';
    poll_accepting(client, "deflate;q=0.5, gzip");
    send_message(THRESHOLD, false);
    turns();
    assert_gzip(client, str_of(payload, THRESHOLD));
}

static void a_client_gets_only_what_it_accepts(void **state)
{
    int client = open_polling();
    (void)state;

    send_message(THRESHOLD, false);
    poll(client);
    assert_plain(client);
    send_message(THRESHOLD, false);
    poll_accepting(client, "br, identity");
    assert_plain(client);
    send_message(THRESHOLD, false);
    poll_accepting(client, "deflate, gzip");
    read_all(client);
    assert_true(answer_holds("Content-Encoding: deflate\r\n"));
}

static void a_batch_of_plain_messages_is_not_compressed(void **state)
{
    int client = open_polling();
    (void)state;

    send_message(THRESHOLD, true);
    send_message(THRESHOLD, true);
    poll_accepting(client, "gzip");
    assert_plain(client);
    send_message(THRESHOLD, true);
    send_message(2, false);
    poll_accepting(client, "gzip");
    read_all(client);
    assert_true(answer_holds("Content-Encoding: gzip\r\n"));
}

static void a_script_is_compressed_by_its_own_length(void **state)
{
    int client = new_client();
    (void)state;

    request(client, "GET", "EIO=4&transport=polling&j=0", "Accept-Encoding: gzip\r\n", NULL);
    read_all(client);
    assert_true(answer_holds("Content-Encoding: gzip\r\n")); /* the open packet alone is long */
    send_message(20, false);
    request(client, "GET", "EIO=4&transport=polling&j=0&sid=$sid", "Accept-Encoding: gzip\r\n",
            NULL);
    assert_plain(client);
    send_message(THRESHOLD - 10, false);
    request(client, "GET", "EIO=4&transport=polling&j=0&sid=$sid", "Accept-Encoding: gzip\r\n",
            NULL);
    read_all(client);
    assert_true(answer_holds("Content-Encoding: gzip\r\n"));
    send_message(THRESHOLD, true);
    request(client, "GET", "EIO=4&transport=polling&j=0&sid=$sid", "Accept-Encoding: gzip\r\n",
            NULL);
    assert_plain(client);
}

static void posts_are_answered_as_ever(void **state)
{
    int client = open_polling();
    (void)state;

    request(client, "POST", "EIO=4&transport=polling&sid=$sid", "Accept-Encoding: gzip\r\n",
            "4hello");
    assert_answer(client, ANSWER_OK);
    assert_events("text hello;");
}

static void polls_can_do_without(void **state)
{
    (void)state;
    t.options.deflate_polls = false;
    restart_server();
    int client = open_polling();
    send_message(THRESHOLD, false);
    poll_accepting(client, "gzip");
    assert_plain(client);
}

/* --- WebSocket ---------------------------------------------------------------------------- */

/* The open packet has been read. */
static int open_deflating(const char *offer)
{
    int client = new_client();
    char headers[400];

    snprintf(headers, sizeof(headers), UPGRADE_HEADERS "Sec-WebSocket-Extensions: %s\r\n",
             offer);
    request(client, "GET", "EIO=4&transport=websocket", headers, NULL);
    pass_ms(NET_CONN_GAP_MS);
    read_all(client);
    assert_events("open websocket;");
    return client;
}

static void the_extension_is_agreed_on_when_it_is_offered(void **state)
{
    int client = new_client();
    (void)state;

    request(client, "GET", "EIO=4&transport=polling",
            UPGRADE_HEADERS "Sec-WebSocket-Extensions: permessage-deflate; "
                            "client_max_window_bits\r\n",
            NULL);
    read_all(client);
    assert_true(answer_holds("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                             "Sec-WebSocket-Extensions: permessage-deflate; "
                             "server_no_context_takeover; client_no_context_takeover\r\n\r\n"));
    client = upgrade_to("EIO=4&transport=polling");
    read_all(client);
    assert_false(answer_holds("Extensions"));
}

static void a_malformed_offer_is_refused_only_where_it_is_read(void **state)
{
    int client = new_client();
    (void)state;

    request(client, "GET", "EIO=4&transport=polling",
            UPGRADE_HEADERS "Sec-WebSocket-Extensions: permessage-deflate;\r\n", NULL);
    assert_answer(client,
                  "HTTP/1.1 400 Bad Request\nConnection: close\nContent-Type: text/html\n"
                  "Content-Length: 55\n\n"
                  "Invalid or unacceptable Sec-WebSocket-Extensions header");
    t.options.deflate_messages = false;
    restart_server();
    client = new_client();
    request(client, "GET", "EIO=4&transport=polling",
            UPGRADE_HEADERS "Sec-WebSocket-Extensions: permessage-deflate;\r\n", NULL);
    read_all(client);
    assert_true(answer_holds("101 Switching"));
    assert_false(answer_holds("Extensions"));
}

static bool came_deflated(int client, size_t size)
{
    read_all(client);
    if (size > 0)
        assert_int_equal(t.answer.size, size);
    return (uint8_t)t.answer.at[0] == (0xc0 | FRAME_TEXT);
}

static void messages_are_deflated_from_the_threshold_on(void **state)
{
    int client = open_deflating("permessage-deflate");
    (void)state;

    send_message(THRESHOLD - 1, false);
    turns();
    assert_false(came_deflated(client, THRESHOLD + 1));
    send_message(THRESHOLD, false);
    turns();
    assert_true(came_deflated(client, 0));
    assert_true(t.answer.size < 20);
    /* as in the reference, where this matters to polls alone */
    send_message(THRESHOLD, true);
    turns();
    assert_true(came_deflated(client, 0));
}

static void clients_without_the_extension_get_messages_as_they_are(void **state)
{
    int client = open_websocket("");
    (void)state;

    send_message(THRESHOLD, false);
    turns();
    assert_false(came_deflated(client, THRESHOLD + 2));
}

static void a_message_is_compressed_once_for_all_of_one_window(void **state)
{
    static const char *const offers[] = {"permessage-deflate",
                                         "permessage-deflate; client_max_window_bits",
                                         "permessage-deflate; server_max_window_bits=9"};
    struct frame *frame = message_of(THRESHOLD, false);
    struct frame *first = NULL;
    int clients[3];
    (void)state;

    assert_null(frame_find_spelling(frame, FRAME_DEFLATED + 15));
    for (int i = 0; i < 3; i++) {
        clients[i] = open_deflating(offers[i]);
        eio_session_send(t.session, frame);
        if (i == 0)
            first = frame_find_spelling(frame, FRAME_DEFLATED + 15);
        assert_ptr_equal(frame_find_spelling(frame, FRAME_DEFLATED + 15), first);
    }
    assert_non_null(first);
    assert_ptr_not_equal(frame_find_spelling(frame, FRAME_DEFLATED + 9), first);
    frame_unref(frame);
    turns();
    for (int i = 0; i < 3; i++)
        assert_true(came_deflated(clients[i], 0));
}

static void a_compressed_message_is_a_message(void **state)
{
    static const char hello[] = "\xc1\x88\0\0\0\0"
                                "\x32\xc9\x48\xcd\xc9\xc9\x07\x00"; /* "4hello" */
    int client = open_deflating("permessage-deflate");
    (void)state;

    write_all(client, hello, sizeof(hello) - 1);
    assert_events("text hello;");
}

static void a_message_that_inflates_over_the_limit_ends_the_session(void **state)
{
    int client = open_deflating("permessage-deflate");
    struct frame *frame = message_of(MAX_PAYLOAD + 1, false);
    struct frame *bomb = deflater_message(t.options.deflater, 15, frame);
    char bytes[200] = {(char)0xc1, (char)(0x80 | frame_body(bomb).size)};
    (void)state;

    memcpy(bytes + 6, frame_body(bomb).at, frame_body(bomb).size);
    write_all(client, bytes, 6 + frame_body(bomb).size);
    assert_events("closed transport error;");
    assert_frame(client, FRAME_CLOSE, STR("\x03\xf1"));
    assert_non_null(strstr(logged(), "size=1001 limit=1000"));
    frame_unref(bomb);
    frame_unref(frame);
}

#define COMPRESSION_TEST(function)                                                             \
    cmocka_unit_test_setup_teardown(function, set_up_compression, tear_down_compression)

int main(void)
{
    const struct CMUnitTest tests[] = {
        COMPRESSION_TEST(an_answer_is_compressed_from_the_threshold_on),
        COMPRESSION_TEST(a_held_poll_is_compressed_too),
        COMPRESSION_TEST(a_client_gets_only_what_it_accepts),
        COMPRESSION_TEST(a_batch_of_plain_messages_is_not_compressed),
        COMPRESSION_TEST(a_script_is_compressed_by_its_own_length),
        COMPRESSION_TEST(posts_are_answered_as_ever),
        COMPRESSION_TEST(polls_can_do_without),
        COMPRESSION_TEST(the_extension_is_agreed_on_when_it_is_offered),
        COMPRESSION_TEST(a_malformed_offer_is_refused_only_where_it_is_read),
        COMPRESSION_TEST(messages_are_deflated_from_the_threshold_on),
        COMPRESSION_TEST(clients_without_the_extension_get_messages_as_they_are),
        COMPRESSION_TEST(a_message_is_compressed_once_for_all_of_one_window),
        COMPRESSION_TEST(a_compressed_message_is_a_message),
        COMPRESSION_TEST(a_message_that_inflates_over_the_limit_ends_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
