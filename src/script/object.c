#include "script/runtime.h"

#include <math.h>
#include <stdlib.h>

static const char *const type_names[SCRIPT_TYPES] = {
    [SCRIPT_SOCKET] = "socket",       [SCRIPT_NAMESPACE] = "namespace",
    [SCRIPT_CHILD] = "namespace",     [SCRIPT_TARGET] = "target",
    [SCRIPT_REMOTE] = "socket",       [SCRIPT_TIMER] = "timer",
    [SCRIPT_REJECTION] = "rejection",
};

void script_know_type(struct script *script, enum script_type type)
{
    lua_State *L = script->L;

    script->metatable_at[type] = lua_topointer(L, -1);
    lua_pushvalue(L, -1);
    script->metatables[type] = luaL_ref(L, LUA_REGISTRYINDEX);
}

void script_new_type(lua_State *L, enum script_type type, const luaL_Reg *metamethods)
{
    lua_newtable(L);
    luaL_setfuncs(L, metamethods, 0);
    lua_pushstring(L, type_names[type]);
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    script_know_type(script_of(L), type);
}

void script_set_type(lua_State *L, enum script_type type)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, script_of(L)->metatables[type]);
    lua_setmetatable(L, -2);
}

/* Addresses are compared, because luaL_checkudata() looks a name up on every call. */
enum script_type script_type(lua_State *L, int index)
{
    const struct script *script = script_of(L);
    const void *metatable;
    int type = 0;

    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return SCRIPT_TYPES;
    metatable = lua_topointer(L, -1);
    lua_pop(L, 1);
    while (type < SCRIPT_TYPES && script->metatable_at[type] != metatable)
        type++;
    return (enum script_type)type;
}

struct script *script_started(lua_State *L, const char *what)
{
    struct script *script = script_of(L);

    if (!script->server)
        luaL_error(L, "%s works in handlers, not while the file is being loaded", what);
    return script;
}

struct buf *script_scratch(struct script *script)
{
    if (script->scratch.capacity > SCRIPT_SCRATCH_KEPT) {
        buf_free(&script->scratch);
        buf_init(&script->scratch, SCRIPT_SCRATCH_MAX);
    }
    buf_reset(&script->scratch);
    return &script->scratch;
}

void script_gather(void *scratch, struct str name)
{
    buf_add(scratch, &name.size, sizeof(name.size));
    buf_add_str(scratch, name);
}

void script_push_gathered(lua_State *L, const struct buf *scratch, const char *what)
{
    lua_Integer count = 0;

    if (buf_failed(scratch))
        luaL_error(L, "%s: out of memory", what);
    lua_newtable(L);
    for (size_t at = 0; at < scratch->size;) {
        size_t size;
        memcpy(&size, scratch->at + at, sizeof(size));
        lua_pushlstring(L, scratch->at + at + sizeof(size), size);
        lua_rawseti(L, -2, ++count);
        at += sizeof(size) + size;
    }
}

static double unit_factor(const char *unit)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {
        {"ms", 1      },
        {"s",  1e3    },
        {"m",  60e3   },
        {"h",  3600e3 },
        {"d",  86400e3}
    };

    while (*unit == ' ')
        unit++;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(unit, units[i].name) == 0)
            return units[i].factor;
    }
    return NAN;
}

uint32_t script_duration(lua_State *L, int index)
{
    double duration = NAN;

    if (lua_type(L, index) == LUA_TNUMBER) {
        duration = lua_tonumber(L, index);
    } else if (lua_type(L, index) == LUA_TSTRING) {
        const char *text = lua_tostring(L, index);
        char *end;
        double number = strtod(text, &end);
        if (end != text)
            duration = number * unit_factor(end);
    }
    if (!(duration >= 0 && duration <= TIMER_MAX_MS)) /* also when it is not a number */
        luaL_argerror(L, index,
                      "expected a duration such as \"250ms\", \"25s\", \"2m\" or a number of "
                      "milliseconds, at most 24 days");
    return (uint32_t)ceil(duration);
}

/* --- reject ---------------------------------------------------------------------------------- */

static int reject(lua_State *L)
{
    luaL_checkstring(L, 1);
    lua_settop(L, 2);
    lua_newuserdatauv(L, 0, 2);
    lua_pushvalue(L, 1);
    lua_setiuservalue(L, -2, 1);
    lua_pushvalue(L, 2);
    lua_setiuservalue(L, -2, 2);
    script_set_type(L, SCRIPT_REJECTION);
    return 1;
}

void script_open_reject(lua_State *L)
{
    static const luaL_Reg metamethods[] = {
        {NULL, NULL}
    };

    script_new_type(L, SCRIPT_REJECTION, metamethods);
    lua_pop(L, 1);
    lua_register(L, "reject", reject);
}
