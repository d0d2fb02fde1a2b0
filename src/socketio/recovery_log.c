#include "recovery.h"

#include <assert.h>
#include <stdlib.h>

enum {
    FIRST_CAPACITY = 64,
    SWEEPS = 8, /* in a retention */
    SWEEP_MIN_MS = 1000,
    FEW_ROOMS = 8, /* are compared one by one */
};

/* --- the ring -------------------------------------------------------------------------------- */

static struct sio_log_entry *entry_at(const struct sio_log *log, uint32_t index)
{
    assert(index < log->count);
    return &log->ring[(log->first + index) & (log->capacity - 1)];
}

static uint64_t first_number(const struct sio_namespace *nsp)
{
    return nsp->next_number - (nsp->log ? nsp->log->count : 0);
}

static bool grow(struct sio_log *log)
{
    uint32_t capacity = log->capacity ? log->capacity * 2 : FIRST_CAPACITY;
    struct sio_log_entry *ring;

    if (capacity <= log->capacity)
        return false;
    ring = malloc(capacity * sizeof(*ring));
    if (!ring)
        return false;
    for (uint32_t i = 0; i < log->count; i++)
        ring[i] = *entry_at(log, i);
    free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    log->first = 0;
    return true;
}

static void drop_first(struct sio_log *log)
{
    struct sio_log_entry *entry = entry_at(log, 0);

    log->size -= entry->size;
    sio_packet_unref(entry->packet);
    free(entry->audience);
    log->first = (log->first + 1) & (log->capacity - 1);
    log->count--;
}

/* --- life ------------------------------------------------------------------------------------ */

uint64_t sio_namespace_retention(const struct sio_namespace *nsp)
{
    if (nsp->recovery.window_ms == 0)
        return 0;
    return (uint64_t)nsp->recovery.window_ms + nsp->server->options.unnoticed_ms;
}

static uint64_t sweep_interval(const struct sio_namespace *nsp)
{
    uint64_t interval = sio_namespace_retention(nsp) / SWEEPS;

    return interval > SWEEP_MIN_MS ? interval : SWEEP_MIN_MS;
}

static void sweep(struct timer *timer)
{
    struct sio_log *log = CONTAINER_OF(timer, struct sio_log, sweep);
    struct sio_namespace *nsp = log->nsp;

    timer_start(net_loop_timers(nsp->server->loop), timer, sweep_interval(nsp));
    sio_log_trim(nsp);
    sio_namespace_release(nsp);
}

struct sio_log *sio_log_of(struct sio_namespace *nsp)
{
    struct sio_log *log = nsp->log;

    if (log)
        return log;
    log = malloc(sizeof(*log));
    if (!log)
        return NULL;
    *log = (struct sio_log){.nsp = nsp};
    list_init(&log->saved);
    timer_init(&log->sweep, sweep);
    timer_start(net_loop_timers(nsp->server->loop), &log->sweep, sweep_interval(nsp));
    nsp->log = log;
    return log;
}

void sio_log_free(struct sio_namespace *nsp)
{
    struct sio_log *log = nsp->log;

    if (!log)
        return;
    while (log->count > 0)
        drop_first(log);
    assert(list_empty(&log->saved));
    timer_stop(net_loop_timers(nsp->server->loop), &log->sweep);
    free(log->ring);
    free(log);
    nsp->log = NULL;
}

/* --- what is no longer kept ------------------------------------------------------------------- */

/* Events up to that number may be missing. */
static void cut(struct sio_namespace *nsp, uint64_t number)
{
    nsp->cut = number;
    nsp->cut_until_ms = net_loop_now(nsp->server->loop) + sio_namespace_retention(nsp);
}

/* Nothing that was kept is provable any more. */
static void forget_entries(struct sio_namespace *nsp)
{
    while (nsp->log && nsp->log->count > 0)
        drop_first(nsp->log);
    /* The gap has a number: who has had an event since is behind it. */
    cut(nsp, nsp->next_number++);
}

void sio_log_gap(struct sio_namespace *nsp)
{
    if (nsp->recovery.window_ms > 0)
        forget_entries(nsp);
}

static void note_full(struct sio_namespace *nsp)
{
    struct sio_server *server = nsp->server;

    if (hits_note(server->options.hits, HIT_RECOVERY_BUFFER, net_loop_now(server->loop)))
        log_warn(server->log, "recovery buffer full, what is oldest is forgotten",
                 log_str("namespace", nsp->name),
                 log_int("limit", (int64_t)nsp->recovery.buffer), LOG_END);
}

static struct sio_saved *first_saved(const struct sio_log *log)
{
    return list_empty(&log->saved) ? NULL
                                   : CONTAINER_OF(log->saved.next, struct sio_saved, in_log);
}

