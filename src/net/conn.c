#include "net/conn.h"

#include "net/conn_private.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    QUEUE_INLINE = 4, /* frames queued without an allocation */
    READS_PER_EVENT = 5,
    FLUSH_BYTES = 1024 * 1024, /* to the kernel a turn: one peer must not hold up the others */
    WRITE_VECTORS = 256,       /* frames a system call */

    /* Small frames are put together before they are sent: as cheap as vectors for a few of them,
     * 33 instead of 58 ns a frame for a hundred. Larger ones cost less as vectors. */
    COPY_BYTES = 16 * 1024,
    COPY_FRAME_MAX = 1024,

    /* TLS records a system call: 64 KB on the stack. */
    RECORDS = 4,

    FINISH_STALL_MS = 30000, /* a peer that takes nothing for so long loses the last bytes */
};

enum state {
    OPEN,
    CONDEMNED, /* the end is decided, the flush phase reports it */
    FINISHING, /* the owner is gone; what is queued still leaves */
    LINGERING, /* our side is shut; waiting for the peer's end */
    CLOSED,
};

struct net_conn {
    struct net_io io;
    struct list in_loop;
    struct net_loop *loop;
    const struct net_conn_handler *handler;
    void *owner;
    void (*ended)(void *owner);
    void *ended_owner;
    struct net_task flush;
    struct tls *tls; /* NULL: plain */
    union {
        struct timer timer;     /* while parted, finishing and lingering */
        struct net_grave grave; /* when closed */
    };

    /* The queue: a ring whose capacity is a power of two, the inline one until it is full. */
    struct frame **frames;
    uint32_t capacity, head, count;
    uint32_t linger_ms;
    size_t head_sent; /* bytes of the first frame that are gone */
    size_t queued;
    size_t backlog;
    struct frame *inline_frames[QUEUE_INLINE];

    uint8_t state;     /* enum state */
    uint8_t why;       /* enum net_end, when condemned */
    bool blocked;      /* the kernel's buffer is full: wait for EPOLLOUT */
    bool owes_drained; /* something was queued since the last `drained` */
    bool paused;       /* by the owner */
    bool slowed;       /* by the backlog */
    bool parted;       /* what is queued waits for the timer; only while open */
    bool peer_ended;   /* while finishing: nothing more to throw away */
    bool heard;        /* something was read */
    int16_t listener;  /* -1: none that another process has, too */
    char address[INET6_ADDRSTRLEN];
};

enum write_result {
    WRITE_EMPTY,
    WRITE_WAITS, /* for the end of the TLS handshake */
    WRITE_BLOCKED,
    WRITE_MORE, /* the budget is used up */
    WRITE_FAILED,
};

/* ---- the queue ---- */

static struct frame *queue_at(const struct net_conn *conn, uint32_t index)
{
    return conn->frames[(conn->head + index) & (conn->capacity - 1)];
}

static bool queue_grow(struct net_conn *conn)
{
    uint32_t capacity = conn->capacity * 2;
    struct frame **frames = capacity ? malloc(capacity * sizeof(struct frame *)) : NULL;

    if (!frames)
        return false;
    for (uint32_t i = 0; i < conn->count; i++)
        frames[i] = queue_at(conn, i);
    if (conn->frames != conn->inline_frames)
        free(conn->frames);
    conn->frames = frames;
    conn->capacity = capacity;
    conn->head = 0;
    return true;
}

static bool queue_push(struct net_conn *conn, struct frame *frame)
{
    size_t size;

    if (conn->count == conn->capacity && !queue_grow(conn))
        return false;
    frame_wire(frame, &size);
    conn->frames[(conn->head + conn->count) & (conn->capacity - 1)] = frame_ref(frame);
    conn->count++;
    conn->queued += size;
    return true;
}

static void queue_reset(struct net_conn *conn)
{
    if (conn->frames != conn->inline_frames)
        free(conn->frames);
    conn->frames = conn->inline_frames;
    conn->capacity = QUEUE_INLINE;
    conn->head = conn->count = 0;
    conn->head_sent = 0;
    conn->queued = 0;
}

