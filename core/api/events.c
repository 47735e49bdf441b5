/* events.c: server-sent events (api.md §10): a view of the log. Each loop holds its own streams; after a
 * commit (and four times a second, for what other processes write) it reads what is new and gives each stream
 * what its user may read at that moment. */
#include "api/app.h"
#include "store/trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#define POLL_MS 250
#define BEAT_MS 15000
#define PAGE 200
#define PENDING_MAX ((size_t)1 << 20)
#define REPLAY_MAX 100000 /* entries: further back is "reset" */

struct topic {
    const char *collection;
    int64_t id; /* 0: all of the collection */
};

struct subscriber {
    struct subscriber *next;
    struct call *call; /* its exchange, credentials and arena */
    struct topic *topics;
    size_t topic_count;
    int64_t position;
    bool gone;
};

struct events {
    struct worker *worker;
    uv_timer_t poll, beat;
    struct subscriber *first;
    int64_t data_version, last; /* the newest entry that all streams have seen */
    atomic_bool posted;
    int open_handles;
};

static void drop(struct events *ev, struct subscriber *s)
{
    struct subscriber **at = &ev->first;
    while (*at && *at != s)
        at = &(*at)->next;
    if (*at) *at = s->next;
    atomic_fetch_sub(&ev->worker->meter->streams, 1);
    struct http_exchange *x = s->call->x;
    buf_free(&s->call->own);
    http_stream_end(x); /* the arena, and the subscriber in it, are gone */
}

/* ---- one event ---- */

static bool wanted(const struct subscriber *s, const struct entity *e, int64_t record)
{
    for (size_t i = 0; i < s->topic_count; i++)
        if (strcmp(s->topics[i].collection, e->collection) == 0 &&
            (s->topics[i].id == 0 || s->topics[i].id == record))
            return true;
    return s->topic_count == 0;
}

static const struct json_value *changes_of(const struct trail_entry *entry, struct arena *arena)
{
    struct error ignored;
    error_init(&ignored, arena, LANG_EN);
    const struct json_value *all = json_parse(arena, entry->changes, &ignored);
    return all ? all->first : NULL;
}

/* May the user read the field on every row? The row may have been another one then. */
static bool told(const struct principal *who, const struct entity *e, const struct json_value *change)
{
    const struct field *f = entity_field(e, change->key);
    return f && access_field(who, e, f, ACTION_READ) == ACCESS_ALWAYS;
}

/* A change of hidden fields alone is no event for those to whom some field is hidden. */
static bool concerns(const struct principal *who, const struct entity *e, const struct trail_entry *entry,
                     const struct json_value *changes)
{
    if (!changes || !str_is(entry->action, "update")) return true;
    for (const struct json_value *m = changes; m; m = m->next)
        if (told(who, e, m)) return true;
    return access_reads_all(who, e);
}

static void write_changed(struct buf *b, const struct principal *who, const struct entity *e,
                          const struct json_value *changes)
{
    json_key(b, STR("changed"));
    json_array(b);
    for (const struct json_value *m = changes; m; m = m->next)
        if (told(who, e, m)) json_str(b, m->key);
    json_end_array(b);
}

static void write_event(struct buf *b, const struct principal *who, const struct entity *e,
                        const struct trail_entry *entry, const struct json_value *changes)
{
    buf_printf(b, "id: %lld\ndata: ", (long long)entry->seq);
    struct buf json;
    buf_init(&json, 1 << 20);
    json_object(&json);
    json_key(&json, STR("topic"));
    json_cstr(&json, e->collection);
    json_key(&json, STR("type"));
    buf_printf(&json, "\"%s.%.*s\"", e->name, STR_ARG(entry->action));
    json_key(&json, STR("id"));
    json_id(&json, entry->record);
    json_key(&json, STR("action"));
    json_str(&json, entry->action);
    json_key(&json, STR("at"));
    json_datetime(&json, entry->at);
    json_key(&json, STR("by"));
    json_id(&json, entry->who);
    write_changed(&json, who, e, changes);
    json_end_object(&json);
    buf_str(b, buf_view(&json));
    b->failed = b->failed || json.failed;
    buf_free(&json);
    buf_cstr(b, "\n\n");
}

struct delivery {
    struct events *ev;
    struct subscriber *s;
    struct principal *who;
    struct arena *arena;
    struct buf out;
    bool failed;
};

