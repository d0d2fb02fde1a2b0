/*
 * http_header: one header line of a request or an answer.
 *
 * Callers   everybody who reads requests or writes answers.
 * Owner     owns nothing: both are slices.
 */
#ifndef SKUA_NET_HTTP_HEADER_H
#define SKUA_NET_HTTP_HEADER_H

#include "base/str.h"

struct http_header {
    struct str name; /* spelled as it came, or as it shall go out */
    struct str value;
};

/* Whether Node keeps the first of several headers of this name (in lower case); of the others it
 * joins the values, cookies by "; ", the rest by ", ". */
bool http_header_keeps_first(struct str name);

#endif
