#include "msgpack/msgpack.h"

#include <assert.h>
#include <math.h>

static const double INTEGER_END = 9223372036854775808.0;   /* 2^63 */
static const double UNSIGNED_END = 18446744073709551616.0; /* 2^64 */

/* A first byte and a big-endian number of `size` bytes. */
static void write_number(struct buf *to, uint8_t first, uint64_t number, unsigned size)
{
    char bytes[1 + sizeof(number)] = {(char)first};

    for (unsigned i = 0; i < size; i++)
        bytes[1 + i] = (char)(number >> 8 * (size - 1 - i));
    buf_add(to, bytes, 1 + size);
}

void msgpack_write_nil(struct buf *to)
{
    buf_add_byte(to, (char)0xc0);
}

void msgpack_write_bool(struct buf *to, bool value)
{
    buf_add_byte(to, (char)(value ? 0xc3 : 0xc2));
}

static void write_unsigned(struct buf *to, uint64_t value)
{
    if (value < 0x80)
        buf_add_byte(to, (char)value);
    else if (value <= UINT8_MAX)
        write_number(to, 0xcc, value, 1);
    else if (value <= UINT16_MAX)
        write_number(to, 0xcd, value, 2);
    else if (value <= UINT32_MAX)
        write_number(to, 0xce, value, 4);
    else
        write_number(to, 0xcf, value, 8);
}

void msgpack_write_integer(struct buf *to, int64_t value)
{
    if (value >= 0)
        write_unsigned(to, (uint64_t)value);
    else if (value >= -0x20)
        buf_add_byte(to, (char)value);
    else if (value >= INT8_MIN)
        write_number(to, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        write_number(to, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        write_number(to, 0xd2, (uint64_t)value, 4);
    else
        write_number(to, 0xd3, (uint64_t)value, 8);
}

void msgpack_write_double(struct buf *to, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    write_number(to, 0xcb, bits, 8);
}

void msgpack_write_real(struct buf *to, double value)
{
    if (floor(value) == value && value >= -INTEGER_END && value < INTEGER_END)
        msgpack_write_integer(to, (int64_t)value);
    else if (floor(value) == value && value > 0 && value < UNSIGNED_END)
        write_unsigned(to, (uint64_t)value);
    else
        msgpack_write_double(to, value);
}

/* A length in the shortest form behind its first byte: `first` with 1 byte of it, then 2, then 4. */
static void write_length(struct buf *to, uint8_t first, size_t size)
{
    assert(size <= UINT32_MAX);
    if (size <= UINT8_MAX)
        write_number(to, first, size, 1);
    else if (size <= UINT16_MAX)
        write_number(to, (uint8_t)(first + 1), size, 2);
    else
        write_number(to, (uint8_t)(first + 2), size, 4);
}

void msgpack_write_string(struct buf *to, struct str text)
{
    if (text.size < 0x20)
        buf_add_byte(to, (char)(0xa0 | text.size));
    else
        write_length(to, 0xd9, text.size);
    buf_add_str(to, text);
}

void msgpack_write_binary(struct buf *to, struct str bytes)
{
    write_length(to, 0xc4, bytes.size);
    buf_add_str(to, bytes);
}

static void write_container(struct buf *to, uint8_t small, uint8_t large, uint32_t count)
{
    if (count < 0x10)
        buf_add_byte(to, (char)(small | count));
    else if (count <= UINT16_MAX)
        write_number(to, large, count, 2);
    else
        write_number(to, (uint8_t)(large + 1), count, 4);
}

void msgpack_write_array(struct buf *to, uint32_t count)
{
    write_container(to, 0x90, 0xdc, count);
}

void msgpack_write_map(struct buf *to, uint32_t count)
{
    write_container(to, 0x80, 0xde, count);
}
