#include "sio_fixture.h"

/* --- connecting ------------------------------------------------------------------------------ */

static void connect_is_answered_with_an_id(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);

    expect_sent(session, NULL);
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    declare(f, "hub"); /* the slash is put in front */
    send_text(f, session, "0/hub,{\"token\":\"x\"}");
    expect_sent(session, "0/hub,{\"sid\":\"<sid>\"}");
    expect_story(f, "connected /\nconnected /hub\n");
    struct sio_socket *socket = socket_of(f, f->last);
    assert_true(str_equal(sio_socket_auth(socket), STR("{\"token\":\"x\"}")));
    assert_true(sio_socket_connected(socket));
    assert_string_equal(sio_socket_transport(socket), "websocket");
    assert_ptr_equal(sio_socket_handshake(socket), &session->handshake);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void unknown_namespaces_are_refused(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);

    send_text(f, session, "0/nowhere,");
    expect_sent(session, "4/nowhere,{\"message\":\"Invalid namespace\"}");
    send_text(f, session, "0/?a=b,");
    expect_sent(session, "4/?a=b,{\"message\":\"Invalid namespace\"}");
    assert_false(session->close_called);
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void middleware_refuses_with_message_and_data(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);

    f->hold = true;
    send_text(f, session, "0");
    sio_socket_refuse(socket_of(f, f->last), STR("no \"key\""), STR("{\"code\":401}"));
    expect_sent(session, "4{\"message\":\"no \\\"key\\\"\",\"data\":{\"code\":401}}");
    assert_null(sio_socket_find(f->server, f->last));
    send_text(f, session, "0");
    sio_socket_refuse(socket_of(f, f->last), STR("no"), STR(""));
    expect_sent(session, "4{\"message\":\"no\"}");
    send_text(f, session, "0");
    sio_socket_accept(socket_of(f, f->last));
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    expect_story(f, "connected /\n");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void wrong_states_close_the_connection(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *first; /* sent before, or NULL */
        const char *wrong;
    } cases[] = {
        {"0",  "0"            },
        {"0",  "0{}"          },
        {"0",  "4"            },
        {"0",  "4{}"          },
        {"0",  "2/hub,[\"a\"]"},
        {"0",  "2/[\"a\"]"    },
        {NULL, "2[\"a\"]"     },
        {NULL, "31[]"         },
        {NULL, "1"            },
        {NULL, "4\"x\""       },
        {NULL, "51-[\"a\"]"   }, /* at once: no attachment is collected for strangers */
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct eio_session *session = open_session(f);

        if (cases[i].first)
            send_text(f, session, cases[i].first);
        assert_false(session->close_called);
        buf_reset(&f->story);
        send_text(f, session, cases[i].wrong);
        assert_true(session->close_called);
        expect_story(f, "");
        send_text(f, session, "0");
        send_text(f, session, "2[\"late\"]");
        close_session(f, session, EIO_FORCED_CLOSE);
        expect_story(f, cases[i].first
                            ? "disconnecting / forced close\ndisconnected / forced close\n"
                            : "");
    }
}

static void events_before_acceptance_close_the_connection(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);

    f->hold = true;
    send_text(f, session, "0");
    send_text(f, session, "2[\"early\"]");
    assert_true(session->close_called);
    sio_socket_accept(socket_of(f, f->last));
    assert_null(sio_socket_find(f->server, f->last));
    expect_sent(session, NULL);
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "");
}

static void polling_without_a_poll_tells_forced_server_close(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    session->transport = "polling";
    session->writable = false;
    send_text(f, session, "0");
    expect_story(f,
                 "disconnecting / forced server close\ndisconnected / forced server close\n");
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "");

    session = join(f, "/", NULL);
    session->transport = "polling";
    send_text(f, session, "0");
    expect_story(f, "");
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "disconnecting / forced close\ndisconnected / forced close\n");
}

