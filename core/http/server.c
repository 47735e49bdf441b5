/* server.c: the server as a whole: its settings, its threads, start and stop. */
#include "http/connection.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define KIB 1024
#define MIB (1024 * 1024)
#define SECOND 1000

static size_t size_or(size_t v, size_t standard)
{
    return v > 0 ? v : standard;
}

static int64_t time_or(int64_t v, int64_t standard)
{
    return v > 0 ? v : standard;
}

static void fill_limits(struct http_limits *l)
{
    l->head_bytes = size_or(l->head_bytes, 16 * KIB);
    l->target_bytes = size_or(l->target_bytes, 8 * KIB);
    l->fields = size_or(l->fields, 100);
    l->body_bytes = time_or(l->body_bytes, MIB);
    l->bodies_bytes = size_or(l->bodies_bytes, 256 * (size_t)MIB);
    l->arena_bytes = size_or(l->arena_bytes, 8 * MIB);
    l->connections = size_or(l->connections, 20000);
    l->pipeline = size_or(l->pipeline, 32);
    l->head_ms = time_or(l->head_ms, 10 * SECOND);
    l->body_ms = time_or(l->body_ms, 20 * SECOND);
    l->idle_ms = time_or(l->idle_ms, 10 * SECOND);
    l->keep_alive_ms = time_or(l->keep_alive_ms, 75 * SECOND);
    l->write_ms = time_or(l->write_ms, 30 * SECOND);
}

/* ── Addresses ───────────────────────────────────────────────────────────────────────────────── */

static bool parse_address(const struct http_config *config, struct sockaddr_storage *out)
{
    const char *text = config->address ? config->address : "127.0.0.1";
    memset(out, 0, sizeof *out);
    return uv_ip4_addr(text, config->port, (struct sockaddr_in *)out) == 0 ||
           uv_ip6_addr(text, config->port, (struct sockaddr_in6 *)out) == 0;
}

static socklen_t address_size(const struct sockaddr_storage *a)
{
    return a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/* SO_REUSEPORT would let two servers of one user share a port in silence; a socket without it finds the
 * other. */
static int port_taken(const struct sockaddr_storage *address)
{
    int one = 1, error = 0;
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return uv_translate_sys_error(errno);
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (const struct sockaddr *)address, address_size(address)) != 0)
        error = uv_translate_sys_error(errno);
    close(fd);
    return error;
}

/* Port 0: the first loop's socket gets one, the others join it. */
static bool take_port(struct http_server *server, struct sockaddr_storage *address)
{
    int n = sizeof *address;
    if (uv_tcp_getsockname(&server->loops[0].listener, (struct sockaddr *)address, &n) != 0) return false;
    server->port = ntohs(address->ss_family == AF_INET ? ((struct sockaddr_in *)address)->sin_port
                                                       : ((struct sockaddr_in6 *)address)->sin6_port);
    return true;
}

static bool parse_trusted(struct http_server *server, char *why, size_t size)
{
    const struct http_config *c = &server->config;
    if (c->trusted_proxies_n == 0) return true;
    server->trusted = calloc(c->trusted_proxies_n, sizeof *server->trusted);
    if (!server->trusted) {
        snprintf(why, size, "out of memory");
        return false;
    }
    for (size_t i = 0; i < c->trusted_proxies_n; i++) {
        if (!address_parse(c->trusted_proxies[i], false, &server->trusted[i])) {
            snprintf(why, size, "trusted_proxies: \"%.*s\" is not an address or range",
                     STR_ARG(c->trusted_proxies[i]));
            return false;
        }
    }
    return true;
}

/* ── Start ───────────────────────────────────────────────────────────────────────────────────── */

static bool listen_all(struct http_server *server, char *why, size_t size)
{
    struct sockaddr_storage address;
    const char *text = server->config.address ? server->config.address : "127.0.0.1";
    if (!parse_address(&server->config, &address)) {
        snprintf(why, size, "\"%s\" is not an IP address", text);
        return false;
    }
    int error = port_taken(&address);
    for (unsigned i = 0; error == 0 && i < server->threads; i++) {
        if (loop_listen(&server->loops[i], (struct sockaddr *)&address, &error) && i == 0 &&
            !take_port(server, &address))
            error = UV_EINVAL;
    }
    if (error != 0)
        snprintf(why, size, "cannot listen on %s:%u: %s", text, (unsigned)server->config.port,
                 uv_strerror(error));
    return error == 0;
}

struct starting {
    struct http_loop *loop;
    uv_sem_t ready;
    bool ok;
};

static void thread_main(void *arg)
{
    struct starting *starting = arg;
    struct http_loop *loop = starting->loop;
    const struct http_config *config = &loop->server->config;
    char name[16];
    snprintf(name, sizeof name, "http-%u", loop->index);
    (void)pthread_setname_np(pthread_self(), name);
    bool ok = !config->callbacks.loop_start || config->callbacks.loop_start(config->app, loop, &loop->data);
    starting->ok = ok;
    uv_sem_post(&starting->ready); /* `starting` is gone from here on */
    if (ok) loop_run(loop);
}

