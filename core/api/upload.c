/* upload.c: request bodies that are too large for memory: they go to a file of DIR/spool as they come.
 *
 *   head ─► upload_headers: endpoint, who, may they (the endpoint's handler) ─► sink ─► on_data: 128 KiB
 *        ─► pause, a thread of libuv writes and hashes them, resume ─► … ─► the last piece and fsync ─► the
 *           lane in which the handler goes on, with c->upload
 *
 * The handler of such an endpoint runs twice: first in LANE_READ before any byte is taken, where it refuses
 * or calls upload_accept; then what it named there, with the whole file on disk. A loop thread never waits
 * for the disk. */
#include "api/app.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#define PIECE ((size_t)128 << 10)

struct sinking {
    struct upload pub;
    struct call *call; /* NULL: the client has gone */
    uv_work_t work;
    struct buf pieces;
    crypto_generichash_state hash;
    int fd, failure; /* errno */
    bool working, last;
};

static void destroy(struct sinking *s)
{
    if (s->fd >= 0) close(s->fd);
    if (s->pub.path[0] && unlink(s->pub.path) != 0 && errno != ENOENT)
        LOG(LOG_WARN, "a file of DIR/spool stays behind", log_s("reason", strerror(errno)));
    buf_free(&s->pieces);
    free(s);
}

void upload_keep(struct upload *u)
{
    u->path[0] = '\0';
}

/* ── On a thread of libuv ────────────────────────────────────────────────────────────────────── */

static bool write_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = write(fd, s.p, s.n);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        s = (struct str){s.p + n, s.n - (size_t)n};
    }
    return true;
}

static void work(uv_work_t *request)
{
    struct sinking *s = request->data;
    if (s->failure) return;
    struct str pieces = buf_view(&s->pieces);
    if (pieces.n) crypto_generichash_update(&s->hash, (const unsigned char *)pieces.p, pieces.n);
    bool ok = write_all(s->fd, pieces) && (!s->last || fsync(s->fd) == 0);
    if (!ok) s->failure = errno;
    s->pub.size += (int64_t)pieces.n;
    buf_reset(&s->pieces);
}

/* ── On the loop ─────────────────────────────────────────────────────────────────────────────── */

static void refuse(struct call *c)
{
    c->out = &c->home->scratch;
    problem_answer(c);
    call_send(c);
}

static void fail(struct sinking *s)
{
    struct call *c = s->call;
    c->upload = NULL;
    c->error.retry_after = 60;
    if (s->failure == ENOSPC || s->failure == EDQUOT)
        error_set(&c->error, ERROR_UNAVAILABLE, "the disk is full", "на диске нет места");
    else
        error_set(&c->error, ERROR_UNAVAILABLE, "the file cannot be written", "файл не записывается");
    LOG(LOG_ERROR, "an upload cannot be written", log_s("reason", strerror(s->failure)));
    destroy(s);
    refuse(c);
}

static void whole(struct sinking *s)
{
    struct call *c = s->call;
    unsigned char hash[UPLOAD_HASH];
    crypto_generichash_final(&s->hash, hash, sizeof hash);
    sodium_bin2hex(s->pub.hash, sizeof s->pub.hash, hash, sizeof hash);
    close(s->fd);
    s->fd = -1;
    c->body_text = str_of(s->pub.hash); /* what an Idempotency-Key is about */
    c->lane = c->then_lane;
    c->handle = c->then;
    c->then = NULL;
    lane_enter(c);
}

static void worked(uv_work_t *request, int status)
{
    struct sinking *s = request->data;
    s->working = false;
    if (status != 0 && !s->failure) s->failure = ECANCELED;
    if (!s->call)
        destroy(s);
    else if (s->failure)
        fail(s);
    else if (s->last)
        whole(s);
    else
        http_body_resume(s->call->x);
}

static void start_work(struct sinking *s)
{
    s->work.data = s;
    s->working = true;
    if (uv_queue_work(http_loop_uv(s->call->x->loop), &s->work, work, worked) == 0) return;
    s->working = false;
    s->failure = ENOMEM;
    fail(s);
}

static void on_data(struct http_exchange *x, void *data, struct str bytes)
{
    struct sinking *s = data;
    buf_str(&s->pieces, bytes);
    if (s->pieces.failed) {
        s->failure = ENOMEM;
        fail(s);
        return;
    }
    if (s->pieces.n < PIECE || s->working) return;
    http_body_pause(x);
    start_work(s);
}

static void on_abort(struct http_exchange *x, void *data)
{
    (void)x;
    struct sinking *s = data;
    s->call->upload = NULL;
    buf_free(&s->call->own);
    s->call = NULL;
    if (!s->working) destroy(s);
}

static bool open_file(struct call *c, struct sinking *s)
{
    char id[ID_TEXT + 1];
    id_format(id_next(), id);
    int n = snprintf(s->pub.path, sizeof s->pub.path, "%s/spool/%s", c->app->options->data, id);
    if (n < 0 || (size_t)n >= sizeof s->pub.path) s->pub.path[0] = '\0';
    s->fd = s->pub.path[0] ? open(s->pub.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (s->fd >= 0) return true;
    LOG(LOG_ERROR, "an upload cannot be written", log_s("reason", strerror(errno)));
    s->pub.path[0] = '\0';
    return error_set(&c->error, ERROR_UNAVAILABLE, "the file cannot be written", "файл не записывается");
}

static bool begin(struct call *c)
{
    struct sinking *s = calloc(1, sizeof *s);
    if (!s) return error_no_memory(&c->error);
    s->fd = -1;
    s->call = c;
    buf_init(&s->pieces, 4 * PIECE + ((size_t)1 << 20));
    crypto_generichash_init(&s->hash, NULL, 0, UPLOAD_HASH);
    if (!open_file(c, s)) {
        destroy(s);
        return false;
    }
    c->upload = &s->pub;
    c->x->body_limit = c->upload_limit;
    http_body_stream(c->x, &(struct http_body_sink){.on_data = on_data, .on_abort = on_abort, .data = s});
    return true;
}

bool upload_accept(struct call *c, int64_t limit, enum lane lane, bool (*handle)(struct call *c))
{
    c->upload_limit = limit;
    return call_continue(c, lane, handle);
}

void upload_headers(void *app, struct http_exchange *x)
{
    struct match match;
    routes_match(x->method, x->path, &match);
    if (!match.endpoint || !(match.endpoint->flags & UPLOAD)) return;
    struct call *c = dispatch_begin(app, x);
    if (!c) return; /* answered */
    c->lane = LANE_READ;
    db_budget(c->home->db, (uint64_t)c->app->options->read_budget_us * 1000, false);
    bool ok = lane_run(c, c->home, c->endpoint->handle);
    db_budget(c->home->db, 0, false);
    if (ok && c->then && begin(c)) return;
    if (!ok && c->error.kind == ERROR_BUSY) {
        error_clear(&c->error);
        c->error.retry_after = 1;
        error_set(&c->error, ERROR_UNAVAILABLE, "the server is busy", "сервер занят");
    }
    refuse(c);
}

/* The body has ended. */
bool upload_ended(struct http_exchange *x)
{
    struct call *c = x->app_data;
    if (!c || !c->upload) return false;
    struct sinking *s = (struct sinking *)c->upload;
    s->last = true;
    start_work(s);
    return true;
}

void upload_free(struct upload *u)
{
    if (u) destroy((struct sinking *)u);
}