static void two_connects_under_way_both_succeed(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);
    struct sio_handle first, second;

    f->hold = true;
    send_text(f, session, "0");
    first = f->last;
    send_text(f, session, "0");
    second = f->last;
    sio_socket_accept(socket_of(f, second));
    sio_socket_accept(socket_of(f, first));
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    assert_int_equal(sio_namespace_count(sio_namespace_find(f->server, STR("/"))), 2);

    send_text(f, session, "1");
    assert_null(sio_socket_find(f->server, first)); /* the one accepted later */
    assert_non_null(sio_socket_find(f->server, second));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void connections_that_join_nothing_are_closed(void **state)
{
    struct fixture *f = *state;
    struct eio_session *idle = open_session(f), *refused = open_session(f),
                       *joined = open_session(f), *held = open_session(f);

    send_text(f, joined, "0");
    send_text(f, joined, "1"); /* nothing joined any more, but it was */
    send_text(f, refused, "0/nowhere,");
    f->hold = true;
    send_text(f, held, "0");
    double_loop_advance(f->loop, CONNECT_TIMEOUT_MS - 1);
    assert_false(idle->close_called || refused->close_called || joined->close_called ||
                 held->close_called);
    double_loop_advance(f->loop, CONNECT_TIMEOUT_MS + 1);
    assert_true(idle->close_called && refused->close_called && held->close_called);
    assert_false(joined->close_called);
    close_session(f, idle, EIO_FORCED_CLOSE);
    close_session(f, refused, EIO_FORCED_CLOSE);
    close_session(f, held, EIO_FORCED_CLOSE);
    close_session(f, joined, EIO_TRANSPORT_CLOSE);
    assert_null(
        sio_socket_find(f->server, f->last)); /* was in middleware: gone without a word */
}

static void sockets_of_a_connection_are_bounded(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = open_session(f);

    f->hold = true;
    for (int i = 0; i < 1000; i++)
        send_text(f, session, "0");
    assert_false(session->close_called);
    send_text(f, session, "0");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
}

/* --- packets --------------------------------------------------------------------------------- */

static void undecodable_packets_close_after_error(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    declare(f, "/hub");
    send_text(f, session, "0/hub,");
    buf_reset(&f->story);
    send_text(f, session, "2[");
    expect_story(f, "error / invalid payload\nerror /hub invalid payload\n");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "disconnecting / forced close\ndisconnected / forced close\n"
                    "disconnecting /hub forced close\ndisconnected /hub forced close\n");
}

static void events_reach_the_application(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    send_text(f, session, "2[\"echo\",1,{\"a\":[]}]");
    send_text(f, session, "2[7]");
    send_text(f, session, "2");
    send_text(f, session, "21");
    send_text(f, session, "2[\"error\"]");
    expect_story(f, "event / echo[1,{\"a\":[]}]\nevent / 7[]\nevent / error[]\n");
    assert_false(session->close_called);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void binary_packets_are_put_together(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    send_text(f, session, "52-[\"a\\u0062\",{\"_placeholder\":true,\"num\":1}]");
    send_bytes(f, session, FRAME_BINARY, STR("12345"));
    expect_story(f, "");
    send_bytes(f, session, FRAME_BINARY, STR(""));
    expect_story(f, "event / ab[{\"_placeholder\":true,\"num\":1}]+5+0\n");

    send_text(f, session, "51-[\"a\"]");
    send_text(f, session, "2[\"b\"]");
    expect_story(f, "error / got plaintext data when reconstructing a packet\n");
    close_session(f, session, EIO_FORCED_CLOSE);

    session = join(f, "/", NULL);
    send_bytes(f, session, FRAME_BINARY, STR("x"));
    expect_story(f, "error / got binary data when not reconstructing a packet\n");
    close_session(f, session, EIO_FORCED_CLOSE);
}

/* The memory of what was collected: AddressSanitizer tells if it is lost. */
static void incomplete_packets_are_freed(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    send_text(f, session, "53-[\"a\"]");
    send_bytes(f, session, FRAME_BINARY, STR("12345"));
    close_session(f, session, EIO_TRANSPORT_CLOSE);

    session = join(f, "/", NULL);
    send_text(f, session, "53-[\"a\"]");
    send_bytes(f, session, FRAME_BINARY, STR("12345"));
    sio_socket_disconnect(socket_of(f, f->last), true);
    close_session(f, session, EIO_FORCED_CLOSE);
}

static void binary_packet_of_a_socket_that_left_is_a_wrong_state(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    send_text(f, session, "51-[\"a\"]");
    sio_socket_disconnect(socket_of(f, f->last), false);
    send_bytes(f, session, FRAME_BINARY, STR("x"));
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
}

static void survives_100000_arguments(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);
    struct buf text;

    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, STR("2[\"many\""));
    for (int i = 0; i < 100000; i++)
        buf_add_str(&text, STR(",1"));
    buf_add_byte(&text, ']');
    send_bytes(f, session, FRAME_TEXT, buf_str(&text));
    assert_int_equal(f->story.size, strlen("event / many\n") + 200001);
    buf_reset(&f->story);
    buf_free(&text);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void ack_with_arguments(struct fixture *f, struct sio_socket *socket,
                               const struct sio_event *event)
{
    (void)f;
    assert_true(event->wants_ack);
    sio_socket_ack(socket, event->ack_id, &event->args);
}

