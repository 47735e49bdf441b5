/* timezone_test.c: local time, against the C library's reading of the same database. */
#include "base/timezone.h"

#include "base/calendar.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static const char *const names[] = {"UTC",
                                    "Europe/Moscow",
                                    "Europe/Berlin",
                                    "America/New_York",
                                    "America/Sao_Paulo",
                                    "Asia/Kolkata",
                                    "Asia/Kathmandu",
                                    "Pacific/Apia",
                                    "Pacific/Kiritimati",
                                    "Africa/Cairo",
                                    "Asia/Gaza",
                                    "Australia/Lord_Howe",
                                    "America/Santiago",
                                    "Africa/Casablanca",
                                    "Europe/Dublin",
                                    "Antarctica/Troll",
                                    "America/Nuuk",
                                    "Asia/Tehran",
                                    "Atlantic/Azores",
                                    "America/Havana"};
#define NAMES (sizeof names / sizeof *names)

static void test_offsets_agree_with_the_c_library(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        const struct timezone_data *z = timezone_find(str_of(names[i]));
        if (!z) fail_msg("no zone %s", names[i]);
        assert_string_equal(timezone_name(z), names[i]);
        setenv("TZ", names[i], 1);
        tzset();
        /* every 5 hours and 7 minutes over a century, past the end of the table too */
        for (int64_t s = -1000000000; s < 3900000000; s += 18420 * 3) {
            time_t t = (time_t)s;
            struct tm tm;
            localtime_r(&t, &tm);
            if (timezone_offset(z, s * 1000) != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, the library says %ld", names[i], (long long)s,
                         timezone_offset(z, s * 1000), tm.tm_gmtoff);
        }
    }
}

static void test_the_exact_second_of_a_change(void **state)
{
    (void)state;
    const struct timezone_data *z = timezone_find(STR("Europe/Berlin"));
    int64_t change;
    assert_true(calendar_parse_datetime(STR("2026-03-29T01:00:00Z"), &change));
    assert_int_equal(timezone_offset(z, change - 1), 3600);
    assert_int_equal(timezone_offset(z, change), 7200);
    assert_true(calendar_parse_datetime(STR("2050-10-30T01:00:00Z"), &change)); /* by the closing rule */
    assert_int_equal(timezone_offset(z, change - 1), 7200);
    assert_int_equal(timezone_offset(z, change), 3600);
}

/* The start of a day is its first instant: the one before it belongs to another day. */
static void test_a_day_starts_at_its_first_instant(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        const struct timezone_data *z = timezone_find(str_of(names[i]));
        for (int64_t day = 10000; day < 30000; day++) {
            int64_t start = timezone_day_start(z, day);
            int64_t got = timezone_day(z, start), before = timezone_day(z, start - 1);
            bool skipped = got > day; /* Samoa had no 30 December 2011: its start is that of the next */
            if (!(got == day || skipped) || before >= day)
                fail_msg("%s, day %lld: starts in day %lld, and the instant before is in day %lld", names[i],
                         (long long)day, (long long)got, (long long)before);
        }
    }
}

static void test_local_times_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < NAMES; i++) {
        const struct timezone_data *z = timezone_find(str_of(names[i]));
        for (int64_t ms = INT64_C(1000000000000); ms < INT64_C(2200000000000); ms += 86400000 * 3 + 3700000) {
            int64_t local = ms + timezone_offset(z, ms) * INT64_C(1000), back = timezone_instant(z, local);
            int64_t again = back + timezone_offset(z, back) * INT64_C(1000);
            if (again != local || back > ms)
                fail_msg("%s: %lld comes back as %lld", names[i], (long long)ms, (long long)back);
        }
    }
}

static void test_a_time_that_is_skipped_goes_on_as_before(void **state)
{
    (void)state;
    const struct timezone_data *z = timezone_find(STR("Europe/Berlin"));
    int64_t local, utc;
    assert_true(calendar_parse_datetime(STR("2026-03-29T02:30:00Z"), &local));
    assert_true(calendar_parse_datetime(STR("2026-03-29T01:30:00Z"), &utc));
    assert_int_equal(timezone_instant(z, local), utc);
    assert_true(calendar_parse_datetime(STR("2026-10-25T02:30:00Z"), &local)); /* twice: the earlier one */
    assert_true(calendar_parse_datetime(STR("2026-10-25T00:30:00Z"), &utc));
    assert_int_equal(timezone_instant(z, local), utc);
}

static void test_names_that_lead_elsewhere_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Nowhere/City",
        "../../etc/passwd",
        "/etc/passwd",
        "Europe/../../../etc/passwd",
        "Europe",
        "zone.tab",
        "Europe/Moscow/",
        "europe/moscow/x",
        "posixrules/x",
        "a/very/long/name/that/goes/on/and/on/and/on/and/on/and/on/and/on/and/on/and/on"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (timezone_find(str_of(bad[i]))) fail_msg("found: %s", bad[i]);
    assert_null(timezone_find((struct str){"Europe\0Moscow", 13}));
}

static void test_no_zone_is_utc(void **state)
{
    (void)state;
    assert_int_equal(timezone_offset(NULL, 0), 0);
    assert_int_equal(timezone_day(NULL, -1), -1);
    assert_int_equal(timezone_day_start(NULL, 5), 5 * DAY_MS);
    assert_int_equal(timezone_instant(NULL, 12345), 12345);
}

static void *find_all(void *arg)
{
    (void)arg;
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < NAMES; i++)
            if (!timezone_find(str_of(names[i]))) return "missing";
    return NULL;
}

static void test_threads_find_the_same_zones(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, find_all, NULL), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_ptr_equal(timezone_find(STR("Asia/Gaza")), timezone_find(STR("Asia/Gaza")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_agree_with_the_c_library),
        cmocka_unit_test(test_the_exact_second_of_a_change),
        cmocka_unit_test(test_a_day_starts_at_its_first_instant),
        cmocka_unit_test(test_local_times_come_back),
        cmocka_unit_test(test_a_time_that_is_skipped_goes_on_as_before),
        cmocka_unit_test(test_names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(test_no_zone_is_utc),
        cmocka_unit_test(test_threads_find_the_same_zones),
    };
    return cmocka_run_group_tests_name("timezone", tests, NULL, NULL);
}
