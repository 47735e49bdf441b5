/* backup.c: copies of a database while it is used (SQLite's online backup), each checked before it is called
 * one, and the way back. */
#include "store/engine.h"
#include "store/store.h"
#include "store/trail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

bool store_secret(struct db *d, unsigned char secret[32], struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT value FROM perigee_meta WHERE key = 'secret'"), e);
    if (!s) return false;
    bool row = stmt_step(s, e) == STEP_ROW;
    struct str hex = row ? stmt_text(s, 0) : (struct str){NULL, 0};
    for (size_t i = 0; i < 32 && hex.n == 64; i++) {
        unsigned value = 0;
        sscanf(hex.p + i * 2, "%2x", &value);
        secret[i] = (unsigned char)value;
    }
    db_release(s);
    return hex.n == 64 ? true
                       : error_set(e, ERROR_UNAVAILABLE, "the database has no secret: it was not prepared",
                                   "в базе нет ключа: она не подготовлена");
}

static bool check_pragma(struct db *d, const char *pragma, struct error *e)
{
    struct stmt *s = db_prepare(d, str_of(pragma), e);
    if (!s) return false;
    bool ok = true;
    enum step step;
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

static bool check_keys(struct db *d, struct error *e)
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

#define LINKS_AT_START 1000

/* At start only what takes a bounded time: the last links of the log. */
bool store_check(struct db *d, bool full, struct error *e)
{
    int64_t last = 0, bad = 0, count = 0;
    struct stmt *s = db_prepare(d, STR("SELECT coalesce(max(seq), 0) FROM perigee_log"), e);
    if (!s) return false;
    bool ok = stmt_step(s, e) == STEP_ROW;
    last = ok ? stmt_int(s, 0) : 0;
    db_release(s);
    int64_t from = full || last < LINKS_AT_START ? 1 : last - LINKS_AT_START;
    if (!ok || !trail_verify(d, from, &bad, &count, e)) return false;
    if (bad)
        return error_set(e, ERROR_UNAVAILABLE,
                         "the log does not follow from itself at entry %lld: it was changed",
                         "журнал изменён: запись %lld не следует из предыдущей", (long long)bad);
    return !full || (check_pragma(d, "PRAGMA integrity_check", e) && check_keys(d, e));
}

static bool copy(sqlite3 *from, sqlite3 *to, struct error *e)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", from, "main");
    if (!b)
        return error_set(e, ERROR_INTERNAL, "the copy cannot start: %s", "копирование не начинается: %s",
                         sqlite3_errmsg(to));
    int code, tries = 0;
    do {
        code = sqlite3_backup_step(b, 2048);
        if (code == SQLITE_BUSY || code == SQLITE_LOCKED) {
            sqlite3_sleep(10);
            if (++tries > 3000) break;
        }
    } while (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED);
    int end = sqlite3_backup_finish(b);
    if (code == SQLITE_DONE && end == SQLITE_OK) return true;
    return error_set(e, ERROR_UNAVAILABLE, "the copy failed: %s", "копирование не удалось: %s",
                     sqlite3_errstr(code == SQLITE_DONE ? end : code));
}

/* A file of our own that nobody else can read; refuses to overwrite. */
static bool reserve(const char *path, struct error *e)
{
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        if (errno == EEXIST)
            return error_set(e, ERROR_CONFLICT, "%s exists already", "%s уже существует", path);
        return error_set(e, ERROR_UNAVAILABLE, "%s cannot be created: %s", "%s нельзя создать: %s", path,
                         strerror(errno));
    }
    close(fd);
    return true;
}

/* In one step, so that writers need not be waited out: the snapshot lasts as long as the copying. */
bool store_copy(struct db *d, const char *to, struct error *e)
{
    if (!reserve(to, e)) return false;
    sqlite3 *out = NULL;
    sqlite3_backup *b = NULL;
    int code = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK) code = sqlite3_exec(out, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    if (code == SQLITE_OK) b = sqlite3_backup_init(out, "main", d->handle, "main");
    if (b) {
        code = sqlite3_backup_step(b, -1);
        int end = sqlite3_backup_finish(b);
        code = code == SQLITE_DONE ? end : code;
    } else if (code == SQLITE_OK) {
        code = sqlite3_errcode(out);
    }
    sqlite3_close(out);
    if (code == SQLITE_OK) return true;
    unlink(to);
    return error_set(e, ERROR_UNAVAILABLE, "the copy failed: %s", "копирование не удалось: %s",
                     sqlite3_errstr(code));
}

static bool checked_copy(const char *path, struct error *e)
{
    struct db *d = db_open(path, DB_READ, e);
    bool ok = d && store_check(d, true, e);
    db_close(d);
    return ok;
}

bool store_backup(struct db *d, const char *to, struct error *e)
{
    if (!reserve(to, e)) return false;
    sqlite3 *out = NULL;
    bool ok = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) == SQLITE_OK &&
              copy(d->handle, out, e);
    /* A backup is one file: no -wal beside it. */
    ok = ok && sqlite3_exec(out, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(out);
    if (ok && checked_copy(to, e)) return true;
    unlink(to);
    return e->kind == ERROR_NONE
               ? error_set(e, ERROR_UNAVAILABLE, "%s cannot be written", "%s не записывается", to)
               : false;
}

bool store_restore(const char *from, const char *dir, struct error *e)
{
    struct stat st;
    if (stat(from, &st) != 0)
        return error_set(e, ERROR_NOT_FOUND, "%s cannot be read: %s", "%s не читается: %s", from,
                         strerror(errno));
    struct db *source = db_open(from, DB_READ, e);
    if (!source) return false;
    const char *path = store_path(dir, e->arena, e);
    bool ok = store_check(source, true, e) && path && store_backup(source, path, e);
    db_close(source);
    return ok;
}
