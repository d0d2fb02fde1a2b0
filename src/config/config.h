/*
 * config: the Lua file → one immutable struct config, or every fault in it at once.
 *
 * The file is Lua whose statements (`listen`, `cors`, `engine`, `namespace`, `limits`, `log`,
 * `env`) are functions put into the given state; they record what they are told, check it against
 * one table row a key (name, type, bounds, default), and go on after a fault, so that all faults
 * are reported. Handlers given to `ns:use`, `ns:use_event` and `ns:on` are kept as references in the state's
 * registry: config never calls them.
 *
 * Callers   main (check), worker (run), script (handlers, the namespace metatable).
 * Owner     cfg_load() makes a config, cfg_free() frees it; the lua_State is the caller's and must
 *           outlive the references that are used. Strings live in the config.
 * Threads   read-only after cfg_load().
 * Units     milliseconds, bytes; in names where it matters.
 * Errors    collected in struct cfg_report, each with file:line, the path of the key, what was
 *           found, what was expected, the nearest known key.
 * Source    DESIGN.md "The Lua file".
 */
#ifndef SKUA_CONFIG_CONFIG_H
#define SKUA_CONFIG_CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "base/network.h"

#include <lua.h>

#include <stdint.h>

enum {
    CFG_NO_REF = -2, /* LUA_NOREF: no handler */
    CFG_HEADERS_MAX = 32,
    CFG_WORKERS_MAX = 64,
};

struct cfg_certificate {
    struct str cert, key; /* files, NUL-terminated */
    int line;
};

struct cfg_listen {
    struct str text; /* as written */
    char *host;      /* numeric, NULL for unix sockets and systemd's */
    uint16_t port;
    char *unix_path;                      /* NULL for TCP */
    char *systemd;                        /* name of passed sockets, "" for all; or NULL */
    struct cfg_certificate *certificates; /* the first is the default */
    size_t certificate_count;             /* 0: no TLS */
    bool redirect;                        /* requests are sent to the first TLS listener */
    bool proxy_protocol;
    bool trust_all; /* what any peer says in X-Forwarded-* is believed */
    struct network *trusted;
    size_t trusted_count;
    int line;
};

enum cfg_origins {
    CFG_ORIGINS_NONE, /* the statement is absent */
    CFG_ORIGINS_ANY,
    CFG_ORIGINS_REFLECT,
    CFG_ORIGINS_FIXED, /* for cors { enforce = false, origins = "one string" }: the reference's form */
    CFG_ORIGINS_LIST,
    CFG_ORIGINS_FUNCTION,
};

struct cfg_cors {
    enum cfg_origins kind;
    struct str *origins;
    size_t origin_count;
    int function; /* registry reference, or CFG_NO_REF */
    bool credentials;
    bool enforce;
    struct str methods;
    struct str headers; /* joined by ',' */
    struct str expose;
    bool has_max_age;
    uint32_t max_age_s;
};

struct cfg_cookie {
    struct str name;       /* empty: none is set */
    struct str attributes; /* as they are sent: "; Path=/; HttpOnly; SameSite=Lax" */
};

struct cfg_header {
    struct str name;
    struct str value;
};

struct cfg_headers {
    struct cfg_header *at;
    size_t count;
};

struct cfg_compression {
    bool websocket; /* messages, if the client offers permessage-deflate */
    bool http;      /* answers to polls */
    uint64_t threshold;
    uint32_t level;
};

struct cfg_engine {
    struct str path; /* what targets must start with */
    bool add_trailing_slash;
    bool polling;
    bool websocket;
    bool allow_upgrades;
    bool legacy_clients;
    bool msgpack; /* packets are MessagePack's, not JSON text */
    uint32_t ping_interval_ms;
    uint32_t ping_timeout_ms;
    uint32_t upgrade_timeout_ms;
    uint32_t connect_timeout_ms;
    bool cleanup_empty_child_namespaces;
    bool destroy_upgrade;
    uint32_t destroy_upgrade_timeout_ms;
    bool serve_client;
    struct cfg_compression compression;
    struct cfg_cookie cookie;
    struct cfg_headers headers;
    struct cfg_headers initial_headers;
    struct str initial_packet; /* or empty */
    int allow_request;         /* registry reference, or CFG_NO_REF */
    int allow_request_line;
};

struct cfg_limits {
    uint64_t max_payload;
    uint64_t backlog;                 /* default: the larger of 16 MB and twice max_payload */
    bool drop_volatile;               /* backlog_policy */
    uint32_t connections;             /* default: the descriptor limit less a reserve */
    uint32_t connections_per_address; /* 0: no limit, as the next two */
    uint32_t handshakes_per_second;
    uint32_t events_per_second;
    uint32_t packets_per_payload;
    uint32_t attachments;
    uint64_t header_bytes;
    uint32_t handler_time_ms;
    uint64_t lua_memory;
    uint32_t http_idle_ms;
    uint32_t http_headers_ms;
    uint32_t http_body_ms;
};

/* How the server ends when it is told to. */
struct cfg_drain {
    uint32_t grace_ms;    /* unready, but as before */
    uint32_t window_ms;   /* over which sessions are closed */
    uint32_t deadline_ms; /* from the signal; then what is left is ended */
};

struct cfg_health {
    struct str path; /* NULL: none is served */
    struct str live; /* NULL: none */
};

struct cfg_handler {
    struct str event; /* for `on`: "connection", an event's name, "*" */
    int function;     /* registry reference */
    int line;
};

