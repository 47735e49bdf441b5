/* sqlite.c: the engine interface of db.h over SQLite: opening with the settings that durability needs,
 * transactions, and statements that are prepared once. Words for failures are in sqlite_error.c, functions
 * that SQL may call in sqlite_functions.c. */
#include "store/engine.h"
#include "store/search.h"

#include "base/clock.h"
#include "base/log.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 5000
#define BUDGET_OPS 1000 /* virtual machine steps between two looks at the clock, some 20 µs */

/* https://www.sqlite.org/pragma.html. secure_delete: Debian's build zeroes what is freed; FAST does so only
 * where the page is written anyway. mmap reads pages without a copy; its bound is what the library allows. */
static const char common_pragmas[] = "PRAGMA foreign_keys=ON;"
                                     "PRAGMA temp_store=MEMORY;"
                                     "PRAGMA mmap_size=2147418112;"
                                     "PRAGMA trusted_schema=OFF;"
                                     "PRAGMA cache_size=-8192;";

/* Checkpoints are the writer's business (writer.c); the size limit keeps a WAL that grew from staying large.
 */
static const char write_pragmas[] = "PRAGMA journal_mode=WAL;"
                                    "PRAGMA synchronous=FULL;"
                                    "PRAGMA secure_delete=FAST;"
                                    "PRAGMA wal_autocheckpoint=0;"
                                    "PRAGMA journal_size_limit=67108864;"
                                    "PRAGMA cache_size=-16384;";

static void configure_library(void)
{
    /* Counting every allocation takes a lock that all threads share. */
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_initialize();
    if (sodium_init() < 0) /* the log hashes with the fastest code that this processor has */
        LOG(LOG_WARN, "libsodium did not start", log_i("slow", 1));
}

/* ---- opening ---- */

/* The file is made before SQLite does, so that nobody else can read it whatever the umask. An existing file
 * is asked about, never opened: closing any descriptor of it would drop every POSIX lock that this process
 * holds on it (https://www.sqlite.org/howtocorrupt.html §2.2), and another process would then take the
 * database for unused and remove its WAL. */
static bool file_usable(const char *path, enum db_mode mode)
{
    struct stat st;
    if (mode == DB_WRITE) {
        int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            close(fd);
            return true;
        }
        if (errno != EEXIST) return false;
    }
    if (stat(path, &st) != 0) return false;
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return false;
    }
    return faccessat(AT_FDCWD, path, mode == DB_WRITE ? R_OK | W_OK : R_OK, AT_EACCESS) == 0;
}

/* SQLite takes an empty file for a new database and words its refusals for programmers: so we look first. */
static bool file_ready(const char *path, enum db_mode mode, struct error *e)
{
    if (file_usable(path, mode)) return true;
    switch (errno) {
    case ENOENT:
        return error_set(e, ERROR_UNAVAILABLE, "there is no database %s", "нет базы данных %s", path);
    case EACCES:
    case EPERM:
        return mode == DB_WRITE ? error_set(e, ERROR_UNAVAILABLE, "no permission to write the database %s",
                                            "нет права на запись в базу данных %s", path)
                                : error_set(e, ERROR_UNAVAILABLE, "no permission to read the database %s",
                                            "нет права на чтение базы данных %s", path);
    case EROFS:
        return error_set(e, ERROR_UNAVAILABLE, "the database %s lies on a read-only file system",
                         "база данных %s лежит на файловой системе только для чтения", path);
    case ENOSPC:
    case EDQUOT:
        return error_set(e, ERROR_UNAVAILABLE, "the disk is full: cannot create %s",
                         "диск заполнен: не удалось создать %s", path);
    case EISDIR:
        return error_set(e, ERROR_UNAVAILABLE, "%s is a folder, not a database",
                         "%s это папка, а не база данных", path);
    default:
        return error_set(e, ERROR_UNAVAILABLE, "cannot open the database %s: %s",
                         "не удалось открыть базу данных %s: %s", path, strerror(errno));
    }
}

