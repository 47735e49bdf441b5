/* tester.c: the state in which tests run, and what scripts/testing.lua does with it (tester.h). */
#include "script/tester.h"

#include "base/calendar.h"
#include "base/clock.h"
#include "base/id.h"
#include "script/tester_internal.h"
#include "store/trail.h"

#include <stdlib.h>

#define START_MS INT64_C(1793865600000) /* 2026-11-05T08:00:00Z, a Thursday */
#define FILE_MAX ((size_t)1 << 20)

struct tester *tester_of(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "perigee.tester");
    struct tester *t = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return t;
}

/* ---- who acts ---- */

static void act_as(struct tester *t, struct principal *p)
{
    struct filter_env env = p->env;
    env.now = clock_now();
    env.zone = env.zone ? env.zone : t->zone;
    t->context.who = p;
    t->context.env = env;
    t->context.trusted = p == t->system;
    if (p == t->system) t->context.env.zone = t->zone;
}

/* become(id or nil): whose rights hold from now on; nil: the system's. */
static int become(lua_State *L)
{
    struct tester *t = tester_of(L);
    int64_t id;
    struct principal *p = t->system;
    if (!lua_isnil(L, 1)) {
        if (!id_parse(str_of(luaL_checkstring(L, 1)), &id)) return luaL_error(L, "a user is an id");
        p = principal_load(t->db, t->set->catalog, id, t->context.error);
        if (!p) return refusal_raise(L, &t->context);
    }
    struct principal *old = t->user;
    t->user = p == t->system ? NULL : p;
    act_as(t, p);
    principal_unref(old);
    return 0;
}

/* used(user, action, entity): the rules of that user's roles that speak of it were asked. */
static int used(lua_State *L)
{
    struct tester *t = tester_of(L);
    const char *action = luaL_checkstring(L, 2);
    const struct entity *e = catalog_entity(t->set->catalog, str_of(luaL_checkstring(L, 3)));
    if (!e || lua_isnil(L, 1) || !t->user) return 0;
    for (size_t i = 0; i < t->user->role_count; i++) {
        const struct role *r = t->user->roles[i];
        for (size_t k = 0; k < r->rule_count; k++)
            if (r->rules[k].entity == e && strcmp(action_kind_name(r->rules[k].action), action) == 0)
                t->rules[t->first_rule[r->index] + k] = true;
    }
    return 0;
}

/* action(record, name, args) → the record */
static int action(lua_State *L)
{
    struct tester *t = tester_of(L);
    struct context *c = bind_query(L);
    const struct record *r = bind_record_check(L, 1);
    const char *name = luaL_checkstring(L, 2);
    const struct action_decl *a = catalog_action(c->catalog, r->entity, str_of(name));
    struct record *out = NULL;
    if (!a) return luaL_error(L, "%s has no action \"%s\"", r->entity->name, name);
    struct str text = arena_str(c->arena, bind_json(L, 3));
    struct json_value *args = text.p ? json_parse(c->arena, text, c->error) : NULL;
    if (!args || !db_savepoint(t->db, c->error)) return refusal_raise(L, c);
    bool ok = record_action(c, r->entity, r->id, a, args, 0, &out);
    ok = ok && db_savepoint_release(t->db, c->error);
    if (!ok) db_savepoint_rollback(t->db);
    if (!ok) return refusal_raise(L, c);
    bind_record_push(L, out, false);
    return 1;
}

/* ---- the clock and the transaction of a test ---- */

static int now(lua_State *L)
{
    lua_pushinteger(L, clock_now());
    return 1;
}

static int now_text(lua_State *L)
{
    char text[32];
    calendar_format_datetime(clock_now(), text);
    lua_pushstring(L, text);
    return 1;
}

static int set(lua_State *L)
{
    struct tester *t = tester_of(L);
    clock_fake(luaL_checkinteger(L, 1));
    t->context.env.now = clock_now();
    return 0;
}

