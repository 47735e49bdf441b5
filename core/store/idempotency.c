/* idempotency.c: the table perigee_idempotency. */
#include "store/idempotency.h"

static const char sql_find[] = "SELECT request, status, headers, body FROM perigee_idempotency "
                               "WHERE user = ? AND key = ? AND created_at > ?";
static const char sql_keep[] =
    "INSERT OR REPLACE INTO perigee_idempotency (user, key, request, status, headers, body, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)";
/* A few at a time, so that no single answer pays for a day of them. */
static const char sql_forget[] =
    "DELETE FROM perigee_idempotency WHERE (user, key) IN "
    "(SELECT user, key FROM perigee_idempotency WHERE created_at <= ? ORDER BY created_at LIMIT 8)";

bool idempotency_find(struct db *d, int64_t user, struct str key, int64_t now, struct arena *arena,
                      struct idempotency_answer *out, bool *found, struct error *e)
{
    *found = false;
    struct stmt *s = db_prepare(d, str_of(sql_find), e);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    stmt_bind_text(s, 2, key);
    stmt_bind_int(s, 3, now - IDEMPOTENCY_KEEP_MS);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) {
        struct str request = stmt_blob(s, 0);
        out->status = (int)stmt_int(s, 1);
        out->headers = arena_str(arena, stmt_text(s, 2));
        out->body = arena_str(arena, stmt_blob(s, 3));
        *found = request.n == sizeof out->request && out->headers.p && out->body.p;
        if (*found)
            memcpy(out->request, request.p, request.n);
        else
            step = STEP_ERROR, error_no_memory(e);
    }
    db_release(s);
    return step != STEP_ERROR;
}

static bool forget(struct db *d, int64_t now, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_forget), e);
    if (!s) return false;
    stmt_bind_int(s, 1, now - IDEMPOTENCY_KEEP_MS);
    bool ok = stmt_step(s, e) == STEP_DONE;
    db_release(s);
    return ok;
}

bool idempotency_keep(struct db *d, int64_t user, struct str key, int64_t now,
                      const struct idempotency_answer *answer, struct error *e)
{
    if (!forget(d, now, e)) return false;
    struct stmt *s = db_prepare(d, str_of(sql_keep), e);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    stmt_bind_text(s, 2, key);
    stmt_bind_blob(s, 3, answer->request, sizeof answer->request);
    stmt_bind_int(s, 4, answer->status);
    stmt_bind_text(s, 5, answer->headers);
    stmt_bind_blob(s, 6, answer->body.n ? answer->body.p : "", answer->body.n);
    stmt_bind_int(s, 7, now);
    bool ok = stmt_step(s, e) == STEP_DONE;
    db_release(s);
    return ok;
}
