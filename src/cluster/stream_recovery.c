#include "cluster/stream_recovery.h"

#include "base/clock.h"
#include "cluster/bus_redis.h"
#include "cluster/codec.h"
#include "cluster/stream_missed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    LATE_MS = 2000, /* entries that are older have been read */
};

/* From where on a namespace's stream is read here. */
struct reading {
    struct stream_recovery *recovery;
    uint64_t from;  /* entries behind it are in the log, or were; SIO_BUS_NONE: not known yet */
    uint32_t asked; /* questions that were not answered yet */
    bool closed;
    char name[]; /* the namespace's, with a NUL */
};

struct stream_recovery {
    struct stream_recovery_options options;
    struct store *store;
    struct map readings;
};

/* --- from where on ---------------------------------------------------------------------------- */

static struct reading *find_reading(const struct stream_recovery *recovery, struct str nsp)
{
    return map_get(&recovery->readings, nsp);
}

static struct reading *reading_of(struct stream_recovery *recovery, struct str nsp)
{
    struct reading *reading = find_reading(recovery, nsp);

    if (reading)
        return reading;
    reading = calloc(1, sizeof(*reading) + nsp.size + 1);
    if (!reading)
        return NULL;
    reading->recovery = recovery;
    reading->from = SIO_BUS_NONE;
    memcpy(reading->name, nsp.at, nsp.size);
    if (map_put(&recovery->readings, nsp, reading))
        return reading;
    free(reading);
    return NULL;
}

static void release(struct reading *reading)
{
    if (reading->closed && reading->asked == 0)
        free(reading);
}

/* [[id, fields]], or [] for a stream that is empty */
static bool read_last(const struct redisReply *reply, uint64_t *entry)
{
    const struct redisReply *last;

    *entry = 0;
    if (!reply || reply->type != REDIS_REPLY_ARRAY)
        return false;
    if (reply->elements == 0)
        return true;
    last = reply->element[0];
    return last->type == REDIS_REPLY_ARRAY && last->elements > 0 &&
           last->element[0]->type == REDIS_REPLY_STRING &&
           codec_entry_id(redis_reply_str(last->element[0]), entry);
}

/* Reading had begun when that was asked: what comes behind the last entry is read. */
static void told_last(void *owner, const struct redisReply *reply, enum redis_end end)
{
    struct reading *reading = owner;
    uint64_t entry;

    reading->asked--;
    if (end == REDIS_ANSWERED && reading->asked == 0 && read_last(reply, &entry))
        reading->from = entry;
    release(reading);
}

void stream_recovery_ready(struct stream_recovery *recovery, struct str nsp)
{
    struct reading *reading = reading_of(recovery, nsp);
    struct str stream = bus_stream(recovery->options.bus, nsp);
    const struct redis_how how = {.has_key = true, .key = stream};
    const struct str words[] = {STR("XREVRANGE"), stream,       STR("+"),
                                STR("-"),         STR("COUNT"), STR("1")};

    if (!recovery->store || !reading || reading->from != SIO_BUS_NONE)
        return;
    reading->asked++;
    redis_command_with(store_redis(recovery->store), &how, words, 6, told_last, reading);
}

void stream_recovery_gap(struct stream_recovery *recovery, struct str nsp)
{
    uint32_t cursor = 0;
    struct str name;
    void *value;

    while (map_next(&recovery->readings, &cursor, &name, &value)) {
        struct reading *reading = value;
        struct sio_namespace *found =
            sio_namespace_find(recovery->options.store.server, str_from(reading->name));

        if (nsp.size > 0 && !str_equal(nsp, str_from(reading->name)))
            continue;
        reading->from = SIO_BUS_NONE;
        if (found)
            sio_log_gap(found);
    }
}

void stream_recovery_closed(struct stream_recovery *recovery, struct str nsp)
{
    struct reading *reading = map_remove(&recovery->readings, nsp);

    if (!reading)
        return;
    reading->closed = true;
    release(reading);
}

/* --- offsets ---------------------------------------------------------------------------------- */

/* "ms-seq", or where a socket stood that has had no event: "ORIGIN.NUMBER.ms-seq". */
static bool read_offset(struct str offset, uint64_t *entry)
{
    uint64_t origin, number;
    struct str place;

    if (codec_entry_id(offset, entry))
        return true;
    return sio_offset_split(offset, &origin, &number, &place) && codec_entry_id(place, entry);
}

static uint64_t place(void *owner, const struct sio_namespace *nsp)
{
    const struct stream_recovery *recovery = owner;
    const struct reading *reading = find_reading(recovery, sio_namespace_name(nsp));
    uint64_t last = sio_log_last_place(nsp);

    if (last > 0 || !reading || reading->from == SIO_BUS_NONE)
        return last;
    return reading->from;
}

