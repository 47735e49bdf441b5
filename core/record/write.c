/* write.c: creating, changing and deleting records: the order of the steps is that of record.h. The caller
 * holds a savepoint and rolls it back when one of these returns false. */
#include "base/json.h"
#include "record/internal.h"

#include "access/session.h"
#include "base/id.h"
#include "record/query.h"
#include "store/search.h"
#include "store/trail.h"

static bool forbidden(struct context *c, enum action_kind action, const struct entity *e)
{
    static const char *const en[] = {"create", "read", "change", "delete", "import"};
    static const char *const ru[] = {"создавать", "читать", "изменять", "удалять", "импортировать"};
    return error_set(c->error, ERROR_FORBIDDEN, "your roles do not allow you to %s this: %s",
                     "ваши роли не позволяют %s: %s", c->error->lang == LANG_RU ? ru[action] : en[action],
                     e->label.text[c->error->lang]);
}

static bool not_found(struct context *c, const struct entity *e)
{
    return error_set(c->error, ERROR_NOT_FOUND, "there is no such record: %s", "нет такой записи: %s",
                     e->label.text[c->error->lang]);
}

static void field_forbidden(struct context *c, const struct field *f)
{
    error_add(c->error, field_pointer(c, f), "field_forbidden", "%s may not be written",
              "Поле «%s» нельзя изменить", field_label(c, f));
}

/* Fields that no client writes, whatever its rights. `active` is the one system field that may be. */
static bool never_written(const struct context *c, const struct field *f, bool is_new)
{
    if (f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED) return true;
    if (c->trusted || c->vouched) return false;
    if (f->system) return f->index != SYSTEM_ACTIVE;
    bool by_script = c->origin.n > 0; /* readonly keeps clients out, not the scripts that keep the field */
    return (f->readonly && !by_script && !c->lenient) || (f->fixed && !is_new && !c->lenient);
}

/* The fields whose writing is the caller's own doing: what the server fills in beside them needs no grant. */
static const bool *own_doing(struct context *c, const struct entity *e, const bool *touched)
{
    if (!c->vouched || !touched) return touched;
    bool *own = arena_array(c->arena, e->field_count, sizeof *own);
    for (size_t i = 0; own && i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        own[i] = touched[i] && !f->readonly && !(f->system && f->index != SYSTEM_ACTIVE);
    }
    return own ? own : touched;
}

/* Refuses touched fields that may not be written, all at once. The rules on rows are asked by access_check.
 */
static bool check_writable(struct context *c, const struct entity *e, const bool *touched,
                           enum action_kind action)
{
    bool ok = true;
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!touched[i]) continue;
        bool never = never_written(c, f, action == ACTION_CREATE);
        if (!never && (c->trusted || access_field(c->who, e, f, action) != ACCESS_NEVER)) continue;
        field_forbidden(c, f);
        ok = false;
    }
    return ok ? true
              : error_set(c->error, ERROR_FIELD_FORBIDDEN, "some fields may not be written",
                          "некоторые поля нельзя изменить");
}

/* ---- hooks ---- */

bool run_hooks(struct context *c, enum hook_point point, struct record *now, const struct record *before)
{
    if (!c->hooks || !c->hooks->hook) return true;
    for (size_t i = 0; i < c->catalog->hook_count; i++) {
        const struct hook *h = &c->catalog->hooks[i];
        if (h->entity != now->entity || h->point != point) continue;
        if (h->rule ? c->lenient : !c->automation) continue;
        if (!c->hooks->hook(c, h, now, before)) return false;
    }
    return true;
}

static bool hooked(const struct context *c, const struct entity *e, enum hook_point point)
{
    for (size_t i = 0; c->hooks && c->automation && i < c->catalog->hook_count; i++)
        if (c->catalog->hooks[i].entity == e && c->catalog->hooks[i].point == point) return true;
    return false;
}

/* ---- pieces of a write ---- */

static struct value me(const struct context *c)
{
    return c->who->id ? value_of(VALUE_ID, c->who->id) : value_null();
}

static void stamp(struct context *c, struct record *r, int64_t version)
{
    r->values[SYSTEM_UPDATED_AT] = value_of(VALUE_DATETIME, c->env.now);
    r->values[SYSTEM_UPDATED_BY] = me(c);
    r->values[SYSTEM_VERSION] = value_number(version, 0);
}

