/* test.c: the command `test`: *_test.lua against a CRM in memory, with the master data that lie beside the
 * workflows. */
#include "base/log.h"
#include "cli/cli.h"
#include "record/masterdata.h"
#include "script/migrate.h"
#include "script/tester.h"
#include "store/schema.h"
#include "store/trail.h"

#include <dirent.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 8
#define MASTERDATA_MAX ((size_t)64 << 20)

struct bench {
    struct arena arena;
    struct error error;
    struct serve_options settings;
    struct script_set *set;
    struct db *db;
    struct principal *system;
    struct context context;
    struct tester *tester;
    struct tester_totals totals;
    size_t files;
    bool ok;
};

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* ---- the CRM in memory ---- */

static bool read_text(struct bench *b, const char *path, struct str *out)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(MASTERDATA_MAX) : NULL;
    size_t n = text ? fread(text, 1, MASTERDATA_MAX, f) : 0;
    bool ok = text && !ferror(f) && n < MASTERDATA_MAX;
    if (f) fclose(f);
    *out = ok ? arena_str(&b->arena, (struct str){text, n}) : (struct str){NULL, 0};
    free(text);
    return out->p ? true : error_set(&b->error, ERROR_NOT_FOUND, "%s cannot be read", "%s не читается", path);
}

static void uncounted(void *ctx, const char *collection, const struct masterdata_count *n)
{
    (void)ctx, (void)collection, (void)n;
}

/* Other JSON may lie there too, such as the schema of such files. */
static bool is_masterdata(struct bench *b, struct str text)
{
    struct error ignored;
    error_init(&ignored, &b->arena, LANG_EN);
    const struct json_value *all = json_parse(&b->arena, text, &ignored);
    const struct json_value *format = all ? json_member(all, STR("format")) : NULL;
    return format && format->type == JSON_STRING && str_starts(format->text, STR("perigee.masterdata/"));
}

static bool import_one(struct bench *b, const char *path, bool any)
{
    struct str text;
    if (!read_text(b, path, &text)) return false;
    if (!any && !is_masterdata(b, text)) return true;
    if (masterdata_import(&b->context, text, uncounted, NULL)) return true;
    fprintf(stderr, "perigee: %s was not imported\n", path);
    return false;
}

static int only_json(const struct dirent *d)
{
    return ends_with(d->d_name, ".json");
}

/* --masterdata FILE, else every file of the folder masterdata/ beside the workflows, if there is one; but not
 * the invented company of `make demo`: tests make what they need. */
static bool import_masterdata(struct bench *b, const char *given)
{
    struct dirent **names = NULL;
    char *folder = arena_printf(&b->arena, "%s/../masterdata", b->settings.scripts.workflows);
    if (given) return import_one(b, given, true);
    if (!folder) return error_no_memory(&b->error);
    int n = scandir(folder, &names, only_json, alphasort);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char *path = arena_printf(&b->arena, "%s/%s", folder, names[i]->d_name);
        bool demo = strcmp(names[i]->d_name, "demo.json") == 0;
        ok = ok && path && (demo || import_one(b, path, false));
        free(names[i]);
    }
    free(names);
    return ok;
}

static bool prepare(struct bench *b, const char *masterdata)
{
    struct schema_plan plan;
    const struct timezone_data *zone = timezone_find(str_of(b->settings.time_zone));
    b->db = db_open(":memory:", DB_MEMORY, &b->error);
    b->system = b->db ? principal_system(b->set->catalog, &b->error) : NULL;
    if (!b->system || !store_prepare(b->db, &b->error) || !db_begin(b->db, true, &b->error)) return false;
    context_init(&b->context, b->set->catalog, b->db, b->system, &b->arena, &b->error);
    b->context.trusted = true;
    b->context.env.zone = zone;
    bool ok = schema_plan(b->db, b->set->catalog, &b->arena, &plan, &b->error) &&
              schema_apply(b->db, b->set->catalog, &plan, false, &b->error) &&
              import_masterdata(b, masterdata) && schema_seed(b->db, b->set->catalog, &b->error) &&
              script_migrate(b->set, b->db, &b->error) && db_commit(b->db, &b->error);
    char *testing = arena_printf(&b->arena, "%s/testing.lua", b->settings.scripts.scripts);
    if (ok && testing) b->tester = tester_open(b->set, b->db, zone, testing, stdout, &b->error);
    return b->tester != NULL;
}

/* ---- which files ---- */

