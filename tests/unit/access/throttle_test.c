/* Guessing is slowed, for each account and each address; whoever does not guess hardly notices. */
#include "access/session.h"
#include "unit/unit.h"

#include <stdio.h>

#define START INT64_C(1000000000)

static bool fails(struct throttle *t, const char *login, const char *address, int64_t now)
{
    int64_t wait;
    if (!throttle_enter(t, str_of(login), str_of(address), now, &wait)) return false;
    throttle_leave(t, str_of(login), str_of(address), false, now);
    return true;
}

static int64_t wait_of(struct throttle *t, const char *login, const char *address, int64_t now)
{
    int64_t wait = -1;
    if (throttle_enter(t, str_of(login), str_of(address), now, &wait)) {
        throttle_leave(t, str_of(login), str_of(address), true, now);
        return 0;
    }
    assert_true(wait >= 1 && wait <= 900);
    return wait;
}

static void test_the_wait_doubles_from_one_second_to_a_quarter_of_an_hour(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    int64_t now = START, expected = 1, wait;
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, "anna", "192.0.2.1", now));
    for (int i = 0; i < 14; i++) {
        assert_false(throttle_enter(t, STR("anna"), STR("192.0.2.1"), now, &wait));
        assert_int_equal(wait, expected);
        assert_false(throttle_enter(t, STR("anna"), STR("192.0.2.1"), now + wait * 1000 - 1, &wait));
        assert_int_equal(wait, 1); /* what is left, rounded up */
        now += expected * 1000;
        assert_true(fails(t, "anna", "192.0.2.1", now));
        expected = expected * 2 > 900 ? 900 : expected * 2;
    }
    throttle_free(t);
}

static void test_a_success_forgets_the_account_but_not_the_address(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, "anna", "192.0.2.1", START));
    int64_t wait;
    assert_true(throttle_enter(t, STR("anna"), STR("192.0.2.1"), START + 1000, &wait));
    throttle_leave(t, STR("anna"), STR("192.0.2.1"), true, START + 1000);
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, "anna", "192.0.2.1", START + 2000));
    char login[16];
    for (int i = 0; i < 44; i++) {
        snprintf(login, sizeof login, "user%d", i);
        assert_true(fails(t, login, "192.0.2.1", START + 2000));
    }
    assert_int_equal(wait_of(t, "somebody", "192.0.2.1", START + 2000), 1);
    assert_int_equal(wait_of(t, "somebody", "192.0.2.2", START + 2000), 0);
    throttle_free(t);
}

static void test_an_hour_without_a_try_forgets(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, "anna", "192.0.2.1", START));
    assert_int_equal(wait_of(t, "anna", "192.0.2.1", START + 500), 1);
    assert_int_equal(wait_of(t, "anna", "192.0.2.1", START + 3600001), 0);
    throttle_free(t);
}

static void test_logins_are_one_whatever_their_case(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    static const char *const ways[] = {"Anna", "ANNA", "anna"};
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, ways[i], "192.0.2.1", START));
    assert_int_equal(wait_of(t, "aNNa", "192.0.2.9", START), 1);
    throttle_free(t);
}

static void test_an_ipv6_network_is_one_address(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    char login[16], address[64];
    for (int i = 0; i < 50; i++) {
        snprintf(login, sizeof login, "user%d", i);
        snprintf(address, sizeof address, "2001:db8:1:2::%x", i);
        assert_true(fails(t, login, address, START));
    }
    assert_int_equal(wait_of(t, "another", "2001:db8:1:2:ffff::1", START), 1);
    assert_int_equal(wait_of(t, "another", "2001:db8:1:3::1", START), 0);
    throttle_free(t);
}

static void test_tries_under_way_count(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    int64_t wait;
    int entered = 0;
    for (int i = 0; i < 100; i++)
        entered += throttle_enter(t, STR("anna"), STR("192.0.2.1"), START, &wait);
    assert_int_equal(entered, 8);
    for (int i = 0; i < entered; i++)
        throttle_leave(t, STR("anna"), STR("192.0.2.1"), false, START);
    assert_false(throttle_enter(t, STR("anna"), STR("192.0.2.1"), START, &wait));
    assert_int_equal(wait, 32);
    /* Many people at once, each with the right password, are let in. */
    char login[16];
    for (int i = 0; i < 60; i++) {
        snprintf(login, sizeof login, "user%d", i);
        assert_true(throttle_enter(t, str_of(login), STR("192.0.2.7"), START, &wait));
    }
    for (int i = 0; i < 60; i++) {
        snprintf(login, sizeof login, "user%d", i);
        throttle_leave(t, str_of(login), STR("192.0.2.7"), true, START);
    }
    assert_int_equal(wait_of(t, "user1", "192.0.2.7", START), 0);
    throttle_free(t);
}

static void test_a_million_strangers_take_no_more_memory_and_break_nothing(void **state)
{
    (void)state;
    struct throttle *t = throttle_new();
    char login[32], address[32];
    for (int i = 0; i < 1000000; i++) {
        snprintf(login, sizeof login, "stranger%d", i);
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        fails(t, login, address, START + i);
    }
    for (int i = 0; i < 3; i++)
        assert_true(fails(t, "anna", "192.0.2.1", START + 1000000));
    assert_int_equal(wait_of(t, "anna", "192.0.2.1", START + 1000000), 1);
    throttle_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_wait_doubles_from_one_second_to_a_quarter_of_an_hour),
        cmocka_unit_test(test_a_success_forgets_the_account_but_not_the_address),
        cmocka_unit_test(test_an_hour_without_a_try_forgets),
        cmocka_unit_test(test_logins_are_one_whatever_their_case),
        cmocka_unit_test(test_an_ipv6_network_is_one_address),
        cmocka_unit_test(test_tries_under_way_count),
        cmocka_unit_test(test_a_million_strangers_take_no_more_memory_and_break_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
