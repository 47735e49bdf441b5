/* imports.c: POST /imports and what became of them (api.md §8).
 *
 *   head: rights, options ─► file (upload.c) ─► header, charset (slow lane) ─► a row of perigee_import ─► 202
 *   … import_run.c does the rest beside everybody else */
#include "api/imports.h"

#include "base/csv.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define ERRORS_SHOWN 100
#define LIST_MOST 500

void import_path(const struct app *app, int64_t id, char path[IMPORT_PATH])
{
    char text[ID_TEXT + 1];
    id_format(id, text);
    snprintf(path, IMPORT_PATH, "%s/spool/import-%s", app->options->data, text);
}

/* ── What an import looks like ───────────────────────────────────────────────────────────────── */

static bool write_mistake(void *ctx, const struct import_mistake *m)
{
    struct buf *b = ctx;
    json_object(b);
    if (m->row) {
        json_key(b, STR("row"));
        json_int(b, m->row);
        json_key(b, STR("line"));
        json_int(b, m->line);
    }
    if (m->record) {
        json_key(b, STR("record"));
        json_id(b, m->record);
    }
    if (m->pointer.p) {
        json_key(b, STR("pointer"));
        json_str(b, m->pointer);
    }
    json_key(b, STR("code"));
    json_str(b, m->code);
    json_key(b, STR("message"));
    json_str(b, m->message);
    json_end_object(b);
    return true;
}

static void write_int(struct buf *b, const char *name, int64_t n)
{
    json_key(b, str_of(name));
    json_int(b, n);
}

static bool write_mistakes(struct call *c, const struct import_state *s, enum import_phase phase,
                           const char *name, struct buf *b)
{
    json_key(b, str_of(name));
    json_array(b);
    bool ok = imports_mistakes(c->worker->db, s->id, phase, 0, ERRORS_SHOWN, write_mistake, b, &c->error);
    json_end_array(b);
    return ok;
}

static bool write_undo(struct call *c, const struct import_state *s, struct buf *b)
{
    if (!str_is(s->state, "undoing") && !str_is(s->state, "undone")) return true;
    json_key(b, STR("undo"));
    json_object(b);
    write_int(b, "removed", s->removed);
    write_int(b, "restored", s->restored);
    write_int(b, "kept", s->kept);
    bool ok = write_mistakes(c, s, IMPORT_PHASE_UNDO, "records", b);
    json_end_object(b);
    return ok;
}

static bool write_options(struct call *c, const struct import_state *s, struct buf *b)
{
    struct import_options o;
    bool dry_run;
    enum lang lang;
    if (!import_options_read(s->options, c->arena, &o, &dry_run, &lang, &c->error)) return false;
    const struct entity *e = catalog_entity(c->worker->set->catalog, s->entity);
    json_key(b, STR("collection"));
    if (s->entity.n)
        json_str(b, e ? str_of(e->collection) : s->entity);
    else
        json_null(b);
    json_key(b, STR("format"));
    json_cstr(b, s->entity.n ? import_format_name(o.format) : "perigee.masterdata/1");
    json_key(b, STR("mode"));
    json_cstr(b, import_mode_name(o.mode));
    json_key(b, STR("match"));
    if (o.match.n)
        json_str(b, o.match);
    else
        json_null(b);
    json_key(b, STR("dry_run"));
    json_bool(b, dry_run);
    json_key(b, STR("automation"));
    json_cstr(b, o.automation ? "run" : "off");
    return true;
}

bool import_write(struct call *c, const struct import_state *s, struct buf *b)
{
    json_object(b);
    json_key(b, STR("id"));
    json_id(b, s->id);
    if (!write_options(c, s, b)) return false;
    json_key(b, STR("state"));
    json_str(b, s->state);
    json_key(b, STR("progress"));
    json_object(b);
    write_int(b, "done", s->done);
    json_key(b, STR("total"));
    if (s->total >= 0)
        json_int(b, s->total);
    else
        json_null(b);
    json_end_object(b);
    json_key(b, STR("counts"));
    json_object(b);
    write_int(b, "created", s->created);
    write_int(b, "updated", s->updated);
    write_int(b, "unchanged", s->unchanged);
    write_int(b, "failed", s->failed);
    json_end_object(b);
    if (s->collections.p) {
        json_key(b, STR("collections"));
        json_raw(b, s->collections);
    }
    if (s->detail.p) {
        json_key(b, STR("detail"));
        json_str(b, s->detail);
    }
    if (!write_mistakes(c, s, IMPORT_PHASE_RUN, "errors", b) || !write_undo(c, s, b)) return false;
    json_key(b, STR("created_by"));
    json_id(b, s->user);
    json_time(b, STR("created_at"), s->created_at);
    json_time(b, STR("started_at"), s->started_at);
    json_time(b, STR("finished_at"), s->finished_at);
    json_end_object(b);
    return true;
}

