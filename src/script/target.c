#include "script/runtime.h"
#include "script/value_kind.h"

/* A target that lives in Lua: the strings it points to are behind it in one block. */
struct target_object {
    struct target target;
    struct str names[];
};

enum added {
    ADD_NOTHING,
    ADD_ROOMS,
    ADD_EXCEPTIONS,
};

/* --- reading --------------------------------------------------------------------------------- */

static const struct target *target_of_socket(const struct socket_object *socket,
                                             struct target *room)
{
    *room = (struct target){
        .declared = socket->declared,
        .name = socket->nsp_name,
        .socket = socket->handle,
        .socket_id = socket->id,
        .single = true,
    };
    return room;
}

static const struct target *target_of_namespace(lua_State *L, struct target *room)
{
    const struct cfg_namespace_object *object = lua_touserdata(L, 1);
    struct script_namespace *nsp = &script_of(L)->namespaces[object->index];

    *room = (struct target){.declared = nsp, .name = nsp->config->name};
    return room;
}

/* By the room of its id, on whichever server it is. */
static const struct target *target_of_remote(const struct remote_object *remote,
                                             struct target *room)
{
    *room = (struct target){
        .declared = remote->declared,
        .name = remote->nsp_name,
        .room_count = 1,
        .names = &remote->id,
    };
    return room;
}

const struct target *script_target(lua_State *L, struct target *room)
{
    const struct child_object *child;

    switch (script_type(L, 1)) {
    case SCRIPT_SOCKET:
        return target_of_socket(lua_touserdata(L, 1), room);
    case SCRIPT_NAMESPACE:
        return target_of_namespace(L, room);
    case SCRIPT_CHILD:
        child = lua_touserdata(L, 1);
        *room = (struct target){.name = child->name};
        return room;
    case SCRIPT_REMOTE:
        return target_of_remote(lua_touserdata(L, 1), room);
    case SCRIPT_TARGET:
        return &((struct target_object *)lua_touserdata(L, 1))->target;
    default:
        luaL_typeerror(L, 1, "socket, namespace or target (called with ':')");
        return NULL;
    }
}

struct sio_namespace *script_resolve(struct script *script, const struct target *target)
{
    struct script_namespace *declared = target->declared;

    if (!declared)
        return sio_namespace_find(script->server, target->name);
    if (!declared->sio && declared->config->kind == CFG_NAMESPACE_NAMED)
        declared->sio = sio_namespace_find(script->server, target->name);
    return declared->sio;
}

bool script_sio_target(struct script *script, const struct target *target,
                       struct sio_target *to)
{
    *to = (struct sio_target){
        .nsp = script_resolve(script, target),
        .rooms = target->names,
        .room_count = target->room_count,
        .except = target->except_count > 0 ? target->names + target->room_count : NULL,
        .except_count = target->except_count,
    };
    return to->nsp != NULL;
}

/* --- making ---------------------------------------------------------------------------------- */

static char *put_str(struct str *to, struct str text, char *at)
{
    if (text.size > 0)
        memcpy(at, text.at, text.size);
    *to = str_of(at, text.size);
    return at + text.size;
}

static struct str string_at(lua_State *L, int index)
{
    size_t size;
    const char *text = lua_tolstring(L, index, &size);

    return str_of(text, size);
}

static size_t bytes_needed(lua_State *L, const struct target *base, int first, int count)
{
    size_t size = base->name.size + 2 * base->socket_id.size;

    for (uint32_t i = 0; i < base->room_count + base->except_count; i++)
        size += base->names[i].size;
    for (int i = 0; i < count; i++)
        size += string_at(L, first + i).size;
    return size;
}

/*
 * Pushes a copy of `base` with the strings at first..first + count - 1 added. What is broadcast
 * on behalf of a socket leaves it out, as the reference does.
 */
static struct target *push_copy(lua_State *L, const struct target *base, enum added added,
                                int first, int count)
{
    bool leaves = base->single && added != ADD_NOTHING;
    size_t name_count = (size_t)base->room_count + base->except_count + (size_t)count + leaves;
    struct target_object *copy = lua_newuserdatauv(
        L,
        sizeof(*copy) + name_count * sizeof(struct str) + bytes_needed(L, base, first, count),
        0);
    char *bytes = (char *)(copy->names + name_count);
    struct str *name = copy->names;

    copy->target = *base;
    copy->target.names = copy->names;
    bytes = put_str(&copy->target.name, base->name, bytes);
    bytes = put_str(&copy->target.socket_id, base->socket_id, bytes);
    for (uint32_t i = 0; i < base->room_count; i++)
        bytes = put_str(name++, base->names[i], bytes);
    for (int i = 0; i < count && added == ADD_ROOMS; i++)
        bytes = put_str(name++, string_at(L, first + i), bytes);
    copy->target.room_count = (uint32_t)(name - copy->names);
    if (leaves)
        bytes = put_str(name++, base->socket_id, bytes);
    for (uint32_t i = 0; i < base->except_count; i++)
        bytes = put_str(name++, base->names[base->room_count + i], bytes);
    for (int i = 0; i < count && added == ADD_EXCEPTIONS; i++)
        bytes = put_str(name++, string_at(L, first + i), bytes);
    copy->target.except_count = (uint32_t)(name - copy->names) - copy->target.room_count;
    copy->target.single = base->single && !leaves;
    script_set_type(L, SCRIPT_TARGET);
    return &copy->target;
}

