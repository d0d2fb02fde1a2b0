#include "server/handover.h"

#include "base/list.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* The first byte of a message; a name or a reason follows. */
enum kind {
    LISTENER = 'l', /* with a descriptor */
    BEGIN = 'b',
    READY = 'r',
    GO = 'g',
    CONNECTION = 'c', /* with a descriptor */
    FAILED = 'f',
    BLOB = 'd', /* with a descriptor: memory */
};

struct message {
    enum kind kind;
    int fd; /* -1: none */
    char text[HANDOVER_TEXT_MAX];
};

struct blob {
    struct list link;
    char *name;
    uint8_t *bytes;
    size_t size;
};

struct handover {
    int fd;
    const struct log *log;
    char reason[HANDOVER_TEXT_MAX];
    struct list blobs;
    size_t waiting; /* bytes of the blobs */
    bool ours;      /* the listeners */
    void (*arrived)(void *owner, struct handover *handover, const char *name);
    void *owner;
    void (*passed)(void *owner, const char *name, int fd);
    void *passed_owner;
};

/* --- messages ------------------------------------------------------------------------------- */

union control {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static bool send_message(const struct handover *handover, enum kind kind, struct str text,
                         int fd)
{
    uint8_t first = (uint8_t)kind;
    union control control = {0};
    struct iovec parts[] = {
        {&first,          1        },
        {(void *)text.at, text.size}
    };
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent;

    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    }
    do {
        sent = sendmsg(handover->fd, &message, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent >= 0;
}

enum receipt {
    RECEIVED,
    RECEIVED_NOTHING,
    RECEIVED_END,
};

static enum receipt receive_message(const struct handover *handover, struct message *message)
{
    uint8_t first = 0;
    union control control = {0};
    struct iovec parts[] = {
        {&first,        1                        },
        {message->text, sizeof(message->text) - 1}
    };
    struct msghdr header = {
        .msg_iov = parts,
        .msg_iovlen = 2,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    struct cmsghdr *rights;
    ssize_t size;

    do {
        size = recvmsg(handover->fd, &header, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return RECEIVED_NOTHING;
    if (size <= 0)
        return RECEIVED_END;
    message->kind = (enum kind)first;
    message->text[size - 1] = '\0';
    message->fd = -1;
    rights = CMSG_FIRSTHDR(&header);
    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS)
        memcpy(&message->fd, CMSG_DATA(rights), sizeof(message->fd));
    return RECEIVED;
}

/* --- life ----------------------------------------------------------------------------------- */

static struct handover *handover_of(int fd, const struct log *log)
{
    struct handover *handover = calloc(1, sizeof(*handover));

    if (!handover) {
        close(fd);
        return NULL;
    }
    handover->fd = fd;
    handover->log = log;
    list_init(&handover->blobs);
    return handover;
}

static void free_blob(struct blob *blob)
{
    free(blob->name);
    free(blob->bytes);
    free(blob);
}

void handover_free(struct handover *handover)
{
    struct list *link;

    if (!handover)
        return;
    while ((link = list_take_first(&handover->blobs)))
        free_blob(CONTAINER_OF(link, struct blob, link));
    close(handover->fd);
    free(handover);
}

int handover_fd(const struct handover *handover)
{
    return handover->fd;
}

/* --- the old process ------------------------------------------------------------------------ */

struct handover *handover_new(int *theirs)
{
    struct handover *handover;
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
        return NULL;
    handover = handover_of(pair[0], NULL);
    if (!handover) {
        close(pair[1]);
        return NULL;
    }
    *theirs = pair[1];
    return handover;
}

bool handover_give(struct handover *handover, const char *name, int fd)
{
    return send_message(handover, LISTENER, str_from(name), fd);
}

bool handover_begin(struct handover *handover)
{
    return send_message(handover, BEGIN, STR(""), -1);
}

enum handover_news handover_hear(struct handover *handover)
{
    struct message message;

    switch (receive_message(handover, &message)) {
    case RECEIVED:
        break;
    case RECEIVED_NOTHING:
        return HANDOVER_NOTHING;
    case RECEIVED_END:
        return HANDOVER_ENDED;
    }
    if (message.fd >= 0)
        close(message.fd);
    if (message.kind == READY)
        return HANDOVER_READY;
    memcpy(handover->reason, message.text, strlen(message.text) + 1);
    return HANDOVER_FAILED;
}

const char *handover_reason(const struct handover *handover)
{
    return handover->reason;
}

bool handover_pass(struct handover *handover, const char *name, int fd)
{
    return send_message(handover, CONNECTION, str_from(name), fd);
}

bool handover_go(struct handover *handover)
{
    return send_message(handover, GO, STR(""), -1);
}

static bool write_all(int fd, struct str bytes)
{
    while (bytes.size > 0) {
        ssize_t written = write(fd, bytes.at, bytes.size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        bytes = str_from_index(bytes, (size_t)written);
    }
    return true;
}

bool handover_put(struct handover *handover, const char *name, struct str bytes)
{
    int fd = bytes.size <= HANDOVER_BLOB_MAX ? memfd_create(name, MFD_CLOEXEC) : -1;
    bool put;

    if (fd < 0)
        return false;
    put = write_all(fd, bytes) && send_message(handover, BLOB, str_from(name), fd);
    close(fd);
    return put;
}

/* --- the new process ------------------------------------------------------------------------ */

/* The descriptor that the environment names, if it is what it should be. */
static int inherited_fd(void)
{
    const char *text = getenv(HANDOVER_VARIABLE);
    int fd = text && strcmp(text, "3") == 0 ? HANDOVER_FD : -1;
    int type = 0;
    socklen_t size = sizeof(type);

    unsetenv(HANDOVER_VARIABLE);
    if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        type != SOCK_SEQPACKET || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return -1;
    return fd;
}

static void take_listener(struct handover *handover, struct inherited *set,
                          const struct message *message)
{
    const char *fault = "no descriptor came with it";

    if (message->fd >= 0)
        fault = inherited_add(set, message->text, message->fd);
    if (fault)
        log_warn(handover->log, "a listener was not taken over",
                 log_text("name", message->text), log_text("reason", fault), LOG_END);
}

struct handover *handover_join(struct inherited *set, const struct log *log)
{
    int fd = inherited_fd();
    struct handover *handover = fd >= 0 ? handover_of(fd, log) : NULL;
    struct message message;

    if (!handover)
        return NULL;
    while (receive_message(handover, &message) == RECEIVED && message.kind != BEGIN) {
        if (message.kind == LISTENER)
            take_listener(handover, set, &message);
        else if (message.fd >= 0)
            close(message.fd);
    }
    return handover;
}

void handover_ready(struct handover *handover)
{
    send_message(handover, READY, STR(""), -1);
}

void handover_fail(struct handover *handover, struct str reason)
{
    if (reason.size >= HANDOVER_TEXT_MAX)
        reason.size = HANDOVER_TEXT_MAX - 1;
    send_message(handover, FAILED, reason, -1);
}

static bool read_all(int fd, uint8_t *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, bytes + done, size - done, (off_t)done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* NULL with a reason. */
static struct blob *read_blob(struct handover *handover, const struct message *message,
                              const char **fault)
{
    struct blob *blob = calloc(1, sizeof(*blob));
    struct stat file;

    *fault = "out of memory";
    if (!blob)
        return NULL;
    list_init(&blob->link);
    *fault = "it is no memory";
    if (message->fd < 0 || fstat(message->fd, &file) < 0 || !S_ISREG(file.st_mode))
        goto fail;
    *fault = "it is too large";
    if (file.st_size > HANDOVER_BLOB_MAX ||
        handover->waiting + (size_t)file.st_size > HANDOVER_WAITING_MAX)
        goto fail;
    *fault = "out of memory";
    blob->size = (size_t)file.st_size;
    blob->name = str_dup(str_from(message->text));
    blob->bytes = malloc(blob->size + 1); /* malloc(0) may be NULL */
    if (!blob->name || !blob->bytes)
        goto fail;
    *fault = "it cannot be read";
    if (!read_all(message->fd, blob->bytes, blob->size))
        goto fail;
    return blob;

fail:
    free_blob(blob);
    return NULL;
}

static void take_blob(struct handover *handover, const struct message *message)
{
    const char *fault;
    struct blob *blob = read_blob(handover, message, &fault);

    if (!blob) {
        log_error(handover->log, "state of the server before is lost",
                  log_text("name", message->text), log_text("reason", fault), LOG_END);
        return;
    }
    handover->waiting += blob->size;
    list_add_last(&handover->blobs, &blob->link);
    if (handover->arrived)
        handover->arrived(handover->owner, handover, blob->name);
}

static int take_fd(struct message *message)
{
    int fd = message->fd;

    message->fd = -1;
    return fd;
}

bool handover_receive(struct handover *handover)
{
    struct message message;
    enum receipt receipt;

    while ((receipt = receive_message(handover, &message)) == RECEIVED) {
        if (message.kind == BLOB)
            take_blob(handover, &message);
        else if (message.kind == GO)
            handover->ours = true;
        else if (message.kind == CONNECTION && message.fd >= 0 && handover->passed)
            handover->passed(handover->passed_owner, message.text, take_fd(&message));
        if (message.fd >= 0)
            close(message.fd);
    }
    handover->ours = handover->ours || receipt == RECEIVED_END;
    return receipt == RECEIVED_NOTHING;
}

bool handover_is_ours(const struct handover *handover)
{
    return handover->ours;
}

void handover_on_connection(struct handover *handover,
                            void (*passed)(void *owner, const char *name, int fd), void *owner)
{
    handover->passed = passed;
    handover->passed_owner = owner;
}

void handover_on_arrival(struct handover *handover,
                         void (*arrived)(void *owner, struct handover *handover,
                                         const char *name),
                         void *owner)
{
    handover->arrived = arrived;
    handover->owner = owner;
}

uint8_t *handover_take(struct handover *handover, const char *name, size_t *size)
{
    for (struct list *link = handover->blobs.next; link != &handover->blobs;
         link = link->next) {
        struct blob *blob = CONTAINER_OF(link, struct blob, link);
        uint8_t *bytes = blob->bytes;

        if (strcmp(blob->name, name) != 0)
            continue;
        *size = blob->size;
        handover->waiting -= blob->size;
        list_remove(&blob->link);
        blob->bytes = NULL;
        free_blob(blob);
        return bytes;
    }
    return NULL;
}
