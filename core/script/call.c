/* call.c: the one way into Lua: limits, traceback, and what an error means. */
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "script/state.h"

#include <stdlib.h>

#define ABORT_MARK "perigee.abort"

static const char *const kind_names[] = {"load", "hook", "action", "route", "job", "computed"};

void script_check(lua_State *L)
{
    struct script_state *s = state_of(L);
    if (!s->aborted && s->deadline && clock_mono() > s->deadline) s->aborted = ABORT_TIME;
    if (!s->aborted) return;
    luaL_where(L, 0);
    if (lua_tostring(L, -1)[0] == '\0') {
        lua_pop(L, 1);
        luaL_where(L, 1);
    }
    const struct script_limits *l = s->set ? &s->set->config.limits[s->kind] : NULL;
    switch ((enum script_abort)s->aborted) {
    case ABORT_ROWS:
        lua_pushfstring(L, "the limit of %d records for a %s is crossed", l ? (int)l->rows : 0,
                        kind_names[s->kind]);
        break;
    case ABORT_QUERIES:
        lua_pushfstring(L, "the limit of %d queries for a %s is crossed", l ? (int)l->queries : 0,
                        kind_names[s->kind]);
        break;
    default:
        lua_pushfstring(L, "the time limit of %d ms for a %s is crossed", l ? (int)l->time_ms : 0,
                        kind_names[s->kind]);
    }
    lua_concat(L, 2);
    lua_error(L);
}

void script_push_fn(struct script_state *s, script_fn fn)
{
    lua_getfield(s->L, LUA_REGISTRYINDEX, REGISTRY_FUNCTIONS);
    lua_rawgeti(s->L, -1, fn);
    lua_remove(s->L, -2);
}

/* "workflows/sales.lua:12: text" → place and text. */
static struct str split_place(struct arena *arena, struct str message, const char **file, int *line)
{
    const char *at = message.p;
    for (size_t i = 0; i + 1 < message.n; i++) {
        if (at[i] != ':' || at[i + 1] < '0' || at[i + 1] > '9') continue;
        size_t j = i + 1;
        int n = 0;
        for (; j < message.n && at[j] >= '0' && at[j] <= '9' && n < 1000000; j++)
            n = n * 10 + (at[j] - '0');
        if (j + 1 >= message.n || at[j] != ':') continue;
        *file = arena_dup(arena, (struct str){at, i});
        *line = n;
        return str_trim((struct str){at + j + 1, message.n - j - 1});
    }
    return message;
}

static struct str field_text(lua_State *L, int at, const char *name, struct arena *arena)
{
    size_t n = 0;
    struct str out = {NULL, 0};
    lua_getfield(L, at, name);
    const char *p = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    if (p) out = arena_str(arena, (struct str){p, n});
    lua_pop(L, 1);
    return out;
}

/* A message is a text, or {en=…, ru=…}. */
static struct str said(lua_State *L, int at, enum lang lang, struct arena *arena)
{
    lua_getfield(L, at, "message");
    struct str out = {NULL, 0};
    if (lua_istable(L, -1)) {
        out = field_text(L, lua_gettop(L), lang_code(lang), arena);
        if (!out.p) out = field_text(L, lua_gettop(L), "en", arena);
    } else if (lua_isstring(L, -1)) {
        size_t n;
        const char *p = lua_tolstring(L, -1, &n);
        out = arena_str(arena, (struct str){p, n});
    }
    lua_pop(L, 1);
    return out;
}

/* What reject() raised: {reject = true, code =, message =, field =, place =}. */
static bool rejection(struct script_state *s, struct error *e)
{
    lua_State *L = s->L;
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) return false;
    if (luaL_getmetafield(L, at, "__perigee_reject") == LUA_TNIL) return false;
    lua_pop(L, 1);
    struct str code = field_text(L, at, "code", e->arena), field = field_text(L, at, "field", e->arena),
               text = said(L, at, e->lang, e->arena), place = field_text(L, at, "place", e->arena);
    if (!text.p) text = code;
    char *pointer = field.p ? json_pointer(e->arena, field) : NULL;
    struct error_entry *entry =
        error_add(e, pointer, code.p ? code.p : "rejected", "%.*s", "%.*s", STR_ARG(text));
    if (place.p) split_place(e->arena, place, &entry->file, &entry->line);
    error_set(e, ERROR_REJECTED, "%.*s", "%.*s", STR_ARG(text));
    return true;
}