static void answers_carry_the_id_as_javascript_writes_it(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);
    char text[512];

    f->on_event = ack_with_arguments;
    send_text(f, session, "2007[\"a\",1]");
    expect_sent(session, "37[1]");
    send_text(f, session, "2 [\"a\"]");
    expect_sent(session, "30[]");
    send_text(f, session, "29999999999999999999999[\"a\"]");
    expect_sent(session, "31e+22[]");
    memset(text, '9', 400);
    text[0] = '2';
    strcpy(text + 400, "[\"a\"]");
    send_text(f, session, text);
    expect_sent(session, "3Infinity[]");

    send_text(f, session, "51-5[\"a\",{\"_placeholder\":true,\"num\":0}]");
    send_bytes(f, session, FRAME_BINARY, STR("\1\2\3"));
    expect_sent(session, "61-5[{\"_placeholder\":true,\"num\":0}]");
    expect_sent_binary(session, STR("\1\2\3"));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void payload_limit_of_a_namespace_closes_and_logs(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    char line[1024] = {0};

    assert_int_equal(pipe(ends), 0);
    f->log = (struct log){.fd = ends[1], .level = LOG_WARN};
    assert_non_null(sio_namespace_add(
        f->server, &(struct sio_namespace_options){.name = STR("/t"), .max_payload = 20}));
    struct eio_session *session = join(f, "/t", NULL);

    send_text(f, session, "2/t,[\"abcdefghijkl\"]"); /* 20 bytes */
    expect_story(f, "event /t abcdefghijkl[]\n");
    send_text(f, session, "51-/t,[\"abcde\"]"); /* 15 and 5 */
    send_bytes(f, session, FRAME_BINARY, STR("12345"));
    expect_story(f, "event /t abcde[]+5\n");
    send_text(f, session, "51-/t,[\"abcde\"]");
    send_bytes(f, session, FRAME_BINARY, STR("123456"));
    expect_story(f, "error /t payload too large\n");
    assert_true(session->close_called);
    assert_true(read(ends[0], line, sizeof(line) - 1) > 0);
    struct str id = sio_socket_id(socket_of(f, f->last));
    assert_non_null(memmem(line, sizeof(line), id.at, id.size));
    assert_non_null(strstr(line, "/t"));
    assert_non_null(strstr(line, "size=21"));
    assert_non_null(strstr(line, "limit=20"));
    close_session(f, session, EIO_FORCED_CLOSE);

    session = open_session(f);
    send_text(f, session, "0/t,{\"abc\":\"defghijk\"}");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
    f->log.level = LOG_OFF;
    close(ends[0]);
    close(ends[1]);
}

/* --- disconnecting --------------------------------------------------------------------------- */

