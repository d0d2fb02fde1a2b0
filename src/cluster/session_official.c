#include "base/base64.h"
#include "cluster/session.h"
#include "msgpack/msgpack.h"

#include <stdlib.h>

/* --- writing --------------------------------------------------------------------------------- */

static void write_data(struct buf *to, struct str data)
{
    if (data.size == 0)
        msgpack_write_map(to, 0);
    else if (!msgpack_from_json(to, data, NULL, 0))
        to->failed = true;
}

void session_write_official(struct buf *to, const struct sio_session *session)
{
    struct buf packed;
    char *text;

    buf_init(&packed, SESSION_BYTES_MAX);
    msgpack_write_map(&packed, 7);
    msgpack_write_string(&packed, STR("sid"));
    msgpack_write_string(&packed, session->sid);
    msgpack_write_string(&packed, STR("pid"));
    msgpack_write_string(&packed, session->pid);
    msgpack_write_string(&packed, STR("rooms"));
    msgpack_write_array(&packed, (uint32_t)session->room_count);
    for (size_t i = 0; i < session->room_count; i++)
        msgpack_write_string(&packed, session->rooms[i]);
    msgpack_write_string(&packed, STR("data"));
    write_data(&packed, session->data);
    msgpack_write_string(&packed, STR("start"));
    msgpack_write_string(&packed, session->start);
    msgpack_write_string(&packed, STR("upto"));
    msgpack_write_string(&packed, session->upto);
    msgpack_write_string(&packed, STR("last"));
    msgpack_write_string(&packed, session->last);
    text = buf_failed(&packed) ? NULL : buf_extend(to, base64_encoded_size(packed.size));
    if (text)
        base64_encode(text, packed.at, packed.size);
    else
        to->failed = true;
    buf_free(&packed);
}

/* --- reading --------------------------------------------------------------------------------- */

static bool read_string(struct msgpack_reader *reader, struct str *to)
{
    struct msgpack_token token;

    if (!msgpack_read(reader, &token) || token.kind != MSGPACK_STRING)
        return false;
    *to = token.bytes;
    return true;
}

/* Rooms that are numbers are none here. */
static bool read_rooms(struct msgpack_reader *reader, struct session_read *read)
{
    struct msgpack_token token;

    if (!msgpack_read(reader, &token) || token.kind != MSGPACK_ARRAY ||
        token.count > SESSION_LIST_MAX || read->names)
        return false;
    read->names = calloc(token.count + 1, sizeof(*read->names));
    if (!read->names)
        return false;
    for (uint32_t i = 0, count = token.count; i < count; i++) {
        struct msgpack_reader ahead = *reader;

        if (msgpack_read(&ahead, &token) && token.kind == MSGPACK_STRING)
            read->names[read->session.room_count++] = token.bytes;
        if (!msgpack_skip(reader))
            return false;
    }
    read->session.rooms = read->names;
    return true;
}

/* Binary values in data are lost: socket.data has none here. */
static bool read_data(struct msgpack_reader *reader, struct buf *json)
{
    struct msgpack_bins bins = {.maximum = SESSION_LIST_MAX};
    enum msgpack_fault fault;

    buf_reset(json);
    fault = msgpack_to_json(reader, json, &bins);
    free(bins.at);
    return fault == MSGPACK_GOOD && !buf_failed(json);
}

static bool read_fields(struct msgpack_reader *reader, struct session_read *read,
                        struct buf *data)
{
    struct msgpack_token map;
    struct str key, other;

    if (!msgpack_read(reader, &map) || map.kind != MSGPACK_MAP)
        return false;
    for (uint32_t i = 0; i < map.count; i++) {
        bool good = read_string(reader, &key);

        if (!good)
            return false;
        if (str_equal(key, STR("sid")))
            good = read_string(reader, &read->session.sid);
        else if (str_equal(key, STR("pid")))
            good = read_string(reader, &other);
        else if (str_equal(key, STR("start")))
            good = read_string(reader, &read->session.start);
        else if (str_equal(key, STR("upto")))
            good = read_string(reader, &read->session.upto);
        else if (str_equal(key, STR("last")))
            good = read_string(reader, &read->session.last);
        else if (str_equal(key, STR("rooms")))
            good = read_rooms(reader, read);
        else if (str_equal(key, STR("data")))
            good = read_data(reader, data);
        else
            good = msgpack_skip(reader);
        if (!good)
            return false;
    }
    return read->session.sid.size > 0 && read->names;
}

static bool unpack(struct session_read *read, struct str bytes)
{
    struct msgpack_reader reader = msgpack_reader_of(bytes);
    struct buf data;
    size_t size;
    bool good;

    buf_init(&data, SESSION_BYTES_MAX);
    good = read_fields(&reader, read, &data);
    if (good && data.size > 0 && data.at[0] == '{') {
        read->data = buf_steal(&data, &size);
        good = read->data != NULL;
        read->session.data = str_of(read->data, good ? size : 0);
    }
    buf_free(&data);
    return good;
}

bool session_read_official(struct session_read *read, struct str text)
{
    size_t size;

    *read = (struct session_read){
        .parser = STR(""),
        .nsp = STR(""),
        .session = {.pid = STR(""),
                    .sid = STR(""),
                    .start = STR(""),
                    .upto = STR(""),
                    .last = STR(""),
                    .data = STR("")},
    };
    read->unpacked = malloc(text.size / 4 * 3 + 3);
    if (!read->unpacked)
        return false;
    size = base64_decode((uint8_t *)read->unpacked, text.at, text.size);
    if (unpack(read, str_of(read->unpacked, size)))
        return true;
    session_free(read);
    return false;
}