/* The error on top of the stack, into `e`. An error of ours that passed through Lua (a refused crm.create) is
 * in `e` already. */
static void explain(struct script_state *s, int status, enum script_abort aborted, struct error *e)
{
    lua_State *L = s->L;
    if (e->kind == ERROR_NONE && !aborted && rejection(s, e)) return;
    size_t n = 0;
    const char *p = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    const char *file = NULL;
    int line = 0;
    struct str raised = p ? (struct str){p, n} : STR("an error object that is not a text was raised");
    struct str text = split_place(e->arena, arena_str(e->arena, raised), &file, &line);
    bool memory = status == LUA_ERRMEM;
    if (e->kind == ERROR_NONE) {
        e->file = file;
        e->line = line;
        if (memory)
            error_set(e, ERROR_SCRIPT_LIMIT, "a script needs more than its %zu MiB of memory",
                      "сценарию не хватило отведённых %zu МиБ памяти", s->memory_max >> 20);
        else if (aborted)
            error_set(e, ERROR_SCRIPT_LIMIT, "a script was stopped: %.*s", "сценарий остановлен: %.*s",
                      STR_ARG(text));
        else
            error_set(e, ERROR_SCRIPT_ERROR, "a script failed; the log has the rest",
                      "ошибка в сценарии; подробности в журнале");
    }
    if (e->kind == ERROR_SCRIPT_ERROR || e->kind == ERROR_SCRIPT_LIMIT)
        LOG(LOG_ERROR, "script failed", log_s("file", file ? file : ""), log_i("line", line),
            log_str("error", text), log_s("call", kind_names[s->kind]));
    if (e->kind == ERROR_SCRIPT_ERROR && e->count == 0) {
        struct error_entry *entry = error_add(e, NULL, "script_error", "%.*s", "%.*s", STR_ARG(text));
        entry->file = file;
        entry->line = line;
    }
}

bool script_run(struct script_state *s, struct context *c, enum script_kind kind, lua_CFunction body,
                void *data, struct error *e)
{
    lua_State *L = s->L;
    struct context *outer = s->context;
    enum script_kind outer_kind = s->kind;
    const struct script_limits *l = s->set ? &s->set->config.limits[kind] : NULL;
    bool outermost = s->depth++ == 0;
    uint64_t start = clock_mono();
    s->context = c;
    if (outermost) {
        s->kind = kind;
        s->rows = l ? l->rows : 0;
        s->queries = l ? l->queries : 0;
        if (l && !limits_start(s, l->time_ms))
            error_set(e, ERROR_INTERNAL, "no timer for scripts", "нет таймера для сценариев");
    }
    /* Neither of these allocates: everything that may fail happens in `body`, under the pcall. */
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, data);
    int status = lua_pcall(L, 1, 0, 0);
    enum script_abort aborted = (enum script_abort)s->aborted;
    uint64_t took = clock_mono() - start;
    if (outermost && l) limits_stop(s);
    if (status != LUA_OK) {
        explain(s, status, aborted, e);
        lua_settop(L, lua_gettop(L) - 1);
        s->stats[kind].aborts += aborted || status == LUA_ERRMEM;
        if (status == LUA_ERRMEM) lua_gc(L, LUA_GCCOLLECT, 0);
    } else if (outermost && l && took > (uint64_t)l->time_ms * 500000u) {
        LOG(LOG_WARN, "script used more than half of its time", log_s("call", kind_names[kind]),
            log_i("ms", (int64_t)(took / 1000000u)));
    }
    s->stats[kind].calls++;
    s->stats[kind].nanoseconds += took;
    if (--s->depth == 0) s->call++; /* objects given out in this call are dead now */
    s->context = outer;
    s->kind = outer_kind;
    return status == LUA_OK;
}
