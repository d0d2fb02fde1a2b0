#include "forward/passport.h"

#include "base/base64.h"

#include <assert.h>

enum {
    NAME_BYTES = PASSPORT_NAME_SIZE / 4 * 3,
};

const struct str passport_header = STR("X-Skua-Forwarded");

void passport_name_write(uint64_t name, char text[PASSPORT_NAME_SIZE])
{
    uint8_t bytes[NAME_BYTES];

    assert(name >> (8 * NAME_BYTES) == 0);
    for (int i = NAME_BYTES - 1; i >= 0; i--, name >>= 8)
        bytes[i] = (uint8_t)name;
    base64_encode(text, bytes, sizeof(bytes));
    for (int i = 0; i < PASSPORT_NAME_SIZE; i++)
        text[i] = text[i] == '/' ? '_' : text[i] == '+' ? '-' : text[i];
}

bool passport_name_read(struct str text, uint64_t *name)
{
    uint8_t bytes[PASSPORT_NAME_SIZE + 3];
    char again[PASSPORT_NAME_SIZE];

    if (text.size != PASSPORT_NAME_SIZE ||
        base64_decode(bytes, text.at, text.size) != NAME_BYTES)
        return false;
    *name = 0;
    for (int i = 0; i < NAME_BYTES; i++)
        *name = *name << 8 | bytes[i];
    passport_name_write(*name, again); /* decoding is lenient */
    return memcmp(again, text.at, sizeof(again)) == 0;
}

void passport_write(struct buf *to, struct str secret, const struct passport *passport)
{
    buf_add_str(to, secret);
    buf_add_str(to, passport->secure ? STR(" https ") : STR(" http "));
    buf_add_str(to, passport->address);
}

/* In a time that does not tell where they differ. */
static bool same_secret(const char *a, const char *b)
{
    unsigned char differences = 0;

    for (size_t i = 0; i < PASSPORT_SECRET_SIZE; i++)
        differences |= (unsigned char)(a[i] ^ b[i]);
    return differences == 0;
}

bool passport_read(struct str value, struct str secret, struct passport *passport)
{
    struct str rest = str_from_index(value, PASSPORT_SECRET_SIZE);

    if (secret.size != PASSPORT_SECRET_SIZE || value.size < PASSPORT_SECRET_SIZE ||
        !same_secret(value.at, secret.at))
        return false;
    passport->secure = str_starts(rest, STR(" https"));
    if (!passport->secure && !str_starts(rest, STR(" http")))
        return false;
    rest = str_from_index(rest, passport->secure ? strlen(" https") : strlen(" http"));
    if (rest.size > 0 && rest.at[0] != ' ')
        return false;
    passport->address = str_trim(rest);
    return passport->address.size < NET_ADDRESS_MAX;
}
