/* job.c: jobs as coroutines (job.h). Every resume is an entry by script_run, with its limits; rows and
 * queries are counted over the whole job. */
#include "script/job.h"

#include "base/clock.h"
#include "script/bind_job.h"

#include <stdlib.h>

#define ARENA_BYTES ((size_t)64 << 20)
#define WORDS_BYTES ((size_t)1 << 20)
#define CALL_MARK (UINT64_C(1) << 63) /* calls of jobs, apart from all others */

struct script_job {
    struct script_state *state;
    struct arena arena, words; /* `words`: of the error, so that it can be told when the other is full */
    struct error error;
    struct context context;
    struct place place;
    script_fn fn;
    lua_State *co;
    int anchor; /* of the coroutine in the registry */
    uint64_t call;
    int64_t rows, queries;
    bool begun;
    const struct json_value *args, *steps;
    struct script_asked asked;
    struct script_answer answer;
    struct str result;
    enum script_job_state outcome;
};

const struct script_set *script_state_set(const struct script_state *s)
{
    return s->set;
}

/* ---- what bindings see (bind_job.h) ---- */

bool job_running(lua_State *L)
{
    return state_of(L)->job != NULL;
}

int job_ask(lua_State *L, const char *name, struct buf *args, lua_KFunction then)
{
    struct script_state *s = state_of(L);
    struct script_job *j = s->job;
    struct str text = args->failed ? (struct str){NULL, 0} : arena_str(&j->arena, buf_view(args));
    buf_free(args);
    if (L != j->co)
        return luaL_error(L, "%s waits for an answer: it cannot be called inside a coroutine", name);
    if (!text.p) return luaL_error(L, "the arguments of %s are more than 1 MiB", name);
    struct error mine;
    error_init(&mine, &j->arena, LANG_EN);
    const struct json_value *json = json_parse(&j->arena, text, &mine);
    if (!json) return luaL_error(L, "%s: %s", name, mine.detail ? mine.detail : "not enough memory");
    j->asked = (struct script_asked){name, json};
    return lua_yieldk(L, 0, 0, then);
}

int job_push_answer(lua_State *L)
{
    struct script_job *j = state_of(L)->job;
    if (j->answer.error) return luaL_error(L, "%s", j->answer.error);
    if (j->answer.json.n == 0) {
        lua_pushnil(L);
        return 1;
    }
    struct error mine;
    error_init(&mine, &j->arena, LANG_EN);
    const struct json_value *json = json_parse(&j->arena, j->answer.json, &mine);
    if (!json) return luaL_error(L, "the answer cannot be read: %s", mine.detail ? mine.detail : "no memory");
    bind_push_json(L, json);
    if (j->answer.raw.p && lua_istable(L, -1)) {
        lua_pushlstring(L, j->answer.raw.p, j->answer.raw.n);
        lua_setfield(L, -2, "body");
    }
    return 1;
}

const struct json_value *job_step(lua_State *L, struct str name)
{
    return json_member(state_of(L)->job->steps, name);
}

/* ---- running ---- */

static void begin(lua_State *L, struct script_job *j)
{
    j->co = lua_newthread(L);
    j->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    script_push_fn(L, j->fn);
    lua_xmove(L, j->co, 1);
    if (j->args && j->args->type == JSON_OBJECT) {
        bind_push_json(L, j->args);
        lua_xmove(L, j->co, 1);
    } else {
        lua_newtable(j->co);
    }
    j->begun = true;
}

static int result_of(lua_State *L, struct script_job *j, int results)
{
    if (results == 0 || lua_isnil(j->co, -results)) return 0;
    lua_pushvalue(j->co, -results);
    lua_xmove(j->co, L, 1);
    j->result = arena_str(&j->arena, bind_json(L, -1));
    return j->result.p ? 0 : luaL_error(L, "a job's result is at most 1 MiB of JSON");
}

