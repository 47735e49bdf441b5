/* board.c: a set of records in columns, with counts and exact sums. */
#include "base/json.h"
#include "record/internal.h"
#include "record/plan.h"
#include "record/results.h"

#define COLUMNS_MAX 200

struct board_column {
    struct value key;
    struct str label; /* JSON-ready text */
    int64_t count;
    int64_t sum;
};

struct board {
    const struct field *by, *sum;
    struct board_column columns[COLUMNS_MAX];
    size_t count;
};

static bool refuse(struct context *c, const char *pointer, const char *code, const char *en, const char *ru)
{
    error_add(c->error, pointer, code, "%s", "%s", c->error->lang == LANG_RU ? ru : en);
    return error_set(c->error, ERROR_BAD_REQUEST, "%s", "%s", c->error->lang == LANG_RU ? ru : en);
}

static bool add_column(struct context *c, struct board *b, struct value key, struct str label)
{
    if (b->count == COLUMNS_MAX)
        return error_set(c->error, ERROR_BAD_REQUEST, "\"group_by\" gives more than %d columns",
                         "group_by даёт больше %d колонок", COLUMNS_MAX);
    b->columns[b->count++] = (struct board_column){.key = key, .label = label};
    return true;
}

/* Columns known before any record is read: the stages of the pipeline, the options of a field. */
static bool known_columns(struct context *c, struct board *b)
{
    const struct field *f = b->by;
    for (size_t i = 0; f->type == FIELD_OPTION && i < f->option_count; i++)
        if (!add_column(c, b, value_text(str_of(f->options[i].value)),
                        str_of(f->options[i].label.text[c->env.lang])))
            return false;
    const struct entity *stage = c->catalog->stage;
    if (f->type != FIELD_STAGE || !stage) return true;
    const struct field *name = entity_field(stage, STR("name")), *order = entity_field(stage, STR("order")),
                       *of = entity_field(stage, STR("pipeline"));
    char *sql = arena_printf(c->arena,
                             "SELECT %s, label(%s, ?1) FROM %s WHERE active = 1 AND coalesce(%s, ?2) = ?2 "
                             "ORDER BY %s, id LIMIT %d",
                             stage->code->column, name ? name->column : stage->code->column, stage->table,
                             of ? of->column : "NULL", order ? order->column : "id", COLUMNS_MAX);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, str_of(lang_code(c->env.lang)));
    stmt_bind_text(s, 2, str_of(f->pipeline->name));
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, c->error)) == STEP_ROW)
        ok = add_column(c, b, value_text(arena_str(c->arena, stmt_text(s, 0))),
                        arena_str(c->arena, stmt_text(s, 1)));
    db_release(s);
    return ok && step == STEP_DONE;
}

/* The title of a referenced record, as far as the caller may read it. */
static bool label_of(struct context *c, const struct field *f, struct value key, struct str *label)
{
    *label = (struct str){NULL, 0};
    const struct entity *to = f->type == FIELD_REF && !f->any ? f->to : NULL;
    if (!to || !to->title || key.type == VALUE_NULL) return true;
    if (!c->trusted && access_field(c->who, to, to->title, ACTION_READ) == ACCESS_NEVER) return true;
    struct sql q;
    sql_init(&q, c->arena);
    q.env = &c->env;
    sql_add(&q, "SELECT ");
    bool ok = read_sql(c, &q, to, to->title, "t");
    sql_printf(&q, " FROM %s AS t WHERE t.%s = ", to->table, to->setting ? to->code->column : "id");
    sql_bind_value(&q, key);
    sql_add(&q, " AND ");
    if (c->trusted)
        sql_add(&q, "1");
    else
        ok = ok && access_row_sql(c->who, to, ACTION_READ, "t", &q);
    struct stmt *s = sql_start(c, &q, ok);
    if (!s) return false;
    enum step step = stmt_step(s, c->error);
    if (step == STEP_ROW && !stmt_null(s, 0)) *label = arena_str(c->arena, stmt_text(s, 0));
    db_release(s);
    return step != STEP_ERROR;
}

