/*
 * json: reading, checking and writing JSON text as the reference (V8's JSON) does.
 *
 * Three ways, cheapest first:
 *   json_check()   the grammar of RFC 8259 and nothing else: one pass, no memory. What passes may
 *                  be forwarded as it came (jsmn alone lets bad JSON through).
 *   json_split()   the same pass, and the slices of the elements of a top-level array.
 *   json_doc       jsmn tokens over checked text: find members and elements, decode scalars.
 * And struct json_writer for output in JavaScript's spelling.
 *
 * Callers   socketio (packets), script (lazy values), config (JSON in Lua), engineio (open packet).
 * Owner     slices and docs point into the caller's text, which must outlive them.
 * Threads   one at a time, no shared state.
 * Units     bytes.
 * Errors    JSON_DEPTH_MAX bounds nesting in every function here, so that no input can exhaust
 *           the C stack; deeper text is refused as if it were malformed.
 * Source    RFC 8259; ECMA-262 JSON.parse and JSON.stringify; protocol/socket-io.md, 1.
 */
#ifndef SKUA_JSON_JSON_H
#define SKUA_JSON_JSON_H

#include "base/buf.h"

#include <stdint.h>

enum {
    JSON_DEPTH_MAX = 1000, /* nesting; V8 goes deeper, no client does */
};

/* Whether `text` is one JSON value with nothing but white space around it. Text must be valid
 * UTF-8 already (net checks it); a lone surrogate in an escape is legal. */
bool json_check(struct str text);

/*
 * Checks `text`, which must be an array, and calls back with every element's slice (white space
 * trimmed) in order. Returns false on bad grammar or when `element` returned false; elements seen
 * before the fault have been reported by then.
 */
bool json_split(struct str text, bool (*element)(void *context, struct str value),
                void *context);

/* --- documents: random access ------------------------------------------------------------- */

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_token; /* jsmn's token, and in containers the index of what is behind them */

struct json_doc {
    struct str text;
    struct json_token *tokens;
    uint32_t count;
};

/* Tokenises text that json_check() has passed. False only when out of memory or when the text has
 * more than INT_MAX bytes. */
bool json_doc_init(struct json_doc *doc, struct str text);
void json_doc_free(struct json_doc *doc);

/* Values are token indices; 0 is the root. JSON_NONE means there is no such value. */
#define JSON_NONE UINT32_MAX

enum json_type json_type(const struct json_doc *doc, uint32_t value);

/* The text of a value as it came, quotes of strings included. */
struct str json_raw(const struct json_doc *doc, uint32_t value);

/* Elements of an array, members of an object (duplicates counted). */
uint32_t json_count(const struct json_doc *doc, uint32_t value);

/* First and next element; for objects first and next key, whose value is json_member_value(). */
uint32_t json_first(const struct json_doc *doc, uint32_t value);
uint32_t json_next(const struct json_doc *doc, uint32_t parent, uint32_t value);
uint32_t json_member_value(const struct json_doc *doc, uint32_t key);

/* Array element by index from 0; object member by key (the last of duplicates, as JSON.parse). */
uint32_t json_at(const struct json_doc *doc, uint32_t array, uint32_t index);
uint32_t json_member(const struct json_doc *doc, uint32_t object, struct str key);

/* --- scalars ------------------------------------------------------------------------------ */

enum json_type json_type_of(struct str raw);

/* Unescapes a raw string (with its quotes) onto `to`. A lone surrogate becomes the 3 bytes that
 * UTF-8 would give it (WTF-8), so that json_write_string() can write the escape again. */
bool json_string_decode(struct buf *to, struct str raw);

/* True and `*integer` if the number is spelled without '.', 'e', 'E' and fits int64_t (and is not
 * -0); otherwise `*real` (1e400 is HUGE_VAL). */
bool json_number_decode(struct str raw, int64_t *integer, double *real);

/* --- writing ------------------------------------------------------------------------------ */

/* As JSON.stringify: quotes, escapes of ", \ and U+0000-001F, lone surrogates (WTF-8) as \udxxx,
 * two halves as their character, bytes that are not UTF-8 as U+FFFD. */
bool json_write_string(struct buf *to, struct str text);

/* As JavaScript's Number.prototype.toString: shortest digits that read back the same, 1e21,
 * 1e-7, -0 as 0, NaN and infinities as null. */
bool json_write_double(struct buf *to, double number);
bool json_write_int(struct buf *to, int64_t number);

/*
 * Appends `raw` (checked text) without white space and in JavaScript's spelling of numbers,
 * strings and key order, exactly as JSON.stringify(JSON.parse(raw)) would.
 */
bool json_normalise(struct buf *to, struct str raw);

#endif
