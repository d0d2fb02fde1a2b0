#include "value_state.h"

#include <stdio.h>
#include <string.h>

/* --- arguments ---------------------------------------------------------------------------- */

static void scalars_become_lua_values(void **state)
{
    run(*state, " [ \"x\" , 1,-7, 1.5, true,false , \"\" ] ",
        "local s, i, n, f, t, u, e = ...\n"
        "assert(select('#', ...) == 7)\n"
        "assert(s == 'x' and i == 1 and n == -7 and f == 1.5 and t == true and u == false)\n"
        "assert(math.type(i) == 'integer' and math.type(f) == 'float' and e == '')");
    run(*state, "[]", "assert(select('#', ...) == 0)");
}

static void null_is_nil_as_argument_and_json_null_inside(void **state)
{
    run(*state, "[null,[null],{\"a\":null}]",
        "local n, a, o = ...\n"
        "assert(n == nil and a[1] == json.null and o.a == json.null and #a == 1)\n"
        "assert(type(json.null) == 'null' and tostring(json.null) == 'null' and o.b == nil)");
}

static void strings_are_decoded(void **state)
{
    run(*state, "[\"a\\n\\u00e9\\\\\\\"\",\"\\ud83d\\ude00\",{\"k\\u0041\":\"\\t\"}]",
        "local a, b, o = ...\n"
        "assert(a == 'a\\n\\u{e9}\\\\\"' and b == '\\u{1f600}' and o.kA == '\\t')\n"
        "assert(next(o) == 'kA')");
}

static void numbers_keep_to_integers_where_they_fit(void **state)
{
    run(*state, "[9223372036854775807,-9223372036854775808,9223372036854775808,1e2,-0,1e400]",
        "local max, min, over, e, zero, inf = ...\n"
        "assert(max == math.maxinteger and min == math.mininteger)\n"
        "assert(math.type(over) == 'float' and over == 2^63 and math.type(e) == 'float')\n"
        "assert(1 / zero == -math.huge and inf == math.huge)");
}

static void a_hostile_number_of_arguments_is_an_error(void **state)
{
    enum { COUNT = 1200000 };
    char *json = malloc(2 * COUNT + 2);
    assert_non_null(json);
    for (size_t i = 0; i < COUNT; i++) {
        json[2 * i] = i ? ',' : '[';
        json[2 * i + 1] = '1';
    }
    strcpy(json + 2 * (size_t)COUNT, "]");
    fails(*state, json, "return 1", "too many arguments");
    free(json);
}

static void a_missing_payload_has_no_arguments(void **state)
{
    struct fixture *fixture = *state;
    lua_State *L = fixture->L;
    struct sio_args args = {.json = STR("")};

    assert_int_equal(value_push_args(L, &args), 0);
    value_push_json(L, STR(""));
    assert_true(lua_isnil(L, -1));
    value_push_json(L, STR(" null "));
    assert_true(lua_islightuserdata(L, -1));
}

/* Under AddressSanitizer: nothing points into the text of the event, or into freed values. */
static void values_outlive_the_event_and_what_they_were_taken_from(void **state)
{
    struct fixture *fixture = *state;
    lua_State *L = fixture->L;
    struct str bytes;
    char *json = strdup("[{\"a\":{\"b\":[\"x\"]}},{\"_placeholder\":true,\"num\":0}]");
    char *data = strdup("bytes");
    struct str attachment = {data, 5};
    struct sio_args args = {str_from(json), &attachment, 1, STR("")};

    assert_int_equal(value_push_args(L, &args), 2);
    free(json);
    free(data);
    assert_true(value_is_binary(L, -1, &bytes) && str_equal(bytes, STR("bytes")));
    assert_false(value_is_binary(L, -2, &bytes));
    lua_pop(L, 1);
    lua_getfield(L, -1, "a");
    lua_getfield(L, -1, "b");
    lua_replace(L, 1);
    lua_settop(L, 1);
    lua_gc(L, LUA_GCCOLLECT);
    lua_setglobal(L, "b");
    run(fixture, "[]", "assert(b[1] == 'x'); b[1] = 'y'; assert(tostring(b) == '[\"y\"]')");
}

