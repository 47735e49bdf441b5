/* import_undo.c: see import_undo.h. */
#include "record/import_undo.h"

#include "base/clock.h"
#include "base/json.h"
#include "record/import_job.h"
#include "record/internal.h"
#include "store/trail.h"

#define PAGE 200
#define LATER_MAX 8

/* One record that the import wrote to. */
struct touched {
    struct context *c;
    const struct entity *entity;
    int64_t id, entry; /* `entry`: the one that led here */
    struct str request, undoing;
    bool created, deleted, others; /* others: somebody else wrote to it afterwards */
    struct str later[LATER_MAX];   /* imports that did, and are not undone so far */
    size_t later_count;
    int64_t first, last;  /* entries of the import */
    struct value *values; /* as they were before the import */
    const char **any;
    bool *known;
};

/* ---- what the log says of it ---- */

/* The former values: those of the earliest entry that names the field. */
static bool note_values(struct touched *t, struct str changes)
{
    struct context *c = t->c;
    struct str kept = arena_str(c->arena, changes); /* the entry is gone when the next one is read */
    if (!kept.p) return error_no_memory(c->error);
    struct json_value *all = json_parse(c->arena, kept, c->error);
    if (!all) return false;
    for (struct json_value *m = all->first; m; m = m->next) {
        const struct field *f = entity_field(t->entity, m->key);
        if (!f || t->known[f->index] || m->type != JSON_ARRAY || !m->first) continue;
        struct json_value old = *m->first;
        t->known[f->index] = true;
        if (old.type != JSON_NULL &&
            !record_value_json(c, f, &old, field_pointer(c, f), &t->values[f->index], &t->any[f->index]))
            return false;
    }
    return true;
}

/* Somebody else's entry. A later import and its undo are as if they had not been. */
static bool note_other(struct touched *t, struct str request)
{
    struct str undone = request;
    if (!t->first || str_eq(request, t->undoing)) return true;
    if (str_starts(request, STR("undo:"))) undone = (struct str){request.p + 5, request.n - 5};
    for (size_t i = 0; i < t->later_count; i++) {
        if (!str_eq(t->later[i], undone)) continue;
        if (undone.n != request.n) t->later[i] = t->later[--t->later_count];
        return true;
    }
    bool import = str_starts(request, STR("import:")) && t->later_count < LATER_MAX;
    t->others = t->others || !import;
    if (!import) return true;
    t->later[t->later_count] = arena_str(t->c->arena, request);
    return t->later[t->later_count++].p || error_no_memory(t->c->error);
}

static bool note(void *ctx, const struct trail_entry *e)
{
    struct touched *t = ctx;
    if (!str_eq(e->request, t->request)) return note_other(t, e->request);
    if (!t->first) t->first = e->seq;
    t->last = e->seq;
    t->created = t->created || str_is(e->action, "create");
    t->deleted = str_is(e->action, "delete");
    return t->created || note_values(t, e->changes);
}

static bool read_log(struct touched *t, int64_t from)
{
    struct context *c = t->c;
    size_t n = t->entity->field_count;
    t->values = arena_array(c->arena, n, sizeof *t->values);
    t->any = arena_array(c->arena, n, sizeof *t->any);
    t->known = arena_array(c->arena, n, sizeof *t->known);
    if (!t->values || !t->any || !t->known) return error_no_memory(c->error);
    bool ok = trail_record(c->db, str_of(t->entity->name), t->id, from, note, t, c->error) &&
              c->error->kind == ERROR_NONE;
    t->others = t->others || t->later_count > 0;
    return ok;
}

/* ---- back ---- */

static bool any_row(struct context *c, const char *sql, int64_t id, bool *found)
{
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, c->error);
    db_release(s);
    *found = step == STEP_ROW;
    return step != STEP_ERROR;
}

/* What hangs on the record without a foreign key (tasks, comments, documents); the server's own rows (stage
 * history) go with it. */
static bool let_go(struct context *c, const struct entity *e, int64_t id, bool *held)
{
    *held = false;
    for (size_t i = 0; i < c->catalog->entity_count && !*held; i++) {
        const struct entity *of = c->catalog->entities[i];
        for (size_t k = SYSTEM_FIELD_COUNT; k < of->field_count && !*held; k++) {
            const struct field *f = of->fields[k];
            bool here = f->type == FIELD_REF && (f->any || f->to == e) && !(f->to && f->to->setting);
            bool ignored;
            const char *kind =
                f->any ? arena_printf(c->arena, " AND \"%s_entity\" = '%s'", f->name, e->name) : "";
            if (!here || (!f->any && !of->server)) continue;
            if (!kind) return error_no_memory(c->error);
            if (of->server) {
                const char *sql =
                    arena_printf(c->arena, "DELETE FROM %s WHERE %s = ?%s", of->table, f->column, kind);
                if (!any_row(c, sql, id, &ignored)) return false;
            } else {
                const char *sql = arena_printf(c->arena, "SELECT 1 FROM %s WHERE %s = ?%s LIMIT 1", of->table,
                                               f->column, kind);
                if (!any_row(c, sql, id, held)) return false;
            }
        }
    }
    return true;
}

static bool referenced(struct context *c)
{
    error_clear(c->error);
    error_add(c->error, NULL, "referenced", "other records refer to it", "на неё ссылаются другие записи");
    return error_set(c->error, ERROR_CONFLICT, "other records refer to it", "на неё ссылаются другие записи");
}

