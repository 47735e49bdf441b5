/* row.c: a record in memory ↔ its row and its link tables. Statements have one text for each entity (reads,
 * inserts) or for each set of changed fields (updates), so that the connection's statement cache finds them
 * again. */
#include "record/internal.h"
#include "record/plan.h"

#include "base/id.h"
#include "base/json.h"

bool field_stored(const struct field *f)
{
    return f->type != FIELD_FORMULA && f->type != FIELD_COMPUTED && !(f->system && f->hidden);
}

static bool has_column(const struct field *f)
{
    return field_stored(f) && f->type != FIELD_REFS;
}

bool field_is_text(const struct field *f)
{
    enum value_type t = field_value_type(f);
    return t == VALUE_TEXT || t == VALUE_SET;
}

bool value_empty(struct value v)
{
    switch (v.type) {
    case VALUE_NULL: return true;
    case VALUE_TEXT: return v.s.n == 0;
    case VALUE_SET: return v.s.n <= 2; /* "[]" */
    default: return false;
    }
}

struct record *record_new(struct context *c, const struct entity *e)
{
    struct record *r = arena_alloc(c->arena, sizeof *r);
    if (!r) return NULL;
    r->entity = e;
    r->values = arena_array(c->arena, e->field_count, sizeof *r->values);
    r->any_entity = arena_array(c->arena, e->field_count, sizeof *r->any_entity);
    return r->values && r->any_entity ? r : NULL;
}

struct record *record_copy(struct context *c, const struct record *from)
{
    struct record *r = record_new(c, from->entity);
    if (!r) return NULL;
    r->id = from->id;
    for (size_t i = 0; i < from->entity->field_count; i++) {
        r->values[i] = from->values[i];
        r->any_entity[i] = from->any_entity[i];
    }
    return r;
}

struct value record_get(const struct record *r, const struct field *f)
{
    return r->values[f->index];
}

bool row_select_sql(struct sql *q, const struct entity *e)
{
    sql_add(q, "SELECT t.id");
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!field_stored(f) || i == SYSTEM_ID) continue;
        if (f->type == FIELD_REFS) {
            /* In target order, so that the same set is always the same text. */
            sql_printf(q,
                       ", (SELECT json_group_array(%s) FROM (SELECT target FROM %s WHERE owner = t.id ORDER "
                       "BY target))",
                       f->to->setting ? "target" : "id_text(target)", f->link_table);
            continue;
        }
        sql_printf(q, ", t.%s", f->column);
        if (f->any) sql_printf(q, ", t.\"%s_entity\"", f->name);
    }
    sql_printf(q, " FROM %s AS t WHERE t.id = ?", e->table);
    return !q->failed && !q->text.failed;
}

static bool read_column(struct context *c, const struct field *f, struct stmt *s, int at, struct value *out)
{
    *out = value_null();
    if (stmt_null(s, at)) return true;
    out->type = field_value_type(f);
    out->scale = f->scale;
    if (!field_is_text(f)) {
        out->i = stmt_int(s, at);
        return true;
    }
    out->s = arena_str(c->arena, stmt_text(s, at));
    return out->s.p != NULL;
}

static bool read_row(struct context *c, struct stmt *s, struct record *r)
{
    const struct entity *e = r->entity;
    int at = 0;
    r->id = stmt_int(s, at++);
    r->values[SYSTEM_ID] = value_of(VALUE_ID, r->id);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!field_stored(f) || i == SYSTEM_ID) continue;
        if (!read_column(c, f, s, at++, &r->values[i])) return false;
        if (!f->any) continue;
        struct str name = stmt_text(s, at++);
        const struct entity *target = catalog_entity(c->catalog, name);
        r->any_entity[i] = target ? target->name : NULL;
    }
    return true;
}

struct record *record_load(struct context *c, const struct entity *e, int64_t id)
{
    struct stmt *s = plan_row(c, e, ROW_SELECT, row_select_sql);
    if (!s) return NULL;
    stmt_bind_int(s, 1, id);
    struct record *r = NULL;
    switch (stmt_step(s, c->error)) {
    case STEP_ROW:
        r = record_new(c, e);
        if (!r || !read_row(c, s, r)) {
            r = NULL;
            error_no_memory(c->error);
        }
        break;
    case STEP_DONE: {
        char text[ID_TEXT + 1];
        id_format(id, text);
        error_set(c->error, ERROR_NOT_FOUND, "there is no %s %s", "нет записи «%s» %s",
                  e->label.text[c->error->lang], text);
        break;
    }
    case STEP_ERROR: break;
    }
    db_release(s);
    return r;
}

static bool run(struct context *c, struct stmt *s)
{
    enum step step = stmt_step(s, c->error);
    db_release(s);
    return step == STEP_DONE;
}

