/* decimal_test.c: exact decimals, against a naive calculation with 128 bits. */
#include "base/decimal.h"

#include "unit/unit.h"

#include <stdio.h>

__extension__ typedef __int128 wide;

static void reads(const char *text, int scale, enum decimal_result result, int64_t value)
{
    int64_t got = 0;
    enum decimal_result r = decimal_parse(str_of(text), scale, &got);
    if (r != result || (r == DECIMAL_OK && got != value))
        fail_msg("%s at %d: %d %lld", text, scale, r, (long long)got);
}

static void test_numbers_are_read_exactly(void **state)
{
    (void)state;
    reads("0", 2, DECIMAL_OK, 0);
    reads("-0", 2, DECIMAL_OK, 0);
    reads("12.5", 2, DECIMAL_OK, 1250);
    reads("-12.50", 2, DECIMAL_OK, -1250);
    reads("0.01", 2, DECIMAL_OK, 1);
    reads("0.001", 2, DECIMAL_TOO_PRECISE, 0);
    reads("0.0010", 3, DECIMAL_OK, 1);
    reads("1.005", 2, DECIMAL_TOO_PRECISE, 0);
    reads("1e2", 2, DECIMAL_OK, 10000);
    reads("1E+2", 0, DECIMAL_OK, 100);
    reads("125e-1", 2, DECIMAL_OK, 1250);
    reads("1e-3", 2, DECIMAL_TOO_PRECISE, 0);
    reads("0e999999999", 2, DECIMAL_OK, 0);
    reads("1e999999999", 2, DECIMAL_OVERFLOW, 0);
    reads("1e-999999999", 2, DECIMAL_TOO_PRECISE, 0);
    reads("92233720368547758.07", 2, DECIMAL_OK, INT64_MAX);
    reads("92233720368547758.08", 2, DECIMAL_OVERFLOW, 0);
    reads("-92233720368547758.07", 2, DECIMAL_OK, -INT64_MAX);
    reads("-92233720368547758.08", 2, DECIMAL_OVERFLOW, 0); /* it would have no negative */
    reads("90071992547409.93", 2, DECIMAL_OK, 9007199254740993);
    reads("100000000000000000000000000000000000000000000000000000", 0, DECIMAL_OVERFLOW, 0);
    reads("1.00000000000000000000000000000000000000000000000000000", 2, DECIMAL_OK, 100);
    reads("1.00000000000000000000000000000000000000000000000000001", 2, DECIMAL_TOO_PRECISE, 0);
    reads("0000000000000000000000000000000000000000000000000000005", 0, DECIMAL_OK, 5);
}

static void test_what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",     "-",  "+1", ".5",  "5.",       "1.2.3", "1e",  "1e+", "e5",
                                      "0x10", "1 ", " 1", "NaN", "Infinity", "1,5",   "--1", "1-",  "١"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        reads(bad[i], 2, DECIMAL_SYNTAX, 0);
}

static void test_the_smallest_scale_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
        int scale;
    } all[] = {{"12.50", 125, 1}, {"12", 12, 0},    {"1200", 1200, 0}, {"0.000000001", 1, 9},
               {"0", 0, 0},       {"1e3", 1000, 0}, {"-0.25", -25, 2}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int64_t v;
        int scale;
        assert_int_equal(decimal_parse_any(str_of(all[i].text), &v, &scale), DECIMAL_OK);
        assert_int_equal(v, all[i].value);
        assert_int_equal(scale, all[i].scale);
    }
    int64_t v;
    int scale;
    assert_int_equal(decimal_parse_any(STR("0.0000000001"), &v, &scale), DECIMAL_TOO_PRECISE);
}

static void writes(int64_t v, int scale, const char *wanted)
{
    char out[24];
    assert_int_equal(decimal_format(v, scale, out), strlen(wanted));
    assert_string_equal(out, wanted);
}

static void test_the_shortest_form_is_written(void **state)
{
    (void)state;
    writes(0, 2, "0");
    writes(1250, 2, "12.5");
    writes(1200, 2, "12");
    writes(-1, 2, "-0.01");
    writes(5, 9, "0.000000005");
    writes(INT64_MAX, 0, "9223372036854775807");
    writes(INT64_MIN, 0, "-9223372036854775808");
    writes(INT64_MIN, 9, "-9223372036.854775808");
    writes(-INT64_MAX, 2, "-92233720368547758.07");
}

