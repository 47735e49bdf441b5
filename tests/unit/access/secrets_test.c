/* Sessions, tokens and passwords in the database: what is kept, when it ends, what ends it. */
#include "access/session.h"
#include "base/id.h"
#include "unit/unit.h"

#define NOW INT64_C(1795600000000)
#define HOUR INT64_C(3600000)

static const struct session_times times = {.idle_ms = 2 * HOUR, .absolute_ms = 10 * HOUR};

struct fixture {
    struct arena arena;
    struct error error;
    struct db *db;
};

static void open_memory(struct fixture *f)
{
    arena_init(&f->arena, 1 << 20);
    error_init(&f->error, &f->arena, LANG_EN);
    f->db = db_open(":memory:", DB_MEMORY, &f->error);
    assert_non_null(f->db);
    assert_true(store_prepare(f->db, &f->error));
}

static void close_memory(struct fixture *f)
{
    db_close(f->db);
    arena_free(&f->arena);
}

static int64_t number(struct fixture *f, const char *sql)
{
    struct stmt *s = db_prepare(f->db, str_of(sql), &f->error);
    assert_non_null(s);
    assert_int_equal(stmt_step(s, &f->error), STEP_ROW);
    int64_t n = stmt_int(s, 0);
    db_release(s);
    return n;
}

static int64_t session_user(struct fixture *f, const char *secret, int64_t now)
{
    struct session s;
    assert_true(session_find(f->db, str_of(secret), now, times, &s, &f->error));
    return s.user;
}

static void test_a_session_lives_until_idle_or_absolutely_over(void **state)
{
    (void)state;
    struct fixture f;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT];
    open_memory(&f);
    assert_true(session_create(f.db, 7, NOW, times, secret, csrf, &f.error));
    assert_int_equal(strlen(secret), 43);
    assert_int_equal(session_user(&f, secret, NOW), 7);
    assert_int_equal(session_user(&f, secret, NOW + 2 * HOUR - 1), 7);
    assert_int_equal(session_user(&f, secret, NOW + 2 * HOUR), 0);
    for (int i = 1; i < 10; i++)
        assert_true(session_touch(f.db, str_of(secret), NOW + i * HOUR, &f.error));
    assert_int_equal(session_user(&f, secret, NOW + 10 * HOUR - 1), 7);
    assert_int_equal(session_user(&f, secret, NOW + 10 * HOUR), 0); /* however busy */
    assert_int_equal(session_user(&f, csrf, NOW), 0);
    assert_int_equal(session_user(&f, "", NOW), 0);
    close_memory(&f);
}

static void test_touching_never_takes_a_session_back_in_time(void **state)
{
    (void)state;
    struct fixture f;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT];
    open_memory(&f);
    assert_true(session_create(f.db, 7, NOW, times, secret, csrf, &f.error));
    assert_true(session_touch(f.db, str_of(secret), NOW + HOUR, &f.error));
    assert_true(session_touch(f.db, str_of(secret), NOW, &f.error));
    assert_int_equal(session_user(&f, secret, NOW + 3 * HOUR - 1), 7);
    close_memory(&f);
}

static void test_sessions_that_are_over_are_swept_by_the_next_sign_in(void **state)
{
    (void)state;
    struct fixture f;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT];
    open_memory(&f);
    for (int i = 0; i < 5; i++)
        assert_true(session_create(f.db, 7, NOW, times, secret, csrf, &f.error));
    assert_true(session_create(f.db, 7, NOW + 3 * HOUR, times, secret, csrf, &f.error));
    assert_int_equal(number(&f, "SELECT count(*) FROM perigee_session"), 1);
    close_memory(&f);
}

static void test_the_csrf_token_follows_from_the_secret_and_is_checked(void **state)
{
    (void)state;
    struct fixture f;
    char one[SECRET_TEXT], two[SECRET_TEXT], csrf_one[SECRET_TEXT], csrf_two[SECRET_TEXT], again[SECRET_TEXT];
    struct session s;
    open_memory(&f);
    assert_true(session_create(f.db, 7, NOW, times, one, csrf_one, &f.error));
    assert_true(session_create(f.db, 7, NOW, times, two, csrf_two, &f.error));
    assert_string_not_equal(one, two);
    assert_string_not_equal(csrf_one, csrf_two);
    assert_string_not_equal(one, csrf_one);
    session_csrf(str_of(one), again);
    assert_string_equal(again, csrf_one);
    assert_true(session_find(f.db, str_of(one), NOW, times, &s, &f.error));
    assert_true(session_csrf_ok(&s, str_of(csrf_one)));
    assert_false(session_csrf_ok(&s, str_of(csrf_two)));
    assert_false(session_csrf_ok(&s, str_of(one)));
    assert_false(session_csrf_ok(&s, (struct str){NULL, 0}));
    close_memory(&f);
}

