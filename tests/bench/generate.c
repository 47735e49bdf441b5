/* generate.c: fills a data folder with opportunities, fast, for the benchmark. It writes what the server
 * would have written: rows, links, numbers, stage history, search index and the log with its hash chain. Rows
 * first, without their indices, then every index over the sorted whole: building an index so takes a tenth of
 * the time of growing it row by row.
 *
 *   generate DATABASE COUNT      companies: COUNT / 10, contacts: COUNT / 5, partners: 50
 *
 * The master data and the users "admin" and "pam" must be there; no server may run. Same COUNT, same data. */
#include "base/id.h"
#include "base/text.h"
#include "store/engine.h"
#include "store/store.h"
#include "store/trail.h"

#include <stdio.h>
#include <stdlib.h>

#define DAY INT64_C(86400000)
#define PARTNERS 50
#define SPAN (400 * DAY) /* the past over which the records are spread */

static struct db *db;
static struct error err;
static struct arena arena;
static uint64_t seed = 20261125;
static int64_t now_ms, admin, pam;

static const char *const directions[] = {"cloud", "software", "hardware", "services"};
static const char *const products[] = {"cloud_server", "platform", "rack_server", "rollout"};
static const char *const stages[] = {"new",      "qualification", "discovery", "presentation", "pilot",
                                     "proposal", "negotiation",   "contract",  "payment",      "handover"};
static const char *const steps[] = {"awareness",  "awareness", "research", "research", "evaluation",
                                    "evaluation", "decision",  "decision", "purchase", "adoption"};
static const char *const words[] = {
    "server",    "storage", "migration", "licence",  "rollout",  "support",   "backup",   "network",
    "pilot",     "upgrade", "security",  "database", "analysis", "contract",  "delivery", "платформа",
    "внедрение", "сервер",  "поставка",  "обучение", "договор",  "хранилище", "проект",   "модернизация"};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "generate: %s: %s\n", what, err.detail ? err.detail : "failed");
    exit(1);
}

