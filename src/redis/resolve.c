#include "redis/private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/*
 * getaddrinfo() in a thread of its own that lives for one name. Asynchronous DNS as lws has it
 * would need no thread, but knows neither /etc/hosts, where container names are, nor more than one
 * name server. The thread touches only the lookup, which the later of both lets go.
 */

enum {
    STACK_SIZE = 256 * 1024, /* musl's default of 128 KB is near what a resolver may need */
};

struct lookup {
    atomic_int references; /* the thread's and the owner's */
    struct net_io io;      /* an eventfd; the thread writes when it is done */
    struct net_loop *loop;
    lookup_done *done;
    void *owner;
    char host[REDIS_HOST_MAX];
    uint16_t port;
    int failure; /* of getaddrinfo() */
    struct addresses addresses;
    struct net_grave grave;
};

bool address_parse(const char *host, uint16_t port, struct addresses *addresses)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&addresses->list[0];
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&addresses->list[0];

    memset(addresses, 0, sizeof(*addresses));
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
    } else {
        return false;
    }
    addresses->count = 1;
    return true;
}

static void let_go(struct lookup *lookup)
{
    if (atomic_fetch_sub(&lookup->references, 1) > 1)
        return;
    close(lookup->io.fd);
    free(lookup);
}

static void *resolve(void *argument)
{
    struct lookup *lookup = argument;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    const uint64_t one = 1;
    char port[8];

    snprintf(port, sizeof(port), "%u", lookup->port);
    lookup->failure = getaddrinfo(lookup->host, port, &hints, &found);
    if (lookup->failure == 0) {
        for (struct addrinfo *at = found; at; at = at->ai_next) {
            if (lookup->addresses.count == ADDRESSES_MAX)
                break;
            memcpy(&lookup->addresses.list[lookup->addresses.count++], at->ai_addr,
                   at->ai_addrlen);
        }
        freeaddrinfo(found);
    }
    while (write(lookup->io.fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    let_go(lookup);
    return NULL;
}

static void bury(struct net_grave *grave)
{
    let_go(CONTAINER_OF(grave, struct lookup, grave));
}

void lookup_cancel(struct lookup *lookup)
{
    net_loop_remove(lookup->loop, &lookup->io);
    net_loop_bury(lookup->loop, &lookup->grave, bury);
}

static void ready(struct net_io *io, uint32_t events)
{
    struct lookup *lookup = CONTAINER_OF(io, struct lookup, io);
    char reason[REASON_MAX];

    (void)events;
    snprintf(reason, sizeof(reason), "cannot resolve \"%s\": %s", lookup->host,
             lookup->failure ? gai_strerror(lookup->failure) : "no addresses");
    lookup_cancel(lookup);
    lookup->done(lookup->owner, lookup->addresses.count > 0 ? &lookup->addresses : NULL,
                 reason);
}

/* Signals are the loop's business: the thread gets none. */
static bool start_thread(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int failure;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setstacksize(&attributes, STACK_SIZE);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failure = pthread_create(&thread, &attributes, resolve, lookup);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failure == 0;
}

struct lookup *lookup_start(struct net_loop *loop, const char *host, uint16_t port,
                            lookup_done *done, void *owner)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));

    if (!lookup)
        return NULL;
    lookup->loop = loop;
    lookup->done = done;
    lookup->owner = owner;
    lookup->port = port;
    snprintf(lookup->host, sizeof(lookup->host), "%s", host);
    atomic_init(&lookup->references, 2);
    lookup->io = (struct net_io){
        .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .events = EPOLLIN, .ready = ready};
    if (lookup->io.fd < 0)
        goto fail;
    if (!net_loop_add(loop, &lookup->io))
        goto fail;
    if (!start_thread(lookup)) {
        net_loop_remove(loop, &lookup->io);
        goto fail;
    }
    return lookup;

fail:
    if (lookup->io.fd >= 0)
        close(lookup->io.fd);
    free(lookup);
    return NULL;
}
