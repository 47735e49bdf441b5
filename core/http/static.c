/* static.c: a folder served from memory; see static.h. The folder is walked once and becomes a sorted table
 * of files, and a request's path is only ever looked up in that table, so there is no way from a path to a
 * file outside of it. With `dev` the one file that a request names is read at the request; its name must then
 * pass the same rules as the walk. */
#include "http/static.h"

#include "http/connection.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define TOTAL_MAX (64 * 1024 * 1024)
#define DEPTH_MAX 16
#define HASH_BYTES 16
#define ETAG_TEXT (2 * HASH_BYTES + 8)
#define GZIP_LEAST 512

struct file {
    char *name; /* below the root: "assets/app.js" */
    struct buf content, gzip;
    const char *type;
    char etag[ETAG_TEXT], etag_gzip[ETAG_TEXT];
    bool immutable;
};

struct http_static {
    char *prefix, *root, *real_root, *fallback, *policy, *cache;
    struct str prefix_s;
    bool dev;
    struct file *files;
    size_t n, cap, total;
};

static const char *const html_policy =
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'";

/* ── One file ────────────────────────────────────────────────────────────────────────────────── */

static const char *type_of(struct str name)
{
    static const struct {
        const char *end, *type;
    } types[] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".gif", "image/gif"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".woff", "font/woff"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/plain; charset=utf-8"},
        {".csv", "text/csv; charset=utf-8"},
        {".xml", "application/xml"},
        {".pdf", "application/pdf"},
        {".wasm", "application/wasm"},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        struct str end = str_of(types[i].end);
        if (name.n > end.n && str_eq_nocase((struct str){name.p + name.n - end.n, end.n}, end))
            return types[i].type;
    }
    return "application/octet-stream";
}

/* app.3f9a12bc.js, chunk-5TQXQ2ZL.js: eight or more hex digits or capitals and digits before the ending. */
static bool has_hash(struct str name)
{
    while (name.n > 0 && name.p[name.n - 1] != '.')
        name.n--;
    size_t run = 0, digits = 0;
    bool lower = true, upper = true;
    for (size_t i = name.n > 0 ? name.n - 1 : 0; i-- > 0; run++) {
        char c = name.p[i];
        if (c == '.' || c == '-') return run >= 8 && digits > 0 && (lower || upper);
        bool digit = c >= '0' && c <= '9';
        digits += digit;
        lower = lower && (digit || (c >= 'a' && c <= 'f'));
        upper = upper && (digit || (c >= 'A' && c <= 'Z'));
    }
    return false;
}

static bool compress_file(struct file *f)
{
    z_stream z = {0};
    if (f->content.n < GZIP_LEAST || !gzip_type(f->type) || !buf_reserve(&f->gzip, f->content.n))
        return false;
    if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK) return false;
    z.next_in = (Bytef *)f->content.p;
    z.avail_in = (uInt)f->content.n;
    z.next_out = (Bytef *)f->gzip.p;
    z.avail_out = (uInt)(f->content.n - f->content.n / 16); /* it must be worth it */
    bool ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
    if (ok) f->gzip.n = z.total_out;
    (void)deflateEnd(&z);
    return ok;
}

static void describe(struct file *f, bool compressed)
{
    unsigned char hash[HASH_BYTES];
    char hex[2 * HASH_BYTES + 1];
    struct str name = str_of(f->name);
    (void)crypto_generichash(hash, sizeof hash, (const unsigned char *)f->content.p, f->content.n, NULL, 0);
    sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
    snprintf(f->etag, sizeof f->etag, "\"%s\"", hex);
    snprintf(f->etag_gzip, sizeof f->etag_gzip, "\"%s-gz\"", hex);
    f->type = type_of(name);
    f->immutable = has_hash(name);
    if (!compressed || !compress_file(f)) buf_free(&f->gzip);
}

static void file_free(struct file *f)
{
    free(f->name);
    buf_free(&f->content);
    buf_free(&f->gzip);
}

/* Reads the whole file; symbolic links are refused. errno tells why it could not. */
static bool read_whole(const char *path, struct buf *out)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return false;
    bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    if (!ok)
        errno = ENOENT;
    else if (st.st_size > TOTAL_MAX)
        ok = (errno = EFBIG, false);
    ssize_t n = 1;
    while (ok && n > 0) {
        ok = buf_reserve(out, (size_t)(st.st_size < 4096 ? 4096 : st.st_size / 4 + 4096));
        n = ok ? read(fd, out->p + out->n, out->cap - out->n) : -1;
        if (n < 0)
            ok = ok && errno == EINTR ? (n = 1, true) : false;
        else
            out->n += (size_t)n;
    }
    close(fd);
    return ok;
}

