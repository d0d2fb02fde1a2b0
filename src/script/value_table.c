/* What lazy values and data proxies share as tables, and the globals that must know them. */
#include "script/data.h"
#include "script/lazy.h"

enum {
    EQUAL_DEPTH_MAX = VALUE_DEPTH_MAX, /* of a comparison; cycles end here */
};

bool value_step(lua_State *L, int index, lua_Integer *position)
{
    return value_kind(L, index) == VALUE_DATA ? data_step(L, index, position)
                                              : lazy_step(L, index, position);
}

lua_Integer value_length(lua_State *L, int index)
{
    if (value_kind(L, index) == VALUE_DATA)
        return data_length(L, index);

    struct lazy *lazy = lazy_check(L, index);
    return lazy->is_object ? 0 : lazy->count;
}

/* The position is kept beside the key, so a loop may remove the element it is at. */
static int pairs_step(lua_State *L)
{
    lua_Integer position = lua_tointeger(L, lua_upvalueindex(1));

    lua_settop(L, 2);
    if (value_kind(L, 1) == VALUE_DATA && data_was_removed(L, 1, 2, position))
        position--;
    if (!value_step(L, 1, &position))
        return 0;
    lua_pushinteger(L, position);
    lua_replace(L, lua_upvalueindex(1));
    return 2;
}

int value_pairs(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, pairs_step, 1);
    lua_insert(L, 1);
    return 2;
}

/* --- equality ----------------------------------------------------------------------------- */

static bool equal(lua_State *L, int a, int b, int depth);

/* Elements of a table or of what acts as one, without those that are nil. */
static lua_Integer count_elements(lua_State *L, int index)
{
    lua_Integer count = 0;

    if (lua_istable(L, index)) {
        for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1))
            count++;
        return count;
    }
    for (lua_Integer position = 0; value_step(L, index, &position); lua_pop(L, 2))
        count++;
    return count;
}

/* Takes key and value of `a` from the top; whether `b` has the same. */
static bool has_equal_element(lua_State *L, int b, int depth)
{
    lua_pushvalue(L, -2);
    lua_gettable(L, b);
    bool same = equal(L, lua_gettop(L) - 1, lua_gettop(L), depth + 1);
    lua_pop(L, 2);
    return same;
}

static bool equal_elements(lua_State *L, int a, int b, int depth)
{
    if (depth > EQUAL_DEPTH_MAX)
        luaL_error(L, "values are nested too deeply to compare (or hold themselves)");
    luaL_checkstack(L, LUA_MINSTACK, NULL);
    if (count_elements(L, a) != count_elements(L, b))
        return false;
    if (lua_istable(L, a)) {
        for (lua_pushnil(L); lua_next(L, a);) {
            if (!has_equal_element(L, b, depth)) {
                lua_pop(L, 1);
                return false;
            }
        }
        return true;
    }
    for (lua_Integer position = 0; value_step(L, a, &position); lua_pop(L, 1)) {
        if (!has_equal_element(L, b, depth)) {
            lua_pop(L, 1);
            return false;
        }
    }
    return true;
}

static bool is_untouched(const struct lazy *lazy)
{
    return !lazy->is_touched && !lazy->has_attachments;
}

/* Both at absolute indices. */
static bool equal(lua_State *L, int a, int b, int depth)
{
    enum value_kind kind_a = value_kind(L, a);
    enum value_kind kind_b = value_kind(L, b);

    if (lua_rawequal(L, a, b))
        return true;
    if (kind_a == VALUE_BINARY || kind_b == VALUE_BINARY)
        return kind_a == kind_b && lua_compare(L, a, b, LUA_OPEQ);
    if (!(value_acts_as_table(kind_a) || lua_istable(L, a)) ||
        !(value_acts_as_table(kind_b) || lua_istable(L, b)))
        return false;
    if (kind_a == VALUE_LAZY && kind_b == VALUE_LAZY) {
        const struct lazy *x = lua_touserdata(L, a);
        const struct lazy *y = lua_touserdata(L, b);

        if (x->is_object != y->is_object)
            return false;
        if (is_untouched(x) && is_untouched(y) && str_equal(lazy_text(x), lazy_text(y)))
            return true;
    }
    return equal_elements(L, a, b, depth);
}

int value_equal(lua_State *L)
{
    lua_pushboolean(L, equal(L, 1, 2, 0));
    return 1;
}

/* --- globals ------------------------------------------------------------------------------ */

static int global_type(lua_State *L)
{
    luaL_checkany(L, 1);
    switch (value_kind(L, 1)) {
    case VALUE_LAZY:
    case VALUE_DATA:
        lua_pushliteral(L, "table");
        break;
    case VALUE_BINARY:
        lua_pushliteral(L, "binary");
        break;
    default:
        if (value_is_null(L, 1))
            lua_pushliteral(L, "null");
        else
            lua_pushstring(L, luaL_typename(L, 1));
    }
    return 1;
}

/* The position of the key at 2 in the value at 1; 0 for nil. */
static lua_Integer position_of_key(lua_State *L, enum value_kind kind)
{
    lua_Integer position = 0;

    if (lua_isnil(L, 2))
        return 0;
    if (kind == VALUE_DATA) {
        position = data_find(L, 1, 2);
    } else {
        struct lazy *lazy = lazy_check(L, 1);

        if (!lazy->is_object)
            position = lua_tointeger(L, 2);
        else if (lua_type(L, 2) == LUA_TSTRING)
            position = lazy_find(L, 1, lazy, 2);
    }
    if (position < 1)
        luaL_error(L, "invalid key to 'next'");
    return position;
}

static int global_next(lua_State *L)
{
    enum value_kind kind = value_kind(L, 1);

    lua_settop(L, 2);
    if (value_acts_as_table(kind)) {
        lua_Integer position = position_of_key(L, kind);
        if (value_step(L, 1, &position))
            return 2;
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
        if (lua_next(L, 1))
            return 2;
    }
    lua_pushnil(L);
    return 1;
}

static int global_rawlen(lua_State *L)
{
    if (value_acts_as_table(value_kind(L, 1))) {
        lua_pushinteger(L, value_length(L, 1));
    } else {
        luaL_argexpected(L, lua_istable(L, 1) || lua_type(L, 1) == LUA_TSTRING, 1,
                         "table or string");
        lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
    }
    return 1;
}

static int global_rawget(lua_State *L)
{
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (value_acts_as_table(value_kind(L, 1))) {
        lua_gettable(L, 1);
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
        lua_rawget(L, 1);
    }
    return 1;
}

static int global_rawset(lua_State *L)
{
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (value_acts_as_table(value_kind(L, 1))) {
        lua_settable(L, 1);
    } else {
        luaL_checktype(L, 1, LUA_TTABLE);
        lua_rawset(L, 1);
    }
    return 1;
}

void value_open_globals(lua_State *L)
{
    static const luaL_Reg globals[] = {
        {"type",   global_type  },
        {"next",   global_next  },
        {"rawlen", global_rawlen},
        {"rawget", global_rawget},
        {"rawset", global_rawset},
        {NULL,     NULL         },
    };

    lua_pushglobaltable(L);
    luaL_setfuncs(L, globals, 0);
    lua_pop(L, 1);
}
