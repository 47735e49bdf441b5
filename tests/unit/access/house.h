/* house.h: a small company in memory for tests of who somebody is and what they may do: users with managers,
 * groups, deputies, partners; the roles come from the test's own Lua. */
#ifndef TESTS_HOUSE_H
#define TESTS_HOUSE_H

#include "access/rules.h"
#include "access/session.h"
#include "base/id.h"
#include "script/script.h"
#include "store/schema.h"
#include "unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char house_script[] =
    "local L = { en = 'x', ru = 'х' }\n"
    "local function named(path, fields) fields.name = text { label = L }\n"
    "  return { label = L, plural = { en = 'x', ru = 'х', path = path }, title = 'name', fields = fields } "
    "end\n"
    "local function coded(path) return named(path, { code = text { label = L, required = true, unique = true "
    "} }) end\n"
    "entity 'user' (named('users', { login = text { label = L, unique = true }, language = text { label = L "
    "},\n"
    "  time_zone = text { label = L }, manager = ref { to = 'user', label = L }, direction = ref { to = "
    "'direction', label = L },\n"
    "  directions = refs { to = 'direction', label = L }, groups = refs { to = 'group', label = L }, roles = "
    "refs { to = 'role', label = L },\n"
    "  partner = ref { to = 'partner', label = L }, deputy = ref { to = 'user', label = L }, absent_from = "
    "date { label = L },\n"
    "  absent_to = date { label = L } }))\n"
    "entity 'group' (named('groups', { direction = ref { to = 'direction', label = L }, roles = refs { to = "
    "'role', label = L } }))\n"
    "entity 'role' (coded('roles'))\n"
    "entity 'direction' (coded('directions'))\n"
    "entity 'partner' (named('partners', { level = option { 'low', 'mid', 'high', label = L } }))\n"
    "entity 'deal' (named('deals', { owner = ref { to = 'user', label = L }, direction = ref { to = "
    "'direction', label = L },\n"
    "  partner = ref { to = 'partner', label = L }, amount = integer { label = L }, secret = integer { label "
    "= L } }))\n"
    "entity 'note' (named('notes', { about = ref { to = 'any', label = L }, deal = ref { to = 'deal', label "
    "= L } }))\n"
    "entity 'log' { label = L, plural = { en = 'x', ru = 'х', path = 'logs' }, server = true, fields = { "
    "text = text { label = L } } }\n";

struct house {
    struct arena arena;
    struct error error;
    struct script_set *set;
    const struct catalog *catalog;
    struct db *db;
};

static inline void house_must(struct house *h, bool ok)
{
    if (!ok)
        fail_msg("%s: %s", h->error.detail ? h->error.detail : "no reason given",
                 h->error.first ? h->error.first->message : "");
}

static inline void house_open(struct house *h, const char *roles)
{
    char folder[64] = "/tmp/perigee-house-XXXXXX", path[128];
    struct schema_plan plan;
    struct script_config config;
    *h = (struct house){0};
    arena_init(&h->arena, (size_t)64 << 20);
    error_init(&h->error, &h->arena, LANG_EN);
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/house.lua", folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_true(fprintf(out, "%s%s", house_script, roles) > 0);
    fclose(out);
    script_config_defaults(&config);
    config.workflows = folder;
    h->set = script_load(&config, &h->error);
    unlink(path);
    rmdir(folder);
    house_must(h, h->set != NULL);
    error_clear(&h->error);
    h->catalog = h->set->catalog;
    h->db = db_open(":memory:", DB_MEMORY, &h->error);
    house_must(h, h->db && store_prepare(h->db, &h->error) &&
                      schema_plan(h->db, h->catalog, &h->arena, &plan, &h->error) &&
                      schema_apply(h->db, h->catalog, &plan, false, &h->error) &&
                      db_exec(h->db, "PRAGMA foreign_keys=OFF", &h->error));
}

static inline void house_close(struct house *h)
{
    db_close(h->db);
    script_set_unref(h->set);
    arena_free(&h->arena);
}

static inline void house_sql(struct house *h, const char *sql)
{
    house_must(h, db_exec(h->db, sql, &h->error));
}

/* "a,b" for a set of ids below 100, in order of the ids. */
static inline const char *house_ids(struct house *h, struct str set)
{
    struct json_value *all = json_parse(&h->arena, set, &h->error);
    const char *text = "";
    for (struct json_value *i = all ? all->first : NULL; i; i = i->next) {
        int64_t id;
        assert_true(id_parse(i->text, &id));
        text = arena_printf(&h->arena, "%s%s%lld", text, *text ? "," : "", (long long)id);
    }
    return text;
}

#endif
