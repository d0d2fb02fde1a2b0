#include "engineio/jsonp.h"

#include "engineio/query.h"
#include "json/json.h"

enum {
    ESCAPED_MAX = 6, /* bytes that one becomes in a JSON string: \\u0000 */
    CALL_MAX = 128,  /* of the call around it */
};

/* JSON allows these two in strings, old JavaScript does not: U+2028 and U+2029. */
static bool ends_line_in_scripts(struct str text)
{
    return str_starts(text, STR("\xe2\x80\xa8")) || str_starts(text, STR("\xe2\x80\xa9"));
}

static void add_for_scripts(struct buf *to, struct str json)
{
    for (size_t i = 0; i < json.size; i++) {
        if (ends_line_in_scripts(str_from_index(json, i))) {
            buf_add_str(to, json.at[i + 2] == '\xa8' ? STR("\\u2028") : STR("\\u2029"));
            i += 2;
        } else {
            buf_add_byte(to, json.at[i]);
        }
    }
}

struct frame *eio_jsonp_script(struct str index, struct str payload)
{
    struct frame *frame = NULL;
    struct buf json, script;

    buf_init(&json, payload.size * ESCAPED_MAX + CALL_MAX);
    buf_init(&script, payload.size * ESCAPED_MAX + CALL_MAX);
    if (!json_write_string(&json, payload))
        goto done;
    buf_add_str(&script, STR("___eio["));
    buf_add_str(&script, index);
    buf_add_str(&script, STR("]("));
    add_for_scripts(&script, buf_str(&json));
    buf_add_str(&script, STR(");"));
    frame = buf_failed(&script) ? NULL : frame_new(FRAME_RAW, script.size);
    if (frame)
        memcpy(frame_payload(frame), script.at, script.size);
done:
    buf_free(&json);
    buf_free(&script);
    return frame;
}

/* Forms change line ends, so clients write them as a backslash and 'n', and a real backslash
 * before an 'n' twice. */
static void restore_line_ends(struct buf *text)
{
    size_t to = 0;

    for (size_t from = 0; from < text->size; from++) {
        struct str rest = str_of(text->at + from, text->size - from);

        if (str_starts(rest, STR("\\\\n"))) {
            text->at[to++] = '\\';
            text->at[to++] = 'n';
            from += 2;
        } else if (str_starts(rest, STR("\\n"))) {
            text->at[to++] = '\n';
            from++;
        } else {
            text->at[to++] = text->at[from];
        }
    }
    text->size = to;
}

bool eio_jsonp_payload(struct str form, struct buf *payload, bool *present)
{
    *present = eio_form_value(form, STR("d"), payload);
    if (*present)
        restore_line_ends(payload);
    return !buf_failed(payload);
}
