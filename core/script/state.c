/* state.c: making a Lua state: memory limit, sandbox, words, then every script once. */
#include "script/bind_job.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/suggest.h"

#include <stdio.h>
#include <stdlib.h>

struct script_state *state_of(lua_State *L)
{
    return *(struct script_state **)lua_getextraspace(L);
}

/* realloc with a bound on the whole state; Lua turns NULL into a memory error. */
static void *allocate(void *ctx, void *p, size_t old, size_t size)
{
    struct script_state *s = ctx;
    if (!p) old = 0;
    if (size == 0) {
        s->memory -= old;
        free(p);
        return NULL;
    }
    if (size > old && s->memory + (size - old) > s->memory_max) return NULL;
    void *fresh = realloc(p, size);
    if (fresh) s->memory += size - old;
    return fresh;
}

/* ---- the primitives for words (table `core`) ---- */

/* The nearest frame of a user's file: neither the words nor C. */
static bool user_frame(lua_State *L, lua_Debug *ar)
{
    for (int level = 1; lua_getstack(L, level, ar); level++) {
        if (!lua_getinfo(L, "Sl", ar) || ar->currentline < 0) continue;
        if (strncmp(ar->short_src, "scripts/", 8) != 0) return true;
    }
    return false;
}

static int core_where(lua_State *L)
{
    lua_Debug ar;
    const struct script_state *s = state_of(L);
    if (user_frame(L, &ar)) {
        lua_pushstring(L, ar.source[0] == '@' ? ar.source + 1 : ar.short_src);
        lua_pushinteger(L, ar.currentline);
    } else {
        lua_pushstring(L, s->file ? s->file->name : "?");
        lua_pushinteger(L, 0);
    }
    return 2;
}

static int core_fn(lua_State *L)
{
    struct script_state *s = state_of(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_FUNCTIONS);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, ++s->functions);
    lua_pushinteger(L, s->functions);
    return 1;
}

static void append(lua_State *L, const char *list)
{
    lua_getfield(L, LUA_REGISTRYINDEX, list);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

/* core.declare(kind, table) */
static int core_declare(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_pushvalue(L, 1);
    lua_setfield(L, 2, "kind");
    lua_settop(L, 2);
    append(L, REGISTRY_DECLARED);
    return 0;
}

static void mistake(lua_State *L, bool warning)
{
    lua_settop(L, 4);
    lua_createtable(L, 0, 5);
    static const char *const names[] = {"file", "line", "message", "suggestion"};
    for (int i = 0; i < 4; i++) {
        lua_pushvalue(L, i + 1);
        lua_setfield(L, -2, names[i]);
    }
    lua_pushboolean(L, warning);
    lua_setfield(L, -2, "warning");
    append(L, REGISTRY_MISTAKES);
}

/* core.fail(file, line, message, suggestion) */
static int core_fail(lua_State *L)
{
    mistake(L, false);
    return 0;
}

static int core_warn(lua_State *L)
{
    mistake(L, true);
    return 0;
}

/* core.suggest(name, {names}) → the nearest or nil */
static int core_suggest(lua_State *L)
{
    struct suggest s;
    size_t n;
    const char *p = luaL_checklstring(L, 1, &n);
    luaL_checktype(L, 2, LUA_TTABLE);
    suggest_start(&s, (struct str){p, n});
    lua_Integer count = (lua_Integer)lua_rawlen(L, 2);
    for (lua_Integer i = 1; i <= count; i++) {
        if (lua_rawgeti(L, 2, i) == LUA_TSTRING) {
            p = lua_tolstring(L, -1, &n);
            suggest_try(&s, (struct str){p, n}); /* the table keeps the text alive */
        }
        lua_pop(L, 1);
    }
    if (s.best.p)
        lua_pushlstring(L, s.best.p, s.best.n);
    else
        lua_pushnil(L);
    return 1;
}

static int core_plugin(lua_State *L)
{
    const struct script_state *s = state_of(L);
    if (s->file && s->file->plugin)
        lua_pushstring(L, s->file->plugin);
    else
        lua_pushnil(L);
    return 1;
}

static int core_check(lua_State *L)
{
    if (state_of(L)->aborted) script_check(L);
    return 0;
}

static int core_memory(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)state_of(L)->memory / 1024.0);
    return 1;
}

static int core_log(lua_State *L)
{
    enum log_level level;
    if (!log_level_parse(str_of(luaL_checkstring(L, 1)), &level))
        return luaL_error(L, "the level is debug, info, warn or error");
    LOG(level, "script", log_s("text", luaL_checkstring(L, 2)));
    return 0;
}

