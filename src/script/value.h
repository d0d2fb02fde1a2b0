/*
 * value: JSON to Lua and back, without decoding what nobody touches.
 *
 * Scalars become Lua values: null is json.null (nil where an argument list ends), integers and
 * floats stay apart, strings are UTF-8 bytes. Objects and arrays become lazy values: userdata that
 * index, iterate, measure, compare and assign like tables (`type` says "table"), keep the bytes
 * they came in and are written out as these bytes as long as nothing in them was assigned.
 * Binary attachments become `binary` values.
 *
 * Callers   script only (runtime, json library, socket.data).
 * Owner     a lazy value shares one reference-counted copy of its message with those taken out of
 *           it; the garbage collector frees it.
 * Threads   the state's own.
 * Units     bytes.
 * Errors    Lua errors, raised with a sentence that names the argument and the type.
 */
#ifndef SKUA_SCRIPT_VALUE_H
#define SKUA_SCRIPT_VALUE_H

#include "socketio/socketio.h"

#include <lua.h>

enum {
    VALUE_ATTACHMENTS_MAX = 1024, /* binary values in one outgoing packet */
};

/* Creates metatables and the globals `json` (null, array, object, encode, decode), `binary`, and
 * the replacements of type, next, pairs, rawlen, table.* and select that lazy values need. */
void value_open(lua_State *L);

/* Pushes the elements of args.json, returns how many. The text is copied once if any element needs
 * it (lazy values, attachments). */
int value_push_args(lua_State *L, const struct sio_args *args);

/* Pushes one value from checked JSON text (copied if it is an object or array). */
void value_push_json(lua_State *L, struct str text);

/*
 * Outgoing: JSON text and attachments built from Lua values. Sorted keys for Lua tables; untouched
 * lazy values as they came, their placeholders renumbered. A table without elements is `{}` unless
 * made by json.array. Functions, threads, NaN keys, cycles, mixed keys: errors that name the path.
 */
struct value_writer {
    struct buf json;
    struct str attachments[VALUE_ATTACHMENTS_MAX]; /* valid while the Lua values live */
    uint32_t attachment_count;
};

/* Appends the value at `index` (an array's element list needs its own commas). Raises Lua errors;
 * the writer's memory is then freed by value_writer_free() of whoever catches, so a writer lives
 * in the struct script, not on the C stack. */
void value_write(lua_State *L, struct value_writer *writer, int index);

/* Writes the values first..last as one JSON array. */
void value_write_array(lua_State *L, struct value_writer *writer, int first, int last);

void value_writer_reset(struct value_writer *writer);
struct sio_args value_writer_args(const struct value_writer *writer);

/* socket.data: pushes a proxy that reads and writes the json_tree of the socket it finds by
 * handle; tables inside are proxies with a path, so `socket.data.a.b = 1` persists. Assigning
 * binary or functions is an error. */
void value_push_data(lua_State *L, struct sio_server *server, struct sio_handle socket);

/* The bytes of a `binary` value at index, or false. */
bool value_is_binary(lua_State *L, int index, struct str *bytes);
void value_push_binary(lua_State *L, struct str bytes);

#endif
