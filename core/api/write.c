/* write.c: LANE_WRITE: a call in a savepoint of the writer, answered after the commit.
 *
 * A dry run does everything, then asks for its savepoint to be rolled back. Under an Idempotency-Key the
 * answer is kept in the same transaction; a refusal (4xx) is kept too, so the change itself then runs in a
 * savepoint of its own that can be undone alone. Because the writer runs one call after the other, two that
 * arrive at once under one key are not done twice. */
#include "api/app.h"
#include "store/idempotency.h"
#include "store/trail.h"

#include <sodium.h>
#include <stddef.h>

static struct call *call_of(struct write_job *job)
{
    return (struct call *)((char *)job - offsetof(struct call, job));
}

/* ── Repetition ──────────────────────────────────────────────────────────────────────────────── */

static bool key_of(struct call *c, struct str *key)
{
    *key = (struct str){0};
    if (c->method != HTTP_METHOD_POST || c->dry_run || !c->who) return true;
    *key = call_header(c, "idempotency-key");
    if (!key->p || (key->n > 0 && key->n <= IDEMPOTENCY_KEY_MAX)) return true;
    error_add(&c->error, "Idempotency-Key", "bad_value", "the key has 1 to %d characters",
              "ключ: от 1 до %d знаков", IDEMPOTENCY_KEY_MAX);
    return error_set(&c->error, ERROR_BAD_REQUEST, "Idempotency-Key has 1 to %d characters",
                     "Idempotency-Key: от 1 до %d знаков", IDEMPOTENCY_KEY_MAX);
}

static void hash_part(crypto_generichash_state *h, struct str s)
{
    uint64_t n = s.n;
    crypto_generichash_update(h, (const unsigned char *)&n, sizeof n);
    crypto_generichash_update(h, (const unsigned char *)s.p, s.n);
}

static void hash_request(const struct call *c, unsigned char out[32])
{
    crypto_generichash_state h;
    crypto_generichash_init(&h, NULL, 0, 32);
    hash_part(&h, http_method_text(c->method));
    hash_part(&h, c->path);
    hash_part(&h, c->x->query.p ? c->x->query : STR(""));
    hash_part(&h, c->body_text);
    crypto_generichash_final(&h, out, 32);
}

static bool replay(struct call *c, const struct idempotency_answer *kept)
{
    const struct json_value *fields = json_parse(c->arena, kept->headers, &c->error);
    if (!fields) return false;
    buf_reset(c->out);
    buf_str(c->out, kept->body);
    c->status = kept->status;
    c->content_type = kept->body.n == 0     ? NULL
                      : kept->status >= 400 ? "application/problem+json"
                                            : "application/json";
    for (const struct json_value *f = fields->first; f; f = f->next)
        call_field(c, arena_dup(c->arena, f->key), f->text);
    call_field(c, "Idempotency-Replayed", STR("true"));
    return true;
}

static bool look_up(struct call *c, struct str key, bool *done)
{
    struct idempotency_answer kept;
    unsigned char request[32];
    if (!idempotency_find(c->worker->db, c->who->id, key, clock_now(), c->arena, &kept, done, &c->error))
        return false;
    if (!*done) return true;
    hash_request(c, request);
    if (sodium_memcmp(request, kept.request, sizeof request) != 0) {
        error_add(&c->error, "Idempotency-Key", "key_reused", "this key was used for another request",
                  "этот ключ уже был у другого запроса");
        return error_set(&c->error, ERROR_VALIDATION_FAILED,
                         "this Idempotency-Key was used for another request",
                         "этот Idempotency-Key уже был у другого запроса");
    }
    if (c->endpoint->flags & NO_REPLAY)
        return error_set(&c->error, ERROR_CONFLICT,
                         "this was done already; its answer held a secret and was not kept",
                         "это уже сделано; в ответе был секрет, он не сохранён");
    return replay(c, &kept);
}

