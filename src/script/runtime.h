/*
 * runtime: what the files of the runtime half share: the state, its coroutines, the objects that
 * Lua holds.
 *
 * A run is one function of the configuration called for one occasion (an event, a timer). It has
 * a coroutine from the pool, whose body is a C function: it pushes the arguments and calls the
 * Lua function inside lua_resume(), so that every Lua error, out of memory included, ends in
 * the run and nowhere else.
 *
 * Callers   src/script only.
 * Owner     struct script owns coroutines and namespaces; userdata belong to Lua's collector.
 * Threads   the worker's own.
 * Units     milliseconds, bytes; CPU time in microseconds.
 * Errors    Lua errors inside runs; nothing here raises outside of one.
 */
#ifndef SKUA_SCRIPT_RUNTIME_H
#define SKUA_SCRIPT_RUNTIME_H

#include "cluster/cluster.h"
#include "net/loop.h"
#include "script/script.h"
#include "script/value.h"

#include <lauxlib.h>

enum {
    SCRIPT_WAITING_MAX = 100000, /* runs that wait for an answer or a time */
    SCRIPT_TIMERS_MAX = 100000,  /* timers that run */
    SCRIPT_POOL_MAX = 256,       /* idle coroutines kept */
    SCRIPT_NESTING_MAX = 32,     /* runs started inside runs: each takes C stack */
    SCRIPT_HOOK_COUNT = 10000,   /* instructions between two looks at the clock: some 50 µs */
    SCRIPT_ACK_TIMEOUT_MS = 10000,  /* of broadcasts without :timeout() */
    SCRIPT_ID_MAX = 64,             /* bytes of a socket id or event name kept for log lines */
    SCRIPT_STOP_TEXT_MAX = 256,     /* bytes of the error that stops a run */
    SCRIPT_SCRATCH_MAX = 256 << 20, /* bytes for a list of rooms or sockets */
    SCRIPT_SCRATCH_KEPT = 64 << 10, /* bytes of it kept for the next time */
    SCRIPT_PACKET_MAX = 1 << 30,    /* bytes of one packet made by Lua */
};

/* Userdata of this half, told apart by their metatables. */
enum script_type {
    SCRIPT_SOCKET,
    SCRIPT_NAMESPACE, /* declared in the file: struct cfg_namespace_object */
    SCRIPT_CHILD,     /* a dynamic one, found by its name */
    SCRIPT_TARGET,
    SCRIPT_REMOTE, /* a socket of any server, as it was when it was fetched */
    SCRIPT_TIMER,
    SCRIPT_REJECTION,
    SCRIPT_TYPES,
};

struct script_namespace {
    const struct cfg_namespace *config;
    struct sio_namespace *sio; /* once it is known; declared ones live as long as the server */
    struct map events;         /* event name → struct cfg_handler */
    const struct cfg_handler *connection;
    const struct cfg_handler *disconnecting;
    const struct cfg_handler *disconnect;
    const struct cfg_handler *error;
    const struct cfg_handler *any;
    struct map server_events; /* as `events`, of other servers */
};

struct script {
    lua_State *L;
    const struct log *log;
    size_t memory;
    size_t memory_limit;
    const struct config *config; /* this and the next four: NULL until script_start() */
    struct net_loop *loop;
    struct sio_server *server;
    struct cluster *cluster;
    struct script_namespace *namespaces;
    struct coroutine *current; /* the innermost running one */
    struct coroutine *pool;
    uint32_t pool_size;
    uint32_t depth;
    uint32_t waiting;
    uint32_t timer_count;
    uint64_t started_us; /* CPU time at the first hook of the running resume; 0 before it */
    bool stopping;       /* the running resume is over its time */
    char stop_text[SCRIPT_STOP_TEXT_MAX];
    struct list coroutines; /* all */
    struct list waits;      /* answers that socketio still owes us */
    struct list timers;     /* running ones, and those that script_start() will start */
    struct buf scratch;     /* see script_scratch() */
    struct value_writer writer;
    int sockets; /* registry reference: handle → socket object, weak */
    int metatables[SCRIPT_TYPES];
    const void *metatable_at[SCRIPT_TYPES];
};

struct coroutine {
    struct list link;
    struct script *script;
    lua_State *L;
    int reference; /* in the registry, keeps L alive */
    struct coroutine *next_idle;
    uint64_t generation; /* changes with every run: stale wake-ups are told by it */
    bool waiting;
    bool given_up; /* its thread cannot be used again */
    struct timer timer;
    struct net_task task;

