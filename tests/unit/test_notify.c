#include "server/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];
static char heard[256];

/* systemd's end, at a path or, with '@', at an abstract address. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    size_t size = strlen(name);

    memcpy(address.sun_path, name, size);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size)),
                     0);
    setenv("NOTIFY_SOCKET", name, 1);
    return fd;
}

static const char *hear(int fd)
{
    ssize_t size = recv(fd, heard, sizeof(heard) - 1, 0);

    heard[size > 0 ? size : 0] = '\0';
    return heard;
}

static void systemd_hears_what_it_is_told(void **state)
{
    (void)state;

    snprintf(path, sizeof(path), "/tmp/skua-notify-%ld", (long)getpid());
    int fd = listen_at(path);
    notify("READY=1");
    assert_string_equal(hear(fd), "READY=1");
    notify_main(4711);
    assert_string_equal(hear(fd), "MAINPID=4711\nREADY=1");
    notify_reloading();
    assert_memory_equal(hear(fd), "RELOADING=1\nMONOTONIC_USEC=", 27);
    assert_true(strtoull(heard + 27, NULL, 10) > 0);
    close(fd);
    unlink(path);
}

static void abstract_sockets_are_reached_too(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "@skua-notify-%ld", (long)getpid());
    int fd = listen_at(path);
    notify("STOPPING=1");
    assert_string_equal(hear(fd), "STOPPING=1");
    close(fd);
}

static void nobody_is_told_when_nobody_asks(void **state)
{
    char longest[200];
    (void)state;

    unsetenv("NOTIFY_SOCKET");
    notify("READY=1");
    setenv("NOTIFY_SOCKET", "", 1);
    notify("READY=1");
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    notify("READY=1");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    setenv("NOTIFY_SOCKET", longest, 1);
    notify("READY=1");
    unsetenv("NOTIFY_SOCKET");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(systemd_hears_what_it_is_told),
        cmocka_unit_test(abstract_sockets_are_reached_too),
        cmocka_unit_test(nobody_is_told_when_nobody_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
