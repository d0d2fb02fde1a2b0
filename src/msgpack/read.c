#include "msgpack/msgpack.h"

struct msgpack_reader msgpack_reader_of(struct str bytes)
{
    const uint8_t *at = (const uint8_t *)bytes.at;

    return (struct msgpack_reader){at, at + bytes.size};
}

static bool take(struct msgpack_reader *reader, size_t size, const uint8_t **bytes)
{
    if ((size_t)(reader->end - reader->at) < size)
        return false;
    *bytes = reader->at;
    reader->at += size;
    return true;
}

/* A big-endian number of 1, 2, 4 or 8 bytes. */
static bool take_number(struct msgpack_reader *reader, size_t size, uint64_t *number)
{
    const uint8_t *bytes;

    if (!take(reader, size, &bytes))
        return false;
    *number = 0;
    for (size_t i = 0; i < size; i++)
        *number = *number << 8 | bytes[i];
    return true;
}

static bool read_bytes(struct msgpack_reader *reader, struct msgpack_token *token,
                       enum msgpack_kind kind, uint64_t size)
{
    const uint8_t *bytes;

    token->kind = kind;
    if (!take(reader, size, &bytes))
        return false;
    token->bytes = str_of(bytes, size);
    return true;
}

static bool read_extension(struct msgpack_reader *reader, struct msgpack_token *token,
                           uint64_t size, bool fixed)
{
    const uint8_t *type;

    if (!take(reader, 1, &type))
        return false;
    token->extension = (int8_t)*type;
    token->fixed = fixed;
    return read_bytes(reader, token, MSGPACK_EXTENSION, size);
}

static bool read_container(const struct msgpack_reader *reader, struct msgpack_token *token,
                           enum msgpack_kind kind, uint64_t count)
{
    uint64_t least = kind == MSGPACK_MAP ? count * 2 : count;

    token->kind = kind;
    token->count = (uint32_t)count;
    return least <= (size_t)(reader->end - reader->at);
}

static bool read_unsigned(struct msgpack_reader *reader, struct msgpack_token *token,
                          size_t size)
{
    uint64_t number;

    if (!take_number(reader, size, &number))
        return false;
    token->kind = number > INT64_MAX ? MSGPACK_UNSIGNED : MSGPACK_INTEGER;
    if (number > INT64_MAX)
        token->large = number;
    else
        token->integer = (int64_t)number;
    return true;
}

static bool read_signed(struct msgpack_reader *reader, struct msgpack_token *token, size_t size)
{
    unsigned unused = 64 - 8 * (unsigned)size;
    uint64_t number;

    if (!take_number(reader, size, &number))
        return false;
    token->kind = MSGPACK_INTEGER;
    token->integer = (int64_t)(number << unused) >> unused;
    return true;
}

static bool read_real(struct msgpack_reader *reader, struct msgpack_token *token, size_t size)
{
    uint64_t bits;

    if (!take_number(reader, size, &bits))
        return false;
    token->kind = MSGPACK_REAL;
    if (size == sizeof(float)) {
        uint32_t half = (uint32_t)bits;
        float narrow;

        memcpy(&narrow, &half, sizeof(narrow));
        token->real = (double)narrow;
    } else {
        memcpy(&token->real, &bits, sizeof(bits));
    }
    return true;
}

/* Forms whose length stands behind the first byte: 1, 2 or 4 bytes of it. */
static bool read_long(struct msgpack_reader *reader, struct msgpack_token *token, uint8_t first)
{
    static const uint8_t widths[] = {
        [0xc4 - 0xc4] = 1, [0xc5 - 0xc4] = 2, [0xc6 - 0xc4] = 4, [0xc7 - 0xc4] = 1,
        [0xc8 - 0xc4] = 2, [0xc9 - 0xc4] = 4, [0xd9 - 0xc4] = 1, [0xda - 0xc4] = 2,
        [0xdb - 0xc4] = 4, [0xdc - 0xc4] = 2, [0xdd - 0xc4] = 4, [0xde - 0xc4] = 2,
        [0xdf - 0xc4] = 4,
    };
    uint64_t size;

    if (!take_number(reader, widths[first - 0xc4], &size))
        return false;
    if (first <= 0xc6)
        return read_bytes(reader, token, MSGPACK_BINARY, size);
    if (first <= 0xc9)
        return read_extension(reader, token, size, false);
    if (first <= 0xdb)
        return read_bytes(reader, token, MSGPACK_STRING, size);
    return read_container(reader, token, first <= 0xdd ? MSGPACK_ARRAY : MSGPACK_MAP, size);
}

static bool read_marked(struct msgpack_reader *reader, struct msgpack_token *token,
                        uint8_t first)
{
    switch (first) {
    case 0xc0:
        token->kind = MSGPACK_NIL;
        return true;
    case 0xc1: /* never used */
        return false;
    case 0xc2:
    case 0xc3:
        token->kind = MSGPACK_BOOL;
        token->boolean = first == 0xc3;
        return true;
    case 0xca:
    case 0xcb:
        return read_real(reader, token, first == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return read_unsigned(reader, token, (size_t)1 << (first - 0xcc));
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        return read_signed(reader, token, (size_t)1 << (first - 0xd0));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return read_extension(reader, token, UINT64_C(1) << (first - 0xd4), true);
    default:
        return read_long(reader, token, first);
    }
}

bool msgpack_read(struct msgpack_reader *reader, struct msgpack_token *token)
{
    const uint8_t *first;

    if (!take(reader, 1, &first))
        return false;
    if (*first < 0x80 || *first >= 0xe0) {
        token->kind = MSGPACK_INTEGER;
        token->integer = *first < 0x80 ? *first : *first - 0x100;
        return true;
    }
    if (*first < 0x90)
        return read_container(reader, token, MSGPACK_MAP, *first & 0x0f);
    if (*first < 0xa0)
        return read_container(reader, token, MSGPACK_ARRAY, *first & 0x0f);
    if (*first < 0xc0)
        return read_bytes(reader, token, MSGPACK_STRING, *first & 0x1f);
    return read_marked(reader, token, *first);
}

bool msgpack_skip(struct msgpack_reader *reader)
{
    struct msgpack_token token;

    for (uint64_t due = 1; due > 0; due--) {
        if (!msgpack_read(reader, &token))
            return false;
        if (token.kind == MSGPACK_ARRAY)
            due += token.count;
        else if (token.kind == MSGPACK_MAP)
            due += (uint64_t)token.count * 2;
    }
    return true;
}

bool msgpack_is_undefined(const struct msgpack_token *token)
{
    return token->kind == MSGPACK_EXTENSION && token->fixed && token->extension == 0 &&
           token->bytes.size == 1;
}

bool msgpack_number(const struct msgpack_token *token, double *number)
{
    switch (token->kind) {
    case MSGPACK_INTEGER:
        *number = (double)token->integer;
        return true;
    case MSGPACK_UNSIGNED:
        *number = (double)token->large;
        return true;
    case MSGPACK_REAL:
        *number = token->real;
        return true;
    default:
        return false;
    }
}
