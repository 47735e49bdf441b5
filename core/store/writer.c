/* writer.c: the one thread that writes (writer.h). It takes what waits, runs each job in its savepoint,
 * commits once and only then answers. It never waits for a batch to fill: while one is being synced the next
 * one gathers. */
#include "store/writer.h"

#include "base/log.h"
#include "store/checkpoint.h"
#include "store/engine.h"
#include "store/store.h"

#include <pthread.h>
#include <stdlib.h>

#define BATCH_DEFAULT 256
#define QUEUE_DEFAULT 4096
#define WAL_DEFAULT (64u << 20)
#define FAILURE_BYTES 4096 /* words for one job */

/* What became of a job that has run. */
struct outcome {
    bool ran;      /* so that the job has its own answer */
    bool kept;     /* its savepoint was released */
    bool dangling; /* run said yes, but a reference leads nowhere */
};

struct writer {
    struct writer_config config;
    struct db *db;
    struct checkpoint *checkpoint;
    void *thread_data;
    struct outcome *outcomes; /* batch_max of them */
    bool doubt;               /* the batch was refused, and yet may be found after a restart */
    pthread_t thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t wake;  /* for the writer thread */
    pthread_cond_t ready; /* for writer_start */
    struct write_job *head, *tail;
    size_t waiting;
    bool stopping, poked, started, start_failed;
    struct writer_stats stats;
};

/* ---- one batch ---- */

static void run_one(struct writer *w, struct write_job *job, struct outcome *o, struct error *e)
{
    *o = (struct outcome){0};
    if (!db_savepoint(w->db, e)) return;
    bool ok = job->run(job, w->db, w->thread_data);
    o->ran = true;
    if (!db_in_transaction(w->db)) return; /* SQLite undid everything; the caller sees it too */
    if (ok && !db_savepoint_release(w->db, e)) {
        o->dangling = db_in_transaction(w->db);
        ok = false;
    }
    o->kept = ok;
    if (!ok) db_savepoint_rollback(w->db);
}

/* Jobs after a failing one run on; only the loss of the transaction ends the batch early. */
static bool run_all(struct writer *w, struct write_job *batch)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, FAILURE_BYTES);
    error_init(&e, &arena, LANG_EN);
    bool ok = db_begin(w->db, true, &e);
    size_t i = 0;
    for (struct write_job *job = batch; job && ok; job = job->next) {
        error_clear(&e);
        run_one(w, job, &w->outcomes[i++], &e);
        ok = db_in_transaction(w->db);
    }
    error_clear(&e);
    ok = ok && db_commit(w->db, &e);
    if (!ok) db_rollback(w->db);
    arena_free(&arena);
    return ok;
}

/* A commit that failed while it was synced has left whole frames in the WAL; the next commit writes over
 * them, but a process that died before would find them valid and bring back what was refused
 * (https://www.sqlite.org/walformat.html §4). So a small commit follows at once; when it fails too, nobody
 * can say. */
static bool mend(struct writer *w)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, FAILURE_BYTES);
    error_init(&e, &arena, LANG_EN);
    int trouble = w->db->trouble;
    bool ok = db_begin(w->db, true, &e) && store_epoch_bump(w->db, &e) && db_commit(w->db, &e);
    if (!ok) db_rollback(w->db);
    w->db->trouble = trouble;
    arena_free(&arena);
    return ok;
}

static bool in_doubt(int trouble)
{
    return (trouble & 0xff) == SQLITE_IOERR;
}

static void answer(struct writer *w, struct write_job *job, const struct outcome *o, bool committed)
{
    if (committed && o->ran && !o->dangling) {
        job->done(job, o->kept, NULL); /* not kept: the run said no, and the job has its answer */
        return;
    }
    struct arena arena;
    struct error e;
    arena_init(&arena, FAILURE_BYTES);
    error_init(&e, &arena, job->lang);
    if (committed && o->dangling)
        error_set(&e, ERROR_CONFLICT, "a reference leads to a record that does not exist, or is still in use",
                  "ссылка ведёт на запись, которой нет, или запись ещё используется");
    else if (w->doubt)
        engine_fail_in_doubt(&e);
    else
        engine_fail_environment(w->db->trouble, &e);
    job->done(job, false, &e);
    arena_free(&arena);
}

static void count(struct writer *w, size_t jobs, size_t failed, bool committed)
{
    pthread_mutex_lock(&w->lock);
    struct writer_stats *s = &w->stats;
    s->commits += committed;
    s->jobs += jobs;
    s->failed += failed;
    s->batch_last = jobs;
    s->batch_max = jobs > s->batch_max ? jobs : s->batch_max;
    s->wal_bytes = checkpoint_wal_bytes(w->checkpoint);
    s->checkpoints = checkpoint_count(w->checkpoint);
    pthread_mutex_unlock(&w->lock);
}

static void process(struct writer *w, struct write_job *batch, size_t n)
{
    size_t failed = 0, i = 0;
    memset(w->outcomes, 0, n * sizeof *w->outcomes);
    w->db->trouble = SQLITE_ERROR;
    bool committed = run_all(w, batch);
    w->doubt = !committed && in_doubt(w->db->trouble) && !mend(w);
    for (i = 0; i < n; i++)
        failed += !committed || !w->outcomes[i].kept;
    count(w, n, failed, committed); /* before the answers, so that who was answered finds itself counted */
    if (committed && w->config.committed) w->config.committed(w->config.ctx);
    i = 0;
    for (struct write_job *job = batch, *next; job; job = next) {
        next = job->next; /* done may free the job */
        answer(w, job, &w->outcomes[i++], committed);
    }
    checkpoint_after_commit(w->checkpoint);
}

