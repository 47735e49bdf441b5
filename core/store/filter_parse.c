/* filter_parse.c: tests and logic. Names are resolved and literals converted while parsing, so that a mistake
 * is told with the very place where it stands. */
#include "base/suggest.h"
#include "base/text.h"
#include "store/filter_parser.h"

bool parser_fail(struct parser *p, size_t at, const char *code, const char *expected, const char *en,
                 const char *ru, ...)
{
    if (p->error->kind != ERROR_NONE) return false;
    va_list args;
    va_start(args, ru);
    const char *message = arena_vprintf(p->arena, p->error->lang == LANG_RU ? ru : en, args);
    va_end(args);
    if (p->token.kind == TOKEN_BAD && at == p->token.at) { /* the token's own mistake says more */
        message = p->error->lang == LANG_RU ? p->token.bad_ru : p->token.bad;
        at = p->token.bad_at;
        code = "syntax";
    }
    long offset = (long)text_length((struct str){p->text.p, at < p->text.n ? at : p->text.n});
    struct error_entry *entry = error_add(p->error, p->pointer, code, "%s", "%s", message ? message : code);
    entry->offset = offset;
    entry->expected = expected;
    return error_set(p->error, ERROR_BAD_FILTER, "position %ld: %s", "позиция %ld: %s", offset,
                     message ? message : code);
}

void parser_suggest(struct parser *p, struct str best)
{
    if (best.p && p->error->last) p->error->last->suggestion = arena_dup(p->error->arena, best);
}

/* A bad token fits nowhere: whoever looks at it refuses it, and says what was expected instead. */
bool parser_advance(struct parser *p)
{
    if (p->error->kind != ERROR_NONE) return false;
    p->token = filter_lex(p->arena, p->text, p->next, &p->next);
    return true;
}

bool parser_is(const struct parser *p, const char *text)
{
    return (p->token.kind == TOKEN_NAME || p->token.kind == TOKEN_SYMBOL) && str_is(p->token.text, text);
}

bool parser_accept(struct parser *p, const char *text)
{
    return parser_is(p, text) && parser_advance(p);
}

bool parser_expect(struct parser *p, const char *symbol)
{
    return parser_expect_of(p, symbol, symbol);
}

bool parser_expect_of(struct parser *p, const char *symbol, const char *expected)
{
    if (parser_is(p, symbol)) return parser_advance(p);
    return parser_fail(p, p->token.at, "syntax", expected, "\"%s\" expected", "ожидалось «%s»", symbol);
}

bool parser_enter(struct parser *p)
{
    if (++p->depth > FILTER_DEPTH_MAX)
        return parser_fail(p, p->token.at, "too_deep", NULL, "nested more than %d deep",
                           "вложенность больше %d", FILTER_DEPTH_MAX);
    if (++p->terms > FILTER_TERMS_MAX)
        return parser_fail(p, p->token.at, "too_many_terms", NULL, "more than %d terms", "больше %d условий",
                           FILTER_TERMS_MAX);
    return true;
}

struct node *parser_node(struct parser *p, enum node_kind kind)
{
    struct node *n = arena_alloc(p->arena, sizeof *n);
    if (n)
        n->kind = kind;
    else
        error_no_memory(p->error);
    return n;
}

/* ---- paths ---- */

static bool visible(const struct parser *p, const struct entity *e, const struct field *f)
{
    if (f->hidden) return false;
    return !p->scope || !p->scope->see_field || p->scope->see_field(p->scope->ctx, e, f);
}

static bool unknown_field(struct parser *p, const struct entity *e, struct str name, size_t at)
{
    struct suggest s;
    suggest_start(&s, name);
    for (size_t i = 0; i < e->field_count; i++)
        if (visible(p, e, e->fields[i])) suggest_try(&s, str_of(e->fields[i]->name));
    parser_fail(p, at, "unknown_field", "field", "%s has no field \"%.*s\"", "у «%s» нет поля «%.*s»",
                e->label.text[p->error->lang], STR_ARG(name));
    parser_suggest(p, s.best);
    return false;
}

