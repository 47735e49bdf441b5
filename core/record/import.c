/* import.c: see import.h. A column is found by the field's name or by its label in either language. Columns
 * that nobody writes (dates and authors of records, versions, formulas) are read over, so that an export can
 * come back as it is; with ids kept (mode restore, or match=id of crm_admin) they are taken for new records.
 */
#include "record/import.h"

#include "base/id.h"
#include "base/suggest.h"
#include "base/text.h"
#include "record/internal.h"
#include "store/trail.h"

struct column {
    const struct field *field;
    bool over; /* read over */
};

struct import {
    const struct entity *entity;
    struct import_options o;
    const struct field *match; /* NULL: none */
    size_t match_at;           /* its column; SIZE_MAX for JSON */
    struct column *columns;    /* of a CSV */
    struct str *names;         /* of their fields */
    size_t count;
    bool vouched;            /* ids and what the server writes are taken from the file */
    struct column *by_field; /* JSON: what to do with a member, by index of its field */
};

static const char *const mode_names[] = {"create", "update", "upsert", "restore"};
static const char *const format_names[] = {"csv", "ndjson", "json"};

bool import_mode_named(struct str name, enum import_mode *mode)
{
    for (enum import_mode m = IMPORT_CREATE; m <= IMPORT_RESTORE; m++)
        if (str_is(name, mode_names[m])) return *mode = m, true;
    return false;
}

const char *import_mode_name(enum import_mode mode)
{
    return mode_names[mode];
}

bool import_format_named(struct str name, enum import_format *format)
{
    for (enum import_format f = IMPORT_CSV; f <= IMPORT_JSON; f++)
        if (str_is(name, format_names[f])) return *format = f, true;
    return false;
}

const char *import_format_name(enum import_format format)
{
    return format_names[format];
}

/* ---- compiling ---- */

static bool is_unique(const struct entity *e, const struct field *f)
{
    if (f->index == SYSTEM_ID || (f->index == SYSTEM_NUMBER && e->number_prefix) || f->unique || f == e->code)
        return true;
    for (size_t i = 0; i < e->unique_count; i++)
        if (e->unique[i].count == 1 && e->unique[i].fields[0] == f) return true;
    return false;
}

static bool visible(struct context *c, const struct entity *e, const struct field *f)
{
    if (f->hidden) return false;
    return c->trusted || access_field(c->who, e, f, ACTION_READ) != ACCESS_NEVER ||
           access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER ||
           access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER;
}

static bool is_written(struct context *c, const struct import *i, const struct field *f)
{
    if (f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED) return false;
    if (i->vouched) return true;
    if (f->system) return f->index == SYSTEM_ACTIVE;
    return !f->readonly || c->trusted;
}

static bool writable(struct context *c, const struct import *i, const struct field *f)
{
    if (c->trusted) return true;
    bool create = i->o.mode != IMPORT_UPDATE, update = i->o.mode != IMPORT_CREATE;
    return (create && access_field(c->who, i->entity, f, ACTION_CREATE) != ACCESS_NEVER) ||
           (update && access_field(c->who, i->entity, f, ACTION_UPDATE) != ACCESS_NEVER);
}

/* By name, else by label; *several when two fields bear the label. */
static const struct field *field_called(struct context *c, const struct entity *e, struct str name,
                                        bool *several)
{
    const struct field *found = entity_field(e, name);
    *several = false;
    if (found && visible(c, e, found)) return found;
    found = NULL;
    for (size_t i = 0; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        bool same = false;
        for (int lang = 0; lang < LANG_COUNT && visible(c, e, f); lang++) {
            struct str label = str_of(f->label.text[lang]);
            same = same || (text_starts(name, label) && text_starts(label, name));
        }
        if (!same) continue;
        *several = found != NULL;
        found = f;
    }
    return found;
}

