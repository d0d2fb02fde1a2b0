#include "codec_private.h"

#include "base/base64.h"

bool codec_streams_stored(const struct cluster_message *message)
{
    switch (message->kind) {
    case CLUSTER_BROADCAST:
        return message->request.size == 0;
    case CLUSTER_JOIN:
    case CLUSTER_LEAVE:
    case CLUSTER_DISCONNECT:
        return true;
    default:
        return false;
    }
}

struct str codec_streams_type(const struct cluster_message *message)
{
    static const char digits[] = "0123456789";
    unsigned type = codec_data_type(message->kind);

    return codec_streams_stored(message) ? str_of(&digits[type], 1) : STR("");
}

static bool encode_binary(struct buf *to, const struct cluster_message *message)
{
    struct buf packed;
    struct codec_writer writer = {&packed, CODEC_MSGPACK, 0};
    char *text = NULL;

    buf_init(&packed, SIZE_MAX);
    if (codec_write_data(&writer, message))
        text = buf_extend(to, base64_encoded_size(packed.size));
    if (text)
        base64_encode(text, packed.at, packed.size);
    buf_free(&packed);
    return text != NULL;
}

bool codec_streams_encode(struct buf *to, const struct cluster_message *message)
{
    struct codec_writer writer = {to, CODEC_JSON, to->size};

    if (!codec_streams_stored(message))
        return false;
    return codec_data_is_binary(message) ? encode_binary(to, message)
                                         : codec_write_data(&writer, message);
}

/* As parseInt(text, 10), but for what no number follows. */
static double type_of(struct str text)
{
    double type = 0;

    if (text.size == 0 || text.size > 3)
        return -1;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return -1;
        type = type * 10 + (text.at[i] - '0');
    }
    return type;
}

static bool open_data(struct codec_decoded *decoded, struct str text, struct codec_value *data)
{
    char *bytes;

    if (text.size > 0 && text.at[0] == '{')
        return codec_open(decoded, text, data);
    buf_init(&decoded->bytes, SIZE_MAX);
    bytes = text.size <= CODEC_MESSAGE_MAX ? buf_extend(&decoded->bytes, text.size + 3) : NULL;
    if (!bytes) {
        decoded->reason = "too large";
        return false;
    }
    decoded->bytes.size = base64_decode((uint8_t *)bytes, text.at, text.size);
    return codec_open(decoded, buf_str(&decoded->bytes), data);
}

static bool part_of_id(struct str digits, uint64_t *number)
{
    *number = 0;
    if (digits.size == 0 || digits.size > 19)
        return false;
    for (size_t i = 0; i < digits.size; i++) {
        if (digits.at[i] < '0' || digits.at[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(digits.at[i] - '0');
    }
    return true;
}

bool codec_entry_id(struct str id, uint64_t *entry)
{
    const char *dash = memchr(id.at, '-', id.size);
    size_t before = dash ? (size_t)(dash - id.at) : 0;
    uint64_t ms, sequence;

    if (!dash || !part_of_id(str_of(id.at, before), &ms) ||
        !part_of_id(str_from_index(id, before + 1), &sequence))
        return false;
    if (ms >= UINT64_C(1) << 44 || sequence >= 1 << CODEC_SEQUENCE_BITS)
        return false;
    *entry = ms << CODEC_SEQUENCE_BITS | sequence;
    return true;
}

enum codec_verdict codec_streams_decode(struct codec_decoded *decoded,
                                        const struct codec_receiver *receiver,
                                        const struct codec_entry *entry)
{
    struct cluster_message *message = &decoded->message;
    enum codec_verdict verdict;
    struct codec_value data;

    codec_begin(decoded, receiver);
    if (!str_equal(entry->nsp, receiver->nsp))
        return codec_ignore(decoded, "another namespace");
    if (!open_data(decoded, entry->data, &data))
        return CODEC_REFUSED;
    message->sender = entry->uid;
    message->nsp = entry->nsp;
    message->own = str_equal(entry->uid, receiver->uid);
    message->offset = entry->id;
    if (entry->id.size > 0 && !codec_entry_id(entry->id, &message->entry))
        return codec_refuse(decoded, "bad entry id");
    verdict = codec_read_data(decoded, type_of(entry->type), &data);
    if (verdict == CODEC_GOOD && !codec_streams_stored(message))
        return codec_ignore(decoded, "a type that does not belong in a stream");
    return verdict;
}
