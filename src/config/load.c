#include "config/private.h"

#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

enum {
    REPORT_MAX = 1024 * 1024,    /* bytes of messages: room for all faults */
    FAULTS_MAX = 500,            /* then the file is stopped: it is in a loop */
    FAULT_TEXT_MAX = 1000,       /* bytes */
    LOAD_TIME_MS = 10000,        /* a file that computes longer is stopped */
    LOAD_HOOK_COUNT = 10000,     /* instructions between looks at the clock */
    RESERVED_DESCRIPTORS = 64,   /* listeners, log, Redis, files: not for connections */
    WORKER_DESCRIPTORS = 32,     /* of each further worker */
    FALLBACK_CONNECTIONS = 1000, /* when the descriptor limit is not known */
};

static const char loader_key; /* its address is the registry key of the loader */

/* --- faults -------------------------------------------------------------------------------- */

struct cfg_loader *cfg_loader_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loader_key);
    struct cfg_loader *loader = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (!loader)
        luaL_error(L,
                   "the configuration is complete: statements and handlers belong outside of "
                   "handlers");
    return loader;
}

bool cfg_loading(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &loader_key);
    bool loading = lua_touserdata(L, -1) != NULL;
    lua_pop(L, 1);
    return loading;
}

/* The innermost line of the file itself that is being run. */
int cfg_current_line(lua_State *L)
{
    lua_Debug info;

    for (int level = 0; lua_getstack(L, level, &info); level++) {
        if (lua_getinfo(L, "Sl", &info) && info.currentline > 0)
            return info.currentline;
    }
    return 0;
}

/* Once the time is over each instruction throws: pcall only moves the place. */
static void stop_endless(lua_State *L, lua_Debug *info)
{
    (void)info;
    struct cfg_loader *loader = cfg_loader_of(L);

    if (clock_thread_cpu_us() <= loader->stop_us)
        return;
    lua_sethook(L, stop_endless, LUA_MASKCOUNT, 1);
    luaL_error(L, "the file computed for more than %d seconds", LOAD_TIME_MS / 1000);
}

static void add_fault(struct cfg_loader *loader, int line, char *text)
{
    if (loader->fault_count == FAULTS_MAX) {
        free(text);
        return;
    }
    struct cfg_fault *grown =
        text ? realloc(loader->faults, (loader->fault_count + 1) * sizeof(*grown)) : NULL;

    if (!grown) {
        free(text);
        loader->out_of_memory = true;
        return;
    }
    loader->faults = grown;
    grown[loader->fault_count] =
        (struct cfg_fault){.line = line, .order = (uint32_t)loader->fault_count, .text = text};
    if (++loader->fault_count == FAULTS_MAX && lua_gethook(loader->L)) {
        loader->stop_us = 0;
        lua_sethook(loader->L, stop_endless, LUA_MASKCOUNT, 1);
    }
}

void cfg_fault(struct cfg_loader *loader, int line, const char *format, ...)
{
    char *text = NULL;
    va_list args;

    va_start(args, format);
    int size = vasprintf(&text, format, args);
    va_end(args);
    if (size < 0)
        text = NULL;
    else if (size > FAULT_TEXT_MAX) /* what was found is quoted, and may be of any size */
        text[FAULT_TEXT_MAX] = '\0';
    add_fault(loader, line, text);
}

static const char *describe_table(lua_State *L, int index)
{
    if (lua_rawlen(L, index) > 0)
        return "a list";

    index = lua_absindex(L, index);
    lua_pushnil(L);
    if (!lua_next(L, index))
        return "an empty table";
    lua_pop(L, 2);
    return "a table";
}

