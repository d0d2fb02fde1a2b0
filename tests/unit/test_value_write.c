#include "value_state.h"

#include <string.h>

static void scalars_are_written_in_javascripts_spelling(void **state)
{
    returns(*state, "[]",
            "return nil, true, false, 1, -0.0, 1.0, 1.5, 1e21, 1e-7, math.maxinteger,\n"
            "0/0, 1/0, 'a\\n\"\\u{e9}', json.null",
            "[null,true,false,1,0,1,1.5,1e+21,1e-7,9223372036854775807,null,null,"
            "\"a\\n\\\"\u00e9\",null]");
    returns(*state, "[]", "return", "[]");
}

static void sequences_are_arrays_and_string_keys_objects(void **state)
{
    returns(*state, "[]", "return {1, 'x', {2}}, {b = 1, a = {c = 2}}, {}",
            "[[1,\"x\",[2]],{\"a\":{\"c\":2},\"b\":1},{}]");
    returns(*state, "[]", "return {ab = 1, a = 2, B = 3, ['10'] = 4, ['9'] = 5, [''] = 6}",
            "[{\"\":6,\"10\":4,\"9\":5,\"B\":3,\"a\":2,\"ab\":1}]");
}

static void marks_force_a_shape(void **state)
{
    returns(
        *state, "[]",
        "local t = {}; assert(json.array(t) == t and type(t) == 'table')\n"
        "assert(getmetatable(t) == false); table.insert(t, 1)\n"
        "return json.array {}, json.array(), json.object {}, json.object {10, [-1] = 'x'}, t,\n"
        "json.object {[1] = 'i', a = 2}",
        "[[],[],{},{\"-1\":\"x\",\"1\":10},[1],{\"1\":\"i\",\"a\":2}]");
    fails(*state, "[]", "return json.array {a = 1}", "args[1]: mixed keys");
    fails(*state, "[]", "json.array(setmetatable({}, {}))", "has a metatable of its own");
    fails(*state, "[]", "json.array(1)", "table expected");
    returns(*state, "[[],{}]",
            "local a, o = ...; assert(rawequal(json.array(a), a)); return json.object(o)",
            "[{}]");
    fails(*state, "[[]]", "json.object((...))", "the value is an array");
    fails(*state, "[]", "return json.object {a = 1, [1] = 2, ['1'] = 3}",
          "args[1].1: the key is there twice");
}

static void errors_name_the_path(void **state)
{
    fails(*state, "[]", "return 1, {items = {1, x = 2}}",
          "args[2].items: mixed keys: integers and strings");
    fails(*state, "[]", "return {a = {1, {b = print}}}",
          "args[1].a[2].b: a function has no form in JSON");
    fails(*state, "[]", "return coroutine.create(print)", "args[1]: a thread has no form");
    fails(*state, "[]", "return io.stdout", "args[1]: a FILE* has no form");
    fails(*state, "[]", "return {1, nil, 3}", "args[1]: an array with holes");
    fails(*state, "[]", "return {[10] = 1}", "args[1]: an array with holes");
    fails(*state, "[]", "return {[true] = 1}", "args[1]: a boolean cannot be a key");
    fails(*state, "[]", "return {[1.5] = 1}", "args[1]: a number cannot be a key");
    fails(*state, "[]", "return {x = 'a\\255'}", "args[1].x: the string is not UTF-8");
    fails(*state, "[]", "return {['\\255'] = 1}", "the string is not UTF-8");
    fails(*state, "[{\"a\":[1]}]", "local o = ...; o.a[1] = {b = print}; return 0, o",
          "args[2].a[1].b: a function");
    fails(*state, "[]", "return json.encode({a = print})", "value.a: a function");
}

static void nesting_is_bounded_and_cycles_are_errors(void **state)
{
    fails(*state, "[]", "local t = {}; t.t = t; return t", "nested too deeply");
    fails(*state, "[[]]", "local a = ...; a[1] = a; return a", "nested too deeply");
    returns(*state, "[]",
            "local t = {}; for i = 1, 178 do t = {t} end\n"
            "assert(json.encode(t) == ('['):rep(178) .. '{}' .. (']'):rep(178)); return 1",
            "[1]");
    fails(*state, "[]", "local t = {}; for i = 1, 181 do t = {t} end; return t",
          "nested too deeply");
}

static void lone_surrogates_of_clients_go_out_again(void **state)
{
    returns(*state, "[\"a\\ud83d\",{\"\\udc00\":1}]",
            "local s, o = ...; o.x = s .. s; return s, o",
            "[\"a\\ud83d\",{\"\\udc00\":1,\"x\":\"a\\ud83da\\ud83d\"}]");
    fails(*state, "[\"\\ud83d\"]", "local s = ...; return s .. '\\255'", "not UTF-8");
    fails(*state, "[]", "return '\\xed\\xa0'", "not UTF-8");
}

