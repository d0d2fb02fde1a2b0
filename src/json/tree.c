#include "json/tree.h"
#include "json/private.h"

#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

enum {
    CHILDREN_FIRST = 4, /* room of the first allocation */
    SCAN_MAX = 16,      /* members up to which a search compares them one by one */
};

struct json_tree {
    struct json_tree *parent;
    uint32_t count;  /* of children, or bytes of text */
    uint16_t height; /* 0 of scalars, of containers one more than the highest child's */
    uint8_t type;
};

struct scalar {
    struct json_tree node;
    char text[];
};

struct member {
    struct json_tree *value;
    uint32_t key_size;
    char key[];
};

/* An array or object. No tree is higher than JSON_DEPTH_MAX, so functions may recurse. */
struct container {
    struct json_tree node;
    uint32_t capacity;
    uint32_t indices; /* members with integer-like keys: they come first, ascending */
    size_t bytes;
    union {
        struct json_tree **elements;
        struct member **members;
    };
    struct map *index; /* key to member, once there are more than SCAN_MAX */
};

/* --- nodes ----------------------------------------------------------------------------------- */

static bool is_container(const struct json_tree *node)
{
    return node->type == JSON_ARRAY || node->type == JSON_OBJECT;
}

static struct container *container_of(const struct json_tree *node)
{
    assert(is_container(node));
    return (struct container *)node;
}

static struct json_tree *child_at(const struct container *container, uint32_t i)
{
    return container->node.type == JSON_OBJECT ? container->members[i]->value
                                               : container->elements[i];
}

static struct json_tree *new_container(enum json_type type)
{
    struct container *container = calloc(1, sizeof(*container));

    if (!container)
        return NULL;
    container->node.type = (uint8_t)type;
    container->node.height = 1;
    container->bytes = 2;
    return &container->node;
}

static struct json_tree *new_scalar(enum json_type type, struct str text)
{
    struct scalar *scalar;

    if (text.size > UINT32_MAX)
        return NULL;
    scalar = malloc(sizeof(*scalar) + text.size);
    if (!scalar)
        return NULL;
    scalar->node = (struct json_tree){.count = (uint32_t)text.size, .type = (uint8_t)type};
    memcpy(scalar->text, text.at, text.size);
    return &scalar->node;
}

struct json_tree *json_tree_new_object(void)
{
    return new_container(JSON_OBJECT);
}

static void drop_index(struct container *container)
{
    if (container->index)
        map_free(container->index);
    free(container->index);
    container->index = NULL;
}

void json_tree_free(struct json_tree *tree)
{
    if (!tree)
        return;
    if (is_container(tree)) {
        struct container *container = container_of(tree);
        for (uint32_t i = 0; i < tree->count; i++) {
            json_tree_free(child_at(container, i));
            if (tree->type == JSON_OBJECT)
                free(container->members[i]);
        }
        free(container->elements);
        drop_index(container);
    }
    free(tree);
}

enum json_type json_tree_type(const struct json_tree *node)
{
    return (enum json_type)node->type;
}

size_t json_tree_count(const struct json_tree *node)
{
    return is_container(node) ? node->count : 0;
}

size_t json_tree_bytes(const struct json_tree *node)
{
    if (is_container(node))
        return container_of(node)->bytes;
    return node->type == JSON_STRING ? (size_t)node->count + 2 : node->count;
}

struct str json_tree_scalar(const struct json_tree *node)
{
    assert(!is_container(node));
    return str_of(((const struct scalar *)node)->text, node->count);
}

/* --- members --------------------------------------------------------------------------------- */

static struct str key_of(const struct member *member)
{
    return str_of(member->key, member->key_size);
}

static struct member *find_member(const struct container *object, struct str key)
{
    if (object->index)
        return map_get(object->index, key);
    for (uint32_t i = 0; i < object->node.count; i++) {
        if (str_equal(key_of(object->members[i]), key))
            return object->members[i];
    }
    return NULL;
}

struct json_tree *json_tree_member(const struct json_tree *node, struct str key)
{
    struct member *member = NULL;

