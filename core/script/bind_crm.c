/* bind_crm.c: the table `crm`: what scripts may do at run time. Everything goes through core/record, with the
 * caller's rights unless inside crm.system; a refused write rolls back to its own savepoint, so a script that
 * catches the refusal leaves nothing half-done. */
#include "base/calendar.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "base/suggest.h"
#include "script/bind_job.h"
#include "store/outbox.h"

#define FIND_MAX 500

static struct context *context(lua_State *L)
{
    struct context *c = state_of(L)->context;
    if (!c) luaL_error(L, "crm functions work at run time, not while scripts are loaded");
    return c;
}

/* One query of the call's allowance. */
static struct context *query(lua_State *L)
{
    struct script_state *s = state_of(L);
    struct context *c = context(L);
    if (--s->queries < 0) {
        s->aborted = ABORT_QUERIES;
        script_check(L);
    }
    return c;
}

static void rows(lua_State *L, int64_t n)
{
    struct script_state *s = state_of(L);
    s->rows -= n;
    if (s->rows >= 0) return;
    s->aborted = ABORT_ROWS;
    script_check(L);
}

/* An error of ours goes on as a Lua error; the kind and entries stay in c->error for the answer unless the
 * script catches it. */
static int refuse(lua_State *L, struct context *c)
{
    luaL_where(L, 1);
    lua_pushstring(L, c->error->detail ? c->error->detail : "refused");
    if (c->error->first) {
        lua_pushfstring(L, " (%s: %s)", c->error->first->pointer ? c->error->first->pointer : "",
                        c->error->first->message);
        lua_concat(L, 3);
    } else
        lua_concat(L, 2);
    return lua_error(L);
}

static const struct entity *entity(lua_State *L, int at)
{
    struct context *c = context(L);
    struct str name;
    name.p = luaL_checklstring(L, at, &name.n);
    const struct entity *e = catalog_entity(c->catalog, name);
    if (e) return e;
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < c->catalog->entity_count; i++)
        suggest_try(&s, str_of(c->catalog->entities[i]->name));
    if (s.best.p) luaL_error(L, "there is no entity \"%s\"; did you mean \"%s\"?", name.p, s.best.p);
    luaL_error(L, "there is no entity \"%s\"", name.p);
    return NULL;
}

/* An id, a record, or the code of a setting. */
static int64_t record_id(lua_State *L, int at, const struct entity *e)
{
    struct context *c = context(L);
    int64_t id;
    if (lua_isuserdata(L, at)) return bind_record_check(L, at)->id;
    struct str text;
    text.p = luaL_checklstring(L, at, &text.n);
    if (e->setting) {
        char *sql = arena_printf(c->arena, "SELECT id FROM %s WHERE %s = ?", e->table, e->code->column);
        struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
        if (!s) return refuse(L, c);
        stmt_bind_text(s, 1, text);
        id = stmt_step(s, c->error) == STEP_ROW ? stmt_int(s, 0) : 0;
        db_release(s);
        if (id) return id;
    }
    return id_parse(text, &id) ? id : 0;
}

/* A record that the caller may read, or nil. */
static int push_readable(lua_State *L, struct context *c, const struct entity *e, int64_t id)
{
    bool allowed = c->trusted || e->setting; /* settings are the words that scripts decide by */
    const struct field *denied = NULL;
    if (!allowed && id &&
        !access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, &allowed, &denied,
                      c->error))
        return refuse(L, c);
    struct record *r = allowed && id ? record_load(c, e, id) : NULL;
    if (!r && c->error->kind == ERROR_NOT_FOUND) error_clear(c->error);
    if (c->error->kind != ERROR_NONE) return refuse(L, c);
    rows(L, 1);
    if (r)
        bind_record_push(L, r, false);
    else
        lua_pushnil(L);
    return 1;
}

static int crm_get(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e = entity(L, 1);
    if (lua_isnil(L, 2)) return lua_pushnil(L), 1;
    return push_readable(L, c, e, record_id(L, 2, e));
}