static void unknown_column(struct context *c, const struct entity *e, struct str name, const char *pointer)
{
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < e->field_count; i++) {
        if (!visible(c, e, e->fields[i])) continue;
        suggest_try(&s, str_of(e->fields[i]->name));
        suggest_try(&s, str_of(e->fields[i]->label.text[c->error->lang]));
    }
    struct error_entry *entry =
        error_add(c->error, pointer, "unknown_field", "%s has no field \"%.*s\"",
                  "У записи «%s» нет поля «%.*s»", e->label.text[c->error->lang], STR_ARG(name));
    entry->suggestion = s.best.p ? arena_dup(c->arena, s.best) : NULL;
}

/* The pointer of a column: what the person sees in the first line of the table. */
static const char *column_pointer(struct context *c, size_t at, struct str name)
{
    const char *p =
        arena_printf(c->arena, "column %zu (%.*s)", at + 1, (int)(name.n < 200 ? name.n : 200), name.p);
    return p ? p : "column";
}

static enum error_kind map_column(struct context *c, struct import *i, size_t at, struct str raw)
{
    struct str name = str_trim(raw);
    const char *pointer = column_pointer(c, at, name);
    bool several;
    const struct field *f = name.n ? field_called(c, i->entity, name, &several) : NULL;
    if (!f) return unknown_column(c, i->entity, name, pointer), ERROR_UNKNOWN_FIELD;
    if (several) {
        error_add(c->error, pointer, "ambiguous", "several fields are called \"%.*s\"; use the field's name",
                  "несколько полей называются «%.*s»; укажите имя поля", STR_ARG(name));
        return ERROR_BAD_REQUEST;
    }
    for (size_t k = 0; k < at; k++) {
        if (i->columns[k].field != f) continue;
        error_add(c->error, pointer, "repeated", "the column stands twice: %s", "столбец указан дважды: %s",
                  f->name);
        return ERROR_BAD_REQUEST;
    }
    i->columns[at] = (struct column){f, !is_written(c, i, f)};
    i->names[at] = str_of(f->name);
    if (f == i->match) i->match_at = at;
    if (i->columns[at].over || f->index == SYSTEM_ID || writable(c, i, f)) return ERROR_NONE;
    error_add(c->error, pointer, "field_forbidden", "%s may not be written", "Поле «%s» нельзя изменить",
              field_label(c, f));
    return ERROR_FIELD_FORBIDDEN;
}

static bool map_columns(struct context *c, struct import *i, const struct str *header, size_t n)
{
    enum error_kind worst = ERROR_NONE;
    i->columns = arena_array(c->arena, n, sizeof *i->columns);
    i->names = arena_array(c->arena, n, sizeof *i->names);
    i->count = n;
    if (!i->columns || !i->names) return error_no_memory(c->error);
    for (size_t at = 0; at < n; at++) {
        enum error_kind kind = map_column(c, i, at, header[at]);
        if (worst == ERROR_NONE || kind == ERROR_UNKNOWN_FIELD) worst = kind != ERROR_NONE ? kind : worst;
    }
    if (worst != ERROR_NONE)
        return error_set(c->error, worst, "some columns are not fields that can be imported",
                         "некоторые столбцы нельзя импортировать");
    if (!i->match || i->match_at != SIZE_MAX) return true;
    error_add(c->error, "match", "missing_column", "the file has no column %s", "в файле нет столбца %s",
              i->match->name);
    return error_set(c->error, ERROR_BAD_REQUEST, "the file has no column %s, by which records are matched",
                     "в файле нет столбца %s, по которому находятся записи", i->match->name);
}

static bool map_members(struct context *c, struct import *i)
{
    i->by_field = arena_array(c->arena, i->entity->field_count, sizeof *i->by_field);
    if (!i->by_field) return error_no_memory(c->error);
    for (size_t k = 0; k < i->entity->field_count; k++)
        i->by_field[k] = (struct column){i->entity->fields[k], !is_written(c, i, i->entity->fields[k])};
    return true;
}

