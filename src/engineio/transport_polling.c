#include "base/utf8.h"
#include "engineio/jsonp.h"
#include "engineio/private.h"
#include "net/deflater.h"
#include "net/http_coding.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ANSWER_CORS_MAX = 4, /* headers that cors_headers() writes to an answer */
    ANSWER_HEADERS_MAX = 12 + EIO_HEADERS_MAX, /* with ours and those configured */
    CONTENT_LENGTH_MAX = 24,                   /* characters of a size_t */
};

static const struct str text_type = {"text/plain; charset=UTF-8", 25};
static const struct str binary_type = {"application/octet-stream", 24};

/* What an answer takes from its request, which may be gone when the answer is made. */
struct reply {
    struct http_header cors[ANSWER_CORS_MAX];
    uint8_t cors_count;
    uint8_t coding;    /* enum http_coding: how packets may be compressed */
    bool old_explorer; /* wants its XSS filter turned off */
    bool initial;      /* to a request without an id */
    bool keep;         /* the connection, although the server ends */
    const struct eio_server *server;
    struct str cookie; /* empty: none is set */
};

struct eio_poll {
    struct eio_session *session;
    struct http_exchange *exchange;
    struct reply reply;
    char origin[]; /* the request's, which the reply may reflect */
};

struct eio_post {
    struct eio_session *session;
    struct http_exchange *exchange;
    struct buf body;
    enum frame_kind form; /* FRAME_BINARY: only protocol 3 has it */
    bool complete;        /* being handled: no longer to be destroyed */
};

/* --- answers ------------------------------------------------------------------------------ */

static bool contains(struct str text, struct str part)
{
    for (size_t i = 0; i < text.size; i++)
        if (str_starts(str_from_index(text, i), part))
            return true;
    return false;
}

static void reply_init(struct reply *reply, const struct eio_server *server,
                       const struct http_request *request)
{
    struct http_header headers[CORS_HEADERS_MAX];
    struct str agent = http_request_header(request, "user-agent");
    size_t count = cors_headers(&server->options.cors, request, headers);

    assert(count <= ANSWER_CORS_MAX);
    *reply = (struct reply){.server = server, .cookie = STR("")};
    memcpy(reply->cors, headers, count * sizeof(headers[0]));
    reply->cors_count = (uint8_t)count;
    reply->coding = server->options.deflate_polls ? http_coding_choose(request, HTTP_IDENTITY)
                                                  : HTTP_IDENTITY;
    reply->old_explorer = contains(agent, STR(";MSIE")) || contains(agent, STR("Trident/"));
}

/* The body compressed: the caller's reference. NULL: it goes out as it is. */
static struct frame *pack(const struct reply *reply, struct frame *body)
{
    struct deflater *deflater = reply->server->options.deflater;

    if (!body || reply->coding == HTTP_IDENTITY || frame_is_plain(body) ||
        !deflater_worth(deflater, frame_body(body).size))
        return NULL;
    return deflater_body(deflater, reply->coding == HTTP_GZIP ? DEFLATER_GZIP : DEFLATER_ZLIB,
                         frame_body(body));
}

/* The body is `text`, or the bytes of `frame`, which may be compressed, if that is not NULL. */
static void answer(struct http_exchange *exchange, const struct reply *reply,
                   struct str content_type, struct str text, struct frame *frame)
{
    struct http_header headers[ANSWER_HEADERS_MAX];
    size_t count = reply->cors_count;
    char length[CONTENT_LENGTH_MAX];
    struct frame *packed = pack(reply, frame);

