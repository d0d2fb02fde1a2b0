#include "net/http_coding.h"

enum {
    QUALITY_ONE = 1000, /* q=1; three decimals are all that RFC 9110 knows */
};

/* How well one item of the list suits a coding. */
struct suit {
    bool named; /* not by "*" */
    int quality;
    size_t position;
};

struct str http_coding_name(enum http_coding coding)
{
    return coding == HTTP_GZIP ? STR("gzip") : STR("deflate");
}

/* Cuts what stands before the first `mark` off `*rest`; without a mark that is all. */
static struct str cut(struct str *rest, char mark)
{
    const char *at = memchr(rest->at, mark, rest->size);
    struct str part = str_of(rest->at, at ? (size_t)(at - rest->at) : rest->size);

    *rest = str_from_index(*rest, part.size + 1);
    return part;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "0.85" → 850; what is no number is 0. */
static int parse_quality(struct str text)
{
    int quality = 0, unit = QUALITY_ONE;
    size_t i = 0;

    for (; i < text.size && is_digit(text.at[i]); i++)
        if (quality <= QUALITY_ONE * QUALITY_ONE)
            quality = quality * 10 + (text.at[i] - '0') * QUALITY_ONE;
    if (i < text.size && text.at[i] == '.')
        for (i++; i < text.size && is_digit(text.at[i]) && unit >= 10; i++)
            quality += (text.at[i] - '0') * (unit /= 10);
    return quality;
}

static int quality_of(struct str parameters)
{
    while (parameters.size > 0) {
        struct str value = str_trim(cut(&parameters, ';'));
        struct str name = cut(&value, '=');

        if (str_equal(name, STR("q")))
            return parse_quality(str_trim(value));
    }
    return QUALITY_ONE;
}

static bool better(const struct suit *a, const struct suit *b)
{
    if (a->quality != b->quality)
        return a->quality > b->quality;
    if (a->named != b->named)
        return a->named;
    return a->position < b->position;
}

/* An item of the list. A coding's own name counts more than "*", whatever their qualities. */
static void weigh(struct suit suits[], size_t offered, struct str item, size_t position)
{
    struct str parameters = item;
    struct str name = str_trim(cut(&parameters, ';'));
    int quality = quality_of(parameters);

    for (size_t i = 0; i < offered; i++) {
        bool named = str_equal_nocase(name, http_coding_name((enum http_coding)i));

        if (!named && !str_equal(name, STR("*")))
            continue;
        if (suits[i].named != named ? named : quality >= suits[i].quality)
            suits[i] = (struct suit){named, quality, position};
    }
}

enum http_coding http_coding_choose(const struct http_request *request, size_t offered)
{
    struct suit suits[HTTP_IDENTITY] = {0};
    enum http_coding best = HTTP_IDENTITY;
    size_t position = 0;

    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, STR("Accept-Encoding")))
            continue;
        for (struct str rest = request->headers[i].value; rest.size > 0; position++)
            weigh(suits, offered, cut(&rest, ','), position);
    }
    for (size_t i = 0; i < offered; i++) {
        if (suits[i].quality > 0 && (best == HTTP_IDENTITY || better(&suits[i], &suits[best])))
            best = (enum http_coding)i;
    }
    return best;
}
