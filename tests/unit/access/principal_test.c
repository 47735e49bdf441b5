/* Who somebody is: roles, groups, reports, levels; and absences, to the minute in the absent person's zone.
 */
#include "base/calendar.h"
#include "unit/access/house.h"

#define DAY INT64_C(86400000)
#define D0 20780                  /* 2026-11-23 */
#define NOON (D0 * DAY + DAY / 2) /* in UTC */

static const char roles[] = "role 'seller' { label = 'x', allow { 'read', 'deal', where = 'owner = @me' } }\n"
                            "role 'boss' { label = 'x', all = 'write' }\n"
                            "role 'auditor' { label = 'x', all = 'read' }\n"
                            "role 'guest' { label = 'x', partner = true, allow { 'read', 'deal', where = "
                            "'partner = @my.company' } }\n";

static struct principal *load(struct house *h, int64_t id, int64_t now)
{
    struct principal *p = principal_load_at(h->db, h->catalog, id, now, &h->error);
    house_must(h, p != NULL);
    return p;
}

static void expect(struct house *h, int64_t id, int64_t now, const char *absent, const char *reports)
{
    struct principal *p = load(h, id, now);
    assert_string_equal(house_ids(h, p->env.my_absent), absent);
    assert_string_equal(house_ids(h, p->env.my_reports), reports);
    principal_unref(p);
}

static void user(struct house *h, int id, const char *manager, const char *rest)
{
    house_sql(
        h, arena_printf(&h->arena,
                        "INSERT INTO \"user\" (id, created_at, updated_at, version, active, login, manager) "
                        "VALUES (%d, 0, 0, 1, 1, 'u%d', %s);%s",
                        id, id, manager, rest));
}

static void test_reports_are_those_below_at_any_depth(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    user(&h, 1, "NULL", ""), user(&h, 2, "1", ""), user(&h, 3, "2", ""), user(&h, 4, "3", ""),
        user(&h, 5, "NULL", "");
    expect(&h, 1, NOON, "", "2,3,4");
    expect(&h, 3, NOON, "", "4");
    expect(&h, 5, NOON, "", "");
    house_sql(
        &h, "UPDATE \"user\" SET manager = 4 WHERE id = 1"); /* round in a circle: it ends, without oneself */
    expect(&h, 1, NOON, "", "2,3,4");
    expect(&h, 4, NOON, "", "1,2,3");
    house_close(&h);
}

static void test_a_deputy_stands_in_from_the_first_day_to_the_last(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    user(&h, 1, "NULL", ""), user(&h, 2, "NULL", ""), user(&h, 3, "1", "");
    house_sql(&h, "UPDATE \"user\" SET deputy = 2, time_zone = 'Asia/Vladivostok', absent_from = 20780, "
                  "absent_to = 20781 WHERE id = 1");
    int64_t begin = D0 * DAY - 10 * 3600000, end = (D0 + 2) * DAY - 10 * 3600000; /* UTC+10 */
    expect(&h, 2, begin - 1, "", "");
    expect(&h, 2, begin, "1", "3");
    expect(&h, 2, end - 1, "1", "3");
    expect(&h, 2, end, "", "");
    struct principal *p = load(&h, 2, begin - 1);
    assert_int_equal(p->valid_until, begin); /* caches forget it at midnight, though nobody writes */
    principal_unref(p);
    p = load(&h, 2, begin);
    assert_int_equal(p->valid_until, end);
    principal_unref(p);
    p = load(&h, 2, end);
    assert_int_equal(p->valid_until, INT64_MAX);
    principal_unref(p);
    house_close(&h);
}

