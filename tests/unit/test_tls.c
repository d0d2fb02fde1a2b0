#include "tls_fixture.h"

enum {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_HANDSHAKE_FAILURE = 40,
    ALERT_PROTOCOL_VERSION = 70,
    ALERT_NO_APPLICATION_PROTOCOL = 120,
    ALERT_NO_RENEGOTIATION = 100,
    NUISANCES = 16, /* records without data that are borne */
};

static struct tls_context *context;

static int make_context(void **state)
{
    if (tls_make_folder(state) != 0)
        return -1;
    context = tls_load("ec", "rsa");
    return 0;
}

static int drop_context(void **state)
{
    tls_context_unref(context);
    return tls_remove_folder(state);
}

/* A client that the test has prepared says hello; both talk until they are done. */
static struct tls_wire *meet(struct tls_client *client, const char *name, size_t step)
{
    struct tls_wire *wire = tls_wire_new(context, client);

    wire->step = step;
    tls_client_start(client, name);
    tls_pump(wire);
    return wire;
}

static struct tls_wire *connected(size_t step)
{
    struct tls_wire *wire = meet(tls_client_new(), "localhost", step);

    assert_int_equal(wire->result, TLS_GOES_ON);
    assert_true(tls_established(wire->server));
    return wire;
}

static int client_error(const struct tls_wire *wire)
{
    return br_ssl_engine_last_error(&wire->client->ssl.eng);
}

/* The server sends; the client takes it. */
static void server_write(struct tls_wire *wire, const uint8_t *bytes, size_t size)
{
    static uint8_t record[TLS_WIRE_MAX];

    while (size > 0) {
        size_t some =
            size < tls_record_size(wire->server) ? size : tls_record_size(wire->server);

        memcpy(record + tls_head(wire->server), bytes, some);
        assert_true(tls_feed_client(wire, record, tls_seal(wire->server, record, some)));
        bytes += some;
        size -= some;
    }
}

static void fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(i * 31 + (i >> 8));
}

/* Both directions, with sizes around the border of a record. */
static void assert_echoes(struct tls_wire *wire)
{
    static const size_t sizes[] = {
        1, 31, TLS_RECORD_MAX - 1, TLS_RECORD_MAX, TLS_RECORD_MAX + 1, 100000};
    static uint8_t bytes[100000];

    fill(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        wire->from_client_size = wire->from_server_size = 0;
        tls_client_write(wire, bytes, sizes[i]);
        assert_int_equal(wire->from_client_size, sizes[i]);
        assert_memory_equal(wire->from_client, bytes, sizes[i]);
        server_write(wire, bytes, sizes[i]);
        assert_int_equal(wire->from_server_size, sizes[i]);
        assert_memory_equal(wire->from_server, bytes, sizes[i]);
    }
}

/* ---- handshakes ---- */

static void data_goes_both_ways(void **state)
{
    struct tls_wire *wire = connected(0);
    (void)state;

    assert_echoes(wire);
    tls_wire_free(wire);
}

static void the_stream_may_be_cut_anywhere(void **state)
{
    static const size_t steps[] = {1, 2, 3, 5, 7, 64, 1000, 16384};
    static uint8_t bytes[20000];
    (void)state;

    fill(bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct tls_wire *wire = connected(steps[i]);

        tls_client_write(wire, bytes, sizeof(bytes));
        assert_int_equal(wire->from_client_size, sizeof(bytes));
        assert_memory_equal(wire->from_client, bytes, sizeof(bytes));
        tls_wire_free(wire);
    }
}

