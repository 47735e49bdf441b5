/* filter_eval.c: a checked tree evaluated over one record in memory. It must agree with filter_sql.c; a
 * property test holds the two together. */
#include "base/calendar.h"
#include "base/decimal.h"
#include "base/id.h"
#include "base/json_parse.h"
#include "base/text.h"
#include "store/filter_tree.h"

struct eval {
    const struct filter *filter;
    const struct filter_record *record;
    const struct filter_env *env;
    struct arena *arena;
    struct error *error;
};

static bool test(struct eval *v, const struct node *n, bool *yes);
static bool value_of_node(struct eval *v, const struct node *n, struct value *out);

/* A localized text is compared in the reader's language: as label() of the SQL functions. */
static bool localize(struct eval *v, struct value *x)
{
    if (x->type != VALUE_TEXT || x->s.n == 0 || x->s.p[0] != '{') return true;
    struct json_value *all = json_parse(v->arena, x->s, v->error);
    if (!all) {
        error_clear(v->error);
        return true;
    }
    const struct json_value *m = json_member(all, str_of(lang_code(v->env->lang)));
    if (!m || m->type != JSON_STRING) m = all->first;
    if (m && m->type == JSON_STRING) x->s = m->text;
    return true;
}

static bool get(struct eval *v, const struct path *p, struct value *out)
{
    if (!v->record->get(v->record->ctx, p->fields, p->n, out, v->error)) return false;
    return path_last(p)->localized ? localize(v, out) : true;
}

static bool resolve(struct eval *v, const struct bind *b, struct value *out)
{
    return bind_resolve(b, v->env, v->arena, out) ? true : error_no_memory(v->error);
}

static int order(struct value a, struct value b)
{
    if (a.type == VALUE_TEXT) return text_compare(a.s, b.s);
    if (a.type == VALUE_NUMBER) return decimal_compare(a.i, a.scale, b.i, b.scale);
    return (a.i > b.i) - (a.i < b.i);
}

/* Whether a JSON array holds the element; ids stand in it as text. */
static bool set_holds(struct eval *v, struct value set, struct value element, bool *yes)
{
    char text[ID_TEXT + 1];
    struct str wanted = element.s;
    *yes = false;
    if (element.type == VALUE_ID) {
        id_format(element.i, text);
        wanted = str_of(text);
    }
    struct json_value *all = set.s.n ? json_parse(v->arena, set.s, v->error) : NULL;
    if (!all) return set.s.n == 0;
    for (struct json_value *i = all->first; i && !*yes; i = i->next)
        *yes = str_eq(i->text, wanted);
    return true;
}

static bool holds(enum node_op op, int order)
{
    switch (op) {
    case OP_LT: return order < 0;
    case OP_LE: return order <= 0;
    case OP_GT: return order > 0;
    case OP_GE: return order >= 0;
    default: return order == 0;
    }
}

static bool is_null(const struct node *n, struct value left)
{
    if (!path_is_set(&n->path)) return left.type == VALUE_NULL;
    return left.type == VALUE_NULL || left.s.n <= 2;
}

/* A text that may be the id of a setting stands for that setting's code. */
static bool by_code(struct eval *v, const struct operand *o, struct value *right)
{
    int64_t id;
    struct str code = {NULL, 0};
    if (!o->setting || !v->record->code || !id_parse(right->s, &id)) return true;
    if (!v->record->code(v->record->ctx, o->setting, id, &code, v->error)) return false;
    if (code.p) *right = value_text(code);
    return true;
}

static bool compare(struct eval *v, const struct node *n, const struct operand *o, enum node_op op,
                    struct value left, bool *yes)
{
    struct value right;
    *yes = false;
    if (o->null) return true;
    if (o->missing) return *yes = op == OP_EQ && is_null(n, left), true;
    if (!resolve(v, &o->bind, &right) || !by_code(v, o, &right)) return false;
    if (path_is_set(&n->path)) return right.type == VALUE_NULL || set_holds(v, left, right, yes);
    if (left.type == VALUE_NULL || right.type == VALUE_NULL) return true;
    if (o->whole_day && op == OP_EQ) {
        struct bind next = o->bind;
        struct value end;
        next.add_days++;
        if (!resolve(v, &next, &end)) return false;
        *yes = left.i >= right.i && left.i < end.i;
        return true;
    }
    if (op == OP_EQ && left.type == VALUE_TEXT)
        *yes = str_eq(left.s, right.s);
    else
        *yes = holds(op, order(left, right));
    return true;
}

static bool text_test(struct eval *v, const struct node *n, struct value left, bool *yes)
{
    struct value part;
    if (!resolve(v, &n->operands->bind, &part)) return false;
    if (left.type != VALUE_TEXT || part.type != VALUE_TEXT)
        *yes = false;
    else if (n->op == OP_CONTAINS)
        *yes = text_contains(left.s, part.s);
    else
        *yes = n->op == OP_STARTS ? text_starts(left.s, part.s) : text_ends(left.s, part.s);
    return true;
}

