#include "net/listen_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool listen_address_parse(struct listen_address *address, const struct net_listen_spec *spec)
{
    *address = (struct listen_address){0};
    if (spec->unix_path) {
        size_t size = strlen(spec->unix_path);

        if (size >= sizeof(address->local.sun_path))
            return false;
        address->local.sun_family = AF_UNIX;
        memcpy(address->local.sun_path, spec->unix_path, size);
        address->size = sizeof(address->local);
    } else if (inet_pton(AF_INET, spec->host, &address->v4.sin_addr) == 1) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons(spec->port);
        address->size = sizeof(address->v4);
    } else if (inet_pton(AF_INET6, spec->host, &address->v6.sin6_addr) == 1) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_port = htons(spec->port);
        address->size = sizeof(address->v6);
    }
    return address->size > 0;
}

bool listen_address_takes_both(const struct listen_address *address)
{
    return address->any.sa_family == AF_INET6 &&
           IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

int listen_address_try(const struct listen_address *address)
{
    int on = 1;
    int only_v6 = !listen_address_takes_both(address);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, sizeof(only_v6));

    int failure = bind(fd, &address->any, address->size) < 0 ? errno : 0;

    close(fd);
    return failure;
}

int listen_address_clear_path(const struct listen_address *address)
{
    struct stat file;

    if (lstat(address->local.sun_path, &file) < 0)
        return errno == ENOENT ? 0 : errno;
    if (!S_ISSOCK(file.st_mode))
        return EEXIST;

    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return errno;

    int refused = connect(fd, &address->any, address->size) < 0 && errno == ECONNREFUSED;

    close(fd);
    if (!refused)
        return EADDRINUSE;
    return unlink(address->local.sun_path) < 0 ? errno : 0;
}

int listen_address_open_unix(const struct listen_address *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (bind(fd, &address->any, address->size) < 0 || listen(fd, LISTEN_QUEUE) < 0) {
        int failure = errno;

        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

/* A listening socket at the address, which others may share. Or -1 with errno. */
static int open_shared(const struct sockaddr *address, socklen_t size, bool only_v6)
{
    int on = 1;
    int v6_option = only_v6;
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) < 0 ||
        (address->sa_family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_option, sizeof(v6_option)) < 0) ||
        bind(fd, address, size) < 0 || listen(fd, LISTEN_QUEUE) < 0) {
        int failure = errno;

        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

int listen_address_open_shared(const struct listen_address *address)
{
    return open_shared(&address->any, address->size, !listen_address_takes_both(address));
}

int net_listen_twin(int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);
    int only_v6 = 0;
    socklen_t option_size = sizeof(only_v6);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return -1;
    if (address.ss_family == AF_INET6 &&
        getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_v6, &option_size) < 0)
        return -1;
    return open_shared((struct sockaddr *)&address, size, only_v6);
}

uint16_t listen_address_port(int fd)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(address);

    if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        return 0;
    if (address.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&address)->sin_port);
    if (address.ss_family == AF_INET6)
        return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return 0;
}
