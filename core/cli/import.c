/* import.c: the command `import`: master data, all or nothing; or the rows of a table, one by one, as POST
 * /api/v1/imports does it. */
#include "base/clock.h"
#include "base/id.h"
#include "cli/cli.h"
#include "record/import_job.h"
#include "record/masterdata.h"
#include "store/schema.h"
#include "store/trail.h"

#include <stdio.h>
#include <unistd.h>

#define CHUNK_NS UINT64_C(100000000) /* one transaction: others may be writing too */

/* ---- master data ---- */
static bool read_file(struct desk *d, const char *path, struct str *out)
{
    FILE *f = fopen(path, "rb");
    struct buf b;
    char chunk[65536];
    size_t n;
    if (!f) return error_set(&d->error, ERROR_NOT_FOUND, "%s cannot be read", "%s не читается", path);
    buf_init(&b, (size_t)64 << 20);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(&b, chunk, n);
    bool ok = !ferror(f) && !b.failed;
    fclose(f);
    *out = ok ? arena_str(&d->arena, buf_view(&b)) : (struct str){NULL, 0};
    buf_free(&b);
    return out->p ? true
                  : error_set(&d->error, ERROR_INTERNAL, "%s cannot be read, or is larger than 64 MiB",
                              "%s не читается или больше 64 МиБ", path);
}

static void print_count(void *ctx, const char *collection, const struct masterdata_count *n)
{
    (void)ctx;
    printf("%-18s %4zu created  %4zu updated  %4zu unchanged\n", collection, n->created, n->updated,
           n->unchanged);
}

static int masterdata(const struct options *o, const char *file)
{
    struct desk d;
    struct str text;
    int code = desk_open(&d, o, true);
    if (code == 0) {
        d.context.automation = strcmp(option(o, "automation", "run"), "run") == 0;
        bool ok = read_file(&d, file, &text) && db_begin(d.db, true, &d.error);
        ok = ok && masterdata_import(&d.context, text, print_count, NULL) &&
             schema_seed(d.db, d.set->catalog, &d.error) && db_commit(d.db, &d.error);
        if (!ok) {
            db_rollback(d.db);
            fprintf(stderr, "perigee: nothing was imported from %s\n", file);
            code = desk_fail(&d);
        }
    }
    desk_close(&d);
    return code;
}

/* ---- rows ---- */

static bool read_options(struct desk *d, const struct options *o, struct import_options *out)
{
    const char *file = option(o, "file", ""), *end = strrchr(file, '.');
    struct str format = str_of(option(o, "format", end ? end + 1 : "csv")),
               mode = str_of(option(o, "mode", "create"));
    *out = (struct import_options){.match = str_of(option(o, "match", "")),
                                   .automation = strcmp(option(o, "automation", "run"), "off") != 0};
    if (!import_format_named(format, &out->format))
        return error_set(&d->error, ERROR_BAD_REQUEST, "--format is csv, ndjson or json",
                         "--format: csv, ndjson или json");
    if (!import_mode_named(mode, &out->mode))
        return error_set(&d->error, ERROR_BAD_REQUEST, "--mode is create, update, upsert or restore",
                         "--mode: create, update, upsert или restore");
    return true;
}

/* A row of the import's own, so that it can be seen and taken back later. */
static bool add(struct desk *d, const struct entity *e, const struct import_options *options, int64_t *id)
{
    struct buf b;
    buf_init(&b, 65536);
    struct import_state s = {.id = *id = id_next(),
                             .user = d->context.who->id,
                             .entity = str_of(e->name),
                             .state = STR("queued"),
                             .created_at = clock_now()};
    bool ok = import_options_write(&b, options, false, d->error.lang) && db_begin(d->db, true, &d->error);
    s.options = buf_view(&b);
    ok = ok && imports_add(d->db, &s, &d->error) && db_commit(d->db, &d->error);
    if (!ok) db_rollback(d->db);
    buf_free(&b);
    return ok ? true : d->error.kind == ERROR_NONE ? error_no_memory(&d->error) : false;
}

static bool apply(struct desk *d, struct import_job *j, struct import_chunk *k)
{
    bool left;
    bool ok = db_begin(d->db, true, &d->error) &&
              import_job_apply(j, k, &d->context, CHUNK_NS, &left, &d->error) && db_commit(d->db, &d->error);
    if (ok) {
        import_job_committed(j, k);
        return true;
    }
    db_rollback(d->db);
    trail_forget(d->db);
    return false;
}

