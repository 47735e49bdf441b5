/* web.c: http.request{method=, url=, headers=, body= or json=, timeout=, max=} of a job → {status, headers,
 * body}.
 *
 * A host must be allowed (config http_allow, or the manifest of the plugin); redirects are followed at most
 * REDIRECTS times, each checked as the first was, and credentials stay behind when the host changes. What
 * cannot be reached is an error of the script, so that the job is tried again; 429 and 503 with Retry-After
 * put the next attempt off. Requests that change something carry an Idempotency-Key that is the same in each
 * attempt. */
#include "base/decimal.h"
#include "courier/internal.h"

#include <curl/curl.h>
#include <stdio.h>

#define REDIRECTS 5
#define ANSWER_MAX ((size_t)16 << 20)
#define TIMEOUT_MAX INT64_C(300000)
#define HEADERS_MAX 50

struct web {
    struct run *run;
    struct arena arena;
    struct http_request request;
    struct http_field fields[HEADERS_MAX + 2];
    char host[256];
    int redirects;
};

static void web_free(struct web *w)
{
    arena_free(&w->arena);
    free(w);
}

/* ---- where to ---- */

static bool host_of(const char *url, char *host, size_t room)
{
    CURLU *u = curl_url();
    char *scheme = NULL, *name = NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &name, 0) == CURLUE_OK &&
              (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) && strlen(name) < room;
    if (ok) memcpy(host, name, strlen(name) + 1);
    curl_free(scheme);
    curl_free(name);
    curl_url_cleanup(u);
    return ok;
}

static bool host_fits(const char *pattern, const char *host)
{
    struct str p = str_of(pattern), h = str_of(host);
    if (str_is(p, "*")) return true;
    if (!str_starts(p, STR("*."))) return str_eq_nocase(p, h);
    p.p++;
    p.n--;
    return h.n > p.n && str_eq_nocase(p, (struct str){h.p + h.n - p.n, p.n});
}

static bool host_allowed(const struct run *r, const char *host)
{
    for (const char *const *a = r->courier->config.http_allow; a && *a; a++)
        if (host_fits(*a, host)) return true;
    return false;
}

/* ---- reading what the script said ---- */

static bool token(struct str s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!alnum && !strchr(others, c)) return false;
    }
    return s.n > 0 && s.n <= 100;
}

static bool plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) return false;
    return s.n <= 8192;
}

static bool has(const struct web *w, const char *name)
{
    for (size_t i = 0; i < w->request.fields_n; i++)
        if (str_eq_nocase(w->fields[i].name, str_of(name))) return true;
    return false;
}

static const char *read_headers(struct web *w, const struct json_value *args)
{
    const struct json_value *h = json_member(args, STR("headers"));
    if (!h) return NULL;
    if (h->type != JSON_OBJECT) return "headers is a table of name = value";
    if (h->count > HEADERS_MAX) return "at most 50 headers";
    for (const struct json_value *m = h->first; m; m = m->next) {
        if (m->type != JSON_STRING && m->type != JSON_NUMBER) return "a header's value is a text";
        if (!token(m->key) || !plain(m->text)) return "a header has a character that is not allowed there";
        w->fields[w->request.fields_n++] = (struct http_field){m->key, m->text};
    }
    return NULL;
}

static const char *read_body(struct web *w, const struct json_value *args)
{
    const struct json_value *json = json_member(args, STR("json"));
    w->request.body = arg_text(args, "body");
    if (!json) return NULL;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    json_value_write(&b, json);
    w->request.body = b.failed ? (struct str){NULL, 0} : arena_str(&w->arena, buf_view(&b));
    buf_free(&b);
    if (!w->request.body.p) return "out of memory";
    if (!has(w, "content-type"))
        w->fields[w->request.fields_n++] = (struct http_field){STR("Content-Type"), STR("application/json")};
    return NULL;
}

static const char *add_key(struct web *w)
{
    struct run *r = w->run;
    const char *m = w->request.method;
    if (strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0 || has(w, "idempotency-key")) return NULL;
    char *key = arena_printf(&w->arena, "job-%lld-%u", (long long)r->id, r->requests);
    if (!key) return "out of memory";
    w->fields[w->request.fields_n++] = (struct http_field){STR("Idempotency-Key"), str_of(key)};
    return NULL;
}

static bool number_of(const struct json_value *args, const char *name, int64_t absent, int64_t most,
                      int64_t *out)
{
    const struct json_value *v = json_member(args, str_of(name));
    *out = absent;
    if (!v) return true;
    return v->type == JSON_NUMBER && decimal_parse(v->text, 0, out) == DECIMAL_OK && *out > 0 && *out <= most;
}

static const char *read_request(struct web *w, const struct json_value *args)
{
    struct str method = arg_text(args, "method"), url = arg_text(args, "url");
    int64_t timeout, max;
    if (!method.p) method = STR("GET");
    if (!url.p || !plain(url)) return "url is missing, or holds a character that is not allowed there";
    if (!token(method)) return "method is GET, POST, PUT, PATCH, DELETE or HEAD";
    if (!number_of(args, "timeout", 30, TIMEOUT_MAX / 1000, &timeout)) return "timeout is seconds, 1 to 300";
    if (!number_of(args, "max", 1 << 20, (int64_t)ANSWER_MAX, &max)) return "max is bytes, up to 16 MiB";
    w->request.method = arena_dup(&w->arena, method);
    w->request.url = arena_dup(&w->arena, url);
    w->request.timeout_ms = timeout * 1000;
    w->request.response_max = (size_t)max;
    w->request.fields = w->fields;
    w->request.body_fd = -1;
    if (!w->request.method || !w->request.url) return "out of memory";
    const char *wrong = read_headers(w, args);
    if (!wrong) wrong = read_body(w, args);
    return wrong ? wrong : add_key(w);
}

