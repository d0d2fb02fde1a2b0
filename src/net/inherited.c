#include "net/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    SYSTEMD_FIRST = 3, /* the first descriptor that systemd passes */
};

struct entry {
    int fd; /* -1: taken */
    char name[INHERITED_NAME_MAX];
};

struct inherited {
    size_t count;
    struct entry entries[INHERITED_MAX];
};

struct inherited *inherited_new(void)
{
    return calloc(1, sizeof(struct inherited));
}

void inherited_free(struct inherited *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++) {
        if (set->entries[i].fd >= 0)
            close(set->entries[i].fd);
    }
    free(set);
}

void inherited_end(struct inherited *set)
{
    static const struct str unix_prefix = STR(INHERITED_UNIX);

    for (size_t i = 0; set && i < set->count; i++) {
        if (set->entries[i].fd >= 0 && str_starts(str_from(set->entries[i].name), unix_prefix))
            unlink(set->entries[i].name + unix_prefix.size);
    }
    inherited_free(set);
}

/* ---- adding ---- */

static int option_of(int fd, int option)
{
    int value = -1;
    socklen_t size = sizeof(value);

    return getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

static const char *fault_of(const struct inherited *set, const char *name, int fd)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0)
        return "it is not open";
    if (set->count == INHERITED_MAX)
        return "there are too many sockets";
    if (strlen(name) >= INHERITED_NAME_MAX)
        return "its name is too long";
    if (option_of(fd, SO_TYPE) != SOCK_STREAM || option_of(fd, SO_ACCEPTCONN) != 1)
        return "it is no listening stream socket";
    if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
        return strerror(errno);
    return NULL;
}

const char *inherited_add(struct inherited *set, const char *name, int fd)
{
    const char *fault = fault_of(set, name, fd);
    struct entry *entry;

    if (fault) {
        close(fd);
        return fault;
    }
    entry = &set->entries[set->count++];
    entry->fd = fd;
    memcpy(entry->name, name, strlen(name) + 1);
    return NULL;
}

/* A number from the environment, or -1. */
static long number_of(const char *variable)
{
    const char *text = getenv(variable);
    char *end;
    long number;

    if (!text || *text < '0' || *text > '9')
        return -1;
    errno = 0;
    number = strtol(text, &end, 10);
    return *end || errno ? -1 : number;
}

/* "systemd:" and the next of the names that stand one behind the other with colons between. */
static void next_name(const char **names, char name[INHERITED_NAME_MAX])
{
    size_t size = strcspn(*names, ":");

    snprintf(name, INHERITED_NAME_MAX, INHERITED_SYSTEMD "%.*s", (int)size, *names);
    *names += size;
    if (**names == ':')
        (*names)++;
}

bool inherited_add_systemd(struct inherited *set, char *error, size_t error_size)
{
    long count = number_of("LISTEN_FDS");
    const char *given = getenv("LISTEN_FDNAMES");
    char *kept = str_dup(str_from(given ? given : ""));
    const char *names = kept;
    bool meant = number_of("LISTEN_PID") == (long)getpid();
    const char *fault = NULL;

    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    for (long i = 0; kept && meant && !fault && i < count; i++) {
        char name[INHERITED_NAME_MAX];

        next_name(&names, name);
        fault = inherited_add(set, name, SYSTEMD_FIRST + (int)i);
        if (fault)
            snprintf(error, error_size, "descriptor %ld of LISTEN_FDS (%s): %s",
                     SYSTEMD_FIRST + i, name, fault);
    }
    if (!kept)
        snprintf(error, error_size, "out of memory");
    free(kept);
    return kept != NULL && !fault;
}

/* ---- taking ---- */

static int take(struct entry *entry)
{
    int fd = entry->fd;

    entry->fd = -1;
    return fd;
}

int inherited_take(struct inherited *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->entries[i].fd >= 0 && strcmp(set->entries[i].name, name) == 0)
            return take(&set->entries[i]);
    }
    return -1;
}

static bool same_address(const struct sockaddr *a, const struct sockaddr *b)
{
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in *b4 = (const struct sockaddr_in *)b;
    const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)b;

    if (a->sa_family != b->sa_family)
        return false;
    switch (a->sa_family) {
    case AF_INET:
        return a4->sin_port == b4->sin_port && a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    case AF_INET6:
        return a6->sin6_port == b6->sin6_port &&
               IN6_ARE_ADDR_EQUAL(&a6->sin6_addr, &b6->sin6_addr);
    case AF_UNIX:
        return strncmp(((const struct sockaddr_un *)a)->sun_path,
                       ((const struct sockaddr_un *)b)->sun_path,
                       sizeof(((const struct sockaddr_un *)a)->sun_path)) == 0;
    default:
        return false;
    }
}

