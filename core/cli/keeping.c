/* keeping.c: audit, doctor, access: looking after an installation. */
#include "base/clock.h"
#include "base/id.h"
#include "cli/cli.h"
#include "store/schema.h"
#include "store/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- audit, doctor ---- */

static int audit(int argc, char **argv)
{
    struct options o;
    struct desk d;
    int64_t bad = 0, count = 0;
    if (!options_parse(argc, argv, "data= config= workflows= +1", &o)) return 2;
    if (!options_verb((int)o.word_count, (char **)o.words, "verify", &command_audit)) return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0) {
        if (!trail_verify(d.db, 1, &bad, &count, &d.error))
            code = desk_fail(&d);
        else if (bad) {
            printf("entry %lld is missing, was changed, or does not follow from the one before\n",
                   (long long)bad);
            code = 1;
        } else
            printf("%lld entries, each follows from the one before\n", (long long)count);
    }
    desk_close(&d);
    return code;
}

static int doctor(int argc, char **argv)
{
    struct options o;
    struct desk d;
    struct schema_plan plan;
    if (!options_parse(argc, argv, "data= config= workflows=", &o)) return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0) {
        bool ok = store_check(d.db, true, &d.error);
        if (ok) puts("database: sound; log: unbroken");
        ok = ok && schema_plan(d.db, d.set->catalog, &d.arena, &plan, &d.error);
        if (ok)
            printf("scripts: no mistakes; the database %s\n",
                   plan.count ? "does not follow them yet: run perigee migrate" : "follows them");
        if (ok && codes_of_database(&d) == 0) puts("settings: scripts and records know each other");
        if (!ok) code = desk_fail(&d);
        if (ok) code = doctor_files(&d);
    }
    desk_close(&d);
    return code;
}

/* ---- access ---- */

static bool action_named(const char *name, enum action_kind *out)
{
    for (enum action_kind a = ACTION_CREATE; a < ACTION_KIND_COUNT; a++)
        if (strcmp(action_kind_name(a), name) == 0) return *out = a, true;
    return false;
}

static bool find_record(struct desk *d, int64_t id, const struct entity **entity)
{
    for (size_t i = 0; i < d->set->catalog->entity_count; i++) {
        const struct entity *e = d->set->catalog->entities[i];
        char *sql = arena_printf(&d->arena, "SELECT 1 FROM %s WHERE id = ?", e->table);
        struct stmt *s = sql ? db_prepare(d->db, str_of(sql), &d->error) : NULL;
        if (!s) return false;
        stmt_bind_int(s, 1, id);
        bool found = stmt_step(s, &d->error) == STEP_ROW;
        db_release(s);
        if (found) return *entity = e, true;
    }
    return error_set(&d->error, ERROR_NOT_FOUND, "there is no record with this id",
                     "нет записи с таким идентификатором");
}

static int access_why_command(struct desk *d, const struct options *o)
{
    enum action_kind action;
    const struct entity *e;
    int64_t id, user = desk_user(d, option(o, "user", ""));
    if (!user) return desk_fail(d);
    if (!action_named(option(o, "action", "read"), &action))
        return fputs("perigee: --action is create, read, update, delete or import\n", stderr), 2;
    if (!id_parse(str_of(option(o, "record", "")), &id))
        return fputs("perigee: --record is the id of a record\n", stderr), 2;
    if (!find_record(d, id, &e)) return desk_fail(d);
    struct principal *p = principal_load(d->db, d->set->catalog, user, &d->error);
    if (!p) return desk_fail(d);
    struct filter_env env = p->env;
    env.now = clock_now();
    bool yes = false;
    const struct access_reason *first = access_why(d->db, p, e, id, action, &env, &d->arena, &d->error);
    for (const struct access_reason *r = first; r; r = r->next) {
        yes = yes || r->matched;
        if (r->place.file)
            printf("%s  %s:%d  %s: %s%s\n", r->matched ? "yes" : "no ", r->place.file, r->place.line,
                   r->role->code, r->words, r->rule && r->rule->fields ? " (some fields)" : "");
        else
            printf("%s  %s\n", r->matched ? "yes" : "no ", r->words);
    }
    if (first)
        printf("%.*s %s %s this %s\n", STR_ARG(p->login), yes ? "may" : "may not", action_kind_name(action),
               e->name);
    principal_unref(p);
    return first ? (yes ? 0 : 1) : desk_fail(d);
}

/* Each rule with the place that declares it. */
static void list_rules(const struct role *role, struct arena *arena)
{
    printf("\n%s  %s:%d%s\n", role->code, role->place.file, role->place.line,
           role->all_write  ? "  everything"
           : role->all_read ? "  reads everything"
                            : "");
    for (size_t i = 0; i < role->rule_count; i++) {
        const struct rule *r = &role->rules[i];
        const char *words = access_words(r, arena);
        printf("  %-6s %-20s %s:%d  %s", action_kind_name(r->action), r->entity->name, r->place.file,
               r->place.line, words ? words : "");
        const char *before = "; only ";
        for (size_t k = SYSTEM_FIELD_COUNT; r->fields && k < r->entity->field_count; k++) {
            if (!r->fields[k]) continue;
            printf("%s%s", before, r->entity->fields[k]->name);
            before = ", ";
        }
        puts("");
    }
}

static int access_matrix(const struct catalog *c, struct arena *arena)
{
    printf("%-26s", "");
    for (size_t r = 0; r < c->role_count; r++)
        printf(" %-10.10s",
               strncmp(c->roles[r].code, "crm_", 4) == 0 ? c->roles[r].code + 4 : c->roles[r].code);
    puts("");
    for (size_t i = 0; i < c->entity_count; i++) {
        printf("%-26s", c->entities[i]->name);
        for (size_t r = 0; r < c->role_count; r++) {
            char cell[ACTION_KIND_COUNT + 1] = "-----";
            for (size_t k = 0; k < c->roles[r].rule_count; k++) {
                const struct rule *rule = &c->roles[r].rules[k];
                if (rule->entity == c->entities[i])
                    cell[rule->action] = rule->where || rule->follow || rule->of || rule->fields
                                             ? "crudi"[rule->action]
                                             : "CRUDI"[rule->action];
            }
            if (c->roles[r].all_read) cell[ACTION_READ] = 'R';
            if (c->roles[r].all_write && !c->entities[i]->server) memcpy(cell, "CRUDI", 5);
            printf(" %-10s", cell);
        }
        puts("");
    }
    puts("capital: every record and field; small: under a condition");
    for (size_t r = 0; r < c->role_count; r++)
        list_rules(&c->roles[r], arena);
    return 0;
}

static int access_command(int argc, char **argv)
{
    struct options o;
    struct desk d;
    if (!options_parse(argc, argv, "data= config= workflows= user= action= record= +1", &o)) return 2;
    const char *what = options_verb((int)o.word_count, (char **)o.words, "why matrix", &command_access);
    bool why = what && strcmp(what, "why") == 0;
    if (!what || (why && !options_need(&o, &command_access, "user record"))) return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0) code = why ? access_why_command(&d, &o) : access_matrix(d.set->catalog, &d.arena);
    desk_close(&d);
    return code;
}

const struct command command_access = {
    "access", "why --data DIR --user L --action A --record ID | matrix --data DIR",
    "which rule says yes or no; or all of them as a table", access_command};
const struct command command_audit = {"audit", "verify --data DIR", "follow the hash chain of the log",
                                      audit};
const struct command command_doctor = {"doctor", "--data DIR", "check database, log and scripts thoroughly",
                                       doctor};
