/* metrics_hooks.c: how often each function of a script ran, how long, and how often a limit stopped it: by
 * the place of its declaration. Each thread counts in a table of its own, without locks: a row is filled
 * before the number of rows says that it is there. */
#include "api/app.h"

#include <stdio.h>
#include <stdlib.h>

#define ROWS 256 /* functions beyond are counted by kind only */
#define SLOTS 512
#define TEXT 96

struct row {
    enum script_kind kind;
    char place[TEXT]; /* "workflows/sales.lua:31" */
    atomic_uint_fast64_t calls, aborts, nanoseconds;
};

struct meter_hooks {
    atomic_uint count;
    struct row rows[ROWS];
    uint16_t slots[SLOTS]; /* row + 1; the counting thread's own */
};

static struct meter_hooks *hooks_of(struct meter *m)
{
    struct meter_hooks *h = atomic_load_explicit(&m->hooks, memory_order_relaxed);
    if (h) return h;
    h = calloc(1, sizeof *h);
    if (h) atomic_store_explicit(&m->hooks, h, memory_order_release);
    return h;
}

static unsigned hash_of(const char *text, enum script_kind kind)
{
    unsigned h = 2166136261U ^ (unsigned)kind;
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * 16777619U;
    return h;
}

/* NULL when the table is full. */
static struct row *row_of(struct meter_hooks *h, const char *place, enum script_kind kind)
{
    unsigned n = atomic_load_explicit(&h->count, memory_order_relaxed);
    for (unsigned at = hash_of(place, kind) % SLOTS;; at = (at + 1) % SLOTS) {
        struct row *r = h->slots[at] ? &h->rows[h->slots[at] - 1] : NULL;
        if (r && r->kind == kind && strcmp(r->place, place) == 0) return r;
        if (r) continue;
        if (n == ROWS) return NULL;
        r = &h->rows[n];
        r->kind = kind;
        memcpy(r->place, place, strlen(place) + 1);
        h->slots[at] = (uint16_t)(n + 1);
        atomic_store_explicit(&h->count, n + 1, memory_order_release);
        return r;
    }
}

void meter_hook(void *meter, const struct script_ended *call)
{
    char place[TEXT];
    if (!call->place.file || !call->place.file[0]) return;
    int n = snprintf(place, sizeof place, "%s:%d", call->place.file, call->place.line);
    struct meter_hooks *h = n > 0 && (size_t)n < sizeof place ? hooks_of(meter) : NULL;
    struct row *r = h ? row_of(h, place, call->kind) : NULL;
    if (!r) return;
    atomic_fetch_add_explicit(&r->calls, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->aborts, call->aborted, memory_order_relaxed);
    atomic_fetch_add_explicit(&r->nanoseconds, call->nanoseconds, memory_order_relaxed);
}

void meter_hooks_free(struct meter *m)
{
    free(atomic_load(&m->hooks));
}

/* ---- as text ---- */

struct sum {
    const struct row *row; /* the first of its place: kind and text */
    uint64_t calls, aborts, nanoseconds;
};

struct sums {
    struct sum all[4 * ROWS];
    size_t count;
};

static void add(struct sums *s, const struct row *r)
{
    size_t i = 0;
    while (i < s->count && (s->all[i].row->kind != r->kind || strcmp(s->all[i].row->place, r->place) != 0))
        i++;
    if (i == sizeof s->all / sizeof s->all[0]) return;
    if (i == s->count) s->all[s->count++] = (struct sum){.row = r};
    s->all[i].calls += atomic_load_explicit(&r->calls, memory_order_relaxed);
    s->all[i].aborts += atomic_load_explicit(&r->aborts, memory_order_relaxed);
    s->all[i].nanoseconds += atomic_load_explicit(&r->nanoseconds, memory_order_relaxed);
}

static void write_label(struct buf *b, const char *name, const struct row *r)
{
    static const char *const kinds[] = {"load", "hook", "action", "route", "job", "computed"};
    buf_printf(b, "%s{kind=\"%s\",place=\"", name, kinds[r->kind]);
    for (const char *p = r->place; *p; p++) {
        if (*p == '"' || *p == '\\') buf_char(b, '\\');
        buf_char(b, *p);
    }
    buf_cstr(b, "\"} ");
}

void meter_hooks_write(struct app *app, struct buf *b)
{
    struct sums *s = calloc(1, sizeof *s);
    if (!s) return; /* the figures by kind are there */
    for (unsigned m = 0; m < app->meter_count; m++) {
        const struct meter_hooks *h = atomic_load_explicit(&app->meters[m]->hooks, memory_order_acquire);
        unsigned n = h ? atomic_load_explicit(&h->count, memory_order_acquire) : 0;
        for (unsigned i = 0; i < n; i++)
            add(s, &h->rows[i]);
    }
    buf_cstr(b, "# HELP perigee_hook_calls_total Calls into Lua by the place of the function\n# TYPE "
                "perigee_hook_calls_total counter\n");
    for (size_t i = 0; i < s->count; i++) {
        write_label(b, "perigee_hook_calls_total", s->all[i].row);
        buf_printf(b, "%llu\n", (unsigned long long)s->all[i].calls);
    }
    buf_cstr(b, "# TYPE perigee_hook_aborts_total counter\n");
    for (size_t i = 0; i < s->count; i++) {
        write_label(b, "perigee_hook_aborts_total", s->all[i].row);
        buf_printf(b, "%llu\n", (unsigned long long)s->all[i].aborts);
    }
    buf_cstr(b, "# TYPE perigee_hook_seconds_total counter\n");
    for (size_t i = 0; i < s->count; i++) {
        write_label(b, "perigee_hook_seconds_total", s->all[i].row);
        buf_printf(b, "%.9f\n", (double)s->all[i].nanoseconds / 1e9);
    }
    free(s);
}
