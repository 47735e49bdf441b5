/* refusal.c: an error of ours (a refused write, crm.reject) on its way through Lua. A script that catches one
 * sees code, message, field and errors; one that does not passes it on, and it becomes the answer as it was.
 */
#include "script/state.h"

#define TYPE "perigee.refusal"

struct refusal {
    uint64_t run; /* its memory is that of the entry into Lua */
    struct error error;
};

static struct refusal *check(lua_State *L)
{
    struct refusal *r = luaL_checkudata(L, 1, TYPE);
    if (r->run != state_of(L)->runs) luaL_error(L, "this error belongs to a call that has ended");
    return r;
}

int refusal_raise(lua_State *L, struct context *c)
{
    if (c->error->kind == ERROR_BUSY) script_abort(L, ABORT_BUSY);
    struct refusal *r = lua_newuserdatauv(L, sizeof *r, 0);
    r->run = state_of(L)->runs;
    r->error = *c->error;
    error_clear(c->error);
    luaL_setmetatable(L, TYPE);
    return lua_error(L);
}

const struct error *refusal_error(lua_State *L, int at)
{
    const struct refusal *r = luaL_testudata(L, at, TYPE);
    return r && r->run == state_of(L)->runs ? &r->error : NULL;
}

/* The code of the entry is what the script or the field says; that of the kind is what remains. */
static const char *code_of(const struct error *e)
{
    return e->first && e->first->code ? e->first->code : error_kind_code(e->kind);
}

/* "/amount" → "amount" */
static void push_field(lua_State *L, const char *pointer)
{
    if (pointer)
        lua_pushstring(L, pointer[0] == '/' ? pointer + 1 : pointer);
    else
        lua_pushnil(L);
}

static int push_errors(lua_State *L, const struct error *e)
{
    lua_createtable(L, (int)e->count, 0);
    lua_Integer n = 0;
    for (const struct error_entry *i = e->first; i; i = i->next) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, i->code);
        lua_setfield(L, -2, "code");
        lua_pushstring(L, i->message);
        lua_setfield(L, -2, "message");
        push_field(L, i->pointer);
        lua_setfield(L, -2, "field");
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int get(lua_State *L)
{
    const struct error *e = &check(L)->error;
    struct str name;
    name.p = luaL_checklstring(L, 2, &name.n);
    if (str_is(name, "kind"))
        lua_pushstring(L, error_kind_code(e->kind));
    else if (str_is(name, "code"))
        lua_pushstring(L, code_of(e));
    else if (str_is(name, "message"))
        lua_pushstring(L, e->first && e->first->message ? e->first->message : e->detail);
    else if (str_is(name, "field"))
        push_field(L, e->first ? e->first->pointer : NULL);
    else if (str_is(name, "errors"))
        return push_errors(L, e);
    else
        return luaL_error(L, "an error has kind, code, message, field and errors, not \"%s\"", name.p);
    return 1;
}

static int text(lua_State *L)
{
    const struct error *e = &check(L)->error;
    lua_pushstring(L, e->detail ? e->detail : error_kind_code(e->kind));
    for (const struct error_entry *i = e->first; i; i = i->next) {
        lua_pushfstring(L, "; %s%s%s", i->pointer ? i->pointer : "", i->pointer ? ": " : "",
                        i->message ? i->message : "");
        lua_concat(L, 2);
    }
    return 1;
}

static int concat(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    luaL_tolstring(L, 2, NULL);
    lua_concat(L, 2);
    return 1;
}

void refusal_open(lua_State *L)
{
    static const luaL_Reg meta[] = {
        {"__index", get}, {"__tostring", text}, {"__concat", concat}, {NULL, NULL}};
    luaL_newmetatable(L, TYPE);
    luaL_setfuncs(L, meta, 0);
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}