/* --- reading ------------------------------------------------------------------------------ */

static void lazy_values_read_like_tables(void **state)
{
    run(*state, "[{\"a\":{\"b\":[10,20,30]},\"s\":\"x\"},[1,[2],{}]]",
        "local o, a = ...\n"
        "assert(type(o) == 'table' and type(a) == 'table' and getmetatable(o) == false)\n"
        "assert(o.a.b[2] == 20 and o.s == 'x' and o.nothing == nil and o[1] == nil)\n"
        "assert(#o.a.b == 3 and #o == 0 and #a == 3 and a[2][1] == 2 and rawlen(a) == 3)\n"
        "assert(a[0] == nil and a[4] == nil and a[-1] == nil and a[1.5] == nil and a.x == "
        "nil)\n"
        "assert(a[1.0] == 1 and rawget(o, 's') == 'x' and #a[3] == 0)");
}

static void containers_are_the_same_object_on_every_read(void **state)
{
    run(*state, "[{\"a\":{\"b\":[[]]}}]",
        "local o = ...\n"
        "assert(rawequal(o.a, o.a) and rawequal(o.a.b[1], o.a.b[1]))\n"
        "local t = {}; t[o.a] = 1; assert(t[o.a] == 1)");
}

static void iteration_keeps_the_order_they_came_in(void **state)
{
    run(*state, "[{\"z\":1,\"a\":2,\"10\":3,\"\":4},[\"x\",null,false]]",
        "local o, a = ...\n"
        "local keys = {}\n"
        "for k, v in pairs(o) do keys[#keys + 1] = k .. v end\n"
        "assert(table.concat(keys, ' ') == 'z1 a2 103 4')\n"
        "keys = {}\n"
        "for k, v in next, o do keys[#keys + 1] = k .. v end\n"
        "assert(table.concat(keys, ' ') == 'z1 a2 103 4')\n"
        "local n = 0\n"
        "for i, v in ipairs(a) do n = n + 1; assert(i == n and v ~= nil) end\n"
        "assert(n == 3)\n"
        "n = 0\n"
        "for i, v in pairs(a) do n = n + i end\n"
        "assert(n == 6 and next(json.decode('[]')) == nil and next(json.decode('{}')) == nil)\n"
        "assert(not pcall(next, o, 'missing') and not pcall(next, o, 1))");
}

static void the_table_library_works_on_them(void **state)
{
    run(*state, "[[3,1,2]]",
        "local a = ...\n"
        "assert(table.concat(a, ',') == '3,1,2' and select('#', table.unpack(a)) == 3)\n"
        "table.insert(a, 9); table.insert(a, 1, 7)\n"
        "assert(table.concat(a, ',') == '7,3,1,2,9')\n"
        "table.sort(a); assert(table.concat(a, ',') == '1,2,3,7,9')\n"
        "assert(table.remove(a, 1) == 1 and table.remove(a) == 9 and #a == 3)\n"
        "assert(table.concat(table.move(a, 1, 3, 2), ',') == '2,2,3,7')\n"
        "assert(table.concat(table.move(a, 2, 4, 1, {}), ',') == '2,3,7')");
}

static void duplicate_keys_count_last_at_the_first_place(void **state)
{
    char json[4096] = "[{";
    size_t size = 2;

    run(*state, "[{\"a\":1,\"b\":2,\"a\":3,\"\\u0062\":4}]",
        "local o, keys = ..., {}\n"
        "for k, v in pairs(o) do keys[#keys + 1] = k .. v end\n"
        "assert(table.concat(keys, ' ') == 'a3 b4' and o.a == 3 and o.b == 4)");
    for (int i = 0; i < 100; i++)
        size += (size_t)snprintf(json + size, sizeof(json) - size, "%s\"k%d\":%d", i ? "," : "",
                                 i % 40, i);
    snprintf(json + size, sizeof(json) - size, "}]");
    run(*state, json,
        "local o, n = ..., 0\n"
        "for k, v in pairs(o) do assert(k == 'k' .. n); n = n + 1 end\n"
        "assert(n == 40 and o.k0 == 80 and o.k19 == 99 and o.k20 == 60)");
}

