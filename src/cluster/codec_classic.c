#include "codec_private.h"

#include <stdlib.h>

/* RequestType of redis-adapter 8.3. */
enum {
    TYPE_SOCKETS, /* only asked by nodes of before 2021: ids are wanted */
    TYPE_LIST_ROOMS,
    TYPE_JOIN,
    TYPE_LEAVE,
    TYPE_DISCONNECT,
    TYPE_FETCH,
    TYPE_SERVER_EMIT,
    TYPE_BROADCAST,
    TYPE_CLIENT_COUNT,
    TYPE_CLIENT_ANSWER,
};

/* Stands before the request id of TYPE_SOCKETS, so that the answer knows what was asked: no node's
 * ids have a colon. */
static const struct str IDS_ONLY = STR("ids:");

enum codec_place codec_classic_place(const struct cluster_message *message)
{
    if (cluster_is_answer(message->kind))
        return CODEC_RESPONSE;
    if ((message->kind == CLUSTER_BROADCAST && message->request.size == 0) ||
        message->kind == CLUSTER_ANCHOR)
        return CODEC_ROOMS;
    return CODEC_REQUEST;
}

/* --- writing --------------------------------------------------------------------------------- */

static void write_text(const struct codec_writer *writer, struct str name, struct str text)
{
    codec_write_key(writer, name);
    codec_write_string(writer, text);
}

static void write_type(const struct codec_writer *writer, unsigned type)
{
    codec_write_key(writer, STR("type"));
    codec_write_whole(writer, type);
}

/* [uid, packet, opts], and behind them the number that only skua writes and reads. */
static bool write_broadcast(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_NOTEPACK, to->size};
    bool good;

    codec_write_array(&writer, 3 + (message->number > 0));
    codec_write_string(&writer, message->sender);
    good = codec_write_packet(&writer, message, true);
    codec_write_options(&writer, message, true);
    if (message->number > 0)
        codec_write_whole(&writer, message->number);
    return good;
}

/* [uid, nil, id]: a node that has a room of this name after all finds no packet and ignores it. */
static bool write_anchor(struct buf *to, const struct cluster_message *message)
{
    msgpack_write_array(to, 3);
    msgpack_write_string(to, message->sender);
    msgpack_write_nil(to);
    msgpack_write_string(to, message->request);
    return true;
}

static bool write_broadcast_request(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_NOTEPACK, to->size};
    bool good;

    codec_write_map(&writer, 5);
    write_text(&writer, STR("uid"), message->sender);
    write_text(&writer, STR("requestId"), message->request);
    write_type(&writer, TYPE_BROADCAST);
    codec_write_key(&writer, STR("packet"));
    good = codec_write_packet(&writer, message, true);
    codec_write_key(&writer, STR("opts"));
    codec_write_options(&writer, message, true);
    return good;
}

static bool write_request(struct buf *to, unsigned type, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};
    bool good = true;

    codec_write_map(&writer, 0);
    write_text(&writer, STR("uid"), message->sender);
    if (message->request.size > 0)
        write_text(&writer, STR("requestId"), message->request);
    write_type(&writer, type);
    if (type >= TYPE_JOIN && type <= TYPE_FETCH) {
        codec_write_key(&writer, STR("opts"));
        codec_write_options(&writer, message, false);
    }
    if (type == TYPE_JOIN || type == TYPE_LEAVE) {
        codec_write_key(&writer, STR("rooms"));
        codec_write_strings(&writer, message->changed, message->changed_count);
    } else if (type == TYPE_DISCONNECT) {
        codec_write_key(&writer, STR("close"));
        codec_write_bool(&writer, message->close);
    } else if (type == TYPE_SERVER_EMIT) {
        codec_write_key(&writer, STR("data"));
        good = codec_write_json(&writer, &message->args);
    }
    codec_write_map_end(&writer);
    return good;
}

