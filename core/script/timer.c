/* timer.c: see timer.h. */
#include "script/timer.h"

#include "base/calendar.h"
#include "base/cron.h"

int64_t timer_due(const struct timer *t, int64_t ran_at, const struct timezone_data *zone)
{
    struct cron cron;
    size_t at;
    if (t->cron) return cron_parse(str_of(t->cron), &cron, &at) ? cron_next(&cron, ran_at, zone) : INT64_MAX;
    if (t->at_minutes < 0) return ran_at + t->period_ms;
    int64_t every = t->period_ms / DAY_MS > 0 ? t->period_ms / DAY_MS : 1, day = timezone_day(zone, ran_at);
    int64_t offset = (int64_t)t->at_minutes * 60000;
    int64_t due = timezone_day_start(zone, day) + offset;
    return due > ran_at ? due : timezone_day_start(zone, day + every) + offset;
}
