/* lanes.c: where a call runs: on its loop with a small budget, or on the slow pool with a large one, so that
 * no report, however silly its filter, makes another request wait (design §3).
 *
 *   loop ──LANE_READ──► handler, 5 ms ──ERROR_BUSY──┐
 *        ──LANE_SLOW──────────────────────────────► queue ─► pool thread: handler, 10 s ─► http_loop_post
 *
 * The first thread of the pool never takes a heavy read, so that signing in does not wait behind reports. */
#include "api/app.h"

#include <stdlib.h>

struct queue {
    struct call *first, **last;
    size_t n;
};

struct pool_thread {
    struct pool *pool;
    pthread_t thread;
    bool light; /* takes no heavy calls */
};

struct pool {
    struct app *app;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t more;
    struct queue light, heavy;
    bool stopping;
    unsigned count;
    struct pool_thread threads[64];
};

/* ── Running ─────────────────────────────────────────────────────────────────────────────────── */

static bool admit(struct call *c)
{
    if (c->admitted) return true;
    if (!call_prepare(c, c->x->query) || !call_parse_body(c)) return false;
    c->admitted = true;
    auth_touch(c);
    return true;
}

static bool run_inside(struct call *c, struct worker *w, bool (*handle)(struct call *c))
{
    bool ok = call_enter(c, w) && admit(c) && (!handle || (handle(c) && call_fits(c)));
    if (!ok) expensive_explain(c);
    if (!ok && c->error.kind != ERROR_BUSY) problem_answer(c); /* while it is known who asks */
    if (!c->detached) call_leave(c);
    return ok;
}

bool lane_run(struct call *c, struct worker *w, bool (*handle)(struct call *c))
{
    if (c->lane == LANE_LOOP && c->endpoint->flags & OPEN) {
        worker_snapshot_end(w);
        return run_inside(c, w, handle);
    }
    if (!worker_snapshot(w, &c->error)) {
        c->worker = w;
        problem_answer(c);
        return false;
    }
    bool ok = run_inside(c, w, handle);
    worker_snapshot_leave(w, ok);
    return ok;
}

/* ── The loop's own lane ─────────────────────────────────────────────────────────────────────── */

static void submit(struct call *c);

static void run_here(struct call *c)
{
    struct worker *w = c->home;
    /* What belongs to the loop (a stream, an upload) must not go on in a thread of the pool: no budget there.
     */
    bool movable = c->lane == LANE_READ;
    if (movable) db_budget(w->db, (uint64_t)c->app->options->read_budget_us * 1000, false);
    bool ok = lane_run(c, w, c->handle);
    if (movable) db_budget(w->db, 0, false);
    if (c->detached) return;
    if (!ok && c->error.kind == ERROR_BUSY) {
        atomic_fetch_add_explicit(&w->meter->slowed, 1, memory_order_relaxed);
        error_clear(&c->error);
        c->fields = NULL;
        c->heavy = true;
        c->lane = LANE_SLOW;
        submit(c);
    } else if (ok && c->then) {
        c->lane = c->then_lane;
        c->handle = c->then;
        c->then = NULL;
        lane_enter(c);
    } else {
        call_send(c);
    }
}

static bool admit_here(struct call *c)
{
    if (c->admitted) return true;
    if (lane_run(c, c->home, NULL)) return true;
    if (c->error.kind == ERROR_BUSY) problem_answer(c);
    call_send(c);
    return false;
}

void lane_enter(struct call *c)
{
    if (c->lane == LANE_READ || c->lane == LANE_LOOP) {
        c->out = &c->home->scratch;
        buf_reset(c->out);
        run_here(c);
        return;
    }
    if (!admit_here(c)) return;
    if (c->lane == LANE_SLOW)
        submit(c);
    else
        write_enter(c);
}

/* ── The pool ────────────────────────────────────────────────────────────────────────────────── */

static void push(struct queue *q, struct call *c)
{
    c->next = NULL;
    *(q->first ? q->last : &q->first) = c;
    q->last = &c->next;
    q->n++;
}

