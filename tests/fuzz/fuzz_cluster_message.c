/*
 * fuzz_cluster_message: messages between servers as Redis brings them: what is decoded is encoded
 * again and decoded to the same message.
 *
 * Input     which codec, then the message; of a stream's entry the type's digit first.
 */
#include "fuzz.h"

#include "cluster/codec.h"

enum codec {
    CLASSIC_ROOMS,
    CLASSIC_REQUEST,
    CLASSIC_RESPONSE,
    SHARDED,
    STREAMS,
    CODECS,
};

static const struct codec_receiver receiver = {STR("/a"), STR("me")};

static enum codec_verdict decode(enum codec codec, struct codec_decoded *decoded,
                                 struct str type, struct str bytes)
{
    const struct codec_entry entry = {STR("1795397249732-7"), STR("u"), STR("/a"), type, bytes};
    enum codec_verdict verdict;

    if (codec == STREAMS)
        verdict = codec_streams_decode(decoded, &receiver, &entry);
    else if (codec == SHARDED)
        verdict = codec_sharded_decode(decoded, &receiver, bytes);
    else
        verdict = codec_classic_decode(decoded, &receiver, (enum codec_place)codec, bytes);
    assert(verdict == CODEC_GOOD || decoded->reason);
    return verdict;
}

static bool encode(enum codec codec, struct buf *to, const struct cluster_message *message)
{
    if (codec == STREAMS)
        return codec_streams_encode(to, message);
    if (codec == SHARDED)
        return codec_sharded_encode(to, CODEC_JSON, message);
    return codec_classic_encode(to, message);
}

static void expect_lists(const struct str *a, size_t a_count, const struct str *b,
                         size_t b_count)
{
    assert(a_count == b_count);
    for (size_t i = 0; i < a_count; i++)
        assert(str_equal(a[i], b[i]));
}

static bool is_change(const struct cluster_message *message)
{
    return message->kind == CLUSTER_JOIN || message->kind == CLUSTER_LEAVE ||
           message->kind == CLUSTER_DISCONNECT;
}

static void expect_args(const struct cluster_message *a, const struct cluster_message *b)
{
    assert(str_equal(a->args.json, b->args.json) && str_equal(a->json, b->json));
    assert(a->args.attachment_count == b->args.attachment_count);
    for (uint32_t i = 0; i < a->args.attachment_count; i++)
        assert(str_equal(a->args.attachments[i], b->args.attachments[i]));
}

static void expect_same(const struct cluster_message *a, const struct cluster_message *b)
{
    assert(a->kind == b->kind && a->close == b->close && a->count == b->count);
    assert(str_equal(a->nsp, b->nsp));
    if (!is_change(a)) /* a request about one socket is written as one about many */
        assert(str_equal(a->request, b->request));
    expect_lists(a->rooms, a->room_count, b->rooms, b->room_count);
    expect_lists(a->except, a->except_count, b->except, b->except_count);
    if (a->kind == CLUSTER_BROADCAST)
        assert(a->flags == b->flags && a->timeout_ms == b->timeout_ms &&
               a->number == b->number);
    if (a->kind == CLUSTER_JOIN || a->kind == CLUSTER_LEAVE)
        expect_lists(a->changed, a->changed_count, b->changed, b->changed_count);
    if (a->args.attachment_count == 0)
        expect_args(a, b);
}

/* One level more is too much for what was deep already; an answer of ids alone is another one. */
static bool may_differ(const struct cluster_message *message)
{
    return message->args.json.size > JSON_DEPTH_MAX || message->json.size > JSON_DEPTH_MAX ||
           (message->kind == CLUSTER_SOCKETS && str_starts(message->request, STR("ids:")));
}

static void round_trip(enum codec codec, struct str type, const struct cluster_message *message)
{
    struct codec_decoded again;
    enum codec_verdict verdict;
    struct buf bytes;

    buf_init(&bytes, SIZE_MAX);
    assert(encode(codec, &bytes, message));
    struct str exact = {(const char *)fuzz_copy(buf_str(&bytes)), bytes.size};
    verdict = decode(codec, &again, type, exact);
    if (!may_differ(message)) {
        assert(verdict == CODEC_GOOD);
        expect_same(message, &again.message);
    }
    codec_free(&again);
    free((char *)exact.at);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    enum codec codec = (enum codec)(fuzz_byte(&input) % CODECS);
    char digit = codec == STREAMS ? (char)fuzz_byte(&input) : '0';
    struct str message = fuzz_rest(&input), type = str_of(&digit, 1);
    uint8_t *copy = fuzz_copy(message);
    struct codec_decoded decoded;

    if (decode(codec, &decoded, type, str_of(copy, message.size)) == CODEC_GOOD) {
        assert(str_equal(decoded.message.nsp, receiver.nsp));
        if (!decoded.message.own)
            round_trip(codec, type, &decoded.message);
    }
    codec_free(&decoded);
    free(copy);
    return 0;
}