/* splitmix64 */
static uint64_t chance(uint64_t below)
{
    uint64_t z = seed += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static void run(const char *sql)
{
    if (!db_exec(db, sql, &err)) die(sql);
}

static int64_t number_of(const char *sql)
{
    struct stmt *s = db_prepare(db, str_of(sql), &err);
    if (!s || stmt_step(s, &err) != STEP_ROW) die(sql);
    int64_t n = stmt_int(s, 0);
    db_release(s);
    return n;
}

static struct stmt *prepare(const char *sql)
{
    struct stmt *s = db_prepare(db, str_of(sql), &err);
    if (!s) die(sql);
    return s;
}

static void insert(struct stmt *s)
{
    if (stmt_step(s, &err) != STEP_DONE) die("insert");
    stmt_reset(s);
    arena_reset(&arena);
}

/* ---- what a row needs ---- */

static int64_t made_at(int64_t i, int64_t count)
{
    return now_ms - SPAN + SPAN / count * i;
}

/* Kind 0 partner, 1 company, 2 contact, 3 opportunity, 4 stage change: apart in the bits below the time. */
static int64_t id_at(int64_t ms, int kind, int64_t i)
{
    return ((ms - INT64_C(1704067200000)) << 21) | (int64_t)kind << 18 | (i * 7919 & 0x3ffff);
}

static int64_t id_of(int kind, int64_t i, int64_t count)
{
    return id_at(made_at(i, count), kind, i);
}

static void bind_text(struct stmt *s, int at, const char *text)
{
    stmt_bind_text(s, at, str_of(text));
}

static void system_columns(struct stmt *s, int64_t id, int64_t at, int64_t who)
{
    stmt_bind_int(s, 1, id);
    stmt_bind_int(s, 2, at);
    stmt_bind_int(s, 3, who);
    stmt_bind_int(s, 4, at);
    stmt_bind_int(s, 5, who);
}

static void log_create(const char *entity, int64_t id, int64_t at, int64_t who, struct str changes)
{
    struct trail_entry entry = {.at = at,
                                .who = who,
                                .entity = str_of(entity),
                                .record = id,
                                .action = STR("create"),
                                .changes = changes,
                                .why = STR(""),
                                .script = STR(""),
                                .request = STR("generated")};
    if (!trail_append(db, &entry, &err)) die("log");
}

static struct str name_change(const char *name)
{
    return str_of(arena_printf(&arena, "{\"active\":[null,true],\"name\":[null,\"%s\"]}", name));
}

static const char *phrase(int n)
{
    struct buf b;
    buf_init(&b, 4096);
    for (int i = 0; i < n; i++)
        buf_printf(&b, "%s%s", i ? " " : "", words[chance(sizeof words / sizeof *words)]);
    const char *text = arena_dup(&arena, buf_view(&b));
    buf_free(&b);
    if (!text) die("memory");
    return text;
}

/* ---- tables ---- */

static void partners(void)
{
    struct stmt *s =
        prepare("INSERT INTO partner (id, created_at, created_by, updated_at, updated_by, version, active,"
                " name, legal_name, direction, responsible, \"name~order\")"
                " VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?, order_key(?6))");
    for (int64_t i = 0; i < PARTNERS; i++) {
        int64_t id = id_of(0, i, PARTNERS), at = made_at(i, PARTNERS);
        const char *name = arena_printf(&arena, "Partner %d", (int)i + 1);
        system_columns(s, id, at, admin);
        bind_text(s, 6, name);
        bind_text(s, 7, name);
        bind_text(s, 8, directions[i % 4]);
        stmt_bind_int(s, 9, i % 2 ? admin : pam);
        log_create("partner", id, at, admin, name_change(name));
        insert(s);
    }
    db_release(s);
}

static void companies(int64_t n)
{
    struct stmt *s = prepare(
        "INSERT INTO company (id, created_at, created_by, updated_at, updated_by, version,"
        " active, name, legal_name, tax_id, industry, direction, responsible, partner,"
        " lifecycle_step, name_key, \"name~order\") VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?, "
        "'awareness', fold(?6), order_key(?6))");
    static const char *const industries[] = {"finance", "retail", "it", "energy"};
    for (int64_t i = 0; i < n; i++) {
        int64_t id = id_of(1, i, n), at = made_at(i, n), who = i % 2 ? admin : pam;
        const char *name = arena_printf(&arena, "%s company %d", phrase(1), (int)i + 1);
        system_columns(s, id, at, who);
        bind_text(s, 6, name);
        bind_text(s, 7, name);
        bind_text(s, 8, arena_printf(&arena, "BN%08d", (int)i + 1));
        bind_text(s, 9, industries[chance(4)]);
        bind_text(s, 10, directions[chance(4)]);
        stmt_bind_int(s, 11, who);
        stmt_bind_int(s, 12, id_of(0, (int64_t)chance(PARTNERS), PARTNERS));
        log_create("company", id, at, who, name_change(name));
        insert(s);
    }
    db_release(s);
}

static void contacts(int64_t n, int64_t company_count)
{
    struct stmt *s =
        prepare("INSERT INTO contact (id, created_at, created_by, updated_at, updated_by, version,"
                " active, name, position, email, phone, company, direction, responsible, \"name~order\")"
                " VALUES (?, ?, ?, ?, ?, 1, 1, ?, 'CIO', ?, '+74951234567', ?, ?, ?, order_key(?6))");
    for (int64_t i = 0; i < n; i++) {
        int64_t id = id_of(2, i, n), at = made_at(i, n), who = i % 2 ? admin : pam;
        const char *name = arena_printf(&arena, "Person %d", (int)i + 1);
        system_columns(s, id, at, who);
        bind_text(s, 6, name);
        bind_text(s, 7, arena_printf(&arena, "person%d@example.com", (int)i + 1));
        stmt_bind_int(s, 8, id_of(1, i % company_count, company_count));
        bind_text(s, 9, directions[chance(4)]);
        stmt_bind_int(s, 10, who);
        log_create("contact", id, at, who, name_change(name));
        insert(s);
    }
    db_release(s);
}

struct opportunity_statements {
    struct stmt *row, *product, *history;
};

static void opportunity(struct opportunity_statements *to, int64_t i, int64_t n)
{
    int64_t id = id_of(3, i, n), at = made_at(i, n), who = i % 2 ? admin : pam;
    int64_t company_count = n / 10, contact_count = n / 5, amount = (int64_t)chance(100000000) + 100;
    size_t direction = chance(4), stage = chance(10);
    const char *name = arena_printf(&arena, "%s %d", phrase(3), (int)i + 1), *about = phrase(12);
    struct stmt *s = to->row;
    system_columns(s, id, at, who);
    bind_text(s, 6, arena_printf(&arena, "OPP%07lld", (long long)i + 1));
    bind_text(s, 7, name);
    stmt_bind_int(s, 8, id_of(1, (int64_t)chance((uint64_t)company_count), company_count));
    stmt_bind_int(s, 9, id_of(2, (int64_t)chance((uint64_t)contact_count), contact_count));
    stmt_bind_int(s, 10, id_of(0, (int64_t)chance(PARTNERS), PARTNERS));
    bind_text(s, 11, directions[direction]);
    stmt_bind_int(s, 12, who);
    stmt_bind_int(s, 13, pam);
    stmt_bind_int(s, 14, amount);
    stmt_bind_int(s, 15, (int64_t)(stage < 9 ? stage + 1 : 10) * 1000);
    stmt_bind_int(s, 16, at / DAY + 90);
    bind_text(s, 17, stages[stage]);
    bind_text(s, 18, steps[stage]);
    bind_text(s, 19, about);
    log_create(
        "opportunity", id, at, who,
        str_of(arena_printf(&arena,
                            "{\"active\":[null,true],\"name\":[null,\"%s\"],\"direction\":[null,\"%s\"],"
                            "\"amount\":[null,%lld],\"stage\":[null,\"%s\"],\"description\":[null,\"%s\"]}",
                            name, directions[direction], (long long)amount / 100, stages[stage], about)));
    stmt_bind_int(to->product, 1, id);
    bind_text(to->product, 2, products[direction]);
    system_columns(to->history, id_at(at, 4, i), at, who);
    stmt_bind_int(to->history, 6, id);
    bind_text(to->history, 7, stages[stage]);
    stmt_bind_int(to->history, 8, at);
    stmt_bind_int(to->history, 9, who);
    if (stmt_step(to->product, &err) != STEP_DONE || stmt_step(to->history, &err) != STEP_DONE) die("insert");
    stmt_reset(to->product);
    stmt_reset(to->history);
    insert(s);
}

static void opportunities(int64_t n)
{
    struct opportunity_statements to = {
        prepare(
            "INSERT INTO opportunity (id, created_at, created_by, updated_at, updated_by, version, active,"
            " number, name, company, contact, partner, direction, responsible, presale, amount, currency,"
            " probability, close_date, stage, lifecycle_step, status, description, stage_since, touched_at,"
            " \"name~order\")"
            " VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'RUB', ?, ?, ?, ?, 'open', ?, ?2, ?2, "
            "order_key(?7))"),
        prepare("INSERT INTO \"opportunity.products\" (owner, target) VALUES (?, ?)"),
        prepare(
            "INSERT INTO stage_change (id, created_at, created_by, updated_at, updated_by, version, active,"
            " opportunity, \"to\", at, by) VALUES (?, ?, ?, ?, ?, 1, 1, ?, ?, ?, ?)")};
    for (int64_t i = 0; i < n; i++)
        opportunity(&to, i, n);
    db_release(to.row);
    db_release(to.product);
    db_release(to.history);
    struct stmt *s = prepare("INSERT INTO perigee_number (prefix, last) VALUES ('OPP', ?)"
                             " ON CONFLICT (prefix) DO UPDATE SET last = excluded.last");
    stmt_bind_int(s, 1, n);
    insert(s);
    db_release(s);
}

/* ---- indices ---- */

static const char tables[] =
    "('opportunity', 'opportunity.products', 'stage_change', 'company', 'contact', 'perigee_log')";

/* Takes the indices of the large tables away; the statements that make them again, NULL at the end. */
static char **drop_indices(void)
{
    static char *again[256];
    size_t n = 0;
    char *names[256];
    struct stmt *s = prepare(arena_printf(
        &arena,
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name IN %s",
        tables));
    while (stmt_step(s, &err) == STEP_ROW && n < 255) {
        names[n] = strndup(stmt_text(s, 0).p, stmt_text(s, 0).n);
        again[n] = strndup(stmt_text(s, 1).p, stmt_text(s, 1).n);
        if (!names[n] || !again[n]) die("memory");
        n++;
    }
    db_release(s);
    for (size_t i = 0; i < n; i++) {
        run(arena_printf(&arena, "DROP INDEX \"%s\"", names[i]));
        free(names[i]);
    }
    return again;
}

static void search_index(const char *entity, const char *fields, const char *folded)
{
    run(arena_printf(&arena, "INSERT INTO search_%s (rowid, %s) SELECT id, %s FROM %s", entity, fields,
                     folded, entity));
}

int main(int argc, char **argv)
{
    int64_t count = argc == 3 ? atoll(argv[2]) : 0;
    if (count < 1000) {
        fprintf(stderr, "usage: generate DATABASE COUNT (1000 at least)\n");
        return 2;
    }
    arena_init(&arena, (size_t)64 << 20);
    error_init(&err, &arena, LANG_EN);
    db = db_open(argv[1], DB_WRITE, &err);
    if (!db) die(argv[1]);
    now_ms = INT64_C(1764000000000);
    admin = number_of("SELECT id FROM user WHERE login = 'admin'");
    pam = number_of("SELECT id FROM user WHERE login = 'pam'");
    if (number_of("SELECT count(*) FROM opportunity") != 0) {
        fprintf(stderr, "generate: there are opportunities already\n");
        return 1;
    }
    run("PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA cache_size=-400000;");
    if (!db_begin(db, true, &err)) die("begin");
    char **again = drop_indices();
    partners();
    companies(count / 10);
    contacts(count / 5, count / 10);
    opportunities(count);
    for (; *again; again++)
        run(*again);
    search_index("company", "name, legal_name, tax_id", "fold(name), fold(legal_name), fold(tax_id)");
    search_index("opportunity", "number, name, description", "fold(number), fold(name), fold(description)");
    search_index("contact", "name, position, email", "fold(name), fold(position), fold(email)");
    search_index("partner", "name, legal_name, tax_id",
                 "fold(name), fold(legal_name), fold(coalesce(tax_id, ''))");
    if (!db_commit(db, &err)) die("commit");
    run("PRAGMA wal_checkpoint(TRUNCATE)");
    db_close(db);
    arena_free(&arena);
    return 0;
}
