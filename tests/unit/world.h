/* world.h: a small company in memory: a catalog from Lua that has a field of every type, a database that
 * follows it, rows written directly. For tests of everything that reads.
 *
 * The rows are random, yet the same for the same seed: PERIGEE_SEED=n chooses another one. References may
 * lead nowhere, as they may after an import of old data. */
#ifndef TESTS_WORLD_H
#define TESTS_WORLD_H

#include "unit/unit.h"

#include "base/calendar.h"
#include "base/id.h"
#include "base/json.h"
#include "base/timezone.h"
#include "record/internal.h"
#include "record/plan.h"
#include "script/script.h"
#include "store/schema.h"
#include "store/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char world_script[] =
    "local L = { en = 'x', ru = 'х' }\n"
    "entity 'user' { label = L, plural = { en = 'x', ru = 'х', path = 'users' }, title = 'name', fields = {\n"
    "  name = text { label = L }, manager = ref { to = 'user', label = L }, thing = ref { to = 'thing', "
    "label = L },\n"
    "  kind = ref { to = 'kind', label = L } } }\n"
    "entity 'group' { label = L, plural = { en = 'x', ru = 'х', path = 'groups' }, title = 'name', fields = "
    "{\n"
    "  name = text { label = L } } }\n"
    "entity 'partner' { label = L, plural = { en = 'x', ru = 'х', path = 'partners' }, title = 'name', "
    "fields = {\n"
    "  name = text { label = L }, responsible = ref { to = 'user', label = L } } }\n"
    "entity 'direction' { label = L, plural = { en = 'x', ru = 'х', path = 'directions' }, title = 'name', "
    "setting = true,\n"
    "  fields = { code = text { label = L, required = true, unique = true }, name = text { label = L, "
    "localized = true } } }\n"
    "entity 'kind' { label = L, plural = { en = 'x', ru = 'х', path = 'kinds' }, title = 'name', setting = "
    "true,\n"
    "  fields = { code = text { label = L, required = true, unique = true }, name = text { label = L, "
    "localized = true },\n"
    "    weight = integer { label = L }, lead = ref { to = 'user', label = L } } }\n"
    "entity 'thing' { label = L, plural = { en = 'x', ru = 'х', path = 'things' }, title = 'name', fields = "
    "{\n"
    "  name = text { label = L, search = true }, title = text { label = L, localized = true }, note = "
    "longtext { label = L, search = true },\n"
    "  mail = email { label = L }, count = integer { label = L }, ratio = decimal { label = L, scale = 3 },\n"
    "  amount = money { label = L }, share = percent { label = L }, done = boolean { label = L },\n"
    "  day = date { label = L }, at = datetime { label = L }, due = datetime { label = L },\n"
    "  state = option { 'open', 'closed', 'won', label = L }, tags = options { 'red', 'green', 'blue', label "
    "= L },\n"
    "  parent = ref { to = 'thing', label = L }, owner = ref { to = 'user', label = L },\n"
    "  partner = ref { to = 'partner', label = L }, kind = ref { to = 'kind', label = L },\n"
    "  direction = ref { to = 'direction', label = L }, kinds = refs { to = 'kind', label = L },\n"
    "  directions = refs { to = 'direction', label = L }, people = refs { to = 'user', label = L },\n"
    "  groups = refs { to = 'group', label = L }, data = json { label = L },\n"
    "  f_sum = formula { label = L, type = 'money', expr = 'amount * share / 100 + coalesce(count, 0)' },\n"
    "  f_ratio = formula { label = L, type = 'decimal', scale = 4, expr = 'amount / (count - 2)' },\n"
    "  f_round = formula { label = L, type = 'integer', expr = 'round(-ratio * 3 - amount, 0)' },\n"
    "  f_days = formula { label = L, type = 'integer', expr = 'days(at, day)' },\n"
    "  f_age = formula { label = L, type = 'integer', expr = 'days(day, @today + 1mo)' },\n"
    "  f_if = formula { label = L, type = 'money', expr = \"if(state = 'won' and not (done = true) or "
    "kind.weight > 2, amount, null)\" },\n"
    "  f_text = formula { label = L, type = 'text', expr = \"coalesce(name, if(count > 3, 'Ёж', "
    "parent.name))\" },\n"
    "  f_flag = formula { label = L, type = 'boolean', expr = 'if(amount > 0 and owner = @me, true, done)' "
    "},\n"
    "  f_day = formula { label = L, type = 'date', expr = 'coalesce(day, 2026-02-28)' },\n"
    "  f_at = formula { label = L, type = 'datetime', expr = 'if(day is null, @now - 1d, at)' },\n"
    "  f_deep = formula { label = L, type = 'money', expr = 'parent.f_sum + f_sum' },\n"
    "} }\n"
    "role 'boss' { label = L,\n"
    "  allow { 'read', 'user', where = 'manager = @me' },\n"
    "  allow { 'read', 'thing', where = 'owner = @me or owner in @my.reports or partner.responsible = @me "
    "and count > 1' },\n"
    "  allow { 'read', 'thing', where = 'direction in @my.directions and not (parent.owner.manager in "
    "@my.reports)' },\n"
    "  allow { 'read', 'thing', where = 'kind.lead = @me or created_by = @me', fields = { 'name', 'count', "
    "'day' } } }\n";