static void add_room(void *context, struct str name)
{
    struct fixture *f = context;

    buf_printf(&f->story, "room %.*s\n", name.size == RANDOM_ID_SIZE ? 2 : (int)name.size,
               name.size == RANDOM_ID_SIZE ? "id" : name.at);
}

static void list_rooms(struct fixture *f, struct sio_socket *socket)
{
    assert_ptr_equal(sio_socket_find(f->server, sio_socket_handle(socket)), socket);
    sio_socket_rooms(socket, add_room, f);
}

static void rooms_are_left_between_the_two_events(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);
    struct sio_handle handle = f->last;

    f->on_disconnecting = list_rooms;
    f->on_disconnected = list_rooms;
    assert_true(sio_socket_join(socket_of(f, handle), STR("red")));
    send_text(f, session, "1");
    expect_story(f, "disconnecting / client namespace disconnect\nroom id\nroom red\n"
                    "disconnected / client namespace disconnect\n");
    assert_null(sio_socket_find(f->server, handle));
    expect_sent(session, NULL);
    assert_false(session->close_called);
    send_text(f, session, "0");
    assert_int_not_equal(handle.value, f->last.value);
    close_session(f, session, EIO_PING_TIMEOUT);
    expect_story(f, "connected /\ndisconnecting / ping timeout\nroom id\n"
                    "disconnected / ping timeout\n");
    assert_null(sio_socket_find(f->server, (struct sio_handle){0}));
}

static void server_disconnects_one_namespace_or_the_connection(void **state)
{
    struct fixture *f = *state;
    declare(f, "/hub");
    struct eio_session *session = join(f, "/hub", NULL);

    sio_socket_disconnect(socket_of(f, f->last), false);
    expect_sent(session, "1/hub,");
    assert_false(session->close_called);
    assert_null(sio_socket_find(f->server, f->last));
    send_text(f, session, "0/hub,");
    expect_sent(session, "0/hub,{\"sid\":\"<sid>\"}");
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    buf_reset(&f->story);
    sio_socket_disconnect(socket_of(f, f->last), true);
    expect_sent(session, "1/hub,");
    expect_sent(session, "1");
    assert_true(session->close_called);
    expect_story(f, "disconnecting /hub server namespace disconnect\n"
                    "disconnected /hub server namespace disconnect\n"
                    "disconnecting / server namespace disconnect\n"
                    "disconnected / server namespace disconnect\n");
    close_session(f, session, EIO_FORCED_CLOSE);
    expect_story(f, "");
}

static void disconnect_all(struct fixture *f, struct sio_socket *socket)
{
    (void)f;
    sio_socket_disconnect(socket, true);
    sio_socket_join(socket, STR("late"));
}

static void disconnect_on_event(struct fixture *f, struct sio_socket *socket,
                                const struct sio_event *event)
{
    struct sio_args args = {.json = STR("[\"x\"]")};

    (void)event;
    sio_socket_disconnect(socket, false);
    assert_false(sio_socket_connected(socket));
    sio_socket_ack(socket, 1, &args);
    assert_true(sio_socket_join(socket, STR("late")));
    assert_null(sio_socket_find(f->server, sio_socket_handle(socket)));
}