    const struct script_namespace *nsp; /* NULL when no namespace is concerned */
    struct sio_handle socket;           /* 0: none */
    void (*finished)(struct coroutine *coroutine, bool succeeded);
    bool may_wait;
    bool refused; /* by a `use` middleware or allow_request, which has told the client */
    struct eio_admission *admission; /* allow_request: what it decides about */
    bool wants_ack;
    bool acknowledging; /* the handler has returned; what it returned is being written */
    double ack_id;
    const char *wait_reason; /* why what was waited for is not whole, or NULL */
    lua_Integer wait_count;
    struct cluster_answer *answer; /* that another server waits for, or NULL */
    struct str event;              /* for log lines, in event_text */
    struct str socket_id;
    char event_text[SCRIPT_ID_MAX];
    char socket_text[SCRIPT_ID_MAX];
};

/* What a run is for; lives until script_run() returns, so a body reads it before it may yield. */
struct run {
    lua_CFunction body; /* called with the run as light userdata */
    int function;       /* registry reference */
    const struct script_namespace *nsp;
    struct sio_socket *socket;
    struct str event;
    const struct sio_event *arrived;
    const struct sio_args *arrived_from_server;
    bool pass_name; /* "*" gets the event's name too */
    bool may_wait;
    struct str text; /* a reason, an origin, … */
    struct str auth;
    bool decision; /* of origin and name functions */
    struct eio_admission *admission;
    struct cluster_answer *answer; /* passes to the run */
    void (*finished)(struct coroutine *coroutine, bool succeeded);
};

static inline struct script *script_of(lua_State *L)
{
    struct script *script;

    memcpy(&script, lua_getextraspace(L), sizeof(script));
    return script;
}

/* --- runtime_pool.c -------------------------------------------------------------------------- */

/* Starts a run; it may end, fail or wait before this returns. False (and `finished` not called)
 * when there was no coroutine for it, which is logged. */
bool script_run(struct script *script, struct run *run);

/* In a C function called by Lua: the run that may wait now, or a Lua error that says why not. */
struct coroutine *script_may_wait(lua_State *L, const char *what);

/* Waits: `return script_wait(…)`. Somebody must call script_wake() or queue coroutine->task. */
int script_wait(lua_State *L, struct coroutine *coroutine, lua_KFunction go_on);
void script_wake(struct coroutine *coroutine);

void script_free_coroutines(struct script *script);

/* --- runtime_limit.c ------------------------------------------------------------------------- */

void *script_allocate(void *owner, void *block, size_t old_size, size_t new_size);

/* Computing is limited in this thread from now on. */
void script_limit_time(lua_State *L);

/* --- runtime_report.c ------------------------------------------------------------------------ */

/* Logs why a coroutine ended; the error value is on its stack. */
void script_report(struct coroutine *coroutine, int status);
void script_report_yield(struct coroutine *coroutine);

/* A log line whose message comes from Lua. */
void script_log(const struct script *script, enum log_level level, struct str message,
                const struct log_field *fields);

/* A mistake that is no Lua error. */
void script_warn(const struct coroutine *coroutine, const char *message, struct str detail);

/* --- runtime_events.c ------------------------------------------------------------------------ */

bool script_bind_namespaces(struct script *script);
void script_free_namespaces(struct script *script);

/* --- runtime_body.c: what runs inside the coroutine, called with the struct run ---------------- */

int script_body_plain(lua_State *L); /* function() */
int script_body_life(lua_State *L);  /* function(socket), function(socket, reason) */
int script_body_error(lua_State *L); /* function(socket, { message = … }) */
int script_body_decision(
    lua_State *L); /* function(origin), function(name, auth) → run->decision */
int script_body_server_event(lua_State *L); /* function(…) */
int script_body_event(
    lua_State *L); /* function(socket, …), of "*" function(socket, event, …) */

static inline void script_push_function(lua_State *L, int reference)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
}

/* Continuations behind a handler: what it returned from index `first` on is acknowledged. */
int script_event_handled(lua_State *L, int status, lua_KContext first);
int script_ended(lua_State *L, int status, lua_KContext context);

/* --- runtime_middleware.c ---------------------------------------------------------------------- */

