/* stream.c: answers in pieces, and request bodies in pieces. */
#include "http/connection.h"

#include <stdio.h>

/* ── Answers ─────────────────────────────────────────────────────────────────────────────────── */

static void finish(struct exchange *x)
{
    struct connection *c = x->connection;
    if (c) c->exchange = NULL;
    exchange_free(x);
}

/* The client had gone before the stream began: it is told at the next turn of the loop, like every other
 * stream. */
static void tell_late(void *arg)
{
    struct exchange *x = arg;
    x->late = false;
    if (x->ended)
        finish(x);
    else if (x->events.on_close)
        x->events.on_close(&x->pub, x->events.data);
}

static void begin(struct http_exchange *pub, const char *content_type, int64_t length,
                  const struct http_stream_events *events)
{
    struct exchange *x = exchange_of(pub);
    struct connection *c = x->connection;
    x->content_type = content_type;
    x->streaming = true;
    x->events = *events;
    x->length = length;
    x->chunked = length < 0 && !pub->http_1_0;
    if (x->status < 200) x->status = 200;
    if (!x->chunked && length < 0) x->close = true; /* the connection's end is the end of the answer */
    if (!c) x->late = http_loop_post(pub->loop, tell_late, x);
    if (!http_client_there(pub)) return;
    response_head(x, output_begin(c), length, response_may_keep(x), NULL);
    output_flush(c);
    if (x->buffer.cap > 0) { /* a stream may live long: it keeps only what it needs */
        size_t toobig = x->buffer.toobig;
        buf_free(&x->buffer);
        buf_init(&x->buffer, toobig);
    }
}

void http_stream_begin(struct http_exchange *x, const char *content_type,
                       const struct http_stream_events *events)
{
    begin(x, content_type, -1, events);
}

void http_stream_begin_sized(struct http_exchange *x, const char *content_type, int64_t length,
                             const struct http_stream_events *events)
{
    begin(x, content_type, length, events);
}

static bool sends_body(const struct exchange *x)
{
    return x->streaming && http_client_there(&x->pub) && x->pub.method != HTTP_METHOD_HEAD;
}

size_t http_stream_pending(const struct http_exchange *pub)
{
    const struct exchange *x = exchange_of(pub);
    return http_client_there(pub) ? output_pending(x->connection) : 0;
}

size_t http_stream_write(struct http_exchange *pub, struct str bytes)
{
    struct exchange *x = exchange_of(pub);
    if (!http_client_there(pub)) return SIZE_MAX;
    if (!sends_body(x)) return 0;
    if (bytes.n > 0) {
        char size[24];
        int n = snprintf(size, sizeof size, "%zx\r\n", bytes.n);
        struct str pieces[3] = {{size, (size_t)n}, bytes, {"\r\n", 2}};
        x->sent += (int64_t)bytes.n;
        output_send(x->connection, x->chunked ? pieces : &bytes, x->chunked ? 3 : 1, NULL);
    }
    if (!http_client_there(pub)) /* the write has failed */
        return SIZE_MAX;
    size_t pending = http_stream_pending(pub);
    x->want_drain = pending > 0;
    return pending;
}

static void end(struct exchange *x, bool whole)
{
    const struct http_config *config = &x->pub.loop->server->config;
    struct connection *c = x->connection;
    if (x->length >= 0 && http_client_there(&x->pub) && x->pub.method != HTTP_METHOD_HEAD)
        whole = whole && x->sent == x->length; /* a promised byte is missing: the client must see that */
    bool keep = whole && (x->chunked || x->length >= 0) && response_may_keep(x);
    static const struct str last_chunk = {"0\r\n\r\n", 5};
    if (sends_body(x) && whole && x->chunked) output_send(c, &last_chunk, 1, NULL);
    count(&x->pub.loop->counters.status[x->status / 100 % 6], 1);
    if (config->callbacks.on_done) config->callbacks.on_done(config->app, &x->pub, x->status, x->sent);
    if (x->late) {
        x->ended = true;
        return;
    }
    finish(x);
    if (c && !whole)
        connection_close(c);
    else if (c)
        connection_exchange_done(c, keep);
}

void http_stream_end(struct http_exchange *x)
{
    end(exchange_of(x), true);
}

void http_stream_abort(struct http_exchange *x)
{
    end(exchange_of(x), false);
}

/* ── Request bodies ──────────────────────────────────────────────────────────────────────────── */

void http_body_stream(struct http_exchange *pub, const struct http_body_sink *sink)
{
    struct exchange *x = exchange_of(pub);
    x->sink = *sink;
    x->has_sink = true;
}

void http_body_pause(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    x->paused = true;
    if (x->connection && !x->connection->processing)
        connection_resume(x->connection); /* nothing is used; settles reading and timeouts */
}

void http_body_resume(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    x->paused = false;
    if (x->connection) connection_resume(x->connection);
}
