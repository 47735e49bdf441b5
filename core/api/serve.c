/* serve.c: the life of the server: start in an order in which each part finds what it needs, wait for
 * signals, stop in the reverse order. */
#include "api/serve.h"

#include "api/app.h"
#include "api/imports.h"
#include "record/results.h"
#include "script/migrate.h"
#include "store/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Everything from here, nothing inline, nobody's frame. blob: is for pictures that the desk draws itself. */
#define DESK_POLICY                                                                                          \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self';"  \
    " connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

void serve_options_defaults(struct serve_options *o)
{
    *o = (struct serve_options){
        .data = "data",
        .address = "127.0.0.1",
        .port = 8080,
        .time_zone = "Europe/Moscow",
        .sessions = {.idle_ms = INT64_C(8) * 3600 * 1000, .absolute_ms = INT64_C(7) * 86400 * 1000},
        .read_budget_us = 5000,
        .slow_limit_ms = 10000,
        .slow_queue = 256,
        .write_queue = 4096,
        .write_batch = 512,
        .wal_bytes = (size_t)64 << 20,
        .import_bytes = INT64_C(1) << 30,
        .file_bytes = INT64_C(256) << 20,
        .batch_operations = 500,
        .grace_ms = 10000};
    script_config_defaults(&o->scripts);
}

/* ---- telling people ---- */

static void print_mistakes(const struct error *e)
{
    for (const struct error_entry *i = e->first; i; i = i->next)
        fprintf(stderr, "%s:%d: %s\n", i->file ? i->file : "?", i->line, i->message);
    if (!e->first && e->detail) fprintf(stderr, "perigee: %s\n", e->detail);
}

/* systemd's readiness protocol (sd_notify(3)): one datagram. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof to.sun_path) return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sendto(fd, state, strlen(state), 0, (struct sockaddr *)&to, size) < 0)
        LOG(LOG_WARN, "systemd was not told", log_s("state", state));
    close(fd);
}

/* ---- the data folder ---- */

/* One server for a folder: the lock ends with the process, however it ends. */
static int lock_folder(const char *dir, struct arena *arena, struct error *e)
{
    const char *path = arena_printf(arena, "%s/perigee.pid", dir);
    int fd = path ? open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        error_set(e, ERROR_UNAVAILABLE, "%s/perigee.pid cannot be written: %s",
                  "%s/perigee.pid не записывается: %s", dir, strerror(errno));
        return -1;
    }
    char pid[24];
    int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        error_set(e, ERROR_CONFLICT, "another perigee serves the folder %s",
                  "папку %s уже обслуживает другой perigee", dir);
        return -1;
    }
    if (ftruncate(fd, 0) != 0 || write(fd, pid, (size_t)n) != n) {
        close(fd);
        error_set(e, ERROR_UNAVAILABLE, "%s/perigee.pid cannot be written", "%s/perigee.pid не записывается",
                  dir);
        return -1;
    }
    return fd;
}

static void write_port(const struct app *app, uint16_t port)
{
    char path[4096], text[16];
    snprintf(path, sizeof path, "%s/perigee.port", app->options->data);
    int n = snprintf(text, sizeof text, "%u\n", (unsigned)port);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        LOG(LOG_WARN, "perigee.port cannot be written", log_s("folder", app->options->data));
    if (fd >= 0) close(fd);
}

static bool migrate(struct db *d, const struct app *app, struct arena *arena, struct error *e)
{
    struct schema_plan plan;
    if (!store_prepare(d, e) || !store_check(d, false, e) || !db_begin(d, true, e)) return false;
    bool ok = schema_plan(d, app->set->catalog, arena, &plan, e);
    size_t needed = ok ? plan.count - plan.losing : 0;
    if (ok && needed && app->options->no_migrate)
        ok = error_set(e, ERROR_UNAVAILABLE, "the database must change first: run perigee migrate",
                       "сначала нужно изменить базу: запустите perigee migrate");
    for (const struct schema_step *s = plan.first; ok && s; s = s->next)
        if (s->loses) LOG(LOG_WARN, "the scripts no longer speak of stored data", log_s("step", s->words));
    ok = ok && schema_apply(d, app->set->catalog, &plan, false, e) && script_migrate(app->set, d, e) &&
         db_commit(d, e);
    if (!ok) db_rollback(d);
    if (ok && needed) LOG(LOG_INFO, "the database follows the scripts", log_i("steps", (int64_t)needed));
    return ok;
}

