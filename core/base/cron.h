/* cron.h: when a timer is due: cron expressions (minute hour day-of-month month day-of-week, as in POSIX
 * crontab(5), with lists, ranges, steps, and names of months and days) in a time zone.
 *
 * A local time that a change of the clock skips runs at the first instant after the gap; one that comes twice
 * runs once. */
#ifndef BASE_CRON_H
#define BASE_CRON_H

#include "base/timezone.h"

struct cron {
    uint64_t minutes;                 /* bits 0 … 59 */
    uint32_t hours;                   /* 0 … 23 */
    uint32_t days;                    /* 1 … 31 */
    uint16_t months;                  /* 1 … 12 */
    uint8_t weekdays;                 /* 0 Sunday … 6 */
    bool any_day, any_weekday;        /* "*": when both days are restricted, either is enough */
    const struct timezone_data *zone; /* NULL: whoever asks says */
};

/* "30 6 * * 1-5", "0 9 1 jan,jul *", "0,30 * * * * Europe/Moscow". False when it is none; *at is then the
 * offset of the part that is wrong. */
bool cron_parse(struct str text, struct cron *out, size_t *at);

/* The first instant (ms) after `after` at which it is due, in its own zone or else in `zone`; INT64_MAX: not
 * in the next eight years ("0 0 30 2 *"). */
int64_t cron_next(const struct cron *c, int64_t after, const struct timezone_data *zone);

#endif
