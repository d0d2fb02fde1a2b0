#include "socketio/packet.h"

#include "sio_double.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    MAX_ATTACHMENTS = 10,
    FRAMES_MAX = 16,
};

static const char VECTORS[] = "tests/protocol/vectors/socket-io-v5-parser.json";

/* --- the vectors' JSON ----------------------------------------------------------------------- */

static struct str read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *bytes = malloc(1 << 20);

    assert_non_null(file);
    size_t size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return str_of(bytes, size);
}

static struct buf decoded(const struct json_doc *doc, uint32_t string)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    assert_true(json_string_decode(&text, json_raw(doc, string)));
    return text;
}

/* The bytes of {"$hex":"…"}, or false for other values. */
static bool hex_value(const struct json_doc *doc, uint32_t value, struct buf *bytes)
{
    uint32_t hex;

    if (json_type(doc, value) != JSON_OBJECT)
        return false;
    hex = json_member(doc, value, STR("$hex"));
    if (hex == JSON_NONE)
        return false;
    struct str raw = json_raw(doc, hex);
    buf_init(bytes, SIZE_MAX);
    for (size_t i = 1; i + 2 < raw.size; i += 2) {
        char digits[] = {raw.at[i], raw.at[i + 1], '\0'};
        buf_add_byte(bytes, (char)strtol(digits, NULL, 16));
    }
    return true;
}

/* What a swap does with one object: true if it has written something in its place. */
typedef bool swap_object(const struct json_doc *doc, uint32_t object, struct buf *to,
                         void *context);

static void write_swapped(const struct json_doc *doc, uint32_t value, struct buf *to,
                          swap_object *swap, void *context)
{
    enum json_type type = json_type(doc, value);
    uint32_t last = JSON_NONE;

    if (type == JSON_OBJECT && swap(doc, value, to, context))
        return;
    if (type != JSON_ARRAY && type != JSON_OBJECT) {
        buf_add_str(to, json_raw(doc, value));
        return;
    }
    buf_add_byte(to, type == JSON_ARRAY ? '[' : '{');
    for (uint32_t child = json_first(doc, value); child != JSON_NONE;
         last = child, child = json_next(doc, value, child)) {
        if (last != JSON_NONE)
            buf_add_byte(to, ',');
        if (type == JSON_OBJECT) {
            buf_add_str(to, json_raw(doc, child));
            buf_add_byte(to, ':');
        }
        write_swapped(doc, type == JSON_OBJECT ? json_member_value(doc, child) : child, to,
                      swap, context);
    }
    buf_add_byte(to, type == JSON_ARRAY ? ']' : '}');
}

/* --- encoding -------------------------------------------------------------------------------- */

struct binaries {
    struct buf bytes[FRAMES_MAX];
    uint32_t count;
};

static bool hex_to_placeholder(const struct json_doc *doc, uint32_t object, struct buf *to,
                               void *context)
{
    struct binaries *binaries = context;

    if (!hex_value(doc, object, &binaries->bytes[binaries->count]))
        return false;
    buf_printf(to, "{\"_placeholder\":true,\"num\":%u}", binaries->count++);
    return true;
}

static void check_frames(const struct json_doc *doc, uint32_t expect, struct sio_packet *packet)
{
    assert_int_equal(json_count(doc, expect), packet->frame_count);
    for (uint32_t i = 0; i < packet->frame_count; i++) {
        uint32_t wanted = json_at(doc, expect, i);
        struct str body = frame_body(packet->frames[i]);
        struct buf bytes;

        if (hex_value(doc, wanted, &bytes)) {
            assert_int_equal(frame_kind(packet->frames[i]), FRAME_BINARY);
        } else {
            bytes = decoded(doc, wanted);
            assert_int_equal(frame_kind(packet->frames[i]), FRAME_TEXT);
            assert_int_equal(body.at[0], '4');
            body = str_from_index(body, 1);
        }
        if (!str_equal(body, buf_str(&bytes)))
            fail_msg("got %.*s, expected %.*s", (int)body.size, body.at, (int)bytes.size,
                     bytes.at);
        buf_free(&bytes);
    }
}

