/* settings.c: config.lua, the one settings file: a Lua file that returns a table. Keys:
 *
 *   address = "127.0.0.1:8080"   data = "data"        time_zone = "Europe/Moscow"   threads = 0 (one for each
 * core) plugins = { "name", … }      trusted_proxies = { "127.0.0.1", … } scripts, workflows, plugin_folder =
 * folders       body_bytes, write_queue, read_budget_ms, slow_limit_ms, session_idle_minutes, session_days =
 * numbers
 *   http_allow = { hosts that jobs may reach }   http_open = { inner ranges that they may }   ca_file
 *   mail = { url, from, user, password (or PERIGEE_MAIL_PASSWORD in the environment), plain } */
#include "base/suggest.h"
#include "cli/cli.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const keys[] = {"address",       "data",
                                   "time_zone",     "threads",
                                   "plugins",       "trusted_proxies",
                                   "scripts",       "workflows",
                                   "plugin_folder", "body_bytes",
                                   "write_queue",   "read_budget_ms",
                                   "slow_limit_ms", "session_idle_minutes",
                                   "session_days",  "http_allow",
                                   "http_open",     "ca_file",
                                   "mail",          NULL};

static char *copy(const char *s)
{
    char *p = strdup(s);
    if (!p) {
        fputs("perigee: out of memory\n", stderr);
        exit(1);
    }
    return p;
}

/* "host:port"; the port may be left out. */
static bool set_address(struct serve_options *o, const char *text)
{
    char *host = copy(text), *colon = strrchr(host, ':');
    char *end;
    long port = colon ? strtol(colon + 1, &end, 10) : o->port;
    if (colon && (colon[1] == '\0' || *end != '\0' || port < 0 || port > 65535)) {
        fprintf(stderr, "perigee: \"%s\" is not ADDRESS:PORT\n", text);
        free(host);
        return false;
    }
    if (colon) *colon = '\0';
    if (host[0] == '[') memmove(host, host + 1, strlen(host));
    if (*host && host[strlen(host) - 1] == ']') host[strlen(host) - 1] = '\0';
    o->address = host;
    o->port = (uint16_t)port;
    return true;
}

static const char *text_of(lua_State *L, const char *name)
{
    const char *v = lua_getfield(L, -1, name) == LUA_TSTRING ? copy(lua_tostring(L, -1)) : NULL;
    lua_pop(L, 1);
    return v;
}

static int64_t number_of(lua_State *L, const char *name, int64_t absent)
{
    int64_t v = lua_getfield(L, -1, name) == LUA_TNUMBER ? (int64_t)lua_tonumber(L, -1) : absent;
    lua_pop(L, 1);
    return v;
}

