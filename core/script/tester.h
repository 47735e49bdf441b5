/* tester.h: *_test.lua against a CRM in memory (scripting.md §5).
 *
 *   tests run in a Lua state of their own (scripts/testing.lua); what they do goes through core/record into
 * the CRM's database, whose hooks run in the CRM's Lua state under their limits, as in the server. The clock
 * stands still unless a test moves it; each test runs in a transaction that is rolled back. */
#ifndef SCRIPT_TESTER_H
#define SCRIPT_TESTER_H

#include "script/script.h"

#include <stdio.h>

struct tester;

/* `set`: the scripts under test; `db`: in memory, migrated, with master data, writable. `testing`: the file
 * scripts/testing.lua. The results go to `out` as TAP. NULL with `e` filled. */
struct tester *tester_open(struct script_set *set, struct db *db, const struct timezone_data *zone,
                           const char *testing, FILE *out, struct error *e);
void tester_close(struct tester *t);

struct tester_totals {
    int passed, failed;
};

/* Runs one file; `shown` is its name in messages. false: it could not be run at all. */
bool tester_run(struct tester *t, const char *path, const char *shown, struct tester_totals *totals,
                struct error *e);

/* Says on `out` which hooks ran and which rules were asked. */
void tester_coverage(struct tester *t);

#endif
