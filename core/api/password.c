/* password.c: changing a password: one's own with the old one, anybody's by an administrator, and the first
 * one of a user by whoever created that user (a partner's supervisor lets colleagues in). It is hashed in the
 * slow lane (a tenth of a second of CPU) and stored by the writer, which ends the user's sessions with it. */
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

/* Guessing at the present password is slowed like guessing at the sign-in. */
static bool check_current(struct call *c, struct str login)
{
    struct throttle *throttle = c->app->throttle;
    const char *hash = NULL;
    int64_t user, wait = 0;
    struct str current, address = str_of(c->x->remote);
    if (!call_text(c, "current", true, 1024, &current)) return false;
    if (!throttle_enter(throttle, login, address, clock_now(), &wait)) {
        c->error.retry_after = wait;
        return error_set(&c->error, ERROR_TOO_MANY_REQUESTS, "too many failed attempts; try again in %lld s",
                         "слишком много неудачных попыток; повторите через %lld с", (long long)wait);
    }
    bool known = password_lookup(c->worker->db, login, c->arena, &user, &hash, &c->error);
    bool good = known && password_matches(hash, current) && user == c->who->id;
    throttle_leave(throttle, login, address, good || !known, clock_now());
    if (good || !known) return known;
    error_add(&c->error, "/current", "wrong", "this is not the present password", "это не нынешний пароль");
    return error_set(&c->error, ERROR_FORBIDDEN, "the present password is wrong",
                     "нынешний пароль указан неверно");
}

static bool may_change(struct call *c, const struct record *user, struct str login)
{
    if (c->id == c->who->id) return check_current(c, login);
    if (call_is_admin(c)) return true;
    struct value author = record_get(user, c->entity->fields[SYSTEM_CREATED_BY]);
    bool has = true;
    if (author.type == VALUE_ID && author.i == c->who->id &&
        !password_exists(c->worker->db, c->id, &has, &c->error))
        return false;
    if (!has) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "only an administrator sets another's password",
                     "чужой пароль меняет только администратор");
}

/* The user, if the caller may know of them. */
static struct record *readable_user(struct call *c)
{
    bool allowed = false;
    const struct field *denied = NULL;
    if (!c->context.catalog->user || c->entity != c->context.catalog->user) {
        error_set(&c->error, ERROR_NOT_FOUND, "only users have passwords",
                  "пароль есть только у пользователей");
        return NULL;
    }
    if (!access_check(c->worker->db, c->who, c->entity, c->id, ACTION_READ, NULL, &c->context.env, c->arena,
                      &allowed, &denied, &c->error))
        return NULL;
    if (allowed) return record_load(&c->context, c->entity, c->id);
    error_set(&c->error, ERROR_NOT_FOUND, "there is no such user", "нет такого пользователя");
    return NULL;
}

static bool change_password(struct call *c)
{
    struct change *change = arena_alloc(c->arena, sizeof *change);
    struct str password;
    if (!change) return error_no_memory(&c->error);
    if (!call_members(c, "password current") || !call_text(c, "password", true, 1024, &password))
        return false;
    struct record *user = readable_user(c);
    if (!user) return false;
    const struct field *f = entity_field(c->entity, STR("login"));
    struct str login = f ? record_get(user, f).s : c->who->login;
    change->user = c->id;
    c->data = change;
    if (!may_change(c, user, login) || !password_acceptable(login, password, &c->error) ||
        !password_hash(password, change->hash, &c->error))
        return false;
    return call_continue(c, LANE_WRITE, store);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/{collection}/{id}/password", LANE_SLOW, BODY | NOT_IN_BATCH | NO_REPLAY, "",
     change_password, "Change the password of a user; ends their sessions", "password", NULL, 204},
};

const struct endpoint_table password_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
