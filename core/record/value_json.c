/* value_json.c: what a client sends ↔ the values of fields. Every wrong field is reported, not only the
 * first; what each type accepts is said in its message. */
#include "record/internal.h"

#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json.h"
#include "base/suggest.h"
#include "base/text.h"

#include <stdlib.h>

const char *field_pointer(struct context *c, const struct field *f)
{
    size_t n = strlen(f->name);
    char *p = arena_alloc(c->arena, n + 2); /* ends in NUL */
    if (!p) return "";
    p[0] = '/';
    memcpy(p + 1, f->name, n);
    return p;
}

const char *field_label(struct context *c, const struct field *f)
{
    return f->label.text[c->error->lang];
}

static bool wrong_type(struct context *c, const struct field *f, const char *pointer, const char *en,
                       const char *ru)
{
    const char *label = field_label(c, f);
    error_add(c->error, pointer, "wrong_type", "%s must be %s", "Поле «%s»: нужно значение вида «%s»", label,
              c->error->lang == LANG_RU ? ru : en);
    return false;
}

static bool read_number(struct context *c, const struct field *f, const char *pointer,
                        const struct json_value *json, struct value *out)
{
    if (json->type != JSON_NUMBER) return wrong_type(c, f, pointer, "a number", "число");
    int64_t scaled = 0;
    switch (decimal_parse(json->text, f->scale, &scaled)) {
    case DECIMAL_OK: *out = value_number(scaled, f->scale); return true;
    case DECIMAL_TOO_PRECISE:
        error_add(c->error, pointer, "too_precise", "%s takes at most %d decimals",
                  "Поле «%s»: не более %d знаков после запятой", field_label(c, f), f->scale);
        return false;
    case DECIMAL_OVERFLOW:
        error_add(c->error, pointer, "too_large", "%s is too large", "Поле «%s»: слишком большое число",
                  field_label(c, f));
        return false;
    case DECIMAL_SYNTAX: break;
    }
    return wrong_type(c, f, pointer, "a number", "число");
}

static bool read_localized(struct context *c, const struct field *f, const char *pointer,
                           const struct json_value *json, struct value *out)
{
    struct buf b;
    buf_init(&b, 65536);
    json_object(&b);
    bool ok = true;
    for (const struct json_value *m = json->first; m && ok; m = m->next) {
        enum lang lang;
        if (!lang_parse(m->key, &lang) || m->type != JSON_STRING)
            ok = wrong_type(c, f, pointer, "a text, or an object with texts under \"en\" and \"ru\"",
                            "текст или объект с текстами «en» и «ru»");
        else {
            json_key_any(&b, m->key);
            json_str(&b, m->text);
        }
    }
    json_end_object(&b);
    if (ok) {
        *out = value_text(arena_str(c->arena, buf_view(&b)));
        if (b.failed || !out->s.p) ok = error_no_memory(c->error);
    }
    buf_free(&b);
    return ok;
}

static bool read_json(struct context *c, const struct json_value *json, struct value *out)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    json_value_write(&b, json);
    *out = value_text(arena_str(c->arena, buf_view(&b)));
    bool ok = !b.failed && out->s.p;
    buf_free(&b);
    return ok ? true : error_no_memory(c->error);
}

/* A setting is named by its code; its id is accepted too and replaced by the code. */
static bool read_code(struct context *c, const struct entity *to, struct str text, struct str *code)
{
    *code = text;
    int64_t id;
    if (!id_parse(text, &id)) return true;
    char *sql = arena_printf(c->arena, "SELECT %s FROM %s WHERE id = ?", to->code->column, to->table);
    struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_int(s, 1, id);
    enum step step = stmt_step(s, c->error);
    if (step == STEP_ROW) *code = arena_str(c->arena, stmt_text(s, 0));
    db_release(s);
    return step != STEP_ERROR;
}

/* A reference may come as {"id":…} too, as an expanded one goes out. */
static const struct json_value *plain_reference(const struct json_value *json)
{
    if (json->type != JSON_OBJECT) return json;
    const struct json_value *code = json_member(json, STR("code"));
    const struct json_value *id = json_member(json, STR("id"));
    return code ? code : id ? id : json;
}

