/* What the disk may do to the database: for each kind of operation and each n, the n-th fails, once or from
 * then on. Whatever happens: an answer that was given holds, one that was refused has words, nothing is
 * half-done, and the next start, or the same process as soon as the disk is well again, goes on. */
#include "unit/unit.h"

#include "fault_vfs.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"
#include "store/trail.h"
#include "store/writer.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOBS 8      /* small ones, one commit each */
#define BIG_JOBS 14 /* so large that the WAL passes its bound and is restarted */
#define BIG_BYTES 400000
#define AFTER 2    /* more, when the disk is well again */
#define SEVERAL 25 /* step of n where every n would take minutes */

static const char *const names[FAULT_KINDS] = {"none",     "write", "full",   "read",    "sync",
                                               "truncate", "open",  "delete", "shm map", "shm lock"};

struct fixture {
    char folder[64], path[96], template[96];
};

/* ---- files ---- */

static void remove_database(const struct fixture *f)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-journal"};
    char path[128];
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%s%s", f->path, tails[i]);
        unlink(path);
    }
}

static void copy_template(const struct fixture *f)
{
    char chunk[65536];
    size_t n;
    remove_database(f);
    FILE *in = fopen(f->template, "rb"), *out = fopen(f->path, "wb");
    assert_non_null(in);
    assert_non_null(out);
    while ((n = fread(chunk, 1, sizeof chunk, in)) > 0)
        assert_int_equal(fwrite(chunk, 1, n, out), n);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* ---- jobs ---- */

enum state { WAITS, KEPT, REFUSED };

struct job {
    struct write_job base; /* first */
    int64_t key;
    size_t bytes;
    enum state state;
    bool has_words;
    bool unconfirmed; /* was told that it may yet be there */
    pthread_mutex_t lock;
    pthread_cond_t done;
};

/* A row, its content telling of its key, and an entry of the log. */
static bool insert(struct write_job *base, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct job *job = (struct job *)base;
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    char *text = arena_alloc(&arena, job->bytes);
    struct stmt *s = text ? db_prepare(d, STR("INSERT INTO t (k, v) VALUES (?, ?)"), &e) : NULL;
    bool ok = s != NULL;
    if (ok) {
        memset(text, 'a' + (int)(job->key % 26), job->bytes);
        stmt_bind_int(s, 1, job->key);
        stmt_bind_text(s, 2, (struct str){text, job->bytes});
        ok = stmt_step(s, &e) == STEP_DONE;
    }
    db_release(s);
    struct trail_entry entry = {
        .at = 1, .record = job->key, .entity = STR("t"), .action = STR("create"), .changes = STR("{}")};
    ok = ok && trail_append(d, &entry, &e);
    job->has_words = ok || (e.kind != ERROR_NONE && e.detail && *e.detail);
    arena_free(&arena);
    return ok;
}

static void finished(struct write_job *base, bool committed, const struct error *failure)
{
    struct job *job = (struct job *)base;
    pthread_mutex_lock(&job->lock);
    if (failure) job->has_words = failure->detail && *failure->detail && failure->kind != ERROR_NONE;
    job->unconfirmed = failure && failure->detail && strstr(failure->detail, "not confirmed");
    job->state = committed ? KEPT : REFUSED;
    pthread_cond_signal(&job->done);
    pthread_mutex_unlock(&job->lock);
}

static void submit(struct writer *w, struct job *job, int64_t key, size_t bytes)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, 4096);
    error_init(&e, &arena, LANG_EN);
    *job =
        (struct job){.base = {.lang = LANG_EN, .run = insert, .done = finished}, .key = key, .bytes = bytes};
    pthread_mutex_init(&job->lock, NULL);
    pthread_cond_init(&job->done, NULL);
    assert_true(writer_submit(w, &job->base, &e));
    pthread_mutex_lock(&job->lock);
    while (job->state == WAITS)
        pthread_cond_wait(&job->done, &job->lock);
    pthread_mutex_unlock(&job->lock);
    pthread_mutex_destroy(&job->lock);
    pthread_cond_destroy(&job->done);
    arena_free(&arena);
    if (job->state == REFUSED && !job->has_words) fail_msg("job %d was refused without words", (int)key);
}