    memcpy(headers, reply->cors, count * sizeof(headers[0]));
    snprintf(length, sizeof(length), "%zu", frame ? frame_body(frame).size : text.size);
    headers[count++] = (struct http_header){STR("Content-Type"), content_type};
    if (packed)
        headers[count++] = (struct http_header){
            STR("Content-Encoding"), http_coding_name((enum http_coding)reply->coding)};
    else
        headers[count++] = (struct http_header){STR("Content-Length"), str_from(length)};
    if (reply->old_explorer)
        headers[count++] = (struct http_header){STR("X-XSS-Protection"), STR("0")};
    headers[count++] = (struct http_header){STR("cache-control"), STR("no-store")};
    if (reply->cookie.size > 0)
        headers[count++] = (struct http_header){STR("Set-Cookie"), reply->cookie};
    count += eio_extra_headers(reply->server, reply->initial, headers + count);
    http_exchange_respond(exchange, &(struct http_response){
                                        .status = 200,
                                        .headers = headers,
                                        .header_count = count,
                                        .keep = reply->keep,
                                        .body = text,
                                        .body_frame = packed ? packed : frame,
                                        .chunked = packed != NULL,
                                        .no_length = !packed,
                                    });
    if (packed)
        frame_unref(packed);
}

size_t eio_extra_headers(const struct eio_server *server, bool initial,
                         struct http_header headers[EIO_HEADERS_MAX])
{
    const struct eio_options *options = &server->options;
    size_t count = initial ? options->initial_header_count : 0;

    if (count > 0)
        memcpy(headers, options->initial_headers, count * sizeof(headers[0]));
    if (options->header_count > 0)
        memcpy(headers + count, options->headers, options->header_count * sizeof(headers[0]));
    return count + options->header_count;
}

void eio_answer_empty(const struct eio_server *server, struct http_exchange *exchange,
                      int status)
{
    struct http_header headers[CORS_HEADERS_MAX];
    size_t count =
        cors_headers(&server->options.cors, http_exchange_request(exchange), headers);

    http_exchange_respond(exchange, &(struct http_response){
                                        .status = status,
                                        .headers = headers,
                                        .header_count = count,
                                        .body = STR(""),
                                        .chunked = true,
                                    });
}

/* Answers with packets, as the session's client takes them. */
static void answer_payload(const struct eio_session *session, struct http_exchange *exchange,
                           const struct reply *reply, struct str payload, struct frame *frame)
{
    struct frame *script;

    if (!session->jsonp) {
        answer(exchange, reply, text_type, payload, frame);
        return;
    }
    script = eio_jsonp_script(str_of(session->jsonp_index, session->jsonp_size),
                              frame ? frame_body(frame) : payload);
    if (!script) {
        http_exchange_destroy(exchange);
        return;
    }
    if (!frame || frame_is_plain(frame))
        frame_keep_plain(script);
    answer(exchange, reply, text_type, STR(""), script);
    frame_unref(script);
}

/* The same with a body of eio_codec_body(). */
static void answer_body(const struct eio_session *session, struct http_exchange *exchange,
                        const struct reply *reply, struct frame *body, enum frame_kind form)
{
    if (form == FRAME_BINARY)
        answer(exchange, reply, binary_type, STR(""), body);
    else
        answer_payload(session, exchange, reply, STR(""), body);
}

/* The value of Set-Cookie, empty when there is none to set. False when out of memory. */
static bool write_cookie(const struct eio_session *session, struct buf *to)
{
    const struct eio_options *options = &session->server->options;

    if (options->cookie_name.size == 0)
        return true;
    buf_add_str(to, options->cookie_name);
    buf_add_byte(to, '=');
    buf_add_str(to, eio_session_id(session));
    return buf_add_str(to, options->cookie_attributes);
}

bool eio_polling_answer_open(const struct eio_session *session, struct http_exchange *exchange,
                             struct frame *open)
{
    struct reply reply;
    enum frame_kind form;
    struct frame *packets[] = {open, session->server->initial};
    struct frame *body = eio_codec_body(session, packets, packets[1] ? 2 : 1, &form);
    struct buf cookie;
    bool good;

    buf_init(&cookie, SIZE_MAX);
    good = body && write_cookie(session, &cookie);
    if (good) {
        reply_init(&reply, session->server, http_exchange_request(exchange));
        reply.initial = true;
        reply.cookie = buf_str(&cookie);
        answer_body(session, exchange, &reply, body, form);
    }
    buf_free(&cookie);
    if (body)
        frame_unref(body);
    return good;
}

