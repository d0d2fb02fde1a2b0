#include "cluster_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    FILE_MAX = 1 << 20,
    DEEP = 100000,
};

static struct str read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(FILE_MAX);

    assert_non_null(file);
    size_t size = fread(bytes, 1, FILE_MAX, file);
    fclose(file);
    return str_of(bytes, size);
}

static void assert_said(const struct cluster_message *message, const char *expected)
{
    struct buf said;

    buf_init(&said, SIZE_MAX);
    say(&said, message);
    buf_add_byte(&said, '\0');
    assert_string_equal(said.at, expected);
    buf_free(&said);
}

/* Bytes that end where they end, so that the address sanitizer sees a read behind them. */
static struct str tight(struct str bytes)
{
    char *copy = malloc(bytes.size);

    memcpy(copy, bytes.at, bytes.size);
    return str_of(copy, bytes.size);
}

static void assert_bytes(struct str got, struct str expected)
{
    if (!str_equal(got, expected))
        fail_msg("got %.*s, expected %.*s", (int)got.size, got.at, (int)expected.size,
                 expected.at);
}

/* --- captured messages ------------------------------------------------------------------------- */

static struct str text_of(const struct json_doc *doc, uint32_t object, const char *key,
                          struct buf *keep)
{
    uint32_t value = json_member(doc, object, str_from(key));

    buf_reset(keep);
    if (value != JSON_NONE)
        assert_true(json_string_decode(keep, json_raw(doc, value)));
    return buf_str(keep);
}

static void decode_hex(struct buf *to, struct str hex)
{
    buf_reset(to);
    for (size_t i = 0; i + 1 < hex.size; i += 2) {
        char digits[] = {hex.at[i], hex.at[i + 1], '\0'};
        buf_add_byte(to, (char)strtol(digits, NULL, 16));
    }
}

/* "socket.io#/chat#room#" → "/chat" */
static struct str namespace_of(struct str channel)
{
    const char *from = memchr(channel.at, '#', channel.size);
    size_t left = (size_t)(channel.at + channel.size - from) - 1;
    const char *end = memchr(from + 1, '#', left);

    return str_of(from + 1, (size_t)(end - from) - 1);
}

static bool has_text(struct str text, const char *part)
{
    return memmem(text.at, text.size, part, strlen(part)) != NULL;
}

static enum codec_place place_of(struct str channel)
{
    return has_text(channel, "-request#")    ? CODEC_REQUEST
           : has_text(channel, "-response#") ? CODEC_RESPONSE
                                             : CODEC_ROOMS;
}

struct capture {
    const char *path;
    enum { CLASSIC, SHARDED, STREAMS } kind;
    bool foreign; /* nothing of ours to write */
    const char *said;
};

/* What is decoded is encoded to the bytes that came. Answers do not say who sent them. */
static void replay_published(const struct capture *capture, struct str channel,
                             struct str captured, struct buf *said)
{
    struct codec_receiver receiver = {namespace_of(channel), STR("me")};
    struct codec_decoded decoded;
    struct str bytes = tight(captured);
    struct buf again;
    enum codec_verdict verdict;
    bool good;

    verdict = capture->kind == CLASSIC
                  ? codec_classic_decode(&decoded, &receiver, place_of(channel), bytes)
                  : codec_sharded_decode(&decoded, &receiver, bytes);
    if (verdict != CODEC_GOOD)
        fail_msg("%s: %s", capture->path, decoded.reason);
    assert_true(str_equal(decoded.message.nsp, receiver.nsp));
    say(said, &decoded.message);
    buf_init(&again, SIZE_MAX);
    good = capture->kind == CLASSIC
               ? codec_classic_encode(&again, &decoded.message)
               : codec_sharded_encode(&again,
                                      capture->kind == SHARDED ? CODEC_JSON : CODEC_MSGPACK,
                                      &decoded.message);
    assert_true(good);
    if (!capture->foreign)
        assert_bytes(buf_str(&again), captured);
    if (capture->kind == CLASSIC)
        assert_int_equal(codec_classic_place(&decoded.message), place_of(channel));
    buf_free(&again);
    codec_free(&decoded);
    free((char *)bytes.at);
}

