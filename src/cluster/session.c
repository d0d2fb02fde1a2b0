#include "cluster/session.h"

#include "msgpack/msgpack.h"

#include <stdlib.h>

/*
 * MessagePack: [version, parser, namespace, sid, origin, since, start, upto, last, data, rooms, packets], where
 * a packet is [origin, number, frame, …]. Origins are 64 bits wide and written as text.
 */

enum {
    VERSION = 1,
    FIELDS = 12,
};

static void write_wide(struct buf *to, uint64_t number)
{
    struct buf text;

    buf_init(&text, 16);
    sio_number_write(&text, number);
    msgpack_write_string(to, buf_str(&text));
    buf_free(&text);
}

void session_write(struct buf *to, struct str parser, struct str nsp,
                   const struct sio_session *session)
{
    msgpack_write_array(to, FIELDS);
    msgpack_write_integer(to, VERSION);
    msgpack_write_string(to, parser);
    msgpack_write_string(to, nsp);
    msgpack_write_string(to, session->sid);
    write_wide(to, session->origin);
    write_wide(to, session->since);
    msgpack_write_string(to, session->start);
    msgpack_write_string(to, session->upto);
    msgpack_write_string(to, session->last);
    msgpack_write_string(to, session->data);
    msgpack_write_array(to, (uint32_t)session->room_count);
    for (size_t i = 0; i < session->room_count; i++)
        msgpack_write_string(to, session->rooms[i]);
    msgpack_write_array(to, (uint32_t)session->packet_count);
    for (size_t i = 0; i < session->packet_count; i++) {
        const struct sio_session_packet *packet = &session->packets[i];

        msgpack_write_array(to, 2 + packet->frame_count);
        write_wide(to, packet->origin);
        write_wide(to, packet->number);
        for (uint32_t n = 0; n < packet->frame_count; n++)
            msgpack_write_binary(to, packet->frames[n]);
    }
}

/* --- reading --------------------------------------------------------------------------------- */

struct source {
    struct msgpack_reader reader;
    struct str *names;
    size_t name_count;
    size_t name_capacity;
    bool good;
};

static struct msgpack_token take(struct source *source, enum msgpack_kind kind)
{
    struct msgpack_token token = {.kind = MSGPACK_NIL};

    if (!source->good || !msgpack_read(&source->reader, &token) || token.kind != kind) {
        source->good = false;
        token.kind = MSGPACK_NIL;
        token.bytes = STR("");
    }
    return token;
}

static struct str take_string(struct source *source)
{
    return take(source, MSGPACK_STRING).bytes;
}

static uint64_t take_wide(struct source *source)
{
    uint64_t number = 0;

    if (!sio_number_read(take_string(source), &number))
        source->good = false;
    return number;
}

static uint32_t take_count(struct source *source, uint32_t least, uint32_t most)
{
    struct msgpack_token token = take(source, MSGPACK_ARRAY);

    if (!source->good || token.count < least || token.count > most) {
        source->good = false;
        return 0;
    }
    return token.count;
}

/* The list may move: what points into it is set when all are in. */
static void keep_name(struct source *source, struct str name)
{
    if (source->good && source->name_count == source->name_capacity) {
        size_t capacity = source->name_capacity ? source->name_capacity * 2 : 16;
        struct str *grown = realloc(source->names, capacity * sizeof(*grown));

        if (grown) {
            source->names = grown;
            source->name_capacity = capacity;
        } else {
            source->good = false;
        }
    }
    if (source->good)
        source->names[source->name_count++] = name;
}

static void read_packets(struct source *source, struct session_read *read)
{
    uint32_t count = take_count(source, 0, SESSION_LIST_MAX);

    if (count == 0)
        return;
    read->packets = calloc(count, sizeof(*read->packets));
    if (!read->packets) {
        source->good = false;
        return;
    }
    read->session.packet_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t fields = take_count(source, 3, SESSION_LIST_MAX);

        read->packets[i].origin = take_wide(source);
        read->packets[i].number = take_wide(source);
        for (uint32_t n = 2; n < fields && source->good; n++)
            keep_name(source, take(source, MSGPACK_BINARY).bytes);
        read->packets[i].frame_count = source->good ? fields - 2 : 0;
    }
}

static void point_to_names(struct session_read *read)
{
    const struct str *name = read->names;

    read->session.rooms = name;
    name += read->session.room_count;
    for (size_t i = 0; i < read->session.packet_count; i++) {
        read->packets[i].frames = name;
        name += read->packets[i].frame_count;
    }
    read->session.packets = read->packets;
}

bool session_read(struct session_read *read, struct str bytes)
{
    struct source source = {.reader = msgpack_reader_of(bytes), .good = true};
    uint32_t rooms;

    *read = (struct session_read){.session = {.pid = STR("")}};
    take_count(&source, FIELDS, FIELDS);
    if (take(&source, MSGPACK_INTEGER).integer != VERSION)
        source.good = false;
    read->parser = take_string(&source);
    read->nsp = take_string(&source);
    read->session.sid = take_string(&source);
    read->session.origin = take_wide(&source);
    read->session.since = take_wide(&source);
    read->session.start = take_string(&source);
    read->session.upto = take_string(&source);
    read->session.last = take_string(&source);
    read->session.data = take_string(&source);
    rooms = take_count(&source, 0, SESSION_LIST_MAX);
    for (uint32_t i = 0; i < rooms && source.good; i++)
        keep_name(&source, take_string(&source));
    read->session.room_count = rooms;
    read_packets(&source, read);
    read->names = source.names;
    if (source.good && (read->session.data.size == 0 || json_check(read->session.data))) {
        point_to_names(read);
        return true;
    }
    session_free(read);
    return false;
}

void session_free(struct session_read *read)
{
    free(read->names);
    free(read->packets);
    free(read->unpacked);
    free(read->data);
    *read = (struct session_read){0};
}