/* ── Asking for one ──────────────────────────────────────────────────────────────────────────── */

struct request {
    const char *collection;
    struct import_options options;
    struct str charset;
    bool dry_run;
    int64_t id;
};

static bool bad_parameter(struct call *c, const char *name, const char *en, const char *ru)
{
    error_add(&c->error, name, "bad_value", "%s: %s", "%s: %s", name, c->error.lang == LANG_RU ? ru : en);
    return error_set(&c->error, ERROR_BAD_REQUEST, "%s: %s", "%s: %s", name,
                     c->error.lang == LANG_RU ? ru : en);
}

static bool read_type(struct call *c, struct request *r)
{
    struct str type = call_header(c, "content-type"), rest = type, media = str_trim(str_cut(&rest, ';'));
    static const struct {
        const char *type;
        enum import_format format;
    } types[] = {{"text/csv", IMPORT_CSV},
                 {"application/csv", IMPORT_CSV},
                 {"application/x-ndjson", IMPORT_NDJSON},
                 {"application/ndjson", IMPORT_NDJSON},
                 {"application/jsonl", IMPORT_NDJSON},
                 {"application/json", IMPORT_JSON}};
    bool found = false;
    for (size_t i = 0; i < sizeof types / sizeof *types && !found; i++)
        if ((found = str_eq_nocase(media, str_of(types[i].type)))) r->options.format = types[i].format;
    for (struct str one = str_cut(&rest, ';'); one.p; one = str_cut(&rest, ';')) {
        struct str value = str_trim(one), name = str_cut(&value, '=');
        value = str_trim(value);
        if (value.n >= 2 && value.p[0] == '"') value = (struct str){value.p + 1, value.n - 2};
        if (str_eq_nocase(name, STR("charset"))) r->charset = value;
    }
    return found ? true
                 : error_set(&c->error, ERROR_UNSUPPORTED_MEDIA_TYPE,
                             "an import is text/csv, application/x-ndjson or application/json",
                             "импорт: text/csv, application/x-ndjson или application/json");
}

static bool read_options(struct call *c, struct request *r)
{
    struct str mode = call_parameter(c, "mode"), automation = call_parameter(c, "automation");
    r->options.match = call_parameter(c, "match");
    if (mode.p && !import_mode_named(mode, &r->options.mode))
        return bad_parameter(c, "mode", "create, update, upsert or restore",
                             "create, update, upsert или restore");
    if (automation.p && !str_is(automation, "run") && !str_is(automation, "off"))
        return bad_parameter(c, "automation", "run or off", "run или off");
    r->options.automation = !str_is(automation, "off");
    r->dry_run = c->dry_run;
    c->dry_run = false; /* the import is kept; what it would do is not */
    return true;
}

static bool probe(struct call *c);

/* Before the body: may they, and does what they ask make sense? */
static bool admit(struct call *c)
{
    struct request *r = arena_alloc(c->arena, sizeof *r);
    struct str collection = call_parameter(c, "collection");
    if (!r) return error_no_memory(&c->error);
    if (!read_type(c, r) || !read_options(c, r)) return false;
    c->data = r;
    if (!collection.p && r->options.format == IMPORT_JSON) {
        if (!call_is_admin(c))
            return error_set(&c->error, ERROR_FORBIDDEN, "master data is imported by crm_admin",
                             "мастер-данные импортирует crm_admin");
        return upload_accept(c, c->app->options->import_bytes, LANE_SLOW, probe);
    }
    if (!collection.p) return bad_parameter(c, "collection", "it is missing", "не указана");
    const struct entity *e = catalog_collection(c->worker->set->catalog, collection);
    if (!e) {
        error_add(&c->error, "collection", "unknown_collection", "there is no collection %.*s",
                  "нет коллекции %.*s", STR_ARG(collection));
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no collection %.*s", "нет коллекции %.*s",
                         STR_ARG(collection));
    }
    r->collection = arena_dup(c->arena, collection);
    if (!r->collection) return error_no_memory(&c->error);
    return import_admit(&c->context, e, &r->options) &&
           upload_accept(c, c->app->options->import_bytes, LANE_SLOW, probe);
}