static void encode_case(const struct json_doc *doc, uint32_t vector)
{
    uint32_t packet = json_member(doc, vector, STR("packet"));
    uint32_t data = json_member(doc, packet, STR("data"));
    uint32_t id = json_member(doc, packet, STR("id"));
    struct buf nsp = decoded(doc, json_member(doc, packet, STR("nsp")));
    struct binaries binaries = {0};
    struct str attachments[FRAMES_MAX];
    struct sio_packet *made;
    struct buf json;
    int64_t type;
    double real;

    assert_true(
        json_number_decode(json_raw(doc, json_member(doc, packet, STR("type"))), &type, &real));
    buf_init(&json, SIZE_MAX);
    if (data != JSON_NONE)
        write_swapped(doc, data, &json, hex_to_placeholder, &binaries);
    for (uint32_t i = 0; i < binaries.count; i++)
        attachments[i] = buf_str(&binaries.bytes[i]);

    struct str id_text = id == JSON_NONE ? STR("") : json_raw(doc, id);
    if (type == SIO_EVENT || type == SIO_ACK) {
        struct sio_args args = {buf_str(&json), attachments, binaries.count, STR("")};
        made = sio_packet_new((enum sio_packet_type)type, buf_str(&nsp), id_text, &args);
    } else {
        made = malloc(sizeof(*made) + sizeof(struct frame *));
        *made = (struct sio_packet){.references = 1, .frame_count = 1};
        made->frames[0] =
            sio_frame_new((enum sio_packet_type)type, buf_str(&nsp), id_text, buf_str(&json));
    }
    check_frames(doc, json_member(doc, vector, STR("expect")), made);

    sio_packet_unref(made);
    for (uint32_t i = 0; i < binaries.count; i++)
        buf_free(&binaries.bytes[i]);
    buf_free(&json);
    buf_free(&nsp);
}

/* --- decoding -------------------------------------------------------------------------------- */

static bool placeholder_to_hex(const struct json_doc *doc, uint32_t object, struct buf *to,
                               void *context)
{
    const struct sio_args *args = context;
    uint32_t flag = json_member(doc, object, STR("_placeholder"));
    int64_t index;
    double real;

    if (flag == JSON_NONE || json_type(doc, flag) != JSON_TRUE)
        return false;
    assert_true(
        json_number_decode(json_raw(doc, json_member(doc, object, STR("num"))), &index, &real));
    struct str bytes = args->attachments[index];
    buf_add_str(to, STR("{\"$hex\":\""));
    for (size_t i = 0; i < bytes.size; i++)
        buf_printf(to, "%02x", (uint8_t)bytes.at[i]);
    buf_add_str(to, STR("\"}"));
    return true;
}

/* The packet in the vectors' notation. */
static struct buf describe(const struct sio_incoming *in)
{
    struct buf payload, to;
    struct json_doc doc;

    buf_init(&payload, SIZE_MAX);
    buf_init(&to, SIZE_MAX);
    buf_printf(&to, "{\"type\":%d,\"nsp\":", in->type);
    json_write_string(&to, in->nsp);
    if (in->has_id) {
        char text[SIO_NUMBER_TEXT_MAX];
        buf_printf(&to, ",\"id\":%.*s", (int)sio_number_text(in->id, text), text);
    }
    if (in->has_payload && in->type == SIO_EVENT) {
        buf_add_byte(&payload, '[');
        if (in->name.at == in->number_name)
            buf_add_str(&payload, in->name);
        else
            json_write_string(&payload, in->name);
        if (!str_equal(in->args.json, STR("[]")))
            buf_add_byte(&payload, ',');
        buf_add_str(&payload, str_from_index(in->args.json, 1));
    } else if (in->has_payload) {
        buf_add_str(&payload, in->payload);
    }
    if (in->has_payload) {
        buf_add_str(&to, STR(",\"data\":"));
        assert_true(json_check(buf_str(&payload)));
        assert_true(json_doc_init(&doc, buf_str(&payload)));
        if (in->assembly)
            write_swapped(&doc, 0, &to, placeholder_to_hex, (void *)&in->args);
        else
            buf_add_str(&to, buf_str(&payload));
        json_doc_free(&doc);
    }
    buf_add_byte(&to, '}');
    buf_free(&payload);
    return to;
}

