/* masterdata_fuzz.c: texts as master data files, into a database that follows the shipped workflows. What is
 * refused is refused with words, for the writer of the file to mend; what is accepted is the same again the
 * second time. */
#include "base/text.h"
#include "record/masterdata.h"
#include "record/record.h"
#include "script/script.h"
#include "store/schema.h"
#include "store/store.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 20000

static struct script_set *set;
static struct script_state *script;
static struct principal *system_user;
static struct db *db;

static void require(bool condition, const char *what, const struct error *e)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n%s\n", what, e && e->detail ? e->detail : "");
    for (const struct error_entry *i = e ? e->first : NULL; i; i = i->next)
        fprintf(stderr, "%s: %s\n", i->pointer ? i->pointer : "", i->message);
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    struct arena arena;
    struct error e;
    struct script_config config;
    struct schema_plan plan;
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, LANG_EN);
    script_config_defaults(&config);
    set = script_load(&config, &e);
    require(set != NULL, "the shipped workflows load", &e);
    error_clear(&e); /* warnings */
    script = script_state_new(set, &e);
    system_user = principal_system(set->catalog, &e);
    db = db_open(":memory:", DB_MEMORY, &e);
    bool ok = db && script && system_user && store_prepare(db, &e) && db_begin(db, true, &e) &&
              schema_plan(db, set->catalog, &arena, &plan, &e) &&
              schema_apply(db, set->catalog, &plan, false, &e) && db_commit(db, &e);
    require(ok, "an empty database follows them", &e);
    arena_free(&arena);
    return 0;
}

static void sum(void *ctx, const char *collection, const struct masterdata_count *n)
{
    struct masterdata_count *all = ctx;
    (void)collection;
    all->created += n->created;
    all->updated += n->updated;
    all->unchanged += n->unchanged;
}

static bool import(struct arena *arena, struct error *e, struct str text, struct masterdata_count *all)
{
    struct context c;
    *all = (struct masterdata_count){0};
    context_init(&c, set->catalog, db, system_user, arena, e);
    c.hooks = &script_hooks;
    c.script = script;
    c.trusted = true;
    c.automation = true;
    return masterdata_import(&c, text, sum, all);
}

static void check_refusal(const struct error *e)
{
    require(e->kind == ERROR_BAD_REQUEST || e->kind == ERROR_VALIDATION_FAILED ||
                e->kind == ERROR_SCRIPT_LIMIT,
            "a refusal is the file's fault", e);
    require(e->detail && e->detail[0] && text_valid(str_of(e->detail)), "a refusal has words", e);
    for (const struct error_entry *i = e->first; i; i = i->next) {
        require(i->message && i->message[0] && text_valid(str_of(i->message)), "an entry has words", e);
        require(i->pointer && strncmp(i->pointer, "collections.", 12) == 0, "an entry has a place", e);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_MAX) return 0;
    struct arena arena;
    struct error e;
    struct masterdata_count first, second;
    struct str text = {(const char *)data, size};
    arena_init(&arena, (size_t)64 << 20);
    error_init(&e, &arena, LANG_EN);
    require(db_begin(db, true, &e), "a transaction begins", &e);
    bool ok = import(&arena, &e, text, &first);
    if (ok) {
        require(import(&arena, &e, text, &second), "what was accepted is accepted again", &e);
        require(second.created == 0 && second.updated == 0, "the second import changes nothing", &e);
        require(second.unchanged == first.created + first.updated + first.unchanged,
                "and counts the same records", &e);
    } else {
        check_refusal(&e);
    }
    db_rollback(db);
    arena_free(&arena);
    return 0;
}
