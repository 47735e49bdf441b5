/* filter_formula.c: the arithmetic of formula fields: exact decimals whose scales are known when the formula
 * is parsed. */
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/suggest.h"
#include "base/text.h"
#include "store/filter_parser.h"

#define SCALE_MAX 6

static struct node *as_number(struct parser *p, struct node *n, size_t at)
{
    if (!n || n->type == VALUE_NUMBER) return n;
    if (n->type == VALUE_NULL) return n->type = VALUE_NUMBER, n;
    parser_fail(p, at, "type_mismatch", "number", "a number expected", "ожидалось число");
    return NULL;
}

static struct node *literal_node(struct parser *p, struct bind b, enum value_type type)
{
    struct node *n = parser_node(p, NODE_LITERAL);
    if (!n) return NULL;
    n->operands = arena_alloc(p->arena, sizeof *n->operands);
    if (!n->operands) return error_no_memory(p->error), NULL;
    n->count = 1;
    n->operands->bind = b;
    n->type = type;
    n->scale = b.value.scale;
    return n;
}

static struct node *literal(struct parser *p, struct value v)
{
    struct node *n = literal_node(p, (struct bind){.kind = BIND_VALUE, .value = v}, v.type);
    return n && parser_advance(p) ? n : NULL;
}

/* @today, @now - 3d, @month_start: those that are a point in time. */
static struct node *macro(struct parser *p)
{
    struct bind b;
    enum value_type type;
    bool set;
    struct token t = p->token;
    if (!macro_find(t.text, &b, &type, &set)) return unknown_macro(p, t.text, t.at), NULL;
    if (type != VALUE_DATE && type != VALUE_DATETIME)
        return parser_fail(p, t.at, "not_usable", "field number date",
                           "@%.*s is no value that a formula can use",
                           "@%.*s нельзя использовать в формуле как значение", STR_ARG(t.text)),
               NULL;
    b.as_datetime = type == VALUE_DATETIME;
    if (!parser_advance(p) || !macro_duration(p, &b)) return NULL;
    return literal_node(p, b, type);
}

static struct node *date(struct parser *p, struct token t)
{
    int64_t v;
    enum value_type type = t.kind == TOKEN_DATE ? VALUE_DATE : VALUE_DATETIME;
    bool fine = t.kind == TOKEN_DATE ? calendar_parse_date(t.text, &v) : calendar_parse_datetime(t.text, &v);
    struct bind b = {.kind = BIND_VALUE, .value = value_of(type, fine ? v : 0)};
    if (fine) return parser_advance(p) && macro_duration(p, &b) ? literal_node(p, b, type) : NULL;
    return parser_fail(p, t.at, "bad_value", "date", "\"%.*s\" is not a date", "«%.*s» не дата",
                       STR_ARG(t.text)),
           NULL;
}

static struct node *word(struct parser *p, struct str name)
{
    if (str_is(name, "null")) return literal(p, value_null());
    return literal(p, value_of(VALUE_BOOL, str_is(name, "true")));
}

/* Both sides of a choice get one type and the larger scale. */
static bool unify(struct parser *p, struct node *n, size_t at)
{
    struct node *l = n->left, *r = n->right;
    if (l->type == VALUE_NULL) l->type = r->type, l->scale = r->scale;
    if (r->type == VALUE_NULL) r->type = l->type, r->scale = l->scale;
    if (l->type != r->type)
        return parser_fail(p, at, "type_mismatch", NULL, "both values must be of one type",
                           "оба значения должны быть одного типа");
    n->type = n->left->type;
    n->scale = n->left->scale > n->right->scale ? n->left->scale : n->right->scale;
    return true;
}

static struct node *two_values(struct parser *p, enum node_kind kind)
{
    struct node *n = parser_node(p, kind);
    if (!n || !(n->left = parse_sum(p)) || !parser_expect(p, ",") || !(n->right = parse_sum(p)) ||
        !parser_expect(p, ")"))
        return NULL;
    return n;
}

static struct node *call_round(struct parser *p)
{
    struct node *n = parser_node(p, NODE_ROUND);
    size_t at = p->token.at;
    if (!n || !(n->left = as_number(p, parse_sum(p), at)) || !parser_expect(p, ",")) return NULL;
    int64_t digits;
    if (p->token.kind != TOKEN_NUMBER || decimal_parse(p->token.text, 0, &digits) != DECIMAL_OK ||
        digits < 0 || digits > SCALE_MAX)
        return parser_fail(p, p->token.at, "bad_value", "number", "digits from 0 to %d expected",
                           "ожидалось число знаков от 0 до %d", SCALE_MAX),
               NULL;
    n->scale = (int)digits;
    n->type = VALUE_NUMBER;
    return parser_advance(p) && parser_expect(p, ")") ? n : NULL;
}

