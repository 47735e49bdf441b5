/* Data folders of former formats are brought up to date, and nothing in them is lost. */
#include "store/store.h"
#include "store/store_tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct error error;
    struct db *db;
};

static void open_memory(struct fixture *f)
{
    arena_init(&f->arena, 1 << 20);
    error_init(&f->error, &f->arena, LANG_EN); /* keeps the arena's address */
    f->db = db_open(":memory:", DB_MEMORY, &f->error);
    assert_non_null(f->db);
}

static void close_memory(struct fixture *f)
{
    db_close(f->db);
    arena_free(&f->arena);
}

static int64_t number(struct fixture *f, const char *sql)
{
    struct stmt *s = db_prepare(f->db, str_of(sql), &f->error);
    assert_non_null(s);
    assert_int_equal(stmt_step(s, &f->error), STEP_ROW);
    int64_t n = stmt_int(s, 0);
    db_release(s);
    return n;
}

static void test_format_1_is_brought_up_with_its_rows(void **state)
{
    (void)state;
    struct fixture f;
    open_memory(&f);
    assert_true(db_exec(f.db, store_tables_1, &f.error));
    assert_true(db_exec(f.db,
                        "INSERT INTO perigee_file (id, hash, size, name, type, created_at, created_by)"
                        " VALUES (7, x'00', 1, 'a.txt', 'text/plain', 0, 0)",
                        &f.error));
    assert_true(store_prepare(f.db, &f.error));
    assert_int_equal(number(&f, "PRAGMA user_version"), STORE_FORMAT);
    assert_int_equal(number(&f, "SELECT edition FROM perigee_file WHERE id = 7"), 1);
    assert_int_equal(number(&f, "SELECT count(*) FROM perigee_import"), 0);
    close_memory(&f);
}

static void test_preparing_twice_changes_nothing(void **state)
{
    (void)state;
    struct fixture f;
    open_memory(&f);
    struct str first, second;
    assert_true(store_prepare(f.db, &f.error));
    assert_true(store_meta_get(f.db, "secret", &f.arena, &first, &f.error));
    assert_true(store_prepare(f.db, &f.error));
    assert_true(store_meta_get(f.db, "secret", &f.arena, &second, &f.error));
    assert_true(first.n == 64 && str_eq(first, second));
    close_memory(&f);
}

static void test_a_newer_format_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    open_memory(&f);
    assert_true(db_exec(f.db, "PRAGMA user_version = 9999", &f.error));
    assert_false(store_prepare(f.db, &f.error));
    assert_int_equal(f.error.kind, ERROR_UNAVAILABLE);
    close_memory(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format_1_is_brought_up_with_its_rows),
        cmocka_unit_test(test_preparing_twice_changes_nothing),
        cmocka_unit_test(test_a_newer_format_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
