/* limits.c: what a call may use. The deadline: a POSIX timer signals the thread that runs Lua; the handler
 * arms a hook on the coroutine that runs at that moment (lua_sethook may be called from a signal handler:
 * lua.c does it for SIGINT), and the hook raises the abort. As long as a call is in time, no hook runs. The
 * timer goes on ticking, so that a coroutine that catches the abort and hands over to another one meets it
 * there again; the hook fires at every instruction, so a pcall delays it by one instruction at most. The
 * other limits (memory, rows, queries) end in script_abort, which arms the same hook. */
#include "script/state.h"

#include "base/clock.h"

#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TICK_NS 2000000L
#define MASK (LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT)

#define PATIENCE 3 /* further spans of the limit that a busy machine may take */

static _Thread_local struct script_state *volatile timed; /* whose deadline this thread watches */

/* Nanoseconds that this thread has run; fit for a signal handler. */
static uint64_t thread_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Past the deadline. That the machine was busy with others is not the script's doing: for a while only the
 * time counts that its thread really had. */
static bool is_over(const struct script_state *s)
{
    uint64_t now = clock_mono();
    if (now < s->deadline) return false;
    return now >= s->deadline + PATIENCE * s->allowed || thread_time() - s->busy >= s->allowed;
}

/* ---- places ---- */

void script_spot_here(lua_State *L)
{
    struct script_state *s = state_of(L);
    lua_Debug ar;
    s->spot.line = 0;
    s->spot.file[0] = '\0';
    for (int level = 0; lua_getstack(L, level, &ar); level++) {
        if (!lua_getinfo(L, "Sl", &ar) || ar.currentline <= 0) continue;
        const char *name = ar.source[0] == '@' || ar.source[0] == '=' ? ar.source + 1 : ar.short_src;
        if (strncmp(name, "scripts/", 8) == 0 || strcmp(name, "(load)") == 0) continue;
        snprintf(s->spot.file, sizeof s->spot.file, "%s", name);
        s->spot.line = ar.currentline;
        return;
    }
}

/* ---- crossing ---- */

static void raise_abort(lua_State *L)
{
    struct script_state *s = state_of(L);
    if (s->spot.line == 0) script_spot_here(L);
    /* What exactly was crossed is said by call.c; this text must need no memory. */
    lua_pushlightuserdata(L, s);
    lua_error(L);
}

static void on_limit(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    if (state_of(L)->aborted)
        raise_abort(L);
    else
        lua_sethook(L, NULL, 0, 0); /* a coroutine that slept since an earlier call was stopped */
}

void script_check(lua_State *L)
{
    struct script_state *s = state_of(L);
    if (!s->aborted && s->deadline && is_over(s)) {
        s->spot.line = 0;
        s->aborted = ABORT_TIME;
    }
    if (!s->aborted) return;
    lua_sethook(L, on_limit, MASK, 1);
    raise_abort(L);
}

void script_abort(lua_State *L, enum script_abort why)
{
    struct script_state *s = state_of(L);
    if (!s->aborted) {
        script_spot_here(L);
        s->aborted = (sig_atomic_t)why;
    }
    lua_sethook(L, on_limit, MASK, 1);
    raise_abort(L);
}

/* ---- the deadline ---- */

static void on_signal(int signal)
{
    (void)signal;
    struct script_state *s = timed;
    /* The timer of a call around this one (a test that ran a hook) may have fired. */
    if (!s || !s->running || !is_over(s)) return;
    if (!s->aborted) {
        s->spot.line = 0;
        s->aborted = ABORT_TIME;
    }
    lua_sethook(s->running, on_limit, MASK, 1);
}

static bool install(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&a.sa_mask);
    return sigaction(SIGRTMIN, &a, NULL) == 0;
}

/* The timer tells one thread: the one that runs the state now. */
static bool make_timer(struct script_state *s, pid_t thread)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN};
    event._sigev_un._tid = thread;
    if (s->timer_made) timer_delete(s->timer);
    s->timer_thread = thread;
    s->timer_made = install() && timer_create(CLOCK_MONOTONIC, &event, &s->timer) == 0;
    return s->timer_made;
}

bool limits_start(struct script_state *s, int64_t time_ms)
{
    static _Thread_local pid_t self;
    if (!self) self = (pid_t)syscall(SYS_gettid);
    if ((!s->timer_made || s->timer_thread != self) && !make_timer(s, self)) return false;
    struct itimerspec t = {.it_value = {time_ms / 1000, (time_ms % 1000) * 1000000L},
                           .it_interval = {0, TICK_NS}};
    s->aborted = ABORT_NONE;
    s->spot.line = 0;
    s->running = s->L;
    s->allowed = (uint64_t)time_ms * 1000000u;
    s->deadline = clock_mono() + s->allowed;
    s->busy = thread_time();
    s->outer = timed;
    timed = s;
    return timer_settime(s->timer, 0, &t, NULL) == 0;
}

void limits_stop(struct script_state *s)
{
    struct itimerspec off = {0};
    timed = s->outer;
    s->outer = NULL;
    timer_settime(s->timer, 0, &off, NULL);
    s->running = NULL;
    s->deadline = 0;
    if (s->aborted) lua_sethook(s->L, NULL, 0, 0);
    s->aborted = ABORT_NONE;
}
