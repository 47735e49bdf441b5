/* calendar_test.c: dates and instants, against the C library's. */
#include "base/calendar.h"

#include "unit/unit.h"

#include <time.h>

static void test_every_day_of_ten_thousand_years_is_itself(void **state)
{
    (void)state;
    int64_t first = calendar_days((struct civil){1, 1, 1}),
            last = calendar_days((struct civil){9999, 12, 31});
    assert_int_equal(first, -719162);
    assert_int_equal(last, 2932896);
    for (int64_t day = first; day <= last; day++) {
        struct civil c = calendar_civil(day);
        assert_true(c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= 31);
        assert_int_equal(calendar_days(c), day);
    }
}

static void test_days_agree_with_the_c_library(void **state)
{
    (void)state;
    for (int64_t day = -700000; day < 2900000; day += 37) {
        time_t t = (time_t)(day * 86400);
        struct tm tm;
        assert_non_null(gmtime_r(&t, &tm));
        struct civil c = calendar_civil(day);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(calendar_weekday(day), (tm.tm_wday + 6) % 7);
    }
}

static void test_dates_are_read_when_they_exist(void **state)
{
    (void)state;
    int64_t day;
    char text[16];
    assert_true(calendar_parse_date(STR("2026-11-23"), &day));
    calendar_format_date(day, text);
    assert_string_equal(text, "2026-11-23");
    assert_true(calendar_parse_date(STR("2024-02-29"), &day));
    assert_true(calendar_parse_date(STR("2000-02-29"), &day));
    assert_true(calendar_parse_date(STR("0001-01-01"), &day));
    assert_true(calendar_parse_date(STR("9999-12-31"), &day));
    static const char *const bad[] = {"",
                                      "2026",
                                      "2026-1-1",
                                      "2026-13-01",
                                      "2026-00-01",
                                      "2026-01-00",
                                      "2026-01-32",
                                      "2026-02-29",
                                      "1900-02-29",
                                      "2026-04-31",
                                      "0000-01-01",
                                      "2026-11-23 ",
                                      " 2026-11-23",
                                      "2026/11/23",
                                      "26-11-23",
                                      "-026-11-23",
                                      "2026-11-23T00:00:00Z",
                                      "２０２６-11-23"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(calendar_parse_date(str_of(bad[i]), &day));
}

static void instant(const char *text, const char *wanted)
{
    int64_t ms;
    char out[32];
    if (!calendar_parse_datetime(str_of(text), &ms)) fail_msg("refused: %s", text);
    calendar_format_datetime(ms, out);
    assert_string_equal(out, wanted);
}

static void test_instants_are_read_with_their_offset(void **state)
{
    (void)state;
    instant("2026-11-23T09:30:00.000Z", "2026-11-23T09:30:00.000Z");
    instant("2026-11-23T09:30Z", "2026-11-23T09:30:00.000Z");
    instant("2026-11-23t09:30:15z", "2026-11-23T09:30:15.000Z");
    instant("2026-11-23 09:30:15Z", "2026-11-23T09:30:15.000Z");
    instant("2026-11-23T02:30:00+03:00", "2026-11-22T23:30:00.000Z");
    instant("2026-11-22T23:30:00-05:30", "2026-11-23T05:00:00.000Z");
    instant("2026-11-23T09:30:00.1Z", "2026-11-23T09:30:00.100Z");
    instant("2026-11-23T09:30:00.123999Z", "2026-11-23T09:30:00.123Z");
    instant("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z");
    instant("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z");
    int64_t ms;
    static const char *const bad[] = {"",
                                      "2026-11-23",
                                      "2026-11-23T",
                                      "2026-11-23T9:30Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T09:60:00Z",
                                      "2026-11-23T09:30:60Z",
                                      "2026-11-23T09:30:00",
                                      "2026-11-23T09:30:00.Z",
                                      "2026-11-23T09:30:00+3",
                                      "2026-11-23T09:30:00+24:00",
                                      "2026-11-23T09:30:00+03:60",
                                      "2026-11-23T09:30:00ZZ",
                                      "2026-02-30T09:30:00Z",
                                      "2026-11-23T09:30:00 Z"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (calendar_parse_datetime(str_of(bad[i]), &ms)) fail_msg("accepted: %s", bad[i]);
}

static int64_t day_of(const char *text)
{
    int64_t day;
    assert_true(calendar_parse_date(str_of(text), &day));
    return day;
}

static void moves(const char *from, int64_t months, const char *to)
{
    assert_int_equal(calendar_add_months(day_of(from), months), day_of(to));
}

static void test_months_keep_the_day_or_take_the_last(void **state)
{
    (void)state;
    moves("2026-01-31", 1, "2026-02-28");
    moves("2024-01-31", 1, "2024-02-29");
    moves("2026-03-31", -1, "2026-02-28");
    moves("2026-01-15", 12, "2027-01-15");
    moves("2024-02-29", 12, "2025-02-28");
    moves("2024-02-29", 48, "2028-02-29");
    moves("2026-01-31", -1, "2025-12-31");
    moves("2026-12-31", 1, "2027-01-31");
    moves("2026-05-31", -11, "2025-06-30");
    moves("2026-05-31", 0, "2026-05-31");
    moves("0003-01-31", -24, "0001-01-31");
}

static void test_starts_of_week_month_quarter_and_year(void **state)
{
    (void)state;
    int64_t day = day_of("2026-11-22"); /* a Sunday */
    assert_int_equal(calendar_start(day, 'd'), day);
    assert_int_equal(calendar_start(day, 'w'), day_of("2026-11-16"));
    assert_int_equal(calendar_start(day + 1, 'w'), day_of("2026-11-23"));
    assert_int_equal(calendar_start(day, 'm'), day_of("2026-11-01"));
    assert_int_equal(calendar_start(day, 'q'), day_of("2026-10-01"));
    assert_int_equal(calendar_start(day, 'y'), day_of("2026-01-01"));
    for (int64_t d = -800; d < 800; d++) {
        assert_int_equal(calendar_weekday(calendar_start(d, 'w')), 0);
        assert_true(d - calendar_start(d, 'w') >= 0 && d - calendar_start(d, 'w') < 7);
        assert_true((calendar_civil(calendar_start(d, 'q')).month - 1) % 3 == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_day_of_ten_thousand_years_is_itself),
        cmocka_unit_test(test_days_agree_with_the_c_library),
        cmocka_unit_test(test_dates_are_read_when_they_exist),
        cmocka_unit_test(test_instants_are_read_with_their_offset),
        cmocka_unit_test(test_months_keep_the_day_or_take_the_last),
        cmocka_unit_test(test_starts_of_week_month_quarter_and_year),
    };
    return cmocka_run_group_tests_name("calendar", tests, NULL, NULL);
}