static int begin(lua_State *L)
{
    struct tester *t = tester_of(L);
    /* What the test before held is dead: its memory is used again. */
    t->state->call++;
    t->state->runs++;
    arena_reset(&t->arena);
    error_init(&t->error, &t->arena, LANG_EN);
    t->context.created = NULL;
    clock_fake(START_MS);
    if (!db_begin(t->db, true, &t->error)) return luaL_error(L, "no transaction: %s", t->error.detail);
    for (size_t i = 0; i < t->set->catalog->timer_count; i++)
        if (!outbox_timer_set(t->db, str_of(t->set->catalog->timers[i].name), START_MS, &t->error))
            return luaL_error(L, "%s", t->error.detail);
    return 0;
}

static int rollback(lua_State *L)
{
    struct tester *t = tester_of(L);
    db_rollback(t->db);
    trail_forget(t->db);
    return 0;
}

/* ---- files and words ---- */

static int serial(lua_State *L)
{
    lua_pushinteger(L, ++tester_of(L)->serial);
    return 1;
}

static int out(lua_State *L)
{
    struct tester *t = tester_of(L);
    fprintf(t->out, "%s\n", luaL_checkstring(L, 1));
    fflush(t->out);
    return 0;
}

/* compile(shown, env) → the function of the file being run, or nil and why not */
static int compile(lua_State *L)
{
    struct tester *t = tester_of(L);
    const char *shown = luaL_checkstring(L, 1);
    lua_pushfstring(L, "@%s", shown);
    int status = library_compile(L, t->text, lua_tostring(L, -1));
    protect_status(L, status);
    if (status != LUA_OK) return lua_pushnil(L), lua_insert(L, -2), 2;
    lua_pushvalue(L, 2);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    return 1;
}

/* ---- opening ---- */

static const luaL_Reg primitives[] = {{"become", become}, {"used", used},         {"action", action},
                                      {"now", now},       {"time", now_text},     {"set", set},
                                      {"begin", begin},   {"rollback", rollback}, {"serial", serial},
                                      {"out", out},       {"compile", compile},   {NULL, NULL}};

static int open_body(lua_State *L)
{
    struct tester *t = lua_touserdata(L, 1);
    lua_pushlightuserdata(L, t);
    lua_setfield(L, LUA_REGISTRYINDEX, "perigee.tester");
    int status = library_compile(L, t->text, "@scripts/testing.lua");
    protect_status(L, status);
    if (status != LUA_OK) return lua_error(L);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    luaL_newlib(L, primitives);
    tester_jobs_open(L);
    lua_setfield(L, -2, "test");
    lua_call(L, 1, 0);
    return 0;
}

static bool read_file(struct tester *t, const char *path, struct error *e)
{
    FILE *f = fopen(path, "rb");
    free(t->buffer);
    t->buffer = f ? malloc(FILE_MAX) : NULL;
    size_t n = t->buffer ? fread(t->buffer, 1, FILE_MAX, f) : 0;
    bool ok = t->buffer && !ferror(f) && n < FILE_MAX;
    if (f) fclose(f);
    t->text = (struct str){t->buffer, n};
    return ok ? true : error_set(e, ERROR_NOT_FOUND, "%s cannot be read", "%s не читается", path);
}

/* Which bit of `rules` is a role's first. */
static bool count_rules(struct tester *t)
{
    const struct catalog *c = t->set->catalog;
    t->first_rule = calloc(c->role_count + 1, sizeof *t->first_rule);
    if (!t->first_rule) return false;
    for (size_t i = 0; i < c->role_count; i++)
        t->first_rule[i + 1] = t->first_rule[i] + c->roles[i].rule_count;
    t->rules = calloc(t->first_rule[c->role_count] + 1, sizeof *t->rules);
    t->crm->called = calloc((size_t)c->function_count + 1, 1);
    return t->rules && t->crm->called;
}

