/* Random roles in Lua against an evaluation of the same grants over plain arrays: rows, fields, changes,
 * follow, of. PERIGEE_SEED=n chooses another run; a failure prints it with the roles that disagree. */
#include "unit/access/house.h"

#include "record/internal.h"

#define USERS 5
#define PARTNERS 3
#define DEALS 24
#define NOTES 20
#define ROLES 4
#define GRANTS 6

/* ---- the model ---- */

enum relation { ALL, OWNER, TEAM, DIRECTION, COMPANY, RELATIONS };
enum way {
    ROWS,
    FOLLOW_DEAL,
    FOLLOW_ABOUT,
    OF,
    WAYS
}; /* by the row itself, or (notes) by what it is about; deals of a note */

static const char *const where[RELATIONS] = {
    [ALL] = NULL,
    [OWNER] = "owner = @me or created_by = @me",
    [TEAM] = "owner in @my.reports",
    [DIRECTION] = "direction in @my.directions",
    [COMPANY] = "partner = @my.company",
};

struct grant {
    bool note; /* of notes; else of deals */
    enum action_kind action;
    enum way way;
    enum relation relation;
    unsigned fields; /* 0: all; bit 0 amount, bit 1 secret */
};

struct deal {
    int owner, author, direction, partner; /* -1: none */
};

struct note {
    int deal, about; /* about: a deal; -1 */
};

struct model {
    uint64_t seed, random;
    bool with_of; /* then notes are read by themselves: else the rules would go round in circles */
    struct grant grants[ROLES][GRANTS];
    struct deal deals[DEALS];
    struct note notes[NOTES];
    bool has_role[USERS][ROLES];
    int manager[USERS], direction[USERS], company[USERS];
};

static uint64_t next(struct model *m)
{
    m->random ^= m->random >> 12;
    m->random ^= m->random << 25;
    m->random ^= m->random >> 27;
    return m->random * UINT64_C(2685821657736338717);
}

static int below(struct model *m, int n)
{
    return (int)((next(m) >> 11) % (uint64_t)n);
}

static int maybe(struct model *m, int n)
{
    return below(m, 4) == 0 ? -1 : below(m, n);
}

static struct grant random_grant(struct model *m)
{
    struct grant g = {.note = below(m, 3) == 0,
                      .action = (enum action_kind)below(m, 3),
                      .relation = (enum relation)below(m, RELATIONS)};
    if (g.note) g.way = (enum way)below(m, OF);
    if (g.note && g.way == ROWS) g.relation = ALL;
    if (g.note && m->with_of && g.action == ACTION_READ) g.way = ROWS, g.relation = ALL;
    if (!g.note && m->with_of && below(m, 4) == 0) g.way = OF, g.action = ACTION_READ;
    if (!g.note && below(m, 3) == 0) g.fields = 1 + (unsigned)below(m, 3);
    return g;
}

static void randomize(struct model *m)
{
    m->with_of = below(m, 2);
    for (int r = 0; r < ROLES; r++)
        for (int i = 0; i < GRANTS; i++)
            m->grants[r][i] = random_grant(m);
    for (int u = 0; u < USERS; u++) {
        m->manager[u] = u ? maybe(m, u) : -1;
        m->direction[u] = maybe(m, 3);
        m->company[u] = maybe(m, PARTNERS);
        for (int r = 0; r < ROLES; r++)
            m->has_role[u][r] = below(m, 2);
    }
    for (int i = 0; i < DEALS; i++)
        m->deals[i] = (struct deal){maybe(m, USERS), maybe(m, USERS), maybe(m, 3), maybe(m, PARTNERS)};
    for (int i = 0; i < NOTES; i++)
        m->notes[i] = (struct note){maybe(m, DEALS), maybe(m, DEALS)};
}

static bool reports_to(const struct model *m, int who, int boss)
{
    for (int at = who < 0 ? -1 : m->manager[who]; at >= 0; at = m->manager[at])
        if (at == boss) return true;
    return false;
}

static bool related(const struct model *m, int user, enum relation r, const struct deal *d)
{
    switch (r) {
    case ALL: return true;
    case OWNER: return d->owner == user || d->author == user;
    case TEAM: return reports_to(m, d->owner, user);
    case DIRECTION: return d->direction >= 0 && d->direction == m->direction[user];
    case COMPANY: return d->partner >= 0 && d->partner == m->company[user];
    default: return false;
    }
}

static bool may_note(const struct model *m, int user, enum action_kind action, const struct note *n);