/* crm.record(id): the record of whatever entity, or nil */
static int crm_record(lua_State *L)
{
    struct context *c = query(L);
    int64_t id;
    const char *name = NULL;
    if (lua_isnil(L, 1)) return lua_pushnil(L), 1;
    if (lua_isuserdata(L, 1)) return lua_settop(L, 1), 1;
    if (id_parse(str_of(luaL_checkstring(L, 1)), &id) && !record_find_any(c, id, &name)) return refuse(L, c);
    const struct entity *e = name ? catalog_entity(c->catalog, str_of(name)) : NULL;
    if (!e) return lua_pushnil(L), 1;
    return push_readable(L, c, e, id);
}

/* ---- find ---- */

static struct str option_text(lua_State *L, int at, const char *name)
{
    struct str s = {NULL, 0};
    if (!lua_istable(L, at)) return s;
    if (lua_getfield(L, at, name) == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n); /* the table keeps it alive */
    lua_pop(L, 1);
    return s;
}

static struct value parameter(lua_State *L, int at, struct context *c)
{
    struct str s;
    int64_t id;
    switch (lua_type(L, at)) {
    case LUA_TNIL: return value_null();
    case LUA_TBOOLEAN: return value_of(VALUE_BOOL, lua_toboolean(L, at));
    case LUA_TNUMBER:
        if (lua_isinteger(L, at)) return value_number(lua_tointeger(L, at), 0);
        return value_number((int64_t)(lua_tonumber(L, at) * 1e6 + (lua_tonumber(L, at) < 0 ? -0.5 : 0.5)), 6);
    case LUA_TSTRING: s.p = lua_tolstring(L, at, &s.n); return value_text(arena_str(c->arena, s));
    case LUA_TUSERDATA: id = bind_record_check(L, at)->id; return value_of(VALUE_ID, id);
    default: luaL_error(L, "a filter's parameter cannot be a %s", luaL_typename(L, at)); return value_null();
    }
}

static size_t parameters(lua_State *L, struct context *c, struct value **out)
{
    *out = NULL;
    if (!lua_istable(L, 3) || lua_getfield(L, 3, "params") != LUA_TTABLE) return 0;
    size_t n = lua_rawlen(L, -1);
    if (n > 100) luaL_error(L, "at most 100 parameters");
    *out = arena_array(c->arena, n + 1, sizeof **out);
    for (size_t i = 0; *out && i < n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i + 1);
        (*out)[i] = parameter(L, lua_gettop(L), c);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return *out ? n : 0;
}

/* crm.find(entity, filter, {sort=, limit=, params={…}}) → list of records */
static int crm_find(lua_State *L)
{
    struct context *c = query(L);
    struct query q = {.entity = entity(L, 1), .limit = 100};
    struct value *params;
    q.filter.p = luaL_optlstring(L, 2, "", &q.filter.n);
    q.sort = option_text(L, 3, "sort");
    q.param_count = parameters(L, c, &params);
    q.params = params;
    if (lua_istable(L, 3)) {
        if (lua_getfield(L, 3, "limit") != LUA_TNIL) q.limit = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    if (q.limit < 1 || q.limit > FIND_MAX) return luaL_error(L, "limit is from 1 to %d", FIND_MAX);
    int64_t *ids;
    size_t n;
    if (!query_ids(c, &q, &ids, &n)) return refuse(L, c);
    rows(L, (int64_t)n);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        struct record *r = record_load(c, q.entity, ids[i]);
        if (!r) return refuse(L, c);
        bind_record_push(L, r, false);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* ---- writing ---- */

struct draft {
    struct value *values;
    const char **any;
    bool *touched;
};

static void read_draft(lua_State *L, struct context *c, const struct entity *e, int at, struct draft *d)
{
    struct record shape = {.entity = e};
    luaL_checktype(L, at, LUA_TTABLE);
    d->values = arena_array(c->arena, e->field_count, sizeof *d->values);
    d->any = arena_array(c->arena, e->field_count, sizeof *d->any);
    d->touched = arena_array(c->arena, e->field_count, sizeof *d->touched);
    if (!d->values || !d->any || !d->touched) luaL_error(L, "not enough memory");
    shape.values = d->values;
    shape.any_entity = d->any;
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        struct str name;
        if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "fields are named by texts");
        name.p = lua_tolstring(L, -2, &name.n);
        const struct field *f = entity_field(e, name);
        if (!f || f->hidden) {
            struct suggest s;
            suggest_start(&s, name);
            for (size_t i = 0; i < e->field_count; i++)
                suggest_try(&s, str_of(e->fields[i]->name));
            if (s.best.p)
                luaL_error(L, "%s has no field \"%s\"; did you mean \"%s\"?", e->name, name.p, s.best.p);
            luaL_error(L, "%s has no field \"%s\"", e->name, name.p);
            continue;
        }
        d->values[f->index] = bind_to_value(L, lua_gettop(L), f, &shape);
        d->touched[f->index] = true;
    }
}

