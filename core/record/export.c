/* export.c: a whole list as CSV or NDJSON, from SQLite's rows straight to text (query.h). The statement is
 * one of list_plan, without a limit; where the first sort key may be missing there are two, one after the
 * other. */
#include "base/calendar.h"
#include "base/clock.h"
#include "base/csv.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json.h"
#include "record/plan.h"

#include <stdlib.h>

#define CELL_ARENA ((size_t)8 << 20)

struct export
{
    const struct catalog *catalog; /* held */
    struct db *db;
    enum export_format format;
    const struct entity *entity;
    struct arena arena;    /* what the statements bind */
    struct arena cells;    /* of one row */
    struct principal *who; /* held: the sets of env are its own */
    struct filter_env env;
    struct query query;
    struct sort sort;
    uint64_t snapshot_ns, begun_at; /* how old a snapshot may get; when this one began (clock_mono) */
    struct plan *plans[2];          /* in the order of reading */
    int phases[2];
    size_t plan_count, at;
    const size_t *order; /* of the columns of CSV: as the client named them */
    struct stmt *rows;   /* of plans[at]; NULL: not begun */
    bool begun;          /* the header is written */
    bool on_row;         /* `rows` stands on a row, which is written */
};

/* ---- CSV ---- */

/* What stands for a value inside a cell: of an expanded reference its name, else its code or id. */
static struct str short_form(const struct json_value *v)
{
    static const char *const members[] = {"name", "code", "id"};
    if (v->type != JSON_OBJECT) return v->text;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct json_value *m = json_member(v, str_of(members[i]));
        if (m && m->type == JSON_STRING) return m->text;
    }
    return STR("");
}

/* Sets are "a|b"; a JSON field stays JSON. */
static bool csv_json(struct context *c, struct export *x, const struct column *k, struct str text,
                     struct buf *out)
{
    if (k->field->type == FIELD_JSON) {
        csv_text(out, text);
        return true;
    }
    arena_reset(&x->cells);
    struct json_value *v = json_parse(&x->cells, text, c->error);
    if (!v) return false;
    if (v->type != JSON_ARRAY) {
        csv_text(out, short_form(v));
        return true;
    }
    struct buf cell;
    buf_init(&cell, CELL_ARENA);
    for (const struct json_value *i = v->first; i; i = i->next) {
        if (i != v->first) buf_char(&cell, '|');
        buf_str(&cell, short_form(i));
    }
    csv_text(out, buf_view(&cell));
    out->failed = out->failed || cell.failed;
    buf_free(&cell);
    return true;
}

static void csv_value(struct buf *out, const struct field *f, struct stmt *s, int at)
{
    char text[32];
    switch (field_value_type(f)) {
    case VALUE_NUMBER: buf_add(out, text, decimal_format(stmt_int(s, at), f->scale, text)); break;
    case VALUE_BOOL: buf_cstr(out, stmt_int(s, at) ? "true" : "false"); break;
    case VALUE_DATE: calendar_format_date(stmt_int(s, at), text), buf_cstr(out, text); break;
    case VALUE_DATETIME: calendar_format_datetime(stmt_int(s, at), text), buf_cstr(out, text); break;
    case VALUE_ID: id_format(stmt_int(s, at), text), buf_add(out, text, ID_TEXT); break;
    default: csv_text(out, stmt_text(s, at)); break;
    }
}

static bool csv_row(struct context *c, struct export *x, const struct plan *p, struct buf *out)
{
    for (size_t i = 0; i < p->column_count; i++) {
        const struct column *k = &p->columns[x->order[i]];
        if (i) buf_char(out, ',');
        bool hidden = k->mask >= 0 && stmt_int(x->rows, k->mask) == 0;
        if (hidden || stmt_null(x->rows, k->at)) continue;
        if (!k->raw)
            csv_value(out, k->field, x->rows, k->at);
        else if (!csv_json(c, x, k, stmt_text(x->rows, k->at), out))
            return false;
    }
    buf_add(out, "\r\n", 2);
    return true;
}

static void csv_header(const struct export *x, const struct plan *p, struct buf *out)
{
    for (size_t i = 0; i < p->column_count; i++) {
        if (i) buf_char(out, ',');
        csv_plain(out, p->columns[x->order[i]].key);
    }
    buf_add(out, "\r\n", 2);
}

/* ---- the life of an export ---- */

/* The named columns in the order of their names, the id before them; then what else there is. */
static bool order_columns(struct context *c, struct export *x, struct str fields)
{
    const struct plan *p = x->plans[0];
    size_t n = 0, *order = arena_array(&x->arena, p->column_count + 1, sizeof *order);
    bool *taken = arena_array(&x->arena, p->column_count + 1, sizeof *taken);
    if (!order || !taken) return error_no_memory(c->error);
    struct str names = fields;
    bool id_named = false;
    for (struct str list = fields; list.p && !id_named;)
        id_named = str_is(str_trim(str_cut(&list, ',')), "id");
    while (names.p) {
        struct str name = str_trim(str_cut(&names, ','));
        for (size_t i = 0; i < p->column_count; i++) {
            bool id_first = n == 0 && !id_named && p->columns[i].field->index == SYSTEM_ID;
            if (taken[i] || !(id_first || str_eq(p->columns[i].key, name))) continue;
            order[n++] = i;
            taken[i] = true;
        }
    }
    for (size_t i = 0; i < p->column_count; i++)
        if (!taken[i]) order[n++] = i;
    x->order = order;
    return true;
}

