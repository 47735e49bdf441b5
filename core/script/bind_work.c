/* bind_work.c: the part of `crm` that is about people and work: who the caller is to the script, whom work
 * goes to, working days, notifications, and figures. */
#include "base/calendar.h"
#include "base/id.h"
#include "base/text.h"
#include "record/assign.h"
#include "record/plan.h"
#include "record/query.h"
#include "script/bind_job.h"
#include "script/state.h"

static struct str option(lua_State *L, int at, const char *name, struct arena *arena)
{
    struct str s = {"", 0};
    if (!lua_istable(L, at)) return s;
    if (lua_getfield(L, at, name) == LUA_TSTRING) {
        s.p = lua_tolstring(L, -1, &s.n);
        s = arena_str(arena, s);
    }
    lua_pop(L, 1);
    if (!s.p) luaL_error(L, "not enough memory");
    return s;
}

/* crm.has_role("a", "b"): the caller has one of them, or may do everything; true with system rights. */
static int crm_has_role(lua_State *L)
{
    struct context *c = bind_context(L);
    bool yes = c->trusted || c->who->all_write;
    for (int i = 1; i <= lua_gettop(L) && !yes; i++)
        yes = principal_has_role(c->who, str_of(luaL_checkstring(L, i)));
    lua_pushboolean(L, yes);
    return 1;
}

/* crm.trusted(): this runs with system rights. */
static int crm_trusted(lua_State *L)
{
    lua_pushboolean(L, bind_context(L)->trusted);
    return 1;
}

/* crm.pick("lead", "responsible", { role=, group=, direction=, pick = "round_robin" | "least_busy", open =
 * filter }) → id of a user, or nil */
static int crm_pick(lua_State *L)
{
    struct context *c = bind_query(L);
    const struct entity *e = bind_entity(L, 1);
    const struct field *f = entity_field(e, str_of(luaL_checkstring(L, 2)));
    luaL_checktype(L, 3, LUA_TTABLE);
    if (!f || f->to != c->catalog->user)
        return luaL_error(L, "crm.pick: %s has no field \"%s\" for a user", e->name, lua_tostring(L, 2));
    struct str how = option(L, 3, "pick", c->arena);
    struct assign_rule rule = {.role = option(L, 3, "role", c->arena),
                               .group = option(L, 3, "group", c->arena),
                               .direction = option(L, 3, "direction", c->arena),
                               .round_robin = str_is(how, "round_robin")};
    if (how.n && !rule.round_robin && !str_is(how, "least_busy"))
        return luaL_error(L, "crm.pick: pick is \"round_robin\" or \"least_busy\", not \"%s\"", how.p);
    int64_t user;
    if (!assign_pick(c, &rule, e, f, option(L, 3, "open", c->arena), &user)) return refusal_raise(L, c);
    char text[ID_TEXT + 1];
    if (!user) return lua_pushnil(L), 1;
    id_format(user, text);
    lua_pushstring(L, text);
    return 1;
}

/* crm.workday("2026-11-23" or an instant, n): n working days later, of the same kind */
static int crm_workday(lua_State *L)
{
    struct context *c = bind_query(L);
    struct str text = str_of(luaL_checkstring(L, 1));
    lua_Integer n = luaL_checkinteger(L, 2);
    int64_t at;
    char out[32];
    if (n < 0 || n > 10000) return luaL_error(L, "crm.workday: from 0 to 10000 days");
    bool date = calendar_parse_date(text, &at);
    if (date)
        at = timezone_day_start(c->env.zone, at);
    else if (!calendar_parse_datetime(text, &at))
        return luaL_error(L, "crm.workday: \"%s\" is neither a date nor a time", text.p);
    if (!workday_add(c, at, n, &at)) return refusal_raise(L, c);
    if (date)
        calendar_format_date(timezone_day(c->env.zone, at), out);
    else
        calendar_format_datetime(at, out);
    lua_pushstring(L, out);
    return 1;
}

