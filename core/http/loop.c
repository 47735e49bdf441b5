/* loop.c: a loop thread: its handles, the queue through which other threads reach it, and its end. */
#include "http/connection.h"

#include "base/clock.h"
#include "base/log.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

/* ── Small things of a loop ──────────────────────────────────────────────────────────────────── */

const char *loop_date(struct http_loop *loop, size_t *n)
{
    int64_t second = clock_now() / 1000;
    if (second != loop->date_second || loop->date[0] == '\0') {
        static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
        time_t t = (time_t)second;
        struct tm tm;
        if (!gmtime_r(&t, &tm)) memset(&tm, 0, sizeof tm);
        snprintf(loop->date, sizeof loop->date, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d GMT\r\n",
                 days + 3 * (tm.tm_wday % 7), tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12),
                 (tm.tm_year + 1900) % 10000, tm.tm_hour % 100, tm.tm_min % 100, tm.tm_sec % 100);
        loop->date_second = second;
    }
    *n = strlen(loop->date);
    return loop->date;
}

/* splitmix64 from a random start: unique enough to name requests, not for secrets. */
uint64_t loop_random(struct http_loop *loop)
{
    uint64_t z = (loop->id_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct uv_loop_s *http_loop_uv(struct http_loop *loop)
{
    return &loop->uv;
}

void *http_loop_data(struct http_loop *loop)
{
    return loop->data;
}

void *http_loop_app(struct http_loop *loop)
{
    return loop->server->config.app;
}

unsigned http_loop_index(const struct http_loop *loop)
{
    return loop->index;
}

struct http_server *http_loop_server(struct http_loop *loop)
{
    return loop->server;
}

/* ── Messages from other threads ─────────────────────────────────────────────────────────────── */

bool http_loop_post(struct http_loop *loop, void (*fn)(void *arg), void *arg)
{
    bool ok = false, first = false;
    uv_mutex_lock(&loop->lock);
    if (!loop->closed) {
        if (loop->posted_n == loop->posted_cap) {
            size_t cap = loop->posted_cap ? loop->posted_cap * 2 : 64;
            struct posted *more = realloc(loop->posted, cap * sizeof *more);
            if (more) {
                loop->posted = more;
                loop->posted_cap = cap;
            }
        }
        if (loop->posted_n < loop->posted_cap) {
            first = loop->posted_n == 0;
            loop->posted[loop->posted_n++] = (struct posted){fn, arg};
            ok = true;
            if (first) /* inside the lock: the handle is closed only after `closed` is set */
                (void)uv_async_send(&loop->wake);
        }
    }
    uv_mutex_unlock(&loop->lock);
    return ok;
}

/* Takes the whole batch and leaves the other buffer in its place. */
static size_t take_posted(struct http_loop *loop, struct posted **batch)
{
    uv_mutex_lock(&loop->lock);
    size_t n = loop->posted_n, cap = loop->posted_cap;
    *batch = loop->posted;
    loop->posted = loop->posted_spare;
    loop->posted_cap = loop->spare_cap;
    loop->posted_n = 0;
    uv_mutex_unlock(&loop->lock);
    loop->posted_spare = *batch;
    loop->spare_cap = cap;
    return n;
}

static void run_posted(struct http_loop *loop)
{
    struct posted *batch = NULL;
    size_t n = take_posted(loop, &batch);
    for (size_t i = 0; i < n; i++)
        batch[i].fn(batch[i].arg);
}

/* ── The end ─────────────────────────────────────────────────────────────────────────────────── */

/* May be called from deep inside the application: only wakes the loop up. */
void loop_check_stop(struct http_loop *loop)
{
    if (loop->stopping && !loop->closed) (void)uv_async_send(&loop->wake);
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) uv_close(handle, NULL);
}

/* Nobody holds an exchange any more and all connections are closed: the last word of the application, then
 * the handles. */
static void finish(struct http_loop *loop)
{
    const struct http_callbacks *callbacks = &loop->server->config.callbacks;
    uv_mutex_lock(&loop->lock);
    loop->closed = true;
    uv_mutex_unlock(&loop->lock);
    run_posted(loop);
    if (callbacks->loop_stop) callbacks->loop_stop(loop->server->config.app, loop, loop->data);
    close_handle((uv_handle_t *)&loop->wake);
    close_handle((uv_handle_t *)&loop->timer);
    close_handle((uv_handle_t *)&loop->stop_timer);
    close_handle((uv_handle_t *)&loop->turn_idle);
    close_handle((uv_handle_t *)&loop->turn_end);
}

static void on_wake(uv_async_t *wake)
{
    struct http_loop *loop = wake->data;
    run_posted(loop);
    if (loop->stopping && !loop->closed && !loop->all &&
        atomic_load_explicit(&loop->counters.exchanges, memory_order_relaxed) == 0)
        finish(loop);
}

static void on_grace_over(uv_timer_t *timer)
{
    struct http_loop *loop = timer->data;
    loop->forced = true;
    connection_free_all(loop, true);
}

void loop_begin_stop(struct http_loop *loop, int64_t grace_ms)
{
    loop->stopping = true;
    close_handle((uv_handle_t *)&loop->listener);
    uv_update_time(&loop->uv);
    uv_timer_start(&loop->stop_timer, on_grace_over, grace_ms > 0 ? (uint64_t)grace_ms : 0, 0);
    connection_free_all(loop, false);
    loop_check_stop(loop);
}

/* ── The thread ──────────────────────────────────────────────────────────────────────────────── */

void loop_run(void *arg)
{
    struct http_loop *loop = arg;
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
}

static void on_turn_end(uv_prepare_t *handle)
{
    struct http_loop *loop = handle->data;
    const struct http_config *config = &loop->server->config;
    if (config->callbacks.on_turn) config->callbacks.on_turn(config->app, loop, loop->data);
}

static bool init_handles(struct http_loop *loop)
{
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) return false;
    (void)uv_timer_init(&loop->uv, &loop->timer);
    (void)uv_timer_init(&loop->uv, &loop->stop_timer);
    (void)uv_idle_init(&loop->uv, &loop->turn_idle);
    (void)uv_prepare_init(&loop->uv, &loop->turn_end);
    (void)uv_prepare_start(&loop->turn_end, on_turn_end);
    loop->turn_end.data = loop->wake.data = loop->timer.data = loop->stop_timer.data = loop->turn_idle.data =
        loop;
    return true;
}