bool import_is_dry(const struct call *c)
{
    return ((const struct request *)c->data)->dry_run;
}

static bool insert(struct call *c);

/* In the slow lane, with the file: header and charset. */
static bool probe(struct call *c)
{
    struct request *r = c->data;
    char path[IMPORT_PATH];
    if (!c->upload || c->upload->size == 0)
        return error_set(&c->error, ERROR_BAD_REQUEST, "the file is empty", "файл пуст");
    if (!r->collection) return call_continue(c, LANE_WRITE, import_masterdata);
    const struct entity *e = catalog_collection(c->worker->set->catalog, str_of(r->collection));
    if (!e)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no such collection", "нет такой коллекции");
    if (!import_probe(&c->context, e, c->upload->path, r->charset, &r->options)) return false;
    r->id = id_next();
    import_path(c->app, r->id, path);
    if (rename(c->upload->path, path) != 0) {
        LOG(LOG_ERROR, "an import cannot be kept", log_s("reason", strerror(errno)));
        return error_set(&c->error, ERROR_UNAVAILABLE, "the file cannot be kept", "файл не сохраняется");
    }
    snprintf(c->upload->path, sizeof c->upload->path, "%s", path); /* goes with the call, should that fail */
    return call_continue(c, LANE_WRITE, insert);
}

bool import_accepted(struct call *c, int64_t id)
{
    struct import_state s;
    bool found;
    char text[ID_TEXT + 1];
    if (!imports_get(c->worker->db, id, c->arena, &s, &found, &c->error)) return false;
    buf_reset(c->out);
    if (!found || !import_write(c, &s, c->out)) return false;
    id_format(id, text);
    const char *location = arena_printf(c->arena, "/api/v1/imports/%s", text);
    if (location) call_field(c, "Location", str_of(location));
    return call_json(c, 202);
}

static bool insert(struct call *c)
{
    struct request *r = c->data;
    struct buf options;
    const struct entity *e = catalog_collection(c->worker->set->catalog, str_of(r->collection));
    if (!e)
        return error_set(&c->error, ERROR_NOT_FOUND, "there is no such collection", "нет такой коллекции");
    buf_init(&options, 65536);
    bool ok = import_options_write(&options, &r->options, r->dry_run, c->error.lang);
    struct import_state s = {.id = r->id,
                             .user = c->who->id,
                             .entity = str_of(e->name),
                             .options = buf_view(&options),
                             .state = STR("queued"),
                             .created_at = clock_now()};
    ok = ok ? imports_add(c->worker->db, &s, &c->error) : error_no_memory(&c->error);
    buf_free(&options);
    if (!ok || !import_accepted(c, r->id)) return false;
    upload_keep(c->upload);
    importer_expect(c->app->importer);
    return true;
}

/* ── Looking at one ──────────────────────────────────────────────────────────────────────────── */

static bool find(struct call *c, struct import_state *s)
{
    struct str text = call_capture(c, "id");
    int64_t id;
    bool found = false;
    if (id_parse(text, &id) && !imports_get(c->worker->db, id, c->arena, s, &found, &c->error)) return false;
    if (found && (s->user == c->who->id || c->who->all_read)) return true;
    return error_set(&c->error, ERROR_NOT_FOUND, "there is no import %.*s", "нет импорта %.*s",
                     STR_ARG(text));
}

static bool get(struct call *c)
{
    struct import_state s;
    return find(c, &s) && import_write(c, &s, c->out) && call_json(c, 200);
}

static bool list(struct call *c)
{
    int64_t limit, before = 0, ids[LIST_MOST + 1];
    size_t n;
    struct str cursor = call_parameter(c, "cursor");
    if (!call_number(c, "limit", 1, LIST_MOST, 50, &limit)) return false;
    if (cursor.p && !id_parse(cursor, &before))
        return bad_parameter(c, "cursor", "it is none of ours", "это не наш курсор");
    if (!imports_list(c->worker->db, c->who->all_read ? 0 : c->who->id, before, ids, (size_t)limit + 1, &n,
                      &c->error))
        return false;
    struct buf *b = c->out;
    json_object(b);
    json_key(b, STR("items"));
    json_array(b);
    for (size_t i = 0; i < n && i < (size_t)limit; i++) {
        struct import_state s;
        bool found;
        if (!imports_get(c->worker->db, ids[i], c->arena, &s, &found, &c->error)) return false;
        if (found && !import_write(c, &s, b)) return false;
    }
    json_end_array(b);
    if (n > (size_t)limit) {
        json_key(b, STR("next"));
        json_id(b, ids[limit - 1]);
    }
    json_end_object(b);
    return call_json(c, 200);
}