/* ── The folder ──────────────────────────────────────────────────────────────────────────────── */

static struct file *add_file(struct http_static *s)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 32;
        struct file *more = realloc(s->files, cap * sizeof *more);
        if (!more) return NULL;
        s->files = more;
        s->cap = cap;
    }
    struct file *f = &s->files[s->n++];
    *f = (struct file){0};
    buf_init(&f->content, TOTAL_MAX + 8192);
    buf_init(&f->gzip, TOTAL_MAX);
    return f;
}

static bool load_file(struct http_static *s, const char *path, const char *name, char *why, size_t size)
{
    struct file *f = add_file(s);
    if (!f || !(f->name = strdup(name))) {
        snprintf(why, size, "out of memory");
        return false;
    }
    if (!read_whole(path, &f->content)) {
        snprintf(why, size, "cannot read %s: %s", path, strerror(errno));
        return false;
    }
    s->total += f->content.n;
    if (s->total > TOTAL_MAX) {
        snprintf(why, size, "%s holds more than %d MiB", s->root, TOTAL_MAX / 1024 / 1024);
        return false;
    }
    describe(f, true);
    return true;
}

static bool walk(struct http_static *s, const char *folder, const char *below, int depth, char *why,
                 size_t size);

static bool visit(struct http_static *s, const char *folder, const char *below, const char *entry, int depth,
                  char *why, size_t size)
{
    char path[4096], name[4096];
    struct stat st;
    int a = snprintf(path, sizeof path, "%s/%s", folder, entry);
    int b = snprintf(name, sizeof name, "%s%s", below, entry);
    if (a < 0 || b < 0 || (size_t)a >= sizeof path || (size_t)b + 1 >= sizeof name || lstat(path, &st) != 0) {
        snprintf(why, size, "cannot read %s/%s", folder, entry);
        return false;
    }
    if (S_ISREG(st.st_mode)) return load_file(s, path, name, why, size);
    if (!S_ISDIR(st.st_mode) || depth >= DEPTH_MAX) return true;
    name[b] = '/';
    name[b + 1] = '\0';
    return walk(s, path, name, depth + 1, why, size);
}

