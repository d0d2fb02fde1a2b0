#include "sio_fixture.h"

enum {
    SOCKETS = 4,
};

static const struct sio_args HELLO = {
    .json = {"[\"hello\"]", 9}
};

/* Four sockets in "/" whose emits are told apart by their session. */
struct crowd {
    struct eio_session *sessions[SOCKETS];
    struct sio_handle handles[SOCKETS];
    struct sio_namespace *nsp;
};

static void gather(struct fixture *f, struct crowd *crowd)
{
    for (int i = 0; i < SOCKETS; i++)
        crowd->sessions[i] = join(f, "/", &crowd->handles[i]);
    crowd->nsp = sio_namespace_find(f->server, STR("/"));
}

static void scatter(struct fixture *f, struct crowd *crowd)
{
    for (int i = 0; i < SOCKETS; i++)
        close_session(f, crowd->sessions[i], EIO_TRANSPORT_CLOSE);
}

static struct sio_socket *member(struct fixture *f, struct crowd *crowd, int i)
{
    return socket_of(f, crowd->handles[i]);
}

static void enter(struct fixture *f, struct crowd *crowd, int i, const char *room)
{
    assert_true(sio_socket_join(member(f, crowd, i), str_from(room)));
}

struct visits {
    struct fixture *f;
    struct crowd *crowd;
    char order[16];
};

static void visit(void *context, struct sio_socket *socket)
{
    struct visits *visits = context;

    for (int i = 0; i < SOCKETS; i++) {
        if (sio_socket_find(visits->f->server, visits->crowd->handles[i]) == socket) {
            char digit[] = {(char)('0' + i), '\0'};
            strcat(visits->order, digit);
        }
    }
}

/* "201" for the sockets 2, 0 and 1 in that order; broadcasts must agree. */
static void expect_order(struct fixture *f, struct crowd *crowd,
                         const struct sio_target *target, const char *order)
{
    struct visits visits = {.f = f, .crowd = crowd};

    sio_target_each(target, visit, &visits);
    assert_string_equal(visits.order, order);
    assert_int_equal(sio_broadcast(target, &HELLO, 0), strlen(order));
    for (int i = 0; i < SOCKETS; i++) {
        if (strchr(order, '0' + i))
            expect_sent(crowd->sessions[i], "2[\"hello\"]");
        expect_sent(crowd->sessions[i], NULL);
    }
}

static void delivery_follows_rooms_then_joins(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct str both[] = {STR("red"), STR("blue")}, reversed[] = {STR("blue"), STR("red")},
               nobody[] = {STR("green")};

    gather(f, &crowd);
    enter(f, &crowd, 3, "red");
    enter(f, &crowd, 1, "red");
    enter(f, &crowd, 1, "red");
    enter(f, &crowd, 0, "blue");
    enter(f, &crowd, 1, "blue");
    expect_order(f, &crowd, &(struct sio_target){.nsp = crowd.nsp}, "0123");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, both, 2, NULL, 0}, "310");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, reversed, 2, NULL, 0}, "013");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, nobody, 1, NULL, 0}, "");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, NULL, 0, both, 2}, "2");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, both, 1, reversed, 1}, "3");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, both, 1, nobody, 1}, "31");
    sio_socket_leave(member(f, &crowd, 3), STR("red"));
    sio_socket_leave(member(f, &crowd, 3), STR("red"));
    sio_socket_leave(member(f, &crowd, 3), STR("green"));
    enter(f, &crowd, 3, "red");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, both, 1, NULL, 0}, "13");
    scatter(f, &crowd);
}

static void own_room_is_like_any_other(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;

    gather(f, &crowd);
    struct str own[] = {sio_socket_id(member(f, &crowd, 1))};
    struct sio_target target = {crowd.nsp, own, 1, NULL, 0};

    expect_order(f, &crowd, &target, "1");
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, NULL, 0, own, 1}, "023");
    assert_true(sio_socket_join(member(f, &crowd, 0), own[0]));
    expect_order(f, &crowd, &target, "10");
    assert_true(sio_socket_join(member(f, &crowd, 1), own[0]));
    expect_order(f, &crowd, &target, "10");
    sio_socket_leave(member(f, &crowd, 1), own[0]);
    expect_order(f, &crowd, &target, "0");
    assert_true(sio_socket_join(member(f, &crowd, 1), own[0]));
    expect_order(f, &crowd, &target, "01");
    sio_socket_leave(member(f, &crowd, 1), own[0]);
    sio_socket_leave(member(f, &crowd, 0), own[0]);
    expect_order(f, &crowd, &target, "");
    scatter(f, &crowd);
}

