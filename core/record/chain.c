/* chain.c: task chains: entering a stage makes the tasks of its chain, once; finishing a task opens those
 * that wait for it.
 *
 * A task of a chain remembers its step. Tasks with predecessors start as "waiting" and get their due date
 * when the last predecessor is done. */
#include "record/internal.h"

#include "base/calendar.h"
#include "base/log.h"
#include "record/assign.h"

struct chain_row {
    struct str code, title, after, due, assignee, only_if;
    bool blocking, skipped; /* skipped: its condition does not hold for the record */
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
        "SELECT %s, %s, %s, %s, %s, %s, %s FROM %s WHERE active = 1 AND %s = ? ORDER BY %s, id LIMIT %d",
        column(e, "code"), column(e, "title"), column(e, "after"), column(e, "due"), column(e, "assignee"),
        column(e, "blocking"), column(e, "only_if"), e->table, column(e, "chain"), column(e, "order"),
        STEPS_MAX);
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
                                             .blocking = stmt_int(s, 5) != 0,
                                             .only_if = text_column(c, s, 6)};
    db_release(s);
    return step == STEP_DONE;
}

/* ---- due dates ---- */

/* "2d", "5d after call": days and weeks are working ones, hours and minutes those of the clock. */
static bool due_at(struct context *c, struct str due, int64_t *at)
{
    int64_t n = 0;
    size_t i = 0;
    for (; i < due.n && due.p[i] >= '0' && due.p[i] <= '9' && n < 10000; i++)
        n = n * 10 + (due.p[i] - '0');
    char unit = i < due.n ? due.p[i] : 'd';
    *at = c->env.now;
    if (unit == 'm' || unit == 'h') *at += n * (unit == 'm' ? 60000 : 3600000);
    return unit == 'm' || unit == 'h' || workday_add(c, *at, unit == 'w' ? n * 5 : n, at);
}

static bool due_value(struct context *c, const struct field *f, struct str due, struct value *out)
{
    int64_t at;
    *out = value_null();
    if (!f || due.n == 0) return true;
    if (!due_at(c, due, &at)) return false;
    *out = f->type == FIELD_DATE ? value_of(VALUE_DATE, timezone_day(c->env.zone, at))
                                 : value_of(VALUE_DATETIME, at);
    return true;
}

/* ---- assignees ---- */

#define OPEN_TASKS "status in (\"waiting\", \"open\", \"in_progress\")"

/* "responsible", or a path that ends at a user: "responsible.manager". */
static bool user_in_path(struct context *c, const struct record *r, struct str path, int64_t *user)
{
    const struct field *fields[FILTER_PATH_MAX];
    const struct entity *e = r->entity;
    size_t n = 0;
    *user = 0;
    for (struct str rest = path; rest.p && rest.n && n < FILTER_PATH_MAX; n++) {
        const struct field *f = e ? entity_field(e, str_cut(&rest, '.')) : NULL;
        if (!f || f->type != FIELD_REF || f->any) return true;
        fields[n] = f;
        e = f->to;
    }
    if (n == 0 || e != c->catalog->user) return true;
    struct value v;
    struct filter_record get = record_filter(c, (struct record *)(uintptr_t)r);
    if (!get.get(get.ctx, fields, n, &v, c->error)) return false;
    *user = v.type == VALUE_ID ? v.i : 0;
    return true;
}

static struct str member_text(const struct json_value *rule, struct str name)
{
    const struct json_value *m = json_member(rule, name);
    return m && m->type == JSON_STRING ? m->text : (struct str){"", 0};
}

/* {"field": …} first; where that is nobody, {"role": …, "group": …, "pick": …}, in the record's direction
 * when somebody fits there. */
static bool pick_by_rule(struct context *c, const struct record *r, const struct json_value *rule,
                         int64_t *user)
{
    const struct entity *t = c->catalog->task;
    const struct field *assignee = entity_field(t, STR("assignee")),
                       *direction = entity_field(r->entity, STR("direction"));
    struct str field = member_text(rule, STR("field"));
    if (field.n && !user_in_path(c, r, field, user)) return false;
    if (*user) return true;
    struct assign_rule wanted = {.role = member_text(rule, STR("role")),
                                 .group = member_text(rule, STR("group")),
                                 .round_robin = str_is(member_text(rule, STR("pick")), "round_robin")};
    if ((!wanted.role.n && !wanted.group.n) || !assignee) return true;
    if (direction && r->values[direction->index].type == VALUE_TEXT)
        wanted.direction = r->values[direction->index].s;
    if (!assign_pick(c, &wanted, t, assignee, STR(OPEN_TASKS), user)) return false;
    if (*user || !wanted.direction.n) return true;
    wanted.direction = (struct str){"", 0};
    return assign_pick(c, &wanted, t, assignee, STR(OPEN_TASKS), user);
}

