/* import_run.c: the thread that runs imports, one after the other, beside everybody else's writes.
 *
 *   this thread: rows of the file ─► chunk ─► a job of the writer: rows until its time is up, progress ─►
 *   commit ─► the rest of the chunk, while this thread reads the next one
 *
 * A job takes 2 ms while others write too, and more (up to 32) when nobody does. A dry run is a real run on a
 * copy of the database, which is thrown away: the writer hears of it only as a report. What was under way
 * when the server stopped, or was killed, is gone on with at the next start, behind the last row committed.
 */
#include "api/import_run.h"
#include "record/import_undo.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define QUIET 50    /* jobs in which nobody else wrote */
#define RETRIES 600 /* a second apart: a full disk is somebody's work to empty */

static bool run_finish(struct import_step *s, struct context *c)
{
    return import_job_finish(s->import, c->db, s->why, &s->error);
}

/* ── A real run ──────────────────────────────────────────────────────────────────────────────── */

static bool run_apply(struct import_step *s, struct context *c)
{
    return import_job_apply(s->import, s->chunk, c, s->budget, &s->left, &s->error);
}

/* More time for a job once nobody else has written for a while: then nobody waits behind it. */
static uint64_t budget(struct importer *i)
{
    struct writer_stats stats;
    writer_stats(i->app->writer, &stats);
    bool alone = stats.jobs - i->jobs_seen <= 1 && stats.queue_depth == 0;
    i->jobs_seen = stats.jobs;
    i->quiet = alone ? i->quiet + 1 : 0;
    if (!alone)
        i->budget = IMPORT_BUDGET_LEAST;
    else if (i->quiet > QUIET && i->budget < IMPORT_BUDGET_MOST)
        i->budget *= 2;
    return i->budget;
}

/* Applies the chunk; meanwhile, once, the next one is read. */
static bool apply_chunk(struct import_step *s, struct import_chunk *next, struct error *read_error)
{
    bool read = false;
    int tries = 0;
    while (!import_chunk_empty(s->chunk)) {
        if (importer_stopping(s->importer)) return false;
        s->budget = budget(s->importer);
        bool submitted = import_step_submit(s);
        if (submitted && !read) {
            import_job_read(s->import, next, read_error);
            read = true;
        }
        if (submitted && import_step_wait(s)) {
            import_job_committed(s->import, s->chunk);
            tries = 0;
            continue;
        }
        if (s->error.kind != ERROR_UNAVAILABLE || ++tries > RETRIES || !importer_pause(s->importer))
            return false;
    }
    if (!read) import_job_read(s->import, next, read_error);
    return true;
}

static bool run_chunks(struct import_step *s, struct import_chunk *a, struct import_chunk *b,
                       struct error *why)
{
    import_job_read(s->import, a, why);
    while (!import_chunk_empty(a)) {
        struct import_chunk *other = b;
        s->chunk = a;
        if (!apply_chunk(s, other, why)) return false;
        b = a;
        a = other;
    }
    return true;
}

static void run_real(struct importer *i, struct import_job *j)
{
    struct import_step s;
    struct error why;
    struct import_chunk *a = import_chunk_new(), *b = import_chunk_new();
    import_step_init(&s, i, j->state.user, j->lang);
    error_init(&why, &j->arena, j->lang);
    s.import = j;
    s.run = run_apply;
    bool ok = a && b ? run_chunks(&s, a, b, &why) : error_no_memory(&s.error);
    if (ok) {
        s.run = run_finish;
        s.why = why.kind ? &why : NULL;
        ok = import_step_until_done(&s);
        if (ok) importer_remove_file(i, j->state.id);
    }
    if (!ok && !importer_stopping(i)) importer_fail(i, j->state.id, &s.error);
    import_chunk_free(a);
    import_chunk_free(b);
    arena_free(&s.arena);
}

/* ── An undo ─────────────────────────────────────────────────────────────────────────────────── */

static bool run_undo(struct import_step *s, struct context *c)
{
    struct import_state state = *s->state;
    if (!import_undo(c, &state, s->budget, &s->left, &s->error)) return false;
    *s->state = state;
    return true;
}

static void undo(struct importer *i, struct import_state *state)
{
    struct import_step s;
    import_step_init(&s, i, state->user, LANG_EN);
    s.run = run_undo;
    s.inactive_too = true;
    s.left = true;
    while (s.left && !importer_stopping(i)) {
        struct import_state next = *state;
        s.budget = budget(i);
        s.state = &next;
        if (!import_step_until_done(&s)) break;
        *state = next;
    }
    if (s.left && !importer_stopping(i)) importer_fail(i, state->id, &s.error);
    arena_free(&s.arena);
}

/* ── One after the other ─────────────────────────────────────────────────────────────────────── */

