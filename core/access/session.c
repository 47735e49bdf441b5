/* session.c: sessions of browsers. Idle and absolute ends are compared when a session is found, so changing
 * the settings holds at once. */
#include "access/session.h"

#include "access/secret.h"

#include <sodium.h>

static bool done(struct stmt *s, struct error *e)
{
    enum step step = stmt_step(s, e);
    db_release(s);
    return step == STEP_DONE;
}

bool password_store(struct db *d, int64_t user, const char *hash, int64_t now, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_password (user, hash, changed_at) VALUES (?1, ?2, ?3) "
                       "ON CONFLICT (user) DO UPDATE SET hash = ?2, changed_at = ?3"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    stmt_bind_text(s, 2, str_of(hash));
    stmt_bind_int(s, 3, now);
    if (!done(s, e) || !(s = db_prepare(d, STR("DELETE FROM perigee_session WHERE user = ?"), e)))
        return false;
    stmt_bind_int(s, 1, user);
    return done(s, e) && store_epoch_bump(d, e);
}

bool password_exists(struct db *d, int64_t user, bool *yes, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT 1 FROM perigee_password WHERE user = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    enum step step = stmt_step(s, e);
    db_release(s);
    *yes = step == STEP_ROW;
    return step != STEP_ERROR;
}

bool credentials_end(struct db *d, int64_t user, struct error *e)
{
    static const char *const both[] = {"DELETE FROM perigee_session WHERE user = ?",
                                       "DELETE FROM perigee_token WHERE user = ?"};
    for (size_t i = 0; i < sizeof both / sizeof *both; i++) {
        struct stmt *s = db_prepare(d, str_of(both[i]), e);
        if (!s) return false;
        stmt_bind_int(s, 1, user);
        if (!done(s, e)) return false;
    }
    return store_epoch_bump(d, e);
}

bool password_lookup(struct db *d, struct str login, struct arena *arena, int64_t *user, const char **hash,
                     struct error *e)
{
    struct stmt *s = db_prepare(
        d,
        STR("SELECT u.id, p.hash FROM \"user\" AS u LEFT JOIN perigee_password AS p ON p.user = u.id "
            "WHERE u.\"login\" = ? AND u.active = 1"),
        e);
    *user = 0;
    *hash = NULL;
    if (!s) return false;
    stmt_bind_text(s, 1, login);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) {
        *user = stmt_int(s, 0);
        *hash = stmt_null(s, 1) ? NULL : arena_dup(arena, stmt_text(s, 1));
    }
    db_release(s);
    return step != STEP_ERROR;
}

void session_csrf(struct str secret, char csrf[SECRET_TEXT])
{
    secret_derive(secret, STR("perigee csrf"), csrf);
}

bool session_create(struct db *d, int64_t user, int64_t now, struct session_times times,
                    char secret[SECRET_TEXT], char csrf[SECRET_TEXT], struct error *e)
{
    unsigned char hash[SECRET_HASH], csrf_hash[SECRET_HASH];
    if (!secret_make(secret, e)) return false;
    session_csrf(str_of(secret), csrf);
    secret_hash(str_of(secret), hash);
    secret_hash(str_of(csrf), csrf_hash);
    struct stmt *s = db_prepare(d, STR("DELETE FROM perigee_session WHERE expires_at < ? OR seen_at < ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, now);
    stmt_bind_int(s, 2, now - times.idle_ms);
    if (!done(s, e)) return false;
    s = db_prepare(d,
                   STR("INSERT INTO perigee_session (hash, user, csrf, created_at, seen_at, expires_at) "
                       "VALUES (?, ?, ?, ?, ?, ?)"),
                   e);
    if (!s) return false;
    stmt_bind_blob(s, 1, hash, sizeof hash);
    stmt_bind_int(s, 2, user);
    stmt_bind_blob(s, 3, csrf_hash, sizeof csrf_hash);
    stmt_bind_int(s, 4, now);
    stmt_bind_int(s, 5, now);
    stmt_bind_int(s, 6, now + times.absolute_ms);
    return done(s, e);
}

bool session_delete(struct db *d, struct str secret, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    secret_hash(secret, hash);
    struct stmt *s = db_prepare(d, STR("DELETE FROM perigee_session WHERE hash = ?"), e);
    if (!s) return false;
    stmt_bind_blob(s, 1, hash, sizeof hash);
    return done(s, e) && store_epoch_bump(d, e);
}

bool session_touch(struct db *d, struct str secret, int64_t now, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    secret_hash(secret, hash);
    struct stmt *s =
        db_prepare(d, STR("UPDATE perigee_session SET seen_at = ? WHERE hash = ? AND seen_at < ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, now);
    stmt_bind_blob(s, 2, hash, sizeof hash);
    stmt_bind_int(s, 3, now);
    return done(s, e);
}

bool session_find(struct db *d, struct str secret, int64_t now, struct session_times times,
                  struct session *out, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    *out = (struct session){0};
    secret_hash(secret, hash);
    struct stmt *s =
        db_prepare(d, STR("SELECT user, expires_at, seen_at, csrf FROM perigee_session WHERE hash = ?"), e);
    if (!s) return false;
    stmt_bind_blob(s, 1, hash, sizeof hash);
    enum step step = stmt_step(s, e);
    struct str csrf = step == STEP_ROW ? stmt_blob(s, 3) : (struct str){NULL, 0};
    if (csrf.n == SECRET_HASH && stmt_int(s, 1) > now && stmt_int(s, 2) + times.idle_ms > now) {
        *out = (struct session){.user = stmt_int(s, 0), .expires = stmt_int(s, 1), .seen = stmt_int(s, 2)};
        memcpy(out->csrf_hash, csrf.p, SECRET_HASH);
    }
    db_release(s);
    return step != STEP_ERROR;
}

bool session_csrf_ok(const struct session *s, struct str csrf)
{
    unsigned char hash[SECRET_HASH];
    secret_hash(csrf, hash);
    return sodium_memcmp(hash, s->csrf_hash, SECRET_HASH) == 0;
}
