/* download.c: the bytes of a file, whole or one range (RFC 9110 §14), in constant memory.
 *
 *   handler: may they, which bytes, open ─► loop: head ─► a thread of libuv reads 256 KiB ─► loop: write,
 *   wait until the client has taken it ─► … ─► end
 *
 * Nothing that a user uploaded is ever shown as a page of ours: unknown types go out as bytes, always with
 * nosniff and a sandbox, and as an attachment unless a harmless type is asked for inline. */
#include "api/files.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define PIECE ((size_t)256 << 10)
#define POLICY                                                                                               \
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'self'"

struct download {
    struct call *call;
    uv_work_t work;
    int fd, failure;
    int64_t offset, left;
    ssize_t got;
    bool working, gone;
    const char *type;
    char piece[PIECE];
};

/* ── Which bytes ─────────────────────────────────────────────────────────────────────────────── */

enum range { RANGE_WHOLE, RANGE_PART, RANGE_NONE };

static bool digits(struct str s, int64_t *n)
{
    *n = 0;
    if (s.n == 0 || s.n > 18) return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        *n = *n * 10 + (s.p[i] - '0');
    }
    return true;
}

/* One range of bytes; several, other units and what is malformed are ignored, as RFC 9110 §14.2 allows. */
static enum range read_range(struct str field, int64_t size, int64_t *first, int64_t *last)
{
    struct str rest = field, unit = str_trim(str_cut(&rest, '='));
    *first = 0;
    *last = size - 1;
    if (!field.p || !rest.p || !str_eq_nocase(unit, STR("bytes")) || memchr(rest.p, ',', rest.n))
        return RANGE_WHOLE;
    struct str to = str_trim(rest), from = str_cut(&to, '-');
    int64_t a, b;
    if (!to.p) return RANGE_WHOLE;
    from = str_trim(from);
    to = str_trim(to);
    if (from.n == 0) {
        if (!digits(to, &b)) return RANGE_WHOLE;
        if (b == 0) return RANGE_NONE;
        *first = b < size ? size - b : 0;
        return RANGE_PART;
    }
    if (!digits(from, &a) || (to.n && !digits(to, &b))) return RANGE_WHOLE;
    if (to.n && b < a) return RANGE_WHOLE;
    if (a >= size) return RANGE_NONE;
    *first = a;
    if (to.n && b < *last) *last = b;
    return RANGE_PART;
}

/* If-Range: the range only of these very contents; a date is none of our validators. */
static bool range_wanted(struct call *c, struct str etag)
{
    struct str condition = str_trim(call_header(c, "if-range"));
    return !condition.p || str_eq(condition, etag);
}

/* ── How it is called ────────────────────────────────────────────────────────────────────────── */

/* Types that no browser runs. Everything else goes out as bytes. */
static const char *const harmless[] = {"image/png",       "image/jpeg", "image/gif", "image/webp",
                                       "application/pdf", "text/plain", NULL};
static const char *const plain[] = {"text/csv",           "application/json", "application/zip",
                                    "application/msword", "application/rtf",  "application/gzip",
                                    "audio/mpeg",         "video/mp4",        NULL};

static bool listed(const char *const *list, struct str type)
{
    for (size_t i = 0; list[i]; i++)
        if (str_is(type, list[i])) return true;
    return false;
}

static const char *served_type(struct call *c, struct str type)
{
    if (str_is(type, "text/plain")) return "text/plain; charset=utf-8";
    bool known = listed(harmless, type) || listed(plain, type) || str_starts(type, STR("application/vnd.")) ||
                 str_starts(type, STR("audio/")) || str_starts(type, STR("video/"));
    const char *own = known && !memchr(type.p, '+', type.n) ? arena_dup(c->arena, type) : NULL;
    return own ? own : "application/octet-stream";
}

/* RFC 6266: a name in ASCII for old clients, the real one as RFC 8187 has it. */
static const char *disposition(struct call *c, struct str name, bool is_inline)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_cstr(&b, is_inline ? "inline" : "attachment");
    buf_cstr(&b, "; filename=\"");
    for (size_t i = 0; i < name.n; i++) {
        unsigned char ch = (unsigned char)name.p[i];
        if ((ch & 0xC0) == 0x80) continue; /* one "_" for a character */
        buf_char(&b, ch < 0x20 || ch >= 0x7F || strchr("\"\\%;", ch) ? '_' : (char)ch);
    }
    buf_cstr(&b, "\"; filename*=UTF-8''");
    for (size_t i = 0; i < name.n; i++) {
        unsigned char ch = (unsigned char)name.p[i];
        bool own = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') ||
                   (ch && strchr("!#$&+-.^_`|~", ch));
        if (own)
            buf_char(&b, (char)ch);
        else
            buf_printf(&b, "%%%02X", ch);
    }
    const char *text = b.failed ? NULL : arena_dup(c->arena, buf_view(&b));
    buf_free(&b);
    return text;
}

/* ── Sending ─────────────────────────────────────────────────────────────────────────────────── */

static void finish(struct download *d, bool whole)
{
    struct http_exchange *x = d->call->x;
    buf_free(&d->call->own);
    if (d->fd >= 0) close(d->fd);
    free(d);
    if (whole)
        http_stream_end(x);
    else
        http_stream_abort(x);
}

static void work(uv_work_t *request)
{
    struct download *d = request->data;
    size_t n = d->left < (int64_t)PIECE ? (size_t)d->left : PIECE;
    do
        d->got = pread(d->fd, d->piece, n, d->offset);
    while (d->got < 0 && errno == EINTR);
    d->failure = d->got < 0 ? errno : d->got == 0 ? EIO : 0;
}

