/* stage.c: moving through a pipeline (design §6): what a stage asks is enforced here, in the storage path, so
 * that the board, the form, the API, an import and a script all meet the same rule. Every missing thing is
 * listed at once. */
#include "record/internal.h"
#include "record/plan.h"

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"

struct stage {
    struct str code, name, require, documents, chain, step;
    int64_t order, probability; /* probability at scale 2 */
    bool skippable;
};

struct stages {
    struct stage *all; /* active ones in order */
    size_t count;
};

static struct str text_column(struct context *c, struct stmt *s, int at)
{
    return stmt_null(s, at) ? (struct str){"", 0} : arena_str(c->arena, stmt_text(s, at));
}

/* A column of the stage table, or NULL in its place when the field was not declared. */
static const char *column(const struct entity *e, const char *name)
{
    const struct field *f = entity_field(e, str_of(name));
    return f && f->column ? f->column : "NULL";
}

#define STAGES_MAX 200

static bool read_stages(struct context *c, const struct pipeline *p, struct stages *out)
{
    const struct entity *e = c->catalog->stage;
    if (!e || !e->code)
        return error_set(c->error, ERROR_INTERNAL, "no entity \"stage\" is declared",
                         "не объявлена сущность stage");
    char *sql = arena_printf(
        c->arena,
        "SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s FROM %s WHERE active = 1 AND coalesce(%s, ?1) = ?1 "
        "ORDER BY %s, id LIMIT %d",
        e->code->column, column(e, "name"), column(e, "require"), column(e, "documents"), column(e, "chain"),
        column(e, "lifecycle_step"), column(e, "order"), column(e, "probability"), column(e, "skippable"),
        e->table, column(e, "pipeline"), column(e, "order"), STAGES_MAX);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    out->all = arena_array(c->arena, STAGES_MAX, sizeof *out->all);
    if (!s || !out->all) {
        db_release(s);
        return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    }
    stmt_bind_text(s, 1, str_of(p->name));
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW)
        out->all[out->count++] = (struct stage){.code = text_column(c, s, 0),
                                                .name = text_column(c, s, 1),
                                                .require = text_column(c, s, 2),
                                                .documents = text_column(c, s, 3),
                                                .chain = text_column(c, s, 4),
                                                .step = text_column(c, s, 5),
                                                .order = stmt_int(s, 6),
                                                .probability = stmt_int(s, 7),
                                                .skippable = stmt_int(s, 8) != 0};
    db_release(s);
    return step == STEP_DONE;
}

/* As a block without pointers: the stages, each text as its place among the texts behind them. */
#define STAGE_TEXTS 6

static void texts_of(struct stage *s, struct str *texts[STAGE_TEXTS])
{
    struct str *all[STAGE_TEXTS] = {&s->code, &s->name, &s->require, &s->documents, &s->chain, &s->step};
    memcpy(texts, all, sizeof all);
}

static void keep_stages(struct context *c, struct str key, const struct stages *stages)
{
    struct str *texts[STAGE_TEXTS];
    size_t structs = stages->count * sizeof(struct stage), size = structs;
    for (size_t i = 0; i < stages->count; i++) {
        texts_of(&stages->all[i], texts);
        for (size_t k = 0; k < STAGE_TEXTS; k++)
            size += texts[k]->n;
    }
    char *block = size ? arena_alloc(c->arena, size) : NULL, *at = block ? block + structs : NULL;
    if (!block) return;
    memcpy(block, stages->all, structs);
    for (size_t i = 0; i < stages->count; i++) {
        texts_of(&((struct stage *)(void *)block)[i], texts);
        for (size_t k = 0; k < STAGE_TEXTS; k++) {
            if (texts[k]->n) memcpy(at, texts[k]->p, texts[k]->n);
            texts[k]->p = (const char *)(uintptr_t)(at - block);
            at += texts[k]->n;
        }
    }
    plan_remember(c, key, block, size);
}

static bool recall_stages(struct context *c, struct str key, struct stages *out)
{
    struct str *texts[STAGE_TEXTS];
    size_t size;
    char *block = plan_recall(c, key, &size);
    if (!block) return false;
    out->all = (struct stage *)(void *)block;
    /* The first text stands right behind the last stage. */
    out->count = (size_t)(uintptr_t)out->all[0].code.p / sizeof *out->all;
    for (size_t i = 0; i < out->count; i++) {
        texts_of(&out->all[i], texts);
        for (size_t k = 0; k < STAGE_TEXTS; k++)
            texts[k]->p = block + (uintptr_t)texts[k]->p;
    }
    return true;
}

