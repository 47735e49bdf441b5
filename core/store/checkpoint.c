/* checkpoint.c: see checkpoint.h. https://www.sqlite.org/wal.html */
#include "store/checkpoint.h"

#include "base/log.h"
#include "store/engine.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define PAGE 4096
#define PASSIVE_FRAMES 1000 /* new frames that are worth a passive checkpoint: 4 MB */
#define RESTART_BUSY_MS 20  /* a reader that is in the way of a restart gets no longer than this */
#define ORDINARY_BUSY_MS 5000

struct checkpoint {
    struct db *writer, *own;
    size_t wal_max;
    /* writer thread only */
    int64_t frames;   /* in the WAL after the last commit */
    int64_t asked_at; /* frames when the thread was last woken, or a restart was tried */
    uint64_t restarts;
    /* both */
    atomic_bool busy;           /* the thread is at work or about to be */
    atomic_int_least64_t moved; /* frames that the last passive checkpoint found in the file */
    atomic_uint_least64_t passives;
    pthread_t thread;
    pthread_mutex_t lock; /* guards wanted, stopping */
    pthread_cond_t wake;
    bool wanted, stopping;
};

static int after_commit(void *ctx, sqlite3 *handle, const char *schema, int frames)
{
    (void)handle;
    (void)schema;
    struct checkpoint *c = ctx;
    if (frames < c->frames) { /* the WAL has begun anew */
        c->asked_at = 0;
        atomic_store(&c->moved, 0);
    }
    c->frames = frames;
    return SQLITE_OK;
}

static void passive(struct checkpoint *c)
{
    int frames = 0, moved = 0;
    int code = sqlite3_wal_checkpoint_v2(c->own->handle, "main", SQLITE_CHECKPOINT_PASSIVE, &frames, &moved);
    if (code == SQLITE_OK)
        atomic_store(&c->moved, moved);
    else if ((code & 0xff) != SQLITE_BUSY) /* nothing is lost: the WAL has it all */
        LOG(LOG_WARN, "checkpoint failed", log_i("code", code),
            log_s("message", sqlite3_errmsg(c->own->handle)));
    atomic_fetch_add(&c->passives, 1);
}

static void *work(void *ctx)
{
    struct checkpoint *c = ctx;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (!c->wanted && !c->stopping)
            pthread_cond_wait(&c->wake, &c->lock);
        if (c->stopping) break;
        c->wanted = false;
        pthread_mutex_unlock(&c->lock);
        passive(c);
        atomic_store(&c->busy, false);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

struct checkpoint *checkpoint_start(const char *path, struct db *writer, size_t wal_max, struct error *e)
{
    struct checkpoint *c = calloc(1, sizeof *c);
    if (!c) {
        error_no_memory(e);
        return NULL;
    }
    c->writer = writer;
    c->wal_max = wal_max;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    c->own = db_open(path, DB_WRITE, e);
    if (c->own && pthread_create(&c->thread, NULL, work, c) == 0) {
        sqlite3_wal_hook(writer->handle, after_commit, c);
        return c;
    }
    if (c->own) error_set(e, ERROR_UNAVAILABLE, "cannot start a thread", "не удалось запустить поток");
    db_close(c->own);
    free(c);
    return NULL;
}

static void wake(struct checkpoint *c)
{
    c->asked_at = c->frames;
    atomic_store(&c->busy, true);
    pthread_mutex_lock(&c->lock);
    c->wanted = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

static void restart(struct checkpoint *c)
{
    sqlite3_busy_timeout(c->writer->handle, RESTART_BUSY_MS);
    int code = sqlite3_wal_checkpoint_v2(c->writer->handle, "main", SQLITE_CHECKPOINT_RESTART, NULL, NULL);
    sqlite3_busy_timeout(c->writer->handle, ORDINARY_BUSY_MS);
    c->asked_at = c->frames;
    if (code == SQLITE_OK)
        c->restarts++;
    else if ((code & 0xff) != SQLITE_BUSY)
        LOG(LOG_WARN, "checkpoint failed", log_i("code", code));
}

/* A restart is tried only when the passive one before it got as far as it could see: otherwise a long read
 * holds the WAL, and waiting for it would only stop the writer. */
void checkpoint_after_commit(struct checkpoint *c)
{
    if (c->frames - c->asked_at < PASSIVE_FRAMES || atomic_load(&c->busy)) return;
    bool caught_up = c->asked_at > 0 && atomic_load(&c->moved) >= c->asked_at;
    if ((size_t)c->frames * PAGE > c->wal_max && caught_up)
        restart(c);
    else
        wake(c);
}

uint64_t checkpoint_wal_bytes(const struct checkpoint *c)
{
    return (uint64_t)c->frames * PAGE;
}

uint64_t checkpoint_count(const struct checkpoint *c)
{
    return c->restarts + atomic_load(&c->passives);
}

void checkpoint_stop(struct checkpoint *c)
{
    if (!c) return;
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
    pthread_join(c->thread, NULL);
    sqlite3_wal_hook(c->writer->handle, NULL, NULL);
    db_close(c->own);
    sqlite3_busy_timeout(c->writer->handle, RESTART_BUSY_MS);
    sqlite3_wal_checkpoint_v2(c->writer->handle, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    pthread_cond_destroy(&c->wake);
    pthread_mutex_destroy(&c->lock);
    free(c);
}
