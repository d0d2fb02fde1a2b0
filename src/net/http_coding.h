/*
 * http_coding: which content coding of ours a client takes best, by its Accept-Encoding.
 *
 * Callers   engineio for answers to polls, http/client_files.
 * Threads   any, no state.
 * Errors    what is no list item is skipped; nothing acceptable is HTTP_IDENTITY.
 * Source    RFC 9110, 12.5.3, as read by the reference's `accepts` package: the best quality wins,
 *           then what is named before "*", then what the client names first.
 */
#ifndef SKUA_NET_HTTP_CODING_H
#define SKUA_NET_HTTP_CODING_H

#include "net/http1.h"

enum http_coding {
    HTTP_GZIP,
    HTTP_DEFLATE,
    HTTP_IDENTITY,
};

/* Among the first `offered` of enum http_coding. */
enum http_coding http_coding_choose(const struct http_request *request, size_t offered);

/* "gzip", "deflate". */
struct str http_coding_name(enum http_coding coding);

#endif
