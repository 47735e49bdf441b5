/* page.c: pages for people: "/" until the desk is there, and "/problems/…", to which every error points. */
#include "api/app.h"
#include "api/problem_texts.h"

#define HEAD(lang)                                                                                           \
    "<!doctype html><html lang=\"" lang                                                                      \
    "\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">"
#define TRY "<pre>build/perigee token create --data data --user admin</pre>"
#define ASK "<pre>curl -H \"Authorization: Bearer pgt_…\" http://127.0.0.1:8080/api/v1/me</pre>"

static const char *const home[LANG_COUNT] = {
    [LANG_EN] = HEAD(
        "en") "<title>Perigee</title><body><h1>Perigee is running</h1><p>A CRM server for companies that "
              "sell "
              "through partners. The desk comes with a later release; everything works over HTTP "
              "now.</p><p>Make a token on the machine where it runs:</p>" TRY "<p>and ask with it:</p>" ASK
              "<ul><li><a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>: every endpoint (with a "
              "token)</li><li><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>, <a "
              "href=\"/metrics\">/metrics</a></li></ul><p>The manual is in "
              "<code>docs/</code>.</p></body></html>\n",
    [LANG_RU] =
        HEAD("ru") "<title>Perigee</title><body><h1>Perigee работает</h1><p>CRM-сервер для компаний, которые "
                   "продают "
                   "через партнёров. Рабочее место появится в следующем выпуске; всё уже доступно по "
                   "HTTP.</p><p>Создайте токен на машине, где он запущен:</p>" TRY
                   "<p>и спросите с ним:</p>" ASK
                   "<ul><li><a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>: все адреса (с "
                   "токеном)</li><li><a href=\"/healthz\">/healthz</a>, <a href=\"/readyz\">/readyz</a>, <a "
                   "href=\"/metrics\">/metrics</a></li></ul><p>Руководство: папка "
                   "<code>docs/</code>.</p></body></html>\n",
};

static bool html(struct call *c)
{
    c->status = 200;
    c->content_type = "text/html; charset=utf-8";
    call_field(c, "Content-Language", str_of(lang_code(c->lang)));
    return true;
}

static bool index_page(struct call *c)
{
    buf_cstr(c->out, home[c->lang]);
    return html(c);
}

/* "not-found" and "not_found" */
static bool same_code(struct str name, const char *code)
{
    bool same = strlen(code) == name.n;
    for (size_t i = 0; same && i < name.n; i++)
        same = name.p[i] == (code[i] == '_' ? '-' : code[i]);
    return same;
}

static void write_words(struct buf *b, const struct problem_words *w, enum lang lang)
{
    buf_printf(b, "<section lang=\"%s\"><h1>%s</h1><p>%s</p></section>", lang_code(lang),
               problem_title(w, lang), w->words[lang]);
}

static bool problem_page(struct call *c)
{
    struct str name = call_capture(c, "code");
    const struct problem_words *w;
    for (size_t i = 0; (w = problem_words_nth(i)); i++) {
        if (!same_code(name, w->code)) continue;
        buf_cstr(c->out, c->lang == LANG_RU ? HEAD("ru") : HEAD("en"));
        buf_printf(c->out, "<title>%s</title><body>", problem_title(w, c->lang));
        write_words(c->out, w, c->lang);
        write_words(c->out, w, c->lang == LANG_RU ? LANG_EN : LANG_RU);
        buf_printf(c->out,
                   "<p><code>%s</code>, %d. RFC 9457: <code>detail</code>, <code>errors</code>, "
                   "<code>request_id</code>.</p></body></html>\n",
                   w->code, w->status);
        return html(c);
    }
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no such problem", "нет такой ошибки");
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/", LANE_LOOP, OPEN | NOT_IN_BATCH | HIDDEN, "", index_page, "What is running", NULL,
     NULL, 200},
    {HTTP_METHOD_GET, "/problems/{code}", LANE_LOOP, OPEN | NOT_IN_BATCH | HIDDEN, "", problem_page,
     "What an error means", NULL, NULL, 200},
};

const struct endpoint_table page_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