static void data_behind_the_handshake_in_one_read_is_not_lost(void **state)
{
    struct tls_client *client = tls_client_new();
    struct tls_wire *wire = tls_wire_new(context, client);
    br_ssl_engine_context *engine = &client->ssl.eng;
    size_t size;
    uint8_t *to;
    (void)state;

    /* Resumption lets the client send its last handshake message and data at once. */
    struct tls_wire *first = connected(0);
    br_ssl_session_parameters session;
    br_ssl_engine_get_session_parameters(&first->client->ssl.eng, &session);
    tls_wire_free(first);
    br_ssl_engine_set_session_parameters(engine, &session);
    assert_int_equal(br_ssl_client_reset(&client->ssl, "localhost", 1), 1);

    const uint8_t *hello = br_ssl_engine_sendrec_buf(engine, &size);
    memcpy(wire->to_server, hello, size);
    wire->to_server_size = size;
    br_ssl_engine_sendrec_ack(engine, size);
    tls_serve(wire);
    struct str answer = tls_output(wire->server);
    assert_true(tls_feed_client(wire, (const uint8_t *)answer.at, answer.size));
    tls_output_sent(wire->server, answer.size);
    while ((hello = br_ssl_engine_sendrec_buf(engine, &size))) {
        memcpy(wire->to_server + wire->to_server_size, hello, size);
        wire->to_server_size += size;
        br_ssl_engine_sendrec_ack(engine, size);
    }
    to = br_ssl_engine_sendapp_buf(engine, &size);
    assert_non_null(to);
    memcpy(to, "early", 5);
    br_ssl_engine_sendapp_ack(engine, 5);
    br_ssl_engine_flush(engine, 0);
    hello = br_ssl_engine_sendrec_buf(engine, &size);
    memcpy(wire->to_server + wire->to_server_size, hello, size);
    wire->to_server_size += size;
    br_ssl_engine_sendrec_ack(engine, size);
    tls_serve(wire);
    assert_int_equal(wire->from_client_size, 5);
    assert_memory_equal(wire->from_client, "early", 5);
    tls_wire_free(wire);
}

static void every_suite_works(void **state)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    (void)state;

    for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
        struct tls_client *client = tls_client_new();

        br_ssl_engine_set_suites(&client->ssl.eng, &suites[i], 1);
        struct tls_wire *wire = meet(client, "localhost", 0);
        assert_true(tls_established(wire->server));
        assert_echoes(wire);
        tls_wire_free(wire);
    }
}

static void the_servers_order_of_suites_counts(void **state)
{
    static const uint16_t suites[] = {
        BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    };
    struct tls_client *client = tls_client_new();
    br_ssl_session_parameters session;
    (void)state;

    br_ssl_engine_set_suites(&client->ssl.eng, suites, 3);
    struct tls_wire *wire = meet(client, "localhost", 0);
    br_ssl_engine_get_session_parameters(&client->ssl.eng, &session);
    assert_int_equal(session.cipher_suite, BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256);
    tls_wire_free(wire);
}

static void clients_without_a_suite_in_common_are_refused(void **state)
{
    static const uint16_t suites[] = {BR_TLS_RSA_WITH_AES_128_GCM_SHA256,
                                      BR_TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA};
    struct tls_client *client = tls_client_new();
    (void)state;

    br_ssl_engine_set_suites(&client->ssl.eng, suites, 2);
    struct tls_wire *wire = meet(client, "localhost", 0);
    assert_int_equal(wire->result, TLS_FAILED);
    assert_int_equal(client_error(wire), BR_ERR_RECV_FATAL_ALERT + ALERT_HANDSHAKE_FAILURE);
    assert_non_null(strstr(tls_failure(wire->server), "in common"));
    tls_wire_free(wire);
}

static void older_versions_are_refused(void **state)
{
    static const unsigned versions[] = {BR_TLS10, BR_TLS11};
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        struct tls_client *client = tls_client_new();

        br_ssl_engine_set_versions(&client->ssl.eng, versions[i], versions[i]);
        struct tls_wire *wire = meet(client, "localhost", 0);
        assert_int_equal(wire->result, TLS_FAILED);
        assert_string_equal(tls_failure(wire->server), "not TLS 1.2");
        assert_false(tls_established(wire->server));
        tls_wire_free(wire);
    }
}

static void the_named_certificate_is_shown_with_its_chain(void **state)
{
    struct tls_context *several;
    struct tls_context *before = context;
    (void)state;

    tls_shell("cat ec.pem rsa.pem >chain.pem; cp ec.key chain.key");
    several = context = tls_load("rsa", "chain");
    struct tls_wire *wire = meet(tls_client_new(), "www.example.test", 0);
    assert_true(tls_established(wire->server));
    assert_int_equal(wire->client->certificates, 2);
    assert_int_equal(br_x509_decoder_get_pkey(&wire->client->decoder)->key_type, BR_KEYTYPE_EC);
    tls_wire_free(wire);
    wire = meet(tls_client_new(), "other.test", 0);
    assert_int_equal(wire->client->certificates, 1);
    assert_int_equal(br_x509_decoder_get_pkey(&wire->client->decoder)->key_type,
                     BR_KEYTYPE_RSA);
    tls_wire_free(wire);
    tls_context_unref(several);
    context = before;
}

