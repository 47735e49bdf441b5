/* auth.c: who is asking. A bearer token wins over a cookie; a cookie needs the CSRF token for whatever
 * changes something. Credentials are looked at again in each lane, on that thread's own connection. */
#include "api/app.h"

#include <stdlib.h>

#define COOKIE "perigee_session"
#define TOUCH_MS 60000

static bool bearer_of(struct str field, struct str *token)
{
    struct str scheme = str_cut(&field, ' ');
    if (!str_eq_nocase(scheme, STR("bearer")) || !field.p) return false;
    *token = str_trim(field);
    return true;
}

void auth_credentials(struct call *c)
{
    struct str field = http_field(c->x, STR("authorization"));
    if (field.p) {
        if (!bearer_of(field, &c->bearer)) c->bearer = STR(""); /* another scheme: given, and wrong */
        return;
    }
    c->session = http_cookie(c->x, STR(COOKIE));
}

static bool unsafe(const struct call *c)
{
    return c->method != HTTP_METHOD_GET && c->method != HTTP_METHOD_HEAD && c->method != HTTP_METHOD_OPTIONS;
}

static bool check_csrf(struct call *c, const struct session *s)
{
    if (!unsafe(c) || c->parent || session_csrf_ok(s, call_header(c, "x-csrf-token"))) return true;
    error_add(&c->error, "X-CSRF-Token", "csrf", "the header X-CSRF-Token is missing or wrong",
              "нет заголовка X-CSRF-Token или он неверен");
    return error_set(&c->error, ERROR_FORBIDDEN,
                     "a change from a browser needs the X-CSRF-Token that the sign-in returned",
                     "для изменения из браузера нужен X-CSRF-Token, выданный при входе");
}

bool auth_check(struct call *c)
{
    struct worker *w = c->worker;
    const struct catalog *catalog = w->set->catalog;
    int64_t now = clock_now();
    if (c->bearer.p) {
        c->who = principal_by_token(w->principals, w->db, catalog, c->bearer, now, &c->token_id, &c->error);
        if (!c->who) return false;
        if (str_is(c->who->scope, TOKEN_CALENDAR)) /* an address that calendars keep is no credential */
            return error_set(&c->error, ERROR_UNAUTHENTICATED, "this key opens a calendar only",
                             "этот ключ открывает только календарь");
    } else if (c->session.p) {
        struct session session;
        c->who = principal_by_session(w->principals, w->db, catalog, c->session, now,
                                      c->app->options->sessions, &session, &c->error);
        if (!c->who || !check_csrf(c, &session)) return false;
    } else {
        return error_set(&c->error, ERROR_UNAUTHENTICATED,
                         "sign in, or send an API token as Authorization: Bearer",
                         "войдите или передайте токен в Authorization: Bearer");
    }
    if (unsafe(c) && str_is(c->who->scope, TOKEN_READ))
        return error_set(&c->error, ERROR_FORBIDDEN, "this token may only read",
                         "этот токен разрешает только чтение");
    return true;
}

void auth_cookie(struct call *c, const char *secret, int64_t seconds)
{
    const char *text = arena_printf(c->arena, COOKIE "=%s; Path=/; HttpOnly; SameSite=Lax; Max-Age=%lld%s",
                                    secret, (long long)seconds, c->x->secure ? "; Secure" : "");
    if (text) call_field(c, "Set-Cookie", str_of(text));
}

/* ── Last use ────────────────────────────────────────────────────────────────────────────────── */

/* What was touched lately on this loop thread, by hash; a collision only means one write more. */
#define TOUCH_SLOTS 4096
static _Thread_local struct {
    uint64_t key;
    int64_t at;
} touched[TOUCH_SLOTS];

struct touch {
    struct write_job job;
    int64_t token, now;
    size_t n;
    char secret[80];
};

static bool touch_run(struct write_job *job, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct touch *t = (struct touch *)job;
    struct arena arena;
    struct error e;
    arena_init(&arena, 16384);
    error_init(&e, &arena, LANG_EN);
    bool ok = t->token ? token_touch(d, t->token, t->now, &e)
                       : session_touch(d, (struct str){t->secret, t->n}, t->now, &e);
    arena_free(&arena);
    return ok;
}

static void touch_done(struct write_job *job, bool committed, const struct error *failure)
{
    (void)committed;
    (void)failure;
    free(job);
}

static uint64_t touch_key(const struct call *c)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ (uint64_t)c->token_id;
    for (size_t i = 0; i < c->session.n; i++)
        h = (h ^ (unsigned char)c->session.p[i]) * UINT64_C(0x100000001b3);
    return h * UINT64_C(0x9E3779B97F4A7C15);
}

void auth_touch(struct call *c)
{
    if (!c->who || (!c->token_id && c->session.n >= sizeof((struct touch *)0)->secret)) return;
    int64_t now = clock_now();
    uint64_t key = touch_key(c);
    size_t slot = key % TOUCH_SLOTS;
    if (touched[slot].key == key && now - touched[slot].at < TOUCH_MS && now >= touched[slot].at) return;
    struct touch *t = calloc(1, sizeof *t);
    if (!t) return; /* "last used" is late by a minute: no reason to refuse */
    t->job.run = touch_run;
    t->job.done = touch_done;
    t->token = c->token_id;
    t->now = now;
    t->n = c->token_id ? 0 : c->session.n;
    memcpy(t->secret, c->token_id ? "" : c->session.p, t->n);
    struct error e;
    error_init(&e, c->arena, LANG_EN);
    if (!writer_submit(c->app->writer, &t->job, &e)) {
        free(t);
        return;
    }
    touched[slot].key = key;
    touched[slot].at = now;
}