static bool deliver(void *ctx, const struct trail_entry *entry)
{
    struct delivery *d = ctx;
    struct worker *w = d->ev->worker;
    struct subscriber *s = d->s;
    const struct entity *e = entry->entity.n ? catalog_entity(w->set->catalog, entry->entity) : NULL;
    s->position = entry->seq;
    if (!e || !wanted(s, e, entry->record)) return true;
    struct filter_env env = d->who->env;
    struct error error;
    const struct field *denied;
    bool allowed = false;
    env.now = clock_now();
    error_init(&error, d->arena, LANG_EN);
    if (!access_check(w->db, d->who, e, entry->record, ACTION_READ, NULL, &env, d->arena, &allowed, &denied,
                      &error)) {
        d->failed = true;
        return false;
    }
    const struct json_value *changes = changes_of(entry, d->arena);
    if ((allowed || (d->who->all_read && str_is(entry->action, "delete"))) &&
        concerns(d->who, e, entry, changes))
        write_event(&d->out, d->who, e, entry, changes);
    return d->out.n < PENDING_MAX;
}

/* Who asks, by what they came with: a token taken back or an ended session ends the stream. */
static struct principal *who_asks(struct events *ev, struct subscriber *s, struct arena *arena)
{
    struct worker *w = ev->worker;
    struct error e;
    int64_t token;
    struct session session;
    error_init(&e, arena, LANG_EN);
    if (s->call->bearer.p)
        return principal_by_token(w->principals, w->db, w->set->catalog, s->call->bearer, clock_now(), &token,
                                  &e);
    return principal_by_session(w->principals, w->db, w->set->catalog, s->call->session, clock_now(),
                                w->app->options->sessions, &session, &e);
}

/* Gives a stream what is new; false: it is over. */
static bool serve(struct events *ev, struct subscriber *s)
{
    struct arena arena;
    struct error e;
    if (s->gone) return false;
    if (http_stream_pending(s->call->x) > PENDING_MAX) return true; /* slow: later */
    arena_init(&arena, (size_t)8 << 20);
    error_init(&e, &arena, LANG_EN);
    struct delivery d = {.ev = ev, .s = s, .arena = &arena, .who = who_asks(ev, s, &arena)};
    buf_init(&d.out, (size_t)4 << 20);
    bool ok = d.who != NULL;
    int64_t before;
    do {
        before = s->position;
        ok = ok && trail_read(ev->worker->db, s->position, PAGE, deliver, &d, &e) && !d.failed;
    } while (ok && s->position != before && d.out.n < PENDING_MAX / 2);
    if (ok && d.out.n && !d.out.failed) ok = http_stream_write(s->call->x, buf_view(&d.out)) != SIZE_MAX;
    buf_free(&d.out);
    principal_unref(d.who);
    arena_free(&arena);
    return ok;
}

static void pump(struct events *ev)
{
    worker_renew(ev->worker);
    for (struct subscriber *s = ev->first, *next; s; s = next) {
        next = s->next;
        if (!serve(ev, s)) drop(ev, s);
    }
}

static void on_poll(uv_timer_t *t)
{
    struct events *ev = t->data;
    struct arena arena;
    struct error e;
    int64_t version = 0;
    if (!ev->first) return;
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool ok = db_data_version(ev->worker->db, &version, &e);
    arena_free(&arena);
    if (!ok || version == ev->data_version) return;
    ev->data_version = version;
    pump(ev);
}

static void on_beat(uv_timer_t *t)
{
    struct events *ev = t->data;
    for (struct subscriber *s = ev->first, *next; s; s = next) {
        next = s->next;
        if (s->gone || http_stream_write(s->call->x, STR(": still here\n\n")) == SIZE_MAX) drop(ev, s);
    }
}

static void on_wake(void *arg)
{
    struct events *ev = arg;
    atomic_store(&ev->posted, false);
    if (ev->first) pump(ev);
}

void events_wake(struct app *app)
{
    pthread_mutex_lock(&app->lock); /* a loop that stops takes itself out under it */
    for (unsigned i = 0; i < app->loop_count; i++) {
        struct worker *w = app->loops[i] ? http_loop_data(app->loops[i]) : NULL;
        if (!w || !w->events || atomic_load(&w->meter->streams) == 0) continue;
        if (atomic_exchange(&w->events->posted, true)) continue;
        if (!http_loop_post(app->loops[i], on_wake, w->events)) atomic_store(&w->events->posted, false);
    }
    pthread_mutex_unlock(&app->lock);
}

/* ---- life of a loop's streams ---- */

struct events *events_open(struct worker *w)
{
    struct events *ev = calloc(1, sizeof *ev);
    if (!ev) return NULL;
    ev->worker = w;
    uv_loop_t *loop = http_loop_uv(w->loop);
    uv_timer_init(loop, &ev->poll);
    uv_timer_init(loop, &ev->beat);
    ev->poll.data = ev->beat.data = ev;
    ev->open_handles = 2;
    uv_timer_start(&ev->poll, on_poll, POLL_MS, POLL_MS);
    uv_timer_start(&ev->beat, on_beat, BEAT_MS, BEAT_MS);
    return ev;
}

