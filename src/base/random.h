/*
 * random: unpredictable bytes from the kernel, drawn in blocks.
 *
 * Callers   session ids, socket ids, hash keys, jitter.
 * Owner     a worker owns one struct random.
 * Threads   one at a time; after fork() the child must init anew.
 * Errors    none: a kernel without getrandom() aborts the process at start, ids must not be
 *           guessable.
 */
#ifndef SKUA_BASE_RANDOM_H
#define SKUA_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

enum {
    RANDOM_BLOCK = 1024, /* bytes drawn at once */
    RANDOM_ID_SIZE = 20, /* characters of an id: 15 bytes in base64 */
};

struct random {
    size_t left;
    uint8_t block[RANDOM_BLOCK];
    uint32_t sequence;
};

void random_init(struct random *random);
void random_bytes(struct random *random, void *to, size_t size);

/* `size` lower-case hexadecimal digits, no NUL. */
void random_hex(struct random *random, char *to, size_t size);

/*
 * An id as the reference makes them (engine.io 6.6 base64id): 11 random bytes and a 4-byte
 * big-endian counter in base64 with '/' → '_' and '+' → '-'. Writes RANDOM_ID_SIZE characters,
 * no NUL.
 */
void random_id(struct random *random, char *to);

/* `size` characters of that alphabet, a multiple of 4 up to RANDOM_ID_SIZE; no NUL. */
void random_text(struct random *random, char *to, size_t size);

#endif
