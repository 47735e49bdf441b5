/* script.c: sets of scripts and the states that run them. */
#include "base/log.h"
#include "script/load.h"
#include "script/state.h"

#include <stdlib.h>

void script_config_defaults(struct script_config *c)
{
    *c = (struct script_config){.scripts = "scripts", .workflows = "workflows", .plugins = "plugins"};
    static const struct script_limits limits[SCRIPT_KIND_COUNT] = {
        [SCRIPT_LOAD] = {.time_ms = 5000, .memory = (size_t)64 << 20},
        [SCRIPT_HOOK] = {.time_ms = 100, .memory = (size_t)64 << 20, .rows = 2000, .queries = 200},
        [SCRIPT_ACTION] = {.time_ms = 500, .memory = (size_t)64 << 20, .rows = 5000, .queries = 500},
        [SCRIPT_ROUTE] = {.time_ms = 2000, .memory = (size_t)64 << 20, .rows = 20000, .queries = 1000},
        [SCRIPT_JOB] = {.time_ms = 5000, .memory = (size_t)64 << 20, .rows = 100000, .queries = 10000},
        [SCRIPT_COMPUTED] = {.time_ms = 20, .memory = (size_t)64 << 20, .rows = 100, .queries = 20},
    };
    memcpy(c->limits, limits, sizeof limits);
}

/* The mistakes that words and files collected, into the error; returns how many are more than warnings. */
static size_t collect(lua_State *L, struct error *e)
{
    size_t wrong = 0;
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_MISTAKES);
    size_t n = lua_rawlen(L, -1);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (lua_Integer)i);
        lua_getfield(L, -1, "warning");
        bool warning = lua_toboolean(L, -1);
        lua_getfield(L, -2, "message");
        lua_getfield(L, -3, "file");
        lua_getfield(L, -4, "line");
        lua_getfield(L, -5, "suggestion");
        const char *message = lua_tostring(L, -4), *file = lua_tostring(L, -3), *near = lua_tostring(L, -1);
        struct error_entry *entry =
            error_add(e, NULL, warning ? "warning" : "script_error", "%s", "%s", message ? message : "");
        entry->file = file ? arena_dup(e->arena, str_of(file)) : NULL;
        entry->line = (int)lua_tointeger(L, -2);
        entry->suggestion = near ? arena_dup(e->arena, str_of(near)) : NULL;
        wrong += !warning;
        lua_pop(L, 6);
    }
    lua_pop(L, 1);
    return wrong;
}

/* ---- mistakes in the order of files and lines, each once ---- */

static int by_place(const void *a, const void *b)
{
    const struct error_entry *x = *(struct error_entry *const *)a, *y = *(struct error_entry *const *)b;
    int order = strcmp(x->file ? x->file : "", y->file ? y->file : "");
    if (order == 0) order = (x->line > y->line) - (x->line < y->line);
    return order ? order : strcmp(x->message, y->message);
}

static bool same(const struct error_entry *a, const struct error_entry *b)
{
    return by_place(&a, &b) == 0;
}

static void sort_mistakes(struct error *e)
{
    struct error_entry **all = arena_array(e->arena, e->count + 1, sizeof *all);
    size_t n = 0;
    if (!all || e->count == 0) return;
    for (struct error_entry *i = e->first; i; i = i->next)
        all[n++] = i;
    qsort(all, n, sizeof *all, by_place);
    e->first = e->last = all[0];
    e->count = 1;
    for (size_t i = 1; i < n; i++) {
        if (same(e->last, all[i])) continue;
        e->last->next = all[i];
        e->last = all[i];
        e->count++;
    }
    e->last->next = NULL;
}

struct build {
    uint64_t version;
    struct error *error;
    const struct catalog *catalog;
};

static int build_body(lua_State *L)
{
    struct build *b = lua_touserdata(L, 1);
    b->catalog = catalog_build(L, b->version, b->error);
    return 0;
}

static const struct catalog *build_catalog(struct script_state *s, struct error *e)
{
    struct build b = {.version = s->sources->hash, .error = e};
    size_t wrong = collect(s->L, e);
    lua_pushcfunction(s->L, build_body);
    lua_pushlightuserdata(s->L, &b);
    if (lua_pcall(s->L, 1, 0, 0) != LUA_OK) {
        const char *text = lua_tostring(s->L, -1);
        error_add(e, NULL, "script_error", "%s", "%s", text ? text : "the declarations cannot be read");
        wrong++;
    }
    sort_mistakes(e);
    if (b.catalog && wrong == 0) return b.catalog;
    catalog_unref(b.catalog);
    error_set(e, ERROR_SCRIPT_ERROR, "the scripts have mistakes", "в сценариях есть ошибки");
    return NULL;
}

