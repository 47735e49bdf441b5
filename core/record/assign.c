/* assign.c: see assign.h. */
#include "record/assign.h"

#include "base/calendar.h"
#include "base/id.h"
#include "store/store.h"

static const struct field *user_field(const struct context *c, const char *name)
{
    return c->catalog->user ? entity_field(c->catalog->user, str_of(name)) : NULL;
}

static int64_t today(const struct context *c)
{
    return timezone_day(c->env.zone, c->env.now);
}

/* The role itself, or one that a group of theirs has. */
static void with_role(struct context *c, struct sql *q, struct str role)
{
    const struct field *roles = user_field(c, "roles"), *groups = user_field(c, "groups"),
                       *theirs = c->catalog->group ? entity_field(c->catalog->group, STR("roles")) : NULL;
    if (!role.n || !roles || !roles->link_table) return;
    sql_printf(q,
               " AND (EXISTS (SELECT 1 FROM %s AS r WHERE r.owner = u.id AND r.target = ", roles->link_table);
    sql_bind_value(q, value_text(role));
    sql_add(q, ")");
    if (groups && groups->link_table && theirs && theirs->link_table) {
        sql_printf(
            q,
            " OR EXISTS (SELECT 1 FROM %s AS g JOIN %s AS r ON r.owner = g.target WHERE g.owner = u.id "
            "AND r.target = ",
            groups->link_table, theirs->link_table);
        sql_bind_value(q, value_text(role));
        sql_add(q, ")");
    }
    sql_add(q, ")");
}

static void in_group(struct context *c, struct sql *q, struct str group)
{
    const struct field *groups = user_field(c, "groups"),
                       *name = c->catalog->group ? entity_field(c->catalog->group, STR("name")) : NULL;
    if (!group.n || !groups || !groups->link_table || !name) return;
    sql_printf(q,
               " AND EXISTS (SELECT 1 FROM %s AS l JOIN %s AS g ON g.id = l.target WHERE l.owner = u.id AND "
               "(g.%s = ",
               groups->link_table, c->catalog->group->table, name->column);
    sql_bind_value(q, value_text(group));
    int64_t id;
    if (id_parse(group, &id)) {
        sql_add(q, " OR g.id = ");
        sql_bind_value(q, value_of(VALUE_ID, id));
    }
    sql_add(q, "))");
}

static void in_direction(struct context *c, struct sql *q, struct str direction)
{
    const struct field *main = user_field(c, "direction"), *more = user_field(c, "directions"),
                       *groups = user_field(c, "groups"),
                       *of = c->catalog->group ? entity_field(c->catalog->group, STR("direction")) : NULL;
    if (!direction.n || !main) return;
    sql_printf(q, " AND (u.%s = ", main->column);
    sql_bind_value(q, value_text(direction));
    if (more && more->link_table) {
        sql_printf(
            q, " OR EXISTS (SELECT 1 FROM %s AS d WHERE d.owner = u.id AND d.target = ", more->link_table);
        sql_bind_value(q, value_text(direction));
        sql_add(q, ")");
    }
    if (groups && groups->link_table && of && of->column) {
        sql_printf(q,
                   " OR EXISTS (SELECT 1 FROM %s AS l JOIN %s AS g ON g.id = l.target WHERE l.owner = u.id "
                   "AND g.%s = ",
                   groups->link_table, c->catalog->group->table, of->column);
        sql_bind_value(q, value_text(direction));
        sql_add(q, ")");
    }
    sql_add(q, ")");
}

static void present(struct context *c, struct sql *q)
{
    const struct field *from = user_field(c, "absent_from"), *to = user_field(c, "absent_to");
    if (!from || !to) return;
    sql_printf(q, " AND NOT (coalesce(u.%s <= ", from->column);
    sql_bind_value(q, value_of(VALUE_DATE, today(c)));
    sql_printf(q, ", 0) AND coalesce(u.%s >= ", to->column);
    sql_bind_value(q, value_of(VALUE_DATE, today(c)));
    sql_add(q, ", 1))");
}

static bool order_by_load(struct context *c, struct sql *q, const struct entity *of,
                          const struct field *field, struct str open)
{
    sql_printf(q, " ORDER BY (SELECT count(*) FROM %s AS k WHERE k.%s = u.id AND k.active = 1", of->table,
               field->column);
    if (open.n) {
        const struct filter *f =
            filter_parse(c->arena, c->catalog, of, open, "open", NULL, 0, NULL, c->error);
        sql_add(q, " AND ");
        if (!f || !filter_sql(q, f, "k", NULL)) return false;
    }
    sql_add(q, "), u.id LIMIT 1");
    return true;
}

/* ---- turns ---- */

static const char *turn_key(struct context *c, const struct assign_rule *rule, const struct entity *of,
                            const struct field *field)
{
    return arena_printf(c->arena, "turn:%s.%s:%.*s:%.*s:%.*s", of->name, field->name, STR_ARG(rule->role),
                        STR_ARG(rule->group), STR_ARG(rule->direction));
}

