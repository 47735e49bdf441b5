/* trail.c: the ordered log with its hash chain (trail.h). The last link is read once in each transaction,
 * since another process may have written before it, and is then remembered by the connection (engine.h). */
#include "store/trail.h"

#include "store/engine.h"
#include "store/store.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#define HASH_BYTES 32

static void put_length(unsigned char out[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(n >> (8 * i));
}

static void mix(crypto_generichash_state *state, const void *p, size_t n)
{
    unsigned char length[8];
    put_length(length, n);
    crypto_generichash_update(state, length, sizeof length);
    crypto_generichash_update(state, p, n);
}

static void mix_int(crypto_generichash_state *state, int64_t v)
{
    unsigned char bytes[8];
    put_length(bytes, (uint64_t)v);
    mix(state, bytes, sizeof bytes);
}

static void mix_str(crypto_generichash_state *state, struct str s)
{
    mix(state, s.n ? s.p : "", s.n);
}

static void link_hash(const unsigned char before[HASH_BYTES], const struct trail_entry *t,
                      unsigned char hash[HASH_BYTES])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, HASH_BYTES);
    mix(&state, before, HASH_BYTES);
    mix_int(&state, t->seq);
    mix_int(&state, t->at);
    mix_int(&state, t->who);
    mix_str(&state, t->entity);
    mix_int(&state, t->record);
    mix_str(&state, t->action);
    mix_str(&state, t->changes);
    mix_str(&state, t->why);
    mix_str(&state, t->script);
    mix_str(&state, t->request);
    crypto_generichash_final(&state, hash, HASH_BYTES);
}

/* ---- appending ---- */

static bool damaged(int64_t seq, struct error *e)
{
    return error_set(e, ERROR_INTERNAL, "entry %lld of the log has no valid hash",
                     "у записи журнала %lld нет верного хеша", (long long)seq);
}

