#include "net/frame.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    FIN = 0x80,
    DEFLATED = 0x40, /* RSV1: RFC 7692, 6 */
    LENGTH_16 = 126, /* length field values that announce a longer length */
    LENGTH_64 = 127,
    HEADER_MAX = 10, /* two bytes and a 64-bit length; no mask */
};

/*
 * The header is written right-aligned against the payload, so that both are one run of
 * bytes whatever the header's length.
 */
struct frame {
    _Atomic uint32_t references;
    uint8_t header_size;
    int8_t kind;
    uint8_t spelling; /* of a frame in another one's list */
    bool deflated : 1;
    bool plain : 1;
    size_t payload_size;
    _Atomic(struct frame *) spellings; /* the first of a list */
    _Atomic(struct frame *) next;      /* in the list of another one's */
    uint8_t bytes[];                   /* HEADER_MAX bytes, then the payload */
};

static void put_big_endian(uint8_t *to, uint64_t value, int width)
{
    for (int i = width - 1; i >= 0; i--, value >>= 8)
        to[i] = (uint8_t)value;
}

static uint8_t header_size_for(enum frame_kind kind, size_t payload_size)
{
    if (kind == FRAME_RAW)
        return 0;
    if (payload_size < LENGTH_16)
        return 2;
    return payload_size <= UINT16_MAX ? 4 : 10;
}

static void write_header(struct frame *frame)
{
    uint8_t *header = frame->bytes + HEADER_MAX - frame->header_size;

    if (frame->header_size == 0)
        return;
    header[0] = (uint8_t)(FIN | (frame->deflated ? DEFLATED : 0) | frame->kind);
    switch (frame->header_size) {
    case 2:
        header[1] = (uint8_t)frame->payload_size;
        break;
    case 4:
        header[1] = LENGTH_16;
        put_big_endian(header + 2, frame->payload_size, 2);
        break;
    default:
        header[1] = LENGTH_64;
        put_big_endian(header + 2, frame->payload_size, 8);
    }
}

struct frame *frame_new(enum frame_kind kind, size_t size)
{
    assert(kind == FRAME_RAW || kind < FRAME_CLOSE || size < LENGTH_16);
    if (size > SIZE_MAX - sizeof(struct frame) - HEADER_MAX)
        return NULL;

    struct frame *frame = malloc(sizeof(*frame) + HEADER_MAX + size);
    if (!frame)
        return NULL;
    atomic_init(&frame->references, 1);
    frame->header_size = header_size_for(kind, size);
    frame->kind = (int8_t)kind;
    frame->spelling = 0;
    frame->deflated = frame->plain = false;
    frame->payload_size = size;
    atomic_init(&frame->spellings, NULL);
    atomic_init(&frame->next, NULL);
    write_header(frame);
    return frame;
}

struct frame *frame_trim(struct frame *frame, size_t size)
{
    struct frame *moved;

    assert(size <= frame->payload_size);
    moved = realloc(frame, sizeof(*frame) + HEADER_MAX + size);
    if (moved)
        frame = moved;
    frame->payload_size = size;
    frame->header_size = header_size_for((enum frame_kind)frame->kind, size);
    write_header(frame);
    return frame;
}

void frame_mark_deflated(struct frame *frame)
{
    assert(frame->kind == FRAME_TEXT || frame->kind == FRAME_BINARY);
    frame->deflated = true;
    write_header(frame);
}

void frame_keep_plain(struct frame *frame)
{
    frame->plain = true;
}

bool frame_is_plain(const struct frame *frame)
{
    return frame->plain;
}

uint8_t *frame_payload(struct frame *frame)
{
    return frame->bytes + HEADER_MAX;
}

enum frame_kind frame_kind(const struct frame *frame)
{
    return (enum frame_kind)frame->kind;
}

struct str frame_body(const struct frame *frame)
{
    return str_of(frame->bytes + HEADER_MAX, frame->payload_size);
}

const uint8_t *frame_wire(const struct frame *frame, size_t *size)
{
    *size = frame->header_size + frame->payload_size;
    return frame->bytes + HEADER_MAX - frame->header_size;
}

static struct frame *find_spelling(struct frame *list, uint8_t spelling)
{
    while (list && list->spelling != spelling)
        list = atomic_load_explicit(&list->next, memory_order_acquire);
    return list;
}

struct frame *frame_find_spelling(const struct frame *frame, uint8_t spelling)
{
    return find_spelling(atomic_load_explicit(&frame->spellings, memory_order_acquire),
                         spelling);
}

struct frame *frame_keep_spelling(struct frame *frame, uint8_t spelling, struct frame *made)
{
    struct frame *first = atomic_load_explicit(&frame->spellings, memory_order_acquire);

    made->spelling = spelling;
    do {
        /* Another thread may have been quicker. */
        struct frame *found = find_spelling(first, spelling);
        if (found) {
            atomic_store_explicit(&made->next, NULL, memory_order_relaxed);
            frame_unref(made);
            return found;
        }
        atomic_store_explicit(&made->next, first, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(
        &frame->spellings, &first, made, memory_order_release, memory_order_acquire));
    return made;
}

struct frame *frame_spelled(struct frame *frame, uint8_t spelling,
                            struct frame *(*make)(const struct frame *frame))
{
    struct frame *found = frame_find_spelling(frame, spelling);
    struct frame *made = found ? NULL : make(frame);

    return made ? frame_keep_spelling(frame, spelling, made) : found;
}

struct frame *frame_ref(struct frame *frame)
{
    /* Relaxed: the caller's own reference keeps the frame alive meanwhile. */
    uint32_t before = atomic_fetch_add_explicit(&frame->references, 1, memory_order_relaxed);
    assert(before > 0 && before < UINT32_MAX);
    return frame;
}

/* A spelling may be queued somewhere for longer than the frame it belongs to. */
static void unref_spellings(struct frame *frame)
{
    struct frame *next = atomic_load_explicit(&frame->spellings, memory_order_acquire);

    while (next) {
        struct frame *spelled = next;

        next = atomic_exchange_explicit(&spelled->next, NULL, memory_order_acq_rel);
        frame_unref(spelled);
    }
}

void frame_unref(struct frame *frame)
{
    /* Acquire-release: every reader's last use comes before the free. */
    uint32_t before = atomic_fetch_sub_explicit(&frame->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    unref_spellings(frame);
    free(frame);
}
