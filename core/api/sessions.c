/* sessions.c: signing in and out from a browser.
 *
 *   POST /sessions ─► slow lane: throttle, argon2id (a tenth of a second) ─► writer: the session ─► cookie
 *
 * A login that nobody has, one that is not active and one without a password take the same time and get the
 * same words as a wrong password. Signing in always makes a new session and ends the one whose cookie came
 * with the request, so a session that somebody planted never becomes somebody's. */
#include "api/app.h"
#include "store/trail.h"

#include <sodium.h>

struct signing {
    int64_t user;
    struct str login;
    struct str password;
};

static bool wait_first(struct call *c, int64_t seconds)
{
    c->error.retry_after = seconds;
    return error_set(&c->error, ERROR_TOO_MANY_REQUESTS, "too many failed attempts; try again in %lld s",
                     "слишком много неудачных попыток; повторите через %lld с", (long long)seconds);
}

static bool wrong(struct call *c)
{
    return error_set(&c->error, ERROR_UNAUTHENTICATED, "the login or the password is wrong",
                     "неверный логин или пароль");
}

static bool create(struct call *c)
{
    struct signing *s = c->data;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT];
    const struct session_times times = c->app->options->sessions;
    int64_t now = clock_now();
    if (c->session.p && !session_delete(c->worker->db, c->session, &c->error)) return false;
    if (!session_create(c->worker->db, s->user, now, times, secret, csrf, &c->error)) return false;
    struct trail_entry entry = {.at = now,
                                .who = s->user,
                                .action = STR("sign_in"),
                                .entity = STR(""),
                                .changes = STR("{}"),
                                .why = STR(""),
                                .script = STR(""),
                                .request = c->x->request_id};
    if (!trail_append(c->worker->db, &entry, &c->error)) return false;
    c->who = principal_load(c->worker->db, c->worker->set->catalog, s->user, &c->error);
    if (!c->who) return false;
    if (!c->who->active) return wrong(c); /* deactivated while the password was checked */
    call_context(c);
    json_object(c->out);
    json_key(c->out, STR("csrf_token"));
    json_cstr(c->out, csrf);
    json_key(c->out, STR("user"));
    if (!me_write(c, c->out)) return false;
    json_end_object(c->out);
    auth_cookie(c, secret, times.absolute_ms / 1000);
    sodium_memzero(secret, sizeof secret);
    call_field(c, "Location", STR("/api/v1/sessions/current"));
    return call_json(c, 201);
}

/* In the slow lane. */
static bool check_password(struct call *c)
{
    struct signing *s = c->data;
    struct throttle *throttle = c->app->throttle;
    struct str address = str_of(c->x->remote);
    const char *hash = NULL;
    int64_t wait = 0;
    if (!throttle_enter(throttle, s->login, address, clock_now(), &wait)) return wait_first(c, wait);
    bool known = password_lookup(c->worker->db, s->login, c->arena, &s->user, &hash, &c->error);
    bool good = known && password_matches(s->user ? hash : NULL, s->password) && s->user;
    throttle_leave(throttle, s->login, address, good || !known, clock_now());
    if (!known) return false;
    if (!good) {
        LOG(LOG_WARN, "a sign-in failed", log_str("address", address));
        return wrong(c);
    }
    return call_continue(c, LANE_WRITE, create);
}

static bool sign_in(struct call *c)
{
    struct signing *s = arena_alloc(c->arena, sizeof *s);
    if (!s) return error_no_memory(&c->error);
    c->data = s;
    if (!call_members(c, "login password") || !call_text(c, "login", true, 200, &s->login) ||
        !call_text(c, "password", true, 1024, &s->password))
        return false;
    return check_password(c);
}

static bool need_session(struct call *c)
{
    if (!c->bearer.p && c->session.p) return true;
    return error_set(&c->error, ERROR_NOT_FOUND, "this request belongs to no session",
                     "у этого запроса нет сеанса");
}

static bool sign_out(struct call *c)
{
    if (!need_session(c) || !session_delete(c->worker->db, c->session, &c->error)) return false;
    auth_cookie(c, "", 0);
    return call_empty(c, 204);
}

static bool current(struct call *c)
{
    char csrf[SECRET_TEXT];
    if (!need_session(c)) return false;
    session_csrf(c->session, csrf);
    json_object(c->out);
    json_key(c->out, STR("csrf_token"));
    json_cstr(c->out, csrf);
    json_key(c->out, STR("user"));
    if (!me_write(c, c->out)) return false;
    json_end_object(c->out);
    call_field(c, "Cache-Control", STR("no-store"));
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/sessions", LANE_SLOW, OPEN | BODY | NOT_IN_BATCH, "", sign_in,
     "Sign in: a cookie, the CSRF token and the user", "sign_in", "session", 201},
    {HTTP_METHOD_GET, "/api/v1/sessions/current", LANE_READ, NOT_IN_BATCH, "", current,
     "Who is signed in with this cookie, and the CSRF token", NULL, "session", 200},
    {HTTP_METHOD_DELETE, "/api/v1/sessions/current", LANE_WRITE, NOT_IN_BATCH, "", sign_out, "Sign out", NULL,
     NULL, 204},
};

const struct endpoint_table sessions_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
