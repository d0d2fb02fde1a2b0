#include "redis_server.h"

/*
 * rediss:// against Redis itself, with certificates of all kinds.
 */

static struct server server;

static void shell(const char *script)
{
    char command[4096];

    snprintf(command, sizeof(command), "cd %s && { %s; } >>openssl.log 2>&1", folder, script);
    assert_int_equal(system(command), 0);
}

/* NAME.pem and NAME.key, signed by ca.pem; `names` as for subjectAltName. */
static void make_certificate(const char *name, const char *key, const char *names,
                             const char *more)
{
    char script[1024];

    snprintf(script, sizeof(script),
             "openssl req -new -newkey %s -nodes -keyout %s.key -out %s.csr -subj /CN=%s && "
             "printf 'subjectAltName=%s' >%s.ext && "
             "openssl x509 -req -in %s.csr -CA ca.pem -CAkey ca.key -CAcreateserial "
             "-extfile %s.ext -out %s.pem %s",
             key, name, name, name, names, name, name, name, name, more);
    shell(script);
}

static int make_files(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    shell("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -keyout ca.key -out ca.pem "
          "-subj /CN=authority");
    shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 "
          "-keyout stranger.key -out stranger.pem -subj /CN=stranger");
    make_certificate("good", "rsa:2048", "DNS:localhost,IP:127.0.0.1", "-days 30");
    make_certificate("ec", "ec -pkeyopt ec_paramgen_curve:P-256", "DNS:*.example.test",
                     "-days 30");
    make_certificate("old", "rsa:2048", "IP:127.0.0.1", "-days -1");
    make_certificate("client", "ec -pkeyopt ec_paramgen_curve:P-256", "DNS:client", "-days 30");
    return 0;
}

static int set_up(void **state)
{
    if (set_up_client(state) < 0)
        return -1;
    server.port = free_port();
    options.tls = true;
    options.servers[0].port = (uint16_t)server.port;
    snprintf(options.tls_ca, sizeof(options.tls_ca), "%s", in_folder("ca.pem"));
    return 0;
}

static int tear_down(void **state)
{
    server_stop(&server);
    return tear_down_client(state);
}

/* A server that shows that certificate and asks for one or not. */
static void serve(const char *certificate, const char *asks)
{
    char words[1024], port[16];

    snprintf(port, sizeof(port), "%d", server.port);
    snprintf(words, sizeof(words),
             "--port 0 --tls-port %s --tls-cert-file %s.pem --tls-key-file %s.key "
             "--tls-ca-cert-file ca.pem --tls-auth-clients %s",
             port, certificate, certificate, asks);
    server_start(&server, words);
}

static void assert_works(void)
{
    start();
    UNTIL(told[0]);
    if (!redis_is_up(redis))
        fail_msg("%s", reason);
    assert_string_equal(ask(redis, "ECHO hello"), "hello");
}

static void assert_fails(const char *why)
{
    start();
    UNTIL(told[0]);
    assert_string_equal(told, "down;");
    assert_string_equal(reason, why);
}

static void by_address(void **state)
{
    (void)state;
    serve("good", "no");
    assert_works();
}

static void by_name(void **state)
{
    (void)state;
    snprintf(options.servers[0].host, sizeof(options.servers[0].host), "localhost");
    serve("good", "no");
    assert_works();
}

static void a_name_may_be_given_that_is_not_the_host_s(void **state)
{
    (void)state;
    snprintf(options.tls_name, sizeof(options.tls_name), "redis.example.test");
    serve("ec", "no");
    assert_works();
}

static void large_messages_pass(void **state)
{
    enum { SIZE = 5 * 1000 * 1000 };
    struct str argv[] = {STR("ECHO"), STR("")};
    char *large = malloc(SIZE);
    (void)state;

    for (size_t i = 0; i < SIZE; i++)
        large[i] = (char)('a' + i % 23);
    argv[1] = str_of(large, SIZE);
    serve("good", "no");
    assert_works();
    for (int i = 0; i < 3; i++) {
        struct outcome outcome = {0};

        redis_command(redis, argv, 2, answered, &outcome);
        UNTIL(outcome.times == 1);
        assert_int_equal(outcome.end, REDIS_ANSWERED);
        assert_int_equal(outcome.size, SIZE);
        assert_memory_equal(outcome.text, large, sizeof(outcome.text) - 1);
    }
    free(large);
}

