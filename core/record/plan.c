/* plan.c: keeping compiled reads by what they depend on: entity, roles, language, and the texts of the query.
 */
#include "record/plan.h"

#include "store/search.h"
#include "store/store.h"

#include <stdlib.h>

struct row_text {
    struct str sql; /* .p NULL: not yet */
    uint64_t hash;
};

#define BLOCKS 64

struct kept_block {
    char *bytes; /* the key, then the block; NULL: empty */
    size_t key, size;
    uint64_t version; /* store_settings_version */
};

#define PEOPLE 64

struct kept_person {
    int64_t id;
    struct principal *principal; /* NULL: empty */
    uint64_t version;
};

struct plan_cache {
    unsigned char secret[32];
    const struct catalog *catalog; /* held; plans of another one are dropped */
    struct arena texts;            /* of `rows` */
    struct kept_person people[PEOPLE];
    struct kept_block blocks[BLOCKS];
    struct row_text *rows; /* ROW_STATEMENTS for each entity */
    size_t size;
    struct plan *slots[];
};

struct plan_cache *plan_cache_new(struct db *d, size_t entries, struct error *e)
{
    struct plan_cache *k = calloc(1, sizeof *k + entries * sizeof k->slots[0]);
    if (!k) return error_no_memory(e), NULL;
    k->size = entries;
    arena_init(&k->texts, (size_t)16 << 20);
    if (store_secret(d, k->secret, e)) return k;
    free(k);
    return NULL;
}

void plan_drop(struct plan *p)
{
    if (!p) return;
    arena_free(&p->arena);
    free(p);
}

static void forget(struct plan_cache *k)
{
    for (size_t i = 0; i < k->size; i++) {
        plan_drop(k->slots[i]);
        k->slots[i] = NULL;
    }
    arena_free(&k->texts);
    k->rows = NULL;
    for (size_t i = 0; i < PEOPLE; i++) {
        principal_unref(k->people[i].principal);
        k->people[i] = (struct kept_person){0};
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        free(k->blocks[i].bytes);
        k->blocks[i] = (struct kept_block){0};
    }
}

void plan_cache_free(struct plan_cache *k)
{
    if (!k) return;
    forget(k);
    catalog_unref(k->catalog);
    free(k);
}

const unsigned char *plan_secret(const struct context *c)
{
    return c->plans ? c->plans->secret : NULL;
}

static size_t slot(const struct plan_cache *k, struct str key)
{
    return (size_t)(str_hash(key) % k->size);
}

struct str plan_key(struct context *c, const struct str *parts, size_t n)
{
    char *text, *at;
    size_t length = c->who->role_key.n + 3;
    for (size_t i = 0; i < n; i++)
        length += parts[i].n + 2;
    at = text = arena_alloc(c->arena, length);
    if (!text) return (struct str){NULL, 0};
    *at++ = (char)('0' + c->trusted);
    *at++ = (char)('0' + c->env.lang);
    memcpy(at, c->who->role_key.p, c->who->role_key.n);
    at += c->who->role_key.n;
    for (size_t i = 0; i < n; i++) {
        *at++ = parts[i].p ? '\x1f' : '\x1e'; /* not given is not the same as empty */
        if (parts[i].n) memcpy(at, parts[i].p, parts[i].n);
        at += parts[i].n;
    }
    return (struct str){text, (size_t)(at - text)};
}

static void follow_catalog(struct plan_cache *k, const struct catalog *catalog)
{
    if (k->catalog == catalog) return;
    forget(k);
    catalog_unref(k->catalog);
    k->catalog = catalog_ref(catalog);
}

struct plan *plan_find(struct context *c, struct str key)
{
    struct plan_cache *k = c->plans;
    if (!k || !key.p) return NULL;
    follow_catalog(k, c->catalog);
    struct plan *p = k->slots[slot(k, key)];
    return p && str_eq(p->key, key) ? p : NULL;
}

struct plan *plan_new(struct context *c, struct str key)
{
    struct plan *p = calloc(1, sizeof *p);
    if (!p) return error_no_memory(c->error), NULL;
    arena_init(&p->arena, (size_t)4 << 20);
    p->key = arena_str(&p->arena, key);
    p->id_bind = p->limit_bind = p->group_bind = -1;
    if (p->key.p) return p;
    plan_drop(p);
    return error_no_memory(c->error), NULL;
}

void plan_keep(struct context *c, struct plan *p)
{
    struct plan_cache *k = c->plans;
    if (!k) return;
    size_t at = slot(k, p->key);
    plan_drop(k->slots[at]);
    k->slots[at] = p;
}

bool sql_too_large(struct error *e)
{
    return error_set(e, ERROR_QUERY_LIMIT, "the query is too large: use fewer conditions",
                     "слишком большой запрос: уменьшите число условий");
}

