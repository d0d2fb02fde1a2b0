#include "config/private.h"

static struct cfg_namespace *check_object(lua_State *L, struct cfg_loader *loader)
{
    struct cfg_namespace_object *object = luaL_checkudata(L, 1, CFG_NAMESPACE_METATABLE);

    return &loader->config->namespaces[object->index];
}

/* The path of a namespace in messages: `namespace "/relay"`. */
static const char *path_of(lua_State *L, const struct cfg_namespace *nsp)
{
    if (nsp->kind == CFG_NAMESPACE_FUNCTION)
        return "namespace(function)";

    lua_pushlstring(L, nsp->name.at, nsp->name.size);
    const char *path = lua_pushfstring(L, "namespace \"%s\"", lua_tostring(L, -1));
    lua_remove(L, -2); /* the path stays on the stack until the C function returns */
    return path;
}

static void read_origins(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    struct cfg_namespace *nsp = base;

    if (!cfg_read_strings(loader, place, index,
                          "a list of origins such as { \"https://app.example.com\" }",
                          &nsp->origins, &nsp->origin_count) ||
        !cfg_check_origins(loader, place, nsp->origins, nsp->origin_count))
        nsp->origin_count = 0;
}

static void read_recovery(struct cfg_loader *loader, struct cfg_place place, int index,
                          void *base)
{
    cfg_read_namespace_recovery(loader, place, index,
                                &((struct cfg_namespace *)base)->own_recovery);
}

static const struct cfg_key namespace_keys[] = {
    {"max_payload", CFG_SIZE, offsetof(struct cfg_namespace, max_payload), 1,  UINT64_C(4) << 30,
     NULL},
    {"origins",             CFG_CUSTOM,             0,                    0,                   0, read_origins},
    {"recovery",             CFG_CUSTOM,            0,                   0,                   0,  read_recovery },
};

/* namespace "/x" { … }: the object is called with its options and returned. */
static int object_options(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_namespace *nsp = check_object(L, loader);

    cfg_read_table(loader, path_of(L, nsp), cfg_current_line(L), 2, namespace_keys,
                   sizeof(namespace_keys) / sizeof(namespace_keys[0]), nsp);
    lua_settop(L, 1);
    return 1;
}

static void add_handler(struct cfg_loader *loader, struct cfg_handlers *handlers,
                        struct str event, int index)
{
    handlers->at = cfg_grow(loader, handlers->at, handlers->count, sizeof(*handlers->at));
    if (!handlers->at)
        return;
    lua_pushvalue(loader->L, index);
    handlers->at[handlers->count++] = (struct cfg_handler){
        .event = event,
        .function = luaL_ref(loader->L, LUA_REGISTRYINDEX),
        .line = cfg_current_line(loader->L),
    };
}

static int declare_middleware(lua_State *L, struct cfg_loader *loader,
                              struct cfg_namespace *nsp, struct cfg_handlers *handlers,
                              const char *method)
{
    if (lua_isfunction(L, 2)) {
        add_handler(loader, handlers, STR(""), 2);
    } else if (!cfg_is_poison(L, 2)) {
        const char *path = lua_pushfstring(L, "%s:%s", path_of(L, nsp), method);
        cfg_fault_found(loader, (struct cfg_place){path, cfg_current_line(L)}, "a function", 2);
    }
    lua_settop(L, 1);
    return 1;
}

static int object_use(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_namespace *nsp = check_object(L, loader);

    return declare_middleware(L, loader, nsp, &nsp->use, "use");
}

static int object_use_event(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_namespace *nsp = check_object(L, loader);

    return declare_middleware(L, loader, nsp, &nsp->use_event, "use_event");
}

/* Names that never arrive as events: a handler for one is a slip. */
static const char *meant_instead(struct str event)
{
    if (str_equal(event, STR("connect")))
        return "connection";
    if (str_equal(event, STR("connect_error")) || str_equal(event, STR("newListener")) ||
        str_equal(event, STR("removeListener")))
        return "";
    return NULL;
}

static bool is_taken(struct cfg_loader *loader, const struct cfg_handlers *handlers,
                     struct str event, const char *path)
{
    for (size_t i = 0; i < handlers->count; i++) {
        if (str_equal(handlers->at[i].event, event)) {
            cfg_fault(loader, cfg_current_line(loader->L),
                      "%s: \"%.*s\" has a handler already, on line %d", path, (int)event.size,
                      event.at, handlers->at[i].line);
            return true;
        }
    }
    return false;
}

static bool check_event(struct cfg_loader *loader, const struct cfg_namespace *nsp,
                        struct str event, const char *path)
{
    const char *instead = meant_instead(event);

    if (instead) {
        cfg_fault(loader, cfg_current_line(loader->L),
                  "%s: found the reserved event \"%.*s\"%s%s%s", path, (int)event.size,
                  event.at, *instead ? "; did you mean \"" : "", instead,
                  *instead ? "\"?" : "");
        return false;
    }
    return !is_taken(loader, &nsp->on, event, path);
}