struct script_set *script_load(const struct script_config *config, struct error *e)
{
    struct script_sources *sources = sources_read(config, e);
    if (!sources) return NULL;
    struct script_set *set = calloc(1, sizeof *set);
    struct script_state *s = set ? state_open(sources, &config->limits[SCRIPT_LOAD], e) : NULL;
    if (!set) error_no_memory(e);
    if (s) {
        set->catalog = build_catalog(s, e);
        state_close(s);
    }
    if (set && set->catalog) {
        atomic_init(&set->references, 1);
        set->config = *config;
        set->sources = sources;
        return set;
    }
    free(set);
    sources_free(sources);
    return NULL;
}

/* ---- broken plugins ---- */

/* "plugins/NAME/main.lua" → the index of NAME among the enabled; -1: the file is not of a plugin. */
static int plugin_of(const struct script_config *c, const char *file)
{
    const char *rest = file && strncmp(file, "plugins/", 8) == 0 ? file + 8 : NULL;
    for (int i = 0; rest && c->enabled && c->enabled[i]; i++) {
        size_t n = strlen(c->enabled[i]);
        if (strncmp(rest, c->enabled[i], n) == 0 && (rest[n] == '/' || rest[n] == '\0')) return i;
    }
    return -1;
}

/* Takes plugins with mistakes out of *config; false when a mistake is not that of a plugin. */
static bool leave_out(struct script_config *config, struct arena *arena, const struct error *e)
{
    size_t n = 0, kept = 0;
    while (config->enabled && config->enabled[n])
        n++;
    bool *bad = arena_array(arena, n + 1, sizeof *bad);
    const char **rest = arena_array(arena, n + 1, sizeof *rest);
    if (!bad || !rest || !e->first) return false;
    for (const struct error_entry *i = e->first; i; i = i->next) {
        if (i->code && strcmp(i->code, "warning") == 0) continue;
        int at = plugin_of(config, i->file);
        if (at < 0) return false;
        bad[at] = true;
        LOG(LOG_ERROR, "script mistake", log_s("file", i->file), log_i("line", i->line),
            log_s("text", i->message));
    }
    for (size_t i = 0; i < n; i++) {
        if (bad[i])
            LOG(LOG_ERROR, "a plugin is refused; the rest is in force", log_s("plugin", config->enabled[i]));
        else
            rest[kept++] = config->enabled[i];
    }
    config->enabled = rest;
    return kept < n;
}

struct script_set *script_load_without_broken(const struct script_config *config, struct arena *arena,
                                              struct error *e)
{
    struct script_config mine = *config;
    struct script_set *set;
    while (!(set = script_load(&mine, e))) {
        if (!leave_out(&mine, arena, e)) return NULL;
        error_clear(e);
    }
    return set;
}

uint64_t script_sources_hash(const struct script_config *config, struct error *e)
{
    struct script_sources *s = sources_read(config, e);
    uint64_t hash = s ? s->hash : 0;
    sources_free(s);
    return hash;
}

struct script_set *script_set_ref(struct script_set *s)
{
    atomic_fetch_add(&s->references, 1);
    return s;
}

void script_set_unref(struct script_set *s)
{
    if (!s || atomic_fetch_sub(&s->references, 1) != 1) return;
    catalog_unref(s->catalog);
    sources_free(s->sources);
    free(s);
}

struct script_state *script_state_new(struct script_set *set, struct error *e)
{
    return state_reserve(set, e);
}

void script_state_free(struct script_state *s)
{
    if (!s) return;
    struct script_set *set = s->set;
    state_close(s);
    script_set_unref(set);
}

void script_observe(struct script_state *s, void (*noted)(void *ctx, const struct script_ended *call),
                    void *ctx)
{
    s->noted = noted;
    s->noted_ctx = ctx;
}

void script_stats(const struct script_state *s, struct script_stats out[SCRIPT_KIND_COUNT])
{
    memcpy(out, s->stats, sizeof s->stats);
}