struct tester *tester_open(struct script_set *scripts, struct db *db, const struct timezone_data *zone,
                           const char *testing, FILE *to, struct error *e)
{
    struct tester *t = calloc(1, sizeof *t);
    if (!t) return error_no_memory(e), NULL;
    t->set = scripts;
    t->db = db;
    t->zone = zone;
    t->out = to;
    arena_init(&t->arena, (size_t)1 << 30);
    error_init(&t->error, &t->arena, LANG_EN);
    /* The same scripts again, for the words; their limits are not those of tests. */
    struct script_config config = scripts->config;
    config.limits[SCRIPT_JOB] = (struct script_limits){
        .time_ms = 600000, .memory = (size_t)256 << 20, .rows = 10000000, .queries = 1000000};
    t->own = script_load(&config, e);
    t->crm = t->own ? script_state_new(scripts, e) : NULL;
    t->state = t->crm ? script_state_new(t->own, e) : NULL;
    t->system = t->state ? principal_system(scripts->catalog, e) : NULL;
    if (!t->system || !read_file(t, testing, e)) return tester_close(t), NULL;
    context_init(&t->context, scripts->catalog, db, t->system, &t->arena, &t->error);
    t->context.hooks = &script_hooks;
    t->context.script = t->crm;
    t->context.automation = true;
    act_as(t, t->system);
    if (!count_rules(t)) return error_no_memory(e), tester_close(t), NULL;
    if (script_run(t->state, &t->context, SCRIPT_JOB, open_body, t, &t->error)) return t;
    error_set(e, ERROR_SCRIPT_ERROR, "%s", "%s", t->error.first ? t->error.first->message : t->error.detail);
    tester_close(t);
    return NULL;
}

void tester_close(struct tester *t)
{
    if (!t) return;
    principal_unref(t->user);
    principal_unref(t->system);
    script_state_free(t->state);
    if (t->crm) free(t->crm->called);
    if (t->crm) t->crm->called = NULL;
    script_state_free(t->crm);
    script_set_unref(t->own);
    free(t->rules);
    free(t->first_rule);
    free(t->buffer);
    arena_free(&t->arena);
    clock_fake(-1);
    free(t);
}

/* ---- running ---- */

static int run_body(lua_State *L)
{
    struct tester *t = lua_touserdata(L, 1);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    lua_getfield(L, -1, "run_tests");
    lua_pushstring(L, t->shown);
    lua_call(L, 1, 2);
    t->totals.passed += (int)lua_tointeger(L, -2);
    t->totals.failed += (int)lua_tointeger(L, -1);
    return 0;
}

bool tester_run(struct tester *t, const char *path, const char *shown, struct tester_totals *totals,
                struct error *e)
{
    if (!read_file(t, path, e)) return false;
    t->shown = shown;
    t->totals = (struct tester_totals){0};
    bool ok = script_run(t->state, &t->context, SCRIPT_JOB, run_body, t, &t->error);
    if (db_in_transaction(t->db)) db_rollback(t->db); /* a test that was stopped */
    trail_forget(t->db);
    totals->passed += t->totals.passed;
    totals->failed += t->totals.failed;
    if (ok) return true;
    return error_set(e, ERROR_SCRIPT_LIMIT, "%s: %s", "%s: %s", shown, t->error.detail);
}

static void tell(struct tester *t, struct place p, const struct place *before, size_t *told)
{
    if (before && before->line == p.line && strcmp(before->file, p.file) == 0)
        return; /* one word, two hooks */
    if (*told == 0) fprintf(t->out, "#   not:");
    if (++*told <= 20) fprintf(t->out, " %s:%d", p.file ? p.file : "?", p.line);
}

static void end_telling(struct tester *t, size_t told)
{
    if (told > 20) fprintf(t->out, " and %zu more", told - 20);
    if (told) fputc('\n', t->out);
}

static size_t hooks_ran(const struct tester *t)
{
    size_t ran = 0;
    for (size_t i = 0; i < t->set->catalog->hook_count; i++)
        ran += t->crm->called[t->set->catalog->hooks[i].fn];
    return ran;
}

void tester_coverage(struct tester *t)
{
    const struct catalog *c = t->set->catalog;
    size_t rules = t->first_rule[c->role_count], asked = 0, told = 0;
    fprintf(t->out, "# hooks: %zu of %zu ran\n", hooks_ran(t), c->hook_count);
    for (size_t i = 0; i < c->hook_count; i++)
        if (!t->crm->called[c->hooks[i].fn])
            tell(t, c->hooks[i].place, i ? &c->hooks[i - 1].place : NULL, &told);
    end_telling(t, told);
    for (size_t i = 0; i < rules; i++)
        asked += t->rules[i];
    fprintf(t->out, "# rules: %zu of %zu were asked\n", asked, rules);
}