static void write_place(void *owner, const struct sio_namespace *nsp, uint64_t entry,
                        struct buf *offset)
{
    (void)owner, (void)nsp;
    if (entry > 0)
        stream_entry_write(entry, offset);
}

static bool is_in_log(const struct stream_recovery *recovery, const struct sio_namespace *nsp,
                      uint64_t entry)
{
    const struct reading *reading = find_reading(recovery, sio_namespace_name(nsp));

    return reading && reading->from != SIO_BUS_NONE && entry >= reading->from;
}

static bool find(void *owner, const struct sio_namespace *nsp, struct str offset,
                 struct sio_position *position)
{
    uint64_t entry;

    if (!read_offset(offset, &entry) || !is_in_log(owner, nsp, entry))
        return false;
    *position = (struct sio_position){.after = sio_log_behind(nsp, entry), .place = entry};
    return true;
}

static enum store_place locate(void *owner, const struct sio_namespace *nsp, struct str offset)
{
    const struct stream_recovery *recovery = owner;
    uint64_t origin, number, entry;
    struct str rest;

    if (sio_offset_split(offset, &origin, &number, &rest) &&
        origin == sio_server_origin(recovery->options.store.server))
        return STORE_HERE;
    if (!read_offset(offset, &entry))
        return STORE_HERE;
    if (!is_in_log(recovery, nsp, entry))
        return STORE_ELSEWHERE;
    if (entry > place(owner, nsp) && (entry >> CODEC_SEQUENCE_BITS) + LATE_MS > clock_wall_ms())
        return STORE_AHEAD;
    return STORE_HERE;
}

/* --- sessions --------------------------------------------------------------------------------- */

static bool encode(void *owner, const struct sio_namespace *nsp,
                   const struct sio_session *session, struct buf *value)
{
    (void)owner, (void)nsp;
    if (session->packet_count > 0 && !session->packets_are_first)
        return false; /* something was sent past the stream: only this server has it */
    session_write_official(value, session);
    return !buf_failed(value);
}

static bool decode(void *owner, const struct sio_namespace *nsp, struct str value,
                   struct session_read *read)
{
    (void)owner, (void)nsp;
    return session_read_official(read, value);
}

static void fetch(void *owner, struct store_search *search, const struct sio_namespace *nsp,
                  struct str offset)
{
    struct stream_recovery *recovery = owner;
    struct stream_missed_options options = {
        .redis = store_redis(recovery->store),
        .stream = bus_stream(recovery->options.bus, sio_namespace_name(nsp)),
        .nsp = nsp,
        .server = recovery->options.store.server,
        .to = place(owner, nsp),
    };

    /* Before it is known from where on this server reads, nothing can be put together. */
    if (options.to == 0 || !read_offset(offset, &options.behind) ||
        !session_read_official(&options.session, store_value(search)))
        store_fetched(search, NULL, 0, 0, false);
    else
        stream_missed(&options, search);
}

static void saved(void *owner, const struct sio_namespace *nsp,
                  const struct sio_session *session, uint32_t window_ms)
{
    store_save(((struct stream_recovery *)owner)->store, nsp, session, window_ms);
}

static void claim(void *owner, struct sio_claim *claim)
{
    store_claim(((struct stream_recovery *)owner)->store, claim);
}

/* --- life ------------------------------------------------------------------------------------- */

struct stream_recovery *stream_recovery_new(const struct stream_recovery_options *options,
                                            char fault[REDIS_FAULT_MAX])
{
    struct stream_recovery *recovery = calloc(1, sizeof(*recovery));
    const struct store_ops ops = {encode, decode, locate, fetch, recovery};

    snprintf(fault, REDIS_FAULT_MAX, "out of memory");
    if (!recovery)
        return NULL;
    recovery->options = *options;
    map_init(&recovery->readings);
    recovery->store = store_new(&recovery->options.store, &ops);
    if (!recovery->store) {
        stream_recovery_free(recovery);
        return NULL;
    }
    sio_server_keep(options->store.server, &(struct sio_keeper){
                                               .place = place,
                                               .write_place = write_place,
                                               .find = find,
                                               .saved = saved,
                                               .claim = claim,
                                               .owner = recovery,
                                           });
    return recovery;
}

void stream_recovery_stop(struct stream_recovery *recovery)
{
    if (!recovery || !recovery->store)
        return;
    store_free(recovery->store);
    recovery->store = NULL;
}

void stream_recovery_free(struct stream_recovery *recovery)
{
    uint32_t cursor = 0;
    struct str name;
    void *reading;

    if (!recovery)
        return;
    assert(!recovery->store);
    while (map_next(&recovery->readings, &cursor, &name, &reading))
        free(reading);
    map_free(&recovery->readings);
    free(recovery);
}

struct store *stream_recovery_store(struct stream_recovery *recovery)
{
    return recovery->store;
}
