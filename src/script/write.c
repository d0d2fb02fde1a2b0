#include "base/utf8.h"
#include "script/data.h"
#include "script/write.h"

enum {
    KEEP = 64 << 10,    /* bytes of a buf that stay for the next message */
    SHOWN_STEPS = 12,   /* of a path in an error, counted from its end */
    SHOWN_BYTES = 40,   /* of a key in it */
    SURROGATE_SIZE = 3, /* bytes of a lone surrogate in WTF-8 */
};

/* --- the writer --------------------------------------------------------------------------- */

void value_buf_reset(struct buf *buf)
{
    const size_t maximum = buf->maximum;

    if (buf->capacity > KEEP) {
        buf_free(buf);
        buf_init(buf, maximum);
    } else {
        buf_reset(buf);
    }
}

void value_writer_init(struct value_writer *writer, size_t maximum)
{
    buf_init(&writer->json, maximum);
    buf_init(&writer->keys, maximum);
    writer->attachment_count = 0;
}

void value_writer_free(struct value_writer *writer)
{
    buf_free(&writer->json);
    buf_free(&writer->keys);
}

void value_writer_reset(struct value_writer *writer)
{
    value_buf_reset(&writer->json);
    value_buf_reset(&writer->keys);
    writer->attachment_count = 0;
}

struct sio_args value_writer_args(const struct value_writer *writer)
{
    return (struct sio_args){
        .json = buf_str(&writer->json),
        .attachments = writer->attachments,
        .attachment_count = writer->attachment_count,
    };
}

/* --- errors ------------------------------------------------------------------------------- */

/* Pushes the path's text. */
static void push_path(lua_State *L, const struct path *path, const char *root, int steps)
{
    if (!path) {
        lua_pushstring(L, root);
        return;
    }
    if (steps == 0) {
        lua_pushliteral(L, "...");
        return;
    }
    push_path(L, path->up, root, steps - 1);
    if (path->index) {
        lua_pushfstring(L, "%s[%I]", lua_tostring(L, -1), (LUAI_UACINT)path->index);
    } else {
        lua_pushlstring(L, path->key.at,
                        path->key.size < SHOWN_BYTES ? path->key.size : SHOWN_BYTES);
        lua_pushfstring(L, "%s.%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
}

_Noreturn void write_refuse(const struct write *write, const struct path *path, const char *why)
{
    luaL_checkstack(write->L, SHOWN_STEPS * 2, NULL);
    push_path(write->L, path, write->root, SHOWN_STEPS);
    luaL_error(write->L, "%s: %s", lua_tostring(write->L, -1), why);
    __builtin_unreachable();
}

/* --- scalars ------------------------------------------------------------------------------ */

/* The first lone surrogate (ED A0..BF xx) in `text`, or NULL. It came in an escape of some client
 * and goes out as that escape again. */
static const char *find_surrogate(struct str text)
{
    const char *end = text.at + text.size;

    for (const char *at = text.at; at < end; at++) {
        at = memchr(at, 0xed, (size_t)(end - at));
        if (!at || end - at < SURROGATE_SIZE)
            return NULL;
        if ((at[1] & 0xe0) == 0xa0 && (at[2] & 0xc0) == 0x80)
            return at;
    }
    return NULL;
}

static bool is_text(struct str text)
{
    while (!utf8_valid(text.at, text.size)) {
        const char *surrogate = find_surrogate(text);
        if (!surrogate || !utf8_valid(text.at, (size_t)(surrogate - text.at)))
            return false;
        text = str_from_index(text, (size_t)(surrogate - text.at) + SURROGATE_SIZE);
    }
    return true;
}

void write_text(struct write *write, struct str text, const struct path *path)
{
    if (!is_text(text))
        write_refuse(write, path, "the string is not UTF-8 (send bytes as binary(s))");
    json_write_string(&write->writer->json, text);
}

void write_attachment(struct write *write, struct str bytes, const struct path *path)
{
    struct value_writer *writer = write->writer;

    if (writer->attachment_count == VALUE_ATTACHMENTS_MAX)
        write_refuse(write, path, "too many binary values");
    buf_add_str(&writer->json, STR("{\"_placeholder\":true,\"num\":"));
    buf_add_u64(&writer->json, writer->attachment_count);
    buf_add_byte(&writer->json, '}');
    writer->attachments[writer->attachment_count++] = bytes;
}

static void write_number(struct write *write, int index)
{
    struct buf *json = &write->writer->json;

    if (lua_isinteger(write->L, index))
        json_write_int(json, lua_tointeger(write->L, index));
    else
        json_write_double(json, lua_tonumber(write->L, index));
}

/* --- values ------------------------------------------------------------------------------- */

static _Noreturn void refuse_type(struct write *write, int index, const struct path *path)
{
    lua_State *L = write->L;
    const char *name = luaL_typename(L, index);

    if (luaL_getmetafield(L, index, "__name") == LUA_TSTRING)
        name = lua_tostring(L, -1);
    write_refuse(write, path, lua_pushfstring(L, "a %s has no form in JSON", name));
}

static void write_userdata(struct write *write, int index, const struct path *path)
{
    struct json_tree *node;
    struct str bytes;

    switch (value_kind(write->L, index)) {
    case VALUE_LAZY:
        write_lazy(write, index, path);
        break;
    case VALUE_BINARY:
        value_is_binary(write->L, index, &bytes);
        write_attachment(write, bytes, path);
        break;
    case VALUE_DATA:
        node = data_node(write->L, index);
        if (node)
            json_tree_write(&write->writer->json, node);
        else
            buf_add_str(&write->writer->json, STR("null"));
        break;
    default:
        refuse_type(write, index, path);
    }
}

void write_value(struct write *write, int index, const struct path *path)
{
    lua_State *L = write->L;
    struct buf *json = &write->writer->json;
    struct str text;

    if (path && path->depth > VALUE_DEPTH_MAX)
        write_refuse(write, path, "nested too deeply (or a table that holds itself)");
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        buf_add_str(json, STR("null"));
        break;
    case LUA_TBOOLEAN:
        buf_add_str(json, lua_toboolean(L, index) ? STR("true") : STR("false"));
        break;
    case LUA_TNUMBER:
        write_number(write, index);
        break;
    case LUA_TSTRING:
        text.at = lua_tolstring(L, index, &text.size);
        write_text(write, text, path);
        break;
    case LUA_TTABLE:
        write_table(write, index, path);
        break;
    case LUA_TUSERDATA:
        write_userdata(write, index, path);
        break;
    default:
        if (!value_is_null(L, index))
            refuse_type(write, index, path);
        buf_add_str(json, STR("null"));
    }
}

static void check_size(struct write *write)
{
    if (buf_failed(&write->writer->json) || buf_failed(&write->writer->keys))
        write_refuse(write, NULL, "the JSON is too large");
}

void value_write(lua_State *L, struct value_writer *writer, int index)
{
    struct write write = {L, writer, "value"};

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    write_value(&write, lua_absindex(L, index), NULL);
    check_size(&write);
}

void value_write_array(lua_State *L, struct value_writer *writer, int first, int last)
{
    struct write write = {L, writer, "args"};

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    buf_add_byte(&writer->json, '[');
    for (int i = first; i <= last; i++) {
        struct path path = {.index = i - first + 1, .depth = 1};

        if (i > first)
            buf_add_byte(&writer->json, ',');
        write_value(&write, i, &path);
    }
    buf_add_byte(&writer->json, ']');
    check_size(&write);
}
