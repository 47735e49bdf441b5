/* imports.c: see imports.h. */
#include "store/imports.h"

static const char sql_add[] = "INSERT INTO perigee_import (id, user, entity, options, state, created_at)"
                              " VALUES (?, ?, ?, ?, ?, ?)";

static const char sql_save[] =
    "UPDATE perigee_import SET state = ?, position = ?, line = ?, done = ?, total = ?, created = ?, updated "
    "= ?,"
    " unchanged = ?, failed = ?, restored = ?, removed = ?, kept = ?, detail = ?, collections = ?,"
    " first_seq = ?, last_seq = ?, undo_seq = ?, started_at = ?, finished_at = ? WHERE id = ?";

static const char sql_get[] =
    "SELECT id, user, entity, options, state, position, line, done, coalesce(total, -1), created, updated,"
    " unchanged, failed, restored, removed, kept, detail, collections, first_seq, last_seq, undo_seq,"
    " created_at, coalesce(started_at, 0), coalesce(finished_at, 0) FROM perigee_import WHERE id = ?";

static const char sql_pending[] = "SELECT id FROM perigee_import"
                                  " WHERE state IN ('queued', 'running', 'undoing') ORDER BY id LIMIT 1";

static const char sql_list[] = "SELECT id FROM perigee_import WHERE (?1 = 0 OR user = ?1)"
                               " AND (?2 = 0 OR id < ?2) ORDER BY id DESC LIMIT ?3";

static const char sql_mistake[] =
    "INSERT INTO perigee_import_error (import, phase, n, row, line, pointer, code, message, record)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";

static const char sql_mistake_count[] =
    "SELECT coalesce(max(n) + 1, 0) FROM perigee_import_error WHERE import = ? AND phase = ?";

static const char sql_mistakes[] =
    "SELECT row, line, pointer, code, message, coalesce(record, 0) FROM perigee_import_error"
    " WHERE import = ? AND phase = ? AND n >= ? ORDER BY n LIMIT ?";

static bool finish(struct stmt *s, struct error *e)
{
    enum step step = stmt_step(s, e);
    db_release(s);
    return step != STEP_ERROR;
}

static void bind_time(struct stmt *s, int at, int64_t ms)
{
    if (ms)
        stmt_bind_int(s, at, ms);
    else
        stmt_bind_null(s, at);
}

bool imports_add(struct db *d, const struct import_state *i, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_add), e);
    if (!s) return false;
    stmt_bind_int(s, 1, i->id);
    stmt_bind_int(s, 2, i->user);
    stmt_bind_text(s, 3, i->entity);
    stmt_bind_text(s, 4, i->options);
    stmt_bind_text(s, 5, i->state);
    stmt_bind_int(s, 6, i->created_at);
    return finish(s, e);
}

bool imports_save(struct db *d, const struct import_state *i, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_save), e);
    if (!s) return false;
    int at = 1;
    stmt_bind_text(s, at++, i->state);
    stmt_bind_int(s, at++, i->position);
    stmt_bind_int(s, at++, i->line);
    stmt_bind_int(s, at++, i->done);
    if (i->total >= 0)
        stmt_bind_int(s, at++, i->total);
    else
        stmt_bind_null(s, at++);
    stmt_bind_int(s, at++, i->created);
    stmt_bind_int(s, at++, i->updated);
    stmt_bind_int(s, at++, i->unchanged);
    stmt_bind_int(s, at++, i->failed);
    stmt_bind_int(s, at++, i->restored);
    stmt_bind_int(s, at++, i->removed);
    stmt_bind_int(s, at++, i->kept);
    stmt_bind_text(s, at++, i->detail);
    stmt_bind_text(s, at++, i->collections);
    stmt_bind_int(s, at++, i->first_seq);
    stmt_bind_int(s, at++, i->last_seq);
    stmt_bind_int(s, at++, i->undo_seq);
    bind_time(s, at++, i->started_at);
    bind_time(s, at++, i->finished_at);
    stmt_bind_int(s, at, i->id);
    return finish(s, e);
}

static struct str kept_text(struct stmt *s, int at, struct arena *arena, bool *ok)
{
    if (stmt_null(s, at)) return (struct str){NULL, 0};
    struct str text = arena_str(arena, stmt_text(s, at));
    *ok = *ok && text.p;
    return text;
}