static void test_a_new_password_ends_the_sessions_and_leaves_the_tokens(void **state)
{
    (void)state;
    struct fixture f;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT], other[SECRET_TEXT], text[64];
    int64_t id;
    struct token t;
    bool has;
    open_memory(&f);
    assert_true(session_create(f.db, 7, NOW, times, secret, csrf, &f.error));
    assert_true(session_create(f.db, 8, NOW, times, other, csrf, &f.error));
    assert_true(token_create(f.db, 7, STR("n"), STR("full"), 0, NOW, text, &id, &f.error));
    assert_true(password_exists(f.db, 7, &has, &f.error) && !has);
    assert_true(password_store(f.db, 7, "hash", NOW, &f.error));
    assert_true(password_exists(f.db, 7, &has, &f.error) && has);
    assert_int_equal(session_user(&f, secret, NOW), 0);
    assert_int_equal(session_user(&f, other, NOW), 8);
    assert_true(token_find(f.db, str_of(text), NOW, &t, &f.error));
    assert_int_equal(t.user, 7);
    close_memory(&f);
}

static void test_the_end_of_a_user_ends_sessions_and_tokens_and_tells_the_caches(void **state)
{
    (void)state;
    struct fixture f;
    char secret[SECRET_TEXT], csrf[SECRET_TEXT], text[64], kept[64];
    int64_t id, before, after;
    struct token t;
    open_memory(&f);
    assert_true(session_create(f.db, 7, NOW, times, secret, csrf, &f.error));
    assert_true(token_create(f.db, 7, STR("n"), STR("read"), 0, NOW, text, &id, &f.error));
    assert_true(token_create(f.db, 8, STR("n"), STR("read"), 0, NOW, kept, &id, &f.error));
    assert_true(store_epoch(f.db, &before, &f.error));
    assert_true(credentials_end(f.db, 7, &f.error));
    assert_true(store_epoch(f.db, &after, &f.error));
    assert_true(after > before);
    assert_int_equal(session_user(&f, secret, NOW), 0);
    assert_true(token_find(f.db, str_of(text), NOW, &t, &f.error));
    assert_int_equal(t.user, 0);
    assert_true(token_find(f.db, str_of(kept), NOW, &t, &f.error));
    assert_int_equal(t.user, 8);
    close_memory(&f);
}

static void test_a_token_has_256_bits_a_prefix_an_end_and_a_scope(void **state)
{
    (void)state;
    struct fixture f;
    char text[64], again[64];
    int64_t id;
    struct token t;
    open_memory(&f);
    assert_true(token_create(f.db, 7, STR("n"), STR("read"), NOW + HOUR, NOW, text, &id, &f.error));
    assert_true(str_starts(str_of(text), STR(TOKEN_PREFIX)));
    assert_int_equal(strlen(text), 4 + 43);
    assert_true(token_find(f.db, str_of(text), NOW + HOUR - 1, &t, &f.error));
    assert_true(t.user == 7 && t.id == id && strcmp(t.scope, TOKEN_READ) == 0);
    assert_true(token_find(f.db, str_of(text), NOW + HOUR, &t, &f.error));
    assert_int_equal(t.user, 0);
    assert_true(token_create(f.db, 7, STR("n"), STR(""), 0, NOW, again, &id, &f.error));
    assert_string_not_equal(text, again);
    assert_true(token_find(f.db, str_of(again), INT64_MAX, &t, &f.error));
    assert_true(t.user == 7 && strcmp(t.scope, TOKEN_FULL) == 0);
    assert_false(token_create(f.db, 7, STR("n"), STR("all"), 0, NOW, again, &id, &f.error));
    assert_int_equal(f.error.kind, ERROR_VALIDATION_FAILED);
    close_memory(&f);
}

