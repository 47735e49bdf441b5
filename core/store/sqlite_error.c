/* sqlite_error.c: SQLite's result codes in words that an admin or a client can act upon. Statements, table
 * layouts and SQLite's own texts go to the log, never into an answer. https://www.sqlite.org/rescode.html */
#include "store/engine.h"

#include "base/log.h"

#include <stdio.h>

#define RETRY_SOON 1   /* seconds: somebody else writes */
#define RETRY_LATER 30 /* a person has to make room */

static bool retry(struct error *e, int64_t seconds)
{
    e->retry_after = seconds;
    return false;
}

/* "UNIQUE constraint failed: company.tax_id, company.active" → what follows the colon. */
static void remember_constraint(struct db *d)
{
    const char *message = sqlite3_errmsg(d->handle), *colon = strstr(message, "failed: ");
    snprintf(d->constraint, sizeof d->constraint, "%s", colon ? colon + strlen("failed: ") : "");
}

static bool fail_constraint(struct db *d, int code, struct error *e)
{
    d->constraint[0] = '\0';
    switch (code) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        remember_constraint(d);
        return error_set(e, ERROR_DUPLICATE, "there is such a record already", "такая запись уже есть");
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        return error_set(e, ERROR_CONFLICT,
                         "a reference leads to a record that does not exist, or is still in use",
                         "ссылка ведёт на запись, которой нет, или запись ещё используется");
    case SQLITE_CONSTRAINT_NOTNULL:
        remember_constraint(d);
        return error_set(e, ERROR_VALIDATION_FAILED, "a required value is missing",
                         "не указано обязательное значение");
    default:
        remember_constraint(d);
        return error_set(e, ERROR_VALIDATION_FAILED, "a value is outside of what its field allows",
                         "значение вне того, что допускает поле");
    }
}

static bool fail_interrupted(const struct db *d, struct error *e)
{
    if (d->deadline && !d->deadline_hard)
        return error_set(e, ERROR_BUSY, "the read takes long", "чтение занимает много времени");
    return error_set(e, ERROR_QUERY_LIMIT,
                     "the query took too long; narrow the filter or sort by an indexed field",
                     "запрос выполнялся слишком долго; сузьте фильтр или сортируйте по полю с индексом");
}

bool engine_fail_environment(int code, struct error *e)
{
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        error_set(e, ERROR_UNAVAILABLE, "the database is locked by another process",
                  "база данных занята другим процессом");
        return retry(e, RETRY_SOON);
    case SQLITE_FULL:
        error_set(e, ERROR_UNAVAILABLE, "the disk is full: nothing was saved",
                  "диск заполнен: ничего не сохранено");
        return retry(e, RETRY_LATER);
    case SQLITE_IOERR:
        error_set(e, ERROR_UNAVAILABLE, "the disk reports an error: nothing was saved",
                  "ошибка диска: ничего не сохранено");
        return retry(e, RETRY_LATER);
    case SQLITE_READONLY:
        error_set(e, ERROR_UNAVAILABLE, "the database cannot be written: it is read-only",
                  "в базу данных нельзя писать: она доступна только для чтения");
        return retry(e, RETRY_LATER);
    case SQLITE_CANTOPEN:
        error_set(e, ERROR_UNAVAILABLE,
                  "the database file cannot be opened; look at the rights of its folder",
                  "файл базы данных не открывается; проверьте права на его папку");
        return retry(e, RETRY_LATER);
    case SQLITE_CORRUPT:
        return error_set(e, ERROR_INTERNAL, "the database is damaged; restore the last backup",
                         "база данных повреждена; восстановите последнюю резервную копию");
    case SQLITE_NOTADB:
        return error_set(e, ERROR_INTERNAL, "the file is not a database, or its head is damaged",
                         "файл не является базой данных, или его начало повреждено");
    case SQLITE_NOMEM: return error_no_memory(e);
    default:
        return error_set(e, ERROR_INTERNAL, "the database reports an error",
                         "база данных сообщает об ошибке");
    }
}

bool engine_fail_in_doubt(struct error *e)
{
    error_set(e, ERROR_UNAVAILABLE,
              "the disk reports an error: the change was not confirmed; look before you repeat it",
              "ошибка диска: изменение не подтверждено; проверьте, прежде чем повторять");
    return retry(e, RETRY_LATER);
}

/* What a client may cause is no event for the log; the rest is. */
static bool is_trouble(int code)
{
    return code != SQLITE_CONSTRAINT && code != SQLITE_INTERRUPT && code != SQLITE_TOOBIG;
}

bool engine_fail(struct db *d, int code, const char *sql, struct error *e)
{
    int primary = code & 0xff;
    const char *message = sqlite3_errmsg(d->handle);
    if (primary == SQLITE_ERROR && strcmp(message, "integer overflow") == 0)
        return error_set(e, ERROR_QUERY_LIMIT, "the sum is too large", "сумма слишком велика");
    /* What a client wrote within the bounds of a filter, under rules that are long themselves. */
    if (primary == SQLITE_ERROR &&
        (strstr(message, "parser stack overflow") || strstr(message, "Expression tree is too large")))
        return error_set(e, ERROR_QUERY_LIMIT, "the conditions are nested too deeply",
                         "слишком большая вложенность условий");
    if (is_trouble(primary)) {
        d->trouble = code;
        LOG(LOG_ERROR, "database", log_i("code", code), log_s("message", message), log_s("sql", sql));
    }
    switch (primary) {
    case SQLITE_CONSTRAINT: return fail_constraint(d, code, e);
    case SQLITE_INTERRUPT: return fail_interrupted(d, e);
    case SQLITE_TOOBIG:
        return error_set(e, ERROR_PAYLOAD_TOO_LARGE, "a value is too long", "значение слишком длинное");
    default: return engine_fail_environment(code, e);
    }
}

bool engine_fail_open(sqlite3 *handle, int code, const char *path, struct error *e)
{
    LOG(LOG_ERROR, "cannot open the database", log_s("path", path), log_i("code", code),
        log_s("message", handle ? sqlite3_errmsg(handle) : sqlite3_errstr(code)));
    switch (code & 0xff) {
    case SQLITE_NOTADB:
        return error_set(e, ERROR_UNAVAILABLE, "%s is not a database, or its head is damaged",
                         "%s не база данных, или её начало повреждено", path);
    case SQLITE_CORRUPT:
        return error_set(e, ERROR_UNAVAILABLE, "the database %s is damaged; restore the last backup",
                         "база данных %s повреждена; восстановите последнюю резервную копию", path);
    case SQLITE_READONLY:
        return error_set(e, ERROR_UNAVAILABLE, "the database %s or its folder is read-only",
                         "база данных %s или её папка доступна только для чтения", path);
    case SQLITE_CANTOPEN:
        return error_set(e, ERROR_UNAVAILABLE, "cannot open the database %s; its folder must be writable",
                         "не удалось открыть базу данных %s; её папка должна быть доступна для записи", path);
    case SQLITE_BUSY:
        return error_set(e, ERROR_UNAVAILABLE, "the database %s is locked by another process",
                         "база данных %s занята другим процессом", path);
    default: return engine_fail_environment(code, e);
    }
}