static bool write_log(struct context *c, const struct record *now, const struct record *before,
                      const char *action, const bool *changed)
{
    const struct record *r = now ? now : before;
    struct trail_entry entry = {.at = c->env.now,
                                .who = c->who->id,
                                .entity = str_of(r->entity->name),
                                .record = r->id,
                                .action = str_of(action),
                                .changes = changes_json(c, now, before, changed),
                                .why = c->why,
                                .script = c->origin,
                                .request = c->request};
    return entry.changes.p && trail_append(c->db, &entry, c->error);
}

/* Users, groups, settings and the levels of partners decide who may do what: every cache of principals must
 * notice. */
static bool tell_caches(struct context *c, const struct entity *e)
{
    const struct field *company = c->catalog->user ? entity_field(c->catalog->user, STR("partner")) : NULL;
    bool concerns =
        e->setting || e == c->catalog->user || e == c->catalog->group || (company && company->to == e);
    return !concerns || store_epoch_bump(c->db, c->error);
}

/* The new row: does it permit what was done, with the fields that the caller named? */
static bool allowed_after(struct context *c, const struct record *r, enum action_kind action,
                          const bool *touched)
{
    if (c->trusted || (c->who->all_write && !r->entity->server)) return true;
    bool allowed;
    const struct field *denied = NULL;
    if (!access_check(c->db, c->who, r->entity, r->id, action, touched, &c->env, c->arena, &allowed, &denied,
                      c->error))
        return false;
    if (allowed) return true;
    if (!denied) return forbidden(c, action, r->entity);
    field_forbidden(c, denied);
    return error_set(c->error, ERROR_FIELD_FORBIDDEN, "some fields may not be written",
                     "некоторые поля нельзя изменить");
}

static bool remember_created(struct context *c, const struct record *r)
{
    struct created *made = arena_alloc(c->arena, sizeof *made);
    if (!made) return error_no_memory(c->error);
    *made = (struct created){c->created, r->entity, r->id};
    c->created = made;
    return true;
}

/* A duplicate in a unique field is told with the field. The constraint's name is "table.column,
 * table.column". */
static bool explain_duplicate(struct context *c, const struct entity *e)
{
    if (c->error->kind != ERROR_DUPLICATE || c->error->count) return false;
    struct str rest = db_constraint(c->db);
    while (rest.p && rest.n) {
        struct str part = str_trim(str_cut(&rest, ','));
        const char *dot = part.n ? memrchr(part.p, '.', part.n) : NULL;
        struct str name = dot ? (struct str){dot + 1, part.n - (size_t)(dot + 1 - part.p)} : part;
        const struct field *f = entity_field(e, name);
        if (f)
            error_add(c->error, field_pointer(c, f), "duplicate", "%s is taken already",
                      "Поле «%s»: такое значение уже есть", field_label(c, f));
    }
    return false;
}

/* ---- create ---- */

/* "@my.direction": the first of mine. The filter language has sets only. */
static bool my_direction(struct context *c, struct value *out)
{
    struct json_value *all =
        json_parse(c->arena, c->env.my_directions.n ? c->env.my_directions : STR("[]"), c->error);
    if (!all) return false;
    *out = all->first ? value_text(all->first->text) : value_null();
    return true;
}

static bool apply_defaults(struct context *c, struct record *r, const bool *touched)
{
    const struct entity *e = r->entity;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!f->default_expr || touched[i]) continue;
        struct str text = str_of(f->default_expr);
        bool ok = str_is(text, "@my.direction")
                      ? my_direction(c, &r->values[i])
                      : filter_parse_value(f, text, &c->env, c->arena, &r->values[i], c->error);
        if (!ok) return false;
    }
    return true;
}

/* Master data may bring ids and times of its own; what is vouched for brings all that the server writes. */
static bool given_counts(const struct context *c, int field)
{
    bool past = c->lenient && c->trusted;
    return c->vouched ||
           (past && (field == SYSTEM_ID || field == SYSTEM_CREATED_AT || field == SYSTEM_CREATED_BY));
}

