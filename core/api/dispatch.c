/* dispatch.c: the first steps of every request, on its loop thread: which endpoint, which methods, who asks,
 * is the request well formed; then into the lane of the endpoint. */
#include "api/app.h"

static struct call *call_new(struct app *app, struct http_exchange *x)
{
    struct call *c = arena_alloc(x->arena, sizeof *c);
    if (!c) return NULL;
    c->app = app;
    c->x = x;
    c->home = c->worker = http_loop_data(x->loop);
    c->arena = x->arena;
    c->method = x->method;
    c->path = x->path;
    c->body_text = x->body;
    c->lang = LANG_EN;
    c->lang_given = problem_lang(http_field(x, STR("accept-language")), &c->lang);
    error_init(&c->error, c->arena, c->lang);
    buf_init(&c->own, ANSWER_MAX);
    auth_credentials(c);
    c->out = &c->home->scratch;
    buf_reset(c->out);
    return c;
}

static void refuse(struct call *c)
{
    problem_answer(c);
    call_send(c);
}

/* Routes of scripts stand before "/api/v1/{collection}", never before the server's own words. */
static void match_scripts(struct call *c)
{
    if (c->match.known && c->match.capture_count == 0) return;
    unsigned methods = 0;
    const struct endpoint *e = script_routes_match(c->home->set->catalog, c->method, c->path, &methods);
    if (!methods) return;
    c->match = (struct match){.endpoint = e, .number = ENDPOINTS_MAX, .known = true, .methods = methods};
}

static void answer_options(struct call *c)
{
    call_field(c, "Allow", str_of(routes_allow(c->match.methods, c->arena)));
    if (c->match.methods & (1U << HTTP_METHOD_PATCH))
        call_field(c, "Accept-Patch", STR("application/merge-patch+json, application/json"));
    call_empty(c, 204);
    call_send(c);
}

static bool refuse_method(struct call *c)
{
    return error_set(&c->error, ERROR_METHOD_NOT_ALLOWED, "%.*s is not allowed here; %s are",
                     "%.*s здесь не разрешён; разрешены %s", STR_ARG(http_method_text(c->method)),
                     routes_allow(c->match.methods, c->arena));
}

/* Whether "/api/v1/nothing" is a path at all is known only where the catalog is, and said only to whoever is
 * signed in: so the refusal of a method is a read of its own there. */
static const struct endpoint method_refused = {HTTP_METHOD_GET, "", LANE_READ, NOT_IN_BATCH, "*",
                                               refuse_method,   "", NULL,      NULL,         405};

static bool find_endpoint(struct call *c)
{
    if (c->method == HTTP_METHOD_OPTIONS && str_is(c->path, "*")) {
        c->match.methods = ~0U;
        answer_options(c);
        return false;
    }
    routes_match(c->method, c->path, &c->match);
    match_scripts(c);
    c->endpoint = c->match.endpoint;
    c->x->app_data = c;
    if (!c->match.known) {
        error_set(&c->error, ERROR_NOT_FOUND, "there is nothing at %.*s", "по адресу %.*s ничего нет",
                  STR_ARG(c->path));
    } else if (c->method == HTTP_METHOD_OPTIONS) {
        answer_options(c);
        return false;
    } else if (!c->endpoint && c->match.capture_count && (c->bearer.p || c->session.p)) {
        c->endpoint = &method_refused;
        return true;
    } else if (!c->endpoint) {
        refuse_method(c);
    } else {
        return true;
    }
    refuse(c);
    return false;
}

/* Pages of the desk: what is no endpoint, for those who want a page (a browser that was given an address
 * inside the desk), and the files that a page loads. "/" is the desk's where there is one. Others get their
 * 404. */
static bool is_page(const struct call *c)
{
    struct match m;
    if (!c->app->files || str_starts(c->path, STR("/api/"))) return false;
    if (c->method != HTTP_METHOD_GET && c->method != HTTP_METHOD_HEAD) return false;
    if (str_is(c->path, "/")) return true;
    routes_match(c->method, c->path, &m);
    if (m.known) return false;
    struct str accept = call_header(c, "accept");
    const char *last = memrchr(c->path.p, '/', c->path.n);
    bool file = last && memchr(last, '.', c->path.n - (size_t)(last - c->path.p)) != NULL;
    return file || memmem(accept.p ? accept.p : "", accept.n, "text/html", 9) != NULL;
}

struct call *dispatch_begin(void *data, struct http_exchange *x)
{
    struct app *app = data;
    struct call *c = call_new(app, x);
    if (!c) {
        http_reply(x, 503);
        http_send(x);
        return NULL;
    }
    worker_renew(c->home);
    if (is_page(c) && http_static_serve(app->files, x, false)) return NULL;
    return find_endpoint(c) ? c : NULL;
}

void dispatch(void *app, struct http_exchange *x)
{
    log_request(x->request_id);
    struct call *c = upload_ended(x) ? NULL : dispatch_begin(app, x);
    if (c) {
        c->lane = c->endpoint->lane;
        c->handle = c->endpoint->handle;
        lane_enter(c);
    }
    log_request(STR(""));
}
