#include "http_fixture.h"

static struct http_exchange *held;

/* ---- a service whose behaviour is in the target ---- */

static void respond(struct http_exchange *exchange, int status, struct str body)
{
    http_exchange_respond(exchange, &(struct http_response){.status = status, .body = body});
}

static void on_body(void *owner, const uint8_t *bytes, size_t size)
{
    buf_add(&events, bytes, size);
    if (strcmp(owner, "/stop") == 0)
        respond(held, 413, STR(""));
}

static void on_body_end(void *owner)
{
    (void)owner;
    buf_add_str(&events, STR("] "));
    respond(held, 200, STR("body"));
}

static void on_aborted(void *owner)
{
    (void)owner;
    buf_add_str(&events, STR("aborted "));
    held = NULL;
}

static const struct http_exchange_handler handler = {on_body, on_body_end, on_aborted};

/* The body is shown in brackets. */
static void begin_reading(struct http_exchange *exchange)
{
    buf_add_str(&events, STR("["));
    http_exchange_read(exchange);
}

static void respond_special(struct http_exchange *exchange, struct str target)
{
    static const struct http_header with_length[] = {
        {STR("Content-Type"),   STR("text/plain")},
        {STR("Content-Length"), STR("2")         },
    };
    static const struct http_header bad[] = {
        {STR("X-A"), STR("1\r\nX-B: 2")},
        {STR("X-C"), STR("3")          },
    };
    struct http_response response = {.status = 200, .body = STR("ok")};

    if (str_equal(target, STR("/len"))) {
        response.headers = with_length;
        response.header_count = 2;
    } else if (str_equal(target, STR("/chunked"))) {
        response.status = 400;
        response.chunked = true;
    } else if (str_equal(target, STR("/empty"))) {
        response.status = 400;
        response.chunked = true;
        response.body = STR("");
    } else if (str_equal(target, STR("/204"))) {
        response.status = 204;
        response.no_length = true;
    } else if (str_equal(target, STR("/close"))) {
        response.close = true;
    } else if (str_equal(target, STR("/inject"))) {
        response.headers = bad;
        response.header_count = 2;
    } else if (str_equal(target, STR("/frame"))) {
        response.body_frame = frame_new(FRAME_RAW, 3);
        memcpy(frame_payload(response.body_frame), "abc", 3);
    }
    http_exchange_respond(exchange, &response);
    if (response.body_frame)
        frame_unref(response.body_frame);
}

static void on_request(void *owner, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct str target = request->target;
    (void)owner;

    buf_add_str(&events, request->method_name);
    buf_add_str(&events, STR(" "));
    buf_add_str(&events, target);
    buf_add_str(&events, request->upgrade ? STR(" upgrade ") : STR(" "));
    held = exchange;
    if (str_starts(target, STR("/hold"))) {
        http_exchange_set_handler(exchange, &handler, "/hold");
        http_exchange_hold(exchange);
    } else if (str_equal(target, STR("/body")) || str_equal(target, STR("/stop"))) {
        bool stop_early = str_equal(target, STR("/stop"));
        http_exchange_set_handler(exchange, &handler, stop_early ? "/stop" : "/body");
        begin_reading(exchange);
    } else if (str_equal(target, STR("/later"))) {
        http_exchange_set_handler(exchange, &handler, "/later");
    } else if (str_equal(target, STR("/raw"))) {
        http_exchange_respond_raw(exchange, STR("HTTP/1.1 400 Bad Request\r\n\r\nraw"));
    } else if (str_equal(target, STR("/destroy"))) {
        http_exchange_destroy(exchange);
    } else if (str_equal(target, STR("/silence"))) {
        http_exchange_silence(exchange, 1);
    } else if (str_equal(target, STR("/404"))) {
        respond(exchange, 404, STR(""));
    } else {
        respond_special(exchange, target);
    }
}

/* ---- the client ---- */

static void reconnect_peer(void)
{
    disconnect_peer();
    connect_peer();
}

static int set_up(void **state)
{
    fixture_setup(state);
    held = NULL;
    connect_peer();
    return 0;
}