/* ---- looking ---- */

static int64_t ask(struct db *d, const char *sql, int64_t arg)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    struct stmt *s = db_prepare(d, str_of(sql), &e);
    if (!s) fail_msg("%s: %s", sql, e.detail);
    if (arg >= 0) stmt_bind_int(s, 1, arg);
    enum step step = stmt_step(s, &e);
    if (step == STEP_ERROR) fail_msg("%s: %s", sql, e.detail);
    int64_t n = step == STEP_ROW ? stmt_int(s, 0) : -1;
    db_release(s);
    arena_free(&arena);
    return n;
}

/* After a new start: what was kept is there, whole; what was refused is not; the log tells of the same. */
static void look(const struct fixture *f, const struct job *jobs, size_t n, const char *when)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct db *d = db_open(f->path, DB_WRITE, &e);
    if (!d) fail_msg("%s: does not open again: %s", when, e.detail);
    if (!store_prepare(d, &e) || !store_check(d, true, &e)) fail_msg("%s: %s", when, e.detail);
    for (size_t i = 0; i < n; i++) {
        int64_t length = ask(d, "SELECT length(v) FROM t WHERE k = ?", jobs[i].key);
        if (jobs[i].state == KEPT && length != (int64_t)jobs[i].bytes)
            fail_msg("%s: job %d was answered and is lost", when, (int)jobs[i].key);
        if (jobs[i].unconfirmed && length == (int64_t)jobs[i].bytes) continue;
        if (jobs[i].state == REFUSED && length != -1)
            fail_msg("%s: job %d was refused and yet is there", when, (int)jobs[i].key);
    }
    assert_int_equal(ask(d, "SELECT count(*) FROM t", -1), ask(d, "SELECT count(*) FROM perigee_log", -1));
    db_close(d);
    arena_free(&arena);
}

/* ---- one accident ---- */

struct script {
    size_t jobs, bytes, wal_max;
};

static const struct script small = {JOBS, 300, 1 << 20}, big = {BIG_JOBS, BIG_BYTES, 1 << 20};

/* True when the fault struck, so that a larger n may still find something. */
static bool accident(const struct fixture *f, const struct script *s, enum fault_kind kind, int at,
                     bool lasting)
{
    struct job jobs[BIG_JOBS + AFTER];
    struct arena arena;
    struct error e;
    char when[96];
    size_t n = 0;
    snprintf(when, sizeof when, "%s %d%s of the %s script", names[kind], at, lasting ? " and on" : "",
             s == &big ? "big" : "small");
    copy_template(f);
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    fault_set(kind, at, lasting);
    struct writer_config config = {.path = f->path, .wal_max = s->wal_max};
    struct writer *w = writer_start(&config, &e);
    if (!w && (e.kind == ERROR_NONE || !e.detail || !*e.detail))
        fail_msg("%s: does not start and says nothing", when);
    for (; w && n < s->jobs; n++)
        submit(w, &jobs[n], (int64_t)n + 1, s->bytes);
    bool struck = atomic_load(&fault.struck) > 0;
    for (size_t i = 0; i < n; i++)
        if (jobs[i].unconfirmed && !lasting)
            fail_msg("%s: a single accident leaves job %d in doubt", when, (int)i + 1);
    if (w) {
        if (struck) fault_set(FAULT_NONE, 0, false); /* the disk is well again */
        for (size_t k = 0; k < AFTER; k++, n++)
            submit(w, &jobs[n], (int64_t)n + 1, 300);
        if (struck && jobs[n - 1].state != KEPT)
            fail_msg("%s: writing does not go on when the disk is well", when);
        writer_stop(w); /* with the accident still to come when it has not struck yet */
        struck = struck || atomic_load(&fault.struck) > 0;
    }
    fault_set(FAULT_NONE, 0, false);
    look(f, jobs, n, when);
    arena_free(&arena);
    return struck;
}

