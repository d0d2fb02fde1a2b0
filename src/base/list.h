/*
 * list: a circular doubly linked list whose links are embedded in its members.
 *
 * Callers   everybody who keeps sets of own objects without allocating per entry.
 * Owner     the list owns nothing. A member unlinks itself in O(1) without knowing its list.
 * Threads   one at a time.
 * Errors    none.
 */
#ifndef SKUA_BASE_LIST_H
#define SKUA_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next, *prev;
};

/* The object of type `type` whose field `field` is the link at `link`. */
#define CONTAINER_OF(link, type, field) ((type *)(void *)((char *)(link)-offsetof(type, field)))

static inline void list_init(struct list *head)
{
    head->next = head->prev = head;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_add_last(struct list *head, struct list *link)
{
    link->prev = head->prev;
    link->next = head;
    head->prev->next = link;
    head->prev = link;
}

/* The link may be in no list (then it must have been list_init()ed). It is left initialised. */
static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* Takes the first link out, or returns NULL. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* All members of `from` move to the end of `to`. */
void list_move_all(struct list *to, struct list *from);

#endif
