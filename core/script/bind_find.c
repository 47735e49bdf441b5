/* bind_find.c: crm.get and crm.find, and what all functions of `crm` share: the context, the allowance of
 * queries, entities, ids and options. */
#include "base/clock.h"
#include "base/id.h"
#include "base/suggest.h"
#include "script/state.h"

#define FIND_MAX 500
#define PARAMS_MAX 100

struct context *bind_context(lua_State *L)
{
    struct context *c = state_of(L)->context;
    if (!c) luaL_error(L, "crm functions work at run time, not while scripts are loaded");
    return c;
}

/* One query of the call's allowance. */
struct context *bind_query(lua_State *L)
{
    struct script_state *s = state_of(L);
    struct context *c = bind_context(L);
    script_check(L);
    if (--s->queries < 0) script_abort(L, ABORT_QUERIES);
    /* A refusal that passed through C alone (a hook that failed below a trusted write) is not this call's. */
    if (c->error->kind != ERROR_NONE) error_clear(c->error);
    return c;
}

static void rows(lua_State *L, int64_t n)
{
    struct script_state *s = state_of(L);
    s->rows -= n;
    if (s->rows < 0) script_abort(L, ABORT_ROWS);
}

const struct entity *bind_entity(lua_State *L, int at)
{
    struct context *c = bind_context(L);
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
int64_t bind_id(lua_State *L, int at, const struct entity *e)
{
    struct context *c = bind_context(L);
    int64_t id;
    const struct record *r = bind_record_test(L, at);
    if (r) return r->id;
    struct str text;
    text.p = luaL_checklstring(L, at, &text.n);
    if (e->setting) {
        char *sql = arena_printf(c->arena, "SELECT id FROM %s WHERE %s = ?", e->table, e->code->column);
        struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
        if (!s) return refusal_raise(L, c);
        stmt_bind_text(s, 1, text);
        id = stmt_step(s, c->error) == STEP_ROW ? stmt_int(s, 0) : 0;
        db_release(s);
        if (id) return id;
    }
    return id_parse(text, &id) ? id : 0;
}

/* A record that the caller may read, or nil. */
int bind_push_readable(lua_State *L, struct context *c, const struct entity *e, int64_t id)
{
    bool allowed = c->trusted || e->setting; /* settings are the words that scripts decide by */
    const struct field *denied = NULL;
    if (!allowed && id &&
        !access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, &allowed, &denied,
                      c->error))
        return refusal_raise(L, c);
    struct record *r = allowed && id ? record_load(c, e, id) : NULL;
    if (!r && c->error->kind == ERROR_NOT_FOUND) error_clear(c->error);
    if (c->error->kind != ERROR_NONE) return refusal_raise(L, c);
    rows(L, 1);
    if (r)
        bind_record_push(L, r, false);
    else
        lua_pushnil(L);
    return 1;
}

int bind_crm_get(lua_State *L)
{
    struct context *c = bind_query(L);
    const struct entity *e = bind_entity(L, 1);
    if (lua_isnil(L, 2)) return lua_pushnil(L), 1;
    return bind_push_readable(L, c, e, bind_id(L, 2, e));
}

/* crm.record(id): the record of whatever entity, or nil */
int bind_crm_record(lua_State *L)
{
    struct context *c = bind_query(L);
    int64_t id;
    const char *name = NULL;
    if (lua_isnil(L, 1)) return lua_pushnil(L), 1;
    if (bind_record_test(L, 1)) return lua_settop(L, 1), 1;
    if (id_parse(str_of(luaL_checkstring(L, 1)), &id) && !record_find_any(c, id, &name))
        return refusal_raise(L, c);
    const struct entity *e = name ? catalog_entity(c->catalog, str_of(name)) : NULL;
    if (!e) return lua_pushnil(L), 1;
    return bind_push_readable(L, c, e, id);
}

/* ---- find ---- */

