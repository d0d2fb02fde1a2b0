#include "base/utf8.h"
#include "config/private.h"

static void read_path(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    static const char expected[] = "a path such as \"/socket.io/\"";
    struct cfg_engine *engine = base;
    struct str path;

    if (!cfg_read_string(loader, place, index, expected, &path))
        return;
    bool good = path.size > 0 && path.at[0] == '/';
    for (size_t i = 0; i < path.size; i++)
        good = good && path.at[i] > ' ' && path.at[i] < 0x7f && !strchr("?#", path.at[i]);
    if (!good) {
        cfg_fault_found(loader, place, expected, index);
        return;
    }
    engine->path = path;
}

/* As the reference: one slash at the end goes, and comes again unless it is not wanted. */
static void finish_path(struct cfg_engine *engine)
{
    struct str *path = &engine->path;

    if (path->at[path->size - 1] == '/')
        path->size--;
    if (!engine->add_trailing_slash)
        return;
    /* A path was copied: its NUL is the room for a slash. */
    if (path->at[path->size] != '/')
        ((char *)path->at)[path->size] = '/';
    path->size++;
}

static void read_transports(struct cfg_loader *loader, struct cfg_place place, int index,
                            void *base)
{
    static const char *const names[] = {"polling", "websocket"};
    struct cfg_engine *engine = base;
    struct str *items;
    size_t count;

    if (!cfg_read_strings(loader, place, index,
                          "a list of transports: { \"polling\", \"websocket\" }", &items,
                          &count))
        return;
    engine->polling = engine->websocket = false;
    for (size_t i = 0; i < count; i++) {
        const char *nearest = cfg_nearest(items[i], names, 2);
        if (str_equal(items[i], STR("polling")))
            engine->polling = true;
        else if (str_equal(items[i], STR("websocket")))
            engine->websocket = true;
        else
            cfg_fault(loader, place.line,
                      "%s: expected \"polling\" or \"websocket\", found \"%.*s\"%s%s%s",
                      place.path, (int)items[i].size, items[i].at,
                      nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                      nearest ? "\"?" : "");
    }
}

static void read_parser(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    static const char expected[] = "\"json\" or \"msgpack\"";
    struct cfg_engine *engine = base;
    struct str parser;

    if (!cfg_read_string(loader, place, index, expected, &parser))
        return;
    engine->msgpack = str_equal(parser, STR("msgpack"));
    if (!engine->msgpack && !str_equal(parser, STR("json")))
        cfg_fault_found(loader, place, expected, index);
}

/* Only kept: script calls it. */
static void read_allow_request(struct cfg_loader *loader, struct cfg_place place, int index,
                               void *base)
{
    struct cfg_engine *engine = base;
    lua_State *L = loader->L;

    if (!lua_isfunction(L, index)) {
        cfg_fault_found(loader, place, "a function", index);
        return;
    }
    lua_pushvalue(L, index);
    engine->allow_request = luaL_ref(L, LUA_REGISTRYINDEX);
    engine->allow_request_line = place.line;
}

static void read_cookie(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    cfg_read_cookie(loader, place, index, &((struct cfg_engine *)base)->cookie);
}

static void read_headers(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    cfg_read_headers(loader, place, index, &((struct cfg_engine *)base)->headers);
}

static void read_initial_headers(struct cfg_loader *loader, struct cfg_place place, int index,
                                 void *base)
{
    cfg_read_headers(loader, place, index, &((struct cfg_engine *)base)->initial_headers);
}

static void read_initial_packet(struct cfg_loader *loader, struct cfg_place place, int index,
                                void *base)
{
    static const char expected[] = "text in UTF-8";
    struct str packet;

    if (!cfg_read_string(loader, place, index, expected, &packet))
        return;
    if (utf8_valid(packet.at, packet.size))
        ((struct cfg_engine *)base)->initial_packet = packet;
    else
        cfg_fault_found(loader, place, expected, index);
}

static void read_compression(struct cfg_loader *loader, struct cfg_place place, int index,
                             void *base)
{
    cfg_read_compression(loader, place, index, &((struct cfg_engine *)base)->compression);
}

#define ENGINE(field) offsetof(struct cfg_engine, field)

static const struct cfg_key engine_keys[] = {
    {"path",                           CFG_CUSTOM,   0,                                      0,  0,         read_path           },
    {"add_trailing_slash",             CFG_BOOL,     ENGINE(add_trailing_slash),             0,  0,         NULL                },
    {"transports",                     CFG_CUSTOM,   0,                                      0,  0,         read_transports     },
    {"allow_upgrades",                 CFG_BOOL,     ENGINE(allow_upgrades),                 0,  0,         NULL                },
    {"legacy_clients",                 CFG_BOOL,     ENGINE(legacy_clients),                 0,  0,         NULL                },
    {"ping_interval",                  CFG_DURATION, ENGINE(ping_interval_ms),               10, INT32_MAX, NULL                },
    {"ping_timeout",                   CFG_DURATION, ENGINE(ping_timeout_ms),                10, INT32_MAX, NULL                },
    {"upgrade_timeout",                CFG_DURATION, ENGINE(upgrade_timeout_ms),             10, INT32_MAX, NULL                },
    {"connect_timeout",                CFG_DURATION, ENGINE(connect_timeout_ms),             10, INT32_MAX, NULL                },
    {"parser",                         CFG_CUSTOM,   0,                                      0,  0,         read_parser         },
    {"max_payload",                    CFG_CUSTOM,   0,                                      0,  0,         cfg_read_max_payload},
    {"compression",                    CFG_CUSTOM,   0,                                      0,  0,         read_compression    },
    {"serve_client",                   CFG_BOOL,     ENGINE(serve_client),                   0,  0,         NULL                },
    {"cookie",                         CFG_CUSTOM,   0,                                      0,  0,         read_cookie         },
    {"headers",                        CFG_CUSTOM,   0,                                      0,  0,         read_headers        },
    {"initial_headers",                CFG_CUSTOM,   0,                                      0,  0,         read_initial_headers},
    {"initial_packet",                 CFG_CUSTOM,   0,                                      0,  0,         read_initial_packet },
    {"allow_request",                  CFG_CUSTOM,   0,                                      0,  0,         read_allow_request  },
    {"destroy_upgrade",                CFG_BOOL,     ENGINE(destroy_upgrade),                0,  0,         NULL                },
    {"destroy_upgrade_timeout",        CFG_DURATION, ENGINE(destroy_upgrade_timeout_ms),     1,  INT32_MAX,
     NULL                                                                                                                       },
    {"cleanup_empty_child_namespaces", CFG_BOOL,     ENGINE(cleanup_empty_child_namespaces), 0,  0,
     NULL                                                                                                                       },
};

int cfg_statement_engine(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    int line = cfg_once(loader, "engine");

    cfg_read_table(loader, "engine", line, 1, engine_keys,
                   sizeof(engine_keys) / sizeof(engine_keys[0]), &loader->config->engine);
    finish_path(&loader->config->engine);
    return 0;
}
