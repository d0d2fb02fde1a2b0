/*
 * script: the Lua side of the application: runs the handlers of the configuration for socketio's
 * events.
 *
 * One Lua state a worker. Sockets and namespaces reach Lua as handles, JSON arguments as lazy
 * values that decode only what is touched, binary as `binary` values. Each handler runs in a
 * pooled coroutine, so anything that waits (emit_with_ack, sleep) yields; when it ends, what it
 * returned is the acknowledgement. A namespace or event without a handler never enters Lua.
 *
 * Callers   worker makes it and gives it to socketio as its struct sio_app.
 * Owner     script owns the lua_State; the config and the sio_server are the worker's.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    a handler's error is logged with traceback, socket and event; the server goes on.
 *           Running out of memory inside Lua is such an error.
 */
#ifndef SKUA_SCRIPT_SCRIPT_H
#define SKUA_SCRIPT_SCRIPT_H

#include "cluster/cluster.h"
#include "config/config.h"
#include "socketio/socketio.h"

struct script;

/* A state with the libraries open, ready for cfg_load(script_state(…)). NULL: out of memory. */
struct script *script_new(const struct log *log);

/* Handlers that wait end here without a word. While the server still lives nothing may reach the
 * app any more: sessions are closed, and answers that socketio reports later find nobody. */
void script_free(struct script *script);
lua_State *script_state(struct script *script);

/* What socketio calls; usable from now on, for namespaces whose data is script_namespace(). */
struct sio_app script_app(struct script *script);

/* Data for sio_namespace_options.data: the handlers of config->namespaces[index]. After
 * script_start(). */
void *script_namespace(struct script *script, size_t index);

/* What the cluster calls, for cluster_set_app(). */
struct cluster_app script_cluster_app(struct script *script);

/* Binds the loaded configuration: limits take effect, handlers become callable. False: out of
 * memory. All of them must outlive the script, but for server and cluster: see script_free(). */
bool script_start(struct script *script, const struct config *config, struct net_loop *loop,
                  struct sio_server *server, struct cluster *cluster);

/* cors { origins = function }: for cors_policy.decide; `owner` is the script. */
bool script_allows_origin(void *owner, struct str origin);

/* engine { allow_request = function }: for eio_options.admit; `owner` is the script. */
void script_admit(void *owner, struct eio_admission *admission);

/* A whole garbage collection, outside of handlers. */
void script_collect(struct script *script);

/* Bytes the Lua state uses, for metrics and tests. */
size_t script_memory(const struct script *script);

#endif