/* With `field` (a bit): may the field be touched on this row? */
static bool may_deal(const struct model *m, int user, enum action_kind action, int deal, unsigned field)
{
    for (int r = 0; r < ROLES; r++)
        for (int i = 0; m->has_role[user][r] && i < GRANTS; i++) {
            const struct grant *g = &m->grants[r][i];
            if (g->note || g->action != action || (field && g->fields && !(g->fields & field))) continue;
            bool yes = g->way == ROWS && related(m, user, g->relation, &m->deals[deal]);
            for (int k = 0; g->way == OF && !yes && k < NOTES; k++)
                yes = m->notes[k].deal == deal && may_note(m, user, ACTION_READ, &m->notes[k]);
            if (yes) return true;
        }
    return false;
}

static bool may_note(const struct model *m, int user, enum action_kind action, const struct note *n)
{
    for (int r = 0; r < ROLES; r++)
        for (int i = 0; m->has_role[user][r] && i < GRANTS; i++) {
            const struct grant *g = &m->grants[r][i];
            int deal = g->way == FOLLOW_DEAL ? n->deal : n->about;
            if (!g->note || g->action != action) continue;
            if (g->way == ROWS) return true;
            if (deal < 0) continue;
            if (may_deal(m, user, action == ACTION_READ ? ACTION_READ : ACTION_UPDATE, deal, 0)) return true;
        }
    return false;
}

/* ---- the same, declared and stored ---- */

static const char *const actions[] = {"create", "read", "update"};

static void write_lua(const struct model *m, struct buf *b)
{
    for (int r = 0; r < ROLES; r++) {
        buf_printf(b, "role 'r%d' { label = 'x', partner = true", r);
        for (int i = 0; i < GRANTS; i++) {
            const struct grant *g = &m->grants[r][i];
            buf_printf(b, ",\n  allow { '%s', '%s'", actions[g->action], g->note ? "note" : "deal");
            if (g->way == ROWS && where[g->relation]) buf_printf(b, ", where = '%s'", where[g->relation]);
            if (g->way == FOLLOW_DEAL) buf_cstr(b, ", follow = 'deal'");
            if (g->way == FOLLOW_ABOUT) buf_cstr(b, ", follow = 'about', to = { 'deal' }");
            if (g->way == OF) buf_cstr(b, ", of = 'note.deal'");
            if (g->fields)
                buf_printf(b, ", fields = { 'name'%s%s }", g->fields & 1 ? ", 'amount'" : "",
                           g->fields & 2 ? ", 'secret'" : "");
            buf_cstr(b, " }");
        }
        buf_cstr(b, " }\n");
    }
}

static const char *id(struct house *h, int base, int n)
{
    return n < 0 ? "NULL" : arena_printf(&h->arena, "%d", base + n);
}

static const char *code(struct house *h, int n)
{
    return n < 0 ? "NULL" : arena_printf(&h->arena, "'d%d'", n);
}

static void store(struct house *h, const struct model *m)
{
    for (int u = 0; u < USERS; u++) {
        house_sql(h, arena_printf(&h->arena,
                                  "INSERT INTO \"user\" (id, created_at, updated_at, version, active, login, "
                                  "manager, direction, partner) "
                                  "VALUES (%d, 0, 0, 1, 1, 'u%d', %s, %s, %s)",
                                  1 + u, u, id(h, 1, m->manager[u]), code(h, m->direction[u]),
                                  id(h, 20, m->company[u])));
        for (int r = 0; r < ROLES; r++)
            if (m->has_role[u][r])
                house_sql(h, arena_printf(&h->arena,
                                          "INSERT INTO \"user.roles\" (owner, target) VALUES (%d, 'r%d')",
                                          1 + u, r));
    }
    for (int i = 0; i < DEALS; i++) {
        const struct deal *d = &m->deals[i];
        house_sql(h, arena_printf(&h->arena,
                                  "INSERT INTO deal (id, created_at, created_by, updated_at, version, "
                                  "active, owner, direction, partner, amount, secret) "
                                  "VALUES (%d, 0, %s, 0, 1, 1, %s, %s, %s, 1, 2)",
                                  100 + i, id(h, 1, d->author), id(h, 1, d->owner), code(h, d->direction),
                                  id(h, 20, d->partner)));
    }
    for (int i = 0; i < NOTES; i++) {
        const struct note *n = &m->notes[i];
        house_sql(
            h,
            arena_printf(
                &h->arena,
                "INSERT INTO note (id, created_at, updated_at, version, active, deal, about, about_entity) "
                "VALUES (%d, 0, 0, 1, 1, %s, %s, %s)",
                200 + i, id(h, 100, n->deal), id(h, 100, n->about), n->about < 0 ? "NULL" : "'deal'"));
    }
}

