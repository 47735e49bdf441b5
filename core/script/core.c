/* core.c: what the trusted files of scripts/ (sandbox, words, start) are given to work with. Scripts of users
 * never see this table. */
#include "script/core.h"

#include "base/log.h"
#include "base/suggest.h"
#include "base/version.h"
#include "script/bind_job.h"

#include <stdio.h>

#define LOG_TEXT_MAX 4096

/* ---- places and mistakes ---- */

static int core_where(lua_State *L)
{
    struct script_state *s = state_of(L);
    script_spot_here(L);
    if (s->spot.line)
        lua_pushstring(L, s->spot.file);
    else
        lua_pushstring(L, s->file ? s->file->name : "?");
    lua_pushinteger(L, s->spot.line);
    return 2;
}

static void append(lua_State *L, const char *list)
{
    lua_getfield(L, LUA_REGISTRYINDEX, list);
    lua_insert(L, -2);
    lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
    lua_pop(L, 1);
}

void core_mistake(lua_State *L, const char *file, int line, const char *message, const char *suggestion,
                  bool warning)
{
    lua_createtable(L, 0, 5);
    lua_pushstring(L, file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, line);
    lua_setfield(L, -2, "line");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    if (suggestion) {
        lua_pushstring(L, suggestion);
        lua_setfield(L, -2, "suggestion");
    }
    lua_pushboolean(L, warning);
    lua_setfield(L, -2, "warning");
    append(L, REGISTRY_MISTAKES);
}

/* core.fail(file, line, message, suggestion) */
static int core_fail(lua_State *L)
{
    core_mistake(L, luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                 luaL_optstring(L, 4, NULL), false);
    return 0;
}

static int core_warn(lua_State *L)
{
    core_mistake(L, luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), luaL_checkstring(L, 3),
                 luaL_optstring(L, 4, NULL), true);
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

/* ---- declarations ---- */

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

