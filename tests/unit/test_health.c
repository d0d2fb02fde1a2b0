#include "http/health.h"

#include "http_fixture.h"

static struct health health;

static uint32_t three(void *owner)
{
    assert_ptr_equal(owner, &health);
    return 3;
}

static void on_request(void *owner, struct http_exchange *exchange)
{
    static const struct http_response not_ours = {
        .status = 404, .body = {"", 0}
    };

    (void)owner;
    if (!health_request(&health, exchange))
        http_exchange_respond(exchange, &not_ours);
}

static int set_up(void **state)
{
    fixture_setup(state);
    health = (struct health){
        .path = STR("/health"),
        .live = STR("/live"),
        .loop = loop,
        .started_ms = net_loop_now(loop),
        .sessions = three,
        .owner = &health,
    };
    connect_peer();
    return 0;
}

static void ask(const char *request)
{
    char text[256];

    snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: a\r\n\r\n", request);
    buf_reset(&answer);
    send_text(text);
}

static bool answered(const char *status, const char *end)
{
    const char *text = text_of(&answer);
    size_t size = strlen(end);

    return strncmp(text + strlen("HTTP/1.1 "), status, strlen(status)) == 0 &&
           answer.size >= size && strcmp(text + answer.size - size, end) == 0;
}

#define GOOD "{\"status\":\"ok\",\"sessions\":3,\"uptime\":0}\n"

static void ready_is_200_with_what_the_server_does(void **state)
{
    (void)state;
    ask("GET /health");
    assert_true(answered("200", "\r\n\r\n" GOOD));
    ask("GET /health?probe=1");
    assert_true(answered("200", GOOD));
    ask("HEAD /health");
    assert_true(answered("200", "\r\n\r\n"));
    assert_false(peer_ended);
}

static void reasons_make_it_503_until_the_last_is_taken_back(void **state)
{
    (void)state;
    health_set(&health, "draining", true);
    health_set(&health, "redis", true);
    health_set(&health, "redis", true);
    ask("GET /health");
    assert_true(answered("503",
                         "{\"status\":\"unavailable\",\"reasons\":[\"draining\",\"redis\"],"
                         "\"sessions\":3,\"uptime\":0}\n"));
    health_set(&health, "draining", false);
    health_set(&health, "nobody said so", false);
    ask("HEAD /health");
    assert_true(answered("503", "\r\n\r\n"));
    health_set(&health, "redis", false);
    assert_true(health_is_ready(&health));
    ask("GET /health");
    assert_true(answered("200", GOOD));
}

static void there_is_room_for_all_reasons_and_it_is_used_again(void **state)
{
    static const char *const reasons[HEALTH_REASONS_MAX] = {
        "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"};

    (void)state;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < HEALTH_REASONS_MAX; i++)
            health_set(&health, reasons[i], true);
        for (int i = 0; i < HEALTH_REASONS_MAX; i++) {
            assert_false(health_is_ready(&health));
            health_set(&health, reasons[i], false);
        }
        assert_true(health_is_ready(&health));
    }
}

static void liveness_is_200_whatever_is_wrong(void **state)
{
    (void)state;
    health_set(&health, "draining", true);
    ask("GET /live");
    assert_true(answered("200", "\"uptime\":0}\n"));
}

static void other_paths_are_not_its_own_and_other_methods_are_refused(void **state)
{
    (void)state;
    ask("GET /healthy");
    assert_true(answered("404", ""));
    ask("GET /health/");
    assert_true(answered("404", ""));
    ask("POST /health");
    assert_true(answered("405", ""));
    assert_non_null(strstr(text_of(&answer), "Allow: GET, HEAD\r\n"));
    health.live = health.path = STR("");
    ask("GET /live");
    assert_true(answered("404", ""));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ready_is_200_with_what_the_server_does),
        TEST(reasons_make_it_503_until_the_last_is_taken_back),
        TEST(there_is_room_for_all_reasons_and_it_is_used_again),
        TEST(liveness_is_200_whatever_is_wrong),
        TEST(other_paths_are_not_its_own_and_other_methods_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
