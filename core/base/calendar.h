/* calendar.h: dates as days since 1970-01-01, instants as milliseconds since then, in UTC (proleptic
 * Gregorian; algorithms of Howard Hinnant, "chrono-compatible low-level date algorithms"). */
#ifndef BASE_CALENDAR_H
#define BASE_CALENDAR_H

#include "base/str.h"

#include <stdint.h>

#define DAY_MS INT64_C(86400000)

struct civil {
    int64_t year;
    int month, day; /* 1 … 12, 1 … 31 */
};

int64_t calendar_days(struct civil c);
struct civil calendar_civil(int64_t days);
int calendar_weekday(int64_t days); /* 0 Monday … 6 Sunday */

/* "2026-11-23", years 0001 … 9999. False when it is not a real date. */
bool calendar_parse_date(struct str s, int64_t *days);

/* RFC 3339 with "Z" or an offset, seconds and fraction optional ("2026-11-23T09:30Z"); a fraction past
 * milliseconds is cut. False when it is not a real instant. */
bool calendar_parse_datetime(struct str s, int64_t *ms);

/* Write "2026-11-23" (10 bytes) and "2026-11-23T09:30:00.000Z" (24 bytes) with a NUL. */
void calendar_format_date(int64_t days, char out[16]);
void calendar_format_datetime(int64_t ms, char out[32]);

/* Months are added with the day kept or cut to the last of the month. */
int64_t calendar_add_months(int64_t days, int64_t months);

/* The first day of the day's week (Monday), month, quarter, year. `unit` is 'd', 'w', 'm', 'q' or 'y'. */
int64_t calendar_start(int64_t days, char unit);

#endif