static bool open_data(struct app *app, struct arena *arena, struct error *e)
{
    struct db *d = db_open(app->path, DB_WRITE, e);
    bool ok = d && migrate(d, app, arena, e);
    db_close(d);
    return ok;
}

/* ---- threads ---- */

static void *writer_thread_start(void *ctx, struct db *d, struct error *e)
{
    return worker_open(ctx, d, e);
}

static void writer_thread_stop(void *ctx, void *worker)
{
    (void)ctx;
    worker_close(worker);
}

static void committed(void *ctx)
{
    struct app *app = ctx;
    atomic_fetch_add_explicit(&app->commits, 1, memory_order_release);
    events_wake(app);
    importer_committed(atomic_load(&app->importer));
    courier_wake(atomic_load(&app->courier));
}

static bool loop_start(void *ctx, struct http_loop *loop, void **loop_data)
{
    struct app *app = ctx;
    struct arena arena;
    struct error e;
    arena_init(&arena, 1 << 20);
    error_init(&e, &arena, LANG_EN);
    struct worker *w = worker_open(app, NULL, &e);
    if (w) {
        w->loop = loop;
        w->events = events_open(w);
    }
    if (!w || !w->events)
        LOG(LOG_ERROR, "a loop cannot start", log_s("reason", e.detail ? e.detail : "no memory"));
    else
        *loop_data = w;
    arena_free(&arena);
    return w && w->events;
}

static void loop_stop(void *ctx, struct http_loop *loop, void *loop_data)
{
    (void)ctx;
    (void)loop;
    struct worker *w = loop_data;
    if (!w) return;
    events_close(w->events);
    w->events = NULL;
    worker_close(w);
}

static void on_turn(void *ctx, struct http_loop *loop, void *loop_data)
{
    (void)ctx;
    (void)loop;
    if (loop_data) worker_snapshot_end(loop_data);
}

static void on_done(void *ctx, const struct http_exchange *x, int status, int64_t bytes)
{
    (void)ctx;
    (void)bytes;
    struct worker *w = http_loop_data(x->loop);
    const struct call *c = x->app_data; /* in the exchange's arena, which is still there */
    size_t endpoint = c ? c->match.number : ENDPOINTS_MAX;
    if (w) meter_answer(w->meter, endpoint, status, clock_mono() - x->started);
}

static bool start_writer(struct app *app, struct error *e)
{
    struct writer_config config = {.path = app->path,
                                   .queue_max = app->options->write_queue,
                                   .batch_max = app->options->write_batch,
                                   .wal_max = app->options->wal_bytes,
                                   .thread_start = writer_thread_start,
                                   .thread_stop = writer_thread_stop,
                                   .committed = committed,
                                   .between = reload_between,
                                   .ctx = app};
    app->writer = writer_start(&config, e);
    return app->writer != NULL;
}

static bool loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

static bool start_http(struct app *app, struct error *e)
{
    const struct serve_options *o = app->options;
    char why[256];
    struct http_config config = {.address = o->address,
                                 .port = o->port,
                                 .threads = o->threads,
                                 .limits = o->http,
                                 .trusted_proxies = o->trusted_proxies,
                                 .trusted_proxies_n = o->trusted_proxy_count,
                                 .callbacks = {.loop_start = loop_start,
                                               .loop_stop = loop_stop,
                                               .on_headers = upload_headers,
                                               .on_request = dispatch,
                                               .render_problem = problem_render,
                                               .on_turn = on_turn,
                                               .on_done = on_done},
                                 .app = app};
    if (!loopback(o->address) && !o->insecure && o->trusted_proxy_count == 0)
        return error_set(
            e, ERROR_UNAVAILABLE,
            "%s is not loopback: put a TLS proxy in front (trusted_proxies), or say --insecure",
            "%s не петлевой адрес: поставьте впереди прокси с TLS (trusted_proxies) или укажите --insecure",
            o->address);
    app->http = http_server_start(&config, why, sizeof why);
    if (!app->http) return error_set(e, ERROR_UNAVAILABLE, "%s", "%s", why);
    return true;
}