static bool choose_match(struct context *c, struct import *i)
{
    struct str name = i->o.match;
    if (name.n == 0 && i->o.mode == IMPORT_RESTORE) name = STR("id");
    if (name.n == 0) {
        if (i->o.mode == IMPORT_CREATE) return true;
        error_add(c->error, "match", "required", "%s needs match: a unique field, id or number",
                  "для %s нужен match: уникальное поле, id или number", import_mode_name(i->o.mode));
        return error_set(c->error, ERROR_BAD_REQUEST, "match is missing", "не указан match");
    }
    const struct field *f = entity_field(i->entity, name);
    if (f && visible(c, i->entity, f) && is_unique(i->entity, f)) {
        i->match = f;
        return true;
    }
    error_add(c->error, "match", "bad_value", "match names a unique field, id or number; \"%.*s\" is none",
              "match: уникальное поле, id или number; «%.*s» не подходит", STR_ARG(name));
    return error_set(c->error, ERROR_BAD_REQUEST, "\"%.*s\" is no unique field", "«%.*s» не уникальное поле",
                     STR_ARG(name));
}

static bool may_import(struct context *c, const struct import *i)
{
    bool admin = c->trusted || c->who->all_write;
    const struct entity *imports = catalog_resource(c->catalog, STR("import"));
    bool starts = admin || (imports && access_may(c->who, imports, ACTION_CREATE));
    if (!starts || (!c->trusted && !access_may(c->who, i->entity, ACTION_IMPORT))) {
        if (!access_may(c->who, i->entity, ACTION_READ))
            return error_set(c->error, ERROR_NOT_FOUND, "there is no such collection", "нет такой коллекции");
        return error_set(c->error, ERROR_FORBIDDEN, "your roles do not allow you to import this: %s",
                         "ваши роли не позволяют импортировать: %s", i->entity->label.text[c->error->lang]);
    }
    if (i->entity->server)
        return error_set(c->error, ERROR_FORBIDDEN, "the server alone writes this: %s",
                         "это пишет только сервер: %s", i->entity->label.text[c->error->lang]);
    if (i->o.mode == IMPORT_RESTORE && !admin) {
        error_add(c->error, "mode", "forbidden", "restore is for crm_admin",
                  "restore доступен только crm_admin");
        return error_set(c->error, ERROR_FORBIDDEN, "mode=restore is for crm_admin",
                         "mode=restore доступен только crm_admin");
    }
    if (!i->o.automation && !admin) {
        error_add(c->error, "automation", "forbidden", "automation=off is for crm_admin",
                  "automation=off доступен только crm_admin");
        return error_set(c->error, ERROR_FORBIDDEN, "automation=off is for crm_admin",
                         "automation=off доступен только crm_admin");
    }
    return true;
}

bool import_admit(struct context *c, const struct entity *e, const struct import_options *o)
{
    struct import i = {.entity = e, .o = *o, .match_at = SIZE_MAX};
    if (o->mode == IMPORT_RESTORE) i.o.automation = false;
    return may_import(c, &i) && choose_match(c, &i);
}

struct import *import_compile(struct context *c, const struct entity *e, const struct import_options *o,
                              const struct str *header, size_t columns)
{
    struct import *i = arena_alloc(c->arena, sizeof *i);
    if (!i) return error_no_memory(c->error), NULL;
    i->entity = e;
    i->o = *o;
    i->match_at = SIZE_MAX;
    if (o->mode == IMPORT_RESTORE) i->o.automation = false;
    if (!may_import(c, i) || !choose_match(c, i)) return NULL;
    i->vouched = o->mode == IMPORT_RESTORE ||
                 (i->match && i->match->index == SYSTEM_ID && (c->trusted || c->who->all_write));
    if (o->format == IMPORT_CSV && columns == 0) {
        error_set(c->error, ERROR_BAD_REQUEST, "the file is empty: its first line names the fields",
                  "файл пуст: первая строка называет поля");
        return NULL;
    }
    bool ok = o->format == IMPORT_CSV ? map_columns(c, i, header, columns) : map_members(c, i);
    return ok ? i : NULL;
}

