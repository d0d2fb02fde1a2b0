#include "conn_fixture.h"
#include "tls_fixture.h"

static struct tls_context *context;
static struct tls_client *client;

/* What the client got. */
static uint8_t got[1024 * 1024];
static size_t got_size;

/* ---- the client ---- */

/* What the client wants to send goes into the socket. */
static bool client_sends(void)
{
    br_ssl_engine_context *engine = &client->ssl.eng;
    const uint8_t *bytes;
    size_t size;
    bool moved = false;

    while ((bytes = br_ssl_engine_sendrec_buf(engine, &size))) {
        ssize_t sent = send(peer, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent <= 0)
            break;
        br_ssl_engine_sendrec_ack(engine, (size_t)sent);
        moved = true;
    }
    return moved;
}

static bool client_reads(void)
{
    br_ssl_engine_context *engine = &client->ssl.eng;
    size_t room;
    uint8_t *to = br_ssl_engine_recvrec_buf(engine, &room);
    ssize_t size = to ? recv(peer, to, room, MSG_DONTWAIT) : -1;

    if (size <= 0)
        return false;
    br_ssl_engine_recvrec_ack(engine, (size_t)size);
    to = br_ssl_engine_recvapp_buf(engine, &room);
    if (to) {
        assert_true(got_size + room <= sizeof(got));
        memcpy(got + got_size, to, room);
        got_size += room;
        br_ssl_engine_recvapp_ack(engine, room);
    }
    return true;
}

/* Both sides go on until nothing moves. */
static void settle(void)
{
    for (int idle = 0; idle < 3; idle++) {
        turn();
        while (client_reads() | client_sends())
            idle = 0;
    }
}

/* ---- set-up ---- */

static int set_up_group(void **state)
{
    if (tls_make_folder(state) != 0)
        return -1;
    context = tls_load("ec", NULL);
    return 0;
}

static int tear_down_group(void **state)
{
    tls_context_unref(context);
    return tls_remove_folder(state);
}

static int set_up_tls(void **state)
{
    got_size = 0;
    if (set_up(state) < 0)
        return -1;
    assert_true(net_conn_start_tls(conn, context));
    client = tls_client_new();
    tls_client_start(client, "localhost");
    return 0;
}

static int tear_down_tls(void **state)
{
    free(client);
    return tear_down(state);
}

static struct frame *make(size_t size)
{
    struct frame *frame = frame_new(FRAME_RAW, size);

    assert_non_null(frame);
    for (size_t i = 0; i < size; i++)
        frame_payload(frame)[i] = (uint8_t)(i * 7 + (i >> 8));
    return frame;
}

static void send_bytes(size_t size)
{
    struct frame *frame = make(size);

    net_conn_send(conn, frame);
    frame_unref(frame);
}

static void client_writes(const void *bytes, size_t size)
{
    size_t room;
    uint8_t *to = br_ssl_engine_sendapp_buf(&client->ssl.eng, &room);

    assert_true(to && room >= size);
    memcpy(to, bytes, size);
    br_ssl_engine_sendapp_ack(&client->ssl.eng, size);
    br_ssl_engine_flush(&client->ssl.eng, 0);
}

/* ---- tests ---- */

static void the_owner_sees_plain_bytes(void **state)
{
    (void)state;
    settle();
    client_writes("hello", 5);
    settle();
    assert_int_equal(seen.total, 5);
    assert_memory_equal(seen.bytes, "hello", 5);
}

static void frames_leave_in_order_whatever_their_sizes(void **state)
{
    static const size_t sizes[] = {1, 2, 1000, 16384, 16385, 100000, 0, 3, 70000};
    size_t at = 0;
    (void)state;

    settle();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        send_bytes(sizes[i]);
    settle();
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct frame *frame = make(sizes[i]);

        assert_memory_equal(got + at, frame_payload(frame), sizes[i]);
        at += sizes[i];
        frame_unref(frame);
    }
    assert_int_equal(got_size, at);
    assert_int_equal(seen.drained, 1);
}

static void small_frames_share_a_record(void **state)
{
    uint8_t wire[4096];
    (void)state;

    settle();
    for (int i = 0; i < 10; i++)
        send_bytes(10);
    turn();
    assert_int_equal(recv(peer, wire, sizeof(wire), MSG_DONTWAIT), 5 + 8 + 100 + 16);
    assert_int_equal(wire[0], 23);
}

static void frames_queued_before_the_handshake_wait_for_it(void **state)
{
    (void)state;
    send_bytes(100);
    turn();
    assert_int_equal(net_conn_queued(conn), 100);
    assert_int_equal(seen.drained, 0);
    settle();
    assert_int_equal(got_size, 100);
    assert_int_equal(seen.drained, 1);
}

