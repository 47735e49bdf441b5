/* gzip.c: whether a client takes gzip (RFC 9110 §12.5.3), and compressing at the lowest level: on JSON it
 * already saves most of what can be saved. One deflate state for each loop. */
#include "http/connection.h"

#include <stdlib.h>
#include <zlib.h>

#define KEEP_GZIP (512 * 1024)
#define GZIP_WINDOW (15 + 16) /* + 16: a gzip header */

/* ";q=0.5" in thousandths; 1000 without, -1 when malformed. */
static int quality(struct str parameters)
{
    while (parameters.p) {
        struct str value = str_trim(str_cut(&parameters, ';'));
        struct str key = str_trim(str_cut(&value, '='));
        if (!str_eq_nocase(key, STR("q"))) continue;
        value = str_trim(value);
        if (value.n == 0 || value.n > 5 || (value.p[0] != '0' && value.p[0] != '1') ||
            (value.n > 1 && value.p[1] != '.'))
            return -1;
        int q = (value.p[0] - '0') * 1000, unit = 100;
        for (size_t i = 2; i < value.n; i++, unit /= 10) {
            if (value.p[i] < '0' || value.p[i] > '9') return -1;
            q += (value.p[i] - '0') * unit;
        }
        return q > 1000 ? -1 : q;
    }
    return 1000;
}

bool gzip_accepted(const struct http_exchange *x)
{
    int gzip = -1, identity = -1, any = -1;
    for (size_t i = 0; i < x->fields_n; i++) {
        if (!str_eq_nocase(x->fields[i].name, STR("accept-encoding"))) continue;
        struct str rest = x->fields[i].value;
        while (rest.p) {
            struct str parameters = str_cut(&rest, ',');
            struct str name = str_trim(str_cut(&parameters, ';'));
            int q = quality(parameters);
            if (str_eq_nocase(name, STR("gzip")) || str_eq_nocase(name, STR("x-gzip")))
                gzip = q;
            else if (str_eq_nocase(name, STR("identity")))
                identity = q;
            else if (str_is(name, "*"))
                any = q;
        }
    }
    if (gzip < 0) gzip = any;
    return gzip > 0 && gzip >= identity;
}

bool gzip_type(const char *content_type)
{
    static const char *const types[] = {
        "application/json", "application/problem+json",  "application/x-ndjson",     "application/javascript",
        "image/svg+xml",    "application/manifest+json", "application/openapi+json", "application/xml"};
    struct str s = str_of(content_type);
    struct str type = str_trim(str_cut(&s, ';'));
    if (str_starts(type, STR("text/"))) return !str_is(type, "text/event-stream");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (str_is(type, types[i])) return true;
    return false;
}

static z_stream *state(struct http_loop *loop)
{
    if (loop->deflate) return deflateReset(loop->deflate) == Z_OK ? loop->deflate : NULL;
    z_stream *z = calloc(1, sizeof *z);
    if (!z) return NULL;
    if (deflateInit2(z, 1, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(z);
        return NULL;
    }
    loop->deflate = z;
    return z;
}

bool gzip_deflate(struct http_loop *loop, struct str in)
{
    z_stream *z = state(loop);
    struct buf *out = &loop->gzip_out;
    if (!z) return false;
    if (out->cap > KEEP_GZIP) {
        buf_free(out);
        buf_init(out, GZIP_BOUND);
    }
    buf_reset(out);
    if (!buf_reserve(out, in.n)) /* it must become smaller to be worth it */
        return false;
    z->next_in = (Bytef *)(uintptr_t)in.p;
    z->avail_in = (uInt)in.n;
    z->next_out = (Bytef *)out->p;
    z->avail_out = (uInt)in.n;
    if (deflate(z, Z_FINISH) != Z_STREAM_END) return false;
    out->n = in.n - z->avail_out;
    return true;
}

void gzip_free(struct http_loop *loop)
{
    if (loop->deflate) (void)deflateEnd(loop->deflate);
    free(loop->deflate);
    loop->deflate = NULL;
    buf_free(&loop->gzip_out);
}