static void odd_keys_are_keys(void **state)
{
    run(*state, "[{\"__index\":1,\"__name\":2,\"\":3,\"\\u0000\":4,\"1\":5}]",
        "local o = ...\n"
        "assert(o.__index == 1 and o.__name == 2 and o[''] == 3 and o['\\0'] == 4)\n"
        "assert(o['1'] == 5 and o[1] == nil and o.__gc == nil)");
}

static void equality_is_deep(void **state)
{
    run(*state,
        "[{\"a\":[1,{\"b\":null}],\"c\":1},{\"c\":1.0, "
        "\"a\":[1,{\"b\":null}]},{\"a\":1},[],{}]",
        "local x, y, z, a, o = ...\n"
        "assert(x == y and x ~= z and x.a == y.a and a ~= o and a ~= x)\n"
        "assert(x ~= 1 and x ~= {} and not rawequal(x, y))\n"
        "y.a[2].b = 5; assert(x ~= y); y.a[2].b = json.null; assert(x == y)\n"
        "y.d = {1}; assert(x ~= y); x.d = {1}; assert(x == y); x.d = {2}; assert(x ~= y)");
    fails(*state, "[{},{}]", "local a, b = ...; a.x = a; b.x = b; return a == b",
          "nested too deeply to compare");
}

static void they_stand_where_text_does_in_messages(void **state)
{
    run(*state, "[{\"a\": 1.50}, [1]]",
        "local o, a = ...\n"
        "assert(tostring(o) == '{\"a\": 1.50}' and string.format('%s', a) == '[1]')\n"
        "local ok, why = pcall(function() return o .. 'x' end)\n"
        "assert(why:find('attempt to concatenate a table value'))\n"
        "ok, why = pcall(string.rep, o)\n"
        "assert(why:find('string expected, got table'))");
}

/* --- assigning ---------------------------------------------------------------------------- */

static void untouched_values_go_out_as_they_came(void **state)
{
    returns(*state, "[{\"b\" : 1.00,\"a\":[ 1e5 ],\"b2\":12345678901234567890}, [\"\\u0041\"]]",
            "local o = ...; local _ = o.a[1], o.b; return ...",
            "[{\"b\" : 1.00,\"a\":[ 1e5 ],\"b2\":12345678901234567890},[\"\\u0041\"]]");
}

static void an_assignment_rewrites_only_what_it_assigns(void **state)
{
    returns(*state, "[{\"b\":1.00,\"a\":[1e5,{\"x\" : 1}],\"c\":2}]",
            "local o = ...; o.new = 'n'; o.c = nil; o.a[1] = 7; o.zzz = nil; return o",
            "[{\"b\":1.00,\"a\":[7,{\"x\" : 1}],\"new\":\"n\"}]");
}

static void assignments_below_are_seen_from_above(void **state)
{
    returns(*state, "[{\"a\":{\"b\":{\"c\":1}}}]",
            "local o = ...; local b = o.a.b; b.c = 2; b.d = {1}; table.insert(b.d, 2)\n"
            "assert(o.a.b.c == 2 and o.a.b.d[2] == 2); return o",
            "[{\"a\":{\"b\":{\"c\":2,\"d\":[1,2]}}}]");
    returns(
        *state, "[{\"a\":{}},{\"x\":1}]",
        "local o, p = ...; o.a.p = p; p.x = 2; local a = o.a; o.a = nil; a.y = 1; return o, a",
        "[{},{\"p\":{\"x\":2},\"y\":1}]");
}