const struct str *import_names(const struct import *i, size_t *n)
{
    *n = i->count;
    return i->names;
}

/* ---- one row ---- */

struct row {
    struct value *values;
    const char **any;
    bool *touched;
    struct value key;
    bool has_key;
};

static bool keep_value(struct context *c, const struct import *i, struct row *r, const struct field *f,
                       struct json_value *v)
{
    const char *pointer = field_pointer(c, f);
    if (f == i->match) {
        int64_t id;
        r->has_key = v->type != JSON_NULL;
        if (f->index == SYSTEM_ID && v->type == JSON_STRING && id_parse(v->text, &id))
            r->key = value_of(VALUE_ID, id);
        else if (!r->has_key)
            return true;
        else if (!record_value_json(c, f, v, pointer, &r->key, NULL) ||
                 !validate_value(c, f, pointer, &r->key))
            return false;
    }
    if (v->type == JSON_NULL) return true;
    return record_value_json(c, f, v, pointer, &r->values[f->index], &r->any[f->index]);
}

static bool read_cells(struct context *c, const struct import *i, const struct import_row *in, struct row *r)
{
    if (in->count > i->count) {
        error_add(c->error, NULL, "too_many_cells", "the row has %zu cells, the header %zu",
                  "в строке ячеек: %zu, в заголовке: %zu", in->count, i->count);
        return true;
    }
    for (size_t at = 0; at < in->count; at++) {
        const struct field *f = i->columns[at].field;
        struct json_value v;
        if (i->columns[at].over && f != i->match) continue;
        if (!import_cell(c, f, field_pointer(c, f), in->cells[at], &v) || !keep_value(c, i, r, f, &v)) {
            if (c->error->kind != ERROR_NONE) return false;
            continue;
        }
        /* An empty cell: the default of a new record stands (settled in create); an existing one is cleared.
         */
        r->touched[f->index] = !i->columns[at].over;
    }
    return true;
}

static bool read_members(struct context *c, const struct import *i, const struct import_row *in,
                         struct row *r)
{
    struct json_value *body = json_parse(c->arena, in->json, c->error);
    if (!body) return false;
    if (body->type != JSON_OBJECT)
        return error_set(c->error, ERROR_BAD_REQUEST, "a record is a JSON object", "запись это объект JSON");
    for (struct json_value *m = body->first; m; m = m->next) {
        const struct field *f = entity_field(i->entity, m->key);
        if (!f || !visible(c, i->entity, f)) {
            const char *pointer = arena_printf(c->arena, "/%.*s", STR_ARG(m->key));
            unknown_column(c, i->entity, m->key, pointer);
            continue;
        }
        if (i->by_field[f->index].over && f != i->match) continue;
        if (!import_json(c, f, field_pointer(c, f), m) || !keep_value(c, i, r, f, m)) {
            if (c->error->kind != ERROR_NONE) return false;
            continue;
        }
        r->touched[f->index] = !i->by_field[f->index].over;
    }
    return true;
}

static bool read_row(struct context *c, const struct import *i, const struct import_row *in, struct row *r)
{
    size_t n = i->entity->field_count;
    r->values = arena_array(c->arena, n, sizeof *r->values);
    r->any = arena_array(c->arena, n, sizeof *r->any);
    r->touched = arena_array(c->arena, n, sizeof *r->touched);
    if (!r->values || !r->any || !r->touched) return error_no_memory(c->error);
    if (in->code) {
        error_add(c->error, NULL, in->code, "%s", "%s", in->mistake[c->error->lang]);
        return error_set(c->error, ERROR_BAD_REQUEST, "%s", "%s", in->mistake[c->error->lang]);
    }
    if (!(in->json.p ? read_members(c, i, in, r) : read_cells(c, i, in, r))) return false;
    if (i->match && !r->has_key && c->error->count == 0)
        error_add(c->error, field_pointer(c, i->match), "required",
                  "%s is missing: records are matched by it",
                  "Не заполнено поле «%s»: по нему находятся записи", field_label(c, i->match));
    if (c->error->count == 0) return true;
    return error_set(c->error, ERROR_VALIDATION_FAILED, "some values cannot be taken",
                     "некоторые значения не подходят");
}

