/* order_property_test.c: random sorts over random records with random filters: the list is in the order that
 * text_compare and "a missing value is the greatest" give, pages of any size neither lose nor repeat, with
 * kept plans and without; and an export is the list. */
#include "base/decimal.h"
#include "base/text.h"
#include "record/results.h"
#include "unit/world.h"

#define THINGS 120
#define ROUNDS 400

static struct world w;

struct key {
    const struct field *field;
    bool falling;
};

struct wish {
    struct key keys[SORT_MAX];
    size_t count;
    char sort[256];
    const char *filter;
};

static bool sortable(const struct field *f)
{
    return !f->hidden && f->type != FIELD_JSON && field_value_type(f) != VALUE_SET &&
           f->type != FIELD_COMPUTED;
}

static void make_wish(struct wish *v)
{
    static const char *const filters[] = {"active in (true, false)",
                                          "",
                                          "count > 1",
                                          "name is null",
                                          "kind = 'alpha' and active in (true, false)",
                                          "tags = 'red'"};
    *v = (struct wish){.filter = filters[world_below(&w, sizeof filters / sizeof *filters)]};
    size_t wanted = world_below(&w, SORT_MAX + 1);
    size_t n = 0;
    while (v->count < wanted) {
        const struct field *f = w.thing->fields[world_below(&w, w.thing->field_count)];
        if (!sortable(f)) continue;
        struct key k = {f, world_chance(&w, 2)};
        n += (size_t)snprintf(v->sort + n, sizeof v->sort - n, "%s%s%s", v->count ? "," : "",
                              k.falling ? "-" : "", f->name);
        assert_true(n < sizeof v->sort);
        v->keys[v->count++] = k;
    }
}

/* ---- what is expected ---- */

struct row {
    int64_t id;
    struct value keys[SORT_MAX];
};

static const struct wish *asked; /* qsort takes no context */

static int compare_values(struct value a, struct value b)
{
    if (a.type == VALUE_NULL || b.type == VALUE_NULL) return (a.type == VALUE_NULL) - (b.type == VALUE_NULL);
    if (a.type == VALUE_TEXT) return text_compare(a.s, b.s);
    return (a.i > b.i) - (a.i < b.i);
}

static int compare_rows(const void *left, const void *right)
{
    const struct row *a = left, *b = right;
    bool falling = true;
    for (size_t i = 0; i < asked->count; i++) {
        falling = asked->keys[i].falling;
        int order = compare_values(a->keys[i], b->keys[i]);
        if (order) return falling ? -order : order;
    }
    int order = (a->id > b->id) - (a->id < b->id);
    return falling ? -order : order;
}

static size_t expected(const struct wish *v, struct row *rows)
{
    struct context *c = &w.context;
    size_t n = 0;
    const char *text = v->filter[0] ? v->filter : "id is not null";
    const struct filter *f =
        filter_parse(&w.scratch, c->catalog, w.thing, str_of(text), NULL, NULL, 0, NULL, &w.error);
    assert_non_null(f);
    for (size_t i = 0; i < w.thing_count; i++) {
        struct record *r = record_load(c, w.thing, w.things[i]);
        bool yes;
        assert_non_null(r);
        struct filter_record get = record_filter(c, r);
        assert_true(filter_eval(f, &get, &c->env, &w.scratch, &yes, &w.error));
        bool hidden = !strstr(v->filter, "active") && r->values[SYSTEM_ACTIVE].i == 0;
        if (!yes || hidden) continue;
        struct row *row = &rows[n++];
        *row = (struct row){.id = r->id};
        for (size_t k = 0; k < v->count; k++) {
            const struct field *f1 = v->keys[k].field;
            if (f1->type == FIELD_FORMULA)
                assert_true(formula_eval(f1->formula, &get, &c->env, &w.scratch, &row->keys[k], &w.error));
            else
                row->keys[k] = r->values[f1->index];
            if (f1->localized && row->keys[k].type == VALUE_TEXT && row->keys[k].s.n &&
                row->keys[k].s.p[0] == '{') {
                struct json_value *all = json_parse(&w.scratch, row->keys[k].s, &w.error);
                const struct json_value *m = json_member(all, str_of(lang_code(c->env.lang)));
                row->keys[k].s = (m ? m : all->first)->text;
            }
        }
    }
    asked = v;
    qsort(rows, n, sizeof *rows, compare_rows);
    return n;
}

