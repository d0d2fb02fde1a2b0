/*
 * conn_private: what a listener needs to know about the connections it made.
 *
 * Callers   net/listen only.
 */
#ifndef SKUA_NET_CONN_PRIVATE_H
#define SKUA_NET_CONN_PRIVATE_H

#include "net/conn.h"

/* Has `ended` called once, when the connection's descriptor is closed, whoever ended it. */
void net_conn_on_end(struct net_conn *conn, void (*ended)(void *owner), void *owner);

/* Which listener it came from, for net_conns_give(). */
void net_conn_set_listener(struct net_conn *conn, int listener);

/* Offers the sockets of connections that have a listener and whose peers have not been heard yet,
 * so that another process can serve them from the first byte on. Those that are taken (by a copy of
 * the descriptor) end here as if the peer had gone. */
void net_conns_give(struct net_loop *loop, bool (*take)(void *owner, int listener, int fd),
                    void *owner);

/* Makes a stream socket what a connection wants: it does not block, does not wait to fill segments,
 * and is not for children. */
bool net_conn_prepare(int fd);

/* Writes the numeric address of the socket's peer, "" if it has none. */
void net_conn_read_address(int fd, char address[NET_ADDRESS_MAX]);

/* The peer's address as somebody trusted tells it: numeric. */
void net_conn_set_address(struct net_conn *conn, const char *address);

#endif