/* crm.text(value, "ru"): a localized text (or a plain one) in that language, else in the caller's */
static int crm_text(lua_State *L)
{
    struct context *c = bind_context(L);
    enum lang lang = c->env.lang;
    struct str text;
    if (lua_isnoneornil(L, 1)) return lua_pushliteral(L, ""), 1;
    text.p = luaL_checklstring(L, 1, &text.n);
    if (!lua_isnoneornil(L, 2)) lang_parse(str_of(luaL_checkstring(L, 2)), &lang);
    struct error ignored;
    error_init(&ignored, c->arena, LANG_EN);
    struct json_value *v =
        text.n && text.p[0] == '{' ? json_parse(c->arena, arena_str(c->arena, text), &ignored) : NULL;
    const struct json_value *m = v ? json_member(v, str_of(lang_code(lang))) : NULL;
    if (v && !m) m = v->first;
    if (m && m->type == JSON_STRING) text = m->text;
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* crm.fold("Ёлка") → "елка": the text as searches compare it */
static int crm_fold(lua_State *L)
{
    struct context *c = bind_context(L);
    struct str text;
    struct buf b;
    text.p = luaL_checklstring(L, 1, &text.n);
    buf_init(&b, 1 << 20);
    text_fold(&b, text);
    struct str out = b.failed ? (struct str){NULL, 0} : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    if (!out.p) return luaL_error(L, "the text is too long");
    lua_pushlstring(L, out.p, out.n);
    return 1;
}

/* crm.filter_problem("opportunity", "amout > 1") → nil, or a code ("no_such_entity", "bad_filter") and words
 */
static int crm_filter_problem(lua_State *L)
{
    struct context *c = bind_context(L);
    const struct entity *e = catalog_entity(c->catalog, str_of(luaL_checkstring(L, 1)));
    struct str text = {"", 0};
    if (!lua_isnoneornil(L, 2)) text.p = luaL_checklstring(L, 2, &text.n);
    struct error mine;
    error_init(&mine, c->arena, c->error->lang);
    if (!e)
        error_set(&mine, ERROR_NOT_FOUND, "there is no such kind of record", "нет такого вида записей");
    else if (str_trim(text).n)
        filter_parse(c->arena, c->catalog, e, arena_str(c->arena, text), "filter", NULL, 0, NULL, &mine);
    if (mine.kind == ERROR_NONE) return lua_pushnil(L), 1;
    lua_pushstring(L, e ? "bad_filter" : "no_such_entity");
    lua_pushstring(L, mine.first ? mine.first->message : mine.detail ? mine.detail : "");
    return 2;
}

/* ---- other people ---- */

static int64_t user_at(lua_State *L, int at)
{
    int64_t id = 0;
    const struct record *r = bind_record_test(L, at);
    if (r) return r->id;
    if (!id_parse(str_of(luaL_checkstring(L, at)), &id)) luaL_error(L, "a user is a record or an id");
    return id;
}

static bool user_may(struct context *c, int64_t user, enum action_kind action, const struct record *r,
                     bool *yes)
{
    const struct field *denied;
    *yes = false;
    struct principal *p = plan_person(c, user);
    if (!p && c->error->kind == ERROR_NOT_FOUND) return error_clear(c->error), true;
    if (!p) return false;
    struct filter_env env = p->env;
    env.now = c->env.now;
    bool ok = !p->active ||
              access_check(c->db, p, r->entity, r->id, action, NULL, &env, c->arena, yes, &denied, c->error);
    principal_unref(p);
    return ok;
}

/* crm.can(user, "read", record): may that user do it? */
static int crm_can(lua_State *L)
{
    struct context *c = bind_query(L);
    int64_t user = user_at(L, 1);
    const char *name = luaL_checkstring(L, 2);
    struct record *r = bind_record_check(L, 3);
    bool yes;
    for (enum action_kind a = ACTION_CREATE; a < ACTION_KIND_COUNT; a++)
        if (strcmp(action_kind_name(a), name) == 0) {
            if (!user_may(c, user, a, r, &yes)) return refusal_raise(L, c);
            lua_pushboolean(L, yes);
            return 1;
        }
    return luaL_error(L, "crm.can: create, read, update or delete, not \"%s\"", name);
}

static bool set_contains(struct context *c, struct value set, struct str word)
{
    struct json_value *all = set.type == VALUE_SET && set.s.n ? json_parse(c->arena, set.s, c->error) : NULL;
    for (struct json_value *i = all ? all->first : NULL; i; i = i->next)
        if (str_eq(i->text, word)) return true;
    return false;
}

/* Switched off, inactive, or their own doing: then nothing is told. */
static bool wants(struct context *c, int64_t user, struct str kind, bool *yes)
{
    *yes = false;
    struct record *u = record_load(c, c->catalog->user, user);
    if (!u && c->error->kind == ERROR_NOT_FOUND) return error_clear(c->error), true;
    if (!u) return false;
    const struct field *muted = entity_field(c->catalog->user, STR("muted"));
    *yes = u->values[SYSTEM_ACTIVE].i != 0 && user != c->who->id &&
           !(muted && set_contains(c, u->values[muted->index], kind));
    return true;
}

static void set_text(lua_State *L, const char *name, struct str text)
{
    lua_pushlstring(L, text.p, text.n);
    lua_setfield(L, -2, name);
}

/* crm.notify(user, text or {en=, ru=}, { kind=, record= }): a notification in the application. A user is not
 * told what they did themselves, what they switched off, or of what they may not read. */
static int crm_notify(lua_State *L)
{
    struct context *c = bind_query(L);
    const struct entity *e = catalog_entity(c->catalog, STR("notification"));
    if (!e) return luaL_error(L, "there is no entity \"notification\"");
    int64_t user = user_at(L, 1);
    struct str kind = option(L, 3, "kind", c->arena);
    if (!kind.n) kind = STR("other");
    struct record *about = NULL;
    if (lua_istable(L, 3) && lua_getfield(L, 3, "record") == LUA_TUSERDATA) about = bind_record_check(L, -1);
    bool yes;
    if (!wants(c, user, kind, &yes)) return refusal_raise(L, c);
    if (yes && about && !user_may(c, user, ACTION_READ, about, &yes)) return refusal_raise(L, c);
    if (!yes) return 0;
    char id[ID_TEXT + 1];
    lua_settop(L, 3);
    lua_pushliteral(L, "notification");
    lua_createtable(L, 0, 5);
    id_format(user, id);
    set_text(L, "user", str_of(id));
    set_text(L, "kind", kind);
    id_format(c->who->id, id);
    if (c->who->id) set_text(L, "by", str_of(id));
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "text");
    id_format(about ? about->id : 0, id);
    if (about) set_text(L, "record", str_of(id));
    lua_replace(L, 2);
    lua_replace(L, 1);
    lua_settop(L, 2);
    if (job_running(L)) return crm_create(L); /* the writer does it, and the job waits */
    bool trusted = c->trusted;
    c->trusted = true;
    lua_pushcfunction(L, crm_create);
    lua_insert(L, 1);
    int status = lua_pcall(L, 2, 0, 0);
    c->trusted = trusted;
    protect_status(L, status);
    return status == LUA_OK ? 0 : lua_error(L);
}