static void callbacks_may_end_their_own_socket(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    f->on_event = disconnect_on_event;
    session = join(f, "/", NULL);
    send_text(f, session, "21[\"a\"]");
    expect_sent(session, "1");
    expect_sent(session, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);

    f->on_connected = disconnect_all;
    session = open_session(f);
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    expect_sent(session, "1");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);

    f->on_connected = NULL;
    f->on_error = disconnect_all;
    declare(f, "/hub");
    session = join(f, "/", NULL);
    send_text(f, session, "0/hub,");
    buf_reset(&f->story);
    send_text(f, session, "x");
    expect_story(f, "error / unknown packet type NaN\n"
                    "disconnecting / server namespace disconnect\n"
                    "disconnected / server namespace disconnect\n"
                    "disconnecting /hub server namespace disconnect\n"
                    "disconnected /hub server namespace disconnect\n");
    close_session(f, session, EIO_FORCED_CLOSE);

    f->on_error = NULL;
    f->on_disconnecting = disconnect_all;
    f->on_disconnected = disconnect_all;
    session = join(f, "/", NULL);
    send_text(f, session, "0/hub,");
    send_text(f, session, "1");
    assert_true(session->close_called);
    close_session(f, session, EIO_FORCED_CLOSE);
    session = join(f, "/", NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void socket_data_is_an_object(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);
    struct json_tree *data = sio_socket_data(socket_of(f, f->last));

    assert_int_equal(json_tree_type(data), JSON_OBJECT);
    assert_ptr_equal(sio_socket_data(socket_of(f, f->last)), data);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- the reference's exchanges --------------------------------------------------------------- */

/* The application behind transcripts.json. */
static void reference_connected(struct fixture *f, struct sio_socket *socket)
{
    struct str nsp = sio_namespace_name(sio_socket_namespace(socket));
    struct buf json;

    (void)f;
    if (!str_equal(nsp, STR("/")) && !str_equal(nsp, STR("/custom")))
        return;
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, STR("[\"auth\","));
    buf_add_str(&json, sio_socket_auth(socket));
    buf_add_byte(&json, ']');
    struct sio_packet *packet = sio_packet_event(
        sio_socket_namespace(socket), &(struct sio_args){.json = buf_str(&json)}, NULL);
    sio_socket_emit(socket, packet, 0);
    sio_packet_unref(packet);
    buf_free(&json);
}

static void reference_event(struct fixture *f, struct sio_socket *socket,
                            const struct sio_event *event)
{
    struct buf json;

    (void)f;
    if (str_equal(event->name, STR("bye"))) {
        sio_socket_disconnect(socket, str_equal(event->args.json, STR("[true]")));
        return;
    }
    if (str_equal(event->name, STR("message-with-ack"))) {
        sio_socket_ack(socket, event->ack_id, &event->args);
        return;
    }
    buf_init(&json, SIZE_MAX);
    buf_add_str(&json, STR("[\"message-back\""));
    if (event->args.json.size > 2)
        buf_add_byte(&json, ',');
    buf_add_str(&json, str_from_index(event->args.json, 1));
    struct sio_args args = event->args;
    args.json = buf_str(&json);
    struct sio_packet *packet = sio_packet_event(sio_socket_namespace(socket), &args, NULL);
    sio_socket_emit(socket, packet, 0);
    sio_packet_unref(packet);
    buf_free(&json);
}

static void reference_connecting(void *owner, struct sio_socket *socket)
{
    struct str nsp = sio_namespace_name(sio_socket_namespace(socket));
    struct str auth = sio_socket_auth(socket);

    (void)owner;
    if (str_equal(nsp, STR("/admin")) && !str_equal(auth, STR("{\"token\":\"s3cret\"}")))
        sio_socket_refuse(socket, STR("unauthorized"), STR("{\"code\":401}"));
    else
        sio_socket_accept(socket);
}

static void cut(char *text, const char *part)
{
    char *start = strstr(text, part);

    if (start)
        memmove(start, start + strlen(part), strlen(start + strlen(part)) + 1);
}

/* A line of the server without what recovery adds to it, and with our mark for an id. */
static void play_server_line(struct eio_session *session, char *text)
{
    char *id = strstr(text, "<20 chars>");

    if (text[0] == '0')
        return; /* Engine.IO's open packet */
    cut(text, ",\"<offset>\"");
    cut(text, ",\"pid\":\"<20 chars>\"");
    if (id) {
        memcpy(id, "<sid>", 5);
        memmove(id + 5, id + 10, strlen(id + 10) + 1);
    }
    expect_sent(session, text + 1);
}