static void a_client_that_names_no_server_is_served(void **state)
{
    struct tls_wire *wire = meet(tls_client_new(), NULL, 0);
    (void)state;

    assert_true(tls_established(wire->server));
    assert_echoes(wire);
    tls_wire_free(wire);
}

static void sessions_are_resumed(void **state)
{
    struct tls_wire *wire = connected(0);
    struct tls_client *client = tls_client_new();
    br_ssl_session_parameters session, again;
    (void)state;

    br_ssl_engine_get_session_parameters(&wire->client->ssl.eng, &session);
    assert_int_equal(session.session_id_len, 32);
    tls_wire_free(wire);
    br_ssl_engine_set_session_parameters(&client->ssl.eng, &session);
    assert_int_equal(br_ssl_client_reset(&client->ssl, "localhost", 1), 1);
    wire = tls_wire_new(context, client);
    tls_pump(wire);
    assert_true(tls_established(wire->server));
    assert_int_equal(client->certificates, 0);
    br_ssl_engine_get_session_parameters(&client->ssl.eng, &again);
    assert_memory_equal(again.session_id, session.session_id, 32);
    assert_echoes(wire);
    tls_wire_free(wire);
}

static void sessions_of_another_context_are_not(void **state)
{
    struct tls_wire *wire = connected(0);
    struct tls_client *client = tls_client_new();
    struct tls_context *reloaded = tls_load("ec", NULL);
    br_ssl_session_parameters session;
    (void)state;

    br_ssl_engine_get_session_parameters(&wire->client->ssl.eng, &session);
    tls_wire_free(wire);
    br_ssl_engine_set_session_parameters(&client->ssl.eng, &session);
    assert_int_equal(br_ssl_client_reset(&client->ssl, "localhost", 1), 1);
    wire = tls_wire_new(reloaded, client);
    tls_pump(wire);
    assert_true(tls_established(wire->server));
    assert_int_equal(client->certificates, 1);
    tls_wire_free(wire);
    tls_context_unref(reloaded);
}

static void alpn_is_answered_with_http_1_1(void **state)
{
    static const char *names[] = {"h2", "http/1.1"};
    struct tls_client *client = tls_client_new();
    (void)state;

    br_ssl_engine_set_protocol_names(&client->ssl.eng, names, 2);
    struct tls_wire *wire = meet(client, "localhost", 0);
    assert_true(tls_established(wire->server));
    assert_string_equal(br_ssl_engine_get_selected_protocol(&client->ssl.eng), "http/1.1");
    tls_wire_free(wire);
}

static void alpn_without_http_1_1_is_refused(void **state)
{
    static const char *names[] = {"h2", "http/1.0"};
    struct tls_client *client = tls_client_new();
    (void)state;

    br_ssl_engine_set_protocol_names(&client->ssl.eng, names, 2);
    struct tls_wire *wire = meet(client, "localhost", 0);
    assert_int_equal(wire->result, TLS_FAILED);
    assert_int_equal(client_error(wire),
                     BR_ERR_RECV_FATAL_ALERT + ALERT_NO_APPLICATION_PROTOCOL);
    assert_string_equal(tls_failure(wire->server), "the client does not offer http/1.1");
    tls_wire_free(wire);
}

static void what_is_not_tls_is_refused(void **state)
{
    static const char *const inputs[] = {
        "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "\x80\x2e\x01\x03\x01\x00\x15", "\x16\x03\x01\xff\xff"};
    (void)state;

    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        struct tls *tls = tls_new(context);
        uint8_t buffer[64], *plain;
        size_t size;

        memcpy(buffer, inputs[i], strlen(inputs[i]));
        assert_int_equal(tls_open(tls, buffer, strlen(inputs[i]), &plain, &size), TLS_FAILED);
        assert_int_equal(size, 0);
        assert_int_equal(tls_open(tls, buffer, 1, &plain, &size), TLS_FAILED);
        tls_free(tls);
    }
}