/* Names that servers cannot send each other. */
static bool check_server_event(struct cfg_loader *loader, const struct cfg_namespace *nsp,
                               struct str event, const char *path)
{
    if (str_equal(event, STR("connect")) || str_equal(event, STR("connection")) ||
        str_equal(event, STR("new_namespace"))) {
        cfg_fault(loader, cfg_current_line(loader->L), "%s: found the reserved event \"%.*s\"",
                  path, (int)event.size, event.at);
        return false;
    }
    return !is_taken(loader, &nsp->on_server, event, path);
}

/* ns:on(event, function) and its like. */
static int declare_handler(lua_State *L, const char *method, size_t offset,
                           bool (*check)(struct cfg_loader *loader,
                                         const struct cfg_namespace *nsp, struct str event,
                                         const char *path))
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_namespace *nsp = check_object(L, loader);
    const char *path = lua_pushfstring(L, "%s:%s", path_of(L, nsp), method);
    struct cfg_place place = {path, cfg_current_line(L)};
    size_t size;

    if (cfg_is_poison(L, 2) || cfg_is_poison(L, 3)) {
        lua_settop(L, 1);
        return 1;
    }
    if (lua_type(L, 2) != LUA_TSTRING && lua_type(L, 2) != LUA_TNUMBER) {
        cfg_fault_found(loader, place, "an event's name", 2);
    } else if (!lua_isfunction(L, 3)) {
        cfg_fault_found(loader, place, "a function", 3);
    } else {
        const char *event = lua_tolstring(L, 2, &size);
        if (check(loader, nsp, str_of(event, size), path))
            add_handler(loader, (struct cfg_handlers *)((char *)nsp + offset),
                        cfg_copy(loader, str_of(event, size)), 3);
    }
    lua_settop(L, 1);
    return 1;
}

static int object_on(lua_State *L)
{
    return declare_handler(L, "on", offsetof(struct cfg_namespace, on), check_event);
}

static int object_on_server(lua_State *L)
{
    return declare_handler(L, "on_server", offsetof(struct cfg_namespace, on_server),
                           check_server_event);
}

void cfg_namespace_methods(lua_State *L)
{
    if (luaL_newmetatable(L, CFG_NAMESPACE_METATABLE)) {
        lua_newtable(L);
        lua_setfield(L, -2, "__index");
        lua_pushcfunction(L, object_options);
        lua_setfield(L, -2, "__call");
    }
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
}

/* --- the statement ------------------------------------------------------------------------- */

static const char expected_namespace[] =
    "a name such as \"/chat\", a pattern such as \"/org-*\" or a function";

static bool read_name(struct cfg_loader *loader, int line, struct cfg_namespace *nsp)
{
    struct cfg_place place = {"namespace", line};
    struct str name;

    if (!cfg_read_string(loader, place, 1, expected_namespace, &name))
        return false;
    if (name.size == 0 || memchr(name.at, ',', name.size) || memchr(name.at, '?', name.size)) {
        cfg_fault_found(loader, place, expected_namespace, 1);
        return false;
    }
    if (name.at[0] != '/') {
        char *with_slash = cfg_alloc(loader, name.size + 1);
        if (!with_slash)
            return false;
        with_slash[0] = '/';
        memcpy(with_slash + 1, name.at, name.size);
        name = str_of(with_slash, name.size + 1);
    }
    nsp->name = name;
    nsp->kind = memchr(name.at, '*', name.size) ? CFG_NAMESPACE_GLOB : CFG_NAMESPACE_NAMED;

    for (size_t i = 0; i < loader->config->namespace_count; i++) {
        const struct cfg_namespace *other = &loader->config->namespaces[i];
        if (other->kind != CFG_NAMESPACE_FUNCTION && str_equal(other->name, name)) {
            cfg_fault(loader, line,
                      "namespace \"%.*s\": declared twice; the first is on line %d",
                      (int)name.size, name.at, other->line);
            return false;
        }
    }
    return true;
}

static int statement_namespace(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct config *config = loader->config;
    struct cfg_namespace nsp = {.function = CFG_NO_REF,
                                .own_recovery = {.table = CFG_NO_REF},
                                .line = cfg_current_line(L)};

    if (lua_isfunction(L, 1)) {
        nsp.kind = CFG_NAMESPACE_FUNCTION;
        lua_pushvalue(L, 1);
        nsp.function = luaL_ref(L, LUA_REGISTRYINDEX);
    } else if (!read_name(loader, nsp.line, &nsp)) {
        cfg_push_poison(L);
        return 1;
    }
    config->namespaces =
        cfg_grow(loader, config->namespaces, config->namespace_count, sizeof(nsp));
    if (!config->namespaces)
        return luaL_error(L, "out of memory");
    config->namespaces[config->namespace_count] = nsp;

    struct cfg_namespace_object *object = lua_newuserdatauv(L, sizeof(*object), 0);
    object->index = (uint32_t)config->namespace_count++;
    luaL_setmetatable(L, CFG_NAMESPACE_METATABLE);
    return 1;
}

void cfg_install_namespace(lua_State *L)
{
    static const luaL_Reg methods[] = {
        {"use",       object_use      },
        {"use_event", object_use_event},
        {"on",        object_on       },
        {"on_server", object_on_server},
        {NULL,        NULL            },
    };

    cfg_namespace_methods(L);
    luaL_setfuncs(L, methods, 0);
    lua_pop(L, 1);
    lua_register(L, "namespace", statement_namespace);
}