/* core.json(value) → text, for what is kept as it is (views, stated attributes). */
static int core_json(lua_State *L)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    bind_write_json(L, 1, &b);
    if (b.failed) {
        buf_free(&b);
        return luaL_error(L, "more than 1 MiB of JSON");
    }
    lua_pushlstring(L, b.p, b.n);
    buf_free(&b);
    return 1;
}

static const luaL_Reg core_functions[] = {
    {"where", core_where},   {"fn", core_fn},           {"declare", core_declare}, {"fail", core_fail},
    {"warn", core_warn},     {"suggest", core_suggest}, {"plugin", core_plugin},   {"check", core_check},
    {"memory", core_memory}, {"log", core_log},         {"json", core_json},       {NULL, NULL}};

/* ---- running the sources ---- */

static const struct source *find_module(const struct script_state *s, const char *plugin, const char *name)
{
    char path[256];
    int folder = plugin ? snprintf(path, sizeof path, "plugins/%s/", plugin)
                        : snprintf(path, sizeof path, "workflows/");
    if (folder < 0 || (size_t)folder >= sizeof path) return NULL;
    snprintf(path + folder, sizeof path - (size_t)folder, "%s.lua", name);
    for (char *p = path + folder; *p; p++)
        if (*p == '.' && strcmp(p, ".lua") != 0) *p = '/';
    for (size_t i = 0; i < s->sources->count; i++) {
        const struct source *f = &s->sources->all[i];
        bool mine = plugin ? f->plugin && strcmp(f->plugin, plugin) == 0 : !f->plugin;
        if (f->kind == SOURCE_MODULE && mine && strcmp(path, f->name) == 0) return f;
    }
    return NULL;
}

/* find(name, env) of sandbox.lua → chunk, or nil and words. Upvalue 1: the plugin's name or nil. */
static int find_chunk(lua_State *L)
{
    struct script_state *s = state_of(L);
    const char *name = luaL_checkstring(L, 1), *plugin = lua_tostring(L, lua_upvalueindex(1));
    const struct source *f = find_module(s, plugin, name);
    if (!f) {
        lua_pushnil(L);
        lua_pushfstring(L, "there is no module \"%s\" here", name);
        return 2;
    }
    lua_pushfstring(L, "@%s", f->name);
    int status = luaL_loadbufferx(L, f->text.p, f->text.n, lua_tostring(L, -1), "t");
    if (status != LUA_OK) return lua_error(L);
    lua_pushvalue(L, 2);
    lua_setupvalue(L, -2, 1);
    return 1;
}

/* "file:line: text" on top of the stack becomes a mistake. */
static void keep_error(lua_State *L, const char *file)
{
    const char *text = lua_tostring(L, -1);
    char name[256];
    int line = 0, used = 0;
    lua_pushcfunction(L, core_fail);
    if (text && sscanf(text, "%255[^:]:%d: %n", name, &line, &used) == 2 && used > 0) {
        lua_pushstring(L, name);
        lua_pushinteger(L, line);
        lua_pushstring(L, text + used);
    } else {
        lua_pushstring(L, file);
        lua_pushinteger(L, 0);
        lua_pushstring(L, text ? text : "raised an error that is not a text");
    }
    lua_call(L, 3, 0);
    lua_pop(L, 1);
}

/* Loads a source; its environment (stack index `env`, 0: the true globals) becomes its first upvalue. */
static bool load_source(lua_State *L, const struct source *f, int env)
{
    char chunk[512];
    snprintf(chunk, sizeof chunk, "@%s", f->name);
    if (luaL_loadbufferx(L, f->text.p, f->text.n, chunk, "t") != LUA_OK) {
        keep_error(L, f->name);
        return false;
    }
    if (env) {
        lua_pushvalue(L, env);
        lua_setupvalue(L, -2, 1);
    }
    return true;
}

/* make_env(label, find): leaves the environment on the stack. */
static void push_env(lua_State *L, int make_env, const char *label, const char *plugin)
{
    lua_pushvalue(L, make_env);
    lua_pushstring(L, label);
    if (plugin)
        lua_pushstring(L, plugin);
    else
        lua_pushnil(L);
    lua_pushcclosure(L, find_chunk, 1);
    lua_call(L, 2, 1);
}

static bool runs(enum source_kind kind)
{
    return kind == SOURCE_WORKFLOW || kind == SOURCE_MAIN || kind == SOURCE_MANIFEST;
}

