#include "stream_reader.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ID_MAX = 48,          /* bytes of an entry's id with its NUL */
    POLL_SPARE_MS = 5000, /* what an answer may take beyond the time that it blocks */
    RETRY_MS = 1000,      /* after an error of the server */
    LOG_MS = 60000,       /* errors are logged at most so often */
};

#define NOWHERE "0-0" /* before the first entry of any stream */

struct stream_reader {
    struct stream_reader_options options; /* stream owned */
    struct stream_reader_events events;
    struct redis_link *link;
    char last[ID_MAX];   /* read; "" before the end is known */
    char before[ID_MAX]; /* the one that the running check is about */
    bool linked;
    bool live;
    bool asking; /* one command is on its way; while it lasts no other begins */
    struct timer retry;
    uint64_t logged_ms;
    bool freed;
    struct net_grave grave;
};

static void poll_next(struct stream_reader *reader);

static void bury(struct net_grave *grave)
{
    struct stream_reader *reader = CONTAINER_OF(grave, struct stream_reader, grave);

    free((char *)reader->options.stream.at);
    free(reader);
}

/* --- replies ------------------------------------------------------------------------------------- */

static struct str text_of(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_STRING ? redis_reply_str(reply) : STR("");
}

static bool is_entry(const struct redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < ID_MAX;
}

/* A reply is gone, or it is one that cannot be used: when to go on. True if it can be used. */
static bool usable(struct stream_reader *reader, const struct redisReply *reply,
                   enum redis_end end)
{
    const char *reason = end == REDIS_ANSWERED ? reply->str : redis_end_text(end);

    reader->asking = false;
    if (reader->freed) {
        net_loop_bury(reader->options.loop, &reader->grave, bury);
        return false;
    }
    if (end == REDIS_ANSWERED && reply->type != REDIS_REPLY_ERROR)
        return true;
    if (end == REDIS_CLOSED)
        return false;
    if (reader->logged_ms == 0 ||
        net_loop_now(reader->options.loop) - reader->logged_ms > LOG_MS) {
        reader->logged_ms = net_loop_now(reader->options.loop);
        log_warn(reader->options.log, "the cluster's stream cannot be read",
                 log_str("stream", reader->options.stream), log_text("reason", reason),
                 LOG_END);
    }
    timer_start(net_loop_timers(reader->options.loop), &reader->retry, RETRY_MS);
    return false;
}

static void ask(struct stream_reader *reader, const struct str *argv, size_t argc,
                uint32_t timeout_ms, redis_answer *answer)
{
    const struct redis_how how = {.at_once = true, .timeout_ms = timeout_ms};

    reader->asking = true;
    redis_link_command(reader->link, &how, argv, argc, answer, reader);
}

static void set_last(struct stream_reader *reader, struct str id)
{
    snprintf(reader->last, sizeof(reader->last), "%.*s", (int)id.size, id.at);
}

/* Ids as numbers; what is no id is before all. */
static uint64_t place_of(const char *id)
{
    uint64_t entry;

    return codec_entry_id(str_from(id), &entry) ? entry : 0;
}

static void begin(struct stream_reader *reader)
{
    if (!reader->live) {
        reader->live = true;
        reader->events.live(reader->events.owner);
    }
    if (!reader->freed)
        poll_next(reader);
}

/* --- where the end is ------------------------------------------------------------------------------ */

/* The first time, or after entries have vanished. */
static void on_end(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct stream_reader *reader = owner;
    const char *newest = NOWHERE;

    if (!usable(reader, reply, end))
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && is_entry(reply->element[0]))
        newest = reply->element[0]->element[0]->str;
    /* A server that took over with a clock behind may go on with smaller ids. */
    if (!reader->last[0] || place_of(newest) < place_of(reader->last))
        set_last(reader, str_from(newest));
    begin(reader);
}

static void look_for_end(struct stream_reader *reader)
{
    const struct str argv[] = {STR("XREVRANGE"), reader->options.stream, STR("+"),
                               STR("-"),         STR("COUNT"),           STR("1")};

    ask(reader, argv, 6, 0, on_end);
}

static void on_check(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct stream_reader *reader = owner;

    if (!usable(reader, reply, end))
        return;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1) {
        begin(reader);
        return;
    }
    reader->events.gap(reader->events.owner);
    if (!reader->freed)
        look_for_end(reader);
}

/* Whether the entry is still there that was read before the last poll. */
static void check_last(struct stream_reader *reader)
{
    struct str id = str_from(reader->before);
    const struct str argv[] = {STR("XRANGE"), reader->options.stream, id, id};

    ask(reader, argv, 4, 0, on_check);
}

/* --- reading -------------------------------------------------------------------------------------- */

