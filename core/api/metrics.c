/* metrics.c: counting, and the counts as Prometheus text. Each thread has a meter of its own, so that
 * counting costs no lock. */
#include "api/app.h"
#include "store/outbox.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const double bounds[LATENCY_BUCKETS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005,
                                               0.01,   0.05,    0.1,    0.5,   1,      10};

struct meter *meter_new(struct app *app)
{
    struct meter *m = calloc(1, sizeof *m);
    if (!m) return NULL;
    pthread_mutex_lock(&app->lock);
    unsigned n = atomic_load(&app->meter_count);
    bool room = n < METERS_MAX;
    if (room) app->meters[n] = m;
    if (room) atomic_store(&app->meter_count, n + 1); /* after the meter is there: readers take no lock */
    pthread_mutex_unlock(&app->lock);
    if (room) return m;
    free(m);
    return NULL;
}

void meter_answer(struct meter *m, size_t endpoint, int status, uint64_t nanoseconds)
{
    size_t at = endpoint > ENDPOINTS_MAX ? ENDPOINTS_MAX : endpoint;
    int class = status / 100;
    size_t bucket = 0;
    while (bucket < LATENCY_BUCKETS - 1 && (double)nanoseconds / 1e9 > bounds[bucket])
        bucket++;
    atomic_fetch_add_explicit(&m->endpoint[at].status[class > 5 || class < 0 ? 0 : class], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&m->endpoint[at].bucket[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->endpoint[at].nanoseconds, nanoseconds, memory_order_relaxed);
}

void meter_scripts(struct worker *w)
{
    struct script_stats stats[SCRIPT_KIND_COUNT];
    if (!w->script || !w->meter) return;
    script_stats(w->script, stats);
    for (int i = 0; i < SCRIPT_KIND_COUNT; i++) {
        atomic_store_explicit(&w->meter->script[i].calls, stats[i].calls, memory_order_relaxed);
        atomic_store_explicit(&w->meter->script[i].aborts, stats[i].aborts, memory_order_relaxed);
        atomic_store_explicit(&w->meter->script[i].nanoseconds, stats[i].nanoseconds, memory_order_relaxed);
    }
}

/* ---- as text ---- */

static void line(struct buf *b, const char *name, const char *help, const char *type, double value)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n%s %.17g\n", name, help, name, type, name, value);
}

static void write_endpoints(struct app *app, struct buf *b)
{
    buf_cstr(b, "# HELP perigee_requests_total Answers by endpoint and class\n# TYPE perigee_requests_total "
                "counter\n");
    for (size_t n = 0; n <= ENDPOINTS_MAX; n++) {
        const struct endpoint *e = n < ENDPOINTS_MAX ? routes_nth(n) : NULL;
        for (int class = 2; class <= 5; class ++) {
            uint64_t sum = 0;
            for (unsigned m = 0; m < app->meter_count; m++)
                sum += atomic_load_explicit(&app->meters[m]->endpoint[n].status[class], memory_order_relaxed);
            if (sum)
                buf_printf(b, "perigee_requests_total{method=\"%.*s\",route=\"%s\",class=\"%dxx\"} %llu\n",
                           STR_ARG(e ? http_method_text(e->method) : STR("")), e ? e->path : "", class,
                           (unsigned long long)sum);
        }
    }
}

