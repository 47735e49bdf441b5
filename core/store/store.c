/* store.c: the data folder, the server's own tables (store_tables.h) and the small values in them: meta,
 * epoch, record numbers. */
#include "store/store.h"

#include "store/engine.h"
#include "store/store_tables.h"

#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_BYTES 32

/* ---- the folder ---- */

static bool folder_failed(const char *dir, struct error *e)
{
    if (errno == EACCES || errno == EPERM || errno == EROFS)
        return error_set(e, ERROR_UNAVAILABLE, "the data folder %s is not writable",
                         "в папку данных %s нельзя писать", dir);
    return error_set(e, ERROR_UNAVAILABLE, "cannot create the data folder %s: %s",
                     "не удалось создать папку данных %s: %s", dir, strerror(errno));
}

/* mkdir -p, private all the way. */
static bool make_folder(char *dir, struct error *e)
{
    for (char *slash = dir + 1;; slash++) {
        if (*slash != '/' && *slash != '\0') continue;
        char end = *slash;
        *slash = '\0';
        int failed = mkdir(dir, 0700) != 0 && errno != EEXIST && (end == '\0' || access(dir, F_OK) != 0);
        if (failed) folder_failed(dir, e);
        *slash = end;
        if (failed || end == '\0') return !failed;
    }
}

bool store_make_folder(const char *dir, struct error *e)
{
    char *copy = arena_dup(e->arena, str_of(dir));
    return copy ? make_folder(copy, e) : error_no_memory(e);
}

const char *store_path(const char *dir, struct arena *arena, struct error *e)
{
    if (!dir || !*dir) {
        error_set(e, ERROR_UNAVAILABLE, "the data folder has no name", "не указана папка данных");
        return NULL;
    }
    char *copy = arena_dup(arena, str_of(dir)), *files = arena_printf(arena, "%s/files", dir);
    char *path = arena_printf(arena, "%s/perigee.db", dir), *spool = arena_printf(arena, "%s/spool", dir);
    struct stat st;
    if (!copy || !files || !path || !spool) {
        error_no_memory(e);
        return NULL;
    }
    if (stat(dir, &st) == 0 && !S_ISDIR(st.st_mode)) {
        error_set(e, ERROR_UNAVAILABLE, "%s is not a folder", "%s не является папкой", dir);
        return NULL;
    }
    if (!make_folder(copy, e)) return NULL;
    if (access(dir, R_OK | W_OK | X_OK) != 0 || (mkdir(files, 0700) != 0 && errno != EEXIST) ||
        (mkdir(spool, 0700) != 0 && errno != EEXIST)) {
        folder_failed(dir, e);
        return NULL;
    }
    return path;
}

/* ---- one statement, few values ---- */

/* Steps once; the statement stays open for its columns. NULL: failed. */
static struct stmt *first_row(struct db *d, struct str sql, struct str text, bool *row, struct error *e)
{
    struct stmt *s = db_prepare(d, sql, e);
    if (!s) return NULL;
    if (text.p) stmt_bind_text(s, 1, text);
    enum step step = stmt_step(s, e);
    *row = step == STEP_ROW;
    if (step != STEP_ERROR) return s;
    db_release(s);
    return NULL;
}

static bool read_int(struct db *d, struct str sql, int64_t *value, struct error *e)
{
    bool row;
    struct stmt *s = first_row(d, sql, (struct str){0}, &row, e);
    if (!s) return false;
    *value = row ? stmt_int(s, 0) : 0;
    db_release(s);
    return true;
}

/* ---- the server's own tables ---- */

static bool create_tables(struct db *d, struct error *e)
{
    unsigned char secret[SECRET_BYTES];
    char hex[2 * SECRET_BYTES + 1];
    randombytes_buf(secret, sizeof secret);
    sodium_bin2hex(hex, sizeof hex, secret, sizeof secret);
    return db_exec(d, store_tables_1, e) && store_meta_set(d, "secret", str_of(hex), e);
}

/* What each format adds to the one before. */
static bool bring_up(struct db *d, int64_t format, struct error *e)
{
    return (format >= 1 || create_tables(d, e)) && (format >= 2 || db_exec(d, store_tables_2, e));
}

