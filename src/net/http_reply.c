#include "net/http_reply.h"

#include "base/buf.h"

#include <http_parser.h>
#include <stdlib.h>

/* Where a text begins; its bytes may still move. */
struct place {
    uint32_t name_at, name_size, value_at, value_size;
};

struct http_reply {
    http_parser machine;
    bool to_head;
    bool in_value;  /* the last text was of a value: a name begins a new field */
    bool head_done; /* what comes now are trailers */
    bool done;
    bool keeps;
    bool chunked;
    uint32_t count;
    struct buf text; /* names and values, without anything between */
    struct buf body;
    struct place places[HTTP_REPLY_HEADERS_MAX];
    struct http_header headers[HTTP_REPLY_HEADERS_MAX];
};

static int on_begin(http_parser *machine)
{
    struct http_reply *reply = machine->data;

    reply->count = 0;
    reply->in_value = reply->head_done = false;
    buf_reset(&reply->text);
    return 0;
}

static int on_name(http_parser *machine, const char *at, size_t size)
{
    struct http_reply *reply = machine->data;

    if (reply->head_done)
        return 0;
    if (reply->in_value || reply->count == 0) {
        if (reply->count == HTTP_REPLY_HEADERS_MAX)
            return -1;
        reply->places[reply->count++] = (struct place){.name_at = (uint32_t)reply->text.size};
    }
    reply->in_value = false;
    reply->places[reply->count - 1].name_size += (uint32_t)size;
    return buf_add(&reply->text, at, size) ? 0 : -1;
}

static int on_value(http_parser *machine, const char *at, size_t size)
{
    struct http_reply *reply = machine->data;
    struct place *place;

    if (reply->head_done)
        return 0;
    place = &reply->places[reply->count - 1];
    if (!reply->in_value)
        place->value_at = (uint32_t)reply->text.size;
    reply->in_value = true;
    place->value_size += (uint32_t)size;
    return buf_add(&reply->text, at, size) ? 0 : -1;
}

static int on_head(http_parser *machine)
{
    enum {
        BODY_AS_SAID = 0,
        NO_BODY = 1,
    };
    struct http_reply *reply = machine->data;

    reply->head_done = true;
    return reply->to_head ? NO_BODY : BODY_AS_SAID;
}

static int on_body(http_parser *machine, const char *at, size_t size)
{
    struct http_reply *reply = machine->data;

    return buf_add(&reply->body, at, size) ? 0 : -1;
}

static int on_end(http_parser *machine)
{
    struct http_reply *reply = machine->data;

    if (machine->status_code == 101) /* nobody has asked for another protocol */
        return -1;
    if (machine->status_code < 200)
        return 0;
    reply->done = true;
    reply->keeps = http_should_keep_alive(machine);
    reply->chunked = machine->flags & F_CHUNKED;
    http_parser_pause(machine, 1);
    return 0;
}

static const http_parser_settings callbacks = {
    .on_message_begin = on_begin,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_body = on_body,
    .on_message_complete = on_end,
};

struct http_reply *http_reply_new(bool to_head, size_t body_max)
{
    struct http_reply *reply = malloc(sizeof(*reply));

    if (!reply)
        return NULL;
    *reply = (struct http_reply){.to_head = to_head};
    http_parser_init(&reply->machine, HTTP_RESPONSE);
    reply->machine.data = reply;
    buf_init(&reply->text, HTTP_REPLY_HEAD_MAX);
    buf_init(&reply->body, body_max);
    return reply;
}

void http_reply_free(struct http_reply *reply)
{
    if (!reply)
        return;
    buf_free(&reply->text);
    buf_free(&reply->body);
    free(reply);
}

static void point_headers(struct http_reply *reply)
{
    for (uint32_t i = 0; i < reply->count; i++) {
        const struct place *place = &reply->places[i];

        reply->headers[i] = (struct http_header){
            .name = str_of(reply->text.at + place->name_at, place->name_size),
            .value = str_trim(str_of(reply->text.at + place->value_at, place->value_size)),
        };
    }
}

enum http_reply_event http_reply_feed(struct http_reply *reply, const void *bytes, size_t size,
                                      size_t *used)
{
    http_parser *machine = &reply->machine;

    *used = http_parser_execute(machine, &callbacks, bytes, size);
    if (reply->done && HTTP_PARSER_ERRNO(machine) == HPE_PAUSED) {
        point_headers(reply);
        return HTTP_REPLY_DONE;
    }
    if (HTTP_PARSER_ERRNO(machine) != HPE_OK || machine->upgrade)
        return HTTP_REPLY_BAD;
    return HTTP_REPLY_MORE;
}

int http_reply_status(const struct http_reply *reply)
{
    return (int)reply->machine.status_code;
}

const struct http_header *http_reply_headers(const struct http_reply *reply, size_t *count)
{
    *count = reply->count;
    return reply->headers;
}

struct str http_reply_body(const struct http_reply *reply)
{
    return buf_str(&reply->body);
}

bool http_reply_chunked(const struct http_reply *reply)
{
    return reply->chunked;
}

bool http_reply_keeps(const struct http_reply *reply)
{
    return reply->keeps;
}
