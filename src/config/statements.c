#include "base/rate.h"
#include "config/private.h"

#include <stdlib.h>

int cfg_once(struct cfg_loader *loader, const char *name)
{
    lua_State *L = loader->L;
    int line = cfg_current_line(L);

    lua_pushfstring(L, "skua.line.%s", name);
    lua_pushvalue(L, -1);
    if (lua_rawget(L, LUA_REGISTRYINDEX) == LUA_TNUMBER)
        cfg_fault(loader, line, "%s: declared twice; the first is on line %d", name,
                  (int)lua_tointeger(L, -1));
    lua_pop(L, 1);
    lua_pushinteger(L, line);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return line;
}

/* --- limits --------------------------------------------------------------------------------- */

/* max_payload may stand in `engine` and in `limits`; both name one limit. */
void cfg_read_max_payload(struct cfg_loader *loader, struct cfg_place place, int index,
                          void *base)
{
    static const struct cfg_key row = {"max_payload", CFG_SIZE, 0, 1, UINT64_C(4) << 30, NULL};
    uint64_t size = 0;
    (void)base;

    cfg_read_size(loader, place, &row, index, &size);
    if (size == 0)
        return;
    if (loader->given_max_payload && loader->config->limits.max_payload != size)
        cfg_fault(
            loader, place.line,
            "%s: expected the %llu bytes that line %d says, found %llu: one limit, given twice",
            place.path, (unsigned long long)loader->config->limits.max_payload,
            loader->max_payload_line, (unsigned long long)size);
    loader->given_max_payload = true;
    loader->max_payload_line = place.line;
    loader->config->limits.max_payload = size;
}

static int statement_cors(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "cors");

    loader->config->cors.kind = CFG_ORIGINS_ANY; /* cors {} is the reference's default: "*" */
    cfg_read_table(loader, "cors", line, 1, cfg_cors_keys, cfg_cors_key_count,
                   &loader->config->cors);
    cfg_finish_cors(loader, line);
    return 0;
}

static void read_backlog_policy(struct cfg_loader *loader, struct cfg_place place, int index,
                                void *base)
{
    static const char expected[] = "\"close\" or \"drop_volatile\"";
    struct cfg_limits *limits = base;
    struct str policy;

    if (!cfg_read_string(loader, place, index, expected, &policy))
        return;
    limits->drop_volatile = str_equal(policy, STR("drop_volatile"));
    if (!limits->drop_volatile && !str_equal(policy, STR("close")))
        cfg_fault_found(loader, place, expected, index);
}

#define LIMIT(field) offsetof(struct cfg_limits, field)

static const struct cfg_key limit_keys[] = {
    {"max_payload",             CFG_CUSTOM,   0,                              0,       0,                  cfg_read_max_payload},
    {"backlog",                 CFG_SIZE,     LIMIT(backlog),                 1024,    UINT64_C(64) << 30, NULL                },
    {"connections",             CFG_COUNT,    LIMIT(connections),             1,       10000000,           NULL                },
    {"backlog_policy",          CFG_CUSTOM,   0,                              0,       0,                  read_backlog_policy },
    {"connections_per_address", CFG_COUNT,    LIMIT(connections_per_address), 0,       10000000,           NULL                },
    {"handshakes_per_second",   CFG_COUNT,    LIMIT(handshakes_per_second),   0,       RATE_MAX,           NULL                },
    {"events_per_second",       CFG_COUNT,    LIMIT(events_per_second),       0,       RATE_MAX,           NULL                },
    {"packets_per_payload",     CFG_COUNT,    LIMIT(packets_per_payload),     1,       10000000,           NULL                },
    {"attachments",             CFG_COUNT,    LIMIT(attachments),             1,       1024,               NULL                },
    {"header_bytes",            CFG_SIZE,     LIMIT(header_bytes),            1024,    64 * 1024,          NULL                },
    {"handler_time",            CFG_DURATION, LIMIT(handler_time_ms),         1,       INT32_MAX,          NULL                },
    {"lua_memory",              CFG_SIZE,     LIMIT(lua_memory),              4 << 20, UINT64_C(64) << 30, NULL                },
    {"http_idle",               CFG_DURATION, LIMIT(http_idle_ms),            100,     INT32_MAX,          NULL                },
    {"http_headers",            CFG_DURATION, LIMIT(http_headers_ms),         100,     INT32_MAX,          NULL                },
    {"http_body",               CFG_DURATION, LIMIT(http_body_ms),            100,     INT32_MAX,          NULL                },
};

