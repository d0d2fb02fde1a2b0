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

#endif
