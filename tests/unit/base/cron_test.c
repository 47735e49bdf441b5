/* cron_test.c: cron expressions: what they mean, also on days when the clock changes. */
#include "base/calendar.h"
#include "base/cron.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int64_t at(const char *text)
{
    int64_t ms;
    assert_true(calendar_parse_datetime(str_of(text), &ms));
    return ms;
}

static void expect(const char *spec, const char *after, const char *next)
{
    struct cron c;
    size_t where;
    char got[32];
    assert_true(cron_parse(str_of(spec), &c, &where));
    calendar_format_datetime(cron_next(&c, at(after), NULL), got);
    assert_string_equal(got, next);
}

static void test_the_next_time_fits_every_field(void **state)
{
    (void)state;
    expect("* * * * *", "2026-11-25T10:00:00Z", "2026-11-25T10:01:00.000Z");
    expect("30 6 * * *", "2026-11-25T06:30:00Z", "2026-11-26T06:30:00.000Z");
    expect("0 9 * * 1-5", "2026-11-27T09:00:00Z", "2026-11-30T09:00:00.000Z"); /* Friday → Monday */
    expect("0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00.000Z");
    expect("*/20 8-10 * * *", "2026-11-25T10:40:00Z", "2026-11-26T08:00:00.000Z");
    expect("5,35 * * jan,JUL sun", "2026-11-25T00:00:00Z", "2027-01-03T00:05:00.000Z");
    expect("0 12 * * 7", "2026-11-25T00:00:00Z", "2026-11-29T12:00:00.000Z");
}

static void test_either_day_is_enough_when_both_are_restricted(void **state)
{
    (void)state;
    expect("0 0 13 * fri", "2026-11-25T00:00:00Z", "2026-11-27T00:00:00.000Z");
    expect("0 0 1 * fri", "2026-11-28T00:00:00Z", "2026-12-01T00:00:00.000Z");
}

static void test_a_zone_may_stand_behind_it(void **state)
{
    (void)state;
    expect("0 9 * * * Europe/Moscow", "2026-11-25T00:00:00Z", "2026-11-25T06:00:00.000Z");
}

static void test_a_time_in_the_gap_runs_behind_it_and_a_double_one_once(void **state)
{
    (void)state;
    /* Berlin: 2026-03-29 02:00 → 03:00; 2026-10-25 03:00 → 02:00. */
    expect("30 2 * * * Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:30:00.000Z");
    expect("30 2 * * * Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00.000Z");
    expect("30 2 * * * Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00.000Z");
}

static void test_what_is_none_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t at;
    } wrong[] = {{"60 * * * *", 0},
                 {"* 24 * * *", 2},
                 {"* * 0 * *", 4},
                 {"* * * 13 *", 6},
                 {"* * * * 8", 8},
                 {"* * *", 0},
                 {"5-1 * * * *", 0},
                 {"*/0 * * * *", 0},
                 {"1,,2 * * * *", 0},
                 {"* * * * * Nowhere/City", 10},
                 {"", 0},
                 {"a * * * *", 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct cron c;
        size_t where = 99;
        assert_false(cron_parse(str_of(wrong[i].text), &c, &where));
        if (strcmp(wrong[i].text, "* * *") != 0) assert_int_equal(where, wrong[i].at);
    }
}

static void test_what_never_comes_is_said_so(void **state)
{
    (void)state;
    struct cron c;
    size_t where;
    assert_true(cron_parse(STR("0 0 30 2 *"), &c, &where));
    assert_true(cron_next(&c, at("2026-01-01T00:00:00Z"), NULL) == INT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_next_time_fits_every_field),
        cmocka_unit_test(test_either_day_is_enough_when_both_are_restricted),
        cmocka_unit_test(test_a_zone_may_stand_behind_it),
        cmocka_unit_test(test_a_time_in_the_gap_runs_behind_it_and_a_double_one_once),
        cmocka_unit_test(test_what_is_none_is_refused_with_its_place),
        cmocka_unit_test(test_what_never_comes_is_said_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
