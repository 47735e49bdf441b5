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

#define LOG_TEXT_MAX 4096

/* ---- writing ---- */

/* Writing belongs into what runs in the writer's transaction: not into computed fields and routes that read.
 */
static void need_writer(lua_State *L, struct context *c)
{
    if (!db_in_write(c->db))
        luaL_error(
            L, "this script runs while reading: only hooks, actions, jobs and routes other than GET write");
}

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
    return refusal_raise(L, c);
}

static void start(lua_State *L, struct context *c)
{
    need_writer(L, c);
    if (!db_savepoint(c->db, c->error)) refusal_raise(L, c);
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
    struct context *c = bind_context(L);
    job_push_answer(L);
    if (!lua_istable(L, -1)) return 0;
    lua_getfield(L, -1, "entity");
    lua_getfield(L, -2, "id");
    const struct entity *e = bind_entity(L, lua_gettop(L) - 1);
    return bind_push_readable(L, c, e, bind_id(L, lua_gettop(L), e));
}

static int ask_write(lua_State *L, const char *name, const struct entity *e, int64_t id, const char *key,
                     int at)
{
    struct buf b;
    struct str value = {NULL, 0};
    if (key) {
        lua_pushvalue(L, at);
        if (lua_istable(L, -1)) { /* misspelt fields are named before anything is asked */
            struct draft d;
            read_draft(L, bind_context(L), e, lua_gettop(L), &d);
        }
        value = bind_json(L, -1); /* may raise: before the buffer is there */
    }
    begin_question(&b, e, id);
    if (key) {
        json_key(&b, str_of(key));
        json_raw(&b, value);
    }
    json_end_object(&b);
    return job_ask(L, name, &b, written);
}

int crm_create(lua_State *L)
{
    struct context *c = bind_query(L);
    const struct entity *e = bind_entity(L, 1);
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
    const struct record *r = bind_record_test(L, 1);
    if (r) {
        *e = r->entity;
        *id = r->id;
        return 2;
    }
    *e = bind_entity(L, 1);
    *id = bind_id(L, 2, *e);
    return 3;
}

static int crm_update(lua_State *L)
{
    struct context *c = bind_query(L);
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
    struct context *c = bind_query(L);
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
    struct context *c = bind_query(L);
    const struct entity *e;
    int64_t id;
    target(L, &e, &id);
    if (job_running(L)) return ask_write(L, "crm.remove", e, id, NULL, 0);
    start(L, c);
    return finish(L, c, record_delete(c, e, id, 0), NULL);
}

static int crm_comment(lua_State *L)
{
    struct context *c = bind_query(L);
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
    struct context *c = bind_query(L);
    bind_options(L, 3, "crm.enqueue", "at key");
    struct str job, key = bind_option(L, 3, "key"), at = bind_option(L, 3, "at");
    job.p = luaL_checklstring(L, 1, &job.n);
    struct suggest near;
    bool known = false;
    suggest_start(&near, job);
    for (size_t i = 0; i < c->catalog->job_count; i++) {
        known = known || str_is(job, c->catalog->jobs[i].name);
        suggest_try(&near, str_of(c->catalog->jobs[i].name));
    }
    if (!known && near.best.p)
        return luaL_error(L, "there is no job \"%s\"; did you mean \"%s\"?", job.p, near.best.p);
    if (!known) return luaL_error(L, "there is no job \"%s\"", job.p);
    int64_t due = c->env.now, id;
    if (at.p && !calendar_parse_datetime(at, &due))
        return luaL_error(L, "\"at\" is a time such as \"2026-11-23T09:30:00Z\"");
    struct str args = STR("{}");
    if (!lua_isnoneornil(L, 2)) args = arena_str(c->arena, bind_json(L, 2));
    if (!args.p) return luaL_error(L, "not enough memory");
    if (job_running(L)) return ask_enqueue(L, job, args, key, due);
    need_writer(L, c);
    if (!outbox_add(c->db, job, args, key, due, c->who->id, &id, c->error)) return refusal_raise(L, c);
    return 0;
}

/* ---- refusing ---- */