static void every_n(const struct fixture *f, enum fault_kind kind)
{
    for (int lasting = 0; lasting <= 1; lasting++) {
        int n = 1;
        while (accident(f, &small, kind, n, lasting != 0))
            assert_in_range(n++, 1, 2000);
        if (kind == FAULT_WRITE || kind == FAULT_SYNC || kind == FAULT_FULL)
            for (n = 1; accident(f, &big, kind, n, lasting != 0); n += kind == FAULT_SYNC ? 1 : SEVERAL * 4)
                assert_in_range(n, 1, 10000);
    }
}

#define EVERY(name, kind)                                                                                    \
    static void name(void **state)                                                                           \
    {                                                                                                        \
        every_n(*state, kind);                                                                               \
    }
EVERY(test_a_failing_write_is_told_and_loses_nothing, FAULT_WRITE)
EVERY(test_a_full_disk_is_told_and_loses_nothing, FAULT_FULL)
EVERY(test_a_failing_read_is_told_and_loses_nothing, FAULT_READ)
EVERY(test_a_failing_sync_is_told_and_loses_nothing, FAULT_SYNC)
EVERY(test_a_failing_truncate_is_told_and_loses_nothing, FAULT_TRUNCATE)
EVERY(test_a_failing_open_is_told_and_loses_nothing, FAULT_OPEN)
EVERY(test_a_failing_delete_is_told_and_loses_nothing, FAULT_DELETE)
EVERY(test_a_failing_shared_memory_is_told_and_loses_nothing, FAULT_SHM_MAP)
EVERY(test_a_failing_lock_is_told_and_loses_nothing, FAULT_SHM_LOCK)

/* ---- the first start ---- */

static bool create(const struct fixture *f, struct error *e)
{
    struct db *d = db_open(f->path, DB_WRITE, e);
    bool ok = d && store_prepare(d, e) && db_begin(d, true, e) &&
              db_exec(d, "CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT) STRICT", e) && db_commit(d, e);
    if (d && !ok) db_rollback(d);
    db_close(d);
    return ok;
}

static void test_a_first_start_that_fails_can_be_repeated(void **state)
{
    const struct fixture *f = *state;
    for (enum fault_kind kind = FAULT_WRITE; kind < FAULT_KINDS; kind++)
        for (int n = 1;; n++) {
            struct arena arena;
            struct error e;
            arena_init(&arena, 65536);
            error_init(&e, &arena, LANG_EN);
            remove_database(f);
            fault_set(kind, n, false);
            bool made = create(f, &e), struck = atomic_load(&fault.struck) > 0;
            fault_set(FAULT_NONE, 0, false);
            if (!made && (e.kind == ERROR_NONE || !e.detail || !*e.detail))
                fail_msg("%s %d: no words", names[kind], n);
            error_clear(&e);
            if (!made && !create(f, &e))
                fail_msg("%s %d: the second start fails: %s", names[kind], n, e.detail);
            look(f, NULL, 0, names[kind]);
            arena_free(&arena);
            if (!struck) break;
        }
}

/* ---- setting up ---- */

static int set_up(void **state)
{
    static struct fixture f;
    struct arena arena;
    struct error e;
    log_configure(LOG_ERROR + 1, false); /* every accident would be told */
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    snprintf(f.folder, sizeof f.folder, "/tmp/perigee-fault-XXXXXX");
    if (!mkdtemp(f.folder) || !fault_install()) return -1;
    snprintf(f.path, sizeof f.path, "%s/perigee.db", f.folder);
    snprintf(f.template, sizeof f.template, "%s/template.db", f.folder);
    if (!create(&f, &e) || rename(f.path, f.template) != 0) return -1;
    arena_free(&arena);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    remove_database(f);
    unlink(f->template);
    return rmdir(f->folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_first_start_that_fails_can_be_repeated),
        cmocka_unit_test(test_a_failing_write_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_full_disk_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_read_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_sync_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_truncate_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_open_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_delete_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_shared_memory_is_told_and_loses_nothing),
        cmocka_unit_test(test_a_failing_lock_is_told_and_loses_nothing),
    };
    return cmocka_run_group_tests_name("faults", tests, set_up, tear_down);
}
