/* aggregate.c: counts, exact sums, averages, least and greatest values by up to four keys; dates by day,
 * week, month, quarter, year. */
#include "base/decimal.h"
#include "base/json.h"
#include "base/suggest.h"
#include "record/internal.h"
#include "record/plan.h"

#include "record/results.h"
#include <inttypes.h>

#define KEYS_MAX 4
#define MEASURES_MAX 16
#define GROUPS_MAX 10000

enum measure_kind { MEASURE_SUM, MEASURE_AVG, MEASURE_MIN, MEASURE_MAX, MEASURE_KINDS };

struct key {
    const struct field *field;
    const char *name; /* "close_date:month" */
    char unit;        /* of dates; 0 */
};

struct measure {
    enum measure_kind kind;
    const struct field *field;
};

struct report {
    struct key keys[KEYS_MAX];
    size_t key_count;
    struct measure measures[MEASURES_MAX];
    size_t measure_count;
    int64_t at_least;
};

static const char *const kind_names[] = {"sum", "avg", "min", "max"};

static bool bad(struct context *c, const char *pointer, const char *en, const char *ru, struct str what)
{
    error_add(c->error, pointer, "bad_value", "%s: \"%.*s\"", "%s: «%.*s»",
              c->error->lang == LANG_RU ? ru : en, STR_ARG(what));
    return error_set(c->error, ERROR_BAD_REQUEST, "%s: \"%.*s\"", "%s: «%.*s»",
                     c->error->lang == LANG_RU ? ru : en, STR_ARG(what));
}

static bool parse_unit(struct context *c, struct str unit, char *out)
{
    static const char *const names[] = {"day", "week", "month", "quarter", "year"};
    for (size_t i = 0; i < 5; i++)
        if (str_is(unit, names[i])) return *out = names[i][0], true;
    return bad(c, "group_by", "the unit is day, week, month, quarter or year",
               "единица: day, week, month, quarter или year", unit);
}

static bool parse_keys(struct context *c, const struct entity *e, struct str list, struct report *r)
{
    if (list.n == 0) return true;
    do {
        struct str whole = str_trim(str_cut(&list, ',')), rest = whole, name = str_cut(&rest, ':');
        if (r->key_count == KEYS_MAX) return bad(c, "group_by", "at most 4 keys", "не более 4 ключей", whole);
        struct key *k = &r->keys[r->key_count++];
        k->field = readable_field(c, e, name, "group_by");
        k->name = arena_dup(c->arena, whole);
        if (!k->field) return false;
        if (!k->name) return error_no_memory(c->error);
        enum value_type t = field_value_type(k->field);
        if (t == VALUE_SET || k->field->type == FIELD_COMPUTED || k->field->type == FIELD_JSON ||
            k->field->type == FIELD_LONGTEXT)
            return bad(c, "group_by", "cannot group by this field", "по этому полю нельзя группировать",
                       name);
        if (!rest.p) continue;
        if (t != VALUE_DATE && t != VALUE_DATETIME)
            return bad(c, "group_by", "only dates have units", "единицы есть только у дат", whole);
        if (!parse_unit(c, rest, &k->unit)) return false;
    } while (list.p);
    return true;
}

static bool parse_measures(struct context *c, const struct entity *e, enum measure_kind kind, struct str list,
                           struct report *r)
{
    if (list.n == 0) return true;
    do {
        struct str name = str_trim(str_cut(&list, ','));
        const struct field *f = readable_field(c, e, name, kind_names[kind]);
        if (!f) return false;
        enum value_type t = field_value_type(f);
        bool number = t == VALUE_NUMBER,
             ordered = number || t == VALUE_DATE || t == VALUE_DATETIME || t == VALUE_TEXT;
        if (f->type == FIELD_COMPUTED || f->type == FIELD_JSON || (kind <= MEASURE_AVG ? !number : !ordered))
            return bad(c, kind_names[kind], "this field cannot be taken together so",
                       "это поле нельзя так свести", name);
        if (r->measure_count == MEASURES_MAX)
            return bad(c, kind_names[kind], "at most 16 measures", "не более 16 показателей", name);
        r->measures[r->measure_count++] = (struct measure){kind, f};
    } while (list.p);
    return true;
}