static void arrays_grow_and_shrink_at_the_end(void **state)
{
    returns(*state, "[[1,2,3],[]]",
            "local a, e = ...; a[4] = 4; a[4] = nil; a[3] = nil; e[1] = 'x'; e[1.0] = 'y'\n"
            "assert(#a == 2 and a[3] == nil and #e == 1); a[3] = 'c'; return a, e",
            "[[1,2,\"c\"],[\"y\"]]");
    returns(*state, "[[1,2,3]]",
            "local a = ...; a[2] = nil; assert(#a == 3 and a[2] == nil); return a",
            "[[1,null,3]]");
    returns(*state, "[[1,2,3]]",
            "local a = ...; a[2] = nil; a[3] = nil; assert(#a == 1); a[2] = 5; return a",
            "[[1,5]]");
    fails(*state, "[[1,2]]", "local a = ...; a[4] = 1",
          "index 4 is beyond an array of 2 elements");
    fails(*state, "[[1,2]]", "local a = ...; a[0] = 1", "index 0 is beyond");
    fails(*state, "[[1,2]]", "local a = ...; a.x = 1",
          "an array takes integers as keys, not x");
    fails(*state, "[{}]", "local o = ...; o[1] = 1", "an object takes strings as keys, not 1");
}

static void elements_may_be_removed_while_iterating(void **state)
{
    returns(*state, "[{\"a\":1,\"b\":2,\"c\":3}]",
            "local o, n = ..., 0\n"
            "for k, v in pairs(o) do n = n + v; if v ~= 2 then o[k] = nil end end\n"
            "assert(n == 6)\n"
            "o.x = 1; for k in next, o do o[k] = nil end; assert(next(o) == nil)\n"
            "o.b = 9; o.d = 8; return o",
            "[{\"b\":9,\"d\":8}]");
}

static void adding_and_removing_keys_for_ever_does_not_grow(void **state)
{
    run(*state, "[{\"a\":1}]",
        "local o = ...\n"
        "local function churn(from, to) for i = from, to do o['k' .. i] = i\n"
        "  if i > 10 then o['k' .. (i - 10)] = nil end end end\n"
        "churn(1, 2000); collectgarbage(); local before = collectgarbage('count')\n"
        "churn(2001, 20000); collectgarbage()\n"
        "assert(collectgarbage('count') < before + 32)\n"
        "local n = 0; for k, v in pairs(o) do n = n + 1; assert(o[k] == v) end\n"
        "assert(n == 11 and o.k20000 == 20000 and o.k19991 and o.k19990 == nil)\n"
        "assert(tostring(o):sub(1, 20) == '{\"a\":1,\"k19991\":1999')");
}

/* --- hostile shapes ----------------------------------------------------------------------- */

/* Quadratic work would take minutes here. */
static void large_arrays_and_objects_take_linear_time(void **state)
{
    struct fixture *fixture = *state;
    const char *error =
        run_args(fixture, NULL,
                 "local t, o = {}, {}\n"
                 "for i = 1, 100000 do t[i] = i; o[i] = ('\"k%d\":%d'):format(i, i) end\n"
                 "local a = json.decode('[' .. table.concat(t, ',') .. ']')\n"
                 "o = json.decode('{' .. table.concat(o, ',') .. '}')\n"
                 "local sum = 0\n"
                 "for i = 1, #a do sum = sum + a[i] end\n"
                 "for i, v in ipairs(a) do sum = sum - v end\n"
                 "for i = 1, 100000 do sum = sum + o['k' .. i] end\n"
                 "for k, v in pairs(o) do sum = sum - v end\n"
                 "local k, v = next(o); while k do sum = sum + v; k, v = next(o, k) end\n"
                 "assert(sum == 5000050000)\n"
                 "for i = 1, 100000 do a[i] = -i; o['k' .. i] = nil end\n"
                 "assert(a[77] == -77 and next(o) == nil and tostring(o) == '{}')");
    if (error)
        fail_msg("%s", error);
}

static void deep_nesting_is_walked_to_its_bound(void **state)
{
    run(*state, "[]",
        "local text = ('['):rep(1000) .. (']'):rep(1000)\n"
        "local v, n = json.decode(text), 1\n"
        "while v[1] do v, n = v[1], n + 1 end\n"
        "assert(n == 1000 and not json.decode('[' .. text .. ']'))\n"
        "text = ('{\"a\":'):rep(1000) .. '1' .. ('}'):rep(1000)\n"
        "assert(tostring(json.decode(text)) == text)");
}

