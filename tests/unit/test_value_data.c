#include "value_state.h"

#include <string.h>

/* --- doubles: one socket that may be gone ------------------------------------------------- */

struct sio_socket {
    struct json_tree *data;
    bool is_gone;
};

static const struct sio_handle HANDLE = {7};

/* The server is only handed through to here. */
struct sio_server {
    struct sio_socket socket;
};

struct sio_socket *sio_socket_find(const struct sio_server *server, struct sio_handle handle)
{
    struct sio_socket *socket = (struct sio_socket *)&server->socket;

    assert_true(handle.value == HANDLE.value);
    return socket->is_gone ? NULL : socket;
}

struct json_tree *sio_socket_data(struct sio_socket *socket)
{
    if (!socket->data)
        socket->data = json_tree_new_object();
    return socket->data;
}

/* --- fixture ------------------------------------------------------------------------------ */

struct data_fixture {
    struct fixture *lua;
    struct sio_server server;
};

static int set_up_data(void **state)
{
    struct data_fixture *fixture = calloc(1, sizeof(*fixture));
    void *lua;
    assert_non_null(fixture);

    set_up(&lua);
    fixture->lua = lua;
    value_push_data(fixture->lua->L, &fixture->server, HANDLE);
    lua_setglobal(fixture->lua->L, "data");
    *state = fixture;
    return 0;
}

static int tear_down_data(void **state)
{
    struct data_fixture *fixture = *state;
    void *lua = fixture->lua;

    tear_down(&lua);
    json_tree_free(fixture->server.socket.data);
    free(fixture);
    return 0;
}

static struct fixture *lua_of(void **state)
{
    return ((struct data_fixture *)*state)->lua;
}

static void assert_data(void **state, const char *expected)
{
    struct data_fixture *fixture = *state;
    struct buf text;

    buf_init(&text, OUTPUT_MAX);
    assert_true(json_tree_write(&text, sio_socket_data(&fixture->server.socket)));
    if (!str_equal(buf_str(&text), str_from(expected)))
        fail_msg("holds %.*s\nnot   %s", (int)text.size, text.at, expected);
    buf_free(&text);
}

/* --- tests -------------------------------------------------------------------------------- */

static void assignments_persist_in_the_sockets_tree(void **state)
{
    run(lua_of(state), "[]",
        "assert(type(data) == 'table' and next(data) == nil and data.x == nil and #data == 0)\n"
        "data.user = 'ann'; data.n = 1; data.f = 1.5; data.t = true; data.z = json.null\n"
        "data.a = {b = {c = 1}}; data.a.b.d = 2; data.list = {1, 2}; data.list[3] = 'x'\n"
        "assert(data.user == 'ann' and math.type(data.n) == 'integer' and data.f == 1.5)\n"
        "assert(data.t == true and data.z == json.null and data.a.b.d == 2 and #data.list == "
        "3)\n"
        "assert(type(data.a) == 'table' and tostring(data.a) == '{\"b\":{\"c\":1,\"d\":2}}')");
    assert_data(state, "{\"user\":\"ann\",\"n\":1,\"f\":1.5,\"t\":true,\"z\":null,"
                       "\"a\":{\"b\":{\"c\":1,\"d\":2}},\"list\":[1,2,\"x\"]}");
    run(lua_of(state), "[]",
        "data.a.b = nil; data.user = nil; data.missing = nil\n"
        "assert(data.a.b == nil and data.user == nil)");
    assert_data(state,
                "{\"n\":1,\"f\":1.5,\"t\":true,\"z\":null,\"a\":{},\"list\":[1,2,\"x\"]}");
}

static void what_is_assigned_is_a_copy(void **state)
{
    run(lua_of(state), "[{\"k\":[1]}]",
        "local o, t = ..., {1}\n"
        "data.o = o; data.t = t; data.copy = data.o\n"
        "o.k[1] = 2; t[1] = 2; data.o.k[1] = 3\n"
        "assert(data.o.k[1] == 3 and data.t[1] == 1 and data.copy.k[1] == 1)");
    assert_data(state, "{\"o\":{\"k\":[3]},\"t\":[1],\"copy\":{\"k\":[1]}}");
}