/* What a person would call the value: "25 parsecs" in quotes, 3.5, a table, nil as nothing. */
static void describe(lua_State *L, int index, char *to, size_t size)
{
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        snprintf(to, size, "\"%.80s\"", lua_tostring(L, index));
        break;
    case LUA_TNUMBER:
        lua_pushvalue(L, index); /* tostring on a copy: the original may be a key */
        snprintf(to, size, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
        break;
    case LUA_TBOOLEAN:
        snprintf(to, size, "%s", lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TNONE:
    case LUA_TNIL:
        snprintf(to, size, "nothing");
        break;
    case LUA_TTABLE:
        snprintf(to, size, "%s", describe_table(L, index));
        break;
    default:
        snprintf(to, size, "a %s", luaL_typename(L, index));
    }
}

void cfg_fault_found(struct cfg_loader *loader, struct cfg_place place, const char *expected,
                     int index)
{
    char found[128];

    if (cfg_is_poison(loader->L, index))
        return;
    describe(loader->L, index, found, sizeof(found));
    cfg_fault(loader, place.line, "%s: expected %s, found %s", place.path, expected, found);
}

static int by_line(const void *a, const void *b)
{
    const struct cfg_fault *one = a, *other = b;

    if (one->line != other->line)
        return one->line < other->line ? -1 : 1;
    return one->order < other->order ? -1 : one->order > other->order;
}

static void write_report(struct cfg_loader *loader, struct cfg_report *report)
{
    if (loader->fault_count > 0)
        qsort(loader->faults, loader->fault_count, sizeof(*loader->faults), by_line);
    for (size_t i = 0; i < loader->fault_count; i++) {
        struct cfg_fault *fault = &loader->faults[i];
        if (fault->line > 0)
            buf_printf(&report->text, "%s:%d: %s\n", loader->name, fault->line, fault->text);
        else
            buf_printf(&report->text, "%s: %s\n", loader->name, fault->text);
        free(fault->text);
    }
    if (loader->fault_count == FAULTS_MAX)
        buf_printf(&report->text, "%s: these are %d faults; more are not shown\n", loader->name,
                   FAULTS_MAX);
    report->count += loader->fault_count;
    free(loader->faults);
    if (loader->out_of_memory) {
        buf_printf(&report->text, "%s: out of memory\n", loader->name);
        report->count++;
    }
}

void cfg_report_init(struct cfg_report *report)
{
    buf_init(&report->text, REPORT_MAX);
    report->count = 0;
}

void cfg_report_free(struct cfg_report *report)
{
    buf_free(&report->text);
}

/* --- running the file ---------------------------------------------------------------------- */

/* A name that nothing defines: most likely a misspelled statement. */
static int unknown_name(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    const char *name = lua_tostring(L, 2);
    const char *nearest =
        name ? cfg_nearest(str_from(name), cfg_statement_names, cfg_statement_name_count)
             : NULL;

    if (nearest)
        cfg_fault(loader, cfg_current_line(L), "unknown name \"%s\"; did you mean \"%s\"?",
                  name, nearest);
    else
        cfg_fault(loader, cfg_current_line(L), "unknown name \"%s\"", name ? name : "?");
    cfg_push_poison(L);
    return 1;
}

static void set_strict_globals(lua_State *L, bool strict)
{
    lua_pushglobaltable(L);
    if (strict) {
        lua_newtable(L);
        lua_pushcfunction(L, unknown_name);
        lua_setfield(L, -2, "__index");
    } else {
        lua_pushnil(L);
    }
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* Lua's messages begin with `file:line: `; the line is put where ours have it. */
static void fault_from_lua(struct cfg_loader *loader)
{
    size_t name_size = strlen(loader->name);
    const char *message = lua_tostring(loader->L, -1);
    int line = 0;

    if (!message)
        message = "an error without a message";
    if (strncmp(message, loader->name, name_size) == 0 && message[name_size] == ':') {
        char *end;
        line = (int)strtol(message + name_size + 1, &end, 10);
        message = *end == ':' ? end + 1 : end;
        message += *message == ' ';
    }
    if (strstr(message, "attempt to load a binary chunk"))
        message = "expected Lua source text, found compiled Lua";
    cfg_fault(loader, line, "%s", message);
}

static void run_file(struct cfg_loader *loader)
{
    lua_State *L = loader->L;
    int top = lua_gettop(L);

    lua_pushfstring(L, "@%s", loader->name);
    if (luaL_loadbufferx(L, loader->source.at, loader->source.size, lua_tostring(L, -1), "t") !=
        LUA_OK) {
        fault_from_lua(loader);
    } else {
        loader->stop_us = clock_thread_cpu_us() + LOAD_TIME_MS * UINT64_C(1000);
        lua_sethook(L, stop_endless, LUA_MASKCOUNT, LOAD_HOOK_COUNT);
        set_strict_globals(L, true);
        if (lua_pcall(L, 0, 0, 0) != LUA_OK)
            fault_from_lua(loader);
        set_strict_globals(L, false);
        lua_sethook(L, NULL, 0, 0);
    }
    lua_settop(L, top);
}

/* --- defaults ------------------------------------------------------------------------------ */

static uint32_t default_connections(uint32_t workers)
{
    rlim_t reserved = RESERVED_DESCRIPTORS + (workers - 1) * WORKER_DESCRIPTORS;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return FALLBACK_CONNECTIONS;
    if (limit.rlim_cur <= 2 * reserved)
        return RESERVED_DESCRIPTORS;
    return limit.rlim_cur > INT32_MAX ? INT32_MAX : (uint32_t)(limit.rlim_cur - reserved);
}

static void set_defaults(struct config *config)
{
    config->cors = (struct cfg_cors){
        .function = CFG_NO_REF,
        .enforce = true,
        .methods = STR("GET,HEAD,PUT,PATCH,POST,DELETE"),
        .headers = STR(""),
        .expose = STR(""),
    };
    config->engine = (struct cfg_engine){
        .path = STR("/socket.io/"),
        .polling = true,
        .websocket = true,
        .allow_upgrades = true,
        .ping_interval_ms = 25000,
        .ping_timeout_ms = 20000,
        .upgrade_timeout_ms = 10000,
        .connect_timeout_ms = 45000,
        .add_trailing_slash = true,
        .destroy_upgrade = true,
        .destroy_upgrade_timeout_ms = 1000,
        .cookie = {.name = STR(""),    .attributes = STR("")},
        .initial_packet = STR(""),
        .serve_client = true,
        .compression = { .http = true, .threshold = 1024,            .level = 6},
        .allow_request = CFG_NO_REF,
    };
    config->limits = (struct cfg_limits){
        .max_payload = 1000000,
        .attachments = 10,
        .packets_per_payload = 10000,
        .header_bytes = 16 * 1024,
        .handler_time_ms = 1000,
        .lua_memory = UINT64_C(256) << 20,
        .http_idle_ms = 5000,
        .http_headers_ms = 60000,
        .http_body_ms = 300000,
    };
    config->redis = (struct cfg_redis){
        .url = STR(""),
        .prefix = STR("socket.io"),
        .request_timeout_ms = 5000,
        .connect_timeout_ms = 5000,
        .queue = UINT64_C(16) << 20,
        .stream = {.name = STR(""),  .session_prefix = STR("sio:session:")},
        .tls = { .ca = STR(""), .name = STR(""),                        .verify = true},
    };
    config->cluster =
        (struct cfg_cluster){.forward = true, .listen = STR(""), .advertise = STR("")};
    config->drain = (struct cfg_drain){.window_ms = 5000, .deadline_ms = 30000};
    config->workers = 1;
    config->log_level = LOG_INFO;
    config->log_format = LOG_TEXT;
}

static void finish(struct cfg_loader *loader)
{
    struct config *config = loader->config;
    uint64_t twice = config->limits.max_payload * 2;

    if (config->limits.backlog == 0)
        config->limits.backlog = twice > UINT64_C(16) << 20 ? twice : UINT64_C(16) << 20;
    if (config->limits.connections == 0)
        config->limits.connections = default_connections(config->workers);
    if (config->listen_count == 0 && loader->fault_count == 0)
        cfg_fault(loader, 0, "listen: expected at least one, such as listen \"0.0.0.0:3000\"");
    cfg_finish_listens(loader);
    cfg_finish_recovery(loader);
    cfg_finish_redis(loader);
    cfg_finish_cluster(loader);
}

struct config *cfg_load(lua_State *L, const char *name, struct str source,
                        struct cfg_report *report)
{
    struct cfg_loader loader = {.L = L, .name = name, .source = source};

    loader.config = calloc(1, sizeof(*loader.config));
    if (!loader.config || !(loader.config->arena = cfg_arena_new())) {
        loader.out_of_memory = true;
        goto done;
    }
    set_defaults(loader.config);
    loader.config->file = cfg_copy(&loader, str_from(name));

    lua_pushlightuserdata(L, &loader);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loader_key);
    cfg_install_statements(L);
    cfg_install_namespace(L);
    run_file(&loader);
    finish(&loader);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &loader_key);

done:
    if (loader.fault_count > 0 || loader.out_of_memory) {
        write_report(&loader, report);
        cfg_free(loader.config);
        return NULL;
    }
    return loader.config;
}

void cfg_free(struct config *config)
{
    if (!config)
        return;
    cfg_arena_free(config->arena);
    free(config);
}

char *cfg_read(const char *path, size_t *size, struct cfg_report *report)
{
    struct buf text;
    char block[64 * 1024];
    size_t got;
    FILE *file = fopen(path, "re");

    if (!file) {
        buf_printf(&report->text, "%s: %m\n", path);
        report->count++;
        return NULL;
    }
    buf_init(&text, CFG_FILE_MAX);
    while ((got = fread(block, 1, sizeof(block), file)) > 0)
        buf_add(&text, block, got);

    bool broken = ferror(file) != 0;
    fclose(file);
    if (broken || buf_failed(&text)) {
        buf_printf(&report->text, "%s: %s\n", path,
                   broken ? "cannot be read" : "larger than 16 MB or out of memory");
        report->count++;
        buf_free(&text);
        return NULL;
    }
    char *bytes = buf_steal(&text, size);
    return bytes;
}
