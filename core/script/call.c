/* call.c: the one way into Lua: limits, places, and what an error means. */
#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "script/state.h"

#define TEXT_MAX 2000    /* bytes of an error's text that are told */
#define LOG_LINES_MAX 50 /* of crm.log and print, in one call */

static const char *const kind_names[] = {"load", "hook", "action", "route", "job", "computed"};

void script_push_fn(lua_State *L, script_fn fn)
{
    struct script_state *s = state_of(L);
    if (s->called) s->called[fn] = 1;
    lua_getfield(L, LUA_REGISTRYINDEX, REGISTRY_FUNCTIONS);
    lua_rawgeti(L, -1, fn);
    lua_remove(L, -2);
}

struct str bind_clean(struct arena *arena, struct str s, size_t max)
{
    if (s.n > max) {
        s.n = max;
        while (s.n && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
            s.n--;
    }
    char *copy = arena_dup(arena, s);
    if (!copy) return STR("");
    for (size_t i = 0; i < s.n; i++)
        if (copy[i] == '\0') copy[i] = ' ';
    struct str out = {copy, s.n};
    if (text_valid(out)) return out;
    for (size_t i = 0; i < out.n; i++)
        if ((unsigned char)copy[i] > 0x7F) copy[i] = '?';
    return out;
}

/* "workflows/sales.lua:12: text" → place and text. */
static struct str split_place(struct arena *arena, struct str message, const char **file, int *line)
{
    const char *at = message.p;
    for (size_t i = 0; i + 1 < message.n && i < 200; i++) {
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

/* ---- what was crossed ---- */

static bool set_limit(const struct script_state *s, enum script_abort aborted, struct error *e)
{
    const struct script_limits *l = s->set ? &s->set->config.limits[s->kind] : NULL;
    const char *kind = kind_names[s->kind];
    switch (aborted) {
    case ABORT_BUSY: return error_set(e, ERROR_BUSY, "the read takes long", "чтение занимает много времени");
    case ABORT_MEMORY:
        return error_set(
            e, ERROR_SCRIPT_LIMIT, "a script was stopped: the memory limit of %zu MiB for a %s is crossed",
            "сценарий остановлен: превышен предел памяти %zu МиБ (%s)", s->memory_max >> 20, kind);
    case ABORT_ROWS:
        return error_set(
            e, ERROR_SCRIPT_LIMIT, "a script was stopped: the limit of %lld records for a %s is crossed",
            "сценарий остановлен: превышен предел записей, %lld (%s)", l ? (long long)l->rows : 0, kind);
    case ABORT_QUERIES:
        return error_set(
            e, ERROR_SCRIPT_LIMIT, "a script was stopped: the limit of %lld queries for a %s is crossed",
            "сценарий остановлен: превышен предел запросов, %lld (%s)", l ? (long long)l->queries : 0, kind);
    default:
        return error_set(e, ERROR_SCRIPT_LIMIT,
                         "a script was stopped: the time limit of %lld ms for a %s is crossed",
                         "сценарий остановлен: превышен предел времени, %lld мс (%s)",
                         l ? (long long)l->time_ms : 0, kind);
    }
}

/* Where it was; else where the function that runs was declared (the words run some on behalf of a script). */
static void take_spot(const struct script_state *s, struct error *e)
{
    struct place p = s->frame_count ? s->frames[s->frame_count - 1] : (struct place){0};
    if (s->spot.line) p = (struct place){s->spot.file, s->spot.line};
    if (p.line == 0) return;
    e->file = arena_dup(e->arena, str_of(p.file));
    e->line = p.line;
}

static void log_failure(const struct script_state *s, const struct error *e, struct str text)
{
    LOG(LOG_ERROR, "script failed", log_s("file", e->file ? e->file : ""), log_i("line", e->line),
        log_str("error", text), log_s("call", kind_names[s->kind]));
}

/* What a script raised itself: a text, or something else that says nothing. */
static void explain_raised(struct script_state *s, lua_State *L, struct error *e)
{
    size_t n = 0;
    const char *p = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
    struct str text = STR("an error object that is not a text was raised");
    if (p)
        text = split_place(e->arena, bind_clean(e->arena, (struct str){p, n}, TEXT_MAX), &e->file, &e->line);
    /* raised by a word, by the sandbox, or in a text that was loaded: the line of the file that asked for it
     */
    bool ours = e->file && (strncmp(e->file, "scripts/", 8) == 0 || strcmp(e->file, "(load)") == 0);
    if (!e->file || ours || strncmp(e->file, "...", 3) == 0) take_spot(s, e);
    error_set(e, ERROR_SCRIPT_ERROR, "a script failed; the log has the rest",
              "ошибка в сценарии; подробности в журнале");
    log_failure(s, e, text);
    struct error_entry *entry = error_add(e, NULL, "script_error", "%.*s", "%.*s", STR_ARG(text));
    entry->file = e->file;
    entry->line = e->line;
}

/* What was known before the script was asked (fields that a stage needs) is told with what the script says.
 */
static void join(const struct error *held, struct error *e)
{
    if (!held->first) return;
    held->last->next = e->first;
    e->first = held->first;
    if (!e->last) e->last = held->last;
    e->count += held->count;
}

/* The error on top of the stack, into `e`. */
static void explain(struct script_state *s, lua_State *L, enum script_abort aborted, const struct error *held,
                    struct error *e)
{
    const struct error *refused = refusal_error(L, -1);
    if (aborted) {
        error_clear(e);
        set_limit(s, aborted, e);
        take_spot(s, e);
        if (aborted != ABORT_BUSY) log_failure(s, e, str_of(e->detail));
    } else if (refused) {
        struct arena *arena = e->arena;
        *e = *refused;
        e->arena = arena;
        join(held, e);
    } else if (e->kind == ERROR_NONE)
        explain_raised(s, L, e);
}

/* Runs where the error is raised, before the stack unwinds: notes the place, for errors without one. */
static int note_place(lua_State *L)
{
    if (!state_of(L)->aborted) script_spot_here(L);
    return 1;
}

/* More than half of a limit is worth a line in the log; at most one a second for a kind, so that a slow hook
 * does not flood it. */
static void warn_at_half(struct script_state *s, const struct script_limits *l, enum script_kind kind,
                         struct place place, uint64_t took)
{
    static _Thread_local uint64_t last[SCRIPT_KIND_COUNT];
    bool time = took > (uint64_t)l->time_ms * 500000u, memory = s->memory > s->memory_max / 2;
    bool rows = l->rows > 0 && s->rows<l->rows / 2, queries = l->queries> 0 && s->queries < l->queries / 2;
    if (!time && !memory && !rows && !queries) return;
    uint64_t now = clock_mono();
    if (last[kind] && now - last[kind] < 1000000000u) return;
    last[kind] = now;
    LOG(LOG_WARN, "a script used more than half of a limit",
        log_s("limit", time     ? "time"
                       : memory ? "memory"
                       : rows   ? "records"
                                : "queries"),
        log_s("call", kind_names[kind]), log_s("file", place.file ? place.file : ""),
        log_i("line", place.line), log_i("ms", (int64_t)(took / 1000000u)));
}

static bool begin(struct script_state *s, const struct script_limits *l, enum script_kind kind,
                  struct error *e)
{
    s->kind = kind;
    s->runs++;
    s->rows = l ? l->rows : 0;
    s->queries = l ? l->queries : 0;
    s->log_lines = LOG_LINES_MAX;
    if (!l) return true;
    s->memory_max = l->memory;
    return limits_start(s, l->time_ms)
               ? true
               : error_set(e, ERROR_INTERNAL, "no timer for scripts", "нет таймера для сценариев");
}

/* After a memory abort, what is left belongs to file-level tables of scripts. Do they hold so much that the
 * next call would fail as well, the state is made anew. */
static void recover(struct script_state *s)
{
    lua_gc(s->L, LUA_GCCOLLECT, 0);
    if (s->memory <= s->memory_max / 2 || s->jobs_alive) return;
    LOG(LOG_WARN, "scripts keep more than half of their memory between calls: their state is made anew",
        log_i("mib", (int64_t)(s->memory >> 20)));
    state_renew(s);
}

bool script_run(struct script_state *s, struct context *c, enum script_kind kind, lua_CFunction body,
                void *data, struct error *e)
{
    struct context *outer = s->context;
    struct error held = *e;
    const struct script_limits *l = s->set ? &s->set->config.limits[kind] : NULL;
    bool outermost = s->depth == 0;
    if (!state_ready(s, e)) return false;
    uint64_t start = clock_mono();
    if (outermost && !begin(s, l, kind, e)) return limits_stop(s), false;
    /* Inside a coroutine the nested call runs on that coroutine: the deadline watches what runs. */
    lua_State *L = outermost ? s->L : s->running;
    s->depth++;
    s->context = c;
    error_clear(e);
    /* Nothing here allocates: everything that may fail happens in `body`, under the pcall. */
    lua_checkstack(L, 4);
    lua_pushcfunction(L, note_place);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, data);
    int status = lua_pcall(L, 1, 0, -3);
    if (status == LUA_ERRMEM && !s->aborted) s->aborted = ABORT_MEMORY;
    enum script_abort aborted = (enum script_abort)s->aborted;
    struct place place = s->frame_count ? s->frames[s->frame_count - 1] : (struct place){0};
    uint64_t took = clock_mono() - start;
    if (outermost && l) limits_stop(s);
    if (status != LUA_OK) {
        explain(s, L, aborted, &held, e);
        s->stats[kind].aborts += aborted != ABORT_NONE;
        lua_pop(L, 1);
    } else {
        *e = held; /* what the script caught is forgotten */
        if (outermost && l) warn_at_half(s, l, kind, place, took);
    }
    lua_pop(L, 1);
    s->stats[kind].calls++;
    s->stats[kind].nanoseconds += took;
    if (s->noted)
        s->noted(s->noted_ctx,
                 &(struct script_ended){kind, place, took, status != LUA_OK && aborted != ABORT_NONE});
    s->context = outer;
    if (--s->depth == 0) {
        s->call++; /* objects given out in this call are dead now */
        if (aborted == ABORT_MEMORY) recover(s);
    }
    return status == LUA_OK;
}