static bool find(struct context *c, const struct import *i, struct value key, int64_t *id, int64_t *version)
{
    const char *column = i->match->index == SYSTEM_ID ? "id" : i->match->column;
    char *sql = arena_printf(c->arena, "SELECT id, version FROM %s WHERE %s = ?", i->entity->table, column);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_value(s, 1, key);
    enum step step = stmt_step(s, c->error);
    *id = step == STEP_ROW ? stmt_int(s, 0) : 0;
    *version = step == STEP_ROW ? stmt_int(s, 1) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

/* What the importer's role says about imports of such a row, on top of creating or changing it. */
static bool allowed(struct context *c, const struct import *i, int64_t id)
{
    bool yes;
    const struct field *denied;
    if (c->trusted || c->who->all_write) return true;
    if (!access_check(c->db, c->who, i->entity, id, ACTION_IMPORT, NULL, &c->env, c->arena, &yes, &denied,
                      c->error))
        return false;
    return yes ? true
               : error_set(c->error, ERROR_FORBIDDEN,
                           "your roles do not allow you to import such a record: %s",
                           "ваши роли не позволяют импортировать такую запись: %s",
                           i->entity->label.text[c->error->lang]);
}

static bool create(struct context *c, const struct import *i, struct row *r, int64_t *id)
{
    struct record *made;
    for (size_t k = 0; k < i->entity->field_count; k++)
        if (r->touched[k] && !i->vouched && r->values[k].type == VALUE_NULL) r->touched[k] = false;
    c->vouched = i->vouched;
    bool ok = record_create(c, i->entity, r->values, r->any, r->touched, &made);
    c->vouched = false;
    if (ok) *id = made->id;
    return ok && allowed(c, i, made->id);
}

/* What may be given at creation only is no mistake where it says what stands there anyway. */
static bool leave_fixed(struct context *c, const struct import *i, struct row *r, int64_t id)
{
    struct record *now = NULL;
    for (size_t k = SYSTEM_FIELD_COUNT; k < i->entity->field_count; k++) {
        if (!r->touched[k] || !i->entity->fields[k]->fixed) continue;
        if (!now && !(now = record_load(c, i->entity, id))) return false;
        if (value_same(now->values[k], r->values[k])) r->touched[k] = false;
    }
    return true;
}

static bool change(struct context *c, const struct import *i, struct row *r, int64_t id)
{
    struct record *now;
    for (size_t k = 0; k < SYSTEM_ACTIVE; k++)
        r->touched[k] = false;
    if (!leave_fixed(c, i, r, id)) return false;
    c->vouched = i->vouched;
    bool ok = record_change(c, i->entity, id, r->values, r->any, r->touched, 0, &now);
    c->vouched = false;
    return ok && allowed(c, i, id);
}

static bool missing(struct context *c, const struct import *i)
{
    error_add(c->error, field_pointer(c, i->match), "no_such_record", "there is no record with this %s",
              "нет записи с таким значением поля «%s»", field_label(c, i->match));
    return error_set(c->error, ERROR_NOT_FOUND, "there is no such record: %s", "нет такой записи: %s",
                     i->entity->label.text[c->error->lang]);
}

static bool version_now(struct context *c, const struct entity *e, int64_t id, int64_t *version)
{
    char *sql = arena_printf(c->arena, "SELECT version FROM %s WHERE id = ?", e->table);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, c->error);
    *version = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step != STEP_ERROR;
}

