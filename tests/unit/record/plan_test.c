/* plan_test.c: how SQLite reads what people ask most, with the entities, roles and indices that ship: pages
 * follow an index and sort nothing, a board is counted from its index alone. */
#include "unit/unit.h"

#include "record/internal.h"
#include "record/plan.h"
#include "script/script.h"
#include "store/schema.h"
#include "store/store.h"

#include <stdio.h>

static struct arena arena;
static struct error error;
static struct script_set *set;
static struct db *db;
static struct principal pam, seller;
static const struct role *pam_role, *seller_role;

static void must(bool ok)
{
    if (!ok) fail_msg("%s %s", error.detail ? error.detail : "", error.first ? error.first->message : "");
}

static struct context context_of(const struct principal *who)
{
    struct context c;
    context_init(&c, set->catalog, db, who, &arena, &error);
    return c;
}

/* What EXPLAIN QUERY PLAN says, a line for each step. */
static struct str explained(struct str sql)
{
    struct buf out;
    char *text = arena_printf(&arena, "EXPLAIN QUERY PLAN %.*s", STR_ARG(sql));
    assert_non_null(text);
    struct stmt *s = db_prepare(db, str_of(text), &error);
    must(s != NULL);
    buf_init(&out, 1 << 20);
    while (stmt_step(s, &error) == STEP_ROW) {
        buf_str(&out, stmt_text(s, 3));
        buf_char(&out, '\n');
    }
    db_release(s);
    struct str plan = arena_str(&arena, buf_view(&out));
    buf_free(&out);
    return plan;
}

static bool says(struct str plan, const char *words)
{
    return memmem(plan.p, plan.n, words, strlen(words)) != NULL;
}

static void follows_an_index_from(const struct principal *who, const char *filter, const char *sort,
                                  enum start start)
{
    struct context c = context_of(who);
    struct query q = {.entity = catalog_entity(set->catalog, STR("opportunity")),
                      .filter = str_of(filter),
                      .sort = str_of(sort)};
    struct sort parsed;
    must(sort_parse(&c, q.entity, q.sort, &parsed));
    for (int given = 0; given < 2; given++) {
        struct cursor cursor = {.given = given, .phase = 0, .id = 1};
        for (size_t i = 0; i < parsed.count; i++)
            cursor.keys[i] = parsed.terms[i].text ? value_text(STR("x")) : value_of(VALUE_ID, 1);
        struct plan *p = list_plan(&c, &q, &parsed, &cursor, 0, NULL, start, STR(""));
        must(p != NULL);
        struct str plan = explained(p->sql);
        if (says(plan, "USE TEMP B-TREE FOR ORDER BY") || !(says(plan, "SEARCH t ") || says(plan, "SCAN t")))
            fail_msg("sort=%s filter=%s%s\n%.*s\n%.*s", sort, filter, given ? " with a cursor" : "",
                     STR_ARG(plan), STR_ARG(p->sql));
        plan_drop(p);
    }
}

static void follows_an_index(const struct principal *who, const char *filter, const char *sort)
{
    follows_an_index_from(who, filter, sort, START_FILTER);
}

static void test_pages_sort_nothing_under_the_rules_of_account_managers_and_sellers(void **state)
{
    (void)state;
    static const char *const sorts[] = {"",
                                        "-id",
                                        "-amount",
                                        "amount",
                                        "close_date",
                                        "-close_date",
                                        "name",
                                        "-name",
                                        "number",
                                        "-created_at",
                                        "-updated_at",
                                        "company",

                                        "-amount,name",
                                        "close_date,-amount"};
    for (size_t i = 0; i < sizeof sorts / sizeof *sorts; i++) {
        follows_an_index(&pam, "", sorts[i]);
        follows_an_index(&seller, "", sorts[i]);
    }
    static const char *const filters[] = {"stage = 'proposal'", "responsible = @me",
                                          "partner.responsible = @me", "status = 'open'",
                                          "amount >= 1000 and active in (true, false)"};
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        follows_an_index(&pam, filters[i], "");
        follows_an_index(&seller, filters[i], "");
    }
    follows_an_index(&pam, "stage = 'proposal'", "-amount");
    /* Of several values an index gives no order: the second way does not ask it. */
    follows_an_index_from(&pam, "direction in @my.directions", "", START_ORDER);
    follows_an_index_from(&pam, "stage = 'proposal'", "-close_date", START_ORDER);
    follows_an_index(&pam, "close_date >= 2026-01-01 and close_date < 2026-02-01", "close_date");
    follows_an_index(&pam, "amount >= 1000", "-amount");
}

