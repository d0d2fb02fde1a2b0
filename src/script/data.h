/*
 * data: the proxies behind socket.data.
 *
 * A proxy holds the socket's handle and a path of keys; every use finds the socket and walks the
 * path in its json_tree, so that Lua keeps nothing of it. A proxy whose place was removed reads nil
 * and cannot be assigned to.
 *
 * Callers   the files behind value.h.
 * Owner     the tree is the socket's.
 * Errors    Lua errors, also when the socket is gone.
 */
#ifndef SKUA_SCRIPT_DATA_H
#define SKUA_SCRIPT_DATA_H

#include "script/value_kind.h"

/* The node a proxy stands for, or NULL if its place was removed. */
struct json_tree *data_node(lua_State *L, int index);

/* value_step() and value_length() of a proxy. */
bool data_step(lua_State *L, int index, lua_Integer *position);
lua_Integer data_length(lua_State *L, int index);

/* Whether the member that data_step() returned last, under the key at `key`, is no longer there: the
 * tree has closed the gap. */
bool data_was_removed(lua_State *L, int index, int key, lua_Integer position);

/* The position of the key at `key`, counted from 1 as data_step() does; 0: there is none. */
lua_Integer data_find(lua_State *L, int index, int key);

#endif