/* ---- both asked ---- */

static void disagree(const struct model *m, const struct buf *lua, const char *what, int user, int record,
                     bool server)
{
    fail_msg("PERIGEE_SEED=%llu: user %d, %s %d: the server says %s\n%.*s", (unsigned long long)m->seed, user,
             what, record, server ? "yes" : "no", (int)lua->n, lua->p);
}

static void ask_deals(struct house *h, const struct model *m, const struct buf *lua, struct principal *p,
                      int user)
{
    const struct entity *deal = catalog_entity(h->catalog, STR("deal"));
    const struct field *denied, *amount = entity_field(deal, STR("amount")),
                                *secret = entity_field(deal, STR("secret"));
    struct filter_env env = p->env;
    for (int i = 0; i < DEALS; i++)
        for (enum action_kind a = ACTION_CREATE; a <= ACTION_UPDATE; a++)
            for (unsigned touch = 0; touch < 4; touch++) {
                bool fields[64] = {0}, yes = false, wanted = may_deal(m, user, a, i, 0);
                fields[amount->index] = touch & 1, fields[secret->index] = touch & 2;
                house_must(h, access_check(h->db, p, deal, 100 + i, a, fields, &env, &h->arena, &yes, &denied,
                                           &h->error));
                if (touch & 1) wanted = wanted && may_deal(m, user, a, i, 1);
                if (touch & 2) wanted = wanted && may_deal(m, user, a, i, 2);
                if (yes != wanted)
                    disagree(m, lua, arena_printf(&h->arena, "%s (fields %u) deal", actions[a], touch), user,
                             i, yes);
                bool any = access_may(p, deal, a);
                assert_true(any || !yes);
            }
}

static void ask_notes(struct house *h, const struct model *m, const struct buf *lua, struct principal *p,
                      int user)
{
    const struct entity *note = catalog_entity(h->catalog, STR("note"));
    const struct field *denied;
    struct filter_env env = p->env;
    for (int i = 0; i < NOTES; i++)
        for (enum action_kind a = ACTION_CREATE; a <= ACTION_UPDATE; a++) {
            bool yes = false;
            house_must(
                h, access_check(h->db, p, note, 200 + i, a, NULL, &env, &h->arena, &yes, &denied, &h->error));
            if (yes != may_note(m, user, a, &m->notes[i]))
                disagree(m, lua, arena_printf(&h->arena, "%s note", actions[a]), user, i, yes);
        }
}

/* What access_why says is what access_check does. */
static void ask_why(struct house *h, const struct model *m, const struct buf *lua, struct principal *p,
                    int user)
{
    const struct entity *deal = catalog_entity(h->catalog, STR("deal"));
    struct filter_env env = p->env;
    for (int i = 0; i < DEALS; i += 5) {
        struct access_reason *r =
            access_why(h->db, p, deal, 100 + i, ACTION_READ, &env, &h->arena, &h->error);
        bool yes = false;
        house_must(h, r != NULL);
        for (; r; r = r->next) {
            yes = yes || r->matched;
            assert_true(!r->rule || (r->place.file && r->place.line > 0));
        }
        if (yes != may_deal(m, user, ACTION_READ, i, 0)) disagree(m, lua, "why read deal", user, i, yes);
    }
}

static void one_round(uint64_t seed)
{
    struct house h;
    struct buf lua;
    struct model *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->seed = seed;
    m->random = seed * 2 + 1;
    for (int i = 0; i < 10; i++)
        next(m);
    randomize(m);
    buf_init(&lua, 65536);
    write_lua(m, &lua);
    buf_char(&lua, 0);
    house_open(&h, lua.p);
    store(&h, m);
    for (int u = 0; u < USERS; u++) {
        struct principal *p = principal_load(h.db, h.catalog, 1 + u, &h.error);
        house_must(&h, p != NULL);
        p->env.now = 0;
        ask_deals(&h, m, &lua, p, u);
        ask_notes(&h, m, &lua, p, u);
        ask_why(&h, m, &lua, p, u);
        principal_unref(p);
    }
    buf_free(&lua);
    house_close(&h);
    free(m);
}