static struct board_column *column_of(struct context *c, struct board *b, struct value key)
{
    for (size_t i = 0; i < b->count; i++)
        if (value_same(b->columns[i].key, key)) return &b->columns[i];
    struct str label;
    if (!label_of(c, b->by, key, &label) || !add_column(c, b, key, label)) return NULL;
    return &b->columns[b->count - 1];
}

struct counting {
    struct context *c;
    struct board *board;
};

static bool take_count(void *ctx, const struct value *row)
{
    struct counting *k = ctx;
    const struct field *by = k->board->by;
    struct value key = row[0];
    if (key.type == VALUE_NUMBER) key.type = field_value_type(by), key.scale = by->scale;
    if (key.type == VALUE_TEXT && !(key.s = arena_str(k->c->arena, key.s)).p)
        return error_no_memory(k->c->error);
    struct board_column *column = column_of(k->c, k->board, key);
    if (!column) return false;
    column->count = row[1].i;
    column->sum = row[2].i;
    return true;
}

/* Counts and sums of all columns in one pass. */
static bool count_columns(struct context *c, const struct query *query, struct board *b)
{
    struct sql q;
    struct counting k = {c, b};
    sql_init(&q, c->arena);
    q.env = &c->env;
    q.from_people = true; /* once, not for each of a million rows */
    sql_add(&q, "SELECT ");
    bool ok = read_sql(c, &q, query->entity, b->by, "t");
    sql_add(&q, ", count(*), ");
    if (b->sum) {
        sql_add(&q, "sum(");
        ok = ok && read_sql(c, &q, query->entity, b->sum, "t");
        sql_add(&q, ")");
    } else {
        sql_add(&q, "0");
    }
    sql_printf(&q, " FROM %s AS t", query->entity->table);
    ok = ok && select_where(c, &q, query, START_FILTER);
    sql_add(&q, " GROUP BY 1");
    return results_each(c, &q, ok, field_value_type(b->by) == VALUE_TEXT ? "tii" : "iii", take_count, &k);
}

/* A column without a name of its own is called what its key looks like. */
static void write_label(struct context *c, const struct board *b, const struct board_column *k,
                        struct buf *out)
{
    bool russian = c->env.lang == LANG_RU;
    struct buf text;
    if (k->label.p) {
        json_str(out, k->label);
        return;
    }
    switch (k->key.type) {
    case VALUE_NULL: json_cstr(out, russian ? "Не указано" : "Not set"); return;
    case VALUE_BOOL: json_cstr(out, k->key.i ? (russian ? "Да" : "Yes") : (russian ? "Нет" : "No")); return;
    case VALUE_NUMBER: break;
    default: record_write_value(out, b->by, k->key, c->env.lang); return;
    }
    buf_init(&text, 64);
    record_write_value(&text, b->by, k->key, c->env.lang);
    json_str(out, buf_view(&text));
    buf_free(&text);
}

static bool write_board_column(struct context *c, const struct query *q, const struct board *b,
                               const struct board_column *k, struct buf *out)
{
    json_object(out);
    json_key(out, STR("key"));
    record_write_value(out, b->by, k->key, c->env.lang);
    json_key(out, STR("label"));
    write_label(c, b, k, out);
    json_key(out, STR("count"));
    json_int(out, k->count);
    json_key(out, STR("sum"));
    json_object(out);
    if (b->sum) {
        json_key(out, str_of(b->sum->name));
        json_decimal(out, k->sum, b->sum->scale);
    }
    json_end_object(out);
    bool ok = query_group_page(c, q, b->by, k->key, out);
    json_end_object(out);
    return ok;
}

