/* health.c: is the process alive, and can it serve.
 *
 * Alive: the loop answers. Ready: the scripts are loaded and a row was really written within the last second;
 * the writer is asked at most once a second, however often somebody wants to know. */
#include "api/app.h"
#include "store/store.h"

#include <stdio.h>

#define PROBE_NS UINT64_C(1000000000)

static bool alive(struct call *c)
{
    json_object(c->out);
    json_key(c->out, STR("status"));
    json_cstr(c->out, "ok");
    json_end_object(c->out);
    return call_json(c, 200);
}

/* In the writer: a commit that fails is answered with 503 by write.c. */
static bool probe(struct call *c)
{
    char now[24];
    int n = snprintf(now, sizeof now, "%lld", (long long)clock_now());
    if (!store_meta_set(c->worker->db, "ready", (struct str){now, (size_t)n}, &c->error)) return false;
    atomic_store_explicit(&c->app->probed, clock_mono(), memory_order_relaxed);
    return alive(c);
}

static bool ready(struct call *c)
{
    if (!atomic_load(&c->app->ready) || atomic_load(&c->app->stopping)) {
        c->error.retry_after = 1;
        return error_set(&c->error, ERROR_UNAVAILABLE, "not ready yet", "ещё не готов");
    }
    uint64_t probed = atomic_load_explicit(&c->app->probed, memory_order_relaxed);
    if (probed && clock_mono() - probed < PROBE_NS) return alive(c);
    return call_continue(c, LANE_WRITE, probe);
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/healthz", LANE_LOOP, OPEN | NOT_IN_BATCH, "", alive, "Alive", NULL, "health", 200},
    {HTTP_METHOD_GET, "/readyz", LANE_LOOP, OPEN | NOT_IN_BATCH, "", ready,
     "Catalog loaded, database writable", NULL, "health", 200},
};

const struct endpoint_table health_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