struct str bind_option(lua_State *L, int at, const char *name)
{
    struct str s = {NULL, 0};
    if (!lua_istable(L, at)) return s;
    lua_pushstring(L, name);
    int type = lua_rawget(L, at);
    if (type == LUA_TSTRING)
        s.p = lua_tolstring(L, -1, &s.n); /* the table keeps it alive */
    else if (type != LUA_TNIL)
        luaL_error(L, "\"%s\" is a text, not a %s", name, luaL_typename(L, -1));
    lua_pop(L, 1);
    return s;
}

void bind_options(lua_State *L, int at, const char *word, const char *known)
{
    if (lua_isnoneornil(L, at)) return;
    luaL_checktype(L, at, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, at); lua_pop(L, 1)) {
        struct suggest s;
        struct str name = {"?", 1}, rest = str_of(known);
        bool found = false;
        if (lua_type(L, -2) == LUA_TSTRING) name.p = lua_tolstring(L, -2, &name.n);
        suggest_start(&s, name);
        while (rest.n) {
            struct str one = str_cut(&rest, ' ');
            found = found || str_eq(one, name);
            suggest_try(&s, one);
        }
        if (found) continue;
        if (s.best.p)
            luaL_error(L, "%s has no option \"%s\"; did you mean \"%s\"?", word, name.p,
                       lua_pushlstring(L, s.best.p, s.best.n));
        luaL_error(L, "%s has no option \"%s\"", word, name.p);
    }
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
    if (!lua_istable(L, 3)) return 0;
    lua_pushliteral(L, "params");
    int type = lua_rawget(L, 3);
    if (type == LUA_TNIL) return lua_pop(L, 1), 0;
    luaL_checktype(L, -1, LUA_TTABLE);
    int list = lua_gettop(L);
    size_t n = lua_rawlen(L, list);
    if (n > PARAMS_MAX) luaL_error(L, "at most %d parameters", PARAMS_MAX);
    *out = arena_array(c->arena, n + 1, sizeof **out);
    if (!*out) luaL_error(L, "not enough memory");
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, list, (lua_Integer)i + 1);
        (*out)[i] = parameter(L, lua_gettop(L), c);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return n;
}

/* The query under what is left of the call's time, so that no filter, however silly, outlives it inside
 * SQLite. */
static bool timed_ids(lua_State *L, struct context *c, struct query *q, int64_t **ids, size_t *n)
{
    const struct script_state *s = state_of(L);
    struct db_budget before = db_budget_tighten(c->db, s->deadline);
    bool ok = query_ids(c, q, ids, n);
    db_budget_restore(c->db, before);
    if (!ok && c->error->kind == ERROR_QUERY_LIMIT && clock_mono() >= s->deadline)
        script_abort(L, ABORT_TIME);
    return ok;
}

/* crm.find(entity, filter, {sort=, limit=, params={…}}) → list of records */
int bind_crm_find(lua_State *L)
{
    struct context *c = bind_query(L);
    struct query q = {.entity = bind_entity(L, 1), .limit = 100};
    struct value *params;
    q.filter.p = luaL_optlstring(L, 2, "", &q.filter.n);
    bind_options(L, 3, "crm.find", "sort limit params");
    q.sort = bind_option(L, 3, "sort");
    q.param_count = parameters(L, c, &params);
    q.params = params;
    if (lua_istable(L, 3)) {
        lua_pushliteral(L, "limit");
        if (lua_rawget(L, 3) != LUA_TNIL) q.limit = luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    if (q.limit < 1 || q.limit > FIND_MAX) return luaL_error(L, "limit is from 1 to %d", FIND_MAX);
    int64_t *ids;
    size_t n;
    if (!timed_ids(L, c, &q, &ids, &n)) return refusal_raise(L, c);
    rows(L, (int64_t)n);
    lua_createtable(L, (int)n, 0);
    for (size_t i = 0; i < n; i++) {
        struct record *r = record_load(c, q.entity, ids[i]);
        if (!r) return refusal_raise(L, c);
        bind_record_push(L, r, false);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}