/* ---- the thread ---- */

/* Waits for work; the batch is NULL when there is only a poke or the end. */
static struct write_job *take(struct writer *w, size_t *n, bool *poked, bool *end)
{
    pthread_mutex_lock(&w->lock);
    while (!w->head && !w->poked && !w->stopping)
        pthread_cond_wait(&w->wake, &w->lock);
    struct write_job *batch = w->head, *last = NULL;
    for (*n = 0; w->head && *n < w->config.batch_max; ++*n) {
        last = w->head;
        w->head = last->next;
    }
    if (last) last->next = NULL;
    if (!w->head) w->tail = NULL;
    w->waiting -= *n;
    *poked = w->poked || !w->head;
    w->poked = false;
    *end = w->stopping && !batch;
    pthread_mutex_unlock(&w->lock);
    return batch;
}

static bool start_thread_data(struct writer *w, struct error *e)
{
    if (!w->config.thread_start) return true;
    w->thread_data = w->config.thread_start(w->config.ctx, w->db, e);
    return w->thread_data != NULL || e->kind == ERROR_NONE;
}

struct starting {
    struct writer *writer;
    struct error *error; /* the caller of writer_start waits, so this thread may fill it */
};

static void *write_loop(void *ctx)
{
    struct starting *starting = ctx;
    struct writer *w = starting->writer;
    bool ok = start_thread_data(w, starting->error), poked, end;
    pthread_mutex_lock(&w->lock);
    w->started = true;
    w->start_failed = !ok;
    pthread_cond_signal(&w->ready); /* `starting` is gone from here on */
    pthread_mutex_unlock(&w->lock);
    while (ok) {
        size_t n;
        struct write_job *batch = take(w, &n, &poked, &end);
        if (end) break;
        if (batch) process(w, batch, n);
        if (poked && w->config.between) w->config.between(w->config.ctx, w->thread_data, w->db);
    }
    if (ok && w->config.thread_stop) w->config.thread_stop(w->config.ctx, w->thread_data);
    return NULL;
}

/* ---- start and stop ---- */

static void destroy(struct writer *w)
{
    checkpoint_stop(w->checkpoint);
    db_close(w->db);
    pthread_cond_destroy(&w->wake);
    pthread_cond_destroy(&w->ready);
    pthread_mutex_destroy(&w->lock);
    free(w->outcomes);
    free(w);
}

static void fill_defaults(struct writer_config *c)
{
    c->batch_max = c->batch_max ? c->batch_max : BATCH_DEFAULT;
    c->queue_max = c->queue_max ? c->queue_max : QUEUE_DEFAULT;
    c->wal_max = c->wal_max ? c->wal_max : WAL_DEFAULT;
}

static bool launch(struct writer *w, struct error *e)
{
    struct starting starting = {w, e};
    if (pthread_create(&w->thread, NULL, write_loop, &starting) != 0)
        return error_set(e, ERROR_UNAVAILABLE, "cannot start a thread", "не удалось запустить поток");
    pthread_mutex_lock(&w->lock);
    while (!w->started)
        pthread_cond_wait(&w->ready, &w->lock);
    bool failed = w->start_failed;
    pthread_mutex_unlock(&w->lock);
    if (failed) pthread_join(w->thread, NULL);
    return !failed;
}

struct writer *writer_start(const struct writer_config *config, struct error *e)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w) {
        error_no_memory(e);
        return NULL;
    }
    w->config = *config;
    fill_defaults(&w->config);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, NULL);
    pthread_cond_init(&w->ready, NULL);
    w->outcomes = calloc(w->config.batch_max, sizeof *w->outcomes);
    if (!w->outcomes)
        error_no_memory(e);
    else if ((w->db = db_open(config->path, DB_WRITE, e)) &&
             (w->checkpoint = checkpoint_start(config->path, w->db, w->config.wal_max, e)) && launch(w, e))
        return w;
    destroy(w);
    return NULL;
}

bool writer_submit(struct writer *w, struct write_job *job, struct error *e)
{
    job->next = NULL;
    pthread_mutex_lock(&w->lock);
    bool room = w->waiting < w->config.queue_max, stopping = w->stopping;
    if (room && !stopping) {
        *(w->tail ? &w->tail->next : &w->head) = job;
        w->tail = job;
        w->waiting++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->lock);
    if (room && !stopping) return true;
    if (stopping)
        error_set(e, ERROR_UNAVAILABLE, "the server is stopping", "сервер останавливается");
    else
        error_set(e, ERROR_UNAVAILABLE, "too many changes are waiting; try again in a moment",
                  "слишком много изменений в очереди; повторите чуть позже");
    e->retry_after = 1;
    return false;
}

void writer_poke(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->poked = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
}

void writer_stats(struct writer *w, struct writer_stats *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->stats;
    out->queue_depth = w->waiting;
    pthread_mutex_unlock(&w->lock);
}

void writer_stop(struct writer *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    destroy(w);
}
