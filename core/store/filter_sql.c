/* filter_sql.c: a checked tree as SQL. A comparison with a missing value is NULL, which WHERE, AND and OR
 * treat like false; where it is negated, "IS NOT 1" makes it true, as the language says. So the positive case
 * stays plain enough for an index. */
#include "base/decimal.h"
#include "base/id.h"
#include "store/filter_tree.h"

static bool logic_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                      const struct filter_scope *scope);
static bool value_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                      const struct filter_scope *scope);

static bool fine(const struct sql *q)
{
    return !q->failed && !q->text.failed;
}

/* ---- fields and paths ---- */

bool field_sql(struct sql *q, const struct entity *entity, const struct field *f, const char *alias,
               const struct filter_scope *scope)
{
    if (scope && scope->field_sql && scope->field_sql(scope->ctx, entity, f, alias, q)) return fine(q);
    if (f->type == FIELD_FORMULA) return formula_sql(q, f->formula, alias, scope);
    if (f->type == FIELD_REFS) {
        sql_printf(
            q,
            "(SELECT json_group_array(%s) FROM (SELECT target FROM %s WHERE owner = %s.id ORDER BY target))",
            f->to->setting ? "target" : "id_text(target)", f->link_table, alias);
    } else if (f->localized) {
        sql_printf(q, "label(%s.%s, ", alias, f->column);
        sql_bind(q, (struct bind){.kind = BIND_LANG});
        sql_add(q, ")");
    } else if (f->index == SYSTEM_ID) {
        sql_printf(q, "%s.id", alias);
    } else if (f->column) {
        sql_printf(q, "%s.%s", alias, f->column);
    } else {
        sql_add(q, "NULL");
    }
    return fine(q);
}

/* (SELECT <rest> FROM target WHERE key = <this field> [AND readable]) — nested for each step of the path. */
static bool path_sql(struct sql *q, const struct filter *f, const struct entity *e, const struct path *path,
                     size_t i, const char *alias, const struct filter_scope *scope)
{
    const struct field *field = path->fields[i];
    if (i + 1 == path->n) return field_sql(q, e, field, alias, scope);
    const struct entity *to = field->type == FIELD_STAGE ? f->catalog->stage : field->to;
    char *inner = arena_printf(q->arena, "p%d", q->next_alias++);
    if (!inner) return false;
    sql_add(q, "(SELECT ");
    if (!path_sql(q, f, to, path, i + 1, inner, scope)) return false;
    sql_printf(q, " FROM %s AS %s WHERE %s.%s = ", to->table, inner, inner,
               to->setting ? to->code->column : "id");
    if (!field_sql(q, e, field, alias, scope)) return false;
    if (scope && scope->row_sql) {
        sql_add(q, " AND ");
        if (!scope->row_sql(scope->ctx, to, inner, q)) return false;
    }
    sql_add(q, ")");
    return fine(q);
}

static bool lhs(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                const struct filter_scope *scope)
{
    return path_sql(q, f, f->entity, &n->path, 0, alias, scope);
}

static void operand_sql(struct sql *q, const struct operand *o)
{
    if (!o->setting) {
        sql_bind(q, o->bind);
        return;
    }
    /* The text may be the id of a setting: take that record's code, else the text. */
    int64_t id = 0;
    bool is_id = id_parse(o->bind.value.s, &id);
    sql_printf(q, "coalesce((SELECT %s FROM %s WHERE id = ", o->setting->code->column, o->setting->table);
    sql_bind_value(q, is_id ? value_of(VALUE_ID, id) : value_null());
    sql_add(q, "), ");
    sql_bind(q, o->bind);
    sql_add(q, ")");
}

/* ---- sets: options and refs ---- */

static void as_element(struct operand *o)
{
    o->bind.id_text = true;
}

/* One element of a set. The link table has an index; a masked or distant set goes through its JSON. */
static bool contains_sql(struct sql *q, const struct filter *f, const struct node *n, const struct operand *o,
                         const char *alias, const struct filter_scope *scope)
{
    const struct field *field = path_last(&n->path);
    if (n->path.n == 1 && field->type == FIELD_REFS && !scope) {
        sql_printf(q,
                   "EXISTS (SELECT 1 FROM %s AS l WHERE l.owner = %s.id AND l.target = ", field->link_table,
                   alias);
        operand_sql(q, o);
        sql_add(q, ")");
        return fine(q);
    }
    struct operand element = *o;
    as_element(&element);
    sql_add(q, "EXISTS (SELECT 1 FROM json_each(");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, ") AS j WHERE j.value = ");
    operand_sql(q, &element);
    sql_add(q, ")");
    return fine(q);
}

