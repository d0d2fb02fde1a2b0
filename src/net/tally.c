#include "net/tally.h"

#include "base/map.h"

#include <assert.h>
#include <stdlib.h>

struct tally {
    uint32_t connections;
    uint32_t most; /* of them at a time, since somebody asked */
    uint32_t per_address;
    struct map addresses;
    bool server_gone;
};

struct tally_address {
    struct tally *tally;
    uint32_t connections;
    size_t size;
    char name[];
};

struct tally *tally_new(uint32_t per_address)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (!tally)
        return NULL;
    tally->per_address = per_address;
    map_init(&tally->addresses);
    return tally;
}

static void free_when_done(struct tally *tally)
{
    if (!tally->server_gone || tally->connections > 0)
        return;
    assert(map_size(&tally->addresses) == 0);
    map_free(&tally->addresses);
    free(tally);
}

void tally_leave(struct tally *tally)
{
    tally->server_gone = true;
    free_when_done(tally);
}

uint32_t tally_connections(const struct tally *tally)
{
    return tally->connections;
}

uint32_t tally_take_most(struct tally *tally)
{
    uint32_t most = tally->most;

    tally->most = tally->connections;
    return most;
}

bool tally_counts_addresses(const struct tally *tally)
{
    return tally->per_address > 0;
}

void tally_begin(struct tally *tally)
{
    tally->connections++;
    if (tally->connections > tally->most)
        tally->most = tally->connections;
}

void tally_end(void *owner)
{
    struct tally *tally = owner;

    assert(tally->connections > 0);
    tally->connections--;
    free_when_done(tally);
}

static struct tally_address *address_new(struct tally *tally, struct str name)
{
    struct tally_address *address = malloc(sizeof(*address) + name.size);

    if (!address)
        return NULL;
    *address = (struct tally_address){.tally = tally, .size = name.size};
    memcpy(address->name, name.at, name.size);
    if (map_put(&tally->addresses, name, address))
        return address;
    free(address);
    return NULL;
}

struct tally_address *tally_address_begin(struct tally *tally, struct str name)
{
    struct tally_address *address = map_get(&tally->addresses, name);

    assert(tally_counts_addresses(tally));
    if (address && address->connections >= tally->per_address)
        return NULL;
    if (!address)
        address = address_new(tally, name);
    if (address)
        address->connections++;
    return address;
}

void tally_address_end(void *owner)
{
    struct tally_address *address = owner;
    struct tally *tally = address->tally;

    assert(address->connections > 0);
    if (--address->connections == 0) {
        map_remove(&tally->addresses, str_of(address->name, address->size));
        free(address);
    }
    tally_end(tally);
}
