/* protect.c: pcall, xpcall and coroutines for scripts. They behave like the library's, but for one thing: a
 * crossed limit passes through all of them, so no script can catch it; and `running` names the coroutine that
 * runs, so that the deadline finds it. */
#include "script/state.h"

void protect_status(lua_State *L, int status)
{
    struct script_state *s = state_of(L);
    if (status == LUA_ERRMEM && !s->aborted) s->aborted = ABORT_MEMORY; /* the allocator noted the place */
    if (s->aborted) script_check(L);
}

/* ---- pcall, xpcall ---- */

static int finish(lua_State *L, int status, lua_KContext skip)
{
    protect_status(L, status);
    if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - (int)skip;
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

static int protected_call(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1); /* the first result when all goes well */
    lua_insert(L, 1);
    return finish(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish), 0);
}

/* A message handler runs where the error was raised; after an abort that is inside the hook, where no other
 * hook can stop it. So it is not asked then. Upvalue 1: the script's handler. */
static int handle(lua_State *L)
{
    if (state_of(L)->aborted) return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int protected_xcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    int arguments = lua_gettop(L) - 2;
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_replace(L, 2);
    lua_pushboolean(L, 1);
    lua_pushvalue(L, 1);
    lua_rotate(L, 3, 2); /* f, handler, true, f, arguments */
    return finish(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, 2, finish), 2);
}

/* ---- coroutines ---- */

static bool suspended(lua_State *L, lua_State *co)
{
    lua_Debug ar;
    if (co == L) return false;
    if (lua_status(co) == LUA_YIELD) return true;
    return lua_status(co) == LUA_OK && !lua_getstack(co, 0, &ar) && lua_gettop(co) > 0;
}

/* Arguments are on top of L; leaves the results there, or the error. */
static int resume(lua_State *L, lua_State *co, int arguments, bool *ok)
{
    struct script_state *s = state_of(L);
    int results = 0;
    *ok = false;
    if (!suspended(L, co)) {
        lua_pushliteral(L, "cannot resume a coroutine that has ended or runs");
        return 1;
    }
    if (!lua_checkstack(co, arguments + 1)) return luaL_error(L, "too many arguments to resume");
    lua_xmove(L, co, arguments);
    s->running = co;
    int status = lua_resume(co, L, arguments, &results);
    s->running = L;
    *ok = status == LUA_OK || status == LUA_YIELD;
    protect_status(L, status);
    if (!*ok) results = 1; /* the error object */
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        return luaL_error(L, "too many results of resume");
    }
    lua_xmove(co, L, results);
    return results;
}

static int co_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    bool ok;
    int results = resume(L, co, lua_gettop(L) - 1, &ok);
    lua_pushboolean(L, ok);
    lua_insert(L, -(results + 1));
    return results + 1;
}

static int co_create(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    return 1;
}

static int wrap_call(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    bool ok;
    int results = resume(L, co, lua_gettop(L), &ok);
    return ok ? results : lua_error(L);
}

static int co_wrap(lua_State *L)
{
    co_create(L);
    lua_pushcclosure(L, wrap_call, 1);
    return 1;
}

static int co_status(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argexpected(L, co, 1, "coroutine");
    lua_Debug ar;
    const char *text = "dead";
    if (co == L)
        text = "running";
    else if (suspended(L, co))
        text = "suspended";
    else if (lua_status(co) == LUA_OK && lua_getstack(co, 0, &ar))
        text = "normal";
    lua_pushstring(L, text);
    return 1;
}

/* No `close`: it would run __close outside the watch. */
void protect_library(lua_State *L)
{
    static const luaL_Reg coroutines[] = {
        {"create", co_create}, {"resume", co_resume}, {"wrap", co_wrap}, {"status", co_status}, {NULL, NULL}};
    static const char *const borrowed[] = {"yield", "running", "isyieldable"};
    lua_pushcfunction(L, protected_call);
    lua_setfield(L, -2, "pcall");
    lua_pushcfunction(L, protected_xcall);
    lua_setfield(L, -2, "xpcall");
    luaL_newlib(L, coroutines);
    lua_getglobal(L, "coroutine");
    for (size_t i = 0; i < sizeof borrowed / sizeof *borrowed; i++) {
        lua_getfield(L, -1, borrowed[i]);
        lua_setfield(L, -3, borrowed[i]);
    }
    lua_pop(L, 1);
    lua_setfield(L, -2, "coroutine");
}
