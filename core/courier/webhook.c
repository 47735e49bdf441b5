/* webhook.c: what changed, told to those who subscribed (Standard Webhooks 1.0.0).
 *
 *   log ─► webhooks_look: which webhook wants this entry, and may its owner see it? ─► deliveries + position,
 * one transaction ─► a job each ─► webhook_start: POST, signed ─► delivered, again later, or given up
 *
 * Rights and filter are asked when the entry is matched, as its owner has them then. The position in the log
 * moves in the transaction that adds the deliveries, so none is lost and none is made twice. */
#include "store/webhook.h"
#include "courier/internal.h"
#include "store/trail.h"

#include <sodium.h>
#include <stdio.h>

#define PAGE 200
#define TIMEOUT_MS 15000
#define FAILING_MS (INT64_C(5) * 86400000)

/* ---- which entries concern whom ---- */

struct wanted {
    struct wanted *next;
    int64_t webhook, seq;
    struct str type, body;
};

struct subscription {
    struct subscription *next;
    struct webhook w;
    const struct json_value *topics;
    struct principal *owner; /* NULL: gone or inactive */
};

struct look {
    struct task *task; /* its arena holds everything here */
    struct courier *courier;
    const struct catalog *catalog;
    struct subscription *hooks;
    struct wanted *first, **last;
    int64_t from, to;
};

static bool keep_hook(void *ctx, const struct webhook *w)
{
    struct look *l = ctx;
    struct arena *a = &l->task->arena;
    struct error *e = &l->task->error;
    struct subscription *h = arena_alloc(a, sizeof *h);
    if (!h) return error_no_memory(e);
    h->w = *w;
    h->w.filter = arena_str(a, w->filter);
    struct str topics = arena_str(a, w->topics);
    h->topics = topics.p ? json_parse(a, topics, e) : NULL;
    if (!h->topics || !h->w.filter.p) return error_no_memory(e);
    h->owner = principal_load(l->courier->db, l->catalog, w->owner, e);
    if (!h->owner && e->kind != ERROR_NOT_FOUND) return false;
    if (!h->owner) error_clear(e);
    h->next = l->hooks;
    l->hooks = h;
    return true;
}

static bool has_topic(const struct subscription *h, const struct entity *e)
{
    for (const struct json_value *t = h->topics->first; t; t = t->next)
        if (str_is(t->text, e->collection)) return true;
    return h->topics->first == NULL;
}

/* Does the owner see the record now, and does the filter hold for it? */
static bool fits(struct look *l, const struct subscription *h, const struct entity *e, int64_t record,
                 bool *yes)
{
    struct context c;
    struct arena *a = &l->task->arena;
    struct value id = value_of(VALUE_ID, record);
    int64_t *ids = NULL;
    size_t n = 0;
    struct query q = {.entity = e, .params = &id, .param_count = 1, .limit = 1};
    const char *filter = h->w.filter.n ? arena_printf(a, "(%.*s) and id = $1 and active in (true, false)",
                                                      STR_ARG(h->w.filter))
                                       : "id = $1 and active in (true, false)";
    if (!filter) return error_no_memory(&l->task->error);
    q.filter = str_of(filter);
    context_init(&c, l->catalog, l->courier->db, h->owner, a, &l->task->error);
    bool ok = query_ids(&c, &q, &ids, &n);
    *yes = ok && n == 1;
    if (ok || l->task->error.kind == ERROR_INTERNAL || l->task->error.kind == ERROR_UNAVAILABLE) return ok;
    /* The filter names something that its owner may not read any more: nothing fits it. */
    error_clear(&l->task->error);
    return true;
}

static bool told(const struct principal *who, const struct entity *e, const struct json_value *m)
{
    const struct field *f = entity_field(e, m->key);
    return f && m->type == JSON_ARRAY && m->count == 2 &&
           access_field(who, e, f, ACTION_READ) == ACCESS_ALWAYS;
}