static void on_closed(uv_handle_t *h)
{
    struct events *ev = h->data;
    if (--ev->open_handles == 0) free(ev);
}

void events_close(struct events *ev)
{
    if (!ev) return;
    while (ev->first)
        drop(ev, ev->first);
    uv_close((uv_handle_t *)&ev->poll, on_closed);
    uv_close((uv_handle_t *)&ev->beat, on_closed);
}

/* ---- subscribing ---- */

static bool parse_topics(struct call *c, struct subscriber *s)
{
    struct str list = call_parameter(c, "topics");
    const struct catalog *catalog = c->worker->set->catalog;
    s->topics = arena_array(c->arena, 64, sizeof *s->topics);
    if (!s->topics) return error_no_memory(&c->error);
    while (list.p && list.n) {
        struct str rest = str_trim(str_cut(&list, ',')), name = str_cut(&rest, ':');
        const struct entity *e = catalog_collection(catalog, name);
        struct topic *t = &s->topics[s->topic_count];
        if (!e || !access_may(c->who, e, ACTION_READ)) {
            error_add(&c->error, "topics", "unknown_topic", "there is no topic %.*s", "нет темы %.*s",
                      STR_ARG(name));
            return error_set(&c->error, ERROR_BAD_REQUEST, "there is no topic %.*s", "нет темы %.*s",
                             STR_ARG(name));
        }
        if (s->topic_count == 64)
            return error_set(&c->error, ERROR_BAD_REQUEST, "at most 64 topics", "не более 64 тем");
        t->collection = arena_dup(c->arena, str_of(e->collection));
        if (!t->collection) return error_no_memory(&c->error);
        if (rest.p && !id_parse(rest, &t->id)) {
            error_add(&c->error, "topics", "bad_id", "\"%.*s\" is not an id", "«%.*s» не идентификатор",
                      STR_ARG(rest));
            return error_set(&c->error, ERROR_BAD_REQUEST, "\"%.*s\" is not an id", "«%.*s» не идентификатор",
                             STR_ARG(rest));
        }
        s->topic_count++;
    }
    return true;
}

/* From Last-Event-ID on, or from now. *reset: the position is not one that can be replayed. */
static bool parse_position(struct call *c, struct subscriber *s, bool *reset)
{
    int64_t first, last, n = 0;
    struct str id = call_header(c, "last-event-id");
    *reset = false;
    if (!trail_range(c->worker->db, &first, &last, &c->error)) return false;
    s->position = last;
    if (!id.p || id.n == 0) return true;
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] < '0' || id.p[i] > '9' || n > INT64_MAX / 20) return *reset = true;
        n = n * 10 + (id.p[i] - '0');
    }
    *reset = n > last || n + 1 < first || last - n > REPLAY_MAX;
    if (!*reset) s->position = n;
    return true;
}

static void on_close(struct http_exchange *x, void *data)
{
    (void)x;
    struct subscriber *s = data;
    s->gone = true; /* dropped at the next look: not from inside http's own loop over streams */
    struct events *ev = s->call->home->events;
    if (!atomic_exchange(&ev->posted, true) && !http_loop_post(s->call->home->loop, on_wake, ev))
        atomic_store(&ev->posted, false);
}

static bool subscribe(struct call *c)
{
    struct events *ev = c->home->events;
    struct subscriber *s = arena_alloc(c->arena, sizeof *s);
    bool reset;
    if (!s || !ev) return error_no_memory(&c->error);
    s->call = c;
    if (!parse_topics(c, s) || !parse_position(c, s, &reset)) return false;
    c->bearer = c->bearer.p ? arena_str(c->arena, c->bearer) : c->bearer;
    c->session = c->session.p ? arena_str(c->arena, c->session) : c->session;
    c->detached = true;
    call_leave(c);
    s->next = ev->first;
    ev->first = s;
    atomic_fetch_add(&ev->worker->meter->streams, 1);
    struct http_stream_events events = {.on_close = on_close, .data = s, .endless = true};
    http_reply(c->x, 200);
    http_reply_field(c->x, STR("Cache-Control"), STR("no-cache"));
    http_stream_begin(c->x, "text/event-stream", &events);
    char text[64];
    if (reset)
        snprintf(text, sizeof text, "event: reset\nid: %lld\ndata: {}\n\n", (long long)s->position);
    else
        snprintf(text, sizeof text, ": from %lld\n\n", (long long)s->position);
    http_stream_write(c->x, str_of(text));
    if (!atomic_exchange(&ev->posted, true) && !http_loop_post(c->home->loop, on_wake, ev))
        atomic_store(&ev->posted, false);
    return true;
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/events", LANE_LOOP, NOT_IN_BATCH, "topics", subscribe,
     "Server-sent events: what changes, as it changes", NULL, "events", 200},
};

const struct endpoint_table events_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
