/* reload.c: another set of scripts without stopping. A thread of its own loads them; the writer, between two
 * batches, lets the database follow and swaps; every other thread takes the new set before its next call. A
 * broken set leaves the old one in force. */
#include "api/app.h"
#include "script/migrate.h"
#include "store/schema.h"
#include "store/trail.h"

#include <stdlib.h>
#include <sys/stat.h>

struct reload {
    struct app *app;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t asked, settled;
    bool wanted, stopping;
    struct script_set *fresh;              /* loaded, waits for the writer */
    uint64_t asks, loading, waiting, done; /* the last ask made; under load; whose set waits; settled */
    bool in_force;                         /* how the last one was settled */
    uint64_t seen;                         /* of --dev: hash of the sources looked at last */
};

static void log_mistakes(const struct error *e)
{
    for (const struct error_entry *i = e->first; i; i = i->next)
        LOG(LOG_ERROR, "script mistake", log_s("file", i->file ? i->file : ""), log_i("line", i->line),
            log_s("text", i->message));
    LOG(LOG_ERROR, "the scripts were not reloaded; the old ones stay in force",
        log_s("reason", e->detail ? e->detail : ""));
}

/* Under the lock: those who wait for ask `n` go on. */
static void settle(struct reload *r, uint64_t n, bool in_force)
{
    r->done = n;
    r->in_force = in_force;
    pthread_cond_broadcast(&r->settled);
}

static void load(struct reload *r)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, (size_t)16 << 20);
    error_init(&e, &arena, LANG_EN);
    struct script_set *set = script_load(&r->app->options->scripts, &e);
    if (!set) log_mistakes(&e);
    pthread_mutex_lock(&r->lock);
    struct script_set *old = r->fresh;
    r->fresh = set ? set : old;
    if (set)
        r->waiting = r->loading;
    else
        settle(r, r->loading, false);
    pthread_mutex_unlock(&r->lock);
    if (set) {
        script_set_unref(old);
        writer_poke(r->app->writer);
    }
    arena_free(&arena);
}

static void *loader(void *arg)
{
    struct reload *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stopping) {
        if (!r->wanted) {
            pthread_cond_wait(&r->asked, &r->lock);
            continue;
        }
        r->wanted = false;
        r->loading = r->asks;
        pthread_mutex_unlock(&r->lock);
        load(r);
        pthread_mutex_lock(&r->lock);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

bool reload_start(struct app *app, struct error *e)
{
    struct reload *r = calloc(1, sizeof *r);
    if (!r) return error_no_memory(e);
    r->app = app;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->asked, NULL);
    pthread_cond_init(&r->settled, NULL);
    r->seen = app->set->catalog->version;
    app->reload = r;
    if (pthread_create(&r->thread, NULL, loader, r) == 0) return true;
    app->reload = NULL;
    free(r);
    return error_set(e, ERROR_INTERNAL, "cannot start a thread", "не удалось запустить поток");
}

void reload_stop(struct app *app)
{
    struct reload *r = app->reload;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->asked);
    pthread_cond_broadcast(&r->settled);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    script_set_unref(r->fresh);
    pthread_cond_destroy(&r->asked);
    pthread_cond_destroy(&r->settled);
    pthread_mutex_destroy(&r->lock);
    free(r);
    app->reload = NULL;
}

void reload_ask(struct app *app)
{
    struct reload *r = app->reload;
    if (!r) return;
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    r->asks++;
    pthread_cond_signal(&r->asked);
    pthread_mutex_unlock(&r->lock);
}

#define PATIENCE_S 30

