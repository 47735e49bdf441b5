/* target.c: the request target: path and query string, percent-decoding, and the small lists that live in
 * header fields (cookies, entity tags). */
#include "base/text.h"
#include "http/request.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Writes at most s.n bytes; returns their number, or SIZE_MAX for a bad escape or a NUL. */
static size_t unescape(struct str s, bool plus, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int high = i + 2 < s.n ? hex(s.p[i + 1]) : -1;
            int low = high >= 0 ? hex(s.p[i + 2]) : -1;
            if (low < 0) return SIZE_MAX;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (c == '\0') return SIZE_MAX;
        out[n++] = c;
    }
    return n;
}

/* PAIR: decoded; BAD, NO_MEMORY. */
static enum http_query decode(struct str s, bool plus, struct arena *arena, struct str *out)
{
    bool plain = !memchr(s.p, '%', s.n) && !memchr(s.p, '\0', s.n) && !(plus && memchr(s.p, '+', s.n));
    if (!plain) {
        char *p = arena_alloc(arena, s.n + 1);
        if (!p) return HTTP_QUERY_NO_MEMORY;
        size_t n = unescape(s, plus, p);
        if (n == SIZE_MAX) return HTTP_QUERY_BAD;
        s = (struct str){p, n};
    }
    *out = s;
    return text_valid(s) ? HTTP_QUERY_PAIR : HTTP_QUERY_BAD;
}

struct str http_percent_decode(struct str s, struct arena *arena)
{
    struct str out = {0};
    if (s.n == 0) return STR("");
    return decode(s, false, arena, &out) == HTTP_QUERY_PAIR ? out : (struct str){0};
}

enum http_query http_query_next(struct str *query, struct arena *arena, struct str *name, struct str *value)
{
    struct str pair = {0};
    do {
        if (!query->p || query->n == 0) return HTTP_QUERY_END;
        pair = str_cut(query, '&');
    } while (pair.n == 0);
    struct str rest = pair;
    struct str raw = str_cut(&rest, '=');
    *name = *value = STR("");
    enum http_query result = raw.n ? decode(raw, true, arena, name) : HTTP_QUERY_PAIR;
    if (result == HTTP_QUERY_PAIR && rest.n > 0) result = decode(rest, true, arena, value);
    return result;
}

bool target_host_valid(struct str host)
{
    if (host.n == 0 || host.n > 255) return false;
    size_t name = host.n;
    if (host.p[0] == '[') {
        const char *end = memchr(host.p, ']', host.n);
        if (!end) return false;
        name = (size_t)(end - host.p) + 1;
        for (size_t i = 1; i + 1 < name; i++)
            if (hex(host.p[i]) < 0 && host.p[i] != ':' && host.p[i] != '.') return false;
    } else {
        const char *colon = memchr(host.p, ':', host.n);
        if (colon) name = (size_t)(colon - host.p);
        for (size_t i = 0; i < name; i++) {
            char c = host.p[i];
            bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            if (!letter && !(c && strchr("-._~%!$&'()*+,;=", c))) return false;
        }
    }
    if (name == 0 || (name < host.n && host.p[name] != ':') || host.n - name > 6) return false;
    for (size_t i = name + 1; i < host.n; i++)
        if (host.p[i] < '0' || host.p[i] > '9') return false;
    return true;
}

/* "http://host/path": the host moves to x->host, the rest is returned; .p == NULL when it is not of that
 * form. */
static struct str absolute_form(struct http_exchange *x, struct str target)
{
    size_t scheme = 0;
    if (target.n > 7 && str_eq_nocase((struct str){target.p, 7}, STR("http://")))
        scheme = 7;
    else if (target.n > 8 && str_eq_nocase((struct str){target.p, 8}, STR("https://")))
        scheme = 8;
    if (scheme == 0) return (struct str){0};
    size_t end = scheme;
    while (end < target.n && target.p[end] != '/' && target.p[end] != '?')
        end++;
    x->host = (struct str){target.p + scheme, end - scheme};
    if (!target_host_valid(x->host)) return (struct str){0};
    return (struct str){target.p + end, target.n - end};
}

enum problem target_parse(struct http_exchange *x)
{
    struct str target = x->target;
    if (memchr(target.p, '#', target.n)) return PROBLEM_TARGET;
    if (str_is(target, "*")) {
        x->path = x->path_raw = target;
        return x->method == HTTP_METHOD_OPTIONS ? PROBLEM_NONE : PROBLEM_TARGET;
    }
    if (target.p[0] != '/') {
        target = absolute_form(x, target);
        if (!target.p) return PROBLEM_TARGET;
    }
    struct str rest = target;
    x->path_raw = str_cut(&rest, '?');
    x->query = rest;
    if (x->path_raw.n == 0) x->path_raw = STR("/");
    switch (decode(x->path_raw, false, x->arena, &x->path)) {
    case HTTP_QUERY_PAIR: return PROBLEM_NONE;
    case HTTP_QUERY_NO_MEMORY: return PROBLEM_MEMORY;
    default: return PROBLEM_TARGET_ESCAPE;
    }
}

struct str http_cookie(const struct http_exchange *x, struct str name)
{
    for (size_t i = 0; i < x->fields_n; i++) {
        if (!str_eq_nocase(x->fields[i].name, STR("cookie"))) continue;
        struct str rest = x->fields[i].value;
        while (rest.p && rest.n > 0) {
            struct str value = str_cut(&rest, ';');
            struct str key = str_trim(str_cut(&value, '='));
            if (value.p && str_eq(key, name)) {
                value = str_trim(value);
                if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
                    value = (struct str){value.p + 1, value.n - 2};
                return value;
            }
        }
    }
    return (struct str){0};
}

bool http_etag_listed(struct str list, struct str etag, bool weak)
{
    bool etag_weak = str_starts(etag, STR("W/"));
    if (etag_weak) etag = (struct str){etag.p + 2, etag.n - 2};
    list = str_trim(list);
    if (str_is(list, "*")) return true;
    while (list.n > 0) {
        bool listed_weak = str_starts(list, STR("W/"));
        if (listed_weak) list = (struct str){list.p + 2, list.n - 2};
        const char *end = list.n > 1 && list.p[0] == '"' ? memchr(list.p + 1, '"', list.n - 1) : NULL;
        if (!end) return false; /* not a list of entity tags */
        struct str tag = {list.p, (size_t)(end - list.p) + 1};
        if (str_eq(tag, etag) && (weak || (!listed_weak && !etag_weak))) return true;
        list = str_trim((struct str){list.p + tag.n, list.n - tag.n});
        if (list.n > 0 && list.p[0] != ',') return false;
        if (list.n > 0) list = str_trim((struct str){list.p + 1, list.n - 1});
    }
    return false;
}
