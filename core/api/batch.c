/* batch.c: POST /batch: several operations in one transaction, answered one to one. Atomic: the first that is
 * refused undoes all; otherwise each has a savepoint of its own. An operation is a call whose parent is the
 * batch.
 *
 *   loop: is it well formed? ─┬─ only reads ──► slow lane, one snapshot
 *                             └─ any write ───► writer, one savepoint; its reads have a budget there, because
 *                                               everybody's writes wait meanwhile */
#include "api/app.h"
#include "store/trail.h"

#define READS_MS 1000 /* all reads of one batch inside the writer */

struct batch {
    struct call **operations;
    struct str *queries;
    size_t count;
    bool atomic;
    int64_t reads_left_ns;
    struct arena arena; /* of the operation that runs: what one needs does not add up */
};

/* ── Is it well formed? ──────────────────────────────────────────────────────────────────────── */

static bool bad(struct call *c, size_t i, const char *en, const char *ru)
{
    const char *pointer = arena_printf(c->arena, "/operations/%zu", i);
    error_add(&c->error, pointer, "bad_operation", "%s", "%s", c->lang == LANG_RU ? ru : en);
    return error_set(&c->error, ERROR_BAD_REQUEST, "operation %zu: %s", "операция %zu: %s", i,
                     c->lang == LANG_RU ? ru : en);
}

static bool method_named(struct str name, enum http_method *out)
{
    for (int m = 0; m < HTTP_METHOD_COUNT; m++)
        if (str_eq(name, http_method_text((enum http_method)m))) return *out = (enum http_method)m, true;
    return false;
}

static bool headers_good(const struct json_value *headers)
{
    if (!headers || headers->type == JSON_NULL) return true;
    if (headers->type != JSON_OBJECT) return false;
    for (const struct json_value *h = headers->first; h; h = h->next)
        if (h->type != JSON_STRING) return false;
    return true;
}

static bool members_known(struct call *c, size_t i, const struct json_value *op)
{
    for (const struct json_value *m = op->first; m; m = m->next)
        if (!str_is(m->key, "method") && !str_is(m->key, "path") && !str_is(m->key, "headers") &&
            !str_is(m->key, "body"))
            return bad(c, i, "it has only method, path, headers and body",
                       "в ней только method, path, headers и body");
    return true;
}

/* What an operation has of its batch. `home` is the loop's: credentials and language were read there. */
static struct call *make(struct call *c, size_t i, const struct json_value *op, struct str *query)
{
    const struct json_value *method = json_member(op, STR("method")), *path = json_member(op, STR("path"));
    if (op->type != JSON_OBJECT || !method || method->type != JSON_STRING || !path ||
        path->type != JSON_STRING)
        return bad(c, i, "it needs \"method\" and \"path\"", "нужны method и path"), NULL;
    if (!members_known(c, i, op)) return NULL;
    struct call *sub = arena_alloc(c->arena, sizeof *sub);
    if (!sub) return error_no_memory(&c->error), NULL;
    *sub = (struct call){.app = c->app,
                         .parent = c,
                         .headers = json_member(op, STR("headers")),
                         .home = c->home,
                         .arena = c->arena,
                         .body = json_member(op, STR("body")),
                         .lang = c->lang,
                         .lang_given = true,
                         .lane = LANE_WRITE};
    if (!headers_good(sub->headers))
        return bad(c, i, "its headers are an object of texts", "headers: объект с текстами"), NULL;
    problem_lang(call_header(sub, "accept-language"), &sub->lang);
    buf_init(&sub->own, ANSWER_MAX);
    sub->out = &sub->own;
    struct str rest = path->text, raw = str_cut(&rest, '?');
    *query = rest;
    sub->path = http_percent_decode(raw, c->arena);
    if (!sub->path.p) return bad(c, i, "its path has a bad escape", "ошибка в записи пути"), NULL;
    if (!str_starts(sub->path, STR("/api/v1/")))
        return bad(c, i, "its path begins with /api/v1/", "путь начинается с /api/v1/"), NULL;
    if (!method_named(method->text, &sub->method))
        return bad(c, i, "its method is not known", "неизвестный метод"), NULL;
    return sub;
}