static void check_packet(const struct json_doc *doc, uint32_t expect, uint32_t index,
                         const struct sio_incoming *in)
{
    struct buf got = describe(in), got_normal, wanted;

    assert_true(index < json_count(doc, expect));
    buf_init(&got_normal, SIZE_MAX);
    buf_init(&wanted, SIZE_MAX);
    assert_true(json_normalise(&got_normal, buf_str(&got)));
    assert_true(json_normalise(&wanted, json_raw(doc, json_at(doc, expect, index))));
    if (!str_equal(buf_str(&got_normal), buf_str(&wanted)))
        fail_msg("got %.*s, expected %.*s", (int)got_normal.size, got_normal.at,
                 (int)wanted.size, wanted.at);
    buf_free(&got);
    buf_free(&got_normal);
    buf_free(&wanted);
}

/* Exactly as many bytes as the message has, so that AddressSanitizer sees a read past them. */
static bool feed(struct sio_decoder *decoder, bool binary, struct str message,
                 struct sio_incoming *in, uint8_t **copy)
{
    *copy = malloc(message.size ? message.size : 1);
    memcpy(*copy, message.at, message.size);
    if (binary)
        return sio_decoder_binary(decoder, *copy, message.size, in);
    return sio_decoder_head(decoder, *copy, message.size, MAX_ATTACHMENTS, in) &&
           sio_decoder_payload(decoder, in);
}

static void decode_case(const struct json_doc *doc, uint32_t vector)
{
    uint32_t frames = json_member(doc, vector, STR("frames"));
    uint32_t expect = json_member(doc, vector, STR("expect"));
    uint32_t error = json_member(doc, vector, STR("error"));
    struct sio_decoder decoder = {0};
    uint32_t packets = 0, i;
    bool ok = true;

    for (i = 0; ok && i < json_count(doc, frames); i++) {
        struct sio_incoming in;
        struct buf message;
        uint8_t *copy;
        bool binary = hex_value(doc, json_at(doc, frames, i), &message);

        if (!binary)
            message = decoded(doc, json_at(doc, frames, i));
        ok = feed(&decoder, binary, buf_str(&message), &in, &copy);
        if (ok && in.complete)
            check_packet(doc, expect, packets++, &in);
        if (!ok) {
            assert_int_not_equal(error, JSON_NONE);
            struct buf text = decoded(doc, error);
            if (!str_equal(buf_str(&text), str_from(in.error)))
                fail_msg("error %s, expected %.*s", in.error, (int)text.size, text.at);
            buf_free(&text);
        }
        sio_incoming_free(&in);
        buf_free(&message);
        free(copy);
    }
    if (error != JSON_NONE) {
        struct str at = json_raw(doc, json_member(doc, vector, STR("errorAtFrame")));
        assert_false(ok);
        assert_int_equal(i - 1, at.at[0] - '0');
    }
    assert_int_equal(packets, json_count(doc, expect));
    sio_decoder_reset(&decoder);
}

