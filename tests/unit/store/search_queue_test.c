/* search_queue_test.c: the search index says after every COMMIT and ROLLBACK what the records say, whatever
 * savepoints were released, rolled back and searched in between. Against a model that keeps the words itself.
 */
#include "store/search.h"
#include "unit/world.h"

#define RECORDS 6
#define DEPTH 4
#define ROUNDS 300

static struct world w;
static struct db *d;

static const char *const words[] = {NULL, "alpha", "beta", "gamma"};
#define WORDS (sizeof words / sizeof *words)

/* What each record's name is at each level; 0: there is no record. Level 0 is what is committed. */
static size_t model[DEPTH + 2][RECORDS];
static int level;

static void write_word(size_t record, size_t word)
{
    struct value before[64] = {0}, after[64] = {0};
    const struct field *name = entity_field(w.thing, STR("name"));
    size_t old = model[level][record];
    assert_true(w.thing->field_count <= 64);
    if (old) before[name->index] = value_text(str_of(words[old]));
    after[name->index] = value_text(str_of(words[word]));
    world_must(&w, search_update(d, w.thing, (int64_t)record + 1, old ? before : NULL, after, &w.error));
    model[level][record] = word;
}

static bool found(size_t record, size_t word)
{
    char query[64];
    snprintf(query, sizeof query, "{\"name\"} : \"%s\"*", words[word]);
    struct stmt *s =
        db_prepare(d, STR("SELECT 1 FROM search_thing WHERE search_thing MATCH ? AND rowid = ?"), &w.error);
    assert_non_null(s);
    stmt_bind_text(s, 1, str_of(query));
    stmt_bind_int(s, 2, (int64_t)record + 1);
    enum step step = stmt_step(s, &w.error);
    db_release(s);
    assert_int_not_equal(step, STEP_ERROR);
    return step == STEP_ROW;
}

static void compare(uint64_t seed, int round)
{
    for (size_t r = 0; r < RECORDS; r++)
        for (size_t word = 1; word < WORDS; word++)
            if (found(r, word) != (model[level][r] == word))
                fail_msg("seed %llu, round %d: record %zu and word %zu", (unsigned long long)seed, round, r,
                         word);
}

static void down(void)
{
    memcpy(model[level + 1], model[level], sizeof model[0]);
    level++;
}

static void up(bool keep)
{
    if (keep) memcpy(model[level - 1], model[level], sizeof model[0]);
    level--;
}

static void step_inside(void)
{
    switch (world_below(&w, 8)) {
    case 0:
        if (level == DEPTH) return;
        world_must(&w, db_savepoint(d, &w.error));
        down();
        return;
    case 1:
        if (level == 1) return;
        world_must(&w, db_savepoint_release(d, &w.error));
        up(true);
        return;
    case 2:
        if (level == 1) return;
        db_savepoint_rollback(d);
        up(false);
        return;
    case 3: world_must(&w, search_flush(d, &w.error)); return;
    default: write_word(world_below(&w, RECORDS), 1 + world_below(&w, WORDS - 1)); return;
    }
}

static void test_the_index_says_what_the_records_say_whatever_was_taken_back(void **state)
{
    (void)state;
    uint64_t seed = w.random;
    db_rollback(d);
    for (int round = 0; round < ROUNDS; round++) {
        world_must(&w, db_begin(d, true, &w.error));
        down();
        for (size_t n = 1 + world_below(&w, 30); n > 0; n--)
            step_inside();
        if (world_chance(&w, 3)) { /* a search in the midst of it */
            world_must(&w, search_flush(d, &w.error));
            compare(seed, round);
        }
        while (level > 1) {
            world_must(&w, db_savepoint_release(d, &w.error));
            up(true);
        }
        bool keep = !world_chance(&w, 4);
        if (keep)
            world_must(&w, db_commit(d, &w.error));
        else
            db_rollback(d);
        up(keep);
        compare(seed, round);
    }
}

static void test_outside_a_transaction_the_index_learns_at_once(void **state)
{
    (void)state;
    write_word(0, 1 + model[0][0] % (WORDS - 1));
    compare(0, 0);
}

static int open_world(void **state)
{
    (void)state;
    world_open(&w, 1);
    d = w.db;
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_index_says_what_the_records_say_whatever_was_taken_back),
        cmocka_unit_test(test_outside_a_transaction_the_index_learns_at_once),
    };
    return cmocka_run_group_tests_name("search queue", tests, open_world, close_world);
}