/* ---- figures ---- */

static struct str figures(lua_State *L, struct context *c)
{
    struct query q = {.entity = bind_entity(L, 1), .filter = option(L, 2, "filter", c->arena), .limit = 100};
    struct aggregate a = {.group_by = option(L, 2, "group_by", c->arena),
                          .sum = option(L, 2, "sum", c->arena),
                          .avg = option(L, 2, "avg", c->arena),
                          .min = option(L, 2, "min", c->arena),
                          .max = option(L, 2, "max", c->arena),
                          .count = true};
    struct str *texts[] = {&q.filter, &a.group_by, &a.sum, &a.avg, &a.min, &a.max};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!texts[i]->n) texts[i]->p = NULL; /* not given */
    if (lua_getfield(L, 2, "at_least") != LUA_TNIL) a.at_least = luaL_checkinteger(L, -1);
    lua_pop(L, 1);
    struct buf b;
    buf_init(&b, 8 << 20);
    bool ok = query_aggregate(c, &q, &a, &b);
    struct str out = ok && !b.failed ? arena_str(c->arena, buf_view(&b)) : (struct str){NULL, 0};
    buf_free(&b);
    return out;
}

/* crm.aggregate(entity, { group_by=, filter=, sum=, avg=, min=, max=, at_least= }) → list of { key = {…},
 * count =, sum = {…} } under the caller's rights */
static int crm_aggregate(lua_State *L)
{
    struct context *c = bind_query(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct str text = figures(L, c);
    if (!text.p) return refusal_raise(L, c);
    struct json_value *v = json_parse(c->arena, text, c->error);
    const struct json_value *groups = v ? json_member(v, STR("groups")) : NULL;
    if (!groups) return refusal_raise(L, c);
    bind_push_json(L, groups);
    return 1;
}

void bind_work_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"has_role", crm_has_role},
                                         {"trusted", crm_trusted},
                                         {"pick", crm_pick},
                                         {"workday", crm_workday},
                                         {"fold", crm_fold},
                                         {"filter_problem", crm_filter_problem},
                                         {"text", crm_text},
                                         {"can", crm_can},
                                         {"notify", crm_notify},
                                         {"aggregate", crm_aggregate},
                                         {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
