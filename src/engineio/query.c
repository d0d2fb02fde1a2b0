#include "engineio/query.h"

#include "base/map.h"
#include "base/utf8.h"
#include "engineio/engineio.h"

#include <assert.h>
#include <stdlib.h>

struct param {
    size_t name, name_size; /* places in the decoded text */
    size_t value, value_size;
};

struct params {
    struct buf text;    /* decoded names and values */
    struct buf scratch; /* one of them, percent-decoded but not yet UTF-8 */
    struct map places;  /* name → index in `list`, plus one: NULL is no value of a map */
    struct param *list;
    size_t count;
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that "%XX" at the text's start stands for, or -1 when that is not there. */
static int percent_byte(struct str text)
{
    if (text.size < 3 || text.at[0] != '%')
        return -1;

    int high = hex_digit(text.at[1]);
    int low = hex_digit(text.at[2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* What bytes from 0x80 on are. */
enum charset {
    LATIN_1, /* the reference reads the request line so */
    UTF_8,
};

/* Appends the decoded component, by way of `scratch`, which is emptied before. */
static bool decode(struct buf *to, struct buf *scratch, struct str raw, enum charset charset)
{
    buf_reset(scratch);
    for (size_t i = 0; i < raw.size; i++) {
        unsigned char c = (unsigned char)raw.at[i];
        int byte = percent_byte(str_from_index(raw, i));
        char wide[4];

        if (byte >= 0) {
            buf_add_byte(scratch, (char)byte);
            i += 2;
        } else if (c == '+') {
            buf_add_byte(scratch, ' ');
        } else if (c >= 0x80 && charset == LATIN_1) {
            buf_add(scratch, wide, utf8_encode(wide, c));
        } else {
            buf_add_byte(scratch, (char)c);
        }
    }
    return !buf_failed(scratch) && utf8_repair(to, buf_str(scratch));
}

/* Takes the first `name=value` that is not empty off the text; false when there is none. */
static bool take_param(struct str *text, struct str *name, struct str *value)
{
    while (text->size > 0) {
        const char *end = memchr(text->at, '&', text->size);
        size_t size = end ? (size_t)(end - text->at) : text->size;
        struct str raw = str_of(text->at, size);

        *text = str_from_index(*text, size + 1);
        if (size == 0)
            continue;
        const char *equals = memchr(raw.at, '=', raw.size);
        size_t name_size = equals ? (size_t)(equals - raw.at) : raw.size;
        *name = str_of(raw.at, name_size);
        *value = str_from_index(raw, name_size + 1);
        return true;
    }
    return false;
}

static bool add_param(struct params *params, struct str raw_name, struct str raw_value,
                      enum charset charset)
{
    struct param *param = &params->list[params->count];

    param->name = params->text.size;
    if (!decode(&params->text, &params->scratch, raw_name, charset))
        return false;
    param->name_size = params->text.size - param->name;
    param->value = params->text.size;
    if (!decode(&params->text, &params->scratch, raw_value, charset))
        return false;
    param->value_size = params->text.size - param->value;

    struct str name = str_of(params->text.at + param->name, param->name_size);
    uintptr_t place = (uintptr_t)map_get(&params->places, name);
    if (place > 0) {
        params->list[place - 1].value = param->value;
        params->list[place - 1].value_size = param->value_size;
        return true;
    }
    params->count++;
    return map_put(&params->places, name, (void *)(uintptr_t)params->count);
}

static struct str query_string(struct str target)
{
    const char *mark = memchr(target.at, '#', target.size);

    if (mark)
        target.size = (size_t)(mark - target.at);
    mark = memchr(target.at, '?', target.size);
    return mark ? str_from_index(target, (size_t)(mark - target.at) + 1) : STR("");
}

static size_t count_char(struct str text, char c)
{
    size_t count = 0;

    for (size_t i = 0; i < text.size; i++)
        count += text.at[i] == c;
    return count;
}

static bool collect(struct params *params, struct str query, enum charset charset)
{
    struct str name, value;

    params->list = calloc(count_char(query, '&') + 1, sizeof(*params->list));
    if (!params->list)
        return false;

    while (take_param(&query, &name, &value))
        if (!add_param(params, name, value, charset))
            return false;
    return true;
}

static void each(struct str query, enum charset charset,
                 bool (*param)(void *context, struct str name, struct str value), void *context)
{
    struct params params = {0};

    if (query.size == 0)
        return;
    /* Latin-1 grows to twice its size, an ill-formed byte to three times. */
    buf_init(&params.text, query.size * 3);
    buf_init(&params.scratch, query.size * 2);
    map_init(&params.places);
    if (collect(&params, query, charset)) {
        for (size_t i = 0; i < params.count; i++) {
            const struct param *p = &params.list[i];
            const char *text = params.text.at;

            if (!param(context, str_of(text + p->name, p->name_size),
                       str_of(text + p->value, p->value_size)))
                break;
        }
    }
    map_free(&params.places);
    free(params.list);
    buf_free(&params.scratch);
    buf_free(&params.text);
}

void eio_query_each(struct str target,
                    bool (*param)(void *context, struct str name, struct str value),
                    void *context)
{
    each(query_string(target), LATIN_1, param, context);
}

void eio_form_each(struct str form,
                   bool (*param)(void *context, struct str name, struct str value),
                   void *context)
{
    each(form, UTF_8, param, context);
}

static void note_jsonp(struct eio_query *query, struct str value)
{
    query->jsonp = true;
    query->jsonp_size = 0;
    for (size_t i = 0; i < value.size && query->jsonp_size < EIO_JSONP_INDEX_MAX; i++)
        if (value.at[i] >= '0' && value.at[i] <= '9')
            query->jsonp_index[query->jsonp_size++] = value.at[i];
}

static bool note(void *context, struct str name, struct str value)
{
    struct eio_query *query = context;

    if (str_equal(name, STR("EIO"))) {
        query->protocol = str_equal(value, STR("4")) ? 4 : 3;
    } else if (str_equal(name, STR("transport"))) {
        if (str_equal(value, STR("polling")))
            query->transport = EIO_POLLING;
        else if (str_equal(value, STR("websocket")))
            query->transport = EIO_WEBSOCKET;
    } else if (str_equal(name, STR("b64"))) {
        query->base64 = value.size > 0;
    } else if (str_equal(name, STR("j"))) {
        note_jsonp(query, value);
    } else if (str_equal(name, STR("sid"))) {
        query->has_sid = value.size > 0;
        query->sid_whole = value.size == sizeof(query->sid);
        if (query->sid_whole)
            memcpy(query->sid, value.at, value.size);
    }
    return true;
}

void eio_query_read(struct str target, struct eio_query *query)
{
    *query = (struct eio_query){.protocol = 3};
    eio_query_each(target, note, query);
}

bool eio_form_value(struct str form, struct str field, struct buf *value)
{
    struct buf decoded, scratch;
    struct str raw_name, raw_value;
    int found = 0;

    buf_init(&decoded, form.size * 3);
    buf_init(&scratch, form.size * 3);
    while (found < 2 && take_param(&form, &raw_name, &raw_value)) {
        buf_reset(&decoded);
        if (!decode(&decoded, &scratch, raw_name, UTF_8))
            break;
        if (!str_equal(buf_str(&decoded), field))
            continue;
        found++;
        if (!decode(value, &scratch, raw_value, UTF_8))
            break;
    }
    buf_free(&decoded);
    buf_free(&scratch);
    return found == 1 && !buf_failed(value);
}