static void replay_stored(const struct json_doc *doc, uint32_t args, struct buf *said)
{
    struct codec_receiver receiver = {STR(""), STR("me")};
    struct codec_entry entry = {.id = STR("1795397249732-7")};
    struct str *fields[] = {&entry.uid, &entry.nsp, &entry.type, &entry.data};
    struct codec_decoded decoded;
    struct buf texts[4], again;

    for (uint32_t i = 0; i < 4; i++) {
        buf_init(&texts[i], SIZE_MAX);
        assert_true(
            json_string_decode(&texts[i], json_raw(doc, json_at(doc, args, 6 + 2 * i))));
        *fields[i] = buf_str(&texts[i]);
    }
    receiver.nsp = entry.nsp;
    if (codec_streams_decode(&decoded, &receiver, &entry) != CODEC_GOOD)
        fail_msg("%s", decoded.reason);
    say(said, &decoded.message);
    assert_int_equal(decoded.message.entry, UINT64_C(1795397249732) << CODEC_SEQUENCE_BITS | 7);
    buf_init(&again, SIZE_MAX);
    assert_true(codec_streams_encode(&again, &decoded.message));
    assert_bytes(buf_str(&again), entry.data);
    assert_bytes(codec_streams_type(&decoded.message), entry.type);
    buf_free(&again);
    codec_free(&decoded);
    for (uint32_t i = 0; i < 4; i++)
        buf_free(&texts[i]);
}

static void replay_case(const struct capture *capture, const struct json_doc *doc, uint32_t one,
                        struct buf *said)
{
    struct buf text, channel, bytes;

    buf_init(&text, SIZE_MAX);
    buf_init(&channel, SIZE_MAX);
    buf_init(&bytes, SIZE_MAX);
    struct str command = text_of(doc, one, "command", &text);
    if (str_equal(command, STR("XADD"))) {
        replay_stored(doc, json_member(doc, one, STR("args")), said);
    } else if (!str_equal(command, STR("SET"))) { /* a session */
        text_of(doc, one, "channel", &channel);
        decode_hex(&bytes, text_of(doc, one, "hex", &text));
        replay_published(capture, buf_str(&channel), buf_str(&bytes), said);
    }
    buf_add_byte(said, '\n');
    buf_free(&text);
    buf_free(&channel);
    buf_free(&bytes);
}

static void replay(const struct capture *capture)
{
    struct str text = read_file(capture->path);
    struct json_doc doc;
    struct buf said;

    buf_init(&said, SIZE_MAX);
    assert_true(json_check(text) && json_doc_init(&doc, text));
    uint32_t cases = json_member(&doc, 0, STR("cases"));
    for (uint32_t at = json_first(&doc, cases); at != JSON_NONE;
         at = json_next(&doc, cases, at))
        replay_case(capture, &doc, at, &said);
    buf_add_byte(&said, '\0');
    if (capture->said)
        assert_string_equal(said.at, capture->said);
    buf_free(&said);
    json_doc_free(&doc);
    free((char *)text.at);
}

static const char classic_said[] =
    "broadcast [\"hello\",\"world\",42]\n"
    "broadcast [\"hello\"]\n"
    "broadcast to=room1 [\"hello\",{\"a\":[1,null,true,1.5]}]\n"
    "broadcast to=room1 to=room2 not=room3 [\"hello\"]\n"
    "broadcast volatile plain [\"hello\"]\n"
    "broadcast to=room1 [\"bin\",{\"_placeholder\":true,\"num\":0}] 3 bytes\n"
    "broadcast request=G7C1ym timeout=500 [\"q\",1]\n"
    "client-count request=G7C1ym count=1\n"
    "client-answer request=G7C1ym [\"answer\"]\n"
    "broadcast request=9hLPff timeout=500 [\"qb\"]\n"
    "client-count request=9hLPff count=1\n"
    "client-answer request=9hLPff [{\"_placeholder\":true,\"num\":0}] 2 bytes\n"
    "fetch request=-qpd7N to=room1\n"
    "sockets request=-qpd7N\n"
    "join to=room1 rooms=r5\n"
    "leave rooms=r5\n"
    "server-emit [\"srv\",{\"a\":1}]\n"
    "server-emit request=0xdqlF [\"srvack\",1]\n"
    "server-answer request=0xdqlF [\"from B\"]\n"
    "list-rooms request=kQdpUu\n"
    "rooms request=kQdpUu\n"
    "disconnect to=room9 close\n";