static void what_the_kernel_does_not_take_counts_as_queued(void **state)
{
    (void)state;
    settle();
    send_bytes(200000);
    turn();
    assert_in_range(net_conn_queued(conn), 100000, 200000);
    assert_false(net_conn_writable(conn));
    assert_int_equal(seen.drained, 0);
    settle();
    assert_int_equal(got_size, 200000);
    assert_int_equal(net_conn_queued(conn), 0);
    assert_true(net_conn_writable(conn));
    assert_int_equal(seen.drained, 1);
}

static void over_the_backlog_the_conn_ends(void **state)
{
    (void)state;
    settle();
    for (int i = 0; i < 30 && !seen.closed; i++) {
        send_bytes(100000);
        turn();
    }
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_BACKLOG);
}

static void finish_sends_all_and_close_notify(void **state)
{
    (void)state;
    settle();
    send_bytes(150000);
    net_conn_finish(conn, 0);
    conn = NULL;
    settle();
    assert_int_equal(got_size, 150000);
    /* the client took it for the end, and only wants to answer */
    assert_int_equal(br_ssl_engine_current_state(&client->ssl.eng), BR_SSL_SENDREC);
    assert_int_equal(br_ssl_engine_last_error(&client->ssl.eng), BR_ERR_OK);
}

static void finish_before_the_handshake_closes(void **state)
{
    char byte;
    (void)state;

    send_bytes(10);
    net_conn_finish(conn, 1000);
    conn = NULL;
    turn();
    assert_int_equal(recv(peer, &byte, 1, MSG_DONTWAIT), 0);
}

static void close_notify_is_the_peers_end(void **state)
{
    (void)state;
    settle();
    client_writes("last", 4);
    client_sends();
    br_ssl_engine_close(&client->ssl.eng);
    settle();
    assert_int_equal(seen.total, 4);
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_CLOSED);
    assert_int_equal(br_ssl_engine_last_error(&client->ssl.eng), BR_ERR_OK);
}

static void answer(void)
{
    send_bytes(1000);
}

static void what_is_answered_before_the_peers_end_comes_before_ours(void **state)
{
    (void)state;
    settle();
    on_read = answer;
    client_writes("ask", 3);
    client_sends();
    br_ssl_engine_close(&client->ssl.eng);
    client_sends();
    turn(); /* reads both at once */
    assert_int_equal(seen.closed, 1);

    /* The client drops data behind its own close_notify: look at the records. */
    uint8_t records[2048];
    ssize_t size = recv(peer, records, sizeof(records), MSG_DONTWAIT);

    assert_int_equal(size, 5 + 8 + 1000 + 16 + 5 + 8 + 2 + 16);
    assert_int_equal(records[0], 23);
    assert_int_equal(records[5 + 8 + 1000 + 16], 21);
}

static void an_end_without_close_notify_is_one_too(void **state)
{
    (void)state;
    settle();
    hang_up();
    turn();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_CLOSED);
}

static void a_tls_fault_is_an_error_and_told_to_the_peer(void **state)
{
    static const uint8_t record[] = {23, 3,  3,  0,  24, 1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                     11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24};
    uint8_t answer[64];
    (void)state;

    settle();
    assert_int_equal(send(peer, record, sizeof(record), 0), sizeof(record));
    turn();
    assert_int_equal(seen.closed, 1);
    assert_int_equal(seen.why, NET_END_ERROR);
    assert_int_equal(recv(peer, answer, sizeof(answer), MSG_DONTWAIT), 5 + 8 + 2 + 16);
    assert_int_equal(answer[0], 21);
}

static void a_paused_conn_reads_later(void **state)
{
    (void)state;
    settle();
    client_writes("one", 3);
    client_sends();
    client_writes("two", 3);
    client_sends();
    net_conn_pause(conn, true);
    turn();
    assert_int_equal(seen.total, 0);
    net_conn_pause(conn, false);
    settle();
    assert_memory_equal(seen.bytes, "onetwo", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_owner_sees_plain_bytes, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(frames_leave_in_order_whatever_their_sizes, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(small_frames_share_a_record, set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(frames_queued_before_the_handshake_wait_for_it,
                                        set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(what_the_kernel_does_not_take_counts_as_queued,
                                        set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(over_the_backlog_the_conn_ends, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(finish_sends_all_and_close_notify, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(finish_before_the_handshake_closes, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(close_notify_is_the_peers_end, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(what_is_answered_before_the_peers_end_comes_before_ours,
                                        set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(an_end_without_close_notify_is_one_too, set_up_tls,
                                        tear_down_tls),
        cmocka_unit_test_setup_teardown(a_tls_fault_is_an_error_and_told_to_the_peer,
                                        set_up_tls, tear_down_tls),
        cmocka_unit_test_setup_teardown(a_paused_conn_reads_later, set_up_tls, tear_down_tls),
    };

    return cmocka_run_group_tests(tests, set_up_group, tear_down_group);
}
