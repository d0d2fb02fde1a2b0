/*
 * lazy: an object or array that came as JSON text and acts as a table.
 *
 * Elements have positions 1..count, in the order they came. The first touch indexes where the
 * elements of this one container begin and end; elements are decoded when they are read, every
 * time, but for containers, which are made once so that they are the same object on every read.
 * An assignment goes into a table of values by position that hides the text; whatever is not in it
 * is still read from and written as the text. New keys get positions behind those that came.
 *
 * Callers   the files behind value.h.
 * Owner     Lua. A root holds the text, a value within it holds the value it was taken from.
 * Units     bytes; positions count from 1, 0 is none.
 * Errors    Lua errors.
 */
#ifndef SKUA_SCRIPT_LAZY_H
#define SKUA_SCRIPT_LAZY_H

#include "script/scan.h"
#include "script/value_kind.h"

enum {
    LAZY_OWNER = 1, /* the value it was taken from; of a root its attachments or nil */
    LAZY_INDEX,     /* the memory of `spans` */
    LAZY_VALUES,    /* position -> containers made and values assigned */
    LAZY_NAMES,     /* key -> position; position -> key for keys that were added */
    LAZY_USER_VALUES = LAZY_NAMES,
};

struct span {
    uint32_t at; /* from the start of the root's text */
    uint32_t size;
};

struct lazy {
    struct lazy *parent; /* NULL: a root; alive by LAZY_OWNER */
    const char *text;    /* the root's */
    struct span self;
    struct span *spans;     /* a value each; of objects key and value */
    uint32_t indexed_count; /* elements that came */
    uint32_t count;         /* positions; the length of an array */
    uint32_t removed_count; /* removed ones among the added keys */
    bool is_object;
    bool is_indexed;
    bool is_touched; /* something was assigned in it or below */
    bool has_values;
    bool has_names;
    bool has_attachments; /* placeholders in it are binary values */
    char bytes[];         /* of a root: the text */
};

/* Pushes a root for one container of checked text. `attachments`: index of a table of binary
 * values, or 0. */
void lazy_push_root(lua_State *L, struct str container, int attachments);

/* The lazy value at an absolute index, indexed; an error if something else is there. */
struct lazy *lazy_check(lua_State *L, int index);

/* The position of the key (a Lua string) at `key`, or 0. */
uint32_t lazy_find(lua_State *L, int index, struct lazy *lazy, int key);

/* Pushes the element at a position, nil if it was removed or never was. */
void lazy_push_element(lua_State *L, int index, struct lazy *lazy, uint32_t position);

/* Pushes the key at a position; the element's number in arrays. */
void lazy_push_key(lua_State *L, int index, const struct lazy *lazy, uint32_t position);

/* Pushes what was made or assigned for a position. False and nothing pushed if there is nothing:
 * then the text holds. */
bool lazy_push_assigned(lua_State *L, int index, const struct lazy *lazy, uint32_t position);

/* Whether the value at the top is the mark of a removed element. */
bool lazy_is_removed(lua_State *L);

/* Names of an object as a table, made when they are needed first. */
void lazy_make_names(lua_State *L, int index, struct lazy *lazy);

/* t[key] = value, with Lua's arguments at their absolute indices. */
void lazy_assign(lua_State *L, int index, int key, int value);

/* value_step() of a lazy value. */
bool lazy_step(lua_State *L, int index, lua_Integer *position);

/* Pushes the table of a message's attachments. */
void lazy_push_attachments(lua_State *L, int index);

/* Whether an object stands for a binary value; `*number` is which one (-1: for none). */
bool lazy_is_placeholder(lua_State *L, struct str object, int64_t *number);

/* The same by members, as they are met: what `_placeholder` and `num` said so far. */
struct placeholder {
    bool marked;
    int64_t number;
};
void placeholder_member(lua_State *L, struct placeholder *placeholder, struct str key,
                        struct str value);

/* The text of the value or key at a position that came. */
struct str lazy_value_text(const struct lazy *lazy, uint32_t position);
struct str lazy_key_text(const struct lazy *lazy, uint32_t position);
struct str lazy_text(const struct lazy *lazy);

#endif
