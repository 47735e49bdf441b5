/* validate.c: what a value and a record must be before they are written. All that is wrong is reported at
 * once. */
#include "record/files.h"
#include "record/internal.h"

#include "base/decimal.h"
#include "base/id.h"
#include "base/text.h"

static bool is_space_or_control(unsigned char ch)
{
    return ch <= ' ' || ch == 0x7F;
}

/* One "@", something on both sides, a dot in the domain, nothing that a mail header would trip over. */
static bool email_ok(struct str s)
{
    const char *at = memchr(s.p, '@', s.n);
    if (s.n > 254 || !at || at == s.p) return false;
    struct str domain = {at + 1, s.n - (size_t)(at - s.p) - 1};
    if (domain.n < 3 || !memchr(domain.p, '.', domain.n) || domain.p[0] == '.' ||
        domain.p[domain.n - 1] == '.')
        return false;
    for (size_t i = 0; i < s.n; i++)
        if (is_space_or_control((unsigned char)s.p[i]) || strchr("<>(),;:\\\"[]", s.p[i])) return false;
    return !memchr(domain.p, '@', domain.n);
}

static bool normal_email(struct context *c, struct value *v)
{
    if (!email_ok(v->s)) return false;
    char *copy = arena_dup(c->arena, v->s);
    if (!copy) return error_no_memory(c->error);
    for (char *p = strchr(copy, '@'); *p; p++)
        if (*p >= 'A' && *p <= 'Z') *p = (char)(*p + 32);
    v->s.p = copy;
    return true;
}

/* Digits with an optional leading "+"; spaces, brackets, dots and dashes are dropped. 8XXXXXXXXXX, as written
 * in Russia, becomes +7…. */
static bool normal_phone(struct context *c, struct value *v)
{
    char digits[20] = "+";
    size_t n = 1;
    bool plus = v->s.n && v->s.p[0] == '+';
    for (size_t i = plus; i < v->s.n; i++) {
        char ch = v->s.p[i];
        if (ch >= '0' && ch <= '9') {
            if (n > 15) return false;
            digits[n++] = ch;
        } else if (!strchr(" ()-.", ch ? ch : '?')) {
            return false;
        }
    }
    if (n < 6) return false; /* "+" and five digits */
    if (!plus && n == 12 && digits[1] == '8') digits[1] = '7';
    v->s = arena_str(c->arena, (struct str){digits, n});
    return v->s.p ? true : error_no_memory(c->error);
}

static bool url_ok(struct str s)
{
    bool known = str_starts(s, STR("https://")) || str_starts(s, STR("http://"));
    for (size_t i = 0; i < s.n; i++)
        if (is_space_or_control((unsigned char)s.p[i]) || strchr("<>\"", s.p[i])) return false;
    return known && s.n > 10 && s.n <= 2000;
}

static bool wrong(struct context *c, const struct field *f, const char *pointer, const char *code,
                  const char *en, const char *ru)
{
    const char *label = field_label(c, f);
    error_add(c->error, pointer, code, "%s %s", "Поле «%s» %s", label, c->error->lang == LANG_RU ? ru : en);
    return false;
}

static bool check_length(struct context *c, const struct field *f, const char *pointer, struct str s)
{
    int64_t length = (int64_t)text_length(s);
    int64_t max = f->has_max ? f->max : f->type == FIELD_LONGTEXT ? 100000 : 4000;
    if (length > max) {
        error_add(c->error, pointer, "too_long", "%s is longer than %lld characters",
                  "Поле «%s» длиннее %lld символов", field_label(c, f), (long long)max);
        return false;
    }
    if (f->has_min && length < f->min) {
        error_add(c->error, pointer, "too_short", "%s is shorter than %lld characters",
                  "Поле «%s» короче %lld символов", field_label(c, f), (long long)f->min);
        return false;
    }
    return true;
}

static bool check_bounds(struct context *c, const struct field *f, const char *pointer, int64_t v)
{
    bool percent = f->type == FIELD_PERCENT;
    int64_t min = f->has_min ? f->min : 0, max = f->has_max ? f->max : 10000;
    char limit[24];
    if ((f->has_min || percent) && v < min) {
        decimal_format(min, f->scale, limit);
        error_add(c->error, pointer, "too_small", "%s must be at least %s", "Поле «%s»: не меньше %s",
                  field_label(c, f), limit);
        return false;
    }
    if ((f->has_max || percent) && v > max) {
        decimal_format(max, f->scale, limit);
        error_add(c->error, pointer, "too_large", "%s must be at most %s", "Поле «%s»: не больше %s",
                  field_label(c, f), limit);
        return false;
    }
    return true;
}

