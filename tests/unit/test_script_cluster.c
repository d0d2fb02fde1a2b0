#include "script_fixture.h"

/*
 * What scripts say to other servers and hear from them, over a bus that writes down what it is to
 * send and brings what a test wants.
 */

struct paper_bus {
    struct cluster_bus bus;
    struct buf sent;
    char request[64]; /* of the last message that had one */
    int servers;
    bool down;
};

static struct paper_bus *the_bus; /* of the running test: buses know no owner */

static bool open_nothing(struct cluster_bus *bus, struct str nsp)
{
    (void)bus;
    (void)nsp;
    return true;
}

static void close_nothing(struct cluster_bus *bus, struct str nsp)
{
    (void)bus;
    (void)nsp;
}

static void write_strs(struct buf *to, const char *what, const struct str *strs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(to, " %s=%.*s", what, (int)strs[i].size, strs[i].at);
}

static bool write_down(struct cluster_bus *bus, const struct cluster_message *message)
{
    static const char *const kinds[] = {
        "broadcast", "join",    "leave", "disconnect",    "fetch",        "list rooms",
        "event",     "sockets", "rooms", "server answer", "client count", "client answer"};
    struct paper_bus *paper = (struct paper_bus *)bus;

    if (paper->down)
        return false;
    buf_printf(&paper->sent, "%s %.*s", kinds[message->kind], (int)message->nsp.size,
               message->nsp.at);
    write_strs(&paper->sent, "to", message->rooms, message->room_count);
    write_strs(&paper->sent, "but", message->except, message->except_count);
    write_strs(&paper->sent, "room", message->changed, message->changed_count);
    if (message->close)
        buf_add_str(&paper->sent, STR(" close"));
    if (cluster_is_answer(message->kind))
        buf_printf(&paper->sent, " for=%.*s", (int)message->request.size, message->request.at);
    else if (message->request.size > 0)
        snprintf(paper->request, sizeof(paper->request), "%.*s", (int)message->request.size,
                 message->request.at);
    buf_printf(&paper->sent, " %.*s\n", (int)message->args.json.size, message->args.json.at);
    return true;
}

static void count_paper(struct cluster_bus *bus, struct str nsp,
                        void (*counted)(void *owner, int servers), void *owner)
{
    (void)nsp;
    counted(owner, ((struct paper_bus *)bus)->servers);
}

static void free_paper(struct cluster_bus *bus)
{
    struct paper_bus *paper = (struct paper_bus *)bus;

    buf_free(&paper->sent);
    free(paper);
}

static const struct cluster_bus_type paper_type = {
    .name = "paper",
    .open = open_nothing,
    .close = close_nothing,
    .send = write_down,
    .count = count_paper,
    .free = free_paper,
};

/* The file's server, and one more that the test speaks for. */
static void start_with_bus(struct fixture *f, const char *source)
{
    struct app *app = app_of(f);

    the_bus = calloc(1, sizeof(*the_bus));
    the_bus->bus.type = &paper_type;
    the_bus->servers = 2;
    buf_init(&the_bus->sent, SIZE_MAX);
    app->bus = &the_bus->bus;
    start(f, source);
}

static void expect_told(const char *lines)
{
    if (!str_equal(buf_str(&the_bus->sent), str_from(lines)))
        fail_msg("told\n%.*s--- expected\n%s", (int)the_bus->sent.size, the_bus->sent.at,
                 lines);
    buf_reset(&the_bus->sent);
}

static void hear(struct fixture *f, struct cluster_message message)
{
    const struct cluster_bus_handler *handler = the_bus->bus.handler;

    message.nsp = STR("/chat");
    message.sender = STR("other");
    if (cluster_is_answer(message.kind))
        message.request = str_from(the_bus->request);
    handler->message(handler->owner, &message);
    double_loop_turn(f->loop);
}

/* --- telling --------------------------------------------------------------------------------- */

