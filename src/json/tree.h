/*
 * tree: a small mutable JSON value, for `socket.data` and what else must be kept and changed.
 *
 * Callers   socketio keeps one a socket; script and rules read and write paths in it.
 * Owner     a node owns its children; json_tree_free() frees a whole value. Text given is copied.
 * Threads   one at a time.
 * Units     json_tree_bytes() is what the tree's text would take, roughly, for limits.
 * Errors    out of memory: NULL or false, and the tree is as it was. So too where a value would
 *           nest deeper than JSON_DEPTH_MAX, and where it is set in what can not hold it.
 */
#ifndef SKUA_JSON_TREE_H
#define SKUA_JSON_TREE_H

#include "json/json.h"

struct json_tree;

/* Parses checked text; NULL when out of memory. */
struct json_tree *json_tree_parse(struct str text);
struct json_tree *json_tree_new_object(void);
void json_tree_free(struct json_tree *tree);

enum json_type json_tree_type(const struct json_tree *node);
size_t json_tree_count(const struct json_tree *node);
size_t json_tree_bytes(const struct json_tree *node);

/* Scalars: the text as it would be written; for strings the decoded bytes. Integers that fit int64_t
 * keep all their digits, other numbers have JavaScript's spelling. */
struct str json_tree_scalar(const struct json_tree *node);

/* A member or element, or NULL. Keys keep insertion order, integer-like keys first. */
struct json_tree *json_tree_member(const struct json_tree *node, struct str key);
struct json_tree *json_tree_element(const struct json_tree *node, size_t index);

/* The i-th member in order, its key in `*key`; NULL past the end. */
struct json_tree *json_tree_member_at(const struct json_tree *node, size_t index,
                                      struct str *key);

/* Puts `value` (ownership passes, also on failure) under a key of an object, or at an index of an
 * array (index == count appends). NULL as value removes the member (arrays: the last element
 * only). */
bool json_tree_set(struct json_tree *object, struct str key, struct json_tree *value);
bool json_tree_set_at(struct json_tree *array, size_t index, struct json_tree *value);

bool json_tree_write(struct buf *to, const struct json_tree *node);

#endif
