/* A read whose budget is spent ends, and its connection can begin the next one at once. */
#include "store/store.h"
#include "unit/unit.h"

static const char count_to_a_million[] = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                                         "WHERE i < 1000000) SELECT count(*) FROM n";

/* SQLite asks about the budget at every so many steps of a statement, counted over all its runs: sooner or
 * later in the middle of the ROLLBACK itself. */
static void test_what_outlived_its_budget_leaves_no_transaction_open(void **state)
{
    (void)state;
    struct arena arena;
    struct error e;
    arena_init(&arena, 16 << 20);
    error_init(&e, &arena, LANG_EN);
    struct db *d = db_open(":memory:", DB_MEMORY, &e);
    assert_non_null(d);
    for (int i = 0; i < 5000; i++) {
        assert_true(db_begin(d, false, &e));
        struct stmt *s = db_prepare(d, str_of(count_to_a_million), &e);
        assert_non_null(s);
        db_budget(d, 1, false);
        assert_int_equal(stmt_step(s, &e), STEP_ERROR);
        assert_int_equal(e.kind, ERROR_BUSY);
        db_release(s);
        db_rollback(d);
        assert_false(db_in_transaction(d));
        db_budget(d, 0, false);
        error_clear(&e);
    }
    db_close(d);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_outlived_its_budget_leaves_no_transaction_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
