/* request.c: what a request's head says: llhttp reads it, and what llhttp lets through but a careful server
 * does not is refused here (RFC 9112 §3.2, §6.1-6.3, §11.2). Every refusal closes the connection. */
#include "http/request.h"

#define VERSION_LENGTH 9 /* " HTTP/1.1" */
#define REQUEST_ID_MAX 64
#define EXTENSION_MAX 256
#define FRAMING_MAX 512 /* between two pieces of a body: leading zeros of a chunk's size, for one */
#define TRAILER_MAX 4096

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct request *r = parser->data;
    r->x->target = (struct str){at, n};
    return 0;
}

static int on_header_field(llhttp_t *parser, const char *at, size_t n)
{
    struct request *r = parser->data;
    if (r->x->fields_n == r->fields_max) return -1;
    r->fields[r->x->fields_n++] = (struct http_field){.name = {at, n}, .value = {at + n, 0}};
    return 0;
}

/* The head is parsed in one call, so a value comes in one piece. */
static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    struct request *r = parser->data;
    if (r->x->fields_n == 0) return -1;
    r->fields[r->x->fields_n - 1].value = str_trim((struct str){at, n});
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct request *r = parser->data;
    r->piece = (struct str){at, n};
    return HPE_PAUSED;
}

/* Nobody has a use for chunk extensions; a few bytes of them are let pass. */
static int on_extension(llhttp_t *parser, const char *at, size_t n)
{
    struct request *r = parser->data;
    (void)at;
    r->extension += n;
    return r->extension > EXTENSION_MAX ? -1 : 0;
}

/* The last chunk: what follows is the trailer, which we read ourselves. */
static int on_chunk_header(llhttp_t *parser)
{
    struct request *r = parser->data;
    r->extension = 0;
    if (parser->content_length > 0) return 0;
    r->in_trailer = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_chunk_header = on_chunk_header,
};

static const struct str methods[HTTP_METHOD_COUNT] = {
    [HTTP_METHOD_GET] = {"GET", 3},         [HTTP_METHOD_HEAD] = {"HEAD", 4},
    [HTTP_METHOD_POST] = {"POST", 4},       [HTTP_METHOD_PUT] = {"PUT", 3},
    [HTTP_METHOD_PATCH] = {"PATCH", 5},     [HTTP_METHOD_DELETE] = {"DELETE", 6},
    [HTTP_METHOD_OPTIONS] = {"OPTIONS", 7},
};

struct str http_method_text(enum http_method method)
{
    return (unsigned)method < HTTP_METHOD_COUNT ? methods[method] : STR("");
}

struct str http_field(const struct http_exchange *x, struct str name)
{
    for (size_t i = 0; i < x->fields_n; i++)
        if (str_eq_nocase(x->fields[i].name, name)) return x->fields[i].value;
    return (struct str){0};
}

static enum problem check_version(struct http_exchange *x, struct str line)
{
    if (line.n <= VERSION_LENGTH) return PROBLEM_REQUEST_LINE;
    struct str v = {line.p + line.n - VERSION_LENGTH, VERSION_LENGTH};
    if (!str_starts(v, STR(" HTTP/"))) return PROBLEM_REQUEST_LINE;
    if (str_is(v, " HTTP/1.1")) return PROBLEM_NONE;
    if (v.p[6] < '0' || v.p[6] > '9' || v.p[7] != '.' || v.p[8] < '0' || v.p[8] > '9')
        return PROBLEM_REQUEST_LINE;
    x->http_1_0 = str_is(v, " HTTP/1.0");
    return x->http_1_0 ? PROBLEM_NONE : PROBLEM_VERSION;
}

static enum problem check_method(struct http_exchange *x, struct str method)
{
    x->method_text = method;
    for (int i = 0; i < HTTP_METHOD_COUNT; i++) {
        if (str_eq(methods[i], method)) {
            x->method = (enum http_method)i;
            return PROBLEM_NONE;
        }
    }
    if (str_is(method, "CONNECT") || str_is(method, "TRACE")) return PROBLEM_METHOD_FORBIDDEN;
    for (size_t i = 0; i < method.n; i++)
        if (!head_is_token((unsigned char)method.p[i])) return PROBLEM_REQUEST_LINE;
    return method.n > 0 ? PROBLEM_METHOD_UNKNOWN : PROBLEM_REQUEST_LINE;
}