static void write_latency(struct app *app, struct buf *b)
{
    buf_cstr(b, "# HELP perigee_request_seconds Time from the head to the answer\n# TYPE "
                "perigee_request_seconds histogram\n");
    for (size_t n = 0; n < ENDPOINTS_MAX; n++) {
        const struct endpoint *e = routes_nth(n);
        uint64_t sum = 0, nanoseconds = 0, buckets[LATENCY_BUCKETS] = {0};
        for (unsigned m = 0; m < app->meter_count; m++) {
            for (int i = 0; i < LATENCY_BUCKETS; i++)
                buckets[i] +=
                    atomic_load_explicit(&app->meters[m]->endpoint[n].bucket[i], memory_order_relaxed);
            nanoseconds +=
                atomic_load_explicit(&app->meters[m]->endpoint[n].nanoseconds, memory_order_relaxed);
        }
        for (int i = 0; i < LATENCY_BUCKETS; i++)
            sum += buckets[i];
        if (!e || sum == 0) continue;
        struct str method = http_method_text(e->method);
        uint64_t below = 0;
        for (int i = 0; i < LATENCY_BUCKETS; i++) {
            below += buckets[i];
            if (i < LATENCY_BUCKETS - 1)
                buf_printf(b, "perigee_request_seconds_bucket{method=\"%.*s\",route=\"%s\",le=\"%g\"} %llu\n",
                           STR_ARG(method), e->path, bounds[i], (unsigned long long)below);
        }
        buf_printf(b, "perigee_request_seconds_bucket{method=\"%.*s\",route=\"%s\",le=\"+Inf\"} %llu\n",
                   STR_ARG(method), e->path, (unsigned long long)sum);
        buf_printf(b, "perigee_request_seconds_sum{method=\"%.*s\",route=\"%s\"} %.9f\n", STR_ARG(method),
                   e->path, (double)nanoseconds / 1e9);
        buf_printf(b, "perigee_request_seconds_count{method=\"%.*s\",route=\"%s\"} %llu\n", STR_ARG(method),
                   e->path, (unsigned long long)sum);
    }
}

static void write_scripts(struct app *app, struct buf *b)
{
    static const char *const kinds[] = {"load", "hook", "action", "route", "job", "computed"};
    buf_cstr(b, "# HELP perigee_script_calls_total Calls into Lua by kind\n# TYPE perigee_script_calls_total "
                "counter\n");
    for (int pass = 0; pass < 3; pass++) {
        static const char *const names[] = {"perigee_script_calls_total", "perigee_script_aborts_total",
                                            "perigee_script_seconds_total"};
        if (pass) buf_printf(b, "# TYPE %s counter\n", names[pass]);
        for (int k = 0; k < SCRIPT_KIND_COUNT; k++) {
            uint64_t sum = 0;
            for (unsigned m = 0; m < app->meter_count; m++)
                sum += atomic_load_explicit(pass == 0   ? &app->meters[m]->script[k].calls
                                            : pass == 1 ? &app->meters[m]->script[k].aborts
                                                        : &app->meters[m]->script[k].nanoseconds,
                                            memory_order_relaxed);
            if (pass == 2)
                buf_printf(b, "%s{kind=\"%s\"} %.9f\n", names[pass], kinds[k], (double)sum / 1e9);
            else
                buf_printf(b, "%s{kind=\"%s\"} %llu\n", names[pass], kinds[k], (unsigned long long)sum);
        }
    }
}

static void write_courier(struct app *app, struct buf *b)
{
    struct courier_stats s = {0};
    if (app->courier) courier_stats(app->courier, &s);
    line(b, "perigee_jobs_done_total", "Jobs that succeeded", "counter", (double)s.done);
    line(b, "perigee_jobs_retried_total", "Attempts that will be repeated", "counter", (double)s.retried);
    line(b, "perigee_jobs_dead_total", "Jobs that gave up", "counter", (double)s.dead);
    line(b, "perigee_timers_total", "Timers that ran", "counter", (double)s.timers);
    line(b, "perigee_outgoing_requests_total", "HTTP requests of jobs", "counter", (double)s.requests);
    line(b, "perigee_mails_total", "Letters of jobs", "counter", (double)s.mails);
}

static double resident(void)
{
    long pages = 0, occupied = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%ld %ld", &pages, &occupied) != 2) occupied = 0;
    fclose(f);
    return (double)occupied * (double)sysconf(_SC_PAGESIZE);
}