static bool apply(struct context *c, const struct import *i, struct row *r, int64_t *id,
                  enum import_outcome *out)
{
    int64_t before = 0, after = 0;
    if (i->match && i->o.mode != IMPORT_CREATE && !find(c, i, r->key, id, &before)) return false;
    if (*id == 0) {
        *out = IMPORT_CREATED;
        return i->o.mode == IMPORT_UPDATE ? missing(c, i) : create(c, i, r, id);
    }
    if (!change(c, i, r, *id)) {
        /* What they may not see does not exist for them: as if it were not there, and its key is taken. */
        if (c->error->kind != ERROR_NOT_FOUND || c->error->count) return false;
        if (i->o.mode == IMPORT_UPDATE) return missing(c, i);
        error_clear(c->error);
        error_add(c->error, field_pointer(c, i->match), "duplicate", "%s is taken already",
                  "Поле «%s»: такое значение уже есть", field_label(c, i->match));
        return error_set(c->error, ERROR_DUPLICATE, "such a record exists already", "такая запись уже есть");
    }
    if (!version_now(c, i->entity, *id, &after)) return false;
    *out = after == before ? IMPORT_UNCHANGED : IMPORT_UPDATED;
    return true;
}

static bool row_fails(const struct context *c)
{
    return db_in_transaction(c->db) && c->error->kind != ERROR_UNAVAILABLE && c->error->kind != ERROR_BUSY;
}

static bool holds(struct context *c)
{
    return db_references_hold(c->db) ||
           error_set(c->error, ERROR_CONFLICT, "a reference leads to a record that does not exist",
                     "ссылка ведёт на запись, которой нет");
}

/* Everything but the savepoint. *wrote: it came so far that something may be written. */
static enum import_outcome row_into(struct import *i, struct context *c, const struct import_row *in,
                                    int64_t *record, bool *wrote)
{
    struct row r = {0};
    enum import_outcome outcome = IMPORT_FAILED;
    *record = 0;
    *wrote = false;
    c->automation = i->o.automation;
    c->lenient = i->o.mode == IMPORT_RESTORE;
    if (!read_row(c, i, in, &r)) return row_fails(c) ? IMPORT_FAILED : IMPORT_BROKEN;
    *wrote = true;
    if (apply(c, i, &r, record, &outcome) && holds(c)) return outcome;
    *record = 0;
    return row_fails(c) ? IMPORT_FAILED : IMPORT_BROKEN;
}

enum import_outcome import_row(struct import *i, struct context *c, const struct import_row *in,
                               int64_t *record)
{
    bool wrote;
    if (!db_savepoint(c->db, c->error)) return IMPORT_BROKEN;
    enum import_outcome outcome = row_into(i, c, in, record, &wrote);
    if (outcome == IMPORT_BROKEN) return outcome;
    if (outcome != IMPORT_FAILED) return db_savepoint_release(c->db, c->error) ? outcome : IMPORT_BROKEN;
    db_savepoint_rollback(c->db);
    trail_forget(c->db);
    return IMPORT_FAILED;
}

enum import_outcome import_row_among(struct import *i, struct context *c, const struct import_row *in,
                                     int64_t *record, bool *spoilt)
{
    enum import_outcome outcome = row_into(i, c, in, record, spoilt);
    *spoilt = *spoilt && outcome == IMPORT_FAILED;
    return outcome;
}

struct str import_key(const struct import *i, struct arena *arena, const struct import_row *row)
{
    if (!i->match || row->code) return (struct str){NULL, 0};
    if (!row->json.p)
        return i->match_at < row->count ? str_trim(row->cells[i->match_at]) : (struct str){NULL, 0};
    struct error ignored;
    error_init(&ignored, arena, LANG_EN);
    const struct json_value *v = json_member(json_parse(arena, row->json, &ignored), str_of(i->match->name));
    return v && (v->type == JSON_STRING || v->type == JSON_NUMBER) ? v->text : (struct str){NULL, 0};
}
