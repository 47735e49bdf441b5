/* calendar.c: see calendar.h. */
#include "base/calendar.h"

#include <stdio.h>

int64_t calendar_days(struct civil c)
{
    int64_t y = c.year - (c.month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (c.month + (c.month > 2 ? -3 : 9)) + 2) / 5 + c.day - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

struct civil calendar_civil(int64_t days)
{
    int64_t z = days + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    return (struct civil){yoe + era * 400 + (month <= 2), month, (int)(doy - (153 * mp + 2) / 5 + 1)};
}

int calendar_weekday(int64_t days)
{
    int64_t w = (days + 3) % 7; /* 1970-01-01 was a Thursday */
    return (int)(w < 0 ? w + 7 : w);
}

static int month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Takes exactly `n` digits off the front. */
static bool digits(struct str *s, size_t n, int *out)
{
    if (s->n < n) return false;
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9') return false;
        *out = *out * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    return true;
}

static bool literal(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) return false;
    s->p++;
    s->n--;
    return true;
}

static bool take_date(struct str *s, int64_t *days)
{
    int y, m, d;
    if (!digits(s, 4, &y) || !literal(s, '-') || !digits(s, 2, &m) || !literal(s, '-') || !digits(s, 2, &d))
        return false;
    if (y < 1 || m < 1 || m > 12 || d < 1 || d > month_days(y, m)) return false;
    *days = calendar_days((struct civil){y, m, d});
    return true;
}

bool calendar_parse_date(struct str s, int64_t *days)
{
    return take_date(&s, days) && s.n == 0;
}

static bool take_fraction(struct str *s, int64_t *ms)
{
    *ms = 0;
    if (!literal(s, '.')) return true;
    int weight = 100, n = 0;
    for (; s->n && s->p[0] >= '0' && s->p[0] <= '9'; s->p++, s->n--, n++, weight /= 10)
        *ms += (s->p[0] - '0') * weight;
    return n > 0;
}

static bool take_offset(struct str *s, int *minutes)
{
    *minutes = 0;
    if (literal(s, 'Z') || literal(s, 'z')) return true;
    bool west = s->n && s->p[0] == '-';
    if (!west && !(s->n && s->p[0] == '+')) return false;
    s->p++, s->n--;
    int h, m;
    if (!digits(s, 2, &h) || !literal(s, ':') || !digits(s, 2, &m) || h > 23 || m > 59) return false;
    *minutes = (west ? -1 : 1) * (h * 60 + m);
    return true;
}

bool calendar_parse_datetime(struct str s, int64_t *ms)
{
    int64_t days, fraction = 0;
    int h, m, sec = 0, offset;
    if (!take_date(&s, &days) || (!literal(&s, 'T') && !literal(&s, 't') && !literal(&s, ' '))) return false;
    if (!digits(&s, 2, &h) || !literal(&s, ':') || !digits(&s, 2, &m)) return false;
    if (literal(&s, ':') && (!digits(&s, 2, &sec) || !take_fraction(&s, &fraction))) return false;
    if (h > 23 || m > 59 || sec > 59 || !take_offset(&s, &offset) || s.n) return false;
    *ms = days * DAY_MS + ((int64_t)h * 3600 + ((int64_t)m - offset) * 60 + sec) * 1000 + fraction;
    return true;
}

static char *put(char *p, int n, int v)
{
    for (int i = n - 1; i >= 0; i--, v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

static char *put_date(char *p, int64_t days)
{
    struct civil c = calendar_civil(days);
    int64_t y = c.year < 0 ? 0 : c.year > 9999 ? 9999 : c.year;
    p = put(p, 4, (int)y);
    *p++ = '-';
    p = put(p, 2, c.month);
    *p++ = '-';
    return put(p, 2, c.day);
}

void calendar_format_date(int64_t days, char out[16])
{
    *put_date(out, days) = '\0';
}

void calendar_format_datetime(int64_t ms, char out[32])
{
    int64_t days = ms / DAY_MS, rest = ms % DAY_MS;
    if (rest < 0) rest += DAY_MS, days--;
    char *p = put_date(out, days);
    *p++ = 'T';
    p = put(p, 2, (int)(rest / 3600000));
    *p++ = ':';
    p = put(p, 2, (int)(rest / 60000 % 60));
    *p++ = ':';
    p = put(p, 2, (int)(rest / 1000 % 60));
    *p++ = '.';
    p = put(p, 3, (int)(rest % 1000));
    *p++ = 'Z';
    *p = '\0';
}

int64_t calendar_add_months(int64_t days, int64_t months)
{
    struct civil c = calendar_civil(days);
    int64_t total = c.year * 12 + (c.month - 1) + months;
    int64_t year = total >= 0 ? total / 12 : (total - 11) / 12;
    int month = (int)(total - year * 12) + 1;
    int last = month_days(year, month);
    return calendar_days((struct civil){year, month, c.day < last ? c.day : last});
}

int64_t calendar_start(int64_t days, char unit)
{
    struct civil c = calendar_civil(days);
    switch (unit) {
    case 'w': return days - calendar_weekday(days);
    case 'm': return calendar_days((struct civil){c.year, c.month, 1});
    case 'q': return calendar_days((struct civil){c.year, (c.month - 1) / 3 * 3 + 1, 1});
    case 'y': return calendar_days((struct civil){c.year, 1, 1});
    default: return days;
    }
}
