#include "config/private.h"

/*
 * An origin is scheme://host or scheme://host:port, nothing behind; or "null", which browsers send
 * for files and sandboxed frames. A '*' stands for any characters but '/'.
 */
static bool is_origin(struct str text)
{
    if (str_equal(text, STR("null")) || str_equal(text, STR("*")))
        return true;

    const char *mark = memmem(text.at, text.size, "://", 3);
    if (!mark || mark == text.at)
        return false;

    struct str host = str_from_index(text, (size_t)(mark - text.at) + 3);
    if (host.size == 0)
        return false;
    for (size_t i = 0; i < host.size; i++) {
        if (host.at[i] <= ' ' || host.at[i] == 0x7f || strchr("/?#@\\,", host.at[i]))
            return false;
    }
    return true;
}

bool cfg_check_origins(struct cfg_loader *loader, struct cfg_place place,
                       const struct str *origins, size_t count)
{
    bool good = true;

    for (size_t i = 0; i < count; i++) {
        if (is_origin(origins[i]))
            continue;
        cfg_fault(loader, place.line,
                  "%s: expected an origin such as \"https://app.example.com\" or "
                  "\"https://*.example.com\", without a path, found \"%.*s\"",
                  place.path, (int)origins[i].size, origins[i].at);
        good = false;
    }
    return good;
}

static bool lists_any(const struct cfg_cors *cors)
{
    for (size_t i = 0; i < cors->origin_count; i++) {
        if (str_equal(cors->origins[i], STR("*")))
            return true;
    }
    return false;
}

static void read_origins(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    struct cfg_cors *cors = base;
    lua_State *L = loader->L;

    if (lua_isfunction(L, index)) {
        cors->kind = CFG_ORIGINS_FUNCTION;
        lua_pushvalue(L, index);
        cors->function = luaL_ref(L, LUA_REGISTRYINDEX);
        return;
    }
    if (lua_isboolean(L, index) && lua_toboolean(L, index)) {
        cors->kind = CFG_ORIGINS_REFLECT;
        return;
    }
    if (!cfg_read_strings(
            loader, place, index,
            "\"*\", true, a list of origins such as { \"https://app.example.com\" } "
            "or a function",
            &cors->origins, &cors->origin_count) ||
        !cfg_check_origins(loader, place, cors->origins, cors->origin_count))
        return;
    cors->kind = lists_any(cors) ? CFG_ORIGINS_ANY : CFG_ORIGINS_LIST;
    if (cors->kind == CFG_ORIGINS_LIST && lua_type(L, index) == LUA_TSTRING)
        cors->kind =
            CFG_ORIGINS_FIXED; /* cfg_finish_cors() makes it a list when it is enforced */
}

static void read_joined(struct cfg_loader *loader, struct cfg_place place, int index,
                        const char *expected, struct str *to)
{
    struct str *items;
    size_t count, size = 0;

    if (!cfg_read_strings(loader, place, index, expected, &items, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        for (size_t at = 0; at < items[i].size; at++) {
            if (items[i].at[at] <= ' ' || items[i].at[at] >= 0x7f) {
                cfg_fault(loader, place.line, "%s: expected %s, found \"%.*s\"", place.path,
                          expected, (int)items[i].size, items[i].at);
                return;
            }
        }
        size += items[i].size + 1;
    }

    char *joined = cfg_alloc(loader, size);
    size_t at = 0;
    for (size_t i = 0; joined && i < count; i++) {
        if (i > 0)
            joined[at++] = ',';
        memcpy(joined + at, items[i].at, items[i].size);
        at += items[i].size;
    }
    if (joined)
        *to = str_of(joined, at);
}

static void read_methods(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    read_joined(loader, place, index, "a list of methods such as { \"GET\", \"POST\" }",
                &((struct cfg_cors *)base)->methods);
}

static void read_headers(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    read_joined(loader, place, index, "a list of header names such as { \"x-token\" }",
                &((struct cfg_cors *)base)->headers);
}

static void read_expose(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    read_joined(loader, place, index, "a list of header names such as { \"x-token\" }",
                &((struct cfg_cors *)base)->expose);
}

static void read_max_age(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    struct cfg_cors *cors = base;
    uint32_t ms = UINT32_MAX;
    const struct cfg_key row = {"max_age", CFG_DURATION, 0, 0, UINT32_C(86400000) * 30, NULL};

    /* The one duration whose unit on the wire is seconds. */
    cfg_read_duration(loader, place, &row, index, &ms);
    if (ms == UINT32_MAX)
        return;
    cors->has_max_age = true;
    cors->max_age_s = ms / 1000;
}

const struct cfg_key cfg_cors_keys[] = {
    {"origins",     CFG_CUSTOM, 0,                        0,                    0,                          read_origins          },
    {"credentials", CFG_BOOL,   offsetof(struct cfg_cors, credentials),         0,                          0,                      NULL},
    {"enforce",             CFG_BOOL,               offsetof(struct cfg_cors,                   enforce), 0, 0,                      NULL},
    {"methods",         CFG_CUSTOM,                   0,                                   0,                                     0,                                            read_methods         },
    {"headers", CFG_CUSTOM,           0,                           0,                                     0,         read_headers},
    {"expose", CFG_CUSTOM,           0,                            0,                                      0,                                             read_expose                                            },
    {"max_age",  CFG_CUSTOM,            0,                            0,                                     0,       read_max_age},
};
const size_t cfg_cors_key_count = sizeof(cfg_cors_keys) / sizeof(cfg_cors_keys[0]);

void cfg_finish_cors(struct cfg_loader *loader, int line)
{
    struct cfg_cors *cors = &loader->config->cors;

    if (cors->kind == CFG_ORIGINS_ANY && cors->credentials)
        cfg_fault(loader, cfg_key_line(loader->source, line, "credentials"),
                  "cors.credentials: found true with origins = \"*\", which browsers refuse; "
                  "expected a list of the origins that may send credentials");
    if (cors->kind == CFG_ORIGINS_FIXED &&
        (cors->enforce || memchr(cors->origins[0].at, '*', cors->origins[0].size)))
        cors->kind = CFG_ORIGINS_LIST;
}
