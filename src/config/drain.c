#include "config/private.h"

/* --- drain --------------------------------------------------------------------------------- */

#define DRAIN(field) offsetof(struct cfg_drain, field)

static const struct cfg_key drain_keys[] = {
    {"grace",    CFG_DURATION, DRAIN(grace_ms),    0, INT32_MAX, NULL},
    {"window",   CFG_DURATION, DRAIN(window_ms),   0, INT32_MAX, NULL},
    {"deadline", CFG_DURATION, DRAIN(deadline_ms), 0, INT32_MAX, NULL},
};

int cfg_statement_drain(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "drain");

    cfg_read_table(loader, "drain", line, 1, drain_keys,
                   sizeof(drain_keys) / sizeof(drain_keys[0]), &loader->config->drain);
    return 0;
}

/* --- health -------------------------------------------------------------------------------- */

static const char expected_path[] = "a path such as \"/health\"";

static void read_path(struct cfg_loader *loader, struct cfg_place place, int index,
                      struct str *to)
{
    struct str path;

    if (!cfg_read_string(loader, place, index, expected_path, &path))
        return;
    if (path.size == 0 || path.at[0] != '/' || memchr(path.at, '?', path.size) ||
        memchr(path.at, '#', path.size))
        cfg_fault_found(loader, place, expected_path, index);
    else
        *to = path;
}

static void read_live(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    struct cfg_health *health = base;

    read_path(loader, place, index, &health->live);
    if (health->live.at && health->path.at && str_equal(health->live, health->path))
        cfg_fault_found(loader, place, "another path than that of readiness", index);
}

static const struct cfg_key health_keys[] = {
    {"live", CFG_CUSTOM, 0, 0, 0, read_live},
};

/* health "…" { … }: what health "…" returned is called with the options. */
static int health_options(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);

    cfg_read_table(loader, "health", cfg_current_line(L), 1, health_keys,
                   sizeof(health_keys) / sizeof(health_keys[0]), &loader->config->health);
    return 0;
}

int cfg_statement_health(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "health");

    read_path(loader, (struct cfg_place){"health", line}, 1, &loader->config->health.path);
    lua_pushcfunction(L, health_options);
    return 1;
}