    if (node->type == JSON_OBJECT)
        member = find_member(container_of(node), key);
    return member ? member->value : NULL;
}

struct json_tree *json_tree_element(const struct json_tree *node, size_t index)
{
    if (node->type != JSON_ARRAY || index >= node->count)
        return NULL;
    return container_of(node)->elements[index];
}

struct json_tree *json_tree_member_at(const struct json_tree *node, size_t index,
                                      struct str *key)
{
    struct member *member;

    if (node->type != JSON_OBJECT || index >= node->count)
        return NULL;
    member = container_of(node)->members[index];
    *key = key_of(member);
    return member->value;
}

static bool reserve_child(struct container *container)
{
    uint32_t capacity = container->capacity ? container->capacity * 2 : CHILDREN_FIRST;
    void *grown;

    static_assert(sizeof(*container->elements) == sizeof(*container->members), "one array");
    if (container->node.count < container->capacity)
        return true;
    if (capacity < container->capacity)
        return false;
    grown = realloc(container->elements, capacity * sizeof(*container->elements));
    if (!grown)
        return false;
    container->elements = grown;
    container->capacity = capacity;
    return true;
}

static bool make_index(struct container *object)
{
    object->index = malloc(sizeof(*object->index));
    if (!object->index)
        return false;
    map_init(object->index);
    for (uint32_t i = 0; i < object->node.count; i++) {
        if (!map_put(object->index, key_of(object->members[i]), object->members[i])) {
            drop_index(object);
            return false;
        }
    }
    return true;
}

static bool index_member(struct container *object, struct member *member)
{
    if (!object->index && (object->node.count < SCAN_MAX || !make_index(object)))
        return object->node.count < SCAN_MAX;
    return map_put(object->index, key_of(member), member);
}

