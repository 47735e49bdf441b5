/* bind_merge.c: the part of `crm` that is about the same thing being there twice: saying so with candidates,
 * the caller's reason for going on, and leading references over when two records become one. */
#include "base/id.h"
#include "record/relink.h"
#include "script/state.h"

/* crm.duplicate(message, list of { id =, name =, … }): refuses with "duplicate" and the candidates */
static int crm_duplicate(lua_State *L)
{
    struct context *c = bind_context(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    struct str en, ru;
    if (lua_istable(L, 1)) {
        en = bind_option(L, 1, "en");
        ru = bind_option(L, 1, "ru");
    } else {
        en.p = luaL_checklstring(L, 1, &en.n);
        ru = en;
    }
    if (!en.p || !ru.p) return luaL_error(L, "a message is a text or {en=, ru=}");
    en = bind_clean(c->arena, en, 2000);
    ru = bind_clean(c->arena, ru, 2000);
    const char *candidates = arena_dup(c->arena, bind_json(L, 2));
    error_clear(c->error);
    error_set(c->error, ERROR_DUPLICATE, "%.*s", "%.*s", STR_ARG(c->error->lang == LANG_RU ? ru : en));
    c->error->candidates = candidates;
    return refusal_raise(L, c);
}

/* crm.reason(): why the caller says that they do it, or nil */
static int crm_reason(lua_State *L)
{
    struct context *c = bind_context(L);
    struct str why = str_trim(c->why);
    if (why.n)
        lua_pushlstring(L, why.p, why.n);
    else
        lua_pushnil(L);
    return 1;
}

struct told { /* what was relinked, as a Lua list is built after the work */
    struct arena *arena;
    struct link {
        struct link *next;
        const char *entity, *field;
        int64_t id;
    } * first, *last;
    bool failed;
};

static void note(void *ctx, const struct entity *e, int64_t id, const struct field *f)
{
    struct told *t = ctx;
    struct link *l = arena_alloc(t->arena, sizeof *l);
    if (!l) {
        t->failed = true;
        return;
    }
    *l = (struct link){NULL, e->name, f->name, id};
    if (t->last)
        t->last->next = l;
    else
        t->first = l;
    t->last = l;
}

/* crm.relink(from, to) → list of { entity =, id =, field = } that led to `from` and lead to `to` now */
static int crm_relink(lua_State *L)
{
    struct context *c = bind_query(L);
    struct record *from = bind_record_check(L, 1), *to = bind_record_check(L, 2);
    struct told t = {.arena = c->arena};
    if (from->entity != to->entity || from->id == to->id)
        return luaL_error(L, "crm.relink: two records of one kind expected");
    if (!c->trusted) return luaL_error(L, "crm.relink works inside crm.system only: it asks for no rights");
    if (!db_savepoint(c->db, c->error)) return refusal_raise(L, c);
    bool ok = record_relink(c, from, to, note, &t) && !t.failed;
    if (!ok) {
        db_savepoint_rollback(c->db);
        if (c->error->kind == ERROR_NONE) error_no_memory(c->error);
        return refusal_raise(L, c);
    }
    if (!db_savepoint_release(c->db, c->error)) return refusal_raise(L, c);
    lua_Integer n = 0;
    char id[ID_TEXT + 1];
    lua_newtable(L);
    for (const struct link *l = t.first; l; l = l->next) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, l->entity);
        lua_setfield(L, -2, "entity");
        lua_pushstring(L, l->field);
        lua_setfield(L, -2, "field");
        id_format(l->id, id);
        lua_pushstring(L, id);
        lua_setfield(L, -2, "id");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

void bind_merge_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"duplicate", crm_duplicate}, {"reason", crm_reason}, {"relink", crm_relink}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}
