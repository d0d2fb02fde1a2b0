/*
 * fuzz_script_value: an event's JSON arguments through Lua: what nobody touches goes out with the
 * meaning it came with, and what a script copies, changes and reads out of order is still JSON.
 *
 * Input     a snippet (by the table below), then the text of the arguments' array.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "script/value.h"

#include <lauxlib.h>
#include <lualib.h>

enum {
    OUTPUT_MAX = 1 << 24, /* bytes */
    GROWTH = 32,
    MEMORY_KB = 64 * 1024, /* Lua's, at which it is collected */
};

/* Called with the arguments; what they return is written. The first one touches nothing. */
static const char *const snippets[] = {
    "return ...",
    "local function copy(v) if type(v) ~= 'table' then return v end "
    "local t = {} for k, x in pairs(v) do t[k] = copy(x) end return t end "
    "local t = table.pack(...) for i = 1, t.n do t[i] = copy(t[i]) end "
    "return table.unpack(t, 1, t.n)",
    "for _, v in ipairs({...}) do if type(v) == 'table' then "
    "local k = next(v) if k ~= nil then v[k] = 7 v[k] = nil end v.added = v[1] end end return "
    "...",
    "local function walk(v, d) if type(v) == 'table' and d < 20 then "
    "for k, x in pairs(v) do walk(x, d + 1) assert(v[k] == x) end local _ = #v, v == v end end "
    "walk({...}, 0) return ...",
    "local v = ... if type(v) == 'table' then for i = #v, 1, -1 do v[#v + 1] = v[i] end "
    "pcall(table.sort, v, function(a, b) return tostring(a) < tostring(b) end) "
    "pcall(table.remove, v, 1) end return json.encode(v), v",
    "return json.decode(json.encode({...})), select('#', ...)",
};

#define SNIPPETS (sizeof(snippets) / sizeof(snippets[0]))

struct run {
    struct value_writer *writer;
    struct sio_args args;
    const char *snippet;
};

static int protected(lua_State *L)
{
    struct run *run = lua_touserdata(L, 1);

    lua_getfield(L, LUA_REGISTRYINDEX, run->snippet);
    int count = value_push_args(L, &run->args);
    lua_call(L, count, LUA_MULTRET);
    value_writer_reset(run->writer);
    value_write_array(L, run->writer, 2, lua_gettop(L));
    return 0;
}

static void normalise(struct buf *to, struct str text)
{
    buf_init(to, (text.size + 1) * GROWTH);
    assert(json_normalise(to, text));
}

/* Numbers may be spelled anew and null arguments are nil, but they mean the same. */
static void expect_same(struct str in, struct str out)
{
    struct buf before, after;

    normalise(&before, in);
    normalise(&after, out);
    assert(str_equal(buf_str(&before), buf_str(&after)));
    buf_free(&before);
    buf_free(&after);
}

static void run_snippet(lua_State *L, struct value_writer *writer, uint8_t which,
                        struct str json)
{
    static const struct str attachments[] = {STR("one"), STR("")};
    struct run run = {
        writer,
        {.json = json, .attachments = attachments, .attachment_count = 2},
        snippets[which],
    };
    bool plain = !memmem(json.at, json.size, "placeholder", strlen("placeholder")) &&
                 !memchr(json.at, '\\', json.size); /* which could spell it */

    lua_settop(L, 0);
    lua_pushcfunction(L, protected);
    lua_pushlightuserdata(L, &run);
    if (lua_pcall(L, 1, 0, 0) == LUA_OK) {
        struct str out = value_writer_args(writer).json;

        assert(utf8_valid(out.at, out.size) && json_check(out));
        if (which == 0 && plain)
            expect_same(json, out);
    } else {
        const char *error = lua_tostring(L, -1);

        assert(error); /* deep, too many or too much; never for arguments that nobody touched */
        assert(which != 0 || !plain || strstr(error, "too many"));
    }
    if (lua_gc(L, LUA_GCCOUNT) > MEMORY_KB)
        lua_gc(L, LUA_GCCOLLECT);
}

static lua_State *new_state(void)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    value_open(L);
    for (size_t i = 0; i < SNIPPETS; i++) {
        if (luaL_loadstring(L, snippets[i]) != LUA_OK)
            abort();
        lua_setfield(L, LUA_REGISTRYINDEX, snippets[i]);
    }
    return L;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static lua_State *L; /* opening one takes longer than all else here */
    static struct value_writer writer;
    struct fuzz_input input = {bytes, size};
    uint8_t which = fuzz_byte(&input) % SNIPPETS;
    struct buf text;

    if (!L) {
        L = new_state();
        value_writer_init(&writer, OUTPUT_MAX);
    }
    buf_init(&text, size * 3);
    assert(utf8_repair(&text, fuzz_rest(&input)));
    struct str json = {(char *)fuzz_copy(buf_str(&text)), text.size};
    if (json_check(json) && json_type_of(str_trim(json)) == JSON_ARRAY)
        run_snippet(L, &writer, which, json);
    free((char *)json.at);
    buf_free(&text);
    return 0;
}