static void write_side(struct buf *b, const char *name, const struct subscription *h, const struct entity *e,
                       const struct json_value *changes, bool after, bool absent)
{
    json_key(b, str_of(name));
    if (absent) {
        json_null(b);
        return;
    }
    json_object(b);
    for (const struct json_value *m = changes ? changes->first : NULL; m; m = m->next) {
        if (!told(h->owner, e, m)) continue;
        json_key_any(b, m->key);
        json_value_write(b, after ? m->first->next : m->first);
    }
    json_end_object(b);
}

static struct str body_of(struct look *l, const struct subscription *h, const struct entity *e,
                          const struct trail_entry *entry, const char *type, const struct json_value *changes)
{
    struct buf b;
    buf_init(&b, (size_t)1 << 20);
    json_object(&b);
    json_key(&b, STR("type"));
    json_cstr(&b, type);
    json_key(&b, STR("timestamp"));
    json_datetime(&b, entry->at);
    json_key(&b, STR("data"));
    json_object(&b);
    json_key(&b, STR("id"));
    json_id(&b, entry->record);
    write_side(&b, "before", h, e, changes, false, str_is(entry->action, "create"));
    write_side(&b, "after", h, e, changes, true, str_is(entry->action, "delete"));
    json_key(&b, STR("changed"));
    json_array(&b);
    for (const struct json_value *m = changes ? changes->first : NULL; m; m = m->next)
        if (told(h->owner, e, m)) json_str(&b, m->key);
    json_end_array(&b);
    json_end_object(&b);
    json_end_object(&b);
    struct str out = b.failed ? (struct str){NULL, 0} : arena_str(&l->task->arena, buf_view(&b));
    buf_free(&b);
    return out;
}

static bool add(struct look *l, const struct subscription *h, const struct entity *e,
                const struct trail_entry *entry, const char *event)
{
    struct arena *a = &l->task->arena;
    struct error ignored;
    error_init(&ignored, a, LANG_EN);
    const char *type = arena_printf(a, "%s.%s", e->name, event);
    struct str text = arena_str(a, entry->changes);
    const struct json_value *changes = text.p ? json_parse(a, text, &ignored) : NULL;
    struct wanted *w = arena_alloc(a, sizeof *w);
    if (!type || !text.p || !w) return error_no_memory(&l->task->error);
    *w = (struct wanted){.webhook = h->w.id, .seq = entry->seq, .type = str_of(type)};
    w->body = body_of(l, h, e, entry, type, changes);
    if (!w->body.p) return error_no_memory(&l->task->error);
    *l->last = w;
    l->last = &w->next;
    return true;
}

static bool match(void *ctx, const struct trail_entry *entry)
{
    struct look *l = ctx;
    const struct entity *e = entry->entity.n ? catalog_entity(l->catalog, entry->entity) : NULL;
    const char *event = trail_event(entry->action);
    l->to = entry->seq;
    for (struct subscription *h = e && event ? l->hooks : NULL; h; h = h->next) {
        if (entry->seq <= h->w.since || !h->owner || !h->owner->active || !has_topic(h, e)) continue;
        bool gone = str_is(entry->action, "delete"), yes = gone && h->owner->all_read && !h->w.filter.n;
        if (!gone && !fits(l, h, e, entry->record, &yes)) return false;
        if (yes && !add(l, h, e, entry, event)) return false;
    }
    return l->task->arena.used < l->task->arena.limit / 2; /* the rest another time */
}

static bool look_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct look *l = t->data;
    bool moved;
    if (!webhook_move(d, l->from, l->to, &moved, &t->error) || !moved) return false;
    for (struct wanted *w = l->first; w; w = w->next) {
        int64_t id;
        if (!delivery_add(d, w->webhook, w->seq, w->type, w->body, &id, &t->error)) return false;
    }
    return true;
}

static void look_back(struct task *t)
{
    struct courier *c = t->courier;
    c->looking = false;
    if (!t->ok) {
        LOG(LOG_WARN, "webhooks cannot be served", log_s("reason", t->error.detail ? t->error.detail : ""));
        c->again = true;
    }
    task_free(t);
}

