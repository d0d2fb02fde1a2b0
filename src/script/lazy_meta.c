/* What Lua calls on lazy values. */
#include "script/lazy.h"

static int lazy_index(lua_State *L)
{
    struct lazy *lazy = lazy_check(L, 1);
    uint32_t position = 0;

    if (lazy->is_object) {
        if (lua_type(L, 2) == LUA_TSTRING)
            position = lazy_find(L, 1, lazy, 2);
    } else if (lua_type(L, 2) == LUA_TNUMBER) {
        lua_Integer number = lua_tointeger(L, 2);
        if (number >= 1 && number <= lazy->count)
            position = (uint32_t)number;
    }
    lazy_push_element(L, 1, lazy, position);
    return 1;
}

static int lazy_newindex(lua_State *L)
{
    lazy_assign(L, 1, 2, 3);
    return 0;
}

static int lazy_len(lua_State *L)
{
    lua_pushinteger(L, value_length(L, 1));
    return 1;
}

static int lazy_tostring(lua_State *L)
{
    struct value_writer *writer = value_scratch(L);

    value_write(L, writer, 1);
    lua_pushlstring(L, writer->json.at, writer->json.size);
    return 1;
}

bool lazy_step(lua_State *L, int index, lua_Integer *position)
{
    struct lazy *lazy = lazy_check(L, index);

    while (*position < lazy->count) {
        uint32_t next = (uint32_t)++ * position;

        lazy_push_key(L, index, lazy, next);
        lazy_push_element(L, index, lazy, next);
        if (!lua_isnil(L, -1))
            return true;
        lua_pop(L, 2);
    }
    return false;
}

void value_open_lazy(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {"__index",    lazy_index   },
        {"__newindex", lazy_newindex},
        {"__len",      lazy_len     },
        {"__pairs",    value_pairs  },
        {"__eq",       value_equal  },
        {"__tostring", lazy_tostring},
        {NULL,         NULL         },
    };

    value_new_kind(L, VALUE_LAZY, "table", metamethods);
}