static const char sharded_said[] =
    "broadcast [\"hello\",\"world\",42]\n"
    "broadcast [\"hello\"]\n"
    "broadcast to=room1 [\"hello\",{\"a\":[1,null,true,1.5]}]\n"
    "broadcast to=room1 to=room2 not=room3 [\"hello\"]\n"
    "broadcast volatile plain [\"hello\"]\n"
    "broadcast to=room1 [\"bin\",{\"_placeholder\":true,\"num\":0}] 3 bytes\n"
    "broadcast request=ac909e21a749da47 timeout=500 [\"q\",1]\n"
    "client-count request=ac909e21a749da47 count=1\n"
    "client-answer request=ac909e21a749da47 [\"answer\"]\n"
    "broadcast request=f09b538c6d30f6ec timeout=500 [\"qb\"]\n"
    "client-count request=f09b538c6d30f6ec count=1\n"
    "client-answer request=f09b538c6d30f6ec [{\"_placeholder\":true,\"num\":0}] 2 bytes\n"
    "fetch request=d72c3367216fd6c9 to=room1\n"
    "sockets request=d72c3367216fd6c9\n"
    "join to=room1 rooms=r5\n"
    "leave rooms=r5\n"
    "server-emit [\"srv\",{\"a\":1}]\n"
    "server-emit request=1c357924062fc37e [\"srvack\",1]\n"
    "server-answer request=1c357924062fc37e [\"from B\"]\n"
    "disconnect to=room9 close\n";

static const char streams_said[] =
    "broadcast [\"hello\",\"world\",42]\n"
    "broadcast [\"hello\"]\n"
    "broadcast to=room1 [\"hello\",{\"a\":[1,null,true,1.5]}]\n"
    "broadcast to=room1 to=room2 not=room3 [\"hello\"]\n"
    "broadcast volatile plain [\"hello\"]\n"
    "broadcast to=room1 [\"bin\",{\"_placeholder\":true,\"num\":0}] 3 bytes\n"
    "broadcast to=e7vZ33T0zw_ai7MEAAAI [\"direct\",1]\n"
    "broadcast request=f0c19e4cee72779d timeout=500 [\"q\",1]\n"
    "client-count request=f0c19e4cee72779d count=1\n"
    "client-answer request=f0c19e4cee72779d [\"answer\"]\n"
    "broadcast request=d3a1e6e2c3ca6a18 timeout=500 [\"qb\"]\n"
    "client-count request=d3a1e6e2c3ca6a18 count=1\n"
    "client-answer request=d3a1e6e2c3ca6a18 [{\"_placeholder\":true,\"num\":0}] 2 bytes\n"
    "fetch request=8cb0485faf71d9b8 to=room1\n"
    "sockets request=8cb0485faf71d9b8\n"
    "join to=room1 rooms=r5\n"
    "leave rooms=r5\n"
    "server-emit [\"srv\",{\"a\":1}]\n"
    "server-emit request=4deca6fdeed57b04 [\"srvack\",1]\n"
    "server-answer request=4deca6fdeed57b04 [\"from B\"]\n"
    "\n"
    "disconnect to=room9 close\n";

static const char emitter_said[] = "broadcast [\"hello\",\"world\"]\n"
                                   "broadcast [\"hello\",1,{\"a\":null}]\n"
                                   "broadcast to=room1 [\"hello\"]\n"
                                   "broadcast to=room1 to=room2 not=r3 volatile plain "
                                   "[\"bin\",{\"_placeholder\":true,\"num\":0}] 3 bytes\n"
                                   "join to=room1 rooms=r2 rooms=r3\n"
                                   "leave not=r3 rooms=r2\n"
                                   "server-emit [\"srv\",1,\"x\"]\n"
                                   "disconnect to=room9 close\n";

static void classic_messages_are_what_the_reference_sends(void **state)
{
    static const struct capture captures[] = {
        {"tests/protocol/vectors/redis-classic.json",          CLASSIC, false, classic_said},
        {"tests/protocol/vectors/redis-classic-specific.json", CLASSIC, false, NULL        },
    };

    (void)state;
    replay(&captures[0]);
    replay(&captures[1]);
}

