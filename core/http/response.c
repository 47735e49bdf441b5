/* response.c: the answer: built by the application, completed and serialised here. */
#include "http/connection.h"

#define INLINE_BODY (16 * 1024) /* smaller bodies are copied behind their head */
#define GZIP_LEAST 1024
#define GZIP_MOST (4 * 1024 * 1024)

struct default_field {
    struct str name, line;
};

#define DEFAULT(name, value)                                                                                 \
    {                                                                                                        \
        {name, sizeof(name) - 1},                                                                            \
        {                                                                                                    \
            name ": " value "\r\n", sizeof(name ": " value "\r\n") - 1                                       \
        }                                                                                                    \
    }

/* On every answer, unless the application says something else under the same name. */
static const struct default_field defaults[] = {
    DEFAULT("X-Content-Type-Options", "nosniff"),
    DEFAULT("X-Frame-Options", "DENY"),
    DEFAULT("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    DEFAULT("Referrer-Policy", "same-origin"),
    DEFAULT("Cross-Origin-Opener-Policy", "same-origin"),
    DEFAULT("Cross-Origin-Resource-Policy", "same-origin"),
    DEFAULT("Cache-Control", "private, no-cache"),
    DEFAULT("Strict-Transport-Security", "max-age=31536000"), /* the last: only when secure */
};

#define DEFAULTS (sizeof defaults / sizeof defaults[0])

static const struct str servers_own[] = {{"Content-Length", 14}, {"Transfer-Encoding", 17},
                                         {"Connection", 10},     {"Date", 4},
                                         {"Keep-Alive", 10},     {"X-Request-Id", 12}};

/* ── What the application says ───────────────────────────────────────────────────────────────── */

static void drop_taken(struct exchange *x)
{
    buf_free(&x->taken);
    buf_init(&x->taken, REPLY_MAX);
}

void http_reply(struct http_exchange *pub, int status)
{
    struct exchange *x = exchange_of(pub);
    x->status = status;
    buf_reset(&x->fields);
    drop_taken(x);
    x->reply_body = REPLY_NONE;
    x->gzip = HTTP_GZIP_AUTO;
    x->given = 0;
    x->has_encoding = false;
    x->etag = x->vary = (struct str){0};
    x->content_type = NULL;
}

int http_reply_status(const struct http_exchange *x)
{
    return exchange_of(x)->status;
}

static bool field_sane(struct str name, struct str value)
{
    if (name.n == 0) return false;
    for (size_t i = 0; i < name.n; i++)
        if (!head_is_token((unsigned char)name.p[i])) return false;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    for (size_t i = 0; i < sizeof servers_own / sizeof servers_own[0]; i++)
        if (str_eq_nocase(name, servers_own[i])) return false;
    return true;
}

static bool keep_vary(struct exchange *x, struct str value)
{
    if (!x->vary.p)
        x->vary = arena_str(&x->arena, value);
    else
        x->vary = str_of(arena_printf(&x->arena, "%.*s, %.*s", STR_ARG(x->vary), STR_ARG(value)));
    return x->vary.p != NULL;
}

bool http_reply_field(struct http_exchange *pub, struct str name, struct str value)
{
    struct exchange *x = exchange_of(pub);
    if (!field_sane(name, value)) return false;
    if (str_eq_nocase(name, STR("etag"))) {
        x->etag = arena_str(&x->arena, value);
        return x->etag.p != NULL;
    }
    if (str_eq_nocase(name, STR("vary"))) return keep_vary(x, value);
    if (str_eq_nocase(name, STR("content-encoding"))) x->has_encoding = true;
    for (unsigned i = 0; i < DEFAULTS; i++)
        if (str_eq_nocase(name, defaults[i].name)) x->given |= 1U << i;
    if (!buf_reserve(&x->fields, name.n + value.n + 4)) return false;
    buf_str(&x->fields, name);
    buf_add(&x->fields, ": ", 2);
    buf_str(&x->fields, value);
    buf_add(&x->fields, "\r\n", 2);
    return true;
}

struct buf *http_reply_buffer(struct http_exchange *pub, const char *content_type)
{
    struct exchange *x = exchange_of(pub);
    x->content_type = content_type;
    x->reply_body = REPLY_BUFFER;
    buf_reset(&x->buffer);
    return &x->buffer;
}

void http_reply_take(struct http_exchange *pub, const char *content_type, struct buf *b)
{
    struct exchange *x = exchange_of(pub);
    size_t toobig = b->toobig;
    drop_taken(x);
    x->content_type = content_type;
    x->reply_body = REPLY_TAKEN;
    x->taken = *b;
    buf_init(b, toobig);
}

void http_reply_bytes(struct http_exchange *pub, const char *content_type, struct str bytes)
{
    struct exchange *x = exchange_of(pub);
    x->content_type = content_type;
    x->reply_body = REPLY_BORROWED;
    x->borrowed = bytes;
}

void http_reply_gzip(struct http_exchange *x, enum http_gzip how)
{
    exchange_of(x)->gzip = how;
}

void http_reply_close(struct http_exchange *x)
{
    exchange_of(x)->close = true;
}

/* ── Serialising ─────────────────────────────────────────────────────────────────────────────── */

bool response_may_keep(const struct exchange *x)
{
    const struct connection *c = x->connection;
    return c && c->state == CONNECTION_BUSY && x->request.keep_alive && !x->close && !c->loop->stopping;
}

static void add_line(struct buf *out, struct str name, struct str value)
{
    buf_str(out, name);
    buf_str(out, value);
    buf_add(out, "\r\n", 2);
}

static void add_defaults(const struct exchange *x, struct buf *out)
{
    unsigned last = x->pub.secure ? DEFAULTS : DEFAULTS - 1;
    for (unsigned i = 0; i < last; i++)
        if (!(x->given & 1U << i)) buf_str(out, defaults[i].line);
}

static void add_status(struct buf *out, int status)
{
    if (status == 200) {
        buf_str(out, STR("HTTP/1.1 200 OK\r\n"));
        return;
    }
    char line[64] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + status / 100 % 10);
    line[10] = (char)('0' + status / 10 % 10);
    line[11] = (char)('0' + status % 10);
    buf_add(out, line, 13);
    buf_cstr(out, problem_status_reason(status));
    buf_add(out, "\r\n", 2);
}

