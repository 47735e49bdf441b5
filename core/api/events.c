/* events.c: the life of event streams (api.md §10): subscribing, waking, the comment every 15 s, the end.
 * What they are told comes from event_feed.c.
 *
 *   commit ─► events_wake ─► each loop: pump ─► streams that are behind the log's end get what is new
 *
 * Each loop has its own streams. A pump works a few milliseconds at most and then goes to the end of the
 * loop's queue, so that ten thousand streams do not make a request wait. A slow client holds at most
 * PENDING_MAX bytes; what else it has missed stays in the log until it has read those. */
#include "api/events.h"

#include "store/trail.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_MS 250 /* what other processes have written is seen this late at most */
#define BEAT_MS 15000
#define BEATS_MAX 500    /* comments in one poll: the streams spread themselves over the time */
#define SLICE_NS 2000000 /* of one pump */
#define TOPICS_MAX 64
#define REPLAY_MAX 100000 /* entries: further back is "reset" */

static void wake(struct events *ev);

static void drop(struct events *ev, struct subscriber *s)
{
    if (ev->resume == s) ev->resume = s->next;
    if (s->prev)
        s->prev->next = s->next;
    else
        ev->first = s->next;
    if (s->next) s->next->prev = s->prev;
    atomic_fetch_sub(&ev->worker->meter->streams, 1);
    http_stream_end(s->call->x); /* the call in its arena is gone */
    free(s);
}

/* ── Waking ──────────────────────────────────────────────────────────────────────────────────── */

/* After a reload the catalog's pointers are others. */
static void follow_catalog(struct events *ev)
{
    worker_renew(ev->worker);
    if (ev->generation == ev->worker->generation) return;
    ev->generation = ev->worker->generation;
    feed_forget(ev);
    for (struct subscriber *s = ev->first; s; s = s->next)
        for (size_t i = 0; i < s->topic_count; i++)
            s->topics[i].entity =
                catalog_collection(ev->worker->set->catalog, str_of(s->topics[i].collection));
}

static bool log_end(struct events *ev)
{
    struct arena arena;
    struct error e;
    int64_t first;
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool ok = trail_range(ev->worker->db, &first, &ev->end, &e);
    if (!ok) LOG(LOG_WARN, "event streams cannot read the log", log_s("reason", e.detail));
    arena_free(&arena);
    return ok;
}

/* What woke us may be newer than the snapshot of this turn; all streams share the next one. */
static void fresh_snapshot(struct worker *w)
{
    struct arena arena;
    struct error e;
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    worker_snapshot_end(w);
    if (!worker_snapshot(w, &e)) /* each reads for itself then, and fails or not */
        LOG(LOG_WARN, "event streams have no common snapshot", log_s("reason", e.detail ? e.detail : ""));
    arena_free(&arena);
}

/* Serves streams in turn until all are at the log's end or the slice is over. */
static void pump(struct events *ev)
{
    follow_catalog(ev);
    fresh_snapshot(ev->worker);
    if (!log_end(ev)) return;
    uint64_t until = clock_mono() + SLICE_NS;
    struct subscriber *s = ev->resume ? ev->resume : ev->first, *next;
    for (; s; s = next) {
        next = s->next;
        if (s->gone || !feed_serve(ev, s, until)) {
            drop(ev, s);
        } else if (clock_mono() > until) {
            ev->resume = s->position < ev->end && !s->blocked ? s : next;
            wake(ev); /* the rest later; from the start again once the end is reached */
            return;
        }
    }
    if (ev->resume) wake(ev);
    ev->resume = NULL;
}

static void on_wake(void *arg)
{
    struct events *ev = arg;
    atomic_store(&ev->posted, false);
    if (ev->first) pump(ev);
}

/* Any thread. */
static void wake(struct events *ev)
{
    if (atomic_exchange(&ev->posted, true)) return;
    if (!http_loop_post(ev->worker->loop, on_wake, ev)) atomic_store(&ev->posted, false);
}

/* The lock keeps a loop from closing its streams meanwhile. */
void events_wake(struct app *app)
{
    pthread_mutex_lock(&app->lock);
    for (struct events *ev = app->events; ev; ev = ev->next)
        if (atomic_load(&ev->worker->meter->streams) > 0) wake(ev);
    pthread_mutex_unlock(&app->lock);
}

/* ── The clock ───────────────────────────────────────────────────────────────────────────────── */

static void beat(struct events *ev)
{
    uint64_t now = clock_mono() / 1000000;
    size_t sent = 0;
    for (struct subscriber *s = ev->first, *next; s && sent < BEATS_MAX; s = next) {
        next = s->next;
        if (now - s->beat < BEAT_MS) continue;
        sent++;
        s->beat = now;
        if (s->gone || !feed_allowed(ev, s) ||
            http_stream_write(s->call->x, STR(": still here\n\n")) == SIZE_MAX)
            drop(ev, s);
    }
}

static void on_poll(uv_timer_t *t)
{
    struct events *ev = t->data;
    struct arena arena;
    struct error e;
    int64_t version = 0;
    if (!ev->first) return;
    worker_snapshot_end(ev->worker);
    beat(ev);
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool ok = db_data_version(ev->worker->db, &version, &e);
    arena_free(&arena);
    if (!ok || version == ev->data_version) return;
    ev->data_version = version;
    if (ev->first) pump(ev);
}

/* ── Life of a loop's streams ────────────────────────────────────────────────────────────────── */