static bool groupable(struct context *c, const struct field *f)
{
    enum value_type t = field_value_type(f);
    if (t != VALUE_SET && f->type != FIELD_COMPUTED && f->type != FIELD_JSON && f->type != FIELD_LONGTEXT)
        return true;
    error_add(c->error, "group_by", "not_groupable", "cannot group by \"%s\"",
              "по полю «%s» нельзя группировать", f->name);
    return error_set(c->error, ERROR_BAD_REQUEST, "cannot group by \"%s\"",
                     "по полю «%s» нельзя группировать", f->name);
}

static bool summable(struct context *c, const struct field *f, const char *pointer)
{
    if (field_value_type(f) == VALUE_NUMBER && f->type != FIELD_COMPUTED) return true;
    error_add(c->error, pointer, "not_a_number", "\"%s\" is not a number", "поле «%s» не число", f->name);
    return error_set(c->error, ERROR_BAD_REQUEST, "\"%s\" is not a number", "поле «%s» не число", f->name);
}

static bool find_sum(struct context *c, const struct entity *e, struct str name, const struct field **out)
{
    *out = NULL;
    if (name.p) {
        *out = readable_field(c, e, name, "sum");
        return *out && summable(c, *out, "sum");
    }
    for (size_t i = 0; i < e->field_count && !*out; i++)
        if (e->fields[i]->type == FIELD_MONEY &&
            (c->trusted || access_field(c->who, e, e->fields[i], ACTION_READ) != ACCESS_NEVER))
            *out = e->fields[i];
    return true;
}

/* The key of a column as the client names it in `column=`. "null" or "" is the column of missing values. */
static bool wanted_key(struct context *c, const struct board *b, struct str text, struct value *key)
{
    *key = value_null();
    if (text.n == 0 || str_is(text, "null")) return true;
    struct json_value v = {.type = JSON_STRING, .text = text};
    enum value_type type = field_value_type(b->by);
    if (type == VALUE_NUMBER) v.type = JSON_NUMBER;
    if (type == VALUE_BOOL) v.type = str_is(text, "true") ? JSON_TRUE : JSON_FALSE;
    const char *any = NULL;
    if (record_value_json(c, b->by, &v, "column", key, &any)) return true;
    error_clear(c->error); /* that a body would have been wrong is not the point */
    return refuse(c, "column", "no_such_column", "there is no such column", "нет такой колонки");
}

bool query_board(struct context *c, const struct query *q, struct str group_by, struct str sum,
                 struct str column, struct buf *out)
{
    struct board *b = arena_alloc(c->arena, sizeof *b);
    if (!b) return error_no_memory(c->error);
    if (!c->trusted && !access_may(c->who, q->entity, ACTION_READ))
        return error_set(c->error, ERROR_FORBIDDEN, "your roles do not let you read this: %s",
                         "ваши роли не позволяют это читать: %s", q->entity->plural.text[c->error->lang]);
    if (!group_by.n && q->entity->stage) group_by = str_of(q->entity->stage->name);
    if (!group_by.n)
        return refuse(c, "group_by", "required", "say which field the columns are: group_by=…",
                      "укажите поле колонок: group_by=…");
    b->by = readable_field(c, q->entity, group_by, "group_by");
    if (!b->by || !groupable(c, b->by) || !find_sum(c, q->entity, sum, &b->sum)) return false;
    struct value only = value_null();
    if (column.p && !wanted_key(c, b, column, &only)) return false;
    if (q->cursor.n && !column.p)
        return refuse(c, "cursor", "bad_cursor", "a cursor of a board goes with column=…",
                      "курсор доски задают вместе с column=…");
    if (!known_columns(c, b) || !count_columns(c, q, b)) return false;
    json_object(out);
    json_key(out, STR("columns"));
    json_array(out);
    bool found = !column.p;
    for (size_t i = 0; i < b->count; i++) {
        if (column.p && !value_same(b->columns[i].key, only)) continue;
        found = true;
        if (!write_board_column(c, q, b, &b->columns[i], out)) return false;
    }
    if (!found) return refuse(c, "column", "no_such_column", "there is no such column", "нет такой колонки");
    json_end_array(out);
    json_end_object(out);
    return out->failed ? error_no_memory(c->error) : true;
}
