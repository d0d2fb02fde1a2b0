/*
 * siphash: SipHash-1-3 (Aumasson and Bernstein; the variant that hash tables use).
 *
 * Callers   map, under a random key; the cluster's buses, under a fixed one.
 * Threads   any.
 * Errors    none.
 */
#ifndef SKUA_BASE_SIPHASH_H
#define SKUA_BASE_SIPHASH_H

#include "base/str.h"

#include <stdint.h>

static inline uint64_t siphash_rotate(uint64_t word, int bits)
{
    return word << bits | word >> (64 - bits);
}

static inline void siphash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = siphash_rotate(v[1], 13) ^ v[0];
    v[3] = siphash_rotate(v[3], 16) ^ v[2];
    v[0] = siphash_rotate(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = siphash_rotate(v[1], 17) ^ v[2];
    v[3] = siphash_rotate(v[3], 21) ^ v[0];
    v[2] = siphash_rotate(v[2], 32);
}

static inline uint64_t siphash(const uint64_t key[2], struct str bytes)
{
    uint64_t v[4] = {
        key[0] ^ UINT64_C(0x736f6d6570736575),
        key[1] ^ UINT64_C(0x646f72616e646f6d),
        key[0] ^ UINT64_C(0x6c7967656e657261),
        key[1] ^ UINT64_C(0x7465646279746573),
    };
    uint64_t word;
    size_t at = 0;

    for (; bytes.size - at >= 8; at += 8) {
        memcpy(&word, bytes.at + at, 8);
        v[3] ^= word;
        siphash_round(v);
        v[0] ^= word;
    }
    word = (uint64_t)bytes.size << 56;
    for (size_t i = at; i < bytes.size; i++)
        word |= (uint64_t)(uint8_t)bytes.at[i] << 8 * (i - at);
    v[3] ^= word;
    siphash_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++)
        siphash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
