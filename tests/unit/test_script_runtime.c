#include "script_fixture.h"

#include "script/runtime.h"

/* --- middleware ------------------------------------------------------------------------------ */

static void use_lets_pass_or_refuses(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:use(function(socket) socket:join('early') end)\n"
             "chat:use(function(socket)\n"
             "  local auth = socket.handshake.auth\n"
             "  if auth.no then return reject('not you', { code = 401 }) end\n"
             "  if auth.plain then return reject('plain') end\n"
             "  return true\n"
             "end)\n"
             "chat:on('connection', function(socket)\n"
             "  socket:emit('in', socket.connected, #socket.rooms)\n"
             "end)\n");
    session = new_session(f);
    send_text(f, session, "0/chat,{\"no\":true}");
    expect_sent(session, "4/chat,{\"message\":\"not you\",\"data\":{\"code\":401}}");
    send_text(f, session, "0/chat,{\"plain\":true}");
    expect_sent(session, "4/chat,{\"message\":\"plain\"}");
    send_text(f, session, "0/chat,");
    expect_sent(session, "0/chat,{\"sid\":\"<sid>\"}");
    expect_sent(session, "2/chat,[\"in\",true,2]");
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void use_that_fails_or_slips_refuses(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:use(function(socket)\n"
             "  local auth = socket.handshake.auth\n"
             "  if auth.throw then error('secret') end\n"
             "  if auth.text then return 'unauthorized' end\n"
             "  if auth.no then return false end\n"
             "  if auth.yield then coroutine.yield() end\n"
             "end)\n");
    session = new_session(f);
    send_text(f, session, "0/chat,{\"throw\":true}");
    expect_sent(session, "4/chat,{\"message\":\"internal error\"}");
    expect_log(f, "app.lua:4: secret");
    send_text(f, session, "0/chat,{\"text\":true}");
    expect_sent(session, "4/chat,{\"message\":\"internal error\"}");
    expect_log(f, "the use function of line 2 returned a string value");
    send_text(f, session, "0/chat,{\"no\":true}");
    expect_sent(session, "4/chat,{\"message\":\"internal error\"}");
    expect_log(f, "returned a boolean value");
    send_text(f, session, "0/chat,{\"yield\":true}");
    expect_sent(session, "4/chat,{\"message\":\"internal error\"}");
    expect_log(f, "coroutine.yield() outside of coroutines of your own");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void use_may_wait(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:use(function(socket)\n"
             "  sleep('1s')\n"
             "  if socket.handshake.auth.no then return reject('late') end\n"
             "end)\n"
             "chat:use(function(socket) sleep(500) end)\n"
             "chat:on('connection', function(socket) log.info('connected') end)\n");
    session = new_session(f);
    send_text(f, session, "0/chat,");
    double_loop_advance(f->loop, 1001);
    double_loop_advance(f->loop, 1500);
    expect_sent(session, NULL);
    double_loop_advance(f->loop, 1502);
    expect_sent(session, "0/chat,{\"sid\":\"<sid>\"}");
    expect_log(f, "connected");
    close_session(f, session, EIO_TRANSPORT_CLOSE);

    session = new_session(f);
    send_text(f, session, "0/chat,{\"no\":1}");
    double_loop_advance(f->loop, 3000);
    double_loop_advance(f->loop, 4000);
    expect_sent(session, "4/chat,{\"message\":\"late\"}");
    send_text(f, session, "0/chat,");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    double_loop_advance(f->loop, 9000); /* nobody is there to be accepted */
    expect_log(f, NULL);
}

static void use_event_sees_every_handled_event(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat, seen = namespace '/chat', 0\n"
             "chat:use_event(function(socket, event, a)\n"
             "  seen = seen + 1\n"
             "  if a == 'sleep' then sleep(10) end\n"
             "end)\n"
             "chat:use_event(function(socket, event, a, b)\n"
             "  if a == 'no' then return reject('not this', { b = b }) end\n"
             "  if a == 'slip' then return 5 end\n"
             "end)\n"
             "chat:on('do', function(socket, ...) return seen, ... end)\n"
             "chat:on('error', function(socket, err) socket:emit('err', err.message, err.data) "
             "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"do\",\"a\",[2]]");
    expect_sent(session, "3/chat,1[1,\"a\",[2]]");
    send_text(f, session, "2/chat,2[\"do\",\"no\",[2]]");
    expect_sent(session, "2/chat,[\"err\",\"not this\",{\"b\":[2]}]");
    send_text(f, session, "2/chat,[\"unhandled\"]");
    send_text(f, session, "2/chat,3[\"do\",\"sleep\"]");
    expect_sent(session, NULL);
    double_loop_advance(f->loop, 20);
    expect_sent(session, "3/chat,3[3,\"sleep\"]");
    expect_log(f, NULL);
    send_text(f, session, "2/chat,4[\"do\",\"slip\"]");
    expect_sent(session, NULL);
    expect_log(f, "the use_event function of line 6 returned a number value");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void refused_events_are_logged_without_error_handler(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:use_event(function() return reject('not this') end)\n"
             "chat:on('*', function(socket, event) return event end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"do\"]");
    expect_sent(session, NULL);
    expect_log(f, "event refused");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* --- waiting --------------------------------------------------------------------------------- */

static void acknowledgement_comes_after_a_wait(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('slow', function(_, n) sleep(n) return n end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"slow\",200]");
    send_text(f, session, "2/chat,2[\"slow\",100]");
    double_loop_advance(f->loop, 150);
    expect_sent(session, "3/chat,2[100]");
    expect_sent(session, NULL);
    double_loop_advance(f->loop, 300);
    expect_sent(session, "3/chat,1[200]");
    send_text(f, session, "2/chat,3[\"slow\",100]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    double_loop_advance(f->loop, 900); /* the socket is gone */
    expect_log(f, NULL);
}

static void waiting_is_refused_where_nobody_could_go_on(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f,
          "local chat = namespace '/chat'\n"
          "chat:on('own', function() coroutine.wrap(function() sleep(1) end)() end)\n"
          "chat:on('sort', function() table.sort({ 3, 2, 1 }, function() sleep(1) end) end)\n"
          "chat:on('yield', function() coroutine.yield(1) end)\n"
          "chat:on('pcall', function() pcall(sleep, 1) return 'ok' end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"own\"]");
    expect_log(f, "sleep cannot wait in a coroutine that the file made");
    send_text(f, session, "2/chat,[\"sort\"]");
    expect_log(f, "sleep cannot wait in a function that a library function calls");
    send_text(f, session, "2/chat,[\"yield\"]");
    expect_log(f, "coroutine.yield() outside of coroutines of your own");
    send_text(f, session, "2/chat,1[\"pcall\"]");
    double_loop_advance(f->loop, 100);
    expect_sent(session, "3/chat,1[\"ok\"]");
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void a_socket_answers_with_values_or_a_reason(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session, *witness;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('ask', function(socket, d)\n"
             "  local s = d and socket:timeout(d) or socket\n"
             "  chat:to('w'):emit('got', s:emit_with_ack('q', 1))\n"
             "end)\n"
             "chat:on('watch', function(socket) socket:join('w') end)\n");
    witness = enter(f, "/chat");
    send_text(f, witness, "2/chat,[\"watch\"]");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"ask\"]");
    expect_sent(session, "2/chat,0[\"q\",1]");
    send_text(f, session, "3/chat,0[{\"a\":1},2]");
    expect_sent(witness, "2/chat,[\"got\",true,{\"a\":1},2]");
    send_text(f, session, "2/chat,[\"ask\"]");
    expect_sent(session, "2/chat,1[\"q\",1]");
    send_text(f, session, "3/chat,1[]");
    expect_sent(witness, "2/chat,[\"got\",true]");

    send_text(f, session, "2/chat,[\"ask\",\"1s\"]");
    expect_sent(session, "2/chat,2[\"q\",1]");
    double_loop_advance(f->loop, 1100);
    expect_sent(witness, "2/chat,[\"got\",false,\"operation has timed out\"]");
    send_text(f, session, "3/chat,2[\"late\"]");
    expect_sent(witness, NULL);

    send_text(f, session, "2/chat,[\"ask\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    expect_sent(witness, "2/chat,[\"got\",false,\"socket has been disconnected\"]");
    expect_log(f, NULL);
    close_session(f, witness, EIO_TRANSPORT_CLOSE);
}

static void a_broadcast_gathers_first_values(void **state)
{
    struct fixture *f = *state;
    struct eio_session *a, *b;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('ask', function(socket, room)\n"
             "  local target = room and chat:to(room) or chat\n"
             "  local answers, err = target:timeout('2s'):emit_with_ack('q')\n"
             "  return answers, err\n"
             "end)\n");
    a = enter(f, "/chat");
    b = enter(f, "/chat");
    send_text(f, a, "2/chat,7[\"ask\"]");
    expect_sent(a, "2/chat,0[\"q\"]");
    expect_sent(b, "2/chat,0[\"q\"]");
    send_text(f, b, "3/chat,0[\"b\",2]");
    send_text(f, a, "3/chat,0[]");
    expect_sent(a, "3/chat,7[[\"b\",null],null]");

    send_text(f, a, "2/chat,8[\"ask\"]");
    expect_sent(a, "2/chat,1[\"q\"]");
    expect_sent(b, "2/chat,1[\"q\"]");
    send_text(f, a, "3/chat,1[\"a\"]");
    double_loop_advance(f->loop, 2100);
    expect_sent(a, "3/chat,8[[\"a\"],\"operation has timed out\"]");
    expect_log(f, NULL);
    close_session(f, a, EIO_TRANSPORT_CLOSE);
    close_session(f, b, EIO_TRANSPORT_CLOSE);
}

/* Run under AddressSanitizer: what waits when the server ends is freed. */
static void waits_end_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('sleep', function() sleep('1h') end)\n"
             "chat:on('ask', function(socket) chat:timeout('1h'):emit_with_ack('q') end)\n"
             "timer.every('1m', function() end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"sleep\"]");
    send_text(f, session, "2/chat,[\"ask\"]");
    close_session(f, session, EIO_SERVER_SHUTDOWN);
}