/* Ends a write: releases or rolls back its savepoint; a refusal becomes a Lua error that names it. */
static int finish(lua_State *L, struct context *c, bool ok, struct record *r)
{
    if (ok && db_savepoint_release(c->db, c->error)) {
        if (r) bind_record_push(L, r, false);
        return r ? 1 : 0;
    }
    if (!ok) db_savepoint_rollback(c->db);
    return refuse(L, c);
}

static void start(lua_State *L, struct context *c)
{
    if (c->depth > 8) luaL_error(L, "scripts call each other more than 8 deep");
    /* A refusal that an earlier pcall caught is forgotten. */
    if (c->error->kind != ERROR_NONE) error_clear(c->error);
    if (!db_savepoint(c->db, c->error)) refuse(L, c);
}

/* ---- writing in a job: the writer does it, as a change of its own (job.h) ---- */

static void begin_question(struct buf *b, const struct entity *e, int64_t id)
{
    buf_init(b, 1 << 20);
    json_object(b);
    json_key(b, STR("entity"));
    json_cstr(b, e->name);
    json_key(b, STR("id"));
    json_id(b, id);
}

/* The record as it is now, read again. */
static int written(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    struct context *c = context(L);
    job_push_answer(L);
    if (!lua_istable(L, -1)) return 0;
    lua_getfield(L, -1, "entity");
    lua_getfield(L, -2, "id");
    const struct entity *e = entity(L, lua_gettop(L) - 1);
    return push_readable(L, c, e, record_id(L, lua_gettop(L), e));
}

static int ask_write(lua_State *L, const char *name, const struct entity *e, int64_t id, const char *key,
                     int at)
{
    struct buf b;
    if (key) {
        lua_pushvalue(L, at);
        if (lua_istable(L, -1)) { /* misspelt fields are named before anything is asked */
            struct draft d;
            read_draft(L, context(L), e, lua_gettop(L), &d);
        }
    }
    begin_question(&b, e, id);
    if (key) {
        json_key(&b, str_of(key));
        bind_write_json(L, -1, &b);
    }
    json_end_object(&b);
    return job_ask(L, name, &b, written);
}

int crm_create(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e = entity(L, 1);
    if (job_running(L)) return ask_write(L, "crm.create", e, 0, "fields", 2);
    struct draft d;
    struct record *r = NULL;
    read_draft(L, c, e, 2, &d);
    start(L, c);
    bool ok = record_create(c, e, d.values, d.any, d.touched, &r); /* before finish reads what it made */
    return finish(L, c, ok, r);
}

/* The record as first argument: crm.update(record, {…}), or crm.update("entity", id, {…}). */
static int target(lua_State *L, const struct entity **e, int64_t *id)
{
    if (lua_isuserdata(L, 1)) {
        struct record *r = bind_record_check(L, 1);
        *e = r->entity;
        *id = r->id;
        return 2;
    }
    *e = entity(L, 1);
    *id = record_id(L, 2, *e);
    return 3;
}

static int crm_update(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e;
    int64_t id;
    struct draft d;
    struct record *r = NULL;
    int at = target(L, &e, &id);
    if (job_running(L)) return ask_write(L, "crm.update", e, id, "fields", at);
    read_draft(L, c, e, at, &d);
    start(L, c);
    bool ok =
        record_change(c, e, id, d.values, d.any, d.touched, 0, &r); /* before finish reads what it made */
    return finish(L, c, ok, r);
}

