/* accept_test.c: what a client would rather have. */
#include "api/app.h"

#include "unit/unit.h"

static void test_qualities_are_read_in_thousandths(void **state)
{
    (void)state;
    const struct {
        const char *parameters;
        int quality;
    } cases[] = {{"", 1000},        {"q=1", 1000},      {"q=0", 0},
                 {"q=0.5", 500},    {"q=0.123", 123},   {"q=0.1234", 123},
                 {"q=1.000", 1000}, {" Q = 0.7 ", 700}, {"charset=x;q=0.2", 200},
                 {"q=", 0},         {"q=abc", 0},       {"q=0.x", 0},
                 {"q=2", 0},        {"q=-1", 0},        {"level=1", 1000},
                 {"q=0.5;q=1", 500}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (accept_quality(str_of(cases[i].parameters)) != cases[i].quality)
            fail_msg("%s: %d", cases[i].parameters, accept_quality(str_of(cases[i].parameters)));
}

static void test_the_closest_range_decides(void **state)
{
    (void)state;
    assert_int_equal(accept_media((struct str){0}, "text/csv"), 1000);
    assert_int_equal(accept_media(STR(""), "text/csv"), 0);
    assert_int_equal(accept_media(STR("*/*;q=0.1"), "text/csv"), 100);
    assert_int_equal(accept_media(STR("*/*;q=0.1, text/*;q=0.2"), "text/csv"), 200);
    assert_int_equal(accept_media(STR("text/csv;q=0, text/*, */*"), "text/csv"), 0);
    assert_int_equal(accept_media(STR("TEXT/CSV;q=0.4"), "text/csv"), 400);
    assert_int_equal(accept_media(STR("text/csvx, tex/csv, text"), "text/csv"), 0);
    assert_int_equal(accept_media(STR("application/*;q=0.3"), "text/csv"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qualities_are_read_in_thousandths),
        cmocka_unit_test(test_the_closest_range_decides),
    };
    return cmocka_run_group_tests_name("accept", tests, NULL, NULL);
}
