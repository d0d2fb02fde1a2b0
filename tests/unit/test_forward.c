/* Exchanges that another server answers: the test is the client and that server, by hand. */
#include "http_fixture.h"

#include "forward/forward.h"
#include "forward/gate.h"
#include "net/http_reply.h"

#define DATE "Thu, 01 Jan 1970 00:00:00 GMT"
#define SECRET "0123456789abcdef0123456789abcdef"

enum {
    ANSWER_MS = 45000,
    REQUEST_MAX = 4096,
    ANSWER_MAX = 100000,
};

static struct forward *forward;
static struct hits hits;
static struct peer_address there;
static int listening; /* the other server's */
static int other;     /* its latest connection, or -1 */
static bool other_ended;
static struct buf asked; /* what came to it */
static int refusals;

static void on_request(void *owner, struct http_exchange *exchange)
{
    (void)owner;
    if (!forward_exchange(forward, &there, STR(SECRET), exchange))
        http_exchange_destroy(exchange);
}

static void unknown(void *owner, struct http_exchange *exchange)
{
    (void)owner;
    if (http_exchange_request(exchange)->upgrade)
        http_exchange_respond_raw(exchange, STR("unknown upgrade"));
    else
        http_exchange_respond(exchange,
                              &(struct http_response){.status = 400, .body = STR("unknown")});
}

static void refused(void *owner)
{
    (void)owner;
    refusals++;
}

static int set_up(void **state)
{
    uint16_t port;

    fixture_setup(state);
    assert_true(peer_address_of("127.0.0.1", 0, &there));
    listening = peer_address_listen(&there, 16, &port);
    assert_true(listening >= 0);
    assert_true(peer_address_of("127.0.0.1", port, &there));
    other = -1;
    refusals = 0;
    hits = (struct hits){0};
    buf_init(&asked, TEXT_MAX);
    forward = forward_new(&(struct forward_options){
        .loop = loop,
        .log = &quiet,
        .hits = &hits,
        .answer_ms = ANSWER_MS,
        .request_max = REQUEST_MAX,
        .answer_max = ANSWER_MAX,
        .unknown = unknown,
        .refused = refused,
    });
    connect_peer();
    return 0;
}

static int tear_down(void **state)
{
    disconnect_peer();
    forward_free(forward);
    net_conns_end(loop);
    if (other >= 0)
        close(other);
    if (listening >= 0)
        close(listening);
    buf_free(&asked);
    return fixture_teardown(state);
}

static void pass_ms(uint64_t ms)
{
    struct timer_wheel *wheel = net_loop_timers(loop);

    timer_wheel_advance(wheel, wheel->clock_ms + ms);
    settle();
}

/* --- the other server ---------------------------------------------------------------------- */

static bool accept_other(void)
{
    int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);

    if (fd < 0)
        return false;
    if (other >= 0)
        close(other);
    other = fd;
    other_ended = false;
    settle();
    return true;
}

static void hear(void)
{
    char bytes[65536];
    ssize_t size;

    settle();
    while ((size = recv(other, bytes, sizeof(bytes), 0)) > 0) {
        buf_add(&asked, bytes, (size_t)size);
        settle();
    }
    other_ended = size == 0 || errno != EAGAIN;
}

static void heard(const char *expected)
{
    hear();
    is(&asked, expected, strlen(expected));
    buf_reset(&asked);
}

