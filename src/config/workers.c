#include "config/private.h"

#include <sched.h>

static const char expected_workers[] = "a number of threads from 1 to 64, or \"cpus\"";

/* The processors that this process may run on. */
static uint32_t count_processors(void)
{
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    if (count < 1)
        return 1;
    return count < CFG_WORKERS_MAX ? (uint32_t)count : (uint32_t)CFG_WORKERS_MAX;
}

int cfg_statement_workers(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    const struct cfg_place place = {"workers", cfg_once(loader, "workers")};
    int is_whole = 0;
    lua_Integer count = 0;

    if (lua_type(L, 1) == LUA_TNUMBER)
        count = lua_tointegerx(L, 1, &is_whole);
    if (lua_type(L, 1) == LUA_TSTRING && strcmp(lua_tostring(L, 1), "cpus") == 0)
        loader->config->workers = count_processors();
    else if (is_whole && count >= 1 && count <= CFG_WORKERS_MAX)
        loader->config->workers = (uint32_t)count;
    else
        cfg_fault_found(loader, place, expected_workers, 1);
    return 0;
}
