/*
 * write: what the files of the writer share.
 *
 * Callers   write.c, write_table.c, write_lazy.c.
 * Errors    Lua errors that name the path of the value.
 */
#ifndef SKUA_SCRIPT_WRITE_H
#define SKUA_SCRIPT_WRITE_H

#include "script/value_kind.h"

/* One step from the value that is written towards the element in work, for errors. */
struct path {
    const struct path *up;
    struct str key; /* or: */
    lua_Integer index;
    int depth;
};

struct write {
    lua_State *L;
    struct value_writer *writer;
    const char *root; /* what errors call the value written */
};

/* Raises "args[2].items: mixed keys". */
_Noreturn void write_refuse(const struct write *write, const struct path *path,
                            const char *why);

/* The value at an absolute index, whose place is `path` (NULL: the value itself). */
void write_value(struct write *write, int index, const struct path *path);

void write_table(struct write *write, int index, const struct path *path);
void write_lazy(struct write *write, int index, const struct path *path);

/* A Lua string as JSON; refused if it is not UTF-8. */
void write_text(struct write *write, struct str text, const struct path *path);

/* A placeholder for the next attachment. */
void write_attachment(struct write *write, struct str bytes, const struct path *path);

/* Whether the table at index is marked by json.array or json.object. */
enum write_shape {
    WRITE_ANY,
    WRITE_ARRAY,
    WRITE_OBJECT,
};
enum write_shape json_shape(lua_State *L, int index);

#endif
