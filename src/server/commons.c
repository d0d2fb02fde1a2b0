#include "server/commons.h"

#include <pthread.h>
#include <stdlib.h>

struct commons {
    uint32_t workers;
    struct mailbox_hub *hub;
    struct vault *vault;
    struct tally_sum *sum;
    struct health_reasons reasons;
    char secret[PASSPORT_SECRET_SIZE];

    pthread_mutex_t lock; /* for what follows */
    struct presence {
        const struct eio_server *engine; /* NULL: the worker is not there */
        uint64_t name;
        struct peer_address door; /* size 0: none */
    } there[CFG_WORKERS_MAX];
    struct commons_total total;
    uint32_t closed;
    uint32_t accept_no_more;
};

struct commons *commons_new(const struct config *config, struct random *random)
{
    struct commons *commons = calloc(1, sizeof(*commons));

    if (!commons)
        return NULL;
    commons->workers = config->workers;
    random_hex(random, commons->secret, sizeof(commons->secret));
    health_reasons_init(&commons->reasons);
    pthread_mutex_init(&commons->lock, NULL);
    if (config->workers == 1)
        return commons;
    commons->hub = mailbox_hub_new();
    commons->vault = vault_new();
    commons->sum = tally_sum_new(config->limits.connections_per_address);
    if (commons->hub && commons->vault && commons->sum)
        return commons;
    commons_free(commons);
    return NULL;
}

void commons_free(struct commons *commons)
{
    if (!commons)
        return;
    if (commons->hub)
        mailbox_hub_unref(commons->hub);
    vault_free(commons->vault);
    tally_sum_unref(commons->sum);
    pthread_mutex_destroy(&commons->lock);
    pthread_mutex_destroy(&commons->reasons.lock);
    free(commons);
}

uint32_t commons_workers(const struct commons *commons)
{
    return commons->workers;
}

struct mailbox_hub *commons_hub(struct commons *commons)
{
    return commons->hub;
}

struct vault *commons_vault(struct commons *commons)
{
    return commons->vault;
}

struct tally_sum *commons_sum(struct commons *commons)
{
    return commons->sum;
}

struct health_reasons *commons_reasons(struct commons *commons)
{
    return commons->workers > 1 ? &commons->reasons : NULL;
}

/* --- sums ------------------------------------------------------------------------------------ */

static void set_presence(struct commons *commons, uint32_t worker,
                         const struct eio_server *engine)
{
    pthread_mutex_lock(&commons->lock);
    commons->there[worker] = (struct presence){.engine = engine};
    pthread_mutex_unlock(&commons->lock);
}

void commons_join(struct commons *commons, uint32_t worker, const struct eio_server *engine)
{
    set_presence(commons, worker, engine);
}

void commons_leave(struct commons *commons, uint32_t worker)
{
    set_presence(commons, worker, NULL);
}

uint32_t commons_sessions(struct commons *commons)
{
    uint32_t sessions = 0;

    pthread_mutex_lock(&commons->lock);
    for (uint32_t i = 0; i < commons->workers; i++) {
        if (commons->there[i].engine)
            sessions += eio_server_sessions(commons->there[i].engine);
    }
    pthread_mutex_unlock(&commons->lock);
    return sessions;
}

void commons_open(struct commons *commons, uint32_t worker, uint64_t name,
                  const struct peer_address *door)
{
    pthread_mutex_lock(&commons->lock);
    commons->there[worker].name = name;
    commons->there[worker].door = *door;
    pthread_mutex_unlock(&commons->lock);
}

bool commons_find(struct commons *commons, uint64_t name, struct peer_address *door)
{
    bool found = false;

    pthread_mutex_lock(&commons->lock);
    for (uint32_t i = 0; i < commons->workers && !found; i++) {
        found = commons->there[i].name == name && commons->there[i].door.size > 0;
        if (found)
            *door = commons->there[i].door;
    }
    pthread_mutex_unlock(&commons->lock);
    return found;
}

struct str commons_secret(const struct commons *commons)
{
    return str_of(commons->secret, sizeof(commons->secret));
}

bool commons_close(struct commons *commons, const struct commons_total *own,
                   struct commons_total *total)
{
    bool last;

    pthread_mutex_lock(&commons->lock);
    commons->total.sessions += own->sessions;
    for (int hit = 0; hit < HIT_KINDS; hit++)
        commons->total.hits.counts[hit] += own->hits.counts[hit];
    *total = commons->total;
    last = ++commons->closed == commons->workers;
    pthread_mutex_unlock(&commons->lock);
    return last;
}

bool commons_accept_no_more(struct commons *commons)
{
    bool last;

    pthread_mutex_lock(&commons->lock);
    last = ++commons->accept_no_more == commons->workers;
    pthread_mutex_unlock(&commons->lock);
    return last;
}
