/* event_feed.c: entries of the log as events: which stream wants one, whether its reader may know of it at
 * this moment, and what it says. Values are never sent: a reader fetches the record, under the rights it has
 * then. */
#include "api/events.h"

#include "store/trail.h"

#include <stdlib.h>

#define PAGE 200
#define PAGE_BYTES ((size_t)4 << 20)   /* a page ends early past this */
#define PAGE_ARENA ((size_t)64 << 20)  /* one entry can be this large */
#define PENDING_MAX ((size_t)64 << 10) /* bytes that may wait for a client */

/* ── Reading the log ─────────────────────────────────────────────────────────────────────────── */

void feed_init(struct events *ev)
{
    arena_init(&ev->page.arena, PAGE_ARENA);
}

void feed_forget(struct events *ev)
{
    arena_reset(&ev->page.arena);
    ev->page.count = 0;
    ev->page.entries = NULL;
    ev->page.after = ev->page.last = 0;
}

void feed_free(struct events *ev)
{
    arena_free(&ev->page.arena);
}

static void keep_changed(struct events *ev, struct feed_entry *k, struct str changes)
{
    struct arena *arena = &ev->page.arena;
    struct error e;
    error_init(&e, arena, LANG_EN);
    struct json_value *all = json_parse(arena, changes, &e);
    k->changed = all ? arena_array(arena, all->count + 1, sizeof(struct field *)) : NULL;
    for (const struct json_value *m = k->changed ? all->first : NULL; m; m = m->next) {
        const struct field *f = entity_field(k->entity, m->key);
        if (f) k->changed[k->changed_count++] = f;
    }
}

static bool keep(void *ctx, const struct trail_entry *entry)
{
    struct events *ev = ctx;
    struct feed_page *p = &ev->page;
    struct feed_entry *k = &p->entries[p->count];
    *k = (struct feed_entry){.seq = entry->seq, .at = entry->at, .who = entry->who, .record = entry->record};
    k->action = arena_str(&p->arena, entry->action);
    if (!k->action.p) return false; /* no memory: this one opens the next page */
    if (entry->entity.n) k->entity = catalog_entity(ev->worker->set->catalog, entry->entity);
    if (k->entity) keep_changed(ev, k, entry->changes);
    p->count++;
    p->last = entry->seq;
    return p->arena.used < PAGE_BYTES;
}

static bool load(struct events *ev, int64_t after)
{
    struct feed_page *p = &ev->page;
    struct arena arena;
    struct error e;
    feed_forget(ev);
    p->after = p->last = after;
    p->entries = arena_array(&p->arena, PAGE, sizeof *p->entries);
    arena_init(&arena, 65536);
    error_init(&e, &arena, LANG_EN);
    bool ok = p->entries && trail_read(ev->worker->db, after, PAGE, keep, ev, &e);
    if (!ok)
        LOG(LOG_WARN, "event streams cannot read the log",
            log_s("reason", e.detail ? e.detail : "no memory"));
    arena_free(&arena);
    return ok;
}

/* ── One event ───────────────────────────────────────────────────────────────────────────────── */

static bool wanted(const struct subscriber *s, const struct feed_entry *k)
{
    if (!k->entity) return false;
    for (size_t i = 0; i < s->topic_count; i++)
        if (s->topics[i].entity == k->entity && (s->topics[i].id == 0 || s->topics[i].id == k->record))
            return true;
    return s->topic_count == 0;
}

/* May the reader read the field on every row? The row may have been another one then. */
static bool told(const struct principal *who, const struct feed_entry *k, size_t i)
{
    return access_field(who, k->entity, k->changed[i], ACTION_READ) == ACCESS_ALWAYS;
}

/* A change of hidden fields alone is no event for those to whom some field is hidden. */
static bool concerns(const struct principal *who, const struct feed_entry *k)
{
    if (!k->changed || !str_is(k->action, "update")) return true;
    for (size_t i = 0; i < k->changed_count; i++)
        if (told(who, k, i)) return true;
    return access_reads_all(who, k->entity);
}

static void write_changed(struct buf *b, const struct principal *who, const struct feed_entry *k)
{
    json_key(b, STR("changed"));
    json_array(b);
    for (size_t i = 0; i < k->changed_count; i++)
        if (told(who, k, i)) json_cstr(b, k->changed[i]->name);
    json_end_array(b);
}