int script_body_use(lua_State *L);
void script_use_finished(struct coroutine *coroutine, bool succeeded);

/* The event's handler behind the use_event functions. */
int script_body_event_with_chain(lua_State *L);

/* --- sandbox.c ------------------------------------------------------------------------------- */

void script_open_sandbox(lua_State *L);
void script_open_strict(lua_State *L);

/* --- objects: object.c, target.c, emit.c, socket_lib.c, namespace_lib.c ----------------------- */

/* Makes the metatable of a type with these metamethods and pushes it. */
void script_new_type(lua_State *L, enum script_type type, const luaL_Reg *metamethods);
void script_know_type(struct script *script, enum script_type type); /* the metatable on top */
void script_set_type(lua_State *L, enum script_type type);

/* The type of the userdata at index; SCRIPT_TYPES for everything else. */
enum script_type script_type(lua_State *L, int index);

/* "250ms", "1.5s", "2m", "1h", "1d" or milliseconds; a Lua error for anything else. */
uint32_t script_duration(lua_State *L, int index);

/* Empty memory for lists, filled and read within one C function. */
struct buf *script_scratch(struct script *script);

/* Names are gathered in the scratch, because socketio's callbacks must not raise errors, and then
 * pushed as a list. */
void script_gather(void *scratch, struct str name);
void script_push_gathered(lua_State *L, const struct buf *scratch, const char *what);

/* The script, or a Lua error while the file is still being loaded. */
struct script *script_started(lua_State *L, const char *what);

void script_open_sockets(lua_State *L);
void script_push_socket(lua_State *L, struct sio_socket *socket);

/* The socket object on top can show its handshake from now on, even when the socket is gone. */
void script_keep_handshake(lua_State *L, struct sio_socket *socket);

void script_open_namespaces(lua_State *L);
void script_finish_namespaces(lua_State *L);
void script_push_namespace(lua_State *L, const struct script_namespace *declared,
                           struct str name);

/*
 * Whom a method is for. The same methods work on sockets, namespaces and what `to`, `except`,
 * `volatile`, … make of them: all are read as a target.
 */
struct target {
    struct script_namespace *declared; /* NULL: found by name */
    struct str name;                   /* the namespace's */
    struct sio_handle socket;          /* the one socket, or the sender that is left out */
    struct str socket_id;
    bool single;
    bool has_timeout;
    unsigned flags;
    uint32_t timeout_ms;
    uint32_t room_count;
    uint32_t except_count;
    const struct str *names; /* rooms, then those excepted */
};

struct socket_object {
    struct sio_handle handle;
    struct script_namespace *declared; /* NULL: a dynamic child, found by name */
    struct str id;
    struct str nsp_name;
    char text[];
};

struct remote_object {
    struct script_namespace *declared; /* NULL: a dynamic child, found by name */
    struct str id;
    struct str nsp_name;
    char text[];
};

struct child_object {
    struct str name;
    char text[];
};

/* The target that the object at index 1 is; `room` may be used for it. */
const struct target *script_target(lua_State *L, struct target *room);

/* NULL: the namespace has no sockets and never had. */
struct sio_namespace *script_resolve(struct script *script, const struct target *target);

/* False: there is nobody. */
bool script_sio_target(struct script *script, const struct target *target,
                       struct sio_target *to);

void script_open_targets(lua_State *L);

/* Methods of targets that sockets and namespaces have too. */
extern const luaL_Reg script_target_methods[];
int script_emit(lua_State *L);
int script_emit_with_ack(lua_State *L);
int script_server_emit(lua_State *L);
int script_server_emit_with_ack(lua_State *L);

/* --- remote.c, waits.c ------------------------------------------------------------------------- */

void script_open_remotes(lua_State *L);
void script_push_remote(lua_State *L, struct script_namespace *declared, struct str nsp_name,
                        struct str json);
int script_fetch(lua_State *L);
int script_servers(lua_State *L);

/* How many sockets of the target there are on all servers: waits. */
int script_count_all(lua_State *L, const struct target *target);
void script_detach_waits(struct script *script);

/* --- lib_*.c --------------------------------------------------------------------------------- */

void script_open_log(lua_State *L);
void script_open_time(lua_State *L);
void script_start_timers(struct script *script);
void script_stop_timers(struct script *script);

/* reject(message, data) → SCRIPT_REJECTION with both as user values. */
void script_open_reject(lua_State *L);

#endif