/* ---- sending ---- */

static void on_answer(void *data, const struct http_result *result);

static const char *launch(struct web *w)
{
    static _Thread_local char words[400];
    if (!host_of(w->request.url, w->host, sizeof w->host)) return "that is not an http or https URL";
    if (!host_allowed(w->run, w->host)) {
        snprintf(words, sizeof words,
                 "the host %s is not allowed: name it in http_allow or the plugin's permissions", w->host);
        return words;
    }
    return http_client_send(w->run->courier->http, &w->request, on_answer, w) ? NULL
                                                                              : "the request cannot be made";
}

static void refuse(struct web *w, const char *words)
{
    run_refuse(w->run, "http.request: %s", words);
    web_free(w);
}

static void drop_credentials(struct web *w)
{
    size_t n = 0;
    for (size_t i = 0; i < w->request.fields_n; i++) {
        struct str name = w->fields[i].name;
        if (str_eq_nocase(name, STR("authorization")) || str_eq_nocase(name, STR("cookie"))) continue;
        w->fields[n++] = w->fields[i];
    }
    w->request.fields_n = n;
}

/* 301, 302, 303, 307, 308 for requests that only read. */
static bool follows(struct web *w, const struct http_result *r, const char **wrong)
{
    struct str to = http_result_field(r, "location");
    bool reads = strcmp(w->request.method, "GET") == 0 || strcmp(w->request.method, "HEAD") == 0;
    bool moved =
        r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 || r->status == 308;
    if (!moved || !reads || !to.n) return false;
    if (++w->redirects > REDIRECTS) {
        *wrong = "it was sent on more than 5 times";
        return true;
    }
    char before[256], *absolute = NULL, *relative = arena_dup(&w->arena, to);
    memcpy(before, w->host, sizeof before);
    CURLU *u = curl_url();
    bool ok = u && relative && curl_url_set(u, CURLUPART_URL, w->request.url, 0) == CURLUE_OK &&
              curl_url_set(u, CURLUPART_URL, relative, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_URL, &absolute, 0) == CURLUE_OK;
    w->request.url = ok ? arena_dup(&w->arena, str_of(absolute)) : NULL;
    curl_free(absolute);
    curl_url_cleanup(u);
    if (!w->request.url)
        *wrong = "it was sent on to something that is no URL";
    else if (host_of(w->request.url, w->host, sizeof w->host) && strcmp(before, w->host) != 0)
        drop_credentials(w);
    if (!*wrong) *wrong = launch(w);
    return true;
}

static void write_answer(struct buf *b, const struct http_result *r)
{
    char name[128];
    json_object(b);
    json_key(b, STR("status"));
    json_int(b, r->status);
    json_key(b, STR("headers"));
    json_object(b);
    for (size_t i = 0; i < r->fields_n; i++) {
        struct str n = r->fields[i].name;
        bool again = n.n == 0 || n.n >= sizeof name;
        for (size_t j = 0; j < i && !again; j++)
            again = str_eq_nocase(r->fields[j].name, n);
        if (again) continue; /* the first one counts */
        for (size_t j = 0; j < n.n; j++)
            name[j] = n.p[j] >= 'A' && n.p[j] <= 'Z' ? (char)(n.p[j] + 32) : n.p[j];
        json_key_any(b, (struct str){name, n.n});
        json_str(b, r->fields[i].value);
    }
    json_end_object(b);
    json_end_object(b);
}

static void on_answer(void *data, const struct http_result *r)
{
    struct web *w = data;
    struct run *run = w->run;
    const char *wrong = NULL;
    if (run->courier->closing) {
        web_free(w);
        return;
    }
    if (r->outcome != HTTP_ANSWERED) {
        run_refuse(run, "http.request: %s: %s", w->host, r->error);
        web_free(w);
        return;
    }
    if (follows(w, r, &wrong)) {
        if (wrong) refuse(w, wrong);
        return;
    }
    if ((r->status == 429 || r->status == 503) && r->retry_after > 0)
        run->retry_after_ms = r->retry_after * 1000;
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    write_answer(&b, r);
    struct script_answer answer = {.error = b.failed ? "the answer's headers are too large" : NULL,
                                   .json = buf_view(&b),
                                   .raw = r->body.p ? r->body : STR("")};
    web_free(w);
    run_answer(run, &answer);
    buf_free(&b);
}

void ask_http(struct run *r, const struct script_asked *asked)
{
    struct web *w = calloc(1, sizeof *w);
    if (!w) {
        run_refuse(r, "http.request: out of memory");
        return;
    }
    w->run = r;
    arena_init(&w->arena, (size_t)4 << 20);
    r->requests++;
    r->courier->requests++;
    const char *wrong = read_request(w, asked->args);
    if (!wrong) wrong = launch(w);
    if (wrong) refuse(w, wrong);
}
