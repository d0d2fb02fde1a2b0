#include "config/private.h"
#include "redis/redis.h"

#include <stdio.h>

static const char expected_url[] =
    "an address such as \"redis://127.0.0.1:6379\" or \"unix:///run/redis/redis.sock\"";

/* --- words for choices ----------------------------------------------------------------------- */

/* The index of the word among those that may stand here, or `otherwise` after a fault. */
static unsigned read_choice(struct cfg_loader *loader, struct cfg_place place, int index,
                            const char *const *words, unsigned count, const char *expected,
                            unsigned otherwise)
{
    struct str text;

    if (!cfg_read_string(loader, place, index, expected, &text))
        return otherwise;
    for (unsigned i = 0; i < count; i++) {
        if (str_equal(text, str_from(words[i])))
            return i;
    }
    cfg_fault_found(loader, place, expected, index);
    return otherwise;
}

static void read_adapter(struct cfg_loader *loader, struct cfg_place place, int index,
                         void *base)
{
    static const char *const words[] = {"pubsub", "sharded", "streams"};
    struct cfg_redis *redis = base;

    redis->adapter =
        (enum cfg_adapter)read_choice(loader, place, index, words, 3,
                                      "\"pubsub\", \"sharded\" or \"streams\"", redis->adapter);
}

static void read_mode(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    static const char *const words[] = {"dynamic", "static", "dynamic-private"};
    struct cfg_redis *redis = base;

    redis->mode = (enum cfg_redis_mode)read_choice(
        loader, place, index, words, 3, "\"dynamic\", \"static\" or \"dynamic-private\"",
        redis->mode);
    redis->mode_line = place.line;
}

static void read_prefix(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    struct cfg_redis *redis = base;

    cfg_read_string(loader, place, index, "a string that channels begin with", &redis->prefix);
}

/* --- streams --------------------------------------------------------------------------------- */

#define STREAM(field) offsetof(struct cfg_stream, field)

static void read_stream_name(struct cfg_loader *loader, struct cfg_place place, int index,
                             void *base)
{
    struct cfg_stream *stream = base;

    cfg_read_string(loader, place, index, "the name of the stream", &stream->name);
}

static void read_session_prefix(struct cfg_loader *loader, struct cfg_place place, int index,
                                void *base)
{
    struct cfg_stream *stream = base;

    cfg_read_string(loader, place, index, "a string that sessions' keys begin with",
                    &stream->session_prefix);
}

static const struct cfg_key stream_keys[] = {
    {"name",             CFG_CUSTOM,   0,                        0,   0,         read_stream_name   },
    {"count",            CFG_COUNT,    STREAM(count),            1,   64,        NULL               },
    {"max_length",       CFG_COUNT,    STREAM(max_length),       100, INT32_MAX, NULL               },
    {"read_count",       CFG_COUNT,    STREAM(read_count),       1,   100000,    NULL               },
    {"block_time",       CFG_DURATION, STREAM(block_ms),         100, 60000,     NULL               },
    {"session_prefix",   CFG_CUSTOM,   0,                        0,   0,         read_session_prefix},
    {"sharded_channels", CFG_BOOL,     STREAM(sharded_channels), 0,   0,         NULL               },
};

static void read_stream(struct cfg_loader *loader, struct cfg_place place, int index,
                        void *base)
{
    struct cfg_redis *redis = base;

    redis->stream_line = place.line;
    if (lua_istable(loader->L, index))
        cfg_read_table(loader, place.path, place.line, index, stream_keys,
                       sizeof(stream_keys) / sizeof(stream_keys[0]), &redis->stream);
    else
        cfg_fault_found(loader, place, "a table of options { … }", index);
}

/* --- TLS ------------------------------------------------------------------------------------- */

#define TLS(field) offsetof(struct cfg_redis_tls, field)

static void read_ca(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    struct cfg_redis_tls *tls = base;

    cfg_read_string(loader, place, index, "a file of certificates in PEM", &tls->ca);
}

static void read_server_name(struct cfg_loader *loader, struct cfg_place place, int index,
                             void *base)
{
    struct cfg_redis_tls *tls = base;

    cfg_read_string(loader, place, index, "the name that the certificate is for", &tls->name);
}

