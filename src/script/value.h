/*
 * value: JSON to Lua and back, without decoding what nobody touches.
 *
 * Scalars become Lua values: null is json.null (nil where it is an argument itself), integers and
 * floats stay apart, strings are UTF-8 bytes. Objects and arrays become lazy values: userdata that
 * index, iterate, measure, compare and assign like tables (`type` says "table"), keep the bytes
 * they came in and are written out as these bytes as long as nothing in them was assigned; after
 * an assignment all elements that were not assigned still are. Binary attachments become `binary`
 * values.
 *
 * Callers   script only (runtime, json library, socket.data).
 * Owner     everything is Lua's, so that the collector and the state's memory limit count it: the
 *           text of an object or array argument is copied into its userdata once, values taken out
 *           of it keep that userdata alive.
 * Threads   the state's own.
 * Units     bytes.
 * Errors    Lua errors, raised with a sentence that names the value and its type. Every function
 *           here that takes the state may also raise out of memory: call them protected.
 */
#ifndef SKUA_SCRIPT_VALUE_H
#define SKUA_SCRIPT_VALUE_H

#include "socketio/socketio.h"

#include <lua.h>

enum {
    VALUE_ATTACHMENTS_MAX = 1024, /* binary values in one outgoing packet */
    VALUE_DEPTH_MAX = 180,    /* nesting of Lua tables that are written: below Lua's own 200 */
    VALUE_DATA_MAX = 1 << 20, /* bytes of one socket's data as JSON */
};

/* Creates metatables and the globals `json` (null, array, object, encode, decode) and `binary`,
 * and replaces type, next, rawlen, rawget and rawset. The base library must be open; pairs, ipairs,
 * select and table.* work on lazy values as they are. */
void value_open(lua_State *L);

/* Pushes the elements of args.json, returns how many. Nothing of `args` is needed afterwards. */
int value_push_args(lua_State *L, const struct sio_args *args);

/* Pushes one value from checked JSON text (copied if it is an object or array); null is json.null,
 * empty text is nil. */
void value_push_json(lua_State *L, struct str text);

/*
 * Outgoing: JSON text and attachments built from Lua values. Sorted keys for Lua tables; untouched
 * lazy values as they came, their placeholders renumbered. A table without elements is `{}` unless
 * made by json.array. Functions, threads, text that is not UTF-8, cycles, holes, mixed keys: errors
 * that name the path.
 */
struct value_writer {
    struct buf json;
    struct buf keys;                               /* keys being sorted, see write.c */
    struct str attachments[VALUE_ATTACHMENTS_MAX]; /* valid while the Lua values live */
    uint32_t attachment_count;
};

/* `maximum` bytes of JSON; more is an error. */
void value_writer_init(struct value_writer *writer, size_t maximum);
void value_writer_free(struct value_writer *writer);

/* Empties it; memory is kept unless a large message left much of it. */
void value_writer_reset(struct value_writer *writer);

/* Appends the value at `index` (an array's element list needs its own commas). Raises Lua errors
 * and then leaves half a text: a writer lives where the next reset finds it (the struct script),
 * not on the C stack. */
void value_write(lua_State *L, struct value_writer *writer, int index);

/* Writes the values first..last as one JSON array; none if last < first. Errors name them args[1]
 * and so on. */
void value_write_array(lua_State *L, struct value_writer *writer, int first, int last);

struct sio_args value_writer_args(const struct value_writer *writer);

/* socket.data: pushes a proxy that reads and writes the json_tree of the socket it finds by
 * handle; tables inside are proxies with a path, so `socket.data.a.b = 1` persists. Assigning
 * binary or functions is an error, and so is any use after the socket is gone. */
void value_push_data(lua_State *L, struct sio_server *server, struct sio_handle socket);

/* The bytes of a `binary` value at index, or false. */
bool value_is_binary(lua_State *L, int index, struct str *bytes);
void value_push_binary(lua_State *L, struct str bytes);

#endif
