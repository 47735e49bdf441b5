/* The one thread that writes: what waits is committed together, one that fails disturbs nobody, a full queue
 * refuses, the WAL stays bounded, a stop finishes what waits. */
#include "unit/unit.h"

#include "store/store.h"
#include "store/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MANY 64
#define WAL_MAX ((size_t)4 << 20)

enum state { WAITS, KEPT, REFUSED };

struct fixture {
    char folder[64], path[96];
    struct arena arena;
    struct error error;
    struct writer *writer;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool gate_reached, gate_open; /* a job that holds the writer until the test lets it go */
    size_t commits;
};

struct job {
    struct write_job base; /* first */
    struct fixture *f;
    int key;
    size_t bytes;
    bool gate, fails;
    enum state state;
    bool has_failure;
};

static bool run(struct write_job *base, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct job *job = (struct job *)base;
    struct fixture *f = job->f;
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    pthread_mutex_lock(&f->lock);
    if (job->gate) {
        f->gate_reached = true;
        pthread_cond_broadcast(&f->changed);
        while (!f->gate_open)
            pthread_cond_wait(&f->changed, &f->lock);
    }
    pthread_mutex_unlock(&f->lock);
    struct stmt *s = db_prepare(d, STR("INSERT INTO t (k, v) VALUES (?, zeroblob(?))"), &e);
    bool ok = s != NULL;
    if (ok) {
        stmt_bind_int(s, 1, job->key);
        stmt_bind_int(s, 2, (int64_t)job->bytes);
        ok = stmt_step(s, &e) == STEP_DONE;
    }
    db_release(s);
    arena_free(&arena);
    return ok && !job->fails;
}

static void done(struct write_job *base, bool committed, const struct error *failure)
{
    struct job *job = (struct job *)base;
    pthread_mutex_lock(&job->f->lock);
    job->state = committed ? KEPT : REFUSED;
    job->has_failure = failure != NULL;
    pthread_cond_broadcast(&job->f->changed);
    pthread_mutex_unlock(&job->f->lock);
}

static bool submit(struct fixture *f, struct job *job, int key)
{
    job->base = (struct write_job){.lang = LANG_EN, .run = run, .done = done};
    job->f = f;
    job->key = key;
    return writer_submit(f->writer, &job->base, &f->error);
}

static void wait_for(struct job *job)
{
    pthread_mutex_lock(&job->f->lock);
    while (job->state == WAITS)
        pthread_cond_wait(&job->f->changed, &job->f->lock);
    pthread_mutex_unlock(&job->f->lock);
}

/* The writer is inside this job until open_gate. */
static void close_gate(struct fixture *f, struct job *job)
{
    job->gate = true;
    assert_true(submit(f, job, 1000));
    pthread_mutex_lock(&f->lock);
    while (!f->gate_reached)
        pthread_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void open_gate(struct fixture *f)
{
    pthread_mutex_lock(&f->lock);
    f->gate_open = true;
    pthread_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void committed(void *ctx)
{
    struct fixture *f = ctx;
    pthread_mutex_lock(&f->lock);
    f->commits++;
    pthread_mutex_unlock(&f->lock);
}

static void start(struct fixture *f, size_t queue)
{
    struct writer_config config = {
        .path = f->path, .queue_max = queue, .wal_max = WAL_MAX, .committed = committed, .ctx = f};
    f->writer = writer_start(&config, &f->error);
    if (!f->writer) fail_msg("%s", f->error.detail);
}

static int64_t count(struct fixture *f, const char *sql)
{
    struct db *d = db_open(f->path, DB_READ, &f->error);
    struct stmt *s = d ? db_prepare(d, str_of(sql), &f->error) : NULL;
    if (!s || stmt_step(s, &f->error) != STEP_ROW) fail_msg("%s: %s", sql, f->error.detail);
    int64_t n = stmt_int(s, 0);
    db_release(s);
    db_close(d);
    return n;
}

/* ---- the promises ---- */

static void test_group_commit_rolls_back_one_request_alone(void **state)
{
    struct fixture *f = *state;
    struct job gate = {.key = 0}, jobs[5] = {{.key = 0}};
    struct writer_stats stats;
    start(f, 100);
    close_gate(f, &gate);
    jobs[2].fails = true;
    for (int i = 0; i < 5; i++)
        assert_true(submit(f, &jobs[i], i));
    open_gate(f);
    for (int i = 0; i < 5; i++)
        wait_for(&jobs[i]);
    writer_stats(f->writer, &stats);
    assert_int_equal(stats.batch_last, 5); /* all that waited, in one commit */
    assert_int_equal(stats.commits, 2);
    assert_int_equal(stats.failed, 1);
    for (int i = 0; i < 5; i++)
        assert_int_equal(jobs[i].state, i == 2 ? REFUSED : KEPT);
    assert_false(jobs[2].has_failure); /* its run said no, and has its own answer */
    assert_int_equal(count(f, "SELECT group_concat(k, '') = '01341000' FROM (SELECT k FROM t ORDER BY k)"),
                     1);
    writer_stop(f->writer);
}

static void test_a_full_queue_refuses_with_a_time_to_come_back(void **state)
{
    struct fixture *f = *state;
    struct job gate = {.key = 0}, jobs[4] = {{.key = 0}};
    start(f, 3);
    close_gate(f, &gate);
    for (int i = 0; i < 3; i++)
        assert_true(submit(f, &jobs[i], i));
    assert_false(submit(f, &jobs[3], 3));
    assert_int_equal(f->error.kind, ERROR_UNAVAILABLE);
    assert_true(f->error.retry_after > 0);
    error_clear(&f->error);
    open_gate(f);
    for (int i = 0; i < 3; i++)
        wait_for(&jobs[i]);
    assert_true(submit(f, &jobs[3], 3)); /* there is room again */
    wait_for(&jobs[3]);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), 5);
    writer_stop(f->writer);
}

