/* Checks of requests, handshakes and CORS, as a client sees them. */
#include "eio_fixture.h"

/* --- requests ----------------------------------------------------------------------------- */

static void a_handshake_is_answered_with_the_open_packet_alone(void **state)
{
    char expected[512];
    int client = new_client();
    (void)state;

    t.on_open = NULL;
    get(client, "EIO=4&transport=polling&t=abc");
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\nContent-Type: text/plain; charset=UTF-8\nContent-Length: 115\n"
             "cache-control: no-store\n\n0{\"sid\":\"%s\",\"upgrades\":[\"websocket\"],"
             "\"pingInterval\":25000,\"pingTimeout\":20000,\"maxPayload\":1000}",
             t.sid);
    assert_answer(client, expected);
    assert_events("open polling;");
    assert_int_equal(eio_server_sessions(t.server), 1);
}

static void greet(struct eio_session *session)
{
    send_text(session, "hello");
}

static void what_open_sends_comes_with_the_first_poll(void **state)
{
    (void)state;
    t.on_open = greet;
    int client = open_polling();
    poll(client);
    assert_polled(client, "4hello");
}

static void upgrades_are_offered_only_when_they_can_succeed(void **state)
{
    (void)state;
    t.options.allow_upgrades = false;
    restart_server();
    open_polling();
    assert_true(answer_holds("\"upgrades\":[],"));

    tear_down(state);
    set_up(state);
    t.options.websocket = false;
    restart_server();
    open_polling();
    assert_true(answer_holds("\"upgrades\":[],"));
}

