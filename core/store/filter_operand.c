/* filter_operand.c: one value in a filter, converted to the type of the field it is compared with. */
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/suggest.h"
#include "store/filter_parser.h"

static bool mismatch(struct parser *p, size_t at, const struct field *f, const char *expected)
{
    return parser_fail(p, at, "type_mismatch", expected, "\"%s\" (%s) cannot be compared with this value",
                       "поле «%s» (%s) нельзя сравнить с этим значением", f->name, field_type_name(f->type));
}

static void set_value(struct operand *o, struct value v)
{
    o->bind = (struct bind){.kind = BIND_VALUE, .value = v};
}

static bool option_operand(struct parser *p, const struct field *f, struct str text, size_t at,
                           struct operand *o)
{
    struct suggest s;
    suggest_start(&s, text);
    for (size_t i = 0; i < f->option_count; i++) {
        if (str_is(text, f->options[i].value)) return set_value(o, value_text(text)), true;
        suggest_try(&s, str_of(f->options[i].value));
    }
    parser_fail(p, at, "bad_value", "value", "\"%s\" has no option \"%.*s\"",
                "у поля «%s» нет значения «%.*s»", f->name, STR_ARG(text));
    parser_suggest(p, s.best);
    return false;
}

static bool reference_operand(struct parser *p, const struct field *f, struct str text, size_t at,
                              struct operand *o)
{
    const struct entity *to = f->type == FIELD_STAGE ? p->catalog->stage : f->to;
    if (f->index != SYSTEM_ID && to && to->setting) {
        int64_t id;
        set_value(o, value_text(text));
        if (id_parse(text, &id)) o->setting = to;
        return true;
    }
    int64_t id;
    if (!id_parse(text, &id))
        return parser_fail(p, at, "bad_value", "value", "\"%.*s\" is not an id", "«%.*s» не идентификатор",
                           STR_ARG(text));
    set_value(o, value_of(VALUE_ID, id));
    return true;
}

static bool date_operand(struct parser *p, const struct field *f, struct str text, size_t at,
                         struct operand *o)
{
    bool datetime = field_value_type(f) == VALUE_DATETIME;
    int64_t v;
    if (calendar_parse_date(text, &v)) {
        set_value(o, value_of(VALUE_DATE, v));
        if (datetime) o->bind.kind = BIND_DATE_START;
        o->bind.as_datetime = o->whole_day = datetime;
        return true;
    }
    if (calendar_parse_datetime(text, &v)) {
        set_value(o, value_of(VALUE_DATETIME, v));
        if (!datetime) o->bind.kind = BIND_INSTANT_DAY;
        return true;
    }
    return parser_fail(p, at, "bad_value", "date", "\"%.*s\" is not a date", "«%.*s» не дата", STR_ARG(text));
}

static bool text_operand(struct parser *p, const struct field *f, struct str text, size_t at,
                         struct operand *o)
{
    switch (f->type == FIELD_FORMULA ? f->formula_type : f->type) {
    case FIELD_OPTION:
    case FIELD_OPTIONS: return option_operand(p, f, text, at, o);
    case FIELD_REF:
    case FIELD_REFS:
    case FIELD_STAGE: return reference_operand(p, f, text, at, o);
    case FIELD_DATE:
    case FIELD_DATETIME: return date_operand(p, f, text, at, o);
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: return mismatch(p, at, f, "number");
    case FIELD_BOOLEAN: return mismatch(p, at, f, "true false");
    default: set_value(o, value_text(text)); return true;
    }
}

static bool number_operand(struct parser *p, const struct field *f, struct str text, size_t at,
                           struct operand *o)
{
    int64_t v;
    int scale;
    if (field_value_type(f) != VALUE_NUMBER)
        return mismatch(p, at, f, field_value_type(f) == VALUE_BOOL ? "true false" : "string");
    if (decimal_parse_any(text, &v, &scale) != DECIMAL_OK)
        return parser_fail(p, at, "bad_value", "number", "%.*s is too long a number",
                           "%.*s: слишком длинное число", STR_ARG(text));
    set_value(o, value_number(v, scale));
    return true;
}

static bool param_operand(struct parser *p, const struct field *f, struct operand *o)
{
    size_t n = 0;
    for (size_t i = 0; i < p->token.text.n && n < 1000; i++)
        n = n * 10 + (size_t)(p->token.text.p[i] - '0');
    if (n == 0 || n > p->param_count)
        return parser_fail(p, p->token.at, "unknown_param", NULL, "there is no parameter $%zu (%zu given)",
                           "нет параметра $%zu (дано %zu)", n, p->param_count);
    struct value v = p->params[n - 1];
    size_t at = p->token.at;
    enum value_type wanted = field_value_type(f);
    switch (v.type) {
    case VALUE_NULL:
        o->null = true;
        set_value(o, value_null());
        return true;
    case VALUE_TEXT: return text_operand(p, f, v.s, at, o);
    case VALUE_NUMBER:
        if (wanted != VALUE_NUMBER) return mismatch(p, at, f, "number");
        break;
    case VALUE_BOOL:
        if (wanted != VALUE_BOOL) return mismatch(p, at, f, "true false");
        break;
    default:
        if (v.type != wanted && !(wanted == VALUE_SET && v.type == VALUE_ID)) return mismatch(p, at, f, NULL);
    }
    set_value(o, v);
    return true;
}

bool unknown_macro(struct parser *p, struct str name, size_t at)
{
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; macro_names[i]; i++)
        suggest_try(&s, str_of(macro_names[i]));
    parser_fail(p, at, "unknown_macro", "macro", "there is no macro \"@%.*s\"", "нет макроса «@%.*s»",
                STR_ARG(name));
    parser_suggest(p, s.best);
    return false;
}