static void drop_old(struct sio_log *log, uint64_t now)
{
    struct sio_namespace *nsp = log->nsp;
    uint64_t retention = sio_namespace_retention(nsp);
    struct sio_saved *saved;

    while (log->count > 0 && entry_at(log, 0)->at_ms + retention < now)
        drop_first(log);
    while ((saved = first_saved(log)) && saved->lost_ms + nsp->recovery.window_ms < now)
        sio_saved_free(sio_saved_take(nsp->server, saved->session.pid));
}

/* Of events and sessions what is older goes first. */
static void drop_oldest(struct sio_log *log)
{
    struct sio_saved *saved = first_saved(log);

    if (log->count > 0 && (!saved || entry_at(log, 0)->at_ms <= saved->lost_ms)) {
        cut(log->nsp, first_number(log->nsp));
        drop_first(log);
    } else {
        assert(saved);
        sio_saved_free(sio_saved_take(log->nsp->server, saved->session.pid));
    }
}

void sio_log_trim(struct sio_namespace *nsp)
{
    struct sio_log *log = nsp->log;

    if (!log)
        return;
    drop_old(log, net_loop_now(nsp->server->loop));
    if (log->size > nsp->recovery.buffer)
        note_full(nsp);
    while (log->size > nsp->recovery.buffer)
        drop_oldest(log);
    if (log->count == 0 && list_empty(&log->saved))
        sio_log_free(nsp);
}

/* --- keeping ---------------------------------------------------------------------------------- */

bool sio_log_takes(const struct sio_namespace *nsp, unsigned flags)
{
    const struct sio_server *server = nsp->server;

    if (nsp->recovery.window_ms == 0 || (flags & SIO_VOLATILE))
        return false;
    if (server->keeper.owner)
        return !(flags & SIO_LOCAL); /* others could not replay it */
    return map_size(&nsp->sockets) > 0 || nsp->joining > 0 ||
           (nsp->log && !list_empty(&nsp->log->saved));
}

static char *put_name(struct str *to, struct str name, char *at)
{
    memcpy(at, name.at, name.size);
    *to = str_of(at, name.size);
    return at + name.size;
}

bool sio_log_copy_audience(struct sio_log_entry *entry, const struct sio_target *target)
{
    size_t count = target->room_count + target->except_count;
    size_t size = sizeof(*entry->audience) + count * sizeof(struct str);
    struct sio_audience *audience;
    char *bytes;

    entry->audience = NULL;
    if (count == 0)
        return true;
    for (size_t i = 0; i < target->room_count; i++)
        size += target->rooms[i].size;
    for (size_t i = 0; i < target->except_count; i++)
        size += target->except[i].size;
    audience = malloc(size);
    if (!audience)
        return false;
    audience->room_count = (uint32_t)target->room_count;
    audience->except_count = (uint32_t)target->except_count;
    bytes = (char *)(audience->names + count);
    for (size_t i = 0; i < target->room_count; i++)
        bytes = put_name(&audience->names[i], target->rooms[i], bytes);
    for (size_t i = 0; i < target->except_count; i++)
        bytes = put_name(&audience->names[target->room_count + i], target->except[i], bytes);
    entry->audience = audience;
    return true;
}

static size_t size_of(const struct sio_log_entry *entry)
{
    const struct sio_audience *audience = entry->audience;
    uint32_t names = audience ? audience->room_count + audience->except_count : 0;
    size_t size = sizeof(*entry) + sizeof(*entry->packet) + names * sizeof(struct str);

    for (uint32_t i = 0; i < names; i++)
        size += audience->names[i].size;
    for (uint32_t i = 0; i < entry->packet->frame_count; i++)
        size += frame_body(entry->packet->frames[i]).size;
    return size;
}

void sio_log_add(const struct sio_target *target, struct sio_packet *packet,
                 const struct sio_mark *mark, bool alone)
{
    struct sio_namespace *nsp = target->nsp;
    struct sio_log_entry entry = {
        .packet = packet,
        .mark = *mark,
        .at_ms = net_loop_now(nsp->server->loop),
        .alone = alone,
        .placed = mark->offset.size > 0,
    };
    entry.mark.offset = STR(""); /* gone with the call */

    if (!sio_log_copy_audience(&entry, target) || !sio_log_append(nsp, &entry)) {
        free(entry.audience);
        log_error(nsp->server->log, "out of memory: an event is not kept for recovery",
                  log_str("namespace", nsp->name), LOG_END);
        forget_entries(nsp);
        return;
    }
    packet->references++;
    sio_log_trim(nsp);
}