static bool csv_mistake(void *ctx, const struct import_mistake *m)
{
    struct buf *b = ctx;
    buf_printf(b, "%lld,%lld,", (long long)m->row, (long long)m->line);
    struct str pointer = m->pointer.p ? m->pointer : STR("");
    if (pointer.n && pointer.p[0] == '/') pointer = (struct str){pointer.p + 1, pointer.n - 1};
    csv_text(b, pointer);
    buf_char(b, ',');
    csv_plain(b, m->code);
    buf_char(b, ',');
    csv_text(b, m->message);
    buf_cstr(b, "\r\n");
    return true;
}

static bool errors(struct call *c)
{
    struct import_state s;
    if (!find(c, &s)) return false;
    buf_cstr(c->out, "row,line,field,code,message\r\n");
    if (!imports_mistakes(c->worker->db, s.id, IMPORT_PHASE_RUN, 0, INT64_MAX, csv_mistake, c->out,
                          &c->error))
        return false;
    char text[ID_TEXT + 1];
    id_format(s.id, text);
    const char *name = arena_printf(c->arena, "attachment; filename=\"import-%s-errors.csv\"", text);
    if (name) call_field(c, "Content-Disposition", str_of(name));
    c->status = 200;
    c->content_type = "text/csv; charset=utf-8";
    return true;
}

/* ── Taking it back ──────────────────────────────────────────────────────────────────────────── */

static bool undo(struct call *c)
{
    struct import_state s;
    struct import_options o;
    bool dry_run = false;
    enum lang lang;
    if (!find(c, &s)) return false;
    if (s.user != c->who->id && !call_is_admin(c))
        return error_set(&c->error, ERROR_FORBIDDEN, "whoever imported it or crm_admin may take it back",
                         "отменить импорт может тот, кто его запустил, или crm_admin");
    if (!import_options_read(s.options, c->arena, &o, &dry_run, &lang, &c->error)) return false;
    if (dry_run)
        return error_set(&c->error, ERROR_CONFLICT, "a dry run did nothing that could be taken back",
                         "пробный импорт ничего не менял: отменять нечего");
    if (!str_is(s.state, "done") && !str_is(s.state, "failed"))
        return error_set(&c->error, ERROR_CONFLICT,
                         "the import is %.*s; it can be taken back when it is done",
                         "импорт в состоянии %.*s; отменить можно завершённый", STR_ARG(s.state));
    s.state = STR("undoing");
    if (!imports_save(c->worker->db, &s, &c->error) || !import_accepted(c, s.id)) return false;
    importer_expect(c->app->importer);
    return true;
}

static const struct endpoint endpoints[] = {
    {HTTP_METHOD_GET, "/api/v1/imports", LANE_READ, 0, "limit cursor", list, "My imports, newest first", NULL,
     "imports", 200},
    {HTTP_METHOD_POST, "/api/v1/imports", LANE_READ, UPLOAD | NOT_IN_BATCH,
     "collection mode match dry_run automation", admit, "Import a file: CSV, NDJSON, JSON, or master data",
     "rows", "import", 202},
    {HTTP_METHOD_GET, "/api/v1/imports/{id}", LANE_READ, 0, "", get,
     "How far an import is, and what came of it", NULL, "import", 200},
    {HTTP_METHOD_GET, "/api/v1/imports/{id}/errors", LANE_SLOW, 0, "", errors,
     "What was wrong with which row, as CSV", NULL, "csv", 200},
    {HTTP_METHOD_POST, "/api/v1/imports/{id}/undo", LANE_WRITE, NOT_IN_BATCH, "", undo,
     "Take back what nobody has changed since", NULL, "import", 202},
};

const struct endpoint_table imports_endpoints = {endpoints, sizeof endpoints / sizeof endpoints[0]};
