/* bind_record.c: a record as scripts see it: fields by name; a misspelt one is an error with a suggestion,
 * never a silent nil. The object is dead after the call in which it was given out. */
#include "base/id.h"
#include "base/suggest.h"
#include "script/state.h"

#define TYPE "perigee.record"

struct bound {
    struct record *record;
    uint64_t call;
    bool writable;
};

static struct bound *check(lua_State *L, int at)
{
    struct bound *b = luaL_testudata(L, at, TYPE);
    if (!b) luaL_typeerror(L, at, "record");
    if (b->call != state_of(L)->call || !state_of(L)->context)
        luaL_error(L, "this record belongs to a call that has ended: read it again");
    return b;
}

static const struct field *find(lua_State *L, const struct entity *e, int at)
{
    struct str name;
    if (lua_type(L, at) != LUA_TSTRING)
        luaL_error(L, "a field is named by a text, not a %s", luaL_typename(L, at));
    name.p = lua_tolstring(L, at, &name.n);
    const struct field *f = entity_field(e, name);
    if (f && !f->hidden) return f;
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < e->field_count; i++)
        suggest_try(&s, str_of(e->fields[i]->name));
    if (s.best.p) luaL_error(L, "%s has no field \"%s\"; did you mean \"%s\"?", e->name, name.p, s.best.p);
    luaL_error(L, "%s has no field \"%s\"", e->name, name.p);
    return NULL;
}

static int get(lua_State *L)
{
    struct bound *b = check(L, 1);
    struct script_state *s = state_of(L);
    struct context *c = s->context;
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "entity") == 0 &&
        !entity_field(b->record->entity, STR("entity"))) {
        lua_pushstring(L, b->record->entity->name);
        return 1;
    }
    const struct field *f = find(L, b->record->entity, 2);
    struct value v = record_get(b->record, f);
    if (f->type == FIELD_FORMULA) {
        struct filter_record path = record_filter(c, b->record);
        if (!path.get(path.ctx, &f, 1, &v, c->error)) return refusal_raise(L, c);
    }
    bind_push_value(L, f, v);
    return 1;
}

static int set(lua_State *L)
{
    struct bound *b = check(L, 1);
    const struct field *f = find(L, b->record->entity, 2);
    if (!b->writable) return luaL_error(L, "this record is read-only here: use crm.update");
    bool fixed =
        (f->system && f->index != SYSTEM_ACTIVE) || f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED;
    if (fixed) return luaL_error(L, "field \"%s\" cannot be written", f->name);
    b->record->values[f->index] = bind_to_value(L, 3, f, b->record);
    return 0;
}

/* Two objects of one record are equal; one of an earlier call equals nothing but itself. */
static int equal(lua_State *L)
{
    const struct bound *a = luaL_testudata(L, 1, TYPE), *b = luaL_testudata(L, 2, TYPE);
    uint64_t now = state_of(L)->call;
    lua_pushboolean(L, a && b && a->call == now && b->call == now && a->record->id == b->record->id);
    return 1;
}

static int text(lua_State *L)
{
    struct bound *b = check(L, 1);
    char id[ID_TEXT + 1];
    id_format(b->record->id, id);
    lua_pushfstring(L, "%s %s", b->record->entity->name, id);
    return 1;
}

void bind_record_open(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__index", get}, {"__newindex", set}, {"__eq", equal}, {"__tostring", text}, {NULL, NULL}};
    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void bind_record_push(lua_State *L, struct record *r, bool writable)
{
    struct bound *b = lua_newuserdatauv(L, sizeof *b, 0);
    *b = (struct bound){r, state_of(L)->call, writable};
    luaL_setmetatable(L, TYPE);
}

struct record *bind_record_test(lua_State *L, int at)
{
    return luaL_testudata(L, at, TYPE) ? check(L, at)->record : NULL;
}

struct record *bind_record_check(lua_State *L, int at)
{
    return check(L, at)->record;
}
