/* courier.c: the thread: what is due, how many at once, when to look again, how to stop. */
#include "courier/internal.h"
#include "store/webhook.h"

#define LOOK_AGAIN_MS 60000
#define GATHER_MS 20 /* wake-ups within this span are one */
#define KEEP_DELIVERIES_MS (INT64_C(30) * 86400000)
#define PURGE_EVERY_MS INT64_C(600000)

/* ---- scripts ---- */

static void free_loaded(struct loaded *l)
{
    script_state_free(l->state);
    principal_unref(l->system);
    script_set_unref(l->set);
    free(l);
}

static struct loaded *load(struct courier *c, struct error *e)
{
    struct loaded *l = calloc(1, sizeof *l);
    if (!l) return error_no_memory(e), NULL;
    l->set = c->config.scripts(c->config.ctx, &l->generation);
    l->state = script_state_new(l->set, e);
    l->system = l->state ? principal_system(l->set->catalog, e) : NULL;
    if (l->system) return l;
    free_loaded(l);
    return NULL;
}

static void drop_unused(struct courier *c)
{
    for (struct loaded **at = c->loaded ? &c->loaded->next : NULL; at && *at;) {
        struct loaded *l = *at;
        if (l->runs) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        free_loaded(l);
    }
}

struct loaded *courier_scripts(struct courier *c)
{
    uint64_t now = c->config.generation(c->config.ctx);
    if (c->loaded && c->loaded->generation == now) return c->loaded;
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct loaded *l = load(c, &e);
    if (l) {
        l->next = c->loaded;
        c->loaded = l;
        drop_unused(c);
    } else {
        LOG(LOG_ERROR, "the courier goes on with the old scripts", log_s("reason", e.detail ? e.detail : ""));
        if (c->loaded) c->loaded->generation = now;
    }
    arena_free(&arena);
    return c->loaded;
}

void courier_release(struct courier *c, struct loaded *l)
{
    l->runs--;
    drop_unused(c);
}

/* ---- tasks ---- */

struct task *task_new(struct courier *c, struct run *run, bool (*act)(struct task *, struct db *, void *),
                      void (*back)(struct task *))
{
    struct task *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->courier = c;
    t->run = run;
    t->act = act;
    t->back = back;
    arena_init(&t->arena, (size_t)16 << 20);
    error_init(&t->error, &t->arena, LANG_EN);
    buf_init(&t->result, (size_t)1 << 20);
    return t;
}

void task_free(struct task *t)
{
    if (!t) return;
    buf_free(&t->result);
    arena_free(&t->arena);
    free(t);
}

