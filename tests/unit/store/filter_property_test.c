/* filter_property_test.c: random expressions over random records: the SQL of a filter and its direct
 * evaluation agree on every record, a negation holds exactly where the filter does not, and a formula has one
 * value both ways. The seed is printed, and of a failing expression the smallest part that still fails. */
#include "base/json.h"
#include "unit/world.h"

#define THINGS 48
#define EXPRESSIONS 3000
#define DEEP 5

/* ---- random expressions ---- */

struct expression {
    enum { LEAF, NOT, AND, OR } kind;
    struct expression *left, *right;
    char *text;
};

static struct world w;

static char *keep(struct buf *b)
{
    buf_char(b, '\0');
    char *text = strdup(b->p);
    buf_free(b);
    assert_non_null(text);
    return text;
}

static void quote(struct buf *b, const char *text)
{
    char mark = world_chance(&w, 2) ? '"' : '\'';
    buf_char(b, mark);
    for (const char *p = text; *p; p++) {
        if (*p == '\n')
            buf_cstr(b, "\\n");
        else if (*p == '\t')
            buf_cstr(b, world_chance(&w, 2) ? "\\t" : "\\u0009");
        else if (*p == mark || *p == '\\')
            buf_char(b, '\\'), buf_char(b, *p);
        else
            buf_char(b, *p);
    }
    buf_char(b, mark);
}

static void random_text(struct buf *b)
{
    quote(b, world_texts[world_below(&w, WORLD_TEXTS)]);
}

static void random_id(struct buf *b, const int64_t *ids, size_t n)
{
    char text[ID_TEXT + 1];
    id_format(world_chance(&w, 12) ? 12345 : ids[world_below(&w, n)], text);
    quote(b, text);
}

static void random_day(struct buf *b)
{
    char text[32];
    if (world_chance(&w, 3))
        calendar_format_datetime(world_instant(&w), text);
    else
        calendar_format_date(world_day(&w), text);
    if (world_chance(&w, 3))
        quote(b, text);
    else
        buf_cstr(b, text);
}

static void random_durations(struct buf *b)
{
    static const char *const units[] = {"m", "h", "d", "w", "mo", "y"};
    while (world_chance(&w, 2))
        buf_printf(b, " %c %d%s", world_chance(&w, 2) ? '+' : '-', (int)world_below(&w, 40),
                   units[world_below(&w, 6)]);
}

static void random_point(struct buf *b)
{
    static const char *const macros[] = {"@now",         "@today",         "@week_start",
                                         "@month_start", "@quarter_start", "@year_start"};
    size_t before = b->n;
    if (world_chance(&w, 2)) {
        random_day(b);
        if (b->p[before] != '"' && b->p[before] != '\'') random_durations(b);
        return;
    }
    buf_cstr(b, macros[world_below(&w, 6)]);
    random_durations(b);
}

static void random_number(struct buf *b)
{
    static const char *const some[] = {"0",   "1",     "2",   "-1",  "1.5",    "-1.001",         "0.005",
                                       "100", "10.00", "1e2", "2.5", "123.45", "99999999999999", "3"};
    buf_cstr(b, some[world_below(&w, sizeof some / sizeof *some)]);
}

static void random_operand(struct buf *b, const struct field *f)
{
    enum field_type type = f->type == FIELD_FORMULA ? f->formula_type : f->type;
    if (f->index == SYSTEM_ID) {
        random_id(b, w.things, w.thing_count);
        return;
    }
    switch (type) {
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY:
    case FIELD_PERCENT: random_number(b); break;
    case FIELD_BOOLEAN: buf_cstr(b, world_chance(&w, 2) ? "true" : "false"); break;
    case FIELD_DATE:
    case FIELD_DATETIME: random_point(b); break;
    case FIELD_OPTION:
    case FIELD_OPTIONS: quote(b, f->options[world_below(&w, f->option_count)].value); break;
    case FIELD_REF:
    case FIELD_REFS:
        if (f->to->setting) {
            bool kind = strcmp(f->to->name, "kind") == 0;
            if (world_chance(&w, 3))
                random_id(b, kind ? w.kinds : w.directions, WORLD_PLACES);
            else
                quote(b, world_code(world_below(&w, WORLD_PLACES)));
        } else if (f->to == w.thing)
            random_id(b, w.things, w.thing_count);
        else if (strcmp(f->to->name, "group") == 0)
            random_id(b, w.groups, WORLD_PLACES);
        else if (strcmp(f->to->name, "partner") == 0) {
            if (world_chance(&w, 2))
                buf_cstr(b, "@my.company");
            else
                random_id(b, w.partners, WORLD_PLACES);
        } else if (world_chance(&w, 2))
            buf_cstr(b, "@me");
        else
            random_id(b, w.users, WORLD_USERS);
        break;
    default: random_text(b);
    }
}