static void test_random_roles_do_what_their_grants_say(void **state)
{
    (void)state;
    const char *given = getenv("PERIGEE_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20261123;
    for (int i = 0; i < (given ? 1 : 60); i++)
        one_round(seed + (uint64_t)i);
}

/* Rules that lead from one to the other and back end at a bound, and deny there. */
static void test_rules_that_go_round_in_circles_end(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, "role 'r' { label = 'x', allow { 'read', 'deal', of = 'note.deal' }, allow { 'read', "
                   "'note', follow = 'deal' } }");
    house_sql(&h, "INSERT INTO \"user\" (id, created_at, updated_at, version, active) VALUES (1, 0, 0, 1, 1);"
                  "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'r');"
                  "INSERT INTO deal (id, created_at, updated_at, version, active) VALUES (100, 0, 0, 1, 1);"
                  "INSERT INTO note (id, created_at, updated_at, version, active, deal) VALUES (200, 0, 0, "
                  "1, 1, 100);");
    struct principal *p = principal_load(h.db, h.catalog, 1, &h.error);
    const struct field *denied;
    bool yes = true;
    house_must(&h, p && access_check(h.db, p, catalog_entity(h.catalog, STR("deal")), 100, ACTION_READ, NULL,
                                     &p->env, &h.arena, &yes, &denied, &h.error));
    assert_false(yes);
    principal_unref(p);
    house_close(&h);
}

static void test_administrators_have_everything_but_what_the_server_writes(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, "role 'w' { label = 'x', all = 'write' }\nrole 'r' { label = 'x', all = 'read' }\n");
    house_sql(&h, "INSERT INTO \"user\" (id, created_at, updated_at, version, active) VALUES (1, 0, 0, 1, "
                  "1), (2, 0, 0, 1, 1), (3, 0, 0, 1, 1);"
                  "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'w'), (2, 'r');");
    static const bool may[3][2] = {{true, true}, {true, false}, {false, false}};
    for (int u = 0; u < 3; u++) {
        struct principal *p = principal_load(h.db, h.catalog, 1 + u, &h.error);
        house_must(&h, p != NULL);
        for (size_t i = 0; i < h.catalog->entity_count; i++) {
            const struct entity *e = h.catalog->entities[i];
            assert_int_equal(access_may(p, e, ACTION_READ), may[u][0]);
            for (enum action_kind a = ACTION_CREATE; a < ACTION_KIND_COUNT; a++)
                if (a != ACTION_READ) assert_int_equal(access_may(p, e, a), may[u][1] && !e->server);
            for (size_t k = 0; k < e->field_count; k++)
                if (!e->fields[k]->hidden)
                    assert_int_equal(access_field(p, e, e->fields[k], ACTION_READ),
                                     may[u][0] ? ACCESS_ALWAYS : ACCESS_NEVER);
        }
        principal_unref(p);
    }
    house_close(&h);
}

static size_t sql_length(struct house *h, int64_t user, const char *entity)
{
    struct principal *p = principal_load(h->db, h->catalog, user, &h->error);
    house_must(h, p != NULL);
    struct sql q;
    sql_init(&q, &h->arena);
    assert_true(access_row_sql(p, catalog_entity(h->catalog, str_of(entity)), ACTION_READ, "t", &q));
    size_t n = q.text.n;
    sql_free(&q);
    principal_unref(p);
    return n;
}

/* Otherwise somebody with six roles would wait twenty seconds for a list of tasks. */
static void test_rules_that_roles_share_are_compiled_once(void **state)
{
    (void)state;
    struct house h;
    house_open(&h, "local function common() return { allow { 'read', 'note', follow = 'about' }, allow { "
                   "'read', 'deal', where = 'owner = @me' } } end\n"
                   "for _, code in ipairs { 'a', 'b', 'c', 'd', 'e', 'f' } do role(code) { label = 'x', "
                   "common() } end\n");
    house_sql(&h, "INSERT INTO \"user\" (id, created_at, updated_at, version, active) VALUES (1, 0, 0, 1, "
                  "1), (2, 0, 0, 1, 1);"
                  "INSERT INTO \"user.roles\" (owner, target) VALUES (1, 'a'), (2, 'a'), (2, 'b'), (2, 'c'), "
                  "(2, 'd'), (2, 'e'), (2, 'f');");
    assert_int_equal(sql_length(&h, 1, "note"), sql_length(&h, 2, "note"));
    assert_int_equal(sql_length(&h, 1, "deal"), sql_length(&h, 2, "deal"));
    house_close(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_roles_do_what_their_grants_say),
        cmocka_unit_test(test_rules_that_go_round_in_circles_end),
        cmocka_unit_test(test_rules_that_roles_share_are_compiled_once),
        cmocka_unit_test(test_administrators_have_everything_but_what_the_server_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