static bool read_reference(struct context *c, const struct field *f, const char *pointer,
                           const struct json_value *json, struct value *out)
{
    json = plain_reference(json);
    const struct entity *to = f->to ? f->to : f->type == FIELD_STAGE ? c->catalog->stage : NULL;
    bool setting = to && to->setting;
    if (json->type != JSON_STRING)
        return setting ? wrong_type(c, f, pointer, "a code (a string)", "код (строка)")
                       : wrong_type(c, f, pointer, "an id (a string)", "идентификатор (строка)");
    if (setting) {
        struct str code;
        if (!read_code(c, to, json->text, &code)) return false;
        *out = value_text(code);
        return true;
    }
    int64_t id;
    if (!id_parse(json->text, &id)) {
        error_add(c->error, pointer, "bad_id", "%s: \"%.*s\" is not an id",
                  "Поле «%s»: «%.*s» не идентификатор", field_label(c, f), STR_ARG(json->text));
        return false;
    }
    *out = value_of(VALUE_ID, id);
    return true;
}

static int compare_texts(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    size_t n = x->n < y->n ? x->n : y->n;
    int order = n ? memcmp(x->p, y->p, n) : 0;
    return order ? order : (x->n > y->n) - (x->n < y->n);
}

static size_t option_index(const struct field *f, struct str value)
{
    for (size_t i = 0; i < f->option_count; i++)
        if (str_is(value, f->options[i].value)) return i;
    return f->option_count;
}

static bool unknown_option(struct context *c, const struct field *f, const char *pointer, struct str value)
{
    struct suggest s;
    suggest_start(&s, value);
    for (size_t i = 0; i < f->option_count; i++)
        suggest_try(&s, str_of(f->options[i].value));
    struct error_entry *entry =
        error_add(c->error, pointer, "unknown_option", "%s has no option \"%.*s\"",
                  "У поля «%s» нет значения «%.*s»", field_label(c, f), STR_ARG(value));
    entry->suggestion = s.best.p ? arena_dup(c->error->arena, s.best) : NULL;
    return false;
}

/* refs and options: kept as a sorted (refs) or declared-order (options) JSON array without repetitions. */
static bool read_set(struct context *c, const struct field *f, const char *pointer,
                     const struct json_value *json, struct value *out)
{
    if (json->type != JSON_ARRAY) return wrong_type(c, f, pointer, "an array", "массив");
    struct str *items = arena_array(c->arena, json->count + 1, sizeof *items);
    if (!items) return error_no_memory(c->error);
    size_t n = 0;
    for (const struct json_value *i = json->first; i; i = i->next) {
        struct value v = value_null();
        if (f->type == FIELD_REFS) {
            if (!read_reference(c, f, pointer, i, &v)) return false;
            char text[ID_TEXT + 1];
            if (v.type == VALUE_ID) id_format(v.i, text);
            items[n] = v.type == VALUE_ID ? str_of(arena_dup(c->arena, str_of(text))) : v.s;
        } else {
            if (i->type != JSON_STRING)
                return wrong_type(c, f, pointer, "an array of strings", "массив строк");
            if (option_index(f, i->text) == f->option_count) return unknown_option(c, f, pointer, i->text);
            items[n] = i->text;
        }
        if (!items[n++].p) return error_no_memory(c->error);
    }
    struct buf b;
    buf_init(&b, 1 << 20);
    json_array(&b);
    if (f->type == FIELD_REFS) {
        qsort(items, n, sizeof *items, compare_texts);
        for (size_t i = 0; i < n; i++)
            if (i == 0 || !str_eq(items[i], items[i - 1])) json_str(&b, items[i]);
    } else {
        for (size_t o = 0; o < f->option_count; o++)
            for (size_t i = 0; i < n; i++)
                if (str_is(items[i], f->options[o].value)) {
                    json_str(&b, items[i]);
                    break;
                }
    }
    json_end_array(&b);
    *out = (struct value){.type = VALUE_SET, .s = arena_str(c->arena, buf_view(&b))};
    bool ok = !b.failed && out->s.p;
    buf_free(&b);
    return ok ? true : error_no_memory(c->error);
}

/* A reference to a record of any entity: which one is found by looking for the id, since ids are unique over
 * all. */
