/* settings.c: config.lua, the one settings file: a Lua file that returns a table, read once before anything
 * else. The table `settings` below is the list of what it may say; the shipped config.lua explains each.
 * Order of force: option on the command line, config.lua, default. Folders in the file are relative to the
 * file. */
#include "base/json.h"
#include "base/suggest.h"
#include "base/timezone.h"
#include "cli/cli.h"
#include "http/address.h"

#include <errno.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <libgen.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>

#define STEPS_MAX 10000000         /* VM instructions of a settings file */
#define FILE_MAX ((size_t)1 << 20) /* bytes of it */
#define MEMORY_MAX (16u << 20)     /* of its Lua state */

/* ---- one value ---- */

struct reading {
    lua_State *L;
    const char *file, *base; /* as given; its last part */
    const char *folder;      /* of the file: relative folders start here */
    size_t length;
    struct serve_options *out;
    struct script_limits *limits; /* of the kind of call that is being read */
    bool ok;
};

struct setting {
    const char *name;
    void (*take)(struct reading *r, const struct setting *s); /* the value is on top of the stack */
    int64_t min, max;                                         /* of a number */
};

static void complain(struct reading *r, const struct setting *s, const char *must)
{
    const char *value = luaL_tolstring(r->L, -1, NULL);
    fprintf(stderr,
            say_language() == LANG_RU ? "%s: «%s»: нужно: %s; а стоит %s (%s)\n"
                                      : "%s: \"%s\" must be %s, not %s (%s)\n",
            r->file, s->name, must, lua_type(r->L, -2) == LUA_TTABLE ? "{…}" : value,
            luaL_typename(r->L, -2));
    lua_pop(r->L, 1);
    r->ok = false;
}

static bool number(struct reading *r, const struct setting *s, int64_t *out)
{
    int whole = 0;
    lua_Integer n = lua_type(r->L, -1) == LUA_TNUMBER ? lua_tointegerx(r->L, -1, &whole) : 0;
    if (whole && n >= s->min && n <= s->max) return *out = n, true;
    char must[96];
    snprintf(must, sizeof must,
             say_language() == LANG_RU ? "целое число от %" PRId64 " до %" PRId64
                                       : "a whole number from %" PRId64 " to %" PRId64,
             s->min, s->max);
    complain(r, s, must);
    return false;
}

static const char *text(struct reading *r, const struct setting *s)
{
    if (lua_type(r->L, -1) == LUA_TSTRING && *lua_tostring(r->L, -1)) return lua_tostring(r->L, -1);
    complain(r, s, say_language() == LANG_RU ? "текст" : "a text");
    return NULL;
}

/* {"a", "b"}: copies, NULL behind the last. */
static const char **texts(struct reading *r, const struct setting *s, size_t *n)
{
    size_t count = lua_type(r->L, -1) == LUA_TTABLE ? lua_rawlen(r->L, -1) : 0, pairs = 0;
    const char **out = settings_owned(calloc(count + 1, sizeof *out));
    bool ok = lua_type(r->L, -1) == LUA_TTABLE;
    if (ok)
        for (lua_pushnil(r->L); lua_next(r->L, -2); lua_pop(r->L, 1))
            pairs++;
    for (*n = 0; ok && *n < count; lua_pop(r->L, 1)) {
        ok = lua_rawgeti(r->L, -1, (lua_Integer)*n + 1) == LUA_TSTRING;
        if (ok) out[(*n)++] = settings_copy(lua_tostring(r->L, -1));
    }
    if (ok && pairs == count) return out;
    complain(r, s, say_language() == LANG_RU ? "список текстов" : "a list of texts");
    return NULL;
}

/* ---- the settings ---- */

static void take_address(struct reading *r, const struct setting *s)
{
    if (lua_type(r->L, -1) != LUA_TSTRING || !settings_address(r->out, lua_tostring(r->L, -1)))
        complain(r, s, settings_address_words());
}