static void clients_may_ask_for_small_records(void **state)
{
    struct tls_client *client = tls_client_new();
    (void)state;

    /* Small buffers make BearSSL's client ask (RFC 6066, 4). */
    br_ssl_engine_set_buffers_bidi(&client->ssl.eng, client->input, 1024 + 325, client->output,
                                   1024 + 85);
    struct tls_wire *wire = meet(client, "localhost", 0);
    assert_true(tls_established(wire->server));
    assert_int_equal(tls_record_size(wire->server), 1024);
    assert_echoes(wire);
    tls_wire_free(wire);
}

/* ---- records ---- */

/* Makes one record of the client's, of any type, without sending it. */
static size_t client_record(struct tls_wire *wire, uint8_t type, const void *bytes, size_t size,
                            uint8_t *record)
{
    br_ssl_engine_context *engine = &wire->client->ssl.eng;
    size_t length = size;
    uint8_t *start;

    memcpy(record + TLS_HEAD, bytes, size);
    start = engine->out.vtable->encrypt(&engine->out.vtable, type, BR_TLS12, record + TLS_HEAD,
                                        &length);
    memmove(record, start, length);
    return length;
}

static enum tls_result give(struct tls_wire *wire, const uint8_t *bytes, size_t size)
{
    memcpy(wire->to_server + wire->to_server_size, bytes, size);
    wire->to_server_size += size;
    tls_serve(wire);
    return wire->result;
}

static void give_output(struct tls_wire *wire)
{
    struct str output = tls_output(wire->server);

    tls_feed_client(wire, (const uint8_t *)output.at, output.size);
    tls_output_sent(wire->server, output.size);
}

static void several_records_of_one_read_come_as_one_run(void **state)
{
    struct tls_wire *wire = connected(0);
    uint8_t records[3 * 64], buffer[3 * 64], *plain;
    size_t size = 0, plain_size;
    (void)state;

    size += client_record(wire, 23, "one ", 4, records + size);
    size += client_record(wire, 23, "two ", 4, records + size);
    size += client_record(wire, 23, "three", 5, records + size);
    memcpy(buffer, records, size);
    assert_int_equal(tls_open(wire->server, buffer, size, &plain, &plain_size), TLS_GOES_ON);
    assert_int_equal(plain_size, 13);
    assert_memory_equal(plain, "one two three", 13);
    assert_true(plain >= buffer && plain + plain_size <= buffer + sizeof(buffer));
    assert_int_equal(tls_kept(wire->server, buffer), 0);
    tls_wire_free(wire);
}

static void an_incomplete_record_is_kept(void **state)
{
    struct tls_wire *wire = connected(0);
    uint8_t record[64], buffer[64], *plain;
    size_t size = client_record(wire, 23, "hello", 5, record), plain_size;
    (void)state;

    memcpy(buffer, record, size - 1);
    assert_int_equal(tls_open(wire->server, buffer, size - 1, &plain, &plain_size),
                     TLS_GOES_ON);
    assert_int_equal(plain_size, 0);
    assert_int_equal(tls_kept(wire->server, buffer), size - 1);
    assert_memory_equal(buffer, record, size - 1);
    buffer[size - 1] = record[size - 1];
    assert_int_equal(tls_open(wire->server, buffer, size, &plain, &plain_size), TLS_GOES_ON);
    assert_memory_equal(plain, "hello", 5);
    assert_int_equal(tls_kept(wire->server, buffer), 0);
    tls_wire_free(wire);
}

/* Any byte of the record changed: nothing of it is believed. */
static void tampered_records_end_the_connection(void **state)
{
    (void)state;
    for (size_t i = 5; i < 5 + 8 + 4 + 16; i += 3) {
        struct tls_wire *wire = connected(0);
        uint8_t record[64];
        size_t size = client_record(wire, 23, "data", 4, record);

        record[i] ^= 1;
        assert_int_equal(give(wire, record, size), TLS_FAILED);
        assert_int_equal(wire->from_client_size, 0);
        assert_non_null(strstr(tls_failure(wire->server), "tampered"));
        give_output(wire);
        assert_int_equal(client_error(wire), BR_ERR_RECV_FATAL_ALERT + ALERT_BAD_RECORD_MAC);
        tls_wire_free(wire);
    }
}

