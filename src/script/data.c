#include "script/data.h"
#include "script/scan.h"

enum {
    DATA_PATH = 1, /* user value: the table of keys from the root, nil for the root itself */
};

struct data {
    struct sio_server *server;
    struct sio_handle socket;
};

/* --- finding ------------------------------------------------------------------------------ */

static struct json_tree *root_of(lua_State *L, const struct data *data)
{
    struct sio_socket *socket = sio_socket_find(data->server, data->socket);
    if (!socket)
        luaL_error(L, "socket.data: the socket has disconnected");

    struct json_tree *root = sio_socket_data(socket);
    if (!root)
        luaL_error(L, "socket.data: not enough memory");
    return root;
}

static struct str string_at(lua_State *L, int index)
{
    struct str text;

    text.at = lua_tolstring(L, index, &text.size);
    return text;
}

/* The element of a node under the key at `key`, or NULL. */
static struct json_tree *element_of(lua_State *L, const struct json_tree *node, int key)
{
    if (json_tree_type(node) == JSON_OBJECT)
        return lua_type(L, key) == LUA_TSTRING ? json_tree_member(node, string_at(L, key))
                                               : NULL;
    if (json_tree_type(node) == JSON_ARRAY && lua_type(L, key) == LUA_TNUMBER) {
        lua_Integer number = lua_tointeger(L, key);
        if (number >= 1 && (size_t)number <= json_tree_count(node))
            return json_tree_element(node, (size_t)number - 1);
    }
    return NULL;
}

static bool is_container(const struct json_tree *node)
{
    return json_tree_type(node) == JSON_OBJECT || json_tree_type(node) == JSON_ARRAY;
}

struct json_tree *data_node(lua_State *L, int index)
{
    struct json_tree *node = root_of(L, lua_touserdata(L, index));

    if (lua_getiuservalue(L, index, DATA_PATH) == LUA_TTABLE) {
        for (lua_Integer i = 1; node && lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
            node = element_of(L, node, -1);
            lua_pop(L, 1);
        }
        if (node)
            lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return node && is_container(node) ? node : NULL;
}

static struct json_tree *check(lua_State *L, int index)
{
    if (value_kind(L, index) != VALUE_DATA)
        luaL_typeerror(L, index, "table");
    return data_node(L, index);
}

/* --- reading ------------------------------------------------------------------------------ */

static struct data *push_data(lua_State *L, struct data data)
{
    struct data *copy = lua_newuserdatauv(L, sizeof(data), 1);

    *copy = data;
    value_set_kind(L, VALUE_DATA);
    return copy;
}

void value_push_data(lua_State *L, struct sio_server *server, struct sio_handle socket)
{
    push_data(L, (struct data){server, socket});
}

/* Pushes a proxy for the element of the one at `index` under the key at `key`. */
static void push_inner(lua_State *L, int index, int key)
{
    lua_Integer length = 0;

    key = lua_absindex(L, key);
    push_data(L, *(struct data *)lua_touserdata(L, index));
    lua_newtable(L);
    if (lua_getiuservalue(L, index, DATA_PATH) == LUA_TTABLE) {
        length = (lua_Integer)lua_rawlen(L, -1);
        for (lua_Integer i = 1; i <= length; i++) {
            lua_rawgeti(L, -1, i);
            lua_rawseti(L, -3, i);
        }
    }
    lua_pop(L, 1);
    lua_pushvalue(L, key);
    lua_rawseti(L, -2, length + 1);
    lua_setiuservalue(L, -2, DATA_PATH);
}

/* Pushes a node that is the element of the proxy at `index` under the key at `key`. */
static void push_node(lua_State *L, int index, int key, const struct json_tree *node)
{
    struct str text;

    switch (json_tree_type(node)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        push_inner(L, index, key);
        break;
    case JSON_STRING:
        text = json_tree_scalar(node);
        lua_pushlstring(L, text.at, text.size);
        break;
    default:
        value_push_scalar(L, json_tree_scalar(node));
    }
}

static int data_index(lua_State *L)
{
    struct json_tree *node = check(L, 1);
    struct json_tree *element = node ? element_of(L, node, 2) : NULL;

    if (element)
        push_node(L, 1, 2, element);
    else
        lua_pushnil(L);
    return 1;
}

lua_Integer data_length(lua_State *L, int index)
{
    struct json_tree *node = check(L, index);

    return node && json_tree_type(node) == JSON_ARRAY ? (lua_Integer)json_tree_count(node) : 0;
}

bool data_step(lua_State *L, int index, lua_Integer *position)
{
    struct json_tree *node = check(L, index);
    struct json_tree *element = NULL;

    if (!node || *position < 0 || (size_t)*position >= json_tree_count(node))
        return false;
    if (json_tree_type(node) == JSON_ARRAY) {
        element = json_tree_element(node, (size_t)*position);
        lua_pushinteger(L, *position + 1);
    } else {
        struct str key;
        element = json_tree_member_at(node, (size_t)*position, &key);
        lua_pushlstring(L, key.at, key.size);
    }
    push_node(L, index, -1, element);
    ++*position;
    return true;
}

bool data_was_removed(lua_State *L, int index, int key, lua_Integer position)
{
    struct json_tree *node = check(L, index);
    struct str name;

    if (position == 0 || !node || json_tree_type(node) != JSON_OBJECT)
        return false;
    return !json_tree_member_at(node, (size_t)position - 1, &name) ||
           !str_equal(name, string_at(L, key));
}

lua_Integer data_find(lua_State *L, int index, int key)
{
    struct json_tree *node = check(L, index);

    if (!node || !element_of(L, node, key))
        return 0;
    if (json_tree_type(node) == JSON_ARRAY)
        return lua_tointeger(L, key);

    struct str name;
    size_t position = 0;
    while (json_tree_member_at(node, position, &name) && !str_equal(name, string_at(L, key)))
        position++;
    return (lua_Integer)position + 1;
}

/* --- assigning ---------------------------------------------------------------------------- */

/* Parses the value at 3 as JSON, to take the place of `old` under the key at 2. */
static struct json_tree *tree_of(lua_State *L, const struct json_tree *old)
{
    struct value_writer *writer = value_scratch(L);

