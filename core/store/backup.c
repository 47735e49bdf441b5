/* backup.c: copies of a data folder while it is used, each checked before it is called one, and the way back.
 *
 *   FOLDER/perigee.db   one snapshot (SQLite's online backup), no -wal beside it
 *   FOLDER/files/       what the snapshot may refer to: files are named by their hash and only ever added, so
 * that copying them after the database leaves none out
 *
 * A copy grows under the name FOLDER.partial and is renamed when it is whole and on disk. */
#include "store/engine.h"
#include "store/files.h"
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES_PER_STEP 2048
#define CHUNK 65536
#define DEPTH_MAX 8 /* of folders below files/ */

static bool failed(const char *path, struct error *e)
{
    switch (errno) {
    case EEXIST:
    case ENOTEMPTY: return error_set(e, ERROR_CONFLICT, "%s exists already", "%s уже существует", path);
    case ENOENT: return error_set(e, ERROR_NOT_FOUND, "there is no %s", "нет %s", path);
    case ENOSPC:
    case EDQUOT:
        return error_set(e, ERROR_UNAVAILABLE, "the disk is full: %s cannot be written",
                         "диск заполнен: %s не записывается", path);
    default: return error_set(e, ERROR_UNAVAILABLE, "%s: %s", "%s: %s", path, strerror(errno));
    }
}

static const char *below(const char *folder, const char *name, struct error *e)
{
    const char *path = arena_printf(e->arena, "%s/%s", folder, name);
    if (!path) error_no_memory(e);
    return path;
}

static bool sync_path(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) failed(path, e);
    if (fd >= 0) close(fd);
    return ok;
}

/* ---- the database ---- */

/* All steps read one snapshot: without the transaction every commit of a busy server would make SQLite begin
 * anew. */
static bool copy_pages(struct db *from, sqlite3 *to, const char *path, struct error *e)
{
    bool own = !db_in_transaction(from);
    struct stmt *s = NULL;
    if (!own || db_begin(from, false, e)) s = db_prepare(from, STR("SELECT count(*) FROM sqlite_schema"), e);
    bool pinned = s && stmt_step(s, e) == STEP_ROW;
    db_release(s);
    sqlite3_backup *b = pinned ? sqlite3_backup_init(to, "main", from->handle, "main") : NULL;
    int code = SQLITE_OK;
    while (b && code == SQLITE_OK)
        code = sqlite3_backup_step(b, PAGES_PER_STEP);
    int end = b ? sqlite3_backup_finish(b) : sqlite3_errcode(to);
    if (own) db_rollback(from);
    if (!pinned) return false;
    if (code == SQLITE_DONE && end == SQLITE_OK) return true;
    code = end == SQLITE_OK ? code : end;
    if ((code & 0xff) == SQLITE_FULL) {
        errno = ENOSPC;
        return failed(path, e);
    }
    return error_set(e, ERROR_UNAVAILABLE, "%s: the copy failed: %s", "%s: копирование не удалось: %s", path,
                     sqlite3_errstr(code));
}

static bool check_copy(const char *path, struct error *e)
{
    struct db *d = db_open(path, DB_READ, e);
    bool ok = d && store_check(d, true, e);
    db_close(d);
    return ok;
}

/* Every content that a row names is there and is what its name says. */
static bool check_files(const char *database, const char *dir, struct error *e)
{
    struct files_report found;
    struct db *d = db_open(database, DB_READ, e);
    bool ok = d && files_check(dir, d, &found, e);
    db_close(d);
    if (!ok || (found.missing == 0 && found.wrong == 0)) return ok;
    return error_set(e, ERROR_UNAVAILABLE, "%lld files are missing and %lld are damaged, such as %s",
                     "не хватает файлов: %lld, повреждено: %lld, например %s", (long long)found.missing,
                     (long long)found.wrong, found.example);
}

/* For work that is thrown away: neither checked nor synced. */
bool store_copy(struct db *d, const char *to, struct error *e)
{
    sqlite3 *out = NULL;
    struct stat st;
    if (lstat(to, &st) == 0) {
        errno = EEXIST;
        return failed(to, e);
    }
    int code = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code == SQLITE_OK) code = sqlite3_exec(out, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
    bool ok = code == SQLITE_OK ? copy_pages(d, out, to, e) : engine_fail_open(out, code, to, e);
    sqlite3_close(out);
    if (!ok) unlink(to);
    return ok;
}

