/* scripts.c: check, plan, migrate, serve, reload, version: commands about the scripts and the server. */
#include "base/version.h"
#include "cli/cli.h"
#include "script/migrate.h"
#include "store/schema.h"
#include "store/trail.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int check(int argc, char **argv)
{
    struct options o;
    struct serve_options s;
    struct arena arena;
    struct error e;
    if (!options_parse(argc, argv, "workflows= config= data=", &o) || !settings_read(&o, &s)) return 2;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, say_language());
    struct script_set *set = script_load(&s.scripts, &e);
    say_mistakes(&e);
    int code = 0;
    if (set)
        printf("%zu entities, %zu roles, %zu pipelines, %zu chains: no mistakes\n",
               set->catalog->entity_count, set->catalog->role_count, set->catalog->pipeline_count,
               set->catalog->chain_count),
            codes_of_file(set->catalog, s.scripts.workflows, &arena);
    else {
        if (!e.first) fprintf(stderr, "perigee: %s\n", e.detail);
        code = 2;
    }
    script_set_unref(set);
    arena_free(&arena);
    return code;
}

/* A broken plugin, left out elsewhere, must not look here like data that nobody wants any more. */
static bool all_right(const struct options *o)
{
    struct serve_options s;
    struct arena arena;
    struct error e;
    if (!settings_read(o, &s)) return false;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, say_language());
    struct script_set *set = script_load(&s.scripts, &e);
    if (!set) say_mistakes(&e);
    if (!set && !e.first) fprintf(stderr, "perigee: %s\n", e.detail);
    script_set_unref(set);
    arena_free(&arena);
    return set != NULL;
}

static void print_migration(void *ctx, const char *file)
{
    size_t *n = ctx;
    ++*n;
    printf("run %s\n", file);
}

static int plan_or_migrate(int argc, char **argv, bool doing)
{
    struct options o;
    struct desk d;
    struct schema_plan plan;
    if (!options_parse(argc, argv, "workflows= config= data= allow-drop", &o) || !all_right(&o)) return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0) {
        bool drop = option_given(&o, "allow-drop");
        bool ok = (!doing || store_prepare(d.db, &d.error)) && db_begin(d.db, true, &d.error) &&
                  schema_plan(d.db, d.set->catalog, &d.arena, &plan, &d.error);
        for (const struct schema_step *s = ok ? plan.first : NULL; s; s = s->next)
            if (s->words[0]) printf("%s%s\n", s->words, s->loses && !drop ? " (only with --allow-drop)" : "");
        size_t migrations = 0;
        ok = ok && script_migrations_pending(d.set, d.db, print_migration, &migrations, &d.error);
        if (ok && plan.count + migrations == 0) puts("nothing to change");
        if (ok && doing)
            ok = schema_apply(d.db, d.set->catalog, &plan, drop, &d.error) &&
                 script_migrate(d.set, d.db, &d.error) && store_epoch_bump(d.db, &d.error) &&
                 db_commit(d.db, &d.error);
        else
            db_rollback(d.db);
        if (!ok) {
            db_rollback(d.db);
            code = desk_fail(&d);
        }
    }
    desk_close(&d);
    return code;
}

static int plan(int argc, char **argv)
{
    return plan_or_migrate(argc, argv, false);
}

static int migrate(int argc, char **argv)
{
    return plan_or_migrate(argc, argv, true);
}

static int serve(int argc, char **argv)
{
    struct options o;
    static struct serve_options s;
    if (!options_parse(argc, argv, "workflows= config= data= listen= dev insecure", &o) ||
        !settings_read(&o, &s))
        return 2;
    return api_serve(&s);
}

static int reload(int argc, char **argv)
{
    struct options o;
    struct serve_options s;
    char path[4096], text[32] = "";
    if (!options_parse(argc, argv, "config= data=", &o) || !settings_read(&o, &s)) return 2;
    snprintf(path, sizeof path, "%s/perigee.pid", s.data);
    FILE *f = fopen(path, "r");
    if (!f || !fgets(text, sizeof text, f)) {
        fprintf(stderr, "perigee: no server runs on the folder %s\n", s.data);
        if (f) fclose(f);
        return 1;
    }
    fclose(f);
    long pid = strtol(text, NULL, 10);
    char comm[64] = "";
    snprintf(path, sizeof path, "/proc/%ld/comm", pid);
    f = fopen(path, "r");
    bool ours = f && fgets(comm, sizeof comm, f) && strncmp(comm, "perigee", 7) == 0;
    if (f) fclose(f);
    if (!ours || kill((pid_t)pid, SIGHUP) != 0) {
        fprintf(stderr, "perigee: no server runs on the folder %s\n", s.data);
        return 1;
    }
    printf("asked process %ld to load the scripts again; its log says whether they are in force\n", pid);
    return 0;
}

static int version(int argc, char **argv)
{
    struct options o;
    if (!options_parse(argc, argv, "", &o)) return 2;
    puts("perigee " PERIGEE_VERSION);
    return 0;
}

const struct command command_check = {"check", "[--workflows DIR] [--config FILE]",
                                      "load all scripts and print every mistake; exits 0 or 2", check};
const struct command command_plan = {"plan", "--data DIR [--workflows DIR]",
                                     "show what the scripts would change in the database", plan};
const struct command command_migrate = {"migrate", "--data DIR [--allow-drop]",
                                        "change the database to follow the scripts", migrate};
const struct command command_serve = {"serve",
                                      "--data DIR --listen ADDR:PORT [--config FILE] [--dev] [--insecure]",
                                      "run the server until SIGTERM", serve};
const struct command command_reload = {"reload", "--data DIR",
                                       "make the running server load its scripts again", reload};
const struct command command_version = {"version", "", "print the version", version};