static int pragma_int(sqlite3 *handle, const char *sql, int64_t *value)
{
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(handle, sql, -1, &s, NULL);
    if (code == SQLITE_OK) {
        code = sqlite3_step(s);
        *value = code == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
        if (code == SQLITE_ROW || code == SQLITE_DONE) code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code;
}

/* Marks a new file as ours; refuses what is not ours or newer. The mark is written in a write transaction,
 * since two programs may find the same empty file. */
static bool identity(struct db *d, const char *path, struct error *e)
{
    int64_t app = 0, format = 0, tables = 0;
    int code = pragma_int(d->handle, "PRAGMA application_id", &app);
    if (code == SQLITE_OK) code = pragma_int(d->handle, "PRAGMA user_version", &format);
    if (code == SQLITE_OK) code = pragma_int(d->handle, "SELECT count(*) FROM sqlite_schema", &tables);
    if (code != SQLITE_OK) return engine_fail_open(d->handle, code, path, e);
    if (app != STORE_APPLICATION_ID && (app != 0 || tables != 0))
        return error_set(e, ERROR_UNAVAILABLE, "%s is a database of another program",
                         "%s это база данных другой программы", path);
    if (format > STORE_FORMAT)
        return error_set(e, ERROR_UNAVAILABLE,
                         "%s was written by a newer Perigee (format %d, this program knows %d)",
                         "%s записана более новой версией Perigee (формат %d, эта программа знает %d)", path,
                         (int)format, STORE_FORMAT);
    if (app == STORE_APPLICATION_ID) return true;
    if (d->mode == DB_READ)
        return error_set(e, ERROR_UNAVAILABLE, "%s is an empty database", "%s это пустая база данных", path);
    char sql[80];
    sqlite3_snprintf((int)sizeof sql, sql, "PRAGMA application_id=%d", STORE_APPLICATION_ID);
    return db_begin(d, true, e) && db_exec(d, sql, e) && db_commit(d, e);
}

static bool open_handle(struct db *d, const char *path, struct error *e)
{
    int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (d->mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    if (d->mode == DB_MEMORY)
        path = ":memory:";
    else if (!file_ready(path, d->mode, e))
        return false;
    int code = sqlite3_open_v2(path, &d->handle, flags, NULL);
    if (code != SQLITE_OK) return engine_fail_open(d->handle, code, path, e);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DQS_DDL, 0, (int *)NULL);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DQS_DML, 0, (int *)NULL);
    sqlite3_db_config(d->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
    sqlite3_busy_timeout(d->handle, BUSY_MS);
    if (!identity(d, path, e)) /* before any setting that would write */
        return false;
    code = sqlite3_exec(d->handle, common_pragmas, NULL, NULL, NULL);
    if (code == SQLITE_OK && d->mode == DB_WRITE)
        code = sqlite3_exec(d->handle, write_pragmas, NULL, NULL, NULL);
    if (code != SQLITE_OK) return engine_fail_open(d->handle, code, path, e);
    if (d->mode == DB_WRITE && sqlite3_db_readonly(d->handle, "main") == 1)
        return engine_fail_open(d->handle, SQLITE_READONLY, path, e);
    return engine_functions(d) || error_no_memory(e);
}

struct db *db_open(const char *path, enum db_mode mode, struct error *e)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, configure_library);
    struct db *d = calloc(1, sizeof *d);
    if (!d) {
        error_no_memory(e);
        return NULL;
    }
    d->mode = mode;
    arena_init(&d->scratch, 16u << 20);
    if (!open_handle(d, path, e)) {
        db_close(d);
        return NULL;
    }
    return d;
}

static void finalize_all(struct stmt_list *list)
{
    for (struct stmt *s = list->newest; s;) {
        struct stmt *next = s->older;
        sqlite3_finalize(s->handle);
        free(s);
        s = next;
    }
    *list = (struct stmt_list){0};
}

void db_close(struct db *d)
{
    if (!d) return;
    engine_search_free(d);
    finalize_all(&d->idle);
    finalize_all(&d->used);
    if (sqlite3_close(d->handle) != SQLITE_OK)
        LOG(LOG_ERROR, "database handle still in use at close", log_i("connections", 1));
    arena_free(&d->scratch);
    free(d);
}

