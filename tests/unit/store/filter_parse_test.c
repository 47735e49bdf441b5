/* filter_parse_test.c: what a filter says of its mistakes: code, offset in characters, what was expected, the
 * nearest name; and every bound. */
#include "unit/world.h"

static struct world w;

static const struct filter *parse(const char *text)
{
    world_next(&w);
    return filter_parse(&w.scratch, w.set->catalog, w.thing, str_of(text), NULL, NULL, 0, NULL, &w.error);
}

static void fine(const char *text)
{
    if (!parse(text)) fail_msg("refused: %s\n%s", text, w.error.detail);
}

/* `expected` NULL: not looked at. */
static void wrong(const char *text, const char *code, long offset, const char *expected)
{
    if (parse(text)) fail_msg("accepted: %s", text);
    const struct error_entry *e = w.error.first;
    assert_int_equal(w.error.kind, ERROR_BAD_FILTER);
    assert_non_null(e);
    assert_string_equal(e->pointer, "filter");
    if (strcmp(e->code, code) != 0 || e->offset != offset ||
        (expected && (!e->expected || strcmp(e->expected, expected) != 0)))
        fail_msg("%s\n  is %s at %ld, expected \"%s\": %s", text, e->code, e->offset,
                 e->expected ? e->expected : "", e->message);
    assert_true(e->message && e->message[0]);
}

static void suggests(const char *text, const char *code, long offset, const char *suggestion)
{
    wrong(text, code, offset, NULL);
    const char *got = w.error.first->suggestion;
    if (suggestion ? !got || strcmp(got, suggestion) != 0 : got != NULL)
        fail_msg("%s: suggests %s, not %s", text, got ? got : "nothing", suggestion ? suggestion : "nothing");
}

static void test_the_whole_grammar_is_accepted(void **state)
{
    (void)state;
    static const char *const all[] = {
        "name = \"x\"",
        "name='x'",
        "name!='x'",
        "  name\t=\n'x'  ",
        "(name = 'x')",
        "((name = 'x'))",
        "not name = 'x'",
        "not not name = 'x'",
        "not (name = 'x' and count > 1)",
        "name = 'x' and count = 1 or done = true and not (day is null)",
        "count < -1",
        "count <= 1.5",
        "count >= 1e2",
        "count > - 3",
        "amount between 1 and 2",
        "amount not between 1 and 2 and count = 3",
        "day between 2026-01-01 and 2026-12-31",
        "day = 2026-11-23",
        "day = \"2026-11-23\"",
        "at = '2026-11-23T10:00:00Z'",
        "at = 2026-11-23T10:00:00.123+03:00",
        "at >= @now - 1h + 5m",
        "day < @today + 2mo - 1y",
        "at in (2026-11-23, @today, @now - 3d)",
        "state in ('open', 'won')",
        "state not in ('open')",
        "state in (null, 'won')",
        "count = null",
        "count != null",
        "count is null",
        "count is not null",
        "count < null",
        "count between null and 3",
        "name contains 'x'",
        "name starts \"x\"",
        "name ends 'x'",
        "owner = @me",
        "owner in @my.reports",
        "owner not in @my.reports",
        "direction in @my.directions",
        "groups in @my.groups",
        "partner = @my.company",
        "people = @me",
        "kinds = 'alpha'",
        "tags = 'red'",
        "owner.manager.manager.manager.manager.name = 'x'",
        "kind.name contains 'x'",
        "kind.lead.name = 'x'",
        "@role.boss and count = 1",
        "not @role.boss",
        "done = true",
        "done != false",
        "f_sum > 3",
        "f_text contains 'x'",
        "f_flag = true",
        "f_day = @today",
        "data is null",
        "id = '0000000000001'",
        "active = false",
        "created_by = @me",
        "version > 1",
        "name = \"a\\\\b\\\"c\\'d\\ne\\tf\\u0416\\ud83d\\ude00\"",
        "name = '\\\\ \\\" \\' \\n \\t \\u0041'",
        "name = ''",
        "day = 2026-01-31 + 1mo and at < 2026-01-31T10:00:00Z - 2h + 1d and at = 2026-01-31 - 1w",
        "day in (2026-01-31 + 1mo, @today)",
        "day = @week_start or day = @month_start or day = @quarter_start or day = @year_start"};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fine(all[i]);
}

