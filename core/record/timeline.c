/* timeline.c: what happened to a record, newest first: its own changes and moves, and the comments, tasks and
 * documents that hang on it, each only if the caller may read it. A view of the log; fields that the caller
 * may not read are left out of the changes. */
#include "base/id.h"
#include "base/json.h"
#include "record/internal.h"
#include "record/plan.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX 500

static bool visible(struct context *c, const struct entity *e, int64_t id)
{
    bool allowed = true;
    const struct field *denied = NULL;
    if (!c->trusted && !access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, &allowed,
                                     &denied, c->error))
        return false;
    if (allowed) return true;
    return error_set(c->error, ERROR_NOT_FOUND, "there is no such record: %s", "нет такой записи: %s",
                     e->label.text[c->error->lang]);
}

/* The reference of an entity by which its records hang on `owner`, if any. */
static const struct field *hangs_on(const struct entity *e, const struct entity *owner)
{
    const struct field *f = entity_field(e, STR("record"));
    if (f && f->any) return f;
    f = entity_field(e, str_of(owner->name));
    return f && f->type == FIELD_REF && f->to == owner ? f : NULL;
}

static bool part_sql(struct context *c, struct sql *q, const struct entity *e, const struct entity *owner,
                     int64_t id, int64_t before)
{
    static const char *const hanging[] = {"comment", "task", "document", "activity", "line"};
    bool one_of = false;
    for (size_t i = 0; i < sizeof hanging / sizeof *hanging; i++)
        one_of = one_of || strcmp(e->name, hanging[i]) == 0;
    const struct field *f = one_of && e != owner ? hangs_on(e, owner) : NULL;
    if (!f || (!c->trusted && !access_may(c->who, e, ACTION_READ))) return true;
    sql_printf(q,
               " UNION ALL SELECT l.seq, l.at, l.who, l.entity, l.record, l.action, l.changes, l.why FROM %s "
               "AS t JOIN perigee_log AS l "
               "ON l.record = t.id AND l.entity = '%s' WHERE t.%s = ",
               e->table, e->name, f->column);
    sql_bind_value(q, value_of(VALUE_ID, id));
    sql_add(q, " AND l.seq < ");
    sql_bind_value(q, value_number(before, 0));
    if (c->trusted) return true;
    sql_add(q, " AND ");
    return access_row_sql(c->who, e, ACTION_READ, "t", q);
}

/* The name of who did it, if the caller may read it. */
static bool author_sql(struct context *c, struct sql *q)
{
    const struct entity *user = c->catalog->user;
    const struct field *name = user ? entity_field(user, STR("name")) : NULL;
    bool may = name && (c->trusted || access_field(c->who, user, name, ACTION_READ) != ACCESS_NEVER);
    if (!may) {
        sql_add(q, "NULL");
        return true;
    }
    sql_add(q, "(SELECT ");
    bool ok = read_sql(c, q, user, name, "u");
    sql_printf(q, " FROM %s AS u WHERE u.id = x.who", user->table);
    if (!c->trusted) {
        sql_add(q, " AND ");
        ok = ok && access_row_sql(c->who, user, ACTION_READ, "u", q);
    }
    sql_add(q, ")");
    return ok;
}

static struct stmt *prepare(struct context *c, const struct entity *e, int64_t id, int64_t before,
                            int64_t limit)
{
    struct sql q;
    sql_init(&q, c->arena);
    sql_add(&q, "SELECT x.*, ");
    bool ok = author_sql(c, &q);
    sql_add(&q, " FROM (SELECT seq, at, who, entity, record, action, changes, why FROM perigee_log WHERE "
                "record = ");
    sql_bind_value(&q, value_of(VALUE_ID, id));
    sql_printf(&q, " AND entity = '%s' AND seq < ", e->name);
    sql_bind_value(&q, value_number(before, 0));
    for (size_t i = 0; ok && i < c->catalog->entity_count; i++)
        ok = part_sql(c, &q, c->catalog->entities[i], e, id, before);
    sql_add(&q, " ORDER BY 1 DESC LIMIT ");
    sql_bind_value(&q, value_number(limit, 0));
    sql_add(&q, ") AS x ORDER BY x.seq DESC");
    return sql_start(c, &q, ok);
}

/* A localized text is told in the caller's language, or in the one that it has. */
static void write_value(struct context *c, struct buf *b, const struct field *f, const struct json_value *v)
{
    if (f->localized && v->type == JSON_OBJECT && v->first) {
        const struct json_value *mine = json_member(v, str_of(lang_code(c->env.lang)));
        v = mine ? mine : v->first;
    }
    json_value_write(b, v);
}

/* What is granted on some rows only is left out: the row may have been another one then. */
static bool told(struct context *c, const struct entity *e, const struct json_value *change)
{
    const struct field *f = entity_field(e, change->key);
    bool may = f && (c->trusted || access_field(c->who, e, f, ACTION_READ) == ACCESS_ALWAYS);
    return may && change->first && change->first->next;
}

/* To whom some field is hidden it is not told either that something was changed of which they may not know,
 * nor why. */
