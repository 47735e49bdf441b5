/* tester_internal.h: what the files of the tester share. */
#ifndef SCRIPT_TESTER_INTERNAL_H
#define SCRIPT_TESTER_INTERNAL_H

#include "script/state.h"
#include "script/tester.h"
#include "store/outbox.h"

struct tester {
    struct script_set *set, *own;
    struct script_state *crm;   /* runs hooks */
    struct script_state *state; /* runs tests */
    struct db *db;
    const struct timezone_data *zone;
    struct arena arena; /* of one test */
    struct error error;
    struct context context;
    struct principal *system, *user; /* user: who acts; NULL: the system */
    FILE *out;
    char *buffer;
    struct str text; /* of the file that is compiled next */
    const char *shown;
    struct tester_totals totals;
    lua_Integer serial;
    bool *rules;        /* asked, by number */
    size_t *first_rule; /* number of a role's first rule */
};

struct tester *tester_of(lua_State *L);
/* tester_jobs.c: adds its primitives to the table on top. */
void tester_jobs_open(lua_State *L);

#endif
