/* routes.c: from a path to its endpoint. Every file of api/ ends with its own table; they meet here.
 *
 * Patterns of the same length are tried in the order of the tables, so that the words of the server
 * ("/api/v1/me") come before "/api/v1/{collection}". The first pattern that fits decides about the path;
 * its methods are all endpoints with that very pattern. */
#include "api/app.h"

#include <assert.h>

static const struct endpoint_table *const tables[] = {
    &health_endpoints,  &feed_endpoints,   &metrics_endpoints, &page_endpoints,     &sessions_endpoints,
    &tokens_endpoints,  &me_endpoints,     &schema_endpoints,  &openapi_endpoints,  &batch_endpoints,
    &events_endpoints,  &reload_endpoints, &jobs_endpoints,    &webhooks_endpoints, &password_endpoints,
    &imports_endpoints, &files_endpoints,  &board_endpoints,   &actions_endpoints,  &timeline_endpoints,
    &records_endpoints,
};

#define TABLES (sizeof tables / sizeof tables[0])

struct segments {
    struct str part[SEGMENTS_MAX];
    size_t n;
};

static bool split(struct str path, struct segments *out)
{
    out->n = 0;
    struct str rest = path;
    if (rest.n == 0 || rest.p[0] != '/') return false;
    rest.p++, rest.n--;
    do {
        if (out->n == SEGMENTS_MAX) return false;
        const char *slash = rest.n ? memchr(rest.p, '/', rest.n) : NULL;
        size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
        out->part[out->n++] = (struct str){rest.p, n};
        if (!slash) return true;
        rest = (struct str){slash + 1, rest.n - n - 1};
    } while (true);
}

/* The patterns taken apart, once. */
struct pattern {
    const struct endpoint *endpoint;
    struct segments parts;
};

static struct pattern patterns[ENDPOINTS_MAX];
static size_t pattern_count;
static pthread_once_t routes_once = PTHREAD_ONCE_INIT;

static void take_apart(void)
{
    assert(!routes_nth(ENDPOINTS_MAX)); /* app.h has room for all of them */
    for (size_t t = 0; t < TABLES; t++)
        for (size_t i = 0; i < tables[t]->count && pattern_count < ENDPOINTS_MAX; i++) {
            struct pattern *r = &patterns[pattern_count++];
            r->endpoint = &tables[t]->first[i];
            split(str_of(r->endpoint->path), &r->parts);
        }
}

static bool fits(const struct segments *pattern, const struct segments *path, struct match *m)
{
    m->capture_count = 0;
    if (pattern->n != path->n) return false;
    for (size_t i = path->n; i-- > 0;) { /* the ends differ most */
        struct str p = pattern->part[i], part = path->part[i];
        if (p.n && p.p[0] == '{' ? part.n == 0 : !str_eq(p, part)) return false;
    }
    for (size_t i = 0; i < path->n; i++)
        if (pattern->part[i].n && pattern->part[i].p[0] == '{')
            m->captures[m->capture_count++].value = path->part[i];
    return true;
}

static const char *const capture_names[] = {"collection", "id", "name", "code", "delivery"};

/* "{id}" → "id": the names are few, so they are shared constants. */
static void name_captures(const char *pattern, struct match *m)
{
    size_t n = 0;
    for (const char *p = strchr(pattern, '{'); p; p = strchr(p + 1, '{'))
        for (size_t i = 0; i < sizeof capture_names / sizeof capture_names[0]; i++) {
            size_t length = strlen(capture_names[i]);
            if (strncmp(p + 1, capture_names[i], length) == 0 && p[1 + length] == '}')
                m->captures[n++].name = capture_names[i];
        }
    m->capture_count = n;
}

void routes_match(enum http_method method, struct str path, struct match *out)
{
    struct segments parts;
    *out = (struct match){.number = ENDPOINTS_MAX};
    if (!split(path, &parts)) return;
    if (method == HTTP_METHOD_HEAD) method = HTTP_METHOD_GET;
    pthread_once(&routes_once, take_apart);
    const char *pattern = NULL;
    for (size_t i = 0; i < pattern_count; i++) {
        const struct endpoint *e = patterns[i].endpoint;
        if (pattern ? patterns[i].parts.n != parts.n || strcmp(pattern, e->path) != 0
                    : !fits(&patterns[i].parts, &parts, out))
            continue;
        pattern = e->path;
        out->methods |= 1U << e->method;
        if (e->method == method) {
            out->endpoint = e;
            out->number = i;
        }
    }
    out->known = pattern != NULL;
    if (pattern) name_captures(pattern, out);
}

const struct endpoint *routes_nth(size_t n)
{
    for (size_t t = 0; t < TABLES; t++) {
        if (n < tables[t]->count) return &tables[t]->first[n];
        n -= tables[t]->count;
    }
    return NULL;
}

const char *routes_allow(unsigned methods, struct arena *arena)
{
    const char *text = "OPTIONS";
    for (int m = HTTP_METHOD_COUNT - 1; m >= 0 && text; m--) {
        bool has = methods & (1U << m) || (m == HTTP_METHOD_HEAD && methods & (1U << HTTP_METHOD_GET));
        if (has && m != HTTP_METHOD_OPTIONS)
            text = arena_printf(arena, "%.*s, %s", STR_ARG(http_method_text((enum http_method)m)), text);
    }
    return text ? text : "OPTIONS";
}