/* Asks, and waits until the set is in force or was refused. */
static bool ask_and_wait(struct app *app, struct error *e)
{
    struct reload *r = app->reload;
    struct timespec until;
    int late = 0;
    if (!r) return error_set(e, ERROR_UNAVAILABLE, "the server stops", "сервер останавливается");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&r->lock);
    r->wanted = true;
    uint64_t mine = ++r->asks;
    pthread_cond_signal(&r->asked);
    while (r->done < mine && !r->stopping && late == 0)
        late = pthread_cond_timedwait(&r->settled, &r->lock, &until);
    bool done = r->done >= mine, in_force = r->in_force;
    pthread_mutex_unlock(&r->lock);
    if (done && in_force) return true;
    if (done)
        return error_set(e, ERROR_CONFLICT,
                         "the scripts are right but could not be put in force: see the log",
                         "сценарии верны, но не вступили в силу: см. журнал");
    return error_set(e, ERROR_UNAVAILABLE, "the scripts are not in force yet",
                     "сценарии ещё не вступили в силу");
}

bool reload_changed(struct app *app)
{
    struct reload *r = app->reload;
    struct arena arena;
    struct error e;
    if (!r) return false;
    arena_init(&arena, (size_t)4 << 20);
    error_init(&e, &arena, LANG_EN);
    uint64_t now = script_sources_hash(&app->options->scripts, &e);
    arena_free(&arena);
    bool changed = now && now != r->seen;
    if (now) r->seen = now;
    return changed;
}

/* In one transaction, or not at all. */
static bool follow(struct db *d, struct script_set *set, struct arena *arena, struct error *e)
{
    const struct catalog *c = set->catalog;
    struct schema_plan plan;
    if (!db_begin(d, true, e)) return false;
    bool ok = schema_plan(d, c, arena, &plan, e) && schema_apply(d, c, &plan, false, e) &&
              script_migrate(set, d, e) && store_epoch_bump(d, e) && db_commit(d, e);
    if (!ok) {
        db_rollback(d);
        trail_forget(d);
    }
    return ok;
}

void reload_between(void *data, void *thread_data, struct db *d)
{
    struct app *app = data;
    struct reload *r = app->reload;
    struct worker *w = thread_data;
    if (!r || !w) return;
    pthread_mutex_lock(&r->lock);
    struct script_set *set = r->fresh;
    uint64_t mine = r->waiting;
    r->fresh = NULL;
    pthread_mutex_unlock(&r->lock);
    if (!set) return;
    struct arena arena;
    struct error e;
    arena_init(&arena, (size_t)16 << 20);
    error_init(&e, &arena, LANG_EN);
    uint64_t next = atomic_load(&app->generation) + 1;
    bool ok = follow(d, set, &arena, &e) && worker_take(w, set, next, &e);
    if (ok) {
        pthread_mutex_lock(&app->lock);
        struct script_set *old = app->set;
        app->set = script_set_ref(set);
        atomic_store_explicit(&app->generation, next, memory_order_release);
        pthread_mutex_unlock(&app->lock);
        script_set_unref(old);
        LOG(LOG_INFO, "scripts reloaded", log_i("entities", (int64_t)set->catalog->entity_count));
    } else {
        log_mistakes(&e);
    }
    pthread_mutex_lock(&r->lock);
    settle(r, mine, ok);
    pthread_mutex_unlock(&r->lock);
    script_set_unref(set);
    arena_free(&arena);
}

/* POST /api/v1/reload: loads at once, so that the mistakes are the answer, which comes when the new set is in
 * force. */
static bool reload(struct call *c)
{
    if (!call_is_admin(c))
        return error_set(&c->error, ERROR_FORBIDDEN, "only administrators reload the scripts",
                         "перезагружать сценарии могут только администраторы");
    struct script_set *set = script_load(&c->app->options->scripts, &c->error);
    if (!set) {
        c->error.kind = ERROR_VALIDATION_FAILED; /* the caller's scripts, not a failure of the server */
        return false;
    }
    script_set_unref(set);
    if (!c->dry_run && !ask_and_wait(c->app, &c->error)) return false;
    return call_empty(c, 204);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/reload", LANE_SLOW, NOT_IN_BATCH | BODY_MAY, "", reload,
     "Load the scripts again (administrators)", NULL, NULL, 204},
};

const struct endpoint_table reload_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
