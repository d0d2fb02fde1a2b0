#include "script/lazy.h"

#include <assert.h>
#include <string.h>

/* Objects of so many members are searched one by one, larger ones by a table of names. */
enum {
    FEW = 16,
};

struct str lazy_text(const struct lazy *lazy)
{
    return (struct str){lazy->text + lazy->self.at, lazy->self.size};
}

static const struct span *span_of(const struct lazy *lazy, uint32_t position)
{
    assert(position >= 1 && position <= lazy->indexed_count);
    return &lazy->spans[(size_t)(position - 1) * (lazy->is_object ? 2 : 1)];
}

struct str lazy_value_text(const struct lazy *lazy, uint32_t position)
{
    const struct span *span = span_of(lazy, position) + (lazy->is_object ? 1 : 0);

    return (struct str){lazy->text + span->at, span->size};
}

struct str lazy_key_text(const struct lazy *lazy, uint32_t position)
{
    const struct span *span = span_of(lazy, position);

    assert(lazy->is_object);
    return (struct str){lazy->text + span->at, span->size};
}

/* --- making ------------------------------------------------------------------------------- */

static struct lazy *push_lazy(lua_State *L, struct str text, size_t own_bytes)
{
    struct lazy *lazy = lua_newuserdatauv(L, sizeof(*lazy) + own_bytes, LAZY_USER_VALUES);

    memset(lazy, 0, sizeof(*lazy));
    lazy->is_object = text.at[0] == '{';
    lazy->self.size = (uint32_t)text.size;
    value_set_kind(L, VALUE_LAZY);
    return lazy;
}

void lazy_push_root(lua_State *L, struct str container, int attachments)
{
    if (container.size > UINT32_MAX)
        luaL_error(L, "JSON of 4 GB and more is too large for a value");

    struct lazy *lazy = push_lazy(L, container, container.size);
    memcpy(lazy->bytes, container.at, container.size);
    lazy->text = lazy->bytes;
    if (attachments) {
        lazy->has_attachments = true;
        lua_pushvalue(L, attachments);
        lua_setiuservalue(L, -2, LAZY_OWNER);
    }
}

static void push_child(lua_State *L, int index, struct lazy *parent, struct str text)
{
    struct lazy *child = push_lazy(L, text, 0);

    child->parent = parent;
    child->text = parent->text;
    child->self.at = (uint32_t)(text.at - parent->text);
    child->has_attachments = parent->has_attachments;
    lua_pushvalue(L, index);
    lua_setiuservalue(L, -2, LAZY_OWNER);
}

void lazy_push_attachments(lua_State *L, int index)
{
    lua_getiuservalue(L, index, LAZY_OWNER);
    while (lua_isuserdata(L, -1)) {
        lua_getiuservalue(L, -1, LAZY_OWNER);
        lua_remove(L, -2);
    }
}

/* --- index -------------------------------------------------------------------------------- */

static struct span span_in(const struct lazy *lazy, struct str text)
{
    return (struct span){(uint32_t)(text.at - lazy->text), (uint32_t)text.size};
}

/* Writes as many elements as `spans` has room for, returns how many there are. */
static uint32_t read_spans(const struct lazy *lazy, struct span *spans, size_t room,
                           bool *has_escapes)
{
    struct scan scan = scan_open(lazy_text(lazy));
    struct str key;
    struct str value;
    uint32_t count = 0;

    for (; scan_next(&scan, &key, &value); count++) {
        if (count >= room)
            continue;
        if (lazy->is_object) {
            *spans++ = span_in(lazy, key);
            *has_escapes = *has_escapes || memchr(key.at, '\\', key.size);
        }
        *spans++ = span_in(lazy, value);
    }
    return count;
}

static bool same_bytes(const struct lazy *lazy, const struct span *a, const struct span *b)
{
    return a->size == b->size && memcmp(lazy->text + a->at, lazy->text + b->at, a->size) == 0;
}

/* Of a key that comes twice the last value counts, at the first's place, as JSON.parse does. */
static void merge_few(struct lazy *lazy)
{
    struct span *spans = lazy->spans;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < lazy->indexed_count; i++) {
        uint32_t j = 0;
        while (j < kept && !same_bytes(lazy, &spans[2 * j], &spans[2 * i]))
            j++;
        spans[2 * j + 1] = spans[2 * i + 1];
        if (j == kept) {
            spans[2 * j] = spans[2 * i];
            kept++;
        }
    }
    lazy->indexed_count = kept;
}

/* The same with a table of names, which stays for lookups. */
static void merge_many(lua_State *L, int index, struct lazy *lazy)
{
    struct span *spans = lazy->spans;
    uint32_t kept = 0;

    lua_newtable(L);
    for (uint32_t i = 0; i < lazy->indexed_count; i++) {
        value_push_string(L, lazy_key_text(lazy, i + 1));
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        uint32_t earlier = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 1);
        if (earlier) {
            spans[2 * (earlier - 1) + 1] = spans[2 * i + 1];
            lua_pop(L, 1);
            continue;
        }
        spans[2 * kept] = spans[2 * i];
        spans[2 * kept + 1] = spans[2 * i + 1];
        lua_pushinteger(L, ++kept);
        lua_rawset(L, -3);
    }
    lua_setiuservalue(L, index, LAZY_NAMES);
    lazy->has_names = true;
    lazy->indexed_count = kept;
}

