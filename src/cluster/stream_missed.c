#include "cluster/stream_missed.h"

#include "cluster/codec.h"

#include <stdlib.h>

struct missed {
    struct stream_missed_options options;
    struct store_search *search;
    struct buf stream, nsp;
    struct buf behind; /* the id that was read last */
    struct buf to;
    struct sio_session_packet *packets;
    size_t count, capacity;
    size_t bytes;
    uint32_t reads;
};

void stream_entry_write(uint64_t entry, struct buf *to)
{
    buf_add_u64(to, entry >> CODEC_SEQUENCE_BITS);
    buf_add_byte(to, '-');
    buf_add_u64(to, entry & ((UINT64_C(1) << CODEC_SEQUENCE_BITS) - 1));
}

static void end(struct missed *missed, bool good)
{
    store_fetched(missed->search, missed->packets, missed->count, missed->options.to, good);
    for (size_t i = 0; i < missed->count; i++)
        sio_packet_unref(missed->packets[i].packet);
    free(missed->packets);
    buf_free(&missed->stream);
    buf_free(&missed->nsp);
    buf_free(&missed->behind);
    buf_free(&missed->to);
    session_free(&missed->options.session);
    free(missed);
}

/* --- one entry -------------------------------------------------------------------------------- */

static bool was_in(const struct sio_session *session, const struct str *rooms, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t n = 0; n < session->room_count; n++) {
            if (str_equal(rooms[i], session->rooms[n]))
                return true;
        }
    }
    return false;
}

static bool was_meant(const struct sio_session *session, const struct cluster_message *message)
{
    if (message->kind != CLUSTER_BROADCAST || message->request.size > 0 ||
        (message->flags & SIO_VOLATILE))
        return false;
    return (message->room_count == 0 || was_in(session, message->rooms, message->room_count)) &&
           !was_in(session, message->except, message->except_count);
}

/* False when out of memory, or when it is too much. */
static bool keep(struct missed *missed, const struct sio_namespace *nsp,
                 const struct cluster_message *message)
{
    struct sio_args args = message->args;
    struct sio_packet *packet;

    missed->bytes += args.json.size;
    for (uint32_t i = 0; i < args.attachment_count; i++)
        missed->bytes += args.attachments[i].size;
    if (missed->bytes > MISSED_BYTES_MAX)
        return false;
    if (missed->count == missed->capacity) {
        size_t capacity = missed->capacity ? missed->capacity * 2 : 16;
        struct sio_session_packet *grown = realloc(missed->packets, capacity * sizeof(*grown));

        if (!grown)
            return false;
        missed->packets = grown;
        missed->capacity = capacity;
    }
    args.offset = message->offset;
    packet = sio_packet_event(nsp, &args, NULL);
    if (!packet)
        return false;
    missed->packets[missed->count++] = (struct sio_session_packet){
        .origin = UINT64_MAX,
        .number = missed->count + 1,
        .packet = packet,
    };
    return true;
}

static struct str *field_of(struct codec_entry *entry, struct str name)
{
    return str_equal(name, STR("uid"))    ? &entry->uid
           : str_equal(name, STR("nsp"))  ? &entry->nsp
           : str_equal(name, STR("type")) ? &entry->type
           : str_equal(name, STR("data")) ? &entry->data
                                          : NULL;
}

/* [id, [name, value, …]] */
static bool read_entry(const struct redisReply *reply, struct codec_entry *entry)
{
    const struct redisReply *fields;

    *entry = (struct codec_entry){STR(""), STR(""), STR(""), STR(""), STR("")};
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[0]->type != REDIS_REPLY_STRING)
        return false;
    entry->id = redis_reply_str(reply->element[0]);
    fields = reply->element[1];
    if (fields->type != REDIS_REPLY_ARRAY)
        return false;
    for (size_t i = 0; i + 1 < fields->elements; i += 2) {
        struct str *field = field_of(entry, redis_reply_str(fields->element[i]));

        if (field)
            *field = redis_reply_str(fields->element[i + 1]);
    }
    return true;
}

