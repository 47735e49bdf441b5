/* script_routes.c: routes that scripts declare. GET runs as a read, everything else inside the writer's
 * savepoint. */
#include "api/app.h"

static bool run(struct call *c)
{
    const struct catalog *catalog = c->context.catalog;
    for (size_t i = 0; i < catalog->route_count; i++) {
        const struct route *r = &catalog->routes[i];
        if (!str_is(c->path, r->path) ||
            !str_is(http_method_text(c->method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : c->method), r->method))
            continue;
        bool allowed = c->who->all_write;
        for (size_t k = 0; k < r->role_count; k++)
            allowed =
                allowed || strcmp(r->roles[k], "*") == 0 || principal_has_role(c->who, str_of(r->roles[k]));
        if (!allowed)
            return error_set(&c->error, ERROR_FORBIDDEN, "your roles do not allow this",
                             "ваши роли этого не позволяют");
        int status = 200;
        if (!script_route(&c->context, r, r->method, c->path, c->x ? c->x->query : STR(""), c->body, &status,
                          c->out))
            return false;
        return call_json(c, status);
    }
    return error_set(&c->error, ERROR_NOT_FOUND, "there is nothing here", "здесь ничего нет");
}

static const struct endpoint reads = {HTTP_METHOD_GET,       "",   LANE_SLOW, NOT_IN_BATCH, "*", run,
                                      "A route of a script", NULL, "object",  200};
static const struct endpoint writes = {
    HTTP_METHOD_POST, "",       LANE_WRITE, NOT_IN_BATCH | BODY_MAY, "*", run, "A route of a script",
    "object",         "object", 200};

const struct endpoint *script_routes_match(const struct catalog *catalog, enum http_method method,
                                           struct str path, unsigned *methods)
{
    const struct endpoint *found = NULL;
    if (method == HTTP_METHOD_HEAD) method = HTTP_METHOD_GET;
    for (size_t i = 0; i < catalog->route_count; i++) {
        if (!str_is(path, catalog->routes[i].path)) continue;
        for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
            if (!str_is(http_method_text((enum http_method)m), catalog->routes[i].method)) continue;
            *methods |= 1U << m;
            if ((enum http_method)m == method) found = method == HTTP_METHOD_GET ? &reads : &writes;
        }
    }
    return found;
}