/* Runs everything under the protection of open_state's pcall. */
static int run_sources(lua_State *L)
{
    struct script_state *s = state_of(L);
    int core = 1, make_env = 0, workflows = 0;
    const char *plugin = NULL;
    int plugin_env = 0;
    for (size_t i = 0; i < s->sources->count; i++) {
        const struct source *f = &s->sources->all[i];
        s->file = f;
        if (f->kind == SOURCE_SANDBOX || f->kind == SOURCE_WORD) {
            if (!load_source(L, f, 0)) return luaL_error(L, "%s does not load", f->name);
            lua_pushvalue(L, core);
            lua_call(L, 1, f->kind == SOURCE_SANDBOX ? 1 : 0);
            if (f->kind == SOURCE_SANDBOX) make_env = lua_gettop(L);
            continue;
        }
        if (!runs(f->kind)) continue;
        if (!workflows) {
            push_env(L, make_env, "workflows", NULL);
            workflows = lua_gettop(L);
        }
        if (f->plugin && (!plugin || strcmp(plugin, f->plugin) != 0)) {
            plugin = f->plugin;
            push_env(L, make_env, f->name, plugin);
            plugin_env = lua_gettop(L);
        }
        if (!load_source(L, f, f->plugin ? plugin_env : workflows)) continue;
        if (lua_pcall(L, 0, f->kind == SOURCE_MANIFEST ? 1 : 0, 0) != LUA_OK) {
            keep_error(L, f->name);
            continue;
        }
        if (f->kind == SOURCE_MANIFEST && lua_istable(L, -1)) {
            lua_pushstring(L, f->plugin);
            lua_setfield(L, -2, "folder");
            lua_pushliteral(L, "plugin");
            lua_setfield(L, -2, "kind");
            append(L, REGISTRY_DECLARED);
        } else if (f->kind == SOURCE_MANIFEST)
            lua_pop(L, 1);
    }
    s->file = NULL;
    return 0;
}

static int open_state(lua_State *L)
{
    static const char *const lists[] = {REGISTRY_FUNCTIONS, REGISTRY_DECLARED, REGISTRY_MISTAKES};
    static const luaL_Reg libraries[] = {{"_G", luaopen_base},
                                         {"table", luaopen_table},
                                         {"string", luaopen_string},
                                         {"math", luaopen_math},
                                         {"utf8", luaopen_utf8},
                                         {"os", luaopen_os},
                                         {"coroutine", luaopen_coroutine},
                                         {NULL, NULL}};
    for (size_t i = 0; i < 3; i++) {
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, lists[i]);
    }
    for (const luaL_Reg *l = libraries; l->name; l++) {
        luaL_requiref(L, l->name, l->func, 1);
        lua_pop(L, 1);
    }
    limits_coroutine(L);
    bind_record_open(L);
    luaL_newlib(L, core_functions);
    pattern_library(L);
    lua_setfield(L, -2, "pattern");
    bind_crm_open(L);
    lua_setfield(L, -2, "crm");
    bind_job_open(L);
    lua_pushcfunction(L, run_sources);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
    return 0;
}

struct script_state *state_open(const struct script_sources *sources, const struct script_limits *limits,
                                struct error *e)
{
    struct script_state *s = calloc(1, sizeof *s);
    if (!s) return error_no_memory(e), NULL;
    s->sources = sources;
    s->memory_max = limits->memory;
    s->kind = SCRIPT_LOAD;
    s->L = lua_newstate(allocate, s);
    if (!s->L) {
        free(s);
        return error_no_memory(e), NULL;
    }
    *(struct script_state **)lua_getextraspace(s->L) = s;
    lua_pushcfunction(s->L, open_state);
    bool timed = limits_start(s, limits->time_ms);
    int status = timed ? lua_pcall(s->L, 0, 0, 0) : LUA_ERRRUN;
    limits_stop(s);
    if (status == LUA_OK) return s;
    const char *text = lua_tostring(s->L, -1);
    struct error_entry *entry =
        error_add(e, NULL, "script_error", "%s", "%s", text ? text : "the scripts cannot be started");
    entry->file = s->file ? arena_dup(e->arena, str_of(s->file->name)) : NULL;
    error_set(e, ERROR_SCRIPT_ERROR, "%s", "%s", text ? text : "the scripts cannot be started");
    state_close(s);
    return NULL;
}

void state_close(struct script_state *s)
{
    if (!s) return;
    lua_close(s->L);
    if (s->timer_made) timer_delete(s->timer);
    free(s);
}