static int statement_limits(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "limits");

    cfg_read_table(loader, "limits", line, 1, limit_keys,
                   sizeof(limit_keys) / sizeof(limit_keys[0]), &loader->config->limits);
    return 0;
}

static void read_level(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    static const char expected[] = "\"debug\", \"info\", \"warn\", \"error\" or \"off\"";
    struct config *config = base;
    struct str text;

    if (cfg_read_string(loader, place, index, expected, &text) &&
        !log_level_parse(text, &config->log_level))
        cfg_fault_found(loader, place, expected, index);
}

static void read_format(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    struct config *config = base;
    struct str text;

    if (!cfg_read_string(loader, place, index, "\"text\" or \"json\"", &text))
        return;
    if (str_equal(text, STR("json")))
        config->log_format = LOG_JSON;
    else if (str_equal(text, STR("text")))
        config->log_format = LOG_TEXT;
    else
        cfg_fault_found(loader, place, "\"text\" or \"json\"", index);
}

static const struct cfg_key log_keys[] = {
    {"level",  CFG_CUSTOM, 0, 0, 0, read_level },
    {"format", CFG_CUSTOM, 0, 0, 0, read_format},
};

/* The table `log` is called: its first argument is itself. */
static int statement_log(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "log");

    cfg_read_table(loader, "log", line, 2, log_keys, sizeof(log_keys) / sizeof(log_keys[0]),
                   loader->config);
    return 0;
}

/* --- env ----------------------------------------------------------------------------------- */

/* Works at run time too, where an unset name without a default is an ordinary Lua error. */
static int statement_env(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *value = getenv(name);

    if (value) {
        lua_pushstring(L, value);
        return 1;
    }
    if (!lua_isnone(L, 2)) {
        lua_settop(L, 2);
        return 1;
    }
    if (!cfg_loading(L))
        return luaL_error(L, "env \"%s\": not set, and no default given", name);
    cfg_fault(cfg_loader_of(L), cfg_current_line(L),
              "env \"%s\": the environment variable is not set, and there is no default; "
              "set it or write env(\"%s\", \"…\")",
              name, name);
    cfg_push_poison(L);
    return 1;
}

/* --- installing ---------------------------------------------------------------------------- */

const char *const cfg_statement_names[] = {
    "listen", "cors",      "engine",   "limits", "drain",   "health", "log",
    "env",    "namespace", "recovery", "redis",  "cluster", "workers"};
const size_t cfg_statement_name_count =
    sizeof(cfg_statement_names) / sizeof(cfg_statement_names[0]);

void cfg_install_statements(lua_State *L)
{
    lua_register(L, "listen", cfg_statement_listen);
    lua_register(L, "cors", statement_cors);
    lua_register(L, "engine", cfg_statement_engine);
    lua_register(L, "limits", statement_limits);
    lua_register(L, "recovery", cfg_statement_recovery);
    lua_register(L, "redis", cfg_statement_redis);
    lua_register(L, "cluster", cfg_statement_cluster);
    lua_register(L, "drain", cfg_statement_drain);
    lua_register(L, "health", cfg_statement_health);
    lua_register(L, "workers", cfg_statement_workers);
    lua_register(L, "env", statement_env);

    /* `log` is a library too (log.info and so on, put there by script): the statement is its call. */
    if (lua_getglobal(L, "log") != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setglobal(L, "log");
    }
    if (!lua_getmetatable(L, -1))
        lua_newtable(L);
    lua_pushcfunction(L, statement_log);
    lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}
