/* worker.c: what each thread that runs calls has of its own: connection, Lua state, compiled reads,
 * principals. */
#include "api/app.h"

#include <stdlib.h>

#define PLANS 512
#define PRINCIPALS 4096

bool worker_snapshot(struct worker *w, struct error *e)
{
    if (!w->loop) return db_begin(w->db, false, e);
    uint64_t commits = atomic_load_explicit(&w->app->commits, memory_order_acquire);
    if (w->snapshot && w->commits == commits) return true;
    worker_snapshot_end(w);
    if (!db_begin(w->db, false, e)) return false;
    w->snapshot = true;
    w->commits = commits;
    principal_cache_snapshot(w->principals, true);
    return true;
}

void worker_snapshot_leave(struct worker *w, bool ok)
{
    if (!w->loop)
        db_rollback(w->db);
    else if (!ok)
        worker_snapshot_end(w);
}

void worker_snapshot_end(struct worker *w)
{
    if (!w->snapshot) return;
    db_rollback(w->db);
    w->snapshot = false;
    principal_cache_snapshot(w->principals, false);
}

static struct script_set *set_in_force(struct app *app, uint64_t *generation)
{
    pthread_mutex_lock(&app->lock);
    struct script_set *set = script_set_ref(app->set);
    *generation = atomic_load(&app->generation);
    pthread_mutex_unlock(&app->lock);
    return set;
}

bool worker_take(struct worker *w, struct script_set *set, uint64_t generation, struct error *e)
{
    struct script_state *state = script_state_new(set, e);
    if (!state) return false;
    worker_snapshot_end(w); /* the new scripts may speak of columns that it does not have */
    meter_scripts(w);
    script_observe(state, meter_hook, w->meter);
    script_state_free(w->script);
    script_set_unref(w->set);
    w->script = state;
    w->set = script_set_ref(set);
    w->generation = generation;
    return true;
}

void worker_renew(struct worker *w)
{
    if (w->generation == atomic_load_explicit(&w->app->generation, memory_order_acquire)) return;
    struct arena arena;
    struct error e;
    uint64_t generation;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct script_set *set = set_in_force(w->app, &generation);
    if (!worker_take(w, set, generation, &e)) {
        LOG(LOG_ERROR, "a thread goes on with the old scripts", log_s("reason", e.detail));
        w->generation = generation;
    }
    script_set_unref(set);
    arena_free(&arena);
}

static bool fill(struct worker *w, struct db *lent, struct error *e)
{
    uint64_t generation;
    w->db = lent ? lent : db_open(w->app->path, DB_READ, e);
    if (!w->db) return false;
    w->owns_db = lent == NULL;
    w->plans = plan_cache_new(w->db, PLANS, e);
    w->principals = principal_cache_new(PRINCIPALS);
    w->meter = meter_new(w->app);
    if (!w->plans) return false;
    if (!w->principals || !w->meter) return error_no_memory(e);
    struct script_set *set = set_in_force(w->app, &generation);
    bool ok = worker_take(w, set, generation, e);
    script_set_unref(set);
    return ok;
}

struct worker *worker_open(struct app *app, struct db *lent, struct error *e)
{
    struct worker *w = calloc(1, sizeof *w);
    if (!w) {
        error_no_memory(e);
        return NULL;
    }
    w->app = app;
    buf_init(&w->scratch, ANSWER_MAX);
    if (fill(w, lent, e)) return w;
    worker_close(w);
    return NULL;
}

void worker_close(struct worker *w)
{
    if (!w) return;
    worker_snapshot_end(w);
    script_state_free(w->script);
    plan_cache_free(w->plans);
    principal_cache_free(w->principals);
    script_set_unref(w->set);
    if (w->owns_db) db_close(w->db);
    buf_free(&w->scratch);
    free(w); /* the meter stays: its figures are the server's */
}