static void sharded_messages_are_what_the_reference_sends(void **state)
{
    static const struct capture captures[] = {
        {"tests/protocol/vectors/redis-sharded.json",        SHARDED, false, sharded_said},
        {"tests/protocol/vectors/redis-sharded-static.json", SHARDED, false, NULL        },
    };

    (void)state;
    replay(&captures[0]);
    replay(&captures[1]);
}

static void messages_of_streams_are_what_the_reference_sends(void **state)
{
    static const struct capture capture = {"tests/protocol/vectors/redis-streams.json", STREAMS,
                                           false, streams_said};

    (void)state;
    replay(&capture);
}

static void what_the_emitter_sends_is_understood(void **state)
{
    static const struct capture capture = {"tests/protocol/vectors/redis-emitter.json", CLASSIC,
                                           true, emitter_said};

    (void)state;
    replay(&capture);
}

/* --- what only skua writes ----------------------------------------------------------------------- */

static const struct codec_receiver here = {STR("/a"), STR("me")};
static const struct codec_receiver there = {STR("/a"), STR("you")};

static struct cluster_message numbered(void)
{
    return (struct cluster_message){.kind = CLUSTER_BROADCAST,
                                    .nsp = STR("/a"),
                                    .sender = STR("me"),
                                    .args = {.json = STR("[\"x\"]")},
                                    .number = 300};
}

static struct cluster_message anchor(void)
{
    return (struct cluster_message){
        .kind = CLUSTER_ANCHOR, .nsp = STR("/a"), .sender = STR("me"), .request = STR("here")};
}

static void a_number_stands_behind_all_else(void **state)
{
    struct cluster_message message = numbered();
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_classic_encode(&bytes, &message));
    assert_bytes(buf_str(&bytes), STR("\x94\xa2me\x83\xa4type\x02\xa4"
                                      "data\x91\xa1x\xa3nsp\xa2/a\x83\xa5rooms\x90\xa6"
                                      "except\x90\xa5"
                                      "flags\x80\xcd\x01\x2c"));
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, buf_str(&bytes)),
                     CODEC_GOOD);
    assert_said(&decoded.message, "broadcast number=300 [\"x\"]");
    codec_free(&decoded);
    buf_reset(&bytes);
    assert_true(codec_sharded_encode(&bytes, CODEC_JSON, &message));
    assert_bytes(buf_str(&bytes),
                 STR("{\"type\":3,\"data\":{\"packet\":{\"type\":2,\"data\":[\"x\"]},\"opts\":{"
                     "\"rooms\":[],\"except\":[],\"flags\":{}}},\"uid\":\"me\",\"nsp\":\"/a\","
                     "\"number\":300}"));
    assert_int_equal(codec_sharded_decode(&decoded, &there, buf_str(&bytes)), CODEC_GOOD);
    assert_said(&decoded.message, "broadcast number=300 [\"x\"]");
    codec_free(&decoded);
    buf_free(&bytes);
}

static void an_anchor_is_no_packet_for_others(void **state)
{
    struct cluster_message message = anchor();
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_classic_encode(&bytes, &message));
    assert_bytes(buf_str(&bytes), STR("\x93\xa2me\xc0\xa4here"));
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, buf_str(&bytes)),
                     CODEC_GOOD);
    assert_said(&decoded.message, "anchor request=here");
    codec_free(&decoded);
    buf_reset(&bytes);
    assert_true(codec_sharded_encode(&bytes, CODEC_JSON, &message));
    assert_bytes(
        buf_str(&bytes),
        STR("{\"type\":100,\"data\":{\"anchor\":\"here\"},\"uid\":\"me\",\"nsp\":\"/a\"}"));
    assert_int_equal(codec_sharded_decode(&decoded, &there, buf_str(&bytes)), CODEC_GOOD);
    assert_said(&decoded.message, "anchor request=here");
    codec_free(&decoded);
    assert_false(codec_streams_encode(&bytes, &message));
    buf_free(&bytes);
}

