/* id_test.c: identifiers, near names, clocks. */
#include "base/id.h"

#include "base/clock.h"
#include "base/suggest.h"
#include "unit/unit.h"

#include <pthread.h>
#include <stdlib.h>

static void test_ids_rise_and_never_repeat(void **state)
{
    (void)state;
    int64_t last = 0;
    for (int i = 0; i < 200000; i++) {
        int64_t id = id_next();
        assert_true(id > last);
        last = id;
    }
}

static void test_ids_rise_when_the_clock_goes_back(void **state)
{
    (void)state;
    int64_t before = id_next();
    clock_fake(1704067200000 + 5);
    int64_t after = id_next();
    clock_fake(-1);
    assert_true(after > before);
}

/* Neither how many there are nor which comes next can be told: the steps inside a millisecond differ. */
static void test_ids_of_one_millisecond_do_not_count(void **state)
{
    (void)state;
    clock_fake(clock_now() + 100000);
    int64_t last = id_next(), steps[1000];
    size_t same = 0;
    for (size_t i = 0; i < 1000; i++) {
        int64_t id = id_next();
        steps[i] = id - last;
        assert_true(steps[i] >= 1 && steps[i] <= 1024);
        if (i && steps[i] == steps[i - 1]) same++;
        last = id;
    }
    clock_fake(-1);
    assert_true(same < 20);
}

static void test_text_has_the_order_of_the_numbers_and_comes_back(void **state)
{
    (void)state;
    int64_t ids[] = {1, 31, 32, 1023, 1024, INT64_C(1) << 40, id_next(), id_next(), INT64_MAX - 1, INT64_MAX};
    char before[ID_TEXT + 1] = "", text[ID_TEXT + 1];
    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
        int64_t back = 0;
        id_format(ids[i], text);
        assert_int_equal(strlen(text), ID_TEXT);
        assert_true(id_parse(str_of(text), &back));
        assert_int_equal(back, ids[i]);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof text);
    }
}

static void test_what_is_no_id_is_refused(void **state)
{
    (void)state;
    int64_t id;
    static const char *const bad[] = {"",
                                      "0",
                                      "0000000000000",
                                      "000000000000",
                                      "00000000000001",
                                      "000000000000i",
                                      "000000000000l",
                                      "000000000000o",
                                      "000000000000u",
                                      "000000000000A",
                                      "000000000000 ",
                                      " 00000000000001",
                                      "8000000000000",
                                      "zzzzzzzzzzzzz",
                                      "-000000000001",
                                      "00000000000é"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (id_parse(str_of(bad[i]), &id)) fail_msg("accepted: %s", bad[i]);
    assert_false(id_parse((struct str){"000000000000\0", 13}, &id));
}

#define THREADS 4
#define EACH 20000

static void *take_ids(void *arg)
{
    int64_t *ids = arg;
    for (size_t i = 0; i < EACH; i++)
        ids[i] = id_next();
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_threads_never_get_the_same_id(void **state)
{
    (void)state;
    static int64_t ids[THREADS * EACH];
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_ids, ids + i * EACH), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    qsort(ids, THREADS * EACH, sizeof *ids, by_value);
    for (size_t i = 1; i < THREADS * EACH; i++)
        assert_true(ids[i] != ids[i - 1]);
}

static const char *nearest(const char *wanted, const char *const *all, size_t n)
{
    struct suggest s;
    suggest_start(&s, str_of(wanted));
    for (size_t i = 0; i < n; i++)
        suggest_try(&s, str_of(all[i]));
    return s.best.p;
}

static void test_the_nearest_name_is_suggested_and_a_far_one_is_not(void **state)
{
    (void)state;
    static const char *const names[] = {"name",        "amount", "stage",      "close_date",
                                        "responsible", "id",     "description"};
    size_t n = sizeof names / sizeof *names;
    assert_string_equal(nearest("nmae", names, n), "name");
    assert_string_equal(nearest("amonut", names, n), "amount");
    assert_string_equal(nearest("closedate", names, n), "close_date");
    assert_string_equal(nearest("responsable", names, n), "responsible");
    assert_string_equal(nearest("idd", names, n), "id");
    assert_null(nearest("zzzz", names, n));
    assert_null(nearest("", names, n));
    assert_null(nearest("x", names, n));
    char longest[300];
    memset(longest, 'a', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_null(nearest(longest, names, n));
}

static void test_clocks(void **state)
{
    (void)state;
    clock_fake(12345);
    assert_int_equal(clock_now(), 12345);
    uint64_t a = clock_mono(), b = clock_mono();
    assert_true(b >= a && a > 0);
    clock_fake(-1);
    assert_true(clock_now() > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_rise_and_never_repeat),
        cmocka_unit_test(test_ids_rise_when_the_clock_goes_back),
        cmocka_unit_test(test_text_has_the_order_of_the_numbers_and_comes_back),
        cmocka_unit_test(test_what_is_no_id_is_refused),
        cmocka_unit_test(test_threads_never_get_the_same_id),
        cmocka_unit_test(test_the_nearest_name_is_suggested_and_a_far_one_is_not),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(
            test_ids_of_one_millisecond_do_not_count), /* last: it leaves ids of the future behind */
    };
    return cmocka_run_group_tests_name("id, suggest, clock", tests, NULL, NULL);
}
