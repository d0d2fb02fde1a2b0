/*
 * handover: what a server and the one that takes its place tell each other, over a socket that the
 * new process inherits.
 *
 * The old one gives its listening sockets with their names, before the new one starts. The new one
 * says that it is ready, or why it cannot be; when the old one has stopped accepting connections it
 * says so, so that only one of them accepts at a time. From "ready" on the old one may put blobs,
 * each under a name, until it ends: state that the new one goes on with. A blob is memory that the
 * new process reads when it likes, so neither waits for the other.
 *
 *     old                                          new
 *     handover_new()
 *     handover_give() for each listener
 *     handover_begin()
 *     … starts the process …                       handover_join()
 *                                                  handover_ready() or handover_fail()
 *     handover_hear() → HANDOVER_READY
 *     handover_put(HANDOVER_RECOVERY, …)           handover_receive(), handover_take(…)
 *     handover_go()                                handover_receive() → it accepts
 *
 * Callers   server/process and server/restart; whoever has state to hand over puts and takes.
 * Owner     process and restart own their sides; what handover_take() gives is the caller's.
 * Threads   the main thread.
 * Units     bytes.
 * Errors    false or NULL; a new process that does not understand what it is given starts without.
 */
#ifndef SKUA_SERVER_HANDOVER_H
#define SKUA_SERVER_HANDOVER_H

#include "base/log.h"
#include "net/inherited.h"

#define HANDOVER_RECOVERY "recovery" /* the blob with what recovery keeps in memory */

enum {
    HANDOVER_TEXT_MAX = 1024,                 /* bytes of a reason */
    HANDOVER_BLOB_MAX = 256 * 1024 * 1024,    /* bytes of one blob */
    HANDOVER_WAITING_MAX = 512 * 1024 * 1024, /* bytes of blobs that nobody has taken */
};

struct handover;

enum handover_news {
    HANDOVER_NOTHING, /* yet */
    HANDOVER_READY,
    HANDOVER_FAILED, /* with handover_reason(), and the process is about to end */
    HANDOVER_ENDED,  /* the other process is gone */
};

void handover_free(struct handover *handover);

/* For waiting until there is something to hear or to receive. */
int handover_fd(const struct handover *handover);

/* --- the old process ------------------------------------------------------------------------ */

/* `*theirs` is the new process's end: to be passed as descriptor HANDOVER_FD, then closed. */
struct handover *handover_new(int *theirs);

enum {
    HANDOVER_FD = 3,
};

/* "SKUA_HANDOVER=3": what tells the new process so. */
#define HANDOVER_VARIABLE "SKUA_HANDOVER"

bool handover_give(struct handover *handover, const char *name, int fd);
bool handover_begin(struct handover *handover);

enum handover_news handover_hear(struct handover *handover);
const char *handover_reason(const struct handover *handover);

/* An accepted connection that has not begun to speak, with its listener's name. False: it is still
 * here alone. */
bool handover_pass(struct handover *handover, const char *name, int fd);

/* Nothing is accepted here any more. */
bool handover_go(struct handover *handover);

/* Copies the bytes for the new process. Legal once it is ready. False: it will not get them. */
bool handover_put(struct handover *handover, const char *name, struct str bytes);

/* --- the new process ------------------------------------------------------------------------ */

/* The other end if this process was started to take a server's place, else NULL; the listening
 * sockets are added to the set. Nothing is left in the environment. */
struct handover *handover_join(struct inherited *set, const struct log *log);

void handover_ready(struct handover *handover);

/* Tells why this process ends. */
void handover_fail(struct handover *handover, struct str reason);

/* Reads what has come. False when the old process has ended and nothing more will come. */
bool handover_receive(struct handover *handover);

/* The old process has stopped accepting, or has ended. */
bool handover_is_ours(const struct handover *handover);

/* Has `passed` called for each connection that handover_receive() reads: its descriptor is the
 * callee's. */
void handover_on_connection(struct handover *handover,
                            void (*passed)(void *owner, const char *name, int fd), void *owner);

/* Has `arrived` called for each blob that handover_receive() reads. */
void handover_on_arrival(struct handover *handover,
                         void (*arrived)(void *owner, struct handover *handover,
                                         const char *name),
                         void *owner);

/* The oldest blob of that name, malloced, or NULL. */
uint8_t *handover_take(struct handover *handover, const char *name, size_t *size);

#endif
