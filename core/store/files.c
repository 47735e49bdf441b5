/* files.c: contents under DIR/files; see files.h. */
#include "store/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t)64 << 10)

static bool failed(struct error *e, const char *what)
{
    int code = errno;
    if (code == ENOSPC || code == EDQUOT)
        return error_set(e, ERROR_UNAVAILABLE, "the disk is full", "на диске нет места");
    return error_set(e, ERROR_UNAVAILABLE, "%s: %s", "%s: %s", what, strerror(code));
}

static bool folder_of(const char *dir, const unsigned char hash[FILES_HASH], char path[FILES_PATH])
{
    int n = snprintf(path, FILES_PATH, "%s/files/%02x", dir, hash[0]);
    return n > 0 && n < FILES_PATH;
}

bool files_path(const char *dir, const unsigned char hash[FILES_HASH], char path[FILES_PATH])
{
    char hex[2 * FILES_HASH + 1];
    sodium_bin2hex(hex, sizeof hex, hash, FILES_HASH);
    int n = snprintf(path, FILES_PATH, "%s/files/%.2s/%s", dir, hex, hex);
    return n > 0 && n < FILES_PATH;
}

static bool sync_folder(const char *path, struct error *e)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok) failed(e, "the folder of files cannot be synced");
    if (fd >= 0) close(fd);
    return ok;
}

static bool make_folder(const char *dir, const char *folder, struct error *e)
{
    char parent[FILES_PATH];
    if (mkdir(folder, 0700) != 0)
        return errno == EEXIST ? true : failed(e, "a folder for files cannot be made");
    snprintf(parent, sizeof parent, "%s/files", dir);
    return sync_folder(parent, e);
}

bool files_there(const char *dir, const unsigned char hash[FILES_HASH], int64_t size)
{
    char path[FILES_PATH];
    struct stat st;
    return files_path(dir, hash, path) && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == size;
}

void files_touch(const char *dir, const unsigned char hash[FILES_HASH])
{
    char path[FILES_PATH];
    /* Where this fails the content is only collected earlier than it might be. */
    if (files_path(dir, hash, path)) (void)utimensat(AT_FDCWD, path, NULL, 0);
}

bool files_place(const char *dir, const char *from, const unsigned char hash[FILES_HASH], int64_t size,
                 struct error *e)
{
    char folder[FILES_PATH], path[FILES_PATH];
    if (!folder_of(dir, hash, folder) || !files_path(dir, hash, path))
        return error_set(e, ERROR_INTERNAL, "the data folder's name is too long",
                         "слишком длинное имя папки данных");
    if (files_there(dir, hash, size)) {
        files_touch(dir, hash);
        return unlink(from) == 0 || errno == ENOENT ? true : failed(e, "the upload cannot be removed");
    }
    if (!make_folder(dir, folder, e)) return false;
    if (rename(from, path) != 0) return failed(e, "the file cannot be given its place");
    return sync_folder(folder, e);
}

/* ---- walking ---- */

typedef bool content_visitor(void *ctx, const char *path, const unsigned char hash[FILES_HASH],
                             const struct stat *st, struct error *e);

static bool hash_of_name(const char *name, unsigned char hash[FILES_HASH])
{
    size_t n = 0;
    const char *end = NULL;
    return strlen(name) == 2 * FILES_HASH &&
           sodium_hex2bin(hash, FILES_HASH, name, 2 * FILES_HASH, NULL, &n, &end) == 0 && n == FILES_HASH;
}

static bool walk_folder(const char *folder, content_visitor *each, void *ctx, struct error *e)
{
    DIR *d = opendir(folder);
    bool ok = true;
    if (!d) return errno == ENOENT ? true : failed(e, "the folder of files cannot be read");
    for (const struct dirent *f; ok && (f = readdir(d));) {
        unsigned char hash[FILES_HASH];
        char path[FILES_PATH + 512];
        struct stat st;
        if (!hash_of_name(f->d_name, hash)) continue;
        snprintf(path, sizeof path, "%s/%s", folder, f->d_name);
        if (lstat(path, &st) == 0 && S_ISREG(st.st_mode)) ok = each(ctx, path, hash, &st, e);
    }
    closedir(d);
    return ok;
}

static bool walk(const char *dir, content_visitor *each, void *ctx, struct error *e)
{
    char folder[FILES_PATH];
    for (unsigned i = 0; i < 256; i++) {
        snprintf(folder, sizeof folder, "%s/files/%02x", dir, i);
        if (!walk_folder(folder, each, ctx, e)) return false;
    }
    return true;
}

