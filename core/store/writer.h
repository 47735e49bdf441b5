/* writer.h: one thread that writes, many that wait (design §3, "group commit").
 *
 *   any thread ── writer_submit ──► bounded queue ──► writer thread: BEGIN IMMEDIATE
 *                                                      a savepoint each: job->run
 *                                                      COMMIT (one fsync)
 *   job->done, on the writer thread ◄──────────────────  each, after the commit
 *
 * A run that returns false is rolled back to its own savepoint and disturbs nobody. When the COMMIT
 * itself fails (disk full, I/O error) every job of the batch is told so with ERROR_UNAVAILABLE. */
#ifndef STORE_WRITER_H
#define STORE_WRITER_H

#include "store/db.h"

struct writer;

struct write_job {
    struct write_job *next; /* the queue's */
    enum lang lang;         /* of the words in `failure` */
    /* In the savepoint, on the writer thread, with the writer's connection and `thread_data`.
     * false: roll back, the job holds its own answer. `done` follows either way. A run must not begin or end
     * transactions; savepoints inside it are its own affair. */
    bool (*run)(struct write_job *job, struct db *d, void *thread_data);
    /* After the commit (committed = true), or when it was rolled back or never ran (false;
     * `failure` is then the reason unless run itself returned false, in which case it is NULL).
     * Must not block: posts the answer to its loop. */
    void (*done)(struct write_job *job, bool committed, const struct error *failure);
};

struct writer_config {
    const char *path; /* database */
    size_t queue_max; /* jobs that may wait; past it writer_submit refuses */
    size_t batch_max; /* jobs in one commit */
    size_t wal_max;   /* bytes; past it a restart checkpoint between two batches */
    /* On the writer thread, at start and end; the pointer is handed to each run (the thread's Lua
     * state lives there). */
    void *(*thread_start)(void *ctx, struct db *d, struct error *e);
    void (*thread_stop)(void *ctx, void *thread_data);
    /* After each successful commit, before the dones (SSE wake-up). */
    void (*committed)(void *ctx);
    /* Between batches, when the loop is idle or has been told so with writer_poke: reload the
     * scripts here. */
    void (*between)(void *ctx, void *thread_data, struct db *d);
    void *ctx;
};

struct writer_stats {
    uint64_t commits, jobs, failed, batch_last, batch_max, queue_depth, wal_bytes, checkpoints;
};

struct writer *writer_start(const struct writer_config *config, struct error *e);

/* Thread-safe. False (ERROR_UNAVAILABLE with retry_after) when the queue is full or the writer
 * stops; the job was then not taken. */
bool writer_submit(struct writer *w, struct write_job *job, struct error *e);

/* Wakes the writer so that `between` runs soon. Thread-safe. */
void writer_poke(struct writer *w);
void writer_stats(struct writer *w, struct writer_stats *out);

/* Finishes what is queued, checkpoints the WAL (TRUNCATE), joins, frees. */
void writer_stop(struct writer *w);

#endif