static bool key_sql(struct context *c, struct sql *q, const struct entity *e, const struct key *k)
{
    bool instant = k->unit && field_value_type(k->field) == VALUE_DATETIME;
    if (k->unit) sql_add(q, "period_start(");
    if (instant) sql_add(q, "local_day(");
    bool ok = read_sql(c, q, e, k->field, "t");
    if (instant) {
        sql_add(q, ", ");
        sql_bind_value(q,
                       c->env.zone ? value_text(str_of(timezone_name(c->env.zone))) : value_text(STR("UTC")));
        sql_add(q, ")");
    }
    if (k->unit) sql_printf(q, ", '%c')", k->unit);
    return ok;
}

static bool measure_sql(struct context *c, struct sql *q, const struct entity *e, const struct measure *m)
{
    sql_add(q, m->kind == MEASURE_MIN ? "min(" : m->kind == MEASURE_MAX ? "max(" : "sum(");
    bool ok = read_sql(c, q, e, m->field, "t");
    if (m->kind >= MEASURE_MIN && field_value_type(m->field) == VALUE_TEXT) sql_add(q, " COLLATE perigee");
    sql_add(q, ")");
    if (m->kind != MEASURE_AVG) return ok;
    sql_add(q, ", count(");
    ok = ok && read_sql(c, q, e, m->field, "t");
    sql_add(q, ")");
    return ok;
}

static char type_of(const struct field *f)
{
    return field_value_type(f) == VALUE_TEXT ? 't' : 'i';
}

static bool ask(struct context *c, const struct query *query, const struct report *r,
                bool (*each)(void *ctx, const struct value *row), void *ctx)
{
    struct sql q;
    const struct entity *e = query->entity;
    sql_init(&q, c->arena);
    q.env = &c->env;
    q.from_people = true;
    sql_add(&q, "SELECT count(*)");
    bool ok = true;
    for (size_t i = 0; ok && i < r->key_count; i++) {
        sql_add(&q, ", ");
        ok = key_sql(c, &q, e, &r->keys[i]);
    }
    for (size_t i = 0; ok && i < r->measure_count; i++) {
        sql_add(&q, ", ");
        ok = measure_sql(c, &q, e, &r->measures[i]);
    }
    sql_printf(&q, " FROM %s AS t", e->table);
    ok = ok && select_where(c, &q, query, START_FILTER);
    for (size_t i = 0; i < r->key_count; i++)
        sql_printf(&q, "%s%zu", i ? ", " : " GROUP BY ", i + 2);
    if (r->at_least > 1 && r->key_count) sql_printf(&q, " HAVING count(*) >= %" PRId64, r->at_least);
    for (size_t i = 0; i < r->key_count; i++)
        sql_printf(&q, "%s%zu", i ? ", " : " ORDER BY ", i + 2);
    sql_printf(&q, " LIMIT %d", GROUPS_MAX + 1);
    char types[1 + KEYS_MAX + 2 * MEASURES_MAX + 1] = "i";
    size_t n = 1;
    for (size_t i = 0; i < r->key_count; i++)
        types[n++] = r->keys[i].unit ? 'i' : type_of(r->keys[i].field);
    for (size_t i = 0; i < r->measure_count; i++) {
        types[n++] = type_of(r->measures[i].field);
        if (r->measures[i].kind == MEASURE_AVG) types[n++] = 'i';
    }
    return results_each(c, &q, ok, types, each, ctx);
}

/* A value as SQLite gave it, in the form of its field. */
static void write_typed(struct buf *out, const struct field *f, struct value v)
{
    if (v.type == VALUE_NULL) {
        json_null(out);
        return;
    }
    switch (field_value_type(f)) {
    case VALUE_NUMBER: json_decimal(out, v.i, f->scale); break;
    case VALUE_BOOL: json_bool(out, v.i != 0); break;
    case VALUE_DATE: json_date(out, v.i); break;
    case VALUE_DATETIME: json_datetime(out, v.i); break;
    case VALUE_ID: json_id(out, v.i); break;
    default: json_str(out, v.s); break;
    }
}

