/* export.c: the whole of a list as CSV or NDJSON, in constant memory.
 *
 *   loop: export_begin ─► slow lane: a piece ─► loop: write it ─► slow lane: the next … ─► end
 *
 * A piece is asked for only when the client has taken the one before, so a slow client holds no thread. What
 * it does hold is a connection with one snapshot and one open statement, so that the answer is one state of
 * the database in one order, whatever is written meanwhile: therefore only so many exports run at once, and a
 * client that stops reading is cut off by the HTTP layer like any other. */
#include "api/app.h"

#include <stdatomic.h>
#include <stdlib.h>

#define PIECE ((size_t)256 << 10)
#define ENOUGH ((size_t)256 << 10) /* bytes that may wait for the client */
#define AT_ONCE 16
#define SNAPSHOT_NS UINT64_C(60000000000) /* a client that takes longer gets the rest from a newer one */

/* A large sort goes to a temporary file; what lies in the cache serves nobody a second time; pages that are
 * mapped would count as memory of the server. */
static const char settings[] = "PRAGMA temp_store=FILE; PRAGMA cache_size=-2048; PRAGMA mmap_size=0";

static atomic_int running;

struct export_call {
    enum export_format format;
    struct arena arena; /* of one piece */
    struct db *db;
    struct export *rows;
    bool begun, gone, away; /* the answer has begun; the client has gone; a piece is being made */
    bool done;
};

static bool start(struct call *c, struct export_call *ex)
{
    struct query q = records_query(c);
    ex->db = db_open(c->app->path, DB_READ, &c->error);
    return ex->db && db_exec(ex->db, settings, &c->error) &&
           (ex->rows = export_start(&c->context, ex->db, &q, ex->format, SNAPSHOT_NS));
}

static bool piece(struct call *c)
{
    struct export_call *ex = c->data;
    arena_reset(&ex->arena);
    c->context.arena = &ex->arena;
    buf_reset(c->out);
    if (!ex->rows && !start(c, ex)) return false;
    c->context.db = ex->db;
    db_budget(ex->db, (uint64_t)c->app->options->slow_limit_ms * 1000000, true);
    bool ok = export_more(&c->context, ex->rows, PIECE, c->out, &ex->done);
    db_budget(ex->db, 0, false);
    return ok;
}

static void finish(struct call *c, bool whole)
{
    struct export_call *ex = c->data;
    bool begun = ex->begun;
    export_free(ex->rows);
    db_close(ex->db);
    arena_free(&ex->arena);
    free(ex);
    atomic_fetch_sub(&running, 1);
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

static void next_piece(struct call *c)
{
    ((struct export_call *)c->data)->away = true;
    c->then = NULL;
    c->lane = LANE_SLOW;
    c->handle = piece;
    lane_enter(c);
}

static void on_drain(struct http_exchange *x, void *data)
{
    (void)x;
    struct call *c = data;
    struct export_call *ex = c->data;
    if (!ex->away) next_piece(c);
}

static void on_close(struct http_exchange *x, void *data)
{
    (void)x;
    struct call *c = data;
    struct export_call *ex = c->data;
    ex->gone = true;
    if (!ex->away) finish(c, false);
}

static void begin_answer(struct call *c)
{
    struct export_call *ex = c->data;
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
    struct export_call *ex = c->data;
    ex->away = false;
    if (c->error.kind != ERROR_NONE || ex->gone) {
        finish(c, false);
        return;
    }
    if (!ex->begun) begin_answer(c);
    size_t pending = http_stream_write(c->x, buf_view(&c->own));
    if (pending == SIZE_MAX)
        finish(c, false);
    else if (ex->done || c->method == HTTP_METHOD_HEAD)
        finish(c, true);
    else if (pending < ENOUGH)
        next_piece(c);
}

bool export_begin(struct call *c, bool csv)
{
    if (atomic_fetch_add(&running, 1) >= AT_ONCE) {
        atomic_fetch_sub(&running, 1);
        c->error.retry_after = 5;
        return error_set(&c->error, ERROR_UNAVAILABLE, "too many exports run already",
                         "слишком много выгрузок уже идёт");
    }
    struct export_call *ex = calloc(1, sizeof *ex);
    if (!ex) {
        atomic_fetch_sub(&running, 1);
        return error_no_memory(&c->error);
    }
    ex->format = csv ? EXPORT_CSV : EXPORT_NDJSON;
    ex->away = true;
    arena_init(&ex->arena, (size_t)8 << 20);
    c->data = ex;
    c->heavy = true;
    c->back = back;
    return call_continue(c, LANE_SLOW, piece);
}