static size_t count_of(const char *text)
{
    size_t count = 0;

    for (const char *at = text_of(&answer); (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* ---- answers ---- */

#define HOST "Host: a\r\n\r\n"
#define KEEP "Date: \r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
#define OK_AUTO "HTTP/1.1 200 OK\r\n" KEEP "Content-Length: 2\r\n\r\nok"
#define BAD "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
#define TOO_LONG "HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"

/* Captured from Node 20. */
static void answers_have_the_headers_of_node_in_its_order(void **state)
{
    static const struct {
        const char *request;
        const char *answer;
        bool ends;
    } cases[] = {
        {"GET /len HTTP/1.1\r\n" HOST,
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n" KEEP "\r\nok",
         false                                                                                                            },
        {"GET /auto HTTP/1.1\r\n" HOST,                                  OK_AUTO,                                    false},
        {"HEAD /auto HTTP/1.1\r\n" HOST,                                 "HTTP/1.1 200 OK\r\n" KEEP "\r\n",          false},
        {"HEAD /chunked HTTP/1.1\r\n" HOST,                              "HTTP/1.1 400 Bad Request\r\n" KEEP "\r\n", false},
        {"GET /empty HTTP/1.1\r\n" HOST,
         "HTTP/1.1 400 Bad Request\r\n" KEEP "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         false                                                                                                            },
        {"GET /chunked HTTP/1.1\r\n" HOST,
         "HTTP/1.1 400 Bad Request\r\n" KEEP
         "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",                                                   false},
        {"GET /204 HTTP/1.1\r\n" HOST,                                   "HTTP/1.1 204 No Content\r\n" KEEP "\r\n",  false},
        {"GET /auto HTTP/1.0\r\n\r\n",
         "HTTP/1.1 200 OK\r\nDate: \r\nConnection: close\r\n\r\nok",                                                 true },
        {"GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\nDate: \r\nConnection: close\r\n\r\nok",                                        true },
        {"GET /auto HTTP/1.1\r\nConnection: close, keep-alive\r\n" HOST,
         "HTTP/1.1 200 OK\r\nDate: \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",                            true },
        {"GET /close HTTP/1.1\r\n" HOST,
         "HTTP/1.1 200 OK\r\nDate: \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",                            true },
        {"GET /auto HTTP/1.1\r\n\r\n",
         "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nDate: \r\n"
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",                                                              true },
        {"GET /auto HTTP/1.1\r\nHost:\r\n\r\n",                          OK_AUTO,                                    false},
        {"GET /auto HTTP/1.1\r\nExpect: foo\r\n" HOST,
         "HTTP/1.1 417 Expectation Failed\r\n" KEEP
         "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",                                                              false},
        {"CONNECT a:80 HTTP/1.1\r\n" HOST,                               "",                                         true },
        {"\r\n\r\nGET  /auto HTTP/1.1\r\n" HOST,                         OK_AUTO,                                    false},
        {"GET /frame HTTP/1.1\r\n" HOST,
         "HTTP/1.1 200 OK\r\n" KEEP "Content-Length: 3\r\n\r\nabc",                                                  false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        send_text(cases[i].request);
        got(cases[i].answer);
        assert_int_equal(peer_ended, cases[i].ends);
        reconnect_peer();
    }
}

static void a_header_value_cannot_write_headers_of_its_own(void **state)
{
    (void)state;
    send_text("GET /inject HTTP/1.1\r\n" HOST);
    got("HTTP/1.1 200 OK\r\nX-C: 3\r\n" KEEP "Content-Length: 2\r\n\r\nok");
}

static void raw_answers_and_destroying_end_the_connection(void **state)
{
    (void)state;
    send_text("GET /raw HTTP/1.1\r\n" HOST);
    got("HTTP/1.1 400 Bad Request\r\n\r\nraw");
    assert_true(peer_ended);
    reconnect_peer();
    send_text("GET /destroy HTTP/1.1\r\n" HOST);
    got("");
    assert_true(peer_ended);
}

static void until_the_end(void)
{
    while (!peer_ended) {
        turns(1);
        receive();
    }
}

static void silence_ends_without_a_word(void **state)
{
    (void)state;
    send_text("GET /silence HTTP/1.1\r\n" HOST "GET /auto HTTP/1.1\r\n" HOST);
    until_the_end();
    got("");
    saw("GET /silence ");
}

/* ---- refusals ---- */

static void refuses_what_is_malformed_or_ambiguous(void **state)
{
    static const char *const requests[] = {
        "FOO BAR\r\n\r\n",
        "FOO / HTTP/1.1\r\n" HOST,
        "GET /auto\r\n\r\n",
        "GET /auto HTTP/1.2\r\n" HOST,
        "GET /auto HTTP/2.0\r\n" HOST,
        "GET /a\xffuto HTTP/1.1\r\n" HOST,
        "GET /auto HTTP/1.1\nHost: a\n\n",
        "GET /auto HTTP/1.1\r\nHost: a\n\r\n",
        "GET /auto HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        "GET /auto HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n",
        "GET /auto HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /auto HTTP/1.1\r\nX\r\n" HOST,
        "GET /auto HTTP/1.1\r\n: x\r\n" HOST,
        "GET /auto HTTP/1.1\r\nX: \x01\r\n" HOST,
        "GET /auto HTTP/1.1\r\nHost: b\r\n" HOST,
        "POST /body HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n" HOST
        "3\r\nabc\r\n0\r\n\r\n",
        "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n" HOST
        "3\r\nabc\r\n0\r\n\r\n",
        "POST /body HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: 3, 3\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: 3x\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: +3\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: -3\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: 3 3\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length:\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n" HOST "abc",
        "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding: gzip\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding:\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "chunked\r\n" HOST,
        "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
        "identity\r\n" HOST,
        "POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n" HOST,
    };
    (void)state;

    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        send_text(requests[i]);
        got(BAD);
        saw("");
        assert_true(peer_ended);
        reconnect_peer();
    }
}

static void a_fault_inside_a_chunked_body_aborts_the_exchange(void **state)
{
    static const char *const bodies[] = {
        "zz\r\n",     "3\r\nabcd",         "3\r\nabc\n",
        "3\nabc\r\n", "3;x\n0\r\nabc\r\n", "0\r\nTrailer: x\n\r\n",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        send_text("POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST);
        send_text(bodies[i]);
        got(BAD);
        assert_non_null(strstr(text_of(&events), "aborted"));
        reconnect_peer();
    }
}

/* Counted as Node does: target, names and values. */
static void the_head_is_limited_on_both_sides_of_the_border(void **state)
{
    char *value = malloc(20000);
    struct buf request;
    (void)state;

    memset(value, 'y', 20000);
    buf_init(&request, TEXT_MAX);
    for (size_t over = 0; over < 2; over++) {
        size_t left = limits.header_bytes - 1 - strlen("/autoHostaX") + over;

        buf_reset(&request);
        buf_printf(&request, "GET /auto HTTP/1.1\r\nHost: a\r\nX: %.*s\r\n\r\n", (int)left,
                   value);
        send_bytes(request.at, request.size);
        got(over ? TOO_LONG : OK_AUTO);
        reconnect_peer();
    }
    buf_reset(&request);
    buf_printf(&request, "GET /%.*s", 17000, value);
    send_bytes(request.at, request.size);
    got(TOO_LONG);
    buf_free(&request);
    free(value);
}

static void header_lines_are_limited_on_both_sides_of_the_border(void **state)
{
    struct buf request;
    (void)state;

    buf_init(&request, TEXT_MAX);
    for (int lines = 2000; lines <= 2001; lines++) {
        buf_reset(&request);
        buf_add_str(&request, STR("GET /auto HTTP/1.1\r\nHost: a\r\n"));
        for (int i = 1; i < lines; i++)
            buf_add_str(&request, STR("a:b\r\n"));
        buf_add_str(&request, STR("\r\n"));
        send_bytes(request.at, request.size);
        got(lines > 2000 ? TOO_LONG : OK_AUTO);
        reconnect_peer();
    }
    buf_free(&request);
}

/* ---- bodies ---- */

static void bodies_come_by_length_in_chunks_or_not_at_all(void **state)
{
    (void)state;
    send_text("POST /body HTTP/1.1\r\nContent-Length: 3\r\n" HOST "ab\n");
    send_text("POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST
              "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n");
    send_text("POST /body HTTP/1.1\r\n" HOST);
    send_text("POST /body HTTP/1.1\r\nContent-Length: 0\r\n" HOST);
    saw("POST /body [ab\n] POST /body [abcde] POST /body [] POST /body [] ");
    assert_int_equal(count_of("\r\n\r\nbody"), 4);
    assert_false(peer_ended);
}

static void a_body_waits_until_it_is_asked_for(void **state)
{
    (void)state;
    send_text("POST /later HTTP/1.1\r\nContent-Length: 3\r\n" HOST "abc");
    saw("POST /later ");
    begin_reading(held);
    saw("POST /later [");
    turns(TURNS);
    saw("POST /later [abc] ");
}

static void continue_is_sent_when_the_body_is_asked_for(void **state)
{
    (void)state;
    send_text("POST /later HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" HOST);
    got("");
    http_exchange_read(held);
    settle();
    got("HTTP/1.1 100 Continue\r\n\r\n");
    send_text("abc");
    got("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" KEEP
        "Content-Length: 4\r\n\r\nbody");
}

static void an_answer_instead_of_continue_ends_the_connection(void **state)
{
    (void)state;
    send_text("POST /404 HTTP/1.1\r\nContent-Length: 3\r\nExpect: 100-continue\r\n" HOST);
    got("HTTP/1.1 404 Not Found\r\nDate: \r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_true(peer_ended);
}

static void a_small_body_nobody_wants_keeps_the_connection(void **state)
{
    (void)state;
    send_text("POST /404 HTTP/1.1\r\nContent-Length: 3\r\n" HOST
              "abcGET /auto HTTP/1.1\r\n" HOST);
    got("HTTP/1.1 404 Not Found\r\n" KEEP "Content-Length: 0\r\n\r\n" OK_AUTO);
    reconnect_peer();
    send_text("POST /404 HTTP/1.1\r\nContent-Length: 65536\r\n" HOST "abc");
    assert_int_equal(count_of("keep-alive"), 1);
    reconnect_peer();
    send_text("POST /404 HTTP/1.1\r\nContent-Length: 65537\r\n" HOST "abc");
    assert_int_equal(count_of("Connection: close"), 1);
    assert_true(peer_ended);
}

static void an_answer_within_the_body_drops_the_rest(void **state)
{
    (void)state;
    send_text("POST /stop HTTP/1.1\r\nContent-Length: 6\r\n" HOST "abc");
    assert_int_equal(count_of("HTTP/1.1 413 Payload Too Large\r\n" KEEP), 1);
    send_text("defGET /auto HTTP/1.1\r\n" HOST);
    saw("POST /stop [abcGET /auto ");
    reconnect_peer();
    send_text("POST /stop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "3\r\nabc\r\n");
    assert_int_equal(count_of("Connection: close"), 1);
    saw("POST /stop [abc");
}

static void a_large_body_answered_early_is_no_harm(void **state)
{
    char *zeros = calloc(1, 100000);
    (void)state;

    send_text("POST /stop HTTP/1.1\r\nContent-Length: 10000000\r\n" HOST);
    for (int i = 0; i < 20 && send(peer, zeros, 100000, MSG_NOSIGNAL) > 0; i++)
        turns(2);
    receive();
    assert_int_equal(count_of("413 Payload Too Large"), 1);
    free(zeros);
}

/* ---- pipelines, held requests ---- */

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    send_text("GET /auto HTTP/1.1\r\n" HOST "POST /body HTTP/1.1\r\nContent-Length: 3\r\n" HOST
              "abcGET /404 HTTP/1.1\r\n" HOST);
    saw("GET /auto POST /body [abc] GET /404 ");
    got(OK_AUTO "HTTP/1.1 200 OK\r\n" KEEP "Content-Length: 4\r\n\r\nbody"
                "HTTP/1.1 404 Not Found\r\n" KEEP "Content-Length: 0\r\n\r\n");
}

static void a_request_behind_a_held_one_waits(void **state)
{
    (void)state;
    send_text("GET /hold HTTP/1.1\r\n" HOST "GET /auto HTTP/1.1\r\n" HOST);
    send_text("GET /404 HTTP/1.1\r\n" HOST);
    saw("GET /hold ");
    got("");
    respond(held, 200, STR("held"));
    settle();
    saw("GET /hold GET /auto GET /404 ");
    assert_int_equal(count_of("HTTP/1.1 "), 3);
}

static void a_held_exchange_hears_of_the_end(void **state)
{
    (void)state;
    send_text("GET /hold HTTP/1.1\r\n" HOST "GET /auto HTTP/1.1\r\n" HOST);
    disconnect_peer();
    saw("GET /hold aborted ");
}

static void what_waits_behind_a_held_request_is_bounded(void **state)
{
    char bytes[8192];
    size_t sent = 0;
    ssize_t size;
    (void)state;

    memset(bytes, 'x', sizeof(bytes));
    send_text("GET /hold HTTP/1.1\r\n" HOST);
    /* The kernel's buffers take some; were reading not paused, this would never end. */
    while ((size = send(peer, bytes, sizeof(bytes), MSG_NOSIGNAL)) > 0) {
        sent += (size_t)size;
        turns(2);
        assert_true(sent < 64 * 1024 * 1024);
    }
    saw("GET /hold ");
}

static void answers_nobody_reads_hold_back_pipelined_requests(void **state)
{
    struct buf requests;
    (void)state;

    buf_init(&requests, TEXT_MAX);
    for (int i = 0; i < 1000; i++)
        buf_add_str(&requests, STR("GET /auto HTTP/1.1\r\n" HOST));
    assert_int_equal(send(peer, requests.at, requests.size, MSG_NOSIGNAL), requests.size);
    turns(1000);
    receive();
    for (int i = 0; i < 1000 && count_of("HTTP/1.1 200 OK") < 1000; i++) {
        turns(2);
        receive();
    }
    assert_int_equal(count_of("HTTP/1.1 200 OK"), 1000);
    buf_free(&requests);
}

/* ---- upgrades ---- */

static void an_upgrade_needs_both_headers(void **state)
{
    (void)state;
    send_text("GET /auto HTTP/1.1\r\nUpgrade: x\r\n" HOST);
    send_text("GET /auto HTTP/1.1\r\nConnection: upgrade\r\n" HOST);
    send_text("GET /auto HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: x\r\n" HOST);
    saw("GET /auto GET /auto GET /auto upgrade ");
    assert_int_equal(count_of("Connection: close"), 1);
    assert_true(peer_ended);
}

static void a_taken_conn_comes_with_the_bytes_behind_the_head(void **state)
{
    struct net_conn *conn;
    size_t size;
    uint8_t *rest;
    (void)state;

    send_text(
        "GET /hold HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 2\r\n" HOST
        "behind");
    send_text(" the head");
    conn = http_exchange_take_conn(held, &rest, &size);
    assert_int_equal(size, 15);
    assert_memory_equal(rest, "behind the head", 15);
    free(rest);
    net_conn_close(conn);
    turns(1);
}

/* ---- time ---- */

static void a_head_that_does_not_come_is_timed_out(void **state)
{
    (void)state;
    limits.headers_timeout_ms = 1;
    reconnect_peer();
    until_the_end();
    got("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");

    limits.headers_timeout_ms = 60000;
    reconnect_peer();
    send_text("GET /auto HTTP/1.1\r\n" HOST);
    limits.headers_timeout_ms = 1;
    buf_reset(&answer);
    send_text("GET /auto HT");
    until_the_end();
    got("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
}

static void a_body_that_does_not_come_is_timed_out(void **state)
{
    (void)state;
    limits.request_timeout_ms = 1;
    send_text("POST /body HTTP/1.1\r\nContent-Length: 3\r\n" HOST "ab");
    until_the_end();
    got("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n");
    saw("POST /body [ababorted ");
}

static void an_idle_connection_ends_without_a_word(void **state)
{
    (void)state;
    limits.keep_alive_ms = 1;
    send_text("GET /404 HTTP/1.1\r\n" HOST);
    until_the_end();
    assert_int_equal(count_of("HTTP/1.1"), 1);
}

static void stop_server(void)
{
    net_conns_stop(loop);
    settle();
}

static void idle_connections_end_when_the_server_stops(void **state)
{
    (void)state;
    send_text("GET /404 HTTP/1.1\r\n" HOST);
    assert_false(peer_ended);
    stop_server();
    assert_true(peer_ended);
    assert_int_equal(count_of("HTTP/1.1"), 1);
}

static void a_new_connection_still_gets_its_first_answer_when_the_server_stops(void **state)
{
    (void)state;
    stop_server();
    assert_false(peer_ended);
    send_text("GET /auto HTTP/1.1\r\n" HOST);
    got("HTTP/1.1 200 OK\r\nDate: \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_true(peer_ended);
}

static void an_answer_may_keep_the_connection_although_the_server_stops(void **state)
{
    (void)state;
    send_text("GET /hold HTTP/1.1\r\n" HOST);
    stop_server();
    assert_true(http_exchange_keeps(held));
    http_exchange_respond(held, &(struct http_response){.status = 204, .keep = true});
    settle();
    assert_false(peer_ended);
    stop_server();
    assert_true(peer_ended);

    reconnect_peer();
    send_text("GET /hold HTTP/1.1\r\nConnection: close\r\n" HOST);
    assert_false(http_exchange_keeps(held));
    http_exchange_respond(held, &(struct http_response){.status = 204, .keep = true});
    settle();
    assert_true(peer_ended);
}

static void what_has_begun_is_answered_before_the_server_stops(void **state)
{
    (void)state;
    send_text("GET /auto HTTP/1.1\r\nHo");
    stop_server();
    assert_false(peer_ended);
    send_text("st: a\r\n\r\nGET /auto HTTP/1.1\r\n" HOST);
    got("HTTP/1.1 200 OK\r\nDate: \r\nConnection: close\r\nContent-Length: 2\r\n\r\nok");
    assert_true(peer_ended);

    reconnect_peer();
    send_text("GET /hold HTTP/1.1\r\n" HOST);
    stop_server();
    assert_false(peer_ended);
    respond(held, 200, STR("held"));
    settle();
    assert_true(peer_ended);
    assert_int_equal(count_of("Connection: close"), 1);
}

/* ---- cuts ---- */

static const char *const streams[] = {
    "GET /auto HTTP/1.1\r\nX-Long: some value here\r\nX-Empty:\r\nX-B: c  \r\n" HOST
    "POST /body HTTP/1.1\r\nContent-Length: 7\r\n" HOST "a\n\r\n bc"
    "POST /body HTTP/1.1\r\ntransfer-encoding: Chunked\r\n" HOST
    "3;ext=\"1\"\r\nabc\r\n00a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
    "\r\nPOST /404 HTTP/1.1\r\nContent-Length: 5\r\n" HOST "abcde"
    "HEAD /chunked HTTP/1.1\r\n" HOST "GET /close HTTP/1.1\r\n" HOST,
    "GET /auto HTTP/1.1\r\n" HOST "GET /auto HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
    "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "3\r\nabc\r\nx\r\n\r\n",
    "POST /body HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" HOST "3\r\nabc\r\n1;x\ny\r\nz\r\n",
    "GET /404 HTTP/1.0\r\nX: y\r\n\r\nGET /auto HTTP/1.1\r\n" HOST,
};

static void same_result_however_the_stream_is_cut(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(streams) / sizeof(streams[0]); n++) {
        size_t size = strlen(streams[n]);
        char *all_answers, *all_events;

        reconnect_peer();
        send_piece(streams[n], size);
        all_answers = strdup(text_of(&answer));
        all_events = strdup(text_of(&events));
        for (size_t at = 1; at < size; at++) {
            reconnect_peer();
            send_piece(streams[n], at);
            send_piece(streams[n] + at, size - at);
            got(all_answers);
            saw(all_events);
        }
        reconnect_peer();
        for (size_t at = 0; at < size; at++)
            send_piece(streams[n] + at, 1);
        got(all_answers);
        saw(all_events);
        free(all_answers);
        free(all_events);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_have_the_headers_of_node_in_its_order),
        TEST(a_header_value_cannot_write_headers_of_its_own),
        TEST(raw_answers_and_destroying_end_the_connection),
        TEST(silence_ends_without_a_word),
        TEST(refuses_what_is_malformed_or_ambiguous),
        TEST(a_fault_inside_a_chunked_body_aborts_the_exchange),
        TEST(the_head_is_limited_on_both_sides_of_the_border),
        TEST(header_lines_are_limited_on_both_sides_of_the_border),
        TEST(bodies_come_by_length_in_chunks_or_not_at_all),
        TEST(a_body_waits_until_it_is_asked_for),
        TEST(continue_is_sent_when_the_body_is_asked_for),
        TEST(an_answer_instead_of_continue_ends_the_connection),
        TEST(a_small_body_nobody_wants_keeps_the_connection),
        TEST(an_answer_within_the_body_drops_the_rest),
        TEST(a_large_body_answered_early_is_no_harm),
        TEST(pipelined_requests_are_answered_in_order),
        TEST(a_request_behind_a_held_one_waits),
        TEST(a_held_exchange_hears_of_the_end),
        TEST(what_waits_behind_a_held_request_is_bounded),
        TEST(answers_nobody_reads_hold_back_pipelined_requests),
        TEST(an_upgrade_needs_both_headers),
        TEST(a_taken_conn_comes_with_the_bytes_behind_the_head),
        TEST(a_head_that_does_not_come_is_timed_out),
        TEST(a_body_that_does_not_come_is_timed_out),
        TEST(an_idle_connection_ends_without_a_word),
        TEST(idle_connections_end_when_the_server_stops),
        TEST(a_new_connection_still_gets_its_first_answer_when_the_server_stops),
        TEST(an_answer_may_keep_the_connection_although_the_server_stops),
        TEST(what_has_begun_is_answered_before_the_server_stops),
        TEST(same_result_however_the_stream_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
