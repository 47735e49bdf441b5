/* cron.c: see cron.h. Fields are bit sets; the next instant is found day by day, then by the first hour and
 * minute. */
#include "base/cron.h"

#include "base/calendar.h"

#define MINUTE_MS INT64_C(60000)
#define DAYS_AHEAD (8 * 366)

static const char *const month_names[] = {"jan", "feb", "mar", "apr", "may", "jun",
                                          "jul", "aug", "sep", "oct", "nov", "dec"};
static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

struct field {
    int least, most;
    const char *const *names; /* of least, least + 1, …; NULL */
};

static bool read_number(struct str *s, const struct field *f, int *out)
{
    for (int i = 0; f->names && i <= f->most - f->least && i < 12; i++) {
        if (f->least == 0 && i > 6) break; /* 7 is Sunday too, and has no name */
        if (s->n < 3 || !str_eq_nocase((struct str){s->p, 3}, str_of(f->names[i]))) continue;
        *out = f->least + i;
        s->p += 3;
        s->n -= 3;
        return true;
    }
    size_t digits = 0;
    *out = 0;
    while (digits < s->n && digits < 3 && s->p[digits] >= '0' && s->p[digits] <= '9')
        *out = *out * 10 + (s->p[digits++] - '0');
    s->p += digits;
    s->n -= digits;
    return digits > 0 && digits < 3 && *out >= f->least && *out <= f->most;
}

static bool take(struct str *s, char c)
{
    if (s->n == 0 || s->p[0] != c) return false;
    s->p++;
    s->n--;
    return true;
}

/* One member of a list: "*", "5", "1-5", either with "/step". */
static bool read_part(struct str part, const struct field *f, uint64_t *bits)
{
    int from = f->least, to = f->most, step = 1;
    bool all = take(&part, '*');
    if (!all) {
        if (!read_number(&part, f, &from)) return false;
        to = from;
        if (take(&part, '-') && (!read_number(&part, f, &to) || to < from)) return false;
    }
    if (take(&part, '/')) {
        if (!read_number(&part, &(struct field){1, f->most ? f->most : 1, NULL}, &step)) return false;
        if (!all && to == from) to = f->most;
    }
    for (int i = from; i <= to; i += step)
        *bits |= UINT64_C(1) << i;
    return part.n == 0;
}

static bool read_field(struct str text, const struct field *f, uint64_t *bits)
{
    *bits = 0;
    if (text.n == 0) return false;
    while (text.p) {
        struct str part = str_cut(&text, ',');
        if (!read_part(part, f, bits)) return false;
    }
    return true;
}

static struct str next_word(struct str *rest)
{
    *rest = str_trim(*rest);
    size_t n = 0;
    while (n < rest->n && rest->p[n] != ' ' && rest->p[n] != '\t')
        n++;
    struct str word = {rest->p, n};
    rest->p += n;
    rest->n -= n;
    return word;
}

bool cron_parse(struct str text, struct cron *out, size_t *at)
{
    static const struct field fields[5] = {
        {0, 59, NULL}, {0, 23, NULL}, {1, 31, NULL}, {1, 12, month_names}, {0, 7, day_names}};
    struct str rest = text;
    uint64_t bits[5];
    *out = (struct cron){0};
    *at = 0;
    for (int i = 0; i < 5; i++) {
        struct str word = next_word(&rest);
        if (!read_field(word, &fields[i], &bits[i])) {
            *at = (size_t)((word.p ? word.p : text.p) - text.p);
            return false;
        }
        if (i == 2) out->any_day = word.p[0] == '*';
        if (i == 4) out->any_weekday = word.p[0] == '*';
    }
    out->minutes = bits[0];
    out->hours = (uint32_t)bits[1];
    out->days = (uint32_t)bits[2];
    out->months = (uint16_t)bits[3];
    out->weekdays = (uint8_t)((bits[4] | bits[4] >> 7) & 0x7f);
    struct str zone = next_word(&rest);
    *at = zone.n ? (size_t)(zone.p - text.p) : 0;
    if (zone.n && !(out->zone = timezone_find(zone))) return false;
    return str_trim(rest).n == 0;
}

static bool day_fits(const struct cron *c, int64_t day)
{
    struct civil civil = calendar_civil(day);
    int weekday = (calendar_weekday(day) + 1) % 7; /* Monday 0 → Sunday 0 */
    bool by_day = c->days >> civil.day & 1, by_weekday = c->weekdays >> weekday & 1;
    if (!(c->months >> civil.month & 1)) return false;
    if (!c->any_day && !c->any_weekday) return by_day || by_weekday;
    return by_day && by_weekday;
}

/* Local wall time of a day → instant. In a gap the offset before it leads behind the gap. */
static int64_t instant(const struct timezone_data *zone, int64_t day, int minute)
{
    int64_t local = day * DAY_MS + minute * MINUTE_MS;
    int64_t guess = local - timezone_offset(zone, local) * INT64_C(1000);
    int64_t before = local - timezone_offset(zone, guess - DAY_MS / 2) * INT64_C(1000);
    int64_t exact = local - timezone_offset(zone, guess) * INT64_C(1000);
    if (exact + timezone_offset(zone, exact) * INT64_C(1000) == local) {
        /* Twice on a day when the clock goes back: the first one. */
        bool earlier = before < exact && before + timezone_offset(zone, before) * INT64_C(1000) == local;
        return earlier ? before : exact;
    }
    return before;
}

int64_t cron_next(const struct cron *c, int64_t after, const struct timezone_data *zone)
{
    if (c->zone) zone = c->zone;
    int64_t day = timezone_day(zone, after);
    for (int64_t last = day + DAYS_AHEAD; day <= last; day++) {
        if (!day_fits(c, day)) continue;
        for (int hour = 0; hour < 24; hour++) {
            if (!(c->hours >> hour & 1)) continue;
            for (int minute = 0; minute < 60; minute++) {
                if (!(c->minutes >> minute & 1)) continue;
                int64_t at = instant(zone, day, hour * 60 + minute);
                if (at > after) return at;
            }
        }
    }
    return INT64_MAX;
}