#define WORLD_USERS 8
#define WORLD_PLACES 4 /* directions, kinds, groups, partners */

struct world {
    char folder[64];
    struct script_set *set;
    struct db *db;
    struct principal *system;
    struct arena arena;   /* lives as long as the world */
    struct arena scratch; /* of one question */
    struct error error;
    struct context context;
    struct plan_cache *plans;
    uint64_t random;
    const struct entity *thing;
    int64_t *things;
    size_t thing_count;
    int64_t users[WORLD_USERS], groups[WORLD_PLACES], partners[WORLD_PLACES], kinds[WORLD_PLACES],
        directions[WORLD_PLACES];
};

/* xorshift64*; good enough to choose tests, and the same everywhere. */
static inline uint64_t world_random(struct world *w)
{
    w->random ^= w->random >> 12;
    w->random ^= w->random << 25;
    w->random ^= w->random >> 27;
    return w->random * UINT64_C(2685821657736338717);
}

static inline size_t world_below(struct world *w, size_t n)
{
    return (size_t)(world_random(w) >> 11) % n;
}

static inline bool world_chance(struct world *w, size_t one_in)
{
    return world_below(w, one_in) == 0;
}

static inline void world_must(struct world *w, bool ok)
{
    if (!ok)
        fail_msg("%s%s%s", w->error.detail ? w->error.detail : "no reason given", w->error.first ? ": " : "",
                 w->error.first ? w->error.first->message : "");
}

static const char *const world_texts[] = {"",           "a",        "A",        "b",     "aB",
                                          "Abc",        "50%_",     "ёлка",     "Ёлка",  "елка",
                                          "ЕЛКА",       "жук",      "Жук и ёж", "0",     "10",
                                          "9",          "\xC3\x9F", "naïve",    "NAÏVE", "\xF0\x9F\x98\x80",
                                          "it's \"q\"", "a\\b",     "a\nb",     "\tx",   "яблоко",
                                          "Я"};
#define WORLD_TEXTS (sizeof world_texts / sizeof *world_texts)

static const char *const world_zones[] = {"UTC",          "Europe/Moscow", "America/New_York",
                                          "Asia/Kolkata", "Pacific/Apia",  "Europe/Berlin"};
#define WORLD_ZONES (sizeof world_zones / sizeof *world_zones)

/* Around 2026-03-29, when Berlin's clocks change, and around midnights. */
static inline int64_t world_instant(struct world *w)
{
    static const int64_t near[] = {0,       1,        -1,        3600000,  -3600000,
                                   7200000, 43200000, -19800000, 10800000, 14400000};
    int64_t day = 20541 + (int64_t)world_below(w, 5) - 2; /* 2026-03-29 */
    if (world_chance(w, 8)) day -= (int64_t)world_below(w, 30000);
    return day * DAY_MS + near[world_below(w, sizeof near / sizeof *near)];
}

static inline int64_t world_day(struct world *w)
{
    return world_chance(w, 8) ? (int64_t)world_below(w, 30000) - 5000
                              : 20541 + (int64_t)world_below(w, 5) - 2;
}

static inline int64_t world_number(struct world *w)
{
    static const int64_t some[] = {0, 1, -1, 2, 3, 5, 10, 99, 100, 101, 150, 200, 1000, -100, 12345, 1000000};
    if (world_chance(w, 40)) return (int64_t)(world_random(w) >> 2) * (world_chance(w, 2) ? 1 : -1);
    return some[world_below(w, sizeof some / sizeof *some)];
}

static inline const char *world_code(size_t i)
{
    static const char *const codes[WORLD_PLACES] = {"alpha", "beta", "gamma", "delta"};
    return codes[i % WORLD_PLACES];
}

/* Ids as they stand in a set: in the order of the ids, as the link tables give them. */
static inline struct value world_set(struct world *w, const int64_t *ids, size_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    json_array(&b);
    for (size_t i = 0; i < n; i++)
        if (world_chance(w, 3)) json_id(&b, ids[i]);
    json_end_array(&b);
    struct value v = {.type = VALUE_SET, .s = arena_str(&w->arena, buf_view(&b))};
    buf_free(&b);
    return v;
}

