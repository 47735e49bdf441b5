/* health.c: is the process alive, and can it serve. */
#include "api/app.h"

static bool alive(struct call *c)
{
    json_object(c->out);
    json_key(c->out, STR("status"));
    json_cstr(c->out, "ok");
    json_end_object(c->out);
    return call_json(c, 200);
}

static bool ready(struct call *c)
{
    bool yes = atomic_load(&c->app->ready) && !atomic_load(&c->app->stopping);
    if (yes) return alive(c);
    c->error.retry_after = 1;
    return error_set(&c->error, ERROR_UNAVAILABLE, "not ready yet", "ещё не готов");
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/healthz", LANE_LOOP, OPEN | NOT_IN_BATCH, "", alive, "Alive", NULL, "health", 200},
    {HTTP_METHOD_GET, "/readyz", LANE_LOOP, OPEN | NOT_IN_BATCH, "", ready,
     "Catalog loaded, database writable", NULL, "health", 200},
};

const struct endpoint_table health_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