/* --- polls -------------------------------------------------------------------------------- */

static struct eio_poll *take_poll(struct eio_session *session)
{
    struct eio_poll *poll = session->poll;

    session->poll = NULL;
    return poll;
}

/* All that is queued as a body; the queue is empty then. */
static struct frame *take_payload(struct eio_session *session, enum frame_kind *form)
{
    struct frame *payload =
        eio_codec_body(session, session->queue.frames, session->queue.count, form);
    uint32_t plain = 0;

    while (plain < session->queue.count && frame_is_plain(session->queue.frames[plain]))
        plain++;
    if (payload && plain == session->queue.count)
        frame_keep_plain(payload);
    eio_queue_clear(&session->queue);
    return payload;
}

/* Whether the server, which ends, has to hear of the session's client again. */
static bool expects_more(const struct eio_session *session)
{
    return session->server->draining && session->state == EIO_OPEN && !session->leaving;
}

/* Whether the client might find nobody when it comes back from this answer. One that upgrades comes
 * back on its WebSocket. */
static bool is_last_answer(const struct eio_session *session,
                           const struct http_exchange *exchange)
{
    bool keeps = http_exchange_keeps(exchange);

    return (session->leaving && !(keeps && session->server->options.close_alone)) ||
           (session->server->draining && !session->upgrade && !keeps);
}

/* The answer to a poll that need not wait. */
static void answer_queued(struct eio_session *session, struct http_exchange *exchange,
                          struct reply *reply)
{
    bool last = is_last_answer(session, exchange);
    bool told = !last || session->server->options.close_alone ||
                eio_queue_push(&session->queue, session->server->farewell);
    enum frame_kind form;
    struct frame *payload = take_payload(session, &form);

    if (!payload || !told) {
        if (payload)
            frame_unref(payload);
        http_exchange_destroy(exchange);
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
        return;
    }
    reply->keep = !last && session->server->draining && session->state == EIO_OPEN;
    answer_body(session, exchange, reply, payload, form);
    frame_unref(payload);
    if (last) {
        eio_session_end(session,
                        session->state == EIO_CLOSING ? EIO_FORCED_CLOSE : EIO_SERVER_SHUTDOWN);
    } else if (session->state == EIO_CLOSING) {
        eio_polling_drop_post(session);
        eio_session_await_close(session);
    }
}

void eio_polling_flush(struct eio_session *session)
{
    if (!session->poll || session->queue.count == 0)
        return;

    struct eio_poll *poll = take_poll(session);
    answer_queued(session, poll->exchange, &poll->reply);
    free(poll);
}

void eio_polling_release(struct eio_session *session, struct str body)
{
    struct eio_poll *poll = take_poll(session);

    if (!poll)
        return;
    poll->reply.keep = expects_more(session);
    answer_payload(session, poll->exchange, &poll->reply, body, NULL);
    free(poll);
}

static void poll_aborted(void *owner)
{
    struct eio_poll *poll = owner;
    struct eio_session *session = poll->session;

    assert(session->poll == poll);
    session->poll = NULL;
    free(poll);
    eio_session_fault(session, EIO_TRANSPORT_ERROR, "the client aborted a poll");
}

static const struct http_exchange_handler poll_handler = {.aborted = poll_aborted};

/* Waits without the request's head: what the answer needs of it is copied. */
static struct eio_poll *poll_new(struct eio_session *session, struct http_exchange *exchange,
                                 const struct reply *reply)
{
    struct str origin = http_request_header(http_exchange_request(exchange), "origin");
    struct eio_poll *poll = malloc(sizeof(*poll) + origin.size);

    if (!poll)
        return NULL;
    poll->session = session;
    poll->exchange = exchange;
    poll->reply = *reply;
    if (origin.size > 0)
        memcpy(poll->origin, origin.at, origin.size);
    for (size_t i = 0; i < poll->reply.cors_count; i++)
        if (poll->reply.cors[i].value.at == origin.at)
            poll->reply.cors[i].value.at = poll->origin;
    return poll;
}

