/* arena_test.c: memory of a request. */
#include "base/arena.h"

#include "unit/unit.h"

static void test_memory_is_aligned_and_zeroed_also_when_used_again(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 20);
    for (int round = 0; round < 3; round++) {
        for (size_t n = 0; n < 3000; n += 37) {
            unsigned char *p = arena_alloc(&a, n);
            assert_non_null(p);
            assert_int_equal((uintptr_t)p % 16, 0);
            for (size_t i = 0; i < n; i++)
                assert_int_equal(p[i], 0);
            memset(p, 0xAA, n);
        }
        arena_reset(&a);
        assert_int_equal(a.used, 0);
    }
    arena_free(&a);
}

static void test_pieces_do_not_overlap(void **state)
{
    (void)state;
    struct arena a;
    unsigned char *pieces[500];
    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < 500; i++) {
        pieces[i] = arena_alloc(&a, 1 + i % 90);
        assert_non_null(pieces[i]);
        memset(pieces[i], (int)(i % 251), 1 + i % 90);
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t k = 0; k < 1 + i % 90; k++)
            assert_int_equal(pieces[i][k], i % 251);
    arena_free(&a);
}

static void test_the_limit_holds_and_the_arena_goes_on_after_a_reset(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1000);
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, 600));
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 600));
    arena_free(&a);
}

static void test_products_and_sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, SIZE_MAX);
    assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    assert_null(arena_array(&a, SIZE_MAX, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_alloc(&a, SIZE_MAX - 15));
    assert_non_null(arena_array(&a, 0, 8));
    arena_free(&a);
}

static void test_copies_end_in_nul(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 1 << 16);
    char *copy = arena_dup(&a, (struct str){"abcdef", 3});
    assert_string_equal(copy, "abc");
    struct str s = arena_str(&a, STR("xyz"));
    assert_int_equal(s.n, 3);
    assert_int_equal(s.p[3], '\0');
    struct str empty = arena_str(&a, (struct str){NULL, 0});
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    arena_free(&a);
    arena_init(&a, 8);
    assert_null(arena_printf(&a, "%s", "much longer than eight bytes"));
    assert_null(arena_dup(&a, STR("much longer than eight bytes")));
    assert_null(arena_str(&a, STR("much longer than eight bytes")).p);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_aligned_and_zeroed_also_when_used_again),
        cmocka_unit_test(test_pieces_do_not_overlap),
        cmocka_unit_test(test_the_limit_holds_and_the_arena_goes_on_after_a_reset),
        cmocka_unit_test(test_products_and_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_copies_end_in_nul),
    };
    return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