static bool read_last(struct db *d, struct error *e)
{
    struct trail_memory *last = &d->trail;
    struct stmt *s = db_prepare(d, STR("SELECT seq, hash FROM perigee_log ORDER BY seq DESC LIMIT 1"), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    *last = (struct trail_memory){.known = step != STEP_ERROR, .appended = last->appended};
    if (step == STEP_ROW) {
        struct str hash = stmt_blob(s, 1);
        last->seq = stmt_int(s, 0);
        last->known = hash.n == HASH_BYTES;
        if (last->known)
            memcpy(last->hash, hash.p, HASH_BYTES);
        else
            damaged(last->seq, e);
    }
    db_release(s);
    return last->known;
}

/* Empty texts are stored as "", never NULL: a part that is missing and one that is empty hash alike. */
static struct str present(struct str s)
{
    return s.p ? s : STR("");
}

static bool insert(struct db *d, const struct trail_entry *t, const unsigned char hash[HASH_BYTES],
                   struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_log (seq, at, who, entity, record, action, changes, why,"
                       " script, request, hash) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, t->seq);
    stmt_bind_int(s, 2, t->at);
    stmt_bind_int(s, 3, t->who);
    stmt_bind_text(s, 4, present(t->entity));
    stmt_bind_int(s, 5, t->record);
    stmt_bind_text(s, 6, present(t->action));
    stmt_bind_text(s, 7, present(t->changes));
    stmt_bind_text(s, 8, present(t->why));
    stmt_bind_text(s, 9, present(t->script));
    stmt_bind_text(s, 10, present(t->request));
    stmt_bind_blob(s, 11, hash, HASH_BYTES);
    bool ok = stmt_step(s, e) == STEP_DONE;
    db_release(s);
    return ok;
}

bool trail_append(struct db *d, struct trail_entry *entry, struct error *e)
{
    struct trail_memory *last = &d->trail;
    unsigned char hash[HASH_BYTES];
    if (!last->known && !read_last(d, e)) return false;
    entry->seq = last->seq + 1;
    link_hash(last->hash, entry, hash);
    if (!insert(d, entry, hash, e)) {
        trail_forget(d);
        return false;
    }
    last->seq = entry->seq;
    memcpy(last->hash, hash, HASH_BYTES);
    last->appended = true;
    /* Outside a transaction the row is committed already, and somebody else may be next. */
    last->known = db_in_transaction(d);
    return true;
}

void trail_forget(struct db *d)
{
    d->trail.known = false;
}

/* ---- reading ---- */

static struct trail_entry entry_of(struct stmt *s)
{
    return (struct trail_entry){
        .seq = stmt_int(s, 0),
        .at = stmt_int(s, 1),
        .who = stmt_int(s, 2),
        .entity = stmt_text(s, 3),
        .record = stmt_int(s, 4),
        .action = stmt_text(s, 5),
        .changes = stmt_text(s, 6),
        .why = stmt_text(s, 7),
        .script = stmt_text(s, 8),
        .request = stmt_text(s, 9),
    };
}

static struct stmt *open_after(struct db *d, int64_t after, int64_t limit, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("SELECT seq, at, who, entity, record, action, changes, why, script, request, hash"
                       " FROM perigee_log WHERE seq > ? ORDER BY seq LIMIT ?"),
                   e);
    if (s) {
        stmt_bind_int(s, 1, after);
        stmt_bind_int(s, 2, limit);
    }
    return s;
}

/* True when the row follows `before` (and moves it on). */
static bool follows(struct stmt *s, int64_t seq, unsigned char before[HASH_BYTES])
{
    unsigned char hash[HASH_BYTES];
    struct trail_entry t = entry_of(s);
    struct str stored = stmt_blob(s, 10);
    if (t.seq != seq || stored.n != HASH_BYTES) return false;
    link_hash(before, &t, hash);
    if (memcmp(hash, stored.p, HASH_BYTES) != 0) return false;
    memcpy(before, hash, HASH_BYTES);
    return true;
}

/* ---- the end of the log ---- */

/* A chain from which the last links were cut off follows from itself: so each commit that adds to the log
 * writes down beside it where it ends (perigee_meta "log_end": "seq hash"). */
#define LOG_END "log_end"
#define END_TEXT (24 + 2 * HASH_BYTES)

static void end_text(int64_t seq, const unsigned char hash[HASH_BYTES], char out[END_TEXT])
{
    char hex[2 * HASH_BYTES + 1];
    sodium_bin2hex(hex, sizeof hex, hash, HASH_BYTES);
    snprintf(out, END_TEXT, "%" PRId64 " %s", seq, hex);
}

bool engine_seal_trail(struct db *d, struct error *e)
{
    char text[END_TEXT];
    if (!d->trail.appended) return true;
    if (!d->trail.known && !read_last(d, e)) return false;
    end_text(d->trail.seq, d->trail.hash, text);
    return store_meta_set(d, LOG_END, str_of(text), e);
}

/* The log as read ends with `last` and `hash`. *bad: the first entry that is missing or was not written by
 * us. A log of a version that did not seal has no end to compare. */
static bool check_end(struct db *d, int64_t last, const unsigned char hash[HASH_BYTES], int64_t *bad,
                      struct error *e)
{
    struct arena arena;
    struct str sealed;
    char text[END_TEXT];
    int64_t seq = 0;
    arena_init(&arena, 4096);
    bool ok = store_meta_get(d, LOG_END, &arena, &sealed, e);
    end_text(last, hash, text);
    if (ok && sealed.p && !str_is(sealed, text)) {
        for (size_t i = 0;
             i < sealed.n && sealed.p[i] >= '0' && sealed.p[i] <= '9' && seq < INT64_MAX / 10 - 9; i++)
            seq = seq * 10 + (sealed.p[i] - '0');
        *bad = seq > last ? last + 1 : seq < last ? seq + 1 : last;
    }
    arena_free(&arena);
    return ok;
}

static bool walk(struct db *d, int64_t from, int64_t *bad, int64_t *count, struct error *e)
{
    unsigned char before[HASH_BYTES] = {0};
    int64_t expected = from > 1 ? from - 1 : 1; /* from > 1: the entry before is taken as it is */
    bool trusted = from > 1;
    struct stmt *s = open_after(d, expected - 1, -1, e);
    enum step step = STEP_DONE;
    *bad = *count = 0;
    if (!s) return false;
    while (*bad == 0 && (step = stmt_step(s, e)) == STEP_ROW) {
        struct str stored = stmt_blob(s, 10);
        if (trusted && stmt_int(s, 0) == expected && stored.n == HASH_BYTES) {
            memcpy(before, stored.p, HASH_BYTES);
        } else {
            ++*count;
            if (!follows(s, expected, before)) *bad = stmt_int(s, 0) > expected ? expected : stmt_int(s, 0);
        }
        trusted = false;
        expected++;
    }
    db_release(s);
    return step != STEP_ERROR && (*bad || check_end(d, expected - 1, before, bad, e));
}

/* In one snapshot: a server may be writing. */
bool trail_verify(struct db *d, int64_t from, int64_t *bad, int64_t *count, struct error *e)
{
    bool own = !db_in_transaction(d);
    if (own && !db_begin(d, false, e)) return false;
    bool ok = walk(d, from, bad, count, e);
    if (own) db_rollback(d);
    return ok;
}

bool trail_read(struct db *d, int64_t after, int limit,
                bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e)
{
    struct stmt *s = open_after(d, after, limit, e);
    enum step step = STEP_DONE;
    if (!s) return false;
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct trail_entry t = entry_of(s);
        if (!each(ctx, &t)) break;
    }
    db_release(s);
    return step != STEP_ERROR;
}

