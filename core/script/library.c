/* library.c: functions of Lua's standard libraries that may work long inside C, where the deadline's hook
 * does not fire. Each is bounded by the size of what it works on, or looks at the deadline as it goes. What
 * is not here (string.len, sub, byte, char; ipairs, next, select …) is bounded by what exists already. */
#include "script/state.h"

#define TEXT_MAX ((size_t)4 << 20)    /* bytes that one function works through */
#define RESULT_MAX ((size_t)16 << 20) /* of string.rep and table.concat */
#define LIST_MAX 1000000
#define CHECK_EVERY 4096
#define COMPILE_STEP 512 /* bytes between two looks at the deadline */
#define COMPILE_MAX ((size_t)1 << 20)

/* ---- texts ---- */

/* Upvalue 1: the library's function; the texts among the arguments are together at most TEXT_MAX long. */
static int small_texts(lua_State *L)
{
    int n = lua_gettop(L);
    size_t sum = 0;
    for (int i = 1; i <= n; i++)
        if (lua_type(L, i) == LUA_TSTRING) sum += lua_rawlen(L, i);
    if (sum > TEXT_MAX) return luaL_error(L, "a text of at most %d MiB expected", (int)(TEXT_MAX >> 20));
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

static int rep(lua_State *L)
{
    size_t n, gap;
    const char *s = luaL_checklstring(L, 1, &n), *sep = luaL_optlstring(L, 3, "", &gap);
    lua_Integer times = luaL_checkinteger(L, 2);
    if (times <= 0) return lua_pushliteral(L, ""), 1;
    size_t unit = n + gap;
    if (unit && (size_t)times > RESULT_MAX / unit)
        return luaL_error(L, "the result would be longer than %d MiB", (int)(RESULT_MAX >> 20));
    luaL_Buffer b;
    size_t total = unit * (size_t)times - gap;
    char *p = luaL_buffinitsize(L, &b, total + gap);
    memcpy(p, s, n);
    memcpy(p + n, sep, gap);
    for (size_t have = unit; have && have < total; have *= 2) /* doubling: few large copies */
        memcpy(p + have, p, have < total - have ? have : total - have);
    luaL_pushresultsize(&b, total);
    return 1;
}

/* ---- lists ---- */

/* The length of a plain list: a metatable that lies about length, or a list beyond the bound, is refused. */
static lua_Integer plain_list(lua_State *L, int at)
{
    luaL_checktype(L, at, LUA_TTABLE);
    if (luaL_getmetafield(L, at, "__len") != LUA_TNIL)
        luaL_error(L, "a plain list expected, not one with __len");
    lua_Unsigned n = lua_rawlen(L, at);
    if (n > LIST_MAX) luaL_error(L, "a list of at most %d elements expected", LIST_MAX);
    return (lua_Integer)n;
}

/* Upvalue 1: the library's function. */
static int on_list(lua_State *L)
{
    plain_list(L, 1);
    int n = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, n, LUA_MULTRET);
    return lua_gettop(L);
}

static int concat(lua_State *L)
{
    lua_Integer last = plain_list(L, 1), i = luaL_optinteger(L, 3, 1);
    size_t gap, total = 0;
    const char *sep = luaL_optlstring(L, 2, "", &gap);
    last = luaL_optinteger(L, 4, last);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (lua_Integer n = 0; i <= last; i++, n++) {
        if (n % CHECK_EVERY == 0) script_check(L);
        int type = lua_geti(L, 1, i);
        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            return luaL_error(L, "invalid value (at index %I in table for 'concat': a %s)", (LUAI_UACINT)i,
                              luaL_typename(L, -1));
        total += (type == LUA_TSTRING ? lua_rawlen(L, -1) : 0) + gap;
        if (total > RESULT_MAX)
            return luaL_error(L, "the result would be longer than %d MiB", (int)(RESULT_MAX >> 20));
        luaL_addvalue(&b);
        if (i == last) break; /* no overflow past the greatest integer */
        luaL_addlstring(&b, sep, gap);
    }
    luaL_pushresult(&b);
    return 1;
}

