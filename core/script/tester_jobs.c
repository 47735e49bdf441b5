/* tester_jobs.c: jobs and timers for tests: they run when the clock of the test has come so far, one after
 * the other, and what they ask of the outside world is answered by scripts/testing.lua. */
#include "base/clock.h"
#include "base/id.h"
#include "script/job.h"
#include "script/tester_internal.h"
#include "script/timer.h"

#define HANDLE "perigee.job"
#define TIMER_JOB "every:"
#define LEASE_MS INT64_C(3600000)

/* ---- which ---- */

struct claimed {
    struct tester *tester;
    struct outbox_job job;
    bool found;
};

static bool keep(void *ctx, const struct outbox_job *job)
{
    struct claimed *c = ctx;
    struct arena *a = &c->tester->arena;
    c->job = *job;
    c->job.job = arena_str(a, job->job);
    c->job.args = arena_str(a, job->args);
    c->job.steps = arena_str(a, job->steps);
    c->found = c->job.job.p && c->job.args.p && c->job.steps.p;
    return c->found;
}

static void set_str(lua_State *L, const char *name, struct str s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
    lua_setfield(L, -2, name);
}

/* claim() → { id =, job =, args =, steps =, attempt = }, or nil */
static int claim(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct claimed c = {.tester = t};
    char id[ID_TEXT + 1];
    int64_t now = clock_now();
    if (!outbox_claim(t->db, now, now + LEASE_MS, 1, keep, &c, &t->error))
        return refusal_raise(L, &t->context);
    if (!c.found) return lua_pushnil(L), 1;
    lua_createtable(L, 0, 5);
    id_format(c.job.id, id);
    set_str(L, "id", str_of(id));
    set_str(L, "job", c.job.job);
    set_str(L, "args", c.job.args);
    set_str(L, "steps", c.job.steps);
    lua_pushinteger(L, c.job.attempt);
    lua_setfield(L, -2, "attempt");
    return 1;
}

static const struct job *job_named(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->job_count; i++)
        if (str_is(name, c->jobs[i].name)) return &c->jobs[i];
    return NULL;
}

static const struct timer *timer_named(const struct catalog *c, struct str job)
{
    size_t n = strlen(TIMER_JOB);
    if (job.n <= n || memcmp(job.p, TIMER_JOB, n) != 0) return NULL;
    struct str name = {job.p + n, job.n - n};
    for (size_t i = 0; i < c->timer_count; i++)
        if (str_is(name, c->timers[i].name)) return &c->timers[i];
    return NULL;
}

/* ---- one attempt ---- */

static int job_free(lua_State *L)
{
    struct script_job **j = luaL_checkudata(L, 1, HANDLE);
    script_job_free(*j);
    *j = NULL;
    return 0;
}

/* job_start(job, args, steps) → handle */
static int job_start(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct str name, args, steps;
    name.p = luaL_checklstring(L, 1, &name.n);
    args.p = luaL_checklstring(L, 2, &args.n);
    steps.p = luaL_checklstring(L, 3, &steps.n);
    const struct job *job = job_named(t->set->catalog, name);
    const struct timer *timer = timer_named(t->set->catalog, name);
    if (!job && !timer) return luaL_error(L, "there is no job \"%s\"", name.p);
    struct script_job **j = lua_newuserdatauv(L, sizeof(struct script_job *), 0);
    *j = NULL;
    luaL_setmetatable(L, HANDLE);
    *j = script_job_new(t->crm, job ? job->fn : timer->fn, job ? job->place : timer->place, t->db, t->system,
                        args, steps, &t->error);
    return *j ? 1 : refusal_raise(L, &t->context);
}

/* job_run(handle, answer, error) → "asks", what, args; "done"; "failed", why */
static int job_run(lua_State *L)
{
    struct script_job **j = luaL_checkudata(L, 1, HANDLE);
    struct script_answer answer = {0};
    struct script_job *job = *j;
    lua_settop(L, 3);
    luaL_argcheck(L, job, 1, "this job has ended");
    if (!lua_isnil(L, 3))
        answer.error = lua_tostring(L, 3);
    else if (!lua_isnil(L, 2))
        answer.json = bind_json(L, 2);
    switch (script_job_run(job, &answer)) {
    case SCRIPT_JOB_ASKS:
        lua_pushliteral(L, "asks");
        lua_pushstring(L, script_job_asked(job)->name);
        bind_push_json(L, script_job_asked(job)->args);
        return 3;
    case SCRIPT_JOB_DONE: lua_pushliteral(L, "done"); return 1;
    default: {
        const struct error *e = script_job_error(job);
        lua_pushliteral(L, "failed");
        lua_pushstring(L, e->first ? e->first->message : e->detail ? e->detail : "it failed");
        return 2;
    }
    }
}

/* step(id, name, result) */
static int step(lua_State *L)
{
    struct tester *t = tester_of(L);
    int64_t id;
    struct str name, result;
    name.p = luaL_checklstring(L, 2, &name.n);
    lua_settop(L, 3);
    result = arena_str(&t->arena, bind_json(L, 3));
    if (!id_parse(str_of(luaL_checkstring(L, 1)), &id) || !result.p) return luaL_error(L, "no such job");
    if (!outbox_step(t->db, id, name, result, clock_now() + LEASE_MS, &t->error))
        return refusal_raise(L, &t->context);
    return 0;
}