static void reference_vectors_hold(void **state)
{
    struct str file = read_file(VECTORS);
    struct json_doc doc;
    (void)state;

    assert_true(json_check(file));
    assert_true(json_doc_init(&doc, file));
    uint32_t cases = json_member(&doc, 0, STR("cases"));
    assert_int_equal(json_count(&doc, cases), 108);
    for (uint32_t at = json_first(&doc, cases); at != JSON_NONE;
         at = json_next(&doc, cases, at)) {
        struct str op = json_raw(&doc, json_member(&doc, at, STR("op")));

        if (str_equal(op, STR("\"encode\"")))
            encode_case(&doc, at);
        else
            decode_case(&doc, at);
    }
    json_doc_free(&doc);
    free((char *)file.at);
}

/* --- beyond the vectors ---------------------------------------------------------------------- */

/* Decodes one text message; true if it is right, the packet then in `in` (until free). */
static bool decode(const char *text, struct sio_incoming *in, uint8_t **copy)
{
    struct sio_decoder decoder = {0};
    bool ok = feed(&decoder, false, str_from(text), in, copy);

    sio_decoder_reset(&decoder);
    return ok;
}

static void ack_ids_read_as_javascript_numbers(void **state)
{
    static char long_id[512];
    static const struct {
        const char *text;
        const char *id;
    } cases[] = {
        {"20[\"a\"]",                                "0"                    },
        {"2 \t[\"a\"]",                              "0"                    },
        {"2\xc2\xa0[\"a\"]",                         "0"                    },
        {"2\xef\xbb\xbf"
         "5\xe2\x80\xa8[\"a\"]",            "5"                    },
        {"2\xe3\x80\x80"
         "5[\"a\"]",                        "5"                    },
        {"2 12 [\"a\"]",                             "12"                   },
        {"21 2[\"a\"]",                              "NaN"                  },
        {"29007199254740991[\"a\"]",                 "9007199254740991"     },
        {"29007199254740993[\"a\"]",                 "9007199254740992"     },
        {"2999999999999999999999[\"a\"]",            "1e+21"                },
        {"2123456789012345678901[\"a\"]",            "123456789012345680000"},
        {"218446744073709551616[\"a\"]",             "18446744073709552000" },
        {"200000000000000000000000000000007[\"a\"]", "7"                    },
        {long_id,                                    "Infinity"             },
    };
    (void)state;

    long_id[0] = '2';
    memset(long_id + 1, '9', 310);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[SIO_NUMBER_TEXT_MAX + 1] = {0};
        struct sio_incoming in;
        uint8_t *copy;

        assert_true(decode(cases[i].text, &in, &copy));
        assert_true(in.has_id);
        text[sio_number_text(in.id, text)] = '\0';
        assert_string_equal(text, cases[i].id);
        free(copy);
    }
}

static void other_characters_end_ack_ids(void **state)
{
    static const char *const cases[] = {"2\xc2\xa1[\"a\"]", "2\xe2\x80\x8b[\"a\"]",
                                        "2+1[\"a\"]",       "21e1[\"a\"]",
                                        "2\xe2\x80",        "2\xc2"};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_incoming in;
        uint8_t *copy;

        assert_false(decode(cases[i], &in, &copy));
        assert_string_equal(in.error, "invalid payload");
        free(copy);
    }
}

static void white_space_types_are_connects(void **state)
{
    static const char *const cases[] = {" ", "\t/a,", "\n{}", "\xe2\x80\xa9", "\xef\xbb\xbf{}"};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_incoming in;
        uint8_t *copy;

        assert_true(decode(cases[i], &in, &copy));
        assert_int_equal(in.type, SIO_CONNECT);
        free(copy);
    }
}

