#include "sio_fixture.h"

static void note_name(struct fixture *f, const char *what, struct sio_namespace *nsp,
                      struct str room)
{
    struct str name = sio_namespace_name(nsp);

    buf_printf(&f->story, "%s %.*s %.*s\n", what, (int)name.size, name.at, (int)room.size,
               room.at);
}

static void observe_opened(void *owner, struct sio_namespace *nsp)
{
    note_name(owner, "opened", nsp, STR(""));
}

static void observe_closing(void *owner, struct sio_namespace *nsp)
{
    note_name(owner, "closing", nsp, STR(""));
}

static void observe_room(void *owner, struct sio_namespace *nsp, struct str room, bool exists)
{
    note_name(owner, exists ? "room" : "no room", nsp, room);
}

static void observe(struct fixture *f)
{
    sio_server_observe(f->server, &(struct sio_observer){
                                      .opened = observe_opened,
                                      .closing = observe_closing,
                                      .room = observe_room,
                                      .owner = f,
                                  });
}

static void add_glob(struct fixture *f, const char *pattern)
{
    sio_namespace_add(f->server, &(struct sio_namespace_options){.kind = SIO_GLOB,
                                                                 .name = str_from(pattern)});
}

static void an_observer_hears_of_what_exists_and_what_comes(void **state)
{
    struct fixture *f = *state;
    struct sio_handle handle;

    f->options.cleanup_empty_children = true;
    fixture_restart(f);
    struct eio_session *session = join(f, "/", &handle);
    sio_socket_join(socket_of(f, handle), STR("red"));
    add_glob(f, "/org-*");
    observe(f);
    expect_story(f, "opened / \nroom / red\n");

    declare(f, "/hub");
    send_text(f, session, "0/org-1,");
    expect_story(f, "opened /hub \nopened /org-1 \nconnected /org-1\n");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    expect_story(f, "disconnecting / transport close\nno room / red\n"
                    "disconnected / transport close\n"
                    "disconnecting /org-1 transport close\n"
                    "disconnected /org-1 transport close\nclosing /org-1 \n");
    sio_server_free(f->server);
    f->server = NULL;
    expect_story(f, "closing / \nclosing /hub \n");
}

static void an_observer_hears_of_the_first_member_and_the_last(void **state)
{
    struct fixture *f = *state;
    struct sio_handle first, second;
    struct eio_session *one = join(f, "/", &first), *two = join(f, "/", &second);

    observe(f);
    buf_reset(&f->story);
    sio_socket_join(socket_of(f, first), STR("red"));
    sio_socket_join(socket_of(f, second), STR("red"));
    expect_story(f, "room / red\n");
    sio_socket_leave(socket_of(f, first), STR("red"));
    expect_story(f, "");
    sio_socket_leave(socket_of(f, second), STR("red"));
    expect_story(f, "no room / red\n");
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    close_session(f, two, EIO_TRANSPORT_CLOSE);
}

static void an_observer_does_not_hear_of_own_rooms(void **state)
{
    struct fixture *f = *state;
    struct sio_handle first, second;
    struct eio_session *one = join(f, "/", &first), *two = join(f, "/", &second);

    observe(f);
    buf_reset(&f->story);
    sio_socket_join(socket_of(f, first), sio_socket_id(socket_of(f, second)));
    sio_socket_leave(socket_of(f, second), sio_socket_id(socket_of(f, second)));
    sio_socket_join(socket_of(f, second), sio_socket_id(socket_of(f, second)));
    close_session(f, two, EIO_TRANSPORT_CLOSE);
    buf_reset(&f->story);
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    expect_story(f, "disconnecting / transport close\ndisconnected / transport close\n");
}

/* Ids are of one length; which is which does not matter here. */
static void observe_own_room(void *owner, struct sio_namespace *nsp, struct str room,
                             bool exists)
{
    observe_room(owner, nsp, room.size == RANDOM_ID_SIZE ? STR("<id>") : room, exists);
}