static void a_binary_value_is_an_attachment_each_time(void **state)
{
    struct fixture *fixture = *state;

    returns(
        fixture, "[]", "local b = binary('\\0x'); return {z = b, a = binary('')}, b",
        "[{\"a\":{\"_placeholder\":true,\"num\":0},\"z\":{\"_placeholder\":true,\"num\":1}},"
        "{\"_placeholder\":true,\"num\":2}]");
    struct sio_args args = value_writer_args(&fixture->writer);
    assert_int_equal(args.attachment_count, 3);
    assert_int_equal(args.attachments[0].size, 0);
    assert_true(str_equal(args.attachments[1], (struct str){"\0x", 2}));
    assert_ptr_equal(args.attachments[1].at, args.attachments[2].at);
    fails(fixture, "[]",
          "local b, t = binary('x'), {}; for i = 1, 1025 do t[i] = b end; return t",
          "args[1][1025]: too many binary values");
    run(fixture, "[]",
        "local b, t = binary('x'), {}; for i = 1, 1024 do t[i] = b end; return t");
}

static void a_writer_is_usable_after_an_error(void **state)
{
    fails(*state, "[]", "return {a = 1, b = {c = {d = print}}}", "a function");
    returns(*state, "[]", "return {a = 1}", "[{\"a\":1}]");
}

static void json_larger_than_the_maximum_is_an_error(void **state)
{
    fails(*state, "[]", "return ('x'):rep(17 << 20)", "the JSON is too large");
    returns(*state, "[]", "return 1", "[1]");
}

static void large_tables_are_written(void **state)
{
    run(*state, "[]",
        "local o = {}; for i = 1, 50000 do o[('%06d'):format(i)] = {i} end\n"
        "local text = json.encode(o)\n"
        "assert(text:sub(1, 28) == '{\"000001\":[1],\"000002\":[2],\"')\n"
        "assert(json.decode(text)['050000'][1] == 50000)");
}

/* --- json --------------------------------------------------------------------------------- */

static void decode_returns_values_or_a_reason(void **state)
{
    run(*state, "[]",
        "assert(json.decode(' {\"a\":[1]} ').a[1] == 1 and json.decode('1') == 1)\n"
        "assert(json.decode('\"x\"') == 'x' and json.decode('null') == json.null)\n"
        "for _, bad in ipairs {'', '{', '01', '[1,]', 'nul', '{\"a\"}', '1 2'} do\n"
        "  local v, why = json.decode(bad); assert(v == nil and why == 'the text is not "
        "JSON')\n"
        "end\n"
        "local v, why = json.decode('\"\\255\"')\n"
        "assert(v == nil and why == 'the text is not UTF-8')\n"
        "assert(not pcall(json.decode, {}))");
}

static void encode_writes_compact_or_pretty_text(void **state)
{
    run(*state, "[{\"k\" : [ ]}]",
        "assert(json.encode({a = {1, {}}, b = 'x'}) == '{\"a\":[1,{}],\"b\":\"x\"}')\n"
        "assert(json.encode(nil) == 'null' and not pcall(json.encode))\n"
        "assert(json.encode((...)) == '{\"k\" : [ ]}')\n"
        "assert(json.encode({a = {1, {}}, b = ...}, {pretty = true}) ==\n"
        "'{\\n  \"a\": [\\n    1,\\n    {}\\n  ],\\n  \"b\": {\\n    \"k\": []\\n  }\\n}')\n"
        "assert(json.encode({1}, {}) == '[1]' and json.encode(1, {pretty = true}) == '1')\n"
        "local ok, why = pcall(json.encode, {binary('x')})\n"
        "assert(not ok and why:find('a binary value has no form in JSON', 1, true))");
}

static void globals_behave_as_before_for_other_values(void **state)
{
    run(*state, "[]",
        "assert(type(nil) == 'nil' and type(1) == 'number' and type({}) == 'table')\n"
        "assert(type(print) == 'function' and type(io.stdout) == 'userdata')\n"
        "assert(not pcall(type) and not pcall(next, 1) and not pcall(rawlen, 1))\n"
        "assert(next({}) == nil and next({7}) == 1 and rawlen('abc') == 3 and rawlen({1}) == "
        "1)\n"
        "local t = setmetatable({}, {__index = {a = 1}, __newindex = error})\n"
        "assert(rawget(t, 'a') == nil and rawset(t, 'a', 2) == t and t.a == 2)\n"
        "assert(not pcall(rawget, 1, 1) and not pcall(rawset, io.stdout, 1, 1))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(scalars_are_written_in_javascripts_spelling, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(sequences_are_arrays_and_string_keys_objects, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(marks_force_a_shape, set_up, tear_down),
        cmocka_unit_test_setup_teardown(errors_name_the_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nesting_is_bounded_and_cycles_are_errors, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(lone_surrogates_of_clients_go_out_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_binary_value_is_an_attachment_each_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_writer_is_usable_after_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(json_larger_than_the_maximum_is_an_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(large_tables_are_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(decode_returns_values_or_a_reason, set_up, tear_down),
        cmocka_unit_test_setup_teardown(encode_writes_compact_or_pretty_text, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(globals_behave_as_before_for_other_values, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
