/* outbox.h: what must happen in the outside world, written in the transaction that wants it (design
 * §3), and what becomes of it. At least once: a job is claimed under a lease, and one whose lease ran out
 * (the process died) is due again.
 *
 *   add ─► waiting ── claim ──► running ── finish ──┬─► done
 *             ▲  ▲                                  ├─► dead        (attempts or age used up; requeue brings
 * it back) │  └────────── retry ─────────────────┤ └── requeue ◄── dead, cancelled       └─► cancelled
 *
 * Everything but outbox_next and outbox_depth belongs into a write transaction. */
#ifndef STORE_OUTBOX_H
#define STORE_OUTBOX_H

#include "store/db.h"

/* Adds a job; with a `key` that waits already, it is not added twice (*id is then the waiting one).
 * `args` is JSON. */
bool outbox_add(struct db *d, struct str job, struct str args, struct str key, int64_t due_at, int64_t by,
                int64_t *id, struct error *e);

struct outbox_job {
    int64_t id;
    struct str job, args,
        steps;   /* JSON: `steps` is {name: result} of the steps that earlier attempts finished */
    int attempt; /* 1 … */
    int64_t created_at, created_by;
};

/* Claims at most `limit` due jobs until `lease_until`; calls `each` for every one (texts live until it
 * returns). */
bool outbox_claim(struct db *d, int64_t now, int64_t lease_until, int limit,
                  bool (*each)(void *ctx, const struct outbox_job *job), void *ctx, struct error *e);

/* When the next one is due (a running one: when its lease ends); INT64_MAX: there is none. */
bool outbox_next(struct db *d, int64_t *due_at, struct error *e);

/* At the start of the only courier of this database: what was running is due again. */
bool outbox_recover(struct db *d, int64_t now, struct error *e);

/* Records a step's result (JSON; no quotes or backslashes in the name) and prolongs the lease. */
bool outbox_step(struct db *d, int64_t id, struct str name, struct str result, int64_t lease_until,
                 struct error *e);

enum outbox_outcome { OUTBOX_DONE, OUTBOX_RETRY, OUTBOX_DEAD, OUTBOX_CANCELLED };
const char *outbox_outcome_name(enum outbox_outcome o);

struct outbox_finish {
    int64_t id;
    int attempt;
    enum outbox_outcome outcome;
    int64_t due_at; /* OUTBOX_RETRY */
    int64_t started_at, now;
    struct str output, error, place; /* .p NULL: none; cut to 64 KiB */
};

/* Ends an attempt and writes it to the log of runs. A retry whose key waits anew already is ended as
 * cancelled: the newer one does the work. */
bool outbox_finish(struct db *d, const struct outbox_finish *f, struct error *e);

/* By hand: dead or cancelled → waiting, attempts from 0; waiting or dead → cancelled. ERROR_NOT_FOUND, or
 * ERROR_CONFLICT when its state does not allow it. */
bool outbox_requeue(struct db *d, int64_t id, int64_t now, struct error *e);
bool outbox_cancel(struct db *d, int64_t id, int64_t now, struct error *e);

/* Forgets jobs that were done or cancelled before `before`, with their runs; at most 1000. */
bool outbox_purge(struct db *d, int64_t before, struct error *e);

struct outbox_seen {
    struct str job, state, args, error; /* error.p NULL: none */
    int attempts;
};
/* Every job of that name (.p NULL: of all names), oldest first, at most 1000; texts live until `each`
 * returns. */
bool outbox_list(struct db *d, struct str job, bool (*each)(void *ctx, const struct outbox_seen *seen),
                 void *ctx, struct error *e);

struct outbox_depth {
    int64_t waiting, running, dead;
};
bool outbox_depth(struct db *d, struct outbox_depth *out, struct error *e);

/* When a timer (`every`) last ran; 0: never. */
bool outbox_timer_get(struct db *d, struct str name, int64_t *ran_at, struct error *e);
bool outbox_timer_set(struct db *d, struct str name, int64_t ran_at, struct error *e);

#endif
