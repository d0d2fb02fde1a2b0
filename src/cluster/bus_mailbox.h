/*
 * bus_mailbox: the bus of one process: what workers, each a thread with a loop of its own, send to
 * each other.
 *
 * A message is copied once, into one block of memory that all receivers share. Everything goes
 * through one lock, so all members of a hub see the messages of a namespace in the same order.
 *
 * Callers   worker; tests, as the bus that needs no Redis.
 * Owner     whoever made a hub holds one reference, each bus another.
 * Threads   a hub is for any; a bus belongs to its loop's thread.
 * Units     bytes.
 * Errors    an inbox over MAILBOX_BYTES_MAX, or out of memory: the message is lost for that
 *           receiver, which is told of a gap.
 */
#ifndef SKUA_CLUSTER_BUS_MAILBOX_H
#define SKUA_CLUSTER_BUS_MAILBOX_H

#include "base/log.h"
#include "base/random.h"
#include "cluster/bus.h"
#include "net/loop.h"

enum {
    MAILBOX_BYTES_MAX = 256 << 20, /* that wait for one receiver */
};

struct mailbox_hub;

/* NULL when out of memory. */
struct mailbox_hub *mailbox_hub_new(void);
void mailbox_hub_unref(struct mailbox_hub *hub);

/* With `recovery` messages are heard, and broadcasts and anchors come back to their sender. NULL
 * when out of memory or of descriptors. */
struct cluster_bus *bus_mailbox_new(struct mailbox_hub *hub, struct net_loop *loop,
                                    struct random *random, bool recovery);

#endif
