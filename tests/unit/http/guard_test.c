/* guard_test.c: addresses that nobody may be talked into reaching. */
#include "http/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool allowed(const char *text, const char *open)
{
    struct address a, range;
    assert_true(address_parse(str_of(text), false, &a));
    if (open) assert_true(address_parse(str_of(open), false, &range));
    return guard_allows(&a, &range, open ? 1 : 0);
}

static void test_inner_addresses_are_refused_in_every_form(void **state)
{
    (void)state;
    static const char *const inner[] = {"127.0.0.1",
                                        "127.8.8.8",
                                        "0.0.0.0",
                                        "10.1.2.3",
                                        "172.16.0.1",
                                        "172.31.255.255",
                                        "192.168.0.1",
                                        "169.254.169.254",
                                        "100.64.0.1",
                                        "224.0.0.1",
                                        "255.255.255.255",
                                        "::1",
                                        "::",
                                        "fe80::1",
                                        "fd00::1",
                                        "ff02::1",
                                        "::ffff:10.0.0.1",
                                        "64:ff9b::7f00:1",
                                        "2002:7f00:1::",
                                        "2001:db8::1"};
    for (size_t i = 0; i < sizeof inner / sizeof *inner; i++)
        assert_false(allowed(inner[i], NULL));
}

static void test_the_world_is_allowed(void **state)
{
    (void)state;
    static const char *const outer[] = {"8.8.8.8",     "172.32.0.1",      "192.169.0.1",
                                        "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"};
    for (size_t i = 0; i < sizeof outer / sizeof *outer; i++)
        assert_true(allowed(outer[i], NULL));
}

static void test_a_range_may_be_opened_and_opens_nothing_else(void **state)
{
    (void)state;
    assert_true(allowed("127.0.0.1", "127.0.0.1/32"));
    assert_true(allowed("10.20.0.7", "10.20.0.0/16"));
    assert_false(allowed("10.21.0.7", "10.20.0.0/16"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inner_addresses_are_refused_in_every_form),
        cmocka_unit_test(test_the_world_is_allowed),
        cmocka_unit_test(test_a_range_may_be_opened_and_opens_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
