/* Sockets of any server, asked for by fetch(). */
#include "script/waits.h"

enum {
    REMOTE_VALUE = 1, /* user value: what the server said, as a lazy value */
};

static struct str string_of(lua_State *L, int index)
{
    size_t size = 0;
    const char *text = lua_tolstring(L, index, &size);

    return str_of(text, size);
}

void script_push_remote(lua_State *L, struct script_namespace *declared, struct str nsp_name,
                        struct str json)
{
    struct remote_object *remote;
    struct str id;

    value_push_json(L, json);
    lua_getfield(L, -1, "id");
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "a socket without an id");
    id = string_of(L, -1);
    remote = lua_newuserdatauv(L, sizeof(*remote) + id.size + nsp_name.size, 1);
    *remote = (struct remote_object){
        .declared = declared,
        .id = str_of(remote->text, id.size),
        .nsp_name = str_of(remote->text + id.size, nsp_name.size),
    };
    memcpy(remote->text, id.at, id.size);
    memcpy(remote->text + id.size, nsp_name.at, nsp_name.size);
    script_set_type(L, SCRIPT_REMOTE);
    lua_pushvalue(L, -3);
    lua_setiuservalue(L, -2, REMOTE_VALUE);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Upvalue: name → method, or true for what the server told. */
static int get(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    switch (lua_rawget(L, lua_upvalueindex(1))) {
    case LUA_TFUNCTION:
        return 1;
    case LUA_TBOOLEAN:
        lua_getiuservalue(L, 1, REMOTE_VALUE);
        lua_pushvalue(L, 2);
        lua_gettable(L, -2);
        return 1;
    default:
        return luaL_error(L, "a socket that was fetched has no '%s'",
                          luaL_tolstring(L, 2, NULL));
    }
}

static int set(lua_State *L)
{
    return luaL_error(L, "cannot assign to '%s' of a socket that was fetched",
                      luaL_tolstring(L, 2, NULL));
}

static int to_text(lua_State *L)
{
    const struct remote_object *remote = lua_touserdata(L, 1);

    lua_pushliteral(L, "socket ");
    lua_pushlstring(L, remote->id.at, remote->id.size);
    lua_concat(L, 2);
    return 1;
}

void script_open_remotes(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__newindex", set    },
        {"__tostring", to_text},
        {NULL,         NULL   },
    };
    static const char *const told[] = {"id", "handshake", "rooms", "data"};
    static const char *const methods[] = {"emit", "join", "leave", "disconnect"};

    script_new_type(L, SCRIPT_REMOTE, metamethods);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
        lua_pushboolean(L, true);
        lua_setfield(L, -2, told[i]);
    }
    for (const luaL_Reg *method = script_target_methods; method->name; method++) {
        for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
            if (strcmp(method->name, methods[i]) != 0)
                continue;
            lua_pushcfunction(L, method->func);
            lua_setfield(L, -2, method->name);
        }
    }
    lua_pushcclosure(L, get, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* --- asking ---------------------------------------------------------------------------------- */

static int fetch(lua_State *L, struct coroutine *coroutine, const struct target *target,
                 enum wait_for what, lua_KFunction go_on)
{
    struct script *script = coroutine->script;
    struct sio_target to;
    struct wait *wait;

    script_sio_target(script, target, &to);
    if (target->single) {
        to.rooms = &target->socket_id;
        to.room_count = 1;
    }
    wait = script_new_wait(L, coroutine, target, what);
    if (!cluster_fetch(script->cluster, &to, target->timeout_ms, target->flags,
                       &wait_cluster_sockets, wait)) {
        script_drop_wait(wait);
        return luaL_error(L, "out of memory");
    }
    return script_await(L, coroutine, go_on);
}

/* local sockets, err = target:fetch() */
int script_fetch(lua_State *L)
{
    struct coroutine *coroutine = script_may_wait(L, "fetch");
    struct target room;
    const struct target *target = script_target(L, &room);

    if (!script_resolve(coroutine->script, target)) {
        lua_newtable(L);
        return 1;
    }
    return fetch(L, coroutine, target, WAIT_FOR_SOCKETS, wait_return_list);
}

int script_count_all(lua_State *L, const struct target *target)
{
    return fetch(L, script_may_wait(L, "count"), target, WAIT_FOR_COUNT, wait_return_count);
}

/* local count, err = ns:servers() */
int script_servers(lua_State *L)
{
    struct coroutine *coroutine = script_may_wait(L, "servers");
    struct script *script = coroutine->script;
    struct target room;
    const struct target *target = script_target(L, &room);
    struct sio_namespace *nsp = script_resolve(script, target);
    struct wait *wait;

    if (!nsp) {
        lua_pushinteger(L, 1);
        return 1;
    }
    wait = script_new_wait(L, coroutine, target, WAIT_FOR_COUNT);
    if (!cluster_servers(script->cluster, nsp, wait_counted, wait)) {
        script_drop_wait(wait);
        return luaL_error(L, "servers: out of memory");
    }
    return script_await(L, coroutine, wait_return_count);
}