/* What is broken is no event; false: it cannot go on. */
static bool take(struct missed *missed, const struct sio_namespace *nsp,
                 const struct codec_entry *entry)
{
    const struct codec_receiver receiver = {buf_str(&missed->nsp), STR("")};
    struct codec_decoded decoded;
    bool good = true;

    if (codec_streams_decode(&decoded, &receiver, entry) == CODEC_GOOD &&
        was_meant(&missed->options.session.session, &decoded.message))
        good = keep(missed, nsp, &decoded.message);
    codec_free(&decoded);
    return good;
}

/* --- the stream ------------------------------------------------------------------------------- */

static void read_on(struct missed *missed);

static void came(void *owner, const struct redisReply *reply, enum redis_end how)
{
    struct missed *missed = owner;
    const struct sio_namespace *nsp =
        sio_namespace_find(missed->options.server, buf_str(&missed->nsp));
    struct codec_entry entry;

    if (how != REDIS_ANSWERED || reply->type != REDIS_REPLY_ARRAY || !nsp) {
        end(missed, false);
        return;
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (!read_entry(reply->element[i], &entry) || !take(missed, nsp, &entry)) {
            end(missed, false);
            return;
        }
    }
    if (reply->elements < MISSED_READ_COUNT) {
        end(missed, true);
        return;
    }
    buf_reset(&missed->behind);
    buf_add_str(&missed->behind, entry.id);
    read_on(missed);
}

static void ask(struct missed *missed, struct str from, struct str to, redis_answer *answer)
{
    struct buf count;

    buf_init(&count, SIZE_MAX);
    buf_add_u64(&count, MISSED_READ_COUNT);
    const struct redis_how how = {.has_key = true, .key = buf_str(&missed->stream)};
    const struct str words[] = {STR("XRANGE"), buf_str(&missed->stream), from, to,
                                STR("COUNT"),  buf_str(&count)};

    redis_command_with(missed->options.redis, &how, words, 6, answer, missed);
    buf_free(&count);
}

static void read_on(struct missed *missed)
{
    struct buf from;

    buf_init(&from, SIZE_MAX);
    buf_add_byte(&from, '(');
    buf_add_str(&from, buf_str(&missed->behind));
    if (++missed->reads > MISSED_READS_MAX || buf_failed(&from) || buf_failed(&missed->behind))
        end(missed, false);
    else
        ask(missed, buf_str(&from), buf_str(&missed->to), came);
    buf_free(&from);
}

/* The client's last event must be there still: then nothing behind it has been cut off. */
static void came_first(void *owner, const struct redisReply *reply, enum redis_end how)
{
    struct missed *missed = owner;

    if (how == REDIS_ANSWERED && reply->type == REDIS_REPLY_ARRAY && reply->elements == 1)
        read_on(missed);
    else
        end(missed, false);
}

void stream_missed(const struct stream_missed_options *options, struct store_search *search)
{
    struct missed *missed = calloc(1, sizeof(*missed));
    struct session_read session = options->session;

    if (!missed) {
        session_free(&session);
        store_fetched(search, NULL, 0, 0, false);
        return;
    }
    missed->options = *options;
    missed->search = search;
    buf_init(&missed->stream, SIZE_MAX);
    buf_init(&missed->nsp, SIZE_MAX);
    buf_init(&missed->behind, SIZE_MAX);
    buf_init(&missed->to, SIZE_MAX);
    buf_add_str(&missed->stream, options->stream);
    buf_add_str(&missed->nsp, sio_namespace_name(options->nsp));
    stream_entry_write(options->behind, &missed->behind);
    stream_entry_write(options->to, &missed->to);
    ask(missed, buf_str(&missed->behind), buf_str(&missed->behind), came_first);
}