/* Rooms, given as strings or lists of strings from argument 2 on, put on the stack one by one;
 * returns how many, they are on top. */
static int spread_rooms(lua_State *L)
{
    int last = lua_gettop(L);

    if (last < 2)
        luaL_argerror(L, 2, "expected the name of a room");
    for (int i = 2; i <= last; i++) {
        if (lua_type(L, i) == LUA_TSTRING) {
            luaL_checkstack(L, 1, "too many rooms");
            lua_pushvalue(L, i);
            continue;
        }
        luaL_argexpected(L, lua_istable(L, i) || value_acts_as_table(value_kind(L, i)), i,
                         "string (a room's name) or a list of them");
        lua_Integer count = luaL_len(L, i);
        for (lua_Integer n = 1; n <= count; n++) {
            luaL_checkstack(L, 2, "too many rooms");
            lua_geti(L, i, n);
            if (lua_type(L, -1) != LUA_TSTRING)
                luaL_argerror(L, i, "expected a list of strings (rooms' names)");
        }
    }
    return lua_gettop(L) - last;
}

static int add_rooms(lua_State *L, enum added added)
{
    struct target room;
    const struct target *base = script_target(L, &room);
    int first = lua_gettop(L) + 1;
    int count = spread_rooms(L);

    push_copy(L, base, added, first, count);
    return 1;
}

static int target_to(lua_State *L)
{
    return add_rooms(L, ADD_ROOMS);
}

static int target_except(lua_State *L)
{
    return add_rooms(L, ADD_EXCEPTIONS);
}

/* All others of a socket's namespace. */
static int target_broadcast(lua_State *L)
{
    struct target room;

    push_copy(L, script_target(L, &room), ADD_ROOMS, 0, 0);
    return 1;
}

static int add_flags(lua_State *L, unsigned flags)
{
    struct target room;

    push_copy(L, script_target(L, &room), ADD_NOTHING, 0, 0)->flags |= flags;
    return 1;
}

static int target_volatile(lua_State *L)
{
    return add_flags(L, SIO_VOLATILE);
}

static int target_local_only(lua_State *L)
{
    return add_flags(L, SIO_LOCAL);
}

static int target_compress(lua_State *L)
{
    struct target room;
    struct target *copy;

    luaL_checktype(L, 2, LUA_TBOOLEAN);
    copy = push_copy(L, script_target(L, &room), ADD_NOTHING, 0, 0);
    copy->flags =
        lua_toboolean(L, 2) ? copy->flags & ~(unsigned)SIO_PLAIN : copy->flags | SIO_PLAIN;
    return 1;
}

static int target_timeout(lua_State *L)
{
    struct target room;
    const struct target *base = script_target(L, &room);
    uint32_t timeout_ms = script_duration(L, 2);
    struct target *copy = push_copy(L, base, ADD_NOTHING, 0, 0);

    copy->has_timeout = true;
    copy->timeout_ms = timeout_ms > 0 ? timeout_ms : 1;
    return 1;
}

/* --- acting on sockets ----------------------------------------------------------------------- */

/* Calls for each socket of a target; socketio's callbacks must not raise Lua errors. */
static void each_socket(struct script *script, const struct target *target,
                        void (*visit)(void *context, struct sio_socket *socket), void *context)
{
    struct sio_target to;

    if (target->single) {
        struct sio_socket *socket = sio_socket_find(script->server, target->socket);
        if (socket)
            visit(context, socket);
    } else if (script_sio_target(script, target, &to)) {
        sio_target_each(&to, visit, context);
    }
}

/* The strings at first..first + count - 1, as a list that is gone with the next scratch. */
static const struct str *list_strings(lua_State *L, struct script *script, int first, int count)
{
    struct buf *scratch = script_scratch(script);

    for (int i = 0; i < count; i++) {
        struct str text = string_at(L, first + i);
        buf_add(scratch, &text, sizeof(text));
    }
    if (buf_failed(scratch))
        luaL_error(L, "out of memory for a list of rooms");
    return (const struct str *)(void *)scratch->at;
}

static bool change_own_rooms(struct sio_socket *socket, const struct str *rooms, int count,
                             bool joins)
{
    for (int i = 0; i < count; i++) {
        if (!joins)
            sio_socket_leave(socket, rooms[i]);
        else if (!sio_socket_join(socket, rooms[i]))
            return false;
    }
    return true;
}

