#include "codec_private.h"

/* {type, data, uid, nsp}, and behind it the number that only skua writes and reads. */
bool codec_sharded_encode(struct buf *to, enum codec_form form,
                          const struct cluster_message *message)
{
    bool binary = form == CODEC_JSON && codec_data_is_binary(message);
    struct codec_writer writer = {to, binary ? CODEC_NOTEPACK : form, to->size};
    unsigned type = codec_data_type(message->kind);

    if (type == 0)
        return false;
    codec_write_map(&writer, 4 + (message->number > 0));
    codec_write_key(&writer, STR("type"));
    codec_write_whole(&writer, type);
    codec_write_key(&writer, STR("data"));
    if (!codec_write_data(&writer, message))
        return false;
    codec_write_key(&writer, STR("uid"));
    codec_write_string(&writer, message->sender);
    codec_write_key(&writer, STR("nsp"));
    codec_write_string(&writer, message->nsp);
    if (message->number > 0) {
        codec_write_key(&writer, STR("number"));
        codec_write_whole(&writer, message->number);
    }
    codec_write_map_end(&writer);
    return !buf_failed(to);
}

/* Of one's own message no more than where it stands. */
static enum codec_verdict read_own(struct codec_decoded *decoded, double type,
                                   const struct codec_value *data)
{
    static const struct str names[] = {STR("requestId"), STR("anchor")};
    struct cluster_message *message = &decoded->message;
    struct codec_value fields[2];

    message->own = true;
    if (type == codec_data_type(CLUSTER_ANCHOR))
        return codec_read_data(decoded, type, data);
    if (type != codec_data_type(CLUSTER_BROADCAST) || !codec_members(data, names, fields, 2))
        return codec_ignore(decoded, "own");
    message->kind = CLUSTER_BROADCAST;
    if (fields[0].there && !codec_string(decoded, &fields[0], &message->request))
        return codec_refuse(decoded, "bad request id");
    return CODEC_GOOD;
}

enum codec_verdict codec_sharded_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver, struct str bytes)
{
    enum { TYPE, DATA, UID, NSP, NUMBER, FIELDS };
    static const struct str names[FIELDS] = {STR("type"), STR("data"), STR("uid"), STR("nsp"),
                                             STR("number")};
    struct cluster_message *message = &decoded->message;
    struct codec_value root, fields[FIELDS];
    double type;

    codec_begin(decoded, receiver);
    if (!codec_open(decoded, bytes, &root))
        return CODEC_REFUSED;
    if (!codec_members(&root, names, fields, FIELDS) || !codec_number(&fields[TYPE], &type) ||
        !codec_string(decoded, &fields[UID], &message->sender) ||
        !codec_string(decoded, &fields[NSP], &message->nsp))
        return codec_refuse(decoded, "no message");
    if (!str_equal(message->nsp, receiver->nsp))
        return codec_ignore(decoded, "another namespace");
    if (fields[NUMBER].there &&
        !codec_whole(&fields[NUMBER], CODEC_NUMBER_MAX, &message->number))
        return codec_refuse(decoded, "bad number");
    if (str_equal(message->sender, receiver->uid))
        return read_own(decoded, type, &fields[DATA]);
    return codec_read_data(decoded, type, &fields[DATA]);
}
