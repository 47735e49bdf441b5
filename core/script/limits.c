/* limits.c: the deadline of a call. A POSIX timer signals the thread that runs Lua; the handler arms a hook
 * on the coroutine that runs at that moment (lua_sethook may be called from a signal handler: lua.c does it
 * for SIGINT), and the hook raises the abort. As long as a call is in time, no hook runs. The timer goes on
 * ticking, so that a coroutine that catches the abort and hands over to another one meets it there again; the
 * hook fires at every instruction, so a pcall delays it by one instruction at most. */
#include "base/clock.h"
#include "script/state.h"

#include <sys/syscall.h>
#include <unistd.h>

#define TICK_NS 2000000L

static _Thread_local struct script_state *volatile timed; /* whose deadline this thread watches */

static void on_limit(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    script_check(L);
}

static void on_signal(int signal)
{
    (void)signal;
    struct script_state *s = timed;
    if (!s || !s->running) return;
    if (!s->aborted) s->aborted = ABORT_TIME;
    lua_sethook(s->running, on_limit, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
}

static bool install(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    return sigaction(SIGRTMIN, &a, NULL) == 0;
}

static bool make_timer(struct script_state *s)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    event._sigev_un._tid = (int)syscall(SYS_gettid);
    s->timer_made = install() && timer_create(CLOCK_MONOTONIC, &event, &s->timer) == 0;
    return s->timer_made;
}

bool limits_start(struct script_state *s, int64_t time_ms)
{
    if (!s->timer_made && !make_timer(s)) return false;
    struct itimerspec t = {.it_value = {time_ms / 1000, (time_ms % 1000) * 1000000L},
                           .it_interval = {0, TICK_NS}};
    s->aborted = ABORT_NONE;
    s->running = s->L;
    s->deadline = clock_mono() + (uint64_t)time_ms * 1000000u;
    timed = s;
    return timer_settime(s->timer, 0, &t, NULL) == 0;
}

void limits_stop(struct script_state *s)
{
    struct itimerspec off = {0};
    timed = NULL;
    timer_settime(s->timer, 0, &off, NULL);
    s->running = NULL;
    if (s->aborted) lua_sethook(s->L, NULL, 0, 0);
    s->aborted = ABORT_NONE;
}

/* ---- coroutines: the same library, with `running` kept ---- */

static int resume_inner(lua_State *L, lua_State *co, int arguments, bool *ok)
{
    struct script_state *s = state_of(L);
    int results = 0;
    if (!lua_checkstack(co, arguments + 1)) return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, arguments);
    s->running = co;
    if (s->aborted) lua_sethook(co, on_limit, LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT, 1);
    int status = lua_resume(co, L, arguments, &results);
    s->running = L;
    *ok = status == LUA_OK || status == LUA_YIELD;
    if (s->aborted) script_check(L);
    if (!*ok) results = 1; /* the error object */
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        return luaL_error(L, "too many results of resume");
    }
    lua_xmove(co, L, results);
    return results;
}

static int co_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    int status = lua_status(co);
    if (status != LUA_YIELD && !(status == LUA_OK && lua_gettop(co) > 0)) {
        lua_pushboolean(L, 0);
        lua_pushliteral(L, "cannot resume a coroutine that has ended or runs");
        return 2;
    }
    bool ok;
    int results = resume_inner(L, co, lua_gettop(L) - 1, &ok);
    lua_pushboolean(L, ok);
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    int status = lua_status(co);
    if (status != LUA_YIELD && !(status == LUA_OK && lua_gettop(co) > 0))
        return luaL_error(L, "cannot resume a coroutine that has ended or runs");
    bool ok;
    int results = resume_inner(L, co, lua_gettop(L), &ok);
    return ok ? results : lua_error(L);
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

void limits_coroutine(lua_State *L)
{
    lua_getglobal(L, "coroutine");
    lua_pushcfunction(L, co_resume);
    lua_setfield(L, -2, "resume");
    lua_pushcfunction(L, co_create);
    lua_setfield(L, -2, "create");
    lua_pushcfunction(L, co_wrap);
    lua_setfield(L, -2, "wrap");
    lua_pushnil(L);
    lua_setfield(L, -2, "close"); /* would run __close outside the watch */
    lua_pop(L, 1);
}