static void test_no_part_and_no_neighbour_of_a_token_is_one(void **state)
{
    (void)state;
    struct fixture f;
    char text[64];
    int64_t id;
    struct token t;
    open_memory(&f);
    assert_true(token_create(f.db, 7, STR("n"), STR("full"), 0, NOW, text, &id, &f.error));
    for (size_t n = 0; n < strlen(text); n++) {
        char changed[64];
        memcpy(changed, text, sizeof changed);
        changed[n] = changed[n] == 'A' ? 'B' : 'A';
        assert_true(token_find(f.db, str_of(changed), NOW, &t, &f.error));
        assert_int_equal(t.user, 0);
        assert_true(token_find(f.db, (struct str){text, n}, NOW, &t, &f.error));
        assert_int_equal(t.user, 0);
    }
    close_memory(&f);
}

static bool count(void *ctx, const struct token_row *row)
{
    assert_int_equal(row->user, 7);
    ++*(int *)ctx;
    return true;
}

static void test_tokens_are_listed_and_taken_back_by_their_owner_alone(void **state)
{
    (void)state;
    struct fixture f;
    char text[64];
    int64_t mine, theirs;
    int n = 0;
    bool found;
    open_memory(&f);
    assert_true(token_create(f.db, 7, STR("mine"), STR("full"), 0, NOW, text, &mine, &f.error));
    assert_true(token_create(f.db, 8, STR("theirs"), STR("full"), 0, NOW, text, &theirs, &f.error));
    assert_true(token_list(f.db, 7, count, &n, &f.error));
    assert_int_equal(n, 1);
    assert_true(token_delete(f.db, theirs, 7, &found, &f.error) && !found);
    assert_true(token_delete(f.db, mine, 7, &found, &f.error) && found);
    assert_true(token_delete(f.db, mine, 7, &found, &f.error) && !found);
    assert_true(token_delete(f.db, theirs, 0, &found, &f.error) && found);
    close_memory(&f);
}

static void test_passwords_are_argon2id_and_nothing_but_themselves(void **state)
{
    (void)state;
    struct fixture f;
    char one[128], two[128];
    open_memory(&f);
    assert_true(password_hash(STR("correct horse battery"), one, &f.error));
    assert_true(password_hash(STR("correct horse battery"), two, &f.error));
    assert_true(str_starts(str_of(one), STR("$argon2id$v=19$m=65536,t=3,p=1$")));
    assert_string_not_equal(one, two); /* salted */
    assert_true(password_matches(one, STR("correct horse battery")));
    assert_false(password_matches(one, STR("Correct horse battery")));
    assert_false(password_matches(one, STR("")));
    assert_false(password_matches(one, (struct str){NULL, 0}));
    assert_false(password_matches(NULL, STR("correct horse battery")));
    assert_false(password_matches("$argon2id$nonsense", STR("correct horse battery")));
    close_memory(&f);
}

static void test_passwords_that_are_easy_to_guess_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",           "short",         "123456789",
                                      "1234567890", "qwertyuiop",    "aaaaaaaaaa",
                                      "йцукенгшщз", "anna.k-anna.k", "\xFF\xFE not utf-8"};
    struct fixture f;
    open_memory(&f);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(password_acceptable(STR("anna.k"), str_of(bad[i]), &f.error));
        assert_int_equal(f.error.kind, ERROR_VALIDATION_FAILED);
        error_clear(&f.error);
    }
    assert_true(password_acceptable(STR("anna.k"), STR("длинный пароль"), &f.error));
    assert_true(password_acceptable(STR("anna.k"), STR("ten chars!"), &f.error));
    close_memory(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_session_lives_until_idle_or_absolutely_over),
        cmocka_unit_test(test_touching_never_takes_a_session_back_in_time),
        cmocka_unit_test(test_sessions_that_are_over_are_swept_by_the_next_sign_in),
        cmocka_unit_test(test_the_csrf_token_follows_from_the_secret_and_is_checked),
        cmocka_unit_test(test_a_new_password_ends_the_sessions_and_leaves_the_tokens),
        cmocka_unit_test(test_the_end_of_a_user_ends_sessions_and_tokens_and_tells_the_caches),
        cmocka_unit_test(test_a_token_has_256_bits_a_prefix_an_end_and_a_scope),
        cmocka_unit_test(test_no_part_and_no_neighbour_of_a_token_is_one),
        cmocka_unit_test(test_tokens_are_listed_and_taken_back_by_their_owner_alone),
        cmocka_unit_test(test_passwords_are_argon2id_and_nothing_but_themselves),
        cmocka_unit_test(test_passwords_that_are_easy_to_guess_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