static bool fill_new(struct context *c, struct record *r, const bool *touched)
{
    const struct entity *e = r->entity;
    struct value given[SYSTEM_FIELD_COUNT];
    memcpy(given, r->values, sizeof given);
    r->values[SYSTEM_ID] = value_of(VALUE_ID, id_next());
    r->values[SYSTEM_CREATED_AT] = value_of(VALUE_DATETIME, c->env.now);
    r->values[SYSTEM_CREATED_BY] = me(c);
    if (!touched[SYSTEM_ACTIVE]) r->values[SYSTEM_ACTIVE] = value_of(VALUE_BOOL, 1);
    stamp(c, r, 1);
    for (int i = SYSTEM_ID; i < SYSTEM_ACTIVE; i++)
        if (i != SYSTEM_NUMBER && given[i].type != VALUE_NULL && given_counts(c, i)) r->values[i] = given[i];
    r->id = r->values[SYSTEM_ID].i;
    if (!apply_defaults(c, r, touched) || !stage_default(c, r)) return false;
    if (!e->number_prefix) return true;
    if (r->values[SYSTEM_NUMBER].type != VALUE_NULL)
        return store_number_keep(c->db, e->number_prefix, r->values[SYSTEM_NUMBER].s, c->error);
    struct str number;
    if (!store_number_next(c->db, e->number_prefix, c->arena, &number, c->error)) return false;
    r->values[SYSTEM_NUMBER] = value_text(number);
    return true;
}

static bool insert(struct context *c, struct record *r, const bool *touched)
{
    if (!row_insert(c, r)) return explain_duplicate(c, r->entity);
    if (r->entity->searchable && !search_update(c->db, r->entity, r->id, NULL, r->values, c->error))
        return false;
    return write_log(c, r, NULL, "create", NULL) && tell_caches(c, r->entity) &&
           allowed_after(c, r, ACTION_CREATE, touched);
}

static bool after_insert(struct context *c, struct record *r)
{
    bool past = c->lenient && !c->automation; /* brings its own history */
    if (!past && r->entity->stage && r->values[r->entity->stage->index].type == VALUE_TEXT &&
        !stage_entered(c, r, NULL))
        return false;
    return run_hooks(c, HOOK_AFTER_CREATE, r, NULL);
}

static bool may_create(struct context *c, const struct entity *e)
{
    if (c->trusted || (!e->server && access_may(c->who, e, ACTION_CREATE))) return true;
    return forbidden(c, ACTION_CREATE, e);
}

bool record_create(struct context *c, const struct entity *e, struct value *values, const char **any_entity,
                   const bool *touched, struct record **out)
{
    if (!may_create(c, e)) return false;
    const bool *own = own_doing(c, e, touched);
    if (!check_writable(c, e, own, ACTION_CREATE)) return false;
    struct record *r = record_new(c, e);
    if (!r) return error_no_memory(c->error);
    for (size_t i = 0; i < e->field_count; i++) {
        if (!touched[i]) continue;
        r->values[i] = values[i];
        if (any_entity) r->any_entity[i] = any_entity[i];
    }
    if (!fill_new(c, r, touched) || !run_hooks(c, HOOK_BEFORE_CREATE, r, NULL)) return false;
    if (!validate_record(c, r, NULL, NULL)) return false;
    bool staged = e->stage && r->values[e->stage->index].type == VALUE_TEXT;
    if (staged && !stage_enter_check(c, r, NULL)) return false;
    if (!insert(c, r, own) || !after_insert(c, r)) return false;
    if (!remember_created(c, r)) return false;
    if (!out) return true;
    *out = r;
    if (!staged && !hooked(c, e, HOOK_AFTER_CREATE)) return true;
    *out = record_load(c, e, r->id); /* after-hooks may have changed it */
    return *out != NULL;
}

/* ---- change ---- */

static bool differs(const struct record *a, const struct record *b, bool *changed)
{
    bool any = false;
    for (size_t i = SYSTEM_ACTIVE; i < a->entity->field_count; i++) {
        const struct field *f = a->entity->fields[i];
        changed[i] = field_stored(f) && !value_same(a->values[i], b->values[i]);
        any = any || changed[i];
    }
    return any;
}

static bool check_stage(struct context *c, struct record *now, const struct record *before, bool *changed,
                        bool *moved)
{
    const struct field *f = now->entity->stage;
    *moved = f && changed[f->index] && now->values[f->index].type == VALUE_TEXT;
    if (*moved) {
        if (!stage_enter_check(c, now, before)) return false;
        differs(now, before, changed); /* the lifecycle step may have followed */
        return true;
    }
    const struct field *p = f ? entity_field(now->entity, STR("probability")) : NULL;
    return !p || !changed[p->index] || now->values[f->index].type != VALUE_TEXT || stage_hold_check(c, now);
}

