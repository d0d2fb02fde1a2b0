#include "net/ws_extension.h"

#include "net/deflater.h"

enum {
    CLIENT_BITS_MIN = 8, /* that RFC 7692 allows; any window of a client's can be read */
    PARAMETERS = 4,
};

/* In the order of parameter_names. */
enum parameter {
    SERVER_NO_TAKEOVER,
    CLIENT_NO_TAKEOVER,
    SERVER_BITS,
    CLIENT_BITS,
    UNKNOWN,
};

static const struct str parameter_names[PARAMETERS] = {
    {"server_no_context_takeover", 26},
    {"client_no_context_takeover", 26},
    {"server_max_window_bits",     22},
    {"client_max_window_bits",     22},
};

struct offer {
    bool deflate; /* the extension is the one that we know */
    bool good;
    bool given[PARAMETERS];
    uint8_t server_bits;
};

/* What is left of the header, and whether it is well-formed so far. */
struct reader {
    struct str rest;
    bool good;
};

static bool is_token_character(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_blank(struct reader *reader)
{
    while (reader->rest.size > 0 && (reader->rest.at[0] == ' ' || reader->rest.at[0] == '\t'))
        reader->rest = str_from_index(reader->rest, 1);
}

/* Whether the next character is this one; it is taken then, with the blanks around it. */
static bool take(struct reader *reader, char c)
{
    skip_blank(reader);
    if (reader->rest.size == 0 || reader->rest.at[0] != c)
        return false;
    reader->rest = str_from_index(reader->rest, 1);
    skip_blank(reader);
    return true;
}

static struct str take_token(struct reader *reader)
{
    struct str token = {reader->rest.at, 0};

    while (token.size < reader->rest.size && is_token_character(token.at[token.size]))
        token.size++;
    if (token.size == 0)
        reader->good = false;
    reader->rest = str_from_index(reader->rest, token.size);
    return token;
}

/* A token, perhaps in quotes, where it is a token too: RFC 6455, 9.1. Backslashes in the quotes
 * are not worth their code: what has one is malformed here. */
static struct str take_value(struct reader *reader)
{
    bool quoted = take(reader, '"');
    struct str value = take_token(reader);

    if (quoted && !take(reader, '"'))
        reader->good = false;
    return value;
}

static enum parameter parameter_of(struct str name)
{
    int i = 0;

    while (i < PARAMETERS && !str_equal(name, parameter_names[i]))
        i++;
    return (enum parameter)i;
}

/* A window's bits, without leading zeros; 0 when it is none. */
static uint8_t parse_bits(struct str value)
{
    int bits = 0;

    if (value.size == 0 || value.size > 2 || value.at[0] == '0')
        return 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return 0;
        bits = bits * 10 + (value.at[i] - '0');
    }
    return bits >= CLIENT_BITS_MIN && bits <= DEFLATER_BITS_MAX ? (uint8_t)bits : 0;
}

/* `value` is NULL without one. */
static void note_parameter(struct offer *offer, struct str name, const struct str *value)
{
    enum parameter parameter = parameter_of(name);
    uint8_t bits = value ? parse_bits(*value) : 0;

    if (parameter == UNKNOWN || offer->given[parameter]) {
        offer->good = false;
        return;
    }
    offer->given[parameter] = true;
    switch (parameter) {
    case SERVER_BITS:
        offer->server_bits = bits;
        offer->good = offer->good && bits >= DEFLATER_BITS_MIN;
        break;
    case CLIENT_BITS:
        offer->good = offer->good && (!value || bits > 0);
        break;
    default:
        offer->good = offer->good && !value;
    }
}

static struct offer take_offer(struct reader *reader)
{
    struct offer offer = {.good = true, .server_bits = DEFLATER_BITS_MAX};

    skip_blank(reader);
    offer.deflate = str_equal(take_token(reader), STR("permessage-deflate"));
    while (reader->good && take(reader, ';')) {
        struct str name = take_token(reader);
        struct str value;
        bool with_value = take(reader, '=');

        if (with_value)
            value = take_value(reader);
        note_parameter(&offer, name, with_value ? &value : NULL);
    }
    return offer;
}

/* Both parameters whether the client asked or not: RFC 7692, 7.1.1. */
static void write_answer(struct buf *answer, const struct offer *offer)
{
    buf_add_str(answer, STR("permessage-deflate; server_no_context_takeover; "
                            "client_no_context_takeover"));
    if (offer->given[SERVER_BITS])
        buf_printf(answer, "; server_max_window_bits=%u", offer->server_bits);
}

static bool agree(struct reader *reader, struct buf *answer, uint8_t *bits)
{
    do {
        struct offer offer = take_offer(reader);

        if (!reader->good)
            return false;
        if (*bits == 0 && offer.deflate && offer.good) {
            *bits = offer.server_bits;
            write_answer(answer, &offer);
        }
    } while (take(reader, ','));
    return reader->rest.size == 0;
}

bool ws_extension_agree(const struct http_request *request, struct buf *answer, uint8_t *bits)
{
    *bits = 0;
    for (size_t i = 0; i < request->header_count; i++) {
        struct reader reader = {request->headers[i].value, true};

        if (str_equal_nocase(request->headers[i].name, STR("Sec-WebSocket-Extensions")) &&
            !agree(&reader, answer, bits))
            return false;
    }
    return true;
}