static void what_came_before_a_bad_record_is_delivered(void **state)
{
    struct tls_wire *wire = connected(0);
    uint8_t records[128];
    size_t size = client_record(wire, 23, "good", 4, records);
    (void)state;

    size += client_record(wire, 23, "bad", 3, records + size);
    records[size - 1] ^= 1;
    assert_int_equal(give(wire, records, size), TLS_FAILED);
    assert_int_equal(wire->from_client_size, 4);
    tls_wire_free(wire);
}

static void replayed_records_end_the_connection(void **state)
{
    struct tls_wire *wire = connected(0);
    uint8_t record[64];
    size_t size = client_record(wire, 23, "data", 4, record);
    (void)state;

    assert_int_equal(give(wire, record, size), TLS_GOES_ON);
    assert_int_equal(give(wire, record, size), TLS_FAILED);
    tls_wire_free(wire);
}

static void records_of_forbidden_sizes_end_the_connection(void **state)
{
    static const struct {
        uint16_t length;
        bool good; /* not refused before it is complete */
    } cases[] = {
        {0,              false},
        {23,             false},
        {24,             true },
        {16384 + 24,     true },
        {16384 + 24 + 1, false},
        {UINT16_MAX,     false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_wire *wire = connected(0);
        uint8_t head[5] = {23, 3, 3, (uint8_t)(cases[i].length >> 8), (uint8_t)cases[i].length};

        assert_int_equal(give(wire, head, 5), cases[i].good ? TLS_GOES_ON : TLS_FAILED);
        tls_wire_free(wire);
    }
}

static void records_of_other_versions_and_types_end_the_connection(void **state)
{
    static const uint8_t heads[][5] = {
        {23, 3, 1, 0, 64},
        {23, 3, 4, 0, 64},
        {23, 2, 3, 0, 64},
    };
    uint8_t record[64];
    (void)state;

    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        struct tls_wire *wire = connected(0);

        assert_int_equal(give(wire, heads[i], 5), TLS_FAILED);
        tls_wire_free(wire);
    }
    for (uint8_t type = 19; type <= 25; type++) {
        struct tls_wire *wire = connected(0);
        size_t size = client_record(wire, type, "\x01\x5a", 2, record);
        bool known = type == 21 || type == 22 || type == 23;

        assert_int_equal(give(wire, record, size), known ? TLS_GOES_ON : TLS_FAILED);
        tls_wire_free(wire);
    }
}

static void close_notify_ends_the_input(void **state)
{
    struct tls_wire *wire = connected(0);
    (void)state;

    tls_client_write(wire, (const uint8_t *)"last", 4);
    br_ssl_engine_close(&wire->client->ssl.eng);
    tls_pump(wire);
    assert_int_equal(wire->result, TLS_ENDED);
    assert_memory_equal(wire->from_client, "last", 4);
    tls_close(wire->server);
    give_output(wire);
    assert_int_equal(br_ssl_engine_current_state(&wire->client->ssl.eng), BR_SSL_CLOSED);
    assert_int_equal(client_error(wire), BR_ERR_OK);
    tls_wire_free(wire);
}

static void close_is_said_once(void **state)
{
    struct tls_wire *wire = connected(0);
    size_t size;
    (void)state;

    tls_close(wire->server);
    size = tls_output(wire->server).size;
    assert_true(size > 0);
    tls_close(wire->server);
    assert_int_equal(tls_output(wire->server).size, size);
    tls_wire_free(wire);
}

static void nothing_is_said_before_the_handshake_is_done(void **state)
{
    struct tls *tls = tls_new(context);
    (void)state;

    tls_close(tls);
    assert_int_equal(tls_output(tls).size, 0);
    tls_free(tls);
}

static void renegotiation_is_refused_and_data_goes_on(void **state)
{
    static const uint8_t hello[] = {1, 0, 0, 0};
    struct tls_wire *wire = connected(0);
    uint8_t record[64];
    size_t size, refusal;
    (void)state;

    size = client_record(wire, 22, hello, sizeof(hello), record);
    assert_int_equal(give(wire, record, size), TLS_GOES_ON);
    refusal = tls_output(wire->server).size;
    assert_true(refusal > 0);
    size = client_record(wire, 22, hello, sizeof(hello), record);
    assert_int_equal(give(wire, record, size), TLS_GOES_ON);
    assert_int_equal(tls_output(wire->server).size, refusal);
    size = client_record(wire, 23, "data", 4, record);
    assert_int_equal(give(wire, record, size), TLS_GOES_ON);
    assert_int_equal(wire->from_client_size, 4);
    give_output(wire);
    assert_int_equal(client_error(wire), BR_ERR_RECV_FATAL_ALERT + ALERT_NO_RENEGOTIATION);
    tls_wire_free(wire);
}

