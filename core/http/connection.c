/* connection.c: the life of a connection: bytes in, requests out, one at a time.
 *
 *   HEAD ─► BODY ─► BUSY ─► HEAD …            keep-alive
 *     └───────┴───────┴───► LAST ─► LINGER ─► CLOSED
 *
 * connection_process is the one place where input is used up; it never runs twice at once for a connection,
 * so an application that answers from inside on_request only leaves the state behind and the loop there goes
 * on. */
#include "http/connection.h"

#include "base/clock.h"

#include <stdlib.h>
#include <sys/socket.h>

static struct str pending_view(const struct connection *c)
{
    return (struct str){c->pending.p + c->pending_off, c->pending.n - c->pending_off};
}

static void pending_drop(struct connection *c)
{
    size_t toobig = c->pending.toobig;
    buf_free(&c->pending);
    buf_init(&c->pending, toobig);
    c->pending_off = 0;
}

/* ── Closing ─────────────────────────────────────────────────────────────────────────────────── */

/* The exchange learns of it here, outside of any call of the application into us. */
static void detach_exchange(struct connection *c)
{
    struct exchange *x = c->exchange;
    if (!x) return;
    c->exchange = NULL;
    x->connection = NULL;
    if (c->was_body) {
        if (x->has_sink) x->sink.on_abort(&x->pub, x->sink.data);
        exchange_free(x);
    } else if (x->streaming && x->events.on_close) {
        void (*on_close)(struct http_exchange *, void *) = x->events.on_close;
        x->events.on_close = NULL;
        on_close(&x->pub, x->events.data);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;
    struct http_loop *loop = c->loop;
    detach_exchange(c);
    wait_forget_turn(c);
    if (c->all_prev)
        c->all_prev->all_next = c->all_next;
    else
        loop->all = c->all_next;
    if (c->all_next) c->all_next->all_prev = c->all_prev;
    buf_free(&c->pending);
    free(c);
    count(&loop->counters.connections, UINT64_MAX);
    atomic_fetch_sub_explicit(&loop->server->open, 1, memory_order_relaxed);
    loop_check_stop(loop);
}

void connection_close(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) return;
    c->was_body = c->state == CONNECTION_BODY;
    c->state = CONNECTION_CLOSED;
    wait_set(c, WAIT_NOTHING);
    if (c->loop->out_owner == c) {
        c->loop->out_owner = NULL;
        buf_reset(&c->loop->out);
    }
    uv_close((uv_handle_t *)&c->handle, on_closed);
}

/* Everything is written. Closing with unread input in the kernel would reset the connection and could destroy
 * the answer on its way, so our side is shut first and the rest is read and thrown away for a moment. */
static void finish(struct connection *c)
{
    int fd = -1;
    if (c->eof || c->polite || uv_fileno((uv_handle_t *)&c->handle, &fd) != 0 || shutdown(fd, SHUT_WR) != 0) {
        connection_close(c);
        return;
    }
    c->state = CONNECTION_LINGER;
}

/* ── What follows from the state ─────────────────────────────────────────────────────────────── */

static enum wait wait_wanted(const struct connection *c)
{
    if (c->writes > 0) return WAIT_WRITE;
    switch ((enum connection_state)c->state) {
    case CONNECTION_HEAD:
        if (c->scan.pos > 0 || c->pending.n > c->pending_off) return WAIT_HEAD;
        return c->served ? WAIT_KEEP_ALIVE : WAIT_FIRST;
    case CONNECTION_BODY: return c->exchange->paused ? WAIT_NOTHING : WAIT_BODY;
    case CONNECTION_LINGER: return WAIT_LINGER;
    default: return WAIT_NOTHING;
    }
}

void connection_update_wait(struct connection *c)
{
    if (c->state == CONNECTION_CLOSED) return;
    enum wait wanted = wait_wanted(c);
    if (wanted != (enum wait)c->wait) wait_set(c, wanted);
}

static void on_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct connection *c = handle->data;
    (void)suggested;
    *out = uv_buf_init(c->loop->read_buffer, READ_BUFFER);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b);

void connection_reading(struct connection *c, bool on)
{
    if (c->reading == on || c->state == CONNECTION_CLOSED) return;
    c->reading = on;
    if (!on)
        uv_read_stop((uv_stream_t *)&c->handle);
    else if (uv_read_start((uv_stream_t *)&c->handle, on_buffer, on_read) != 0)
        connection_close(c);
}

