/*
 * The copy of a handshake's request: one allocation that holds the struct, the headers and then
 * all bytes they point to.
 */
#include "engineio/private.h"

#include <assert.h>
#include <stdlib.h>

enum {
    HEADERS_MAX = 2000, /* Node's maxHeadersCount: later ones are not seen */
};

/* How Node joins a header that comes twice. */
enum repeat {
    REPEAT_JOIN,   /* ", " */
    REPEAT_COOKIE, /* "; " */
    REPEAT_FIRST,  /* the later ones are dropped */
};

static enum repeat repeat_of(struct str name)
{
    static const char *const once[] = {
        "age",
        "authorization",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "from",
        "host",
        "if-modified-since",
        "last-modified",
        "if-unmodified-since",
        "location",
        "max-forwards",
        "proxy-authorization",
        "referer",
        "retry-after",
        "server",
        "user-agent",
    };

    if (str_equal_nocase(name, STR("cookie")))
        return REPEAT_COOKIE;
    for (size_t i = 0; i < sizeof(once) / sizeof(once[0]); i++)
        if (str_equal_nocase(name, str_from(once[i])))
            return REPEAT_FIRST;
    return REPEAT_JOIN;
}

/* Where the next copied bytes go. */
struct writer {
    char *at;
};

static struct str copy(struct writer *to, struct str text)
{
    struct str copied = {to->at, text.size};

    memcpy(to->at, text.at, text.size);
    to->at += text.size;
    return copied;
}

static struct str copy_lower(struct writer *to, struct str name)
{
    char *at = to->at;
    struct str copied = copy(to, name);

    for (size_t i = 0; i < name.size; i++)
        if (at[i] >= 'A' && at[i] <= 'Z')
            at[i] |= 0x20;
    return copied;
}

static bool seen_before(const struct http_request *request, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (str_equal_nocase(request->headers[i].name, request->headers[index].name))
            return true;
    return false;
}

/* The value of the header first seen at `index`, with its repetitions. */
static struct str copy_value(struct writer *to, const struct http_request *request,
                             size_t index, size_t count)
{
    struct str name = request->headers[index].name;
    struct str value = copy(to, request->headers[index].value);
    enum repeat repeat = repeat_of(name);

    if (repeat == REPEAT_FIRST)
        return value;
    for (size_t i = index + 1; i < count; i++) {
        if (!str_equal_nocase(request->headers[i].name, name))
            continue;
        copy(to, repeat == REPEAT_COOKIE ? STR("; ") : STR(", "));
        copy(to, request->headers[i].value);
        value.size = (size_t)(to->at - value.at);
    }
    return value;
}

static size_t bytes_needed(const struct http_request *request, size_t count)
{
    size_t size = request->target.size + strlen(request->address);

    for (size_t i = 0; i < count; i++)
        size += request->headers[i].name.size + request->headers[i].value.size + strlen(", ");
    return size;
}

struct eio_handshake *eio_handshake_new(const struct http_request *request, uint8_t protocol)
{
    size_t count = request->header_count < HEADERS_MAX ? request->header_count : HEADERS_MAX;
    size_t bytes = bytes_needed(request, count);
    size_t headers_size = count * sizeof(struct http_header);
    struct eio_handshake *handshake = malloc(sizeof(*handshake) + headers_size + bytes);

    if (!handshake)
        return NULL;

    struct http_header *headers = (struct http_header *)(handshake + 1);
    struct writer to = {(char *)headers + headers_size};
    size_t kept = 0;

    *handshake = (struct eio_handshake){
        .references = 1,
        .time_ms = request->time_ms,
        .secure = request->secure,
        .protocol = protocol,
        .origin = STR(""),
        .headers = headers,
    };
    handshake->target = copy(&to, request->target);
    handshake->address = copy(&to, str_from(request->address));
    for (size_t i = 0; i < count; i++) {
        if (seen_before(request, i))
            continue;
        headers[kept].name = copy_lower(&to, request->headers[i].name);
        headers[kept].value = copy_value(&to, request, i, count);
        if (str_equal(headers[kept].name, STR("origin"))) {
            handshake->origin = headers[kept].value;
            handshake->cross_domain = true;
        }
        kept++;
    }
    handshake->header_count = kept;
    assert((size_t)(to.at - (char *)headers) <= headers_size + bytes);
    return handshake;
}

struct eio_handshake *eio_handshake_ref(struct eio_handshake *handshake)
{
    assert(handshake->references > 0 && handshake->references < UINT32_MAX);
    handshake->references++;
    return handshake;
}

void eio_handshake_unref(struct eio_handshake *handshake)
{
    assert(handshake->references > 0);
    if (--handshake->references == 0)
        free(handshake);
}
