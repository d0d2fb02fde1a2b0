#include "script/runtime.h"

#include <stdlib.h>

/* In protected mode: what may run out of memory. */
static int open_state(lua_State *L)
{
    struct script *script = script_of(L);

    script_open_sandbox(L);
    value_open(L);
    script_open_targets(L);
    script_open_namespaces(L);
    script_open_sockets(L);
    script_open_remotes(L);
    script_open_reject(L);
    script_open_log(L);
    script_open_time(L);

    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    script->sockets = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

struct script *script_new(const struct log *log)
{
    struct script *script = calloc(1, sizeof(*script));

    if (!script)
        return NULL;
    script->log = log;
    script->memory_limit = SIZE_MAX;
    list_init(&script->coroutines);
    list_init(&script->waits);
    list_init(&script->timers);
    buf_init(&script->scratch, SCRIPT_SCRATCH_MAX);
    value_writer_init(&script->writer, SCRIPT_PACKET_MAX);
    script->L = lua_newstate(script_allocate, script);
    if (!script->L)
        goto fail;
    memcpy(lua_getextraspace(script->L), &script, sizeof(script));
    /* Measured against the incremental mode with an echo handler: the same CPU when the file keeps
     * nothing, 15 % less and shorter pauses when it keeps 40 MB. */
    lua_gc(script->L, LUA_GCGEN, 0, 0);
    lua_pushcfunction(script->L, open_state);
    if (lua_pcall(script->L, 0, 0, 0) != LUA_OK)
        goto fail;
    return script;

fail:
    script_free(script);
    return NULL;
}

void script_free(struct script *script)
{
    if (!script)
        return;
    if (script->L) {
        script_detach_waits(script);
        script_stop_timers(script);
        script_free_coroutines(script);
        script_free_namespaces(script);
        lua_close(script->L);
    }
    value_writer_free(&script->writer);
    buf_free(&script->scratch);
    free(script);
}

lua_State *script_state(struct script *script)
{
    return script->L;
}

static int finish_state(lua_State *L)
{
    script_open_strict(L);
    script_finish_namespaces(L);
    return 0;
}

bool script_start(struct script *script, const struct config *config, struct net_loop *loop,
                  struct sio_server *server, struct cluster *cluster)
{
    script->config = config;
    script->loop = loop;
    script->server = server;
    script->cluster = cluster;
    if (!script_bind_namespaces(script))
        return false;
    lua_pushcfunction(script->L, finish_state);
    if (lua_pcall(script->L, 0, 0, 0) != LUA_OK) {
        lua_pop(script->L, 1);
        return false;
    }
    script->memory_limit = config->limits.lua_memory;
    script_start_timers(script);
    return true;
}

void script_collect(struct script *script)
{
    lua_gc(script->L, LUA_GCCOLLECT);
}

size_t script_memory(const struct script *script)
{
    return script->memory;
}