static bool is_systemds(const struct entry *entry)
{
    return str_starts(str_from(entry->name), STR(INHERITED_SYSTEMD));
}

/* By a skua. */
static bool is_bound_to(const struct entry *entry, const struct sockaddr *address)
{
    struct sockaddr_storage bound = {.ss_family = AF_UNSPEC};
    socklen_t bound_size = sizeof(bound);

    return !is_systemds(entry) &&
           getsockname(entry->fd, (struct sockaddr *)&bound, &bound_size) == 0 &&
           same_address((struct sockaddr *)&bound, address);
}

int inherited_take_address(struct inherited *set, const struct sockaddr *address)
{
    for (size_t i = 0; i < set->count; i++) {
        if (set->entries[i].fd >= 0 && is_bound_to(&set->entries[i], address))
            return take(&set->entries[i]);
    }
    return -1;
}

int inherited_take_systemd(struct inherited *set, struct str name,
                           char found[INHERITED_NAME_MAX])
{
    for (size_t i = 0; i < set->count; i++) {
        struct entry *entry = &set->entries[i];
        struct str own = str_from(entry->name);

        if (entry->fd < 0 || !is_systemds(entry) ||
            (name.size > 0 && !str_equal(str_from_index(own, strlen(INHERITED_SYSTEMD)), name)))
            continue;
        memcpy(found, entry->name, own.size + 1);
        return take(entry);
    }
    return -1;
}

int inherited_take_twin(struct inherited *set, int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);

    getsockname(fd, (struct sockaddr *)&address, &size);
    return inherited_take_address(set, (const struct sockaddr *)&address);
}

bool inherited_offers(const struct inherited *set, const char *name, int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);

    getsockname(fd, (struct sockaddr *)&address, &size);
    for (size_t i = 0; i < set->count; i++) {
        const struct entry *entry = &set->entries[i];

        if (entry->fd >= 0 && (strcmp(entry->name, name) == 0 ||
                               is_bound_to(entry, (const struct sockaddr *)&address)))
            return true;
    }
    return false;
}

/* ---- dealing ---- */

bool inherited_is_common(const char *name)
{
    return str_starts(str_from(name), STR(INHERITED_UNIX)) ||
           str_starts(str_from(name), STR(INHERITED_SYSTEMD));
}

static bool add_copy(struct inherited *set, const struct entry *entry)
{
    int fd = fcntl(entry->fd, F_DUPFD_CLOEXEC, 0);

    return fd >= 0 && !inherited_add(set, entry->name, fd);
}

/* Names may be the same at different addresses, as with port 0. */
static bool are_twins(const struct entry *a, const struct entry *b)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);

    getsockname(a->fd, (struct sockaddr *)&address, &size);
    return a == b ||
           (strcmp(a->name, b->name) == 0 && is_bound_to(b, (const struct sockaddr *)&address));
}

/* Who gets the socket that is the `nth` of its kind, when there are `same` of them? */
static bool is_for(size_t hand, size_t hands, size_t nth, size_t same)
{
    return same >= hands ? nth % hands == hand : hand % same == nth;
}

static bool deal_one(const struct inherited *set, const struct entry *entry,
                     struct inherited *const *hands, size_t count)
{
    bool common = inherited_is_common(entry->name);
    size_t nth = 0, same = 0;
    bool good = true;

    for (size_t i = 0; i < set->count; i++) {
        if (!are_twins(entry, &set->entries[i]))
            continue;
        nth += &set->entries[i] < entry;
        same++;
    }
    for (size_t hand = 0; hand < count && good; hand++) {
        if (common || is_for(hand, count, nth, same))
            good = add_copy(hands[hand], entry);
    }
    return good;
}

bool inherited_deal(struct inherited *set, struct inherited *const *hands, size_t count)
{
    bool good = true;

    for (size_t i = 0; i < set->count && good; i++)
        good = deal_one(set, &set->entries[i], hands, count);
    for (size_t i = 0; i < set->count; i++)
        close(take(&set->entries[i]));
    set->count = 0;
    return good;
}