static bool has_control(struct str s, bool lines)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char ch = (unsigned char)s.p[i];
        if (ch < ' ' && !(lines && (ch == '\n' || ch == '\t' || ch == '\r'))) return true;
    }
    return false;
}

bool validate_value(struct context *c, const struct field *f, const char *pointer, struct value *v)
{
    if (v->type == VALUE_NULL) return true;
    switch (f->type) {
    case FIELD_EMAIL:
        if (!normal_email(c, v))
            return wrong(c, f, pointer, "bad_email", "is not an e-mail address", "не похоже на адрес почты");
        return true;
    case FIELD_PHONE:
        if (!normal_phone(c, v))
            return wrong(c, f, pointer, "bad_phone", "is not a phone number", "не похоже на номер телефона");
        return true;
    case FIELD_URL:
        if (!url_ok(v->s))
            return wrong(c, f, pointer, "bad_url", "is not an http or https address",
                         "должно быть адресом http или https");
        return true;
    case FIELD_TEXT:
        if (has_control(v->s, false))
            return wrong(c, f, pointer, "control_character", "has control characters",
                         "содержит управляющие символы");
        return check_length(c, f, pointer, v->s);
    case FIELD_LONGTEXT:
        if (has_control(v->s, true))
            return wrong(c, f, pointer, "control_character", "has control characters",
                         "содержит управляющие символы");
        return check_length(c, f, pointer, v->s);
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: return check_bounds(c, f, pointer, v->i);
    default: return true;
    }
}

/* ---- the whole record ---- */

static bool wanted(struct context *c, const struct field *f, struct record *r, bool *yes)
{
    *yes = f->required;
    if (!f->required || !f->when) return true;
    struct filter_record get = record_filter(c, r);
    return filter_eval(f->when, &get, &c->env, c->arena, yes, c->error);
}

/* A name of spaces names nothing. */
static bool blank(struct value v)
{
    return value_empty(v) || (v.type == VALUE_TEXT && str_trim(v.s).n == 0);
}

static bool check_required(struct context *c, struct record *r, const bool *changed)
{
    const struct entity *e = r->entity;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if (!f->required || !blank(r->values[i])) continue;
        if (changed && !changed[i] && !f->when) continue; /* it was allowed to be so before */
        bool yes;
        if (!wanted(c, f, r, &yes)) return false;
        if (!yes) continue;
        error_add(c->error, field_pointer(c, f), "required", "%s is required", "Не заполнено поле «%s»",
                  field_label(c, f));
    }
    return true;
}

/* A reference must lead to a record that the caller may read: what one may not see one cannot point at. */
static bool reference_ok(struct context *c, const struct field *f, const struct entity *to, struct value v,
                         bool *ok)
{
    struct sql q;
    sql_init(&q, c->arena);
    sql_add(&q, "SELECT 1 FROM ");
    sql_add(&q, to->table);
    sql_add(&q, " AS t WHERE t.");
    sql_add(&q, v.type == VALUE_ID ? "id" : to->code->column);
    sql_add(&q, " = ?");
    if (f->type == FIELD_STAGE && entity_field(to, STR("pipeline"))) {
        sql_add(&q, " AND t.pipeline = ");
        sql_bind_value(&q, value_text(str_of(f->pipeline->name)));
    }
    if (!c->trusted && !to->setting) {
        sql_add(&q, " AND ");
        if (!access_row_sql(c->who, to, ACTION_READ, "t", &q)) return error_no_memory(c->error);
    }
    struct stmt *s = q.failed || q.text.failed ? NULL : db_prepare(c->db, buf_view(&q.text), c->error);
    sql_free(&q);
    if (!s) return c->error->kind == ERROR_NONE ? error_no_memory(c->error) : false;
    stmt_bind_value(s, 1, v);
    bool bound = sql_bind_all(s, 2, q.binds, q.bind_count, &c->env, c->arena);
    enum step step = bound ? stmt_step(s, c->error) : STEP_ERROR;
    db_release(s);
    if (!bound) return error_no_memory(c->error);
    *ok = step == STEP_ROW;
    return step != STEP_ERROR;
}

