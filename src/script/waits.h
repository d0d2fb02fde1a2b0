/*
 * waits: runs that wait for answers of clients or of other servers.
 *
 * Callers   emit.c, remote.c.
 * Owner     who owes the answers has the wait until its last call; it may outlive the run and the
 *           script.
 * Threads   the worker's own.
 * Errors    an answer that Lua has no memory for is dropped, with a log line.
 */
#ifndef SKUA_SCRIPT_WAITS_H
#define SKUA_SCRIPT_WAITS_H

#include "script/runtime.h"

enum wait_for {
    WAIT_FOR_VALUES,  /* what one socket answers */
    WAIT_FOR_ANSWERS, /* the first value of each who answers */
    WAIT_FOR_SOCKETS, /* objects */
    WAIT_FOR_COUNT,   /* how many sockets */
};

struct wait;

/* A wait of the run for what the target answers; the caller gives it to a function with one of the handlers below, and then
 * returns script_await() or, if it was not taken, calls script_drop_wait(). A Lua error when out
 * of memory. */
struct wait *script_new_wait(lua_State *L, struct coroutine *coroutine,
                             const struct target *target, enum wait_for what);
void script_drop_wait(struct wait *wait);

/* A new table is on the stack when go_on is called; what the wait has brought is in it, and in the
 * coroutine's wait_count and wait_reason. */
int script_await(lua_State *L, struct coroutine *coroutine, lua_KFunction go_on);

/* The owner is the wait. */
extern const struct sio_ack_handler wait_socket_acks;
extern const struct cluster_ack_handler wait_cluster_acks;
extern const struct cluster_fetch_handler wait_cluster_sockets;
void wait_counted(void *owner, int servers);

/* go_on functions: the list, and the reason if it is not whole; the number likewise. */
int wait_return_list(lua_State *L, int status, lua_KContext context);
int wait_return_count(lua_State *L, int status, lua_KContext context);

#endif