static void add_connection(const struct exchange *x, struct buf *out, bool keep)
{
    if (!keep)
        buf_str(out, STR("Connection: close\r\n"));
    else if (x->pub.http_1_0)
        buf_str(out, STR("Connection: keep-alive\r\n"));
}

static void add_etag(const struct exchange *x, struct buf *out, const char *encoding)
{
    if (!x->etag.p) return;
    buf_str(out, STR("ETag: "));
    if (encoding && !str_starts(x->etag, STR("W/"))) buf_add(out, "W/", 2);
    buf_str(out, x->etag);
    buf_add(out, "\r\n", 2);
}

void response_head(struct exchange *x, struct buf *out, int64_t length, bool keep, const char *encoding)
{
    size_t date_n = 0;
    const char *date = loop_date(x->pub.loop, &date_n);
    buf_reserve(out, 1024 + x->fields.n);
    add_status(out, x->status);
    buf_add(out, date, date_n);
    add_defaults(x, out);
    add_line(out, STR("X-Request-Id: "), x->pub.request_id);
    buf_str(out, buf_view(&x->fields));
    add_etag(x, out, encoding);
    if (x->vary.p) add_line(out, STR("Vary: "), x->vary);
    if (encoding) add_line(out, STR("Content-Encoding: "), str_of(encoding));
    if (x->content_type) add_line(out, STR("Content-Type: "), str_of(x->content_type));
    if (length >= 0) {
        buf_str(out, STR("Content-Length: "));
        buf_int(out, length);
        buf_add(out, "\r\n", 2);
    } else if (x->chunked) {
        buf_str(out, STR("Transfer-Encoding: chunked\r\n"));
    }
    add_connection(x, out, keep);
    buf_add(out, "\r\n", 2);
}

