/* webhook.c: see webhook.h. */
#include "store/webhook.h"

#include "base/clock.h"
#include "base/id.h"
#include "store/outbox.h"

#include <sodium.h>
#include <stdio.h>

#define PREFIX "whsec_"

void webhook_secret(char out[WEBHOOK_SECRET_MAX])
{
    unsigned char key[32];
    randombytes_buf(key, sizeof key);
    memcpy(out, PREFIX, sizeof PREFIX - 1);
    sodium_bin2base64(out + sizeof PREFIX - 1, WEBHOOK_SECRET_MAX - sizeof PREFIX + 1, key, sizeof key,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_memzero(key, sizeof key);
}

size_t webhook_key(struct str secret, unsigned char key[64])
{
    size_t n = 0, prefix = sizeof PREFIX - 1;
    const char *end = NULL;
    if (!str_starts(secret, STR(PREFIX))) return 0;
    if (sodium_base642bin(key, 64, secret.p + prefix, secret.n - prefix, NULL, &n, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return 0;
    return end == secret.p + secret.n && n >= 24 ? n : 0;
}

/* ---- webhooks ---- */

static void bind(struct stmt *s, const struct webhook *w)
{
    stmt_bind_int(s, 1, w->id);
    stmt_bind_int(s, 2, w->owner);
    stmt_bind_text(s, 3, w->url);
    stmt_bind_text(s, 4, w->topics);
    stmt_bind_text(s, 5, w->filter.p ? w->filter : STR(""));
    stmt_bind_text(s, 6, w->description.p ? w->description : STR(""));
    stmt_bind_text(s, 7, w->secret);
    stmt_bind_text(s, 8, w->old_secret.p ? w->old_secret : STR(""));
    stmt_bind_int(s, 9, w->old_until);
    stmt_bind_int(s, 10, w->active);
    stmt_bind_int(s, 11, w->since);
    stmt_bind_int(s, 12, w->created_at);
    stmt_bind_int(s, 13, w->updated_at);
    stmt_bind_int(s, 14, w->failing_since);
    stmt_bind_text(s, 15, w->disabled.p ? w->disabled : STR(""));
}

static bool put(struct db *d, const struct webhook *w, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT OR REPLACE INTO perigee_webhook (id, owner, url, topics, filter, description, "
                       "secret, old_secret,"
                       " old_until, active, since, created_at, updated_at, failing_since, disabled)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                   e);
    if (!s) return false;
    bind(s, w);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

static bool number(struct db *d, struct str sql, int64_t *out, struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    *out = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

bool webhook_insert(struct db *d, struct webhook *w, struct error *e)
{
    w->id = id_next();
    w->created_at = w->updated_at = clock_now();
    return number(d, STR("SELECT coalesce(max(seq), 0) FROM perigee_log"), &w->since, e) && put(d, w, e);
}

bool webhook_update(struct db *d, const struct webhook *w, struct error *e)
{
    struct webhook now = *w;
    now.updated_at = clock_now();
    return put(d, &now, e);
}

static bool effect(struct db *d, struct str sql, int64_t id, struct str text, struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    if (text.p) stmt_bind_text(s, 2, text);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

bool webhook_delete(struct db *d, int64_t id, bool *found, struct error *e)
{
    if (!effect(d, STR("DELETE FROM perigee_delivery WHERE webhook = ?"), id, (struct str){0}, e) ||
        !effect(d, STR("DELETE FROM perigee_webhook WHERE id = ?"), id, (struct str){0}, e))
        return false;
    *found = db_changes(d) > 0;
    return true;
}

static void read_webhook(struct stmt *s, struct webhook *w)
{
    *w = (struct webhook){.id = stmt_int(s, 0),
                          .owner = stmt_int(s, 1),
                          .url = stmt_text(s, 2),
                          .topics = stmt_text(s, 3),
                          .filter = stmt_text(s, 4),
                          .description = stmt_text(s, 5),
                          .secret = stmt_text(s, 6),
                          .old_secret = stmt_text(s, 7),
                          .old_until = stmt_int(s, 8),
                          .active = stmt_int(s, 9) != 0,
                          .since = stmt_int(s, 10),
                          .created_at = stmt_int(s, 11),
                          .updated_at = stmt_int(s, 12),
                          .failing_since = stmt_int(s, 13),
                          .disabled = stmt_text(s, 14)};
}

#define WEBHOOK_COLUMNS                                                                                      \
    "id, owner, url, topics, filter, description, secret, old_secret, old_until, active, since, created_at," \
    " updated_at, failing_since, disabled"

static bool keep(struct arena *a, struct str *s)
{
    *s = arena_str(a, *s);
    return s->p != NULL;
}

bool webhook_get(struct db *d, int64_t id, struct webhook *out, bool *found, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT " WEBHOOK_COLUMNS " FROM perigee_webhook WHERE id = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    *found = step == STEP_ROW;
    bool ok = step != STEP_ERROR;
    if (*found) {
        read_webhook(s, out);
        struct arena *a = e->arena;
        ok = keep(a, &out->url) && keep(a, &out->topics) && keep(a, &out->filter) &&
             keep(a, &out->description) && keep(a, &out->secret) && keep(a, &out->old_secret) &&
             keep(a, &out->disabled);
        if (!ok) error_no_memory(e);
    }
    db_release(s);
    return ok;
}

bool webhook_list(struct db *d, bool active_only, bool (*each)(void *ctx, const struct webhook *w), void *ctx,
                  struct error *e)
{
    struct stmt *s = db_prepare(
        d, STR("SELECT " WEBHOOK_COLUMNS " FROM perigee_webhook WHERE active >= ? ORDER BY id"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, active_only);
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, e)) == STEP_ROW) {
        struct webhook w;
        read_webhook(s, &w);
        ok = each(ctx, &w);
    }
    db_release(s);
    return ok && step == STEP_DONE;
}

bool webhook_disable(struct db *d, int64_t id, struct str why, struct error *e)
{
    return effect(d, STR("UPDATE perigee_webhook SET active = 0, disabled = ?2 WHERE id = ?1"), id, why, e);
}

/* ---- the position in the log ---- */

bool webhook_position(struct db *d, int64_t *position, struct error *e)
{
    return number(d, STR("SELECT CAST(value AS INTEGER) FROM perigee_meta WHERE key = 'webhook_position'"),
                  position, e);
}

bool webhook_move(struct db *d, int64_t from, int64_t to, bool *moved, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_meta (key, value) VALUES ('webhook_position', CAST(?2 AS TEXT))"
                       " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                       " WHERE CAST(value AS INTEGER) = ?1"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, from);
    stmt_bind_int(s, 2, to);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    *moved = db_changes(d) > 0;
    db_release(s);
    return ok;
}

/* ---- deliveries ---- */

bool delivery_again(struct db *d, int64_t id, struct error *e)
{
    char text[ID_TEXT + 1], args[64];
    int64_t job;
    id_format(id, text);
    snprintf(args, sizeof args, "{\"delivery\":\"%s\"}", text);
    return effect(d, STR("UPDATE perigee_delivery SET state = 'waiting' WHERE id = ?"), id, (struct str){0},
                  e) &&
           outbox_add(d, STR(WEBHOOK_JOB), str_of(args), str_of(text), clock_now(), 0, &job, e);
}

bool delivery_add(struct db *d, int64_t webhook, int64_t seq, struct str type, struct str body, int64_t *id,
                  struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("INSERT INTO perigee_delivery (id, webhook, seq, type, body, created_at)"
                                    " VALUES (?, ?, ?, ?, ?, ?)"),
                                e);
    if (!s) return false;
    *id = id_next();
    stmt_bind_int(s, 1, *id);
    stmt_bind_int(s, 2, webhook);
    stmt_bind_int(s, 3, seq);
    stmt_bind_text(s, 4, type);
    stmt_bind_text(s, 5, body);
    stmt_bind_int(s, 6, clock_now());
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok && delivery_again(d, *id, e);
}

#define DELIVERY_COLUMNS                                                                                     \
    "id, webhook, seq, type, body, state, attempts, status, error, created_at, sent_at, took_ms"

static void read_delivery(struct stmt *s, struct delivery *v)
{
    *v = (struct delivery){.id = stmt_int(s, 0),
                           .webhook = stmt_int(s, 1),
                           .seq = stmt_int(s, 2),
                           .type = stmt_text(s, 3),
                           .body = stmt_text(s, 4),
                           .state = stmt_text(s, 5),
                           .attempts = (int)stmt_int(s, 6),
                           .status = (int)stmt_int(s, 7),
                           .error = stmt_text(s, 8),
                           .created_at = stmt_int(s, 9),
                           .sent_at = stmt_int(s, 10),
                           .took_ms = stmt_int(s, 11)};
}

bool delivery_get(struct db *d, int64_t id, struct delivery *out, bool *found, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT " DELIVERY_COLUMNS " FROM perigee_delivery WHERE id = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    *found = step == STEP_ROW;
    bool ok = step != STEP_ERROR;
    if (*found) {
        read_delivery(s, out);
        ok = keep(e->arena, &out->type) && keep(e->arena, &out->body) && keep(e->arena, &out->state) &&
             keep(e->arena, &out->error);
        if (!ok) error_no_memory(e);
    }
    db_release(s);
    return ok;
}

bool delivery_list(struct db *d, int64_t webhook, int64_t before, int64_t limit,
                   bool (*each)(void *ctx, const struct delivery *v), void *ctx, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("SELECT " DELIVERY_COLUMNS " FROM perigee_delivery WHERE webhook = ? AND id < ?"
                       " ORDER BY id DESC LIMIT ?"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, webhook);
    stmt_bind_int(s, 2, before);
    stmt_bind_int(s, 3, limit);
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, e)) == STEP_ROW) {
        struct delivery v;
        read_delivery(s, &v);
        ok = each(ctx, &v);
    }
    db_release(s);
    return ok && step == STEP_DONE;
}

bool delivery_result(struct db *d, int64_t id, bool delivered, bool final, int status, struct str error,
                     int64_t took_ms, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("UPDATE perigee_delivery SET state = ?2, attempts = attempts + 1, status "
                                    "= ?3, error = ?4, sent_at = ?5,"
                                    " took_ms = ?6 WHERE id = ?1"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    stmt_bind_text(s, 2, delivered ? STR("delivered") : final ? STR("failed") : STR("waiting"));
    stmt_bind_int(s, 3, status);
    stmt_bind_text(s, 4, error.p ? error : STR(""));
    stmt_bind_int(s, 5, clock_now());
    stmt_bind_int(s, 6, took_ms);
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    if (!ok) return false;
    /* Written only when it changes: a busy webhook is not one row that every delivery rewrites. */
    s = db_prepare(
        d,
        STR("UPDATE perigee_webhook SET failing_since = ?2 WHERE id = (SELECT webhook FROM perigee_delivery"
            " WHERE id = ?1) AND (failing_since = 0) <> (?2 = 0)"),
        e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    stmt_bind_int(s, 2, delivered ? 0 : clock_now());
    ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

bool delivery_purge(struct db *d, int64_t before, struct error *e)
{
    return effect(d,
                  STR("DELETE FROM perigee_delivery WHERE id IN (SELECT id FROM perigee_delivery"
                      " WHERE created_at < ?1 AND state <> 'waiting' ORDER BY created_at LIMIT 1000)"),
                  before, (struct str){0}, e);
}