/* "METHOD target HTTP/1.1" with one space at each of the two places. */
static enum problem check_line(struct http_exchange *x, struct str line, const struct head_limits *limits)
{
    enum problem problem = check_version(x, line);
    if (problem != PROBLEM_NONE) return problem;
    struct str rest = {line.p, line.n - VERSION_LENGTH};
    struct str method = str_cut(&rest, ' ');
    if (!rest.p || rest.n == 0 || memchr(rest.p, ' ', rest.n)) return PROBLEM_REQUEST_LINE;
    problem = check_method(x, method);
    if (problem != PROBLEM_NONE) return problem;
    x->target = rest;
    return rest.n > limits->target ? PROBLEM_TARGET_LONG : PROBLEM_NONE;
}

static enum problem problem_of_llhttp(llhttp_errno_t code)
{
    switch (code) {
    case HPE_INVALID_URL: return PROBLEM_TARGET;
    case HPE_INVALID_METHOD: return PROBLEM_METHOD_UNKNOWN;
    case HPE_INVALID_VERSION: return PROBLEM_VERSION;
    case HPE_INVALID_HEADER_TOKEN: return PROBLEM_FIELD_NAME;
    case HPE_INVALID_CONTENT_LENGTH: return PROBLEM_CONTENT_LENGTH;
    case HPE_UNEXPECTED_CONTENT_LENGTH: return PROBLEM_LENGTH_AND_CODING;
    case HPE_INVALID_TRANSFER_ENCODING: return PROBLEM_TRANSFER_CODING;
    case HPE_INVALID_CHUNK_SIZE: return PROBLEM_CHUNK;
    default: return PROBLEM_SYNTAX;
    }
}

static enum problem check_length(struct request *r, struct str value)
{
    if (value.n == 0 || value.n > 18) return PROBLEM_CONTENT_LENGTH;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9') return PROBLEM_CONTENT_LENGTH;
        r->length = r->length * 10 + (uint64_t)(value.p[i] - '0');
    }
    return PROBLEM_NONE;
}

static enum problem check_coding(struct request *r, struct str value)
{
    if (str_eq_nocase(value, STR("chunked"))) {
        r->chunked = true;
        return PROBLEM_NONE;
    }
    /* "gzip, chunked" can be framed but not decoded; everything else cannot even be framed. */
    struct str rest = value, coding = {0};
    bool sane = true, chunked = false;
    while (rest.p) {
        coding = str_trim(str_cut(&rest, ','));
        sane = sane && coding.n > 0 && !chunked;
        for (size_t i = 0; i < coding.n; i++)
            sane = sane && head_is_token((unsigned char)coding.p[i]);
        chunked = str_eq_nocase(coding, STR("chunked"));
    }
    return sane && chunked ? PROBLEM_CODING_UNKNOWN : PROBLEM_TRANSFER_CODING;
}

static bool request_id_sane(struct str id)
{
    if (id.n == 0 || id.n > REQUEST_ID_MAX) return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' ||
              c == '_' || c == '-'))
            return false;
    }
    return true;
}

struct seen {
    int host, length, coding;
};

/* The few fields that decide how the message is read. */
static enum problem check_field(struct request *r, const struct http_field *f, struct seen *seen)
{
    switch (f->name.n) {
    case 4:
        if (!str_eq_nocase(f->name, STR("host"))) break;
        if (seen->host++ || !target_host_valid(f->value)) return PROBLEM_HOST;
        if (!r->x->host.p) r->x->host = f->value;
        break;
    case 6:
        if (!str_eq_nocase(f->name, STR("expect"))) break;
        if (!str_eq_nocase(f->value, STR("100-continue"))) return PROBLEM_EXPECTATION;
        r->expect_continue = !r->x->http_1_0;
        break;
    case 12:
        if (str_eq_nocase(f->name, STR("x-request-id")) && request_id_sane(f->value))
            r->x->request_id = f->value;
        break;
    case 14:
        if (!str_eq_nocase(f->name, STR("content-length"))) break;
        return seen->length++ ? PROBLEM_CONTENT_LENGTH : check_length(r, f->value);
    case 17:
        if (!str_eq_nocase(f->name, STR("transfer-encoding"))) break;
        return seen->coding++ ? PROBLEM_TRANSFER_CODING : check_coding(r, f->value);
    default: break;
    }
    return PROBLEM_NONE;
}