static void of_own_messages_only_the_place_is_read(void **state)
{
    struct cluster_message messages[] = {numbered(), anchor()};
    const char *said[] = {"broadcast own number=300", "anchor own request=here"};
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    for (size_t i = 0; i < 2; i++) {
        buf_reset(&bytes);
        assert_true(codec_classic_encode(&bytes, &messages[i]));
        assert_int_equal(codec_classic_decode(&decoded, &here, CODEC_ROOMS, buf_str(&bytes)),
                         CODEC_GOOD);
        assert_said(&decoded.message, said[i]);
        codec_free(&decoded);
        buf_reset(&bytes);
        assert_true(codec_sharded_encode(&bytes, CODEC_JSON, &messages[i]));
        assert_int_equal(codec_sharded_decode(&decoded, &here, buf_str(&bytes)), CODEC_GOOD);
        assert_said(&decoded.message, said[i]);
        codec_free(&decoded);
    }
    buf_free(&bytes);
}

/* --- odd and hostile ones --------------------------------------------------------------------------- */

static void assert_request(const char *json, enum codec_verdict verdict, const char *said)
{
    struct str bytes = tight(str_from(json));
    struct codec_decoded decoded;

    assert_int_equal(codec_classic_decode(&decoded, &here, CODEC_REQUEST, bytes), verdict);
    if (said)
        assert_said(&decoded.message, said);
    codec_free(&decoded);
    free((char *)bytes.at);
}

static void rooms_that_are_numbers_become_their_text(void **state)
{
    (void)state;
    assert_request(
        "{\"uid\":\"u\",\"type\":2,\"opts\":{\"rooms\":[42,1e21,\"a\\n\"],\"except\":"
        "[0.5]},\"rooms\":[-1]}",
        CODEC_GOOD, "join to=42 to=1e+21 to=a\n not=0.5 rooms=-1");
}

static void requests_of_old_nodes_are_understood(void **state)
{
    struct cluster_message answer = {.kind = CLUSTER_SOCKETS,
                                     .request = STR("ids:r1"),
                                     .json =
                                         STR("[{\"id\":\"a\",\"data\":{}},{\"id\":\"b\"}]")};
    struct buf bytes;

    (void)state;
    assert_request("{\"requestId\":\"r1\",\"type\":2,\"sid\":\"s\",\"room\":\"x\"}", CODEC_GOOD,
                   "join request=r1 to=s rooms=x");
    assert_request("{\"requestId\":\"r1\",\"type\":4,\"sid\":\"s\",\"close\":true}", CODEC_GOOD,
                   "disconnect request=r1 to=s close");
    assert_request("{\"requestId\":\"r1\",\"type\":0,\"rooms\":[\"x\"]}", CODEC_GOOD,
                   "fetch request=ids:r1 to=x");
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_classic_encode(&bytes, &answer));
    assert_bytes(buf_str(&bytes), STR("{\"requestId\":\"r1\",\"sockets\":[\"a\",\"b\"]}"));
    buf_reset(&bytes);
    assert_true(codec_classic_confirm(&bytes, STR("r1")));
    assert_bytes(buf_str(&bytes), STR("{\"requestId\":\"r1\"}"));
    buf_free(&bytes);
}

static void wrong_requests_are_refused(void **state)
{
    static const char *const refused[] = {
        "[]",
        "{\"type\":2",
        "{\"type\":2,\"opts\":[]}",
        "{\"type\":4,\"opts\":{}}",
        "{\"type\":4,\"opts\":{\"rooms\":null,\"except\":[]}}",
        "{\"type\":2,\"opts\":{\"rooms\":\"x\"}}",
        "{\"type\":2,\"opts\":{\"rooms\":[[]]}}",
        "{\"type\":2,\"opts\":{\"rooms\":[null]}}",
        "{\"type\":2}",
        "{\"type\":5,\"opts\":{}}",
        "{\"type\":5,\"requestId\":7,\"opts\":{}}",
        "{\"type\":1}",
        "{\"type\":6}",
        "{\"type\":6,\"data\":{}}",
        "{\"type\":6,\"data\":[]}",
        "{\"type\":6,\"data\":[{}]}",
        "{\"type\":6,\"data\":[\"disconnect\"]}",
        "{\"type\":7,\"requestId\":\"r\",\"packet\":{\"type\":3,\"data\":[\"x\"]},\"opts\":{}}",
        "{\"type\":7,\"requestId\":\"r\",\"packet\":{\"type\":2,\"data\":[\"x\"]}}",
        "{\"\xff\":1}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        assert_request(refused[i], CODEC_REFUSED, NULL);
    assert_request("{\"type\":99}", CODEC_IGNORED, NULL);
    assert_request("{\"type\":\"2\"}", CODEC_IGNORED, NULL);
    assert_request("{}", CODEC_IGNORED, NULL);
    assert_request("{\"uid\":\"me\",\"type\":6,\"data\":[\"x\"]}", CODEC_IGNORED, NULL);
}

static void every_cut_of_a_message_is_refused(void **state)
{
    struct cluster_message message = numbered();
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    message.rooms = &here.nsp;
    message.room_count = 1;
    assert_true(codec_classic_encode(&bytes, &message));
    for (size_t size = 0; size < bytes.size; size++) {
        struct str cut = tight(str_of(bytes.at, size));

        assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, cut),
                         CODEC_REFUSED);
        assert_non_null(decoded.reason);
        codec_free(&decoded);
        free((char *)cut.at);
    }
    buf_add_byte(&bytes, '\0');
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, buf_str(&bytes)),
                     CODEC_REFUSED);
    codec_free(&decoded);
    buf_free(&bytes);
}

