#include "net/http_client.h"

#include <assert.h>
#include <stdlib.h>

struct http_client {
    struct http_client_options options;
    struct list calls;
    struct list idle; /* the latest last */
    uint32_t idle_count;
};

/* A connection, with the request that it is for or idle. */
struct http_call {
    struct list link;
    struct http_client *client;
    struct net_conn *conn;
    struct peer_address address;
    const struct http_call_handler *handler; /* NULL when idle */
    void *owner;
    struct http_reply *reply;
    union {
        struct timer timer; /* of the connecting, then of the answer; or of idleness */
        struct net_grave grave;
    };
    uint64_t given; /* bytes of this request */
    bool complete;  /* all of it was given */
    bool connected; /* some of them have left */
};

static struct timer_wheel *timers_of(const struct http_client *client)
{
    return net_loop_timers(client->options.loop);
}

static void start_timer(struct http_call *call, uint32_t delay_ms)
{
    timer_start(timers_of(call->client), &call->timer, delay_ms);
}

/* ---- ends ---- */

static void bury(struct net_grave *grave)
{
    struct http_call *call = CONTAINER_OF(grave, struct http_call, grave);

    http_reply_free(call->reply);
    free(call);
}

/* Its connection is closed, or is by now. */
static void end(struct http_call *call)
{
    list_remove(&call->link);
    if (!call->handler)
        call->client->idle_count--;
    timer_stop(timers_of(call->client), &call->timer);
    net_loop_bury(call->client->options.loop, &call->grave, bury);
}

static void close_and_end(struct http_call *call)
{
    net_conn_close(call->conn);
    end(call);
}

static void make_idle(struct http_call *call)
{
    struct http_client *client = call->client;

    list_remove(&call->link);
    list_add_last(&client->idle, &call->link);
    client->idle_count++;
    call->handler = NULL;
    call->reply = NULL;
    start_timer(call, client->options.idle_ms);
}

static void fail(struct http_call *call, const char *reason)
{
    const struct http_call_handler *handler = call->handler;

    close_and_end(call);
    handler->failed(call->owner, reason);
}

static void finish(struct http_call *call, bool reusable)
{
    const struct http_call_handler *handler = call->handler;
    struct http_reply *reply = call->reply;
    void *owner = call->owner;

    if (reusable && call->client->idle_count < call->client->options.idle_max) {
        make_idle(call);
        handler->answered(owner, reply);
        http_reply_free(reply);
    } else {
        close_and_end(call); /* the reply lives to the turn's end */
        handler->answered(owner, reply);
    }
}

/* ---- the connection ---- */

static void on_readable(void *owner, uint8_t *bytes, size_t size)
{
    struct http_call *call = owner;
    size_t used;

    if (!call->handler) { /* nobody has asked */
        close_and_end(call);
        return;
    }
    call->connected = true;
    switch (http_reply_feed(call->reply, bytes, size, &used)) {
    case HTTP_REPLY_MORE:
        break;
    case HTTP_REPLY_BAD:
        fail(call, "the answer is none");
        break;
    case HTTP_REPLY_DONE:
        finish(call, call->complete && used == size && http_reply_keeps(call->reply) &&
                         net_conn_writable(call->conn));
        break;
    }
}

static void on_closed(void *owner, enum net_end why)
{
    struct http_call *call = owner;
    const struct http_call_handler *handler = call->handler;

    end(call);
    if (handler)
        handler->failed(call->owner, why == NET_END_BACKLOG ? "it does not take the request"
                                     : call->connected      ? "the connection ended"
                                                            : "no connection");
}

static const struct net_conn_handler conn_handler = {
    .readable = on_readable,
    .closed = on_closed,
};

static void on_timer(struct timer *timer)
{
    struct http_call *call = CONTAINER_OF(timer, struct http_call, timer);

    if (!call->handler) {
        close_and_end(call);
    } else if (!call->connected && net_conn_queued(call->conn) == call->given) {
        fail(call, "no connection in time");
    } else if (!call->connected) {
        call->connected = true;
        if (call->complete)
            start_timer(call, call->client->options.answer_ms);
    } else if (call->complete) {
        fail(call, "no answer in time");
    }
}

/* ---- interface ---- */

struct http_client *http_client_new(const struct http_client_options *options)
{
    struct http_client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->options = *options;
    list_init(&client->calls);
    list_init(&client->idle);
    return client;
}

void http_client_free(struct http_client *client)
{
    if (!client)
        return;
    assert(list_empty(&client->calls));
    while (!list_empty(&client->idle))
        close_and_end(CONTAINER_OF(client->idle.next, struct http_call, link));
    free(client);
}

static struct http_call *find_idle(struct http_client *client,
                                   const struct peer_address *address)
{
    for (struct list *link = client->idle.prev; link != &client->idle; link = link->prev) {
        struct http_call *call = CONTAINER_OF(link, struct http_call, link);

        if (!peer_address_equal(&call->address, address))
            continue;
        list_remove(link);
        client->idle_count--;
        return call;
    }
    return NULL;
}

static struct http_call *connect_new(struct http_client *client,
                                     const struct peer_address *address)
{
    struct http_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    call->client = client;
    call->address = *address;
    timer_init(&call->timer, on_timer);
    call->conn =
        peer_address_connect(client->options.loop, address, client->options.request_max);
    if (!call->conn) {
        free(call);
        return NULL;
    }
    net_conn_set_handler(call->conn, &conn_handler, call);
    return call;
}

struct http_call *http_client_call(struct http_client *client,
                                   const struct peer_address *address, struct str head,
                                   bool is_head, const struct http_call_handler *handler,
                                   void *owner)
{
    struct http_reply *reply = http_reply_new(is_head, client->options.answer_max);
    struct http_call *call = reply ? find_idle(client, address) : NULL;
    bool reused = call != NULL;

    if (reply && !call)
        call = connect_new(client, address);
    if (!call) {
        http_reply_free(reply);
        return NULL;
    }
    call->handler = handler;
    call->owner = owner;
    call->reply = reply;
    call->given = 0;
    call->complete = false;
    call->connected = reused;
    list_add_last(&client->calls, &call->link);
    http_call_send(call, head);
    if (reused)
        timer_stop(timers_of(client), &call->timer);
    else
        start_timer(call, client->options.connect_ms);
    return call;
}

void http_call_send(struct http_call *call, struct str bytes)
{
    struct frame *frame = frame_new(FRAME_RAW, bytes.size);

    if (!frame) /* the other waits for it in vain: the time for the answer ends the call */
        return;
    memcpy(frame_payload(frame), bytes.at, bytes.size);
    call->given += bytes.size;
    net_conn_send(call->conn, frame);
    frame_unref(frame);
}

void http_call_sent(struct http_call *call)
{
    assert(!call->complete);
    call->complete = true;
    if (call->connected)
        start_timer(call, call->client->options.answer_ms);
}

void http_call_cancel(struct http_call *call)
{
    assert(call->handler);
    close_and_end(call);
}