static void add_room(void *context, struct str name)
{
    buf_printf(context, "%.*s ", name.size == RANDOM_ID_SIZE ? 2 : (int)name.size,
               name.size == RANDOM_ID_SIZE ? "id" : name.at);
}

static void rooms_are_listed_in_order_of_joining(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct buf rooms;

    gather(f, &crowd);
    enter(f, &crowd, 0, "b");
    enter(f, &crowd, 0, "");
    enter(f, &crowd, 0, "a");
    sio_socket_leave(member(f, &crowd, 0), STR("b"));
    enter(f, &crowd, 0, "b");
    buf_init(&rooms, SIZE_MAX);
    sio_socket_rooms(member(f, &crowd, 0), add_room, &rooms);
    assert_true(str_equal(buf_str(&rooms), STR("id  a b ")));
    scatter(f, &crowd);

    f->hold = true;
    struct eio_session *session = open_session(f);
    send_text(f, session, "0");
    struct sio_socket *socket = socket_of(f, f->last);
    assert_true(sio_socket_join(socket, STR("early")));
    struct str early[] = {STR("early")};
    assert_int_equal(
        sio_broadcast(&(struct sio_target){sio_socket_namespace(socket), early, 1, NULL, 0},
                      &HELLO, 0),
        0);
    sio_socket_accept(socket);
    buf_reset(&rooms);
    sio_socket_rooms(socket, add_room, &rooms);
    assert_true(str_equal(buf_str(&rooms), STR("early id ")));
    buf_free(&rooms);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void many_memberships_are_found_from_either_side(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    char name[16];

    gather(f, &crowd);
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "r%d", i);
        enter(f, &crowd, 0, name);
    }
    for (int i = 0; i < SOCKETS; i++)
        enter(f, &crowd, i, "r50");
    struct str r50[] = {STR("r50")};
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, r50, 1, NULL, 0}, "0123");
    sio_socket_leave(member(f, &crowd, 0), r50[0]);
    sio_socket_leave(member(f, &crowd, 2), r50[0]);
    expect_order(f, &crowd, &(struct sio_target){crowd.nsp, r50, 1, NULL, 0}, "13");
    scatter(f, &crowd);
}

/* --- broadcast ------------------------------------------------------------------------------- */

static void a_broadcast_is_one_frame(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct str bytes = STR("\1\2");
    struct sio_args args = {STR("[\"b\",{\"_placeholder\":true,\"num\":0}]"), &bytes, 1,
                            STR("")};

    gather(f, &crowd);
    sio_broadcast(&(struct sio_target){.nsp = crowd.nsp}, &args, 0);
    for (int i = 1; i < SOCKETS; i++) {
        assert_ptr_equal(crowd.sessions[i]->sent[crowd.sessions[i]->sent_first],
                         crowd.sessions[0]->sent[crowd.sessions[0]->sent_first]);
    }
    for (int i = 0; i < SOCKETS; i++) {
        expect_sent(crowd.sessions[i], "51-[\"b\",{\"_placeholder\":true,\"num\":0}]");
        expect_sent_binary(crowd.sessions[i], bytes);
    }
    scatter(f, &crowd);
}

static void volatile_packets_skip_busy_sockets(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct sio_packet *packet;

    gather(f, &crowd);
    crowd.sessions[1]->writable = false;
    sio_broadcast(&(struct sio_target){.nsp = crowd.nsp}, &HELLO, SIO_VOLATILE | SIO_LOCAL);
    for (int i = 0; i < SOCKETS; i++)
        expect_sent(crowd.sessions[i], i == 1 ? NULL : "2[\"hello\"]");
    packet = sio_packet_event(sio_socket_namespace(member(f, &crowd, 1)), &HELLO, NULL);
    sio_socket_emit(member(f, &crowd, 1), packet, SIO_VOLATILE);
    expect_sent(crowd.sessions[1], NULL);
    sio_socket_emit(member(f, &crowd, 1), packet, 0);
    expect_sent(crowd.sessions[1], "2[\"hello\"]");
    sio_packet_unref(packet);
    scatter(f, &crowd);
}

static void disconnect_everybody(void *context, struct sio_socket *socket)
{
    struct visits *visits = context;

    visit(context, socket);
    for (int i = 0; i < SOCKETS; i++) {
        struct sio_socket *other =
            sio_socket_find(visits->f->server, visits->crowd->handles[i]);
        if (other)
            sio_socket_disconnect(other, i == 2);
    }
}

static void move_on(void *context, struct sio_socket *socket)
{
    visit(context, socket);
    sio_socket_leave(socket, STR("red"));
    sio_socket_join(socket, STR("blue"));
    sio_socket_join(socket, STR("red"));
}

