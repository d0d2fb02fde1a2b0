/* Assignments to lazy values. */
#include "script/lazy.h"

#include <assert.h>

/* Stands in LAZY_VALUES for an element that was removed: nil would let the text show again. */
static const char removed;

enum {
    REMOVED_MAX =
        64, /* places of removed added keys that are kept before they are cleared up */
};

bool lazy_is_removed(lua_State *L)
{
    return lua_touserdata(L, -1) == &removed;
}

static void touch(struct lazy *lazy)
{
    for (; lazy && !lazy->is_touched; lazy = lazy->parent)
        lazy->is_touched = true;
}

/* Takes the value from the top. */
static void put(lua_State *L, int index, struct lazy *lazy, uint32_t position)
{
    if (!lazy->has_values) {
        lua_newtable(L);
        lua_setiuservalue(L, index, LAZY_VALUES);
        lazy->has_values = true;
    }
    lua_getiuservalue(L, index, LAZY_VALUES);
    lua_insert(L, -2);
    lua_rawseti(L, -2, position);
    lua_pop(L, 1);
    touch(lazy);
}

static void put_removed(lua_State *L, int index, struct lazy *lazy, uint32_t position)
{
    lua_pushlightuserdata(L, (void *)&removed);
    put(L, index, lazy, position);
}

static bool is_removed(lua_State *L, int index, const struct lazy *lazy, uint32_t position)
{
    if (!lazy_push_assigned(L, index, lazy, position))
        return false;
    bool answer = lazy_is_removed(L);
    lua_pop(L, 1);
    return answer;
}

/* --- arrays ------------------------------------------------------------------------------- */

static void assign_element(lua_State *L, int index, struct lazy *lazy, int key, int value)
{
    int is_integer;
    lua_Integer position = lua_tointegerx(L, key, &is_integer);

    if (!is_integer || lua_type(L, key) != LUA_TNUMBER)
        luaL_error(L, "an array takes integers as keys, not %s", luaL_tolstring(L, key, NULL));
    if (position < 1 || position > (lua_Integer)lazy->count + 1)
        luaL_error(L, "index %I is beyond an array of %I elements", (LUAI_UACINT)position,
                   (LUAI_UACINT)lazy->count);
    if (!lua_isnil(L, value)) {
        lua_pushvalue(L, value);
        put(L, index, lazy, (uint32_t)position);
        if (position > lazy->count)
            lazy->count++;
    } else if (position <= lazy->count) {
        put_removed(L, index, lazy, (uint32_t)position);
        while (lazy->count > 0 && is_removed(L, index, lazy, lazy->count))
            lazy->count--;
    }
}

/* --- objects ------------------------------------------------------------------------------ */

void lazy_make_names(lua_State *L, int index, struct lazy *lazy)
{
    if (lazy->has_names)
        return;
    lua_newtable(L);
    for (uint32_t position = 1; position <= lazy->indexed_count; position++) {
        lazy_push_key(L, index, lazy, position);
        lua_pushinteger(L, position);
        lua_rawset(L, -3);
    }
    lua_setiuservalue(L, index, LAZY_NAMES);
    lazy->has_names = true;
}

/* Moves the added keys that are left together, so that adding and removing keys for ever does not
 * grow. The stack holds the tables of names and values on top. */
static void clear_up(lua_State *L, struct lazy *lazy)
{
    const int names = lua_gettop(L) - 1;
    const int values = lua_gettop(L);
    uint32_t to = lazy->indexed_count;

    for (uint32_t from = to + 1; from <= lazy->count; from++) {
        lua_rawgeti(L, names, from);
        lua_rawgeti(L, values, from);
        lua_pushnil(L);
        lua_rawseti(L, names, from);
        lua_pushnil(L);
        lua_rawseti(L, values, from);
        if (lazy_is_removed(L)) {
            lua_pop(L, 1);
            lua_pushnil(L);
            lua_rawset(L, names);
            continue;
        }
        lua_rawseti(L, values, ++to);
        lua_pushvalue(L, -1);
        lua_rawseti(L, names, to);
        lua_pushinteger(L, to);
        lua_rawset(L, names);
    }
    lazy->count = to;
    lazy->removed_count = 0;
}

static uint32_t add_name(lua_State *L, int index, struct lazy *lazy, int key)
{
    lazy_make_names(L, index, lazy);
    lua_getiuservalue(L, index, LAZY_NAMES);
    if (lazy->removed_count > REMOVED_MAX &&
        lazy->removed_count > (lazy->count - lazy->indexed_count) / 2) {
        lua_getiuservalue(L, index, LAZY_VALUES);
        clear_up(L, lazy);
        lua_pop(L, 1);
    }
    assert(lazy->count < UINT32_MAX);
    uint32_t position = lazy->count + 1;
    lua_pushvalue(L, key);
    lua_rawseti(L, -2, position);
    lua_pushvalue(L, key);
    lua_pushinteger(L, position);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return position;
}

static void assign_member(lua_State *L, int index, struct lazy *lazy, int key, int value)
{
    if (lua_type(L, key) != LUA_TSTRING)
        luaL_error(L, "an object takes strings as keys, not %s", luaL_tolstring(L, key, NULL));

    const bool is_removal = lua_isnil(L, value);
    uint32_t position = lazy_find(L, index, lazy, key);
    if (!position) {
        if (is_removal)
            return;
        position = add_name(L, index, lazy, key);
        lua_pushvalue(L, value);
        put(L, index, lazy, position);
        lazy->count = position;
        return;
    }
    if (position > lazy->indexed_count) {
        bool was_removed = is_removed(L, index, lazy, position);
        lazy->removed_count += (uint32_t)(is_removal && !was_removed);
        lazy->removed_count -= (uint32_t)(!is_removal && was_removed);
    }
    if (is_removal) {
        put_removed(L, index, lazy, position);
    } else {
        lua_pushvalue(L, value);
        put(L, index, lazy, position);
    }
}

void lazy_assign(lua_State *L, int index, int key, int value)
{
    struct lazy *lazy = lazy_check(L, index);

    if (lazy->is_object)
        assign_member(L, index, lazy, key, value);
    else
        assign_element(L, index, lazy, key, value);
}