static void take_zone(struct reading *r, const struct setting *s)
{
    const char *name = text(r, s);
    if (name && timezone_find(str_of(name)))
        r->out->time_zone = settings_copy(name);
    else if (name)
        complain(r, s,
                 say_language() == LANG_RU ? "зона из базы IANA, например Europe/Moscow"
                                           : "a zone of the IANA database, such as Europe/Moscow");
}

#define FOLDER(which, member)                                                                                \
    static void take_##which(struct reading *r, const struct setting *s)                                     \
    {                                                                                                        \
        const char *name = text(r, s);                                                                       \
        if (name) r->out->member = settings_join(r->folder, name);                                           \
    }
FOLDER(data, data)
FOLDER(scripts, scripts.scripts)
FOLDER(workflows, scripts.workflows)
FOLDER(plugin_folder, scripts.plugins)

#define NUMBER(which, member, type, unit)                                                                    \
    static void take_##which(struct reading *r, const struct setting *s)                                     \
    {                                                                                                        \
        int64_t n;                                                                                           \
        if (number(r, s, &n)) r->out->member = (type)(n * (unit));                                           \
    }
NUMBER(threads, threads, unsigned, 1)
NUMBER(body_bytes, http.body_bytes, int64_t, 1)
NUMBER(import_bytes, import_bytes, int64_t, 1)
NUMBER(file_bytes, file_bytes, int64_t, 1)
NUMBER(files_bytes, files_bytes, int64_t, 1)
NUMBER(write_queue, write_queue, size_t, 1)
NUMBER(read_budget, read_budget_us, int64_t, 1000)
NUMBER(slow_limit, slow_limit_ms, int64_t, 1)
NUMBER(idle_minutes, sessions.idle_ms, int64_t, 60000)
NUMBER(session_days, sessions.absolute_ms, int64_t, 86400000)

static void take_plugins(struct reading *r, const struct setting *s)
{
    size_t n;
    const char **names = texts(r, s, &n);
    if (names) r->out->scripts.enabled = names;
}

static void take_file_types(struct reading *r, const struct setting *s)
{
    size_t n;
    const char **types = texts(r, s, &n);
    if (types) r->out->file_types = types;
}

static void take_proxies(struct reading *r, const struct setting *s)
{
    size_t n;
    const char **all = texts(r, s, &n);
    if (!all) return;
    struct str *list = settings_owned(calloc(n + 1, sizeof *list));
    for (size_t i = 0; i < n; i++)
        list[i] = str_of(all[i]);
    r->out->trusted_proxies = list;
    r->out->trusted_proxy_count = n;
}

/* Hosts that jobs of workflows may reach. */
static void take_http_allow(struct reading *r, const struct setting *s)
{
    size_t n;
    const char **hosts = texts(r, s, &n);
    if (hosts) r->out->http_allow = hosts;
}

/* Inner addresses and ranges that jobs may reach. */
static void take_http_open(struct reading *r, const struct setting *s)
{
    size_t n;
    const char **all = texts(r, s, &n);
    if (!all) return;
    struct address *ranges = settings_owned(calloc(n + 1, sizeof *ranges));
    for (size_t i = 0; i < n; i++)
        if (!address_parse(str_of(all[i]), false, &ranges[i]))
            complain(r, s,
                     say_language() == LANG_RU ? "список адресов или диапазонов, например 10.0.0.0/8"
                                               : "a list of addresses or ranges, such as 10.0.0.0/8");
    r->out->open = ranges;
    r->out->open_count = n;
}

/* "": no desk, only the small page. */
static void take_desk(struct reading *r, const struct setting *s)
{
    bool none =
        lua_type(r->L, -1) == LUA_TSTRING && lua_rawlen(r->L, -1) == 0; /* "": the small page instead */
    const char *folder = none ? NULL : text(r, s);
    if (folder) r->out->static_folder = settings_join(r->folder, folder);
    if (none) r->out->static_folder = NULL;
}

static void take_ca_file(struct reading *r, const struct setting *s)
{
    const char *name = text(r, s);
    if (name) r->out->ca_file = settings_join(r->folder, name);
}

