/* problems.c: errors as RFC 9457 problem+json, in the language of whoever asked.
 *
 * Every refusal of the server goes through here: those of handlers (problem_answer) and those that the
 * HTTP layer gives before a handler is asked (problem_render). */
#include "api/app.h"
#include "api/problem_texts.h"

bool problem_lang(struct str accept, enum lang *lang)
{
    int best = 0;
    while (accept.p && accept.n) {
        struct str item = str_cut(&accept, ',');
        struct str tag = str_trim(str_cut(&item, ';')), primary = str_cut(&tag, '-');
        bool russian = str_eq_nocase(primary, STR("ru"));
        if (!russian && !str_eq_nocase(primary, STR("en"))) continue;
        int quality = accept_quality(item);
        if (quality <= best) continue;
        best = quality;
        *lang = russian ? LANG_RU : LANG_EN;
    }
    return best > 0;
}

static void write_entry(struct buf *b, const struct error_entry *e, bool developer)
{
    json_object(b);
    if (e->pointer) {
        json_key(b, STR("pointer"));
        json_cstr(b, e->pointer);
    }
    json_key(b, STR("code"));
    json_cstr(b, e->code ? e->code : "invalid");
    json_key(b, STR("message"));
    json_cstr(b, e->message ? e->message : "");
    if (e->offset >= 0) {
        json_key(b, STR("offset"));
        json_int(b, e->offset);
    }
    if (e->expected) {
        json_key(b, STR("expected"));
        json_array(b);
        for (struct str rest = str_of(e->expected); rest.p && rest.n;)
            json_str(b, str_cut(&rest, ' '));
        json_end_array(b);
    }
    if (e->suggestion) {
        json_key(b, STR("suggestion"));
        json_cstr(b, e->suggestion);
    }
    if (developer && e->file) {
        json_key(b, STR("file"));
        json_cstr(b, e->file);
        json_key(b, STR("line"));
        json_int(b, e->line);
    }
    json_end_object(b);
}

static void write_type(struct buf *b, const char *code)
{
    json_key(b, STR("type"));
    buf_add(b, "\"/problems/", 11);
    for (const char *p = code; *p; p++)
        buf_char(b, *p == '_' ? '-' : *p);
    buf_char(b, '"');
}

void problem_write(struct buf *b, const struct error *e, struct str request_id, bool developer)
{
    const char *code = error_kind_code(e->kind);
    json_object(b);
    write_type(b, code);
    json_key(b, STR("title"));
    json_cstr(b, error_kind_title(e->kind, e->lang));
    json_key(b, STR("status"));
    json_int(b, error_kind_status(e->kind));
    json_key(b, STR("code"));
    json_cstr(b, code);
    json_key(b, STR("detail"));
    json_cstr(b, e->detail ? e->detail : "");
    if (e->first) {
        json_key(b, STR("errors"));
        json_array(b);
        for (const struct error_entry *entry = e->first; entry; entry = entry->next)
            write_entry(b, entry, developer);
        json_end_array(b);
    }
    if (e->current) {
        json_key(b, STR("current"));
        json_raw(b, str_of(e->current));
    }
    if (e->candidates) {
        json_key(b, STR("candidates"));
        json_raw(b, str_of(e->candidates));
    }
    if (developer && e->file) {
        json_key(b, STR("file"));
        json_cstr(b, e->file);
        json_key(b, STR("line"));
        json_int(b, e->line);
    }
    json_key(b, STR("request_id"));
    json_str(b, request_id);
    json_end_object(b);
}

static struct str request_id(const struct call *c)
{
    while (!c->x && c->parent)
        c = c->parent;
    return c->x ? c->x->request_id : STR("");
}

static void log_problem(const struct call *c, int status)
{
    const struct error *e = &c->error;
    if (status < 500 && !e->file) return;
    LOG(status >= 500 ? LOG_ERROR : LOG_INFO, "refused", log_i("status", status),
        log_s("code", error_kind_code(e->kind)), log_s("detail", e->detail),
        log_s("file", e->file ? e->file : ""), log_i("line", e->line), log_str("path", c->path));
}

void problem_answer(struct call *c)
{
    struct error *e = &c->error;
    if (e->kind == ERROR_NONE || e->kind == ERROR_BUSY)
        e->kind = ERROR_INTERNAL; /* a handler said no without a word: a defect, yet the answer is clear */
    if (!e->detail || e->kind == ERROR_INTERNAL)
        e->detail = e->lang == LANG_RU ? "внутренняя ошибка; подробности в журнале сервера"
                                       : "an internal error; the server's log has the rest";
    c->status = error_kind_status(e->kind);
    log_problem(c, c->status);
    buf_reset(c->out);
    problem_write(c->out, e, request_id(c), c->app->options->dev || call_is_admin(c));
    c->content_type = "application/problem+json";
    c->fields = NULL;
    if (e->retry_after > 0) {
        const char *seconds = arena_printf(c->arena, "%lld", (long long)e->retry_after);
        if (seconds) call_field(c, "Retry-After", str_of(seconds));
    }
    if (c->status == 401) call_field(c, "WWW-Authenticate", STR("Bearer realm=\"perigee\""));
    if (c->status == 405) call_field(c, "Allow", str_of(routes_allow(c->match.methods, c->arena)));
    call_field(c, "Content-Language", str_of(lang_code(e->lang)));
}

void problem_render(void *app, struct http_exchange *x, int status, const char *code, const char *detail_en,
                    const char *detail_ru, struct buf *body)
{
    (void)app;
    enum lang lang = LANG_EN;
    problem_lang(http_field(x, STR("accept-language")), &lang);
    http_reply_field(x, STR("Content-Language"), str_of(lang_code(lang)));
    http_reply_field(x, STR("Vary"), STR("Accept-Language"));
    const struct problem_words *words = problem_words_find(code);
    const char *title = words ? problem_title(words, lang) : NULL;
    json_object(body);
    write_type(body, code);
    json_key(body, STR("title"));
    json_cstr(body, title ? title : lang == LANG_RU ? "Запрос не принят" : "Request refused");
    json_key(body, STR("status"));
    json_int(body, status);
    json_key(body, STR("code"));
    json_cstr(body, code);
    json_key(body, STR("detail"));
    json_cstr(body, lang == LANG_RU ? detail_ru : detail_en);
    json_key(body, STR("request_id"));
    json_str(body, x->request_id);
    json_end_object(body);
}