/* Takes `sent` bytes from the front. */
static void queue_consume(struct net_conn *conn, size_t sent)
{
    conn->queued -= sent;
    sent += conn->head_sent;
    while (conn->count > 0) {
        struct frame *frame = queue_at(conn, 0);
        size_t size;

        frame_wire(frame, &size);
        if (sent < size)
            break;
        sent -= size;
        conn->head = (conn->head + 1) & (conn->capacity - 1);
        conn->count--;
        frame_unref(frame);
    }
    conn->head_sent = sent;
    if (conn->count == 0) {
        assert(sent == 0 && conn->queued == 0);
        queue_reset(conn);
    }
}

static void queue_drop(struct net_conn *conn)
{
    for (uint32_t i = 0; i < conn->count; i++)
        frame_unref(queue_at(conn, i));
    queue_reset(conn);
}

/* ---- writing ---- */

/* The unsent bytes of the queue's frame `index`. */
static struct iovec unsent(const struct net_conn *conn, uint32_t index)
{
    size_t size;
    const uint8_t *bytes = frame_wire(queue_at(conn, index), &size);
    size_t skip = index == 0 ? conn->head_sent : 0;

    return (struct iovec){.iov_base = (void *)(uintptr_t)(bytes + skip),
                          .iov_len = size - skip};
}

/* Copies small frames from the front together; 0 when that is not worth it. */
static size_t gather_copies(const struct net_conn *conn, uint8_t *to)
{
    size_t size = 0;

    if (conn->count < 2)
        return 0;
    for (uint32_t i = 0; i < conn->count; i++) {
        struct iovec part = unsent(conn, i);

        if (part.iov_len > COPY_FRAME_MAX || part.iov_len > COPY_BYTES - size)
            break;
        memcpy(to + size, part.iov_base, part.iov_len);
        size += part.iov_len;
    }
    return size;
}

static size_t gather_vectors(const struct net_conn *conn, struct iovec *vectors)
{
    size_t used = 0;

    for (size_t size = 0; used < conn->count && used < WRITE_VECTORS && size < FLUSH_BYTES;
         used++) {
        vectors[used] = unsent(conn, (uint32_t)used);
        size += vectors[used].iov_len;
    }
    return used;
}

/* One system call for the front of the queue. */
static ssize_t write_front(struct net_conn *conn)
{
    uint8_t copies[COPY_BYTES];
    size_t size = gather_copies(conn, copies);

    if (size > 0)
        return send(conn->io.fd, copies, size, MSG_NOSIGNAL);

    struct iovec vectors[WRITE_VECTORS];
    struct msghdr message = {.msg_iov = vectors, .msg_iovlen = gather_vectors(conn, vectors)};

    return sendmsg(conn->io.fd, &message, MSG_NOSIGNAL);
}

/* Takes bytes off the queue's front. */
static size_t take_plain(struct net_conn *conn, uint8_t *to, size_t room)
{
    size_t size = 0;

    for (uint32_t i = 0; i < conn->count && size < room; i++) {
        struct iovec part = unsent(conn, i);
        size_t some = part.iov_len < room - size ? part.iov_len : room - size;

        memcpy(to + size, part.iov_base, some);
        size += some;
    }
    queue_consume(conn, size);
    return size;
}

/* Moves the front of the queue into records. */
static size_t seal_front(struct net_conn *conn, uint8_t *to)
{
    size_t size = 0, head = tls_head(conn->tls);

    for (int i = 0; i < RECORDS && conn->count > 0; i++) {
        size_t plain = take_plain(conn, to + size + head, tls_record_size(conn->tls));

        if (plain > 0)
            size += tls_seal(conn->tls, to + size, plain);
    }
    return size;
}

/* One system call for TLS's own output or else the front of the queue; what the kernel leaves of
 * a record becomes output. */
