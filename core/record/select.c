/* select.c: which columns a caller gets, how a row becomes JSON, and the conditions that every read of a set
 * has. */
#include "base/json.h"
#include "base/suggest.h"
#include "record/internal.h"
#include "record/plan.h"
#include "store/search.h"

/* ---- fields by name ---- */

static bool may_read(struct context *c, const struct entity *e, const struct field *f)
{
    return !f->hidden && (c->trusted || access_field(c->who, e, f, ACTION_READ) != ACCESS_NEVER);
}

const struct field *readable_field(struct context *c, const struct entity *e, struct str name,
                                   const char *pointer)
{
    const struct field *f = entity_field(e, name);
    if (f && may_read(c, e, f)) return f;
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < e->field_count; i++)
        if (may_read(c, e, e->fields[i])) suggest_try(&s, str_of(e->fields[i]->name));
    struct error_entry *entry =
        error_add(c->error, pointer, "unknown_field", "%s has no field \"%.*s\"",
                  "у записи «%s» нет поля «%.*s»", e->label.text[c->error->lang], STR_ARG(name));
    entry->suggestion = s.best.p ? arena_dup(c->error->arena, s.best) : NULL;
    error_set(c->error, ERROR_UNKNOWN_FIELD, "%s has no field \"%.*s\"", "у записи «%s» нет поля «%.*s»",
              e->label.text[c->error->lang], STR_ARG(name));
    return NULL;
}

static bool in_list(struct str list, const char *name)
{
    while (list.p) {
        struct str part = str_trim(str_cut(&list, ','));
        if (str_is(part, name)) return true;
    }
    return false;
}

static bool check_names(struct context *c, const struct entity *e, struct str list, const char *pointer,
                        bool references)
{
    while (list.p) {
        struct str name = str_trim(str_cut(&list, ','));
        if (name.n == 0) continue;
        const struct field *f = readable_field(c, e, name, pointer);
        if (!f) return false;
        bool reference = f->type == FIELD_REF || f->type == FIELD_REFS || f->type == FIELD_STAGE;
        if (!references || (reference && f->index != SYSTEM_ID)) continue;
        error_add(c->error, pointer, "not_a_reference", "\"%.*s\" is not a reference",
                  "поле «%.*s» не ссылка", STR_ARG(name));
        return error_set(c->error, ERROR_BAD_REQUEST, "\"%.*s\" is not a reference", "поле «%.*s» не ссылка",
                         STR_ARG(name));
    }
    return true;
}

/* ---- columns ---- */

/* A reference as an object: {"id","name"} and, for settings, "code"; what the caller may not read of the
 * target stays away. */
static bool target_object(struct context *c, struct sql *q, const struct entity *to, const char *alias)
{
    sql_printf(q, "json_object('id', id_text(%s.id)", alias);
    if (to->setting) sql_printf(q, ", 'code', %s.%s", alias, to->code->column);
    bool ok = true;
    if (to->title && may_read(c, to, to->title)) {
        sql_add(q, ", 'name', ");
        ok = read_sql(c, q, to, to->title, alias);
    }
    sql_add(q, ")");
    return ok;
}

static bool row_condition(struct context *c, struct sql *q, const struct entity *to, const char *alias)
{
    if (c->trusted || to->setting) {
        sql_add(q, "1");
        return true;
    }
    return access_row_sql(c->who, to, ACTION_READ, alias, q);
}

static bool expand_one(struct context *c, struct sql *q, const struct field *f, const struct entity *to)
{
    char *x = arena_printf(c->arena, "x%d", q->next_alias++);
    if (!x) return false;
    /* A target that may not be read keeps its id only: the reference itself is readable. */
    sql_printf(q, "(SELECT CASE WHEN ");
    bool ok = row_condition(c, q, to, x);
    sql_add(q, " THEN ");
    ok = ok && target_object(c, q, to, x);
    sql_printf(q, " ELSE json_object('id', id_text(%s.id)) END FROM %s AS %s WHERE %s.%s = t.%s)", x,
               to->table, x, x, to->setting ? to->code->column : "id", f->column);
    return ok;
}

static bool expand_set(struct context *c, struct sql *q, const struct field *f)
{
    char *x = arena_printf(c->arena, "x%d", q->next_alias++);
    if (!x) return false;
    sql_add(q, "(SELECT json_group_array(json(o)) FROM (SELECT CASE WHEN ");
    bool ok = row_condition(c, q, f->to, x);
    sql_add(q, " THEN ");
    ok = ok && target_object(c, q, f->to, x);
    sql_printf(q,
               " ELSE json_object('id', id_text(%s.id)) END AS o FROM %s AS l JOIN %s AS %s ON %s.%s = "
               "l.target WHERE l.owner = t.id ORDER BY l.target))",
               x, f->link_table, f->to->table, x, x, f->to->setting ? f->to->code->column : "id");
    return ok;
}