static const char **texts_of(lua_State *L, const char *name, size_t *n)
{
    const char **out = NULL;
    *n = 0;
    if (lua_getfield(L, -1, name) == LUA_TTABLE) {
        size_t count = lua_rawlen(L, -1);
        out = calloc(count + 1, sizeof *out);
        for (size_t i = 1; out && i <= count; i++) {
            lua_rawgeti(L, -1, (lua_Integer)i);
            if (lua_isstring(L, -1)) out[(*n)++] = copy(lua_tostring(L, -1));
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
    return out;
}

/* Inner addresses and ranges that jobs may reach. */
static bool set_open(lua_State *L, struct serve_options *o)
{
    size_t n;
    const char **texts = texts_of(L, "http_open", &n);
    struct address *ranges = texts ? calloc(n + 1, sizeof *ranges) : NULL;
    for (size_t i = 0; ranges && i < n; i++) {
        if (address_parse(str_of(texts[i]), false, &ranges[i])) continue;
        fprintf(stderr, "perigee: http_open: \"%s\" is no address or range\n", texts[i]);
        free(ranges);
        return false;
    }
    o->open = ranges;
    o->open_count = ranges ? n : 0;
    return true;
}

/* mail = { url = "smtp://mail.example.com:587", from = "Perigee <crm@example.com>", user =, password =, plain
 * = false } */
static bool set_mail(lua_State *L, struct serve_options *o)
{
    if (lua_getfield(L, -1, "mail") == LUA_TTABLE) {
        o->mail = (struct courier_mail){text_of(L, "url"), text_of(L, "user"), text_of(L, "password"),
                                        text_of(L, "from"), false};
        lua_getfield(L, -1, "plain");
        o->mail.plain = lua_toboolean(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (!o->mail.password) o->mail.password = getenv("PERIGEE_MAIL_PASSWORD");
    if (!o->mail.url == !o->mail.from) return true;
    fputs("perigee: mail needs both url and from\n", stderr);
    return false;
}

static bool check_keys(lua_State *L, const char *file)
{
    bool ok = true;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        struct suggest s;
        bool known = false;
        suggest_start(&s, str_of(name));
        for (size_t i = 0; keys[i]; i++) {
            known = known || strcmp(keys[i], name) == 0;
            suggest_try(&s, str_of(keys[i]));
        }
        if (known) continue;
        fprintf(stderr, "%s: there is no setting \"%s\"%s%s%s\n", file, name,
                s.best.p ? "; did you mean \"" : "", s.best.p ? s.best.p : "", s.best.p ? "\"?" : "");
        ok = false;
    }
    return ok;
}

static bool apply(lua_State *L, struct serve_options *o)
{
    const char *address = text_of(L, "address"), *data = text_of(L, "data"), *zone = text_of(L, "time_zone"),
               *scripts = text_of(L, "scripts"), *workflows = text_of(L, "workflows"),
               *plugins = text_of(L, "plugin_folder");
    size_t n;
    if (address && !set_address(o, address)) return false;
    if (data) o->data = data;
    if (zone) o->time_zone = zone;
    if (scripts) o->scripts.scripts = scripts;
    if (workflows) o->scripts.workflows = workflows;
    if (plugins) o->scripts.plugins = plugins;
    const char **enabled = texts_of(L, "plugins", &n);
    if (enabled) o->scripts.enabled = enabled;
    const char **proxies = texts_of(L, "trusted_proxies", &n);
    struct str *list = proxies ? calloc(n + 1, sizeof *list) : NULL;
    for (size_t i = 0; list && i < n; i++)
        list[i] = str_of(proxies[i]);
    o->trusted_proxies = list;
    o->trusted_proxy_count = list ? n : 0;
    o->http_allow = texts_of(L, "http_allow", &n);
    o->ca_file = text_of(L, "ca_file");
    if (!set_open(L, o) || !set_mail(L, o)) return false;
    o->threads = (unsigned)number_of(L, "threads", o->threads);
    o->http.body_bytes = number_of(L, "body_bytes", o->http.body_bytes);
    o->write_queue = (size_t)number_of(L, "write_queue", (int64_t)o->write_queue);
    o->read_budget_us = number_of(L, "read_budget_ms", o->read_budget_us / 1000) * 1000;
    o->slow_limit_ms = number_of(L, "slow_limit_ms", o->slow_limit_ms);
    o->sessions.idle_ms = number_of(L, "session_idle_minutes", o->sessions.idle_ms / 60000) * 60000;
    o->sessions.absolute_ms = number_of(L, "session_days", o->sessions.absolute_ms / 86400000) * 86400000;
    return true;
}

/* No libraries at all: a settings file is data. */
static bool read_file(const char *file, struct serve_options *o)
{
    lua_State *L = luaL_newstate();
    if (!L) return fputs("perigee: out of memory\n", stderr), false;
    bool ok = luaL_loadfilex(L, file, "t") == LUA_OK && lua_pcall(L, 0, 1, 0) == LUA_OK;
    if (!ok)
        fprintf(stderr, "perigee: %s\n", lua_tostring(L, -1));
    else if (!lua_istable(L, -1)) {
        fprintf(stderr, "%s: must return a table of settings\n", file);
        ok = false;
    } else
        ok = check_keys(L, file) && apply(L, o);
    lua_close(L);
    return ok;
}

/* The project's own folders: beside the current folder, or above the executable. */
static void find_home(struct serve_options *o)
{
    char exe[4096];
    struct stat st;
    if (stat("scripts/words", &st) == 0) return;
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 64);
    if (n <= 0) return;
    exe[n] = '\0';
    for (int up = 0; up < 3; up++) {
        char *slash = strrchr(exe, '/');
        if (!slash) return;
        *slash = '\0';
        char probe[4200];
        snprintf(probe, sizeof probe, "%s/scripts/words", exe);
        if (stat(probe, &st) != 0) continue;
        snprintf(probe, sizeof probe, "%s/scripts", exe);
        o->scripts.scripts = copy(probe);
        snprintf(probe, sizeof probe, "%s/workflows", exe);
        o->scripts.workflows = copy(probe);
        snprintf(probe, sizeof probe, "%s/plugins", exe);
        o->scripts.plugins = copy(probe);
        return;
    }
}

bool settings_read(const struct options *o, struct serve_options *out)
{
    serve_options_defaults(out);
    find_home(out);
    const char *file = option(o, "config", NULL);
    if (file && !read_file(file, out)) return false;
    out->data = option(o, "data", out->data);
    out->scripts.workflows = option(o, "workflows", out->scripts.workflows);
    out->dev = option_given(o, "dev");
    out->insecure = option_given(o, "insecure");
    const char *listen = option(o, "listen", NULL);
    return !listen || set_address(out, listen);
}
