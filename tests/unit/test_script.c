#include "script_fixture.h"

static void handler_emits_and_acknowledges(void **state)
{
    struct fixture *f = *state;
    struct eio_session *session;

    start(f, "local chat = namespace '/chat'\n"
             "chat:on('say', function(socket, text, n) socket:emit('said', text, n) return 1, "
             "{} end)\n");
    session = enter(f, "/chat");
    send_text(f, session, "2/chat,[\"say\",\"hi\",2]");
    expect_sent(session, "2/chat,[\"said\",\"hi\",2]");
    expect_sent(session, NULL);
    send_text(f, session, "2/chat,7[\"say\",{\"a\":[1]}]");
    expect_sent(session, "2/chat,[\"said\",{\"a\":[1]},null]");
    expect_sent(session, "3/chat,7[1,{}]");
    send_text(f, session, "2/chat,8[\"other\"]");
    expect_sent(session, NULL);
    expect_log(f, NULL);
    close_session(f, session, EIO_TRANSPORT_CLOSE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRIPT_TEST(handler_emits_and_acknowledges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
