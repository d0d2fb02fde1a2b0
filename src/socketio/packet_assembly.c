#include "packet.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY =
        4, /* attachments; grows with those that really come, not with the announced */
};

struct sio_assembly {
    struct sio_incoming packet; /* points into `text` */
    struct str *attachments;
    uint32_t count;
    uint32_t capacity;
    size_t text_size;
    char text[]; /* namespace, then payload */
};

struct sio_assembly *sio_assembly_new(const struct sio_incoming *in)
{
    size_t size = in->nsp.size + in->payload.size;
    struct sio_assembly *assembly = malloc(sizeof(*assembly) + size + 1);

    if (!assembly)
        return NULL;
    *assembly = (struct sio_assembly){.packet = *in, .text_size = size};
    memcpy(assembly->text, in->nsp.at, in->nsp.size);
    memcpy(assembly->text + in->nsp.size, in->payload.at, in->payload.size);
    assembly->text[size] = '\0';
    assembly->packet.nsp = str_of(assembly->text, in->nsp.size);
    assembly->packet.payload = str_of(assembly->text + in->nsp.size, in->payload.size);
    return assembly;
}

void sio_assembly_free(struct sio_assembly *assembly)
{
    if (!assembly)
        return;
    for (uint32_t i = 0; i < assembly->count; i++)
        free((char *)assembly->attachments[i].at);
    free(assembly->attachments);
    free(assembly);
}

static bool reserve(struct sio_assembly *assembly)
{
    if (assembly->count < assembly->capacity)
        return true;

    uint32_t capacity = assembly->capacity ? assembly->capacity * 2 : FIRST_CAPACITY;
    struct str *grown = realloc(assembly->attachments, capacity * sizeof(*grown));
    if (!grown)
        return false;
    assembly->attachments = grown;
    assembly->capacity = capacity;
    return true;
}

bool sio_assembly_add(struct sio_assembly *assembly, const uint8_t *bytes, size_t size,
                      struct sio_incoming *in)
{
    char *copy;

    assert(assembly->count < assembly->packet.due);
    assembly->packet.size += size;
    *in = assembly->packet;
    if (in->size > in->limit)
        return true; /* the caller finds that out; nothing is copied for it */

    copy = malloc(size + 1);
    if (!copy || !reserve(assembly)) {
        free(copy);
        in->error = "out of memory";
        return false;
    }
    memcpy(copy, bytes, size);
    assembly->attachments[assembly->count++] = str_of(copy, size);
    return true;
}

bool sio_assembly_finish(struct sio_assembly *assembly, struct sio_incoming *in)
{
    *in = assembly->packet;
    in->args.attachments = assembly->attachments;
    in->args.attachment_count = assembly->count;
    return assembly->count == assembly->packet.due;
}

static bool index_valid(const struct json_doc *doc, uint32_t value, uint32_t count)
{
    int64_t integer;
    double real;

    if (value == JSON_NONE || json_type(doc, value) != JSON_NUMBER)
        return false;
    if (json_number_decode(json_raw(doc, value), &integer, &real))
        return integer >= 0 && integer < count;
    return real >= 0 && real < count;
}

static bool is_placeholder(const struct json_doc *doc, uint32_t object)
{
    uint32_t flag = json_member(doc, object, STR("_placeholder"));

    return flag != JSON_NONE && json_type(doc, flag) == JSON_TRUE;
}

/*
 * Depth is bounded by JSON_DEPTH_MAX, which json_check() has enforced. A bad placeholder under a
 * key that comes again counts too, though JSON.parse drops it: to look for each member's double
 * would take quadratic time.
 */
static bool values_valid(const struct json_doc *doc, uint32_t value, uint32_t count)
{
    enum json_type type = json_type(doc, value);

    if (type != JSON_ARRAY && type != JSON_OBJECT)
        return true;
    if (type == JSON_OBJECT && is_placeholder(doc, value))
        return index_valid(doc, json_member(doc, value, STR("num")), count);
    for (uint32_t child = json_first(doc, value); child != JSON_NONE;
         child = json_next(doc, value, child)) {
        if (!values_valid(doc, type == JSON_OBJECT ? json_member_value(doc, child) : child,
                          count))
            return false;
    }
    return true;
}

bool sio_placeholders_valid(struct str json, uint32_t count)
{
    struct json_doc doc;
    bool valid;

    if (!json_doc_init(&doc, json))
        return false;
    valid = values_valid(&doc, 0, count);
    json_doc_free(&doc);
    return valid;
}
