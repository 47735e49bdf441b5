/* fixture.h: a server on a free port whose answers tell what it understood, and a raw client, for the tests
 * of http/.
 *
 *   /echo     "METHOD path|query|body"       /big?n=     n bytes of text, taken over
 *   /who      remote, secure, request id     /json?n=    n bytes of JSON with an ETag when &etag=…
 *   /later    like /echo, from a posted call /hold       answered only by fixture_release
 *   /export?n= n chunks of 1,000 bytes       /events     an endless stream
 *   /upload   counts a streamed body         /small      body limit 10, /refuse: answered 403 at on_headers
 */
#ifndef TESTS_HTTP_FIXTURE_H
#define TESTS_HTTP_FIXTURE_H

#include "http/server.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FIXTURE_FN __attribute__((unused)) static
#define FIXTURE_SECONDS 20 /* a wait longer than this is a failure */

struct fixture {
    struct http_server *server;
    int port;
    _Atomic int streams_closed, drains, blocked, aborts, held, loops;
    _Atomic size_t uploaded;
    struct http_exchange *hold; /* loop thread */
};

FIXTURE_FN struct fixture fixture;

/* ── The application ─────────────────────────────────────────────────────────────────────────── */

FIXTURE_FN long number_of(const struct http_exchange *x, const char *key)
{
    struct str query = x->query, name, value;
    while (http_query_next(&query, x->arena, &name, &value) == HTTP_QUERY_PAIR)
        if (str_is(name, key)) return strtol(arena_dup(x->arena, value), NULL, 10);
    return 0;
}

FIXTURE_FN void answer_echo(void *arg)
{
    struct http_exchange *x = arg;
    http_reply(x, 200);
    struct buf *b = http_reply_buffer(x, "text/plain");
    buf_printf(b, "%.*s %.*s|%.*s|", STR_ARG(x->method_text), STR_ARG(x->path), STR_ARG(x->query));
    buf_str(b, x->body);
    http_send(x);
}

FIXTURE_FN void answer_who(struct http_exchange *x)
{
    http_reply(x, 200);
    buf_printf(http_reply_buffer(x, "text/plain"), "%s|%d|%.*s|%.*s", x->remote, x->secure,
               STR_ARG(x->request_id), STR_ARG(x->host));
    http_send(x);
}

FIXTURE_FN void answer_big(struct http_exchange *x)
{
    size_t n = (size_t)number_of(x, "n");
    struct buf b;
    buf_init(&b, n + 1024);
    if (buf_reserve(&b, n)) memset(b.p, 'x', b.n = n);
    http_reply(x, 200);
    http_reply_gzip(x, HTTP_GZIP_NEVER);
    http_reply_take(x, "text/plain", &b);
    http_send(x);
}

FIXTURE_FN void answer_json(struct http_exchange *x)
{
    long n = number_of(x, "n"), etag = number_of(x, "etag");
    http_reply(x, 200);
    struct buf *b = http_reply_buffer(x, "application/json");
    buf_char(b, '"');
    for (long i = 0; i < n; i++)
        buf_char(b, (char)('a' + i % 20));
    buf_char(b, '"');
    if (etag > 0) http_reply_field(x, STR("ETag"), STR("\"7\""));
    if (etag == 2) http_reply_gzip(x, HTTP_GZIP_ALWAYS);
    http_send(x);
}

struct export
{
    long left;
};

FIXTURE_FN void export_more(struct http_exchange *x, void *data)
{
    struct export *e = data;
    char chunk[1000];
    memset(chunk, 'e', sizeof chunk);
    atomic_fetch_add(&fixture.drains, 1);
    while (e->left-- > 0)
        if (http_stream_write(x, (struct str){chunk, sizeof chunk}) > 100000) {
            atomic_fetch_add(&fixture.blocked, 1);
            return;
        }
    http_stream_end(x);
}

FIXTURE_FN void stream_closed(struct http_exchange *x, void *data)
{
    (void)data;
    atomic_fetch_add(&fixture.streams_closed, 1);
    http_stream_end(x);
}

FIXTURE_FN void answer_export(struct http_exchange *x)
{
    struct export *e = arena_alloc(x->arena, sizeof *e);
    e->left = number_of(x, "n");
    http_reply(x, 200);
    http_stream_begin(
        x, "text/csv",
        &(struct http_stream_events){.on_drain = export_more, .on_close = stream_closed, .data = e});
    export_more(x, e);
}

