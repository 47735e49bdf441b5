/* webhooks.c: subscriptions and their deliveries, for administrators (api.md §10). A secret is shown when it
 * is made, never again. */
#include "api/app.h"

#include "http/client.h"
#include "store/webhook.h"

#include <curl/curl.h>

#define URL_MAX 2000
#define TOPICS_MAX 50
#define OLD_SECRET_MS INT64_C(86400000)
#define LIST_MAX 500

static bool may_look(struct call *c)
{
    if (c->who->all_read) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "webhooks are for administrators",
                     "вебхуки видят только администраторы");
}

static bool may_change(struct call *c)
{
    if (c->who->all_write) return true;
    return error_set(&c->error, ERROR_FORBIDDEN, "only administrators change webhooks",
                     "изменять вебхуки могут только администраторы");
}

/* ---- writing them out ---- */

static void member(struct buf *b, struct str key, struct str text)
{
    json_key(b, key);
    if (text.n)
        json_str(b, text);
    else
        json_null(b);
}

static void write_webhook(struct buf *b, const struct webhook *w, bool secret)
{
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, w->id);
    member(b, STR("url"), w->url);
    json_key(b, STR("topics"));
    json_raw(b, w->topics);
    member(b, STR("filter"), w->filter);
    member(b, STR("description"), w->description);
    json_key(b, STR("active"));
    json_bool(b, w->active);
    member(b, STR("disabled"), w->disabled);
    json_key(b, STR("created_by"));
    json_id(b, w->owner);
    json_time(b, STR("created_at"), w->created_at);
    json_time(b, STR("updated_at"), w->updated_at);
    json_time(b, STR("failing_since"), w->failing_since);
    if (secret) member(b, STR("secret"), w->secret);
    json_end_object(b);
}

/* ---- reading what the client wants ---- */

static bool wrong(struct call *c, const char *pointer, const char *code, const char *en, const char *ru)
{
    error_add(&c->error, pointer, code, "%s", "%s", c->error.lang == LANG_RU ? ru : en);
    return error_set(&c->error, ERROR_VALIDATION_FAILED, "%s", "%s", c->error.lang == LANG_RU ? ru : en);
}