static void take_entry(struct stream_reader *reader, const struct redisReply *reply)
{
    const struct redisReply *fields = reply->element[1];
    struct codec_entry entry = {text_of(reply->element[0]), STR(""), STR(""), STR(""), STR("")};
    struct str tag = STR("");

    set_last(reader, entry.id);
    if (fields->type != REDIS_REPLY_ARRAY)
        return; /* deleted */
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        struct str name = text_of(fields->element[i]), value = text_of(fields->element[i + 1]);

        if (str_equal(name, STR("uid")))
            entry.uid = value;
        else if (str_equal(name, STR("nsp")))
            entry.nsp = value;
        else if (str_equal(name, STR("type")))
            entry.type = value;
        else if (str_equal(name, STR("data")))
            entry.data = value;
        else if (str_equal(name, STR("n")))
            tag = value;
    }
    if (entry.nsp.size > 0)
        reader->events.entry(reader->events.owner, &entry, tag);
}

static size_t take_entries(struct stream_reader *reader, const struct redisReply *reply)
{
    const struct redisReply *entries;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1 ||
        reply->element[0]->type != REDIS_REPLY_ARRAY || reply->element[0]->elements != 2)
        return 0;
    entries = reply->element[0]->element[1];
    if (entries->type != REDIS_REPLY_ARRAY)
        return 0;
    for (size_t i = 0; i < entries->elements && !reader->freed; i++)
        if (is_entry(entries->element[i]))
            take_entry(reader, entries->element[i]);
    return entries->elements;
}

static void on_poll(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct stream_reader *reader = owner;
    size_t count;

    if (!usable(reader, reply, end))
        return;
    memcpy(reader->before, reader->last, sizeof(reader->before));
    count = take_entries(reader, reply);
    if (reader->freed)
        return;
    if (count >= reader->options.count && strcmp(reader->before, NOWHERE) != 0)
        check_last(reader);
    else
        poll_next(reader);
}

static void poll_next(struct stream_reader *reader)
{
    char count[16], block[16];
    const struct str argv[] = {STR("XREAD"),           STR("BLOCK"),          str_of(block, 0),
                               STR("COUNT"),           str_of(count, 0),      STR("STREAMS"),
                               reader->options.stream, str_from(reader->last)};
    struct str words[8];

    memcpy(words, argv, sizeof(words));
    words[2].size = (size_t)snprintf(block, sizeof(block), "%u", reader->options.block_ms);
    words[4].size = (size_t)snprintf(count, sizeof(count), "%u", reader->options.count);
    ask(reader, words, 8, reader->options.block_ms + POLL_SPARE_MS, on_poll);
}

/* --- the link ------------------------------------------------------------------------------------- */

static void go_on(struct stream_reader *reader)
{
    if (reader->asking || !reader->linked)
        return;
    timer_stop(net_loop_timers(reader->options.loop), &reader->retry);
    if (!reader->last[0]) {
        look_for_end(reader);
        return;
    }
    memcpy(reader->before, reader->last, sizeof(reader->before));
    check_last(reader); /* of an empty stream nothing is found: that too may be a gap */
}

static void on_retry(struct timer *timer)
{
    go_on(CONTAINER_OF(timer, struct stream_reader, retry));
}

static void on_up(void *owner)
{
    struct stream_reader *reader = owner;

    reader->linked = true;
    go_on(reader);
}

static void on_down(void *owner, const char *reason)
{
    struct stream_reader *reader = owner;

    reader->linked = false;
    if (!reader->live)
        return;
    reader->live = false;
    reader->events.down(reader->events.owner, reason);
}

/* --- life -------------------------------------------------------------------------------------------- */

struct stream_reader *stream_reader_new(const struct stream_reader_options *options,
                                        const struct stream_reader_events *events)
{
    struct stream_reader *reader = calloc(1, sizeof(*reader));
    const struct redis_link_events link_events = {on_up, on_down, reader};

    if (!reader)
        return NULL;
    reader->options = *options;
    reader->events = *events;
    timer_init(&reader->retry, on_retry);
    reader->options.stream.at = str_dup(options->stream);
    if (reader->options.stream.at)
        reader->link = redis_link_open(options->redis, options->stream, &link_events);
    if (reader->link)
        return reader;
    free((char *)reader->options.stream.at);
    free(reader);
    return NULL;
}

void stream_reader_free(struct stream_reader *reader)
{
    if (!reader)
        return;
    reader->freed = true;
    timer_stop(net_loop_timers(reader->options.loop), &reader->retry);
    redis_link_close(reader->link); /* what is asked is answered once more, later */
    if (!reader->asking)
        net_loop_bury(reader->options.loop, &reader->grave, bury);
}

bool stream_reader_is_live(const struct stream_reader *reader)
{
    return reader->live;
}
