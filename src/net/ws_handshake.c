#include "net/ws_handshake.h"

#include "base/base64.h"
#include "base/map.h"
#include "net/ws_extension.h"

#include <bearssl.h>

enum {
    KEY_SIZE = 24,     /* 16 bytes in base64 */
    KEY_TEXT = 22,     /* of it, the rest is padding */
    ACCEPT_SIZE = 28,  /* a SHA-1 in base64 */
    JOINED_MAX = 65536 /* bytes of all Sec-WebSocket-Protocol headers together */
};

#define KEY_SALT "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

/* A header that came once; Node joins repeated ones to something that no check accepts. */
static struct str single_header(const struct http_request *request, struct str name)
{
    struct str value = {NULL, 0};

    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, name))
            continue;
        if (value.at)
            return (struct str){NULL, 0};
        value = request->headers[i].value;
    }
    return value;
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool key_valid(struct str key)
{
    if (!key.at || key.size != KEY_SIZE || memcmp(key.at + KEY_TEXT, "==", 2) != 0)
        return false;
    for (size_t i = 0; i < KEY_TEXT; i++) {
        if (!is_alphanumeric(key.at[i]) && key.at[i] != '+' && key.at[i] != '/')
            return false;
    }
    return true;
}

static bool is_token(struct str text)
{
    for (size_t i = 0; i < text.size; i++) {
        char c = text.at[i];
        if (!is_alphanumeric(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
            return false;
    }
    return text.size > 0;
}

/* Each token once, with a comma between; the first one is chosen. A map finds the repeated ones,
 * since a header holds enough tokens to make comparing all pairs an attack. */
static bool parse_protocols(struct str list, struct str *first)
{
    bool valid = true;
    struct map seen;

    map_init(&seen);
    *first = (struct str){NULL, 0};
    for (size_t at = 0; valid && at <= list.size;) {
        struct str rest = str_from_index(list, at);
        const char *comma = memchr(rest.at, ',', rest.size);
        size_t size = comma ? (size_t)(comma - rest.at) : rest.size;
        struct str token = str_trim(str_of(rest.at, size));

        valid = is_token(token) && !map_get(&seen, token) && map_put(&seen, token, &seen);
        if (!first->at)
            *first = token;
        at += size + 1;
    }
    map_free(&seen);
    return valid;
}

/* All headers of that name joined, as Node does. False when there is none. */
static bool join_protocols(const struct http_request *request, struct buf *joined)
{
    bool found = false;

    for (size_t i = 0; i < request->header_count; i++) {
        if (!str_equal_nocase(request->headers[i].name, STR("Sec-WebSocket-Protocol")))
            continue;
        if (found)
            buf_add_str(joined, STR(", "));
        buf_add_str(joined, request->headers[i].value);
        found = true;
    }
    return found;
}

static void refuse(struct buf *answer, struct str status, struct str message, struct str header)
{
    buf_add_str(answer, STR("HTTP/1.1 "));
    buf_add_str(answer, status);
    buf_add_str(answer,
                STR("\r\nConnection: close\r\nContent-Type: text/html\r\nContent-Length: "));
    buf_add_u64(answer, message.size);
    buf_add_str(answer, STR("\r\n"));
    buf_add_str(answer, header);
    buf_add_str(answer, STR("\r\n"));
    buf_add_str(answer, message);
}

static void add_header(struct buf *answer, struct str name, struct str value)
{
    buf_add_str(answer, name);
    buf_add_str(answer, STR(": "));
    buf_add_str(answer, value);
    buf_add_str(answer, STR("\r\n"));
}

static void accept(struct buf *answer, struct str key, struct str protocol,
                   struct str extensions, const struct ws_handshake *handshake)
{
    uint8_t digest[br_sha1_SIZE];
    char accept_key[ACCEPT_SIZE];
    br_sha1_context sha1;

    br_sha1_init(&sha1);
    br_sha1_update(&sha1, key.at, key.size);
    br_sha1_update(&sha1, KEY_SALT, sizeof(KEY_SALT) - 1);
    br_sha1_out(&sha1, digest);
    base64_encode(accept_key, digest, sizeof(digest));

    buf_add_str(answer, STR("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                            "Connection: Upgrade\r\nSec-WebSocket-Accept: "));
    buf_add(answer, accept_key, sizeof(accept_key));
    buf_add_str(answer, STR("\r\n"));
    if (protocol.at)
        add_header(answer, STR("Sec-WebSocket-Protocol"), protocol);
    if (handshake->deflate_bits)
        add_header(answer, STR("Sec-WebSocket-Extensions"), extensions);
    for (size_t i = 0; i < handshake->header_count; i++)
        add_header(answer, handshake->headers[i].name, handshake->headers[i].value);
    buf_add_str(answer, STR("\r\n"));
}

static bool version_valid(struct str version)
{
    return version.at && (str_equal(version, STR("13")) || str_equal(version, STR("8")));
}

bool ws_handshake_answer(const struct http_request *request, struct ws_handshake *handshake,
                         struct buf *answer)
{
    struct str bad_request = STR("400 Bad Request"), none = STR("");
    struct str upgrade = single_header(request, STR("Upgrade"));
    struct str key = single_header(request, STR("Sec-WebSocket-Key"));
    struct str protocol = {NULL, 0};
    struct buf protocols, extensions;
    bool accepted = false;

    handshake->deflate_bits = 0;
    buf_init(&protocols, JOINED_MAX);
    buf_init(&extensions, JOINED_MAX);
    if (request->method != HTTP_GET)
        refuse(answer, STR("405 Method Not Allowed"), STR("Invalid HTTP method"), none);
    else if (!upgrade.at || !str_equal_nocase(upgrade, STR("websocket")))
        refuse(answer, bad_request, STR("Invalid Upgrade header"), none);
    else if (!key_valid(key))
        refuse(answer, bad_request, STR("Missing or invalid Sec-WebSocket-Key header"), none);
    else if (!version_valid(single_header(request, STR("Sec-WebSocket-Version"))))
        refuse(answer, bad_request, STR("Missing or invalid Sec-WebSocket-Version header"),
               STR("Sec-WebSocket-Version: 13, 8\r\n"));
    else if (join_protocols(request, &protocols) &&
             (buf_failed(&protocols) || !parse_protocols(buf_str(&protocols), &protocol)))
        refuse(answer, bad_request, STR("Invalid Sec-WebSocket-Protocol header"), none);
    else if (handshake->deflate &&
             !ws_extension_agree(request, &extensions, &handshake->deflate_bits))
        refuse(answer, bad_request,
               STR("Invalid or unacceptable Sec-WebSocket-Extensions header"), none);
    else
        accepted = true;
    if (accepted)
        accept(answer, key, protocol, buf_str(&extensions), handshake);
    buf_free(&extensions);
    buf_free(&protocols);
    return accepted && !buf_failed(answer);
}
