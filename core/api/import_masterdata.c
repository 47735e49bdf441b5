/* import_masterdata.c: master data through the API: a file of several collections, all or nothing, done when
 * the answer goes out (domain.md §7). A dry run does it all, counts, and takes it back. */
#include "api/imports.h"
#include "record/masterdata.h"
#include "store/schema.h"
#include "store/trail.h"

#include <stdio.h>

#define FILE_MAX ((size_t)64 << 20)

struct counting {
    struct buf json;
    struct import_state *state;
};

static void count(void *ctx, const char *collection, const struct masterdata_count *n)
{
    struct counting *k = ctx;
    json_key(&k->json, str_of(collection));
    json_object(&k->json);
    json_key(&k->json, STR("created"));
    json_int(&k->json, (int64_t)n->created);
    json_key(&k->json, STR("updated"));
    json_int(&k->json, (int64_t)n->updated);
    json_key(&k->json, STR("unchanged"));
    json_int(&k->json, (int64_t)n->unchanged);
    json_end_object(&k->json);
    k->state->created += (int64_t)n->created;
    k->state->updated += (int64_t)n->updated;
    k->state->unchanged += (int64_t)n->unchanged;
}

static bool read_file(struct call *c, struct buf *text)
{
    FILE *f = fopen(c->upload->path, "rbe");
    char piece[65536];
    size_t n;
    if (!f) return error_set(&c->error, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается");
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(text, piece, n);
    bool ok = !ferror(f);
    fclose(f);
    if (text->failed)
        return error_set(&c->error, ERROR_PAYLOAD_TOO_LARGE, "master data has at most 64 MiB",
                         "мастер-данные: не больше 64 МиБ");
    return ok ? true : error_set(&c->error, ERROR_UNAVAILABLE, "the file cannot be read", "файл не читается");
}

static bool run(struct call *c, struct arena *arena, struct import_state *s, struct counting *k)
{
    struct buf text;
    struct context context = c->context;
    int64_t first, last = 0;
    buf_init(&text, FILE_MAX);
    context.arena = arena;
    context.request = import_request(s->id, c->arena);
    bool ok = context.request.p && read_file(c, &text) &&
              trail_range(c->worker->db, &first, &last, &c->error) &&
              masterdata_import(&context, buf_view(&text), count, k) &&
              schema_seed(c->worker->db, c->worker->set->catalog, &c->error);
    s->first_seq = last + 1;
    ok = ok && trail_range(c->worker->db, &first, &last, &c->error);
    s->last_seq = last;
    buf_free(&text);
    return ok;
}

/* The part that a dry run takes back. */
static bool run_maybe(struct call *c, struct import_state *s, struct counting *k, bool dry_run)
{
    struct db *d = c->worker->db;
    struct arena arena;
    arena_init(&arena, (size_t)512 << 20);
    bool ok = db_savepoint(d, &c->error);
    if (ok) {
        ok = run(c, &arena, s, k);
        if (ok && !dry_run) {
            ok = db_savepoint_release(d, &c->error);
        } else {
            db_savepoint_rollback(d);
            trail_forget(d);
        }
    }
    arena_free(&arena);
    if (dry_run) s->first_seq = s->last_seq = 0;
    return ok;
}

bool import_masterdata(struct call *c)
{
    bool dry_run = import_is_dry(c);
    struct import_options o = {
        .format = IMPORT_JSON, .mode = IMPORT_UPSERT, .match = STR("code"), .automation = true};
    struct import_state s = {.id = id_next(),
                             .user = c->who->id,
                             .entity = STR(""),
                             .state = STR("queued"),
                             .created_at = clock_now(),
                             .line = 1};
    struct counting k = {.state = &s};
    struct buf options;
    if (!call_is_admin(c))
        return error_set(&c->error, ERROR_FORBIDDEN, "master data is imported by crm_admin",
                         "мастер-данные импортирует crm_admin");
    buf_init(&options, 65536);
    buf_init(&k.json, 1 << 20);
    json_object(&k.json);
    s.started_at = clock_now();
    bool ok = run_maybe(c, &s, &k, dry_run);
    json_end_object(&k.json);
    ok = ok && ((import_options_write(&options, &o, dry_run, c->error.lang) && !k.json.failed) ||
                error_no_memory(&c->error));
    s.options = buf_view(&options);
    ok = ok && imports_add(c->worker->db, &s, &c->error);
    s.state = STR("done");
    s.done = s.total = s.created + s.updated + s.unchanged;
    s.collections = buf_view(&k.json);
    s.finished_at = clock_now();
    ok = ok && imports_save(c->worker->db, &s, &c->error) && import_accepted(c, s.id);
    buf_free(&options);
    buf_free(&k.json);
    return ok;
}