static bool good_code(struct str s)
{
    if (s.n == 0 || s.n > 60) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!(s.p[i] >= 'a' && s.p[i] <= 'z') && !(s.p[i] >= '0' && s.p[i] <= '9') && s.p[i] != '_')
            return false;
    return s.p[0] >= 'a' && s.p[0] <= 'z';
}

/* A message is a text, or {en=, ru=}: that of the caller's language. */
static struct str message(lua_State *L, int at, struct context *c)
{
    struct str text = {NULL, 0};
    if (lua_istable(L, at)) {
        text = bind_option(L, at, lang_code(c->error->lang));
        if (!text.p) text = bind_option(L, at, "en");
        if (!text.p) text = bind_option(L, at, "ru");
    } else
        text.p = luaL_checklstring(L, at, &text.n);
    if (!text.p) luaL_error(L, "a message is a text or {en=, ru=}");
    return bind_clean(c->arena, text, 2000);
}

/* crm.reject(code, message, {field=}) */
static int crm_reject(lua_State *L)
{
    struct context *c = bind_context(L);
    struct script_state *s = state_of(L);
    struct str code, field;
    code.p = luaL_checklstring(L, 1, &code.n);
    if (!good_code(code))
        return luaL_error(L, "a code is made of small letters, digits and _, not \"%s\"", code.p);
    bind_options(L, 3, "reject", "field");
    field = bind_option(L, 3, "field");
    struct str text = lua_isnoneornil(L, 2) ? code : message(L, 2, c);
    const char *kept = arena_dup(c->arena, code);
    char *pointer =
        field.p ? arena_printf(c->arena, "/%.*s", STR_ARG(bind_clean(c->arena, field, 200))) : NULL;
    error_clear(c->error);
    script_spot_here(L);
    struct error_entry *entry =
        error_add(c->error, pointer, kept ? kept : "rejected", "%.*s", "%.*s", STR_ARG(text));
    if (s->spot.line) entry->file = arena_dup(c->arena, str_of(s->spot.file));
    entry->line = s->spot.line;
    error_set(c->error, ERROR_REJECTED, "%.*s", "%.*s", STR_ARG(text));
    return refusal_raise(L, c);
}

static int system_done(lua_State *L, int status, lua_KContext ctx)
{
    (void)status;
    (void)ctx;
    return lua_gettop(L) - 1;
}

/* crm.system(reason, f): system rights inside f; logged. f cannot yield out of it: this is a call of C. */
static int crm_system(lua_State *L)
{
    struct context *c = bind_context(L);
    struct script_state *s = state_of(L);
    struct str reason;
    reason.p = luaL_checklstring(L, 1, &reason.n);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    if (str_trim(reason).n == 0)
        return luaL_error(L, "crm.system needs a reason: it is written into the log");
    bool trusted = c->trusted;
    script_spot_here(L);
    LOG(LOG_INFO, "system rights", log_str("reason", bind_clean(c->arena, reason, 500)),
        log_s("file", s->spot.file), log_i("line", s->spot.line), log_str("request", c->request),
        log_str("user", c->who->login));
    lua_settop(L, 2);
    if (job_running(L)) { /* has them already, and may have to wait inside */
        lua_callk(L, 0, LUA_MULTRET, 0, system_done);
        return lua_gettop(L) - 1;
    }
    c->trusted = true;
    int status = lua_pcall(L, 0, LUA_MULTRET, 0);
    c->trusted = trusted;
    protect_status(L, status);
    return status == LUA_OK ? lua_gettop(L) - 1 : lua_error(L);
}

/* ---- small things ---- */

static int crm_now(lua_State *L)
{
    char text[32];
    calendar_format_datetime(bind_context(L)->env.now, text);
    lua_pushstring(L, text);
    return 1;
}

static int crm_today(lua_State *L)
{
    char text[16];
    struct context *c = bind_context(L);
    calendar_format_date(timezone_day(c->env.zone, c->env.now), text);
    lua_pushstring(L, text);
    return 1;
}