    value_write(L, writer, 3);
    if (writer->attachment_count > 0)
        luaL_error(L, "socket.data holds no binary values (use b:base64())");

    size_t key_size = !old && lua_type(L, 2) == LUA_TSTRING ? lua_rawlen(L, 2) : 0;
    size_t others =
        json_tree_bytes(root_of(L, lua_touserdata(L, 1))) - (old ? json_tree_bytes(old) : 0);
    if (others + key_size + writer->json.size > VALUE_DATA_MAX)
        luaL_error(L, "socket.data would take more than %d bytes", VALUE_DATA_MAX);

    struct json_tree *tree = json_tree_parse(buf_str(&writer->json));
    if (!tree)
        luaL_error(L, "socket.data: not enough memory");
    return tree;
}

/* Which element of an array is assigned, counted from 0; it or the one behind the last. */
static size_t check_position(lua_State *L, const struct json_tree *array, int key, bool removal)
{
    const lua_Integer count = (lua_Integer)json_tree_count(array);
    int is_integer = 0;
    lua_Integer number =
        lua_type(L, key) == LUA_TNUMBER ? lua_tointegerx(L, key, &is_integer) : 0;

    if (!is_integer)
        luaL_error(L, "an array takes integers as keys, not %s", luaL_tolstring(L, key, NULL));
    if (number < 1 || number > count + 1)
        luaL_error(L, "index %I is beyond an array of %I elements", (LUAI_UACINT)number,
                   (LUAI_UACINT)count);
    if (removal && number < count)
        luaL_error(L, "only the last element of an array in socket.data can be removed (use "
                      "table.remove, or json.null)");
    return (size_t)number - 1;
}

static void assign_member(lua_State *L, struct json_tree *node, bool removal)
{
    if (lua_type(L, 2) != LUA_TSTRING)
        luaL_error(L, "an object takes strings as keys, not %s", luaL_tolstring(L, 2, NULL));

    struct json_tree *tree = removal ? NULL : tree_of(L, element_of(L, node, 2));
    if (!json_tree_set(node, string_at(L, 2), tree))
        luaL_error(L, "socket.data: not enough memory, or nested too deeply");
}

static void assign_element(lua_State *L, struct json_tree *node, bool removal)
{
    size_t position = check_position(L, node, 2, removal);
    if (removal && position == json_tree_count(node))
        return;

    struct json_tree *tree = removal ? NULL : tree_of(L, element_of(L, node, 2));
    if (!json_tree_set_at(node, position, tree))
        luaL_error(L, "socket.data: not enough memory, or nested too deeply");
}

static int data_newindex(lua_State *L)
{
    struct json_tree *node = check(L, 1);
    const bool removal = lua_isnil(L, 3);

    if (!node)
        return luaL_error(L, "socket.data: this part of it was removed");
    if (json_tree_type(node) == JSON_OBJECT)
        assign_member(L, node, removal);
    else
        assign_element(L, node, removal);
    return 0;
}

/* --- opening ------------------------------------------------------------------------------ */

static int data_len(lua_State *L)
{
    lua_pushinteger(L, data_length(L, 1));
    return 1;
}

static int data_tostring(lua_State *L)
{
    struct value_writer *writer = value_scratch(L);

    value_write(L, writer, 1);
    lua_pushlstring(L, writer->json.at, writer->json.size);
    return 1;
}

void value_open_data(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__index",    data_index   },
        {"__newindex", data_newindex},
        {"__len",      data_len     },
        {"__pairs",    value_pairs  },
        {"__eq",       value_equal  },
        {"__tostring", data_tostring},
        {NULL,         NULL         },
    };

    value_new_kind(L, VALUE_DATA, "table", metamethods);
}