static bool is_finished(struct str status)
{
    return str_is(status, "done") || str_is(status, "cancelled");
}

static bool became_finished(const struct context *c, const struct record *now, const struct record *before)
{
    if (now->entity != c->catalog->task) return false;
    const struct field *f = entity_field(now->entity, STR("status"));
    return f && is_finished(now->values[f->index].s) && !is_finished(before->values[f->index].s);
}

/* Who is deactivated is signed out everywhere, and stays so when they come back. */
static bool shut_out(struct context *c, const struct record *now, const bool *changed)
{
    bool gone = now->entity == c->catalog->user && changed[SYSTEM_ACTIVE] && !now->values[SYSTEM_ACTIVE].i;
    return !gone || credentials_end(c->db, now->id, c->error);
}

static bool write_change(struct context *c, struct record *now, const struct record *before,
                         const bool *changed, const char *action)
{
    const struct entity *e = now->entity;
    stamp(c, now, before->values[SYSTEM_VERSION].i + 1);
    if (!row_update(c, now, changed)) return explain_duplicate(c, e);
    if (e->searchable && !search_update(c->db, e, now->id, before->values, now->values, c->error))
        return false;
    return write_log(c, now, before, action, changed) && tell_caches(c, e) && shut_out(c, now, changed);
}

bool record_save(struct context *c, struct record *now, const struct record *before, enum action_kind right,
                 const bool *touched, struct record **out)
{
    const struct entity *e = now->entity;
    bool *changed = arena_array(c->arena, e->field_count, sizeof *changed);
    if (!changed) return error_no_memory(c->error);
    *out = now;
    if (!differs(now, before, changed)) return true;
    if (!run_hooks(c, HOOK_BEFORE_CHANGE, now, before)) return false;
    if (!differs(now, before, changed)) return true;
    bool moved;
    if (!validate_record(c, now, before, changed) || !check_stage(c, now, before, changed, &moved))
        return false;
    if (!write_change(c, now, before, changed, moved ? "move" : "update")) return false;
    if (right != ACTION_KIND_COUNT && !allowed_after(c, now, right, touched)) return false;
    if (moved && !stage_entered(c, now, before)) return false;
    if (became_finished(c, now, before) && c->automation && !chain_task_done(c, now)) return false;
    if (!run_hooks(c, HOOK_AFTER_CHANGE, now, before)) return false;
    *out = record_load(c, e, now->id);
    return *out != NULL;
}

/* The record as the caller sees it now, for 412. */
static void show_current(struct context *c, const struct entity *e, int64_t id)
{
    struct buf b;
    int64_t version;
    struct error ignored;
    struct context view = *c;
    error_init(&ignored, c->arena, c->error->lang);
    view.error = &ignored;
    buf_init(&b, 4 << 20);
    if (query_get(&view, e, id, (struct str){NULL, 0}, (struct str){NULL, 0}, &b, &version) && !b.failed)
        c->error->current = arena_dup(c->arena, buf_view(&b));
    buf_free(&b);
}

static bool check_version(struct context *c, const struct record *r, int64_t expected)
{
    if (expected == 0 || r->values[SYSTEM_VERSION].i == expected) return true;
    show_current(c, r->entity, r->id);
    return error_set(c->error, ERROR_STALE,
                     "the record was changed by somebody else: it has version %lld now, not %lld",
                     "запись уже изменена: её версия %lld, а не %lld", (long long)r->values[SYSTEM_VERSION].i,
                     (long long)expected);
}

/* May the caller see the row, and do `action` to it, with these fields? 404 comes before 403. */
static bool check_row(struct context *c, const struct entity *e, int64_t id, enum action_kind action,
                      const bool *touched)
{
    if (c->trusted) return true;
    bool allowed;
    const struct field *denied = NULL;
    if (!access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, &allowed, &denied,
                      c->error))
        return false;
    if (!allowed) return not_found(c, e);
    bool closed = e->server && action != ACTION_READ; /* an action may ask for no more than to read */
    if (closed || !access_may(c->who, e, action)) return forbidden(c, action, e);
    if (touched && !check_writable(c, e, touched, action)) return false;
    if (!access_check(c->db, c->who, e, id, action, touched, &c->env, c->arena, &allowed, &denied, c->error))
        return false;
    if (allowed) return true;
    if (!denied) return forbidden(c, action, e);
    field_forbidden(c, denied);
    return error_set(c->error, ERROR_FIELD_FORBIDDEN, "some fields may not be written",
                     "некоторые поля нельзя изменить");
}