static void import(struct importer *i, int64_t id, int64_t user)
{
    struct worker *w = i->worker;
    struct arena arena;
    struct error e;
    struct context c;
    char path[IMPORT_PATH];
    arena_init(&arena, (size_t)16 << 20);
    error_init(&e, &arena, LANG_EN);
    import_path(i->app, id, path);
    struct principal *p = principal_load(w->db, w->set->catalog, user, &e);
    struct import_job *j = NULL;
    if (p) {
        importer_context(&c, w, p, &arena, &e);
        j = import_job_open(&c, id, path);
    }
    principal_unref(p);
    if (!j)
        importer_fail(i, id, &e);
    else if (j->dry_run)
        import_run_dry(i, j);
    else
        run_real(i, j);
    import_job_close(j);
    arena_free(&arena);
}

/* False: nothing is left to do. */
static bool next(struct importer *i)
{
    struct arena arena;
    struct error e;
    struct import_state state;
    int64_t id = 0;
    bool found = false;
    arena_init(&arena, (size_t)1 << 20);
    error_init(&e, &arena, LANG_EN);
    if (!i->worker) i->worker = worker_open(i->app, NULL, &e);
    if (i->worker) {
        worker_renew(i->worker);
        if (imports_pending(i->worker->db, &id, &e) && id)
            (void)imports_get(i->worker->db, id, &arena, &state, &found, &e);
    }
    if (e.kind) LOG(LOG_ERROR, "imports cannot go on", log_s("reason", e.detail));
    if (found && str_is(state.state, "undoing"))
        undo(i, &state);
    else if (found)
        import(i, id, state.user);
    arena_free(&arena);
    return found;
}

/* ── Start and stop ──────────────────────────────────────────────────────────────────────────── */

/* What an earlier run left in DIR/spool: everything but the files of imports that will go on. */
static void tidy(struct app *app, struct db *d, struct arena *arena, struct error *e)
{
    char folder[IMPORT_PATH], path[2 * IMPORT_PATH];
    snprintf(folder, sizeof folder, "%s/spool", app->options->data);
    DIR *dir = opendir(folder);
    for (const struct dirent *f = NULL; dir && (f = readdir(dir));) {
        struct import_state state;
        bool found = false;
        int64_t id;
        struct str name = str_of(f->d_name);
        if (f->d_name[0] == '.') continue;
        if (str_starts(name, STR("import-")) && id_parse((struct str){name.p + 7, name.n - 7}, &id) &&
            !imports_get(d, id, arena, &state, &found, e))
            continue;
        if (found && (str_is(state.state, "queued") || str_is(state.state, "running"))) continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (unlink(path) != 0)
            LOG(LOG_WARN, "a file of DIR/spool stays behind", log_s("reason", strerror(errno)));
    }
    if (dir) closedir(dir);
}

/* Whether a former run left something to do. */
static bool look(struct importer *i, struct error *e)
{
    int64_t id = 0;
    struct db *d = db_open(i->app->path, DB_READ, e);
    bool ok = d && imports_pending(d, &id, e);
    if (ok) tidy(i->app, d, e->arena, e);
    db_close(d);
    i->wanted = id != 0;
    return ok;
}

/* Until there is something to do, or an hour is over (true). */
static bool sleep_an_hour(struct importer *i)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 3600;
    int code = 0;
    pthread_mutex_lock(&i->lock);
    while (!i->wanted && !i->stopping && code != ETIMEDOUT)
        code = pthread_cond_timedwait(&i->wake, &i->lock, &until);
    bool idle = !i->wanted;
    i->wanted = false;
    pthread_mutex_unlock(&i->lock);
    return idle;
}

/* Its connection is opened with the first import, and closed when there is nothing to do. */
static void *importer_thread(void *arg)
{
    struct importer *i = arg;
    for (bool idle = true; !importer_stopping(i); idle = sleep_an_hour(i)) {
        if (idle) {
            importer_collect_orphans(i);
            continue;
        }
        while (!importer_stopping(i) && next(i)) {
        }
        worker_close(i->worker);
        i->worker = NULL;
    }
    return NULL;
}

struct importer *importer_start(struct app *app, struct error *e)
{
    struct importer *i = calloc(1, sizeof *i);
    if (!i) return error_no_memory(e), NULL;
    i->app = app;
    i->budget = IMPORT_BUDGET_LEAST;
    pthread_mutex_init(&i->lock, NULL);
    pthread_cond_init(&i->wake, NULL);
    if (look(i, e) && pthread_create(&i->thread, NULL, importer_thread, i) == 0) return i;
    error_set(e, ERROR_INTERNAL, "cannot start a thread", "не удалось запустить поток");
    pthread_cond_destroy(&i->wake);
    pthread_mutex_destroy(&i->lock);
    free(i);
    return NULL;
}

void importer_stop(struct importer *i)
{
    if (!i) return;
    pthread_mutex_lock(&i->lock);
    i->stopping = true;
    pthread_cond_broadcast(&i->wake);
    pthread_mutex_unlock(&i->lock);
    pthread_join(i->thread, NULL);
}

void importer_free(struct importer *i)
{
    if (!i) return;
    pthread_cond_destroy(&i->wake);
    pthread_mutex_destroy(&i->lock);
    free(i);
}
