/* client.c: libcurl's multi interface driven by libuv (curl.se/libcurl/c/libcurl-multi.html, "multi_socket").
 */
#include "http/client.h"

#include "base/clock.h"
#include "base/log.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#define TIMEOUT_DEFAULT 30000
#define RESPONSE_DEFAULT ((size_t)1 << 20)
#define FIELDS_MAX 100
#define FIELDS_BYTES ((size_t)64 << 10)
#define CONNECT_MS 10000L

struct watch { /* one socket of curl's */
    uv_poll_t poll;
    curl_socket_t socket;
    struct http_client *client;
};

struct http_client {
    uv_loop_t *loop;
    struct http_client_config config;
    CURLM *multi;
    uv_timer_t timer;
    struct transfer *first;
    size_t pending;
    bool closed;
};

struct transfer {
    struct transfer *next, *prev;
    struct http_client *client;
    CURL *easy;
    struct curl_slist *fields, *recipients;
    curl_mime *mime;
    http_done *done;
    void *data;
    bool (*sink)(void *data, const char *p, size_t n);
    struct buf upload, body, head;
    size_t sent;
    int fd;
    int64_t at, left;
    struct http_field answer[FIELDS_MAX];
    size_t answer_n;
    bool blocked, stopped, mail;
    uint64_t started;
    char words[CURL_ERROR_SIZE];
};

/* ---- the guard ---- */

static bool allowed(const struct http_client *c, const struct sockaddr *sa)
{
    struct address a;
    return address_of_socket(sa, &a) && guard_allows(&a, c->config.open, c->config.open_n);
}

static curl_socket_t on_open_socket(void *data, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    struct transfer *t = data;
    if (!allowed(t->client, &to->addr)) {
        t->blocked = true;
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Asked for connections that are reused too. */
static int on_connected(void *data, char *peer, char *local, int peer_port, int local_port)
{
    (void)local, (void)peer_port, (void)local_port;
    struct transfer *t = data;
    struct address a;
    if (address_parse(str_of(peer), false, &a) &&
        guard_allows(&a, t->client->config.open, t->client->config.open_n))
        return CURL_PREREQFUNC_OK;
    t->blocked = true;
    return CURL_PREREQFUNC_ABORT;
}

/* ---- bytes ---- */

static size_t on_read(char *to, size_t size, size_t count, void *data)
{
    struct transfer *t = data;
    size_t room = size * count;
    if (t->fd >= 0) {
        size_t want = (int64_t)room < t->left ? room : (size_t)t->left;
        ssize_t got = want ? pread(t->fd, to, want, (off_t)t->at) : 0;
        if (got < 0 || (got == 0 && want)) return CURL_READFUNC_ABORT;
        t->at += got;
        t->left -= got;
        return (size_t)got;
    }
    size_t n = t->upload.n - t->sent < room ? t->upload.n - t->sent : room;
    if (n) memcpy(to, t->upload.p + t->sent, n);
    t->sent += n;
    return n;
}

/* A body that must be sent again (a reused connection that turned out dead). */
static int on_seek(void *data, curl_off_t offset, int origin)
{
    struct transfer *t = data;
    if (t->fd >= 0 || origin != SEEK_SET || offset < 0 || (size_t)offset > t->upload.n)
        return CURL_SEEKFUNC_CANTSEEK;
    t->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_body(char *p, size_t size, size_t count, void *data)
{
    struct transfer *t = data;
    size_t n = size * count;
    long status = 0;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->sink && status / 100 == 2) {
        t->stopped = !t->sink(t->data, p, n);
        return t->stopped ? 0 : n;
    }
    buf_add(&t->body, p, n);
    return t->body.failed ? 0 : n;
}

/* Remembers fields of the last answer: a status line starts anew (100 Continue, proxies). */
static size_t on_field(char *p, size_t size, size_t count, void *data)
{
    struct transfer *t = data;
    size_t n = size * count;
    struct str line = str_trim((struct str){p, n});
    if (str_starts(line, STR("HTTP/"))) {
        t->answer_n = 0;
        buf_reset(&t->head);
        return n;
    }
    const char *colon = line.n ? memchr(line.p, ':', line.n) : NULL;
    if (!colon || t->answer_n == FIELDS_MAX || t->head.n + line.n > FIELDS_BYTES) return n;
    struct str name = {line.p, (size_t)(colon - line.p)},
               value = str_trim((struct str){colon + 1, line.n - name.n - 1});
    /* Offsets until the end: the buffer may move. */
    t->answer[t->answer_n++] = (struct http_field){{NULL, name.n}, {NULL, value.n}};
    buf_str(&t->head, name);
    buf_str(&t->head, value);
    return n;
}

static void place_fields(struct transfer *t)
{
    const char *at = t->head.p;
    for (size_t i = 0; i < t->answer_n; i++) {
        t->answer[i].name.p = at;
        at += t->answer[i].name.n;
        t->answer[i].value.p = at;
        at += t->answer[i].value.n;
    }
}

struct str http_result_field(const struct http_result *r, const char *name)
{
    for (size_t i = 0; i < r->fields_n; i++)
        if (str_eq_nocase(r->fields[i].name, str_of(name))) return r->fields[i].value;
    return (struct str){NULL, 0};
}

/* ---- the end of a transfer ---- */

static void free_transfer(struct transfer *t)
{
    if (t->easy) curl_easy_cleanup(t->easy);
    curl_mime_free(t->mime);
    curl_slist_free_all(t->fields);
    curl_slist_free_all(t->recipients);
    buf_free(&t->upload);
    buf_free(&t->body);
    buf_free(&t->head);
    free(t);
}

static void unlink_transfer(struct transfer *t)
{
    struct http_client *c = t->client;
    if (t->prev)
        t->prev->next = t->next;
    else
        c->first = t->next;
    if (t->next) t->next->prev = t->prev;
    c->pending--;
}

static enum http_outcome outcome_of(const struct transfer *t, CURLcode code)
{
    if (code == CURLE_OK) return HTTP_ANSWERED;
    if (t->blocked) return HTTP_BLOCKED;
    if (t->body.failed || t->stopped) return HTTP_TOO_LARGE;
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT: return HTTP_TIMED_OUT;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return HTTP_BAD_REQUEST;
    default: return HTTP_UNREACHED;
    }
}

static void finish(struct transfer *t, CURLcode code)
{
    long status = 0;
    curl_off_t after = -1;
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &after);
    place_fields(t);
    struct http_result r = {.outcome = outcome_of(t, code),
                            .status = (int)status,
                            .error = "",
                            .fields = t->answer,
                            .fields_n = t->answer_n,
                            .body = buf_view(&t->body),
                            .took_ms = (int64_t)((clock_mono() - t->started) / 1000000)};
    r.retry_after = http_result_field(&r, "retry-after").p ? (int64_t)after : -1;
    /* SMTP says no by an error code; the reply is an answer all the same. */
    if (t->mail && r.outcome == HTTP_UNREACHED && status >= 400) r.outcome = HTTP_ANSWERED;
    if (r.outcome == HTTP_BLOCKED)
        r.error = "the address is inside, and may not be reached";
    else if (r.outcome == HTTP_TOO_LARGE)
        r.error = "the answer is larger than allowed";
    else if (code != CURLE_OK)
        r.error = t->words[0] ? t->words : curl_easy_strerror(code);
    unlink_transfer(t);
    t->done(t->data, &r);
    free_transfer(t);
}