static void test_open_ends_and_what_is_no_absence(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    user(&h, 1, "NULL", ""), user(&h, 2, "NULL", "");
    static const struct {
        const char *from, *to, *absent;
    } cases[] = {{"NULL", "NULL", ""},   {"20780", "NULL", "1"}, {"20781", "NULL", ""},
                 {"NULL", "20780", "1"}, {"NULL", "20779", ""},  {"20780", "20780", "1"},
                 {"20781", "20779", ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        house_sql(
            &h, arena_printf(&h.arena,
                             "UPDATE \"user\" SET deputy = 2, absent_from = %s, absent_to = %s WHERE id = 1",
                             cases[i].from, cases[i].to));
        expect(&h, 2, NOON, cases[i].absent, "");
    }
    house_sql(
        &h, "UPDATE \"user\" SET deputy = 2, absent_from = 20780, absent_to = NULL, active = 0 WHERE id = 1");
    expect(&h, 2, NOON, "", ""); /* somebody who has left has no deputy */
    house_sql(&h, "UPDATE \"user\" SET deputy = 1, active = 1 WHERE id = 1");
    expect(&h, 1, NOON, "", ""); /* nor is one one's own */
    house_close(&h);
}

static void
test_a_deputy_has_the_directions_and_reports_of_the_absent_not_the_roles_nor_their_deputyships(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    user(&h, 1, "NULL", ""), user(&h, 2, "NULL", ""), user(&h, 3, "1", ""), user(&h, 4, "NULL", ""),
        user(&h, 5, "NULL", "");
    house_sql(&h, "INSERT INTO \"group\" (id, created_at, updated_at, version, active, direction) VALUES "
                  "(50, 0, 0, 1, 1, 'of_group');"
                  "INSERT INTO \"user.groups\" (owner, target) VALUES (1, 50);"
                  "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'boss'), (2, 'seller');"
                  "INSERT INTO \"group.roles\" (owner, target) VALUES (50, 'auditor');"
                  "INSERT INTO \"user.directions\" (owner, target) VALUES (1, 'second');"
                  "UPDATE \"user\" SET direction = 'own' WHERE id = 2;"
                  "UPDATE \"user\" SET direction = 'first', deputy = 2, absent_from = 20700 WHERE id = 1;"
                  "UPDATE \"user\" SET deputy = 1, absent_from = 20700 WHERE id = 4;"
                  "UPDATE \"user\" SET deputy = 5, absent_from = 20700 WHERE id = 2;");
    struct principal *p = load(&h, 2, NOON);
    assert_string_equal(house_ids(&h, p->env.my_absent),
                        "1"); /* 4's deputy is 1, who is away: that is not handed on */
    assert_string_equal(house_ids(&h, p->env.my_reports), "3");
    assert_true(
        str_is(p->env.my_directions, "[\"own\",\"first\",\"of_group\",\"second\"]")); /* one's own first */
    assert_true(str_is(p->env.my_groups, "[]") && str_is(p->roles_json, "[\"seller\"]") && !p->all_read);
    principal_unref(p);
    p = load(&h, 5, NOON);
    assert_string_equal(house_ids(&h, p->env.my_absent), "2");
    assert_true(str_is(p->env.my_directions, "[\"own\"]"));
    principal_unref(p);
    house_close(&h);
}

static void test_roles_come_from_oneself_and_active_groups_and_count_while_active(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    user(&h, 1, "NULL", "");
    house_sql(&h,
              "INSERT INTO \"group\" (id, created_at, updated_at, version, active) VALUES (50, 0, 0, 1, 1);"
              "INSERT INTO \"user.groups\" (owner, target) VALUES (1, 50);"
              "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'seller'), (1, 'never_declared');"
              "INSERT INTO \"group.roles\" (owner, target) VALUES (50, 'auditor');");
    struct principal *p = load(&h, 1, NOON);
    assert_string_equal(arena_dup(&h.arena, p->roles_json), "[\"auditor\",\"seller\"]");
    assert_true(str_starts(p->role_key, STR("auditor,seller")));
    assert_true(p->all_read && !p->all_write && principal_has_role(p, STR("seller")) &&
                !principal_has_role(p, STR("boss")));
    principal_unref(p);
    house_sql(&h, "UPDATE \"group\" SET active = 0");
    p = load(&h, 1, NOON);
    assert_true(str_starts(p->role_key, STR("seller")) && str_is(p->groups_json, "[]") && !p->all_read);
    principal_unref(p);
    house_sql(&h, "UPDATE role SET active = 0 WHERE code = 'seller'");
    p = load(&h, 1, NOON);
    assert_true(str_is(p->env.my_roles, "[]") && p->role_count == 0);
    principal_unref(p);
    house_close(&h);
}

static void test_staff_of_partners_hold_the_roles_of_partners_alone(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    house_sql(&h, "INSERT INTO partner (id, created_at, updated_at, version, active, level) VALUES (60, 0, "
                  "0, 1, 1, 'mid')");
    user(&h, 1, "NULL", "UPDATE \"user\" SET partner = 60;");
    house_sql(&h,
              "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'boss'), (1, 'guest'), (1, 'seller');");
    struct principal *p = load(&h, 1, NOON);
    assert_true(str_is(p->roles_json, "[\"guest\"]") && !p->all_write && !p->all_read &&
                p->env.my_company == 60);
    assert_true(str_is(p->env.my_levels, "[\"low\",\"mid\"]"));
    principal_unref(p);
    house_sql(&h, "UPDATE partner SET level = NULL");
    p = load(&h, 1, NOON);
    assert_true(str_is(p->env.my_levels, "[]"));
    principal_unref(p);
    house_close(&h);
}

static void test_nobody_is_told_apart_from_somebody(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, roles);
    assert_null(principal_load(h.db, h.catalog, 77, &h.error));
    assert_int_equal(h.error.kind, ERROR_NOT_FOUND);
    house_close(&h);
}