static bool last_turn(struct context *c, const char *key, int64_t *last)
{
    struct str text;
    *last = 0;
    if (!key) return error_no_memory(c->error);
    if (!store_meta_get(c->db, key, c->arena, &text, c->error)) return false;
    if (text.p && !id_parse(text, last)) *last = 0;
    return true;
}

static bool keep_turn(struct context *c, const char *key, int64_t user)
{
    char id[ID_TEXT + 1];
    id_format(user, id);
    return store_meta_set(c->db, key, str_of(id), c->error);
}

bool assign_pick(struct context *c, const struct assign_rule *rule, const struct entity *of,
                 const struct field *field, struct str open, int64_t *user)
{
    *user = 0;
    if (!c->catalog->user || !field->column) return true;
    const char *key = rule->round_robin ? turn_key(c, rule, of, field) : NULL;
    int64_t last = 0;
    if (rule->round_robin && !last_turn(c, key, &last)) return false;
    struct sql q;
    sql_init(&q, c->arena);
    sql_printf(&q, "SELECT u.id FROM %s AS u WHERE u.active = 1", c->catalog->user->table);
    with_role(c, &q, rule->role);
    in_group(c, &q, rule->group);
    in_direction(c, &q, rule->direction);
    present(c, &q);
    bool ok = true;
    if (rule->round_robin) {
        sql_add(&q, " ORDER BY u.id <= ");
        sql_bind_value(&q, value_of(VALUE_ID, last));
        sql_add(&q, ", u.id LIMIT 1");
    } else
        ok = order_by_load(c, &q, of, field, open);
    ok = ok && !q.failed && !q.text.failed;
    struct stmt *s = ok ? db_prepare(c->db, buf_view(&q.text), c->error) : NULL;
    sql_free(&q);
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    bool bound = sql_bind_all(s, 1, q.binds, q.bind_count, &c->env, c->arena);
    enum step step = bound ? stmt_step(s, c->error) : STEP_ERROR;
    if (step == STEP_ROW) *user = stmt_int(s, 0);
    db_release(s);
    if (!bound) return error_no_memory(c->error);
    return step != STEP_ERROR && (!rule->round_robin || !*user || keep_turn(c, key, *user));
}

#define DEPUTIES_MAX 5

bool assign_deputy(struct context *c, int64_t *user)
{
    const struct field *from = user_field(c, "absent_from"), *to = user_field(c, "absent_to"),
                       *deputy = user_field(c, "deputy");
    if (!*user || !from || !to || !deputy) return true;
    int64_t at = *user, day = today(c);
    for (int i = 0; i < DEPUTIES_MAX; i++) {
        struct record *u = record_load(c, c->catalog->user, at);
        if (!u) return false;
        struct value a = u->values[from->index], b = u->values[to->index], d = u->values[deputy->index];
        bool absent = a.type == VALUE_DATE && a.i <= day && (b.type != VALUE_DATE || b.i >= day);
        if (!absent) {
            *user = at;
            return true;
        }
        if (d.type != VALUE_ID) return true; /* nobody stands in: it stays with the first */
        at = d.i;
    }
    return true;
}

/* ---- working days ---- */

struct exceptions { /* days that are not what their weekday says, in order */
    int64_t day[400];
    bool working[400];
    size_t count;
};

static bool load_exceptions(struct context *c, int64_t from, int64_t to, struct exceptions *x)
{
    const struct entity *h = catalog_entity(c->catalog, STR("holiday"));
    const struct field *date = h ? entity_field(h, STR("date")) : NULL,
                       *working = h ? entity_field(h, STR("working")) : NULL;
    x->count = 0;
    if (!date || !working) return true;
    char *sql = arena_printf(
        c->arena, "SELECT %s, %s FROM %s WHERE active = 1 AND %s BETWEEN ? AND ? ORDER BY %s LIMIT 400",
        date->column, working->column, h->table, date->column, date->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, from);
    stmt_bind_int(s, 2, to);
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW) {
        x->day[x->count] = stmt_int(s, 0);
        x->working[x->count++] = stmt_int(s, 1) != 0;
    }
    db_release(s);
    return step == STEP_DONE;
}

static bool works(const struct exceptions *x, int64_t day)
{
    for (size_t i = 0; i < x->count; i++)
        if (x->day[i] == day) return x->working[i];
    return calendar_weekday(day) < 5;
}

bool workday_add(struct context *c, int64_t at, int64_t days, int64_t *out)
{
    int64_t day = timezone_day(c->env.zone, at), rest = at - timezone_day_start(c->env.zone, day);
    int64_t last = day + days * 3 + 60; /* no calendar has more days off than that */
    struct exceptions *x = arena_alloc(c->arena, sizeof *x);
    if (!x) return error_no_memory(c->error);
    if (!load_exceptions(c, day, last, x)) return false;
    while (days > 0 && day < last)
        if (works(x, ++day)) days--;
    *out = timezone_day_start(c->env.zone, day) + rest;
    return true;
}
