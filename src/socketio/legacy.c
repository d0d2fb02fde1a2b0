#include "legacy.h"

#include "engineio/engineio.h"
#include "json/json.h"

enum {
    ESCAPE_MAX = 6, /* bytes that one becomes in JSON; "%XX" takes less */
    AROUND_MAX = 64,
};

static bool is_slash(char c)
{
    return c == '/' || c == '\\';
}

static bool ends_path(char c)
{
    return c == '?' || c == '#';
}

/* The URL parser forgets these wherever they are. */
static bool is_dropped(char c)
{
    return c == '\t' || c == '\n' || c == '\r';
}

/* Whether the path's percent-encode set has the byte. */
static bool needs_escape(char c)
{
    return (unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f || strchr("\"<>`{}", c) != NULL;
}

/* --- text without what the parser forgets ------------------------------------------------------ */

static bool clean(struct buf *to, struct str text)
{
    while (text.size > 0 && (unsigned char)text.at[text.size - 1] <= 0x20)
        text.size--;
    for (size_t i = 0; i < text.size; i++) {
        if (!is_dropped(text.at[i]))
            buf_add_byte(to, text.at[i]);
    }
    return !buf_failed(to);
}

/* --- path -------------------------------------------------------------------------------------- */

/* Takes one '.' or its escape off the segment. */
static bool take_dot(struct str *segment)
{
    size_t size = 0;

    if (str_starts(*segment, STR(".")))
        size = 1;
    else if (segment->size >= 3 && str_equal_nocase(str_of(segment->at, 3), STR("%2e")))
        size = 3;
    *segment = str_from_index(*segment, size);
    return size > 0;
}

static bool is_dots(struct str segment, int count)
{
    while (count-- > 0) {
        if (!take_dot(&segment))
            return false;
    }
    return segment.size == 0;
}

static void drop_last(struct buf *path)
{
    while (path->size > 0 && path->at[--path->size] != '/')
        ;
}

static void add_segment(struct buf *path, struct str segment)
{
    static const char digits[] = "0123456789ABCDEF";

    buf_add_byte(path, '/');
    for (size_t i = 0; i < segment.size; i++) {
        unsigned char c = (unsigned char)segment.at[i];

        if (needs_escape((char)c)) {
            buf_add_byte(path, '%');
            buf_add_byte(path, digits[c >> 4]);
            buf_add_byte(path, digits[c & 0xf]);
        } else {
            buf_add_byte(path, (char)c);
        }
    }
}

/* `text` begins with a slash and has nothing but a path. */
static bool read_path(struct buf *path, struct str text)
{
    size_t start = 1;

    for (size_t i = 1; i <= text.size; i++) {
        bool last = i == text.size;
        struct str segment = str_of(text.at + start, i - start);

        if (!last && !is_slash(text.at[i]))
            continue;
        if (is_dots(segment, 2))
            drop_last(path);
        else if (!is_dots(segment, 1))
            add_segment(path, segment);
        if (last && (is_dots(segment, 1) || is_dots(segment, 2)))
            buf_add_byte(path, '/');
        start = i + 1;
    }
    return !buf_failed(path);
}

/* --- the whole --------------------------------------------------------------------------------- */

/* "//host/path": the host, which nobody wants. False when it is empty. */
static bool skip_host(struct str *text)
{
    size_t start = 0, end;

    if (text->size < 2 || !is_slash(text->at[1]))
        return true;
    while (start < text->size && is_slash(text->at[start]))
        start++;
    for (end = start; end < text->size; end++) {
        if (is_slash(text->at[end]) || ends_path(text->at[end]))
            break;
    }
    *text = str_from_index(*text, end);
    return end > start;
}

struct auth_writer {
    struct buf json;
    bool any;
};

static bool add_parameter(void *context, struct str name, struct str value)
{
    struct auth_writer *writer = context;

    buf_add_byte(&writer->json, writer->any ? ',' : '{');
    writer->any = true;
    json_write_string(&writer->json, name);
    buf_add_byte(&writer->json, ':');
    json_write_string(&writer->json, value);
    return !buf_failed(&writer->json);
}

static bool read_auth(struct buf *auth, struct str query)
{
    struct auth_writer writer = {.any = false};
    bool good = true;

    buf_init(&writer.json, auth->maximum);
    eio_form_each(query, add_parameter, &writer);
    if (writer.any)
        good = buf_add_byte(&writer.json, '}') && json_normalise(auth, buf_str(&writer.json));
    buf_free(&writer.json);
    return good;
}

static bool read_parts(struct sio_address *address, struct str text, bool with_auth)
{
    const char *hash = memchr(text.at, '#', text.size);
    const char *mark;

    if (hash)
        text.size = (size_t)(hash - text.at);
    mark = memchr(text.at, '?', text.size);
    if (mark && with_auth &&
        !read_auth(&address->auth, str_from_index(text, (size_t)(mark - text.at) + 1)))
        return false;
    if (mark)
        text.size = (size_t)(mark - text.at);
    return read_path(&address->path, text.size > 0 ? text : STR("/"));
}

bool sio_address_read(struct sio_address *address, struct str text, bool with_auth)
{
    struct buf cleaned;
    struct str left;

    address->error = NULL;
    buf_init(&cleaned, text.size);
    buf_init(&address->path, text.size * ESCAPE_MAX + AROUND_MAX);
    buf_init(&address->auth, text.size * ESCAPE_MAX + AROUND_MAX);
    if (!clean(&cleaned, text)) {
        address->error = "out of memory";
    } else {
        left = buf_str(&cleaned);
        if (!skip_host(&left))
            address->error = "Invalid URL";
        else if (!read_parts(address, left, with_auth))
            address->error = "out of memory";
    }
    buf_free(&cleaned);
    return !address->error;
}

void sio_address_free(struct sio_address *address)
{
    buf_free(&address->path);
    buf_free(&address->auth);
}