static void visits_survive_what_they_do(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct str red[] = {STR("red")};

    gather(f, &crowd);
    for (int i = 0; i < SOCKETS; i++)
        enter(f, &crowd, i, "red");
    struct visits visits = {.f = f, .crowd = &crowd};
    sio_target_each(&(struct sio_target){crowd.nsp, red, 1, NULL, 0}, move_on, &visits);
    assert_string_equal(visits.order, "0123");

    visits.order[0] = '\0';
    sio_target_each(&(struct sio_target){crowd.nsp, red, 1, NULL, 0}, disconnect_everybody,
                    &visits);
    assert_string_equal(visits.order, "0");
    assert_int_equal(sio_namespace_count(crowd.nsp), 0);
    scatter(f, &crowd);
}

static void parents_reach_all_their_children(void **state)
{
    struct fixture *f = *state;
    struct sio_namespace *glob = sio_namespace_add(
        f->server, &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/o-*")});
    struct eio_session *one = join(f, "/o-1", NULL), *two = join(f, "/o-2", NULL);

    assert_int_equal(sio_broadcast(&(struct sio_target){.nsp = glob}, &HELLO, 0), 2);
    expect_sent(one, "2/o-1,[\"hello\"]");
    expect_sent(two, "2/o-2,[\"hello\"]");
    assert_int_equal(sio_namespace_count(glob), 2);
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    close_session(f, two, EIO_TRANSPORT_CLOSE);
}

/* --- acknowledgements ------------------------------------------------------------------------ */

static void ack_answer(void *owner, struct sio_socket *socket, const struct sio_args *args)
{
    struct fixture *f = owner;

    note(f, "answer", socket, args->json);
    if (f->extra)
        sio_socket_disconnect(socket, true);
}

static void ack_end(void *owner, enum sio_ack_end how)
{
    static const char *const names[] = {"complete", "timeout", "disconnected"};
    struct fixture *f = owner;

    buf_printf(&f->story, "end %s\n", names[how]);
}

static const struct sio_ack_handler HANDLER = {.answer = ack_answer, .end = ack_end};

static void answers_are_told_once(void **state)
{
    struct fixture *f = *state;
    struct sio_handle handle;
    struct eio_session *session = join(f, "/", &handle), *other = join(f, "/", NULL);
    struct sio_socket *socket = socket_of(f, handle);

    assert_true(sio_socket_emit_ack(socket, &HELLO, 0, 0, &HANDLER, f));
    assert_true(sio_socket_emit_ack(socket, &HELLO, 10, 0, &HANDLER, f));
    expect_sent(session, "20[\"hello\"]");
    expect_sent(session, "21[\"hello\"]");
    send_text(f, other, "30[\"forged\"]");
    send_text(f, session, "37[]");
    send_text(f, session, "3[]");
    send_text(f, session, "3 1[]");
    expect_story(f, "answer / []\nend complete\n");
    send_text(f, session, "30[1,2]");
    send_text(f, session, "30[3]");
    send_text(f, session, "31");
    expect_story(f, "answer / [1,2]\nend complete\n");
    double_loop_advance(f->loop, 100);
    expect_story(f, "");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
    close_session(f, other, EIO_TRANSPORT_CLOSE);
}

static void unanswered_acks_end(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);
    struct sio_socket *socket = socket_of(f, f->last);

    assert_true(sio_socket_emit_ack(socket, &HELLO, 10, 0, &HANDLER, f));
    double_loop_advance(f->loop, 9);
    expect_story(f, "");
    double_loop_advance(f->loop, 11);
    expect_story(f, "end timeout\n");
    send_text(f, session, "30[1]");
    expect_story(f, "");
    assert_false(session->close_called);

    assert_true(sio_socket_emit_ack(socket, &HELLO, 0, 0, &HANDLER, f));
    sio_socket_disconnect(socket, false);
    expect_story(f,
                 "disconnecting / server namespace disconnect\n"
                 "disconnected / server namespace disconnect\n"); /* not from inside the call */
    assert_true(sio_socket_emit_ack(socket, &HELLO, 5, 0, &HANDLER, f));
    double_loop_turn(f->loop);
    expect_story(f, "end disconnected\nend disconnected\n");
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

static void answers_may_end_the_connection(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    f->extra = f;
    assert_true(sio_socket_emit_ack(socket_of(f, f->last), &HELLO, 10, 0, &HANDLER, f));
    assert_true(sio_socket_emit_ack(socket_of(f, f->last), &HELLO, 10, 0, &HANDLER, f));
    send_text(f, session, "30[1]");
    expect_story(f, "answer / [1]\ndisconnecting / server namespace disconnect\n"
                    "disconnected / server namespace disconnect\nend complete\n"
                    "end disconnected\n");
    f->extra = NULL;
    close_session(f, session, EIO_FORCED_CLOSE);
}

static void broadcasts_collect_one_answer_each(void **state)
{
    struct fixture *f = *state;
    struct crowd crowd;
    struct str red[] = {STR("red")}, none[] = {STR("none")};

    gather(f, &crowd);
    for (int i = 0; i < 3; i++)
        enter(f, &crowd, i, "red");
    struct sio_target target = {crowd.nsp, red, 1, NULL, 0};
    assert_true(sio_broadcast_ack(&target, &HELLO, 10, 0, &HANDLER, f));
    for (int i = 0; i < SOCKETS; i++)
        expect_sent(crowd.sessions[i], i < 3 ? "20[\"hello\"]" : NULL);
    send_text(f, crowd.sessions[2], "30[2]");
    send_text(f, crowd.sessions[2], "30[2]");
    send_text(f, crowd.sessions[3], "30[3]");
    send_text(f, crowd.sessions[0], "30[0]");
    expect_story(f, "answer / [2]\nanswer / [0]\n");
    send_text(f, crowd.sessions[1], "30[1]");
    expect_story(f, "answer / [1]\nend complete\n");

    assert_true(sio_broadcast_ack(&target, &HELLO, 10, 0, &HANDLER, f));
    send_text(f, crowd.sessions[0], "31[0]");
    sio_socket_disconnect(member(f, &crowd, 1), false);
    send_text(f, crowd.sessions[2], "31[2]");
    buf_reset(&f->story);
    double_loop_advance(f->loop, 50);
    expect_story(f, "end timeout\n"); /* waits for the one that left, as the reference */

    target.rooms = none;
    assert_true(sio_broadcast_ack(&target, &HELLO, 10, 0, &HANDLER, f));
    expect_story(f, "");
    double_loop_turn(f->loop);
    expect_story(f, "end complete\n");
    scatter(f, &crowd);
}

static void children_count_ids_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct sio_namespace *glob = sio_namespace_add(
        f->server, &(struct sio_namespace_options){.kind = SIO_GLOB, .name = STR("/o-*")});
    struct sio_handle first, second;
    struct eio_session *one = join(f, "/o-1", &first), *two = join(f, "/o-2", &second);

    assert_true(sio_socket_emit_ack(socket_of(f, first), &HELLO, 0, 0, &HANDLER, f));
    assert_true(sio_socket_emit_ack(socket_of(f, second), &HELLO, 0, 0, &HANDLER, f));
    assert_true(sio_socket_emit_ack(socket_of(f, second), &HELLO, 0, 0, &HANDLER, f));
    assert_true(
        sio_broadcast_ack(&(struct sio_target){.nsp = glob}, &HELLO, 10, 0, &HANDLER, f));
    expect_sent(one, "2/o-1,0[\"hello\"]");
    expect_sent(one, "2/o-1,2[\"hello\"]");
    expect_sent(two, "2/o-2,0[\"hello\"]");
    expect_sent(two, "2/o-2,1[\"hello\"]");
    expect_sent(two, "2/o-2,2[\"hello\"]");
    send_text(f, one, "3/o-1,2[]");
    send_text(f, two, "3/o-2,2[]");
    expect_story(f, "answer /o-1 []\nanswer /o-2 []\nend complete\n");
    close_session(f, one, EIO_TRANSPORT_CLOSE);
    close_session(f, two, EIO_TRANSPORT_CLOSE);
}

static void what_waits_ends_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session = join(f, "/", NULL);

    assert_true(
        sio_broadcast_ack(&(struct sio_target){.nsp = sio_namespace_find(f->server, STR("/"))},
                          &HELLO, 1000, 0, &HANDLER, f));
    close_session(f, session, EIO_SERVER_SHUTDOWN);
    buf_reset(&f->story);
    fixture_restart(f);
    expect_story(f, "end disconnected\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(delivery_follows_rooms_then_joins),
        TEST(own_room_is_like_any_other),
        TEST(rooms_are_listed_in_order_of_joining),
        TEST(many_memberships_are_found_from_either_side),
        TEST(a_broadcast_is_one_frame),
        TEST(volatile_packets_skip_busy_sockets),
        TEST(visits_survive_what_they_do),
        TEST(parents_reach_all_their_children),
        TEST(answers_are_told_once),
        TEST(unanswered_acks_end),
        TEST(answers_may_end_the_connection),
        TEST(broadcasts_collect_one_answer_each),
        TEST(children_count_ids_of_their_own),
        TEST(what_waits_ends_with_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
