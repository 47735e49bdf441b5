/* password.c: changing a password: one's own with the old one, anybody's by an administrator. It is hashed in
 * the slow lane (a third of a second of CPU) and stored by the writer, which ends the user's sessions with
 * it. */
#include "api/app.h"
#include "store/trail.h"

struct change {
    int64_t user;
    char hash[128];
};

static bool store(struct call *c)
{
    struct change *change = c->data;
    struct db *d = c->worker->db;
    int64_t now = clock_now();
    struct trail_entry entry = {.at = now,
                                .who = c->who->id,
                                .entity = STR("user"),
                                .record = change->user,
                                .action = STR("password"),
                                .changes = STR("{}"),
                                .why = STR(""),
                                .script = STR(""),
                                .request = c->x->request_id};
    return password_store(d, change->user, change->hash, now, &c->error) &&
           trail_append(d, &entry, &c->error) && call_empty(c, 204);
}

static bool may_change(struct call *c, struct str login)
{
    const char *hash = NULL;
    int64_t user;
    struct str current, address = str_of(c->x->remote);
    if (c->id != c->who->id) {
        if (call_is_admin(c)) return true;
        return error_set(&c->error, ERROR_FORBIDDEN, "only an administrator sets another's password",
                         "чужой пароль меняет только администратор");
    }
    int64_t wait = 0;
    if (!throttle_allows(c->app->throttle, login, address, clock_now(), &wait)) {
        c->error.retry_after = wait > 0 ? wait : 1;
        return error_set(&c->error, ERROR_TOO_MANY_REQUESTS, "too many failed attempts",
                         "слишком много неудачных попыток");
    }
    if (!call_text(c, "current", true, 1024, &current) ||
        !password_lookup(c->worker->db, login, c->arena, &user, &hash, &c->error))
        return false;
    if (password_matches(hash, current) && user == c->who->id) return true;
    throttle_failed(c->app->throttle, login, address, clock_now());
    error_add(&c->error, "/current", "wrong", "this is not the present password", "это не нынешний пароль");
    return error_set(&c->error, ERROR_FORBIDDEN, "the present password is wrong",
                     "нынешний пароль указан неверно");
}

static bool change_password(struct call *c)
{
    struct change *change = arena_alloc(c->arena, sizeof *change);
    struct str password;
    if (!change) return error_no_memory(&c->error);
    if (!call_members(c, "password current") || !call_text(c, "password", true, 1024, &password))
        return false;
    if (!c->context.catalog->user || c->entity != c->context.catalog->user)
        return error_set(&c->error, ERROR_NOT_FOUND, "only users have passwords",
                         "пароль есть только у пользователей");
    struct record *user = record_load(&c->context, c->entity, c->id);
    if (!user) return false;
    const struct field *f = entity_field(c->entity, STR("login"));
    struct str login = f ? record_get(user, f).s : c->who->login;
    change->user = c->id;
    c->data = change;
    if (!may_change(c, login) || !password_acceptable(login, password, &c->error) ||
        !password_hash(password, change->hash, &c->error))
        return false;
    return call_continue(c, LANE_WRITE, store);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/{collection}/{id}/password", LANE_SLOW, BODY | NOT_IN_BATCH | NO_REPLAY, "",
     change_password, "Change the password of a user; ends their sessions", "password", NULL, 204},
};

const struct endpoint_table password_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
