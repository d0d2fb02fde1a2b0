#include "cluster/describe.h"

#include "base/clock.h"

/* A comma, unless the container at the end has just begun. */
static void separate(struct buf *to)
{
    if (to->size > 0 && to->at[to->size - 1] != '[' && to->at[to->size - 1] != '{')
        buf_add_byte(to, ',');
}

static void write_key(struct buf *to, const char *key)
{
    separate(to);
    json_write_string(to, str_from(key));
    buf_add_byte(to, ':');
}

static void write_text(struct buf *to, const char *key, struct str text)
{
    write_key(to, key);
    json_write_string(to, text);
}

static void write_bool(struct buf *to, const char *key, bool value)
{
    write_key(to, key);
    buf_add_str(to, value ? STR("true") : STR("false"));
}

/* --- the handshake --------------------------------------------------------------------------- */

static bool is_repeated(const struct eio_handshake *handshake, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (str_equal(handshake->headers[i].name, handshake->headers[index].name))
            return true;
    }
    return false;
}

/* All values of the header at `index`, joined as Node's http module joins them. */
static void write_header(struct buf *to, const struct eio_handshake *handshake, size_t index)
{
    const struct http_header *headers = handshake->headers;
    struct str name = headers[index].name;
    struct buf joined;

    separate(to);
    json_write_string(to, name);
    buf_add_byte(to, ':');
    buf_init(&joined, SIZE_MAX);
    buf_add_str(&joined, headers[index].value);
    for (size_t i = index + 1; i < handshake->header_count; i++) {
        if (!str_equal(headers[i].name, name) || http_header_keeps_first(name))
            continue;
        buf_add_str(&joined, str_equal(name, STR("cookie")) ? STR("; ") : STR(", "));
        buf_add_str(&joined, headers[i].value);
    }
    json_write_string(to, buf_str(&joined));
    to->failed |= buf_failed(&joined);
    buf_free(&joined);
}

static bool write_parameter(void *context, struct str name, struct str value)
{
    struct buf *to = context;

    separate(to);
    json_write_string(to, name);
    buf_add_byte(to, ':');
    json_write_string(to, value);
    return true;
}

static void write_handshake(struct buf *to, const struct sio_socket *socket)
{
    const struct eio_handshake *handshake = sio_socket_handshake(socket);
    char date[CLOCK_DATE_MAX];

    buf_add_byte(to, '{');
    write_key(to, "headers");
    buf_add_byte(to, '{');
    for (size_t i = 0; i < handshake->header_count; i++) {
        if (!is_repeated(handshake, i))
            write_header(to, handshake, i);
    }
    buf_add_byte(to, '}');
    write_text(to, "time", str_of(date, clock_date_text(handshake->time_ms, date)));
    write_text(to, "address", handshake->address);
    write_bool(to, "xdomain", handshake->cross_domain);
    write_bool(to, "secure", handshake->secure);
    write_key(to, "issued");
    buf_add_u64(to, handshake->time_ms);
    write_text(to, "url", handshake->target);
    write_key(to, "query");
    buf_add_byte(to, '{');
    eio_query_each(handshake->target, write_parameter, to);
    buf_add_byte(to, '}');
    write_key(to, "auth");
    buf_add_str(to, sio_socket_auth(socket));
    buf_add_byte(to, '}');
}

/* --- sockets and rooms ----------------------------------------------------------------------- */

static void write_room(void *context, struct str name)
{
    separate(context);
    json_write_string(context, name);
}

void describe_socket(struct buf *to, const struct sio_socket *socket)
{
    buf_add_byte(to, '{');
    write_text(to, "id", sio_socket_id(socket));
    write_key(to, "handshake");
    write_handshake(to, socket);
    write_key(to, "rooms");
    buf_add_byte(to, '[');
    sio_socket_rooms(socket, write_room, to);
    buf_add_byte(to, ']');
    write_key(to, "data");
    sio_socket_write_data(socket, to);
    buf_add_byte(to, '}');
}

static void write_socket(void *context, struct sio_socket *socket)
{
    separate(context);
    describe_socket(context, socket);
}

void describe_target(struct buf *to, const struct sio_target *target)
{
    buf_add_byte(to, '[');
    sio_target_each(target, write_socket, to);
    buf_add_byte(to, ']');
}

void describe_rooms(struct buf *to, const struct sio_namespace *nsp)
{
    buf_add_byte(to, '[');
    sio_namespace_rooms(nsp, write_room, to);
    buf_add_byte(to, ']');
}