static bool compile(struct context *c, struct export *x, const struct query *q)
{
    struct cursor start = {.given = false};
    if (!query_readable(c, q->entity) || !sort_parse(c, q->entity, q->sort, &x->sort)) return false;
    bool two = x->sort.count && x->sort.terms[0].nullable;
    int first = two && x->sort.terms[0].descending ? 1 : 0;
    for (int i = 0; i < (two ? 2 : 1); i++) {
        struct plan *p =
            list_plan(c, q, &x->sort, &start, i == 0 ? first : 1 - first, NULL, START_FILTER, STR(""));
        if (!p) return false;
        x->phases[x->plan_count] = i == 0 ? first : 1 - first;
        x->plans[x->plan_count++] = p;
    }
    return order_columns(c, x, q->fields);
}

struct export *export_start(struct context *c, struct db *own, const struct query *q,
                            enum export_format format, uint64_t snapshot_ns)
{
    struct export *x = calloc(1, sizeof *x);
    if (!x) return error_no_memory(c->error), NULL;
    x->catalog = catalog_ref(c->catalog);
    x->who = principal_ref((struct principal *)(uintptr_t)c->who);
    x->env = c->env;
    x->db = own;
    x->format = format;
    x->entity = q->entity;
    x->query = *q;
    x->snapshot_ns = snapshot_ns;
    x->begun_at = clock_mono();
    arena_init(&x->arena, (size_t)1 << 20);
    arena_init(&x->cells, CELL_ARENA);
    if (compile(c, x, q) && db_begin(own, false, c->error)) return x;
    export_free(x);
    return NULL;
}

void export_free(struct export *x)
{
    if (!x) return;
    db_release(x->rows);
    if (db_in_transaction(x->db)) db_rollback(x->db);
    for (size_t i = 0; i < x->plan_count; i++)
        plan_drop(x->plans[i]);
    arena_free(&x->arena);
    arena_free(&x->cells);
    principal_unref(x->who);
    catalog_unref(x->catalog);
    free(x);
}

static bool open_rows(struct context *c, struct export *x)
{
    const struct plan *p = x->plans[x->at];
    if (p->computed_count && c->catalog != x->catalog)
        return error_set(c->error, ERROR_UNAVAILABLE,
                         "the scripts were reloaded during the export: start it again",
                         "во время выгрузки перезагружены сценарии: начните её снова");
    if (x->rows) return true;
    x->rows = db_prepare(x->db, p->sql, c->error);
    if (!x->rows) return false;
    if (!sql_bind_all(x->rows, 1, p->binds, p->bind_count, &x->env, &x->arena))
        return error_no_memory(c->error);
    stmt_bind_int(x->rows, p->limit_bind + 1, -1); /* SQLite: no limit */
    return true;
}

/* A new snapshot: the same list, behind the row that was written last. */
static bool renew(struct context *c, struct export *x)
{
    struct context mine = *c;
    struct cursor cursor;
    int phase = x->phases[x->at];
    mine.catalog = x->catalog;
    mine.who = x->who;
    mine.env = x->env;
    if (!query_read_keys(c, x->plans[x->at], x->rows, phase, &cursor)) return false;
    db_release(x->rows);
    x->rows = NULL;
    x->on_row = false;
    db_rollback(x->db);
    if (!db_begin(x->db, false, c->error)) return false;
    x->begun_at = clock_mono();
    struct plan *p = list_plan(&mine, &x->query, &x->sort, &cursor, phase, NULL, START_FILTER, STR(""));
    if (!p) return false;
    plan_drop(x->plans[x->at]);
    x->plans[x->at] = p;
    for (size_t i = 0; i < x->sort.count; i++) { /* what is bound lives as long as the plan */
        struct value *v = &cursor.keys[i];
        if (v->type == VALUE_TEXT && !(v->s = arena_str(&p->arena, v->s)).p) return error_no_memory(c->error);
    }
    if (!open_rows(c, x)) return false;
    plan_bind_cursor(p, x->rows, &cursor);
    return true;
}

static bool write_row(struct context *c, struct export *x, const struct plan *p, struct buf *out)
{
    if (x->format == EXPORT_CSV) return csv_row(c, x, p, out);
    if (!select_write_row(c, p, x->entity, x->rows, out)) return false;
    buf_char(out, '\n');
    return true;
}

bool export_more(struct context *c, struct export *x, size_t enough, struct buf *out, bool *done)
{
    *done = false;
    if (!x->begun && x->format == EXPORT_CSV) csv_header(x, x->plans[0], out);
    bool old = x->on_row && clock_mono() - x->begun_at >= x->snapshot_ns;
    x->begun = true;
    if (old && !renew(c, x)) return false;
    while (x->at < x->plan_count) {
        const struct plan *p = x->plans[x->at];
        enum step step = STEP_DONE;
        if (!open_rows(c, x)) return false;
        while (out->n < enough && !out->failed && (step = stmt_step(x->rows, c->error)) == STEP_ROW)
            if (!(x->on_row = write_row(c, x, p, out))) return false;
        if (out->failed) return error_no_memory(c->error);
        if (step == STEP_ERROR) return false;
        if (out->n >= enough) return true;
        db_release(x->rows);
        x->rows = NULL;
        x->on_row = false;
        x->at++;
    }
    *done = true;
    return true;
}