static bool load_stages(struct context *c, const struct pipeline *p, struct stages *out)
{
    const char *name = arena_printf(c->arena, "stages %s", p->name);
    struct str key = str_of(name);
    if (!name) return error_no_memory(c->error);
    if (recall_stages(c, key, out)) return true;
    if (!read_stages(c, p, out)) return false;
    keep_stages(c, key, out);
    return true;
}

static const struct stage *find(const struct stages *s, struct str code)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(s->all[i].code, code)) return &s->all[i];
    return NULL;
}

/* A localized name in the language of the answer. */
static const char *stage_name(struct context *c, const struct stage *s)
{
    struct str shown = s->name;
    if (s->name.n && s->name.p[0] == '{') {
        struct json_value *v = json_parse(c->arena, s->name, c->error);
        const struct json_value *m = v ? json_member(v, str_of(lang_code(c->error->lang))) : NULL;
        shown = m && m->type == JSON_STRING ? m->text : s->code;
    }
    char *text = arena_dup(c->arena, shown.n ? shown : s->code);
    return text ? text : "";
}

bool stage_default(struct context *c, struct record *r)
{
    const struct field *f = r->entity->stage;
    if (!f || r->values[f->index].type != VALUE_NULL) return true;
    struct stages stages = {0};
    if (!load_stages(c, f->pipeline, &stages)) return false;
    if (stages.count) r->values[f->index] = value_text(stages.all[0].code);
    return true;
}

/* ---- what a stage asks ---- */

/* "amount", or a path to something that it leads to: "company.tax_id". *last is the field at its end. */
static bool value_at(struct context *c, struct record *r, struct str path, const struct field **last,
                     struct value *out)
{
    const struct field *fields[FILTER_PATH_MAX];
    const struct entity *e = r->entity;
    size_t n = 0;
    *last = NULL;
    for (struct str rest = path; rest.p && rest.n; n++) {
        const struct field *f = e && n < FILTER_PATH_MAX ? entity_field(e, str_cut(&rest, '.')) : NULL;
        if (!f) return true;
        fields[n] = f;
        e = f->type == FIELD_STAGE ? c->catalog->stage : f->type == FIELD_REF ? f->to : NULL;
    }
    if (n == 0) return true;
    *last = fields[n - 1];
    struct filter_record get = record_filter(c, r);
    return get.get(get.ctx, fields, n, out, c->error);
}

static bool ask_fields(struct context *c, struct record *r, const struct stage *to)
{
    struct json_value *names = to->require.n ? json_parse(c->arena, to->require, c->error) : NULL;
    if (!names) return to->require.n == 0;
    for (struct json_value *n = names->first; n; n = n->next) {
        const struct field *f;
        struct value v = value_null();
        if (!value_at(c, r, n->text, &f, &v)) return false;
        if (!f) {
            error_add(c->error, "/stage", "unknown_requirement",
                      "the stage asks for \"%.*s\", which is no field",
                      "этап требует поле «%.*s», которого нет", STR_ARG(n->text));
            continue;
        }
        if (!value_empty(v)) continue;
        struct str rest = n->text;
        const struct field *first = entity_field(r->entity, str_cut(&rest, '.'));
        if (first == f)
            error_add(c->error, field_pointer(c, f), "required", "%s is required", "Не заполнено поле «%s»",
                      field_label(c, f));
        else
            error_add(c->error, arena_printf(c->arena, "/%.*s", STR_ARG(n->text)), "required",
                      "%s: %s is required", "%s: не заполнено поле «%s»", field_label(c, first),
                      field_label(c, f));
    }
    return true;
}

static bool has_document(struct context *c, const struct record *r, struct str kind, bool *found)
{
    const struct entity *d = c->catalog->document;
    const struct field *record = d ? entity_field(d, STR("record")) : NULL,
                       *k = d ? entity_field(d, STR("kind")) : NULL;
    *found = false;
    if (!record || !k) return true;
    char *sql = arena_printf(c->arena, "SELECT 1 FROM %s WHERE %s = ? AND %s = ? AND active = 1 LIMIT 1",
                             d->table, record->column, k->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, r->id);
    stmt_bind_text(s, 2, kind);
    enum step step = stmt_step(s, c->error);
    db_release(s);
    *found = step == STEP_ROW;
    return step != STEP_ERROR;
}