/* The ids alone of [{"id":…},…]. */
static bool write_ids(const struct codec_writer *writer, struct str json)
{
    struct json_doc doc;

    if (!json_doc_init(&doc, json))
        return false;
    codec_write_array(writer, 0);
    for (uint32_t at = json_type(&doc, 0) == JSON_ARRAY ? json_first(&doc, 0) : JSON_NONE;
         at != JSON_NONE; at = json_next(&doc, 0, at)) {
        uint32_t id = json_member(&doc, at, STR("id"));
        struct sio_args value = {.json = id == JSON_NONE ? STR("null") : json_raw(&doc, id)};

        codec_write_json(writer, &value);
    }
    codec_write_array_end(writer);
    json_doc_free(&doc);
    return true;
}

static bool write_list(struct buf *to, struct str name, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};
    struct sio_args list = message->args;
    bool ids = str_starts(message->request, IDS_ONLY), good;

    codec_write_map(&writer, 0);
    write_text(&writer, STR("requestId"),
               ids ? str_from_index(message->request, IDS_ONLY.size) : message->request);
    codec_write_key(&writer, name);
    list.json = message->json;
    good = ids ? write_ids(&writer, message->json) : codec_write_json(&writer, &list);
    codec_write_map_end(&writer);
    return good;
}

static bool write_server_answer(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};
    bool good;

    codec_write_map(&writer, 0);
    write_type(&writer, TYPE_SERVER_EMIT);
    write_text(&writer, STR("requestId"), message->request);
    good = codec_write_first(&writer, STR("data"), &message->args);
    codec_write_map_end(&writer);
    return good;
}

static bool write_client_count(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};

    codec_write_map(&writer, 0);
    write_type(&writer, TYPE_CLIENT_COUNT);
    write_text(&writer, STR("requestId"), message->request);
    codec_write_key(&writer, STR("clientCount"));
    codec_write_whole(&writer, message->count);
    codec_write_map_end(&writer);
    return true;
}

static bool write_client_answer(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_NOTEPACK, to->size};

    codec_write_map(&writer, 2 + codec_first_count(&writer, &message->args));
    write_type(&writer, TYPE_CLIENT_ANSWER);
    write_text(&writer, STR("requestId"), message->request);
    return codec_write_first(&writer, STR("packet"), &message->args);
}

static bool write_message(struct buf *to, const struct cluster_message *message)
{
    switch (message->kind) {
    case CLUSTER_BROADCAST:
        return message->request.size > 0 ? write_broadcast_request(to, message)
                                         : write_broadcast(to, message);
    case CLUSTER_JOIN:
        return write_request(to, TYPE_JOIN, message);
    case CLUSTER_LEAVE:
        return write_request(to, TYPE_LEAVE, message);
    case CLUSTER_DISCONNECT:
        return write_request(to, TYPE_DISCONNECT, message);
    case CLUSTER_FETCH:
        return write_request(to, TYPE_FETCH, message);
    case CLUSTER_LIST_ROOMS:
        return write_request(to, TYPE_LIST_ROOMS, message);
    case CLUSTER_SERVER_EMIT:
        return write_request(to, TYPE_SERVER_EMIT, message);
    case CLUSTER_SOCKETS:
        return write_list(to, STR("sockets"), message);
    case CLUSTER_ROOMS:
        return write_list(to, STR("rooms"), message);
    case CLUSTER_SERVER_ANSWER:
        return write_server_answer(to, message);
    case CLUSTER_CLIENT_COUNT:
        return write_client_count(to, message);
    case CLUSTER_CLIENT_ANSWER:
        return write_client_answer(to, message);
    case CLUSTER_ANCHOR:
        return write_anchor(to, message);
    }
    return false;
}

bool codec_classic_encode(struct buf *to, const struct cluster_message *message)
{
    return write_message(to, message) && !buf_failed(to);
}

bool codec_classic_confirm(struct buf *to, struct str request)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};

    codec_write_map(&writer, 0);
    write_text(&writer, STR("requestId"), request);
    codec_write_map_end(&writer);
    return !buf_failed(to);
}