static void test_a_reader_of_little_is_read_from_their_own_indices(void **state)
{
    (void)state;
    struct context c = context_of(&seller);
    struct query q = {.entity = catalog_entity(set->catalog, STR("opportunity")), .sort = STR("-amount")};
    struct sort parsed;
    struct cursor none = {.given = false};
    must(sort_parse(&c, q.entity, q.sort, &parsed));
    const struct principal *both[] = {&seller, &pam};
    for (size_t i = 0; i < 2; i++) {
        c.who = both[i];
        struct plan *p = list_plan(&c, &q, &parsed, &none, 0, NULL, START_RULES, STR(""));
        must(p != NULL);
        struct str plan = explained(p->sql);
        if (!says(plan, "MULTI-INDEX OR") || says(plan, "SCAN t\n") ||
            !says(plan, "USE TEMP B-TREE FOR ORDER BY"))
            fail_msg("%.*s\n%.*s", STR_ARG(plan), STR_ARG(p->sql));
        plan_drop(p);
    }
}

static void test_a_board_is_counted_from_one_index(void **state)
{
    (void)state;
    const struct entity *e = catalog_entity(set->catalog, STR("opportunity"));
    const struct principal *both[] = {&seller, &pam};
    for (size_t i = 0; i < 2; i++) {
        struct context c = context_of(both[i]);
        struct query q = {.entity = e, .filter = STR("status = 'open'")};
        struct sql sql;
        sql_init(&sql, &arena);
        sql.env = &c.env;
        sql.from_people = true;
        sql_add(&sql, "SELECT t.stage, count(*), sum(t.amount) FROM opportunity AS t");
        must(select_where(&c, &sql, &q, START_FILTER));
        sql_add(&sql, " GROUP BY 1");
        struct str plan = explained(buf_view(&sql.text));
        if (!says(plan, "SCAN t USING COVERING INDEX bd_opportunity_stage") || says(plan, "TEMP B-TREE"))
            fail_msg("%.*s", STR_ARG(plan));
        sql_free(&sql);
    }
}

static int open_all(void **state)
{
    (void)state;
    struct script_config config;
    struct schema_plan plan;
    arena_init(&arena, (size_t)256 << 20);
    error_init(&error, &arena, LANG_EN);
    script_config_defaults(&config); /* run from the project's folder */
    set = script_load(&config, &error);
    must(set != NULL);
    db = db_open("", DB_MEMORY, &error);
    must(db && store_prepare(db, &error) && schema_plan(db, set->catalog, &arena, &plan, &error) &&
         schema_apply(db, set->catalog, &plan, false, &error));
    pam_role = catalog_role(set->catalog, STR("crm_pam"));
    seller_role = catalog_role(set->catalog, STR("crm_sales"));
    assert_true(pam_role && seller_role);
    pam = (struct principal){.catalog = set->catalog,
                             .id = 7,
                             .roles = &pam_role,
                             .role_count = 1,
                             .role_key = STR("crm_pam"),
                             .env = {.me = 7,
                                     .my_directions = STR("[\"cloud\",\"hardware\"]"),
                                     .my_groups = STR("[]"),
                                     .my_reports = STR("[]"),
                                     .my_roles = STR("[\"crm_pam\"]")}};
    seller = pam;
    seller.roles = &seller_role;
    seller.role_key = STR("crm_sales");
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    db_close(db);
    script_set_unref(set);
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pages_sort_nothing_under_the_rules_of_account_managers_and_sellers),
        cmocka_unit_test(test_a_reader_of_little_is_read_from_their_own_indices),
        cmocka_unit_test(test_a_board_is_counted_from_one_index),
    };
    return cmocka_run_group_tests_name("plan", tests, open_all, close_all);
}