/* core.declare(kind, table) */
static int core_declare(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    if (!state_of(L)->loading)
        return luaL_error(L, "declarations belong at the top of a file: it is loaded already");
    lua_pushvalue(L, 1);
    lua_setfield(L, 2, "kind");
    lua_settop(L, 2);
    append(L, REGISTRY_DECLARED);
    return 0;
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

/* core.json(value) → text, for what is kept as it is (views, stated attributes). */
static int core_json(lua_State *L)
{
    struct str text = bind_json(L, 1);
    lua_pushlstring(L, text.p, text.n);
    return 1;
}

/* ---- sources ---- */

static const char *const kind_names[] = {
    [SOURCE_SANDBOX] = "sandbox", [SOURCE_WORD] = "word",         [SOURCE_START] = "start",
    [SOURCE_LIBRARY] = "library", [SOURCE_WORKFLOW] = "workflow", [SOURCE_MANIFEST] = "manifest",
    [SOURCE_MAIN] = "main",       [SOURCE_MODULE] = "module"};

/* core.sources() → {{name =, kind =, plugin =}, …} in the order in which they were read */
static int core_sources(lua_State *L)
{
    const struct script_sources *all = state_of(L)->sources;
    lua_createtable(L, (int)all->count, 0);
    for (size_t i = 0; i < all->count; i++) {
        const struct source *f = &all->all[i];
        lua_createtable(L, 0, 3);
        lua_pushstring(L, f->name);
        lua_setfield(L, -2, "name");
        lua_pushstring(L, kind_names[f->kind]);
        lua_setfield(L, -2, "kind");
        if (f->plugin) {
            lua_pushstring(L, f->plugin);
            lua_setfield(L, -2, "plugin");
        }
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static const struct source *source_named(lua_State *L, const char *name)
{
    const struct script_sources *all = state_of(L)->sources;
    for (size_t i = 0; i < all->count; i++)
        if (strcmp(all->all[i].name, name) == 0) return &all->all[i];
    return NULL;
}

/* core.exists(name) → is there such a module */
static int core_exists(lua_State *L)
{
    const struct source *f = source_named(L, luaL_checkstring(L, 1));
    lua_pushboolean(L, f && (f->kind == SOURCE_MODULE || f->kind == SOURCE_LIBRARY));
    return 1;
}

/* "file:line: text" on top of the stack becomes a mistake. */
static void keep_error(lua_State *L, const char *file)
{
    struct script_state *s = state_of(L);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    int line = 0, used = 0;
    char name[256];
    if (text && sscanf(text, "%255[^:]:%d: %n", name, &line, &used) == 2 && used > 0) {
        bool unsaid = strncmp(name, "...", 3) == 0 || strncmp(name, "scripts/", 8) == 0;
        core_mistake(L, unsaid && s->spot.line ? s->spot.file : name,
                     unsaid && s->spot.line ? s->spot.line : line, text + used, NULL, false);
    } else if (text)
        core_mistake(L, s->spot.line ? s->spot.file : file, s->spot.line, text, NULL, false);
    else
        core_mistake(L, s->spot.line ? s->spot.file : file, s->spot.line,
                     "raised an error that is not a text", NULL, false);
}

static int note_place(lua_State *L)
{
    if (!state_of(L)->aborted) script_spot_here(L);
    return 1;
}

/* core.compile(name, env) → function with that environment, or nil and what is wrong */
static int core_compile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct source *f = source_named(L, name);
    char chunk[300];
    if (!f) return luaL_error(L, "there is no file \"%s\"", name);
    snprintf(chunk, sizeof chunk, "@%s", f->name);
    int status = library_compile(L, f->text, chunk);
    protect_status(L, status);
    if (status != LUA_OK) return lua_pushnil(L), lua_insert(L, -2), 2;
    lua_pushvalue(L, 2);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
    return 1;
}

/* core.run(name, function) → did it run, its first result; an error is a mistake of that file. An abort goes
 * on. */
static int core_run(lua_State *L)
{
    struct script_state *s = state_of(L);
    const char *name = luaL_checkstring(L, 1);
    const struct source *outer = s->file;
    s->file = source_named(L, name);
    lua_pushcfunction(L, note_place);
    lua_pushvalue(L, 2);
    int status = lua_pcall(L, 0, 1, -2);
    s->file = outer;
    protect_status(L, status);
    if (status != LUA_OK) keep_error(L, name);
    lua_pushboolean(L, status == LUA_OK);
    lua_pushvalue(L, -2);
    return 2;
}

static int core_config_push(lua_State *L)
{
    bind_push_json(L, lua_touserdata(L, 1));
    return 1;
}

/* core.config() → JSON of what config.lua says for plugins, as Lua */
static int core_config(lua_State *L)
{
    const char *json = state_of(L)->sources->plugin_config;
    struct arena arena;
    struct error e;
    if (!json) return lua_newtable(L), 1;
    /* Nothing between here and arena_free may raise: the tables are made from copies below. */
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct json_value *v = json_parse(&arena, str_of(json), &e);
    int status = LUA_OK;
    if (v) {
        lua_pushcfunction(L, core_config_push);
        lua_pushlightuserdata(L, v);
        status = lua_pcall(L, 1, 1, 0);
    }
    arena_free(&arena);
    if (!v) return lua_newtable(L), 1;
    return status == LUA_OK ? 1 : lua_error(L);
}

/* ---- the rest ---- */

/* core.lang() → the language of whoever is answered */
static int core_lang(lua_State *L)
{
    lua_pushstring(L, lang_code(bind_context(L)->error->lang));
    return 1;
}

static int core_memory(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)state_of(L)->memory / 1024.0);
    return 1;
}

static int core_log(lua_State *L)
{
    struct script_state *s = state_of(L);
    enum log_level level;
    struct str text;
    if (!log_level_parse(str_of(luaL_checkstring(L, 1)), &level))
        return luaL_error(L, "the level is debug, info, warn or error");
    text.p = luaL_checklstring(L, 2, &text.n);
    if (s->log_lines <= 0) return 0;
    if (--s->log_lines == 0) text = STR("more lines of this call are not written");
    if (text.n > LOG_TEXT_MAX) text.n = LOG_TEXT_MAX;
    script_spot_here(L);
    LOG(level, "script says", log_str("text", text), log_s("file", s->spot.file),
        log_i("line", s->spot.line));
    return 0;
}

void core_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"where", core_where},
                                         {"fail", core_fail},
                                         {"warn", core_warn},
                                         {"suggest", core_suggest},
                                         {"fn", core_fn},
                                         {"declare", core_declare},
                                         {"plugin", core_plugin},
                                         {"json", core_json},
                                         {"sources", core_sources},
                                         {"exists", core_exists},
                                         {"compile", core_compile},
                                         {"run", core_run},
                                         {"config", core_config},
                                         {"lang", core_lang},
                                         {"memory", core_memory},
                                         {"log", core_log},
                                         {NULL, NULL}};
    luaL_newlib(L, functions);
    lua_pushliteral(L, PERIGEE_VERSION);
    lua_setfield(L, -2, "version");
    protect_library(L);
    library_bounded(L);
    pattern_library(L);
    lua_setfield(L, -2, "pattern");
    bind_crm_open(L);
    lua_setfield(L, -2, "crm");
    bind_job_open(L);
}
