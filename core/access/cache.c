/* cache.c: who is behind a secret, remembered by each thread. A hit costs one hash and the read of the epoch;
 * when the epoch or the catalog differs, everything kept is forgotten and read again. A principal is kept no
 * longer than it is valid: an absence begins at midnight without anybody writing. */
#include "access/secret.h"
#include "access/session.h"

#include <sodium.h>
#include <stdlib.h>

enum secret_kind { SECRET_TOKEN, SECRET_SESSION };

struct entry {
    unsigned char hash[SECRET_HASH];
    enum secret_kind kind;       /* the secret of a session is no token, nor the other way round */
    struct principal *principal; /* NULL: empty */
    struct session session;
    int64_t token_id, expires;
};

struct principal_cache {
    size_t size;
    int64_t epoch;
    bool snapshot, looked;         /* reads are in one snapshot, and its epoch was looked at */
    const struct catalog *catalog; /* for comparison only */
    struct entry entries[];
};

struct principal_cache *principal_cache_new(size_t entries)
{
    struct principal_cache *k = calloc(1, sizeof *k + entries * sizeof k->entries[0]);
    if (k) k->size = entries;
    return k;
}

static void forget(struct principal_cache *k)
{
    for (size_t i = 0; i < k->size; i++) {
        principal_unref(k->entries[i].principal);
        k->entries[i].principal = NULL;
    }
}

void principal_cache_free(struct principal_cache *k)
{
    if (!k) return;
    forget(k);
    free(k);
}

void principal_cache_snapshot(struct principal_cache *k, bool on)
{
    k->snapshot = on;
    k->looked = false;
}

static bool holds(const struct entry *at, enum secret_kind kind, const unsigned char hash[SECRET_HASH])
{
    return at->principal && at->kind == kind && sodium_memcmp(at->hash, hash, SECRET_HASH) == 0;
}

/* The place of a secret: one of its two neighbours in the table. */
static struct entry *place(struct principal_cache *k, enum secret_kind kind,
                           const unsigned char hash[SECRET_HASH], int64_t now, bool *hit)
{
    uint64_t at;
    memcpy(&at, hash, sizeof at);
    struct entry *a = &k->entries[at % k->size], *b = &k->entries[(at + 1) % k->size];
    struct entry *found = holds(a, kind, hash) ? a : holds(b, kind, hash) ? b : NULL;
    *hit = found && now < found->principal->valid_until;
    if (found) return found;
    return a->principal && !b->principal ? b : a;
}

static bool renew(struct principal_cache *k, struct db *d, const struct catalog *c, struct error *e)
{
    int64_t epoch;
    if (k->snapshot && k->looked && c == k->catalog) return true;
    if (!store_epoch(d, &epoch, e)) return false;
    k->looked = true;
    if (epoch == k->epoch && c == k->catalog) return true;
    forget(k);
    k->epoch = epoch;
    k->catalog = c;
    return true;
}

static struct principal *nobody(struct error *e)
{
    error_set(e, ERROR_UNAUTHENTICATED, "the token or session is unknown or has ended: sign in",
              "токен или сеанс неизвестен либо истёк: войдите снова");
    return NULL;
}

/* Loads the user; an inactive one is nobody. */
static struct principal *load(struct db *d, const struct catalog *c, int64_t user, int64_t now,
                              struct error *e)
{
    struct principal *p = principal_load_at(d, c, user, now, e);
    if (!p && e->kind == ERROR_NOT_FOUND) error_clear(e);
    if (!p) return e->kind == ERROR_NONE ? nobody(e) : NULL;
    if (p->active) return p;
    principal_unref(p);
    return nobody(e);
}

static struct principal *keep(struct entry *at, enum secret_kind kind, const unsigned char hash[SECRET_HASH],
                              struct principal *p)
{
    principal_unref(at->principal);
    *at = (struct entry){.kind = kind, .principal = p};
    memcpy(at->hash, hash, SECRET_HASH);
    return principal_ref(p);
}

struct principal *principal_by_token(struct principal_cache *k, struct db *d, const struct catalog *c,
                                     struct str token, int64_t now, int64_t *token_id, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    bool hit;
    if (!renew(k, d, c, e)) return NULL;
    secret_hash(token, hash);
    struct entry *at = place(k, SECRET_TOKEN, hash, now, &hit);
    if (hit) {
        *token_id = at->token_id;
        return at->expires == 0 || at->expires > now ? principal_ref(at->principal) : nobody(e);
    }
    struct token t;
    if (!token_find(d, token, now, &t, e)) return NULL;
    if (t.user == 0) return nobody(e);
    struct principal *p = load(d, c, t.user, now, e);
    if (!p) return NULL;
    p->scope = arena_str(&p->arena, str_of(t.scope));
    struct principal *mine = keep(at, SECRET_TOKEN, hash, p);
    at->token_id = *token_id = t.id;
    at->expires = t.expires;
    return mine;
}

struct principal *principal_by_session(struct principal_cache *k, struct db *d, const struct catalog *c,
                                       struct str secret, int64_t now, struct session_times times,
                                       struct session *session, struct error *e)
{
    unsigned char hash[SECRET_HASH];
    bool hit;
    if (!renew(k, d, c, e)) return NULL;
    secret_hash(secret, hash);
    struct entry *at = place(k, SECRET_SESSION, hash, now, &hit);
    /* A kept session is believed for a minute of idleness; past it the stored time is read again. */
    bool fresh = hit && at->session.expires > now && at->session.seen + 60000 > now;
    if (fresh) {
        *session = at->session;
        return principal_ref(at->principal);
    }
    if (!session_find(d, secret, now, times, session, e)) return NULL;
    if (session->user == 0) return nobody(e);
    struct principal *p = load(d, c, session->user, now, e);
    if (!p) return NULL;
    struct principal *mine = keep(at, SECRET_SESSION, hash, p);
    at->session = *session;
    return mine;
}