static bool keep(struct call *c, struct str key)
{
    struct idempotency_answer answer = {.status = c->status, .body = buf_view(c->out)};
    struct buf headers;
    buf_init(&headers, 65536);
    json_object(&headers);
    for (const struct answer_field *f = c->fields; f; f = f->next) {
        json_key(&headers, f->name);
        json_str(&headers, f->value);
    }
    json_end_object(&headers);
    hash_request(c, answer.request);
    answer.headers = buf_view(&headers);
    if (c->endpoint->flags & NO_REPLAY) answer.body = STR("");
    bool ok =
        !headers.failed && idempotency_keep(c->worker->db, c->who->id, key, clock_now(), &answer, &c->error);
    buf_free(&headers);
    return ok;
}

/* ── Running ─────────────────────────────────────────────────────────────────────────────────── */

/* The problem of a stale change shows the record as it is, if the caller may read it. */
static void show_current(struct call *c)
{
    if (c->error.kind != ERROR_STALE || c->error.current || !c->entity || !c->id) return;
    struct error e;
    struct buf now;
    int64_t version;
    error_init(&e, c->arena, c->lang);
    buf_init(&now, 1 << 20);
    c->context.error = &e;
    if (query_get(&c->context, c->entity, c->id, (struct str){0}, (struct str){0}, &now, &version) &&
        !now.failed)
        c->error.current = arena_dup(c->arena, buf_view(&now));
    c->context.error = &c->error;
    buf_free(&now);
}

static bool refused(struct call *c)
{
    show_current(c);
    problem_answer(c);
    return false;
}

static bool handle(struct call *c)
{
    return (c->handle(c) && call_fits(c)) || refused(c);
}

/* The change in a savepoint of its own; what was answered stays either way, if it is final. */
static bool handle_once(struct call *c, struct str key)
{
    struct db *d = c->worker->db;
    bool done = false;
    if (!look_up(c, key, &done)) return refused(c);
    if (done) return true;
    if (!db_savepoint(d, &c->error)) return refused(c);
    bool ok = handle(c);
    if (ok) {
        if (!db_savepoint_release(d, &c->error)) return refused(c);
    } else {
        db_savepoint_rollback(d);
        trail_forget(d);
        if (c->status >= 500 || c->status == 429) return false;
        error_clear(&c->error);
    }
    return keep(c, key) || refused(c);
}

static void renew_principals(struct worker *w)
{
    if (!w->doubtful) return;
    struct principal_cache *fresh = principal_cache_new(4096);
    if (!fresh) return;
    principal_cache_free(w->principals);
    w->principals = fresh;
    w->doubtful = false;
}

static bool run(struct write_job *job, struct db *d, void *thread_data)
{
    (void)d;
    struct call *c = call_of(job);
    struct worker *w = thread_data;
    struct str key;
    renew_principals(w);
    log_request(c->x->request_id);
    bool ok = (call_enter(c, w) && key_of(c, &key)) || refused(c);
    if (ok) ok = key.p ? handle_once(c, key) : handle(c);
    call_leave(c);
    meter_scripts(w);
    log_request(STR(""));
    return ok && !c->dry_run;
}

static void done(struct write_job *job, bool committed, const struct error *failure)
{
    struct call *c = call_of(job);
    if (!committed && failure) {
        if (c->worker != c->home) c->worker->doubtful = true;
        error_clear(&c->error);
        c->error.retry_after = failure->retry_after ? failure->retry_after : 1;
        const char *detail = failure->detail ? failure->detail : "";
        error_set(&c->error, failure->kind, "%s", "%s", detail);
        problem_answer(c);
    }
    lane_back(c);
}

void write_enter(struct call *c)
{
    c->out = &c->own;
    buf_reset(c->out);
    c->job.lang = c->lang;
    c->job.run = run;
    c->job.done = done;
    if (writer_submit(c->app->writer, &c->job, &c->error)) return;
    problem_answer(c);
    call_send(c);
}
