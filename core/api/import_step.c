/* import_step.c: writes of the importer: each is a job of the writer, with the rights of whoever imports, and
 * the importer's thread waits for its commit. A full disk or a full queue is waited out. */
#include "api/import_run.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define RETRIES 600 /* a second apart: a full disk is somebody's work to empty */

/* ── Waiting ─────────────────────────────────────────────────────────────────────────────────── */

void importer_expect(struct importer *i)
{
    atomic_store(&i->expecting, true);
}

void importer_committed(struct importer *i)
{
    if (!i || !atomic_load_explicit(&i->expecting, memory_order_relaxed)) return;
    if (!atomic_exchange(&i->expecting, false)) return;
    pthread_mutex_lock(&i->lock);
    i->wanted = true;
    pthread_cond_broadcast(&i->wake);
    pthread_mutex_unlock(&i->lock);
}

bool importer_stopping(struct importer *i)
{
    pthread_mutex_lock(&i->lock);
    bool stop = i->stopping;
    pthread_mutex_unlock(&i->lock);
    return stop;
}

/* False: the server stops. */
bool importer_pause(struct importer *i)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    pthread_mutex_lock(&i->lock);
    while (!i->stopping && pthread_cond_timedwait(&i->wake, &i->lock, &until) != ETIMEDOUT) {
    }
    bool stop = i->stopping;
    pthread_mutex_unlock(&i->lock);
    return !stop;
}

/* ── Jobs of the writer ──────────────────────────────────────────────────────────────────────── */

static struct principal *importing_user(struct import_step *s, struct worker *w)
{
    struct principal *p = principal_load(w->db, w->set->catalog, s->user, &s->error);
    if (!p || p->active || s->inactive_too) return p;
    principal_unref(p);
    error_set(&s->error, ERROR_FORBIDDEN, "whoever started the import is no longer active",
              "запустивший импорт больше не активен");
    return NULL;
}

void importer_context(struct context *c, struct worker *w, const struct principal *p, struct arena *arena,
                      struct error *e)
{
    context_init(c, w->set->catalog, w->db, p, arena, e);
    c->hooks = &script_hooks;
    c->script = w->script;
    c->plans = w->plans;
    c->automation = true;
    c->env.now = clock_now();
}

static bool run_step(struct write_job *job, struct db *d, void *thread_data)
{
    (void)d;
    struct import_step *s = (struct import_step *)job;
    struct worker *w = thread_data;
    struct context c;
    struct principal *p = importing_user(s, w);
    if (p) importer_context(&c, w, p, &s->arena, &s->error);
    bool ok = p && s->run(s, &c);
    principal_unref(p);
    meter_scripts(w);
    s->refused = !ok;
    return ok;
}

static void step_done(struct write_job *job, bool committed, const struct error *failure)
{
    struct import_step *s = (struct import_step *)job;
    struct importer *i = s->importer;
    if (!committed && failure && s->error.kind == ERROR_NONE)
        error_set(&s->error, failure->kind, "%s", "%s", failure->detail ? failure->detail : "");
    pthread_mutex_lock(&i->lock);
    s->committed = committed;
    s->done = true;
    pthread_cond_broadcast(&i->wake);
    pthread_mutex_unlock(&i->lock);
}

bool import_step_submit(struct import_step *s)
{
    s->done = s->committed = s->refused = false;
    s->job = (struct write_job){.run = run_step, .done = step_done, .lang = s->error.lang};
    error_clear(&s->error);
    return writer_submit(s->importer->app->writer, &s->job, &s->error);
}

bool import_step_wait(struct import_step *s)
{
    struct importer *i = s->importer;
    pthread_mutex_lock(&i->lock);
    while (!s->done)
        pthread_cond_wait(&i->wake, &i->lock);
    pthread_mutex_unlock(&i->lock);
    return s->committed;
}

/* Committed, or false: the server stops, or it cannot be done (s->error; not ERROR_UNAVAILABLE unless tried
 * long enough). */
bool import_step_until_done(struct import_step *s)
{
    for (int tries = 0; tries < RETRIES; tries++) {
        if (import_step_submit(s) && import_step_wait(s)) return true;
        if (s->error.kind != ERROR_UNAVAILABLE) return false;
        if (!importer_pause(s->importer)) return false;
    }
    return false;
}

void import_step_init(struct import_step *s, struct importer *i, int64_t user, enum lang lang)
{
    *s = (struct import_step){.importer = i, .user = user};
    arena_init(&s->arena, (size_t)16 << 20);
    error_init(&s->error, &s->arena, lang);
}

/* ── The end of one ──────────────────────────────────────────────────────────────────────────── */

void importer_remove_file(struct importer *i, int64_t id)
{
    char path[IMPORT_PATH];
    import_path(i->app, id, path);
    if (unlink(path) != 0 && errno != ENOENT)
        LOG(LOG_WARN, "the file of an import stays behind", log_s("reason", strerror(errno)));
}

/* The end is written in the name of the system: the user may be the reason for it. */
static bool run_end(struct write_job *job, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct import_step *s = (struct import_step *)job;
    s->refused = !imports_save(d, s->state, &s->error);
    return !s->refused;
}

void importer_fail(struct importer *i, int64_t id, const struct error *why)
{
    struct import_step s;
    struct import_state state;
    bool found = false;
    import_step_init(&s, i, 0, why->lang);
    if (imports_get(i->worker->db, id, &s.arena, &state, &found, &s.error) && found) {
        state.state = STR("failed");
        state.detail = str_of(why->detail ? why->detail : "");
        state.finished_at = clock_now();
        s.state = &state;
        for (int tries = 0; tries < RETRIES; tries++) {
            s.done = false;
            s.job = (struct write_job){.run = run_end, .done = step_done};
            error_clear(&s.error);
            if (writer_submit(i->app->writer, &s.job, &s.error) && import_step_wait(&s)) break;
            if (!importer_pause(i)) break;
        }
    }
    LOG(LOG_WARN, "an import has failed", log_s("reason", why->detail ? why->detail : ""));
    if (s.committed) importer_remove_file(i, id);
    arena_free(&s.arena);
}