static bool remove_record(struct touched *t, struct record *r)
{
    struct context *c = t->c;
    bool held;
    if (!let_go(c, t->entity, t->id, &held)) return false;
    if (held) return referenced(c);
    if (!record_erase(c, r)) return c->error->kind == ERROR_CONFLICT ? referenced(c) : false;
    return db_references_hold(c->db) ? true : referenced(c);
}

static bool restore(struct touched *t, struct record *before)
{
    struct record *now = record_copy(t->c, before), *out;
    if (!now) return error_no_memory(t->c->error);
    for (size_t i = SYSTEM_ACTIVE; i < t->entity->field_count; i++) {
        if (!t->known[i]) continue;
        now->values[i] = t->values[i];
        now->any_entity[i] = t->any[i];
    }
    return record_save(t->c, now, before, ACTION_KIND_COUNT, NULL, &out);
}

static bool take_back(struct touched *t)
{
    struct context *c = t->c;
    if (t->deleted) {
        error_add(c->error, NULL, "deleted", "it was deleted meanwhile", "за это время она удалена");
        return error_set(c->error, ERROR_CONFLICT, "it was deleted", "она удалена");
    }
    if (t->others) {
        error_add(c->error, NULL, "changed_since", "somebody has changed it since",
                  "после импорта её изменили");
        return error_set(c->error, ERROR_CONFLICT, "somebody has changed it since",
                         "после импорта её изменили");
    }
    struct record *r = record_load(c, t->entity, t->id);
    if (!r) return false;
    return t->created ? remove_record(t, r) : restore(t, r);
}

/* ---- one after the other ---- */

struct undoing {
    struct context context;
    struct arena arena, page;
    struct error error;
    struct import_state *state;
    struct str request, mark;
    int64_t mistakes;
    struct {
        int64_t seq, record;
        const struct entity *entity;
    } entries[PAGE];
    size_t count;
};

static bool gather(void *ctx, const struct trail_entry *e)
{
    struct undoing *u = ctx;
    u->entries[u->count].seq = e->seq;
    u->entries[u->count].record = e->record;
    u->entries[u->count++].entity = catalog_entity(u->context.catalog, e->entity);
    return u->count < PAGE;
}

static bool keep_reason(struct undoing *u, int64_t record, struct error *e)
{
    const struct error_entry *first = u->error.first;
    struct import_mistake m = {.record = record,
                               .code = str_of(first ? first->code : error_kind_code(u->error.kind)),
                               .message = str_of(first ? first->message : u->error.detail)};
    u->state->kept++;
    return u->mistakes >= IMPORT_ERRORS_MAX ||
           imports_mistake(u->context.db, u->state->id, IMPORT_PHASE_UNDO, u->mistakes++, &m, e);
}

static bool fatal(const struct undoing *u)
{
    return !db_in_transaction(u->context.db) || u->error.kind == ERROR_UNAVAILABLE;
}

static bool undo_one(struct undoing *u, size_t at, struct error *e)
{
    struct context *c = &u->context;
    arena_reset(&u->arena);
    error_init(&u->error, &u->arena, e->lang);
    struct touched t = {.c = c,
                        .entity = u->entries[at].entity,
                        .id = u->entries[at].record,
                        .request = u->request,
                        .undoing = u->mark};
    if (!t.entity) return true;
    bool ok = read_log(&t, u->state->first_seq);
    if (ok && t.last != u->entries[at].seq) return true; /* an earlier one: the last one took it all back */
    if (!db_savepoint(c->db, e)) return false;
    ok = ok && take_back(&t);
    if (ok && db_savepoint_release(c->db, e)) {
        u->state->removed += t.created;
        u->state->restored += !t.created;
        return true;
    }
    if (fatal(u)) return error_set(e, ERROR_UNAVAILABLE, "%s", "%s", u->error.detail ? u->error.detail : "");
    db_savepoint_rollback(c->db);
    trail_forget(c->db);
    return keep_reason(u, t.id, e);
}

static bool run(struct undoing *u, uint64_t until, bool *left, struct error *e)
{
    struct import_state *s = u->state;
    if (!s->undo_seq) s->undo_seq = s->last_seq + 1;
    *left = true;
    while (*left) {
        u->count = 0;
        if (!trail_back(u->context.db, u->request, s->first_seq, s->undo_seq, PAGE, gather, u, e))
            return false;
        *left = u->count > 0;
        for (size_t i = 0; i < u->count; i++) {
            if (!undo_one(u, i, e)) return false;
            s->undo_seq = u->entries[i].seq;
            if (clock_mono() >= until) return true;
        }
    }
    return true;
}

bool import_undo(struct context *c, struct import_state *s, uint64_t budget_ns, bool *left, struct error *e)
{
    struct undoing u = {.context = *c, .state = s};
    arena_init(&u.arena, (size_t)64 << 20);
    arena_init(&u.page, 65536);
    u.context.arena = &u.arena;
    u.context.error = &u.error;
    u.context.trusted = u.context.lenient = true;
    u.context.automation = false;
    u.context.env.now = clock_now();
    u.request = import_request(s->id, &u.page);
    u.mark = str_of(arena_printf(&u.page, "undo:%.*s", STR_ARG(u.request)));
    u.context.request = u.mark;
    bool ok = (u.request.p && u.mark.p) || error_no_memory(e);
    ok = ok && imports_mistake_count(c->db, s->id, IMPORT_PHASE_UNDO, &u.mistakes, e) &&
         (s->first_seq == 0 ? (*left = false, true) : run(&u, clock_mono() + budget_ns, left, e));
    s->state = ok && !*left ? STR("undone") : STR("undoing");
    ok = ok && imports_save(c->db, s, e);
    arena_free(&u.page);
    arena_free(&u.arena);
    return ok;
}
