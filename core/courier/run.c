/* run.c: one attempt of a job, from its claim to its end: done, another attempt after a pause that doubles,
 * or dead. */
#include "courier/internal.h"
#include "store/webhook.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#define SAID_BYTES ((size_t)8 << 20)
#define RETRY_AFTER_MAX INT64_C(86400000)
#define TIMER_ATTEMPTS 5
#define TIMER_RETRY_MIN 10000
#define TIMER_RETRY_MAX 600000
/* 5 s, 10 s, … 6 h: five days in all */
#define WEBHOOK_ATTEMPTS 30
#define WEBHOOK_RETRY_MIN 5000
#define WEBHOOK_RETRY_MAX 21600000
#define AGE_DEFAULT (INT64_C(7) * 86400000)

void run_free(struct run *r)
{
    script_job_free(r->script);
    arena_free(&r->said);
    if (r->loaded) courier_release(r->courier, r->loaded);
    free(r);
}

static void unlink_run(struct run *r)
{
    struct courier *c = r->courier;
    if (r->prev)
        r->prev->next = r->next;
    else
        c->runs = r->next;
    if (r->next) r->next->prev = r->prev;
    c->under_way = --c->run_count;
}

/* ---- the end ---- */

static bool end_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    return outbox_finish(d, &t->run->finish, &t->error);
}

static void end_back(struct task *t)
{
    struct run *r = t->run;
    struct courier *c = r->courier;
    if (!t->ok) {
        LOG(LOG_ERROR, "the end of a job cannot be written; it is tried again", log_s("job", r->name),
            log_s("reason", t->error.detail ? t->error.detail : ""));
        r->ending = false;
        c->again = true;
    } else {
        unlink_run(r);
        run_free(r);
    }
    task_free(t);
}

static void write_end(struct run *r)
{
    struct task *t = task_new(r->courier, r, end_act, end_back);
    r->ending = t != NULL;
    if (t)
        task_submit(t);
    else
        r->courier->again = true;
}

void run_end_again(struct courier *c)
{
    for (struct run *r = c->runs, *next; r; r = next) {
        next = r->next;
        if (r->finish.id && !r->ending) write_end(r);
    }
}

static struct str keep(struct run *r, struct str s)
{
    return s.p ? arena_str(&r->said, s) : s;
}

static void tell(struct run *r, enum outbox_outcome outcome, const char *error)
{
    enum log_level level = outcome == OUTBOX_DEAD ? LOG_ERROR : outcome == OUTBOX_RETRY ? LOG_WARN : LOG_INFO;
    struct place p = r->script ? script_job_place(r->script) : (struct place){0};
    char id[ID_TEXT + 1];
    id_format(r->id, id);
    LOG(level, "job", log_s("job", r->name), log_s("id", id), log_s("outcome", outbox_outcome_name(outcome)),
        log_i("attempt", r->attempt), log_i("ms", clock_now() - r->started_at), log_s("error", error),
        log_s("file", p.file), log_i("line", p.line));
}

void run_end(struct run *r, enum outbox_outcome outcome, int64_t due_at, const char *error)
{
    struct courier *c = r->courier;
    struct str output = {NULL, 0}, place = {NULL, 0};
    char text[300];
    if (r->script) {
        const struct error *e = script_job_error(r->script);
        struct place p = script_job_place(r->script);
        if (outcome == OUTBOX_DONE) output = keep(r, script_job_result(r->script));
        if (e->file) p = (struct place){e->file, e->line};
        snprintf(text, sizeof text, "%s:%d", p.file ? p.file : "", p.line);
        place = keep(r, str_of(text));
    }
    tell(r, outcome, error);
    c->done += outcome == OUTBOX_DONE;
    c->retried += outcome == OUTBOX_RETRY;
    c->dead += outcome == OUTBOX_DEAD;
    r->finish = (struct outbox_finish){.id = r->id,
                                       .attempt = r->attempt,
                                       .outcome = outcome,
                                       .due_at = due_at,
                                       .started_at = r->started_at,
                                       .now = clock_now(),
                                       .output = output,
                                       .error = keep(r, error ? str_of(error) : (struct str){NULL, 0}),
                                       .place = place};
    script_job_free(r->script);
    r->script = NULL;
    write_end(r);
}

