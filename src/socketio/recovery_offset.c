#include "recovery.h"

/*
 * "ORIGIN.NUMBER" and, in a cluster, ".PLACE" in the keeper's spelling: characters of base64 for
 * URLs, so that nothing needs to be escaped.
 */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum {
    DIGIT_BITS = 6,
};

static int digit_of(char character)
{
    const char *found = character ? strchr(digits, character) : NULL;

    return found ? (int)(found - digits) : -1;
}

bool sio_number_read(struct str text, uint64_t *number)
{
    *number = 0;
    if (text.size == 0 || text.size > SIO_NUMBER_SIZE)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.at[i]);

        if (digit < 0 || *number >> (64 - DIGIT_BITS) != 0)
            return false;
        *number = *number << DIGIT_BITS | (unsigned)digit;
    }
    return true;
}

void sio_number_write(struct buf *to, uint64_t number)
{
    char text[SIO_NUMBER_SIZE];
    int first = SIO_NUMBER_SIZE;

    do {
        text[--first] = digits[number % (1 << DIGIT_BITS)];
        number >>= DIGIT_BITS;
    } while (number > 0);
    buf_add(to, text + first, (size_t)(SIO_NUMBER_SIZE - first));
}

void sio_offset_write(struct buf *to, const struct sio_namespace *nsp, uint64_t origin,
                      uint64_t number, uint64_t place)
{
    const struct sio_keeper *keeper = &nsp->server->keeper;

    sio_number_write(to, origin);
    buf_add_byte(to, '.');
    sio_number_write(to, number);
    if (keeper->write_place) {
        buf_add_byte(to, '.');
        keeper->write_place(keeper->owner, nsp, place, to);
    }
}

/* The part up to the next '.', which is taken off `rest`. */
struct str sio_offset_part(struct str *rest)
{
    const char *dot = rest->size > 0 ? memchr(rest->at, '.', rest->size) : NULL;
    size_t size = dot ? (size_t)(dot - rest->at) : rest->size;
    struct str part = str_of(rest->at, size);

    *rest = str_from_index(*rest, dot ? size + 1 : size);
    return part;
}

bool sio_offset_split(struct str offset, uint64_t *origin, uint64_t *number, struct str *place)
{
    *place = offset;
    return sio_number_read(sio_offset_part(place), origin) &&
           sio_number_read(sio_offset_part(place), number);
}

bool sio_offset_read(const struct sio_namespace *nsp, struct str text,
                     struct sio_position *position)
{
    const struct sio_keeper *keeper = &nsp->server->keeper;
    uint64_t origin, number;
    struct str place;

    if (text.size > SIO_OFFSET_MAX)
        return false;
    if (sio_offset_split(text, &origin, &number, &place) && origin == nsp->server->origin) {
        *position = (struct sio_position){.after = number, .origin = origin, .number = number};
        return true;
    }
    return keeper->find && keeper->find(keeper->owner, nsp, text, position);
}
