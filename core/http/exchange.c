/* exchange.c: exchanges are made once and used again: their arena and buffers keep their memory, so that the
 * hot path does not allocate. */
#include "http/connection.h"

#include <stdio.h>
#include <stdlib.h>

static void buffers_init(struct exchange *x)
{
    buf_init(&x->body, SIZE_MAX / 2);
    buf_init(&x->fields, 64 * 1024);
    buf_init(&x->buffer, REPLY_MAX);
    buf_init(&x->taken, REPLY_MAX);
}

struct exchange *exchange_new(struct http_loop *loop)
{
    struct exchange *x = loop->free_exchanges;
    if (x) {
        loop->free_exchanges = x->next;
        loop->free_count--;
        x->next = NULL;
    } else {
        x = calloc(1, sizeof *x);
        if (!x) return NULL;
        arena_init(&x->arena, loop->server->config.limits.arena_bytes);
        buffers_init(x);
    }
    x->pub.loop = loop;
    x->pub.arena = &x->arena;
    x->pub.body_limit = loop->server->config.limits.body_bytes;
    count(&loop->counters.exchanges, 1);
    return x;
}

static void keep_or_free(struct buf *b)
{
    size_t toobig = b->toobig;
    if (b->cap <= KEEP_BUFFER) {
        buf_reset(b);
        return;
    }
    buf_free(b);
    buf_init(b, toobig);
}

static void destroy(struct exchange *x)
{
    arena_free(&x->arena);
    buf_free(&x->body);
    buf_free(&x->fields);
    buf_free(&x->buffer);
    free(x);
}

/* Everything that a request may have set, back to nothing; memory stays. */
static void forget(struct exchange *x)
{
    struct exchange kept = {.arena = x->arena, .body = x->body, .fields = x->fields, .buffer = x->buffer};
    size_t toobig = x->taken.toobig;
    *x = kept;
    buf_init(&x->taken, toobig);
}

void exchange_free(struct exchange *x)
{
    struct http_loop *loop = x->pub.loop;
    buf_free(&x->taken);
    keep_or_free(&x->body);
    keep_or_free(&x->fields);
    keep_or_free(&x->buffer);
    arena_reset(&x->arena);
    loop->buffered -= x->buffered;
    count(&loop->counters.exchanges, UINT64_MAX); /* one less */
    if (loop->free_count >= KEEP_EXCHANGES || loop->stopping) {
        destroy(x);
    } else {
        forget(x);
        x->next = loop->free_exchanges;
        loop->free_exchanges = x;
        loop->free_count++;
    }
    if (loop->stopping) loop_check_stop(loop);
}

/* A fresh one when the client gave none or a strange one. */
void exchange_request_id(struct exchange *x)
{
    static const char digits[] = "0123456789abcdef";
    if (x->pub.request_id.p) return;
    char *id = arena_alloc(&x->arena, 17);
    if (!id) {
        x->pub.request_id = STR("unknown");
        return;
    }
    uint64_t bits = loop_random(x->pub.loop);
    for (int i = 0; i < 16; i++, bits >>= 4)
        id[i] = digits[bits & 15];
    x->pub.request_id = (struct str){id, 16};
}

bool http_client_there(const struct http_exchange *x)
{
    const struct connection *c = exchange_of(x)->connection;
    return c && c->state != CONNECTION_CLOSED;
}
