/* desk.c: opening the data folder for a command, and telling people what went wrong. */
#include "base/log.h"
#include "cli/cli.h"
#include "script/migrate.h"
#include "store/schema.h"
#include "store/trail.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum lang say_language(void)
{
    const char *lang = getenv("LC_ALL");
    if (!lang || !*lang) lang = getenv("LANG");
    return lang && strncmp(lang, "ru", 2) == 0 ? LANG_RU : LANG_EN;
}

/* ---- telling people ---- */

void say_mistakes(const struct error *e)
{
    bool ru = say_language() == LANG_RU;
    for (const struct error_entry *i = e->first; i; i = i->next) {
        bool warning = i->code && strcmp(i->code, "warning") == 0;
        if (i->file)
            fprintf(stderr, "%s:%d: %s%s", i->file, i->line, warning ? "warning: " : "", i->message);
        else
            fprintf(stderr, "perigee: %s%s%s", i->pointer ? i->pointer : "", i->pointer ? ": " : "",
                    i->message);
        if (i->suggestion && !strstr(i->message, i->suggestion))
            fprintf(stderr, ru ? "; может быть, «%s»?" : "; did you mean \"%s\"?", i->suggestion);
        fputc('\n', stderr);
    }
}

int desk_fail(struct desk *d)
{
    say_mistakes(&d->error);
    if (d->error.detail) fprintf(stderr, "perigee: %s\n", d->error.detail);
    return d->error.kind == ERROR_SCRIPT_ERROR ? 2 : 1;
}

/* ---- opening ---- */

static bool migrate_now(struct desk *d)
{
    struct schema_plan plan;
    if (!store_prepare(d->db, &d->error) || !db_begin(d->db, true, &d->error)) return false;
    bool ok = schema_plan(d->db, d->set->catalog, &d->arena, &plan, &d->error);
    ok = ok && schema_apply(d->db, d->set->catalog, &plan, false, &d->error) &&
         script_migrate(d->set, d->db, &d->error) && db_commit(d->db, &d->error);
    if (!ok) db_rollback(d->db);
    trail_forget(d->db);
    return ok;
}

/* A command reads words, not lines for a machine. */
int desk_start(struct desk *d, const struct options *o)
{
    *d = (struct desk){0};
    umask(077);
    log_configure(LOG_WARN, false);
    arena_init(&d->arena, (size_t)256 << 20);
    error_init(&d->error, &d->arena, say_language());
    return settings_read(o, &d->settings) ? 0 : 2;
}

static bool there(struct desk *d)
{
    struct stat st;
    return stat(d->settings.data, &st) == 0 ||
           error_set(&d->error, ERROR_NOT_FOUND, "there is no data folder %s", "нет папки с данными %s",
                     d->settings.data);
}

int desk_open_reading(struct desk *d, const struct options *o)
{
    int code = desk_start(d, o);
    if (code) return code;
    d->path = there(d) ? store_path(d->settings.data, &d->arena, &d->error) : NULL;
    d->db = d->path ? db_open(d->path, DB_READ, &d->error) : NULL;
    return d->db ? 0 : desk_fail(d);
}

/* What only looks or changes needs a database that something has filled. */
static bool filled(struct desk *d)
{
    struct stmt *s = db_prepare(d->db, STR("PRAGMA user_version"), &d->error);
    bool row = s && stmt_step(s, &d->error) == STEP_ROW, empty = row && stmt_int(s, 0) == 0;
    db_release(s);
    return row && (!empty || error_set(&d->error, ERROR_UNAVAILABLE, "%s is an empty database",
                                       "%s это пустая база данных", d->path));
}

static bool open_database(struct desk *d, bool migrate)
{
    struct stat st;
    if (!migrate && !there(d)) return false;
    d->path = store_path(d->settings.data, &d->arena, &d->error);
    if (d->path && !migrate && stat(d->path, &st) != 0)
        return error_set(&d->error, ERROR_NOT_FOUND, "there is no database %s", "нет базы данных %s",
                         d->path);
    d->db = d->path ? db_open(d->path, DB_WRITE, &d->error) : NULL;
    return d->db && (migrate ? migrate_now(d) : filled(d));
}

int desk_open(struct desk *d, const struct options *o, bool migrate)
{
    int code = desk_start(d, o);
    if (code) return code;
    d->set = script_load_without_broken(&d->settings.scripts, &d->arena, &d->error);
    if (!d->set) return desk_fail(d);
    error_clear(&d->error); /* warnings are for `check` */
    if (!open_database(d, migrate)) return desk_fail(d);
    d->script = script_state_new(d->set, &d->error);
    d->system = d->script ? principal_system(d->set->catalog, &d->error) : NULL;
    if (!d->system) return desk_fail(d);
    context_init(&d->context, d->set->catalog, d->db, d->system, &d->arena, &d->error);
    d->context.hooks = &script_hooks;
    d->context.script = d->script;
    d->context.trusted = true;
    d->context.env.zone = timezone_find(str_of(d->settings.time_zone));
    return 0;
}

void desk_close(struct desk *d)
{
    principal_unref(d->system);
    script_state_free(d->script);
    script_set_unref(d->set);
    db_close(d->db);
    arena_free(&d->arena);
}

int64_t desk_user(struct desk *d, const char *login)
{
    struct stmt *s = db_prepare(d->db, STR("SELECT id FROM \"user\" WHERE \"login\" = ?"), &d->error);
    if (!s) return 0;
    stmt_bind_text(s, 1, str_of(login));
    int64_t id = stmt_step(s, &d->error) == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    if (!id) error_set(&d->error, ERROR_NOT_FOUND, "there is no user \"%s\"", "нет пользователя «%s»", login);
    return id;
}

bool desk_become(struct desk *d, const char *login)
{
    if (!login) return true;
    int64_t id = desk_user(d, login);
    struct principal *p = id ? principal_load(d->db, d->set->catalog, id, &d->error) : NULL;
    if (!p) return false;
    principal_unref(d->system);
    d->system = p;
    context_init(&d->context, d->set->catalog, d->db, p, &d->arena, &d->error);
    d->context.hooks = &script_hooks;
    d->context.script = d->script;
    d->context.automation = true;
    return true;
}
