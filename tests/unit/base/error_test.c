/* error_test.c: errors in two languages, and lines of the log. */
#include "base/error.h"
#include "base/json_parse.h"
#include "base/log.h"

#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_the_first_reason_wins_in_the_language_asked_for(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    arena_init(&a, 1 << 16);
    error_init(&e, &a, LANG_RU);
    assert_false(error_set(&e, ERROR_NOT_FOUND, "no %s", "нет %s", "x"));
    assert_false(error_set(&e, ERROR_CONFLICT, "later", "позже"));
    assert_int_equal(e.kind, ERROR_NOT_FOUND);
    assert_string_equal(e.detail, "нет x");
    error_clear(&e);
    assert_int_equal(e.kind, ERROR_NONE);
    assert_int_equal(e.lang, LANG_RU);
    error_set(&e, ERROR_CONFLICT, "en", "ru");
    assert_string_equal(e.detail, "ru");
    arena_free(&a);
}

static void test_entries_are_kept_in_order_and_bounded(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    char pointer[16] = "/x";
    arena_init(&a, 1 << 20);
    error_init(&e, &a, LANG_EN);
    for (int i = 0; i < 1000; i++) {
        snprintf(pointer, sizeof pointer, "/f%d", i); /* copied: the caller's buffer is its own */
        struct error_entry *entry = error_add(&e, pointer, "required", "number %d", "номер %d", i);
        assert_non_null(entry);
        entry->offset = i;
    }
    assert_int_equal(e.kind, ERROR_NONE);
    assert_int_equal(e.count, 100);
    int n = 0;
    for (const struct error_entry *entry = e.first; entry; entry = entry->next, n++) {
        char wanted[24];
        snprintf(wanted, sizeof wanted, "/f%d", n);
        assert_string_equal(entry->pointer, wanted);
        assert_int_equal(entry->offset, n);
    }
    assert_int_equal(n, 100);
    arena_free(&a);
}

static void test_without_memory_the_kind_stays_and_there_are_words(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    arena_init(&a, 0);
    error_init(&e, &a, LANG_EN);
    struct error_entry *entry = error_add(&e, "/x", "required", "x", "х");
    assert_non_null(entry);
    assert_non_null(entry->message);
    error_set(&e, ERROR_GATE_REFUSED, "long %s", "долго %s", "x");
    assert_int_equal(e.kind, ERROR_GATE_REFUSED);
    assert_non_null(e.detail);
    arena_free(&a);
}

static void test_every_kind_has_a_status_a_code_and_titles(void **state)
{
    (void)state;
    for (int k = ERROR_BAD_REQUEST; k < ERROR_KIND_COUNT; k++) {
        enum error_kind kind = (enum error_kind)k;
        assert_true(error_kind_status(kind) >= 400 && error_kind_status(kind) < 600);
        assert_true(strlen(error_kind_code(kind)) > 0);
        assert_true(strlen(error_kind_title(kind, LANG_EN)) > 0 &&
                    strlen(error_kind_title(kind, LANG_RU)) > 0);
        for (int other = ERROR_BAD_REQUEST; other < k && kind != ERROR_BUSY; other++)
            assert_string_not_equal(error_kind_code((enum error_kind)other), error_kind_code(kind));
    }
    enum lang lang;
    assert_true(lang_parse(STR("ru"), &lang) && lang == LANG_RU && lang_parse(STR("en"), &lang) &&
                lang == LANG_EN);
    assert_false(lang_parse(STR("de"), &lang));
    assert_string_equal(lang_code(LANG_RU), "ru");
}

/* What LOG writes while `write` runs, as one text. */
static char *logged(void (*write_lines)(void))
{
    static char text[65536];
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    int saved = dup(STDERR_FILENO);
    assert_true(saved >= 0 && dup2(fileno(file), STDERR_FILENO) >= 0);
    write_lines();
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    close(saved);
    rewind(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    text[n] = '\0';
    fclose(file);
    return text;
}

static void some_lines(void)
{
    log_request(STR("r-1"));
    LOG(LOG_DEBUG, "not shown", log_i("x", 1));
    LOG(LOG_INFO, "first", log_s("text", "a\"b\nforged line"), log_i("n", -5));
    log_request(STR(""));
    LOG(LOG_ERROR, "second", log_str("bad", (struct str){"\xFF", 1}));
}

static void long_line(void)
{
    static char text[40000];
    memset(text, 'x', sizeof text - 1);
    LOG(LOG_INFO, "long", log_s("text", text));
    LOG(LOG_INFO, "after", log_i("n", 1));
}

static void test_a_line_of_the_log_is_json_and_cannot_be_forged(void **state)
{
    (void)state;
    struct arena a;
    struct error e;
    arena_init(&a, 1 << 20);
    error_init(&e, &a, LANG_EN);
    log_configure(LOG_INFO, true);
    struct str rest = str_of(logged(some_lines)), line = str_cut(&rest, '\n');
    struct json_value *v = json_parse(&a, line, &e);
    assert_non_null(v);
    assert_true(str_is(json_member(v, STR("message"))->text, "first"));
    assert_true(str_is(json_member(v, STR("level"))->text, "info"));
    assert_true(str_is(json_member(v, STR("request"))->text, "r-1"));
    assert_true(str_is(json_member(v, STR("text"))->text, "a\"b\nforged line"));
    assert_true(str_is(json_member(v, STR("n"))->text, "-5"));
    v = json_parse(&a, str_cut(&rest, '\n'), &e);
    assert_non_null(v);
    assert_null(json_member(v, STR("request")));
    assert_int_equal(rest.n, 0);
    log_configure(LOG_INFO, false);
    rest = str_of(logged(some_lines));
    line = str_cut(&rest, '\n');
    static const char wanted[] = "first  request=r-1  text=\"a\\\"b\\nforged line\"  n=-5";
    assert_non_null(memmem(line.p, line.n, wanted, sizeof wanted - 1));
    str_cut(&rest, '\n');
    assert_int_equal(rest.n, 0);
    arena_free(&a);
}

static void test_a_line_too_long_is_cut_and_ends(void **state)
{
    (void)state;
    log_configure(LOG_INFO, true);
    struct str rest = str_of(logged(long_line));
    assert_true(str_cut(&rest, '\n').n <= 16384);
    assert_non_null(memmem(rest.p, rest.n, "after", 5));
    enum log_level level;
    assert_true(log_level_parse(STR("warn"), &level) && level == LOG_WARN);
    assert_false(log_level_parse(STR("loud"), &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_reason_wins_in_the_language_asked_for),
        cmocka_unit_test(test_entries_are_kept_in_order_and_bounded),
        cmocka_unit_test(test_without_memory_the_kind_stays_and_there_are_words),
        cmocka_unit_test(test_every_kind_has_a_status_a_code_and_titles),
        cmocka_unit_test(test_a_line_of_the_log_is_json_and_cannot_be_forged),
        cmocka_unit_test(test_a_line_too_long_is_cut_and_ends),
    };
    return cmocka_run_group_tests_name("error, log", tests, NULL, NULL);
}
