/*
 * fuzz_json: the readers of json/ agree: what the grammar check lets through is split, tokenised,
 * walked, made a tree and normalised, and what is written passes the check and means the same.
 *
 * Input     the text. What is not UTF-8 is repaired: net lets nothing else in.
 */
#include "fuzz.h"

#include "base/utf8.h"
#include "json/tree.h"

enum {
    GROWTH = 32, /* bytes written for one read: a number's spelling, escapes */
};

struct walk {
    const struct json_doc *doc;
    size_t values;
};

static void walk_value(struct walk *walk, uint32_t value);

static void check_string(struct str raw)
{
    struct buf text, again, back;

    buf_init(&text, raw.size);
    buf_init(&again, raw.size * GROWTH);
    buf_init(&back, raw.size);
    assert(json_string_decode(&text, raw));
    assert(json_write_string(&again, buf_str(&text)));
    assert(json_check(buf_str(&again)));
    assert(json_string_decode(&back, buf_str(&again)));
    assert(str_equal(buf_str(&text), buf_str(&back)));
    buf_free(&text);
    buf_free(&again);
    buf_free(&back);
}

static void walk_members(struct walk *walk, uint32_t object)
{
    const struct json_doc *doc = walk->doc;
    uint32_t count = 0;

    for (uint32_t key = json_first(doc, object); key != JSON_NONE;
         key = json_next(doc, object, key)) {
        struct str raw = json_raw(doc, key);
        struct buf name;

        buf_init(&name, raw.size);
        assert(json_string_decode(&name, raw));
        uint32_t found = json_member(doc, object, buf_str(&name));
        assert(found != JSON_NONE && found >= json_member_value(doc, key));
        buf_free(&name);
        walk_value(walk, json_member_value(doc, key));
        count++;
    }
    assert(count == json_count(doc, object));
}

static void walk_elements(struct walk *walk, uint32_t array)
{
    const struct json_doc *doc = walk->doc;
    uint32_t count = 0;

    for (uint32_t value = json_first(doc, array); value != JSON_NONE;
         value = json_next(doc, array, value)) {
        walk_value(walk, value);
        count++;
    }
    assert(count == json_count(doc, array));
    assert(json_at(doc, array, count) == JSON_NONE);
}

static void walk_value(struct walk *walk, uint32_t value)
{
    struct str raw = json_raw(walk->doc, value);
    enum json_type type = json_type(walk->doc, value);
    int64_t integer;
    double real;

    assert(raw.at >= walk->doc->text.at &&
           raw.at + raw.size <= walk->doc->text.at + walk->doc->text.size);
    assert(type == json_type_of(raw));
    walk->values++;
    if (type == JSON_OBJECT)
        walk_members(walk, value);
    else if (type == JSON_ARRAY)
        walk_elements(walk, value);
    else if (type == JSON_STRING)
        check_string(raw);
    else if (type == JSON_NUMBER)
        json_number_decode(raw, &integer, &real);
}

static bool count_element(void *context, struct str value)
{
    assert(json_check(value));
    ++*(size_t *)context;
    return true;
}

static void check_split(struct str text, const struct json_doc *doc)
{
    size_t count = 0;

    if (json_type(doc, 0) == JSON_ARRAY) {
        assert(json_split(text, count_element, &count));
        assert(count == json_count(doc, 0));
    } else {
        assert(!json_split(text, count_element, &count));
    }
}

static void normalise(struct buf *to, struct str text)
{
    buf_init(to, (text.size + 1) * GROWTH);
    assert(json_normalise(to, text));
    assert(json_check(buf_str(to)));
}

/* The tree keeps digits that JavaScript loses: so it is compared by its normal form. */
static void check_tree(struct str text, struct str normal)
{
    struct json_tree *tree = json_tree_parse(text);
    struct buf written, again;

    assert(tree);
    buf_init(&written, (text.size + 1) * GROWTH);
    assert(json_tree_write(&written, tree));
    normalise(&again, buf_str(&written));
    assert(str_equal(buf_str(&again), normal));
    buf_free(&again);
    buf_free(&written);
    json_tree_free(tree);
}

static void check_good(struct str text)
{
    struct json_doc doc;
    struct buf once, twice;

    assert(json_doc_init(&doc, text));
    struct walk walk = {&doc, 0};
    walk_value(&walk, 0);
    check_split(text, &doc);
    json_doc_free(&doc);

    normalise(&once, text);
    normalise(&twice, buf_str(&once));
    assert(str_equal(buf_str(&once), buf_str(&twice)));
    check_tree(text, buf_str(&once));
    buf_free(&once);
    buf_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct buf text;

    buf_init(&text, size * 3);
    assert(utf8_repair(&text, str_of(bytes, size)));

    struct str exact = {(char *)fuzz_copy(buf_str(&text)), text.size};
    size_t count = 0;
    if (json_check(exact))
        check_good(exact);
    else
        assert(!json_split(exact, count_element, &count));
    free((char *)exact.at);
    buf_free(&text);
    return 0;
}