/* ---- statements ---- */

static void list_push(struct stmt_list *list, struct stmt *s)
{
    s->newer = NULL;
    s->older = list->newest;
    if (list->newest)
        list->newest->newer = s;
    else
        list->oldest = s;
    list->newest = s;
}

static void list_remove(struct stmt_list *list, struct stmt *s)
{
    *(s->newer ? &s->newer->older : &list->newest) = s->older;
    *(s->older ? &s->older->newer : &list->oldest) = s->newer;
}

static struct stmt **bucket_of(struct db *d, uint64_t hash)
{
    return &d->bucket[hash & (STATEMENT_BUCKETS - 1)];
}

static void take_idle(struct db *d, struct stmt *s)
{
    struct stmt **at = bucket_of(d, s->hash);
    while (*at != s)
        at = &(*at)->same_bucket;
    *at = s->same_bucket;
    list_remove(&d->idle, s);
    d->idle_count--;
}

static struct stmt *prepare_new(struct db *d, struct str sql, uint64_t hash, struct error *e)
{
    struct stmt *s = calloc(1, sizeof *s);
    if (!s) {
        error_no_memory(e);
        return NULL;
    }
    *s = (struct stmt){.db = d, .hash = hash, .length = sql.n};
    const char *tail = NULL;
    int code = sqlite3_prepare_v3(d->handle, sql.p, (int)sql.n, SQLITE_PREPARE_PERSISTENT, &s->handle, &tail);
    if (code == SQLITE_OK && !s->handle) code = SQLITE_MISUSE;
    if (code != SQLITE_OK) {
        free(s);
        engine_fail(d, code, sql.p, e);
        return NULL;
    }
    return s;
}

struct stmt *db_prepare(struct db *d, struct str sql, struct error *e)
{
    return db_prepare_hashed(d, sql, str_hash(sql), e);
}

struct stmt *db_prepare_hashed(struct db *d, struct str sql, uint64_t hash, struct error *e)
{
    if (sql.n > INT32_MAX / 2) {
        error_set(e, ERROR_INTERNAL, "the statement is too long", "запрос слишком длинный");
        return NULL;
    }
    struct stmt *s = *bucket_of(d, hash);
    while (s && !(s->hash == hash && s->length == sql.n && memcmp(sqlite3_sql(s->handle), sql.p, sql.n) == 0))
        s = s->same_bucket;
    if (s)
        take_idle(d, s);
    else if (!(s = prepare_new(d, sql, hash, e)))
        return NULL;
    list_push(&d->used, s);
    return s;
}

static void forget_oldest(struct db *d)
{
    struct stmt *s = d->idle.oldest;
    take_idle(d, s);
    sqlite3_finalize(s->handle);
    free(s);
}

void db_release(struct stmt *s)
{
    if (!s) return;
    struct db *d = s->db;
    sqlite3_reset(s->handle);
    sqlite3_clear_bindings(s->handle); /* what was bound is the caller's and may go now */
    list_remove(&d->used, s);
    struct stmt **bucket = bucket_of(d, s->hash);
    s->same_bucket = *bucket;
    *bucket = s;
    list_push(&d->idle, s);
    if (++d->idle_count > STATEMENTS_KEPT) forget_oldest(d);
}

/* A bind fails only for a wrong position or no memory; the parameter is then NULL, which NOT NULL columns
 * refuse. A wrong position is a mistake of ours, so it is logged. */
static void bound(struct stmt *s, int at, int code)
{
    if (code != SQLITE_OK)
        LOG(LOG_ERROR, "cannot bind", log_i("at", at), log_i("code", code),
            log_s("sql", sqlite3_sql(s->handle)));
}

void stmt_bind_int(struct stmt *s, int at, int64_t v)
{
    bound(s, at, sqlite3_bind_int64(s->handle, at, v));
}

