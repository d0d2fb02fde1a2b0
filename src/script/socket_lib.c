#include "script/handshake.h"
#include "script/runtime.h"

enum {
    KEPT_HANDSHAKE = 1, /* user value: the handshake's table, once it was asked for */
};

/* --- fields ---------------------------------------------------------------------------------- */

static struct sio_socket *find(lua_State *L, const struct socket_object *object)
{
    return sio_socket_find(script_of(L)->server, object->handle);
}

static void push_str(lua_State *L, struct str text)
{
    lua_pushlstring(L, text.at, text.size);
}

static void get_id(lua_State *L, const struct socket_object *object)
{
    push_str(L, object->id);
}

static void get_handshake(lua_State *L, const struct socket_object *object)
{
    struct sio_socket *socket;

    if (lua_getiuservalue(L, 1, KEPT_HANDSHAKE) == LUA_TTABLE)
        return;
    socket = find(L, object);
    if (!socket)
        luaL_error(L, "socket.handshake: the socket has disconnected");
    script_push_handshake(L, script_scratch(script_of(L)), socket);
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, 1, KEPT_HANDSHAKE);
}

static void get_data(lua_State *L, const struct socket_object *object)
{
    value_push_data(L, script_of(L)->server, object->handle);
}

static void get_rooms(lua_State *L, const struct socket_object *object)
{
    struct buf *scratch = script_scratch(script_of(L));
    struct sio_socket *socket = find(L, object);

    if (socket)
        sio_socket_rooms(socket, script_gather, scratch);
    script_push_gathered(L, scratch, "rooms");
}

static void get_recovered(lua_State *L, const struct socket_object *object)
{
    const struct sio_socket *socket = find(L, object);

    lua_pushboolean(L, socket && sio_socket_recovered(socket));
}

static void get_connected(lua_State *L, const struct socket_object *object)
{
    const struct sio_socket *socket = find(L, object);

    lua_pushboolean(L, socket && sio_socket_connected(socket));
}

static void get_transport(lua_State *L, const struct socket_object *object)
{
    const struct sio_socket *socket = find(L, object);

    if (socket)
        lua_pushstring(L, sio_socket_transport(socket));
    else
        lua_pushnil(L);
}

static void get_namespace(lua_State *L, const struct socket_object *object)
{
    script_push_namespace(L, object->declared, object->nsp_name);
}

static const struct {
    const char *name;
    void (*get)(lua_State *L, const struct socket_object *object);
} fields[] = {
    {"id",        get_id       },
    {"handshake", get_handshake},
    {"data",      get_data     },
    {"rooms",     get_rooms    },
    {"recovered", get_recovered},
    {"connected", get_connected},
    {"transport", get_transport},
    {"namespace", get_namespace},
};

enum {
    FIELD_COUNT = sizeof(fields) / sizeof(fields[0]),
};

/* Upvalue: name → method, or the number of a field. Only sockets get here: the metatable cannot be
 * seen by scripts. */
static int get(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    switch (lua_rawget(L, lua_upvalueindex(1))) {
    case LUA_TFUNCTION:
        return 1;
    case LUA_TNUMBER:
        fields[lua_tointeger(L, -1)].get(L, lua_touserdata(L, 1));
        return 1;
    default:
        return luaL_error(L, "a socket has no '%s'", luaL_tolstring(L, 2, NULL));
    }
}

/* --- socket.data = { … } --------------------------------------------------------------------- */

/* The members of `text`, an object, become those of the tree. */
static bool replace_members(struct json_tree *tree, struct str text, struct buf *key)
{
    struct json_doc doc;
    struct str old;
    bool done = false;

    if (!json_doc_init(&doc, text))
        return false;
    while (json_tree_member_at(tree, 0, &old)) {
        buf_reset(key); /* the name goes with its member */
        if (!buf_add_str(key, old) || !json_tree_set(tree, buf_str(key), NULL))
            goto end;
    }
    for (uint32_t name = json_first(&doc, 0); name != JSON_NONE;
         name = json_next(&doc, 0, name)) {
        struct json_tree *value =
            json_tree_parse(json_raw(&doc, json_member_value(&doc, name)));
        buf_reset(key);
        if (!value || !json_string_decode(key, json_raw(&doc, name))) {
            json_tree_free(value);
            goto end;
        }
        if (!json_tree_set(tree, buf_str(key), value))
            goto end;
    }
    done = true;

end:
    json_doc_free(&doc);
    return done;
}