static inline struct value world_words(struct world *w, const char *const *words, size_t n)
{
    struct buf b;
    buf_init(&b, 4096);
    json_array(&b);
    for (size_t i = 0; i < n; i++)
        if (world_chance(w, 3)) json_cstr(&b, words[i]);
    json_end_array(&b);
    struct value v = {.type = VALUE_SET, .s = arena_str(&w->arena, buf_view(&b))};
    buf_free(&b);
    return v;
}

static inline struct value world_ref(struct world *w, const int64_t *ids, size_t n)
{
    if (world_chance(w, 12)) return value_of(VALUE_ID, 12345); /* leads nowhere */
    return value_of(VALUE_ID, ids[world_below(w, n)]);
}

/* The database itself refuses what is not from 0 to 100. */
static inline int64_t world_percent(struct world *w)
{
    int64_t n = world_number(w);
    return n >= 0 && n <= 10000 ? n : (int64_t)world_below(w, 10001);
}

static inline struct value world_value(struct world *w, const struct field *f)
{
    static const char *const sorted[WORLD_PLACES] = {"alpha", "beta", "delta", "gamma"};
    static const char *const options[] = {"red", "green", "blue"};
    if (world_chance(w, 4)) return value_null();
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DECIMAL:
    case FIELD_MONEY: return value_number(world_number(w), f->scale);
    case FIELD_PERCENT: return value_number(world_percent(w), f->scale);
    case FIELD_BOOLEAN: return value_of(VALUE_BOOL, (int64_t)world_below(w, 2));
    case FIELD_DATE: return value_of(VALUE_DATE, world_day(w));
    case FIELD_DATETIME: return value_of(VALUE_DATETIME, world_instant(w));
    case FIELD_OPTION: return value_text(str_of(f->options[world_below(w, f->option_count)].value));
    case FIELD_OPTIONS: return world_words(w, options, 3);
    case FIELD_REF:
        if (f->to->setting)
            return value_text(
                str_of(world_chance(w, 12) ? "nowhere" : world_code(world_below(w, WORLD_PLACES))));
        if (f->to == w->thing) return world_ref(w, w->things, w->thing_count);
        if (strcmp(f->to->name, "partner") == 0) return world_ref(w, w->partners, WORLD_PLACES);
        return world_ref(w, w->users, WORLD_USERS);
    case FIELD_REFS:
        if (f->to->setting) return world_words(w, sorted, WORLD_PLACES);
        if (strcmp(f->to->name, "group") == 0) return world_set(w, w->groups, WORLD_PLACES);
        return world_set(w, w->users, WORLD_USERS);
    case FIELD_JSON: return value_text(STR("{\"a\":1}"));
    default:
        if (f->localized && world_chance(w, 2)) {
            struct buf b;
            buf_init(&b, 4096);
            json_object(&b);
            json_key(&b, STR("en")), json_cstr(&b, world_texts[world_below(w, WORLD_TEXTS)]);
            if (world_chance(w, 2))
                json_key(&b, STR("ru")), json_cstr(&b, world_texts[world_below(w, WORLD_TEXTS)]);
            json_end_object(&b);
            struct value v = value_text(arena_str(&w->arena, buf_view(&b)));
            buf_free(&b);
            return v;
        }
        return value_text(str_of(world_texts[world_below(w, WORLD_TEXTS)]));
    }
}

/* One row with what it must have; `code` for settings. */
static inline void world_row(struct world *w, const struct entity *e, int64_t id, const char *code)
{
    struct context *c = &w->context;
    c->arena = &w->arena;
    struct record *r = record_new(c, e);
    assert_non_null(r);
    r->id = id;
    r->values[SYSTEM_ID] = value_of(VALUE_ID, id);
    for (size_t i = SYSTEM_FIELD_COUNT; i < e->field_count; i++)
        if (field_stored(e->fields[i])) r->values[i] = world_value(w, e->fields[i]);
    if (code) r->values[e->code->index] = value_text(str_of(code));
    r->values[SYSTEM_CREATED_AT] = r->values[SYSTEM_UPDATED_AT] = value_of(VALUE_DATETIME, world_instant(w));
    r->values[SYSTEM_CREATED_BY] = r->values[SYSTEM_UPDATED_BY] = world_ref(w, w->users, WORLD_USERS);
    r->values[SYSTEM_VERSION] = value_number(1, 0);
    r->values[SYSTEM_ACTIVE] = value_of(VALUE_BOOL, !world_chance(w, 5));
    world_must(w, row_insert(c, r));
    c->arena = &w->scratch;
}

static inline struct str world_ids_json(struct world *w, const int64_t *ids, size_t n)
{
    return world_set(w, ids, n).s;
}