/* finish(job, "done" | "failed" | "retry", why, after_ms) */
static int finish(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct str name, state;
    struct outbox_finish f = {.started_at = clock_now(), .now = clock_now()};
    lua_getfield(L, 1, "id");
    lua_getfield(L, 1, "job");
    lua_getfield(L, 1, "attempt");
    f.attempt = (int)lua_tointeger(L, -1);
    name.p = luaL_checklstring(L, -2, &name.n);
    if (!id_parse(str_of(luaL_checkstring(L, -3)), &f.id)) return luaL_error(L, "no such job");
    state.p = luaL_checklstring(L, 2, &state.n);
    if (!lua_isnoneornil(L, 3)) f.error.p = luaL_checklstring(L, 3, &f.error.n);
    const struct job *job = job_named(t->set->catalog, name);
    int attempts = job ? job->attempts : 5;
    int64_t pause = job ? job->retry_min_ms : 10000, most = job ? job->retry_max_ms : 600000;
    for (int i = 1; i < f.attempt && pause < most; i++)
        pause *= 2;
    if (pause > most) pause = most;
    f.outcome = str_is(state, "done") ? OUTBOX_DONE : f.attempt >= attempts ? OUTBOX_DEAD : OUTBOX_RETRY;
    f.due_at = f.now + luaL_optinteger(L, 4, pause);
    if (!outbox_finish(t->db, &f, &t->error)) return refusal_raise(L, &t->context);
    return 0;
}

/* enqueue(job, args, key, due) */
static int enqueue(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct str job, args, key;
    int64_t id;
    job.p = luaL_checklstring(L, 1, &job.n);
    args.p = luaL_checklstring(L, 2, &args.n);
    key.p = luaL_optlstring(L, 3, "", &key.n);
    if (!outbox_add(t->db, job, args, key, luaL_optinteger(L, 4, clock_now()), 0, &id, &t->error))
        return refusal_raise(L, &t->context);
    return 0;
}

/* jobs(name) → list of { job =, state =, args =, attempts =, error = }; all when no name is given */
struct listing {
    lua_State *L;
    lua_Integer n;
};

static bool list_one(void *ctx, const struct outbox_seen *j)
{
    struct listing *l = ctx;
    lua_createtable(l->L, 0, 5);
    set_str(l->L, "job", j->job);
    set_str(l->L, "state", j->state);
    set_str(l->L, "args", j->args);
    if (j->error.p) set_str(l->L, "error", j->error);
    lua_pushinteger(l->L, j->attempts);
    lua_setfield(l->L, -2, "attempts");
    lua_rawseti(l->L, -2, ++l->n);
    return true;
}

static int jobs(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct str name = {NULL, 0};
    struct listing l = {.L = L};
    if (!lua_isnoneornil(L, 1)) name.p = luaL_checklstring(L, 1, &name.n);
    lua_newtable(L);
    if (!outbox_list(t->db, name, list_one, &l, &t->error)) return refusal_raise(L, &t->context);
    return 1;
}

/* ---- timers ---- */

static int64_t next_timer(lua_State *L, struct tester *t, const struct timer *m)
{
    int64_t ran_at = 0;
    if (!outbox_timer_get(t->db, str_of(m->name), &ran_at, &t->error)) refusal_raise(L, &t->context);
    return timer_due(m, ran_at, t->zone);
}

/* next_due(until) → when the next job or timer is due, or nil */
static int next_due(lua_State *L)
{
    struct tester *t = tester_of(L);
    lua_Integer until = luaL_checkinteger(L, 1);
    int64_t due;
    if (!outbox_next(t->db, &due, &t->error)) return refusal_raise(L, &t->context);
    for (size_t i = 0; i < t->set->catalog->timer_count; i++) {
        int64_t at = next_timer(L, t, &t->set->catalog->timers[i]);
        if (at < due) due = at;
    }
    if (due > until)
        lua_pushnil(L);
    else
        lua_pushinteger(L, due);
    return 1;
}

/* Makes jobs of the timers that are due. */
static int start_timers(lua_State *L)
{
    struct tester *t = tester_of(L);
    int64_t now = clock_now(), id;
    for (size_t i = 0; i < t->set->catalog->timer_count; i++) {
        const struct timer *m = &t->set->catalog->timers[i];
        if (next_timer(L, t, m) > now) continue;
        lua_pushfstring(L, "%s%s", TIMER_JOB, m->name);
        struct str job = str_of(lua_tostring(L, -1));
        if (!outbox_timer_set(t->db, str_of(m->name), now, &t->error) ||
            !outbox_add(t->db, job, STR("{}"), job, now, 0, &id, &t->error))
            return refusal_raise(L, &t->context);
        lua_pop(L, 1);
    }
    return 0;
}

void tester_jobs_open(lua_State *L)
{
    static const luaL_Reg primitives[] = {
        {"claim", claim}, {"job_start", job_start}, {"job_run", job_run},
        {"step", step},   {"finish", finish},       {"enqueue", enqueue},
        {"jobs", jobs},   {"next_due", next_due},   {"start_timers", start_timers},
        {NULL, NULL}};
    luaL_newmetatable(L, HANDLE);
    lua_pushcfunction(L, job_free);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_setfuncs(L, primitives, 0);
}