static void next_piece(struct download *d);

static void worked(uv_work_t *request, int status)
{
    struct download *d = request->data;
    d->working = false;
    if (d->gone || status != 0 || d->failure) {
        if (d->failure) LOG(LOG_ERROR, "a file cannot be read", log_s("reason", strerror(d->failure)));
        finish(d, false);
        return;
    }
    d->offset += d->got;
    d->left -= d->got;
    size_t pending = http_stream_write(d->call->x, (struct str){d->piece, (size_t)d->got});
    if (pending == SIZE_MAX)
        finish(d, false);
    else if (d->left == 0)
        finish(d, true);
    else if (pending < PIECE)
        next_piece(d);
}

static void next_piece(struct download *d)
{
    d->work.data = d;
    d->working = true;
    if (uv_queue_work(http_loop_uv(d->call->x->loop), &d->work, work, worked) == 0) return;
    d->working = false;
    finish(d, false);
}

static void on_drain(struct http_exchange *x, void *data)
{
    (void)x;
    struct download *d = data;
    if (!d->working) next_piece(d);
}

static void on_close(struct http_exchange *x, void *data)
{
    (void)x;
    struct download *d = data;
    d->gone = true;
    if (!d->working) finish(d, false);
}

/* At a turn of the loop of its own: the exchange may end here, and with it the call. */
static void begin(void *arg)
{
    struct download *d = arg;
    struct call *c = d->call;
    struct http_stream_events events = {.on_drain = on_drain, .on_close = on_close, .data = d};
    http_reply(c->x, c->status);
    for (const struct answer_field *f = c->fields; f; f = f->next)
        http_reply_field(c->x, f->name, f->value);
    http_stream_begin_sized(c->x, d->type, d->left, &events);
    if (c->method == HTTP_METHOD_HEAD)
        finish(d, true);
    else if (!d->working && !d->gone)
        next_piece(d);
}

/* What the handler found out. */
struct plan {
    char path[FILES_PATH];
    int64_t first, last;
    const char *type;
};

static bool start(struct call *c)
{
    const struct plan *p = c->data;
    struct download *d = malloc(sizeof *d);
    if (!d) return error_no_memory(&c->error);
    d->call = c;
    d->failure = 0;
    d->working = d->gone = false;
    d->offset = p->first;
    d->left = p->last - p->first + 1;
    d->type = p->type;
    d->fd = open(p->path, O_RDONLY | O_CLOEXEC);
    if (d->fd >= 0 && http_loop_post(c->x->loop, begin, d)) {
        c->detached = true;
        call_leave(c);
        return true;
    }
    LOG(LOG_ERROR, "a file is not where its row says", log_s("reason", strerror(errno)));
    if (d->fd >= 0) close(d->fd);
    free(d);
    return error_set(&c->error, ERROR_INTERNAL, "the file's contents are missing", "содержимого файла нет");
}

/* ── The request ─────────────────────────────────────────────────────────────────────────────── */

static bool not_satisfiable(struct call *c, int64_t size)
{
    const char *range = arena_printf(c->arena, "bytes */%lld", (long long)size);
    c->fields = NULL;
    if (range) call_field(c, "Content-Range", str_of(range));
    return call_empty(c, 416);
}

static bool plan_download(struct call *c, const struct file_row *f, int64_t first, int64_t last)
{
    struct plan *p = arena_alloc(c->arena, sizeof *p);
    if (!p || !files_path(c->app->options->data, f->hash, p->path)) return error_no_memory(&c->error);
    p->first = first;
    p->last = last;
    p->type = served_type(c, f->type);
    c->data = p;
    return call_continue(c, LANE_LOOP, start);
}

bool file_download(struct call *c)
{
    struct file_row f;
    char hex[2 * FILES_HASH + 1];
    int64_t first, last;
    struct str how = call_parameter(c, "disposition");
    if (how.p && !str_is(how, "inline") && !str_is(how, "attachment")) {
        error_add(&c->error, "disposition", "bad_value", "inline or attachment", "inline или attachment");
        return error_set(&c->error, ERROR_BAD_REQUEST, "disposition is inline or attachment",
                         "disposition: inline или attachment");
    }
    if (!file_find(c, &f)) return false;
    sodium_bin2hex(hex, sizeof hex, f.hash, sizeof f.hash);
    const char *etag = arena_printf(c->arena, "\"%.32s\"", hex);
    const char *named = disposition(c, f.name, str_is(how, "inline") && listed(harmless, f.type));
    if (!etag || !named) return error_no_memory(&c->error);
    call_field(c, "ETag", str_of(etag));
    struct str known = call_header(c, "if-none-match");
    if (known.p && http_etag_listed(known, str_of(etag), true)) return call_empty(c, 304);
    call_field(c, "Accept-Ranges", STR("bytes"));
    struct str range = range_wanted(c, str_of(etag)) ? call_header(c, "range") : (struct str){NULL, 0};
    enum range kind = read_range(range, f.size, &first, &last);
    if (kind == RANGE_NONE) return not_satisfiable(c, f.size);
    call_field(c, "Content-Disposition", str_of(named));
    call_field(c, "Content-Security-Policy", STR(POLICY));
    c->status = kind == RANGE_PART ? 206 : 200;
    const char *part =
        arena_printf(c->arena, "bytes %lld-%lld/%lld", (long long)first, (long long)last, (long long)f.size);
    if (kind == RANGE_PART && part) call_field(c, "Content-Range", str_of(part));
    return plan_download(c, &f, first, last);
}