static bool named(struct db *d, const unsigned char hash[FILES_HASH], bool *yes, struct error *e)
{
    struct stmt *s = db_prepare(d, STR("SELECT 1 FROM perigee_file WHERE hash = ? LIMIT 1"), e);
    if (!s) return false;
    stmt_bind_blob(s, 1, hash, FILES_HASH);
    enum step step = stmt_step(s, e);
    db_release(s);
    *yes = step == STEP_ROW;
    return step != STEP_ERROR;
}

/* ---- collecting ---- */

struct collecting {
    struct db *db;
    int64_t before;
    bool (*each)(void *ctx, const unsigned char hash[FILES_HASH]);
    void *ctx;
};

static bool collect(void *ctx, const char *path, const unsigned char hash[FILES_HASH], const struct stat *st,
                    struct error *e)
{
    (void)path;
    struct collecting *c = ctx;
    bool yes;
    if ((int64_t)st->st_mtime > c->before) return true;
    if (!named(c->db, hash, &yes, e)) return false;
    return yes || c->each(c->ctx, hash);
}

bool files_orphans(const char *dir, struct db *d, int64_t age_s,
                   bool (*each)(void *ctx, const unsigned char hash[FILES_HASH]), void *ctx, struct error *e)
{
    struct collecting c = {.db = d, .before = (int64_t)time(NULL) - age_s, .each = each, .ctx = ctx};
    return walk(dir, collect, &c, e) || e->kind == ERROR_NONE;
}

bool files_remove_orphan(const char *dir, struct db *d, const unsigned char hash[FILES_HASH], int64_t age_s,
                         struct error *e)
{
    char path[FILES_PATH];
    struct stat st;
    bool yes;
    if (!files_path(dir, hash, path) || stat(path, &st) != 0 ||
        (int64_t)st.st_mtime > (int64_t)time(NULL) - age_s)
        return true;
    if (!named(d, hash, &yes, e)) return false;
    if (yes || unlink(path) == 0 || errno == ENOENT) return true;
    return failed(e, "a file that nobody names cannot be removed");
}

/* ---- checking ---- */

struct checking {
    const char *dir;
    struct db *db;
    struct files_report *out;
    char *piece;
};

static bool contents_match(const char *path, const unsigned char hash[FILES_HASH], char *piece)
{
    unsigned char found[FILES_HASH];
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, FILES_HASH);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    while (fd >= 0 && (n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) break;
        crypto_generichash_update(&h, (const unsigned char *)piece, (size_t)n);
    }
    if (fd >= 0) close(fd);
    crypto_generichash_final(&h, found, sizeof found);
    return n == 0 && memcmp(found, hash, FILES_HASH) == 0;
}

static bool check(void *ctx, const char *path, const unsigned char hash[FILES_HASH], const struct stat *st,
                  struct error *e)
{
    (void)st;
    struct checking *c = ctx;
    bool yes;
    c->out->contents++;
    if (!named(c->db, hash, &yes, e)) return false;
    c->out->orphans += !yes;
    if (contents_match(path, hash, c->piece)) return true;
    c->out->wrong++;
    snprintf(c->out->example, sizeof c->out->example, "%s", path);
    return true;
}

static bool check_rows(struct checking *c, struct error *e)
{
    struct stmt *s = db_prepare(c->db, STR("SELECT hash, size FROM perigee_file"), e);
    enum step step = STEP_DONE;
    if (!s) return false;
    while ((step = stmt_step(s, e)) == STEP_ROW) {
        struct str hash = stmt_blob(s, 0);
        const unsigned char *h = (const unsigned char *)hash.p;
        c->out->rows++;
        if (hash.n == FILES_HASH && files_there(c->dir, h, stmt_int(s, 1))) continue;
        c->out->missing++;
        if (hash.n == FILES_HASH) files_path(c->dir, h, c->out->example);
    }
    db_release(s);
    return step != STEP_ERROR;
}

bool files_check(const char *dir, struct db *d, struct files_report *out, struct error *e)
{
    *out = (struct files_report){0};
    struct checking c = {.dir = dir, .db = d, .out = out, .piece = malloc(PIECE)};
    if (!c.piece) return error_no_memory(e);
    bool ok = check_rows(&c, e) && walk(dir, check, &c, e);
    free(c.piece);
    return ok;
}
