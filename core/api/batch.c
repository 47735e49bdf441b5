/* batch.c: POST /batch: several operations in one transaction, answered one to one. Atomic: the first that is
 * refused undoes all; otherwise each has a savepoint of its own. An operation is a call whose parent is the
 * batch. */
#include "api/app.h"
#include "store/trail.h"

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

/* The operation as a call; false: it is not one (the batch is wrong). */
static bool make(struct call *c, size_t i, const struct json_value *op, struct call *sub, struct str *query)
{
    const struct json_value *method = json_member(op, STR("method")), *path = json_member(op, STR("path"));
    if (op->type != JSON_OBJECT || !method || method->type != JSON_STRING || !path ||
        path->type != JSON_STRING)
        return bad(c, i, "it needs \"method\" and \"path\"", "нужны method и path");
    *sub = (struct call){.app = c->app,
                         .parent = c,
                         .headers = json_member(op, STR("headers")),
                         .worker = c->worker,
                         .home = c->home,
                         .arena = c->arena,
                         .body = json_member(op, STR("body")),
                         .lang = c->lang,
                         .lang_given = true,
                         .lane = LANE_WRITE};
    error_init(&sub->error, c->arena, c->lang);
    buf_init(&sub->own, (size_t)64 << 20);
    sub->out = &sub->own;
    struct str rest = path->text, raw = str_cut(&rest, '?');
    *query = rest;
    sub->path = http_percent_decode(raw, c->arena);
    if (!sub->path.p) return bad(c, i, "its path has a bad escape", "ошибка в записи пути");
    if (!str_starts(sub->path, STR("/api/v1/")))
        return bad(c, i, "its path begins with /api/v1/", "путь начинается с /api/v1/");
    if (!method_named(method->text, &sub->method))
        return bad(c, i, "its method is not known", "неизвестный метод");
    return true;
}

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

static bool run(struct call *c, struct call *sub, struct str query)
{
    bool ok = find(sub);
    if (ok) {
        sub->who = principal_ref(c->who);
        call_context(sub);
        bool body = sub->endpoint->flags & BODY && !sub->body;
        ok = call_prepare(sub, query) && call_target(sub);
        if (ok && body)
            ok = error_set(&sub->error, ERROR_BAD_REQUEST, "a JSON body is needed",
                           "нужно тело запроса в JSON");
        ok = ok && sub->endpoint->handle(sub);
        if (ok && sub->then)
            ok = error_set(&sub->error, ERROR_BAD_REQUEST, "this cannot be an operation of a batch",
                           "это нельзя выполнить в пакете");
    }
    if (!ok) problem_answer(sub);
    if (sub->who) principal_unref(sub->who);
    sub->who = NULL;
    return ok;
}

static void write_result(struct call *c, const struct call *sub)
{
    json_object(c->out);
    json_key(c->out, STR("status"));
    json_int(c->out, sub->status);
    json_key(c->out, STR("headers"));
    json_object(c->out);
    for (const struct answer_field *f = sub->fields; f; f = f->next) {
        json_key(c->out, f->name);
        json_str(c->out, f->value);
    }
    json_end_object(c->out);
    json_key(c->out, STR("body"));
    if (sub->content_type && sub->out->n)
        json_raw(c->out, buf_view(sub->out));
    else
        json_null(c->out);
    json_end_object(c->out);
}

/* One operation in its savepoint, unless the batch is atomic: then all share the call's. */
static bool perform(struct call *c, size_t i, const struct json_value *op, bool atomic, bool *refused)
{
    struct call *sub = arena_alloc(c->arena, sizeof *sub);
    struct str query;
    if (!sub) return error_no_memory(&c->error);
    if (!make(c, i, op, sub, &query)) return false;
    struct db *d = c->worker->db;
    if (!db_savepoint(d, &c->error)) return false;
    *refused = !run(c, sub, query);
    bool ok = true;
    if (*refused || sub->dry_run) {
        db_savepoint_rollback(d);
        trail_forget(d);
    } else
        ok = db_savepoint_release(d, &c->error);
    (void)atomic;
    if (ok) write_result(c, sub);
    buf_free(&sub->own);
    return ok;
}

static bool batch(struct call *c)
{
    const struct json_value *atomic = json_member(c->body, STR("atomic")),
                            *operations = json_member(c->body, STR("operations"));
    if (!call_members(c, "atomic operations")) return false;
    if (!operations || operations->type != JSON_ARRAY)
        return error_set(&c->error, ERROR_BAD_REQUEST, "\"operations\" is a list of operations",
                         "operations: список операций");
    if (atomic && atomic->type != JSON_TRUE && atomic->type != JSON_FALSE)
        return error_set(&c->error, ERROR_BAD_REQUEST, "\"atomic\" is true or false",
                         "atomic: true или false");
    if (operations->count > c->app->options->batch_operations)
        return error_set(&c->error, ERROR_PAYLOAD_TOO_LARGE, "at most %zu operations",
                         "не более %zu операций", c->app->options->batch_operations);
    bool all = atomic && atomic->type == JSON_TRUE, any_refused = false;
    size_t i = 0;
    if (!db_savepoint(c->worker->db, &c->error)) return false;
    json_object(c->out);
    json_key(c->out, STR("results"));
    json_array(c->out);
    for (const struct json_value *op = operations->first; op; op = op->next, i++) {
        bool refused = false;
        if (all && any_refused) { /* not tried: what it stands on is undone */
            json_raw(c->out, STR("{\"status\":424,\"headers\":{},\"body\":null}"));
            continue;
        }
        if (!perform(c, i, op, all, &refused)) {
            db_savepoint_rollback(c->worker->db);
            trail_forget(c->worker->db);
            return false;
        }
        any_refused = any_refused || refused;
    }
    json_end_array(c->out);
    json_end_object(c->out);
    if (all && any_refused) {
        db_savepoint_rollback(c->worker->db);
        trail_forget(c->worker->db);
    } else if (!db_savepoint_release(c->worker->db, &c->error))
        return false;
    return call_json(c, 200);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_POST, "/api/v1/batch", LANE_WRITE, BODY | NOT_IN_BATCH, "", batch,
     "Several operations in one transaction", "batch", "batch_results", 200},
};

const struct endpoint_table batch_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