static bool reads_all(struct context *c, const struct entity *e)
{
    return c->trusted || access_reads_all(c->who, e);
}

static bool any_told(struct context *c, const struct entity *e, const struct json_value *all)
{
    for (const struct json_value *m = all->first; m; m = m->next)
        if (told(c, e, m)) return true;
    return !all->first;
}

static void write_changes(struct context *c, const struct entity *e, const struct json_value *all,
                          struct buf *out)
{
    json_key(out, STR("changes"));
    json_array(out);
    for (const struct json_value *m = all->first; m; m = m->next) {
        if (!told(c, e, m)) continue;
        const struct field *f = entity_field(e, m->key);
        json_object(out);
        json_key(out, STR("field"));
        json_str(out, m->key);
        json_key(out, STR("label"));
        json_cstr(out, f->label.text[c->env.lang]);
        json_key(out, STR("old"));
        write_value(c, out, f, m->first);
        json_key(out, STR("new"));
        write_value(c, out, f, m->first->next);
        json_end_object(out);
    }
    json_end_array(out);
}

static void write_author(struct stmt *s, struct buf *out)
{
    json_key(out, STR("by"));
    if (stmt_int(s, 2) == 0) {
        json_null(out);
        return;
    }
    json_object(out);
    json_key(out, STR("id"));
    json_id(out, stmt_int(s, 2));
    json_key(out, STR("name"));
    if (stmt_null(s, 8))
        json_null(out);
    else
        json_str(out, stmt_text(s, 8));
    json_end_object(out);
}

/* "comment", "task", "document", … for what hangs on the record; else what was done: "create", "update",
 * "move", … */
static bool write_item(struct context *c, const struct entity *owner, struct stmt *s, struct buf *out)
{
    const struct entity *e = catalog_entity(c->catalog, stmt_text(s, 3));
    if (!e) return true; /* of an entity that is no longer declared */
    struct str action = stmt_text(s, 5), why = stmt_text(s, 7);
    struct json_value *changes = json_parse(c->arena, arena_str(c->arena, stmt_text(s, 6)), c->error);
    if (!changes) return false;
    if (str_is(action, "update") && !any_told(c, e, changes) && !reads_all(c, e)) return true;
    json_object(out);
    json_key(out, STR("position"));
    json_int(out, stmt_int(s, 0));
    json_key(out, STR("type"));
    json_str(out, e == owner ? action : str_of(e->name));
    json_key(out, STR("action"));
    json_str(out, action);
    json_key(out, STR("at"));
    json_datetime(out, stmt_int(s, 1));
    write_author(s, out);
    json_key(out, STR("entity"));
    json_cstr(out, e->name);
    json_key(out, STR("record"));
    json_id(out, stmt_int(s, 4));
    if (why.n && reads_all(c, e)) {
        json_key(out, STR("reason"));
        json_str(out, why);
    }
    write_changes(c, e, changes, out);
    json_end_object(out);
    return true;
}

static bool parse_position(struct context *c, struct str cursor, int64_t *before)
{
    *before = INT64_MAX;
    if (!cursor.n) return true;
    int64_t n = 0;
    for (size_t i = 0; i < cursor.n; i++) {
        if (cursor.p[i] < '0' || cursor.p[i] > '9' || n > INT64_MAX / 20) {
            error_add(c->error, "cursor", "bad_cursor", "the cursor is not one of a timeline",
                      "это не курсор ленты");
            return error_set(c->error, ERROR_BAD_REQUEST, "the cursor is not one of a timeline",
                             "это не курсор ленты");
        }
        n = n * 10 + (cursor.p[i] - '0');
    }
    *before = n;
    return true;
}

bool query_timeline(struct context *c, const struct entity *e, int64_t id, int64_t limit, struct str cursor,
                    struct buf *out)
{
    int64_t before, last = 0, n = 0;
    if (limit == 0) limit = LIMIT_DEFAULT;
    if (limit < 0 || limit > LIMIT_MAX) {
        error_add(c->error, "limit", "bad_limit", "limit is from 1 to %d", "limit: от 1 до %d", LIMIT_MAX);
        return error_set(c->error, ERROR_BAD_REQUEST, "limit is from 1 to %d", "limit: от 1 до %d",
                         LIMIT_MAX);
    }
    if (!visible(c, e, id) || !parse_position(c, cursor, &before)) return false;
    struct stmt *s = prepare(c, e, id, before, limit + 1);
    if (!s) return false;
    json_object(out);
    json_key(out, STR("items"));
    json_array(out);
    enum step step;
    bool ok = true;
    while (ok && (step = stmt_step(s, c->error)) == STEP_ROW && n++ < limit) {
        last = stmt_int(s, 0);
        ok = write_item(c, e, s, out);
    }
    db_release(s);
    json_end_array(out);
    if (n > limit) {
        char text[24];
        struct buf number;
        buf_init(&number, sizeof text);
        buf_int(&number, last);
        json_key(out, STR("next"));
        json_str(out, buf_view(&number));
        buf_free(&number);
    }
    json_end_object(out);
    if (!ok || step == STEP_ERROR) return false;
    return out->failed ? error_no_memory(c->error) : true;
}