/* ---- what is answered ---- */

static size_t take_ids(const struct json_value *items, int64_t *ids, size_t n)
{
    for (const struct json_value *i = items->first; i; i = i->next) {
        assert_true(n < THINGS * 2);
        assert_true(id_parse(json_member(i, STR("id"))->text, &ids[n++]));
    }
    return n;
}

static size_t read_pages(const struct wish *v, int64_t limit, int64_t *ids)
{
    size_t n = 0, pages = 0;
    struct str cursor = {NULL, 0};
    do {
        struct buf out;
        buf_init(&out, 1 << 22);
        struct query q = {.entity = w.thing,
                          .filter = str_of(v->filter),
                          .sort = str_of(v->sort),
                          .fields = STR("id"),
                          .cursor = cursor,
                          .limit = limit};
        if (!query_list(&w.context, &q, &out))
            fail_msg("seed %llu sort=%s filter=%s: %s", (unsigned long long)world_seed(), v->sort, v->filter,
                     w.error.detail);
        struct json_value *page = json_parse(&w.scratch, arena_str(&w.scratch, buf_view(&out)), &w.error);
        assert_non_null(page);
        size_t before = n;
        n = take_ids(json_member(page, STR("items")), ids, n);
        const struct json_value *next = json_member(page, STR("next"));
        cursor = next ? next->text : (struct str){NULL, 0};
        if (next && n - before != (size_t)limit)
            fail_msg("sort=%s: a page in the middle is not full", v->sort);
        buf_free(&out);
        assert_true(++pages <= THINGS + 1);
    } while (cursor.p);
    return n;
}

static void must_agree(const struct wish *v, const char *how, const struct row *rows, size_t wanted,
                       const int64_t *ids, size_t n)
{
    size_t i = 0;
    while (i < wanted && i < n && rows[i].id == ids[i])
        i++;
    if (i == wanted && i == n) return;
    fail_msg("seed %llu: %s differs at row %zu (%zu rows, %zu expected)\n  sort=%s filter=%s",
             (unsigned long long)world_seed(), how, i, n, wanted, v->sort, v->filter);
}

static void test_pages_are_in_the_expected_order_and_lose_nothing(void **state)
{
    (void)state;
    static struct row rows[THINGS];
    static int64_t ids[THINGS * 2];
    for (int i = 0; i < ROUNDS; i++) {
        struct wish v;
        world_next(&w);
        if (i % 20 == 0) world_ask_as_another(&w);
        make_wish(&v);
        size_t wanted = expected(&v, rows);
        int64_t limits[] = {1 + (int64_t)world_below(&w, 7), wanted ? (int64_t)wanted : 1, 500};
        for (size_t k = 0; k < 3; k++) {
            w.context.plans = world_chance(&w, 2) ? w.plans : NULL;
            size_t n = read_pages(&v, limits[k], ids);
            must_agree(&v, "the list", rows, wanted, ids, n);
        }
    }
}

/* ---- under rules ---- */

static const char *const rules[] = {
    "owner = @me or owner in @my.reports or partner.responsible = @me and count > 1",
    "direction in @my.directions and not (parent.owner.manager in @my.reports)",
    "kind.lead = @me or created_by = @me"};

static bool direct(const char *text, struct record *r)
{
    struct context *c = &w.context;
    bool yes = false;
    const struct filter *f =
        filter_parse(&w.scratch, c->catalog, w.thing, str_of(text), NULL, NULL, 0, NULL, &w.error);
    assert_non_null(f);
    struct filter_record get = record_filter(c, r);
    assert_true(filter_eval(f, &get, &c->env, &w.scratch, &yes, &w.error));
    return yes;
}