static bool is_day(enum value_type t)
{
    return t == VALUE_DATE || t == VALUE_DATETIME;
}

static struct node *call(struct parser *p, struct str name, size_t at)
{
    struct node *n;
    if (str_is(name, "round")) return call_round(p);
    if (str_is(name, "coalesce")) {
        n = two_values(p, NODE_COALESCE);
        return n && unify(p, n, at) ? n : NULL;
    }
    if (str_is(name, "days")) {
        n = two_values(p, NODE_DAYS);
        if (!n) return NULL;
        n->type = VALUE_NUMBER;
        if (is_day(n->left->type) && is_day(n->right->type)) return n;
        return parser_fail(p, at, "type_mismatch", "date", "days() takes two dates",
                           "days() принимает две даты"),
               NULL;
    }
    if (str_is(name, "if")) {
        struct node *test = parse_or(p);
        if (!test || !parser_expect(p, ",")) return NULL;
        n = two_values(p, NODE_IF);
        if (!n) return NULL;
        n->test = test;
        return unify(p, n, at) ? n : NULL;
    }
    struct suggest s;
    suggest_start(&s, name);
    static const char *const names[] = {"coalesce", "round", "days", "if"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        suggest_try(&s, str_of(names[i]));
    parser_fail(p, at, "unknown_function", "coalesce round days if", "there is no function \"%.*s\"",
                "нет функции «%.*s»", STR_ARG(name));
    parser_suggest(p, s.best);
    return NULL;
}

static struct node *field_value(struct parser *p)
{
    struct node *n = parser_node(p, NODE_FIELD);
    size_t at = p->token.at;
    if (!n || !parse_path(p, &n->path)) return NULL;
    const struct field *f = path_last(&n->path);
    n->type = field_value_type(f);
    n->scale = f->scale;
    bool unfinished = f->type == FIELD_FORMULA && !f->formula;
    if (f->type == FIELD_COMPUTED || n->type == VALUE_SET || unfinished || f->type == FIELD_JSON)
        return parser_fail(p, at, "not_usable", "field", "\"%s\" cannot be used in a formula here",
                           "поле «%s» нельзя использовать в формуле", f->name),
               NULL;
    return n;
}

static struct node *atom(struct parser *p)
{
    struct token t = p->token;
    struct value v;
    if (t.kind == TOKEN_NUMBER) {
        v = value_number(0, 0);
        if (decimal_parse_any(t.text, &v.i, &v.scale) != DECIMAL_OK)
            return parser_fail(p, t.at, "bad_value", "number", "%.*s is too long a number",
                               "%.*s: слишком длинное число", STR_ARG(t.text)),
                   NULL;
        return literal(p, v);
    }
    if (t.kind == TOKEN_STRING) return literal(p, value_text(t.text));
    if (t.kind == TOKEN_DATE || t.kind == TOKEN_DATETIME) return date(p, t);
    if (t.kind == TOKEN_MACRO) return macro(p);
    if (parser_accept(p, "(")) {
        struct node *n = parse_sum(p);
        return n && parser_expect(p, ")") ? n : NULL;
    }
    if (t.kind != TOKEN_NAME)
        return parser_fail(p, t.at, "syntax", "field number string date macro (",
                           "a field or a value expected", "ожидалось поле или значение"),
               NULL;
    if (str_is(t.text, "null") || str_is(t.text, "true") || str_is(t.text, "false")) return word(p, t.text);
    /* A name with "(" behind it is a function. */
    size_t next;
    struct token after = filter_lex(p->arena, p->text, p->next, &next);
    if (after.kind != TOKEN_SYMBOL || !str_is(after.text, "(")) return field_value(p);
    if (!parser_advance(p) || !parser_advance(p)) return NULL;
    return call(p, t.text, t.at);
}

static struct node *unary(struct parser *p)
{
    if (!parser_enter(p)) return NULL;
    struct node *n;
    size_t at = p->token.at;
    if (parser_accept(p, "-")) {
        struct node *operand = as_number(p, unary(p), at);
        n = operand ? parser_node(p, NODE_ARITHMETIC) : NULL;
        if (n) {
            struct node *zero = parser_node(p, NODE_LITERAL);
            if (!zero || !(zero->operands = arena_alloc(p->arena, sizeof *zero->operands)))
                return error_no_memory(p->error), NULL;
            zero->operands->bind.value = value_number(0, 0);
            zero->type = VALUE_NUMBER;
            zero->count = 1;
            *n = (struct node){.kind = NODE_ARITHMETIC,
                               .op = OP_SUB,
                               .left = zero,
                               .right = operand,
                               .type = VALUE_NUMBER,
                               .scale = operand->scale};
        }
    } else
        n = p->error->kind == ERROR_NONE ? atom(p) : NULL;
    p->depth--;
    return n;
}

static int result_scale(enum node_op op, int a, int b)
{
    if (op == OP_DIV) return SCALE_MAX;
    if (op == OP_MUL) return a + b < SCALE_MAX ? a + b : SCALE_MAX;
    return a > b ? a : b;
}

static struct node *arithmetic(struct parser *p, const char *first, enum node_op first_op, const char *second,
                               enum node_op second_op, struct node *(*part)(struct parser *))
{
    size_t at = p->token.at;
    struct node *left = part(p);
    while (left && (parser_is(p, first) || parser_is(p, second))) {
        enum node_op op = parser_is(p, first) ? first_op : second_op;
        left = as_number(p, left, at);
        if (!left || !parser_advance(p)) return NULL;
        size_t right_at = p->token.at;
        struct node *right = as_number(p, part(p), right_at),
                    *n = right ? parser_node(p, NODE_ARITHMETIC) : NULL;
        if (!n) return NULL;
        *n = (struct node){.kind = NODE_ARITHMETIC,
                           .op = op,
                           .left = left,
                           .right = right,
                           .type = VALUE_NUMBER,
                           .scale = result_scale(op, left->scale, right->scale)};
        left = n;
    }
    return left;
}

static struct node *product(struct parser *p)
{
    return arithmetic(p, "*", OP_MUL, "/", OP_DIV, unary);
}

struct node *parse_sum(struct parser *p)
{
    return arithmetic(p, "+", OP_ADD, "-", OP_SUB, product);
}

/* What SQLite's parser keeps on its stack for the formula; of its 100 places the rest is for the question
 * around. A call takes three, other parentheses one. */
#define NESTING_MAX 50

static int nesting(struct parser *p, const struct filter *f)
{
    struct sql q;
    int depth = 0, most = 0, open[256];
    size_t n = 0;
    sql_init(&q, p->arena);
    bool ok = formula_sql(&q, f, "t", NULL);
    for (size_t i = 0; ok && i < q.text.n; i++) {
        char c = q.text.p[i], before = i ? q.text.p[i - 1] : ' ';
        if (c == ')' && n) depth -= open[--n];
        if (c != '(') continue;
        ok = n < sizeof open / sizeof *open;
        if (!ok) break;
        bool call = (before >= 'a' && before <= 'z') || before == '_';
        open[n++] = call ? 3 : 1;
        depth += open[n - 1];
        if (depth > most) most = depth;
    }
    sql_free(&q);
    return ok ? most : NESTING_MAX + 1;
}

const struct filter *filter_parse_formula(struct arena *arena, const struct catalog *c,
                                          const struct entity *entity, struct str text, enum field_type type,
                                          int scale, struct error *e)
{
    struct parser p = {.arena = arena, .catalog = c, .entity = entity, .pointer = "expr", .error = e};
    struct field declared = {.type = type, .index = SYSTEM_FIELD_COUNT};
    struct filter *f = arena_alloc(arena, sizeof *f);
    p.text = arena_str(arena, text);
    if (!f || !p.text.p) return error_no_memory(e), NULL;
    if (!text_valid(text))
        return parser_fail(&p, 0, "syntax", NULL, "the formula is not UTF-8", "формула не в кодировке UTF-8"),
               NULL;
    if (text_length(text) > FILTER_LENGTH_MAX)
        return parser_fail(&p, 0, "too_long", NULL, "longer than %d characters", "длиннее %d символов",
                           FILTER_LENGTH_MAX),
               NULL;
    if (!parser_advance(&p)) return NULL;
    *f = (struct filter){.entity = entity,
                         .catalog = c,
                         .root = parse_sum(&p),
                         .type = field_value_type(&declared),
                         .scale = scale};
    if (!f->root) return NULL;
    if (p.token.kind != TOKEN_END)
        return parser_fail(&p, p.token.at, "syntax", "operator end", "an operator or the end expected",
                           "ожидалась операция или конец"),
               NULL;
    if (nesting(&p, f) > NESTING_MAX)
        return parser_fail(&p, 0, "too_deep", NULL, "the formula is nested too deeply",
                           "слишком большая вложенность формулы"),
               NULL;
    if (f->root->type != f->type && f->root->type != VALUE_NULL)
        return parser_fail(&p, 0, "type_mismatch", NULL, "the formula does not give a value of type %s",
                           "формула даёт значение не типа %s", field_type_name(type)),
               NULL;
    return f;
}
