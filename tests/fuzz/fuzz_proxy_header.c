/*
 * fuzz_proxy_header: PROXY headers, versions 1 and 2, as they come in: bytes that are not all here
 * must not be judged otherwise than when they are, and what is told as used was there.
 *
 * Input     the bytes.
 */
#include "fuzz.h"

#include "net/proxy_header.h"

static enum proxy_result parse(struct str bytes, size_t *used, char address[NET_ADDRESS_MAX])
{
    uint8_t *copy = fuzz_copy(bytes);
    enum proxy_result result = proxy_header_parse(copy, bytes.size, used, address);

    free(copy);
    if (result == PROXY_DONE) {
        assert(*used > 0 && *used <= bytes.size && *used <= PROXY_HEADER_MAX);
        assert(strnlen(address, NET_ADDRESS_MAX) < NET_ADDRESS_MAX);
    }
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct str all = str_of(bytes, size < PROXY_HEADER_MAX ? size : PROXY_HEADER_MAX);
    char address[NET_ADDRESS_MAX], early_address[NET_ADDRESS_MAX];
    size_t used = 0, early_used = 0;
    enum proxy_result result = parse(all, &used, address);

    for (size_t have = 0; have < all.size; have++) {
        enum proxy_result early = parse(str_of(all.at, have), &early_used, early_address);

        if (early == PROXY_DONE) {
            assert(result == PROXY_DONE && used == early_used);
            assert(strcmp(address, early_address) == 0);
        } else if (early == PROXY_BAD) {
            assert(result == PROXY_BAD);
        } else {
            assert(result != PROXY_DONE || have < used);
        }
    }
    return 0;
}