static void write_average(struct buf *out, const struct field *f, const struct value *sum_and_count)
{
    int64_t n = sum_and_count[1].i, mean;
    int scale = f->scale + 2 > 6 ? f->scale : f->scale + 2;
    if (n == 0 || !decimal_div(sum_and_count[0].i, f->scale, n, 0, scale, &mean))
        json_null(out);
    else
        json_decimal(out, mean, scale);
}

static void write_measures(const struct report *r, const struct value *row, struct buf *out)
{
    for (int kind = 0; kind < MEASURE_KINDS; kind++) {
        bool open = false;
        const struct value *v = row;
        for (size_t i = 0; i < r->measure_count; i++) {
            const struct measure *m = &r->measures[i];
            if ((int)m->kind == kind) {
                if (!open) {
                    json_key(out, str_of(kind_names[kind]));
                    json_object(out);
                }
                open = true;
                json_key(out, str_of(m->field->name));
                if (m->kind == MEASURE_AVG)
                    write_average(out, m->field, v);
                else if (m->kind == MEASURE_SUM && v->type == VALUE_NULL)
                    json_int(out, 0);
                else
                    write_typed(out, m->field, *v);
            }
            v += m->kind == MEASURE_AVG ? 2 : 1;
        }
        if (open) json_end_object(out);
    }
}

struct writing {
    struct context *c;
    const struct report *report;
    struct buf *out;
    bool count;
    size_t groups;
};

static bool write_group(void *ctx, const struct value *row)
{
    struct writing *w = ctx;
    const struct report *r = w->report;
    struct buf *out = w->out;
    if (++w->groups > GROUPS_MAX)
        return error_set(w->c->error, ERROR_QUERY_LIMIT, "more than %d groups: choose a coarser key",
                         "больше %d групп: выберите более крупный ключ", GROUPS_MAX);
    json_object(out);
    json_key(out, STR("key"));
    json_object(out);
    for (size_t i = 0; i < r->key_count; i++) {
        const struct key *k = &r->keys[i];
        json_key_any(out, str_of(k->name));
        if (k->unit && row[i + 1].type != VALUE_NULL)
            json_date(out, row[i + 1].i);
        else
            write_typed(out, k->field, row[i + 1]);
    }
    json_end_object(out);
    if (w->count) {
        json_key(out, STR("count"));
        json_int(out, row[0].i);
    }
    write_measures(r, row + 1 + r->key_count, out);
    json_end_object(out);
    return true;
}

bool query_aggregate(struct context *c, const struct query *q, const struct aggregate *a, struct buf *out)
{
    struct report r = {.at_least = a->at_least};
    if (!c->trusted && !access_may(c->who, q->entity, ACTION_READ))
        return error_set(c->error, ERROR_FORBIDDEN, "your roles do not let you read this: %s",
                         "ваши роли не позволяют это читать: %s", q->entity->plural.text[c->error->lang]);
    if (!parse_keys(c, q->entity, a->group_by, &r) ||
        !parse_measures(c, q->entity, MEASURE_SUM, a->sum, &r) ||
        !parse_measures(c, q->entity, MEASURE_AVG, a->avg, &r) ||
        !parse_measures(c, q->entity, MEASURE_MIN, a->min, &r) ||
        !parse_measures(c, q->entity, MEASURE_MAX, a->max, &r))
        return false;
    struct writing w = {c, &r, out, a->count || r.measure_count == 0, 0};
    json_object(out);
    json_key(out, STR("groups"));
    json_array(out);
    if (!ask(c, q, &r, write_group, &w)) return false;
    json_end_array(out);
    json_end_object(out);
    return out->failed ? error_no_memory(c->error) : true;
}
