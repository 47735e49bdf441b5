/* courier.c: what the courier needs of the server: the scripts in force, and the writer thread's Lua state.
 */
#include "api/app.h"

static struct script_set *scripts(void *ctx, uint64_t *generation)
{
    struct app *app = ctx;
    pthread_mutex_lock(&app->lock);
    struct script_set *set = script_set_ref(app->set);
    *generation = atomic_load(&app->generation);
    pthread_mutex_unlock(&app->lock);
    return set;
}

static uint64_t generation(void *ctx)
{
    struct app *app = ctx;
    return atomic_load_explicit(&app->generation, memory_order_acquire);
}

static bool lend(void *ctx, void *thread_data, const struct catalog **catalog, struct script_state **script,
                 struct plan_cache **plans)
{
    (void)ctx;
    struct worker *w = thread_data;
    *catalog = w->set->catalog;
    *script = w->script;
    *plans = w->plans;
    return true;
}

bool courier_open(struct app *app, struct error *e)
{
    const struct serve_options *o = app->options;
    struct courier_config config = {.path = app->path,
                                    .data = o->data,
                                    .writer = app->writer,
                                    .time_zone = o->time_zone,
                                    .http_allow = o->http_allow,
                                    .open = o->open,
                                    .open_n = o->open_count,
                                    .ca_file = o->ca_file,
                                    .mail = o->mail,
                                    .ctx = app,
                                    .scripts = scripts,
                                    .generation = generation,
                                    .lend = lend};
    struct courier *c = courier_start(&config, e);
    atomic_store(&app->courier, c);
    return c != NULL;
}