/* The name of a kind of document: an option of the field, or a record of the setting that it refers to. */
static bool document_label(struct context *c, struct str kind, struct str *label)
{
    const struct field *k = c->catalog->document ? entity_field(c->catalog->document, STR("kind")) : NULL;
    *label = kind;
    for (size_t i = 0; k && i < k->option_count; i++)
        if (str_is(kind, k->options[i].value)) *label = str_of(k->options[i].label.text[c->error->lang]);
    if (!k || !k->to || !k->to->code || !k->to->title || !k->to->title->column) return true;
    char *sql = arena_printf(c->arena, "SELECT label(%s, ?) FROM %s WHERE %s = ?", k->to->title->column,
                             k->to->table, k->to->code->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, str_of(lang_code(c->error->lang)));
    stmt_bind_text(s, 2, kind);
    enum step step = stmt_step(s, c->error);
    if (step == STEP_ROW && !stmt_null(s, 0)) *label = text_column(c, s, 0);
    db_release(s);
    return step != STEP_ERROR;
}

static bool ask_documents(struct context *c, struct record *r, const struct stage *to)
{
    struct json_value *kinds = to->documents.n ? json_parse(c->arena, to->documents, c->error) : NULL;
    if (!kinds) return to->documents.n == 0;
    for (struct json_value *k = kinds->first; k; k = k->next) {
        bool found;
        struct str label;
        if (!has_document(c, r, k->text, &found) || !document_label(c, k->text, &label)) return false;
        if (!found)
            error_add(c->error, "/documents", "document_required", "Document is missing: %.*s",
                      "Не приложен документ: %.*s", STR_ARG(label));
    }
    return true;
}

static void ask_probability(struct context *c, struct record *r, const struct stage *to)
{
    const struct field *f = entity_field(r->entity, STR("probability"));
    if (!f || f->type != FIELD_PERCENT || to->probability == 0) return;
    struct value v = r->values[f->index];
    if (v.type != VALUE_NULL && v.i >= to->probability) return;
    char minimum[24];
    decimal_format(to->probability, 2, minimum);
    error_add(c->error, field_pointer(c, f), "too_low", "%s must be at least %s for the stage %s",
              "Поле «%s»: не меньше %s для этапа «%s»", field_label(c, f), minimum, stage_name(c, to));
}