static void what_scripts_do_reaches_other_servers(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('go', function(socket)\n"
                      "  chat:emit('all', 1)\n"
                      "  chat:to('a', 'b'):except('c'):emit('some')\n"
                      "  chat:local_only():emit('here')\n"
                      "  socket:emit('you')\n"
                      "  chat:to('a'):join('x', 'y')\n"
                      "  chat:leave('x')\n"
                      "  socket:join('own')\n"
                      "  chat:to('z'):disconnect(true)\n"
                      "  return chat:server_emit('tick', { n = 1 })\n"
                      "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,7[\"go\"]");
    expect_sent(session, "2/chat,[\"all\",1]");
    expect_sent(session, "2/chat,[\"here\"]");
    expect_sent(session, "2/chat,[\"you\"]");
    expect_sent(session, "3/chat,7[true]");
    expect_told("broadcast /chat [\"all\",1]\n"
                "broadcast /chat to=a to=b but=c [\"some\"]\n"
                "join /chat to=a room=x room=y \n"
                "leave /chat room=x \n"
                "disconnect /chat to=z close \n"
                "event /chat [\"tick\",{\"n\":1}]\n");
    the_bus->down = true;
    send_text(f, session, "2/chat,8[\"go\"]");
    expect_sent(session, "2/chat,[\"all\",1]");
    expect_sent(session, "2/chat,[\"here\"]");
    expect_sent(session, "2/chat,[\"you\"]");
    expect_sent(session, "3/chat,8[false]");
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void reserved_names_are_not_sent_to_servers(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('go', function(socket, name) chat:server_emit(name) end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"go\",\"connection\"]");
    expect_log(f, "server_emit: \"connection\" is a reserved event name");
    send_text(f, session, "2/chat,[\"go\",\"disconnect\"]");
    expect_log(f, "\"disconnect\" is a reserved event name");
    expect_told("");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void sockets_of_other_servers_are_objects(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('go', function(socket)\n"
                      "  local sockets, err = chat:to('r'):fetch()\n"
                      "  local far = sockets[1]\n"
                      "  far:emit('hi', 1)\n"
                      "  far:join('x')\n"
                      "  far:leave('y')\n"
                      "  far:disconnect()\n"
                      "  local ok, why = pcall(function() far.data = {} end)\n"
                      "  local ok2, why2 = pcall(function() return far.nothing end)\n"
                      "  return #sockets, err, tostring(far), far.rooms, far.data.name,\n"
                      "    far.handshake.address, why, why2\n"
                      "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,7[\"go\"]");
    expect_sent(session, NULL);
    hear(f, (struct cluster_message){
                .kind = CLUSTER_SOCKETS,
                .json = STR("[{\"id\":\"far\",\"handshake\":{\"address\":\"::1\"},"
                            "\"rooms\":[\"far\",\"r\"],\"data\":{\"name\":\"x\"}}]")});
    expect_sent(session,
                "3/chat,7[1,null,\"socket far\",[\"far\",\"r\"],\"x\",\"::1\",\"app.lua:9: "
                "cannot assign to 'data' of a socket that was fetched\",\"app.lua:10: "
                "a socket "
                "that was fetched has no 'nothing'\"]");
    expect_told("fetch /chat to=r \n"
                "broadcast /chat to=far [\"hi\",1]\n"
                "join /chat to=far room=x \n"
                "leave /chat to=far room=y \n"
                "disconnect /chat to=far \n");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void what_servers_do_not_answer_is_told(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('go', function(socket)\n"
                      "  local sockets, err = chat:timeout('1s'):fetch()\n"
                      "  return sockets[1].id == socket.id, #sockets, err\n"
                      "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"go\"]");
    double_loop_advance(f->loop, 1100);
    expect_sent(session, "3/chat,1[true,1,\"operation has timed out\"]");
    the_bus->down = true;
    send_text(f, session, "2/chat,2[\"go\"]");
    expect_sent(session, "3/chat,2[true,1,\"other servers cannot be reached\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void sockets_and_servers_are_counted(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('go', function()\n"
                      "  return chat:count(), chat:local_only():count()\n"
                      "end)\n"
                      "chat:on('rooms', function(s) s:join('r') return chat:rooms() end)\n"
                      "chat:on('servers', function() return chat:servers() end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"go\"]");
    hear(f, (struct cluster_message){.kind = CLUSTER_SOCKETS,
                                     .json = STR("[{\"id\":\"a\"},{\"id\":\"b\"}]")});
    expect_sent(session, "3/chat,1[3,1]");
    send_text(f, session, "2/chat,2[\"servers\"]");
    expect_sent(session, "3/chat,2[2]");
    the_bus->servers = CLUSTER_COUNT_UNKNOWN;
    send_text(f, session, "2/chat,3[\"servers\"]");
    expect_sent(session, "3/chat,3[null,\"other servers cannot be reached\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void alone_nothing_has_to_be_waited_for(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('go', function()\n"
             "  local count = coroutine.wrap(function() return chat:count() end)()\n"
             "  local sockets, err = chat:fetch()\n"
             "  local answers, why = chat:server_emit_with_ack('who')\n"
             "  return count, #sockets, err, answers, why, chat:servers(), "
             "chat:server_emit('x')\n"
             "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"go\"]");
    expect_sent(session, "3/chat,1[1,1,null,{},null,1,true]");
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void servers_and_their_clients_answer(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start_with_bus(f, "local chat = namespace '/chat'\n"
                      "chat:on('servers', function()\n"
                      "  return chat:timeout('2s'):server_emit_with_ack('who', 1)\n"
                      "end)\n"
                      "chat:on('clients', function()\n"
                      "  return chat:timeout('2s'):emit_with_ack('sure')\n"
                      "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"servers\"]");
    expect_told("event /chat [\"who\",1]\n");
    hear(f, (struct cluster_message){.kind = CLUSTER_SERVER_ANSWER,
                                     .args = {.json = STR("[{\"n\":1}]")}});
    expect_sent(session, "3/chat,1[[{\"n\":1}]]");

    send_text(f, session, "2/chat,2[\"clients\"]");
    expect_told("broadcast /chat [\"sure\"]\n");
    expect_sent(session, "2/chat,0[\"sure\"]");
    send_text(f, session, "3/chat,0[\"near\"]");
    hear(f, (struct cluster_message){.kind = CLUSTER_CLIENT_COUNT, .count = 2});
    hear(f, (struct cluster_message){.kind = CLUSTER_CLIENT_ANSWER,
                                     .args = {.json = STR("[\"far\"]")}});
    double_loop_advance(f->loop, 2100);
    expect_sent(session, "3/chat,2[[\"near\",\"far\"],\"operation has timed out\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- being asked ----------------------------------------------------------------------------- */

static void hear_event(struct fixture *f, const char *json, const char *request)
{
    hear(f, (struct cluster_message){.kind = CLUSTER_SERVER_EMIT,
                                     .request = str_from(request),
                                     .args = {.json = str_from(json)}});
}

static void events_of_other_servers_run_handlers(void **state)
{
    struct fixture *f = *state;

    start_with_bus(f,
                   "local chat = namespace '/chat'\n"
                   "chat:on_server('tick', function(a, b) log.info(a .. b.x) end)\n"
                   "chat:on_server('who', function(...) return { got = select('#', ...) }, 2 "
                   "end)\n"
                   "chat:on_server('slow', function() sleep('1s') return 'done' end)\n"
                   "chat:on_server('bad', function() error('oops') end)\n"
                   "chat:on_server('endless', function() sleep('1h') end)\n");
    hear_event(f, "[\"tick\",\"n\",{\"x\":5}]", "");
    expect_log(f, "n5");
    hear_event(f, "[\"who\",null,2]", "r1");
    expect_told("server answer /chat for=r1 [{\"got\":2}]\n");
    hear_event(f, "[\"tick\",\"n\",{\"x\":6}]", "r2");
    expect_told("server answer /chat for=r2 [null]\n");
    expect_log(f, "n6");
    hear_event(f, "[\"slow\"]", "r3");
    expect_told("");
    double_loop_advance(f->loop, 1100);
    expect_told("server answer /chat for=r3 [\"done\"]\n");
    hear_event(f, "[\"bad\"]", "r4");
    expect_log(f, "app.lua:5: oops");
    hear_event(f, "[\"unknown\"]", "r5");
    hear_event(f, "[\"endless\"]", "r6"); /* is freed with the server */
    expect_told("");
    expect_log(f, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(what_scripts_do_reaches_other_servers),
        SCRIPT_TEST(reserved_names_are_not_sent_to_servers),
        SCRIPT_TEST(sockets_of_other_servers_are_objects),
        SCRIPT_TEST(what_servers_do_not_answer_is_told),
        SCRIPT_TEST(sockets_and_servers_are_counted),
        SCRIPT_TEST(alone_nothing_has_to_be_waited_for),
        SCRIPT_TEST(servers_and_their_clients_answer),
        SCRIPT_TEST(events_of_other_servers_run_handlers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