#define RESULTS 256 /* counts kept, at most 64 KiB each */

/* The desk's files, where they were built. */
static bool open_files(struct app *app, struct error *e)
{
    char why[256];
    struct http_static_config config = {.prefix = "/",
                                        .root = app->options->static_folder,
                                        .fallback = "index.html",
                                        .content_security_policy = DESK_POLICY,
                                        .dev = app->options->dev};
    if (!config.root) return true;
    app->files = http_static_open(&config, why, sizeof why);
    return app->files || error_set(e, ERROR_UNAVAILABLE, "the desk cannot be served: %s",
                                   "рабочее место не открывается: %s", why);
}

static unsigned slow_threads(const struct serve_options *o)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return o->slow_threads ? o->slow_threads : cores > 2 ? (unsigned)cores : 2;
}

static bool start(struct app *app, struct arena *arena, struct error *e)
{
    app->throttle = throttle_new();
    if (!app->throttle) return error_no_memory(e);
    if (!open_data(app, arena, e) || !start_writer(app, e) || !reload_start(app, e)) return false;
    app->results = result_cache_new(RESULTS, e);
    if (!app->results) return false;
    if (!open_files(app, e)) return false;
    app->pool = pool_start(app, slow_threads(app->options), e);
    struct importer *importer = app->pool ? importer_start(app, e) : NULL;
    atomic_store(&app->importer, importer);
    return importer && start_http(app, e) && courier_open(app, e);
}

static void stop(struct app *app)
{
    atomic_store(&app->stopping, true);
    if (app->http) http_server_stop(app->http, app->options->grace_ms);
    pool_stop(app->pool);
    reload_stop(app);
    courier_stop(app->courier, app->options->grace_ms);
    importer_stop(app->importer);
    if (app->writer) writer_stop(app->writer);
    courier_free(app->courier);
    http_static_free(app->files);
    importer_free(app->importer);
    if (app->http) http_server_free(app->http);
    throttle_free(app->throttle);
    result_cache_free(app->results);
    script_set_unref(app->set);
    for (unsigned i = 0; i < app->meter_count; i++) {
        meter_hooks_free(app->meters[i]);
        free(app->meters[i]);
    }
    pthread_mutex_destroy(&app->lock);
}

/* ---- signals ---- */

static void wait_for_signals(struct app *app, const sigset_t *set)
{
    for (;;) {
        struct timespec tick = {.tv_nsec = 250000000};
        int s = sigtimedwait(set, NULL, &tick);
        if (s == SIGTERM || s == SIGINT) return;
        if (s == SIGHUP) reload_ask(app);
        if (s < 0 && app->options->dev && reload_changed(app)) reload_ask(app);
    }
}

int api_serve(const struct serve_options *options)
{
    static struct app app;
    struct arena arena;
    struct error e;
    sigset_t set;
    arena_init(&arena, (size_t)32 << 20);
    error_init(&e, &arena, LANG_EN);
    umask(077);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* threads inherit it: only this one is told */
    signal(SIGPIPE, SIG_IGN);
    app = (struct app){.options = options, .started = clock_now()};
    pthread_mutex_init(&app.lock, NULL);
    app.set = script_load_without_broken(&options->scripts, &arena, &e);
    if (!app.set) {
        print_mistakes(&e);
        return 2;
    }
    app.path = store_path(options->data, &arena, &e);
    int lock = app.path ? lock_folder(options->data, &arena, &e) : -1;
    bool ok = lock >= 0 && start(&app, &arena, &e);
    if (ok) {
        uint16_t port = http_server_port(app.http);
        write_port(&app, port);
        atomic_store(&app.ready, true);
        LOG(LOG_INFO, "listening", log_s("address", options->address), log_i("port", port),
            log_i("threads", http_server_threads(app.http)));
        notify("READY=1");
        wait_for_signals(&app, &set);
        notify("STOPPING=1");
        LOG(LOG_INFO, "stopping", log_s("data", options->data));
    } else {
        print_mistakes(&e);
    }
    int code = ok ? 0 : e.kind == ERROR_SCRIPT_ERROR ? 2 : 1;
    stop(&app);
    if (lock >= 0) close(lock);
    arena_free(&arena);
    return code;
}