static void test_a_mistake_is_told_at_its_place(void **state)
{
    (void)state;
    wrong("", "syntax", 0, "field");
    wrong("   ", "syntax", 3, "field");
    wrong("name", "syntax", 4, NULL);
    wrong("name = ", "syntax", 7, "value");
    wrong("name =", "syntax", 6, "value");
    wrong("name = x", "syntax", 7, "value");
    wrong("name == 'x'", "syntax", 6, "value");
    wrong("name = 'x' and", "syntax", 14, "field");
    wrong("name = 'x' and and", "syntax", 15, "field");
    wrong("or name = 'x'", "syntax", 0, "field");
    wrong("name = 'x' name = 'y'", "syntax", 11, "and or end");
    wrong("name = 'x')", "syntax", 10, "and or end");
    wrong("(name = 'x'", "syntax", 11, "and or )");
    wrong("()", "syntax", 1, "field");
    wrong("name in 'x'", "syntax", 8, "( macro");
    wrong("state in ()", "syntax", 10, "value");
    wrong("state in ('open'", "syntax", 16, ", )");
    wrong("state in ('open' 'won')", "syntax", 17, ", )");
    wrong("state in ('open',)", "syntax", 17, "value");
    wrong("count between 1", "syntax", 15, "and");
    wrong("count between 1 or 2", "syntax", 16, "and");
    wrong("count not 3", "syntax", 10, "in between");
    wrong("count is 3", "syntax", 9, "null not");
    wrong("count is not 3", "syntax", 13, "null");
    wrong("name contains 3", "syntax", 14, "string");
    wrong("name contains null", "syntax", 14, "string");
    wrong("name # 'x'", "syntax", 5, "= != < <= > >= contains starts ends in is between not");
    wrong("name = #", "syntax", 7, "value");
    wrong("name ~ 'x'", "syntax", 5, NULL);
    wrong("name = 'x'; drop", "syntax", 10, "and or end");
    wrong("name = 'x' -- and", "syntax", 11, "and or end");
    wrong("day = @today + 3", "syntax", 15, "duration");
    wrong("day = @today + 3x", "syntax", 15, "duration");
    wrong("day = @today + d", "syntax", 15, "duration");
    wrong("day = 2026-01-31 + 3", "syntax", 19, "duration");
    wrong("day = @today + 10001y", "syntax", 15, "duration");
    wrong("day = @today + 9999y + 9999y", "syntax", 23, "duration");
    wrong("day = @today + 99999999999999999999999d", "syntax", 15, "duration");
    wrong("owner. = @me", "syntax", 7, "field");
    wrong(".owner = @me", "syntax", 0, "field");
    wrong("'x' = name", "syntax", 0, "field");
}

static void test_offsets_count_characters_not_bytes(void **state)
{
    (void)state;
    wrong("name = 'ёжик' and nope = 1", "unknown_field", 18, "field");
    wrong("name = '\xF0\x9F\x98\x80' and nope = 1", "unknown_field", 15, "field");
    wrong("name = 'ё' ё", "syntax", 11, "and or end");
}

static void test_a_bad_string_is_told_where_it_is_bad(void **state)
{
    (void)state;
    wrong("name = 'abc", "syntax", 7, "value");
    wrong("name = 'abc\\", "syntax", 7, NULL);
    wrong("name = 'ab\\qc'", "syntax", 10, NULL);
    wrong("name = 'ё\\u12'", "syntax", 9, NULL);
    wrong("name = '\\u0000'", "syntax", 8, NULL);
    wrong("name = '\\ud83d'", "syntax", 8, NULL);
    wrong("name = '\\ude00'", "syntax", 8, NULL);
    wrong("name = \"abc'", "syntax", 7, NULL);
    wrong("name = '\\x41'", "syntax", 8, NULL);
}

