/* Memory that runs out: the n-th allocation fails, for each n (a sample where every n would take minutes),
 * while the scripts are loaded, while a database is made, and while a record is written by the whole path,
 * hooks and chains included. Each time there are words or success, never a crash, and the next attempt works.
 */
#include "unit/unit.h"

#include "base/log.h"
#include "record/record.h"
#include "script/script.h"
#include "store/schema.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

/* The sanitizers have an allocator of their own, which nobody may stand before. */
int main(void)
{
    puts("[  PASSED  ] 0 test(s), 1 skipped: the allocator belongs to the sanitizer");
    return 0;
}

#else

/* ---- the allocator ---- */

/* glibc's own, under their other names: what stands in the program itself comes before the library's. */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t n);

static _Thread_local long left; /* allocations of this thread until one fails; 0: none will */
static _Thread_local bool struck;

static bool strikes(void)
{
    if (left == 0 || --left > 0) return false;
    return struck = true;
}

void *malloc(size_t n)
{
    return strikes() ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    return strikes() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    return strikes() ? NULL : __libc_realloc(p, n);
}

/* ---- the scripts of the test ---- */

struct world {
    struct script_config config;
    struct script_set *set;
    struct script_state *script;
    struct principal *system;
    struct db *db;
    char path[64];
};

typedef bool (*step_fn)(struct world *w, struct arena *arena, struct error *e);

static bool load(struct world *w, struct arena *arena, struct error *e)
{
    (void)arena;
    struct script_set *set = script_load(&w->config, e);
    if (set) left = 0;
    script_set_unref(set);
    return set != NULL;
}

static bool follow(struct db *d, const struct catalog *c, struct arena *arena, struct error *e)
{
    struct schema_plan plan;
    if (!store_prepare(d, e) || !db_begin(d, true, e)) return false;
    bool ok = schema_plan(d, c, arena, &plan, e) && schema_apply(d, c, &plan, false, e) && db_commit(d, e);
    if (!ok) db_rollback(d);
    return ok;
}

static bool make_database(struct world *w, struct arena *arena, struct error *e)
{
    struct db *d = db_open(w->path, DB_MEMORY, e);
    bool ok = d && follow(d, w->set->catalog, arena, e);
    left = 0;
    db_close(d);
    return ok;
}

static bool write_record(struct world *w, struct arena *arena, struct error *e)
{
    struct context c;
    const struct entity *company = catalog_entity(w->set->catalog, STR("company"));
    struct str text = STR("{\"name\":\"Roga i Kopyta\",\"site\":\"https://roga.example\",\"size\":7}");
    size_t n = company->field_count;
    context_init(&c, w->set->catalog, w->db, w->system, arena, e);
    c.hooks = &script_hooks;
    c.script = w->script;
    c.trusted = c.automation = true;
    if (!db_begin(w->db, true, e)) return false;
    struct json_value *body = json_parse(arena, text, e);
    struct value *values = arena_array(arena, n, sizeof *values);
    const char **any = arena_array(arena, n, sizeof *any);
    bool *touched = arena_array(arena, n, sizeof *touched), ok = body && values && any && touched;
    struct record *made;
    if (body && !ok) error_no_memory(e);
    ok = ok && record_read_json(&c, company, body, values, any, touched) &&
         record_create(&c, company, values, any, touched, &made);
    left = 0;
    db_rollback(w->db);
    return ok;
}

/* ---- each n ---- */

/* False when the allocation was never reached. */
static bool attempt(struct world *w, step_fn step, long n, const char *what)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, LANG_EN);
    struck = false;
    left = n;
    bool ok = step(w, &arena, &e), reached = struck;
    left = 0;
    if (!ok && (e.kind == ERROR_NONE || !e.detail || !*e.detail))
        fail_msg("%s: allocation %ld fails and nobody says so", what, n);
    if (!ok && !reached) fail_msg("%s without an accident: %s", what, e.detail);
    arena_free(&arena);
    return reached;
}

/* Every n at first, later wider and wider apart. */
static void every_n(struct world *w, step_fn step, long each, const char *what)
{
    long n = 1, runs = 0;
    while (attempt(w, step, n, what)) {
        if (++runs % 50 == 0) attempt(w, step, 0, what);
        n += n < each ? 1 : n / each;
    }
    attempt(w, step, 0, what);
    print_message("%s: %ld accidents, the last at allocation %ld\n", what, runs, n);
    assert_true(runs > 20);
}

static void test_loading_the_scripts_survives_each_failing_allocation(void **state)
{
    every_n(*state, load, 30, "loading the scripts");
}

static void test_making_a_database_survives_each_failing_allocation(void **state)
{
    every_n(*state, make_database, 20, "making a database");
}

static void test_writing_a_record_survives_each_failing_allocation(void **state)
{
    every_n(*state, write_record, 400, "writing a record");
}

static int set_up(void **state)
{
    static struct world w;
    struct arena arena;
    struct error e;
    log_configure(LOG_ERROR + 1, false); /* each accident would be told */
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, LANG_EN);
    script_config_defaults(&w.config);
    w.set = script_load(&w.config, &e);
    error_clear(&e); /* warnings */
    w.script = w.set ? script_state_new(w.set, &e) : NULL;
    w.system = w.script ? principal_system(w.set->catalog, &e) : NULL;
    w.db = w.system ? db_open("", DB_MEMORY, &e) : NULL;
    bool ok = w.db && follow(w.db, w.set->catalog, &arena, &e);
    if (!ok) fprintf(stderr, "%s\n", e.detail ? e.detail : "?");
    arena_free(&arena);
    *state = &w;
    return ok ? 0 : -1;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    db_close(w->db);
    principal_unref(w->system);
    script_state_free(w->script);
    script_set_unref(w->set);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading_the_scripts_survives_each_failing_allocation),
        cmocka_unit_test(test_making_a_database_survives_each_failing_allocation),
        cmocka_unit_test(test_writing_a_record_survives_each_failing_allocation),
    };
    return cmocka_run_group_tests_name("memory", tests, set_up, tear_down);
}

#endif
