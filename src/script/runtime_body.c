#include "script/runtime.h"

static void push_text(lua_State *L, struct str text)
{
    lua_pushlstring(L, text.at, text.size);
}

int script_ended(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

int script_body_plain(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    script_push_function(L, run->function);
    lua_callk(L, 0, 0, 0, script_ended);
    return 0;
}

/* function(socket), function(socket, reason) */
int script_body_life(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    int count = 1;

    script_push_function(L, run->function);
    script_push_socket(L, run->socket);
    if (run->text.size > 0) {
        push_text(L, run->text);
        count++;
    }
    lua_callk(L, count, 0, 0, script_ended);
    return 0;
}

/* function(socket, { message = … }) */
int script_body_error(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);

    script_push_function(L, run->function);
    script_push_socket(L, run->socket);
    lua_createtable(L, 0, 1);
    push_text(L, run->text);
    lua_setfield(L, -2, "message");
    lua_callk(L, 2, 0, 0, script_ended);
    return 0;
}

/* function(origin), function(name, auth): no waiting, the caller needs the answer. */
int script_body_decision(lua_State *L)
{
    struct run *run = lua_touserdata(L, 1);
    int count = 1;

    script_push_function(L, run->function);
    push_text(L, run->text);
    if (run->auth.size > 0) {
        value_push_json(L, run->auth);
        count++;
    }
    lua_call(L, count, 1);
    run->decision = lua_toboolean(L, -1);
    return 0;
}

/* What the handler returned, first..top, is the acknowledgement. */
static void acknowledge(lua_State *L, int first)
{
    struct script *script = script_of(L);
    struct coroutine *coroutine = script->current;
    struct sio_socket *socket;
    struct sio_args args;

    if (!coroutine->wants_ack || script->stopping)
        return;
    coroutine->acknowledging = true;
    value_writer_reset(&script->writer);
    value_write_array(L, &script->writer, first, lua_gettop(L));
    socket = sio_socket_find(script->server, coroutine->socket);
    if (!socket)
        return;
    args = value_writer_args(&script->writer);
    sio_socket_ack(socket, coroutine->ack_id, &args);
}

int script_event_handled(lua_State *L, int status, lua_KContext first)
{
    (void)status;
    acknowledge(L, (int)first);
    return 0;
}

/* The first value that the handler returned is the answer, null if there is none. */
static int server_event_handled(lua_State *L, int status, lua_KContext context)
{
    struct script *script = script_of(L);
    struct coroutine *coroutine = script->current;
    struct cluster_answer *answer = coroutine->answer;
    struct sio_args args;
    (void)status;
    (void)context;

    if (!answer || script->stopping)
        return 0;
    value_writer_reset(&script->writer);
    value_write_array(L, &script->writer, 1, lua_gettop(L));
    args = value_writer_args(&script->writer);
    coroutine->answer = NULL;
    cluster_server_answer(answer, &args);
    return 0;
}

/* function(…) */
int script_body_server_event(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    int count;

    lua_settop(L, 0);
    script_push_function(L, run->function);
    count = value_push_args(L, run->arrived_from_server);
    lua_callk(L, count, LUA_MULTRET, 0, server_event_handled);
    return server_event_handled(L, LUA_OK, 0);
}

/* function(socket, …), and of "*" function(socket, event, …) */
int script_body_event(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    int count = 1;

    script_push_function(L, run->function);
    script_push_socket(L, run->socket);
    if (run->pass_name) {
        push_text(L, run->arrived->name);
        count++;
    }
    count += value_push_args(L, &run->arrived->args);
    lua_callk(L, count, LUA_MULTRET, 2, script_event_handled);
    return script_event_handled(L, LUA_OK, 2);
}