/* A path from a thing to some field; the field is returned. */
static const struct field *random_path(struct buf *b)
{
    const struct entity *e = w.thing;
    for (int names = 1;; names++) {
        const struct field *f = e->fields[world_below(&w, e->field_count)];
        if (f->hidden) {
            names--;
            continue;
        }
        if (names > 1) buf_char(b, '.');
        buf_cstr(b, f->name);
        bool leads = f->type == FIELD_REF && f->index != SYSTEM_ID;
        if (!leads || names == FILTER_PATH_MAX || world_chance(&w, 2)) return f;
        e = f->to;
    }
}

static bool has_order(const struct field *f)
{
    enum value_type t = field_value_type(f);
    return t != VALUE_SET && t != VALUE_BOOL && !(t == VALUE_ID && f->index != SYSTEM_ID);
}

/* A set macro that fits, or NULL. */
static const char *set_macro(const struct field *f)
{
    if (f->index == SYSTEM_ID) return "@my.reports";
    if (f->type != FIELD_REF && f->type != FIELD_REFS) return NULL;
    if (strcmp(f->to->name, "user") == 0) return "@my.reports";
    if (strcmp(f->to->name, "group") == 0) return "@my.groups";
    return strcmp(f->to->name, "direction") == 0 ? "@my.directions" : NULL;
}

static void random_list(struct buf *b, const struct field *f)
{
    buf_char(b, '(');
    do {
        if (b->p[b->n - 1] != '(') buf_cstr(b, ", ");
        if (world_chance(&w, 8))
            buf_cstr(b, "null");
        else
            random_operand(b, f);
    } while (!world_chance(&w, 3));
    buf_char(b, ')');
}

static char *random_leaf(void)
{
    static const char *const equal[] = {" = ", " != "}, *const all[] = {" = ",  " != ", " < ",
                                                                        " <= ", " > ",  " >= "},
                             *const texts[] = {" contains ", " starts ", " ends "};
    struct buf b;
    buf_init(&b, 65536);
    if (world_chance(&w, 40)) {
        buf_cstr(&b, world_chance(&w, 2) ? "@role.boss" : "@role.clerk");
        return keep(&b);
    }
    const struct field *f = random_path(&b);
    enum value_type type = field_value_type(f);
    size_t kind = world_below(&w, 8);
    if (f->type == FIELD_JSON || kind == 0) {
        buf_cstr(&b, world_chance(&w, 2)   ? " is null"
                     : world_chance(&w, 2) ? " is not null"
                     : world_chance(&w, 2) ? " = null"
                                           : " != null");
    } else if (kind == 1 && type == VALUE_TEXT) {
        buf_cstr(&b, texts[world_below(&w, 3)]);
        random_text(&b);
    } else if (kind == 2 && set_macro(f)) {
        buf_printf(&b, "%s in %s", world_chance(&w, 2) ? "" : " not", set_macro(f));
    } else if (kind <= 3) {
        buf_cstr(&b, world_chance(&w, 2) ? " in " : " not in ");
        random_list(&b, f);
    } else if (kind == 4 && has_order(f)) {
        buf_cstr(&b, world_chance(&w, 2) ? " between " : " not between ");
        random_operand(&b, f);
        buf_cstr(&b, " and ");
        random_operand(&b, f);
    } else {
        buf_cstr(&b, has_order(f) ? all[world_below(&w, 6)] : equal[world_below(&w, 2)]);
        random_operand(&b, f);
    }
    return keep(&b);
}

