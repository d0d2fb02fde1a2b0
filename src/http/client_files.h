/*
 * client_files: the bundles of socket.io-client under the engine's path, for pages that load
 * "/socket.io/socket.io.js" from the server that they talk to.
 *
 * They are in the binary, packed by gzip; a client that does not take gzip gets them unpacked.
 *
 * Callers   http/router, before the engine.
 * Owner     the worker owns the struct and what it points to.
 * Threads   the worker's own.
 * Errors    out of memory ends the connection.
 * Source    protocol/engine-io.md, 1 (`serveClient`).
 */
#ifndef SKUA_HTTP_CLIENT_FILES_H
#define SKUA_HTTP_CLIENT_FILES_H

#include "engineio/cors.h"

struct client_files {
    bool served;
    struct str path; /* of the engine, without a slash at its end */
    struct cors_policy cors;
};

/* Whether the binary was built with them. */
bool client_files_built_in(void);

/* Answers if the target is one of the files. */
bool client_files_request(const struct client_files *files, struct http_exchange *exchange);

#endif