/* @today + 3d, 2026-01-31 + 1mo */
bool macro_duration(struct parser *p, struct bind *b)
{
    while (parser_is(p, "+") || parser_is(p, "-")) {
        bool minus = parser_is(p, "-");
        if (!parser_advance(p)) return false;
        if (p->token.kind != TOKEN_DURATION || !duration_add(p->token.text, minus, b))
            return parser_fail(p, p->token.at, "syntax", "duration",
                               "a duration such as 3d expected (m, h, d, w, mo, y)",
                               "ожидался срок, например 3d (m, h, d, w, mo, y)");
        if (!parser_advance(p)) return false;
    }
    return p->error->kind == ERROR_NONE;
}

static bool macro_operand(struct parser *p, const struct field *f, struct operand *o)
{
    enum value_type type, wanted = field_value_type(f);
    bool set;
    struct str name = p->token.text;
    size_t at = p->token.at;
    if (!macro_find(name, &o->bind, &type, &set)) return unknown_macro(p, name, at);
    if (set)
        return parser_fail(p, at, "type_mismatch", "in", "@%.*s is a set: use \"in\"",
                           "@%.*s — множество: используйте in", STR_ARG(name));
    if (!parser_advance(p)) return false;
    if (type == VALUE_ID) {
        /* Without the catalog (defaults) and for ids the target is not known. */
        const char *to = f->to && !f->any ? f->to->name : NULL;
        bool leads = !to || strcmp(to, o->bind.kind == BIND_ME ? "user" : "partner") == 0;
        if ((wanted != VALUE_ID && wanted != VALUE_SET) || !leads) return mismatch(p, at, f, NULL);
        return true;
    }
    if (wanted != VALUE_DATE && wanted != VALUE_DATETIME) return mismatch(p, at, f, NULL);
    o->bind.as_datetime = wanted == VALUE_DATETIME;
    if (!macro_duration(p, &o->bind)) return false;
    /* "@today + 3h" is an instant like any other. */
    o->whole_day = wanted == VALUE_DATETIME && o->bind.kind == BIND_DAY_START && o->bind.add_ms == 0;
    return true;
}

bool parse_operand(struct parser *p, const struct field *f, struct operand *o)
{
    *o = (struct operand){0};
    struct token t = p->token;
    switch (t.kind) {
    case TOKEN_MACRO: return macro_operand(p, f, o);
    case TOKEN_STRING: return text_operand(p, f, t.text, t.at, o) && parser_advance(p);
    case TOKEN_NUMBER: return number_operand(p, f, t.text, t.at, o) && parser_advance(p);
    case TOKEN_PARAM: return param_operand(p, f, o) && parser_advance(p);
    case TOKEN_DATE:
    case TOKEN_DATETIME:
        if (field_value_type(f) != VALUE_DATE && field_value_type(f) != VALUE_DATETIME)
            return mismatch(p, t.at, f, NULL);
        if (!date_operand(p, f, t.text, t.at, o) || !parser_advance(p) || !macro_duration(p, &o->bind))
            return false;
        o->whole_day = o->whole_day && o->bind.add_ms == 0;
        return true;
    case TOKEN_NAME:
        if (str_is(t.text, "null")) return o->missing = true, parser_advance(p);
        if (!str_is(t.text, "true") && !str_is(t.text, "false")) break;
        if (field_value_type(f) != VALUE_BOOL) return mismatch(p, t.at, f, NULL);
        set_value(o, value_of(VALUE_BOOL, str_is(t.text, "true")));
        return parser_advance(p);
    case TOKEN_SYMBOL:
        if (!str_is(t.text, "-") || !parser_advance(p)) break;
        if (p->token.kind != TOKEN_NUMBER) break;
        if (!number_operand(p, f, p->token.text, p->token.at, o)) return false;
        o->bind.value.i = -o->bind.value.i;
        return parser_advance(p);
    default: break;
    }
    return parser_fail(p, t.at, "syntax", "value", "a value expected", "ожидалось значение");
}

bool filter_parse_value(const struct field *field, struct str text, const struct filter_env *env,
                        struct arena *arena, struct value *out, struct error *e)
{
    static const struct catalog none;
    struct parser p = {.arena = arena, .catalog = &none, .text = text, .pointer = "default", .error = e};
    struct operand o;
    if (!parser_advance(&p)) return false;
    if (p.token.kind == TOKEN_NAME && str_is(p.token.text, "null")) return *out = value_null(), true;
    /* A bare word is the text itself: default = "open". */
    if (p.token.kind == TOKEN_NAME && field_value_type(field) == VALUE_TEXT)
        return *out = value_text(text), true;
    struct field target = *field;
    /* Without the catalog a stage is its code. */
    if (target.type == FIELD_STAGE) target.type = FIELD_TEXT;
    if (!parse_operand(&p, &target, &o)) return false;
    if (p.token.kind != TOKEN_END)
        return parser_fail(&p, p.token.at, "syntax", "end", "the end expected", "ожидался конец");
    if (!bind_resolve(&o.bind, env, arena, out)) return error_no_memory(e);
    if (out->type == VALUE_NUMBER && !decimal_rescale(out->i, out->scale, field->scale, &out->i))
        return parser_fail(&p, 0, "bad_value", "number", "the number is too large", "слишком большое число");
    if (out->type == VALUE_NUMBER) out->scale = field->scale;
    return true;
}
