/* session.h: signing in: passwords, sessions of browsers, API tokens, and slowing down who guesses.
 *
 * Secrets are 256 random bits, shown once; the database keeps BLAKE2b-256 of them. Passwords:
 * argon2id with 64 MiB and three passes (RFC 9106 §4, second choice), made and checked by password_* which
 * take a tenth of a second of CPU: never on a loop thread, never on the writer. */
#ifndef ACCESS_SESSION_H
#define ACCESS_SESSION_H

#include "access/principal.h"

#define TOKEN_PREFIX "pgt_"
#define PASSWORD_MIN 10 /* characters */

/* Any thread that may block. `hash` needs crypto_pwhash_STRBYTES (128). */
bool password_hash(struct str password, char hash[128], struct error *e);
/* Takes the same time when `hash` is NULL (unknown login). */
bool password_matches(const char *hash, struct str password);
/* Length, not the login, not among the most common ones. */
bool password_acceptable(struct str login, struct str password, struct error *e);

/* Writer: stores the hash for a user, ends their sessions; API tokens stay. */
bool password_store(struct db *d, int64_t user, const char *hash, int64_t now, struct error *e);

/* Reader: has the user a password at all? */
bool password_exists(struct db *d, int64_t user, bool *yes, struct error *e);

/* Reader: user id and stored hash (arena) of an active user with that login; *user = 0 when there
 * is none. */
bool password_lookup(struct db *d, struct str login, struct arena *arena, int64_t *user, const char **hash,
                     struct error *e);

/* Throttling, in memory, shared by all threads: per account and per address, exponential. */
struct throttle;
struct throttle *throttle_new(void);
void throttle_free(struct throttle *t);
/* May a password be tried now? Then the try counts as under way until throttle_leave; otherwise *wait is
 * the seconds until the next may. */
bool throttle_enter(struct throttle *t, struct str login, struct str address, int64_t now, int64_t *wait);
/* The try is over: `good` forgets the failures of the account. */
void throttle_leave(struct throttle *t, struct str login, struct str address, bool good, int64_t now);

struct session_times {
    int64_t idle_ms, absolute_ms;
};

#define SECRET_TEXT 44 /* 256 bits as 43 characters of base64url, and a NUL */

/* Writer. The CSRF token follows from the secret, so that a page that was loaded anew can ask for it
 * (session_csrf); whoever could ask has the cookie already. */
bool session_create(struct db *d, int64_t user, int64_t now, struct session_times times,
                    char secret[SECRET_TEXT], char csrf[SECRET_TEXT], struct error *e);
void session_csrf(struct str secret, char csrf[SECRET_TEXT]);
bool session_delete(struct db *d, struct str secret, struct error *e);
bool session_touch(struct db *d, struct str secret, int64_t now,
                   struct error *e); /* renews idleness; at most once a minute matters */

/* Reader: *user = 0 when unknown or expired. `csrf_hash` for session_csrf_ok. */
struct session {
    int64_t user, expires, seen;
    unsigned char csrf_hash[32];
};
bool session_find(struct db *d, struct str secret, int64_t now, struct session_times times,
                  struct session *out, struct error *e);
bool session_csrf_ok(const struct session *s, struct str csrf); /* constant time */

/* Writer: a user was deactivated: their sessions and tokens are gone, now and when they come back. */
bool credentials_end(struct db *d, int64_t user, struct error *e);

/* Tokens. `text` gets "pgt_" + 43 characters base64url + NUL. expires 0: never. scope: TOKEN_FULL or
 * TOKEN_READ. */
#define TOKEN_FULL "full"         /* whatever the user may do */
#define TOKEN_READ "read"         /* safe requests only */
#define TOKEN_CALENDAR "calendar" /* the calendar feed and nothing else; in its address */
bool token_create(struct db *d, int64_t user, struct str name, struct str scope, int64_t expires, int64_t now,
                  char text[64], int64_t *id, struct error *e);
struct token {
    int64_t id, user, expires;
    char scope[16];
};
bool token_find(struct db *d, struct str text, int64_t now, struct token *out,
                struct error *e); /* out->user = 0: no */
/* Calls `each` for the tokens of a user (0: of everybody), oldest first; stops when it returns false. Texts
 * hold until it returns. */
struct token_row {
    int64_t id, user, created, expires, used;
    struct str name, scope;
};
bool token_list(struct db *d, int64_t user, bool (*each)(void *ctx, const struct token_row *row), void *ctx,
                struct error *e);
bool token_touch(struct db *d, int64_t id, int64_t now, struct error *e);
bool token_delete(struct db *d, int64_t id, int64_t user, bool *found,
                  struct error *e); /* user 0: anybody's */

/* Per thread: token or cookie text → principal; compares epoch and catalog, renews what is stale.
 * Bounded. */
struct principal_cache;
struct principal_cache *principal_cache_new(size_t entries);
void principal_cache_free(struct principal_cache *c);
/* From now on (`on`) everything is read in one snapshot, until the next call: the epoch is read once. */
void principal_cache_snapshot(struct principal_cache *k, bool on);
/* A reference for the caller, or NULL: ERROR_UNAUTHENTICATED when the token is unknown, expired or
 * its user inactive. */
struct principal *principal_by_token(struct principal_cache *k, struct db *d, const struct catalog *c,
                                     struct str token, int64_t now, int64_t *token_id, struct error *e);
struct principal *principal_by_session(struct principal_cache *k, struct db *d, const struct catalog *c,
                                       struct str secret, int64_t now, struct session_times times,
                                       struct session *session, struct error *e);

#endif
