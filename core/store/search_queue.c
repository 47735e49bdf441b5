/* search_queue.c: what the search index has to learn in a transaction, kept back until its COMMIT.
 *
 * FTS5 gathers new words in memory, but writes them out at every savepoint, and every statement that could
 * undo itself is one too: indexed at once, each request of a group commit would pay for a segment of its own
 * (21 µs for each record instead of 6). So the words wait here, each with the savepoint that it belongs to:
 *
 *   op 0 (level 1) ─ op 1 (level 1) ─ op 2 (level 2) ─ …     level: the savepoint in which it was queued; a
 *                                                            release lowers it, a rollback drops it
 *
 * A search in the same transaction writes them out first (search_flush). If that happens inside a savepoint
 * that is rolled back later, the index loses them again while those of outer levels stay wanted: `applied`
 * remembers the level at which they were written. */
#include "store/search.h"

#include "store/engine.h"

#include <stdlib.h>

#define WAITING ((size_t)4 << 20) /* bytes of text that may wait; past it they are written out */

struct search_op {
    const struct entity *entity;
    int64_t id;
    bool remove;
    int level, applied; /* applied: -1 not yet */
    size_t count;       /* of texts */
    struct str texts[];
};

static void forget(struct search_queue *q, size_t from)
{
    while (q->n > from) {
        struct search_op *op = q->ops[--q->n];
        for (size_t i = 0; i < op->count; i++)
            q->bytes -= op->texts[i].n;
        free(op);
    }
}

void engine_search_clear(struct db *d)
{
    forget(&d->search, 0);
}

void engine_search_free(struct db *d)
{
    engine_search_clear(d);
    free(d->search.ops);
    d->search = (struct search_queue){0};
}

void engine_search_released(struct db *d, int level)
{
    struct search_queue *q = &d->search;
    for (size_t i = q->n; i-- > 0 && (q->ops[i]->level >= level || q->written);) {
        if (q->ops[i]->level >= level) q->ops[i]->level = level - 1;
        if (q->ops[i]->applied >= level) q->ops[i]->applied = level - 1;
    }
}

void engine_search_undone(struct db *d, int level)
{
    struct search_queue *q = &d->search;
    size_t keep = q->n;
    while (keep > 0 && q->ops[keep - 1]->level >= level)
        keep--;
    forget(q, keep);
    for (size_t i = q->n; q->written && i-- > 0;)
        if (q->ops[i]->applied >= level) q->ops[i]->applied = -1;
}

/* ---- writing out ---- */

/* INSERT INTO index([command,] rowid, fields…) */
static bool write_op(struct db *d, const struct search_op *op, struct error *error)
{
    struct buf sql;
    const struct entity *e = op->entity;
    buf_init(&sql, 65536);
    buf_cstr(&sql, "INSERT INTO \"search_");
    buf_cstr(&sql, e->name);
    buf_cstr(&sql, "\" (");
    if (op->remove) {
        buf_cstr(&sql, "\"search_");
        buf_cstr(&sql, e->name);
        buf_cstr(&sql, "\", ");
    }
    buf_cstr(&sql, "rowid");
    for (size_t i = 0; i < e->field_count; i++) {
        if (!e->fields[i]->search) continue;
        buf_cstr(&sql, ", \"");
        buf_cstr(&sql, e->fields[i]->name);
        buf_char(&sql, '"');
    }
    buf_cstr(&sql, op->remove ? ") VALUES ('delete', ?" : ") VALUES (?");
    for (size_t i = 0; i < op->count; i++)
        buf_cstr(&sql, ", ?");
    buf_char(&sql, ')');
    struct stmt *s = sql.failed ? NULL : db_prepare(d, buf_view(&sql), error);
    bool ok = s != NULL;
    if (s) {
        stmt_bind_int(s, 1, op->id);
        for (size_t i = 0; i < op->count; i++)
            stmt_bind_text(s, (int)i + 2, op->texts[i]);
        ok = stmt_step(s, error) == STEP_DONE;
        db_release(s);
    }
    buf_free(&sql);
    return ok ? true : error->kind == ERROR_NONE ? error_no_memory(error) : false;
}

bool search_flush(struct db *d, struct error *error)
{
    struct search_queue *q = &d->search;
    for (size_t i = 0; i < q->n; i++) {
        if (q->ops[i]->applied >= 0) continue;
        if (!write_op(d, q->ops[i], error)) return false;
        q->ops[i]->applied = d->savepoints;
    }
    /* What lives and dies with the savepoint in which it was written needs no memory. */
    size_t keep = q->n;
    while (keep > 0 && q->ops[keep - 1]->level >= d->savepoints)
        keep--;
    forget(q, keep);
    q->written = q->n > 0;
    return true;
}

/* ---- queueing ---- */

static struct search_op *op_new(const struct entity *e, int64_t id, bool remove, const struct buf *texts,
                                size_t n)
{
    size_t size = sizeof(struct search_op) + n * sizeof(struct str);
    for (size_t i = 0; i < n; i++)
        size += texts[i].n;
    struct search_op *op = malloc(size);
    if (!op) return NULL;
    *op = (struct search_op){.entity = e, .id = id, .remove = remove, .applied = -1, .count = n};
    char *at = (char *)(op->texts + n);
    for (size_t i = 0; i < n; i++) {
        if (texts[i].n) memcpy(at, texts[i].p, texts[i].n);
        op->texts[i] = (struct str){at, texts[i].n};
        at += texts[i].n;
    }
    return op;
}

bool engine_search_queue(struct db *d, const struct entity *e, int64_t id, bool remove,
                         const struct buf *texts, size_t n, struct error *error)
{
    struct search_queue *q = &d->search;
    struct search_op *op = op_new(e, id, remove, texts, n);
    if (!op) return error_no_memory(error);
    if (!db_in_transaction(d)) {
        bool ok = write_op(d, op, error);
        free(op);
        return ok;
    }
    if (q->n == q->cap) {
        size_t cap = q->cap ? q->cap * 2 : 64;
        struct search_op **more = realloc(q->ops, cap * sizeof *more);
        if (!more) {
            free(op);
            return error_no_memory(error);
        }
        q->ops = more;
        q->cap = cap;
    }
    op->level = d->savepoints;
    q->ops[q->n++] = op;
    for (size_t i = 0; i < n; i++)
        q->bytes += op->texts[i].n;
    return q->bytes < WAITING || search_flush(d, error);
}