static ssize_t write_records(struct net_conn *conn)
{
    struct str output = tls_output(conn->tls);
    uint8_t records[RECORDS * TLS_WIRE_MAX];
    ssize_t sent;

    if (output.size > 0) {
        sent = send(conn->io.fd, output.at, output.size, MSG_NOSIGNAL);
        if (sent > 0)
            tls_output_sent(conn->tls, (size_t)sent);
        return sent;
    }

    size_t size = seal_front(conn, records);

    sent = send(conn->io.fd, records, size, MSG_NOSIGNAL);

    int failure = sent < 0 ? errno : 0;
    size_t done = sent < 0 ? 0 : (size_t)sent;

    if (done < size && !tls_hold(conn->tls, records + done, size - done)) {
        errno = ENOMEM;
        return -1;
    }
    errno = failure;
    return sent;
}

/* Something can be sent, if the kernel takes it. */
static bool has_output(struct net_conn *conn)
{
    if (!conn->tls)
        return conn->count > 0;
    if (conn->count == 0 && conn->state == FINISHING)
        tls_close(conn->tls);
    return tls_output(conn->tls).size > 0 || (conn->count > 0 && tls_established(conn->tls));
}

static enum write_result write_queue(struct net_conn *conn, size_t budget)
{
    while (has_output(conn)) {
        ssize_t sent = conn->tls ? write_records(conn) : write_front(conn);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? WRITE_BLOCKED : WRITE_FAILED;
        if (!conn->tls)
            queue_consume(conn, (size_t)sent);
        if ((size_t)sent >= budget && has_output(conn))
            return WRITE_MORE;
        budget -= (size_t)sent < budget ? (size_t)sent : budget;
    }
    return conn->count > 0 ? WRITE_WAITS : WRITE_EMPTY;
}

/* ---- life ---- */

static struct net_conn *of_io(struct net_io *io)
{
    return CONTAINER_OF(io, struct net_conn, io);
}

static void bury(struct net_grave *grave)
{
    free(CONTAINER_OF(grave, struct net_conn, grave));
}

static void join_parts(struct net_conn *conn)
{
    if (conn->parted)
        timer_stop(net_loop_timers(conn->loop), &conn->timer);
    conn->parted = false;
}

static void release(struct net_conn *conn)
{
    join_parts(conn);
    if (conn->state == FINISHING || conn->state == LINGERING)
        timer_stop(net_loop_timers(conn->loop), &conn->timer);
    conn->state = CLOSED;
    list_remove(&conn->in_loop);
    net_task_cancel(&conn->flush);
    net_loop_remove(conn->loop, &conn->io);
    close(conn->io.fd);
    queue_drop(conn);
    tls_free(conn->tls);
    conn->tls = NULL;
    if (conn->ended)
        conn->ended(conn->ended_owner);
    net_loop_bury(conn->loop, &conn->grave, bury);
}

/* Reports the end to whoever owns the conn, from the loop. */
static void end(struct net_conn *conn, enum net_end why)
{
    bool owned = conn->state == OPEN || conn->state == CONDEMNED;

    if (owned) {
        conn->state = CONDEMNED; /* what the owner still sends is dropped */
        conn->handler->closed(conn->owner, why);
    }
    if (conn->state != CLOSED)
        release(conn);
}

/* As end(), for calls of the owner: it hears of it in the flush phase. */
static void condemn(struct net_conn *conn, enum net_end why)
{
    conn->state = CONDEMNED;
    conn->why = (uint8_t)why;
    net_loop_flush_later(conn->loop, &conn->flush);
}

static bool reading(const struct net_conn *conn)
{
    switch (conn->state) {
    case OPEN:
        return !conn->paused && !conn->slowed;
    case FINISHING:
    case LINGERING:
        return !conn->peer_ended;
    default:
        return false;
    }
}

static void update_events(struct net_conn *conn)
{
    uint32_t events =
        (reading(conn) ? (uint32_t)EPOLLIN : 0) | (conn->blocked ? (uint32_t)EPOLLOUT : 0);

    net_loop_modify(conn->loop, &conn->io, events);
}

static void restart_timer(struct net_conn *conn, uint32_t delay_ms)
{
    timer_start(net_loop_timers(conn->loop), &conn->timer, delay_ms);
}

/* Everything queued has left a conn that finishes. */
static void end_sending(struct net_conn *conn)
{
    if (conn->peer_ended || conn->linger_ms == 0 || shutdown(conn->io.fd, SHUT_WR) < 0) {
        release(conn);
        return;
    }
    conn->state = LINGERING;
    restart_timer(conn, conn->linger_ms);
}

