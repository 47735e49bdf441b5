/* timer.h: when an `every` is due. */
#ifndef SCRIPT_TIMER_H
#define SCRIPT_TIMER_H

#include "base/timezone.h"
#include "store/catalog.h"

/* The first instant (ms) at which a timer is due after it last ran; INT64_MAX: never. Spans with "at" and
 * cron expressions without a zone are in `zone`. */
int64_t timer_due(const struct timer *t, int64_t ran_at, const struct timezone_data *zone);

#endif