static int change_rooms(lua_State *L, bool joins)
{
    struct script *script = script_started(L, joins ? "join" : "leave");
    struct target room;
    const struct target *target = script_target(L, &room);
    int first = lua_gettop(L) + 1;
    int count = spread_rooms(L);
    const struct str *rooms = list_strings(L, script, first, count);
    struct sio_socket *socket = NULL;
    struct sio_target to;

    if (target->single) {
        socket = sio_socket_find(script->server, target->socket);
        if (socket && !change_own_rooms(socket, rooms, count, joins))
            return luaL_error(L, "join: out of memory");
    } else if (script_sio_target(script, target, &to)) {
        (joins ? cluster_join : cluster_leave)(script->cluster, &to, rooms, (size_t)count,
                                               target->flags);
    }
    lua_pushboolean(L, socket || !target->single);
    return 1;
}

static int target_join(lua_State *L)
{
    return change_rooms(L, true);
}

static int target_leave(lua_State *L)
{
    return change_rooms(L, false);
}

static int target_disconnect(lua_State *L)
{
    struct script *script = script_started(L, "disconnect");
    struct target room;
    const struct target *target = script_target(L, &room);
    bool close = lua_toboolean(L, 2);
    struct sio_socket *socket = NULL;
    struct sio_target to;

    if (target->single) {
        socket = sio_socket_find(script->server, target->socket);
        if (socket)
            sio_socket_disconnect(socket, close);
    } else if (script_sio_target(script, target, &to)) {
        cluster_disconnect(script->cluster, &to, close, target->flags);
    }
    lua_pushboolean(L, socket || !target->single);
    return 1;
}

static void collect(void *context, struct sio_socket *socket)
{
    struct sio_handle handle = sio_socket_handle(socket);

    buf_add(context, &handle, sizeof(handle));
}

static int target_sockets(lua_State *L)
{
    struct script *script = script_started(L, "sockets");
    struct buf *handles = script_scratch(script);
    struct target room;
    size_t count;

    each_socket(script, script_target(L, &room), collect, handles);
    if (buf_failed(handles))
        return luaL_error(L, "sockets: out of memory");
    count = handles->size / sizeof(struct sio_handle);
    lua_createtable(L, count < INT32_MAX ? (int)count : 0, 0);
    for (size_t i = 0; i < count; i++) {
        struct sio_handle handle;
        memcpy(&handle, handles->at + i * sizeof(handle), sizeof(handle));
        script_push_socket(L, sio_socket_find(script->server, handle));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static void count_one(void *context, struct sio_socket *socket)
{
    lua_Integer *count = context;

    (void)socket;
    ++*count;
}

/* On all servers: waits if there may be others. */
static int target_count(lua_State *L)
{
    struct script *script = script_started(L, "count");
    struct target room;
    const struct target *target = script_target(L, &room);
    bool whole = !target->single && target->room_count + target->except_count == 0;
    struct sio_namespace *nsp = script_resolve(script, target);
    lua_Integer count = 0;

    if (nsp && !target->single && !(target->flags & SIO_LOCAL) &&
        !cluster_is_alone(script->cluster))
        return script_count_all(L, target);
    if (whole) {
        count = nsp ? sio_namespace_count(nsp) : 0;
    } else {
        each_socket(script, target, count_one, &count);
    }
    lua_pushinteger(L, count);
    return 1;
}

static void gather_rooms(void *context, struct sio_namespace *nsp)
{
    sio_namespace_rooms(nsp, script_gather, context);
}

/* The rooms of this server, those of the sockets' ids included. */
static int target_rooms(lua_State *L)
{
    struct script *script = script_started(L, "rooms");
    struct buf *scratch = script_scratch(script);
    struct target room;
    struct sio_namespace *nsp = script_resolve(script, script_target(L, &room));

    if (nsp)
        sio_namespace_each(nsp, gather_rooms, scratch);
    script_push_gathered(L, scratch, "rooms");
    return 1;
}

/* --- the type -------------------------------------------------------------------------------- */

const luaL_Reg script_target_methods[] = {
    {"emit",                 script_emit                },
    {"emit_with_ack",        script_emit_with_ack       },
    {"to",                   target_to                  },
    {"except",               target_except              },
    {"broadcast",            target_broadcast           },
    {"volatile",             target_volatile            },
    {"compress",             target_compress            },
    {"local_only",           target_local_only          },
    {"timeout",              target_timeout             },
    {"sockets",              target_sockets             },
    {"fetch",                script_fetch               },
    {"join",                 target_join                },
    {"leave",                target_leave               },
    {"disconnect",           target_disconnect          },
    {"count",                target_count               },
    {"rooms",                target_rooms               },
    {"servers",              script_servers             },
    {"server_emit",          script_server_emit         },
    {"server_emit_with_ack", script_server_emit_with_ack},
    {NULL,                   NULL                       },
};

void script_open_targets(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {NULL, NULL}
    };

    script_new_type(L, SCRIPT_TARGET, metamethods);
    lua_newtable(L);
    luaL_setfuncs(L, script_target_methods, 0);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
