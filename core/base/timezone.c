/* timezone.c: see timezone.h. Reads the 64-bit block of a TZif file (RFC 8536) and its closing TZ string
 * (POSIX, with the extensions of RFC 8536 §3.3.1), from which years past the table follow. */
#include "base/timezone.h"

#include "base/calendar.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_MAX 65536
#define NAME_MAX_BYTES 64
#define ZONES_MAX 1024

struct rule { /* "M3.2.0/2" */
    int month, week, weekday;
    int seconds; /* local time of the change */
};

struct timezone_data {
    char name[NAME_MAX_BYTES];
    size_t count;
    int64_t *at;      /* seconds */
    int32_t *offsets; /* in force from at[i] */
    int32_t first;    /* before at[0] */
    bool has_tail, has_dst;
    int32_t standard, dst;
    struct rule start, end;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timezone_data *zones[ZONES_MAX];
static size_t zone_count;

static uint64_t big(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

struct counts {
    size_t isut, isstd, leap, time, type, chars;
};

static struct counts read_counts(const unsigned char *p)
{
    return (struct counts){big(p + 20, 4), big(p + 24, 4), big(p + 28, 4),
                           big(p + 32, 4), big(p + 36, 4), big(p + 40, 4)};
}

static int number(const char **s)
{
    int sign = 1, v = 0;
    if (**s == '+' || **s == '-') sign = *(*s)++ == '-' ? -1 : 1;
    while (**s >= '0' && **s <= '9' && v < 100000)
        v = v * 10 + (*(*s)++ - '0');
    return sign * v;
}

/* [+-]hh[:mm[:ss]] */
static int clock_time(const char **s)
{
    bool negative = **s == '-';
    int v = number(s) * 3600;
    for (int unit = 60; unit >= 1 && **s == ':'; unit /= 60) {
        ++*s;
        int part = number(s) * unit;
        v += negative ? -part : part;
    }
    return v;
}

static void skip_name(const char **s)
{
    if (**s == '<') {
        while (**s && **s != '>')
            ++*s;
        if (**s) ++*s;
        return;
    }
    while ((**s >= 'A' && **s <= 'Z') || (**s >= 'a' && **s <= 'z'))
        ++*s;
}

static bool tail_rule(const char **s, struct rule *r)
{
    if (**s != ',' || (*s)[1] != 'M') return false; /* Julian forms are not used by the database */
    *s += 2;
    r->month = number(s);
    if (*(*s)++ != '.') return false;
    r->week = number(s);
    if (*(*s)++ != '.') return false;
    r->weekday = number(s);
    r->seconds = 7200;
    if (**s == '/') {
        ++*s;
        r->seconds = clock_time(s);
    }
    return r->month >= 1 && r->month <= 12 && r->week >= 1 && r->week <= 5 && r->weekday >= 0 &&
           r->weekday <= 6;
}

static void parse_tail(struct timezone_data *z, const char *s)
{
    skip_name(&s);
    if (!*s) return;
    z->standard = -clock_time(&s);
    z->has_tail = true;
    if (!*s) return;
    skip_name(&s);
    z->dst = *s && *s != ',' ? -clock_time(&s) : z->standard + 3600;
    z->has_dst = tail_rule(&s, &z->start) && tail_rule(&s, &z->end);
}

static bool parse_block(struct timezone_data *z, const unsigned char *p, size_t n)
{
    struct counts v1 = read_counts(p);
    size_t skip = 44 + v1.time * 5 + v1.type * 6 + v1.chars + v1.leap * 8 + v1.isstd + v1.isut;
    if (p[4] < '2' || skip + 44 > n || memcmp(p + skip, "TZif", 4) != 0) return false;
    p += skip;
    n -= skip;
    struct counts c = read_counts(p);
    size_t size = 44 + c.time * 9 + c.type * 6 + c.chars + c.leap * 12 + c.isstd + c.isut;
    if (size > n || c.type == 0) return false;
    const unsigned char *times = p + 44, *indices = times + c.time * 8, *types = indices + c.time;
    z->at = calloc(c.time + 1, sizeof *z->at);
    z->offsets = calloc(c.time + 1, sizeof *z->offsets);
    if (!z->at || !z->offsets) return false;
    z->count = c.time;
    z->first = (int32_t)big(types, 4);
    for (size_t i = 0; i < c.time; i++) {
        if (indices[i] >= c.type) return false;
        z->at[i] = (int64_t)big(times + i * 8, 8);
        z->offsets[i] = (int32_t)big(types + indices[i] * 6, 4);
    }
    char tail[128] = "";
    const char *from = (const char *)p + size;
    if (n > size + 1 && *from == '\n') {
        struct str rest = {from + 1, n - size - 1};
        struct str line = str_cut(&rest, '\n');
        if (line.n < sizeof tail) memcpy(tail, line.p, line.n);
    }
    parse_tail(z, tail);
    return true;
}

static void free_zone(struct timezone_data *z)
{
    if (!z) return;
    free(z->at);
    free(z->offsets);
    free(z);
}

static struct timezone_data *load(struct str name)
{
    char path[128];
    int n = snprintf(path, sizeof path, "/usr/share/zoneinfo/%.*s", STR_ARG(name));
    if (n < 0 || (size_t)n >= sizeof path) return NULL;
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    unsigned char *bytes = malloc(FILE_MAX);
    size_t size = bytes ? fread(bytes, 1, FILE_MAX, f) : 0;
    fclose(f);
    struct timezone_data *z = calloc(1, sizeof *z);
    bool ok = z && size >= 44 && memcmp(bytes, "TZif", 4) == 0 && parse_block(z, bytes, size);
    free(bytes);
    if (!ok) {
        free_zone(z);
        return NULL;
    }
    memcpy(z->name, name.p, name.n);
    return z;
}

static bool sane_name(struct str name)
{
    if (name.n == 0 || name.n >= NAME_MAX_BYTES || name.p[0] == '/') return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("/_+-", c ? c : '?')) return false;
    }
    return true;
}