static bool copy_database(struct db *from, const char *to, struct error *e)
{
    sqlite3 *out = NULL;
    int code = sqlite3_open_v2(to, &out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (code != SQLITE_OK) {
        engine_fail_open(out, code, to, e);
        sqlite3_close(out);
        return false;
    }
    bool ok = copy_pages(from, out, to, e);
    if (ok && sqlite3_exec(out, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) != SQLITE_OK)
        ok = error_set(e, ERROR_UNAVAILABLE, "%s: %s", "%s: %s", to, sqlite3_errmsg(out));
    sqlite3_close(out);
    return ok && chmod(to, 0600) == 0 && check_copy(to, e) && sync_path(to, e);
}

/* ---- the files ---- */

static bool copy_bytes(int in, int out)
{
    char chunk[CHUNK];
    ssize_t n;
    while ((n = read(in, chunk, sizeof chunk)) > 0)
        for (ssize_t done = 0, k; done < n; done += k)
            if ((k = write(out, chunk + done, (size_t)(n - done))) < 0) return false;
    return n == 0 && fsync(out) == 0;
}

static bool copy_file(const char *from, const char *to, struct error *e)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (in < 0) return failed(from, e);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = out >= 0 && copy_bytes(in, out);
    if (!ok) failed(to, e);
    if (out >= 0) close(out);
    close(in);
    return ok;
}

static bool copy_folder(const char *from, const char *to, int depth, struct error *e);

static bool copy_entry(const char *from, const char *to, int depth, struct error *e)
{
    struct stat st;
    if (lstat(from, &st) != 0)
        return errno == ENOENT || failed(from, e); /* removed meanwhile: no longer referred to */
    if (S_ISDIR(st.st_mode)) return copy_folder(from, to, depth + 1, e);
    return !S_ISREG(st.st_mode) || copy_file(from, to, e);
}

/* Names that begin with a dot are of files still being received. */
static bool copy_folder(const char *from, const char *to, int depth, struct error *e)
{
    DIR *folder = depth < DEPTH_MAX ? opendir(from) : NULL;
    if (!folder)
        return depth < DEPTH_MAX && errno == ENOENT ? mkdir(to, 0700) == 0 || failed(to, e) : failed(from, e);
    bool ok = mkdir(to, 0700) == 0 || failed(to, e);
    for (const struct dirent *i; ok && (i = readdir(folder));) {
        if (i->d_name[0] == '.') continue;
        const char *a = below(from, i->d_name, e), *b = below(to, i->d_name, e);
        ok = a && b && copy_entry(a, b, depth, e);
    }
    closedir(folder);
    return ok && sync_path(to, e);
}

static void remove_tree(const char *path, int depth, struct error *e)
{
    DIR *folder = depth < DEPTH_MAX + 2 ? opendir(path) : NULL;
    for (const struct dirent *i; folder && (i = readdir(folder));) {
        if (strcmp(i->d_name, ".") == 0 || strcmp(i->d_name, "..") == 0) continue;
        const char *inner = below(path, i->d_name, e);
        if (inner && unlink(inner) != 0) remove_tree(inner, depth + 1, e);
    }
    if (folder) closedir(folder);
    rmdir(path);
}

/* ---- both ---- */

static const char *parent_of(const char *path, struct error *e)
{
    const char *slash = strrchr(path, '/');
    if (!slash) return ".";
    const char *parent =
        slash == path ? "/" : arena_dup(e->arena, (struct str){path, (size_t)(slash - path)});
    if (!parent) error_no_memory(e);
    return parent;
}

/* "a/b/" → "a/b" */
static const char *trimmed(const char *path, struct error *e)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    const char *out = arena_dup(e->arena, (struct str){path, n});
    if (!out) error_no_memory(e);
    return out;
}

/* A folder without entries may be taken, any other thing not. */
static bool unused(const char *path, struct error *e)
{
    struct stat st;
    if (lstat(path, &st) != 0) return errno == ENOENT || failed(path, e);
    if (S_ISDIR(st.st_mode) && rmdir(path) == 0) return true;
    errno = EEXIST;
    return failed(path, e);
}

static bool copy_whole(struct db *d, const char *files, const char *to, struct error *e)
{
    to = trimmed(to, e);
    const char *partial = to ? arena_printf(e->arena, "%s.partial", to) : NULL,
               *parent = to ? parent_of(to, e) : NULL;
    if (!partial || !parent) return error_no_memory(e);
    if (!unused(to, e) || !store_make_folder(parent, e)) return false;
    if (mkdir(partial, 0700) != 0) return failed(partial, e);
    const char *database = below(partial, "perigee.db", e), *copies = below(partial, "files", e);
    bool ok = database && copies && copy_database(d, database, e) && copy_folder(files, copies, 0, e) &&
              check_files(database, partial, e) && sync_path(partial, e);
    if (ok && (!unused(to, e) || rename(partial, to) != 0)) ok = failed(to, e);
    if (!ok) remove_tree(partial, 0, e);
    return ok && sync_path(parent, e);
}

bool store_backup(struct db *d, const char *dir, const char *to, struct error *e)
{
    const char *files = below(dir, "files", e);
    return files && copy_whole(d, files, to, e);
}

bool store_restore(const char *from, const char *dir, struct error *e)
{
    struct stat st;
    if (stat(from, &st) != 0) return failed(from, e);
    const char *database = S_ISDIR(st.st_mode) ? below(from, "perigee.db", e) : from,
               *files = below(from, "files", e);
    struct db *d = database && files ? db_open(database, DB_READ, e) : NULL;
    bool ok = d && store_check(d, true, e) && copy_whole(d, files, dir, e);
    db_close(d);
    return ok;
}