static struct call *pull(struct queue *q)
{
    struct call *c = q->first;
    if (c) {
        q->first = c->next;
        q->n--;
    }
    return c;
}

static void submit(struct call *c)
{
    struct pool *p = c->app->pool;
    c->out = &c->own;
    buf_reset(c->out);
    pthread_mutex_lock(&p->lock);
    bool taken = !p->stopping && p->light.n + p->heavy.n < c->app->options->slow_queue;
    if (taken) {
        push(c->heavy ? &p->heavy : &p->light, c);
        pthread_cond_broadcast(&p->more);
    }
    pthread_mutex_unlock(&p->lock);
    if (taken) return;
    c->error.retry_after = 1;
    error_set(&c->error, ERROR_UNAVAILABLE, "too many long reads wait already",
              "слишком много долгих запросов уже ждут");
    problem_answer(c);
    if (c->back)
        c->back(c);
    else
        call_send(c);
}

/* On the loop: the lane is through with it. */
static void come_back(void *arg)
{
    struct call *c = arg;
    if (c->back) {
        c->back(c);
        return;
    }
    if (c->then && c->error.kind == ERROR_NONE) {
        c->lane = c->then_lane;
        c->handle = c->then;
        c->then = NULL;
        lane_enter(c);
        return;
    }
    call_send(c);
}

void lane_back(struct call *c)
{
    /* Refused only when the loop has stopped, and the server stops after what it holds has come back. */
    http_loop_post(c->x->loop, come_back, c);
}

static void run_slow(struct call *c, struct worker *w)
{
    log_request(c->x->request_id);
    worker_renew(w);
    db_budget(w->db, (uint64_t)c->app->options->slow_limit_ms * 1000000, true);
    bool ok = lane_run(c, w, c->handle);
    db_budget(w->db, 0, false);
    if (!ok && c->error.kind == ERROR_BUSY) problem_answer(c);
    meter_scripts(w);
    log_request(STR(""));
    if (!c->detached) lane_back(c);
}

static struct call *wait_for_call(struct pool_thread *t)
{
    struct pool *p = t->pool;
    struct call *c = NULL;
    pthread_mutex_lock(&p->lock);
    while (!(c = pull(&p->light)) && (t->light || !(c = pull(&p->heavy))) && !p->stopping)
        pthread_cond_wait(&p->more, &p->lock);
    pthread_mutex_unlock(&p->lock);
    return c;
}

/* The worker is opened with the first call: an idle server keeps no memory for it. */
static void *pool_thread(void *arg)
{
    struct pool_thread *t = arg;
    struct worker *w = NULL;
    struct call *c;
    while ((c = wait_for_call(t))) {
        if (!w) w = worker_open(t->pool->app, NULL, &c->error);
        if (w) {
            run_slow(c, w);
        } else {
            problem_answer(c);
            lane_back(c);
        }
    }
    worker_close(w);
    return NULL;
}

struct pool *pool_start(struct app *app, unsigned threads, struct error *e)
{
    struct pool *p = calloc(1, sizeof *p);
    if (!p) {
        error_no_memory(e);
        return NULL;
    }
    p->app = app;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->more, NULL);
    for (unsigned i = 0; i < threads && i < 64; i++) {
        p->threads[i] = (struct pool_thread){.pool = p, .light = i == 0 && threads > 1};
        if (pthread_create(&p->threads[i].thread, NULL, pool_thread, &p->threads[i]) != 0) break;
        p->count++;
    }
    if (p->count > 0) return p;
    error_set(e, ERROR_INTERNAL, "cannot start a thread", "не удалось запустить поток");
    free(p);
    return NULL;
}

void pool_stop(struct pool *p)
{
    if (!p) return;
    pthread_mutex_lock(&p->lock);
    p->stopping = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->count; i++)
        pthread_join(p->threads[i].thread, NULL);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

size_t pool_depth(struct pool *p)
{
    pthread_mutex_lock(&p->lock);
    size_t n = p->light.n + p->heavy.n;
    pthread_mutex_unlock(&p->lock);
    return n;
}
