/* hooks.c: the functions of scripts that core/record calls (record.h, struct record_hooks), and declared
 * routes. Each has a body that runs protected, with what it needs and gives in one struct. */
#include "base/id.h"
#include "base/json.h"
#include "script/state.h"

/* Where the changes that a function makes come from, for the log. */
static struct str origin_of(struct context *c, struct place p)
{
    char *text = arena_printf(c->arena, "%s:%d", p.file ? p.file : "", p.line);
    return text ? str_of(text) : STR("");
}

/* "a.lua:3 → b.lua:7": the scripts that run, the outermost first. */
static bool too_deep(struct context *c, const struct script_state *s, struct place place)
{
    char *chain = arena_dup(c->arena, STR(""));
    for (int i = 0; chain && i < s->frame_count; i++)
        chain = arena_printf(c->arena, "%s%s:%d → ", chain, s->frames[i].file, s->frames[i].line);
    error_set(c->error, ERROR_SCRIPT_ERROR, "scripts call each other more than %d deep: %s%s:%d",
              "сценарии вызывают друг друга глубже %d раз: %s%s:%d", SCRIPT_DEPTH_MAX, chain ? chain : "",
              place.file, place.line);
    c->error->file = place.file;
    c->error->line = place.line;
    return false;
}

static bool run(struct context *c, struct place place, enum script_kind kind, lua_CFunction body, void *data)
{
    struct script_state *s = c->script;
    struct str origin = c->origin;
    if (!place.file) place.file = "";
    if (s->frame_count == SCRIPT_DEPTH_MAX) return too_deep(c, s, place);
    s->frames[s->frame_count++] = place;
    c->depth++;
    c->origin = origin_of(c, place);
    bool ok = script_run(s, c, kind, body, data, c->error);
    c->depth--;
    c->origin = origin;
    s->frame_count--;
    return ok;
}

struct job_call {
    script_fn fn;
    struct record *record, *other;
    const struct field *field;
    const struct json_value *json;
    struct str text;
    bool writable;
    struct buf *out;
    const char *message;
    int64_t user;
    const char *method;
    struct str path, query;
    int status;
};

static struct job_call *enter(lua_State *L)
{
    struct job_call *j = lua_touserdata(L, 1);
    script_push_fn(L, j->fn);
    return j;
}

static struct record *constant(const struct record *r)
{
    return (struct record *)(uintptr_t)r; /* pushed read-only */
}

/* ---- hooks, gates, finished tasks: f(record, other or text) ---- */

static int two_records(lua_State *L)
{
    struct job_call *j = enter(L);
    bind_record_push(L, j->record, j->writable);
    if (j->other)
        bind_record_push(L, j->other, false);
    else if (j->text.n)
        lua_pushlstring(L, j->text.p, j->text.n);
    else
        lua_pushnil(L);
    lua_call(L, 2, 0);
    return 0;
}

static bool hook(struct context *c, const struct hook *h, struct record *now, const struct record *before)
{
    struct job_call j = {.fn = h->fn, .record = now, .other = constant(before)};
    j.writable = h->point == HOOK_BEFORE_CREATE || h->point == HOOK_BEFORE_CHANGE;
    return run(c, h->place, SCRIPT_HOOK, two_records, &j);
}

/* A refusal of a gate becomes ERROR_GATE_REFUSED, with its entry. on_enter and on_leave come here too. */
static bool gate(struct context *c, const struct stage_decl *s, script_fn fn, struct record *r,
                 struct str from)
{
    struct job_call j = {.fn = fn, .record = r, .text = from};
    if (run(c, s->place, SCRIPT_HOOK, two_records, &j)) return true;
    if (c->error->kind == ERROR_REJECTED && fn == s->gate) c->error->kind = ERROR_GATE_REFUSED;
    return false;
}

static bool done(struct context *c, script_fn fn, struct record *task, struct record *record)
{
    struct job_call j = {.fn = fn, .record = task, .other = record};
    return run(c, (struct place){0}, SCRIPT_HOOK, two_records, &j);
}

/* ---- validation: f(value, record) → nil, or what is wrong: a text or {en=, ru=} ---- */

