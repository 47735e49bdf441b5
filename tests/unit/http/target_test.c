/* target_test.c: paths, query strings, cookies, entity tags. */
#include "http/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_str(struct str s, const char *expected)
{
    if (!str_is(s, expected)) fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), expected);
}

static void expect_pair(struct str *query, const char *name, const char *value)
{
    struct str n, v;
    assert_int_equal(http_query_next(query, &arena, &n, &v), HTTP_QUERY_PAIR);
    assert_str(n, name);
    assert_str(v, value);
}

static void test_a_query_string_is_read_pair_by_pair(void **state)
{
    (void)state;
    struct str n, v, q = STR("a=1&b=x%20y+z&&c&d=&=e&f=g=h&%D1%8F=%2B&");
    expect_pair(&q, "a", "1");
    expect_pair(&q, "b", "x y z");
    expect_pair(&q, "c", "");
    expect_pair(&q, "d", "");
    expect_pair(&q, "", "e");
    expect_pair(&q, "f", "g=h");
    expect_pair(&q, "я", "+");
    assert_int_equal(http_query_next(&q, &arena, &n, &v), HTTP_QUERY_END);
    struct str none = {0};
    assert_int_equal(http_query_next(&none, &arena, &n, &v), HTTP_QUERY_END);
}

static void test_a_bad_query_string_is_told_apart_from_its_end(void **state)
{
    (void)state;
    static const char *const bad[] = {"a=%", "a=%4", "a=%zz", "%00=1", "a=%ff", "a=\xff", "%ed%a0%80=1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct str n, v, q = str_of(bad[i]);
        assert_int_equal(http_query_next(&q, &arena, &n, &v), HTTP_QUERY_BAD);
    }
    struct arena tiny;
    arena_init(&tiny, 8);
    struct str n, v, q = STR("a=%20aaaaaaaaaaaaaaaaaaaaaaaaaaa");
    assert_int_equal(http_query_next(&q, &tiny, &n, &v), HTTP_QUERY_NO_MEMORY);
    arena_free(&tiny);
}

static void test_percent_decoding_keeps_the_plus(void **state)
{
    (void)state;
    assert_str(http_percent_decode(STR("a+b%2Fc%25"), &arena), "a+b/c%");
    assert_str(http_percent_decode(STR(""), &arena), "");
    assert_null(http_percent_decode(STR("%0"), &arena).p);
    assert_null(http_percent_decode(STR("a%00"), &arena).p);
}

static void test_cookies_are_found_by_their_exact_name(void **state)
{
    (void)state;
    const struct http_field fields[] = {{STR("Accept"), STR("x=1")},
                                        {STR("cookie"), STR("ab=1; b=2;c = \"3\" ;d")},
                                        {STR("Cookie"), STR("e=5=6")}};
    const struct http_exchange x = {.fields = fields, .fields_n = 3};
    assert_str(http_cookie(&x, STR("b")), "2");
    assert_str(http_cookie(&x, STR("c")), "3");
    assert_str(http_cookie(&x, STR("e")), "5=6");
    assert_null(http_cookie(&x, STR("a")).p);
    assert_null(http_cookie(&x, STR("d")).p);
    assert_null(http_cookie(&x, STR("x")).p);
}

static void test_entity_tags_match_weakly_or_strongly(void **state)
{
    (void)state;
    static const struct {
        const char *list, *etag;
        bool weak, strong;
    } rows[] = {
        {"\"1\"", "\"1\"", true, true},
        {"W/\"1\"", "\"1\"", true, false},
        {"\"1\"", "W/\"1\"", true, false},
        {"\"a\", \"1\" ,\"b\"", "\"1\"", true, true},
        {"\"a,1\", \"b\"", "\"1\"", false, false},
        {"*", "\"1\"", true, true},
        {"\"2\"", "\"1\"", false, false},
        {"1", "\"1\"", false, false},
        {"", "\"1\"", false, false},
        {"\"1", "\"1\"", false, false},
        {"\"2\" \"1\"", "\"1\"", false, false},
        {"\"1\"x", "\"1\"", true, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(http_etag_listed(str_of(rows[i].list), str_of(rows[i].etag), true), rows[i].weak);
        assert_int_equal(http_etag_listed(str_of(rows[i].list), str_of(rows[i].etag), false), rows[i].strong);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_query_string_is_read_pair_by_pair),
        cmocka_unit_test(test_a_bad_query_string_is_told_apart_from_its_end),
        cmocka_unit_test(test_percent_decoding_keeps_the_plus),
        cmocka_unit_test(test_cookies_are_found_by_their_exact_name),
        cmocka_unit_test(test_entity_tags_match_weakly_or_strongly),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