static void after_write(struct net_conn *conn, enum write_result result)
{
    if (result == WRITE_FAILED) {
        end(conn, NET_END_ERROR);
        return;
    }
    if (result == WRITE_MORE)
        net_loop_flush_later(conn->loop, &conn->flush);

    conn->blocked = result == WRITE_BLOCKED;
    if (conn->queued > conn->backlog / 4)
        conn->slowed = true;
    else if (conn->queued <= conn->backlog / 8)
        conn->slowed = false;
    update_events(conn);

    if (result != WRITE_EMPTY)
        return;
    if (conn->state == FINISHING) {
        end_sending(conn);
    } else if (conn->state == OPEN && conn->owes_drained) {
        conn->owes_drained = false;
        if (conn->handler->drained)
            conn->handler->drained(conn->owner);
    }
}

static void flush(struct net_task *task)
{
    struct net_conn *conn = CONTAINER_OF(task, struct net_conn, flush);

    if (conn->state == CONDEMNED)
        end(conn, (enum net_end)conn->why);
    else if (!conn->parted)
        after_write(conn, write_queue(conn, FLUSH_BYTES));
}

static void end_gap(struct timer *timer)
{
    struct net_conn *conn = CONTAINER_OF(timer, struct net_conn, timer);

    conn->parted = false;
    net_loop_flush_later(conn->loop, &conn->flush);
}

/* ---- reading ---- */

/* Bytes read behind the first `kept` of the buffer, 0 at the peer's end, -1 with errno. */
static ssize_t receive(struct net_conn *conn, size_t kept)
{
    ssize_t size;

    do {
        size = recv(conn->io.fd, net_loop_read_buffer(conn->loop) + kept,
                    NET_LOOP_READ_SIZE - kept, 0);
    } while (size < 0 && errno == EINTR);
    conn->heard = conn->heard || size > 0;
    return size;
}

/* The peer may have ended its side only: it still gets what is answered already. */
static void end_input(struct net_conn *conn, enum net_end why)
{
    if (write_queue(conn, FLUSH_BYTES) == WRITE_EMPTY && conn->tls) {
        tls_close(conn->tls);
        write_queue(conn, FLUSH_BYTES);
    }
    end(conn, why);
}

/* Hands on what the records in the read buffer hold. */
static void take_records(struct net_conn *conn, size_t size)
{
    uint8_t *plain;
    size_t plain_size;
    bool shaking = !tls_established(conn->tls);
    enum tls_result result =
        tls_open(conn->tls, net_loop_read_buffer(conn->loop), size, &plain, &plain_size);

    if (tls_output(conn->tls).size > 0)
        net_loop_flush_later(conn->loop, &conn->flush);
    if (plain_size > 0)
        conn->handler->readable(conn->owner, plain, plain_size);
    if (conn->state != OPEN)
        return;
    if (result == TLS_ENDED) {
        end_input(conn, NET_END_CLOSED);
    } else if (result == TLS_FAILED) {
        tls_log_failure(conn->tls, conn->address);
        end_input(conn, NET_END_ERROR);
    } else if (shaking && conn->count > 0) {
        net_loop_flush_later(conn->loop,
                             &conn->flush); /* it may have waited for the handshake */
    }
}

static void read_input(struct net_conn *conn)
{
    for (int i = 0; i < READS_PER_EVENT; i++) {
        uint8_t *buffer = net_loop_read_buffer(conn->loop);
        size_t kept = conn->tls ? tls_kept(conn->tls, buffer) : 0;
        ssize_t size = receive(conn, kept);

        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (size < 0) {
            end(conn, NET_END_ERROR);
            return;
        }
        if (size == 0) {
            end_input(conn, NET_END_CLOSED);
            return;
        }
        if (conn->tls)
            take_records(conn, kept + (size_t)size);
        else
            conn->handler->readable(conn->owner, buffer, (size_t)size);
        if (conn->state != OPEN || kept + (size_t)size < NET_LOOP_READ_SIZE || !reading(conn) ||
            conn->queued > conn->backlog / 4)
            return;
    }
}