static void touching_deep_down_is_bounded_by_the_writers_depth(void **state)
{
    run(*state, "[]",
        "local function touched(depth)\n"
        "  local root = json.decode(('['):rep(depth) .. (']'):rep(depth))\n"
        "  local v = root; while v[1] do v = v[1] end; v[1] = 'x'\n"
        "  return pcall(tostring, root)\n"
        "end\n"
        "assert(touched(180)); local ok, why = touched(182)\n"
        "assert(not ok and why:find('nested too deeply'))");
}

struct bound {
    size_t used;
    size_t maximum;
};

static void *allocate_bounded(void *context, void *old, size_t old_size, size_t size)
{
    struct bound *bound = context;
    size_t before = old ? old_size : 0;

    if (size > before && bound->used + (size - before) > bound->maximum)
        return NULL;
    bound->used = bound->used - before + size;
    return allocate_any(NULL, old, old_size, size);
}

static void what_an_index_takes_counts_for_the_states_memory(void **state)
{
    struct bound bound = {.maximum = 6 << 20};
    void *bounded;
    (void)state;

    set_up_with(&bounded, allocate_bounded, &bound);
    fails(bounded, "[]",
          "local a = json.decode('[' .. ('1,'):rep(800000) .. '1]'); return #a, a[1]",
          "not enough memory");
    returns(bounded, "[[1]]", "local a = ...; return a[1]", "[1]");
    tear_down(&bounded);
    assert_int_equal(bound.used, 0);
}

struct countdown {
    uint32_t left; /* allocations that succeed */
    bool armed;
};

static void *allocate_until(void *context, void *old, size_t old_size, size_t size)
{
    struct countdown *countdown = context;

    if (countdown->armed && size > (old ? old_size : 0)) {
        if (countdown->left == 0)
            return NULL;
        countdown->left--;
    }
    return allocate_any(NULL, old, old_size, size);
}

static void running_out_of_memory_anywhere_leaves_a_usable_state(void **state)
{
    struct countdown countdown = {0};
    const struct str attachment = STR("one");
    const struct sio_args args = {
        STR("[{\"a\":[1,{\"b\":\"x\\n\"}],\"c\":{\"_placeholder\":true,\"num\":0}},\"s\"]"),
        &attachment, 1, STR("")};
    const char *code =
        "local o, s = ...\n"
        "o.new = {s, {}, k = nil}; o.a[2].b = o.a[2].b .. s; o.a[3] = json.array {}\n"
        "for k, v in pairs(o) do s = s .. k end\n"
        "o.gone = 1; o.gone = nil\n"
        "assert(json.decode(json.encode(o.a)) == o.a)\n"
        "return o, tostring(o.a), {z = 1, a = s}";
    const char *expected =
        "[{\"a\":[1,{\"b\":\"x\\ns\"},[]],\"c\":{\"_placeholder\":true,\"num\":0},"
        "\"new\":[\"s\",{}]},\"[1,{\\\"b\\\":\\\"x\\\\ns\\\"},[]]\","
        "{\"a\":\"sacnew\",\"z\":1}]";
    const char *error = "";
    void *scarce;
    (void)state;

    for (uint32_t successes = 0; error; successes++) {
        set_up_with(&scarce, allocate_until, &countdown);
        countdown = (struct countdown){successes, true};
        error = run_args(scarce, &args, code);
        if (error)
            assert_string_equal(error, "not enough memory");
        countdown.armed = false;
        error = error ? (run_args(scarce, &args, code) ? "unusable" : "again") : NULL;
        if (error)
            assert_string_equal(error, "again");
        assert_output(scarce, expected);
        tear_down(&scarce);
        assert_true(successes < 10000);
    }
}

/* --- binary ------------------------------------------------------------------------------- */