static void messages_come(void **state)
{
    (void)state;
    serve("good", "no");
    assert_works();
    subscribe(REDIS_CHANNEL, "a");
    UNTIL(redis_is_ready(redis));
    ask(redis, "PUBLISH a hello");
    UNTIL(strstr(told, "m:a||hello;"));
}

static void another_name_is_refused(void **state)
{
    (void)state;
    snprintf(options.tls_name, sizeof(options.tls_name), "other.test");
    serve("good", "no");
    assert_fails("TLS: the server's certificate is for another name");
}

static void another_address_is_refused(void **state)
{
    (void)state;
    snprintf(options.tls_name, sizeof(options.tls_name), "127.0.0.2");
    serve("good", "no");
    assert_fails("TLS: the server's certificate is for another name");
}

static void an_authority_that_is_not_trusted_is_refused(void **state)
{
    (void)state;
    snprintf(options.tls_ca, sizeof(options.tls_ca), "%s", in_folder("stranger.pem"));
    serve("good", "no");
    assert_fails("TLS: the server's certificate is not signed by an authority that is trusted");
}

static void a_certificate_that_signed_itself_may_be_trusted(void **state)
{
    (void)state;
    snprintf(options.tls_ca, sizeof(options.tls_ca), "%s", in_folder("stranger.pem"));
    snprintf(options.tls_name, sizeof(options.tls_name), "stranger");
    serve("stranger", "no");
    assert_works();
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    serve("old", "no");
    assert_fails("TLS: the server's certificate has expired, or is not valid yet");
}

static void whoever_wants_no_check_gets_none(void **state)
{
    (void)state;
    options.tls_insecure = true;
    options.tls_ca[0] = 0;
    serve("old", "no");
    assert_works();
}

static void a_server_may_want_a_certificate(void **state)
{
    (void)state;
    snprintf(options.tls_cert, sizeof(options.tls_cert), "%s", in_folder("client.pem"));
    snprintf(options.tls_key, sizeof(options.tls_key), "%s", in_folder("client.key"));
    serve("good", "yes");
    assert_works();
}

static void a_server_that_wants_a_certificate_refuses_us_without(void **state)
{
    (void)state;
    serve("good", "yes");
    assert_fails(
        "TLS: the server refused with an alert: it may want a certificate, or know none "
        "of our cipher suites");
}

static void a_server_without_tls_is_told(void **state)
{
    (void)state;
    options.connect_timeout_ms = 100;
    server_start(&server, "");
    assert_fails("the server does not answer: does it speak TLS?");
}

static void files_that_do_not_fit_are_told_at_once(void **state)
{
    char fault[REDIS_FAULT_MAX];
    (void)state;

    snprintf(options.tls_ca, sizeof(options.tls_ca), "/nowhere.pem");
    assert_null(redis_new(loop, &chance, &quiet, &options, &events, fault));
    assert_string_equal(fault, "TLS to Redis: /nowhere.pem: No such file or directory");
    snprintf(options.tls_ca, sizeof(options.tls_ca), "%s", in_folder("good.key"));
    assert_null(redis_new(loop, &chance, &quiet, &options, &events, fault));
    assert_non_null(strstr(fault, "found no certificate"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(by_address),
        TEST(by_name),
        TEST(a_name_may_be_given_that_is_not_the_host_s),
        TEST(large_messages_pass),
        TEST(messages_come),
        TEST(another_name_is_refused),
        TEST(another_address_is_refused),
        TEST(an_authority_that_is_not_trusted_is_refused),
        TEST(a_certificate_that_signed_itself_may_be_trusted),
        TEST(an_expired_certificate_is_refused),
        TEST(whoever_wants_no_check_gets_none),
        TEST(a_server_may_want_a_certificate),
        TEST(a_server_that_wants_a_certificate_refuses_us_without),
        TEST(a_server_without_tls_is_told),
        TEST(files_that_do_not_fit_are_told_at_once),
    };
    return cmocka_run_group_tests(tests, make_files, remove_folder);
}
