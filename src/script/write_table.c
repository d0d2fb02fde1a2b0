/* Lua tables as JSON: sequences as arrays, string keys as objects with sorted keys. */
#include "script/write.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A key being sorted. Its bytes are the table's, or the digits of an integer. */
struct sorted_key {
    const char *at; /* NULL: the digits */
    size_t size;
    lua_Integer integer;
    char digits[24];
};

static struct str text_of(const struct sorted_key *key)
{
    return (struct str){key->at ? key->at : key->digits, key->size};
}

static int compare_keys(const void *a, const void *b)
{
    struct str x = text_of(a);
    struct str y = text_of(b);
    size_t shorter = x.size < y.size ? x.size : y.size;
    int order = memcmp(x.at, y.at, shorter);

    if (order != 0)
        return order;
    return (x.size > y.size) - (x.size < y.size);
}

static struct path step_to(const struct path *up)
{
    return (struct path){.up = up, .depth = up ? up->depth + 1 : 1};
}

/* --- arrays ------------------------------------------------------------------------------- */

static void write_elements(struct write *write, int index, const struct path *path,
                           lua_Integer count)
{
    lua_State *L = write->L;
    struct buf *json = &write->writer->json;
    struct path step = step_to(path);

    buf_add_byte(json, '[');
    for (step.index = 1; step.index <= count; step.index++) {
        if (step.index > 1)
            buf_add_byte(json, ',');
        lua_rawgeti(L, index, step.index);
        write_value(write, lua_gettop(L), &step);
        lua_pop(L, 1);
    }
    buf_add_byte(json, ']');
}

/* --- objects ------------------------------------------------------------------------------ */

/* Adds the table's keys to writer->keys, sorted; returns how many. They are found there by offset:
 * nested tables put theirs behind and may move the memory. */
static size_t sort_keys(struct write *write, int index, const struct path *path)
{
    lua_State *L = write->L;
    struct buf *keys = &write->writer->keys;
    const size_t start = keys->size;
    size_t count = 0;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1), count++) {
        struct sorted_key key = {0};

        if (lua_type(L, -2) == LUA_TSTRING) {
            key.at = lua_tolstring(L, -2, &key.size);
        } else if (lua_isinteger(L, -2)) {
            key.integer = lua_tointeger(L, -2);
            key.size = (size_t)snprintf(key.digits, sizeof(key.digits), LUA_INTEGER_FMT,
                                        (LUAI_UACINT)key.integer);
        } else {
            write_refuse(write, path,
                         lua_pushfstring(L, "a %s cannot be a key", luaL_typename(L, -2)));
        }
        if (!buf_add(keys, &key, sizeof(key)))
            write_refuse(write, path, "not enough memory for its keys");
    }
    if (count > 1)
        qsort(keys->at + start, count, sizeof(struct sorted_key), compare_keys);
    return count;
}

static struct sorted_key key_at(const struct write *write, size_t offset)
{
    struct sorted_key key;

    assert(offset + sizeof(key) <= write->writer->keys.size);
    memcpy(&key, write->writer->keys.at + offset, sizeof(key));
    return key;
}

static void write_members(struct write *write, int index, const struct path *path)
{
    lua_State *L = write->L;
    struct buf *json = &write->writer->json;
    struct buf *keys = &write->writer->keys;
    const size_t start = keys->size;
    const size_t count = sort_keys(write, index, path);
    struct path step = step_to(path);

    buf_add_byte(json, '{');
    for (size_t i = 0; i < count; i++) {
        const size_t offset = start + i * sizeof(struct sorted_key);
        struct sorted_key key = key_at(write, offset);

        step.key = text_of(&key);
        if (i > 0) {
            struct sorted_key before = key_at(write, offset - sizeof(key));
            if (compare_keys(&key, &before) == 0)
                write_refuse(write, &step,
                             "the key is there twice, as a number and as a string");
            buf_add_byte(json, ',');
        }
        write_text(write, step.key, &step);
        buf_add_byte(json, ':');
        if (key.at) {
            lua_pushlstring(L, key.at, key.size);
            lua_rawget(L, index);
        } else {
            lua_rawgeti(L, index, key.integer);
        }
        write_value(write, lua_gettop(L), &step);
        lua_pop(L, 1);
    }
    buf_add_byte(json, '}');
    keys->size = start;
}

/* --- tables ------------------------------------------------------------------------------- */

/* What the keys of a table are. */
struct keys {
    lua_Integer in_sequence; /* 1..length */
    lua_Integer integers;    /* others */
    lua_Integer strings;
    lua_Integer others;
    lua_Integer length;
};

static struct keys look_at_keys(lua_State *L, int index)
{
    struct keys keys = {.length = (lua_Integer)lua_rawlen(L, index)};

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            keys.strings++;
        } else if (lua_isinteger(L, -2)) {
            lua_Integer key = lua_tointeger(L, -2);
            if (key >= 1 && key <= keys.length)
                keys.in_sequence++;
            else
                keys.integers++;
        } else {
            keys.others++;
        }
    }
    return keys;
}

static void write_array(struct write *write, int index, const struct path *path,
                        const struct keys *keys)
{
    if (keys->strings || keys->others)
        write_refuse(write, path, "mixed keys: an array has integer keys only");
    if (keys->integers || keys->in_sequence != keys->length)
        write_refuse(write, path, "an array with holes (put json.null there)");
    write_elements(write, index, path, keys->length);
}

void write_table(struct write *write, int index, const struct path *path)
{
    luaL_checkstack(write->L, LUA_MINSTACK, "the value is nested too deeply");

    const struct keys keys = look_at_keys(write->L, index);
    const bool has_integers = keys.in_sequence || keys.integers;
    switch (json_shape(write->L, index)) {
    case WRITE_ARRAY:
        write_array(write, index, path, &keys);
        break;
    case WRITE_OBJECT:
        write_members(write, index, path);
        break;
    default:
        if (has_integers && keys.strings)
            write_refuse(write, path, "mixed keys: integers and strings");
        if (has_integers)
            write_array(write, index, path, &keys);
        else
            write_members(write, index, path);
    }
}
