#include "net/http1_parser.h"

#include "base/buf.h"

#include <http_parser.h>
#include <stdlib.h>

enum {
    HEADERS_FIRST = 32,
    LENGTH_DIGITS_MAX = 18, /* of a Content-Length: fits 63 bits */
};

/* Where a text begins; its bytes may still move. */
struct header_place {
    uint32_t name_at, name_size, value_at, value_size;
};

struct http1_parser {
    http_parser machine;
    size_t header_bytes;
    struct buf text; /* target, then names and values, without anything between */
    size_t target_size;
    struct header_place *places;
    struct http_header *headers;
    uint32_t place_count, place_capacity;
    struct str body;
    struct http1_head head;
    uint8_t last_byte; /* of the lines so far, to see how they end */
    bool in_value;     /* the last text was of a value: a name begins a new field */
    bool begun;        /* of a head */
    bool head_done;    /* and its message is not */
    bool chunked;      /* the message is */
    bool saw_head, saw_body, saw_end; /* in this feed */
    bool too_long, no_memory;
};

static struct http1_parser *parser_of(http_parser *machine)
{
    return machine->data;
}

static int on_begin(http_parser *machine)
{
    parser_of(machine)->begun = true;
    return 0;
}

/* Counts as Node does: texts without what is between them. */
static int add_text(struct http1_parser *parser, const char *at, size_t size)
{
    if (parser->text.size + size >= parser->header_bytes) {
        parser->too_long = true;
        return -1;
    }
    if (!buf_add(&parser->text, at, size)) {
        parser->no_memory = true;
        return -1;
    }
    return 0;
}

static int on_target(http_parser *machine, const char *at, size_t size)
{
    struct http1_parser *parser = parser_of(machine);

    parser->target_size += size;
    return add_text(parser, at, size);
}

static struct header_place *add_place(struct http1_parser *parser)
{
    struct header_place *places = parser->places;
    uint32_t capacity = parser->place_capacity;

    if (parser->place_count == HTTP1_HEADERS_MAX) {
        parser->too_long = true;
        return NULL;
    }
    if (parser->place_count == capacity) {
        capacity = capacity ? capacity * 2 : HEADERS_FIRST;
        places = realloc(places, capacity * sizeof(*places));
        if (!places) {
            parser->no_memory = true;
            return NULL;
        }
        parser->places = places;
        parser->place_capacity = capacity;
    }
    places += parser->place_count++;
    *places = (struct header_place){.name_at = (uint32_t)parser->text.size};
    return places;
}

static int on_name(http_parser *machine, const char *at, size_t size)
{
    struct http1_parser *parser = parser_of(machine);

    if (parser->head_done) /* a trailer: checked, not kept */
        return 0;
    if ((parser->in_value || parser->place_count == 0) && !add_place(parser))
        return -1;
    parser->in_value = false;
    parser->places[parser->place_count - 1].name_size += (uint32_t)size;
    return add_text(parser, at, size);
}

static int on_value(http_parser *machine, const char *at, size_t size)
{
    struct http1_parser *parser = parser_of(machine);
    struct header_place *place;

    if (parser->head_done)
        return 0;
    place = &parser->places[parser->place_count - 1];
    if (!parser->in_value)
        place->value_at = (uint32_t)parser->text.size;
    parser->in_value = true;
    place->value_size += (uint32_t)size;
    return add_text(parser, at, size);
}

static int on_head(http_parser *machine)
{
    enum {
        NORMAL_BODY = 0,
        NO_BODY_UPGRADE = 2,
    };

    parser_of(machine)->saw_head = true;
    http_parser_pause(machine, 1);
    return machine->upgrade ? NO_BODY_UPGRADE : NORMAL_BODY;
}

static int on_body(http_parser *machine, const char *at, size_t size)
{
    struct http1_parser *parser = parser_of(machine);

    parser->saw_body = true;
    parser->body = str_of(at, size);
    http_parser_pause(machine, 1);
    return 0;
}

static int on_end(http_parser *machine)
{
    parser_of(machine)->saw_end = true;
    http_parser_pause(machine, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_url = on_target,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct http1_parser *http1_parser_new(size_t header_bytes)
{
    struct http1_parser *parser = calloc(1, sizeof(*parser));

    if (!parser)
        return NULL;
    http_parser_init(&parser->machine, HTTP_REQUEST);
    parser->machine.data = parser;
    parser->header_bytes = header_bytes < UINT32_MAX ? header_bytes : UINT32_MAX;
    buf_init(&parser->text, parser->header_bytes);
    return parser;
}

void http1_parser_drop_head(struct http1_parser *parser)
{
    buf_free(&parser->text);
    free(parser->places);
    free(parser->headers);
    parser->places = NULL;
    parser->headers = NULL;
    parser->place_count = parser->place_capacity = 0;
    parser->target_size = 0;
    parser->head = (struct http1_head){0};
    parser->in_value = false;
}

void http1_parser_free(struct http1_parser *parser)
{
    http1_parser_drop_head(parser);
    free(parser);
}

/* http-parser does not look at the first byte of a value. */
static bool value_valid(struct str value)
{
    for (size_t i = 0; i < value.size; i++) {
        uint8_t byte = (uint8_t)value.at[i];
        if ((byte < ' ' && byte != '\t') || byte == 0x7f)
            return false;
    }
    return true;
}

static bool length_valid(struct str value, uint64_t *length)
{
    *length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return false;
        *length = *length * 10 + (uint64_t)(value.at[i] - '0');
    }
    return value.size > 0 && value.size <= LENGTH_DIGITS_MAX;
}

/* What decides where the request ends and whom it is for must be there once and be plain. */
static bool check_headers(struct http1_head *head)
{
    int lengths = 0, codings = 0, hosts = 0;

    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *header = &head->headers[i];

        if (!value_valid(header->value))
            return false;
        if (str_equal_nocase(header->name, STR("Host"))) {
            hosts++;
        } else if (str_equal_nocase(header->name, STR("Content-Length"))) {
            lengths++;
            if (!length_valid(header->value, &head->length))
                return false;
        } else if (str_equal_nocase(header->name, STR("Transfer-Encoding"))) {
            codings++;
            if (!str_equal_nocase(header->value, STR("chunked")))
                return false;
        }
    }
    head->has_host = hosts > 0;
    head->chunked = codings > 0;
    return hosts <= 1 && lengths + codings <= 1 && (codings == 0 || head->minor == 1);
}