/* A rule is the name of a field, or an object as above; whoever is responsible stands in for nobody, and a
 * deputy for the absent. */
static bool pick_assignee(struct context *c, const struct record *r, const struct chain_row *row,
                          const struct chain_step_decl *decl, int64_t *user)
{
    *user = 0;
    if (decl && decl->assignee && c->hooks && c->hooks->assignee) {
        if (!c->hooks->assignee(c, decl->assignee, r, user)) return false;
    } else if (row->assignee.n) {
        struct json_value *rule = json_parse(c->arena, row->assignee, c->error);
        if (!rule) return false;
        if (rule->type == JSON_STRING && !user_in_path(c, r, rule->text, user)) return false;
        if (rule->type == JSON_OBJECT && !pick_by_rule(c, r, rule, user)) return false;
    }
    if (*user == 0 && !user_in_path(c, r, STR("responsible"), user)) return false;
    if (*user == 0) *user = c->who->id;
    return assign_deputy(c, user);
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

/* `after` names steps by their whole code ("discovery.brief") or by what follows the chain's. */
static const struct chain_row *row_named(const struct chain_row *rows, size_t n, struct str chain,
                                         struct str code)
{
    for (size_t i = 0; i < n; i++) {
        struct str full = rows[i].code;
        if (str_eq(full, code)) return &rows[i];
        if (full.n == chain.n + 1 + code.n && str_starts(full, chain) && full.p[chain.n] == '.' &&
            memcmp(full.p + chain.n + 1, code.p, code.n) == 0)
            return &rows[i];
    }
    return NULL;
}

/* The steps that a step comes after; steps that are left out stand for those that they come after. */
static bool each_before(struct context *c, const struct chain_row *rows, size_t n, struct str chain,
                        const struct chain_row *row, int depth,
                        bool (*see)(struct context *c, void *ctx, const struct chain_row *before), void *ctx)
{
    struct json_value *after = row->after.n > 2 ? json_parse(c->arena, row->after, c->error) : NULL;
    if (!after) return row->after.n <= 2;
    for (struct json_value *a = after->type == JSON_ARRAY ? after->first : after; a; a = a->next) {
        const struct chain_row *before = row_named(rows, n, chain, a->text);
        if (!before || depth > STEPS_MAX) continue;
        bool ok = before->skipped ? each_before(c, rows, n, chain, before, depth + 1, see, ctx)
                                  : see(c, ctx, before);
        if (!ok) return false;
    }
    return true;
}

static bool make_task(struct context *c, struct record *r, const struct chain_row *row, bool waits,
                      const struct chain_step_decl *decl)
{
    const struct entity *t = c->catalog->task;
    struct draft d;
    int64_t user;
    if (!draft_new(c, t, &d) || !pick_assignee(c, r, row, decl, &user)) return false;
    struct value due = value_null();
    if (!waits && !due_value(c, entity_field(t, STR("due")), row->due, &due)) return false;
    const struct field *title = entity_field(t, STR("title"));
    if (title)
        draft_set(&d, "title", value_text(task_title(c, title, row->title.n ? row->title : row->code)));
    draft_set(&d, "record", value_of(VALUE_ID, r->id));
    d.any[entity_field(t, STR("record"))->index] = r->entity->name;
    draft_set(&d, "chain_step", value_text(row->code));
    draft_set(&d, "assignee", user ? value_of(VALUE_ID, user) : value_null());
    draft_set(&d, "status", value_text(waits ? STR("waiting") : STR("open")));
    draft_set(&d, "blocking", value_of(VALUE_BOOL, row->blocking));
    draft_set(&d, "due", due);
    return record_create(c, t, d.values, d.any, d.touched, NULL);
}

static const struct chain_step_decl *step_decl(struct context *c, struct str chain, struct str code)
{
    const struct chain_decl *decl = catalog_chain(c->catalog, chain);
    return decl ? chain_step_find(decl, code) : NULL;
}

/* A condition that cannot be read is told in the log, and the task is made: too many rather than too few. */
static bool ask_condition(struct context *c, struct record *r, struct chain_row *row)
{
    if (!row->only_if.n) return true;
    struct error mine;
    error_init(&mine, c->arena, LANG_EN);
    const struct filter *f =
        filter_parse(c->arena, c->catalog, r->entity, row->only_if, "only_if", NULL, 0, NULL, &mine);
    if (!f) {
        LOG(LOG_WARN, "the condition of a chain's step is wrong", log_str("step", row->code),
            log_s("error", mine.detail ? mine.detail : ""));
        return true;
    }
    bool yes = true;
    struct filter_record get = record_filter(c, r);
    if (!filter_eval(f, &get, &c->env, c->arena, &yes, c->error)) return false;
    row->skipped = !yes;
    return true;
}

static bool see_any(struct context *c, void *ctx, const struct chain_row *before)
{
    (void)c, (void)before;
    *(bool *)ctx = true;
    return true;
}

static bool make_tasks(struct context *c, struct record *r, struct str chain, struct chain_row *rows,
                       size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!ask_condition(c, r, &rows[i])) return false;
    for (size_t i = 0; i < n; i++) {
        bool waits = false;
        if (rows[i].skipped) continue;
        if (!each_before(c, rows, n, chain, &rows[i], 0, see_any, &waits)) return false;
        if (!make_task(c, r, &rows[i], waits, step_decl(c, chain, rows[i].code))) return false;
    }
    return true;
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
    bool ok = make_tasks(c, r, chain, rows, n);
    c->trusted = trusted;
    return ok;
}

