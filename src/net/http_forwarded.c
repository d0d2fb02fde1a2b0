#include "net/http_forwarded.h"

/* A unix socket's peer has no address; who may open the socket is decided by its folder. */
static bool trusts(const struct http_trust *trust, struct str address)
{
    if (trust->all || address.size == 0)
        return true;
    for (size_t i = 0; i < trust->count; i++) {
        if (network_contains(&trust->networks[i], address))
            return true;
    }
    return false;
}

/* Some proxies add the port: "1.2.3.4:5", "[::1]:5", "[::1]". */
static struct str without_port(struct str text)
{
    const char *colon = memchr(text.at, ':', text.size);

    if (text.size > 0 && text.at[0] == '[') {
        const char *end = memchr(text.at, ']', text.size);

        return end ? str_of(text.at + 1, (size_t)(end - text.at) - 1) : STR("");
    }
    if (colon && colon == memrchr(text.at, ':', text.size))
        return str_of(text.at, (size_t)(colon - text.at));
    return text;
}

static bool is_address(struct str text)
{
    struct network network;

    return !memchr(text.at, '/', text.size) && network_parse(text, &network);
}

/* Takes the last item of a list with commas. */
static struct str take_last(struct str *list)
{
    const char *comma = memrchr(list->at, ',', list->size);
    size_t start = comma ? (size_t)(comma - list->at) + 1 : 0;
    struct str item = str_of(list->at + start, list->size - start);

    list->size = comma ? start - 1 : 0;
    return str_trim(item);
}

/* One header's items from right to left; false when the client is found. */
static bool walk(const struct http_trust *trust, struct str list, struct str *client)
{
    while (list.size > 0) {
        struct str item = without_port(take_last(&list));

        if (!is_address(item))
            return false;
        *client = item;
        if (!trusts(trust, item))
            return false;
    }
    return true;
}

static void find_client(const struct http_trust *trust, const struct http_request *request,
                        struct str *client)
{
    for (size_t i = request->header_count; i > 0; i--) {
        const struct http_header *header = &request->headers[i - 1];

        if (str_equal_nocase(header->name, STR("X-Forwarded-For")) &&
            !walk(trust, header->value, client))
            return;
    }
}

void http_forwarded_apply(const struct http_trust *trust, struct http_request *request,
                          char address[NET_ADDRESS_MAX])
{
    struct str client = str_from(request->address);
    struct str protocols = http_request_header(request, "X-Forwarded-Proto");

    if (!trusts(trust, client))
        return;
    find_client(trust, request, &client);
    memcpy(address, client.at, client.size);
    address[client.size] = 0;
    request->address = address;
    if (protocols.size == 0)
        return;

    /* The first is what the client spoke. */
    const char *comma = memchr(protocols.at, ',', protocols.size);
    struct str protocol =
        str_trim(str_of(protocols.at, comma ? (size_t)(comma - protocols.at) : protocols.size));

    request->secure =
        str_equal_nocase(protocol, STR("https")) || str_equal_nocase(protocol, STR("wss"));
}