/* Where a key belongs: among the integer-like ones, or at the end. */
static uint32_t place_of(const struct container *object, struct str key)
{
    uint32_t low = 0, high = object->indices, wanted, other;

    if (!json_key_index(key, &wanted))
        return object->node.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (json_key_index(key_of(object->members[middle]), &other) && other < wanted)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct member *new_member(struct str key, struct json_tree *value)
{
    struct member *member;

    if (key.size > UINT32_MAX)
        return NULL;
    member = malloc(sizeof(*member) + key.size);
    if (!member)
        return NULL;
    member->value = value;
    member->key_size = (uint32_t)key.size;
    memcpy(member->key, key.at, key.size);
    return member;
}

static bool insert_member(struct container *object, uint32_t place, struct str key,
                          struct json_tree *value)
{
    struct member *member = reserve_child(object) ? new_member(key, value) : NULL;

    if (!member || !index_member(object, member)) {
        free(member);
        return false;
    }
    memmove(object->members + place + 1, object->members + place,
            (object->node.count - place) * sizeof(struct member *));
    object->members[place] = member;
    object->node.count++;
    return true;
}

/* --- height and size ------------------------------------------------------------------------- */

/* `value` has been put in: a separator and `extra` bytes come with it. */
static void attach(struct container *container, struct json_tree *value, size_t extra)
{
    size_t bytes = json_tree_bytes(value) + extra;
    struct json_tree *child = value;

    value->parent = &container->node;
    for (struct json_tree *node = value->parent; node; node = node->parent) {
        container_of(node)->bytes += bytes;
        if (node->height < child->height + 1)
            node->height = (uint16_t)(child->height + 1);
        child = node;
    }
}

/* Children are looked at only until one is as high as the container's height said before. */
static uint16_t height_of(const struct container *container)
{
    uint16_t height = 0;

    for (uint32_t i = 0; i < container->node.count; i++) {
        uint16_t child = child_at(container, i)->height;
        if (child > height)
            height = child;
        if (height + 1 == container->node.height)
            break;
    }
    return (uint16_t)(height + 1);
}

/* `value` is not among its parent's children any more. */
static void detach(struct json_tree *value, size_t extra)
{
    size_t bytes = json_tree_bytes(value) + extra;
    uint16_t lost = value->height;

    for (struct json_tree *node = value->parent; node; node = node->parent) {
        struct container *container = container_of(node);
        uint16_t before = node->height;
        container->bytes -= bytes;
        if (lost > 0 && before == lost + 1)
            node->height = height_of(container);
        lost = node->height < before ? before : 0;
    }
    value->parent = NULL;
}

/* --- changing -------------------------------------------------------------------------------- */

enum {
    ELEMENT_EXTRA = 1, /* bytes: a comma */
    MEMBER_EXTRA = 4,  /* and quotes and a colon */
};

static void replace(struct container *container, struct json_tree **slot,
                    struct json_tree *value, size_t extra)
{
    struct json_tree *old = *slot;

    *slot = value;
    attach(container, value, extra);
    detach(old, extra);
    json_tree_free(old);
}

/* `place` is where the key goes if it is new. */
static bool put_member(struct container *object, uint32_t place, struct str key,
                       struct json_tree *value)
{
    struct member *member = find_member(object, key);
    size_t extra = key.size + MEMBER_EXTRA;

    if (member) {
        replace(object, &member->value, value, extra);
        return true;
    }
    if (!insert_member(object, place, key, value))
        return false;
    attach(object, value, extra);
    return true;
}

static bool put_element(struct container *array, uint32_t place, struct json_tree *value)
{
    if (place < array->node.count) {
        replace(array, &array->elements[place], value, ELEMENT_EXTRA);
        return true;
    }
    if (!reserve_child(array))
        return false;
    array->elements[array->node.count++] = value;
    attach(array, value, ELEMENT_EXTRA);
    return true;
}

static void remove_member(struct container *object, struct str key)
{
    struct member *member = find_member(object, key);
    uint32_t place = 0;

    if (!member)
        return;
    while (object->members[place] != member)
        place++;
    if (object->index)
        map_remove(object->index, key);
    object->node.count--;
    memmove(object->members + place, object->members + place + 1,
            (object->node.count - place) * sizeof(struct member *));
    if (place < object->indices)
        object->indices--;
    detach(member->value, key.size + MEMBER_EXTRA);
    json_tree_free(member->value);
    free(member);
}

/* A tree has one place, and no place in itself. */
static bool may_hold(const struct json_tree *container, const struct json_tree *value)
{
    uint32_t depth = 0;

    assert(!value->parent);
    for (; container; container = container->parent) {
        assert(container != value);
        depth++;
    }
    return depth + value->height <= JSON_DEPTH_MAX;
}

bool json_tree_set(struct json_tree *object, struct str key, struct json_tree *value)
{
    struct container *container;
    uint32_t index;
    bool is_index;

    if (object->type != JSON_OBJECT || (value && !may_hold(object, value)))
        goto fail;
    container = container_of(object);
    if (!value) {
        remove_member(container, key);
        return true;
    }
    uint32_t count = object->count;
    is_index = json_key_index(key, &index);
    if (!put_member(container, place_of(container, key), key, value))
        goto fail;
    if (is_index && object->count > count)
        container->indices++;
    return true;
fail:
    json_tree_free(value);
    return false;
}

bool json_tree_set_at(struct json_tree *array, size_t index, struct json_tree *value)
{
    struct container *container;

    if (array->type != JSON_ARRAY || index > array->count || (value && !may_hold(array, value)))
        goto fail;
    container = container_of(array);
    if (value) {
        if (!put_element(container, (uint32_t)index, value))
            goto fail;
        return true;
    }
    if (index + 1 != array->count)
        return false;
    struct json_tree *last = container->elements[--array->count];
    detach(last, ELEMENT_EXTRA);
    json_tree_free(last);
    return true;
fail:
    json_tree_free(value);
    return false;
}

/* --- reading and writing --------------------------------------------------------------------- */

static int compare_indices(const void *a, const void *b)
{
    uint32_t left = 0, right = 0;

    json_key_index(key_of(*(struct member *const *)a), &left);
    json_key_index(key_of(*(struct member *const *)b), &right);
    return (left > right) - (left < right);
}

/* Members were appended as they came, which is one sort instead of an insertion each. */
static bool order_members(struct container *object)
{
    uint32_t count = object->node.count, indices = 0, others, index;
    struct member **ordered;

    for (uint32_t i = 0; i < count; i++)
        indices += json_key_index(key_of(object->members[i]), &index);
    if (indices == 0)
        return true;
    ordered = malloc(object->capacity * sizeof(*ordered));
    if (!ordered)
        return false;
    others = indices;
    object->indices = indices;
    for (uint32_t i = 0, next = 0; i < count; i++) {
        bool is_index = json_key_index(key_of(object->members[i]), &index);
        ordered[is_index ? next++ : others++] = object->members[i];
    }
    qsort(ordered, indices, sizeof(*ordered), compare_indices);
    free(object->members);
    object->members = ordered;
    return true;
}

static struct json_tree *read_text(enum json_type type, struct str raw)
{
    struct json_tree *node = NULL;
    struct buf text;
    int64_t integer;
    double real;
    bool ok;

    buf_init(&text, SIZE_MAX);
    if (type == JSON_STRING)
        ok = json_string_decode(&text, raw);
    else if (type != JSON_NUMBER)
        ok = buf_add_str(&text, raw);
    else if (json_number_decode(raw, &integer, &real))
        ok = json_write_int(&text, integer);
    else
        ok = json_write_double(&text, real);
    if (ok)
        node = new_scalar(type, buf_str(&text));
    buf_free(&text);
    return node;
}

static struct json_tree *read_value(const struct json_doc *doc, uint32_t value);

static bool read_child(const struct json_doc *doc, struct container *container, uint32_t at)
{
    bool object = container->node.type == JSON_OBJECT;
    struct json_tree *child = read_value(doc, object ? json_member_value(doc, at) : at);
    struct buf key;
    bool ok;

    if (!child)
        return false;
    buf_init(&key, SIZE_MAX);
    if (object)
        ok = json_string_decode(&key, json_raw(doc, at)) &&
             put_member(container, container->node.count, buf_str(&key), child);
    else
        ok = put_element(container, container->node.count, child);
    buf_free(&key);
    if (!ok)
        json_tree_free(child);
    return ok;
}

static struct json_tree *read_value(const struct json_doc *doc, uint32_t value)
{
    enum json_type type = json_type(doc, value);
    struct json_tree *node;

    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return read_text(type, json_raw(doc, value));
    node = new_container(type);
    if (!node)
        return NULL;
    for (uint32_t at = json_first(doc, value); at != JSON_NONE;
         at = json_next(doc, value, at)) {
        if (!read_child(doc, container_of(node), at))
            goto fail;
    }
    if (type == JSON_OBJECT && !order_members(container_of(node)))
        goto fail;
    return node;
fail:
    json_tree_free(node);
    return NULL;
}

struct json_tree *json_tree_parse(struct str text)
{
    struct json_tree *tree;
    struct json_doc doc;

    if (!json_doc_init(&doc, text))
        return NULL;
    tree = read_value(&doc, 0);
    json_doc_free(&doc);
    return tree;
}

static void write_container(struct buf *to, const struct container *container)
{
    bool object = container->node.type == JSON_OBJECT;

    buf_add_byte(to, object ? '{' : '[');
    for (uint32_t i = 0; i < container->node.count && !buf_failed(to); i++) {
        if (i > 0)
            buf_add_byte(to, ',');
        if (object) {
            json_write_string(to, key_of(container->members[i]));
            buf_add_byte(to, ':');
        }
        json_tree_write(to, child_at(container, i));
    }
    buf_add_byte(to, object ? '}' : ']');
}

bool json_tree_write(struct buf *to, const struct json_tree *node)
{
    if (is_container(node))
        write_container(to, container_of(node));
    else if (node->type == JSON_STRING)
        json_write_string(to, json_tree_scalar(node));
    else
        buf_add_str(to, json_tree_scalar(node));
    return !buf_failed(to);
}