static void records_without_data_are_borne_so_often(void **state)
{
    static const struct {
        uint8_t type;
        const char *bytes;
        size_t size;
    } kinds[] = {
        {23, "",         0},
        {22, "\0\0\0",   4},
        {21, "\x01\x5a", 2}, /* a warning: user_canceled */
    };
    (void)state;

    for (size_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
        struct tls_wire *wire = connected(0);

        for (int i = 0; i <= NUISANCES; i++) {
            uint8_t record[64];
            size_t size = client_record(wire, kinds[kind].type, kinds[kind].bytes,
                                        kinds[kind].size, record);

            assert_int_equal(give(wire, record, size),
                             i < NUISANCES ? TLS_GOES_ON : TLS_FAILED);
        }
        tls_wire_free(wire);
    }
}

static void fatal_and_malformed_alerts_end_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } alerts[] = {
        {"\x02\x28",     2},
        {"\x03\x28",     2},
        {"\x01",         1},
        {"\x01\x5a\x01", 3},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
        struct tls_wire *wire = connected(0);
        uint8_t record[64];
        size_t size = client_record(wire, 21, alerts[i].bytes, alerts[i].size, record);

        assert_int_equal(give(wire, record, size), TLS_FAILED);
        tls_wire_free(wire);
    }
}

static void held_bytes_come_first_and_in_order(void **state)
{
    struct tls_wire *wire = connected(0);
    (void)state;

    assert_int_equal(tls_output(wire->server).size, 0);
    assert_true(tls_hold(wire->server, (const uint8_t *)"abc", 3));
    tls_output_sent(wire->server, 1);
    assert_true(tls_hold(wire->server, (const uint8_t *)"def", 3));
    assert_int_equal(tls_output(wire->server).size, 5);
    assert_memory_equal(tls_output(wire->server).at, "bcdef", 5);
    tls_output_sent(wire->server, 5);
    assert_int_equal(tls_output(wire->server).size, 0);
    tls_wire_free(wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_goes_both_ways),
        cmocka_unit_test(the_stream_may_be_cut_anywhere),
        cmocka_unit_test(data_behind_the_handshake_in_one_read_is_not_lost),
        cmocka_unit_test(every_suite_works),
        cmocka_unit_test(the_servers_order_of_suites_counts),
        cmocka_unit_test(clients_without_a_suite_in_common_are_refused),
        cmocka_unit_test(older_versions_are_refused),
        cmocka_unit_test(the_named_certificate_is_shown_with_its_chain),
        cmocka_unit_test(a_client_that_names_no_server_is_served),
        cmocka_unit_test(sessions_are_resumed),
        cmocka_unit_test(sessions_of_another_context_are_not),
        cmocka_unit_test(alpn_is_answered_with_http_1_1),
        cmocka_unit_test(alpn_without_http_1_1_is_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(clients_may_ask_for_small_records),
        cmocka_unit_test(several_records_of_one_read_come_as_one_run),
        cmocka_unit_test(an_incomplete_record_is_kept),
        cmocka_unit_test(tampered_records_end_the_connection),
        cmocka_unit_test(what_came_before_a_bad_record_is_delivered),
        cmocka_unit_test(replayed_records_end_the_connection),
        cmocka_unit_test(records_of_forbidden_sizes_end_the_connection),
        cmocka_unit_test(records_of_other_versions_and_types_end_the_connection),
        cmocka_unit_test(close_notify_ends_the_input),
        cmocka_unit_test(close_is_said_once),
        cmocka_unit_test(nothing_is_said_before_the_handshake_is_done),
        cmocka_unit_test(renegotiation_is_refused_and_data_goes_on),
        cmocka_unit_test(records_without_data_are_borne_so_often),
        cmocka_unit_test(fatal_and_malformed_alerts_end_the_connection),
        cmocka_unit_test(held_bytes_come_first_and_in_order),
    };

    return cmocka_run_group_tests(tests, make_context, drop_context);
}
