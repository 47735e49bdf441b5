/* check.c: is the database sound? Everything for the doctor and for copies; at a start what takes a bounded
 * time. */
#include "store/store.h"
#include "store/trail.h"

#define LINKS_AT_START 1000 /* last links of the log */
#define PAGES_AT_START 4096 /* a database of so many pages (16 MiB) is looked through at once: some 20 ms */

/* A table, or all of it (NULL). What is wrong is told in SQLite's words: it is for an administrator. */
static bool run_check(struct db *d, const char *pragma, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(pragma), e);
    if (!s) return false;
    bool ok = true;
    enum step step = STEP_DONE;
    while (ok && (step = stmt_step(s, e)) == STEP_ROW) {
        struct str said = stmt_text(s, 0);
        ok = str_is(said, "ok");
        if (!ok)
            error_set(e, ERROR_UNAVAILABLE, "the database is damaged: %.*s", "база данных повреждена: %.*s",
                      STR_ARG(said));
    }
    db_release(s);
    return ok && step == STEP_DONE;
}

static bool check_references(struct db *d, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("PRAGMA foreign_key_check"), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW)
        error_set(e, ERROR_UNAVAILABLE, "the database is damaged: a row of %.*s refers to nothing",
                  "база данных повреждена: строка таблицы %.*s ссылается в никуда", STR_ARG(stmt_text(s, 0)));
    db_release(s);
    return step == STEP_DONE;
}

static bool read_number(struct db *d, const char *sql, int64_t *value, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(sql), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    *value = step == STEP_ROW ? stmt_int(s, 0) : 0;
    db_release(s);
    return step == STEP_ROW;
}

/* A large database would take seconds: of it only the server's own small tables are looked through, without
 * which nothing works; `perigee doctor` does the rest. */
static bool quick_check(struct db *d, struct error *e)
{
    static const char *const own[] = {
        "PRAGMA quick_check('perigee_meta')", "PRAGMA quick_check('perigee_epoch')",
        "PRAGMA quick_check('perigee_number')", "PRAGMA quick_check('perigee_schema')",
        "PRAGMA quick_check('perigee_password')"};
    int64_t pages;
    if (!read_number(d, "PRAGMA page_count", &pages, e)) return false;
    if (pages <= PAGES_AT_START) return run_check(d, "PRAGMA quick_check(1)", e);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!run_check(d, own[i], e)) return false;
    return true;
}

static bool check_log(struct db *d, bool full, struct error *e)
{
    int64_t last, bad = 0, count = 0;
    if (!read_number(d, "SELECT coalesce(max(seq), 0) FROM perigee_log", &last, e)) return false;
    int64_t from = full || last <= LINKS_AT_START ? 1 : last - LINKS_AT_START;
    if (!trail_verify(d, from, &bad, &count, e)) return false;
    return !bad ||
           error_set(e, ERROR_UNAVAILABLE,
                     "the log was tampered with: entry %lld is missing, was changed, or does not follow",
                     "журнал подделан: запись %lld пропала, изменена или не следует из предыдущей",
                     (long long)bad);
}

bool store_check(struct db *d, bool full, struct error *e)
{
    bool sound =
        full ? run_check(d, "PRAGMA integrity_check", e) && check_references(d, e) : quick_check(d, e);
    return sound && check_log(d, full, e);
}