static void nesting_without_end_is_refused(void **state)
{
    static const struct str head = STR("\x93\xa1u\x83\xa4type\x02\xa4"
                                       "data\x92\xa1x");
    static const struct str tail = STR("\xa3nsp\xa2/a\x81\xa5rooms\x90");
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    buf_add_str(&bytes, head);
    for (int i = 0; i < DEEP; i++)
        buf_add_byte(&bytes, (char)0x91);
    buf_add_byte(&bytes, (char)0xc0);
    buf_add_str(&bytes, tail);
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, buf_str(&bytes)),
                     CODEC_REFUSED);
    assert_string_equal(decoded.reason, "nested too deep");
    codec_free(&decoded);
    buf_free(&bytes);
}

static void placeholders_that_stand_for_nothing_are_refused_beside_binary_values(void **state)
{
    static const struct str bytes =
        STR("\x93\xa1u\x83\xa4type\x02\xa4"
            "data\x93\xa1x\xc4\x01y\x82\xac_placeholder\xc3\xa3num\x05"
            "\xa3nsp\xa2/a\x81\xa5rooms\x90");
    struct codec_decoded decoded;

    (void)state;
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, bytes), CODEC_REFUSED);
    codec_free(&decoded);
}

/* JSON would make null of them, and clients close over an event without a name. */
static void events_whose_name_is_no_finite_number_are_refused(void **state)
{
    static const struct str names[] = {
        STR("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
        STR("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"),
        STR("\xca\xff\x80\x00\x00"),
    };
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        buf_init(&bytes, SIZE_MAX);
        buf_add_str(&bytes, STR("\x93\xa1u\x83\xa4type\x02\xa4"
                                "data\x92"));
        buf_add_str(&bytes, names[i]);
        buf_add_str(&bytes, STR("\x01\xa3nsp\xa2/a\x81\xa5rooms\x90"));
        assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, buf_str(&bytes)),
                         CODEC_REFUSED);
        codec_free(&decoded);
        buf_free(&bytes);
    }
}

static void dates_come_as_their_text(void **state)
{
    static const struct str bytes =
        STR("\x93\xa1u\x83\xa4type\x02\xa4"
            "data\x92\xa1x\xd6\xff\x5f\xee\x66\x00\xa3nsp\xa2/a\x81\xa5rooms\x90");
    struct codec_decoded decoded;

    (void)state;
    assert_int_equal(codec_classic_decode(&decoded, &there, CODEC_ROOMS, bytes), CODEC_GOOD);
    assert_said(&decoded.message, "broadcast [\"x\",\"2021-01-01T00:00:00.000Z\"]");
    codec_free(&decoded);
}

static void answers_without_a_value_leave_it_out(void **state)
{
    struct cluster_message answer = {.kind = CLUSTER_SERVER_ANSWER,
                                     .nsp = STR("/a"),
                                     .sender = STR("u"),
                                     .request = STR("r"),
                                     .args = {.json = STR("[]")}};
    struct codec_decoded decoded;
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_classic_encode(&bytes, &answer));
    assert_bytes(buf_str(&bytes), STR("{\"type\":6,\"requestId\":\"r\"}"));
    assert_int_equal(codec_classic_decode(&decoded, &here, CODEC_RESPONSE, buf_str(&bytes)),
                     CODEC_GOOD);
    assert_said(&decoded.message, "server-answer request=r [null]");
    codec_free(&decoded);
    buf_reset(&bytes);
    assert_true(codec_sharded_encode(&bytes, CODEC_MSGPACK, &answer));
    assert_bytes(buf_str(&bytes), STR("\x84\xa4type\x0a\xa4"
                                      "data\x82\xa9requestId\xa1r\xa6packet\xc0\xa3uid\xa1u\xa3"
                                      "nsp\xa2/a"));
    buf_free(&bytes);
}