static int move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2), to = luaL_checkinteger(L, 3), at = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    if (to >= from) {
        if (from < -LIST_MAX || to - from >= LIST_MAX || to > LIST_MAX * 10 || at < -LIST_MAX ||
            at > LIST_MAX * 10)
            return luaL_error(L, "at most %d elements can be moved", LIST_MAX);
        lua_Integer n = to - from + 1;
        bool forward = at > to || at <= from || (target != 1 && !lua_compare(L, 1, target, LUA_OPEQ));
        for (lua_Integer k = 0; k < n; k++) {
            lua_Integer i = forward ? k : n - 1 - k;
            if (k % CHECK_EVERY == 0) script_check(L);
            lua_geti(L, 1, from + i);
            lua_seti(L, target, at + i);
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

/* The order that sort asks for; upvalue 1: the script's function, or nil. */
static int less(lua_State *L)
{
    if (state_of(L)->aborted) script_check(L);
    if (lua_isnil(L, lua_upvalueindex(1))) {
        lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

static int sort(lua_State *L)
{
    plain_list(L, 1);
    if (!lua_isnoneornil(L, 2)) luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    lua_pushcclosure(L, less, 1); /* of the order at 2 */
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

/* ---- compiling ---- */

struct pieces {
    struct str rest;
};

/* Called by the parser for the next piece; an abort raised here ends the parsing. */
static const char *next_piece(lua_State *L, void *data, size_t *size)
{
    struct pieces *p = data;
    script_check(L);
    *size = p->rest.n < COMPILE_STEP ? p->rest.n : COMPILE_STEP;
    const char *at = p->rest.p;
    p->rest.p += *size;
    p->rest.n -= *size;
    return at;
}

int library_compile(lua_State *L, struct str text, const char *name)
{
    struct pieces p = {text};
    return lua_load(L, next_piece, &p, name, "t");
}

/* load(text, name, mode, env), upvalue 1: the environment when none is given. The name is not taken: places
 * in errors and in the log are those of files, and no script may pass for another. */
static int load(lua_State *L)
{
    struct str text;
    text.p = luaL_checklstring(L, 1, &text.n);
    if (text.n > COMPILE_MAX) return luaL_error(L, "load takes a text of at most 1 MiB");
    lua_settop(L, 4);
    int status = library_compile(L, text, "=(load)");
    protect_status(L, status);
    if (status != LUA_OK) return lua_pushnil(L), lua_insert(L, -2), 2;
    if (lua_isnil(L, 4))
        lua_pushvalue(L, lua_upvalueindex(1));
    else
        lua_pushvalue(L, 4);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    return 1;
}

/* core.load(env) → the function load of an environment */
static int make_load(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushcclosure(L, load, 1);
    return 1;
}

/* Puts wrappers of functions of library `from` into the table below. */
static void wrap(lua_State *L, const char *from, const char *const *names, lua_CFunction with)
{
    lua_getglobal(L, from);
    for (; *names; names++) {
        lua_getfield(L, -1, *names);
        lua_pushcclosure(L, with, 1);
        lua_setfield(L, -3, *names);
    }
    lua_pop(L, 1);
}

void library_bounded(lua_State *L)
{
    static const char *const texts[] = {"lower", "upper",  "reverse",  "format",
                                        "pack",  "unpack", "packsize", NULL};
    static const char *const codes[] = {"len", "offset", "codepoint", "char", NULL};
    static const char *const lists[] = {"insert", "remove", NULL};
    static const char *const sorts[] = {"sort", NULL};
    lua_newtable(L);
    wrap(L, "string", texts, small_texts);
    lua_pushcfunction(L, rep);
    lua_setfield(L, -2, "rep");
    lua_setfield(L, -2, "text");
    lua_newtable(L);
    wrap(L, "utf8", codes, small_texts);
    lua_setfield(L, -2, "codes");
    lua_newtable(L);
    wrap(L, "table", lists, on_list);
    wrap(L, "table", sorts, sort);
    lua_pushcfunction(L, concat);
    lua_setfield(L, -2, "concat");
    lua_pushcfunction(L, move);
    lua_setfield(L, -2, "move");
    lua_setfield(L, -2, "list");
    lua_pushcfunction(L, make_load);
    lua_setfield(L, -2, "load");
}