static bool body_failed(const struct exchange *x)
{
    return x->fields.failed || (x->reply_body == REPLY_BUFFER && x->buffer.failed) ||
           (x->reply_body == REPLY_TAKEN && x->taken.failed);
}

static struct str body_view(const struct exchange *x)
{
    switch (x->reply_body) {
    case REPLY_BUFFER: return buf_view(&x->buffer);
    case REPLY_TAKEN: return buf_view(&x->taken);
    case REPLY_BORROWED: return x->borrowed;
    case REPLY_NONE: break;
    }
    return (struct str){0};
}

/* The answer was never given, or could not be made. */
static void replace_by_500(struct exchange *x)
{
    const struct problem_text *t = problem_text(PROBLEM_ANSWER);
    const struct http_config *config = &x->pub.loop->server->config;
    http_reply(&x->pub, t->status);
    struct buf *body = http_reply_buffer(&x->pub, "application/problem+json");
    if (config->callbacks.render_problem)
        config->callbacks.render_problem(config->app, &x->pub, t->status, t->code, t->en, t->ru, body);
    if (body->n > 0 && !body_failed(x)) return;
    http_reply(&x->pub, t->status);
    http_reply_bytes(&x->pub, "application/problem+json",
                     STR("{\"type\":\"about:blank\",\"title\":\"Internal Server Error\",\"status\":500,"
                         "\"code\":\"internal\",\"detail\":\"the answer could not be made\"}"));
}

/* Returns "gzip" and points *body at the compressed bytes, or NULL. */
static const char *compress(struct exchange *x, struct str *body)
{
    bool strong = x->etag.p && !str_starts(x->etag, STR("W/"));
    if (x->gzip == HTTP_GZIP_NEVER || x->has_encoding || body->n < GZIP_LEAST || body->n > GZIP_MOST ||
        x->status == 206 || (strong && x->gzip == HTTP_GZIP_AUTO) || !gzip_type(x->content_type))
        return NULL;
    (void)keep_vary(x, STR("Accept-Encoding"));
    if (!gzip_accepted(&x->pub) || !gzip_deflate(x->pub.loop, *body)) return NULL;
    *body = buf_view(&x->pub.loop->gzip_out);
    return "gzip";
}

static void write_answer(struct exchange *x, bool keep)
{
    struct connection *c = x->connection;
    struct str body = body_view(x);
    bool bodiless = x->status < 200 || x->status == 204 || x->status == 304;
    const char *encoding = bodiless ? NULL : compress(x, &body);
    struct buf *out = output_begin(c);
    if (bodiless) x->content_type = NULL;
    response_head(x, out, bodiless ? -1 : (int64_t)body.n, keep, encoding);
    if (bodiless || x->pub.method == HTTP_METHOD_HEAD || body.n == 0) return;
    x->sent = (int64_t)body.n;
    if (body.n <= INLINE_BODY) {
        buf_str(out, body);
        return;
    }
    struct buf *owned = encoding                        ? NULL
                        : x->reply_body == REPLY_TAKEN  ? &x->taken
                        : x->reply_body == REPLY_BUFFER ? &x->buffer
                                                        : NULL;
    output_send(c, &body, 1, owned);
}

static void count_answer(struct exchange *x)
{
    const struct http_config *config = &x->pub.loop->server->config;
    int class = x->status / 100;
    count(&x->pub.loop->counters.status[class >= 1 && class <= 5 ? class : 5], 1);
    if (config->callbacks.on_done) config->callbacks.on_done(config->app, &x->pub, x->status, x->sent);
}

void http_send(struct http_exchange *pub)
{
    struct exchange *x = exchange_of(pub);
    struct connection *c = x->connection;
    bool keep = response_may_keep(x);
    if (x->status < 200 || x->status > 599 || body_failed(x)) replace_by_500(x);
    if (http_client_there(pub)) write_answer(x, keep);
    count_answer(x);
    if (c) c->exchange = NULL;
    exchange_free(x);
    if (c) connection_exchange_done(c, keep);
}