/* min × 2^(attempt - 1), at most max, a quarter more or less so that those that failed together do not come
 * back together. */
static int64_t pause_ms(const struct run *r)
{
    int64_t ms = r->retry_min_ms;
    for (int i = 1; i < r->attempt && ms < r->retry_max_ms; i++)
        ms *= 2;
    if (ms > r->retry_max_ms) ms = r->retry_max_ms;
    ms = ms * 3 / 4 +
         (int64_t)randombytes_uniform((uint32_t)(ms / 2 < UINT32_MAX - 1 ? ms / 2 + 1 : UINT32_MAX));
    int64_t asked = r->retry_after_ms < RETRY_AFTER_MAX ? r->retry_after_ms : RETRY_AFTER_MAX;
    return ms > asked ? ms : asked;
}

void run_fail(struct run *r, const char *error)
{
    int64_t now = clock_now(), due = now + pause_ms(r);
    bool more = r->attempt < r->attempts && due - r->created_at < r->age_ms;
    run_end(r, more ? OUTBOX_RETRY : OUTBOX_DEAD, due, error);
}

static void failed(struct run *r)
{
    const struct error *e = script_job_error(r->script);
    const char *text = e->first ? e->first->message : e->detail;
    char *copy = arena_dup(&r->said, str_of(text ? text : "it failed"));
    run_fail(r, copy ? copy : "it failed");
}

/* ---- asking ---- */

struct str arg_text(const struct json_value *args, const char *name)
{
    const struct json_value *v = json_member(args, str_of(name));
    return v && v->type == JSON_STRING ? v->text : (struct str){NULL, 0};
}