/* --- timers ---------------------------------------------------------------------------------- */

static void timers_fire_once_or_again_until_stopped(void **state)
{
    struct fixture *f = *state;

    start(f, "local every, count = nil, 0\n"
             "timer.after('1s', function() log.info('once') end)\n"
             "every = timer.every(2000, function()\n"
             "  count = count + 1\n"
             "  log.info('tick ' .. count)\n"
             "  if count == 2 then every:stop() collectgarbage() end\n"
             "end)\n"
             "timer.after(10, function() error('oops') end)\n"
             "timer.after(10, function() sleep(10) log.info('slept') end)\n"
             "timer.after(10, function() log.info('never') end):stop()\n");
    double_loop_advance(f->loop, 11);
    expect_log(f, "app.lua:8: oops event=timer");
    double_loop_advance(f->loop, 30);
    expect_log(f, "slept");
    double_loop_advance(f->loop, 1001);
    expect_log(f, "once");
    double_loop_advance(f->loop, 2001);
    expect_log(f, "tick 1");
    double_loop_advance(f->loop, 4002);
    expect_log(f, "tick 2");
    double_loop_advance(f->loop, 9000);
    expect_log(f, NULL);
}

/* --- limits ---------------------------------------------------------------------------------- */

static void endless_handlers_are_stopped(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;
    static const char *const events[] = {"loop",    "pcall", "own",  "early",      "wrapped",
                                         "handler", "close", "sort", "sort in own"};

    start(
        f,
        "limits { handler_time = 20 }\n"
        "local chat = namespace '/chat'\n"
        "local function forever() while true do end end\n"
        "local made_early, handler = coroutine.wrap(forever), coroutine.wrap(forever)\n"
        "chat:on('loop', forever)\n"
        "chat:on('pcall', function() while true do pcall(forever) end end)\n"
        "chat:on('own', function() while true do pcall(coroutine.wrap(forever)) end end)\n"
        "chat:on('early', function() made_early() end)\n"
        "chat:on('handler', function() xpcall(forever, forever) forever() end)\n"
        "chat:on('wrapped', handler)\n"
        "chat:on('sort', function()\n"
        "  while true do pcall(table.sort, { 1, 2, 3 }, forever) end\n"
        "end)\n"
        "chat:on('sort in own', function()\n"
        "  local own = function() table.sort({ 1, 2, 3 }, function() pcall(forever) end) end\n"
        "  while true do pcall(coroutine.wrap(own)) end\n"
        "end)\n"
        "chat:on('close', function()\n"
        "  local _ <close> = setmetatable({}, { __close = forever })\n"
        "  forever()\n"
        "end)\n"
        "chat:on('good', function() local n = 0 for i = 1, 1e5 do n = n + i end return n "
        "end)\n");
    session = enter(f, "/chat");
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "2/chat,1[\"%s\"]", events[i]);
        send_text(f, session, text);
        expect_log(f, "app.lua:3: stopped: computed for more than 20 ms (limits.handler_time)");
        expect_sent(session, NULL);
        send_text(f, session, "2/chat,2[\"good\"]");
        expect_sent(session, "3/chat,2[5000050000]");
    }
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* pcall stacks up frames without C recursion: to catch an error in each would take for ever. */
static void deep_pcalls_are_stopped_at_once(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "limits { handler_time = 200 }\n"
             "local chat = namespace '/chat'\n"
             "local function dive() pcall(dive) pcall(dive) end\n"
             "chat:on('dive', dive)\n"
             "chat:on('good', function() return 1 end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"dive\"]");
    expect_log(f, "app.lua:3: stopped: computed for more than 200 ms (limits.handler_time)");
    send_text(f, session, "2/chat,2[\"good\"]");
    expect_sent(session, "3/chat,2[1]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* No hook is called inside a match. */
static void patterns_that_backtrack_for_ever_fail(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(
        f,
        "local chat = namespace '/chat'\n"
        "local spaces = string.rep(' ', 500000)\n"
        "chat:on('trim', function() return (spaces .. 'x' .. spaces):match('^(.-)%s*$') end)\n"
        "chat:on('steps', function() return spaces:find('.-.-.-.-x') end)\n"
        "chat:on('balance', function() return string.rep('(', 500000):find('%b()') end)\n"
        "chat:on('again', function() return spaces:find('(.*)%1x') end)\n"
        "chat:on('set', function() return spaces:find('[' .. string.rep('x', 9999) .. ']') "
        "end)\n"
        "chat:on('good', function() return select(2, spaces:gsub(' ', '%0%0')) end)\n");
    session = enter(f, "/chat");
    static const char *const events[] = {"trim", "steps", "balance", "again", "set"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "2/chat,1[\"%s\"]", events[i]);
        send_text(f, session, text);
        expect_log(f, "pattern too complex (it backtracks too much) namespace=/chat socket=");
        expect_sent(session, NULL);
    }
    send_text(f, session, "2/chat,2[\"good\"]");
    expect_sent(session, "3/chat,2[500000]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void memory_is_limited(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "limits { lua_memory = '4MB' }\n"
             "local chat = namespace '/chat'\n"
             "chat:on('rep', function() return #string.rep('x', 100 * 1024 * 1024) end)\n"
             "chat:on('grow', function() local t = {} while true do t[#t + 1] = {} end end)\n"
             "chat:on('threads', function()\n"
             "  local t = {} while true do t[#t + 1] = coroutine.create(print) end\n"
             "end)\n"
             "chat:on('good', function() return #string.rep('x', 1000000) end)\n");
    session = enter(f, "/chat");
    static const char *const events[] = {"rep", "grow", "threads"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "2/chat,1[\"%s\"]", events[i]);
        send_text(f, session, text);
        expect_log(f, "out of memory in Lua (limits.lua_memory) namespace=/chat socket=");
        assert_true(script_memory(app_of(f)->script) < 1024 * 1024);
        expect_sent(session, NULL);
        send_text(f, session, "2/chat,2[\"good\"]");
        expect_sent(session, "3/chat,2[1000000]");
    }
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