static void run_file(struct bench *b, const char *path)
{
    b->files++;
    char here[PATH_MAX];
    size_t n = getcwd(here, sizeof here) ? strlen(here) : 0;
    const char *shown = strncmp(path, "./", 2) == 0 ? path + 2 : path;
    if (n && strncmp(path, here, n) == 0 && path[n] == '/') shown = path + n + 1;
    b->ok = tester_run(b->tester, path, shown, &b->totals, &b->error) && b->ok;
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void run_folder(struct bench *b, const char *folder, int depth)
{
    struct dirent **names = NULL;
    int n = depth < DEPTH_MAX ? scandir(folder, &names, visible, alphasort) : 0;
    for (int i = 0; i < n; i++) {
        char *path = arena_printf(&b->arena, "%s/%s", folder, names[i]->d_name);
        struct stat st;
        if (path && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            run_folder(b, path, depth + 1);
        else if (path && ends_with(path, "_test.lua"))
            run_file(b, path);
        free(names[i]);
    }
    free(names);
}

static bool run_path(struct bench *b, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return error_set(&b->error, ERROR_NOT_FOUND, "there is no %s", "нет такого: %s", path);
    if (S_ISDIR(st.st_mode))
        run_folder(b, path, 0);
    else
        run_file(b, path);
    return true;
}

/* Without a path: those of the workflows and of every enabled plugin. */
static bool run_all(struct bench *b)
{
    run_folder(b, b->settings.scripts.workflows, 0);
    for (const char **p = b->settings.scripts.enabled; p && *p; p++)
        run_folder(b, settings_join(b->settings.scripts.plugins, *p), 0);
    return true;
}

/* A plugin whose tests are asked for is enabled, if config.lua does not do so: the folder that holds
 * plugin.lua. */
static void enable_plugin(struct serve_options *s, const char *path)
{
    char *at = realpath(path, NULL);
    struct stat st;
    for (int i = 0; at && i < DEPTH_MAX && strcmp(at, "/") != 0; i++) {
        char *probe = settings_join(at, "plugin.lua");
        bool found = stat(probe, &st) == 0;
        if (found) break;
        char *up = settings_copy(dirname(at));
        free(at);
        at = strdup(up);
    }
    char *manifest = at ? settings_join(at, "plugin.lua") : NULL;
    if (manifest && stat(manifest, &st) == 0) {
        char *name = settings_copy(basename(at)), *folder = settings_copy(dirname(at));
        size_t n = 0;
        while (s->scripts.enabled && s->scripts.enabled[n]) {
            if (strcmp(s->scripts.enabled[n++], name) == 0) name = NULL;
            if (!name) break;
        }
        const char **names = name ? settings_owned(calloc(n + 2, sizeof *names)) : NULL;
        for (size_t i = 0; names && i < n; i++)
            names[i] = s->scripts.enabled[i];
        if (names) {
            names[n] = name;
            s->scripts.enabled = names;
            s->scripts.plugins = folder;
        }
    }
    free(at);
}

/* ---- the command ---- */

static int finish(struct bench *b, bool ok)
{
    if (!ok || !b->ok) {
        say_mistakes(&b->error);
        if (b->error.detail) fprintf(stderr, "perigee: %s\n", b->error.detail);
        return b->error.kind == ERROR_SCRIPT_ERROR ? 2 : 1;
    }
    printf("1..%d\n", b->totals.passed + b->totals.failed);
    tester_coverage(b->tester);
    printf("# %d passed, %d failed\n", b->totals.passed, b->totals.failed);
    if (b->files == 0) fputs("perigee: there are no files *_test.lua here\n", stderr);
    return b->totals.failed || b->files == 0 ? 1 : 0;
}

static int test(int argc, char **argv)
{
    struct options o;
    struct bench b = {.ok = true};
    if (!options_parse(argc, argv, "workflows= config= masterdata= +8", &o) ||
        !settings_read(&o, &b.settings))
        return 2;
    for (size_t i = 0; i < o.word_count; i++)
        enable_plugin(&b.settings, o.words[i]);
    log_configure(LOG_ERROR, false);
    arena_init(&b.arena, (size_t)512 << 20);
    error_init(&b.error, &b.arena, say_language());
    b.set = script_load(&b.settings.scripts, &b.error);
    bool ok = b.set != NULL;
    if (ok) error_clear(&b.error); /* warnings are for `check` */
    ok = ok && prepare(&b, option(&o, "masterdata", NULL));
    for (size_t i = 0; ok && i < o.word_count; i++)
        ok = run_path(&b, o.words[i]);
    if (ok && o.word_count == 0) ok = run_all(&b);
    int code = finish(&b, ok);
    tester_close(b.tester);
    principal_unref(b.system);
    db_close(b.db);
    script_set_unref(b.set);
    arena_free(&b.arena);
    return code;
}

const struct command command_test = {
    "test", "[PATH …] [--workflows DIR] [--masterdata FILE] [--config FILE]",
    "run *_test.lua against a CRM in memory; exits 0 when all pass, 1 when one fails", test};