static void test_the_cache_forgets_with_the_epoch_the_catalog_and_the_hour(void **state)
{
    (void)state;
    struct house h;
    char text[64];
    int64_t id, token;
    house_open(&h, roles);
    user(&h, 1, "NULL", ""), user(&h, 2, "NULL", "");
    house_sql(&h, "UPDATE \"user\" SET deputy = 2, absent_from = 20781, time_zone = 'UTC' WHERE id = 1");
    house_must(&h, token_create(h.db, 2, STR("n"), STR("full"), 0, NOON, text, &id, &h.error));
    struct principal_cache *k = principal_cache_new(16);
    struct principal *a = principal_by_token(k, h.db, h.catalog, str_of(text), NOON, &token, &h.error);
    struct principal *b = principal_by_token(k, h.db, h.catalog, str_of(text), NOON + 1, &token, &h.error);
    assert_ptr_equal(a, b);
    assert_int_equal(token, id);
    struct principal *c =
        principal_by_token(k, h.db, h.catalog, str_of(text), (D0 + 1) * DAY, &token, &h.error);
    assert_ptr_not_equal(b, c); /* midnight: the absence has begun */
    assert_string_equal(house_ids(&h, c->env.my_absent), "1");
    house_must(&h, store_epoch_bump(h.db, &h.error));
    struct principal *d =
        principal_by_token(k, h.db, h.catalog, str_of(text), (D0 + 1) * DAY, &token, &h.error);
    assert_ptr_not_equal(c, d);
    struct session s;
    assert_null(principal_by_session(k, h.db, h.catalog, str_of(text), NOON, (struct session_times){DAY, DAY},
                                     &s, &h.error));
    assert_int_equal(h.error.kind, ERROR_UNAUTHENTICATED);
    error_clear(&h.error);
    house_sql(&h, "UPDATE \"user\" SET active = 0 WHERE id = 2");
    house_must(&h, store_epoch_bump(h.db, &h.error));
    assert_null(principal_by_token(k, h.db, h.catalog, str_of(text), NOON, &token, &h.error));
    assert_int_equal(h.error.kind, ERROR_UNAUTHENTICATED);
    principal_unref(a), principal_unref(b), principal_unref(c), principal_unref(d);
    principal_cache_free(k);
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reports_are_those_below_at_any_depth),
        cmocka_unit_test(test_a_deputy_stands_in_from_the_first_day_to_the_last),
        cmocka_unit_test(test_open_ends_and_what_is_no_absence),
        cmocka_unit_test(
            test_a_deputy_has_the_directions_and_reports_of_the_absent_not_the_roles_nor_their_deputyships),
        cmocka_unit_test(test_roles_come_from_oneself_and_active_groups_and_count_while_active),
        cmocka_unit_test(test_staff_of_partners_hold_the_roles_of_partners_alone),
        cmocka_unit_test(test_nobody_is_told_apart_from_somebody),
        cmocka_unit_test(test_the_cache_forgets_with_the_epoch_the_catalog_and_the_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