/* Wherever memory ends, one handler is lost and nothing else. */
static void every_shortage_of_memory_is_survived(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;
    struct script *script = app_of(f)->script;

    start(f, "local chat = namespace '/chat'\n"
             "chat:use(function(socket)\n"
             "  if socket.handshake.auth.no then return reject('no', { a = 1 }) end\n"
             "end)\n"
             "chat:use_event(function(socket, event) if event == 'no' then return reject('n') "
             "end end)\n"
             "chat:on('error', function(socket, err) socket:emit('err', err) end)\n"
             "chat:on('*', function(socket, event, ...)\n"
             "  socket:join('a', 'b')\n"
             "  socket.data.x = { 1 }\n"
             "  chat:to('a'):except('c'):emit('new', { n = #socket.rooms }, ...)\n"
             "  sleep(1)\n"
             "  return socket:timeout(1):emit_with_ack('ask')\n"
             "end)\n");
    f->log.level = LOG_OFF;
    for (size_t spare = 0; spare < 12000; spare += 61) {
        session = new_session(f);
        script->memory_limit = script->memory + spare;
        send_text(f, session, "0/chat,{\"no\":1}");
        send_text(f, session, "0/chat,");
        if (sio_namespace_count(sio_namespace_find(f->server, STR("/chat"))) > 0) {
            send_text(f, session, "2/chat,1[\"no\"]");
            send_text(f, session, "2/chat,2[\"do\",{\"a\":[1,2]},[3]]");
            double_loop_advance(f->loop, spare * 100 + 10);
            send_text(f, session, "3/chat,0[{\"b\":1}]");
            double_loop_advance(f->loop, spare * 100 + 20);
        }
        script->memory_limit = SIZE_MAX;
        close_session(f, session, EIO_TRANSPORT_CLOSE);
        lua_gc(script->L, LUA_GCCOLLECT);
    }
    f->log.level = LOG_INFO;
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"no\"]");
    expect_sent(session, "2/chat,[\"err\",{\"message\":\"n\"}]");
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void handlers_nest_only_so_deep(void **state)
{
    struct fixture *f = *state;
    struct eio_session *sessions[40];

    /* each one that goes disconnects the next: a handler in a handler in a handler */
    start(f, "local chat = namespace '/chat'\n"
             "chat:on('disconnect', function()\n"
             "  local left = chat:sockets()\n"
             "  if left[1] then left[1]:disconnect() end\n"
             "end)\n");
    for (size_t i = 0; i < 40; i++)
        sessions[i] = enter(f, "/chat");
    close_session(f, sessions[0], EIO_TRANSPORT_CLOSE);
    expect_log(f, "a handler was not run: handlers nest too deeply event=disconnect");
    for (size_t i = 1; i < 40; i++)
        close_session(f, sessions[i], EIO_TRANSPORT_CLOSE);
}