/* Unread bytes would make the kernel answer with a reset, which can destroy our last answer on
 * its way to the peer. */
static void discard_input(struct net_conn *conn)
{
    ssize_t size = 0;

    for (int i = 0; i < READS_PER_EVENT; i++) {
        size = receive(conn, 0);
        if (size < NET_LOOP_READ_SIZE)
            break;
    }
    if (size > 0 || (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)))
        return;
    if (size < 0 || conn->state == LINGERING) {
        release(conn);
        return;
    }
    conn->peer_ended = true;
    update_events(conn);
}

static void ready(struct net_io *io, uint32_t events)
{
    struct net_conn *conn = of_io(io);

    if (conn->state == CONDEMNED)
        return;
    if ((events & EPOLLOUT) && conn->blocked) {
        if (conn->state == FINISHING)
            restart_timer(conn, FINISH_STALL_MS);
        after_write(conn, write_queue(conn, FLUSH_BYTES));
        if (conn->state == CLOSED || conn->state == CONDEMNED)
            return;
    }
    if (!reading(conn)) {
        /* They are reported whether asked for or not: left alone, the loop would spin. */
        if (events & (EPOLLERR | EPOLLHUP))
            end(conn, events & EPOLLERR ? NET_END_ERROR : NET_END_CLOSED);
    } else if (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) {
        if (conn->state == OPEN)
            read_input(conn);
        else
            discard_input(conn);
    }
}

/* ---- interface ---- */

struct net_conn *net_conn_new(struct net_loop *loop, int fd, size_t backlog)
{
    struct net_conn *conn = calloc(1, sizeof(*conn));
    char address[NET_ADDRESS_MAX];

    if (!conn || !net_conn_prepare(fd))
        goto fail;
    conn->loop = loop;
    conn->backlog = backlog;
    conn->listener = -1;
    conn->io = (struct net_io){.fd = fd, .events = EPOLLIN, .ready = ready};
    net_task_init(&conn->flush, flush);
    queue_reset(conn);
    net_conn_read_address(fd, address);
    net_conn_set_address(conn, address);
    if (!net_loop_add(loop, &conn->io))
        goto fail;
    list_add_last(net_loop_conns(loop), &conn->in_loop);
    return conn;

fail:
    free(conn);
    close(fd);
    return NULL;
}

void net_conn_set_handler(struct net_conn *conn, const struct net_conn_handler *handler,
                          void *owner)
{
    assert(handler->readable && handler->closed);
    conn->handler = handler;
    conn->owner = owner;
}

static bool start_tls(struct net_conn *conn, struct tls *tls)
{
    assert(!conn->tls);
    conn->tls = tls;
    if (tls && tls_output(tls).size > 0)
        net_loop_flush_later(conn->loop, &conn->flush);
    return tls != NULL;
}

bool net_conn_start_tls(struct net_conn *conn, struct tls_context *context)
{
    return start_tls(conn, tls_new(context));
}

bool net_conn_start_tls_client(struct net_conn *conn, struct tls_trust *trust, const char *name)
{
    return start_tls(conn, tls_new_client(trust, name));
}

const char *net_conn_failure(const struct net_conn *conn)
{
    return conn->tls ? tls_failure(conn->tls) : "";
}

void net_conn_set_address(struct net_conn *conn, const char *address)
{
    size_t size = strlen(address);

    assert(size < sizeof(conn->address));
    memcpy(conn->address, address, size + 1);
}

void net_conn_on_end(struct net_conn *conn, void (*ended)(void *owner), void *owner)
{
    conn->ended = ended;
    conn->ended_owner = owner;
}

void net_conn_set_listener(struct net_conn *conn, int listener)
{
    conn->listener = (int16_t)listener;
}

struct net_loop *net_conn_loop(const struct net_conn *conn)
{
    return conn->loop;
}

const char *net_conn_address(const struct net_conn *conn)
{
    return conn->address;
}

void net_conn_set_backlog(struct net_conn *conn, size_t backlog)
{
    conn->backlog = backlog;
}