static int crm_move(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e;
    int64_t id;
    struct record *r = NULL;
    int at = target(L, &e, &id);
    struct str stage;
    stage.p = luaL_checklstring(L, at, &stage.n);
    if (job_running(L)) return ask_write(L, "crm.move", e, id, "stage", at);
    start(L, c);
    bool ok = record_move(c, e, id, stage, 0, &r); /* before finish reads what it made */
    return finish(L, c, ok, r);
}

static int crm_remove(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e;
    int64_t id;
    target(L, &e, &id);
    if (job_running(L)) return ask_write(L, "crm.remove", e, id, NULL, 0);
    start(L, c);
    return finish(L, c, record_delete(c, e, id, 0), NULL);
}

static int crm_comment(lua_State *L)
{
    struct context *c = query(L);
    const struct entity *e;
    int64_t id, comment;
    int at = target(L, &e, &id);
    struct str text;
    text.p = luaL_checklstring(L, at, &text.n);
    if (job_running(L)) return ask_write(L, "crm.comment", e, id, "text", at);
    start(L, c);
    return finish(L, c, record_comment(c, e, id, text, &comment), NULL);
}

static int enqueued(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    job_push_answer(L);
    return 0;
}

static int ask_enqueue(lua_State *L, struct str job, struct str args, struct str key, int64_t due)
{
    struct buf b;
    buf_init(&b, (size_t)2 << 20);
    json_object(&b);
    json_key(&b, STR("job"));
    json_str(&b, job);
    json_key(&b, STR("args"));
    json_str(&b, args);
    json_key(&b, STR("key"));
    json_str(&b, key);
    json_key(&b, STR("due"));
    json_int(&b, due);
    json_end_object(&b);
    return job_ask(L, "crm.enqueue", &b, enqueued);
}

/* crm.enqueue(job, args, {at=, key=}): an outbox row in the same transaction. */
static int crm_enqueue(lua_State *L)
{
    struct context *c = query(L);
    struct str job, key = option_text(L, 3, "key"), at = option_text(L, 3, "at");
    job.p = luaL_checklstring(L, 1, &job.n);
    bool known = false;
    for (size_t i = 0; i < c->catalog->job_count; i++)
        known = known || str_is(job, c->catalog->jobs[i].name);
    if (!known) return luaL_error(L, "there is no job \"%s\"", job.p);
    int64_t due = c->env.now, id;
    if (at.p && !calendar_parse_datetime(at, &due))
        return luaL_error(L, "\"at\" is a time such as \"2026-11-23T09:30:00Z\"");
    struct buf b;
    buf_init(&b, 1 << 20);
    if (lua_isnoneornil(L, 2))
        json_object(&b), json_end_object(&b);
    else
        bind_write_json(L, 2, &b);
    struct str args = b.failed ? (struct str){NULL, 0} : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    if (!args.p) return luaL_error(L, "the arguments of a job are at most 1 MiB");
    if (job_running(L)) return ask_enqueue(L, job, args, key, due);
    if (!outbox_add(c->db, job, args, key, due, c->who->id, &id, c->error)) return refuse(L, c);
    return 0;
}

/* ---- refusing ---- */

/* crm.reject(code, message, {field=}) */
static int crm_reject(lua_State *L)
{
    struct str field = option_text(L, 3, "field");
    luaL_checkstring(L, 1);
    lua_createtable(L, 0, 5);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "code");
    lua_pushvalue(L, lua_isnoneornil(L, 2) ? 1 : 2);
    lua_setfield(L, -2, "message");
    if (field.p) {
        lua_pushlstring(L, field.p, field.n);
        lua_setfield(L, -2, "field");
    }
    luaL_where(L, 1);
    lua_pushliteral(L, " ");
    lua_concat(L, 2);
    lua_setfield(L, -2, "place");
    luaL_setmetatable(L, "perigee.reject"); /* a table of a script cannot pass for one */
    return lua_error(L);
}

static int system_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)L;
    (void)status;
    (void)ctx;
    return 1;
}