/* ---- tests ---- */

static const char *op_text(enum node_op op)
{
    switch (op) {
    case OP_LT: return " < ";
    case OP_LE: return " <= ";
    case OP_GT: return " > ";
    case OP_GE: return " >= ";
    default: return " = ";
    }
}

/* The scale of a column may differ from the literal's: compare at the larger one. A literal at a larger scale
 * than the column's is compared with the column multiplied, so that no digit is lost; otherwise the literal
 * is brought to the column's scale. */
static bool number_compare(struct sql *q, const struct filter *f, const struct node *n,
                           const struct operand *o, enum node_op op, const char *alias,
                           const struct filter_scope *scope)
{
    int scale = path_last(&n->path)->scale;
    struct value v = o->bind.value;
    for (; v.scale > scale && v.i % 10 == 0; v.scale--)
        v.i /= 10; /* what a script gives may have zeros at its end */
    if (v.scale <= scale) {
        struct bind b = o->bind;
        b.value = v;
        if (!decimal_rescale(v.i, v.scale, scale, &b.value.i)) b.value.i = v.i > 0 ? INT64_MAX : -INT64_MAX;
        b.value.scale = scale;
        if (!lhs(q, f, n, alias, scope)) return false;
        sql_add(q, op_text(op));
        sql_bind(q, b);
        return fine(q);
    }
    /* 10.001 against cents: x < 10.001 ⇔ x <= 10.00 ⇔ floor; equality never holds. */
    int64_t power = 1, floor;
    for (int i = scale; i < v.scale; i++)
        power *= 10;
    floor = v.i >= 0 ? v.i / power : -((-v.i + power - 1) / power);
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, op == OP_EQ ? " IS NULL AND 1 = 0 AND 0 = " : op == OP_LT || op == OP_LE ? " <= " : " > ");
    sql_bind_value(q, value_number(floor, scale));
    return fine(q);
}

static bool whole_day(struct sql *q, const struct filter *f, const struct node *n, const struct operand *o,
                      const char *alias, const struct filter_scope *scope)
{
    struct bind next = o->bind;
    next.add_days++;
    sql_add(q, "(");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, " >= ");
    sql_bind(q, o->bind);
    sql_add(q, " AND ");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, " < ");
    sql_bind(q, next);
    sql_add(q, ")");
    return fine(q);
}

static bool null_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                     const struct filter_scope *scope);

static bool compare_sql(struct sql *q, const struct filter *f, const struct node *n, const struct operand *o,
                        enum node_op op, const char *alias, const struct filter_scope *scope)
{
    enum value_type type = field_value_type(path_last(&n->path));
    if (o->null) {
        sql_add(q, "0");
        return fine(q);
    }
    if (o->missing) return op == OP_EQ ? null_sql(q, f, n, alias, scope) : (sql_add(q, "0"), fine(q));
    if (type == VALUE_SET) return contains_sql(q, f, n, o, alias, scope);
    if (type == VALUE_NUMBER && o->bind.kind == BIND_VALUE)
        return number_compare(q, f, n, o, op, alias, scope);
    if (o->whole_day && op == OP_EQ) return whole_day(q, f, n, o, alias, scope);
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, op_text(op));
    operand_sql(q, o);
    if (type == VALUE_TEXT && op != OP_EQ) sql_add(q, " COLLATE perigee");
    return fine(q);
}

static bool text_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                     const struct filter_scope *scope)
{
    sql_add(q, n->op == OP_CONTAINS ? "contains_fold(" : n->op == OP_STARTS ? "starts_fold(" : "ends_fold(");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, ", ");
    sql_bind(q, n->operands->bind);
    sql_add(q, ")");
    return fine(q);
}

static bool null_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                     const struct filter_scope *scope)
{
    bool set = path_is_set(&n->path);
    if (set) sql_add(q, "coalesce(json_array_length(");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, set ? "), 0) = 0" : " IS NULL");
    return fine(q);
}

