/* results.h: answers to questions that count rows, kept until something that they were counted from changes.
 *
 *   SQL text + what is bound ──► rows, as of position S of the log
 *
 * A kept answer is good while no row of the log behind S is of an entity that the SQL names; so a question
 * costs what reading the log's end costs, not what counting a million rows does. Questions that ask for the
 * present moment
 * (@now) or for records that the log does not know (the server's own) are asked anew each time.
 *
 * One cache for all readers of a database; any thread. */
#ifndef RECORD_RESULTS_H
#define RECORD_RESULTS_H

#include "record/record.h"

struct result_cache;
struct result_cache *result_cache_new(size_t entries, struct error *e);
void result_cache_free(struct result_cache *k); /* NULL is allowed */

/* What a person's list is best begun with (plan.h), as far as that was found out; 0: nothing is known. */
int results_way(struct context *c, struct str list);
void results_remember_way(struct context *c, struct str list, int way);

/* Runs the SQL (`ok`: building it went well; its text is freed), or takes the kept answer. `types` has a
 * letter for each column: 'i' integers, 't' texts. `each` gets the values of a row (VALUE_NULL, VALUE_NUMBER,
 * VALUE_TEXT), which live until it returns; false stops (with c->error set). In the reader's transaction. */
bool results_each(struct context *c, struct sql *q, bool ok, const char *types,
                  bool (*each)(void *ctx, const struct value *row), void *ctx);

#endif