bool record_permits(struct context *c, const struct entity *e, int64_t id, enum action_kind action)
{
    return action == ACTION_CREATE ? may_create(c, e) : check_row(c, e, id, action, NULL);
}

/* A localized text given as a plain string changes the caller's language only. */
static struct value merge_localized(struct context *c, const struct field *f, struct value old,
                                    struct value new)
{
    if (!f->localized || new.type != VALUE_TEXT || (new.s.n &&new.s.p[0] == '{') || old.s.n == 0 ||
        old.s.p[0] != '{')
        return new;
    struct json_value *both = json_parse(c->arena, old.s, c->error);
    if (!both) return new;
    bool had = false;
    for (struct json_value *m = both->first; m; m = m->next) {
        if (!str_is(m->key, lang_code(c->env.lang))) continue;
        m->text = new.s;
        had = true;
    }
    if (!had) return new;
    struct value merged;
    const char *any = NULL;
    return record_value_json(c, f, both, "", &merged, &any) ? merged : new;
}

/* What a script states about a stage or chain wins and cannot be contradicted by a click (design §6). */
static bool check_locked(struct context *c, const struct record *r, const bool *changed)
{
    const struct entity *e = r->entity;
    const char **names = NULL;
    size_t n = 0;
    struct place place = {0};
    if (c->lenient || c->trusted || !e->code) return true;
    struct str code = r->values[e->code->index].s;
    for (size_t i = 0; e == c->catalog->stage && i < c->catalog->pipeline_count; i++) {
        const struct stage_decl *s = pipeline_stage(&c->catalog->pipelines[i], code);
        if (s) names = s->attribute_names, n = s->attribute_count, place = s->place;
    }
    const struct chain_decl *chain = e == c->catalog->chain ? catalog_chain(c->catalog, code) : NULL;
    if (chain) names = chain->attribute_names, n = chain->attribute_count, place = chain->place;
    bool ok = true;
    for (size_t i = 0; i < n; i++) {
        const struct field *f = entity_field(e, str_of(names[i]));
        if (!f || !changed[f->index]) continue;
        error_add(c->error, field_pointer(c, f), "locked", "%s is stated by the script %s, line %d",
                  "Поле «%s» задано в сценарии %s, строка %d", field_label(c, f),
                  place.file ? place.file : "", place.line);
        ok = false;
    }
    return ok ? true
              : error_set(c->error, ERROR_VALIDATION_FAILED, "a script states these fields",
                          "эти поля заданы сценарием");
}

/* To set "active" is to deactivate or to bring back: that takes the right to delete, not that to change. */
static bool check_active(struct context *c, const struct entity *e, int64_t id, const bool *changed)
{
    if (!changed[SYSTEM_ACTIVE] || check_row(c, e, id, ACTION_DELETE, NULL)) return true;
    if (c->error->kind != ERROR_FORBIDDEN) return false;
    field_forbidden(c, e->fields[SYSTEM_ACTIVE]);
    return error_set(c->error, ERROR_FIELD_FORBIDDEN, "your roles do not allow you to deactivate this",
                     "ваши роли не позволяют деактивировать эту запись");
}

bool record_change(struct context *c, const struct entity *e, int64_t id, struct value *values,
                   const char **any_entity, const bool *touched, int64_t expected_version,
                   struct record **out)
{
    const bool *own = own_doing(c, e, touched);
    if (!check_row(c, e, id, ACTION_UPDATE, own)) return false;
    struct record *before = record_load(c, e, id);
    struct record *now = before ? record_copy(c, before) : NULL;
    bool *changed = arena_array(c->arena, e->field_count, sizeof *changed);
    if (!before) return false;
    if (!now || !changed) return error_no_memory(c->error);
    if (!check_version(c, before, expected_version)) return false;
    for (size_t i = SYSTEM_ACTIVE; i < e->field_count; i++) {
        if (!touched[i]) continue;
        now->values[i] = merge_localized(c, e->fields[i], before->values[i], values[i]);
        if (any_entity && any_entity[i]) now->any_entity[i] = any_entity[i];
    }
    if (differs(now, before, changed) &&
        (!check_locked(c, before, changed) || !check_active(c, e, id, changed)))
        return false;
    return record_save(c, now, before, ACTION_UPDATE, own, out);
}