bool record_find_any(struct context *c, int64_t id, const char **entity)
{
    *entity = NULL;
    for (size_t i = 0; i < c->catalog->entity_count; i++) {
        const struct entity *e = c->catalog->entities[i];
        if (e->server) continue;
        char *sql = arena_printf(c->arena, "SELECT 1 FROM %s WHERE id = ?", e->table);
        struct stmt *s = sql ? db_prepare(c->db, str_of(sql), c->error) : NULL;
        if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
        stmt_bind_int(s, 1, id);
        enum step step = stmt_step(s, c->error);
        db_release(s);
        if (step == STEP_ERROR) return false;
        if (step == STEP_DONE) continue;
        *entity = e->name;
        return true;
    }
    return true;
}

/* What one may not read is not there. */
static bool may_point_at(struct context *c, const char *entity, int64_t id, bool *allowed)
{
    const struct entity *e = catalog_entity(c->catalog, str_of(entity));
    const struct field *denied = NULL;
    if (c->trusted || !e || e->setting) return true;
    return access_check(c->db, c->who, e, id, ACTION_READ, NULL, &c->env, c->arena, allowed, &denied,
                        c->error);
}

static bool read_any(struct context *c, const struct field *f, const char *pointer,
                     const struct json_value *json, struct value *out, const char **any_entity)
{
    if (!read_reference(c, f, pointer, json, out)) return false;
    const char *found;
    bool allowed = true;
    if (!record_find_any(c, out->i, &found) || (found && !may_point_at(c, found, out->i, &allowed)))
        return false;
    if (!allowed) found = NULL;
    if (any_entity) *any_entity = found;
    if (found) return true;
    error_add(c->error, pointer, "no_such_record", "%s: there is no record with this id",
              "Поле «%s»: нет записи с таким идентификатором", field_label(c, f));
    return false;
}

static bool read_text(struct context *c, const struct field *f, const char *pointer,
                      const struct json_value *json, struct value *out)
{
    if (f->localized && json->type == JSON_OBJECT) return read_localized(c, f, pointer, json, out);
    if (json->type != JSON_STRING) return wrong_type(c, f, pointer, "a string", "строка");
    if (f->type == FIELD_OPTION && option_index(f, json->text) == f->option_count)
        return unknown_option(c, f, pointer, json->text);
    *out = value_text(json->text);
    return true;
}

static bool read_instant(struct context *c, const struct field *f, const char *pointer,
                         const struct json_value *json, struct value *out)
{
    int64_t v;
    bool date = field_value_type(f) == VALUE_DATE;
    if (json->type == JSON_STRING &&
        (date ? calendar_parse_date(json->text, &v) : calendar_parse_datetime(json->text, &v))) {
        *out = value_of(date ? VALUE_DATE : VALUE_DATETIME, v);
        return true;
    }
    if (date) return wrong_type(c, f, pointer, "a date such as \"2026-11-23\"", "дата, например 2026-11-23");
    return wrong_type(c, f, pointer, "a time such as \"2026-11-23T09:30:00Z\"",
                      "время, например 2026-11-23T09:30:00Z");
}

bool record_value_json(struct context *c, const struct field *f, const struct json_value *json,
                       const char *pointer, struct value *out, const char **any_entity)
{
    *out = value_null();
    if (json->type == JSON_NULL) return true;
    switch (f->type) {
    case FIELD_TEXT:
    case FIELD_LONGTEXT:
    case FIELD_EMAIL:
    case FIELD_PHONE:
    case FIELD_URL:
    case FIELD_OPTION: return read_text(c, f, pointer, json, out);
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: return read_number(c, f, pointer, json, out);
    case FIELD_BOOLEAN:
        if (json->type != JSON_TRUE && json->type != JSON_FALSE)
            return wrong_type(c, f, pointer, "true or false", "true или false");
        *out = value_of(VALUE_BOOL, json->type == JSON_TRUE);
        return true;
    case FIELD_DATE:
    case FIELD_DATETIME: return read_instant(c, f, pointer, json, out);
    case FIELD_OPTIONS:
    case FIELD_REFS: return read_set(c, f, pointer, json, out);
    case FIELD_REF:
    case FIELD_STAGE:
    case FIELD_FILE:
        return f->any ? read_any(c, f, pointer, json, out, any_entity)
                      : read_reference(c, f, pointer, json, out);
    case FIELD_JSON: return read_json(c, json, out);
    case FIELD_FORMULA:
    case FIELD_COMPUTED:
    case FIELD_TYPE_COUNT: break;
    }
    return wrong_type(c, f, pointer, "left out: it is calculated", "нет: оно вычисляется");
}

