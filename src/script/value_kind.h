/*
 * value_kind: what the files behind value.h share: telling their userdata apart, and the state's
 * scratch memory.
 *
 * Callers   the files behind value.h.
 * Errors    Lua errors.
 */
#ifndef SKUA_SCRIPT_VALUE_KIND_H
#define SKUA_SCRIPT_VALUE_KIND_H

#include "script/value.h"

#include <lauxlib.h>

enum value_kind {
    VALUE_OTHER,
    VALUE_LAZY,
    VALUE_BINARY,
    VALUE_DATA,
    VALUE_KINDS,
};

/* Of anything on the stack; only userdata made here is not VALUE_OTHER. */
enum value_kind value_kind(lua_State *L, int index);

/* Lazy values and data proxies: what acts as a table. */
static inline bool value_acts_as_table(enum value_kind kind)
{
    return kind == VALUE_LAZY || kind == VALUE_DATA;
}

/* Makes the metatable of a kind. Scripts cannot see it: getmetatable() answers false. */
void value_new_kind(lua_State *L, enum value_kind kind, const char *name,
                    const luaL_Reg *metamethods);
void value_set_kind(lua_State *L, enum value_kind kind);

/* One for all uses that end before the script goes on: json.encode, tostring, socket.data. Reset
 * before it is returned, freed with the state. */
struct value_writer *value_scratch(lua_State *L);

/* Empties a buf that is used again and again, without holding on to one large message's memory. */
void value_buf_reset(struct buf *buf);

/* json.null */
void value_push_null(lua_State *L);
bool value_is_null(lua_State *L, int index);

/* Pushes the Lua value of a JSON scalar. */
void value_push_scalar(lua_State *L, struct str raw);

/* The raw slice of a JSON string, decoded. */
void value_push_string(lua_State *L, struct str raw);

/* Deep equality, the __eq of lazy values and data proxies. */
int value_equal(lua_State *L);

/* One step of pairs() over either: pushes key and value of the first element behind `*position` and moves
 * it there; false (nothing pushed) at the end. */
bool value_step(lua_State *L, int index, lua_Integer *position);

/* A __pairs for both kinds. */
int value_pairs(lua_State *L);

/* Elements of an array; 0 for objects, as # of a table with string keys. */
lua_Integer value_length(lua_State *L, int index);

void value_open_globals(lua_State *L);
void value_open_lazy(lua_State *L);
void value_open_binary(lua_State *L);
void value_open_json(lua_State *L);
void value_open_data(lua_State *L);

#endif