static void test_an_unknown_field_names_the_nearest(void **state)
{
    (void)state;
    suggests("nmae = 'x'", "unknown_field", 0, "name");
    suggests("count = 1 and amonut > 3", "unknown_field", 14, "amount");
    suggests("owner.nmae = 'x'", "unknown_field", 6, "name");
    suggests("zzzzzzzzzz = 1", "unknown_field", 0, NULL);
    suggests("number = 'x'", "unknown_field", 0, NULL); /* things have no numbers: the field is hidden */
    suggests("Name = 'x'", "unknown_field", 0, "name");
    suggests("day = @tody", "unknown_macro", 6, "today");
    suggests("owner in @my.report", "unknown_macro", 9, NULL);
    suggests("state = 'opne'", "bad_value", 8, "open");
    suggests("tags in ('grene')", "bad_value", 9, "green");
}

static void test_a_value_must_fit_its_field(void **state)
{
    (void)state;
    wrong("count = 'x'", "type_mismatch", 8, "number");
    wrong("name = 3", "type_mismatch", 7, "string");
    wrong("done = 1", "type_mismatch", 7, "true false");
    wrong("done = 'true'", "type_mismatch", 7, "true false");
    wrong("count = true", "type_mismatch", 8, NULL);
    wrong("count = 2026-11-23", "type_mismatch", 8, NULL);
    wrong("day = 3", "type_mismatch", 6, NULL);
    wrong("day = 2026-02-30", "bad_value", 6, "date");
    wrong("day = 2026-13-01", "bad_value", 6, "date");
    wrong("day = '2026-1-5'", "bad_value", 6, "date");
    wrong("at = '2026-11-23T25:00:00Z'", "bad_value", 5, "date");
    wrong("at = 2026-11-23T10:00", "bad_value", 5, "date");
    wrong("owner = 'nobody'", "bad_value", 8, NULL);
    wrong("owner = @my.company", "type_mismatch", 8, NULL);
    wrong("partner = @me", "type_mismatch", 10, NULL);
    wrong("count = @me", "type_mismatch", 8, NULL);
    wrong("owner = @my.reports", "type_mismatch", 8, "in");
    wrong("owner in @me", "type_mismatch", 9, NULL);
    wrong("owner in @my.directions", "type_mismatch", 9, NULL);
    wrong("direction in @my.reports", "type_mismatch", 13, NULL);
    wrong("done < true", "type_mismatch", 5, NULL);
    wrong("owner > @me", "type_mismatch", 6, NULL);
    wrong("tags >= 'red'", "type_mismatch", 5, NULL);
    wrong("count contains 'x'", "type_mismatch", 6, NULL);
    wrong("data = 'x'", "not_filterable", 5, NULL);
    wrong("name.x = 3", "not_a_reference", 4, NULL);
    wrong("people.name = 'x'", "not_a_reference", 6, NULL);
    wrong("count = 99999999999999999999999", "bad_value", 8, "number");
    wrong("count = $1", "unknown_param", 8, NULL);
}

static char *repeated(const char *before, const char *middle, const char *after, size_t n)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        buf_cstr(&b, before);
    buf_cstr(&b, middle);
    for (size_t i = 0; i < n; i++)
        buf_cstr(&b, after);
    char *text = arena_dup(&w.arena, buf_view(&b));
    buf_free(&b);
    assert_non_null(text);
    return text;
}

static void test_depth_terms_and_length_are_bounded(void **state)
{
    (void)state;
    fine(repeated("(", "count = 1", ")", FILTER_DEPTH_MAX - 1));
    wrong(repeated("(", "count = 1", ")", FILTER_DEPTH_MAX), "too_deep", FILTER_DEPTH_MAX, NULL);
    fine(repeated("not ", "count = 1", "", FILTER_DEPTH_MAX - 1));
    wrong(repeated("not ", "count = 1", "", FILTER_DEPTH_MAX), "too_deep", 4 * FILTER_DEPTH_MAX, NULL);
    wrong(repeated("(", "", "", 100000), "too_long", 0, NULL);
    wrong(repeated("(", "", "", 8000), "too_deep", FILTER_DEPTH_MAX, NULL);
    fine(repeated("", "count = 1", " or count = 2", FILTER_TERMS_MAX - 1));
    wrong(repeated("", "count = 1", " or count = 2", FILTER_TERMS_MAX), "too_many_terms",
          9 + 13 * (FILTER_TERMS_MAX - 1) + 4, NULL);
    fine(repeated("", "count in (1", ",1", FILTER_TERMS_MAX - 2) ? "count in (1)" : "");
    wrong(repeated("", "count in (1", ",1", FILTER_TERMS_MAX), "too_many_terms",
          10 + 2 * (FILTER_TERMS_MAX - 1), NULL);
    wrong("owner.manager.manager.manager.manager.manager.name = 'x'", "too_deep", 46, NULL);
    char *text = repeated("", "name = '", "ж", FILTER_LENGTH_MAX - 9);
    text = arena_printf(&w.arena, "%s'", text);
    fine(text);
    wrong(repeated("", "name = '", "ж", FILTER_LENGTH_MAX - 7), "too_long", 0, NULL);
}

