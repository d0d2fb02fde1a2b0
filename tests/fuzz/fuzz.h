/*
 * fuzz: what the fuzzers share: taking an input apart, and copies that end where the bytes end,
 * so that the address sanitizer sees a read behind them.
 *
 * Callers   tests/fuzz/fuzz_*.c, each a libFuzzer target on its own; assert() is the oracle.
 * Owner     fuzz_copy()'s result is the caller's to free().
 */
#ifndef SKUA_TESTS_FUZZ_FUZZ_H
#define SKUA_TESTS_FUZZ_FUZZ_H

#include "base/str.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* What is left of an input. */
struct fuzz_input {
    const uint8_t *at;
    size_t left;
};

/* The next byte; 0 behind the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->left == 0)
        return 0;
    input->left--;
    return *input->at++;
}

/* Up to the separator, which is eaten, or the end. */
static inline struct str fuzz_part(struct fuzz_input *input, char separator)
{
    const uint8_t *end = input->left ? memchr(input->at, separator, input->left) : NULL;
    struct str part = str_of(input->at, end ? (size_t)(end - input->at) : input->left);
    size_t taken = part.size + (end ? 1 : 0);

    input->at += taken;
    input->left -= taken;
    return part;
}

static inline struct str fuzz_rest(struct fuzz_input *input)
{
    struct str rest = str_of(input->at, input->left);

    input->left = 0;
    return rest;
}

/* Never NULL, also for no bytes. */
static inline uint8_t *fuzz_copy(struct str bytes)
{
    uint8_t *copy = malloc(bytes.size);

    if (!copy)
        abort();
    memcpy(copy, bytes.at, bytes.size);
    return copy;
}

#endif