static void come_back(struct task *t)
{
    struct courier *c = t->courier;
    t->next = NULL;
    pthread_mutex_lock(&c->lock);
    *(c->back_last ? &c->back_last->next : &c->back_first) = t;
    c->back_last = t;
    uv_async_send(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static bool run_job(struct write_job *job, struct db *d, void *thread_data)
{
    struct task *t = (struct task *)job;
    return t->act(t, d, thread_data);
}

static void job_done(struct write_job *job, bool committed, const struct error *failure)
{
    struct task *t = (struct task *)job;
    t->ok = committed;
    if (!committed && failure) {
        error_clear(&t->error);
        error_set(&t->error, failure->kind, "%s", "%s", failure->detail ? failure->detail : "");
    }
    come_back(t);
}

void task_submit(struct task *t)
{
    t->courier->tasks_out++;
    t->job = (struct write_job){.lang = LANG_EN, .run = run_job, .done = job_done};
    if (!writer_submit(t->courier->config.writer, &t->job, &t->error)) come_back(t);
}

/* ---- claiming ---- */

struct claimed {
    struct claimed *next;
    struct outbox_job job;
};

struct claim {
    struct claimed *first, **last;
    struct task *task;
    int limit;
    bool purge;
};

static bool keep_claimed(void *ctx, const struct outbox_job *job)
{
    struct claim *claim = ctx;
    struct arena *arena = &claim->task->arena;
    struct claimed *k = arena_alloc(arena, sizeof *k);
    if (!k) return error_no_memory(&claim->task->error);
    k->job = *job;
    k->job.job = arena_str(arena, job->job);
    k->job.args = arena_str(arena, job->args);
    k->job.steps = arena_str(arena, job->steps);
    if (!k->job.job.p || !k->job.args.p || !k->job.steps.p) return error_no_memory(&claim->task->error);
    *claim->last = k;
    claim->last = &k->next;
    return true;
}

static bool claim_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct claim *claim = t->data;
    int64_t now = clock_now();
    if (claim->purge && (!outbox_purge(d, now - KEEP_DONE_MS, &t->error) ||
                         !delivery_purge(d, now - KEEP_DELIVERIES_MS, &t->error)))
        return false;
    return outbox_claim(d, now, now + LEASE_MS, claim->limit, keep_claimed, claim, &t->error);
}

static void claim_back(struct task *t)
{
    struct courier *c = t->courier;
    struct claim *claim = t->data;
    c->claiming = false;
    if (!t->ok) {
        LOG(LOG_WARN, "jobs cannot be claimed", log_s("reason", t->error.detail ? t->error.detail : ""));
        c->again = true;
    }
    for (struct claimed *k = t->ok ? claim->first : NULL; k; k = k->next)
        run_start(c, &k->job);
    task_free(t);
}

static void claim(struct courier *c, int limit, bool purge)
{
    struct task *t = task_new(c, NULL, claim_act, claim_back);
    struct claim *claim = t ? arena_alloc(&t->arena, sizeof *claim) : NULL;
    if (!claim) {
        task_free(t);
        c->again = true;
        return;
    }
    *claim = (struct claim){.task = t, .limit = limit, .purge = purge};
    claim->last = &claim->first;
    t->data = claim;
    c->claiming = true;
    task_submit(t);
}

/* ---- looking ---- */

static void on_timer(uv_timer_t *timer)
{
    struct courier *c = timer->data;
    c->timer_set = false;
    courier_tick(c);
}

static void look_at(struct courier *c, int64_t ms)
{
    if (ms < GATHER_MS) ms = GATHER_MS;
    if (ms > LOOK_AGAIN_MS) ms = LOOK_AGAIN_MS;
    uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
    c->timer_set = true;
}

static void finish_stopping(struct courier *c)
{
    bool late = (int64_t)clock_mono() > atomic_load(&c->stop_by);
    if (late) c->closing = true;
    if (c->tasks_out || (c->run_count && !late)) {
        uv_timer_start(&c->timer, on_timer, 20, 0);
        return;
    }
    if (c->run_count)
        LOG(LOG_WARN, "jobs are broken off; they are due again at the next start",
            log_i("jobs", c->run_count));
    uv_stop(&c->loop);
}

void courier_tick(struct courier *c)
{
    if (atomic_load(&c->stopping)) {
        finish_stopping(c);
        return;
    }
    struct arena arena;
    struct error e;
    int64_t now = clock_now(), due = INT64_MAX, next = now + LOOK_AGAIN_MS;
    uv_update_time(&c->loop);
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    courier_scripts(c);
    timers_look(c, now, &next);
    webhooks_look(c);
    if (c->again) {
        c->again = false;
        run_end_again(c);
        if (next > now + 1000) next = now + 1000;
    }
    bool purge = now >= c->purge_at;
    int room = JOBS_AT_ONCE - (int)c->run_count;
    if (!outbox_next(c->db, &due, &e)) LOG(LOG_WARN, "the outbox cannot be read", log_s("reason", e.detail));
    arena_free(&arena);
    if (!c->claiming && room > 0 && (due <= now || purge)) {
        if (purge) c->purge_at = now + PURGE_EVERY_MS;
        claim(c, room, purge);
    }
    if (due > now && due < next) next = due;
    look_at(c, next - now);
}

static void on_wake(uv_async_t *wake)
{
    struct courier *c = wake->data;
    pthread_mutex_lock(&c->lock);
    struct task *t = c->back_first;
    c->back_first = c->back_last = NULL;
    pthread_mutex_unlock(&c->lock);
    bool any = t != NULL;
    while (t) {
        struct task *next = t->next;
        c->tasks_out--;
        t->back(t);
        t = next;
    }
    if (any || atomic_load(&c->stopping))
        courier_tick(c);
    else if (!c->timer_set || uv_timer_get_due_in(&c->timer) > GATHER_MS)
        look_at(c, 0);
}

/* ---- start and stop ---- */

static void open_thread(struct courier *c, struct error *e)
{
    struct http_client_config http = {.user_agent = "Perigee",
                                      .ca_file = c->config.ca_file,
                                      .open = c->config.open,
                                      .open_n = c->config.open_n};
    c->db = db_open(c->config.path, DB_READ, e);
    if (!c->db) return;
    c->http = http_client_new(&c->loop, &http);
    if (!c->http) {
        error_no_memory(e);
        return;
    }
    struct loaded *l = load(c, e);
    if (l) c->loaded = l;
}

static bool recover_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    return outbox_recover(d, clock_now(), &t->error);
}