static void make_index(lua_State *L, int index, struct lazy *lazy)
{
    struct span few[2 * FEW];
    bool has_escapes = false;
    uint32_t count = read_spans(lazy, few, FEW, &has_escapes);
    size_t size = (size_t)count * (lazy->is_object ? 2 : 1) * sizeof(few[0]);

    luaL_checkstack(L, LUA_MINSTACK, NULL);
    lazy->spans = lua_newuserdatauv(L, size, 0);
    lua_setiuservalue(L, index, LAZY_INDEX);
    if (count > FEW)
        read_spans(lazy, lazy->spans, count, &has_escapes);
    else
        memcpy(lazy->spans, few, size);
    lazy->indexed_count = count;
    if (lazy->is_object) {
        if (count > FEW || has_escapes)
            merge_many(L, index, lazy);
        else
            merge_few(lazy);
    }
    lazy->count = lazy->indexed_count;
    lazy->is_indexed = true;
}

struct lazy *lazy_check(lua_State *L, int index)
{
    if (value_kind(L, index) != VALUE_LAZY)
        luaL_typeerror(L, index, "table");

    struct lazy *lazy = lua_touserdata(L, index);
    if (!lazy->is_indexed)
        make_index(L, index, lazy);
    return lazy;
}

/* --- reading ------------------------------------------------------------------------------ */

uint32_t lazy_find(lua_State *L, int index, struct lazy *lazy, int key)
{
    if (lazy->has_names) {
        key = lua_absindex(L, key);
        lua_getiuservalue(L, index, LAZY_NAMES);
        lua_pushvalue(L, key);
        lua_rawget(L, -2);
        uint32_t position = (uint32_t)lua_tointeger(L, -1);
        lua_pop(L, 2);
        return position;
    }

    size_t size;
    const char *bytes = lua_tolstring(L, key, &size);
    for (uint32_t position = 1; position <= lazy->indexed_count; position++) {
        struct str text = lazy_key_text(lazy, position);
        if (text.size == size + 2 && memcmp(text.at + 1, bytes, size) == 0)
            return position;
    }
    return 0;
}

bool lazy_push_assigned(lua_State *L, int index, const struct lazy *lazy, uint32_t position)
{
    if (!lazy->has_values)
        return false;
    lua_getiuservalue(L, index, LAZY_VALUES);
    lua_rawgeti(L, -1, position);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void push_attachment(lua_State *L, int index, int64_t number)
{
    lazy_push_attachments(L, index);
    if (lua_rawgeti(L, -1, number + 1) == LUA_TNIL) {
        lua_pop(L, 1);
        value_push_null(L);
    }
    lua_remove(L, -2);
}

static void push_container(lua_State *L, int index, struct lazy *lazy, uint32_t position)
{
    struct str text = lazy_value_text(lazy, position);
    int64_t number;

    if (lazy->has_attachments && lazy_is_placeholder(L, text, &number)) {
        push_attachment(L, index, number);
        return;
    }
    push_child(L, index, lazy, text);
    if (!lazy->has_values) {
        lua_newtable(L);
        lua_setiuservalue(L, index, LAZY_VALUES);
        lazy->has_values = true;
    }
    lua_getiuservalue(L, index, LAZY_VALUES);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, position);
    lua_pop(L, 1);
}

void lazy_push_element(lua_State *L, int index, struct lazy *lazy, uint32_t position)
{
    if (position < 1 || position > lazy->count) {
        lua_pushnil(L);
    } else if (lazy_push_assigned(L, index, lazy, position)) {
        if (lazy_is_removed(L)) {
            lua_pop(L, 1);
            lua_pushnil(L);
        }
    } else if (scan_is_container(lazy_value_text(lazy, position))) {
        push_container(L, index, lazy, position);
    } else {
        value_push_scalar(L, lazy_value_text(lazy, position));
    }
}

void lazy_push_key(lua_State *L, int index, const struct lazy *lazy, uint32_t position)
{
    if (!lazy->is_object) {
        lua_pushinteger(L, position);
    } else if (position <= lazy->indexed_count) {
        value_push_string(L, lazy_key_text(lazy, position));
    } else {
        lua_getiuservalue(L, index, LAZY_NAMES);
        lua_rawgeti(L, -1, position);
        lua_remove(L, -2);
    }
}

/* --- placeholders ------------------------------------------------------------------------- */

static bool key_is(lua_State *L, struct str key, struct str name)
{
    if (!memchr(key.at, '\\', key.size))
        return str_equal((struct str){key.at + 1, key.size - 2}, name);

    struct str decoded;
    value_push_string(L, key);
    decoded.at = lua_tolstring(L, -1, &decoded.size);
    bool equal = str_equal(decoded, name);
    lua_pop(L, 1);
    return equal;
}

void placeholder_member(lua_State *L, struct placeholder *placeholder, struct str key,
                        struct str value)
{
    if (key_is(L, key, STR("_placeholder"))) {
        placeholder->marked = str_equal(value, STR("true"));
    } else if (key_is(L, key, STR("num"))) {
        double real = -1;
        bool is_number = value.at[0] == '-' || (value.at[0] >= '0' && value.at[0] <= '9');

        int64_t integer = -1;
        if (is_number && json_number_decode(value, &integer, &real))
            real = (double)integer;
        bool is_index = real >= 0 && real < INT32_MAX && real == (int32_t)real;
        placeholder->number = is_index ? (int64_t)real : -1;
    }
}

bool lazy_is_placeholder(lua_State *L, struct str object, int64_t *number)
{
    struct placeholder placeholder = {.number = -1};
    struct scan scan = scan_open(object);
    struct str key;
    struct str value;

    if (!scan.object)
        return false;
    while (scan_next(&scan, &key, &value))
        placeholder_member(L, &placeholder, key, value);
    *number = placeholder.number;
    return placeholder.marked;
}