static void settle(struct connection *c)
{
    output_flush(c);
    if (c->state == CONNECTION_LAST && c->writes == 0) finish(c);
    if (c->state == CONNECTION_CLOSED) return;
    if (c->state >= CONNECTION_LAST || c->pending.n == c->pending_off) pending_drop(c);
    bool paused = c->state == CONNECTION_BODY && c->exchange->paused;
    connection_reading(c, !c->eof && !paused && c->pending.n - c->pending_off < PENDING_MAX);
    connection_update_wait(c);
}

/* ── Requests ────────────────────────────────────────────────────────────────────────────────── */

static const char *const allowed = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

static void plain_problem(struct exchange *x, const struct problem_text *t, struct buf *body)
{
    buf_printf(body, "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%d,\"code\":\"%s\",\"detail\":\"",
               problem_status_reason(t->status), t->status, t->code);
    for (const char *p = t->en; *p; p++) {
        if (*p == '"') buf_char(body, '\\');
        buf_char(body, *p);
    }
    buf_printf(body, "\",\"request_id\":\"%.*s\"}", STR_ARG(x->pub.request_id));
}

void connection_problem(struct connection *c, enum problem problem)
{
    struct exchange *x = c->exchange;
    const struct http_config *config = &c->loop->server->config;
    const struct problem_text *t = problem_text(problem);
    if (!x && (x = exchange_new(c->loop))) {
        x->connection = c;
        c->exchange = x;
        address_format(&c->peer, x->pub.remote);
    }
    if (!x) {
        connection_close(c);
        return;
    }
    if (x->has_sink) x->sink.on_abort(&x->pub, x->sink.data);
    x->has_sink = false;
    exchange_request_id(x);
    count(problem == PROBLEM_TIMEOUT ? &c->loop->counters.timeouts : &c->loop->counters.parse_errors, 1);
    http_reply(&x->pub, t->status);
    if (t->status == 405) http_reply_field(&x->pub, STR("Allow"), str_of(allowed));
    struct buf *body = http_reply_buffer(&x->pub, "application/problem+json");
    if (config->callbacks.render_problem)
        config->callbacks.render_problem(config->app, &x->pub, t->status, t->code, t->en, t->ru, body);
    else
        plain_problem(x, t, body);
    x->close = true;
    http_send(&x->pub);
}

static void to_application(struct connection *c)
{
    struct exchange *x = c->exchange;
    const struct http_config *config = &c->loop->server->config;
    c->state = CONNECTION_BUSY;
    x->pub.body = buf_view(&x->body);
    if (str_is(x->pub.path, "*")) { /* OPTIONS *: about the server as a whole */
        http_reply(&x->pub, 204);
        http_reply_field(&x->pub, STR("Allow"), str_of(allowed));
        http_send(&x->pub);
        return;
    }
    config->callbacks.on_request(config->app, &x->pub);
}

static bool body_too_large(const struct exchange *x)
{
    const struct request *r = &x->request;
    return x->pub.body_limit < 0 || (!r->chunked && r->length > (uint64_t)x->pub.body_limit) ||
           x->received > x->pub.body_limit;
}

