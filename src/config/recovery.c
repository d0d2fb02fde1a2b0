#include "config/private.h"

#define RECOVERY(field) offsetof(struct cfg_recovery, field)

static const struct cfg_key recovery_keys[] = {
    {"window",           CFG_DURATION, RECOVERY(window_ms),        10,   86400000,           NULL},
    {"skip_middlewares", CFG_BOOL,     RECOVERY(skip_middlewares), 0,    0,                  NULL},
    {"buffer",           CFG_SIZE,     RECOVERY(buffer),           1024, UINT64_C(64) << 30, NULL},
};

static void read_options(struct cfg_loader *loader, struct cfg_place place, int index,
                         struct cfg_recovery *to)
{
    cfg_read_table(loader, place.path, place.line, index, recovery_keys,
                   sizeof(recovery_keys) / sizeof(recovery_keys[0]), to);
}

int cfg_statement_recovery(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "recovery");
    struct cfg_recovery *to = &loader->config->recovery;

    *to = CFG_RECOVERY_DEFAULT;
    read_options(loader, (struct cfg_place){"recovery", line}, 1, to);
    return 0;
}

void cfg_read_namespace_recovery(struct cfg_loader *loader, struct cfg_place place, int index,
                                 struct cfg_namespace_recovery *to)
{
    lua_State *L = loader->L;
    struct cfg_recovery given = {0};

    to->given = true;
    to->line = place.line;
    if (cfg_is_poison(L, index))
        return;
    if (lua_isboolean(L, index)) {
        to->off = !lua_toboolean(L, index);
    } else if (lua_istable(L, index)) {
        /* What the table leaves out is the `recovery` statement's, wherever that stands: so the
         * table is kept until all statements are read. */
        read_options(loader, place, index, &given);
        lua_pushvalue(L, index);
        to->table = luaL_ref(L, LUA_REGISTRYINDEX);
    } else if (lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER) {
        cfg_read_duration(loader, place, &recovery_keys[0], index, &to->window_ms);
    } else {
        cfg_fault_found(loader, place,
                        "true, false, a window such as \"30s\" or a table of options { … }",
                        index);
    }
}

/* The faults of a table were reported when it was read. */
static void apply(struct cfg_loader *loader, struct cfg_namespace *nsp)
{
    struct cfg_namespace_recovery *own = &nsp->own_recovery;
    size_t faults = loader->fault_count;

    nsp->recovery = loader->config->recovery;
    if (!own->given)
        return;
    if (own->off) {
        nsp->recovery = (struct cfg_recovery){0};
        return;
    }
    if (nsp->recovery.window_ms == 0)
        nsp->recovery = CFG_RECOVERY_DEFAULT;
    if (own->window_ms > 0)
        nsp->recovery.window_ms = own->window_ms;
    if (own->table == CFG_NO_REF || faults > 0)
        return;
    lua_rawgeti(loader->L, LUA_REGISTRYINDEX, own->table);
    read_options(loader, (struct cfg_place){"namespace.recovery", own->line},
                 lua_gettop(loader->L), &nsp->recovery);
    lua_pop(loader->L, 1);
    luaL_unref(loader->L, LUA_REGISTRYINDEX, own->table);
}

void cfg_finish_recovery(struct cfg_loader *loader)
{
    for (size_t i = 0; i < loader->config->namespace_count; i++)
        apply(loader, &loader->config->namespaces[i]);
}

bool cfg_any_recovery(const struct config *config)
{
    bool any = config->recovery.window_ms > 0;

    for (size_t i = 0; i < config->namespace_count; i++)
        any = any || config->namespaces[i].recovery.window_ms > 0;
    return any;
}
