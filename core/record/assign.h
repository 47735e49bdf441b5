/* assign.h: whom work goes to: one of the active, present users who fit, by turns or by load. */
#ifndef RECORD_ASSIGN_H
#define RECORD_ASSIGN_H

#include "record/record.h"

struct assign_rule { /* empty texts ask for nothing */
    struct str role, group /* name or id */, direction;
    bool round_robin; /* by turns; else the one with the fewest open records */
};

/* *user is 0 when nobody fits. `of` and `field` say what load is counted, `open` (a filter, may be empty)
 * which of it. Turns are remembered in the database, in the caller's transaction. */
bool assign_pick(struct context *c, const struct assign_rule *rule, const struct entity *of,
                 const struct field *field, struct str open, int64_t *user);

/* Whoever stands in for an absent user (deputies of deputies too); the user themselves when nobody does. */
bool assign_deputy(struct context *c, int64_t *user);

/* The instant `days` working days after `at`, at the same local time of day: weekends and the records of
 * entity "holiday" do not count. */
bool workday_add(struct context *c, int64_t at, int64_t days, int64_t *out);

#endif
