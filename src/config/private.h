/*
 * config/private: what the files of this folder share while a file is being loaded.
 *
 * Callers   src/config only.
 * Owner     the loader lives on cfg_load()'s stack; its arena passes to the config.
 * Threads   one at a time.
 * Errors    cfg_fault() records and the caller goes on, so that all faults are found in one run.
 */
#ifndef SKUA_CONFIG_PRIVATE_H
#define SKUA_CONFIG_PRIVATE_H

#include "config/config.h"

#include <lauxlib.h>

struct cfg_fault {
    int line;       /* 0: the file as a whole */
    uint32_t order; /* faults of one line keep the order they were found in */
    char *text;
};

struct cfg_loader {
    lua_State *L;
    struct config *config;
    const char *name;
    struct str source;
    struct cfg_fault *faults;
    size_t fault_count;
    bool out_of_memory;
    bool given_max_payload; /* by `engine` or `limits`, whichever came first */
    int max_payload_line;
    uint64_t stop_us; /* CPU time at which a file that computes for ever is stopped */
};

enum cfg_type {
    CFG_BOOL,     /* bool */
    CFG_COUNT,    /* uint32_t, a whole number */
    CFG_DURATION, /* uint32_t, milliseconds */
    CFG_SIZE,     /* uint64_t, bytes */
    CFG_CUSTOM,   /* read by the row's function */
};

/* Where a value stands, for messages: `path` is "engine.ping_interval". */
struct cfg_place {
    const char *path;
    int line;
};

/* One key of a statement's table. Numbers outside min..max are faults. */
struct cfg_key {
    const char *name;
    enum cfg_type type;
    size_t offset; /* in the struct that cfg_read_table() fills */
    uint64_t min, max;
    void (*read)(struct cfg_loader *loader, struct cfg_place place, int index, void *base);
};

/* load.c */
struct cfg_loader *cfg_loader_of(lua_State *L);
int cfg_current_line(lua_State *L);
void cfg_fault(struct cfg_loader *loader, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `<path>: expected <expected>, found <what the value at index is>` */
void cfg_fault_found(struct cfg_loader *loader, struct cfg_place place, const char *expected,
                     int index);

/* arena.c: memory of the config, freed with it. NULL sets loader->out_of_memory. */
struct cfg_arena *cfg_arena_new(void);
void cfg_arena_free(struct cfg_arena *arena);
void *cfg_alloc(struct cfg_loader *loader, size_t size);
struct str cfg_copy(struct cfg_loader *loader, struct str text);

/* A larger copy of an array that grows by one element a call; the new one is zeroed. */
void *cfg_grow(struct cfg_loader *loader, void *array, size_t count, size_t size);

/* values.c */
bool cfg_is_poison(lua_State *L, int index);
void cfg_push_poison(lua_State *L);
void cfg_read_table(struct cfg_loader *loader, const char *path, int line, int index,
                    const struct cfg_key *keys, size_t key_count, void *base);

/* As a CFG_DURATION row with these bounds; `*to` is left as it is after a fault. */
void cfg_read_duration(struct cfg_loader *loader, struct cfg_place place,
                       const struct cfg_key *key, int index, uint32_t *to);
void cfg_read_size(struct cfg_loader *loader, struct cfg_place place, const struct cfg_key *key,
                   int index, uint64_t *to);
bool cfg_read_bool(struct cfg_loader *loader, struct cfg_place place, int index, bool *to);
bool cfg_read_string(struct cfg_loader *loader, struct cfg_place place, int index,
                     const char *expected, struct str *to);

/* A string or a list of strings as an array in the arena; false after a fault. */
bool cfg_read_strings(struct cfg_loader *loader, struct cfg_place place, int index,
                      const char *expected, struct str **to, size_t *count);

/* listen.c */
int cfg_statement_listen(lua_State *L);
void cfg_finish_listens(struct cfg_loader *loader);

/* statements.c */

/* For a statement that may stand once in a file: faults the second one. Returns its line. */
int cfg_once(struct cfg_loader *loader, const char *name);
void cfg_read_max_payload(struct cfg_loader *loader, struct cfg_place place, int index,
                          void *base);

/* engine.c */
int cfg_statement_engine(lua_State *L);

/* drain.c */
int cfg_statement_drain(lua_State *L);
int cfg_statement_health(lua_State *L);

/* workers.c */
int cfg_statement_workers(lua_State *L);

/* headers.c: `true` or a table; a table of names and values. */
void cfg_read_cookie(struct cfg_loader *loader, struct cfg_place place, int index,
                     struct cfg_cookie *cookie);
void cfg_read_headers(struct cfg_loader *loader, struct cfg_place place, int index,
                      struct cfg_headers *headers);

/* origins.c: each must be an origin or a pattern of one. */
bool cfg_check_origins(struct cfg_loader *loader, struct cfg_place place,
                       const struct str *origins, size_t count);
extern const struct cfg_key cfg_cors_keys[];
extern const size_t cfg_cors_key_count;
void cfg_finish_cors(struct cfg_loader *loader, int line);

/* compression.c */
void cfg_read_compression(struct cfg_loader *loader, struct cfg_place place, int index,
                          struct cfg_compression *to);

/* recovery.c */
int cfg_statement_recovery(lua_State *L);
void cfg_read_namespace_recovery(struct cfg_loader *loader, struct cfg_place place, int index,
                                 struct cfg_namespace_recovery *to);
void cfg_finish_recovery(struct cfg_loader *loader);

/* redis.c */
int cfg_statement_redis(lua_State *L);
void cfg_finish_redis(struct cfg_loader *loader);

/* cluster.c */
int cfg_statement_cluster(lua_State *L);
void cfg_finish_cluster(struct cfg_loader *loader);

/* nearest.c */

/* The candidate that differs least from `word`, or NULL when none is near. */
const char *cfg_nearest(struct str word, const char *const *candidates, size_t count);

/* The line of `key =` in the table that opens on or behind `line`; `line` if it is not found. */
int cfg_key_line(struct str source, int line, const char *key);

/* statements.c, namespace.c: put their functions into the state. */
void cfg_install_statements(lua_State *L);
void cfg_install_namespace(lua_State *L);
extern const char *const cfg_statement_names[];
extern const size_t cfg_statement_name_count;

#endif
