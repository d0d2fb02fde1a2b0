#include "net/conn_private.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

void net_conn_read_address(int fd, char address[NET_ADDRESS_MAX])
{
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t size = sizeof(peer);

    address[0] = 0;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
        return;
    if (peer.ss_family == AF_INET)
        inet_ntop(AF_INET, &((struct sockaddr_in *)&peer)->sin_addr, address, NET_ADDRESS_MAX);
    else if (peer.ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((struct sockaddr_in6 *)&peer)->sin6_addr, address,
                  NET_ADDRESS_MAX);
}

bool net_conn_prepare(int fd)
{
    int on = 1;
    int flags = fcntl(fd, F_GETFL);

    /* Fails on unix sockets, which do not wait to fill segments anyway. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return flags >= 0 && fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 &&
           (flags & O_NONBLOCK || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0);
}
