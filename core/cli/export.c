/* export.c: the command `export`: the records of a collection as CSV or NDJSON, in constant memory, beside a
 * server that may run. What it writes, `import --mode restore` brings back. */
#include "cli/cli.h"
#include "record/query.h"

#include <errno.h>
#include <stdio.h>

#define PIECE ((size_t)256 << 10)
#define PLANS 8

static bool read_format(struct desk *d, const struct options *o, enum export_format *format)
{
    const char *name = option(o, "format", "csv");
    *format = strcmp(name, "csv") == 0 ? EXPORT_CSV : EXPORT_NDJSON;
    return *format == EXPORT_CSV || strcmp(name, "ndjson") == 0 ||
           error_set(&d->error, ERROR_BAD_REQUEST, "--format is csv or ndjson", "--format: csv или ndjson");
}

static struct str given(const struct options *o, const char *name)
{
    return str_of(option(o, name, NULL));
}

static bool put(struct desk *d, const struct buf *b, FILE *to)
{
    if (fwrite(b->p, 1, b->n, to) == b->n) return true;
    return error_set(&d->error, ERROR_UNAVAILABLE, "the export cannot be written: %s",
                     "экспорт не записывается: %s", strerror(errno));
}

static bool write_rows(struct desk *d, struct db *own, const struct query *q, enum export_format format,
                       FILE *to)
{
    struct arena arena;
    struct buf out;
    bool done = false;
    struct context c = d->context;
    struct export *x = export_start(&d->context, own, q, format, UINT64_MAX);
    arena_init(&arena, (size_t)64 << 20);
    buf_init(&out, (size_t)64 << 20);
    c.arena = &arena;
    c.db = own;
    bool ok = x != NULL;
    while (ok && !done) {
        arena_reset(&arena);
        buf_reset(&out);
        ok = export_more(&c, x, PIECE, &out, &done) && put(d, &out, to);
    }
    export_free(x);
    buf_free(&out);
    arena_free(&arena);
    return ok;
}

/* Never over a file that is there. */
static FILE *open_target(struct desk *d, const char *path)
{
    FILE *f = path ? fopen(path, "wxe") : stdout;
    if (!f)
        error_set(&d->error, ERROR_CONFLICT, "%s cannot be written: %s", "%s не записывается: %s", path,
                  strerror(errno));
    return f;
}

static bool close_target(struct desk *d, FILE *f, const char *path, bool ok)
{
    bool flushed = f == stdout ? fflush(f) == 0 : fclose(f) == 0;
    if (ok && !flushed)
        ok = error_set(&d->error, ERROR_UNAVAILABLE, "the export cannot be written: %s",
                       "экспорт не записывается: %s", strerror(errno));
    if (!ok && path) remove(path);
    return ok;
}

static bool export_rows(struct desk *d, const struct options *o)
{
    const char *collection = option(o, "collection", ""), *path = option(o, "to", NULL);
    enum export_format format;
    struct query q = {.entity = catalog_collection(d->set->catalog, str_of(collection)),
                      .filter = given(o, "filter"),
                      .sort = given(o, "sort"),
                      .fields = given(o, "fields")};
    if (!q.entity)
        return error_set(&d->error, ERROR_NOT_FOUND, "there is no collection %s", "нет коллекции %s",
                         collection);
    if (!read_format(d, o, &format) || !desk_become(d, option(o, "user", NULL))) return false;
    struct db *own = db_open(d->path, DB_READ, &d->error);
    d->context.plans = own ? plan_cache_new(d->db, PLANS, &d->error) : NULL;
    FILE *to = d->context.plans ? open_target(d, path) : NULL;
    bool ok = to && close_target(d, to, path, write_rows(d, own, &q, format, to));
    plan_cache_free(d->context.plans);
    db_close(own);
    return ok;
}

static int export(int argc, char **argv)
{
    struct options o;
    struct desk d;
    if (!options_parse(argc, argv,
                       "data= config= workflows= collection= format= filter= sort= fields= user= to=", &o) ||
        !options_need(&o, &command_export, "collection"))
        return 2;
    int code = desk_open(&d, &o, false);
    if (code == 0 && !export_rows(&d, &o)) code = desk_fail(&d);
    desk_close(&d);
    return code;
}

const struct command command_export = {
    "export",
    "--data DIR --collection NAME [--format csv|ndjson] [--filter EXPR] [--sort LIST] [--fields LIST]\n"
    "         [--user LOGIN] [--to FILE]",
    "write the records of a collection as CSV or NDJSON", export};