static int resume_body(lua_State *L)
{
    struct script_job *j = lua_touserdata(L, 1);
    struct script_state *s = j->state;
    int results = 0, arguments = 0;
    s->rows = j->rows;
    s->queries = j->queries;
    if (!j->begun) {
        begin(L, j);
        arguments = 1;
    }
    s->running = j->co;
    int status = lua_resume(j->co, L, arguments, &results);
    s->running = L;
    j->rows = s->rows;
    j->queries = s->queries;
    if (status == LUA_YIELD) {
        lua_pop(j->co, results);
        j->outcome = SCRIPT_JOB_ASKS;
        return 0;
    }
    if (status == LUA_OK) {
        j->outcome = SCRIPT_JOB_DONE;
        return result_of(L, j, results);
    }
    protect_status(L, status);
    lua_xmove(j->co, L, 1);
    return lua_error(L);
}

struct script_job *script_job_new(struct script_state *s, script_fn fn, struct place place, struct db *db,
                                  struct principal *who, struct str args, struct str steps, struct error *e)
{
    struct script_job *j = calloc(1, sizeof *j);
    if (!j) return error_no_memory(e), NULL;
    arena_init(&j->arena, ARENA_BYTES);
    arena_init(&j->words, WORDS_BYTES);
    error_init(&j->error, &j->words, LANG_EN);
    j->state = s;
    s->jobs_alive++;
    j->fn = fn;
    j->place = place;
    j->anchor = LUA_NOREF;
    j->call = CALL_MARK | ++s->jobs;
    const struct script_limits *l = &s->set->config.limits[SCRIPT_JOB];
    j->rows = l->rows;
    j->queries = l->queries;
    context_init(&j->context, s->set->catalog, db, who, &j->arena, &j->error);
    j->context.trusted = true;
    j->context.hooks = &script_hooks;
    j->context.script = s;
    j->context.automation = true;
    args = arena_str(&j->arena, args.n ? args : STR("{}"));
    steps = arena_str(&j->arena, steps.n ? steps : STR("{}"));
    j->args = args.p ? json_parse(&j->arena, args, e) : NULL;
    j->steps = steps.p ? json_parse(&j->arena, steps, e) : NULL;
    if (j->args && j->steps) return j;
    if (e->kind == ERROR_NONE) error_no_memory(e);
    script_job_free(j);
    return NULL;
}

void script_job_free(struct script_job *j)
{
    if (!j) return;
    j->state->jobs_alive--;
    luaL_unref(j->state->L, LUA_REGISTRYINDEX, j->anchor);
    arena_free(&j->arena);
    arena_free(&j->words);
    free(j);
}

/* What it was told lives as long as the job. */
static bool take_answer(struct script_job *j, const struct script_answer *a)
{
    j->answer = (struct script_answer){0};
    if (a->error) {
        j->answer.error = arena_dup(&j->arena, str_of(a->error));
        return j->answer.error != NULL;
    }
    if (a->json.n) j->answer.json = arena_str(&j->arena, a->json);
    if (a->raw.p) j->answer.raw = arena_str(&j->arena, a->raw);
    return (!a->json.n || j->answer.json.p) && (!a->raw.p || j->answer.raw.p);
}

enum script_job_state script_job_run(struct script_job *j, const struct script_answer *answer)
{
    struct script_state *s = j->state;
    struct script_job *outer = s->job;
    uint64_t outer_call = s->call;
    error_clear(&j->error);
    arena_reset(&j->words);
    if (answer && !take_answer(j, answer)) {
        error_set(&j->error, ERROR_SCRIPT_LIMIT, "a job needs more memory than it may have",
                  "заданию не хватило отведённой памяти");
        return j->outcome = SCRIPT_JOB_FAILED;
    }
    j->context.env.now = clock_now();
    s->job = j;
    s->call = j->call;
    bool ok = script_run(s, &j->context, SCRIPT_JOB, resume_body, j, &j->error);
    s->call = outer_call;
    s->job = outer;
    if (!ok) j->outcome = SCRIPT_JOB_FAILED;
    return j->outcome;
}

const struct script_asked *script_job_asked(const struct script_job *j)
{
    return &j->asked;
}

struct str script_job_result(const struct script_job *j)
{
    return j->result;
}

const struct error *script_job_error(const struct script_job *j)
{
    return &j->error;
}

struct place script_job_place(const struct script_job *j)
{
    return j->place;
}

struct arena *script_job_arena(struct script_job *j)
{
    return &j->arena;
}