/* --- the sandbox ----------------------------------------------------------------------------- */

static void what_reaches_the_machine_is_not_there(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(
        f,
        "local chat = namespace '/chat'\n"
        "chat:on('names', function()\n"
        "  local found = {}\n"
        "  for _, n in ipairs { 'io', 'package', 'require', 'dofile', 'loadfile', 'warn' } do\n"
        "    if rawget(_G, n) ~= nil then found[#found + 1] = n end\n"
        "  end\n"
        "  for n in pairs(os) do found[#found + 1] = n end\n"
        "  for n in pairs(debug) do found[#found + 1] = n end\n"
        "  table.sort(found)\n"
        "  return table.concat(found, ' '), string.dump == nil\n"
        "end)\n"
        "chat:on('bytecode', function() return load('\\27Lua') end)\n"
        "chat:on('load', function()\n"
        "  return load('return ...', 'x', 'b')(5), load('return y', 'x', 't', { y = 6 })()\n"
        "end)\n"
        "chat:on('gc', function() setmetatable({}, { __gc = print }) end)\n"
        "chat:on('mt', function(s) return getmetatable(s), getmetatable(chat) end)\n"
        "chat:on('running', function()\n"
        "  local co, main = coroutine.running()\n"
        "  return co == nil, main, coroutine.wrap(function()\n"
        "    local co, main = coroutine.running() return type(co) .. tostring(main) end)()\n"
        "end)\n"
        "chat:on('pattern', function()\n"
        "  local text = ('x'):rep(1 << 20)\n"
        "  local found = text:find('y') == nil and (text .. 'xy'):find('y', 1, true)\n"
        "  return found, pcall(string.gsub, text .. 'x', 'x', '')\n"
        "end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"names\"]");
    expect_sent(session, "3/chat,1[\"clock date difftime time traceback\",true]");
    send_text(f, session, "2/chat,1[\"bytecode\"]");
    expect_sent(session, "3/chat,1[null,\"attempt to load a binary chunk (mode is 't')\"]");
    send_text(f, session, "2/chat,1[\"load\"]");
    expect_sent(session, "3/chat,1[5,6]");
    send_text(f, session, "2/chat,1[\"gc\"]");
    expect_log(f, "setmetatable: __gc is not available");
    send_text(f, session, "2/chat,1[\"mt\"]");
    expect_sent(session, "3/chat,1[false,false]");
    send_text(f, session, "2/chat,1[\"running\"]");
    expect_sent(session, "3/chat,1[true,true,\"threadfalse\"]");
    send_text(f, session, "2/chat,1[\"pattern\"]");
    expect_sent(session, "3/chat,1[1048578,false,\"a text of 1048577 bytes is too long for "
                         "patterns, at most 1048576\"]");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void unknown_names_are_errors_when_they_are_read(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "total = 0\n"
             "chat:on('count', function() total = total + 1 fresh = total return fresh end)\n"
             "chat:on('typo', function() return totl end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,1[\"count\"]");
    expect_sent(session, "3/chat,1[1]");
    send_text(f, session, "2/chat,1[\"typo\"]");
    expect_log(f, "app.lua:4: unknown name 'totl'");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void run_time_methods_do_not_work_while_loading(void **state)
{
    struct fixture *f = *state;
    struct app *app = app_of(f);

    app->config = cfg_load(script_state(app->script), "app.lua",
                           STR(PREAMBLE "namespace('/chat'):emit('x')"), &app->report);
    assert_null(app->config);
    assert_non_null(strstr(app->report.text.at,
                           "emit works in handlers, not while the file is being loaded"));
}

static void log_lines_have_fields(void **state)
{
    struct fixture *f = *state;

    start(f, "timer.after(1, function()\n"
             "  print('a', 1, true)\n"
             "  log.warn('careful', { n = 5, a = 'x', t = { 1, 2 }, f = 1.5 })\n"
             "  log.debug('silent')\n"
             "end)\n");
    double_loop_advance(f->loop, 2);
    expect_log(f, " warn careful a=x f=1.5 n=5 t=[1,2]\n");
}

static void logged_text_stays_on_its_line(void **state)
{
    struct fixture *f = *state;

    start(f, "timer.after(1, function() log.info('a\\nb\\27[1m\\tc') end)\n"
             "timer.after(2, function() error('x\\ny', 0) end)\n");
    double_loop_advance(f->loop, 1);
    expect_log(f, " info a\\nb\\x1b[1m\tc\n");
    double_loop_advance(f->loop, 3);
    expect_log(f, " error x\\ny event=timer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(use_lets_pass_or_refuses),
        SCRIPT_TEST(use_that_fails_or_slips_refuses),
        SCRIPT_TEST(use_may_wait),
        SCRIPT_TEST(use_event_sees_every_handled_event),
        SCRIPT_TEST(refused_events_are_logged_without_error_handler),
        SCRIPT_TEST(acknowledgement_comes_after_a_wait),
        SCRIPT_TEST(waiting_is_refused_where_nobody_could_go_on),
        SCRIPT_TEST(a_socket_answers_with_values_or_a_reason),
        SCRIPT_TEST(a_broadcast_gathers_first_values),
        SCRIPT_TEST(waits_end_with_the_server),
        SCRIPT_TEST(timers_fire_once_or_again_until_stopped),
        SCRIPT_TEST(endless_handlers_are_stopped),
        SCRIPT_TEST(deep_pcalls_are_stopped_at_once),
        SCRIPT_TEST(patterns_that_backtrack_for_ever_fail),
        SCRIPT_TEST(memory_is_limited),
        SCRIPT_TEST(every_shortage_of_memory_is_survived),
        SCRIPT_TEST(handlers_nest_only_so_deep),
        SCRIPT_TEST(what_reaches_the_machine_is_not_there),
        SCRIPT_TEST(unknown_names_are_errors_when_they_are_read),
        SCRIPT_TEST(run_time_methods_do_not_work_while_loading),
        SCRIPT_TEST(log_lines_have_fields),
        SCRIPT_TEST(logged_text_stays_on_its_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
