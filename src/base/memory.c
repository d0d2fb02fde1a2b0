/*
 * memcpy and memmove for the release binary on x86-64 (both: musl's stand in one object).
 *
 * musl copies with a string instruction whose start costs some 30 cycles, whatever the size; what
 * a message makes us copy is mostly 2 to 100 bytes, and it was a quarter of the time of an echo.
 * Small sizes are copied by loads and stores that overlap, large ones as musl does. Other
 * architectures and glibc have good ones of their own.
 */
#include <stddef.h>
#include <stdint.h> /* stddef.h alone does not tell whose library it is */

#if defined(__x86_64__) && !defined(__GLIBC__)

enum {
    STRING_FROM = 512, /* bytes from which the string instruction wins */
};

typedef uint64_t word8 __attribute__((aligned(1), may_alias));
typedef uint32_t word4 __attribute__((aligned(1), may_alias));
typedef uint16_t word2 __attribute__((aligned(1), may_alias));
typedef unsigned __int128 word16 __attribute__((aligned(1), may_alias));

#define COPY(type, to, from) (*(type *)(to) = *(const type *)(from))

/* Else the compiler may find that a loop is a memcpy, and call it. */
#define AS_WRITTEN __attribute__((optimize("no-tree-loop-distribute-patterns")))

AS_WRITTEN void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    char *out = to;
    const char *in = from;
    char *out_end = out + size;
    const char *in_end = in + size;

    if (size > STRING_FROM) {
        __asm__ volatile("rep movsb" : "+D"(out), "+S"(in), "+c"(size) : : "memory");
        return to;
    }
    if (size >= 16) {
        /* The last 16 bytes first: then the loop may stop anywhere before them. */
        word16 last = *(const word16 *)(in_end - 16);
        for (; in + 16 < in_end; in += 16, out += 16)
            COPY(word16, out, in);
        *(word16 *)(out_end - 16) = last;
        return to;
    }
    if (size >= 8) {
        COPY(word8, out, in);
        COPY(word8, out_end - 8, in_end - 8);
    } else if (size >= 4) {
        COPY(word4, out, in);
        COPY(word4, out_end - 4, in_end - 4);
    } else if (size >= 2) {
        COPY(word2, out, in);
        COPY(word2, out_end - 2, in_end - 2);
    } else if (size == 1) {
        *out = *in;
    }
    return to;
}

AS_WRITTEN void *memmove(void *to, const void *from, size_t size)
{
    char *out = to;
    const char *in = from;

    /* Behind the source and overlapping it: from the end, as the start would overwrite it. */
    if ((uintptr_t)out - (uintptr_t)in < size) {
        for (; size >= 8; size -= 8)
            COPY(word8, out + size - 8, in + size - 8);
        while (size-- > 0)
            out[size] = in[size];
        return to;
    }
    if ((uintptr_t)in - (uintptr_t)out >= size)
        return memcpy(to, from, size);
    for (; size >= 8; size -= 8, out += 8, in += 8)
        COPY(word8, out, in);
    for (; size > 0; size--)
        *out++ = *in++;
    return to;
}

#else

/* ISO C wants a declaration in every file. */
extern int memory_is_the_library_s;

#endif