static bool build_head(struct http1_parser *parser)
{
    const http_parser *machine = &parser->machine;
    struct http1_head *head = &parser->head;
    const char *text = parser->text.at;

    parser->headers = calloc(parser->place_count + 1, sizeof(*parser->headers));
    if (!parser->headers) {
        parser->no_memory = true;
        return false;
    }
    for (uint32_t i = 0; i < parser->place_count; i++) {
        const struct header_place *place = &parser->places[i];
        parser->headers[i].name = str_of(text + place->name_at, place->name_size);
        parser->headers[i].value = str_trim(str_of(text + place->value_at, place->value_size));
    }
    *head = (struct http1_head){
        .method = http_method_str((enum http_method)machine->method),
        .target = str_of(text, parser->target_size),
        .headers = parser->headers,
        .header_count = parser->place_count,
        .minor = (uint8_t)machine->http_minor,
        .connect = machine->method == HTTP_CONNECT,
        .upgrade = machine->upgrade,
        .keep_alive = machine->http_minor == 1 && !(machine->flags & F_CONNECTION_CLOSE),
    };
    free(parser->places);
    parser->places = NULL;
    parser->place_capacity = 0;
    parser->begun = false;
    parser->head_done = true;
    return machine->http_major == 1 && machine->http_minor <= 1 && check_headers(head);
}

/* Every line ends with CR LF and none is folded. */
static bool lines_sound(struct http1_parser *parser, const uint8_t *bytes, size_t size)
{
    uint8_t last = parser->last_byte;

    for (size_t i = 0; i < size; i++) {
        if (bytes[i] == '\n' && last != '\r')
            return false;
        if ((bytes[i] == ' ' || bytes[i] == '\t') && last == '\n')
            return false;
        last = bytes[i];
    }
    parser->last_byte = last;
    return true;
}

/* Of what was taken, the bytes that are not the body's. */
static bool framing_sound(struct http1_parser *parser, const uint8_t *bytes, size_t size)
{
    const uint8_t *body = (const uint8_t *)parser->body.at;

    if (parser->head_done && !parser->chunked)
        return true;
    if (!parser->saw_body)
        return lines_sound(parser, bytes, size);
    if (!lines_sound(parser, bytes, (size_t)(body - bytes)))
        return false;
    parser->last_byte = 0;
    body += parser->body.size;
    return lines_sound(parser, body, (size_t)(bytes + size - body));
}

static enum http1_event told(struct http1_parser *parser)
{
    if (parser->saw_head) {
        if (!build_head(parser))
            return parser->no_memory ? HTTP1_NO_MEMORY : HTTP1_BAD;
        parser->head.has_body = !parser->saw_end;
        parser->head_done = parser->head.has_body;
        parser->chunked = parser->head.chunked;
        return HTTP1_HEAD;
    }
    if (parser->saw_body)
        return HTTP1_BODY;
    if (!parser->saw_end)
        return HTTP1_MORE;
    parser->head_done = false;
    return HTTP1_END;
}

size_t http1_parser_feed(struct http1_parser *parser, const uint8_t *bytes, size_t size,
                         enum http1_event *event)
{
    http_parser *machine = &parser->machine;
    const char *text = (const char *)bytes;
    size_t used;

    *event = HTTP1_MORE;
    parser->saw_head = parser->saw_body = parser->saw_end = false;
    if (size == 0)
        return 0;
    used = http_parser_execute(machine, &callbacks, text, size);
    if (parser->saw_head && HTTP_PARSER_ERRNO(machine) == HPE_PAUSED) {
        /* It stops before the head's last LF; behind it, it knows whether there is a body. */
        http_parser_pause(machine, 0);
        used += http_parser_execute(machine, &callbacks, text + used, 1);
    }
    if (HTTP_PARSER_ERRNO(machine) == HPE_PAUSED)
        http_parser_pause(machine, 0);
    if (parser->no_memory)
        *event = HTTP1_NO_MEMORY;
    else if (parser->too_long || HTTP_PARSER_ERRNO(machine) == HPE_HEADER_OVERFLOW)
        *event = HTTP1_TOO_LONG;
    else if (HTTP_PARSER_ERRNO(machine) != HPE_OK || !framing_sound(parser, bytes, used))
        *event = HTTP1_BAD;
    else
        *event = told(parser);
    return used;
}

bool http1_parser_in_head(const struct http1_parser *parser)
{
    return parser->begun;
}

const struct http1_head *http1_parser_head(const struct http1_parser *parser)
{
    return &parser->head;
}

struct str http1_parser_body(const struct http1_parser *parser)
{
    return parser->body;
}

const char *http1_status_text(int status)
{
    const char *text = http_status_str((enum http_status)status);

    return text[0] == '<' ? "unknown" : text;
}