static void unknown_field(struct context *c, const struct entity *e, struct str name)
{
    struct filter_scope scope = access_scope(c->who);
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < e->field_count; i++)
        if (!e->fields[i]->hidden && (c->trusted || scope.see_field(scope.ctx, e, e->fields[i])))
            suggest_try(&s, str_of(e->fields[i]->name));
    const char *pointer = json_pointer(c->arena, name);
    struct error_entry *entry =
        error_add(c->error, pointer ? pointer : "/", "unknown_field", "%s has no field \"%.*s\"",
                  "У записи «%s» нет поля «%.*s»", e->label.text[c->error->lang], STR_ARG(name));
    entry->suggestion = s.best.p ? arena_dup(c->error->arena, s.best) : NULL;
}

/* A field that the caller may neither read nor write does not exist for them. */
static bool field_exists_for(struct context *c, const struct entity *e, const struct field *f)
{
    if (f->hidden) return false;
    if (c->trusted) return true;
    return access_field(c->who, e, f, ACTION_READ) != ACCESS_NEVER ||
           access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER ||
           access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER;
}

static bool ever_written(struct context *c, const struct entity *e, const struct field *f)
{
    if (f->type == FIELD_FORMULA || f->type == FIELD_COMPUTED) return false;
    if (c->trusted) return true;
    if (f->readonly || (f->system && f->index != SYSTEM_ACTIVE)) return false;
    return access_field(c->who, e, f, ACTION_UPDATE) != ACCESS_NEVER ||
           access_field(c->who, e, f, ACTION_CREATE) != ACCESS_NEVER;
}

bool record_read_json(struct context *c, const struct entity *e, const struct json_value *body,
                      struct value *values, const char **any_entity, bool *touched)
{
    struct error *err = c->error;
    if (!body || body->type != JSON_OBJECT)
        return error_set(err, ERROR_BAD_REQUEST, "the body must be a JSON object with fields",
                         "тело запроса должно быть объектом JSON с полями");
    bool unknown = false, wrong = false;
    for (const struct json_value *m = body->first; m; m = m->next) {
        const struct field *f = entity_field(e, m->key);
        if (!f || !field_exists_for(c, e, f)) {
            unknown_field(c, e, m->key);
            unknown = true;
            continue;
        }
        const char *pointer = field_pointer(c, f);
        touched[f->index] = true;
        if (!ever_written(c, e, f)) continue; /* refused later, with its pointer: its shape does not matter */
        if (!record_value_json(c, f, m, pointer, &values[f->index],
                               any_entity ? &any_entity[f->index] : NULL)) {
            if (err->kind != ERROR_NONE) return false;
            wrong = true;
        }
    }
    if (unknown)
        return error_set(err, ERROR_UNKNOWN_FIELD, "the body names a field that does not exist",
                         "в теле запроса есть неизвестное поле");
    if (wrong)
        return error_set(err, ERROR_VALIDATION_FAILED, "some fields have values that they cannot take",
                         "некоторые поля заполнены неверно");
    return true;
}

void record_write_value(struct buf *b, const struct field *f, struct value v, enum lang lang)
{
    (void)lang;
    switch (v.type) {
    case VALUE_NULL: json_null(b); break;
    case VALUE_NUMBER: json_decimal(b, v.i, v.scale); break;
    case VALUE_BOOL: json_bool(b, v.i != 0); break;
    case VALUE_DATE: json_date(b, v.i); break;
    case VALUE_DATETIME: json_datetime(b, v.i); break;
    case VALUE_ID: json_id(b, v.i); break;
    case VALUE_SET: json_raw(b, v.s); break;
    case VALUE_TEXT:
        if (f->type == FIELD_JSON || (f->localized && v.s.n && v.s.p[0] == '{'))
            json_raw(b, v.s);
        else
            json_str(b, v.s);
        break;
    }
}
