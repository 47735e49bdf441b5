/* outbox.c: jobs for the outside world, written with the change that wants them (outbox.h). */
#include "store/outbox.h"

#include "base/clock.h"

static bool insert(struct db *d, struct str job, struct str args, struct str key, int64_t due_at, int64_t by,
                   int64_t *id, bool *added, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_outbox (job, args, key, due_at, created_at, created_by)"
                       " VALUES (?, ?, ?, ?, ?, ?)"
                       " ON CONFLICT (job, key) WHERE key IS NOT NULL AND state = 'waiting' DO NOTHING"
                       " RETURNING id"),
                   e);
    if (!s) return false;
    stmt_bind_text(s, 1, job);
    stmt_bind_text(s, 2, args.n ? args : STR("{}"));
    stmt_bind_text(s, 3, key.n ? key : (struct str){0});
    stmt_bind_int(s, 4, due_at);
    stmt_bind_int(s, 5, clock_now());
    stmt_bind_int(s, 6, by);
    enum step step = stmt_step(s, e);
    *added = step == STEP_ROW;
    if (*added) *id = stmt_int(s, 0);
    db_release(s);
    return step != STEP_ERROR;
}

static bool waiting_one(struct db *d, struct str job, struct str key, int64_t *id, struct error *e)
{
    struct stmt *s = db_prepare(
        d, STR("SELECT id FROM perigee_outbox WHERE job = ? AND key = ? AND state = 'waiting'"), e);
    if (!s) return false;
    stmt_bind_text(s, 1, job);
    stmt_bind_text(s, 2, key);
    enum step step = stmt_step(s, e);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

bool outbox_add(struct db *d, struct str job, struct str args, struct str key, int64_t due_at, int64_t by,
                int64_t *id, struct error *e)
{
    bool added = false;
    return insert(d, job, args, key, due_at, by, id, &added, e) && (added || waiting_one(d, job, key, id, e));
}

bool outbox_depth(struct db *d, struct outbox_depth *out, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT count(*) FILTER (WHERE state = 'waiting'),"
                                    " count(*) FILTER (WHERE state = 'dead') FROM perigee_outbox"),
                                e);
    *out = (struct outbox_depth){0};
    if (!s) return false;
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) *out = (struct outbox_depth){stmt_int(s, 0), stmt_int(s, 1)};
    db_release(s);
    return step == STEP_ROW;
}