FIXTURE_FN void answer_events(struct http_exchange *x)
{
    http_reply(x, 200);
    http_stream_begin(x, "text/event-stream",
                      &(struct http_stream_events){.on_close = stream_closed, .endless = true});
    http_stream_write(x, STR("data: hello\n\n"));
}

/* A posted call may arrive after its exchange is gone: it holds this, not the exchange. */
struct upload {
    struct http_exchange *x;
    bool posted;
};

FIXTURE_FN void on_upload_resume(void *arg)
{
    struct upload *u = arg;
    u->posted = false;
    if (u->x)
        http_body_resume(u->x);
    else
        free(u);
}

FIXTURE_FN void on_upload_data(struct http_exchange *x, void *data, struct str bytes)
{
    struct upload *u = data;
    atomic_fetch_add(&fixture.uploaded, bytes.n);
    if (str_is(x->query, "stop") && atomic_load(&fixture.uploaded) > 1000) {
        free(u);
        http_reply(x, 409);
        http_send(x);
        return;
    }
    http_body_pause(x); /* each piece waits for a turn of the loop: back-pressure at its worst */
    u->posted = http_loop_post(x->loop, on_upload_resume, u);
}

FIXTURE_FN void on_upload_abort(struct http_exchange *x, void *data)
{
    struct upload *u = data;
    (void)x;
    atomic_fetch_add(&fixture.aborts, 1);
    u->x = NULL;
    if (!u->posted) free(u);
}

FIXTURE_FN void begin_upload(struct http_exchange *x)
{
    struct upload *u = calloc(1, sizeof *u);
    assert_non_null(u);
    u->x = x;
    x->app_data = u;
    x->body_limit = INT64_C(1) << 40;
    http_body_stream(
        x, &(struct http_body_sink){.on_data = on_upload_data, .on_abort = on_upload_abort, .data = u});
}

FIXTURE_FN void fixture_on_headers(void *app, struct http_exchange *x)
{
    (void)app;
    if (str_is(x->path, "/small")) x->body_limit = 10;
    if (str_is(x->path, "/upload")) begin_upload(x);
    if (str_is(x->path, "/refuse")) {
        http_reply(x, 403);
        http_send(x);
    }
}

FIXTURE_FN void fixture_on_request(void *app, struct http_exchange *x)
{
    (void)app;
    if (str_is(x->path, "/who")) {
        answer_who(x);
    } else if (str_is(x->path, "/big")) {
        answer_big(x);
    } else if (str_is(x->path, "/json")) {
        answer_json(x);
    } else if (str_is(x->path, "/later")) {
        assert_true(http_loop_post(x->loop, answer_echo, x));
    } else if (str_is(x->path, "/export")) {
        answer_export(x);
    } else if (str_is(x->path, "/events")) {
        answer_events(x);
    } else if (str_is(x->path, "/hold")) {
        fixture.hold = x;
        atomic_fetch_add(&fixture.held, 1);
    } else if (str_is(x->path, "/empty")) {
        http_reply(x, 204);
        http_send(x);
    } else if (str_is(x->path, "/split")) {
        http_reply(x, 200);
        bool split = http_reply_field(x, STR("X-Name"), STR("a\r\nSet-Cookie: b"));
        bool own = http_reply_field(x, STR("Content-Length"), STR("5"));
        http_reply_field(x, STR("X-Frame-Options"), STR("SAMEORIGIN"));
        http_reply_bytes(x, "text/plain", split || own ? STR("added") : STR("refused"));
        http_send(x);
    } else {
        if (str_is(x->path, "/upload")) free(x->app_data);
        answer_echo(x);
    }
}

FIXTURE_FN void release(void *arg)
{
    (void)arg;
    answer_echo(fixture.hold);
}

/* Answers the one request to /hold. */
FIXTURE_FN void fixture_release(void)
{
    assert_true(http_loop_post(http_server_loop(fixture.server, 0), release, NULL));
}

FIXTURE_FN bool fixture_loop_start(void *app, struct http_loop *loop, void **data)
{
    (void)app;
    *data = loop;
    atomic_fetch_add(&fixture.loops, 1);
    return true;
}

FIXTURE_FN void fixture_loop_stop(void *app, struct http_loop *loop, void *data)
{
    (void)app;
    if (data == loop) atomic_fetch_sub(&fixture.loops, 1);
}

/* ── Start and stop ──────────────────────────────────────────────────────────────────────────── */

