/*
 * http1_answer: the bytes of an answer, headers in the order in which Node's http writes them.
 *
 * Callers   net/http1.
 * Errors    http1_answer_send() returns false when out of memory; part may be queued then.
 */
#ifndef SKUA_NET_HTTP1_ANSWER_H
#define SKUA_NET_HTTP1_ANSWER_H

#include "net/http1.h"

struct http1_terms {
    uint8_t
        minor; /* of the request's version: 1.0 gets neither chunks nor a length, as from Node */
    bool head;  /* no body is wanted */
    bool close; /* the connection ends behind it */
    uint32_t keep_alive_ms;
};

/* The given headers say so. */
bool http1_answer_closes(const struct http_response *response);

bool http1_answer_send(struct net_conn *conn, const struct http_response *response,
                       const struct http1_terms *terms);

/* Queues bytes as they are. */
bool http1_answer_send_raw(struct net_conn *conn, struct str bytes);

/* Writes "Thu, 01 Jan 1970 00:00:00 GMT" and a NUL. */
enum {
    HTTP1_DATE_SIZE = 30,
};
void http1_answer_date(char date[HTTP1_DATE_SIZE], uint64_t wall_ms);

#endif
