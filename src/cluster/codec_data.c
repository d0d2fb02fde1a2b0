#include "codec_private.h"

/* MessageType of socket.io-adapter 2.5; those that only other adapters send are left out. */
enum {
    TYPE_NONE = 0,
    TYPE_HEARTBEATS = 2, /* 1 and 2 */
    TYPE_BROADCAST,
    TYPE_JOIN,
    TYPE_LEAVE,
    TYPE_DISCONNECT,
    TYPE_FETCH,
    TYPE_SOCKETS,
    TYPE_SERVER_EMIT,
    TYPE_SERVER_ANSWER,
    TYPE_CLIENT_COUNT,
    TYPE_CLIENT_ANSWER,
    TYPE_CLOSE,

    TYPE_ANCHOR = 100, /* ours: the reference ignores types that it does not know */
};

static const unsigned types[] = {
    [CLUSTER_BROADCAST] = TYPE_BROADCAST,
    [CLUSTER_JOIN] = TYPE_JOIN,
    [CLUSTER_LEAVE] = TYPE_LEAVE,
    [CLUSTER_DISCONNECT] = TYPE_DISCONNECT,
    [CLUSTER_FETCH] = TYPE_FETCH,
    [CLUSTER_LIST_ROOMS] = TYPE_NONE,
    [CLUSTER_SERVER_EMIT] = TYPE_SERVER_EMIT,
    [CLUSTER_SOCKETS] = TYPE_SOCKETS,
    [CLUSTER_ROOMS] = TYPE_NONE,
    [CLUSTER_SERVER_ANSWER] = TYPE_SERVER_ANSWER,
    [CLUSTER_CLIENT_COUNT] = TYPE_CLIENT_COUNT,
    [CLUSTER_CLIENT_ANSWER] = TYPE_CLIENT_ANSWER,
    [CLUSTER_ANCHOR] = TYPE_ANCHOR,
};

unsigned codec_data_type(enum cluster_kind kind)
{
    return types[kind];
}

