/* internal.h: what the files of the courier share. Everything belongs to the courier's thread, but for `act`
 * of a task. */
#ifndef COURIER_INTERNAL_H
#define COURIER_INTERNAL_H

#include "base/clock.h"
#include "base/id.h"
#include "base/json.h"
#include "base/log.h"
#include "courier/courier.h"
#include "http/client.h"
#include "script/job.h"
#include "store/outbox.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

#define JOBS_AT_ONCE 32
#define LEASE_MS INT64_C(900000)
#define KEEP_DONE_MS (INT64_C(7) * 86400000)
#define TIMER_JOB "every:" /* a timer's job is named "every:NAME" */

/* ---- scripts: the set in force, and older ones while jobs of theirs run ---- */

struct loaded {
    struct loaded *next;
    struct script_set *set;
    struct script_state *state;
    struct principal *system;
    uint64_t generation;
    unsigned runs;
};

/* ---- a piece of work for the writer ---- */

struct task {
    struct write_job job; /* first */
    struct task *next;    /* of those that came back */
    struct courier *courier;
    struct run *run; /* NULL: of no job */
    /* On the writer's thread, in a savepoint. false with t->error set: rolled back. */
    bool (*act)(struct task *t, struct db *d, void *thread_data);
    /* On the courier's thread; owns the task. */
    void (*back)(struct task *t);
    struct arena arena;
    struct error error;
    bool ok;
    const struct json_value *args;
    const char *verb; /* "crm.create" */
    struct buf result;
    void *data; /* in the arena */
};

/* NULL: no memory. */
struct task *task_new(struct courier *c, struct run *run, bool (*act)(struct task *, struct db *, void *),
                      void (*back)(struct task *));
/* Comes back in any case, also when the writer's queue is full. */
void task_submit(struct task *t);
void task_free(struct task *t);

/* ---- one attempt of a job ---- */

struct run {
    struct run *next, *prev;
    struct courier *courier;
    struct loaded *loaded;
    struct script_job *script;
    int64_t id, created_at, started_at, retry_after_ms;
    int attempt, attempts;
    int64_t retry_min_ms, retry_max_ms, age_ms;
    char name[160];
    unsigned requests; /* asked so far: part of the idempotency key */
    bool stepping, answered, ending;
    struct script_answer answer; /* while stepping; texts borrowed from whoever answers, copied at once */
    struct arena said;           /* … here */
    struct outbox_finish finish;
};

void run_free(struct run *r);
/* Starts what was claimed. */
void run_start(struct courier *c, const struct outbox_job *job);
/* The answer to what its script asked; goes on. Texts are copied. */
void run_answer(struct run *r, const struct script_answer *answer);
void run_refuse(struct run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Ends the attempt. due_at: of OUTBOX_RETRY. */
void run_end(struct run *r, enum outbox_outcome outcome, int64_t due_at, const char *error);
/* It failed: another attempt later, or dead. */
void run_fail(struct run *r, const char *error);
/* Tries again to write the end of runs whose end could not be written. */
void run_end_again(struct courier *c);
/* A text of a job's arguments; .p NULL when absent or no text. */
struct str arg_text(const struct json_value *args, const char *name);

/* What a script may ask for; `args` is an object. Answers now or later by run_answer. */
void ask_write(struct run *r, const struct script_asked *asked);
void ask_http(struct run *r, const struct script_asked *asked);
void ask_mail(struct run *r, const struct script_asked *asked);

/* On the writer's thread: a notification for a user, where scripts declare them. */
bool write_notification(struct task *t, struct db *d, void *thread_data, int64_t user, const char *en,
                        const char *ru);

/* ---- timers ---- */

/* Makes due timers into jobs; *next_at becomes the time of the next one if it is sooner. */
void timers_look(struct courier *c, int64_t now, int64_t *next_at);

/* ---- webhooks ---- */

/* Makes deliveries of what the log has new. */
void webhooks_look(struct courier *c);
/* Sends one: a job of the server's own. */
void webhook_start(struct run *r, struct str args);

/* ---- the thread ---- */

struct courier {
    struct courier_config config;
    pthread_t thread;
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    struct http_client *http;
    struct db *db;         /* reading */
    struct loaded *loaded; /* newest first */
    struct run *runs;
    unsigned run_count;
    bool claiming, looking, again;
    bool closing;       /* answers are not listened to any more */
    unsigned tasks_out; /* at the writer */
    int64_t purge_at;
    const struct timezone_data *zone;
    uint64_t timers_generation; /* of the scripts whose timers are in next_timer */
    int64_t next_timer;
    unsigned timers_out;
    bool timer_set;

    pthread_mutex_t lock; /* guards what came back and `started` */
    pthread_cond_t ready;
    struct task *back_first, *back_last;
    bool started, start_failed;
    struct error *start_error;
    atomic_bool stopping;
    atomic_llong stop_by; /* clock_mono, ns */
    _Atomic uint64_t done, retried, dead, timers, requests, mails, under_way;
};

/* The newest scripts; NULL when they cannot be run (logged). */
struct loaded *courier_scripts(struct courier *c);
void courier_release(struct courier *c, struct loaded *l);
/* Looks for something to do soon. */
void courier_tick(struct courier *c);

#endif
