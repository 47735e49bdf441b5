/* timers.c: `every`: a timer that is due becomes a job of the outbox, at most one that waits; its time is
 * noted in the same transaction, so that it neither runs twice nor is forgotten when the process dies. Runs
 * that were missed while nothing served are made up for by one. */
#include "courier/internal.h"
#include "script/timer.h"

struct due {
    const char *name; /* in the task's arena */
    bool first;       /* never seen before: only noted */
};

static bool timer_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    struct due *due = t->data;
    int64_t id, now = clock_now();
    char *job = arena_printf(&t->arena, "%s%s", TIMER_JOB, due->name);
    if (!job) return error_no_memory(&t->error);
    if (!outbox_timer_set(d, str_of(due->name), now, &t->error)) return false;
    return due->first || outbox_add(d, str_of(job), STR("{}"), str_of(job), now, 0, &id, &t->error);
}

static void timer_back(struct task *t)
{
    if (!t->ok)
        LOG(LOG_WARN, "a timer cannot be started", log_s("reason", t->error.detail ? t->error.detail : ""));
    t->courier->timers_out--;
    t->courier->next_timer = 0; /* look again */
    t->courier->timers += t->ok && !((struct due *)t->data)->first;
    task_free(t);
}

static void start_timer(struct courier *c, const struct timer *m, bool first)
{
    struct task *t = task_new(c, NULL, timer_act, timer_back);
    struct due *due = t ? arena_alloc(&t->arena, sizeof *due) : NULL;
    if (due) due->name = arena_dup(&t->arena, str_of(m->name));
    if (!due || !due->name) {
        task_free(t);
        c->again = true;
        return;
    }
    due->first = first;
    t->data = due;
    c->timers_out++;
    task_submit(t);
}

void timers_look(struct courier *c, int64_t now, int64_t *next_at)
{
    const struct loaded *l = c->loaded;
    if (!l || c->timers_out) return; /* those under way come back first */
    if (c->timers_generation != l->generation) c->next_timer = 0;
    if (c->next_timer > now) {
        if (c->next_timer < *next_at) *next_at = c->next_timer;
        return;
    }
    struct arena arena;
    struct error e;
    arena_init(&arena, 64 << 10);
    error_init(&e, &arena, LANG_EN);
    c->timers_generation = l->generation;
    c->next_timer = INT64_MAX;
    for (size_t i = 0; i < l->set->catalog->timer_count; i++) {
        const struct timer *m = &l->set->catalog->timers[i];
        int64_t ran_at = 0;
        if (!outbox_timer_get(c->db, str_of(m->name), &ran_at, &e)) {
            LOG(LOG_WARN, "timers cannot be read", log_s("reason", e.detail ? e.detail : ""));
            c->next_timer = now + 1000;
            break;
        }
        int64_t due = ran_at ? timer_due(m, ran_at, c->zone) : now;
        if (due <= now)
            start_timer(c, m, ran_at == 0); /* comes back, and then everything is looked at again */
        else if (due < c->next_timer)
            c->next_timer = due;
    }
    arena_free(&arena);
    if (c->next_timer < *next_at) *next_at = c->next_timer;
}
