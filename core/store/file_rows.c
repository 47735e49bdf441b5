/* file_rows.c: the rows of perigee_file; see files.h. */
#include "store/files.h"

static bool finish(struct stmt *s, struct error *e)
{
    enum step step = stmt_step(s, e);
    db_release(s);
    return step != STEP_ERROR;
}

static void bind_id(struct stmt *s, int at, int64_t id)
{
    if (id)
        stmt_bind_int(s, at, id);
    else
        stmt_bind_null(s, at);
}

bool file_add(struct db *d, const struct file_row *f, struct error *e)
{
    struct stmt *s =
        db_prepare(d,
                   STR("INSERT INTO perigee_file (id, hash, size, name, type, kind, entity, record,"
                       " document, edition, created_at, created_by)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"),
                   e);
    if (!s) return false;
    stmt_bind_int(s, 1, f->id);
    stmt_bind_blob(s, 2, f->hash, FILES_HASH);
    stmt_bind_int(s, 3, f->size);
    stmt_bind_text(s, 4, f->name);
    stmt_bind_text(s, 5, f->type);
    stmt_bind_text(s, 6, f->kind);
    stmt_bind_text(s, 7, f->entity);
    bind_id(s, 8, f->record);
    bind_id(s, 9, f->document);
    stmt_bind_int(s, 10, f->edition);
    stmt_bind_int(s, 11, f->created_at);
    stmt_bind_int(s, 12, f->created_by);
    return finish(s, e);
}

static struct str text(struct stmt *s, int at, struct arena *arena, bool *ok)
{
    if (stmt_null(s, at)) return (struct str){NULL, 0};
    struct str kept = arena_str(arena, stmt_text(s, at));
    *ok = *ok && kept.p;
    return kept;
}

bool file_get(struct db *d, int64_t id, struct arena *arena, struct file_row *out, bool *found,
              struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT id, hash, size, name, type, kind, entity, coalesce(record, 0),"
                                    " coalesce(document, 0), edition, created_at, created_by"
                                    " FROM perigee_file WHERE id = ?"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    bool ok = true;
    *found = step == STEP_ROW;
    if (*found) {
        struct str hash = stmt_blob(s, 1);
        ok = hash.n == FILES_HASH;
        if (ok) memcpy(out->hash, hash.p, FILES_HASH);
        out->id = stmt_int(s, 0);
        out->size = stmt_int(s, 2);
        out->name = text(s, 3, arena, &ok);
        out->type = text(s, 4, arena, &ok);
        out->kind = text(s, 5, arena, &ok);
        out->entity = text(s, 6, arena, &ok);
        out->record = stmt_int(s, 7);
        out->document = stmt_int(s, 8);
        out->edition = stmt_int(s, 9);
        out->created_at = stmt_int(s, 10);
        out->created_by = stmt_int(s, 11);
    }
    db_release(s);
    if (!ok) return error_set(e, ERROR_INTERNAL, "a row of a file is damaged", "строка файла повреждена");
    return step != STEP_ERROR;
}

bool file_delete(struct db *d, int64_t id, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("DELETE FROM perigee_file WHERE id = ?"), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    return finish(s, e);
}

bool file_newest(struct db *d, int64_t document, int64_t but, int64_t *id, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT id FROM perigee_file WHERE document = ? AND id <> ?"
                                    " ORDER BY edition DESC, id DESC LIMIT 1"),
                                e);
    if (!s) return false;
    stmt_bind_int(s, 1, document);
    stmt_bind_int(s, 2, but);
    enum step step = stmt_step(s, e);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

bool file_editions(struct db *d, int64_t document, int64_t *ids, size_t most, size_t *n, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("SELECT id FROM perigee_file WHERE document = ?"
                                    " ORDER BY edition DESC, id DESC LIMIT ?"),
                                e);
    enum step step = STEP_DONE;
    *n = 0;
    if (!s) return false;
    stmt_bind_int(s, 1, document);
    stmt_bind_int(s, 2, (int64_t)most);
    while (*n < most && (step = stmt_step(s, e)) == STEP_ROW)
        ids[(*n)++] = stmt_int(s, 0);
    db_release(s);
    return step != STEP_ERROR;
}

bool files_total(struct db *d, int64_t *bytes, struct error *e)
{
    struct stmt *s = db_prepare(
        d, STR("SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT hash, size FROM perigee_file)"), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    *bytes = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}