/* Plain equality of many: IN (?, ?, …), which an index serves. Anything else is spelled out with OR. */
static bool in_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                   const struct filter_scope *scope)
{
    enum value_type type = field_value_type(path_last(&n->path));
    bool plain = type == VALUE_TEXT || type == VALUE_ID || type == VALUE_DATE || type == VALUE_BOOL;
    for (size_t i = 0; i < n->count; i++)
        plain = plain && !n->operands[i].setting && !n->operands[i].null && !n->operands[i].missing;
    sql_add(q, "(");
    if (plain && !lhs(q, f, n, alias, scope)) return false;
    if (plain) sql_add(q, " IN (");
    for (size_t i = 0; i < n->count; i++) {
        if (i) sql_add(q, plain ? ", " : " OR ");
        if (plain)
            sql_bind(q, n->operands[i].bind);
        else if (!compare_sql(q, f, n, &n->operands[i], OP_EQ, alias, scope))
            return false;
    }
    sql_add(q, plain ? "))" : ")");
    return fine(q);
}

/* "IN (…)" or "= ?": what a path to one value is held against. */
static bool against_sql(struct sql *q, const struct node *n)
{
    bool ids = field_value_type(path_last(&n->path)) == VALUE_ID;
    if (n->kind == NODE_COMPARE) {
        sql_add(q, " = ");
        operand_sql(q, n->operands);
        return fine(q);
    }
    int elements = q->env ? set_elements(&n->operands->bind, q->env) : -1;
    sql_add(q, elements >= 0 ? " IN ("
               : ids         ? " IN (SELECT id_parse(value) FROM json_each("
                             : " IN (SELECT value FROM json_each(");
    for (int i = 1; i <= elements; i++) {
        struct bind one = n->operands->bind;
        one.element = i;
        one.id = ids;
        if (i > 1) sql_add(q, ", ");
        sql_bind(q, one);
    }
    if (elements < 0) sql_bind(q, n->operands->bind);
    sql_add(q, elements >= 0 ? ")" : "))");
    return fine(q);
}

static bool in_set_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                       const struct filter_scope *scope)
{
    if (!path_is_set(&n->path)) return lhs(q, f, n, alias, scope) && against_sql(q, n);
    sql_add(q, "EXISTS (SELECT 1 FROM json_each(");
    if (!lhs(q, f, n, alias, scope)) return false;
    sql_add(q, ") AS j WHERE j.value IN (SELECT value FROM json_each(");
    sql_bind(q, n->operands->bind);
    sql_add(q, ")))");
    return fine(q);
}

/* partner.responsible = @me, responsible.manager in @my.reports: a way to a person or some people, over
 * references. All of them are indexed, and a person has few of anything. */
static bool leads_to_people(const struct node *n)
{
    const struct field *last = n->path.n >= 2 ? path_last(&n->path) : NULL;
    if (!last || last->type != FIELD_REF || !last->to || last->any || strcmp(last->to->name, "user") != 0)
        return false;
    for (size_t i = 0; i < n->path.n; i++)
        if (n->path.fields[i]->type != FIELD_REF || n->path.fields[i]->index < SYSTEM_FIELD_COUNT)
            return false;
    return n->kind == NODE_IN_SET ||
           (n->kind == NODE_COMPARE && n->op == OP_EQ && n->operands->bind.kind == BIND_ME);
}

/* t.partner IN (SELECT p0.id FROM partner AS p0 WHERE p0.responsible = ?) */
static bool from_people_sql(struct sql *q, const struct filter *f, const struct entity *e,
                            const struct node *n, size_t i, const char *alias,
                            const struct filter_scope *scope)
{
    const struct field *field = n->path.fields[i];
    if (!field_sql(q, e, field, alias, scope)) return false;
    if (i + 1 == n->path.n) return against_sql(q, n);
    char *inner = arena_printf(q->arena, "p%d", q->next_alias++);
    if (!inner) return false;
    sql_printf(q, " IN (SELECT %s.%s FROM %s AS %s WHERE ", inner,
               field->to->setting ? field->to->code->column : "id", field->to->table, inner);
    if (!from_people_sql(q, f, field->to, n, i + 1, inner, scope)) return false;
    if (scope && scope->row_sql) {
        sql_add(q, " AND ");
        if (!scope->row_sql(scope->ctx, field->to, inner, q)) return false;
    }
    sql_add(q, ")");
    return fine(q);
}