/* An `any` reference: one branch for each entity. */
static bool expand_any(struct context *c, struct sql *q, const struct field *f)
{
    bool ok = true;
    sql_printf(q, "(CASE t.\"%s_entity\"", f->name);
    for (size_t i = 0; ok && i < c->catalog->entity_count; i++) {
        const struct entity *to = c->catalog->entities[i];
        if (to->server || to->setting) continue;
        sql_printf(q, " WHEN '%s' THEN ", to->name);
        ok = expand_one(c, q, f, to);
    }
    sql_add(q, " END)");
    return ok;
}

bool read_sql(struct context *c, struct sql *q, const struct entity *e, const struct field *f,
              const char *alias)
{
    if (c->trusted) return field_sql(q, e, f, alias, NULL);
    struct filter_scope scope = access_scope(c->who);
    return field_sql(q, e, f, alias, &scope);
}

static bool column_sql(struct context *c, struct sql *q, const struct entity *e, const struct field *f,
                       bool expand, bool *raw)
{
    *raw = f->type == FIELD_JSON || field_value_type(f) == VALUE_SET || expand;
    if (!expand) return field_sql(q, e, f, "t", NULL);
    if (f->any) return expand_any(c, q, f);
    if (f->type == FIELD_REFS) return expand_set(c, q, f);
    return expand_one(c, q, f, f->type == FIELD_STAGE ? c->catalog->stage : f->to);
}

/* What is expanded is wanted, named among the fields or not. */
static bool wanted(struct context *c, const struct entity *e, const struct field *f, struct str fields,
                   struct str expand)
{
    if (!may_read(c, e, f)) return false;
    return !fields.p || f->index == SYSTEM_ID || in_list(fields, f->name) ||
           (expand.p && in_list(expand, f->name));
}

/* Conditions of masked fields become columns of their own, each different one once. */
struct masks {
    struct str text[64];
    const struct field *field[64];
    int count;
};

static bool mask_of(struct context *c, struct masks *m, const struct entity *e, const struct field *f,
                    int *index)
{
    *index = -1;
    if (c->trusted || access_field(c->who, e, f, ACTION_READ) != ACCESS_SOMETIMES) return true;
    struct sql q;
    sql_init(&q, c->arena);
    q.env = &c->env;
    bool ok = access_field_sql(c->who, e, f, ACTION_READ, "t", &q);
    struct str text = ok ? arena_str(c->arena, buf_view(&q.text)) : (struct str){NULL, 0};
    sql_free(&q);
    if (!text.p) return error_no_memory(c->error);
    for (int i = 0; i < m->count && *index < 0; i++)
        if (str_eq(m->text[i], text)) *index = i;
    if (*index >= 0) return true;
    if (m->count == 64)
        return error_set(c->error, ERROR_INTERNAL, "too many different field rules",
                         "слишком много разных правил для полей");
    m->text[m->count] = text;
    m->field[m->count] = f;
    *index = m->count++;
    return true;
}

bool select_columns(struct context *c, struct plan *p, struct sql *q, const struct entity *e,
                    struct str fields, struct str expand)
{
    if (!check_names(c, e, fields, "fields", false) || !check_names(c, e, expand, "expand", true))
        return false;
    p->columns = arena_array(&p->arena, e->field_count, sizeof *p->columns);
    p->computed = arena_array(&p->arena, e->field_count, sizeof *p->computed);
    struct masks *masks = arena_alloc(c->arena, sizeof *masks);
    if (!p->columns || !p->computed || !masks) return error_no_memory(c->error);
    int at = 2;
    sql_add(q, "SELECT t.id, t.version");
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!wanted(c, e, f, fields, expand)) continue;
        if (f->type == FIELD_COMPUTED) {
            p->computed[p->computed_count++] = f;
            continue;
        }
        struct column *k = &p->columns[p->column_count++];
        *k = (struct column){.field = f, .key = str_of(f->name), .at = at++};
        k->head = str_of(arena_printf(&p->arena, ",\"%s\":", f->name));
        if (!k->head.p) return error_no_memory(c->error);
        sql_add(q, ", ");
        if (!mask_of(c, masks, e, f, &k->mask) ||
            !column_sql(c, q, e, f, expand.p && in_list(expand, f->name), &k->raw))
            return false;
    }
    for (int i = 0; i < masks->count; i++) {
        sql_add(q, ", ");
        if (!access_field_sql(c->who, e, masks->field[i], ACTION_READ, "t", q)) return false;
    }
    for (size_t i = 0; i < p->column_count; i++)
        if (p->columns[i].mask >= 0) p->columns[i].mask += at;
    p->sort_at = at + masks->count;
    return true;
}

