/* csv_test.c: cells of base/csv.c. */
#include "base/csv.h"

#include "unit/unit.h"

static void writes(struct str text, const char *wanted)
{
    struct buf b;
    buf_init(&b, 4096);
    csv_text(&b, text);
    assert_false(b.failed);
    assert_int_equal(b.n, strlen(wanted));
    if (b.n) assert_memory_equal(b.p, wanted, b.n);
    buf_free(&b);
}

static void test_plain_text_stays_as_it_is(void **state)
{
    (void)state;
    writes(STR(""), "");
    writes(STR("Рога и Копыта"), "Рога и Копыта");
    writes(STR("'tis"), "'tis");
    writes(STR("a=b"), "a=b");
}

static void test_separators_quotes_and_line_ends_are_quoted(void **state)
{
    (void)state;
    writes(STR("a,b"), "\"a,b\"");
    writes(STR("a;b"), "\"a;b\"");
    writes(STR("say \"no\""), "\"say \"\"no\"\"\"");
    writes(STR("two\nlines"), "\"two\nlines\"");
    writes(STR("\""), "\"\"\"\"");
    writes(STR(" a"), "\" a\"");
}

static void test_what_a_spreadsheet_would_run_gets_an_apostrophe(void **state)
{
    (void)state;
    writes(STR("=1+1"), "'=1+1");
    writes(STR("+cmd|' /C calc'!A0"), "'+cmd|' /C calc'!A0");
    writes(STR("-2+3"), "'-2+3");
    writes(STR("@SUM(A1)"), "'@SUM(A1)");
    writes(STR("\t=1"), "\"'\t=1\"");
    writes(STR("\r=1"), "\"'\r=1\"");
    writes(STR("=HYPERLINK(\"http://x\",\"y\")"), "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
}

static void test_numbers_stay_numbers(void **state)
{
    (void)state;
    writes(STR("-5"), "-5");
    writes(STR("-12.50"), "-12.50");
    writes(STR("+79161234567"), "+79161234567");
    writes(STR("-"), "'-");
    writes(STR("-5."), "'-5.");
    writes(STR("-1.2.3"), "'-1.2.3");
    writes(STR("+.5"), "'+.5");
}

/* Every text of up to five characters over an alphabet of those that matter. */
static void test_what_is_written_is_read_back_unchanged(void **state)
{
    (void)state;
    static const char alphabet[] = "='+-@\t\r5.a";
    size_t letters = sizeof alphabet - 1, all = 1;
    char text[5];
    for (size_t n = 0; n <= 5; n++, all *= letters)
        for (size_t code = 0; code < all; code++) {
            size_t rest = code;
            for (size_t i = 0; i < n; i++, rest /= letters)
                text[i] = alphabet[rest % letters];
            struct buf b;
            buf_init(&b, 64);
            csv_text(&b, (struct str){text, n});
            struct str cell = buf_view(&b);
            if (cell.n && cell.p[0] == '"') cell = (struct str){cell.p + 1, cell.n - 2};
            bool number_or_harmless = cell.n == 0 || !strchr("=@\t\r", cell.p[0]);
            assert_true(number_or_harmless);
            struct str back = csv_unguard(cell);
            assert_int_equal(back.n, n);
            if (n) assert_memory_equal(back.p, text, n);
            buf_free(&b);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_text_stays_as_it_is),
        cmocka_unit_test(test_separators_quotes_and_line_ends_are_quoted),
        cmocka_unit_test(test_what_a_spreadsheet_would_run_gets_an_apostrophe),
        cmocka_unit_test(test_numbers_stay_numbers),
        cmocka_unit_test(test_what_is_written_is_read_back_unchanged),
    };
    return cmocka_run_group_tests_name("csv", tests, NULL, NULL);
}
