/* token.c: API tokens: shown once, kept as a hash, with name, scope, expiry and last use. */
#include "access/secret.h"
#include "access/session.h"
#include "base/id.h"

#include <stdio.h>

static bool done(struct stmt *s, struct error *e)
{
    enum step step = stmt_step(s, e);
    db_release(s);
    return step == STEP_DONE;
}

bool token_create(struct db *d, int64_t user, struct str name, struct str scope, int64_t expires, int64_t now,
                  char text[64], int64_t *id, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    char secret[44];
    if (!scope.n) scope = STR(TOKEN_FULL);
    if (!str_is(scope, TOKEN_FULL) && !str_is(scope, TOKEN_READ) && !str_is(scope, TOKEN_CALENDAR))
        return error_set(e, ERROR_VALIDATION_FAILED, "the scope of a token is \"full\" or \"read\"",
                         "область токена: full или read");
    if (!secret_make(secret, e)) return false;
    snprintf(text, 64, "%s%s", TOKEN_PREFIX, secret);
    secret_hash(str_of(text), hash);
    struct stmt *s = db_prepare(d,
                                STR("INSERT INTO perigee_token (id, hash, user, name, scope, created_at, "
                                    "expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)"),
                                e);
    if (!s) return false;
    *id = id_next();
    stmt_bind_int(s, 1, *id);
    stmt_bind_blob(s, 2, hash, sizeof hash);
    stmt_bind_int(s, 3, user);
    stmt_bind_text(s, 4, name.p ? name : STR(""));
    stmt_bind_text(s, 5, scope);
    stmt_bind_int(s, 6, now);
    stmt_bind_int(s, 7, expires);
    return done(s, e);
}

bool token_find(struct db *d, struct str text, int64_t now, struct token *out, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    *out = (struct token){0};
    if (!str_starts(text, STR(TOKEN_PREFIX)) || text.n > 64) return true;
    secret_hash(text, hash);
    struct stmt *s =
        db_prepare(d, STR("SELECT id, user, expires_at, scope FROM perigee_token WHERE hash = ?"), e);
    if (!s) return false;
    stmt_bind_blob(s, 1, hash, sizeof hash);
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW && (stmt_int(s, 2) == 0 || stmt_int(s, 2) > now)) {
        *out = (struct token){.id = stmt_int(s, 0), .user = stmt_int(s, 1), .expires = stmt_int(s, 2)};
        snprintf(out->scope, sizeof out->scope, "%.*s", STR_ARG(stmt_text(s, 3)));
    }
    db_release(s);
    return step != STEP_ERROR;
}

bool token_list(struct db *d, int64_t user, bool (*each)(void *ctx, const struct token_row *row), void *ctx,
                struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT id, user, created_at, expires_at, used_at, name, scope FROM "
                                    "perigee_token WHERE user = ?1 OR ?1 = 0 ORDER BY id"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    enum step step;
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct token_row row = {.id = stmt_int(s, 0),
                                .user = stmt_int(s, 1),
                                .created = stmt_int(s, 2),
                                .expires = stmt_int(s, 3),
                                .used = stmt_int(s, 4),
                                .name = stmt_text(s, 5),
                                .scope = stmt_text(s, 6)};
        if (!each(ctx, &row)) break;
    }
    db_release(s);
    return step != STEP_ERROR;
}

bool token_touch(struct db *d, int64_t id, int64_t now, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("UPDATE perigee_token SET used_at = ? WHERE id = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, now);
    stmt_bind_int(s, 2, id);
    return done(s, e);
}

bool token_delete(struct db *d, int64_t id, int64_t user, bool *found, struct error *e)
{
    struct stmt *s =
        db_prepare(d, STR("DELETE FROM perigee_token WHERE id = ?1 AND (user = ?2 OR ?2 = 0)"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    stmt_bind_int(s, 2, user);
    if (!done(s, e)) return false;
    *found = db_changes(d) > 0;
    return store_epoch_bump(d, e);
}
