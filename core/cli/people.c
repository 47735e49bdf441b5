/* people.c: user and token: the first people of an installation, and their tokens. */
#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "cli/cli.h"
#include "store/trail.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- user ---- */

static bool read_password(char *out, size_t size)
{
    if (!fgets(out, (int)size, stdin))
        return fputs("perigee: no password came in on standard input\n", stderr), false;
    out[strcspn(out, "\r\n")] = '\0';
    return true;
}

static void add_texts(struct buf *b, const char *key, const char *list)
{
    struct str rest = str_of(list);
    json_key(b, str_of(key));
    json_array(b);
    while (rest.p && rest.n)
        json_str(b, str_trim(str_cut(&rest, ',')));
    json_end_array(b);
}

/* The body that an HTTP client would send. */
static struct str user_json(struct desk *d, const struct options *o)
{
    struct buf b;
    char id[ID_TEXT + 1];
    const char *direction = option(o, "direction", NULL), *partner = option(o, "partner", NULL),
               *manager = option(o, "manager", NULL);
    buf_init(&b, 65536);
    json_object(&b);
    json_key(&b, STR("login")), json_cstr(&b, option(o, "login", ""));
    json_key(&b, STR("name")), json_cstr(&b, option(o, "name", option(o, "login", "")));
    add_texts(&b, "roles", option(o, "role", ""));
    if (direction) {
        struct str rest = str_of(direction);
        json_key(&b, STR("direction")), json_str(&b, str_trim(str_cut(&rest, ',')));
        add_texts(&b, "directions", direction);
    }
    if (partner) json_key(&b, STR("partner")), json_cstr(&b, partner);
    if (manager) {
        int64_t m = desk_user(d, manager);
        id_format(m, id);
        json_key(&b, STR("manager")), json_cstr(&b, id);
    }
    json_end_object(&b);
    struct str out = arena_str(&d->arena, buf_view(&b));
    buf_free(&b);
    return out;
}

static bool create_user(struct desk *d, const struct options *o, const char *hash, int64_t *id)
{
    const struct entity *e = d->set->catalog->user;
    struct str text = user_json(d, o);
    struct json_value *body = d->error.kind == ERROR_NONE ? json_parse(&d->arena, text, &d->error) : NULL;
    struct value *values = arena_array(&d->arena, e->field_count, sizeof *values);
    const char **any = arena_array(&d->arena, e->field_count, sizeof *any);
    bool *touched = arena_array(&d->arena, e->field_count, sizeof *touched);
    struct record *made;
    if (!body || !values || !any || !touched)
        return d->error.kind == ERROR_NONE ? error_no_memory(&d->error) : false;
    if (!db_begin(d->db, true, &d->error)) return false;
    bool ok = record_read_json(&d->context, e, body, values, any, touched) &&
              record_create(&d->context, e, values, any, touched, &made) &&
              password_store(d->db, made->id, hash, clock_now(), &d->error) &&
              store_epoch_bump(d->db, &d->error) && db_commit(d->db, &d->error);
    if (!ok)
        db_rollback(d->db);
    else
        *id = made->id;
    return ok;
}

static int user_create(int argc, char **argv)
{
    struct options o;
    struct desk d;
    char password[1100] = "", hash[128], text[ID_TEXT + 1];
    int64_t id;
    if (!options_parse(
            argc, argv,
            "data= config= workflows= login= name= role= direction= partner= manager= password-stdin", &o))
        return 2;
    if (!options_need(&o, &command_user, "login role password-stdin")) return 2;
    if (str_trim(str_of(option(&o, "role", ""))).n == 0) {
        fputs("perigee: --role names no role\n", stderr);
        return 2;
    }
    int code = desk_open(&d, &o, true);
    if (code == 0) {
        struct str p = {password, 0};
        bool ok = read_password(password, sizeof password);
        p.n = strlen(password);
        ok = ok && password_acceptable(str_of(option(&o, "login", "")), p, &d.error) &&
             password_hash(p, hash, &d.error) && create_user(&d, &o, hash, &id);
        sodium_memzero(password, sizeof password);
        if (ok) {
            id_format(id, text);
            printf("%s\n", text);
        } else
            code = desk_fail(&d);
    }
    desk_close(&d);
    return code;
}

static int user_list(struct desk *d)
{
    struct stmt *s = db_prepare(
        d->db, STR("SELECT id_text(id), login, name, active FROM \"user\" ORDER BY login"), &d->error);
    if (!s) return desk_fail(d);
    enum step step;
    while ((step = stmt_step(s, &d->error)) == STEP_ROW) {
        struct str id = stmt_text(s, 0), login = stmt_text(s, 1), name = stmt_text(s, 2);
        printf("%.*s  %-20.*s %.*s%s\n", STR_ARG(id), STR_ARG(login), STR_ARG(name),
               stmt_int(s, 3) ? "" : "  (not active)");
    }
    db_release(s);
    return step == STEP_DONE ? 0 : desk_fail(d);
}

static int user_password(struct desk *d, const char *login)
{
    char password[1100] = "", hash[128];
    int64_t id = desk_user(d, login);
    if (!id || !read_password(password, sizeof password)) return desk_fail(d);
    struct str p = {password, strlen(password)};
    bool ok = password_acceptable(str_of(login), p, &d->error) && password_hash(p, hash, &d->error) &&
              db_begin(d->db, true, &d->error);
    sodium_memzero(password, sizeof password);
    ok = ok && password_store(d->db, id, hash, clock_now(), &d->error) && db_commit(d->db, &d->error);
    if (ok) return puts("changed; all sessions of this user have ended"), 0;
    db_rollback(d->db);
    return desk_fail(d);
}