/* Whatever is within the bounds can be asked. */
static void test_the_largest_filters_run(void **state)
{
    (void)state;
    char *filters[] = {
        repeated("", "count = 1", " and count != 2", FILTER_TERMS_MAX - 1),
        repeated("not (", "count = 1", ")", (FILTER_DEPTH_MAX - 1) / 2),
        repeated("(count = 1 or (count = 2 and ", "count = 3", "))", (FILTER_DEPTH_MAX - 1) / 2),
        repeated("((", "count = 3", " or count = 2) and f_deep > 1)", (FILTER_DEPTH_MAX - 1) / 2),
        repeated("not (count = 1 or ", "f_deep = 3", ")", (FILTER_DEPTH_MAX - 1) / 2),
        repeated("", "owner.manager.manager.manager.manager.name = 'x'",
                 " or owner.manager.manager.manager.kind.name = 'x'", 120),
    };
    for (size_t i = 0; i < sizeof filters / sizeof *filters; i++) {
        world_next(&w);
        struct buf out;
        buf_init(&out, 1 << 22);
        struct query q = {.entity = w.thing, .filter = str_of(filters[i])};
        if (!query_list(&w.context, &q, &out)) fail_msg("%.200s …: %s", filters[i], w.error.detail);
        buf_free(&out);
    }
}

static void test_text_that_is_no_utf8_is_refused(void **state)
{
    (void)state;
    wrong("name = '\xC3'", "syntax", 0, NULL);
    wrong("name = '\xED\xA0\x80'", "syntax", 0, NULL);
}

static void test_messages_come_in_two_languages(void **state)
{
    (void)state;
    world_next(&w);
    w.error.lang = LANG_RU;
    assert_null(
        filter_parse(&w.scratch, w.set->catalog, w.thing, STR("nmae = 1"), NULL, NULL, 0, NULL, &w.error));
    assert_string_equal(w.error.first->message, "у «х» нет поля «nmae»");
}

static void test_parameters_stand_for_values(void **state)
{
    (void)state;
    struct value params[] = {value_text(STR("open")), value_number(15, 1), value_null(),
                             value_of(VALUE_ID, w.users[0]), value_of(VALUE_BOOL, 1)};
    world_next(&w);
    const char *text = "state = $1 and count > $2 and amount = $3 and owner = $4 and done = $5 and name "
                       "contains $1 and state in ($1, $3)";
    assert_non_null(
        filter_parse(&w.scratch, w.set->catalog, w.thing, str_of(text), NULL, params, 5, NULL, &w.error));
    world_next(&w);
    assert_null(filter_parse(&w.scratch, w.set->catalog, w.thing, STR("count = $1"), NULL, params, 5, NULL,
                             &w.error));
    assert_string_equal(w.error.first->code, "type_mismatch");
    world_next(&w);
    assert_null(filter_parse(&w.scratch, w.set->catalog, w.thing, STR("count = $6"), NULL, params, 5, NULL,
                             &w.error));
    assert_string_equal(w.error.first->code, "unknown_param");
}

static bool hide_amount(void *ctx, const struct entity *e, const struct field *f)
{
    (void)ctx, (void)e;
    return strcmp(f->name, "amount") != 0;
}

static void test_a_hidden_field_is_an_unknown_one_and_is_not_suggested(void **state)
{
    (void)state;
    struct filter_scope scope = {.see_field = hide_amount};
    static const char *const filters[] = {"amount > 1", "parent.amount > 1", "amuont > 1"};
    for (size_t i = 0; i < 3; i++) {
        world_next(&w);
        assert_null(filter_parse(&w.scratch, w.set->catalog, w.thing, str_of(filters[i]), NULL, NULL, 0,
                                 &scope, &w.error));
        assert_string_equal(w.error.first->code, "unknown_field");
        assert_true(!w.error.first->suggestion || strcmp(w.error.first->suggestion, "amount") != 0);
        assert_null(strstr(w.error.detail, "forbidden"));
    }
}

