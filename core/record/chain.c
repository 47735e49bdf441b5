/* chain.c: task chains: entering a stage makes the tasks of its chain, once; finishing a task opens those
 * that wait for it.
 *
 * A task of a chain remembers its step. Tasks with predecessors start as "waiting" and get their due date
 * when the last predecessor is done. */
#include "record/internal.h"

#include "base/calendar.h"

struct chain_row {
    struct str code, title, after, due, assignee;
    bool blocking;
};

#define STEPS_MAX 100

static const char *column(const struct entity *e, const char *name)
{
    const struct field *f = entity_field(e, str_of(name));
    return f && f->column ? f->column : "NULL";
}

static struct str text_column(struct context *c, struct stmt *s, int at)
{
    return stmt_null(s, at) ? (struct str){"", 0} : arena_str(c->arena, stmt_text(s, at));
}

static bool load_steps(struct context *c, struct str chain, struct chain_row *out, size_t *count)
{
    const struct entity *e = c->catalog->chain_step;
    *count = 0;
    if (!e) return true;
    char *sql = arena_printf(
        c->arena,
        "SELECT %s, %s, %s, %s, %s, %s FROM %s WHERE active = 1 AND %s = ? ORDER BY %s, id LIMIT %d",
        column(e, "code"), column(e, "title"), column(e, "after"), column(e, "due"), column(e, "assignee"),
        column(e, "blocking"), e->table, column(e, "chain"), column(e, "order"), STEPS_MAX);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, chain);
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW)
        out[(*count)++] = (struct chain_row){.code = text_column(c, s, 0),
                                             .title = text_column(c, s, 1),
                                             .after = text_column(c, s, 2),
                                             .due = text_column(c, s, 3),
                                             .assignee = text_column(c, s, 4),
                                             .blocking = stmt_int(s, 5) != 0};
    db_release(s);
    return step == STEP_DONE;
}

/* ---- due dates ---- */

/* "2d", "5d after call": the number and unit in front; days when there is nothing to read. */
static int64_t due_ms(struct str due)
{
    int64_t n = 0;
    size_t i = 0;
    for (; i < due.n && due.p[i] >= '0' && due.p[i] <= '9' && n < 100000; i++)
        n = n * 10 + (due.p[i] - '0');
    char unit = i < due.n ? due.p[i] : 'd';
    switch (unit) {
    case 'm': return n * 60000;
    case 'h': return n * 3600000;
    case 'w': return n * 7 * DAY_MS;
    default: return n * DAY_MS;
    }
}

static struct value due_value(struct context *c, const struct field *f, struct str due)
{
    if (!f || due.n == 0) return value_null();
    int64_t at = c->env.now + due_ms(due);
    if (f->type == FIELD_DATE) return value_of(VALUE_DATE, timezone_day(c->env.zone, at));
    return value_of(VALUE_DATETIME, at);
}

/* ---- assignees ---- */

/* The active user of a role with the fewest open tasks (ties: the longest known). 0 when the role has nobody.
 */
static bool pick_of_role(struct context *c, struct str role, int64_t *user)
{
    const struct entity *u = c->catalog->user, *t = c->catalog->task;
    const struct field *roles = u ? entity_field(u, STR("roles")) : NULL,
                       *assignee = t ? entity_field(t, STR("assignee")) : NULL,
                       *status = t ? entity_field(t, STR("status")) : NULL;
    *user = 0;
    if (!roles || !roles->link_table || !assignee || !status) return true;
    char *sql = arena_printf(
        c->arena,
        "SELECT u.id FROM %s AS u JOIN %s AS r ON r.owner = u.id WHERE r.target = ? AND u.active = 1 "
        "ORDER BY (SELECT count(*) FROM %s AS k WHERE k.%s = u.id AND k.active = 1 AND k.%s NOT IN ('done', "
        "'cancelled')), u.id LIMIT 1",
        u->table, roles->link_table, t->table, assignee->column, status->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, role);
    enum step step = stmt_step(s, c->error);
    if (step == STEP_ROW) *user = stmt_int(s, 0);
    db_release(s);
    return step != STEP_ERROR;
}

static int64_t user_in_field(const struct record *r, struct str name)
{
    const struct field *f = entity_field(r->entity, name);
    if (!f || f->type != FIELD_REF || !f->to || !str_is(str_of(f->to->name), "user")) return 0;
    return r->values[f->index].type == VALUE_ID ? r->values[f->index].i : 0;
}