/* --- reading: broadcasts ------------------------------------------------------------------------ */

enum {
    SENDER,
    PACKET,
    OPTIONS, /* of an anchor its id */
    NUMBER,
    ELEMENTS,
};

static enum codec_verdict read_broadcast(struct codec_decoded *decoded,
                                         const struct codec_receiver *receiver,
                                         const struct codec_value *elements)
{
    struct cluster_message *message = &decoded->message;
    struct str nsp;

    message->kind = CLUSTER_BROADCAST;
    if (message->own)
        return CODEC_GOOD;
    if (!codec_packet(decoded, &elements[PACKET], &nsp) ||
        !codec_options(decoded, &elements[OPTIONS]))
        return CODEC_REFUSED;
    if (!str_equal(nsp.size > 0 ? nsp : STR("/"), receiver->nsp))
        return codec_ignore(decoded, "another namespace");
    return CODEC_GOOD;
}

static enum codec_verdict read_rooms(struct codec_decoded *decoded,
                                     const struct codec_receiver *receiver,
                                     const struct codec_value *root)
{
    struct cluster_message *message = &decoded->message;
    struct codec_value elements[ELEMENTS];
    size_t size;

    if (root->doc || !codec_elements(root, elements, ELEMENTS, &size) || size < NUMBER)
        return codec_refuse(decoded, "no broadcast");
    if (!codec_string(decoded, &elements[SENDER], &message->sender))
        return codec_refuse(decoded, "no sender");
    message->own = str_equal(message->sender, receiver->uid);
    if (elements[NUMBER].there &&
        !codec_whole(&elements[NUMBER], CODEC_NUMBER_MAX, &message->number))
        return codec_refuse(decoded, "bad number");
    if (elements[PACKET].there)
        return read_broadcast(decoded, receiver, elements);
    message->kind = CLUSTER_ANCHOR;
    return codec_string(decoded, &elements[OPTIONS], &message->request)
               ? CODEC_GOOD
               : codec_refuse(decoded, "no packet");
}

/* --- reading: requests --------------------------------------------------------------------------- */

enum request_field {
    REQUEST_UID,
    REQUEST_ID,
    REQUEST_TYPE,
    REQUEST_OPTIONS,
    REQUEST_ROOMS,
    REQUEST_CLOSE,
    REQUEST_DATA,
    REQUEST_PACKET,
    REQUEST_SOCKET,
    REQUEST_ROOM,
    REQUEST_FIELDS,
};

static bool ask_ids(struct codec_decoded *decoded, const struct codec_value *rooms)
{
    struct cluster_message *message = &decoded->message;
    size_t size = IDS_ONLY.size + message->request.size;
    char *request;

    message->kind = CLUSTER_FETCH;
    buf_init(&decoded->bytes, size);
    request = buf_extend(&decoded->bytes, size);
    if (!request)
        return false;
    memcpy(request, IDS_ONLY.at, IDS_ONLY.size);
    memcpy(request + IDS_ONLY.size, message->request.at, message->request.size);
    message->request = str_of(request, size);
    return codec_strings(decoded, rooms, 0, &message->rooms, &message->room_count);
}

/* {"sid","room"}: one socket. The list of one string is a list that is kept like others. */
static bool read_single(struct codec_decoded *decoded, const struct codec_value *fields)
{
    struct cluster_message *message = &decoded->message;
    struct str *pair = calloc(2, sizeof(*pair));

    decoded->lists[0] = pair;
    if (!pair || !codec_string(decoded, &fields[REQUEST_SOCKET], &pair[0]))
        return false;
    message->rooms = &pair[0];
    message->room_count = 1;
    if (message->kind == CLUSTER_DISCONNECT)
        return true;
    message->changed = &pair[1];
    message->changed_count = 1;
    return codec_string(decoded, &fields[REQUEST_ROOM], &pair[1]);
}

static bool read_change(struct codec_decoded *decoded, const struct codec_value *fields,
                        enum cluster_kind kind)
{
    struct cluster_message *message = &decoded->message;