static bool finish(struct desk *d, struct import_job *j, const struct error *why)
{
    bool ok = db_begin(d->db, true, &d->error) && import_job_finish(j, d->db, why, &d->error) &&
              db_commit(d->db, &d->error);
    if (!ok) db_rollback(d->db);
    return ok;
}

static bool run(struct desk *d, struct import_job *j)
{
    struct import_chunk *k = import_chunk_new();
    struct error why;
    bool ok = k || error_no_memory(&d->error);
    error_init(&why, &d->arena, d->error.lang);
    while (ok && import_job_read(j, k, &why) && !import_chunk_empty(k)) {
        while (ok && !import_chunk_empty(k))
            ok = apply(d, j, k);
        if (isatty(2)) fprintf(stderr, "\r%lld of %lld", (long long)j->state.done, (long long)j->state.total);
    }
    if (isatty(2)) fputs("\n", stderr);
    ok = ok && finish(d, j, why.kind ? &why : NULL);
    import_chunk_free(k);
    return ok && why.kind != ERROR_NONE ? error_set(&d->error, why.kind, "%s", "%s", why.detail) : ok;
}

static bool print_mistake(void *ctx, const struct import_mistake *m)
{
    (void)ctx;
    fprintf(stderr, "row %lld, line %lld: %.*s%s%.*s\n", (long long)m->row, (long long)m->line,
            STR_ARG(m->pointer), m->pointer.n ? ": " : "", STR_ARG(m->message));
    return true;
}

static int rows(const struct options *o, const char *collection)
{
    struct desk d;
    struct import_options options;
    struct import_job *j = NULL;
    int64_t id;
    const char *file = option(o, "file", "");
    int code = desk_open(&d, o, true);
    if (code) return desk_close(&d), code;
    d.context.automation = true;
    const struct entity *e = catalog_collection(d.set->catalog, str_of(collection));
    if (!e) error_set(&d.error, ERROR_NOT_FOUND, "there is no collection %s", "нет коллекции %s", collection);
    bool ok = e && desk_become(&d, option(o, "user", NULL)) && read_options(&d, o, &options) &&
              import_probe(&d.context, e, file, str_of(option(o, "charset", "")), &options) &&
              add(&d, e, &options, &id) && (j = import_job_open(&d.context, id, file)) && run(&d, j);
    if (j) {
        const struct import_state *s = &j->state;
        char text[ID_TEXT + 1];
        id_format(id, text);
        imports_mistakes(d.db, id, IMPORT_PHASE_RUN, 0, 20, print_mistake, NULL, &d.error);
        printf("%s: import %s: %lld created  %lld updated  %lld unchanged  %lld failed\n", collection, text,
               (long long)s->created, (long long)s->updated, (long long)s->unchanged, (long long)s->failed);
        code = s->failed ? 1 : 0;
    }
    if (!ok) code = desk_fail(&d);
    import_job_close(j);
    desk_close(&d);
    return code;
}

static int import(int argc, char **argv)
{
    struct options o;
    if (!options_parse(
            argc, argv,
            "data= config= workflows= masterdata= collection= file= format= mode= match= automation= "
            "charset= user=",
            &o))
        return 2;
    const char *collection = option(&o, "collection", NULL), *automation = option(&o, "automation", "run");
    if (strcmp(automation, "run") != 0 && strcmp(automation, "off") != 0)
        return fprintf(stderr, "perigee: --automation is \"run\" or \"off\", not \"%s\"\n", automation), 2;
    if (!options_need(&o, &command_import, collection ? "file" : "masterdata")) return 2;
    return collection ? rows(&o, collection) : masterdata(&o, option(&o, "masterdata", NULL));
}

const struct command command_import = {
    "import",
    "--data DIR --masterdata FILE [--automation run|off]\n"
    "       perigee import --data DIR --collection NAME --file FILE [--format csv|ndjson|json]\n"
    "         [--mode create|update|upsert|restore] [--match FIELD] [--automation run|off] [--charset C] "
    "[--user L]",
    "import master data, all or nothing; or the rows of a table, each by itself", import};
