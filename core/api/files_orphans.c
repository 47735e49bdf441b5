/* files_orphans.c: contents that no row names are removed: those of uploads that were cut off between file
 * and row, and those whose rows were deleted. The importer's thread looks for them at the start and every
 * hour; the removal itself is a job of the writer, so that no upload can come to name them meanwhile. */
#include "api/import_run.h"
#include "store/files.h"

#define AGE_S 3600

struct removal {
    struct write_job job;
    struct importer *importer;
    unsigned char hash[FILES_HASH];
    bool done;
};

static bool run(struct write_job *job, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct removal *r = (struct removal *)job;
    struct arena arena;
    struct error e;
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool ok = files_remove_orphan(r->importer->app->options->data, d, r->hash, AGE_S, &e);
    if (!ok) LOG(LOG_WARN, "a file stays behind", log_s("reason", e.detail));
    arena_free(&arena);
    return ok;
}

static void done(struct write_job *job, bool committed, const struct error *failure)
{
    (void)committed;
    (void)failure;
    struct removal *r = (struct removal *)job;
    pthread_mutex_lock(&r->importer->lock);
    r->done = true;
    pthread_cond_broadcast(&r->importer->wake);
    pthread_mutex_unlock(&r->importer->lock);
}

static bool remove_one(void *ctx, const unsigned char hash[FILES_HASH])
{
    struct importer *i = ctx;
    struct removal r = {.job = {.run = run, .done = done}, .importer = i};
    struct arena arena;
    struct error e;
    memcpy(r.hash, hash, sizeof r.hash);
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool submitted = writer_submit(i->app->writer, &r.job, &e);
    arena_free(&arena);
    if (!submitted) return false; /* the next look finds it again */
    pthread_mutex_lock(&i->lock);
    while (!r.done)
        pthread_cond_wait(&i->wake, &i->lock);
    pthread_mutex_unlock(&i->lock);
    return !importer_stopping(i);
}

void importer_collect_orphans(struct importer *i)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct db *d = db_open(i->app->path, DB_READ, &e);
    if (!d || !files_orphans(i->app->options->data, d, AGE_S, remove_one, i, &e))
        LOG(LOG_WARN, "files that nobody names cannot be looked for", log_s("reason", e.detail));
    db_close(d);
    arena_free(&arena);
}
