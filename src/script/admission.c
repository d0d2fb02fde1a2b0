#include "script/handshake.h"
#include "script/runtime.h"

/* What the function returned is on top: nil and true let in, reject(message) and false do not.
 * Anything else is a slip and must not let anybody in. */
static int decided(lua_State *L, int status, lua_KContext context)
{
    struct coroutine *coroutine = script_of(L)->current;
    struct str message = STR("");
    (void)status;
    (void)context;

    if (lua_isnil(L, -1) || (lua_isboolean(L, -1) && lua_toboolean(L, -1)))
        return 0;
    if (script_type(L, -1) == SCRIPT_REJECTION) {
        lua_getiuservalue(L, -1, 1);
        message.at = lua_tolstring(L, -1, &message.size);
    } else if (!lua_isboolean(L, -1)) {
        return luaL_error(L,
                          "the allow_request function of line %d returned a %s value: "
                          "return nothing or true to let in, reject(message) to refuse",
                          script_of(L)->config->engine.allow_request_line,
                          luaL_typename(L, -1));
    }
    coroutine->refused = true;
    eio_admission_refuse(coroutine->admission, message);
    return 0;
}

static int body_admission(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    struct script *script = script_of(L);

    script_push_function(L, run->function);
    script_push_request(L, script_scratch(script), eio_admission_handshake(run->admission));
    lua_callk(L, 1, 1, 0, decided);
    return decided(L, LUA_OK, 0);
}

static void admission_finished(struct coroutine *coroutine, bool succeeded)
{
    if (coroutine->refused)
        return;
    if (succeeded)
        eio_admission_allow(coroutine->admission);
    else
        eio_admission_refuse(coroutine->admission, STR(""));
}

void script_admit(void *owner, struct eio_admission *admission)
{
    struct script *script = owner;
    struct run run = {
        .body = body_admission,
        .function = script->config->engine.allow_request,
        .event = STR("allow_request"),
        .may_wait = true,
        .admission = admission,
        .finished = admission_finished,
    };

    if (!script_run(script, &run))
        eio_admission_refuse(admission, STR(""));
}