void stmt_bind_text(struct stmt *s, int at, struct str v)
{
    bound(s, at, sqlite3_bind_text64(s->handle, at, v.p, v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_bind_blob(struct stmt *s, int at, const void *p, size_t n)
{
    bound(s, at, sqlite3_bind_blob64(s->handle, at, p, n, SQLITE_STATIC));
}

void stmt_bind_null(struct stmt *s, int at)
{
    bound(s, at, sqlite3_bind_null(s->handle, at));
}

void stmt_bind_value(struct stmt *s, int at, struct value v)
{
    switch (v.type) {
    case VALUE_NULL: stmt_bind_null(s, at); return;
    case VALUE_TEXT:
    case VALUE_SET: stmt_bind_text(s, at, v.s); return;
    case VALUE_NUMBER:
    case VALUE_BOOL:
    case VALUE_DATE:
    case VALUE_DATETIME:
    case VALUE_ID: stmt_bind_int(s, at, v.i); return;
    }
}

enum step stmt_step(struct stmt *s, struct error *e)
{
    int code = sqlite3_step(s->handle);
    if (code == SQLITE_ROW) return STEP_ROW;
    if (code == SQLITE_DONE) return STEP_DONE;
    engine_fail(s->db, code, sqlite3_sql(s->handle), e);
    sqlite3_reset(s->handle);
    return STEP_ERROR;
}

void stmt_reset(struct stmt *s)
{
    sqlite3_reset(s->handle);
}

bool stmt_null(struct stmt *s, int at)
{
    return sqlite3_column_type(s->handle, at) == SQLITE_NULL;
}

int64_t stmt_int(struct stmt *s, int at)
{
    return sqlite3_column_int64(s->handle, at);
}

struct str stmt_text(struct stmt *s, int at)
{
    const char *p = (const char *)sqlite3_column_text(s->handle, at);
    return (struct str){p, p ? (size_t)sqlite3_column_bytes(s->handle, at) : 0};
}

struct cell stmt_cell(struct stmt *s, int at)
{
    sqlite3_value *v = sqlite3_column_value(s->handle, at);
    switch (sqlite3_value_type(v)) {
    case SQLITE_NULL: return (struct cell){.null = true};
    case SQLITE_INTEGER: return (struct cell){.i = sqlite3_value_int64(v)};
    default: break;
    }
    const char *p = (const char *)sqlite3_value_text(v);
    return (struct cell){.text = {p, p ? (size_t)sqlite3_value_bytes(v) : 0}};
}

struct str stmt_blob(struct stmt *s, int at)
{
    const char *p = sqlite3_column_blob(s->handle, at);
    return (struct str){p, p ? (size_t)sqlite3_column_bytes(s->handle, at) : 0};
}

bool db_exec(struct db *d, const char *sql, struct error *e)
{
    int code = sqlite3_exec(d->handle, sql, NULL, NULL, NULL);
    return code == SQLITE_OK || engine_fail(d, code, sql, e);
}

/* ---- transactions ---- */

static bool run(struct db *d, struct str sql, struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return false;
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

/* What undoes is never cut short by a budget: a ROLLBACK that was interrupted would leave the connection in
 * its transaction, and the next request on it without one. */
static void run_quietly(struct db *d, struct str sql)
{
    struct arena scratch;
    struct error ignored;
    uint64_t deadline = d->deadline;
    d->deadline = UINT64_MAX;
    arena_init(&scratch, 4096);
    error_init(&ignored, &scratch, LANG_EN);
    run(d, sql, &ignored);
    d->deadline = deadline;
    arena_free(&scratch);
}

/* The epoch may have been taken back, and the next one to reach that number may mean other settings. */
static void settings_undone(struct db *d)
{
    d->settings.version += d->settings.bumped;
    d->settings.known = false;
}

bool db_begin(struct db *d, bool write, struct error *e)
{
    settings_undone(d); /* a transaction that SQLite ended by itself */
    d->settings.bumped = false;
    engine_search_clear(d); /* of a transaction that SQLite ended by itself */
    d->savepoints = 0;
    d->trail = (struct trail_memory){0};
    return run(d, write ? STR("BEGIN IMMEDIATE") : STR("BEGIN"), e);
}

bool db_commit(struct db *d, struct error *e)
{
    if (!search_flush(d, e) || !engine_seal_trail(d, e)) return false;
    d->trail = (struct trail_memory){0};
    if (!run(d, STR("COMMIT"), e)) return false;
    engine_search_clear(d);
    d->settings.known = d->settings.bumped = false;
    d->savepoints = 0;
    return true;
}

void db_rollback(struct db *d)
{
    d->savepoints = 0;
    d->trail = (struct trail_memory){0};
    engine_search_clear(d);
    settings_undone(d);
    d->settings.bumped = false;
    if (db_in_transaction(d)) run_quietly(d, STR("ROLLBACK"));
}

bool db_in_transaction(struct db *d)
{
    return sqlite3_get_autocommit(d->handle) == 0;
}

bool db_references_hold(struct db *d)
{
    int open = 0, unused = 0;
    sqlite3_db_status(d->handle, SQLITE_DBSTATUS_DEFERRED_FKS, &open, &unused, 0);
    return open == 0;
}

/* All levels have one name: RELEASE and ROLLBACK TO mean the innermost of that name. */
bool db_savepoint(struct db *d, struct error *e)
{
    if (!run(d, STR("SAVEPOINT level"), e)) return false;
    d->savepoints++;
    return true;
}

/* References are checked by SQLite at COMMIT only, where a dangling one would take the whole batch with it;
 * so the outermost savepoint, which is one request, answers for its own. */
bool db_savepoint_release(struct db *d, struct error *e)
{
    if (d->savepoints == 1 && !db_references_hold(d))
        return engine_fail(d, SQLITE_CONSTRAINT_FOREIGNKEY, NULL, e);
    if (!run(d, STR("RELEASE level"), e)) return false;
    engine_search_released(d, d->savepoints);
    d->savepoints--;
    return true;
}

void db_savepoint_rollback(struct db *d)
{
    d->trail.known = false;
    settings_undone(d);
    if (db_in_transaction(d))
        engine_search_undone(d, d->savepoints);
    else
        engine_search_clear(d);
    if (d->savepoints > 0) d->savepoints--;
    if (!db_in_transaction(d)) return; /* SQLite has undone everything itself */
    run_quietly(d, STR("ROLLBACK TO level"));
    run_quietly(d, STR("RELEASE level"));
}

int64_t db_changes(struct db *d)
{
    return sqlite3_changes64(d->handle);
}

struct str db_constraint(struct db *d)
{
    return str_of(d->constraint);
}

/* ---- budget ---- */

static int spent(void *ctx)
{
    const struct db *d = ctx;
    return clock_mono() > d->deadline;
}

void db_budget(struct db *d, uint64_t ns, bool hard)
{
    d->deadline = ns ? clock_mono() + ns : 0;
    d->deadline_hard = hard;
    sqlite3_progress_handler(d->handle, ns ? BUDGET_OPS : 0, ns ? spent : NULL, d);
}

static void set_deadline(struct db *d, uint64_t deadline, bool hard)
{
    d->deadline = deadline;
    d->deadline_hard = hard;
    sqlite3_progress_handler(d->handle, deadline ? BUDGET_OPS : 0, deadline ? spent : NULL, d);
}

struct db_budget db_budget_tighten(struct db *d, uint64_t deadline)
{
    struct db_budget before = {d->deadline, d->deadline_hard};
    if (deadline && (!before.deadline || deadline < before.deadline)) set_deadline(d, deadline, true);
    return before;
}

void db_budget_restore(struct db *d, struct db_budget before)
{
    set_deadline(d, before.deadline, before.hard);
}

bool db_in_write(struct db *d)
{
    return sqlite3_db_readonly(d->handle, "main") == 0;
}

bool db_data_version(struct db *d, int64_t *version, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("PRAGMA data_version"), e);
    if (!s) return false;
    enum step step = stmt_step(s, e);
    if (step == STEP_ROW) *version = stmt_int(s, 0);
    db_release(s);
    return step == STEP_ROW;
}
