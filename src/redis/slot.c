#include "redis/private.h"

/* CRC-16/XMODEM, four bits at a time. */
static uint16_t crc16(struct str text)
{
    static const uint16_t table[16] = {
        0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
        0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef,
    };
    uint16_t crc = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = (uint8_t)text.at[i];

        crc = (uint16_t)(crc << 4 ^ table[crc >> 12 ^ byte >> 4]);
        crc = (uint16_t)(crc << 4 ^ table[(crc >> 12 ^ byte) & 0xf]);
    }
    return crc;
}

uint16_t slot_of(struct str key)
{
    const char *open = memchr(key.at, '{', key.size);

    if (open) {
        struct str tag = str_from_index(key, (size_t)(open - key.at) + 1);
        const char *close = memchr(tag.at, '}', tag.size);

        if (close && close != tag.at)
            key = str_of(tag.at, (size_t)(close - tag.at));
    }
    return crc16(key) % CLUSTER_SLOTS;
}

bool server_parse(struct str host, struct str port, struct redis_server *server)
{
    unsigned long value = 0;

    if (host.size == 0 || host.size >= sizeof(server->host) || memchr(host.at, 0, host.size))
        return false;
    for (size_t i = 0; i < port.size && value <= UINT16_MAX; i++) {
        if (port.at[i] < '0' || port.at[i] > '9')
            return false;
        value = value * 10 + (unsigned long)(port.at[i] - '0');
    }
    if (value == 0 || value > UINT16_MAX)
        return false;
    memcpy(server->host, host.at, host.size);
    server->host[host.size] = 0;
    server->port = (uint16_t)value;
    return true;
}

/* The next word of a text with spaces between them. */
struct str next_word(struct str *text)
{
    const char *space = memchr(text->at, ' ', text->size);
    struct str word = str_of(text->at, space ? (size_t)(space - text->at) : text->size);

    *text = str_from_index(*text, word.size + 1);
    return word;
}

/* "MOVED 3999 127.0.0.1:6381": the host may be empty, for the one that says so, and have colons. */
bool redirection_parse(struct str error, const struct redis_server *speaker,
                       struct redirection *redirection)
{
    struct str kind = next_word(&error), slot = next_word(&error), host = next_word(&error),
               port;
    const char *colon = memrchr(host.at, ':', host.size);
    unsigned long number = 0;

    redirection->ask = str_equal(kind, STR("ASK"));
    if ((!redirection->ask && !str_equal(kind, STR("MOVED"))) || !colon || slot.size == 0)
        return false;
    for (size_t i = 0; i < slot.size && number < CLUSTER_SLOTS; i++) {
        if (slot.at[i] < '0' || slot.at[i] > '9')
            return false;
        number = number * 10 + (unsigned long)(slot.at[i] - '0');
    }
    if (number >= CLUSTER_SLOTS)
        return false;
    redirection->slot = (uint16_t)number;
    port = str_from_index(host, (size_t)(colon - host.at) + 1);
    host.size = (size_t)(colon - host.at);
    if (host.size == 0)
        host = str_from(speaker->host);
    return server_parse(host, port, &redirection->server);
}
