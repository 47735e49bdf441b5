/* outbox.c: jobs for the outside world, written with the change that wants them (outbox.h). */
#include "store/outbox.h"

#include "base/clock.h"
#include "base/id.h"

#include <stdio.h>

static bool insert(struct db *d, struct str job, struct str args, struct str key, int64_t due_at, int64_t by,
                   int64_t *id, bool *added, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_outbox (job, args, key, due_at, created_at, created_by, id)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?)"
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
    stmt_bind_int(s, 7, id_next());
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

/* One statement with up to three integers and a text, run for its effect; *changes the rows it touched. */
static bool effect(struct db *d, struct str sql, const int64_t *numbers, int n, struct str text,
                   int64_t *changes, struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return false;
    for (int i = 0; i < n; i++)
        stmt_bind_int(s, i + 1, numbers[i]);
    if (text.p) stmt_bind_text(s, n + 1, text);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    if (changes) *changes = db_changes(d);
    db_release(s);
    return ok;
}

static bool number(struct db *d, struct str sql, struct str text, int64_t absent, int64_t *out,
                   struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return false;
    if (text.p) stmt_bind_text(s, 1, text);
    enum step step = stmt_step(s, e);
    *out = step == STEP_ROW && !stmt_null(s, 0) ? stmt_int(s, 0) : absent;
    db_release(s);
    return step != STEP_ERROR;
}

/* ---- claiming ---- */

bool outbox_claim(struct db *d, int64_t now, int64_t lease_until, int limit,
                  bool (*each)(void *ctx, const struct outbox_job *job), void *ctx, struct error *e)
{
    struct stmt *s = db_prepare(
        d,
        STR("UPDATE perigee_outbox SET state = 'running', lease_until = ?2, attempts = attempts + 1"
            " WHERE id IN (SELECT id FROM perigee_outbox WHERE state = 'waiting' AND due_at <= ?1"
            " ORDER BY due_at, id LIMIT ?3)"
            " RETURNING id, job, args, steps, attempts, created_at, created_by"),
        e);
    if (!s) return false;
    stmt_bind_int(s, 1, now);
    stmt_bind_int(s, 2, lease_until);
    stmt_bind_int(s, 3, limit);
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, e)) == STEP_ROW) {
        struct outbox_job job = {.id = stmt_int(s, 0),
                                 .job = stmt_text(s, 1),
                                 .args = stmt_text(s, 2),
                                 .steps = stmt_text(s, 3),
                                 .attempt = (int)stmt_int(s, 4),
                                 .created_at = stmt_int(s, 5),
                                 .created_by = stmt_int(s, 6)};
        ok = each(ctx, &job);
    }
    db_release(s);
    return ok && step == STEP_DONE;
}

bool outbox_next(struct db *d, int64_t *due_at, struct error *e)
{
    int64_t lease;
    if (!number(d, STR("SELECT min(due_at) FROM perigee_outbox WHERE state = 'waiting'"), (struct str){0},
                INT64_MAX, due_at, e) ||
        !number(d, STR("SELECT min(lease_until) FROM perigee_outbox WHERE state = 'running'"),
                (struct str){0}, INT64_MAX, &lease, e))
        return false;
    if (lease < *due_at) *due_at = lease;
    return true;
}

/* A running job whose key waits anew need not run again. */
bool outbox_recover(struct db *d, int64_t now, struct error *e)
{
    return effect(
        d,
        STR("UPDATE perigee_outbox SET state = CASE WHEN key IS NOT NULL AND EXISTS"
            " (SELECT 1 FROM perigee_outbox AS w WHERE w.job = perigee_outbox.job"
            " AND w.key = perigee_outbox.key AND w.state = 'waiting')"
            " THEN 'cancelled' ELSE 'waiting' END, due_at = ?1, finished_at = ?1 WHERE state = 'running'"),
        &now, 1, (struct str){0}, NULL, e);
}

