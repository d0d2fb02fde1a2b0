#include "script_fixture.h"

/* --- handlers and acknowledgements ----------------------------------------------------------- */

static void handler_emits_and_acknowledges(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('say', function(socket, text, n)\n"
             "  socket:emit('said', text, n)\n"
             "  return 1, {}\n"
             "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"say\",\"hi\",2]");
    expect_sent(session, "2/chat,[\"said\",\"hi\",2]");
    expect_sent(session, NULL);
    send_text(f, session, "2/chat,7[\"say\",{\"a\":[1]}]");
    expect_sent(session, "2/chat,[\"said\",{\"a\":[1]},null]");
    expect_sent(session, "3/chat,7[1,{}]");
    send_text(f, session, "2/chat,8[\"other\"]");
    expect_sent(session, NULL);
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void returned_values_are_the_acknowledgement(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('nothing', function() return end)\n"
             "chat:on('second', function() return nil, 'x' end)\n"
             "chat:on('echo', function(_, ...) return ... end)\n"
             "chat:on('5', function() return 'five' end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"nothing\"]");
    expect_sent(session, "3/chat,1[]");
    send_text(f, session, "2/chat,2[\"second\"]");
    expect_sent(session, "3/chat,2[null,\"x\"]");
    send_text(f, session, "2/chat,3[\"echo\",1,2.5,[true],{\"b\":1,\"a\":2}]");
    expect_sent(session, "3/chat,3[1,2.5,[true],{\"b\":1,\"a\":2}]");
    send_text(f, session, "2/chat,4[5]");
    expect_sent(session, "3/chat,4[\"five\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void binary_values_travel_both_ways(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('file', function(_, bytes) return bytes end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "51-/chat,1[\"file\",{\"_placeholder\":true,\"num\":0}]");
    send_bytes(f, session, FRAME_BINARY, STR("\x01\x02\x00\x03"));
    expect_sent(session, "61-/chat,1[{\"_placeholder\":true,\"num\":0}]");
    expect_sent_binary(session, STR("\x01\x02\x00\x03"));
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void errors_are_logged_and_not_acknowledged(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('bad', function(socket)\n"
             "  local x = nil + 1\n"
             "end)\n"
             "chat:on('table', function() error({}) end)\n"
             "chat:on('unsendable', function() return print end)\n"
             "chat:on('good', function() return true end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"bad\"]");
    expect_sent(session, NULL);
    expect_log(f, "error app.lua:3: attempt to perform arithmetic on a nil value "
                  "namespace=/chat socket=");
    send_text(f, session, "2/chat,1[\"bad\"]");
    expect_log(f, "event=bad traceback=\"app.lua:3: in function <app.lua:2>\"");
    send_text(f, session, "2/chat,1[\"table\"]");
    expect_log(f, "an error that is a table value");
    send_text(f, session, "2/chat,1[\"unsendable\"]");
    expect_log(f, "app.lua:6: what the handler returned cannot be sent: args[1]: a function");
    expect_sent(session, NULL);
    send_text(f, session, "2/chat,2[\"good\"]");
    expect_sent(session, "3/chat,2[true]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void events_without_handler_reach_the_catch_all(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('own', function() return 'own' end)\n"
             "chat:on('*', function(socket, event, ...) return event, ... end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"own\"]");
    expect_sent(session, "3/chat,1[\"own\"]");
    send_text(f, session, "2/chat,2[\"else\",1]");
    expect_sent(session, "3/chat,2[\"else\",1]");
    /* names of the life cycle are ordinary when a client sends them */
    send_text(f, session, "2/chat,3[\"connection\"]");
    expect_sent(session, "3/chat,3[\"connection\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- life ------------------------------------------------------------------------------------ */

static void life_cycle_handlers_see_rooms_and_reasons(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session, *witness;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('connection', function(socket)\n"
             "  socket:join('b', 'a')\n"
             "  socket:emit('rooms', #socket.rooms, socket.rooms[2], socket.rooms[3])\n"
             "end)\n"
             "chat:on('disconnecting', function(socket, reason)\n"
             "  socket:broadcast():emit('leaving', reason, #socket.rooms, socket.connected)\n"
             "end)\n"
             "chat:on('disconnect', function(socket, reason)\n"
             "  chat:emit('left', reason, #socket.rooms, #socket.id, socket.connected,\n"
             "    socket.handshake.address, socket:emit('x'))\n"
             "end)\n");
    witness = enter(f, "/chat");
    expect_sent(witness, "2/chat,[\"rooms\",3,\"b\",\"a\"]");
    session = enter(f, "/chat");
    expect_sent(session, "2/chat,[\"rooms\",3,\"b\",\"a\"]");
    close_session(f, session, EIO_PING_TIMEOUT);
    expect_sent(witness, "2/chat,[\"leaving\",\"ping timeout\",3,true]");
    expect_sent(witness, "2/chat,[\"left\",\"ping timeout\",0,20,false,\"192.0.2.7\",true]");
    expect_log(f, NULL);
    close_session(f, witness, EIO_TRANSPORT_CLOSE);
}

static void undecodable_packets_run_the_error_handler(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(
        f,
        "local chat = namespace '/chat'\n"
        "chat:on('error', function(socket, err) log.info('told ' .. type(err.message)) end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[broken");
    expect_log(f, "told string");
    close_session(f, session, EIO_FORCED_CLOSE);
}

static void handshake_is_what_the_reference_shows(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('connection', function(socket)\n"
             "  local h = socket.handshake\n"
             "  socket:emit('h', h.headers, h.time, h.address, h.xdomain, h.secure, h.issued)\n"
             "  socket:emit('q', h.url, h.query, h.auth, socket.transport, socket.recovered,\n"
             "    socket.namespace.name, socket.namespace == chat)\n"
             "end)\n");
    session = new_session(f);
    send_text(f, session, "0/chat,{\"token\":{\"x\":1}}");
    expect_sent(session, "0/chat,{\"sid\":\"<sid>\"}");
    expect_sent(session,
                "2/chat,[\"h\",{\"cookie\":\"a=1; b=2\",\"host\":\"example.com\","
                "\"x-tag\":\"one, two\"},\"Fri Jan 02 2026 03:04:05 GMT+0000 "
                "(Coordinated Universal Time)\",\"192.0.2.7\",true,false,1767323045678]");
    expect_sent(session, "2/chat,[\"q\",\"/socket.io/?EIO=4&transport=websocket&token=a%20b\","
                         "{\"EIO\":\"4\",\"token\":\"a b\",\"transport\":\"websocket\"},"
                         "{\"token\":{\"x\":1}},\"websocket\",false,\"/chat\",true]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void a_socket_is_one_object(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat, seen = namespace '/chat', {}\n"
             "chat:on('mark', function(socket) seen[socket] = 'marked' end)\n"
             "chat:on('look', function(socket)\n"
             "  return seen[socket], chat:sockets()[1] == socket, tostring(socket):sub(1, 7)\n"
             "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"mark\"]");
    lua_gc(script_state(app_of(f)->script), LUA_GCCOLLECT);
    send_text(f, session, "2/chat,1[\"look\"]");
    expect_sent(session, "3/chat,1[\"marked\",true,\"socket \"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void methods_of_a_socket_that_went_do_nothing(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat, kept = namespace '/chat', nil\n"
             "chat:on('connection', function(socket) kept = kept or socket end)\n"
             "chat:on('try', function()\n"
             "  return kept.connected, kept:emit('x'), kept:join('r'), kept:leave('r'),\n"
             "    kept:disconnect(), #kept.rooms, #kept.id, kept.namespace.name,\n"
             "    kept:volatile():emit('y'), kept:emit_with_ack('z')\n"
             "end)\n");
    session = enter(f, "/chat");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"try\"]");
    expect_sent(session, "3/chat,1[false,false,false,false,false,0,20,\"/chat\",false,false,"
                         "\"socket has been disconnected\"]");
    expect_sent(session, NULL);
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void data_of_a_socket_is_kept_and_replaced(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('put', function(socket) socket.data.user = { name = 'ann' } end)\n"
             "chat:on('get', function(socket) return socket.data end)\n"
             "chat:on('set', function(socket, t) socket.data = t end)\n"
             "chat:on('more', function(socket) socket.data = { a = { b = { 1, 2 } } } end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"put\"]");
    send_text(f, session, "2/chat,1[\"get\"]");
    expect_sent(session, "3/chat,1[{\"user\":{\"name\":\"ann\"}}]");
    send_text(f, session, "2/chat,[\"set\",{\"b\":1,\"a\":\"\\u00e9\"}]");
    send_text(f, session, "2/chat,2[\"get\"]");
    expect_sent(session, "3/chat,2[{\"b\":1,\"a\":\"\xc3\xa9\"}]");
    send_text(f, session, "2/chat,[\"more\"]");
    send_text(f, session, "2/chat,3[\"get\"]");
    expect_sent(session, "3/chat,3[{\"a\":{\"b\":[1,2]}}]");
    expect_log(f, NULL);
    send_text(f, session, "2/chat,[\"set\",[1]]");
    expect_log(f, "socket.data: a table with names expected, got a list");
    send_text(f, session, "2/chat,[\"set\",5]");
    expect_log(f, "socket.data: a table with names expected, got number");
    send_text(f, session, "2/chat,4[\"get\"]");
    expect_sent(session, "3/chat,4[{\"a\":{\"b\":[1,2]}}]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void slips_with_fields_are_errors(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('read', function(socket) return socket.idd end)\n"
             "chat:on('write', function(socket) socket.user = 1 end)\n"
             "chat:on('dot', function(socket) socket.emit('x') end)\n"
             "chat:on('nsp', function(socket) chat:sendto('x') end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"read\"]");
    expect_log(f, "app.lua:2: a socket has no 'idd'");
    send_text(f, session, "2/chat,[\"write\"]");
    expect_log(f, "cannot assign socket.user: keep what belongs to a socket in socket.data");
    send_text(f, session, "2/chat,[\"dot\"]");
    expect_log(f, "socket, namespace or target (called with ':') expected, got string");
    send_text(f, session, "2/chat,[\"nsp\"]");
    expect_log(f, "a namespace has no 'sendto'");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- emitting -------------------------------------------------------------------------------- */

static void reserved_names_cannot_be_emitted(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('emit', function(socket, name) socket:emit(name) end)\n");
    session = enter(f, "/chat");
    static const char *const reserved[] = {"connect",       "connect_error", "disconnect",
                                           "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "2/chat,[\"emit\",\"%s\"]", reserved[i]);
        send_text(f, session, text);
        expect_log(f, "is a reserved event name");
    }
    send_text(f, session, "2/chat,[\"emit\",\"connection\"]");
    expect_sent(session, "2/chat,[\"connection\"]");
    send_text(f, session, "2/chat,[\"emit\",\"\"]");
    expect_sent(session, "2/chat,[\"\"]");
    send_text(f, session, "2/chat,[\"emit\",5]");
    expect_sent(session, "2/chat,[5]");
    send_text(f, session, "2/chat,[\"emit\",true]");
    expect_log(f, "string or number (the event's name) expected, got boolean");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void targets_select_rooms_and_leave_out(void **state)
{
    struct fixture *f = *state;
    struct eio_session *a, *b, *c;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('join', function(socket, ...) return socket:join(...) end)\n"
             "chat:on('others', function(socket) socket:broadcast():emit('o') end)\n"
             "chat:on('to', function(socket, ...) socket:to(...):emit('t') end)\n"
             "chat:on('all', function(socket, ...) chat:to(...):emit('a') end)\n"
             "chat:on('not', function(socket, ...)\n"
             "  local everybody = chat:except(...)\n"
             "  everybody:to('nobody'):emit('lost')\n"
             "  everybody:emit('n', everybody:count(), chat:count())\n"
             "end)\n");
    a = enter(f, "/chat");
    b = enter(f, "/chat");
    c = enter(f, "/chat");
    send_text(f, b, "2/chat,1[\"join\",\"x\",\"y\"]");
    expect_sent(b, "3/chat,1[true]");
    send_text(f, c, "2/chat,1[\"join\",[\"y\"]]");
    expect_sent(c, "3/chat,1[true]");

    send_text(f, a, "2/chat,[\"others\"]");
    expect_sent(a, NULL);
    expect_sent(b, "2/chat,[\"o\"]");
    expect_sent(c, "2/chat,[\"o\"]");
    send_text(f, b, "2/chat,[\"to\",\"y\"]");
    expect_sent(b, NULL);
    expect_sent(c, "2/chat,[\"t\"]");
    send_text(f, b, "2/chat,[\"all\",\"x\",\"y\"]");
    expect_sent(a, NULL);
    expect_sent(b, "2/chat,[\"a\"]");
    expect_sent(c, "2/chat,[\"a\"]");
    send_text(f, b, "2/chat,[\"not\",[\"x\",\"z\"]]");
    expect_sent(a, "2/chat,[\"n\",2,3]");
    expect_sent(b, NULL);
    expect_sent(c, "2/chat,[\"n\",2,3]");
    send_text(f, b, "2/chat,[\"to\",5]");
    expect_log(f, "string (a room's name) or a list of them expected, got number");
    send_text(f, b, "2/chat,[\"to\"]");
    expect_log(f, "expected the name of a room");
    close_session(f, a, EIO_TRANSPORT_CLOSE);
    close_session(f, b, EIO_TRANSPORT_CLOSE);
    close_session(f, c, EIO_TRANSPORT_CLOSE);
}

static void targets_move_and_disconnect_sockets(void **state)
{
    struct fixture *f = *state;
    struct eio_session *a, *b;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('connection', function(socket) socket:join('all') end)\n"
             "chat:on('move', function(socket)\n"
             "  chat:to('all'):join('new', 'more')\n"
             "  chat:to('new'):leave('all')\n"
             "  return chat:to('all'):count(), #chat:to('more'):sockets()\n"
             "end)\n"
             "chat:on('end', function(socket) socket:to('new'):disconnect() end)\n"
             "chat:on('close', function(socket) socket:disconnect(true) end)\n");
    a = enter(f, "/chat");
    b = enter(f, "/chat");
    send_text(f, a, "2/chat,1[\"move\"]");
    expect_sent(a, "3/chat,1[0,2]");
    send_text(f, a, "2/chat,[\"end\"]");
    expect_sent(a, NULL);
    expect_sent(b, "1/chat,");
    assert_false(b->close_called);
    send_text(f, a, "2/chat,[\"close\"]");
    expect_sent(a, "1/chat,");
    assert_true(a->close_called);
    close_session(f, a, EIO_FORCED_CLOSE);
    close_session(f, b, EIO_TRANSPORT_CLOSE);
}

static void volatile_events_are_dropped_for_busy_sockets(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('go', function(socket)\n"
             "  socket:volatile():emit('drop')\n"
             "  chat:volatile():compress(true):local_only():emit('drop')\n"
             "  socket:compress(false):emit('keep')\n"
             "end)\n");
    session = enter(f, "/chat");
    session->writable = false;
    send_text(f, session, "2/chat,[\"go\"]");
    expect_sent(session, "2/chat,[\"keep\"]");
    expect_sent(session, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- dynamic namespaces, decisions ------------------------------------------------------------ */

static void dynamic_namespaces_share_handlers(void **state)
{
    struct fixture *f = *state;
    struct eio_session *one, *two;

    start(f, "local org = namespace '/org-*'\n"
             "org:on('here', function(socket)\n"
             "  local nsp = socket.namespace\n"
             "  nsp:emit('only', nsp.name, nsp == socket.namespace, nsp:count())\n"
             "  org:emit('both', org:count(), org.name)\n"
             "end)\n"
             "org:on('more', function(socket) socket:broadcast():emit('x') end)\n");
    one = enter(f, "/org-1");
    two = enter(f, "/org-2");
    send_text(f, one, "2/org-1,[\"here\"]");
    expect_sent(one, "2/org-1,[\"only\",\"/org-1\",true,1]");
    expect_sent(one, "2/org-1,[\"both\",2,\"/org-*\"]");
    expect_sent(two, "2/org-2,[\"both\",2,\"/org-*\"]");
    send_text(f, two, "2/org-2,[\"more\"]");
    expect_sent(one, NULL);
    expect_log(f, NULL);
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    close_session(f, two, EIO_TRANSPORT_CLOSE);
}

static void functions_decide_about_namespaces(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local mine = namespace(function(name, auth)\n"
             "  if name == '/wait' then sleep(1) end\n"
             "  if name == '/throw' then error('no') end\n"
             "  return name == '/mine' and auth.key == 5\n"
             "end)\n"
             "mine:on('who', function(socket) return socket.namespace.name end)\n");
    session = new_session(f);
    send_text(f, session, "0/mine,{\"key\":4}");
    expect_sent(session, "4/mine,{\"message\":\"Invalid namespace\"}");
    send_text(f, session, "0/wait,");
    expect_sent(session, "4/wait,{\"message\":\"Invalid namespace\"}");
    expect_log(f, "sleep cannot wait in a function that decides about origins or names");
    send_text(f, session, "0/throw,");
    expect_sent(session, "4/throw,{\"message\":\"Invalid namespace\"}");
    expect_log(f, "app.lua:3: no");
    send_text(f, session, "0/mine,{\"key\":5}");
    expect_sent(session, "0/mine,{\"sid\":\"<sid>\"}");
    send_text(f, session, "2/mine,1[\"who\"]");
    expect_sent(session, "3/mine,1[\"/mine\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void functions_decide_about_origins(void **state)
{
    struct fixture *f = *state;

    start(f, "cors { origins = function(origin)\n"
             "  if origin == 'https://bad' then return nil + 1 end\n"
             "  return origin == 'https://good'\n"
             "end }\n");
    assert_true(script_allows_origin(app_of(f)->script, STR("https://good")));
    assert_false(script_allows_origin(app_of(f)->script, STR("https://other")));
    expect_log(f, NULL);
    assert_false(script_allows_origin(app_of(f)->script, STR("https://bad")));
    expect_log(f, "app.lua:2: attempt to perform arithmetic on a nil value");
}

static void undeclared_root_accepts_everybody(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "");
    session = new_session(f);
    send_text(f, session, "0");
    expect_sent(session, "0{\"sid\":\"<sid>\"}");
    send_text(f, session, "21[\"x\"]");
    expect_sent(session, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(handler_emits_and_acknowledges),
        SCRIPT_TEST(returned_values_are_the_acknowledgement),
        SCRIPT_TEST(binary_values_travel_both_ways),
        SCRIPT_TEST(errors_are_logged_and_not_acknowledged),
        SCRIPT_TEST(events_without_handler_reach_the_catch_all),
        SCRIPT_TEST(life_cycle_handlers_see_rooms_and_reasons),
        SCRIPT_TEST(undecodable_packets_run_the_error_handler),
        SCRIPT_TEST(handshake_is_what_the_reference_shows),
        SCRIPT_TEST(a_socket_is_one_object),
        SCRIPT_TEST(methods_of_a_socket_that_went_do_nothing),
        SCRIPT_TEST(data_of_a_socket_is_kept_and_replaced),
        SCRIPT_TEST(slips_with_fields_are_errors),
        SCRIPT_TEST(reserved_names_cannot_be_emitted),
        SCRIPT_TEST(targets_select_rooms_and_leave_out),
        SCRIPT_TEST(targets_move_and_disconnect_sockets),
        SCRIPT_TEST(volatile_events_are_dropped_for_busy_sockets),
        SCRIPT_TEST(dynamic_namespaces_share_handlers),
        SCRIPT_TEST(functions_decide_about_namespaces),
        SCRIPT_TEST(functions_decide_about_origins),
        SCRIPT_TEST(undeclared_root_accepts_everybody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
