/*
 * http1_parser: HTTP/1 requests fed in pieces of any size: http-parser's grammar, with what it
 * lets through and others read differently refused on top (request smuggling): lines that end
 * without CR, folded lines, repeated Host or Content-Length, any Transfer-Encoding but a single
 * "chunked", versions other than 1.0 and 1.1.
 *
 * It does no I/O and calls nobody: each feed tells one event. It is apart from http1.c also
 * because http-parser's header and ours use the same names.
 *
 * Callers   net/http1.
 * Owner     http1 frees it; the head's memory is given back early by http1_parser_drop_head().
 * Threads   one at a time.
 * Units     bytes.
 * Errors    the last three events: feed no more then.
 * Source    RFC 9112; limits counted as Node does.
 */
#ifndef SKUA_NET_HTTP1_PARSER_H
#define SKUA_NET_HTTP1_PARSER_H

#include "net/http_header.h"

#include <stdint.h>

struct http1_parser;

enum http1_event {
    HTTP1_MORE, /* all is taken, nothing to tell */
    HTTP1_HEAD, /* a head is complete */
    HTTP1_BODY, /* body bytes: a slice of the bytes fed */
    HTTP1_END,  /* the body is complete; not told for requests without one */
    HTTP1_BAD,
    HTTP1_TOO_LONG, /* the head is over its limit */
    HTTP1_NO_MEMORY,
};

enum {
    HTTP1_HEADERS_MAX = 2000, /* lines; Node's */
};

/* Values have no white space around them. Slices are valid until http1_parser_drop_head(). */
struct http1_head {
    const char *method;
    struct str target;
    const struct http_header *headers;
    size_t header_count;
    uint8_t minor;
    bool connect;    /* method CONNECT */
    bool upgrade;    /* no body: what follows the head is another protocol's */
    bool keep_alive; /* as far as the request decides it */
    bool has_host;
    bool has_body;
    bool chunked;
    uint64_t length; /* Content-Length; 0 without */
};

struct http1_parser *http1_parser_new(size_t header_bytes);
void http1_parser_free(struct http1_parser *parser);

/*
 * Takes bytes up to the next event and returns how many. One byte of a body may be left over and
 * must be fed again with what follows, though the event before has told it already.
 */
size_t http1_parser_feed(struct http1_parser *parser, const uint8_t *bytes, size_t size,
                         enum http1_event *event);

/* Something of a request is here that has not been told as HTTP1_HEAD. */
bool http1_parser_in_head(const struct http1_parser *parser);

/* After HTTP1_HEAD, or HTTP1_BODY. */
const struct http1_head *http1_parser_head(const struct http1_parser *parser);
struct str http1_parser_body(const struct http1_parser *parser);

/* Frees the head's texts; before the next request's head at the latest. */
void http1_parser_drop_head(struct http1_parser *parser);

/* "Not Found" */
const char *http1_status_text(int status);

#endif
