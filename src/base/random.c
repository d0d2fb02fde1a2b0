#include "base/random.h"

#include "base/base64.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum {
    ID_BYTES = RANDOM_ID_SIZE / 4 * 3,
};

static void refill(struct random *random)
{
    size_t got = 0;

    while (got < RANDOM_BLOCK) {
        ssize_t size = getrandom(random->block + got, RANDOM_BLOCK - got, 0);
        if (size < 0 && errno != EINTR) {
            perror("skua: getrandom");
            abort();
        }
        if (size > 0)
            got += (size_t)size;
    }
    random->left = RANDOM_BLOCK;
}

void random_init(struct random *random)
{
    random->sequence = 0;
    refill(random);
}

void random_bytes(struct random *random, void *to, size_t size)
{
    uint8_t *out = to;

    while (size > 0) {
        if (random->left == 0)
            refill(random);

        size_t step = size < random->left ? size : random->left;
        uint8_t *from = random->block + RANDOM_BLOCK - random->left;
        memcpy(out, from, step);
        memset(from, 0, step); /* an id already given must not be found in memory again */
        random->left -= step;
        out += step;
        size -= step;
    }
}

static void make_text(char *to, const uint8_t *bytes, size_t size)
{
    base64_encode(to, bytes, size / 4 * 3);
    for (size_t i = 0; i < size; i++)
        to[i] = to[i] == '/' ? '_' : to[i] == '+' ? '-' : to[i];
}

void random_id(struct random *random, char *to)
{
    uint8_t bytes[ID_BYTES];
    uint32_t sequence = random->sequence++;

    random_bytes(random, bytes, 11);
    for (int i = 0; i < 4; i++)
        bytes[11 + i] = (uint8_t)(sequence >> (24 - 8 * i));
    make_text(to, bytes, RANDOM_ID_SIZE);
}

void random_text(struct random *random, char *to, size_t size)
{
    uint8_t bytes[ID_BYTES];

    assert(size % 4 == 0 && size <= RANDOM_ID_SIZE);
    random_bytes(random, bytes, size / 4 * 3);
    make_text(to, bytes, size);
}

void random_hex(struct random *random, char *to, size_t size)
{
    uint8_t byte = 0;

    for (size_t i = 0; i < size; i++) {
        if (i % 2 == 0)
            random_bytes(random, &byte, 1);
        to[i] = "0123456789abcdef"[i % 2 == 0 ? byte >> 4 : byte & 0xf];
    }
}