static void binary_values_have_methods(void **state)
{
    run(*state, "[]",
        "local b = binary('\\0\\1\\254\\255')\n"
        "assert(type(b) == 'binary' and #b == 4 and b:string() == '\\0\\1\\254\\255')\n"
        "assert(tostring(b) == 'binary(4 bytes)' and b:base64() == 'AAH+/w==')\n"
        "assert(binary.from_base64(b:base64()) == b and b ~= binary('x') and b ~= 'x')\n"
        "assert(b:sub(2, 3):string() == '\\1\\254' and b:sub(-1):string() == '\\255')\n"
        "assert(#b:sub(5) == 0 and #b:sub(3, 2) == 0 and #b:sub(-9, 9) == 4 and #b:sub(1, -9) "
        "== 0)\n"
        "assert(b:byte() == 0 and b:byte(-1) == 255 and select('#', b:byte(1, -1)) == 4)\n"
        "assert(b:byte(5) == nil and #binary('') == 0 and rawequal(binary(b), b))\n"
        "assert(not pcall(binary, 1) and not pcall(function() b.x = 1 end))\n"
        "local empty = json.decode('{}'); assert(b ~= empty and empty ~= b)");
}

static const struct str attached[] = {
    {"one", 3},
    {"two", 3},
};

static void placeholders_of_an_event_are_binary_values(void **state)
{
    struct fixture *fixture = *state;
    struct sio_args args = {
        .json = STR("[{\"_placeholder\":true,\"num\":1},"
                    "{\"a\":[{\"num\":0,\"_placehold\\u0065r\":true}],"
                    "\"b\":{\"_placeholder\":false,\"num\":0},"
                    "\"c\":{\"_placeholder\":true,\"num\":0.5}}]"),
        .attachments = attached,
        .attachment_count = 2,
    };
    const char *error = run_args(
        fixture, &args,
        "local b, o = ...\n"
        "assert(b == binary('two') and o.a[1] == binary('one') and rawequal(o.a[1], o.a[1]))\n"
        "assert(type(o.b) == 'table' and o.b.num == 0 and o.c == json.null)\n"
        "return 1, o, b");
    if (error)
        fail_msg("%s", error);
    assert_output(fixture, "[1,{\"a\":[{\"_placeholder\":true,\"num\":0}],"
                           "\"b\":{\"_placeholder\":false,\"num\":0},\"c\":null},"
                           "{\"_placeholder\":true,\"num\":1}]");
    struct sio_args out = value_writer_args(&fixture->writer);
    assert_int_equal(out.attachment_count, 2);
    assert_true(str_equal(out.attachments[0], STR("one")));
    assert_true(str_equal(out.attachments[1], STR("two")));
}

static void placeholders_are_numbered_anew_under_assignments_too(void **state)
{
    struct fixture *fixture = *state;
    struct sio_args args = {
        .json = STR("[{\"x\":{\"_placeholder\":true,\"num\":1},\"y\": [ {\"_placeholder\":true,"
                    "\"num\":0} , 1.0 ],\"z\":1}]"),
        .attachments = attached,
        .attachment_count = 2,
    };
    const char *error =
        run_args(fixture, &args, "local o = ...; o.z = binary('three'); return o, o.x, o.y");
    if (error)
        fail_msg("%s", error);
    assert_output(fixture, "[{\"x\":{\"_placeholder\":true,\"num\":0},"
                           "\"y\":[{\"_placeholder\":true,\"num\":1},1.0],"
                           "\"z\":{\"_placeholder\":true,\"num\":2}},"
                           "{\"_placeholder\":true,\"num\":3},"
                           "[{\"_placeholder\":true,\"num\":4},1.0]]");
    struct sio_args out = value_writer_args(&fixture->writer);
    assert_int_equal(out.attachment_count, 5);
    assert_true(str_equal(out.attachments[0], STR("two")));
    assert_true(str_equal(out.attachments[2], STR("three")));
    assert_true(str_equal(out.attachments[4], STR("one")));
}