static bool between_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                        const struct filter_scope *scope)
{
    sql_add(q, "(");
    if (!compare_sql(q, f, n, &n->operands[0], OP_GE, alias, scope)) return false;
    sql_add(q, " AND ");
    if (!compare_sql(q, f, n, &n->operands[1], OP_LE, alias, scope)) return false;
    sql_add(q, ")");
    return fine(q);
}

/* ---- logic ----
 *
 * SQLite's parser keeps at most 100 things on its stack, and each open parenthesis is one of them. So "not"
 * is pushed down to the tests (the logic has two values: De Morgan holds), chains are written flat,
 * parentheses stand only around an OR inside an AND, and the deeper side comes first: fifty levels then cost
 * at most half as many. */

static bool leaf_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                     const struct filter_scope *scope)
{
    if (q->from_people && leads_to_people(n)) return from_people_sql(q, f, f->entity, n, 0, alias, scope);
    switch (n->kind) {
    case NODE_COMPARE: return compare_sql(q, f, n, n->operands, n->op, alias, scope);
    case NODE_TEXT: return text_sql(q, f, n, alias, scope);
    case NODE_NULL: return null_sql(q, f, n, alias, scope);
    case NODE_IN: return in_sql(q, f, n, alias, scope);
    case NODE_IN_SET: return in_set_sql(q, f, n, alias, scope);
    case NODE_BETWEEN: return between_sql(q, f, n, alias, scope);
    case NODE_ROLE: sql_bind(q, n->operands->bind); return fine(q);
    default: return false; /* values stand only in formulas */
    }
}

static bool is_logic(const struct node *n)
{
    return n->kind == NODE_AND || n->kind == NODE_OR;
}

static const struct node *without_not(const struct node *n, bool *negated)
{
    for (; n->kind == NODE_NOT; n = n->left)
        *negated = !*negated;
    return n;
}

/* How many parentheses the deepest test of a node stands in. */
static int depth_of(const struct node *n)
{
    bool ignored = false;
    n = without_not(n, &ignored);
    if (!is_logic(n)) return 0;
    int left = depth_of(n->left), right = depth_of(n->right);
    return 1 + (left > right ? left : right);
}

/* A test that cannot hold for this reader: in a set of theirs that is empty. Left out of an OR, since one
 * side without an index takes the indices from all of them. */
static bool never(const struct sql *q, const struct node *n, bool negated)
{
    n = without_not(n, &negated);
    if (n->kind == NODE_IN_SET) return !negated && q->env && set_elements(&n->operands->bind, q->env) == 0;
    if (!is_logic(n)) return false;
    bool left = never(q, n->left, negated), right = never(q, n->right, negated);
    return (n->kind == NODE_AND) != negated ? left || right : left && right;
}

#define DEEP 8

/* `inside`: what the expression around is: NODE_AND, NODE_OR, or NODE_NOT for none. */
static bool node_sql(struct sql *q, const struct filter *f, const struct node *n, bool negated,
                     enum node_kind inside, const char *alias, const struct filter_scope *scope)
{
    n = without_not(n, &negated);
    if (!is_logic(n)) {
        if (negated) sql_add(q, "((");
        if (!leaf_sql(q, f, n, alias, scope)) return false;
        if (negated) sql_add(q, ") IS NOT 1)");
        return fine(q);
    }
    enum node_kind kind = (n->kind == NODE_AND) != negated ? NODE_AND : NODE_OR;
    if (kind == NODE_OR && (never(q, n->left, negated) || never(q, n->right, negated)))
        return node_sql(q, f, never(q, n->left, negated) ? n->right : n->left, negated, inside, alias, scope);
    bool parentheses = kind == NODE_OR && inside == NODE_AND;
    int right = depth_of(n->right);
    bool swap =
        right > DEEP && right > depth_of(n->left); /* else in the author's order: cheap tests come first */
    if (parentheses) sql_add(q, "(");
    if (!node_sql(q, f, swap ? n->right : n->left, negated, kind, alias, scope)) return false;
    sql_add(q, kind == NODE_AND ? " AND " : " OR ");
    if (!node_sql(q, f, swap ? n->left : n->right, negated, kind, alias, scope)) return false;
    if (parentheses) sql_add(q, ")");
    return fine(q);
}

