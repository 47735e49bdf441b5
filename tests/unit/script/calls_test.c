/* What lives as long as a call, what lives longer, and what happens to a state that was spoiled. */
#include "unit/script/fixture.h"

#define SEARCH_LINE 22 /* of script */

static const char script[] =
    "local kept, problem, sleeper, cache = nil, nil, nil, {}\n"
    "on('thing', 'before_create', function(new)\n"
    "  if new.name == 'keep' then kept = new end\n"
    "  if new.name == 'use' then new.count = #kept.name end\n"
    "  if new.name == 'compare' then new.flag = kept == new end\n"
    "  if new.name == 'write' then kept.name = 'x' end\n"
    "  if new.name == 'text' then new.name = tostring(kept) end\n"
    "  if new.name == 'pass' then crm.update(kept, { count = 1 }) end\n"
    "  if new.name == 'keep problem' then local ok, e = pcall(crm.create, 'thing', {}) problem = e new.data "
    "= { code = e.code, kind = e.kind, field = e.field } end\n"
    "  if new.name == 'use problem' then new.name = problem.message end\n"
    "  if new.name == 'raise problem' then error(problem, 0) end\n"
    "  if new.name == 'sleep' then sleeper = coroutine.create(function() while true do coroutine.yield(1) "
    "end end) coroutine.resume(sleeper)\n"
    "    local co = coroutine.wrap(function() coroutine.resume(sleeper) while true do end end) co() end\n"
    "  if new.name == 'wake' then local ok, n = coroutine.resume(sleeper) new.count = ok and n or 0 end\n"
    "  if new.name == 'hoard' then for i = #cache + 1, #cache + 1e9 do cache[i] = {} end end\n"
    "  if new.name == 'count cache' then new.count = #cache end\n"
    "  if new.name == 'nested' then local made = crm.create('thing', { name = 'inner' }) new.other = made.id "
    "new.count = made.count end\n"
    "  if new.name == 'inner' then new.count = 7 end\n"
    "  if new.name == 'nested rows' then for i = 1, 60 do crm.create('thing', { name = 'inner find' }) end "
    "end\n"
    "  if new.name == 'inner find' then crm.find('thing') end\n"
    "  if new.name == 'values' then new.price = 0.1 + 0.2 new.day = '2026-02-28' new.flag = true new.tags = "
    "{ 'b', 'a' } new.data = { a = { 1, 2 }, e = crm.json.list {} } end\n"
    "  if new.name == 'search' then while true do crm.find('thing', 'name contains \"q\" or name ends "
    "\"x\"', { sort = 'name' }) end end\n"
    "  if new.name == 'nulls' then new.count, new.price, new.data = nil, crm.null, crm.json.null end\n"
    "end)\n";

static void start(struct crm *c)
{
    crm_begin(c);
    c->config.limits[SCRIPT_HOOK] =
        (struct script_limits){.time_ms = 2000, .memory = (size_t)16 << 20, .rows = 2000, .queries = 100};
    crm_write(c, "workflows/a.lua", thing);
    crm_write(c, "workflows/b.lua", script);
    crm_start(c);
}

static void refused(struct crm *c, const char *name, const char *words)
{
    assert_false(crm_create_thing(c, name));
    assert_int_equal(c->error.kind, ERROR_SCRIPT_ERROR);
    const char *text = c->error.first ? c->error.first->message : c->error.detail;
    if (!strstr(text, words)) fail_msg("%s: \"%s\" expected, not \"%s\"", name, words, text);
}

static void test_a_record_is_dead_when_its_call_has_ended(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    assert_true(crm_create_thing(&c, "keep"));
    arena_reset(&c.arena); /* what it pointed to is gone */
    error_init(&c.error, &c.arena, LANG_EN);
    refused(&c, "use", "this record belongs to a call that has ended");
    refused(&c, "write", "this record belongs to a call that has ended");
    refused(&c, "text", "this record belongs to a call that has ended");
    refused(&c, "pass", "this record belongs to a call that has ended");
    assert_true(crm_create_thing(&c, "compare"));
    assert_int_equal(crm_count(&c, "SELECT flag FROM thing WHERE name = 'compare'"), 0);
    crm_end(&c);
}

