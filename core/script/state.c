/* state.c: making a Lua state: memory limit, libraries, and the trusted files that run everything else. */
#include "script/state.h"

#include "base/log.h"
#include "script/core.h"

#include <stdio.h>
#include <stdlib.h>

struct script_state *state_of(lua_State *L)
{
    return *(struct script_state **)lua_getextraspace(L);
}

/* Where memory ran out. While the stack unwinds, Lua asks again (for a smaller stack): no line is found then.
 */
static void note_place(struct script_state *s)
{
    struct script_spot before = s->spot;
    if (s->aborted || !s->running) return;
    script_spot_here(s->running);
    if (s->spot.line == 0) s->spot = before;
}

/* realloc with a bound on the whole state; Lua collects garbage and asks again before it turns NULL into a
 * memory error. The place is noted here, since that error carries none. */
static void *allocate(void *ctx, void *p, size_t old, size_t size)
{
    struct script_state *s = ctx;
    if (!p) old = 0;
    if (size == 0) {
        s->memory -= old;
        free(p);
        return NULL;
    }
    if (size > old && s->memory + (size - old) > s->memory_max) {
        note_place(s);
        return NULL;
    }
    void *fresh = realloc(p, size);
    if (fresh) s->memory += size - old;
    return fresh;
}

/* Runs scripts/sandbox.lua, the words, and scripts/start.lua, which runs the scripts of users. */
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
    struct script_state *s = state_of(L);
    for (size_t i = 0; i < 3; i++) {
        lua_newtable(L);
        lua_setfield(L, LUA_REGISTRYINDEX, lists[i]);
    }
    for (const luaL_Reg *l = libraries; l->name; l++) {
        luaL_requiref(L, l->name, l->func, 1);
        lua_pop(L, 1);
    }
    refusal_open(L);
    bind_record_open(L);
    core_open(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, LUA_REGISTRYINDEX, REGISTRY_CORE);
    for (size_t i = 0; i < s->sources->count; i++) {
        const struct source *f = &s->sources->all[i];
        char name[300];
        if (f->kind != SOURCE_SANDBOX && f->kind != SOURCE_WORD && f->kind != SOURCE_START) continue;
        snprintf(name, sizeof name, "@%s", f->name);
        if (luaL_loadbufferx(L, f->text.p, f->text.n, name, "t") != LUA_OK) return lua_error(L);
        lua_pushvalue(L, 1); /* core */
        lua_call(L, 1, 0);
    }
    return 0;
}

/* A load that crossed a limit: a mistake at the line where it happened. */
static void explain_abort(struct script_state *s, const struct script_limits *limits, struct error *e)
{
    bool memory = s->aborted == ABORT_MEMORY;
    struct error_entry *entry =
        memory ? error_add(e, NULL, "script_limit", "the memory limit of %zu MiB for loading is crossed",
                           "превышен предел памяти при загрузке: %zu МиБ", limits->memory >> 20)
               : error_add(e, NULL, "script_limit", "the time limit of %lld ms for loading is crossed",
                           "превышен предел времени загрузки: %lld мс", (long long)limits->time_ms);
    entry->file = s->spot.line ? arena_dup(e->arena, str_of(s->spot.file)) : NULL;
    entry->line = s->spot.line;
    error_set(e, ERROR_SCRIPT_ERROR, "the scripts cannot be loaded", "сценарии не загружаются");
}

static void explain(struct script_state *s, lua_State *L, struct error *e)
{
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "the scripts cannot be started";
    struct error_entry *entry = error_add(e, NULL, "script_error", "%s", "%s", text);
    entry->file = s->file ? arena_dup(e->arena, str_of(s->file->name)) : NULL;
    error_set(e, ERROR_SCRIPT_ERROR, "%s", "%s", text);
}

/* A Lua state for `s`, everything run once in it. */
static bool fill(struct script_state *s, const struct script_limits *limits, struct error *e)
{
    s->memory = 0;
    s->memory_max = limits->memory;
    s->kind = SCRIPT_LOAD;
    s->functions = 0;
    s->log_lines = 1000;
    s->L = lua_newstate(allocate, s);
    if (!s->L) return error_no_memory(e);
    *(struct script_state **)lua_getextraspace(s->L) = s;
    if (!limits_start(s, limits->time_ms))
        return error_set(e, ERROR_INTERNAL, "no timer for scripts", "нет таймера для сценариев");
    s->loading = true;
    lua_pushcfunction(s->L, open_state);
    int status = lua_pcall(s->L, 0, 0, 0);
    s->loading = false;
    if (status == LUA_ERRMEM && !s->aborted) s->aborted = ABORT_MEMORY;
    if (status == LUA_OK && !s->aborted) return limits_stop(s), true;
    if (s->aborted)
        explain_abort(s, limits, e);
    else
        explain(s, s->L, e);
    limits_stop(s);
    return false;
}

struct script_state *state_open(const struct script_sources *sources, const struct script_limits *limits,
                                struct error *e)
{
    struct script_state *s = calloc(1, sizeof *s);
    if (!s) return error_no_memory(e), NULL;
    s->sources = sources;
    buf_init(&s->scratch, (size_t)1 << 20);
    if (fill(s, limits, e)) return s;
    state_close(s);
    return NULL;
}

struct script_state *state_reserve(struct script_set *set, struct error *e)
{
    struct script_state *s = calloc(1, sizeof *s);
    if (!s) return error_no_memory(e), NULL;
    s->sources = set->sources;
    s->set = script_set_ref(set);
    buf_init(&s->scratch, (size_t)1 << 20);
    return s;
}

bool state_ready(struct script_state *s, struct error *e)
{
    if (s->L) return true;
    bool ok = fill(s, &s->set->config.limits[SCRIPT_LOAD], e);
    s->memory_max = s->set->config.limits[SCRIPT_HOOK].memory;
    if (ok) return true;
    if (s->L) lua_close(s->L);
    s->L = NULL;
    return false;
}

void state_renew(struct script_state *s)
{
    struct arena arena;
    struct error e;
    lua_State *old = s->L;
    size_t memory = s->memory;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    if (fill(s, &s->set->config.limits[SCRIPT_LOAD], &e)) {
        lua_State *fresh = s->L;
        size_t used = s->memory;
        s->L = old;
        s->memory = memory;
        lua_close(old);
        s->L = fresh;
        s->memory = used;
    } else {
        LOG(LOG_ERROR, "the state of the scripts cannot be made anew",
            log_s("reason", e.detail ? e.detail : ""));
        if (s->L && s->L != old) lua_close(s->L);
        s->L = old;
        s->memory = memory;
    }
    s->functions = s->set->catalog->function_count;
    arena_free(&arena);
}

void state_close(struct script_state *s)
{
    if (!s) return;
    if (s->L) lua_close(s->L);
    if (s->timer_made) timer_delete(s->timer);
    buf_free(&s->scratch);
    free(s);
}