static void test_what_is_written_is_read_back(void **state)
{
    (void)state;
    uint64_t r = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        r ^= r << 13, r ^= r >> 7, r ^= r << 17;
        int64_t v = (int64_t)(r >> (r % 60)) * (r & 1 ? 1 : -1), back;
        int scale = (int)(r >> 8) % 10;
        if (scale < 0) scale = -scale;
        if (v == INT64_MIN) continue;
        char text[24];
        size_t n = decimal_format(v, scale, text);
        assert_int_equal(decimal_parse((struct str){text, n}, scale, &back), DECIMAL_OK);
        assert_int_equal(back, v);
    }
}

static wide power(int n)
{
    wide p = 1;
    while (n-- > 0)
        p *= 10;
    return p;
}

/* a / b, half away from zero. */
static wide rounded(wide a, wide b)
{
    bool negative = (a < 0) != (b < 0);
    wide x = a < 0 ? -a : a, y = b < 0 ? -b : b, q = x / y;
    if ((x % y) * 2 >= y) q++;
    return negative ? -q : q;
}

static void must_be(const char *op, bool ok, int64_t got, bool exists, wide wanted)
{
    bool fits = exists && wanted <= INT64_MAX && wanted >= -(wide)INT64_MAX;
    if (ok != fits || (ok && (wide)got != wanted))
        fail_msg("%s: %d %lld, wanted %s%lld", op, ok, (long long)got, fits ? "" : "none of ",
                 (long long)wanted);
}

static void test_arithmetic_is_exact_or_refused(void **state)
{
    (void)state;
    uint64_t r = 2463534242u;
    for (int i = 0; i < 200000; i++) {
        int64_t v[2], out = 0;
        bool ok;
        int s[3];
        for (int k = 0; k < 2; k++) {
            r ^= r << 13, r ^= r >> 7, r ^= r << 17;
            v[k] = (int64_t)(r >> (1 + r % 62)) * ((r >> 20) & 1 ? 1 : -1);
        }
        for (int k = 0; k < 3; k++) {
            r ^= r << 13, r ^= r >> 7, r ^= r << 17;
            s[k] = (int)(r % 7);
        }
        int common = s[0] > s[1] ? s[0] : s[1];
        wide a = (wide)v[0] * power(common - s[0]), b = (wide)v[1] * power(common - s[1]);
        wide plus = s[2] >= common ? (a + b) * power(s[2] - common) : rounded(a + b, power(common - s[2]));
        wide minus = s[2] >= common ? (a - b) * power(s[2] - common) : rounded(a - b, power(common - s[2]));
        ok = decimal_add(v[0], s[0], v[1], s[1], s[2], &out);
        must_be("add", ok, out, true, plus);
        ok = decimal_sub(v[0], s[0], v[1], s[1], s[2], &out);
        must_be("sub", ok, out, true, minus);
        wide product = (wide)v[0] * v[1];
        int more = s[2] - s[0] - s[1];
        bool huge =
            more > 0 && (product > INT64_MAX || product < -(wide)INT64_MAX); /* then it does not fit anyway */
        wide times =
            more > 0 ? (huge ? (wide)INT64_MAX * 2 : product * power(more)) : rounded(product, power(-more));
        ok = decimal_mul(v[0], s[0], v[1], s[1], s[2], &out);
        must_be("mul", ok, out, true, times);
        int shift = s[2] + s[1] - s[0];
        wide quotient = v[1] == 0    ? 0
                        : shift >= 0 ? rounded((wide)v[0] * power(shift), v[1])
                                     : rounded(v[0], (wide)v[1] * power(-shift));
        ok = decimal_div(v[0], s[0], v[1], s[1], s[2], &out);
        must_be("div", ok, out, v[1] != 0, quotient);
        assert_int_equal(decimal_compare(v[0], s[0], v[1], s[1]), (a > b) - (a < b));
        wide scaled = s[2] >= s[0] ? (wide)v[0] * power(s[2] - s[0]) : rounded(v[0], power(s[0] - s[2]));
        ok = decimal_rescale(v[0], s[0], s[2], &out);
        must_be("rescale", ok, out, true, scaled);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_read_exactly),
        cmocka_unit_test(test_what_is_no_number_is_refused),
        cmocka_unit_test(test_the_smallest_scale_is_found),
        cmocka_unit_test(test_the_shortest_form_is_written),
        cmocka_unit_test(test_what_is_written_is_read_back),
        cmocka_unit_test(test_arithmetic_is_exact_or_refused),
    };
    return cmocka_run_group_tests_name("decimal", tests, NULL, NULL);
}
