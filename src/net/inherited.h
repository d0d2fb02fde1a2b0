/*
 * inherited: listening sockets that the process was given instead of opening them, by the server
 * whose place it takes or by systemd (socket activation).
 *
 * A socket has a name: "127.0.0.1 3000" and "unix:/run/skua.sock" for one that a skua opened, as it
 * was configured; "systemd:NAME" for one of systemd's. Whoever listens takes the sockets that fit;
 * what nobody takes is closed.
 *
 * Callers   main and server/handover fill it; net/listen takes.
 * Owner     main owns the set; a taken descriptor is the taker's.
 * Threads   one at a time.
 * Errors    in words, or false when out of memory.
 * Source    sd_listen_fds(3).
 */
#ifndef SKUA_NET_INHERITED_H
#define SKUA_NET_INHERITED_H

#include "base/buf.h"

#include <stdbool.h>
#include <sys/socket.h>

enum {
    INHERITED_NAME_MAX = 300, /* bytes, with the NUL: of systemd's names, 255 characters */
    INHERITED_MAX = 256,      /* sockets */
};

#define INHERITED_SYSTEMD "systemd:"
#define INHERITED_UNIX "unix:"

struct inherited;

struct inherited *inherited_new(void);

/* Closes those that were not taken. */
void inherited_free(struct inherited *set);

/* The same, for good: nobody is going to listen on them, so the files of Unix sockets go, too, but
 * not systemd's. */
void inherited_end(struct inherited *set);

/* Takes over the descriptor, which must be a listening stream socket. Or it is closed, and the
 * result is what it is instead. NULL: good. */
const char *inherited_add(struct inherited *set, const char *name, int fd);

/*
 * Deals the sockets out to several who listen, each on a set of its own; this one is empty then. Each
 * gets the sockets of all names: of TCP's that a skua opened different ones as far as they go, of the
 * others copies. False when out of memory or descriptors.
 */
bool inherited_deal(struct inherited *set, struct inherited *const *hands, size_t count);

/* Whether all who listen have the same socket of that name: not, if a skua opened it for TCP. */
bool inherited_is_common(const char *name);

/* Whether there is a socket of that name, or at the address of this one. */
bool inherited_offers(const struct inherited *set, const char *name, int fd);

/* Adds what systemd passed to this process (LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES), and removes
 * these from the environment: children are not meant. False with a sentence in `error`. */
bool inherited_add_systemd(struct inherited *set, char *error, size_t error_size);

/* The first socket of that name, or -1. */
int inherited_take(struct inherited *set, const char *name);

/* The first that a skua bound to that address, or -1. */
int inherited_take_address(struct inherited *set, const struct sockaddr *address);

/* Another at the address of this one, as a server of several workers has had, or -1. */
int inherited_take_twin(struct inherited *set, int fd);

/* The first of systemd's that has that name, any if it is empty, or -1. Its whole name is written to
 * `found`. */
int inherited_take_systemd(struct inherited *set, struct str name,
                           char found[INHERITED_NAME_MAX]);

#endif