#define MAIL(which)                                                                                          \
    static void take_mail_##which(struct reading *r, const struct setting *s)                                \
    {                                                                                                        \
        const char *value = text(r, s);                                                                      \
        if (value) r->out->mail.which = settings_copy(value);                                                \
    }
MAIL(url)
MAIL(from)
MAIL(user)
MAIL(password)

static void take_mail_plain(struct reading *r, const struct setting *s)
{
    if (lua_isboolean(r->L, -1))
        r->out->mail.plain = lua_toboolean(r->L, -1);
    else
        complain(r, s, say_language() == LANG_RU ? "true или false" : "true or false");
}

static const struct setting mail_settings[] = {{"url", take_mail_url, 0, 0},
                                               {"from", take_mail_from, 0, 0},
                                               {"user", take_mail_user, 0, 0},
                                               {"password", take_mail_password, 0, 0},
                                               {"plain", take_mail_plain, 0, 0}};

static void take_table(struct reading *r, const struct setting *all, size_t n);

static void take_mail(struct reading *r, const struct setting *s)
{
    if (lua_istable(r->L, -1))
        take_table(r, mail_settings, sizeof mail_settings / sizeof *mail_settings);
    else
        complain(r, s, say_language() == LANG_RU ? "таблица { url, from, … }" : "a table { url, from, … }");
}

/* ---- scripts: limits and what plugins are told ---- */

#define LIMIT(which, member, type, shift)                                                                    \
    static void take_limit_##which(struct reading *r, const struct setting *s)                               \
    {                                                                                                        \
        int64_t n;                                                                                           \
        if (number(r, s, &n)) r->limits->member = (type)(n << (shift));                                      \
    }
LIMIT(time_ms, time_ms, int64_t, 0)
LIMIT(memory_mb, memory, size_t, 20)
LIMIT(rows, rows, int64_t, 0)
LIMIT(queries, queries, int64_t, 0)

static const struct setting limit_settings[] = {{"time_ms", take_limit_time_ms, 1, 600000},
                                                {"memory_mb", take_limit_memory_mb, 8, 4096},
                                                {"rows", take_limit_rows, 0, 10000000},
                                                {"queries", take_limit_queries, 0, 1000000}};

static void take_limits_of(struct reading *r, const struct setting *s, enum script_kind kind)
{
    r->limits = &r->out->scripts.limits[kind];
    if (lua_istable(r->L, -1))
        take_table(r, limit_settings, sizeof limit_settings / sizeof *limit_settings);
    else
        complain(r, s,
                 say_language() == LANG_RU ? "таблица { time_ms, memory_mb, rows, queries }"
                                           : "a table { time_ms, memory_mb, rows, queries }");
}

#define KIND(which, kind)                                                                                    \
    static void take_limits_##which(struct reading *r, const struct setting *s)                              \
    {                                                                                                        \
        take_limits_of(r, s, kind);                                                                          \
    }
KIND(load, SCRIPT_LOAD)
KIND(hook, SCRIPT_HOOK)
KIND(action, SCRIPT_ACTION)
KIND(route, SCRIPT_ROUTE)
KIND(job, SCRIPT_JOB)
KIND(computed, SCRIPT_COMPUTED)

static const struct setting kinds[] = {
    {"load", take_limits_load, 0, 0},     {"hook", take_limits_hook, 0, 0},
    {"action", take_limits_action, 0, 0}, {"route", take_limits_route, 0, 0},
    {"job", take_limits_job, 0, 0},       {"computed", take_limits_computed, 0, 0}};

static void take_limits(struct reading *r, const struct setting *s)
{
    if (lua_istable(r->L, -1))
        take_table(r, kinds, sizeof kinds / sizeof *kinds);
    else
        complain(r, s,
                 say_language() == LANG_RU ? "таблица { hook = { … }, … }" : "a table { hook = { … }, … }");
}

