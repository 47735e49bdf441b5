/* results.c: see results.h. */
#include "record/results.h"

#include "record/plan.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define COLUMNS_MAX 40
#define BYTES_MAX ((size_t)64 << 10) /* of one answer with its key */
#define BEHIND_MAX 2000              /* rows of the log that are looked through before counting anew */

/* Rows as bytes: for each value its type and, unless it is missing, its integer or its length and text. */
struct result {
    uint64_t hash;
    int64_t seq;
    size_t key_n, rows_n;
    char bytes[]; /* key, rows */
};

#define WAYS 4096

struct result_cache {
    _Atomic uint64_t ways[WAYS]; /* hash of person and list, with the way in its last two bits */
    pthread_mutex_t lock;        /* guards slots and what they hold */
    size_t size;
    struct result *slots[];
};

struct result_cache *result_cache_new(size_t entries, struct error *e)
{
    struct result_cache *k = calloc(1, sizeof *k + entries * sizeof k->slots[0]);
    if (!k) return error_no_memory(e), NULL;
    k->size = entries;
    pthread_mutex_init(&k->lock, NULL);
    return k;
}

void result_cache_free(struct result_cache *k)
{
    if (!k) return;
    for (size_t i = 0; i < k->size; i++)
        free(k->slots[i]);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* ---- values as bytes ---- */

static void pack(struct buf *b, struct value v)
{
    char type = (char)v.type;
    buf_add(b, &type, 1);
    if (v.type == VALUE_NULL) return;
    int64_t n = v.type == VALUE_TEXT || v.type == VALUE_SET ? (int64_t)v.s.n : v.i;
    buf_add(b, &n, sizeof n);
    if (v.type == VALUE_TEXT || v.type == VALUE_SET) buf_str(b, v.s);
}

static struct value unpack(struct str *from)
{
    struct value v = {.type = (enum value_type)from->p[0]};
    from->p++, from->n--;
    if (v.type == VALUE_NULL) return v;
    memcpy(&v.i, from->p, sizeof v.i);
    from->p += sizeof v.i, from->n -= sizeof v.i;
    if (v.type != VALUE_TEXT) return v;
    v.s = (struct str){from->p, (size_t)v.i};
    v.i = 0;
    from->p += v.s.n, from->n -= v.s.n;
    return v;
}

static bool give(struct str rows, int columns, bool (*each)(void *ctx, const struct value *row), void *ctx)
{
    struct value row[COLUMNS_MAX];
    while (rows.n) {
        for (int i = 0; i < columns; i++)
            row[i] = unpack(&rows);
        if (!each(ctx, row)) return false;
    }
    return true;
}

/* ---- what a question is ---- */

static bool names(struct str sql, const char *entity)
{
    char quoted[80];
    int n = snprintf(quoted, sizeof quoted, "\"%s", entity);
    if (n < 0 || (size_t)n >= sizeof quoted) return true;
    for (const char *at = sql.p; (at = memmem(at, sql.n - (size_t)(at - sql.p), quoted, (size_t)n)); at += n)
        if (at[n] == '"' || at[n] == '.') return true; /* its table, or a link table of it */
    return false;
}

/* The key: the text and what is bound. .p NULL: not one to keep. */
static struct str key_of(struct context *c, const struct sql *q, struct buf *b)
{
    struct str none = {NULL, 0}, sql = buf_view(&q->text);
    for (size_t i = 0; i < c->catalog->entity_count; i++)
        if (c->catalog->entities[i]->server && names(sql, c->catalog->entities[i]->name)) return none;
    buf_str(b, sql);
    pack(b,
         value_number((int64_t)c->catalog->version, 0)); /* a reload may write what the log does not tell */
    for (size_t i = 0; i < q->bind_count; i++) {
        struct value v;
        if (q->binds[i].kind == BIND_NOW || !bind_resolve(&q->binds[i], &c->env, c->arena, &v)) return none;
        pack(b, v);
    }
    return b->failed ? none : buf_view(b);
}

static uint64_t hash_of(struct str key)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * UINT64_C(1099511628211);
    return h;
}

/* ---- the log ---- */

static bool log_end(struct context *c, int64_t *seq)
{
    struct stmt *s = db_prepare(c->db, STR("SELECT coalesce(max(seq), 0) FROM perigee_log"), c->error);
    bool ok = s && stmt_step(s, c->error) == STEP_ROW;
    if (ok) *seq = stmt_int(s, 0);
    db_release(s);
    return ok;
}

/* Whether nothing that the SQL names was changed behind `seq`. */
static bool still_good(struct context *c, struct str sql, int64_t seq, bool *good)
{
    struct stmt *s =
        db_prepare(c->db, STR("SELECT entity FROM perigee_log WHERE seq > ? ORDER BY seq LIMIT ?"), c->error);
    if (!s) return false;
    stmt_bind_int(s, 1, seq);
    stmt_bind_int(s, 2, BEHIND_MAX);
    enum step step = STEP_DONE;
    int n = 0;
    *good = true;
    while (*good && (step = stmt_step(s, c->error)) == STEP_ROW) {
        char entity[80] = "";
        struct str name = stmt_text(s, 0);
        if (name.n < sizeof entity) memcpy(entity, name.p, name.n);
        *good = ++n < BEHIND_MAX && !names(sql, entity);
    }
    db_release(s);
    return !*good || step == STEP_DONE;
}