static bool start_thread(struct http_loop *loop)
{
    struct starting starting = {.loop = loop};
    if (uv_sem_init(&starting.ready, 0) != 0) return false;
    bool ok = uv_thread_create(&loop->thread, thread_main, &starting) == 0;
    if (ok) {
        uv_sem_wait(&starting.ready);
        ok = starting.ok;
        if (!ok) (void)uv_thread_join(&loop->thread);
    }
    uv_sem_destroy(&starting.ready);
    return ok;
}

static void stop_message(void *arg)
{
    struct http_loop *loop = arg;
    loop_begin_stop(loop, atomic_load(&loop->server->grace_ms));
}

static void stop_threads(struct http_server *server, unsigned n, int64_t grace_ms)
{
    atomic_store(&server->grace_ms, grace_ms);
    for (unsigned i = 0; i < n; i++)
        if (!http_loop_post(&server->loops[i], stop_message, &server->loops[i]))
            LOG(LOG_ERROR, "a loop could not be told to stop", log_i("loop", i));
    for (unsigned i = 0; i < n; i++)
        (void)uv_thread_join(&server->loops[i].thread);
}

static bool start_all(struct http_server *server, char *why, size_t size)
{
    for (unsigned i = 0; i < server->threads; i++) {
        if (!start_thread(&server->loops[i])) {
            snprintf(why, size, "a loop thread could not start");
            stop_threads(server, i, 0);
            return false;
        }
    }
    return true;
}

static bool init_loops(struct http_server *server, char *why, size_t size)
{
    server->loops = calloc(server->threads, sizeof *server->loops);
    for (unsigned i = 0; server->loops && i < server->threads; i++)
        if (!loop_init(&server->loops[i], server, i)) goto fail;
    if (server->loops) return true;
fail:
    snprintf(why, size, "cannot make an event loop: out of memory or descriptors");
    return false;
}

struct http_server *http_server_start(const struct http_config *config, char *why, size_t why_size)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (!server) {
        snprintf(why, why_size, "out of memory");
        return NULL;
    }
    server->config = *config;
    fill_limits(&server->config.limits);
    server->threads = config->threads ? config->threads : (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
    signal(SIGPIPE, SIG_IGN);
    if (parse_trusted(server, why, why_size) && init_loops(server, why, why_size) &&
        listen_all(server, why, why_size) && start_all(server, why, why_size))
        return server;
    server->stopped = true;
    http_server_free(server);
    return NULL;
}

/* ── Stop ────────────────────────────────────────────────────────────────────────────────────── */

void http_server_stop(struct http_server *server, int64_t grace_ms)
{
    if (server->stopped) return;
    server->stopped = true;
    stop_threads(server, server->threads, grace_ms);
}

void http_server_free(struct http_server *server)
{
    if (!server) return;
    http_server_stop(server, 0);
    for (unsigned i = 0; server->loops && i < server->threads; i++)
        loop_free(&server->loops[i]);
    free(server->loops);
    free(server->trusted);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

unsigned http_server_threads(const struct http_server *server)
{
    return server->threads;
}

struct http_loop *http_server_loop(struct http_server *server, unsigned index)
{
    return index < server->threads ? &server->loops[index] : NULL;
}

/* ── Counters ────────────────────────────────────────────────────────────────────────────────── */

static void add(const struct counters *c, struct http_counters *out)
{
    out->connections += atomic_load_explicit(&c->connections, memory_order_relaxed);
    out->accepted += atomic_load_explicit(&c->accepted, memory_order_relaxed);
    out->refused += atomic_load_explicit(&c->refused, memory_order_relaxed);
    out->requests += atomic_load_explicit(&c->requests, memory_order_relaxed);
    out->bytes_in += atomic_load_explicit(&c->bytes_in, memory_order_relaxed);
    out->bytes_out += atomic_load_explicit(&c->bytes_out, memory_order_relaxed);
    out->parse_errors += atomic_load_explicit(&c->parse_errors, memory_order_relaxed);
    out->timeouts += atomic_load_explicit(&c->timeouts, memory_order_relaxed);
    out->exchanges += atomic_load_explicit(&c->exchanges, memory_order_relaxed);
    for (int i = 0; i < 6; i++)
        out->status[i] += atomic_load_explicit(&c->status[i], memory_order_relaxed);
}

void http_loop_counters(const struct http_loop *loop, struct http_counters *out)
{
    *out = (struct http_counters){0};
    add(&loop->counters, out);
}

void http_server_counters(const struct http_server *server, struct http_counters *out)
{
    *out = (struct http_counters){0};
    for (unsigned i = 0; i < server->threads; i++)
        add(&server->loops[i].counters, out);
}