static bool logic_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                      const struct filter_scope *scope)
{
    return node_sql(q, f, n, false, NODE_NOT, alias, scope);
}

bool filter_sql(struct sql *q, const struct filter *f, const char *alias, const struct filter_scope *scope)
{
    sql_add(q, "(");
    if (!logic_sql(q, f, f->root, alias, scope)) return false;
    sql_add(q, ")");
    return fine(q);
}

/* ---- formulas ---- */

static bool scaled_sql(struct sql *q, const struct filter *f, const struct node *n, int scale,
                       const char *alias, const struct filter_scope *scope)
{
    if (n->type != VALUE_NUMBER || n->scale == scale) return value_sql(q, f, n, alias, scope);
    sql_add(q, "dec_scale(");
    if (!value_sql(q, f, n, alias, scope)) return false;
    sql_printf(q, ", %d, %d)", n->scale, scale);
    return fine(q);
}

/* a + b - c * … from left to right in one call: a call within a call for each step would soon be too deep for
 * SQLite's parser. A function takes 127 arguments: two and four for each step. */
#define STEPS_MAX 30

static bool arithmetic_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                           const struct filter_scope *scope)
{
    static const char names[] = {[OP_ADD] = '+', [OP_SUB] = '-', [OP_MUL] = '*', [OP_DIV] = '/'};
    const struct node *steps[STEPS_MAX], *first = n;
    size_t count = 0;
    for (; first->kind == NODE_ARITHMETIC && count < STEPS_MAX; first = first->left)
        steps[count++] = first;
    sql_add(q, "dec_calc(");
    if (!value_sql(q, f, first, alias, scope)) return false;
    sql_printf(q, ", %d", first->scale);
    while (count--) {
        const struct node *step = steps[count];
        sql_printf(q, ", '%c', ", names[step->op]);
        if (!value_sql(q, f, step->right, alias, scope)) return false;
        sql_printf(q, ", %d, %d", step->right->scale, step->scale);
    }
    sql_add(q, ")");
    return fine(q);
}

static bool day_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                    const struct filter_scope *scope)
{
    bool instant = n->type == VALUE_DATETIME;
    sql_add(q, instant ? "local_day(" : "(");
    if (!value_sql(q, f, n, alias, scope)) return false;
    if (instant) {
        sql_add(q, ", ");
        sql_bind(q, (struct bind){.kind = BIND_ZONE});
    }
    sql_add(q, ")");
    return fine(q);
}

static bool value_sql(struct sql *q, const struct filter *f, const struct node *n, const char *alias,
                      const struct filter_scope *scope)
{
    switch (n->kind) {
    case NODE_LITERAL: sql_bind(q, n->operands->bind); return fine(q);
    case NODE_FIELD: return lhs(q, f, n, alias, scope);
    case NODE_ARITHMETIC: return arithmetic_sql(q, f, n, alias, scope);
    case NODE_ROUND:
        sql_add(q, "dec_scale(");
        if (!value_sql(q, f, n->left, alias, scope)) return false;
        sql_printf(q, ", %d, %d)", n->left->scale, n->scale);
        return fine(q);
    case NODE_COALESCE:
        sql_add(q, "coalesce(");
        if (!scaled_sql(q, f, n->left, n->scale, alias, scope)) return false;
        sql_add(q, ", ");
        if (!scaled_sql(q, f, n->right, n->scale, alias, scope)) return false;
        sql_add(q, ")");
        return fine(q);
    case NODE_DAYS:
        sql_add(q, "(");
        if (!day_sql(q, f, n->right, alias, scope)) return false;
        sql_add(q, " - ");
        if (!day_sql(q, f, n->left, alias, scope)) return false;
        sql_add(q, ")");
        return fine(q);
    case NODE_IF:
        sql_add(q, "(CASE WHEN ");
        if (!logic_sql(q, f, n->test, alias, scope)) return false;
        sql_add(q, " THEN ");
        if (!scaled_sql(q, f, n->left, n->scale, alias, scope)) return false;
        sql_add(q, " ELSE ");
        if (!scaled_sql(q, f, n->right, n->scale, alias, scope)) return false;
        sql_add(q, " END)");
        return fine(q);
    default: return false;
    }
}

bool formula_sql(struct sql *q, const struct filter *f, const char *alias, const struct filter_scope *scope)
{
    return scaled_sql(q, f, f->root, f->scale, alias, scope);
}
