#include "http/redirect.h"

#include "base/buf.h"

enum {
    LOCATION_MAX = 128 * 1024, /* targets are shorter: they fit limits.header_bytes */
    HTTPS_PORT = 443,
    MOVED_PERMANENTLY = 301,
    PERMANENT_REDIRECT = 308,
    BAD_REQUEST = 400,
};

/* The name or address of a Host header, without its port; empty when it is none. */
static struct str host_of(struct str value)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-._~";
    struct str host = str_trim(value);
    bool bracketed = host.size > 0 && host.at[0] == '[';
    const char *end = memchr(host.at, bracketed ? ']' : ':', host.size);

    if (bracketed && !end)
        return STR("");
    if (end)
        host.size = (size_t)(end - host.at) + (bracketed ? 1 : 0);
    for (size_t i = bracketed ? 1 : 0; i + (bracketed ? 1 : 0) < host.size; i++) {
        if (!memchr(allowed, host.at[i], sizeof(allowed) - 1) &&
            !(bracketed && host.at[i] == ':'))
            return STR("");
    }
    return host;
}

/* Path and query: also of "http://host/path" and of "*". Empty when it is neither. */
static struct str path_of(struct str target)
{
    static const struct str scheme = STR("http://");

    if (str_equal(target, STR("*")))
        return STR("/");
    if (target.size > scheme.size && str_equal_nocase(str_of(target.at, scheme.size), scheme)) {
        struct str rest = str_of(target.at + scheme.size, target.size - scheme.size);
        const char *slash = memchr(rest.at, '/', rest.size);

        return slash ? str_from_index(rest, (size_t)(slash - rest.at)) : STR("/");
    }
    return target.size > 0 && target.at[0] == '/' ? target : STR("");
}

static void refuse(struct http_exchange *exchange)
{
    static const struct http_response bad = {.status = BAD_REQUEST, .close = true};

    http_exchange_respond(exchange, &bad);
}

void http_redirect_request(void *owner, struct http_exchange *exchange)
{
    const struct http_redirect *redirect = owner;
    const struct http_request *request = http_exchange_request(exchange);
    struct str host = host_of(http_request_header(request, "Host"));
    struct str path = path_of(request->target);
    bool plain_get = request->method == HTTP_GET || request->method == HTTP_HEAD;
    struct buf location;

    if (host.size == 0 || path.size == 0) {
        refuse(exchange);
        return;
    }
    buf_init(&location, LOCATION_MAX);
    buf_printf(&location, "https://%.*s", (int)host.size, host.at);
    if (redirect->port != HTTPS_PORT)
        buf_printf(&location, ":%u", redirect->port);
    buf_add_str(&location, path);
    if (buf_failed(&location)) {
        refuse(exchange);
    } else {
        const struct http_header header = {STR("Location"), buf_str(&location)};

        http_exchange_respond(exchange,
                              &(struct http_response){
                                  .status = plain_get ? MOVED_PERMANENTLY : PERMANENT_REDIRECT,
                                  .headers = &header,
                                  .header_count = 1,
                              });
    }
    buf_free(&location);
}
