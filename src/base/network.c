#include "base/network.h"

#include <arpa/inet.h>

enum {
    V4_PREFIX = 96, /* bits of ::ffff:0:0 */
};

/* Gives the number of bits that the address's own family has, 0 when it is none. */
static unsigned parse_address(struct str text, uint8_t address[NETWORK_BITS / 8])
{
    static const uint8_t mapped[V4_PREFIX / 8] = {[10] = 0xff, [11] = 0xff};
    char copy[INET6_ADDRSTRLEN];

    if (text.size >= sizeof(copy) || memchr(text.at, 0, text.size))
        return 0;
    memcpy(copy, text.at, text.size);
    copy[text.size] = 0;
    memcpy(address, mapped, sizeof(mapped));
    if (inet_pton(AF_INET, copy, address + sizeof(mapped)) == 1)
        return NETWORK_BITS - V4_PREFIX;
    return inet_pton(AF_INET6, copy, address) == 1 ? NETWORK_BITS : 0;
}

/* Decimal without sign or leading zero. */
static bool parse_bits(struct str text, unsigned most, unsigned *bits)
{
    if (text.size == 0 || text.size > 3 || (text.size > 1 && text.at[0] == '0'))
        return false;
    *bits = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (text.at[i] < '0' || text.at[i] > '9')
            return false;
        *bits = *bits * 10 + (unsigned)(text.at[i] - '0');
    }
    return *bits <= most;
}

bool network_parse(struct str text, struct network *network)
{
    const char *slash = memchr(text.at, '/', text.size);
    size_t size = slash ? (size_t)(slash - text.at) : text.size;
    unsigned width = parse_address(str_of(text.at, size), network->address);
    unsigned bits = width;

    if (width == 0 || (slash && !parse_bits(str_from_index(text, size + 1), width, &bits)))
        return false;
    network->bits = (uint8_t)(NETWORK_BITS - width + bits);
    return true;
}

bool network_contains(const struct network *network, struct str address)
{
    uint8_t bytes[NETWORK_BITS / 8];
    size_t whole = network->bits / 8;
    unsigned rest = network->bits % 8;

    if (parse_address(address, bytes) == 0 || memcmp(bytes, network->address, whole) != 0)
        return false;
    return rest == 0 || (bytes[whole] ^ network->address[whole]) >> (8 - rest) == 0;
}