/* Replaces the rows of a link table by the elements of the set. */
static bool write_links(struct context *c, const struct field *f, int64_t owner, struct value set,
                        bool is_new)
{
    const char *columns = f->to->setting ? "value" : "id_parse(value)";
    struct sql q;
    bool ok = true;
    if (!is_new) {
        sql_init(&q, c->arena);
        sql_printf(&q, "DELETE FROM %s WHERE owner = ?", f->link_table);
        struct stmt *s = db_prepare(c->db, buf_view(&q.text), c->error);
        sql_free(&q);
        if (!s) return false;
        stmt_bind_int(s, 1, owner);
        ok = run(c, s);
    }
    if (!ok || value_empty(set)) return ok;
    sql_init(&q, c->arena);
    sql_printf(&q, "INSERT INTO %s (owner, target) SELECT ?, %s FROM json_each(?)", f->link_table, columns);
    struct stmt *s = db_prepare(c->db, buf_view(&q.text), c->error);
    sql_free(&q);
    if (!s) return false;
    stmt_bind_int(s, 1, owner);
    stmt_bind_text(s, 2, set.s);
    return run(c, s);
}

static void bind_field(struct stmt *s, int *at, const struct record *r, const struct field *f)
{
    stmt_bind_value(s, (*at)++, r->values[f->index]);
    if (field_has_order(r->entity, f)) stmt_bind_value(s, (*at)++, r->values[f->index]);
    if (f->any) stmt_bind_text(s, (*at)++, str_of(r->any_entity[f->index]));
}

static bool row_insert_sql(struct sql *q, const struct entity *e)
{
    sql_printf(q, "INSERT INTO %s (id", e->table);
    for (size_t i = 1; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!has_column(f)) continue;
        sql_printf(q, ", %s", f->column);
        if (field_has_order(e, f)) sql_printf(q, ", \"%s~order\"", f->name);
        if (f->any) sql_printf(q, ", \"%s_entity\"", f->name);
    }
    sql_add(q, ") VALUES (?");
    for (size_t i = 1; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!has_column(f)) continue;
        sql_add(q, ", ?");
        if (field_has_order(e, f)) sql_add(q, ", order_key(?)");
        if (f->any) sql_add(q, ", ?");
    }
    sql_add(q, ")");
    return true;
}

bool row_insert(struct context *c, const struct record *r)
{
    const struct entity *e = r->entity;
    struct stmt *s = plan_row(c, e, ROW_INSERT, row_insert_sql);
    if (!s) return false;
    int at = 1;
    stmt_bind_int(s, at++, r->id);
    for (size_t i = 1; i < e->field_count; i++)
        if (has_column(e->fields[i])) bind_field(s, &at, r, e->fields[i]);
    if (!run(c, s)) return false;
    for (size_t i = 0; i < e->field_count; i++)
        if (e->fields[i]->type == FIELD_REFS && !write_links(c, e->fields[i], r->id, r->values[i], true))
            return false;
    return true;
}

static bool update_column(const struct field *f, const bool *changed)
{
    bool stamped =
        f->index == SYSTEM_UPDATED_AT || f->index == SYSTEM_UPDATED_BY || f->index == SYSTEM_VERSION;
    return has_column(f) && f->index != SYSTEM_ID && (stamped || changed[f->index]);
}

bool row_update(struct context *c, const struct record *r, const bool *changed)
{
    const struct entity *e = r->entity;
    struct sql q;
    sql_init(&q, c->arena);
    sql_printf(&q, "UPDATE %s SET ", e->table);
    bool first = true;
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!update_column(f, changed)) continue;
        sql_add(&q, first ? "" : ", ");
        sql_add(&q, f->column);
        sql_add(&q, " = ?");
        if (field_has_order(e, f)) sql_printf(&q, ", \"%s~order\" = order_key(?)", f->name);
        if (f->any) sql_printf(&q, ", \"%s_entity\" = ?", f->name);
        first = false;
    }
    sql_add(&q, " WHERE id = ?");
    struct stmt *s = q.failed || q.text.failed ? NULL : db_prepare(c->db, buf_view(&q.text), c->error);
    sql_free(&q);
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    int at = 1;
    for (size_t i = 0; i < e->field_count; i++)
        if (update_column(e->fields[i], changed)) bind_field(s, &at, r, e->fields[i]);
    stmt_bind_int(s, at, r->id);
    if (!run(c, s)) return false;
    for (size_t i = 0; i < e->field_count; i++) {
        if (e->fields[i]->type != FIELD_REFS || !changed[i]) continue;
        if (!write_links(c, e->fields[i], r->id, r->values[i], false)) return false;
    }
    return true;
}

bool row_delete(struct context *c, const struct record *r)
{
    char *sql = arena_printf(c->arena, "DELETE FROM %s WHERE id = ?", r->entity->table);
    if (!sql) return error_no_memory(c->error);
    struct stmt *s = db_prepare(c->db, str_of(sql), c->error);
    if (!s) return false;
    stmt_bind_int(s, 1, r->id);
    return run(c, s);
}