static void hold_poll(struct eio_session *session, struct http_exchange *exchange,
                      const struct reply *reply)
{
    struct eio_poll *poll = poll_new(session, exchange, reply);

    if (!poll) {
        http_exchange_destroy(exchange);
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
        return;
    }
    session->poll = poll;
    http_exchange_set_handler(exchange, &poll_handler, poll);
    http_exchange_hold(exchange);
}

static void handle_poll(struct eio_session *session, struct http_exchange *exchange)
{
    struct reply reply;

    if (session->poll) {
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "a second poll beside a pending one");
        eio_answer_empty(session->server, exchange, 400);
        return;
    }
    reply_init(&reply, session->server, http_exchange_request(exchange));
    if (session->queue.count > 0) {
        answer_queued(session, exchange, &reply);
    } else if (session->state == EIO_CLOSING || session->leaving) {
        answer_payload(session, exchange, &reply, eio_codec_noop_close(session), NULL);
        eio_session_end(session, session->leaving ? EIO_SERVER_SHUTDOWN : EIO_FORCED_CLOSE);
    } else {
        hold_poll(session, exchange, &reply);
    }
}

/* --- posts -------------------------------------------------------------------------------- */

static void free_post(struct eio_post *post)
{
    assert(post->session->post == post);
    post->session->post = NULL;
    buf_free(&post->body);
    free(post);
}

void eio_polling_drop_post(struct eio_session *session)
{
    struct eio_post *post = session->post;

    if (!post || post->complete)
        return;
    http_exchange_destroy(post->exchange);
    free_post(post);
}

/* The size for the log: what the client announced, if that is a number over the limit. */
static uint64_t announced_size(const struct http_request *request, uint64_t received)
{
    struct str length = http_request_header(request, "content-length");
    uint64_t announced = 0;

    for (size_t i = 0; i < length.size; i++) {
        if (length.at[i] < '0' || length.at[i] > '9' || announced > UINT64_MAX / 100)
            return received;
        announced = announced * 10 + (uint64_t)(length.at[i] - '0');
    }
    return announced > received ? announced : received;
}

static void refuse_body(struct eio_post *post, uint64_t received)
{
    struct eio_session *session = post->session;
    struct http_exchange *exchange = post->exchange;

    eio_log_too_large(session, announced_size(http_exchange_request(exchange), received));
    free_post(post);
    eio_answer_empty(session->server, exchange, 413);
}

static void fail_post(struct eio_post *post)
{
    struct eio_session *session = post->session;
    struct http_exchange *exchange = post->exchange;

    free_post(post);
    http_exchange_destroy(exchange);
    eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
}

static void post_body(void *owner, const uint8_t *bytes, size_t size)
{
    struct eio_post *post = owner;

    if (size > post->body.maximum - post->body.size)
        refuse_body(post, (uint64_t)post->body.size + size);
    else if (!buf_add(&post->body, bytes, size))
        fail_post(post);
}

/* Over the limit nothing more of the body is read. */
static bool too_many_packets(struct eio_session *session, uint32_t count)
{
    uint32_t limit = session->server->options.packets_per_payload;

    if (limit == 0 || count <= limit)
        return false;
    if (eio_note_hit(session->server, HIT_PACKETS))
        log_warn(session->server->log, "too many packets in a payload, session closed",
                 log_str("session", eio_session_logged_id(session)),
                 log_str("address", session->handshake->address), log_int("limit", limit),
                 LOG_END);
    eio_session_end(session, EIO_PARSE_ERROR);
    return true;
}

static void handle_packets(struct eio_session *session, enum frame_kind form, struct buf *body)
{
    struct eio_payload payload;
    struct eio_packet packet;
    uint32_t count = 0;

    eio_codec_begin(session, form, &payload, (uint8_t *)body->at, body->size);
    while (session->state != EIO_CLOSED && eio_codec_next(session, &payload, &packet)) {
        if (too_many_packets(session, ++count))
            return;
        if (packet.type != EIO_PACKET_CLOSE) {
            eio_session_packet(session, &packet);
            continue;
        }
        eio_polling_flush(session);
        eio_polling_release(session, eio_codec_noop(session));
        eio_session_end(session, EIO_TRANSPORT_CLOSE);
    }
}