/* crm.system(reason, f): system rights inside f; logged. */
static int crm_system(lua_State *L)
{
    struct context *c = context(L);
    const char *reason = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    bool trusted = c->trusted;
    luaL_where(L, 1);
    LOG(LOG_INFO, "system rights", log_s("reason", reason), log_s("at", lua_tostring(L, -1)));
    lua_pop(L, 1);
    if (job_running(L)) { /* has them already, and may have to wait inside */
        lua_settop(L, 2);
        lua_callk(L, 0, 1, 0, system_done);
        return 1;
    }
    c->trusted = true;
    lua_pushvalue(L, 2);
    int status = lua_pcall(L, 0, 1, 0);
    c->trusted = trusted;
    return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- small things ---- */

static int crm_now(lua_State *L)
{
    char text[32];
    calendar_format_datetime(context(L)->env.now, text);
    lua_pushstring(L, text);
    return 1;
}

static int crm_today(lua_State *L)
{
    char text[16];
    struct context *c = context(L);
    calendar_format_date(timezone_day(c->env.zone, c->env.now), text);
    lua_pushstring(L, text);
    return 1;
}

static int crm_log(lua_State *L)
{
    enum log_level level;
    struct str text;
    if (!log_level_parse(str_of(luaL_checkstring(L, 1)), &level))
        return luaL_error(L, "the level is debug, info, warn or error");
    text.p = luaL_checklstring(L, 2, &text.n);
    luaL_where(L, 1);
    LOG(level, "script says", log_str("text", text), log_s("at", lua_tostring(L, -1)));
    return 0;
}

static int json_encode(lua_State *L)
{
    struct context *c = context(L);
    struct buf b;
    buf_init(&b, 1 << 20);
    bind_write_json(L, 1, &b);
    struct str text = b.failed ? (struct str){NULL, 0} : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    if (!text.p) return luaL_error(L, "more than 1 MiB of JSON");
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

static int json_decode(lua_State *L)
{
    struct context *c = context(L);
    struct str text;
    struct error mine;
    text.p = luaL_checklstring(L, 1, &text.n);
    error_init(&mine, c->arena, LANG_EN);
    struct json_value *v = json_parse(c->arena, arena_str(c->arena, text), &mine);
    if (!v) return luaL_error(L, "%s", mine.detail);
    bind_push_json(L, v);
    return 1;
}

/* crm.user: the caller, by field name. */
static int crm_index(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "user") != 0)
        return luaL_error(L, "crm has no \"%s\"", luaL_tolstring(L, 2, NULL));
    struct context *c = context(L);
    lua_createtable(L, 0, 4);
    char id[ID_TEXT + 1];
    id_format(c->who->id, id);
    lua_pushstring(L, c->who->id ? id : "");
    lua_setfield(L, -2, "id");
    lua_pushlstring(L, c->who->login.p, c->who->login.n);
    lua_setfield(L, -2, "login");
    lua_pushlstring(L, c->who->name.p, c->who->name.n);
    lua_setfield(L, -2, "name");
    lua_createtable(L, 0, (int)c->who->role_count);
    for (size_t i = 0; i < c->who->role_count; i++) {
        lua_pushboolean(L, 1);
        lua_setfield(L, -2, c->who->roles[i]->code);
    }
    lua_setfield(L, -2, "roles");
    return 1;
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "\"crm\" is read-only");
}

void bind_crm_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", crm_get},
                                         {"record", crm_record},
                                         {"find", crm_find},
                                         {"create", crm_create},
                                         {"update", crm_update},
                                         {"move", crm_move},
                                         {"remove", crm_remove},
                                         {"comment", crm_comment},
                                         {"enqueue", crm_enqueue},
                                         {"reject", crm_reject},
                                         {"system", crm_system},
                                         {"now", crm_now},
                                         {"today", crm_today},
                                         {"log", crm_log},
                                         {"step", crm_step},
                                         {"retry", crm_retry},
                                         {NULL, NULL}};
    static const luaL_Reg json[] = {{"encode", json_encode}, {"decode", json_decode}, {NULL, NULL}};
    luaL_newmetatable(L, "perigee.reject");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "__perigee_reject");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    lua_newuserdatauv(L, 0, 0); /* a face without content: scripts cannot rawset it */
    lua_createtable(L, 0, 4);
    luaL_newlib(L, functions);
    bind_work_open(L);
    lua_pushlightuserdata(L, NULL); /* crm.null: "no value", where nil would leave a field out of a table */
    lua_setfield(L, -2, "null");
    luaL_newlib(L, json);
    lua_setfield(L, -2, "json");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, crm_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}