static int set_data(lua_State *L)
{
    struct script *script = script_of(L);
    struct sio_socket *socket = find(L, lua_touserdata(L, 1));
    struct json_tree *tree;
    struct str text;

    value_writer_reset(&script->writer);
    value_write(L, &script->writer, 3);
    if (script->writer.attachment_count > 0)
        return luaL_error(L, "socket.data cannot hold binary values");
    text = buf_str(&script->writer.json);
    if (text.size == 0 || text.at[0] != '{')
        return luaL_error(L, "socket.data: a table with names expected, got %s",
                          text.size > 0 && text.at[0] == '[' ? "a list" : luaL_typename(L, 3));
    if (text.size > VALUE_DATA_MAX)
        return luaL_error(L, "socket.data: more than %d bytes", VALUE_DATA_MAX);
    if (!socket)
        return 0;
    tree = sio_socket_data(socket);
    if (!tree || !replace_members(tree, text, script_scratch(script)))
        return luaL_error(L, "socket.data: out of memory");
    return 0;
}

static int set(lua_State *L)
{
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "data") == 0)
        return set_data(L);
    return luaL_error(L,
                      "cannot assign socket.%s: keep what belongs to a socket in socket.data",
                      luaL_tolstring(L, 2, NULL));
}

static int to_text(lua_State *L)
{
    const struct socket_object *object = lua_touserdata(L, 1);

    lua_pushliteral(L, "socket ");
    push_str(L, object->id);
    lua_concat(L, 2);
    return 1;
}

/* --- the type -------------------------------------------------------------------------------- */

void script_open_sockets(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__newindex", set    },
        {"__tostring", to_text},
        {NULL,         NULL   },
    };

    script_new_type(L, SCRIPT_SOCKET, metamethods);
    lua_newtable(L);
    luaL_setfuncs(L, script_target_methods, 0);
    for (lua_Integer i = 0; i < FIELD_COUNT; i++) {
        lua_pushinteger(L, i);
        lua_setfield(L, -2, fields[i].name);
    }
    lua_pushcclosure(L, get, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* The namespace of a dynamic child is found by name, because a child may be forgotten when it is
 * empty; declared ones stay. */
static void make_object(lua_State *L, struct sio_socket *socket)
{
    struct sio_namespace *nsp = sio_socket_namespace(socket);
    struct str id = sio_socket_id(socket);
    struct str name = sio_namespace_name(nsp);
    struct socket_object *object =
        lua_newuserdatauv(L, sizeof(*object) + id.size + name.size, 1);

    *object = (struct socket_object){
        .handle = sio_socket_handle(socket),
        .declared = sio_namespace_parent(nsp) ? NULL : sio_namespace_data(nsp),
        .id = str_of(object->text, id.size),
        .nsp_name = str_of(object->text + id.size, name.size),
    };
    memcpy(object->text, id.at, id.size);
    memcpy(object->text + id.size, name.at, name.size);
    script_set_type(L, SCRIPT_SOCKET);
}

void script_keep_handshake(lua_State *L, struct sio_socket *socket)
{
    script_push_handshake(L, script_scratch(script_of(L)), socket);
    lua_setiuservalue(L, -2, KEPT_HANDSHAKE);
}

/* One object a socket, so that scripts can compare sockets and use them as keys. The table is
 * weak: a socket that no script holds costs nothing after the next collection. */
void script_push_socket(lua_State *L, struct sio_socket *socket)
{
    lua_Integer handle = (lua_Integer)sio_socket_handle(socket).value;

    lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->sockets);
    if (lua_rawgeti(L, -1, handle) != LUA_TUSERDATA) {
        lua_pop(L, 1);
        make_object(L, socket);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -3, handle);
    }
    lua_remove(L, -2);
}