static const struct cfg_key tls_keys[] = {
    {"ca",          CFG_CUSTOM, 0,           0, 0, read_ca         },
    {"server_name", CFG_CUSTOM, 0,           0, 0, read_server_name},
    {"verify",      CFG_BOOL,   TLS(verify), 0, 0, NULL            },
};

static void read_tls(struct cfg_loader *loader, struct cfg_place place, int index, void *base)
{
    struct cfg_redis *redis = base;

    redis->tls_line = place.line;
    if (lua_istable(loader->L, index))
        cfg_read_table(loader, place.path, place.line, index, tls_keys,
                       sizeof(tls_keys) / sizeof(tls_keys[0]), &redis->tls);
    else
        cfg_fault_found(loader, place, "a table of options { … }", index);
}

/* --- the statement --------------------------------------------------------------------------- */

#define REDIS(field) offsetof(struct cfg_redis, field)

static const struct cfg_key redis_keys[] = {
    {"adapter",                   CFG_CUSTOM,   0,                                0, 0,          read_adapter},
    {"prefix",                    CFG_CUSTOM,   0,                                0, 0,          read_prefix },
    {"required",                  CFG_BOOL,     REDIS(required),                  0, 0,          NULL        },
    {"request_timeout",           CFG_DURATION, REDIS(request_timeout_ms),        1, INT32_MAX,  NULL        },
    {"connect_timeout",           CFG_DURATION, REDIS(connect_timeout_ms),        1, INT32_MAX,  NULL        },
    {"queue",                     CFG_SIZE,     REDIS(queue),                     0, 4294967296, NULL        },
    {"subscription_mode",         CFG_CUSTOM,   0,                                0, 0,          read_mode   },
    {"specific_response_channel", CFG_BOOL,     REDIS(specific_response_channel), 0, 0,          NULL        },
    {"stream",                    CFG_CUSTOM,   0,                                0, 0,          read_stream },
    {"tls",                       CFG_CUSTOM,   0,                                0, 0,          read_tls    },
};

static int statement_options(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);

    cfg_read_table(loader, "redis", cfg_current_line(L), 1, redis_keys,
                   sizeof(redis_keys) / sizeof(redis_keys[0]), &loader->config->redis);
    return 0;
}

int cfg_statement_redis(lua_State *L)
{
    struct cfg_loader *loader = cfg_loader_of(L);
    struct cfg_redis *redis = &loader->config->redis;
    int line = cfg_once(loader, "redis");
    struct redis_options parsed;
    char fault[REDIS_FAULT_MAX];

    redis->given = true;
    redis->line = line;
    if (cfg_read_string(loader, (struct cfg_place){"redis", line}, 1, expected_url,
                        &redis->url) &&
        !redis_options_parse(&parsed, redis->url, fault))
        cfg_fault(loader, line, "redis: %s", fault);
    lua_pushcfunction(L, statement_options);
    return 1;
}

/* What the other statements say may stand behind this one. */
void cfg_finish_redis(struct cfg_loader *loader)
{
    const struct cfg_redis *redis = &loader->config->redis;
    struct redis_options parsed;
    char fault[REDIS_FAULT_MAX];

    if (!redis->given)
        return;
    if (redis->mode_line > 0 && redis->adapter != CFG_ADAPTER_SHARDED)
        cfg_fault(loader, redis->mode_line,
                  "redis.subscription_mode: expected only with adapter = \"sharded\"");
    if (redis->specific_response_channel && redis->adapter != CFG_ADAPTER_PUBSUB)
        cfg_fault(loader, redis->line,
                  "redis.specific_response_channel: expected only with adapter = \"pubsub\"");
    if (redis->stream_line > 0 && redis->adapter != CFG_ADAPTER_STREAMS)
        cfg_fault(loader, redis->stream_line,
                  "redis.stream: expected only with adapter = \"streams\"");
    if (redis->tls_line > 0 && redis->url.size > 0 &&
        redis_options_parse(&parsed, redis->url, fault) && !parsed.tls)
        cfg_fault(loader, redis->tls_line,
                  "redis.tls: expected only with an address that begins with rediss");
}