/* ---- rows ---- */

static void write_number_cell(struct buf *out, const struct field *f, struct stmt *s, int at, int64_t i)
{
    switch (field_value_type(f)) {
    case VALUE_NUMBER: json_decimal(out, i, f->scale); break;
    case VALUE_BOOL: json_bool(out, i != 0); break;
    case VALUE_DATE: json_date(out, i); break;
    case VALUE_DATETIME: json_datetime(out, i); break;
    case VALUE_ID: json_id(out, i); break;
    default: json_str(out, stmt_text(s, at)); break;
    }
}

static void write_cell(struct buf *out, const struct field *f, bool raw, struct stmt *s, int at)
{
    struct cell v = stmt_cell(s, at);
    if (v.null)
        json_null(out);
    else if (!v.text.p && raw)
        json_int(out, v.i);
    else if (!v.text.p)
        write_number_cell(out, f, s, at, v.i);
    else if (raw)
        json_raw(out, v.text);
    else
        json_str(out, v.text);
}

void write_column(struct buf *out, const struct field *f, struct stmt *s, int at)
{
    write_cell(out, f, field_value_type(f) == VALUE_SET, s, at);
}

/* Fields that scripts compute: the only Lua on a read, and only where it was asked for. */
static bool write_computed(struct context *c, const struct plan *p, const struct entity *e, int64_t id,
                           struct buf *out)
{
    if (p->computed_count == 0 || !c->hooks || !c->hooks->computed) return true;
    struct record *r = record_load(c, e, id);
    if (!r) return false;
    for (size_t i = 0; i < p->computed_count; i++) {
        json_key(out, str_of(p->computed[i]->name));
        if (!c->hooks->computed(c, p->computed[i], r, out)) return false;
    }
    return true;
}

bool select_write_row(struct context *c, const struct plan *p, const struct entity *e, struct stmt *s,
                      struct buf *out)
{
    json_object(out);
    for (size_t i = 0; i < p->column_count; i++) {
        const struct column *k = &p->columns[i];
        if (k->mask >= 0 && stmt_int(s, k->mask) == 0) continue;
        bool first = out->n && out->p[out->n - 1] == '{';
        buf_add(out, k->head.p + first, k->head.n - first);
        write_cell(out, k->field, k->raw, s, k->at);
    }
    if (!write_computed(c, p, e, stmt_int(s, 0), out)) return false;
    json_end_object(out);
    return true;
}

/* ---- conditions ---- */

static bool search_where(struct context *c, struct sql *q, const struct query *query)
{
    const struct entity *e = query->entity;
    const struct field **fields = arena_array(c->arena, e->field_count, sizeof *fields);
    size_t n = 0;
    if (!fields) return error_no_memory(c->error);
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        /* A field that is granted on some rows only is not searched: a hit would tell what it says. */
        bool always = c->trusted || access_field(c->who, e, f, ACTION_READ) == ACCESS_ALWAYS;
        if (f->search && always) fields[n++] = f;
    }
    struct str match = n ? search_query(c->arena, e, fields, n, query->q) : (struct str){NULL, 0};
    sql_add(q, " AND ");
    if (match.p && q->by_search)
        search_match(q, e, match);
    else if (match.p)
        search_sql(q, e, "t", match);
    else
        sql_add(q, "0");
    return true;
}

bool select_where(struct context *c, struct sql *q, const struct query *query, enum start start)
{
    const struct entity *e = query->entity;
    struct filter_scope scope = access_scope(c->who);
    struct filter_scope *scoped = c->trusted ? NULL : &scope;
    const struct filter *f = NULL;
    if (query->filter.n) {
        f = filter_parse(c->arena, c->catalog, e, query->filter, "filter", query->params, query->param_count,
                         scoped, c->error);
        if (!f) return false;
    }
    /* A plus keeps SQLite from looking for an index in what follows. */
    sql_add(q, start == START_RULES ? " WHERE (" : " WHERE +(");
    if (c->trusted)
        sql_add(q, "1");
    else if (!access_row_sql(c->who, e, ACTION_READ, "t", q))
        return sql_too_large(c->error);
    sql_add(q, ")");
    if (!filter_names(f, e->fields[SYSTEM_ACTIVE]))
        sql_add(q, " AND +t.active = 1"); /* never what an index starts with */
    if (f) {
        sql_add(q, start == START_FILTER ? " AND " : " AND +");
        if (!filter_sql(q, f, "t", scoped)) return sql_too_large(c->error);
    }
    return !query->q.n || search_where(c, q, query);
}
