/* schema_index.c: which indices an entity has beside those that its script declares: what lists are sorted
 * and filtered by, and what boards and row rules look at. Each costs every write something, so each has its
 * reason. */
#include "store/filter.h"
#include "store/schema_sql.h"

#include <stdio.h>

#define BOARD_COLUMNS 12

/* References are followed both ways, stages are columns of boards, dates and money are what lists are sorted
 * by. Who made or changed a record is asked for too seldom; when it was, often: lists of what is new.
 * Settings are few. */
static bool plain(const struct entity *e, const struct field *f)
{
    switch (f->index) {
    case SYSTEM_CREATED_BY:
    case SYSTEM_UPDATED_BY: return false;
    case SYSTEM_CREATED_AT:
    case SYSTEM_UPDATED_AT: return !e->setting && !e->server;
    default:
        return f->type == FIELD_REF || f->type == FIELD_STAGE || f->type == FIELD_DATE ||
               f->type == FIELD_MONEY;
    }
}

static bool unique(const struct field *f)
{
    return f->unique || f->index == SYSTEM_NUMBER;
}

/* True when some role's right to read depends on the field. */
static bool in_rules(const struct catalog *c, const struct entity *e, const struct field *f)
{
    for (size_t i = 0; i < c->role_count; i++)
        for (size_t k = 0; k < c->roles[i].rule_count; k++) {
            const struct rule *r = &c->roles[i].rules[k];
            if (r->entity == e && r->action == ACTION_READ && filter_names(r->where, f)) return true;
        }
    return false;
}

static bool single(const struct catalog *c, const struct entity *e, const struct field *f)
{
    for (size_t i = 0; i < e->index_count; i++)
        if (e->indexes[i].count == 1 && e->indexes[i].fields[0] == f) return true;
    return plain(e, f) || (f->type == FIELD_REF && in_rules(c, e, f)); /* "created_by = @me" */
}

/* Named after its first `shown` columns. */
static void named(struct index_sink *to, const struct entity *e, const char *prefix,
                  const struct field *const *fields, size_t n, size_t shown)
{
    struct buf columns, name;
    buf_init(&columns, 4096);
    buf_init(&name, 1024);
    buf_printf(&name, "%s_%s", prefix, e->name);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&columns, "%s%s", i ? ", " : "", fields[i]->index == SYSTEM_ID ? "id" : fields[i]->column);
        if (i < shown) buf_printf(&name, "_%s", fields[i]->name);
    }
    buf_char(&name, '\0');
    buf_char(&columns, '\0');
    if (name.failed || columns.failed)
        to->put(to->ctx, e, NULL, NULL, false);
    else
        to->put(to->ctx, e, name.p, columns.p, strcmp(prefix, "uq") == 0);
    buf_free(&columns);
    buf_free(&name);
}

/* Lists sorted by title follow the one order of text. */
static void title(struct index_sink *to, const struct entity *e)
{
    const struct field *f = e->title;
    if (!f || !field_has_order(e, f)) return;
    char name[160], columns[160];
    int a = snprintf(name, sizeof name, "ix_%s_%s_order", e->name, f->name),
        b = snprintf(columns, sizeof columns, "\"%s~order\"", f->name);
    bool fits = a > 0 && (size_t)a < sizeof name && b > 0 && (size_t)b < sizeof columns;
    to->put(to->ctx, e, fits ? name : NULL, fits ? columns : NULL, false);
}

/* Counting and summing a board reads this index alone: the stage, the first sum, statuses, and what rules
 * ask. It also holds each column of the board in the order of the sum. */
static void board(struct index_sink *to, const struct catalog *c, const struct entity *e)
{
    const struct field *fields[BOARD_COLUMNS];
    size_t n = 0;
    if (!e->stage || e->server) return;
    fields[n++] = e->stage;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count && n < 2; i++)
        if (e->fields[i]->type == FIELD_MONEY) fields[n++] = e->fields[i];
    fields[n++] = e->fields[SYSTEM_ID]; /* ties of the sum, and those that have none, in the order of pages */
    fields[n++] = e->fields[SYSTEM_ACTIVE];
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count && n < BOARD_COLUMNS / 2; i++)
        if (e->fields[i]->type == FIELD_OPTION) fields[n++] = e->fields[i]; /* boards of what is still open */
    for (size_t i = 0; i < e->field_count && n < BOARD_COLUMNS; i++) {
        const struct field *f = e->fields[i];
        bool taken = i == SYSTEM_ACTIVE || f == e->stage || f->type == FIELD_MONEY ||
                     f->type == FIELD_OPTION || f->type == FIELD_LONGTEXT;
        if (!taken && schema_has_column(f) && in_rules(c, e, f)) fields[n++] = f;
    }
    named(to, e, "bd", fields, n, 1);
}

void schema_indexes(const struct catalog *c, const struct entity *e, struct index_sink *to)
{
    for (size_t i = 1; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!schema_has_column(f)) continue;
        if (unique(f) || single(c, e, f)) named(to, e, unique(f) ? "uq" : "ix", &e->fields[i], 1, 1);
    }
    for (size_t i = 0; i < e->unique_count; i++)
        if (e->unique[i].count > 1 || !unique(e->unique[i].fields[0]))
            named(to, e, "uq", e->unique[i].fields, e->unique[i].count, e->unique[i].count);
    for (size_t i = 0; i < e->index_count; i++)
        if (e->indexes[i].count > 1)
            named(to, e, "ix", e->indexes[i].fields, e->indexes[i].count, e->indexes[i].count);
    title(to, e);
    board(to, c, e);
}