static void attachment_counts_read_as_javascript_numbers(void **state)
{
    static const struct {
        const char *text;
        uint32_t due;
        const char *error;
    } cases[] = {
        {"510-[\"a\"]",                 10, NULL                  },
        {"511-[\"a\"]",                 0,  "too many attachments"},
        {"50x1-[\"a\"]",                1,  NULL                  },
        {"50XA-[\"a\"]",                10, NULL                  },
        {"50xB-[\"a\"]",                0,  "too many attachments"},
        {"50b11-[\"a\"]",               3,  NULL                  },
        {"50o12-[\"a\"]",               10, NULL                  },
        {"50b2-[\"a\"]",                0,  "Illegal attachments" },
        {"50x-[\"a\"]",                 0,  "Illegal attachments" },
        {"5 1 -[\"a\"]",                1,  NULL                  },
        {"5\xc2\xa0"
         "2\n-[\"a\"]",        2,  NULL                  },
        {"5+3-[\"a\"]",                 3,  NULL                  },
        {"5+-[\"a\"]",                  0,  "Illegal attachments" },
        {"51.-[\"a\"]",                 1,  NULL                  },
        {"5.5e1-[\"a\"]",               5,  NULL                  },
        {"50.1e+1-[\"a\"]",             1,  NULL                  },
        {"5.-[\"a\"]",                  0,  "Illegal attachments" },
        {"51e-[\"a\"]",                 0,  "Illegal attachments" },
        {"51 1-[\"a\"]",                0,  "Illegal attachments" },
        {"5Infinity-[\"a\"]",           0,  "Illegal attachments" },
        {"51e999-[\"a\"]",              0,  "Illegal attachments" },
        {"51e300-[\"a\"]",              0,  "too many attachments"},
        {"5 -[\"a\"]",                  0,  "Illegal attachments" },
        {"5-",                          0,  "Illegal attachments" },
        {"5",                           0,  "Illegal attachments" },
        {"5000000000000000001-[\"a\"]", 1,  NULL                  },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_incoming in;
        uint8_t *copy;
        bool ok = decode(cases[i].text, &in, &copy);

        if (ok != !cases[i].error)
            fail_msg("%s", cases[i].text);
        if (ok)
            assert_int_equal(in.due, cases[i].due);
        else
            assert_string_equal(in.error, cases[i].error);
        free(copy);
    }
}

static void event_names_are_decoded(void **state)
{
    static const struct {
        const char *text;
        const char *name;
        const char *args;
    } cases[] = {
        {"2[\"a\",1]",                          "a",              "[1]"          },
        {"2[\"a\"]",                            "a",              "[]"           },
        {"2[ \"a\" , 1 , {} ] ",                "a",              "[ 1 , {} ]"   },
        {"2[\"a\\u00e9\\n\\\"b\",\"\\u00e9\"]", "a\xc3\xa9\n\"b", "[\"\\u00e9\"]"},
        {"2[1.0,2]",                            "1",              "[2]"          },
        {"2[-0]",                               "0",              "[]"           },
        {"2[1e21]",                             "1e+21",          "[]"           },
        {"2[1e5,[]]",                           "100000",         "[[]]"         },
        {"2[1e999]",                            "Infinity",       "[]"           },
        {"2[-12,3]",                            "-12",            "[3]"          },
        {"2[\"\\\\\",\"x\"]",                   "\\",             "[\"x\"]"      },
        {"2[\"Connect\"]",                      "Connect",        "[]"           },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sio_incoming in;
        uint8_t *copy;

        assert_true(decode(cases[i].text, &in, &copy));
        if (!str_equal(in.name, str_from(cases[i].name)) ||
            !str_equal(in.args.json, str_from(cases[i].args)))
            fail_msg("%s: %.*s %.*s", cases[i].text, (int)in.name.size, in.name.at,
                     (int)in.args.json.size, in.args.json.at);
        free(copy);
    }
}

static void reserved_names_are_seen_through_escapes(void **state)
{
    struct sio_incoming in;
    uint8_t *copy;
    (void)state;

    assert_false(decode("2[\"\\u0063onnect\",1]", &in, &copy));
    assert_string_equal(in.error, "invalid payload");
    free(copy);
}