void net_conn_send(struct net_conn *conn, struct frame *frame)
{
    if (conn->state != OPEN)
        return;
    if (!queue_push(conn, frame)) {
        condemn(conn, NET_END_ERROR);
        return;
    }
    conn->owes_drained = true;
    /* A blocked conn waits for EPOLLOUT, but for one flush that slows the reading down. */
    if (!conn->blocked || (!conn->slowed && conn->queued > conn->backlog / 4))
        net_loop_flush_later(conn->loop, &conn->flush);
    if (conn->queued <= conn->backlog)
        return;

    /* What the kernel would take does not count. The flush task makes up for the callbacks and
     * the events of this write. */
    if (!conn->blocked && write_queue(conn, conn->queued) == WRITE_FAILED)
        condemn(conn, NET_END_ERROR);
    else if (conn->queued > conn->backlog)
        condemn(conn, NET_END_BACKLOG);
}

void net_conn_part(struct net_conn *conn)
{
    if (conn->state != OPEN || conn->blocked || conn->parted)
        return;

    /* The flush task that sending has queued makes up for the callbacks and the events. */
    enum write_result result = write_queue(conn, conn->queued);

    if (result == WRITE_FAILED)
        condemn(conn, NET_END_ERROR);
    if (result != WRITE_EMPTY)
        return;
    conn->parted = true;
    timer_init(&conn->timer, end_gap);
    restart_timer(conn, NET_CONN_GAP_MS);
}

static size_t sealed(const struct net_conn *conn)
{
    return conn->tls ? tls_output(conn->tls).size : 0;
}

size_t net_conn_queued(const struct net_conn *conn)
{
    return conn->queued + sealed(conn);
}

bool net_conn_writable(const struct net_conn *conn)
{
    return conn->count == 0 && conn->state == OPEN && sealed(conn) == 0;
}

void net_conn_pause(struct net_conn *conn, bool paused)
{
    conn->paused = paused;
    if (conn->state == OPEN)
        update_events(conn);
}

void net_conn_close(struct net_conn *conn)
{
    if (conn->state == OPEN || conn->state == CONDEMNED)
        release(conn);
}

static void finish_expired(struct timer *timer)
{
    release(CONTAINER_OF(timer, struct net_conn, timer));
}

void net_conn_finish(struct net_conn *conn, uint32_t linger_ms)
{
    if (conn->state == CONDEMNED ||
        (conn->state == OPEN && conn->tls && !tls_established(conn->tls)))
        release(conn);
    if (conn->state != OPEN)
        return;
    join_parts(conn);
    conn->state = FINISHING;
    conn->handler = NULL;
    conn->linger_ms = linger_ms;
    timer_init(&conn->timer, finish_expired);
    restart_timer(conn, FINISH_STALL_MS);
    update_events(conn);
    net_loop_flush_later(conn->loop, &conn->flush);
}

/* ---- the end of the server ---- */

uint32_t net_conns_stop(struct net_loop *loop)
{
    struct list *conns = net_loop_conns(loop);
    struct list *next;
    uint32_t busy = 0;

    for (struct list *link = conns->next; link != conns; link = next) {
        struct net_conn *conn = CONTAINER_OF(link, struct net_conn, in_loop);

        next = link->next;
        bool at_work = conn->state == OPEN && conn->handler->stopping &&
                       conn->handler->stopping(conn->owner);

        if (at_work || net_conn_queued(conn) > 0)
            busy++;
    }
    return busy;
}

void net_conns_end(struct net_loop *loop)
{
    struct list *conns = net_loop_conns(loop);

    while (!list_empty(conns))
        end(CONTAINER_OF(conns->next, struct net_conn, in_loop), NET_END_CLOSED);
}

void net_conns_give(struct net_loop *loop, bool (*take)(void *owner, int listener, int fd),
                    void *owner)
{
    struct list *conns = net_loop_conns(loop);
    struct list *next;

    for (struct list *link = conns->next; link != conns; link = next) {
        struct net_conn *conn = CONTAINER_OF(link, struct net_conn, in_loop);

        next = link->next;
        if (conn->state == OPEN && !conn->heard && conn->listener >= 0 &&
            take(owner, conn->listener, conn->io.fd))
            end(conn, NET_END_CLOSED);
    }
}