bool record_move(struct context *c, const struct entity *e, int64_t id, struct str stage,
                 int64_t expected_version, struct record **out)
{
    if (!e->stage)
        return error_set(c->error, ERROR_NOT_FOUND, "%s has no stages", "у записи «%s» нет этапов",
                         e->label.text[c->error->lang]);
    struct value *values = arena_array(c->arena, e->field_count, sizeof *values);
    bool *touched = arena_array(c->arena, e->field_count, sizeof *touched);
    if (!values || !touched) return error_no_memory(c->error);
    struct json_value text = {.type = JSON_STRING, .text = stage};
    if (!record_value_json(c, e->stage, &text, "/stage", &values[e->stage->index], NULL)) return false;
    touched[e->stage->index] = true;
    return record_change(c, e, id, values, NULL, touched, expected_version, out);
}

/* ---- delete ---- */

static bool deactivate(struct context *c, struct record *r)
{
    struct record *now = record_copy(c, r), *out;
    bool *changed = arena_array(c->arena, r->entity->field_count, sizeof *changed);
    if (!now || !changed) return error_no_memory(c->error);
    if (r->values[SYSTEM_ACTIVE].i == 0) return true;
    now->values[SYSTEM_ACTIVE] = value_of(VALUE_BOOL, 0);
    changed[SYSTEM_ACTIVE] = true;
    (void)out;
    return run_hooks(c, HOOK_BEFORE_DELETE, now, r) && write_change(c, now, r, changed, "deactivate") &&
           run_hooks(c, HOOK_AFTER_DELETE, now, r);
}

bool record_erase(struct context *c, struct record *r)
{
    const struct entity *e = r->entity;
    if (!run_hooks(c, HOOK_BEFORE_DELETE, r, r)) return false;
    if (e->searchable && !search_remove(c->db, e, r->id, c->error)) return false;
    if (!row_delete(c, r)) {
        if (c->error->kind == ERROR_CONFLICT && !c->error->count)
            error_add(c->error, NULL, "referenced", "other records refer to it",
                      "на неё ссылаются другие записи");
        return false;
    }
    return write_log(c, NULL, r, "delete", NULL) && tell_caches(c, e) &&
           run_hooks(c, HOOK_AFTER_DELETE, r, r);
}

bool record_delete(struct context *c, const struct entity *e, int64_t id, int64_t expected_version)
{
    if (!check_row(c, e, id, ACTION_DELETE, NULL)) return false;
    struct record *r = record_load(c, e, id);
    if (!r || !check_version(c, r, expected_version)) return false;
    switch (e->delete_mode) {
    case DELETE_ALLOW: return record_erase(c, r);
    case DELETE_FORBID:
        return error_set(c->error, ERROR_CONFLICT, "records of this kind are never deleted: %s",
                         "записи этого вида не удаляются: %s", e->label.text[c->error->lang]);
    case DELETE_DEACTIVATE: break;
    }
    return deactivate(c, r);
}

/* ---- comments and actions ---- */

bool record_comment(struct context *c, const struct entity *e, int64_t id, struct str text, int64_t *comment)
{
    const struct entity *k = c->catalog->comment;
    const struct field *record = k ? entity_field(k, STR("record")) : NULL,
                       *body = k ? entity_field(k, STR("text")) : NULL;
    if (!record || !body)
        return error_set(c->error, ERROR_NOT_FOUND, "there are no comments here", "здесь нет комментариев");
    if (!c->trusted) {
        bool allowed;
        const struct field *denied = NULL;
        if (!access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, &allowed, &denied,
                          c->error))
            return false;
        if (!allowed) return not_found(c, e);
    }
    struct value *values = arena_array(c->arena, k->field_count, sizeof *values);
    const char **any = arena_array(c->arena, k->field_count, sizeof *any);
    bool *touched = arena_array(c->arena, k->field_count, sizeof *touched);
    if (!values || !any || !touched) return error_no_memory(c->error);
    values[record->index] = value_of(VALUE_ID, id);
    any[record->index] = e->name;
    values[body->index] = value_text(text);
    touched[record->index] = touched[body->index] = true;
    struct record *made;
    if (!record_create(c, k, values, any, touched, &made)) return false;
    *comment = made->id;
    return true;
}