static void ask_retry(struct run *r, const struct script_asked *asked)
{
    struct str after = arg_text(asked->args, "after"), why = arg_text(asked->args, "why");
    static const struct {
        char unit;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    int64_t n = 0, ms = 0;
    size_t i = 0;
    while (i < after.n && i < 6 && after.p[i] >= '0' && after.p[i] <= '9')
        n = n * 10 + (after.p[i++] - '0');
    for (size_t u = 0; u < 4; u++)
        if (i > 0 && i + 1 == after.n && after.p[i] == units[u].unit) ms = n * units[u].ms;
    if (ms <= 0) {
        run_refuse(r, "crm.retry: after is a span such as \"30s\", \"5m\", \"2h\" or \"1d\"");
        return;
    }
    r->retry_after_ms = ms;
    char *words = arena_dup(&r->said, why);
    run_fail(r, words ? words : "another try");
}

static bool step_act(struct task *t, struct db *d, void *thread_data)
{
    (void)thread_data;
    const struct json_value *result = json_member(t->args, STR("result"));
    struct buf text;
    buf_init(&text, (size_t)1 << 20);
    json_value_write(&text, result);
    bool ok = !text.failed && outbox_step(d, t->run->id, arg_text(t->args, "name"), buf_view(&text),
                                          clock_now() + LEASE_MS, &t->error);
    buf_free(&text);
    return ok;
}

static void step_back(struct task *t)
{
    if (t->ok)
        run_answer(t->run, &(struct script_answer){0});
    else
        run_refuse(t->run, "the step cannot be recorded: %s", t->error.detail ? t->error.detail : "");
    task_free(t);
}

static void ask_step(struct run *r, const struct script_asked *asked)
{
    struct task *t = task_new(r->courier, r, step_act, step_back);
    if (!t) {
        run_refuse(r, "out of memory");
        return;
    }
    t->args = asked->args;
    task_submit(t);
}

static void ask_nothing(struct run *r, const struct script_asked *asked)
{
    run_refuse(r, "%s is not available on this server", asked->name);
}

static const struct {
    const char *prefix;
    void (*ask)(struct run *r, const struct script_asked *asked);
} questions[] = {{"crm.", ask_write}, {"step", ask_step},  {"retry", ask_retry},
                 {"http.", ask_http}, {"mail.", ask_mail}, {"", ask_nothing}};

static void ask(struct run *r)
{
    const struct script_asked *asked = script_job_asked(r->script);
    size_t i = 0;
    while (strncmp(asked->name, questions[i].prefix, strlen(questions[i].prefix)) != 0)
        i++;
    questions[i].ask(r, asked);
}

/* Goes on until the script ends or waits. What is answered at once does not nest. */
static void go_on(struct run *r, const struct script_answer *answer)
{
    r->stepping = true;
    for (;;) {
        enum script_job_state state = script_job_run(r->script, answer);
        if (state != SCRIPT_JOB_ASKS) {
            r->stepping = false;
            if (state == SCRIPT_JOB_DONE)
                run_end(r, OUTBOX_DONE, 0, NULL);
            else
                failed(r);
            return;
        }
        r->answered = false;
        ask(r);
        if (!r->answered) break; /* waits, or has ended (crm.retry) */
        answer = &r->answer;
    }
    r->stepping = false;
}

void run_answer(struct run *r, const struct script_answer *answer)
{
    if (r->courier->closing) return;
    if (!r->stepping) {
        go_on(r, answer);
        return;
    }
    arena_reset(&r->said);
    r->answered = true;
    r->answer =
        (struct script_answer){.error = answer->error ? arena_dup(&r->said, str_of(answer->error)) : NULL,
                               .json = keep(r, answer->json),
                               .raw = keep(r, answer->raw)};
}

void run_refuse(struct run *r, const char *format, ...)
{
    char words[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    run_answer(r, &(struct script_answer){.error = words});
}

/* ---- the start ---- */

static const struct job *find_job(const struct catalog *c, struct str name)
{
    for (size_t i = 0; i < c->job_count; i++)
        if (str_is(name, c->jobs[i].name)) return &c->jobs[i];
    return NULL;
}

static const struct timer *find_timer(const struct catalog *c, struct str name)
{
    if (!str_starts(name, STR(TIMER_JOB))) return NULL;
    name.p += strlen(TIMER_JOB);
    name.n -= strlen(TIMER_JOB);
    for (size_t i = 0; i < c->timer_count; i++)
        if (str_is(name, c->timers[i].name)) return &c->timers[i];
    return NULL;
}

static void begin(struct run *r, const struct outbox_job *job)
{
    const struct catalog *c = r->loaded->set->catalog;
    const struct job *j = find_job(c, job->job);
    const struct timer *timer = j ? NULL : find_timer(c, job->job);
    struct error e;
    error_init(&e, &r->said, LANG_EN);
    if (str_is(job->job, WEBHOOK_JOB)) {
        r->attempts = WEBHOOK_ATTEMPTS;
        r->retry_min_ms = WEBHOOK_RETRY_MIN;
        r->retry_max_ms = WEBHOOK_RETRY_MAX;
        r->age_ms = AGE_DEFAULT;
        webhook_start(r, job->args);
        return;
    }
    if (!j && !timer) {
        run_end(r, OUTBOX_DEAD, 0, "no script declares this job any more");
        return;
    }
    r->attempts = j ? j->attempts : TIMER_ATTEMPTS;
    r->retry_min_ms = j ? j->retry_min_ms : TIMER_RETRY_MIN;
    r->retry_max_ms = j ? j->retry_max_ms : TIMER_RETRY_MAX;
    r->age_ms = j && j->age_ms ? j->age_ms : AGE_DEFAULT;
    r->script = script_job_new(r->loaded->state, j ? j->fn : timer->fn, j ? j->place : timer->place,
                               r->courier->db, r->loaded->system, job->args, job->steps, &e);
    if (r->script)
        go_on(r, NULL);
    else
        run_fail(r, e.detail ? e.detail : "it cannot be started");
}

void run_start(struct courier *c, const struct outbox_job *job)
{
    struct run *r = calloc(1, sizeof *r);
    struct loaded *l = courier_scripts(c);
    if (!r || !l) { /* its lease ends, and it is due again */
        LOG(LOG_ERROR, "a job cannot be started", log_str("job", job->job));
        free(r);
        return;
    }
    r->courier = c;
    r->loaded = l;
    l->runs++;
    r->id = job->id;
    r->attempt = job->attempt;
    r->created_at = job->created_at;
    r->started_at = clock_now();
    arena_init(&r->said, SAID_BYTES);
    snprintf(r->name, sizeof r->name, "%.*s", STR_ARG(job->job));
    r->next = c->runs;
    if (c->runs) c->runs->prev = r;
    c->runs = r;
    c->under_way = ++c->run_count;
    begin(r, job);
}
