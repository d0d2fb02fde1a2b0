/*
 * recovery: connection state recovery: what a lost socket leaves behind (session), what it misses
 * (log), and how a client that comes back is given both.
 *
 * Every namespace with a window keeps its events (not volatile, no acknowledgement wanted) in a
 * log, numbered from 1 on; each goes out with an offset that names this server and the number. A
 * socket that is lost leaves its id, rooms and data under its private id. The client that comes
 * back with both gets all events behind its offset that its rooms were sent, and is who it was.
 *
 * What makes that exact: numbers have no holes in the log, so "all behind the offset" is provable
 * unless entries were dropped. By age they are dropped only when no client that can still recover
 * could have missed them (retention, below); when they are dropped for room (options.buffer), or when
 * others' events may not have reached this server (sio_log_gap), the log is cut: offsets before the
 * cut are refused until its age makes it harmless.
 *
 * Retention is the window and the time in which a loss goes unnoticed: a socket's loss is noticed at most
 * a ping interval and two time-outs after the last event that it may have missed went out (a ping is
 * answered only behind it), and its session lives for the window after that.
 *
 * Callers   client, socket, broadcast, namespace.
 * Owner     namespaces own logs, the server owns sessions. Entries refer to packets.
 * Threads   the worker's own.
 * Units     milliseconds of the loop's clock, bytes.
 * Errors    out of memory: an entry that cannot be kept cuts the log, a session is not saved.
 * Source    protocol/connection-state-recovery.md.
 */
#ifndef SKUA_SOCKETIO_RECOVERY_H
#define SKUA_SOCKETIO_RECOVERY_H

#include "private.h"

enum {
    SIO_OFFSET_MAX = 200, /* bytes of an offset's text */
    SIO_ORIGIN_BITS = 48, /* 8 digits in an offset */
};

/* Whom an event was for: rooms, then those excepted; one block with the names behind it. */
struct sio_audience {
    uint32_t room_count;
    uint32_t except_count;
    struct str names[];
};

struct sio_log_entry {
    struct sio_packet *packet;
    struct sio_audience *audience; /* NULL: all */
    struct sio_mark mark;          /* without the offset's text */
    uint64_t at_ms;
    size_t size; /* what it counts against the buffer */
    bool alone;  /* emitted to a socket: no other server has it */
    bool placed; /* its place is its offset */
};

/* One a namespace, while there is anything in it. */
struct sio_log {
    struct sio_namespace *nsp;
    struct sio_log_entry *ring; /* entry i is number `next - count + i` */
    uint32_t capacity;          /* a power of two, or 0 */
    uint32_t first;
    uint32_t count;
    struct list saved; /* sessions, in the order of their loss */
    size_t size;       /* of packets and sessions */
    struct timer sweep;
};

struct sio_saved {
    struct list in_log;
    struct sio_namespace *nsp;
    uint64_t lost_ms;
    size_t size;
    struct sio_session session;
    struct sio_packet **packets; /* of session.packets, when it came from another server */
    struct str names[];          /* rooms; the bytes are behind them */
};

/* --- recovery_log.c --- */

/* Whether an event of these flags is kept: somebody may come back and ask for it. */
bool sio_log_takes(const struct sio_namespace *nsp, unsigned flags);

/* Keeps a packet under the namespace's next number; takes a reference. */
void sio_log_add(const struct sio_target *target, struct sio_packet *packet,
                 const struct sio_mark *mark, bool alone);

/* The parts of that, for entries from elsewhere: false when out of memory, then nothing is taken. */
bool sio_log_copy_audience(struct sio_log_entry *entry, const struct sio_target *target);
bool sio_log_append(struct sio_namespace *nsp, const struct sio_log_entry *entry);
const struct sio_log_entry *sio_log_entry_at(const struct sio_log *log, uint32_t index);

/* Tells the keeper of a session, with the packets that are only here; `emitted`: there are some in
 * the log. */
void sio_log_tell_saved(const struct sio_saved *saved, bool emitted);

/* The log, made on first need; NULL when out of memory. */
struct sio_log *sio_log_of(struct sio_namespace *nsp);

/* Makes room for something that was added, oldest first, and frees a log that is empty. */
void sio_log_trim(struct sio_namespace *nsp);
void sio_log_free(struct sio_namespace *nsp);

/* Whether everything behind the position is here. */
bool sio_log_reaches(const struct sio_namespace *nsp, const struct sio_position *position);

/* Sends everything behind the position that the session was meant to get; what only its own server
 * had is kept here from now on. */
void sio_log_replay(struct sio_socket *socket, const struct sio_position *position,
                    const struct sio_saved *saved);

/* --- recovery_offset.c --- */

void sio_offset_write(struct buf *to, const struct sio_namespace *nsp, uint64_t origin,
                      uint64_t number, uint64_t place);

/* False: not an offset of this server's, nor one whose place is known here. */
bool sio_offset_read(const struct sio_namespace *nsp, struct str text,
                     struct sio_position *position);

/* --- recovery_session.c --- */

/* Keeps what the socket leaves; its rooms are still there. */
void sio_session_save(struct sio_socket *socket);

/* Keeps one that was lost at that time. */
void sio_saved_keep(struct sio_saved *saved, uint64_t lost_ms);

/* A packet from its frames as they were made. */
struct sio_packet *sio_packet_thaw(const struct sio_server *server, const struct str *frames,
                                   uint32_t count);

/* Puts a taken one back, here and with the keeper. */
void sio_session_return(struct sio_saved *saved);

/* Takes a session out, or NULL. */
struct sio_saved *sio_saved_take(struct sio_server *server, struct str pid);
struct sio_saved *sio_saved_copy(struct sio_namespace *nsp, const struct sio_session *session);
void sio_saved_free(struct sio_saved *saved);
void sio_sessions_free(struct sio_server *server);

/* --- recovery_restore.c --- */

/* What a socket of a namespace with recovery has behind its id. */
struct sio_kept {
    char pid[RANDOM_ID_SIZE];
    bool recovered;
    bool emitted;               /* something to it alone is in the log */
    uint64_t since;             /* the log's next number when it was accepted */
    uint64_t place;             /* and the bus's place then */
    uint64_t last;              /* the number of the last event that went to it; 0: none yet */
    uint64_t last_place;        /* and its place, if that is its offset */
    bool last_is_unknown;       /* it was another server's */
    char *start;                /* of a recovered one: where it stood when it was new */
    char *had;                  /* and the offset it came with; "" for none */
    struct sio_saved *restored; /* from when it is known until it is accepted */
    struct sio_position behind; /* what that one has had */
};

/* NULL in namespaces without. */
struct sio_kept *sio_socket_kept(const struct sio_socket *socket);

/* An event with this mark goes to the socket. */
void sio_kept_note(struct sio_socket *socket, uint64_t number, const struct sio_mark *mark);

/* A CONNECT arrived: the socket goes on to middleware, now or when it is known who it was. */
void sio_restore(struct sio_socket *socket);

/* It is being accepted: it gets its private id, and what it missed. False: that is not here any more. */
bool sio_restore_finish(struct sio_socket *socket);

/* It ends. What it was before is kept if it was `lost` in middleware. */
void sio_restore_drop(struct sio_socket *socket, bool lost);

#endif
