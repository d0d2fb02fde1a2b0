/*
 * http_client: requests to other servers over HTTP/1.1, one at a time a connection, and the
 * connections that wait for the next.
 *
 * The head is the caller's own text; the body is what it sends behind. Answers are kept until they
 * are whole.
 *
 * Callers   forward.
 * Owner     a call lives from http_client_call() to its one `answered` or `failed`, or to
 *           http_call_cancel(). The client is freed after its calls and before the loop.
 * Threads   the worker's own.
 * Units     milliseconds, bytes.
 * Errors    `failed`, with a reason for the log. Callbacks come from the loop, never from inside a
 *           call.
 */
#ifndef SKUA_NET_HTTP_CLIENT_H
#define SKUA_NET_HTTP_CLIENT_H

#include "net/http_reply.h"
#include "net/peer_address.h"

struct http_client;
struct http_call;

struct http_client_options {
    struct net_loop *loop;
    uint32_t connect_ms;
    uint32_t answer_ms; /* from the request's end to the answer's */
    uint32_t idle_ms;   /* a connection waits for the next request; less than servers do */
    uint32_t idle_max;  /* connections that wait */
    size_t request_max; /* bytes of a request that the other has not taken */
    size_t answer_max;  /* bytes of an answer's body */
};

struct http_call_handler {
    /* The reply is gone when this returns. */
    void (*answered)(void *owner, const struct http_reply *reply);
    void (*failed)(void *owner, const char *reason);
};

struct http_client *http_client_new(const struct http_client_options *options);
void http_client_free(struct http_client *client);

/* NULL when out of memory or descriptors. */
struct http_call *http_client_call(struct http_client *client,
                                   const struct peer_address *address, struct str head,
                                   bool is_head, const struct http_call_handler *handler,
                                   void *owner);

/* The next bytes; then, once, that this was all. */
void http_call_send(struct http_call *call, struct str bytes);
void http_call_sent(struct http_call *call);

/* Nobody wants the answer any more: the other sees the connection end. */
void http_call_cancel(struct http_call *call);

#endif
