/* buf_test.c: growing buffers and borrowed strings. */
#include "base/buf.h"

#include "unit/unit.h"

static void test_appending_puts_one_thing_after_the_other(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_cstr(&b, "a");
    buf_char(&b, 'b');
    buf_str(&b, STR("cd"));
    buf_add(&b, NULL, 0);
    buf_int(&b, 0);
    buf_int(&b, -12);
    buf_int(&b, INT64_MAX);
    buf_int(&b, INT64_MIN);
    buf_printf(&b, "[%s %d]", "x", 5);
    buf_char(&b, '\0');
    assert_false(b.failed);
    assert_string_equal(b.p, "abcd0-129223372036854775807-9223372036854775808[x 5]");
    buf_free(&b);
}

static void test_past_the_bound_it_fails_once_and_stays_as_it_was(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    buf_cstr(&b, "12345678");
    buf_cstr(&b, "abc");
    assert_true(b.failed);
    assert_int_equal(b.n, 8);
    buf_char(&b, 'x'); /* nothing is added to what lacks a piece */
    assert_int_equal(b.n, 8);
    buf_reset(&b);
    assert_false(b.failed);
    buf_cstr(&b, "0123456789");
    assert_false(b.failed);
    buf_char(&b, 'x');
    assert_true(b.failed);
    buf_free(&b);
    buf_init(&b, SIZE_MAX);
    buf_char(&b, 'x');
    assert_false(buf_reserve(&b, SIZE_MAX));
    buf_free(&b);
}

static void test_a_million_bytes_arrive_as_they_were(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < (1 << 20); i++)
        buf_char(&b, (char)(i * 7));
    assert_false(b.failed);
    for (size_t i = 0; i < (1 << 20); i++)
        assert_int_equal(b.p[i], (char)(i * 7));
    buf_free(&b);
}

static void test_strings_are_cut_trimmed_and_compared(void **state)
{
    (void)state;
    struct str rest = STR("a,b,,c");
    const char *parts[] = {"a", "b", "", "c"};
    for (size_t i = 0; i < 4; i++) {
        struct str part = str_cut(&rest, ',');
        assert_non_null(part.p);
        assert_true(str_is(part, parts[i]));
    }
    assert_null(rest.p);
    assert_null(str_cut(&rest, ',').p);
    rest = STR("a,");
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_non_null(rest.p); /* an empty last part is a part */
    assert_int_equal(rest.n, 0);
    assert_true(str_is(str_trim(STR(" \t a b \r\n")), "a b"));
    assert_int_equal(str_trim(STR("  ")).n, 0);
    assert_true(str_eq_nocase(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    assert_false(str_eq_nocase(STR("["), STR("{")));
    assert_true(str_starts(STR("abc"), STR("ab")));
    assert_true(str_starts(STR("abc"), STR("")));
    assert_false(str_starts(STR("a"), STR("ab")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appending_puts_one_thing_after_the_other),
        cmocka_unit_test(test_past_the_bound_it_fails_once_and_stays_as_it_was),
        cmocka_unit_test(test_a_million_bytes_arrive_as_they_were),
        cmocka_unit_test(test_strings_are_cut_trimmed_and_compared),
    };
    return cmocka_run_group_tests_name("buf, str", tests, NULL, NULL);
}