static void errors_are_json_with_the_reference_codes(void **state)
{
    static const struct {
        const char *method;
        const char *query;
        const char *status;
        const char *body;
    } cases[] = {
        {"GET",     "EIO=4",                                            "400 Bad Request",
         "28\n{\"code\":0,\"message\":\"Transport unknown\"}"           },
        {"GET",     "EIO=4&transport=webtransport",                     "400 Bad Request",
         "28\n{\"code\":0,\"message\":\"Transport unknown\"}"           },
        {"PUT",     "EIO=3&transport=x&sid=x",                          "400 Bad Request",
         "28\n{\"code\":0,\"message\":\"Transport unknown\"}"           },
        {"GET",     "EIO=4&transport=polling&sid=nope",                 "400 Bad Request",
         "29\n{\"code\":1,\"message\":\"Session ID unknown\"}"          },
        {"GET",     "EIO=4&transport=polling&sid=abcdefghijklmnopqrst", "400 Bad Request",
         "29\n{\"code\":1,\"message\":\"Session ID unknown\"}"          },
        {"POST",    "EIO=4&transport=polling",                          "400 Bad Request",
         "2b\n{\"code\":2,\"message\":\"Bad handshake method\"}"        },
        {"OPTIONS", "EIO=4&transport=polling",                          "400 Bad Request",
         "2b\n{\"code\":2,\"message\":\"Bad handshake method\"}"        },
        {"POST",    "EIO=3&transport=websocket",                        "400 Bad Request",
         "2b\n{\"code\":2,\"message\":\"Bad handshake method\"}"        },
        {"GET",     "EIO=4&transport=websocket",                        "400 Bad Request",
         "22\n{\"code\":3,\"message\":\"Bad request\"}"                 },
        {"GET",     "EIO=3&transport=polling",                          "400 Bad Request",
         "33\n{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
        {"GET",     "transport=polling",                                "400 Bad Request",
         "33\n{\"code\":5,\"message\":\"Unsupported protocol version\"}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char expected[400];
        int client = new_client();

        request(client, cases[i].method, cases[i].query, "", NULL);
        snprintf(expected, sizeof(expected),
                 "HTTP/1.1 %s\nContent-Type: application/json\nTransfer-Encoding: chunked\n\n"
                 "%s\n0\n\n",
                 cases[i].status, cases[i].body);
        assert_answer(client, expected);
    }
    assert_events("");
}

static void a_session_is_reached_only_by_its_own_transport_and_revision(void **state)
{
    static const char bad_request[] =
        "HTTP/1.1 400 Bad Request\nContent-Type: application/json\n"
        "Transfer-Encoding: chunked\n\n22\n{\"code\":3,\"message\":\"Bad request\"}\n0\n\n";
    (void)state;

    int client = open_polling();
    get(client, "EIO=4&transport=websocket&sid=$sid");
    assert_answer(client, bad_request);
    get(client, "EIO=3&transport=polling&sid=$sid");
    assert_answer(client, bad_request);
    get(client, "EIO=3&transport=websocket&sid=$sid");
    assert_answer(client, bad_request);

    open_websocket("");
    poll(client);
    assert_answer(client, bad_request);
    assert_events("");
}

static void other_methods_on_a_session_are_500_and_change_nothing(void **state)
{
    static const char *const methods[] = {"PUT", "OPTIONS", "DELETE"};
    (void)state;

    int client = open_polling();
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        request(client, methods[i], "EIO=4&transport=polling&sid=$sid", "", NULL);
        assert_answer(client, ANSWER_EMPTY("500 Internal Server Error"));
    }
    post(client, "4x");
    assert_answer(client, ANSWER_OK);
    assert_events("text x;");
}

static void only_targets_with_the_path_as_prefix_are_ours(void **state)
{
    (void)state;
    assert_true(eio_server_matches(t.server, STR("/engine.io/")));
    assert_true(eio_server_matches(t.server, STR("/engine.io/x/y?z")));
    assert_true(eio_server_matches(t.server, STR("/engine.io//?z")));
    assert_false(eio_server_matches(t.server, STR("/engine.io?z")));
    assert_false(eio_server_matches(t.server, STR("/Engine.io/")));
    assert_false(eio_server_matches(t.server, STR("/engine%2eio/")));
    assert_false(eio_server_matches(t.server, STR("http://a/engine.io/")));
    assert_false(eio_server_matches(t.server, STR("/")));
}

static void the_handshake_keeps_the_request_as_node_shows_it(void **state)
{
    int client = new_client();
    struct str name, value;
    (void)state;

    request(client, "GET", "EIO=4&transport=polling&a=b",
            "X-Two: 1\r\nCookie: a=1\r\nUser-Agent: first\r\nx-tWO: 2\r\nOrigin: http://o\r\n"
            "Cookie: b=2\r\nUser-Agent: second\r\n",
            NULL);
    struct eio_handshake *handshake = eio_session_handshake(t.session);
    static const char *const expected[][2] = {
        {"host",       "a"       },
        {"x-two",      "1, 2"    },
        {"cookie",     "a=1; b=2"},
        {"user-agent", "first"   },
        {"origin",     "http://o"},
    };

    assert_int_equal(handshake->header_count, 5);
    for (size_t i = 0; i < 5; i++) {
        name = handshake->headers[i].name;
        value = handshake->headers[i].value;
        assert_true(str_equal(name, str_from(expected[i][0])));
        assert_true(str_equal(value, str_from(expected[i][1])));
    }
    assert_true(handshake->cross_domain);
    assert_true(str_equal(handshake->origin, STR("http://o")));
    assert_true(str_equal(handshake->target, STR("/engine.io/?EIO=4&transport=polling&a=b")));
    assert_int_equal(handshake->protocol, 4);
    assert_false(handshake->secure);

    eio_handshake_ref(handshake);
    post(client, "1");
    assert_true(str_equal(handshake->origin, STR("http://o")));
    eio_handshake_unref(handshake);
}

/* --- cors --------------------------------------------------------------------------------- */

static void use_cors(bool enforce)
{
    t.options.cors = (struct cors_policy){
        .mode = CORS_LIST,
        .credentials = true,
        .enforce = enforce,
        .origins = fixture_origins,
        .origin_count = 1,
    };
    restart_server();
}

#define CORS_ALLOWED                                                                           \
    "Access-Control-Allow-Origin: http://app.example\nVary: Origin\n"                          \
    "Access-Control-Allow-Credentials: true\n"
#define CORS_REFUSED "Vary: Origin\nAccess-Control-Allow-Credentials: true\n"

static void cors_headers_come_first_on_answers_of_every_kind(void **state)
{
    static const char origin[] = "Origin: http://app.example\r\n";
    static const char polling[] = "EIO=4&transport=polling&sid=$sid";
    int client = new_client();
    (void)state;

    use_cors(true);
    request(client, "GET", "EIO=4&transport=polling", origin, NULL);
    read_all(client);
    assert_true(answer_holds("Vary"));

    request(client, "GET", polling, origin, NULL);
    send_text(t.session, "x");
    turns();
    assert_answer(client, "HTTP/1.1 200 OK\n" CORS_ALLOWED
                          "Content-Type: text/plain; charset=UTF-8\nContent-Length: 2\n"
                          "cache-control: no-store\n\n4x");
    request(client, "POST", polling, origin, "4y");
    assert_answer(client, "HTTP/1.1 200 OK\n" CORS_ALLOWED
                          "Content-Type: text/html\nContent-Length: 2\n"
                          "cache-control: no-store\n\nok");
    request(client, "PUT", polling, origin, NULL);
    assert_answer(client, "HTTP/1.1 500 Internal Server Error\n" CORS_ALLOWED
                          "Transfer-Encoding: chunked\n\n0\n\n");
    request(client, "GET", "EIO=4&transport=x", origin, NULL);
    assert_answer(client, "HTTP/1.1 400 Bad Request\n" CORS_ALLOWED
                          "Content-Type: application/json\nTransfer-Encoding: chunked\n\n"
                          "28\n{\"code\":0,\"message\":\"Transport unknown\"}\n0\n\n");
}

static void a_preflight_is_answered_before_any_check(void **state)
{
    int client = new_client();
    (void)state;

    use_cors(true);
    request(client, "OPTIONS", "sid=nope&transport=x",
            "Origin: http://app.example\r\nAccess-Control-Request-Method: POST\r\n"
            "Access-Control-Request-Headers: content-type,x-y\r\n",
            NULL);
    assert_answer(client,
                  "HTTP/1.1 204 No Content\n"
                  "Access-Control-Allow-Origin: http://app.example\n"
                  "Vary: Origin, Access-Control-Request-Headers\n"
                  "Access-Control-Allow-Credentials: true\n"
                  "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\n"
                  "Access-Control-Allow-Headers: content-type,x-y\nContent-Length: 0\n\n");
    request(client, "OPTIONS", "", "Origin: http://evil.example\r\n", NULL);
    assert_answer(client, "HTTP/1.1 204 No Content\n"
                          "Vary: Origin, Access-Control-Request-Headers\n"
                          "Access-Control-Allow-Credentials: true\n"
                          "Access-Control-Allow-Methods: GET,HEAD,PUT,PATCH,POST,DELETE\n"
                          "Content-Length: 0\n\n");
}

static void a_preflight_tells_what_the_policy_says(void **state)
{
    int client = new_client();
    (void)state;

    t.options.cors = (struct cors_policy){
        .mode = CORS_ANY,
        .methods = STR("GET,POST"),
        .allowed_headers = STR("x-a"),
        .exposed_headers = STR("x-b"),
        .has_max_age = true,
        .max_age_s = 600,
    };
    restart_server();
    request(client, "OPTIONS", "", "Access-Control-Request-Headers: x-y\r\n", NULL);
    assert_answer(client, "HTTP/1.1 204 No Content\nAccess-Control-Allow-Origin: *\n"
                          "Access-Control-Allow-Methods: GET,POST\n"
                          "Access-Control-Allow-Headers: x-a\nAccess-Control-Max-Age: 600\n"
                          "Access-Control-Expose-Headers: x-b\nContent-Length: 0\n\n");
}

static void an_enforced_policy_refuses_handshakes_of_other_origins(void **state)
{
    int client = new_client();
    (void)state;

    use_cors(true);
    request(client, "GET", "EIO=4&transport=polling", "Origin: http://evil.example\r\n", NULL);
    assert_answer(client, "HTTP/1.1 403 Forbidden\n" CORS_REFUSED
                          "Content-Type: application/json\nTransfer-Encoding: chunked\n\n"
                          "20\n{\"code\":4,\"message\":\"Forbidden\"}\n0\n\n");
    request(client, "GET", "EIO=4&transport=websocket",
            "Origin: http://evil.example\r\n" UPGRADE_HEADERS, NULL);
    assert_answer(client, "HTTP/1.1 400 Bad Request\nConnection: close\n"
                          "Content-type: text/html\nContent-Length: 9\n\nForbidden");
    assert_events("");
    open_polling();
}

static void a_policy_that_is_not_enforced_serves_every_origin(void **state)
{
    int client = new_client();
    (void)state;

    use_cors(false);
    request(client, "GET", "EIO=4&transport=polling", "Origin: http://evil.example\r\n", NULL);
    assert_events("open polling;");
    request(client, "GET", "EIO=4&transport=websocket",
            "Origin: http://evil.example\r\n" UPGRADE_HEADERS, NULL);
    assert_events("open websocket;");
}

/* --- several servers ------------------------------------------------------------------------ */

static bool offer(void *owner, struct str name, struct http_exchange *exchange)
{
    bool takes = *(bool *)owner;

    buf_printf(&t.events, "%.*s;", (int)name.size, name.at);
    if (takes)
        http_exchange_respond(exchange,
                              &(struct http_response){.status = 200, .body = STR("elsewhere")});
    return takes;
}

static void ids_end_with_the_servers_name(void **state)
{
    (void)state;
    t.options.name = STR("-server_");
    restart_server();
    open_polling();
    assert_string_equal(t.sid + RANDOM_ID_SIZE - EIO_NAME_SIZE, "-server_");
    assert_int_equal(strlen(t.sid), RANDOM_ID_SIZE);
}

static void ask(int client, const char *query)
{
    get(client, query);
    buf_reset(&t.answer);
    read_all(client);
}

static void requests_for_sessions_of_others_are_offered(void **state)
{
    bool takes = true;
    int client;
    (void)state;

    t.options.name = STR("-server_");
    t.options.elsewhere = offer;
    t.options.elsewhere_owner = &takes;
    restart_server();
    client = new_client();
    ask(client, "EIO=4&transport=polling&sid=123456789012-another");
    assert_events("-another;");
    assert_true(answer_holds("elsewhere"));

    /* Of what is no id, or our own, nobody else can know anything. */
    ask(client, "EIO=4&transport=polling&sid=123456789012-server_");
    assert_events("");
    assert_true(answer_holds("Session ID unknown"));
    ask(client, "EIO=4&transport=polling&sid=12345678901-another");
    assert_events("");
    assert_true(answer_holds("Session ID unknown"));
    ask(client, "EIO=4&transport=none&sid=123456789012-another");
    assert_events("");

    takes = false;
    ask(client, "EIO=4&transport=polling&sid=123456789012-another");
    assert_events("-another;");
    assert_true(answer_holds("Session ID unknown"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(a_handshake_is_answered_with_the_open_packet_alone),
        SESSION_TEST(what_open_sends_comes_with_the_first_poll),
        SESSION_TEST(upgrades_are_offered_only_when_they_can_succeed),
        SESSION_TEST(errors_are_json_with_the_reference_codes),
        SESSION_TEST(a_session_is_reached_only_by_its_own_transport_and_revision),
        SESSION_TEST(other_methods_on_a_session_are_500_and_change_nothing),
        SESSION_TEST(only_targets_with_the_path_as_prefix_are_ours),
        SESSION_TEST(the_handshake_keeps_the_request_as_node_shows_it),
        SESSION_TEST(cors_headers_come_first_on_answers_of_every_kind),
        SESSION_TEST(a_preflight_is_answered_before_any_check),
        SESSION_TEST(a_preflight_tells_what_the_policy_says),
        SESSION_TEST(an_enforced_policy_refuses_handshakes_of_other_origins),
        SESSION_TEST(a_policy_that_is_not_enforced_serves_every_origin),
        SESSION_TEST(ids_end_with_the_servers_name),
        SESSION_TEST(requests_for_sessions_of_others_are_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
