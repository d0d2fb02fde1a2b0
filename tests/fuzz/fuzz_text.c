/*
 * fuzz_text: UTF-8 and base64 of base/: in pieces as whole, repaired text is valid, valid text is
 * left alone, what was encoded is decoded.
 *
 * Input     where the bytes are cut, the bytes.
 */
#include "fuzz.h"

#include "base/base64.h"
#include "base/utf8.h"

static void check_utf8(struct str text, size_t cut)
{
    bool valid = utf8_valid(text.at, text.size);
    uint32_t state = utf8_feed(UTF8_START, text.at, cut);
    struct buf repaired;

    state = utf8_feed(state, text.at + cut, text.size - cut);
    assert(valid == utf8_complete(state));

    buf_init(&repaired, text.size * 3);
    assert(utf8_repair(&repaired, text));
    assert(utf8_valid(repaired.at, repaired.size));
    assert(str_equal(buf_str(&repaired), text) == valid);
    buf_free(&repaired);
}

static void check_base64(struct str bytes)
{
    size_t room = bytes.size / 4 * 3 + 3;
    uint8_t *decoded = malloc(room);
    size_t encoded_size = base64_encoded_size(bytes.size);
    char *encoded = malloc(encoded_size);
    uint8_t *back = (uint8_t *)encoded;

    assert(decoded && encoded);
    assert(base64_decode(decoded, bytes.at, bytes.size) <= room);
    base64_encode(encoded, bytes.at, bytes.size);
    assert(base64_decode(back, encoded, encoded_size) == bytes.size);
    assert(memcmp(back, bytes.at, bytes.size) == 0);
    free(encoded);
    free(decoded);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    size_t cut = fuzz_byte(&input);
    struct str rest = fuzz_rest(&input);
    char *copy = (char *)fuzz_copy(rest);

    rest.at = copy;
    check_utf8(rest, cut < rest.size ? cut : rest.size);
    check_base64(rest);
    free(copy);
    return 0;
}