static void read_from(const struct principal *p, const char *filter, const char *sort, enum start start,
                      bool *seen)
{
    struct context c = w.context;
    c.who = p;
    c.trusted = false;
    c.plans = NULL;
    struct query q = {.entity = w.thing, .filter = str_of(filter), .sort = str_of(sort), .fields = STR("id")};
    struct sort parsed;
    struct cursor none = {.given = false};
    world_must(&w, sort_parse(&c, w.thing, q.sort, &parsed));
    memset(seen, 0, THINGS);
    bool two = parsed.count && parsed.terms[0].nullable;
    for (int phase = 0; phase < (two ? 2 : 1); phase++) {
        struct plan *plan = list_plan(&c, &q, &parsed, &none, phase, NULL, start, STR(""));
        if (!plan) fail_msg("%s: %s", filter, w.error.detail);
        struct stmt *s = plan_start(&c, plan);
        world_must(&w, s != NULL);
        stmt_bind_int(s, plan->limit_bind + 1, -1);
        enum step step;
        while ((step = stmt_step(s, &w.error)) == STEP_ROW)
            for (size_t i = 0; i < w.thing_count; i++)
                if (w.things[i] == stmt_int(s, 0)) {
                    assert_false(seen[i]);
                    seen[i] = true;
                }
        assert_int_equal(step, STEP_DONE);
        db_release(s);
        plan_drop(plan);
    }
}

/* A list under rules is what the rules, evaluated one record at a time, let through; whatever it begins with.
 */
static void test_rules_let_through_the_same_whatever_a_list_begins_with(void **state)
{
    (void)state;
    static const char *const filters[] = {"active in (true, false)", "count > 0 and active = true",
                                          "name is null or day >= @today - 3d", "owner.manager = @me",
                                          "people = @me"};
    static const char *const sorts[] = {"", "name", "-day,name", "-count", "id"};
    const struct role *role = catalog_role(w.context.catalog, STR("boss"));
    assert_non_null(role);
    size_t let = 0, asked_of = 0;
    for (int i = 0; i < 300; i++) {
        bool seen[THINGS], wanted[THINGS];
        world_next(&w);
        world_ask_as_another(&w);
        struct principal p = {.catalog = w.context.catalog,
                              .id = 1,
                              .roles = &role,
                              .role_count = 1,
                              .role_key = STR("boss"),
                              .env = w.context.env};
        const char *filter = filters[world_below(&w, 5)], *sort = sorts[world_below(&w, 5)];
        for (size_t k = 0; k < w.thing_count; k++) {
            struct record *r = record_load(&w.context, w.thing, w.things[k]);
            assert_non_null(r);
            /* the last rule shows three fields only: what others would tell is missing there */
            bool whole = direct(rules[0], r) || direct(rules[1], r), may = whole || direct(rules[2], r);
            bool told = whole || !(strstr(filter, "owner") || strstr(filter, "people"));
            wanted[k] =
                may && told && direct(filter, r) && (strstr(filter, "active") || r->values[SYSTEM_ACTIVE].i);
            let += may, asked_of++;
        }
        for (int start = START_FILTER; start <= START_RULES; start++) {
            read_from(&p, filter, sort, (enum start)start, seen);
            for (size_t k = 0; k < w.thing_count; k++)
                if (seen[k] != wanted[k])
                    fail_msg("seed %llu: begun with %d, record %zu is %s\n  sort=%s filter=%s",
                             (unsigned long long)world_seed(), start, k, seen[k] ? "shown" : "hidden", sort,
                             filter);
        }
    }
    assert_true(let > asked_of / 20 && let < asked_of - asked_of / 20);
}

static void test_an_export_is_the_list(void **state)
{
    (void)state;
    static struct row rows[THINGS];
    static int64_t ids[THINGS * 2];
    for (int i = 0; i < ROUNDS / 4; i++) {
        struct wish v;
        struct buf out;
        bool done = false;
        size_t n = 0;
        world_next(&w);
        make_wish(&v);
        size_t wanted = expected(&v, rows);
        struct query q = {
            .entity = w.thing, .filter = str_of(v.filter), .sort = str_of(v.sort), .fields = STR("id")};
        uint64_t age =
            world_chance(&w, 2) ? 0 : UINT64_MAX; /* a new snapshot for each piece, or one for all */
        struct export *x = export_start(&w.context, w.db, &q, EXPORT_NDJSON, age);
        assert_non_null(x);
        buf_init(&out, 1 << 22);
        while (!done) {
            buf_reset(&out);
            world_must(&w, export_more(&w.context, x, 1 + world_below(&w, 200), &out, &done));
            struct str rest = buf_view(&out);
            while (rest.n) {
                struct str line = str_cut(&rest, '\n');
                struct json_value *r = json_parse(&w.scratch, arena_str(&w.scratch, line), &w.error);
                assert_non_null(r);
                assert_true(id_parse(r->first->text, &ids[n++]));
            }
        }
        buf_free(&out);
        export_free(x);
        must_agree(&v, "the export", rows, wanted, ids, n);
    }
}