static void write_value(lua_State *L, struct buf *b)
{
    struct str text;
    if (lua_isboolean(L, -1)) {
        json_bool(b, lua_toboolean(L, -1));
    } else if (lua_isinteger(L, -1)) {
        json_int(b, lua_tointeger(L, -1));
    } else {
        bool number = lua_type(L, -1) == LUA_TNUMBER;
        text.p = lua_tolstring(L, -1, &text.n);
        if (number)
            json_raw(b, text);
        else
            json_str(b, text);
    }
}

/* { plugin = { name = value } }, kept as JSON: the plugin's own description says what may stand there. */
static bool write_plugin(lua_State *L, struct buf *b)
{
    json_object(b);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        int type = lua_type(L, -1);
        if (lua_type(L, -2) != LUA_TSTRING ||
            (type != LUA_TSTRING && type != LUA_TNUMBER && type != LUA_TBOOLEAN))
            return lua_pop(L, 2), false;
        json_key_any(b, str_of(lua_tostring(L, -2)));
        write_value(L, b);
    }
    json_end_object(b);
    return true;
}

static void take_plugin_config(struct reading *r, const struct setting *s)
{
    struct buf b;
    bool ok = lua_istable(r->L, -1);
    buf_init(&b, 1 << 20);
    json_object(&b);
    if (ok) lua_pushnil(r->L);
    while (ok && lua_next(r->L, -2)) {
        ok = lua_type(r->L, -2) == LUA_TSTRING && lua_istable(r->L, -1);
        if (ok) json_key_any(&b, str_of(lua_tostring(r->L, -2)));
        ok = ok && write_plugin(r->L, &b);
        lua_pop(r->L, ok ? 1 : 2);
    }
    json_end_object(&b);
    buf_char(&b, '\0');
    if (ok && !b.failed)
        r->out->scripts.plugin_config = settings_copy(b.p);
    else
        complain(r, s,
                 say_language() == LANG_RU ? "таблица { плагин = { имя = значение } }"
                                           : "a table { plugin = { name = value } }");
    buf_free(&b);
}

static const struct setting settings[] = {
    {"limits", take_limits, 0, 0},
    {"plugin_config", take_plugin_config, 0, 0},
    {"address", take_address, 0, 0},
    {"data", take_data, 0, 0},
    {"time_zone", take_zone, 0, 0},
    {"scripts", take_scripts, 0, 0},
    {"workflows", take_workflows, 0, 0},
    {"plugin_folder", take_plugin_folder, 0, 0},
    {"desk", take_desk, 0, 0},
    {"plugins", take_plugins, 0, 0},
    {"trusted_proxies", take_proxies, 0, 0},
    {"threads", take_threads, 0, 64},
    {"body_bytes", take_body_bytes, 1024, INT64_C(1) << 30},
    {"import_bytes", take_import_bytes, 1024, INT64_C(1) << 40},
    {"file_bytes", take_file_bytes, 1024, INT64_C(1) << 40},
    {"file_types", take_file_types, 0, 0},
    {"files_bytes", take_files_bytes, 0, INT64_C(1) << 50},
    {"write_queue", take_write_queue, 1, 1000000},
    {"read_budget_ms", take_read_budget, 1, 1000},
    {"slow_limit_ms", take_slow_limit, 10, 600000},
    {"session_idle_minutes", take_idle_minutes, 1, 525600},
    {"session_days", take_session_days, 1, 366},
    {"http_allow", take_http_allow, 0, 0},
    {"http_open", take_http_open, 0, 0},
    {"ca_file", take_ca_file, 0, 0},
    {"mail", take_mail, 0, 0},
};

#define SETTINGS (sizeof settings / sizeof *settings)