bool loop_init(struct http_loop *loop, struct http_server *server, unsigned index)
{
    loop->server = server;
    loop->index = index;
    buf_init(&loop->out, SIZE_MAX / 2);
    buf_init(&loop->gzip_out, GZIP_BOUND);
    wait_init(loop);
    loop->read_buffer = malloc(READ_BUFFER);
    if (!loop->read_buffer ||
        getrandom(&loop->id_state, sizeof loop->id_state, 0) != (ssize_t)sizeof loop->id_state)
        goto fail;
    if (uv_mutex_init(&loop->lock) != 0) goto fail;
    if (uv_loop_init(&loop->uv) != 0) goto fail_lock;
    if (init_handles(loop)) return true;
    (void)uv_loop_close(&loop->uv);
fail_lock:
    uv_mutex_destroy(&loop->lock);
fail:
    free(loop->read_buffer);
    loop->read_buffer = NULL;
    return false;
}

/* Accepted sockets inherit these, which saves calls for each connection. A peer that has vanished without a
 * word is noticed within two minutes. */
static bool set_options(int fd)
{
    int one = 1, idle = 60, between = 15, times = 4;
    unsigned unanswered_ms = 120000;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &times, sizeof times) == 0 &&
           setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unanswered_ms, sizeof unanswered_ms) == 0;
}

bool loop_listen(struct http_loop *loop, const struct sockaddr *address, int *uv_error)
{
    uv_os_fd_t fd = -1;
    *uv_error = uv_tcp_init_ex(&loop->uv, &loop->listener, address->sa_family);
    if (*uv_error != 0) return false;
    loop->listener.data = loop;
    *uv_error = uv_fileno((uv_handle_t *)&loop->listener, &fd);
    if (*uv_error == 0 && !set_options(fd)) *uv_error = UV_EINVAL;
    if (*uv_error == 0) *uv_error = uv_tcp_bind(&loop->listener, address, 0);
    if (*uv_error == 0) *uv_error = uv_listen((uv_stream_t *)&loop->listener, 1024, connection_accept);
    return *uv_error == 0;
}

static void close_walked(uv_handle_t *handle, void *arg)
{
    (void)arg;
    close_handle(handle);
}

/* The thread has ended (or never ran). */
void loop_free(struct http_loop *loop)
{
    if (!loop->read_buffer) return;
    uv_walk(&loop->uv, close_walked, NULL);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    if (uv_loop_close(&loop->uv) != 0)
        LOG(LOG_ERROR, "a loop has handles that are still open", log_i("loop", loop->index));
    while (loop->free_exchanges) {
        struct exchange *x = loop->free_exchanges;
        loop->free_exchanges = x->next;
        arena_free(&x->arena);
        buf_free(&x->body);
        buf_free(&x->fields);
        buf_free(&x->buffer);
        free(x);
    }
    gzip_free(loop);
    buf_free(&loop->out);
    free(loop->posted);
    free(loop->posted_spare);
    free(loop->read_buffer);
    uv_mutex_destroy(&loop->lock);
}