static bool ask_blocking_tasks(struct context *c, struct record *r)
{
    const struct entity *t = c->catalog->task;
    const struct field *record = t ? entity_field(t, STR("record")) : NULL,
                       *blocking = t ? entity_field(t, STR("blocking")) : NULL,
                       *status = t ? entity_field(t, STR("status")) : NULL,
                       *title = t ? entity_field(t, STR("title")) : NULL;
    if (!record || !blocking || !status || !title) return true;
    char *sql = arena_printf(c->arena,
                             "SELECT label(%s, ?) FROM %s WHERE %s = ? AND %s = 1 AND active = 1 AND %s NOT "
                             "IN ('done', 'cancelled') LIMIT 20",
                             title->column, t->table, record->column, blocking->column, status->column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_text(s, 1, str_of(lang_code(c->error->lang)));
    stmt_bind_int(s, 2, r->id);
    enum step step;
    while ((step = stmt_step(s, c->error)) == STEP_ROW)
        error_add(c->error, "/tasks", "blocking_task", "Task is not finished: %.*s",
                  "Не завершена задача: %.*s", STR_ARG(stmt_text(s, 0)));
    db_release(s);
    return step == STEP_DONE;
}

/* ---- who may move where ---- */

static bool holds(struct context *c, const struct filter *f, struct record *r, bool *yes)
{
    struct filter_record get = record_filter(c, r);
    return filter_eval(f, &get, &c->env, c->arena, yes, c->error);
}

/* The mover's rule looks at the record as it was: one cannot become responsible and move in one step. */
static bool ask_mover(struct context *c, struct record *before, const struct pipeline *p)
{
    bool yes = true;
    if (p->move && !c->trusted && !holds(c, p->move, before, &yes)) return false;
    if (!yes)
        error_add(c->error, "/stage", "not_mover", "Only those whom the pipeline names may move it (%s)",
                  "Переводить по этапам могут только те, кто назван в воронке (%s)",
                  p->move_text ? p->move_text : "");
    return true;
}

bool record_may_move(struct context *c, struct record *r, bool *yes)
{
    const struct pipeline *p = r->entity->pipeline;
    *yes = true;
    return !p || !p->move || c->trusted || holds(c, p->move, r, yes);
}

static bool ask_back(struct context *c, struct record *before, const struct pipeline *p)
{
    bool yes = p->back;
    if (p->back && p->back_move && !c->trusted) {
        if (!holds(c, p->back_move, before, &yes)) return false;
        yes = yes || str_trim(c->why).n > 0;
    }
    if (!yes)
        error_add(c->error, "/stage", p->back ? "reason_required" : "no_way_back", "%s", "%s",
                  c->error->lang == LANG_RU
                      ? (p->back ? "Возврат на прежний этап требует причины (reason)"
                                 : "Возврат на прежний этап запрещён")
                      : (p->back ? "Going back needs a reason" : "Going back is not allowed"));
    return true;
}

static bool ask_skip(struct context *c, struct record *before, const struct pipeline *p,
                     const struct stage *from, const struct stage *to)
{
    bool all_skippable = true;
    bool stage_says = entity_field(c->catalog->stage, STR("skippable")) != NULL;
    for (const struct stage *s = from + 1; s < to; s++)
        all_skippable = all_skippable && (s->skippable || !stage_says);
    bool yes = p->skip;
    if (!yes && p->skip_by && all_skippable && !holds(c, p->skip_by, before, &yes)) return false;
    if (!yes)
        error_add(c->error, "/stage", "skipped", "Stages cannot be skipped: the next one is %s",
                  "Этапы нельзя пропускать: следующий — «%s»", stage_name(c, from + 1));
    return true;
}

static bool ask_script(struct context *c, struct record *r, const struct pipeline *p, const struct stage *to,
                       struct str from)
{
    const struct stage_decl *decl = pipeline_stage(p, to->code);
    if (!decl || !decl->gate || !c->hooks || !c->hooks->gate) return true;
    if (c->hooks->gate(c, decl, decl->gate, r, from)) return true;
    if (c->error->kind != ERROR_GATE_REFUSED) return false;
    c->error->kind = ERROR_NONE; /* its entries stay; go on collecting */
    return true;
}

static void set_lifecycle(struct record *r, const struct stage *to)
{
    const struct field *f = entity_field(r->entity, STR("lifecycle_step"));
    if (f && f->type == FIELD_REF && to->step.n) r->values[f->index] = value_text(to->step);
}

bool stage_enter_check(struct context *c, struct record *r, const struct record *before)
{
    const struct field *f = r->entity->stage;
    const struct pipeline *p = f->pipeline;
    struct stages stages = {0};
    if (!load_stages(c, p, &stages)) return false;
    const struct stage *to = find(&stages, r->values[f->index].s);
    if (!to) {
        error_add(c->error, field_pointer(c, f), "no_such_stage", "there is no active stage \"%.*s\"",
                  "нет действующего этапа «%.*s»", STR_ARG(r->values[f->index].s));
        return error_set(c->error, ERROR_VALIDATION_FAILED, "no such stage", "нет такого этапа");
    }
    set_lifecycle(r, to);
    if (c->lenient) return true;
    size_t known = c->error->count;
    struct str old = before ? before->values[f->index].s : (struct str){"", 0};
    const struct stage *from = before ? find(&stages, old) : &stages.all[0];
    struct record *was = before ? record_copy(c, before) : r;
    if (!was) return error_no_memory(c->error);
    if (before && !ask_mover(c, was, p)) return false;
    if (from && to < from && !ask_back(c, was, p)) return false;
    if (from && to > from + 1 && !ask_skip(c, was, p, from, to)) return false;
    bool forward = !from || to >= from;
    if (forward && (!ask_fields(c, r, to) || !ask_documents(c, r, to))) return false;
    if (forward) ask_probability(c, r, to);
    if (forward && before && !ask_blocking_tasks(c, r)) return false;
    if (forward && !ask_script(c, r, p, to, old)) return false;
    size_t missing = c->error->count - known;
    if (missing == 0) return true;
    return error_set(c->error, ERROR_GATE_REFUSED, "%zu %s for the stage %s", "%zu %s для этапа «%s»",
                     missing,
                     c->error->lang == LANG_RU ? "препятствий"
                     : missing == 1            ? "thing is missing"
                                               : "things are missing",
                     stage_name(c, to));
}

bool stage_hold_check(struct context *c, struct record *r)
{
    const struct field *f = r->entity->stage;
    struct stages stages = {0};
    if (c->lenient || !load_stages(c, f->pipeline, &stages)) return c->lenient;
    const struct stage *now = find(&stages, r->values[f->index].s);
    size_t known = c->error->count;
    if (now) ask_probability(c, r, now);
    if (c->error->count == known) return true;
    return error_set(c->error, ERROR_GATE_REFUSED, "the probability is below the minimum of the stage",
                     "вероятность ниже минимума этапа");
}

/* ---- after the row is written ---- */

static void set(struct record *r, const char *name, struct value v)
{
    const struct field *f = entity_field(r->entity, str_of(name));
    if (f) r->values[f->index] = v;
}

/* Seconds since the record entered its former stage, from the history; from creation when there is none. */
static bool seconds_in_stage(struct context *c, const struct record *r, const struct entity *h,
                             int64_t *seconds)
{
    const struct field *at = entity_field(h, STR("at")), *record = entity_field(h, STR("opportunity"));
    if (!record) record = entity_field(h, STR("record"));
    int64_t since = r->values[SYSTEM_CREATED_AT].i;
    if (at && record) {
        char *sql = arena_printf(c->arena, "SELECT max(%s) FROM %s WHERE %s = ?", at->column, h->table,
                                 record->column);
        struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
        if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
        stmt_bind_int(s, 1, r->id);
        enum step step = stmt_step(s, c->error);
        if (step == STEP_ROW && !stmt_null(s, 0)) since = stmt_int(s, 0);
        db_release(s);
        if (step == STEP_ERROR) return false;
    }
    *seconds = c->env.now > since ? (c->env.now - since) / 1000 : 0;
    return true;
}

static bool write_history(struct context *c, const struct record *r, struct str from)
{
    const struct entity *h = c->catalog->stage_change;
    if (!h) return true;
    /* A plugin's entity has stages too; a history that refers to deals alone has no place for it. */
    const struct field *owner = entity_field(h, STR("opportunity"));
    if (!entity_field(h, STR("record")) && (!owner || owner->to != r->entity)) return true;
    int64_t seconds = 0;
    if (from.n && !seconds_in_stage(c, r, h, &seconds)) return false;
    struct record *row = record_new(c, h);
    if (!row) return error_no_memory(c->error);
    row->id = id_next();
    row->values[SYSTEM_ID] = value_of(VALUE_ID, row->id);
    row->values[SYSTEM_CREATED_AT] = row->values[SYSTEM_UPDATED_AT] = value_of(VALUE_DATETIME, c->env.now);
    struct value me = c->who->id ? value_of(VALUE_ID, c->who->id) : value_null();
    row->values[SYSTEM_CREATED_BY] = row->values[SYSTEM_UPDATED_BY] = me;
    row->values[SYSTEM_VERSION] = value_number(1, 0);
    row->values[SYSTEM_ACTIVE] = value_of(VALUE_BOOL, 1);
    if (owner && owner->to == r->entity) row->values[owner->index] = value_of(VALUE_ID, r->id);
    const struct field *any = entity_field(h, STR("record"));
    if (any) {
        row->values[any->index] = value_of(VALUE_ID, r->id);
        row->any_entity[any->index] = r->entity->name;
    }
    set(row, "from", from.n ? value_text(from) : value_null());
    set(row, "to", r->values[r->entity->stage->index]);
    set(row, "at", value_of(VALUE_DATETIME, c->env.now));
    set(row, "by", me);
    set(row, "seconds", from.n ? value_number(seconds, 0) : value_null());
    return row_insert(c, row);
}

static bool run_stage_fn(struct context *c, struct record *r, const struct stage_decl *decl, script_fn fn,
                         struct str from)
{
    if (!decl || !fn || !c->hooks || !c->hooks->gate || !c->automation) return true;
    return c->hooks->gate(c, decl, fn, r, from);
}

bool stage_entered(struct context *c, struct record *r, const struct record *before)
{
    const struct field *f = r->entity->stage;
    const struct pipeline *p = f->pipeline;
    struct str from = before ? before->values[f->index].s : (struct str){"", 0};
    if (!write_history(c, r, from)) return false;
    struct stages stages = {0};
    if (!load_stages(c, p, &stages)) return false;
    const struct stage *to = find(&stages, r->values[f->index].s);
    const struct stage_decl *leaving = from.n ? pipeline_stage(p, from) : NULL;
    const struct stage_decl *entering = to ? pipeline_stage(p, to->code) : NULL;
    if (leaving && !run_stage_fn(c, r, leaving, leaving->on_leave, from)) return false;
    if (to && c->automation && !chain_start_stage(c, r, to->code, to->chain)) return false;
    return !entering || run_stage_fn(c, r, entering, entering->on_enter, from);
}