/* Another user asks, somewhere else, at another moment. */
static inline void world_ask_as_another(struct world *w)
{
    static const char *const codes[WORLD_PLACES] = {"alpha", "beta", "gamma", "delta"};
    struct filter_env *e = &w->context.env;
    e->now = world_instant(w) + (int64_t)world_below(w, 7200000) - 3600000;
    e->zone = world_chance(w, 6) ? NULL : timezone_find(str_of(world_zones[world_below(w, WORLD_ZONES)]));
    e->lang = world_chance(w, 2) ? LANG_RU : LANG_EN;
    e->me = world_chance(w, 10) ? 0 : w->users[world_below(w, WORLD_USERS)];
    e->my_company = world_chance(w, 3) ? 0 : w->partners[world_below(w, WORLD_PLACES)];
    e->my_reports = world_ids_json(w, w->users, WORLD_USERS);
    e->my_groups = world_ids_json(w, w->groups, WORLD_PLACES);
    e->my_directions = world_words(w, codes, WORLD_PLACES).s;
    e->my_roles = world_chance(w, 2) ? STR("[\"boss\"]") : STR("[]");
}

static inline uint64_t world_seed(void)
{
    const char *given = getenv("PERIGEE_SEED");
    return given ? strtoull(given, NULL, 10) : UINT64_C(20261125);
}

static inline void world_open(struct world *w, size_t things)
{
    *w = (struct world){.random = world_seed() * 2 + 1};
    arena_init(&w->arena, (size_t)256 << 20);
    arena_init(&w->scratch, (size_t)64 << 20);
    error_init(&w->error, &w->arena, LANG_EN);
    snprintf(w->folder, sizeof w->folder, "/tmp/perigee-world-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    char path[128];
    snprintf(path, sizeof path, "%s/world.lua", w->folder);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(world_script, 1, sizeof world_script - 1, out), sizeof world_script - 1);
    fclose(out);
    struct script_config config;
    script_config_defaults(&config);
    config.workflows = w->folder;
    w->set = script_load(&config, &w->error);
    unlink(path);
    rmdir(w->folder);
    world_must(w, w->set != NULL);
    w->db = db_open("", DB_MEMORY, &w->error);
    world_must(w, w->db != NULL);
    struct schema_plan plan;
    const struct catalog *c = w->set->catalog;
    world_must(w, store_prepare(w->db, &w->error) && schema_plan(w->db, c, &w->arena, &plan, &w->error) &&
                      schema_apply(w->db, c, &plan, false, &w->error) &&
                      db_exec(w->db, "PRAGMA foreign_keys=OFF", &w->error));
    w->plans = plan_cache_new(w->db, 512, &w->error);
    w->system = principal_system(c, &w->error);
    world_must(w, w->plans && w->system);
    context_init(&w->context, c, w->db, w->system, &w->scratch, &w->error);
    w->context.trusted = true;
    w->thing = catalog_entity(c, STR("thing"));
    w->things = calloc(things + 1, sizeof *w->things);
    assert_non_null(w->things);
    w->thing_count = things;
    for (size_t i = 0; i < things; i++)
        w->things[i] = id_next();
    for (size_t i = 0; i < WORLD_USERS; i++)
        w->users[i] = id_next();
    for (size_t i = 0; i < WORLD_PLACES; i++) {
        w->groups[i] = id_next(), w->partners[i] = id_next();
        w->kinds[i] = id_next(), w->directions[i] = id_next();
    }
    world_must(w, db_begin(w->db, true, &w->error));
    for (size_t i = 0; i < WORLD_PLACES; i++) {
        world_row(w, catalog_entity(c, STR("group")), w->groups[i], NULL);
        world_row(w, catalog_entity(c, STR("partner")), w->partners[i], NULL);
        world_row(w, catalog_entity(c, STR("kind")), w->kinds[i], world_code(i));
        world_row(w, catalog_entity(c, STR("direction")), w->directions[i], world_code(i));
    }
    for (size_t i = 0; i < WORLD_USERS; i++)
        world_row(w, catalog_entity(c, STR("user")), w->users[i], NULL);
    for (size_t i = 0; i < things; i++)
        world_row(w, w->thing, w->things[i], NULL);
    world_must(w, db_commit(w->db, &w->error));
    world_ask_as_another(w);
}

static inline void world_close(struct world *w)
{
    plan_cache_free(w->plans);
    principal_unref(w->system);
    db_close(w->db);
    script_set_unref(w->set);
    arena_free(&w->arena);
    arena_free(&w->scratch);
    free(w->things);
}

/* Forgets what the last question left behind. */
static inline void world_next(struct world *w)
{
    arena_reset(&w->scratch);
    error_init(&w->error, &w->scratch, LANG_EN);
}

#endif
