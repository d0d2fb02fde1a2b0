/* Lazy values as JSON: the text as it came wherever nothing was assigned. */
#include "script/lazy.h"
#include "script/write.h"

/* --- text --------------------------------------------------------------------------------- */

static void write_numbered(struct write *write, struct str text, int attachments,
                           const struct path *path);

/* A binary value that is in the table of attachments, or null. */
static void write_numbered_attachment(struct write *write, int attachments, int64_t number,
                                      const struct path *path)
{
    struct str bytes;

    lua_rawgeti(write->L, attachments, number + 1);
    if (value_is_binary(write->L, -1, &bytes))
        write_attachment(write, bytes, path);
    else
        buf_add_str(&write->writer->json, STR("null"));
    lua_pop(write->L, 1);
}

/*
 * A container that may hold placeholders, numbered anew. An object is known for a placeholder only
 * at its end, which is why what was written of it is then taken back: a look ahead at each level
 * would cost the square of the depth.
 */
static void write_numbered_container(struct write *write, struct str text, int attachments,
                                     const struct path *path)
{
    struct buf *json = &write->writer->json;
    const size_t start = json->size;
    const uint32_t attachments_before = write->writer->attachment_count;
    struct placeholder placeholder = {.number = -1};
    struct scan scan = scan_open(text);
    struct str key;
    struct str value;

    buf_add_byte(json, scan.object ? '{' : '[');
    for (bool first = true; scan_next(&scan, &key, &value); first = false) {
        if (!first)
            buf_add_byte(json, ',');
        if (scan.object) {
            buf_add_str(json, key);
            buf_add_byte(json, ':');
            placeholder_member(write->L, &placeholder, key, value);
        }
        write_numbered(write, value, attachments, path);
    }
    buf_add_byte(json, scan.object ? '}' : ']');
    if (placeholder.marked && !buf_failed(json)) {
        json->size = start;
        write->writer->attachment_count = attachments_before;
        write_numbered_attachment(write, attachments, placeholder.number, path);
    }
}

static void write_numbered(struct write *write, struct str text, int attachments,
                           const struct path *path)
{
    if (scan_is_container(text))
        write_numbered_container(write, text, attachments, path);
    else
        buf_add_str(&write->writer->json, text);
}

/* The text of a value in `lazy`. */
static void write_as_it_came(struct write *write, int index, const struct lazy *lazy,
                             struct str text, const struct path *path)
{
    if (lazy->has_attachments && scan_is_container(text)) {
        lazy_push_attachments(write->L, index);
        write_numbered_container(write, text, lua_gettop(write->L), path);
        lua_pop(write->L, 1);
    } else {
        buf_add_str(&write->writer->json, text);
    }
}

/* --- values ------------------------------------------------------------------------------- */

/* The value at a position, which is at the top of the stack or, if `is_text`, in the text. */
static void write_element(struct write *write, int index, struct lazy *lazy, uint32_t position,
                          bool is_text, const struct path *path)
{
    struct path step = {.up = path, .depth = path ? path->depth + 1 : 1};
    lua_State *L = write->L;

    if (!lazy->is_object) {
        step.index = position;
    } else if (position <= lazy->indexed_count) {
        struct str raw = lazy_key_text(lazy, position);
        buf_add_str(&write->writer->json, raw);
        buf_add_byte(&write->writer->json, ':');
        step.key = (struct str){raw.at + 1, raw.size - 2};
    } else {
        lazy_push_key(L, index, lazy, position);
        step.key.at = lua_tolstring(L, -1, &step.key.size);
        write_text(write, step.key, &step);
        buf_add_byte(&write->writer->json, ':');
        lua_pop(L, 1); /* the table of names holds it */
    }
    if (is_text)
        write_as_it_came(write, index, lazy, lazy_value_text(lazy, position), &step);
    else
        write_value(write, lua_gettop(L), &step);
}

static void write_touched(struct write *write, int index, struct lazy *lazy,
                          const struct path *path)
{
    lua_State *L = write->L;
    struct buf *json = &write->writer->json;
    const int top = lua_gettop(L);
    bool first = true;

    buf_add_byte(json, lazy->is_object ? '{' : '[');
    for (uint32_t position = 1; position <= lazy->count; position++) {
        bool is_assigned = lazy_push_assigned(L, index, lazy, position);
        bool is_gone = is_assigned && lazy_is_removed(L);

        if (is_gone && lazy->is_object) {
            lua_settop(L, top);
            continue;
        }
        if (is_gone) {
            lua_settop(L, top);
            lua_pushnil(L);
        }
        if (!first)
            buf_add_byte(json, ',');
        first = false;
        write_element(write, index, lazy, position, !is_assigned, path);
        lua_settop(L, top);
    }
    buf_add_byte(json, lazy->is_object ? '}' : ']');
}

void write_lazy(struct write *write, int index, const struct path *path)
{
    struct lazy *lazy = lua_touserdata(write->L, index);

    luaL_checkstack(write->L, LUA_MINSTACK, "the value is nested too deeply");
    if (lazy->is_touched)
        write_touched(write, index, lazy, path);
    else
        write_as_it_came(write, index, lazy, lazy_text(lazy), path);
}
