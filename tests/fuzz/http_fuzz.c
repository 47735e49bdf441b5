/* http_fuzz.c: bytes of a client into the reader of http/ (head_scan, request_parse, body_read), without
 * sockets.
 *
 * Beside crashes it looks for disagreement with itself: bytes that come at once and bytes that come one by
 * one must be understood as the same requests with the same bodies, and refused at the same place. What is
 * understood must also keep the promises that handlers rely on (no control bytes in fields, valid UTF-8 in
 * paths, …). */
#include "base/text.h"
#include "http/request.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BODY_MAX 100000
#define COMPARED_MAX 500 /* past it the bounds on chunk framing may strike at different places */

/* What was understood, as a text that can be compared. */
struct reading {
    struct buf log;
    struct arena arena;
    bool refused;
};

static void require(bool condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

static void check_fields(const struct http_exchange *x)
{
    for (size_t i = 0; i < x->fields_n; i++) {
        struct str name = x->fields[i].name, value = x->fields[i].value;
        require(name.n > 0, "a field has a name");
        for (size_t k = 0; k < name.n; k++)
            require(head_is_token((unsigned char)name.p[k]), "a field name is a token");
        for (size_t k = 0; k < value.n; k++)
            require((unsigned char)value.p[k] >= 0x20 || value.p[k] == '\t',
                    "no control byte in a field value");
    }
}

static void check_request(const struct request *r)
{
    struct http_exchange *x = r->x;
    require((unsigned)x->method < HTTP_METHOD_COUNT, "the method is known");
    require(text_valid(x->path) && (!x->path.n || !memchr(x->path.p, '\0', x->path.n)), "the path is text");
    require(str_is(x->path, "*") || x->path.p[0] == '/', "the path begins with a slash");
    require(!(r->chunked && r->length > 0), "one way of framing");
    require(!(r->chunked && x->http_1_0), "no chunks in HTTP/1.0");
    require(x->http_1_0 || x->host.n > 0, "HTTP/1.1 has a host");
    check_fields(x);
    struct str query = x->query, name, value;
    while (http_query_next(&query, x->arena, &name, &value) == HTTP_QUERY_PAIR)
        require(text_valid(name) && text_valid(value), "a query is text");
    (void)http_cookie(x, STR("session"));
    (void)http_etag_listed(http_field(x, STR("If-Match")), STR("\"1\""), false);
}

/* Uses up what it can of one request; false: refused, or more bytes are needed. */
static bool read_one(struct reading *out, struct str all, size_t step, size_t *at)
{
    static const struct head_limits limits = {.bytes = 16384, .target = 8192, .fields = 100};
    struct head_scan scan;
    struct request request;
    struct http_exchange x = {.arena = &out->arena};
    enum problem problem = PROBLEM_NONE;
    enum head_result head = HEAD_MORE;
    size_t have = *at;
    head_scan_start(&scan);
    while (head == HEAD_MORE && have < all.n) {
        have = all.n - have > step ? have + step : all.n;
        head = head_scan(&scan, (struct str){all.p + *at, have - *at}, &limits, &problem);
    }
    if (head != HEAD_DONE) {
        out->refused = head == HEAD_BAD;
        buf_printf(&out->log, "head %d\n", (int)problem);
        return false;
    }
    struct str text = arena_str(&out->arena, (struct str){all.p + *at + scan.begin, scan.pos - scan.begin});
    problem = text.p ? request_parse(&request, &x, text, &scan, &limits) : PROBLEM_MEMORY;
    *at += scan.pos;
    buf_printf(&out->log, "request %d %d %zu %d %d\n", (int)problem, (int)x.method, x.fields_n,
               request.chunked, request.keep_alive);
    out->refused = problem != PROBLEM_NONE;
    if (out->refused) return false;
    check_request(&request);
    size_t body = 0;
    for (size_t end = have > *at ? have : *at; body < BODY_MAX;) {
        struct str in = {all.p + *at, end - *at}, piece = {0};
        enum body_result result = body_read(&request, &in, &piece, &problem);
        require(in.p >= all.p + *at && in.p + in.n == all.p + end,
                "body_read moves forward inside its input");
        *at = end - in.n;
        if (result == BODY_PIECE) {
            buf_str(&out->log, piece);
            body += piece.n;
        } else if (result == BODY_MORE && end < all.n) {
            end = all.n - end > step ? end + step : all.n;
        } else {
            out->refused = result == BODY_BAD;
            buf_printf(&out->log, "\nbody %d %d\n", (int)result, (int)problem);
            return result == BODY_END && request.keep_alive;
        }
    }
    return false;
}

static void read_all(struct reading *out, struct str all, size_t step)
{
    size_t at = 0;
    *out = (struct reading){0};
    buf_init(&out->log, 1 << 24);
    arena_init(&out->arena, 1 << 22);
    while (at < all.n && read_one(out, all, step, &at))
        arena_reset(&out->arena);
    arena_free(&out->arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct str all = {(const char *)data, n};
    struct reading whole, drip;
    read_all(&whole, all, SIZE_MAX / 2);
    read_all(&drip, all, 1);
    if (n <= COMPARED_MAX) {
        require(whole.refused == drip.refused, "the same is refused however it arrives");
        require(str_eq(buf_view(&whole.log), buf_view(&drip.log)),
                "the same is understood however it arrives");
    }
    buf_free(&whole.log);
    buf_free(&drip.log);
    return 0;
}
