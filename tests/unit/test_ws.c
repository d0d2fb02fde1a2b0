#include "http_fixture.h"

#include "net/ws.h"

enum {
    LIMIT = 100000, /* largest message */
};

static struct net_ws *ws;
static struct net_ws_closing last_closing;
static void (*on_text)(void); /* what the owner does inside `message` */
static const struct http_header *extra_headers;
static size_t extra_count;
static bool in_accept;

/* ---- the owner ---- */

static void on_message(void *owner, enum frame_kind kind, uint8_t *payload, size_t size)
{
    assert_false(in_accept);
    buf_printf(&events, "%s%c%zu:", (const char *)owner, kind == FRAME_TEXT ? 'T' : 'B', size);
    if (size < 100)
        buf_add(&events, payload, size);
    buf_add_byte(&events, ' ');
    if (on_text)
        on_text();
}

static void on_closed(void *owner, const struct net_ws_closing *closing)
{
    static const char *const names[] = {"closed", "fault", "too big", "backlog"};
    (void)owner;

    buf_printf(&events, "%s %u ", names[closing->why], closing->code);
    last_closing = *closing;
    ws = NULL;
}

static const struct net_ws_handler handler = {on_message, NULL, on_closed};

static void on_request(void *owner, struct http_exchange *exchange)
{
    const struct net_ws_options options = {
        .max_message = LIMIT,
        .backlog = BACKLOG,
        .headers = extra_headers,
        .header_count = extra_count,
    };
    (void)owner;

    in_accept = true;
    ws = net_ws_accept(exchange, &options, &handler, "");
    in_accept = false;
}

/* ---- the client ---- */

#define START "GET / HTTP/1.1\r\nHost: a\r\n"
#define UPGRADE "Connection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define HANDSHAKE START UPGRADE KEY VERSION "\r\n"
#define SWITCHED                                                                               \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"        \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void connect_ws(void)
{
    ws = NULL;
    connect_peer();
}

/* Behind the 101, what is sent waits a moment. */
static void pass_gap(void)
{
    struct timer_wheel *wheel = net_loop_timers(loop);

    timer_wheel_advance(wheel, wheel->clock_ms + NET_CONN_GAP_MS);
    settle();
}

static void open_ws(void)
{
    connect_ws();
    send_text(HANDSHAKE);
    got(SWITCHED "\r\n");
    assert_non_null(ws);
    pass_gap();
    buf_reset(&answer);
}

/* A frame whose mask is zero: masked all the same. */
static void add_frame(struct buf *stream, uint8_t first, const char *payload)
{
    size_t size = strlen(payload);

    buf_add_byte(stream, (char)first);
    buf_add_byte(stream, (char)(0x80 | size));
    buf_add(stream, "\0\0\0\0", 4);
    buf_add(stream, payload, size);
}

static void send_frame(uint8_t first, const char *payload)
{
    struct buf stream;

    buf_init(&stream, 1000);
    add_frame(&stream, first, payload);
    send_bytes(stream.at, stream.size);
    buf_free(&stream);
}

static void send_ws(enum frame_kind kind, const char *text)
{
    struct frame *frame = frame_new(kind, strlen(text));

    memcpy(frame_payload(frame), text, strlen(text));
    net_ws_send(ws, frame);
    frame_unref(frame);
}

static int set_up(void **state)
{
    on_text = NULL;
    extra_headers = NULL;
    extra_count = 0;
    return fixture_setup(state);
}

/* ---- the handshake ---- */

static void answers_a_handshake_as_the_ws_package(void **state)
{
    static const struct http_header headers[] = {
        {STR("Vary"), STR("Origin")},
        {STR("X-A"),  STR("b")     },
    };
    static const char offered[] = START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: b, a\r\n"
                                                            "Sec-WebSocket-Protocol: c\r\n\r\n";
    (void)state;

    open_ws();
    disconnect_peer();
    extra_headers = headers;
    extra_count = 2;
    connect_ws();
    send_text(offered);
    got(SWITCHED "Sec-WebSocket-Protocol: b\r\nVary: Origin\r\nX-A: b\r\n\r\n");
}

#define REFUSED(status, size, more, message)                                                   \
    "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Type: text/html\r\n"                  \
    "Content-Length: " size "\r\n" more "\r\n" message

#define BAD_UPGRADE REFUSED("400 Bad Request", "22", "", "Invalid Upgrade header")
#define BAD_KEY                                                                                \
    REFUSED("400 Bad Request", "43", "", "Missing or invalid Sec-WebSocket-Key header")
#define BAD_VERSION                                                                            \
    REFUSED("400 Bad Request", "47", "Sec-WebSocket-Version: 13, 8\r\n",                       \
            "Missing or invalid Sec-WebSocket-Version header")
#define BAD_PROTOCOL                                                                           \
    REFUSED("400 Bad Request", "37", "", "Invalid Sec-WebSocket-Protocol header")
#define OTHER_UPGRADE "Connection: Upgrade\r\nUpgrade: h2c\r\n"
#define PROTOCOL START UPGRADE KEY VERSION "Sec-WebSocket-Protocol: "

