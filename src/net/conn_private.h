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

/* Writes the numeric address of the socket's peer, "" if it has none. */
void net_conn_read_address(int fd, char address[NET_ADDRESS_MAX]);

/* The peer's address as somebody trusted tells it: numeric. */
void net_conn_set_address(struct net_conn *conn, const char *address);

#endif