static int64_t total(const char *filter)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    struct query q = {
        .entity = w.thing, .filter = str_of(filter), .fields = STR("id"), .limit = 1, .count = true};
    world_next(&w);
    world_must(&w, query_list(&w.context, &q, &out));
    struct json_value *page = json_parse(&w.scratch, arena_str(&w.scratch, buf_view(&out)), &w.error);
    int64_t n;
    assert_int_equal(decimal_parse(json_member(page, STR("total"))->text, 0, &n), DECIMAL_OK);
    buf_free(&out);
    return n;
}

static void log_change(const char *entity)
{
    char sql[400];
    snprintf(sql, sizeof sql,
             "INSERT INTO perigee_log (at, who, entity, record, action, changes, why, script, request, hash) "
             "VALUES (0, 0, '%s', 1, 'update', '{}', '', '', '', x'00')",
             entity);
    world_must(&w, db_exec(w.db, sql, &w.error));
}

static void test_a_count_is_kept_until_the_log_names_what_it_reads(void **state)
{
    (void)state;
    struct result_cache *results = result_cache_new(16, &w.error);
    assert_non_null(results);
    w.context.results = results;
    int64_t all = total("active in (true, false)"),
            through = total("owner.name is null and active in (true, false)");
    assert_int_equal(all, THINGS);
    /* A change that the log does not tell of is not seen: the answer was kept. */
    world_must(&w, db_exec(w.db, "UPDATE thing SET active = 1, owner = NULL", &w.error));
    log_change("group");
    assert_int_equal(total("owner.name is null and active in (true, false)"), through);
    log_change("user");
    assert_int_equal(total("owner.name is null and active in (true, false)"), THINGS);
    world_must(&w, db_exec(w.db, "DELETE FROM thing WHERE id = (SELECT min(id) FROM thing)", &w.error));
    assert_int_equal(total("active in (true, false)"), THINGS);
    log_change("user");
    assert_int_equal(total("active in (true, false)"), THINGS);
    log_change("thing");
    assert_int_equal(total("active in (true, false)"), THINGS - 1);
    w.context.results = NULL;
    result_cache_free(results);
}

static void test_a_count_is_kept_for_one_asker_and_one_day(void **state)
{
    (void)state;
    struct result_cache *results = result_cache_new(16, &w.error);
    assert_non_null(results);
    w.context.results = results;
    w.context.env.zone = NULL;
    for (int i = 0; i < 60;
         i++) { /* were one answer taken for another, these would differ from what is counted anew */
        world_ask_as_another(&w);
        static const char *const filters[] = {"owner = @me",        "owner in @my.reports",
                                              "day >= @today",      "at >= @now - 1d",
                                              "title contains 'а'", "created_at = @today"};
        int64_t counts[6];
        for (size_t k = 0; k < 6; k++)
            counts[k] = total(filters[k]);
        w.context.results = NULL;
        for (size_t k = 0; k < 6; k++)
            assert_int_equal(total(filters[k]), counts[k]);
        w.context.results = results;
    }
    w.context.results = NULL;
    result_cache_free(results);
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
        cmocka_unit_test(test_pages_are_in_the_expected_order_and_lose_nothing),
        cmocka_unit_test(test_rules_let_through_the_same_whatever_a_list_begins_with),
        cmocka_unit_test(test_an_export_is_the_list),
        cmocka_unit_test(test_a_count_is_kept_for_one_asker_and_one_day),
        cmocka_unit_test(test_a_count_is_kept_until_the_log_names_what_it_reads),
    };
    return cmocka_run_group_tests_name("order property", tests, open_world, close_world);
}
