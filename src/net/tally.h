/*
 * tally: how many connections are alive, in all and of each address. Connections may outlive the
 * server that accepted them, and the tally then lives until the last of them has ended.
 *
 * Servers of several threads count together in a tally_sum: limits are the process's.
 *
 * Callers   net/listen; each connection calls tally_end() or tally_address_end() once. server/commons
 *           makes the sum of several servers.
 * Owner     the server and its connections together; of a sum all its tallies, and who made it.
 * Threads   a tally is its worker's own; a sum is for any.
 * Errors    NULL when out of memory or over the limit.
 */
#ifndef SKUA_NET_TALLY_H
#define SKUA_NET_TALLY_H

#include "base/str.h"

#include <stdint.h>

struct tally;
struct tally_address;
struct tally_sum;

/* `per_address` 0: addresses are not counted. NULL when out of memory. */
struct tally_sum *tally_sum_new(uint32_t per_address);
void tally_sum_unref(struct tally_sum *sum);

/* One that counts together with the others of the sum, which it refers to. */
struct tally *tally_new_of(struct tally_sum *sum);

/* `per_address` 0: addresses are not counted. */
struct tally *tally_new(uint32_t per_address);

/* The server goes. */
void tally_leave(struct tally *tally);

uint32_t tally_connections(const struct tally *tally);

/* Those of all tallies of the sum. */
uint32_t tally_all_connections(const struct tally *tally);

/* The most at a time since the last call. */
uint32_t tally_take_most(struct tally *tally);
bool tally_counts_addresses(const struct tally *tally);

/* A connection begins and ends (`owner` is the tally). */
void tally_begin(struct tally *tally);
void tally_end(void *owner);

/* One that has begun is counted for its address too. It then ends by tally_address_end() with the
 * result. */
struct tally_address *tally_address_begin(struct tally *tally, struct str address);
void tally_address_end(void *owner);

#endif