static bool shape(struct call *c, const struct json_value **operations, bool *atomic)
{
    const struct json_value *all_or_nothing = json_member(c->body, STR("atomic"));
    *operations = json_member(c->body, STR("operations"));
    if (!call_members(c, "atomic operations")) return false;
    if (!*operations || (*operations)->type != JSON_ARRAY) {
        error_add(&c->error, "/operations", *operations ? "wrong_type" : "required",
                  "\"operations\" is a list of operations", "operations: список операций");
        return error_set(&c->error, ERROR_BAD_REQUEST, "\"operations\" is a list of operations",
                         "operations: список операций");
    }
    if (all_or_nothing && all_or_nothing->type != JSON_TRUE && all_or_nothing->type != JSON_FALSE) {
        error_add(&c->error, "/atomic", "wrong_type", "\"atomic\" is true or false",
                  "atomic: true или false");
        return error_set(&c->error, ERROR_BAD_REQUEST, "\"atomic\" is true or false",
                         "atomic: true или false");
    }
    *atomic = all_or_nothing && all_or_nothing->type == JSON_TRUE;
    if ((*operations)->count > c->app->options->batch_operations)
        return error_set(&c->error, ERROR_PAYLOAD_TOO_LARGE, "at most %zu operations",
                         "не более %zu операций", c->app->options->batch_operations);
    return true;
}

/* ── One operation ───────────────────────────────────────────────────────────────────────────── */

static bool find(struct call *sub)
{
    routes_match(sub->method, sub->path, &sub->match);
    sub->endpoint = sub->match.endpoint;
    if (!sub->match.known)
        return error_set(&sub->error, ERROR_NOT_FOUND, "there is nothing at %.*s",
                         "по адресу %.*s ничего нет", STR_ARG(sub->path));
    if (!sub->endpoint)
        return error_set(&sub->error, ERROR_METHOD_NOT_ALLOWED, "this method is not allowed here",
                         "этот метод здесь не разрешён");
    if (sub->endpoint->flags & (NOT_IN_BATCH | OPEN) || sub->endpoint->lane == LANE_LOOP)
        return error_set(&sub->error, ERROR_BAD_REQUEST, "this cannot be an operation of a batch",
                         "это нельзя выполнить в пакете");
    return true;
}

static bool handle(struct call *sub, struct str query)
{
    bool body = sub->endpoint->flags & BODY && !sub->body;
    if (!call_prepare(sub, query) || !call_target(sub)) return false;
    if (body)
        return error_set(&sub->error, ERROR_BAD_REQUEST, "a JSON body is needed",
                         "нужно тело запроса в JSON");
    if (!sub->endpoint->handle(sub) || !call_fits(sub)) return false;
    if (!sub->then) return true;
    return error_set(&sub->error, ERROR_BAD_REQUEST, "this cannot be an operation of a batch",
                     "это нельзя выполнить в пакете");
}

/* Inside the writer a read has what is left of the batch's budget. Only reads: to interrupt a change would
 * undo the transaction of everybody. */
static bool handle_in_time(struct batch *b, struct call *sub, struct str query)
{
    struct db *d = sub->worker->db;
    if (sub->parent->lane != LANE_WRITE || sub->endpoint->lane == LANE_WRITE) return handle(sub, query);
    uint64_t begun = clock_mono();
    db_budget(d, b->reads_left_ns > 0 ? (uint64_t)b->reads_left_ns : 1, true);
    bool ok = handle(sub, query);
    db_budget(d, 0, false);
    b->reads_left_ns -= (int64_t)(clock_mono() - begun);
    return ok;
}

static bool run(struct call *c, struct batch *b, size_t i)
{
    struct call *sub = b->operations[i];
    sub->worker = c->worker;
    sub->arena = &b->arena;
    error_init(&sub->error, sub->arena, sub->lang);
    bool ok = find(sub);
    if (ok) {
        sub->who = principal_ref(c->who);
        call_context(sub);
        ok = handle_in_time(b, sub, b->queries[i]);
    }
    if (!ok) problem_answer(sub);
    if (sub->who) principal_unref(sub->who);
    sub->who = NULL;
    return ok;
}

static void write_result(struct buf *out, const struct call *sub)
{
    bool body = sub->content_type && sub->out->n && sub->method != HTTP_METHOD_HEAD;
    json_object(out);
    json_key(out, STR("status"));
    json_int(out, sub->status);
    json_key(out, STR("headers"));
    json_object(out);
    for (const struct answer_field *f = sub->fields; f; f = f->next) {
        json_key(out, f->name);
        json_str(out, f->value);
    }
    json_end_object(out);
    json_key(out, STR("body"));
    if (body)
        json_raw(out, buf_view(sub->out));
    else
        json_null(out);
    json_end_object(out);
}

/* ── All of them ─────────────────────────────────────────────────────────────────────────────── */

static void open_results(struct call *c)
{
    buf_reset(c->out);
    json_object(c->out);
    json_key(c->out, STR("results"));
    json_array(c->out);
}