static void begin_body(struct connection *c, bool more_input)
{
    struct exchange *x = c->exchange;
    const struct http_config *config = &c->loop->server->config;
    c->state = CONNECTION_BODY;
    if (config->callbacks.on_headers) {
        config->callbacks.on_headers(config->app, &x->pub);
        if (c->exchange != x || c->state != CONNECTION_BODY) return;
    }
    if (body_too_large(x))
        connection_problem(c, PROBLEM_BODY_LARGE);
    else if (x->request.expect_continue && !more_input)
        buf_str(output_begin(c), STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

static struct head_limits head_limits(const struct connection *c)
{
    const struct http_limits *l = &c->loop->server->config.limits;
    return (struct head_limits){.bytes = l->head_bytes, .target = l->target_bytes, .fields = l->fields};
}

static enum problem begin_request(struct connection *c, struct str head, const struct head_limits *limits)
{
    struct http_server *server = c->loop->server;
    struct exchange *x = exchange_new(c->loop);
    if (!x) return PROBLEM_MEMORY;
    c->exchange = x;
    x->connection = c;
    x->pub.started = clock_mono();
    c->served = true;
    count(&c->loop->counters.requests, 1);
    address_format(&c->peer, x->pub.remote);
    struct str kept = arena_str(&x->arena, head);
    if (!kept.p) return PROBLEM_MEMORY;
    enum problem problem = request_parse(&x->request, &x->pub, kept, &c->scan, limits);
    address_client(&x->pub, &c->peer, server->trusted, server->config.trusted_proxies_n);
    exchange_request_id(x);
    c->polite = problem == PROBLEM_NONE && !x->request.keep_alive;
    return problem;
}

/* False: more input is needed, or the connection is done with reading. */
static bool read_head(struct connection *c, struct str *in)
{
    struct head_limits limits = head_limits(c);
    enum problem problem = PROBLEM_NONE;
    enum head_result result = in->n ? head_scan(&c->scan, *in, &limits, &problem) : HEAD_MORE;
    if (result == HEAD_MORE) {
        if (c->eof || (c->loop->stopping && in->n == 0)) c->state = CONNECTION_LAST;
        return false;
    }
    if (result == HEAD_DONE) {
        struct str head = {in->p + c->scan.begin, c->scan.pos - c->scan.begin};
        *in = (struct str){in->p + c->scan.pos, in->n - c->scan.pos};
        problem = begin_request(c, head, &limits);
    }
    head_scan_start(&c->scan);
    if (problem != PROBLEM_NONE) {
        connection_problem(c, problem);
        return false;
    }
    if (c->exchange->pub.has_body)
        begin_body(c, in->n > 0);
    else
        to_application(c);
    return true;
}

static void keep_piece(struct connection *c, struct exchange *x, struct str piece)
{
    x->received += (int64_t)piece.n;
    c->moved += piece.n;
    if (body_too_large(x)) {
        connection_problem(c, PROBLEM_BODY_LARGE);
    } else if (x->has_sink) {
        x->sink.on_data(&x->pub, x->sink.data, piece);
    } else {
        buf_str(&x->body, piece);
        x->buffered += piece.n;
        c->loop->buffered += piece.n;
        if (x->body.failed ||
            c->loop->buffered > c->loop->server->config.limits.bodies_bytes / c->loop->server->threads)
            connection_problem(c, PROBLEM_MEMORY);
    }
}

static bool read_body(struct connection *c, struct str *in)
{
    struct exchange *x = c->exchange;
    struct str piece = {0};
    enum problem problem = PROBLEM_NONE;
    if (x->paused) return false;
    switch (body_read(&x->request, in, &piece, &problem)) {
    case BODY_PIECE: keep_piece(c, x, piece); return true;
    case BODY_END: to_application(c); return true;
    case BODY_BAD: connection_problem(c, problem); return false;
    case BODY_MORE: break;
    }
    if (c->eof) connection_close(c);
    return false;
}

/* Uses up *in as far as possible. */
void connection_process(struct connection *c, struct str *in)
{
    size_t burst = 0, most = c->loop->server->config.limits.pipeline;
    bool go = true;
    c->processing = true;
    while (go && output_pending(c) < WRITE_BLOCKED) {
        if (c->state == CONNECTION_BODY) {
            go = read_body(c, in);
        } else if (c->state != CONNECTION_HEAD) {
            break;
        } else if (burst++ >= most && in->n > 0) {
            wait_turn(c);
            break;
        } else {
            go = read_head(c, in);
        }
    }
    c->processing = false;
}

void connection_resume(struct connection *c)
{
    if (c->processing || c->state == CONNECTION_CLOSED) return;
    struct str in = pending_view(c);
    size_t had = in.n;
    connection_process(c, &in);
    c->pending_off += had - in.n;
    settle(c);
}

/* Uses new bytes; what is left of them is kept. */
static void feed(struct connection *c, struct str bytes)
{
    if (c->pending.n > c->pending_off) {
        if (c->pending_off > 0) {
            memmove(c->pending.p, c->pending.p + c->pending_off, c->pending.n - c->pending_off);
            c->pending.n -= c->pending_off;
            c->pending_off = 0;
        }
        buf_str(&c->pending, bytes);
        if (c->pending.failed) connection_close(c);
        connection_resume(c);
        return;
    }
    pending_drop(c);
    connection_process(c, &bytes);
    if (bytes.n > 0 && c->state < CONNECTION_LAST) {
        buf_str(&c->pending, bytes);
        if (c->pending.failed) connection_close(c);
    }
    if (c->state != CONNECTION_CLOSED) settle(c);
}

static void on_eof(struct connection *c)
{
    c->eof = true;
    c->reading = false; /* libuv has stopped by itself */
    if (c->state == CONNECTION_LINGER || (c->state == CONNECTION_BUSY && c->exchange->streaming))
        connection_close(c);
    else
        connection_resume(c);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
    struct connection *c = stream->data;
    if (n == 0 || c->state == CONNECTION_CLOSED) return;
    if (n == UV_EOF) {
        on_eof(c);
    } else if (n < 0) {
        connection_close(c);
    } else {
        count(&c->loop->counters.bytes_in, (uint64_t)n);
        if (c->state < CONNECTION_LAST) feed(c, (struct str){b->base, (size_t)n});
    }
}

/* The application is done with the exchange, which is already gone. */
void connection_exchange_done(struct connection *c, bool keep)
{
    c->exchange = NULL;
    if (c->state == CONNECTION_CLOSED) return;
    c->state = keep ? CONNECTION_HEAD : CONNECTION_LAST;
    head_scan_start(&c->scan);
    wait_set(c, WAIT_NOTHING);
    if (!c->processing) connection_resume(c);
}

void connection_drained(struct connection *c)
{
    struct exchange *x = c->exchange;
    connection_update_wait(c);
    if (x && x->streaming && x->want_drain) {
        x->want_drain = false;
        if (x->events.on_drain) x->events.on_drain(&x->pub, x->events.data);
        return;
    }
    connection_resume(c);
}

/* ── Timeouts, accepting ─────────────────────────────────────────────────────────────────────── */

static bool moved_enough(const struct connection *c, int64_t span)
{
    return wait_progress(c) - c->wait_mark >= (uint64_t)span * SLOW_BYTES_PER_SECOND / 1000;
}

void connection_expired(struct connection *c, enum wait wait)
{
    const struct http_limits *l = &c->loop->server->config.limits;
    switch (wait) {
    case WAIT_HEAD: connection_problem(c, PROBLEM_TIMEOUT); return;
    case WAIT_BODY:
        if (moved_enough(c, l->body_ms))
            wait_set(c, WAIT_BODY);
        else
            connection_problem(c, PROBLEM_TIMEOUT);
        return;
    case WAIT_WRITE:
        if (moved_enough(c, l->write_ms)) {
            wait_set(c, WAIT_WRITE);
            return;
        }
        count(&c->loop->counters.timeouts, 1);
        connection_close(c);
        return;
    default: connection_close(c); return;
    }
}

void connection_free_all(struct http_loop *loop, bool forced)
{
    struct connection *next = NULL;
    for (struct connection *c = loop->all; c; c = next) {
        next = c->all_next;
        struct exchange *x = c->exchange;
        if (forced || (c->state == CONNECTION_HEAD && c->writes == 0)) {
            connection_close(c);
        } else if (x && x->streaming && x->events.endless && x->events.on_close) {
            void (*on_close)(struct http_exchange *, void *) = x->events.on_close;
            x->events.on_close = NULL;
            on_close(&x->pub, x->events.data);
        }
    }
}

static void refuse(struct connection *c)
{
    static const char text[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\n"
                               "Connection: close\r\n\r\n";
    struct str busy = {text, sizeof text - 1};
    count(&c->loop->counters.refused, 1);
    output_send(c, &busy, 1, NULL);
    c->state = c->state == CONNECTION_CLOSED ? CONNECTION_CLOSED : CONNECTION_LAST;
    connection_reading(c, true);
    settle(c);
}

static void set_peer(struct connection *c)
{
    struct sockaddr_storage sa;
    int n = sizeof sa;
    if (uv_tcp_getpeername(&c->handle, (struct sockaddr *)&sa, &n) == 0)
        (void)address_of_socket((struct sockaddr *)&sa, &c->peer);
}

void connection_accept(uv_stream_t *listener, int status)
{
    struct http_loop *loop = listener->data;
    if (status < 0) return;
    struct connection *c = calloc(1, sizeof *c);
    if (!c) return; /* the client stays in the backlog until the next one comes */
    c->loop = loop;
    if (uv_tcp_init(&loop->uv, &c->handle) != 0) {
        free(c);
        return;
    }
    c->handle.data = c;
    buf_init(&c->pending, loop->server->config.limits.head_bytes + PENDING_MAX + READ_BUFFER);
    head_scan_start(&c->scan);
    c->all_next = loop->all;
    if (loop->all) loop->all->all_prev = c;
    loop->all = c;
    count(&loop->counters.connections, 1);
    count(&loop->counters.accepted, 1);
    uint64_t before = atomic_fetch_add_explicit(&loop->server->open, 1, memory_order_relaxed);
    if (uv_accept(listener, (uv_stream_t *)&c->handle) != 0) {
        connection_close(c);
        return;
    }
    set_peer(c);
    if (before >= loop->server->config.limits.connections) {
        refuse(c);
        return;
    }
    connection_reading(c, true);
    connection_update_wait(c);
}