static void recover_back(struct task *t)
{
    if (!t->ok)
        LOG(LOG_ERROR, "unfinished jobs cannot be taken up",
            log_s("reason", t->error.detail ? t->error.detail : ""));
    task_free(t);
}

static void close_all(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h)) uv_close(h, NULL);
}

static void end(struct courier *c)
{
    http_client_close(c->http); /* answers what is under way, and nobody listens any more */
    uv_walk(&c->loop, close_all, NULL);
    uv_run(&c->loop, UV_RUN_DEFAULT);
    http_client_free(c->http);
}

static void *work(void *arg)
{
    struct courier *c = arg;
    sigset_t none;
    sigfillset(&none);
    sigdelset(&none, SIGRTMIN); /* deadlines of scripts */
    pthread_sigmask(SIG_SETMASK, &none, NULL);
    open_thread(c, c->start_error);
    pthread_mutex_lock(&c->lock);
    c->started = true;
    c->start_failed = c->loaded == NULL;
    bool failed = c->start_failed;
    pthread_cond_signal(&c->ready);
    pthread_mutex_unlock(&c->lock);
    if (!failed) {
        struct task *t = task_new(c, NULL, recover_act, recover_back);
        if (t) task_submit(t);
        look_at(c, 0);
        uv_run(&c->loop, UV_RUN_DEFAULT);
    }
    return NULL;
}

static void free_courier(struct courier *c)
{
    for (struct loaded *l = c->loaded, *next; l; l = next) {
        next = l->next;
        free_loaded(l);
    }
    db_close(c->db);
    uv_loop_close(&c->loop);
    pthread_cond_destroy(&c->ready);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

struct courier *courier_start(const struct courier_config *config, struct error *e)
{
    struct courier *c = calloc(1, sizeof *c);
    if (!c) return error_no_memory(e), NULL;
    c->config = *config;
    c->zone = timezone_find(str_of(config->time_zone));
    c->start_error = e;
    c->wake.data = c->timer.data = c;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->ready, NULL);
    if (uv_loop_init(&c->loop) != 0) {
        free(c);
        return error_no_memory(e), NULL;
    }
    uv_async_init(&c->loop, &c->wake, on_wake);
    uv_timer_init(&c->loop, &c->timer);
    bool ok = pthread_create(&c->thread, NULL, work, c) == 0;
    if (!ok) error_set(e, ERROR_INTERNAL, "cannot start a thread", "не удалось запустить поток");
    pthread_mutex_lock(&c->lock);
    while (ok && !c->started)
        pthread_cond_wait(&c->ready, &c->lock);
    ok = ok && !c->start_failed;
    pthread_mutex_unlock(&c->lock);
    if (ok) return c;
    if (c->started) pthread_join(c->thread, NULL);
    end(c);
    free_courier(c);
    return NULL;
}

void courier_wake(struct courier *c)
{
    if (c) uv_async_send(&c->wake);
}

void courier_stop(struct courier *c, int64_t grace_ms)
{
    if (!c) return;
    atomic_store(&c->stop_by, (int64_t)clock_mono() + grace_ms * 1000000);
    atomic_store(&c->stopping, true);
    uv_async_send(&c->wake);
    pthread_join(c->thread, NULL);
}

void courier_free(struct courier *c)
{
    if (!c) return;
    c->closing = true;
    end(c);
    while (c->runs) {
        struct run *r = c->runs;
        c->runs = r->next;
        run_free(r);
    }
    free_courier(c);
}

void courier_stats(struct courier *c, struct courier_stats *out)
{
    *out =
        (struct courier_stats){c->done, c->retried, c->dead, c->timers, c->requests, c->mails, c->under_way};
}