static void play_line(struct fixture *f, struct eio_session *session,
                      const struct json_doc *doc, uint32_t line)
{
    uint32_t key = json_first(doc, line), value = json_member_value(doc, key);
    bool client = str_equal(json_raw(doc, key), STR("\"client\""));
    struct buf text;

    if (str_equal(json_raw(doc, key), STR("\"closed\""))) {
        assert_true(session->close_called);
        return;
    }
    if (json_type(doc, value) == JSON_OBJECT) { /* {"$hex":"010203"}, the only one */
        if (client)
            send_bytes(f, session, FRAME_BINARY, STR("\1\2\3"));
        else
            expect_sent_binary(session, STR("\1\2\3"));
        return;
    }
    buf_init(&text, SIZE_MAX);
    json_string_decode(&text, json_raw(doc, value));
    buf_add_byte(&text, '\0');
    if (client)
        send_text(f, session, text.at + 1);
    else
        play_server_line(session, text.at);
    buf_free(&text);
}

static void reference_transcripts_hold(void **state)
{
    struct fixture *f = *state;
    FILE *file = fopen("tests/protocol/vectors/transcripts.json", "rb");
    char *bytes = malloc(1 << 16);
    struct json_doc doc;
    int played = 0;

    assert_non_null(file);
    size_t size = fread(bytes, 1, 1 << 16, file);
    fclose(file);
    assert_true(json_check(str_of(bytes, size)));
    assert_true(json_doc_init(&doc, str_of(bytes, size)));

    struct sio_app app = {
        .connecting = reference_connecting,
        .connected = app_connected,
        .event = app_event,
        .disconnecting = app_disconnecting,
        .disconnected = app_disconnected,
        .error = app_error,
        .owner = f,
    };
    sio_server_free(f->server);
    f->server = sio_server_new(f->loop, &f->random, &f->log, &f->options, &app);
    f->handler = sio_server_handler(f->server);
    f->on_connected = reference_connected;
    f->on_event = reference_event;
    declare(f, "/custom");
    declare(f, "/admin");
    declare(f, "/hub");

    uint32_t cases = json_member(&doc, 0, STR("cases"));
    for (uint32_t at = json_first(&doc, cases); at != JSON_NONE;
         at = json_next(&doc, cases, at)) {
        uint32_t query = json_member(&doc, at, STR("query"));

        if (query == JSON_NONE || !str_starts(json_raw(&doc, query), STR("\"EIO=4")))
            continue; /* protocol 3, and recovery */
        struct eio_session *session = open_session(f);
        uint32_t lines = json_member(&doc, at, STR("lines"));
        for (uint32_t line = json_first(&doc, lines); line != JSON_NONE;
             line = json_next(&doc, lines, line))
            play_line(f, session, &doc, line);
        expect_sent(session, NULL);
        close_session(f, session, EIO_TRANSPORT_CLOSE);
        played++;
    }
    assert_int_equal(played, 6);
    json_doc_free(&doc);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connect_is_answered_with_an_id),
        TEST(unknown_namespaces_are_refused),
        TEST(middleware_refuses_with_message_and_data),
        TEST(wrong_states_close_the_connection),
        TEST(events_before_acceptance_close_the_connection),
        TEST(polling_without_a_poll_tells_forced_server_close),
        TEST(two_connects_under_way_both_succeed),
        TEST(connections_that_join_nothing_are_closed),
        TEST(sockets_of_a_connection_are_bounded),
        TEST(undecodable_packets_close_after_error),
        TEST(events_reach_the_application),
        TEST(binary_packets_are_put_together),
        TEST(incomplete_packets_are_freed),
        TEST(binary_packet_of_a_socket_that_left_is_a_wrong_state),
        TEST(survives_100000_arguments),
        TEST(answers_carry_the_id_as_javascript_writes_it),
        TEST(payload_limit_of_a_namespace_closes_and_logs),
        TEST(rooms_are_left_between_the_two_events),
        TEST(server_disconnects_one_namespace_or_the_connection),
        TEST(callbacks_may_end_their_own_socket),
        TEST(socket_data_is_an_object),
        TEST(reference_transcripts_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