static bool read_log(struct look *l)
{
    struct error *e = &l->task->error;
    struct db *d = l->courier->db;
    int64_t first, last, since = INT64_MAX;
    if (!webhook_list(d, true, keep_hook, l, e) || !l->hooks) return e->kind == ERROR_NONE;
    for (struct subscription *h = l->hooks; h; h = h->next)
        if (h->w.since < since) since = h->w.since;
    if (!webhook_position(d, &l->from, e) || !trail_range(d, &first, &last, e)) return false;
    l->to = l->from > since ? l->from : since; /* nobody wants what is older */
    return last <= l->to || (trail_read(d, l->to, PAGE, match, l, e) && e->kind == ERROR_NONE);
}

void webhooks_look(struct courier *c)
{
    if (c->looking || !c->loaded) return;
    struct task *t = task_new(c, NULL, look_act, look_back);
    struct look *l = t ? arena_alloc(&t->arena, sizeof *l) : NULL;
    if (!l) {
        task_free(t);
        c->again = true;
        return;
    }
    *l = (struct look){.task = t, .courier = c, .catalog = c->loaded->set->catalog};
    l->last = &l->first;
    t->data = l;
    bool ok = read_log(l);
    for (struct subscription *h = l->hooks; h; h = h->next)
        principal_unref(h->owner);
    if (!ok) {
        LOG(LOG_WARN, "webhooks cannot be matched", log_s("reason", t->error.detail ? t->error.detail : ""));
        c->again = true;
    }
    /* Entries that nobody wants move the position only now and then, so that an idle webhook writes nothing.
     */
    if (!ok || !l->hooks || l->to == l->from || (!l->first && l->to - l->from < PAGE)) {
        task_free(t);
        return;
    }
    c->looking = true;
    task_submit(t);
}

/* ---- sending ---- */

struct sending {
    struct run *run;
    struct arena arena;
    struct error error;
    int64_t delivery, webhook, owner, failing_since;
    bool delivered, final, gone;
    int status; /* HTTP; 0: nobody answered */
    int64_t took_ms;
    char words[300];
};

static void sending_free(struct sending *s)
{
    arena_free(&s->arena);
    free(s);
}

static bool result_act(struct task *t, struct db *d, void *thread_data)
{
    struct sending *s = t->data;
    struct str why =
        s->gone ? STR("the receiver answered 410: gone") : STR("every delivery failed for five days");
    bool old = s->failing_since && clock_now() - s->failing_since > FAILING_MS && !s->delivered;
    return delivery_result(d, s->delivery, s->delivered, s->final, s->status, str_of(s->words), s->took_ms,
                           &t->error) &&
           (!(s->gone || old) ||
            (webhook_disable(d, s->webhook, why, &t->error) &&
             write_notification(t, d, thread_data, s->owner,
                                "A webhook was switched off: its receiver does not answer",
                                "Вебхук выключен: получатель не отвечает")));
}

static void result_back(struct task *t)
{
    struct sending *s = t->data;
    struct run *run = t->run;
    if (!t->ok)
        run_fail(run, t->error.detail ? t->error.detail : "the result cannot be written");
    else if (s->delivered)
        run_end(run, OUTBOX_DONE, 0, NULL);
    else if (s->gone)
        run_end(run, OUTBOX_CANCELLED, 0, s->words);
    else
        run_fail(run, s->words);
    sending_free(s);
    task_free(t);
}

static void write_result(struct sending *s)
{
    struct task *t = task_new(s->run->courier, s->run, result_act, result_back);
    if (!t) {
        run_fail(s->run, "out of memory");
        sending_free(s);
        return;
    }
    t->data = s;
    task_submit(t);
}

static void on_answer(void *data, const struct http_result *r)
{
    struct sending *s = data;
    if (s->run->courier->closing) {
        sending_free(s);
        return;
    }
    s->status = r->outcome == HTTP_ANSWERED ? r->status : 0;
    s->delivered = s->status / 100 == 2;
    s->gone = s->status == 410;
    s->took_ms = r->took_ms;
    if (s->status)
        snprintf(s->words, sizeof s->words, "the receiver answered %d", s->status);
    else
        snprintf(s->words, sizeof s->words, "%s", r->error);
    if (r->retry_after > 0) s->run->retry_after_ms = r->retry_after * 1000;
    s->final = s->gone || s->run->attempt >= s->run->attempts;
    write_result(s);
}