static const struct entity *target(const struct parser *p, const struct field *f)
{
    return f->type == FIELD_STAGE ? p->catalog->stage : f->type == FIELD_REF && !f->any ? f->to : NULL;
}

static bool is_keyword(struct str name)
{
    static const char *const words[] = {"and",      "or",     "not",  "in",   "is",    "between",
                                        "contains", "starts", "ends", "true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_is(name, words[i])) return true;
    return false;
}

bool parse_path(struct parser *p, struct path *out)
{
    const struct entity *e = p->entity;
    *out = (struct path){.n = 0};
    for (;;) {
        struct str name = p->token.text;
        size_t at = p->token.at;
        if (p->token.kind != TOKEN_NAME)
            return parser_fail(p, at, "syntax", "field", "a field expected", "ожидалось поле");
        if (out->n == FILTER_PATH_MAX)
            return parser_fail(p, at, "too_deep", NULL, "a path has at most %d names",
                               "в пути не больше %d имён", FILTER_PATH_MAX);
        const struct field *f = entity_field(e, name);
        if (!f && is_keyword(name))
            return parser_fail(p, at, "syntax", "field", "a field expected, not \"%.*s\"",
                               "ожидалось поле, а не «%.*s»", STR_ARG(name));
        if (!f || !visible(p, e, f)) return unknown_field(p, e, name, at);
        out->fields[out->n++] = f;
        if (!parser_advance(p)) return false;
        if (!parser_is(p, ".")) return true;
        size_t dot = p->token.at;
        e = target(p, f);
        if (!e || f->index == SYSTEM_ID)
            return parser_fail(p, dot, "not_a_reference", "operator",
                               "\"%s\" does not lead to one other record",
                               "поле «%s» не ведёт к одной записи", f->name);
        if (!parser_advance(p)) return false;
    }
}

/* ---- tests ---- */

static bool is_text(const struct field *f)
{
    return field_value_type(f) == VALUE_TEXT && f->type != FIELD_JSON && f->type != FIELD_COMPUTED;
}

static bool only_null(const struct field *f)
{
    return f->type == FIELD_JSON || f->type == FIELD_FILE;
}

static bool comparison(const struct parser *p, enum node_op *op)
{
    static const struct {
        const char *text;
        enum node_op op;
    } ops[] = {{"=", OP_EQ}, {"!=", OP_NE}, {"<=", OP_LE}, {"<", OP_LT}, {">=", OP_GE}, {">", OP_GT}};
    for (size_t i = 0; i < sizeof ops / sizeof *ops && p->token.kind == TOKEN_SYMBOL; i++) {
        if (!str_is(p->token.text, ops[i].text)) continue;
        *op = ops[i].op;
        return true;
    }
    return false;
}

static bool orderable(const struct field *f)
{
    return field_value_type(f) != VALUE_SET && field_value_type(f) != VALUE_BOOL &&
           !(field_value_type(f) == VALUE_ID && f->index != SYSTEM_ID);
}

static struct node *negated(struct parser *p, struct node *n, bool not )
{
    if (!n || !not ) return n;
    struct node *outer = parser_node(p, NODE_NOT);
    if (outer) outer->left = n;
    return outer;
}

static struct node *compare(struct parser *p, const struct path *path, enum node_op op)
{
    const struct field *f = path_last(path);
    size_t at = p->token.at;
    if (!parser_advance(p)) return NULL;
    bool null = p->token.kind == TOKEN_NAME && str_is(p->token.text, "null");
    struct node *n = parser_node(p, null ? NODE_NULL : NODE_COMPARE);
    if (!n) return NULL;
    n->path = *path;
    n->op = op == OP_NE ? OP_EQ : op;
    if (null && (op == OP_EQ || op == OP_NE)) return parser_advance(p) ? negated(p, n, op == OP_NE) : NULL;
    n->kind = NODE_COMPARE;
    if (only_null(f)) {
        parser_fail(p, at, "not_filterable", "is", "\"%s\" can only be tested with is null",
                    "поле «%s» можно проверить только через is null", f->name);
        return NULL;
    }
    if (op != OP_EQ && op != OP_NE && !orderable(f)) {
        parser_fail(p, at, "type_mismatch", "= != in", "\"%s\" has no order",
                    "значения поля «%s» не упорядочены", f->name);
        return NULL;
    }
    n->operands = arena_alloc(p->arena, sizeof *n->operands);
    n->count = 1;
    if (!n->operands || !parse_operand(p, f, n->operands))
        return n->operands ? NULL : (error_no_memory(p->error), NULL);
    return negated(p, n, op == OP_NE);
}

static struct node *text_test(struct parser *p, const struct path *path, enum node_op op)
{
    struct node *n = parser_node(p, NODE_TEXT);
    if (!is_text(path_last(path))) {
        parser_fail(p, p->token.at, "type_mismatch", "= != < >", "\"%s\" is not text",
                    "поле «%s» не текстовое", path_last(path)->name);
        return NULL;
    }
    if (!n || !parser_advance(p)) return NULL;
    struct value v = {0};
    if (p->token.kind == TOKEN_STRING)
        v = value_text(p->token.text);
    else if (p->token.kind == TOKEN_PARAM) {
        struct field plain = {.type = FIELD_TEXT, .name = "", .index = SYSTEM_FIELD_COUNT};
        struct operand o;
        if (!parse_operand(p, &plain, &o)) return NULL;
        v = o.bind.value;
    } else {
        parser_fail(p, p->token.at, "syntax", "string", "a text in quotes expected",
                    "ожидался текст в кавычках");
        return NULL;
    }
    n->op = op;
    n->path = *path;
    n->count = 1;
    n->operands = arena_alloc(p->arena, sizeof *n->operands);
    if (!n->operands) return error_no_memory(p->error), NULL;
    n->operands->bind = (struct bind){.kind = BIND_VALUE, .value = v};
    n->operands->null = v.type == VALUE_NULL;
    return p->token.kind == TOKEN_STRING && !parser_advance(p) ? NULL : n;
}

static bool same_kind_of_set(const struct field *f, enum bind_kind kind)
{
    if (kind == BIND_MY_LEVELS) return f->type == FIELD_OPTION;
    if (f->type == FIELD_STAGE || (f->type != FIELD_REF && f->type != FIELD_REFS) ||
        (!f->to && f->index != SYSTEM_ID))
        return f->index == SYSTEM_ID;
    const char *to = f->to ? f->to->name : "";
    switch (kind) {
    case BIND_MY_DIRECTIONS: return strcmp(to, "direction") == 0;
    case BIND_MY_GROUPS: return strcmp(to, "group") == 0 || f->index == SYSTEM_ID;
    case BIND_MY_REPORTS:
    case BIND_MY_ABSENT: return strcmp(to, "user") == 0 || f->index == SYSTEM_ID;
    case BIND_MY_ROLES: return strcmp(to, "role") == 0;
    default: return false;
    }
}

static struct node *in_macro(struct parser *p, struct node *n)
{
    enum value_type type;
    bool set = false;
    size_t at = p->token.at;
    struct bind b;
    const struct field *f = path_last(&n->path);
    if (!macro_find(p->token.text, &b, &type, &set) || !set) {
        parser_fail(p, at, macro_find(p->token.text, &b, &type, &set) ? "type_mismatch" : "unknown_macro",
                    "( @my.directions @my.groups @my.reports", "\"@%.*s\" is not a set",
                    "«@%.*s» не множество", STR_ARG(p->token.text));
        return NULL;
    }
    if (!same_kind_of_set(f, b.kind)) {
        parser_fail(p, at, "type_mismatch", NULL, "\"%s\" holds nothing that could be in @%.*s",
                    "значения поля «%s» не могут входить в @%.*s", f->name, STR_ARG(p->token.text));
        return NULL;
    }
    n->kind = NODE_IN_SET;
    n->operands = arena_alloc(p->arena, sizeof *n->operands);
    n->count = 1;
    if (!n->operands) return error_no_memory(p->error), NULL;
    n->operands->bind = b;
    return parser_advance(p) ? n : NULL;
}

static struct node *in_list(struct parser *p, const struct path *path)
{
    struct node *n = parser_node(p, NODE_IN);
    if (!n || !parser_advance(p)) return NULL;
    n->path = *path;
    if (only_null(path_last(path))) {
        parser_fail(p, p->token.at, "not_filterable", "is", "\"%s\" can only be tested with is null",
                    "поле «%s» можно проверить только через is null", path_last(path)->name);
        return NULL;
    }
    if (p->token.kind == TOKEN_MACRO) return in_macro(p, n);
    if (!parser_expect_of(p, "(", "( macro")) return NULL;
    n->operands = arena_array(p->arena, FILTER_TERMS_MAX, sizeof *n->operands);
    if (!n->operands) return error_no_memory(p->error), NULL;
    do {
        if (n->count == FILTER_TERMS_MAX || ++p->terms > FILTER_TERMS_MAX) {
            parser_fail(p, p->token.at, "too_many_terms", NULL, "more than %d terms", "больше %d условий",
                        FILTER_TERMS_MAX);
            return NULL;
        }
        if (!parse_operand(p, path_last(path), &n->operands[n->count++])) return NULL;
    } while (parser_accept(p, ","));
    return parser_expect_of(p, ")", ", )") ? n : NULL;
}

static struct node *between(struct parser *p, const struct path *path)
{
    struct node *n = parser_node(p, NODE_BETWEEN);
    if (!n) return NULL;
    n->path = *path;
    n->operands = arena_array(p->arena, 2, sizeof *n->operands);
    n->count = 2;
    if (!n->operands) return error_no_memory(p->error), NULL;
    if (only_null(path_last(path)) || !orderable(path_last(path))) {
        parser_fail(p, p->token.at, "type_mismatch", "= != in", "\"%s\" has no order",
                    "значения поля «%s» не упорядочены", path_last(path)->name);
        return NULL;
    }
    if (!parser_advance(p) || !parse_operand(p, path_last(path), &n->operands[0])) return NULL;
    if (!parser_expect(p, "and") || !parse_operand(p, path_last(path), &n->operands[1])) return NULL;
    return n;
}

static struct node *is_null(struct parser *p, const struct path *path)
{
    struct node *n = parser_node(p, NODE_NULL);
    if (!n || !parser_advance(p)) return NULL;
    n->path = *path;
    bool not = parser_accept(p, "not");
    return parser_expect_of(p, "null", not ? "null" : "null not") ? negated(p, n, not ) : NULL;
}

static struct node *operator(struct parser *p, const struct path *path)
{
    enum node_op op;
    if (comparison(p, &op)) return compare(p, path, op);
    if (parser_is(p, "contains")) return text_test(p, path, OP_CONTAINS);
    if (parser_is(p, "starts")) return text_test(p, path, OP_STARTS);
    if (parser_is(p, "ends")) return text_test(p, path, OP_ENDS);
    if (parser_is(p, "is")) return is_null(p, path);
    bool not = parser_accept(p, "not");
    if (parser_is(p, "in")) return negated(p, in_list(p, path), not );
    if (parser_is(p, "between")) return negated(p, between(p, path), not );
    parser_fail(p, p->token.at, "syntax",
                not ? "in between" : "= != < <= > >= contains starts ends in is between not",
                "an operator expected", "ожидалась операция");
    return NULL;
}

static struct node *role_test(struct parser *p)
{
    struct node *n = parser_node(p, NODE_ROLE);
    if (!n) return NULL;
    struct str code = {p->token.text.p + 5, p->token.text.n - 5};
    n->count = 1;
    n->operands = arena_alloc(p->arena, sizeof *n->operands);
    if (!n->operands) return error_no_memory(p->error), NULL;
    n->operands->bind = (struct bind){.kind = BIND_ROLE, .value = value_text(arena_str(p->arena, code))};
    return parser_advance(p) ? n : NULL;
}

static struct node *test(struct parser *p)
{
    if (p->token.kind == TOKEN_MACRO && str_starts(p->token.text, STR("role.")) && p->token.text.n > 5)
        return role_test(p);
    struct path path;
    size_t at = p->token.at;
    if (!parse_path(p, &path)) return NULL;
    if (path_last(&path)->type == FIELD_COMPUTED) {
        parser_fail(p, at, "not_filterable", "field", "\"%s\" is computed by a script and cannot be filtered",
                    "поле «%s» вычисляется сценарием, по нему нельзя отбирать", path_last(&path)->name);
        return NULL;
    }
    return operator(p, &path);
}

static struct node *parse_not(struct parser *p)
{
    if (!parser_enter(p)) return NULL;
    struct node *n;
    if (parser_accept(p, "not"))
        n = negated(p, parse_not(p), true);
    else if (p->error->kind != ERROR_NONE)
        n = NULL;
    else if (parser_accept(p, "(")) {
        n = parse_or(p);
        if (n && !parser_expect_of(p, ")", "and or )")) n = NULL;
    } else
        n = p->error->kind == ERROR_NONE ? test(p) : NULL;
    p->depth--;
    return n;
}

static struct node *chain(struct parser *p, enum node_kind kind, const char *word,
                          struct node *(*part)(struct parser *))
{
    struct node *left = part(p);
    while (left && parser_accept(p, word)) {
        struct node *n = parser_node(p, kind), *right = n ? part(p) : NULL;
        if (!right) return NULL;
        n->left = left;
        n->right = right;
        left = n;
    }
    return p->error->kind == ERROR_NONE ? left : NULL;
}

static struct node *parse_and(struct parser *p)
{
    return chain(p, NODE_AND, "and", parse_not);
}

struct node *parse_or(struct parser *p)
{
    return chain(p, NODE_OR, "or", parse_and);
}

const struct filter *filter_parse(struct arena *arena, const struct catalog *c, const struct entity *entity,
                                  struct str text, const char *pointer, const struct value *params,
                                  size_t param_count, const struct filter_scope *scope, struct error *e)
{
    struct parser p = {.arena = arena,
                       .catalog = c,
                       .entity = entity,
                       .text = text,
                       .pointer = pointer ? pointer : "filter",
                       .params = params,
                       .param_count = param_count,
                       .scope = scope,
                       .error = e};
    struct filter *f = arena_alloc(arena, sizeof *f);
    if (!f) return error_no_memory(e), NULL;
    if (!text_valid(text))
        return parser_fail(&p, 0, "syntax", NULL, "the filter is not UTF-8", "фильтр не в кодировке UTF-8"),
               NULL;
    if (text_length(text) > FILTER_LENGTH_MAX)
        return parser_fail(&p, 0, "too_long", NULL, "longer than %d characters", "длиннее %d символов",
                           FILTER_LENGTH_MAX),
               NULL;
    /* The text must outlive the caller's buffer: literals point into it. */
    p.text = arena_str(arena, text);
    if (!p.text.p) return error_no_memory(e), NULL;
    if (!parser_advance(&p)) return NULL;
    *f = (struct filter){.entity = entity, .catalog = c, .root = parse_or(&p), .type = VALUE_BOOL};
    if (!f->root) return NULL;
    if (p.token.kind != TOKEN_END)
        return parser_fail(&p, p.token.at, "syntax", "and or end", "\"and\", \"or\" or the end expected",
                           "ожидалось and, or или конец"),
               NULL;
    return f;
}

static bool node_names(const struct node *n, const struct field *field)
{
    if (!n) return false;
    return (n->path.n && n->path.fields[0] == field) || node_names(n->left, field) ||
           node_names(n->right, field) || node_names(n->test, field);
}

bool filter_names(const struct filter *f, const struct field *field)
{
    return f && node_names(f->root, field);
}