static struct expression *random_expression(int depth)
{
    struct expression *e = calloc(1, sizeof *e);
    assert_non_null(e);
    size_t kind = depth == 0 ? 0 : world_below(&w, 5);
    if (kind <= 1) {
        e->text = random_leaf();
    } else if (kind == 2) {
        e->kind = NOT;
        e->left = random_expression(depth - 1);
    } else {
        e->kind = kind == 3 ? AND : OR;
        e->left = random_expression(depth - 1);
        e->right = random_expression(depth - 1);
    }
    return e;
}

static void free_expression(struct expression *e)
{
    if (!e) return;
    free_expression(e->left);
    free_expression(e->right);
    free(e->text);
    free(e);
}

static void spell(const struct expression *e, struct buf *b)
{
    switch (e->kind) {
    case LEAF: buf_cstr(b, e->text); break;
    case NOT:
        buf_cstr(b, "not (");
        spell(e->left, b);
        buf_char(b, ')');
        break;
    default:
        buf_char(b, '(');
        spell(e->left, b);
        buf_cstr(b, e->kind == AND ? " and " : " or ");
        spell(e->right, b);
        buf_char(b, ')');
    }
}

/* ---- both ways ---- */

struct answers {
    bool sql[THINGS], direct[THINGS];
};

static size_t number_of(int64_t id)
{
    for (size_t i = 0; i < w.thing_count; i++)
        if (w.things[i] == id) return i;
    fail_msg("a row that nobody wrote");
    return 0;
}

static void ask(const char *text, struct answers *out)
{
    struct context *c = &w.context;
    *out = (struct answers){0};
    world_next(&w);
    const struct filter *f =
        filter_parse(&w.scratch, c->catalog, w.thing, str_of(text), NULL, NULL, 0, NULL, &w.error);
    if (!f) fail_msg("not parsed: %s\n%s", text, w.error.detail);
    struct sql q;
    sql_init(&q, &w.scratch);
    q.from_people = world_chance(&w, 2); /* the same answer either way */
    sql_add(&q, "SELECT t.id FROM \"thing\" AS t WHERE ");
    if (!filter_sql(&q, f, "t", NULL)) fail_msg("no SQL: %s", text);
    struct stmt *s = db_prepare(w.db, buf_view(&q.text), &w.error);
    if (!s) fail_msg("not prepared: %s\n%.*s\n%s", text, (int)q.text.n, q.text.p, w.error.detail);
    sql_free(&q);
    assert_true(sql_bind_all(s, 1, q.binds, q.bind_count, &c->env, &w.scratch));
    enum step step;
    while ((step = stmt_step(s, &w.error)) == STEP_ROW)
        out->sql[number_of(stmt_int(s, 0))] = true;
    if (step != STEP_DONE) fail_msg("not run: %s\n%s", text, w.error.detail);
    db_release(s);
    for (size_t i = 0; i < w.thing_count; i++) {
        struct record *r = record_load(c, w.thing, w.things[i]);
        assert_non_null(r);
        struct filter_record get = record_filter(c, r);
        if (!filter_eval(f, &get, &c->env, &w.scratch, &out->direct[i], &w.error))
            fail_msg("not evaluated: %s\n%s", text, w.error.detail ? w.error.detail : "");
    }
}

/* The number of the first record on which the two differ; THINGS: none. */
static size_t disagreement(const struct expression *e, struct answers *out)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    spell(e, &b);
    buf_char(&b, '\0');
    ask(b.p, out);
    buf_free(&b);
    for (size_t i = 0; i < w.thing_count; i++)
        if (out->sql[i] != out->direct[i]) return i;
    return THINGS;
}

