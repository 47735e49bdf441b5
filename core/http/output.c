/* output.c: bytes on their way to the socket. Answers of one pass are collected in the loop's buffer; one
 * try_write sends them. What the socket does not take is copied into a write job and libuv sends it when it
 * can. */
#include "http/connection.h"

#include <stdlib.h>

#define PIECES_MAX 6

struct write_job {
    uv_write_t request;
    struct connection *connection;
    char *owned; /* malloc'd bytes taken over, or NULL */
    char bytes[];
};

size_t output_pending(const struct connection *c)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&c->handle);
}

struct buf *output_begin(struct connection *c)
{
    struct http_loop *loop = c->loop;
    if (loop->out_owner && (loop->out_owner != c || loop->out.n >= WRITE_BUFFER))
        output_flush(loop->out_owner);
    loop->out_owner = c;
    return &loop->out;
}

static void on_written(uv_write_t *request, int status)
{
    struct write_job *job = request->data;
    struct connection *c = job->connection;
    free(job->owned);
    free(job);
    c->writes--;
    if (c->state == CONNECTION_CLOSED) return;
    if (status < 0)
        connection_close(c);
    else if (c->writes == 0)
        connection_drained(c);
}

/* Queues the pieces from byte `skip` on; all but an owned last one are copied. */
static bool queue(struct connection *c, const struct str *pieces, size_t n, size_t skip, struct buf *owned)
{
    size_t copy = 0, rest[PIECES_MAX + 1];
    for (size_t i = 0; i < n; i++) {
        size_t cut = skip < pieces[i].n ? skip : pieces[i].n;
        skip -= cut;
        rest[i] = pieces[i].n - cut;
        copy += owned && i == n - 1 ? 0 : rest[i];
    }
    struct write_job *job = malloc(sizeof *job + copy);
    if (!job) return false;
    *job = (struct write_job){.connection = c};
    job->request.data = job;
    char *at = job->bytes;
    for (size_t i = 0; i < n; i++) {
        if (rest[i] == 0 || (owned && i == n - 1)) continue;
        memcpy(at, pieces[i].p + pieces[i].n - rest[i], rest[i]);
        at += rest[i];
    }
    uv_buf_t bufs[2] = {uv_buf_init(job->bytes, (unsigned)copy)};
    unsigned count_ = copy > 0 ? 1 : 0;
    if (owned && rest[n - 1] > 0) {
        char *from = owned->p + pieces[n - 1].n - rest[n - 1];
        bufs[count_++] = uv_buf_init(from, (unsigned)rest[n - 1]);
        job->owned = owned->p;
        buf_init(owned, owned->toobig);
    }
    if (uv_write(&job->request, (uv_stream_t *)&c->handle, bufs, count_, on_written) < 0) {
        free(job->owned);
        free(job);
        return false;
    }
    c->writes++;
    return true;
}

static size_t try_now(struct connection *c, const struct str *pieces, size_t n, int *error)
{
    uv_buf_t bufs[PIECES_MAX + 1];
    unsigned used = 0;
    for (size_t i = 0; i < n; i++)
        if (pieces[i].n > 0)
            bufs[used++] = uv_buf_init((char *)(uintptr_t)pieces[i].p, (unsigned)pieces[i].n);
    int sent = used && c->writes == 0 ? uv_try_write((uv_stream_t *)&c->handle, bufs, used) : 0;
    *error = sent < 0 && sent != UV_EAGAIN ? sent : 0;
    return sent > 0 ? (size_t)sent : 0;
}

static void send_all(struct connection *c, const struct str *pieces, size_t n, struct buf *owned)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += pieces[i].n;
    if (total == 0 || c->state == CONNECTION_CLOSED) return;
    int error = 0;
    size_t sent = try_now(c, pieces, n, &error);
    count(&c->loop->counters.bytes_out, total);
    c->moved += total;
    if (error || (sent < total && !queue(c, pieces, n, sent, owned)))
        connection_close(c);
    else if (sent < total)
        connection_update_wait(c);
}

void output_flush(struct connection *c)
{
    struct http_loop *loop = c->loop;
    if (loop->out_owner != c) return;
    loop->out_owner = NULL;
    struct str all = buf_view(&loop->out);
    if (loop->out.failed) /* no memory for it: better no answer than half of one */
        connection_close(c);
    else
        send_all(c, &all, 1, NULL);
    if (loop->out.cap > 4 * WRITE_BUFFER) buf_free(&loop->out);
    buf_reset(&loop->out);
}

void output_send(struct connection *c, const struct str *pieces, size_t n, struct buf *owned)
{
    struct str all[PIECES_MAX + 1] = {{0}};
    size_t used = 0;
    struct http_loop *loop = c->loop;
    bool collected = loop->out_owner == c;
    if (collected && !loop->out.failed) all[used++] = buf_view(&loop->out);
    for (size_t i = 0; i < n && used <= PIECES_MAX; i++)
        all[used++] = pieces[i];
    if (collected && loop->out.failed)
        connection_close(c);
    else
        send_all(c, all, used, owned);
    if (collected) {
        loop->out_owner = NULL;
        buf_reset(&loop->out);
    }
}
