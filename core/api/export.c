/* export.c: the whole of a list as CSV or NDJSON, in constant memory.
 *
 *   loop: export_begin ─► slow lane: a page ─► loop: write it ─► slow lane: the next … ─► end
 *
 * Each page is a call of the slow lane with a snapshot of its own, asked for only when the client has taken
 * the one before: a slow client holds no thread, no connection and no snapshot. */
#include "api/app.h"

#include <stdlib.h>

#define PAGE 500
#define ENOUGH ((size_t)256 << 10) /* bytes that may wait for the client */

struct export
{
    enum export_format format;
    struct arena arena;     /* of one page */
    char cursor[2048];      /* of the next page; "" none */
    bool begun, gone, away; /* the answer has begun; the client has gone; a page is being made */
};

static bool page(struct call *c)
{
    struct export *ex = c->data;
    struct query q = records_query(c);
    struct str next = {0};
    q.limit = PAGE;
    if (ex->begun) q.cursor = str_of(ex->cursor);
    arena_reset(&ex->arena);
    c->context.arena = &ex->arena;
    buf_reset(c->out);
    if (!query_export(&c->context, &q, ex->format, !ex->begun, c->out, &next)) return false;
    if (next.n >= sizeof ex->cursor || c->out->failed) return error_no_memory(&c->error);
    memcpy(ex->cursor, next.n ? next.p : "", next.n);
    ex->cursor[next.n] = 0;
    return true;
}

static void finish(struct call *c, bool whole)
{
    struct export *ex = c->data;
    bool begun = ex->begun;
    arena_free(&ex->arena);
    free(ex);
    if (!begun) {
        call_send(c);
        return;
    }
    buf_free(&c->own);
    if (whole)
        http_stream_end(c->x);
    else
        http_stream_abort(c->x);
}

static void next_page(struct call *c)
{
    ((struct export *)c->data)->away = true;
    c->then = NULL;
    c->lane = LANE_SLOW;
    c->handle = page;
    lane_enter(c);
}

static void on_drain(struct http_exchange *x, void *data)
{
    (void)x;
    struct call *c = data;
    struct export *ex = c->data;
    if (!ex->away) next_page(c);
}

static void on_close(struct http_exchange *x, void *data)
{
    (void)x;
    struct call *c = data;
    struct export *ex = c->data;
    ex->gone = true;
    if (!ex->away) finish(c, false);
}

static void begin_answer(struct call *c)
{
    struct export *ex = c->data;
    bool csv = ex->format == EXPORT_CSV;
    struct str name = call_capture(c, "collection");
    const char *disposition =
        arena_printf(c->arena, "attachment; filename=\"%.*s.%s\"", STR_ARG(name), csv ? "csv" : "ndjson");
    http_reply(c->x, 200);
    if (disposition) http_reply_field(c->x, STR("Content-Disposition"), str_of(disposition));
    http_reply_field(c->x, STR("Vary"), STR("Accept, Accept-Language"));
    ex->begun = true;
    http_stream_begin(c->x, csv ? "text/csv; charset=utf-8" : "application/x-ndjson",
                      &(struct http_stream_events){.on_drain = on_drain, .on_close = on_close, .data = c});
}

static void back(struct call *c)
{
    struct export *ex = c->data;
    ex->away = false;
    if (c->error.kind != ERROR_NONE || ex->gone) {
        finish(c, false);
        return;
    }
    if (!ex->begun) begin_answer(c);
    size_t pending = http_stream_write(c->x, buf_view(&c->own));
    if (pending == SIZE_MAX)
        finish(c, false);
    else if (!ex->cursor[0] || c->method == HTTP_METHOD_HEAD)
        finish(c, true);
    else if (pending < ENOUGH)
        next_page(c);
}

bool export_begin(struct call *c, bool csv)
{
    struct export *ex = calloc(1, sizeof *ex);
    if (!ex) return error_no_memory(&c->error);
    ex->format = csv ? EXPORT_CSV : EXPORT_NDJSON;
    ex->away = true;
    arena_init(&ex->arena, (size_t)8 << 20);
    c->data = ex;
    c->heavy = true;
    c->back = back;
    return call_continue(c, LANE_SLOW, page);
}