/* As in the reference: only packets with attachments have placeholders. */
static void placeholders_without_attachments_are_data(void **state)
{
    returns(*state, "[{\"_placeholder\":true,\"num\":0}]",
            "local o = ...; assert(o._placeholder == true and o.num == 0); return o",
            "[{\"_placeholder\":true,\"num\":0}]");
}

static void only_the_outermost_placeholder_counts(void **state)
{
    struct fixture *fixture = *state;
    struct sio_args args = {
        .json =
            STR("[[{\"_placeholder\":true,\"x\":{\"_placeholder\":true,\"num\":0},\"num\":1},"
                "{\"_placeholder\":true,\"num\":-1},{\"_placeholder\":true,\"num\":7},"
                "{\"_placeholder\":true,\"num\":1e99},{\"_placeholder\":true,\"num\":\"0\"}]]"),
        .attachments = attached,
        .attachment_count = 2,
    };
    const char *error =
        run_args(fixture, &args,
                 "local a = ...\n"
                 "for i = 2, 5 do assert(a[i] == json.null) end return a, a[1]");
    if (error)
        fail_msg("%s", error);
    assert_output(fixture, "[[{\"_placeholder\":true,\"num\":0},null,null,null,null],"
                           "{\"_placeholder\":true,\"num\":1}]");
    struct sio_args out = value_writer_args(&fixture->writer);
    assert_true(str_equal(out.attachments[0], STR("two")));
    assert_int_equal(out.attachment_count, 2);
}

static void placeholders_are_found_at_any_depth(void **state)
{
    enum {
        DEPTH = JSON_DEPTH_MAX - 2,
    };
    struct fixture *fixture = *state;
    struct buf json;

    buf_init(&json, OUTPUT_MAX);
    for (int i = 0; i < DEPTH; i++)
        buf_add_byte(&json, '[');
    buf_add_str(&json, STR("{\"_placeholder\":true,\"num\":0}"));
    for (int i = 0; i < DEPTH; i++)
        buf_add_byte(&json, ']');
    struct sio_args args = {buf_str(&json), attached, 1, STR("")};
    const char *error = run_args(fixture, &args, "return ...");
    if (error)
        fail_msg("%s", error);
    struct sio_args out = value_writer_args(&fixture->writer);
    assert_true(str_equal(out.json, args.json));
    assert_int_equal(out.attachment_count, 1);
    buf_free(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_become_lua_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(null_is_nil_as_argument_and_json_null_inside, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(strings_are_decoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(numbers_keep_to_integers_where_they_fit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_hostile_number_of_arguments_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_missing_payload_has_no_arguments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_outlive_the_event_and_what_they_were_taken_from,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(lazy_values_read_like_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(containers_are_the_same_object_on_every_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(iteration_keeps_the_order_they_came_in, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_table_library_works_on_them, set_up, tear_down),
        cmocka_unit_test_setup_teardown(duplicate_keys_count_last_at_the_first_place, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(odd_keys_are_keys, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equality_is_deep, set_up, tear_down),
        cmocka_unit_test_setup_teardown(they_stand_where_text_does_in_messages, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(untouched_values_go_out_as_they_came, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_assignment_rewrites_only_what_it_assigns, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(assignments_below_are_seen_from_above, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(arrays_grow_and_shrink_at_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(elements_may_be_removed_while_iterating, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(adding_and_removing_keys_for_ever_does_not_grow, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(large_arrays_and_objects_take_linear_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(deep_nesting_is_walked_to_its_bound, set_up, tear_down),
        cmocka_unit_test_setup_teardown(touching_deep_down_is_bounded_by_the_writers_depth,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_an_index_takes_counts_for_the_states_memory,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(running_out_of_memory_anywhere_leaves_a_usable_state,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(binary_values_have_methods, set_up, tear_down),
        cmocka_unit_test_setup_teardown(placeholders_of_an_event_are_binary_values, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(placeholders_are_numbered_anew_under_assignments_too,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(placeholders_without_attachments_are_data, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(only_the_outermost_placeholder_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(placeholders_are_found_at_any_depth, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
