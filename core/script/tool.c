/* tool.c: see tool.h. */
#include "script/tool.h"

#include "script/state.h"

struct tool {
    struct context *context;
    struct str text, input, output;
    const char *name;
};

/* core.declared() → the declarations of all scripts, as the words took them */
static int declared(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_DECLARED);
    return 1;
}

/* core.members() → the names of `crm` */
static int members(lua_State *L)
{
    lua_Integer n = 0;
    lua_newtable(L);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    lua_getfield(L, -1, "crm");
    lua_getmetatable(L, -1);
    lua_getfield(L, -1, "__index");
    int content = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, content); lua_pop(L, 1)) {
        lua_pushvalue(L, -2);
        lua_rawseti(L, 1, ++n);
    }
    lua_settop(L, 1);
    return 1;
}

/* core.fields(entity) → the names of its fields */
static int fields(lua_State *L)
{
    const struct entity *e = bind_entity(L, 1);
    lua_Integer n = 0;
    lua_newtable(L);
    for (size_t i = 0; i < e->field_count; i++) {
        if (e->fields[i]->hidden || e->fields[i]->type == FIELD_COMPUTED) continue;
        lua_pushstring(L, e->fields[i]->name);
        lua_rawseti(L, -2, ++n);
    }
    return 1;
}

static int body(lua_State *L)
{
    struct tool *t = lua_touserdata(L, 1);
    static const luaL_Reg functions[] = {
        {"declared", declared}, {"members", members}, {"fields", fields}, {NULL, NULL}};
    int status = library_compile(L, t->text, t->name);
    protect_status(L, status);
    if (status != LUA_OK) return lua_error(L);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    luaL_setfuncs(L, functions, 0);
    lua_pushlstring(L, t->input.p ? t->input.p : "", t->input.n);
    lua_call(L, 2, 1);
    struct str out = {"", 0};
    if (lua_type(L, -1) == LUA_TSTRING) out.p = lua_tolstring(L, -1, &out.n);
    t->output = arena_str(t->context->arena, out);
    return t->output.p ? 0 : luaL_error(L, "not enough memory");
}

bool script_tool(struct script_state *s, struct context *c, struct str tool, const char *name,
                 struct str input, struct str *output)
{
    struct tool t = {.context = c, .text = tool, .input = input, .name = name};
    uint64_t call = s->call;
    bool ok = script_run(s, c, SCRIPT_JOB, body, &t, c->error);
    s->call = call; /* what was given out stays good */
    *output = t.output;
    return ok;
}

void script_tool_forget(struct script_state *s)
{
    s->call++;
}