static void placeholders_are_checked_at_any_depth(void **state)
{
    static const struct {
        const char *json;
        bool valid;
    } cases[] = {
        {"[{\"_placeholder\":true,\"num\":1}]",                               true },
        {"[{\"_placeholder\":true,\"num\":2}]",                               false},
        {"[[{\"a\":[{\"_placeholder\":true,\"num\":2}]}]]",                   false},
        {"[{\"_placeholder\":true}]",                                         false},
        {"[{\"_placeholder\":true,\"num\":null}]",                            false},
        {"[{\"_placeholder\":true,\"num\":-0}]",                              true },
        {"[{\"_placeholder\":true,\"num\":-1e-9}]",                           false},
        {"[{\"_placeholder\":true,\"num\":0.5}]",                             true },
        {"[{\"_placeholder\":true,\"num\":1e0}]",                             true },
        {"[{\"_placeholder\":true,\"num\":1e999}]",                           false},
        {"[{\"_placeholder\":true,\"num\":18446744073709551616}]",            false},
        {"[{\"\\u005fplaceholder\":true,\"num\":9}]",                         false},
        {"[{\"_placeholder\":\"true\",\"num\":9}]",                           true },
        {"[{\"_placeholder\":true,\"_placeholder\":false,\"num\":9}]",        true },
        {"[{\"_placeholder\":true,\"num\":0,\"num\":9}]",                     false},
        {"[{\"_placeholder\":true,\"num\":0,\"x\":{\"_placeholder\":true}}]", true },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (sio_placeholders_valid(str_from(cases[i].json), 2) != cases[i].valid)
            fail_msg("%s", cases[i].json);
    }
}

static void limit_covers_text_and_attachments(void **state)
{
    struct sio_decoder decoder = {0};
    uint8_t text[] = "52-[\"a\"]";
    struct sio_incoming in;
    (void)state;

    for (size_t limit = 12; limit <= 13; limit++) {
        uint8_t copy[sizeof(text)];

        memcpy(copy, text, sizeof(text));
        assert_true(sio_decoder_head(&decoder, copy, 8, MAX_ATTACHMENTS, &in));
        in.limit = limit;
        assert_true(sio_decoder_payload(&decoder, &in));
        assert_true(sio_decoder_binary(&decoder, copy, 2, &in));
        assert_int_equal(sio_decoder_binary(&decoder, copy, 3, &in), limit == 13);
        assert_int_equal(in.too_large, limit == 12);
        assert_int_equal(in.size, 13);
        sio_incoming_free(&in);
        assert_null(decoder.pending);
    }

    assert_true(sio_decoder_head(&decoder, text, 8, MAX_ATTACHMENTS, &in));
    in.limit = 7;
    assert_false(sio_decoder_payload(&decoder, &in));
    assert_true(in.too_large);
}

static void numbers_are_written_as_javascript(void **state)
{
    static const struct {
        double number;
        const char *text;
    } cases[] = {
        {0,                  "0"               },
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {1e21,               "1e+21"           },
        {-1.5,               "-1.5"            },
        {INFINITY,           "Infinity"        },
        {-INFINITY,          "-Infinity"       },
        {NAN,                "NaN"             },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[SIO_NUMBER_TEXT_MAX + 1];

        text[sio_number_text(cases[i].number, text)] = '\0';
        assert_string_equal(text, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_vectors_hold),
        cmocka_unit_test(ack_ids_read_as_javascript_numbers),
        cmocka_unit_test(other_characters_end_ack_ids),
        cmocka_unit_test(white_space_types_are_connects),
        cmocka_unit_test(attachment_counts_read_as_javascript_numbers),
        cmocka_unit_test(event_names_are_decoded),
        cmocka_unit_test(reserved_names_are_seen_through_escapes),
        cmocka_unit_test(placeholders_are_checked_at_any_depth),
        cmocka_unit_test(limit_covers_text_and_attachments),
        cmocka_unit_test(numbers_are_written_as_javascript),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
