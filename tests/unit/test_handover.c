#include "server/handover.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* Both processes are this one. */
static struct handover *old;
static struct handover *new;
static struct inherited *set;
static int aside; /* what descriptor 3 was */
static struct log quiet = {.fd = -1, .level = LOG_OFF};

/* The new process begins, with what the old one has given. */
static void join(int theirs)
{
    assert_true(handover_begin(old));
    assert_int_equal(dup2(theirs, HANDOVER_FD), HANDOVER_FD);
    if (theirs != HANDOVER_FD)
        close(theirs);
    setenv(HANDOVER_VARIABLE, "3", 1);
    new = handover_join(set, &quiet);
    assert_non_null(new);
    assert_null(getenv(HANDOVER_VARIABLE));
}

static int theirs;

static int set_up(void **state)
{
    (void)state;
    aside = fcntl(HANDOVER_FD, F_DUPFD_CLOEXEC, 64);
    if (aside < 0) /* kept from being the test's own socket */
        assert_int_equal(open("/dev/null", O_RDONLY), HANDOVER_FD);
    new = NULL;
    set = inherited_new();
    old = handover_new(&theirs);
    return old && set ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    handover_free(old);
    handover_free(new);
    inherited_free(set);
    close(HANDOVER_FD);
    if (aside >= 0) {
        dup2(aside, HANDOVER_FD);
        close(aside);
    }
    return 0;
}

static int listener(void)
{
    struct sockaddr_un nowhere = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&nowhere, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 1), 0);
    return fd;
}

static void listeners_come_with_their_names(void **state)
{
    int given = listener();
    int fd;
    (void)state;

    assert_true(handover_give(old, "127.0.0.1 3000", given));
    assert_true(handover_give(old, "not a listener", theirs));
    assert_true(handover_give(old, "unix:/run/skua.sock", given));
    join(theirs);
    assert_int_equal(inherited_take(set, "not a listener"), -1);
    fd = inherited_take(set, "unix:/run/skua.sock");
    assert_true(fd >= 0 && fd != given);
    close(fd);
    fd = inherited_take(set, "127.0.0.1 3000");
    assert_true(fd >= 0);
    close(fd);
    close(given);
}

static void a_process_that_nobody_started_so_joins_nothing(void **state)
{
    (void)state;
    unsetenv(HANDOVER_VARIABLE);
    assert_null(handover_join(set, &quiet));
    setenv(HANDOVER_VARIABLE, "4711", 1);
    assert_null(handover_join(set, &quiet));
    setenv(HANDOVER_VARIABLE, "3", 1);
    close(HANDOVER_FD);
    assert_int_equal(open("/dev/null", O_RDONLY), HANDOVER_FD);
    assert_null(handover_join(set, &quiet));
    close(theirs);
}

static void the_old_one_hears_that_the_new_one_is_ready(void **state)
{
    (void)state;
    join(theirs);
    assert_int_equal(handover_hear(old), HANDOVER_NOTHING);
    handover_ready(new);
    assert_int_equal(handover_hear(old), HANDOVER_READY);
    assert_int_equal(handover_hear(old), HANDOVER_NOTHING);
    handover_free(new);
    new = NULL;
    assert_int_equal(handover_hear(old), HANDOVER_ENDED);
}

static void the_new_one_hears_when_the_listeners_are_its_own(void **state)
{
    (void)state;
    join(theirs);
    assert_true(handover_receive(new));
    assert_false(handover_is_ours(new));
    assert_true(handover_go(old));
    assert_true(handover_receive(new));
    assert_true(handover_is_ours(new));
}

static void they_are_when_the_old_one_has_ended_without_a_word(void **state)
{
    (void)state;
    join(theirs);
    handover_free(old);
    old = NULL;
    assert_false(handover_receive(new));
    assert_true(handover_is_ours(new));
}

static void the_old_one_hears_why_the_new_one_cannot_be(void **state)
{
    char text[2 * HANDOVER_TEXT_MAX];
    (void)state;

    join(theirs);
    handover_fail(new, STR("app.lua:3: unknown name"));
    assert_int_equal(handover_hear(old), HANDOVER_FAILED);
    assert_string_equal(handover_reason(old), "app.lua:3: unknown name");
    memset(text, 'x', sizeof(text));
    handover_fail(new, str_of(text, sizeof(text)));
    assert_int_equal(handover_hear(old), HANDOVER_FAILED);
    assert_int_equal(strlen(handover_reason(old)), HANDOVER_TEXT_MAX - 1);
}