/* An inner address given as a number is refused at once; a name is checked when it is connected to. */
static bool read_url(struct call *c, struct str url)
{
    char *copy = arena_dup(c->arena, url), *scheme = NULL, *host = NULL, *user = NULL;
    struct address a;
    CURLU *u = copy && strlen(copy) == url.n ? curl_url() : NULL;
    bool ok = u && curl_url_set(u, CURLUPART_URL, copy, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              curl_url_get(u, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              (strcmp(scheme, "https") == 0 || strcmp(scheme, "http") == 0);
    bool secret = ok && curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK;
    bool inner = ok && address_parse(str_of(host), false, &a) &&
                 !guard_allows(&a, c->app->options->open, c->app->options->open_count);
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_url_cleanup(u);
    if (!ok)
        return wrong(c, "/url", "bad_value", "url is an http or https address", "url: адрес http или https");
    if (secret)
        return wrong(c, "/url", "bad_value", "url holds a user name: the signature says who it is",
                     "в url есть имя пользователя: подпись и так говорит, от кого запрос");
    if (inner)
        return wrong(c, "/url", "inner_address", "this address is inside, and may not be reached",
                     "это внутренний адрес, обращаться к нему нельзя");
    return true;
}

static bool known_topic(struct call *c, struct str name, size_t at)
{
    const struct entity *e = catalog_collection(c->worker->set->catalog, name);
    if (e && access_may(c->who, e, ACTION_READ)) return true;
    error_add(&c->error, arena_printf(c->arena, "/topics/%zu", at), "unknown_topic",
              "there is no collection %.*s", "нет коллекции %.*s", STR_ARG(name));
    return error_set(&c->error, ERROR_VALIDATION_FAILED, "there is no such collection",
                     "нет такой коллекции");
}

static bool read_topics(struct call *c, struct webhook *w)
{
    const struct json_value *v = json_member(c->body, STR("topics"));
    struct buf b;
    if (!v) return true;
    if (v->type != JSON_ARRAY || v->count > TOPICS_MAX)
        return wrong(c, "/topics", "bad_value", "topics is a list of at most 50 collections",
                     "topics: список не более 50 коллекций");
    size_t i = 0;
    for (const struct json_value *t = v->first; t; t = t->next, i++) {
        if (t->type != JSON_STRING)
            return wrong(c, "/topics", "bad_value", "a topic is the name of a collection",
                         "тема: имя коллекции");
        if (!known_topic(c, t->text, i)) return false;
    }
    buf_init(&b, 64 << 10);
    json_value_write(&b, v);
    w->topics = b.failed ? (struct str){NULL, 0} : arena_str(c->arena, buf_view(&b));
    buf_free(&b);
    return w->topics.p || error_no_memory(&c->error);
}

/* A filter speaks of one collection, and only of what its owner may read. */
static bool check_filter(struct call *c, const struct webhook *w)
{
    if (!w->filter.n) return true;
    const struct json_value *topics = json_parse(c->arena, w->topics, &c->error);
    if (!topics) return false;
    if (topics->count != 1)
        return wrong(c, "/filter", "bad_value", "a filter needs exactly one topic",
                     "фильтру нужна ровно одна тема");
    const struct entity *e = catalog_collection(c->worker->set->catalog, topics->first->text);
    if (!e) return known_topic(c, topics->first->text, 0);
    struct query q = {.entity = e, .filter = w->filter, .limit = 1};
    int64_t *ids;
    size_t n;
    return query_ids(&c->context, &q, &ids, &n);
}

static bool read_secret(struct call *c, struct webhook *w)
{
    struct str given;
    unsigned char key[64];
    if (!call_text(c, "secret", false, WEBHOOK_SECRET_MAX, &given)) return false;
    if (given.p) {
        w->secret = given;
        return webhook_key(given, key) > 0 ||
               wrong(c, "/secret", "bad_value", "secret is \"whsec_\" and 24 to 64 bytes in base64",
                     "secret: «whsec_» и от 24 до 64 байт в base64");
    }
    char *fresh = arena_alloc(c->arena, WEBHOOK_SECRET_MAX);
    if (!fresh) return error_no_memory(&c->error);
    webhook_secret(fresh);
    w->secret = str_of(fresh);
    return true;
}

static bool read_body(struct call *c, struct webhook *w, bool fresh)
{
    struct str url, filter, description;
    bool active = w->active;
    const struct json_value *on = json_member(c->body, STR("active"));
    if (!call_text(c, "url", fresh, URL_MAX, &url) ||
        !call_text(c, "filter", false, FILTER_LENGTH_MAX, &filter) ||
        !call_text(c, "description", false, 1000, &description))
        return false;
    if (on && on->type != JSON_TRUE && on->type != JSON_FALSE)
        return wrong(c, "/active", "bad_value", "active is true or false", "active: true или false");
    if (on) active = on->type == JSON_TRUE;
    if (url.p && !read_url(c, url)) return false;
    if (url.p) w->url = url;
    if (json_member(c->body, STR("filter"))) w->filter = filter;
    if (json_member(c->body, STR("description"))) w->description = description;
    if (active && !w->active) w->failing_since = 0, w->disabled = (struct str){0};
    w->active = active;
    return read_topics(c, w) && check_filter(c, w);
}

/* ---- endpoints ---- */

static bool find(struct call *c, struct webhook *w)
{
    bool found = false;
    int64_t id;
    if (id_parse(call_capture(c, "id"), &id) && !webhook_get(c->worker->db, id, w, &found, &c->error))
        return false;
    return found || error_set(&c->error, ERROR_NOT_FOUND, "there is no such webhook", "нет такого вебхука");
}

static bool create(struct call *c)
{
    struct webhook w = {.owner = c->who->id, .topics = STR("[]"), .active = true};
    if (!may_change(c) || !call_members(c, "url topics filter description active secret") ||
        !read_body(c, &w, true) || !read_secret(c, &w) || !webhook_insert(c->worker->db, &w, &c->error))
        return false;
    write_webhook(c->out, &w, true);
    char id[ID_TEXT + 1];
    id_format(w.id, id);
    const char *place = arena_printf(c->arena, "/api/v1/webhooks/%s", id);
    if (place) call_field(c, "Location", str_of(place));
    call_field(c, "Cache-Control", STR("no-store"));
    return call_json(c, 201);
}

static bool add_webhook(void *ctx, const struct webhook *w)
{
    write_webhook(ctx, w, false);
    return true;
}

static bool list(struct call *c)
{
    if (!may_look(c)) return false;
    json_object(c->out);
    json_key(c->out, STR("items"));
    json_array(c->out);
    if (!webhook_list(c->worker->db, false, add_webhook, c->out, &c->error)) return false;
    json_end_array(c->out);
    json_end_object(c->out);
    return call_json(c, 200);
}

static bool show(struct call *c)
{
    struct webhook w;
    if (!may_look(c) || !find(c, &w)) return false;
    write_webhook(c->out, &w, false);
    return call_json(c, 200);
}

static bool change(struct call *c)
{
    struct webhook w;
    if (!may_change(c) || !find(c, &w) || !call_members(c, "url topics filter description active") ||
        !read_body(c, &w, false) || !webhook_update(c->worker->db, &w, &c->error))
        return false;
    write_webhook(c->out, &w, false);
    return call_json(c, 200);
}

static bool destroy(struct call *c)
{
    struct webhook w;
    bool found;
    return may_change(c) && find(c, &w) && webhook_delete(c->worker->db, w.id, &found, &c->error) &&
           call_empty(c, 204);
}

/* The old secret signs beside the new one for a day, so that the receiver can change at leisure. */
static bool rotate(struct call *c)
{
    struct webhook w;
    if (!may_change(c) || !find(c, &w) || !call_members(c, "secret")) return false;
    w.old_secret = w.secret;
    w.old_until = clock_now() + OLD_SECRET_MS;
    if (!read_secret(c, &w) || !webhook_update(c->worker->db, &w, &c->error)) return false;
    write_webhook(c->out, &w, true);
    call_field(c, "Cache-Control", STR("no-store"));
    return call_json(c, 200);
}

/* ---- deliveries ---- */

static void write_delivery(struct buf *b, const struct delivery *v)
{
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, v->id);
    member(b, STR("type"), v->type);
    member(b, STR("state"), v->state);
    json_key(b, STR("attempts"));
    json_int(b, v->attempts);
    json_key(b, STR("status"));
    if (v->status)
        json_int(b, v->status);
    else
        json_null(b);
    member(b, STR("error"), v->error);
    json_time(b, STR("created_at"), v->created_at);
    json_time(b, STR("sent_at"), v->sent_at);
    json_key(b, STR("took_ms"));
    json_int(b, v->took_ms);
    json_key(b, STR("body"));
    json_raw(b, v->body);
    json_end_object(b);
}

struct page {
    struct buf *out;
    int64_t limit, n, last;
    bool more;
};

static bool add_delivery(void *ctx, const struct delivery *v)
{
    struct page *p = ctx;
    if (p->n == p->limit) return p->more = true; /* one more was asked for only to know this */
    write_delivery(p->out, v);
    p->last = v->id;
    p->n++;
    return true;
}

static bool deliveries(struct call *c)
{
    struct webhook w;
    struct page p = {.out = c->out};
    int64_t before = INT64_MAX;
    struct str cursor = call_parameter(c, "cursor");
    if (!may_look(c) || !find(c, &w) || !call_number(c, "limit", 1, LIST_MAX, 50, &p.limit)) return false;
    if (cursor.p && !id_parse(cursor, &before)) {
        error_add(&c->error, "cursor", "bad_value", "the cursor is not one of this list",
                  "курсор не от этого списка");
        return error_set(&c->error, ERROR_BAD_REQUEST, "wrong cursor", "неверный курсор");
    }
    json_object(c->out);
    json_key(c->out, STR("items"));
    json_array(c->out);
    if (!delivery_list(c->worker->db, w.id, before, p.limit + 1, add_delivery, &p, &c->error)) return false;
    json_end_array(c->out);
    if (p.more) {
        json_key(c->out, STR("next"));
        json_id(c->out, p.last);
    }
    json_end_object(c->out);
    return call_json(c, 200);
}

static bool answer_delivery(struct call *c, int64_t id, int status)
{
    struct delivery v;
    bool found = false;
    if (!delivery_get(c->worker->db, id, &v, &found, &c->error)) return false;
    write_delivery(c->out, &v);
    return call_json(c, status);
}

static bool need_active(struct call *c, const struct webhook *w)
{
    return w->active ||
           error_set(&c->error, ERROR_CONFLICT, "the webhook is switched off", "вебхук выключен");
}

static bool redeliver(struct call *c)
{
    struct webhook w;
    struct delivery v;
    bool found = false;
    int64_t id;
    if (!may_change(c) || !find(c, &w) || !need_active(c, &w)) return false;
    if (id_parse(call_capture(c, "delivery"), &id) && !delivery_get(c->worker->db, id, &v, &found, &c->error))
        return false;
    if (!found || v.webhook != w.id)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no such delivery", "нет такой доставки");
    return delivery_again(c->worker->db, id, &c->error) && answer_delivery(c, id, 202);
}

static bool test(struct call *c)
{
    struct webhook w;
    struct buf b;
    int64_t id;
    if (!may_change(c) || !find(c, &w) || !need_active(c, &w)) return false;
    buf_init(&b, 1024);
    json_object(&b);
    json_key(&b, STR("type"));
    json_cstr(&b, "ping");
    json_key(&b, STR("timestamp"));
    json_datetime(&b, clock_now());
    json_key(&b, STR("data"));
    json_object(&b);
    json_end_object(&b);
    json_end_object(&b);
    bool ok = b.failed ? error_no_memory(&c->error)
                       : delivery_add(c->worker->db, w.id, 0, STR("ping"), buf_view(&b), &id, &c->error);
    buf_free(&b);
    return ok && answer_delivery(c, id, 202);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/webhooks", LANE_READ, 0, "", list, "Subscriptions to changes (administrators)",
     NULL, "webhooks", 200},
    {HTTP_METHOD_POST, "/api/v1/webhooks", LANE_WRITE, BODY | NO_REPLAY, "", create,
     "Subscribe; the secret is shown once", "webhook_make", "webhook", 201},
    {HTTP_METHOD_GET, "/api/v1/webhooks/{id}", LANE_READ, 0, "", show, "A subscription", NULL, "webhook",
     200},
    {HTTP_METHOD_PATCH, "/api/v1/webhooks/{id}", LANE_WRITE, BODY | PATCHES, "", change,
     "Change a subscription", "webhook_change", "webhook", 200},
    {HTTP_METHOD_DELETE, "/api/v1/webhooks/{id}", LANE_WRITE, 0, "", destroy,
     "Delete a subscription with its log", NULL, NULL, 204},
    {HTTP_METHOD_POST, "/api/v1/webhooks/{id}/rotate", LANE_WRITE, BODY_MAY | NO_REPLAY, "", rotate,
     "A new secret; the old one signs along for a day", NULL, "webhook", 200},
    {HTTP_METHOD_POST, "/api/v1/webhooks/{id}/test", LANE_WRITE, BODY_MAY, "", test, "Send a ping", NULL,
     "delivery", 202},
    {HTTP_METHOD_GET, "/api/v1/webhooks/{id}/deliveries", LANE_READ, 0, "limit cursor", deliveries,
     "What was sent, newest first", NULL, "deliveries", 200},
    {HTTP_METHOD_POST, "/api/v1/webhooks/{id}/deliveries/{delivery}/redeliver", LANE_WRITE, BODY_MAY, "",
     redeliver, "Send it once more", NULL, "delivery", 202},
};

const struct endpoint_table webhooks_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
