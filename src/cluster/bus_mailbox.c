#include "cluster/bus_mailbox.h"

#include "base/list.h"
#include "base/map.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    UID_SIZE = 16,
};

struct mailbox_hub {
    pthread_mutex_t lock; /* for all that is below, and the marked fields of members */
    uint32_t references;
    uint64_t letter_count;
    struct list members;
};

/* A message with everything it points to. Read-only once it is in an inbox. */
struct letter {
    atomic_uint references;
    struct cluster_message message;
    uint64_t fingerprint;
    size_t size;
};

struct mailbox {
    struct cluster_bus bus;
    struct mailbox_hub *hub;
    struct net_loop *loop;
    struct net_io io; /* readable when something is in the inbox */
    bool recovery;
    char uid[UID_SIZE];
    struct list in_hub; /* hub's lock, as the next four */
    struct map open;    /* namespaces: name → the mailbox */
    struct list inbox;  /* of struct delivery */
    size_t inbox_bytes;
    bool has_gap;
    struct net_grave grave;
};

struct delivery {
    struct list link;
    struct letter *letter;
    bool tells_ready; /* the letter's namespace has been opened: there is no message */
};

/* --- letters --------------------------------------------------------------------------------- */

static size_t strs_size(const struct str *strs, size_t count)
{
    size_t size = count * sizeof(*strs);

    for (size_t i = 0; i < count; i++)
        size += strs[i].size;
    return size;
}

/* Slices go first into the block, as they need alignment; bytes are put behind all of them. */
struct packing {
    struct str *slices;
    char *bytes;
};

static void pack(struct packing *packing, struct str *text)
{
    assert(packing->bytes);
    if (text->size > 0)
        memcpy(packing->bytes, text->at, text->size);
    *text = str_of(packing->bytes, text->size);
    packing->bytes += text->size;
}

static void pack_strs(struct packing *packing, const struct str **strs, size_t count)
{
    struct str *copies = packing->slices;

    packing->slices += count;
    for (size_t i = 0; i < count; i++) {
        copies[i] = (*strs)[i];
        pack(packing, &copies[i]);
    }
    *strs = copies;
}

static struct letter *write_letter(const struct cluster_message *message, struct str sender)
{
    size_t slice_count = message->room_count + message->except_count + message->changed_count +
                         message->args.attachment_count;
    size_t size = sizeof(struct letter) + message->nsp.size + sender.size +
                  message->request.size + message->to.size + message->args.json.size +
                  message->args.offset.size + message->json.size + message->offset.size +
                  strs_size(message->rooms, message->room_count) +
                  strs_size(message->except, message->except_count) +
                  strs_size(message->changed, message->changed_count) +
                  strs_size(message->args.attachments, message->args.attachment_count);
    struct letter *letter = malloc(size);
    struct packing packing;

    if (!letter)
        return NULL;
    *letter = (struct letter){.references = 1, .message = *message, .size = size};
    packing.slices = (struct str *)(letter + 1);
    packing.bytes = (char *)(packing.slices + slice_count);

    struct cluster_message *copy = &letter->message;
    copy->sender = sender;
    pack(&packing, &copy->nsp);
    pack(&packing, &copy->sender);
    pack(&packing, &copy->request);
    pack(&packing, &copy->to);
    pack(&packing, &copy->args.json);
    pack(&packing, &copy->args.offset);
    pack(&packing, &copy->json);
    pack(&packing, &copy->offset);
    pack_strs(&packing, &copy->rooms, copy->room_count);
    pack_strs(&packing, &copy->except, copy->except_count);
    pack_strs(&packing, &copy->changed, copy->changed_count);
    pack_strs(&packing, &copy->args.attachments, copy->args.attachment_count);
    assert(packing.bytes == (char *)letter + size);
    return letter;
}

static void release_letter(struct letter *letter)
{
    if (atomic_fetch_sub_explicit(&letter->references, 1, memory_order_acq_rel) == 1)
        free(letter);
}

/* --- inboxes: all under the hub's lock ------------------------------------------------------- */

static void ring(const struct mailbox *box)
{
    const uint64_t one = 1;

    /* Fails only when it is readable already. */
    if (write(box->io.fd, &one, sizeof(one)) < 0)
        return;
}