bool store_prepare(struct db *d, struct error *e)
{
    int64_t format = 0;
    if (!read_int(d, STR("PRAGMA user_version"), &format, e)) return false;
    if (format == STORE_FORMAT) return true;
    if (!db_begin(d, true, e)) return false;
    /* Again inside: another process may have been first. */
    bool ok = read_int(d, STR("PRAGMA user_version"), &format, e);
    if (ok && format > STORE_FORMAT)
        ok = error_set(e, ERROR_UNAVAILABLE, "the database was written by a newer Perigee (format %d)",
                       "база данных записана более новой версией Perigee (формат %d)", (int)format);
    else if (ok)
        ok = bring_up(d, format, e);
    if (ok && db_commit(d, e)) return true;
    db_rollback(d);
    return false;
}

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

/* ---- small values ---- */

bool store_epoch(struct db *d, int64_t *epoch, struct error *e)
{
    return read_int(d, STR("SELECT epoch FROM perigee_epoch"), epoch, e);
}

bool store_epoch_bump(struct db *d, struct error *e)
{
    bool row;
    struct stmt *s =
        first_row(d, STR("UPDATE perigee_epoch SET epoch = epoch + 1"), (struct str){0}, &row, e);
    db_release(s);
    d->settings.known = false;
    d->settings.bumped = true;
    d->settings.version++;
    return s != NULL;
}

bool store_settings_version(struct db *d, uint64_t *version, struct error *e)
{
    struct settings_memory *m = &d->settings;
    int64_t epoch;
    if (!m->known) {
        if (!store_epoch(d, &epoch, e)) return false;
        if (epoch != m->epoch) m->version++;
        m->epoch = epoch;
        m->known = db_in_transaction(d);
    }
    *version = m->version;
    return true;
}

bool store_meta_get(struct db *d, const char *key, struct arena *arena, struct str *value, struct error *e)
{
    bool row;
    struct stmt *s = first_row(d, STR("SELECT value FROM perigee_meta WHERE key = ?"), str_of(key), &row, e);
    if (!s) return false;
    *value = row ? arena_str(arena, stmt_text(s, 0)) : (struct str){0};
    db_release(s);
    return !row || value->p || error_no_memory(e);
}

bool store_meta_set(struct db *d, const char *key, struct str value, struct error *e)
{
    struct stmt *s = db_prepare(d,
                                STR("INSERT INTO perigee_meta (key, value) VALUES (?, ?)"
                                    " ON CONFLICT (key) DO UPDATE SET value = excluded.value"),
                                e);
    if (!s) return false;
    stmt_bind_text(s, 1, str_of(key));
    stmt_bind_text(s, 2, value.p ? value : STR(""));
    bool ok = stmt_step(s, e) != STEP_ERROR;
    db_release(s);
    return ok;
}

bool store_number_next(struct db *d, const char *prefix, struct arena *arena, struct str *number,
                       struct error *e)
{
    bool row;
    struct stmt *s = first_row(d,
                               STR("INSERT INTO perigee_number (prefix, last) VALUES (?, 1)"
                                   " ON CONFLICT (prefix) DO UPDATE SET last = last + 1 RETURNING last"),
                               str_of(prefix), &row, e);
    if (!s) return false;
    const char *text = arena_printf(arena, "%s%07" PRId64, prefix, stmt_int(s, 0));
    db_release(s);
    *number = str_of(text);
    return text || error_no_memory(e);
}

bool store_number_keep(struct db *d, const char *prefix, struct str number, struct error *e)
{
    size_t n = strlen(prefix);
    int64_t at = 0;
    if (!str_starts(number, str_of(prefix))) return true;
    for (size_t i = n; i < number.n; i++) {
        if (number.p[i] < '0' || number.p[i] > '9' || at > INT64_MAX / 10 - 1) return true;
        at = at * 10 + (number.p[i] - '0');
    }
    struct stmt *s = db_prepare(d,
                                STR("INSERT INTO perigee_number (prefix, last) VALUES (?1, ?2)"
                                    " ON CONFLICT (prefix) DO UPDATE SET last = max(last, ?2)"),
                                e);
    if (!s) return false;
    stmt_bind_text(s, 1, str_of(prefix));
    stmt_bind_int(s, 2, at);
    enum step step = stmt_step(s, e);
    db_release(s);
    return step == STEP_DONE;
}