static int user_deactivate(struct desk *d, const char *login)
{
    int64_t id = desk_user(d, login);
    bool ok = id && db_begin(d->db, true, &d->error) &&
              record_delete(&d->context, d->set->catalog->user, id, 0) && db_commit(d->db, &d->error);
    if (ok) return puts("deactivated"), 0;
    db_rollback(d->db);
    return desk_fail(d);
}

static int user(int argc, char **argv)
{
    struct options o;
    struct desk d;
    const char *what = options_verb(argc, argv, "create list password deactivate", &command_user);
    if (!what) return 2;
    if (strcmp(what, "create") == 0) return user_create(argc - 1, argv + 1);
    bool list = strcmp(what, "list") == 0, password = strcmp(what, "password") == 0;
    const char *known = password ? "data= config= workflows= login= password-stdin"
                        : list   ? "data= config= workflows="
                                 : "data= config= workflows= login=",
               *needed = password ? "login password-stdin"
                         : list   ? ""
                                  : "login";
    if (!options_parse(argc - 1, argv + 1, known, &o) || !options_need(&o, &command_user, needed)) return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0)
        code = list       ? user_list(&d)
               : password ? user_password(&d, option(&o, "login", ""))
                          : user_deactivate(&d, option(&o, "login", ""));
    desk_close(&d);
    return code;
}

/* ---- token ---- */

/* A token of somebody who may not sign in would open the door on the day that they come back. */
static bool is_active(struct desk *d, int64_t user)
{
    struct stmt *s = db_prepare(d->db, STR("SELECT active FROM \"user\" WHERE id = ?"), &d->error);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    enum step step = stmt_step(s, &d->error);
    bool active = step == STEP_ROW && stmt_int(s, 0);
    db_release(s);
    if (active || step == STEP_ERROR) return active;
    return error_set(&d->error, ERROR_CONFLICT, "this user is not active", "этот пользователь не активен");
}

static int token_make(struct desk *d, const struct options *o)
{
    char text[64];
    int64_t id, user = desk_user(d, option(o, "user", ""));
    bool ok = user && is_active(d, user) && db_begin(d->db, true, &d->error) &&
              token_create(d->db, user, str_of(option(o, "name", "command line")),
                           str_of(option(o, "scope", TOKEN_FULL)), 0, clock_now(), text, &id, &d->error) &&
              db_commit(d->db, &d->error);
    if (ok) return puts(text), 0;
    db_rollback(d->db);
    return desk_fail(d);
}

static int list_tokens(struct desk *d)
{
    struct stmt *s = db_prepare(d->db,
                                STR("SELECT id_text(t.id), u.login, t.name, t.scope FROM perigee_token AS t "
                                    "JOIN \"user\" AS u ON u.id = t.user ORDER BY t.id"),
                                &d->error);
    if (!s) return desk_fail(d);
    enum step step;
    while ((step = stmt_step(s, &d->error)) == STEP_ROW) {
        struct str id = stmt_text(s, 0), login = stmt_text(s, 1), name = stmt_text(s, 2),
                   scope = stmt_text(s, 3);
        printf("%.*s  %-20.*s %.*s %.*s\n", STR_ARG(id), STR_ARG(login), STR_ARG(name), STR_ARG(scope));
    }
    db_release(s);
    return step == STEP_DONE ? 0 : desk_fail(d);
}

static int token_revoke(struct desk *d, const char *text)
{
    int64_t id;
    bool found = false;
    if (!id_parse(str_of(text), &id))
        error_set(&d->error, ERROR_NOT_FOUND, "\"%s\" is not the id of a token",
                  "«%s» не идентификатор токена", text);
    bool ok = d->error.kind == ERROR_NONE && db_begin(d->db, true, &d->error) &&
              token_delete(d->db, id, 0, &found, &d->error);
    if (ok && !found)
        ok = error_set(&d->error, ERROR_NOT_FOUND, "there is no token %s", "нет токена %s", text);
    if (ok && db_commit(d->db, &d->error)) return puts("revoked"), 0;
    db_rollback(d->db);
    return desk_fail(d);
}

static int token(int argc, char **argv)
{
    struct options o;
    struct desk d;
    const char *what = options_verb(argc, argv, "create list revoke", &command_token);
    if (!what) return 2;
    bool create = strcmp(what, "create") == 0, list = strcmp(what, "list") == 0;
    const char *known = create ? "data= config= workflows= user= name= scope="
                        : list ? "data= config= workflows="
                               : "data= config= workflows= id=";
    if (!options_parse(argc - 1, argv + 1, known, &o) || !options_need(&o, &command_token,
                                                                       create ? "user"
                                                                       : list ? ""
                                                                              : "id"))
        return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0)
        code = create ? token_make(&d, &o) : list ? list_tokens(&d) : token_revoke(&d, option(&o, "id", ""));
    desk_close(&d);
    return code;
}

const struct command command_user = {"user",
                                     "create --data DIR --login L --name N --role R[,R…] [--direction CODE] "
                                     "[--partner ID] [--manager LOGIN] --password-stdin\n"
                                     "       perigee user list --data DIR | password --data DIR --login L "
                                     "--password-stdin | deactivate --data DIR --login L",
                                     "make, list and change users", user};
const struct command command_token = {
    "token",
    "create --data DIR --user L [--name N] [--scope full|read] | list --data DIR | revoke --data DIR --id ID",
    "API tokens; create prints the token alone, once", token};