/* ---- the cache ---- */

/* A copy of the kept rows in the request's arena; .p NULL: none that is as old as this reader's snapshot. */
static struct str take(struct context *c, struct str key, uint64_t hash, int64_t end, int64_t *seq)
{
    struct result_cache *k = c->results;
    struct str rows = {NULL, 0};
    pthread_mutex_lock(&k->lock);
    const struct result *r = k->slots[hash % k->size];
    if (r && r->hash == hash && r->seq <= end && r->key_n == key.n && memcmp(r->bytes, key.p, key.n) == 0) {
        *seq = r->seq;
        rows = arena_str(c->arena, (struct str){r->bytes + r->key_n, r->rows_n});
    }
    pthread_mutex_unlock(&k->lock);
    return rows;
}

static void keep(struct context *c, struct str key, uint64_t hash, int64_t end, struct str rows)
{
    struct result_cache *k = c->results;
    struct result *r = malloc(sizeof *r + key.n + rows.n), *old;
    if (!r) return; /* it will be counted again */
    *r = (struct result){hash, end, key.n, rows.n};
    memcpy(r->bytes, key.p, key.n);
    if (rows.n) memcpy(r->bytes + key.n, rows.p, rows.n);
    pthread_mutex_lock(&k->lock);
    struct result **slot = &k->slots[hash % k->size];
    bool newer = *slot && (*slot)->hash == hash && (*slot)->seq > end;
    old = newer ? r : *slot;
    if (!newer) *slot = r;
    pthread_mutex_unlock(&k->lock);
    free(old);
}

/* ---- ways ---- */

static uint64_t way_key(const struct context *c, struct str list)
{
    return (str_hash(list) ^ (uint64_t)c->who->id * UINT64_C(0x9e3779b97f4a7c15)) & ~UINT64_C(3);
}

int results_way(struct context *c, struct str list)
{
    if (!c->results || list.n == 0) return 0;
    uint64_t key = way_key(c, list),
             kept = atomic_load_explicit(&c->results->ways[(key >> 2) % WAYS], memory_order_relaxed);
    return (kept & ~UINT64_C(3)) == key ? (int)(kept & 3) : 0;
}

void results_remember_way(struct context *c, struct str list, int way)
{
    if (!c->results || list.n == 0) return;
    uint64_t key = way_key(c, list);
    atomic_store_explicit(&c->results->ways[(key >> 2) % WAYS], key | (uint64_t)way, memory_order_relaxed);
}

/* ---- asking ---- */

static bool run(struct context *c, struct stmt *s, const char *types, struct buf *rows,
                bool (*each)(void *ctx, const struct value *row), void *ctx)
{
    struct value row[COLUMNS_MAX];
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW) {
        for (int i = 0; types[i]; i++) {
            row[i] = stmt_null(s, i)   ? value_null()
                     : types[i] == 't' ? value_text(stmt_text(s, i))
                                       : value_number(stmt_int(s, i), 0);
            pack(rows, row[i]);
        }
        if (!each(ctx, row)) return false;
    }
    return step == STEP_DONE;
}

bool results_each(struct context *c, struct sql *q, bool ok, const char *types,
                  bool (*each)(void *ctx, const struct value *row), void *ctx)
{
    struct buf key_bytes, rows;
    struct str key = {NULL, 0};
    int64_t end = 0, seq = 0;
    bool done = false;
    buf_init(&key_bytes, BYTES_MAX);
    buf_init(&rows, BYTES_MAX);
    assert(strlen(types) <= COLUMNS_MAX);
    ok = ok && !q->failed && !q->text.failed;
    if (ok && c->results && log_end(c, &end)) key = key_of(c, q, &key_bytes);
    uint64_t hash = hash_of(key);
    struct str kept = key.p ? take(c, key, hash, end, &seq) : (struct str){NULL, 0};
    if (kept.p) {
        bool good = false;
        ok = still_good(c, buf_view(&q->text), seq, &good);
        if (ok && good && seq < end) keep(c, key, hash, end, kept);
        if (ok && good) ok = give(kept, (int)strlen(types), each, ctx);
        done = good || !ok;
    }
    if (done) {
        sql_free(q);
    } else {
        struct stmt *s = c->error->kind == ERROR_NONE ? sql_start(c, q, ok) : (sql_free(q), NULL);
        ok = s && run(c, s, types, &rows, each, ctx);
        db_release(s);
        if (ok && key.p && !rows.failed && rows.n + key.n <= BYTES_MAX)
            keep(c, key, hash, end, buf_view(&rows));
    }
    buf_free(&key_bytes);
    buf_free(&rows);
    return ok;
}
