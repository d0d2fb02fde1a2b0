#include "net/tally.h"

#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct tally_sum {
    atomic_uint references;
    atomic_uint connections;
    uint32_t per_address;
    pthread_mutex_t lock; /* for the addresses */
    struct map addresses; /* name → sum_address */
};

struct sum_address {
    uint32_t connections;
};

struct tally {
    struct tally_sum *sum; /* NULL: it counts alone */
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

/* --- sums ------------------------------------------------------------------------------------ */

struct tally_sum *tally_sum_new(uint32_t per_address)
{
    struct tally_sum *sum = calloc(1, sizeof(*sum));

    if (!sum)
        return NULL;
    atomic_init(&sum->references, 1);
    sum->per_address = per_address;
    pthread_mutex_init(&sum->lock, NULL);
    map_init(&sum->addresses);
    return sum;
}

void tally_sum_unref(struct tally_sum *sum)
{
    if (!sum || atomic_fetch_sub(&sum->references, 1) > 1)
        return;
    assert(map_size(&sum->addresses) == 0);
    map_free(&sum->addresses);
    pthread_mutex_destroy(&sum->lock);
    free(sum);
}

/* The address as it counts now, made if it is new. Under the lock. */
static struct sum_address *sum_find(struct tally_sum *sum, struct str name)
{
    struct sum_address *address = map_get(&sum->addresses, name);

    if (address)
        return address;
    address = calloc(1, sizeof(*address));
    if (address && map_put(&sum->addresses, name, address))
        return address;
    free(address);
    return NULL;
}

static bool sum_begin(struct tally_sum *sum, struct str name)
{
    struct sum_address *address;
    bool good;

    pthread_mutex_lock(&sum->lock);
    address = sum_find(sum, name);
    good = address && address->connections < sum->per_address;
    if (good)
        address->connections++;
    pthread_mutex_unlock(&sum->lock);
    return good;
}

static void sum_end(struct tally_sum *sum, struct str name)
{
    struct sum_address *address;

    pthread_mutex_lock(&sum->lock);
    address = map_get(&sum->addresses, name);
    assert(address && address->connections > 0);
    if (--address->connections == 0) {
        map_remove(&sum->addresses, name);
        free(address);
    }
    pthread_mutex_unlock(&sum->lock);
}

/* --- tallies --------------------------------------------------------------------------------- */

struct tally *tally_new(uint32_t per_address)
{
    struct tally *tally = calloc(1, sizeof(*tally));

    if (!tally)
        return NULL;
    tally->per_address = per_address;
    map_init(&tally->addresses);
    return tally;
}

struct tally *tally_new_of(struct tally_sum *sum)
{
    struct tally *tally = tally_new(sum->per_address);

    if (!tally)
        return NULL;
    tally->sum = sum;
    atomic_fetch_add(&sum->references, 1);
    return tally;
}

static void free_when_done(struct tally *tally)
{
    if (!tally->server_gone || tally->connections > 0)
        return;
    assert(map_size(&tally->addresses) == 0);
    map_free(&tally->addresses);
    tally_sum_unref(tally->sum);
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

uint32_t tally_all_connections(const struct tally *tally)
{
    return tally->sum ? atomic_load(&tally->sum->connections) : tally->connections;
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
    if (tally->sum)
        atomic_fetch_add(&tally->sum->connections, 1);
    if (tally->connections > tally->most)
        tally->most = tally->connections;
}

void tally_end(void *owner)
{
    struct tally *tally = owner;

    assert(tally->connections > 0);
    tally->connections--;
    if (tally->sum)
        atomic_fetch_sub(&tally->sum->connections, 1);
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
    if (tally->sum && !sum_begin(tally->sum, name))
        return NULL;
    if (!address)
        address = address_new(tally, name);
    if (address)
        address->connections++;
    else if (tally->sum)
        sum_end(tally->sum, name);
    return address;
}

void tally_address_end(void *owner)
{
    struct tally_address *address = owner;
    struct tally *tally = address->tally;

    assert(address->connections > 0);
    if (tally->sum)
        sum_end(tally->sum, str_of(address->name, address->size));
    if (--address->connections == 0) {
        map_remove(&tally->addresses, str_of(address->name, address->size));
        free(address);
    }
    tally_end(tally);
}
