/* address_test.c: addresses, ranges, and how far X-Forwarded-For is believed. */
#include "http/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static struct address parsed(const char *text)
{
    struct address a;
    if (!address_parse(str_of(text), false, &a)) fail_msg("\"%s\" is an address", text);
    return a;
}

static void test_ranges_hold_what_they_should(void **state)
{
    (void)state;
    static const struct {
        const char *address, *range;
        bool in;
    } rows[] = {
        {"10.1.2.3", "10.0.0.0/8", true},
        {"11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.3", true},
        {"10.1.2.4", "10.1.2.3", false},
        {"192.168.129.1", "192.168.128.0/17", true},
        {"192.168.127.1", "192.168.128.0/17", false},
        {"1.2.3.4", "0.0.0.0/0", true},
        {"::1", "0.0.0.0/0", false},
        {"fd00::5", "fd00::/8", true},
        {"fe00::5", "fd00::/8", false},
        {"::ffff:10.1.2.3", "10.0.0.0/8", true},
        {"::1", "::/0", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct address a = parsed(rows[i].address), r = parsed(rows[i].range);
        if (address_in(&a, &r) != rows[i].in) fail_msg("%s in %s", rows[i].address, rows[i].range);
    }
}

static void test_what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",          "a",          "1.2.3",
        "1.2.3.4.5", "1.2.3.256",  "1.2.3.4/33",
        "1.2.3.4/",  "1.2.3.4/-1", "::/129",
        ":::",       "1.2.3.4:80", "[::1]:80",
        "[::1",      "1.2.3.4/8x", "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"};
    struct address a;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (address_parse(str_of(bad[i]), false, &a)) fail_msg("\"%s\" is no address", bad[i]);
    assert_true(address_parse(STR("1.2.3.4:80"), true, &a));
    assert_true(address_parse(STR("[::1]:80"), true, &a));
    assert_true(address_parse(STR("::1"), true, &a));
}

static void expect_client(const char *peer, const char *forwarded, const char *client)
{
    const struct address trusted[] = {parsed("10.0.0.0/8"), parsed("::1")};
    const struct http_field fields[] = {{STR("X-Forwarded-For"), str_of(forwarded)},
                                        {STR("X-Forwarded-Proto"), STR("https")}};
    struct http_exchange x = {.fields = fields, .fields_n = 2};
    struct address a = parsed(peer);
    address_client(&x, &a, trusted, 2);
    assert_string_equal(x.remote, client);
    assert_int_equal(x.secure, address_in(&a, &trusted[0]) || address_in(&a, &trusted[1]));
}

static void test_forwarded_addresses_are_believed_as_far_as_proxies_are_trusted(void **state)
{
    (void)state;
    expect_client("1.1.1.1", "9.9.9.9", "1.1.1.1");
    expect_client("10.0.0.1", "9.9.9.9", "9.9.9.9");
    expect_client("10.0.0.1", "8.8.8.8, 9.9.9.9",
                  "9.9.9.9"); /* the client may have written the first one itself */
    expect_client("10.0.0.1", "8.8.8.8, 9.9.9.9 , 10.0.0.2", "9.9.9.9");
    expect_client("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3");
    expect_client("10.0.0.1", "nonsense", "10.0.0.1");
    expect_client("10.0.0.1", "9.9.9.9, nonsense, 10.0.0.2", "10.0.0.2");
    expect_client("::1", "[2001:db8::1]:1234", "2001:db8::1");
    expect_client("10.0.0.1", "", "10.0.0.1");
    expect_client("10.0.0.1", ",,", "10.0.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges_hold_what_they_should),
        cmocka_unit_test(test_what_is_no_address_is_refused),
        cmocka_unit_test(test_forwarded_addresses_are_believed_as_far_as_proxies_are_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
