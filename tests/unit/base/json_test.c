/* json_test.c: writing JSON, reading it, and both together. */
#include "base/json.h"
#include "base/json_parse.h"
#include "base/text.h"

#include "unit/unit.h"

#include <stdio.h>

static struct arena arena;
static struct error error;

static struct json_value *parse(struct str text)
{
    arena_reset(&arena);
    error_init(&error, &arena, LANG_EN);
    return json_parse(&arena, text, &error);
}

static void test_commas_stand_where_they_must(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 4096);
    json_object(&b);
    json_key(&b, STR("a")), json_array(&b), json_end_array(&b);
    json_key(&b, STR("b")), json_array(&b), json_int(&b, 1), json_null(&b), json_bool(&b, true),
        json_str(&b, STR(",")), json_array(&b), json_end_array(&b), json_object(&b), json_end_object(&b),
        json_end_array(&b);
    json_key(&b, STR("c")), json_object(&b), json_key_any(&b, STR("x\"y:")), json_str(&b, STR("{[:")),
        json_key(&b, STR("z")), json_raw(&b, STR("[]")), json_end_object(&b);
    json_key(&b, STR("d")), json_id(&b, 0), json_key(&b, STR("e")), json_decimal(&b, -1250, 2),
        json_key(&b, STR("f")), json_date(&b, 0), json_key(&b, STR("g")), json_datetime(&b, -1);
    json_key(&b, STR("h")), json_cstr(&b, NULL);
    json_end_object(&b);
    buf_char(&b, '\0');
    assert_string_equal(b.p, "{\"a\":[],\"b\":[1,null,true,\",\",[],{}],\"c\":{\"x\\\"y:\":\"{[:\",\"z\":[]},"
                             "\"d\":null,\"e\":-12.5,\"f\":\"1970-01-01\","
                             "\"g\":\"1969-12-31T23:59:59.999Z\",\"h\":null}");
    buf_free(&b);
}

static void test_strings_survive_writing_and_reading(void **state)
{
    (void)state;
    for (uint32_t c = 1; c <= 0x10FFFF; c += c < 0x3000 ? 1 : 97) {
        if (c >= 0xD800 && c <= 0xDFFF) continue;
        struct buf text, json;
        buf_init(&text, 64);
        buf_init(&json, 256);
        buf_cstr(&text, "a");
        text_put(&text, c);
        buf_cstr(&text, "b");
        json_str(&json, buf_view(&text));
        struct json_value *v = parse(buf_view(&json));
        if (!v || v->type != JSON_STRING || !str_eq(v->text, buf_view(&text)))
            fail_msg("U+%04X: %.*s", c, (int)json.n, json.p);
        buf_free(&text);
        buf_free(&json);
    }
}

static void test_bytes_that_are_no_utf8_become_replacements(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 256);
    json_str(&b, (struct str){"a\xFF\xC3(\0", 5});
    buf_char(&b, '\0');
    assert_string_equal(b.p, "\"a\xEF\xBF\xBD\xEF\xBF\xBD(\\u0000\"");
    buf_free(&b);
}

static void test_values_keep_their_text(void **state)
{
    (void)state;
    struct json_value *v = parse(STR(" { \"n\" : -12.50e+3 , \"s\" : \"\\u0451\\ud83d\\ude00\\n\\/\" , \"l\" "
                                     ": [ true , false , null ] } "));
    assert_non_null(v);
    assert_int_equal(v->count, 3);
    assert_true(str_is(json_member(v, STR("n"))->text, "-12.50e+3"));
    assert_true(str_is(json_member(v, STR("s"))->text, "ё\xF0\x9F\x98\x80\n/"));
    const struct json_value *l = json_member(v, STR("l"));
    assert_int_equal(l->count, 3);
    assert_int_equal(l->first->type, JSON_TRUE);
    assert_int_equal(l->first->next->next->type, JSON_NULL);
    assert_null(json_member(v, STR("x")));
    assert_null(json_member(l, STR("x")));
    assert_null(json_member(NULL, STR("x")));
}

static void refused(const char *text, const char *why)
{
    if (parse(str_of(text))) fail_msg("accepted: %s", text);
    assert_int_equal(error.kind, ERROR_BAD_REQUEST);
    if (!strstr(error.detail, why)) fail_msg("%s: %s", text, error.detail);
}