/* Captured from ws 8.21.3. */
static void refuses_a_handshake_as_the_ws_package(void **state)
{
    static const struct {
        const char *request;
        const char *answer;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE KEY VERSION "\r\n",
         REFUSED("405 Method Not Allowed",                                                                                             "19", "", "Invalid HTTP method")},
        {START OTHER_UPGRADE KEY VERSION "\r\n",                                                                          BAD_UPGRADE                                                                                                 },
        {START UPGRADE "Upgrade: websocket\r\n" KEY VERSION "\r\n",                                       BAD_UPGRADE},
        {START UPGRADE VERSION "\r\n",                    BAD_KEY                },
        {START UPGRADE VERSION KEY KEY "\r\n",                                                 BAD_KEY                                                                    },
        {START UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n\r\n",                                         BAD_KEY                               },
        {START UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-==\r\n\r\n",   BAD_KEY },
        {START UPGRADE VERSION "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQQ==\r\n\r\n",  BAD_KEY                                      },
        {START UPGRADE KEY "\r\n", BAD_VERSION                                      },
        {START UPGRADE KEY "Sec-WebSocket-Version: 12\r\n\r\n",                                                     BAD_VERSION                                                                                       },
        {PROTOCOL "\r\n\r\n",                        BAD_PROTOCOL      },
        {PROTOCOL "a,\r\n\r\n",                                                          BAD_PROTOCOL                                                                    },
        {PROTOCOL ",a\r\n\r\n",                                                        BAD_PROTOCOL                                },
        {PROTOCOL "a b\r\n\r\n",                                                        BAD_PROTOCOL                                  },
        {PROTOCOL "a, b, a\r\n\r\n",                                                       BAD_PROTOCOL                                 },
        {PROTOCOL "a/b\r\n\r\n",                                                   BAD_PROTOCOL                              },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        connect_ws();
        send_text(cases[i].request);
        got(cases[i].answer);
        assert_true(peer_ended);
        assert_null(ws);
        disconnect_peer();
    }
}

static void version_8_is_accepted(void **state)
{
    static const char request[] = START UPGRADE KEY "Sec-WebSocket-Version: 8\r\n\r\n";
    (void)state;

    connect_ws();
    send_text(request);
    got(SWITCHED "\r\n");
}

static void frames_behind_the_handshake_are_heard_from_the_loop(void **state)
{
    static const char stream[] = HANDSHAKE "\x81\x82\0\0\0\0hi";
    (void)state;

    connect_ws();
    send_bytes(stream, sizeof(stream) - 1);
    saw("T2:hi ");
    send_frame(0x82, "x");
    saw("T2:hi B1:x ");
}

/* ---- frames ---- */

static void frames_go_both_ways(void **state)
{
    (void)state;
    open_ws();
    assert_true(net_ws_writable(ws));
    send_ws(FRAME_TEXT, "hello");
    assert_false(net_ws_writable(ws));
    assert_int_equal(net_ws_queued(ws), 7);
    send_frame(0x81, "there");
    saw("T5:there ");
    got("\x81\x05hello");
    net_ws_send_raw(ws, STR("raw"));
    net_ws_set_handler(ws, &handler, "other ");
    send_frame(0x81, "x");
    saw("T5:there other T1:x ");
    got("\x81\x05helloraw");
}

static void pings_are_answered_with_their_payload(void **state)
{
    (void)state;
    open_ws();
    send_frame(0x89, "one");
    send_frame(0x89, "");
    is(&answer, "\x8a\x03one\x8a\0", 7);
    saw("");
}

static void of_a_flood_of_pings_the_last_is_answered(void **state)
{
    struct buf stream;
    (void)state;

    open_ws();
    buf_init(&stream, TEXT_MAX);
    for (int i = 0; i < 2000; i++)
        add_frame(&stream, 0x89, "a");
    add_frame(&stream, 0x89, "z");
    send_bytes(stream.at, stream.size);
    buf_free(&stream);
    assert_true(answer.size < 1000 * 3);
    assert_memory_equal(answer.at + answer.size - 3, "\x8a\x01z", 3);
    saw("");
}

/* ---- ends ---- */

static void a_close_frame_is_echoed_and_ends_it(void **state)
{
    (void)state;
    open_ws();
    send_frame(0x88, "\x0f\xa0why");
    got("\x88\x05\x0f\xa0why");
    saw("closed 4000 ");
    assert_true(peer_ended);
    disconnect_peer();

    open_ws();
    send_frame(0x88, "");
    is(&answer, "\x88\0", 2);
    saw("closed 1005 ");
    assert_true(peer_ended);
}

static void a_dropped_connection_is_a_close(void **state)
{
    (void)state;
    open_ws();
    disconnect_peer();
    saw("closed 1006 ");
}

static void a_fault_sends_its_code_and_ends_it(void **state)
{
    (void)state;
    open_ws();
    send_bytes("\x81\x01x", 3);
    got("\x88\x02\x03\xea");
    saw("fault 1002 ");
    assert_string_equal(last_closing.detail, "unmasked frame");
    assert_true(peer_ended);
    disconnect_peer();

    open_ws();
    send_frame(0x81, "\xff");
    got("\x88\x02\x03\xef");
    saw("fault 1007 ");
    disconnect_peer();

    open_ws();
    send_bytes("\x82\xff\0\0\0\0\0\1\x86\xa1", 10);
    got("\x88\x02\x03\xf1");
    saw("too big 1009 ");
    assert_int_equal(last_closing.size, LIMIT + 1);
    assert_true(peer_ended);
}

static void a_close_of_ours_waits_for_the_answer(void **state)
{
    (void)state;
    open_ws();
    send_ws(FRAME_TEXT, "last");
    net_ws_close(ws, 0);
    send_ws(FRAME_TEXT, "too late");
    settle();
    is(&answer, "\x81\x04last\x88\0", 8);
    send_frame(0x81, "dropped");
    send_frame(0x89, "not answered");
    assert_false(peer_ended);
    send_frame(0x88, "");
    assert_true(peer_ended);
    is(&answer, "\x81\x04last\x88\0", 8);
    saw("");
}

static void a_close_of_ours_may_have_a_code(void **state)
{
    (void)state;
    open_ws();
    net_ws_close(ws, 1001);
    settle();
    got("\x88\x02\x03\xe9");
    disconnect_peer();
    saw("");
    open_ws();
    net_ws_close(ws, 0);
    send_bytes("\xff\xff", 2);
    assert_true(peer_ended);
    is(&answer, "\x88\0", 2);
    saw("");
}

static void destroying_sends_what_is_queued_and_no_close_frame(void **state)
{
    (void)state;
    open_ws();
    send_ws(FRAME_TEXT, "last");
    net_ws_destroy(ws);
    settle();
    got("\x81\x04last");
    assert_true(peer_ended);
    saw("");
}

static void close_now(void)
{
    net_ws_close(ws, 0);
    on_text = NULL;
}

static void destroy_now(void)
{
    net_ws_destroy(ws);
}

/* Run under AddressSanitizer. */
static void may_be_ended_inside_a_message(void **state)
{
    static const char two[] = HANDSHAKE "\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b";
    static void (*const ends[])(void) = {close_now, destroy_now};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        for (size_t cut = strlen(HANDSHAKE); cut < sizeof(two); cut++) {
            connect_ws();
            on_text = ends[i];
            send_piece(two, cut);
            send_piece(two + cut, sizeof(two) - 1 - cut);
            saw("T1:a ");
            disconnect_peer();
            saw("T1:a ");
        }
    }
}