static bool walk(struct http_static *s, const char *folder, const char *below, int depth, char *why,
                 size_t size)
{
    DIR *d = opendir(folder);
    if (!d) {
        snprintf(why, size, "cannot open the folder %s: %s", folder, strerror(errno));
        return false;
    }
    bool ok = true;
    for (const struct dirent *e = NULL; ok && (e = readdir(d));)
        ok = e->d_name[0] == '.' || visit(s, folder, below, e->d_name, depth, why, size);
    closedir(d);
    return ok;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static char *dup_or(const char *s, const char *standard)
{
    return strdup(s ? s : standard);
}

struct http_static *http_static_open(const struct http_static_config *config, char *why, size_t why_size)
{
    struct http_static *s = calloc(1, sizeof *s);
    snprintf(why, why_size, "out of memory");
    if (!s) return NULL;
    s->prefix = dup_or(config->prefix, "/");
    s->root = dup_or(config->root, ".");
    s->fallback = dup_or(config->fallback, "");
    s->policy = dup_or(config->content_security_policy, html_policy);
    s->cache = dup_or(config->cache_control, "no-cache");
    s->dev = config->dev;
    if (!s->prefix || !s->root || !s->fallback || !s->policy || !s->cache || sodium_init() < 0) goto fail;
    s->prefix_s = str_of(s->prefix);
    if (s->prefix_s.n == 0 || s->prefix[0] != '/' || s->prefix[s->prefix_s.n - 1] != '/') {
        snprintf(why, why_size, "the prefix \"%s\" does not begin and end with \"/\"", s->prefix);
        goto fail;
    }
    if (!walk(s, s->root, "", 0, why, why_size)) goto fail;
    s->real_root = realpath(s->root, NULL);
    if (!s->real_root) {
        snprintf(why, why_size, "cannot open the folder %s: %s", s->root, strerror(errno));
        goto fail;
    }
    if (s->n > 0) qsort(s->files, s->n, sizeof *s->files, compare_files);
    why[0] = '\0';
    return s;
fail:
    http_static_free(s);
    return NULL;
}

void http_static_free(struct http_static *s)
{
    if (!s) return;
    for (size_t i = 0; i < s->n; i++)
        file_free(&s->files[i]);
    free(s->files);
    free(s->prefix);
    free(s->root);
    free(s->real_root);
    free(s->fallback);
    free(s->policy);
    free(s->cache);
    free(s);
}

/* ── Answering ───────────────────────────────────────────────────────────────────────────────── */

static const struct file *find(const struct http_static *s, const char *name)
{
    struct file key = {.name = (char *)(uintptr_t)name};
    return s->n ? bsearch(&key, s->files, s->n, sizeof *s->files, compare_files) : NULL;
}

/* No part is empty, hidden, "." or ".."; no backslash or control byte. */
static bool name_safe(const char *name)
{
    const char *part = name;
    for (const char *p = name;; p++) {
        if (p == part && (*p == '.' || *p == '/' || *p == '\0')) return false;
        if (*p == '\0') return true;
        if (*p == '\\' || (unsigned char)*p < 0x20) return false;
        if (*p == '/') part = p + 1;
    }
}

/* No part of the way to it is a symbolic link. */
static bool path_plain(const struct http_static *s, const char *path, const char *name)
{
    char *real = realpath(path, NULL);
    size_t n = strlen(s->real_root);
    bool ok =
        real && strncmp(real, s->real_root, n) == 0 && real[n] == '/' && strcmp(real + n + 1, name) == 0;
    free(real);
    return ok;
}

/* The file as it is on disk now. */
static bool find_now(const struct http_static *s, const char *name, struct file *f)
{
    char path[4096];
    *f = (struct file){0};
    buf_init(&f->content, TOTAL_MAX + 8192);
    buf_init(&f->gzip, TOTAL_MAX);
    int n = snprintf(path, sizeof path, "%s/%s", s->root, name);
    if (!name_safe(name) || n < 0 || (size_t)n >= sizeof path || !(f->name = strdup(name))) return false;
    if (path_plain(s, path, name) && read_whole(path, &f->content)) {
        describe(f, false);
        return true;
    }
    file_free(f);
    return false;
}

static void answer(const struct http_static *s, struct http_exchange *x, const struct file *f)
{
    bool varies = f->gzip.n > 0, gzip = varies && gzip_accepted(x);
    struct str list = http_field(x, STR("if-none-match"));
    bool same = list.p && (http_etag_listed(list, str_of(f->etag), true) ||
                           (varies && http_etag_listed(list, str_of(f->etag_gzip), true)));
    http_reply(x, same ? 304 : 200);
    http_reply_gzip(x, HTTP_GZIP_NEVER);
    http_reply_field(x, STR("ETag"), str_of(gzip ? f->etag_gzip : f->etag));
    http_reply_field(x, STR("Cache-Control"),
                     f->immutable && !s->dev ? STR("public, max-age=31536000, immutable") : str_of(s->cache));
    if (varies) http_reply_field(x, STR("Vary"), STR("Accept-Encoding"));
    /* On a 304 too: its fields replace those that the browser has kept (RFC 9111 §3.2). */
    if (str_starts(str_of(f->type), STR("text/html")))
        http_reply_field(x, STR("Content-Security-Policy"), str_of(s->policy));
    if (same) return;
    if (gzip) http_reply_field(x, STR("Content-Encoding"), STR("gzip"));
    http_reply_bytes(x, f->type, buf_view(gzip ? &f->gzip : &f->content));
}

static bool try_file(const struct http_static *s, struct http_exchange *x, const char *name)
{
    struct file now;
    const struct file *f = s->dev ? (find_now(s, name, &now) ? &now : NULL) : find(s, name);
    if (!f) return false;
    answer(s, x, f);
    http_send(x);
    if (s->dev) file_free(&now);
    return true;
}

static bool redirect(const struct http_static *s, struct http_exchange *x)
{
    http_reply(x, 308);
    http_reply_field(x, STR("Location"), s->prefix_s);
    http_send(x);
    return true;
}

bool http_static_serve(const struct http_static *s, struct http_exchange *x, bool or_404)
{
    if (x->path.n + 1 == s->prefix_s.n && str_starts(s->prefix_s, x->path)) return redirect(s, x);
    if (!str_starts(x->path, s->prefix_s)) return false;
    if (x->method != HTTP_METHOD_GET && x->method != HTTP_METHOD_HEAD) {
        http_reply(x, 405);
        http_reply_field(x, STR("Allow"), STR("GET, HEAD"));
        http_send(x);
        return true;
    }
    struct str rest = {x->path.p + s->prefix_s.n, x->path.n - s->prefix_s.n};
    bool folder = rest.n == 0 || rest.p[rest.n - 1] == '/';
    const char *name = arena_printf(x->arena, "%.*s%s", STR_ARG(rest), folder ? "index.html" : "");
    if (name && try_file(s, x, name)) return true;
    const char *last = name ? strrchr(name, '/') : NULL;
    bool dotted = name && strchr(last ? last : name, '.') && !folder;
    if (s->fallback[0] && !dotted && try_file(s, x, s->fallback)) return true;
    if (!or_404) return false;
    http_reply(x, 404);
    http_send(x);
    return true;
}