/* crm.log(level, message, fields) */
static int crm_log(lua_State *L)
{
    struct script_state *s = state_of(L);
    struct context *c = bind_context(L);
    enum log_level level;
    struct str text, fields = {NULL, 0};
    if (!log_level_parse(str_of(luaL_checkstring(L, 1)), &level))
        return luaL_error(L, "the level is debug, info, warn or error");
    text.p = luaL_checklstring(L, 2, &text.n);
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        fields = bind_json(L, 3);
    }
    if (s->log_lines <= 0) return 0;
    if (--s->log_lines == 0) text = STR("more lines of this call are not written");
    script_spot_here(L);
    LOG(level, "script says", log_str("text", bind_clean(c->arena, text, LOG_TEXT_MAX)),
        log_str("fields", fields.p ? bind_clean(c->arena, fields, LOG_TEXT_MAX) : STR("")),
        log_s("file", s->spot.file), log_i("line", s->spot.line), log_str("request", c->request));
    return 0;
}

static int json_encode(lua_State *L)
{
    struct str text = bind_json(L, 1);
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

static int json_decode(lua_State *L)
{
    struct context *c = bind_context(L);
    struct str text;
    struct error mine;
    text.p = luaL_checklstring(L, 1, &text.n);
    error_init(&mine, c->arena, LANG_EN);
    struct str kept = arena_str(c->arena, text);
    struct json_value *v = kept.p ? json_parse(c->arena, kept, &mine) : NULL;
    if (!v) return luaL_error(L, "%s", mine.detail ? mine.detail : "not enough memory");
    bind_push_json(L, v);
    return 1;
}

/* crm.json.list{…}: written as a list even when it is empty. */
static int json_list(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) lua_settop(L, 0), lua_newtable(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_setmetatable(L, "perigee.list");
    return 1;
}

/* crm.t{en=, ru=}: the text in the caller's language. (Keys of locale/ are looked up by scripts/start.lua.)
 */
static int crm_t(lua_State *L)
{
    struct context *c = bind_context(L);
    struct str text = message(L, 1, c);
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* The table of functions is at 1. */
static int unknown_member(lua_State *L)
{
    struct suggest s;
    struct str name;
    name.p = luaL_tolstring(L, 2, &name.n);
    suggest_start(&s, name);
    suggest_try(&s, STR("user"));
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        struct str known;
        known.p = lua_tolstring(L, -2, &known.n);
        suggest_try(&s, known);
    }
    if (s.best.p) return luaL_error(L, "crm has no \"%s\"; did you mean \"%s\"?", name.p, s.best.p);
    return luaL_error(L, "crm has no \"%s\"", name.p);
}

/* crm.user: the caller, by field name. */
static int crm_index(lua_State *L)
{
    if (lua_type(L, 2) != LUA_TSTRING || strcmp(lua_tostring(L, 2), "user") != 0) return unknown_member(L);
    struct context *c = bind_context(L);
    lua_createtable(L, 0, 4);
    char id[ID_TEXT + 1];
    id_format(c->who->id, id);
    lua_pushstring(L, c->who->id ? id : "");
    lua_setfield(L, -2, "id");
    lua_pushlstring(L, c->who->login.p, c->who->login.n);
    lua_setfield(L, -2, "login");
    lua_pushlstring(L, c->who->name.p, c->who->name.n);
    lua_setfield(L, -2, "name");
    if (c->who->env.my_company) { /* partner staff */
        id_format(c->who->env.my_company, id);
        lua_pushstring(L, id);
        lua_setfield(L, -2, "partner");
    }
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

static int json_read_only(lua_State *L)
{
    return luaL_error(L, "\"crm.json\" is read-only");
}

/* A face without content whose metatable finds `content` (on top of the stack): scripts cannot rawset it. */
static void seal(lua_State *L, lua_CFunction refuse)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 3);
    lua_rotate(L, -3, -1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void bind_crm_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"get", bind_crm_get},
                                         {"find", bind_crm_find},
                                         {"record", bind_crm_record},
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
                                         {"t", crm_t},
                                         {NULL, NULL}};
    static const luaL_Reg json[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"list", json_list}, {NULL, NULL}};
    luaL_newmetatable(L, "perigee.list");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "__jsonlist");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
    luaL_newlib(L, functions);
    bind_work_open(L);
    bind_merge_open(L);
    lua_pushlightuserdata(L, NULL); /* crm.null: "no value", where nil would leave a field out of a table */
    lua_setfield(L, -2, "null");
    luaL_newlib(L, json);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    seal(L, json_read_only);
    lua_setfield(L, -2, "json");
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, crm_index);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    seal(L, read_only);
}
