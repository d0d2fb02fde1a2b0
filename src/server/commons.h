/*
 * commons: what the workers of a process have in common: the bus between them, where lost sockets are
 * kept for all, limits that count connections of all, and what is told of all in one sum.
 *
 * With one worker there is nothing to share: bus, store and sum are NULL.
 *
 * Callers   crew makes it, workers use it.
 * Owner     the crew; it outlives the workers.
 * Threads   any.
 * Errors    NULL when out of memory.
 */
#ifndef SKUA_SERVER_COMMONS_H
#define SKUA_SERVER_COMMONS_H

#include "cluster/bus_mailbox.h"
#include "cluster/vault.h"
#include "config/config.h"
#include "engineio/engineio.h"
#include "forward/passport.h"
#include "http/health.h"
#include "net/peer_address.h"
#include "net/tally.h"

struct commons;

struct commons *commons_new(const struct config *config, struct random *random);
void commons_free(struct commons *commons);

uint32_t commons_workers(const struct commons *commons);

/* NULL with one worker. */
struct mailbox_hub *commons_hub(struct commons *commons);
struct vault *commons_vault(struct commons *commons);
struct tally_sum *commons_sum(struct commons *commons);
struct health_reasons *commons_reasons(struct commons *commons);

/* The sessions of these servers are counted, from join to leave. */
void commons_join(struct commons *commons, uint32_t worker, const struct eio_server *engine);
void commons_leave(struct commons *commons, uint32_t worker);
uint32_t commons_sessions(struct commons *commons);

/* Where the workers take over requests for their sessions (server/forwarding), until they leave, and
 * what shows that these come from here. */
void commons_open(struct commons *commons, uint32_t worker, uint64_t name,
                  const struct peer_address *door);
bool commons_find(struct commons *commons, uint64_t name, struct peer_address *door);
struct str commons_secret(const struct commons *commons);

/* Each worker's once, at its end, when `total` becomes the sum of what came so far. True for the last
 * one, whose total is that of all. */
struct commons_total {
    uint32_t sessions;
    struct hits hits;
};

bool commons_close(struct commons *commons, const struct commons_total *own,
                   struct commons_total *total);

/* This worker accepts no more. True for the last one. */
bool commons_accept_no_more(struct commons *commons);

#endif