static const struct expression *smallest(const struct expression *e)
{
    struct answers ignored;
    const struct expression *parts[] = {e->left, e->right};
    for (size_t i = 0; i < 2; i++)
        if (parts[i] && disagreement(parts[i], &ignored) != THINGS) return smallest(parts[i]);
    return e;
}

static void tell(const struct expression *e)
{
    struct answers a;
    e = smallest(e);
    size_t i = disagreement(e, &a);
    struct buf b, row;
    buf_init(&b, 1 << 20);
    spell(e, &b);
    buf_char(&b, '\0');
    buf_init(&row, 1 << 20);
    int64_t version;
    world_next(&w);
    w.context.plans = NULL;
    query_get(&w.context, w.thing, w.things[i], (struct str){NULL, 0}, (struct str){NULL, 0}, &row, &version);
    buf_char(&row, '\0');
    char now[32];
    calendar_format_datetime(w.context.env.now, now);
    fail_msg("seed %llu: SQL says %d, direct evaluation %d\n  filter: %s\n  record: %s\n  now %s in %s",
             (unsigned long long)world_seed(), a.sql[i], a.direct[i], b.p, row.p, now,
             w.context.env.zone ? timezone_name(w.context.env.zone) : "no zone");
}

static void test_sql_and_direct_evaluation_agree(void **state)
{
    (void)state;
    size_t held = 0, asked = 0;
    for (int i = 0; i < EXPRESSIONS; i++) {
        struct answers a;
        if (i % 50 == 0) world_ask_as_another(&w);
        struct expression *e = random_expression((int)world_below(&w, DEEP + 1));
        if (disagreement(e, &a) != THINGS) tell(e);
        for (size_t k = 0; k < w.thing_count; k++, asked++)
            held += a.sql[k];
        free_expression(e);
    }
    /* A test whose filters hold always or never would say nothing. */
    assert_true(held > asked / 10 && held < asked - asked / 10);
}

static void test_a_negation_holds_exactly_where_the_filter_does_not(void **state)
{
    (void)state;
    for (int i = 0; i < EXPRESSIONS / 4; i++) {
        struct answers plain, negated;
        struct expression *e = random_expression((int)world_below(&w, 3));
        struct expression outer = {.kind = NOT, .left = e};
        if (disagreement(e, &plain) != THINGS) tell(e);
        if (disagreement(&outer, &negated) != THINGS) tell(&outer);
        for (size_t k = 0; k < w.thing_count; k++)
            if (plain.sql[k] == negated.sql[k]) {
                struct buf b;
                buf_init(&b, 1 << 20);
                spell(e, &b);
                fail_msg("seed %llu: both it and its negation: %.*s", (unsigned long long)world_seed(),
                         (int)b.n, b.p);
            }
        free_expression(e);
    }
}

/* ---- formulas ---- */

static void random_sum(struct buf *b, int depth);

static void random_atom(struct buf *b, int depth)
{
    static const char *const fields[] = {
        "amount",  "count",         "ratio",       "share",   "f_sum",
        "f_ratio", "parent.amount", "kind.weight", "f_round", "parent.parent.count"};
    static const char *const days[] = {"day",        "at",        "created_at",
                                       "@today",     "@now - 3d", "2026-03-29",
                                       "parent.day", "f_day",     "@month_start + 2mo"};
    size_t kind = depth <= 0 ? world_below(&w, 2) : world_below(&w, 9);
    if (kind == 0)
        random_number(b);
    else if (kind <= 2)
        buf_cstr(b, fields[world_below(&w, sizeof fields / sizeof *fields)]);
    else if (kind == 3) {
        buf_char(b, '(');
        random_sum(b, depth - 1);
        buf_char(b, ')');
    } else if (kind == 4) {
        buf_cstr(b, "coalesce(");
        random_sum(b, depth - 1);
        buf_cstr(b, ", ");
        random_sum(b, depth - 1);
        buf_char(b, ')');
    } else if (kind == 5) {
        buf_cstr(b, "round(");
        random_sum(b, depth - 1);
        buf_printf(b, ", %d)", (int)world_below(&w, 7));
    } else if (kind == 6) {
        buf_printf(b, "days(%s, %s)", days[world_below(&w, 9)], days[world_below(&w, 9)]);
    } else if (kind == 7) {
        char *test = random_leaf();
        buf_printf(b, "if(%s, ", test);
        free(test);
        random_sum(b, depth - 1);
        buf_cstr(b, ", ");
        if (world_chance(&w, 3))
            buf_cstr(b, "null");
        else
            random_sum(b, depth - 1);
        buf_char(b, ')');
    } else {
        buf_cstr(b, "-");
        random_atom(b, depth - 1);
    }
}