static void proxies_iterate_compare_and_are_sent(void **state)
{
    returns(lua_of(state), "[{\"y\":[1,2]}]",
            "local o, keys = ..., {}\n"
            "data.z = 1; data.y = {1, 2}; data.a = 'x'\n"
            "for k, v in pairs(data) do keys[#keys + 1] = k end\n"
            "assert(table.concat(keys, ' ') == 'z y a')\n"
            "keys = {}; for k in next, data do keys[#keys + 1] = k end\n"
            "assert(table.concat(keys, ' ') == 'z y a' and not pcall(next, data, 'q'))\n"
            "local n = 0; for i, v in ipairs(data.y) do n = n + i * v end; assert(n == 5)\n"
            "assert(next(data.y) == 1 and next(data.y, 2) == nil)\n"
            "assert(data.y == data.y and data.y == o.y and o.y == data.y and data ~= o)\n"
            "assert(table.concat(data.y, ',') == '1,2' and table.unpack(data.y) == 1)\n"
            "return data, {y = data.y}, data.a",
            "[{\"z\":1,\"y\":[1,2],\"a\":\"x\"},{\"y\":[1,2]},\"x\"]");
}

static void members_may_be_removed_while_iterating(void **state)
{
    run(lua_of(state), "[]",
        "data.a = 1; data.b = 2; data.c = 3; data.d = 4\n"
        "local seen = ''\n"
        "for k, v in pairs(data) do seen = seen .. k; if v ~= 3 then data[k] = nil end end\n"
        "assert(seen == 'abcd')");
    assert_data(state, "{\"c\":3}");
}

static void arrays_are_changed_at_the_end_and_by_table_functions(void **state)
{
    run(lua_of(state), "[]",
        "data.a = {3, 1, 2}; table.sort(data.a); table.insert(data.a, 4); table.remove(data.a, "
        "1)\n"
        "table.insert(data.a, 1, 0); data.a[4] = nil; data.a[4] = nil");
    assert_data(state, "{\"a\":[0,2,3]}");
    fails(lua_of(state), "[]", "data.a[5] = 1", "index 5 is beyond an array of 3 elements");
    fails(lua_of(state), "[]", "data.a.x = 1", "an array takes integers as keys, not x");
    fails(lua_of(state), "[]", "data.a[1] = nil", "only the last element");
    fails(lua_of(state), "[]", "data[1] = 1", "an object takes strings as keys, not 1");
    assert_data(state, "{\"a\":[0,2,3]}");
}

static void what_json_cannot_hold_is_refused(void **state)
{
    fails(lua_of(state), "[]", "data.b = {binary('x')}", "socket.data holds no binary values");
    fails(lua_of(state), "[]", "data.f = print", "a function has no form in JSON");
    fails(lua_of(state), "[]", "local t = {}; t.t = t; data.t = t", "nested too deeply");
    assert_data(state, "{}");
}

static void its_size_is_bounded(void **state)
{
    run(lua_of(state), "[]", "for i = 1, 3 do data.s = ('x'):rep((1 << 20) - 100) end");
    fails(lua_of(state), "[]", "data.t = ('y'):rep(100)",
          "socket.data would take more than 1048576 bytes");
    run(lua_of(state), "[]", "data.s = nil; data.t = ('x'):rep(1 << 19)");
    fails(lua_of(state), "[]", "data.u = {('x'):rep(1 << 19)}", "would take more than");
    run(lua_of(state), "[]", "assert(#data.t == 1 << 19 and data.u == nil)");
}

static void a_proxy_whose_place_is_gone_reads_nil(void **state)
{
    fails(lua_of(state), "[]",
          "data.a = {b = {}}; local b = data.a.b; data.a = 1\n"
          "assert(b.x == nil and #b == 0 and next(b) == nil and tostring(b) == 'null')\n"
          "b.x = 1",
          "this part of it was removed");
    assert_data(state, "{\"a\":1}");
}

static void a_socket_that_is_gone_is_an_error(void **state)
{
    struct data_fixture *fixture = *state;

    run(fixture->lua, "[]", "data.a = {1}; inner = data.a");
    fixture->server.socket.is_gone = true;
    fails(fixture->lua, "[]", "return data.a", "the socket has disconnected");
    fails(fixture->lua, "[]", "return inner[1]", "the socket has disconnected");
    fails(fixture->lua, "[]", "data.x = 1", "the socket has disconnected");
    fails(fixture->lua, "[]", "for k in pairs(data) do end", "the socket has disconnected");
    fails(fixture->lua, "[]", "return data", "the socket has disconnected");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(assignments_persist_in_the_sockets_tree, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(what_is_assigned_is_a_copy, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(proxies_iterate_compare_and_are_sent, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(members_may_be_removed_while_iterating, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(arrays_are_changed_at_the_end_and_by_table_functions,
                                        set_up_data, tear_down_data),
        cmocka_unit_test_setup_teardown(what_json_cannot_hold_is_refused, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(its_size_is_bounded, set_up_data, tear_down_data),
        cmocka_unit_test_setup_teardown(a_proxy_whose_place_is_gone_reads_nil, set_up_data,
                                        tear_down_data),
        cmocka_unit_test_setup_teardown(a_socket_that_is_gone_is_an_error, set_up_data,
                                        tear_down_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