static void an_observer_hears_of_own_rooms_if_it_asks_for_them(void **state)
{
    struct fixture *f = *state;
    struct sio_handle first, second;
    struct eio_session *one = join(f, "/", &first), *two;

    sio_server_observe(f->server, &(struct sio_observer){
                                      .room = observe_own_room,
                                      .own_rooms = true,
                                      .owner = f,
                                  });
    expect_story(f, "room / <id>\n");
    two = join(f, "/", &second);
    buf_reset(&f->story);
    /* A room that stays as long as its socket is in it. */
    sio_socket_join(socket_of(f, first), sio_socket_id(socket_of(f, second)));
    sio_socket_leave(socket_of(f, first), sio_socket_id(socket_of(f, second)));
    expect_story(f, "room / <id>\n");
    sio_socket_join(socket_of(f, first), sio_socket_id(socket_of(f, second)));
    sio_socket_leave(socket_of(f, second), sio_socket_id(socket_of(f, second)));
    expect_story(f, "room / <id>\n");
    sio_socket_leave(socket_of(f, first), sio_socket_id(socket_of(f, second)));
    expect_story(f, "no room / <id>\n");
    close_session(f, two, EIO_TRANSPORT_CLOSE);
    expect_story(f, "disconnecting / transport close\ndisconnected / transport close\n");
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    expect_story(f, "disconnecting / transport close\nno room / <id>\n"
                    "disconnected / transport close\n");
}

static void list_room(void *context, struct str name)
{
    struct buf *names = context;

    buf_add_str(names, name.size == RANDOM_ID_SIZE ? STR("<id>") : name);
    buf_add_byte(names, ' ');
}

static void expect_rooms(struct fixture *f, const char *names)
{
    struct buf seen;

    buf_init(&seen, SIZE_MAX);
    sio_namespace_rooms(sio_namespace_find(f->server, STR("/")), list_room, &seen);
    if (!str_equal(buf_str(&seen), str_from(names)))
        fail_msg("rooms are %.*s", (int)seen.size, seen.at);
    buf_free(&seen);
}

static void rooms_of_a_namespace_are_listed_once(void **state)
{
    struct fixture *f = *state;
    struct sio_handle first, second;
    struct sio_namespace *root = sio_namespace_find(f->server, STR("/"));

    expect_rooms(f, "");
    assert_false(sio_namespace_has_room(root, STR("red")));
    struct eio_session *one = join(f, "/", &first), *two = join(f, "/", &second);
    struct str id = sio_socket_id(socket_of(f, second));
    assert_true(sio_namespace_has_room(root, id));
    sio_socket_join(socket_of(f, first), STR("red"));
    sio_socket_join(socket_of(f, first), id);
    expect_rooms(f, "<id> <id> red ");
    assert_true(sio_namespace_has_room(root, STR("red")));
    sio_socket_leave(socket_of(f, second), id);
    expect_rooms(f, "<id> red <id> ");
    sio_socket_leave(socket_of(f, first), id);
    assert_false(sio_namespace_has_room(root, id));
    expect_rooms(f, "<id> red ");
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    close_session(f, two, EIO_TRANSPORT_CLOSE);
}

static void visit_namespace(void *context, struct sio_namespace *nsp)
{
    struct fixture *f = context;

    note_name(f, "visited", nsp, STR(""));
    if (f->extra)
        sio_socket_disconnect(socket_of(f, *(struct sio_handle *)f->extra), true);
    f->extra = NULL;
}

static void each_namespace_that_is_no_parent_is_visited(void **state)
{
    struct fixture *f = *state;

    f->options.cleanup_empty_children = true;
    fixture_restart(f);
    add_glob(f, "/org-*");
    struct sio_namespace *root = sio_namespace_find(f->server, STR("/"));
    struct eio_session *session = open_session(f), *other = open_session(f);
    send_text(f, other, "0/org-1,");
    send_text(f, session, "0/org-2,");
    struct sio_handle handle = f->last;
    send_text(f, other, "0/org-3,");
    struct sio_namespace *glob =
        sio_namespace_parent(sio_namespace_find(f->server, STR("/org-1")));
    buf_reset(&f->story);

    sio_namespace_each(root, visit_namespace, f);
    sio_namespace_each(glob, visit_namespace, f);
    expect_story(f, "visited / \nvisited /org-1 \nvisited /org-2 \nvisited /org-3 \n");

    f->extra = &handle; /* the visit to the first ends the second */
    sio_namespace_each(glob, visit_namespace, f);
    expect_story(f, "visited /org-1 \ndisconnecting /org-2 server namespace disconnect\n"
                    "disconnected /org-2 server namespace disconnect\nvisited /org-3 \n");
    close_session(f, session, EIO_FORCED_CLOSE);
    close_session(f, other, EIO_TRANSPORT_CLOSE);
    sio_namespace_each(glob, visit_namespace, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_observer_hears_of_what_exists_and_what_comes),
        TEST(an_observer_hears_of_the_first_member_and_the_last),
        TEST(an_observer_does_not_hear_of_own_rooms),
        TEST(an_observer_hears_of_own_rooms_if_it_asks_for_them),
        TEST(rooms_of_a_namespace_are_listed_once),
        TEST(each_namespace_that_is_no_parent_is_visited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
