/* import_dry.c: a dry run is a real run on a copy of the database that is thrown away: what it reports is
 * what the real one would, keys that stand twice included, and nothing leaves the outbox. Nobody else waits
 * for it. */
#include "api/import_run.h"
#include "store/trail.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define REPORT_NS UINT64_C(500000000)
#define ROOM ((int64_t)64 << 20)

static bool save_state(struct import_step *s, struct context *c)
{
    return imports_save(c->db, s->state, &s->error);
}

static bool enough_room(struct importer *i, struct error *e)
{
    struct statvfs fs;
    struct stat st;
    if (statvfs(i->app->options->data, &fs) != 0 || stat(i->app->path, &st) != 0) return true;
    if ((int64_t)fs.f_bavail * (int64_t)fs.f_frsize > (int64_t)st.st_size * 2 + ROOM) return true;
    return error_set(e, ERROR_UNAVAILABLE, "there is no room on the disk for a dry run",
                     "на диске нет места для пробного импорта");
}

struct report {
    struct db *to;
    int64_t import, n;
    struct error *error;
    bool ok;
};

static bool report_mistake(void *ctx, const struct import_mistake *m)
{
    struct report *r = ctx;
    r->ok = imports_mistake(r->to, r->import, IMPORT_PHASE_RUN, r->n++, m, r->error);
    return r->ok;
}

/* What the copy says in the end, into the database itself. */
static bool run_report(struct import_step *s, struct context *c)
{
    struct report r = {.to = c->db, .import = s->state->id, .error = &s->error, .ok = true};
    return imports_mistakes(s->copy, s->state->id, IMPORT_PHASE_RUN, 0, INT64_MAX, report_mistake, &r,
                            &s->error) &&
           r.ok && imports_save(c->db, s->state, &s->error);
}

static bool apply_to_copy(struct worker *w, struct import_job *j, struct import_chunk *k, struct error *e)
{
    struct context c;
    struct arena arena;
    bool left;
    arena_init(&arena, (size_t)16 << 20);
    struct principal *p = principal_load(w->db, w->set->catalog, j->state.user, e);
    if (p) importer_context(&c, w, p, &arena, e);
    bool ok = p && db_begin(w->db, true, e) && import_job_apply(j, k, &c, IMPORT_BUDGET_MOST, &left, e) &&
              db_commit(w->db, e);
    if (ok) {
        import_job_committed(j, k);
    } else {
        db_rollback(w->db);
        trail_forget(w->db);
    }
    principal_unref(p);
    arena_free(&arena);
    return ok;
}

/* Progress for whoever looks, now and then. */
static void tell_progress(struct import_step *s, struct import_job *j, uint64_t *told)
{
    struct import_state state = j->state;
    if (clock_mono() - *told < REPORT_NS) return;
    *told = clock_mono();
    s->state = &state;
    s->run = save_state;
    if (import_step_submit(s)) (void)import_step_wait(s);
}

static bool run_on_copy(struct import_step *s, struct worker *w, struct import_job *j, struct error *why)
{
    struct import_chunk *k = import_chunk_new();
    uint64_t told = 0;
    bool ok = k || error_no_memory(&s->error);
    while (ok && import_job_read(j, k, why) && !import_chunk_empty(k))
        while (ok && !import_chunk_empty(k)) {
            ok = !importer_stopping(s->importer) && apply_to_copy(w, j, k, &s->error);
            if (ok) tell_progress(s, j, &told);
        }
    import_chunk_free(k);
    return ok;
}

static void remove_copy(const char *path)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
    char name[IMPORT_PATH + 16];
    for (size_t n = 0; n < sizeof ends / sizeof *ends; n++) {
        snprintf(name, sizeof name, "%s%s", path, ends[n]);
        if (unlink(name) != 0 && errno != ENOENT)
            LOG(LOG_WARN, "the copy of a dry run stays behind", log_s("reason", strerror(errno)));
    }
}

static bool finish_dry(struct import_step *s, struct import_job *j, struct db *copy, const struct error *why)
{
    struct import_state state = j->state;
    state.state = why->kind ? STR("failed") : STR("done");
    if (why->kind) state.detail = str_of(why->detail);
    if (!why->kind) state.total = state.done;
    state.first_seq = state.last_seq = 0;
    state.finished_at = clock_now();
    s->state = &state;
    s->copy = copy;
    s->run = run_report;
    return import_step_until_done(s);
}

void import_run_dry(struct importer *i, struct import_job *j)
{
    struct import_step s;
    struct error why;
    char path[IMPORT_PATH];
    import_step_init(&s, i, j->state.user, j->lang);
    error_init(&why, &j->arena, j->lang);
    s.import = j;
    import_path(i->app, j->state.id, path);
    snprintf(path + strlen(path), sizeof path - strlen(path), ".db");
    remove_copy(path);
    struct db *copy = enough_room(i, &s.error) && store_copy(i->worker->db, path, &s.error)
                          ? db_open(path, DB_WRITE, &s.error)
                          : NULL;
    struct worker *w = copy && db_exec(copy, "PRAGMA synchronous = OFF", &s.error)
                           ? worker_open(i->app, copy, &s.error)
                           : NULL;
    bool ok = w && run_on_copy(&s, w, j, &why) && finish_dry(&s, j, copy, &why);
    worker_close(w);
    db_close(copy);
    remove_copy(path);
    if (ok) importer_remove_file(i, j->state.id);
    if (!ok && !importer_stopping(i)) importer_fail(i, j->state.id, &s.error);
    arena_free(&s.arena);
}