struct stmt *sql_start(struct context *c, struct sql *q, bool ok)
{
    struct stmt *s = NULL;
    ok = ok && !q->failed && !q->text.failed;
    if (!ok)
        sql_too_large(c->error);
    else if (!q->searches || search_flush(c->db, c->error))
        s = db_prepare(c->db, buf_view(&q->text), c->error);
    sql_free(q);
    if (!s || sql_bind_all(s, 1, q->binds, q->bind_count, &c->env, c->arena)) return s;
    db_release(s);
    return error_no_memory(c->error), NULL;
}

static struct kept_block *block_of(struct context *c, struct str key)
{
    if (!c->plans) return NULL;
    follow_catalog(c->plans, c->catalog);
    return &c->plans->blocks[str_hash(key) % BLOCKS];
}

/* What a failure of this is about comes to light when the settings themselves are read. */
static bool settings_version(struct context *c, uint64_t *version)
{
    struct arena scratch;
    struct error ignored;
    arena_init(&scratch, 4096);
    error_init(&ignored, &scratch, LANG_EN);
    bool ok = store_settings_version(c->db, version, &ignored);
    arena_free(&scratch);
    return ok;
}

void *plan_recall(struct context *c, struct str key, size_t *size)
{
    struct kept_block *k = block_of(c, key);
    uint64_t version;
    *size = 0;
    if (!k || !k->bytes || !str_eq(key, (struct str){k->bytes, k->key})) return NULL;
    if (!settings_version(c, &version) || version != k->version) return NULL;
    void *copy = arena_alloc(c->arena, k->size);
    if (copy) memcpy(copy, k->bytes + k->key, k->size);
    *size = copy ? k->size : 0;
    return copy;
}

void plan_remember(struct context *c, struct str key, const void *block, size_t size)
{
    struct kept_block *k = block_of(c, key);
    uint64_t version;
    char *bytes = k && settings_version(c, &version) ? malloc(key.n + size) : NULL;
    if (!bytes) return; /* read again next time */
    memcpy(bytes, key.p, key.n);
    memcpy(bytes + key.n, block, size);
    free(k->bytes);
    *k = (struct kept_block){bytes, key.n, size, version};
}

struct principal *plan_person(struct context *c, int64_t id)
{
    struct plan_cache *k = c->plans;
    uint64_t version;
    if (k) follow_catalog(k, c->catalog);
    bool keeps = k && settings_version(c, &version);
    struct kept_person *at = keeps ? &k->people[(uint64_t)id % PEOPLE] : NULL;
    if (at && at->principal && at->id == id && at->version == version &&
        c->env.now < at->principal->valid_until)
        return principal_ref(at->principal);
    struct principal *p = principal_load(c->db, c->catalog, id, c->error);
    if (!p || !at) return p;
    principal_unref(at->principal);
    *at = (struct kept_person){id, principal_ref(p), version};
    return p;
}

/* Where the text of that statement is kept; NULL: nowhere. */
static struct row_text *row_text(struct context *c, const struct entity *e, enum row_statement which)
{
    struct plan_cache *k = c->plans;
    if (!k) return NULL;
    follow_catalog(k, c->catalog);
    if (!k->rows)
        k->rows = arena_array(&k->texts, k->catalog->entity_count * ROW_STATEMENTS, sizeof *k->rows);
    size_t at = (size_t)e->index;
    bool known = k->rows && at < k->catalog->entity_count && k->catalog->entities[at] == e;
    return known ? &k->rows[at * ROW_STATEMENTS + which] : NULL;
}

struct stmt *plan_row(struct context *c, const struct entity *e, enum row_statement which,
                      bool (*build)(struct sql *q, const struct entity *e))
{
    struct row_text *kept = row_text(c, e, which);
    if (kept && kept->sql.p) return db_prepare_hashed(c->db, kept->sql, kept->hash, c->error);
    struct sql q;
    sql_init(&q, c->arena);
    struct stmt *s = NULL;
    if (!build(&q, e) || q.failed || q.text.failed)
        error_no_memory(c->error);
    else
        s = db_prepare(c->db, buf_view(&q.text), c->error);
    if (s && kept) {
        kept->sql = arena_str(&c->plans->texts, buf_view(&q.text));
        kept->hash = kept->sql.p ? str_hash(kept->sql) : 0;
    }
    sql_free(&q);
    return s;
}

void plan_bind_cursor(const struct plan *p, struct stmt *s, const struct cursor *cursor)
{
    for (size_t i = 0; i < p->cursor_count; i++) {
        int k = p->cursor_key[i];
        if (k < 0)
            stmt_bind_int(s, p->cursor_bind[i] + 1, cursor->id);
        else
            stmt_bind_value(s, p->cursor_bind[i] + 1, cursor->keys[k]);
    }
}

struct stmt *plan_start(struct context *c, const struct plan *p)
{
    if (p->searches && !search_flush(c->db, c->error)) return NULL;
    struct stmt *s = db_prepare_hashed(c->db, p->sql, p->hash, c->error);
    if (!s) return NULL;
    if (sql_bind_all(s, 1, p->binds, p->bind_count, &c->env, c->arena)) return s;
    db_release(s);
    return error_no_memory(c->error), NULL;
}