static void a_peer_that_does_not_read_is_ended(void **state)
{
    char *text = malloc(65537);
    (void)state;

    memset(text, 'x', 65536);
    text[65536] = '\0';
    open_ws();
    for (int i = 0; i < 1000 && ws; i++) {
        send_ws(FRAME_TEXT, text);
        turns(1);
    }
    saw("backlog 1006 ");
    assert_true(last_closing.size > BACKLOG);
    free(text);
}

/* ---- cuts ---- */

static void same_result_however_the_stream_is_cut(void **state)
{
    static const char expected[] = SWITCHED "\r\n\x8a\x04ping\x88\x02\x03\xe8";
    struct buf stream;
    (void)state;

    buf_init(&stream, 10000);
    buf_add_str(&stream, STR(HANDSHAKE));
    add_frame(&stream, 0x81, "gr\xc3\xbc\xc3\x9f");
    add_frame(&stream, 0x02, "fragment");
    add_frame(&stream, 0x89, "ping");
    add_frame(&stream, 0x80, "ed");
    add_frame(&stream, 0x88, "\x03\xe8");
    for (size_t cut = 0; cut <= stream.size; cut++) {
        connect_ws();
        send_piece(stream.at, cut);
        send_piece(stream.at + cut, stream.size - cut);
        got(expected);
        saw("T6:gr\xc3\xbc\xc3\x9f B10:fragmented closed 1000 ");
        disconnect_peer();
    }
    connect_ws();
    for (size_t at = 0; at < stream.size; at++)
        send_piece(stream.at + at, 1);
    got(expected);
    saw("T6:gr\xc3\xbc\xc3\x9f B10:fragmented closed 1000 ");
    buf_free(&stream);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_a_handshake_as_the_ws_package),
        TEST(refuses_a_handshake_as_the_ws_package),
        TEST(version_8_is_accepted),
        TEST(frames_behind_the_handshake_are_heard_from_the_loop),
        TEST(frames_go_both_ways),
        TEST(pings_are_answered_with_their_payload),
        TEST(of_a_flood_of_pings_the_last_is_answered),
        TEST(a_close_frame_is_echoed_and_ends_it),
        TEST(a_dropped_connection_is_a_close),
        TEST(a_fault_sends_its_code_and_ends_it),
        TEST(a_close_of_ours_waits_for_the_answer),
        TEST(a_close_of_ours_may_have_a_code),
        TEST(destroying_sends_what_is_queued_and_no_close_frame),
        TEST(may_be_ended_inside_a_message),
        TEST(a_peer_that_does_not_read_is_ended),
        TEST(same_result_however_the_stream_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