static void write_rest(struct call *c, struct buf *b)
{
    struct app *app = c->app;
    struct writer_stats w;
    struct http_counters h;
    struct outbox_depth o = {0};
    struct error ignored;
    int64_t streams = 0;
    uint64_t slowed = 0;
    error_init(&ignored, c->arena, LANG_EN);
    writer_stats(app->writer, &w);
    http_server_counters(app->http, &h);
    outbox_depth(c->worker->db, &o, &ignored);
    for (unsigned m = 0; m < app->meter_count; m++) {
        streams += atomic_load(&app->meters[m]->streams);
        slowed += atomic_load(&app->meters[m]->slowed);
    }
    line(b, "perigee_connections", "Connections open", "gauge", (double)h.connections);
    line(b, "perigee_bytes_in_total", "Bytes received", "counter", (double)h.bytes_in);
    line(b, "perigee_bytes_out_total", "Bytes sent", "counter", (double)h.bytes_out);
    line(b, "perigee_http_errors_total", "Broken requests refused", "counter", (double)h.parse_errors);
    line(b, "perigee_event_streams", "Event streams open", "gauge", (double)streams);
    line(b, "perigee_slow_reads_total", "Reads that went on in the slow lane", "counter", (double)slowed);
    line(b, "perigee_slow_queue", "Reads that wait for the slow lane", "gauge",
         (double)pool_depth(app->pool));
    line(b, "perigee_writer_queue", "Writes that wait", "gauge", (double)w.queue_depth);
    line(b, "perigee_writer_commits_total", "Commits", "counter", (double)w.commits);
    line(b, "perigee_writer_jobs_total", "Writes done", "counter", (double)w.jobs);
    line(b, "perigee_writer_failed_total", "Writes refused or failed", "counter", (double)w.failed);
    line(b, "perigee_writer_batch_last", "Writes in the last commit", "gauge", (double)w.batch_last);
    line(b, "perigee_wal_bytes", "Size of the write-ahead log", "gauge", (double)w.wal_bytes);
    line(b, "perigee_outbox_waiting", "Jobs that wait", "gauge", (double)o.waiting);
    line(b, "perigee_outbox_dead", "Jobs that gave up", "gauge", (double)o.dead);
    line(b, "perigee_outbox_running", "Jobs under way", "gauge", (double)o.running);
    write_courier(app, b);
    line(b, "perigee_resident_bytes", "Memory that the process occupies", "gauge", resident());
    line(b, "perigee_memory_bytes", "Memory in use by malloc", "gauge", (double)mallinfo2().uordblks);
    line(b, "perigee_start_seconds", "When the server started", "gauge", (double)app->started / 1000.0);
}

/* What a proxy hands on comes from elsewhere, even when the proxy is on this machine and nobody has named it.
 */
static bool from_here(const struct call *c)
{
    if (call_header(c, "x-forwarded-for").p || call_header(c, "forwarded").p || call_header(c, "x-real-ip").p)
        return false;
    return strcmp(c->x->remote, "127.0.0.1") == 0 || strcmp(c->x->remote, "::1") == 0;
}

static bool metrics(struct call *c)
{
    if (!from_here(c) && (!auth_check(c) || !call_is_admin(c)))
        return error_set(&c->error, ERROR_FORBIDDEN, "metrics are for this machine and for administrators",
                         "показатели доступны с этой машины и администраторам");
    write_endpoints(c->app, c->out);
    write_latency(c->app, c->out);
    write_scripts(c->app, c->out);
    meter_hooks_write(c->app, c->out);
    write_rest(c, c->out);
    c->status = 200;
    c->content_type = "text/plain; version=0.0.4; charset=utf-8";
    return true;
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/metrics", LANE_LOOP, OPEN | NOT_IN_BATCH | HIDDEN, "", metrics,
     "Figures for Prometheus", NULL, NULL, 200},
};

const struct endpoint_table metrics_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