static void post(struct mailbox *box, struct letter *letter, bool tells_ready)
{
    struct delivery *delivery = NULL;

    if (list_empty(&box->inbox) && !box->has_gap)
        ring(box);
    if (box->inbox_bytes + letter->size <= MAILBOX_BYTES_MAX)
        delivery = malloc(sizeof(*delivery));
    if (!delivery) {
        box->has_gap = true;
        return;
    }
    *delivery = (struct delivery){.letter = letter, .tells_ready = tells_ready};
    atomic_fetch_add_explicit(&letter->references, 1, memory_order_relaxed);
    list_add_last(&box->inbox, &delivery->link);
    box->inbox_bytes += letter->size;
}

/* Scrambled, as hashes are: who compares them may rely on it. */
static uint64_t fingerprint_of(uint64_t serial)
{
    uint64_t hash = serial * UINT64_C(0x9e3779b97f4a7c15);

    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

static bool is_for(const struct mailbox *box, const struct mailbox *sender,
                   const struct cluster_message *message)
{
    if (!map_get(&box->open, message->nsp))
        return false;
    if (cluster_is_answer(message->kind))
        return str_equal(str_of(box->uid, UID_SIZE), message->to);
    return box != sender || box->recovery;
}

static void post_to_all(struct mailbox *sender, struct letter *letter)
{
    struct mailbox_hub *hub = sender->hub;

    pthread_mutex_lock(&hub->lock);
    letter->fingerprint = fingerprint_of(++hub->letter_count);
    for (struct list *link = hub->members.next; link != &hub->members; link = link->next) {
        struct mailbox *box = CONTAINER_OF(link, struct mailbox, in_hub);

        if (is_for(box, sender, &letter->message))
            post(box, letter, false);
    }
    pthread_mutex_unlock(&hub->lock);
}

/* --- receiving ------------------------------------------------------------------------------- */

static void deliver(struct mailbox *box, const struct delivery *delivery)
{
    const struct cluster_bus_handler *handler = box->bus.handler;
    const struct letter *letter = delivery->letter;
    struct cluster_message message = letter->message;

    if (delivery->tells_ready) {
        handler->ready(handler->owner, message.nsp);
        return;
    }
    if (box->recovery && !cluster_is_answer(message.kind))
        handler->heard(handler->owner, message.nsp, letter->fingerprint);
    message.own = str_equal(message.sender, str_of(box->uid, UID_SIZE));
    if (!message.own || message.kind == CLUSTER_BROADCAST || message.kind == CLUSTER_ANCHOR)
        handler->message(handler->owner, &message);
}

static void take_inbox(struct net_io *io, uint32_t events)
{
    struct mailbox *box = CONTAINER_OF(io, struct mailbox, io);
    const struct cluster_bus_handler *handler = box->bus.handler;
    struct list taken, *link;
    uint64_t rings;
    bool has_gap;
    (void)events;

    list_init(&taken);
    pthread_mutex_lock(&box->hub->lock);
    if (read(io->fd, &rings, sizeof(rings)) < 0)
        rings = 0;
    list_move_all(&taken, &box->inbox);
    has_gap = box->has_gap;
    box->has_gap = false;
    box->inbox_bytes = 0;
    pthread_mutex_unlock(&box->hub->lock);

    while ((link = list_take_first(&taken)) != NULL) {
        struct delivery *delivery = CONTAINER_OF(link, struct delivery, link);

        deliver(box, delivery);
        release_letter(delivery->letter);
        free(delivery);
    }
    if (has_gap)
        handler->gap(handler->owner, STR(""));
}

/* --- the type -------------------------------------------------------------------------------- */

static struct mailbox *box_of(struct cluster_bus *bus)
{
    return (struct mailbox *)bus;
}

static bool open_namespace(struct cluster_bus *bus, struct str nsp)
{
    struct mailbox *box = box_of(bus);
    const struct cluster_message empty = {
        .nsp = nsp,
        .request = STR(""),
        .to = STR(""),
        .args = {.json = STR("")},
        .json = STR(""),
        .offset = STR(""),
    };
    struct letter *letter = write_letter(&empty, STR(""));
    bool is_open;

    if (!letter)
        return false;
    pthread_mutex_lock(&box->hub->lock);
    is_open = map_put(&box->open, nsp, box);
    if (is_open)
        post(box, letter, true);
    pthread_mutex_unlock(&box->hub->lock);
    release_letter(letter);
    return is_open;
}

static void close_namespace(struct cluster_bus *bus, struct str nsp)
{
    struct mailbox *box = box_of(bus);

    pthread_mutex_lock(&box->hub->lock);
    map_remove(&box->open, nsp);
    pthread_mutex_unlock(&box->hub->lock);
}

static bool send_message(struct cluster_bus *bus, const struct cluster_message *message)
{
    struct mailbox *box = box_of(bus);
    struct letter *letter = write_letter(message, str_of(box->uid, UID_SIZE));

    if (!letter)
        return false;
    post_to_all(box, letter);
    release_letter(letter);
    return true;
}

static void count_servers(struct cluster_bus *bus, struct str nsp,
                          void (*counted)(void *owner, int servers), void *owner)
{
    struct mailbox_hub *hub = box_of(bus)->hub;
    int servers = 0;

    pthread_mutex_lock(&hub->lock);
    for (struct list *link = hub->members.next; link != &hub->members; link = link->next) {
        if (map_get(&CONTAINER_OF(link, struct mailbox, in_hub)->open, nsp))
            servers++;
    }
    pthread_mutex_unlock(&hub->lock);
    counted(owner, servers);
}

static void bury(struct net_grave *grave)
{
    struct mailbox *box = CONTAINER_OF(grave, struct mailbox, grave);
    struct list *link;

    while ((link = list_take_first(&box->inbox)) != NULL) {
        struct delivery *delivery = CONTAINER_OF(link, struct delivery, link);

        release_letter(delivery->letter);
        free(delivery);
    }
    map_free(&box->open);
    free(box);
}

static void free_bus(struct cluster_bus *bus)
{
    struct mailbox *box = box_of(bus);

    pthread_mutex_lock(&box->hub->lock);
    list_remove(&box->in_hub);
    pthread_mutex_unlock(&box->hub->lock);
    net_loop_remove(box->loop, &box->io);
    close(box->io.fd);
    mailbox_hub_unref(box->hub);
    net_loop_bury(box->loop, &box->grave, bury);
}

static const struct cluster_bus_type mailbox_type = {
    .name = "mailbox",
    .open = open_namespace,
    .close = close_namespace,
    .send = send_message,
    .count = count_servers,
    .free = free_bus,
};

/* --- life ------------------------------------------------------------------------------------ */

struct mailbox_hub *mailbox_hub_new(void)
{
    struct mailbox_hub *hub = malloc(sizeof(*hub));

    if (!hub)
        return NULL;
    *hub = (struct mailbox_hub){.references = 1};
    pthread_mutex_init(&hub->lock, NULL);
    list_init(&hub->members);
    return hub;
}

void mailbox_hub_unref(struct mailbox_hub *hub)
{
    uint32_t references;

    pthread_mutex_lock(&hub->lock);
    references = --hub->references;
    pthread_mutex_unlock(&hub->lock);
    if (references > 0)
        return;
    assert(list_empty(&hub->members));
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

struct cluster_bus *bus_mailbox_new(struct mailbox_hub *hub, struct net_loop *loop,
                                    struct random *random, bool recovery)
{
    struct mailbox *box = malloc(sizeof(*box));

    if (!box)
        return NULL;
    *box = (struct mailbox){
        .bus = {.type = &mailbox_type},
        .hub = hub,
        .loop = loop,
        .recovery = recovery,
        .io = { .ready = take_inbox,    .events = EPOLLIN},
    };
    map_init(&box->open);
    list_init(&box->inbox);
    random_hex(random, box->uid, UID_SIZE);
    box->io.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (box->io.fd < 0)
        goto fail;
    if (!net_loop_add(loop, &box->io)) {
        close(box->io.fd);
        goto fail;
    }
    pthread_mutex_lock(&hub->lock);
    hub->references++;
    list_add_last(&hub->members, &box->in_hub);
    pthread_mutex_unlock(&hub->lock);
    return &box->bus;

fail:
    bury(&box->grave);
    return NULL;
}