static bool give(struct stmt *s, bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx,
                 struct error *e)
{
    enum step step;
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct trail_entry t = entry_of(s);
        if (!each(ctx, &t)) break;
    }
    db_release(s);
    return step != STEP_ERROR;
}

bool trail_back(struct db *d, struct str request, int64_t from, int64_t before, int limit,
                bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("SELECT seq, at, who, entity, record, action, changes, why, script, request"
                       " FROM perigee_log WHERE seq >= ? AND seq < ? AND request = ?"
                       " ORDER BY seq DESC LIMIT ?"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, from);
    stmt_bind_int(s, 2, before);
    stmt_bind_text(s, 3, request);
    stmt_bind_int(s, 4, limit);
    return give(s, each, ctx, e);
}

bool trail_record(struct db *d, struct str entity, int64_t record, int64_t from,
                  bool (*each)(void *ctx, const struct trail_entry *entry), void *ctx, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("SELECT seq, at, who, entity, record, action, changes, why, script, request"
                       " FROM perigee_log WHERE record = ? AND entity = ? AND seq >= ?"
                       " ORDER BY seq"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, record);
    stmt_bind_text(s, 2, entity);
    stmt_bind_int(s, 3, from);
    return give(s, each, ctx, e);
}

/* Two subqueries, since SQLite finds one end of a table at once, but reads all of it for both together. */
bool trail_range(struct db *d, int64_t *first, int64_t *last, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT coalesce((SELECT min(seq) FROM perigee_log), 0),"
                                    " coalesce((SELECT max(seq) FROM perigee_log), 0)"),
                                e);
    if (!s) return false;
    bool ok = stmt_step(s, e) == STEP_ROW;
    *first = ok ? stmt_int(s, 0) : 0;
    *last = ok ? stmt_int(s, 1) : 0;
    db_release(s);
    return ok;
}

const char *trail_event(struct str action)
{
    static const char *const names[][2] = {{"create", "created"},
                                           {"update", "updated"},
                                           {"move", "stage_changed"},
                                           {"delete", "deleted"},
                                           {"deactivate", "deactivated"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_is(action, names[i][0])) return names[i][1];
    return NULL;
}