static void say(const char *text)
{
    assert_int_equal(send(other, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    settle();
}

/* --- polls and posts ----------------------------------------------------------------------- */

#define PASSPORT "X-Skua-Forwarded: " SECRET " http \r\n\r\n"
#define POLL "GET /socket.io/?sid=a HTTP/1.1\r\nHost: a\r\n\r\n"
#define FORWARDED_POLL "GET /socket.io/?sid=a HTTP/1.1\r\nHost: a\r\n" PASSPORT

static void a_poll_goes_over_and_its_answer_comes_back(void **state)
{
    (void)state;
    send_text("GET /socket.io/?sid=a HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n"
              "X-Skua-Forwarded: mine\r\nCookie: b\r\n\r\n");
    assert_true(accept_other());
    heard("GET /socket.io/?sid=a HTTP/1.1\r\nHost: a\r\nX-Skua-Forwarded: mine\r\nCookie: "
          "b\r\n" PASSPORT);
    say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: io=1\r\nDate: \r\n"
        "Connection: keep-alive\r\nKeep-Alive: timeout=60\r\nContent-Length: 5\r\n\r\n4wo");
    got("");
    say("rd");
    got("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nSet-Cookie: io=1\r\nDate: \r\n"
        "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\nContent-Length: 5\r\n\r\n4word");
}

static void the_connection_is_used_again(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    heard(FORWARDED_POLL);
    say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    send_text(POLL);
    assert_false(accept_other());
    heard(FORWARDED_POLL);
    say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    pass_ms(11000); /* the client's connection too has been idle for too long */
    hear();
    assert_true(other_ended);
}

static void bodies_go_over_as_they_come(void **state)
{
    (void)state;
    send_text(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    assert_true(accept_other());
    heard("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" PASSPORT);
    send_text("40");
    heard("40");
    send_text("ab");
    heard("ab");
    buf_reset(&answer);
    say("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n"
        "2\r\nok\r\n0\r\n\r\n");
    got("HTTP/1.1 200 OK\r\nDate: \r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n"
        "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");

    send_text("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    heard("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" PASSPORT
          "3\r\nabc\r\n");
    send_text("0\r\n\r\n");
    heard("0\r\n\r\n");
}

static void an_answer_within_the_body_ends_the_connection_there(void **state)
{
    (void)state;
    send_text("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\nabc");
    assert_true(accept_other());
    hear();
    say("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_non_null(strstr(text_of(&answer), "HTTP/1.1 413 Payload Too Large\r\n"));
    assert_non_null(strstr(text_of(&answer), "Connection: close\r\n"));
    hear();
    assert_true(other_ended);
}

static void what_the_other_does_not_take_is_bounded(void **state)
{
    static char bytes[65536];
    (void)state;

    memset(bytes, 'x', sizeof(bytes));
    send_text("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 400000000\r\n\r\n");
    assert_true(accept_other());
    for (int i = 0; i < 1000 && answer.size == 0; i++) {
        if (send(peer, bytes, sizeof(bytes), MSG_NOSIGNAL) < 0)
            assert_int_equal(errno, EAGAIN);
        settle();
    }
    assert_non_null(strstr(text_of(&answer), "HTTP/1.1 400 Bad Request\r\n"));
}

static void a_client_that_leaves_is_gone_there_too(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    heard(FORWARDED_POLL);
    disconnect_peer();
    turns(TURNS);
    char byte;
    assert_int_equal(recv(other, &byte, 1, 0), 0);
}

#define UNKNOWN                                                                                \
    "HTTP/1.1 400 Bad Request\r\nDate: \r\nConnection: keep-alive\r\n"                         \
    "Keep-Alive: timeout=5\r\nContent-Length: 7\r\n\r\nunknown"

static void nobody_there_is_unknown_at_once(void **state)
{
    (void)state;
    close(listening);
    listening = -1;
    send_text(POLL);
    got(UNKNOWN);
    assert_int_equal(hits.counts[HIT_FORWARD_FAILED], 1);
}

static void one_that_ends_without_an_answer_is_unknown(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    say("HTTP/1.1 200 OK\r\nContent-Le");
    close(other);
    other = -1;
    settle();
    got(UNKNOWN);
}

static void one_that_answers_nonsense_is_unknown(void **state)
{
    static const char *const answers[] = {
        "SMTP hello\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    };
    static char body[ANSWER_MAX + 1];
    (void)state;

    memset(body, 'x', sizeof(body) - 1);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        buf_reset(&answer);
        send_text(POLL);
        assert_true(accept_other());
        say(answers[i]);
        if (i == 1) {
            say(body);
            say("x");
        }
        got(UNKNOWN);
    }
}

static void one_that_does_not_answer_in_time_is_unknown(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    heard(FORWARDED_POLL);
    pass_ms(1000);
    pass_ms(ANSWER_MS - 10);
    got("");
    pass_ms(20);
    got(UNKNOWN);
}

static void announcements_are_skipped(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\nDate: " DATE "\r\n\r\n");
    got("HTTP/1.1 204 No Content\r\nDate: \r\nConnection: keep-alive\r\n"
        "Keep-Alive: timeout=5\r\n\r\n");
}

static void a_refusal_is_told(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    say("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_int_equal(refusals, 1);
}

static void the_same_answer_however_it_is_cut(void **state)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nA: b\r\nTransfer-Encoding: chunked\r\n\r\n"
                                "3\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    (void)state;

    for (size_t cut = 1; cut < sizeof(reply) - 1; cut++) {
        size_t used;
        struct http_reply *whole = http_reply_new(false, 100);

        assert_int_equal(http_reply_feed(whole, reply, cut, &used), HTTP_REPLY_MORE);
        assert_int_equal(used, cut);
        assert_int_equal(http_reply_feed(whole, reply + cut, sizeof(reply) - 1 - cut, &used),
                         HTTP_REPLY_DONE);
        assert_int_equal(used, sizeof(reply) - 1 - cut);
        assert_true(str_equal(http_reply_body(whole), STR("abcde")));
        assert_true(str_equal(http_reply_headers(whole, &used)[0].value, STR("b")));
        assert_int_equal(used, 2);
        assert_true(http_reply_keeps(whole) && http_reply_chunked(whole));
        http_reply_free(whole);
    }
}

/* --- upgrades ------------------------------------------------------------------------------ */

#define UPGRADE                                                                                \
    "GET /socket.io/?sid=a HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"                     \
    "Upgrade: websocket\r\n"
#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\n\r\n"

static void open_tunnel(void)
{
    send_text(UPGRADE "\r\nearly");
    assert_true(accept_other());
    heard(UPGRADE PASSPORT);
    say(SWITCHING "first");
    got(SWITCHING "first");
    buf_reset(&answer);
    heard("early");
}

static void behind_an_upgrade_bytes_go_both_ways(void **state)
{
    (void)state;
    open_tunnel();
    say("down");
    got("down");
    send_text("up");
    heard("up");
    disconnect_peer();
    turns(TURNS);
    char byte;
    assert_int_equal(recv(other, &byte, 1, 0), 0);
}

static void a_refused_upgrade_comes_back_as_it_is(void **state)
{
    (void)state;
    send_text(UPGRADE "\r\n");
    assert_true(accept_other());
    say("HTTP/1.1 400 Bad Request\r\n\r\nno");
    close(other);
    other = -1;
    settle();
    got("HTTP/1.1 400 Bad Request\r\n\r\nno");
    assert_true(peer_ended);
}

static void an_upgrade_to_nobody_is_unknown(void **state)
{
    (void)state;
    close(listening);
    listening = -1;
    send_text(UPGRADE "\r\n");
    got("unknown upgrade");
}

static void an_upgrade_without_an_answer_is_unknown(void **state)
{
    (void)state;
    send_text(UPGRADE "\r\n");
    assert_true(accept_other());
    pass_ms(1000);
    got("");
    pass_ms(ANSWER_MS);
    got("unknown upgrade");
    hear();
    assert_true(other_ended);
}

static void a_client_that_leaves_before_the_upgrade_is_gone_there_too(void **state)
{
    (void)state;
    send_text(UPGRADE "\r\n");
    assert_true(accept_other());
    disconnect_peer();
    hear();
    assert_true(other_ended);
}

/* Fills the way to a side that does not read; returns how much it took. */
static size_t fill(int from)
{
    static char bytes[65536];
    size_t size = 0;
    int idle = 0;

    while (idle < 10 && size < (size_t)64 << 20) {
        ssize_t sent = send(from, bytes, sizeof(bytes), MSG_NOSIGNAL);

        idle = sent > 0 ? 0 : idle + 1;
        size += sent > 0 ? (size_t)sent : 0;
        turns(TURNS);
    }
    return size;
}

static void who_does_not_read_slows_the_other_down(void **state)
{
    (void)state;
    open_tunnel();
    size_t size = fill(other);
    assert_true(size < (size_t)64 << 20);
    for (int i = 0; i < 1000 && answer.size < size; i++)
        settle();
    /* What the test collects is bounded, too. */
    assert_true(answer.size == size || buf_failed(&answer));
    buf_free(&answer);
    buf_init(&answer, TEXT_MAX);
    say("again");
    settle();
    got("again");
}

static void what_is_on_its_way_when_everything_ends_is_dropped(void **state)
{
    (void)state;
    send_text(POLL);
    assert_true(accept_other());
    forward_free(forward);
    forward = NULL;
    settle();
    assert_true(peer_ended);
}

/* --- the gate ------------------------------------------------------------------------------- */

static void serve(void *owner, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    (void)owner;

    assert_true(request->handed_over);
    buf_printf(&events, "%.*s from %s%s, %zu headers;", (int)request->target.size,
               request->target.at, request->address, request->secure ? " over TLS" : "",
               request->header_count);
    http_exchange_respond(exchange, &(struct http_response){.status = 204, .no_length = true});
}

static struct gate gate;
static const struct http_service gate_service = {
    .request = gate_request, .owner = &gate, .lasting = true};

static void connect_to_gate(void)
{
    int pair[2];

    disconnect_peer();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer = pair[0];
    peer_ended = false;
    buf_reset(&answer);
    http1_serve(net_conn_new(loop, pair[1], BACKLOG), &gate_service, &limits, &quiet, false);
    gate = (struct gate){
        .log = &quiet,
        .hits = &hits,
        .loop = loop,
        .secret = STR(SECRET),
        .serve = serve,
        .refused = refused,
    };
}

#define ASK "GET /a HTTP/1.1\r\nHost: a\r\n"

static void the_gate_lets_in_who_has_the_secret_and_stays_open(void **state)
{
    (void)state;
    connect_to_gate();
    send_text(ASK "X-Skua-Forwarded: " SECRET " https 10.0.0.9\r\n\r\n");
    saw("/a from 10.0.0.9 over TLS, 1 headers;");
    net_conns_stop(loop);
    settle();
    assert_false(peer_ended);
    send_text(ASK "X-Skua-Forwarded: " SECRET " http \r\n\r\n");
    saw("/a from 10.0.0.9 over TLS, 1 headers;/a from , 1 headers;");
    assert_false(peer_ended);
    assert_int_equal(refusals, 0);
}

static void the_gate_refuses_everybody_else(void **state)
{
    static const char *const requests[] = {
        ASK "\r\n",
        ASK "X-Skua-Forwarded: \r\n\r\n",
        ASK "X-Skua-Forwarded: " SECRET " http a\r\nLast: b\r\n\r\n",
        ASK "X-Skua-Forwarded: 1123456789abcdef0123456789abcdef http a\r\n\r\n",
        ASK "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    };
    const size_t count = sizeof(requests) / sizeof(requests[0]);
    (void)state;

    for (size_t i = 0; i < count; i++) {
        connect_to_gate();
        send_text(requests[i]);
        assert_non_null(strstr(text_of(&answer), "HTTP/1.1 403 Forbidden\r\n"));
        assert_true(peer_ended);
    }
    connect_to_gate();
    gate.secret = STR("");
    send_text(ASK "X-Skua-Forwarded:  http a\r\n\r\n");
    assert_true(peer_ended);
    saw("");
    assert_int_equal(refusals, count + 1);
    assert_int_equal(hits.counts[HIT_FORWARD_REFUSED], count + 1);
}

/* --- passports ----------------------------------------------------------------------------- */

static void names_are_eight_digits_and_read_back(void **state)
{
    static const uint64_t names[] = {1, 0xfbefbefbefbe, (UINT64_C(1) << 48) - 1};
    uint64_t name;
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char text[PASSPORT_NAME_SIZE];

        passport_name_write(names[i], text);
        assert_true(passport_name_read(str_of(text, sizeof(text)), &name));
        assert_int_equal(name, names[i]);
    }
    assert_false(passport_name_read(STR("AAAAAAA"), &name));
    assert_false(passport_name_read(STR("AAAA=AAA"), &name));
    assert_false(passport_name_read(STR("AAA/AAAA"), &name));
    assert_false(passport_name_read(STR("AAA AAAA"), &name));
}

static void a_passport_is_good_with_the_secret_only(void **state)
{
    static const struct {
        struct str value;
        bool good, secure;
        struct str address;
    } cases[] = {
        {STR(SECRET " https ::1"),                         true,  true,  STR("::1")    },
        {STR(SECRET " http 1.2.3.4"),                      true,  false, STR("1.2.3.4")},
        {STR(SECRET " http"),                              true,  false, STR("")       },
        {STR(SECRET),                                      false, false, STR("")       },
        {STR(SECRET " ftp ::1"),                           false, false, STR("")       },
        {STR(SECRET " httpx ::1"),                         false, false, STR("")       },
        {STR(""),                                          false, false, STR("")       },
        {STR("1123456789abcdef0123456789abcdef http ::1"), false, false, STR("")       },
        {STR("0123456789abcdef0123456789abcde http ::1"),  false, false, STR("")       },
    };
    struct passport passport;
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(passport_read(cases[i].value, STR(SECRET), &passport), cases[i].good);
        if (!cases[i].good)
            continue;
        assert_int_equal(passport.secure, cases[i].secure);
        assert_true(str_equal(passport.address, cases[i].address));
    }
    assert_false(passport_read(STR(" http ::1"), STR(""), &passport));
}

static void addresses_are_numeric_with_a_port(void **state)
{
    static const char *const good[] = {"127.0.0.1:1", "[::1]:65535", "::1:80"};
    static const char *const bad[] = {
        "",     "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "1.1.1.1:65536",
        "a:80", "[::1:80",   ":80"};
    struct peer_address address;
    char text[PEER_ADDRESS_TEXT];
    (void)state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(peer_address_parse(str_from(good[i]), &address));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(peer_address_parse(str_from(bad[i]), &address));
    peer_address_write("::1", 80, text);
    assert_string_equal(text, "[::1]:80");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_poll_goes_over_and_its_answer_comes_back),
        TEST(the_connection_is_used_again),
        TEST(bodies_go_over_as_they_come),
        TEST(an_answer_within_the_body_ends_the_connection_there),
        TEST(what_the_other_does_not_take_is_bounded),
        TEST(a_client_that_leaves_is_gone_there_too),
        TEST(nobody_there_is_unknown_at_once),
        TEST(one_that_ends_without_an_answer_is_unknown),
        TEST(one_that_answers_nonsense_is_unknown),
        TEST(one_that_does_not_answer_in_time_is_unknown),
        TEST(announcements_are_skipped),
        TEST(a_refusal_is_told),
        TEST(the_same_answer_however_it_is_cut),
        TEST(behind_an_upgrade_bytes_go_both_ways),
        TEST(a_refused_upgrade_comes_back_as_it_is),
        TEST(an_upgrade_to_nobody_is_unknown),
        TEST(an_upgrade_without_an_answer_is_unknown),
        TEST(a_client_that_leaves_before_the_upgrade_is_gone_there_too),
        TEST(who_does_not_read_slows_the_other_down),
        TEST(what_is_on_its_way_when_everything_ends_is_dropped),
        TEST(the_gate_lets_in_who_has_the_secret_and_stays_open),
        TEST(the_gate_refuses_everybody_else),
        TEST(names_are_eight_digits_and_read_back),
        TEST(a_passport_is_good_with_the_secret_only),
        TEST(addresses_are_numeric_with_a_port),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