    message->kind = kind;
    message->close = kind == CLUSTER_DISCONNECT && codec_is_bool(&fields[REQUEST_CLOSE], true);
    if (!fields[REQUEST_OPTIONS].there)
        return read_single(decoded, fields);
    message->request = STR("");
    if (!codec_options(decoded, &fields[REQUEST_OPTIONS]))
        return false;
    return kind == CLUSTER_DISCONNECT ||
           codec_strings(decoded, &fields[REQUEST_ROOMS], 2, &message->changed,
                         &message->changed_count);
}

static bool read_event(struct codec_decoded *decoded, const struct codec_value *fields,
                       enum cluster_kind kind)
{
    struct str nsp;

    decoded->message.kind = kind;
    if (kind == CLUSTER_SERVER_EMIT)
        return codec_event(decoded, &fields[REQUEST_DATA]);
    return codec_packet(decoded, &fields[REQUEST_PACKET], &nsp) &&
           codec_options(decoded, &fields[REQUEST_OPTIONS]);
}

static bool read_type(struct codec_decoded *decoded, const struct codec_value *fields,
                      unsigned type)
{
    struct cluster_message *message = &decoded->message;
    bool asked = message->request.size > 0;

    switch (type) {
    case TYPE_SOCKETS:
        return asked && ask_ids(decoded, &fields[REQUEST_ROOMS]);
    case TYPE_LIST_ROOMS:
        message->kind = CLUSTER_LIST_ROOMS;
        return asked;
    case TYPE_JOIN:
        return read_change(decoded, fields, CLUSTER_JOIN);
    case TYPE_LEAVE:
        return read_change(decoded, fields, CLUSTER_LEAVE);
    case TYPE_DISCONNECT:
        return read_change(decoded, fields, CLUSTER_DISCONNECT);
    case TYPE_FETCH:
        message->kind = CLUSTER_FETCH;
        return asked && codec_options(decoded, &fields[REQUEST_OPTIONS]);
    case TYPE_SERVER_EMIT:
        return read_event(decoded, fields, CLUSTER_SERVER_EMIT);
    default:
        return asked && read_event(decoded, fields, CLUSTER_BROADCAST);
    }
}

static enum codec_verdict read_request(struct codec_decoded *decoded,
                                       const struct codec_receiver *receiver,
                                       const struct codec_value *root)
{
    static const struct str names[REQUEST_FIELDS] = {
        [REQUEST_UID] = STR("uid"),     [REQUEST_ID] = STR("requestId"),
        [REQUEST_TYPE] = STR("type"),   [REQUEST_OPTIONS] = STR("opts"),
        [REQUEST_ROOMS] = STR("rooms"), [REQUEST_CLOSE] = STR("close"),
        [REQUEST_DATA] = STR("data"),   [REQUEST_PACKET] = STR("packet"),
        [REQUEST_SOCKET] = STR("sid"),  [REQUEST_ROOM] = STR("room"),
    };
    struct codec_value fields[REQUEST_FIELDS];
    struct cluster_message *message = &decoded->message;
    uint64_t type;

    if (!codec_members(root, names, fields, REQUEST_FIELDS))
        return codec_refuse(decoded, "no request");
    if ((fields[REQUEST_UID].there &&
         !codec_string(decoded, &fields[REQUEST_UID], &message->sender)) ||
        (fields[REQUEST_ID].there &&
         !codec_string(decoded, &fields[REQUEST_ID], &message->request)))
        return codec_refuse(decoded, "bad uid or request id");
    if (!codec_whole(&fields[REQUEST_TYPE], TYPE_BROADCAST, &type))
        return codec_ignore(decoded, "unknown type");
    message->own = str_equal(message->sender, receiver->uid);
    if (message->own)
        return codec_ignore(decoded, "own");
    if (!read_type(decoded, fields, (unsigned)type))
        return codec_refuse(decoded, decoded->reason ? decoded->reason : "bad request");
    return CODEC_GOOD;
}