struct events *events_open(struct worker *w)
{
    struct events *ev = calloc(1, sizeof *ev);
    if (!ev) return NULL;
    ev->worker = w;
    ev->generation = w->generation;
    feed_init(ev);
    uv_timer_init(http_loop_uv(w->loop), &ev->poll);
    ev->poll.data = ev;
    uv_timer_start(&ev->poll, on_poll, POLL_MS, POLL_MS);
    pthread_mutex_lock(&w->app->lock);
    ev->next = w->app->events;
    w->app->events = ev;
    pthread_mutex_unlock(&w->app->lock);
    return ev;
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void events_close(struct events *ev)
{
    if (!ev) return;
    struct app *app = ev->worker->app;
    pthread_mutex_lock(&app->lock);
    struct events **at = &app->events;
    while (*at && *at != ev)
        at = &(*at)->next;
    if (*at) *at = ev->next;
    pthread_mutex_unlock(&app->lock);
    while (ev->first)
        drop(ev, ev->first);
    feed_free(ev);
    uv_close((uv_handle_t *)&ev->poll, on_closed);
}

/* ── Subscribing ─────────────────────────────────────────────────────────────────────────────── */

static bool unknown_topic(struct call *c, struct str name)
{
    error_add(&c->error, "topics", "unknown_topic", "there is no topic \"%.*s\"", "нет темы «%.*s»",
              STR_ARG(name));
    return error_set(&c->error, ERROR_BAD_REQUEST, "there is no topic \"%.*s\"", "нет темы «%.*s»",
                     STR_ARG(name));
}

static bool bad_id(struct call *c, struct str id)
{
    error_add(&c->error, "topics", "bad_id", "\"%.*s\" is not an id", "«%.*s» не идентификатор", STR_ARG(id));
    return error_set(&c->error, ERROR_BAD_REQUEST, "\"%.*s\" is not an id", "«%.*s» не идентификатор",
                     STR_ARG(id));
}

static bool too_many_topics(struct call *c)
{
    error_add(&c->error, "topics", "too_many", "at most %d topics", "не более %d тем", TOPICS_MAX);
    return error_set(&c->error, ERROR_BAD_REQUEST, "at most %d topics", "не более %d тем", TOPICS_MAX);
}

static bool parse_topic(struct call *c, struct str text, struct topic *t)
{
    struct str rest = text, name = str_cut(&rest, ':');
    t->entity = catalog_collection(c->worker->set->catalog, name);
    if (!t->entity || !access_may(c->who, t->entity, ACTION_READ)) return unknown_topic(c, name);
    if (rest.p && !id_parse(rest, &t->id)) return bad_id(c, rest);
    t->collection = arena_dup(c->arena, str_of(t->entity->collection));
    return t->collection ? true : error_no_memory(&c->error);
}

/* "opportunities,tasks:{id}"; nothing: everything that the caller may read. */
static struct subscriber *parse_topics(struct call *c)
{
    struct str list = call_parameter(c, "topics");
    struct topic topics[TOPICS_MAX];
    size_t n = 0;
    while (list.p && list.n) {
        struct str one = str_trim(str_cut(&list, ','));
        if (one.n == 0) continue;
        if (n == TOPICS_MAX) return too_many_topics(c), NULL;
        topics[n] = (struct topic){0};
        if (!parse_topic(c, one, &topics[n++])) return NULL;
    }
    struct subscriber *s = calloc(1, sizeof *s + n * sizeof *topics);
    if (!s) return error_no_memory(&c->error), NULL;
    memcpy(s->topics, topics, n * sizeof *topics);
    s->topic_count = n;
    s->call = c;
    return s;
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

/* The stream is dropped at the next look: not from inside http's own loop over streams. */
static void on_close(struct http_exchange *x, void *data)
{
    (void)x;
    struct subscriber *s = data;
    s->gone = true;
    wake(s->call->home->events);
}

static void on_drain(struct http_exchange *x, void *data)
{
    (void)x;
    struct subscriber *s = data;
    s->blocked = false;
    wake(s->call->home->events);
}

static void begin(struct call *c, const struct http_stream_events *events)
{
    c->detached = true;
    call_leave(c);
    http_reply(c->x, 200);
    http_reply_field(c->x, STR("Cache-Control"), STR("no-cache"));
    http_reply_field(c->x, STR("X-Accel-Buffering"), STR("no")); /* nginx would hold events back */
    http_stream_begin(c->x, "text/event-stream", events);
}

static void enlist(struct events *ev, struct subscriber *s)
{
    s->beat = clock_mono() / 1000000;
    s->next = ev->first;
    if (s->next) s->next->prev = s;
    ev->first = s;
    atomic_fetch_add(&ev->worker->meter->streams, 1);
}

static bool subscribe(struct call *c)
{
    struct events *ev = c->home->events;
    bool reset;
    assert(c->worker == c->home); /* streams are the loop's: never in the pool */
    struct subscriber *s = parse_topics(c);
    if (!s) return false;
    if (!ev || !parse_position(c, s, &reset)) {
        free(s);
        return ev ? false : error_no_memory(&c->error);
    }
    if (c->method == HTTP_METHOD_HEAD) {
        free(s);
        begin(c, &(struct http_stream_events){0});
        http_stream_end(c->x);
        return true;
    }
    follow_catalog(ev);
    enlist(ev, s);
    begin(c, &(struct http_stream_events){
                 .on_close = on_close, .on_drain = on_drain, .data = s, .endless = true});
    /* The position at once, so that a client that is cut off before its first event misses nothing. */
    char text[96];
    int n = snprintf(text, sizeof text,
                     reset ? "event: reset\nid: %lld\ndata: {}\n\n" : ": connected\nid: %lld\n\n",
                     (long long)s->position);
    http_stream_write(c->x, (struct str){text, (size_t)n});
    wake(ev);
    return true;
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/events", LANE_LOOP, NOT_IN_BATCH, "topics", subscribe,
     "Server-sent events: what changes, as it changes", NULL, "events", 200},
};

const struct endpoint_table events_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
