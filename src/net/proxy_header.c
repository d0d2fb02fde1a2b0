#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    V2_HEAD = 16, /* signature, version and command, family, length */
    V2_LOCAL = 0x20,
    V2_PROXY = 0x21,
    V2_UNSPECIFIED = 0x00,
    V2_TCP4 = 0x11,
    V2_TCP6 = 0x21,
    V2_UNIX = 0x31,
    V2_TCP4_SIZE = 12, /* two addresses, two ports */
    V2_TCP6_SIZE = 36,
    V2_UNIX_SIZE = 216,
};

static const char v1_start[] = "PROXY ";
static const uint8_t v2_start[12] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                     0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* ---- version 1 ---- */

/* Takes the word up to the next space or the end. */
static struct str take_word(struct str *line)
{
    const char *space = memchr(line->at, ' ', line->size);
    size_t size = space ? (size_t)(space - line->at) : line->size;
    struct str word = str_of(line->at, size);

    *line = str_from_index(*line, size + 1);
    return word;
}

static bool take_address(struct str *line, int family, char address[NET_ADDRESS_MAX])
{
    struct str word = take_word(line);
    uint8_t bytes[sizeof(struct in6_addr)];

    if (word.size >= INET6_ADDRSTRLEN || memchr(word.at, 0, word.size))
        return false;
    memcpy(address, word.at, word.size);
    address[word.size] = 0;
    return inet_pton(family, address, bytes) == 1;
}

static bool take_port(struct str *line)
{
    struct str word = take_word(line);
    uint32_t port = 0;

    if (word.size == 0 || word.size > 5 || (word.size > 1 && word.at[0] == '0'))
        return false;
    for (size_t i = 0; i < word.size; i++) {
        if (word.at[i] < '0' || word.at[i] > '9')
            return false;
        port = port * 10 + (uint32_t)(word.at[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* The line behind "PROXY ", without its end. */
static bool parse_line(struct str line, char address[NET_ADDRESS_MAX])
{
    char own[NET_ADDRESS_MAX]; /* the balancer's end, of no interest but it must be right */
    bool ends_in_word = line.size > 0 && line.at[line.size - 1] != ' ';
    struct str family = take_word(&line);
    int number = str_equal(family, STR("TCP4")) ? AF_INET : AF_INET6;

    address[0] = 0;
    if (str_equal(family, STR("UNKNOWN")))
        return true;
    if (number == AF_INET6 && !str_equal(family, STR("TCP6")))
        return false;
    return ends_in_word && take_address(&line, number, address) &&
           take_address(&line, number, own) && take_port(&line) && take_port(&line) &&
           line.size == 0;
}

static enum proxy_result parse_v1(const uint8_t *bytes, size_t size, size_t *used,
                                  char address[NET_ADDRESS_MAX])
{
    size_t start = sizeof(v1_start) - 1;
    const uint8_t *end = memchr(bytes, '\n', size < PROXY_V1_MAX ? size : PROXY_V1_MAX);

    if (!end)
        return size < PROXY_V1_MAX ? PROXY_MORE : PROXY_BAD;
    *used = (size_t)(end - bytes) + 1;
    if (*used < start + 2 || end[-1] != '\r')
        return PROXY_BAD;
    return parse_line(str_of(bytes + start, *used - start - 2), address) ? PROXY_DONE
                                                                         : PROXY_BAD;
}

/* ---- version 2 ---- */

static bool read_addresses(const uint8_t *bytes, size_t size, uint8_t family,
                           char address[NET_ADDRESS_MAX])
{
    switch (family) {
    case V2_TCP4:
        return size >= V2_TCP4_SIZE && inet_ntop(AF_INET, bytes, address, NET_ADDRESS_MAX);
    case V2_TCP6:
        return size >= V2_TCP6_SIZE && inet_ntop(AF_INET6, bytes, address, NET_ADDRESS_MAX);
    case V2_UNIX:
        return size >= V2_UNIX_SIZE;
    default:
        return family == V2_UNSPECIFIED;
    }
}

static enum proxy_result parse_v2(const uint8_t *bytes, size_t size, size_t *used,
                                  char address[NET_ADDRESS_MAX])
{
    if (size < V2_HEAD)
        return PROXY_MORE;

    uint8_t command = bytes[12];
    size_t length = (size_t)bytes[14] << 8 | bytes[15];

    if ((command != V2_LOCAL && command != V2_PROXY) || length > PROXY_HEADER_MAX - V2_HEAD)
        return PROXY_BAD;
    if (size - V2_HEAD < length)
        return PROXY_MORE;
    *used = V2_HEAD + length;
    address[0] = 0;
    if (command == V2_LOCAL)
        return PROXY_DONE;
    return read_addresses(bytes + V2_HEAD, length, bytes[13], address) ? PROXY_DONE : PROXY_BAD;
}

/* ---- interface ---- */

static bool begins(const uint8_t *bytes, size_t size, const void *start, size_t start_size)
{
    return memcmp(bytes, start, size < start_size ? size : start_size) == 0;
}

enum proxy_result proxy_header_parse(const uint8_t *bytes, size_t size, size_t *used,
                                     char address[NET_ADDRESS_MAX])
{
    if (begins(bytes, size, v1_start, sizeof(v1_start) - 1))
        return parse_v1(bytes, size, used, address);
    if (begins(bytes, size, v2_start, sizeof(v2_start)))
        return parse_v2(bytes, size, used, address);
    return PROXY_BAD;
}