static void collect(struct http_client *c)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(c->multi, &left));) {
        if (m->msg != CURLMSG_DONE) continue;
        CURL *easy = m->easy_handle;
        CURLcode code = m->data.result;
        struct transfer *t = NULL;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&t);
        curl_multi_remove_handle(c->multi, easy);
        if (t) finish(t, code);
        if (c->closed) return;
    }
}

/* ---- libuv ---- */

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct watch *w = (struct watch *)poll;
    struct http_client *c = w->client;
    int running, flags = 0;
    if (status < 0) flags = CURL_CSELECT_ERR;
    if (events & UV_READABLE) flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) flags |= CURL_CSELECT_OUT;
    curl_multi_socket_action(c->multi, w->socket, flags, &running);
    collect(c);
}

static void free_watch(uv_handle_t *h)
{
    free(h);
}

static int on_socket(CURL *easy, curl_socket_t s, int what, void *data, void *socket_data)
{
    (void)easy;
    struct http_client *c = data;
    struct watch *w = socket_data;
    if (what == CURL_POLL_REMOVE) {
        if (w) {
            uv_poll_stop(&w->poll);
            uv_close((uv_handle_t *)&w->poll, free_watch);
            curl_multi_assign(c->multi, s, NULL);
        }
        return 0;
    }
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w || uv_poll_init_socket(c->loop, &w->poll, s) != 0) {
            free(w);
            return -1;
        }
        w->socket = s;
        w->client = c;
        curl_multi_assign(c->multi, s, w);
    }
    int events = (what != CURL_POLL_OUT ? UV_READABLE : 0) | (what != CURL_POLL_IN ? UV_WRITABLE : 0);
    return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static void on_timeout(uv_timer_t *timer)
{
    struct http_client *c = timer->data;
    int running;
    curl_multi_socket_action(c->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(c);
}

static int on_timer(CURLM *multi, long ms, void *data)
{
    (void)multi;
    struct http_client *c = data;
    if (ms < 0)
        uv_timer_stop(&c->timer);
    else
        uv_timer_start(&c->timer, on_timeout, (uint64_t)ms, 0);
    return 0;
}

/* ---- sending ---- */

static bool same_options(struct transfer *t, int64_t timeout_ms)
{
    struct http_client *c = t->client;
    CURL *e = t->easy;
    bool ok = curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->words) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(timeout_ms ? timeout_ms : TIMEOUT_DEFAULT)) ==
                  CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_PREREQDATA, t) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_READDATA, t) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_SEEKDATA, t) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK;
    if (ok && c->config.ca_file) ok = curl_easy_setopt(e, CURLOPT_CAINFO, c->config.ca_file) == CURLE_OK;
    return ok;
}

