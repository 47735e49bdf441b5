/* text_test.c: UTF-8 and the one order of text. */
#include "base/text.h"

#include "unit/unit.h"

#include <stdio.h>

static void test_utf8_is_valid_or_not(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "abc",
                                       "ёж",
                                       "\xEF\xBF\xBF",
                                       "\xF0\x9F\x98\x80",
                                       "\xF4\x8F\xBF\xBF",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xC2\x80"};
    static const char *const bad[] = {"\x80",
                                      "\xC0\x80",
                                      "\xC1\xBF",
                                      "\xE0\x80\x80",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xED\xBF\xBF",
                                      "\xF0\x80\x80\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "\xFE",
                                      "\xE2\x82",
                                      "\xC3",
                                      "a\xC3",
                                      "\xC3(",
                                      "\xE2(\xA1",
                                      "\xF0\x9F\x98",
                                      "\xF0\x9F\x98(",
                                      "ok\xC3\x28"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!text_valid(str_of(good[i]))) fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (text_valid(str_of(bad[i]))) fail_msg("accepted number %zu", i);
    assert_true(text_valid((struct str){"a\0b", 3}));
}

static void test_every_code_point_is_written_and_read_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        struct buf b;
        buf_init(&b, 8);
        text_put(&b, c);
        struct str s = buf_view(&b);
        bool valid = text_valid(s);
        size_t length = text_length(s);
        uint32_t back = text_next(&s);
        if (!valid || length != 1 || back != c || s.n != 0) fail_msg("U+%04X", c);
        buf_free(&b);
    }
}

static void test_bad_bytes_are_read_as_replacements_one_by_one(void **state)
{
    (void)state;
    struct str s = {"\xFF\xC3\x28\xE2\x82", 5};
    static const uint32_t wanted[] = {0xFFFD, 0xFFFD, '(', 0xFFFD, 0xFFFD};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(text_next(&s), wanted[i]);
    assert_int_equal(s.n, 0);
}

static void folds(const char *text, const char *wanted)
{
    struct buf b;
    buf_init(&b, 256);
    text_fold(&b, str_of(text));
    buf_char(&b, '\0');
    assert_string_equal(b.p, wanted);
    buf_free(&b);
}

static void test_case_is_folded_and_yo_is_ye(void **state)
{
    (void)state;
    folds("ABC xyz 123", "abc xyz 123");
    folds("ЁЖИК ёжик", "ежик ежик");
    folds("Й й И и", "й й и и");
    folds("ÀÉÎÕÜ", "àéîõü");
    folds("ΑΒΓ", "αβγ");
    folds("ІЇЄҐ", "іїєґ");
    for (uint32_t c = 0; c < 0x10000; c++)
        assert_int_equal(text_fold_char(text_fold_char(c)), text_fold_char(c));
}

static void test_the_order_is_folded_then_bytes(void **state)
{
    (void)state;
    static const char *const ordered[] = {"",
                                          "0",
                                          "10",
                                          "9",
                                          "A",
                                          "a",
                                          "A1",
                                          "a1",
                                          "Abc",
                                          "abc",
                                          "b",
                                          "Алена",
                                          "Алёна",
                                          "алена",
                                          "алёна",
                                          "Ежа",
                                          "ежа",
                                          "Ёжик",
                                          "ежик",
                                          "ёжик",
                                          "Жук",
                                          "я",
                                          "\xF0\x9F\x98\x80"};
    size_t n = sizeof ordered / sizeof *ordered;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int order = text_compare(str_of(ordered[i]), str_of(ordered[k]));
            bool right = i < k ? order < 0 : i > k ? order > 0 : order == 0;
            if (!right) fail_msg("\"%s\" and \"%s\": %d", ordered[i], ordered[k], order);
        }
}

static void test_only_equal_bytes_are_equal_and_the_order_is_one(void **state)
{
    (void)state;
    /* All texts of up to three letters of an alphabet that is hard to order; transitive and antisymmetric. */
    static const char *const letters[] = {"a", "A", "ё", "Е", "е", "\xFF"};
    char texts[259][16] = {""};
    size_t n = 1;
    for (size_t i = 0; i < 6; i++) {
        strcpy(texts[n++], letters[i]);
        for (size_t k = 0; k < 6; k++) {
            snprintf(texts[n++], 16, "%s%s", letters[i], letters[k]);
            for (size_t m = 0; m < 6; m++)
                snprintf(texts[n++], 16, "%s%s%s", letters[i], letters[k], letters[m]);
        }
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            int ab = text_compare(str_of(texts[i]), str_of(texts[k])),
                ba = text_compare(str_of(texts[k]), str_of(texts[i]));
            assert_true((ab < 0) == (ba > 0) && (ab == 0) == (strcmp(texts[i], texts[k]) == 0));
            for (size_t m = 0; m < n && ab < 0; m += 3)
                if (text_compare(str_of(texts[k]), str_of(texts[m])) < 0)
                    assert_true(text_compare(str_of(texts[i]), str_of(texts[m])) < 0);
        }
}

static void test_searches_fold_both_sides(void **state)
{
    (void)state;
    assert_true(text_contains(STR("Большой Ёжик"), STR("еж")));
    assert_true(text_contains(STR("abc"), STR("")));
    assert_true(text_contains(STR(""), STR("")));
    assert_false(text_contains(STR(""), STR("a")));
    assert_true(text_contains(STR("aaab"), STR("AAB")));
    assert_false(text_contains(STR("50 percent"), STR("50%_")));
    assert_true(text_contains(STR("50%_ off"), STR("50%_")));
    assert_true(text_starts(STR("Ёлка"), STR("ЕЛ")));
    assert_false(text_starts(STR("Е"), STR("ЕЛ")));
    assert_true(text_ends(STR("Рога и КОПЫТА"), STR("копыта")));
    assert_true(text_ends(STR("aaa"), STR("aa")));
    assert_false(text_ends(STR("aab"), STR("aa")));
    assert_true(text_ends(STR("x"), STR("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_valid_or_not),
        cmocka_unit_test(test_every_code_point_is_written_and_read_back),
        cmocka_unit_test(test_bad_bytes_are_read_as_replacements_one_by_one),
        cmocka_unit_test(test_case_is_folded_and_yo_is_ye),
        cmocka_unit_test(test_the_order_is_folded_then_bytes),
        cmocka_unit_test(test_only_equal_bytes_are_equal_and_the_order_is_one),
        cmocka_unit_test(test_searches_fold_both_sides),
    };
    return cmocka_run_group_tests_name("text", tests, NULL, NULL);
}
