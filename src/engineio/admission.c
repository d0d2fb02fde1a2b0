#include "engineio/private.h"

#include <stdlib.h>

struct eio_admission {
    struct list in_server;
    struct eio_server *server;
    struct http_exchange *exchange; /* NULL once the client has gone */
    struct eio_handshake *handshake;
    struct eio_query query;
};

static void free_admission(struct eio_admission *admission)
{
    list_remove(&admission->in_server);
    eio_handshake_unref(admission->handshake);
    free(admission);
}

static void client_gone(void *owner)
{
    struct eio_admission *admission = owner;

    admission->exchange = NULL;
}

static const struct http_exchange_handler waiting_handler = {.aborted = client_gone};

void eio_admit(struct eio_server *server, struct http_exchange *exchange,
               const struct eio_query *query)
{
    struct eio_admission *admission;

    if (!server->options.admit) {
        eio_server_open(server, exchange, query);
        return;
    }
    admission = malloc(sizeof(*admission));
    if (!admission)
        goto fail;
    *admission = (struct eio_admission){
        .server = server,
        .exchange = exchange,
        .handshake = eio_handshake_new(http_exchange_request(exchange), query->protocol),
        .query = *query,
    };
    if (!admission->handshake)
        goto fail;
    list_add_last(&server->admissions, &admission->in_server);
    http_exchange_set_handler(exchange, &waiting_handler, admission);
    server->options.admit(server->options.admit_owner, admission);
    return;

fail:
    free(admission);
    log_error(server->log, "out of memory: no session", LOG_END);
    http_exchange_destroy(exchange);
}

struct eio_handshake *eio_admission_handshake(const struct eio_admission *admission)
{
    return admission->handshake;
}

void eio_admission_allow(struct eio_admission *admission)
{
    if (admission->exchange)
        eio_server_open(admission->server, admission->exchange, &admission->query);
    free_admission(admission);
}

void eio_admission_refuse(struct eio_admission *admission, struct str message)
{
    if (admission->exchange)
        eio_server_forbid(admission->server, admission->exchange, message);
    free_admission(admission);
}

void eio_admissions_free(struct eio_server *server)
{
    while (!list_empty(&server->admissions))
        free_admission(CONTAINER_OF(server->admissions.next, struct eio_admission, in_server));
}
