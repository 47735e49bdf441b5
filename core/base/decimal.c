/* decimal.c: see decimal.h. Intermediate results are 128 bits wide, so that only the final result can
 * overflow. */
#include "base/decimal.h"

#define DIGITS_MAX 38

__extension__ typedef __int128 wide;

static const int64_t powers[19] = {1,
                                   10,
                                   100,
                                   1000,
                                   10000,
                                   100000,
                                   1000000,
                                   10000000,
                                   100000000,
                                   1000000000,
                                   INT64_C(10000000000),
                                   INT64_C(100000000000),
                                   INT64_C(1000000000000),
                                   INT64_C(10000000000000),
                                   INT64_C(100000000000000),
                                   INT64_C(1000000000000000),
                                   INT64_C(10000000000000000),
                                   INT64_C(100000000000000000),
                                   INT64_C(1000000000000000000)};

static bool narrow(wide v, int64_t *out)
{
    if (v > INT64_MAX || v < -(wide)INT64_MAX) return false; /* INT64_MIN is left out: it has no negative */
    *out = (int64_t)v;
    return true;
}

/* Half away from zero. */
static wide divide(wide a, wide b)
{
    wide q = a / b, r = a % b;
    if (r < 0) r = -r;
    wide half = b < 0 ? -b : b;
    if (r >= half - r) q += (a < 0) == (b < 0) ? 1 : -1;
    return q;
}

static wide scale_wide(wide v, int from, int to)
{
    if (to >= from) return v * powers[to - from];
    return divide(v, powers[from - to]);
}

/* The number as digits with an exponent of ten, trailing zeros taken off. */
struct digits {
    bool negative;
    char digit[DIGITS_MAX];
    int count;
    long exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool take_exponent(struct str s, size_t *i, long *exponent)
{
    if (*i >= s.n || (s.p[*i] != 'e' && s.p[*i] != 'E')) return true;
    ++*i;
    bool negative = *i < s.n && s.p[*i] == '-';
    if (*i < s.n && (s.p[*i] == '-' || s.p[*i] == '+')) ++*i;
    if (*i >= s.n || !is_digit(s.p[*i])) return false;
    long e = 0;
    for (; *i < s.n && is_digit(s.p[*i]); ++*i)
        if (e < 100000) e = e * 10 + (s.p[*i] - '0');
    *exponent += negative ? -e : e;
    return true;
}

/* DECIMAL_TOO_PRECISE / _OVERFLOW when there are more significant digits than any value of ours has. */
static enum decimal_result read_digits(struct str s, struct digits *d)
{
    *d = (struct digits){0};
    size_t i = 0;
    if (i < s.n && s.p[i] == '-') d->negative = true, i++;
    if (i >= s.n || !is_digit(s.p[i])) return DECIMAL_SYNTAX;
    long lost = 0; /* digits past the room: only zeros may be */
    bool dropped = false, fraction = false;
    for (; i < s.n; i++) {
        if (s.p[i] == '.' && !fraction) {
            fraction = true;
            if (i + 1 >= s.n || !is_digit(s.p[i + 1])) return DECIMAL_SYNTAX;
            continue;
        }
        if (!is_digit(s.p[i])) break;
        if (fraction) d->exponent--;
        if (d->count == 0 && s.p[i] == '0') continue;
        if (d->count < DIGITS_MAX)
            d->digit[d->count++] = s.p[i];
        else
            lost++, dropped = dropped || s.p[i] != '0';
    }
    d->exponent += lost;
    if (!take_exponent(s, &i, &d->exponent) || i != s.n) return DECIMAL_SYNTAX;
    if (dropped) return d->exponent < 0 ? DECIMAL_TOO_PRECISE : DECIMAL_OVERFLOW;
    while (d->count && d->digit[d->count - 1] == '0')
        d->count--, d->exponent++;
    return DECIMAL_OK;
}

static enum decimal_result to_scale(const struct digits *d, int scale, int64_t *out)
{
    *out = 0;
    if (d->count == 0) return DECIMAL_OK;
    long shift = d->exponent + scale; /* zeros to append */
    if (shift < 0) return DECIMAL_TOO_PRECISE;
    if (d->count + shift > 19) return DECIMAL_OVERFLOW;
    wide v = 0;
    for (int i = 0; i < d->count; i++)
        v = v * 10 + (d->digit[i] - '0');
    for (; shift > 0; shift--)
        v *= 10;
    return narrow(d->negative ? -v : v, out) ? DECIMAL_OK : DECIMAL_OVERFLOW;
}

enum decimal_result decimal_parse(struct str s, int scale, int64_t *scaled)
{
    struct digits d;
    enum decimal_result r = read_digits(s, &d);
    return r == DECIMAL_OK ? to_scale(&d, scale, scaled) : r;
}

enum decimal_result decimal_parse_any(struct str s, int64_t *scaled, int *scale)
{
    struct digits d;
    enum decimal_result r = read_digits(s, &d);
    if (r != DECIMAL_OK) return r;
    *scale = d.count == 0 || d.exponent >= 0   ? 0
             : d.exponent < -DECIMAL_SCALE_MAX ? DECIMAL_SCALE_MAX
                                               : (int)-d.exponent;
    return to_scale(&d, *scale, scaled);
}

size_t decimal_format(int64_t scaled, int scale, char out[24])
{
    uint64_t u = scaled < 0 ? 0 - (uint64_t)scaled : (uint64_t)scaled;
    while (scale > 0 && u % 10 == 0)
        u /= 10, scale--;
    char reversed[24];
    size_t n = 0;
    int digits = 0;
    do {
        if (scale > 0 && digits == scale) reversed[n++] = '.';
        reversed[n++] = (char)('0' + u % 10);
        u /= 10;
        digits++;
    } while (u || digits <= scale);
    if (scaled < 0) reversed[n++] = '-';
    for (size_t i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    out[n] = '\0';
    return n;
}

bool decimal_rescale(int64_t v, int from, int to, int64_t *out)
{
    return narrow(scale_wide(v, from, to), out);
}

bool decimal_add(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out)
{
    int s = sa > sb ? sa : sb;
    return narrow(scale_wide(scale_wide(a, sa, s) + scale_wide(b, sb, s), s, sr), out);
}

bool decimal_sub(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out)
{
    int s = sa > sb ? sa : sb;
    return narrow(scale_wide(scale_wide(a, sa, s) - scale_wide(b, sb, s), s, sr), out);
}

/* a × b fits 126 bits; widening the scale further is asked of small results only. */
bool decimal_mul(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out)
{
    wide product = (wide)a * b;
    if (sr <= sa + sb) return narrow(divide(product, powers[sa + sb - sr]), out);
    int64_t v;
    return narrow(product, &v) && narrow((wide)v * powers[sr - sa - sb], out);
}

bool decimal_div(int64_t a, int sa, int64_t b, int sb, int sr, int64_t *out)
{
    if (b == 0) return false;
    int shift = sr + sb - sa; /* a·10^shift / b */
    if (shift > 18) return false;
    if (shift >= 0) return narrow(divide((wide)a * powers[shift], b), out);
    return narrow(divide(a, (wide)b * powers[-shift]), out);
}

int decimal_compare(int64_t a, int sa, int64_t b, int sb)
{
    int s = sa > sb ? sa : sb;
    wide x = scale_wide(a, sa, s), y = scale_wide(b, sb, s);
    return (x > y) - (x < y);
}