static int passed_fd;

static void passed(void *owner, const char *name, int fd)
{
    assert_ptr_equal(owner, &passed_fd);
    assert_string_equal(name, "127.0.0.1 3000");
    passed_fd = fd;
}

static void connections_come_with_their_listeners_names(void **state)
{
    int pair[2];
    char byte = 0;
    (void)state;

    join(theirs);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    assert_true(handover_pass(old, "ignored", pair[0]));
    assert_true(handover_receive(new));
    handover_on_connection(new, passed, &passed_fd);
    assert_true(handover_pass(old, "127.0.0.1 3000", pair[0]));
    assert_true(handover_receive(new));
    close(pair[0]);
    assert_int_equal(write(pair[1], "x", 1), 1);
    assert_int_equal(read(passed_fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(passed_fd);
    close(pair[1]);
}

/* --- state ---------------------------------------------------------------------------------- */

static char arrivals[64];

static void arrived(void *owner, struct handover *handover, const char *name)
{
    assert_ptr_equal(owner, arrivals);
    assert_ptr_equal(handover, new);
    strcat(arrivals, name);
}

static void takes(const char *name, const char *expected)
{
    size_t size = 0;
    uint8_t *bytes = handover_take(new, name, &size);

    assert_non_null(bytes);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(bytes, expected, size);
    free(bytes);
}

static void blobs_are_taken_by_name_the_oldest_first(void **state)
{
    size_t size;
    (void)state;

    join(theirs);
    arrivals[0] = '\0';
    handover_on_arrival(new, arrived, arrivals);
    assert_true(handover_put(old, "log", STR("one")));
    assert_true(handover_put(old, "sessions", STR("")));
    assert_true(handover_put(old, "log", STR("two")));
    assert_null(handover_take(new, "log", &size));
    assert_true(handover_receive(new));
    assert_string_equal(arrivals, "logsessionslog");
    takes("log", "one");
    takes("sessions", "");
    takes("log", "two");
    assert_null(handover_take(new, "log", &size));
}

static void what_was_put_outlives_the_old_process(void **state)
{
    (void)state;
    join(theirs);
    assert_true(handover_put(old, "log", STR("last")));
    handover_free(old);
    old = NULL;
    assert_false(handover_receive(new));
    takes("log", "last");
}

static void a_large_blob_comes_whole(void **state)
{
    size_t size = 32 * 1024 * 1024;
    uint8_t *sent = malloc(size);
    uint8_t *taken;
    size_t taken_size;
    (void)state;

    join(theirs);
    for (size_t i = 0; i < size; i++)
        sent[i] = (uint8_t)(i * 31);
    assert_true(handover_put(old, "log", str_of(sent, size)));
    assert_true(handover_receive(new));
    taken = handover_take(new, "log", &taken_size);
    assert_int_equal(taken_size, size);
    assert_memory_equal(taken, sent, size);
    free(taken);
    free(sent);
}

static void more_than_the_bound_is_not_put(void **state)
{
    (void)state;
    join(theirs);
    assert_false(handover_put(old, "log", str_of("", (size_t)HANDOVER_BLOB_MAX + 1)));
    assert_true(handover_receive(new));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(listeners_come_with_their_names),
        TEST(a_process_that_nobody_started_so_joins_nothing),
        TEST(the_old_one_hears_that_the_new_one_is_ready),
        TEST(the_new_one_hears_when_the_listeners_are_its_own),
        TEST(they_are_when_the_old_one_has_ended_without_a_word),
        TEST(the_old_one_hears_why_the_new_one_cannot_be),
        TEST(connections_come_with_their_listeners_names),
        TEST(blobs_are_taken_by_name_the_oldest_first),
        TEST(what_was_put_outlives_the_old_process),
        TEST(a_large_blob_comes_whole),
        TEST(more_than_the_bound_is_not_put),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
