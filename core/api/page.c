/* page.c: pages for people: "/" until the desk is there, and "/problems/…", to which every error points. */
#include "api/app.h"

static const char home[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
    "content=\"width=device-width\"><title>Perigee</title>"
    "<body><h1>Perigee is running</h1><p>A CRM server for companies that sell through partners. The desk "
    "comes with a later release; everything works over HTTP now.</p>"
    "<p>Make a token on the machine where it runs:</p><pre>build/perigee token create --data data --user "
    "admin</pre>"
    "<p>and ask with it:</p><pre>curl -H \"Authorization: Bearer pgt_…\" "
    "http://127.0.0.1:8080/api/v1/me</pre>"
    "<ul><li><a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>: every endpoint (with a "
    "token)</li><li><a href=\"/healthz\">/healthz</a>, "
    "<a href=\"/readyz\">/readyz</a>, <a href=\"/metrics\">/metrics</a></li></ul><p>The manual is in "
    "<code>docs/</code>.</p></body></html>\n";

static bool html(struct call *c)
{
    c->status = 200;
    c->content_type = "text/html; charset=utf-8";
    return true;
}

static bool index_page(struct call *c)
{
    buf_cstr(c->out, home);
    return html(c);
}

static bool problem_page(struct call *c)
{
    struct str name = call_capture(c, "code");
    for (enum error_kind k = ERROR_BAD_REQUEST; k < ERROR_BUSY; k++) {
        const char *code = error_kind_code(k);
        bool same = strlen(code) == name.n;
        for (size_t i = 0; same && i < name.n; i++)
            same = name.p[i] == (code[i] == '_' ? '-' : code[i]);
        if (!same) continue;
        buf_printf(
            c->out,
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>%s</title><body><h1>%s</h1><p "
            "lang=\"ru\">%s</p><p>Status %d, code "
            "<code>%s</code>. The answer's <code>detail</code> and <code>errors</code> say what was wrong "
            "this time; <code>request_id</code> finds it in the "
            "server's log.</p></body></html>\n",
            error_kind_title(k, LANG_EN), error_kind_title(k, LANG_EN), error_kind_title(k, LANG_RU),
            error_kind_status(k), code);
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
