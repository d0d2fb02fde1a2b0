#include "redis/private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    HEAD_MAX = 24, /* "$18446744073709551615\r\n" and its NUL */
};

/* ---- encoding: an array of bulk strings ---- */

static size_t head_size(size_t number)
{
    size_t digits = 1;

    while (number >= 10) {
        number /= 10;
        digits++;
    }
    return 1 + digits + 2;
}

static char *put_head(char *to, char type, size_t number)
{
    char head[HEAD_MAX];
    int size = snprintf(head, sizeof(head), "%c%zu\r\n", type, number);

    memcpy(to, head, (size_t)size);
    return to + size;
}

static struct frame *encode(const struct str *argv, size_t argc)
{
    size_t size = head_size(argc);

    for (size_t i = 0; i < argc; i++) {
        if (argv[i].size > SIZE_MAX / 2 - size)
            return NULL;
        size += head_size(argv[i].size) + argv[i].size + 2;
    }

    struct frame *frame = frame_new(FRAME_RAW, size);

    if (!frame)
        return NULL;

    char *to = put_head((char *)frame_payload(frame), '*', argc);

    for (size_t i = 0; i < argc; i++) {
        to = put_head(to, '$', argv[i].size);
        memcpy(to, argv[i].at, argv[i].size);
        to += argv[i].size;
        *to++ = '\r';
        *to++ = '\n';
    }
    assert((size_t)(to - (char *)frame_payload(frame)) == size);
    return frame;
}

/* ---- life ---- */

/* Nobody can wait longer: in the queue, or for the server. */
static void expired(struct timer *timer)
{
    struct redis_request *request = CONTAINER_OF(timer, struct redis_request, timer);

    if (request->queue) {
        link_drop_request(request->queue, request);
        return;
    }
    /* Replies come in order: this one's place must be kept for a reply that may still come. */
    request->given_up = true;
    request->redis->counts.timed_out++;
    request->answer(request->owner, NULL, REDIS_TIMED_OUT);
}

struct redis_request *request_new(struct redis *redis, const struct str *argv, size_t argc)
{
    struct redis_request *request = calloc(1, sizeof(*request));

    assert(argc > 0);
    if (!request)
        return NULL;
    request->frame = encode(argv, argc);
    if (!request->frame) {
        free(request);
        return NULL;
    }
    request->redis = redis;
    list_init(&request->link);
    timer_init(&request->timer, expired);
    return request;
}

size_t request_size(const struct redis_request *request)
{
    size_t size;

    frame_wire(request->frame, &size);
    return size;
}

void request_sent(struct redis_request *request)
{
    struct redis *redis = request->redis;
    struct timer_wheel *timers = net_loop_timers(redis->loop);

    request->sent_ms = net_loop_now(redis->loop);
    timer_stop(timers, &request->timer);
    if (request->timeout_ms > 0 && !request->internal)
        timer_start(timers, &request->timer, request->timeout_ms);
    if (!request->internal)
        redis->counts.sent++;
}

void request_free(struct redis_request *request)
{
    list_remove(&request->link);
    timer_stop(net_loop_timers(request->redis->loop), &request->timer);
    if (request->frame)
        frame_unref(request->frame);
    free(request);
}

/* True when the reply sends the request elsewhere, or its link. */
static bool is_redirected(struct redis_request *request, const struct redisReply *reply,
                          const struct redis_server *speaker)
{
    struct redis_cluster *cluster = request->redis->cluster;
    struct redirection redirection;

    if (!cluster || reply->type != REDIS_REPLY_ERROR ||
        !redirection_parse(redis_reply_str(reply), speaker, &redirection))
        return false;
    redis_cluster_learn(cluster, &redirection);
    if (request->routed && !request->given_up)
        redis_cluster_redirect(cluster, request, &redirection);
    else if (request->of_slot)
        request_end(request, REDIS_LOST); /* its link goes where the slot is */
    else
        return false;
    return true;
}

void request_answer(struct redis_request *request, struct redisReply *reply,
                    const struct redis_server *speaker)
{
    if (is_redirected(request, reply, speaker)) {
        freeReplyObject(reply);
        return;
    }

    redis_answer *answer = request->given_up ? NULL : request->answer;
    void *owner = request->owner;
    bool kept = answer && request->keeps_reply;

    if (!request->internal && !request->given_up)
        request->redis->counts.answered++;
    request_free(request);
    if (answer)
        answer(owner, reply, REDIS_ANSWERED);
    if (!kept)
        freeReplyObject(reply);
}

struct str request_last_word(const struct redis_request *request, size_t size)
{
    struct str body = frame_body(request->frame);

    return str_of(body.at + body.size - 2 - size, size);
}

void request_end(struct redis_request *request, enum redis_end end)
{
    struct redis *redis = request->redis;

    list_remove(&request->link);
    timer_stop(net_loop_timers(redis->loop), &request->timer);
    request->end = end;
    list_add_last(&redis->ended, &request->link);
    net_loop_later(redis->loop, &redis->end_task);
}

void requests_end(struct list *requests, enum redis_end end)
{
    while (!list_empty(requests))
        request_end(CONTAINER_OF(requests->next, struct redis_request, link), end);
}