/* A rule is the name of a field, or {"role":"crm_presale"}; whoever is responsible stands in. */
static bool pick_assignee(struct context *c, const struct record *r, const struct chain_row *row,
                          const struct chain_step_decl *decl, int64_t *user)
{
    *user = 0;
    if (decl && decl->assignee && c->hooks && c->hooks->assignee) {
        if (!c->hooks->assignee(c, decl->assignee, r, user)) return false;
    } else if (row->assignee.n && (row->assignee.p[0] == '{' || row->assignee.p[0] == '"')) {
        struct json_value *rule = json_parse(c->arena, row->assignee, c->error);
        if (!rule) return false;
        const struct json_value *role = json_member(rule, STR("role")),
                                *field = json_member(rule, STR("field"));
        if (rule->type == JSON_STRING) *user = user_in_field(r, rule->text);
        if (role && !pick_of_role(c, role->text, user)) return false;
        if (field) *user = user_in_field(r, field->text);
    } else if (row->assignee.n) {
        *user = user_in_field(r, row->assignee);
    }
    if (*user == 0) *user = user_in_field(r, STR("responsible"));
    if (*user == 0) *user = c->who->id;
    return true;
}

/* ---- making tasks ---- */

static bool already_started(struct context *c, const struct record *r, struct str chain, bool *started)
{
    const struct entity *t = c->catalog->task, *e = c->catalog->chain_step;
    const struct field *record = entity_field(t, STR("record")), *step = entity_field(t, STR("chain_step"));
    char *sql = arena_printf(
        c->arena, "SELECT 1 FROM %s WHERE %s = ? AND %s IN (SELECT %s FROM %s WHERE %s = ?) LIMIT 1",
        t->table, record->column, step->column, e->code->column, e->table, column(e, "chain"));
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, r->id);
    stmt_bind_text(s, 2, chain);
    enum step got = stmt_step(s, c->error);
    db_release(s);
    *started = got == STEP_ROW;
    return got != STEP_ERROR;
}

struct draft { /* a record under construction */
    const struct entity *e;
    struct value *values;
    const char **any;
    bool *touched;
};

static bool draft_new(struct context *c, const struct entity *e, struct draft *d)
{
    *d = (struct draft){e, arena_array(c->arena, e->field_count, sizeof *d->values),
                        arena_array(c->arena, e->field_count, sizeof *d->any),
                        arena_array(c->arena, e->field_count, sizeof *d->touched)};
    return d->values && d->any && d->touched ? true : error_no_memory(c->error);
}

static void draft_set(struct draft *d, const char *name, struct value v)
{
    const struct field *f = entity_field(d->e, str_of(name));
    if (!f) return;
    d->values[f->index] = v;
    d->touched[f->index] = true;
}

/* A localized title is kept in both languages when the task's title can, else said in the reader's. */
static struct str task_title(struct context *c, const struct field *f, struct str title)
{
    if (f->localized || title.n == 0 || title.p[0] != '{') return title;
    struct json_value *v = json_parse(c->arena, title, c->error);
    const struct json_value *m = v ? json_member(v, str_of(lang_code(c->env.lang))) : NULL;
    if (v && !m) m = v->first;
    return m ? m->text : title;
}

static bool make_task(struct context *c, struct record *r, const struct chain_row *row,
                      const struct chain_step_decl *decl)
{
    const struct entity *t = c->catalog->task;
    struct draft d;
    int64_t user;
    if (!draft_new(c, t, &d) || !pick_assignee(c, r, row, decl, &user)) return false;
    bool waits = row->after.n > 2;
    const struct field *title = entity_field(t, STR("title"));
    if (title)
        draft_set(&d, "title", value_text(task_title(c, title, row->title.n ? row->title : row->code)));
    draft_set(&d, "record", value_of(VALUE_ID, r->id));
    d.any[entity_field(t, STR("record"))->index] = r->entity->name;
    draft_set(&d, "chain_step", value_text(row->code));
    draft_set(&d, "assignee", user ? value_of(VALUE_ID, user) : value_null());
    draft_set(&d, "status", value_text(waits ? STR("waiting") : STR("open")));
    draft_set(&d, "blocking", value_of(VALUE_BOOL, row->blocking));
    if (!waits) draft_set(&d, "due", due_value(c, entity_field(t, STR("due")), row->due));
    struct record *task;
    return record_create(c, t, d.values, d.any, d.touched, &task);
}

static const struct chain_step_decl *step_decl(struct context *c, struct str chain, struct str code)
{
    const struct chain_decl *decl = catalog_chain(c->catalog, chain);
    return decl ? chain_step_find(decl, code) : NULL;
}

bool chain_start(struct context *c, struct record *r, struct str chain)
{
    const struct entity *t = c->catalog->task;
    if (!t || !c->catalog->chain_step || !entity_field(t, STR("record")) ||
        !entity_field(t, STR("chain_step")))
        return true;
    struct chain_row *rows = arena_array(c->arena, STEPS_MAX, sizeof *rows);
    size_t n;
    bool started = false;
    if (!rows) return error_no_memory(c->error);
    if (!already_started(c, r, chain, &started)) return false;
    if (started) return true;
    if (!load_steps(c, chain, rows, &n)) return false;
    bool trusted = c->trusted;
    c->trusted = true; /* the tasks are the server's consequence, not the mover's wish */
    bool ok = true;
    for (size_t i = 0; i < n && ok; i++)
        ok = make_task(c, r, &rows[i], step_decl(c, chain, rows[i].code));
    c->trusted = trusted;
    return ok;
}