/* left in @set; a set on the left meets it when any element is in both. */
static bool in_set(struct eval *v, const struct node *n, struct value left, bool *yes)
{
    struct value set;
    *yes = false;
    if (!resolve(v, &n->operands->bind, &set)) return false;
    if (left.type == VALUE_NULL) return true;
    if (!path_is_set(&n->path)) return set_holds(v, set, left, yes);
    struct json_value *all = left.s.n ? json_parse(v->arena, left.s, v->error) : NULL;
    if (!all) return left.s.n == 0;
    for (struct json_value *i = all->first; i && !*yes; i = i->next)
        if (!set_holds(v, set, value_text(i->text), yes)) return false;
    return true;
}

static bool any_of(struct eval *v, const struct node *n, struct value left, bool *yes)
{
    *yes = false;
    for (size_t i = 0; i < n->count && !*yes; i++)
        if (!compare(v, n, &n->operands[i], OP_EQ, left, yes)) return false;
    return true;
}

static bool leaf(struct eval *v, const struct node *n, bool *yes)
{
    struct value left;
    bool low;
    if (!get(v, &n->path, &left)) return false;
    switch (n->kind) {
    case NODE_COMPARE: return compare(v, n, n->operands, n->op, left, yes);
    case NODE_TEXT: return text_test(v, n, left, yes);
    case NODE_NULL: *yes = is_null(n, left); return true;
    case NODE_IN: return any_of(v, n, left, yes);
    case NODE_IN_SET: return in_set(v, n, left, yes);
    default: /* NODE_BETWEEN */
        if (!compare(v, n, &n->operands[0], OP_GE, left, &low) ||
            !compare(v, n, &n->operands[1], OP_LE, left, yes))
            return false;
        *yes = *yes && low;
        return true;
    }
}

static bool test(struct eval *v, const struct node *n, bool *yes)
{
    struct value role;
    switch (n->kind) {
    case NODE_AND:
        if (!test(v, n->left, yes)) return false;
        return !*yes || test(v, n->right, yes);
    case NODE_OR:
        if (!test(v, n->left, yes)) return false;
        return *yes || test(v, n->right, yes);
    case NODE_NOT:
        if (!test(v, n->left, yes)) return false;
        *yes = !*yes;
        return true;
    case NODE_ROLE:
        if (!resolve(v, &n->operands->bind, &role)) return false;
        *yes = role.i != 0;
        return true;
    default: return leaf(v, n, yes);
    }
}

bool filter_eval(const struct filter *f, const struct filter_record *r, const struct filter_env *env,
                 struct arena *arena, bool *result, struct error *e)
{
    struct eval v = {f, r, env, arena, e};
    return test(&v, f->root, result);
}

/* ---- formulas ---- */

static void rescale(struct value *x, int scale)
{
    if (x->type != VALUE_NUMBER || x->scale == scale) return;
    if (!decimal_rescale(x->i, x->scale, scale, &x->i)) *x = value_null();
    x->scale = scale;
}

static bool arithmetic(struct eval *v, const struct node *n, struct value *out)
{
    struct value a, b;
    if (!value_of_node(v, n->left, &a) || !value_of_node(v, n->right, &b)) return false;
    *out = value_null();
    if (a.type == VALUE_NULL || b.type == VALUE_NULL) return true;
    struct value r = value_number(0, n->scale);
    bool ok = n->op == OP_ADD   ? decimal_add(a.i, a.scale, b.i, b.scale, n->scale, &r.i)
              : n->op == OP_SUB ? decimal_sub(a.i, a.scale, b.i, b.scale, n->scale, &r.i)
              : n->op == OP_MUL ? decimal_mul(a.i, a.scale, b.i, b.scale, n->scale, &r.i)
                                : decimal_div(a.i, a.scale, b.i, b.scale, n->scale, &r.i);
    if (ok) *out = r;
    return true;
}

static int64_t day_of(const struct eval *v, struct value x)
{
    return x.type == VALUE_DATETIME ? timezone_day(v->env->zone, x.i) : x.i;
}

static bool days(struct eval *v, const struct node *n, struct value *out)
{
    struct value from, to;
    if (!value_of_node(v, n->left, &from) || !value_of_node(v, n->right, &to)) return false;
    bool missing = from.type == VALUE_NULL || to.type == VALUE_NULL;
    *out = missing ? value_null() : value_number(day_of(v, to) - day_of(v, from), 0);
    return true;
}

static bool value_of_node(struct eval *v, const struct node *n, struct value *out)
{
    bool yes;
    switch (n->kind) {
    case NODE_LITERAL: return resolve(v, &n->operands->bind, out);
    case NODE_FIELD: return get(v, &n->path, out);
    case NODE_ARITHMETIC: return arithmetic(v, n, out);
    case NODE_ROUND:
        if (!value_of_node(v, n->left, out)) return false;
        break;
    case NODE_COALESCE:
        if (!value_of_node(v, n->left, out)) return false;
        rescale(out, n->scale);
        if (out->type == VALUE_NULL && !value_of_node(v, n->right, out)) return false;
        break;
    case NODE_DAYS: return days(v, n, out);
    default: /* NODE_IF */
        if (!test(v, n->test, &yes) || !value_of_node(v, yes ? n->left : n->right, out)) return false;
        break;
    }
    rescale(out, n->scale);
    return true;
}

bool formula_eval(const struct filter *f, const struct filter_record *r, const struct filter_env *env,
                  struct arena *arena, struct value *result, struct error *e)
{
    struct eval v = {f, r, env, arena, e};
    if (!value_of_node(&v, f->root, result)) return false;
    rescale(result, f->scale);
    return true;
}