bool codec_data_is_binary(const struct cluster_message *message)
{
    switch (message->kind) {
    case CLUSTER_BROADCAST:
    case CLUSTER_SERVER_EMIT:
    case CLUSTER_SOCKETS:
    case CLUSTER_SERVER_ANSWER:
    case CLUSTER_CLIENT_ANSWER:
        return message->args.attachment_count > 0;
    default:
        return false;
    }
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_text(const struct codec_writer *writer, struct str name, struct str text)
{
    codec_write_key(writer, name);
    codec_write_string(writer, text);
}

static bool write_broadcast(const struct codec_writer *writer,
                            const struct cluster_message *message)
{
    bool asks = message->request.size > 0, good;

    codec_write_map(writer, 2 + asks);
    codec_write_key(writer, STR("packet"));
    good = codec_write_packet(writer, message, false);
    if (asks)
        write_text(writer, STR("requestId"), message->request);
    codec_write_key(writer, STR("opts"));
    codec_write_options(writer, message, true);
    return good;
}

static bool write_with_options(const struct codec_writer *writer,
                               const struct cluster_message *message)
{
    codec_write_map(writer, 2);
    codec_write_key(writer, STR("opts"));
    codec_write_options(writer, message, true);
    if (message->kind == CLUSTER_FETCH) {
        write_text(writer, STR("requestId"), message->request);
    } else if (message->kind == CLUSTER_DISCONNECT) {
        codec_write_key(writer, STR("close"));
        codec_write_bool(writer, message->close);
    } else {
        codec_write_key(writer, STR("rooms"));
        codec_write_strings(writer, message->changed, message->changed_count);
    }
    return true;
}

static bool write_server_emit(const struct codec_writer *writer,
                              const struct cluster_message *message)
{
    bool asks = message->request.size > 0;

    codec_write_map(writer, 1 + asks);
    if (asks)
        write_text(writer, STR("requestId"), message->request);
    codec_write_key(writer, STR("packet"));
    return codec_write_json(writer, &message->args);
}

static bool write_answer(const struct codec_writer *writer,
                         const struct cluster_message *message)
{
    struct sio_args sockets = message->args;

    if (message->kind == CLUSTER_SERVER_ANSWER || message->kind == CLUSTER_CLIENT_ANSWER) {
        codec_write_map(writer, 1 + codec_first_count(writer, &message->args));
        write_text(writer, STR("requestId"), message->request);
        return codec_write_first(writer, STR("packet"), &message->args);
    }
    codec_write_map(writer, 2);
    write_text(writer, STR("requestId"), message->request);
    if (message->kind == CLUSTER_CLIENT_COUNT) {
        codec_write_key(writer, STR("clientCount"));
        codec_write_whole(writer, message->count);
        return true;
    }
    sockets.json = message->json;
    codec_write_key(writer, STR("sockets"));
    return codec_write_json(writer, &sockets);
}

bool codec_write_data(const struct codec_writer *writer, const struct cluster_message *message)
{
    bool good = true;

    switch (message->kind) {
    case CLUSTER_BROADCAST:
        good = write_broadcast(writer, message);
        break;
    case CLUSTER_JOIN:
    case CLUSTER_LEAVE:
    case CLUSTER_DISCONNECT:
    case CLUSTER_FETCH:
        good = write_with_options(writer, message);
        break;
    case CLUSTER_SERVER_EMIT:
        good = write_server_emit(writer, message);
        break;
    case CLUSTER_SOCKETS:
    case CLUSTER_SERVER_ANSWER:
    case CLUSTER_CLIENT_COUNT:
    case CLUSTER_CLIENT_ANSWER:
        good = write_answer(writer, message);
        break;
    case CLUSTER_ANCHOR:
        codec_write_map(writer, 1);
        write_text(writer, STR("anchor"), message->request);
        break;
    case CLUSTER_LIST_ROOMS:
    case CLUSTER_ROOMS:
        return false;
    }
    codec_write_map_end(writer);
    return good && !buf_failed(writer->to);
}

/* --- reading --------------------------------------------------------------------------------- */

enum field {
    FIELD_PACKET,
    FIELD_REQUEST,
    FIELD_OPTIONS,
    FIELD_ROOMS,
    FIELD_CLOSE,
    FIELD_SOCKETS,
    FIELD_COUNT,
    FIELD_ANCHOR,
    FIELDS,
};

static bool read_broadcast(struct codec_decoded *decoded, const struct codec_value *fields)
{
    struct str nsp;

    return codec_packet(decoded, &fields[FIELD_PACKET], &nsp) &&
           codec_options(decoded, &fields[FIELD_OPTIONS]);
}

static bool read_with_options(struct codec_decoded *decoded, const struct codec_value *fields)
{
    struct cluster_message *message = &decoded->message;

    if (!codec_options(decoded, &fields[FIELD_OPTIONS]))
        return false;
    message->close =
        message->kind == CLUSTER_DISCONNECT && codec_is_bool(&fields[FIELD_CLOSE], true);
    if (message->kind != CLUSTER_JOIN && message->kind != CLUSTER_LEAVE)
        return true;
    return codec_strings(decoded, &fields[FIELD_ROOMS], 2, &message->changed,
                         &message->changed_count);
}

static bool read_sockets(struct codec_decoded *decoded, const struct codec_value *value)
{
    struct cluster_message *message = &decoded->message;
    size_t size;

    if (!codec_elements(value, NULL, 0, &size) ||
        !codec_json(decoded, value, false, &message->args))
        return false;
    message->json = message->args.json;
    message->args.json = STR("[]");
    return true;
}

static bool read_answer(struct codec_decoded *decoded, const struct codec_value *fields)
{
    struct cluster_message *message = &decoded->message;
    uint64_t count;

    if (message->request.size == 0)
        return false;
    if (message->kind == CLUSTER_SOCKETS)
        return read_sockets(decoded, &fields[FIELD_SOCKETS]);
    if (message->kind != CLUSTER_CLIENT_COUNT)
        return codec_json(decoded, &fields[FIELD_PACKET], true, &message->args);
    if (!codec_whole(&fields[FIELD_COUNT], UINT32_MAX, &count))
        return false;
    message->count = (uint32_t)count;
    return true;
}

static bool read_kind(struct codec_decoded *decoded, const struct codec_value *fields)
{
    struct cluster_message *message = &decoded->message;

    switch (message->kind) {
    case CLUSTER_BROADCAST:
        return read_broadcast(decoded, fields);
    case CLUSTER_JOIN:
    case CLUSTER_LEAVE:
    case CLUSTER_DISCONNECT:
        return read_with_options(decoded, fields);
    case CLUSTER_FETCH:
        return message->request.size > 0 && read_with_options(decoded, fields);
    case CLUSTER_SERVER_EMIT:
        return codec_event(decoded, &fields[FIELD_PACKET]);
    case CLUSTER_ANCHOR:
        return codec_string(decoded, &fields[FIELD_ANCHOR], &message->request);
    default:
        return read_answer(decoded, fields);
    }
}

enum codec_verdict codec_read_data(struct codec_decoded *decoded, double type,
                                   const struct codec_value *data)
{
    static const struct str names[FIELDS] = {
        [FIELD_PACKET] = STR("packet"),     [FIELD_REQUEST] = STR("requestId"),
        [FIELD_OPTIONS] = STR("opts"),      [FIELD_ROOMS] = STR("rooms"),
        [FIELD_CLOSE] = STR("close"),       [FIELD_SOCKETS] = STR("sockets"),
        [FIELD_COUNT] = STR("clientCount"), [FIELD_ANCHOR] = STR("anchor"),
    };
    struct cluster_message *message = &decoded->message;
    struct codec_value fields[FIELDS];
    size_t kind = 0, kinds = sizeof(types) / sizeof(types[0]);

    while (kind < kinds && (types[kind] == TYPE_NONE || types[kind] != type))
        kind++;
    if (kind == kinds)
        return codec_ignore(decoded, "unknown type");
    message->kind = (enum cluster_kind)kind;
    if (!codec_members(data, names, fields, FIELDS))
        return codec_refuse(decoded, "no data");
    if (fields[FIELD_REQUEST].there &&
        !codec_string(decoded, &fields[FIELD_REQUEST], &message->request))
        return codec_refuse(decoded, "bad request id");
    if (!read_kind(decoded, fields))
        return codec_refuse(decoded, decoded->reason ? decoded->reason : "bad data");
    return CODEC_GOOD;
}