const struct timezone_data *timezone_find(struct str name)
{
    if (!sane_name(name)) return NULL;
    pthread_mutex_lock(&lock);
    struct timezone_data *z = NULL;
    for (size_t i = 0; i < zone_count && !z; i++)
        if (str_is(name, zones[i]->name)) z = zones[i];
    if (!z && zone_count < ZONES_MAX) {
        z = load(name);
        if (z) zones[zone_count++] = z;
    }
    pthread_mutex_unlock(&lock);
    return z;
}

const char *timezone_name(const struct timezone_data *z)
{
    return z->name;
}

/* Local seconds since 1970 at which a rule changes the clock in a year. */
static int64_t change(const struct rule *r, int64_t year)
{
    int64_t first = calendar_days((struct civil){year, r->month, 1});
    int wanted = (r->weekday + 6) % 7; /* 0 Monday */
    int64_t day = first + (wanted - calendar_weekday(first) + 7) % 7 + (r->week - 1) * 7;
    int64_t next = calendar_days(r->month == 12 ? (struct civil){year + 1, 1, 1}
                                                : (struct civil){year, r->month + 1, 1});
    while (day >= next)
        day -= 7;
    return day * 86400 + r->seconds;
}

static int tail_offset(const struct timezone_data *z, int64_t s)
{
    if (!z->has_dst) return z->standard;
    int64_t local = s + z->standard;
    int64_t year = calendar_civil(local >= 0 ? local / 86400 : (local - 86399) / 86400).year;
    int64_t start = change(&z->start, year) - z->standard, end = change(&z->end, year) - z->dst;
    bool summer = start < end ? s >= start && s < end : s >= start || s < end;
    return summer ? z->dst : z->standard;
}

int timezone_offset(const struct timezone_data *z, int64_t ms)
{
    if (!z) return 0;
    int64_t s = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
    if (z->count == 0 || s < z->at[0]) return z->count == 0 && z->has_tail ? tail_offset(z, s) : z->first;
    if (s >= z->at[z->count - 1] && z->has_tail) return tail_offset(z, s);
    size_t low = 0, high = z->count; /* at[low] <= s < at[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (z->at[middle] <= s)
            low = middle;
        else
            high = middle;
    }
    return z->offsets[low];
}

int64_t timezone_day(const struct timezone_data *z, int64_t ms)
{
    int64_t local = ms + timezone_offset(z, ms) * INT64_C(1000);
    return local >= 0 ? local / DAY_MS : (local - DAY_MS + 1) / DAY_MS;
}

int64_t timezone_instant(const struct timezone_data *z, int64_t local)
{
    /* Offsets change hardly ever twice in two days: those before and after are the only candidates. */
    int64_t before = timezone_offset(z, local - DAY_MS) * INT64_C(1000),
            after = timezone_offset(z, local + DAY_MS) * INT64_C(1000);
    if (timezone_offset(z, local - before) * INT64_C(1000) == before) return local - before;
    if (timezone_offset(z, local - after) * INT64_C(1000) == after) return local - after;
    return local - before;
}

/* The first instant at which the day has come: of two midnights the earlier one; where there is none, the
 * change. */
static bool begins(const struct timezone_data *z, int64_t ms, int64_t days)
{
    return timezone_day(z, ms) == days && timezone_day(z, ms - 1) < days;
}

int64_t timezone_day_start(const struct timezone_data *z, int64_t days)
{
    int64_t midnight = days * DAY_MS;
    int64_t before = midnight - timezone_offset(z, midnight - DAY_MS) * INT64_C(1000),
            after = midnight - timezone_offset(z, midnight + DAY_MS) * INT64_C(1000);
    return !begins(z, before, days) && begins(z, after, days) ? after : before;
}