static struct transfer *new_transfer(struct http_client *c, size_t keep, http_done *done, void *data)
{
    struct transfer *t = c->closed ? NULL : calloc(1, sizeof *t);
    if (!t) return NULL;
    t->client = c;
    t->done = done;
    t->data = data;
    t->fd = -1;
    t->started = clock_mono();
    buf_init(&t->upload, (size_t)64 << 20);
    buf_init(&t->body, keep ? keep : RESPONSE_DEFAULT);
    buf_init(&t->head, FIELDS_BYTES * 2);
    t->easy = curl_easy_init();
    if (t->easy) return t;
    free_transfer(t);
    return NULL;
}

static bool launch(struct transfer *t)
{
    struct http_client *c = t->client;
    t->next = c->first;
    if (c->first) c->first->prev = t;
    c->first = t;
    c->pending++;
    if (curl_multi_add_handle(c->multi, t->easy) == CURLM_OK) return true;
    unlink_transfer(t);
    free_transfer(t);
    return false;
}

static bool add_field(struct curl_slist **list, const char *line)
{
    struct curl_slist *more = curl_slist_append(*list, line);
    if (!more) return false;
    *list = more;
    return true;
}

static bool add_fields(struct transfer *t, const struct http_request *r)
{
    struct buf line;
    buf_init(&line, FIELDS_BYTES);
    bool ok = add_field(&t->fields, "Expect:");
    for (size_t i = 0; ok && i < r->fields_n; i++) {
        buf_reset(&line);
        buf_str(&line, r->fields[i].name);
        buf_cstr(&line, r->fields[i].value.n ? ": " : ";");
        buf_str(&line, r->fields[i].value);
        buf_char(&line, '\0');
        ok = !line.failed && add_field(&t->fields, line.p);
    }
    buf_free(&line);
    return ok;
}

static bool http_options(struct transfer *t, const struct http_request *r)
{
    CURL *e = t->easy;
    bool file = r->body_fd >= 0, body = file || r->body.n > 0;
    int64_t length = file ? r->body_length : (int64_t)r->body.n;
    bool ok = curl_easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_field) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_HEADERDATA, t) == CURLE_OK;
    if (ok && t->client->config.user_agent)
        ok = curl_easy_setopt(e, CURLOPT_USERAGENT, t->client->config.user_agent) == CURLE_OK;
    if (!ok || !add_fields(t, r)) return false;
    if (strcmp(r->method, "HEAD") == 0) ok = curl_easy_setopt(e, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (body || strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0 ||
        strcmp(r->method, "PATCH") == 0)
        ok = ok && curl_easy_setopt(e, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
             curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)length) == CURLE_OK;
    ok = ok && curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method) == CURLE_OK;
    return ok && curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK;
}

bool http_client_send(struct http_client *c, const struct http_request *r, http_done *done, void *data)
{
    struct transfer *t = new_transfer(c, r->response_max, done, data);
    if (!t) return false;
    t->sink = r->sink;
    t->fd = r->body_fd;
    t->at = r->body_at;
    t->left = r->body_length;
    buf_str(&t->upload, r->body);
    if (!t->upload.failed && same_options(t, r->timeout_ms) && http_options(t, r)) return launch(t);
    free_transfer(t);
    return false;
}

static bool add_text(curl_mime *to, struct str text, const char *type)
{
    curl_mimepart *part = curl_mime_addpart(to);
    return part && curl_mime_data(part, text.p, text.n) == CURLE_OK &&
           curl_mime_type(part, type) == CURLE_OK && curl_mime_encoder(part, "quoted-printable") == CURLE_OK;
}