static int validate_body(lua_State *L)
{
    struct job_call *j = enter(L);
    struct context *c = state_of(L)->context;
    bind_push_value(L, j->field, j->record->values[j->field->index]);
    bind_record_push(L, j->record, false);
    lua_call(L, 2, 1);
    if (lua_istable(L, -1) && lua_getfield(L, -1, lang_code(c->error->lang)) == LUA_TNIL) {
        lua_pop(L, 1);
        lua_getfield(L, -1, "en");
    }
    if (lua_isnil(L, -1)) return 0;
    struct str text;
    if (lua_type(L, -1) != LUA_TSTRING)
        return luaL_error(L, "validate gives nil, or what is wrong: a text or {en=, ru=}");
    text.p = lua_tolstring(L, -1, &text.n);
    j->message = bind_clean(c->arena, text, 2000).p;
    return 0;
}

static bool validate(struct context *c, const struct field *f, const struct record *r, const char **message)
{
    struct job_call j = {.fn = f->validate, .record = constant(r), .field = f};
    bool ok = run(c, f->place, SCRIPT_HOOK, validate_body, &j);
    *message = j.message;
    return ok;
}

/* ---- computed fields: f(record) → value ---- */

static int computed_body(lua_State *L)
{
    struct job_call *j = enter(L);
    bind_record_push(L, j->record, false);
    lua_call(L, 1, 1);
    struct str json = bind_json(L, -1);
    json_raw(j->out, json);
    return 0;
}

static bool computed(struct context *c, const struct field *f, const struct record *r, struct buf *json)
{
    struct job_call j = {.fn = f->computed, .record = constant(r), .out = json};
    return run(c, f->place, SCRIPT_COMPUTED, computed_body, &j);
}

/* ---- assignees: f(record) → id of a user, or a record ---- */

static int assignee_body(lua_State *L)
{
    struct job_call *j = enter(L);
    bind_record_push(L, j->record, false);
    lua_call(L, 1, 1);
    const struct record *user = bind_record_test(L, -1);
    if (user)
        j->user = user->id;
    else if (!lua_isnil(L, -1) &&
             (lua_type(L, -1) != LUA_TSTRING || !id_parse(str_of(lua_tostring(L, -1)), &j->user)))
        return luaL_error(L, "an assignee is the id of a user, a record, or nil");
    return 0;
}

static bool assignee(struct context *c, script_fn fn, const struct record *r, int64_t *user)
{
    struct job_call j = {.fn = fn, .record = constant(r)};
    bool ok = run(c, (struct place){0}, SCRIPT_HOOK, assignee_body, &j);
    *user = j.user;
    return ok;
}

/* ---- actions: f(record, args) ---- */

static int action_body(lua_State *L)
{
    struct job_call *j = enter(L);
    bind_record_push(L, j->record, true);
    if (j->json && j->json->type == JSON_OBJECT)
        bind_push_json(L, j->json);
    else
        lua_newtable(L);
    lua_call(L, 2, 0);
    return 0;
}

static bool action(struct context *c, const struct action_decl *a, struct record *r,
                   const struct json_value *args)
{
    struct job_call j = {.fn = a->fn, .record = r, .json = args};
    return run(c, a->place, SCRIPT_ACTION, action_body, &j);
}

const struct record_hooks script_hooks = {hook, validate, computed, gate, assignee, done, action};

/* ---- routes: f{method, path, query, body} → body, or body and status ---- */

static void set_str(lua_State *L, const char *name, struct str s)
{
    lua_pushlstring(L, s.p ? s.p : "", s.n);
    lua_setfield(L, -2, name);
}

static int route_body(lua_State *L)
{
    struct job_call *j = enter(L);
    lua_createtable(L, 0, 4);
    set_str(L, "method", str_of(j->method));
    set_str(L, "path", j->path);
    set_str(L, "query", j->query);
    if (j->json) {
        bind_push_json(L, j->json);
        lua_setfield(L, -2, "body");
    }
    lua_call(L, 1, 2);
    j->status = lua_isinteger(L, -1) ? (int)lua_tointeger(L, -1) : 200;
    if (j->status < 200 || j->status > 599) return luaL_error(L, "a route's status is from 200 to 599");
    struct str json = bind_json(L, -2);
    json_raw(j->out, json);
    return 0;
}

bool script_route(struct context *c, const struct route *r, const char *method, struct str path,
                  struct str query, const struct json_value *body, int *status, struct buf *out)
{
    struct job_call j = {
        .fn = r->fn, .method = method, .path = path, .query = query, .json = body, .out = out};
    bool ok = run(c, r->place, SCRIPT_ROUTE, route_body, &j);
    *status = j.status;
    return ok;
}