bool outbox_step(struct db *d, int64_t id, struct str name, struct str result, int64_t lease_until,
                 struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("UPDATE perigee_outbox SET lease_until = ?2,"
                                    " steps = json_set(steps, '$.\"' || ?3 || '\"', json(?4)) WHERE id = ?1"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    stmt_bind_int(s, 2, lease_until);
    stmt_bind_text(s, 3, name);
    stmt_bind_text(s, 4, result);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

/* ---- ending ---- */

static const char *const outcome_names[] = {"done", "retry", "dead", "cancelled"};

const char *outbox_outcome_name(enum outbox_outcome o)
{
    return outcome_names[o];
}

#define LOGGED_MAX ((size_t)64 << 10)

static void bind_cut(struct stmt *s, int at, struct str text)
{
    if (text.n > LOGGED_MAX) {
        text.n = LOGGED_MAX;
        while (text.n && (text.p[text.n] & 0xc0) == 0x80)
            text.n--;
    }
    stmt_bind_text(s, at, text);
}

static bool log_run(struct db *d, const struct outbox_finish *f, struct error *e)
{
    struct stmt *s = db_prepare(
        d,
        STR("INSERT INTO perigee_run (job, attempt, started_at, took_ms, outcome, output, error, place)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"),
        e);
    if (!s) return false;
    stmt_bind_int(s, 1, f->id);
    stmt_bind_int(s, 2, f->attempt);
    stmt_bind_int(s, 3, f->started_at);
    stmt_bind_int(s, 4, f->now - f->started_at);
    stmt_bind_text(s, 5, str_of(outcome_names[f->outcome]));
    bind_cut(s, 6, f->output);
    bind_cut(s, 7, f->error);
    stmt_bind_text(s, 8, f->place);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

static bool key_waits(struct db *d, int64_t id, bool *waits, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("SELECT 1 FROM perigee_outbox AS me JOIN perigee_outbox AS w ON w.job = me.job"
                       " AND w.key = me.key AND w.state = 'waiting' WHERE me.id = ?"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    *waits = step == STEP_ROW;
    db_release(s);
    return step != STEP_ERROR;
}

bool outbox_finish(struct db *d, const struct outbox_finish *f, struct error *e)
{
    struct outbox_finish ending = *f;
    bool waits = false;
    if (f->outcome == OUTBOX_RETRY && !key_waits(d, f->id, &waits, e)) return false;
    if (waits) ending.outcome = OUTBOX_CANCELLED;
    struct stmt *s = db_prepare(d,
                                STR("UPDATE perigee_outbox SET state = ?2, due_at = coalesce(?3, due_at),"
                                    " finished_at = ?4, error = ?5 WHERE id = ?1 AND state = 'running'"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, f->id);
    stmt_bind_text(s, 2,
                   ending.outcome == OUTBOX_RETRY ? STR("waiting") : str_of(outcome_names[ending.outcome]));
    if (ending.outcome == OUTBOX_RETRY) stmt_bind_int(s, 3, f->due_at);
    stmt_bind_int(s, 4, ending.outcome == OUTBOX_RETRY ? 0 : f->now);
    bind_cut(s, 5, f->error);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok && log_run(d, &ending, e);
}

/* ---- by hand ---- */

static bool refused(struct db *d, int64_t id, struct error *e)
{
    int64_t found = 0;
    struct stmt *s = db_prepare(d, STR("SELECT 1 FROM perigee_outbox WHERE id = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    found = stmt_step(s, e) == STEP_ROW;
    db_release(s);
    if (!found) return error_set(e, ERROR_NOT_FOUND, "there is no such job", "нет такого задания");
    return error_set(e, ERROR_CONFLICT, "the job's state does not allow this, or the same job waits already",
                     "состояние задания этого не позволяет, или такое же задание уже ждёт");
}

bool outbox_requeue(struct db *d, int64_t id, int64_t now, struct error *e)
{
    int64_t n = 0;
    bool ok =
        effect(d,
               STR("UPDATE perigee_outbox SET state = 'waiting', attempts = 0, due_at = ?2, created_at = ?2,"
                   " finished_at = 0, error = NULL WHERE id = ?1 AND state IN ('dead', 'cancelled')"
                   " AND NOT EXISTS (SELECT 1 FROM perigee_outbox AS w WHERE w.job = perigee_outbox.job"
                   " AND w.key = perigee_outbox.key AND w.state = 'waiting')"),
               (int64_t[]){id, now}, 2, (struct str){0}, &n, e);
    return ok && (n || refused(d, id, e));
}

bool outbox_cancel(struct db *d, int64_t id, int64_t now, struct error *e)
{
    int64_t n = 0;
    bool ok = effect(d,
                     STR("UPDATE perigee_outbox SET state = 'cancelled', finished_at = ?2"
                         " WHERE id = ?1 AND state IN ('waiting', 'dead')"),
                     (int64_t[]){id, now}, 2, (struct str){0}, &n, e);
    return ok && (n || refused(d, id, e));
}

bool outbox_purge(struct db *d, int64_t before, struct error *e)
{
    static const char old[] = " (SELECT id FROM perigee_outbox WHERE state IN ('done', 'cancelled')"
                              " AND finished_at < ?1 ORDER BY finished_at LIMIT 1000)";
    char runs[256], jobs[256];
    snprintf(runs, sizeof runs, "DELETE FROM perigee_run WHERE job IN%s", old);
    snprintf(jobs, sizeof jobs, "DELETE FROM perigee_outbox WHERE id IN%s", old);
    return effect(d, str_of(runs), &before, 1, (struct str){0}, NULL, e) &&
           effect(d, str_of(jobs), &before, 1, (struct str){0}, NULL, e);
}

/* ---- timers ---- */

bool outbox_timer_get(struct db *d, struct str name, int64_t *ran_at, struct error *e)
{
    return number(d, STR("SELECT ran_at FROM perigee_timer WHERE name = ?"), name, 0, ran_at, e);
}

bool outbox_timer_set(struct db *d, struct str name, int64_t ran_at, struct error *e)
{
    return effect(d,
                  STR("INSERT INTO perigee_timer (ran_at, name) VALUES (?, ?)"
                      " ON CONFLICT (name) DO UPDATE SET ran_at = excluded.ran_at"),
                  &ran_at, 1, name, NULL, e);
}

bool outbox_depth(struct db *d, struct outbox_depth *out, struct error *e)
{
    return number(d, STR("SELECT count(*) FROM perigee_outbox WHERE state = 'waiting'"), (struct str){0}, 0,
                  &out->waiting, e) &&
           number(d, STR("SELECT count(*) FROM perigee_outbox WHERE state = 'running'"), (struct str){0}, 0,
                  &out->running, e) &&
           number(d, STR("SELECT count(*) FROM perigee_outbox WHERE state = 'dead'"), (struct str){0}, 0,
                  &out->dead, e);
}

bool outbox_list(struct db *d, struct str job, bool (*each)(void *ctx, const struct outbox_seen *seen),
                 void *ctx, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT job, state, args, error, attempts FROM perigee_outbox"
                                    " WHERE ?1 IS NULL OR job = ?1 ORDER BY id LIMIT 1000"),
                                e);
    if (!s) return false;
    enum step step;
    stmt_bind_text(s, 1, job);
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct outbox_seen seen = {.job = stmt_text(s, 0),
                                   .state = stmt_text(s, 1),
                                   .args = stmt_text(s, 2),
                                   .attempts = (int)stmt_int(s, 4)};
        if (!stmt_null(s, 3)) seen.error = stmt_text(s, 3);
        if (!each(ctx, &seen)) break;
    }
    db_release(s);
    return step != STEP_ERROR;
}