static bool add_file(curl_mime *to, const struct mail_part *p)
{
    curl_mimepart *part = curl_mime_addpart(to);
    return part && curl_mime_filedata(part, p->path) == CURLE_OK &&
           curl_mime_filename(part, p->name) == CURLE_OK && curl_mime_type(part, p->type) == CURLE_OK &&
           curl_mime_encoder(part, "base64") == CURLE_OK;
}

/* multipart/mixed of (text, or multipart/alternative of text and html) and the files. */
static bool build_mime(struct transfer *t, const struct mail_request *r)
{
    t->mime = curl_mime_init(t->easy);
    if (!t->mime) return false;
    if (r->html.p) {
        curl_mime *both = curl_mime_init(t->easy);
        curl_mimepart *part = both ? curl_mime_addpart(t->mime) : NULL;
        bool ok = part && add_text(both, r->text, "text/plain; charset=utf-8") &&
                  add_text(both, r->html, "text/html; charset=utf-8");
        if (!ok || curl_mime_subparts(part, both) != CURLE_OK) {
            curl_mime_free(both);
            return false;
        }
        if (curl_mime_type(part, "multipart/alternative") != CURLE_OK) return false;
        struct curl_slist *inside = curl_slist_append(NULL, "Content-Disposition: inline");
        if (!inside || curl_mime_headers(part, inside, 1) != CURLE_OK) return false;
    } else if (!add_text(t->mime, r->text, "text/plain; charset=utf-8"))
        return false;
    for (size_t i = 0; i < r->parts_n; i++)
        if (!add_file(t->mime, &r->parts[i])) return false;
    return curl_easy_setopt(t->easy, CURLOPT_MIMEPOST, t->mime) == CURLE_OK;
}

bool http_client_mail(struct http_client *c, const struct mail_request *r, http_done *done, void *data)
{
    struct transfer *t = new_transfer(c, 0, done, data);
    if (!t) return false;
    CURL *e = t->easy;
    t->mail = true;
    bool ok = same_options(t, r->timeout_ms) && curl_easy_setopt(e, CURLOPT_URL, r->url) == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "smtp,smtps") == CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_USE_SSL, (long)(r->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE)) ==
                  CURLE_OK &&
              curl_easy_setopt(e, CURLOPT_MAIL_FROM, r->from) == CURLE_OK;
    if (ok && r->user)
        ok = curl_easy_setopt(e, CURLOPT_USERNAME, r->user) == CURLE_OK &&
             curl_easy_setopt(e, CURLOPT_PASSWORD, r->password ? r->password : "") == CURLE_OK;
    for (size_t i = 0; ok && i < r->to_n; i++)
        ok = add_field(&t->recipients, r->to[i]);
    for (size_t i = 0; ok && i < r->headers_n; i++)
        ok = add_field(&t->fields, r->headers[i]);
    ok = ok && curl_easy_setopt(e, CURLOPT_MAIL_RCPT, t->recipients) == CURLE_OK &&
         curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->fields) == CURLE_OK && build_mime(t, r);
    if (ok) return launch(t);
    free_transfer(t);
    return false;
}

/* ---- life ---- */

static void start_library(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        LOG(LOG_ERROR, "libcurl did not start", log_i("code", 1));
}

struct http_client *http_client_new(struct uv_loop_s *loop, const struct http_client_config *config)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_library);
    struct http_client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->loop = loop;
    c->config = *config;
    c->multi = curl_multi_init();
    if (!c->multi || uv_timer_init(loop, &c->timer) != 0) {
        if (c->multi) curl_multi_cleanup(c->multi);
        free(c);
        return NULL;
    }
    c->timer.data = c;
    long each = config->connections_per_host ? (long)config->connections_per_host : 8;
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c);
    curl_multi_setopt(c->multi, CURLMOPT_MAX_HOST_CONNECTIONS, each);
    return c;
}

size_t http_client_pending(const struct http_client *c)
{
    return c->pending;
}

void http_client_close(struct http_client *c)
{
    if (!c || c->closed) return;
    c->closed = true;
    while (c->first) {
        struct transfer *t = c->first;
        curl_multi_remove_handle(c->multi, t->easy);
        snprintf(t->words, sizeof t->words, "the server stops");
        finish(t, CURLE_ABORTED_BY_CALLBACK);
    }
    curl_multi_cleanup(c->multi);
    c->multi = NULL;
    uv_timer_stop(&c->timer);
    uv_close((uv_handle_t *)&c->timer, NULL);
}

void http_client_free(struct http_client *c)
{
    free(c);
}