static void test_a_stop_finishes_what_waits_and_empties_the_wal(void **state)
{
    struct fixture *f = *state;
    static struct job gate, jobs[MANY];
    char wal[128];
    struct stat st;
    start(f, MANY + 1);
    close_gate(f, &gate);
    for (int i = 0; i < MANY; i++)
        assert_true(submit(f, &jobs[i], i));
    open_gate(f);
    writer_stop(f->writer);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(jobs[i].state, KEPT);
    snprintf(wal, sizeof wal, "%s-wal", f->path);
    assert_true(stat(wal, &st) != 0 || st.st_size == 0);
    assert_int_equal(count(f, "SELECT count(*) FROM t"), MANY + 1);
}

static void test_answers_follow_the_commit(void **state)
{
    struct fixture *f = *state;
    struct job job = {.key = 0};
    start(f, 10);
    assert_true(submit(f, &job, 7));
    wait_for(&job);
    assert_int_equal(count(f, "SELECT count(*) FROM t WHERE k = 7"), 1); /* another connection sees it */
    pthread_mutex_lock(&f->lock);
    assert_int_equal(f->commits, 1);
    pthread_mutex_unlock(&f->lock);
    writer_stop(f->writer);
}

static void write_one(struct fixture *f, int key)
{
    struct job job = {.bytes = 200000};
    assert_true(submit(f, &job, key));
    wait_for(&job);
    assert_int_equal(job.state, KEPT);
}

/* Goes on writing until the WAL has begun anew. How soon is the disk's affair, since the checkpoint runs
 * beside the writer; that it comes is the promise. */
static void write_until_restarted(struct fixture *f, int from)
{
    struct writer_stats stats;
    for (int i = 0; i < 2000; i++) {
        write_one(f, from + i);
        writer_stats(f->writer, &stats);
        if (stats.wal_bytes < WAL_MAX) return;
    }
    fail_msg("the WAL has %lld bytes and never begins anew", (long long)stats.wal_bytes);
}

static void test_the_wal_begins_anew_under_steady_writes(void **state)
{
    struct fixture *f = *state;
    struct writer_stats stats;
    start(f, 10);
    for (int round = 0; round < 3; round++) {
        int i = 0;
        do {
            write_one(f, round * 100000 + i);
            writer_stats(f->writer, &stats);
        } while (stats.wal_bytes < WAL_MAX && ++i < 1000);
        assert_true(stats.wal_bytes >= WAL_MAX);
        write_until_restarted(f, round * 100000 + 10000);
    }
    assert_true(stats.checkpoints > 0);
    writer_stop(f->writer);
}

/* A reader that stays holds the WAL: writing goes on all the same, and the WAL shrinks when it has gone. */
static void test_a_long_read_stops_no_writer(void **state)
{
    struct fixture *f = *state;
    struct writer_stats stats;
    start(f, 10);
    struct db *reader = db_open(f->path, DB_READ, &f->error);
    assert_non_null(reader);
    assert_true(db_begin(reader, false, &f->error));
    struct stmt *s = db_prepare(reader, STR("SELECT count(*) FROM t"), &f->error);
    assert_int_equal(stmt_step(s, &f->error), STEP_ROW);
    db_release(s);
    for (int i = 0; i < 60; i++) {
        write_one(f, i);
    }
    writer_stats(f->writer, &stats);
    assert_true(stats.wal_bytes > WAL_MAX); /* it could not be begun anew */
    db_rollback(reader);
    db_close(reader);
    write_until_restarted(f, 10000);
    writer_stop(f->writer);
}

/* ---- setting up ---- */

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    if (!f) return -1;
    arena_init(&f->arena, 1 << 20);
    error_init(&f->error, &f->arena, LANG_EN);
    pthread_mutex_init(&f->lock, NULL);
    pthread_cond_init(&f->changed, NULL);
    snprintf(f->folder, sizeof f->folder, "/tmp/perigee-writer-XXXXXX");
    if (!mkdtemp(f->folder)) return -1;
    snprintf(f->path, sizeof f->path, "%s/perigee.db", f->folder);
    struct db *d = db_open(f->path, DB_WRITE, &f->error);
    bool ok = d && store_prepare(d, &f->error) &&
              db_exec(d, "CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB) STRICT", &f->error);
    db_close(d);
    *state = f;
    return ok ? 0 : -1;
}

static int tear_down(void **state)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    struct fixture *f = *state;
    char path[128];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, tails[i]);
        unlink(path);
    }
    int failed = rmdir(f->folder);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->lock);
    arena_free(&f->arena);
    free(f);
    return failed;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_group_commit_rolls_back_one_request_alone),
        TEST(test_a_full_queue_refuses_with_a_time_to_come_back),
        TEST(test_a_stop_finishes_what_waits_and_empties_the_wal),
        TEST(test_answers_follow_the_commit),
        TEST(test_the_wal_begins_anew_under_steady_writes),
        TEST(test_a_long_read_stops_no_writer),
    };
    return cmocka_run_group_tests_name("writer", tests, NULL, NULL);
}