static void write_event(struct buf *b, const struct principal *who, const struct feed_entry *k)
{
    buf_printf(b, "id: %lld\ndata: ", (long long)k->seq);
    struct buf json;
    buf_init(&json, 1 << 20);
    json_object(&json);
    json_key(&json, STR("topic"));
    json_cstr(&json, k->entity->collection);
    json_key(&json, STR("type"));
    const char *event = trail_event(k->action);
    struct str what = event ? str_of(event) : k->action;
    buf_printf(&json, "\"%s.%.*s\"", k->entity->name, STR_ARG(what));
    json_key(&json, STR("id"));
    json_id(&json, k->record);
    json_key(&json, STR("action"));
    json_str(&json, k->action);
    json_key(&json, STR("at"));
    json_datetime(&json, k->at);
    json_key(&json, STR("by"));
    json_id(&json, k->who);
    write_changed(&json, who, k);
    json_end_object(&json);
    buf_str(b, buf_view(&json));
    b->failed = b->failed || json.failed;
    buf_free(&json);
    buf_add(b, "\n\n", 2);
}

/* Who asks, by what they came with: a token taken back or an ended session ends the stream. */
static struct principal *who_asks(struct events *ev, const struct subscriber *s, struct arena *arena)
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

bool feed_allowed(struct events *ev, struct subscriber *s)
{
    struct arena arena;
    arena_init(&arena, (size_t)1 << 20);
    struct principal *who = who_asks(ev, s, &arena);
    bool yes = who != NULL;
    principal_unref(who);
    arena_free(&arena);
    return yes;
}

/* ── One stream ──────────────────────────────────────────────────────────────────────────────── */

struct delivery {
    struct events *ev;
    struct subscriber *s;
    struct principal *who; /* asked for with the first event that is wanted */
    struct arena arena;
    struct buf out;
};

/* A deleted record cannot be asked about any more: only who reads everything hears of it. */
static bool tell(struct delivery *d, const struct feed_entry *k)
{
    struct worker *w = d->ev->worker;
    const struct field *denied;
    struct error e;
    bool allowed = false;
    if (!d->who && !(d->who = who_asks(d->ev, d->s, &d->arena))) return false;
    struct filter_env env = d->who->env;
    env.now = clock_now();
    error_init(&e, &d->arena, LANG_EN);
    if (!access_check(w->db, d->who, k->entity, k->record, ACTION_READ, NULL, &env, &d->arena, &allowed,
                      &denied, &e))
        return false;
    if ((allowed || (d->who->all_read && str_is(k->action, "delete"))) && concerns(d->who, k))
        write_event(&d->out, d->who, k);
    return !d->out.failed;
}

/* What the page has for the stream, up to a buffer full. False: the stream is over. */
static bool tell_page(struct delivery *d)
{
    const struct feed_page *p = &d->ev->page;
    struct subscriber *s = d->s;
    for (size_t i = 0; i < p->count && d->out.n < PENDING_MAX; i++) {
        const struct feed_entry *k = &p->entries[i];
        if (k->seq <= s->position) continue;
        if (wanted(s, k) && !tell(d, k)) return false;
        s->position = k->seq;
    }
    return true;
}

static bool hand_over(struct delivery *d)
{
    if (d->out.n == 0) return true;
    size_t pending = http_stream_write(d->s->call->x, buf_view(&d->out));
    buf_reset(&d->out);
    if (pending == SIZE_MAX) return false;
    d->s->blocked = pending > PENDING_MAX;
    return true;
}

bool feed_serve(struct events *ev, struct subscriber *s, uint64_t until)
{
    struct delivery d = {.ev = ev, .s = s};
    bool ok = true;
    if (s->blocked || s->position >= ev->end) return true;
    arena_init(&d.arena, (size_t)8 << 20);
    buf_init(&d.out, (size_t)4 << 20);
    while (ok && !s->blocked && s->position < ev->end) {
        bool here = ev->page.after <= s->position && s->position < ev->page.last;
        if (!here && !load(ev, s->position)) break; /* tried again with the next commit */
        if (ev->page.count == 0) break;
        ok = tell_page(&d) && hand_over(&d);
        arena_reset(&d.arena);
        if (clock_mono() > until) break;
    }
    buf_free(&d.out);
    principal_unref(d.who);
    arena_free(&d.arena);
    return ok;
}
