#include "json/json.h"
#include "json/private.h"

#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS /* without them each closing bracket walks all tokens before it */
#include <jsmn.h>

#include <assert.h>
#include <limits.h>
#include <stdlib.h>

/*
 * jsmn's token. Its link to the parent is of no use once the text is read; in containers it is
 * overwritten with the index of the first token behind them.
 */
struct json_token {
    jsmntok_t jsmn;
};

static_assert(sizeof(struct json_token) == sizeof(jsmntok_t),
              "jsmn fills arrays of json_token");

static bool is_container(const struct json_token *token)
{
    return token->jsmn.type == JSMN_ARRAY || token->jsmn.type == JSMN_OBJECT;
}

/* --- making ---------------------------------------------------------------------------------- */

/* jsmn counts in int. */
static bool tokenise(struct json_doc *doc)
{
    jsmn_parser parser;
    int count;

    jsmn_init(&parser);
    count = jsmn_parse(&parser, doc->text.at, doc->text.size, NULL, 0);
    if (count <= 0)
        return false;
    doc->tokens = calloc((size_t)count, sizeof(*doc->tokens));
    if (!doc->tokens)
        return false;
    doc->count = (uint32_t)count;
    jsmn_init(&parser);
    return jsmn_parse(&parser, doc->text.at, doc->text.size, &doc->tokens->jsmn, doc->count) ==
           count;
}

/* jsmn refuses a scalar that has nothing behind it. */
static bool make_scalar(struct json_doc *doc, size_t start, size_t end)
{
    doc->tokens = calloc(1, sizeof(*doc->tokens));
    if (!doc->tokens)
        return false;
    doc->count = 1;
    doc->tokens[0].jsmn.type = JSMN_PRIMITIVE;
    doc->tokens[0].jsmn.start = (int)start;
    doc->tokens[0].jsmn.end = (int)end;
    return true;
}

static bool link_siblings(struct json_doc *doc)
{
    uint32_t open[JSON_DEPTH_MAX];
    uint32_t depth = 0;

    for (uint32_t i = 0; i < doc->count; i++) {
        struct json_token *token = &doc->tokens[i];
        while (depth > 0 && doc->tokens[open[depth - 1]].jsmn.end <= token->jsmn.start)
            doc->tokens[open[--depth]].jsmn.parent = (int)i;
        if (!is_container(token))
            continue;
        if (depth == JSON_DEPTH_MAX)
            return false;
        open[depth++] = i;
    }
    while (depth > 0)
        doc->tokens[open[--depth]].jsmn.parent = (int)doc->count;
    return true;
}

bool json_doc_init(struct json_doc *doc, struct str text)
{
    size_t start = 0, end = text.size;
    bool ok;

    *doc = (struct json_doc){.text = text};
    while (start < end && json_is_space(text.at[start]))
        start++;
    while (end > start && json_is_space(text.at[end - 1]))
        end--;
    if (start == end || text.size > INT_MAX)
        return false;
    if (text.at[start] == '[' || text.at[start] == '{' || text.at[start] == '"')
        ok = tokenise(doc) && link_siblings(doc);
    else
        ok = make_scalar(doc, start, end);
    if (!ok)
        json_doc_free(doc);
    return ok;
}

void json_doc_free(struct json_doc *doc)
{
    free(doc->tokens);
    *doc = (struct json_doc){.text = doc->text};
}

/* --- reading --------------------------------------------------------------------------------- */

static const struct json_token *token_at(const struct json_doc *doc, uint32_t value)
{
    assert(value < doc->count);
    return &doc->tokens[value];
}

/* The first token behind a value and all that is in it. */
static uint32_t behind(const struct json_doc *doc, uint32_t value)
{
    const struct json_token *token = token_at(doc, value);

    return is_container(token) ? (uint32_t)token->jsmn.parent : value + 1;
}

enum json_type json_type(const struct json_doc *doc, uint32_t value)
{
    const struct json_token *token = token_at(doc, value);

    switch (token->jsmn.type) {
    case JSMN_OBJECT:
        return JSON_OBJECT;
    case JSMN_ARRAY:
        return JSON_ARRAY;
    case JSMN_STRING:
        return JSON_STRING;
    default:
        return json_type_of(json_raw(doc, value));
    }
}

struct str json_raw(const struct json_doc *doc, uint32_t value)
{
    const struct json_token *token = token_at(doc, value);
    size_t quote = token->jsmn.type == JSMN_STRING; /* jsmn leaves the quotes out */
    size_t start = (size_t)token->jsmn.start - quote;
    size_t end = (size_t)token->jsmn.end + quote;

    return str_of(doc->text.at + start, end - start);
}

uint32_t json_count(const struct json_doc *doc, uint32_t value)
{
    const struct json_token *token = token_at(doc, value);

    return is_container(token) ? (uint32_t)token->jsmn.size : 0;
}

uint32_t json_first(const struct json_doc *doc, uint32_t value)
{
    return json_count(doc, value) > 0 ? value + 1 : JSON_NONE;
}

uint32_t json_next(const struct json_doc *doc, uint32_t parent, uint32_t value)
{
    bool member = token_at(doc, parent)->jsmn.type == JSMN_OBJECT;
    uint32_t next = behind(doc, member ? json_member_value(doc, value) : value);

    return next < behind(doc, parent) ? next : JSON_NONE;
}

uint32_t json_member_value(const struct json_doc *doc, uint32_t key)
{
    assert(token_at(doc, key)->jsmn.type == JSMN_STRING && key + 1 < doc->count);
    return key + 1;
}

uint32_t json_at(const struct json_doc *doc, uint32_t array, uint32_t index)
{
    if (json_type(doc, array) != JSON_ARRAY || index >= json_count(doc, array))
        return JSON_NONE;
    uint32_t value = array + 1;
    while (index-- > 0)
        value = behind(doc, value);
    return value;
}

/* `scratch` takes at most as many bytes as `key` has, so that long keys cost nothing. */
static bool key_equal(struct str raw, struct str key, struct buf *scratch)
{
    struct str inner = {raw.at + 1, raw.size - 2};

    if (inner.size < key.size)
        return false;
    if (inner.size == key.size && memcmp(inner.at, key.at, key.size) == 0)
        return !memchr(key.at, '\\', key.size);
    if (inner.size == key.size || !memchr(inner.at, '\\', inner.size))
        return false;
    buf_reset(scratch);
    return json_string_decode(scratch, raw) && str_equal(buf_str(scratch), key);
}

uint32_t json_member(const struct json_doc *doc, uint32_t object, struct str key)
{
    uint32_t found = JSON_NONE;
    struct buf scratch;

    if (json_type(doc, object) != JSON_OBJECT)
        return JSON_NONE;
    buf_init(&scratch, key.size);
    for (uint32_t at = json_first(doc, object); at != JSON_NONE;
         at = json_next(doc, object, at)) {
        if (key_equal(json_raw(doc, at), key, &scratch))
            found = json_member_value(doc, at);
    }
    buf_free(&scratch);
    return found;
}