bool sio_log_append(struct sio_namespace *nsp, const struct sio_log_entry *entry)
{
    struct sio_log *log = sio_log_of(nsp);
    struct sio_log_entry *place;

    if (!log || (log->count == log->capacity && !grow(log)))
        return false;
    place = &log->ring[(log->first + log->count++) & (log->capacity - 1)];
    *place = *entry;
    place->size = size_of(entry);
    log->size += place->size;
    nsp->next_number++;
    return true;
}

const struct sio_log_entry *sio_log_entry_at(const struct sio_log *log, uint32_t index)
{
    return entry_at(log, index);
}

uint64_t sio_log_next(const struct sio_namespace *nsp)
{
    return nsp->next_number;
}

static struct sio_log_entry *find_entry(const struct sio_namespace *nsp, uint64_t number)
{
    uint64_t first = first_number(nsp);

    return number >= first && number < nsp->next_number
               ? entry_at(nsp->log, (uint32_t)(number - first))
               : NULL;
}

uint64_t sio_log_behind(const struct sio_namespace *nsp, uint64_t place)
{
    uint64_t number = nsp->next_number - 1;
    const struct sio_log_entry *entry;

    while ((entry = find_entry(nsp, number)) && entry->mark.bus > place)
        number--;
    return number;
}

uint64_t sio_log_last_place(const struct sio_namespace *nsp)
{
    uint64_t number = nsp->next_number - 1;
    const struct sio_log_entry *entry;

    while ((entry = find_entry(nsp, number)) && entry->mark.bus == SIO_BUS_NONE)
        number--;
    return entry ? entry->mark.bus : 0;
}

void sio_log_placed(struct sio_namespace *nsp, uint64_t number, uint64_t place)
{
    struct sio_log_entry *entry = find_entry(nsp, number);

    if (entry)
        entry->mark.bus = place;
}

/* --- replaying -------------------------------------------------------------------------------- */

bool sio_log_reaches(const struct sio_namespace *nsp, const struct sio_position *position)
{
    if (position->after >= nsp->next_number)
        return false; /* of another life of this server, or made up */
    return position->after >= nsp->cut || nsp->cut_until_ms < net_loop_now(nsp->server->loop);
}

struct replay {
    const struct sio_saved *saved;
    const struct sio_position *position;
    struct map rooms; /* if they are many */
    size_t own;       /* of the session's packets: the next */
};

static bool was_in(const struct replay *replay, struct str room)
{
    const struct sio_session *session = &replay->saved->session;

    if (map_size(&replay->rooms) > 0)
        return map_get(&replay->rooms, room) != NULL;
    for (size_t i = 0; i < session->room_count; i++) {
        if (str_equal(session->rooms[i], room))
            return true;
    }
    return false;
}

static bool was_meant(const struct replay *replay, const struct sio_audience *audience)
{
    bool meant;

    if (!audience)
        return true;
    meant = audience->room_count == 0;
    for (uint32_t i = 0; i < audience->room_count && !meant; i++)
        meant = was_in(replay, audience->names[i]);
    for (uint32_t i = 0; i < audience->except_count && meant; i++)
        meant = !was_in(replay, audience->names[audience->room_count + i]);
    return meant;
}

static void gather_rooms(struct replay *replay)
{
    const struct sio_session *session = &replay->saved->session;

    map_init(&replay->rooms);
    for (size_t i = 0; session->room_count > FEW_ROOMS && i < session->room_count; i++) {
        if (!map_put(&replay->rooms, session->rooms[i], replay)) {
            map_free(&replay->rooms); /* then it takes longer */
            return;
        }
    }
}

/* What was emitted to the socket alone belongs to its stay here; marks have its first number. */
static bool is_due(const struct replay *replay, const struct sio_log_entry *entry,
                   uint64_t number)
{
    const struct sio_session *session = &replay->saved->session;
    const struct sio_position *position = replay->position;

    if (entry->mark.origin == position->origin && entry->mark.number <= position->number)
        return false;
    if (entry->alone &&
        (session->origin != replay->saved->nsp->server->origin || number < session->since))
        return false;
    return entry->mark.bus > position->place && was_meant(replay, entry->audience);
}

/* Packets that only the other server had, up to its number: they go in its order with the rest. */
static void send_own(struct replay *replay, struct sio_socket *socket, uint64_t number)
{
    const struct sio_saved *saved = replay->saved;
    const struct sio_position *position = replay->position;
    struct str own_room = sio_socket_id(socket);
    const struct sio_target target = {.nsp = socket->nsp, .rooms = &own_room, .room_count = 1};

    for (; replay->own < saved->session.packet_count; replay->own++) {
        const struct sio_session_packet *packet = &saved->session.packets[replay->own];
        const struct sio_mark mark = {packet->origin, packet->number, SIO_BUS_NONE, STR("")};

        if (packet->number >= number && packet->origin == saved->session.origin)
            return;
        if (packet->origin == position->origin && packet->number <= position->number)
            continue;
        sio_socket_send(socket, saved->packets[replay->own], 0);
        sio_socket_kept(socket)->last_is_unknown = true;
        if (!saved->session.packets_are_first)
            sio_log_add(&target, saved->packets[replay->own], &mark, true);
    }
}