bool imports_get(struct db *d, int64_t id, struct arena *arena, struct import_state *out, bool *found,
                 struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_get), e);
    if (!s) return false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, e);
    bool ok = true;
    *found = step == STEP_ROW;
    if (*found)
        *out = (struct import_state){.id = stmt_int(s, 0),
                                     .user = stmt_int(s, 1),
                                     .entity = kept_text(s, 2, arena, &ok),
                                     .options = kept_text(s, 3, arena, &ok),
                                     .state = kept_text(s, 4, arena, &ok),
                                     .position = stmt_int(s, 5),
                                     .line = stmt_int(s, 6),
                                     .done = stmt_int(s, 7),
                                     .total = stmt_int(s, 8),
                                     .created = stmt_int(s, 9),
                                     .updated = stmt_int(s, 10),
                                     .unchanged = stmt_int(s, 11),
                                     .failed = stmt_int(s, 12),
                                     .restored = stmt_int(s, 13),
                                     .removed = stmt_int(s, 14),
                                     .kept = stmt_int(s, 15),
                                     .detail = kept_text(s, 16, arena, &ok),
                                     .collections = kept_text(s, 17, arena, &ok),
                                     .first_seq = stmt_int(s, 18),
                                     .last_seq = stmt_int(s, 19),
                                     .undo_seq = stmt_int(s, 20),
                                     .created_at = stmt_int(s, 21),
                                     .started_at = stmt_int(s, 22),
                                     .finished_at = stmt_int(s, 23)};
    db_release(s);
    if (!ok) return error_no_memory(e);
    return step != STEP_ERROR;
}

bool imports_pending(struct db *d, int64_t *id, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_pending), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

bool imports_list(struct db *d, int64_t user, int64_t before, int64_t *ids, size_t most, size_t *n,
                  struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_list), e);
    enum step step = STEP_DONE;
    *n = 0;
    if (!s) return false;
    stmt_bind_int(s, 1, user);
    stmt_bind_int(s, 2, before);
    stmt_bind_int(s, 3, (int64_t)most);
    while (*n < most && (step = stmt_step(s, e)) == STEP_ROW)
        ids[(*n)++] = stmt_int(s, 0);
    db_release(s);
    return step != STEP_ERROR;
}

bool imports_mistake(struct db *d, int64_t import, enum import_phase phase, int64_t n,
                     const struct import_mistake *m, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_mistake), e);
    if (!s) return false;
    stmt_bind_int(s, 1, import);
    stmt_bind_int(s, 2, phase);
    stmt_bind_int(s, 3, n);
    stmt_bind_int(s, 4, m->row);
    stmt_bind_int(s, 5, m->line);
    stmt_bind_text(s, 6, m->pointer);
    stmt_bind_text(s, 7, m->code);
    stmt_bind_text(s, 8, m->message);
    if (m->record)
        stmt_bind_int(s, 9, m->record);
    else
        stmt_bind_null(s, 9);
    return finish(s, e);
}

bool imports_mistake_count(struct db *d, int64_t import, enum import_phase phase, int64_t *n, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_mistake_count), e);
    if (!s) return false;
    stmt_bind_int(s, 1, import);
    stmt_bind_int(s, 2, phase);
    enum step step = stmt_step(s, e);
    *n = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

bool imports_mistakes(struct db *d, int64_t import, enum import_phase phase, int64_t from, int64_t limit,
                      bool (*each)(void *ctx, const struct import_mistake *m), void *ctx, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql_mistakes), e);
    enum step step = STEP_DONE;
    if (!s) return false;
    stmt_bind_int(s, 1, import);
    stmt_bind_int(s, 2, phase);
    stmt_bind_int(s, 3, from);
    stmt_bind_int(s, 4, limit);
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct import_mistake m = {.row = stmt_int(s, 0),
                                   .line = stmt_int(s, 1),
                                   .pointer = stmt_null(s, 2) ? (struct str){NULL, 0} : stmt_text(s, 2),
                                   .code = stmt_text(s, 3),
                                   .message = stmt_text(s, 4),
                                   .record = stmt_int(s, 5)};
        if (!each(ctx, &m)) break;
    }
    db_release(s);
    return step != STEP_ERROR;
}
