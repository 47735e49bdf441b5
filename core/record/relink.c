/* relink.c: whatever refers to one record is made to refer to another, by the path of every change: versions,
 * log, search and hooks follow. Used by merging. */
#include "record/relink.h"
#include "record/internal.h"

#include "base/id.h"

#define ROWS_MAX 2000 /* of one field: more is a task for a migration, not for a click */

static bool refers(const struct field *f, const struct entity *e)
{
    if (f->type != FIELD_REF && f->type != FIELD_REFS) return false;
    return f->any || (f->to == e && !e->setting);
}

static struct stmt *find_rows(struct context *c, const struct entity *e, const struct field *f)
{
    char *sql = f->type == FIELD_REFS
                    ? arena_printf(c->arena, "SELECT owner FROM %s WHERE target = ? LIMIT %d", f->link_table,
                                   ROWS_MAX + 1)
                    : arena_printf(c->arena, "SELECT id FROM %s WHERE %s = ? LIMIT %d", e->table, f->column,
                                   ROWS_MAX + 1);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s && c->error->kind == ERROR_NONE) error_no_memory(c->error);
    return s;
}

static bool rows_of(struct context *c, const struct entity *e, const struct field *f, int64_t to,
                    int64_t **ids, size_t *count)
{
    struct stmt *s = find_rows(c, e, f);
    *count = 0;
    *ids = arena_array(c->arena, ROWS_MAX, sizeof **ids);
    if (!s || !*ids) {
        db_release(s);
        return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    }
    stmt_bind_int(s, 1, to);
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW && *count < ROWS_MAX)
        (*ids)[(*count)++] = stmt_int(s, 0);
    db_release(s);
    if (step == STEP_ROW)
        return error_set(c->error, ERROR_CONFLICT, "more than %d records refer to it by \"%s\"",
                         "на неё ссылается больше %d записей по полю «%s»", ROWS_MAX, f->name);
    return step == STEP_DONE;
}

/* The same set with one id in place of another. */
static struct value replaced(struct context *c, struct value set, int64_t from, int64_t to)
{
    char old[ID_TEXT + 1], new[ID_TEXT + 1];
    id_format(from, old);
    id_format(to, new);
    bool there = set.s.n && memmem(set.s.p, set.s.n, new, ID_TEXT);
    struct json_value *all = json_parse(c->arena, set.s, c->error);
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_cstr(&b, "[");
    bool first = true;
    for (struct json_value *i = all ? all->first : NULL; i; i = i->next) {
        bool is_old = str_is(i->text, old);
        if (is_old && there) continue;
        buf_printf(&b, "%s\"%.*s\"", first ? "" : ",", STR_ARG(is_old ? str_of(new) : i->text));
        first = false;
    }
    buf_cstr(&b, "]");
    struct value v = {.type = VALUE_SET, .s = arena_str(c->arena, buf_view(&b))};
    buf_free(&b);
    return v;
}

/* *done is false where the row would then be there twice (a follower of both): it stays as it is. */
static bool change_row(struct context *c, const struct entity *e, const struct field *f, int64_t id,
                       const struct record *to, int64_t from, bool *done)
{
    struct value *values = arena_array(c->arena, e->field_count, sizeof *values);
    const char **any = arena_array(c->arena, e->field_count, sizeof *any);
    bool *touched = arena_array(c->arena, e->field_count, sizeof *touched);
    struct record *before = record_load(c, e, id), *now;
    *done = false;
    if (!before) return false;
    if (!values || !any || !touched) return error_no_memory(c->error);
    if (f->any && before->any_entity[f->index] && strcmp(before->any_entity[f->index], to->entity->name) != 0)
        return true; /* an id is unique over all entities, so this does not happen; but then it is not ours */
    touched[f->index] = true;
    values[f->index] = f->type == FIELD_REFS ? replaced(c, before->values[f->index], from, to->id)
                                             : value_of(VALUE_ID, to->id);
    if (f->any) any[f->index] = to->entity->name;
    if (!db_savepoint(c->db, c->error)) return false;
    if (record_change(c, e, id, values, any, touched, 0, &now)) {
        *done = true;
        return db_savepoint_release(c->db, c->error);
    }
    db_savepoint_rollback(c->db);
    if (c->error->kind != ERROR_DUPLICATE) return false;
    error_clear(c->error);
    return true;
}

bool record_relink(struct context *c, const struct record *from, const struct record *to,
                   void (*each)(void *ctx, const struct entity *e, int64_t id, const struct field *f),
                   void *ctx)
{
    bool trusted = c->trusted, ok = true;
    c->trusted = true;
    for (size_t i = 0; ok && i < c->catalog->entity_count; i++) {
        const struct entity *e = c->catalog->entities[i];
        for (size_t k = SYSTEM_FIELD_COUNT; ok && k < e->field_count; k++) {
            const struct field *f = e->fields[k];
            int64_t *ids;
            size_t n = 0;
            if (!refers(f, from->entity)) continue;
            ok = rows_of(c, e, f, from->id, &ids, &n);
            for (size_t r = 0; ok && r < n; r++) {
                bool done;
                ok = change_row(c, e, f, ids[r], to, from->id, &done);
                if (ok && done) each(ctx, e, ids[r], f);
            }
        }
    }
    c->trusted = trusted;
    return ok;
}