static void formula(const char *text, enum field_type type, const char *code, long offset)
{
    world_next(&w);
    const struct filter *f =
        filter_parse_formula(&w.scratch, w.set->catalog, w.thing, str_of(text), type, 2, &w.error);
    if (!code) {
        if (!f) fail_msg("refused: %s\n%s", text, w.error.detail);
        return;
    }
    if (f) fail_msg("accepted: %s", text);
    if (strcmp(w.error.first->code, code) != 0 || w.error.first->offset != offset)
        fail_msg("%s\n  is %s at %ld: %s", text, w.error.first->code, w.error.first->offset,
                 w.error.first->message);
}

static void test_formulas_take_values_of_every_kind(void **state)
{
    (void)state;
    formula("amount * share / 100 - 1.5 + (count - -2)", FIELD_MONEY, NULL, 0);
    formula("days(@today, day) + days(at, @now - 3d) + days(2026-01-01, created_at)", FIELD_INTEGER, NULL, 0);
    formula("if(done = true, null, round(amount, 0))", FIELD_MONEY, NULL, 0);
    formula("if(owner in @my.reports and state = 'won', true, false)", FIELD_BOOLEAN, NULL, 0);
    formula("coalesce(kind.name, 'none')", FIELD_TEXT, NULL, 0);
    formula("coalesce(day, @today + 1mo)", FIELD_DATE, NULL, 0);
    formula("days(2026-01-31 + 1mo, day)", FIELD_INTEGER, NULL, 0);
    formula("null", FIELD_MONEY, NULL, 0);
    formula("amount +", FIELD_MONEY, "syntax", 8);
    formula("amount + 'x'", FIELD_MONEY, "type_mismatch", 9);
    formula("name", FIELD_MONEY, "type_mismatch", 0);
    formula("rnd(amount, 2)", FIELD_MONEY, "unknown_function", 0);
    formula("round(amount, 7)", FIELD_MONEY, "bad_value", 14);
    formula("round(amount)", FIELD_MONEY, "syntax", 12);
    formula("days(amount, day)", FIELD_INTEGER, "type_mismatch", 0);
    formula("if(done, 1, 2)", FIELD_INTEGER, "syntax", 7);
    formula("coalesce(amount, name)", FIELD_MONEY, "type_mismatch", 0);
    formula("amonut + 1", FIELD_MONEY, "unknown_field", 0);
    formula("tags", FIELD_TEXT, "not_usable", 0);
    formula("@me", FIELD_TEXT, "not_usable", 0);
    formula("amount 3", FIELD_MONEY, "syntax", 7);
    formula(repeated("round(", "amount", ", 1)", 40), FIELD_MONEY, "too_deep", 0);
    formula(repeated("", "amount", " + amount * 2 - count / 3", 60), FIELD_MONEY, NULL, 0);
}

static int open_world(void **state)
{
    (void)state;
    world_open(&w, 10);
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
        cmocka_unit_test(test_the_whole_grammar_is_accepted),
        cmocka_unit_test(test_a_mistake_is_told_at_its_place),
        cmocka_unit_test(test_offsets_count_characters_not_bytes),
        cmocka_unit_test(test_a_bad_string_is_told_where_it_is_bad),
        cmocka_unit_test(test_an_unknown_field_names_the_nearest),
        cmocka_unit_test(test_a_value_must_fit_its_field),
        cmocka_unit_test(test_depth_terms_and_length_are_bounded),
        cmocka_unit_test(test_the_largest_filters_run),
        cmocka_unit_test(test_text_that_is_no_utf8_is_refused),
        cmocka_unit_test(test_messages_come_in_two_languages),
        cmocka_unit_test(test_parameters_stand_for_values),
        cmocka_unit_test(test_a_hidden_field_is_an_unknown_one_and_is_not_suggested),
        cmocka_unit_test(test_formulas_take_values_of_every_kind),
    };
    return cmocka_run_group_tests_name("filter parse", tests, open_world, close_world);
}