static void test_a_caught_refusal_says_what_it_is_and_dies_with_its_call(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    assert_true(crm_create_thing(&c, "keep problem"));
    assert_int_equal(crm_count(&c,
                               "SELECT count(*) FROM thing WHERE data ->> 'code' = 'required'"
                               " AND data ->> 'kind' = 'validation_failed' AND data ->> 'field' = 'name'"),
                     1);
    arena_reset(&c.arena);
    error_init(&c.error, &c.arena, LANG_EN);
    refused(&c, "use problem", "this error belongs to a call that has ended");
    refused(&c, "raise problem", "an error object that is not a text was raised");
    crm_end(&c);
}

static void test_a_coroutine_that_slept_through_an_abort_wakes_unharmed(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    assert_false(crm_create_thing(&c, "sleep"));
    assert_int_equal(c.error.kind, ERROR_SCRIPT_LIMIT);
    assert_true(crm_create_thing(&c, "wake"));
    assert_int_equal(crm_count(&c, "SELECT count FROM thing WHERE name = 'wake'"), 1);
    crm_end(&c);
}

static void test_tables_of_a_file_that_ate_all_memory_start_anew(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    for (int i = 0; i < 3; i++) {
        assert_false(crm_create_thing(&c, "hoard"));
        assert_int_equal(c.error.kind, ERROR_SCRIPT_LIMIT);
        assert_true(c.script->memory < (size_t)8 << 20);
        assert_true(crm_create_thing(&c, "count cache"));
        assert_int_equal(crm_count(&c, "SELECT max(count) FROM thing WHERE name = 'count cache'"), 0);
    }
    crm_end(&c);
}

static void test_a_hook_inside_a_hook_shares_its_limits(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    assert_true(crm_create_thing(&c, "nested"));
    assert_int_equal(crm_count(&c,
                               "SELECT count(*) FROM thing WHERE name = 'nested' AND count = 7 AND other ="
                               " (SELECT id FROM thing WHERE name = 'inner')"),
                     1);
    assert_false(crm_create_thing(&c, "nested rows"));
    assert_int_equal(c.error.kind, ERROR_SCRIPT_LIMIT);
    assert_non_null(strstr(c.error.detail, "the limit of 100 queries for a hook"));
    assert_int_equal(crm_count(&c, "SELECT count(*) FROM thing WHERE name = 'inner find'"), 0);
    crm_end(&c);
}

static void test_values_go_through_lua_without_loss(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    assert_true(crm_create_thing(&c, "values"));
    assert_int_equal(
        crm_count(&c, "SELECT count(*) FROM thing WHERE price = 30 AND flag = 1 AND tags = '[\"a\",\"b\"]'"
                      " AND data = '{\"a\":[1,2],\"e\":[]}' OR data = '{\"e\":[],\"a\":[1,2]}'"),
        1);
    assert_true(crm_create_thing(&c, "nulls"));
    assert_int_equal(
        crm_count(&c, "SELECT count(*) FROM thing WHERE name = 'nulls' AND count IS NULL AND price IS NULL"
                      " AND data IS NULL"),
        1);
    crm_end(&c);
}

static void test_a_query_is_stopped_with_the_script_that_waits_for_it(void **state)
{
    (void)state;
    struct crm c;
    start(&c);
    c.set->config.limits[SCRIPT_HOOK].time_ms = 20;
    assert_true(
        db_exec(c.db,
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000)"
                " INSERT INTO thing (id, created_at, updated_at, name) SELECT i, 0, 0, 'Name ' || i FROM n",
                &c.error));
    uint64_t begun = clock_mono();
    assert_false(crm_create_thing(&c, "search"));
    assert_int_equal(c.error.kind, ERROR_SCRIPT_LIMIT);
    assert_non_null(strstr(c.error.detail, "the time limit of 20 ms for a hook"));
    assert_int_equal(c.error.line, SEARCH_LINE);
    assert_true(clock_mono() - begun < UINT64_C(2000000000));
    assert_int_equal(crm_count(&c, "SELECT count(*) FROM thing"), 60000);
    assert_true(crm_create_thing(&c, "good"));
    crm_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_record_is_dead_when_its_call_has_ended),
        cmocka_unit_test(test_a_caught_refusal_says_what_it_is_and_dies_with_its_call),
        cmocka_unit_test(test_a_coroutine_that_slept_through_an_abort_wakes_unharmed),
        cmocka_unit_test(test_tables_of_a_file_that_ate_all_memory_start_anew),
        cmocka_unit_test(test_a_hook_inside_a_hook_shares_its_limits),
        cmocka_unit_test(test_values_go_through_lua_without_loss),
        cmocka_unit_test(test_a_query_is_stopped_with_the_script_that_waits_for_it),
    };
    return cmocka_run_group_tests_name("script: calls", tests, NULL, NULL);
}