static void close_results(struct call *c)
{
    json_end_array(c->out);
    json_end_object(c->out);
}

/* The answer of an atomic batch of which operation `k` was refused: none of the others was done. */
static void write_undone(struct call *c, struct batch *b, size_t k)
{
    struct buf refused; /* its words are in the arena, which the others use again */
    buf_init(&refused, ANSWER_MAX);
    write_result(&refused, b->operations[k]);
    open_results(c);
    for (size_t i = 0; i < b->count; i++) {
        struct call *sub = b->operations[i];
        if (i == k) {
            json_raw(c->out, buf_view(&refused));
        } else {
            arena_reset(&b->arena);
            sub->arena = &b->arena;
            error_init(&sub->error, sub->arena, sub->lang);
            error_set(&sub->error, ERROR_FAILED_DEPENDENCY,
                      i < k ? "undone, because operation %zu was refused"
                            : "not tried, because operation %zu was refused",
                      i < k ? "отменено, потому что отклонена операция %zu"
                            : "не выполнялось, потому что отклонена операция %zu",
                      k);
            problem_answer(sub);
            write_result(c->out, sub);
        }
    }
    close_results(c);
    c->out->failed = c->out->failed || refused.failed;
    buf_free(&refused);
}

/* One operation in its savepoint. False: the batch itself failed. */
static bool perform(struct call *c, struct batch *b, size_t i, bool *refused)
{
    struct db *d = c->worker->db;
    struct call *sub = b->operations[i];
    if (c->lane != LANE_WRITE) {
        *refused = !run(c, b, i);
        return c->error.kind == ERROR_NONE;
    }
    if (!db_savepoint(d, &c->error)) return false;
    *refused = !run(c, b, i);
    if (!*refused && !sub->dry_run) return db_savepoint_release(d, &c->error);
    db_savepoint_rollback(d);
    trail_forget(d);
    return true;
}

static bool perform_all(struct call *c, struct batch *b)
{
    open_results(c);
    for (size_t i = 0; i < b->count; i++) {
        bool refused = false;
        if (!perform(c, b, i, &refused)) return false;
        if (refused && b->atomic) {
            write_undone(c, b, i);
            b->count = i; /* what the savepoint around all must undo */
            return true;
        }
        write_result(c->out, b->operations[i]);
        buf_free(&b->operations[i]->own);
        arena_reset(&b->arena);
    }
    close_results(c);
    return true;
}

static void free_answers(struct batch *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_free(&b->operations[i]->own);
}

static bool batch(struct call *c)
{
    struct batch *b = c->data;
    size_t count = b->count;
    bool write = c->lane == LANE_WRITE;
    if (write && !db_savepoint(c->worker->db, &c->error)) return false;
    arena_init(&b->arena, c->arena->limit);
    bool ok = perform_all(c, b) && call_fits(c), undo = !ok || b->count < count;
    free_answers(b, count);
    arena_free(&b->arena);
    if (write && undo) {
        db_savepoint_rollback(c->worker->db);
        trail_forget(c->worker->db);
    } else if (write && !db_savepoint_release(c->worker->db, &c->error)) {
        return false;
    }
    return ok && call_json(c, 200);
}

/* On the loop. An Idempotency-Key is kept by the writer, so a batch that has one goes there in any case. */
static bool receive(struct call *c)
{
    const struct json_value *operations;
    struct batch *b = arena_alloc(c->arena, sizeof *b);
    if (!b) return error_no_memory(&c->error);
    *b = (struct batch){.reads_left_ns = (int64_t)READS_MS * 1000000};
    if (!shape(c, &operations, &b->atomic)) return false;
    b->operations = arena_array(c->arena, operations->count + 1, sizeof(struct call *));
    b->queries = arena_array(c->arena, operations->count + 1, sizeof *b->queries);
    if (!b->operations || !b->queries) return error_no_memory(&c->error);
    bool writes = call_header(c, "idempotency-key").p != NULL;
    for (const struct json_value *op = operations->first; op; op = op->next) {
        struct call *sub = make(c, b->count, op, &b->queries[b->count]);
        if (!sub) return false;
        b->operations[b->count++] = sub;
        writes = writes || (sub->method != HTTP_METHOD_GET && sub->method != HTTP_METHOD_HEAD);
    }
    c->data = b;
    c->heavy = true;
    return call_continue(c, writes ? LANE_WRITE : LANE_SLOW, batch);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/batch", LANE_READ, BODY | NOT_IN_BATCH, "", receive,
     "Several operations in one transaction", "batch", "batch_results", 200},
};

const struct endpoint_table batch_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