static bool missing_reference(struct context *c, const struct field *f, const struct entity *to,
                              struct value v)
{
    char id[ID_TEXT + 1];
    if (v.type == VALUE_ID) id_format(v.i, id);
    struct str shown = v.type == VALUE_ID ? str_of(id) : v.s;
    error_add(c->error, field_pointer(c, f), "no_such_record", "%s: there is no %s \"%.*s\"",
              "Поле «%s»: нет записи «%s» «%.*s»", field_label(c, f), to->label.text[c->error->lang],
              STR_ARG(shown));
    return true;
}

static bool check_set(struct context *c, const struct field *f, struct value set)
{
    struct json_value *items = json_parse(c->arena, set.s, c->error);
    if (!items) return false;
    for (struct json_value *i = items->first; i; i = i->next) {
        struct value v = value_text(i->text);
        int64_t id;
        if (!f->to->setting && id_parse(i->text, &id)) v = value_of(VALUE_ID, id);
        bool ok;
        if (!reference_ok(c, f, f->to, v, &ok)) return false;
        if (!ok && !missing_reference(c, f, f->to, v)) return false;
    }
    return true;
}

/* A file that one may not read is none to point at either: else a field would be a key to any file. */
static bool check_file(struct context *c, const struct field *f, struct value v)
{
    struct file_row row;
    bool ok;
    if (c->vouched) return true; /* its row is written with the record */
    if (!file_get(c->db, v.i, c->arena, &row, &ok, c->error)) return false;
    if (ok && !record_file_readable(c, &row, &ok)) return false;
    if (ok) return true;
    char id[ID_TEXT + 1];
    id_format(v.i, id);
    error_add(c->error, field_pointer(c, f), "no_such_record", "%s: there is no file \"%s\"",
              "Поле «%s»: нет файла «%s»", field_label(c, f), id);
    return true;
}

static bool check_references(struct context *c, struct record *r, const bool *changed)
{
    const struct entity *e = r->entity;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        struct value v = r->values[i];
        if ((changed && !changed[i]) || value_empty(v)) continue;
        if (f->type == FIELD_REFS) {
            if (!check_set(c, f, v)) return false;
            continue;
        }
        if (f->type == FIELD_FILE) {
            if (!check_file(c, f, v)) return false;
            continue;
        }
        const struct entity *to =
            f->any ? (r->any_entity[i] ? catalog_entity(c->catalog, str_of(r->any_entity[i])) : NULL)
            : f->type == FIELD_REF   ? f->to
            : f->type == FIELD_STAGE ? c->catalog->stage
                                     : NULL;
        if (!to) continue;
        bool ok;
        if (!reference_ok(c, f, to, v, &ok)) return false;
        if (!ok && !missing_reference(c, f, to, v)) return false;
    }
    return true;
}

static bool check_values(struct context *c, struct record *r, const bool *changed)
{
    const struct entity *e = r->entity;
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++) {
        const struct field *f = e->fields[i];
        if ((changed && !changed[i]) || !field_stored(f)) continue;
        if (!validate_value(c, f, field_pointer(c, f), &r->values[i])) {
            if (c->error->kind != ERROR_NONE) return false;
            continue;
        }
        if (!f->validate || value_empty(r->values[i]) || !c->hooks || !c->hooks->validate) continue;
        const char *message = NULL;
        if (!c->hooks->validate(c, f, r, &message)) return false;
        if (message) error_add(c->error, field_pointer(c, f), "invalid", "%s", "%s", message);
    }
    return true;
}

bool validate_record(struct context *c, struct record *r, const struct record *before, const bool *changed)
{
    (void)before;
    size_t known = c->error->count;
    if (!check_values(c, r, changed) || !check_required(c, r, changed) || !check_references(c, r, changed))
        return false;
    if (c->error->count == known) return true;
    return error_set(c->error, ERROR_VALIDATION_FAILED, "%s: some fields are missing or wrong",
                     "%s: проверьте поля", r->entity->label.text[c->error->lang]);
}