#define CHAINS_MAX 50

/* The chain that the stage names, and those that name the stage. */
bool chain_start_stage(struct context *c, struct record *r, struct str stage, struct str chain)
{
    const struct entity *e = c->catalog->chain;
    const struct field *f = e ? entity_field(e, STR("stage")) : NULL;
    if (chain.n && !chain_start(c, r, chain)) return false;
    if (!f || !f->column || !e->code) return true;
    struct str codes[CHAINS_MAX];
    size_t n = 0;
    char *sql = arena_printf(c->arena, "SELECT %s FROM %s WHERE active = 1 AND %s = ? ORDER BY id LIMIT %d",
                             e->code->column, e->table, f->column, CHAINS_MAX);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, stage);
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW)
        codes[n++] = text_column(c, s, 0);
    db_release(s);
    if (step != STEP_DONE) return false;
    for (size_t i = 0; i < n; i++)
        if (!str_eq(codes[i], chain) && !chain_start(c, r, codes[i])) return false;
    return true;
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

struct waiting {
    int64_t record;
    bool done; /* every step before it is */
};

static bool see_done(struct context *c, void *ctx, const struct chain_row *before)
{
    struct waiting *w = ctx;
    int64_t id;
    struct str status = {"", 0};
    if (!task_of_step(c, w->record, before->code, &id, &status)) return false;
    if (id && !str_is(status, "done") && !str_is(status, "cancelled")) w->done = false;
    return true;
}

static bool open_task(struct context *c, int64_t id, struct str due)
{
    const struct entity *t = c->catalog->task;
    struct draft d;
    struct record *out;
    struct value at;
    if (!draft_new(c, t, &d) || !due_value(c, entity_field(t, STR("due")), due, &at)) return false;
    draft_set(&d, "status", value_text(STR("open")));
    draft_set(&d, "due", at);
    return record_change(c, t, id, d.values, d.any, d.touched, 0, &out);
}

/* A step without a task was left out when the chain began. */
static bool mark_skipped(struct context *c, int64_t record, struct chain_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t id;
        struct str status = {"", 0};
        if (!task_of_step(c, record, rows[i].code, &id, &status)) return false;
        rows[i].skipped = id == 0;
    }
    return true;
}

static bool open_waiting(struct context *c, int64_t record, struct str chain)
{
    struct chain_row *rows = arena_array(c->arena, STEPS_MAX, sizeof *rows);
    size_t n;
    if (!rows) return error_no_memory(c->error);
    if (!load_steps(c, chain, rows, &n) || !mark_skipped(c, record, rows, n)) return false;
    for (size_t i = 0; i < n; i++) {
        struct waiting w = {record, true};
        int64_t id;
        struct str status = {"", 0};
        if (!task_of_step(c, record, rows[i].code, &id, &status)) return false;
        if (!id || !str_is(status, "waiting")) continue;
        if (!each_before(c, rows, n, chain, &rows[i], 0, see_done, &w)) return false;
        if (w.done && !open_task(c, id, rows[i].due)) return false;
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
    bool ok = open_waiting(c, owner.i, chain);
    c->trusted = trusted;
    const struct chain_step_decl *decl = step_decl(c, chain, code.s);
    const struct field *status = entity_field(task->entity, STR("status"));
    bool done = status && str_is(task->values[status->index].s, "done");
    if (!ok || !done || !decl || !decl->on_done || !c->hooks || !c->hooks->done) return ok;
    const char *name = task->any_entity[record->index];
    const struct entity *e = name ? catalog_entity(c->catalog, str_of(name)) : NULL;
    struct record *r = e ? record_load(c, e, owner.i) : NULL;
    return r ? c->hooks->done(c, decl->on_done, task, r) : c->error->kind == ERROR_NONE;
}