/* ---- finishing tasks ---- */

static bool chain_of_step(struct context *c, struct str step, struct str *chain)
{
    const struct entity *e = c->catalog->chain_step;
    *chain = (struct str){"", 0};
    char *sql = arena_printf(c->arena, "SELECT %s FROM %s WHERE %s = ?", column(e, "chain"), e->table,
                             e->code->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, step);
    enum step got = stmt_step(s, c->error);
    if (got == STEP_ROW) *chain = text_column(c, s, 0);
    db_release(s);
    return got != STEP_ERROR;
}

/* The task of a step of this record: its id and status. *id = 0 when there is none. */
static bool task_of_step(struct context *c, int64_t record, struct str step, int64_t *id, struct str *status)
{
    const struct entity *t = c->catalog->task;
    *id = 0;
    char *sql = arena_printf(
        c->arena, "SELECT id, %s FROM %s WHERE %s = ? AND %s = ? AND active = 1 ORDER BY id DESC LIMIT 1",
        column(t, "status"), t->table, column(t, "record"), column(t, "chain_step"));
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, record);
    stmt_bind_text(s, 2, step);
    enum step got = stmt_step(s, c->error);
    if (got == STEP_ROW) {
        *id = stmt_int(s, 0);
        *status = text_column(c, s, 1);
    }
    db_release(s);
    return got != STEP_ERROR;
}

/* `after` is a JSON array of step codes, with or without the chain in front ("call" or "qualify.call"). */
static bool all_done(struct context *c, int64_t record, const struct chain_row *row, struct str chain,
                     struct str finished, bool *concerned, bool *done)
{
    *concerned = false;
    *done = true;
    struct json_value *after = row->after.n > 2 ? json_parse(c->arena, row->after, c->error) : NULL;
    if (!after) return row->after.n <= 2;
    for (struct json_value *a = after->type == JSON_ARRAY ? after->first : after; a; a = a->next) {
        struct str code = a->text;
        int64_t id;
        struct str status = {"", 0};
        if (!task_of_step(c, record, code, &id, &status)) return false;
        if (id == 0) {
            code = str_of(arena_printf(c->arena, "%.*s.%.*s", STR_ARG(chain), STR_ARG(a->text)));
            if (!code.p) return error_no_memory(c->error);
            if (!task_of_step(c, record, code, &id, &status)) return false;
        }
        *concerned = *concerned || str_eq(code, finished);
        if (id && !str_is(status, "done") && !str_is(status, "cancelled")) *done = false;
    }
    return true;
}

static bool open_task(struct context *c, int64_t id, struct str due)
{
    const struct entity *t = c->catalog->task;
    struct draft d;
    struct record *out;
    if (!draft_new(c, t, &d)) return false;
    draft_set(&d, "status", value_text(STR("open")));
    draft_set(&d, "due", due_value(c, entity_field(t, STR("due")), due));
    return record_change(c, t, id, d.values, d.any, d.touched, 0, &out);
}

static bool open_waiting(struct context *c, int64_t record, struct str chain, struct str finished)
{
    struct chain_row *rows = arena_array(c->arena, STEPS_MAX, sizeof *rows);
    size_t n;
    if (!rows) return error_no_memory(c->error);
    if (!load_steps(c, chain, rows, &n)) return false;
    for (size_t i = 0; i < n; i++) {
        bool concerned, done;
        int64_t id;
        struct str status = {"", 0};
        if (!all_done(c, record, &rows[i], chain, finished, &concerned, &done)) return false;
        if (!concerned || !done) continue;
        if (!task_of_step(c, record, rows[i].code, &id, &status)) return false;
        if (id && str_is(status, "waiting") && !open_task(c, id, rows[i].due)) return false;
    }
    return true;
}

bool chain_task_done(struct context *c, struct record *task)
{
    const struct field *record = entity_field(task->entity, STR("record")),
                       *step = entity_field(task->entity, STR("chain_step"));
    if (!record || !step || !c->catalog->chain_step) return true;
    struct value owner = task->values[record->index], code = task->values[step->index];
    if (owner.type != VALUE_ID || code.type != VALUE_TEXT) return true;
    struct str chain;
    if (!chain_of_step(c, code.s, &chain)) return false;
    bool trusted = c->trusted;
    c->trusted = true;
    bool ok = open_waiting(c, owner.i, chain, code.s);
    c->trusted = trusted;
    const struct chain_step_decl *decl = step_decl(c, chain, code.s);
    if (!ok || !decl || !decl->on_done || !c->hooks || !c->hooks->done) return ok;
    const char *name = task->any_entity[record->index];
    const struct entity *e = name ? catalog_entity(c->catalog, str_of(name)) : NULL;
    struct record *r = e ? record_load(c, e, owner.i) : NULL;
    return r ? c->hooks->done(c, decl->on_done, task, r) : c->error->kind == ERROR_NONE;
}