static void note_sent(struct sio_socket *socket, uint64_t number,
                      const struct sio_log_entry *entry)
{
    struct sio_kept *kept = sio_socket_kept(socket);

    kept->last = number;
    kept->last_place = entry->placed ? entry->mark.bus : 0;
    /* What is kept anew of another server's has that one's offset. */
    kept->last_is_unknown = entry->alone && entry->mark.origin != 0;
}

void sio_log_replay(struct sio_socket *socket, const struct sio_position *position,
                    const struct sio_saved *saved)
{
    const struct sio_namespace *nsp = socket->nsp;
    struct replay replay = {.saved = saved, .position = position};
    uint64_t end = nsp->next_number;
    uint64_t number = first_number(nsp);

    gather_rooms(&replay);
    if (saved->session.packets_are_first)
        send_own(&replay, socket, UINT64_MAX);
    if (number <= position->after)
        number = position->after + 1;
    for (; number < end; number++) {
        const struct sio_log_entry *entry = find_entry(nsp, number);

        if (entry && entry->mark.origin == saved->session.origin) {
            send_own(&replay, socket, entry->mark.number);
            entry = find_entry(nsp, number); /* what was kept anew may have pushed it out */
        }
        if (entry && is_due(&replay, entry, number)) {
            sio_socket_send(socket, entry->packet, 0);
            note_sent(socket, number, entry);
        }
    }
    send_own(&replay, socket, UINT64_MAX);
    map_free(&replay.rooms);
}

/* --- telling others --------------------------------------------------------------------------- */

struct alone {
    struct sio_session_packet *packets;
    size_t count;
    size_t capacity;
    bool failed;
};

static bool make_room(struct alone *alone)
{
    size_t capacity = alone->capacity ? alone->capacity * 2 : FEW_ROOMS;
    struct sio_session_packet *grown;

    if (alone->count < alone->capacity)
        return true;
    grown = realloc(alone->packets, capacity * sizeof(*grown));
    if (!grown)
        return false;
    alone->packets = grown;
    alone->capacity = capacity;
    return true;
}

static void add_alone(struct alone *alone, const struct sio_server *server, uint64_t origin,
                      uint64_t number, const struct sio_packet *packet)
{
    struct str *frames = make_room(alone) ? calloc(packet->frame_count, sizeof(*frames)) : NULL;

    if (!frames) {
        alone->failed = true;
        return;
    }
    for (uint32_t i = 0; i < packet->frame_count; i++) {
        frames[i] = frame_body(packet->frames[i]);
        if (i == 0 && server->codec->first == FRAME_TEXT)
            frames[i] = str_from_index(frames[i], 1);
    }
    alone->packets[alone->count++] = (struct sio_session_packet){
        .origin = origin,
        .number = number,
        .frames = frames,
        .frame_count = packet->frame_count,
    };
}

static void gather_alone(struct alone *alone, const struct sio_namespace *nsp,
                         const struct sio_session *session)
{
    uint64_t number = first_number(nsp);

    if (number < session->since)
        number = session->since;
    for (; number < nsp->next_number; number++) {
        const struct sio_log_entry *entry = find_entry(nsp, number);

        if (entry->alone && str_equal(entry->audience->names[0], session->sid))
            add_alone(alone, nsp->server,
                      entry->mark.origin ? entry->mark.origin : nsp->server->origin,
                      entry->mark.number, entry->packet);
    }
}

void sio_log_tell_saved(const struct sio_saved *saved, bool emitted)
{
    const struct sio_namespace *nsp = saved->nsp;
    const struct sio_keeper *keeper = &nsp->server->keeper;
    struct sio_session told = saved->session;
    struct alone alone = {0};

    for (size_t i = 0; i < saved->session.packet_count; i++)
        add_alone(&alone, nsp->server, saved->session.packets[i].origin,
                  saved->session.packets[i].number, saved->packets[i]);
    if (emitted)
        gather_alone(&alone, nsp, &saved->session);
    told.packets = alone.packets;
    told.packet_count = alone.count;
    if (alone.failed)
        log_error(nsp->server->log, "out of memory: a lost socket is kept on this server only",
                  log_str("namespace", nsp->name), LOG_END);
    else
        keeper->saved(keeper->owner, nsp, &told, nsp->recovery.window_ms);
    for (size_t i = 0; i < alone.count; i++)
        free((void *)alone.packets[i].frames);
    free(alone.packets);
}