struct cfg_handlers {
    struct cfg_handler *at;
    size_t count;
};

enum cfg_namespace_kind {
    CFG_NAMESPACE_NAMED,
    CFG_NAMESPACE_GLOB,
    CFG_NAMESPACE_FUNCTION,
};

/* Connection state recovery. */
struct cfg_recovery {
    uint32_t window_ms; /* 0: off */
    bool skip_middlewares;
    uint64_t buffer; /* bytes of events and sessions kept a namespace */
};

#define CFG_RECOVERY_DEFAULT                                                                   \
    ((struct cfg_recovery){.window_ms = 120000, .buffer = UINT64_C(64) << 20})

enum cfg_adapter {
    CFG_ADAPTER_PUBSUB,
    CFG_ADAPTER_SHARDED,
    CFG_ADAPTER_STREAMS,
};

enum cfg_redis_mode {
    CFG_REDIS_DYNAMIC,
    CFG_REDIS_STATIC,
    CFG_REDIS_DYNAMIC_PRIVATE,
};

struct cfg_stream {
    struct str name; /* empty: the prefix' default, as the next */
    struct str session_prefix;
    uint32_t count; /* 0 here and below: the default */
    uint32_t max_length;
    uint32_t read_count;
    uint32_t block_ms;
    bool sharded_channels;
};

struct cfg_redis_tls {
    struct str ca;   /* empty: the system's */
    struct str name; /* empty: the host */
    bool verify;
};

struct cfg_redis {
    bool given;
    struct str url; /* good for redis_options_parse() */
    enum cfg_adapter adapter;
    struct str prefix;
    bool required;
    uint32_t request_timeout_ms;
    uint32_t connect_timeout_ms;
    uint64_t queue; /* bytes of messages that wait for Redis */
    enum cfg_redis_mode mode;
    bool specific_response_channel;
    struct cfg_stream stream;
    struct cfg_redis_tls tls;
    int line;
    int mode_line, stream_line, tls_line; /* 0: not given */
};

/* Requests that servers of one Redis hand over to each other. */
struct cfg_cluster {
    bool forward;
    struct str listen;    /* ADDRESS:PORT; empty: a free port where Redis is reached from */
    struct str advertise; /* what the others are told, if that is not where it listens */
    int line;             /* 0: not given */
};

/* What a namespace says of its own, until all statements are read. */
struct cfg_namespace_recovery {
    bool given;
    bool off;
    uint32_t window_ms; /* 0: not given alone */
    int table;          /* registry reference, or CFG_NO_REF */
    int line;
};

struct cfg_namespace {
    enum cfg_namespace_kind kind;
    struct str name;      /* or the pattern */
    int function;         /* decides about names; CFG_NO_REF unless CFG_NAMESPACE_FUNCTION */
    uint64_t max_payload; /* 0: the limit of the whole */
    struct str *origins;
    size_t origin_count;
    struct cfg_recovery recovery;
    struct cfg_namespace_recovery own_recovery;
    struct cfg_handlers use;
    struct cfg_handlers use_event;
    struct cfg_handlers on;
    struct cfg_handlers on_server; /* events of other servers */
    int line;
};

struct config {
    struct str file; /* as shown in messages */
    struct cfg_listen *listens;
    size_t listen_count;
    struct cfg_cors cors;
    struct cfg_engine engine;
    struct cfg_limits limits;
    struct cfg_recovery recovery; /* of namespaces that say nothing */
    struct cfg_redis redis;
    struct cfg_cluster cluster;
    struct cfg_drain drain;
    uint32_t workers; /* threads */
    struct cfg_health health;
    struct cfg_namespace *namespaces; /* in order of declaration; "/" only if declared */
    size_t namespace_count;
    enum log_level log_level;
    enum log_format log_format;
    struct cfg_arena *arena;
};

/* Faults in the order of their lines. */
struct cfg_report {
    struct buf text; /* one line each, ready to print */
    size_t count;
};

void cfg_report_init(struct cfg_report *report);
void cfg_report_free(struct cfg_report *report);

/*
 * Runs the Lua source in `L` (text only, never bytecode), where the caller has opened its
 * libraries. `name` is the file's name for messages. NULL when there was any fault; the report
 * then has at least one line. Statements stay in the state and raise an error when called later.
 */
struct config *cfg_load(lua_State *L, const char *name, struct str source,
                        struct cfg_report *report);

/* Reads a file for cfg_load(): malloced, at most CFG_FILE_MAX bytes. NULL and a sentence in the report. */
char *cfg_read(const char *path, size_t *size, struct cfg_report *report);

void cfg_free(struct config *config);

/* Whether there is recovery in any namespace. */
bool cfg_any_recovery(const struct config *config);

enum {
    CFG_FILE_MAX = 16 * 1024 * 1024, /* bytes */
};

/* --- the namespace object that `namespace "/x"` returns --------------------------------------- */

#define CFG_NAMESPACE_METATABLE "skua.namespace"

struct cfg_namespace_object {
    uint32_t index; /* into config->namespaces */
};

/*
 * Pushes the method table of namespace objects (made on first use; it is the metatable's
 * __index): config puts `use`, `use_event` and `on` there, script adds what works at run time
 * before the file is loaded.
 */
void cfg_namespace_methods(lua_State *L);

/* True while cfg_load() runs the file: run-time methods refuse to work then. */
bool cfg_loading(lua_State *L);

#endif
