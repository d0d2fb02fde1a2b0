/*
 * http_reply: an answer of another server, fed in pieces of any size and kept until it is whole.
 *
 * Apart from http_client also because http-parser's header and ours use the same names. Answers
 * that are no more than announcements (100) are skipped.
 *
 * Callers   net/http_client.
 * Owner     the caller's; headers and body are valid as long as it is.
 * Threads   one at a time.
 * Units     bytes.
 * Errors    HTTP_REPLY_BAD: no answer, over a limit, without an end of its own, or out of memory.
 */
#ifndef SKUA_NET_HTTP_REPLY_H
#define SKUA_NET_HTTP_REPLY_H

#include "net/http_header.h"

#include <stdint.h>

enum {
    HTTP_REPLY_HEADERS_MAX = 128,
    HTTP_REPLY_HEAD_MAX = 256 * 1024,
};

enum http_reply_event {
    HTTP_REPLY_MORE,
    HTTP_REPLY_DONE,
    HTTP_REPLY_BAD,
};

struct http_reply;

/* The answer to a HEAD request has no body, whatever its headers say. */
struct http_reply *http_reply_new(bool to_head, size_t body_max);
void http_reply_free(struct http_reply *reply);

/* `*used` is how many bytes were the answer's. */
enum http_reply_event http_reply_feed(struct http_reply *reply, const void *bytes, size_t size,
                                      size_t *used);

/* Once it is done. */
int http_reply_status(const struct http_reply *reply);
const struct http_header *http_reply_headers(const struct http_reply *reply, size_t *count);
struct str http_reply_body(const struct http_reply *reply);
bool http_reply_chunked(const struct http_reply *reply);

/* The connection may be used for another request. */
bool http_reply_keeps(const struct http_reply *reply);

#endif