/* A name and its value are on top of the stack. */
static void take_one(struct reading *r, const struct setting *all, size_t n)
{
    const char *name = lua_type(r->L, -2) == LUA_TSTRING ? lua_tostring(r->L, -2) : NULL;
    struct suggest near;
    if (!name) {
        fprintf(stderr,
                say_language() == LANG_RU ? "%s: у каждой настройки должно быть имя\n"
                                          : "%s: every setting has a name\n",
                r->file);
        r->ok = false;
        return;
    }
    suggest_start(&near, str_of(name));
    for (size_t i = 0; i < n; i++) {
        if (strcmp(all[i].name, name) == 0) {
            all[i].take(r, &all[i]);
            return;
        }
        suggest_try(&near, str_of(all[i].name));
    }
    fprintf(stderr, say_language() == LANG_RU ? "%s: нет настройки «%s»" : "%s: there is no setting \"%s\"",
            r->file, name);
    if (near.best.p)
        fprintf(stderr, say_language() == LANG_RU ? "; может быть, «%.*s»?" : "; did you mean \"%.*s\"?",
                STR_ARG(near.best));
    fputc('\n', stderr);
    r->ok = false;
}

static void take_table(struct reading *r, const struct setting *all, size_t n)
{
    for (lua_pushnil(r->L); lua_next(r->L, -2); lua_pop(r->L, 1))
        take_one(r, all, n);
}

/* ---- the file ---- */

struct allowance {
    size_t used;
};

static void *allocate(void *ctx, void *p, size_t old, size_t wanted)
{
    struct allowance *a = ctx;
    size_t had = p ? old : 0;
    if (wanted == 0) {
        free(p);
        a->used -= had;
        return NULL;
    }
    if (wanted > had && a->used + (wanted - had) > MEMORY_MAX) return NULL;
    void *q = realloc(p, wanted);
    if (q) a->used = a->used - had + wanted;
    return q;
}

static void too_long(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    luaL_error(L, "a settings file is data; this one does not come to an end");
}

/* Protected: lua_next, tostring and copies of a hostile file may run out of memory. No libraries at all. The
 * chunk is called by the bare name of the file, since Lua would cut a long path in the middle. */
static int read_protected(lua_State *L)
{
    struct reading *r = lua_touserdata(L, 1);
    const char *text = lua_touserdata(L, 2);
    lua_sethook(L, too_long, LUA_MASKCOUNT, STEPS_MAX);
    lua_pushfstring(L, "=%s", r->base);
    if (luaL_loadbufferx(L, text, r->length, lua_tostring(L, -1), "t") != LUA_OK) return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_istable(L, -1)) return luaL_error(L, "must return a table of settings");
    take_table(r, settings, SETTINGS);
    return 0;
}

/* The whole file; NULL with errno. */
static char *slurp(const char *file, size_t *length)
{
    char *text = settings_owned(malloc(FILE_MAX));
    FILE *f = fopen(file, "rb");
    size_t n = f ? fread(text, 1, FILE_MAX, f) : 0;
    bool ok = f && !ferror(f) && n < FILE_MAX;
    if (f && !ok && !ferror(f)) errno = EFBIG;
    int why = errno;
    if (f) fclose(f);
    *length = n;
    if (ok) return text;
    free(text);
    errno = why;
    return NULL;
}

bool config_read(const char *file, struct serve_options *o)
{
    char *copied = settings_copy(file), *text;
    const char *slash = strrchr(file, '/');
    struct allowance allowance = {0};
    struct reading r = {
        .file = file, .base = slash ? slash + 1 : file, .folder = dirname(copied), .out = o, .ok = true};
    text = slurp(file, &r.length);
    r.ok = text != NULL;
    if (!text) fprintf(stderr, "perigee: %s: %s\n", file, strerror(errno));
    r.L = settings_owned(lua_newstate(allocate, &allowance));
    lua_pushcfunction(r.L, read_protected);
    lua_pushlightuserdata(r.L, &r);
    lua_pushlightuserdata(r.L, text);
    if (text && lua_pcall(r.L, 2, 0, 0) != LUA_OK) {
        const char *why = lua_tostring(r.L, -1); /* "config.lua:1: …", or without a place */
        bool placed = why && strncmp(why, r.base, strlen(r.base)) == 0;
        fprintf(stderr, "perigee: %.*s%s%s%s\n", (int)(r.base - file), file, placed ? "" : r.base,
                placed ? "" : ": ", why ? why : "?");
        r.ok = false;
    }
    lua_close(r.L);
    free(text);
    free(copied);
    return r.ok;
}