/* All fields are looked at, so that the refusal does not depend on their order more than it must. */
static enum problem check_fields(struct request *r)
{
    struct seen seen = {0};
    enum problem problem = PROBLEM_NONE;
    for (size_t i = 0; i < r->x->fields_n; i++) {
        enum problem p = check_field(r, &r->fields[i], &seen);
        if (problem == PROBLEM_NONE) problem = p;
    }
    if (seen.length && seen.coding) return PROBLEM_LENGTH_AND_CODING;
    if (problem != PROBLEM_NONE) return problem;
    if (seen.host == 0 && !r->x->http_1_0) return PROBLEM_HOST;
    if (seen.coding && r->x->http_1_0) return PROBLEM_TRANSFER_CODING;
    return PROBLEM_NONE;
}

enum problem request_parse(struct request *r, struct http_exchange *x, struct str head,
                           const struct head_scan *scan, const struct head_limits *limits)
{
    *r = (struct request){.x = x, .fields_max = scan->fields};
    enum problem problem = check_line(x, (struct str){head.p, scan->first_line}, limits);
    if (problem != PROBLEM_NONE) return problem;
    if (scan->fields > 0) {
        r->fields = arena_array(x->arena, scan->fields, sizeof *r->fields);
        if (!r->fields) return PROBLEM_MEMORY;
    }
    x->fields = r->fields;
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
    llhttp_errno_t code = llhttp_execute(&r->parser, head.p, head.n);
    if (code != HPE_PAUSED) {
        /* llhttp stops at the first wrong thing; ours may be the better name for it. */
        problem = check_fields(r);
        return problem != PROBLEM_NONE && problem != PROBLEM_HOST ? problem : problem_of_llhttp(code);
    }
    r->keep_alive = llhttp_should_keep_alive(&r->parser) != 0;
    problem = target_parse(x);
    if (problem == PROBLEM_NONE) problem = check_fields(r);
    r->left = r->length;
    x->has_body = r->chunked || r->length > 0;
    return problem;
}

static enum body_result read_trailer(struct request *r, struct str *in, enum problem *problem)
{
    /* The scan looks forward only, so each piece may be given as if it were the first. */
    const struct head_limits limits = {.bytes = r->trailer_left, .target = 0, .fields = 32};
    r->trailer.pos = 0;
    enum head_result result = head_scan(&r->trailer, *in, &limits, problem);
    if (result == HEAD_BAD) {
        *problem = PROBLEM_TRAILER;
        return BODY_BAD;
    }
    r->trailer_left -= r->trailer.pos;
    *in = (struct str){in->p + r->trailer.pos, in->n - r->trailer.pos};
    return result == HEAD_DONE ? BODY_END : BODY_MORE;
}

static enum body_result read_chunked(struct request *r, struct str *in, struct str *piece,
                                     enum problem *problem)
{
    if (r->in_trailer) return read_trailer(r, in, problem);
    if (in->n == 0) return BODY_MORE;
    llhttp_resume(&r->parser);
    r->piece = (struct str){0};
    llhttp_errno_t code = llhttp_execute(&r->parser, in->p, in->n);
    size_t used = in->n;
    if (code == HPE_PAUSED)
        used = (size_t)(llhttp_get_error_pos(&r->parser) - in->p);
    else if (code != HPE_OK) {
        *problem = PROBLEM_CHUNK;
        return BODY_BAD;
    }
    *in = (struct str){in->p + used, in->n - used};
    if (r->piece.n > 0) {
        r->framing = 0;
        *piece = r->piece;
        return BODY_PIECE;
    }
    r->framing += used;
    if (r->framing > FRAMING_MAX) {
        *problem = PROBLEM_CHUNK;
        return BODY_BAD;
    }
    if (!r->in_trailer) return BODY_MORE;
    head_scan_start_trailer(&r->trailer);
    r->trailer_left = TRAILER_MAX;
    return read_trailer(r, in, problem);
}

enum body_result body_read(struct request *r, struct str *in, struct str *piece, enum problem *problem)
{
    if (r->chunked) return read_chunked(r, in, piece, problem);
    if (r->left == 0) return BODY_END;
    if (in->n == 0) return BODY_MORE;
    size_t n = r->left < in->n ? (size_t)r->left : in->n;
    *piece = (struct str){in->p, n};
    *in = (struct str){in->p + n, in->n - n};
    r->left -= n;
    return BODY_PIECE;
}