/* One thread unless the configuration says otherwise. */
FIXTURE_FN void fixture_start(struct http_config config)
{
    char why[256] = "";
    memset(&fixture, 0, sizeof fixture);
    config.threads = config.threads ? config.threads : 1;
    config.callbacks.loop_start = fixture_loop_start;
    config.callbacks.loop_stop = fixture_loop_stop;
    config.callbacks.on_headers = fixture_on_headers;
    config.callbacks.on_request = fixture_on_request;
    fixture.server = http_server_start(&config, why, sizeof why);
    if (!fixture.server) fail_msg("%s", why);
    fixture.port = http_server_port(fixture.server);
}

FIXTURE_FN void fixture_stop(void)
{
    http_server_stop(fixture.server, 0);
    assert_int_equal(atomic_load(&fixture.loops), 0);
    struct http_counters c;
    http_server_counters(fixture.server, &c);
    assert_int_equal(c.connections, 0);
    assert_int_equal(c.exchanges, 0);
    http_server_free(fixture.server);
    fixture.server = NULL;
}

/* Waits until the condition holds; a condition on counters or on the atomics of the fixture. */
#define WAIT_UNTIL(condition)                                                                                \
    do {                                                                                                     \
        int left_ = FIXTURE_SECONDS * 500;                                                                   \
        while (!(condition) && left_-- > 0)                                                                  \
            poll(NULL, 0, 2);                                                                                \
        assert_true(condition);                                                                              \
    } while (0)

FIXTURE_FN struct http_counters counters(void)
{
    struct http_counters c;
    http_server_counters(fixture.server, &c);
    return c;
}

/* ── The client ──────────────────────────────────────────────────────────────────────────────── */

FIXTURE_FN int client_open(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)fixture.port)};
    struct timeval limit = {.tv_sec = FIXTURE_SECONDS};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit), 0);
    return fd;
}

FIXTURE_FN void client_send(int fd, const void *bytes, size_t n)
{
    for (const char *p = bytes; n > 0;) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the server has closed: the answer tells why */
        p += sent;
        n -= (size_t)sent;
    }
}

FIXTURE_FN void client_text(int fd, const char *text)
{
    client_send(fd, text, strlen(text));
}

/* Reads until the peer closes (a reset counts as such); malloc'd, with a NUL behind the bytes. */
FIXTURE_FN char *client_rest(int fd, size_t *n)
{
    size_t cap = 4096, used = 0;
    char *p = malloc(cap);
    for (;;) {
        assert_non_null(p);
        ssize_t got = recv(fd, p + used, cap - used - 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            fail_msg("the server neither answered nor closed");
        if (got <= 0) break;
        used += (size_t)got;
        if (cap - used < 2048) p = realloc(p, cap *= 2);
    }
    p[used] = '\0';
    if (n) *n = used;
    close(fd);
    return p;
}

/* One answer with its Content-Length, read to its end and not further. NULL: closed before. */
FIXTURE_FN char *client_answer(int fd, bool head_request)
{
    size_t cap = 1 << 16, used = 0, whole = SIZE_MAX;
    char *p = malloc(cap + 1);
    while (used < whole) {
        assert_non_null(p);
        size_t want = whole == SIZE_MAX ? 1 : whole - used;
        if (used + want > cap) p = realloc(p, (cap = used + want) + 1);
        ssize_t got = recv(fd, p + used, want, 0);
        if (got <= 0) {
            free(p);
            return NULL;
        }
        used += (size_t)got;
        p[used] = '\0';
        if (whole == SIZE_MAX && used >= 4 && memcmp(p + used - 4, "\r\n\r\n", 4) == 0) {
            const char *length = strstr(p, "Content-Length: ");
            whole = used + (length && !head_request ? strtoul(length + 16, NULL, 10) : 0);
        }
    }
    return p;
}

FIXTURE_FN char *client_once(const char *text)
{
    int fd = client_open();
    client_text(fd, text);
    return client_rest(fd, NULL);
}

FIXTURE_FN int status_of(const char *answer)
{
    return answer && strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : 0;
}

FIXTURE_FN const char *body_of(const char *answer)
{
    const char *p = strstr(answer, "\r\n\r\n");
    return p ? p + 4 : "";
}

FIXTURE_FN int count_of(const char *text, const char *part)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
        n++;
    return n;
}

FIXTURE_FN void expect_status(const char *request, int status)
{
    char *answer = client_once(request);
    if (status_of(answer) != status) fail_msg("expected %d for:\n%s\ngot:\n%s", status, request, answer);
    free(answer);
}

FIXTURE_FN void expect_body(const char *request, const char *body)
{
    char *answer = client_once(request);
    assert_int_equal(status_of(answer), 200);
    assert_string_equal(body_of(answer), body);
    free(answer);
}

#endif