/* JSON.stringify(Buffer): requests of the classic adapter are JSON whatever is in them. */
static void binary_values_that_json_must_carry_are_written_as_buffers(void **state)
{
    static const struct str binary = STR("\x01\xff");
    struct cluster_message message = {
        .kind = CLUSTER_SERVER_EMIT,
        .sender = STR("u"),
        .args = {STR("[\"x\",{\"a\":{\"_placeholder\":true,\"num\":0}}]"), &binary, 1}
    };
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_classic_encode(&bytes, &message));
    assert_bytes(buf_str(&bytes),
                 STR("{\"uid\":\"u\",\"type\":6,\"data\":[\"x\",{\"a\":{\"type\":"
                     "\"Buffer\",\"data\":[1,255]}}]}"));
    buf_free(&bytes);
}

static void numbers_that_doubles_round_stay_doubles_in_streams(void **state)
{
    struct cluster_message message = {.kind = CLUSTER_SERVER_EMIT,
                                      .nsp = STR("/a"),
                                      .sender = STR("u"),
                                      .args = {.json = STR("[\"x\",9007199254740992]")}};
    struct buf bytes;

    (void)state;
    buf_init(&bytes, SIZE_MAX);
    assert_true(codec_sharded_encode(&bytes, CODEC_MSGPACK, &message));
    assert_true(has_text(buf_str(&bytes), "\x92\xa1x\xcb\x43\x40"));
    buf_reset(&bytes);
    assert_true(codec_sharded_encode(&bytes, CODEC_NOTEPACK, &message));
    assert_true(has_text(buf_str(&bytes), "\x92\xa1x\xcf"));
    buf_free(&bytes);
}

static void ids_of_entries_are_numbers(void **state)
{
    uint64_t entry;

    (void)state;
    assert_true(codec_entry_id(STR("1-2"), &entry));
    assert_int_equal(entry, 1 << CODEC_SEQUENCE_BITS | 2);
    assert_false(codec_entry_id(STR(""), &entry));
    assert_false(codec_entry_id(STR("12"), &entry));
    assert_false(codec_entry_id(STR("1-"), &entry));
    assert_false(codec_entry_id(STR("-1"), &entry));
    assert_false(codec_entry_id(STR("1-2-3"), &entry));
    assert_false(codec_entry_id(STR("1-1048576"), &entry));
    assert_false(codec_entry_id(STR("99999999999999999999-1"), &entry));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classic_messages_are_what_the_reference_sends),
        cmocka_unit_test(sharded_messages_are_what_the_reference_sends),
        cmocka_unit_test(messages_of_streams_are_what_the_reference_sends),
        cmocka_unit_test(what_the_emitter_sends_is_understood),
        cmocka_unit_test(a_number_stands_behind_all_else),
        cmocka_unit_test(an_anchor_is_no_packet_for_others),
        cmocka_unit_test(of_own_messages_only_the_place_is_read),
        cmocka_unit_test(rooms_that_are_numbers_become_their_text),
        cmocka_unit_test(requests_of_old_nodes_are_understood),
        cmocka_unit_test(wrong_requests_are_refused),
        cmocka_unit_test(every_cut_of_a_message_is_refused),
        cmocka_unit_test(nesting_without_end_is_refused),
        cmocka_unit_test(placeholders_that_stand_for_nothing_are_refused_beside_binary_values),
        cmocka_unit_test(events_whose_name_is_no_finite_number_are_refused),
        cmocka_unit_test(dates_come_as_their_text),
        cmocka_unit_test(answers_without_a_value_leave_it_out),
        cmocka_unit_test(binary_values_that_json_must_carry_are_written_as_buffers),
        cmocka_unit_test(numbers_that_doubles_round_stay_doubles_in_streams),
        cmocka_unit_test(ids_of_entries_are_numbers),
    };

    return cmocka_run_group_tests_name("cluster codec", tests, NULL, NULL);
}
