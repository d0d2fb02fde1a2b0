#include "script/runtime.h"

/* Methods come from the upvalue; `name` is the only field. */
static int get(lua_State *L)
{
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) == LUA_TFUNCTION)
        return 1;
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "name") == 0) {
        struct target room;
        const struct target *target = script_target(L, &room);
        lua_pushlstring(L, target->name.at, target->name.size);
        return 1;
    }
    return luaL_error(L, "a namespace has no '%s'", luaL_tolstring(L, 2, NULL));
}

static int set(lua_State *L)
{
    return luaL_error(L, "cannot assign to '%s' of a namespace", luaL_tolstring(L, 2, NULL));
}

static int to_text(lua_State *L)
{
    struct target room;
    const struct target *target = script_target(L, &room);

    lua_pushliteral(L, "namespace ");
    lua_pushlstring(L, target->name.at, target->name.size);
    lua_concat(L, 2);
    return 1;
}

/* By name, as every request for the namespace of a dynamic socket makes an object. */
static int equal(lua_State *L)
{
    const struct child_object *a = lua_touserdata(L, 1);
    const struct child_object *b = lua_touserdata(L, 2);

    lua_pushboolean(L, script_type(L, 1) == SCRIPT_CHILD && script_type(L, 2) == SCRIPT_CHILD &&
                           str_equal(a->name, b->name));
    return 1;
}

static int equal_declared(lua_State *L)
{
    const struct cfg_namespace_object *a = lua_touserdata(L, 1);
    const struct cfg_namespace_object *b = lua_touserdata(L, 2);

    lua_pushboolean(L, script_type(L, 1) == SCRIPT_NAMESPACE &&
                           script_type(L, 2) == SCRIPT_NAMESPACE && a->index == b->index);
    return 1;
}

static const luaL_Reg child_metamethods[] = {
    {"__newindex", set    },
    {"__tostring", to_text},
    {"__eq",       equal  },
    {NULL,         NULL   },
};

void script_open_namespaces(lua_State *L)
{
    cfg_namespace_methods(L);
    luaL_setfuncs(L, script_target_methods, 0);
    lua_pop(L, 1);
    luaL_getmetatable(L, CFG_NAMESPACE_METATABLE);
    script_know_type(script_of(L), SCRIPT_NAMESPACE);
    lua_pop(L, 1);

    script_new_type(L, SCRIPT_CHILD, child_metamethods);
    lua_newtable(L);
    luaL_setfuncs(L, script_target_methods, 0);
    lua_pushcclosure(L, get, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* Objects that the file made get their fields now: config needs a plain method table before. */
void script_finish_namespaces(lua_State *L)
{
    luaL_getmetatable(L, CFG_NAMESPACE_METATABLE);
    cfg_namespace_methods(L);
    lua_pushcclosure(L, get, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, set);
    lua_setfield(L, -2, "__newindex");
    lua_pushcfunction(L, to_text);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, equal_declared);
    lua_setfield(L, -2, "__eq");
    lua_pushboolean(L, false);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void script_push_namespace(lua_State *L, const struct script_namespace *declared,
                           struct str name)
{
    if (declared) {
        struct cfg_namespace_object *object = lua_newuserdatauv(L, sizeof(*object), 0);
        object->index = (uint32_t)(declared - script_of(L)->namespaces);
        script_set_type(L, SCRIPT_NAMESPACE);
        return;
    }
    struct child_object *child = lua_newuserdatauv(L, sizeof(*child) + name.size, 0);
    child->name = str_of(child->text, name.size);
    memcpy(child->text, name.at, name.size);
    script_set_type(L, SCRIPT_CHILD);
}