static void test_what_rfc_8259_forbids_is_refused_with_its_place(void **state)
{
    (void)state;
    refused("", "line 1, column 1");
    refused("{\"a\":1,}", "line 1, column 8");
    refused("[1,]", "column 4");
    refused("[1 2]", "column 4");
    refused("{\"a\" 1}", "column 6");
    refused("{a:1}", "column 2");
    refused("{'a':1}", "column 2");
    refused("[01]", "not a number");
    refused("[1.]", "not a number");
    refused("[.5]", "column 2");
    refused("[+1]", "column 2");
    refused("[-]", "not a number");
    refused("[1e]", "not a number");
    refused("[NaN]", "column 2");
    refused("[tru]", "a value expected");
    refused("nul", "a value expected");
    refused("1 2", "column 3");
    refused("{} x", "something follows");
    refused("\"abc", "does not end");
    refused("\"\\x\"", "unknown escape");
    refused("\"\\u12g4\"", "hexadecimal");
    refused("\"\\u0000\"", "not allowed");
    refused("\"\\ud83d\"", "surrogate");
    refused("\"\\ud83d\\u0041\"", "surrogate");
    refused("\"\\ude00\"", "surrogate");
    refused("\"a\nb\"", "control character");
    refused("{\"a\":1,\"a\":2}", "the same name twice");
    refused("{\"a\":1,\"\\u0061\":2}", "the same name twice");
    refused("{\n  \"ё\": 1,\n  \"я\": x\n}", "line 3, column 8");
    refused("\xEF\xBB\xBF{}", "column 1");
    refused("\"\xFF\"", "UTF-8");
    refused("[", "ends too early");
    refused("{\"a\":", "ends too early");
    assert_null(parse((struct str){"1\0", 2}));
    assert_null(parse((struct str){"\"a\0\"", 4}));
}

static void test_depth_and_names_are_bounded(void **state)
{
    (void)state;
    struct buf b;
    for (int depth = JSON_DEPTH - 1; depth <= JSON_DEPTH + 1; depth++) {
        buf_init(&b, 1 << 16);
        for (int i = 0; i < depth; i++)
            buf_char(&b, '[');
        for (int i = 0; i < depth; i++)
            buf_char(&b, ']');
        assert_int_equal(parse(buf_view(&b)) != NULL, depth <= JSON_DEPTH);
        buf_free(&b);
    }
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 500000; i++)
        buf_char(&b, '[');
    assert_null(parse(buf_view(&b)));
    buf_free(&b);
    buf_init(&b, 1 << 20);
    buf_char(&b, '{');
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, "%s\"n%d\":1", i ? "," : "", i);
    buf_char(&b, '}');
    assert_null(parse(buf_view(&b)));
    assert_non_null(strstr(error.detail, "1000"));
    buf_free(&b);
}

static void test_memory_that_runs_out_is_an_error_not_a_crash(void **state)
{
    (void)state;
    struct arena small;
    struct buf b;
    buf_init(&b, 1 << 20);
    json_array(&b);
    for (int i = 0; i < 10000; i++)
        json_str(&b, STR("a\\b\"c"));
    json_end_array(&b);
    for (size_t limit = 64; limit < 200000; limit += 4097) {
        struct error e;
        arena_init(&small, limit);
        error_init(&e, &small, LANG_EN);
        assert_null(json_parse(&small, buf_view(&b), &e));
        assert_int_equal(e.kind, ERROR_INTERNAL);
        assert_non_null(e.detail);
        arena_free(&small);
    }
    buf_free(&b);
}

static void test_the_number_of_values_can_be_bounded(void **state)
{
    (void)state;
    const struct str text = STR("{\"a\":[1,2,3],\"b\":{}}"); /* the root is not counted: five values */
    for (size_t most = 0; most < 8; most++) {
        arena_reset(&arena);
        error_init(&error, &arena, LANG_EN);
        const struct json_value *v = json_parse_bounded(&arena, text, most, &error);
        assert_int_equal(v != NULL, most >= 5);
        assert_int_equal(error.kind, most >= 5 ? ERROR_NONE : ERROR_PAYLOAD_TOO_LARGE);
    }
}

static void test_pointers_escape_as_rfc_6901_says(void **state)
{
    (void)state;
    arena_reset(&arena);
    assert_string_equal(json_pointer(&arena, STR("amount")), "/amount");
    assert_string_equal(json_pointer(&arena, STR("a/b~c")), "/a~1b~0c");
    assert_string_equal(json_pointer(&arena, STR("~1")), "/~01");
    assert_string_equal(json_pointer(&arena, STR("")), "/");
    struct arena none;
    arena_init(&none, 0);
    assert_null(json_pointer(&none, STR("x")));
    arena_free(&none);
}

static int open_arena(void **state)
{
    (void)state;
    arena_init(&arena, 16 << 20);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commas_stand_where_they_must),
        cmocka_unit_test(test_strings_survive_writing_and_reading),
        cmocka_unit_test(test_bytes_that_are_no_utf8_become_replacements),
        cmocka_unit_test(test_values_keep_their_text),
        cmocka_unit_test(test_what_rfc_8259_forbids_is_refused_with_its_place),
        cmocka_unit_test(test_depth_and_names_are_bounded),
        cmocka_unit_test(test_memory_that_runs_out_is_an_error_not_a_crash),
        cmocka_unit_test(test_the_number_of_values_can_be_bounded),
        cmocka_unit_test(test_pointers_escape_as_rfc_6901_says),
    };
    return cmocka_run_group_tests_name("json", tests, open_arena, close_arena);
}