/* False when out of memory. */
static bool repair_body(struct buf *body)
{
    struct buf repaired;

    if (utf8_valid(body->at, body->size))
        return true;
    buf_init(&repaired, body->size * 3); /* U+FFFD for every byte */
    if (!utf8_repair(&repaired, buf_str(body))) {
        buf_free(&repaired);
        return false;
    }
    buf_free(body);
    *body = repaired;
    return true;
}

/* What a form holds takes the body's place. False when out of memory. */
static bool unwrap_form(struct buf *body, bool *present)
{
    struct buf payload;

    buf_init(&payload, body->size * 3);
    if (!eio_jsonp_payload(buf_str(body), &payload, present)) {
        buf_free(&payload);
        return false;
    }
    buf_free(body);
    *body = payload;
    return true;
}

/* False when out of memory. `*present`: there is a payload; a form may come without. */
static bool read_body(struct eio_post *post, bool *present)
{
    *present = true;
    if (post->form == FRAME_BINARY) {
        *present = !post->session->jsonp; /* a form is text */
        return true;
    }
    return repair_body(&post->body) &&
           (!post->session->jsonp || unwrap_form(&post->body, present));
}

static void post_end(void *owner)
{
    struct eio_post *post = owner;
    struct eio_session *session = post->session;
    struct http_exchange *exchange = post->exchange;
    bool present;
    struct reply reply;

    if (!read_body(post, &present)) {
        fail_post(post);
        return;
    }
    post->complete = true;
    if (present)
        handle_packets(session, post->form, &post->body);
    reply_init(&reply, session->server, http_exchange_request(exchange));
    reply.keep = expects_more(session);
    free_post(post);
    answer(exchange, &reply, STR("text/html"), STR("ok"), NULL);
}

static void post_aborted(void *owner)
{
    struct eio_post *post = owner;
    struct eio_session *session = post->session;

    free_post(post);
    eio_session_fault(session, EIO_TRANSPORT_ERROR, "the client aborted a post");
}

static const struct http_exchange_handler post_handler = {
    .body = post_body,
    .body_end = post_end,
    .aborted = post_aborted,
};

static const char *post_fault(const struct eio_session *session, enum frame_kind form)
{
    if (session->post)
        return "a second post beside an unfinished one";
    if (form == FRAME_BINARY && session->protocol != 3)
        return "a binary body";
    return NULL;
}

static void handle_post(struct eio_session *session, struct http_exchange *exchange)
{
    struct eio_server *server = session->server;
    struct str content_type =
        http_request_header(http_exchange_request(exchange), "content-type");
    enum frame_kind form = str_equal(content_type, binary_type) ? FRAME_BINARY : FRAME_TEXT;
    const char *fault = post_fault(session, form);
    struct eio_post *post;

    if (fault) {
        eio_session_fault(session, EIO_TRANSPORT_ERROR, fault);
        eio_answer_empty(server, exchange, 400);
        return;
    }
    post = calloc(1, sizeof(*post));
    if (!post) {
        http_exchange_destroy(exchange);
        eio_session_fault(session, EIO_TRANSPORT_ERROR, "out of memory");
        return;
    }
    post->session = session;
    post->exchange = exchange;
    post->form = form;
    buf_init(&post->body, server->options.max_payload);
    session->post = post;
    http_exchange_set_handler(exchange, &post_handler, post);
    http_exchange_read(exchange);
}

void eio_polling_request(struct eio_session *session, struct http_exchange *exchange)
{
    switch (http_exchange_request(exchange)->method) {
    case HTTP_GET:
        handle_poll(session, exchange);
        break;
    case HTTP_POST:
        handle_post(session, exchange);
        break;
    case HTTP_HEAD:
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        eio_answer_empty(session->server, exchange, 500);
        break;
    }
}