/* "v1,<base64 of HMAC-SHA256 over id.timestamp.body>" */
static bool sign(struct buf *out, struct str secret, const char *id, const char *timestamp, struct str body)
{
    unsigned char key[64], mac[crypto_auth_hmacsha256_BYTES];
    char text[64];
    crypto_auth_hmacsha256_state state;
    size_t n = webhook_key(secret, key);
    if (!n) return false;
    crypto_auth_hmacsha256_init(&state, key, n);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)id, strlen(id));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)timestamp, strlen(timestamp));
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)".", 1);
    crypto_auth_hmacsha256_update(&state, (const unsigned char *)body.p, body.n);
    crypto_auth_hmacsha256_final(&state, mac);
    sodium_memzero(key, sizeof key);
    sodium_bin2base64(text, sizeof text, mac, sizeof mac, sodium_base64_VARIANT_ORIGINAL);
    buf_printf(out, "%sv1,%s", out->n ? " " : "", text);
    return true;
}

static bool post(struct sending *s, const struct webhook *w, const struct delivery *v)
{
    char id[ID_TEXT + 8], timestamp[24], text[ID_TEXT + 1];
    struct buf signature;
    id_format(v->id, text);
    snprintf(id, sizeof id, "msg_%s", text);
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)(clock_now() / 1000));
    buf_init(&signature, 4096);
    bool ok = sign(&signature, w->secret, id, timestamp, v->body);
    if (ok && w->old_secret.n && w->old_until > clock_now())
        ok = sign(&signature, w->old_secret, id, timestamp, v->body);
    struct http_field fields[] = {{STR("Content-Type"), STR("application/json")},
                                  {STR("webhook-id"), str_of(id)},
                                  {STR("webhook-timestamp"), str_of(timestamp)},
                                  {STR("webhook-signature"), buf_view(&signature)}};
    const char *url = arena_dup(&s->arena, w->url);
    struct http_request request = {.method = "POST",
                                   .url = url,
                                   .fields = fields,
                                   .fields_n = sizeof fields / sizeof *fields,
                                   .body = v->body,
                                   .body_fd = -1,
                                   .timeout_ms = TIMEOUT_MS,
                                   .response_max = (size_t)64 << 10};
    ok = ok && url && !signature.failed && http_client_send(s->run->courier->http, &request, on_answer, s);
    buf_free(&signature);
    return ok;
}

static bool delivery_id(struct str args, struct sending *s)
{
    struct str copy = arena_str(&s->arena, args);
    const struct json_value *json = copy.p ? json_parse(&s->arena, copy, &s->error) : NULL;
    return json && id_parse(arg_text(json, "delivery"), &s->delivery);
}

void webhook_start(struct run *r, struct str args)
{
    struct sending *s = calloc(1, sizeof *s);
    struct webhook w;
    struct delivery v;
    bool found = false;
    if (!s) {
        run_fail(r, "out of memory");
        return;
    }
    s->run = r;
    arena_init(&s->arena, (size_t)8 << 20);
    error_init(&s->error, &s->arena, LANG_EN);
    bool ok = delivery_id(args, s) && delivery_get(r->courier->db, s->delivery, &v, &found, &s->error) &&
              (!found || webhook_get(r->courier->db, v.webhook, &w, &found, &s->error));
    if (!ok || !found || !w.active) {
        run_end(r, ok ? OUTBOX_CANCELLED : OUTBOX_DEAD, 0,
                !ok      ? "the delivery cannot be read"
                : !found ? "the webhook was deleted"
                         : "the webhook is switched off");
        sending_free(s);
        return;
    }
    s->webhook = w.id;
    s->owner = w.owner;
    s->failing_since = w.failing_since;
    r->courier->requests++;
    if (post(s, &w, &v)) return;
    run_fail(r, "the request cannot be made");
    sending_free(s);
}