static void random_sum(struct buf *b, int depth)
{
    static const char *const operations[] = {" + ", " - ", " * ", " / "};
    random_atom(b, depth);
    while (world_chance(&w, 2)) {
        buf_cstr(b, operations[world_below(&w, 4)]);
        random_atom(b, depth);
    }
}

static void test_a_formula_has_one_value_both_ways(void **state)
{
    (void)state;
    struct context *c = &w.context;
    size_t missing = 0, present = 0, refused = 0;
    for (int i = 0; i < EXPRESSIONS; i++) {
        struct buf text;
        buf_init(&text, 1 << 20);
        if (i % 50 == 0) world_ask_as_another(&w);
        random_sum(&text, 3);
        buf_char(&text, '\0');
        world_next(&w);
        int scale = (int)world_below(&w, 7);
        const struct filter *f = filter_parse_formula(&w.scratch, c->catalog, w.thing, str_of(text.p),
                                                      FIELD_DECIMAL, scale, &w.error);
        if (!f && (strcmp(w.error.first->code, "too_deep") == 0 ||
                   strcmp(w.error.first->code, "too_many_terms") == 0)) {
            buf_free(&text); /* refused with words, which is what bounds are for */
            refused++;
            continue;
        }
        if (!f) fail_msg("not parsed: %s\n%s", text.p, w.error.detail);
        struct sql q;
        sql_init(&q, &w.scratch);
        sql_add(&q, "SELECT t.id, ");
        if (!formula_sql(&q, f, "t", NULL)) fail_msg("no SQL: %s", text.p);
        sql_add(&q, " FROM \"thing\" AS t");
        struct stmt *s = db_prepare(w.db, buf_view(&q.text), &w.error);
        if (!s) fail_msg("not prepared: %s\n%.*s", text.p, (int)q.text.n, q.text.p);
        sql_free(&q);
        assert_true(sql_bind_all(s, 1, q.binds, q.bind_count, &c->env, &w.scratch));
        while (stmt_step(s, &w.error) == STEP_ROW) {
            struct value v;
            struct record *r = record_load(c, w.thing, stmt_int(s, 0));
            assert_non_null(r);
            struct filter_record get = record_filter(c, r);
            assert_true(formula_eval(f, &get, &c->env, &w.scratch, &v, &w.error));
            bool null = stmt_null(s, 1);
            if (null != (v.type == VALUE_NULL) || (!null && stmt_int(s, 1) != v.i))
                fail_msg("seed %llu: SQL says %s%lld, direct evaluation %s%lld (scale %d)\n  formula: %s",
                         (unsigned long long)world_seed(), null ? "null " : "", (long long)stmt_int(s, 1),
                         v.type == VALUE_NULL ? "null " : "", (long long)v.i, scale, text.p);
            null ? missing++ : present++;
        }
        db_release(s);
        buf_free(&text);
    }
    assert_true(missing > 1000 && present > 1000 && refused < EXPRESSIONS / 4);
}

static int open_world(void **state)
{
    (void)state;
    print_message("seed %llu\n", (unsigned long long)world_seed());
    world_open(&w, THINGS);
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sql_and_direct_evaluation_agree),
        cmocka_unit_test(test_a_negation_holds_exactly_where_the_filter_does_not),
        cmocka_unit_test(test_a_formula_has_one_value_both_ways),
    };
    return cmocka_run_group_tests_name("filter property", tests, open_world, close_world);
}