static bool check_arguments(struct context *c, const struct action_decl *a, const struct json_value *args)
{
    size_t known = c->error->count;
    if (args && args->type != JSON_OBJECT && args->type != JSON_NULL)
        return error_set(c->error, ERROR_BAD_REQUEST, "the body must be a JSON object",
                         "тело запроса должно быть объектом JSON");
    for (const struct json_value *m = args ? args->first : NULL; m; m = m->next) {
        const struct field *f = NULL;
        for (size_t i = 0; i < a->field_count && !f; i++)
            if (str_is(m->key, a->fields[i].name)) f = &a->fields[i];
        struct value ignored;
        const char *any = NULL;
        char *pointer = json_pointer(c->arena, m->key);
        if (!f)
            error_add(c->error, pointer, "unknown_field", "the action has no field \"%.*s\"",
                      "у действия нет поля «%.*s»", STR_ARG(m->key));
        else if (!record_value_json(c, f, m, pointer, &ignored, &any) && c->error->kind != ERROR_NONE)
            return false;
    }
    if (c->error->count > known)
        return error_set(c->error, ERROR_BAD_REQUEST, "the action's fields are wrong",
                         "неверные поля действия");
    for (size_t i = 0; i < a->field_count; i++) {
        const struct json_value *m = json_member(args, str_of(a->fields[i].name));
        if (!a->fields[i].required || (m && m->type != JSON_NULL)) continue;
        error_add(c->error, field_pointer(c, &a->fields[i]), "required", "%s is required",
                  "Не заполнено поле «%s»", field_label(c, &a->fields[i]));
    }
    return c->error->count == known ? true
                                    : error_set(c->error, ERROR_VALIDATION_FAILED, "some fields are missing",
                                                "не все поля заполнены");
}

static bool role_allows(const struct context *c, const struct action_decl *a)
{
    for (size_t i = 0; i < a->role_count; i++)
        if (principal_has_role(c->who, str_of(a->roles[i]))) return true;
    return a->role_count == 0 || c->who->all_write;
}

bool record_action(struct context *c, const struct entity *e, int64_t id, const struct action_decl *a,
                   const struct json_value *args, int64_t expected_version, struct record **out)
{
    if (!check_row(c, e, id, a->right, NULL)) return false;
    if (!c->trusted && !role_allows(c, a)) return forbidden(c, a->right, e);
    struct record *before = record_load(c, e, id);
    struct record *now = before ? record_copy(c, before) : NULL;
    if (!before) return false;
    if (!now) return error_no_memory(c->error);
    if (!check_version(c, before, expected_version) || !check_arguments(c, a, args)) return false;
    bool yes = true;
    struct filter_record get = record_filter(c, before);
    if (a->by && !c->trusted && !filter_eval(a->by, &get, &c->env, c->arena, &yes, c->error)) return false;
    if (!yes)
        return error_set(c->error, ERROR_FORBIDDEN, "\"%s\" is not for you here: it is for %s",
                         "действие «%s» здесь доступно не вам: %s", a->label.text[c->error->lang],
                         a->by_text);
    if (a->when && !filter_eval(a->when, &get, &c->env, c->arena, &yes, c->error)) return false;
    if (!yes)
        return error_set(c->error, ERROR_CONFLICT, "\"%s\" is not possible now: it needs %s",
                         "действие «%s» сейчас невозможно: нужно %s", a->label.text[c->error->lang],
                         a->when_text);
    const struct json_value *reason = json_member(args, STR("reason"));
    if (reason && reason->type == JSON_STRING) c->why = reason->text;
    if (!c->hooks || !c->hooks->action)
        return error_set(c->error, ERROR_INTERNAL, "no scripts run here", "здесь сценарии не выполняются");
    if (!c->hooks->action(c, a, now, args)) return false;
    /* The function may have written the record itself (crm.update, crm.move): start from what is stored now.
     */
    struct record *stored = record_load(c, e, id);
    if (!stored) return false;
    if (stored->values[SYSTEM_VERSION].i != before->values[SYSTEM_VERSION].i) {
        *out = stored;
        return true;
    }
    return record_save(c, now, before, ACTION_KIND_COUNT, NULL, out);
}