/* --- reading: answers --------------------------------------------------------------------------- */

enum answer_field {
    ANSWER_TYPE,
    ANSWER_ID,
    ANSWER_SOCKETS,
    ANSWER_ROOMS,
    ANSWER_DATA,
    ANSWER_COUNT,
    ANSWER_PACKET,
    ANSWER_FIELDS,
};

static enum codec_verdict read_list(struct codec_decoded *decoded,
                                    const struct codec_value *list, enum cluster_kind kind)
{
    struct cluster_message *message = &decoded->message;
    size_t size;

    message->kind = kind;
    if (!codec_elements(list, NULL, 0, &size) ||
        !codec_json(decoded, list, false, &message->args))
        return codec_refuse(decoded, "bad list");
    message->json = message->args.json;
    message->args.json = STR("[]");
    return CODEC_GOOD;
}

static enum codec_verdict read_value(struct codec_decoded *decoded,
                                     const struct codec_value *value, enum cluster_kind kind)
{
    decoded->message.kind = kind;
    return codec_json(decoded, value, true, &decoded->message.args) ? CODEC_GOOD
                                                                    : CODEC_REFUSED;
}

static enum codec_verdict read_count(struct codec_decoded *decoded,
                                     const struct codec_value *value)
{
    uint64_t count;

    decoded->message.kind = CLUSTER_CLIENT_COUNT;
    if (!codec_whole(value, UINT32_MAX, &count))
        return codec_refuse(decoded, "bad count");
    decoded->message.count = (uint32_t)count;
    return CODEC_GOOD;
}

static enum codec_verdict read_answer(struct codec_decoded *decoded,
                                      const struct codec_value *root)
{
    static const struct str names[ANSWER_FIELDS] = {
        [ANSWER_TYPE] = STR("type"),       [ANSWER_ID] = STR("requestId"),
        [ANSWER_SOCKETS] = STR("sockets"), [ANSWER_ROOMS] = STR("rooms"),
        [ANSWER_DATA] = STR("data"),       [ANSWER_COUNT] = STR("clientCount"),
        [ANSWER_PACKET] = STR("packet"),
    };
    struct codec_value fields[ANSWER_FIELDS];
    uint64_t type;

    if (!codec_members(root, names, fields, ANSWER_FIELDS))
        return codec_refuse(decoded, "no answer");
    if (!codec_string(decoded, &fields[ANSWER_ID], &decoded->message.request))
        return codec_ignore(decoded, "no request id");
    if (fields[ANSWER_SOCKETS].there)
        return read_list(decoded, &fields[ANSWER_SOCKETS], CLUSTER_SOCKETS);
    if (fields[ANSWER_ROOMS].there)
        return read_list(decoded, &fields[ANSWER_ROOMS], CLUSTER_ROOMS);
    if (!codec_whole(&fields[ANSWER_TYPE], TYPE_CLIENT_ANSWER, &type))
        return codec_ignore(decoded, "unknown type");
    if (type == TYPE_SERVER_EMIT)
        return read_value(decoded, &fields[ANSWER_DATA], CLUSTER_SERVER_ANSWER);
    if (type == TYPE_CLIENT_COUNT)
        return read_count(decoded, &fields[ANSWER_COUNT]);
    if (type == TYPE_CLIENT_ANSWER)
        return read_value(decoded, &fields[ANSWER_PACKET], CLUSTER_CLIENT_ANSWER);
    return codec_ignore(decoded, "unknown type");
}

enum codec_verdict codec_classic_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver,
                                        enum codec_place place, struct str bytes)
{
    struct codec_value root;

    codec_begin(decoded, receiver);
    if (!codec_open(decoded, bytes, &root))
        return CODEC_REFUSED;
    switch (place) {
    case CODEC_ROOMS:
        return read_rooms(decoded, receiver, &root);
    case CODEC_REQUEST:
        return read_request(decoded, receiver, &root);
    case CODEC_RESPONSE:
        break;
    }
    return read_answer(decoded, &root);
}
